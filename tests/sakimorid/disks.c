/* Removable disks: a disk that hangs keeps nobody but the copy that wants it. */
#include "tests/test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/loop.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimorid/diskwork.h"
#include "sakimorid/disks.h"

#define DISK "1234-ABCD"

/* A box's folder with one disk plugged in, and a helper that does as the file "how" says. */
struct place {
    char dir[64], helper[96], udev[96];
    struct sm_loop *loop;
    struct disks *disks;
    struct sm_timer *tick;
    unsigned ticks;
    int times, err;
    char path[256];
};

static void put(const struct place *p, const char *name, const char *text, mode_t mode)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", p->dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(plat_fs_write_all(fd, SM_SPAN_STR(text)), 0);
    close(fd);
}

static void on_tick(void *arg)
{
    ((struct place *)arg)->ticks++;
}

static void changed(void *arg)
{
    (void)arg;
}

static void done(void *arg, int err, const char *path)
{
    struct place *p = arg;
    p->times++;
    p->err = err;
    (void)snprintf(p->path, sizeof p->path, "%s", path ? path : "");
    sm_loop_stop(p->loop, 0);
}

static void stop(void *arg)
{
    sm_loop_stop(((struct place *)arg)->loop, 0);
}

static void run_ms(struct place *p, unsigned ms)
{
    struct sm_timer *t;
    assert_int_equal(sm_loop_timer(p->loop, ms, 0, stop, p, &t), 0);
    assert_int_equal(sm_loop_run(p->loop), 0);
    sm_timer_free(t);
}

static void place_open(struct place *p, const char *how, unsigned limit_ms)
{
    char script[512];
    *p = (struct place){ .dir = "/tmp/sakimori-disks-XXXXXX" };
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->helper, sizeof p->helper, "%s/helper", p->dir);
    (void)snprintf(p->udev, sizeof p->udev, "%s/by-uuid", p->dir);
    (void)snprintf(script, sizeof script,
        "#!/bin/sh\necho \"$1\" >> '%s/log'\ncase \"$1 $(cat '%s/how')\" in\n"
        "'--disk=mount hang' | '--disk=unmount stuck') exec sleep 20 ;;\n'--disk=mount silent') exit 1 ;;\n"
        "'--disk=mount no') printf '\\377\\377\\377\\377' >&3 ;;\n*) printf '\\000\\000\\000\\000' >&3 ;;\nesac\n",
        p->dir, p->dir);
    put(p, "helper", script, 0700);
    put(p, "how", how, 0600);
    assert_int_equal(mkdir(p->udev, 0700), 0);
    put(p, "by-uuid/" DISK, "", 0600);
    assert_int_equal(sm_loop_new(&p->loop), 0);
    assert_int_equal(sm_loop_timer(p->loop, 10, 10, on_tick, p, &p->tick), 0);
    const struct disks_config c = { .loop = p->loop, .folder = p->udev, .data = p->dir, .fn = changed, .arg = p,
        .helper = p->helper, .mount_ms = limit_ms, .unmount_ms = limit_ms };
    assert_int_equal(disks_new(&c, &p->disks), 0);
}

static void place_close(struct place *p)
{
    disks_free(p->disks);
    sm_timer_free(p->tick);
    sm_loop_free(p->loop);
    assert_int_equal(plat_fs_remove_tree(AT_FDCWD, p->dir), 0);
}

static int take(struct place *p)
{
    return disks_take(p->disks, DISK, 0, 0, "sakimori-copy", done, p);
}

static void wait_for(struct place *p)
{
    int before = p->times;
    for (int i = 0; i < 100 && p->times == before; i++)
        run_ms(p, 100);
    assert_int_equal(p->times, before + 1);
}

static void a_disk_is_mounted_and_let_go_by_processes_of_their_own(void **state)
{
    struct place p;
    (void)state;
    place_open(&p, "ok", 20000);
    assert_int_equal(disks_take(p.disks, "../x", 0, 0, "sakimori-copy", done, &p), -SM_EINVAL);
    assert_int_equal(disks_take(p.disks, "9999-9999", 0, 0, "sakimori-copy", done, &p), -SM_ENOTFOUND);
    assert_int_equal(take(&p), 0);
    assert_int_equal(take(&p), -SM_ESTATE);
    assert_true(disks_busy(p.disks));
    wait_for(&p);
    assert_int_equal(p.err, 0);
    assert_non_null(strstr(p.path, "/run/disks/" DISK));
    assert_int_equal(take(&p), -SM_ESTATE);
    disks_release(p.disks, done, &p);
    assert_int_equal(take(&p), -SM_ESTATE);
    wait_for(&p);
    disks_release(p.disks, done, &p); /* none is mounted: at once */
    assert_int_equal(p.times, 3);
    assert_int_equal(take(&p), 0);
    wait_for(&p);
    place_close(&p);
}

static void what_the_helper_says_is_told_and_silence_is_an_error(void **state)
{
    struct place p;
    (void)state;
    place_open(&p, "no", 20000);
    assert_int_equal(take(&p), 0);
    wait_for(&p);
    assert_int_equal(p.err, -EPERM);
    put(&p, "how", "silent", 0600);
    assert_int_equal(take(&p), 0);
    wait_for(&p);
    assert_int_equal(p.err, -SM_EPEER);
    put(&p, "how", "ok", 0600);
    assert_int_equal(take(&p), 0);
    wait_for(&p);
    assert_int_equal(p.err, 0);
    place_close(&p);
}

static void a_disk_that_hangs_is_given_up_and_keeps_nobody(void **state)
{
    struct place p;
    (void)state;
    place_open(&p, "hang", 300);
    uint64_t from = plat_clock_mono_ms();
    assert_int_equal(take(&p), 0);
    assert_true(plat_clock_mono_ms() - from < 5000); /* the process was only begun */
    wait_for(&p);
    assert_int_equal(p.err, -SM_ETIME);
    assert_true(p.ticks >= 5); /* the loop went on */
    assert_false(disks_busy(p.disks));
    put(&p, "how", "ok", 0600);
    for (int i = 0; i < 100 && take(&p) != 0; i++) /* what may have been mounted is let go first */
        run_ms(&p, 100);
    wait_for(&p);
    assert_int_equal(p.err, 0);
    put(&p, "how", "stuck", 0600);
    disks_release(p.disks, done, &p);
    wait_for(&p);
    assert_int_equal(p.times, 3);
    put(&p, "how", "ok", 0600);
    place_close(&p);
}

static void what_an_earlier_life_left_is_unmounted(void **state)
{
    struct place p;
    struct disks *again;
    struct sm_buf log = SM_BUF_INIT(4096);
    char path[160];
    (void)state;
    place_open(&p, "ok", 20000);
    (void)snprintf(path, sizeof path, "%s/run/disks/" DISK, p.dir);
    assert_int_equal(plat_fs_mkdir_p(path, 0700), 0);
    const struct disks_config c = { .loop = p.loop, .folder = p.udev, .data = p.dir, .fn = changed, .arg = &p,
        .helper = p.helper };
    assert_int_equal(disks_new(&c, &again), 0);
    assert_true(disks_busy(again));
    for (int i = 0; i < 100 && disks_busy(again); i++)
        run_ms(&p, 100);
    (void)snprintf(path, sizeof path, "%s/log", p.dir);
    assert_int_equal(plat_fs_read_file(AT_FDCWD, path, 4096, &log), 0);
    assert_string_equal(sm_buf_str(&log), "--disk=tidy\n");
    sm_buf_wipe(&log);
    disks_free(again);
    place_close(&p);
}

/* The real one, as far as it goes without a disk. */
static void the_helper_refuses_what_is_no_disk(void **state)
{
    char *mount[] = { "x", "--disk=mount", "/dev/null", "/tmp/sakimori-disks-none", "0", "0", "sakimori-copy", NULL };
    char *wrong[] = { "x", "--disk=format", "/dev/null", NULL };
    struct { char **argv; int argc, want; } row[] = { { mount, 7, -ENOTBLK }, { wrong, 3, -SM_EINVAL } };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int pair[2], got = 1;
        assert_int_equal(pipe(pair), 0);
        int kept = fcntl(DISK_RESULT_FD, F_DUPFD_CLOEXEC, 20);
        assert_int_equal(dup2(pair[1], DISK_RESULT_FD), DISK_RESULT_FD);
        int r = disk_work_main(row[i].argc, row[i].argv);
        if (kept >= 0)
            (void)dup2(kept, DISK_RESULT_FD);
        assert_int_equal(r, 0);
        if (pair[0] != DISK_RESULT_FD) {
            assert_int_equal(read(pair[0], &got, sizeof got), (ssize_t)sizeof got);
            assert_int_equal(got, row[i].want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_is_mounted_and_let_go_by_processes_of_their_own),
        cmocka_unit_test(what_the_helper_says_is_told_and_silence_is_an_error),
        cmocka_unit_test(a_disk_that_hangs_is_given_up_and_keeps_nobody),
        cmocka_unit_test(what_an_earlier_life_left_is_unmounted),
        cmocka_unit_test(the_helper_refuses_what_is_no_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
