/* Scanners: a real clamd with two signatures of our own, YARA rules of our own, lists of indicators.  Nothing harmful: the test string of
 * the trade is put together here, and the rest are words. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../test.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "detect/scan/clamd.h"
#include "detect/scan/indicators.h"
#include "detect/scan/yara.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/proc.h"

static char top[64], clamd_socket[100], eicar[80];
static struct plat_proc server = {.fd = -1};

static void put(const char *name, const char *text)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", top, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int get(const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", top, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Its own definitions: a hash of the test string, and a word. */
static bool start_clamd(void)
{
    char text[1024], conf[100], hex[65], word[64];
    uint8_t hash[32];
    if (access("/usr/sbin/clamd", X_OK) < 0)
        return false;
    crypto_sha256(SM_SPAN_STR(eicar), hash);
    sm_hex(hash, 32, hex);
    (void)snprintf(text, sizeof text, "%s/db", top);
    assert_ok(mkdir(text, 0755));
    (void)snprintf(text, sizeof text, "%s:%zu:Trial.Eicar:73\n", hex, strlen(eicar));
    put("db/trial.hsb", text);
    sm_hex("harmless-but-listed-word", 24, word);
    (void)snprintf(text, sizeof text, "Trial.Word:0:*:%s\n", word);
    put("db/trial.ndb", text);
    (void)snprintf(text, sizeof text,
        "LocalSocket %s\nLocalSocketMode 600\nDatabaseDirectory %s/db\nForeground yes\nOfficialDatabaseOnly no\nMaxThreads 2\nBytecode no\n"
        "ExitOnOOM yes\nTemporaryDirectory %s\nConcurrentDatabaseReload no\n",
        clamd_socket, top, top);
    put("clamd.conf", text);
    (void)snprintf(conf, sizeof conf, "--config-file=%s/clamd.conf", top);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct plat_spawn_fd fds[] = {{null, 0}, {null, 1}, {null, 2}};
    const struct plat_spawn s = {.path = "/usr/sbin/clamd", .argv = (char *const[]){"clamd", conf, NULL}, .fds = fds, .fds_n = 3, .with_us = true};
    assert_ok(plat_proc_spawn(&s, &server));
    close(null);
    struct clamd_version v;
    for (unsigned i = 0; i < 600 && plat_proc_alive(&server); i++) {
        if (clamd_version(clamd_socket, 1000, &v) == 0)
            return true;
        plat_clock_sleep_ms(200);
    }
    print_message("clamd did not start\n");
    return false;
}

static int begin(void **state)
{
    (void)state;
    assert_ok(crypto_init());
    (void)snprintf(eicar, sizeof eicar, "%s%s", "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*");
    (void)snprintf(top, sizeof top, "/tmp/scan-test-XXXXXX");
    assert_non_null(mkdtemp(top));
    (void)snprintf(clamd_socket, sizeof clamd_socket, "%s/clamd.ctl", top);
    return 0;
}

static int end(void **state)
{
    int status;
    (void)state;
    if (server.fd >= 0) {
        (void)plat_proc_kill(&server, SIGKILL);
        (void)plat_proc_wait(&server, 60000, &status);
        plat_proc_close(&server);
    }
    return plat_fs_remove_tree(AT_FDCWD, top);
}

static void clamd_finds_what_its_definitions_list(void **state)
{
    enum clamd_verdict v;
    struct clamd_version version;
    char name[CLAMD_NAME];
    (void)state;
    if (!start_clamd()) {
        print_message("skipped: clamav-daemon is not installed\n");
        skip();
    }
    put("bad", eicar);
    put("word", "there is a harmless-but-listed-word in here");
    put("good", "nothing of interest");
    int fd = get("bad");
    assert_ok(clamd_ask(clamd_socket, fd, 60000, &v, name));
    assert_int_equal(v, CLAMD_FOUND);
    assert_string_equal(name, "Trial.Eicar.UNOFFICIAL");
    close(fd);
    fd = get("word");
    assert_ok(clamd_ask(clamd_socket, fd, 60000, &v, name));
    assert_int_equal(v, CLAMD_FOUND);
    close(fd);
    fd = get("good");
    assert_ok(clamd_ask(clamd_socket, fd, 60000, &v, name));
    assert_int_equal(v, CLAMD_CLEAN);
    close(fd);
    assert_ok(clamd_version(clamd_socket, 60000, &version));
    assert_true(version.engine[0] >= '0' && version.engine[0] <= '9');
}

static void without_clamd_nobody_answers(void **state)
{
    enum clamd_verdict v;
    char name[CLAMD_NAME];
    (void)state;
    assert_int_equal(clamd_ask("/nowhere/clamd.ctl", 0, 1000, &v, name), -SM_EPEER);
}

static void answers_are_taken_for_data(void **state)
{
    enum clamd_verdict v;
    struct clamd_version version;
    char name[CLAMD_NAME], longer[5000];
    (void)state;
    assert_ok(clamd_parse(SM_SPAN_STR("fd[12]: Win.Test.EICAR_HDB-1 FOUND"), &v, name));
    assert_string_equal(name, "Win.Test.EICAR_HDB-1");
    assert_ok(clamd_parse(SM_SPAN_STR("fd[12]: a\nb\x1b[31m FOUND"), &v, name));
    assert_string_equal(name, "a?b?[31m");
    assert_ok(clamd_parse(SM_SPAN_STR("fd[12]: OK"), &v, name));
    assert_int_equal(v, CLAMD_CLEAN);
    assert_int_equal(clamd_parse(SM_SPAN_STR("INSTREAM size limit exceeded. ERROR"), &v, name), -SM_ELIMIT);
    assert_int_equal(clamd_parse(SM_SPAN_STR("fd[12]: Can't read file ERROR"), &v, name), -SM_EPARTIAL);
    assert_int_equal(clamd_parse(SM_SPAN_STR("fd[12]:  FOUND"), &v, name), -SM_EFORMAT);
    assert_int_equal(clamd_parse(SM_SPAN_STR("nonsense"), &v, name), -SM_EFORMAT);
    memset(longer, 'x', sizeof longer);
    assert_int_equal(clamd_parse(SM_SPAN(longer, sizeof longer), &v, name), -SM_EFORMAT);
    assert_ok(clamd_parse_version(SM_SPAN_STR("ClamAV 1.4.3/27700/Mon Nov 23 08:23:44 2026"), &version));
    assert_string_equal(version.definitions, "27700");
    assert_true(version.has_made);
    assert_int_equal(version.made.s, 1795422224);
    assert_ok(clamd_parse_version(SM_SPAN_STR("ClamAV 1.4.3"), &version));
    assert_false(version.has_made);
    assert_int_equal(clamd_parse_version(SM_SPAN_STR("HTTP/1.1 200 OK"), &version), -SM_EFORMAT);
}

static void yara_rules_match_and_a_broken_one_is_left_out(void **state)
{
    struct yara *y;
    unsigned files, faults;
    char name[YARA_NAME] = "";
    const char *folders[] = {top, "/nowhere"};
    (void)state;
    put("one.yar", "rule trial_word { strings: $a = \"harmless-but-listed-word\" condition: $a }");
    put("two.yar", "rule broken { condition: ");
    put("three.yar", "include \"/etc/passwd\"\nrule other { condition: false }");
    assert_ok(yara_open(folders, 2, &y, &files, &faults));
    assert_int_equal(files, 1);
    assert_int_equal(faults, 2);
    put("word", "there is a harmless-but-listed-word in here");
    put("good", "nothing of interest");
    int fd = get("word");
    assert_int_equal(yara_scan(y, fd, 30, name), 1);
    assert_string_equal(name, "trial_word");
    close(fd);
    fd = get("good");
    assert_int_equal(yara_scan(y, fd, 30, name), 0);
    close(fd);
    yara_close(y);
}

static void indicators_know_contents_addresses_and_names(void **state)
{
    static const char text[] = "sakimori-indicators 1\n# of a test\n"
        "sha256 275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f the test string\n"
        "address 192.0.2.0/24\tbad net\naddress 192.0.2.7 bad host\naddress 2001:db8::/32 six\n"
        "domain Bad.Example. a name\nsomething-later x\n\n";
    struct indicators *i;
    unsigned line;
    uint8_t hash[32], zero[32] = {0};
    (void)state;
    assert_ok(indicators_parse(SM_SPAN_STR(text), &i, &line));
    assert_int_equal(indicators_count(i), 5);
    crypto_sha256(SM_SPAN_STR(eicar), hash);
    assert_string_equal(indicators_file(i, hash), "the test string");
    assert_null(indicators_file(i, zero));
    assert_string_equal(indicators_address(i, "192.0.2.7"), "bad host");
    assert_string_equal(indicators_address(i, "192.0.2.8"), "bad net");
    assert_string_equal(indicators_address(i, "::ffff:192.0.2.8"), "bad net");
    assert_null(indicators_address(i, "192.0.3.8"));
    assert_string_equal(indicators_address(i, "2001:db8:1::1"), "six");
    assert_null(indicators_address(i, "2001:db9::1"));
    assert_null(indicators_address(i, "not an address"));
    assert_string_equal(indicators_domain(i, "bad.example"), "a name");
    assert_string_equal(indicators_domain(i, "WWW.bad.example."), "a name");
    assert_null(indicators_domain(i, "notbad.example"));
    assert_null(indicators_domain(NULL, "bad.example"));
    indicators_free(i);
}

static void a_damaged_list_is_refused_with_its_line(void **state)
{
    static const struct { const char *text; int err; unsigned line; } rows[] = {
        {"", -SM_EFORMAT, 1},
        {"indicators\n", -SM_EFORMAT, 1},
        {"sakimori-indicators 2\n", -SM_EVERSION, 1},
        {"sakimori-indicators 1\nsha256 12\n", -SM_EFORMAT, 2},
        {"sakimori-indicators 1\n\naddress 192.0.2.0/33\n", -SM_EFORMAT, 3},
        {"sakimori-indicators 1\naddress 192.0.2.0/\n", -SM_EFORMAT, 2},
        {"sakimori-indicators 1\ndomain nodot\n", -SM_EFORMAT, 2},
        {"sakimori-indicators 1\ndomain a.b \xff\xfe\n", -SM_EFORMAT, 2},
    };
    (void)state;
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct indicators *i = NULL;
        unsigned line = 0;
        assert_int_equal(indicators_parse(SM_SPAN_STR(rows[k].text), &i, &line), rows[k].err);
        assert_int_equal(line, rows[k].line);
        assert_null(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(clamd_finds_what_its_definitions_list, begin, end),
        cmocka_unit_test(without_clamd_nobody_answers),
        cmocka_unit_test(answers_are_taken_for_data),
        cmocka_unit_test_setup_teardown(yara_rules_match_and_a_broken_one_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(indicators_know_contents_addresses_and_names, begin, end),
        cmocka_unit_test(a_damaged_list_is_refused_with_its_line),
    };
    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
