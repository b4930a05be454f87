#include "sakimori-agent/media.h"

#include <errno.h>
#include <linux/capability.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"

struct media {
    struct agent_config config;
    struct agent_policy local;
    struct endpoint_own own;
    struct endpoint_policy policy;
    char policy_path[AGENT_PATH_MAX + 32], why[200];
    struct part_life life;
    struct sm_ipc *judge;
    struct sm_timer *look;
    struct sm_watch *watch;
    int uevents;
    struct media_one of[PLAT_MEDIA_MAX];
    size_t n;
    json_t *told;
};

const char *media_word(enum endpoint_media mode)
{
    return mode == ENDPOINT_MEDIA_BLOCK ? "block" : mode == ENDPOINT_MEDIA_READ_ONLY ? "read_only" : "allow";
}

enum endpoint_media media_wanted(const struct endpoint_policy *p, const struct plat_medium *m)
{
    for (size_t i = 0; m->serial[0] && i < p->media_allow.n; i++)
        if (strcmp(p->media_allow.at[i], m->serial) == 0)
            return ENDPOINT_MEDIA_ALLOW;
    return p->media;
}

/* ---- telling ---- */

static void event(struct media *d, const struct media_one *o, const char *action, int err)
{
    char at[SM_TIME_TEXT];
    struct sm_buf b = SM_BUF_INIT(4096);
    sm_time_rfc3339(plat_clock_wall(), at);
    json_t *e = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "v", 1, "at", at, "service", "sakimori", "action", action, "Device", o->m.name,
        "Serial", o->m.serial, "Model", o->m.label, "Kind", o->m.kind, "Size", (json_int_t)o->m.bytes);
    if (e && err)
        (void)!json_object_set_new(e, "detail", json_string(sm_strerror(err))); /* without memory it is left out */
    if (e && d->judge && !sm_json_dump(e, &b) && !sm_buf_put_u8(&b, '\n') && sm_ipc_send(d->judge, E_EVENT, sm_buf_span(&b), -1))
        sm_warn("%s %s could not be told", action, o->m.name);
    json_decref(e);
    sm_buf_wipe(&b);
}

static void tell(struct media *d)
{
    struct sm_buf b = SM_BUF_INIT(E_PART_STATE_MAX);
    json_t *list = json_array(), *o;
    for (size_t i = 0; list && i < d->n && i < MEDIA_TOLD_MAX; i++) {
        const struct media_one *k = &d->of[i];
        (void)!json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:b}", "device", k->m.name, "serial", k->m.serial, "name", k->m.label,
                                               "kind", k->m.kind, "bytes", (json_int_t)k->m.bytes, "mode", media_word(k->done), "failed", k->failed));
    }
    o = json_pack("{s:s,s:I,s:o,s:i,s:s}", "mode", media_word(d->policy.media), "number", (json_int_t)d->policy.number, "list", list, "more",
        d->n > MEDIA_TOLD_MAX ? (int)(d->n - MEDIA_TOLD_MAX) : 0, "why", d->why);
    if (o && d->judge && !json_equal(o, d->told) && !sm_json_dump(o, &b) && !sm_ipc_send(d->judge, E_PART_STATE, sm_buf_span(&b), -1)) {
        json_decref(d->told);
        d->told = json_incref(o);
    }
    json_decref(o);
    sm_buf_wipe(&b);
}

/* ---- doing ---- */

static void let_go(struct media_one *o)
{
    if (o->hold >= 0)
        close(o->hold);
    o->hold = -1;
}

static int do_it(struct media_one *o, enum endpoint_media want)
{
    bool held = o->hold >= 0;
    let_go(o);
    if (want == ENDPOINT_MEDIA_BLOCK)
        return plat_media_block("", &o->m, &o->hold);
    if (want == ENDPOINT_MEDIA_READ_ONLY)
        return plat_media_read_only(&o->m);
    if (o->done == ENDPOINT_MEDIA_BLOCK && o->m.usb[0] && !held)
        return plat_media_let_in("") > 0 ? 0 : -SM_ENOTFOUND;
    return plat_media_free(&o->m);
}

static void apply(struct media *d, struct media_one *o)
{
    static const char *const acts[] = {"media_allowed", "media_read_only", "media_blocked"};
    enum endpoint_media want = media_wanted(&d->policy, &o->m);
    bool undone = o->done == ENDPOINT_MEDIA_READ_ONLY && !o->failed && !plat_media_is_read_only("", &o->m);
    if (want == o->done && !o->failed && !undone)
        return;
    if (want == o->done && undone)
        event(d, o, "media_undone", 0);
    bool before = o->failed;
    int r = do_it(o, want);
    o->failed = r != 0;
    o->done = want;
    if (r && !before)
        event(d, o, "media_failed", r);
    else if (!r)
        event(d, o, acts[want], 0);
}

static struct media_one *find(struct media *d, const struct plat_medium *m)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->of[i].m.name, m->name) == 0 && strcmp(d->of[i].m.serial, m->serial) == 0)
            return &d->of[i];
    return NULL;
}

/* Cut off by us, it is no disk any more; its USB device is still there. */
static bool cut_off(const struct media_one *o)
{
    return o->done == ENDPOINT_MEDIA_BLOCK && o->m.usb[0] && !o->failed && access(o->m.usb, F_OK) == 0;
}

static void look(void *arg)
{
    struct media *d = arg;
    struct plat_medium list[PLAT_MEDIA_MAX];
    size_t n = 0;
    int r = plat_media_list("", (const char *const *)d->local.media, d->local.media_n, list, PLAT_MEDIA_MAX, &n);
    sm_timer_set(d->look, MEDIA_LOOK_MS, 0);
    snprintf(d->why, sizeof d->why, "%s", r ? sm_strerror(r) : "");
    for (size_t i = 0; i < d->n; i++)
        d->of[i].there = cut_off(&d->of[i]);
    for (size_t i = 0; i < n; i++) {
        struct media_one *o = find(d, &list[i]);
        if (!o && d->n < PLAT_MEDIA_MAX) {
            o = &d->of[d->n++];
            *o = (struct media_one){.m = list[i], .hold = -1};
        }
        if (o)
            o->there = true;
    }
    for (size_t i = d->n; i--;) {
        if (d->of[i].there) {
            apply(d, &d->of[i]);
            continue;
        }
        let_go(&d->of[i]);
        d->of[i] = d->of[--d->n];
    }
    tell(d);
}

/* ---- judge ---- */

static void on_judge(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct media *d = arg;
    char why[160] = "";
    sm_cleanup(sm_json_free) json_t *row = NULL;
    (void)ipc;
    if (m->type != E_POLICY || sm_json_parse(m->body, ENDPOINT_ROW_MAX, &row, NULL))
        return;
    int r = endpoint_policy_take(row, &d->own, &d->policy, why);
    if (r && r != -SM_EEXISTS)
        sm_warn("a policy was not taken: %s", why[0] ? why : sm_strerror(r));
    if (!r)
        look(d);
}

static void on_judge_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct media *d = arg;
    (void)err;
    sm_ipc_free(ipc);
    d->judge = NULL;
    json_decref(d->told);
    d->told = NULL;
}

static void on_attach(void *arg, const char *peer, bool fresh, int *fd)
{
    static const struct sm_ipc_rule may[] = {{E_POLICY, ENDPOINT_ROW_MAX, false, "E_POLICY"}, {E_TREE, E_TREE_MAX, false, "E_TREE"}};
    struct media *d = arg;
    const struct sm_ipc_config c = {.may_receive = may,
        .may_receive_n = 2,
        .body_max = ENDPOINT_ROW_MAX,
        .queue_max = (size_t)1 << 20,
        .on_message = on_judge,
        .on_gone = on_judge_gone,
        .arg = d};
    int taken = *fd;
    (void)fresh;
    *fd = -1;
    if (strcmp(peer, "judge") != 0) {
        close(taken);
        return;
    }
    if (d->judge)
        on_judge_gone(d, d->judge, 0);
    if (sm_ipc_new(d->life.loop, taken, &c, &d->judge))
        return;
    tell(d);
}

/* ---- birth ---- */

static void on_uevent(void *arg, int fd, unsigned events)
{
    struct media *d = arg;
    (void)events;
    plat_media_drain(fd);
    sm_timer_set(d->look, MEDIA_SOON_MS, 0);
}

static int make(struct media *d, const char *data, char *why)
{
    static const int caps[] = {CAP_SYS_ADMIN};
    const struct part_rules rules = {.profile = "agent-media", .user = "", .caps = caps, .caps_n = 1, .nofile = 256};
    struct plat_confined c = {.uid = false};
    int r = agent_config_load(data, &d->config, why), apart;
    if (!r)
        r = policy_load(data, NULL, &d->local, why);
    snprintf(d->policy_path, sizeof d->policy_path, "%s/media/policy.json", data);
    d->own = (struct endpoint_own){.config = &d->config, .local = &d->local, .path = d->policy_path};
    if (r)
        return r;
    int watch = plat_media_watch(&d->uevents);
    apart = plat_media_enter();
    r = part_confine(&rules, &c);
    if (watch)
        plat_confined_missing(&c, "the kernel tells of no devices: they are looked at every five seconds");
    if (apart)
        plat_confined_missing(&c, "the mounts of the machine cannot be reached");
    if (!r && endpoint_policy_load(&d->own, &d->policy, why))
        sm_warn("the policy that was kept cannot be read: %s", why);
    if (!r)
        r = sm_loop_new(&d->life.loop);
    if (!r)
        r = sm_loop_timer(d->life.loop, 0, 0, look, d, &d->look);
    if (!r && d->uevents >= 0)
        r = sm_loop_fd(d->life.loop, d->uevents, SM_READ, on_uevent, d, &d->watch);
    d->life.attach = on_attach;
    d->life.arg = d;
    return r ? r : part_begin(&d->life, &c);
}

int media_main(const char *data, const char *skip)
{
    static struct media d = {.uevents = -1};
    char why[160] = "";
    (void)skip; /* it reads no files */
    int r = make(&d, data, why);
    if (r)
        sm_error("%s", why[0] ? why : sm_strerror(r));
    else
        r = sm_loop_run(d.life.loop);
    for (size_t i = 0; i < d.n; i++)
        let_go(&d.of[i]);
    json_decref(d.told);
    endpoint_policy_wipe(&d.policy);
    policy_wipe(&d.local);
    agent_config_wipe(&d.config);
    return r ? 1 : 0;
}
