#include "../test.h"
#include <errno.h>
#include "plat/fault.h"

static void a_buffer_stops_at_its_maximum_and_stays_unchanged(void **state)
{
    struct sm_buf b = SM_BUF_INIT(10);
    assert_ok(sm_buf_put(&b, "12345678", 8));
    assert_int_equal(sm_buf_put(&b, "abc", 3), -SM_ELIMIT);
    assert_span_is(sm_buf_span(&b), "12345678");
    assert_ok(sm_buf_put(&b, "ab", 2));
    assert_int_equal(sm_buf_put_u8(&b, 1), -SM_ELIMIT);
    assert_int_equal(sm_buf_reserve(&b, SIZE_MAX), -SM_ELIMIT);
    assert_string_equal(sm_buf_str(&b), "12345678ab");
    assert_int_equal(b.n, 10);
    sm_buf_wipe(&b);
    assert_int_equal(b.max, 10);
    assert_null(b.p);
}

static void a_zero_buffer_grows_to_the_standard_maximum(void **state)
{
    struct sm_buf b = {0};
    assert_ok(sm_buf_reserve(&b, SM_BUF_MAX_DEFAULT));
    assert_int_equal(sm_buf_reserve(&b, SM_BUF_MAX_DEFAULT + 1), -SM_ELIMIT);
    sm_buf_wipe(&b);
}

static void integers_and_varints_come_back(void **state)
{
    static const uint64_t v[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX, 1ULL << 63};
    struct sm_buf b = {0};
    assert_ok(sm_buf_put_u8(&b, 0xab));
    assert_ok(sm_buf_put_u16(&b, 0x1234));
    assert_ok(sm_buf_put_u32(&b, 0xdeadbeef));
    assert_ok(sm_buf_put_u64(&b, 0x0123456789abcdef));
    assert_memory_equal(b.p, "\xab\x34\x12\xef\xbe\xad\xde\xef\xcd\xab\x89\x67\x45\x23\x01", 15);
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++)
        assert_ok(sm_buf_put_varint(&b, v[i]));
    assert_ok(sm_buf_put_blob(&b, SM_SPAN_STR("blob")));
    struct sm_rd r = SM_RD(sm_buf_span(&b));
    assert_int_equal(sm_rd_u8(&r), 0xab);
    assert_int_equal(sm_rd_u16(&r), 0x1234);
    assert_int_equal(sm_rd_u32(&r), 0xdeadbeef);
    assert_true(sm_rd_u64(&r) == 0x0123456789abcdef);
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++)
        assert_true(sm_rd_varint(&r) == v[i]);
    assert_span_is(sm_rd_blob(&r, 4), "blob");
    assert_ok(sm_rd_done(&r));
    sm_buf_wipe(&b);
}

static int varint_error(const char *bytes, size_t n)
{
    struct sm_rd r = {.p = (const uint8_t *)bytes, .n = n};
    assert_true(sm_rd_varint(&r) == 0);
    return r.err;
}

static void a_varint_that_is_not_minimal_or_too_long_is_refused(void **state)
{
    assert_int_equal(varint_error("\x80\x00", 2), -SM_EFORMAT);
    assert_int_equal(varint_error("\xff\x80\x00", 3), -SM_EFORMAT);
    assert_int_equal(varint_error("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10), -SM_EFORMAT);
    assert_int_equal(varint_error("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11), -SM_EFORMAT);
    assert_int_equal(varint_error("\x80", 1), -SM_EFORMAT);
    assert_int_equal(varint_error("", 0), -SM_EFORMAT);
}

static void the_first_reading_error_stays(void **state)
{
    struct sm_rd r = SM_RD(SM_SPAN("\x05" "ab", 3));
    assert_int_equal(sm_rd_blob(&r, 4).n, 0);
    assert_int_equal(r.err, -SM_ELIMIT);
    assert_int_equal(sm_rd_u8(&r), 0);
    uint8_t to[2] = {7, 7};
    sm_rd_copy(&r, to, 2);
    assert_int_equal(to[0], 0);
    assert_int_equal(sm_rd_done(&r), -SM_ELIMIT);
    struct sm_rd left = SM_RD(SM_SPAN("ab", 2));
    assert_int_equal(sm_rd_done(&left), -SM_EFORMAT);
    struct sm_rd cut = SM_RD(SM_SPAN("\x05" "ab", 3));
    assert_null(sm_rd_blob(&cut, 10).p);
    assert_int_equal(cut.err, -SM_EFORMAT);
}

static void printf_measures_first_and_respects_the_maximum(void **state)
{
    struct sm_buf b = SM_BUF_INIT(300);
    assert_ok(sm_buf_printf(&b, "%0256d", 7));
    assert_int_equal(b.n, 256);
    assert_int_equal(sm_buf_printf(&b, "%045d", 7), -SM_ELIMIT);
    assert_ok(sm_buf_printf(&b, "%044d", 7));
    assert_int_equal(b.n, 300);
    assert_int_equal(b.p[299], '7');
    sm_buf_shift(&b, 299);
    assert_string_equal(sm_buf_str(&b), "7");
    sm_buf_wipe(&b);
}

static void when_memory_fails_nothing_is_lost(void **state)
{
    struct sm_buf b = {0};
    assert_ok(sm_buf_put(&b, "kept", 4));
    plat_fault_set(PLAT_OP_ALLOC, 1, ENOMEM);
    char big[1000] = {0};
    assert_int_equal(sm_buf_put(&b, big, sizeof big), -ENOMEM);
    assert_true(plat_fault_fired());
    plat_fault_clear();
    assert_span_is(sm_buf_span(&b), "kept");
    assert_ok(sm_buf_put(&b, big, sizeof big));
    sm_buf_wipe(&b);
}

static void names_are_ordered_by_bytes_then_length(void **state)
{
    assert_int_equal(sm_span_cmp(SM_SPAN_STR("a"), SM_SPAN_STR("ab")), -1);
    assert_int_equal(sm_span_cmp(SM_SPAN_STR("\xff"), SM_SPAN_STR("a")), 1);
    assert_int_equal(sm_span_cmp(SM_SPAN_STR(""), SM_SPAN_STR("")), 0);
    assert_true(sm_span_eq(SM_SPAN_STR("x"), SM_SPAN_STR("x")));
    assert_false(sm_span_eq(SM_SPAN_STR("x"), SM_SPAN_STR("y")));
    assert_true(sm_ct_eq("abc", "abc", 3));
    assert_false(sm_ct_eq("abc", "abd", 3));
}

static void hexadecimal_both_ways(void **state)
{
    char hex[9];
    uint8_t raw[4] = {9, 9, 9, 9};
    sm_hex("\x00\xff\x10\xab", 4, hex);
    assert_string_equal(hex, "00ff10ab");
    assert_int_equal(sm_unhex("00ff10a", 7, raw, 4), -SM_EFORMAT);
    assert_int_equal(sm_unhex("00ff10ag", 8, raw, 4), -SM_EFORMAT);
    assert_int_equal(raw[0], 9);
    assert_ok(sm_unhex("00FF10aB", 8, raw, 4));
    assert_memory_equal(raw, "\x00\xff\x10\xab", 4);
}

/* RFC 4648, section 10 (base32 without its padding). */
static const struct {
    const char *plain, *b64, *b32;
} vector[] = {{"", "", ""}, {"f", "Zg==", "MY"}, {"fo", "Zm8=", "MZXQ"}, {"foo", "Zm9v", "MZXW6"},
    {"foob", "Zm9vYg==", "MZXW6YQ"}, {"fooba", "Zm9vYmE=", "MZXW6YTB"}, {"foobar", "Zm9vYmFy", "MZXW6YTBOI"}};

static void base64_and_base32_match_the_vectors_of_rfc_4648(void **state)
{
    for (size_t i = 0; i < sizeof vector / sizeof vector[0]; i++) {
        struct sm_buf a = {0}, b = {0}, c = {0}, d = {0};
        assert_ok(sm_base64(SM_SPAN_STR(vector[i].plain), &a));
        assert_span_is(sm_buf_span(&a), vector[i].b64);
        assert_ok(sm_unbase64(SM_SPAN_STR(vector[i].b64), &b));
        assert_span_is(sm_buf_span(&b), vector[i].plain);
        assert_ok(sm_base32(SM_SPAN_STR(vector[i].plain), &c));
        assert_span_is(sm_buf_span(&c), vector[i].b32);
        assert_ok(sm_unbase32(SM_SPAN_STR(vector[i].b32), &d));
        assert_span_is(sm_buf_span(&d), vector[i].plain);
        sm_buf_wipe(&a);
        sm_buf_wipe(&b);
        sm_buf_wipe(&c);
        sm_buf_wipe(&d);
    }
}

static void malformed_base64_and_base32_are_refused_and_leave_the_buffer(void **state)
{
    static const char *const bad64[] = {"Zg=", "Zg==Zg==", "Z===", "Zh==", "Zm9=", "Zm9\xff", "====", "Zg=a"};
    static const char *const bad32[] = {"M", "MZX", "MZ", "MY1", "M0", "MZXW6YTBOI8"};
    struct sm_buf b = {0};
    assert_ok(sm_buf_put_u8(&b, 'x'));
    for (size_t i = 0; i < sizeof bad64 / sizeof bad64[0]; i++) {
        assert_int_equal(sm_unbase64(SM_SPAN_STR(bad64[i]), &b), -SM_EFORMAT);
        assert_int_equal(b.n, 1);
    }
    for (size_t i = 0; i < sizeof bad32 / sizeof bad32[0]; i++) {
        assert_int_equal(sm_unbase32(SM_SPAN_STR(bad32[i]), &b), -SM_EFORMAT);
        assert_int_equal(b.n, 1);
    }
    assert_ok(sm_unbase32(SM_SPAN_STR("mzxw-6ytb oi"), &b));
    assert_span_is(sm_buf_span(&b), "xfoobar");
    sm_buf_wipe(&b);
}

static void utf8_is_judged_as_rfc_3629_says(void **state)
{
    static const char *const good[] = {
        "", "abc", "防人", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xc2\x80"};
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe9\x98", "a\xff", "\xe9\x98z"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(sm_utf8_valid(SM_SPAN_STR(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(sm_utf8_valid(SM_SPAN_STR(bad[i])));
    assert_false(sm_utf8_valid(SM_SPAN("a\0b", 3)));
}

static void errors_have_a_phrase_and_a_stable_name(void **state)
{
    assert_string_equal(sm_errname(-SM_EAUTH), "SM_EAUTH");
    assert_string_equal(sm_errname(-ENOSPC), "ENOSPC");
    assert_string_equal(sm_errname(SM_EPEER), "SM_EPEER");
    assert_string_equal(sm_errname(-99999), "E?");
    assert_string_equal(sm_strerror(-SM_EPEER), "the other side is gone");
    assert_string_equal(sm_strerror(ENOENT), "No such file or directory");
    assert_non_null(sm_strerror(INT32_MIN));
    for (int e = SM_EFORMAT; e <= SM_EPEER; e++)
        assert_int_equal(strncmp(sm_errname(e), "SM_E", 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_stops_at_its_maximum_and_stays_unchanged),
        cmocka_unit_test(a_zero_buffer_grows_to_the_standard_maximum),
        cmocka_unit_test(integers_and_varints_come_back),
        cmocka_unit_test(a_varint_that_is_not_minimal_or_too_long_is_refused),
        cmocka_unit_test(the_first_reading_error_stays),
        cmocka_unit_test(printf_measures_first_and_respects_the_maximum),
        cmocka_unit_test(when_memory_fails_nothing_is_lost),
        cmocka_unit_test(names_are_ordered_by_bytes_then_length),
        cmocka_unit_test(hexadecimal_both_ways),
        cmocka_unit_test(base64_and_base32_match_the_vectors_of_rfc_4648),
        cmocka_unit_test(malformed_base64_and_base32_are_refused_and_leave_the_buffer),
        cmocka_unit_test(utf8_is_judged_as_rfc_3629_says),
        cmocka_unit_test(errors_have_a_phrase_and_a_stable_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
