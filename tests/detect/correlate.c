/* Correlations: examples of the specification, and what bounds them. */
#include "detect/kit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "detect/correlate/correlate.h"

struct track {
    struct kit k;
    struct correlate *c;
    size_t n;
    uint64_t ref;
    char title[64][40];
    double value[64];
    size_t refs[64];
};

/* The rule of single events that most tests count: name `one`, and others called by their own `act`. */
#define BASE(name)                                                                                                     \
    "title: " name "\nname: " name "\nlogsource: {product: test}\ndetection: {s: {act: " name "}, condition: "         \
                                                                                              "s}\n---\n"

static void open_track(struct track *t, const char *text)
{
    *t = (struct track){ 0 };
    kit_open(&t->k);
    assert_true(kit_add(&t->k, text) > 0);
    kit_compile(&t->k);
    if (t->k.faults)
        print_message("%u: %s\n", t->k.fault.line, t->k.fault.why);
    assert_int_equal(t->k.faults, 0);
    assert_ok(correlate_new(t->k.set, t->k.names, &t->c));
}

static void close_track(struct track *t)
{
    correlate_free(t->c);
    kit_close(&t->k);
}

static void on_correlation(void *ctx, const struct correlate_hit *h)
{
    struct track *t = ctx;

    assert_true(t->n < 64);
    snprintf(t->title[t->n], 40, "%s", h->rule->title);
    t->refs[t->n] = h->ref_n;
    t->value[t->n++] = h->value;
}

/* An event `act` at s, with user, host and v; returns how many correlations held. */
static size_t at(struct track *t, int64_t s, const char *act, const char *user, const char *host, const char *v)
{
    size_t before = t->n;

    kit_event(&t->k, "act", act, "User", user, "Computer", host, "v", v, NULL);
    t->k.e.time.s = 1000000 + s;
    kit_match(&t->k);
    t->ref++;
    for (size_t i = 0; i < t->k.hits; i++)
        assert_true(correlate_add(t->c, t->k.hit[i], &t->k.e, t->ref, on_correlation, t) >= 0);
    return t->n - before;
}

static void events_are_counted_by_group_within_the_timespan(void **state)
{
    struct track t;

    open_track(&t, BASE("one") "title: many\ncorrelation: {type: event_count, rules: [one], group-by: [Computer], "
                               "timespan: 1h, condition: {gte: 3}}\n");
    assert_true(sigma_find(t.k.set, "one")->correlated);
    assert_int_equal(at(&t, 0, "one", "u", "A", ""), 0);
    assert_int_equal(at(&t, 10, "one", "u", "B", ""), 0);
    assert_int_equal(at(&t, 20, "one", "u", "A", ""), 0);
    assert_int_equal(at(&t, 3601, "one", "u", "A", ""), 0); /* the first is too old */
    assert_int_equal(at(&t, 3602, "one", "u", "a", ""), 1); /* letters of either case are one group */
    assert_int_equal(t.value[0], 3);
    assert_int_equal(t.refs[0], 3);
    assert_int_equal(at(&t, 3700, "one", "u", "A", ""), 0); /* the same burst */
    assert_int_equal(at(&t, 9000, "one", "u", "A", ""), 0);
    assert_int_equal(at(&t, 9001, "one", "u", "A", ""), 0);
    assert_int_equal(at(&t, 9002, "one", "u", "A", ""), 1); /* a new one */
    close_track(&t);
}

static void different_values_are_counted(void **state)
{
    struct track t;
    char user[16];

    open_track(&t, BASE("one") "title: users\ncorrelation: {type: value_count, rules: [one], group-by: [Computer], "
                               "timespan: 1d, condition: {field: User, gte: 20}}\n");
    for (int i = 0; i < 19 * 5; i++) {
        snprintf(user, sizeof user, "user%d", i % 19);
        assert_int_equal(at(&t, i, "one", user, "A", ""), 0);
    }
    assert_int_equal(at(&t, 500, "one", "USER3", "A", ""), 0);
    assert_int_equal(at(&t, 501, "one", "another", "B", ""), 0);
    assert_int_equal(at(&t, 502, "one", "another", "A", ""), 1);
    assert_int_equal(t.value[0], 20);
    close_track(&t);
}

static void rules_near_each_other_in_any_order(void **state)
{
    struct track t;

    open_track(&t, BASE("a") BASE("b") BASE("c") "title: near\ncorrelation: {type: temporal, rules: [a, b, c], "
                                                 "group-by: [Computer, User], timespan: 5m}\n---\n"
                                                 "title: two\ncorrelation: {type: temporal, rules: [a, b, c], "
                                                 "group-by: [Computer, User], timespan: 5m, condition: {gte: 2}}\n");
    assert_int_equal(at(&t, 0, "c", "u", "A", ""), 0);
    assert_int_equal(at(&t, 60, "a", "u", "A", ""), 1);
    assert_string_equal(t.title[0], "two");
    assert_int_equal(at(&t, 61, "b", "other", "A", ""), 0);
    assert_int_equal(at(&t, 301, "b", "u", "A", ""), 0); /* c is too old */
    assert_int_equal(at(&t, 302, "c", "u", "A", ""), 1);
    assert_string_equal(t.title[1], "near");
    close_track(&t);
}

static void order_matters_where_it_is_asked_for(void **state)
{
    struct track t;

    open_track(&t, BASE("a") BASE("b") "title: order\ncorrelation: {type: temporal_ordered, rules: [a, b], group-by: "
                                       "[User], timespan: 1m}\n");
    assert_int_equal(at(&t, 0, "b", "u", "A", ""), 0);
    assert_int_equal(at(&t, 1, "a", "u", "A", ""), 0);
    assert_int_equal(at(&t, 2, "b", "u", "A", ""), 1);
    assert_int_equal(at(&t, 200, "b", "v", "A", ""), 0);
    assert_int_equal(at(&t, 199, "a", "v", "A", ""), 1); /* it came late and stood before */
    close_track(&t);
}

/* Version 2.2 of the specification: the condition of temporal correlations as an expression. */
static void a_condition_says_which_rules_have_to_be_near(void **state)
{
    struct track t;

    open_track(&t, BASE("a") BASE("b") BASE("c") "title: some\ncorrelation: {type: temporal, rules: [a, b, c], group-by: [User], "
                                                 "timespan: 1m, condition: a AND (b or c)}\n");
    assert_int_equal(at(&t, 0, "b", "u", "A", ""), 0);
    assert_int_equal(at(&t, 1, "c", "u", "A", ""), 0);
    assert_int_equal(at(&t, 2, "a", "v", "A", ""), 0);
    assert_int_equal(at(&t, 3, "a", "u", "A", ""), 1);
    close_track(&t);
    /* Rules that only the condition names; in order. */
    open_track(&t, BASE("a") BASE("b") "title: order\ncorrelation: {type: temporal_ordered, group-by: [User], timespan: 1m, "
                                       "condition: a and b}\n");
    assert_int_equal(at(&t, 0, "b", "u", "A", ""), 0);
    assert_int_equal(at(&t, 1, "a", "u", "A", ""), 0);
    assert_int_equal(at(&t, 2, "b", "u", "A", ""), 1);
    close_track(&t);
}

static void what_must_not_come_is_waited_for(void **state)
{
    struct track t;
    struct event_time later = { .s = 1000000 + 1000 };

    open_track(&t, BASE("a") BASE("b") "title: alone\ncorrelation: {type: temporal, rules: [a, b], group-by: [User], "
                                       "timespan: 1m, condition: a and not b}\n");
    assert_int_equal(at(&t, 0, "a", "u", "A", ""), 0);
    assert_int_equal(at(&t, 0, "a", "v", "A", ""), 0);
    assert_int_equal(at(&t, 30, "b", "v", "A", ""), 0);
    assert_int_equal(correlate_tick(t.c, later, on_correlation, &t), 1);
    close_track(&t);
}

/* The example of the specification, whole. */
static void failed_sign_ins_followed_by_one_that_works(void **state)
{
    static const char text[] =
        "title: Correlation\nid: b180ead8-d58f-40b2-ae54-c8940995b9b6\ncorrelation:\n    type: temporal_ordered\n    "
        "rules: [multiple_failed_login, successful_login]\n"
        "    group-by: [User]\n    timespan: 10m\nlevel: high\n---\n"
        "title: Multiple failed logons\nid: a8418a5a-5fc4-46b5-b23b-6c73beb19d41\nname: "
        "multiple_failed_login\ncorrelation:\n    type: event_count\n"
        "    rules: [failed_login]\n    group-by: [User]\n    timespan: 10m\n    condition: {gte: 10}\n---\n"
        "title: failed\nname: failed_login\nlogsource: {product: test}\ndetection: {selection: {act: [529, 4625]}, "
        "condition: selection}\n---\n"
        "title: ok\nname: successful_login\nlogsource: {product: test}\ndetection: {selection: {act: [528, 4624]}, "
        "condition: selection}\n";
    struct track t;

    open_track(&t, text);
    for (int i = 0; i < 9; i++)
        assert_int_equal(at(&t, i, "4625", "hoshu", "A", ""), 0);
    assert_int_equal(at(&t, 20, "4624", "hoshu", "A", ""), 0);
    assert_int_equal(at(&t, 21, "4625", "hoshu", "A", ""), 1);
    assert_string_equal(t.title[0], "Multiple failed logons");
    assert_int_equal(at(&t, 22, "4624", "jimu", "A", ""), 0);
    assert_int_equal(at(&t, 23, "4624", "hoshu", "A", ""), 1);
    assert_string_equal(t.title[1], "Correlation");
    /* A long attack is told once, and the success at its end still completes the outer rule. */
    for (int i = 0; i < 2000; i += 30)
        (void)at(&t, 10000 + i, "4625", "root", "A", "");
    assert_int_equal(t.n, 3);
    assert_int_equal(at(&t, 12010, "4624", "root", "A", ""), 1);
    close_track(&t);
}

static void fields_of_different_names_are_one_by_aliases(void **state)
{
    static const char text[] =
        "title: e\nname: internal_error\nlogsource: {product: test}\ndetection: {s: {act: e}, condition: s}\n---\n"
        "title: c\nname: new_connection\nlogsource: {product: test}\ndetection: {s: {act: c}, condition: s}\n---\n"
        "title: both\ncorrelation:\n    type: temporal\n    rules: [internal_error, new_connection]\n    group-by: "
        "[internal_ip]\n    timespan: 10s\n"
        "    aliases:\n        internal_ip: {internal_error: User, new_connection: Computer}\n";
    struct track t;

    open_track(&t, text);
    assert_int_equal(at(&t, 0, "e", "10.0.0.1", "10.0.0.2", ""), 0);
    assert_int_equal(at(&t, 1, "c", "10.0.0.1", "10.0.0.3", ""), 0);
    assert_int_equal(at(&t, 2, "c", "10.0.0.9", "10.0.0.1", ""), 1);
    close_track(&t);
}

static void numbers_are_added_up_and_averaged(void **state)
{
    struct track t;

    open_track(&t, BASE("one") "title: sum\ncorrelation: {type: value_sum, rules: [one], group-by: [User], timespan: "
                               "1h, condition: {field: v, gt: 1000000}}\n---\n"
                               "title: avg\ncorrelation: {type: value_avg, rules: [one], group-by: [Computer], "
                               "timespan: 1h, condition: {field: v, gt: 500000}}\n---\n"
                               "title: median\ncorrelation: {type: value_median, rules: [one], group-by: [Computer], "
                               "timespan: 1h, condition: {field: v, gt: 400000}}\n");
    assert_int_equal(at(&t, 0, "one", "u", "A", "400000"), 0);
    assert_int_equal(at(&t, 1, "one", "u", "A", "not a number"), 0);
    assert_int_equal(at(&t, 2, "one", "u", "A", "600000"), 0);
    assert_int_equal(at(&t, 3, "one", "u", "A", "600001"), 3);
    close_track(&t);
}

static void a_value_that_is_seldom_is_seen(void **state)
{
    struct track t;

    open_track(&t, BASE("one") "title: rare\ncorrelation: {type: value_percentile, rules: [one], group-by: [Computer], "
                               "timespan: 1d, condition: {field: v, lte: 1}}\n");
    for (int i = 0; i < 200; i++)
        assert_int_equal(at(&t, i, "one", "u", "A", "svchost.exe"), 0);
    assert_int_equal(at(&t, 300, "one", "u", "A", "odd.exe"), 1);
    assert_int_equal(at(&t, 301, "one", "u", "A", "odder.exe"), 1);
    assert_int_equal(at(&t, 302, "one", "u", "A", "svchost.exe"), 0);
    close_track(&t);
}

static void an_upper_bound_is_decided_when_its_window_has_ended(void **state)
{
    struct track t;

    open_track(&t, BASE("one") "title: few\ncorrelation: {type: event_count, rules: [one], group-by: [Computer], "
                               "timespan: 10m, condition: {lt: 3}}\n");
    assert_int_equal(at(&t, 0, "one", "u", "A", ""), 0);
    assert_int_equal(at(&t, 1, "one", "u", "A", ""), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(at(&t, i, "one", "u", "B", ""), 0);
    assert_int_equal(correlate_tick(t.c, (struct event_time){ .s = 1000000 + 700 }, on_correlation, &t), 0);
    assert_int_equal(correlate_tick(t.c, (struct event_time){ .s = 1000000 + 1000 }, on_correlation, &t), 1);
    assert_int_equal(t.value[0], 2);
    assert_int_equal(correlate_tick(t.c, (struct event_time){ .s = 1000000 + 9000 }, on_correlation, &t), 0);
    close_track(&t);
}

static void a_hundred_thousand_groups_and_events_are_bounded(void **state)
{
    struct track t;
    struct correlate_counts c;
    char name[24];

    open_track(&t, BASE("one") "title: many\ncorrelation: {type: event_count, rules: [one], group-by: [User], "
                               "timespan: 30d, condition: {gte: 50000}}\n");
    for (int i = 0; i < CORRELATE_GROUPS_MAX + 5000; i++) {
        snprintf(name, sizeof name, "user%d", i);
        (void)at(&t, i, "one", name, "A", "");
    }
    correlate_counts(t.c, &c);
    assert_int_equal(c.groups, CORRELATE_GROUPS_MAX);
    assert_int_equal(c.evicted, 5000);
    assert_true(c.bytes <= CORRELATE_BYTES_MAX);
    /* More events than a group keeps moments: they are still counted. */
    size_t held = 0;
    for (int i = 0; i < 50000; i++)
        held += at(&t, 100000 + i, "one", "busy", "A", "");
    assert_int_equal(held, 1);
    assert_int_equal(t.value[0], 50000);
    assert_int_equal(correlate_tick(t.c, (struct event_time){ .s = 1000000 + 100 * 86400 }, on_correlation, &t), 0);
    correlate_counts(t.c, &c);
    assert_int_equal(c.groups, 0);
    assert_int_equal(c.bytes, 0);
    close_track(&t);
}

static void a_clock_that_is_fast_does_not_make_others_old(void **state)
{
    struct track t;

    open_track(&t, BASE("one") "title: many\ncorrelation: {type: event_count, rules: [one], group-by: [Computer], "
                               "timespan: 1m, condition: {gte: 2}}\n");
    kit_event(&t.k, "act", "one", "Computer", "A", NULL);
    t.k.e.time.s = 99999999999;
    t.k.e.seen.s = 1000005;
    kit_match(&t.k);
    assert_int_equal(correlate_add(t.c, t.k.hit[0], &t.k.e, 1, on_correlation, &t), 0);
    assert_int_equal(at(&t, 6, "one", "u", "B", ""), 0);
    assert_int_equal(at(&t, 7, "one", "u", "B", ""), 1);
    assert_int_equal(at(&t, 8, "one", "u", "A", ""), 1);
    close_track(&t);
}

/* `generate`: without it the rules of a correlation are no signals; of one that is switched off they are, as if it were not there. */
static void a_correlation_that_is_off_keeps_no_rule_silent(void **state)
{
    static const char many[] = "title: many\nname: many\ncorrelation: {type: event_count, rules: [one], timespan: 1h, condition: {gte: 3}}\n---\n";
    static const char chain[] = "title: chain\nname: chain\ncorrelation: {type: event_count, rules: [many], timespan: 1h, condition: {gte: 2}}\n---\n";
    static const char open[] =
        "title: open\nname: open\ncorrelation: {type: event_count, rules: [two], timespan: 1h, generate: true, condition: {gte: 3}}\n";
    const struct sigma_rule *found[2];
    struct track t;
    char text[2000];

    snprintf(text, sizeof text, "%s%s%s%s%s", BASE("one"), BASE("two"), many, chain, open);
    open_track(&t, text);
    const struct sigma_rule *one = sigma_find(t.k.set, "one"), *two = sigma_find(t.k.set, "two"), *more = sigma_find(t.k.set, "many");
    assert_true(one->correlated && more->correlated && !two->correlated);
    assert_ok(sigma_switch(t.k.set, "chain", false));
    assert_true(one->correlated && !more->correlated);
    assert_ok(sigma_switch(t.k.set, "many", false));
    assert_false(one->correlated);
    assert_ok(sigma_switch(t.k.set, "many", true));
    assert_true(one->correlated);
    assert_int_equal(sigma_feeds(t.k.set, one, found, 2), 1);
    assert_ptr_equal(found[0], more);
    assert_int_equal(sigma_refers(t.k.set, more, found, 2), 1);
    assert_ptr_equal(found[0], one);
    assert_int_equal(sigma_refers(t.k.set, one, found, 2), 0);
    close_track(&t);
}

static void correlations_that_cannot_be_are_named(void **state)
{
    static const struct {
        const char *text, *why;
    } row[] = {
        { "{type: counting, rules: [one], timespan: 1h, condition: {gte: 1}}", "no type" },
        { "{type: event_count, rules: [one], timespan: 1h}", "is needed" },
        { "{type: event_count, rules: [one], timespan: 1w, condition: {gte: 1}}", "timespan" },
        { "{type: event_count, rules: [], timespan: 1h, condition: {gte: 1}}", "no rules" },
        { "{type: value_count, rules: [one], timespan: 1h, condition: {gte: 1}}", "a field is needed" },
        { "{type: event_count, rules: [one], timespan: 1h, condition: {gte: many}}", "needs a number" },
        { "{type: event_count, rules: [gone], timespan: 1h, condition: {gte: 1}}", "is not there" },
        { "{type: temporal, rules: [one], timespan: 1h, condition: not one}", "nothing happens" },
        { "{type: temporal, rules: [one], timespan: 1h, condition: one and two}", "\"two\"" },
        { "{type: event_count, rules: [one], timespan: 1h, condition: one}", "a map" },
        { "{type: event_count, rules: [self], timespan: 1h, condition: {gte: 1}}\nname: self", "circle" },
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        char text[1024];
        kit_open(&k);
        snprintf(text, sizeof text, BASE("one") "title: c\ncorrelation: %s\n", row[i].text);
        (void)kit_add(&k, text);
        kit_compile(&k);
        assert_int_equal(k.faults, 1);
        if (!strstr(k.fault.why, row[i].why))
            print_message("%s: %s\n", row[i].text, k.fault.why);
        assert_non_null(strstr(k.fault.why, row[i].why));
        struct correlate *c = NULL;
        assert_ok(correlate_new(k.set, k.names, &c));
        correlate_free(c);
        kit_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_counted_by_group_within_the_timespan),
        cmocka_unit_test(different_values_are_counted),
        cmocka_unit_test(rules_near_each_other_in_any_order),
        cmocka_unit_test(order_matters_where_it_is_asked_for),
        cmocka_unit_test(a_condition_says_which_rules_have_to_be_near),
        cmocka_unit_test(what_must_not_come_is_waited_for),
        cmocka_unit_test(failed_sign_ins_followed_by_one_that_works),
        cmocka_unit_test(fields_of_different_names_are_one_by_aliases),
        cmocka_unit_test(numbers_are_added_up_and_averaged),
        cmocka_unit_test(a_value_that_is_seldom_is_seen),
        cmocka_unit_test(an_upper_bound_is_decided_when_its_window_has_ended),
        cmocka_unit_test(a_hundred_thousand_groups_and_events_are_bounded),
        cmocka_unit_test(a_clock_that_is_fast_does_not_make_others_old),
        cmocka_unit_test(a_correlation_that_is_off_keeps_no_rule_silent),
        cmocka_unit_test(correlations_that_cannot_be_are_named),
    };

    return cmocka_run_group_tests_name("detect_correlate", tests, NULL, NULL);
}
