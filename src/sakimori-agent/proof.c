/*
 * The proof part: tries a database that a restore drill brought back (kinds/trial.h).  Born as who started the agent, it
 * moves the dumps into a folder of its own beside the drill's, and gives up everything else before a byte of them is
 * read: its own user, no capability, files only in that folder, sockets of this machine alone.  Whoever wrote the dumps
 * may have put programs into them, which a server runs while it loads them; this is where they end.
 */
#include "sakimori-agent/proof.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/drill.h"
#include "sakimori-agent/helper.h"

#define DEPTH_MAX 64
#define USER "_sakimori-proof"
#define SPARE_BYTES ((uint64_t)512 << 20) /* an empty server */

/* ---- the folder ---- */

struct taking {
    int dir, depth, err;
    uid_t uid;
    gid_t gid;
    uint64_t bytes;
};

/* O_PATH opens nothing: what a name is, is known before it is given away, and it cannot be exchanged in between. */
static int take_one(void *arg, struct sm_span name, unsigned char type)
{
    struct taking *t = arg;
    struct stat st;
    char itself[40];
    (void)type;
    int fd = openat(t->dir, (const char *)name.p, O_PATH | O_NOFOLLOW | O_CLOEXEC), r = 0;
    if (fd < 0 || fstat(fd, &st)) {
        r = -errno;
    } else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
        t->bytes += S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        mode_t mode = S_ISDIR(st.st_mode) ? 0700 : 0600;
        if (t->uid != st.st_uid && fchownat(fd, "", t->uid, t->gid, AT_EMPTY_PATH))
            r = -errno;
        snprintf(itself, sizeof itself, "/proc/self/fd/%d", fd);
        if (!r && chmod(itself, mode))
            r = -errno;
    }
    if (fd >= 0)
        close(fd);
    if (r || !S_ISDIR(st.st_mode))
        return r;
    if (t->depth >= DEPTH_MAX)
        return -SM_ELIMIT;
    struct taking below = {.dir = plat_fs_open_dir(t->dir, (const char *)name.p), .depth = t->depth + 1, .uid = t->uid, .gid = t->gid};
    int list = below.dir < 0 ? below.dir : plat_fs_open_dir(t->dir, (const char *)name.p);
    r = list < 0 ? list : plat_fs_list(list, take_one, &below);
    t->bytes += below.bytes;
    if (list >= 0)
        close(list);
    if (below.dir >= 0)
        close(below.dir);
    return r;
}

int proof_take(const char *outer, const char *from, uid_t uid, gid_t gid, uint64_t *ret_bytes)
{
    char in[DRILL_PATH_MAX + 32], own[DRILL_PATH_MAX + 16];
    struct taking t = {.uid = uid, .gid = gid};
    snprintf(own, sizeof own, "%s/" PROOF_IN_IT, outer);
    snprintf(in, sizeof in, "%s/in", own);
    int r = plat_fs_mkdir(AT_FDCWD, outer, 0711);
    if (r)
        return r == -EEXIST ? -SM_EDENIED : r;
    r = chmod(outer, 0711) ? -errno : plat_fs_mkdir(AT_FDCWD, own, 0700);
    if (!r)
        r = plat_fs_rename(AT_FDCWD, from, AT_FDCWD, in, false);
    if (!r) {
        t.dir = plat_fs_open_dir(AT_FDCWD, own);
        r = t.dir < 0 ? t.dir : take_one(&t, SM_SPAN_STR("in"), 0);
        if (t.dir >= 0)
            close(t.dir);
    }
    if (!r && uid != geteuid() && chown(own, uid, gid))
        r = -errno;
    if (!r)
        *ret_bytes = t.bytes;
    return r;
}

bool proof_room(const char *path, uint64_t bytes, unsigned times)
{
    struct plat_fs_space s;
    if (plat_fs_space(AT_FDCWD, path, &s))
        return false;
    uint64_t keep = s.total_bytes / 20 < (uint64_t)2 << 30 ? s.total_bytes / 20 : (uint64_t)2 << 30;
    uint64_t need = times > 1 ? SPARE_BYTES : 0;
    return bytes < UINT64_MAX / 8 / times && s.avail_bytes > keep + need + (times - 1) * bytes;
}

/* ---- birth ---- */

struct proof {
    struct prep *p;
    struct trial t;
    const struct trial_kind *k;
    char outer[DRILL_PATH_MAX];
    const char *user;
    uid_t uid;
    gid_t gid;
    bool ready; /* nothing is in the way; else t.why says what */
};

static int confine(struct proof *f)
{
    static const char *const programs[] = {"/usr", "/bin", "/sbin", "/lib", "/lib64"};
    struct plat_path_rule paths[10] = {{f->t.folder, true, false, false}, {"/dev/null", true, false, false}};
    struct plat_confined c = {0};
    size_t n = 2;
    if (!f->p->skip)
        paths[n++] = (struct plat_path_rule){"/", false, false, false};
    for (size_t i = 0; i < 5; i++)
        paths[n++] = (struct plat_path_rule){programs[i], false, true, true};
    const struct part_rules rules = {.profile = "agent-proof",
        .user = f->user,
        .uid = f->uid,
        .paths = paths,
        .paths_n = n,
        .out = f->p->skip,
        .landlock = true,
        .nofile = 1024};
    plat_proc_background();
    return part_confine(&rules, &c);
}

const char *proof_who(uid_t self, const char **ret_user, uid_t *ret_uid, gid_t *ret_gid)
{
    const char *user = USER;
    uid_t uid = 0;
    gid_t gid = 0;
    if (self != 0) /* it would keep the agent's own: what a dump makes run could end the agent, or speak to the box as it */
        return "user";
    if (plat_user_lookup(user, &uid, &gid)) {
        user = "nobody"; /* without the package's users */
        if (plat_user_lookup(user, &uid, &gid))
            return "user";
    }
    if (uid == 0)
        return "user";
    *ret_user = user;
    *ret_uid = uid;
    *ret_gid = gid;
    return NULL;
}

/* NULL, or what is in the way: then only the files are proved. */
static const char *hindered(struct proof *f, const char *kind)
{
    char why[160];
    f->p->kind = kind_find(kind);
    f->k = trial_find(kind);
    if (!f->k || !f->p->kind)
        return "kind";
    if (policy_load(f->p->data, f->p->skip, &f->p->policy, why) || !policy_may_kind(&f->p->policy, kind))
        return "policy";
    if (prep_tools(f->p, why) || (f->k->server && !(f->t.server = prep_find(f->k->server))))
        return "server";
    return proof_who(geteuid(), &f->user, &f->uid, &f->gid);
}

static int birth(struct proof *f, const struct helper_work *w)
{
    char drill[DRILL_PATH_MAX], from[DRILL_PATH_MAX + 32];
    uint64_t bytes = 0;
    f->t.why = hindered(f, w->kind);
    if (f->t.why)
        return 0;
    drill_path(w->source, drill);
    proof_path(w->source, f->outer);
    snprintf(from, sizeof from, "%s%s", drill, f->p->kind->root);
    snprintf(f->t.folder, sizeof f->t.folder, "%.90s/" PROOF_IN_IT, f->outer);
    int r = proof_take(f->outer, from, f->uid, f->gid, &bytes);
    if (r == -ENOENT) {
        f->t.why = "none"; /* the sample drew nothing of it */
        return 0;
    }
    if (r)
        return r;
    if (!proof_room(f->t.folder, bytes, f->k->times)) {
        f->t.why = "room";
        return 0;
    }
    snprintf(f->p->folder, sizeof f->p->folder, "%s", f->t.folder);
    r = confine(f);
    f->ready = !r;
    return r;
}

/* ---- its end ---- */

static int remove_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    (void)plat_fs_remove_tree(*(const int *)arg, (const char *)name.p); /* the supervisor removes what is left */
    return 0;
}

static void clean(struct proof *f)
{
    int dir = f->t.folder[0] ? plat_fs_open_dir(AT_FDCWD, f->t.folder) : -1,
        list = dir < 0 ? -1 : plat_fs_open_dir(AT_FDCWD, f->t.folder);
    if (list >= 0)
        (void)!plat_fs_list(list, remove_one, &dir);
    if (list >= 0)
        close(list);
    if (dir >= 0)
        close(dir);
}

static int say(struct proof *f, int err)
{
    static const char *const states[] = {"proved", "failed", "files"};
    const struct trial *t = &f->t;
    struct sm_buf b = SM_BUF_INIT(16384);
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O}", "state",
        states[err ? TRIAL_FILES : t->state], "why", err ? "died" : t->why ? t->why : "", "kind",
        f->p->kind ? f->p->kind->name : "", "version", t->version, "databases", (json_int_t)t->databases, "loaded",
        (json_int_t)t->loaded, "tables", (json_int_t)t->tables, "rows", (json_int_t)t->rows, "compared",
        (json_int_t)t->compared, "differing", (json_int_t)t->differing, "unsound", (json_int_t)t->unsound, "bytes",
        (json_int_t)t->bytes, "start_ms", (json_int_t)t->start_ms, "load_ms", (json_int_t)t->load_ms, "check_ms",
        (json_int_t)t->check_ms, "list", t->list);
    int r = o ? sm_json_dump(o, &b) : -ENOMEM;
    if (!r)
        r = sm_ipc_send(f->p->to, W_READY, sm_buf_span(&b), -1);
    json_decref(o);
    sm_buf_wipe(&b);
    return r;
}

static int work(struct proof *f, const struct helper_work *w)
{
    int r = birth(f, w);
    f->p->until_ms = plat_clock_mono_ms() + (uint64_t)(w->limit_s ? w->limit_s : PROOF_LIMIT_S) * 1000;
    f->t.state = TRIAL_FILES;
    if (!r && f->ready)
        r = trial_run(&f->t, f->k);
    if (r && r != -SM_ECANCEL)
        sm_warn("a restored database could not be tried: %s", sm_strerror(r));
    clean(f);
    return r == -SM_ECANCEL ? r : say(f, r);
}

int proof_main(const char *data, const char *skip)
{
    const struct sm_ipc_config c = {.may_receive = NULL, .may_receive_n = 0, .body_max = 4096, .queue_max = 65536};
    struct helper_work w = {0};
    struct prep *p = calloc(1, sizeof *p);
    struct proof f = {.p = p, .t = {.p = p, .proc = PLAT_PROC_NONE}};
    int fd = -1, r = p ? 0 : -ENOMEM;
    if (!r) {
        p->data = data;
        p->skip = skip;
        p->staging = -1;
        f.t.list = json_array();
        r = f.t.list ? helper_begin(&w, &p->up, &fd) : -ENOMEM;
    }
    if (!r)
        r = sm_ipc_new(NULL, fd, &c, &p->to);
    if (!r)
        r = work(&f, &w);
    json_decref(f.t.list);
    free(f.t.server);
    for (size_t i = 0; p && i < KIND_TOOLS_MAX; i++)
        free(p->tool[i]);
    if (p) {
        policy_wipe(&p->policy);
        sm_ipc_free(p->to);
        sm_ipc_free(p->up);
    }
    free(p);
    return r ? 1 : 0;
}
