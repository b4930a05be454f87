/*
 * The supervisor: starts the parts, hands each its channels, starts them again when they die, and starts the restore
 * and decoy parts and the helpers of a run (helper.h) when they are asked for.  It reads nothing that comes from outside but the folder names of sources
 * for decoys, which the decoy part checks.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/life.h"
#include "plat/local.h"
#include "plat/proc.h"
#include "sakimori-agent/access.h"
#include "sakimori-agent/agent.h"
#include "sakimori-agent/drill.h"
#include "sakimori-agent/alive.h"
#include "sakimori-agent/guard/guard.h"
#include "sakimori-agent/guard/machine.h"
#include "sakimori-agent/guard/tend.h"
#include "sakimori-agent/endpoint.h"
#include "sakimori-agent/helper.h"
#include "sakimori-agent/inspect/inspect.h"
#include "sakimori-agent/join.h"
#include "sakimori-agent/facts.h"
#include "sakimori-agent/policy.h"
#include "sakimori-agent/renew.h"

#define RESTART_MAX_MS 8000u
#define STOP_MS 8000
#define JOIN_TRY_MS 3000
#define LOCAL_MS 10000
#define STILLBORN_MAX 3u
#define MAY_MAX 12u
#define LEFT_MAX 16
#define LATE_MS 500u      /* our own clock came so late: the machine is busy, and nobody is to blame for a beat */
#define FULL_BYTES 65536u /* less than that is free in the agent's folder: full */
#define BYE_MS 2500
#define UPGRADE_MARK "/run/sakimori-agent.upgrade"
#define UPGRADE_S 900

enum part_id { P_LINK, P_BACKUP, P_RESTORE, P_DECOY, P_LEND, P_PREPARE, P_HOOK, P_PROOF, P_LOGS, P_ACTOR, P_INSPECT, P_JUDGE, P_GUARD, P_SENSOR, P_MEDIA, P_SCAN, P_YARA, P_COUNT };

static const struct sm_ipc_rule from_link[] = {
    {A_READY, 1024, false, "A_READY"},
    {A_RESTORE, 16, false, "A_RESTORE"},
    {L_SETTINGS, SM_IPC_BODY_MAX, false, "L_SETTINGS"},
    {A_CERT, 16384, false, "A_CERT"},
    {A_SAID, 8, false, "A_SAID"},
};
static const struct sm_ipc_rule from_guard[] = {{A_READY, 1024, false, "A_READY"}, {G_NOTE, 1024, false, "G_NOTE"}};
static const struct sm_ipc_rule from_part[] = {{A_READY, 1024, false, "A_READY"}};
static const struct sm_ipc_rule from_asking[] = {
    {A_READY, 1024, false, "A_READY"}, {A_HELP, sizeof(struct helper_work), false, "A_HELP"}};

#define RULES(r) r, sizeof r / sizeof r[0]
/* How long a part lives: BESIDE_A_BOX always, where a folder is left out; ENDPOINT always, as root, unless policy.conf says no. */
enum { ON_DEMAND, ALWAYS, BESIDE_A_BOX, ENDPOINT };
/* A part, how long it lives, and what it may say to the supervisor. */
static const struct part_row {
    const char *name;
    int lives;
    const struct sm_ipc_rule *may;
    size_t may_n;
} rows[P_COUNT] = {
    [P_LINK] = {"link", ALWAYS, RULES(from_link)},
    [P_BACKUP] = {"backup", ALWAYS, RULES(from_asking)},
    [P_RESTORE] = {"restore", ON_DEMAND, RULES(from_asking)},
    [P_DECOY] = {"decoy", ON_DEMAND, RULES(from_part)},
    [P_LEND] = {"lend", BESIDE_A_BOX, RULES(from_part)},
    [P_PREPARE] = {"prepare", ON_DEMAND, RULES(from_part)},
    [P_HOOK] = {"hook", ON_DEMAND, RULES(from_part)},
    [P_PROOF] = {"proof", ON_DEMAND, RULES(from_part)},
    [P_LOGS] = {"logs", ALWAYS, RULES(from_part)},
    [P_INSPECT] = {"inspect", ENDPOINT, RULES(from_part)},
    [P_JUDGE] = {"judge", ENDPOINT, RULES(from_part)},
    [P_MEDIA] = {"media", ENDPOINT, RULES(from_part)},
    [P_GUARD] = {"guard", ENDPOINT, RULES(from_guard)},
    [P_SENSOR] = {"sensor", ENDPOINT, RULES(from_part)},
    [P_ACTOR] = {"actor", ENDPOINT, RULES(from_part)},
    [P_SCAN] = {"scan", ENDPOINT, RULES(from_part)},
    [P_YARA] = {"yara", ENDPOINT, RULES(from_part)},
};

/* Who talks to whom: a channel is made whenever both are there. */
static const struct {
    enum part_id a, b;
} pairs[] = {{P_LINK, P_BACKUP}, {P_LINK, P_RESTORE}, {P_LINK, P_LOGS}, {P_LEND, P_BACKUP},
    {P_LINK, P_JUDGE}, {P_INSPECT, P_JUDGE}, {P_SENSOR, P_JUDGE}, {P_MEDIA, P_JUDGE}, {P_LINK, P_ACTOR}, {P_ACTOR, P_JUDGE},
    {P_LINK, P_SCAN}, {P_SCAN, P_JUDGE}, {P_SCAN, P_YARA}, {P_LOGS, P_JUDGE}};

struct supervisor;
struct part {
    struct supervisor *s;
    enum part_id id;
    struct plat_proc proc;
    struct sm_watch *watch;
    struct sm_ipc *ipc;
    struct sm_timer *again;
    unsigned delay_ms;
    uint64_t started_ms;
    struct plat_confined confined;
    bool ready, met; /* met: it was given to a link */
    struct helper_work work; /* helpers: what to begin with once the one before has ended */
    bool waiting;
    bool born;          /* it was ready once; its channel may be seen to end before it is */
    unsigned stillborn; /* restore: times it ended before it was ready, since it last was */
    struct sm_ipc_rule may[MAY_MAX]; /* of its row, and A_BEAT */
    struct tend tend;
};

struct supervisor {
    const char *data, *socket, *skip;
    struct sm_loop *loop;
    struct part part[P_COUNT];
    struct sm_timer *join_timer, *kill_timer, *local_timer;
    json_t *local; /* what link was told last (A_LOCAL) */
    struct sm_buf settings; /* the last, for the decoy part */
    bool told_known, endpoint;
    bool stopping, full, kept; /* kept: the service manager starts us again */
    struct notes notes;
    struct sm_timer *second, *bye_timer;
    unsigned looks;
    uint64_t second_ms, word_ms; /* when we looked last; when link got its last word */
    const char *machine;
    char life[40];
    int dir; /* the agent's folder */
    struct plat_proc left[LEFT_MAX]; /* dead, and in the hands of a debugger */
    size_t left_n;
};

static void start(struct part *p);

/* Does this part run all the time? */
static bool is_lasting(const struct supervisor *s, int id)
{
    return rows[id].lives == ALWAYS || (rows[id].lives == BESIDE_A_BOX && s->skip) ||
        (rows[id].lives == ENDPOINT && s->endpoint);
}

/* ---- channels between parts ---- */

static void attach(struct part *p, struct part *other, int fd)
{
    struct sm_buf b = SM_BUF_INIT(256);
    bool fresh = p->id == P_LINK && !other->met;
    if (fresh) /* link knows of all that this one will ever do */
        other->met = true;
    if (p->ipc && !sm_buf_printf(&b, "{\"peer\":\"%s\"%s}", rows[other->id].name, fresh ? ",\"fresh\":true" : "") && sm_ipc_send(p->ipc, A_ATTACH, sm_buf_span(&b), fd))
        sm_warn("%s could not be given its channel", rows[p->id].name);
    sm_buf_wipe(&b);
}

/* Two parts get the two ends of a new channel. */
static void connect_parts(struct part *a, struct part *p)
{
    int pair[2];
    if (!a->ready || !p->ready || plat_local_pair(pair))
        return;
    attach(a, p, pair[0]);
    attach(p, a, pair[1]);
    close(pair[0]);
    close(pair[1]);
}

static void tell_confined(struct supervisor *s)
{
    struct sm_buf b = SM_BUF_INIT(65536);
    json_t *o = json_object();
    for (int i = 0; i < P_COUNT && o; i++) {
        const struct plat_confined *c = &s->part[i].confined;
        if (s->part[i].ready && is_lasting(s, i))
            json_object_set_new(o, rows[i].name,
                json_pack("{s:b,s:b,s:b,s:b,s:s}", "uid", c->uid, "seccomp", c->seccomp, "landlock", c->landlock, "nnp",
                    c->nnp, "missing", c->missing));
    }
    if (o && s->part[P_LINK].ipc && !sm_json_dump(o, &b))
        (void)sm_ipc_send(s->part[P_LINK].ipc, A_CONFINED, sm_buf_span(&b), -1); /* told again when link is back */
    json_decref(o);
    sm_buf_wipe(&b);
}

/* ---- the agent's own life (guard/tend.h, alive.h) ---- */

/* Who is alive goes to link every third look, and at once when there is something to say. */
static void tell_alive(struct supervisor *s, uint64_t now)
{
    struct sm_buf b = SM_BUF_INIT(ALIVE_BODY_MAX);
    json_t *parts = json_object(), *why = notes_due(&s->notes);
    for (int i = 0; i < P_COUNT && parts; i++)
        if (s->part[i].proc.pid && s->part[i].tend.beat_ms)
            (void)!json_object_set_new(parts, rows[i].name, json_integer((json_int_t)tend_age(&s->part[i].tend, now)));
    json_t *o = json_pack("{s:s,s:s,s:o,s:o}", "life", s->life, "machine", s->machine, "parts", parts, "why", why);
    if (o && !sm_json_dump(o, &b) && !sm_ipc_send(s->part[P_LINK].ipc, A_ALIVE, sm_buf_span(&b), -1))
        s->word_ms = now;
    json_decref(o);
    sm_buf_wipe(&b);
}

static void look_full(struct supervisor *s)
{
    struct plat_fs_space space;
    if (plat_fs_space(s->dir, ".", &space))
        return;
    bool full = space.avail_bytes < FULL_BYTES || (space.total_files && !space.free_files);
    if (full && !s->full)
        notes_add(&s->notes, "agent_disk_full", NULL, s->data);
    s->full = full;
}

static void reap_left(struct supervisor *s)
{
    int status;
    for (size_t i = s->left_n; i--;) {
        if (plat_proc_wait(&s->left[i], 0, &status) == -SM_ETIME)
            continue;
        plat_proc_close(&s->left[i]);
        s->left[i] = s->left[--s->left_n];
    }
}

static void on_second(void *arg)
{
    struct supervisor *s = arg;
    uint64_t now = plat_clock_mono_ms();
    bool late = s->second_ms && now - s->second_ms > TEND_LOOK_MS + LATE_MS;
    s->second_ms = now;
    s->looks++;
    for (int i = 0; i < P_COUNT && !s->stopping; i++) {
        struct part *p = &s->part[i];
        const struct tend_at at = {
            .part = rows[i].name, .pid = p->proc.pid, .now_ms = now, .deciding = strcmp(rows[i].name, "sensor") == 0};
        if (late && p->tend.beat_ms)
            tend_beat(&p->tend, now);
        bool turn = at.deciding || (s->looks + (unsigned)i) % 2 == 0; /* the others every two seconds: it costs */
        if (p->proc.pid && turn && tend_look(&p->tend, &at, &s->notes))
            (void)plat_proc_kill(&p->proc, SIGKILL); /* it is gone already, or was not ours to wait for */
    }
    reap_left(s);
    look_full(s);
    if (s->part[P_GUARD].ready)
        (void)sm_ipc_send(s->part[P_GUARD].ipc, G_BEAT, SM_SPAN(NULL, 0), -1); /* it sees by that, too */
    bool due = now - s->word_ms >= ALIVE_EVERY_MS - TEND_LOOK_MS / 2;
    if (!s->stopping && s->part[P_LINK].ready && (due || json_array_size(s->notes.list)))
        tell_alive(s, now);
}

static void on_note(struct supervisor *s, struct sm_span body)
{
    json_t *o = NULL;
    if (sm_json_parse(body, 1024, &o, NULL) == 0)
        notes_take(&s->notes, o);
    json_decref(o);
}

static void on_said(struct supervisor *s, struct sm_span body)
{
    struct sm_rd rd = SM_RD(body);
    uint64_t upto = sm_rd_u64(&rd);
    if (!rd.err)
        notes_said(&s->notes, upto);
}

/* ---- helpers of a run ---- */

/* The helper gets its work and, like who asked for it, an end of a channel of their own. */
static void start_helper(struct part *p)
{
    struct supervisor *s = p->s;
    struct part *asks = &s->part[p->id == P_PROOF ? P_RESTORE : P_BACKUP];
    int pair[2];
    p->waiting = false;
    sm_ipc_free(p->ipc); /* of the one before, if its end was not heard of yet */
    p->ipc = NULL;
    if (plat_local_pair(pair))
        return;
    start(p);
    if (p->ipc && sm_ipc_send(p->ipc, A_HELP, SM_SPAN(&p->work, sizeof p->work), -1))
        sm_warn("%s could not be given its work", rows[p->id].name);
    attach(p, asks, pair[1]);
    attach(asks, p, pair[0]);
    close(pair[0]);
    close(pair[1]);
}

static void on_help(struct supervisor *s, enum part_id asks, struct sm_span body)
{
    struct helper_work w;
    if (helper_work_get(body, &w)) {
        sm_error("%s asked for a helper in a wrong way", rows[asks].name);
        return;
    }
    bool hook = strcmp(w.kind, "before") == 0 || strcmp(w.kind, "after") == 0;
    struct part *p = &s->part[asks == P_RESTORE ? P_PROOF : hook ? P_HOOK : P_PREPARE];
    p->work = w;
    p->waiting = true;
    if (p->proc.pid == 0)
        start_helper(p);
}

static void tell_local(void *arg)
{
    struct supervisor *s = arg;
    struct sm_buf b = SM_BUF_INIT(65536);
    json_t *list = s->part[P_LINK].ready ? access_features(s->data) : NULL;
    json_t *o = list ? json_pack("{s:o,s:o*,s:b}", "features", list, "os", facts_os("", s->data, s->skip), "endpoint", s->endpoint) : NULL;
    if (o && !json_equal(o, s->local) && !sm_json_dump(o, &b) && !sm_ipc_send(s->part[P_LINK].ipc, A_LOCAL, sm_buf_span(&b), -1)) {
        json_decref(s->local);
        s->local = json_incref(o);
    }
    json_decref(o);
    sm_buf_wipe(&b);
    sm_timer_set(s->local_timer, LOCAL_MS, 0);
}

static void on_ready(struct part *p, struct sm_span body)
{
    struct supervisor *s = p->s;
    if (plat_confined_get(body, &p->confined))
        sm_warn("%s did not say how it is confined", rows[p->id].name);
    p->ready = p->born = true;
    p->stillborn = 0;
    if (p->id == P_LINK) {
        json_decref(s->local);
        s->local = NULL;
        tell_local(s);
    }
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i].a == p->id || pairs[i].b == p->id)
            connect_parts(&s->part[pairs[i].a], &s->part[pairs[i].b]);
    if ((p->id == P_DECOY || p->id == P_SENSOR) && s->settings.n) {
        (void)sm_ipc_send(
            p->ipc, L_SETTINGS, sm_buf_span(&s->settings), -1); /* a dead part is started anew with the next settings */
    }
    tell_confined(s);
}

static void on_message(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct part *p = arg;
    struct supervisor *s = p->s;
    (void)ipc;
    if (m->type == A_BEAT) {
        tend_beat(&p->tend, plat_clock_mono_ms());
    } else if (m->type == G_NOTE) {
        on_note(s, m->body);
    } else if (m->type == A_SAID) {
        on_said(s, m->body);
    } else if (m->type == A_READY) {
        on_ready(p, m->body);
    } else if (m->type == A_RESTORE) {
        if (s->part[P_RESTORE].proc.pid == 0)
            start(&s->part[P_RESTORE]);
        else
            s->part[P_RESTORE].waiting = true; /* link heard sooner than we that the one before ended */
    } else if (m->type == A_HELP) {
        on_help(s, p->id, m->body);
    } else if (m->type == A_CERT) {
        int r = renew_keep(s->data, m->body);
        if (r)
            sm_warn("the renewed certificate could not be kept: %s", sm_strerror(r));
        else
            sm_info("the certificate of this machine was renewed");
    } else if (m->type == L_SETTINGS) {
        sm_buf_clear(&s->settings);
        bool kept = !sm_buf_put_span(&s->settings, m->body);
        if (kept && s->part[P_SENSOR].ready)
            (void)sm_ipc_send(s->part[P_SENSOR].ipc, L_SETTINGS, m->body, -1); /* a dead one gets them when it is ready again */
        if (kept && s->part[P_DECOY].proc.pid == 0)
            start(&s->part[P_DECOY]);
    }
}

/* ---- life and death of a part ---- */

static void on_channel_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct part *p = arg;
    if (err)
        sm_error("%s broke the rules of its channel: %s", rows[p->id].name, sm_strerror(err));
    sm_ipc_free(ipc);
    p->ipc = NULL;
    p->ready = false;
    if (err && p->proc.pid)
        (void)plat_proc_kill(&p->proc, SIGKILL); /* it may be gone already */
}

static void restart_now(void *arg)
{
    struct part *p = arg;
    if (p->proc.pid == 0 && !p->s->stopping)
        start(p);
}

static void all_gone(struct supervisor *s)
{
    for (int i = 0; i < P_COUNT; i++)
        if (s->part[i].proc.pid)
            return;
    sm_loop_stop(s->loop, 0);
}

/* What it could not remove itself: the folder above its own, or all of it after a crash. */
static void clear_proof(const struct part *p)
{
    char path[DRILL_PATH_MAX];
    proof_path(p->work.source, path);
    if (!drill_remove(path))
        sm_warn("%s could not be removed", path);
}

/* Ended, and reaped or not yet. */
static void bury(struct supervisor *s, struct plat_proc *proc, bool reaped)
{
    if (reaped || s->left_n == LEFT_MAX)
        plat_proc_close(proc);
    else
        s->left[s->left_n++] = *proc;
    *proc = PLAT_PROC_NONE;
}

static void on_death(void *arg, int fd, unsigned events)
{
    struct part *p = arg;
    struct supervisor *s = p->s;
    char text[48];
    int status = 0;
    (void)fd;
    (void)events;
    bool ours = plat_proc_wait(&p->proc, 0, &status) != -SM_ETIME;
    if (!ours)
        status = SIGKILL; /* it has ended, but a debugger holds what is left of it: nobody waits for that */
    plat_proc_status_text(status, text);
    sm_watch_free(p->watch);
    p->watch = NULL;
    bury(s, &p->proc, ours);
    sm_ipc_free(p->ipc); /* what it still said is nobody's: it must not be taken for a word of the next one */
    p->ipc = NULL;
    bool born = p->born;
    p->ready = p->born = false;
    if (s->stopping) {
        all_gone(s);
        return;
    }
    if (s->endpoint)
        tend_died(&p->tend, rows[p->id].name, status, is_lasting(s, p->id) && p->delay_ms == RESTART_MAX_MS, &s->notes);
    if (!is_lasting(s, p->id)) {
        if (status)
            sm_warn("%s ended (%s)", rows[p->id].name, text);
        if (p->id == P_RESTORE && !born && p->stillborn++ < STILLBORN_MAX)
            p->waiting = true; /* link holds the order for it */
        if (p->id == P_PREPARE && staging_clear(s->data, NULL)) /* what it could not remove itself, or a crash left */
            sm_warn("files made for a backup could not be removed");
        if (p->id == P_PROOF)
            clear_proof(p);
        bool waiting = p->waiting;
        p->waiting = false;
        if (waiting && p->id == P_RESTORE)
            start(p);
        else if (waiting)
            start_helper(p);
        return;
    }
    bool young = plat_clock_mono_ms() - p->started_ms < 10000;
    p->delay_ms = !young ? 0 : p->delay_ms ? p->delay_ms * 2 : 1000;
    if (p->delay_ms > RESTART_MAX_MS)
        p->delay_ms = RESTART_MAX_MS;
    sm_warn("%s ended (%s); it is started again in %u ms", rows[p->id].name, text, p->delay_ms);
    sm_timer_set(p->again, p->delay_ms, 0);
}

static int spawn(struct part *p, int child_fd)
{
    char arg[32];
    snprintf(arg, sizeof arg, "--part=%s", rows[p->id].name);
    bool guard = p->id == P_GUARD; /* what it starts us again with, in a session of its own */
    const char *const words[] = {"sakimori-agent", arg, "--data", p->s->data, p->s->skip ? "--skip" : NULL, p->s->skip,
        guard && p->s->socket ? "--local" : NULL, guard ? p->s->socket : NULL, guard && p->s->kept ? "--kept" : NULL};
    char *argv[sizeof words / sizeof words[0] + 1];
    size_t n = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i])
            argv[n++] = (char *)(uintptr_t)words[i];
    argv[n] = NULL;
    const struct plat_spawn_fd fds[] = {{child_fd, 3}};
    const struct plat_spawn sp = {.argv = argv, .fds = fds, .fds_n = 1, .group = guard, .env = guard ? environ : NULL};
    return plat_proc_spawn(&sp, &p->proc);
}

static void start(struct part *p)
{
    struct supervisor *s = p->s;
    int pair[2];
    size_t may_n = 0;
    while (may_n < rows[p->id].may_n && may_n < MAY_MAX - 1) {
        p->may[may_n] = rows[p->id].may[may_n];
        may_n++;
    }
    p->may[may_n++] = (struct sm_ipc_rule){A_BEAT, 0, false, "A_BEAT"};
    const struct sm_ipc_config c = {.may_receive = p->may,
        .may_receive_n = may_n,
        .body_max = SM_IPC_BODY_MAX,
        .queue_max = (size_t)4 << 20,
        .on_message = on_message,
        .on_gone = on_channel_gone,
        .arg = p};
    int r = plat_local_pair(pair);
    if (!r) {
        r = spawn(p, pair[1]);
        close(pair[1]);
        if (!r)
            r = sm_ipc_new(s->loop, pair[0], &c, &p->ipc);
        else
            close(pair[0]);
    }
    p->started_ms = plat_clock_mono_ms();
    tend_born(&p->tend);
    p->met = false;
    if (!r)
        r = sm_loop_fd(s->loop, p->proc.fd, SM_READ, on_death, p, &p->watch);
    if (r) {
        sm_error("%s could not be started: %s", rows[p->id].name, sm_strerror(r));
        if (is_lasting(s, p->id))
            sm_timer_set(p->again, RESTART_MAX_MS, 0);
    }
}

static bool has_endpoint(const struct supervisor *s)
{
    struct agent_policy policy = {0};
    char why[160] = "";
    bool yes = geteuid() == 0 && !policy_load(s->data, s->skip, &policy, why) && !policy.no_endpoint;
    policy_wipe(&policy);
    return yes;
}

static void start_all(struct supervisor *s)
{
    if (access_folders(s->data) || staging_clear(s->data, NULL))
        sm_warn("the folders for databases could not be made ready");
    if (logs_folder(s->data))
        sm_warn("the folder for the places of logs could not be made");
    s->endpoint = has_endpoint(s);
    if (s->endpoint) {
        (void)unlink(UPGRADE_MARK); /* it is over */
        s->machine = machine_kind(NULL);
        snprintf(s->life, sizeof s->life, "%llx-%x", (unsigned long long)plat_clock_boot_ns(), (unsigned)getpid());
        sm_timer_set(s->second, TEND_LOOK_MS, TEND_LOOK_MS);
    }
    if (s->endpoint && endpoint_folder(s->data, "inspect", INSPECT_USER, INSPECT_UID))
        sm_warn("the folder for the state of the machine could not be made");
    if (s->endpoint && endpoint_folder(s->data, "scan", SCAN_USER, SCAN_UID))
        sm_warn("the folder of scan could not be made");
    if (s->endpoint && endpoint_folder(s->data, "judge", JUDGE_USER, JUDGE_UID))
        sm_warn("the folder of judge could not be made");
    if (s->endpoint && endpoint_folder(s->data, "media", "", 0))
        sm_warn("the folder of media could not be made");
    for (int i = 0; i < P_COUNT; i++)
        if (is_lasting(s, i))
            start(&s->part[i]);
    (void)plat_notify("READY=1"); /* only where a service manager listens */
}

/* ---- joining by itself, beside a box on the same machine ---- */

static void try_join(void *arg)
{
    struct supervisor *s = arg;
    char why[256] = "";
    int r = join_local(s->data, s->socket, why);
    if (r == 0) {
        sm_info("joined the box on this machine");
        start_all(s);
        return;
    }
    bool again = r == -SM_EEXISTS && s->told_known; /* said once */
    s->told_known = r == -SM_EEXISTS;
    if (r != -SM_ESTATE && r != -SM_EPEER && !again)
        sm_warn("joining the box on this machine: %s", why[0] ? why : sm_strerror(r));
    sm_timer_set(s->join_timer, JOIN_TRY_MS, 0); /* the box is not set up yet */
}

/* ---- start and end ---- */

static void kill_all(void *arg)
{
    struct supervisor *s = arg;
    for (int i = 0; i < P_COUNT; i++)
        if (s->part[i].proc.pid)
            (void)plat_proc_kill(&s->part[i].proc, SIGKILL); /* it did not end in time */
}

static void stop_parts(void *arg)
{
    struct supervisor *s = arg;
    sm_timer_stop(s->bye_timer);
    for (int i = 0; i < P_COUNT; i++)
        if (s->part[i].ipc)
            (void)sm_ipc_send(s->part[i].ipc, A_STOP, SM_SPAN(NULL, 0), -1); /* killed below if it does not hear */
    sm_timer_set(s->kill_timer, STOP_MS, 0);
    all_gone(s);
}

/* The box ordered that the agent may be removed (actor/uninstall.c): until when stands in actor's folder. */
static bool may_go(const struct supervisor *s, int64_t now)
{
    struct sm_buf b = SM_BUF_INIT(32);
    int r = plat_fs_read_file(s->dir, "actor/uninstall", 32, &b);
    const char *text = r ? NULL : sm_buf_str(&b);
    bool may = text && strtoll(text, NULL, 10) > now;
    sm_buf_wipe(&b);
    return may;
}

/* Why we end.  A person who stops the service looks like an attacker who does: the box is told so. */
static const char *why_ended(const struct supervisor *s)
{
    struct stat st;
    int64_t now = plat_clock_wall().s;
    if (stat(UPGRADE_MARK, &st) == 0 && st.st_uid == 0 && now - st.st_mtime < UPGRADE_S)
        return "upgrade";
    if (may_go(s, now))
        return "uninstall";
    return plat_service_ending() ? "shutdown" : "stop";
}

static void bye_answered(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct supervisor *s = arg;
    (void)err;
    (void)m;
    (void)text;
    if (s->stopping && s->bye_timer)
        sm_timer_set(s->bye_timer, 0, 0);
}

/* Link tells the box before it ends, if it can in a moment. */
static bool say_bye(struct supervisor *s, const char *why)
{
    char text[64];
    if (!s->endpoint || !s->part[P_LINK].ready || !s->part[P_LINK].ipc)
        return false;
    int n = snprintf(text, sizeof text, "{\"why\":\"%s\"}", why);
    return sm_ipc_ask(s->part[P_LINK].ipc, A_BYE, SM_SPAN(text, (size_t)n), -1, bye_answered, s) == 0;
}

static void on_signal(void *arg, int signo)
{
    struct supervisor *s = arg;
    (void)signo;
    if (s->stopping)
        return;
    s->stopping = true;
    if (say_bye(s, s->endpoint ? why_ended(s) : ""))
        sm_timer_set(s->bye_timer, BYE_MS, 0);
    else
        stop_parts(s);
}

/* The machine goes to sleep (packaging/agent: system-sleep). */
static void on_sleep(void *arg, int signo)
{
    struct supervisor *s = arg;
    (void)signo;
    if (!s->stopping)
        (void)say_bye(s, "sleep"); /* without a link there is nobody to tell it */
}

static int make(struct supervisor *s)
{
    int r = sm_loop_new(&s->loop);
    for (int i = 0; i < P_COUNT && !r; i++) {
        s->part[i] = (struct part){.s = s, .id = (enum part_id)i, .proc = PLAT_PROC_NONE};
        r = sm_loop_timer(s->loop, (uint64_t)86400000, 0, restart_now, &s->part[i], &s->part[i].again);
    }
    if (!r)
        r = sm_loop_timer(s->loop, (uint64_t)86400000, 0, kill_all, s, &s->kill_timer);
    if (!r)
        r = sm_loop_timer(s->loop, UINT64_MAX, 0, stop_parts, s, &s->bye_timer);
    if (!r)
        r = sm_loop_timer(s->loop, UINT64_MAX, 0, on_second, s, &s->second);
    if (!r)
        r = sm_loop_timer(s->loop, (uint64_t)86400000, 0, try_join, s, &s->join_timer);
    if (!r)
        r = sm_loop_timer(s->loop, LOCAL_MS, 0, tell_local, s, &s->local_timer);
    if (!r)
        r = sm_loop_signal(s->loop, SIGTERM, on_signal, s);
    if (!r)
        r = sm_loop_signal(s->loop, SIGINT, on_signal, s);
    if (!r)
        r = sm_loop_signal(s->loop, SIGUSR1, on_sleep, s);
    return r;
}

int supervisor_main(const char *data, const char *local_socket, const char *skip, const char *revived)
{
    static struct supervisor s;
    struct agent_config config = {0};
    char why[160] = "";
    s = (struct supervisor){.data = data, .socket = local_socket, .skip = skip, .settings.max = SM_IPC_BODY_MAX, .kept = plat_service_ours()};
    if (revived)
        notes_add(&s.notes, revived, "supervisor", "ended, and started again by the guard");
    int lock = -1, dir = plat_fs_open_dir(AT_FDCWD, data);
    int r = dir == -ENOENT && local_socket ? plat_fs_mkdir_p(data, 0711) : dir < 0 ? dir : 0;
    if (!r && dir < 0)
        dir = plat_fs_open_dir(AT_FDCWD, data);
    if (!r) {
        s.dir = dir;
        lock = plat_fs_lock(dir, "lock");
        r = lock < 0 ? lock : make(&s);
        if (lock == -SM_EAGAIN)
            snprintf(why, sizeof why, "another agent uses this folder already");
    }
    int joined = r ? r : agent_config_load(data, &config, why);
    agent_config_wipe(&config);
    if (!r && !joined)
        start_all(&s);
    else if (!r && joined == -SM_ENOTFOUND && local_socket)
        sm_timer_set(s.join_timer, 0, 0);
    else if (!r)
        r = joined;
    if (r)
        sm_error("%s", why[0] ? why : sm_strerror(r));
    else
        r = sm_loop_run(s.loop);
    json_decref(s.local);
    notes_wipe(&s.notes);
    if (s.endpoint) {
        char group[40];
        guard_group(data, group);
        plat_life_apart_end(group);
    }
    if (lock >= 0)
        close(lock);
    if (dir >= 0)
        close(dir);
    return r ? 1 : 0;
}
