/* What keyd holds: made once, kept, opened only with password and card, and never asked for more than its table allows.
 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/init.h"
#include "crypto/hash.h"
#include "crypto/sheet.h"
#include "crypto/words.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimorid/keyd/keys.h"
#include "vault/seal/selfkeys.h"
#include "vault/snapshot/keylink.h"
#include "vault/store/order.h"

static char dir[64];
static const char *const names[] = {"localhost", "127.0.0.1"};
static const struct sm_span password = {(const uint8_t *)"sakura-2026-naika", 17};

static struct keys *open_keys(void)
{
    struct keys *k = NULL;
    char why[160];
    assert_ok(keys_open(dir, names, 2, &k, why));
    return k;
}

static uint8_t open_secret[32], orders_secret[32]; /* of the sheet that was confirmed, as on paper */

static void confirm(struct keys *k)
{
    struct keys_sheet s;
    struct sm_span typed[3];
    const char *words[CRYPTO_WORDS];
    unsigned wrong;
    assert_ok(keys_sheet_get(k, &s));
    memcpy(open_secret, s.open, 32);
    memcpy(orders_secret, s.orders, 32);
    for (unsigned i = 0; i < 3; i++) {
        crypto_words_list(s.ask[i].orders ? s.orders : s.open, i == 1 ? CRYPTO_WORDS_EN : CRYPTO_WORDS_JA, words);
        typed[i] = SM_SPAN_STR(words[s.ask[i].n - 1]);
    }
    struct sm_span right = typed[2];
    typed[2] = SM_SPAN_STR("zebra-x");
    assert_int_equal(keys_sheet_confirm(k, typed, &wrong), -SM_EMISMATCH);
    assert_int_equal(wrong, 2);
    typed[2] = right;
    assert_ok(keys_sheet_confirm(k, typed, &wrong));
}

static void keys_are_made_once_and_found_again(void **state)
{
    struct keys_public a, b;
    struct keys *k = open_keys();
    (void)state;
    keys_public(k, &a);
    assert_false(a.sheet);
    keys_free(k);
    k = open_keys();
    keys_public(k, &b);
    assert_memory_equal(a.vault, b.vault, 16);
    assert_memory_equal(a.head_pub, b.head_pub, 32);
    assert_memory_equal(a.order_pub, b.order_pub, 32);
    keys_free(k);
}

static void the_sheet_is_confirmed_by_typing_words_back_and_then_forgotten(void **state)
{
    struct keys *k = open_keys();
    struct sm_buf card = SM_BUF_INIT(256), set = SM_BUF_INIT(4096), qr = SM_BUF_INIT(256);
    struct keys_sheet s;
    struct keys_public p;
    (void)state;
    assert_ok(keys_restore_make(k, password, &card));
    assert_int_equal(keys_recipients(k, &set), -SM_ESTATE);
    assert_ok(keys_sheet_make(k));
    assert_ok(keys_sheet_qr(k, false, &qr));
    assert_memory_equal(qr.p, "SKR1:O:", 7);
    confirm(k);
    assert_int_equal(keys_sheet_get(k, &s), -SM_ESTATE);
    assert_int_equal(keys_sheet_make(k), -SM_ESTATE);
    assert_int_equal(keys_restore_make(k, password, &card), -SM_ESTATE);
    keys_public(k, &p);
    assert_true(p.sheet && p.restore);
    assert_ok(keys_recipients(k, &set));
    struct recipients r;
    assert_ok(recipients_parse(sm_buf_span(&set), &r));
    assert_int_equal(r.n, 2);
    /* The card, for the next tests. */
    int d = plat_fs_open_dir(AT_FDCWD, dir);
    assert_ok(plat_replace(d, "test-card", sm_buf_span(&card), 0600));
    close(d);
    keys_free(k);
    sm_buf_wipe(&card);
    sm_buf_wipe(&set);
    sm_buf_wipe(&qr);
}

static void read_card(struct sm_buf *ret)
{
    char path[96];
    snprintf(path, sizeof path, "%s/test-card", dir);
    assert_ok(plat_fs_read_file(AT_FDCWD, path, 256, ret));
}

static void an_envelope_opens_only_while_unlocked(void **state)
{
    struct keys *k = open_keys();
    struct keys_public p;
    struct sm_buf card = SM_BUF_INIT(256), set = SM_BUF_INIT(4096), sealed = SM_BUF_INIT(8192);
    struct vault_id vault;
    struct client_id client = {"client-client-0"};
    struct file_key f;
    struct cid cid;
    uint8_t got[32];
    unsigned wait = 0;
    (void)state;
    read_card(&card);
    keys_public(k, &p);
    memcpy(vault.b, p.vault, 16);
    assert_ok(keys_recipients(k, &set));
    assert_ok(envelope_make(&vault, &client, sm_buf_span(&set), &f, &cid, &sealed));
    assert_int_equal(keys_open_envelope(k, 1000, sm_buf_span(&sealed), got), -SM_ESTATE);
    assert_ok(keys_unlock(k, password, sm_buf_span(&card), 1000, &wait));
    assert_ok(keys_open_envelope(k, 2000, sm_buf_span(&sealed), got));
    assert_memory_equal(got, f.b, 32);
    sealed.p[sealed.n - 1] ^= 1;
    assert_true(keys_open_envelope(k, 2000, sm_buf_span(&sealed), got) < 0);
    sealed.p[sealed.n - 1] ^= 1;
    assert_true(keys_unlocked_ms(k, 1000 + KEYS_UNLOCK_MS - 1) > 0);
    assert_int_equal(keys_unlocked_ms(k, 1000 + KEYS_UNLOCK_MS), 0);
    assert_int_equal(keys_open_envelope(k, 2000, sm_buf_span(&sealed), got), -SM_ESTATE);
    keys_free(k);
    sm_buf_wipe(&card);
    sm_buf_wipe(&set);
    sm_buf_wipe(&sealed);
}

static void wrong_unlocks_have_to_wait_longer_and_longer(void **state)
{
    struct keys *k = open_keys();
    struct sm_buf card = SM_BUF_INIT(256);
    unsigned wait = 0;
    (void)state;
    read_card(&card);
    assert_int_equal(keys_unlock(k, password, SM_SPAN_STR("SKC1-AAAA"), 1, &wait), -SM_EFORMAT);
    for (int i = 0; i < KEYS_UNLOCK_TRIES; i++)
        assert_int_equal(keys_unlock(k, SM_SPAN_STR("wrong"), sm_buf_span(&card), 1, &wait), -SM_EAUTH);
    assert_int_equal(keys_unlock(k, password, sm_buf_span(&card), 2, &wait), -SM_EAGAIN);
    assert_int_equal(wait, 60);
    assert_ok(keys_unlock(k, password, sm_buf_span(&card), 60002, &wait));
    keys_free(k);
    sm_buf_wipe(&card);
}

static void the_card_is_read_as_people_type_it(void **state)
{
    uint8_t card[RESTOREKEY_CARD_LEN], again[RESTOREKEY_CARD_LEN];
    struct sm_buf t = SM_BUF_INIT(256);
    char typed[256];
    (void)state;
    for (unsigned i = 0; i < sizeof card; i++)
        card[i] = (uint8_t)(i * 31);
    assert_ok(restorekey_card_text(card, &t));
    snprintf(typed, sizeof typed, "%s", sm_buf_str(&t));
    for (char *p = typed; *p; p++)
        *p = *p == '-' ? ' ' : (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    assert_ok(restorekey_card_read(SM_SPAN_STR(typed), again));
    assert_memory_equal(card, again, sizeof card);
    typed[8] = typed[8] == 'b' ? 'c' : 'b';
    assert_int_equal(restorekey_card_read(SM_SPAN_STR(typed), again), -SM_EFORMAT);
    assert_int_equal(restorekey_card_read(SM_SPAN_STR(""), again), -SM_EFORMAT);
    sm_buf_wipe(&t);
}

static void the_head_key_signs_nothing_but_heads_and_countersignatures(void **state)
{
    struct keys *k = open_keys();
    uint8_t sig[64];
    (void)state;
    assert_ok(keys_sign_head(k, SM_SPAN_STR("sakimori/v1/head+more"), sig));
    assert_ok(keys_sign_head(k, SM_SPAN_STR("sakimori/v1/countersign+more"), sig));
    assert_int_equal(keys_sign_head(k, SM_SPAN_STR("sakimori/v1/order{}"), sig), -SM_EDENIED);
    assert_int_equal(keys_sign_head(k, SM_SPAN_STR("sakimori/v1/manifest"), sig), -SM_EDENIED);
    assert_int_equal(keys_sign_head(k, SM_SPAN_STR(""), sig), -SM_EDENIED);
    keys_free(k);
}

static void a_new_password_takes_the_place_of_the_old_one(void **state)
{
    struct keys *k = open_keys();
    struct sm_buf card = SM_BUF_INIT(256);
    unsigned wait;
    (void)state;
    read_card(&card);
    assert_int_equal(keys_restore_password(k, SM_SPAN_STR("wrong"), SM_SPAN_STR("new"), sm_buf_span(&card)), -SM_EAUTH);
    assert_ok(keys_restore_password(k, password, SM_SPAN_STR("another-2027-x"), sm_buf_span(&card)));
    assert_int_equal(keys_unlock(k, password, sm_buf_span(&card), 1, &wait), -SM_EAUTH);
    assert_ok(keys_unlock(k, SM_SPAN_STR("another-2027-x"), sm_buf_span(&card), 1, &wait));
    keys_free(k);
    sm_buf_wipe(&card);
}

/* What the command line does with the sheet: open the escrow, wrap the key under a new card, sign for it. */
struct new_card {
    uint8_t card[RESTOREKEY_CARD_LEN], challenge[RESTOREKEY_CHALLENGE_LEN], sig[64];
    struct sm_buf wrap, text;
};

static void sign_for(const struct keys *k, struct new_card *n, const char *act, const uint8_t seed[32])
{
    struct crypto_sign_pair orders;
    struct keys_public p;
    struct vault_id vault;
    struct sm_buf proof = SM_BUF_INIT(256);
    uint8_t over[32];
    keys_public(k, &p);
    memcpy(vault.b, p.vault, 16);
    crypto_sha256(sm_buf_span(&n->wrap), over);
    assert_ok(restorekey_proof_text(n->challenge, &vault, act, over, &proof));
    assert_ok(crypto_sign_from_seed(seed, &orders));
    assert_ok(crypto_sign(&orders, sm_buf_span(&proof), n->sig));
    sm_buf_wipe(&proof);
}

static void make_card(struct keys *k, struct sm_span with, uint64_t now_ms, struct new_card *n)
{
    struct sm_buf escrow = SM_BUF_INIT(4096);
    struct crypto_x25519_pair pair;
    *n = (struct new_card){.wrap = SM_BUF_INIT(4096), .text = SM_BUF_INIT(256)};
    memset(n->card, 0x5a, sizeof n->card);
    assert_ok(keys_escrow(k, &escrow));
    assert_ok(restorekey_escrow_open(sm_buf_span(&escrow), open_secret, &pair));
    assert_ok(restorekey_wrap(with, n->card, &crypto_pass_wrap, &pair, &n->wrap));
    assert_ok(restorekey_card_text(n->card, &n->text));
    assert_ok(keys_challenge(k, now_ms, n->challenge));
    sign_for(k, n, "card", orders_secret);
    sm_buf_wipe(&escrow);
}

static void drop_card(struct new_card *n)
{
    sm_buf_wipe(&n->wrap);
    sm_buf_wipe(&n->text);
}

static void the_sheet_makes_a_new_card_and_the_old_one_opens_nothing(void **state)
{
    struct keys *k = open_keys();
    struct sm_buf old = SM_BUF_INIT(256);
    struct new_card n;
    unsigned wait;
    (void)state;
    read_card(&old);
    assert_ok(keys_unlock(k, SM_SPAN_STR("another-2027-x"), sm_buf_span(&old), 1, &wait));
    make_card(k, SM_SPAN_STR("tsubame-7-yuugata"), 1000, &n);
    assert_ok(keys_card_new(k, 1000, sm_buf_span(&n.wrap), n.challenge, n.sig));
    assert_int_equal(keys_unlocked_ms(k, 1000), 0);
    assert_int_equal(keys_unlock(k, SM_SPAN_STR("another-2027-x"), sm_buf_span(&old), 2000, &wait), -SM_EAUTH);
    assert_int_equal(keys_unlock(k, SM_SPAN_STR("tsubame-7-yuugata"), sm_buf_span(&old), 2000, &wait), -SM_EAUTH);
    assert_int_equal(keys_unlock(k, SM_SPAN_STR("another-2027-x"), sm_buf_span(&n.text), 2000, &wait), -SM_EAUTH);
    assert_ok(keys_unlock(k, SM_SPAN_STR("tsubame-7-yuugata"), sm_buf_span(&n.text), 2000, &wait));
    keys_free(k);
    k = open_keys(); /* and it is on the disk */
    assert_ok(keys_unlock(k, SM_SPAN_STR("tsubame-7-yuugata"), sm_buf_span(&n.text), 1, &wait));
    keys_free(k);
    drop_card(&n);
    sm_buf_wipe(&old);
}

static void a_proof_holds_once_for_ten_minutes_and_for_these_bytes_only(void **state)
{
    struct keys *k = open_keys();
    struct new_card n;
    uint8_t other[32] = {1}, was;
    (void)state;
    make_card(k, password, 1000, &n);
    sign_for(k, &n, "card", other);
    assert_int_equal(keys_card_new(k, 1000, sm_buf_span(&n.wrap), n.challenge, n.sig), -SM_EAUTH);
    sign_for(k, &n, "person", orders_secret);
    assert_int_equal(keys_card_new(k, 1000, sm_buf_span(&n.wrap), n.challenge, n.sig), -SM_EAUTH);
    sign_for(k, &n, "card", orders_secret);
    was = n.wrap.p[40];
    n.wrap.p[40] ^= 1;
    assert_int_equal(keys_card_new(k, 1000, sm_buf_span(&n.wrap), n.challenge, n.sig), -SM_EAUTH);
    n.wrap.p[40] = was;
    assert_int_equal(
        keys_card_new(k, 1000 + KEYS_CHALLENGE_MS, sm_buf_span(&n.wrap), n.challenge, n.sig), -SM_EMISMATCH);
    assert_ok(keys_card_new(k, 1000, sm_buf_span(&n.wrap), n.challenge, n.sig));
    assert_int_equal(keys_card_new(k, 1001, sm_buf_span(&n.wrap), n.challenge, n.sig), -SM_EMISMATCH);
    n.challenge[20] ^= 1;
    sign_for(k, &n, "card", orders_secret);
    assert_int_equal(keys_card_new(k, 1001, sm_buf_span(&n.wrap), n.challenge, n.sig), -SM_EMISMATCH);
    keys_free(k);
    k = open_keys(); /* a challenge of an earlier run is nobody's */
    n.challenge[20] ^= 1;
    sign_for(k, &n, "card", orders_secret);
    assert_int_equal(keys_card_new(k, 1001, sm_buf_span(&n.wrap), n.challenge, n.sig), -SM_EMISMATCH);
    keys_free(k);
    drop_card(&n);
}

static void a_wrap_of_another_key_or_a_weak_one_is_refused(void **state)
{
    struct keys *k = open_keys();
    const struct crypto_pass_cost cheap = {64, 1, 1};
    struct crypto_x25519_pair other;
    struct new_card n;
    (void)state;
    make_card(k, password, 1000, &n);
    sm_buf_clear(&n.wrap);
    assert_ok(crypto_x25519_generate(&other));
    assert_ok(restorekey_wrap(password, n.card, &crypto_pass_wrap, &other, &n.wrap));
    sign_for(k, &n, "card", orders_secret);
    assert_int_equal(keys_card_new(k, 1000, sm_buf_span(&n.wrap), n.challenge, n.sig), -SM_EDENIED);
    sm_buf_clear(&n.wrap);
    assert_ok(restorekey_wrap(password, n.card, &cheap, &other, &n.wrap));
    sign_for(k, &n, "card", orders_secret);
    assert_int_equal(keys_card_new(k, 1000, sm_buf_span(&n.wrap), n.challenge, n.sig), -SM_ELIMIT);
    keys_free(k);
    drop_card(&n);
}

static void the_orders_words_are_known_and_the_open_ones_are_not_asked_for(void **state)
{
    struct keys *k = open_keys();
    struct sm_buf words = SM_BUF_INIT(CRYPTO_WORDS_TEXT_MAX);
    char why[160];
    (void)state;
    for (int lang = CRYPTO_WORDS_EN; lang <= CRYPTO_WORDS_JA; lang++) {
        sm_buf_clear(&words);
        assert_ok(crypto_words_encode(orders_secret, lang, &words));
        assert_ok(keys_sheet_words(k, sm_buf_span(&words), why));
        sm_buf_clear(&words);
        assert_ok(crypto_words_encode(open_secret, lang, &words));
        assert_int_equal(keys_sheet_words(k, sm_buf_span(&words), why), -SM_EAUTH);
    }
    assert_int_equal(keys_sheet_words(k, SM_SPAN_STR("abandon abandon"), why), -SM_EINVAL);
    assert_int_equal(keys_sheet_words(k, SM_SPAN_STR("SKR1:O:AAAA"), why), -SM_EINVAL);
    keys_free(k);
    sm_buf_wipe(&words);
}

static void a_box_without_escrow_makes_it_at_the_next_unlock(void **state)
{
    struct keys *k = open_keys();
    struct sm_buf escrow = SM_BUF_INIT(4096);
    struct new_card n;
    unsigned wait;
    char path[96];
    (void)state;
    make_card(k, password, 1000, &n);
    assert_ok(keys_card_new(k, 1000, sm_buf_span(&n.wrap), n.challenge, n.sig));
    snprintf(path, sizeof path, "%s/restore.ske", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(keys_escrow(k, &escrow), -SM_ENOTFOUND);
    assert_ok(keys_unlock(k, password, sm_buf_span(&n.text), 2000, &wait));
    assert_ok(keys_escrow(k, &escrow));
    struct crypto_x25519_pair pair;
    struct keys_public p;
    keys_public(k, &p);
    assert_ok(restorekey_escrow_open(sm_buf_span(&escrow), open_secret, &pair));
    assert_memory_equal(pair.public_key, p.restore_pub, 32);
    keys_free(k);
    drop_card(&n);
    sm_buf_wipe(&escrow);
}

static void a_restore_key_from_before_a_restart_is_not_confirmed_without_escrow(void **state)
{
    char was[64];
    struct sm_buf card = SM_BUF_INIT(256);
    struct sm_span typed[3] = {{NULL, 0}};
    unsigned wrong;
    (void)state;
    snprintf(was, sizeof was, "%s", dir);
    snprintf(dir, sizeof dir, "%.50s-b", was);
    assert_int_equal(mkdir(dir, 0700), 0);
    struct keys *k = open_keys();
    assert_ok(keys_restore_make(k, password, &card));
    keys_free(k);
    k = open_keys();
    assert_ok(keys_sheet_make(k));
    assert_int_equal(keys_sheet_confirm(k, typed, &wrong), -SM_ESTATE);
    keys_free(k);
    assert_ok(plat_fs_remove_tree(AT_FDCWD, dir));
    snprintf(dir, sizeof dir, "%s", was);
    sm_buf_wipe(&card);
}

/* ---- other recipients ---- */

struct change {
    struct sm_buf text, wrap, escrow, link, card_text;
    uint8_t sig[64];
    struct crypto_x25519_pair restore, open;
};

static void change_make(struct keys *k, uint8_t nonce, const struct crypto_x25519_pair *old, struct change *x)
{
    struct order *o = calloc(1, sizeof *o);
    struct crypto_sign_pair orders;
    struct keys_public p;
    struct sm_buf set = SM_BUF_INIT(4096), message = SM_BUF_INIT(32768);
    uint8_t card[RESTOREKEY_CARD_LEN] = {nonce}, secret[32] = {9, nonce};
    *x = (struct change){.text = SM_BUF_INIT(16384), .wrap = SM_BUF_INIT(4096), .escrow = SM_BUF_INIT(4096),
        .link = SM_BUF_INIT(4096), .card_text = SM_BUF_INIT(256)};
    keys_public(k, &p);
    assert_ok(crypto_x25519_generate(&x->restore));
    assert_ok(crypto_x25519_from_secret(secret, &x->open));
    *o = (struct order){.kind = ORDER_RECIPIENTS, .reason = "x", .made = "x"};
    memcpy(o->vault.b, p.vault, 16);
    memset(o->nonce, nonce, sizeof o->nonce);
    assert_ok(keys_recipients(k, &set));
    recipients_fingerprint(sm_buf_span(&set), o->recipients.before);
    sm_buf_clear(&set);
    struct recipients r = {.n = 2, .r = {{RECIPIENT_SHEET, RECIPIENT_X25519, SM_SPAN(x->open.public_key, 32)},
        {RECIPIENT_BOX, RECIPIENT_X25519, SM_SPAN(x->restore.public_key, 32)}}};
    assert_ok(recipients_put(&r, &set));
    memcpy(o->recipients.set, set.p, set.n);
    o->recipients.set_n = set.n;
    assert_ok(crypto_sign_from_seed(orders_secret, &orders));
    memcpy(o->recipients.orders, orders.public_key, 32);
    assert_ok(keylink_make(&o->vault, sm_buf_span(&set), old, &o->recipients.link, &x->link));
    assert_ok(restorekey_wrap(SM_SPAN_STR("tsubame-7-yuugata"), card, &crypto_pass_wrap, &x->restore, &x->wrap));
    assert_ok(restorekey_card_text(card, &x->card_text));
    assert_ok(restorekey_escrow(&o->vault, x->open.public_key, &x->restore, &x->escrow));
    assert_ok(order_put(o, &x->text));
    assert_ok(order_message(sm_buf_span(&x->text), &message));
    assert_ok(crypto_sign(&orders, sm_buf_span(&message), x->sig));
    free(o);
    sm_buf_wipe(&set);
    sm_buf_wipe(&message);
}

static void change_drop(struct change *x)
{
    struct sm_buf *const all[] = {&x->text, &x->wrap, &x->escrow, &x->link, &x->card_text};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        sm_buf_wipe(all[i]);
}

static void a_change_of_recipients_takes_over_whole_and_the_link_opens_what_is_older(void **state)
{
    struct keys *k = open_keys();
    struct sm_buf escrow = SM_BUF_INIT(4096), set = SM_BUF_INIT(4096), sealed = SM_BUF_INIT(8192), raw = SM_BUF_INIT(8192);
    struct crypto_x25519_pair old;
    struct keys_public p;
    struct change x, other;
    struct vault_id vault;
    struct client_id client = {"client-client-0"};
    struct file_key f;
    struct cid cid;
    uint8_t got[32];
    unsigned wait = 0;
    (void)state;
    keys_public(k, &p);
    memcpy(vault.b, p.vault, 16);
    assert_ok(keys_escrow(k, &escrow));
    assert_ok(restorekey_escrow_open(sm_buf_span(&escrow), open_secret, &old));
    assert_ok(keys_recipients(k, &set));
    assert_ok(envelope_make(&vault, &client, sm_buf_span(&set), &f, &cid, &sealed));
    change_make(k, 1, &old, &x);
    change_make(k, 2, &old, &other);
    x.sig[0] ^= 1;
    assert_int_equal(keys_change_keep(k, sm_buf_span(&x.text), x.sig, sm_buf_span(&x.wrap), sm_buf_span(&x.escrow)), -SM_EAUTH);
    x.sig[0] ^= 1;
    assert_int_equal(keys_change_keep(k, sm_buf_span(&x.text), x.sig, sm_buf_span(&other.wrap), sm_buf_span(&x.escrow)), -SM_EDENIED);
    assert_int_equal(keys_change_keep(k, sm_buf_span(&x.text), x.sig, sm_buf_span(&x.wrap), sm_buf_span(&other.escrow)), -SM_EDENIED);
    assert_int_equal(keys_change_take(k, sm_buf_span(&x.text), x.sig), -SM_ENOTFOUND);
    assert_ok(keys_change_keep(k, sm_buf_span(&x.text), x.sig, sm_buf_span(&x.wrap), sm_buf_span(&x.escrow)));
    keys_public(k, &p);
    assert_memory_equal(p.restore_pub, old.public_key, 32); /* nothing holds before it is taken */
    keys_free(k);
    k = open_keys(); /* it waits on the disk */
    assert_ok(keys_change_take(k, sm_buf_span(&x.text), x.sig));
    keys_free(k);
    k = open_keys();
    keys_public(k, &p);
    assert_memory_equal(p.restore_pub, x.restore.public_key, 32);
    assert_memory_equal(p.open_pub, x.open.public_key, 32);
    assert_int_equal(keys_change_keep(k, sm_buf_span(&other.text), other.sig, sm_buf_span(&other.wrap), sm_buf_span(&other.escrow)), -SM_EMISMATCH);
    assert_ok(keys_unlock(k, SM_SPAN_STR("tsubame-7-yuugata"), sm_buf_span(&x.card_text), 1, &wait));
    assert_int_equal(keys_open_envelope(k, 2, sm_buf_span(&sealed), got), -SM_ENOTFOUND);
    assert_int_equal(keys_links(k, SM_SPAN("abcd", 4)), -SM_EFORMAT);
    assert_ok(sm_buf_put_u32(&raw, (uint32_t)x.link.n));
    assert_ok(sm_buf_put_span(&raw, sm_buf_span(&x.link)));
    assert_ok(keys_links(k, sm_buf_span(&raw)));
    assert_ok(keys_open_envelope(k, 2, sm_buf_span(&sealed), got));
    assert_memory_equal(got, f.b, 32);
    keys_free(k);
    change_drop(&x);
    change_drop(&other);
    struct sm_buf *const all[] = {&escrow, &set, &sealed, &raw};
    for (size_t i = 0; i < 4; i++)
        sm_buf_wipe(all[i]);
}

static void change_keep(struct keys *k, const struct change *x)
{
    assert_ok(keys_change_keep(k, sm_buf_span(&x->text), x->sig, sm_buf_span(&x->wrap), sm_buf_span(&x->escrow)));
}

static int change_take(struct keys *k, const struct change *x)
{
    return keys_change_take(k, sm_buf_span(&x->text), x->sig);
}

/* The pair that the escrow on the disk holds; the present open half is that of change `nonce`. */
static void pair_of(struct keys *k, uint8_t nonce, struct crypto_x25519_pair *ret)
{
    uint8_t secret[32] = {9, nonce};
    struct sm_buf escrow = SM_BUF_INIT(4096);
    assert_ok(keys_escrow(k, &escrow));
    assert_ok(restorekey_escrow_open(sm_buf_span(&escrow), secret, ret));
    sm_buf_wipe(&escrow);
}

static void a_change_that_was_cancelled_or_follows_another_set_is_never_taken(void **state)
{
    struct keys *k = open_keys();
    struct crypto_x25519_pair old;
    struct keys_public p;
    struct change x, other, cancelled;
    uint8_t nonce[16];
    (void)state;
    pair_of(k, 1, &old);
    change_make(k, 3, &old, &x);
    change_make(k, 4, &old, &other);
    change_make(k, 5, &old, &cancelled);
    change_keep(k, &x);
    change_keep(k, &other);
    change_keep(k, &cancelled);
    memset(nonce, 5, sizeof nonce);
    assert_ok(keys_change_drop(k, nonce));
    assert_ok(keys_change_drop(k, nonce));
    assert_int_equal(change_take(k, &cancelled), -SM_ENOTFOUND);
    assert_ok(change_take(k, &x));
    assert_int_equal(change_take(k, &other), -SM_EMISMATCH); /* signed, kept, and of the set that was */
    int d = plat_fs_open_dir(AT_FDCWD, dir);
    char name[64] = "next-04040404040404040404040404040404.json";
    assert_int_equal(plat_fs_unlink(d, name), -ENOENT); /* forgotten with the set it followed */
    close(d);
    assert_ok(change_take(k, &x)); /* its answer was lost: the same again */
    keys_public(k, &p);
    assert_memory_equal(p.restore_pub, x.restore.public_key, 32);
    keys_free(k);
    change_drop(&x);
    change_drop(&other);
    change_drop(&cancelled);
}

/* Put a folder where `file` is, so that it cannot be replaced; and back. */
static void block(const char *file, bool on)
{
    char is[256], kept[256];
    (void)snprintf(is, sizeof is, "%s/%s", dir, file);
    (void)snprintf(kept, sizeof kept, "%s.kept", dir);
    if (on) {
        assert_int_equal(rename(is, kept), 0);
        assert_int_equal(mkdir(is, 0700), 0);
    } else {
        assert_int_equal(rmdir(is), 0);
        assert_int_equal(rename(kept, is), 0);
    }
}

static void a_change_broken_off_between_its_files_is_finished_when_they_are_opened(void **state)
{
    static const char *const files[] = {"restore.ske", "restore.skw", "keys.json"};
    uint8_t open = 3;
    (void)state;
    for (uint8_t i = 0; i < 6; i++) {
        struct keys *k = open_keys();
        struct crypto_x25519_pair old;
        struct keys_public p;
        struct change x;
        uint8_t nonce = (uint8_t)(10 + i);
        pair_of(k, open, &old);
        change_make(k, nonce, &old, &x);
        change_keep(k, &x);
        block(files[i % 3], true);
        assert_true(change_take(k, &x) < 0);
        keys_public(k, &p);
        assert_memory_equal(p.restore_pub, old.public_key, 32);
        block(files[i % 3], false);
        if (i < 3) { /* a crash */
            keys_free(k);
            k = open_keys();
        }
        assert_ok(change_take(k, &x));
        keys_public(k, &p);
        assert_memory_equal(p.restore_pub, x.restore.public_key, 32);
        assert_memory_equal(p.open_pub, x.open.public_key, 32);
        keys_free(k);
        k = open_keys();
        struct crypto_x25519_pair now;
        pair_of(k, nonce, &now);
        assert_memory_equal(now.public_key, x.restore.public_key, 32);
        keys_free(k);
        change_drop(&x);
        open = nonce;
    }
}

static void damaged_key_files_are_named(void **state)
{
    struct keys *k = NULL;
    char why[160] = "";
    int d = plat_fs_open_dir(AT_FDCWD, dir);
    (void)state;
    assert_ok(plat_replace(d, "restore.skw", SM_SPAN_STR("SKW1 short"), 0600));
    assert_int_equal(keys_open(dir, names, 2, &k, why), -SM_EFORMAT);
    assert_non_null(strstr(why, "restore.skw"));
    assert_ok(plat_replace(d, "keys.json", SM_SPAN_STR("{\"version\":2}"), 0600));
    assert_int_equal(keys_open(dir, names, 2, &k, why), -SM_EVERSION);
    assert_non_null(strstr(why, "keys.json"));
    close(d);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/sakimori-keys-test-%d", (int)getpid());
    return mkdir(dir, 0700) || crypto_init();
}

static int teardown(void **state)
{
    (void)state;
    return plat_fs_remove_tree(AT_FDCWD, dir);
}

static void what_keyd_keeps_opens_with_the_sheet_alone(void **state)
{
    static const uint8_t client[16] = {1, 2, 3}, sign_pub[32] = {4, 5, 6};
    struct sm_buf sealed = SM_BUF_INIT(SELFKEYS_MAX), plain = SM_BUF_INIT(SELFKEYS_PLAIN_MAX), card = SM_BUF_INIT(256),
                  file = SM_BUF_INIT(1 << 20);
    struct keys_public pub;
    struct selfkeys got;
    struct vault_id vault;
    (void)state;
    assert_ok(plat_fs_remove_tree(AT_FDCWD, dir));
    assert_int_equal(mkdir(dir, 0700), 0);
    struct keys *k = open_keys();
    assert_int_equal(keys_self(k, client, sign_pub, &sealed), -SM_ESTATE); /* no sheet yet */
    assert_ok(keys_restore_make(k, password, &card));
    assert_ok(keys_sheet_make(k));
    confirm(k);
    assert_ok(keys_self(k, client, sign_pub, &sealed));
    keys_public(k, &pub);
    memcpy(vault.b, pub.vault, 16);
    assert_int_equal(selfkeys_open(sm_buf_span(&sealed), &vault, orders_secret, &plain, &got), -SM_EMISMATCH);
    assert_ok(selfkeys_open(sm_buf_span(&sealed), &vault, open_secret, &plain, &got));
    assert_memory_equal(got.client.b, client, 16);
    assert_memory_equal(got.sign_pub, sign_pub, 32);
    int d = plat_fs_open_dir(AT_FDCWD, dir);
    for (size_t i = 0; i < got.n; i++) {
        sm_buf_clear(&file);
        assert_ok(plat_fs_read_file(d, got.file[i].name, 1 << 20, &file));
        assert_true(sm_span_eq(sm_buf_span(&file), got.file[i].content));
    }
    assert_non_null(selfkeys_find(&got, "keys.json"));
    assert_non_null(selfkeys_find(&got, "restore.skw"));
    assert_non_null(selfkeys_find(&got, "restore.ske"));
    /* Nothing of it in the clear. */
    for (size_t i = 0; i + 10 < sealed.n; i++)
        assert_memory_not_equal(sealed.p + i, "head_seed\"", 10);
    close(d);
    keys_free(k);
    sm_buf_wipe(&sealed);
    sm_buf_wipe(&plain);
    sm_buf_wipe(&card);
    sm_buf_wipe(&file);
}

static void the_servers_certificate_is_renewed_in_time_and_not_before(void **state)
{
    (void)state;
    const int64_t day = 86400000;
    static const char *const other[] = {"box.test", "192.0.2.1"};
    struct keys *k = open_keys();
    struct sm_buf was = SM_BUF_INIT(1 << 16);
    struct keys_public p;
    const struct {
        const char *const *names;
        int64_t days;
        bool changes;
    } steps[] = {{other, 0, true}, {names, 0, true}, {names, 0, false}, {names, 360, false}, {names, 370, true}, {names, 370, false}, {other, 370, true}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        keys_public(k, &p);
        sm_buf_clear(&was);
        assert_ok(sm_buf_put_span(&was, p.chain_pem));
        plat_clock_override(steps[i].days * day, steps[i].days * day);
        assert_ok(keys_server_renew(k, steps[i].names, 2));
        keys_public(k, &p);
        assert_int_equal(!sm_span_eq(sm_buf_span(&was), p.chain_pem), steps[i].changes);
    }
    plat_clock_override(0, 0);
    assert_ok(keys_server_renew(k, names, 2)); /* its time is in the future: no harm to the tests behind this one */
    sm_buf_wipe(&was);
    keys_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_made_once_and_found_again),
        cmocka_unit_test(the_sheet_is_confirmed_by_typing_words_back_and_then_forgotten),
        cmocka_unit_test(an_envelope_opens_only_while_unlocked),
        cmocka_unit_test(wrong_unlocks_have_to_wait_longer_and_longer),
        cmocka_unit_test(the_card_is_read_as_people_type_it),
        cmocka_unit_test(the_head_key_signs_nothing_but_heads_and_countersignatures),
        cmocka_unit_test(a_new_password_takes_the_place_of_the_old_one),
        cmocka_unit_test(the_sheet_makes_a_new_card_and_the_old_one_opens_nothing),
        cmocka_unit_test(a_proof_holds_once_for_ten_minutes_and_for_these_bytes_only),
        cmocka_unit_test(a_wrap_of_another_key_or_a_weak_one_is_refused),
        cmocka_unit_test(the_orders_words_are_known_and_the_open_ones_are_not_asked_for),
        cmocka_unit_test(a_box_without_escrow_makes_it_at_the_next_unlock),
        cmocka_unit_test(a_restore_key_from_before_a_restart_is_not_confirmed_without_escrow),
        cmocka_unit_test(a_change_of_recipients_takes_over_whole_and_the_link_opens_what_is_older),
        cmocka_unit_test(a_change_that_was_cancelled_or_follows_another_set_is_never_taken),
        cmocka_unit_test(a_change_broken_off_between_its_files_is_finished_when_they_are_opened),
        cmocka_unit_test(the_servers_certificate_is_renewed_in_time_and_not_before),
        cmocka_unit_test(damaged_key_files_are_named),
        cmocka_unit_test(what_keyd_keeps_opens_with_the_sheet_alone), /* begins with a folder of its own */
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
