/* Requests of several threads over one channel: answers go to whom they belong, a dead channel ends them all. */
#include "../test.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plat/clock.h"
#include "sakimori-agent/fetch.h"

#define ROUNDS 40
#define ANSWER ((size_t)300 << 10)
#define PIECE ((size_t)64 << 10)

struct world {
    struct fetch f;
    struct sm_ipc *mine, *theirs;
    pthread_t box;
    unsigned gather;   /* so many requests are answered together, the last first; 0: none is ever answered */
    unsigned ends_at;  /* after so many requests the channel is closed; 0: never */
    atomic_uint heard;
    atomic_bool stop;
};

static struct sm_ipc *end_of(int fd)
{
    static const struct sm_ipc_rule rule[] = {{L_CALL, SM_IPC_BODY_MAX, false, "L_CALL"}};
    const struct sm_ipc_config c = {.may_receive = rule, .may_receive_n = 1, .queue_max = (size_t)4 << 20};
    struct sm_ipc *ipc = NULL;
    assert_int_equal(sm_ipc_new(NULL, fd, &c, &ipc), 0);
    return ipc;
}

/* As link does: 200 and bytes, in frames, then 200 again. */
static void answer(struct world *w, uint64_t id, uint8_t what)
{
    uint8_t *frame = malloc(PIECE + 2);
    assert_non_null(frame);
    for (size_t at = 0; at < ANSWER; at += PIECE) {
        size_t head = at ? 0 : 2, n = ANSWER - at < PIECE ? ANSWER - at : PIECE;
        frame[0] = 200;
        frame[1] = 0;
        memset(frame + head, what, n);
        (void)!sm_ipc_reply_id(w->theirs, L_CALL, id, SM_IPC_MORE, SM_SPAN(frame, head + n), -1);
    }
    (void)!sm_ipc_reply_id(w->theirs, L_CALL, id, 0, SM_SPAN("\xc8\0", 2), -1);
    free(frame);
}

static void *box(void *arg)
{
    struct world *w = arg;
    struct { uint64_t id; uint8_t what; } wait[FETCH_WAYS];
    size_t n = 0;
    while (!atomic_load(&w->stop)) {
        struct sm_ipc_msg m;
        int r = sm_ipc_recv(w->theirs, 5, &m);
        if (r == -SM_EPEER)
            break;
        if (r == 0) {
            wait[n].id = m.id;
            wait[n++].what = m.body.p[m.body.n - 1];
            if (atomic_fetch_add(&w->heard, 1) + 1 == w->ends_at)
                break;
        }
        /* What came alone is answered too: a thread may be the last. */
        while (w->gather && n && (n >= w->gather || r == -SM_ETIME)) {
            n--;
            answer(w, wait[n].id, wait[n].what);
        }
    }
    sm_ipc_free(w->theirs);
    w->theirs = NULL;
    return NULL;
}

static void begin(struct world *w, unsigned gather, unsigned ends_at)
{
    int fd[2];
    memset(w, 0, sizeof *w);
    w->gather = gather;
    w->ends_at = ends_at;
    fetch_init(&w->f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    w->mine = end_of(fd[0]);
    w->theirs = end_of(fd[1]);
    assert_int_equal(pthread_create(&w->box, NULL, box, w), 0);
}

static void end(struct world *w)
{
    atomic_store(&w->stop, true);
    pthread_join(w->box, NULL);
    sm_ipc_free(w->mine);
    fetch_wipe(&w->f);
}

static void hear(void *arg)
{
    (void)arg;
}

static int get(struct world *w, uint8_t what, struct sm_span *ret, struct fetch_way **ret_way)
{
    int status = 0;
    int r = fetch_objects(&w->f, &w->mine, "/agent/v1/x", SM_SPAN(&what, 1), hear, w, &status, ret, ret_way);
    return r ? r : status == 200 ? 0 : -SM_EPROTO;
}

static bool all_are(struct sm_span s, uint8_t what)
{
    bool same = s.n == ANSWER;
    for (size_t i = 0; same && i < s.n; i++)
        same = s.p[i] == what;
    return same;
}

struct one { struct world *w; uint8_t what; int err; unsigned good; pthread_t thread; };

static void *many(void *arg)
{
    struct one *o = arg;
    for (int i = 0; i < ROUNDS && !o->err; i++) {
        struct sm_span s = {0};
        struct fetch_way *way = NULL;
        uint8_t what = (uint8_t)(o->what + i);
        o->err = get(o->w, what, &s, &way);
        o->good += !o->err && all_are(s, what);
        if (!o->err)
            fetch_done(&o->w->f, way);
    }
    return NULL;
}

static void start(struct world *w, struct one *o, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        o[i] = (struct one){.w = w, .what = (uint8_t)(64 * i)};
        assert_int_equal(pthread_create(&o[i].thread, NULL, many, &o[i]), 0);
    }
}

static void answers_go_to_whom_they_belong(void **state)
{
    (void)state;
    for (unsigned gather = 1; gather <= FETCH_WAYS; gather++) {
        struct world w;
        struct one o[FETCH_WAYS];
        begin(&w, gather, 0);
        start(&w, o, FETCH_WAYS);
        for (size_t i = 0; i < FETCH_WAYS; i++) {
            pthread_join(o[i].thread, NULL);
            assert_int_equal(o[i].err, 0);
            assert_int_equal(o[i].good, ROUNDS);
        }
        end(&w);
    }
}

/* Who has something to ask gets its turn though nothing comes in. */
static void a_turn_is_given_while_others_wait(void **state)
{
    struct world w;
    struct one o[FETCH_WAYS];
    (void)state;
    begin(&w, 0, 0);
    start(&w, o, FETCH_WAYS);
    while (atomic_load(&w.heard) < FETCH_WAYS)
        plat_clock_sleep_ms(1);
    for (int i = 0; i < 50; i++) {
        fetch_take_turn(&w.f);
        fetch_give_turn(&w.f);
    }
    atomic_store(&w.stop, true); /* closes the channel */
    for (size_t i = 0; i < FETCH_WAYS; i++) {
        pthread_join(o[i].thread, NULL);
        assert_int_equal(o[i].err, -SM_EPEER);
    }
    end(&w);
}

static void a_dead_channel_ends_all_that_is_under_way(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 12; at++) {
        struct world w;
        struct one o[FETCH_WAYS];
        begin(&w, 1 + at % FETCH_WAYS, at);
        start(&w, o, FETCH_WAYS);
        for (size_t i = 0; i < FETCH_WAYS; i++) {
            pthread_join(o[i].thread, NULL);
            assert_int_equal(o[i].err, -SM_EPEER);
        }
        for (size_t i = 0; i < FETCH_WAYS; i++)
            assert_false(w.f.way[i].used);
        end(&w);
    }
}

static void what_is_held_stays_and_is_bounded(void **state)
{
    struct world w;
    struct sm_span s[FETCH_WAYS], more = {0};
    struct fetch_way *way[FETCH_WAYS], *another = NULL;
    (void)state;
    begin(&w, 1, 0);
    for (size_t i = 0; i < FETCH_WAYS; i++)
        assert_int_equal(get(&w, (uint8_t)(i + 1), &s[i], &way[i]), 0);
    assert_int_equal(get(&w, 99, &more, &another), -SM_EAGAIN);
    for (size_t i = 0; i < FETCH_WAYS; i++)
        assert_true(all_are(s[i], (uint8_t)(i + 1)));
    fetch_done(&w.f, way[1]);
    assert_int_equal(get(&w, 99, &more, &another), 0);
    assert_true(all_are(more, 99));
    assert_true(all_are(s[0], 1) && all_are(s[2], 3));
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_go_to_whom_they_belong),
        cmocka_unit_test(a_turn_is_given_while_others_wait),
        cmocka_unit_test(a_dead_channel_ends_all_that_is_under_way),
        cmocka_unit_test(what_is_held_stays_and_is_bounded),
    };
    return cmocka_run_group_tests_name("agent fetch", tests, NULL, NULL);
}
