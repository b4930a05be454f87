/*
 * Shares of a NAS or of a PC without an agent (SMB 2 and 3), read where they are.  This process speaks SMB, by Debian's
 * libsmbclient, with the password of one access and nothing else of the machine: a user of its own, no capability, few
 * files of /etc, a staging folder that holds its configuration.  backup walks the share by asking it (sharewire.h) and
 * gets names, numbers and bytes.  Nothing is copied to the disk, and nothing is written on the share.
 *
 * The library is loaded when it is needed, before this process confines itself: afterwards no code can be added to it,
 * and the other parts of the agent never have it.  SMB 1, guests, NTLMv1 and passwords in the clear are off in its
 * configuration, every message must be signed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <libsmbclient.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/kinds/kind.h"
#include "sakimori-agent/kinds/sharewire.h"

#define LIBRARY "libsmbclient.so.0"
#define MEMORY_MAX ((rlim_t)1 << 30) /* the library keeps a whole folder's listing */
#define ANSWER_MS 15000              /* one question to the server */
#define GONE_MS ((uint64_t)25000)    /* tried again for so long */
#define AGAIN_MS 2000
#define PROBES 4 /* files opened for writing, and closed, to learn what the account may */
#define URL_MAX (3 * SHARE_PATH_MAX + 2048)
#define LISTED_MAX 100  /* names that `access test` prints */
#define IS_FOLDER 0x10u /* FILE_ATTRIBUTE_DIRECTORY */

#define FUNCTIONS(X)                                                                                                   \
    X(smbc_new_context)                                                                                                \
    X(smbc_init_context) X(smbc_setDebug) X(smbc_setLogCallback) X(smbc_setTimeout) X(smbc_setPort)                    \
        X(smbc_setFunctionAuthDataWithContext) X(smbc_setOptionUserData) X(smbc_getOptionUserData)                     \
            X(smbc_setOptionNoAutoAnonymousLogin) X(smbc_setOptionUseCCache) X(smbc_setOptionUseKerberos)              \
                X(smbc_setOptionProtocols) X(smbc_setOptionSmbEncryptionLevel) X(smbc_getFunctionOpen) X(smbc_getFunctionRead) X(smbc_getFunctionLseek)    \
                    X(smbc_getFunctionClose) X(smbc_getFunctionStat) X(smbc_getFunctionFstat)                          \
                        X(smbc_getFunctionOpendir) X(smbc_getFunctionClosedir) X(smbc_getFunctionReaddirPlus2)
#define MEMBER(name) __typeof__(&name) name;
#define ROW(name) {#name, offsetof(struct library, name)},
struct library {
    FUNCTIONS(MEMBER)
};
static const struct {
    const char *name;
    size_t at;
} functions[] = {FUNCTIONS(ROW)};

struct smb {
    struct library f;
    SMBCCTX *c;
    struct prep *p;
    char *base, *url, *share_url;
    SMBCFILE *dir, *file;
    SMBCFILE *first;             /* the source's folder, listed when the run began */
    char at[SHARE_PATH_MAX + 1]; /* of dir, and of file */
    char file_at[SHARE_PATH_MAX + 1];
    unsigned probes;
    bool refused; /* user or password */
    struct sm_buf out;
};
static struct smb smb; /* one in a process: the library is so too */

/* ---- before anything is given up ---- */

static int load(char *why)
{
    /* How names are looked up here (nsswitch.conf) is code too, and could not be loaded later. */
    static const char *const resolvers[] = {"libnss_mdns4_minimal.so.2", "libnss_mdns_minimal.so.2",
        "libnss_mdns4.so.2", "libnss_mdns.so.2", "libnss_resolve.so.2", "libnss_myhostname.so.2", "libnss_wins.so.2",
        "libnss_systemd.so.2"};
    void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        snprintf(why, 160, "the library for shares is not installed: libsmbclient");
        return -SM_ENOTFOUND;
    }
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *at = dlsym(lib, functions[i].name);
        if (!at) {
            snprintf(why, 160, "libsmbclient is too old: it has no %s", functions[i].name);
            return -SM_EVERSION;
        }
        memcpy((char *)&smb.f + functions[i].at, &at, sizeof at);
    }
    for (size_t i = 0; i < sizeof resolvers / sizeof resolvers[0]; i++)
        (void)dlopen(resolvers[i], RTLD_NOW | RTLD_LOCAL); /* what is not installed is not asked either */
    return 0;
}

static int birth(struct prep *p, char *why)
{
    (void)p;
    int r = load(why);
#if !defined(__SANITIZE_ADDRESS__)
    const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX};
    if (!r && setrlimit(RLIMIT_DATA, &memory))
        r = -errno;
#endif
    return r;
}

/* ---- names ---- */

static int put_url(struct sm_buf *b, const char *s)
{
    int r = 0;
    for (; *s && !r; s++) {
        unsigned char c = (unsigned char)*s;
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr("/._-~", c);
        r = plain ? sm_buf_put_u8(b, c) : sm_buf_printf(b, "%%%02X", c);
    }
    return r;
}

/* The URL of a path below the source's folder, good until the next; NULL: too long. */
static const char *url_of(const char *path, const char *name)
{
    struct sm_buf b = SM_BUF_INIT(URL_MAX);
    int r = sm_buf_put_span(&b, SM_SPAN_STR(smb.base));
    if (!r && path[0])
        r = sm_buf_put_u8(&b, '/');
    if (!r)
        r = put_url(&b, path);
    if (!r && name)
        r = sm_buf_put_u8(&b, '/');
    if (!r && name)
        r = put_url(&b, name);
    free(smb.url);
    smb.url = r || !sm_buf_str(&b) ? NULL : strdup((const char *)b.p);
    sm_buf_wipe(&b);
    return smb.url;
}

static bool host_ok(const char *s)
{
    size_t n = strlen(s);
    return n && s[0] != '-' && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == n;
}

/* smb://host/share, and the folder of the source in it. */
static int make_urls(struct prep *p)
{
    const char *share = json_string_value(json_object_get(p->options, "share"));
    const char *folder = json_string_value(json_object_get(p->options, "folder"));
    struct sm_buf b = SM_BUF_INIT(URL_MAX);
    folder = folder ? folder : "";
    if (!host_ok(p->access.host)) {
        prep_problem(p, p->kind->root, -SM_EINVAL, "the access has no good --host", true);
        return -SM_EINVAL;
    }
    if (!share || !share_name_ok(SM_SPAN_STR(share)) || !share_path_ok(SM_SPAN_STR(folder))) {
        prep_problem(p, p->kind->root, -SM_EINVAL, "the source has no good share or folder", true);
        return -SM_EINVAL;
    }
    int r = sm_buf_printf(&b, "smb://%s/", p->access.host);
    if (!r)
        r = put_url(&b, share);
    smb.share_url = r || !sm_buf_str(&b) ? NULL : strdup((const char *)b.p);
    if (!r && folder[0])
        r = sm_buf_put_u8(&b, '/');
    if (!r)
        r = put_url(&b, folder);
    smb.base = r || !sm_buf_str(&b) ? NULL : strdup((const char *)b.p);
    sm_buf_wipe(&b);
    return r ? r : smb.share_url && smb.base ? 0 : -ENOMEM;
}

/* ---- the library ---- */

static void give_password(SMBCCTX *c, const char *server, const char *share, char *domain, int domain_n, char *user,
    int user_n, char *password, int password_n)
{
    const struct prep *p = smb.f.smbc_getOptionUserData(c);
    (void)server;
    (void)share;
    snprintf(domain, (size_t)domain_n, "%s", p->access.domain[0] ? p->access.domain : "WORKGROUP");
    snprintf(user, (size_t)user_n, "%s", p->access.user);
    snprintf(password, (size_t)password_n, "%s", p->access.password);
}

/* The library's errors do not tell a wrong password from a folder that may not be read; its words do. */
static void hear(void *arg, int level, const char *text)
{
    (void)arg;
    (void)level;
    if (strstr(text, "login failed") || strstr(text, "LOGON_FAILURE"))
        smb.refused = true;
}

static int configure(struct prep *p)
{
    struct sm_buf b = SM_BUF_INIT(8 * AGENT_PATH_MAX);
    int r = plat_fs_mkdir(p->staging, ".smb", 0700), dir = r ? r : plat_fs_open_dir(p->staging, ".smb");
    if (dir >= 0)
        r = sm_buf_printf(&b,
            "[global]\nclient min protocol = SMB2_02\nclient max protocol = SMB3\nclient ipc min protocol = SMB2_02\n"
            "client smb encrypt = desired\nclient signing = required\nclient ipc signing = required\nclient NTLMv2 auth = yes\nclient lanman auth = "
            "no\n"
            "client plaintext auth = no\nclient use kerberos = off\nclient use spnego = yes\nname resolve order = "
            "host\n"
            "disable netbios = yes\ndos charset = ASCII\nunix charset = UTF-8\nregistry shares = no\nlog file = "
            "/dev/null\n"
            "lock directory = %s\nstate directory = %s\ncache directory = %s\nprivate dir = %s\npid directory = %s\n",
            p->folder, p->folder, p->folder, p->folder, p->folder);
    if (dir >= 0 && !r)
        r = plat_replace(dir, "smb.conf", sm_buf_span(&b), 0600);
    if (dir >= 0)
        close(dir);
    sm_buf_wipe(&b);
    if (!r && setenv("HOME", p->folder, 1))
        r = -errno;
    return dir < 0 ? dir : r;
}

static int open_library(struct prep *p)
{
    struct library *f = &smb.f;
    int r = configure(p);
    if (r)
        return r;
    smb.c = f->smbc_new_context();
    if (!smb.c)
        return -ENOMEM;
    f->smbc_setOptionUserData(smb.c, p);
    f->smbc_setFunctionAuthDataWithContext(smb.c, give_password);
    f->smbc_setDebug(smb.c, 3);
    f->smbc_setLogCallback(smb.c, NULL, hear);
    f->smbc_setOptionNoAutoAnonymousLogin(smb.c, 1);
    f->smbc_setOptionUseCCache(smb.c, 0);
    f->smbc_setOptionUseKerberos(smb.c, 0);
    f->smbc_setOptionSmbEncryptionLevel(smb.c, SMBC_ENCRYPTLEVEL_REQUEST);
    f->smbc_setTimeout(smb.c, ANSWER_MS);
    if (!f->smbc_init_context(smb.c))
        return -SM_EUNSUPPORTED;
    if (p->access.port)
        f->smbc_setPort(smb.c, (uint16_t)p->access.port);
    return f->smbc_setOptionProtocols(smb.c, "SMB2_02", "SMB3") ? 0 : -SM_EUNSUPPORTED;
}

static SMBCFILE *open_url(const char *url, int flags)
{
    return smb.f.smbc_getFunctionOpen(smb.c)(smb.c, url, flags, 0);
}

static SMBCFILE *list_url(const char *url)
{
    return smb.f.smbc_getFunctionOpendir(smb.c)(smb.c, url);
}

static int stat_url(const char *url, struct stat *st)
{
    return smb.f.smbc_getFunctionStat(smb.c)(smb.c, url, st) ? -errno : 0;
}

static void shut_file(void)
{
    if (smb.file)
        (void)smb.f.smbc_getFunctionClose(smb.c)(smb.c, smb.file); /* was only read */
    smb.file = NULL;
}

static void shut_dir(void)
{
    if (smb.dir)
        (void)smb.f.smbc_getFunctionClosedir(smb.c)(smb.c, smb.dir); /* was only read */
    smb.dir = NULL;
}

/* ---- is it there, and what may we? ---- */

static const char *why_of(int r, bool folder)
{
    switch (r) {
    case -ECONNREFUSED:
        return "the server refused the connection; it may be off, or share nothing";
    case -EACCES:
    case -EPERM:
        return folder ? "the account may not read this folder" : "the account may not use this share";
    case -ENOENT:
    case -ENOTDIR:
    case -ENODEV:
        return folder ? "the share has no such folder" : "the server has no such share";
    case -ETIMEDOUT:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
        return "the server does not answer";
    default:
        return "the server could not be talked to with SMB 2 or 3 and signed messages";
    }
}

static int told(struct prep *p, int r, const char *why)
{
    prep_problem(p, p->kind->root, r, why, true);
    return r == -EACCES ? -SM_EDENIED : r;
}

static int resolve(struct prep *p)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(p->access.host, NULL, &hints, &found)) {
        prep_problem(p, p->kind->root, -SM_ENOTFOUND, "the name of the server is not known here", true);
        return -SM_ENOTFOUND;
    }
    freeaddrinfo(found);
    return 0;
}

/* One login only: servers lock an account after a few wrong passwords. */
static int reach(struct prep *p)
{
    struct stat st;
    int r = make_urls(p);
    if (!r)
        r = resolve(p);
    if (r)
        return r;
    prep_now(p, "smb");
    r = open_library(p);
    if (r)
        return told(p, r, "libsmbclient could not be used");
    r = stat_url(smb.share_url, &st);
    if (r && smb.refused)
        return told(p, -SM_EDENIED, "the server refused user or password");
    if (r && (r != -EACCES || strcmp(smb.base, smb.share_url) == 0))
        return told(p, r, why_of(r, false));
    smb.first = list_url(smb.base);
    r = smb.first ? 0 : -errno;
    if (r)
        return told(p, r, why_of(r, true));
    smb.f.smbc_setDebug(smb.c, 0);
    return 0;
}

/* Nothing is written: a folder that is asked for with the right to write is refused by a share that has none. */
static void probe_share(void)
{
    SMBCFILE *f = open_url(smb.base, O_WRONLY);
    smb.probes = !f && (errno == EACCES || errno == EPERM || errno == EROFS) ? 0 : PROBES;
    if (f)
        (void)smb.f.smbc_getFunctionClose(smb.c)(smb.c, f); /* nothing was written */
}

static void probe_file(const char *path, const char *name)
{
    const char *url = url_of(path, name);
    SMBCFILE *f = url ? open_url(url, O_WRONLY) : NULL;
    smb.probes--;
    if (!f)
        return;
    (void)smb.f.smbc_getFunctionClose(smb.c)(smb.c, f); /* nothing was written */
    smb.probes = 0;
    prep_problem(smb.p, smb.p->kind->root, 0,
        "the account could change files on this share; give it the right to read only", false);
}

/* ---- serving ---- */

/* Errors of one name; all others may mean that the server is gone. */
static bool is_plain(int e)
{
    static const int plain[] = {EACCES, EPERM, ENOENT, ENOTDIR, EISDIR, EBUSY, ETXTBSY, ENAMETOOLONG, ELOOP};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (e == plain[i])
            return true;
    return false;
}

/* After error e: 1 ask once more, or the answer (negative). */
static int judge(int e, bool first)
{
    struct stat st;
    uint64_t until = plat_clock_mono_ms() + GONE_MS;
    if (is_plain(e))
        return -e;
    for (;;) {
        int r = stat_url(smb.base, &st);
        if (!r || is_plain(-r))
            return first ? 1 : -EIO; /* it is there: not this name, or only for a moment */
        if (plat_clock_mono_ms() > until || prep_check(smb.p))
            return -ECONNRESET;
        plat_clock_sleep_ms(AGAIN_MS);
    }
}

static struct sm_time time_of(struct timespec t)
{
    return (struct sm_time){.s = t.tv_sec, .ns = (uint32_t)t.tv_nsec};
}

static struct share_facts facts_of(const struct stat *st)
{
    bool folder = S_ISDIR(st->st_mode);
    return (struct share_facts){.type = folder ? SHARE_FOLDER : SHARE_FILE,
        .size = folder || st->st_size < 0 ? 0 : (uint64_t)st->st_size,
        .number = (uint64_t)st->st_ino,
        .written = time_of(st->st_mtim),
        .changed = time_of(st->st_ctim)};
}

static int answer_facts(const struct share_facts *f)
{
    sm_buf_clear(&smb.out);
    return share_facts_put(&smb.out, f);
}

static int do_look(void)
{
    struct stat st;
    int r = stat_url(smb.base, &st);
    if (r)
        r = judge(-r, true);
    if (r == 1)
        r = stat_url(smb.base, &st);
    if (r)
        return r;
    struct share_facts f = facts_of(&st);
    return answer_facts(&f);
}

static bool is_dots(const char *s)
{
    return s[0] == '.' && (s[1] == 0 || (s[1] == '.' && s[2] == 0));
}

static int put_row(const struct libsmb_file_info *i, const struct stat *st, bool *ret_unfit)
{
    struct sm_span name = SM_SPAN_STR(i->name);
    bool folder = i->attrs & IS_FOLDER;
    const struct share_facts f = {.type = folder ? SHARE_FOLDER : SHARE_FILE,
        .attributes = i->attrs,
        .size = folder ? 0 : i->size,
        .number = (uint64_t)st->st_ino,
        .written = time_of(i->mtime_ts),
        .changed = time_of(i->ctime_ts),
        .created = time_of(i->btime_ts)};
    if (!share_name_ok(name) || strchr(i->name, '\\')) {
        *ret_unfit = true;
        return 0;
    }
    if (smb.probes && !folder)
        probe_file(smb.at, i->name);
    return share_row_put(&smb.out, name, &f);
}

static int do_page(void)
{
    const struct libsmb_file_info *i;
    struct stat st;
    bool more = false, unfit = false;
    sm_buf_clear(&smb.out);
    int r = sm_buf_put(&smb.out, "\0\0", 2);
    while (!r && !more && smb.dir && (i = smb.f.smbc_getFunctionReaddirPlus2(smb.c)(smb.c, smb.dir, &st))) {
        if (!is_dots(i->name))
            r = put_row(i, &st, &unfit);
        more = smb.out.n + SHARE_NAME_MAX + SHARE_FACTS + 2 > SHARE_PAGE_MAX;
    }
    if (r)
        return r;
    if (!more)
        shut_dir();
    smb.out.p[0] = more;
    smb.out.p[1] = unfit;
    return 0;
}

static int do_list(const char *path)
{
    const char *url = url_of(path, NULL);
    if (!url)
        return -ENAMETOOLONG;
    shut_dir();
    if (!path[0] && smb.first) {
        smb.dir = smb.first;
        smb.first = NULL;
    } else {
        smb.dir = list_url(url);
    }
    int r = smb.dir ? 0 : judge(errno, true);
    if (r == 1) {
        smb.dir = list_url(url);
        r = smb.dir ? 0 : judge(errno, false);
    }
    snprintf(smb.at, sizeof smb.at, "%s", path);
    return r ? r : do_page();
}

static int open_once(const char *path, struct stat *st)
{
    const char *url = url_of(path, NULL);
    shut_file();
    smb.file = url ? open_url(url, O_RDONLY) : NULL;
    if (!smb.file)
        return url ? -errno : -ENAMETOOLONG;
    return smb.f.smbc_getFunctionFstat(smb.c)(smb.c, smb.file, st) ? -errno : 0;
}

static int do_open(const char *path)
{
    struct stat st;
    int r = open_once(path, &st);
    if (r)
        r = judge(-r, true);
    if (r == 1) {
        r = open_once(path, &st);
        r = r ? judge(-r, false) : 0;
    }
    if (r) {
        shut_file();
        return r;
    }
    struct share_facts f = facts_of(&st);
    return answer_facts(&f);
}

/* A connection that broke in the middle of a file breaks this reading of it: what was read before may be another
 * file's. */
static int do_read(uint32_t n)
{
    sm_buf_clear(&smb.out);
    if (!smb.file)
        return -EIO;
    int r = sm_buf_reserve(&smb.out, n);
    while (!r && smb.out.n < n) {
        ssize_t k = smb.f.smbc_getFunctionRead(smb.c)(smb.c, smb.file, smb.out.p + smb.out.n, n - smb.out.n);
        if (k < 0)
            r = judge(errno, false);
        if (k <= 0)
            break;
        smb.out.n += (size_t)k;
    }
    return r;
}

static int do_again(void)
{
    struct stat st;
    if (!smb.file)
        return -EIO;
    if (smb.f.smbc_getFunctionFstat(smb.c)(smb.c, smb.file, &st) ||
        smb.f.smbc_getFunctionLseek(smb.c)(smb.c, smb.file, 0, SEEK_SET) < 0)
        return judge(errno, false);
    struct share_facts f = facts_of(&st);
    return answer_facts(&f);
}

static int do_one(const struct sm_ipc_msg *m)
{
    char path[SHARE_PATH_MAX + 1];
    struct sm_rd rd = SM_RD(m->body);
    uint32_t n = m->type == W_READ ? sm_rd_u32(&rd) : 0;
    bool by_path = m->type == W_LIST || m->type == W_OPEN;
    if (by_path && !share_path_ok(m->body))
        return -SM_EPROTO;
    if (by_path) {
        memcpy(path, m->body.p, m->body.n);
        path[m->body.n] = 0;
    }
    sm_buf_clear(&smb.out);
    switch (m->type) {
    case W_LOOK:
        return do_look();
    case W_LIST:
        return do_list(path);
    case W_MORE:
        return do_page();
    case W_OPEN:
        return do_open(path);
    case W_READ:
        return n && n <= SHARE_READ_MAX && !sm_rd_done(&rd) ? do_read(n) : -SM_EPROTO;
    case W_AGAIN:
        return do_again();
    case W_SHUT:
        shut_file();
        return 0;
    default:
        return -SM_EPROTO;
    }
}

static void serve(struct prep *p)
{
    struct sm_ipc_msg m;
    int r = 0;
    while (!r || r == -SM_ETIME) {
        r = sm_ipc_recv(p->to, 1000, &m);
        if (r == -SM_ETIME && sm_ipc_recv(p->up, 0, &m) != -SM_ETIME)
            return; /* the agent ends */
        if (r || m.type == W_SOURCE)
            continue; /* settings that were not waited for */
        int e = do_one(&m);
        if (e == -SM_EPROTO)
            return;
        r = e ? sm_ipc_reply_error(p->to, &m, e, "") : sm_ipc_reply(p->to, &m, 0, sm_buf_span(&smb.out), -1);
    }
}

static int prepare(struct prep *p)
{
    smb.p = p;
    smb.out = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = reach(p);
    if (!r)
        probe_share();
    return r;
}

/* `access test`: what stands in the folder, and whether the account could do harm. */
static int names(struct prep *p)
{
    const struct libsmb_file_info *i;
    struct stat st;
    unsigned n = 0;
    int r = prepare(p);
    while (!r && n < LISTED_MAX && (i = smb.f.smbc_getFunctionReaddirPlus2(smb.c)(smb.c, smb.first, &st))) {
        if (is_dots(i->name) || !share_name_ok(SM_SPAN_STR(i->name)))
            continue;
        n++;
        printf("%s%s\n", i->name, i->attrs & IS_FOLDER ? "/" : "");
        if (smb.probes && !(i->attrs & IS_FOLDER))
            probe_file("", i->name);
    }
    return r;
}

static const char *const reads[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf",
    "/etc/gai.conf", "/etc/services", "/etc/localtime", "/etc/passwd", "/etc/group", "/run/systemd/resolve",
    "/dev/urandom", NULL};
const struct kind kind_smb = {.name = "smb",
    .root = "/smb",
    .profile = "agent-smb",
    .as = "_sakimori-smb",
    .uid = 64323,
    .has_access = true,
    .reads = reads,
    .birth = birth,
    .prepare = prepare,
    .serve = serve,
    .names = names};
