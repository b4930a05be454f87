/* Bundles of rules: made, read back, and what is refused. */
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "detect/bundle/bundle.h"

static struct crypto_sign_pair pair, other;
static struct bundle_key key, strange;

static int set_up(void **state)
{
    if (crypto_sign_generate(&pair) < 0 || crypto_sign_generate(&other) < 0)
        return -1;
    memcpy(key.pub, pair.public_key, sizeof key.pub);
    memcpy(strange.pub, other.public_key, sizeof strange.pub);
    return 0;
}

static struct bundle_head head_of(uint64_t serial)
{
    return (struct bundle_head){ .name = "試し", .licence = "DRL 1.1", .note = "", .serial = serial, .made_s = 1795000000 };
}

#define LONG "rules/windows/process_creation/a-folder-with-a-rather-long-name-so-that-the-whole-is-longer/than-a-hundred-bytes.yml"

static void make(struct sm_buf *ret, bool zstd)
{
    struct bundle_file files[] = { { "rules/b.yml", SM_SPAN_STR("title: b\n") }, { "LICENSE", SM_SPAN_STR("free\n") },
        { "logsources.yml", SM_SPAN_STR("places: {}\n") }, { LONG, SM_SPAN_STR("title: long\n") }, { "empty.txt", SM_SPAN("", 0) } };
    struct bundle_head head = head_of(7);
    char why[BUNDLE_WHY_MAX] = "";

    *ret = SM_BUF_INIT(1 << 20);
    assert_ok(bundle_write(&head, files, 5, &pair, zstd, ret, why));
}

static void what_was_made_is_read_back(void **state)
{
    for (int zstd = 0; zstd < 2; zstd++) {
        struct sm_buf file;
        struct bundle *b = NULL;
        char why[BUNDLE_WHY_MAX] = "";
        struct bundle_key keys[] = { strange, key };
        make(&file, zstd);
        assert_ok(bundle_open(sm_buf_span(&file), keys, 2, &b, why));
        assert_string_equal(bundle_head(b)->name, "試し");
        assert_int_equal(bundle_head(b)->serial, 7);
        assert_int_equal(bundle_head(b)->made_s, 1795000000);
        assert_memory_equal(bundle_signer(b)->pub, key.pub, 32);
        assert_int_equal(bundle_count(b), 5);
        assert_string_equal(bundle_at(b, 0)->name, "LICENSE");
        assert_span_is(bundle_find(b, LONG)->text, "title: long\n");
        assert_null(bundle_find(b, "none.yml"));
        assert_true(bundle_is_rules("rules/b.yml") && !bundle_is_rules("a/logsources.yml") && bundle_is_sources("a/logsources.yml"));
        bundle_free(b);
        sm_buf_wipe(&file);
    }
}

static void a_key_that_is_not_trusted_opens_nothing(void **state)
{
    struct sm_buf file;
    struct bundle *b = NULL;
    char why[BUNDLE_WHY_MAX] = "";

    make(&file, true);
    assert_int_equal(bundle_open(sm_buf_span(&file), &strange, 1, &b, why), -SM_EAUTH);
    assert_int_equal(bundle_open(sm_buf_span(&file), NULL, 0, &b, why), -SM_EAUTH);
    assert_null(b);
    assert_ok(bundle_look(sm_buf_span(&file), &b, why));
    assert_null(bundle_signer(b));
    bundle_free(b);
    sm_buf_wipe(&file);
}

/* Every bit of the archive says something, but for those that the reader does not look at. */
static void a_flipped_bit_is_refused(void **state)
{
    struct sm_buf file;
    char why[BUNDLE_WHY_MAX] = "";

    make(&file, false);
    for (size_t i = 0; i < file.n; i += 3 + i % 9) {
        struct bundle *b = NULL;
        file.p[i] ^= (uint8_t)(1u << i % 8);
        int r = bundle_open(sm_buf_span(&file), &key, 1, &b, why);
        if (r == 0)
            fail_msg("byte %zu may be altered", i);
        assert_true(r == -SM_EFORMAT || r == -SM_EAUTH || r == -SM_ECORRUPT || r == -SM_ELIMIT);
        file.p[i] ^= (uint8_t)(1u << i % 8);
    }
    sm_buf_wipe(&file);
}

static void every_cut_is_refused(void **state)
{
    for (int zstd = 0; zstd < 2; zstd++) {
        struct sm_buf file;
        char why[BUNDLE_WHY_MAX] = "";
        make(&file, zstd);
        for (size_t n = 0; n < file.n; n++) {
            struct bundle *b = NULL;
            uint8_t *copy = malloc(n + 1);
            memcpy(copy, file.p, n);
            assert_true(bundle_open(SM_SPAN(copy, n), &key, 1, &b, why) < 0);
            free(copy);
        }
        assert_ok(sm_buf_put_u8(&file, 0)); /* and something behind it */
        struct bundle *b = NULL;
        int r = bundle_open(sm_buf_span(&file), &key, 1, &b, why);
        assert_true(zstd ? r < 0 : r == 0); /* zeros may follow a tar */
        bundle_free(b);
        sm_buf_wipe(&file);
    }
}

static int name_refused(const char *name)
{
    struct bundle_file file = { name, SM_SPAN_STR("title: b\n") };
    struct bundle_head head = head_of(1);
    struct sm_buf to = SM_BUF_INIT(1 << 20);
    char why[BUNDLE_WHY_MAX] = "";
    int r = bundle_write(&head, &file, 1, &pair, false, &to, why);

    sm_buf_wipe(&to);
    return r;
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    static const char *const bad[] = { "", "/a.yml", "../a.yml", "a/../b.yml", "a//b.yml", ".hidden.yml", "a/.b.yml", "a b.yml", "a\\b.yml", "あ.yml",
        "manifest.json", "manifest.sig", "1/2/3/4/5/6/7/8/9.yml", "a/" };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(name_refused(bad[i]), -SM_EINVAL);
    assert_ok(name_refused("1/2/3/4/5/6/7/8.yml"));
}

static void heads_that_say_too_little_are_refused(void **state)
{
    struct bundle_file file = { "a.yml", SM_SPAN_STR("title: b\n") };
    struct bundle_head bad[] = { head_of(0), head_of(UINT64_C(1) << 54), head_of(1), head_of(1) };
    struct sm_buf to = SM_BUF_INIT(1 << 20);
    char why[BUNDLE_WHY_MAX] = "";

    bad[2].name = "";
    bad[3].licence = "";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(bundle_write(&bad[i], &file, 1, &pair, false, &to, why), -SM_EINVAL);
    assert_int_equal(to.n, 0);
}

static void keys_are_read_as_they_are_written(void **state)
{
    char text[BUNDLE_KEY_TEXT], file[400];
    struct bundle_key got[4];

    bundle_key_text(&key, text);
    assert_ok(bundle_key_read(SM_SPAN_STR(text), &got[0]));
    assert_memory_equal(got[0].pub, key.pub, 32);
    assert_int_equal(bundle_key_read(SM_SPAN_STR("SKRB0-00"), &got[0]), -SM_EFORMAT);
    snprintf(file, sizeof file, "# keys\n\nproject = %s\r\nwrong = SKRB0-12\n= %s\nlast = %s", text, text, text);
    assert_int_equal(bundle_keys_read(SM_SPAN_STR(file), got, 4, NULL, NULL), 2);
    assert_int_equal(bundle_keys_read(SM_SPAN_STR(file), got, 1, NULL, NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_made_is_read_back),
        cmocka_unit_test(a_key_that_is_not_trusted_opens_nothing),
        cmocka_unit_test(a_flipped_bit_is_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(names_that_lead_elsewhere_are_refused),
        cmocka_unit_test(heads_that_say_too_little_are_refused),
        cmocka_unit_test(keys_are_read_as_they_are_written),
    };

    return cmocka_run_group_tests_name("detect_bundle", tests, set_up, NULL);
}
