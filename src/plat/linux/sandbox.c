#include "plat/sandbox.h"
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GIDS_MAX = 8 };

void plat_confined_missing(struct plat_confined *c, const char *fmt, ...)
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
        plat_confined_missing(c, "capabilities: started without them");
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
        plat_confined_missing(c, "user: not started as root, shares the starter's user");
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
