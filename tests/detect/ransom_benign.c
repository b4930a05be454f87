/* What people and programs do all day: never stopped, and hardly a point. */
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include "ransom_kit.h"

enum { MANY = 60, ABOUT = 20000 };

static void begin(struct machine *m)
{
    machine_new(m, 2); /* even the eager one is not to be alarmed */
    fill(m, MANY, ABOUT);
}

static void end_calm(struct machine *m)
{
    json_t *why = NULL;
    if ((m->stopped || m->last.score >= 34) && !ransom_explain(m->r, m->tree, &why)) {
        char *text = json_dumps(why, 0);
        print_error("stopped %d score %u destroyed %u: %s\n", m->stopped, m->last.score, m->last.destroyed, text);
        free(text);
        json_decref(why);
    }
    assert_false(m->stopped);
    assert_true(m->last.score < 34);
    assert_int_equal(m->last.destroyed, 0);
    machine_free(m);
}

/* Contents with a word changed near the beginning and some added. */
static uint8_t *edited(const struct vfile *f, size_t *ret_n)
{
    uint8_t *p = malloc(f->n + 8);
    assert_non_null(p);
    memcpy(p, f->p, f->n / 3);
    memcpy(p + f->n / 3, "edited! ", 8);
    memcpy(p + f->n / 3 + 8, f->p + f->n / 3, f->n - f->n / 3);
    *ret_n = f->n + 8;
    return p;
}

static bool is_text(const char *path)
{
    return strstr(path, ".txt") || strstr(path, ".csv") || strstr(path, ".hl7") || strstr(path, ".ini");
}

/* sed -i, editors: a new file beside it takes its name. */
static void saving_under_the_same_name(void **state)
{
    struct machine m;
    begin(&m);
    for (unsigned i = 0; i < MANY; i++) {
        struct vfile *f = open_read(&m, m.files[i]->path);
        char path[200], tmp[220];
        size_t n;
        if (!is_text(f->path))
            continue;
        (void)snprintf(path, sizeof path, "%s", f->path);
        (void)snprintf(tmp, sizeof tmp, "%s.sedX%u", path, i);
        uint8_t *p = edited(f, &n);
        assert_true(make_file(&m, tmp, p, n) && rename_to(&m, tmp, path));
        free(p);
    }
    end_calm(&m);
}

static void editing_in_place(void **state)
{
    struct machine m;
    begin(&m);
    for (unsigned i = 0; i < MANY; i++) {
        struct vfile *f = m.files[i];
        size_t n;
        if (!is_text(f->path))
            continue;
        uint8_t *p = edited(f, &n);
        f = open_write(&m, f->path, true);
        assert_true(set(&m, f, p, n) && close_written(&m, f));
        free(p);
    }
    end_calm(&m);
}

/* An office program: backup copy, new document, renamed over; and documents saved as others of their kind. */
static void saving_documents(void **state)
{
    struct machine m;
    begin(&m);
    for (unsigned i = 0; i < MANY; i++) {
        struct vfile *f = m.files[i];
        enum made k = strstr(f->path, ".docx") ? MADE_DOCX : strstr(f->path, ".jpg") ? MADE_JPEG : strstr(f->path, ".png") ? MADE_PNG :
            strstr(f->path, ".pdf") ? MADE_PDF : MADE_COUNT;
        char path[200], tmp[220];
        size_t n;
        if (k == MADE_COUNT)
            continue;
        (void)snprintf(path, sizeof path, "%s", f->path);
        (void)snprintf(tmp, sizeof tmp, "/home/u/a/.~lu%u.tmp", i);
        uint8_t *p = make(k, i + 1000, ABOUT + i * 3, &n);
        assert_non_null(open_read(&m, path));
        if (i % 2) {
            f = open_write(&m, path, true);
            assert_true(set(&m, f, p, n) && close_written(&m, f));
        } else {
            assert_true(make_file(&m, tmp, p, n) && rename_to(&m, tmp, path));
        }
        free(p);
    }
    end_calm(&m);
}

/* EXIF: a few bytes at the beginning, in place or shifting all that follows. */
static void tags_of_pictures(void **state)
{
    struct machine m;
    begin(&m);
    for (unsigned i = 0; i < MANY; i++) {
        struct vfile *f = m.files[i];
        if (!strstr(f->path, ".jpg"))
            continue;
        uint8_t *p = malloc(f->n + 40);
        memcpy(p, f->p, 20);
        memcpy(p + 20, "\xff\xe1\0\x26" "Exif\0\0 turned, and somebody's name..", 40);
        memcpy(p + 60, f->p + 20, f->n - 20);
        size_t n = f->n + 40;
        f = open_write(&m, f->path, false);
        assert_true(set(&m, f, p, n) && close_written(&m, f));
        memcpy(p + 30, "another name in the same room", 29);
        f = open_write(&m, f->path, false);
        assert_true(set(&m, f, p, n) && close_written(&m, f));
        free(p);
    }
    end_calm(&m);
}

static void compressing_with_gzip(void **state)
{
    struct machine m;
    begin(&m);
    for (unsigned i = 0; i < MANY; i++) {
        struct vfile *f = open_read(&m, m.files[i]->path);
        char path[200], gz[220];
        size_t n;
        (void)snprintf(path, sizeof path, "%s", f->path);
        (void)snprintf(gz, sizeof gz, "%s.gz", path);
        uint8_t *p = make_gzip(f->p, f->n, &n);
        assert_true(make_file(&m, gz, p, n) && remove_it(&m, path));
        free(p);
    }
    end_calm(&m);
}

static void moving_to_another_file_system(void **state)
{
    struct machine m;
    begin(&m);
    for (unsigned i = 0; i < MANY; i++) {
        struct vfile *f = open_read(&m, m.files[i]->path);
        char to[220];
        (void)snprintf(to, sizeof to, "/mnt/usb%s", f->path);
        assert_true(make_file(&m, to, f->p, f->n));
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_true(remove_it(&m, m.files[i]->first_path));
    end_calm(&m);
}

/* rsync --remove-source-files: under a name of its own first, one by one; random ones among them. */
static void moving_one_by_one(void **state)
{
    struct machine m;
    begin(&m);
    for (unsigned i = 0; i < 20; i++) {
        char path[64];
        uint8_t p[5000];
        noise(p, sizeof p, i);
        (void)snprintf(path, sizeof path, "/home/u/k/%u.gpg", i);
        put(&m, path, p, sizeof p);
    }
    for (unsigned i = 0; i < MANY + 20; i++) {
        struct vfile *f = open_read(&m, m.files[i]->path);
        char to[220], tmp[220], path[200];
        (void)snprintf(path, sizeof path, "%s", f->path);
        (void)snprintf(tmp, sizeof tmp, "/mnt/.f%u.Qx3d", i);
        (void)snprintf(to, sizeof to, "/mnt/usb%s", path);
        assert_true(make_file(&m, tmp, f->p, f->n) && rename_to(&m, tmp, to) && remove_it(&m, path));
    }
    end_calm(&m);
}

static void removing_a_folder(void **state)
{
    struct machine m;
    begin(&m);
    for (unsigned i = 0; i < MANY; i++)
        assert_true(remove_it(&m, m.files[i]->path));
    end_calm(&m);
}

/* A script that put everything into an archive somewhere else, and then `rm`: another program than the one that read. */
static void archived_elsewhere_and_removed(void **state)
{
    struct machine m;
    begin(&m);
    m.who = RANSOM_PACKAGED;
    for (unsigned i = 0; i < MANY; i++)
        assert_non_null(open_read(&m, m.files[i]->path));
    m.pid++;
    for (unsigned i = 0; i < MANY; i++)
        assert_true(remove_it(&m, m.files[i]->path));
    end_calm(&m);
}

/* A receiver that reads messages and removes them, for years. */
static void messages_read_and_removed(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    for (unsigned i = 0; i < 1000; i++) {
        char path[64];
        size_t n;
        uint8_t *p = make(MADE_HL7, i, 900, &n);
        (void)snprintf(path, sizeof path, "/srv/inbox/%u.hl7", i);
        put(&m, path, p, n);
        free(p);
        m.now_ms += 60000;
        assert_non_null(open_read(&m, path));
        if (i % 3 == 0) {
            char done[80];
            (void)snprintf(done, sizeof done, "/srv/inbox/%u.hl7.done", i);
            assert_true(rename_to(&m, path, done));
        } else {
            assert_true(remove_it(&m, path));
        }
    }
    end_calm(&m);
}

static void an_archive_with_a_password_beside_its_originals(void **state)
{
    struct machine m;
    begin(&m);
    struct vfile *z = open_new(&m, "/home/u/all.zip");
    for (unsigned i = 0; i < MANY; i++)
        assert_non_null(open_read(&m, m.files[i]->path));
    size_t n;
    uint8_t *text = make(MADE_CSV, 1, 400000, &n), *p = make_zip("a/file.csv", text, n, true, &n);
    assert_true(set(&m, z, p, n) && close_written(&m, z));
    free(text);
    free(p);
    /* Each by itself, with gpg. */
    for (unsigned i = 0; i < MANY; i++) {
        char path[220];
        uint8_t c[3000];
        noise(c, sizeof c, i);
        (void)snprintf(path, sizeof path, "%s.gpg", m.files[i]->path);
        assert_true(make_file(&m, path, c, sizeof c));
    }
    end_calm(&m);
}

static void one_file_locked_by_its_owner(void **state)
{
    struct machine m;
    machine_new(&m, 1);
    fill(&m, MANY, ABOUT);
    struct vfile *f = open_read(&m, m.files[3]->path);
    uint8_t *c = malloc(f->n);
    noise(c, f->n, 5);
    memcpy(c, "\x8c\x0d\x04\x09\x03\x08", 6);
    assert_true(make_file(&m, "/home/u/d/mine.gpg", c, f->n) && remove_it(&m, m.files[3]->first_path));
    free(c);
    assert_false(m.stopped);
    machine_free(&m);
}

/* Pages rewritten, rows changed, the file grows. */
static void databases_at_work(void **state)
{
    struct machine m;
    machine_new(&m, 2);
    m.who = RANSOM_SERVICE | RANSOM_PACKAGED;
    for (unsigned i = 0; i < 8; i++) {
        char path[64];
        size_t n;
        uint8_t *p = make(i % 2 ? MADE_SQLITE : MADE_PGPAGES, i + 1, 300000, &n);
        (void)snprintf(path, sizeof path, "/var/lib/postgresql/base/%u", i);
        put(&m, path, p, n);
        free(p);
    }
    for (unsigned round = 0; round < 5; round++)
        for (unsigned i = 0; i < 8; i++) {
            size_t n;
            struct vfile *f = open_write(&m, m.files[i]->path, false);
            assert_non_null(f);
            uint8_t *p = make(i % 2 ? MADE_SQLITE : MADE_PGPAGES, i + 100 * round, 300000, &n);
            uint8_t *whole = malloc(f->n > n ? f->n : n);
            memcpy(whole, f->p, f->n);
            memcpy(whole, p, n);
            assert_true(set(&m, f, whole, f->n > n ? f->n : n));
            free(whole);
            free(p);
            if (round % 2)
                assert_true(close_written(&m, f));
        }
    m.now_ms += 100000;
    uint64_t tree;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(ransom_look(m.r, m.now_ms + i * 1000, 16, &tree, &m.last), 0);
    end_calm(&m);
}

/* git gc, npm, browsers: loose objects become a pack; files nobody knows come and go. */
static void caches_and_packs(void **state)
{
    struct machine m;
    machine_new(&m, 2);
    for (unsigned i = 0; i < 200; i++) {
        char path[80];
        size_t n;
        uint8_t *text = make(MADE_TEXT, i, 3000, &n), *p = make_gzip(text, n, &n);
        memcpy(p, "\x78\x01\x4b\xca", 4); /* as git's objects begin */
        (void)snprintf(path, sizeof path, "/home/u/r/.git/objects/%02x/%u", i, i);
        put(&m, path, p, n);
        free(text);
        free(p);
    }
    uint8_t pack[60000];
    noise(pack, sizeof pack, 4);
    memcpy(pack, "PACK\0\0\0\2", 8);
    struct vfile *f = open_new(&m, "/home/u/r/.git/objects/pack/tmp_pack_X");
    for (unsigned i = 0; i < 200; i++)
        assert_non_null(open_read(&m, m.files[i]->path));
    assert_true(set(&m, f, pack, sizeof pack) && close_written(&m, f) &&
        rename_to(&m, "/home/u/r/.git/objects/pack/tmp_pack_X", "/home/u/r/.git/objects/pack/pack-1.pack"));
    for (unsigned i = 0; i < 200; i++)
        assert_true(remove_it(&m, m.files[i]->first_path));
    end_calm(&m);
}

static void files_locked_before_are_nobodys_loss(void **state)
{
    struct machine m;
    machine_new(&m, 2);
    for (unsigned i = 0; i < 20; i++) {
        char path[80];
        uint8_t p[9000];
        noise(p, sizeof p, i);
        (void)snprintf(path, sizeof path, "/home/u/vault/%u", i);
        put(&m, path, p, sizeof p);
        struct vfile *f = open_write(&m, path, false);
        noise(p, sizeof p, i + 999);
        assert_true(set(&m, f, p, sizeof p) && close_written(&m, f));
    }
    end_calm(&m);
}

static void defragmenting_and_backing_up(void **state)
{
    struct machine m;
    begin(&m);
    size_t n;
    uint8_t *p = make(MADE_TEXT, 7, 3000, &n);
    put(&m, "/home/u/a/decoy1.txt", p, n);
    put(&m, "/home/u/b/decoy2.txt", p, n);
    free(p);
    for (unsigned i = 0; i < MANY + 2; i++) {
        assert_non_null(open_read(&m, m.files[i]->path));
        struct vfile *f = open_write(&m, m.files[i]->path, false);
        assert_true(close_written(&m, f));
    }
    end_calm(&m);
}

/* Backups put aside, a folder sorted, logs rotated. */
static void renaming_as_people_do(void **state)
{
    struct machine m;
    begin(&m);
    for (unsigned i = 0; i < MANY; i++) {
        static const char *const how[] = {"%s.bak", "%s.1", "%s~", "%s_original", "/home/u/sorted/%u.jpg", "%s.2026-04-01"};
        char to[220];
        const char *from = m.files[i]->first_path;
        if (i % 6 == 4)
            (void)snprintf(to, sizeof to, "/home/u/sorted/%u.jpg", i);
        else
            (void)snprintf(to, sizeof to, "%s%s", from, how[i % 6] + 2);
        assert_true(rename_to(&m, from, to));
    }
    end_calm(&m);
}

/* Old contents shorter and denser within their own kind: DICOM compressed by its archive. */
static void pictures_compressed_within_their_kind(void **state)
{
    struct machine m;
    machine_new(&m, 2);
    for (unsigned i = 0; i < 20; i++) {
        char path[80];
        size_t n, z_n;
        uint8_t *p = make(MADE_DICOM, i, 60000, &n), *z = make_gzip(p + 512, n - 512, &z_n);
        (void)snprintf(path, sizeof path, "/srv/pacs/%u.dcm", i);
        put(&m, path, p, n);
        memcpy(p + 512, z, z_n);
        struct vfile *f = open_write(&m, path, true);
        assert_true(set(&m, f, p, 512 + z_n) && close_written(&m, f));
        free(p);
        free(z);
    }
    end_calm(&m);
}

/* A download into room that was made for it, and a disk image that fills. */
static void filling_empty_room(void **state)
{
    struct machine m;
    machine_new(&m, 2);
    for (unsigned i = 0; i < 8; i++) {
        char path[80];
        uint8_t *p = calloc(1, 200000);
        memcpy(p, "a head of some kind", 19);
        (void)snprintf(path, sizeof path, "/home/u/vm/%u.img", i);
        put(&m, path, p, 200000);
        noise(p + 8192, 120000, i);
        struct vfile *f = open_write(&m, path, false);
        assert_true(set(&m, f, p, 200000) && close_written(&m, f));
        free(p);
    }
    end_calm(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saving_under_the_same_name),
        cmocka_unit_test(editing_in_place),
        cmocka_unit_test(saving_documents),
        cmocka_unit_test(tags_of_pictures),
        cmocka_unit_test(compressing_with_gzip),
        cmocka_unit_test(moving_to_another_file_system),
        cmocka_unit_test(moving_one_by_one),
        cmocka_unit_test(removing_a_folder),
        cmocka_unit_test(archived_elsewhere_and_removed),
        cmocka_unit_test(messages_read_and_removed),
        cmocka_unit_test(an_archive_with_a_password_beside_its_originals),
        cmocka_unit_test(one_file_locked_by_its_owner),
        cmocka_unit_test(databases_at_work),
        cmocka_unit_test(caches_and_packs),
        cmocka_unit_test(files_locked_before_are_nobodys_loss),
        cmocka_unit_test(defragmenting_and_backing_up),
        cmocka_unit_test(renaming_as_people_do),
        cmocka_unit_test(pictures_compressed_within_their_kind),
        cmocka_unit_test(filling_empty_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
