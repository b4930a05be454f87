/* What the parent settles before the first child starts: folders, lock, sockets, names, settings for children. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/log.h"
#include "journal/house.h"
#include "plat/fs.h"
#include "plat/local.h"
#include "plat/proc.h"
#include "sakimorid/parent.h"

enum { PORT_TRIES = 50, PATH_BYTES = 4096, DEPTH_MAX = 24, MAIL_MAX = 16 << 10, ADDRESSES_MAX = 256 << 10, ADDRESSES = 32,
    LOG_SOCKET_BYTES = 32 << 20 /* of UDP: what comes in a moment in which the collector does not run */ };

#define ROOM_FILE "room"
#define ROOM_BYTES ((uint64_t)16 << 20)
#define ROOM_ENOUGH ((uint64_t)128 << 20)

#ifndef SAKIMORI_WEB_DIR
#define SAKIMORI_WEB_DIR "/usr/share/sakimori/web"
#endif

char *ground_standard_data(void)
{
    const char *base = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int n;

    if (geteuid() == 0)
        return strdup("/var/lib/sakimori");
    if (base && base[0] == '/')
        n = asprintf(&path, "%s/sakimori", base);
    else
        n = asprintf(&path, "%s/.local/share/sakimori", home && home[0] == '/' ? home : "/tmp");
    return n < 0 ? NULL : path;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* ---- folders ---- */

struct owner {
    int dirfd;
    uid_t uid;
    gid_t gid;
    unsigned depth;
};

static int own_tree(void *arg, struct sm_span name, unsigned char type)
{
    const struct owner *o = arg;
    struct owner below = *o;
    int r = 0;

    if (fchownat(o->dirfd, (const char *)name.p, o->uid, o->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    below.dirfd = o->depth < DEPTH_MAX ? openat(o->dirfd, (const char *)name.p,
        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (below.dirfd < 0)
        return 0; /* a file, or deeper than anything the box makes */
    below.depth++;
    r = plat_fs_list(below.dirfd, own_tree, &below);
    close(below.dirfd);
    return r;
}

/* A folder of a child's; all in it changes hands when the child's user is another than the last time. */
static int make_folder(const char *data, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
    char path[PATH_BYTES];
    struct stat st;
    struct owner o = { .uid = uid, .gid = gid };
    int r = snprintf(path, sizeof path, "%s/%s", data, name);

    if (r < 0 || r >= PATH_BYTES)
        return -ENAMETOOLONG;
    r = plat_fs_mkdir_p(path, mode);
    if (r < 0)
        return r;
    o.dirfd = plat_fs_open_dir(AT_FDCWD, path);
    if (o.dirfd < 0)
        return o.dirfd;
    r = fstat(o.dirfd, &st) < 0 ? -errno : 0;
    if (r == 0 && geteuid() == 0 && (st.st_uid != uid || st.st_gid != gid)) {
        r = plat_fs_list(o.dirfd, own_tree, &o);
        if (r >= 0 && fchown(o.dirfd, uid, gid) < 0)
            r = -errno;
    }
    if (r >= 0 && fchmod(o.dirfd, mode) < 0)
        r = -errno;
    close(o.dirfd);
    return r < 0 ? r : 0;
}

static int make_row_folders(const char *data, const struct child_row *row, char *ret_why)
{
    uid_t uid;
    gid_t gid;

    child_user(row, &uid, &gid);
    for (size_t i = 0; i < CHILD_FOLDERS_MAX && row->folders[i].path; i++) {
        const char *name = row->folders[i].path;
        if (name[0] == '/' || !row->folders[i].write)
            continue;
        int r = make_folder(data, name, strcmp(name, "public") ? 0700 : 0755, uid, gid);
        if (r < 0) {
            snprintf(ret_why, 240, "%.160s/%s: %s", data, name, sm_strerror(r));
            return r;
        }
    }
    return 0;
}

static int make_folders(struct ground *g, const char *data, const struct child_row *rows, size_t n, char *ret_why)
{
    /* Children under other users must be able to pass through to their own folder. */
    int r = plat_fs_mkdir_p(data, geteuid() == 0 ? 0711 : 0700);

    g->data = r < 0 ? NULL : realpath(data, NULL);
    if (!g->data) {
        snprintf(ret_why, 240, "%.160s: %s", data, sm_strerror(r < 0 ? r : -errno));
        return r < 0 ? r : -errno;
    }
    if (geteuid() == 0 && chmod(g->data, 0711) < 0)
        return -errno;
    r = make_folder(g->data, "run", 0755, geteuid(), getegid());
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = make_row_folders(g->data, &rows[i], ret_why);
    return r;
}

static int lock_data(struct ground *g, char *ret_why)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%.4000s/run/lock", g->data);
    g->lock_fd = plat_fs_lock(AT_FDCWD, path);
    if (g->lock_fd < 0)
        snprintf(ret_why, 240, "%.160s: %s", g->data,
            g->lock_fd == -SM_EAGAIN ? "a sakimorid is running on this data already" : sm_strerror(g->lock_fd));
    return g->lock_fd < 0 ? g->lock_fd : 0;
}

/* ---- sockets ---- */

static bool is_address(const char *text)
{
    struct in6_addr any;

    return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

static int bind_ports(struct ground *g, const struct settings *s, char *ret_why)
{
    int r = -EADDRINUSE;
    uint16_t agent = 0;

    if (!is_address(s->listen)) {
        snprintf(ret_why, 240, "listen = %.64s: no address of IPv4 or IPv6", s->listen);
        return -SM_EINVAL;
    }
    for (int i = 0; i < (s->port ? 1 : PORT_TRIES); i++) {
        r = plat_tcp_listen(s->listen, (uint16_t)s->port, &g->port);
        if (r < 0)
            break;
        g->console_fd = r;
        r = g->port == 65535 ? -EADDRINUSE : plat_tcp_listen(s->listen, (uint16_t)(g->port + 1), &agent);
        if (r >= 0) {
            g->agent_fd = r;
            return 0;
        }
        close(g->console_fd);
        g->console_fd = -1;
    }
    snprintf(ret_why, 240, "%.64s port %lld and the next one: %s", s->listen, (long long)s->port, sm_strerror(r));
    return r;
}

/* Ports for logs, each when it is set: 0 is none, as nobody sends any before the box is told to take them. */
static int bind_logs(struct ground *g, const struct settings *s, char *ret_why)
{
    static const char *const names[] = { "syslog_udp", "syslog_tcp", "syslog_tls" };
    const int64_t ports[] = { s->syslog_udp, s->syslog_tcp, s->syslog_tls };
    const char *at = s->syslog_listen[0] ? s->syslog_listen : s->listen;

    for (int i = 0; i < 3; i++) {
        if (!ports[i])
            continue;
        int r = i == 0 ? plat_udp_bind(at, (uint16_t)ports[i], LOG_SOCKET_BYTES, NULL) :
            plat_tcp_listen(at, (uint16_t)ports[i], NULL);
        if (r < 0) {
            snprintf(ret_why, 240, "%s = %lld at %.64s: %s", names[i], (long long)ports[i], at, sm_strerror(r));
            return r;
        }
        g->log_fd[i] = r;
    }
    return 0;
}

static int bind_local(struct ground *g, const struct settings *s, char *ret_why)
{
    char path[PATH_BYTES];
    gid_t gid;
    bool group = geteuid() == 0 && s->group[0] && plat_group_lookup(s->group, &gid) >= 0;

    if (s->socket[0])
        snprintf(path, sizeof path, "%.4000s", s->socket);
    else
        snprintf(path, sizeof path, "%.4000s/run/cli.sock", g->data);
    snprintf(g->socket, sizeof g->socket, "%s", path);
    g->local_fd = plat_local_listen(path, group ? 0660 : 0600);
    if (g->local_fd >= 0 && group && chown(path, 0, gid) < 0)
        sm_warn("%s: group %s: %s", path, s->group, sm_strerror(-errno));
    if (g->local_fd < 0)
        snprintf(ret_why, 240, "%.160s: %s", path, sm_strerror(g->local_fd));
    return g->local_fd < 0 ? g->local_fd : 0;
}

/* ---- names ---- */

static void add_name(struct ground *g, const char *text)
{
    json_t *to = is_address(text) ? g->ips : g->names;
    json_t *v;
    size_t i;

    if (!*text || !strcmp(text, "0.0.0.0") || !strcmp(text, "::") || json_array_size(to) >= 14)
        return;
    json_array_foreach (to, i, v)
        if (!strcmp(json_string_value(v), text))
            return;
    (void)json_array_append_new(to, json_string(text)); /* a name less in the certificate, said by the browser */
}

static void add_own_address(void *arg, const char *interface, const char *address)
{
    if (strncmp(address, "fe80:", 5))
        add_name(arg, address);
}

static void add_names(struct ground *g, const struct settings *s)
{
    char host[256] = "", list[1024], *save = NULL;

    add_name(g, "localhost");
    if (gethostname(host, sizeof host - 1) == 0)
        add_name(g, host);
    add_name(g, "127.0.0.1");
    add_name(g, "::1");
    add_name(g, s->listen);
    snprintf(list, sizeof list, "%s", s->names);
    for (char *p = strtok_r(list, ", ", &save); p; p = strtok_r(NULL, ", ", &save))
        add_name(g, p);
    if (!plat_tcp_is_loopback(s->listen))
        (void)plat_tcp_addresses(add_own_address, g);
}

/* The address a person types: the one we listen on, or for "any" the first of the machine's own. */
static void make_urls(struct ground *g, const struct settings *s)
{
    const char *host = s->listen;
    const char *left = "", *right = "";
    json_t *v;
    size_t i;

    if (!strcmp(host, "0.0.0.0") || !strcmp(host, "::")) {
        host = "127.0.0.1";
        json_array_foreach (g->ips, i, v)
            if (!plat_tcp_is_loopback(json_string_value(v))) {
                host = json_string_value(v);
                break;
            }
    }
    if (strchr(host, ':')) {
        left = "[";
        right = "]";
    }
    snprintf(g->console_url, sizeof g->console_url, "https://%s%.64s%s:%u", left, host, right, g->port);
    snprintf(g->agent_url, sizeof g->agent_url, "https://%s%.64s%s:%u", left, host, right, g->port + 1u);
}

static json_t *what_is_not_separated(void)
{
    if (geteuid() == 0)
        return json_array();
    return json_pack("[{ssss}]", "ja",
        "管理者(root)以外で動いているため、箱の中の各部分が同じ利用者で動いています。鍵と保管庫は互いに分けられていません。", "en",
        "Not started as root: the parts of the box run as one user, keys and vault are not kept apart by users.");
}

/* ---- files with secrets: root's own, and only what a child needs of them goes to it ---- */

static json_t *load_secrets(const struct ground *g, const char *name, size_t max, const char *lost)
{
    struct sm_buf text = SM_BUF_INIT(max);
    char path[PATH_BYTES], why[160];
    json_t *o = NULL;

    snprintf(path, sizeof path, "%.4000s/%s", g->data, name);
    int r = plat_fs_read_file(AT_FDCWD, path, max, &text);
    if (r >= 0)
        r = msg_json(sm_buf_span(&text), max, &o, why);
    if (r < 0 && r != -ENOENT)
        sm_warn("%s: %s; %s", path, sm_strerror(r), lost);
    sm_buf_wipe(&text);
    return o ? o : json_object();
}

/* all is written and takes the place of *kept (taken in any case); r < 0: an error from before, nothing changes. */
static int keep_secrets(const struct ground *g, const char *name, size_t max, int r, json_t *all, json_t **kept,
    char *ret_why)
{
    struct sm_buf text = SM_BUF_INIT(max);
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%.4000s/%s", g->data, name);
    if (r >= 0)
        r = sm_json_dump(all, &text);
    if (r >= 0)
        r = plat_replace(AT_FDCWD, path, sm_buf_span(&text), 0600);
    sm_buf_wipe(&text);
    if (r < 0) {
        snprintf(ret_why, 160, "%s: %s", name, sm_strerror(r));
        sm_json_drop_secret(all);
        return r;
    }
    sm_json_drop_secret(*kept);
    *kept = all;
    return 0;
}

/* A secret that is not said again stays with the place it was said for: whoever may only name a place cannot have it sent to another. */
static int keep_secret(json_t *all, const json_t *kept, const char *secret, const char *place)
{
    const char *now = json_string_value(json_object_get(all, place)), *then = json_string_value(json_object_get(kept, place));
    const json_t *was = json_object_get(kept, secret);

    if (json_object_get(all, secret) || !was || !now || !then || strcmp(now, then) != 0)
        return 0;
    return json_object_set_new(all, secret, json_deep_copy(was)) < 0 ? -ENOMEM : 0;
}

/* ---- mail ---- */

static int check_mail(const json_t *mail, char *ret_why)
{
    static const char *const known[] = { "host", "port", "tls", "user", "from", "password", NULL };
    struct sm_obj o = SM_OBJ(mail);
    const char *tls;

    sm_obj_only(&o, known);
    (void)sm_obj_str(&o, "host", 0, 255);
    (void)sm_obj_int(&o, "port", 1, 65535);
    tls = sm_obj_str(&o, "tls", 1, 16);
    (void)sm_obj_str_opt(&o, "user", 255);
    (void)sm_obj_str(&o, "from", 0, 255);
    (void)sm_obj_str_opt(&o, "password", 255);
    if (!o.err && strcmp(tls, "none") && strcmp(tls, "starttls") && strcmp(tls, "tls")) {
        snprintf(ret_why, 160, "field \"tls\": none, starttls or tls");
        return -SM_EINVAL;
    }
    if (o.err)
        snprintf(ret_why, 160, "%.150s", o.why);
    return o.err ? -SM_EINVAL : 0;
}

int ground_mail(struct ground *g, const json_t *mail, char *ret_why)
{
    int r = check_mail(mail, ret_why);

    if (r < 0)
        return r;
    json_t *all = json_deep_copy(mail);
    if (!all)
        return -ENOMEM;
    r = keep_secret(all, g->mail, "password", "host");
    return keep_secrets(g, "mail.json", MAIL_MAX, r, all, &g->mail, ret_why);
}

/* ---- the firewall's API ---- */

int ground_firewall(struct ground *g, const json_t *said, char *ret_why)
{
    static const char *const known[] = { "url", "pin", "token", NULL };
    struct sm_obj o = SM_OBJ(said);

    sm_obj_only(&o, known);
    (void)sm_obj_str(&o, "url", 0, 1000);
    (void)sm_obj_str(&o, "pin", 0, 100);
    (void)sm_obj_str_opt(&o, "token", 500);
    if (o.err) {
        snprintf(ret_why, 160, "%.150s", o.why);
        return -SM_EINVAL;
    }
    json_t *all = json_deep_copy(said);
    int r = all ? keep_secret(all, g->firewall, "token", "url") : -ENOMEM;
    return all ? keep_secrets(g, "firewall.json", MAIL_MAX, r, all, &g->firewall, ret_why) : r;
}

/* ---- addresses of copies over the network, with the secrets that open them ---- */

/* {"copy", "address": {"kind", texts, numbers, switches}}: what is new, the rest stays; without "address" all goes. */
static int check_address(const json_t *said, char *ret_why)
{
    static const char *const known[] = { "copy", "address", NULL };
    struct sm_obj o = SM_OBJ(said);
    const char *key, *id;
    json_t *v;

    sm_obj_only(&o, known);
    id = sm_obj_str(&o, "copy", 1, 64);
    const json_t *address = sm_obj_obj(&o, "address");
    if (o.err) {
        snprintf(ret_why, 160, "%.150s", o.why);
        return -SM_EINVAL;
    }
    json_object_foreach ((json_t *)(uintptr_t)address, key, v)
        if (json_is_object(v) || json_is_array(v) || (json_is_string(v) && json_string_length(v) > 4096)) {
            snprintf(ret_why, 160, "field \"%.60s\": a short text, a number or a switch", key);
            return -SM_EINVAL;
        }
    return id[strspn(id, "0123456789abcdef-")] ? -SM_EINVAL : 0;
}

int ground_address(struct ground *g, const json_t *said, char *ret_why)
{
    int r = check_address(said, ret_why);

    if (r < 0)
        return r;
    const char *id = json_string_value(json_object_get(said, "copy"));
    json_t *address = json_object_get(said, "address"), *all = json_deep_copy(g->addresses);
    if (!all)
        return -ENOMEM;
    json_t *old = json_object_get(all, id);
    if (address && old)
        r = json_object_update(old, address) < 0 ? -ENOMEM : 0;
    else if (address)
        r = json_object_size(all) >= ADDRESSES ? -SM_ELIMIT :
            json_object_set_new(all, id, json_deep_copy(address)) < 0 ? -ENOMEM : 0;
    else
        (void)json_object_del(all, id); /* not there is as good */
    return keep_secrets(g, "copies.json", ADDRESSES_MAX, r, all, &g->addresses, ret_why);
}

/* ---- the store of logs ---- */

static const char *text_in(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));

    return t ? t : "";
}

static int check_house(const json_t *said, const char *password, char *ret_why)
{
    static const char *const known[] = { "store", "urls", "database", "table", "user", "password", "ca", NULL };
    struct house_conf conf;
    struct sm_obj o = SM_OBJ(said);
    const struct house_texts t = { .urls = text_in(said, "urls"), .database = text_in(said, "database"), .table = text_in(said, "table"),
        .user = text_in(said, "user"), .password = password, .ca = text_in(said, "ca") };

    sm_obj_only(&o, known);
    const char *store = sm_obj_str(&o, "store", 1, 16);
    if (o.err) {
        snprintf(ret_why, HOUSE_WHY, "%.150s", o.why);
        return -SM_EINVAL;
    }
    if (!strcmp(store, "local"))
        return 0;
    if (strcmp(store, "clickhouse") != 0) {
        snprintf(ret_why, HOUSE_WHY, "store: local or clickhouse");
        return -SM_EINVAL;
    }
    int r = house_conf_get(&t, &conf, ret_why);
    if (r >= 0)
        house_conf_wipe(&conf);
    return r;
}

int ground_house(struct ground *g, const json_t *said, char *ret_why)
{
    json_t *all = json_deep_copy(said);
    int r = all ? keep_secret(all, g->house, "password", "urls") : -ENOMEM;

    if (r >= 0)
        r = check_house(said, text_in(all, "password"), ret_why);
    if (r < 0) {
        sm_json_drop_secret(all);
        return r;
    }
    return keep_secrets(g, "house.json", MAIL_MAX, r, all, &g->house, ret_why);
}

bool ground_house_wanted(const struct ground *g)
{
    return !strcmp(text_in(g->house, "store"), "clickhouse");
}

/* ---- room for a start ---- */

/*
 * A database and keys cannot be opened on a disk without a free byte, and a box that does not start gives nothing back.
 * So a file keeps a little room: it goes when the disk is full at a start, and comes back when there is space again.
 * Without it (a small disk, a file system that reserves nothing) all is as it would be anyway.
 */
static void keep_room(const struct ground *g)
{
    struct plat_fs_space space;
    uint64_t size = 0;
    int dir = plat_fs_open_dir(AT_FDCWD, g->data), fd = -1;

    if (dir < 0 || plat_fs_space(dir, ".", &space) < 0) {
        close_fd(dir);
        return;
    }
    if (space.avail_bytes < ROOM_BYTES) {
        if (plat_fs_unlink(dir, ROOM_FILE) == 0)
            sm_warn("the disk of %s is full: the room kept for a start is used now; make space", g->data);
    } else if (space.avail_bytes >= ROOM_ENOUGH) {
        fd = plat_fs_create(dir, ROOM_FILE, 0, 0600);
        if (fd >= 0 && plat_fs_size(fd, &size) == 0 && size < ROOM_BYTES && posix_fallocate(fd, 0, ROOM_BYTES) != 0)
            (void)plat_fs_unlink(dir, ROOM_FILE); /* then there is no such room, as said above */
    }
    close_fd(fd);
    close_fd(dir);
}

/* ---- all of it ---- */

int ground_open(struct ground *g, const char *data, const struct settings *s, const struct child_row *rows, size_t n,
    char *ret_why)
{
    int r;

    *g = (struct ground){ .console_fd = -1, .agent_fd = -1, .local_fd = -1, .lock_fd = -1, .log_fd = { -1, -1, -1 } };
    ret_why[0] = '\0';
    g->rules = s->rules[0] ? s->rules : SAKIMORI_RULES_DIR;
    g->web = s->web[0] ? s->web : SAKIMORI_WEB_DIR;
    g->names = json_array();
    g->ips = json_array();
    g->not_separated = what_is_not_separated();
    r = g->names && g->ips && g->not_separated ? 0 : -ENOMEM;
    if (r >= 0)
        r = make_folders(g, data, rows, n, ret_why);
    if (r >= 0)
        r = lock_data(g, ret_why);
    if (r >= 0) {
        keep_room(g);
        r = bind_ports(g, s, ret_why);
    }
    if (r >= 0)
        r = bind_logs(g, s, ret_why);
    if (r >= 0)
        r = bind_local(g, s, ret_why);
    if (r < 0) {
        if (!ret_why[0])
            snprintf(ret_why, 240, "%.160s: %s", data, sm_strerror(r));
        ground_close(g);
        return r;
    }
    add_names(g, s);
    make_urls(g, s);
    g->mail = load_secrets(g, "mail.json", MAIL_MAX, "mail is not set up");
    g->firewall = load_secrets(g, "firewall.json", MAIL_MAX, "the firewall's API is not set up");
    g->house = load_secrets(g, "house.json", MAIL_MAX, "logs are kept and searched on this box alone");
    g->addresses = load_secrets(g, "copies.json", ADDRESSES_MAX, "copies over the network need their keys again");
    return 0;
}

void ground_close(struct ground *g)
{
    close_fd(g->console_fd);
    close_fd(g->agent_fd);
    close_fd(g->local_fd);
    close_fd(g->lock_fd);
    for (int i = 0; i < 3; i++)
        close_fd(g->log_fd[i]);
    free(g->data);
    json_decref(g->names);
    json_decref(g->ips);
    json_decref(g->not_separated);
    sm_json_drop_secret(g->mail);
    sm_json_drop_secret(g->firewall);
    sm_json_drop_secret(g->addresses);
    sm_json_drop_secret(g->house);
    *g = (struct ground){ .console_fd = -1, .agent_fd = -1, .local_fd = -1, .lock_fd = -1, .log_fd = { -1, -1, -1 } };
}

json_t *ground_config(const struct ground *g, const struct settings *s, unsigned who)
{
    json_t *settings = options_for(s, who);
    json_t *j = settings ? json_pack("{ss ss ss si ss ss sO sO ss sO ss so}", "data", g->data, "version", SM_VERSION,
        "listen", s->listen, "port", (int)g->port, "console_url", g->console_url, "agent_url", g->agent_url, "names",
        g->names, "ips", g->ips, "web", g->web, "not_separated", g->not_separated, "test_clock", s->test_clock,
        "settings", settings) : NULL;

    if (j && who == WHO_WATCH && json_object_set_new(j, "rules", json_string(g->rules)) < 0) {
        json_decref(j);
        return NULL;
    }
    if (j && who == WHO_OUT && (json_object_set(j, "mail", g->mail) < 0 || json_object_set(j, "firewall", g->firewall) < 0)) {
        json_decref(j);
        return NULL;
    }
    if (j && who == WHO_HOUSE && json_object_set(j, "house", g->house) < 0) {
        json_decref(j);
        return NULL;
    }
    return j;
}
