/* What every cmocka group includes: the order of headers cmocka wants, and a few words of our own. */
#ifndef SM_TESTS_TEST_H
#define SM_TESTS_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "core/err.h"
#include "core/buf.h"
#include <cmocka.h>

#define assert_ok(call) assert_int_equal((call), 0)
#define assert_span_is(span, text) \
    do { \
        struct sm_span span_ = (span); \
        assert_int_equal(span_.n, strlen(text)); \
        assert_memory_equal(span_.p, (text), span_.n); \
    } while (0)
#endif
