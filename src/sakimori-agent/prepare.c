/*
 * The prepare part: makes the files of one source in DATA/staging/SOURCE (kinds/kind.h), waits until backup has read
 * them, and removes them.  Which rights it keeps is the kind's row and the access, both of this machine; what the box
 * said (names of databases, paths) is read only after it has given up everything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/helper.h"
#include "sakimori-agent/kinds/kind.h"
#include "sakimori-agent/kinds/sharewire.h"

#define SOURCE_MS 60000
#define LOADERS 4
#define READS_MAX 16

/* The staging, owned by who will write into it. */
static int make_staging(struct prep *p, const char *source, uid_t uid, gid_t gid)
{
    char path[AGENT_PATH_MAX + 32];
    bool own = p->kind->as != NULL;
    snprintf(path, sizeof path, "%s/staging", p->data);
    snprintf(p->folder, sizeof p->folder, "%s/%s", path, source);
    int r = staging_clear(p->data, source), dir = r ? r : plat_fs_open_dir(AT_FDCWD, path);
    if (dir < 0)
        return dir;
    /* Where programs run as owners of other files, they have to come through; each copy is its owner's own. */
    r = plat_fs_mkdir(dir, source, own ? 0700 : 0711);
    if (!r)
        p->staging = plat_fs_open_dir(dir, source);
    close(dir);
    if (!r && p->staging < 0)
        r = p->staging;
    if (!r && fchmod(p->staging, own ? 0700 : 0711))
        r = -errno;
    if (!r && own && geteuid() == 0 && fchown(p->staging, uid, gid))
        r = -errno;
    return r;
}

int prep_confine(struct prep *p, const char *user, struct plat_confined *c)
{
    static const char *const loaders[LOADERS] = {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1",
        "/lib/ld-linux-armhf.so.3", "/lib/ld-linux.so.2"};
    struct plat_path_rule paths[3 + READS_MAX + LOADERS + KIND_TOOLS_MAX] = {
        {p->folder, true, false, false}, {"/dev/null", true, false, false}};
    const char *const *reads = p->kind->reads;
    size_t n = 2;
    for (size_t i = 0; reads && reads[i] && i < READS_MAX; i++)
        paths[n++] = (struct plat_path_rule){reads[i], false, true, false};
    if (!p->skip && !reads)
        paths[n++] = (struct plat_path_rule){"/", false, false, false};
    for (size_t i = 0; i < LOADERS && p->tool[0]; i++)
        paths[n++] = (struct plat_path_rule){loaders[i], false, true, true};
    for (size_t i = 0; i < KIND_TOOLS_MAX && p->tool[i]; i++)
        paths[n++] = (struct plat_path_rule){p->tool[i], false, false, true};
    const struct part_rules rules = {.profile = p->kind->profile,
        .user = user,
        .uid = p->kind->uid ? p->kind->uid : 64322,
        .caps = p->kind->caps,
        .caps_n = p->kind->caps_n,
        .paths = paths,
        .paths_n = n,
        .out = p->kind->as && !reads ? p->skip : NULL,
        .landlock = p->kind->as != NULL, /* a copy of SQLite's confines itself, more narrowly */
        .nofile = 256};
    plat_proc_background();
    return part_confine(&rules, c);
}

static int birth(struct prep *p, const struct helper_work *w, const char *skip, char *why)
{
    struct plat_confined c = {0};
    uid_t uid = 0;
    gid_t gid = 0;
    int r = policy_load(p->data, skip, &p->policy, why);
    p->kind = kind_find(w->kind);
    if (!r && !p->kind)
        r = -SM_ENOTFOUND;
    if (!r && !policy_may_kind(&p->policy, w->kind)) {
        snprintf(why, 160, "this machine's policy does not allow sources of the kind %s", w->kind);
        r = -SM_EDENIED;
    }
    if (!r && p->kind->has_access)
        r = access_load(p->data, w->kind, w->name, &p->access, why);
    if (!r)
        r = prep_user(p, &uid, &gid, why);
    if (!r)
        r = prep_tools(p, why);
    if (!r)
        r = make_staging(p, w->source, uid, gid);
    const char *user = p->kind && p->kind->as ? p->access.as[0] ? p->access.as : p->kind->as : "";
    if (!r && p->kind->birth)
        r = p->kind->birth(p, why);
    return r ? r : prep_confine(p, user, &c);
}

static int hear_source(struct prep *p, json_t **ret)
{
    struct sm_ipc_msg m;
    int r = sm_ipc_recv(p->to, SOURCE_MS, &m);
    if (!r)
        r = sm_json_parse(m.body, SM_IPC_BODY_MAX, ret, NULL);
    if (!r) {
        p->source = *ret;
        p->options = json_object_get(*ret, "options");
    }
    return r;
}

static int say_ready(struct prep *p, int err)
{
    struct sm_buf b = SM_BUF_INIT(16384);
    bool served = p->kind && p->kind->serve;
    json_t *o = json_pack("{s:i,s:s,s:s,s:b,s:b}", "err", err, "folder", served ? "" : p->folder, "root",
        p->kind ? p->kind->root : "", "partial", p->failed > 0, "served", served);
    int r = o ? sm_json_dump(o, &b) : -ENOMEM;
    if (!r)
        r = sm_ipc_send(p->to, W_READY, sm_buf_span(&b), -1);
    json_decref(o);
    sm_buf_wipe(&b);
    return r;
}

/* Until backup lets go, or the agent ends. */
static void wait_end(struct prep *p)
{
    struct sm_ipc_msg m;
    int r = -SM_ETIME, up = -SM_ETIME;
    while ((r == -SM_ETIME || r == 0) && up == -SM_ETIME) { /* 0: settings that were not waited for */
        r = sm_ipc_recv(p->to, 1000, &m);
        up = sm_ipc_recv(p->up, 0, &m);
    }
}

static int clear_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    (void)plat_fs_remove_tree(*(const int *)arg, (const char *)name.p); /* the supervisor removes what is left */
    return 0;
}

static void clean(struct prep *p)
{
    int list = p->staging >= 0 ? plat_fs_open_dir(AT_FDCWD, p->folder) : -1;
    if (list >= 0) {
        (void)!plat_fs_list(list, clear_one, &p->staging);
        close(list);
    }
}

static const struct sm_ipc_rule from_backup[] = {{W_SOURCE, SM_IPC_BODY_MAX, false, "W_SOURCE"},
    {W_LOOK, 0, false, "W_LOOK"}, {W_LIST, SHARE_PATH_MAX, false, "W_LIST"}, {W_MORE, 0, false, "W_MORE"},
    {W_OPEN, SHARE_PATH_MAX, false, "W_OPEN"}, {W_READ, 4, false, "W_READ"}, {W_AGAIN, 0, false, "W_AGAIN"},
    {W_SHUT, 0, false, "W_SHUT"}};

static int work(struct prep *p, const struct helper_work *w, const char *skip)
{
    char why[160] = "";
    json_t *source = NULL;
    int r = birth(p, w, skip, why);
    if (r) {
        prep_problem(p, w->kind, r, why[0] ? why : "the start", true);
        r = say_ready(p, r);
        wait_end(p); /* so that it is heard */
        return r;
    }
    p->until_ms = plat_clock_mono_ms() + (uint64_t)(w->limit_s ? w->limit_s : 86400) * 1000;
    r = hear_source(p, &source);
    if (!r)
        r = p->kind->prepare(p);
    if (!p->kind->serve) /* else it is needed when a connection broke */
        access_wipe(&p->access);
    if (r == -SM_ETIME)
        prep_problem(p, p->kind->root, r, "the time limit of this source", true);
    else if (r && r != -SM_ECANCEL && !p->failed)
        prep_problem(p, p->kind->root, r, "nothing was found to keep", true);
    r = say_ready(p, r);
    if (!r && p->kind->serve)
        p->kind->serve(p);
    else if (!r)
        wait_end(p);
    clean(p);
    json_decref(source);
    return r;
}

int prepare_main(const char *data, const char *skip)
{
    struct prep *p = calloc(1, sizeof *p);
    struct helper_work w = {0};
    const struct sm_ipc_config c = {
        .may_receive = from_backup, .may_receive_n = sizeof from_backup / sizeof from_backup[0],
        .body_max = SM_IPC_BODY_MAX, .queue_max = SM_IPC_BODY_MAX};
    int fd = -1, r = p ? 0 : -ENOMEM;
    if (!r) {
        p->data = data;
        p->skip = skip;
        p->staging = -1;
        r = helper_begin(&w, &p->up, &fd);
    }
    if (!r)
        r = sm_ipc_new(NULL, fd, &c, &p->to);
    if (!r)
        r = work(p, &w, skip);
    if (r && r != -SM_EPEER && r != -SM_ECANCEL)
        sm_warn("a source could not be made ready: %s", sm_strerror(r));
    if (p) {
        for (size_t i = 0; i < KIND_TOOLS_MAX; i++)
            free(p->tool[i]);
        access_wipe(&p->access);
        policy_wipe(&p->policy);
        sm_ipc_free(p->to);
        sm_ipc_free(p->up);
    }
    free(p);
    return r ? 1 : 0;
}
