/* keyd's seal of the record: what was signed is signed once, and handed out again until the record has it. */
#include "tests/test.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "crypto/init.h"
#include "plat/fs.h"
#include "sakimorid/keyd/seal.h"

static char folder[64];

static int set_up(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/sakimori-seal-XXXXXX");
    return crypto_init() < 0 || !mkdtemp(folder) ? -1 : 0;
}

static int tear_down(void **state)
{
    return plat_fs_remove_tree(AT_FDCWD, folder) < 0 ? -1 : 0;
}

static struct seal *opened(void)
{
    struct seal *s = NULL;

    assert_int_equal(seal_open(folder, &s), 0);
    return s;
}

/* Walks over what was handed out; how many statements. */
static size_t walk(struct evseal_walk *w, const struct sm_buf *b)
{
    struct sm_rd rd = SM_RD(sm_buf_span(b));
    size_t n = 0;

    while (rd.n) {
        uint32_t k = sm_rd_u32(&rd);
        struct sm_span statement = sm_rd_bytes(&rd, EVSEAL_LEN), body = sm_rd_bytes(&rd, k);
        assert_int_equal(rd.err, 0);
        assert_int_equal(evseal_step(w, statement.p, body), 0);
        n++;
    }
    return n;
}

static void root_of(uint64_t block, uint8_t ret[EVSEAL_ROOT_LEN])
{
    struct evseal_root r = { .block = block, .events = block * 10, .last_id = block * 10, .hash = { (uint8_t)block } };

    evseal_root_pack(&r, ret);
}

static void statements_follow_one_another_over_restarts_and_verify_with_the_first_key(void **state)
{
    struct evseal_walk w = { 0 };
    uint8_t body[EVSEAL_ROOT_LEN];

    for (uint64_t i = 1; i <= 12; i++) {
        struct seal *s = opened();
        struct sm_buf out = SM_BUF_INIT(1 << 20);
        if (i == 1)
            memcpy(w.key, seal_public(s), sizeof w.key);
        root_of(i, body);
        assert_int_equal(seal_statements(s, w.seq, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body), 1000 + (int64_t)i, &out), 0);
        assert_int_equal(walk(&w, &out), 2); /* the blocks, and the end of the epoch */
        assert_int_equal(w.epoch, i);
        sm_buf_wipe(&out);
        seal_free(s);
    }
}

static void what_the_record_did_not_get_comes_again_and_nothing_new_is_signed_meanwhile(void **state)
{
    struct seal *s = opened();
    struct evseal_walk w = { 0 };
    struct sm_buf lost = SM_BUF_INIT(1 << 20), again = SM_BUF_INIT(1 << 20), rest = SM_BUF_INIT(1 << 20);
    uint8_t body[EVSEAL_ROOT_LEN];

    memcpy(w.key, seal_public(s), sizeof w.key);
    root_of(1, body);
    assert_int_equal(seal_statements(s, 0, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body), 5, &lost), 0);
    seal_free(s);
    s = opened();
    root_of(2, body);
    assert_int_equal(seal_statements(s, 0, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body), 6, &again), 0);
    assert_true(sm_span_eq(sm_buf_span(&lost), sm_buf_span(&again)));
    assert_int_equal(walk(&w, &again), 2);
    assert_int_equal(seal_statements(s, w.seq, 0, SM_SPAN("", 0), 7, &rest), 0);
    assert_int_equal(rest.n, 0);
    seal_free(s);
    sm_buf_wipe(&lost);
    sm_buf_wipe(&again);
    sm_buf_wipe(&rest);
}

static void a_record_that_was_put_back_or_is_ahead_is_refused(void **state)
{
    struct seal *s = opened();
    uint8_t body[EVSEAL_ROOT_LEN];
    struct sm_buf out = SM_BUF_INIT(1 << 20);

    for (uint64_t i = 0; i < 10; i++) {
        root_of(i + 1, body);
        assert_int_equal(seal_statements(s, 2 * i, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body), 5, &out), 0);
        sm_buf_clear(&out);
    }
    assert_int_equal(seal_statements(s, 3, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body), 5, &out), -SM_EMISMATCH);
    assert_int_equal(seal_statements(s, 21, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body), 5, &out), -SM_EMISMATCH);
    assert_int_equal(seal_statements(s, 20, EVSEAL_EPOCH, SM_SPAN(body, sizeof body), 5, &out), -SM_EINVAL);
    assert_int_equal(out.n, 0);
    sm_buf_wipe(&out);
    seal_free(s);
}

static void a_damaged_file_makes_no_new_key(void **state)
{
    struct seal *s = opened();
    char path[96];
    struct sm_buf text = SM_BUF_INIT(1 << 20);

    seal_free(s);
    s = NULL;
    snprintf(path, sizeof path, "%s/.journal-seal", folder);
    assert_int_equal(plat_fs_read_file(AT_FDCWD, path, 1 << 20, &text), 0);
    assert_int_equal(plat_replace(AT_FDCWD, path, SM_SPAN(text.p, text.n - 1), 0600), 0);
    assert_true(seal_open(folder, &s) < 0);
    assert_null(s);
    sm_buf_wipe(&text);
}

static void a_link_to_another_record_is_signed_first_or_never(void **state)
{
    const struct evseal_link l = { .seq = 7, .block = 4, .sealed_block = 4, .next_block = 1000000, .next_id = 1000000000 };
    uint8_t link[EVSEAL_LINK_LEN], body[EVSEAL_ROOT_LEN];
    struct evseal_walk w = { 0 };
    struct seal *s = opened();
    struct sm_buf out = SM_BUF_INIT(1 << 20), again = SM_BUF_INIT(1 << 20), late = SM_BUF_INIT(1 << 20);

    (void)state;
    memcpy(w.key, seal_public(s), sizeof w.key);
    evseal_link_pack(&l, link);
    assert_int_equal(seal_statements(s, 0, EVSEAL_LINK, SM_SPAN(link, sizeof link), 1000, &out), 0);
    assert_int_equal(walk(&w, &out), 2);
    seal_free(s);
    s = opened(); /* it ended before the record had it */
    assert_int_equal(seal_statements(s, 0, EVSEAL_LINK, SM_SPAN(link, sizeof link), 2000, &again), 0);
    assert_int_equal(again.n, out.n);
    assert_memory_equal(again.p, out.p, out.n);
    assert_int_equal(seal_statements(s, w.seq, EVSEAL_LINK, SM_SPAN(link, sizeof link), 3000, &late), -SM_EINVAL);
    root_of(5, body);
    assert_int_equal(seal_statements(s, w.seq, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body), 3000, &late), 0);
    assert_int_equal(walk(&w, &late), 2);
    sm_buf_wipe(&out);
    sm_buf_wipe(&again);
    sm_buf_wipe(&late);
    seal_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(statements_follow_one_another_over_restarts_and_verify_with_the_first_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_record_did_not_get_comes_again_and_nothing_new_is_signed_meanwhile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_that_was_put_back_or_is_ahead_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_to_another_record_is_signed_first_or_never, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_makes_no_new_key, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
