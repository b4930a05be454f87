/* Supervision: start, channels, restart, stop. */
#include "sakimorid/parent.h"
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/local.h"
#include "plat/proc.h"
#include "sakimorid/kids.h"

enum {
    READY_WAIT_MS = 60000, STEADY_MS = 10000, EARLY_FAILS_MAX = 5,
    STOP_WAIT_MS = 6000, OUT_QUEUE = 1 << 20, CHANNEL_FD = 3,
};

/* Short: whoever kills a part buys no more than this; one that crashes at once is not started more often than the box can bear. */
static const uint64_t back_off_ms[] = { 0, 1000, 2000, 4000, 8000 };
#define BACK_OFFS (sizeof back_off_ms / sizeof back_off_ms[0])
/* Who stops first: those who take work in, last the one that others need for their end. */
static const unsigned stop_order[] = { WHO_FRONT, WHO_COLLECTOR, WHO_OPENER, WHO_SEEKER, WHO_HOUSE, WHO_COPIER, WHO_COURIER,
    WHO_SELF, WHO_OUT, WHO_WATCH, WHO_BRAIN, WHO_VAULT, WHO_KEYD };

static void stop_next(struct parent *p);

struct kid *kid_of(struct parent *p, unsigned who)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->kids[i].row->who == who)
            return &p->kids[i];
    return NULL;
}

bool kid_lives(const struct kid *k)
{
    return k->state == KID_STARTING || k->state == KID_UP;
}

/* ---- saying ---- */

void kid_send(struct kid *k, uint16_t type, const json_t *j, int fd)
{
    struct sm_buf text = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = j ? sm_json_dump(j, &text) : -ENOMEM;

    if (r >= 0 && k->ipc)
        r = sm_ipc_send(k->ipc, type, sm_buf_span(&text), fd);
    if (r < 0 && r != -SM_EPEER)
        sm_error("%s to %s: %s", msg_name(type), k->row->name, sm_strerror(r));
    sm_buf_wipe(&text);
}

void kid_send_take(struct kid *k, uint16_t type, json_t *j, int fd)
{
    kid_send(k, type, j, fd);
    json_decref(j);
}

/* Tell brain how k is. */
static void tell(struct kid *k)
{
    struct kid *brain = kid_of(k->p, WHO_BRAIN);
    json_t *j;

    if (!brain || brain->state != KID_UP)
        return;
    j = json_pack("{ss si ss si sO?}", "name", k->row->name, "pid", (int)(kid_lives(k) ? k->proc.pid : 0), "state",
        k->state == KID_UP ? "up" : "down", "restarts", (int)k->restarts, "confined", k->confined);
    kid_send_take(brain, P_CHILD, j, -1);
}

static void announce(struct parent *p)
{
    const struct ground *g = p->g;

    if (p->announced || (kid_of(p, WHO_BRAIN) && !p->brain_noted) || (kid_of(p, WHO_FRONT) && !p->serving))
        return;
    for (size_t i = 0; i < p->n; i++)
        if (!p->kids[i].row->on_request && p->kids[i].state != KID_UP)
            return;
    p->announced = true;
    json_t *j = json_pack("{ss ss ss? ss si ss}", "console_url", g->console_url, "agent_url", g->agent_url,
        "setup_code", p->setup_code[0] ? p->setup_code : NULL, "ca_fingerprint", p->fingerprint, "pid",
        (int)getpid(), "data", g->data);
    char *line = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (p->headless && line)
        printf("%s\n", line);
    if (!p->headless) {
        printf("防人が動いています。ブラウザで次のアドレスを開いてください。\n"
               "Sakimori is running.  Open this address in a browser:\n\n    %s\n\n",
            g->console_url);
        if (p->setup_code[0])
            printf("最初の設定のためのコード(設定が終わるまで使えます) / code for the first set-up (works until it ends):\n\n    %s\n\n", p->setup_code);
        printf("この箱の証明書の指紋 (SHA-256) / fingerprint of the box's certificate authority:\n    %s\n",
            p->fingerprint);
    }
    fflush(stdout);
    free(line);
    (void)plat_notify("READY=1"); /* no service manager, or one that does not listen: nothing to do about it */
}

/* ---- channels ---- */

static void attach_pair(struct kid *a, struct kid *b)
{
    int pair[2];
    int r = plat_local_pair(pair);

    if (r < 0) {
        sm_error("channel between %s and %s: %s", a->row->name, b->row->name, sm_strerror(r));
        return;
    }
    kid_send_take(a, P_ATTACH, json_pack("{ss}", "peer", b->row->name), pair[0]);
    kid_send_take(b, P_ATTACH, json_pack("{ss}", "peer", a->row->name), pair[1]);
    close(pair[0]);
    close(pair[1]);
}

static void attach_all(struct kid *k)
{
    struct parent *p = k->p;

    for (size_t i = 0; i < p->n; i++) {
        struct kid *other = &p->kids[i];
        if (other != k && other->state == KID_UP && msg_channel(k->row->who, other->row->who))
            attach_pair(k, other);
    }
    static const char *const logs[] = { "syslog-udp", "syslog-tcp", "syslog-tls" };
    for (size_t i = 0; k->row->who == WHO_COLLECTOR && i < 3; i++)
        if (p->g->log_fd[i] >= 0)
            kid_send_take(k, P_LISTEN, json_pack("{ss}", "what", logs[i]), p->g->log_fd[i]);
    if (k->row->who != WHO_FRONT)
        return;
    kid_send_take(k, P_LISTEN, json_pack("{ss}", "what", "console"), p->g->console_fd);
    kid_send_take(k, P_LISTEN, json_pack("{ss}", "what", "agent"), p->g->agent_fd);
    kid_send_take(k, P_LISTEN, json_pack("{ss}", "what", "local"), p->g->local_fd);
}

/* ---- what children say ---- */

static void on_ready(struct kid *k, struct sm_ipc_msg *m)
{
    json_t *j = NULL;
    const json_t *c;

    if (k->state != KID_STARTING)
        return;
    if (msg_json(m->body, 4096, &j, NULL) >= 0 && (c = json_object_get(j, "confined")) != NULL) {
        json_decref(k->confined);
        k->confined = json_deep_copy(c);
        const char *missing = json_string_value(json_object_get(c, "missing"));
        sm_info("%s is ready%s%s", k->row->name, missing && *missing ? "; not confined: " : "",
            missing ? missing : "");
    }
    json_decref(j);
    k->state = KID_UP;
    k->up_since_ms = plat_clock_mono_ms();
    sm_timer_stop(k->timer);
    attach_all(k);
    if (k->row->who == WHO_BRAIN)
        for (size_t i = 0; i < k->p->n; i++)
            tell(&k->p->kids[i]);
    else
        tell(k);
    if (k->row->who == WHO_BRAIN)
        on_disks(k->p);
    if (errand_of(k->p, k->row->who))
        errand_answer(k, &errand_of(k->p, k->row->who)->start, 0, NULL);
    if (k->row->who == WHO_OPENER)
        opener_answer(k->p, 0);
    announce(k->p);
}

static void on_breach(struct kid *k, const char *name)
{
    struct kid *other = kid_of(k->p, msg_who(name));

    if (!other || other == k || !msg_channel(k->row->who, other->row->who) || !kid_lives(other))
        return;
    sm_error("%s says that %s broke the protocol: %s is ended", k->row->name, name, name);
    (void)plat_proc_kill(&other->proc, SIGKILL); /* gone already is as good */
}

static void on_note(struct kid *k, struct sm_ipc_msg *m)
{
    struct parent *p = k->p;
    json_t *j = NULL;
    struct sm_obj o;
    const char *text;

    if (msg_json(m->body, 8192, &j, NULL) < 0)
        return;
    o = SM_OBJ(j);
    text = sm_obj_str_opt(&o, "breach", 16);
    if (text)
        on_breach(k, text);
    if (k->row->who == WHO_BRAIN && json_object_get(j, "setup_code")) {
        text = json_string_value(json_object_get(j, "setup_code"));
        snprintf(p->setup_code, sizeof p->setup_code, "%s", text ? text : "");
        p->brain_noted = true;
    }
    text = sm_obj_str_opt(&o, "ca_fingerprint", sizeof p->fingerprint - 1);
    if (k->row->who == WHO_FRONT && text) {
        snprintf(p->fingerprint, sizeof p->fingerprint, "%s", text);
        p->serving = true;
    }
    json_decref(j);
    announce(p);
}

static void on_fatal(struct kid *k, struct sm_ipc_msg *m)
{
    json_t *j = NULL;
    const char *text;

    if (msg_json(m->body, 4096, &j, NULL) < 0)
        return;
    text = json_string_value(json_object_get(j, "text"));
    snprintf(k->fatal, sizeof k->fatal, "%.190s", text ? text : "");
    json_decref(j);
}

static void on_message(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct kid *k = arg;

    switch (m->type) {
    case C_READY:
        on_ready(k, m);
        return;
    case C_NOTE:
        on_note(k, m);
        return;
    case C_FATAL:
        on_fatal(k, m);
        return;
    case P_OPENER:
        on_opener(k, m);
        return;
    case P_MAIL:
        on_mail(k, m);
        return;
    case P_FIREWALL:
        on_firewall(k, m);
        return;
    case P_COPIER:
        on_copier(k, m);
        return;
    case P_SELF:
        on_self(k, m);
        return;
    case P_COURIER:
        on_courier(k, m);
        return;
    case P_ADDRESS:
        on_address(k, m);
        return;
    case P_HOUSE:
        on_house(k, m);
        return;
    default:
        return; /* the receive rules let nothing else through */
    }
}

/* ---- life of a child ---- */

static void on_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct kid *k = arg;

    sm_ipc_free(ipc);
    k->ipc = NULL;
    if (k->row->who == WHO_BRAIN)
        errands_forget(k->p);
    if (err == -SM_EPROTO)
        sm_error("%s sent the parent what it may not", k->row->name);
    /* Without its channel a child is of no use; one that is ending anyway may finish. */
    if (err < 0)
        (void)plat_proc_kill(&k->proc, SIGKILL);
}

static void restart_later(struct kid *k)
{
    size_t i = k->fails < BACK_OFFS ? k->fails : BACK_OFFS - 1;

    k->state = KID_WAITING;
    k->restarts++;
    k->fails++;
    sm_timer_set(k->timer, back_off_ms[i], 0);
}

static void give_up_early(struct kid *k)
{
    struct parent *p = k->p;

    sm_error("%s cannot be started: %s", k->row->name, k->fatal[0] ? k->fatal : "see above");
    p->code = 1;
    p->stopping = true;
    stop_next(p);
}

static void ended(struct kid *k, int status)
{
    struct parent *p = k->p;
    char text[48];
    bool was_up = k->state == KID_UP;

    plat_proc_status_text(status, text);
    if (was_up && plat_clock_mono_ms() - k->up_since_ms > STEADY_MS)
        k->fails = 0;
    k->state = KID_OFF;
    sm_watch_free(k->watch);
    k->watch = NULL;
    plat_proc_close(&k->proc);
    k->proc = PLAT_PROC_NONE;
    if (k->ipc) {
        struct sm_ipc *ipc = k->ipc;
        k->ipc = NULL;
        sm_ipc_free(ipc);
        if (k->row->who == WHO_BRAIN)
            errands_forget(p);
    }
    sm_timer_stop(k->timer);
    if (errand_of(p, k->row->who))
        errand_ended(k);
    if (p->stopping) {
        stop_next(p);
        return;
    }
    if (k->row->on_request && !k->wanted) {
        tell(k);
        return;
    }
    sm_warn("%s ended: %s%s%s", k->row->name, text, k->fatal[0] ? ": " : "", k->fatal);
    if (k->row->who == WHO_OPENER && !was_up && k->fails >= 2) {
        k->wanted = false;
        opener_answer(p, -SM_EPEER);
        return;
    }
    if (!p->announced && !was_up && k->fails + 1 >= EARLY_FAILS_MAX) {
        give_up_early(k);
        return;
    }
    restart_later(k);
    tell(k);
}

static void on_process(void *arg, int fd, unsigned events)
{
    struct kid *k = arg;
    int status = 0;

    /* What it said last (C_FATAL) may still be in the channel: the loop reads it first if it is there. */
    if (plat_proc_wait(&k->proc, 0, &status) >= 0)
        ended(k, status);
}

static void on_timer(void *arg)
{
    struct kid *k = arg;

    if (k->state == KID_WAITING && !k->p->stopping) {
        kid_start(k);
        return;
    }
    if (!kid_lives(k))
        return;
    sm_error("%s %s in time and is killed", k->row->name, k->p->stopping ? "does not end" : "is not ready");
    (void)plat_proc_kill(&k->proc, SIGKILL); /* gone already is as good */
}

static int spawn(struct kid *k, int channel)
{
    char child[40], parent[40];
    char *argv[] = { "sakimorid", child, parent, NULL };
    struct plat_spawn_fd fd = { .from = channel, .to = CHANNEL_FD };

    snprintf(child, sizeof child, "--child=%s", k->row->name);
    snprintf(parent, sizeof parent, "--parent=%d", (int)getpid());
    return plat_proc_spawn(&(struct plat_spawn){ .argv = argv, .fds = &fd, .fds_n = 1 }, &k->proc);
}

static int kid_open(struct kid *k)
{
    struct parent *p = k->p;
    int pair[2];
    int r = plat_local_pair(pair);

    if (r < 0)
        return r;
    r = spawn(k, pair[1]);
    close(pair[1]);
    if (r < 0) {
        close(pair[0]);
        return r;
    }
    k->state = KID_STARTING;
    k->fatal[0] = '\0';
    r = sm_loop_fd(p->loop, k->proc.fd, SM_READ, on_process, k, &k->watch);
    if (r >= 0)
        r = sm_ipc_new(p->loop, pair[0],
            &(struct sm_ipc_config){ .may_receive = k->rules,
                .may_receive_n = msg_rules(WHO_PARENT, k->row->who, k->rules), .body_max = 64 << 10,
                .queue_max = OUT_QUEUE, .on_message = on_message, .on_gone = on_gone, .arg = k },
            &k->ipc);
    if (r < 0) {
        close(pair[0]);
        (void)plat_proc_kill(&k->proc, SIGKILL); /* the watch, if there is one, sees the end */
        return k->watch ? 0 : r;
    }
    return 0;
}

/* By it the brain knows which of the machines is the box itself; without it, it only warns. */
static void put_machine(json_t *config)
{
    struct sm_buf id = SM_BUF_INIT(256);
    int r = plat_fs_read_file(AT_FDCWD, "/etc/machine-id", 256, &id);
    const char *text = r < 0 ? NULL : sm_buf_str(&id);
    if (text)
        (void)json_object_set_new(config, "machine", json_stringn(text, strcspn(text, "\n"))); /* or without it */
    sm_buf_wipe(&id);
}

static json_t *config_of(struct kid *k)
{
    struct kid *copier = kid_of(k->p, WHO_COPIER);
    json_t *j = ground_config(k->p->g, k->p->s, k->row->who);
    uid_t uid;
    gid_t gid;

    const struct errand *e = errand_of(k->p, k->row->who);
    if (j && e && e->job && json_object_set(j, "job", e->job) < 0)
        return NULL; /* the child waits for it in vain and is started anew */
    if (j && k->row->who == WHO_BRAIN && copier) {
        child_user(copier->row, &uid, &gid);
        if (json_object_set_new(j, "copier", json_pack("{sIsI}", "uid", (json_int_t)uid, "gid", (json_int_t)gid)) < 0)
            return NULL;
        put_machine(j);
    }
    return j;
}

void kid_start(struct kid *k)
{
    int r = kid_open(k);

    if (r < 0) {
        sm_error("start of %s: %s", k->row->name, sm_strerror(r));
        restart_later(k);
        return;
    }
    sm_timer_set(k->timer, READY_WAIT_MS, 0);
    kid_send_take(k, P_CONFIG, config_of(k), -1);
}

/* ---- end ---- */

static void stop_next(struct parent *p)
{
    for (size_t i = 0; i < sizeof stop_order / sizeof stop_order[0]; i++) {
        struct kid *k = kid_of(p, stop_order[i]);
        if (!k || !kid_lives(k))
            continue;
        kid_send_take(k, P_STOP, json_object(), -1);
        sm_timer_set(k->timer, STOP_WAIT_MS, 0);
        return;
    }
    sm_loop_stop(p->loop, p->code);
}

static void on_companion_gone(void *arg)
{
    stop_next(arg);
}

static void on_signal(void *arg, int signo)
{
    struct parent *p = arg;

    if (p->stopping)
        return;
    sm_info("signal %d: stopping", signo);
    (void)plat_notify("STOPPING=1"); /* as READY=1 */
    p->stopping = true;
    if (p->companion)
        companion_stop(p->companion, on_companion_gone, p);
    else
        stop_next(p);
}

static int prepare(struct parent *p, const struct child_row *rows, size_t n)
{
    int r = n > KIDS_MAX ? -SM_ELIMIT : sm_loop_new(&p->loop);

    if (r >= 0)
        r = sm_loop_signal(p->loop, SIGTERM, on_signal, p);
    if (r >= 0)
        r = sm_loop_signal(p->loop, SIGINT, on_signal, p);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        struct kid *k = &p->kids[p->n];
        *k = (struct kid){ .p = p, .row = &rows[i], .proc = PLAT_PROC_NONE };
        r = sm_loop_timer(p->loop, UINT64_MAX, 0, on_timer, k, &k->timer);
        p->n += r >= 0;
    }
    return r;
}

static void release(struct parent *p)
{
    companion_free(p->companion);
    for (size_t i = 0; i < p->n; i++) {
        struct kid *k = &p->kids[i];
        int status;
        if (kid_lives(k) && plat_proc_kill(&k->proc, SIGKILL) >= 0)
            (void)plat_proc_wait(&k->proc, 2000, &status); /* only after a failure of the loop itself */
        sm_watch_free(k->watch);
        sm_ipc_free(k->ipc);
        plat_proc_close(&k->proc);
        sm_timer_free(k->timer);
        json_decref(k->confined);
    }
    disks_free(p->disks);
    sm_json_drop_secret(p->copier.job);
    sm_json_drop_secret(p->courier.job);
    sm_loop_free(p->loop);
}

int parent_run(struct ground *g, const struct settings *s, const struct child_row *rows, size_t n, bool headless)
{
    struct parent p = { .g = g, .s = s, .headless = headless };
    int r = prepare(&p, rows, n);

    if (r >= 0)
        r = disks_new(&(struct disks_config){ .loop = p.loop, .folder = s->disks, .data = g->data, .fn = on_disks, .arg = &p },
            &p.disks);
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; r >= 0 && i < p.n; i++) {
        struct kid *k = &p.kids[i];
        k->wanted = k->row->who == WHO_HOUSE && ground_house_wanted(g);
        if (!k->row->on_request || k->wanted)
            kid_start(k);
    }
    if (r >= 0 && g->local_agent)
        r = companion_new(&(struct companion_config){ .loop = p.loop, .program = g->local_agent, .data = g->agent_data,
            .socket = g->socket, .skip = g->data }, &p.companion);
    if (r >= 0)
        r = sm_loop_run(p.loop);
    if (r < 0)
        sm_error("parent: %s", sm_strerror(r));
    release(&p);
    return r < 0 ? 1 : r;
}
