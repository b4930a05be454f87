#include "plat/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights younger than the headers of Debian 12 (uapi/linux/landlock.h of 6.2 and 6.10). */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif
enum { RULES_MAX = 32, GIDS_MAX = 8 };

static void missing(struct plat_confined *c, const char *fmt, ...) sm_printf(2, 3);
static void missing(struct plat_confined *c, const char *fmt, ...)
{
    size_t n = strlen(c->missing);
    if (n && n + 3 < sizeof c->missing)
        n += (size_t)snprintf(c->missing + n, sizeof c->missing - n, "; ");
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->missing + n, sizeof c->missing - n, fmt, ap); /* what does not fit is cut */
    va_end(ap);
}

static pid_t parent; /* whose death is ours; 0 = nobody's */

/* Asked again after every change of user: the kernel forgets it then (prctl(2), PR_SET_PDEATHSIG). */
static int die_with_parent(void)
{
    if (!parent)
        return 0;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    return getppid() != parent ? -SM_EPEER : 0;
}

int plat_sandbox_hygiene(unsigned nofile, pid_t parent_pid, struct plat_confined *c)
{
    struct rlimit none = {0, 0}, files = {nofile, nofile};
    (void)umask(077);
    if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    parent = parent_pid;
    int r = die_with_parent();
    if (r < 0)
        return r;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    c->nnp = true;
    return 0;
}

/* ---- user and capabilities ---- */

static int set_caps(const int *caps, size_t n)
{
    cap_t set = cap_init();
    if (!set)
        return -errno;
    cap_value_t list[PLAT_CAPS_MAX];
    int r = n > PLAT_CAPS_MAX ? -SM_EINVAL : 0;
    for (size_t i = 0; i < n && r == 0; i++)
        list[i] = caps[i];
    static const cap_flag_t flag[] = {CAP_PERMITTED, CAP_EFFECTIVE, CAP_INHERITABLE};
    for (size_t i = 0; i < 3 && r == 0 && n; i++)
        r = cap_set_flag(set, flag[i], (int)n, list, CAP_SET) < 0 ? -errno : 0;
    if (r == 0 && cap_set_proc(set) < 0)
        r = -errno;
    (void)cap_free(set);
    for (size_t i = 0; i < n && r == 0; i++)
        r = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, caps[i], 0, 0) < 0 ? -errno : 0;
    return r;
}

static bool wanted(const int *caps, size_t n, int cap)
{
    for (size_t i = 0; i < n; i++) {
        if (caps[i] == cap)
            return true;
    }
    return false;
}

/* The bounding set: what even a set-user-id program could never give back. */
static int drop_bounding(const int *caps, size_t n)
{
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        if (!wanted(caps, n, cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return -errno;
    }
    return 0;
}

int plat_sandbox_caps(const int *caps, size_t caps_n, struct plat_confined *c)
{
    if (caps_n > PLAT_CAPS_MAX)
        return -SM_EINVAL;
    int r = geteuid() == 0 ? drop_bounding(caps, caps_n) : 0;
    if (r == -EPERM)
        r = 0; /* the bounding set needs CAP_SETPCAP; the permitted set below is what counts */
    if (r == 0)
        r = set_caps(caps, caps_n);
    if (r == -EPERM && geteuid() != 0) {
        missing(c, "capabilities: started without them");
        return 0;
    }
    return r;
}

static int become(uid_t uid, gid_t gid, const gid_t *extra, size_t extra_n, bool keep_caps)
{
    if (keep_caps && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -errno;
    if (setgroups(extra_n, extra) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return -errno;
    return 0;
}

/* Believe nothing: try to get it back. */
static int verify_user(uid_t uid, gid_t gid)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;
    if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0)
        return -errno;
    if (r != uid || e != uid || s != uid || rg != gid || eg != gid || sg != gid)
        return -EPERM;
    if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
        return -EPERM;
    return 0;
}

int plat_sandbox_user(uid_t uid, gid_t gid, const gid_t *extra_gids, size_t gids_n, const int *caps, size_t caps_n,
    struct plat_confined *c)
{
    if (geteuid() != 0) {
        missing(c, "user: not started as root, shares the starter's user");
        return 0;
    }
    if (uid == 0 || gid == 0 || gids_n > GIDS_MAX || caps_n > PLAT_CAPS_MAX)
        return -SM_EINVAL;
    int r = drop_bounding(caps, caps_n);
    if (r == 0)
        r = become(uid, gid, extra_gids, gids_n, caps_n > 0);
    if (r == 0)
        r = set_caps(caps, caps_n);
    if (r == 0)
        r = verify_user(uid, gid);
    /* Changing user made the process dumpable again where the system is set so. */
    if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        r = -errno;
    if (r == 0)
        r = die_with_parent();
    if (r == 0)
        c->uid = true;
    return r;
}

/* ---- Landlock ---- */

int plat_sandbox_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi < 0 ? 0 : (int)abi;
}

static uint64_t handled(int abi)
{
    uint64_t all = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1; /* version 1: execute .. make_sym */
    if (abi >= 2)
        all |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        all |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        all |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    return all;
}

static int add_rule(int ruleset, const struct plat_path_rule *rule, uint64_t all)
{
    int fd = open(rule->path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT && rule->optional ? 0 : -errno;
    struct stat st;
    uint64_t access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    if (rule->write)
        access = all &
                 ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_CHAR);
    /* Rights that concern folders are refused for a file. */
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |
            LANDLOCK_ACCESS_FS_IOCTL_DEV;
    struct landlock_path_beneath_attr attr = {.allowed_access = access & all, .parent_fd = fd};
    int r = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int plat_sandbox_landlock(const struct plat_path_rule *rules, size_t n, struct plat_confined *c)
{
    if (n > RULES_MAX)
        return -SM_EINVAL;
    int abi = plat_sandbox_landlock_abi();
    if (abi < 1) {
        missing(c, "landlock: this kernel has none or it is switched off");
        return 0;
    }
    uint64_t all = handled(abi);
    struct landlock_ruleset_attr attr = {.handled_access_fs = all};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
    if (fd < 0)
        return -errno;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_rule(fd, &rules[i], all);
    if (r == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0))
        r = -errno;
    close(fd);
    if (r == 0)
        c->nnp = c->landlock = true;
    if (r == 0 && abi < 3)
        missing(c, "landlock: version %d of this kernel cannot guard truncation", abi);
    return r;
}

/* ---- telling others ---- */

int plat_confined_put(const struct plat_confined *c, struct sm_buf *ret)
{
    size_t before = ret->n;
    int r = sm_buf_put_u8(ret, (uint8_t)(c->uid | c->seccomp << 1 | c->landlock << 2 | c->nnp << 3));
    if (r == 0)
        r = sm_buf_put(ret, c->missing, strlen(c->missing));
    if (r < 0)
        ret->n = before;
    return r;
}

int plat_confined_get(struct sm_span s, struct plat_confined *ret)
{
    struct sm_rd rd = SM_RD(s);
    struct plat_confined c = {0};
    uint8_t bits = sm_rd_u8(&rd);
    if (rd.err || bits > 15 || rd.n >= sizeof c.missing || !sm_utf8_valid((struct sm_span){rd.p, rd.n}))
        return -SM_EFORMAT;
    c.uid = bits & 1;
    c.seccomp = bits & 2;
    c.landlock = bits & 4;
    c.nnp = bits & 8;
    if (rd.n)
        memcpy(c.missing, rd.p, rd.n);
    *ret = c;
    return 0;
}
