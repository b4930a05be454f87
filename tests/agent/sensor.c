/* The sensor's own tables: files held open, acts remembered.  What it does with a kernel is in e2e/sensor.test.mjs. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "sakimori-agent/sensor/acts.h"
#include "sakimori-agent/sensor/held.h"
#include "sakimori-agent/sensor/sensor.h"

static unsigned dropped;
static uint64_t last_dropped;

static void on_dropped(void *ctx, uint64_t file, int held)
{
    (void)ctx;
    assert_true(fcntl(held, F_GETFD) >= 0); /* still open */
    dropped++;
    last_dropped = file;
}

static int fd(void)
{
    int f = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(f >= 0);
    return f;
}

static struct held *make(size_t max)
{
    struct held *h = held_new(max, on_dropped, NULL);
    assert_non_null(h);
    dropped = 0;
    return h;
}

static void a_held_file_is_found_by_tree_by_file_and_by_name(void **state)
{
    struct held *h = make(8);
    (void)state;
    struct held_file *f = held_put(h, 1, 100, fd(), 7, 1);
    assert_ptr_equal(held_find(h, 1, 100), f);
    assert_null(held_find(h, 2, 100));
    assert_ptr_equal(held_any(h, 100), f);
    assert_ptr_equal(held_named(h, 1, 7), f);
    assert_ptr_equal(held_named(h, 0, 7), f);
    assert_null(held_named(h, 2, 7));
    held_rename(h, f, 8);
    assert_null(held_named(h, 1, 7));
    assert_ptr_equal(held_named(h, 1, 8), f);
    held_free(h);
}

static void the_same_file_of_the_same_tree_is_held_once(void **state)
{
    struct held *h = make(8);
    (void)state;
    struct held_file *f = held_put(h, 1, 100, fd(), 7, 1);
    int second = fd();
    assert_ptr_equal(held_put(h, 1, 100, second, 7, 2), f);
    assert_int_equal(fcntl(second, F_GETFD), -1);
    assert_int_equal(held_count(h), 1);
    held_free(h);
}

static void the_quietest_makes_room_and_what_is_at_stake_stays(void **state)
{
    struct held *h = make(4);
    (void)state;
    held_put(h, 1, 1, fd(), 1, 1)->bits |= HELD_KEPT;
    held_put(h, 1, 2, fd(), 2, 2);
    held_put(h, 1, 3, fd(), 3, 3);
    held_put(h, 1, 4, fd(), 4, 4);
    held_touch(h, held_find(h, 1, 2), 5);
    held_put(h, 1, 5, fd(), 5, 6);
    assert_non_null(held_find(h, 1, 1));
    assert_non_null(held_find(h, 1, 2));
    assert_null(held_find(h, 1, 3));
    assert_int_equal(last_dropped, 3);
    assert_int_equal(held_count(h), 4);
    held_free(h);
}

static void a_file_is_told_dropped_only_when_its_last_holder_goes(void **state)
{
    struct held *h = make(8);
    (void)state;
    held_put(h, 1, 100, fd(), 1, 1);
    held_put(h, 2, 100, fd(), 1, 1);
    held_drop_tree(h, 1);
    assert_int_equal(dropped, 0);
    held_drop_tree(h, 2);
    assert_int_equal(dropped, 1);
    assert_int_equal(held_count(h), 0);
    held_free(h);
}

static void files_whose_names_are_gone_are_bounded_by_their_bytes(void **state)
{
    struct held *h = make(8);
    (void)state;
    for (uint64_t i = 1; i <= 4; i++)
        held_gone(h, held_put(h, 1, i, fd(), i, (int64_t)i), 100, 250);
    assert_null(held_find(h, 1, 1));
    assert_null(held_find(h, 1, 2));
    assert_non_null(held_find(h, 1, 3));
    assert_non_null(held_find(h, 1, 4));
    assert_null(held_named(h, 1, 4)); /* nobody finds it by its name any more */
    held_free(h);
}

static void one_that_is_larger_than_all_room_is_held_alone(void **state)
{
    struct held *h = make(8);
    (void)state;
    held_gone(h, held_put(h, 1, 1, fd(), 1, 1), 1000, 250);
    assert_non_null(held_find(h, 1, 1));
    held_gone(h, held_put(h, 1, 2, fd(), 2, 2), 10, 250);
    assert_null(held_find(h, 1, 1));
    assert_non_null(held_find(h, 1, 2));
    held_free(h);
}

static void age_lets_go_of_removable_disks_first(void **state)
{
    struct held *h = make(8);
    (void)state;
    held_put(h, 1, 1, fd(), 1, 100);
    held_put(h, 1, 2, fd(), 2, 100)->bits |= HELD_REMOVABLE;
    held_put(h, 1, 3, fd(), 3, 10);
    held_age(h, 50, 150);
    assert_non_null(held_find(h, 1, 1));
    assert_null(held_find(h, 1, 2));
    assert_null(held_find(h, 1, 3));
    held_free(h);
}

static void many_files_come_and_go_and_every_descriptor_is_closed(void **state)
{
    struct held *h = make(64);
    int before = fd();
    (void)state;
    close(before);
    for (uint64_t i = 0; i < 5000; i++) {
        held_put(h, i % 7 + 1, i % 300 + 1, fd(), i % 300, (int64_t)i);
        if (i % 11 == 0)
            held_drop_tree(h, i % 7 + 1);
        assert_true(held_count(h) <= 64);
    }
    held_free(h);
    int after = fd();
    assert_int_equal(after, before);
    close(after);
}

/* ---- acts ---- */

struct seen {
    size_t n;
    uint64_t file[4096];
    char text[256];
};

static void on_act(void *ctx, const struct act *a)
{
    struct seen *s = ctx;
    if (s->n < 4096)
        s->file[s->n++] = a->file;
    assert_true(a->path.n < sizeof s->text);
    memcpy(s->text, a->path.p, a->path.n);
    s->text[a->path.n] = 0;
}

static void add(struct acts *a, uint64_t tree, uint64_t file, const char *path)
{
    acts_add(a, &(struct act){.tree = tree, .file = file, .kind = 1, .path = SM_SPAN_STR(path), .was = SM_SPAN_STR("was")});
}

static void acts_come_out_in_order_for_one_tree_and_once(void **state)
{
    struct acts *a = acts_new(1 << 16);
    struct seen s = {0};
    (void)state;
    for (uint64_t i = 1; i <= 20; i++)
        add(a, i % 2 + 1, i, "/some/where\n\xff");
    assert_int_equal(acts_take(a, 1, on_act, &s), 10);
    for (size_t i = 0; i < s.n; i++)
        assert_int_equal(s.file[i], 2 * (i + 1));
    assert_string_equal(s.text, "/some/where\n\xff");
    assert_int_equal(acts_take(a, 1, on_act, &s), 0);
    assert_int_equal(acts_take(a, 2, on_act, &s), 10);
    acts_free(a);
}

static void a_full_ring_forgets_the_oldest_and_keeps_the_newest(void **state)
{
    struct acts *a = acts_new(16384);
    static struct seen s;
    char path[200];
    (void)state;
    for (uint64_t i = 1; i <= 3000; i++) {
        memset(path, 'x', sizeof path);
        path[i % 190] = 0;
        add(a, 1, i, path);
    }
    s.n = 0;
    size_t n = acts_take(a, 1, on_act, &s);
    assert_true(n > 16 && n < 256);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(s.file[i], 3000 - n + 1 + i);
    acts_free(a);
}

static void an_act_too_long_for_the_ring_is_left_out(void **state)
{
    struct acts *a = acts_new(4096);
    static char path[4000];
    struct seen s = {0};
    (void)state;
    memset(path, 'x', sizeof path - 1);
    add(a, 1, 1, "/a");
    add(a, 1, 2, path);
    add(a, 1, 3, "/b");
    assert_int_equal(acts_take(a, 1, on_act, &s), 2);
    acts_free(a);
}

static void what_a_terminal_would_act_on_is_shown_as_numbers(void **state)
{
    static const struct { const char *in, *out; } rows[] = {
        {"/srv/予約表.xlsx", "/srv/予約表.xlsx"},
        {"a\x1b[2Jb\nc\x7f", "a\\x1b[2Jb\\x0ac\\x7f"},
        {"\xc2\x9b" "31m", "\\xc2\\x9b31m"},
        {"a\xe2\x80\xae" "fdp.exe", "a\\xe2\\x80\\xaefdp.exe"},
        {"\xff\x82" "a", "\\xff\\x82a"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[256] = "";
        FILE *f = fmemopen(out, sizeof out, "w");
        assert_non_null(f);
        sensor_check_text(f, rows[i].in);
        fclose(f);
        assert_string_equal(out, rows[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_would_act_on_is_shown_as_numbers),
        cmocka_unit_test(a_held_file_is_found_by_tree_by_file_and_by_name),
        cmocka_unit_test(the_same_file_of_the_same_tree_is_held_once),
        cmocka_unit_test(the_quietest_makes_room_and_what_is_at_stake_stays),
        cmocka_unit_test(a_file_is_told_dropped_only_when_its_last_holder_goes),
        cmocka_unit_test(files_whose_names_are_gone_are_bounded_by_their_bytes),
        cmocka_unit_test(one_that_is_larger_than_all_room_is_held_alone),
        cmocka_unit_test(age_lets_go_of_removable_disks_first),
        cmocka_unit_test(many_files_come_and_go_and_every_descriptor_is_closed),
        cmocka_unit_test(acts_come_out_in_order_for_one_tree_and_once),
        cmocka_unit_test(a_full_ring_forgets_the_oldest_and_keeps_the_newest),
        cmocka_unit_test(an_act_too_long_for_the_ring_is_left_out),
    };
    return cmocka_run_group_tests_name("agent-sensor", tests, NULL, NULL);
}
