/* Key links: what new recipients open of the time before them, and what nobody can make them believe. */
#include "vault_test.h"

#include "core/json.h"
#include "vault/snapshot/keylink.h"

static const char *file_name;
static struct crypto_x25519_pair old, sheet, card, stranger;
static struct sm_buf set;

static void pair_of(struct crypto_x25519_pair *p, uint64_t seed)
{
    uint8_t secret[32];
    test_fill(secret, sizeof secret, seed);
    assert_int_equal(crypto_x25519_from_secret(secret, p), 0);
}

static void set_of(struct sm_buf *ret, const struct crypto_x25519_pair *a, const struct crypto_x25519_pair *b)
{
    struct recipients r = {.n = 2, .r = {{RECIPIENT_SHEET, RECIPIENT_X25519, SM_SPAN(a->public_key, 32)},
        {RECIPIENT_BOX, RECIPIENT_X25519, SM_SPAN(b->public_key, 32)}}};
    assert_int_equal(recipients_put(&r, ret), 0);
}

static int init(void **state)
{
    (void)state;
    assert_int_equal(crypto_init(), 0);
    pair_of(&old, 1);
    pair_of(&sheet, 2);
    pair_of(&card, 3);
    pair_of(&stranger, 4);
    set_of(&set, &sheet, &card);
    return 0;
}

static int done(void **state)
{
    (void)state;
    sm_buf_wipe(&set);
    return 0;
}

static void make(struct sm_buf *ret)
{
    struct cid name, again;
    assert_int_equal(keylink_make(&test_vault, sm_buf_span(&set), &old, &name, ret), 0);
    obj_name(sm_buf_span(ret), &again);
    assert_true(cid_eq(&name, &again));
}

static void every_new_recipient_gets_the_old_key_and_nobody_else(void **state)
{
    struct sm_buf link = {0};
    struct crypto_x25519_pair got;
    struct vault_id other = {{9}};
    (void)state;
    make(&link);
    assert_int_equal(keylink_open(&test_vault, sm_buf_span(&link), &sheet, &got), 0);
    assert_memory_equal(got.secret, old.secret, 32);
    assert_int_equal(keylink_open(&test_vault, sm_buf_span(&link), &card, &got), 0);
    assert_memory_equal(got.public_key, old.public_key, 32);
    assert_int_equal(keylink_open(&test_vault, sm_buf_span(&link), &stranger, &got), -SM_ENOTFOUND);
    assert_int_equal(keylink_open(&test_vault, sm_buf_span(&link), &old, &got), -SM_ENOTFOUND);
    assert_int_equal(keylink_open(&other, sm_buf_span(&link), &sheet, &got), -SM_EAUTH);
    sm_buf_wipe(&link);
}

static void any_opener_finds_any_changed_byte(void **state)
{
    struct sm_buf link = {0};
    struct crypto_x25519_pair got;
    (void)state;
    make(&link);
    for (size_t i = 0; i < link.n; i++) {
        link.p[i] ^= 0x41;
        assert_true(keylink_open(&test_vault, sm_buf_span(&link), &sheet, &got) < 0);
        assert_true(keylink_open(&test_vault, sm_buf_span(&link), &card, &got) < 0);
        link.p[i] ^= 0x41;
    }
    for (size_t n = 0; n < link.n; n++)
        assert_true(keylink_open(&test_vault, SM_SPAN(link.p, n), &card, &got) < 0);
    assert_int_equal(sm_buf_put_u8(&link, 0), 0);
    assert_int_equal(keylink_open(&test_vault, sm_buf_span(&link), &card, &got), -SM_EFORMAT);
    sm_buf_wipe(&link);
}

/* A maker that lies: good for the card's drill, a dud for the sheet in the safe. */
static void a_good_wrap_for_the_card_and_a_bad_one_for_the_sheet_is_found_with_the_card(void **state)
{
    struct sm_buf link = {0}, dud = {0};
    struct crypto_x25519_pair got;
    struct cid name;
    struct keylink k, d;
    (void)state;
    uint8_t eid[ENVELOPE_EID_LEN] = {5};
    assert_int_equal(keylink_make_with(&test_vault, sm_buf_span(&set), &old, eid, &name, &link), 0);
    assert_int_equal(keylink_make_with(&test_vault, sm_buf_span(&set), &stranger, eid, &name, &dud), 0);
    assert_int_equal(keylink_parse(sm_buf_span(&link), &k), 0);
    assert_int_equal(keylink_parse(sm_buf_span(&dud), &d), 0);
    assert_int_equal(k.set.r[0].role, RECIPIENT_SHEET);
    memcpy(link.p + (k.wrap[0].p - link.p), d.wrap[0].p, d.wrap[0].n);
    assert_int_equal(keylink_open(&test_vault, sm_buf_span(&link), &card, &got), -SM_EAUTH);
    assert_int_equal(keylink_open(&test_vault, sm_buf_span(&link), &sheet, &got), -SM_EAUTH);
    sm_buf_wipe(&link);
    sm_buf_wipe(&dud);
}

/* It says it holds the old key, and holds another: both wraps agree with each other. */
static void a_link_that_holds_another_key_than_it_names_is_refused(void **state)
{
    struct sm_buf link = {0};
    struct crypto_x25519_pair mixed = stranger, got;
    struct cid name;
    (void)state;
    memcpy(mixed.public_key, old.public_key, 32);
    assert_int_equal(keylink_make(&test_vault, sm_buf_span(&set), &mixed, &name, &link), 0);
    assert_int_equal(keylink_open(&test_vault, sm_buf_span(&link), &card, &got), -SM_EAUTH);
    sm_buf_wipe(&link);
}

static void a_ring_reaches_back_over_every_change_in_any_order_and_past_lies(void **state)
{
    enum { CHANGES = 5 };
    struct crypto_x25519_pair boxes[CHANGES + 1], sheets[CHANGES + 1];
    struct sm_buf links[CHANGES + 1] = {{0}}, sets[CHANGES + 1] = {{0}}, sealed = {0};
    struct sm_span list[CHANGES + 1];
    struct keyring *ring = calloc(1, sizeof *ring);
    struct file_key f, got;
    struct cid name;
    size_t bad = 0;
    (void)state;
    for (uint64_t i = 0; i <= CHANGES; i++) {
        pair_of(&boxes[i], 100 + i);
        pair_of(&sheets[i], 200 + i);
        set_of(&sets[i], &sheets[i], &boxes[i]);
    }
    for (size_t i = 0; i < CHANGES; i++) { /* newest last in the journal, first here */
        assert_int_equal(keylink_make(&test_vault, sm_buf_span(&sets[i + 1]), &boxes[i], &name, &links[i]), 0);
        list[CHANGES - 1 - i] = sm_buf_span(&links[i]);
    }
    make(&links[CHANGES]);
    links[CHANGES].p[links[CHANGES].n - 1] ^= 1;
    list[CHANGES] = sm_buf_span(&links[CHANGES]);
    assert_int_equal(envelope_make(&test_vault, &test_client, sm_buf_span(&sets[0]), &f, &name, &sealed), 0);
    keyring_fill(ring, &test_vault, &sheets[CHANGES], list, CHANGES + 1, &bad);
    assert_int_equal(ring->n, CHANGES + 1);
    assert_int_equal(bad, 0); /* of others: not its business */
    assert_int_equal(keyring_open(ring, &test_vault, &test_client, sm_buf_span(&sealed), &got), 0);
    assert_memory_equal(got.b, f.b, 32);
    /* The old sheet opens nothing that is newer, and the newest sheet without one of the links nothing before it. */
    keyring_fill(ring, &test_vault, &sheets[0], list, CHANGES + 1, &bad);
    assert_int_equal(ring->n, 1);
    keyring_fill(ring, &test_vault, &sheets[CHANGES], list + 1, CHANGES, &bad);
    assert_int_equal(keyring_open(ring, &test_vault, &test_client, sm_buf_span(&sealed), &got), -SM_ENOTFOUND);
    keyring_fill(ring, &test_vault, &card, list, CHANGES + 1, &bad);
    assert_int_equal(bad, 1);
    free(ring);
    for (size_t i = 0; i <= CHANGES; i++) {
        sm_buf_wipe(&links[i]);
        sm_buf_wipe(&sets[i]);
    }
    sm_buf_wipe(&sealed);
}

/* Packs refuse the type, so an older or newer box takes none from a client. */
static void a_link_is_no_object_that_a_client_could_send(void **state)
{
    struct sm_buf link = {0};
    struct obj_hdr h;
    (void)state;
    make(&link);
    assert_int_equal(obj_hdr_parse(sm_buf_span(&link), &h), -SM_EVERSION);
    assert_int_equal(obj_len_max(OBJ_KEYLINK), 0);
    sm_buf_wipe(&link);
}

static void field(const json_t *o, const char *key, struct sm_buf *ret)
{
    const char *hex = json_string_value(json_object_get(o, key));
    assert_non_null(hex);
    assert_int_equal(sm_buf_reserve(ret, strlen(hex) / 2), 0);
    assert_int_equal(sm_unhex(hex, strlen(hex), ret->p, strlen(hex) / 2), 0);
    ret->n = strlen(hex) / 2;
}

/* Made apart from this code (RFC 9180 and FORMAT 2.5 read anew, in another language). */
static void the_vector_is_made_again_byte_for_byte_and_opens(void **state)
{
    static const char *const keys[] = {"vault", "eid", "old_secret", "sheet_secret", "card_secret", "set", "link", "name"};
    struct sm_buf v[8] = {{0}}, again = {0};
    struct crypto_x25519_pair from, to, got;
    struct vault_id vault;
    struct cid name;
    json_t *o = json_load_file(file_name, 0, NULL);
    (void)state;
    assert_non_null(o);
    for (size_t i = 0; i < 8; i++)
        field(o, keys[i], &v[i]);
    memcpy(vault.b, v[0].p, 16);
    assert_int_equal(crypto_x25519_from_secret(v[2].p, &from), 0);
    assert_int_equal(keylink_make_with(&vault, sm_buf_span(&v[5]), &from, v[1].p, &name, &again), 0);
    assert_true(sm_span_eq(sm_buf_span(&again), sm_buf_span(&v[6])));
    assert_memory_equal(name.b, v[7].p, 32);
    for (size_t i = 3; i < 5; i++) {
        assert_int_equal(crypto_x25519_from_secret(v[i].p, &to), 0);
        assert_int_equal(keylink_open(&vault, sm_buf_span(&v[6]), &to, &got), 0);
        assert_memory_equal(got.secret, from.secret, 32);
    }
    for (size_t i = 0; i < 8; i++)
        sm_buf_wipe(&v[i]);
    sm_buf_wipe(&again);
    json_decref(o);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_new_recipient_gets_the_old_key_and_nobody_else),
        cmocka_unit_test(any_opener_finds_any_changed_byte),
        cmocka_unit_test(a_good_wrap_for_the_card_and_a_bad_one_for_the_sheet_is_found_with_the_card),
        cmocka_unit_test(a_link_that_holds_another_key_than_it_names_is_refused),
        cmocka_unit_test(a_ring_reaches_back_over_every_change_in_any_order_and_past_lies),
        cmocka_unit_test(a_link_is_no_object_that_a_client_could_send),
        cmocka_unit_test(the_vector_is_made_again_byte_for_byte_and_opens),
    };
    if (argc < 2)
        return 2;
    file_name = argv[1];
    return cmocka_run_group_tests(tests, init, done);
}
