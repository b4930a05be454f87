#include "sakimorid/wire.h"

#include <errno.h>

void wire_answer(struct sm_ipc *ipc, struct sm_ipc_msg *m, json_t *o, int r, const char *why)
{
    if (!r && !o)
        r = -ENOMEM;
    if (r)
        child_reply_error(ipc, m, r, why && why[0] ? why : sm_strerror(r));
    else
        child_reply_json(ipc, m, o);
    json_decref(o);
}

json_t *wire_body(struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    json_t *o = NULL;
    char why[160];
    int r = msg_json(m->body, WIRE_JSON_MAX, &o, why);
    if (r)
        child_reply_error(ipc, m, r, why);
    return o;
}

void wire_hex(json_t *o, const char *key, const void *p, size_t n)
{
    char hex[2 * 512 + 1];
    if (n > 512)
        return;
    sm_hex(p, n, hex);
    json_object_set_new(o, key, json_stringn(hex, 2 * n));
}

void wire_text(json_t *o, const char *key, struct sm_span s)
{
    json_object_set_new(o, key, json_stringn((const char *)s.p, s.n));
}

void wire_int(json_t *o, const char *key, uint64_t v)
{
    json_object_set_new(o, key, json_integer((json_int_t)v));
}

struct sm_span wire_get(struct sm_obj *o, const char *key, size_t max)
{
    const char *s = sm_obj_str(o, key, 1, max);
    return SM_SPAN_STR(s);
}

bool wire_hex_opt(struct sm_obj *o, const char *key, void *ret, size_t n)
{
    const json_t *v = json_object_get(o->o, key);
    if (!v || json_is_null(v))
        return false;
    sm_obj_hex(o, key, ret, n);
    return !o->err;
}
