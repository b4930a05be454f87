/* Logs before anybody reads them: framing, batches, and the queues of senders. */
#include "tests/test.h"
#include <errno.h>
#include "sakimorid/collector/collector.h"

struct heard { char text[8][64]; bool cut[8]; size_t n; };

static void on_message(void *arg, struct sm_span m, bool cut)
{
    struct heard *h = arg;

    assert_true(h->n < 8);
    snprintf(h->text[h->n], sizeof h->text[0], "%.*s", (int)(m.n < 60 ? m.n : 60), (const char *)m.p);
    h->cut[h->n++] = cut;
}

static struct heard hear(const char *text, size_t max, struct framer *f)
{
    struct heard h = { 0 };

    framer_init(f, max);
    for (size_t i = 0; text[i]; i++)
        assert_int_equal(framer_feed(f, SM_SPAN(text + i, 1), max, on_message, &h), 0);
    framer_end(f, on_message, &h);
    framer_wipe(f);
    return h;
}

static void both_framings_are_found_out_from_the_first_bytes(void **state)
{
    struct framer f;
    struct heard h = hear("<34>one\r\n<35>two\n\n<36>three", 100, &f);

    assert_int_equal(f.framing, FRAMING_LINES);
    assert_int_equal(h.n, 3);
    assert_string_equal(h.text[0], "<34>one");
    assert_string_equal(h.text[2], "<36>three");
    assert_false(h.cut[2]);
    h = hear("9 <34>1 abc\n10 <35>two\nab", 100, &f);
    assert_int_equal(f.framing, FRAMING_COUNTED);
    assert_int_equal(h.n, 2);
    assert_string_equal(h.text[0], "<34>1 abc");
    assert_string_equal(h.text[1], "<35>two\nab");
    h = hear("2026-11-23 a line that begins with a number\n", 100, &f);
    assert_int_equal(f.framing, FRAMING_LINES);
    assert_string_equal(h.text[0], "2026-11-23 a line that begins with a number");
}

static void counting_that_breaks_down_loses_nothing(void **state)
{
    struct framer f;
    struct heard h = hear("5 <1>ab77x <2>c\n<3>d\n", 100, &f);

    assert_int_equal(h.n, 3);
    assert_string_equal(h.text[0], "<1>ab");
    assert_string_equal(h.text[1], "77x <2>c");
    assert_string_equal(h.text[2], "<3>d");
    assert_int_equal(f.broken, 1);
}

static void a_message_that_is_too_long_is_kept_cut_and_the_next_is_whole(void **state)
{
    struct framer f;
    struct heard h = hear("<1>0123456789012345678901234567890123456789\n<2>b\n", 20, &f);

    assert_int_equal(h.n, 2);
    assert_string_equal(h.text[0], "<1>01234567890123456");
    assert_true(h.cut[0]);
    assert_false(h.cut[1]);
    assert_string_equal(h.text[1], "<2>b");
    assert_int_equal(f.skipped, 23);
    h = hear("43 <1>01234567890123456789012345678901234567895 <2>bc", 20, &f);
    assert_int_equal(h.n, 2);
    assert_true(h.cut[0]);
    assert_string_equal(h.text[1], "<2>bc");
}

static void half_a_counted_message_is_given_as_cut(void **state)
{
    struct framer f;
    struct heard h = hear("50 <1>only so much", 100, &f);

    assert_int_equal(h.n, 1);
    assert_string_equal(h.text[0], "<1>only so much");
    assert_true(h.cut[0]);
}

/* ---- queues ---- */

static struct collector *new_collector(void)
{
    struct collector *k = calloc(1, sizeof *k);

    assert_non_null(k);
    k->last = &k->first;
    return k;
}

static struct sender *sender(struct collector *k, uint8_t last)
{
    uint8_t address[16] = { [10] = 0xff, [11] = 0xff, 192, 0, 2, last };
    struct sender *s = sender_of(k, LOG_UDP, address);

    assert_non_null(s);
    return s;
}

static size_t taken_of(struct collector *k, const char *address, size_t *ret_all)
{
    struct sm_buf b = SM_BUF_INIT(2 << 20);
    struct log_batch batch;
    struct log_run run;
    struct log_record rec;
    size_t n = 0;
    const uint8_t stream[16] = { 7 };

    assert_int_equal(log_batch_begin(&b, stream, 3), 0);
    assert_int_equal(senders_take(k, &b), 0);
    assert_true(b.n <= SM_IPC_BODY_MAX);
    assert_int_equal(log_batch_get(sm_buf_span(&b), &batch), 0);
    assert_int_equal(batch.number, 3);
    *ret_all = 0;
    while (log_run_next(&batch.runs, &run) > 0)
        while (log_record_next(&run.records, &rec) > 0) {
            n += run.address.n == strlen(address) && !memcmp(run.address.p, address, run.address.n);
            ++*ret_all;
        }
    sm_buf_wipe(&b);
    return n;
}

static void a_flood_fills_only_its_own_queue(void **state)
{
    struct collector *k = new_collector();
    struct sender *loud = sender(k, 1), *quiet = sender(k, 2);
    char line[200];
    size_t all;

    memset(line, 'x', sizeof line);
    for (int i = 0; i < 200000; i++)
        (void)sender_put(k, loud, 5, false, SM_SPAN(line, sizeof line)); /* most of it is dropped: counted below */
    assert_true(loud->dropped > 0);
    assert_true(loud->queue.n <= QUEUE_MAX);
    assert_int_equal(loud->received + loud->dropped, 200000);
    for (int i = 0; i < 50; i++)
        assert_true(sender_put(k, quiet, 5, false, SM_SPAN(line, 20)));
    assert_int_equal(quiet->dropped, 0);
    assert_int_equal(taken_of(k, "192.0.2.2", &all), 50);
    assert_true(all > 1000);
    senders_free(k);
    free(k);
}

static void queues_together_are_bounded_however_many_senders_there_are(void **state)
{
    struct collector *k = new_collector();
    char line[1000];

    memset(line, 'x', sizeof line);
    for (unsigned i = 0; i < 3000; i++) {
        uint8_t address[16] = { [10] = 0xff, [11] = 0xff, 10, 0, (uint8_t)(i >> 8), (uint8_t)i };
        struct sender *s = sender_of(k, LOG_UDP, address);
        assert_non_null(s);
        for (int n = 0; n < 100; n++)
            (void)sender_put(k, s, 5, false, SM_SPAN(line, sizeof line));
    }
    assert_true(k->queued <= QUEUED_MAX + (size_t)3000 * QUEUE_MIN);
    assert_int_equal(k->senders_n, 3000);
    senders_free(k);
    free(k);
}

static void a_record_of_the_greatest_length_fits_into_a_message(void **state)
{
    struct collector *k = new_collector();
    struct sender *s = sender(k, 9);
    char *line = calloc(1, LOG_LINE_MAX);
    size_t all;

    assert_non_null(line);
    assert_true(sender_put(k, s, 5, true, SM_SPAN("a", 1)));
    assert_true(sender_put(k, s, 5, true, SM_SPAN(line, LOG_LINE_MAX)));
    assert_int_equal(taken_of(k, "192.0.2.9", &all), 1);
    assert_int_equal(taken_of(k, "192.0.2.9", &all), 1);
    assert_int_equal(k->queued, 0);
    free(line);
    senders_free(k);
    free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_framings_are_found_out_from_the_first_bytes),
        cmocka_unit_test(counting_that_breaks_down_loses_nothing),
        cmocka_unit_test(a_message_that_is_too_long_is_kept_cut_and_the_next_is_whole),
        cmocka_unit_test(half_a_counted_message_is_given_as_cut),
        cmocka_unit_test(a_flood_fills_only_its_own_queue),
        cmocka_unit_test(queues_together_are_bounded_however_many_senders_there_are),
        cmocka_unit_test(a_record_of_the_greatest_length_fits_into_a_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
