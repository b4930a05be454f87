#include "sakimori-agent/orders.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "crypto/sign.h"
#include "plat/fs.h"

#define LABEL "sakimori/v1/order"
#define REMEMBER_S 86400 /* after not_after */

static int get_time(struct sm_obj *o, const char *key, int64_t *ret)
{
    struct sm_time t = {0};
    const char *s = sm_obj_str(o, key, 10, SM_TIME_TEXT);
    if (!o->err && sm_time_parse(s, &t)) {
        o->err = -SM_EINVAL;
        snprintf(o->why, sizeof o->why, "field \"%s\": a time like 2026-11-22T05:30:00Z", key);
    }
    *ret = t.s;
    return o->err;
}

static int check_signature(struct sm_span text, const char *sig_hex, const uint8_t order_pub[32])
{
    uint8_t sig[64];
    int r = sm_unhex(sig_hex, strlen(sig_hex), sig, sizeof sig);
    return r ? r : crypto_sign_text_verify(order_pub, LABEL, text, sig);
}

static int read_fields(struct sm_span text, const char *device, struct order *ret, char *why)
{
    int r = sm_json_parse(text, ORDER_TEXT_MAX, &ret->json, why);
    if (r)
        return r;
    struct sm_obj o = SM_OBJ(ret->json);
    int64_t v = sm_obj_int(&o, "v", 1, 1000);
    snprintf(ret->id, sizeof ret->id, "%s", sm_obj_str(&o, "id", 8, 64));
    snprintf(ret->kind, sizeof ret->kind, "%s", sm_obj_str(&o, "kind", 1, 32));
    const char *whose = sm_obj_str(&o, "device", 1, 64);
    (void)get_time(&o, "issued", &ret->issued_s); /* sticky: o.err is looked at below */
    (void)get_time(&o, "not_after", &ret->not_after_s);
    ret->args = json_object_get(ret->json, "args");
    if (o.err) {
        snprintf(why, 160, "%s", o.why);
        return o.err;
    }
    if (v != 1)
        return -SM_EVERSION;
    for (const char *p = ret->id; *p; p++)
        if (!strchr("0123456789abcdefghijklmnopqrstuvwxyz-", *p))
            return -SM_EFORMAT;
    return strcmp(whose, device) == 0 ? 0 : -SM_EAUTH;
}

int order_read(const json_t *row, const uint8_t order_pub[32], const char *device, struct order *ret, char *ret_why)
{
    struct sm_obj o = SM_OBJ(row);
    struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX);
    struct order out = {0};
    ret_why[0] = 0;
    const char *b64 = sm_obj_str(&o, "order", 1, ORDER_MAX), *sig = sm_obj_str(&o, "sig", 128, 128);
    int r = o.err;
    if (r)
        snprintf(ret_why, 160, "%s", o.why);
    if (!r)
        r = sm_unbase64(SM_SPAN_STR(b64), &text);
    if (!r)
        r = check_signature(sm_buf_span(&text), sig, order_pub);
    if (!r)
        r = read_fields(sm_buf_span(&text), device, &out, ret_why);
    sm_buf_wipe(&text);
    if (r)
        order_wipe(&out);
    else
        *ret = out;
    return r;
}

int order_check(const json_t *row, const uint8_t order_pub[32], const char *device, struct order *ret, char *ret_why)
{
    struct sm_obj o = SM_OBJ(row);
    struct order out = {0};
    int64_t now = 0;
    int r = order_read(row, order_pub, device, &out, ret_why);
    if (!r) {
        r = get_time(&o, "now", &now);
        if (r)
            snprintf(ret_why, 160, "%s", o.why);
    }
    if (!r && (out.not_after_s - out.issued_s > ORDER_WINDOW_S || out.not_after_s <= out.issued_s ||
                  now > out.not_after_s || now < out.issued_s - ORDER_SKEW_S))
        r = -SM_ETIME;
    if (r)
        order_wipe(&out);
    else
        *ret = out;
    return r;
}

/* The file of used ids: lines "id not_after\n".  Those long over are left out when it is written anew. */
static int use(const char *path, const struct order *o)
{
    struct sm_buf old = SM_BUF_INIT(ORDERS_USED_MAX * 128), new = SM_BUF_INIT(ORDERS_USED_MAX * 128);
    char id[65];
    long long until;
    unsigned kept = 0;
    int r = plat_fs_read_file(AT_FDCWD, path, ORDERS_USED_MAX * 128, &old);
    r = r == -ENOENT ? 0 : r;
    const char *p = r ? NULL : sm_buf_str(&old);
    while (p && *p && !r) {
        int used = 0;
        if (sscanf(p, "%64s %lld\n%n", id, &until, &used) != 2 || !used)
            break; /* a torn last line: plat_replace never leaves one, so it is somebody's edit */
        p += used;
        if (strcmp(id, o->id) == 0)
            r = -SM_EEXISTS;
        else if (until + REMEMBER_S >= o->issued_s && ++kept < ORDERS_USED_MAX)
            r = sm_buf_printf(&new, "%s %lld\n", id, until);
    }
    if (!r && kept >= ORDERS_USED_MAX - 1)
        r = -SM_ELIMIT;
    if (!r)
        r = sm_buf_printf(&new, "%s %lld\n", o->id, (long long)o->not_after_s);
    if (!r)
        r = plat_replace(AT_FDCWD, path, sm_buf_span(&new), 0600);
    sm_buf_wipe(&old);
    sm_buf_wipe(&new);
    return r;
}

int order_take(const json_t *row, const uint8_t order_pub[32], const char *device, const char *used_path,
    struct order *ret, char *ret_why)
{
    struct order o;
    int r = order_check(row, order_pub, device, &o, ret_why);
    if (r)
        return r;
    r = use(used_path, &o);
    if (r)
        order_wipe(&o);
    else
        *ret = o;
    return r;
}

void order_wipe(struct order *o)
{
    json_decref(o->json);
    o->json = o->args = NULL;
}
