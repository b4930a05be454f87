#include "sakimori-agent/actor/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/prockill.h"
#include "sakimori-agent/actor/actor.h"

enum {
    FILE_MAX = 4 << 20, SMALL_MAX = 256 << 10, MAPS_MAX = 512 << 10, MAPS_ALL = 24 << 20, FDS_MAX = 256, HASHES_MAX = 1024,
    HASH_FILE_MAX = 256 << 20, RECENT_SEEN = 300000, RECENT_MAX = 20000, RECENT_DEPTH = 24, FOLDER_FILES = 100,
};
#define RECENT_S (3 * 86400)

/* ---- adding ---- */

static void leave_out(struct collect *c, const char *what, int err)
{
    (void)!sm_buf_printf(&c->left_out, "%s: %s\n", what, sm_strerror(err)); /* a full list is long enough */
}

static int add(struct collect *c, const char *name, struct sm_span s)
{
    int r = tarpack_add(c->pack, name, s);
    if (r != -SM_ELIMIT && r != -SM_EINVAL)
        return r;
    c->full |= r == -SM_ELIMIT;
    leave_out(c, name, r);
    return 0;
}

/* The last max bytes of a file.  A place of /proc has no size: it is read from its beginning. */
static int add_file(struct collect *c, const char *path, const char *name, size_t max)
{
    struct sm_buf b = SM_BUF_INIT(max + 1);
    uint64_t size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r = fd < 0 ? -errno : plat_fs_size(fd, &size);
    struct stat st;
    if (!r && (fstat(fd, &st) || !S_ISREG(st.st_mode)))
        r = -SM_EINVAL;
    if (!r && size > max && lseek(fd, (off_t)(size - max), SEEK_SET) < 0)
        r = -errno;
    while (!r && b.n < max) {
        r = sm_buf_reserve(&b, 65536 < max - b.n ? 65536 : max - b.n);
        ssize_t n = r ? r : plat_fs_read(fd, b.p + b.n, b.cap - b.n < max - b.n ? b.cap - b.n : max - b.n);
        if (n <= 0) {
            r = (int)n;
            break;
        }
        b.n += (size_t)n;
    }
    if (fd >= 0)
        (void)close(fd); /* only read */
    if (r == -ENOENT)
        r = 0;
    else if (r)
        leave_out(c, path, r), r = 0;
    else
        r = add(c, name, sm_buf_span(&b));
    sm_buf_wipe(&b);
    return r;
}

static int files(struct collect *c, const char *const (*list)[2], size_t n, size_t max)
{
    int r = 0;
    for (size_t i = 0; i < n && !r; i++)
        r = add_file(c, list[i][0], list[i][1], max);
    return r;
}

/* Every small file that stands in a folder (not below it), under prefix. */
struct folder { struct collect *c; const char *path, *prefix; unsigned n; int err; };

static int one_of(void *arg, struct sm_span name, unsigned char type)
{
    struct folder *f = arg;
    char path[PLAT_PATH_MAX], to[PACK_NAME_MAX + 1];
    int n = snprintf(path, sizeof path, "%s/%s", f->path, (const char *)name.p), k = snprintf(to, sizeof to, "%s/%s", f->prefix, (const char *)name.p);
    if (type == DT_DIR || n < 0 || k < 0 || (size_t)n >= sizeof path || (size_t)k >= sizeof to || f->n++ >= FOLDER_FILES)
        return 0;
    f->err = add_file(f->c, path, to, SMALL_MAX);
    return f->err;
}

static int folder(struct collect *c, const char *path, const char *prefix)
{
    struct folder f = {.c = c, .path = path, .prefix = prefix};
    int fd = plat_fs_open_dir(AT_FDCWD, path);
    if (fd < 0)
        return 0;
    int r = plat_fs_list(fd, one_of, &f);
    (void)close(fd); /* only read */
    if (r && !f.err)
        leave_out(c, path, r);
    return f.err;
}

/* ---- rows: what the machine is ---- */

static int put_facts(struct collect *c)
{
    struct utsname u;
    struct sm_buf b = SM_BUF_INIT(65536);
    char at[SM_TIME_TEXT], boot[PLAT_BOOT_ID_TEXT] = "";
    (void)uname(&u);
    (void)!plat_clock_boot_id(boot); /* "" where there is none */
    sm_time_rfc3339(plat_clock_wall(), at);
    json_t *o = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:s}", "v", 1, "at", at, "host", u.nodename, "kernel", u.release, "build", u.version,
        "machine", u.machine, "boot_id", boot, "up_s", (json_int_t)(plat_clock_boot_ns() / 1000000000), "agent", SM_VERSION);
    int r = o ? sm_json_dump(o, &b) : -ENOMEM;
    if (!r)
        r = add(c, "facts.json", sm_buf_span(&b));
    json_decref(o);
    sm_buf_wipe(&b);
    return r;
}

static int put_system(struct collect *c)
{
    static const char *const list[][2] = {{"/etc/os-release", "system/os-release"}, {"/proc/cmdline", "system/cmdline"}, {"/proc/version", "system/version"},
        {"/proc/modules", "system/modules"}, {"/proc/mounts", "system/mounts"}, {"/proc/sys/kernel/tainted", "system/tainted"},
        {"/proc/sys/kernel/modules_disabled", "system/modules_disabled"}, {"/proc/uptime", "system/uptime"}, {"/proc/loadavg", "system/loadavg"},
        {"/proc/swaps", "system/swaps"}, {"/etc/ld.so.preload", "system/ld.so.preload"}, {"/etc/hosts", "system/hosts"},
        {"/etc/resolv.conf", "system/resolv.conf"}, {"/etc/passwd", "system/passwd"}, {"/etc/group", "system/group"}, {"/etc/sudoers", "system/sudoers"},
        {"/etc/ssh/sshd_config", "system/sshd_config"}};
    int r = files(c, list, sizeof list / sizeof list[0], SMALL_MAX);
    return r ? r : folder(c, "/etc/sudoers.d", "system/sudoers.d");
}

static int put_packages(struct collect *c)
{
    int r = add_file(c, "/var/lib/dpkg/status", "system/dpkg-status", 4 * FILE_MAX);
    return r ? r : add_file(c, "/var/log/dpkg.log", "system/dpkg.log", FILE_MAX);
}

static int put_connections(struct collect *c)
{
    static const char *const list[][2] = {{"/proc/net/tcp", "net/tcp"}, {"/proc/net/tcp6", "net/tcp6"}, {"/proc/net/udp", "net/udp"},
        {"/proc/net/udp6", "net/udp6"}, {"/proc/net/raw", "net/raw"}, {"/proc/net/unix", "net/unix"}, {"/proc/net/arp", "net/arp"},
        {"/proc/net/route", "net/route"}, {"/proc/net/ipv6_route", "net/ipv6_route"}, {"/proc/net/dev", "net/dev"},
        {"/proc/net/packet", "net/packet"}, {"/proc/net/nf_conntrack", "net/nf_conntrack"}};
    return files(c, list, sizeof list / sizeof list[0], FILE_MAX);
}

static int put_autostarts(struct collect *c)
{
    static const char *const list[][2] = {{"/etc/crontab", "autostart/crontab"}, {"/etc/rc.local", "autostart/rc.local"},
        {"/etc/profile", "autostart/profile"}, {"/etc/bash.bashrc", "autostart/bash.bashrc"}, {"/root/.bashrc", "autostart/root.bashrc"},
        {"/root/.profile", "autostart/root.profile"}, {"/root/.ssh/authorized_keys", "autostart/root.authorized_keys"}};
    static const char *const folders[][2] = {{"/etc/systemd/system", "autostart/systemd"}, {"/etc/cron.d", "autostart/cron.d"},
        {"/var/spool/cron/crontabs", "autostart/crontabs"}, {"/etc/profile.d", "autostart/profile.d"},
        {"/etc/xdg/autostart", "autostart/xdg"}, {"/etc/udev/rules.d", "autostart/udev"}, {"/etc/init.d", "autostart/init.d"}};
    int r = files(c, list, sizeof list / sizeof list[0], SMALL_MAX);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && !r; i++)
        r = folder(c, folders[i][0], folders[i][1]);
    return r;
}

static int put_logs(struct collect *c)
{
    static const char *const list[][2] = {{"/var/log/auth.log", "logs/auth.log"}, {"/var/log/secure", "logs/secure"}, {"/var/log/syslog", "logs/syslog"},
        {"/var/log/messages", "logs/messages"}, {"/var/log/kern.log", "logs/kern.log"}, {"/var/log/audit/audit.log", "logs/audit.log"},
        {"/var/log/apt/history.log", "logs/apt-history.log"}, {"/var/log/wtmp", "logs/wtmp"}, {"/var/log/btmp", "logs/btmp"}};
    static const char *const args[] = {"--no-pager", "-q", "-o", "short-iso-precise", "-n", "20000", NULL};
    struct sm_buf b = SM_BUF_INIT(4 * (size_t)FILE_MAX);
    int r = files(c, list, sizeof list / sizeof list[0], FILE_MAX);
    if (!r && actor_has_program("journalctl")) {
        int e = actor_program("journalctl", args, 60, &b);
        if (e)
            leave_out(c, "journalctl", e);
        if (b.n)
            r = add(c, "logs/journal.txt", sm_buf_span(&b));
    }
    sm_buf_wipe(&b);
    return r;
}

static int put_agent(struct collect *c)
{
    static const char *const names[][2] = {{"actor/hold.json", "agent/hold.json"}, {"policy.conf", "agent/policy.conf"}, {"cache/status.json", "agent/status.json"},
        {"actor/policy.json", "agent/policy.json"}, {"actor/journal-000001.jsonl", "agent/journal-000001.jsonl"},
        {"actor/journal-000002.jsonl", "agent/journal-000002.jsonl"}};
    char path[AGENT_PATH_MAX + 64];
    int r = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !r; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", c->data, names[i][0]); /* room was made */
        r = add_file(c, path, names[i][1], 2 * FILE_MAX);
    }
    return r;
}

/* ---- rows: processes ---- */

/* The hash of a program, looked up by inode first: many processes run the same. */
struct hashed { dev_t dev; ino_t ino; char hex[65]; };
struct hashes { struct hashed row[HASHES_MAX]; size_t n; };

static int hash_fd(int fd, char ret[65])
{
    struct crypto_sha256_ctx *h;
    uint8_t sum[CRYPTO_SHA256_LEN], *piece = malloc(1 << 18);
    int r = piece ? crypto_sha256_new(&h) : -ENOMEM;
    if (r) {
        free(piece);
        return r;
    }
    uint64_t all = 0;
    ssize_t n;
    while ((n = plat_fs_read(fd, piece, 1 << 18)) > 0 && (all += (uint64_t)n) <= HASH_FILE_MAX)
        crypto_sha256_put(h, SM_SPAN(piece, (size_t)n));
    crypto_sha256_final(h, sum);
    crypto_sha256_free(h);
    free(piece);
    if (n > 0)
        return -EFBIG;
    sm_hex(sum, sizeof sum, ret);
    return (int)n;
}

static const char *hash_of(struct hashes *h, pid_t pid)
{
    char path[48];
    struct stat st;
    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    const char *found = NULL;
    if (!fstat(fd, &st)) {
        for (size_t i = 0; i < h->n && !found; i++)
            if (h->row[i].dev == st.st_dev && h->row[i].ino == st.st_ino)
                found = h->row[i].hex;
        if (!found && h->n < HASHES_MAX && !hash_fd(fd, h->row[h->n].hex)) {
            h->row[h->n].dev = st.st_dev;
            h->row[h->n].ino = st.st_ino;
            found = h->row[h->n++].hex;
        }
    }
    (void)close(fd); /* only read */
    return found;
}

/* Bytes of the system as text: what is no UTF-8 becomes "?". */
static json_t *text(const char *s, size_t n)
{
    char out[4096];
    size_t k = n < sizeof out ? n : sizeof out - 1;
    memcpy(out, s, k);
    for (size_t i = 0; i < k; i++)
        if (!out[i] || (uint8_t)out[i] < 0x20)
            out[i] = ' ';
    while (k && !sm_utf8_valid(SM_SPAN(out, k))) {
        bool ascii = true;
        for (size_t i = 0; i < k && ascii; i++)
            if ((uint8_t)out[i] >= 0x80) {
                out[i] = '?';
                ascii = false;
            }
    }
    return json_stringn(out, k);
}

static json_t *link_of(pid_t pid, const char *what)
{
    char path[64], to[4096];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    ssize_t n = readlink(path, to, sizeof to);
    return n > 0 ? text(to, (size_t)n) : json_null();
}

struct fds { pid_t pid; json_t *list; };

static int one_fd(void *arg, struct sm_span name, unsigned char type)
{
    struct fds *f = arg;
    char what[64];
    (void)type;
    if (name.n > 10 || json_array_size(f->list) >= FDS_MAX)
        return 0;
    (void)snprintf(what, sizeof what, "fd/%s", (const char *)name.p); /* digits */
    return json_array_append_new(f->list, link_of(f->pid, what)) ? -ENOMEM : 0;
}

static json_t *open_files(pid_t pid)
{
    struct fds f = {pid, json_array()};
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    int fd = plat_fs_open_dir(AT_FDCWD, path);
    if (fd >= 0) {
        (void)!plat_fs_list(fd, one_fd, &f); /* it ended meanwhile, or memory: what there is */
        (void)close(fd);                      /* only read */
    }
    return f.list;
}

static json_t *line_of(pid_t pid)
{
    char path[48], b[4096];
    (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : plat_fs_read(fd, b, sizeof b);
    if (fd >= 0)
        (void)close(fd); /* only read */
    return n > 0 ? text(b, (size_t)n - (b[n - 1] == 0)) : json_null();
}

static int put_processes(struct collect *c)
{
    struct plat_proc_look *p = NULL;
    struct hashes *h = calloc(1, sizeof *h);
    struct sm_buf b = SM_BUF_INIT(PACK_MEMBER_MAX);
    size_t n = 0;
    int r = h ? plat_procs_look(&p, &n) : -ENOMEM;
    for (size_t i = 0; i < n && !r; i++) {
        const char *hex = p[i].kernel ? NULL : hash_of(h, p[i].pid);
        json_t *o = json_pack("{s:i,s:i,s:i,s:I,s:i,s:s#,s:b,s:o,s:s?,s:o,s:o,s:o,s:o}", "pid", (int)p[i].pid, "parent", (int)p[i].parent, "session",
            (int)p[i].session, "start", (json_int_t)p[i].start, "uid", (int)p[i].uid, "state", &p[i].state, 1, "kernel", p[i].kernel, "exe",
            link_of(p[i].pid, "exe"), "sha256", hex, "line", line_of(p[i].pid), "cwd", link_of(p[i].pid, "cwd"), "root", link_of(p[i].pid, "root"),
            "files", open_files(p[i].pid));
        if (o && (sm_json_dump(o, &b) || sm_buf_put_u8(&b, '\n')))
            r = 1; /* full: what there is */
        json_decref(o);
    }
    if (r == 1) {
        leave_out(c, "processes.jsonl (the rest)", -SM_ELIMIT);
        r = 0;
    }
    if (!r)
        r = add(c, "processes.jsonl", sm_buf_span(&b));
    free(p);
    free(h);
    sm_buf_wipe(&b);
    return r;
}

/* Where the memory of each process lies and what of it is a file; not what is in it. */
static int put_maps(struct collect *c)
{
    struct plat_proc_look *p = NULL;
    struct sm_buf all = SM_BUF_INIT(MAPS_ALL + 4096), one = SM_BUF_INIT(MAPS_MAX);
    size_t n = 0;
    int r = plat_procs_look(&p, &n);
    for (size_t i = 0; i < n && !r && all.n < MAPS_ALL; i++) {
        char path[48];
        (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)p[i].pid);
        sm_buf_clear(&one);
        if (p[i].kernel || plat_fs_read_file(AT_FDCWD, path, MAPS_MAX, &one))
            continue; /* gone, or larger than any that is not strange in another way too */
        if (sm_buf_printf(&all, "== %d\n", (int)p[i].pid) || sm_buf_put_span(&all, sm_buf_span(&one)))
            break;
    }
    if (!r)
        r = add(c, "maps.txt", sm_buf_span(&all));
    free(p);
    sm_buf_wipe(&one);
    sm_buf_wipe(&all);
    return r;
}

/* ---- row: files that changed lately (names and times, never contents) ---- */

struct recent { struct sm_buf b; int64_t since; unsigned seen, listed; dev_t dev; };

static int look_below(struct recent *x, int dir, const char *path, unsigned depth);
struct below { struct recent *x; int dir; const char *path; unsigned depth; };

static int one_name(void *arg, struct sm_span name, unsigned char type)
{
    struct below *w = arg;
    struct recent *x = w->x;
    struct stat st;
    char path[PLAT_PATH_MAX];
    (void)type;
    int n = snprintf(path, sizeof path, "%s/%s", w->path, (const char *)name.p);
    if (++x->seen > RECENT_SEEN || x->listed >= RECENT_MAX)
        return 1;
    if (n < 0 || (size_t)n >= sizeof path || fstatat(w->dir, (const char *)name.p, &st, AT_SYMLINK_NOFOLLOW))
        return 0;
    if (st.st_mtime >= x->since || st.st_ctime >= x->since) {
        json_t *p = text(path, (size_t)n);
        x->listed++;
        if (sm_buf_printf(&x->b, "%lld\t%lld\t%lld\t%u\t%o\t%s\n", (long long)st.st_mtime, (long long)st.st_ctime, (long long)st.st_size,
                (unsigned)st.st_uid, (unsigned)st.st_mode, p ? json_string_value(p) : ""))
            x->listed = RECENT_MAX;
        json_decref(p);
    }
    if (!S_ISDIR(st.st_mode) || st.st_dev != x->dev || w->depth >= RECENT_DEPTH)
        return 0;
    int fd = plat_fs_open_dir(w->dir, (const char *)name.p);
    int r = fd < 0 ? 0 : look_below(x, fd, path, w->depth + 1);
    if (fd >= 0)
        (void)close(fd); /* only read */
    return r;
}

static int look_below(struct recent *x, int dir, const char *path, unsigned depth)
{
    struct below w = {x, dir, path, depth};
    int r = plat_fs_list(dir, one_name, &w);
    return r == 1 ? 1 : 0; /* a folder that cannot be listed is left out */
}

static int put_recent(struct collect *c)
{
    static const char *const places[] = {"/etc", "/root", "/home", "/tmp", "/var/tmp", "/dev/shm", "/usr/local", "/opt", "/srv", "/var/www", "/usr/bin",
        "/usr/sbin", "/usr/lib/systemd", "/boot"};
    struct recent x = {.b = SM_BUF_INIT(PACK_MEMBER_MAX), .since = plat_clock_wall().s - RECENT_S};
    int r = sm_buf_printf(&x.b, "mtime\tctime\tsize\tuid\tmode\tpath\n");
    for (size_t i = 0; i < sizeof places / sizeof places[0] && !r; i++) {
        struct stat st;
        int fd = plat_fs_open_dir(AT_FDCWD, places[i]);
        if (fd < 0 || fstat(fd, &st)) {
            if (fd >= 0)
                (void)close(fd); /* only read */
            continue;
        }
        x.dev = st.st_dev;
        if (look_below(&x, fd, places[i], 1))
            leave_out(c, "recent-files.tsv (the rest)", -SM_ELIMIT);
        (void)close(fd); /* only read */
        x.seen = 0;
    }
    if (!r)
        r = add(c, "recent-files.tsv", sm_buf_span(&x.b));
    sm_buf_wipe(&x.b);
    return r;
}

/* ---- the table ---- */

static int (*const rows[])(struct collect *c) = {put_facts, put_processes, put_connections, put_autostarts, put_system, put_recent, put_agent, put_maps,
    put_logs, put_packages};

size_t collect_rows(void)
{
    return sizeof rows / sizeof rows[0];
}

int collect_all(struct collect *c)
{
    int r = 0;
    for (size_t i = 0; i < collect_rows() && !r; i++)
        r = rows[i](c);
    if (!r && c->left_out.n)
        r = add(c, "left-out.txt", sm_buf_span(&c->left_out));
    return r;
}
