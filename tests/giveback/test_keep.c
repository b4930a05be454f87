/* The keeper: once a file and tree, bounded room, torn and damaged lists, threads; and what a roll-back leaves alone. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "giveback/internal.h"
#include "kit.h"
#include "plat/clock.h"
#include "plat/fs.h"

static char *read_all(struct kit *k, const char *name)
{
    static char text[4096];
    int fd = open(kit_path(k, name), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    assert_true(n >= 0);
    text[n] = 0;
    close(fd);
    return text;
}

static void the_first_contents_of_a_file_count(void **state)
{
    struct kit k = {0};
    struct giveback_room a, b;
    struct giveback_done done;
    uint64_t number;
    kit_begin(&k);
    kit_file(&k, "x", "first", 5);
    assert_ok(do_write(&k, "x", 0, "SECOND", 6, true));
    giveback_room(k.g, &a);
    assert_int_equal(a.files, 1);
    assert_ok(do_write(&k, "x", 0, "third!", 6, true));
    kit_reopen(&k); /* also known to the next keeper */
    assert_ok(do_write(&k, "x", 0, "fourth", 6, true));
    giveback_room(k.g, &b);
    assert_int_equal(b.files, 1);
    assert_int_equal(a.bytes, b.bytes);
    assert_ok(kit_roll(&k, &number, &done));
    assert_string_equal(read_all(&k, "x"), "first");
    kit_end(&k);
    (void)state;
}

static void what_a_tree_made_is_not_kept_but_moved_aside(void **state)
{
    struct kit k = {0};
    struct giveback_room room;
    struct giveback_done done;
    uint64_t number;
    kit_begin(&k);
    assert_ok(do_make(&k, "note.txt", "pay", 3));
    assert_ok(do_write(&k, "note.txt", 0, "pay more", 8, false));
    giveback_room(k.g, &room);
    assert_int_equal(room.files, 0);
    assert_ok(kit_roll(&k, &number, &done));
    assert_int_equal(done.aside, 1);
    assert_false(kit_there(&k, "note.txt"));
    assert_ok(kit_undo(&k, number, &done));
    assert_string_equal(read_all(&k, "note.txt"), "pay more");
    kit_end(&k);
    (void)state;
}

static int keep_as(struct kit *k, uint64_t tree, const char *name, int64_t at, uint64_t *ret)
{
    int fd = open(kit_path(k, name), O_RDONLY | O_CLOEXEC);
    struct giveback_what w = {.tree = tree, .kind = GIVEBACK_CONTENT, .fd = fd, .path = kit_span(k, name), .at_s = at};
    int r = giveback_keep(k->g, &w, NULL, ret);
    close(fd);
    return r;
}

static void room_is_made_of_what_is_harmless_and_never_of_a_suspect(void **state)
{
    struct kit k = {0};
    struct giveback_room room;
    char name[32], *big = calloc(1, 1 << 20);
    uint64_t id, suspect = 0;
    int64_t now = plat_clock_wall().s;
    kit_begin(&k);
    giveback_close(k.g);
    k.limits.max_bytes = 8 << 20;
    k.limits.age_s = 0;
    assert_ok(giveback_open(k.keep, &k.limits, &k.g));
    memset(big, 'x', 1 << 20);
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        kit_file(&k, name, big, 1 << 20);
    }
    giveback_suspect(k.g, 1, true);
    assert_ok(keep_as(&k, 1, "f0", now, &suspect));
    for (unsigned i = 1; i < 7; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        assert_ok(keep_as(&k, 2, name, now, &id));
    }
    /* Full, and nothing was said of tree 2: nothing may go. */
    int r = 0;
    for (unsigned i = 7; i < 9 && r == 0; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        r = keep_as(&k, 3, name, now, &id);
    }
    assert_int_equal(r, -ENOSPC);
    giveback_room(k.g, &room);
    assert_int_equal(room.let_go, 0);
    giveback_suspect(k.g, 2, false);
    for (unsigned i = 9; i < 14; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        assert_ok(keep_as(&k, 3, name, now, &id));
    }
    giveback_room(k.g, &room);
    assert_true(room.let_go >= 5);
    assert_true(room.bytes <= k.limits.max_bytes);
    /* What is kept for an hour of a tree nobody speaks of goes when nothing else can. */
    plat_clock_override(2 * 3600 * 1000, 0);
    assert_ok(keep_as(&k, 4, "f15", now + 7200, &id));
    plat_clock_override(0, 0);
    uint8_t byte;
    assert_int_equal(giveback_read(k.g, suspect, 5, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    free(big);
    kit_end(&k);
    (void)state;
}

static void a_file_too_large_and_a_full_disk_are_said(void **state)
{
    struct kit k = {0};
    char *big = calloc(1, 1 << 20);
    uint64_t id;
    kit_begin(&k);
    giveback_close(k.g);
    k.limits.file_max_bytes = 1000;
    assert_ok(giveback_open(k.keep, &k.limits, &k.g));
    memset(big, 1, 1 << 20);
    kit_file(&k, "big", big, 1 << 20);
    kit_file(&k, "small", big, 900);
    assert_int_equal(keep_as(&k, 1, "big", 1, &id), -EFBIG);
    assert_ok(keep_as(&k, 1, "small", 1, &id));
    giveback_close(k.g);
    k.limits = (struct giveback_limits){64 << 20, UINT64_MAX / 2, 64 << 20, 0};
    assert_ok(giveback_open(k.keep, &k.limits, &k.g));
    giveback_suspect(k.g, 1, true);
    assert_int_equal(keep_as(&k, 1, "big", 1, &id), -ENOSPC); /* the reserve */
    free(big);
    kit_end(&k);
    (void)state;
}

static void old_ones_go_but_not_those_of_a_suspect(void **state)
{
    struct kit k = {0};
    struct giveback_room room;
    uint64_t id;
    int64_t now = plat_clock_wall().s;
    kit_begin(&k);
    giveback_close(k.g);
    k.limits.age_s = 86400;
    assert_ok(giveback_open(k.keep, &k.limits, &k.g));
    kit_file(&k, "x", "123", 3);
    kit_file(&k, "y", "1234", 4);
    giveback_suspect(k.g, 2, true);
    assert_ok(keep_as(&k, 1, "x", now - 2 * 86400, &id));
    assert_ok(keep_as(&k, 2, "y", now - 2 * 86400, &id));
    assert_ok(giveback_sync(k.g));
    giveback_room(k.g, &room);
    assert_int_equal(room.files, 1);
    assert_int_equal(room.let_go, 1);
    kit_reopen(&k);
    giveback_room(k.g, &room);
    assert_int_equal(room.files, 1);
    kit_end(&k);
    (void)state;
}

/* ---- the list ---- */

static int list_fd(struct kit *k)
{
    int fd = openat(k->keep, "list", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void a_torn_end_is_cut_and_a_damaged_record_costs_itself(void **state)
{
    struct kit k = {0};
    struct stat st;
    json_t *list;
    char name[8];
    kit_begin(&k);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof name, "f%d", i);
        kit_file(&k, name, "abc", 3);
    }
    int fd = list_fd(&k);
    off_t end[6];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof name, "f%d", i);
        assert_ok(fstat(fd, &st));
        end[i] = st.st_size;
        assert_ok(do_write(&k, name, 0, "X", 1, true));
    }
    assert_ok(fstat(fd, &st));
    end[5] = st.st_size;
    assert_int_equal(pwrite(fd, "?", 1, end[2] + 40), 1);      /* inside the third */
    assert_ok(ftruncate(fd, end[4] + (end[5] - end[4]) / 2));  /* and half of the last */
    close(fd);
    assert_ok(giveback_list(k.keep, k.tree, 0, 100, &list));
    assert_int_equal(json_array_size(list), 3);
    json_decref(list);
    kit_reopen(&k);
    assert_ok(do_write(&k, "f4", 0, "Y", 1, true));
    assert_ok(giveback_list(k.keep, k.tree, 0, 100, &list));
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 3), "kind")), "content");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 3), "state")), "kept");
    json_decref(list);
    kit_end(&k);
    (void)state;
}

static void append(struct kit *k, const void *payload, size_t n)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    struct stat st;
    int fd = list_fd(k);
    assert_ok(fstat(fd, &st));
    assert_ok(frame_put(&b, (uint64_t)st.st_size, SM_SPAN(payload, n)));
    assert_int_equal(pwrite(fd, b.p, b.n, st.st_size), b.n);
    sm_buf_wipe(&b);
    close(fd);
}

static void records_of_a_later_version_are_passed_over_and_a_later_list_is_refused(void **state)
{
    struct kit k = {0};
    json_t *list;
    struct giveback *other;
    kit_begin(&k);
    kit_file(&k, "x", "abc", 3);
    assert_int_equal(giveback_open(k.keep, &k.limits, &other), -SM_EAGAIN);
    giveback_close(k.g);
    append(&k, "\x7fwhat a later one says", 22);
    assert_ok(giveback_open(k.keep, &k.limits, &k.g));
    assert_ok(do_write(&k, "x", 0, "X", 1, true));
    assert_ok(giveback_list(k.keep, k.tree, 0, 100, &list));
    assert_int_equal(json_array_size(list), 1);
    json_decref(list);
    giveback_close(k.g);
    k.g = NULL;
    int fd = list_fd(&k);
    assert_int_equal(pwrite(fd, "\2", 1, 4), 1);
    assert_int_equal(giveback_open(k.keep, &k.limits, &other), -SM_EVERSION);
    assert_int_equal(pwrite(fd, "S?", 2, 0), 2);
    assert_int_equal(giveback_open(k.keep, &k.limits, &other), -SM_EFORMAT);
    close(fd);
    kit_end(&k);
    (void)state;
}

static void what_a_power_cut_may_have_taken_is_not_given_back(void **state)
{
    struct kit k = {0};
    struct giveback_done done;
    uint64_t number;
    json_t *list;
    char boot[17] = "\4 another boot 1";
    kit_begin(&k);
    kit_file(&k, "sure", "sure", 4);
    kit_file(&k, "unsure", "unsure", 6);
    assert_ok(do_write(&k, "sure", 0, "ZZZZ", 4, true));
    assert_ok(giveback_sync(k.g));
    assert_ok(do_write(&k, "unsure", 0, "YYYY", 4, true));
    giveback_close(k.g);
    append(&k, boot, 17); /* as if all of it had been in another boot */
    assert_ok(giveback_list(k.keep, k.tree, 0, 100, &list));
    assert_int_equal(json_array_size(list), 1);
    json_decref(list);
    assert_ok(giveback_open(k.keep, &k.limits, &k.g));
    assert_ok(kit_roll(&k, &number, &done));
    assert_string_equal(read_all(&k, "sure"), "sure");
    assert_string_equal(read_all(&k, "unsure"), "YYYY");
    kit_end(&k);
    (void)state;
}

static void a_list_that_is_mostly_dead_is_written_anew(void **state)
{
    struct kit k = {0};
    struct stat st;
    uint64_t id, suspect;
    int64_t now = plat_clock_wall().s;
    json_t *list;
    kit_begin(&k);
    giveback_close(k.g);
    k.limits.age_s = 86400;
    assert_ok(giveback_open(k.keep, &k.limits, &k.g));
    kit_file(&k, "x", "abc", 3);
    giveback_suspect(k.g, 9, true);
    assert_ok(keep_as(&k, 9, "x", now, &suspect));
    for (unsigned i = 0; i < 9000; i++) {
        uint64_t tree = 100 + i;
        assert_ok(keep_as(&k, tree, "x", now - 3 * 86400, &id));
        if (i % 1000 == 999)
            assert_ok(giveback_sync(k.g));
    }
    assert_int_equal(fstatat(k.keep, "list", &st, 0), 0);
    assert_true(st.st_size < 2 << 20);
    assert_ok(giveback_list(k.keep, 9, 0, 100, &list));
    assert_int_equal(json_array_size(list), 1);
    json_decref(list);
    kit_reopen(&k);
    assert_ok(giveback_size(k.g, suspect, &id));
    assert_int_equal(id, 3);
    kit_end(&k);
    (void)state;
}

/* ---- threads ---- */

struct worker { struct kit *k; uint64_t tree; unsigned from; int bad; };

static void *work(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < 200; i++) {
        char path[256];
        uint64_t id;
        (void)snprintf(path, sizeof path, "%s/files/f%u", w->k->top, (w->from + i) % 50);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct giveback_what what = {.tree = w->tree, .kind = GIVEBACK_CONTENT, .fd = fd, .path = SM_SPAN_STR(path), .at_s = 1};
        w->bad += giveback_keep(w->k->g, &what, NULL, &id) != 0;
        close(fd);
    }
    return NULL;
}

static void threads_keep_each_file_once(void **state)
{
    struct kit k = {0};
    pthread_t t[6];
    struct worker w[6];
    struct giveback_room room;
    char name[16];
    kit_begin(&k);
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        kit_file(&k, name, "abcdefgh", 8);
    }
    for (unsigned i = 0; i < 6; i++) {
        w[i] = (struct worker){&k, 1 + i % 2, i * 3, 0};
        assert_ok(pthread_create(&t[i], NULL, work, &w[i]));
    }
    for (unsigned i = 0; i < 6; i++) {
        assert_ok(pthread_join(t[i], NULL));
        assert_int_equal(w[i].bad, 0);
    }
    giveback_room(k.g, &room);
    assert_int_equal(room.files, 100);
    kit_reopen(&k);
    giveback_room(k.g, &room);
    assert_int_equal(room.files, 100);
    kit_end(&k);
    (void)state;
}

/* ---- others' work ---- */

static void what_somebody_else_changed_afterwards_is_left(void **state)
{
    struct kit k = {0};
    struct giveback_done done;
    uint64_t number;
    kit_begin(&k);
    kit_file(&k, "both", "before", 6);
    kit_file(&k, "mine", "before", 6);
    kit_file(&k, "saved", "before", 6);
    assert_ok(do_write(&k, "both", 0, "ZZZZZZ", 6, true));
    assert_ok(do_write(&k, "mine", 0, "ZZZZZZ", 6, true));
    assert_ok(do_write(&k, "saved", 0, "ZZZZZZ", 6, true));
    k.tree = 8;
    assert_ok(do_write(&k, "both", 0, "a person's work", 15, true));
    k.tree = 7;
    kit_file(&k, "saved.new", "saved by renaming", 17); /* by somebody nobody told of */
    assert_ok(rename(kit_path(&k, "saved.new"), kit_path(&k, "saved")));
    assert_ok(kit_roll(&k, &number, &done));
    assert_int_equal(done.files, 1);
    assert_int_equal(done.left, 2);
    assert_string_equal(read_all(&k, "both"), "a person's work");
    assert_string_equal(read_all(&k, "saved"), "saved by renaming");
    assert_string_equal(read_all(&k, "mine"), "before");
    /* Given back the other one's, too, nobody stands between. */
    k.tree = 8;
    assert_ok(kit_roll(&k, &number, &done));
    k.tree = 7;
    assert_ok(kit_roll(&k, &number, &done));
    assert_string_equal(read_all(&k, "both"), "before");
    kit_end(&k);
    (void)state;
}

static void an_undo_leaves_what_was_changed_since(void **state)
{
    struct kit k = {0};
    struct giveback_done done;
    uint64_t number;
    kit_begin(&k);
    kit_file(&k, "a", "before", 6);
    kit_file(&k, "b", "before", 6);
    assert_ok(do_write(&k, "a", 0, "ZZZZZZ", 6, true));
    assert_ok(do_write(&k, "b", 0, "ZZZZZZ", 6, true));
    assert_ok(kit_roll(&k, &number, &done));
    kit_file(&k, "a", "worked on", 9);
    assert_ok(kit_undo(&k, number, &done));
    assert_int_equal(done.left, 1);
    assert_int_equal(done.files, 1);
    assert_string_equal(read_all(&k, "a"), "worked on");
    assert_string_equal(read_all(&k, "b"), "ZZZZZZ");
    kit_end(&k);
    (void)state;
}

static void no_link_is_followed(void **state)
{
    struct kit k = {0};
    struct giveback_done done;
    uint64_t number;
    kit_begin(&k);
    kit_folder(&k, "in", 0755);
    kit_folder(&k, "victim", 0755);
    kit_file(&k, "in/x", "before", 6);
    kit_file(&k, "in/y", "before", 6);
    kit_file(&k, "victim/x", "precious", 8);
    kit_file(&k, "victim/y", "precious", 8);
    assert_ok(do_write(&k, "in/x", 0, "ZZZZZZ", 6, true));
    assert_ok(do_remove(&k, "in/y"));
    assert_ok(rename(kit_path(&k, "in"), kit_path(&k, "was")));
    assert_ok(symlink(kit_path(&k, "victim"), kit_path(&k, "in")));
    assert_ok(kit_roll(&k, &number, &done));
    assert_int_equal(done.failed, 2);
    assert_string_equal(read_all(&k, "victim/x"), "precious");
    assert_string_equal(read_all(&k, "victim/y"), "precious");
    /* The link at the name itself. */
    assert_ok(unlink(kit_path(&k, "in")));
    assert_ok(rename(kit_path(&k, "was"), kit_path(&k, "in")));
    assert_ok(unlink(kit_path(&k, "in/x")));
    assert_ok(symlink(kit_path(&k, "victim/x"), kit_path(&k, "in/x")));
    assert_ok(kit_roll(&k, &number, &done));
    assert_string_equal(read_all(&k, "victim/x"), "precious");
    assert_string_equal(read_all(&k, "in/y"), "before");
    kit_end(&k);
    (void)state;
}

static void chosen_names_follow_their_renames(void **state)
{
    struct kit k = {0};
    struct giveback_done done;
    uint64_t number;
    kit_begin(&k);
    kit_folder(&k, "one", 0755);
    kit_file(&k, "one/a", "aaa", 3);
    kit_file(&k, "one/b", "bbb", 3);
    assert_ok(do_write(&k, "one/a", 0, "ZZZ", 3, true));
    assert_ok(do_rename(&k, "one/a", "one/a.locked"));
    assert_ok(do_write(&k, "one/b", 0, "ZZZ", 3, true));
    assert_ok(do_rename(&k, "one/b", "one/b.locked"));
    struct sm_span old = kit_span(&k, "one/a"), now = kit_span(&k, "one/b.locked");
    assert_ok(giveback_roll_back(k.keep, k.tree, &old, 1, NULL, NULL, &number, &done));
    assert_int_equal(done.files, 2);
    assert_string_equal(read_all(&k, "one/a"), "aaa");
    assert_true(kit_there(&k, "one/b.locked"));
    assert_ok(giveback_roll_back(k.keep, k.tree, &now, 1, NULL, NULL, &number, &done));
    assert_string_equal(read_all(&k, "one/b"), "bbb");
    assert_int_equal(kit_roll(&k, &number, &done), -SM_ENOTFOUND);
    struct sm_span bad = SM_SPAN_STR("/a/../b");
    assert_int_equal(giveback_roll_back(k.keep, k.tree, &bad, 1, NULL, NULL, &number, &done), -SM_EINVAL);
    kit_end(&k);
    (void)state;
}

static void what_nobody_held_is_said_to_be_lost(void **state)
{
    struct kit k = {0};
    struct giveback_done done;
    uint64_t number, id;
    json_t *list;
    kit_begin(&k);
    kit_file(&k, "x", "abc", 3);
    assert_ok(unlink(kit_path(&k, "x")));
    struct giveback_what w = {.tree = k.tree, .kind = GIVEBACK_REMOVED, .fd = -1, .path = kit_span(&k, "x"), .at_s = 1};
    assert_ok(giveback_keep(k.g, &w, NULL, &id));
    assert_ok(giveback_list(k.keep, k.tree, 0, 10, &list));
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "state")), "lost");
    json_decref(list);
    assert_ok(kit_roll(&k, &number, &done));
    assert_int_equal(done.failed, 1);
    assert_ok(giveback_backs(k.keep, &list));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "failed")), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "state")), "given");
    json_decref(list);
    kit_end(&k);
    (void)state;
}

static void holes_stay_holes(void **state)
{
    struct kit k = {0};
    struct giveback_done done;
    struct stat st;
    uint64_t number;
    kit_begin(&k);
    kit_file(&k, "disk", "head", 4);
    assert_ok(truncate(kit_path(&k, "disk"), 12 << 20));
    int fd = open(kit_path(&k, "disk"), O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "middle", 6, 5 << 20), 6);
    close(fd);
    assert_ok(do_write(&k, "disk", 0, "ZZZZ", 4, true));
    assert_ok(kit_roll(&k, &number, &done));
    assert_ok(stat(kit_path(&k, "disk"), &st));
    assert_int_equal(st.st_size, 12 << 20);
    assert_true(st.st_blocks * 512 < 2 << 20);
    char text[7] = "";
    fd = open(kit_path(&k, "disk"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, text, 6, 5 << 20), 6);
    assert_string_equal(text, "middle");
    close(fd);
    kit_end(&k);
    (void)state;
}

/* A real end, not a simulated one. */
static void a_keeper_killed_by_a_signal_leaves_a_sound_folder(void **state)
{
    for (unsigned i = 0; i < 10; i++) {
        struct kit k = {.seed = 1000 + i};
        struct giveback_done done;
        uint64_t number;
        kit_begin(&k);
        for (unsigned j = 0; j < 5; j++)
            kit_file(&k, (const char *[]){"a", "b", "c", "d", "e"}[j], "some contents", 13);
        char *before = kit_picture(&k);
        giveback_close(k.g);
        k.g = NULL;
        pid_t pid = fork();
        if (pid == 0) {
            if (giveback_open(k.keep, &k.limits, &k.g) == 0)
                kit_history(&k, 3 + 5 * i);
            raise(SIGKILL);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_ok(giveback_open(k.keep, &k.limits, &k.g));
        int r = kit_roll(&k, &number, &done);
        assert_true(r == 0 || r == -SM_ENOTFOUND);
        char *now = kit_picture(&k);
        assert_string_equal(now, before);
        free(now);
        free(before);
        kit_end(&k);
    }
    (void)state;
}

/* It may have come from a stick where such a bit means nothing, made by whoever wants it here. */
static void what_is_given_back_lends_nobody_the_rights_of_its_owner(void **state)
{
    struct kit k = {.seed = 1};
    struct giveback_done done;
    struct stat st;
    uint64_t number;
    (void)state;
    kit_begin(&k);
    kit_file(&k, "changed", "program", 7);
    kit_file(&k, "removed", "program", 7);
    assert_ok(chmod(kit_path(&k, "changed"), 06755));
    assert_ok(chmod(kit_path(&k, "removed"), 06755));
    assert_ok(do_write(&k, "changed", 0, "broken!", 7, true));
    assert_ok(do_remove(&k, "removed"));
    assert_ok(kit_roll(&k, &number, &done));
    assert_int_equal(done.failed + done.left, 0);
    assert_ok(stat(kit_path(&k, "changed"), &st));
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_ok(stat(kit_path(&k, "removed"), &st));
    assert_int_equal(st.st_mode & 07777, 0755);
    kit_end(&k);
}

/* Whoever has the folder can put another file under the name at any moment. */
static void only_the_file_that_was_looked_at_is_written(void **state)
{
    struct kit k = {.seed = 1};
    struct plat_object one, other;
    struct plat_meta m;
    char text[8] = "";
    (void)state;
    kit_begin(&k);
    kit_file(&k, "mine", "attack", 6);
    kit_file(&k, "theirs", "secret", 6);
    int dir = open(kit_path(&k, "."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int from = open(kit_path(&k, "mine"), O_RDONLY | O_CLOEXEC);
    assert_true(dir >= 0 && from >= 0);
    assert_ok(plat_object_of(dir, "mine", &one));
    assert_ok(plat_object_of(dir, "theirs", &other));
    assert_ok(plat_meta_read(dir, "mine", PLAT_META_XATTR, &m));
    assert_int_equal(copy_over(from, &m, dir, "theirs", &one), -SM_EAGAIN);
    int fd = open(kit_path(&k, "theirs"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, 7), 6);
    assert_string_equal(text, "secret");
    close(fd);
    assert_ok(copy_over(from, &m, dir, "theirs", &other));
    plat_meta_wipe(&m);
    close(from);
    close(dir);
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_given_back_lends_nobody_the_rights_of_its_owner),
        cmocka_unit_test(only_the_file_that_was_looked_at_is_written),
        cmocka_unit_test(the_first_contents_of_a_file_count),
        cmocka_unit_test(what_a_tree_made_is_not_kept_but_moved_aside),
        cmocka_unit_test(room_is_made_of_what_is_harmless_and_never_of_a_suspect),
        cmocka_unit_test(a_file_too_large_and_a_full_disk_are_said),
        cmocka_unit_test(old_ones_go_but_not_those_of_a_suspect),
        cmocka_unit_test(a_torn_end_is_cut_and_a_damaged_record_costs_itself),
        cmocka_unit_test(records_of_a_later_version_are_passed_over_and_a_later_list_is_refused),
        cmocka_unit_test(what_a_power_cut_may_have_taken_is_not_given_back),
        cmocka_unit_test(a_list_that_is_mostly_dead_is_written_anew),
        cmocka_unit_test(threads_keep_each_file_once),
        cmocka_unit_test(what_somebody_else_changed_afterwards_is_left),
        cmocka_unit_test(an_undo_leaves_what_was_changed_since),
        cmocka_unit_test(no_link_is_followed),
        cmocka_unit_test(chosen_names_follow_their_renames),
        cmocka_unit_test(what_nobody_held_is_said_to_be_lost),
        cmocka_unit_test(holes_stay_holes),
        cmocka_unit_test(a_keeper_killed_by_a_signal_leaves_a_sound_folder),
    };
    return cmocka_run_group_tests_name("giveback keep", tests, NULL, NULL);
}
