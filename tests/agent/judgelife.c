/* The process judge, killed again and again between a sensor and a link that are played here: every event reaches the box once. */
#include "../test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/init.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/local.h"
#include "sakimori-agent/endpoint.h"

enum { LINES = 1500, WAIT_MS = 120000 };

static char data[64];
static struct {
    struct sm_loop *loop;
    struct sm_ipc *up, *link, *sensor;
    pid_t pid;
    bool ready, answers; /* answers: what link is asked is answered */
    unsigned seen[LINES], findings, calls;
    char life[33];
    unsigned long long last;
    json_t *said; /* of L_ENDPOINT */
} w;

static void on_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct sm_ipc **slot = ipc == w.up ? &w.up : ipc == w.link ? &w.link : &w.sensor;
    (void)arg;
    (void)err;
    *slot = NULL;
    sm_ipc_free(ipc);
}

/* As the box: a number that is not above the newest is taken for known. */
static void take_batch(const char *query, struct sm_span body)
{
    char life[33] = "";
    unsigned long long number = 0;
    assert_int_equal(sscanf(query, "stream=endpoint&life=%32[0-9a-f]&number=%llu", life, &number), 2);
    if (w.life[0])
        assert_string_equal(life, w.life);
    snprintf(w.life, sizeof w.life, "%s", life);
    if (number <= w.last)
        return;
    w.last = number;
    for (size_t at = 0; at < body.n;) {
        uint32_t n = (uint32_t)body.p[at] | (uint32_t)body.p[at + 1] << 8 | (uint32_t)body.p[at + 2] << 16;
        assert_true(n && at + 12 + n <= body.n);
        const char *k = memmem(body.p + at + 12, n, "\"n\":", 4);
        if (k) {
            int i = (int)strtol(k + 4, NULL, 10);
            assert_in_range(i, 0, LINES - 1);
            w.seen[i]++;
        }
        at += 12 + n;
    }
}

static void on_call(struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    static const char events[] = "/agent/v1/events?", findings[] = "/agent/v1/findings";
    static const uint8_t good[2] = {200, 0};
    struct sm_rd rd = SM_RD(m->body);
    char path[256];
    (void)sm_rd_u8(&rd);
    struct sm_span p = sm_rd_bytes(&rd, sm_rd_u16(&rd));
    assert_true(!rd.err && p.n < sizeof path);
    memcpy(path, p.p, p.n);
    path[p.n] = 0;
    w.calls++;
    if (strncmp(path, events, sizeof events - 1) == 0)
        take_batch(path + sizeof events - 1, SM_SPAN(rd.p, rd.n));
    else
        w.findings += strcmp(path, findings) == 0;
    if (w.answers)
        assert_ok(sm_ipc_reply(ipc, m, 0, SM_SPAN(good, 2), -1));
}

static void on_message(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)arg;
    if (m->type == A_READY) {
        w.ready = true;
    } else if (m->type == L_CALL) {
        on_call(ipc, m);
    } else if (m->type == L_ENDPOINT) {
        json_decref(w.said);
        w.said = NULL;
        assert_ok(sm_json_parse(m->body, L_ENDPOINT_MAX, &w.said, NULL));
    }
}

static struct sm_ipc *channel(int fd)
{
    static const struct sm_ipc_rule may[] = {{A_READY, 4096, false, "A_READY"}, {L_CALL, SM_IPC_BODY_MAX, false, "L_CALL"},
        {L_ENDPOINT, L_ENDPOINT_MAX, false, "L_ENDPOINT"}, {E_TREE, E_TREE_MAX, false, "E_TREE"},
        {A_BEAT, 64, false, "A_BEAT"}};
    const struct sm_ipc_config c = {.may_receive = may, .may_receive_n = sizeof may / sizeof may[0], .body_max = SM_IPC_BODY_MAX, .queue_max = (size_t)4 << 20,
        .on_message = on_message, .on_gone = on_gone};
    struct sm_ipc *ipc = NULL;
    assert_ok(sm_ipc_new(w.loop, fd, &c, &ipc));
    return ipc;
}

static struct sm_ipc *attach(const char *peer)
{
    int pair[2];
    char text[64];
    assert_ok(plat_local_pair(pair));
    snprintf(text, sizeof text, "{\"peer\":\"%s\"}", peer);
    assert_ok(sm_ipc_send(w.up, A_ATTACH, SM_SPAN_STR(text), pair[0]));
    close(pair[0]);
    return channel(pair[1]);
}

static int sent; /* lines given to judge */

/* until f holds */
static void until(bool (*f)(void))
{
    uint64_t end = plat_clock_mono_ms() + WAIT_MS;
    while (!f()) {
        if (plat_clock_mono_ms() >= end) {
            unsigned n = 0;
            for (int i = 0; i < LINES; i++)
                n += w.seen[i] > 0;
            fail_msg("nothing more: %u of %d lines, %u calls, number %llu, %s", n, sent, w.calls, w.last, w.link ? "linked" : "no link");
        }
        assert_ok(sm_loop_once(w.loop, 20));
    }
}

static bool is_ready(void)
{
    return w.ready;
}

static void begin(void)
{
    int pair[2];
    assert_ok(plat_local_pair(pair));
    w.ready = false;
    w.pid = fork();
    assert_true(w.pid >= 0);
    if (w.pid == 0) {
        if (dup2(pair[1], 3) != 3)
            _exit(9);
        for (int i = 4; i < 256; i++)
            close(i);
        _exit(judge_main(data, NULL));
    }
    close(pair[1]);
    w.up = channel(pair[0]);
    until(is_ready);
    w.link = attach("link");
    w.sensor = attach("sensor");
}

static void kill_it(void)
{
    int status;
    assert_int_equal(kill(w.pid, SIGKILL), 0);
    assert_int_equal(waitpid(w.pid, &status, 0), w.pid);
    struct sm_ipc **all[] = {&w.up, &w.link, &w.sensor};
    for (size_t i = 0; i < 3; i++) {
        sm_ipc_free(*all[i]);
        *all[i] = NULL;
    }
}

static void tell(int n)
{
    struct sm_buf b = SM_BUF_INIT(E_EVENT_MAX);
    for (int i = 0; i < n; i++, sent++)
        assert_ok(sm_buf_printf(&b, "{\"v\":1,\"at\":\"2026-11-23T05:00:00Z\",\"category\":\"process_creation\",\"Image\":\"/bin/x\",\"n\":%d}\n", sent));
    assert_ok(sm_ipc_send(w.sensor, E_EVENT, sm_buf_span(&b), -1));
    sm_buf_wipe(&b);
}

/* Lines that are on disk or were taken. */
static bool all_written(void)
{
    static unsigned char there[LINES];
    char path[128];
    snprintf(path, sizeof path, "%s/judge/spool", data);
    memset(there, 0, sizeof there);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        struct sm_buf text = SM_BUF_INIT((size_t)2 << 20);
        if (strlen(e->d_name) > 20 && !plat_fs_read_file(dirfd(d), e->d_name, (size_t)2 << 20, &text)) {
            const uint8_t *p = text.p, *end = text.p + text.n;
            while (p < end && (p = memmem(p, (size_t)(end - p), "\"n\":", 4))) {
                int i = (int)strtol((const char *)p + 4, NULL, 10);
                if (i >= 0 && i < LINES)
                    there[i] = 1;
                p += 4;
            }
        }
        sm_buf_wipe(&text);
    }
    closedir(d);
    int n = 0;
    for (int i = 0; i < sent; i++)
        n += there[i] || w.seen[i];
    return n == sent;
}

static bool all_seen(void)
{
    for (int i = 0; i < sent; i++)
        if (!w.seen[i])
            return false;
    return true;
}

static bool called(void)
{
    return w.calls > 0;
}

static void what_was_written_reaches_the_box_once_whoever_is_killed(void **state)
{
    (void)state;
    begin();
    for (int round = 0; round < 4; round++) {
        w.answers = false; /* the box takes it, and its answer is lost */
        w.calls = 0;
        tell(100);
        until(called);
        tell(100);
        until(all_written);
        kill_it();
        begin();
        tell(50);
        w.answers = true;
        until(all_seen);
        w.answers = false;
        tell(50);
        until(all_seen);
        sm_ipc_free(w.link); /* link is killed with a batch on its way */
        w.link = attach("link");
        w.answers = true;
        tell(10);
        until(all_seen);
    }
    for (int i = 0; i < sent; i++)
        assert_int_equal(w.seen[i], 1);
    print_message("%d events, each once, over %d kills\n", sent, 8);
    kill_it();
}

static bool found(void)
{
    return w.findings > 0;
}

static void a_finding_is_told_again_by_the_next_process(void **state)
{
    static const char view[] = "{\"id\":\"00112233445566aa\",\"kind\":\"ransomware\",\"at\":\"2026-11-23T05:00:00.250Z\",\"tree\":77,"
                               "\"state\":\"stopped\",\"score\":70,\"program\":\"/tmp/x\",\"timing\":{\"first_ms\":1}}";
    (void)state;
    w.findings = 0;
    w.answers = false;
    begin();
    assert_ok(sm_ipc_send(w.sensor, E_FINDING, SM_SPAN_STR(view), -1));
    until(found);
    char path[128];
    snprintf(path, sizeof path, "%s/judge/findings/00112233445566aa.json", data);
    uint64_t end = plat_clock_mono_ms() + WAIT_MS;
    while (access(path, F_OK) && plat_clock_mono_ms() < end)
        assert_ok(sm_loop_once(w.loop, 20));
    kill_it();
    w.findings = 0;
    w.answers = true;
    begin();
    until(found);
    kill_it();
}

static int open_world(void **state)
{
    struct agent_config c = {.url = "https://box:1", .device = "dev1", .name = "n", .institution = "i", .recipients.max = 64};
    (void)state;
    snprintf(data, sizeof data, "/tmp/sakimori-judgelife-XXXXXX");
    if (crypto_init() || !mkdtemp(data) || chmod(data, 0711) || sm_buf_put(&c.recipients, "recipients", 10))
        return -1;
    snprintf(c.data, sizeof c.data, "%s", data);
    int r = agent_config_save(&c);
    sm_buf_wipe(&c.recipients);
    return r || endpoint_folder(data, "judge", JUDGE_USER, JUDGE_UID) || sm_loop_new(&w.loop);
}

static int close_world(void **state)
{
    (void)state;
    json_decref(w.said);
    sm_loop_free(w.loop);
    return plat_fs_remove_tree(AT_FDCWD, data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_reaches_the_box_once_whoever_is_killed),
        cmocka_unit_test(a_finding_is_told_again_by_the_next_process),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
