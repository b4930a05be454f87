/*
 * The process: what the box wants comes from link as L_LOGS, batches go back as L_CALL, how the logs are as
 * L_LOGS_STATE. Folders and the journal wake it; while nothing is written it sleeps, but for a look once a minute.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/logs/journald.h"
#include "sakimori-agent/logs/logs.h"

#define GATHER_MS 200u /* what is written at once goes at once */
#define TICK_MS 60000u
#define SOON_MS 2000u
#define SETTINGS_MAX ((size_t)128 << 10)

struct part;
/* The same logs, read twice: for the box, which gets every record once, and for judge, which looks at what is written from now on. */
struct reader {
    struct logs logs;
    struct part *part;
    struct sm_watch *watch, *fd_watch[LOGS_MAX];
};

struct part {
    struct reader box, judge;
    struct agent_policy policy;
    struct part_life life;
    struct sm_ipc *link, *to_judge;
    struct sm_timer *go;
    uint64_t go_ms, tick_ms;
    json_t *rows; /* as the box sent them */
    json_t *told;
    json_t *bad;  /* rows that cannot be read here */
    unsigned gen; /* of the settings */
    bool journal;
};

static uint64_t now_ms(void)
{
    return plat_clock_mono_ms();
}

static void wake(struct part *p, uint64_t in_ms)
{
    uint64_t at = now_ms() + in_ms;
    if (p->go_ms && p->go_ms <= at)
        return;
    p->go_ms = at;
    sm_timer_set(p->go, in_ms, 0);
}

/* ---- sending ---- */

struct sent {
    struct part *p;
    struct log *l;
    unsigned gen; /* of other settings: l is gone, and what was sent is sent again with its number */
};

static void answered(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct sent *s = arg;
    struct part *p = s->p;
    (void)text;
    int status = err ? err : -SM_EPROTO;
    if (!err && m->body.n >= 2)
        status = m->body.p[0] | m->body.p[1] << 8;
    if (!err && (m->flags & SM_IPC_MORE))
        return;
    for (size_t i = 0; i < p->box.logs.log_n; i++)
        if (p->gen == s->gen && p->box.logs.log[i] == s->l)
            feed_answer(s->l, status);
    free(s);
    wake(p, 0);
}

static struct reader *reader_of(struct logs *all)
{
    return (struct reader *)(void *)((char *)all - offsetof(struct reader, logs));
}

static int send_batch(struct logs *all, struct log *l)
{
    struct part *p = reader_of(all)->part;
    struct sm_buf b = SM_BUF_INIT(SM_IPC_BODY_MAX);
    struct sent *s = calloc(1, sizeof *s);
    char path[L_PATH_MAX];
    int n = snprintf(path, sizeof path, "/agent/v1/events?stream=%s&life=%s&number=%llu", l->name, l->at.life,
        (unsigned long long)l->at.number);
    int r = !s ? -ENOMEM : !p->link ? -SM_EPEER : 0;
    if (!r)
        r = sm_buf_put_u8(&b, 2);
    if (!r)
        r = sm_buf_put_u16(&b, (uint16_t)n);
    if (!r)
        r = sm_buf_put(&b, path, (size_t)n);
    if (!r)
        r = sm_buf_put_span(&b, sm_buf_span(&l->batch));
    if (!r) {
        *s = (struct sent){.p = p, .l = l, .gen = p->gen};
        r = sm_ipc_ask(p->link, L_CALL, sm_buf_span(&b), -1, answered, s);
    }
    if (r)
        free(s);
    sm_buf_wipe(&b);
    return r;
}

static int put_name(struct sm_buf *b, const char *name)
{
    int r = sm_buf_put_u8(b, (uint8_t)strlen(name));
    return r ? r : sm_buf_put(b, name, strlen(name));
}

/* For judge: taken as soon as it stands in its channel; a full channel has the lines wait in their files. */
static int send_judge(struct logs *all, struct log *l)
{
    struct part *p = reader_of(all)->part;
    struct sm_buf b = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = p->to_judge ? put_name(&b, l->name) : -SM_EPEER;
    if (!r)
        r = put_name(&b, l->input == &log_input_file ? "" : l->input->name);
    if (!r)
        r = sm_buf_put_span(&b, sm_buf_span(&l->batch));
    if (!r)
        r = sm_ipc_send(p->to_judge, E_LOG, sm_buf_span(&b), -1);
    sm_buf_wipe(&b);
    if (!r)
        feed_answer(l, 200);
    return r;
}

/* ---- what the box is told ---- */

static void tell(struct part *p)
{
    struct sm_buf b = SM_BUF_INIT(SETTINGS_MAX);
    json_t *list = p->rows ? json_array() : NULL, *o; /* before it knows what is wanted there is nothing to say */
    for (size_t i = 0; i < p->box.logs.log_n && list; i++)
        if (json_array_append_new(list, log_tell(p->box.logs.log[i])))
            break; /* a row less is told */
    if (list && p->bad && json_array_extend(list, p->bad))
        sm_warn("some logs are not told of");
    o = list ? json_pack("{s:O}", "logs", list) : NULL;
    if (o && p->link && !json_equal(list, p->told) && !sm_json_dump(o, &b) &&
        !sm_ipc_send(p->link, L_LOGS_STATE, sm_buf_span(&b), -1)) {
        json_decref(p->told);
        p->told = json_incref(list);
    }
    json_decref(o);
    json_decref(list);
    sm_buf_wipe(&b);
}

/* ---- the round ---- */

static void watch_fds(struct reader *r);

/* All logs of a reader; when there is more to do. */
static uint64_t round_of(struct reader *r, bool tick, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < r->logs.log_n; i++) {
        struct log *l = r->logs.log[i];
        bool look = tick || l->dirty || l->soon;
        if (look) {
            l->dirty = false;
            l->input->look(l);
        }
        if (look || (l->not_before_ms && now >= l->not_before_ms) || l->batch.n)
            feed_go(l);
        if (l->save_ms && now >= l->save_ms)
            feed_save(l);
        bool can = !l->sending && !l->not_before_ms && r->logs.sending < LOG_SENDING_MAX; /* else an answer wakes us */
        uint64_t at = l->dirty && can ? now : l->soon ? now + SOON_MS : r->part->tick_ms;
        at = l->not_before_ms && l->not_before_ms < at ? l->not_before_ms : at;
        at = l->save_ms && l->save_ms < at ? l->save_ms : at;
        next = at < next ? at : next;
    }
    watch_fds(r);
    return next;
}

static void go(void *arg)
{
    struct part *p = arg;
    uint64_t now = now_ms();
    bool tick = now >= p->tick_ms;
    p->go_ms = 0;
    if (tick)
        p->tick_ms = now + TICK_MS;
    uint64_t next = round_of(&p->box, tick, now), also = round_of(&p->judge, tick, now);
    next = also < next ? also : next;
    tell(p);
    wake(p, next == UINT64_MAX ? TICK_MS : next > now ? next - now : 0);
}

/* Which logs have a path in the folder that something happened in. */
static void mark_dir(struct reader *r, int wd, const char *name)
{
    for (size_t i = 0; i < r->logs.dir_n; i++) {
        const char *dir = r->logs.dir[i].path;
        size_t n = strlen(dir);
        for (size_t k = 0; k < r->logs.log_n && r->logs.dir[i].wd == wd; k++) {
            struct log *l = r->logs.log[k];
            for (size_t j = 0; j < l->path_n; j++) {
                const char *slash = strrchr(l->path[j], '/'), *base = slash + 1;
                size_t same = strcspn(base, "*?["), folder = slash == l->path[j] ? 1 : (size_t)(slash - l->path[j]);
                l->dirty |=
                    folder == n && strncmp(l->path[j], dir, n) == 0 && (!name || strncmp(name, base, same) == 0);
            }
        }
    }
}

static void on_inotify(void *arg, int fd, unsigned events)
{
    struct reader *r = arg;
    _Alignas(struct inotify_event) char buf[8192];
    ssize_t n;
    (void)events;
    while ((n = read(fd, buf, sizeof buf)) > 0) {
        for (size_t at = 0; at + sizeof(struct inotify_event) <= (size_t)n;) {
            struct inotify_event e;
            memcpy(&e, buf + at, sizeof e);
            if (e.mask & IN_Q_OVERFLOW)
                for (size_t i = 0; i < r->logs.log_n; i++)
                    r->logs.log[i]->dirty = true;
            else
                mark_dir(r, e.wd, e.len ? buf + at + sizeof e : NULL);
            if (e.mask & IN_IGNORED) /* the folder is gone; a new one of that name is watched by the next look */
                for (size_t i = 0; i < r->logs.dir_n; i++)
                    if (r->logs.dir[i].wd == e.wd)
                        r->logs.dir[i--] = r->logs.dir[--r->logs.dir_n];
            at += sizeof e + e.len;
        }
    }
    for (size_t i = 0; i < r->logs.log_n; i++)
        if (r->logs.log[i]->dirty) {
            wake(r->part, GATHER_MS);
            return;
        }
}

static void on_log_fd(void *arg, int fd, unsigned events)
{
    struct reader *r = arg;
    (void)events;
    for (size_t i = 0; i < r->logs.log_n; i++)
        if (r->logs.log[i]->input->fd(r->logs.log[i]) == fd) {
            r->logs.log[i]->dirty = true;
            sm_watch_events(r->fd_watch[i], 0); /* until it was looked at */
        }
    wake(r->part, GATHER_MS);
}

static void watch_fds(struct reader *r)
{
    for (size_t i = 0; i < r->logs.log_n; i++) {
        int fd = r->logs.log[i]->input->fd(r->logs.log[i]);
        if (fd >= 0 && !r->fd_watch[i] && sm_loop_fd(r->part->life.loop, fd, SM_READ, on_log_fd, r, &r->fd_watch[i]))
            sm_warn("%s is looked at once a minute only", r->logs.log[i]->name);
        else if (r->fd_watch[i] && !r->logs.log[i]->dirty)
            sm_watch_events(r->fd_watch[i], SM_READ);
    }
}

/* ---- settings ---- */

static void drop_all(struct reader *r)
{
    for (size_t i = 0; i < r->logs.log_n; i++) {
        sm_watch_free(r->fd_watch[i]);
        r->fd_watch[i] = NULL;
        if (r->logs.log[i]->unsaved)
            feed_save(r->logs.log[i]);
        log_free(r->logs.log[i]);
    }
    r->logs.log_n = r->logs.sending = 0;
}

/* A row for one reader.  0, also when it is there already or not for here. */
static int add_to(struct reader *r, const json_t *row, char *why)
{
    struct log *l = NULL;
    bool spare = json_is_true(json_object_get(row, "unless_journal"));
    const char *name = json_string_value(json_object_get(row, "name"));
    for (size_t i = 0; i < r->logs.log_n; i++)
        if (strcmp(r->logs.log[i]->name, name) == 0)
            return 0;
    if (spare && r->part->journal && r->logs.roots.journal)
        return 0;
    int e = r->logs.log_n == LOGS_MAX ? -SM_ELIMIT : log_new(&r->logs, row, &l, why);
    if (!e)
        r->logs.log[r->logs.log_n++] = l;
    return e;
}

/* What was written before judge looks is not judged here: the box has it. */
static void add_for_judge(struct part *p, const json_t *row)
{
    char why[160] = "";
    json_t *now = json_copy((json_t *)(uintptr_t)row);
    int r = now && !json_object_set_new(now, "from_start", json_false()) ? add_to(&p->judge, now, why) : -ENOMEM;
    if (r)
        sm_warn("%s is not looked at here: %s", json_string_value(json_object_get(row, "name")), why[0] ? why : sm_strerror(r));
    json_decref(now);
}

/* Before a box has said which logs it wants: those that it wants of every machine unless somebody sets others. */
static void add_usual(struct part *p)
{
    static const char *const rows[] = {"{\"name\":\"journal\",\"input\":\"journald\",\"paths\":[]}",
        "{\"name\":\"auth\",\"input\":\"file\",\"paths\":[\"/var/log/auth.log\",\"/var/log/secure\"],\"unless_journal\":true}",
        "{\"name\":\"audit\",\"input\":\"audit\",\"paths\":[\"/var/log/audit/audit.log\"]}"};
    p->journal = log_journald_there();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && !p->policy.no_endpoint; i++) {
        json_t *row = json_loads(rows[i], 0, NULL);
        if (row)
            add_for_judge(p, row);
        json_decref(row);
    }
}

static void add(struct part *p, const json_t *row)
{
    char why[160] = "";
    const char *name = json_string_value(json_object_get(row, "name"));
    if (!name || !log_name_ok(name))
        return;
    int r = add_to(&p->box, row, why);
    if (!r) {
        if (!p->policy.no_endpoint)
            add_for_judge(p, row);
        return;
    }
    sm_warn("the log %s cannot be read: %s", name, why[0] ? why : sm_strerror(r));
    json_t *bad = json_pack(
        "{s:s,s:s,s:s,s:s}", "name", name, "input", "", "state", "error", "detail", why[0] ? why : sm_strerror(r));
    if (!p->bad)
        p->bad = json_array();
    if (json_array_append_new(p->bad, bad))
        sm_warn("and the box is not told of it");
}

static void on_settings(struct part *p, struct sm_span body)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    const json_t *rows;
    if (sm_json_parse(body, SETTINGS_MAX, &o, NULL) || !json_is_array(rows = json_object_get(o, "logs")))
        return;
    if (json_equal(rows, p->rows))
        return;
    drop_all(&p->box);
    drop_all(&p->judge);
    p->gen++;
    json_decref(p->rows);
    p->rows = json_incref((json_t *)(uintptr_t)rows);
    json_decref(p->bad);
    p->bad = NULL;
    p->journal = log_journald_there();
    for (size_t i = 0; i < json_array_size(rows); i++)
        add(p, json_array_get(rows, i));
    wake(p, 0);
}

/* ---- life ---- */

static void on_link(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)ipc;
    on_settings(arg, m->body);
}

static void on_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct part *p = arg;
    bool link = ipc == p->link;
    if (err)
        sm_error("%s broke the rules of its channel: %s", link ? "link" : "judge", sm_strerror(err));
    if (link)
        p->link = NULL;
    else
        p->to_judge = NULL;
    sm_ipc_free(ipc); /* what is on its way is answered by that, and sent again */
}

static void on_attach(void *arg, const char *peer, bool fresh, int *fd)
{
    static const struct sm_ipc_rule from_link[] = {{L_LOGS, SETTINGS_MAX, false, "L_LOGS"}};
    struct part *p = arg;
    bool link = strcmp(peer, "link") == 0;
    struct sm_ipc **to = link ? &p->link : &p->to_judge;
    struct reader *r = link ? &p->box : &p->judge;
    const struct sm_ipc_config c = {.may_receive = from_link,
        .may_receive_n = link ? 1 : 0,
        .body_max = SM_IPC_BODY_MAX,
        .queue_max = (size_t)4 << 20,
        .on_message = on_link,
        .on_gone = on_gone,
        .arg = p};
    int taken = *fd;
    (void)fresh;
    *fd = -1;
    if (*to)
        on_gone(p, *to, 0);
    if (sm_ipc_new(p->life.loop, taken, &c, to))
        sm_error("the channel to %s could not be made", peer);
    if (link) {
        json_decref(p->told);
        p->told = NULL;
    }
    for (size_t i = 0; i < r->logs.log_n; i++)
        r->logs.log[i]->not_before_ms = r->logs.log[i]->backoff_ms = 0;
    wake(p, 0);
}

int logs_folder(const char *data)
{
    char path[AGENT_PATH_MAX + 16];
    uid_t uid = LOGS_UID;
    gid_t gid = LOGS_UID;
    snprintf(path, sizeof path, "%s/logs", data);
    int r = plat_fs_mkdir_p(path, 0700);
    if (r || geteuid() != 0)
        return r;
    (void)plat_user_lookup(LOGS_USER, &uid, &gid); /* without such a user the number serves */
    return lchown(path, uid, gid) ? -errno : 0;
}

/* Its own folder, the folders of logs, and what the journal's library looks at. */
static int confine(const struct part *p, const char *data, struct plat_confined *c)
{
    static const int caps[] = {CAP_DAC_READ_SEARCH};
    char folder[AGENT_PATH_MAX + 16];
    struct plat_path_rule paths[POLICY_LOGS_MAX + 8];
    size_t n = 0;
    snprintf(folder, sizeof folder, "%s/logs", data);
    paths[n++] = (struct plat_path_rule){folder, true, false};
    for (size_t i = 0; i < p->box.logs.roots.n; i++)
        paths[n++] = (struct plat_path_rule){p->box.logs.roots.root[i].real, false, true};
    if (p->box.logs.roots.journal) {
        paths[n++] = (struct plat_path_rule){"/var/log/journal", false, true};
        paths[n++] = (struct plat_path_rule){"/run/log/journal", false, true};
        paths[n++] = (struct plat_path_rule){"/etc/machine-id", false, true};
    }
    const struct part_rules rules = {.profile = "agent-logs",
        .user = LOGS_USER,
        .uid = LOGS_UID,
        .caps = caps,
        .caps_n = 1,
        .paths = paths,
        .paths_n = n,
        .landlock = true,
        .nofile = 1200};
    plat_proc_background();
    return part_confine(&rules, c);
}

static int make_reader(struct part *p, struct reader *r, int folder, log_send_fn send)
{
    r->part = p;
    r->logs.folder = folder;
    r->logs.send = send;
    r->logs.now_ms = now_ms;
    r->logs.buf = malloc(LOG_READ);
    r->logs.dir = calloc(LOG_DIRS_MAX, sizeof *r->logs.dir);
    r->logs.inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (!r->logs.buf || !r->logs.dir)
        return -ENOMEM;
    return r->logs.inotify < 0 ? 0 : sm_loop_fd(p->life.loop, r->logs.inotify, SM_READ, on_inotify, r, &r->watch);
}

static int make(struct part *p, const char *data)
{
    char path[AGENT_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/logs", data);
    int folder = plat_fs_open_dir(AT_FDCWD, path), r = folder < 0 ? folder : sm_loop_new(&p->life.loop);
    if (!r)
        r = sm_loop_timer(p->life.loop, UINT64_MAX, 0, go, p, &p->go);
    if (!r)
        r = make_reader(p, &p->box, folder, send_batch);
    p->judge.logs.roots = p->box.logs.roots;
    if (!r)
        r = make_reader(p, &p->judge, LOG_NO_FOLDER, send_judge);
    if (!r)
        add_usual(p);
    return r;
}

static int begin(struct part *p, const char *data, const char *skip, char *why)
{
    struct plat_confined c = {0};
    int r = policy_load(data, skip, &p->policy, why);
    if (!r)
        r = log_roots_make(&p->policy, &p->box.logs.roots);
    if (!r && p->box.logs.roots.journal)
        (void)log_journald_load(); /* without it there is no journal */
    if (!r)
        r = confine(p, data, &c);
    if (!r)
        r = make(p, data);
    p->life.attach = on_attach;
    p->life.arg = p;
    return r ? r : part_begin(&p->life, &c);
}

int logs_main(const char *data, const char *skip)
{
    static struct part p;
    char why[160] = "";
    int r = begin(&p, data, skip, why);
    if (r)
        sm_error("%s", why[0] ? why : sm_strerror(r));
    else
        r = sm_loop_run(p.life.loop);
    drop_all(&p.box);
    drop_all(&p.judge);
    log_roots_free(&p.box.logs.roots);
    policy_wipe(&p.policy);
    return r ? 1 : 0;
}
