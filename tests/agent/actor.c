/* What actor keeps: the list of what is in force, and the chained journal of what was done. */
#include "../test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/init.h"
#include "plat/fs.h"
#include "sakimori-agent/actor/actor.h"

static char place[64];
static int folder;

static int fresh(void **s)
{
    (void)s;
    snprintf(place, sizeof place, "/tmp/sakimori-actor-XXXXXX");
    assert_non_null(mkdtemp(place));
    folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    return crypto_init();
}

static int gone(void **s)
{
    (void)s;
    close(folder);
    return plat_fs_remove_tree(AT_FDCWD, place);
}

static void put(const char *name, const char *text)
{
    assert_ok(plat_replace(folder, name, SM_SPAN_STR(text), 0600));
}

/* ---- hold ---- */

static void what_is_in_force_is_there_after_a_start(void **s)
{
    struct hold h, again;
    (void)s;
    assert_ok(hold_open(folder, &h));
    json_array_append_new(hold_list(&h, "to"), json_pack("{s:s,s:[s],s:I}", "to", "192.0.2.1", "at", "192.0.2.1", "until", (json_int_t)50));
    json_object_set_new(h.o, "isolated", json_pack("{s:I}", "until", (json_int_t)90));
    assert_ok(hold_save(&h));
    assert_ok(hold_open(folder, &again));
    assert_true(json_equal(h.o, again.o));
    assert_non_null(hold_find(&again, "to", "to", "192.0.2.1"));
    assert_null(hold_find(&again, "to", "to", "192.0.2.2"));
    hold_free(&h);
    hold_free(&again);
}

static void what_is_over_ends_and_the_rest_stays(void **s)
{
    struct hold h;
    json_t *ended = NULL;
    (void)s;
    assert_ok(hold_open(folder, &h));
    json_object_set_new(h.o, "isolated", json_pack("{s:I}", "until", (json_int_t)90));
    json_array_append_new(hold_list(&h, "to"), json_pack("{s:s,s:I}", "to", "a.example", "until", (json_int_t)50));
    json_array_append_new(hold_list(&h, "to"), json_pack("{s:s,s:I}", "to", "b.example", "until", (json_int_t)0));
    json_array_append_new(hold_list(&h, "files"), json_pack("{s:s,s:I}", "sha256", "ff", "until", (json_int_t)60));
    assert_int_equal(hold_next(&h), 50);
    assert_ok(hold_expire(&h, 49, &ended));
    assert_null(ended);
    assert_ok(hold_expire(&h, 89, &ended));
    assert_int_equal(json_array_size(ended), 2);
    json_decref(ended);
    assert_int_equal(hold_next(&h), 90);
    ended = NULL;
    assert_ok(hold_expire(&h, 90, &ended));
    assert_string_equal(json_string_value(json_object_get(json_array_get(ended, 0), "what")), "isolated");
    json_decref(ended);
    assert_int_equal(hold_next(&h), 0);
    assert_non_null(hold_find(&h, "to", "to", "b.example"));
    hold_free(&h);
}

static void a_damaged_list_is_set_aside_and_a_newer_one_is_not_touched(void **s)
{
    static const char *const damaged[] = {"{", "[]", "{\"v\":1}",
        "{\"v\":1,\"isolated\":7,\"to\":[],\"files\":[],\"accounts\":{},\"box\":[],\"running\":[],\"tell\":[]}",
        "{\"v\":1,\"isolated\":null,\"to\":[3],\"files\":[],\"accounts\":{},\"box\":[],\"running\":[],\"tell\":[]}",
        "{\"v\":1,\"isolated\":null,\"to\":[],\"files\":[],\"accounts\":{},\"box\":[{}],\"running\":[],\"tell\":[]}"};
    struct hold h;
    (void)s;
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        put("hold.json", damaged[i]);
        assert_int_equal(hold_open(folder, &h), -SM_EFORMAT);
        assert_int_equal(json_array_size(hold_list(&h, "to")), 0);
        assert_int_equal(faccessat(folder, "hold.json", F_OK, 0), -1);
        assert_ok(faccessat(folder, "hold.damaged", F_OK, 0));
        hold_free(&h);
    }
    put("hold.json", "{\"v\":2}");
    assert_int_equal(hold_open(folder, &h), -SM_EVERSION);
    assert_ok(faccessat(folder, "hold.json", F_OK, 0));
}

/* ---- the journal ---- */

static void lines_are_one_chain_over_a_new_start(void **s)
{
    struct actlog *j;
    uint64_t n;
    (void)s;
    assert_ok(actlog_open(folder, &j));
    assert_ok(actlog_add(j, json_pack("{s:s}", "what", "start")));
    assert_ok(actlog_add(j, json_pack("{s:s,s:s}", "what", "begin", "action", "isolate")));
    actlog_close(j);
    assert_ok(actlog_open(folder, &j));
    assert_ok(actlog_add(j, json_pack("{s:s}", "what", "end")));
    actlog_close(j);
    assert_ok(actlog_verify(folder, &n));
    assert_int_equal(n, 3);
}

static void change(const char *name, const char *from, const char *to)
{
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    assert_ok(plat_fs_read_file(folder, name, 1 << 20, &b));
    char *at = strstr((char *)(uintptr_t)sm_buf_str(&b), from);
    assert_non_null(at);
    memcpy(at, to, strlen(to));
    assert_ok(plat_replace(folder, name, sm_buf_span(&b), 0600));
    sm_buf_wipe(&b);
}

static void a_changed_line_is_found(void **s)
{
    struct actlog *j;
    uint64_t n;
    (void)s;
    assert_ok(actlog_open(folder, &j));
    for (int i = 0; i < 5; i++)
        assert_ok(actlog_add(j, json_pack("{s:s,s:i}", "what", "begin", "number", 100 + i)));
    actlog_close(j);
    change("journal-000001.jsonl", "\"number\":102", "\"number\":902"); /* digits alone may stand in a hash */
    assert_int_equal(actlog_verify(folder, &n), -SM_ECORRUPT);
    assert_int_equal(n, 3);
}

static void a_torn_last_line_is_cut_and_the_chain_goes_on(void **s)
{
    struct actlog *j;
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    uint64_t n;
    (void)s;
    assert_ok(actlog_open(folder, &j));
    assert_ok(actlog_add(j, json_pack("{s:s}", "what", "start")));
    actlog_close(j);
    assert_ok(plat_fs_read_file(folder, "journal-000001.jsonl", 1 << 20, &b));
    assert_ok(sm_buf_printf(&b, "{\"at\":\"2026"));
    assert_ok(plat_replace(folder, "journal-000001.jsonl", sm_buf_span(&b), 0600));
    sm_buf_wipe(&b);
    assert_ok(actlog_open(folder, &j));
    assert_ok(actlog_add(j, json_pack("{s:s}", "what", "start")));
    actlog_close(j);
    assert_ok(actlog_verify(folder, &n));
    assert_int_equal(n, 2);
}

static void a_full_file_is_followed_by_the_next_and_the_chain_by_itself(void **s)
{
    struct actlog *j;
    uint64_t n;
    char long_text[30001];
    const unsigned lines = ACTLOG_FILE_MAX / 30000 + 3;
    (void)s;
    memset(long_text, 'a', 30000);
    long_text[30000] = 0;
    assert_ok(actlog_open(folder, &j));
    for (unsigned i = 0; i < lines; i++)
        assert_ok(actlog_add(j, json_pack("{s:s}", "what", long_text)));
    actlog_close(j);
    assert_ok(faccessat(folder, "journal-000002.jsonl", F_OK, 0));
    assert_ok(actlog_open(folder, &j));
    assert_ok(actlog_add(j, json_pack("{s:s}", "what", "end")));
    actlog_close(j);
    assert_ok(actlog_verify(folder, &n));
    assert_int_equal(n, lines + 1);
}

static void a_line_that_is_too_long_is_refused_and_nothing_of_it_stays(void **s)
{
    struct actlog *j;
    uint64_t n;
    char *text = calloc(1, ACTLOG_LINE_MAX + 10);
    (void)s;
    memset(text, 'a', ACTLOG_LINE_MAX + 9);
    assert_ok(actlog_open(folder, &j));
    assert_int_equal(actlog_add(j, json_pack("{s:s}", "what", text)), -SM_ELIMIT);
    assert_ok(actlog_add(j, json_pack("{s:s}", "what", "end")));
    actlog_close(j);
    assert_ok(actlog_verify(folder, &n));
    assert_int_equal(n, 1);
    free(text);
}

/* ---- the table ---- */

static void every_row_is_found_by_its_name_and_no_other_is(void **s)
{
    (void)s;
    for (size_t i = 0; i < actor_table_n; i++) {
        assert_ptr_equal(actor_find(actor_table[i]->name), actor_table[i]);
        assert_true(actor_table[i]->run || actor_table[i]->ended);
    }
    assert_null(actor_find("resolve"));
    assert_null(actor_find(""));
}

static void programs_outside_of_the_table_are_not_started(void **s)
{
    (void)s;
    assert_int_equal(actor_program("sh", (const char *const[]){"-c", "true", NULL}, 5, NULL), -ENOENT);
    assert_int_equal(actor_program("/bin/true", (const char *const[]){NULL}, 5, NULL), -ENOENT);
    assert_false(actor_has_program("sh"));
}

static int refused(const struct action *row, struct actor *a, const char *args)
{
    json_t *o = json_loads(args, 0, NULL);
    struct act *t = act_new(a, row, "order-1", o);
    int r = row->check(t);
    if (r)
        assert_true(t->detail[0] != 0);
    json_decref(o);
    act_free(t);
    return r;
}

static void what_would_cut_the_machine_from_its_box_is_refused(void **s)
{
    static struct actor a;
    (void)s;
    a = (struct actor){.folder = folder};
    assert_ok(hold_open(folder, &a.hold));
    assert_int_equal(refused(&act_isolate, &a, "{}"), -SM_ESTATE); /* where the box is was not found yet */
    json_array_append_new(hold_list(&a.hold, "box"), json_string("192.0.2.7"));
    assert_ok(refused(&act_isolate, &a, "{}"));
    assert_int_equal(refused(&act_block_address, &a, "{\"to\":\"192.0.2.7\"}"), -SM_EDENIED);
    assert_int_equal(refused(&act_block_address, &a, "{\"to\":\"192.0.2.0/24\"}"), -SM_EDENIED);
    assert_int_equal(refused(&act_block_address, &a, "{\"to\":\"127.0.0.1\"}"), -SM_EDENIED);
    assert_int_equal(refused(&act_block_address, &a, "{\"to\":\"::1\"}"), -SM_EDENIED);
    assert_ok(refused(&act_block_address, &a, "{\"to\":\"192.0.2.8\"}"));
    assert_ok(refused(&act_block_address, &a, "{\"to\":\"bad.example\"}"));
    a.beside_box = true;
    assert_int_equal(refused(&act_isolate, &a, "{}"), -SM_EDENIED);
    hold_free(&a.hold);
}

static void destinations_that_are_none_are_refused(void **s)
{
    static const char *const bad[] = {"", "bad", "1.2.3", "1.2.3.4/0", "1.2.3.4/33", "1.2.3.4/24", "a..b", ".example", "example.",
        "-", "a b.example", "x;y.example", "1.2.3.4 }", "::/0", "2001:db8::1/32", "1.2.3.4/", "1.2.3.4/+8", "300.2.3.4",
        "0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/7", "2000::/3", "2001::/15"};
    static struct actor a;
    (void)s;
    a = (struct actor){.folder = folder};
    assert_ok(hold_open(folder, &a.hold));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char args[128];
        snprintf(args, sizeof args, "{\"to\":\"%s\"}", bad[i]);
        assert_int_equal(refused(&act_block_address, &a, args), -SM_EINVAL);
    }
    hold_free(&a.hold);
}

static void root_and_the_agents_accounts_are_never_disabled(void **s)
{
    static struct actor a;
    (void)s;
    a = (struct actor){.folder = folder};
    assert_ok(hold_open(folder, &a.hold));
    assert_int_equal(refused(&act_disable_account, &a, "{\"account\":\"root\"}"), -SM_EDENIED);
    assert_int_equal(refused(&act_disable_account, &a, "{\"account\":\"no-such-account\"}"), -SM_ENOTFOUND);
    assert_int_equal(refused(&act_disable_account, &a, "{\"account\":\"-L\"}"), -SM_EINVAL);
    assert_int_equal(refused(&act_disable_account, &a, "{\"account\":\"a;b\"}"), -SM_EINVAL);
    assert_int_equal(refused(&act_enable_account, &a, "{\"account\":\"nobody\"}"), -SM_ENOTFOUND);
    hold_free(&a.hold);
}

static void process_one_and_the_agent_are_never_killed(void **s)
{
    static struct actor a;
    char args[128];
    (void)s;
    assert_int_equal(refused(&act_kill, &a, "{\"processes\":[{\"pid\":1,\"start\":1}]}"), -SM_EDENIED);
    snprintf(args, sizeof args, "{\"processes\":[{\"pid\":%d,\"start\":1}]}", (int)getpid());
    assert_int_equal(refused(&act_kill, &a, args), -SM_EDENIED);
    assert_int_equal(refused(&act_kill, &a, "{\"processes\":[]}"), -SM_EINVAL);
    assert_int_equal(refused(&act_kill, &a, "{\"processes\":[{\"pid\":-1,\"start\":1}]}"), -SM_EINVAL);
    assert_int_equal(refused(&act_kill, &a, "{\"processes\":[{\"pid\":77}]}"), -SM_EINVAL); /* without a start time it is nobody's */
}

#define T(f) cmocka_unit_test_setup_teardown(f, fresh, gone)
/* judge and scan read what attackers write: what they may ask for is little, whoever speaks through them. */
static void without_an_order_nothing_of_the_system_is_set_aside(void **s)
{
    static const struct {
        const char *path;
        bool sum;
        int policy, order;
    } rows[] = {{"/home/a/x", true, 0, 0}, {"/home/a/x", false, -SM_EINVAL, 0}, {"/usr/bin/sudo", true, -SM_EDENIED, 0},
        {"/etc/shadow", true, -SM_EDENIED, 0}, {"/home/../etc/shadow", true, -SM_EINVAL, -SM_EINVAL}, {"//etc/shadow", true, -SM_EINVAL, -SM_EINVAL},
        {"/usr/local/bin/x", true, 0, 0}, {"/data/agent.json", true, -SM_EDENIED, -SM_EDENIED}, {"/./data/agent.json", true, -SM_EINVAL, -SM_EINVAL}};
    char sum[65];
    struct actor a = {.data = "/data"};
    (void)s;
    memset(sum, 'a', 64);
    sum[64] = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int order = 0; order < 2; order++) {
            json_t *args = json_pack("{s:s}", "path", rows[i].path);
            if (rows[i].sum)
                json_object_set_new(args, "sha256", json_string(sum));
            struct act *t = act_new(&a, &act_quarantine, "x", args);
            t->by_order = order;
            assert_int_equal(act_quarantine.check(t), order ? rows[i].order : rows[i].policy);
            act_free(t);
            json_decref(args);
        }
}

static void what_is_done_without_an_order_is_what_the_policy_says(void **s)
{
    struct actor a = {.policy = {.scan_on_write = true, .scan_on_media = true, .answer = ENDPOINT_ANSWER_TELL}};
    (void)s;
    assert_false(actor_allows(&a, &act_quarantine));
    assert_false(actor_allows(&a, &act_kill));
    assert_false(actor_allows(&a, &act_isolate));
    assert_false(actor_allows(&a, &act_give_back));
    a.policy.answer = ENDPOINT_ANSWER_STOP;
    assert_true(actor_allows(&a, &act_quarantine));
    assert_false(actor_allows(&a, &act_kill));
    for (size_t i = 0; i < actor_table_n; i++)
        if (actor_table[i]->allow == ALLOW_NOBODY)
            assert_false(actor_allows(&a, actor_table[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_in_force_is_there_after_a_start),
        T(what_is_over_ends_and_the_rest_stays),
        T(a_damaged_list_is_set_aside_and_a_newer_one_is_not_touched),
        T(lines_are_one_chain_over_a_new_start),
        T(a_changed_line_is_found),
        T(a_torn_last_line_is_cut_and_the_chain_goes_on),
        T(a_full_file_is_followed_by_the_next_and_the_chain_by_itself),
        T(a_line_that_is_too_long_is_refused_and_nothing_of_it_stays),
        T(every_row_is_found_by_its_name_and_no_other_is),
        T(programs_outside_of_the_table_are_not_started),
        T(what_would_cut_the_machine_from_its_box_is_refused),
        T(destinations_that_are_none_are_refused),
        T(root_and_the_agents_accounts_are_never_disabled),
        T(process_one_and_the_agent_are_never_killed),
        T(without_an_order_nothing_of_the_system_is_set_aside),
        T(what_is_done_without_an_order_is_what_the_policy_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
