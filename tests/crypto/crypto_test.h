/* What the test groups of the crypto room share. */
#ifndef CRYPTO_TEST_H
#define CRYPTO_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/buf.h"
#include "crypto/init.h"

/* Bytes of a hexadecimal literal, in a block that lives until the end of the test's scope. */
struct hex { uint8_t p[1024]; size_t n; };
static inline struct hex hex(const char *text)
{
    struct hex h = {.n = strlen(text) / 2};
    assert_true(h.n <= sizeof(h.p));
    assert_int_equal(sm_unhex(text, strlen(text), h.p, h.n), 0);
    return h;
}
#define HEX_SPAN(h) SM_SPAN((h).p, (h).n)
#define assert_bytes(got, text)                                                                                        \
    do {                                                                                                               \
        struct hex want_ = hex(text);                                                                                  \
        assert_memory_equal(got, want_.p, want_.n);                                                                    \
    } while (0)
static inline int start_crypto(void **state)
{
    (void)state;
    return crypto_init();
}
#endif
