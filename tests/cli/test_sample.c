/*
 * Vaults as earlier programs wrote them (tests/data/vault-*): today's program opens, verifies, scrubs, protects, heals
 * and restores them.  They are copied first; a row below is a folder there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/json.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "plat/fs.h"

static const struct sample { const char *name; unsigned packs, bare; /* bare: packs without parity */ } samples[] = {
    { "vault-v1", 4, 4 }, /* before there was any deletion, or parity */
    { "vault-v2", 6, 0 }, /* generations and packs deleted by record */
    { "vault-v3", 4, 0 }, /* chunks in planes */
};

static char said[65536], base[64], vault[128], source[200];

/* Run the program; what it says goes to `said`.  Its exit code. */
static int run(const char *const *words)
{
    char path[300], program[] = SAKIMORI;
    char *argv[32] = { program };
    size_t n = 1;
    for (; words[n - 1] && n < 31; n++)
        argv[n] = (char *)(uintptr_t)words[n - 1];
    (void)snprintf(path, sizeof path, "%s/said", base);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
            _exit(99);
        (void)execv(program, argv);
        _exit(99);
    }
    int status, fd;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = read(fd, said, sizeof said - 1);
    said[got > 0 ? got : 0] = 0;
    close(fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#define RUN(...) run((const char *const[]){ __VA_ARGS__, "--vault", vault, "--lang", "en", NULL })

static void contents(const char *path, struct sm_buf *ret)
{
    assert_int_equal(plat_fs_read_file(AT_FDCWD, path, (size_t)1 << 26, ret), 0);
}

static char copy_from[300];
static int copy_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    char to[500];
    (void)st;
    (void)f;
    (void)snprintf(to, sizeof to, "%s%s", vault, path + strlen(copy_from));
    if (kind == FTW_D)
        return plat_fs_mkdir_p(to, 0700);
    struct sm_buf b = { 0 };
    contents(path, &b);
    int r = plat_replace(AT_FDCWD, to, sm_buf_span(&b), 0600);
    sm_buf_wipe(&b);
    return r;
}

static void copy_sample(const char *name)
{
    (void)snprintf(base, sizeof base, "/tmp/sakimori-sample-XXXXXX");
    assert_non_null(mkdtemp(base));
    (void)snprintf(vault, sizeof vault, "%s/vault", base);
    (void)snprintf(source, sizeof source, "%s/%s", DATA, name);
    (void)snprintf(copy_from, sizeof copy_from, "%s/vault", source);
    assert_int_equal(nftw(copy_from, copy_one, 16, FTW_PHYS), 0);
}

/* Every file of every generation, restored with the sheet alone, is what what.json says.  The number of files. */
static unsigned restore_all(unsigned round)
{
    char path[400], sheet[400], to[300];
    struct sm_buf b = { 0 };
    json_t *what = NULL, *g, *hash;
    const char *name;
    size_t i;
    unsigned files = 0;
    (void)snprintf(path, sizeof path, "%s/what.json", source);
    (void)snprintf(sheet, sizeof sheet, "%s/sheet-open.txt", source);
    contents(path, &b);
    assert_int_equal(sm_json_parse(sm_buf_span(&b), 1 << 20, &what, NULL), 0);
    json_array_foreach(json_object_get(what, "generations"), i, g) {
        (void)snprintf(to, sizeof to, "%s/out-%u-%zu", base, round, i);
        int e = RUN("recover", "--sheet", sheet, "--generation", json_string_value(json_object_get(g, "generation")),
            "--to", to);
        if (e)
            print_message("%s\n", said);
        assert_int_equal(e, 0);
        json_object_foreach(json_object_get(g, "files"), name, hash) {
            uint8_t h[32];
            char file[900], hex[65];
            (void)snprintf(file, sizeof file, "%s%s/%s", to, json_string_value(json_object_get(what, "root")), name);
            sm_buf_clear(&b);
            contents(file, &b);
            crypto_sha256(sm_buf_span(&b), h);
            sm_hex(h, 32, hex);
            assert_string_equal(hex, json_string_value(hash));
            files++;
        }
    }
    sm_buf_wipe(&b);
    sm_json_free(&what);
    return files;
}

static unsigned harmed;
static int harm_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)f;
    if (kind != FTW_F || strcmp(path + strlen(path) - 4, ".skp") != 0)
        return 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t b;
    assert_int_equal(pread(fd, &b, 1, 90), 1);
    b ^= 4;
    assert_int_equal(pwrite(fd, &b, 1, 90), 1);
    close(fd);
    harmed += st->st_size > 0;
    return 0;
}

static void says(const char *fmt, unsigned n)
{
    char text[100];
    (void)snprintf(text, sizeof text, fmt, n);
    if (!strstr(said, text))
        print_message("%s\n", said);
    assert_non_null(strstr(said, text));
}

static void an_older_vault_is_read_verified_protected_healed_and_restored(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        copy_sample(s->name);
        assert_int_equal(RUN("vault", "verify", "data"), 0);
        assert_int_equal(RUN("recover", "--list"), 0);
        unsigned files = restore_all(0);
        assert_true(files > 0);
        /* Only looking; then with parity and second copies; then there is nothing more to do. */
        assert_int_equal(RUN("vault", "scrub"), 0);
        says("parity missing: %u", s->bare);
        assert_int_equal(RUN("vault", "scrub", "--heal"), 0);
        if (s->bare)
            says("parity written: %u", s->bare);
        assert_int_equal(RUN("vault", "scrub"), 0);
        says("parity missing: %u", 0);
        assert_int_equal(RUN("vault", "verify", "data"), 0);
        assert_int_equal(restore_all(1), files);
        harmed = 0;
        assert_int_equal(nftw(vault, harm_one, 16, FTW_PHYS), 0);
        assert_int_equal(harmed, s->packs);
        assert_int_equal(RUN("vault", "verify", "data"), 1);
        assert_int_equal(RUN("vault", "scrub"), 1);
        says("%u healable", s->packs);
        assert_int_equal(RUN("vault", "scrub", "--heal"), 0);
        says("%u healable (healed), 0 beyond repair", s->packs);
        assert_int_equal(RUN("vault", "verify", "data"), 0);
        assert_int_equal(restore_all(2), files);
        print_message("%s: %u files, three times\n", s->name, files);
        assert_int_equal(plat_fs_remove_tree(AT_FDCWD, base), 0);
    }
}

static void a_running_boxs_vault_is_not_healed_behind_its_back(void **state)
{
    (void)state;
    copy_sample(samples[0].name);
    int dir = plat_fs_open_dir(AT_FDCWD, vault);
    assert_true(dir >= 0);
    assert_int_equal(RUN("vault", "scrub", "--heal"), 0);
    int lock = plat_fs_lock(dir, "lock");
    assert_true(lock >= 0);
    assert_int_equal(RUN("vault", "scrub", "--heal"), 1);
    assert_non_null(strstr(said, "a running box has this vault"));
    assert_int_equal(RUN("vault", "scrub"), 0);
    close(lock);
    close(dir);
    assert_int_equal(plat_fs_remove_tree(AT_FDCWD, base), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_vault_is_read_verified_protected_healed_and_restored),
        cmocka_unit_test(a_running_boxs_vault_is_not_healed_behind_its_back),
    };
    if (crypto_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
