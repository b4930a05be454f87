#include "../test.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "plat/fs.h"
#include "plat/proc.h"
#include "plat/procinfo.h"

static void a_stat_line_is_read_whatever_the_name_holds(void **state)
{
    (void)state;
    static const char line[] =
        "4711 (a) b\n(c)) S 12 4711 99 34816 4711 4194304 1 2 3 4 5 6 7 8 20 0 3 0 123456789 1 2 3\n";
    struct procinfo_stat s;
    assert_ok(procinfo_parse_stat(SM_SPAN_STR(line), &s));
    assert_int_equal(s.pid, 4711);
    assert_int_equal(s.parent, 12);
    assert_int_equal(s.session, 99);
    assert_int_equal(s.terminal, 34816);
    assert_int_equal(s.threads, 3);
    assert_int_equal(s.start, 123456789);
    assert_int_equal(s.state, 'S');
    for (size_t n = 0; n < 70; n++)
        assert_int_equal(procinfo_parse_stat(SM_SPAN(line, n), &s), -SM_EFORMAT);
}

static void a_status_gives_the_process_and_the_user_it_acts_as(void **state)
{
    (void)state;
    uint32_t tgid = 0, uid = 0;
    assert_ok(procinfo_parse_status(SM_SPAN_STR("Name:\tTgid: 7\nTgid:\t42\nUid:\t1000\t33\t33\t33\n"), &tgid, &uid));
    assert_int_equal(tgid, 42);
    assert_int_equal(uid, 33);
    assert_int_equal(procinfo_parse_status(SM_SPAN_STR("Tgid:\t42\n"), &tgid, &uid), -SM_EFORMAT);
    assert_int_equal(procinfo_parse_status(SM_SPAN_STR("Uid:\t1\t1\nTgid:\t-1\n"), &tgid, &uid), -SM_EFORMAT);
}

static void a_line_too_long_ends_in_a_sign(void **state)
{
    (void)state;
    char line[16];
    procinfo_join(SM_SPAN("a\0b c\0\0", 7), line, sizeof line);
    assert_string_equal(line, "a b c");
    procinfo_join(SM_SPAN("", 0), line, sizeof line);
    assert_string_equal(line, "");
    procinfo_join(SM_SPAN_STR("ああああああ"), line, sizeof line);
    assert_string_equal(line, "ああああ…");
}

static void one_looks_at_oneself(void **state)
{
    (void)state;
    struct procinfo p;
    char exe[4096];
    assert_ok(procinfo_look((uint32_t)getpid(), &p));
    assert_ok(plat_proc_exe(getpid(), exe, sizeof exe));
    assert_int_equal(p.pid, getpid());
    assert_int_equal(p.parent, getppid());
    assert_int_equal(p.uid, geteuid());
    assert_int_equal(p.session, getsid(0));
    assert_true(p.start > 0);
    if (strlen(exe) < sizeof p.exe)
        assert_string_equal(p.exe, exe);
    assert_non_null(strstr(p.line, "procinfo"));
    assert_false(p.bits & (PROCINFO_PACKAGED | PROCINFO_SHELL | PROCINFO_KERNEL));
    assert_int_equal(procinfo_look(0x7ffffff0, &p), -ESRCH);
}

struct other {
    atomic_int tid;
    atomic_bool end;
};
static void *other_thread(void *arg)
{
    struct other *o = arg;
    atomic_store(&o->tid, (int)syscall(SYS_gettid));
    while (!atomic_load(&o->end))
        usleep(1000);
    return NULL;
}

static void a_thread_is_its_process(void **state)
{
    (void)state;
    struct procinfo p, mine;
    struct other o = {0};
    pthread_t th;
    uint32_t pid = 0;
    assert_int_equal(pthread_create(&th, NULL, other_thread, &o), 0);
    while (!atomic_load(&o.tid))
        usleep(1000);
    int r = procinfo_look((uint32_t)atomic_load(&o.tid), &p), s = procinfo_process((uint32_t)atomic_load(&o.tid), &pid);
    atomic_store(&o.end, true);
    pthread_join(th, NULL);
    assert_ok(r);
    assert_ok(s);
    assert_ok(procinfo_look((uint32_t)getpid(), &mine));
    assert_int_equal(p.pid, getpid());
    assert_int_equal(pid, getpid());
    assert_int_equal(p.start, mine.start);
}

static void programs_of_the_system_are_known_and_copies_are_not(void **state)
{
    (void)state;
    char dir[] = "/tmp/sm-procinfo-XXXXXX", copy[64];
    struct sm_buf b = {0};
    assert_int_equal(procinfo_program("/usr/bin/env") & (PROCINFO_PACKAGED | PROCINFO_SHELL), PROCINFO_PACKAGED);
    uint32_t sh = procinfo_program("/bin/sh");
    assert_int_equal(sh & (PROCINFO_PACKAGED | PROCINFO_SHELL | PROCINFO_INTERPRETER),
        PROCINFO_PACKAGED | PROCINFO_SHELL | PROCINFO_INTERPRETER);
    assert_int_equal(procinfo_program("/nowhere/python3.11"), PROCINFO_INTERPRETER);
    assert_int_equal(procinfo_program("/nowhere/pythonista"), 0);
    assert_non_null(mkdtemp(dir));
    snprintf(copy, sizeof copy, "%s/env", dir);
    assert_ok(plat_fs_read_file(AT_FDCWD, "/usr/bin/env", 1 << 20, &b));
    int fd = plat_fs_create(AT_FDCWD, copy, PLAT_FS_EXCL, 0755);
    assert_true(fd >= 0);
    assert_ok(plat_fs_write_all(fd, sm_buf_span(&b)));
    close(fd);
    assert_int_equal(procinfo_program(copy), PROCINFO_FRESH);
    assert_ok(unlink(copy));
    assert_ok(rmdir(dir));
    sm_buf_wipe(&b);
}

static void everything_running_is_listed(void **state)
{
    (void)state;
    static uint32_t list[65536];
    ssize_t n = procinfo_list(list, 65536);
    bool found = false;
    assert_true(n > 0);
    for (ssize_t i = 0; i < n; i++)
        found = found || list[i] == (uint32_t)getpid();
    assert_true(found);
    assert_int_equal(procinfo_list(list, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stat_line_is_read_whatever_the_name_holds),
        cmocka_unit_test(a_status_gives_the_process_and_the_user_it_acts_as),
        cmocka_unit_test(a_line_too_long_ends_in_a_sign),
        cmocka_unit_test(one_looks_at_oneself),
        cmocka_unit_test(a_thread_is_its_process),
        cmocka_unit_test(programs_of_the_system_are_known_and_copies_are_not),
        cmocka_unit_test(everything_running_is_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
