/* What the box is still to hear: the end of each order, kept in hold until the box took it. */
#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "sakimori-agent/actor/actor.h"

enum { TELL_MAX = 400, BODY_MAX = 7 << 10 };

struct reports { bool under_way; unsigned life; };

int reports_open(struct actor *a)
{
    a->reports = calloc(1, sizeof *a->reports);
    return a->reports ? 0 : -ENOMEM;
}

void reports_free(struct actor *a)
{
    free(a->reports);
    a->reports = NULL;
}

void reports_dropped(struct actor *a)
{
    a->reports->under_way = false;
}

int actor_call(struct actor *a, unsigned method, const char *path, struct sm_span body, sm_ipc_answer_fn fn, void *arg)
{
    struct sm_buf b = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = a->link ? sm_buf_put_u8(&b, (uint8_t)method) : -SM_EPEER;
    if (!r)
        r = sm_buf_put_u16(&b, (uint16_t)strlen(path));
    if (!r)
        r = sm_buf_put(&b, path, strlen(path));
    if (!r)
        r = sm_buf_put_span(&b, body);
    if (!r)
        r = sm_ipc_ask(a->link, L_CALL, sm_buf_span(&b), -1, fn, arg);
    sm_buf_wipe(&b);
    return r;
}

/* The box took it, or never will (it does not know the order any more). */
static void taken(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct actor *a = arg;
    (void)text;
    a->reports->under_way = false;
    struct sm_rd rd = SM_RD(m ? m->body : SM_SPAN(NULL, 0));
    unsigned status = err || !m ? 0 : sm_rd_u16(&rd);
    if (status != 200 && status != 400 && status != 404 && status != 413)
        return; /* the next tick tries again */
    (void)json_array_remove(hold_list(&a->hold, "tell"), 0);
    if (hold_save(&a->hold))
        sm_warn("what was told to the box may be told again");
    reports_go(a);
}

void reports_go(struct actor *a)
{
    json_t *first = json_array_get(hold_list(&a->hold, "tell"), 0), *o;
    struct sm_buf b = SM_BUF_INIT(BODY_MAX);
    char path[L_PATH_MAX];
    if (!first || a->reports->under_way || !a->link)
        return;
    const char *order = json_string_value(json_object_get(first, "order"));
    if (order)
        (void)snprintf(path, sizeof path, "/agent/v1/orders/%.64s/ack", order);
    else
        (void)snprintf(path, sizeof path, "/agent/v1/quarantine");
    o = json_copy(first);
    json_object_del(o, "order");
    if (o && sm_json_dump(o, &b) == -SM_ELIMIT) { /* too many facts for one message: without them */
        json_object_del(o, "facts");
        sm_buf_clear(&b);
        (void)!sm_json_dump(o, &b); /* the box refuses what is none, and it is dropped */
    }
    a->reports->under_way = !actor_call(a, 1, path, sm_buf_span(&b), taken, a);
    json_decref(o);
    sm_buf_wipe(&b);
}

void report_order(struct actor *a, const char *order, const char *state, const char *detail, const json_t *facts)
{
    json_t *list = hold_list(&a->hold, "tell");
    json_t *o = json_pack("{s:s,s:s,s:s}", "order", order, "state", state, "detail", detail);
    if (o && facts)
        (void)json_object_set(o, "facts", (json_t *)(uintptr_t)facts); /* told without them where there is no memory */
    if (json_array_size(list) >= TELL_MAX) /* the oldest but the one under way */
        (void)json_array_remove(list, 1);
    if (!o || json_array_append_new(list, o) || hold_save(&a->hold))
        sm_warn("the end of the order %s may stay unsaid", order);
    reports_go(a);
}

void report_quarantine(struct actor *a, const json_t *entry)
{
    json_t *list = hold_list(&a->hold, "tell"), *o = json_pack("{s:O}", "entry", entry);
    if (json_array_size(list) >= TELL_MAX)
        (void)json_array_remove(list, 1);
    if (!o || json_array_append_new(list, o) || hold_save(&a->hold))
        sm_warn("what was set aside may stay unsaid");
    reports_go(a);
}
