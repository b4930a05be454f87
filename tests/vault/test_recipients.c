#include "store_kit.h"

#include "crypto/kem.h"
#include "plat/fault.h"
#include "vault/store/deletion.h"
#include "vault/store/statement.h"

/* Changes of recipients as orders of a vault: who may, when, in which order; and orders that a crash or time overtook. */
#define DAY ((int64_t)86400000)

struct world {
    struct kit k;
    int64_t wall, running;
    struct crypto_sign_pair orders[4];
    struct crypto_x25519_pair box[4], sheet[4];
    struct sm_buf set[4];
};

static void pass(struct world *w, int64_t ms)
{
    w->wall += ms;
    w->running += ms;
    plat_clock_override(w->wall, w->running);
    (void)!store_clock(w->k.st, "hourly"); /* of a broken store it says so later */
}

static void world_init(struct world *w, const char *name)
{
    memset(w, 0, sizeof *w);
    plat_clock_override(0, 0);
    kit_init(&w->k, name);
    assert_int_equal(kit_open(&w->k, 0), 0);
    for (uint8_t i = 0; i < 4; i++) {
        uint8_t seed[32] = {0, 0, (uint8_t)(i + 1)}; /* the first byte is clamped */
        assert_int_equal(crypto_sign_from_seed(seed, &w->orders[i]), 0);
        seed[1] = 1;
        assert_int_equal(crypto_x25519_from_secret(seed, &w->box[i]), 0);
        seed[1] = 2;
        assert_int_equal(crypto_x25519_from_secret(seed, &w->sheet[i]), 0);
        struct recipients r = {.n = 2, .r = {{RECIPIENT_SHEET, RECIPIENT_X25519, SM_SPAN(w->sheet[i].public_key, 32)},
            {RECIPIENT_BOX, RECIPIENT_X25519, SM_SPAN(w->box[i].public_key, 32)}}};
        assert_int_equal(recipients_put(&r, &w->set[i]), 0);
    }
}

static void world_done(struct world *w)
{
    for (size_t i = 0; i < 4; i++)
        sm_buf_wipe(&w->set[i]);
    kit_done(&w->k);
    plat_clock_override(0, 0);
}

struct made { struct sm_buf text, link; uint8_t sig[64]; };

/* From set `from` to set `to`, signed with key `by`. */
static void make(struct world *w, unsigned from, unsigned to, unsigned by, uint8_t nonce, struct made *ret)
{
    struct order o = {.kind = ORDER_RECIPIENTS, .vault = w->k.vault, .reason = "盗まれた", .made = "2026-11-22"};
    struct sm_buf message = SM_BUF_INIT(ORDER_TEXT_MAX + 100);
    memset(ret, 0, sizeof *ret);
    memset(o.nonce, nonce, sizeof o.nonce);
    recipients_fingerprint(sm_buf_span(&w->set[from]), o.recipients.before);
    memcpy(o.recipients.orders, w->orders[to].public_key, 32);
    memcpy(o.recipients.set, w->set[to].p, w->set[to].n);
    o.recipients.set_n = w->set[to].n;
    assert_int_equal(keylink_make(&w->k.vault, sm_buf_span(&w->set[to]), &w->box[from], &o.recipients.link, &ret->link), 0);
    assert_int_equal(order_put(&o, &ret->text), 0);
    assert_int_equal(order_message(sm_buf_span(&ret->text), &message), 0);
    assert_int_equal(crypto_sign(&w->orders[by], sm_buf_span(&message), ret->sig), 0);
    sm_buf_wipe(&message);
}

static void drop(struct made *m)
{
    sm_buf_wipe(&m->text);
    sm_buf_wipe(&m->link);
}

static int give(struct world *w, const struct made *m, unsigned key, struct store_order *ret)
{
    struct store_order_args a = {.text = sm_buf_span(&m->text), .by = "院長", .from = "test", .link = sm_buf_span(&m->link)};
    char why[160];
    memcpy(a.key, w->orders[key].public_key, 32);
    memcpy(a.sig, m->sig, 64);
    return store_order_accept(w->k.st, &a, ret, why);
}

static int run(struct world *w)
{
    size_t n = 0;
    int err = store_orders_execute(w->k.st, &n);
    return err ? err : (int)n;
}

static size_t links_now(struct world *w)
{
    struct sm_buf raw = {0};
    size_t n = 0;
    assert_int_equal(store_keylinks(w->k.st, &raw), 0);
    for (struct sm_rd rd = SM_RD(sm_buf_span(&raw)); rd.n && !rd.err; n++) {
        struct keylink k;
        assert_int_equal(keylink_parse(sm_rd_bytes(&rd, sm_rd_u32(&rd)), &k), 0);
    }
    sm_buf_wipe(&raw);
    return n;
}

static void again(struct world *w)
{
    kit_close(&w->k);
    assert_int_equal(kit_open(&w->k, 0), 0);
}

static void a_change_waits_seven_days_and_its_link_is_found_again_after_every_open(void **state)
{
    struct world w;
    struct made m;
    struct store_order row;
    (void)state;
    world_init(&w, "recipients-wait");
    make(&w, 0, 1, 0, 1, &m);
    assert_int_equal(give(&w, &m, 0, &row), 0);
    assert_int_equal(row.kind, ORDER_RECIPIENTS);
    assert_int_equal(links_now(&w), 0);
    pass(&w, 6 * DAY);
    assert_int_equal(run(&w), 0);
    again(&w);
    pass(&w, 2 * DAY);
    assert_int_equal(run(&w), 1);
    assert_int_equal(links_now(&w), 1);
    again(&w);
    assert_int_equal(links_now(&w), 1);
    struct sm_buf text = {0}, link = {0};
    uint8_t sig[64];
    assert_int_equal(store_order_proof(w.k.st, store_order_at(w.k.st, 0), &text, sig, &link), 0);
    assert_true(sm_span_eq(sm_buf_span(&text), sm_buf_span(&m.text)));
    assert_true(sm_span_eq(sm_buf_span(&link), sm_buf_span(&m.link)));
    assert_memory_equal(sig, m.sig, 64);
    sm_buf_wipe(&text);
    sm_buf_wipe(&link);
    drop(&m);
    world_done(&w);
}

static void only_the_sheet_that_holds_now_may_change_it_and_only_with_the_link_it_signed(void **state)
{
    struct world w;
    struct made m, other;
    struct store_order row;
    (void)state;
    world_init(&w, "recipients-who");
    make(&w, 0, 1, 2, 1, &m);
    assert_int_equal(give(&w, &m, 0, &row), -SM_EAUTH);
    drop(&m);
    make(&w, 0, 1, 0, 1, &m);
    make(&w, 0, 1, 0, 2, &other);
    struct sm_buf right = m.link;
    m.link = other.link; /* sound, and for the same set, but not the one that was signed */
    assert_int_equal(give(&w, &m, 0, &row), -SM_EFORMAT);
    m.link = (struct sm_buf){0};
    assert_int_equal(give(&w, &m, 0, &row), -SM_EFORMAT);
    m.link = right;
    assert_int_equal(give(&w, &m, 0, &row), 0);
    pass(&w, 8 * DAY);
    assert_int_equal(run(&w), 1);
    drop(&other);
    make(&w, 1, 2, 0, 3, &other); /* the old sheet again */
    assert_int_equal(give(&w, &other, 0, &row), -SM_EAUTH);
    drop(&other);
    make(&w, 0, 2, 1, 4, &other); /* the new one, but not from what holds now */
    assert_int_equal(give(&w, &other, 1, &row), -SM_EMISMATCH);
    drop(&other);
    make(&w, 1, 2, 1, 5, &other);
    assert_int_equal(give(&w, &other, 1, &row), 0);
    pass(&w, 8 * DAY);
    assert_int_equal(run(&w), 1);
    assert_int_equal(links_now(&w), 2);
    drop(&m);
    drop(&other);
    world_done(&w);
}

static void while_a_change_waits_no_second_one_is_taken(void **state)
{
    struct world w;
    struct made a, b;
    struct store_order row;
    (void)state;
    world_init(&w, "recipients-waits");
    make(&w, 0, 1, 0, 1, &a);
    make(&w, 0, 2, 0, 2, &b);
    assert_int_equal(give(&w, &a, 0, &row), 0);
    assert_int_equal(give(&w, &b, 0, &row), -SM_ESTATE);
    drop(&b);
    make(&w, 0, 1, 0, 3, &b); /* the same once more */
    assert_int_equal(give(&w, &b, 0, &row), -SM_ESTATE);
    again(&w);
    assert_int_equal(give(&w, &b, 0, &row), -SM_ESTATE);
    assert_int_equal(store_orders(w.k.st), 1);
    pass(&w, 8 * DAY);
    assert_int_equal(run(&w), 1);
    assert_int_equal(links_now(&w), 1);
    drop(&a);
    drop(&b);
    world_done(&w);
}

static char *hex_of(struct sm_span s)
{
    char *hex = malloc(2 * s.n + 1);
    assert_non_null(hex);
    sm_hex(s.p, s.n, hex);
    return hex;
}

/* As a vault took it that did not yet look whether one waits. */
static void give_as_before(struct world *w, const struct made *m, unsigned key)
{
    uint8_t sum[CRYPTO_SHA256_LEN];
    crypto_sha256(sm_buf_span(&m->text), sum);
    char *id = hex_of(SM_SPAN(sum, STORE_ORDER_ID)), *sig = hex_of(SM_SPAN(m->sig, 64)),
         *pub = hex_of(SM_SPAN(w->orders[key].public_key, 32)), *link = hex_of(sm_buf_span(&m->link));
    json_t *o = json_pack("{s:s,s:s%,s:s,s:s,s:I,s:s,s:s,s:s}", "id", id, "order", (const char *)m->text.p, m->text.n, "sig", sig,
        "key", pub, "due_on_ms", (json_int_t)(7 * DAY), "by", "院長", "from", "test", "link", link);
    struct journal *j = (struct journal *)(uintptr_t)store_journal(w->k.st); /* behind the store's back */
    struct sm_buf b = {0};
    assert_non_null(o);
    assert_int_equal(sm_json_dump(o, &b), 0);
    assert_int_equal(journal_append(j, JOURNAL_RECIPIENTS, plat_clock_wall(), 0, sm_buf_span(&b), NULL), 0);
    assert_int_equal(journal_sync(j), 0);
    json_decref(o);
    sm_buf_wipe(&b);
    free(id);
    free(sig);
    free(pub);
    free(link);
    again(w);
}

static void of_two_changes_in_an_older_vault_the_second_is_refused_with_its_reason_and_holds_up_nothing(void **state)
{
    struct world w;
    struct made a, b;
    struct store_order row;
    (void)state;
    world_init(&w, "recipients-two");
    make(&w, 0, 1, 0, 1, &a);
    make(&w, 0, 2, 0, 2, &b);
    assert_int_equal(give(&w, &a, 0, &row), 0);
    give_as_before(&w, &b, 0);
    pass(&w, 8 * DAY);
    assert_int_equal(run(&w), 2);
    again(&w);
    assert_int_equal(store_order_at(w.k.st, 0)->state, STORE_ORDER_EXECUTED);
    assert_int_equal(store_order_at(w.k.st, 1)->state, STORE_ORDER_REFUSED);
    assert_non_null(strstr(store_order_at(w.k.st, 1)->why, "another change came first"));
    assert_int_equal(links_now(&w), 1);
    assert_int_equal(run(&w), 0);
    drop(&a);
    drop(&b);
    world_done(&w);
}

static void a_cancelled_change_leaves_everything_as_it_was(void **state)
{
    struct world w;
    struct made a, b;
    struct store_order row;
    (void)state;
    world_init(&w, "recipients-cancel");
    make(&w, 0, 1, 0, 1, &a);
    make(&w, 0, 2, 0, 2, &b);
    assert_int_equal(give(&w, &a, 0, &row), 0);
    assert_int_equal(store_order_cancel(w.k.st, row.id, "心当たりがない", "受付", "staff"), 0);
    assert_int_equal(give(&w, &b, 0, &row), 0);
    pass(&w, 8 * DAY);
    assert_int_equal(run(&w), 1);
    assert_int_equal(links_now(&w), 1);
    drop(&a);
    drop(&b);
    world_done(&w);
}

/* What a machine does with the texts. */
static void a_machine_walks_along_the_signatures_and_along_nothing_else(void **state)
{
    struct world w;
    struct made a, b, forged, back;
    struct recipients_state s = {0}, before;
    (void)state;
    world_init(&w, "recipients-walk");
    memcpy(s.set, w.set[0].p, w.set[0].n);
    s.set_n = w.set[0].n;
    memcpy(s.orders, w.orders[0].public_key, 32);
    recipients_fingerprint(SM_SPAN(s.set, s.set_n), s.fingerprint);
    make(&w, 0, 1, 0, 1, &a);
    make(&w, 1, 2, 1, 2, &b);
    make(&w, 0, 3, 3, 3, &forged);
    make(&w, 1, 0, 1, 4, &back);
    before = s;
    assert_int_equal(recipients_follow(&s, &w.k.vault, sm_buf_span(&forged.text), forged.sig), -SM_EAUTH);
    assert_int_equal(recipients_follow(&s, &w.k.vault, sm_buf_span(&b.text), b.sig), -SM_EMISMATCH);
    struct vault_id other = {{1}};
    assert_int_equal(recipients_follow(&s, &other, sm_buf_span(&a.text), a.sig), -SM_EMISMATCH);
    assert_memory_equal(&s, &before, sizeof s);
    assert_int_equal(recipients_follow(&s, &w.k.vault, sm_buf_span(&a.text), a.sig), 0);
    assert_int_equal(recipients_follow(&s, &w.k.vault, sm_buf_span(&a.text), a.sig), -SM_EMISMATCH);
    assert_int_equal(recipients_follow(&s, &w.k.vault, sm_buf_span(&b.text), b.sig), 0);
    assert_true(sm_span_eq(SM_SPAN(s.set, s.set_n), sm_buf_span(&w.set[2])));
    assert_int_equal(recipients_follow(&s, &w.k.vault, sm_buf_span(&back.text), back.sig), -SM_EMISMATCH);
    drop(&a);
    drop(&b);
    drop(&forged);
    drop(&back);
    world_done(&w);
}

static void a_date_order_counts_once_whichever_write_of_it_fails(void **state)
{
    struct world w;
    (void)state;
    unsigned faults = 0;
    for (uint64_t k = 1;; k++, faults++) {
        struct order o = {.kind = ORDER_DATE, .reason = "x", .made = "x", .credit_ms = 3 * (uint64_t)DAY};
        struct sm_buf text = {0}, message = {0};
        struct store_order_args a = {.by = "院長", .from = "test"};
        struct store_order row;
        struct store_date d;
        char why[160];
        world_init(&w, "recipients-date");
        o.vault = w.k.vault;
        assert_int_equal(order_put(&o, &text), 0);
        assert_int_equal(order_message(sm_buf_span(&text), &message), 0);
        assert_int_equal(crypto_sign(&w.orders[0], sm_buf_span(&message), a.sig), 0);
        a.text = sm_buf_span(&text);
        memcpy(a.key, w.orders[0].public_key, 32);
        assert_int_equal(store_order_accept(w.k.st, &a, &row, why), 0);
        kit_close(&w.k);
        w.wall += 30 * DAY; /* off for a month */
        plat_clock_override(w.wall, w.running);
        assert_int_equal(kit_open(&w.k, 0), 0);
        pass(&w, 8 * DAY);
        plat_fault_set(PLAT_OP_FILES, k, EIO);
        int r = run(&w);
        bool fired = plat_fault_fired();
        plat_fault_clear();
        assert_true(fired || r == 1);
        again(&w);
        assert_int_equal(run(&w), fired && r < 0 ? (store_order_at(w.k.st, 0)->state == STORE_ORDER_EXECUTED ? 0 : 1) : 0);
        store_date(w.k.st, &d);
        assert_int_equal(d.gained_ms, 3 * DAY);
        assert_int_equal(store_order_at(w.k.st, 0)->state, STORE_ORDER_EXECUTED);
        sm_buf_wipe(&text);
        sm_buf_wipe(&message);
        world_done(&w);
        if (!fired)
            break;
    }
    print_message("%u faults\n", faults);
    assert_true(faults >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_waits_seven_days_and_its_link_is_found_again_after_every_open),
        cmocka_unit_test(only_the_sheet_that_holds_now_may_change_it_and_only_with_the_link_it_signed),
        cmocka_unit_test(while_a_change_waits_no_second_one_is_taken),
        cmocka_unit_test(of_two_changes_in_an_older_vault_the_second_is_refused_with_its_reason_and_holds_up_nothing),
        cmocka_unit_test(a_cancelled_change_leaves_everything_as_it_was),
        cmocka_unit_test(a_machine_walks_along_the_signatures_and_along_nothing_else),
        cmocka_unit_test(a_date_order_counts_once_whichever_write_of_it_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
