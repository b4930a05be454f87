#include "../test.h"
#include <errno.h>
#include "core/opt.h"

struct settings {
    bool on;
    int64_t port, room, keep;
    char *name, *folder, *role;
};
#define AT(f) offsetof(struct settings, f)
static const struct sm_opt table[] = {
    {"on", SM_OPT_BOOL, "yes", 0, 0, NULL, AT(on), "使うか", "in use"},
    {"port", SM_OPT_INT, "8443", 1, 65534, NULL, AT(port), "ポート番号", "port"},
    {"clinic.name", SM_OPT_TEXT, "", 0, 40, NULL, AT(name), "医院の名", "name"},
    {"data", SM_OPT_PATH, "/var/lib/sakimori", 1, 100, NULL, AT(folder), "置き場所", "folder"},
    {"role", SM_OPT_CHOICE, "node", 0, 0, "node|hub", AT(role), "役割", "role"},
    {"room", SM_OPT_BYTES, "10G", 1024, 1LL << 50, NULL, AT(room), "容量", "room"},
    {"retention.least", SM_OPT_DURATION, "14d", 60, 400 * 86400, NULL, AT(keep), "期間", "time"},
};
enum { N = sizeof table / sizeof table[0] };

static int setup(void **state)
{
    struct settings *s = calloc(1, sizeof *s);
    *state = s;
    return s ? sm_opt_defaults(table, N, s) : -1;
}

static int teardown(void **state)
{
    sm_opt_wipe(table, N, *state);
    free(*state);
    return 0;
}

static void the_defaults_are_the_standard_values(void **state)
{
    const struct settings *s = *state;
    assert_true(s->on);
    assert_int_equal(s->port, 8443);
    assert_string_equal(s->name, "");
    assert_string_equal(s->folder, "/var/lib/sakimori");
    assert_string_equal(s->role, "node");
    assert_true(s->room == 10LL << 30);
    assert_int_equal(s->keep, 14 * 86400);
}

static void a_file_sets_what_it_names(void **state)
{
    struct settings *s = *state;
    static const char text[] = "# a comment\r\n\n  port=1 \nclinic.name = さくら 医院\nrole = hub\non = no\n"
                               "room = 512M\nretention.least = 2w";
    assert_ok(sm_opt_parse(table, N, "x.conf", SM_SPAN_STR(text), s, NULL));
    assert_int_equal(s->port, 1);
    assert_string_equal(s->name, "さくら 医院");
    assert_string_equal(s->role, "hub");
    assert_false(s->on);
    assert_true(s->room == 512LL << 20);
    assert_int_equal(s->keep, 14 * 86400);
    assert_string_equal(s->folder, "/var/lib/sakimori");
}

static void a_wrong_line_is_named_with_what_is_allowed_and_nothing_changes(void **state)
{
    static const struct {
        const char *text, *why;
    } row[] = {
        {"role = hub\nport = abc", "x.conf:2: port: a whole number from 1 to 65534, not \"abc\""},
        {"port = 65535", "x.conf:1: port: a whole number from 1 to 65534, not \"65535\""},
        {"port = 99999999999999999999", "x.conf:1: port: a whole number from 1 to 65534, not \"99999999999999999999\""},
        {"port = 1\nport = 2", "x.conf:2: port: set twice, once is allowed"},
        {"prot = 1", "x.conf:1: there is no setting \"prot\""},
        {"port 1", "x.conf:1: \"name = value\" or a comment, not \"port 1\""},
        {"on = maybe", "x.conf:1: on: yes or no, not \"maybe\""},
        {"role = no", "x.conf:1: role: one of node|hub, not \"no\""},
        {"role =", "x.conf:1: role: one of node|hub, not \"\""},
        {"data = relative", "x.conf:1: data: an absolute path of at most 100 bytes, not \"relative\""},
        {"room = 1023", "x.conf:1: room: a size from 1K to 1024T (K, M, G, T), not \"1023\""},
        {"room = 5X", "x.conf:1: room: a size from 1K to 1024T (K, M, G, T), not \"5X\""},
        {"retention.least = 5", "x.conf:1: retention.least: a time from 1m to 400d (s, m, h, d, w), not \"5\""},
        {"clinic.name = a\x01", "x.conf:1: clinic.name: text of 0 to 40 bytes without control characters, not \"a?\""},
        {"clinic.name = \xff", "x.conf:1: clinic.name: text of 0 to 40 bytes without control characters, not \"?\""},
    };
    struct settings *s = *state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char why[240] = "";
        assert_int_equal(sm_opt_parse(table, N, "x.conf", SM_SPAN_STR(row[i].text), s, why), -SM_EINVAL);
        assert_string_equal(why, row[i].why);
        the_defaults_are_the_standard_values(state);
    }
}

static void a_long_outside_value_is_cut_between_characters(void **state)
{
    char why[240] = "";
    assert_int_equal(sm_opt_parse(table, N, "x", SM_SPAN_STR("clinic.name = あいうえおかきくけこさしすせそ"), *state, why),
        -SM_EINVAL);
    assert_true(sm_utf8_valid(SM_SPAN_STR(why)));
    assert_non_null(strstr(why, "さしす...\""));
}

static void the_printed_file_reads_back_to_the_same(void **state)
{
    struct settings *s = *state, again = {0};
    struct sm_buf one = {0}, two = {0};
    assert_ok(sm_opt_set(table, N, "clinic.name", "  \"with\" blanks ", s, NULL));
    assert_ok(sm_opt_set(table, N, "room", "1025K", s, NULL));
    assert_ok(sm_opt_print(table, N, s, &one));
    assert_ok(sm_opt_defaults(table, N, &again));
    assert_ok(sm_opt_parse(table, N, "x", sm_buf_span(&one), &again, NULL));
    assert_string_equal(again.name, "  \"with\" blanks ");
    assert_int_equal(again.room, 1025 << 10);
    assert_ok(sm_opt_print(table, N, &again, &two));
    assert_true(sm_span_eq(sm_buf_span(&one), sm_buf_span(&two)));
    assert_non_null(strstr(sm_buf_str(&one),
        "# ポート番号\n# port\n# a whole number from 1 to 65534; standard: 8443\nport = 8443\n"));
    sm_opt_wipe(table, N, &again);
    sm_buf_wipe(&one);
    sm_buf_wipe(&two);
}

static void one_setting_is_checked_the_same_way(void **state)
{
    char why[240];
    assert_int_equal(sm_opt_set(table, N, "port", "0", *state, why), -SM_EINVAL);
    assert_string_equal(why, "port: a whole number from 1 to 65534, not \"0\"");
    assert_int_equal(sm_opt_set(table, N, "x", "0", *state, why), -SM_EINVAL);
    assert_string_equal(why, "there is no setting \"x\"");
    the_defaults_are_the_standard_values(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_defaults_are_the_standard_values, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_sets_what_it_names, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_wrong_line_is_named_with_what_is_allowed_and_nothing_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_outside_value_is_cut_between_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(the_printed_file_reads_back_to_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(one_setting_is_checked_the_same_way, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
