/* The worker thread: done is told in the loop, in order, bounded, and a job never begun is not taken for a success. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include "api/worker.h"

struct job { int ran, told; struct sm_loop *loop; pthread_t by; pthread_mutex_t *gate; };

static void work(void *arg)
{
    struct job *j = arg;
    if (j->gate) {
        (void)pthread_mutex_lock(j->gate);
        (void)pthread_mutex_unlock(j->gate);
    }
    j->ran++;
    j->by = pthread_self();
}

static void done(void *arg)
{
    struct job *j = arg;
    j->told++;
    if (j->loop)
        sm_loop_stop(j->loop, 0);
}

static void work_is_done_in_the_thread_and_told_in_the_loop(void **state)
{
    (void)state;
    struct sm_loop *l = NULL;
    struct worker *w = NULL;
    assert_int_equal(sm_loop_new(&l), 0);
    assert_int_equal(worker_new(l, &w), 0);
    struct job j = { .loop = l };
    assert_int_equal(worker_put(w, work, done, &j), 0);
    assert_int_equal(j.told, 0);
    assert_int_equal(sm_loop_run(l), 0);
    assert_int_equal(j.ran, 1);
    assert_int_equal(j.told, 1);
    assert_false(pthread_equal(j.by, pthread_self()));
    worker_free(w);
    sm_loop_free(l);
}

static void more_than_it_holds_is_refused_and_the_rest_is_told_at_the_end(void **state)
{
    (void)state;
    struct sm_loop *l = NULL;
    struct worker *w = NULL;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct job jobs[WORKER_MAX + 1];
    memset(jobs, 0, sizeof jobs);
    assert_int_equal(sm_loop_new(&l), 0);
    assert_int_equal(worker_new(l, &w), 0);
    (void)pthread_mutex_lock(&gate);
    for (size_t i = 0; i < WORKER_MAX; i++) {
        jobs[i].gate = &gate;
        assert_int_equal(worker_put(w, work, done, &jobs[i]), 0);
    }
    assert_int_equal(worker_put(w, work, done, &jobs[WORKER_MAX]), -SM_EAGAIN);
    (void)pthread_mutex_unlock(&gate);
    worker_free(w);
    for (size_t i = 0; i < WORKER_MAX; i++)
        assert_int_equal(jobs[i].told, 1);
    assert_int_equal(jobs[WORKER_MAX].told, 0);
    sm_loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(work_is_done_in_the_thread_and_told_in_the_loop),
        cmocka_unit_test(more_than_it_holds_is_refused_and_the_rest_is_told_at_the_end) };
    return cmocka_run_group_tests_name("api worker", tests, NULL, NULL);
}
