/* The signed head of the vault's journal on mails and paper, and comparing one that was kept with the journal of today
 * (docs/THREATS.md, "A rolled-back box"). */
#include <errno.h>
#include "api/internal.h"
#include "crypto/headtext.h"
#include "crypto/sign.h"

#define LABEL "sakimori/v1/head"
#define SIGNED 64 /* of the head's bytes: vault 16, seq 8, hash 32, time 8; then the signature */

static int raw_head(const struct api *a, uint8_t ret[HEADTEXT_BYTES])
{
    return strlen(a->head) == 2 * HEADTEXT_BYTES ? sm_unhex(a->head, 2 * HEADTEXT_BYTES, ret, HEADTEXT_BYTES) : -SM_ENOTFOUND;
}

int head_lines(const struct api *a, struct sm_buf *ret)
{
    uint8_t head[HEADTEXT_BYTES];
    int r = raw_head(a, head);
    if (!r)
        r = headtext_short(head, ret);
    if (!r)
        r = sm_buf_put_u8(ret, '\n');
    if (!r)
        r = headtext_long(head, ret);
    /* What the record of logs is verified with: who takes the box later cannot put another in the mails of before. */
    if (!r && *api_str(a->keys, "seal_pub"))
        r = sm_buf_printf(ret, "\nSKL0-%s", api_str(a->keys, "seal_pub"));
    return r;
}

static json_t *head_json(const struct api *a)
{
    uint8_t head[HEADTEXT_BYTES];
    struct sm_buf s = SM_BUF_INIT(128), l = SM_BUF_INIT(512);
    json_t *j = NULL;
    if (raw_head(a, head) == 0 && headtext_short(head, &s) == 0 && headtext_long(head, &l) == 0)
        j = json_pack("{s:s,s:s,s:o,s:s}", "short", sm_buf_str(&s), "long", sm_buf_str(&l), "qr_svg", qr_svg(sm_buf_str(&l)), "seal_pub",
            api_str(a->keys, "seal_pub"));
    sm_buf_wipe(&s);
    sm_buf_wipe(&l);
    return j;
}

void h_head_get(struct api_call *c)
{
    json_t *j = head_json(c->api);
    if (j)
        api_reply(c, 200, j);
    else
        api_fail(c, 404, "not_found", NULL, NULL); /* nothing was journaled for anybody yet */
}

/* ---- comparing ---- */

/* 1 signed by this box for this vault, 0 by somebody else, and the short form carries no signature: then -1. */
static int signed_here(const struct api *a, const struct headtext *t)
{
    uint8_t pub[32], vault[16], message[sizeof LABEL - 1 + SIGNED];
    if (!t->whole)
        return -1;
    if (sm_unhex(api_str(a->keys, "head_pub"), strlen(api_str(a->keys, "head_pub")), pub, 32) ||
        sm_unhex(api_str(a->keys, "vault"), strlen(api_str(a->keys, "vault")), vault, 16) || memcmp(vault, t->head, 16))
        return 0;
    memcpy(message, LABEL, sizeof LABEL - 1);
    memcpy(message + sizeof LABEL - 1, t->head, SIGNED);
    return crypto_sign_verify(pub, SM_SPAN(message, sizeof message), t->head + SIGNED) == 0;
}

static void compared(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    const char *result = api_str(j, "check");
    if (!strcmp(result, "rolled-back") || !strcmp(result, "forked")) {
        struct alarm_new n = { .kind = "rolledback", .state = "call", .key = "rolledback",
            .facts = json_pack("{s:O,s:s,s:s}", "seq", json_object_get(c->mem, "seq"), "result", result, "what",
                c->who.account) };
        alarm_open(c->api, &n);
    }
    api_audit_what(c, "%lld %s", (long long)api_int(c->mem, "seq", 0), result);
    api_reply(c, 200, json_pack("{s:s,s:O,s:I,s:b}", "result", result, "seq", json_object_get(c->mem, "seq"), "now",
        (json_int_t)api_int(j, "seq", 0), "signed", api_bool(c->mem, "signed")));
    json_decref(j);
}

void h_head_check(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    struct headtext t;
    char hash[65];
    const char *text = sm_obj_str(&o, "text", 1, HEADTEXT_TEXT_MAX);
    if (api_refused(c, &o))
        return;
    int r = headtext_parse(SM_SPAN_STR(text), &t);
    if (r == -SM_ENOTFOUND || r == -SM_EFORMAT) {
        api_fail_say(c, 422, "bad_request", "text", text_get(c->lang, r == -SM_ENOTFOUND ? T_HEAD_NONE : T_HEAD_MISTYPED), NULL);
        return;
    }
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    int here = signed_here(c->api, &t);
    if (here == 0) {
        api_audit_what(c, "%llu foreign", (unsigned long long)t.seq);
        api_reply(c, 200, json_pack("{s:s,s:I,s:n,s:b}", "result", "foreign", "seq", (json_int_t)t.seq, "now", "signed", 0));
        return;
    }
    sm_hex(t.hash, t.hash_n, hash);
    api_set(c->mem, "seq", json_integer((json_int_t)t.seq));
    api_set(c->mem, "signed", json_boolean(here == 1));
    api_ask(c, "V_HEAD", json_pack("{s:I,s:s}", "seq", (json_int_t)t.seq, "hash", hash), compared);
}
