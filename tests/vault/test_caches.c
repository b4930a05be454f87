/* What the box keeps of clients' caches: how much of it there can be. */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vault/store/caches.h"

struct seen { size_t begun, whole; };

static int look(void *arg, struct sm_span name, unsigned char type)
{
    struct seen *s = arg;
    (void)type;
    s->begun += name.n > 5 && memcmp(name.p + name.n - 5, ".part", 5) == 0;
    s->whole += name.n > 4 && memcmp(name.p + name.n - 4, ".skc", 4) == 0;
    return 0;
}

static struct seen there(const struct kit *k)
{
    char path[200];
    struct seen s = { 0 };
    (void)snprintf(path, sizeof path, "%s/caches", k->dir);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    assert_int_equal(plat_fs_list(dir, look, &s), 0);
    close(dir);
    return s;
}

static int put(struct kit *k, uint8_t log, uint64_t at, bool last)
{
    struct caches_put p = { .client = k->client.id, .source = k->client.source, .at = at, .last = last };
    memset(p.log, log, sizeof p.log);
    return caches_put(k->st, &p, SM_SPAN("0123456789", 10));
}

static void begin(struct kit *k, const char *name)
{
    kit_init(k, name);
    assert_int_equal(kit_open(k, 0), 0);
    kit_client_make(&k->client, 1);
    assert_int_equal(kit_join(k, &k->client), 0);
}

static void one_log_and_one_that_is_begun_are_all_a_source_has(void **state)
{
    struct kit k;
    (void)state;
    begin(&k, "caches");
    for (uint8_t log = 1; log < 30; log++)
        assert_int_equal(put(&k, log, 0, false), 0);
    assert_int_equal(there(&k).begun, 1);
    assert_int_equal(put(&k, 28, 10, true), -SM_EMISMATCH); /* what took its place */
    assert_int_equal(put(&k, 29, 10, true), 0);
    assert_int_equal(there(&k).whole, 1);
    for (uint8_t log = 30; log < 60; log++)
        assert_int_equal(put(&k, log, 0, false), 0);
    struct seen s = there(&k);
    assert_true(s.whole == 1 && s.begun == 1); /* the whole one stays until another is whole */
    assert_int_equal(put(&k, 29, 20, true), 0);
    assert_int_equal(put(&k, 59, 10, true), 0);
    s = there(&k);
    assert_true(s.whole == 1 && s.begun == 0);
    kit_close(&k);
    kit_done(&k);
}

static void caches_take_nothing_of_the_reserve(void **state)
{
    struct kit k;
    struct plat_fs_space s;
    (void)state;
    begin(&k, "caches2");
    assert_int_equal(plat_fs_space(AT_FDCWD, k.dir, &s), 0);
    kit_close(&k);
    k.limits.reserve_bytes = s.avail_bytes > (uint64_t)2 << 30 ? s.avail_bytes - ((uint64_t)1 << 30) : s.avail_bytes;
    assert_int_equal(kit_open(&k, 0), 0);
    assert_int_equal(put(&k, 1, 0, false), -ENOSPC);
    kit_close(&k);
    kit_done(&k);
}

static int setup(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_log_and_one_that_is_begun_are_all_a_source_has),
        cmocka_unit_test(caches_take_nothing_of_the_reserve),
    };
    return cmocka_run_group_tests_name("caches", tests, setup, NULL);
}
