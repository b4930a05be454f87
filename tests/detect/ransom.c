/* Shapes of attackers: each is stopped with few files touched. */
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include "ransom_kit.h"

enum { VICTIMS = 60, ABOUT = 30000, FEW = 5 };

/* Ciphertext of n bytes, as of any good cipher. */
static uint8_t *cipher(size_t n, uint64_t seed)
{
    uint8_t *p = malloc(n + 1);
    assert_non_null(p);
    noise(p, n, seed ^ 0xc1f3);
    return p;
}

typedef bool attack_fn(struct machine *m, const char *path, unsigned i);

/* Every victim in turn, until it is stopped. */
static void run(struct machine *m, attack_fn *one)
{
    for (unsigned i = 0; i < VICTIMS; i++) {
        char path[200];
        (void)snprintf(path, sizeof path, "%s", m->files[i]->first_path);
        if (!one(m, path, i))
            return;
    }
}

static void is_stopped_with(attack_fn *one, unsigned most, size_t about)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, VICTIMS, about);
    run(&m, one);
    if (!m.stopped || harmed(&m) > most)
        print_error("stopped %d, harmed %u, score %u, destroyed %u\n", m.stopped, harmed(&m), m.last.score, m.last.destroyed);
    assert_true(m.stopped);
    assert_true(harmed(&m) <= most);
    machine_free(&m);
}

static bool in_place(struct machine *m, const char *path, unsigned i)
{
    struct vfile *f = open_write(m, path, false);
    if (!f)
        return false;
    uint8_t *c = cipher(f->n, i);
    bool on = set(m, f, c, f->n) && close_written(m, f);
    free(c);
    return on;
}

static void in_place_is_stopped(void **state)
{
    is_stopped_with(in_place, 3, ABOUT);
    is_stopped_with(in_place, 3, 400000);
    is_stopped_with(in_place, 3, 3000);
}

static bool cut_first(struct machine *m, const char *path, unsigned i)
{
    struct vfile *f = at(m, path);
    size_t n = f->n;
    f = open_read(m, path) ? open_write(m, path, true) : NULL;
    if (!f)
        return false;
    uint8_t *c = cipher(n + 32, i);
    bool on = set(m, f, c, n + 32) && close_written(m, f);
    free(c);
    return on;
}

static void read_then_cut_and_written_is_stopped(void **state)
{
    is_stopped_with(cut_first, 3, ABOUT);
}

static bool to_new(struct machine *m, const char *path, const char *new, unsigned i)
{
    struct vfile *f = open_read(m, path);
    if (!f)
        return false;
    uint8_t *c = cipher(f->n + 48, i);
    bool on = make_file(m, new, c, f->n + 48);
    free(c);
    return on;
}

static bool copy_delete(struct machine *m, const char *path, unsigned i)
{
    char new[220];
    (void)snprintf(new, sizeof new, "%s.locked", path);
    return to_new(m, path, new, i) && remove_it(m, path);
}

static bool copy_elsewhere(struct machine *m, const char *path, unsigned i)
{
    char new[220];
    (void)snprintf(new, sizeof new, "/home/u/out/%08x", i * 2654435761u);
    return to_new(m, path, new, i) && remove_it(m, path);
}

/* Its ciphertext goes where nobody looks. */
static bool taken_away(struct machine *m, const char *path, unsigned i)
{
    return open_read(m, path) && remove_it(m, path);
}

static bool written_over_by_name(struct machine *m, const char *path, unsigned i)
{
    char new[220];
    (void)snprintf(new, sizeof new, "%s.tmp", path);
    return to_new(m, path, new, i) && rename_to(m, new, path);
}

static bool removed_then_made(struct machine *m, const char *path, unsigned i)
{
    struct vfile *f = open_read(m, path);
    if (!f || !remove_it(m, path))
        return false;
    uint8_t *c = cipher(f->n, i);
    bool on = make_file(m, path, c, f->n);
    free(c);
    return on;
}

static void copies_with_removed_originals_are_stopped(void **state)
{
    is_stopped_with(copy_delete, 3, ABOUT);
    is_stopped_with(copy_elsewhere, 3, ABOUT);
    is_stopped_with(written_over_by_name, 3, ABOUT);
    is_stopped_with(removed_then_made, 4, ABOUT);
    is_stopped_with(taken_away, 7, ABOUT);
}

static bool rename_first(struct machine *m, const char *path, unsigned i)
{
    char new[220];
    (void)snprintf(new, sizeof new, "%s.q7x", path);
    return rename_to(m, path, new) && in_place(m, new, i);
}

static bool only_rename(struct machine *m, const char *path, unsigned i)
{
    char new[220];
    (void)snprintf(new, sizeof new, "%s.q7x", path);
    return rename_to(m, path, new);
}

/* As the sensor tells it: a file nobody opened yet has no number when it is renamed. */
static void renaming_first_without_a_number(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    for (unsigned i = 0; i < VICTIMS && !m.stopped; i++) {
        struct vfile *f = m.files[i];
        char new[220];
        (void)snprintf(new, sizeof new, "%s.q7x", f->path);
        f->forgotten = true;
        bool on = rename_to(&m, f->path, new);
        f->forgotten = false;
        if (on)
            (void)in_place(&m, new, i);
    }
    assert_true(m.stopped && harmed(&m) <= 3);
    machine_free(&m);
}

static void renaming_first_is_stopped(void **state)
{
    is_stopped_with(rename_first, 3, ABOUT);
    is_stopped_with(only_rename, 5, ABOUT); /* all names first: before any contents */
}

static bool every_16th(struct machine *m, const char *path, unsigned i)
{
    struct vfile *f = open_write(m, path, false);
    if (!f)
        return false;
    uint8_t *c = malloc(f->n);
    memcpy(c, f->p, f->n);
    for (size_t o = 0; o < f->n; o += 65536)
        noise(c + o, f->n - o < 4096 ? f->n - o : 4096, i * 91 + o);
    bool on = set(m, f, c, f->n) && close_written(m, f);
    free(c);
    return on;
}

static bool behind_the_head(struct machine *m, const char *path, unsigned i)
{
    struct vfile *f = open_write(m, path, false);
    if (!f)
        return false;
    uint8_t *c = malloc(f->n);
    memcpy(c, f->p, f->n);
    if (f->n > 1024)
        noise(c + 1024, f->n - 1024, i * 77);
    bool on = set(m, f, c, f->n) && close_written(m, f);
    free(c);
    return on;
}

static bool islands(struct machine *m, const char *path, unsigned i)
{
    struct vfile *f = open_write(m, path, false);
    if (!f)
        return false;
    uint8_t *c = malloc(f->n);
    memcpy(c, f->p, f->n);
    for (size_t o = 8192; o < f->n; o += 65536)
        noise(c + o, f->n - o < 4096 ? f->n - o : 4096, i * 91 + o);
    bool on = set(m, f, c, f->n) && close_written(m, f);
    free(c);
    return on;
}

static void parts_of_files_are_noticed(void **state)
{
    is_stopped_with(every_16th, 3, 300000);
    is_stopped_with(every_16th, 3, 30000);
    is_stopped_with(behind_the_head, 5, ABOUT);
    is_stopped_with(behind_the_head, 5, 200000);
    is_stopped_with(islands, 5, 900000);
}

static bool xor_one(struct machine *m, const char *path, unsigned i)
{
    struct vfile *f = open_write(m, path, false);
    if (!f)
        return false;
    uint8_t *c = malloc(f->n);
    for (size_t k = 0; k < f->n; k++)
        c[k] = f->p[k] ^ (i % 2 ? 0xaa : 0x5c);
    bool on = set(m, f, c, f->n) && close_written(m, f);
    free(c);
    return on;
}

static bool xor_key(struct machine *m, const char *path, unsigned i)
{
    struct vfile *f = open_write(m, path, false);
    if (!f)
        return false;
    uint8_t *c = malloc(f->n);
    for (size_t k = 0; k < f->n; k++)
        c[k] = f->p[k] ^ (uint8_t)"k3y!~\xf1\x82wQ\x03zz"[k % 12];
    bool on = set(m, f, c, f->n) && close_written(m, f);
    free(c);
    return on;
}

static bool letters(struct machine *m, const char *path, unsigned i)
{
    struct vfile *f = at(m, path);
    size_t n, was = f->n;
    f = open_write(m, path, true);
    if (!f)
        return false;
    uint8_t *c = cipher(was, i), *b = make_base64(c, was, &n);
    bool on = set(m, f, b, n) && close_written(m, f);
    free(c);
    free(b);
    return on;
}

static bool letters_beside(struct machine *m, const char *path, unsigned i)
{
    char new[220];
    struct vfile *f = open_read(m, path);
    if (!f)
        return false;
    size_t n;
    uint8_t *c = cipher(f->n, i), *b = make_base64(c, f->n, &n);
    (void)snprintf(new, sizeof new, "%s.b64", path);
    bool on = make_file(m, new, b, n) && remove_it(m, path);
    free(c);
    free(b);
    return on;
}

static bool zeros(struct machine *m, const char *path, unsigned i)
{
    struct vfile *f = open_write(m, path, false);
    if (!f)
        return false;
    uint8_t *c = calloc(1, f->n);
    bool on = set(m, f, c, f->n) && close_written(m, f);
    free(c);
    return on && remove_it(m, path);
}

static bool salted(struct machine *m, const char *path, unsigned i)
{
    char new[220];
    struct vfile *f = open_read(m, path);
    if (!f)
        return false;
    uint8_t *c = cipher(f->n + 32, i);
    memcpy(c, "Salted__", 8);
    (void)snprintf(new, sizeof new, "%s.enc", path);
    bool on = make_file(m, new, c, f->n + 32) && remove_it(m, path);
    free(c);
    return on;
}

static void disguises_do_not_help(void **state)
{
    is_stopped_with(xor_one, 5, ABOUT);
    is_stopped_with(xor_key, 5, ABOUT);
    is_stopped_with(letters, 4, ABOUT);
    is_stopped_with(letters_beside, 4, ABOUT);
    is_stopped_with(zeros, 4, ABOUT);
    is_stopped_with(salted, 3, ABOUT);
}

/* One kind after another, so that no kind is the hole. */
static void every_kind_by_itself(void **state)
{
    static attack_fn *const attacks[] = {in_place, copy_delete, letters, salted, every_16th, xor_key, behind_the_head, islands};
    for (unsigned a = 0; a < sizeof attacks / sizeof attacks[0]; a++)
        for (enum made k = 0; k < MADE_COUNT; k++) {
            struct machine m;
            machine_new(&m, 1);
            for (unsigned i = 0; i < VICTIMS; i++) {
                char path[64];
                size_t n;
                uint8_t *p = make(k, i + 1, attacks[a] == islands ? 600000 : 100000, &n);
                (void)snprintf(path, sizeof path, "/srv/d/%u", i);
                put(&m, path, p, n);
                free(p);
                if (i == 12)
                    break;
            }
            for (unsigned i = 0; i < 12; i++) {
                char path[64];
                (void)snprintf(path, sizeof path, "/srv/d/%u", i);
                if (!attacks[a](&m, path, i))
                    break;
            }
            /* A head of 1 KiB is more than a tiny file; a film's middle changed behind its kept head is the weakest sign. */
            bool hard = (k == MADE_TINY && attacks[a] != in_place && attacks[a] != copy_delete && attacks[a] != salted && attacks[a] != letters) ||
                (k == MADE_MP4 && attacks[a] == behind_the_head);
            if (!hard && (!m.stopped || harmed(&m) > FEW))
                print_error("attack %u kind %d: stopped %d harmed %u score %u\n", a, (int)k, m.stopped, harmed(&m), m.last.score);
            assert_true(hard || (m.stopped && harmed(&m) <= FEW));
            machine_free(&m);
        }
}

static bool tiny_one(struct machine *m, const char *path, unsigned i)
{
    return in_place(m, path, i);
}

static void tiny_files_are_seen_too(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    for (unsigned i = 0; i < VICTIMS; i++) {
        char path[64];
        size_t n;
        uint8_t *p = make(MADE_TINY, i, 0, &n);
        (void)snprintf(path, sizeof path, "/home/u/t/%u.txt", i);
        put(&m, path, p, n);
        free(p);
    }
    run(&m, tiny_one);
    assert_true(m.stopped && harmed(&m) <= 4);
    machine_free(&m);
}

static void slow_ones_are_stopped_all_the_same(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    m.step_ms = 60 * 60 * 1000; /* an act an hour */
    fill(&m, VICTIMS, ABOUT);
    run(&m, in_place);
    assert_true(m.stopped && harmed(&m) <= 3);
    machine_free(&m);
}

/* Opens everything, changes it through memory, closes nothing. */
static void kept_handles_are_looked_at_again(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    for (unsigned i = 0; i < VICTIMS; i++) {
        struct vfile *f = open_write(&m, m.files[i]->path, false);
        if (!f)
            break;
        noise(f->p, f->n, i + 4);
    }
    assert_true(m.stopped && harmed(&m) <= 3);
    machine_free(&m);
}

static void what_asks_no_more_is_found_by_looking(void **state)
{
    struct machine m;
    uint64_t tree = 0;
    struct ransom_verdict v = {0};
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    for (unsigned i = 0; i < VICTIMS; i++)
        assert_non_null(open_write(&m, m.files[i]->path, false));
    assert_int_equal(ransom_look(m.r, m.now_ms + 300, 16, &tree, &v), 0);
    for (unsigned i = 0; i < VICTIMS; i++)
        noise(m.files[i]->p, m.files[i]->n, i + 4);
    int found = 0;
    for (int64_t t = 0; t < 5000 && !found; t += 500)
        found = ransom_look(m.r, m.now_ms + t, 64, &tree, &v);
    assert_int_equal(found, 1);
    assert_int_equal(tree, 1);
    assert_int_equal(v.say, RANSOM_STOP);
    /* Said once. */
    assert_int_equal(ransom_look(m.r, m.now_ms + 6000, 64, &tree, &v), 0);
    machine_free(&m);
}

/* Sixteen children, each opens its file before any of them writes. */
static void many_at_once_are_made_to_wait(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    m.step_ms = 0;
    fill(&m, VICTIMS, ABOUT);
    struct vfile *open[16] = {0};
    unsigned n = 0, asked = 0;
    for (unsigned i = 0; i < 16 && !m.stopped; i++) {
        struct vfile *f = m.files[i];
        struct ransom_act a = {.tree = 1, .file = f->id, .pid = 200 + i, .how = RANSOM_WRITE, .at_ms = m.now_ms, .size = f->n,
            .path = SM_SPAN_STR(f->path)};
        assert_int_equal(ransom_act(m.r, &a, &m.last), 0);
        asked++;
        if (m.last.wait_ms)
            continue;
        f->kept[0].tree = 1;
        f->kept[0].p = malloc(f->n);
        memcpy(f->kept[0].p, f->p, f->n);
        f->kept[0].n = f->n;
        open[n++] = f;
    }
    assert_int_equal(asked, 16);
    assert_int_equal(n, 4);
    for (unsigned i = 0; i < n; i++)
        noise(open[i]->p, open[i]->n, i);
    m.now_ms += 3;
    m.pid = 210;
    assert_null(open_write(&m, m.files[10]->path, false));
    assert_true(m.stopped);
    assert_int_equal(harmed(&m), 4);
    machine_free(&m);
}

static void each_file_by_another_process_of_the_tree(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    for (unsigned i = 0; i < VICTIMS && !m.stopped; i++) {
        m.pid = 300 + i;
        m.program = "/usr/bin/openssl";
        m.who = RANSOM_PACKAGED;
        (void)copy_delete(&m, m.files[i]->first_path, i);
    }
    assert_true(m.stopped && harmed(&m) <= 3);
    machine_free(&m);
}

static void databases_are_worth_more(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    for (unsigned i = 0; i < 4; i++) {
        char path[64];
        size_t n;
        uint8_t *p = make(i % 2 ? MADE_SQLITE : MADE_PGPAGES, i + 1, 3000000, &n);
        (void)snprintf(path, sizeof path, "/var/lib/postgresql/base/%u", i);
        put(&m, path, p, n);
        free(p);
    }
    for (unsigned i = 0; i < 4 && !m.stopped; i++)
        (void)every_16th(&m, m.files[i]->first_path, i);
    assert_true(m.stopped && harmed(&m) <= 2);
    machine_free(&m);
}

static void an_archive_with_a_password_and_its_originals_removed(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    struct vfile *z = open_new(&m, "/home/u/all.zip");
    for (unsigned i = 0; i < VICTIMS; i++)
        assert_non_null(open_read(&m, m.files[i]->path));
    size_t n;
    uint8_t *text = make(MADE_CSV, 1, 2000000, &n), *p = make_zip("a/file.csv", text, n, true, &n);
    assert_true(set(&m, z, p, n) && close_written(&m, z));
    for (unsigned i = 0; i < VICTIMS && !m.stopped; i++)
        (void)remove_it(&m, m.files[i]->first_path);
    assert_true(m.stopped && harmed(&m) <= 3);
    free(text);
    free(p);
    machine_free(&m);
}

static void a_command_that_says_so_is_stopped_before_it_removes(void **state)
{
    static const struct { const char *program, *line; bool stopped; } rows[] = {
        {"/usr/bin/7z", "7z a -pgeheim -sdel all.7z docs", true}, {"/usr/lib/p7zip/7za", "7za a -sdel -p all.7z docs", true},
        {"/usr/bin/zip", "zip -m -e -r all.zip docs", true}, {"/usr/bin/zip", "zip -rmP geheim all.zip docs", true},
        {"/usr/bin/7z", "7z a -pgeheim all.7z docs", false}, {"/usr/bin/7z", "7z a -sdel all.7z docs", false},
        {"/usr/bin/zip", "zip -r -e all.zip docs", false}, {"/usr/bin/zip", "zip -rm all.zip docs", false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct machine m;
        machine_new(&m, 1);
        m.program = rows[i].program;
        m.line = rows[i].line;
        fill(&m, VICTIMS, 3000);
        for (unsigned k = 0; k < VICTIMS && !m.stopped; k++)
            (void)open_read(&m, m.files[k]->path);
        assert_int_equal(m.stopped, rows[i].stopped);
        assert_int_equal(harmed(&m), 0);
        machine_free(&m);
    }
}

static void contents_that_could_not_be_kept_are_judged_from_what_was_remembered(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    m.keeps = false;
    fill(&m, VICTIMS, 300000);
    run(&m, in_place);
    assert_true(m.stopped && harmed(&m) <= FEW);
    machine_free(&m);
}

static void reads_that_are_no_longer_held_are_judged_by_name_and_size(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    for (unsigned i = 0; i < VICTIMS && !m.stopped; i++) {
        struct vfile *f = m.files[i];
        char new[220];
        (void)snprintf(new, sizeof new, "%s.crypt", f->path);
        if (!to_new(&m, f->path, new, i))
            break;
        f->forgotten = true;
        ransom_drop_file(m.r, f->id);
        (void)remove_it(&m, f->path);
    }
    assert_true(m.stopped && harmed(&m) <= FEW);
    machine_free(&m);
}

static void sensitivity_moves_the_threshold(void **state)
{
    unsigned touched[3];
    for (int s = 0; s < 3; s++) {
        struct machine m;
        machine_new(&m, s);
        fill(&m, VICTIMS, ABOUT);
        run(&m, in_place);
        assert_true(m.stopped);
        touched[s] = harmed(&m);
        machine_free(&m);
    }
    assert_true(touched[0] > touched[1] && touched[1] > touched[2] && touched[2] > 0);
}

static void decoys_weigh_much_but_opening_one_does_not(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, 4, ABOUT);
    size_t n;
    uint8_t *p = make(MADE_TEXT, 5, 3000, &n);
    put(&m, "/home/u/a/decoy1.txt", p, n);
    put(&m, "/home/u/b/decoy2.txt", p, n);
    free(p);
    assert_non_null(open_read(&m, "/home/u/a/decoy1.txt"));
    assert_int_equal(m.last.score, 0);
    struct vfile *f = open_write(&m, "/home/u/a/decoy1.txt", false);
    assert_true(close_written(&m, f));
    assert_int_equal(points_of(&m, "DECOY"), 0);
    f = open_write(&m, "/home/u/a/decoy1.txt", false);
    assert_true(set(&m, f, (const uint8_t *)"other words, no harm in them", 28) && close_written(&m, f));
    assert_int_equal(points_of(&m, "DECOY"), 60);
    assert_false(in_place(&m, "/home/u/b/decoy2.txt", 1));
    assert_true(m.stopped);
    machine_free(&m);
}

static void an_excused_tree_may_go_on_with_what_it_did(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    run(&m, in_place);
    assert_true(m.stopped);
    ransom_excuse(m.r, 1);
    m.stopped = false;
    for (unsigned i = 10; i < 30; i++)
        assert_true(in_place(&m, m.files[i]->path, i));
    /* Another way of doing harm is not excused. */
    for (unsigned i = 30; i < 40 && !m.stopped; i++)
        (void)copy_delete(&m, m.files[i]->path, i);
    assert_true(m.stopped);
    machine_free(&m);
}

static void it_says_why(void **state)
{
    struct machine m;
    json_t *o = NULL;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    run(&m, in_place);
    assert_int_equal(ransom_explain(m.r, 1, &o), 0);
    assert_int_equal(json_integer_value(json_object_get(o, "threshold")), 100);
    assert_true(json_integer_value(json_object_get(o, "score")) >= 100);
    assert_int_equal(json_integer_value(json_object_get(o, "destroyed")), 3);
    const json_t *why = json_array_get(json_object_get(o, "reasons"), 0), *file = json_array_get(json_object_get(o, "files"), 0);
    assert_string_equal(json_string_value(json_object_get(why, "id")), "SCRAMBLED");
    assert_true(strlen(json_string_value(json_object_get(why, "ja"))) > 10);
    assert_string_equal(json_string_value(json_object_get(file, "how")), "changed");
    assert_string_equal(json_string_value(json_object_get(file, "is")), "NOISE");
    json_decref(o);
    o = NULL;
    assert_int_equal(ransom_explain(m.r, 99, &o), -SM_ENOTFOUND);
    ransom_drop_tree(m.r, 1);
    assert_int_equal(ransom_explain(m.r, 1, &o), -SM_ENOTFOUND);
    machine_free(&m);
}

static void commands_of_one_login_add_up(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    unsigned i = 0;
    bool stopped = false;
    for (; i < 20 && !stopped; i++) {
        struct vfile *f = m.files[i];
        struct ransom_act a = {.tree = 50 + i, .group = 7, .file = f->id, .pid = 1, .how = RANSOM_WRITE, .at_ms = m.now_ms, .size = f->n,
            .path = SM_SPAN_STR(f->path)};
        assert_int_equal(ransom_act(m.r, &a, &m.last), 0);
        f->kept[0].tree = a.tree;
        f->kept[0].p = malloc(f->n);
        memcpy(f->kept[0].p, f->p, f->n);
        f->kept[0].n = f->n;
        noise(f->p, f->n, i);
        a.how = RANSOM_WRITTEN;
        assert_int_equal(ransom_act(m.r, &a, &m.last), 0);
        stopped = m.last.say == RANSOM_STOP;
    }
    assert_true(stopped && i <= 5);
    machine_free(&m);
}

static int nothing_now(void *ctx, uint64_t file, uint64_t *ret_size, unsigned *ret_links)
{
    return -SM_ENOTFOUND;
}
static int nothing_before(void *ctx, uint64_t tree, uint64_t file, uint64_t *ret_size)
{
    return -SM_ENOTFOUND;
}
static ssize_t nothing_read(void *ctx, uint64_t file, uint64_t offset, uint8_t *buf, size_t n)
{
    return -SM_ENOTFOUND;
}
static ssize_t nothing_read_before(void *ctx, uint64_t tree, uint64_t file, uint64_t offset, uint8_t *buf, size_t n)
{
    return -SM_ENOTFOUND;
}

static void memory_is_bounded_and_forgetting_is_said(void **state)
{
    struct ransom_files files = {NULL, nothing_now, nothing_before, nothing_read, nothing_read_before};
    struct ransom *r = ransom_new(&files, 1);
    struct ransom_verdict v;
    assert_non_null(r);
    for (uint64_t i = 1; i <= RANSOM_TREES_MAX + 100; i++)
        for (unsigned k = 0; k < 20; k++) {
            char path[64];
            (void)snprintf(path, sizeof path, "/a/%u/%u", (unsigned)i, k);
            struct ransom_act a = {.tree = i, .file = i * 100 + k, .how = RANSOM_READ, .at_ms = (int64_t)i, .size = 10, .path = SM_SPAN_STR(path)};
            assert_int_equal(ransom_act(r, &a, &v), 0);
        }
    assert_true(ransom_forgotten(r) >= 100);
    for (uint64_t k = 0; k < 20000; k++) {
        struct ransom_act a = {.tree = 3, .file = 10000000 + k, .how = k % 2 ? RANSOM_NEW : RANSOM_WRITE, .at_ms = (int64_t)k, .size = 10,
            .path = SM_SPAN_STR("/x")};
        assert_int_equal(ransom_act(r, &a, &v), 0);
    }
    struct ransom_act bad = {.tree = 0, .how = RANSOM_READ}, worse = {.tree = 1, .how = 99};
    assert_int_equal(ransom_act(r, &bad, &v), -SM_EINVAL);
    assert_int_equal(ransom_act(r, &worse, &v), -SM_EINVAL);
    ransom_free(r);
    ransom_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_place_is_stopped),
        cmocka_unit_test(read_then_cut_and_written_is_stopped),
        cmocka_unit_test(copies_with_removed_originals_are_stopped),
        cmocka_unit_test(renaming_first_is_stopped),
        cmocka_unit_test(renaming_first_without_a_number),
        cmocka_unit_test(parts_of_files_are_noticed),
        cmocka_unit_test(disguises_do_not_help),
        cmocka_unit_test(every_kind_by_itself),
        cmocka_unit_test(tiny_files_are_seen_too),
        cmocka_unit_test(slow_ones_are_stopped_all_the_same),
        cmocka_unit_test(kept_handles_are_looked_at_again),
        cmocka_unit_test(what_asks_no_more_is_found_by_looking),
        cmocka_unit_test(many_at_once_are_made_to_wait),
        cmocka_unit_test(each_file_by_another_process_of_the_tree),
        cmocka_unit_test(databases_are_worth_more),
        cmocka_unit_test(an_archive_with_a_password_and_its_originals_removed),
        cmocka_unit_test(a_command_that_says_so_is_stopped_before_it_removes),
        cmocka_unit_test(contents_that_could_not_be_kept_are_judged_from_what_was_remembered),
        cmocka_unit_test(reads_that_are_no_longer_held_are_judged_by_name_and_size),
        cmocka_unit_test(sensitivity_moves_the_threshold),
        cmocka_unit_test(decoys_weigh_much_but_opening_one_does_not),
        cmocka_unit_test(an_excused_tree_may_go_on_with_what_it_did),
        cmocka_unit_test(it_says_why),
        cmocka_unit_test(commands_of_one_login_add_up),
        cmocka_unit_test(memory_is_bounded_and_forgetting_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
