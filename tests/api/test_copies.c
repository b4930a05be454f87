/* The five lamps, and how a copy is made from order to result. */
#include "api_kit.h"
#include <stdio.h>
#include <unistd.h>
#include "api/lamps.h"
#include "core/time.h"
#include "plat/clock.h"

#define DAY 86400
#define NOW ((int64_t)1800000000)

/* ---- lamps ---- */

static struct lamp_copy disk(void)
{
    return (struct lamp_copy){ .name = "赤いディスク", .detachable = true, .elsewhere = true, .complete = true,
        .covers_s = NOW - DAY, .max_age_s = 14 * DAY, .verified_s = NOW - DAY, .sound = true };
}

static struct lamp_facts facts(const struct lamp_copy *c, size_t n)
{
    return (struct lamp_facts){ .now = NOW, .generations = 30, .newest_s = NOW - 3600, .checked_s = NOW - 2 * DAY,
        .sound = true, .copies = c, .n = n };
}

static void expect(const struct lamp_facts *f, const char *states)
{
    struct lamp l[LAMPS];
    char got[LAMPS + 1] = { 0 };
    lamps_compute(f, l);
    for (size_t i = 0; i < LAMPS; i++)
        got[i] = "+?-"[l[i].state];
    assert_string_equal(got, states);
}

static void a_box_without_copies_has_only_its_own_check(void **state)
{
    (void)state;
    struct lamp_facts f = facts(NULL, 0);
    expect(&f, "----+");
    f.generations = 0;
    expect(&f, "----+");
}

static void a_verified_disk_in_another_building_lights_all_five(void **state)
{
    (void)state;
    struct lamp_copy c = disk();
    struct lamp_facts f = facts(&c, 1);
    expect(&f, "+++++");
}

static void a_disk_that_stays_in_is_neither_elsewhere_nor_out_of_reach(void **state)
{
    (void)state;
    struct lamp_copy c = disk();
    struct lamp l[LAMPS];
    c.attached = true;
    struct lamp_facts f = facts(&c, 1);
    expect(&f, "++??+");
    lamps_compute(&f, l);
    assert_int_equal(l[LAMP_OFFLINE].todo, T_LAMP_TODO_DETACH);
    assert_string_equal(l[LAMP_OFFLINE].name, "赤いディスク");
}

static void a_disk_never_filled_counts_for_nothing(void **state)
{
    (void)state;
    struct lamp_copy c = disk();
    c.complete = false;
    c.verified_s = 0;
    struct lamp_facts f = facts(&c, 1);
    expect(&f, "----+");
}

static void an_old_copy_is_to_be_looked_at_but_not_when_nothing_is_newer(void **state)
{
    (void)state;
    struct lamp_copy c = disk();
    c.covers_s = NOW - 15 * DAY;
    c.verified_s = c.covers_s;
    struct lamp_facts f = facts(&c, 1);
    expect(&f, "????+");
    f.newest_s = c.covers_s - 60;
    expect(&f, "+++++");
}

static void two_disks_take_turns(void **state)
{
    (void)state;
    struct lamp_copy c[2] = { disk(), disk() };
    c[0].attached = true;
    c[0].covers_s = NOW;
    struct lamp_facts f = facts(c, 2);
    expect(&f, "+++++");
    c[1].covers_s = NOW - 20 * DAY; /* the one that is away is old */
    expect(&f, "++??+");
}

static void a_folder_on_the_same_disk_is_no_second_medium(void **state)
{
    (void)state;
    struct lamp_copy c = disk();
    c.detachable = c.elsewhere = false;
    c.same_disk = true;
    struct lamp_facts f = facts(&c, 1);
    expect(&f, "+---+");
    c.same_disk = false;
    expect(&f, "++--+");
    c.append_only = c.elsewhere = true;
    expect(&f, "+++++");
}

static void errors_put_the_last_lamp_out(void **state)
{
    (void)state;
    struct lamp_copy c[2] = { disk(), disk() };
    struct lamp_facts f = facts(c, 2);
    f.sound = false;
    expect(&f, "++++-");
    f.sound = true;
    f.drill_failed = true;
    expect(&f, "++++-");
    f.drill_failed = false;
    f.checked_s = NOW - 36 * DAY;
    expect(&f, "++++?");
    f.checked_s = 0;
    expect(&f, "++++?");
    f.checked_s = NOW;
    c[1].verified_s = NOW - 101 * DAY;
    expect(&f, "++++?");
    c[1].verified_s = NOW;
    c[1].sound = false; /* and does not count as a copy */
    expect(&f, "++++-");
    f.n = 1;
    c[0] = c[1];
    expect(&f, "-----");
}

/* ---- making one ---- */

static struct kit_who me(struct kit *k)
{
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    return kit_me(k);
}

static void standard_answers(struct kit *k)
{
    char head[257];
    memset(head, 'a', 256);
    head[256] = 0;
    json_object_set_new(k->answers, "V_COPY_LABEL", json_pack("{s:s}", "label", "sakimori copy 1\n"));
    json_object_set_new(k->answers, "V_HEAD", json_pack("{s:s}", "head", head));
    json_object_set_new(k->answers, "P_COPIER", json_object());
    json_object_set_new(k->answers, "Y_RUN", json_object());
    json_object_set_new(k->answers, "Y_CANCEL", json_object());
}

static void make(struct kit *k, const char *kind, const char *place, char ret_id[40])
{
    char body[300];
    struct kit_who w;
    kit_people(k);
    standard_answers(k);
    w = me(k);
    (void)snprintf(body, sizeof body, "{\"kind\":\"%s\",\"name\":\"赤いディスク\",\"place\":\"%s\",\"elsewhere\":true}",
        kind, place);
    assert_int_equal(kit_call(k, &w, "POST", "/api/v1/copies", body), 201);
    assert_string_equal(kit_str(k, "label"), "sakimori copy 1\n");
    assert_string_equal(kit_str(k, "state"), "never");
    (void)snprintf(ret_id, 40, "%s", kit_str(k, "id"));
}

static int ask(struct kit *k, const char *method, const char *id, const char *end, const char *body)
{
    char path[120];
    struct kit_who w = me(k);
    (void)snprintf(path, sizeof path, "/api/v1/copies/%s%s", id, end);
    return kit_call(k, &w, method, path, body);
}

static void say(struct kit *k, const char *id, json_t *e)
{
    json_object_set_new(e, "copy", json_string(id));
    api_on_copier(k->api, e);
    json_decref(e);
    kit_run(k);
}

static void copied(struct kit *k, const char *id)
{
    say(k, id, json_pack("{s:s,s:s,s:b,s:i,s:i,s:i,s:b}", "what", "result", "phase", "copy", "ok", 1, "seq", 40,
        "generations", 3, "packs", 9, "same_disk", 0));
}

static void read_back(struct kit *k, const char *id, bool sound)
{
    say(k, id, json_pack("{s:s,s:s,s:b,s:b}", "what", "result", "phase", "verify", "ok", 1, "sound", sound));
}

static const char *last(struct kit *k, const char *message, const char *key)
{
    for (size_t i = json_array_size(k->asked); i-- > 0;) {
        const json_t *v = json_array_get(k->asked, i);
        if (!strcmp(json_string_value(json_object_get(v, "message")), message)) {
            const char *s = json_string_value(json_object_get(json_object_get(v, "body"), key));
            return s ? s : "";
        }
    }
    return "(never)";
}

static void plug(struct kit *k, const char *uuid)
{
    json_t *j = uuid ? json_pack("{s:[s]}", "disks", uuid) : json_pack("{s:[]}", "disks");
    api_on_disks(k->api, j);
    json_decref(j);
    kit_run(k);
}

static void a_folder_is_copied_read_back_and_told(void **state)
{
    struct kit *k = *state;
    char id[40];
    make(k, "folder", "/srv/copy", id);
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 202);
    kit_run(k);
    assert_string_equal(last(k, "P_COPIER", "path"), "/srv/copy");
    assert_string_equal(last(k, "Y_RUN", "what"), "copy");
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 409);
    say(k, id, json_pack("{s:s,s:s,s:i,s:i}", "what", "progress", "phase", "copy", "bytes", 5, "bytes_total", 10));
    assert_int_equal(ask(k, "GET", id, "", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "running");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(k->body, "progress"), "bytes")), 5);
    copied(k, id);
    assert_string_equal(last(k, "Y_RUN", "what"), "verify");
    read_back(k, id, true);
    assert_int_equal(ask(k, "GET", id, "", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "ok");
    assert_int_equal(json_integer_value(json_object_get(k->body, "generations")), 3);
    assert_int_equal(json_array_size(json_object_get(k->body, "runs")), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(k->body, "runs"), 0), "state")),
        "complete");
    /* The next day nothing has to be read back. */
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 202);
    unsigned runs = kit_asked(k, "Y_RUN");
    copied(k, id);
    assert_int_equal(kit_asked(k, "Y_RUN"), runs);
}

static void a_disk_is_filled_when_it_comes_and_counts_when_it_went(void **state)
{
    struct kit *k = *state;
    char id[40];
    make(k, "disk", "1234-ABCD", id);
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 409);
    assert_string_equal(kit_code(k), "not_plugged");
    plug(k, "1234-ABCD");
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 202);
    assert_string_equal(last(k, "P_COPIER", "disk"), "1234-ABCD");
    copied(k, id);
    assert_string_equal(last(k, "Y_RUN", "what"), "verify");
    read_back(k, id, true);
    assert_int_equal(ask(k, "GET", id, "", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "detach");
    plug(k, NULL);
    assert_int_equal(ask(k, "GET", id, "", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "ok");
    assert_true(json_is_string(json_object_get(k->body, "detached_at")));
}

static void a_disk_left_in_is_on_today_after_a_day(void **state)
{
    struct kit *k = *state;
    char id[40];
    make(k, "disk", "1234-ABCD", id);
    plug(k, "1234-ABCD");
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 202);
    copied(k, id);
    read_back(k, id, true);
    kit_clock(k, DAY - 600);
    struct kit_who w = me(k);
    assert_int_equal(kit_call(k, &w, "GET", "/api/v1/today", NULL), 200);
    char *text = json_dumps(json_object_get(k->body, "lines"), JSON_ENCODE_ANY);
    assert_null(strstr(text, "赤いディスク"));
    free(text);
    kit_clock(k, DAY + 600);
    assert_int_equal(kit_call(k, &w, "GET", "/api/v1/today", NULL), 200);
    text = json_dumps(json_object_get(k->body, "lines"), JSON_ENCODE_ANY);
    assert_non_null(strstr(text, "赤いディスク"));
    free(text);
    assert_int_equal(json_array_size(json_object_get(k->body, "lamps")), 5);
}

static void a_disk_pulled_in_the_middle_is_no_failure_of_the_copy(void **state)
{
    struct kit *k = *state;
    char id[40];
    make(k, "disk", "1234-ABCD", id);
    plug(k, "1234-ABCD");
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 202);
    plug(k, NULL);
    assert_int_equal(kit_asked(k, "Y_CANCEL"), 1);
    say(k, id, json_pack("{s:s,s:s,s:b,s:s,s:s}", "what", "result", "phase", "copy", "ok", 0, "error", "EIO", "why", "x"));
    assert_int_equal(ask(k, "GET", id, "", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "never");
    assert_non_null(strstr(kit_str(k, "text"), "続きから"));
}

static void a_forked_copy_calls_and_is_left_alone(void **state)
{
    struct kit *k = *state;
    char id[40];
    make(k, "folder", "/srv/copy", id);
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 202);
    say(k, id, json_pack("{s:s,s:s,s:b,s:s,s:s}", "what", "result", "phase", "copy", "ok", 0, "error", "SM_EDENIED",
        "why", "the copy knows records"));
    assert_int_equal(ask(k, "GET", id, "", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "forked");
    struct kit_who w = me(k);
    assert_int_equal(kit_call(k, &w, "GET", "/api/v1/alarms?open=1", NULL), 200);
    const json_t *alarm = json_array_get(json_object_get(k->body, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(alarm, "kind")), "copy_forked");
    assert_string_equal(json_string_value(json_object_get(alarm, "state")), "call");
    assert_non_null(strstr(json_string_value(json_object_get(alarm, "title")), "赤いディスク"));
    unsigned heads = kit_asked(k, "Y_RUN");
    kit_clock(k, 2 * DAY);
    kit_clock(k, 2 * DAY + 60);
    assert_int_equal(kit_asked(k, "Y_RUN"), heads);
}

static void errors_in_a_copy_raise_an_alarm_and_the_next_run_reads_deep(void **state)
{
    struct kit *k = *state;
    char id[40];
    make(k, "folder", "/srv/copy", id);
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 202);
    copied(k, id);
    read_back(k, id, false);
    assert_int_equal(ask(k, "GET", id, "", NULL), 200);
    assert_string_equal(kit_str(k, "state"), "unsound");
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 202);
    assert_string_equal(last(k, "Y_RUN", "what"), "deep");
    copied(k, id);
    read_back(k, id, true);
    struct kit_who w = me(k);
    assert_int_equal(kit_call(k, &w, "GET", "/api/v1/alarms?open=1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "items")), 0);
}

static void a_clean_up_in_between_begins_again_with_a_newer_head(void **state)
{
    struct kit *k = *state;
    char id[40];
    make(k, "folder", "/srv/copy", id);
    assert_int_equal(ask(k, "POST", id, "/run", "{}"), 202);
    unsigned heads = kit_asked(k, "V_HEAD"), runs = kit_asked(k, "Y_RUN");
    say(k, id, json_pack("{s:s,s:s,s:b,s:s,s:s}", "what", "result", "phase", "copy", "ok", 0, "error", "SM_EAGAIN", "why", ""));
    assert_int_equal(kit_asked(k, "V_HEAD"), heads + 1);
    assert_int_equal(kit_asked(k, "Y_RUN"), runs + 1);
    assert_int_equal(kit_asked(k, "P_COPIER"), 2); /* the one at the start of brain, and one for this */
}

static void a_place_that_is_gone_is_told_and_twice_is_an_alarm(void **state)
{
    struct kit *k = *state;
    char id[40];
    make(k, "folder", "/srv/copy", id);
    json_object_set_new(k->answers, "P_COPIER", json_integer(-SM_ENOTFOUND));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask(k, "POST", id, "/run", "{}"), 202);
        assert_int_equal(ask(k, "GET", id, "", NULL), 200);
        assert_string_equal(kit_str(k, "state"), "failed");
        assert_non_null(strstr(kit_str(k, "text"), "場所"));
    }
    struct kit_who w = me(k);
    assert_int_equal(kit_call(k, &w, "GET", "/api/v1/alarms?open=1", NULL), 200);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(k->body, "items"), 0), "kind")),
        "copy_failed");
}

static void places_are_checked_and_not_taken_twice(void **state)
{
    struct kit *k = *state;
    char id[40];
    make(k, "folder", "/srv/copy", id);
    struct kit_who w = me(k);
    static const char *const bad[] = { "{\"kind\":\"tape\",\"name\":\"x\",\"place\":\"/a\"}",
        "{\"kind\":\"folder\",\"name\":\"x\",\"place\":\"relative\"}", "{\"kind\":\"folder\",\"name\":\"x\",\"place\":\"/\"}",
        "{\"kind\":\"folder\",\"name\":\"x\",\"place\":\"/a/../b\"}", "{\"kind\":\"disk\",\"name\":\"x\",\"place\":\"../sda\"}",
        "{\"kind\":\"disk\",\"name\":\"\",\"place\":\"1234\"}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(kit_call(k, &w, "POST", "/api/v1/copies", bad[i]), 400);
    assert_int_equal(kit_call(k, &w, "POST", "/api/v1/copies",
        "{\"kind\":\"folder\",\"name\":\"y\",\"place\":\"/srv/copy\"}"), 409);
    assert_int_equal(ask(k, "PATCH", id, "", "{\"name\":\"青\",\"hour\":4,\"max_days\":5}"), 200);
    assert_string_equal(kit_str(k, "when"), "daily");
    assert_int_equal(ask(k, "PATCH", id, "", "{\"hour\":null,\"elsewhere\":false}"), 200);
    assert_string_equal(kit_str(k, "when"), "backup");
    assert_string_equal(kit_str(k, "name"), "青");
    assert_int_equal(ask(k, "PATCH", id, "", "{\"hour\":24}"), 400);
    assert_int_equal(ask(k, "DELETE", id, "", NULL), 200);
    assert_int_equal(ask(k, "GET", id, "", NULL), 404);
    w = me(k);
    assert_int_equal(kit_call(k, &w, "POST", "/api/v1/copies",
        "{\"kind\":\"folder\",\"name\":\"y\",\"place\":\"/srv/copy\"}"), 201);
}

static int post_folder(struct kit *k, const char *place)
{
    char body[400];
    struct kit_who w = me(k);
    (void)snprintf(body, sizeof body, "{\"kind\":\"folder\",\"name\":\"x\",\"place\":\"%s\"}", place);
    return kit_call(k, &w, "POST", "/api/v1/copies", body);
}

static void save(struct kit *k, const char *id, const char *device, const char *name, const char *paths,
    const char *include, const char *exclude)
{
    json_t *p = json_loads(paths, 0, NULL), *i = json_loads(include, 0, NULL), *e = json_loads(exclude, 0, NULL),
           *s = json_object();
    assert_int_equal(state_do(k->state, STATE_source_add,
        STATE_ARGS(state_t(id), state_t(device), state_t(name), state_t("emr"), state_t("files"), state_j(s), state_j(p),
            state_j(i), state_j(e), state_j(s), state_t(""), state_i(0), state_i(0), state_i(0), state_i(1), state_i(1),
            state_i(0))), 1);
    json_decref(p);
    json_decref(i);
    json_decref(e);
    json_decref(s);
}

static void another_machine(struct kit *k)
{
    assert_int_equal(state_do(k->state, STATE_device_add,
        STATE_ARGS(state_t("another"), state_t("another"), state_t("外来"), state_t("pc2"), state_t("Linux"),
            state_t("m2"), state_t("1"), state_t("22"), state_t("cc"), state_i(NOW), state_i(365), state_i(1),
            state_j(NULL))), 1);
}

static const char *message(const struct kit *k)
{
    return json_string_value(json_object_get(json_object_get(k->body, "error"), "message"));
}

static void the_boxs_own_data_is_no_place_for_a_copy(void **state)
{
    struct kit *k = *state;
    char id[40], path[100], link_path[100];
    make(k, "folder", "/srv/copy", id);
    assert_int_equal(post_folder(k, k->dir), 400);
    assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "error"), "field")), "place");
    (void)snprintf(path, sizeof path, "%s/copies", k->dir);
    assert_int_equal(post_folder(k, path), 400);
    assert_int_equal(post_folder(k, "/tmp"), 400);
    (void)snprintf(path, sizeof path, "%s-beside", k->dir);
    assert_int_equal(post_folder(k, path), 201);
    (void)snprintf(link_path, sizeof link_path, "%s-link", k->dir);
    assert_int_equal(symlink(k->dir, link_path), 0);
    assert_int_equal(post_folder(k, link_path), 400); /* by its real path */
    assert_int_equal(unlink(link_path), 0);
}

static void a_folder_that_a_source_of_this_machine_saves_is_no_place_for_a_copy(void **state)
{
    struct kit *k = *state;
    char id[40], device[33], other[33];
    make(k, "folder", "/srv/copy", id);
    kit_device(k, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", device);
    save(k, "s1", device, "電子カルテ", "[\"/none/emr\",\"/none/more\"]", "[]", "[\"*.tmp\",\"cache/\"]");
    save(k, "s2", device, "書類", "[\"/none/papers\"]", "[]", "[\"/none/papers/copy\"]");
    save(k, "s3", device, "画像", "[\"/none/pictures\"]", "[\"*.dcm\"]", "[]");
    assert_int_equal(post_folder(k, "/none/more/copy"), 400);
    assert_non_null(strstr(message(k), "電子カルテ"));
    assert_int_equal(post_folder(k, "/none/emr"), 400);
    assert_int_equal(post_folder(k, "/none/emr-beside"), 201);
    assert_null(json_object_get(k->body, "warning"));
    assert_int_equal(post_folder(k, "/none"), 201); /* above is beside: sakimori-copy is made next to it */
    assert_int_equal(post_folder(k, "/none/emr/cache/x"), 201);
    assert_null(json_object_get(k->body, "warning"));
    assert_int_equal(post_folder(k, "/none/papers/copy"), 201); /* perhaps left out */
    assert_non_null(strstr(kit_str(k, "warning"), "書類"));
    assert_int_equal(post_folder(k, "/none/pictures/copy"), 201);
    assert_non_null(strstr(kit_str(k, "warning"), "画像"));
    /* The same path on another machine is another folder. */
    kit_device(k, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", other);
    save(k, "s4", other, "受付", "[\"/none/desk\"]", "[]", "[]");
    assert_int_equal(post_folder(k, "/none/desk/a"), 400);
    another_machine(k);
    save(k, "s5", "another", "外来", "[\"/none/ward\"]", "[]", "[]");
    assert_int_equal(post_folder(k, "/none/ward/b"), 201);
    assert_null(json_object_get(k->body, "warning"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_box_without_copies_has_only_its_own_check),
        cmocka_unit_test(a_verified_disk_in_another_building_lights_all_five),
        cmocka_unit_test(a_disk_that_stays_in_is_neither_elsewhere_nor_out_of_reach),
        cmocka_unit_test(a_disk_never_filled_counts_for_nothing),
        cmocka_unit_test(an_old_copy_is_to_be_looked_at_but_not_when_nothing_is_newer),
        cmocka_unit_test(two_disks_take_turns),
        cmocka_unit_test(a_folder_on_the_same_disk_is_no_second_medium),
        cmocka_unit_test(errors_put_the_last_lamp_out),
#define API_TEST(f) cmocka_unit_test_setup_teardown(f, kit_open, kit_close)
        API_TEST(a_folder_is_copied_read_back_and_told),
        API_TEST(a_disk_is_filled_when_it_comes_and_counts_when_it_went),
        API_TEST(a_disk_left_in_is_on_today_after_a_day),
        API_TEST(a_disk_pulled_in_the_middle_is_no_failure_of_the_copy),
        API_TEST(a_forked_copy_calls_and_is_left_alone),
        API_TEST(errors_in_a_copy_raise_an_alarm_and_the_next_run_reads_deep),
        API_TEST(a_clean_up_in_between_begins_again_with_a_newer_head),
        API_TEST(a_place_that_is_gone_is_told_and_twice_is_an_alarm),
        API_TEST(places_are_checked_and_not_taken_twice),
        API_TEST(the_boxs_own_data_is_no_place_for_a_copy),
        API_TEST(a_folder_that_a_source_of_this_machine_saves_is_no_place_for_a_copy),
    };
    return cmocka_run_group_tests_name("api copies", tests, NULL, NULL);
}
