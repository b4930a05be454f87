/* Attackers whose work looks like something else, and the good work that looks like theirs. */
#include "test.h"
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include "ransom_kit.h"

enum { VICTIMS = 48, ABOUT = 30000, FEW = 5 };

/* What becomes of n bytes; the caller frees. */
typedef uint8_t *turn_fn(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n);

static uint8_t *room(size_t n, const uint8_t *p, size_t p_n)
{
    uint8_t *out = calloc(1, n + 1);
    assert_non_null(out);
    if (p)
        memcpy(out, p, p_n);
    return out;
}

static uint8_t *cipher(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    uint8_t *out = room(n, p, n);
    noise(out, n, seed * 7919u + 5);
    *ret_n = n;
    return out;
}

static uint8_t *each_nth(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n, size_t step, size_t at)
{
    uint8_t *out = room(n, p, n), *key = cipher(p, n, seed, ret_n);
    for (size_t i = at; i < n; i += step)
        out[i] ^= key[i];
    free(key);
    return out;
}

static uint8_t *every_2nd(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    return each_nth(p, n, seed, ret_n, 2, 0);
}

static uint8_t *every_16th(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    return each_nth(p, n, seed, ret_n, 16, 9);
}

static uint8_t *xor_four(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    uint8_t *out = room(n, p, n);
    for (size_t i = n > 1024 ? 512 : 0; i < n; i++)
        out[i] ^= (uint8_t)"\x13\x9c\x42\xe7"[(i + seed) % 4];
    *ret_n = n;
    return out;
}

static uint8_t *added(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    uint8_t *out = room(n, p, n);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(out[i] + "geheim!"[(i + seed) % 7]);
    *ret_n = n;
    return out;
}

static uint8_t *gz_of_cipher(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    uint8_t *c = cipher(p, n, seed, ret_n), *out = make_gzip(c, n, ret_n);
    free(c);
    return out;
}

static uint8_t *zip_of_cipher(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    uint8_t *c = cipher(p, n, seed, ret_n), *out = make_zip("data.bin", c, n, false, ret_n);
    free(c);
    return out;
}

static uint8_t *tar_of_cipher(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    uint8_t *c = cipher(p, n, seed, ret_n), *out = room(n + 2048, NULL, 0);
    memcpy(out, "data.bin", 8);
    memcpy(out + 257, "ustar", 5);
    memcpy(out + 512, c, n);
    *ret_n = (n + 1535) / 512 * 512;
    free(c);
    return out;
}

static uint8_t *sound_of_cipher(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    uint8_t *c = cipher(p, n, seed, ret_n), *out = room(n + 64, NULL, 0);
    const uint32_t length = (uint32_t)n + 36;
    memcpy(out, "RIFF", 4);
    memcpy(out + 4, &length, 4);
    memcpy(out + 8, "WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data", 32);
    memcpy(out + 44, c, n);
    *ret_n = n + 44;
    free(c);
    return out;
}

static uint8_t *digits(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    uint8_t *c = cipher(p, n, seed, ret_n), *out = room(2 * n + 1, NULL, 0);
    for (size_t i = 0; i < n; i++)
        (void)snprintf((char *)out + 2 * i, 3, "%02x", c[i]);
    *ret_n = 2 * n;
    free(c);
    return out;
}

static uint8_t *pattern(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    uint8_t *out = room(n, NULL, 0);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)"\xde\xad\xbe\xef"[i % 4];
    *ret_n = n;
    return p && seed != UINT32_MAX ? out : NULL;
}

static uint8_t *same_letter(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    uint8_t *out = room(n, p, n);
    for (size_t i = 0; i < n; i++)
        if (out[i] != '\n' && out[i] != '\r')
            out[i] = 'X';
    *ret_n = n;
    return seed != UINT32_MAX ? out : NULL;
}

enum { FROM_THE_END = 1, IN_THE_MIDDLE = 2 };
static uint8_t *a_part(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n, int where)
{
    uint8_t *out = room(n, p, n);
    size_t k = n / 10 > 4096 ? n / 10 : n < 4096 ? n : 4096;
    noise(out + (where == FROM_THE_END ? n - k : (n - k) / 2), k, seed + 77);
    *ret_n = n;
    return out;
}

static uint8_t *tail(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    return a_part(p, n, seed, ret_n, FROM_THE_END);
}

static uint8_t *middle(const uint8_t *p, size_t n, unsigned seed, size_t *ret_n)
{
    return a_part(p, n, seed, ret_n, IN_THE_MIDDLE);
}

static const struct { const char *name; turn_fn *turn; } turns[] = {
    {"every 2nd byte", every_2nd}, {"every 16th byte", every_16th}, {"a key of four bytes behind a kept head", xor_four}, {"a key added", added},
    {"gzip of ciphertext", gz_of_cipher}, {"zip of ciphertext", zip_of_cipher}, {"tar of ciphertext", tar_of_cipher},
    {"sound of ciphertext", sound_of_cipher}, {"hexadecimal", digits}, {"a pattern", pattern}, {"one letter", same_letter}, {"the end", tail},
    {"the middle", middle},
};

/* How it gets into the file. */
static bool over_it(struct machine *m, const char *path, const uint8_t *p, size_t n)
{
    struct vfile *f = open_write(m, path, false);
    return f && set(m, f, p, n) && close_written(m, f);
}

static bool over_its_name(struct machine *m, const char *path, const uint8_t *p, size_t n)
{
    char new[220];
    (void)snprintf(new, sizeof new, "%s.t", path);
    return open_read(m, path) && make_file(m, new, p, n) && rename_to(m, new, path);
}

static bool beside_it(struct machine *m, const char *path, const uint8_t *p, size_t n)
{
    char new[220];
    (void)snprintf(new, sizeof new, "%s.gz", path);
    return open_read(m, path) && make_file(m, new, p, n) && remove_it(m, path);
}

static void disguises_are_seen_through(void **state)
{
    static bool (*const ways[])(struct machine *, const char *, const uint8_t *, size_t) = {over_it, over_its_name, beside_it};
    for (unsigned t = 0; t < sizeof turns / sizeof turns[0]; t++)
        for (unsigned w = 0; w < sizeof ways / sizeof ways[0]; w++) {
            struct machine m;
            machine_new(&m, 1);
            fill(&m, VICTIMS, ABOUT);
            for (unsigned i = 0; i < VICTIMS && !m.stopped; i++) {
                const struct vfile *f = m.files[i];
                char path[200];
                size_t n;
                uint8_t *p = turns[t].turn(f->p, f->n, i, &n);
                (void)snprintf(path, sizeof path, "%s", f->path);
                (void)ways[w](&m, path, p, n);
                free(p);
            }
            if (!m.stopped || harmed(&m) > FEW)
                print_error("%s, way %u: stopped %d harmed %u score %u\n", turns[t].name, w, m.stopped, harmed(&m), m.last.score);
            assert_true(m.stopped && harmed(&m) <= FEW);
            machine_free(&m);
        }
}

static void texts_cut_to_nothing_or_to_a_word(void **state)
{
    for (unsigned word = 0; word < 2; word++) {
        struct machine m;
        machine_new(&m, 1);
        for (unsigned i = 0; i < 20; i++) {
            char path[64];
            size_t n;
            uint8_t *p = make(i % 2 ? MADE_TEXT : MADE_CSV, i + 1, 3000, &n);
            (void)snprintf(path, sizeof path, "/home/u/d/%u.%s", i, i % 2 ? "txt" : "csv");
            put(&m, path, p, n);
            free(p);
        }
        for (unsigned i = 0; i < 20 && !m.stopped; i++) {
            struct vfile *f = open_write(&m, m.files[i]->path, true);
            if (f && set(&m, f, (const uint8_t *)"gone\n", word ? 5 : 0))
                (void)close_written(&m, f);
        }
        assert_true(m.stopped && harmed(&m) <= FEW);
        machine_free(&m);
    }
}

/* Cut by their names, of which nobody is asked: what they were is not known, that they are empty since a moment is. */
static void files_that_were_cut_a_moment_ago(void **state)
{
    struct machine m;
    unsigned asked = 0;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    m.who |= RANSOM_CUT;
    for (unsigned i = 0; i < VICTIMS && !m.stopped; i++, asked++) {
        m.files[i]->n = 0;
        (void)open_write(&m, m.files[i]->path, false);
    }
    assert_true(m.stopped && asked <= 4);
    machine_free(&m);
}

static void logs_and_states_may_be_cut(void **state)
{
    struct machine m;
    machine_new(&m, 2);
    for (unsigned i = 0; i < 20; i++) {
        static const char *const endings[] = {"log", "json", "1", "dat", "conf"};
        char path[64];
        size_t n;
        uint8_t *p = make(MADE_TEXT, i + 1, 3000, &n);
        (void)snprintf(path, sizeof path, "/srv/log/%u.%s", i, endings[i % 5]);
        put(&m, path, p, n);
        free(p);
        struct vfile *f = open_write(&m, path, true);
        assert_true(f && set(&m, f, NULL, 0) && close_written(&m, f));
    }
    assert_true(!m.stopped && m.last.score < 34);
    machine_free(&m);
}

/* Everything goes into one file that stays open, each original is removed at once. */
static void one_container_that_stays_open(void **state)
{
    struct machine m;
    size_t n = 0;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    uint8_t *all = room((size_t)VICTIMS * 400000, NULL, 0);
    struct vfile *z = open_new(&m, "/home/u/disk.img");
    for (unsigned i = 0; i < VICTIMS && !m.stopped; i++) {
        struct vfile *f = open_read(&m, m.files[i]->first_path);
        if (!f)
            break;
        noise(all + n, f->n, i + 3);
        n += f->n;
        assert_true(set(&m, z, all, n));
        (void)remove_it(&m, f->first_path);
    }
    assert_true(m.stopped && harmed(&m) <= FEW);
    free(all);
    machine_free(&m);
}

/* A plain copy of each is made, and earns the right to remove; then the copies are locked, shorter and under other names. */
static void copies_that_are_locked_afterwards_excuse_nothing(void **state)
{
    struct machine m;
    char stage[64];
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    for (unsigned i = 0; i < VICTIMS; i++) {
        struct vfile *f = open_read(&m, m.files[i]->first_path);
        (void)snprintf(stage, sizeof stage, "/home/u/stage/%08u", i);
        assert_true(f && make_file(&m, stage, f->p, f->n));
    }
    for (unsigned i = 0; i < VICTIMS; i++) {
        (void)snprintf(stage, sizeof stage, "/home/u/stage/%08u", i);
        struct vfile *s = open_write(&m, stage, true);
        size_t n = m.files[i]->n / 3 + 16;
        uint8_t *c = room(n, NULL, 0);
        noise(c, n, i + 9);
        assert_true(set(&m, s, c, n) && close_written(&m, s));
        free(c);
    }
    for (unsigned i = 0; i < VICTIMS && !m.stopped; i++)
        (void)remove_it(&m, m.files[i]->first_path);
    assert_true(m.stopped && harmed(&m) <= FEW);
    machine_free(&m);
}

/* All into one folder under names that say nothing, before any contents. */
static void names_that_say_nothing(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, VICTIMS, ABOUT);
    for (unsigned i = 0; i < VICTIMS && !m.stopped; i++) {
        char new[80];
        (void)snprintf(new, sizeof new, "/home/u/x/%08x%08x", i * 2654435761u, i * 40503u + 12345678u);
        (void)rename_to(&m, m.files[i]->first_path, new);
    }
    assert_true(m.stopped && harmed(&m) <= FEW);
    machine_free(&m);
}

/* ---- good work that looks like it ---- */
static void turned(const char *from, const char *to, uint8_t **p, size_t *n)
{
    uint8_t *out = room(4 * *n + 16, NULL, 0);
    iconv_t c = iconv_open(to, from);
    char *in = (char *)*p, *at = (char *)out;
    size_t left = *n, space = 4 * *n + 16;
    assert_true(c != (iconv_t)-1 && iconv(c, &in, &left, &at, &space) != (size_t)-1);
    iconv_close(c);
    free(*p);
    *p = out;
    *n = 4 * *n + 16 - space;
}

static void texts_in_another_encoding(void **state)
{
    static const char *const to[] = {"CP932", "EUC-JP", "ISO-2022-JP", "UTF-16", "UTF-16LE", "UTF-16BE", "UTF-8"};
    for (unsigned k = 0; k < sizeof to / sizeof to[0]; k++) {
        struct machine m;
        machine_new(&m, 2);
        for (unsigned i = 0; i < 20; i++) {
            char path[64];
            size_t n;
            uint8_t *p = make(i % 4 == 3 ? MADE_CSV : MADE_TEXT, i + 1, 200 + i * 700, &n);
            (void)snprintf(path, sizeof path, "/home/u/d/%u.%s", i, i % 4 == 3 ? "csv" : "txt");
            put(&m, path, p, n);
            turned("UTF-8", to[k], &p, &n);
            assert_true(i % 2 ? over_it(&m, path, p, n) : over_its_name(&m, path, p, n));
            turned(to[k], "UTF-8", &p, &n);
            assert_true(over_it(&m, path, p, n));
            free(p);
        }
        assert_true(!m.stopped && m.last.score < 34);
        machine_free(&m);
    }
}

static void a_word_about_a_file_is_no_form_of_it(void **state)
{
    struct machine m;
    machine_new(&m, 2);
    fill(&m, VICTIMS, ABOUT);
    for (unsigned i = 0; i < VICTIMS; i++) {
        char info[240], path[200];
        (void)snprintf(path, sizeof path, "%s", m.files[i]->path);
        (void)snprintf(info, sizeof info, "%s.trashinfo", path);
        m.who = RANSOM_PACKAGED;
        assert_non_null(open_read(&m, path));
        assert_true(make_file(&m, info, (const uint8_t *)"[Trash Info]\nPath=/home/u/a\nDeletionDate=2026-04-01\n", 52));
        assert_true(remove_it(&m, path));
    }
    assert_true(!m.stopped && m.last.destroyed == 0);
    machine_free(&m);
}

static void databases_written_out_as_text(void **state)
{
    struct machine m;
    machine_new(&m, 2);
    for (unsigned i = 0; i < 10; i++) {
        char path[64], sql[80];
        size_t n;
        uint8_t *p = make(MADE_SQLITE, i + 1, 60000, &n);
        (void)snprintf(path, sizeof path, "/home/u/db/%u.db", i);
        (void)snprintf(sql, sizeof sql, "%s.sql", path);
        put(&m, path, p, n);
        free(p);
        p = make(MADE_TEXT, i, 50000, &n);
        assert_non_null(open_read(&m, path));
        assert_true(make_file(&m, sql, p, n) && remove_it(&m, path));
        free(p);
    }
    assert_true(!m.stopped && m.last.destroyed == 0);
    machine_free(&m);
}

/* A log, a document, a picture put into gzip once more: it holds what was there. */
static void boxes_in_boxes(void **state)
{
    struct machine m;
    machine_new(&m, 2);
    fill(&m, VICTIMS, ABOUT);
    for (unsigned i = 0; i < VICTIMS; i++) {
        struct vfile *f = m.files[i];
        size_t n;
        char path[200];
        uint8_t *p = i % 2 ? make_gzip(f->p, f->n, &n) : make_zip("it", f->p, f->n, false, &n);
        (void)snprintf(path, sizeof path, "%s", f->path);
        assert_true(i % 3 ? beside_it(&m, path, p, n) : over_it(&m, path, p, n));
        free(p);
    }
    assert_true(!m.stopped && m.last.score < 34);
    machine_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disguises_are_seen_through),
        cmocka_unit_test(texts_cut_to_nothing_or_to_a_word),
        cmocka_unit_test(files_that_were_cut_a_moment_ago),
        cmocka_unit_test(logs_and_states_may_be_cut),
        cmocka_unit_test(one_container_that_stays_open),
        cmocka_unit_test(copies_that_are_locked_afterwards_excuse_nothing),
        cmocka_unit_test(names_that_say_nothing),
        cmocka_unit_test(texts_in_another_encoding),
        cmocka_unit_test(a_word_about_a_file_is_no_form_of_it),
        cmocka_unit_test(databases_written_out_as_text),
        cmocka_unit_test(boxes_in_boxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
