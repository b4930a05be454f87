/* The command table and the command line. */
#include "test.h"
#include <string.h>
#include "sakimori/cli.h"
#include "sakimorid/options.h"

static char why[240];

static int parse(struct cli_line *l, const char *const *words)
{
    static char *argv[64];
    int n = 0;
    argv[n++] = (char *)"sakimori";
    for (; *words; words++)
        argv[n++] = (char *)*words;
    argv[n] = NULL;
    why[0] = 0;
    return cli_parse(n, argv, false, l, why);
}
#define PARSE(l, ...) parse((l), (const char *const[]){ __VA_ARGS__, NULL })

static void every_command_has_words_in_both_languages_and_a_function(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_commands_n; i++) {
        const struct cli_cmd *c = &cli_commands[i];
        assert_true(c->name && c->args && c->run && c->ja && c->en && *c->ja && *c->en);
        assert_true(c->min <= c->max);
        for (size_t k = i + 1; k < cli_commands_n; k++)
            assert_string_not_equal(c->name, cli_commands[k].name);
        for (const struct cli_opt *o = c->opts; o && o->name; o++)
            assert_true(o->ja && o->en && *o->ja && *o->en);
    }
}

static const struct cli_opt *option(const struct cli_opt *o, const char *name)
{
    for (; o && o->name; o++)
        if (!strcmp(o->name, name))
            return o;
    return NULL;
}

static void no_option_of_a_command_hides_a_global_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_commands_n; i++)
        for (const struct cli_opt *o = cli_commands[i].opts; o && o->name; o++)
            assert_null(option(cli_global_opts, o->name));
}

static void every_command_is_found_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_commands_n; i++) {
        char name[96], *save = NULL;
        const char *line[8] = { NULL };
        size_t n = 0;
        struct cli_line l;
        (void)snprintf(name, sizeof name, "%s", cli_commands[i].name);
        for (char *w = strtok_r(name, " ", &save); w; w = strtok_r(NULL, " ", &save))
            line[n++] = w;
        line[n] = "--help";
        assert_ok(parse(&l, line));
        assert_ptr_equal(l.cmd, &cli_commands[i]);
        assert_int_equal(l.args, 0);
    }
}

static void an_option_takes_a_value_where_its_command_says_so(void **state)
{
    struct cli_line l;
    (void)state;
    assert_ok(PARSE(&l, "endpoint", "act", "karte", "scan", "--wait", "20"));
    assert_string_equal(l.cmd->name, "endpoint act");
    assert_int_equal(l.args, 2);
    assert_string_equal(l.value[0].value, "20");
    assert_ok(PARSE(&l, "backup", "run", "--wait", "karte")); /* the same name, a flag */
    assert_string_equal(l.arg[0], "karte");
    assert_null(l.value[0].value);
}

static void options_may_stand_anywhere(void **state)
{
    struct cli_line l;
    (void)state;
    assert_ok(PARSE(&l, "--data", "/d", "source", "--json", "add", "--path", "/a", "Name", "--path=/b"));
    assert_string_equal(l.cmd->name, "source add");
    assert_int_equal(l.args, 1);
    assert_string_equal(l.arg[0], "Name");
    struct cli c = { .line = l };
    assert_string_equal(cli_opt_nth(&c, "path", 0), "/a");
    assert_string_equal(cli_opt_nth(&c, "path", 1), "/b");
    assert_null(cli_opt_nth(&c, "path", 2));
    assert_string_equal(cli_opt(&c, "data"), "/d");
    assert_true(cli_flag(&c, "json"));
}

static void a_wrong_line_says_what_is_wrong(void **state)
{
    struct cli_line l;
    (void)state;
    assert_int_equal(PARSE(&l, "nothing"), -SM_EINVAL);
    assert_non_null(strstr(why, "nothing"));
    assert_int_equal(PARSE(&l, "source", "fly"), -SM_EINVAL);
    assert_int_equal(PARSE(&l, "status", "--wrong"), -SM_EINVAL);
    assert_non_null(strstr(why, "--wrong"));
    assert_int_equal(PARSE(&l, "status", "--json=1"), -SM_EINVAL);
    assert_int_equal(PARSE(&l, "status", "--data"), -SM_EINVAL);
    assert_int_equal(PARSE(&l, "status", "--data", "a", "--data", "b"), -SM_EINVAL);
    assert_int_equal(PARSE(&l, "status", "extra"), -SM_EINVAL);
    assert_int_equal(PARSE(&l, "devices", "rename", "one"), -SM_EINVAL);
}

static void after_two_dashes_everything_is_an_argument(void **state)
{
    struct cli_line l;
    (void)state;
    assert_ok(PARSE(&l, "generations", "find", "latest", "--", "--odd"));
    assert_string_equal(l.arg[1], "--odd");
}

static void passwords_are_no_option_of_any_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_commands_n; i++) {
        assert_null(option(cli_commands[i].opts, "password"));
        const struct cli_opt *card = option(cli_commands[i].opts, "card");
        assert_true(!card || !card->value); /* a flag may speak of a card; the card itself is no argument */
        assert_null(option(cli_commands[i].opts, "code"));
    }
}

static void read_man(const char *file, struct sm_buf *b)
{
    static char block[4096];
    FILE *f = fopen(file, "re");
    size_t n;
    assert_non_null(f);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        assert_ok(sm_buf_put(b, block, n));
    fclose(f);
    assert_non_null(sm_buf_str(b));
}

static void the_manual_names_every_command_and_option(void **state)
{
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    char text[96];
    (void)state;
    read_man(MAN_FOLDER "/sakimori.1", &b);
    for (size_t i = 0; i < cli_commands_n; i++) {
        (void)snprintf(text, sizeof text, ".It Cm %s", cli_commands[i].name);
        if (!strstr(sm_buf_str(&b), text))
            fail_msg("man/sakimori.1 lacks %s", text);
        for (const struct cli_opt *o = cli_commands[i].opts; o && o->name; o++) {
            (void)snprintf(text, sizeof text, "Fl -%s", o->name);
            if (!strstr(sm_buf_str(&b), text))
                fail_msg("man/sakimori.1 lacks --%s", o->name);
        }
    }
    sm_buf_wipe(&b);
}

static void the_manual_of_the_settings_file_names_every_setting(void **state)
{
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    char text[96];
    (void)state;
    read_man(MAN_FOLDER "/sakimori.conf.5", &b);
    for (size_t i = 0; i < options_n; i++) {
        (void)snprintf(text, sizeof text, ".It Va %s\n", options_table[i].name);
        if (!strstr(sm_buf_str(&b), text))
            fail_msg("man/sakimori.conf.5 lacks %s", text);
    }
    sm_buf_wipe(&b);
}

static void the_language_is_read_from_the_locale(void **state)
{
    (void)state;
    assert_int_equal(cli_language("ja_JP.UTF-8"), 1);
    assert_int_equal(cli_language("en_US"), 0);
    assert_int_equal(cli_language("C.UTF-8"), -1);
    assert_int_equal(cli_language(NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_has_words_in_both_languages_and_a_function),
        cmocka_unit_test(no_option_of_a_command_hides_a_global_one),
        cmocka_unit_test(every_command_is_found_by_its_name),
        cmocka_unit_test(an_option_takes_a_value_where_its_command_says_so),
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(a_wrong_line_says_what_is_wrong),
        cmocka_unit_test(after_two_dashes_everything_is_an_argument),
        cmocka_unit_test(passwords_are_no_option_of_any_command),
        cmocka_unit_test(the_manual_names_every_command_and_option),
        cmocka_unit_test(the_manual_of_the_settings_file_names_every_setting),
        cmocka_unit_test(the_language_is_read_from_the_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
