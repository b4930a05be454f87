/* Values and modifiers, as the specification has them. */
#include "detect/kit.h"
#include <string.h>

#define YES(selection, value) assert_true(holds("        " selection, "f", value))
#define NO(selection, value) assert_false(holds("        " selection, "f", value))

static void letters_of_either_case_are_equal(void **state)
{
    YES("f: Whoami.EXE", "wHOAMI.exe");
    YES("f: 'ÄÖÜ Ωμέγα ПРИВЕТ ＡＢ'", "äöü ωΜΈΓΑ привет ａｂ");
    YES("f|contains: '患者'", "外来の患者一覧");
    NO("f|cased: Whoami.EXE", "wHOAMI.exe");
    YES("f|cased|contains: hoaM", "WhoaMi");
}

static void wildcards_and_their_escapes_are_those_of_the_specification(void **state)
{
    YES("f: 'prog?.exe'", "progA.exe");
    NO("f: 'prog?.exe'", "prog.exe");
    YES("f: 'prog?.exe'", "prog患.exe");
    YES("f: 'a*v'", "antivirus_v");
    NO("f: 'a*v'", "antivirus_v1");
    YES("f: 'a\\*b'", "a*b");
    NO("f: 'a\\*b'", "axb");
    YES("f: 'a\\?b'", "a?b");
    NO("f: 'a\\?b'", "axb");
    YES("f: 'C:\\Windows\\\\x'", "c:\\windows\\x");
    YES("f: 'a\\\\*'", "a\\whatever");
    NO("f: 'a\\\\*'", "a*");
    YES("f: 'a\\\\\\*'", "a\\*");
    NO("f: 'a\\\\\\*'", "a\\b");
    YES("f: 'a\\\\\\\\b'", "a\\\\b");
    YES("f: 'a\\\\\\b'", "a\\\\b");
    YES("f: '*'", "anything");
    YES("f: 'a*b*c?d'", "a--b--b--cxd");
    NO("f: 'a*b*c?d'", "a--b--cd");
}

static void contains_startswith_and_endswith_stand_where_they_say(void **state)
{
    YES("f|contains: bcd", "abcde");
    NO("f|contains: bcd", "abxcde");
    YES("f|startswith: ab", "ABC");
    NO("f|startswith: ab", "xab");
    YES("f|endswith: '\\cmd.exe'", "C:\\Windows\\System32\\cmd.exe");
    NO("f|endswith: '\\cmd.exe'", "C:\\cmd.exe.txt");
    YES("f|endswith: 'cmd.exe'", "cmd.exe cmd.exe");
    YES("f|contains|all: [a, b]", "xbxa");
    NO("f|contains|all: [a, b]", "xax");
    YES("f|contains: [q, b]", "xbx");
}

static void numbers_are_compared_as_numbers(void **state)
{
    YES("f|lt: 10", "9.5");
    NO("f|lt: 10", "10");
    YES("f|lte: 10", "10");
    YES("f|gt: 0x10", "17");
    YES("f|gte: 17", "0x11");
    NO("f|gte: 17", "many");
    YES("f: 4625", "4625");
    NO("f: 4625", "46250");
    YES("f: 0x1F3FFF", "0x1f3fff");
    YES("f: 0x1F", "31");
    YES("f|neq: 5", "6");
    NO("f|neq: [5, 6]", "6");
    assert_true(holds("        f|neq: 5", "other_field", "6")); /* as `not f: 5` */
    YES("f|contains|neq: b", "acd");
    NO("f|contains|neq: b", "abd");
    NO("f|re|neq: 'a.c'", "xabc");
    YES("f|cidr|neq: 10.0.0.0/8", "192.0.2.1");
    NO("f|cidr|neq: 10.0.0.0/8", "10.1.2.3");
    NO("f|gt|neq: 5", "6");
}

static void null_and_empty_are_one_and_nothing_is_another(void **state)
{
    YES("f: null", NULL);
    YES("f: null", "");
    NO("f: null", "x");
    assert_true(holds("        f: null", "g", "x"));
    YES("f: ''", "");
    YES("f: ''", NULL);
    NO("f: ''", "x");
    assert_false(holds("        f: ''", "g", "x"));
    YES("f|exists: true", NULL);
    NO("f|exists: false", "");
    NO("f|exists: false", NULL);
    assert_true(holds("        f|exists: false", "g", "x"));
}

/* EVTX has a null where its XML has an empty element, and JSON either. */
static void no_rule_tells_null_from_empty(void **state)
{
    static const char *const selections[] = { "f: '*'", "f: '?'", "f|contains: x", "f|endswith: ''", "f|re: '^$'", "f|re: '.+'", "f|neq: x",
        "f|neq: ''", "f|cidr: 0.0.0.0/0", "f|lt: 1", "f: [a, '']", "f|cased: ''", "f|exists: true" };
    char text[80];

    for (size_t i = 0; i < sizeof selections / sizeof *selections; i++) {
        snprintf(text, sizeof text, "        %s", selections[i]);
        assert_int_equal(holds(text, "f", NULL), holds(text, "f", ""));
    }
}

static void networks_hold_both_families(void **state)
{
    YES("f|cidr: 10.0.0.0/8", "10.255.1.2");
    NO("f|cidr: 10.0.0.0/8", "11.0.0.1");
    YES("f|cidr: 192.168.4.0/22", "192.168.7.255");
    NO("f|cidr: 192.168.4.0/22", "192.168.8.0");
    YES("f|cidr: 10.0.0.0/8", "::ffff:10.1.1.1");
    YES("f|cidr: 'fe80::/10'", "fe80::1%eth0");
    NO("f|cidr: 'fe80::/10'", "2001:db8::1");
    NO("f|cidr: 0.0.0.0/0", "no address");
    NO("f|cidr: 0.0.0.0/0", "");
}

static void regular_expressions_keep_case_unless_told(void **state)
{
    YES("f|re: 'ab+c$'", "xxabbbc");
    NO("f|re: 'ab+c$'", "xxABC");
    YES("f|re|i: 'ab+c$'", "xxABC");
    NO("f|re: '^b'", "a\nb");
    YES("f|re|m: '^b'", "a\nb");
    NO("f|re: 'a.b'", "a\nb");
    YES("f|re|s: 'a.b'", "a\nb");
    YES("f|re: '(alpha|beta)\\d{2}'", "xx beta42");
    YES("f|re: 'alpha(beta)?gamma'", "alphagamma");
    YES("f|re: 'colou?r'", "color");
    YES("f|re: '患者.{2}'", "患者一覧");
}

static void dashes_of_windows_are_one(void **state)
{
    YES("f|windash|contains: ' -enc '", "x /enc y");
    YES("f|windash|contains: ' -enc '", "x \xe2\x80\x93"
                                        "enc y");
    YES("f|contains|windash: ' /a /b'", "x -a \xe2\x80\x95"
                                        "b");
    NO("f|contains|windash: ' -enc '", "x enc y");
}

static void encodings_are_looked_for_as_they_stand_in_logs(void **state)
{
    YES("f|base64: foobar", "Zm9vYmFy");
    YES("f|base64offset|contains: 'http://'", "xx aHR0cDovL3g=");
    YES("f|base64offset|contains: 'http://'", "IGh0dHA6Ly94");
    YES("f|base64offset|contains: 'http://'", "ICBodHRwOi8veA==");
    YES("f|wide|base64offset|contains: 'whoami'", "dwBoAG8AYQBtAGkA");
    YES("f|utf16le|base64: 'cmd'", "YwBtAGQA");
    YES("f|utf16be|base64: 'cmd'", "AGMAbQBk");
    YES("f|utf16|base64: 'cmd'", "//5jAG0AZAA=");
}

static void parts_of_a_date_are_compared(void **state)
{
    YES("f|hour: 2", "2026-11-23 02:38:00");
    YES("f|hour|lt: 6", "2026-11-23T02:38:00Z");
    NO("f|hour|lt: 2", "2026-11-23T02:38:00Z");
    YES("f|minute: 38", "2026-11-23T02:38:00Z");
    YES("f|day: 23", "2026-11-23");
    YES("f|week: 48", "2026-11-23");
    YES("f|week: 53", "2021-01-03");
    YES("f|month: 11", "2026/11/23");
    YES("f|year|gte: 2026", "2026-11-23");
    NO("f|hour: 0", "2026-11-23");
    NO("f|year: 2026", "last year");
}

static void one_field_is_compared_with_another(void **state)
{
    static const struct {
        const char *rule, *a, *b;
        bool match;
    } row[] = {
        { "        a|fieldref: b", "Same", "sAME", true },
        { "        a|fieldref: b", "x", "y", false },
        { "        a|fieldref|startswith: b", "alphabet", "ALPHA", true },
        { "        a|fieldref|endswith: b", "alphabet", "bet", true },
        { "        a|fieldref|contains: b", "alphabet", "z", false },
        { "        a|fieldref|neq: b", "x", "y", true },
        { "        a|fieldref|neq: b", "x", "X", false },
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        kit_open(&k);
        kit_rule(&k, row[i].rule);
        kit_compile(&k);
        kit_event(&k, "a", row[i].a, "b", row[i].b, NULL);
        assert_int_equal(kit_match(&k), row[i].match);
        kit_event(&k, "a", row[i].a, NULL);
        assert_int_equal(kit_match(&k), strstr(row[i].rule, "neq") != NULL);
        kit_close(&k);
    }
}

static void one_of_several_values_is_enough(void **state)
{
    struct kit k;

    kit_open(&k);
    kit_rule(&k, "        f: b");
    kit_rule(&k, "        f|contains|all: [a, b]");
    kit_rule(&k, "        f|neq: b");
    kit_compile(&k);
    kit_event(&k, "f", "a", "g", "x", "f", "b", NULL);
    assert_int_equal(kit_match(&k), 2);
    kit_close(&k);
}

static void placeholders_get_their_values_or_wait(void **state)
{
    struct kit k;

    kit_open(&k);
    assert_ok(sigma_list(k.set, "Servers", "srv-*"));
    assert_ok(sigma_list(k.set, "Servers", "dc1"));
    kit_rule(&k, "        f|expand: '%Servers%'");
    kit_rule(&k, "        f|contains|expand: 'x%Servers%y'");
    kit_rule(&k, "        f|expand: '\\%plain%Servers%'");
    kit_rule(&k, "        f|expand: '%Unknown%'");
    kit_rule(&k, "        f: '%Servers%'");
    assert_string_equal(sigma_rule_at(k.set, 3)->waits, "Unknown");
    assert_string_equal(sigma_rule_at(k.set, 0)->waits, "");
    kit_compile(&k);
    kit_event(&k, "f", "SRV-emr", NULL);
    assert_int_equal(kit_match(&k), 1);
    kit_event(&k, "f", "--xdc1y--", NULL);
    assert_int_equal(kit_match(&k), 1);
    kit_event(&k, "f", "%plaindc1", NULL);
    assert_int_equal(kit_match(&k), 1);
    kit_event(&k, "f", "%Servers%", NULL);
    assert_int_equal(kit_match(&k), 1);
    kit_close(&k);
}

static void an_expression_that_never_ends_is_given_up_and_said(void **state)
{
    struct kit k;
    struct sigma_counts c;
    char text[65];

    memset(text, 'a', 64);
    text[64] = 0;
    kit_open(&k);
    kit_rule(&k, "        f|re: '^(a+)+(b|a)+(a+)+$|^(([a-z])+.)+[A-Z]([a-z])+$'");
    kit_compile(&k);
    kit_event(&k, "f", text, "g", "!", NULL);
    (void)kit_match(&k);
    text[63] = '!';
    kit_event(&k, "f", text, NULL);
    assert_int_equal(kit_match(&k), 0);
    sigma_scratch_counts(k.s, &c);
    assert_int_equal(c.regex_limits, 1);
    assert_ptr_equal(c.ret_rule, sigma_rule_at(k.set, 0));
    kit_close(&k);
}

static void what_cannot_be_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *selection, *why;
    } row[] = {
        { "        f|nonsense: x", "a modifier nobody knows" },
        { "        f|re: '('", "regular expression" },
        { "        f|cidr: 10.0.0.0/99", "not a network" },
        { "        f|lt: many", "compared with a number" },
        { "        f|exists: perhaps", "true or false" },
        { "        f|re|contains: x", "cannot stand together" },
        { "        f|i: x", "belong to re" },
        { "        f: []", "empty list" },
        { "        f: {a: b}", "a value has to be" },
        { "        f|contains: null", "null takes no modifier" },
        { "        f|base64: 'a*b'", "wildcard" },
        { "        {}", "empty selection" },
        { "        f: a\n        f: b", "comes twice" },
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct kit k;
        char text[512];
        kit_open(&k);
        snprintf(text, sizeof text,
            "title: t\nlogsource: {product: test}\ndetection:\n    selection:\n%s\n    condition: selection\n",
            row[i].selection);
        assert_int_equal(kit_add(&k, text), 0);
        assert_int_equal(k.faults, 1);
        if (!strstr(k.fault.why, row[i].why))
            print_message("%s: %s\n", row[i].selection, k.fault.why);
        assert_non_null(strstr(k.fault.why, row[i].why));
        assert_true(k.fault.line >= 4);
        kit_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_of_either_case_are_equal),
        cmocka_unit_test(wildcards_and_their_escapes_are_those_of_the_specification),
        cmocka_unit_test(contains_startswith_and_endswith_stand_where_they_say),
        cmocka_unit_test(numbers_are_compared_as_numbers),
        cmocka_unit_test(null_and_empty_are_one_and_nothing_is_another),
        cmocka_unit_test(no_rule_tells_null_from_empty),
        cmocka_unit_test(networks_hold_both_families),
        cmocka_unit_test(regular_expressions_keep_case_unless_told),
        cmocka_unit_test(dashes_of_windows_are_one),
        cmocka_unit_test(encodings_are_looked_for_as_they_stand_in_logs),
        cmocka_unit_test(parts_of_a_date_are_compared),
        cmocka_unit_test(one_field_is_compared_with_another),
        cmocka_unit_test(one_of_several_values_is_enough),
        cmocka_unit_test(placeholders_get_their_values_or_wait),
        cmocka_unit_test(an_expression_that_never_ends_is_given_up_and_said),
        cmocka_unit_test(what_cannot_be_is_refused_with_its_line),
    };

    return cmocka_run_group_tests_name("detect_values", tests, NULL, NULL);
}
