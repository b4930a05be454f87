/* `sakimori events`: log files as JSON lines, by the real program. */
#include "../test.h"
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char out[1 << 20], err[1 << 16], dir[] = "/tmp/sakimori-events-XXXXXX";

static void take(const char *name, char *to, size_t size)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    size_t n = 0;
    ssize_t k;
    while (n + 1 < size && (k = read(fd, to + n, size - 1 - n)) > 0)
        n += (size_t)k;
    to[n] = 0;
    close(fd);
}

/* Its exit code; out and err have what it said. */
static int run(const char *const words[])
{
    char path[2][128];
    const char *argv[20] = { SAKIMORI, "events", "--lang", "en" };
    int n = 4, status;

    (void)snprintf(path[0], sizeof path[0], "%s/out", dir);
    (void)snprintf(path[1], sizeof path[1], "%s/err", dir);
    for (; *words; words++)
        argv[n++] = *words;
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 2; i++) {
            int fd = open(path[i], O_WRONLY | O_CREAT | O_TRUNC, 0600);
            if (fd < 0 || dup2(fd, i + 1) < 0)
                _exit(99);
        }
        execv(argv[0], (char **)argv);
        _exit(98);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    take("out", out, sizeof out);
    take("err", err, sizeof err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

static int lines(void)
{
    int n = 0;

    for (const char *p = out; (p = strchr(p, '\n')); p++)
        n++;
    return n;
}

static const char *value(const char *name)
{
    static json_t *v;

    json_decref(v);
    v = json_loadb(out, strcspn(out, "\n"), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(v);
    const char *s = json_string_value(json_object_get(v, name));
    return s ? s : "";
}

static void an_event_log_becomes_json_lines(void **state)
{
    assert_int_equal(RUN(DATA "/two-chunks.evtx"), 0);
    assert_int_equal(lines(), 126);
    assert_string_equal(value("@format"), "evtx");
    assert_string_equal(value("Channel"), "Security");
    assert_non_null(strstr(err, "126 records (0 damaged, 0 not understood)"));
}

static void what_is_damaged_is_named_with_its_place(void **state)
{
    assert_int_equal(RUN(DATA "/language-pack.evtx"), 6);
    assert_int_equal(lines(), 17);
    assert_non_null(strstr(err, "at byte 12024 (number 17): damaged"));
    assert_non_null(strstr(err, "17 records (1 damaged, 0 not understood)"));
    assert_non_null(strstr(err, "of 1 chunks 1 do not match"));
}

static void an_event_log_becomes_xml_that_reads_back_the_same(void **state)
{
    char copy[128];

    assert_int_equal(RUN("--xml", DATA "/9b4e7c2a-3f6d-4a8b-b5e9-1c7d3f2e6a4b.evtx"), 0);
    assert_int_equal(strncmp(out, "<Event xmlns=", 13), 0);
    (void)snprintf(copy, sizeof copy, "%s/batch.xml", dir);
    FILE *f = fopen(copy, "w");
    assert_non_null(f);
    assert_true(fprintf(f, "<?xml version=\"1.0\"?>\n<Events>\n%s%s</Events>\n", out, out) > 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(RUN(copy), 0);
    assert_int_equal(lines(), 2);
    assert_string_equal(value("@format"), "windows-xml");
    assert_string_equal(value("PipeName"), "\\REDSUN");
}

static void other_formats_are_told_apart_by_what_is_in_them(void **state)
{
    assert_int_equal(RUN(DATA "/9b4e7c2a-3f6d-4a8b-b5e9-1c7d3f2e6a4b.json", DATA "/README.md"), 6);
    assert_string_equal(value("@format"), "windows-json");
    assert_string_equal(value("PipeName"), "\\REDSUN");
    assert_non_null(strstr(err, "9b4e7c2a-3f6d-4a8b-b5e9-1c7d3f2e6a4b.json: 1 records (0 damaged, 0 not understood)"));
    assert_non_null(strstr(err, "README.md: at byte 0: of no known format"));
}

static void what_cannot_be_is_said(void **state)
{
    assert_int_equal(RUN("--format", "nothing", DATA "/README.md"), 2);
    assert_non_null(strstr(err, "windows-json"));
    assert_int_equal(RUN("--encoding", "nothing", DATA "/README.md"), 2);
    assert_int_equal(RUN("--zone", "nothing", DATA "/README.md"), 2);
    assert_int_equal(RUN(DATA "/none"), 4);
    assert_int_equal(RUN(DATA), 4);
    assert_int_equal(RUN("--format", "evtx", DATA "/README.md"), 1);
    assert_non_null(strstr(err, "no event log"));
    /* One that cannot be read keeps none of the others back. */
    assert_int_equal(RUN(DATA "/none", DATA "/two-chunks.evtx"), 4);
    assert_int_equal(lines(), 126);
}

static int set_up(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const names[] = { "out", "err", "batch.xml" };
    char path[128];

    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path); /* the last may be missing */
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_log_becomes_json_lines),
        cmocka_unit_test(what_is_damaged_is_named_with_its_place),
        cmocka_unit_test(an_event_log_becomes_xml_that_reads_back_the_same),
        cmocka_unit_test(other_formats_are_told_apart_by_what_is_in_them),
        cmocka_unit_test(what_cannot_be_is_said),
    };
    return cmocka_run_group_tests_name("cli-events", tests, set_up, tear_down);
}
