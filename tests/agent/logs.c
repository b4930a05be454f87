/* The part that reads logs: files in every state of their life, and a box that answers, does not, or forgets to say so.
 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/json.h"
#include "crypto/init.h"
#include "plat/fs.h"
#include "plat/meta.h"
#include "sakimori-agent/logs/cut.h"
#include "sakimori-agent/logs/logs.h"
#include "sakimori-agent/logs/tail.h"

/* A box: batches by number, each number once; what it took, in order.  answer: 0 takes, else said instead; lost: it
 * takes, and the answer does not come through. */
static struct {
    struct sm_buf took;
    uint64_t newest;
    char life[LOG_LIFE + 1];
    size_t batches, repeats, records;
    int answer;
    bool lost;
} box;
static char place[64], logs_dir[96], text[800];
static struct agent_policy policy;
static struct logs all;
static struct log *one;
static uint64_t clock_ms;
static int pending;

static uint64_t test_now(void)
{
    return clock_ms;
}

static void box_take(const struct log *l)
{
    struct sm_rd rd = SM_RD(sm_buf_span(&l->batch));
    box.batches++;
    if (strcmp(box.life, l->at.life) == 0 && l->at.number <= box.newest) {
        box.repeats++;
        return;
    }
    memcpy(box.life, l->at.life, sizeof box.life);
    box.newest = l->at.number;
    while (rd.n) {
        uint32_t n = sm_rd_u32(&rd);
        (void)sm_rd_u64(&rd);
        struct sm_span s = sm_rd_bytes(&rd, n & 0x7fffffffu);
        assert_int_equal(rd.err, 0);
        assert_ok(sm_buf_put_span(&box.took, s));
        assert_ok(sm_buf_put_u8(&box.took, n & 0x80000000u ? '!' : '\n'));
        box.records++;
    }
}

static int test_send(struct logs *logs, struct log *l)
{
    (void)logs;
    if (box.answer) {
        pending = box.answer;
        return 0;
    }
    box_take(l);
    pending = box.lost ? -SM_EPEER : 200;
    return 0;
}

/* ---- the machine ---- */

static int shell(const char *command)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void sh(const char *fmt, ...)
{
    char command[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    snprintf(text, sizeof text, "cd %s && %s", logs_dir, command);
    assert_int_equal(shell(text), 0);
}

static void start_with(const char *row)
{
    char why[160] = "", path[128];
    json_t *j = NULL;
    assert_ok(sm_json_parse(SM_SPAN_STR(row), 4096, &j, why));
    assert_ok(log_roots_make(&policy, &all.roots));
    snprintf(path, sizeof path, "%s/at", place);
    all.folder = plat_fs_open_dir(AT_FDCWD, path);
    assert_true(all.folder >= 0);
    all.inotify = -1;
    all.sending = 0;
    all.buf = malloc(LOG_READ);
    all.now_ms = test_now;
    all.send = test_send;
    assert_ok(log_new(&all, j, &one, why));
    all.log[0] = one;
    all.log_n = 1;
    json_decref(j);
}

static char row[400];
static void start(void)
{
    start_with(row);
}

/* As kill -9 leaves it: nothing is written down any more. */
static void die(void)
{
    log_free(one);
    one = NULL;
    all.log_n = 0;
    log_roots_free(&all.roots);
    free(all.buf);
    close(all.folder);
}

/* Rounds until nothing more happens. */
static void go(void)
{
    for (unsigned i = 0; i < 200; i++) {
        one->dirty = false;
        one->input->look(one);
        feed_go(one);
        if (!one->sending)
            return;
        feed_answer(one, pending);
        if (pending != 200)
            return;
    }
    fail_msg("no end");
}

static void later(uint64_t ms)
{
    clock_ms += ms;
    if (one && one->save_ms && clock_ms >= one->save_ms)
        feed_save(one);
    go();
}

static void took(const char *want)
{
    assert_int_equal(box.took.n, strlen(want));
    if (box.took.n)
        assert_memory_equal(box.took.p, want, box.took.n);
}

static int setup(void **s)
{
    (void)s;
    snprintf(place, sizeof place, "/tmp/sakimori-logs-XXXXXX");
    assert_non_null(mkdtemp(place));
    snprintf(logs_dir, sizeof logs_dir, "%s/log", place);
    snprintf(text, sizeof text, "mkdir %s/log %s/at", place, place);
    assert_int_equal(shell(text), 0);
    policy = (struct agent_policy){.logs_n = 1};
    policy.logs[0] = strdup(logs_dir);
    snprintf(row, sizeof row, "{\"name\":\"app\",\"input\":\"file\",\"paths\":[\"%s/app.log\"],\"from_start\":true}",
        logs_dir);
    memset(&box, 0, sizeof box);
    box.took.max = (size_t)64 << 20;
    clock_ms = 1000000;
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    if (one)
        die();
    policy_wipe(&policy);
    sm_buf_wipe(&box.took);
    snprintf(text, sizeof text, "rm -rf %s", place);
    return shell(text);
}

/* ---- files ---- */

static void lines_go_once_and_halves_when_they_are_whole(void **s)
{
    (void)s;
    sh("printf 'a\\nb\\r\\n\\nc' > app.log");
    start();
    go();
    took("a\nb\n");
    sh("printf 'cc\\n' >> app.log");
    go();
    took("a\nb\nccc\n");
    assert_int_equal(one->at.counts.records, 3);
    go();
    assert_int_equal(box.batches, 2);
}

static void what_was_there_before_is_not_sent_unless_it_is_wanted(void **s)
{
    (void)s;
    snprintf(row, sizeof row, "{\"name\":\"app\",\"input\":\"file\",\"paths\":[\"%s/*.log\"]}", logs_dir);
    sh("printf 'old\\nhalf' > app.log");
    start();
    go();
    took("");
    sh("printf ' of old\\nnew\\n' >> app.log; printf 'x\\n' > later.log; printf 'no\\n' > app.log.1; ln -s app.log "
       "link.log; mkfifo pipe.log");
    go();
    took("new\nx\n");
}

static void a_renamed_file_is_read_to_its_end_before_the_new_one(void **s)
{
    (void)s;
    sh("printf 'a\\n' > app.log");
    start();
    go();
    sh("printf 'b\\n' >> app.log; mv app.log app.log.1; printf 'c\\nhalf' >> app.log.1; printf 'd\\n' > app.log");
    go();
    took("a\nb\nc\n"); /* the half line may become whole */
    later(6000);
    took("a\nb\nc\nhalf\nd\n");
    assert_int_equal(one->at.counts.gaps, 0);
}

static void a_removed_file_is_read_to_its_end(void **s)
{
    (void)s;
    sh("printf 'a\\n' > app.log");
    start();
    go();
    sh("printf 'b\\n' >> app.log; rm app.log; printf 'c\\n' > app.log");
    go();
    took("a\nb\nc\n");
    later(20000);
    assert_int_equal(one->files, 1);
}

static void copytruncate_loses_nothing_that_the_copy_has(void **s)
{
    (void)s;
    sh("printf 'a\\n' > app.log");
    start();
    go();
    sh("printf 'b\\n' >> app.log; cp app.log app.log.1; : > app.log; printf 'c\\n' >> app.log");
    go();
    took("a\nb\nc\n");
    /* grown beyond the place before anybody looked */
    sh("printf 'd\\n' >> app.log; cp app.log app.log.2; : > app.log; printf 'e\\nfffffffffffff\\ngggggggggg\\n' >> "
       "app.log");
    go();
    took("a\nb\nc\nd\ne\nfffffffffffff\ngggggggggg\n");
    assert_int_equal(one->at.counts.gaps, 0);
}

static void a_truncation_without_a_copy_is_a_gap_that_is_told(void **s)
{
    (void)s;
    sh("printf 'aaaaaaaaa\\n' > app.log");
    start();
    go();
    sh(": > app.log; printf 'b\\n' >> app.log");
    go();
    assert_non_null(strstr(sm_buf_str(&box.took), "aaaaaaaaa\nsakimori-agent: gap in app: truncated"));
    assert_non_null(strstr(sm_buf_str(&box.took), "\nb\n"));
    assert_int_equal(one->at.counts.gaps, 1);
    sh("printf 'c\\n' >> app.log");
    go();
    assert_int_equal(one->at.counts.gaps, 1);
}

/* Every way a file is turned over while the agent is off. */
static void rotation_while_it_was_off_loses_nothing(void **s)
{
    static const char *const ways[] = {
        "mv app.log app.log.1; printf 'd\\n' > app.log",
        "mv app.log app.log.1; printf 'x\\n' > app.log; sleep 0.02; mv app.log.1 app.log.2; mv app.log app.log.1; "
        "printf 'd\\n' > app.log",
        "mv app.log app.log.1; gzip app.log.1; printf 'd\\n' > app.log",
        "mv app.log app.log-20261122; sleep 0.02; printf 'x\\n' > app.log; gzip app.log-20261122; mv app.log "
        "app.log-20261123; gzip app.log-20261123; printf 'd\\n' > app.log",
        "cp app.log app.log.1; : > app.log; printf 'd\\n' >> app.log",
        "cp app.log app.log.1; : > app.log; gzip app.log.1; printf 'ddddddddddddddddddddddddddddddddddddd\\n' >> "
        "app.log",
        "cp app.log app.log.1; : > app.log; sleep 0.02; printf 'x\\n' >> app.log; mv app.log.1 app.log.2; cp app.log "
        "app.log.1; : > app.log; printf 'd\\n' >> app.log",
    };
    static const bool with_x[] = {false, true, false, true, false, false, true};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char want[200];
        sh("rm -f *; rm -f ../at/*; printf 'a\\nb\\n' > app.log");
        sm_buf_clear(&box.took);
        box.newest = 0;
        start();
        go();
        feed_save(one);
        die();
        sh("printf 'c\\n' >> app.log; sleep 0.02; %s", ways[i]);
        start();
        go();
        snprintf(want, sizeof want, "a\nb\nc\n%s%s\n", with_x[i] ? "x\n" : "",
            i == 5 ? "ddddddddddddddddddddddddddddddddddddd" : "d");
        print_message("%zu: %s\n", i, sm_buf_str(&box.took));
        took(want);
        assert_int_equal(one->at.counts.gaps, 0);
        /* and nothing again after one more start */
        feed_save(one);
        die();
        start();
        go();
        took(want);
        die();
    }
}

static void what_is_gone_for_good_is_a_gap_and_the_rest_goes(void **s)
{
    (void)s;
    sh("printf 'a\\n' > app.log");
    start();
    go();
    feed_save(one);
    die();
    sh("printf 'b\\n' >> app.log; rm app.log; printf 'c\\n' > app.log");
    start();
    go();
    assert_non_null(strstr(sm_buf_str(&box.took), "a\nsakimori-agent: gap in app: rotated away"));
    assert_non_null(strstr(sm_buf_str(&box.took), "\nc\n"));
    assert_int_equal(one->at.counts.gaps, 1);
}

static void a_hundred_megabytes_without_a_line_end_are_cut_and_counted(void **s)
{
    (void)s;
    sh("printf 'a\\n' > app.log; head -c 104857600 /dev/zero | tr '\\0' x >> app.log; printf '\\nb\\n' >> app.log");
    start();
    go();
    assert_int_equal(box.records, 3);
    assert_int_equal(one->at.counts.cut, 1);
    assert_memory_equal(box.took.p, "a\nxxx", 5);
    assert_true(box.took.n < 2 * LOG_READ);
    assert_memory_equal(box.took.p + box.took.n - 3, "!b\n", 3);
}

static void many_lines_come_in_their_order_in_several_batches(void **s)
{
    (void)s;
    sh("seq 1 200000 > app.log; : > want");
    start();
    go();
    assert_int_equal(box.records, 200000);
    assert_true(box.batches > 3);
    struct sm_buf want = SM_BUF_INIT((size_t)4 << 20);
    snprintf(text, sizeof text, "%s/app.log", logs_dir);
    assert_ok(plat_fs_read_file(AT_FDCWD, text, want.max, &want));
    assert_int_equal(want.n, box.took.n);
    assert_memory_equal(want.p, box.took.p, want.n);
    sm_buf_wipe(&want);
}

/* ---- the box ---- */

static void while_the_box_is_away_the_place_stays(void **s)
{
    (void)s;
    sh("printf 'a\\n' > app.log");
    start();
    box.answer = 503;
    go();
    later(2000);
    sh("printf 'b\\n' >> app.log; mv app.log app.log.1; printf 'c\\n' > app.log");
    later(5000);
    took("");
    box.answer = 0;
    later(60000);
    took("a\nb\nc\n");
    assert_int_equal(box.repeats, 0);
    assert_int_equal(one->at.counts.gaps, 0);
}

static void a_lost_answer_repeats_a_number_that_the_box_knows(void **s)
{
    (void)s;
    sh("printf 'a\\n' > app.log");
    start();
    box.lost = true;
    go();
    box.lost = false;
    sh("printf 'b\\n' >> app.log");
    later(5000);
    took("a\nb\n");
    assert_int_equal(box.repeats, 1);
}

/* Killed at every step: before the send, after it, after the answer; with a rotation in between. */
static void a_kill_at_any_step_loses_and_doubles_nothing(void **s)
{
    static const char *const turns[] = {"true", "mv app.log app.log.1; : > app.log",
        "mv app.log app.log.1; gzip app.log.1; : > app.log", "cp app.log app.log.1; : > app.log"};
    (void)s;
    for (size_t turn = 0; turn < 4; turn++)
        for (unsigned step = 0; step < 5; step++) {
            sh("rm -f * ../at/*; printf 'a\\n' > app.log");
            sm_buf_clear(&box.took);
            box.newest = 0;
            box.answer = 0;
            box.lost = false;
            start();
            go();
            sh("printf 'b\\n' >> app.log");
            box.answer = step == 1 ? 503 : 0;
            box.lost = step == 2;
            if (step > 0)
                go();
            if (step == 4)
                feed_save(one);
            die();
            box.answer = 0;
            box.lost = false;
            sh("%s", turns[turn]);
            sh("printf 'c\\n' >> app.log");
            start();
            go();
            later(10000);
            print_message("turn %zu step %u: %s\n", turn, step, sm_buf_str(&box.took));
            took("a\nb\nc\n");
            die();
        }
}

static void a_place_that_cannot_be_written_stops_the_log_and_nothing_is_lost(void **s)
{
    (void)s;
    sh("printf 'a\\n' > app.log");
    start();
    sh("chmod 500 ../at");
    if (geteuid() == 0) { /* root may all the same: the folder is taken away instead */
        close(all.folder);
        all.folder = -1;
    }
    go();
    took("");
    assert_string_equal(one->state, "error");
    sh("chmod 700 ../at");
    if (geteuid() == 0) {
        snprintf(text, sizeof text, "%s/at", place);
        all.folder = plat_fs_open_dir(AT_FDCWD, text);
    }
    later(20000);
    took("a\n");
}

static void a_damaged_place_is_a_gap_and_another_life(void **s)
{
    (void)s;
    char life[LOG_LIFE + 1];
    sh("printf 'a\\n' > app.log");
    start();
    go();
    feed_save(one);
    memcpy(life, one->at.life, sizeof life);
    die();
    sh("printf x >> ../at/app.at; printf 'b\\n' >> app.log");
    start();
    go();
    assert_string_not_equal(one->at.life, life);
    assert_non_null(strstr(sm_buf_str(&box.took), "gap in app: the place was lost"));
    assert_non_null(strstr(sm_buf_str(&box.took), "\nb\n"));
}

static void a_place_is_read_back_as_it_was_and_one_bit_is_noticed(void **s)
{
    (void)s;
    struct log_cursor c, back;
    struct sm_buf b = SM_BUF_INIT(LOG_CURSOR_MAX);
    log_cursor_new(&c);
    c.number = 7;
    c.state = json_pack("{s:i}", "k", 1);
    c.counts = (struct log_counts){1, 2, 3, 4};
    c.gap_files = 5;
    snprintf(c.gap_why, sizeof c.gap_why, "why");
    snprintf(text, sizeof text, "%s/at", place);
    int dir = plat_fs_open_dir(AT_FDCWD, text);
    assert_ok(log_cursor_save(dir, "x", &c));
    assert_ok(log_cursor_load(dir, "x", &back));
    assert_int_equal(back.number, 7);
    assert_string_equal(back.life, c.life);
    assert_int_equal(back.counts.gaps, 4);
    assert_true(json_equal(back.state, c.state));
    assert_null(back.range);
    log_cursor_wipe(&back);
    assert_ok(plat_fs_read_file(dir, "x.at", LOG_CURSOR_MAX, &b));
    for (size_t i = 0; i < b.n; i++) {
        b.p[i] ^= 1;
        assert_int_equal(log_cursor_parse(sm_buf_span(&b), &back), -SM_EFORMAT);
        b.p[i] ^= 1;
    }
    close(dir);
    log_cursor_wipe(&c);
    sm_buf_wipe(&b);
}

/* ---- what the machine allows ---- */

static void the_box_can_only_name_what_the_machine_allows(void **s)
{
    (void)s;
    char path[200];
    sh("mkdir sub; printf 'x\\n' > sub/a.log; ln -s /etc etc; ln -s /etc/passwd pass.log; printf 'k\\n' > kept.log; "
       "mkdir -p ../other; printf 'o\\n' > ../other/o.log");
    policy.nolog[policy.nolog_n++] = strdup(logs_dir);
    snprintf(path, sizeof path, "%s/kept.log", logs_dir);
    free(policy.nolog[0]);
    policy.nolog[0] = strdup(path);
    assert_ok(log_roots_make(&policy, &all.roots));
    static const char *const no[] = {"etc/passwd", "pass.log", "kept.log", "sub/../kept.log", "../other/o.log", "sub"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", logs_dir, no[i]);
        char *slash = strrchr(path, '/');
        *slash = 0;
        int dir = log_roots_open_dir(&all.roots, path);
        *slash = '/';
        int fd = dir < 0 ? dir : log_roots_open_file(&all.roots, dir, path);
        print_message("%s: %d\n", path, fd);
        assert_true(fd < 0);
        if (dir >= 0)
            close(dir);
    }
    assert_int_equal(log_roots_open_dir(&all.roots, "/etc"), -EACCES);
    assert_false(log_roots_allow(&all.roots, "/etc/shadow"));
    snprintf(path, sizeof path, "%s-other/a.log", logs_dir);
    assert_false(log_roots_allow(&all.roots, path));
    snprintf(path, sizeof path, "%s/sub", logs_dir);
    int dir = log_roots_open_dir(&all.roots, path);
    assert_true(dir >= 0);
    snprintf(path, sizeof path, "%s/sub/a.log", logs_dir);
    int fd = log_roots_open_file(&all.roots, dir, path);
    assert_true(fd >= 0);
    close(fd);
    close(dir);
    log_roots_free(&all.roots);
    policy.no_logs = true;
    assert_ok(log_roots_make(&policy, &all.roots));
    assert_int_equal(all.roots.n, 0);
    log_roots_free(&all.roots);
}

static int opened(const char *path)
{
    char folder[300];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    int dir = log_roots_open_dir(&all.roots, folder), fd = dir < 0 ? dir : log_roots_open_file(&all.roots, dir, path);
    if (dir >= 0)
        close(dir);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? fd : 0;
}

static void what_is_never_read_has_no_second_name(void **s)
{
    (void)s;
    char path[400], alias[120];
    sh("mkdir -p deep; for f in kept.log kept.log.1 kept.log-20261123.gz kept.log.old kept.logs deep/a; do echo x > $f; done; "
       "ln -s \"$PWD\" \"$PWD-alias\"");
    snprintf(alias, sizeof alias, "%s-alias", logs_dir);
    policy.logs[policy.logs_n++] = strdup(alias);
    snprintf(path, sizeof path, "%s//kept.log", logs_dir); /* as people write it */
    policy.nolog[policy.nolog_n++] = strdup(path);
    snprintf(path, sizeof path, "%s/deep", alias);
    policy.nolog[policy.nolog_n++] = strdup(path);
    assert_ok(log_roots_make(&policy, &all.roots));
    static const char *const no[] = {"kept.log", "kept.log.1", "kept.log-20261123.gz", "kept.log.old", "deep/a"};
    for (size_t i = 0; i < 2 * (sizeof no / sizeof no[0]); i++) {
        snprintf(path, sizeof path, "%s/%s", i % 2 ? alias : logs_dir, no[i / 2]);
        print_message("%s\n", path);
        assert_int_equal(opened(path), -EACCES);
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/kept.logs", i ? alias : logs_dir);
        assert_ok(opened(path));
    }
    log_roots_free(&all.roots);
    sh("rm \"$PWD-alias\"");
}

static void a_root_in_a_folder_that_is_skipped_is_none(void **s)
{
    (void)s;
    char path[300];
    struct plat_meta m;
    sh("mkdir -p above/logs; echo x > above/logs/a");
    snprintf(path, sizeof path, "%s/above", logs_dir);
    for (unsigned i = 0; i < 2; i++) { /* the folder above it, then the folder itself */
        assert_ok(plat_meta_read(AT_FDCWD, path, 0, &m));
        policy.skip[0] = m.id;
        policy.skip_n = 1;
        plat_meta_wipe(&m);
        snprintf(path, sizeof path, "%s/above/logs", logs_dir);
        free(policy.logs[0]);
        policy.logs[0] = strdup(path);
        policy.logs_n = 1;
        assert_ok(log_roots_make(&policy, &all.roots));
        snprintf(path, sizeof path, "%s/above/logs/a", logs_dir);
        assert_int_equal(opened(path), -EACCES);
        log_roots_free(&all.roots);
        snprintf(path, sizeof path, "%s/above/logs", logs_dir);
    }
    policy.skip_n = 0;
    assert_ok(log_roots_make(&policy, &all.roots));
    snprintf(path, sizeof path, "%s/above/logs/a", logs_dir);
    assert_ok(opened(path));
    log_roots_free(&all.roots);
}

static void the_folder_of_the_journal_is_the_journal(void **s)
{
    (void)s;
    assert_ok(log_roots_make(&policy, &all.roots));
    bool before = all.roots.journal;
    log_roots_free(&all.roots);
    assert_true(before);
    static const char *const no[] = {"/var/log/journal", "/var/log", "/run/log/journal/"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        free(policy.nolog[0]);
        policy.nolog[0] = strdup(no[i]);
        policy.nolog_n = 1;
        assert_ok(log_roots_make(&policy, &all.roots));
        assert_false(all.roots.journal);
        log_roots_free(&all.roots);
    }
}

static void ever_new_logs_leave_no_more_places_than_there_may_be(void **s)
{
    (void)s;
    char path[400], said[300];
    sh("echo x > a");
    for (unsigned i = 0; i < LOG_PLACES_MAX + 40; i++) {
        snprintf(said, sizeof said, "{\"name\":\"n%u\",\"input\":\"file\",\"paths\":[\"%s/a\"]}", i, logs_dir);
        start_with(said);
        one->unsaved = true;
        feed_save(one);
        die();
    }
    snprintf(path, sizeof path, "test $(ls %s/at | grep -c '[.]at$') -eq %u && test -e %s/at/n%u.at && ! test -e %s/at/n0.at", place,
        LOG_PLACES_MAX, place, LOG_PLACES_MAX + 39, place);
    assert_int_equal(shell(path), 0);
}

static void a_row_that_is_none_is_refused(void **s)
{
    static const char *const bad[] = {"{}", "{\"name\":\"A\",\"input\":\"file\",\"paths\":[\"/x/y\"]}",
        "{\"name\":\"a\",\"input\":\"file\"}", "{\"name\":\"a\",\"input\":\"file\",\"paths\":[\"x\"]}",
        "{\"name\":\"a\",\"input\":\"file\",\"paths\":[\"/x/\"]}",
        "{\"name\":\"../a\",\"input\":\"file\",\"paths\":[\"/x/y\"]}", "{\"name\":\"a\",\"input\":\"carrier-pigeon\"}"};
    (void)s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char why[160] = "";
        json_t *j = NULL;
        struct log *l = NULL;
        assert_ok(sm_json_parse(SM_SPAN_STR(bad[i]), 4096, &j, why));
        assert_true(log_new(&all, j, &l, why) < 0);
        assert_true(why[0]);
        json_decref(j);
    }
}

static void names_of_turned_over_files_are_known(void **s)
{
    (void)s;
    assert_true(tail_is_rotated("app.log.1", "app.log"));
    assert_true(tail_is_rotated("app.log-20261123.gz", "app.log"));
    assert_true(tail_is_rotated("messages-20261123", "messages"));
    assert_false(tail_is_rotated("app.log", "app.log"));
    assert_false(tail_is_rotated("syslog-ng.log", "syslog"));
    assert_true(tail_is_rotated("x.gz", NULL));
    assert_true(tail_is_rotated("app.log.12", NULL));
    assert_false(tail_is_rotated("postgresql-2026-11-23_000000.log", NULL));
    assert_false(tail_is_rotated("u_ex261123.log", NULL));
}

static void journal_fields_are_written_as_its_export_format_is(void **s)
{
    (void)s;
    struct sm_buf b = SM_BUF_INIT(4096);
    assert_ok(log_export_field(&b, SM_SPAN_STR("MESSAGE=hello")));
    assert_ok(log_export_field(&b, SM_SPAN_STR("nothing")));
    assert_ok(log_export_field(&b, SM_SPAN_STR("B=x\ny")));
    static const char want[] = "MESSAGE=hello\nB\n\3\0\0\0\0\0\0\0x\ny\n";
    assert_int_equal(b.n, sizeof want - 1);
    assert_memory_equal(b.p, want, b.n);
    sm_buf_wipe(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(lines_go_once_and_halves_when_they_are_whole),
        T(what_was_there_before_is_not_sent_unless_it_is_wanted),
        T(a_renamed_file_is_read_to_its_end_before_the_new_one),
        T(a_removed_file_is_read_to_its_end),
        T(copytruncate_loses_nothing_that_the_copy_has),
        T(a_truncation_without_a_copy_is_a_gap_that_is_told),
        T(rotation_while_it_was_off_loses_nothing),
        T(what_is_gone_for_good_is_a_gap_and_the_rest_goes),
        T(a_hundred_megabytes_without_a_line_end_are_cut_and_counted),
        T(many_lines_come_in_their_order_in_several_batches),
        T(while_the_box_is_away_the_place_stays),
        T(a_lost_answer_repeats_a_number_that_the_box_knows),
        T(a_kill_at_any_step_loses_and_doubles_nothing),
        T(a_place_that_cannot_be_written_stops_the_log_and_nothing_is_lost),
        T(a_damaged_place_is_a_gap_and_another_life),
        T(a_place_is_read_back_as_it_was_and_one_bit_is_noticed),
        T(the_box_can_only_name_what_the_machine_allows),
        T(what_is_never_read_has_no_second_name),
        T(a_root_in_a_folder_that_is_skipped_is_none),
        T(the_folder_of_the_journal_is_the_journal),
        T(ever_new_logs_leave_no_more_places_than_there_may_be),
        T(a_row_that_is_none_is_refused),
        T(names_of_turned_over_files_are_known),
        T(journal_fields_are_written_as_its_export_format_is),
    };
    if (crypto_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
