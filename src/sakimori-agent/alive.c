#include "sakimori-agent/alive.h"

#include <errno.h>

#include "core/log.h"
#include "plat/clock.h"

#define CALL_S 5L
#define BYE_S 2L

static void say(struct alive *a);

static void said(void *arg, int status, struct sm_span body)
{
    struct alive *a = arg;
    sm_cleanup(sm_json_free) json_t *o = NULL;
    a->call = NULL;
    if (status == 200 && !sm_json_parse(body, 4096, &o, NULL)) {
        struct sm_buf b = SM_BUF_INIT(16);
        int64_t upto = json_integer_value(json_object_get(o, "said"));
        if (*a->up && upto > 0 && !sm_buf_put_u64(&b, (uint64_t)upto))
            (void)sm_ipc_send(*a->up, A_SAID, sm_buf_span(&b), -1); /* told again with the next word */
        sm_buf_wipe(&b);
        if (a->again)
            say(a);
        return;
    }
    sm_debug("the box did not hear that we are alive (%d)", status);
}

static void say(struct alive *a)
{
    struct sm_buf b = SM_BUF_INIT(ALIVE_BODY_MAX);
    uint64_t now = plat_clock_mono_ms();
    sm_timer_set(a->timer, ALIVE_EVERY_MS, 0);
    a->again = a->call != NULL;
    if (a->call || !a->last || now < a->quiet_until_ms)
        return;
    json_t *o = json_copy(a->last), *parts = json_copy(json_object_get(a->last, "parts"));
    int r = o && parts ? 0 : -ENOMEM;
    if (!r)
        r = json_object_set_new(parts, "supervisor", json_integer((json_int_t)(now - a->last_ms))) ||
                    json_object_set(o, "parts", parts) || json_object_set_new(o, "n", json_integer((json_int_t)++a->n))
                ? -ENOMEM
                : sm_json_dump(o, &b);
    const struct http_request q = {.method = "POST",
        .path = "/agent/v1/alive",
        .headers = {"Content-Type: application/json"},
        .body = sm_buf_span(&b),
        .copy_body = true,
        .timeout_s = CALL_S,
        .done = said,
        .arg = a};
    if (!r)
        r = http_start(a->http, &q, &a->call);
    if (r)
        sm_warn("the box could not be told that we are alive: %s", sm_strerror(r));
    json_decref(parts);
    json_decref(o);
    sm_buf_wipe(&b);
}

static void due(void *arg)
{
    say(arg);
}

int alive_init(struct alive *a)
{
    return sm_loop_timer(a->loop, UINT64_MAX, 0, due, a, &a->timer);
}

void alive_wipe(struct alive *a)
{
    json_decref(a->last);
    a->last = NULL;
}

void alive_told(struct alive *a, struct sm_span body)
{
    json_t *o = NULL;
    bool first = !a->last;
    if (sm_json_parse(body, ALIVE_BODY_MAX, &o, NULL))
        return;
    json_decref(a->last);
    a->last = o;
    a->last_ms = plat_clock_mono_ms();
    if (first || json_array_size(json_object_get(o, "why")))
        say(a);
}

/* ---- good-bye ---- */

struct bye {
    struct alive *a;
    uint16_t type;
    uint64_t id;
};

static void bye_said(void *arg, int status, struct sm_span body)
{
    struct bye *b = arg;
    (void)body;
    if (status != 200)
        sm_warn("the box did not hear our good-bye (%d)", status);
    if (*b->a->up)
        (void)sm_ipc_reply_id(*b->a->up, b->type, b->id, 0, SM_SPAN(NULL, 0), -1); /* it waits for a moment only */
    free(b);
}

void alive_bye(struct alive *a, const struct sm_ipc_msg *m)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    struct bye *b = malloc(sizeof *b);
    struct http_call *call;
    int r = b ? sm_json_parse(m->body, 1024, &o, NULL) : -ENOMEM;
    const char *why = json_string_value(json_object_get(o, "why"));
    /* No word of ours may come behind it. */
    a->quiet_until_ms = plat_clock_mono_ms() + ALIVE_QUIET_MS;
    if (a->call)
        http_cancel(a->call);
    a->call = NULL;
    if (why && strcmp(why, "sleep") != 0)
        sm_timer_stop(a->timer);
    if (b)
        *b = (struct bye){a, m->type, m->id};
    const struct http_request q = {.method = "POST",
        .path = "/agent/v1/bye",
        .headers = {"Content-Type: application/json"},
        .body = m->body,
        .copy_body = true,
        .timeout_s = BYE_S,
        .done = bye_said,
        .arg = b};
    if (!r)
        r = http_start(a->http, &q, &call);
    if (r)
        free(b);
}
