/* Giving generations back. */
#include "engine_kit.h"
#include <errno.h>
#include <signal.h>
#include <sys/xattr.h>
#include <sys/wait.h>
#include "plat/fault.h"
#include "plat/sandbox.h"

/* A backed-up edge tree and a copy of its text. */
static struct kit *backed_up(struct sm_buf *ret_text)
{
    struct kit *k = kit_new();
    tree_edge(k->src);
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->result.status, RUN_COMPLETE);
    if (ret_text)
        tree_text(k->src, ret_text);
    kit_restore_prepare(k);
    return k;
}

static void assert_is(const char *path, const struct sm_buf *want)
{
    struct sm_buf now = { 0 };
    tree_text(path, &now);
    assert_string_equal(tree_diff(want, &now), "");
    sm_buf_wipe(&now);
}

/* The one folder in k->base whose name begins with "src.before-restore-". */
static bool aside_folder(const struct kit *k, char ret[700])
{
    struct sm_buf text = { 0 };
    tree_text(k->base, &text);
    const char *s = strstr(sm_buf_str(&text), "\n./src.before-restore-");
    if (s)
        (void)snprintf(ret, 700, "%s/%.*s", k->base, (int)strcspn(s + 3, " /"), s + 3);
    sm_buf_wipe(&text);
    return s != NULL;
}

static void to_the_original_place_everything_is_set_right_and_nothing_is_lost(void **state)
{
    struct sm_buf want = { 0 };
    struct kit *k = backed_up(&want);
    char p[700], q[700], aside[700];
    (void)state;
    tree_text_file(k->src, "records.txt", "encrypted");          /* changed */
    tree_text_file(k->src, "README-RANSOM.txt", "pay");          /* new */
    kit_path(k, "plain.txt", p);
    assert_int_equal(unlink(p), 0);                              /* gone */
    kit_path(k, "emptydir", p);
    assert_int_equal(rmdir(p), 0);
    tree_text_file(k->src, "emptydir", "a file in its place");   /* another kind */
    kit_path(k, "fifo", p);
    assert_int_equal(unlink(p), 0);
    assert_int_equal(mkdir(p, 0755), 0);
    tree_text_file(p, "in", "below a folder in its place");
    kit_path(k, "small-007.hl7", p);
    (void)snprintf(q, sizeof q, "%.680s.locked", p);
    assert_int_equal(rename(p, q), 0);
    k->restore.target = RESTORE_ORIGINAL;
    assert_int_equal(kit_restore_run(k, false), 0);
    assert_is(k->src, &want);
    assert_true(k->restored.set_aside >= 5);
    assert_true(k->restored.same > 60);
    assert_true(aside_folder(k, aside));
    static const char *const kept[] = { "records.txt", "README-RANSOM.txt", "emptydir", "fifo/in", "small-007.hl7.locked" };
    for (size_t i = 0; i < 5; i++) {
        (void)snprintf(q, sizeof q, "%.400s/%s", aside, kept[i]);
        assert_int_equal(access(q, F_OK), 0);
    }
    assert_int_equal(kit_restore_run(k, true), 0); /* compare: equal */
    sm_buf_wipe(&want);
    kit_free(k);
}

static void a_lost_folder_is_made_anew(void **state)
{
    struct sm_buf want = { 0 };
    struct kit *k = backed_up(&want);
    (void)state;
    tree_remove(k->src);
    k->restore.target = RESTORE_ORIGINAL;
    assert_int_equal(kit_restore_run(k, false), 0);
    assert_is(k->src, &want);
    sm_buf_wipe(&want);
    kit_free(k);
}

static void one_path_alone_touches_nothing_else(void **state)
{
    struct kit *k = backed_up(NULL);
    char one[700], other[700], at[1500];
    struct sm_span paths[2] = { 0 };
    (void)state;
    kit_path(k, "hardlink.txt", one);
    kit_path(k, "deep00/deep01", other);
    paths[0] = SM_SPAN_STR(one);
    paths[1] = SM_SPAN_STR(other);
    k->restore.paths = paths;
    k->restore.paths_n = 2;
    assert_int_equal(kit_restore_run(k, false), 0);
    assert_int_equal(k->restored.files, 2); /* the link's bytes, and "bottom" */
    (void)snprintf(at, sizeof at, "%s%s", k->to, one);
    assert_int_equal(access(at, F_OK), 0);
    (void)snprintf(at, sizeof at, "%s%s/plain.txt", k->to, k->src);
    assert_int_equal(access(at, F_OK), -1);
    tree_text_file(k->src, "extra", "stays");
    tree_text_file(k->src, "hardlink.txt", "changed");
    k->restore.paths_n = 1;
    k->restore.target = RESTORE_ORIGINAL;
    assert_int_equal(kit_restore_run(k, false), 0);
    kit_path(k, "extra", at);
    assert_int_equal(access(at, F_OK), 0);
    paths[0] = SM_SPAN_STR("/not/there");
    assert_int_equal(kit_restore_run(k, false), -SM_ENOTFOUND);
    kit_free(k);
}

static void skip_leaves_and_overwrite_replaces_what_is_there(void **state)
{
    struct sm_buf want = { 0 };
    struct kit *k = backed_up(&want);
    char p[700], aside[700];
    struct sm_buf text = SM_BUF_INIT(100);
    (void)state;
    k->restore.target = RESTORE_ORIGINAL;
    tree_text_file(k->src, "records.txt", "mine");
    k->restore.existing = RESTORE_SKIP;
    assert_int_equal(kit_restore_run(k, false), 0);
    kit_path(k, "records.txt", p);
    assert_int_equal(plat_fs_read_file(AT_FDCWD, p, 100, &text), 0);
    assert_int_equal(text.n, 4);
    assert_true(k->restored.skipped > 60);
    tree_text_file(k->src, "extra", "stays");
    k->restore.existing = RESTORE_OVERWRITE;
    assert_int_equal(kit_restore_run(k, false), 0);
    assert_false(aside_folder(k, aside));
    kit_path(k, "extra", p);
    assert_int_equal(unlink(p), 0);
    k->restore.existing = RESTORE_ASIDE;
    assert_int_equal(kit_restore_run(k, false), 0); /* sets the folder's time right after the unlink */
    assert_is(k->src, &want);
    sm_buf_wipe(&text);
    sm_buf_wipe(&want);
    kit_free(k);
}

static void the_same_size_and_time_do_not_make_a_file_the_same(void **state)
{
    struct sm_buf want = { 0 };
    struct kit *k = backed_up(&want);
    char p[700];
    struct stat st;
    (void)state;
    kit_path(k, "noise.bin", p);
    assert_int_equal(stat(p, &st), 0);
    int fd = open(p, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "X", 1, 2900000), 1); /* far behind the beginning */
    assert_int_equal(futimens(fd, (struct timespec[2]){ st.st_atim, st.st_mtim }), 0);
    close(fd);
    k->restore.target = RESTORE_ORIGINAL;
    assert_int_equal(kit_restore_run(k, true), -SM_EMISMATCH);
    assert_int_equal(k->problems, 1);
    assert_string_equal(k->problem_what, "content");
    assert_int_equal(kit_restore_run(k, false), 0);
    assert_is(k->src, &want);
    sm_buf_wipe(&want);
    kit_free(k);
}

static void a_planted_link_leads_nowhere(void **state)
{
    struct sm_buf want = { 0 }, victim_text = { 0 };
    struct kit *k = backed_up(&want);
    char victim[400], p[700];
    (void)state;
    (void)snprintf(victim, sizeof victim, "%s/victim", k->base);
    assert_int_equal(mkdir(victim, 0755), 0);
    tree_text_file(victim, "bottom", "precious");
    tree_text(victim, &victim_text);
    kit_path(k, "deep00", p);
    tree_remove(p);
    assert_int_equal(symlink(victim, p), 0);
    kit_path(k, "plain.txt", p);
    assert_int_equal(unlink(p), 0);
    (void)snprintf(victim, sizeof victim, "%s/victim/bottom", k->base);
    assert_int_equal(symlink(victim, p), 0);
    k->restore.target = RESTORE_ORIGINAL;
    k->restore.existing = RESTORE_OVERWRITE;
    assert_int_equal(kit_restore_run(k, false), 0);
    assert_is(k->src, &want);
    (void)snprintf(victim, sizeof victim, "%s/victim", k->base);
    assert_is(victim, &victim_text);
    sm_buf_wipe(&want);
    sm_buf_wipe(&victim_text);
    kit_free(k);
}

static bool is_old(const struct cid *old, size_t n, const struct cid *c)
{
    for (size_t i = 0; i < n; i++)
        if (cid_eq(&old[i], c))
            return true;
    return false;
}

static void a_lost_chunk_costs_its_file_alone(void **state)
{
    struct kit *k = backed_up(NULL);
    char p[1500];
    (void)state;
    /* A file of noise of its own, and one of the chunks that came with it: noise is not compressed, so it is long. */
    struct cid *old = calloc(k->v.slots, sizeof *old);
    size_t n = 0, lost = 0;
    assert_non_null(old);
    for (size_t i = 0; i < k->v.slots; i++)
        if (k->v.row[i].used)
            old[n++] = k->v.row[i].cid;
    tree_fill(k->src, "only-here", 400000, 1, 77);
    assert_int_equal(kit_backup(k), 0);
    kit_restore_prepare(k);
    for (size_t i = 0; i < k->v.slots && !lost; i++) {
        struct ev_row *r = &k->v.row[i];
        if (r->used && r->type == OBJ_CHUNK && r->length > 15000 && !is_old(old, n, &r->cid))
            lost += r->lost = true;
    }
    free(old);
    assert_int_equal(lost, 1);
    assert_int_equal(kit_restore_run(k, false), -SM_EPARTIAL);
    assert_int_equal(k->problem_err, -SM_EMISSING);
    assert_int_equal(k->problems, 1);
    assert_non_null(strstr(k->problem_path, "/only-here"));
    (void)snprintf(p, sizeof p, "%s%s", k->to, k->problem_path);
    assert_int_equal(access(p, F_OK), -1);
    assert_true(k->restored.files > 70);
    kit_free(k);
}

static void a_lost_folder_page_names_the_folder_and_empties_nothing(void **state)
{
    struct kit *k = kit_new();
    char sub[700], p[1500];
    (void)state;
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d", i);
        kit_path(k, name, sub);
        assert_int_equal(mkdir(sub, 0755), 0);
        tree_text_file(sub, "in", name);
    }
    assert_int_equal(kit_backup(k), 0);
    kit_restore_prepare(k);
    k->restore.target = RESTORE_ORIGINAL;
    size_t lost = 0;
    for (size_t n = 0; n < 20 && !lost; n++) {
        /* Lose folder pages until one of the three is hit. */
        if (!engine_lose(&k->v, OBJ_DIRPAGE, n))
            break;
        int e = kit_restore_run(k, false);
        lost = e == -SM_EPARTIAL && strcmp(k->problem_what, "folder") == 0 && strlen(k->problem_path) == strlen(sub);
        for (size_t i = 0; i < k->v.slots; i++)
            k->v.row[i].lost = false;
        for (int i = 0; i < 3; i++) {
            (void)snprintf(p, sizeof p, "%s/d%d/in", k->src, i);
            assert_int_equal(access(p, F_OK), 0);
        }
    }
    assert_true(lost);
    kit_free(k);
}

static void every_difference_is_told_by_compare(void **state)
{
    static const struct { const char *name, *what; } row[] = {
        { "readonly", "mode" }, { "small-014.hl7", "mtime" }, { "symlink", "target" }, { "xattr", "xattr" },
        { "empty", "size" }, { "records.txt", "content" }, { "extra-file", "extra" }, { "setuid", "missing" },
        { "zz-big-b", "link" },
    };
    struct kit *k = backed_up(NULL);
    struct sm_buf want = { 0 };
    char p[700];
    (void)state;
    tree_text(k->src, &want);
    k->restore.target = RESTORE_ORIGINAL;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        kit_path(k, row[i].name, p);
        struct stat st = { 0 };
        (void)lstat(p, &st);
        switch (i) {
        case 0: assert_int_equal(chmod(p, 0444), 0); break;
        case 1: assert_int_equal(utimensat(AT_FDCWD, p, (struct timespec[2]){ { 5, 0 }, { 5, 0 } }, 0), 0); break;
        case 2: assert_int_equal(unlink(p) | symlink("elsewhere", p), 0); break;
        case 3: (void)!removexattr(p, "user.clinic"); break;
        case 4: tree_text_file(k->src, row[i].name, "1"); break;
        case 5: {
            int fd = open(p, O_WRONLY | O_CLOEXEC);
            assert_int_equal(pwrite(fd, "~", 1, 700000), 1);
            assert_int_equal(futimens(fd, (struct timespec[2]){ st.st_atim, st.st_mtim }), 0);
            close(fd);
            break;
        }
        case 6: tree_text_file(k->src, row[i].name, "1"); break;
        case 7: assert_int_equal(unlink(p), 0); break;
        default: assert_int_equal(unlink(p), 0); tree_text_file(k->src, row[i].name, "alone"); break;
        }
        char root_time_too[64];
        (void)snprintf(root_time_too, sizeof root_time_too, "%s", row[i].what);
        k->problem_what[0] = 0;
        assert_int_equal(kit_restore_run(k, true), -SM_EMISMATCH);
        assert_true(k->problems >= 1);
        assert_int_equal(kit_restore_run(k, false), 0);
        assert_is(k->src, &want);
        assert_int_equal(kit_restore_run(k, true), 0);
    }
    sm_buf_wipe(&want);
    kit_free(k);
}

static void a_killed_restore_is_finished_by_the_next(void **state)
{
    struct kit *k = backed_up(NULL);
    char restored[700];
    (void)state;
    (void)snprintf(restored, sizeof restored, "%s%s", k->to, k->src);
    for (int i = 0; i < 25; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(kit_restore_run(k, false) == 0 ? 0 : 1);
        usleep((useconds_t)(1500 * i));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        if (i % 5 != 4)
            continue; /* several in a row are killed */
        assert_int_equal(kit_restore_run(k, false), 0);
        kit_assert_equal(k, k->src, restored);
        tree_remove(k->to);
    }
    kit_free(k);
}

static void a_full_disk_stops_cleanly_and_leaves_no_temporary(void **state)
{
    struct kit *k = backed_up(NULL);
    char restored[700];
    (void)state;
    (void)snprintf(restored, sizeof restored, "%s%s", k->to, k->src);
    for (uint64_t n = 1; n < 60; n += 7) {
        struct sm_buf text = { 0 };
        plat_fault_set(PLAT_OP_WRITE | PLAT_FAULT_STICKY | PLAT_FAULT_SHORT, n, ENOSPC);
        int e = kit_restore_run(k, false);
        plat_fault_clear();
        assert_int_equal(e, -ENOSPC);
        tree_text(k->to, &text);
        assert_null(strstr(sm_buf_str(&text), ".part"));
        sm_buf_wipe(&text);
        assert_int_equal(kit_restore_run(k, false), 0);
        kit_assert_equal(k, k->src, restored);
        tree_remove(k->to);
    }
    kit_free(k);
}

static void a_failing_operation_is_told_and_a_second_run_repairs(void **state)
{
    struct kit *k = kit_new();
    char restored[700], p[700];
    uint64_t n = 1;
    (void)state;
    tree_text_file(k->src, "a", "aa");
    kit_path(k, "d", p);
    assert_int_equal(mkdir(p, 0700), 0);
    tree_fill(p, "big", 100000, 0, 1);
    kit_path(k, "l", p);
    assert_int_equal(symlink("a", p), 0);
    kit_path(k, "h", p);
    assert_int_equal(linkat(AT_FDCWD, k->src, AT_FDCWD, p, 0), -1); /* folders have no second name */
    assert_int_equal(kit_backup(k), 0);
    (void)snprintf(restored, sizeof restored, "%s%s", k->to, k->src);
    kit_restore_prepare(k);
    for (bool fired = true; fired; n++) {
        plat_fault_set(PLAT_OP_FILES, n, EIO);
        int e = kit_restore_run(k, false);
        fired = plat_fault_fired();
        plat_fault_clear();
        assert_true(fired ? e != 0 || k->problems == 0 : e == 0);
        assert_int_equal(kit_restore_run(k, false), 0);
        kit_assert_equal(k, k->src, restored);
        tree_remove(k->to);
    }
    assert_true(n > 10);
    kit_free(k);
}

static void a_cancelled_restore_can_go_on(void **state)
{
    struct kit *k = backed_up(NULL);
    char restored[700];
    (void)state;
    (void)snprintf(restored, sizeof restored, "%s%s", k->to, k->src);
    atomic_store(&k->cancel, true);
    assert_int_equal(kit_restore_run(k, false), -SM_ECANCEL);
    atomic_store(&k->cancel, false);
    assert_int_equal(kit_restore_run(k, false), 0);
    kit_assert_equal(k, k->src, restored);
    kit_free(k);
}

/* So many small files that the lists between the threads end in the middle of a file. */
static void thousands_of_small_files_come_back_byte_for_byte(void **state)
{
    struct kit *k = kit_new();
    char name[64], text[1000];
    (void)state;
    for (unsigned i = 0; i < 14000; i++) {
        (void)snprintf(name, sizeof name, "f%06u", i);
        int n = snprintf(text, sizeof text, "file %u ", i);
        for (unsigned j = 0; j < 20 + i % 900; j++)
            text[n++] = (char)('a' + (i * 7 + j * 13) % 26);
        text[n] = 0;
        tree_text_file(k->src, name, text);
    }
    assert_int_equal(kit_backup(k), 0);
    kit_restore_equal(k);
    kit_free(k);
}

/* Files with the same bytes share a chunk, so nothing but the row of operations ends a batch; three alignments, so that in
 * one of them it ends between the beginning of a file and its bytes. */
static void a_batch_that_ends_before_a_files_bytes_does_not_mix_up_chunks(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 3; shift++) {
        struct kit *k = kit_new();
        char name[64];
        for (unsigned i = 0; i < shift; i++) {
            (void)snprintf(name, sizeof name, "%s/a%u", k->src, i);
            assert_int_equal(symlink("nowhere", name), 0);
        }
        for (unsigned i = 0; i < 2790; i++) {
            (void)snprintf(name, sizeof name, "b%05u", i);
            tree_fill(k->src, name, 3000, 0, i < 2600 ? 1 : 2);
        }
        assert_int_equal(kit_backup(k), 0);
        kit_restore_equal(k);
        kit_free(k);
    }
}

/* A folder of the machine's own below the source ("own"), in one that leads there ("way"): both unknown to the generation. */
static void own_make(const struct kit *k, struct plat_id *ret_way, struct plat_id *ret_own)
{
    char p[700];
    struct plat_meta m;
    kit_path(k, "way", p);
    assert_int_equal(mkdir(p, 0755), 0);
    assert_int_equal(plat_meta_read(AT_FDCWD, p, 0, &m), 0);
    *ret_way = m.id;
    plat_meta_wipe(&m);
    kit_path(k, "way/own", p);
    assert_int_equal(mkdir(p, 0755), 0);
    tree_text_file(p, "secret", "of the machine");
    assert_int_equal(plat_meta_read(AT_FDCWD, p, 0, &m), 0);
    *ret_own = m.id;
    plat_meta_wipe(&m);
}

static void what_the_machine_keeps_for_itself_is_left_alone(void **state)
{
    struct kit *k = backed_up(NULL);
    struct plat_id keep, skip, deep;
    struct plat_meta m;
    char p[700], aside[700];
    (void)state;
    own_make(k, &keep, &skip);
    tree_text_file(k->src, "extra", "new");
    k->restore.target = RESTORE_ORIGINAL;
    k->restore.keep = &keep;
    k->restore.skip = &skip;
    k->restore.keep_n = k->restore.skip_n = 1;
    assert_int_equal(kit_restore_run(k, false), 0);
    kit_path(k, "way/own/secret", p);
    assert_int_equal(access(p, F_OK), 0);
    assert_int_equal(k->restored.set_aside, 1);
    assert_true(aside_folder(k, aside));
    assert_int_equal(kit_restore_run(k, true), 0); /* compare says nothing of them either */
    /* One that the generation knows is not entered, which is told. */
    kit_path(k, "deep00", p);
    assert_int_equal(plat_meta_read(AT_FDCWD, p, 0, &m), 0);
    deep = m.id;
    plat_meta_wipe(&m);
    k->restore.skip = &deep;
    assert_int_equal(kit_restore_run(k, false), -SM_EPARTIAL);
    assert_int_equal(k->problems, 1);
    assert_int_equal(k->problem_err, -SM_EDENIED);
    kit_free(k);
}

/* In a process that may make and move names in the source's own folder, but neither read nor write there. */
static int restore_confined(struct kit *k)
{
    char own[700], work[800], name[RESTORE_WORK_NAME];
    const char *out = own, *level = k->src;
    struct plat_confined c = {0};
    kit_path(k, "way/own", own);
    restore_work_name(k->restore.id, name);
    (void)snprintf(work, sizeof work, "%s/%s", k->src, name);
    if (mkdir(work, 0700) < 0)
        return 1;
    const struct plat_path_rule also = { work, true, false };
    const struct plat_but but = { .out = &out, .out_n = 1, .write = true, .change = &level, .change_n = 1, .also = &also,
        .also_n = 1 };
    if (plat_sandbox_landlock_but(&but, &c) < 0 || !c.landlock)
        return 2;
    k->restore.work = plat_fs_open_dir(AT_FDCWD, work);
    if (k->restore.work < 0 || kit_restore_run(k, false) != 0)
        return 3;
    if (k->restored.set_aside != 3)
        return 4;
    return rmdir(work) < 0 ? 5 : 0; /* empty again */
}

static void where_nothing_may_be_written_files_are_moved_to(void **state)
{
    struct sm_buf want = { 0 }, got = { 0 };
    struct kit *k = backed_up(&want);
    struct plat_id keep, skip;
    char p[1600];
    int status = 0;
    (void)state;
    if (plat_sandbox_landlock_abi() < 2)
        skip();
    own_make(k, &keep, &skip);
    k->restore = (struct restore_config){ .work = -1, .manifest = k->restore.manifest,
        .device_public = k->restore.device_public, .target = RESTORE_ORIGINAL, .state_dir = k->state_dir, .keep = &keep,
        .keep_n = 1, .skip = &skip, .skip_n = 1 };
    tree_text_file(k->src, "records.txt", "encrypted");
    tree_text_file(k->src, "README-RANSOM.txt", "pay");
    kit_path(k, "plain.txt", p);
    assert_int_equal(unlink(p), 0);
    kit_path(k, "deep00", p);
    tree_remove(p);
    tree_text_file(k->src, "deep00", "a file in a folder's place");
    pid_t pid = fork();
    if (pid == 0)
        _exit(restore_confined(k));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    kit_path(k, "way", p);
    tree_remove(p);
    tree_text(k->src, &got);
    const char *s = strstr(sm_buf_str(&got), "\n./.before-restore-"); /* in the folder: beside it nothing may be made */
    assert_non_null(s);
    (void)snprintf(p, sizeof p, "%s/%.*s", k->src, (int)strcspn(s + 3, " /"), s + 3);
    tree_remove(p);
    k->restore.keep_n = k->restore.skip_n = 0;
    assert_int_equal(kit_restore_run(k, false), 0); /* the time of the folder alone */
    assert_int_equal(k->restored.set_aside, 0);
    assert_is(k->src, &want);
    sm_buf_wipe(&got);
    sm_buf_wipe(&want);
    kit_free(k);
}

/* The box goes away at any fetch: the restore ends with that, holds nothing any more, and the next one finishes it. */
static void a_fetch_that_fails_ends_it_and_holds_nothing(void **state)
{
    struct kit *k = backed_up(NULL);
    char restored[700];
    bool failed = true;
    unsigned n = 1;
    (void)state;
    (void)snprintf(restored, sizeof restored, "%s%s", k->to, k->src);
    for (; failed; n++) {
        atomic_store(&engine_fail_get, n);
        int e = kit_restore_run(k, false);
        failed = atomic_exchange(&engine_fail_get, 0) == 0;
        assert_int_equal(e, failed ? -SM_EPEER : 0);
        assert_int_equal(atomic_load(&engine_held), 0);
        assert_int_equal(kit_restore_run(k, false), 0);
        kit_assert_equal(k, k->src, restored);
        tree_remove(k->to);
    }
    assert_true(n > 2);
    kit_free(k);
}

/* Memory that runs out, at every place in turn: told or got over, never half a file. */
static void where_memory_ends_nothing_is_held(void **state)
{
    struct kit *k = kit_new();
    char restored[700];
    (void)state;
    tree_text_file(k->src, "a", "aa");
    tree_fill(k->src, "big", 300000, 0, 1);
    assert_int_equal(kit_backup(k), 0);
    (void)snprintf(restored, sizeof restored, "%s%s", k->to, k->src);
    kit_restore_prepare(k);
    bool fired = true;
    for (uint64_t n = 1; fired; n += n < 24 ? 1 : 11) {
        plat_fault_set(PLAT_OP_ALLOC, n, ENOMEM);
        int e = kit_restore_run(k, false);
        fired = plat_fault_fired();
        plat_fault_clear();
        assert_true(fired || e == 0);
        assert_int_equal(atomic_load(&engine_held), 0);
        assert_int_equal(kit_restore_run(k, false), 0);
        kit_assert_equal(k, k->src, restored);
        tree_remove(k->to);
    }
    kit_free(k);
}

static int hold(void **state)
{
    (void)state;
    engine_holds = true;
    return 0;
}

int main(void)
{
    const struct CMUnitTest held[] = {
        cmocka_unit_test(a_lost_chunk_costs_its_file_alone),
        cmocka_unit_test(a_full_disk_stops_cleanly_and_leaves_no_temporary),
        cmocka_unit_test(a_cancelled_restore_can_go_on),
        cmocka_unit_test(a_fetch_that_fails_ends_it_and_holds_nothing),
        cmocka_unit_test(where_memory_ends_nothing_is_held),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_that_ends_before_a_files_bytes_does_not_mix_up_chunks),
        cmocka_unit_test(thousands_of_small_files_come_back_byte_for_byte),
        cmocka_unit_test(to_the_original_place_everything_is_set_right_and_nothing_is_lost),
        cmocka_unit_test(a_lost_folder_is_made_anew),
        cmocka_unit_test(one_path_alone_touches_nothing_else),
        cmocka_unit_test(skip_leaves_and_overwrite_replaces_what_is_there),
        cmocka_unit_test(the_same_size_and_time_do_not_make_a_file_the_same),
        cmocka_unit_test(a_planted_link_leads_nowhere),
        cmocka_unit_test(a_lost_chunk_costs_its_file_alone),
        cmocka_unit_test(a_lost_folder_page_names_the_folder_and_empties_nothing),
        cmocka_unit_test(every_difference_is_told_by_compare),
        cmocka_unit_test(a_killed_restore_is_finished_by_the_next),
        cmocka_unit_test(a_full_disk_stops_cleanly_and_leaves_no_temporary),
        cmocka_unit_test(a_failing_operation_is_told_and_a_second_run_repairs),
        cmocka_unit_test(a_cancelled_restore_can_go_on),
        cmocka_unit_test(what_the_machine_keeps_for_itself_is_left_alone),
        cmocka_unit_test(where_nothing_may_be_written_files_are_moved_to),
    };
    int failed = cmocka_run_group_tests_name("vault restore", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("vault restore, held", held, hold, NULL);
}
