#include "../test.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/ipc.h"
#include "plat/clock.h"
#include "plat/poll.h"

enum { NOTE = 1, ECHO = 2, STREAM = 3, REFUSE = 4, FILE_ = 5, SILENT = 6, NESTED = 7 };
static const struct sm_ipc_rule rules[] = {
    {NOTE, 1 << 20, false, "note"}, {ECHO, 1 << 20, true, "echo"}, {STREAM, 8, false, "stream"},
    {REFUSE, 8, false, "refuse"}, {FILE_, 8, true, "file"}, {SILENT, 8, false, "silent"}, {NESTED, 8, false, "nested"},
};

/* One end and what it saw. */
struct end {
    struct sm_ipc *ipc;
    int notes, gone, gone_err, drained, answers, last_err;
    uint8_t next;      /* content of the next note */
    struct sm_buf got; /* answer bodies joined */
    char text[160];
    bool free_in_message, reply_later;
    uint64_t later_id;
    struct end *other;
};
struct both {
    struct sm_loop *loop;
    struct end a, b;
};

static void on_note(struct end *e, struct sm_ipc_msg *m)
{
    e->notes++;
    for (size_t i = 0; i < m->body.n; i++)
        assert_int_equal(m->body.p[i], e->next);
    e->next++;
}

static void on_file(struct end *e, struct sm_ipc_msg *m)
{
    char c = 0;
    assert_true(m->fd >= 0);
    assert_true(fcntl(m->fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(pread(m->fd, &c, 1, 0), 1);
    assert_int_equal(c, (char)m->body.p[0]);
    e->notes++;
}

static void on_message(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct end *e = arg;
    struct sm_buf b = {0};
    uint8_t copy[8] = {0};
    switch (m->type) {
    case NOTE:
        on_note(e, m);
        break;
    case ECHO:
        assert_ok(sm_ipc_reply(ipc, m, 0, m->body, m->fd));
        break;
    case STREAM:
        assert_ok(sm_ipc_reply(ipc, m, SM_IPC_MORE, SM_SPAN_STR("one "), -1));
        assert_ok(sm_ipc_reply(ipc, m, SM_IPC_MORE, SM_SPAN_STR("two "), -1));
        assert_ok(sm_ipc_reply(ipc, m, 0, SM_SPAN_STR("three"), -1));
        break;
    case REFUSE:
        assert_ok(sm_ipc_reply_error(ipc, m, -SM_EDENIED, "not \xff you"));
        break;
    case FILE_:
        on_file(e, m);
        break;
    case SILENT:
        e->later_id = m->id;
        break;
    case NESTED: /* asks back while it holds a body */
        memcpy(copy, m->body.p, m->body.n);
        assert_ok(sm_ipc_call(ipc, ECHO, SM_SPAN_STR("question"), 5000, &b, NULL, NULL));
        assert_span_is(sm_buf_span(&b), "question");
        assert_memory_equal(copy, m->body.p, m->body.n);
        assert_ok(sm_ipc_reply(ipc, m, 0, m->body, -1));
        break;
    default:
        fail_msg("type %u got through", m->type);
    }
    sm_buf_wipe(&b);
    if (e->free_in_message) {
        sm_ipc_free(ipc);
        e->ipc = NULL;
    }
}

static void on_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct end *e = arg;
    e->gone++;
    e->gone_err = err;
    sm_ipc_free(ipc);
    e->ipc = NULL;
}

static void on_drained(void *arg, struct sm_ipc *ipc)
{
    ((struct end *)arg)->drained++;
}

static void on_answer(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct end *e = arg;
    e->answers++;
    e->last_err = err;
    (void)snprintf(e->text, sizeof e->text, "%s", text);
    if (err == 0)
        assert_ok(sm_buf_put_span(&e->got, m->body));
}

static struct sm_ipc_config config_of(struct end *e)
{
    return (struct sm_ipc_config){
        rules, sizeof rules / sizeof rules[0], 1 << 20, 1 << 20, on_message, on_gone, on_drained, e};
}

static int setup(void **state)
{
    struct both *t = calloc(1, sizeof *t);
    int fd[2];
    if (!t || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0 || sm_loop_new(&t->loop) < 0)
        return -1;
    struct sm_ipc_config a = config_of(&t->a), b = config_of(&t->b);
    *state = t;
    t->a.other = &t->b;
    t->b.other = &t->a;
    return sm_ipc_new(t->loop, fd[0], &a, &t->a.ipc) < 0 || sm_ipc_new(t->loop, fd[1], &b, &t->b.ipc) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct both *t = *state;
    sm_ipc_free(t->a.ipc);
    sm_ipc_free(t->b.ipc);
    sm_loop_free(t->loop);
    sm_buf_wipe(&t->a.got);
    sm_buf_wipe(&t->b.got);
    free(t);
    return 0;
}

#define RUN_UNTIL(t, condition) \
    do { \
        for (uint64_t until_ = plat_clock_mono_ms() + 10000; !(condition) && plat_clock_mono_ms() < until_;) \
            assert_ok(sm_loop_once((t)->loop, 50)); \
        assert_true(condition); \
    } while (0)

static void notices_of_every_size_arrive_whole_and_in_order(void **state)
{
    static const size_t size[] = {0, 1, 15, 4095, 4096, 65519, 65520, 70000, 300000, (1 << 20) - 1, 1 << 20, 3, 131072};
    struct both *t = *state;
    static uint8_t body[1 << 20];
    int sent = 0;
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
            memset(body, sent & 0xff, size[i]);
            int r;
            while ((r = sm_ipc_send(t->a.ipc, NOTE, SM_SPAN(body, size[i]), -1)) == -SM_EAGAIN)
                assert_ok(sm_loop_once(t->loop, 50));
            assert_ok(r);
            sent++;
        }
    }
    RUN_UNTIL(t, t->b.notes == sent);
    assert_int_equal(sm_ipc_queued(t->a.ipc), 0);
}

static void a_body_over_the_house_maximum_is_not_sent(void **state)
{
    struct both *t = *state;
    static uint8_t body[SM_IPC_BODY_MAX + 1];
    assert_int_equal(sm_ipc_send(t->a.ipc, NOTE, SM_SPAN(body, sizeof body), -1), -SM_ELIMIT);
}

static void an_ask_is_answered_with_its_body(void **state)
{
    struct both *t = *state;
    assert_ok(sm_ipc_ask(t->a.ipc, ECHO, SM_SPAN_STR("hello"), -1, on_answer, &t->a));
    RUN_UNTIL(t, t->a.answers == 1);
    assert_span_is(sm_buf_span(&t->a.got), "hello");
    assert_int_equal(t->a.last_err, 0);
}

static void a_stream_of_answers_ends_with_the_last(void **state)
{
    struct both *t = *state;
    assert_ok(sm_ipc_ask(t->a.ipc, STREAM, SM_SPAN_STR(""), -1, on_answer, &t->a));
    RUN_UNTIL(t, t->a.answers == 3);
    assert_span_is(sm_buf_span(&t->a.got), "one two three");
    assert_int_equal(t->a.gone + t->b.gone, 0);
}

static void a_refusal_brings_number_and_words(void **state)
{
    struct both *t = *state;
    assert_ok(sm_ipc_ask(t->a.ipc, REFUSE, SM_SPAN_STR(""), -1, on_answer, &t->a));
    RUN_UNTIL(t, t->a.answers == 1);
    assert_int_equal(t->a.last_err, -SM_EDENIED);
    assert_string_equal(t->a.text, "not ? you");
}

static void descriptors_stay_with_their_frames(void **state)
{
    struct both *t = *state;
    FILE *f[20];
    static uint8_t big[200000];
    int notes = 0;
    for (int i = 0; i < 20; i++) {
        char c = (char)('a' + i);
        f[i] = tmpfile();
        assert_non_null(f[i]);
        assert_int_equal(pwrite(fileno(f[i]), &c, 1, 0), 1);
        memset(big, notes & 0xff, sizeof big);
        if (i % 3 == 0 && sm_ipc_send(t->a.ipc, NOTE, SM_SPAN(big, sizeof big), -1) == 0)
            notes++;
        int r;
        while ((r = sm_ipc_send(t->a.ipc, FILE_, SM_SPAN(&c, 1), fileno(f[i]))) == -SM_EAGAIN)
            assert_ok(sm_loop_once(t->loop, 50));
        assert_ok(r);
        fclose(f[i]);
    }
    RUN_UNTIL(t, t->b.notes == 20 + notes);
}

static void on_answer_fd(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct end *e = arg;
    e->answers++;
    assert_int_equal(err, 0);
    assert_int_equal(write(m->fd, "x", 1), 1);
}

static void a_descriptor_comes_back_with_an_answer(void **state)
{
    struct both *t = *state;
    int p[2];
    char c;
    assert_ok(pipe(p));
    assert_ok(sm_ipc_ask(t->a.ipc, ECHO, SM_SPAN_STR("x"), p[1], on_answer_fd, &t->a));
    close(p[1]);
    RUN_UNTIL(t, t->a.answers == 1);
    assert_int_equal(read(p[0], &c, 1), 1);
    assert_int_equal(read(p[0], &c, 1), 0); /* no copy of it is left open */
    close(p[0]);
}

/* Raw bytes from a peer that does not use our code. */
static void say_raw(struct both *t, const void *bytes, size_t n, int fd)
{
    int raw[2];
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, raw));
    sm_ipc_free(t->b.ipc);
    struct sm_ipc_config c = config_of(&t->b);
    assert_ok(sm_ipc_new(t->loop, raw[0], &c, &t->b.ipc));
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int) * 2)];
    } control = {0};
    struct iovec iov = {(void *)bytes, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = control.room;
        m.msg_controllen = CMSG_SPACE(sizeof fd);
        control.h =
            (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(&control.h), &fd, sizeof fd);
    }
    assert_int_equal(sendmsg(raw[1], &m, 0), n);
    RUN_UNTIL(t, t->b.gone == 1);
    assert_int_equal(t->b.gone_err, -SM_EPROTO);
    assert_int_equal(t->b.notes, 0);
    close(raw[1]);
}

static void an_unknown_type_ends_the_channel(void **state)
{
    say_raw(*state, "\0\0\0\0\x63\0\0\0\0\0\0\0\0\0\0\0", 16, -1);
}

static void a_body_over_the_row_of_its_type_ends_the_channel_before_it_came(void **state)
{
    say_raw(*state, "\x09\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0", 16, -1);
}

static void a_huge_length_ends_the_channel(void **state)
{
    say_raw(*state, "\xff\xff\xff\xff\x01\0\0\0\0\0\0\0\0\0\0\0", 16, -1);
}

static void an_answer_nobody_asked_for_ends_the_channel(void **state)
{
    say_raw(*state, "\0\0\0\0\x01\0\x01\0\x05\0\0\0\0\0\0\0", 16, -1);
}

static void an_announced_descriptor_that_is_not_there_ends_the_channel(void **state)
{
    say_raw(*state, "\x01\0\0\0\x05\0\x08\0\0\0\0\0\0\0\0\0a", 17, -1);
}

static void a_descriptor_nobody_announced_ends_the_channel(void **state)
{
    struct both *t = *state;
    t->b.notes = -1; /* the frame itself is allowed */
    say_raw(t, "\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0", 16, 0);
}

static void a_descriptor_with_a_type_that_takes_none_ends_the_channel(void **state)
{
    say_raw(*state, "\0\0\0\0\x01\0\x08\0\0\0\0\0\0\0\0\0", 16, 0);
}

static void the_death_of_the_peer_answers_every_ask(void **state)
{
    struct both *t = *state;
    assert_ok(sm_ipc_ask(t->a.ipc, SILENT, SM_SPAN_STR(""), -1, on_answer, &t->a));
    assert_ok(sm_ipc_ask(t->a.ipc, SILENT, SM_SPAN_STR(""), -1, on_answer, &t->a));
    RUN_UNTIL(t, t->b.later_id == 2);
    sm_ipc_free(t->b.ipc);
    t->b.ipc = NULL;
    RUN_UNTIL(t, t->a.gone == 1);
    assert_int_equal(t->a.answers, 2);
    assert_int_equal(t->a.last_err, -SM_EPEER);
    assert_int_equal(t->a.gone_err, 0);
}

static void what_was_said_before_the_end_is_heard(void **state)
{
    struct both *t = *state;
    assert_ok(sm_ipc_send(t->a.ipc, NOTE, SM_SPAN_STR(""), -1));
    sm_ipc_free(t->a.ipc);
    t->a.ipc = NULL;
    RUN_UNTIL(t, t->b.gone == 1);
    assert_int_equal(t->b.notes, 1);
}

static void a_full_queue_refuses_and_says_when_it_drained(void **state)
{
    struct both *t = *state;
    static uint8_t body[256 << 10];
    int sent = 0, r;
    memset(body, 0, sizeof body);
    sm_ipc_pause(t->b.ipc, true);
    while ((r = sm_ipc_send(t->a.ipc, NOTE, SM_SPAN(body, sizeof body), -1)) == 0 && sent < 100) {
        memset(body, ++sent, sizeof body);
    }
    assert_int_equal(r, -SM_EAGAIN);
    assert_true(sm_ipc_queued(t->a.ipc) <= 1 << 20);
    assert_ok(sm_loop_once(t->loop, 0));
    assert_int_equal(t->a.drained, 0);
    sm_ipc_pause(t->b.ipc, false);
    RUN_UNTIL(t, t->a.drained == 1 && t->b.notes == sent);
}

static void a_channel_may_be_freed_in_its_own_callback(void **state)
{
    struct both *t = *state;
    t->b.free_in_message = true;
    assert_ok(sm_ipc_send(t->a.ipc, NOTE, SM_SPAN_STR(""), -1));
    assert_ok(sm_ipc_send(t->a.ipc, NOTE, SM_SPAN_STR(""), -1));
    RUN_UNTIL(t, t->a.gone == 1);
    assert_int_equal(t->b.notes, 1);
}

/* ---- blocking ---- */

/* Serves the other end without a loop until it is closed. */
static void *serve(void *arg)
{
    struct end *e = arg;
    for (;;) {
        struct sm_ipc_msg m;
        if (sm_ipc_recv(e->ipc, 20000, &m) < 0)
            break;
        if (m.type == ECHO && sm_ipc_send(e->ipc, NOTE, SM_SPAN_STR(""), -1) < 0)
            break;
        if (m.type == ECHO && sm_ipc_reply(e->ipc, &m, 0, m.body, m.fd) < 0)
            break;
        if (m.type == STREAM && (sm_ipc_reply(e->ipc, &m, SM_IPC_MORE, SM_SPAN_STR("one "), -1) < 0 ||
                sm_ipc_reply(e->ipc, &m, 0, SM_SPAN_STR("two"), -1) < 0))
            break;
        if (m.type == REFUSE && sm_ipc_reply_error(e->ipc, &m, -SM_EDENIED, "no") < 0)
            break;
        int null = m.type == FILE_ ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
        if (null >= 0 && sm_ipc_reply(e->ipc, &m, 0, m.body, null) < 0)
            break;
        if (null >= 0)
            close(null);
        if (m.type == SILENT) {
            e->later_id = m.id;
            break;
        }
        if (m.fd >= 0)
            close(m.fd);
    }
    if (e->later_id) /* an answer and the end at once */
        (void)!sm_ipc_reply_id(e->ipc, SILENT, e->later_id, 0, SM_SPAN_STR("late"), -1);
    sm_ipc_free(e->ipc);
    e->ipc = NULL;
    return NULL;
}

static pthread_t start_server(struct both *t)
{
    int fd[2];
    pthread_t thread;
    sm_ipc_free(t->a.ipc);
    sm_ipc_free(t->b.ipc);
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
    struct sm_ipc_config a = config_of(&t->a), b = config_of(&t->b);
    assert_ok(sm_ipc_new(t->loop, fd[0], &a, &t->a.ipc));
    assert_ok(sm_ipc_new(NULL, fd[1], &b, &t->b.ipc));
    assert_ok(pthread_create(&thread, NULL, serve, &t->b));
    return thread;
}

static void stop_server(struct both *t, pthread_t thread)
{
    sm_ipc_free(t->a.ipc);
    t->a.ipc = NULL;
    assert_ok(pthread_join(thread, NULL));
}

static void a_call_waits_for_its_answer_and_keeps_the_rest(void **state)
{
    struct both *t = *state;
    pthread_t thread = start_server(t);
    static uint8_t body[1 << 20];
    char why[160] = "";
    struct sm_buf b = {0};
    memset(body, 0x5a, sizeof body);
    for (int i = 0; i < 10; i++) {
        sm_buf_clear(&b);
        assert_ok(sm_ipc_call(t->a.ipc, ECHO, SM_SPAN(body, sizeof body), 20000, &b, NULL, why));
        assert_int_equal(b.n, sizeof body);
        assert_memory_equal(b.p, body, sizeof body);
    }
    sm_buf_clear(&b);
    assert_ok(sm_ipc_call(t->a.ipc, STREAM, SM_SPAN_STR(""), 20000, &b, NULL, NULL));
    assert_span_is(sm_buf_span(&b), "one two");
    assert_int_equal(sm_ipc_call(t->a.ipc, REFUSE, SM_SPAN_STR(""), 20000, &b, NULL, why), -SM_EDENIED);
    assert_string_equal(why, "no");
    assert_span_is(sm_buf_span(&b), "one two");
    assert_int_equal(t->a.notes, 0);
    RUN_UNTIL(t, t->a.notes == 10);
    sm_buf_wipe(&b);
    stop_server(t, thread);
}

static void a_call_brings_a_descriptor_back(void **state)
{
    struct both *t = *state;
    pthread_t thread = start_server(t);
    int fd = -7;
    assert_ok(sm_ipc_call(t->a.ipc, ECHO, SM_SPAN_STR("x"), 20000, NULL, &fd, NULL));
    assert_int_equal(fd, -1);
    assert_ok(sm_ipc_call(t->a.ipc, FILE_, SM_SPAN_STR("x"), 20000, NULL, &fd, NULL));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    stop_server(t, thread);
}

static void a_call_gives_up_in_time_and_a_late_answer_is_dropped(void **state)
{
    struct both *t = *state;
    assert_int_equal(sm_ipc_call(t->a.ipc, SILENT, SM_SPAN_STR(""), 20, NULL, NULL, NULL), -SM_ETIME);
    RUN_UNTIL(t, t->b.later_id == 1);
    assert_ok(sm_ipc_reply_id(t->b.ipc, SILENT, 1, 0, SM_SPAN_STR("late"), -1));
    assert_ok(sm_ipc_ask(t->a.ipc, ECHO, SM_SPAN_STR("next"), -1, on_answer, &t->a));
    RUN_UNTIL(t, t->a.answers == 1);
    assert_span_is(sm_buf_span(&t->a.got), "next");
    assert_int_equal(t->a.gone, 0);
}

static void a_call_to_a_dead_peer_says_so(void **state)
{
    struct both *t = *state;
    pthread_t thread = start_server(t);
    char why[160] = "";
    struct sm_buf b = {0};
    assert_ok(sm_ipc_call(t->a.ipc, SILENT, SM_SPAN_STR(""), 20000, &b, NULL, why));
    assert_span_is(sm_buf_span(&b), "late");
    assert_int_equal(sm_ipc_call(t->a.ipc, ECHO, SM_SPAN_STR(""), 20000, NULL, NULL, why), -SM_EPEER);
    assert_string_equal(why, "the other side is gone");
    RUN_UNTIL(t, t->a.gone == 1);
    sm_buf_wipe(&b);
    stop_server(t, thread);
}

/* b calls back from inside its callback; a answers in its own thread. */
static void *loop_thread(void *arg)
{
    struct both *t = arg;
    for (uint64_t until = plat_clock_mono_ms() + 10000; !t->b.gone && plat_clock_mono_ms() < until;)
        (void)!sm_loop_once(t->loop, 20);
    return NULL;
}

static void a_callback_may_call_back_and_keeps_its_body(void **state)
{
    struct both *t = *state;
    int fd[2];
    pthread_t thread;
    sm_ipc_free(t->a.ipc);
    sm_ipc_free(t->b.ipc);
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
    struct sm_ipc_config a = config_of(&t->a), b = config_of(&t->b);
    assert_ok(sm_ipc_new(NULL, fd[0], &a, &t->a.ipc));
    assert_ok(sm_ipc_new(t->loop, fd[1], &b, &t->b.ipc));
    assert_ok(sm_ipc_ask(t->a.ipc, NESTED, SM_SPAN_STR("body"), -1, on_answer, &t->a));
    assert_ok(pthread_create(&thread, NULL, loop_thread, t));
    struct sm_ipc_msg m;
    assert_ok(sm_ipc_recv(t->a.ipc, 10000, &m));
    assert_int_equal(m.type, ECHO);
    static uint8_t filler[300000];
    assert_ok(sm_ipc_send(t->a.ipc, NOTE, SM_SPAN(filler, sizeof filler), -1));
    assert_ok(sm_ipc_reply(t->a.ipc, &m, 0, m.body, -1));
    assert_int_equal(sm_ipc_recv(t->a.ipc, 500, &m), -SM_ETIME);
    assert_int_equal(t->a.answers, 1);
    assert_span_is(sm_buf_span(&t->a.got), "body");
    sm_ipc_free(t->a.ipc);
    t->a.ipc = NULL;
    assert_ok(pthread_join(thread, NULL));
    assert_int_equal(t->b.notes, 1);
    assert_int_equal(t->b.gone, 1);
}

static void answers_are_awaited_without_a_loop_and_the_rest_is_kept(void **state)
{
    struct both *t = *state;
    pthread_t thread = start_server(t);
    struct sm_ipc *looped = t->a.ipc;
    int fd[2];
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
    sm_ipc_free(looped);
    assert_ok(pthread_join(thread, NULL));
    struct sm_ipc_config a = config_of(&t->a), b = config_of(&t->b);
    assert_ok(sm_ipc_new(NULL, fd[0], &a, &t->a.ipc));
    assert_ok(sm_ipc_new(NULL, fd[1], &b, &t->b.ipc));
    assert_ok(pthread_create(&thread, NULL, serve, &t->b));
    assert_int_equal(sm_ipc_await(t->a.ipc, 20), -SM_ETIME);
    assert_ok(sm_ipc_ask(t->a.ipc, ECHO, SM_SPAN_STR("one"), -1, on_answer, &t->a));
    assert_ok(sm_ipc_ask(t->a.ipc, ECHO, SM_SPAN_STR("two"), -1, on_answer, &t->a));
    /* The call comes after both: their answers and notices are put aside. */
    assert_ok(sm_ipc_call(t->a.ipc, ECHO, SM_SPAN_STR("three"), 20000, NULL, NULL, NULL));
    assert_int_equal(t->a.answers, 0);
    assert_ok(sm_ipc_await(t->a.ipc, 20000));
    assert_int_equal(t->a.answers, 1);
    assert_ok(sm_ipc_await(t->a.ipc, 20000));
    assert_span_is(sm_buf_span(&t->a.got), "onetwo");
    assert_ok(sm_ipc_ask(t->a.ipc, ECHO, SM_SPAN_STR("four"), -1, on_answer, &t->a));
    assert_ok(sm_ipc_await(t->a.ipc, 20000));
    assert_span_is(sm_buf_span(&t->a.got), "onetwofour");
    for (int i = 0; i < 4; i++) {
        struct sm_ipc_msg m;
        assert_ok(sm_ipc_recv(t->a.ipc, 20000, &m));
        assert_int_equal(m.type, NOTE);
    }
    assert_ok(sm_ipc_send(t->a.ipc, SILENT, SM_SPAN_STR(""), -1)); /* the server ends */
    assert_int_equal(sm_ipc_await(t->a.ipc, 20000), -SM_EPEER);
    stop_server(t, thread);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(notices_of_every_size_arrive_whole_and_in_order),
        T(a_body_over_the_house_maximum_is_not_sent),
        T(an_ask_is_answered_with_its_body),
        T(a_stream_of_answers_ends_with_the_last),
        T(a_refusal_brings_number_and_words),
        T(descriptors_stay_with_their_frames),
        T(a_descriptor_comes_back_with_an_answer),
        T(an_unknown_type_ends_the_channel),
        T(a_body_over_the_row_of_its_type_ends_the_channel_before_it_came),
        T(a_huge_length_ends_the_channel),
        T(an_answer_nobody_asked_for_ends_the_channel),
        T(an_announced_descriptor_that_is_not_there_ends_the_channel),
        T(a_descriptor_nobody_announced_ends_the_channel),
        T(a_descriptor_with_a_type_that_takes_none_ends_the_channel),
        T(the_death_of_the_peer_answers_every_ask),
        T(what_was_said_before_the_end_is_heard),
        T(a_full_queue_refuses_and_says_when_it_drained),
        T(a_channel_may_be_freed_in_its_own_callback),
        T(a_call_waits_for_its_answer_and_keeps_the_rest),
        T(a_call_brings_a_descriptor_back),
        T(a_call_gives_up_in_time_and_a_late_answer_is_dropped),
        T(a_call_to_a_dead_peer_says_so),
        T(a_callback_may_call_back_and_keeps_its_body),
        T(answers_are_awaited_without_a_loop_and_the_rest_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
