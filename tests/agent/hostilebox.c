/*
 * A box that lies, against what a machine, a restore and an auditor look at: every lie of docs/THREATS.md ("A box that
 * lies") that can be told in one process, and whether it is noticed by whom it is promised.  What only somebody else
 * than the machine can notice is counted apart: there the machine must have seen nothing, and the other one must.
 */
#include "../vault/store_kit.h"

#include <stdlib.h>
#include "crypto/headtext.h"
#include "sakimori-agent/carrier.h"
#include "sakimori-agent/heads.h"
#include "sakimori-agent/orders.h"

#define GENERATIONS 3

struct world {
    struct kit box, fork;
    struct cid id[GENERATIONS];
    struct sm_buf manifest[GENERATIONS];
    struct journal_signed_head head[GENERATIONS], other[GENERATIONS]; /* after each generation; in the other history */
    struct sm_buf proof, other_proof;                                 /* from the first head to the last */
};
static struct world w;
static unsigned lies, noticed, only;

static void lie(const char *what, bool seen)
{
    lies++;
    noticed += seen;
    print_message("  %s: %s\n", seen ? "noticed" : "NOT NOTICED", what);
    assert_true(seen);
}

/* The machine sees nothing; who: the one who does. */
static void lie_only(const char *what, const char *who, bool machine, bool seen)
{
    lies++;
    noticed += seen;
    only++;
    print_message("  only %s: %s\n", who, what);
    assert_false(machine);
    assert_true(seen);
}

static void generation(struct kit *k, uint64_t seed, struct cid *ret, struct journal_signed_head *ret_head)
{
    struct kit_tree t;
    struct store_verdict v;
    kit_tree_init(&t, 2, 4, 300, 1);
    t.seed[0][0] = 7000 + seed;
    assert_int_equal(kit_generation(k, &k->client, &t, seed, 0, NULL, &v), 0);
    assert_int_equal(store_head(k->st, ret_head), 0);
    if (ret)
        *ret = v.manifest;
}

static int init(void **state)
{
    (void)state;
    kit_init(&w.box, "hostile-box");
    assert_int_equal(kit_open(&w.box, 0), 0);
    assert_int_equal(kit_join(&w.box, &w.box.client), 0);
    generation(&w.box, 1, &w.id[0], &w.head[0]);
    kit_close(&w.box);
    w.fork = w.box; /* the same keys and ids: an image of the disk, gone on by itself */
    (void)snprintf(w.fork.dir, sizeof w.fork.dir, "%s/fork", w.box.base);
    kit_copy_tree(w.box.dir, w.fork.dir);
    assert_int_equal(kit_open(&w.box, 0), 0);
    assert_int_equal(kit_open(&w.fork, 0), 0);
    w.other[0] = w.head[0];
    for (uint64_t i = 1; i < GENERATIONS; i++) {
        generation(&w.box, 1 + i, &w.id[i], &w.head[i]);
        generation(&w.fork, 50 + i, NULL, &w.other[i]);
    }
    for (size_t i = 0; i < GENERATIONS; i++)
        assert_int_equal(store_manifest(w.box.st, &w.id[i], &w.manifest[i]), 0);
    w.proof.max = w.other_proof.max = (size_t)8 << 20;
    assert_int_equal(journal_ancestry(store_journal(w.box.st), &w.head[0].head, &w.head[2].head, w.proof.max, &w.proof), 0);
    assert_int_equal(journal_ancestry(store_journal(w.fork.st), &w.other[0].head, &w.other[2].head, w.proof.max,
        &w.other_proof), 0);
    return 0;
}

static int done(void **state)
{
    (void)state;
    for (size_t i = 0; i < GENERATIONS; i++)
        sm_buf_wipe(&w.manifest[i]);
    sm_buf_wipe(&w.proof);
    sm_buf_wipe(&w.other_proof);
    kit_close(&w.fork);
    kit_done(&w.box);
    return 0;
}

/* ---- what a machine looks at ---- */

static void machine(struct heads *h)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/no-head", w.box.base);
    assert_int_equal(heads_open(h, path, w.box.head.public_key, &w.box.vault), 0);
}

static int show(struct heads *h, const struct journal_signed_head *s)
{
    struct sm_buf raw = SM_BUF_INIT(256);
    char hex[2 * JOURNAL_SIGNED_HEAD_BYTES + 1];
    assert_int_equal(journal_head_put(s, &raw), 0);
    sm_hex(raw.p, raw.n, hex);
    sm_buf_wipe(&raw);
    return heads_take(h, hex);
}

/* Signed anew by whoever has `key`. */
static struct journal_signed_head signed_by(struct journal_signed_head s, const struct crypto_sign_pair *key)
{
    struct sm_buf m = SM_BUF_INIT(256);
    assert_int_equal(journal_head_message(&s, &m), 0);
    assert_int_equal(crypto_sign(key, sm_buf_span(&m), s.sig), 0);
    sm_buf_wipe(&m);
    return s;
}

static void a_machine_notices_a_record_that_went_back_forked_or_is_anothers(void **state)
{
    struct heads h;
    struct crypto_sign_pair thief;
    uint8_t seed[32] = {3};
    (void)state;
    assert_int_equal(crypto_sign_from_seed(seed, &thief), 0);
    machine(&h);
    assert_int_equal(show(&h, &w.head[1]), 0);
    assert_int_equal(show(&h, &w.head[2]), 0);
    lie("the record rolled back: an older head", show(&h, &w.head[0]) == -SM_EMISMATCH && h.alarm);
    machine(&h);
    assert_int_equal(show(&h, &w.head[1]), 0);
    assert_int_equal(w.head[1].head.seq, w.other[1].head.seq);
    lie("two histories of the same length to one machine", show(&h, &w.other[1]) == -SM_EMISMATCH && h.alarm);
    lie("another history that is longer, with its own records as the proof",
        journal_ancestry_check(&w.head[1].head, &w.other[2].head, sm_buf_span(&w.other_proof)) < 0);
    machine(&h);
    lie("a head that another key signed", ({ struct journal_signed_head s = signed_by(w.head[2], &thief); show(&h, &s); }) == -SM_EAUTH);
    lie("a head of another vault under the right key", ({
        struct journal_signed_head s = w.head[2];
        s.vault[0] ^= 1;
        s = signed_by(s, &w.box.head);
        show(&h, &s); }) == -SM_EAUTH);
    lie("a head whose number was edited", ({ struct journal_signed_head s = w.head[2]; s.head.seq++; show(&h, &s); }) == -SM_EAUTH);
    lie("a head whose time was edited", ({ struct journal_signed_head s = w.head[2]; s.s += 86400; show(&h, &s); }) == -SM_EAUTH);
}

/* ---- the box that a machine asks for the records in between ---- */

struct asked {
    const struct kit *k; /* whose records it gives */
    unsigned times, too_long_at, empty_at, foreign_at; /* the steps, from 1, at which it lies; 0: never */
    size_t max; /* of one answer */
    int says;   /* the status of its first answer, without records; 0: none */
};
static struct asked box;

static struct journal_head head_of(const json_t *o, const char *key)
{
    struct journal_head h = {0};
    const json_t *x = json_object_get(o, key);
    h.seq = (uint64_t)json_integer_value(json_object_get(x, "seq"));
    assert_int_equal(sm_unhex(json_string_value(json_object_get(x, "hash")), 64, h.hash, 32), 0);
    return h;
}

/* In the place of the way through link (the linker's --wrap): what the box at its end would say. */
int __wrap_carrier_call(struct sm_ipc *link, enum carrier_method method, const char *path, struct sm_span body,
    int timeout_ms, int *ret_status, struct sm_buf *ret_body);
int __wrap_carrier_call(struct sm_ipc *link, enum carrier_method method, const char *path, struct sm_span body,
    int timeout_ms, int *ret_status, struct sm_buf *ret_body)
{
    json_t *o = NULL;
    (void)link;
    (void)method;
    (void)timeout_ms;
    assert_string_equal(path, "/agent/v1/ancestry");
    assert_int_equal(sm_json_parse(body, 4096, &o, NULL), 0);
    struct journal_head from = head_of(o, "from"), to = head_of(o, "to");
    bool part = json_is_true(json_object_get(o, "part"));
    json_decref(o);
    sm_buf_clear(ret_body);
    box.times++;
    int r = 0;
    if (box.times == box.foreign_at)
        r = sm_buf_put_span(ret_body, sm_buf_span(&w.other_proof));
    else if (box.times == box.too_long_at)
        r = -SM_ELIMIT;
    else if (box.times != box.empty_at)
        r = (part ? journal_ancestry_part : journal_ancestry)(store_journal(box.k->st), &from, &to, box.max, ret_body);
    if (box.says && box.times == 1)
        sm_buf_clear(ret_body);
    *ret_status = box.says && box.times == 1 ? box.says : r == -SM_ELIMIT ? 413 : r == -SM_EMISMATCH ? 409 : r ? 500 : 200;
    return 0;
}

static int prove(struct heads *h, const struct journal_signed_head *now)
{
    struct sm_buf raw = SM_BUF_INIT(256);
    char hex[2 * JOURNAL_SIGNED_HEAD_BYTES + 1];
    machine(h);
    h->last = w.head[0].head;
    assert_int_equal(journal_head_put(now, &raw), 0);
    sm_hex(raw.p, raw.n, hex);
    sm_buf_wipe(&raw);
    return heads_prove(h, hex, NULL);
}

static bool alarmed(struct asked how, const struct journal_signed_head *now)
{
    struct heads h;
    box = how;
    int r = prove(&h, now);
    return r == -SM_EMISMATCH && h.alarm && h.last.seq == w.head[0].head.seq;
}

static void a_record_too_long_for_one_answer_is_followed_in_steps(void **state)
{
    struct heads h;
    (void)state;
    box = (struct asked){.k = &w.box, .max = w.proof.n / 3};
    assert_int_equal(prove(&h, &w.head[2]), 0);
    assert_false(h.alarm);
    assert_int_equal(h.last.seq, w.head[2].head.seq);
    assert_in_range(box.times, 3, 64);
}

static void a_box_whose_process_is_away_is_asked_again_and_accused_of_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct heads h;
        box = (struct asked){.k = &w.box, .max = w.proof.n, .says = (const int[]){429, 502, 503}[i]};
        assert_int_equal(prove(&h, &w.head[2]), -SM_EPEER);
        assert_false(h.alarm);
    }
}

static void a_box_that_gives_no_proof_raises_the_alarm_whatever_its_reason(void **state)
{
    struct journal_signed_head far = w.other[2];
    struct heads h;
    struct sm_buf raw = SM_BUF_INIT(256);
    char hex[2 * JOURNAL_SIGNED_HEAD_BYTES + 1];
    const size_t max = w.proof.n / 3;
    (void)state;
    far.head.seq += 5000; /* rolled back, and grown past what one answer holds */
    far = signed_by(far, &w.box.head);
    lie("rolled back and grown, and the records in between \"too long\" (413)",
        alarmed((struct asked){.k = &w.fork, .max = max, .too_long_at = 1}, &far));
    lie("\"too long\" in the middle", alarmed((struct asked){.k = &w.box, .max = max, .too_long_at = 2}, &w.head[2]));
    lie("nothing in the middle", alarmed((struct asked){.k = &w.box, .max = max, .empty_at = 2}, &w.head[2]));
    lie("the records of another history in the middle",
        alarmed((struct asked){.k = &w.box, .max = max, .foreign_at = 2}, &w.head[2]));
    lie("another history, honestly asked about", alarmed((struct asked){.k = &w.box, .max = max}, &w.other[2]));
    for (size_t i = 0; i < 4; i++)
        lie("an error instead of the records",
            alarmed((struct asked){.k = &w.box, .max = max, .says = (const int[]){400, 403, 422, 500}[i]}, &w.head[2]));
    machine(&h);
    box = (struct asked){.k = &w.fork, .max = max, .too_long_at = 1};
    assert_int_equal(journal_head_put(&far, &raw), 0);
    sm_hex(raw.p, raw.n, hex);
    sm_buf_wipe(&raw);
    lie("\"too long\" after a take-over", heads_follow(&h, &w.head[0].head, hex, NULL) == -SM_EMISMATCH && h.last.seq == 0);
}

/* Where record n of the proof begins. */
static size_t record_at(unsigned n)
{
    size_t at = 0;
    for (unsigned i = 0; i < n; i++) {
        struct sm_rd rd = SM_RD(SM_SPAN(w.proof.p + at, w.proof.n - at));
        at += 4 + (size_t)sm_rd_u32(&rd);
    }
    return at;
}

static bool proof_fails(struct sm_span proof)
{
    return journal_ancestry_check(&w.head[0].head, &w.head[2].head, proof) < 0;
}

static void records_that_were_edited_removed_or_swapped_break_the_proof(void **state)
{
    struct sm_buf b = SM_BUF_INIT((size_t)8 << 20);
    size_t one = record_at(1), two = record_at(2);
    (void)state;
    assert_int_equal(journal_ancestry_check(&w.head[0].head, &w.head[2].head, sm_buf_span(&w.proof)), 0);
    assert_int_equal(sm_buf_put_span(&b, sm_buf_span(&w.proof)), 0);
    b.p[one + 60] ^= 1;
    lie("a record edited", proof_fails(sm_buf_span(&b)));
    b.p[one + 60] ^= 1;
    b.p[one + 12] ^= 1; /* its wall time */
    lie("the time of a record edited", proof_fails(sm_buf_span(&b)));
    b.p[one + 12] ^= 1;
    b.p[one + 24] ^= 1; /* its running time */
    lie("the running time of a record edited", proof_fails(sm_buf_span(&b)));
    lie("a record removed from the front", proof_fails(SM_SPAN(w.proof.p + one, w.proof.n - one)));
    lie("a record removed from the end", proof_fails(SM_SPAN(w.proof.p, w.proof.n - 1)));
    memcpy(b.p, w.proof.p + one, two - one);
    memcpy(b.p + (two - one), w.proof.p, one);
    lie("two records swapped", proof_fails(sm_buf_span(&b)));
    lie("the records of another history", proof_fails(sm_buf_span(&w.other_proof)));
    sm_buf_wipe(&b);
}

static void a_restore_notices_what_is_not_the_generation_that_was_ordered(void **state)
{
    struct cid id;
    struct crypto_sign_pair thief;
    uint8_t seed[32] = {4};
    struct sm_buf b = SM_BUF_INIT(MANIFEST_MAX);
    (void)state;
    manifest_id(sm_buf_span(&w.manifest[0]), &id);
    lie("an old generation under the name of the newest", !cid_eq(&id, &w.id[2]));
    assert_int_equal(sm_buf_put_span(&b, sm_buf_span(&w.manifest[2])), 0);
    b.p[100] ^= 1;
    manifest_id(sm_buf_span(&b), &id);
    lie("a manifest with one bit changed", !cid_eq(&id, &w.id[2]) &&
        manifest_verify(sm_buf_span(&b), w.box.client.device.public_key) == -SM_EAUTH);
    assert_int_equal(crypto_sign_from_seed(seed, &thief), 0);
    lie("a generation that another key made", manifest_verify(sm_buf_span(&w.manifest[2]), thief.public_key) == -SM_EAUTH);
    sm_buf_wipe(&b);
}

struct reading { const struct kit *k; unsigned bad, all; };

static int read_one(void *arg, const struct cid *cid, const struct store_place *place)
{
    struct reading *r = arg;
    struct sm_buf b = {0};
    (void)place;
    int err = store_object(r->k->st, &r->k->client.id, cid, &b);
    r->all++;
    r->bad += err != 0 || obj_name_check(sm_buf_span(&b), cid) != 0;
    sm_buf_wipe(&b);
    return 0;
}

static unsigned bad_objects(const struct kit *k, const struct cid *id)
{
    struct reading r = {k, 0, 0};
    assert_int_equal(store_closure(k->st, id, true, read_one, &r), 0);
    assert_true(r.all > 4);
    return r.bad;
}

static void what_is_not_stored_or_is_altered_shows_when_it_is_read_and_not_before(void **state)
{
    static char names[64][256];
    struct kit liar = w.box;
    struct heads h;
    (void)state;
    (void)snprintf(liar.dir, sizeof liar.dir, "%s/liar", w.box.base);
    kit_copy_tree(w.box.dir, liar.dir);
    size_t n = kit_files(liar.dir, ".skp", names, 64);
    assert_true(n >= 2);
    uint64_t size = 0;
    size_t data = 0;
    for (size_t i = 0; i < n; i++) { /* the longest: chunks */
        if (kit_size(names[i]) > size) {
            size = kit_size(names[i]);
            data = i;
        }
    }
    const char *path = names[data];
    kit_flip(path, size - 3, 0x40);
    assert_int_equal(kit_open(&liar, STORE_READ_ONLY), 0);
    machine(&h);
    lie_only("a chunk altered after it was acknowledged", "a restore, a drill or the scrub", show(&h, &w.head[2]) != 0,
        bad_objects(&liar, &w.id[0]) + bad_objects(&liar, &w.id[1]) + bad_objects(&liar, &w.id[2]) > 0);
    kit_close(&liar);
    kit_remove(path);
    assert_int_equal(kit_open(&liar, STORE_READ_ONLY), 0);
    struct verify_result v;
    lie_only("acknowledged, and not kept", "a restore, a drill or a check", show(&h, &w.head[2]) != 0,
        kit_verify(&liar, VERIFY_STRUCTURE, &v) == 0 && !v.sound);
    kit_close(&liar);
}

/* ---- what only somebody else can see ---- */

static void a_fork_shown_to_two_machines_shows_when_paper_of_one_is_held_against_the_other(void **state)
{
    struct heads a, b;
    struct sm_buf raw = SM_BUF_INIT(256), paper = SM_BUF_INIT(256);
    struct headtext t;
    uint8_t is[32];
    (void)state;
    machine(&a);
    machine(&b);
    bool one = show(&a, &w.head[1]) != 0 || show(&a, &w.head[2]) != 0;
    bool two = show(&b, &w.other[1]) != 0 || show(&b, &w.other[2]) != 0;
    assert_int_equal(journal_head_put(&w.head[2], &raw), 0);
    assert_int_equal(headtext_short(raw.p, &paper), 0);
    assert_int_equal(headtext_parse(sm_buf_span(&paper), &t), 0);
    assert_int_equal(journal_hash_at(store_journal(w.fork.st), t.seq, is), 0);
    lie_only("two histories, one for each machine", "a mail, a paper or a copy", one || two, memcmp(is, t.hash, t.hash_n) != 0);
    sm_buf_wipe(&raw);
    sm_buf_wipe(&paper);
}

struct counting { unsigned manifests; };

static int count(void *arg, const struct journal_record *r)
{
    ((struct counting *)arg)->manifests += r->type == JOURNAL_MANIFEST;
    return 0;
}

static void a_generation_kept_from_the_list_stands_in_the_record_of_a_copy(void **state)
{
    struct counting c = {0};
    struct store_query q = {0};
    struct store_generation g[8];
    struct heads h;
    (void)state;
    machine(&h);
    assert_int_equal(journal_each(store_journal(w.box.st), 1, count, &c, NULL), 0);
    size_t listed = store_generations(w.box.st, &q, g, 8) - 1; /* the screen leaves out the newest */
    lie_only("a generation dropped from the list", "whoever reads the record of the box or a copy", show(&h, &w.head[2]) != 0,
        c.manifests == GENERATIONS && listed < c.manifests);
    lie_only("an old generation called the newest", "whoever reads the record of the box or a copy", show(&h, &w.head[2]) != 0,
        !cid_eq(&g[1].manifest, &w.id[2]) && cid_eq(&g[0].manifest, &w.id[2]));
}

/* ---- orders ---- */

static json_t *order_row(const char *text, const struct crypto_sign_pair *by, const char *now)
{
    struct sm_buf b64 = SM_BUF_INIT(8192);
    uint8_t sig[64];
    char hex[129];
    assert_int_equal(crypto_sign_text(by, "sakimori/v1/order", SM_SPAN_STR(text), sig), 0);
    sm_hex(sig, 64, hex);
    assert_int_equal(sm_base64(SM_SPAN_STR(text), &b64), 0);
    json_t *o = json_pack("{s:s,s:s,s:s}", "order", sm_buf_str(&b64), "sig", hex, "now", now);
    sm_buf_wipe(&b64);
    return o;
}

static int order_try(const char *text, const struct crypto_sign_pair *by, const char *now)
{
    struct order o = {0};
    char why[160], used[160];
    (void)snprintf(used, sizeof used, "%s/used", w.box.base);
    json_t *row = order_row(text, by, now);
    int r = order_take(row, w.box.head.public_key, "dev1", used, &o, why); /* any key serves as the order key here */
    if (!r)
        order_wipe(&o);
    json_decref(row);
    return r;
}

static void orders_again_late_of_others_or_for_others_are_refused(void **state)
{
    static const char mine[] = "{\"args\":{},\"device\":\"dev1\",\"id\":\"order-0001\",\"issued\":\"2026-11-22T05:00:00Z\",\"kind\":\"backup\",\"not_after\":\"2026-11-22T06:00:00Z\",\"v\":1}",
        other[] = "{\"args\":{},\"device\":\"dev2\",\"id\":\"order-0002\",\"issued\":\"2026-11-22T05:00:00Z\",\"kind\":\"backup\",\"not_after\":\"2026-11-22T06:00:00Z\",\"v\":1}";
    struct crypto_sign_pair thief;
    uint8_t seed[32] = {5};
    (void)state;
    assert_int_equal(crypto_sign_from_seed(seed, &thief), 0);
    assert_int_equal(order_try(mine, &w.box.head, "2026-11-22T05:30:00Z"), 0);
    lie("an order given before", order_try(mine, &w.box.head, "2026-11-22T05:30:00Z") == -SM_EEXISTS);
    lie("an order of last week", order_try(mine, &w.box.head, "2026-11-29T05:30:00Z") == -SM_ETIME);
    lie("another machine's order", order_try(other, &w.box.head, "2026-11-22T05:30:00Z") == -SM_EAUTH);
    lie("an order that another key signed", order_try(mine, &thief, "2026-11-22T05:30:00Z") == -SM_EAUTH);
}

static void the_count(void **state)
{
    (void)state;
    print_message("hostile box: %u lies, %u noticed as promised, %u that only somebody else than the machine can notice\n",
        lies, noticed, only);
    assert_int_equal(lies, noticed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_notices_a_record_that_went_back_forked_or_is_anothers),
        cmocka_unit_test(a_record_too_long_for_one_answer_is_followed_in_steps),
        cmocka_unit_test(a_box_whose_process_is_away_is_asked_again_and_accused_of_nothing),
        cmocka_unit_test(a_box_that_gives_no_proof_raises_the_alarm_whatever_its_reason),
        cmocka_unit_test(records_that_were_edited_removed_or_swapped_break_the_proof),
        cmocka_unit_test(a_restore_notices_what_is_not_the_generation_that_was_ordered),
        cmocka_unit_test(what_is_not_stored_or_is_altered_shows_when_it_is_read_and_not_before),
        cmocka_unit_test(a_fork_shown_to_two_machines_shows_when_paper_of_one_is_held_against_the_other),
        cmocka_unit_test(a_generation_kept_from_the_list_stands_in_the_record_of_a_copy),
        cmocka_unit_test(orders_again_late_of_others_or_for_others_are_refused),
        cmocka_unit_test(the_count),
    };
    return cmocka_run_group_tests(tests, init, done);
}
