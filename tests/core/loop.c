#include "../test.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>
#include "core/loop.h"
#include "plat/clock.h"

struct seen {
    struct sm_loop *loop;
    int n, last;
    struct sm_timer *timer, *other;
    struct sm_watch *watch, *twin;
};

static int setup(void **state)
{
    static struct seen s;
    s = (struct seen){0};
    *state = &s;
    return sm_loop_new(&s.loop);
}

static int teardown(void **state)
{
    sm_loop_free(((struct seen *)*state)->loop);
    return 0;
}

static void count(void *arg)
{
    ((struct seen *)arg)->n++;
}

static void stop(void *arg)
{
    sm_loop_stop(((struct seen *)arg)->loop, 7);
}

static void timers_fire_in_order_and_again(void **state)
{
    struct seen *s = *state;
    struct sm_timer *end, *idle;
    uint64_t start = plat_clock_mono_ms();
    assert_ok(sm_loop_timer(s->loop, 40, 0, stop, s, &end));
    assert_ok(sm_loop_timer(s->loop, 1, 2, count, s, &s->timer));
    assert_ok(sm_loop_timer(s->loop, 1, 0, count, s, &idle));
    sm_timer_stop(idle);
    assert_int_equal(sm_loop_run(s->loop), 7);
    assert_true(s->n >= 2);
    assert_true(plat_clock_mono_ms() - start >= 40);
    sm_timer_free(end);
    sm_timer_free(idle);
    sm_timer_free(s->timer);
    sm_timer_free(NULL);
}

static void free_both(void *arg)
{
    struct seen *s = arg;
    s->n++;
    sm_timer_free(s->timer);
    sm_timer_free(s->other);
}

static void a_timer_may_free_itself_and_another_one(void **state)
{
    struct seen *s = *state;
    assert_ok(sm_loop_timer(s->loop, 0, 1, free_both, s, &s->timer));
    assert_ok(sm_loop_timer(s->loop, 0, 1, free_both, s, &s->other));
    assert_ok(sm_loop_once(s->loop, 100));
    assert_ok(sm_loop_once(s->loop, 5));
    assert_int_equal(s->n, 1);
}

static void again(void *arg)
{
    struct seen *s = arg;
    s->n++;
    sm_timer_set(s->timer, 0, 0);
}

static void a_timer_that_arms_itself_at_once_starves_nobody(void **state)
{
    struct seen *s = *state;
    assert_ok(sm_loop_timer(s->loop, 0, 0, again, s, &s->timer));
    assert_ok(sm_loop_once(s->loop, 100));
    assert_int_equal(s->n, 1);
    sm_timer_free(s->timer);
}

static void a_thousand_timers_keep_their_order(void **state)
{
    struct seen *s = *state;
    static struct sm_timer *t[1000];
    for (size_t i = 0; i < 1000; i++)
        assert_ok(sm_loop_timer(s->loop, (i * 7919) % 50, 0, count, s, &t[i]));
    for (size_t i = 0; i < 1000; i += 2)
        sm_timer_free(t[i]);
    uint64_t until = plat_clock_mono_ms() + 5000;
    while (s->n < 500 && plat_clock_mono_ms() < until)
        assert_ok(sm_loop_once(s->loop, 100));
    assert_int_equal(s->n, 500);
    for (size_t i = 1; i < 1000; i += 2)
        sm_timer_free(t[i]);
}

static void ready(void *arg, int fd, unsigned events)
{
    struct seen *s = arg;
    s->n++;
    s->last = (int)events;
}

static void a_descriptor_is_watched_until_told_otherwise(void **state)
{
    struct seen *s = *state;
    int p[2];
    assert_ok(pipe(p));
    assert_ok(sm_loop_fd(s->loop, p[0], SM_READ, ready, s, &s->watch));
    assert_ok(sm_loop_once(s->loop, 0));
    assert_int_equal(s->n, 0);
    assert_int_equal(write(p[1], "x", 1), 1);
    assert_ok(sm_loop_once(s->loop, 1000));
    assert_int_equal(s->last, SM_READ);
    sm_watch_events(s->watch, 0);
    assert_ok(sm_loop_once(s->loop, 0));
    assert_int_equal(s->n, 1);
    close(p[1]);
    assert_ok(sm_loop_once(s->loop, 0));
    assert_int_equal(s->n, 1);
    sm_watch_events(s->watch, SM_READ);
    assert_ok(sm_loop_once(s->loop, 1000));
    assert_int_equal(s->last, SM_READ | SM_HUP);
    sm_watch_free(s->watch);
    close(p[0]);
}

static void kill_both(void *arg, int fd, unsigned events)
{
    struct seen *s = arg;
    s->n++;
    sm_watch_free(s->watch);
    sm_watch_free(s->twin);
}

static void a_watch_freed_in_the_same_round_is_not_called(void **state)
{
    struct seen *s = *state;
    int a[2], b[2];
    assert_ok(pipe(a));
    assert_ok(pipe(b));
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    assert_ok(sm_loop_fd(s->loop, a[0], SM_READ, kill_both, s, &s->watch));
    assert_ok(sm_loop_fd(s->loop, b[0], SM_READ, kill_both, s, &s->twin));
    assert_ok(sm_loop_once(s->loop, 1000));
    assert_ok(sm_loop_once(s->loop, 0));
    assert_int_equal(s->n, 1);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

static void got_signal(void *arg, int signo)
{
    struct seen *s = arg;
    s->n++;
    s->last = signo;
}

static void signals_come_through_the_loop(void **state)
{
    struct seen *s = *state;
    assert_ok(sm_loop_signal(s->loop, SIGUSR1, got_signal, s));
    assert_ok(sm_loop_signal(s->loop, SIGUSR2, got_signal, s));
    assert_int_equal(sm_loop_signal(s->loop, 0, got_signal, s), -SM_EINVAL);
    assert_ok(raise(SIGUSR1));
    assert_ok(raise(SIGUSR2));
    assert_ok(sm_loop_once(s->loop, 1000));
    assert_int_equal(s->n, 2);
}

static void a_regular_file_cannot_be_watched(void **state)
{
    struct seen *s = *state;
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(sm_loop_fd(s->loop, fileno(f), SM_READ, ready, s, &s->watch), -EPERM);
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_in_order_and_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_may_free_itself_and_another_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_that_arms_itself_at_once_starves_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_thousand_timers_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_descriptor_is_watched_until_told_otherwise, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watch_freed_in_the_same_round_is_not_called, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_come_through_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_regular_file_cannot_be_watched, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
