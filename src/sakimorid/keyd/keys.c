#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/json.h"
#include "crypto/hash.h"
#include "crypto/pass.h"
#include "crypto/random.h"
#include "crypto/sheet.h"
#include "crypto/tls.h"
#include "crypto/words.h"
#include "crypto/x509.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimorid/keyd/self.h"
#include "sakimorid/keyd/keys_internal.h"

#define KEYS_FILE "keys.json"
#define KEYS_VERSION 1
#define CERT_RENEW_S ((int64_t)30 * 86400)
#define WRONG_WAIT_S 60u
#define WRONG_WAIT_MAX_S 3600u

/* ---- the file ---- */

static int put_hex(json_t *o, const char *name, const void *p, size_t n)
{
    char hex[2 * 64 + 1];
    if (n > 64)
        return -SM_ELIMIT;
    sm_hex(p, n, hex);
    int r = json_object_set_new(o, name, json_string(hex)) ? -ENOMEM : 0;
    sm_zero(hex, sizeof hex);
    return r;
}

static int put_text(json_t *o, const char *name, const struct sm_buf *b)
{
    return json_object_set_new(o, name, json_stringn((const char *)b->p, b->n)) ? -ENOMEM : 0;
}

int keys_save(struct keys *k)
{
    sm_cleanup(sm_json_free) json_t *o = json_object();
    struct sm_buf text = SM_BUF_INIT(1 << 20);
    int r = o ? 0 : -ENOMEM;
    if (!r)
        r = json_object_set_new(o, "version", json_integer(KEYS_VERSION)) ? -ENOMEM : 0;
    if (!r)
        r = put_hex(o, "vault", k->vault, sizeof k->vault);
    if (!r)
        r = put_hex(o, "head_seed", k->head.seed, sizeof k->head.seed);
    if (!r)
        r = put_hex(o, "order_seed", k->order.seed, sizeof k->order.seed);
    if (!r)
        r = put_text(o, "ca_key", &k->ca_key);
    if (!r)
        r = put_text(o, "ca_cert", &k->ca_pem);
    if (!r)
        r = put_text(o, "server_key", &k->server_key);
    if (!r)
        r = put_text(o, "server_chain", &k->chain_pem);
    if (!r && k->sheet)
        r = put_hex(o, "sheet_open_pub", k->open_pub, 32);
    if (!r && k->sheet)
        r = put_hex(o, "sheet_orders_pub", k->orders_pub, 32);
    if (!r)
        r = sm_json_dump(o, &text);
    if (!r)
        r = plat_replace(k->dir, KEYS_FILE, sm_buf_span(&text), 0600);
    sm_buf_wipe(&text);
    return r;
}

static int get_text(struct sm_obj *o, const char *name, struct sm_buf *ret)
{
    const char *s = sm_obj_str(o, name, 1, 2 * CRYPTO_CERT_MAX);
    return o->err ? o->err : sm_buf_put(ret, s, strlen(s));
}

static int load_fields(struct keys *k, struct sm_obj *o)
{
    int64_t version = sm_obj_int(o, "version", 1, 1 << 20);
    if (!o->err && version != KEYS_VERSION)
        return -SM_EVERSION;
    uint8_t head[32], order[32];
    sm_obj_hex(o, "vault", k->vault, sizeof k->vault);
    sm_obj_hex(o, "head_seed", head, 32);
    sm_obj_hex(o, "order_seed", order, 32);
    int r = o->err;
    if (!r)
        r = crypto_sign_from_seed(head, &k->head);
    if (!r)
        r = crypto_sign_from_seed(order, &k->order);
    sm_zero(head, sizeof head);
    sm_zero(order, sizeof order);
    if (!r)
        r = get_text(o, "ca_key", &k->ca_key);
    if (!r)
        r = get_text(o, "ca_cert", &k->ca_pem);
    if (!r)
        r = get_text(o, "server_key", &k->server_key);
    if (!r)
        r = get_text(o, "server_chain", &k->chain_pem);
    if (!r)
        r = crypto_x509_to_der(sm_buf_span(&k->ca_pem), &k->ca_der);
    if (!r && json_object_get(o->o, "sheet_open_pub")) {
        sm_obj_hex(o, "sheet_open_pub", k->open_pub, 32);
        sm_obj_hex(o, "sheet_orders_pub", k->orders_pub, 32);
        r = o->err;
        k->sheet = !r;
    }
    return r;
}

static int load(struct keys *k, char *ret_why)
{
    struct sm_buf text = SM_BUF_INIT(1 << 20);
    sm_cleanup(sm_json_free) json_t *o = NULL;
    int r = plat_fs_read_file(k->dir, KEYS_FILE, 1 << 20, &text);
    if (!r)
        r = sm_json_parse(sm_buf_span(&text), 1 << 20, &o, NULL);
    if (!r) {
        struct sm_obj obj = SM_OBJ(o);
        r = load_fields(k, &obj);
    }
    if (r && r != -ENOENT)
        snprintf(ret_why, 160, "%s: %s", KEYS_FILE, sm_strerror(r));
    sm_buf_wipe(&text);
    return r;
}

static int restore_load(struct keys *k)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    int r = plat_fs_read_file(k->dir, RESTORE_FILE, 4096, &b);
    if (r == -ENOENT) {
        sm_buf_wipe(&b);
        return 0;
    }
    if (!r)
        r = restorekey_wrap_check(sm_buf_span(&b), NULL, k->restore_pub);
    k->restore = !r;
    sm_buf_wipe(&b);
    return r;
}

/* ---- certificates ---- */

static int server_names(struct keys *k, const char *const *names, size_t n)
{
    struct sm_buf der = SM_BUF_INIT(CRYPTO_CERT_MAX), chain = SM_BUF_INIT(4 * CRYPTO_CERT_MAX);
    int r = crypto_x509_server_new(sm_buf_span(&k->ca_der), sm_buf_span(&k->ca_key), sm_buf_span(&k->server_key), names,
        n, plat_clock_wall().s, &der);
    if (!r)
        r = crypto_x509_to_pem(sm_buf_span(&der), &chain);
    if (!r)
        r = sm_buf_put_span(&chain, sm_buf_span(&k->ca_pem));
    if (!r) {
        struct sm_buf old = k->chain_pem;
        k->chain_pem = chain;
        r = keys_save(k);
        if (r) {
            chain = k->chain_pem;
            k->chain_pem = old;
        } else {
            chain = old;
        }
    }
    sm_buf_wipe(&der);
    sm_buf_wipe(&chain);
    return r;
}

static int make_first(struct keys *k, const char *const *names, size_t n)
{
    crypto_random(k->vault, sizeof k->vault);
    int r = crypto_sign_generate(&k->head);
    if (!r)
        r = crypto_sign_generate(&k->order);
    if (!r)
        r = crypto_x509_key_new(&k->ca_key);
    if (!r)
        r = crypto_x509_ca_new(sm_buf_span(&k->ca_key), "Box", plat_clock_wall().s, &k->ca_der);
    if (!r)
        r = crypto_x509_to_pem(sm_buf_span(&k->ca_der), &k->ca_pem);
    if (!r)
        r = crypto_x509_key_new(&k->server_key);
    return r ? r : server_names(k, names, n);
}

/* The names the present certificate was made for are kept as a plain line list beside it. */
static bool names_changed(struct keys *k, const char *const *names, size_t n)
{
    struct sm_buf was = SM_BUF_INIT(1 << 16), now = SM_BUF_INIT(1 << 16);
    int r = 0;
    for (size_t i = 0; i < n && !r; i++)
        r = sm_buf_printf(&now, "%s\n", names[i]);
    int seen = plat_fs_read_file(k->dir, "names", 1 << 16, &was);
    bool changed = r || seen || !sm_span_eq(sm_buf_span(&was), sm_buf_span(&now));
    if (changed && !r)
        (void)plat_replace(k->dir, "names", sm_buf_span(&now), 0600); /* only costs a new certificate next time */
    sm_buf_wipe(&was);
    sm_buf_wipe(&now);
    return changed;
}

int keys_server_renew(struct keys *k, const char *const *names, size_t n)
{
    struct crypto_cert_info info;
    int r = crypto_x509_info(sm_buf_span(&k->chain_pem), &info);
    bool changed = names_changed(k, names, n);
    if (!r && !changed && info.not_after_s - plat_clock_wall().s > CERT_RENEW_S)
        return 0;
    return server_names(k, names, n);
}

int keys_open(const char *folder, const char *const *names, size_t n, struct keys **ret, char *ret_why)
{
    struct keys *k = calloc(1, sizeof *k);
    if (!k)
        return -ENOMEM;
    ret_why[0] = 0;
    k->ca_key.max = k->ca_der.max = k->ca_pem.max = k->server_key.max = CRYPTO_CERT_MAX;
    k->chain_pem.max = 4 * CRYPTO_CERT_MAX;
    k->dir = plat_fs_open_dir(AT_FDCWD, folder);
    int r = k->dir < 0 ? k->dir : load(k, ret_why);
    if (!r && (r = keys_change_redo(k)) != 0)
        snprintf(ret_why, 160, "a change of recipients could not be finished: %s", sm_strerror(r));
    if (r == -ENOENT && k->dir >= 0)
        r = make_first(k, names, n);
    else if (!r)
        r = keys_server_renew(k, names, n);
    if (!r)
        r = crypto_tls_key_new(sm_buf_span(&k->server_key), &k->tls);
    if (!r && (r = restore_load(k)) != 0)
        snprintf(ret_why, 160, "%s: %s", RESTORE_FILE, sm_strerror(r));
    if (r) {
        keys_free(k);
        return r;
    }
    crypto_random(k->challenge_key, sizeof k->challenge_key);
    *ret = k;
    return 0;
}

void keys_free(struct keys *k)
{
    if (!k)
        return;
    crypto_tls_key_free(k->tls);
    keys_ring_drop(k);
    sm_buf_wipe(&k->links);
    sm_buf_wipe(&k->ca_key);
    sm_buf_wipe(&k->ca_der);
    sm_buf_wipe(&k->ca_pem);
    sm_buf_wipe(&k->server_key);
    sm_buf_wipe(&k->chain_pem);
    if (k->dir >= 0)
        close(k->dir);
    sm_zero(k, sizeof *k);
    free(k);
}

void keys_public(const struct keys *k, struct keys_public *ret)
{
    memcpy(ret->vault, k->vault, 16);
    memcpy(ret->head_pub, k->head.public_key, 32);
    memcpy(ret->order_pub, k->order.public_key, 32);
    memcpy(ret->open_pub, k->open_pub, 32);
    memcpy(ret->orders_pub, k->orders_pub, 32);
    memcpy(ret->restore_pub, k->restore_pub, 32);
    ret->sheet = k->sheet;
    ret->restore = k->restore;
    ret->ca_der = sm_buf_span(&k->ca_der);
    ret->ca_pem = sm_buf_span(&k->ca_pem);
    ret->chain_pem = sm_buf_span(&k->chain_pem);
}

int keys_recipients(const struct keys *k, struct sm_buf *ret)
{
    if (!k->sheet || !k->restore)
        return -SM_ESTATE;
    struct recipients set = {.n = 2,
        .r = {{RECIPIENT_SHEET, RECIPIENT_X25519, SM_SPAN(k->open_pub, 32)},
            {RECIPIENT_BOX, RECIPIENT_X25519, SM_SPAN(k->restore_pub, 32)}}};
    return recipients_put(&set, ret);
}

/* ---- the restore key sealed to the sheet ---- */

/* The sheet can then make a new card.  The vault id and the sheet's public half are bound in. */
static int escrow_write(struct keys *k, const struct crypto_x25519_pair *pair)
{
    struct vault_id vault;
    struct sm_buf out = SM_BUF_INIT(RESTOREKEY_ESCROW_LEN);
    memcpy(vault.b, k->vault, 16);
    int r = restorekey_escrow(&vault, k->open_pub, pair, &out);
    if (!r)
        r = plat_replace(k->dir, ESCROW_FILE, sm_buf_span(&out), 0600);
    sm_buf_wipe(&out);
    return r;
}

/* -SM_ENOTFOUND: there is none that fits the present keys. */
static int escrow_read(const struct keys *k, struct sm_buf *ret)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    struct restorekey_escrow e;
    int r = plat_fs_read_file(k->dir, ESCROW_FILE, 4096, &b);
    if (!r)
        r = restorekey_escrow_parse(sm_buf_span(&b), &e);
    bool fits = !r && !memcmp(e.vault.b, k->vault, 16) && !memcmp(e.open_public, k->open_pub, 32) &&
                !memcmp(e.restore_public, k->restore_pub, 32);
    if (r == -ENOENT || (!r && !fits))
        r = -SM_ENOTFOUND;
    if (!r)
        r = sm_buf_put_span(ret, sm_buf_span(&b));
    sm_buf_wipe(&b);
    return r;
}

int keys_escrow(const struct keys *k, struct sm_buf *ret)
{
    return k->sheet && k->restore ? escrow_read(k, ret) : -SM_ESTATE;
}

/* ---- the recovery sheet ---- */

/* Three different places: two words of one secret, one of the other, so that both sheets were really at hand. */
static void choose_words(struct keys *k)
{
    unsigned a = (unsigned)crypto_random_below(12), b = 12 + (unsigned)crypto_random_below(12);
    k->ask[0].orders = false;
    k->ask[0].n = a + 1;
    k->ask[1].orders = true;
    k->ask[1].n = (unsigned)crypto_random_below(24) + 1;
    k->ask[2].orders = false;
    k->ask[2].n = b + 1;
}

int keys_sheet_make(struct keys *k)
{
    if (k->sheet)
        return -SM_ESTATE;
    crypto_random(k->open_secret, 32);
    crypto_random(k->orders_secret, 32);
    choose_words(k);
    k->pending = true;
    return 0;
}

int keys_sheet_get(const struct keys *k, struct keys_sheet *ret)
{
    if (!k->pending)
        return -SM_ESTATE;
    ret->open = k->open_secret;
    ret->orders = k->orders_secret;
    for (unsigned i = 0; i < 3; i++) {
        ret->ask[i].orders = k->ask[i].orders;
        ret->ask[i].n = k->ask[i].n;
    }
    return 0;
}

int keys_sheet_qr(const struct keys *k, bool orders, struct sm_buf *ret)
{
    if (!k->pending)
        return -SM_ESTATE;
    uint8_t raw[16 + 32 + 4], sum[32];
    memcpy(raw, k->vault, 16);
    memcpy(raw + 16, orders ? k->orders_secret : k->open_secret, 32);
    crypto_sha256(SM_SPAN(raw, 48), sum);
    memcpy(raw + 48, sum, 4);
    int r = sm_buf_printf(ret, "SKR1:%c:", orders ? 'D' : 'O');
    if (!r)
        r = sm_base32(SM_SPAN(raw, sizeof raw), ret);
    sm_zero(raw, sizeof raw);
    return r;
}

static bool word_right(const struct keys *k, unsigned i, struct sm_span typed)
{
    const char *ja[CRYPTO_WORDS], *en[CRYPTO_WORDS];
    const uint8_t *secret = k->ask[i].orders ? k->orders_secret : k->open_secret;
    crypto_words_list(secret, CRYPTO_WORDS_JA, ja);
    crypto_words_list(secret, CRYPTO_WORDS_EN, en);
    unsigned n = k->ask[i].n - 1;
    return crypto_words_same(typed, ja[n]) || crypto_words_same(typed, en[n]);
}

int keys_sheet_confirm(struct keys *k, const struct sm_span typed[3], unsigned *ret_wrong)
{
    static const uint8_t none[32];
    /* A restore key from before a restart of this process cannot be sealed to the sheet: both are made again. */
    if (!k->pending || (k->restore && !memcmp(k->restore_pending.secret, none, 32)))
        return -SM_ESTATE;
    for (unsigned i = 0; i < 3; i++) {
        if (!word_right(k, i, typed[i])) {
            *ret_wrong = i;
            return -SM_EMISMATCH;
        }
    }
    struct crypto_x25519_pair open;
    struct crypto_sign_pair orders;
    int r = crypto_x25519_from_secret(k->open_secret, &open);
    if (!r)
        r = crypto_sign_from_seed(k->orders_secret, &orders);
    if (r)
        return r;
    memcpy(k->open_pub, open.public_key, 32);
    memcpy(k->orders_pub, orders.public_key, 32);
    crypto_x25519_wipe(&open);
    crypto_sign_wipe(&orders);
    /* First the escrow: a confirmed sheet without it could never make a new card. */
    if (k->restore)
        r = escrow_write(k, &k->restore_pending);
    if (r)
        return r;
    k->sheet = true;
    r = keys_save(k);
    if (r) {
        k->sheet = false;
        return r;
    }
    k->pending = false;
    sm_zero(k->open_secret, 32);
    sm_zero(k->orders_secret, 32);
    crypto_x25519_wipe(&k->restore_pending);
    return 0;
}

/* ---- the restore key ---- */

static int restore_write(
    struct keys *k, struct sm_span password, const uint8_t card[RESTOREKEY_CARD_LEN], const struct crypto_x25519_pair *pair)
{
    struct sm_buf out = SM_BUF_INIT(RESTOREKEY_WRAP_LEN);
    int r = restorekey_wrap(password, card, &crypto_pass_wrap, pair, &out);
    if (!r)
        r = plat_replace(k->dir, RESTORE_FILE, sm_buf_span(&out), 0600);
    sm_buf_wipe(&out);
    return r;
}

int keys_restore_make(struct keys *k, struct sm_span password, struct sm_buf *ret_card)
{
    if (k->sheet)
        return -SM_ESTATE;
    uint8_t card[RESTOREKEY_CARD_LEN];
    struct crypto_x25519_pair pair;
    crypto_random(card, sizeof card);
    int r = crypto_x25519_generate(&pair);
    if (!r)
        r = restore_write(k, password, card, &pair);
    if (!r) {
        memcpy(k->restore_pub, pair.public_key, 32);
        k->restore = true;
        k->restore_pending = pair; /* until the sheet it is sealed to is confirmed */
        r = restorekey_card_text(card, ret_card);
    }
    crypto_x25519_wipe(&pair);
    sm_zero(card, sizeof card);
    return r;
}

static int restore_open(struct keys *k, struct sm_span password, struct sm_span card_text,
    uint8_t ret_card[RESTOREKEY_CARD_LEN], struct crypto_x25519_pair *ret)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    int r = k->restore ? restorekey_card_read(card_text, ret_card) : -SM_ESTATE;
    if (!r)
        r = plat_fs_read_file(k->dir, RESTORE_FILE, 4096, &b);
    if (!r)
        r = restorekey_unwrap(sm_buf_span(&b), password, ret_card, ret);
    sm_buf_wipe(&b);
    return r;
}

int keys_restore_password(
    struct keys *k, struct sm_span old_password, struct sm_span new_password, struct sm_span card_text)
{
    uint8_t card[RESTOREKEY_CARD_LEN];
    struct crypto_x25519_pair pair = {0};
    int r = restore_open(k, old_password, card_text, card, &pair);
    if (!r)
        r = restore_write(k, new_password, card, &pair);
    crypto_x25519_wipe(&pair);
    sm_zero(card, sizeof card);
    return r;
}

/* Five tries are free; after that every wrong one waits twice as long as the last, up to an hour. */
static void count_wrong(struct keys *k, uint64_t now_ms)
{
    k->wrong++;
    if (k->wrong < KEYS_UNLOCK_TRIES)
        return;
    unsigned doublings = k->wrong - KEYS_UNLOCK_TRIES;
    unsigned wait = doublings >= 6 ? WRONG_WAIT_MAX_S : WRONG_WAIT_S << doublings;
    k->wait_until_ms = now_ms + (uint64_t)wait * 1000;
}

/* A box set up by an older program has no escrow: the first unlock makes it.  That it could not be written takes nothing
 * from this unlock; the next one tries again. */
static void escrow_mend(struct keys *k)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    if (k->sheet && escrow_read(k, &b) != 0)
        (void)!escrow_write(k, &k->restore_pair);
    sm_buf_wipe(&b);
}

int keys_unlock(struct keys *k, struct sm_span password, struct sm_span card, uint64_t now_ms, unsigned *ret_wait_s)
{
    if (now_ms < k->wait_until_ms) {
        *ret_wait_s = (unsigned)((k->wait_until_ms - now_ms + 999) / 1000);
        return -SM_EAGAIN;
    }
    uint8_t raw[RESTOREKEY_CARD_LEN];
    struct crypto_x25519_pair pair = {0};
    int r = restore_open(k, password, card, raw, &pair);
    sm_zero(raw, sizeof raw);
    if (r == -SM_EAUTH)
        count_wrong(k, now_ms);
    if (r)
        return r;
    r = keys_ring_fill(k, &pair);
    if (!r)
        k->restore_pair = pair;
    crypto_x25519_wipe(&pair);
    if (r)
        return r;
    escrow_mend(k);
    k->unlocked = true;
    k->until_ms = now_ms + KEYS_UNLOCK_MS;
    k->opens = 0;
    k->wrong = 0;
    return 0;
}

void keys_lock(struct keys *k)
{
    crypto_x25519_wipe(&k->restore_pair);
    keys_ring_drop(k);
    k->unlocked = false;
}

uint64_t keys_unlocked_ms(struct keys *k, uint64_t now_ms)
{
    if (k->unlocked && now_ms >= k->until_ms)
        keys_lock(k);
    return k->unlocked ? k->until_ms - now_ms : 0;
}

int keys_open_envelope(struct keys *k, uint64_t now_ms, struct sm_span sealed, uint8_t ret_file_key[32])
{
    if (!keys_unlocked_ms(k, now_ms))
        return -SM_ESTATE;
    if (k->opens >= KEYS_OPENS_MAX)
        return -SM_ELIMIT;
    k->opens++;
    struct envelope e;
    struct vault_id vault;
    struct file_key f;
    memcpy(vault.b, k->vault, 16);
    int r = envelope_parse(sealed, NULL, &e);
    if (!r)
        r = keyring_open(k->ring, &vault, &e.hdr.client, sealed, &f);
    if (!r)
        memcpy(ret_file_key, f.b, 32);
    sm_zero(&f, sizeof f);
    return r;
}

/* ---- whoever has the recovery sheet ---- */

/* u64 end ‖ 8 random bytes ‖ 16 of HMAC(this process's key, both): nothing is kept for a challenge that is only asked
 * for, so asking for many costs nobody else theirs. */
static void challenge_tag(const struct keys *k, const uint8_t head[16], uint8_t ret[16])
{
    uint8_t full[CRYPTO_SHA256_LEN];
    crypto_hmac_sha256(SM_SPAN(k->challenge_key, 32), SM_SPAN(head, 16), full);
    memcpy(ret, full, 16);
}

int keys_challenge(struct keys *k, uint64_t now_ms, uint8_t ret[RESTOREKEY_CHALLENGE_LEN])
{
    uint8_t c[RESTOREKEY_CHALLENGE_LEN];
    uint64_t until = now_ms + KEYS_CHALLENGE_MS;
    if (!k->sheet)
        return -SM_ESTATE;
    for (unsigned i = 0; i < 8; i++)
        c[i] = (uint8_t)(until >> (8 * i));
    crypto_random(c + 8, 8);
    challenge_tag(k, c, c + 16);
    memcpy(ret, c, sizeof c);
    return 0;
}

/* *ret_slot: where it is kept once it was used. */
static int challenge_fresh(
    struct keys *k, uint64_t now_ms, const uint8_t c[RESTOREKEY_CHALLENGE_LEN], unsigned *ret_slot)
{
    uint8_t tag[16];
    uint64_t until = 0;
    unsigned slot = KEYS_USED_MAX;
    for (unsigned i = 0; i < 8; i++)
        until |= (uint64_t)c[i] << (8 * i);
    challenge_tag(k, c, tag);
    if (!sm_ct_eq(tag, c + 16, 16) || now_ms >= until)
        return -SM_EMISMATCH;
    for (unsigned i = 0; i < KEYS_USED_MAX; i++) {
        if (k->used[i].until_ms <= now_ms)
            slot = i;
        else if (!memcmp(k->used[i].challenge, c, RESTOREKEY_CHALLENGE_LEN))
            return -SM_EMISMATCH;
    }
    if (slot == KEYS_USED_MAX)
        return -SM_EAGAIN; /* only who has the sheet can fill it */
    *ret_slot = slot;
    return 0;
}

int keys_sheet_check(struct keys *k, uint64_t now_ms, const uint8_t challenge[RESTOREKEY_CHALLENGE_LEN],
    const char *act, const uint8_t over[32], const uint8_t sig[64])
{
    struct sm_buf text = SM_BUF_INIT(256);
    struct vault_id vault;
    unsigned slot = 0;
    memcpy(vault.b, k->vault, 16);
    int r = k->sheet ? challenge_fresh(k, now_ms, challenge, &slot) : -SM_ESTATE;
    if (!r)
        r = restorekey_proof_text(challenge, &vault, act, over, &text);
    if (!r)
        r = crypto_sign_verify(k->orders_pub, sm_buf_span(&text), sig);
    if (!r) {
        memcpy(k->used[slot].challenge, challenge, RESTOREKEY_CHALLENGE_LEN);
        k->used[slot].until_ms = now_ms + KEYS_CHALLENGE_MS; /* it is over by then */
    }
    sm_buf_wipe(&text);
    return r;
}

int keys_sheet_words(const struct keys *k, struct sm_span typed, char *ret_why)
{
    struct crypto_sheet sheet = {0};
    struct crypto_sign_pair pair;
    int r = k->sheet ? crypto_sheet_parse(typed, CRYPTO_SHEET_ORDERS, &sheet, ret_why) : -SM_ESTATE;
    if (!r)
        r = crypto_sign_from_seed(sheet.secret, &pair);
    if (!r) {
        r = sm_ct_eq(pair.public_key, k->orders_pub, 32) ? 0 : -SM_EAUTH;
        crypto_sign_wipe(&pair);
    }
    crypto_sheet_wipe(&sheet);
    return r;
}

int keys_card_new(struct keys *k, uint64_t now_ms, struct sm_span wrap,
    const uint8_t challenge[RESTOREKEY_CHALLENGE_LEN], const uint8_t sig[64])
{
    uint8_t public_key[32], over[32];
    int r = k->sheet && k->restore ? restorekey_wrap_check(wrap, &crypto_pass_wrap, public_key) : -SM_ESTATE;
    if (!r && memcmp(public_key, k->restore_pub, 32) != 0)
        r = -SM_EDENIED;
    if (r)
        return r;
    crypto_sha256(wrap, over);
    r = keys_sheet_check(k, now_ms, challenge, "card", over, sig);
    if (!r)
        r = plat_replace(k->dir, RESTORE_FILE, wrap, 0600);
    if (!r) {
        keys_lock(k);
        k->wrong = 0;
        k->wait_until_ms = 0;
    }
    return r;
}

/* ---- signatures ---- */

static bool begins(struct sm_span s, const char *label)
{
    size_t n = strlen(label);
    return s.n > n && memcmp(s.p, label, n) == 0;
}

int keys_sign_head(const struct keys *k, struct sm_span text, uint8_t ret[64])
{
    if (text.n > KEYS_TEXT_MAX)
        return -SM_ELIMIT;
    if (!begins(text, "sakimori/v1/head") && !begins(text, "sakimori/v1/countersign") &&
        !begins(text, "sakimori/v1/copy"))
        return -SM_EDENIED;
    return crypto_sign(&k->head, text, ret);
}

int keys_sign_order(const struct keys *k, struct sm_span order, uint8_t ret[64])
{
    return crypto_sign_text(&k->order, "sakimori/v1/order", order, ret);
}

int keys_sign_tls(const struct keys *k, unsigned algorithm, struct sm_span hash, struct sm_buf *ret)
{
    return crypto_tls_key_sign(k->tls, algorithm, hash, ret);
}

int keys_device_cert(
    const struct keys *k, struct sm_span csr, const char *device, unsigned days, struct sm_buf *ret_der)
{
    return crypto_x509_device_from_csr(
        sm_buf_span(&k->ca_der), sm_buf_span(&k->ca_key), csr, device, plat_clock_wall().s, days, ret_der);
}

/* ---- the box's own backup ---- */

int keys_self(const struct keys *k, const uint8_t client[16], const uint8_t sign_pub[32], struct sm_buf *ret)
{
    struct vault_id vault;
    struct client_id who;
    memcpy(vault.b, k->vault, 16);
    memcpy(who.b, client, 16);
    return k->sheet && k->restore ? keys_self_seal(k->dir, &vault, k->open_pub, &who, sign_pub, ret) : -SM_ESTATE;
}
