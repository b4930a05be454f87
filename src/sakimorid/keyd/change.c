/* A change of recipients: kept until the vault executed its order, then taken over; and the ring of keys by which an
 * unlock reaches generations from before it.  FORMAT-vault.md sections 2.5, 9 and 11. */
#include <errno.h>

#include "core/json.h"
#include "crypto/pass.h"
#include "plat/fs.h"
#include "sakimorid/keyd/keys_internal.h"
#include "vault/store/order.h"

#define NEXT_MAX 8192
#define NEXT_NAME 48

/* ---- the ring ---- */

int keys_ring_fill(struct keys *k, const struct crypto_x25519_pair *pair)
{
    struct sm_span links[KEYLINKS_MAX];
    struct sm_rd rd = SM_RD(sm_buf_span(&k->links));
    struct vault_id vault;
    size_t n = 0, bad = 0;
    keys_ring_drop(k);
    k->ring = calloc(1, sizeof *k->ring);
    if (!k->ring)
        return -ENOMEM;
    while (rd.n && !rd.err && n < KEYLINKS_MAX) {
        links[n] = sm_rd_bytes(&rd, sm_rd_u32(&rd));
        n += !rd.err;
    }
    memcpy(vault.b, k->vault, 16);
    keyring_fill(k->ring, &vault, pair, links, n, &bad); /* one that lies opens nothing; the rest still does */
    return 0;
}

void keys_ring_drop(struct keys *k)
{
    if (k->ring)
        keyring_wipe(k->ring);
    free(k->ring);
    k->ring = NULL;
}

int keys_links(struct keys *k, struct sm_span links)
{
    struct sm_rd rd = SM_RD(links);
    size_t n = 0;
    for (; rd.n && !rd.err; n++) {
        struct keylink l;
        struct sm_span sealed = sm_rd_bytes(&rd, sm_rd_u32(&rd));
        if (!rd.err && keylink_parse(sealed, &l) != 0)
            return -SM_EFORMAT;
    }
    if (rd.err || n > KEYLINKS_MAX)
        return rd.err ? -SM_EFORMAT : -SM_ELIMIT;
    sm_buf_wipe(&k->links);
    k->links = SM_BUF_INIT(KEYLINKS_MAX * (KEYLINK_MAX + 4));
    int r = sm_buf_put_span(&k->links, links);
    if (!r && k->unlocked)
        r = keys_ring_fill(k, &k->restore_pair);
    return r;
}

/* ---- the change ---- */

/* What the order says the two keys are; one of each role is all this box makes. */
static int two_keys(const struct order_recipients *x, uint8_t ret_open[32], uint8_t ret_restore[32])
{
    struct recipients set;
    int r = recipients_parse(SM_SPAN(x->set, x->set_n), &set);
    if (!r && (set.n != 2 || set.r[0].role != RECIPIENT_SHEET || set.r[1].role != RECIPIENT_BOX))
        r = -SM_EINVAL;
    if (!r) {
        memcpy(ret_open, set.r[0].key.p, 32);
        memcpy(ret_restore, set.r[1].key.p, 32);
    }
    return r;
}

static int order_read(const struct keys *k, struct sm_span text, const uint8_t sig[64], struct order *ret)
{
    char why[160];
    if (!k->sheet || !k->restore)
        return -SM_ESTATE;
    int r = order_parse(text, ret, why);
    if (!r && ret->kind != ORDER_RECIPIENTS)
        r = -SM_EFORMAT;
    if (!r && memcmp(ret->vault.b, k->vault, 16) != 0)
        r = -SM_EMISMATCH;
    return r ? r : order_verify(text, sig, k->orders_pub);
}

static void next_name(const struct order *x, char ret[NEXT_NAME])
{
    char nonce[2 * ORDER_NONCE + 1];
    sm_hex(x->nonce, ORDER_NONCE, nonce);
    (void)snprintf(ret, NEXT_NAME, "next-%s.json", nonce); /* fits: 42 */
}

static int next_check(const struct keys *k, const struct order *x, struct sm_span wrap, struct sm_span escrow)
{
    uint8_t open[32], restore[32], held[32], fp[32];
    struct restorekey_escrow e;
    struct sm_buf set = SM_BUF_INIT(4096);
    int r = keys_recipients(k, &set);
    recipients_fingerprint(sm_buf_span(&set), fp);
    sm_buf_wipe(&set);
    if (!r && memcmp(fp, x->recipients.before, sizeof fp) != 0)
        r = -SM_EMISMATCH;
    if (!r)
        r = two_keys(&x->recipients, open, restore);
    if (!r)
        r = restorekey_escrow_parse(escrow, &e);
    if (!r && (memcmp(e.vault.b, k->vault, 16) || memcmp(e.open_public, open, 32) || memcmp(e.restore_public, restore, 32)))
        r = -SM_EDENIED;
    bool same = !r && !memcmp(restore, k->restore_pub, 32);
    if (r || same)
        return r ? r : wrap.n ? -SM_EINVAL : 0;
    r = restorekey_wrap_check(wrap, &crypto_pass_wrap, held);
    return r ? r : memcmp(held, restore, 32) ? -SM_EDENIED : 0;
}

int keys_change_keep(struct keys *k, struct sm_span text, const uint8_t sig[64], struct sm_span wrap, struct sm_span escrow)
{
    struct order *x = malloc(sizeof *x);
    struct sm_buf out = SM_BUF_INIT(NEXT_MAX);
    char name[NEXT_NAME], w[2 * RESTOREKEY_WRAP_LEN + 1], s[2 * RESTOREKEY_ESCROW_LEN + 1];
    int r = !x ? -ENOMEM : wrap.n > RESTOREKEY_WRAP_LEN || escrow.n > RESTOREKEY_ESCROW_LEN ? -SM_ELIMIT : 0;
    if (!r)
        r = order_read(k, text, sig, x);
    if (!r)
        r = next_check(k, x, wrap, escrow);
    if (!r) {
        sm_hex(wrap.p, wrap.n, w);
        sm_hex(escrow.p, escrow.n, s);
        next_name(x, name);
        json_t *o = json_pack("{s:s,s:s}", "wrap", w, "escrow", s);
        r = o ? sm_json_dump(o, &out) : -ENOMEM;
        json_decref(o);
    }
    if (!r)
        r = plat_replace(k->dir, name, sm_buf_span(&out), 0600);
    free(x);
    sm_buf_wipe(&out);
    return r;
}

static int hex_field(struct sm_obj *o, const char *key, struct sm_buf *ret)
{
    const char *hex = sm_obj_str(o, key, 0, NEXT_MAX / 2);
    size_t n = strlen(hex) / 2;
    int r = o->err ? o->err : sm_buf_reserve(ret, n);
    if (!r)
        r = sm_unhex(hex, 2 * n, ret->p, n);
    if (!r)
        ret->n = n;
    return r;
}

static int next_read(const struct keys *k, const char *name, struct sm_buf *ret_wrap, struct sm_buf *ret_escrow)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    struct sm_buf text = SM_BUF_INIT(NEXT_MAX);
    int r = plat_fs_read_file(k->dir, name, NEXT_MAX, &text);
    if (!r)
        r = sm_json_parse(sm_buf_span(&text), NEXT_MAX, &j, NULL);
    struct sm_obj o = SM_OBJ(j);
    if (!r)
        r = hex_field(&o, "wrap", ret_wrap);
    if (!r)
        r = hex_field(&o, "escrow", ret_escrow);
    sm_buf_wipe(&text);
    return r == -ENOENT ? -SM_ENOTFOUND : r;
}

/* keys.json last: until then the order still verifies, and all is done again after a crash. */
static int take_over(struct keys *k, const struct order *x, const char *name)
{
    struct sm_buf wrap = SM_BUF_INIT(NEXT_MAX), escrow = SM_BUF_INIT(NEXT_MAX);
    uint8_t open[32], restore[32], was[2][32];
    int r = two_keys(&x->recipients, open, restore);
    if (!r)
        r = next_read(k, name, &wrap, &escrow);
    if (!r)
        r = plat_replace(k->dir, ESCROW_FILE, sm_buf_span(&escrow), 0600);
    if (!r && wrap.n)
        r = plat_replace(k->dir, RESTORE_FILE, sm_buf_span(&wrap), 0600);
    sm_buf_wipe(&wrap);
    sm_buf_wipe(&escrow);
    if (r)
        return r;
    memcpy(was[0], k->open_pub, 32);
    memcpy(was[1], k->orders_pub, 32);
    memcpy(k->restore_pub, restore, 32);
    memcpy(k->open_pub, open, 32);
    memcpy(k->orders_pub, x->recipients.orders, 32);
    r = keys_save(k);
    if (r) {
        memcpy(k->open_pub, was[0], 32);
        memcpy(k->orders_pub, was[1], 32);
        return r;
    }
    (void)plat_fs_unlink(k->dir, name); /* taken over; a left one is the same again */
    keys_lock(k);
    k->wrong = 0;
    k->wait_until_ms = 0;
    return 0;
}

int keys_change_take(struct keys *k, struct sm_span text, const uint8_t sig[64])
{
    struct order *x = malloc(sizeof *x);
    char name[NEXT_NAME];
    int r = x ? order_read(k, text, sig, x) : -ENOMEM;
    if (!r) {
        next_name(x, name);
        r = take_over(k, x, name);
    }
    free(x);
    return r;
}
