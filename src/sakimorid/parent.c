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
#include "sakimorid/companion.h"
#include "sakimorid/disks.h"
#include "sakimorid/diskwork.h"

enum {
    KIDS_MAX = 16, OPENER_ASKS_MAX = 16, READY_WAIT_MS = 60000, STEADY_MS = 10000, EARLY_FAILS_MAX = 5,
    STOP_WAIT_MS = 6000, OUT_QUEUE = 1 << 20, CHANNEL_FD = 3,
};

/* Short: whoever kills a part buys no more than this; one that crashes at once is not started more often than the box can bear. */
static const uint64_t back_off_ms[] = { 0, 1000, 2000, 4000, 8000 };
#define BACK_OFFS (sizeof back_off_ms / sizeof back_off_ms[0])
/* Who stops first: those who take work in, last the one that others need for their end. */
static const unsigned stop_order[] = { WHO_FRONT, WHO_COLLECTOR, WHO_OPENER, WHO_SEEKER, WHO_COPIER, WHO_COURIER,
    WHO_SELF, WHO_OUT, WHO_WATCH, WHO_BRAIN, WHO_VAULT, WHO_KEYD };

enum kid_state { KID_OFF, KID_STARTING, KID_UP, KID_WAITING };
struct parent;
struct kid {
    struct parent *p;
    const struct child_row *row;
    enum kid_state state;
    struct plat_proc proc;
    struct sm_watch *watch;
    struct sm_ipc *ipc;
    struct sm_timer *timer;       /* restart, ready too late, end too late: what the state says */
    struct sm_ipc_rule rules[MSG_ROWS_MAX];
    uint64_t up_since_ms;
    unsigned restarts, fails;
    bool wanted;
    json_t *confined;             /* of C_READY */
    char fatal[200];
};

/* A child that is started for one job: what for, and the ids of brain's open requests (0 = none). */
struct errand { json_t *job; uint64_t start, stop; };

struct parent {
    struct sm_loop *loop;
    struct ground *g;
    const struct settings *s;
    struct kid kids[KIDS_MAX];
    size_t n;
    bool headless, announced, stopping;
    char setup_code[64], fingerprint[80];
    bool brain_noted, serving;
    uint64_t opener_asks[OPENER_ASKS_MAX]; /* ids of P_OPENER of the present brain */
    size_t opener_asks_n;
    struct disks *disks;
    struct errand copier, courier, self;
    int code;
    struct companion *companion;  /* the local agent, NULL when there is none */
};

static void kid_start(struct kid *k);
static void stop_next(struct parent *p);

static struct kid *kid_of(struct parent *p, unsigned who)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->kids[i].row->who == who)
            return &p->kids[i];
    return NULL;
}

static bool lives(const struct kid *k)
{
    return k->state == KID_STARTING || k->state == KID_UP;
}

/* ---- saying ---- */

static void send_json(struct kid *k, uint16_t type, const json_t *j, int fd)
{
    struct sm_buf text = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = j ? sm_json_dump(j, &text) : -ENOMEM;

    if (r >= 0 && k->ipc)
        r = sm_ipc_send(k->ipc, type, sm_buf_span(&text), fd);
    if (r < 0 && r != -SM_EPEER)
        sm_error("%s to %s: %s", msg_name(type), k->row->name, sm_strerror(r));
    sm_buf_wipe(&text);
}

static void send_take(struct kid *k, uint16_t type, json_t *j, int fd)
{
    send_json(k, type, j, fd);
    json_decref(j);
}

/* Tell brain how k is. */
static void tell(struct kid *k)
{
    struct kid *brain = kid_of(k->p, WHO_BRAIN);
    json_t *j;

    if (!brain || brain->state != KID_UP)
        return;
    j = json_pack("{ss si ss si sO?}", "name", k->row->name, "pid", (int)(lives(k) ? k->proc.pid : 0), "state",
        k->state == KID_UP ? "up" : "down", "restarts", (int)k->restarts, "confined", k->confined);
    send_take(brain, P_CHILD, j, -1);
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
    send_take(a, P_ATTACH, json_pack("{ss}", "peer", b->row->name), pair[0]);
    send_take(b, P_ATTACH, json_pack("{ss}", "peer", a->row->name), pair[1]);
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
            send_take(k, P_LISTEN, json_pack("{ss}", "what", logs[i]), p->g->log_fd[i]);
    if (k->row->who != WHO_FRONT)
        return;
    send_take(k, P_LISTEN, json_pack("{ss}", "what", "console"), p->g->console_fd);
    send_take(k, P_LISTEN, json_pack("{ss}", "what", "agent"), p->g->agent_fd);
    send_take(k, P_LISTEN, json_pack("{ss}", "what", "local"), p->g->local_fd);
}

/* ---- the opener ---- */

static void opener_answer(struct parent *p, int err)
{
    struct kid *brain = kid_of(p, WHO_BRAIN);

    for (size_t i = 0; i < p->opener_asks_n && brain && brain->ipc; i++) {
        struct sm_ipc_msg to = { .type = P_OPENER, .id = p->opener_asks[i], .fd = -1 };
        /* Should brain be gone meanwhile, nobody waits for the answer. */
        if (err < 0)
            (void)sm_ipc_reply_error(brain->ipc, &to, err, "the opener does not start");
        else
            (void)sm_ipc_reply(brain->ipc, &to, 0, SM_SPAN("{}", 2), -1);
    }
    p->opener_asks_n = 0;
}

static void on_opener(struct kid *brain, struct sm_ipc_msg *m)
{
    struct parent *p = brain->p;
    struct kid *opener = kid_of(p, WHO_OPENER);
    json_t *j = NULL;
    bool start = msg_json(m->body, 1024, &j, NULL) >= 0 && json_is_true(json_object_get(j, "start"));

    json_decref(j);
    if (!opener || p->stopping || p->opener_asks_n >= OPENER_ASKS_MAX) {
        (void)sm_ipc_reply_error(brain->ipc, m, -SM_ESTATE, "no opener now"); /* gone brain: nobody waits */
        return;
    }
    opener->wanted = start;
    p->opener_asks[p->opener_asks_n++] = m->id;
    if (start && opener->state == KID_OFF)
        kid_start(opener);
    else if (!start && lives(opener))
        send_take(opener, P_STOP, json_object(), -1);
    if (!start || opener->state == KID_UP)
        opener_answer(p, 0);
}

/* ---- copier and courier: for one target at a time ---- */

static struct errand *errand_of(struct parent *p, unsigned who)
{
    return who == WHO_COPIER ? &p->copier : who == WHO_COURIER ? &p->courier : who == WHO_SELF ? &p->self : NULL;
}

static void errand_answer(struct kid *k, uint64_t *id, int err, const char *why)
{
    struct kid *brain = kid_of(k->p, WHO_BRAIN);
    struct sm_ipc_msg to = { .type = k->row->who == WHO_COPIER ? P_COPIER : k->row->who == WHO_SELF ? P_SELF : P_COURIER, .id = *id, .fd = -1 };

    if (*id && brain && brain->ipc && err < 0)
        (void)sm_ipc_reply_error(brain->ipc, &to, err, why); /* gone brain: nobody waits */
    else if (*id && brain && brain->ipc)
        (void)sm_ipc_reply(brain->ipc, &to, 0, SM_SPAN("{}", 2), -1);
    *id = 0;
}

/* Nobody waits for brain's requests any more. */
static void forget_asks(struct parent *p)
{
    p->opener_asks_n = 0;
    p->copier.start = p->copier.stop = p->courier.start = p->courier.stop = p->self.start = p->self.stop = 0;
}

static void errand_begin(struct kid *k, json_t *job /* taken */, uint64_t id)
{
    struct errand *e = errand_of(k->p, k->row->who);

    sm_json_drop_secret(e->job);
    e->job = job;
    e->start = id;
    k->wanted = true;
    kid_start(k);
}

static void errand_stop(struct kid *k, struct sm_ipc *brain, struct sm_ipc_msg *m)
{
    struct errand *e = errand_of(k->p, k->row->who);

    k->wanted = false;
    if (lives(k)) {
        e->stop = m->id;
        send_take(k, P_STOP, json_object(), -1);
    } else if (k->row->who == WHO_COPIER && disks_busy(k->p->disks)) {
        e->stop = m->id; /* answered when its disk is unmounted */
    } else {
        (void)sm_ipc_reply(brain, m, 0, SM_SPAN("{}", 2), -1); /* gone brain: nobody waits */
    }
}

/* Its stop is answered once a disk of it is unmounted. */
static void errand_over(void *arg, int err, const char *path)
{
    struct kid *k = arg;

    (void)err;
    (void)path;
    errand_answer(k, &errand_of(k->p, k->row->who)->stop, 0, NULL);
}

/* The folder of a copy below the place that was chosen, or on a disk that is mounted for it. */
#define COPY_FOLDER "sakimori-copy"

static json_t *copier_job(const char *place)
{
    return json_pack("{ss++}", "path", place, "/", COPY_FOLDER);
}

/* The disk is there, or is not to be had.  Meanwhile brain may have changed its mind, or have gone. */
static void copier_mounted(void *arg, int err, const char *path)
{
    struct kid *k = arg;
    struct errand *e = errand_of(k->p, k->row->who);
    bool wanted = k->wanted && e->start && !k->p->stopping;

    if (err == 0 && wanted) {
        errand_begin(k, copier_job(path), e->start);
        return;
    }
    k->wanted = false;
    errand_answer(k, &e->start, err ? err : -SM_ECANCEL,
        err == -EPERM           ? "this service may not mount disks"
        : err == -SM_ENOTFOUND  ? "nothing was prepared there"
        : err == -SM_ETIME      ? "the disk does not answer"
        : err                   ? sm_strerror(err)
                                : "not wanted any more");
    if (err == 0)
        disks_release(k->p->disks, errand_over, k);
    else
        errand_over(k, 0, NULL);
}

/* A folder: begun here.  A disk: begun once it is mounted. */
static int copier_start(struct kid *k, const json_t *j, uint64_t id, char *ret_why)
{
    const char *disk = json_string_value(json_object_get(j, "disk")), *path = json_string_value(json_object_get(j, "path"));
    char place[4600];
    struct stat st;
    uid_t uid;
    gid_t gid;

    child_user(k->row, &uid, &gid);
    if (disk) {
        int r = disks_take(k->p->disks, disk, uid, gid, COPY_FOLDER, copier_mounted, k);
        k->wanted = r >= 0;
        k->p->copier.start = r < 0 ? 0 : id;
        snprintf(ret_why, 160, "%s", r == -SM_ESTATE ? "the last disk is not unmounted yet" : sm_strerror(r));
        return r;
    }
    if (!path || path[0] != '/' || strlen(path) > 4400) {
        snprintf(ret_why, 160, "no such place");
        return -SM_EINVAL;
    }
    snprintf(place, sizeof place, "%s/" COPY_FOLDER, path);
    if (lstat(place, &st) < 0 || !S_ISDIR(st.st_mode)) {
        snprintf(ret_why, 160, "nothing was prepared there");
        return -SM_ENOTFOUND;
    }
    errand_begin(k, copier_job(path), id);
    return 0;
}

static void on_copier(struct kid *brain, struct sm_ipc_msg *m)
{
    struct parent *p = brain->p;
    struct kid *k = kid_of(p, WHO_COPIER);
    char why[160] = "";
    json_t *j = NULL;
    bool start;
    int r = k && !p->stopping ? msg_json(m->body, 8192, &j, why) : -SM_ESTATE;

    start = json_is_true(json_object_get(j, "start"));
    if (r >= 0 && start && (k->state != KID_OFF || p->copier.start || p->copier.stop)) {
        r = -SM_ESTATE;
        snprintf(why, sizeof why, "a copy is under way");
    }
    if (r >= 0 && start)
        r = copier_start(k, j, m->id, why);
    json_decref(j);
    if (r < 0)
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
    else if (!start)
        errand_stop(k, brain->ipc, m);
}

/* The courier gets the address of that one copy, with its secrets, and of no other. */
static void on_courier(struct kid *brain, struct sm_ipc_msg *m)
{
    struct parent *p = brain->p;
    struct kid *k = kid_of(p, WHO_COURIER);
    char why[160] = "";
    json_t *j = NULL, *address = NULL;
    int r = k && !p->stopping ? msg_json(m->body, 1024, &j, why) : -SM_ESTATE;
    bool start = json_is_true(json_object_get(j, "start"));
    const char *copy = json_string_value(json_object_get(j, "copy"));

    if (r >= 0 && start && (k->state != KID_OFF || p->courier.start || p->courier.stop)) {
        r = -SM_ESTATE;
        snprintf(why, sizeof why, "a copy is under way");
    }
    if (r >= 0 && start && !(address = copy ? json_object_get(p->g->addresses, copy) : NULL)) {
        r = -SM_ENOTFOUND;
        snprintf(why, sizeof why, "the address and keys of this copy are not there");
    }
    address = r >= 0 && start ? json_deep_copy(address) : NULL;
    json_decref(j);
    if (r < 0)
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
    else if (start)
        errand_begin(k, address ? json_pack("{so}", "address", address) : NULL, m->id);
    else
        errand_stop(k, brain->ipc, m);
}

static void on_address(struct kid *brain, struct sm_ipc_msg *m)
{
    char why[160] = "";
    json_t *j = NULL;
    int r = msg_json(m->body, 16384, &j, why);

    if (r >= 0)
        r = ground_address(brain->p->g, j, why);
    sm_json_drop_secret(j);
    if (r < 0)
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
    else
        (void)sm_ipc_reply(brain->ipc, m, 0, SM_SPAN("{}", 2), -1);
}

static void on_self(struct kid *brain, struct sm_ipc_msg *m)
{
    struct parent *p = brain->p;
    struct kid *k = kid_of(p, WHO_SELF);
    char why[160] = "";
    json_t *j = NULL;
    int r = k && !p->stopping ? msg_json(m->body, 1024, &j, why) : -SM_ESTATE;
    bool start = json_is_true(json_object_get(j, "start"));

    json_decref(j);
    if (r >= 0 && start && (k->state != KID_OFF || p->self.start || p->self.stop))
        r = -SM_ESTATE;
    if (r < 0)
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
    else if (start)
        errand_begin(k, NULL, m->id);
    else
        errand_stop(k, brain->ipc, m);
}

/* The end of copier or courier: a disk can go.  Neither is started again by itself: brain decides. */
static void errand_ended(struct kid *k)
{
    struct errand *e = errand_of(k->p, k->row->who);
    char why[sizeof k->fatal + 40];

    k->wanted = false;
    k->fails = 0;
    sm_json_drop_secret(e->job);
    e->job = NULL;
    snprintf(why, sizeof why, "%s%s%s", k->fatal[0] ? k->fatal : "the ", k->fatal[0] ? "" : k->row->name,
        k->fatal[0] ? "" : " does not start");
    errand_answer(k, &e->start, -SM_EPEER, why);
    if (k->row->who == WHO_COPIER)
        disks_release(k->p->disks, errand_over, k);
    else
        errand_over(k, 0, NULL);
}

static void on_disks(void *arg)
{
    struct parent *p = arg;
    struct kid *brain = kid_of(p, WHO_BRAIN);

    if (brain && brain->state == KID_UP)
        send_take(brain, P_DISKS, disks_list(p->disks), -1);
}

static void on_mail(struct kid *brain, struct sm_ipc_msg *m)
{
    struct parent *p = brain->p;
    struct kid *out = kid_of(p, WHO_OUT);
    char why[160] = "";
    json_t *j = NULL;
    int r = msg_json(m->body, 8192, &j, why);

    if (r >= 0)
        r = ground_mail(p->g, j, why);
    json_decref(j);
    if (r < 0) {
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
        return;
    }
    if (out && out->state == KID_UP)
        send_take(out, P_CONFIG, ground_config(p->g, p->s, WHO_OUT), -1);
    (void)sm_ipc_reply(brain->ipc, m, 0, SM_SPAN("{}", 2), -1);
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

    if (!other || other == k || !msg_channel(k->row->who, other->row->who) || !lives(other))
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
        forget_asks(k->p);
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
            forget_asks(p);
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
    if (!lives(k))
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
    }
    return j;
}

static void kid_start(struct kid *k)
{
    int r = kid_open(k);

    if (r < 0) {
        sm_error("start of %s: %s", k->row->name, sm_strerror(r));
        restart_later(k);
        return;
    }
    sm_timer_set(k->timer, READY_WAIT_MS, 0);
    send_take(k, P_CONFIG, config_of(k), -1);
}

/* ---- end ---- */

static void stop_next(struct parent *p)
{
    for (size_t i = 0; i < sizeof stop_order / sizeof stop_order[0]; i++) {
        struct kid *k = kid_of(p, stop_order[i]);
        if (!k || !lives(k))
            continue;
        send_take(k, P_STOP, json_object(), -1);
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
        if (lives(k) && plat_proc_kill(&k->proc, SIGKILL) >= 0)
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
    for (size_t i = 0; r >= 0 && i < p.n; i++)
        if (!p.kids[i].row->on_request)
            kid_start(&p.kids[i]);
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

/* ---- the program ---- */

/* What a person can do about a box that does not start. */
static void start_advice(int r, const char *why)
{
    static const struct advice { int err; const char *ja, *en; } table[] = {
        { -EADDRINUSE, "このポートは、ほかのプログラムが使っています。port を変えるか、そのプログラムを止めてください(ss -ltnp で分かります)。箱はこの番号と次の番号を使います。",
            "Another program uses this port. Set another port, or stop that program (ss -ltnp shows it). A box needs this number and the next one." },
        { -EADDRNOTAVAIL, "listen のアドレスは、この機器のものではありません。ip addr で出るアドレスを書いてください。",
            "The address in listen is not one of this machine. Take one that ip addr shows." },
        { -EACCES, "書く権利がありません。フォルダの持ち主と権利を見るか、--data でほかのフォルダをえらんでください。1024 より下の port は root だけが使えます。",
            "There is no right to write there. Look at the folder's owner and rights, or choose another with --data. Ports below 1024 are for root only." },
        { -EROFS, "書けないディスクです。--data でほかのフォルダをえらんでください。", "The disk is read-only. Choose another folder with --data." },
        { -ENOSPC, "ディスクに空きがありません。空きを作ってください。", "The disk is full. Make room." },
        { -ENOTDIR, "この場所に、フォルダではない物があります。--data でほかのフォルダをえらんでください。",
            "Something that is no folder is in the way. Choose another with --data." },
        { -SM_EAGAIN, "このデータで、もう箱が動いています。一つだけ動かしてください。", "A box runs on this data already. Run only one." },
    };
    const char *ja = NULL, *en = NULL;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].err == (r == -EPERM ? -EACCES : r)) {
            ja = table[i].ja;
            en = table[i].en;
        }
    }
    if (!strncmp(why, "listen = ", 9)) {
        ja = "listen に書けるのは、この機器の IPv4 か IPv6 のアドレスです。例: 127.0.0.1(この機器だけ)、192.168.1.10、0.0.0.0(すべて)、::1。名前は書けません。";
        en = "listen takes an IPv4 or IPv6 address of this machine, as 127.0.0.1 (this machine only), 192.168.1.10, 0.0.0.0 (all), ::1. Names are not allowed.";
    }
    fprintf(stderr, "sakimorid: 箱を始められません: %s\n", why);
    if (ja)
        fprintf(stderr, "  %s\n", ja);
    fprintf(stderr, "sakimorid: the box cannot start: %s\n", why);
    if (en)
        fprintf(stderr, "  %s\n", en);
}

static int run_box(const struct arguments *a, const struct child_row *rows, size_t n)
{
    struct settings s = { 0 };
    struct ground g;
    char why[240], file[4200];
    char *standard = a->data ? NULL : ground_standard_data();
    const char *data = a->data ? a->data : standard;
    int r = -ENOMEM, code = 2;

    snprintf(why, sizeof why, "out of memory");
    if (data) {
        snprintf(file, sizeof file, "%.4000s/sakimori.conf", data);
        /* The folder must be there for the settings file of a first start. */
        r = a->config ? 0 : plat_fs_mkdir_p(data, geteuid() == 0 ? 0711 : 0700);
        snprintf(why, sizeof why, "%.160s: %s", data, sm_strerror(r));
    }
    if (r >= 0)
        r = options_load(a->config ? a->config : file, !a->config, a, &s, why);
    if (r >= 0) {
        code = 1;
        r = ground_open(&g, data, &s, rows, n, why);
    }
    char beside[4200];
    char *agent = a->local_agent ? realpath(a->local_agent, NULL) : NULL;
    if (r >= 0) {
        snprintf(beside, sizeof beside, "%.4000s-agent", g.data);
        g.local_agent = agent ? agent : a->local_agent; /* one that is not there is said when it is started */
        g.agent_data = a->agent_data ? a->agent_data : beside;
        code = parent_run(&g, &s, rows, n, a->headless);
        ground_close(&g);
    } else {
        start_advice(r, why);
    }
    options_wipe(&s);
    free(agent);
    free(standard);
    return code;
}

int sakimorid_main(int argc, char **argv, const struct child_row *rows, size_t n)
{
    struct arguments a;
    char why[240];

    sm_log_init("sakimorid", SM_INFO);
    if (argc > 1 && !strncmp(argv[1], DISK_WORK, sizeof DISK_WORK - 1))
        return disk_work_main(argc, argv);
    if (options_arguments(argc, argv, &a, why) < 0) {
        fprintf(stderr, "sakimorid: %s\n", why);
        return 2;
    }
    for (size_t i = 0; a.child && i < n; i++)
        if (!strcmp(rows[i].name, a.child))
            return child_start(&rows[i], (pid_t)a.parent);
    if (a.child) {
        fprintf(stderr, "sakimorid: no such part\n");
        return 2;
    }
    if (a.help || a.version) {
        if (a.help)
            options_help(stdout);
        else
            printf("sakimorid %s\n", SM_VERSION);
        return 0;
    }
    return run_box(&a, rows, n);
}
