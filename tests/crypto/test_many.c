#include "crypto_test.h"
#include "crypto/many.h"

#define MOST 150

static uint8_t *text;

static void expect_same_as_one_by_one(struct crypto_many *c, const size_t *lengths, size_t n, unsigned keyed)
{
    struct crypto_message m[MOST];
    struct crypto_hmac_key key[2];
    uint8_t want[32];
    crypto_hmac_key_init(&key[0], SM_SPAN("0123456789abcdef0123456789abcdef", 32));
    crypto_hmac_key_init(&key[1], SM_SPAN("another", 7));
    for (size_t i = 0; i < n; i++)
        m[i] = (struct crypto_message){.in = SM_SPAN(text + i, lengths[i]), .key = keyed >> i % 3 & 1 ? &key[i & 1] : NULL};
    crypto_many(c, m, n);
    for (size_t i = 0; i < n; i++) {
        if (m[i].key)
            crypto_hmac(m[i].key, &m[i].in, 1, want);
        else
            crypto_sha256(m[i].in, want);
        assert_memory_equal(m[i].ret, want, 32);
    }
}

static void every_length_to_some_blocks_gives_what_one_by_one_gives(void **state)
{
    struct crypto_many *c;
    size_t lengths[MOST];
    assert_int_equal(crypto_many_new(&c), 0);
    for (size_t from = 0; from < 400; from += MOST) {
        for (size_t i = 0; i < MOST; i++)
            lengths[i] = from + i;
        for (unsigned keyed = 0; keyed < 8; keyed++)
            expect_same_as_one_by_one(c, lengths, MOST, keyed);
    }
    crypto_many_free(c);
}

static void long_and_short_messages_of_any_number_may_come_together(void **state)
{
    static const size_t some[] = {65535, 65536, 65537, 1, 262144, 1048576, 100, 4194304, 16, 2097152, 2097153, 0, 70000,
        16384, 16384, 16384, 131072, 131073};
    size_t lengths[MOST];
    struct crypto_many *c;
    uint64_t at = 7;
    assert_int_equal(crypto_many_new(&c), 0);
    expect_same_as_one_by_one(c, some, sizeof some / sizeof some[0], 5);
    for (size_t n = 0; n < 40; n++) {
        for (size_t i = 0; i < n; i++) {
            at = at * 6364136223846793005u + 1442695040888963407u;
            lengths[i] = (size_t)(at >> 33) % (n % 4 ? 20000 : 200000);
        }
        expect_same_as_one_by_one(c, lengths, n, (unsigned)n % 8);
    }
    crypto_many_free(c);
}

static void equal_lengths_fill_the_lanes(void **state)
{
    struct crypto_many *c;
    size_t lengths[MOST];
    assert_int_equal(crypto_many_new(&c), 0);
    for (size_t n = 1; n <= MOST; n += n < 40 ? 1 : 37) {
        for (size_t i = 0; i < n; i++)
            lengths[i] = 4096;
        expect_same_as_one_by_one(c, lengths, n, 0);
        expect_same_as_one_by_one(c, lengths, n, 7);
    }
    crypto_many_free(c);
}

static int start(void **state)
{
    text = malloc((4 << 20) + MOST);
    for (size_t i = 0; text && i < (4 << 20) + MOST; i++)
        text[i] = (uint8_t)(i * 2654435761u >> 13);
    return text ? start_crypto(state) : -1;
}

static int end(void **state)
{
    (void)state;
    free(text);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_to_some_blocks_gives_what_one_by_one_gives),
        cmocka_unit_test(long_and_short_messages_of_any_number_may_come_together),
        cmocka_unit_test(equal_lengths_fill_the_lanes),
    };
    return cmocka_run_group_tests_name("crypto_many", tests, start, end);
}
