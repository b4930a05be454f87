/* What a machine is, read from a made-up root. */
#include "../test.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/fs.h"
#include "sakimori-agent/facts.h"

static char base[] = "/tmp/sakimori-facts-XXXXXX";

static void file(const char *path, const char *text)
{
    char full[200], dir[200];
    (void)snprintf(full, sizeof full, "%.60s%s", base, path);
    (void)snprintf(dir, sizeof dir, "%s", full);
    *strrchr(dir, '/') = 0;
    assert_ok(plat_fs_mkdir_p(dir, 0755));
    assert_ok(plat_replace(AT_FDCWD, full, SM_SPAN_STR(text), 0644));
}

static const char *at(const json_t *o, const char *key, size_t i)
{
    return json_string_value(json_array_get(json_object_get(o, key), i));
}

static void what_a_machine_is_can_be_read_from_its_files(void **state)
{
    struct sm_buf b = SM_BUF_INIT(FACTS_MAX);
    json_t *o = NULL;
    (void)state;
    file("/etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    file("/proc/meminfo", "MemTotal:       1000 kB\n");
    file("/proc/net/fib_trie", "Main:\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.168.10.5\n        /32 host LOCAL\n"
                               "     |-- 192.168.10.255\n        /32 link BROADCAST\nLocal:\n     |-- 192.168.10.5\n        /32 host LOCAL\n");
    file("/proc/net/route", "Iface\tDestination\tGateway\neth0\t00000000\t010AA8C0\t0003\neth0\t000AA8C0\t00000000\t0001\n");
    file("/etc/resolv.conf", "nameserver 192.168.10.1\n");
    file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nyamada:x:1000:1000:山田:/home/yamada:/bin/bash\nnobody:x:65534:65534::/:/x\n");
    file("/var/lib/dpkg/status", "Package: postgresql-15\nStatus: install ok installed\nVersion: 15.3-1\n\nPackage: bash\nStatus: install ok "
                                 "installed\nVersion: 5\n\nPackage: nginx\nStatus: deinstall ok config-files\nVersion: 1\n");
    file("/etc/systemd/system/multi-user.target.wants/postgresql.service", "");
    file("/etc/systemd/system/multi-user.target.wants/x.timer", "");
    assert_ok(facts_collect(base, &b));
    assert_ok(sm_json_parse(sm_buf_span(&b), FACTS_MAX, &o, NULL));
    assert_string_equal(json_string_value(json_object_get(o, "os")), "Debian GNU/Linux 12 (bookworm)");
    assert_int_equal(json_integer_value(json_object_get(o, "memory_bytes")), 1024000);
    assert_int_equal(json_array_size(json_object_get(o, "addresses")), 1);
    assert_string_equal(at(o, "addresses", 0), "192.168.10.5");
    assert_string_equal(json_string_value(json_object_get(o, "gateway")), "192.168.10.1");
    assert_string_equal(at(o, "dns", 0), "192.168.10.1");
    assert_int_equal(json_array_size(json_object_get(o, "users")), 1);
    assert_string_equal(at(o, "users", 0), "yamada (1000)");
    assert_int_equal(json_array_size(json_object_get(o, "packages")), 1);
    assert_string_equal(at(o, "packages", 0), "postgresql-15 15.3-1");
    assert_int_equal(json_array_size(json_object_get(o, "services")), 1);
    assert_string_equal(at(o, "services", 0), "postgresql.service");
    json_decref(o);
    sm_buf_wipe(&b);
}

static void nothing_there_is_no_failure_and_too_much_is_left_out(void **state)
{
    struct sm_buf b = SM_BUF_INIT(FACTS_MAX), big = SM_BUF_INIT((size_t)1 << 20);
    json_t *o = NULL;
    (void)state;
    assert_ok(facts_collect("/nonexistent", &b));
    for (int i = 0; i < 3000; i++)
        assert_ok(sm_buf_printf(&big, "user%090d:x:%d:1::/:/bin/sh\n", i, 1000 + i));
    file("/etc/passwd", sm_buf_str(&big));
    sm_buf_clear(&b);
    assert_ok(facts_collect(base, &b));
    assert_ok(sm_json_parse(sm_buf_span(&b), FACTS_MAX, &o, NULL));
    assert_int_equal(json_array_size(json_object_get(o, "users")), FACTS_LIST_MAX);
    json_decref(o);
    sm_buf_wipe(&b);
    sm_buf_wipe(&big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_machine_is_can_be_read_from_its_files),
        cmocka_unit_test(nothing_there_is_no_failure_and_too_much_is_left_out),
    };
    if (!mkdtemp(base))
        return 1;
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    return plat_fs_remove_tree(AT_FDCWD, base) ? 1 : r;
}
