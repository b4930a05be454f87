/* What the guard looks at: files that were pinned, what a machine is, notes until the box has heard, how a process stands. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "crypto/init.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/life.h"
#include "sakimori-agent/guard/machine.h"
#include "sakimori-agent/guard/pins.h"
#include "sakimori-agent/guard/tend.h"

static char root[] = "/tmp/sakimori-guard-XXXXXX";

static char *at(const char *path)
{
    static char ret[4][300];
    static unsigned n;
    char *s = ret[n++ % 4];
    (void)snprintf(s, 300, "%s/%s", root, path);
    return s;
}

static void put(const char *path, const char *text)
{
    char *whole = at(path), *slash = strrchr(whole, '/');
    *slash = 0;
    assert_int_equal(plat_fs_mkdir_p(whole, 0755), 0);
    *slash = '/';
    int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/sakimori-guard-XXXXXX");
    return crypto_init() || !mkdtemp(root);
}

static int end(void **state)
{
    (void)state;
    int dir = plat_fs_open_dir(AT_FDCWD, "/tmp");
    int r = plat_fs_remove_tree(dir, root + 5);
    close(dir);
    return r;
}

/* ---- pins ---- */

struct seen {
    char text[2000];
    int n;
};

static void saw(void *arg, const char *action, const char *detail)
{
    struct seen *s = arg;
    size_t n = strlen(s->text);
    (void)snprintf(s->text + n, sizeof s->text - n, "%s %s\n", action, detail);
    s->n++;
}

static void agent_files(void)
{
    put("bin/agent", "program");
    put("data/policy.conf", "endpoint = yes\n");
    put("data/agent.json", "{}");
    put("data/keys/device.json", "{\"k\":1}");
    put("data/link/ca.pem", "CA");
    put("usr/lib/systemd/system/sakimori-agent.service", "[Service]\n");
    put("etc/systemd/system/multi-user.target.wants/x", "");
    assert_int_equal(symlink("/usr/lib/systemd/system/sakimori-agent.service", at("etc/systemd/system/multi-user.target.wants/sakimori-agent.service")), 0);
    put("var/lib/dpkg/lock-frontend", "");
}

static struct pins pinned(void)
{
    struct pins p;
    pins_init(&p);
    agent_files();
    assert_int_equal(pins_add_agent(&p, root, at("bin/agent"), at("data")), 0);
    return p;
}

static void what_is_as_it_was_is_not_told(void **state)
{
    struct pins p = pinned();
    struct seen s = {.n = 0};
    (void)state;
    pins_look(&p, 1, saw, &s);
    put("data/cache/status.json", "not pinned");
    put("data/policy.conf", "endpoint = yes\n"); /* the same bytes under other times */
    pins_look(&p, 60001, saw, &s);
    pins_look(&p, PINS_WHOLE_MS + 1, saw, &s);
    assert_int_equal(s.n, 0);
    pins_wipe(&p);
}

static void a_changed_a_removed_and_a_new_file_are_told_once_each(void **state)
{
    struct pins p = pinned();
    struct seen s = {.n = 0};
    (void)state;
    put("data/policy.conf", "endpoint = no\n");
    put("bin/agent", "progrom");
    assert_int_equal(unlink(at("data/keys/device.json")), 0);
    put("etc/systemd/system/sakimori-agent.service.d/override.conf", "[Service]\nExecStart=\n");
    assert_int_equal(chmod(at("data/agent.json"), 0666), 0);
    pins_look(&p, 1, saw, &s);
    assert_int_equal(s.n, 5);
    assert_non_null(strstr(s.text, "agent_touched changed: "));
    assert_non_null(strstr(s.text, "policy.conf"));
    assert_non_null(strstr(s.text, "agent_touched removed: "));
    assert_non_null(strstr(s.text, "override.conf"));
    pins_look(&p, 2, saw, &s);
    assert_int_equal(s.n, 5);
    put("data/keys/device.json", "{\"k\":1}");
    pins_look(&p, 3, saw, &s);
    assert_int_equal(s.n, 6); /* it is back: another file */
    pins_wipe(&p);
}

static void bytes_that_changed_under_the_same_times_are_found_by_reading(void **state)
{
    struct pins p = pinned();
    struct seen s = {.n = 0};
    struct stat st;
    (void)state;
    assert_int_equal(stat(at("bin/agent"), &st), 0);
    put("bin/agent", "PROGRAM");
    const struct timespec t[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, at("bin/agent"), t, 0), 0);
    pins_look(&p, 1, saw, &s);
    assert_int_equal(s.n, 1);
    pins_wipe(&p);
}

static void a_service_that_is_disabled_or_masked_is_told_as_that(void **state)
{
    struct pins p = pinned();
    struct seen s = {.n = 0};
    (void)state;
    assert_int_equal(unlink(at("etc/systemd/system/multi-user.target.wants/sakimori-agent.service")), 0);
    assert_int_equal(symlink("/dev/null", at("etc/systemd/system/sakimori-agent.service")), 0);
    pins_look(&p, 1, saw, &s);
    assert_int_equal(s.n, 2);
    assert_non_null(strstr(s.text, "agent_disabled removed: "));
    assert_non_null(strstr(s.text, "agent_disabled masked: "));
    pins_wipe(&p);
}

static void a_change_while_packages_are_installed_is_an_update(void **state)
{
    struct pins p = pinned();
    struct seen s = {.n = 0};
    int up[2], down[2];
    char c;
    (void)state;
    assert_int_equal(pipe(up) | pipe(down), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(at("var/lib/dpkg/lock-frontend"), O_RDWR);
        int r = fcntl(fd, F_SETLK, &l);
        (void)!write(up[1], r ? "n" : "y", 1);
        (void)!read(down[0], &c, 1);
        _exit(0);
    }
    assert_int_equal(read(up[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    put("bin/agent", "a newer program");
    pins_look(&p, 1000, saw, &s);
    assert_int_equal(s.n, 0);
    assert_int_equal(write(down[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    pins_look(&p, 2000, saw, &s);
    assert_int_equal(s.n, 1);
    assert_non_null(strstr(s.text, "agent_updated changed: "));
    put("bin/agent", "another one");
    pins_look(&p, 3000, saw, &s);
    assert_int_equal(s.n, 2);
    assert_non_null(strstr(s.text, "agent_touched changed: "));
    for (int i = 0; i < 2; i++) {
        close(up[i]);
        close(down[i]);
    }
    pins_wipe(&p);
}

static void the_kernel_tells_of_a_change(void **state)
{
    struct pins p = pinned();
    char path[64];
    (void)state;
    pins_watch(&p);
    assert_true(p.notify >= 0);
    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", p.notify);
    put("data/policy.conf", "endpoint = no\n");
    char byte[512];
    assert_true(read(p.notify, byte, sizeof byte) > 0);
    pins_drain(&p);
    pins_wipe(&p);
}

/* ---- what it is ---- */

static void a_laptop_a_desk_and_a_server_are_told_apart(void **state)
{
    (void)state;
    assert_string_equal(machine_kind(root), "server"); /* nothing is known of it */
    put("sys/class/dmi/id/chassis_type", "3\n");
    assert_string_equal(machine_kind(root), "server"); /* nobody signs in at its screen */
    put("etc/systemd/system/x", "");
    assert_int_equal(symlink("/lib/systemd/system/gdm.service", at("etc/systemd/system/display-manager.service")), 0);
    assert_string_equal(machine_kind(root), "desktop");
    put("sys/class/dmi/id/chassis_type", "10\n");
    assert_string_equal(machine_kind(root), "portable");
    put("sys/class/dmi/id/chassis_type", "1\n");
    assert_string_equal(machine_kind(root), "server");
    put("sys/class/power_supply/BAT0/type", "Battery\n");
    assert_string_equal(machine_kind(root), "portable");
}

/* ---- notes ---- */

static void notes_stay_until_they_were_heard(void **state)
{
    struct notes n = {.list = NULL};
    (void)state;
    notes_add(&n, "part_killed", "link", "signal 9");
    notes_add(&n, "agent_frozen", NULL, "\xff not text");
    json_t *due = notes_due(&n);
    assert_int_equal(json_array_size(due), 2);
    assert_null(json_object_get(json_array_get(due, 1), "part"));
    json_decref(due);
    notes_said(&n, 1);
    assert_int_equal(json_array_size(n.list), 1);
    for (int i = 0; i < 2 * NOTES_MAX; i++)
        notes_add(&n, "part_fails", "x", NULL);
    assert_int_equal(json_array_size(n.list), NOTES_MAX);
    assert_true(n.dropped > 0);
    due = notes_due(&n);
    assert_int_equal(json_array_size(due), NOTES_AT_ONCE);
    json_decref(due);
    notes_said(&n, UINT64_MAX);
    assert_int_equal(json_array_size(n.list), 0);
    json_t *row = json_pack("{s:s,s:s}", "action", "agent_touched", "detail", "changed: /x");
    notes_take(&n, row);
    json_decref(row);
    row = json_pack("{s:i}", "action", 5);
    notes_take(&n, row);
    json_decref(row);
    assert_int_equal(json_array_size(n.list), 1);
    notes_wipe(&n);
}

/* ---- how a part stands ---- */

static char state_of(pid_t pid)
{
    struct plat_life life;
    assert_int_equal(plat_life_look(pid, &life), 0);
    return life.state;
}

static pid_t sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void a_stopped_part_is_continued_and_told_once_and_ended_when_it_is_stopped_again_and_again(void **state)
{
    struct notes n = {.list = NULL};
    struct tend t;
    pid_t pid = sleeper();
    struct tend_at where = {.part = "link", .pid = pid, .now_ms = 1000};
    (void)state;
    tend_born(&t);
    assert_false(tend_look(&t, &where, &n));
    assert_null(n.list);
    bool end = false;
    for (int i = 0; i < 2 * TEND_STOPS_MAX && !end; i++) {
        assert_int_equal(kill(pid, SIGSTOP), 0);
        while (state_of(pid) != 'T')
            plat_clock_sleep_ms(1);
        end = tend_look(&t, &where, &n);
        assert_int_equal(json_array_size(n.list), 1);
        while (state_of(pid) == 'T')
            plat_clock_sleep_ms(1);
    }
    assert_true(end);
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    tend_died(&t, "link", status, false, &n); /* by us: nothing more is told */
    assert_int_equal(json_array_size(n.list), 1);
    tend_born(&t);
    tend_died(&t, "link", status, false, &n);
    assert_string_equal(json_string_value(json_object_get(json_array_get(n.list, 1), "action")), "part_killed");
    notes_wipe(&n);
}

static void a_sensor_without_a_beat_is_ended_and_others_are_not(void **state)
{
    struct notes n = {.list = NULL};
    struct tend t;
    pid_t pid = sleeper();
    struct tend_at where = {.part = "sensor", .pid = pid, .now_ms = 10000, .deciding = true};
    (void)state;
    tend_born(&t);
    assert_false(tend_look(&t, &where, &n)); /* it never beat: not yet born */
    tend_beat(&t, 10000);
    where.now_ms = 10000 + TEND_STAND_MS + 1;
    assert_false(tend_look(&t, &where, &n)); /* asked to go on */
    where.now_ms = 10000 + TEND_END_MS + 1;
    assert_true(tend_look(&t, &where, &n));
    assert_int_equal(tend_age(&t, where.now_ms), TEND_END_MS + 1);
    where.deciding = false;
    assert_false(tend_look(&t, &where, &n));
    assert_int_equal(json_array_size(n.list), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(tend_look(&t, &where, &n)); /* gone: its end is told elsewhere */
    notes_wipe(&n);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_as_it_was_is_not_told),
        T(a_changed_a_removed_and_a_new_file_are_told_once_each),
        T(bytes_that_changed_under_the_same_times_are_found_by_reading),
        T(a_service_that_is_disabled_or_masked_is_told_as_that),
        T(a_change_while_packages_are_installed_is_an_update),
        T(the_kernel_tells_of_a_change),
        T(a_laptop_a_desk_and_a_server_are_told_apart),
        T(notes_stay_until_they_were_heard),
        T(a_stopped_part_is_continued_and_told_once_and_ended_when_it_is_stopped_again_and_again),
        T(a_sensor_without_a_beat_is_ended_and_others_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
