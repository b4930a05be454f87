/* A change of recipients: kept until the vault executed its order, then taken over; and the ring of keys by which an
 * unlock reaches generations from before it.  FORMAT-vault.md sections 2.5, 9 and 11. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/json.h"
#include "crypto/pass.h"
#include "plat/fs.h"
#include "sakimorid/keyd/keys_internal.h"
#include "vault/store/order.h"

#define NEXT_MAX 8192
#define NEXT_NAME 48
#define NEXT "next-"
#define TAKEN_FILE "taken.json"

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

static int order_form(const struct keys *k, struct sm_span text, struct order *ret)
{
    char why[160];
    if (!k->sheet || !k->restore)
        return -SM_ESTATE;
    int r = order_parse(text, ret, why);
    if (!r && ret->kind != ORDER_RECIPIENTS)
        r = -SM_EFORMAT;
    if (!r && memcmp(ret->vault.b, k->vault, 16) != 0)
        r = -SM_EMISMATCH;
    return r;
}

/* Is it a change of the present set? */
static int follows(const struct keys *k, const struct order *x)
{
    uint8_t fp[32];
    struct sm_buf set = SM_BUF_INIT(4096);
    int r = keys_recipients(k, &set);
    recipients_fingerprint(sm_buf_span(&set), fp);
    sm_buf_wipe(&set);
    return !r && memcmp(fp, x->recipients.before, sizeof fp) != 0 ? -SM_EMISMATCH : r;
}

static bool holds_already(const struct keys *k, const struct order *x)
{
    uint8_t open[32], restore[32];
    return two_keys(&x->recipients, open, restore) == 0 && !memcmp(open, k->open_pub, 32) &&
           !memcmp(restore, k->restore_pub, 32) && !memcmp(x->recipients.orders, k->orders_pub, 32);
}

static void next_name(const uint8_t raw[ORDER_NONCE], char ret[NEXT_NAME])
{
    char nonce[2 * ORDER_NONCE + 1];
    sm_hex(raw, ORDER_NONCE, nonce);
    (void)snprintf(ret, NEXT_NAME, NEXT "%s.json", nonce); /* fits: 42 */
}

static int next_check(const struct keys *k, const struct order *x, struct sm_span wrap, struct sm_span escrow)
{
    uint8_t open[32], restore[32], held[32];
    struct restorekey_escrow e;
    int r = follows(k, x);
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

/* orders: NULL, or the key that signs from now on. */
static int pair_write(const struct keys *k, const char *name, struct sm_span wrap, struct sm_span escrow, const uint8_t *orders)
{
    struct sm_buf out = SM_BUF_INIT(NEXT_MAX);
    char w[2 * RESTOREKEY_WRAP_LEN + 1], s[2 * RESTOREKEY_ESCROW_LEN + 1], key[65] = "";
    if (wrap.n > RESTOREKEY_WRAP_LEN || escrow.n > RESTOREKEY_ESCROW_LEN)
        return -SM_ELIMIT;
    sm_hex(wrap.p, wrap.n, w);
    sm_hex(escrow.p, escrow.n, s);
    if (orders)
        sm_hex(orders, 32, key);
    json_t *o = json_pack("{s:s,s:s,s:s*}", "wrap", w, "escrow", s, "orders", orders ? key : NULL);
    int r = o ? sm_json_dump(o, &out) : -ENOMEM;
    json_decref(o);
    if (!r)
        r = plat_replace(k->dir, name, sm_buf_span(&out), 0600);
    sm_buf_wipe(&out);
    return r;
}

int keys_change_keep(struct keys *k, struct sm_span text, const uint8_t sig[64], struct sm_span wrap, struct sm_span escrow)
{
    struct order *x = malloc(sizeof *x);
    char name[NEXT_NAME];
    int r = !x ? -ENOMEM : wrap.n > RESTOREKEY_WRAP_LEN || escrow.n > RESTOREKEY_ESCROW_LEN ? -SM_ELIMIT : 0;
    if (!r)
        r = order_form(k, text, x);
    if (!r)
        r = order_verify(text, sig, k->orders_pub);
    if (!r)
        r = next_check(k, x, wrap, escrow);
    if (!r) {
        next_name(x->nonce, name);
        r = pair_write(k, name, wrap, escrow, NULL);
    }
    free(x);
    return r;
}

int keys_change_drop(struct keys *k, const uint8_t nonce[ORDER_NONCE])
{
    char name[NEXT_NAME];
    next_name(nonce, name);
    int r = plat_fs_unlink(k->dir, name);
    return r == -ENOENT ? 0 : r;
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

/* ret_orders may be NULL.  -SM_ENOTFOUND. */
static int pair_read(const struct keys *k, const char *name, struct sm_buf *ret_wrap, struct sm_buf *ret_escrow,
    uint8_t ret_orders[32])
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
    if (!r && ret_orders) {
        sm_obj_hex(&o, "orders", ret_orders, 32);
        r = o.err;
    }
    sm_buf_wipe(&text);
    return r == -ENOENT ? -SM_ENOTFOUND : r;
}

static int forget_next(void *arg, struct sm_span name, unsigned char type)
{
    const struct keys *k = arg;
    (void)type;
    if (name.n > sizeof NEXT - 1 && !memcmp(name.p, NEXT, sizeof NEXT - 1))
        (void)plat_fs_unlink(k->dir, (const char *)name.p); /* one that stays follows a set that holds no more */
    return 0;
}

/* All that waited were changes of the set that was. */
static void forget_waiting(struct keys *k)
{
    int again = openat(k->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a position of its own */
    if (again < 0)
        return;
    (void)!plat_fs_list(again, forget_next, k); /* as in forget_next */
    close(again);
}

/* A left one would bring this card back over a later one. */
static int taken_done(const struct keys *k)
{
    int r = plat_fs_unlink(k->dir, TAKEN_FILE);
    return r == -ENOENT ? 0 : r;
}

/* What TAKEN_FILE says, on the disk and in k.  Done again as often as it takes. */
static int apply(struct keys *k, struct sm_span wrap, struct sm_span escrow, const uint8_t orders[32])
{
    uint8_t was[3][32];
    struct restorekey_escrow e;
    int r = restorekey_escrow_parse(escrow, &e);
    if (!r)
        r = plat_replace(k->dir, ESCROW_FILE, escrow, 0600);
    if (!r && wrap.n)
        r = plat_replace(k->dir, RESTORE_FILE, wrap, 0600);
    if (r)
        return r;
    memcpy(was[0], k->open_pub, 32);
    memcpy(was[1], k->orders_pub, 32);
    memcpy(was[2], k->restore_pub, 32);
    memcpy(k->open_pub, e.open_public, 32);
    memcpy(k->orders_pub, orders, 32);
    memcpy(k->restore_pub, e.restore_public, 32);
    r = keys_save(k);
    if (r) {
        memcpy(k->open_pub, was[0], 32);
        memcpy(k->orders_pub, was[1], 32);
        memcpy(k->restore_pub, was[2], 32);
        return r;
    }
    forget_waiting(k);
    return taken_done(k);
}

int keys_change_redo(struct keys *k)
{
    struct sm_buf wrap = SM_BUF_INIT(NEXT_MAX), escrow = SM_BUF_INIT(NEXT_MAX);
    uint8_t orders[32];
    int r = pair_read(k, TAKEN_FILE, &wrap, &escrow, orders);
    if (!r)
        r = apply(k, sm_buf_span(&wrap), sm_buf_span(&escrow), orders);
    sm_buf_wipe(&wrap);
    sm_buf_wipe(&escrow);
    return r == -SM_ENOTFOUND ? 0 : r;
}

/* TAKEN_FILE first: three files follow, and a crash between them is made good when they are opened (keys_change_redo). */
static int take_over(struct keys *k, const struct order *x)
{
    struct sm_buf wrap = SM_BUF_INIT(NEXT_MAX), escrow = SM_BUF_INIT(NEXT_MAX);
    char name[NEXT_NAME];
    next_name(x->nonce, name);
    int r = pair_read(k, name, &wrap, &escrow, NULL);
    if (!r)
        r = pair_write(k, TAKEN_FILE, sm_buf_span(&wrap), sm_buf_span(&escrow), x->recipients.orders);
    if (!r)
        r = apply(k, sm_buf_span(&wrap), sm_buf_span(&escrow), x->recipients.orders);
    sm_buf_wipe(&wrap);
    sm_buf_wipe(&escrow);
    if (holds_already(k, x)) { /* also when only TAKEN_FILE could not be removed */
        keys_lock(k);
        k->wrong = 0;
        k->wait_until_ms = 0;
    }
    return r;
}

int keys_change_take(struct keys *k, struct sm_span text, const uint8_t sig[64])
{
    struct order *x = malloc(sizeof *x);
    int r = x ? order_form(k, text, x) : -ENOMEM;
    bool again = !r && holds_already(k, x); /* its answer was lost: nothing is done, so nothing is asked of the signature */
    if (again)
        r = taken_done(k);
    if (!r && !again)
        r = order_verify(text, sig, k->orders_pub);
    if (!r && !again)
        r = follows(k, x);
    if (!r && !again)
        r = take_over(k, x);
    free(x);
    return r;
}
