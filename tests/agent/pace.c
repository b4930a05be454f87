/* Holding back to a limit, with a clock of the test's own. */
#include "../test.h"

#include "sakimori-agent/backup/pace.h"

/* Send pieces as fast as allowed from *now until end; the bytes that went out. */
static uint64_t send_until(struct pace *p, uint64_t *now, uint64_t end, uint64_t piece)
{
    uint64_t sent = 0;
    while (*now < end) {
        uint64_t wait = pace_wait_ms(p, *now);
        if (wait) {
            *now += wait < 250 ? wait : 250;
            continue;
        }
        pace_sent(p, piece, *now);
        sent += piece;
        if (!p->rate)
            *now += 1; /* without a limit a piece takes its own time */
    }
    return sent;
}

static void an_hour_at_a_limit_is_that_limit(void **s)
{
    (void)s;
    static const uint64_t rates[] = {1024, 500 * 1024, 100ull << 20, 100000000ull * 1024};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct pace p = {0};
        uint64_t now = 12345, piece = rates[i] / 3 + 1;
        pace_limit(&p, rates[i], now);
        uint64_t sent = send_until(&p, &now, now + 3600000, piece);
        assert_true(sent >= rates[i] * 3600 - piece);
        assert_true(sent <= rates[i] * 3600 + rates[i] + 2 * piece);
    }
}

static void a_big_piece_is_waited_for(void **s)
{
    (void)s;
    struct pace p = {0};
    pace_limit(&p, 1000, 0);
    pace_sent(&p, 61000, 0);
    assert_int_equal(pace_wait_ms(&p, 0), 60001);
    assert_int_equal(pace_wait_ms(&p, 30000), 30001);
    assert_int_equal(pace_wait_ms(&p, 60001), 0);
}

static void idle_time_earns_one_burst_and_no_more(void **s)
{
    (void)s;
    struct pace p = {0};
    uint64_t now = 3600000; /* an hour of looking for changes */
    pace_limit(&p, 1000, 0);
    assert_int_equal(pace_wait_ms(&p, now), 0);
    assert_true(send_until(&p, &now, now + 10000, 100) <= 11000 + 200);
}

static void a_change_of_the_limit_counts_at_once(void **s)
{
    (void)s;
    struct pace p = {0};
    pace_sent(&p, 1ull << 40, 0);
    assert_int_equal(pace_wait_ms(&p, 0), 0); /* no limit, nothing owed */
    pace_limit(&p, 1000, 0);
    assert_int_equal(pace_wait_ms(&p, 0), 0);
    pace_sent(&p, 101000, 0);
    assert_int_equal(pace_wait_ms(&p, 0), 100001);
    pace_limit(&p, 10000, 50000); /* 50 s earned 50,000; what is left goes ten times as fast */
    assert_int_equal(pace_wait_ms(&p, 50000), 4101);
    pace_limit(&p, 0, 50000);
    assert_int_equal(pace_wait_ms(&p, 50000), 0);
}

static void a_clock_that_goes_back_earns_nothing(void **s)
{
    (void)s;
    struct pace p = {0};
    pace_limit(&p, 1000, 100000);
    pace_sent(&p, 3000, 100000);
    assert_int_equal(pace_wait_ms(&p, 50000), 2001);
    assert_int_equal(pace_wait_ms(&p, 52001), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hour_at_a_limit_is_that_limit),
        cmocka_unit_test(a_big_piece_is_waited_for),
        cmocka_unit_test(idle_time_earns_one_burst_and_no_more),
        cmocka_unit_test(a_change_of_the_limit_counts_at_once),
        cmocka_unit_test(a_clock_that_goes_back_earns_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
