/* judge: its spool over crashes, its cases, its rules. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/init.h"
#include "plat/fs.h"
#include "sakimori-agent/judge/cases.h"
#include "sakimori-agent/judge/rules.h"
#include "sakimori-agent/judge/spool.h"

static char dir[64];

static int folder(void)
{
    int fd = plat_fs_open_dir(AT_FDCWD, dir);
    assert_true(fd >= 0);
    return fd;
}

static int fresh(void **s)
{
    (void)s;
    snprintf(dir, sizeof dir, "/tmp/sakimori-judge-XXXXXX");
    return crypto_init() || !mkdtemp(dir);
}

static int clean(void **s)
{
    (void)s;
    return plat_fs_remove_tree(AT_FDCWD, dir);
}

/* ---- spool ---- */

static struct spool *spool_again(struct spool *s, uint64_t max)
{
    spool_free(s);
    assert_ok(spool_open(folder(), max, &s));
    return s;
}

static void put(struct spool *s, const char *line, uint64_t now)
{
    assert_ok(spool_add(s, SM_SPAN_STR(line), 7, now, false));
    assert_ok(spool_write(s));
}

/* The lines of a batch, joined by '|'. */
static const char *lines(struct sm_span b)
{
    static char text[4096];
    size_t n = 0;
    text[0] = 0;
    for (size_t at = 0; at < b.n;) {
        uint32_t len = (uint32_t)b.p[at] | (uint32_t)b.p[at + 1] << 8 | (uint32_t)b.p[at + 2] << 16;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", n ? "|" : "", (int)len, b.p + at + 12);
        at += 12 + len;
    }
    return text;
}

static void what_comes_together_is_one_batch_and_the_next_has_a_higher_number(void **state)
{
    struct spool *s;
    struct spool_batch b, c;
    uint64_t wait;
    (void)state;
    assert_ok(spool_open(folder(), SPOOL_BYTES_MAX, &s));
    assert_int_equal(spool_next(s, 0, &b, &wait), 0);
    assert_true(wait == UINT64_MAX);
    put(s, "one", 1000);
    put(s, "two", 1100);
    assert_int_equal(spool_next(s, 1200, &b, &wait), 0);
    assert_int_equal(wait, SPOOL_GATHER_MS - 200);
    assert_int_equal(spool_next(s, 1000 + SPOOL_GATHER_MS, &b, &wait), 1);
    assert_string_equal(lines(b.bytes), "one|two");
    put(s, "three", 1600);
    assert_int_equal(spool_next(s, 9999, &c, &wait), 1); /* not settled: the same */
    assert_int_equal(c.number, b.number);
    assert_string_equal(lines(c.bytes), "one|two");
    spool_settled(s, true);
    assert_int_equal(spool_next(s, 9999, &c, &wait), 1);
    assert_true(c.number > b.number);
    assert_string_equal(lines(c.bytes), "three");
    spool_settled(s, true);
    assert_int_equal(spool_next(s, 9999, &c, &wait), 0);
    spool_free(s);
}

static void an_urgent_line_does_not_wait(void **state)
{
    struct spool *s;
    struct spool_batch b;
    uint64_t wait;
    (void)state;
    assert_ok(spool_open(folder(), SPOOL_BYTES_MAX, &s));
    assert_ok(spool_add(s, SM_SPAN_STR("now"), 7, 1000, true));
    assert_ok(spool_write(s));
    assert_int_equal(spool_next(s, 1000, &b, &wait), 1);
    spool_settled(s, true);
    put(s, "later", 1001);
    assert_int_equal(spool_next(s, 1001, &b, &wait), 0);
    spool_free(s);
}

static void after_a_kill_the_same_batch_goes_with_the_same_life_and_number(void **state)
{
    struct spool *s;
    struct spool_batch b, again;
    char life[SPOOL_LIFE + 1];
    uint64_t wait, number;
    (void)state;
    assert_ok(spool_open(folder(), SPOOL_BYTES_MAX, &s));
    put(s, "one", 0);
    assert_int_equal(spool_next(s, 9999, &b, &wait), 1);
    number = b.number;
    memcpy(life, b.life, sizeof life);
    put(s, "two", 9999);
    s = spool_again(s, SPOOL_BYTES_MAX); /* nothing of what a kill would leave out was written by spool_free */
    assert_int_equal(spool_next(s, 0, &again, &wait), 1);
    assert_int_equal(again.number, number);
    assert_string_equal(again.life, life);
    assert_string_equal(lines(again.bytes), "one");
    spool_settled(s, true);
    assert_int_equal(spool_next(s, 0, &again, &wait), 1);
    assert_true(again.number > number);
    assert_string_equal(lines(again.bytes), "two");
    number = again.number;
    spool_settled(s, true);
    s = spool_again(s, SPOOL_BYTES_MAX);
    put(s, "three", 0);
    assert_int_equal(spool_next(s, 9999, &again, &wait), 1);
    assert_true(again.number > number); /* also when no file was left to tell of it */
    assert_string_equal(again.life, life);
    spool_free(s);
}

static void a_record_torn_by_a_crash_is_cut_off_and_those_before_it_stay(void **state)
{
    struct spool *s;
    struct spool_batch b;
    uint64_t wait;
    char name[200] = "";
    (void)state;
    assert_ok(spool_open(folder(), SPOOL_BYTES_MAX, &s));
    put(s, "whole", 0);
    spool_free(s);
    int d = folder();
    struct sm_buf at = SM_BUF_INIT(256);
    assert_ok(plat_fs_read_file(d, "at", 256, &at));
    char life[17];
    assert_int_equal(sscanf(sm_buf_str(&at), "1 %16s", life), 1);
    sm_buf_wipe(&at);
    snprintf(name, sizeof name, "%s-%016x", life, 1);
    int fd = openat(d, name, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "\x40\0\0\0........torn", 16), 16);
    close(fd);
    close(d);
    assert_ok(spool_open(folder(), SPOOL_BYTES_MAX, &s));
    assert_int_equal(spool_next(s, 0, &b, &wait), 1);
    assert_string_equal(lines(b.bytes), "whole");
    spool_free(s);
}

static void without_its_place_the_spool_counts_anew_under_another_life(void **state)
{
    struct spool *s;
    struct spool_batch b;
    char life[SPOOL_LIFE + 1];
    uint64_t wait;
    (void)state;
    assert_ok(spool_open(folder(), SPOOL_BYTES_MAX, &s));
    put(s, "old", 0);
    assert_int_equal(spool_next(s, 9999, &b, &wait), 1);
    memcpy(life, b.life, sizeof life);
    int d = folder();
    assert_ok(plat_fs_unlink(d, "at"));
    close(d);
    s = spool_again(s, SPOOL_BYTES_MAX);
    put(s, "new", 0);
    assert_int_equal(spool_next(s, 9999, &b, &wait), 1);
    assert_string_equal(b.life, life); /* what was begun goes under its own */
    spool_settled(s, true);
    assert_int_equal(spool_next(s, 9999, &b, &wait), 1);
    assert_string_not_equal(b.life, life);
    assert_string_equal(lines(b.bytes), "new");
    spool_free(s);
}

static void a_full_spool_drops_its_oldest_and_counts_them_but_not_what_is_on_its_way(void **state)
{
    struct spool *s;
    struct spool_batch b;
    struct spool_counts n;
    uint64_t wait;
    char *line = malloc(100001);
    (void)state;
    assert_non_null(line);
    memset(line, 'x', 100000);
    line[100000] = 0;
    assert_ok(spool_open(folder(), 1 << 20, &s));
    put(s, "first", 0);
    assert_int_equal(spool_next(s, 9999, &b, &wait), 1);
    for (int i = 0; i < 40; i++)
        put(s, line, 0);
    spool_counts(s, &n);
    assert_true(n.bytes <= (1 << 20) + 600000 && n.dropped >= 25 && n.dropped < 40);
    assert_int_equal(n.untold, n.dropped);
    assert_int_equal(spool_next(s, 9999, &b, &wait), 1);
    assert_string_equal(lines(b.bytes), "first");
    spool_settled(s, true);
    uint64_t got = 0;
    while (spool_next(s, 9999, &b, &wait) == 1) {
        got += b.bytes.n / 100012;
        spool_settled(s, true);
    }
    assert_int_equal(got + n.dropped, 40);
    spool_told(s, n.untold);
    spool_counts(s, &n);
    assert_int_equal(n.untold, 0);
    assert_int_equal(n.bytes, 0);
    free(line);
    spool_free(s);
}

static void a_batch_that_the_box_refuses_is_counted_as_dropped(void **state)
{
    struct spool *s;
    struct spool_batch b;
    struct spool_counts n;
    uint64_t wait;
    (void)state;
    assert_ok(spool_open(folder(), SPOOL_BYTES_MAX, &s));
    put(s, "one", 0);
    assert_int_equal(spool_next(s, 9999, &b, &wait), 1);
    spool_settled(s, false);
    spool_counts(s, &n);
    assert_int_equal(n.dropped, 1);
    assert_int_equal(n.sent, 0);
    spool_free(s);
}

/* ---- cases ---- */

static struct {
    uint64_t now;
    int64_t wall;
    int post, ask, tree, events, post_err, ask_err;
    char id[17], action[40], done[16], action_of_event[40];
    unsigned act;
    json_t *body;
} world;

static int w_post(void *ctx, const char *id, struct sm_span body)
{
    (void)ctx;
    world.post++;
    snprintf(world.id, sizeof world.id, "%s", id);
    json_decref(world.body);
    world.body = NULL;
    assert_ok(sm_json_parse(body, CASES_BODY_MAX, &world.body, NULL));
    return world.post_err;
}
static int w_ask(void *ctx, const char *id, unsigned act, struct sm_span body)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    (void)ctx;
    (void)id;
    assert_ok(sm_json_parse(body, E_DO_MAX, &j, NULL));
    world.ask++;
    world.act = act;
    snprintf(world.action, sizeof world.action, "%s", json_string_value(json_object_get(j, "action")));
    return world.ask_err;
}
static int w_tree(void *ctx, uint64_t tree, const char *what)
{
    (void)ctx;
    (void)tree;
    world.tree++;
    snprintf(world.done, sizeof world.done, "%s", what);
    return 0;
}
static void w_event(void *ctx, const json_t *e)
{
    (void)ctx;
    world.events++;
    snprintf(world.action_of_event, sizeof world.action_of_event, "%s", json_string_value(json_object_get(e, "action")));
}
static uint64_t w_now(void)
{
    return world.now;
}
static int64_t w_wall(void)
{
    return world.wall;
}
static const struct cases_ways ways = {.post = w_post, .ask = w_ask, .tree = w_tree, .event = w_event, .now_ms = w_now, .wall_ms = w_wall};

static const json_t *sent(const char *key)
{
    return json_object_get(json_object_get(world.body, "finding"), key);
}

static struct cases *cases_new(const struct endpoint_policy *p)
{
    struct cases *c;
    json_decref(world.body);
    memset(&world, 0, sizeof world);
    world.now = 1000000;
    world.wall = 1795410000000;
    assert_ok(cases_open(folder(), &ways, p, &c));
    return c;
}

#define VIEW(state, more)                                                                                              \
    "{\"id\":\"00112233445566aa\",\"kind\":\"ransomware\",\"at\":\"2026-11-23T05:00:00.250Z\",\"tree\":77,\"state\":\"" state \
    "\",\"score\":70,\"threshold\":60,\"program\":\"/tmp/x\",\"timing\":{\"first_ms\":1795409999900,\"stop_ms\":20},"  \
    "\"files\":{\"touched\":3},\"processes\":[{\"pid\":5,\"line\":\"x y\",\"odd\":{\"a\":1}}]" more "}"

static int tell(struct cases *c, const char *text)
{
    int r = cases_told(c, SM_SPAN_STR(text));
    (void)cases_go(c);
    return r;
}

static void a_stop_is_told_at_once_and_its_files_are_given_back(void **state)
{
    struct endpoint_policy p = {.ransom = ENDPOINT_STOP, .give_back = true};
    struct cases *c = cases_new(&p);
    json_t *done = json_loads("{\"state\":\"done\",\"detail\":\"3 files\",\"files\":{\"given_back\":3,\"lost\":0}}", 0, NULL);
    (void)state;
    assert_ok(tell(c, VIEW("stopped", ",\"acts\":[{\"at\":\"x\",\"action\":\"stop\",\"by\":\"policy\",\"state\":\"done\",\"processes\":2}]")));
    assert_int_equal(world.post, 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(sent("acts"), 0), "action")), "stop");
    assert_string_equal(json_string_value(sent("state")), "stopped");
    assert_int_equal(json_integer_value(json_object_get(sent("timing"), "told_ms")), 100);
    assert_null(json_object_get(json_array_get(sent("processes"), 0), "odd")); /* the box takes plain values alone */
    assert_int_equal(world.events, 1);
    assert_string_equal(world.action_of_event, "ransomware_stopped");
    assert_string_equal(world.action, "give_back");
    json_int_t rev = json_integer_value(sent("rev"));
    cases_answered(c, world.id, 200);
    cases_acted(c, "00112233445566aa", world.act, 0, false, done);
    (void)cases_go(c);
    assert_int_equal(world.post, 2);
    assert_true(json_integer_value(sent("rev")) > rev);
    assert_int_equal(json_integer_value(json_object_get(sent("files"), "given_back")), 3);
    assert_int_equal(json_integer_value(json_object_get(sent("files"), "touched")), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(sent("acts"), 1), "action")), "give_back");
    assert_string_equal(json_string_value(json_object_get(json_array_get(sent("acts"), 1), "state")), "done");
    cases_answered(c, world.id, 200);
    assert_true(cases_go(c) == UINT64_MAX);
    assert_int_equal(world.post, 2);
    assert_ok(tell(c, VIEW("stopped", "")));
    assert_int_equal(world.ask, 1); /* once */
    assert_ok(tell(c, VIEW("stopped", ",\"stops\":2"))); /* it moved again */
    assert_int_equal(world.ask, 2);
    json_decref(done);
    cases_free(c);
}

static void kill_comes_before_give_back_and_each_waits_for_the_one_before(void **state)
{
    struct endpoint_policy p = {.ransom = ENDPOINT_KILL, .give_back = true, .isolate_by_rule = true};
    struct cases *c = cases_new(&p);
    json_t *done = json_loads("{\"state\":\"done\",\"detail\":\"\"}", 0, NULL);
    (void)state;
    assert_ok(tell(c, VIEW("stopped", "")));
    assert_string_equal(world.action, "kill");
    assert_int_equal(world.ask, 1);
    cases_acted(c, "00112233445566aa", world.act, 0, false, done);
    assert_string_equal(world.action, "give_back");
    cases_acted(c, "00112233445566aa", world.act, 0, false, done);
    assert_string_equal(world.action, "isolate");
    cases_answered(c, world.id, 200);
    (void)cases_go(c);
    assert_string_equal(json_string_value(sent("state")), "killed");
    assert_ok(tell(c, VIEW("stopped", ""))); /* the sensor's older view */
    cases_answered(c, world.id, 200);
    (void)cases_go(c);
    assert_string_equal(json_string_value(sent("state")), "killed");
    json_decref(done);
    cases_free(c);
}

static void what_actor_could_not_hear_is_asked_again_when_it_is_there(void **state)
{
    struct endpoint_policy p = {.ransom = ENDPOINT_STOP, .give_back = true};
    struct cases *c = cases_new(&p);
    (void)state;
    world.ask_err = -SM_EPEER;
    assert_ok(tell(c, VIEW("stopped", "")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(sent("acts"), 0), "state")), "asked");
    world.ask_err = 0;
    int before = world.ask;
    cases_actor_here(c);
    assert_int_equal(world.ask, before + 1);
    cases_acted(c, "00112233445566aa", world.act, -SM_EPEER, true, NULL); /* it died with it */
    cases_actor_here(c);
    assert_int_equal(world.ask, before + 2);
    cases_acted(c, "00112233445566aa", world.act, -EACCES, false, NULL); /* it will not */
    cases_answered(c, world.id, 200);
    (void)cases_go(c);
    assert_int_equal(json_array_size(sent("acts")), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(sent("acts"), 0), "state")), "refused");
    cases_free(c);
}

static void a_finding_goes_on_after_a_kill_until_the_box_has_it(void **state)
{
    struct endpoint_policy p = {.ransom = ENDPOINT_STOP, .give_back = true};
    struct cases *c = cases_new(&p);
    struct cases_counts n;
    (void)state;
    world.post_err = -SM_EPEER;
    assert_ok(tell(c, VIEW("stopped", "")));
    json_int_t rev = json_integer_value(sent("rev"));
    cases_counts(c, &n);
    assert_int_equal(n.untold, 1);
    int before = world.post;
    (void)cases_go(c);
    assert_int_equal(world.post, before); /* not again and again */
    cases_free(c);
    c = cases_new(&p);
    (void)cases_go(c);
    assert_int_equal(world.post, 1);
    assert_true(json_integer_value(sent("rev")) >= rev);
    assert_string_equal(json_string_value(sent("program")), "/tmp/x");
    assert_int_equal(world.ask, 1);
    assert_int_equal(world.events, 0); /* said before */
    cases_answered(c, world.id, 503);
    world.now += 1001;
    (void)cases_go(c);
    assert_int_equal(world.post, 2);
    cases_answered(c, world.id, 200);
    cases_free(c);
    c = cases_new(&p);
    (void)cases_go(c);
    assert_int_equal(world.post, 0);
    cases_free(c);
}

static void watching_tells_and_does_nothing(void **state)
{
    struct endpoint_policy p = {.ransom = ENDPOINT_WATCH, .give_back = true};
    struct cases *c = cases_new(&p);
    (void)state;
    assert_ok(tell(c, VIEW("seen", "")));
    assert_int_equal(world.ask, 0);
    assert_string_equal(world.action_of_event, "ransomware_seen");
    assert_ok(tell(c, VIEW("seen", "")));
    assert_int_equal(world.events, 1);
    p.ransom = ENDPOINT_STOP; /* another policy came */
    assert_ok(tell(c, VIEW("stopped", "")));
    assert_int_equal(world.events, 2);
    assert_string_equal(world.action_of_event, "ransomware_stopped");
    cases_free(c);
}

static void an_act_of_a_person_is_added_to_the_case(void **state)
{
    struct endpoint_policy p = {.ransom = ENDPOINT_STOP};
    struct cases *c = cases_new(&p);
    (void)state;
    assert_ok(tell(c, VIEW("stopped", "")));
    cases_answered(c, world.id, 200);
    assert_ok(tell(c, "{\"id\":\"00112233445566aa\",\"state\":\"ended\",\"act\":{\"action\":\"kill\",\"by\":\"order\",\"state\":\"done\",\"detail\":\"2\"}}"));
    assert_string_equal(json_string_value(sent("state")), "ended");
    assert_string_equal(json_string_value(json_object_get(json_array_get(sent("acts"), 0), "by")), "order");
    assert_int_equal(tell(c, "{\"id\":\"ffffffffffffffff\",\"act\":{\"action\":\"kill\",\"state\":\"done\"}}"), -SM_ENOTFOUND);
    cases_free(c);
}

static void hit(struct cases *c, enum sigma_level level, const char *name, uint64_t tree)
{
    const struct sigma_rule rule = {.level = level, .id = "", .name = name, .title = "Title", .title_ja = "題"};
    const struct cases_hit h = {.rule = &rule, .tree = tree, .program = SM_SPAN_STR("/bin/x"), .line = SM_SPAN_STR("x -y"),
        .user = SM_SPAN_STR("jimu"), .pid = SM_SPAN_STR("42")};
    cases_hit(c, &h);
    (void)cases_go(c);
}

static void rules_that_match_one_tree_are_one_case(void **state)
{
    struct endpoint_policy p = {.answer = ENDPOINT_ANSWER_TELL};
    struct cases *c = cases_new(&p);
    (void)state;
    hit(c, SIGMA_HIGH, "one", 0); /* of no tree: the event alone tells of it */
    assert_int_equal(world.post, 0);
    hit(c, SIGMA_HIGH, "one", 7);
    assert_int_equal(world.post, 1);
    assert_string_equal(json_string_value(sent("kind")), "rule");
    assert_string_equal(json_string_value(json_object_get(json_array_get(sent("reasons"), 0), "ja")), "題");
    assert_string_equal(json_string_value(json_object_get(json_array_get(sent("processes"), 0), "line")), "x -y");
    cases_answered(c, world.id, 200);
    hit(c, SIGMA_HIGH, "one", 7); /* the same again waits for others */
    assert_int_equal(world.post, 1);
    world.now += 1001;
    (void)cases_go(c);
    assert_int_equal(world.post, 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(sent("reasons"), 0), "times")), 2);
    cases_answered(c, world.id, 200);
    world.now += 1001;
    hit(c, SIGMA_CRITICAL, "two", 7);
    assert_int_equal(json_array_size(sent("reasons")), 2);
    assert_int_equal(world.tree + world.ask, 0);
    char first[17];
    snprintf(first, sizeof first, "%s", world.id);
    cases_answered(c, world.id, 200);
    hit(c, SIGMA_HIGH, "one", 8);
    assert_string_not_equal(world.id, first);
    cases_answered(c, world.id, 200);
    world.wall += 86400001; /* and nothing followed */
    (void)cases_go(c);
    assert_string_equal(json_string_value(sent("state")), "ended");
    cases_free(c);
}

static void lines_of_logs_are_one_case_for_each_rule_and_stop_nothing(void **state)
{
    struct endpoint_policy p = {.answer = ENDPOINT_ANSWER_KILL};
    struct cases *c = cases_new(&p);
    struct sigma_rule rule = {.id = "", .name = "one", .title = "T", .title_ja = "", .level = SIGMA_HIGH};
    const struct cases_hit h = {.rule = &rule, .log = true, .user = SM_SPAN_STR("u")};
    (void)state;
    cases_hit(c, &h);
    (void)cases_go(c);
    assert_int_equal(world.post, 1);
    char first[17];
    snprintf(first, sizeof first, "%s", world.id);
    cases_answered(c, world.id, 200);
    rule.name = "two"; /* another rule is another case, not one more reason */
    world.now += 1001;
    cases_hit(c, &h);
    (void)cases_go(c);
    assert_int_equal(world.post, 2);
    assert_string_not_equal(world.id, first);
    assert_int_equal(json_array_size(sent("reasons")), 1);
    assert_int_equal(world.tree + world.ask, 0);
    cases_answered(c, world.id, 200);
    cases_free(c);
}

static void a_rule_stops_or_kills_its_tree_when_the_policy_says_so(void **state)
{
    struct endpoint_policy p = {.answer = ENDPOINT_ANSWER_STOP};
    struct cases *c = cases_new(&p);
    json_t *done = json_loads("{\"state\":\"done\"}", 0, NULL);
    (void)state;
    hit(c, SIGMA_HIGH, "one", 7);
    assert_int_equal(world.tree, 1);
    assert_string_equal(world.done, "stop");
    assert_string_equal(json_string_value(sent("state")), "stopped");
    p.answer = ENDPOINT_ANSWER_KILL;
    p.isolate_by_rule = true;
    hit(c, SIGMA_CRITICAL, "one", 9);
    assert_string_equal(world.action, "kill");
    char id[17];
    snprintf(id, sizeof id, "%s", world.id);
    cases_answered(c, id, 200);
    cases_acted(c, id, world.act, 0, false, done);
    assert_string_equal(world.action, "isolate");
    (void)cases_go(c);
    assert_string_equal(json_string_value(sent("state")), "killed");
    json_decref(done);
    cases_free(c);
}

static void nonsense_is_no_finding(void **state)
{
    struct endpoint_policy p = {.ransom = ENDPOINT_STOP};
    static const char *const odd[] = {"", "[]", "{}", "{\"id\":\"x\"}", "{\"id\":\"00112233445566aa\"}",
        "{\"id\":\"00112233445566aa\",\"kind\":\"ransomware\",\"at\":\"2026-11-23T05:00:00Z\",\"state\":\"odd\"}",
        "{\"id\":\"../../etc/passwd\",\"kind\":\"ransomware\",\"at\":\"2026-11-23T05:00:00Z\",\"state\":\"seen\"}"};
    struct cases *c = cases_new(&p);
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_true(tell(c, odd[i]) < 0);
    assert_int_equal(world.post, 0);
    cases_free(c);
}

static void there_is_always_room_for_a_new_case(void **state)
{
    struct endpoint_policy p = {.ransom = ENDPOINT_OFF};
    struct cases *c = cases_new(&p);
    char text[300];
    (void)state;
    for (int i = 0; i < CASES_MAX + 40; i++) {
        snprintf(text, sizeof text, "{\"id\":\"%016x\",\"kind\":\"ransomware\",\"at\":\"2026-11-23T05:00:00Z\",\"state\":\"stopped\"}", i);
        assert_ok(tell(c, text));
        snprintf(text, sizeof text, "%016x", i);
        cases_answered(c, text, 200);
    }
    assert_int_equal(world.post, CASES_MAX + 40);
    cases_free(c);
}

static void a_long_finding_is_made_to_fit(void **state)
{
    struct endpoint_policy p = {.ransom = ENDPOINT_OFF};
    struct cases *c = cases_new(&p);
    json_t *v = json_loads(VIEW("stopped", ""), 0, NULL), *list = json_object_get(v, "processes");
    struct sm_buf b = SM_BUF_INIT(E_FINDING_MAX);
    char line[1200];
    (void)state;
    memset(line, 'a', sizeof line);
    line[sizeof line - 1] = 0;
    for (int i = 0; i < 190; i++)
        json_array_append_new(list, json_pack("{s:i,s:s}", "pid", i, "line", line));
    assert_ok(sm_json_dump(v, &b));
    assert_ok(cases_told(c, sm_buf_span(&b)));
    (void)cases_go(c);
    assert_int_equal(world.post, 1);
    assert_true(json_array_size(sent("processes")) > 40);
    json_decref(v);
    sm_buf_wipe(&b);
    cases_free(c);
}

/* ---- rules ---- */

static char hits[256];
static void on_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    struct rules *r = ctx;
    assert_non_null(e);
    snprintf(hits + strlen(hits), sizeof hits - strlen(hits), "%s:%.*s ", rule->name, (int)rules_value(r, e, "Tree").n,
        rules_value(r, e, "Tree").p);
}

static void put_file(const char *name, const char *text)
{
    int d = folder();
    assert_ok(plat_replace(d, name, SM_SPAN_STR(text), 0600));
    close(d);
}

static int look(struct rules *r, const char *line)
{
    hits[0] = 0;
    return rules_line(r, SM_SPAN_STR(line), (struct event_time){.s = 1795410000}, on_hit, r);
}

static void on_sign_in(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    struct sm_span user = rules_value(ctx, e, "username");
    snprintf(hits + strlen(hits), sizeof hits - strlen(hits), "%s:%.*s ", rule->name, (int)user.n, user.p);
}

static void a_rule_of_sign_ins_matches_a_line_of_a_log(void **state)
{
    const char *folders[] = {dir};
    const struct event_time now = {.s = 1795410000};
    struct rules *r;
    (void)state;
    put_file("a.yml", "title: T\nname: in\nlogsource:\n    product: linux\n    service: sshd\ndetection:\n"
                      "    s:\n        username: visitor\n        outcome: success\n    condition: s\nlevel: high\n");
    assert_ok(rules_load(folders, 1, &r));
    hits[0] = 0;
    assert_ok(rules_log(r, "auth", NULL, SM_SPAN_STR("2026-11-23T05:00:00Z k sshd[78]: Accepted password for visitor from 192.0.2.7 port 5 ssh2"), now, on_sign_in, r));
    assert_string_equal(hits, "in:visitor ");
    assert_ok(rules_log(r, "auth", NULL, SM_SPAN_STR("2026-11-23T05:00:00Z k sshd[78]: Failed password for visitor from 192.0.2.7 port 5 ssh2"), now, on_sign_in, r));
    assert_ok(rules_log(r, "journal", "journald", SM_SPAN_STR("_COMM=sshd\nSYSLOG_IDENTIFIER=sshd\n_PID=78\nMESSAGE=Accepted publickey for visitor from 192.0.2.7 port 5 ssh2\n"), now, on_sign_in, r));
    assert_string_equal(hits, "in:visitor in:visitor ");
    char name[8];
    for (int i = 0; i < 14; i++) {
        snprintf(name, sizeof name, "l%d", i);
        assert_ok(rules_log(r, name, "no such format", SM_SPAN_STR("anything"), now, on_sign_in, r));
    }
    assert_int_equal(rules_log(r, "one more", NULL, SM_SPAN_STR("x"), now, on_sign_in, r), -SM_ELIMIT);
    rules_free(r);
}

static void a_rule_of_linux_matches_an_event_of_the_machine(void **state)
{
    const char *folders[] = {dir, "/nonexistent"};
    struct rules *r;
    struct rules_counts n;
    (void)state;
    put_file("a.yml", "title: T\nname: openssl_enc\nlogsource:\n    product: linux\n    category: process_creation\ndetection:\n"
                      "    s:\n        Image|endswith: '/openssl'\n        CommandLine|contains: ' enc '\n    condition: s\nlevel: high\n");
    put_file("b.yml", "title: W\nname: not_here\nlogsource:\n    product: windows\n    category: process_creation\ndetection:\n"
                      "    s:\n        Image|endswith: '/openssl'\n    condition: s\nlevel: high\n");
    put_file("c.yml", "# linux\ntitle: broken\n");
    assert_ok(rules_load(folders, 2, &r));
    rules_counts(r, &n);
    assert_int_equal(n.rules, 1);
    assert_int_equal(n.faults, 1);
    assert_ok(look(r, "{\"v\":1,\"at\":\"2026-11-23T05:00:00.5Z\",\"category\":\"process_creation\",\"Image\":\"/usr/bin/openssl\",\"CommandLine\":\"openssl enc -k x\",\"Tree\":77}"));
    assert_string_equal(hits, "openssl_enc:77 ");
    assert_ok(look(r, "{\"v\":1,\"at\":\"2026-11-23T05:00:00.5Z\",\"category\":\"file_event\",\"Image\":\"/usr/bin/openssl\",\"CommandLine\":\"openssl enc -k x\"}"));
    assert_string_equal(hits, "");
    assert_int_equal(look(r, "no event"), 1);
    assert_int_equal(look(r, "{\"v\":1}"), 1);
    rules_free(r);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, clean)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_comes_together_is_one_batch_and_the_next_has_a_higher_number),
        T(an_urgent_line_does_not_wait),
        T(after_a_kill_the_same_batch_goes_with_the_same_life_and_number),
        T(a_record_torn_by_a_crash_is_cut_off_and_those_before_it_stay),
        T(without_its_place_the_spool_counts_anew_under_another_life),
        T(a_full_spool_drops_its_oldest_and_counts_them_but_not_what_is_on_its_way),
        T(a_batch_that_the_box_refuses_is_counted_as_dropped),
        T(a_stop_is_told_at_once_and_its_files_are_given_back),
        T(kill_comes_before_give_back_and_each_waits_for_the_one_before),
        T(what_actor_could_not_hear_is_asked_again_when_it_is_there),
        T(a_finding_goes_on_after_a_kill_until_the_box_has_it),
        T(watching_tells_and_does_nothing),
        T(an_act_of_a_person_is_added_to_the_case),
        T(rules_that_match_one_tree_are_one_case),
        T(lines_of_logs_are_one_case_for_each_rule_and_stop_nothing),
        T(a_rule_stops_or_kills_its_tree_when_the_policy_says_so),
        T(nonsense_is_no_finding),
        T(there_is_always_room_for_a_new_case),
        T(a_long_finding_is_made_to_fit),
        T(a_rule_of_linux_matches_an_event_of_the_machine),
        T(a_rule_of_sign_ins_matches_a_line_of_a_log),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(world.body);
    return r;
}
