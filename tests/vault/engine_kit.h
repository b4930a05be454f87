/* For the tests of backup and restore: a source folder, a state folder, a vault, and runs between them. */
#ifndef TESTS_VAULT_ENGINE_KIT_H
#define TESTS_VAULT_ENGINE_KIT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>
#include "crypto/init.h"
#include "engine_tree.h"
#include "engine_vault.h"
#include "plat/fs.h"

struct kit {
    char base[256], src[300], state[300], to[300];
    const char *roots[4]; size_t roots_n;
    int state_dir;
    struct engine_vault v;
    struct backup_config config;
    struct backup_result result;
    struct restore_config restore;
    struct restore_result restored;
    atomic_bool cancel;
    uint64_t cancel_after;              /* progress by problems is no measure: cancel when so many packs are in */
    size_t problems;
    char problem_what[64], problem_path[600]; int problem_err;
};

static inline void kit_problem(void *arg, struct sm_span path, int err, const char *what)
{
    struct kit *k = arg;
    k->problems++;
    k->problem_err = err;
    (void)snprintf(k->problem_what, sizeof k->problem_what, "%s", what);
    (void)snprintf(k->problem_path, sizeof k->problem_path, "%.*s", (int)(path.n < 590 ? path.n : 590), path.p);
}

static inline bool kit_cancelled(void *arg)
{
    struct kit *k = arg;
    return atomic_load(&k->cancel) || (k->cancel_after && k->v.packs >= k->cancel_after);
}

static inline struct kit *kit_new(void)
{
    struct kit *k = calloc(1, sizeof *k);
    char packs[300];
    assert_non_null(k);
    assert_int_equal(crypto_init(), 0);
    tree_tmp(k->base);
    (void)snprintf(k->src, sizeof k->src, "%s/src", k->base);
    (void)snprintf(k->state, sizeof k->state, "%s/state", k->base);
    (void)snprintf(k->to, sizeof k->to, "%s/to", k->base);
    (void)snprintf(packs, sizeof packs, "%s/packs", k->base);
    assert_int_equal(mkdir(k->src, 0755), 0);
    assert_int_equal(mkdir(k->state, 0700), 0);
    k->state_dir = open(k->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(k->state_dir >= 0);
    assert_int_equal(engine_vault_open(&k->v, packs), 0);
    k->roots[0] = k->src;
    k->roots_n = 1;
    return k;
}

static inline void kit_free(struct kit *k)
{
    engine_vault_close(&k->v);
    close(k->state_dir);
    tree_remove(k->base);
    free(k);
}

/* Set up the next run; the test may change k->config before kit_run. */
static inline void kit_prepare(struct kit *k)
{
    engine_config(&k->v, &k->config, k->roots, k->roots_n, k->state_dir);
    k->config.racy_ms = 1;
}

static inline int kit_run(struct kit *k)
{
    struct backup_sink sink = engine_sink(&k->v);
    struct backup_watch watch = { .problem = kit_problem, .cancelled = kit_cancelled, .arg = k };
    k->problems = 0;
    return backup_run(&k->config, &sink, &watch, &k->result);
}

static inline int kit_backup(struct kit *k)
{
    kit_prepare(k);
    return kit_run(k);
}

/* Everything of the last generation below k->to. */
static inline void kit_restore_prepare(struct kit *k)
{
    k->restore = (struct restore_config){ .work = -1, .manifest = sm_buf_span(&k->v.last_manifest),
        .device_public = k->v.device.public_key, .target = RESTORE_PLACE, .place = k->to, .state_dir = k->state_dir };
}

static inline int kit_restore_run(struct kit *k, bool compare)
{
    struct restore_source source = engine_restore_source(&k->v);
    struct restore_watch watch = { .problem = kit_problem, .cancelled = kit_cancelled, .arg = k };
    k->problems = 0;
    return (compare ? restore_compare : restore_run)(&k->restore, &source, &watch, &k->restored);
}

/* The folder k->to must hold what src holds, bit for bit. */
static inline void kit_assert_equal(struct kit *k, const char *src, const char *restored)
{
    struct sm_buf a = { 0 }, b = { 0 };
    (void)k;
    tree_text(src, &a);
    tree_text(restored, &b);
    assert_string_equal(tree_diff(&a, &b), "");
    sm_buf_wipe(&a);
    sm_buf_wipe(&b);
}

static inline void kit_restore_equal(struct kit *k)
{
    char restored[700];
    (void)snprintf(restored, sizeof restored, "%s%s", k->to, k->src);
    tree_remove(k->to);
    kit_restore_prepare(k);
    assert_int_equal(kit_restore_run(k, false), 0);
    kit_assert_equal(k, k->src, restored);
}

static inline void kit_path(const struct kit *k, const char *name, char ret[700])
{
    (void)snprintf(ret, 700, "%s/%s", k->src, name);
}
#endif
