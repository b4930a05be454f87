/*
 * keyd: the process that holds the keys.  It answers the fixed table below and nothing else; a message that is not in
 * the table for its sender ends the process (core/ipc.h).  No network, no database, one folder. A private key never
 * leaves it; the file keys of granted generations do, sealed to an agent or to the opener.
 */
#include <errno.h>
#include <unistd.h>

#include "core/log.h"
#include "crypto/init.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "crypto/words.h"
#include "crypto/x509.h"
#include "plat/clock.h"
#include "sakimorid/keyd/keys.h"
#include "sakimorid/keyd/seal.h"
#include "sakimorid/wire.h"
#include "vault/snapshot/keylink.h"

#define CARD_MAX 64
#define ORDER_MAX ((size_t)96 << 10) /* of PROTOCOL-agent */
#define DEVICE_DAYS 397

struct keyd {
    struct keys *keys;
    struct seal *seal;
    /* cids that brain granted to the opener since the unlock, sorted on use by linear search over a ring. */
    struct cid *granted;
    size_t granted_n, granted_cap;
    struct sm_timer *timer;
    bool was_unlocked;
};

static struct keyd *state(struct child *c)
{
    return c->state;
}

static void put_public(struct keyd *k, json_t *o)
{
    struct keys_public p;
    uint8_t sum[32];
    struct sm_buf set = SM_BUF_INIT(1 << 16);
    keys_public(k->keys, &p);
    wire_hex(o, "vault", p.vault, 16);
    wire_hex(o, "head_pub", p.head_pub, 32);
    wire_hex(o, "order_pub", p.order_pub, 32);
    wire_hex(o, "seal_pub", seal_public(k->seal), CRYPTO_SIGN_PUBLIC_LEN);
    wire_text(o, "ca_pem", p.ca_pem);
    wire_text(o, "cert_pem", p.chain_pem);
    crypto_sha256(p.ca_der, sum);
    wire_hex(o, "ca_sha256", sum, 32);
    json_object_set_new(o, "sheet", json_boolean(p.sheet));
    json_object_set_new(o, "restore_key", json_boolean(p.restore));
    if (p.sheet)
        wire_hex(o, "orders_pub", p.orders_pub, 32);
    if (!keys_recipients(k->keys, &set)) {
        char *text = malloc(2 * set.n + 1);
        if (text) {
            sm_hex(set.p, set.n, text);
            json_object_set_new(o, "recipients", json_string(text));
            recipients_fingerprint(sm_buf_span(&set), sum);
            wire_hex(o, "fingerprint", sum, 32);
        }
        free(text);
    }
    sm_buf_wipe(&set);
}

/* ---- status and set-up ---- */

static void on_status(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct keyd *k = state(c);
    json_t *o = json_object();
    if (o) {
        put_public(k, o);
        json_object_set_new(
            o, "unlocked_ms", json_integer((json_int_t)keys_unlocked_ms(k->keys, plat_clock_mono_ms())));
        struct keys_sheet s;
        json_object_set_new(o, "sheet_pending", json_boolean(keys_sheet_get(k->keys, &s) == 0));
    }
    wire_answer(ipc, m, o, 0, NULL);
}

static int names_of(const json_t *list, const char **ret, size_t *ret_n)
{
    size_t n = json_array_size(list);
    if (n < 1 || n > CRYPTO_NAMES_MAX)
        return -SM_ELIMIT;
    for (size_t i = 0; i < n; i++) {
        ret[i] = json_string_value(json_array_get(list, i));
        if (!ret[i])
            return -SM_EINVAL;
    }
    *ret_n = n;
    return 0;
}

/* Also K_SETUP_BEGIN: identity exists since the start of the process; names may have become more. */
static void on_server_names(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    const char *names[CRYPTO_NAMES_MAX];
    size_t n = 0;
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    int r = 0;
    if (json_object_get(in, "names")) {
        r = names_of(json_object_get(in, "names"), names, &n);
        if (!r)
            r = keys_server_renew(state(c)->keys, names, n);
    }
    json_t *o = r ? NULL : json_object();
    if (o)
        put_public(state(c), o);
    wire_answer(ipc, m, o, r, NULL);
    json_decref(in);
}

static json_t *word_list(const uint8_t *secret, enum crypto_words_lang lang)
{
    const char *words[CRYPTO_WORDS];
    json_t *a = json_array();
    crypto_words_list(secret, lang, words);
    for (unsigned i = 0; i < CRYPTO_WORDS && a; i++)
        json_array_append_new(a, json_string(words[i]));
    return a;
}

static int put_sheet(struct keyd *k, json_t *o, bool orders, const uint8_t *secret)
{
    struct sm_buf qr = SM_BUF_INIT(KEYS_TEXT_MAX);
    char name[32];
    int r = keys_sheet_qr(k->keys, orders, &qr);
    const char *which = orders ? "orders" : "open";
    snprintf(name, sizeof name, "%s_words_ja", which);
    json_object_set_new(o, name, word_list(secret, CRYPTO_WORDS_JA));
    snprintf(name, sizeof name, "%s_words_en", which);
    json_object_set_new(o, name, word_list(secret, CRYPTO_WORDS_EN));
    snprintf(name, sizeof name, "%s_qr", which);
    wire_text(o, name, sm_buf_span(&qr));
    sm_buf_wipe(&qr);
    return r;
}

static void on_sheet(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct keyd *k = state(c);
    struct keys_sheet s;
    json_t *o = json_object();
    int r = keys_sheet_make(k->keys);
    if (!r)
        r = keys_sheet_get(k->keys, &s);
    if (!r)
        r = put_sheet(k, o, false, s.open);
    if (!r)
        r = put_sheet(k, o, true, s.orders);
    json_t *ask = json_array();
    for (unsigned i = 0; i < 3 && !r; i++)
        json_array_append_new(
            ask, json_pack("{s:s,s:i}", "which", s.ask[i].orders ? "orders" : "open", "n", (int)s.ask[i].n));
    json_object_set_new(o, "check", ask);
    if (r)
        child_reply_error(ipc, m, r, "the recovery sheet was made and confirmed before");
    else
        child_reply_json(ipc, m, o);
    sm_json_drop_secret(o);
}

static void on_confirm(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct keyd *k = state(c);
    struct keys_sheet s;
    struct sm_span typed[3] = {{NULL, 0}};
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    unsigned wrong = 0;
    int r = keys_sheet_get(k->keys, &s);
    const json_t *list = json_object_get(in, "answers");
    for (unsigned i = 0; i < 3 && !r; i++) {
        for (size_t j = 0; j < json_array_size(list) && j < 8; j++) {
            struct sm_obj a = SM_OBJ(json_array_get(list, j));
            const char *which = sm_obj_str(&a, "which", 1, 16);
            int64_t n = sm_obj_int(&a, "n", 1, CRYPTO_WORDS);
            const char *word = sm_obj_str(&a, "word", 1, 256);
            if (!a.err && (strcmp(which, "orders") == 0) == s.ask[i].orders && n == (int64_t)s.ask[i].n)
                typed[i] = SM_SPAN_STR(word);
        }
    }
    if (!r)
        r = keys_sheet_confirm(k->keys, typed, &wrong);
    json_t *o = r ? NULL : json_object();
    if (o)
        put_public(k, o);
    char why[32];
    snprintf(why, sizeof why, "%u", wrong); /* which of the asked words, from 0 */
    wire_answer(ipc, m, o, r, r == -SM_EMISMATCH ? why : NULL);
    sm_json_drop_secret(in);
}

static void on_restore_make(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct sm_buf card = SM_BUF_INIT(KEYS_TEXT_MAX);
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct sm_span password = wire_get(&o, "password", 256);
    int r = o.err ? o.err : keys_restore_make(state(c)->keys, password, &card);
    json_t *out = r ? NULL : json_object();
    if (out) {
        wire_text(out, "card", sm_buf_span(&card));
        put_public(state(c), out);
    }
    wire_answer(ipc, m, out, r, o.why);
    sm_buf_wipe(&card);
    sm_json_drop_secret(in);
}

static void on_rekey(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct sm_span old = wire_get(&o, "old", 256), new = wire_get(&o, "new", 256),
                   card = wire_get(&o, "card", CARD_MAX);
    int r = o.err ? o.err : keys_restore_password(state(c)->keys, old, new, card);
    wire_answer(ipc, m, r ? NULL : json_object(), r, o.why);
    sm_json_drop_secret(in);
}

/* ---- the recovery sheet at hand ---- */

static void on_challenge(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    uint8_t challenge[RESTOREKEY_CHALLENGE_LEN];
    int r = keys_challenge(state(c)->keys, plat_clock_mono_ms(), challenge);
    json_t *o = r ? NULL : json_object();
    if (o)
        wire_hex(o, "challenge", challenge, sizeof challenge);
    wire_answer(ipc, m, o, r, NULL);
}

/* Does somebody hold the orders half of the recovery sheet?  {challenge, act, over, sig} or {words}. */
static void on_check_sheet(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    uint8_t challenge[RESTOREKEY_CHALLENGE_LEN], over[32], sig[64];
    char why[160] = "";
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    int r;
    if (json_object_get(in, "words")) {
        struct sm_span words = wire_get(&o, "words", 4096);
        r = o.err ? o.err : keys_sheet_words(state(c)->keys, words, why);
    } else {
        sm_obj_hex(&o, "challenge", challenge, sizeof challenge);
        sm_obj_hex(&o, "over", over, sizeof over);
        sm_obj_hex(&o, "sig", sig, sizeof sig);
        const char *act = sm_obj_str(&o, "act", 1, 32);
        r = o.err ? o.err : keys_sheet_check(state(c)->keys, plat_clock_mono_ms(), challenge, act, over, sig);
    }
    wire_answer(ipc, m, r ? NULL : json_object(), r, o.err ? o.why : why);
    sm_json_drop_secret(in);
}

static void on_escrow(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct sm_buf escrow = SM_BUF_INIT(4096);
    int r = keys_escrow(state(c)->keys, &escrow);
    json_t *o = r ? NULL : json_object();
    if (o)
        wire_hex(o, "escrow", escrow.p, escrow.n);
    wire_answer(ipc, m, o, r, NULL);
    sm_buf_wipe(&escrow);
}

static void on_card_new(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    uint8_t wrap[RESTOREKEY_WRAP_LEN], challenge[RESTOREKEY_CHALLENGE_LEN], sig[64];
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    sm_obj_hex(&o, "wrap", wrap, sizeof wrap);
    sm_obj_hex(&o, "challenge", challenge, sizeof challenge);
    sm_obj_hex(&o, "sig", sig, sizeof sig);
    int r = o.err;
    if (!r)
        r = keys_card_new(
            state(c)->keys, plat_clock_mono_ms(), SM_SPAN(wrap, sizeof wrap), challenge, sig);
    if (!r)
        state(c)->granted_n = 0;
    wire_answer(ipc, m, r ? NULL : json_object(), r, o.why);
    json_decref(in);
}

/* ---- other recipients ---- */

static int change_fields(struct sm_obj *o, struct sm_span *ret_text, uint8_t ret_sig[64])
{
    *ret_text = wire_get(o, "order", 16384);
    sm_obj_hex(o, "sig", ret_sig, 64);
    return o->err;
}

static void on_change(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    uint8_t sig[64], wrap[RESTOREKEY_WRAP_LEN], escrow[RESTOREKEY_ESCROW_LEN];
    struct sm_span text;
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    int r = change_fields(&o, &text, sig);
    bool new_key = wire_hex_opt(&o, "wrap", wrap, sizeof wrap);
    sm_obj_hex(&o, "escrow", escrow, sizeof escrow);
    r = o.err ? o.err : r;
    if (!r)
        r = keys_change_keep(state(c)->keys, text, sig, SM_SPAN(wrap, new_key ? sizeof wrap : 0),
            SM_SPAN(escrow, sizeof escrow));
    wire_answer(ipc, m, r ? NULL : json_object(), r, o.why);
    json_decref(in);
}

static void on_change_take(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    uint8_t sig[64];
    struct sm_span text;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    int r = change_fields(&o, &text, sig);
    if (!r)
        r = keys_change_take(state(c)->keys, text, sig);
    if (!r) {
        state(c)->granted_n = 0;
        out = json_object();
        if (out)
            put_public(state(c), out);
    }
    wire_answer(ipc, m, out, r, o.why);
    json_decref(in);
}

static void on_change_drop(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    uint8_t nonce[16];
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    sm_obj_hex(&o, "nonce", nonce, sizeof nonce);
    int r = o.err ? o.err : keys_change_drop(state(c)->keys, nonce);
    wire_answer(ipc, m, r ? NULL : json_object(), r, o.why);
    json_decref(in);
}

/* {"links": [hex of key links]} */
static void on_links(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct sm_buf raw = SM_BUF_INIT(KEYLINKS_MAX * (KEYLINK_MAX + 4));
    uint8_t link[KEYLINK_MAX];
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    const json_t *list = sm_obj_arr(&o, "links", KEYLINKS_MAX);
    int r = o.err;
    for (size_t i = 0; !r && i < json_array_size(list); i++) {
        const json_t *hex = json_array_get(list, i);
        size_t n = json_string_length(hex) / 2;
        r = n > sizeof link ? -SM_ELIMIT : sm_unhex(json_string_value(hex), 2 * n, link, n);
        r = r ? r : sm_buf_put_u32(&raw, (uint32_t)n);
        r = r ? r : sm_buf_put(&raw, link, n);
    }
    if (!r)
        r = keys_links(state(c)->keys, sm_buf_span(&raw));
    wire_answer(ipc, m, r ? NULL : json_object(), r, o.why);
    sm_buf_wipe(&raw);
    json_decref(in);
}

/* The public half of the orders secret: the vault asks for it itself, so that brain need not be believed. */
static void on_orders_pub(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct keys_public p;
    keys_public(state(c)->keys, &p);
    if (p.sheet)
        child_reply(ipc, m, SM_SPAN(p.orders_pub, sizeof p.orders_pub));
    else
        child_reply_error(ipc, m, -SM_ESTATE, "there is no recovery sheet yet");
}

/* Everything here, sealed to the sheet: client (16) and the key that signs its manifests (32). */
static void on_self(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct sm_buf out = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = m->body.n == 48 ? keys_self(state(c)->keys, m->body.p, m->body.p + 16, &out) : -SM_EPROTO;
    if (r)
        child_reply_error(ipc, m, r, "the keys could not be sealed");
    else
        child_reply(ipc, m, sm_buf_span(&out));
    sm_buf_wipe(&out);
}

/* ---- certificates and signatures ---- */

static void on_device(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct sm_buf der = SM_BUF_INIT(CRYPTO_CERT_MAX), pem = SM_BUF_INIT(CRYPTO_CERT_MAX);
    struct crypto_cert_info info;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct sm_span csr = wire_get(&o, "csr", CRYPTO_CERT_MAX);
    const char *device = sm_obj_str(&o, "device", 1, 64);
    int64_t days = sm_obj_int_opt(&o, "days", 1, CRYPTO_DEVICE_DAYS_MAX, DEVICE_DAYS);
    int r = o.err ? o.err : keys_device_cert(state(c)->keys, csr, device, (unsigned)days, &der);
    if (!r)
        r = crypto_x509_info(sm_buf_span(&der), &info);
    if (!r)
        r = crypto_x509_to_pem(sm_buf_span(&der), &pem);
    if (!r && (out = json_object()) != NULL) {
        wire_text(out, "cert_pem", sm_buf_span(&pem));
        wire_hex(out, "cert_sha256", info.fingerprint, 32);
        json_object_set_new(out, "not_after_s", json_integer(info.not_after_s));
    }
    wire_answer(ipc, m, out, r, o.why);
    sm_buf_wipe(&der);
    sm_buf_wipe(&pem);
    json_decref(in);
}

static void on_order(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    uint8_t sig[64];
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct sm_span order = wire_get(&o, "order", ORDER_MAX);
    int r = o.err ? o.err : keys_sign_order(state(c)->keys, order, sig);
    if (!r && (out = json_object()) != NULL)
        wire_hex(out, "sig", sig, sizeof sig);
    wire_answer(ipc, m, out, r, o.why);
    json_decref(in);
}

static void on_tls(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct sm_buf sig = SM_BUF_INIT(512);
    struct sm_rd r = SM_RD(m->body);
    uint32_t algorithm = sm_rd_u32(&r);
    int e = r.err ? -SM_EPROTO : keys_sign_tls(state(c)->keys, algorithm, SM_SPAN(r.p, r.n), &sig);
    if (e)
        child_reply_error(ipc, m, e, "the server key could not sign");
    else
        child_reply(ipc, m, sm_buf_span(&sig));
    sm_buf_wipe(&sig);
}

static void on_head(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    uint8_t sig[64];
    int r = keys_sign_head(state(c)->keys, m->body, sig);
    if (r)
        child_reply_error(ipc, m, r, "not a head or a countersignature");
    else
        child_reply(ipc, m, SM_SPAN(sig, sizeof sig));
}

/* ---- unlocking and file keys ---- */

static void on_unlock(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct keyd *k = state(c);
    unsigned wait_s = 0;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct sm_span password = wire_get(&o, "password", 256), card = wire_get(&o, "card", CARD_MAX);
    int r = o.err ? o.err : keys_unlock(k->keys, password, card, plat_clock_mono_ms(), &wait_s);
    if (!r) {
        k->granted_n = 0;
        out = json_pack("{s:I}", "unlocked_ms", (json_int_t)keys_unlocked_ms(k->keys, plat_clock_mono_ms()));
    }
    char why[160];
    snprintf(why, sizeof why, "%s", o.why);
    if (r == -SM_EAGAIN)
        snprintf(why, sizeof why, "%u", wait_s); /* seconds to wait */
    wire_answer(ipc, m, out, r, why);
    sm_json_drop_secret(in);
}

static void on_lock(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    keys_lock(state(c)->keys);
    state(c)->granted_n = 0;
    wire_answer(ipc, m, json_object(), 0, NULL);
}

/* One envelope from a list of u32 length ‖ sealed. */
static struct sm_span next_envelope(struct sm_rd *r)
{
    uint32_t n = sm_rd_u32(r);
    return n > ENVELOPE_MAX ? sm_rd_bytes(r, r->n + 1) : sm_rd_bytes(r, n);
}

struct agent_grant {
    char restore[65], device[65];
    uint8_t eph[32];
};

/* sig = Ed25519(device key, "sakimori/v1/restore-key" ‖ restore id ‖ eph_pub), restore id as 16 bytes. */
static int check_agent(struct sm_obj *o, struct agent_grant *g)
{
    uint8_t restore[16], sig[64], pub[32], message[23 + 16 + 32];
    sm_obj_hex(o, "restore", restore, 16);
    sm_obj_hex(o, "eph_pub", g->eph, 32);
    sm_obj_hex(o, "sig", sig, 64);
    sm_obj_hex(o, "sign_pub", pub, 32);
    snprintf(g->device, sizeof g->device, "%s", sm_obj_str(o, "device", 1, 64));
    if (o->err)
        return o->err;
    sm_hex(restore, 16, g->restore);
    memcpy(message, "sakimori/v1/restore-key", 23);
    memcpy(message + 23, restore, 16);
    memcpy(message + 39, g->eph, 32);
    return crypto_sign_verify(pub, SM_SPAN(message, sizeof message), sig);
}

static int grant_one(struct keyd *k, const struct agent_grant *g, struct sm_span sealed, json_t *list)
{
    uint8_t f[32], restore[16], enc[32];
    struct cid cid;
    struct sm_buf info = SM_BUF_INIT(512), ct = SM_BUF_INIT(128);
    obj_name(sealed, &cid);
    int r = keys_open_envelope(k->keys, plat_clock_mono_ms(), sealed, f);
    if (!r)
        r = sm_unhex(g->restore, 32, restore, 16);
    if (!r)
        r = sm_buf_put(&info, "sakimori/v1/grant", 17);
    if (!r)
        r = sm_buf_put(&info, restore, 16);
    if (!r)
        r = sm_buf_put(&info, g->device, strlen(g->device));
    if (!r)
        r = sm_buf_put(&info, cid.b, 32);
    if (!r)
        r = crypto_hpke_seal(g->eph, sm_buf_span(&info), SM_SPAN(NULL, 0), SM_SPAN(f, 32), enc, &ct);
    if (!r) {
        json_t *row = json_object();
        wire_hex(row, "envelope", cid.b, 32);
        wire_hex(row, "enc", enc, 32);
        wire_hex(row, "ct", ct.p, ct.n);
        r = json_array_append_new(list, row) ? -ENOMEM : 0;
    }
    sm_zero(f, sizeof f);
    sm_buf_wipe(&info);
    sm_buf_wipe(&ct);
    return r;
}

static void on_grant_agent(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct keyd *k = state(c);
    json_t *in = NULL, *list = json_array(), *out = NULL;
    struct sm_span raw;
    char why[160] = "";
    int r = msg_split(m->body, WIRE_JSON_MAX, &in, &raw, why);
    struct agent_grant g = {0};
    if (!r) {
        struct sm_obj o = SM_OBJ(in);
        r = check_agent(&o, &g);
        snprintf(why, sizeof why, "%s", o.err ? o.why : r ? "the device did not sign this restore key" : "");
    }
    struct sm_rd rd = SM_RD(r ? SM_SPAN(NULL, 0) : raw);
    while (!r && rd.n && !rd.err) {
        struct sm_span sealed = next_envelope(&rd);
        r = rd.err ? -SM_EPROTO : grant_one(k, &g, sealed, list);
    }
    if (!r)
        out = json_pack("{s:O}", "keys", list);
    wire_answer(ipc, m, out, r, why);
    json_decref(list);
    json_decref(in);
}

static int granted_put(struct keyd *k, const struct cid *cid)
{
    if (k->granted_n >= KEYS_OPENS_MAX)
        return -SM_ELIMIT;
    if (k->granted_n == k->granted_cap) {
        size_t cap = k->granted_cap ? 2 * k->granted_cap : 256;
        struct cid *p = realloc(k->granted, cap * sizeof *p);
        if (!p)
            return -ENOMEM;
        k->granted = p;
        k->granted_cap = cap;
    }
    k->granted[k->granted_n++] = *cid;
    return 0;
}

static bool granted_has(const struct keyd *k, const struct cid *cid)
{
    for (size_t i = 0; i < k->granted_n; i++)
        if (cid_eq(&k->granted[i], cid))
            return true;
    return false;
}

/* raw: the cids of the envelopes the opener may ask for. */
static void on_grant_opener(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct keyd *k = state(c);
    json_t *in = NULL;
    struct sm_span raw;
    char why[160] = "";
    int r = msg_split(m->body, WIRE_JSON_MAX, &in, &raw, why);
    if (!r && !keys_unlocked_ms(k->keys, plat_clock_mono_ms()))
        r = -SM_ESTATE;
    if (!r && raw.n % 32)
        r = -SM_EPROTO;
    for (size_t i = 0; !r && i < raw.n; i += 32) {
        struct cid cid;
        memcpy(cid.b, raw.p + i, 32);
        if (!granted_has(k, &cid))
            r = granted_put(k, &cid);
    }
    wire_answer(ipc, m, r ? NULL : json_object(), r, why);
    json_decref(in);
}

static void on_open(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct keyd *k = state(c);
    struct sm_buf out = SM_BUF_INIT(SM_IPC_BODY_MAX);
    struct sm_rd rd = SM_RD(m->body);
    uint8_t f[32];
    int r = 0;
    while (!r && rd.n && !rd.err) {
        struct sm_span sealed = next_envelope(&rd);
        struct cid cid;
        if (rd.err) {
            r = -SM_EPROTO;
            break;
        }
        obj_name(sealed, &cid);
        r = granted_has(k, &cid) ? keys_open_envelope(k->keys, plat_clock_mono_ms(), sealed, f) : -SM_EDENIED;
        if (!r)
            r = sm_buf_put(&out, cid.b, 32);
        if (!r)
            r = sm_buf_put(&out, f, 32);
    }
    if (r)
        child_reply_error(ipc, m, r, sm_strerror(r));
    else
        child_reply(ipc, m, sm_buf_span(&out));
    sm_zero(f, sizeof f);
    sm_buf_wipe(&out);
}

/* ---- the seal of the record ---- */

static void on_seal_begin(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    child_reply(ipc, m, SM_SPAN(seal_public(state(c)->seal), CRYPTO_SIGN_PUBLIC_LEN));
}

/* u64 the last statement the record has | u8 kind, 0 none | body. */
static void on_seal_sign(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct sm_buf out = SM_BUF_INIT(SM_IPC_BODY_MAX);
    struct sm_rd rd = SM_RD(m->body);
    uint64_t have = sm_rd_u64(&rd);
    unsigned kind = sm_rd_u8(&rd);
    int r = rd.err ? -SM_EPROTO :
        seal_statements(state(c)->seal, have, kind, SM_SPAN(rd.p, rd.n), plat_clock_wall().s, &out);
    if (r)
        child_reply_error(ipc, m, r, r == -SM_EMISMATCH ? "the record is not the one that was sealed last" : sm_strerror(r));
    else
        child_reply(ipc, m, sm_buf_span(&out));
    sm_buf_wipe(&out);
}

/* ---- life ---- */

static void tick(void *arg)
{
    struct child *c = arg;
    struct keyd *k = state(c);
    bool unlocked = keys_unlocked_ms(k->keys, plat_clock_mono_ms()) > 0;
    if (!unlocked)
        k->granted_n = 0;
    if (k->was_unlocked && !unlocked) {
        json_t *o = json_pack("{s:s}", "what", "locked");
        (void)child_notify_json(c, WHO_BRAIN, K_EVENT, o); /* brain asks K_STATUS itself when it comes back */
        json_decref(o);
    }
    k->was_unlocked = unlocked;
}

static int keyd_start(struct child *c)
{
    struct keyd *k = c->state;
    char why[160] = "", folder[4096];
    const char *names[CRYPTO_NAMES_MAX] = {"localhost", "127.0.0.1", "::1"};
    size_t n = 3, given = 0;
    const json_t *list = json_object_get(c->config, "names");
    const char *from_config[CRYPTO_NAMES_MAX];
    if (list && !names_of(list, from_config, &given)) {
        memcpy(names, from_config, given * sizeof *names);
        n = given;
    }
    snprintf(folder, sizeof folder, "%s/keys", c->data);
    int r = crypto_init();
    if (!r)
        r = keys_open(folder, names, n, &k->keys, why);
    if (!r && (r = seal_open(folder, &k->seal)))
        snprintf(why, sizeof why, "seal of the record: %s", sm_strerror(r));
    if (r)
        child_fatal(c, "keys: %s", why[0] ? why : sm_strerror(r));
    return r ? r : sm_loop_timer(c->loop, 5000, 5000, tick, c, &k->timer);
}

static void keyd_end(struct child *c)
{
    struct keyd *k = c->state;
    sm_timer_free(k->timer);
    keys_free(k->keys);
    seal_free(k->seal);
    free(k->granted);
}

static const struct child_handler handlers[] = {
    {WHO_BRAIN, K_STATUS, on_status},
    {WHO_BRAIN, K_SETUP_BEGIN, on_server_names},
    {WHO_BRAIN, K_CERT_SERVER, on_server_names},
    {WHO_BRAIN, K_SETUP_SHEET, on_sheet},
    {WHO_BRAIN, K_SETUP_CONFIRM, on_confirm},
    {WHO_BRAIN, K_SETUP_RESTORE, on_restore_make},
    {WHO_BRAIN, K_REKEY_PASSWORD, on_rekey},
    {WHO_BRAIN, K_CHECK_SHEET, on_check_sheet},
    {WHO_VAULT, K_ORDERS_PUB, on_orders_pub},
    {WHO_BRAIN, K_CHALLENGE, on_challenge},
    {WHO_BRAIN, K_ESCROW, on_escrow},
    {WHO_BRAIN, K_CARD_NEW, on_card_new},
    {WHO_BRAIN, K_CHANGE, on_change},
    {WHO_VAULT, K_CHANGE_TAKE, on_change_take},
    {WHO_VAULT, K_CHANGE_DROP, on_change_drop},
    {WHO_BRAIN, K_LINKS, on_links},
    {WHO_BRAIN, K_CERT_DEVICE, on_device},
    {WHO_BRAIN, K_ORDER_SIGN, on_order},
    {WHO_BRAIN, K_UNLOCK, on_unlock},
    {WHO_BRAIN, K_LOCK, on_lock},
    {WHO_BRAIN, K_GRANT_AGENT, on_grant_agent},
    {WHO_BRAIN, K_GRANT_OPENER, on_grant_opener},
    {WHO_FRONT | WHO_COLLECTOR, K_TLS_SIGN, on_tls},
    {WHO_WATCH, K_SEAL_BEGIN, on_seal_begin},
    {WHO_WATCH, K_SEAL_SIGN, on_seal_sign},
    {WHO_VAULT, K_SIGN_HEAD, on_head},
    {WHO_OPENER, K_OPEN, on_open},
    {WHO_SELF, K_SELF, on_self},
};

int keyd_main(struct child *c)
{
    struct keyd k = {0};
    const struct child_spec spec = {
        .handlers = handlers,
        .handlers_n = sizeof handlers / sizeof handlers[0],
        .start = keyd_start,
        .end = keyd_end,
    };
    c->state = &k;
    return child_run(c, &spec);
}
