/* journal verify, search and pack: the real program on a real folder. */
#include "test.h"
#include "../journal/kit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "plat/fs.h"

static char out[1 << 18], err[1 << 16];

static void slurp(const char *path, char *to, size_t room)
{
    struct sm_buf b = { 0 };

    assert_ok(plat_fs_read_file(AT_FDCWD, path, room - 1, &b));
    if (b.n)
        memcpy(to, b.p, b.n);
    to[b.n] = 0;
    sm_buf_wipe(&b);
    assert_ok(unlink(path));
}

/* The exit code; what was said is in out and err. */
static int run(const struct kit *k, const char *const *args)
{
    char o[96], e[96];
    const char *argv[24] = { "sakimori" };
    int status;

    for (size_t i = 0; args[i]; i++)
        argv[i + 1] = args[i];
    snprintf(o, sizeof o, "%s.out", k->dir);
    snprintf(e, sizeof e, "%s.err", k->dir);
    pid_t child = fork();
    if (!child) {
        int a = open(o, O_WRONLY | O_CREAT | O_TRUNC, 0600), b = open(e, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (a < 0 || b < 0 || dup2(a, 1) < 0 || dup2(b, 2) < 0)
            _exit(120);
        execv(SAKIMORI, (char *const *)(uintptr_t)argv);
        _exit(121);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    slurp(o, out, sizeof out);
    slurp(e, err, sizeof err);
    return WEXITSTATUS(status);
}
#define RUN(k, ...) run(k, (const char *const[]){ __VA_ARGS__, NULL })

static void filled(struct kit *k)
{
    k->conf = (struct evidence_conf){ .block_events = 30, .segment_bytes = 12000 };
    kit_open(k, NULL);
    assert_ok(evseal_begin(&k->seal));
    memcpy(k->key, k->seal.pair.public_key, sizeof k->key);
    assert_ok(evidence_seal_begin(k->j, k->key));
    kit_fill(k, 0, 300);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    kit_close(k);
}

static void a_sound_folder_verifies_and_a_changed_byte_is_named(void **state)
{
    struct kit *k = *state;
    char key[65], path[128];

    filled(k);
    sm_hex(k->key, 32, key);
    assert_int_equal(RUN(k, "--json", "journal", "verify", k->dir, "--key", key), 0);
    json_t *j = json_loads(out, 0, NULL);
    assert_true(json_is_true(json_object_get(j, "sound")));
    char head[128];
    snprintf(head, sizeof head, "%s", json_string_value(json_object_get(j, "head")));
    json_decref(j);
    assert_int_equal(RUN(k, "journal", "verify", k->dir, "--key", key, "--head", head, "--lang", "en"), 0);
    assert_non_null(strstr(out, "nothing altered was found"));
    assert_int_equal(RUN(k, "journal", "verify", k->dir, "--head", "1:00"), 2);

    snprintf(path, sizeof path, "%s/seg-%020u.sjs", k->dir, 1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t x;
    assert_int_equal(pread(fd, &x, 1, 3000), 1);
    x ^= 4;
    assert_int_equal(pwrite(fd, &x, 1, 3000), 1);
    close(fd);
    assert_int_equal(RUN(k, "journal", "verify", k->dir, "--key", key, "--lang", "ja"), 1);
    assert_non_null(strstr(err, "seg-00000000000000000001.sjs"));
    assert_non_null(strstr(out, "異常"));
}

static void a_folder_that_is_no_record_is_not_called_sound(void **state)
{
    const struct kit *k = *state;

    assert_int_equal(RUN(k, "journal", "verify", k->dir, "--lang", "en"), 4);
    assert_non_null(strstr(err, "no record of logs"));
    assert_null(strstr(out, "nothing altered"));
    assert_null(strstr(err, "key"));
    assert_int_equal(RUN(k, "--json", "journal", "verify", "/etc"), 4);
    json_t *j = json_loads(out, 0, NULL);
    assert_true(json_is_false(json_object_get(j, "sound")));
    json_decref(j);
}

static void what_no_seal_is_on_is_counted_and_not_called_verified(void **state)
{
    struct kit *k = *state;
    char tar[96], path[128];

    k->conf = (struct evidence_conf){ .block_events = 30, .segment_bytes = 12000 };
    kit_open(k, NULL);
    kit_fill(k, 0, 20);
    assert_int_equal(RUN(k, "journal", "verify", k->dir, "--lang", "en"), 0);
    assert_non_null(strstr(out, "nothing could be verified yet"));
    assert_non_null(strstr(out, "20 events not yet sealed (20 of them not yet in a block): not verified"));
    assert_null(strstr(out, "nothing altered"));
    snprintf(tar, sizeof tar, "%s.tar", k->dir);
    assert_int_equal(RUN(k, "journal", "pack", k->dir, tar, "--lang", "en"), 1);
    assert_non_null(strstr(err, "no block is closed yet"));
    assert_int_equal(access(tar, F_OK), -1);

    kit_fill(k, 20, 70);
    assert_int_equal(RUN(k, "journal", "verify", k->dir, "--lang", "en"), 0);
    assert_non_null(strstr(out, "nothing is sealed yet"));
    assert_int_equal(RUN(k, "--json", "journal", "verify", k->dir), 0);
    json_t *j = json_loads(out, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(j, "not_sealed")), 70);
    assert_int_equal(json_integer_value(json_object_get(j, "not_in_a_block")),
        70 - json_integer_value(json_object_get(j, "events")));
    json_decref(j);

    /* A frame in the middle of a write-ahead file that is not what was written. */
    kit_close(k);
    snprintf(path, sizeof path, "%s/wal-%020u.sjw", k->dir, 1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t x;
    assert_int_equal(pread(fd, &x, 1, 200), 1);
    x ^= 4;
    assert_int_equal(pwrite(fd, &x, 1, 200), 1);
    close(fd);
    assert_int_equal(RUN(k, "journal", "verify", k->dir, "--lang", "en"), 1);
    assert_non_null(strstr(err, "wal-00000000000000000001.sjw at byte"));
}

static void search_answers_as_lines_json_csv_and_counts(void **state)
{
    struct kit *k = *state;

    filled(k);
    assert_int_equal(RUN(k, "journal", "search", k->dir, "患者", "--count"), 0);
    assert_string_equal(out, "100\n");
    assert_int_equal(RUN(k, "--json", "journal", "search", k->dir, "user:user3 患者", "--limit", "2"), 0);
    json_t *j = json_loads(out, JSON_DISABLE_EOF_CHECK, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "user")), "user3");
    json_decref(j);
    assert_int_equal(RUN(k, "journal", "search", k->dir, "", "--oldest", "--limit", "1"), 0);
    assert_non_null(strstr(out, "患者番号0の"));
    assert_int_equal(RUN(k, "journal", "search", k->dir, "--csv", "--field", "user", "--limit", "3"), 0);
    assert_non_null(strstr(out, "\"user\""));
    assert_int_equal(RUN(k, "journal", "search", k->dir, "--top", "user", "--limit", "1"), 0);
    assert_non_null(strstr(out, "18  user"));
    assert_int_equal(RUN(k, "journal", "search", k->dir, "a AND (", "--lang", "en"), 2);
    assert_non_null(strstr(err, "character 8"));
    assert_int_equal(RUN(k, "journal", "search", "/nonexistent"), 4);
    assert_int_equal(RUN(k, "journal", "search", k->dir, "--from", "yesterday"), 2);
    assert_int_equal(RUN(k, "journal", "search", k->dir, "--to", "2026-01-01", "--count"), 0);
    assert_string_equal(out, "0\n");
}

static void a_pack_is_a_new_file_and_never_replaces_one(void **state)
{
    struct kit *k = *state;
    char tar[96];

    filled(k);
    snprintf(tar, sizeof tar, "%s.tar", k->dir);
    assert_int_equal(RUN(k, "--json", "journal", "pack", k->dir, tar, "--title", "x"), 0);
    json_t *j = json_loads(out, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(j, "events")), 300);
    json_decref(j);
    assert_int_equal(RUN(k, "journal", "pack", k->dir, tar), 1);
    assert_ok(access(tar, F_OK));
    assert_ok(unlink(tar));
    assert_int_equal(RUN(k, "journal", "pack", k->dir, tar, "--to", "2020-01-01"), 4);
    assert_int_equal(access(tar, F_OK), -1);
}

static void logs_are_imported_searched_and_verified(void **state)
{
    struct kit *k = *state;
    char log[96], to[96];
    static const char lines[] = "<38>Nov 23 01:00:00 srv1 sshd[800]: Failed password for root from 198.51.100.7 port 22\n"
        "<38>Nov 23 01:00:01 srv1 sshd[800]: Failed password for jimu from 198.51.100.8 port 22\nわからない行\n";

    snprintf(log, sizeof log, "%s/x.log", k->dir);
    snprintf(to, sizeof to, "%s/record", k->dir);
    assert_ok(plat_replace(AT_FDCWD, log, SM_SPAN(lines, sizeof lines - 1), 0600));
    int first = RUN(k, "--json", "journal", "import", to, log);
    assert_true(first == 0 || first == 6); /* what is of no known format is said */
    assert_string_equal(out, "{\"events\":3}\n");
    assert_int_equal(RUN(k, "journal", "search", to, "198.51.100.8", "--count"), 0);
    assert_string_equal(out, "1\n");
    assert_int_equal(RUN(k, "journal", "search", to, "わからない", "--count"), 0);
    assert_string_equal(out, "1\n");
    (void)RUN(k, "--json", "journal", "import", to, log);
    assert_int_equal(RUN(k, "journal", "search", to, "--count"), 0);
    assert_string_equal(out, "6\n");
    assert_int_equal(RUN(k, "journal", "verify", to), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
        T(a_folder_that_is_no_record_is_not_called_sound), T(what_no_seal_is_on_is_counted_and_not_called_verified),
        T(a_sound_folder_verifies_and_a_changed_byte_is_named),
        T(search_answers_as_lines_json_csv_and_counts),
        T(logs_are_imported_searched_and_verified),
        T(a_pack_is_a_new_file_and_never_replaces_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
