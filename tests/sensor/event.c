#include "../test.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/json.h"
#include "sensor/event.h"
#include "sensor/fold.h"

static json_t *parsed(struct sm_span line)
{
    json_t *o = NULL;
    assert_ok(sm_json_parse(line, EVENT_MAX + 64, &o, NULL));
    assert_null(memchr(line.p, '\n', line.n));
    return o;
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void a_start_of_a_program_has_the_names_of_the_field(void **state)
{
    (void)state;
    static const struct proctree_row up = {.pid = 7, .exe = "/usr/bin/bash", .line = "-bash"};
    static const struct proctree_row row = {
        .pid = 9, .parent = 7, .tree = 5, .group = 4, .exe = "/usr/bin/ls", .line = "ls \"a\\b\"\n\tあ"};
    struct sm_buf b = {0};
    assert_ok(sensor_event_process(&b, (struct sm_time){1764000000, 123456789}, &row, &up, "花子", "/home"));
    json_t *o = parsed(sm_buf_span(&b));
    assert_string_equal(text(o, "at"), "2025-11-24T16:00:00.123Z");
    assert_string_equal(text(o, "category"), "process_creation");
    assert_string_equal(text(o, "Image"), row.exe);
    assert_string_equal(text(o, "CommandLine"), row.line);
    assert_string_equal(text(o, "ParentImage"), up.exe);
    assert_string_equal(text(o, "ParentCommandLine"), up.line);
    assert_string_equal(text(o, "User"), "花子");
    assert_string_equal(text(o, "CurrentDirectory"), "/home");
    assert_int_equal(json_integer_value(json_object_get(o, "ProcessId")), 9);
    assert_int_equal(json_integer_value(json_object_get(o, "ParentProcessId")), 7);
    assert_int_equal(json_integer_value(json_object_get(o, "Tree")), 5);
    json_decref(o);
    sm_buf_wipe(&b);
}

static void a_connection_says_which_side_began_it(void **state)
{
    (void)state;
    struct sm_buf b = {0};
    struct sensor_connection c = {true, "192.0.2.1", "198.51.100.7", 0, 443};
    assert_ok(sensor_event_connection(&b, (struct sm_time){0}, NULL, "", &c));
    json_t *o = parsed(sm_buf_span(&b));
    assert_string_equal(text(o, "DestinationIp"), "198.51.100.7");
    assert_int_equal(json_integer_value(json_object_get(o, "DestinationPort")), 443);
    assert_true(json_is_true(json_object_get(o, "Initiated")));
    assert_null(json_object_get(o, "SourcePort"));
    assert_null(json_object_get(o, "Image"));
    json_decref(o);
    sm_buf_clear(&b);
    c = (struct sensor_connection){false, "192.0.2.1", "198.51.100.7", 22, 50000};
    assert_ok(sensor_event_connection(&b, (struct sm_time){0}, NULL, "", &c));
    o = parsed(sm_buf_span(&b));
    assert_string_equal(text(o, "SourceIp"), "198.51.100.7");
    assert_int_equal(json_integer_value(json_object_get(o, "DestinationPort")), 22);
    assert_true(json_is_false(json_object_get(o, "Initiated")));
    json_decref(o);
    sm_buf_wipe(&b);
}

static void any_bytes_are_text_and_never_too_long(void **state)
{
    (void)state;
    struct proctree_row row = {.pid = 1}, up = {.pid = 2};
    struct sm_buf b = {0};
    uint64_t seed = 42;
    for (int i = 0; i < 300; i++) {
        for (size_t k = 0; k < sizeof row.line - 1; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            row.line[k] = (char)(seed >> 56 | 1);
            up.line[k] = (char)(seed >> 48 | 1);
            row.exe[k / 2] = (char)(seed >> 40 | 1);
        }
        assert_ok(sensor_event_process(&b, (struct sm_time){0}, &row, &up, "root", ""));
        json_decref(parsed(sm_buf_span(&b)));
        sm_buf_clear(&b);
    }
    memset(row.line, '\xff', sizeof row.line - 1);
    memset(up.line, '\x01', sizeof up.line - 1);
    memset(row.exe, '\x01', sizeof row.exe - 1);
    memset(up.exe, '\xff', sizeof up.exe - 1);
    int r = sensor_event_process(&b, (struct sm_time){0}, &row, &up, "root", row.exe);
    assert_true(r == 0 || (r == -SM_ELIMIT && b.n == 0));
    sm_buf_clear(&b);
    row = (struct proctree_row){.line = "a\xff\xc3\xa9\xed\xa0\x80z"};
    assert_ok(sensor_event_process(&b, (struct sm_time){0}, &row, NULL, "", ""));
    json_t *o = parsed(sm_buf_span(&b));
    assert_string_equal(text(o, "CommandLine"), "a\\xFFé\\xED\\xA0\\x80z");
    json_decref(o);
    sm_buf_wipe(&b);
}

/* ---- floods ---- */

struct got {
    unsigned n, overflow;
    int64_t count, dropped, lost;
};
static void take(void *ctx, struct sm_span line)
{
    struct got *g = ctx;
    json_t *o = parsed(line);
    const json_t *count = json_object_get(o, "count");
    g->n++;
    g->count += count ? json_integer_value(count) : 1;
    if (strcmp(text(o, "action"), "overflow") == 0) {
        g->overflow++;
        g->dropped += json_integer_value(json_object_get(o, "Dropped"));
        g->lost += json_integer_value(json_object_get(o, "Lost"));
    }
    json_decref(o);
}

static void put(struct fold *f, uint64_t key, unsigned told, int64_t now)
{
    enum fold_say say = fold_ask(f, key, told, 10000, now);
    if (say != FOLD_COUNTED)
        fold_put(f, key, say, SM_SPAN_STR("{\"x\":1}"), now);
}

static void the_same_again_is_told_once_with_its_number(void **state)
{
    (void)state;
    struct got g = {0};
    struct fold *f;
    assert_ok(fold_new(take, &g, &f));
    for (int i = 0; i < 1000; i++)
        put(f, 77, 1, 100 + i);
    assert_int_equal(g.n, 1);
    fold_tick(f, 5000, (struct sm_time){0});
    assert_int_equal(g.n, 1);
    fold_tick(f, 10100, (struct sm_time){0});
    assert_int_equal(g.n, 2);
    assert_int_equal(g.count, 1000);
    fold_tick(f, 30000, (struct sm_time){0});
    assert_int_equal(g.n, 2);
    put(f, 77, 1, 40000);
    put(f, 77, 1, 41000);
    put(f, 77, 1, 51000); /* a new window closes the one before */
    assert_int_equal(g.n, 5);
    assert_int_equal(g.count, 1003);
    fold_free(f);
}

static void nothing_is_lost_when_more_things_happen_than_there_are_rows(void **state)
{
    (void)state;
    struct got g = {0};
    struct fold *f;
    assert_ok(fold_new(take, &g, &f));
    unsigned all = 0;
    for (uint64_t key = 1; key <= 20000; key++) {
        int64_t now = (int64_t)key * 100;
        put(f, key * 2654435761u, 1, now);
        put(f, key * 2654435761u, 1, now);
        all += 2;
        if (key % 10 == 0)
            fold_tick(f, now, (struct sm_time){0});
    }
    fold_tick(f, 10000000, (struct sm_time){0});
    assert_int_equal(g.count, all);
    assert_int_equal(fold_dropped(f), 0);
    fold_free(f);
}

static void what_is_beyond_the_pace_is_said(void **state)
{
    (void)state;
    struct got g = {0};
    struct fold *f;
    assert_ok(fold_new(take, &g, &f));
    for (uint64_t key = 1; key <= FOLD_BURST + 500; key++)
        put(f, key, 1, 1000);
    assert_int_equal(g.n, FOLD_BURST);
    assert_int_equal(fold_dropped(f), 500);
    fold_lost(f, 7);
    fold_tick(f, 1000, (struct sm_time){0});
    assert_int_equal(g.overflow, 1);
    assert_int_equal(g.dropped, 500);
    assert_int_equal(g.lost, 7);
    fold_tick(f, 2000, (struct sm_time){0});
    assert_int_equal(g.overflow, 1);
    put(f, 999999, 1, 2000); /* a second later there is room again */
    assert_int_equal(g.n, FOLD_BURST + 2);
    fold_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_of_a_program_has_the_names_of_the_field),
        cmocka_unit_test(a_connection_says_which_side_began_it),
        cmocka_unit_test(any_bytes_are_text_and_never_too_long),
        cmocka_unit_test(the_same_again_is_told_once_with_its_number),
        cmocka_unit_test(nothing_is_lost_when_more_things_happen_than_there_are_rows),
        cmocka_unit_test(what_is_beyond_the_pace_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
