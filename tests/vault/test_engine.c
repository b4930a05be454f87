/* Backup and restore together: long random histories, and every operation failing once. */
#include "engine_kit.h"
#include <errno.h>
#include "plat/fault.h"

#define VAULTS 25
#define GENERATIONS 40

struct hist { struct kit *k; uint64_t seed; char dirs[64][160]; size_t dirs_n; };

static void full(const struct hist *h, size_t dir, unsigned name, char ret[700])
{
    (void)snprintf(ret, 700, "%s%s/%c%u", h->k->src, h->dirs[dir], 'a' + (int)(name % 3), name);
}

static uint64_t rnd(struct hist *h, uint64_t n)
{
    return tree_random(&h->seed) % n;
}

static void some_file(struct hist *h, const char *path)
{
    static const size_t size[] = { 0, 1, 100, 4000, 20000, 32768, 32769, 90000, 400000 };
    char dir[700];
    (void)snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    *slash = 0;
    tree_fill(dir, slash + 1, size[rnd(h, 9)] + rnd(h, 50), (unsigned)rnd(h, 2), rnd(h, 40));
}

/* One random change.  Whatever the names happen to be, most calls do something and none matters if it fails. */
static void change(struct hist *h)
{
    char a[700], b[700];
    struct stat st;
    full(h, rnd(h, h->dirs_n), (unsigned)rnd(h, 8), a);
    full(h, rnd(h, h->dirs_n), (unsigned)rnd(h, 8), b);
    bool is_file = lstat(a, &st) == 0 && S_ISREG(st.st_mode);
    switch (rnd(h, 14)) {
    case 0: case 1: case 2: case 3:
        if (lstat(a, &st) < 0)
            some_file(h, a);
        break;
    case 4: case 5:
        if (is_file)
            some_file(h, a);
        break;
    case 6:
        if (is_file) {
            int fd = open(a, O_RDWR | O_CLOEXEC);
            (void)!pwrite(fd, "changed in the middle", 21, st.st_size / 2);
            close(fd);
        }
        break;
    case 7: (void)unlink(a); break;
    case 8: (void)rename(a, b); break;
    case 9: (void)link(a, b); break;
    case 10: (void)symlink(rnd(h, 2) ? "a0" : "nowhere", a); break;
    case 11: (void)!utimensat(AT_FDCWD, a, (struct timespec[2]){ { 77, 0 }, { (time_t)rnd(h, 1u << 30), 0 } }, 0); break;
    case 12:
        if (lstat(a, &st) == 0 && !S_ISLNK(st.st_mode))
            (void)chmod(a, (mode_t)(0600 | rnd(h, 0200)) | (S_ISDIR(st.st_mode) ? 0700 : 0));
        break;
    default:
        if (h->dirs_n < 12 && lstat(a, &st) < 0 && strlen(a) - strlen(h->k->src) < 150 && mkdir(a, 0755) == 0)
            (void)snprintf(h->dirs[h->dirs_n++], sizeof h->dirs[0], "%.150s", a + strlen(h->k->src));
        break;
    }
    /* Folders that were moved or removed are forgotten. */
    for (size_t i = 1; i < h->dirs_n; i++) {
        (void)snprintf(a, sizeof a, "%s%s", h->k->src, h->dirs[i]);
        if (lstat(a, &st) < 0 || !S_ISDIR(st.st_mode))
            memcpy(h->dirs[i--], h->dirs[--h->dirs_n], sizeof h->dirs[0]);
    }
}

static void generation(struct hist *h)
{
    struct kit *k = h->k;
    for (uint64_t n = rnd(h, 12); n > 0; n--)
        change(h);
    if (rnd(h, 10) == 0) {
        k->v.fail_at_pack = 1 + rnd(h, 3); /* may never come: reset below */
        k->v.fail_err = -SM_EPEER;
        (void)!kit_backup(k);
        k->v.fail_at_pack = 0;
    }
    if (rnd(h, 12) == 0)
        (void)engine_lose(&k->v, (uint8_t)(rnd(h, 2) ? OBJ_CHUNK : OBJ_DIRPAGE), (size_t)rnd(h, 30));
    kit_prepare(k);
    k->config.forget = rnd(h, 40) == 0;
    k->config.racy_ms = 25; /* coarser than the ticks of older kernels */
    assert_int_equal(kit_run(k), 0);
    assert_int_equal(k->result.status, RUN_COMPLETE);
    kit_restore_equal(k);
}

static void a_thousand_random_generations_restore_equal(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < VAULTS; i++) {
        struct hist h = { .k = kit_new(), .seed = i * 7919 + 1, .dirs_n = 1 };
        for (int g = 0; g < GENERATIONS; g++)
            generation(&h);
        kit_free(h.k);
    }
}

static void every_generation_of_a_vault_stays_as_it_was(void **state)
{
    struct hist h = { .k = kit_new(), .seed = 4242, .dirs_n = 1 };
    struct sm_buf text[20] = { 0 }, manifest[20] = { 0 }, now = { 0 };
    char restored[700];
    (void)state;
    for (int g = 0; g < 20; g++) {
        for (uint64_t n = rnd(&h, 15); n > 0; n--)
            change(&h);
        assert_int_equal(kit_backup(h.k), 0);
        tree_text(h.k->src, &text[g]);
        assert_int_equal(sm_buf_put_span(&manifest[g], sm_buf_span(&h.k->v.last_manifest)), 0);
    }
    (void)snprintf(restored, sizeof restored, "%s%s", h.k->to, h.k->src);
    for (int g = 0; g < 20; g++) {
        tree_remove(h.k->to);
        kit_restore_prepare(h.k);
        h.k->restore.manifest = sm_buf_span(&manifest[g]);
        assert_int_equal(kit_restore_run(h.k, false), 0);
        tree_text(restored, &now);
        assert_string_equal(tree_diff(&text[g], &now), "");
        sm_buf_wipe(&text[g]);
        sm_buf_wipe(&manifest[g]);
    }
    sm_buf_wipe(&now);
    kit_free(h.k);
}

static void every_operation_may_fail_once_and_nothing_is_lost(void **state)
{
    static const unsigned kinds[] = { PLAT_OP_FILES, PLAT_OP_ALLOC, PLAT_OP_WRITE | PLAT_FAULT_SHORT };
    struct kit *k = kit_new();
    char p[700];
    (void)state;
    tree_text_file(k->src, "a", "aa");
    kit_path(k, "d", p);
    assert_int_equal(mkdir(p, 0755), 0);
    tree_fill(p, "records", 200000, 0, 1);
    tree_fill(p, "noise", 100000, 1, 2);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bool fired = true;
        /* Allocations are many and alike: in steps that get longer. */
        for (uint64_t n = 1; fired; n += kinds[i] == PLAT_OP_ALLOC ? 1 + n / 8 : 1) {
            tree_fill(p, "records", 200000, 0, n + 10 * i);
            uint64_t before = k->v.manifests;
            plat_fault_set(kinds[i], n, EIO);
            int e = kit_backup(k);
            fired = plat_fault_fired();
            plat_fault_clear();
            assert_true(e == 0 ? k->v.manifests == before + 1 : fired);
            assert_int_equal(kit_backup(k), 0);
            kit_restore_equal(k);
        }
    }
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_random_generations_restore_equal),
        cmocka_unit_test(every_generation_of_a_vault_stays_as_it_was),
        cmocka_unit_test(every_operation_may_fail_once_and_nothing_is_lost),
    };
    return cmocka_run_group_tests_name("vault engine", tests, NULL, NULL);
}
