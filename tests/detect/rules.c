/* Rules as wholes: conditions, lists, filters, log sources, files that are not what they should be. */
#include "detect/kit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "detect/load.h"

#define HEAD                                                                                                           \
    "title: t\nlogsource: {product: test}\ndetection:\n    a: {a: 1}\n    b: {b: 1}\n    c: {c: 1}\n    _d: {d: 1}\n " \
    "   condition: "

static bool condition(const char *text, const char *set)
{
    struct kit k;
    char rule[1024];

    kit_open(&k);
    snprintf(rule, sizeof rule, HEAD "%s\n", text);
    int n = kit_add(&k, rule);
    if (n != 1)
        print_message("%s: %s\n", text, k.fault.why);
    assert_int_equal(n, 1);
    kit_compile(&k);
    kit_event(&k, "a", strchr(set, 'a') ? "1" : "0", "b", strchr(set, 'b') ? "1" : "0", "c",
        strchr(set, 'c') ? "1" : "0", "d", strchr(set, 'd') ? "1" : "0", NULL);
    bool yes = kit_match(&k) > 0;
    kit_close(&k);
    return yes;
}

static void operators_bind_as_the_specification_says(void **state)
{
    assert_true(condition("a or b and c", "a"));
    assert_false(condition("(a or b) and c", "a"));
    assert_true(condition("not a and b", "b"));
    assert_false(condition("not a and b", ""));
    assert_true(condition("not (a and b)", "a"));
    assert_true(condition("not not a", "a"));
    assert_true(condition("a and not b or c", "c"));
    assert_true(condition("a\n      and b", "ab"));
}

static void one_and_all_of_take_names_and_patterns(void **state)
{
    assert_true(condition("1 of them", "b"));
    assert_false(condition("1 of them", "d"));
    assert_true(condition("all of them", "abc"));
    assert_false(condition("all of them", "abd"));
    assert_true(condition("1 of _*", "d"));
    assert_true(condition("all of a* and not 1 of b*", "a"));
    assert_true(condition("1 of * and c", "dc"));
}

static void a_list_of_conditions_is_one_or_the_other(void **state)
{
    assert_true(condition("[a and b, c]", "c"));
    assert_false(condition("[a and b, c]", "a"));
}

static void lists_of_maps_and_keywords_are_one_or_the_other(void **state)
{
    struct kit k;

    kit_open(&k);
    kit_rule(&k, "        - {a: 1, b: 2}\n        - c: 3");
    kit_rule(&k, "        - evil one\n        - 'ev?l*two'");
    kit_rule(&k, "        '|all': [first, second]");
    kit_rule(&k, "        '|re': 'thi[rs]d'");
    kit_compile(&k);
    kit_event(&k, "a", "1", "b", "2", NULL);
    assert_int_equal(kit_match(&k), 1);
    kit_event(&k, "a", "1", "b", "3", NULL);
    assert_int_equal(kit_match(&k), 0);
    kit_event(&k, "c", "3", NULL);
    assert_int_equal(kit_match(&k), 1);
    kit_event(&k, "x", "an EVIL ONE here", "y", "evil and two, thisd", NULL);
    assert_int_equal(kit_match(&k), 2);
    kit_event(&k, "x", "the second", "y", "the first", NULL);
    assert_int_equal(kit_match(&k), 1);
    kit_event(&k, "x", "the second", NULL);
    assert_int_equal(kit_match(&k), 0);
    kit_close(&k);
}

static void a_line_as_it_came_holds_keywords_too(void **state)
{
    struct kit k;

    kit_open(&k);
    kit_rule(&k, "        - 'daemon: panic'");
    for (int i = 0; i < 5; i++)
        kit_rule(&k, "        - 'nothing of the kind'");
    kit_compile(&k);
    kit_event(&k, "program", "daemon", "Message", "panic", NULL);
    assert_int_equal(kit_match(&k), 0);
    k.e.raw = SM_SPAN_STR("<34>Oct 11 22:14:15 host daemon: Panic");
    assert_int_equal(kit_match(&k), 1);
    kit_close(&k);
}

static void a_filter_is_joined_to_its_rules(void **state)
{
    static const char text[] = "title: Rule\nid: 11111111-1111-1111-1111-111111111111\nlogsource: {product: test, "
                               "category: x}\ndetection:\n    s: {Image|endswith: rar.exe}\n"
                               "    condition: s\n---\n"
                               "title: Filter\nlogsource: {product: test}\nfilter:\n    rules: "
                               "[11111111-1111-1111-1111-111111111111]\n    selection: {User|startswith: adm_}\n"
                               "    condition: not selection\n---\n"
                               "title: Filter of nothing\nlogsource: {product: test}\nfilter:\n    rules: "
                               "[22222222-1111-1111-1111-111111111111]\n    selection: {a: b}\n"
                               "    condition: not selection\n";
    struct kit k;

    kit_open(&k);
    assert_int_equal(kit_add(&k, text), 3);
    kit_compile(&k);
    assert_int_equal(k.faults, 1);
    assert_non_null(strstr(k.fault.why, "is not there"));
    assert_int_equal(k.fault.line, 15);
    kit_event(&k, "Image", "c:\\rar.exe", "User", "jimu", NULL);
    k.e.category = event_names_add(k.names, SM_SPAN_STR("x"));
    assert_int_equal(kit_match(&k), 1);
    kit_event(&k, "Image", "c:\\rar.exe", "User", "ADM_jimu", NULL);
    k.e.category = event_names_add(k.names, SM_SPAN_STR("x"));
    assert_int_equal(kit_match(&k), 0);
    kit_close(&k);
}

static const char table[] =
    "places:\n  sysmon: {channel: Microsoft-Windows-Sysmon/Operational, provider: Microsoft-Windows-Sysmon}\n"
    "  security: {channel: Security, provider: Microsoft-Windows-Security-Auditing}\nsources:\n"
    "  - {product: windows, category: process_creation, found: [{place: sysmon, id: 1}, {place: security, id: 4688, "
    "rename: {Image: NewProcessName}}]}\n"
    "  - {product: windows, category: registry_add, found: {place: sysmon, id: 12, where: {EventType: CreateKey}}}\n"
    "  - {product: windows, service: security, found: {place: security}}\n";

static void log_sources_are_found_by_channel_provider_and_number(void **state)
{
    static const char rules[] = "title: p\nname: p\nlogsource: {product: windows, category: "
                                "process_creation}\ndetection: {s: {Image|endswith: '\\x.exe'}, condition: s}\n---\n"
                                "title: r\nlogsource: {product: windows, category: registry_add}\ndetection: {s: "
                                "{TargetObject|contains: run}, condition: s}\n---\n"
                                "title: s\nlogsource: {product: windows, service: security}\ndetection: {s: {EventID: "
                                "[4625, 4688], NewProcessName|contains: x}, condition: s}\n";
    static const struct {
        const char *channel, *provider, *id, *name, *value, *type;
        size_t hits;
    } row[] = {
        { "Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", "1", "Image", "C:\\X.exe", "", 1 },
        { "microsoft-windows-sysmon/operational", "", "1", "Image", "C:\\X.exe", "", 1 },
        { "ForwardedEvents", "Microsoft-Windows-Sysmon", "1", "Image", "C:\\X.exe", "", 1 },
        { "A channel of our own", "Microsoft-Windows-Sysmon", "1", "Image", "C:\\X.exe", "", 1 },
        { "Security", "Microsoft-Windows-Sysmon", "1", "Image", "C:\\X.exe", "", 0 },
        { "Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", "3", "Image", "C:\\X.exe", "", 0 },
        { "Application", "Somebody", "1", "Image", "C:\\X.exe", "", 0 },
        { "Security", "Microsoft-Windows-Security-Auditing", "4688", "NewProcessName", "C:\\X.exe", "", 2 },
        { "Security", "Microsoft-Windows-Security-Auditing", "4688", "Image", "C:\\X.exe", "", 0 },
        { "Microsoft-Windows-Sysmon/Operational", "", "12", "TargetObject", "HKLM\\Run", "CreateKey", 1 },
        { "Microsoft-Windows-Sysmon/Operational", "", "12", "TargetObject", "HKLM\\Run", "DeleteKey", 0 },
    };
    struct kit k;
    struct sigma_fault f;

    kit_open(&k);
    assert_ok(sigma_sources(k.set, "logsources.yml", SM_SPAN_STR(table), &f));
    assert_int_equal(kit_add(&k, rules), 3);
    kit_compile(&k);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        kit_event(&k, "Channel", row[i].channel, row[i].provider[0] ? "Provider_Name" : "x", row[i].provider, "EventID",
            row[i].id, row[i].name, row[i].value, "EventType", row[i].type, NULL);
        k.e.product = EVENT_W_windows;
        if (kit_match(&k) != row[i].hits)
            print_message("row %zu: %zu\n", i, k.hits);
        assert_int_equal(k.hits, row[i].hits);
    }
    /* Without a channel its own words count. */
    kit_event(&k, "Image", "C:\\x.exe", NULL);
    k.e.product = EVENT_W_windows;
    k.e.category = EVENT_W_process_creation;
    assert_int_equal(kit_match(&k), 1);
    kit_close(&k);
}

static void a_wrong_table_says_where(void **state)
{
    struct kit k;
    struct sigma_fault f = { 0 };

    kit_open(&k);
    assert_int_equal(
        sigma_sources(k.set, "l.yml", SM_SPAN_STR("sources:\n  - {product: x, found: {place: nowhere}}\n"), &f),
        -SM_EFORMAT);
    assert_int_equal(f.line, 2);
    assert_non_null(strstr(f.why, "nowhere"));
    kit_close(&k);
}

static void one_bad_document_harms_no_other(void **state)
{
    static const char text[] = HEAD "a\n---\ntitle: bad\nlogsource: {product: test}\ndetection:\n    s: {x: y}\n    "
                                    "condition: s and gone\n---\n" HEAD "b\n";
    struct kit k;

    kit_open(&k);
    assert_int_equal(kit_add(&k, text), 2);
    assert_int_equal(k.faults, 1);
    assert_int_equal(k.fault.line, 14);
    assert_non_null(strstr(k.fault.why, "\"gone\""));
    assert_int_equal(kit_add(&k, "title: [\n"), 0);
    assert_int_equal(k.faults, 2);
    kit_close(&k);
}

static void files_without_end_are_bounded(void **state)
{
    static const char laughs[] =
        "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n";
    struct kit k;
    char deep[200];

    kit_open(&k);
    assert_int_equal(kit_add(&k, laughs), 0);
    assert_non_null(strstr(k.fault.why, "too many values"));
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    k.faults = 0;
    assert_int_equal(kit_add(&k, deep), 0);
    assert_non_null(strstr(k.fault.why, "too deeply"));
    k.faults = 0;
    assert_int_equal(kit_add(&k, "a: &a [*a]\n"), 0);
    assert_non_null(strstr(k.fault.why, "an alias inside"));
    k.faults = 0;
    char *large = malloc(SIGMA_TEXT_MAX + 2);
    memset(large, ' ', SIGMA_TEXT_MAX + 1);
    large[SIGMA_TEXT_MAX + 1] = 0;
    assert_int_equal(kit_add(&k, large), 0);
    assert_non_null(strstr(k.fault.why, "larger than"));
    free(large);
    kit_close(&k);
}

static void the_same_rule_twice_counts_once(void **state)
{
    static const char rule[] = "title: t\nid: 11111111-1111-1111-1111-111111111111\nlogsource: {product: "
                               "test}\ndetection: {s: {a: 1}, condition: s}\n";
    static const char other[] = "title: t\nid: 11111111-1111-1111-1111-111111111111\nlogsource: {product: "
                                "else}\ndetection: {s: {a: 1}, condition: s}\n";
    struct kit k;

    kit_open(&k);
    assert_int_equal(kit_add(&k, rule), 1);
    assert_int_equal(kit_add(&k, rule), 1);
    assert_int_equal(kit_add(&k, other), 1);
    kit_compile(&k);
    assert_int_equal(k.faults, 1);
    kit_event(&k, "a", "1", NULL);
    assert_int_equal(kit_match(&k), 1);
    assert_int_equal(sigma_switch(k.set, "none", false), -SM_ENOTFOUND);
    kit_close(&k);
}

static void a_rule_of_a_later_layer_is_replaced_without_a_fault(void **state)
{
    static const char first[] = "title: new\nid: 11111111-1111-1111-1111-111111111111\nlogsource: {product: "
                                "test}\ndetection: {s: {a: 2}, condition: s}\n";
    static const char second[] = "title: old\nid: 11111111-1111-1111-1111-111111111111\nlogsource: {product: "
                                 "test}\ndetection: {s: {a: 1}, condition: s}\n";
    struct kit k;

    kit_open(&k);
    sigma_layer(k.set, 1);
    assert_int_equal(kit_add(&k, first), 1);
    sigma_layer(k.set, 2);
    assert_int_equal(kit_add(&k, second), 1);
    assert_ok(sigma_link(k.set, NULL, NULL));
    assert_true(sigma_rule_at(k.set, 1)->replaced);
    assert_false(sigma_rule_at(k.set, 0)->replaced);
    assert_int_equal(sigma_rule_at(k.set, 1)->layer, 2);
    assert_ok(sigma_switch(k.set, "11111111-1111-1111-1111-111111111111", false));
    assert_ok(sigma_switch(k.set, "11111111-1111-1111-1111-111111111111", true));
    kit_compile(&k);
    assert_int_equal(k.faults, 0);
    kit_event(&k, "a", "1", NULL);
    assert_int_equal(kit_match(&k), 0);
    kit_event(&k, "a", "2", NULL);
    assert_int_equal(kit_match(&k), 1);
    kit_close(&k);
}

struct lines {
    size_t n;
    struct {
        unsigned depth;
        bool truth;
        char what[64], want[64], have[64];
    } line[64];
};

static void on_line(void *ctx, const struct sigma_line *l)
{
    struct lines *v = ctx;

    if (v->n == 64)
        return;
    v->line[v->n].depth = l->depth;
    v->line[v->n].truth = l->truth;
    snprintf(v->line[v->n].what, 64, "%s", l->what);
    snprintf(v->line[v->n].want, 64, "%s", l->want);
    snprintf(v->line[v->n++].have, 64, "%.*s", (int)l->have.n, (const char *)l->have.p);
}

static void a_miss_is_explained_field_by_field(void **state)
{
    struct kit k;
    struct lines v = { 0 };
    bool seen = false;

    kit_open(&k);
    kit_rule(&k, "        Image|endswith: ['\\cmd.exe', '\\pwsh.exe']\n        CommandLine|contains: whoami");
    kit_compile(&k);
    kit_event(&k, "Image", "C:\\PWSH.exe", "CommandLine", "dir", NULL);
    assert_int_equal(sigma_explain(k.m, k.s, sigma_rule_at(k.set, 0), &k.e, on_line, &v), 0);
    assert_string_equal(v.line[0].what, "log source");
    assert_true(v.line[0].truth);
    for (size_t i = 0; i < v.n; i++) {
        if (!strcmp(v.line[i].what, "Image|endswith")) {
            assert_true(v.line[i].truth);
            assert_string_equal(v.line[i].want, "\\pwsh.exe");
            assert_string_equal(v.line[i].have, "C:\\PWSH.exe");
        }
        if (!strcmp(v.line[i].what, "CommandLine|contains")) {
            seen = true;
            assert_false(v.line[i].truth);
            assert_string_equal(v.line[i].want, "whoami");
            assert_string_equal(v.line[i].have, "dir");
        }
    }
    assert_true(seen);
    kit_close(&k);
}

static void what_the_event_has_beside_its_fields_can_be_asked_for(void **state)
{
    struct kit k;

    kit_open(&k);
    kit_rule(&k, "        '@timestamp|hour|lt': 6\n        '@host': EMR");
    kit_compile(&k);
    kit_event(&k, "a", "1", NULL);
    k.e.host = SM_SPAN_STR("emr");
    k.e.time.s = 1795365480; /* 2026-11-22 17:38 UTC: 02:38 in Japan */
    assert_int_equal(kit_match(&k), 1);
    k.e.time.s += 6 * 3600;
    assert_int_equal(kit_match(&k), 0);
    kit_close(&k);
}

/* Names that events brought before the rules stand anywhere in the table of names. */
static void a_field_of_such_a_name_does_not_stand_before_it(void **state)
{
    struct kit k;

    kit_open(&k);
    sigma_set_free(k.set);
    event_names_free(k.names);
    k.names = event_names_new();
    (void)event_names_add(k.names, SM_SPAN_STR("@severity"));
    for (int i = 0; i < 300; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "f%d", i);
        (void)event_names_add(k.names, SM_SPAN(name, (size_t)n));
    }
    (void)event_names_add(k.names, SM_SPAN_STR("@timestamp"));
    k.set = sigma_set_new(k.names);
    assert_non_null(k.set);
    kit_rule(&k, "        '@timestamp|hour|lt': 6\n        f150: x\n        f299|exists: false");
    kit_compile(&k);
    kit_event(&k, "@timestamp", "2026-11-22T17:38:00Z", "f150", "x", NULL);
    k.e.time.s = 1795365480;
    assert_int_equal(kit_match(&k), 1);
    kit_close(&k);
}

static void print_fault(void *ctx, const struct sigma_fault *f)
{
    print_message("%s:%u: %s\n", f->file, f->line, f->why);
}

static void every_rule_of_the_public_collection_loads(void **state)
{
    struct kit k;
    struct load_counts c = { 0 };
    struct sigma_fault f;
    struct stat st;

    if (stat(SHARED "/data/detection/sigma", &st) < 0) {
        print_message("no ../shared beside the repository: skipped\n");
        skip();
    }
    kit_open(&k);
    assert_ok(load_sources(k.set, RULES "/logsources.yml", &f));
    assert_ok(load_rules(k.set, SHARED "/data/detection/sigma", print_fault, NULL, &c));
    assert_int_equal(c.files, 3780);
    assert_int_equal(c.rules, 3780);
    assert_int_equal(c.faults, 0);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_bind_as_the_specification_says),
        cmocka_unit_test(one_and_all_of_take_names_and_patterns),
        cmocka_unit_test(a_list_of_conditions_is_one_or_the_other),
        cmocka_unit_test(lists_of_maps_and_keywords_are_one_or_the_other),
        cmocka_unit_test(a_line_as_it_came_holds_keywords_too),
        cmocka_unit_test(a_filter_is_joined_to_its_rules),
        cmocka_unit_test(log_sources_are_found_by_channel_provider_and_number),
        cmocka_unit_test(a_wrong_table_says_where),
        cmocka_unit_test(one_bad_document_harms_no_other),
        cmocka_unit_test(files_without_end_are_bounded),
        cmocka_unit_test(the_same_rule_twice_counts_once),
        cmocka_unit_test(a_rule_of_a_later_layer_is_replaced_without_a_fault),
        cmocka_unit_test(a_miss_is_explained_field_by_field),
        cmocka_unit_test(what_the_event_has_beside_its_fields_can_be_asked_for),
        cmocka_unit_test(a_field_of_such_a_name_does_not_stand_before_it),
        cmocka_unit_test(every_rule_of_the_public_collection_loads),
    };

    return cmocka_run_group_tests_name("detect_rules", tests, NULL, NULL);
}
