#include "vault/store/order.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "crypto/sign.h"

#define TEXT_DEPTH_WHY 160

static const char *const kind_names[] = { "?", "delete", "policy", "date", "recipients" };
static const char *const part_names[] = { "?", "manifests", "policy", "credit_ms", "recipients" };

const char *order_kind_name(enum order_kind k)
{
    return k >= ORDER_DELETE && k <= ORDER_RECIPIENTS ? kind_names[k] : kind_names[0];
}

static int cid_order(const struct cid *a, const struct cid *b)
{
    return memcmp(a->b, b->b, 32);
}

static int parse_manifests(struct sm_obj *o, struct order *to)
{
    const json_t *list = sm_obj_arr(o, "manifests", ORDER_MANIFESTS_MAX);
    size_t n = json_array_size(list);
    for (size_t i = 0; !o->err && i < n; i++) {
        const char *hex = json_string_value(json_array_get(list, i));
        if (!hex || strlen(hex) != 64 || cid_unhex(hex, &to->manifest[i]))
            return -SM_EFORMAT;
    }
    if (o->err || n == 0)
        return o->err ? o->err : -SM_EFORMAT;
    to->manifests = (uint32_t)n;
    for (size_t i = 1; i < n; i++)
        if (cid_order(&to->manifest[i - 1], &to->manifest[i]) >= 0)
            return -SM_EFORMAT;            /* ascending, none twice */
    return 0;
}

static int parse_policy(struct sm_obj *o, struct order *to, char *why)
{
    static const char *const known[] = { "daily", "hourly", "min_days", "monthly", "weekly", NULL };
    struct sm_obj p = SM_OBJ(sm_obj_obj(o, "policy"));
    if (!p.o)
        return -SM_EFORMAT;
    to->policy = (struct retention_policy){
        .hourly = (uint32_t)sm_obj_int(&p, "hourly", 0, RETENTION_SLOTS_MAX),
        .daily = (uint32_t)sm_obj_int(&p, "daily", 0, RETENTION_SLOTS_MAX),
        .weekly = (uint32_t)sm_obj_int(&p, "weekly", 0, RETENTION_SLOTS_MAX),
        .monthly = (uint32_t)sm_obj_int(&p, "monthly", 0, RETENTION_SLOTS_MAX),
        .min_days = (uint32_t)sm_obj_int(&p, "min_days", 1, RETENTION_DAYS_MAX),
    };
    sm_obj_only(&p, known);
    if (p.err)
        (void)snprintf(why, TEXT_DEPTH_WHY, "%s", p.why); /* same size */
    return p.err;
}

/* X25519 alone, and at least one of each role: a set without a sheet could not be recovered, one without a restore key
 * could not be drilled. */
static int parse_set(const char *hex, struct order_recipients *to)
{
    struct recipients set;
    bool role[2] = { false, false };
    size_t n = strlen(hex) / 2;
    if (n > sizeof to->set || hex[2 * n] || sm_unhex(hex, 2 * n, to->set, n))
        return -SM_EFORMAT;
    to->set_n = n;
    int err = recipients_parse(SM_SPAN(to->set, n), &set);
    for (size_t i = 0; !err && i < set.n; i++) {
        err = set.r[i].algorithm == RECIPIENT_X25519 ? 0 : -SM_EFORMAT;
        role[set.r[i].role == RECIPIENT_BOX] = true;
    }
    return err ? err : role[0] && role[1] ? 0 : -SM_EFORMAT;
}

static int parse_recipients(struct sm_obj *o, struct order *to, char *why)
{
    static const char *const known[] = { "before", "link", "orders", "set", NULL };
    struct sm_obj p = SM_OBJ(sm_obj_obj(o, "recipients"));
    uint8_t fp[FINGERPRINT_LEN];
    if (!p.o)
        return -SM_EFORMAT;
    struct order_recipients *r = &to->recipients;
    sm_obj_hex(&p, "before", r->before, sizeof r->before);
    sm_obj_hex(&p, "link", r->link.b, sizeof r->link.b);
    sm_obj_hex(&p, "orders", r->orders, sizeof r->orders);
    const char *set = sm_obj_str(&p, "set", 2, 2 * sizeof r->set);
    sm_obj_only(&p, known);
    if (p.err) {
        (void)snprintf(why, TEXT_DEPTH_WHY, "%s", p.why); /* same size */
        return p.err;
    }
    int err = parse_set(set, r);
    recipients_fingerprint(SM_SPAN(r->set, r->set_n), fp);
    return err ? err : memcmp(fp, r->before, sizeof fp) == 0 ? -SM_EFORMAT : 0;
}

static int parse_kind(const json_t *v, struct sm_obj *o, struct order *to, char *why)
{
    const char *kind = sm_obj_str(o, "kind", 1, 16);
    unsigned k = ORDER_RECIPIENTS;
    while (k && strcmp(kind_names[k], kind) != 0)
        k--;
    if (!k)
        return -SM_EFORMAT;
    to->kind = (enum order_kind)k;
    const char *known[] = { "format", "kind", "made", "nonce", "reason", "vault", part_names[k], NULL };
    sm_obj_only(o, known);
    if (o->err || json_object_size(v) != 7)
        return o->err ? o->err : -SM_EFORMAT;
    if (k == ORDER_DELETE)
        return parse_manifests(o, to);
    if (k == ORDER_POLICY)
        return parse_policy(o, to, why);
    if (k == ORDER_RECIPIENTS)
        return parse_recipients(o, to, why);
    to->credit_ms = (uint64_t)sm_obj_int(o, "credit_ms", 1, (int64_t)ORDER_CREDIT_MAX_MS);
    return o->err;
}

int order_parse(struct sm_span text, struct order *ret, char *ret_why)
{
    json_t *v = NULL;
    struct order *to = calloc(1, sizeof *to);
    struct sm_buf again = SM_BUF_INIT(ORDER_TEXT_MAX + 1);
    (void)snprintf(ret_why, TEXT_DEPTH_WHY, "not an order"); /* fits */
    int err = !to ? -ENOMEM : text.n > ORDER_TEXT_MAX ? -SM_ELIMIT : sm_json_parse(text, ORDER_TEXT_MAX, &v, ret_why);
    struct sm_obj o = SM_OBJ(v);
    if (!err) {
        (void)sm_obj_int(&o, "format", 1, 1); /* checked by its limits */
        sm_obj_hex(&o, "vault", to->vault.b, 16);
        sm_obj_hex(&o, "nonce", to->nonce, ORDER_NONCE);
        (void)snprintf(to->reason, sizeof to->reason, "%s", sm_obj_str(&o, "reason", 1, ORDER_REASON_MAX)); /* fits */
        (void)snprintf(to->made, sizeof to->made, "%s", sm_obj_str(&o, "made", 1, 40)); /* fits */
        err = o.err ? o.err : parse_kind(v, &o, to, ret_why);
        if (o.err)
            (void)snprintf(ret_why, TEXT_DEPTH_WHY, "%s", o.why); /* same size */
    }
    if (!err)
        err = sm_json_dump(v, &again);
    if (!err && !sm_span_eq(sm_buf_span(&again), text)) {
        (void)snprintf(ret_why, TEXT_DEPTH_WHY, "not in canonical form"); /* fits */
        err = -SM_EFORMAT;
    }
    if (!err)
        *ret = *to;
    sm_buf_wipe(&again);
    sm_json_free(&v);
    free(to);
    return err == -SM_EINVAL ? -SM_EFORMAT : err;
}

static json_t *recipients_json(const struct order_recipients *r)
{
    char before[65], link[65], orders[65], set[2 * KEYLINK_SET_MAX + 1];
    sm_hex(r->before, sizeof r->before, before);
    sm_hex(r->link.b, sizeof r->link.b, link);
    sm_hex(r->orders, sizeof r->orders, orders);
    sm_hex(r->set, r->set_n <= KEYLINK_SET_MAX ? r->set_n : 0, set);
    return json_pack("{s:s,s:s,s:s,s:s}", "before", before, "link", link, "orders", orders, "set", set);
}

static json_t *part_json(const struct order *o)
{
    char hex[CID_HEX];
    if (o->kind == ORDER_DATE)
        return json_integer((json_int_t)o->credit_ms);
    if (o->kind == ORDER_POLICY)
        return json_pack("{s:i,s:i,s:i,s:i,s:i}", "hourly", (int)o->policy.hourly, "daily", (int)o->policy.daily,
            "weekly", (int)o->policy.weekly, "monthly", (int)o->policy.monthly, "min_days", (int)o->policy.min_days);
    if (o->kind == ORDER_RECIPIENTS)
        return recipients_json(&o->recipients);
    json_t *a = json_array();
    for (uint32_t i = 0; a && i < o->manifests; i++) {
        cid_hex(&o->manifest[i], hex);
        (void)!json_array_append_new(a, json_string(hex)); /* a shorter list does not parse as the same order */
    }
    return a;
}

int order_put(const struct order *o, struct sm_buf *ret)
{
    char vault[33], nonce[2 * ORDER_NONCE + 1], why[TEXT_DEPTH_WHY];
    if (o->kind < ORDER_DELETE || o->kind > ORDER_RECIPIENTS || (o->kind == ORDER_DELETE && (!o->manifests ||
        o->manifests > ORDER_MANIFESTS_MAX)))
        return -SM_EINVAL;
    sm_hex(o->vault.b, 16, vault);
    sm_hex(o->nonce, ORDER_NONCE, nonce);
    json_t *v = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:o}", "format", 1, "kind", order_kind_name(o->kind), "made", o->made,
        "nonce", nonce, "reason", o->reason, "vault", vault, part_names[o->kind], part_json(o));
    struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX + 1);
    struct order *check = malloc(sizeof *check);
    int err = v && check ? sm_json_dump(v, &text) : -ENOMEM;
    if (!err && order_parse(sm_buf_span(&text), check, why))
        err = -SM_EINVAL;
    if (!err)
        err = sm_buf_put_span(ret, sm_buf_span(&text));
    json_decref(v);
    free(check);
    sm_buf_wipe(&text);
    return err;
}

int order_message(struct sm_span text, struct sm_buf *ret)
{
    int err = sm_buf_put(ret, ORDER_LABEL, sizeof ORDER_LABEL - 1);
    return err ? err : sm_buf_put_span(ret, text);
}

int order_verify(struct sm_span text, const uint8_t sig[64], const uint8_t key[32])
{
    struct sm_buf b = SM_BUF_INIT(ORDER_TEXT_MAX + 256);
    int err = text.n > ORDER_TEXT_MAX ? -SM_ELIMIT : order_message(text, &b);
    if (!err)
        err = crypto_sign_verify(key, sm_buf_span(&b), sig);
    sm_buf_wipe(&b);
    return err;
}

int recipients_follow(struct recipients_state *s, const struct vault_id *vault, struct sm_span text,
    const uint8_t sig[64])
{
    char why[TEXT_DEPTH_WHY];
    struct order *x = malloc(sizeof *x);
    int err = x ? order_parse(text, x, why) : -ENOMEM;
    if (!err && x->kind != ORDER_RECIPIENTS)
        err = -SM_EFORMAT;
    if (!err && (memcmp(x->vault.b, vault->b, 16) != 0 || memcmp(x->recipients.before, s->fingerprint, 32) != 0))
        err = -SM_EMISMATCH;
    if (!err)
        err = order_verify(text, sig, s->orders);
    if (!err) {
        memcpy(s->set, x->recipients.set, x->recipients.set_n);
        s->set_n = x->recipients.set_n;
        memcpy(s->orders, x->recipients.orders, sizeof s->orders);
        recipients_fingerprint(SM_SPAN(s->set, s->set_n), s->fingerprint);
    }
    free(x);
    return err;
}

int recipients_after(struct sm_span text, uint8_t ret_fingerprint[FINGERPRINT_LEN])
{
    char why[TEXT_DEPTH_WHY];
    struct order *x = malloc(sizeof *x);
    int err = x ? order_parse(text, x, why) : -ENOMEM;
    if (!err && x->kind != ORDER_RECIPIENTS)
        err = -SM_EFORMAT;
    if (!err)
        recipients_fingerprint(SM_SPAN(x->recipients.set, x->recipients.set_n), ret_fingerprint);
    free(x);
    return err;
}
