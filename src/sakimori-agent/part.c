/* What the parts have in common: their birth, and for most of them their life. */
#include <errno.h>
#include <unistd.h>

#include "crypto/init.h"
#include "plat/proc.h"
#include "sakimori-agent/agent.h"

static int confine_files(const struct part_rules *rules, struct plat_confined *c)
{
    const struct plat_but but = {.out = &rules->out,
        .out_n = 1,
        .write = rules->out_write,
        .add = rules->out_add,
        .also = rules->paths,
        .also_n = rules->paths_n};
    if (!rules->out)
        return rules->landlock ? plat_sandbox_landlock(rules->paths, rules->paths_n, c) : 0;
    int r = plat_sandbox_landlock_but(&but, c);
    if (r != -SM_ELIMIT)
        return r;
    plat_confined_missing(c, "landlock: too many files stand beside the folder to be left out");
    return 0;
}

int part_confine(const struct part_rules *rules, struct plat_confined *ret)
{
    struct plat_confined c = {0};
    uid_t uid = rules->uid;
    gid_t gid = rules->uid;
    int r = crypto_init();
    if (!r)
        r = plat_sandbox_hygiene(rules->nofile, getppid(), &c);
    if (!r)
        r = confine_files(rules, &c);
    if (!r && rules->user[0]) {
        (void)plat_user_lookup(rules->user, &uid, &gid); /* without such a user the number serves */
        r = plat_sandbox_user(uid, gid, NULL, 0, rules->caps, rules->caps_n, &c);
    } else if (!r) {
        r = plat_sandbox_caps(rules->caps, rules->caps_n, &c);
    }
    if (!r)
        r = plat_sandbox_seccomp(rules->profile, &c);
    if (!r)
        *ret = c;
    return r;
}

/* ---- a part that waits for messages ---- */

#define ALSO_MAX 6
#define BEAT_MS 2500u
#define ATTACH_MAX 4096

static void on_up(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct part_life *p = arg;
    (void)ipc;
    if (m->type == A_STOP) {
        p->told = true;
        sm_loop_stop(p->loop, 0);
        return;
    }
    if (m->type != A_ATTACH) {
        p->message(p->arg, m);
        return;
    }
    sm_cleanup(sm_json_free) json_t *o = NULL;
    const char *peer = sm_json_parse(m->body, ATTACH_MAX, &o, NULL) ? NULL : json_string_value(json_object_get(o, "peer"));
    if (peer && m->fd >= 0)
        p->attach(p->arg, peer, json_is_true(json_object_get(o, "fresh")), &m->fd);
}

static void on_up_gone(void *arg, struct sm_ipc *ipc, int err)
{
    (void)ipc;
    (void)err;
    sm_loop_stop(((struct part_life *)arg)->loop, 0);
}

static void on_beat(void *arg)
{
    (void)sm_ipc_send(((struct part_life *)arg)->up, A_BEAT, SM_SPAN(NULL, 0), -1); /* a supervisor that is gone ends us */
}

static int say_ready(struct sm_ipc *up, const struct plat_confined *c)
{
    struct sm_buf b = SM_BUF_INIT(1024);
    int r = plat_confined_put(c, &b);
    if (!r)
        r = sm_ipc_send(up, A_READY, sm_buf_span(&b), -1);
    sm_buf_wipe(&b);
    return r;
}

int part_begin(struct part_life *p, const struct plat_confined *c)
{
    size_t n = 0, body = 65536;
    p->rules[n++] = (struct sm_ipc_rule){A_ATTACH, ATTACH_MAX, true, "A_ATTACH"};
    p->rules[n++] = (struct sm_ipc_rule){A_STOP, 16, false, "A_STOP"};
    for (size_t i = 0; i < p->also_n && i < ALSO_MAX; i++) {
        p->rules[n++] = p->also[i];
        body = p->also[i].body_max > body ? p->also[i].body_max : body;
    }
    const struct sm_ipc_config up = {.may_receive = p->rules,
        .may_receive_n = n,
        .body_max = body,
        .queue_max = (size_t)2 << 20,
        .on_message = on_up,
        .on_gone = on_up_gone,
        .arg = p};
    int r = p->loop ? 0 : sm_loop_new(&p->loop);
    if (!r)
        r = sm_ipc_new(p->loop, 3, &up, &p->up);
    if (!r)
        r = sm_loop_timer(p->loop, BEAT_MS, p->beat_ms ? p->beat_ms : BEAT_MS, on_beat, p, &p->beat);
    return r ? r : say_ready(p->up, c);
}

int part_begin_plain(
    const struct sm_ipc_rule *rules, size_t n, const struct plat_confined *c, struct sm_ipc **ret_up)
{
    const struct sm_ipc_config config = {
        .may_receive = rules, .may_receive_n = n, .body_max = SM_IPC_BODY_MAX, .queue_max = 65536};
    struct sm_ipc *up;
    int r = sm_ipc_new(NULL, 3, &config, &up);
    if (r)
        return r;
    r = say_ready(up, c);
    if (r)
        sm_ipc_free(up);
    else
        *ret_up = up;
    return r;
}
