/* With the journal gone the program, packs, manifests and the words of the sheet are enough. */
#include "../vault/engine_kit.h"
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include "crypto/words.h"

static char said[16384];

/* Run the program; what it says goes to `said`.  Its exit code. */
static int run(const struct kit *k, const char *const *words)
{
    char path[300], program[] = SAKIMORI;
    char *argv[32] = { program };
    size_t n = 1;
    for (; words[n - 1] && n < 31; n++)
        argv[n] = (char *)(uintptr_t)words[n - 1];
    (void)snprintf(path, sizeof path, "%s/said", k->base);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
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
#define RUN(k, ...) run((k), (const char *const[]){ __VA_ARGS__, "--lang", "en", NULL })

struct moving { const struct kit *k; const char *vault; };

/* A pack of the kit into the folder of its first two digits. */
static int place(void *arg, struct sm_span name, unsigned char type)
{
    const struct moving *m = arg;
    char from[700], to[700];
    (void)type;
    (void)snprintf(to, sizeof to, "%s/packs/%.2s", m->vault, (const char *)name.p);
    assert_int_equal(plat_fs_mkdir_p(to, 0700), 0);
    (void)snprintf(from, sizeof from, "%s/%s", m->k->v.dir, (const char *)name.p);
    (void)snprintf(to, sizeof to, "%s/packs/%.2s/%s", m->vault, (const char *)name.p, (const char *)name.p);
    assert_int_equal(link(from, to), 0);
    return 0;
}

static void text_to(const char *folder, const char *name, struct sm_span text)
{
    char path[700];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(plat_fs_write_all(fd, text), 0);
    close(fd);
}

/* The vault of docs/FORMAT-vault.md without its journal; ret_id names the generation. */
static void make_vault(struct kit *k, char vault[300], char ret_id[CID_HEX])
{
    char text[128], hex[33], path[700];
    struct cid id;
    (void)snprintf(vault, 300, "%.280s/vault", k->base);
    (void)snprintf(path, sizeof path, "%s/manifests", vault);
    assert_int_equal(plat_fs_mkdir_p(path, 0700), 0);
    sm_hex(k->v.vault.b, 16, hex);
    (void)snprintf(text, sizeof text, "sakimori vault 1\n%s\n", hex);
    text_to(vault, "format", SM_SPAN_STR(text));
    int packs = open(k->v.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct moving m = { k, vault };
    assert_int_equal(plat_fs_list(packs, place, &m), 0);
    close(packs);
    manifest_id(sm_buf_span(&k->v.last_manifest), &id);
    cid_hex(&id, ret_id);
    (void)snprintf(text, sizeof text, "%s.skm", ret_id);
    text_to(path, text, sm_buf_span(&k->v.last_manifest));
}

static void make_sheet(struct kit *k, const struct crypto_x25519_pair *pair, char path[300])
{
    struct sm_buf words = SM_BUF_INIT(4096);
    assert_int_equal(crypto_words_encode(pair->secret, CRYPTO_WORDS_JA, &words), 0);
    (void)snprintf(path, 300, "%.280s/sheet", k->base);
    text_to(k->base, "sheet", sm_buf_span(&words));
    sm_buf_wipe(&words);
}

static void without_a_journal_the_sheet_still_brings_everything_back(void **state)
{
    struct sm_buf want = { 0 }, got = { 0 };
    struct kit *k = kit_new();
    char vault[300], id[CID_HEX], sheet[300], back[900];
    (void)state;
    tree_edge(k->src);
    assert_int_equal(kit_backup(k), 0);
    tree_text(k->src, &want);
    make_vault(k, vault, id);
    make_sheet(k, &k->v.box, sheet);
    assert_int_equal(RUN(k, "recover", "--vault", vault, "--list"), 0);
    assert_non_null(strstr(said, "journal is damaged or missing"));
    assert_non_null(strstr(said, "which generation is clean is not known"));
    assert_int_equal(RUN(k, "recover", "--vault", vault, "--sheet", sheet, "--to", k->to), 2); /* last-clean: unknown */
    assert_int_equal(RUN(k, "recover", "--vault", vault, "--sheet", sheet, "--generation", id, "--to", k->to), 0);
    assert_non_null(strstr(said, "who made this generation cannot be checked"));
    (void)snprintf(back, sizeof back, "%s%s", k->to, k->src);
    tree_text(back, &got);
    assert_string_equal(tree_diff(&want, &got), "");
    sm_buf_wipe(&want);
    sm_buf_wipe(&got);
    kit_free(k);
}

static void a_check_without_a_journal_goes_on_and_is_not_sound(void **state)
{
    struct kit *k = kit_new();
    char vault[300], id[CID_HEX];
    (void)state;
    tree_edge(k->src);
    assert_int_equal(kit_backup(k), 0);
    make_vault(k, vault, id);
    assert_int_equal(RUN(k, "vault", "verify", "--vault", vault), 1);
    assert_non_null(strstr(said, "journal is damaged or missing"));
    assert_non_null(strstr(said, "1 generations, 1 damaged"));
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_journal_the_sheet_still_brings_everything_back),
        cmocka_unit_test(a_check_without_a_journal_goes_on_and_is_not_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
