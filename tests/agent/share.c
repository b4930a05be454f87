/* A share as backup sees it: what the part that speaks SMB says is checked, and a walk of what it tells ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "plat/clock.h"
#include "plat/local.h"
#include "sakimori-agent/agent.h"
#include "sakimori-agent/share.h"

/* ---- bytes ---- */

static const struct share_facts a_file = {.type = SHARE_FILE,
    .attributes = 0x20,
    .size = 5,
    .number = 77,
    .written = {.s = 1775001600, .ns = 123456700},
    .changed = {.s = 1775001601},
    .created = {.s = 1775001599}};

static void a_row_comes_back_as_it_was(void **s)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    struct share_page page;
    struct share_facts f;
    struct sm_span name;
    (void)s;
    assert_int_equal(sm_buf_put(&b, "\1\0", 2), 0);
    assert_int_equal(share_row_put(&b, SM_SPAN_STR("患者 山田.txt"), &a_file), 0);
    assert_int_equal(share_page_get(sm_buf_span(&b), &page), 0);
    assert_true(page.more && !page.unfit);
    assert_int_equal(share_row_next(&page, &name, &f), 1);
    assert_true(sm_span_eq(name, SM_SPAN_STR("患者 山田.txt")));
    assert_true(f.number == 77 && f.size == 5 && f.attributes == 0x20 && sm_time_cmp(f.written, a_file.written) == 0 &&
                sm_time_cmp(f.created, a_file.created) == 0);
    assert_int_equal(share_row_next(&page, &name, &f), 0);
    for (size_t n = 3; n < b.n; n++) { /* cut anywhere it is no page */
        assert_int_equal(share_page_get(SM_SPAN(b.p, n), &page), 0);
        assert_int_equal(share_row_next(&page, &name, &f), -SM_EPROTO);
    }
    sm_buf_wipe(&b);
}

static void names_that_no_file_can_have_are_refused(void **s)
{
    static const char *const bad[] = {"", ".", "..", "a/b", "/", "\xff\xfe", "\xed\xa0\x80"};
    static const char *const good[] = {"a", "...", ".a", "..a", "が", "か\xe3\x82\x99", "a b%", "a\\b"};
    char wide[SHARE_NAME_MAX + 2];
    (void)s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(share_name_ok(SM_SPAN_STR(bad[i])));
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(share_name_ok(SM_SPAN_STR(good[i])));
    assert_false(share_name_ok(SM_SPAN("a\0b", 3)));
    memset(wide, 'x', sizeof wide);
    assert_true(share_name_ok(SM_SPAN(wide, SHARE_NAME_MAX)));
    assert_false(share_name_ok(SM_SPAN(wide, SHARE_NAME_MAX + 1)));
    for (size_t i = 0; i < 4; i++)
        assert_false(share_path_ok(SM_SPAN_STR(((const char *const[]){"/a", "a/", "a//b", "a/../b"})[i])));
    assert_true(share_path_ok(SM_SPAN_STR("")) && share_path_ok(SM_SPAN_STR("a/b c/が")));
}

static void numbers_out_of_the_world_are_refused(void **s)
{
    struct share_facts f;
    (void)s;
    for (int i = 0; i < 5; i++) {
        struct sm_buf b = SM_BUF_INIT(256);
        f = a_file;
        if (i == 0)
            f.type = 3;
        else if (i == 1)
            f.size = UINT64_MAX;
        else if (i == 2)
            f.written.ns = 1000000000u;
        else if (i == 3)
            f.changed.s = INT64_MAX;
        else
            f.created.s = INT64_MIN;
        assert_int_equal(share_facts_put(&b, &f), 0);
        assert_int_equal(b.n, SHARE_FACTS);
        assert_int_equal(share_facts_get(sm_buf_span(&b), &f), -SM_EPROTO);
        sm_buf_wipe(&b);
    }
    assert_int_equal(share_facts_get(SM_SPAN("", 0), &f), -SM_EPROTO);
}

/* ---- the other side, as bad as it likes ---- */

enum how { GOOD, SLASH, ENDLESS, SILENT, GONE, TOO_MUCH, DIES, ODD_ERROR, NO_FILE };
struct foe {
    pthread_t thread;
    struct sm_ipc *ipc;
    enum how how;
    struct share share;
    struct sm_ipc *near;
    bool stop;
};

static int reply(struct foe *f, const struct sm_ipc_msg *m, int more, const char *name)
{
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    const uint8_t head[2] = {(uint8_t)more, 0};
    int r = sm_buf_put(&b, head, 2);
    if (!r)
        r = share_row_put(&b, SM_SPAN_STR(name), &a_file);
    if (!r)
        r = sm_ipc_reply(f->ipc, m, 0, sm_buf_span(&b), -1);
    sm_buf_wipe(&b);
    return r;
}

static int answer_one(struct foe *f, const struct sm_ipc_msg *m)
{
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    int r = share_facts_put(&b, &a_file);
    char much[16] = "0123456789";
    if (f->how == SILENT)
        r = 0;
    else if (f->how == GONE)
        r = sm_ipc_reply_error(f->ipc, m, -ECONNRESET, "");
    else if (f->how == ODD_ERROR)
        r = sm_ipc_reply_error(f->ipc, m, -SM_ECANCEL, "");
    else if (f->how == NO_FILE)
        r = sm_ipc_reply_error(f->ipc, m, -EACCES, "");
    else if (f->how == DIES)
        r = -SM_EPEER;
    else if (m->type == W_LIST || m->type == W_MORE)
        r = reply(f, m, f->how == ENDLESS, f->how == SLASH ? "a/b" : "a");
    else if (m->type == W_READ)
        r = sm_ipc_reply(f->ipc, m, 0, SM_SPAN(much, f->how == TOO_MUCH ? 10 : 5), -1);
    else
        r = sm_ipc_reply(f->ipc, m, 0, m->type == W_SHUT ? SM_SPAN(NULL, 0) : sm_buf_span(&b), -1);
    sm_buf_wipe(&b);
    return r;
}

static void *foe_main(void *arg)
{
    struct foe *f = arg;
    struct sm_ipc_msg m;
    int r = 0;
    while (!r)
        if ((r = sm_ipc_recv(f->ipc, 30000, &m)) == 0)
            r = answer_one(f, &m);
    sm_ipc_free(f->ipc);
    return NULL;
}

static bool stopped(void *arg)
{
    return ((struct foe *)arg)->stop;
}

static struct foe *meet(enum how how)
{
    static const struct sm_ipc_rule asks[] = {{W_LOOK, 0, false, "W_LOOK"}, {W_LIST, SHARE_PATH_MAX, false, "W_LIST"},
        {W_MORE, 0, false, "W_MORE"}, {W_OPEN, SHARE_PATH_MAX, false, "W_OPEN"}, {W_READ, 4, false, "W_READ"},
        {W_AGAIN, 0, false, "W_AGAIN"}, {W_SHUT, 0, false, "W_SHUT"}};
    const struct sm_ipc_config far = {.may_receive = asks,
                                   .may_receive_n = 7,
                                   .body_max = SM_IPC_BODY_MAX,
                                   .queue_max = SM_IPC_BODY_MAX},
                               near = {.body_max = SM_IPC_BODY_MAX, .queue_max = SM_IPC_BODY_MAX};
    struct foe *f = calloc(1, sizeof *f);
    int pair[2];
    f->how = how;
    assert_int_equal(plat_local_pair(pair), 0);
    assert_int_equal(sm_ipc_new(NULL, pair[0], &near, &f->near), 0);
    assert_int_equal(sm_ipc_new(NULL, pair[1], &far, &f->ipc), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, foe_main, f), 0);
    f->share = (struct share){.ipc = f->near, .stopped = stopped, .arg = f, .until_ms = plat_clock_mono_ms() + 60000};
    share_begin(&f->share);
    return f;
}

static void part(struct foe *f)
{
    sm_ipc_free(f->near);
    share_end(&f->share);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    free(f);
}

static int count_one(void *to, struct sm_span name, const struct plat_meta *m)
{
    assert_true(name.n > 0 && m->type == PLAT_FILE && m->size == 5 && m->mtime.ns == 123456700);
    (*(unsigned *)to)++;
    return 0;
}

static void what_is_well_formed_is_taken(void **s)
{
    struct foe *f = meet(GOOD);
    const struct scan_remote *r = &f->share.remote;
    struct plat_meta m;
    unsigned n = 0;
    char to[64];
    (void)s;
    assert_int_equal(r->list(r->arg, "a/b", count_one, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(r->open(r->arg, "a", &m), 0);
    assert_int_equal(m.dos_attributes, 0x20);
    assert_int_equal(r->read(r->arg, to, sizeof to), 5);
    assert_int_equal(f->share.bytes_read, 5);
    assert_int_equal(r->again(r->arg, &m), 0);
    r->close(r->arg);
    assert_int_equal(r->look(r->arg, &m), -EISDIR); /* a file is no folder to begin with */
    part(f);
}

static void what_breaks_the_form_is_the_last_thing_heard(void **s)
{
    static const enum how hows[] = {SLASH, ENDLESS, TOO_MUCH};
    (void)s;
    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++) {
        struct foe *f = meet(hows[i]);
        const struct scan_remote *r = &f->share.remote;
        struct plat_meta m;
        unsigned n = 0;
        char to[8];
        f->share.folder_max = 1000;
        int got = hows[i] == TOO_MUCH ? (int)r->read(r->arg, to, sizeof to) : r->list(r->arg, "", count_one, &n);
        if (hows[i] == ENDLESS) {
            assert_int_equal(got, -EOVERFLOW); /* a problem of this folder alone */
            assert_int_equal(n, 1000);
            assert_int_equal(r->open(r->arg, "a", &m), 0);
            f->share.entries_max = 1500;
            assert_int_equal(r->list(r->arg, "b", count_one, &n), -SM_ELIMIT); /* of the whole run: its end */
            assert_int_equal(r->open(r->arg, "a", &m), -SM_ELIMIT);
        } else {
            assert_int_equal(got, -SM_EPROTO);
            assert_int_equal(r->open(r->arg, "a", &m), -SM_EPROTO);
        }
        part(f);
    }
}

static void a_server_that_is_gone_ends_the_run_and_a_name_that_is_refused_does_not(void **s)
{
    static const struct {
        enum how how;
        int err;
        bool over;
    } rows[] = {{GONE, -SM_EPEER, true}, {DIES, -SM_EPEER, true}, {NO_FILE, -EACCES, false}, {ODD_ERROR, -EIO, false}};
    (void)s;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct foe *f = meet(rows[i].how);
        const struct scan_remote *r = &f->share.remote;
        struct plat_meta m;
        int got = r->open(r->arg, "a", &m);
        assert_int_equal(got, rows[i].err);
        assert_int_equal(scan_remote_over(got), rows[i].over);
        part(f);
    }
}

static void silence_has_an_end(void **s)
{
    struct foe *f = meet(SILENT);
    const struct scan_remote *r = &f->share.remote;
    struct plat_meta m;
    (void)s;
    f->share.until_ms = plat_clock_mono_ms() + 300;
    assert_int_equal(r->open(r->arg, "a", &m), -SM_ETIME);
    assert_int_equal(r->look(r->arg, &m), -SM_ETIME); /* not waited for again */
    part(f);
    f = meet(SILENT);
    f->stop = true;
    assert_int_equal(f->share.remote.open(f->share.remote.arg, "a", &m), -SM_ECANCEL);
    part(f);
}

/* ---- the walk ---- */

struct tale {
    const char *in, *name;
    uint8_t type;
    uint64_t number;
    uint32_t attributes;
    int64_t written;
    int err;
};
struct story {
    const struct tale *tale;
    size_t n;
    char heard[4096];
};

static void hear(struct story *t, const char *what, struct sm_span path)
{
    size_t n = strlen(t->heard);
    snprintf(t->heard + n, sizeof t->heard - n, "%s %.*s\n", what, (int)path.n, (const char *)path.p);
}

static struct plat_meta meta_of(const struct tale *t)
{
    struct plat_meta m = {.type = t->type == SHARE_FOLDER ? PLAT_DIR : PLAT_FILE,
        .mtime.s = t->written,
        .dos_attributes = t->attributes,
        .nlink = 1};
    memcpy(m.id.id, &t->number, sizeof t->number);
    return m;
}

static int tell_root(void *arg, struct plat_meta *ret)
{
    const struct story *t = arg;
    *ret = meta_of(&t->tale[0]);
    return t->tale[0].err;
}

static int tell(
    void *arg, const char *path, int (*each)(void *to, struct sm_span name, const struct plat_meta *m), void *to)
{
    const struct story *t = arg;
    int r = 0;
    for (size_t i = 1; i < t->n && !r; i++) {
        const struct plat_meta m = meta_of(&t->tale[i]);
        if (strcmp(t->tale[i].in, path) == 0 || strcmp(t->tale[i].in, "*") == 0)
            r = t->tale[i].err ? t->tale[i].err : each(to, SM_SPAN_STR(t->tale[i].name), &m);
    }
    return r;
}

static int on_enter(void *arg, const struct scan_entry *e)
{
    hear(arg, "into", e->path);
    return 0;
}
static int on_entry(void *arg, const struct scan_entry *e)
{
    hear(arg, scan_below(e), e->path);
    return 0;
}
static int on_leave(void *arg, const struct scan_entry *e, bool whole)
{
    (void)e;
    (void)whole;
    (void)arg;
    return 0;
}
static void on_problem(void *arg, struct sm_span path, int err, const char *what)
{
    (void)err;
    hear(arg, what, path);
}

static int walk(struct story *t)
{
    static const char *const roots[] = {"/smb"};
    const struct scan_remote remote = {.look = tell_root, .list = tell, .arg = t};
    const struct scan_config c = {.remote = &remote, .roots = roots, .roots_n = 1, .tmp_dir = -1};
    const struct scan_calls calls = {
        .enter = on_enter, .entry = on_entry, .leave = on_leave, .problem = on_problem, .arg = t};
    t->heard[0] = 0;
    return scan_walk(&c, &calls);
}

static void a_told_tree_is_walked_in_the_order_of_bytes(void **s)
{
    static const struct tale tale[] = {{"", "", SHARE_FOLDER, 1, 0, 1, 0}, {"", "b", SHARE_FILE, 2, 0, 1, 0},
        {"", "a", SHARE_FOLDER, 3, 0, 1, 0}, {"", "a.b", SHARE_FILE, 4, 0, 1, 0}, {"a", "x", SHARE_FILE, 5, 0, 1, 0}};
    struct story t = {.tale = tale, .n = 5};
    (void)s;
    assert_int_equal(walk(&t), 0);
    assert_string_equal(t.heard, "into /smb\ninto /smb/a\na/x /smb/a/x\na.b /smb/a.b\nb /smb/b\n");
}

static void names_told_twice_links_and_circles_are_named_and_not_followed(void **s)
{
    static const struct tale tale[] = {{"", "", SHARE_FOLDER, 1, 0, 9, 0}, {"", "twice", SHARE_FILE, 2, 0, 1, 0},
        {"", "twice", SHARE_FILE, 3, 0, 1, 0}, {"", "link", SHARE_FOLDER, 4, 0x410, 1, 0},
        {"", "self", SHARE_FOLDER, 1, 0x10, 9, 0}, {"", "shut", SHARE_FOLDER, 6, 0x10, 1, 0},
        {"shut", "", 0, 0, 0, 0, -EACCES}};
    struct story t = {.tale = tale, .n = 7};
    (void)s;
    assert_int_equal(walk(&t), 0);
    assert_string_equal(t.heard, "into /smb\nfolder /smb/link\nfolder /smb/self\ninto /smb/shut\nlist /smb/shut\n"
                                 "twice /smb/twice\nstat /smb/twice\n");
}

static void a_tree_without_end_ends(void **s)
{
    static const struct tale tale[] = {{"", "", SHARE_FOLDER, 1, 0, 1, 0}, {"*", "d", SHARE_FOLDER, 2, 0, 0, 0}};
    struct tale mine[2];
    struct story t = {.tale = mine, .n = 2};
    (void)s;
    memcpy(mine, tale, sizeof tale);
    assert_int_equal(walk(&t), 0); /* the number comes again */
    assert_non_null(strstr(t.heard, "folder /smb/d/d\n"));
    assert_null(strstr(t.heard, "into /smb/d/d\n"));
}

static void a_share_that_falls_silent_ends_the_walk(void **s)
{
    static const struct tale tale[] = {{"", "", SHARE_FOLDER, 1, 0, 1, 0}, {"", "a", SHARE_FOLDER, 2, 0, 1, 0},
        {"a", "", 0, 0, 0, 0, -SM_EPEER}, {"", "b", SHARE_FILE, 3, 0, 1, 0}};
    struct story t = {.tale = tale, .n = 4};
    (void)s;
    assert_int_equal(walk(&t), -SM_EPEER);
    assert_null(strstr(t.heard, "/smb/b"));
}

static void a_bad_name_of_the_other_side_ends_the_walk(void **s)
{
    static const char *const bad[] = {"", ".", "..", "a/b"};
    (void)s;
    for (size_t i = 0; i < 4; i++) {
        const struct tale tale[] = {{"", "", SHARE_FOLDER, 1, 0, 1, 0}, {"", bad[i], SHARE_FILE, 2, 0, 1, 0}};
        struct story t = {.tale = tale, .n = 2};
        assert_int_equal(walk(&t), -SM_EPROTO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_comes_back_as_it_was),
        cmocka_unit_test(names_that_no_file_can_have_are_refused),
        cmocka_unit_test(numbers_out_of_the_world_are_refused),
        cmocka_unit_test(what_is_well_formed_is_taken),
        cmocka_unit_test(what_breaks_the_form_is_the_last_thing_heard),
        cmocka_unit_test(a_server_that_is_gone_ends_the_run_and_a_name_that_is_refused_does_not),
        cmocka_unit_test(silence_has_an_end),
        cmocka_unit_test(a_told_tree_is_walked_in_the_order_of_bytes),
        cmocka_unit_test(names_told_twice_links_and_circles_are_named_and_not_followed),
        cmocka_unit_test(a_tree_without_end_ends),
        cmocka_unit_test(a_share_that_falls_silent_ends_the_walk),
        cmocka_unit_test(a_bad_name_of_the_other_side_ends_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
