#include "../test.h"
#include "kit.h"

#include <stdlib.h>

enum { EVENTS = 600 };

static void filled(struct kit *k, bool closed)
{
    kit_open(k, NULL);
    kit_fill(k, 0, EVENTS);
    if (closed)
        assert_ok(evidence_flush(k->j));
}

struct got { struct kit *k; unsigned next; bool newest; uint64_t ids[EVENTS]; size_t n; };

static int same_as_sample(void *arg, const struct evsearch_hit *h)
{
    struct got *g = arg;
    struct kit *k = g->k;
    const struct event *e = h->event;
    unsigned n = g->newest ? --g->next : g->next++;

    kit_sample(k, n);
    assert_int_equal(h->id, n + 1);
    assert_int_equal(h->klass, n % 2);
    assert_span_is(h->rules, n % 10 ? "" : "rule-a rule-b");
    assert_true(sm_span_eq(e->raw, k->e.raw));
    assert_true(sm_span_eq(e->host, k->e.host));
    assert_int_equal(e->time.s, k->e.time.s);
    assert_int_equal(e->seen.ns, 500);
    assert_int_equal(e->source, n % 4);
    assert_int_equal(e->severity, EVENT_NO_SEVERITY);
    assert_int_equal(e->n, k->e.n);
    for (size_t i = 0; i < e->n; i++) {
        assert_true(sm_span_eq(event_value(&e->fields[i]), event_value(&k->e.fields[i])));
        assert_int_equal(e->fields[i].type, k->e.fields[i].type);
    }
    g->n++;
    return 0;
}

static void read_all(struct kit *k, bool oldest)
{
    struct evreader *r;
    struct evsearch s = { .limit = 37, .oldest_first = oldest };
    struct got g = { .k = k, .newest = !oldest, .next = oldest ? 0 : EVENTS };
    int n;

    assert_ok(evreader_open(k->dir, &r));
    while ((n = evsearch_run(r, &s, same_as_sample, &g, &s.after, NULL)) > 0)
        assert_in_range(n, 1, 37);
    assert_int_equal(n, 0);
    assert_int_equal(g.n, EVENTS);
    evreader_free(r);
}

static void every_event_comes_back_as_it_was_page_by_page_in_both_orders(void **state)
{
    struct kit *k = *state;

    k->conf = (struct evidence_conf){ .block_events = 50, .segment_bytes = 20000 };
    filled(k, true);
    read_all(k, true);
    read_all(k, false);
}

static void events_of_the_open_block_are_found_before_it_is_closed(void **state)
{
    struct kit *k = *state;

    filled(k, false);
    read_all(k, true);
    assert_int_equal(kit_count(k->dir, "患者"), EVENTS / 3);
}

static void a_reader_sees_what_came_since_and_each_event_once_when_its_block_is_closed(void **state)
{
    struct kit *k = *state;
    struct evreader *r;
    struct evsearch s = { 0 };
    uint64_t n;

    k->conf.block_events = 40;
    kit_open(k, NULL);
    assert_ok(evreader_open(k->dir, &r));
    for (unsigned i = 0; i < 300; i += 7) {
        kit_fill(k, i, i + 7);
        assert_ok(evreader_refresh(r));
        assert_ok(evsearch_count(r, &s, &n, NULL));
        assert_int_equal(n, i + 7);
    }
    evreader_free(r);
}

static const struct { const char *query; unsigned n; } cases[] = {
    { "", 600 }, { "*", 600 }, { "患者", 200 }, { "カルテ", 200 }, { "カルテを", 200 }, { "ｶﾙﾃ", 200 }, { "raw:*ｶﾙﾃを*", 200 }, { "-ｶﾙﾃ", 400 }, { "診療", 0 }, { "者患", 0 },
    { "password", 400 }, { "PASSWORD", 400 }, { "passwor", 0 }, { "passwor*", 400 }, { "*assword", 400 },
    { "pass?ord", 400 },
    { "ｐａｓｓｗｏｒｄ", 400 }, { "\"Failed password\"", 400 }, { "\"password Failed\"", 0 }, { "患者 AND カルテ", 200 },
    { "患者 password", 0 }, { "患者 OR password", 600 }, { "患者 または password", 600 }, { "NOT 患者", 400 }, { "-患者", 400 },
    { "user:user3", 36 }, { "user=user3", 36 }, { "user:user", 0 }, { "user:user1*", 36 + 7 * 35 }, { "USER:USER3",
    36 },
    { "src_ip:198.51.0.7", 1 }, { "src_ip=198.51.0.7", 1 }, { "src_ip:198.51.0.0/24", 200 }, { "src_ip:198.51.2.0/30",
    3 },
    { "198.51.0.7", 1 }, { "198.51.0", 200 }, { "51.0.7", 1 }, { "98.51.0.7", 0 }, { "\"198.51.0.8 port\"", 1 },
    { "src_ip:[198.51.0.5 TO 198.51.0.7]", 3 }, { "src_ip:{198.51.0.5 TO 198.51.0.7}", 1 }, { "number>6", 150 },
    { "number:>=6", 225 }, { "number:[2 TO 3]", 150 }, { "number<2", 75 }, { "user:(user3 OR user4)", 72 },
    { "user:(user3 user4)", 0 }, { "(患者 OR port) AND user:user3", 36 }, { "host:srv1", 600 }, { "@host=srv1", 600 },
    { "srv1", 600 }, { "srv", 0 }, { "@rule:rule-b", 60 }, { "rule-a", 60 }, { "user:*", 600 }, { "nosuch:*", 0 },
    { "NOT nosuch:x", 600 }, { "@source:2", 150 }, { "@id:[10 TO 19]", 10 }, { "raw:\"<38>Nov\"", 600 },
    { "\"<38>Nov\"", 600 },
    { "raw:*from*port*", 400 }, { "sshd", 400 }, { "800", 80 }, { "\"srv1 sshd\"", 400 }, { "カルテをuser3が開いた", 12 },
    { "患者番号3の", 1 }, { "@format:syslog", 600 }, { "@time>=2026-11-18", 600 }, { "@time<2026-11-18", 0 },
    { "ＵＳＥＲ：user3　患者", 12 }, { "患者　ＯＲ　ｐａｓｓｗｏｒｄ", 600 }, { "ｎｕｍｂｅｒ：［２　ＴＯ　３］", 150 }, { "ＮＯＴ　患者", 400 },
    { "user：user3　患者", 12 }, { "「カルテを」", 200 }, { "\\*", 0 }, { "port user3 -src_ip:198.51.0.0/24", 16 },
};

static void queries_find_what_they_say(void **state)
{
    struct kit *k = *state;

    k->conf = (struct evidence_conf){ .block_events = 64, .segment_bytes = 20000 };
    filled(k, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t n = kit_count(k->dir, cases[i].query);
        if (n != cases[i].n)
            fail_msg("%s finds %llu, not %u", cases[i].query, (unsigned long long)n, cases[i].n);
    }
}

static const struct { const char *query; size_t at; } faults[] = {
    { "(a", 2 }, { "a)", 1 }, { "\"abc", 0 }, { "a AND", 5 }, { "user:", 5 }, { "number:[1 5]", 10 },
    { "number:[1 TO 5", 14 },
    { "@time:[x TO y]", 7 }, { "NOT", 3 }, { "患者 (", 4 }, { "user:(", 6 },
};

static void what_is_no_query_is_told_with_its_place(void **state)
{
    struct evquery *q;

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct evquery_error why = { 0 };
        int r = evquery_parse(SM_SPAN_STR(faults[i].query), 0, &q, &why);
        if (r != -SM_EINVAL || !why.ja[0] || !why.en[0] || why.at_char != faults[i].at)
            fail_msg("%s: %d at %zu: %s", faults[i].query, r, why.at_char, why.en);
    }
}

static void blocks_that_cannot_match_are_not_read(void **state)
{
    struct kit *k = *state;
    struct evsearch s = { 0 };
    struct evsearch_stats stats;
    struct evquery *q;
    struct evreader *r;
    uint64_t n;

    k->conf.block_events = 50;
    filled(k, true);
    assert_ok(evquery_parse(SM_SPAN_STR("src_ip=198.51.0.7"), 0, &q, NULL));
    s.query = q;
    assert_ok(evreader_open(k->dir, &r));
    assert_ok(evsearch_count(r, &s, &n, &stats));
    assert_int_equal(n, 1);
    assert_int_equal(stats.blocks, 12);
    assert_int_equal(stats.blocks_read, 1);
    evreader_free(r);
    evquery_free(q);
}

static int take_value(void *arg, struct sm_span value, uint64_t count)
{
    uint64_t *n = arg;

    assert_memory_equal(value.p, "user", 4);
    n[0]++;
    n[1] += count;
    return 0;
}

static void histogram_and_commonest_values_add_up(void **state)
{
    struct kit *k = *state;
    struct evsearch s = { .from = { 1795000000, 0 }, .limit = 5 };
    uint64_t counts[10], total = 0, sum[2] = { 0 }, others = 0;
    struct evreader *r;

    k->conf.block_events = 70;
    filled(k, true);
    assert_ok(evreader_open(k->dir, &r));
    assert_ok(evsearch_histogram(r, &s, 60, 10, counts, NULL));
    for (size_t i = 0; i < 10; i++)
        total += counts[i], assert_int_equal(counts[i], 60);
    assert_int_equal(total, 600);
    assert_ok(evsearch_top(r, &s, "user", take_value, sum, &others, NULL));
    assert_int_equal(sum[0], 5);
    assert_int_equal(sum[1] + others, 600);
    s.from.s += 590;
    assert_ok(evsearch_count(r, &s, &total, NULL));
    assert_int_equal(total, 10);
    evreader_free(r);
}

static bool at_once(void *arg)
{
    return ++*(int *)arg > 3;
}

static int no_hit(void *arg, const struct evsearch_hit *h)
{
    (void)arg, (void)h;
    return 0;
}

static void a_search_can_be_cancelled(void **state)
{
    struct kit *k = *state;
    int asked = 0;
    struct evsearch s = { .limit = 10000, .cancel = at_once, .cancel_arg = &asked };
    struct evreader *r;

    k->conf.block_events = 50;
    filled(k, true);
    assert_ok(evreader_open(k->dir, &r));
    assert_int_equal(evsearch_run(r, &s, no_hit, NULL, NULL, NULL), -SM_ECANCEL);
    assert_int_equal(asked, 4);
    evreader_free(r);
}

static bool each_third(void *arg)
{
    return ++*(int *)arg % 4 == 0;
}

static void search_in_bits(struct kit *k, bool oldest)
{
    int asked = 0, n;
    struct evsearch s = { .limit = 37, .oldest_first = oldest, .cancel = each_third, .cancel_arg = &asked };
    struct got g = { .k = k, .newest = !oldest, .next = oldest ? 0 : EVENTS };
    struct evreader *r;
    unsigned late = 0;

    assert_ok(evreader_open(k->dir, &r));
    for (unsigned turn = 0; (n = evsearch_run(r, &s, same_as_sample, &g, &s.after, NULL)) > 0 || n == -SM_ECANCEL; turn++) {
        late += n == -SM_ECANCEL;
        assert_true(turn < 1000);
    }
    assert_int_equal(n, 0);
    assert_int_equal(g.n, EVENTS);
    assert_true(late > 0);
    evreader_free(r);
}

static void a_search_that_is_out_of_time_goes_on_where_it_was_and_misses_nothing(void **state)
{
    struct kit *k = *state;

    k->conf = (struct evidence_conf){ .block_events = 10, .segment_bytes = 20000 };
    filled(k, true);
    search_in_bits(k, false);
    search_in_bits(k, true);
}

static void katakana_is_found_in_either_width(void **state)
{
    static const struct { const char *query; unsigned n; } ask[] = { { "バックアップ", 2 }, { "ﾊﾞｯｸｱｯﾌﾟ", 2 }, { "ヴァイオリン", 1 },
        { "ｳﾞｧｲｵﾘﾝ", 1 }, { "パソコン", 1 }, { "ﾊﾟｿｺﾝ", 1 }, { "ハソコン", 0 }, { "受付ﾊﾟｿ*", 1 }, { "\"バックアップ 失敗\"", 2 },
        { "raw:*バック*失敗*", 2 }, { "バックアップ 成功", 0 }, { "コーヒー。", 1 }, { "ﾊﾞ", 2 } };
    static const char *const lines[] = { "<38>Nov 18 01:02:03 nas job: ﾊﾞｯｸｱｯﾌﾟ 失敗", "<38>Nov 18 01:02:03 nas job: バックアップ 失敗",
        "<38>Nov 18 01:02:03 nas job: ｳﾞｧｲｵﾘﾝ", "<38>Nov 18 01:02:03 nas job: 受付パソコン ｺｰﾋｰ｡" };
    struct kit *k = *state;

    kit_open(k, NULL);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        kit_text(k, 1795000000, lines[i]);
        assert_ok(evidence_append(k->j, k->names, &k->e, NULL, NULL));
    }
    assert_ok(evidence_commit(k->j));
    assert_ok(evidence_flush(k->j));
    for (size_t i = 0; i < sizeof ask / sizeof *ask; i++) {
        uint64_t n = kit_count(k->dir, ask[i].query);
        if (n != ask[i].n)
            fail_msg("%s finds %llu, not %u", ask[i].query, (unsigned long long)n, ask[i].n);
    }
}

static int same_as_json(void *arg, const struct evsearch_hit *h)
{
    struct kit *k = arg;

    kit_json(k, (unsigned)(h->id - 1));
    assert_true(sm_span_eq(h->event->raw, k->e.raw));
    return 0;
}

static void escaped_values_are_stored_once_and_raw_comes_back_byte_for_byte(void **state)
{
    struct kit *k = *state;
    struct evsearch s = { .limit = 1000 };
    struct evreader *r;

    kit_open(k, NULL);
    for (unsigned n = 0; n < 50; n++) {
        kit_json(k, n);
        assert_ok(evidence_append(k->j, k->names, &k->e, NULL, NULL));
    }
    assert_ok(evidence_flush(k->j));
    assert_ok(evreader_open(k->dir, &r));
    assert_int_equal(evsearch_run(r, &s, same_as_json, k, NULL, NULL), 50);
    evreader_free(r);
    assert_int_equal(kit_count(k->dir, "Image:cmd1.exe"), 17);
    assert_int_equal(kit_count(k->dir, "\"C:\\Windows\\System32\\cmd1.exe\""), 17);
    assert_int_equal(kit_count(k->dir, "\"\\\"EventID\\\":4001\""), 1);
    assert_int_equal(kit_count(k->dir, "EventID:[4010 TO 4019]"), 10);
}

/* Fields that are parts of the message, cut at words and within them: the filter of a closed block has all of their keys. */
static void parts_of_a_longer_value_are_found_in_closed_blocks(void **state)
{
    static const char raw[] = "<38>a b[1]: login of user36942 from 10.0.0.7 port４２x at kanja/77.xml 患者一覧";
    static const char *const part[] = { "user36942", "36942", "10.0.0.7", "４２", "anja", "kanja/77.xml", "患者", "者一", "login of" };
    static const char *const found[] = { "36942", "p1=36942", "user36942", "anja", "p4=anja", "p4:anja", "kanja", "p5:77", "p3:42",
        "p3=42", "10.0.0.7", "p2=10.0.0.7", "p2:10.0.0.0/8", "p5:kanja/77.xml", "\"kanja/77.xml\"", "患者", "p6=患者", "者一覧",
        "p7=者一", "p7:者", "p8:login", "\"login of user36942\"", "user3694*", "*ser36942", "Message:*nja/7*", "port４２x" };
    struct kit *k = *state;

    kit_open(k, NULL);
    for (unsigned round = 0; round < 3; round++) { /* the second time no value is new */
        kit_text(k, 1795000000, raw);
        assert_ok(event_add(&k->e, event_names_add(k->names, SM_SPAN_STR("Message")), EVENT_TEXT, SM_SPAN_STR(strstr(raw, "login"))));
        for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
            char name[] = { 'p', (char)('0' + i), 0 };
            assert_ok(event_add(&k->e, event_names_add(k->names, SM_SPAN_STR(name)), EVENT_TEXT,
                SM_SPAN(strstr(raw, part[i]), strlen(part[i]))));
        }
        assert_ok(evidence_append(k->j, k->names, &k->e, NULL, NULL));
        assert_ok(round ? evidence_flush(k->j) : evidence_commit(k->j));
    }
    kit_close(k);
    kit_open(k, NULL);
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        if (kit_count(k->dir, found[i]) != 3)
            fail_msg("%s: found %llu times", found[i], (unsigned long long)kit_count(k->dir, found[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
        T(every_event_comes_back_as_it_was_page_by_page_in_both_orders),
        T(events_of_the_open_block_are_found_before_it_is_closed),
        T(a_reader_sees_what_came_since_and_each_event_once_when_its_block_is_closed),
        T(queries_find_what_they_say),
        T(what_is_no_query_is_told_with_its_place),
        T(blocks_that_cannot_match_are_not_read),
        T(histogram_and_commonest_values_add_up),
        T(a_search_can_be_cancelled),
        T(a_search_that_is_out_of_time_goes_on_where_it_was_and_misses_nothing),
        T(katakana_is_found_in_either_width),
        T(escaped_values_are_stored_once_and_raw_comes_back_byte_for_byte),
        T(parts_of_a_longer_value_are_found_in_closed_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
