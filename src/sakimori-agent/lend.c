/*
 * The lend part, only where a folder is to be left out (--skip, the box's data).  Landlock can only allow, so the backup
 * part has rules for what stood beside that folder when it began; what came later (a new file in the home, a folder
 * mounted since) it may list but not open.  It asks here: one message, a path; the answer is a descriptor for reading a
 * regular file, or none.  No other request, no network, nothing it could write; it is as small as it is so that nobody who
 * took the backup part over gets more from it than the rules of that part would give.
 *
 * The path is walked one folder at a time, never through a link, and no step may be the folder left out, one of the
 * agent's own, or of the machine's policy.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/proc.h"
#include "sakimori-agent/lend.h"

struct lender {
    const char *skip;
    struct agent_policy policy;
    struct part_life life;
    struct sm_ipc *backup;
};

static bool is_kept(const struct agent_policy *p, int fd)
{
    struct plat_meta m;
    if (plat_meta_read(fd, "", 0, &m))
        return true; /* what cannot be told is not lent */
    bool kept = false;
    for (size_t i = 0; i < p->skip_n && !kept; i++)
        kept = plat_id_eq(&m.id, &p->skip[i]);
    plat_meta_wipe(&m);
    return kept;
}

/* The folder at real (no links in it any more), each step looked at. */
static int walk(const struct agent_policy *p, const char *real)
{
    char name[256];
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), r = fd < 0 ? -errno : 0;
    for (const char *s = real + strspn(real, "/"); !r && *s; s += strspn(s, "/")) {
        size_t n = strcspn(s, "/");
        if (n >= sizeof name) {
            r = -ENAMETOOLONG;
            break;
        }
        memcpy(name, s, n);
        name[n] = 0;
        s += n;
        int next = openat(fd, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
        r = next < 0 ? -errno : is_kept(p, next) ? -EACCES : 0;
        close(fd);
        fd = next;
    }
    if (r && fd >= 0)
        close(fd);
    return r ? r : fd;
}

/* A regular file only: opening a device or a pipe does things. */
static int open_file(int dir, const char *name)
{
    struct stat a, b;
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    if (fstatat(dir, name, &a, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISREG(a.st_mode))
        return -EACCES;
    int fd = openat(dir, name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(dir, name, flags);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &b) < 0 || !S_ISREG(b.st_mode)) {
        close(fd);
        return -EACCES;
    }
    return fd;
}

int lend_open(const struct agent_policy *p, const char *skip, struct sm_span path)
{
    char text[PLAT_PATH_MAX], real[PLAT_PATH_MAX], out[PLAT_PATH_MAX];
    size_t there;
    if (path.n == 0 || path.n >= sizeof text || path.p[0] != '/' || memchr(path.p, 0, path.n))
        return -SM_EINVAL;
    memcpy(text, path.p, path.n);
    text[path.n] = 0;
    char *name = strrchr(text, '/') + 1;
    if (!plat_fs_name_ok(SM_SPAN_STR(name)))
        return -SM_EINVAL;
    char parent[PLAT_PATH_MAX];
    size_t n = (size_t)(name - text);
    memcpy(parent, text, n);
    parent[n] = 0;
    int r = plat_real_path(parent, real, &there);
    if (!r)
        r = plat_real_path(skip, out, &there);
    if (!r && plat_but_place(real, out) == PLAT_INSIDE)
        r = -EACCES;
    int dir = r ? r : walk(p, real), fd = dir < 0 ? dir : open_file(dir, name);
    if (dir >= 0)
        close(dir);
    return fd;
}

/* ---- life ---- */

static void on_backup(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    const struct lender *l = arg;
    int fd = lend_open(&l->policy, l->skip, m->body);
    int r = sm_ipc_reply(ipc, m, 0, SM_SPAN(NULL, 0), fd < 0 ? -1 : fd);
    if (fd >= 0)
        close(fd);
    if (r)
        sm_warn("lend could not answer: %s", sm_strerror(r));
}

static void on_backup_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct lender *l = arg;
    if (err)
        sm_error("backup broke the rules of its channel to lend: %s", sm_strerror(err));
    sm_ipc_free(ipc);
    l->backup = NULL;
}

static void on_attach(void *arg, const char *peer, bool fresh, int *fd)
{
    static const struct sm_ipc_rule rule[] = {{L_LEND, PLAT_PATH_MAX, false, "L_LEND"}};
    struct lender *l = arg;
    const struct sm_ipc_config c = {.may_receive = rule,
        .may_receive_n = 1,
        .body_max = PLAT_PATH_MAX,
        .queue_max = 65536,
        .on_message = on_backup,
        .on_gone = on_backup_gone,
        .arg = l};
    int taken = *fd;
    (void)peer;
    (void)fresh;
    *fd = -1;
    sm_ipc_free(l->backup);
    l->backup = NULL;
    if (sm_ipc_new(l->life.loop, taken, &c, &l->backup))
        sm_error("the channel to backup could not be made");
}

static int confine(struct plat_confined *c)
{
    static const int caps[] = {CAP_DAC_READ_SEARCH};
    static const struct plat_path_rule paths[] = {{"/", false, false}};
    const struct part_rules rules = {.profile = "agent-lend",
        .user = "_sakimori-backup",
        .uid = 64321,
        .caps = caps,
        .caps_n = 1,
        .paths = paths,
        .paths_n = 1,
        .landlock = true,
        .nofile = 64};
    plat_proc_background();
    return part_confine(&rules, c);
}

static int lend_start(struct lender *l, const char *data, char *why)
{
    struct plat_confined c = {0};
    int r = l->skip ? policy_load(data, l->skip, &l->policy, why) : -SM_EINVAL;
    if (!r)
        r = confine(&c);
    l->life = (struct part_life){.attach = on_attach, .arg = l};
    if (!r)
        r = part_begin(&l->life, &c);
    return r;
}

int lend_main(const char *data, const char *skip)
{
    struct lender l = {.skip = skip};
    char why[160] = "";
    int r = lend_start(&l, data, why);
    if (r)
        sm_error("%s", why[0] ? why : sm_strerror(r));
    else
        r = sm_loop_run(l.life.loop);
    return r ? 1 : 0;
}
