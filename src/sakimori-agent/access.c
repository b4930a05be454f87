/* Accesses: their files, and the command of the administrator. */
#include "sakimori-agent/access.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/helper.h"
#include "sakimori-agent/kinds/kind.h"

#define VERSION 1
#define FILE_MAX ((size_t)16 << 10)
#define FEATURES_MAX 64
#define FEATURE_TEXT_MAX 100 /* longer ones a box drops, and all others with them */

bool access_name_ok(const char *name)
{
    size_t n = strlen(name);
    return n >= 1 && n <= ACCESS_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n &&
           name[0] != '-' && name[0] != '_';
}

int access_folders(const char *data)
{
    static const struct {
        const char *name;
        mode_t mode;
    } rows[] = {{"access", 0700}, {"hooks", 0755}, {"staging", 0711}};
    char path[AGENT_PATH_MAX + 32];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", data, rows[i].name);
        if (mkdir(path, rows[i].mode) == 0) {
            if (chmod(path, rows[i].mode)) /* the mask of who started us does not count */
                return -errno;
        } else if (errno != EEXIST) {
            return -errno;
        }
    }
    return 0;
}

static int parse(struct sm_span text, struct access *ret, char *why)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    int r = sm_json_parse(text, FILE_MAX, &j, why);
    if (r)
        return r;
    struct sm_obj o = SM_OBJ(j);
    struct access a = *ret;
    const struct {
        const char *key;
        char *to;
        size_t size;
    } fields[] = {{"kind", a.kind, sizeof a.kind}, {"host", a.host, sizeof a.host}, {"user", a.user, sizeof a.user},
        {"as", a.as, sizeof a.as}, {"domain", a.domain, sizeof a.domain},
        {"password", a.password, sizeof a.password}};
    if (sm_obj_int(&o, "version", 1, 1000000) != VERSION && !o.err)
        return -SM_EVERSION;
    a.port = (int)sm_obj_int_opt(&o, "port", 0, 65535, 0);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *s = sm_obj_str_opt(&o, fields[i].key, fields[i].size - 1);
        snprintf(fields[i].to, fields[i].size, "%s", s ? s : "");
    }
    if (o.err)
        snprintf(why, 160, "%.150s", o.why);
    else
        *ret = a;
    access_wipe(&a);
    return o.err;
}

int access_load(const char *data, const char *kind, const char *name, struct access *ret, char *ret_why)
{
    char path[AGENT_PATH_MAX + 80], why[160] = "";
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    struct access a = {.port = 0};
    struct stat st;
    const struct kind *k = kind_find(kind);
    if (!access_name_ok(name))
        return -SM_ENOTFOUND;
    snprintf(a.name, sizeof a.name, "%s", name);
    snprintf(a.kind, sizeof a.kind, "%s", kind);
    snprintf(path, sizeof path, "%s/access/%s.json", data, name);
    int r = lstat(path, &st) ? -errno : 0;
    if (r == -ENOENT && k && k->has_local && strcmp(name, ACCESS_LOCAL) == 0) {
        *ret = a;
        return 0;
    }
    if (r == -ENOENT) {
        snprintf(ret_why, 160, "this machine has no access named %s (sakimori-agent access add)", name);
        return -SM_ENOTFOUND;
    }
    if (!r && (!S_ISREG(st.st_mode) || (st.st_mode & 077) || (st.st_uid != 0 && st.st_uid != geteuid())))
        r = -SM_EDENIED;
    if (!r)
        r = plat_fs_read_file(AT_FDCWD, path, FILE_MAX, &text);
    if (!r)
        r = parse(sm_buf_span(&text), &a, why);
    if (!r && strcmp(a.kind, kind) != 0) {
        snprintf(why, sizeof why, "it is for %s, not for %s", a.kind, kind);
        r = -SM_EMISMATCH;
    }
    if (r)
        snprintf(ret_why, 160, "access/%s.json: %.100s", name, why[0] ? why : sm_strerror(r));
    else
        *ret = a;
    access_wipe(&a);
    sm_zero(text.p, text.n);
    sm_buf_wipe(&text);
    return r;
}

int access_save(const char *data, const struct access *a)
{
    char path[AGENT_PATH_MAX + 32], name[ACCESS_NAME_MAX + 8];
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    json_t *o = json_pack("{s:i,s:s,s:s,s:i,s:s,s:s,s:s,s:s}", "version", VERSION, "kind", a->kind, "host", a->host,
        "port", a->port, "user", a->user, "as", a->as, "domain", a->domain, "password", a->password);
    snprintf(path, sizeof path, "%s/access", data);
    snprintf(name, sizeof name, "%s.json", a->name);
    int dir = plat_fs_open_dir(AT_FDCWD, path);
    int r = dir < 0 ? dir : o ? sm_json_dump(o, &text) : -SM_EINVAL;
    if (!r)
        r = plat_replace(dir, name, sm_buf_span(&text), 0600);
    if (dir >= 0)
        close(dir);
    sm_json_drop_secret(o);
    sm_zero(text.p, text.n);
    sm_buf_wipe(&text);
    return r;
}

void access_wipe(struct access *a)
{
    sm_zero(a, sizeof *a);
}

/* ---- what there is ---- */

static void add_feature(json_t *list, const char *a, const char *b, const char *c)
{
    char text[128];
    snprintf(text, sizeof text, "%s%s%s%s%s", a, b[0] ? ":" : "", b, c[0] ? ":" : "", c);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return;
    if (json_array_size(list) < FEATURES_MAX)
        (void)json_array_append_new(list, json_string(text)); /* without memory it is not told */
}

/* Where the shares of an access are: people know a share by its server, and on the day it is gone only by that. */
static void add_server(json_t *list, const struct kind *k, const struct access *a)
{
    char at[320];
    int n = snprintf(at, sizeof at, "%s:%s", a->name, a->host);
    if (k->serve && a->host[0] && n > 0 && (size_t)n + sizeof "server:" + strlen(k->name) < FEATURE_TEXT_MAX)
        add_feature(list, "server", k->name, at);
}

static void add_access(json_t *list, const char *data, char *file)
{
    struct access a = {.port = 0};
    char why[160];
    size_t n = strlen(file);
    if (n < 6 || strcmp(file + n - 5, ".json") != 0)
        return;
    file[n - 5] = 0;
    for (size_t i = 0; kind_at(i); i++)
        if (kind_at(i)->has_access && access_load(data, kind_at(i)->name, file, &a, why) == 0 && a.kind[0]) {
            add_feature(list, "access", kind_at(i)->name, file);
            add_server(list, kind_at(i), &a);
        }
    access_wipe(&a);
}

static void each_name(const char *data, const char *folder, json_t *list)
{
    char path[AGENT_PATH_MAX + 32];
    struct dirent **found = NULL;
    snprintf(path, sizeof path, "%s/%s", data, folder);
    int n = scandir(path, &found, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (strcmp(folder, "access") == 0)
            add_access(list, data, found[i]->d_name);
        else if (access_name_ok(found[i]->d_name))
            add_feature(list, "hook", found[i]->d_name, "");
        free(found[i]);
    }
    free(found);
}

json_t *access_features(const char *data)
{
    json_t *list = json_array();
    for (size_t i = 0; list && kind_at(i); i++) {
        add_feature(list, "kind", kind_at(i)->name, "");
        if (kind_at(i)->has_local)
            add_feature(list, "access", kind_at(i)->name, ACCESS_LOCAL);
    }
    if (list) {
        each_name(data, "access", list);
        each_name(data, "hooks", list);
    }
    return list;
}

/* ---- the command ---- */

static int fail(const char *text)
{
    fprintf(stderr, "%s\n", text);
    return 1;
}

/* From a file, or standard input: a terminal does not show it.  An empty line: none. */
static int read_password(const char *file, bool ja, char *ret, size_t size)
{
    FILE *f = file ? fopen(file, "re") : stdin;
    struct termios was;
    bool tty = !file && isatty(0) && tcgetattr(0, &was) == 0;
    if (!f)
        return -errno;
    if (tty) {
        struct termios t = was;
        t.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(0, TCSAFLUSH, &t); /* it is then seen, no more */
        fputs(ja ? "パスワード(なければ Enter): " : "password (Enter for none): ", stderr);
    }
    if (!fgets(ret, (int)size, f))
        ret[0] = 0;
    ret[strcspn(ret, "\r\n")] = 0;
    if (tty) {
        (void)tcsetattr(0, TCSAFLUSH, &was);
        fputc('\n', stderr);
    }
    if (file)
        fclose(f);
    return 0;
}

static int add(const char *data, const struct access_args *x, const char *name, bool ja)
{
    struct access a = {.port = 0};
    const struct kind *k = x->kind ? kind_find(x->kind) : NULL;
    char *end = NULL;
    long port = x->port ? strtol(x->port, &end, 10) : 0;
    if (!access_name_ok(name))
        return fail(ja ? "名前は半角の英小文字・数字・ハイフンで、32 文字まで" : "a name is a-z, 0-9, \"-\", at most 32");
    if (!k || !k->has_access)
        return fail(ja ? "--kind は postgresql か mariadb か smb です" : "--kind: postgresql, mariadb or smb");
    if (port < 0 || port > 65535 || (end && *end))
        return fail(ja ? "--port は 1 から 65535" : "--port: 1 to 65535");
    if (strcmp(x->kind, "smb") == 0 && (!x->host || !x->host[0] || !x->user || !x->user[0] || x->as))
        return fail(ja ? "smb には --host と --user が要ります(--as は使えません)" : "smb: --host and --user, and no --as");
    const struct {
        const char *from;
        char *to;
        size_t size;
    } fields[] = {{name, a.name, sizeof a.name}, {x->kind, a.kind, sizeof a.kind}, {x->host, a.host, sizeof a.host},
        {x->user, a.user, sizeof a.user}, {x->as, a.as, sizeof a.as},
        {x->domain, a.domain, sizeof a.domain}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if ((size_t)snprintf(fields[i].to, fields[i].size, "%s", fields[i].from ? fields[i].from : "") >=
            fields[i].size)
            return fail(ja ? "長すぎます" : "too long");
    a.port = (int)port;
    int r = read_password(x->password_file, ja, a.password, sizeof a.password);
    if (!r)
        r = access_folders(data);
    if (!r)
        r = access_save(data, &a);
    access_wipe(&a);
    return r ? fail(sm_strerror(r)) : 0;
}

static int show(const char *data, bool json)
{
    json_t *list = access_features(data);
    if (json) {
        json_dumpf(list, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    for (size_t i = 0; !json && i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (strncmp(s, "access:", 7) == 0 || strncmp(s, "hook:", 5) == 0)
            puts(s);
    }
    json_decref(list);
    return 0;
}

static int remove_one(const char *data, const char *name, bool ja)
{
    char path[AGENT_PATH_MAX + 80];
    if (!access_name_ok(name))
        return fail(ja ? "そのような名前はありません" : "no such name");
    snprintf(path, sizeof path, "%s/access/%s.json", data, name);
    return unlink(path) ? fail(sm_strerror(-errno)) : 0;
}

int access_command(const char *data, const struct access_args *a, int argc, char **argv, bool japanese)
{
    const char *verb = argc > 0 ? argv[0] : "";
    if (strcmp(verb, "add") == 0 && argc == 2)
        return add(data, a, argv[1], japanese);
    if (strcmp(verb, "list") == 0 && argc == 1)
        return show(data, a->json);
    if (strcmp(verb, "test") == 0 && argc == 2)
        return access_test_command(data, a, argv[1], japanese);
    if (strcmp(verb, "remove") == 0 && argc == 2)
        return remove_one(data, argv[1], japanese);
    return 2;
}
