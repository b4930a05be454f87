/* Which disks are removable media, from a folder that looks like /sys. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "plat/fs.h"
#include "plat/media.h"

static char root[] = "/tmp/sakimori-media-XXXXXX";

static void put(const char *path, const char *text)
{
    char whole[400], *slash;
    (void)snprintf(whole, sizeof whole, "%s/%s", root, path);
    slash = strrchr(whole, '/');
    *slash = 0;
    assert_int_equal(plat_fs_mkdir_p(whole, 0755), 0);
    *slash = '/';
    int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void link_to(const char *path, const char *to)
{
    char whole[400];
    (void)snprintf(whole, sizeof whole, "%s/%s", root, path);
    assert_int_equal(symlink(to, whole), 0);
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/sakimori-media-XXXXXX");
    return !mkdtemp(root);
}

static int end(void **state)
{
    (void)state;
    int dir = plat_fs_open_dir(AT_FDCWD, "/tmp");
    int r = plat_fs_remove_tree(dir, root + 5);
    close(dir);
    return r;
}

/* A stick: its disk hangs some folders below its USB device. */
static void stick(const char *serial)
{
    put("sys/devices/usb1/1-2/idVendor", "0951\n");
    put("sys/devices/usb1/1-2/serial", serial);
    put("sys/devices/usb1/1-2/manufacturer", "Kingston\n");
    put("sys/devices/usb1/1-2/product", "Data Traveler\n");
    put("sys/devices/usb1/1-2/authorized", "1\n");
    put("sys/devices/usb1/1-2/host6/target/x", "");
    put("sys/block/sdb/size", "15728640\n");
    put("sys/block/sdb/removable", "1\n");
    link_to("sys/block/sdb/device", "../../devices/usb1/1-2/host6/target");
}

static size_t list(struct plat_medium ret[8])
{
    static const char *const images[] = {"/srv/images"};
    size_t n = 99;
    assert_int_equal(plat_media_list(root, images, 1, ret, 8, &n), 0);
    return n;
}

static void no_disk_at_all_is_no_error(void **state)
{
    struct plat_medium m[8];
    (void)state;
    assert_int_equal(list(m), 0);
}

static void the_machines_own_disks_are_none(void **state)
{
    struct plat_medium m[8];
    (void)state;
    put("sys/block/sda/size", "100\n");
    put("sys/block/sda/removable", "0\n");
    put("sys/block/nvme0n1/size", "100\n");
    put("sys/block/dm-0/size", "100\n");
    put("sys/block/mmcblk0/size", "100\n");
    put("sys/block/mmcblk0/device/type", "MMC\n"); /* soldered in */
    put("sys/block/loop0/size", "100\n");
    put("sys/block/loop0/loop/backing_file", "/var/lib/snapd/snaps/core.snap\n");
    put("sys/block/loop1/size", "100\n");
    put("sys/block/loop1/loop/backing_file", "/srv/images-of-others/x\n");
    assert_int_equal(list(m), 0);
}

static void a_stick_a_card_and_an_image_are_named(void **state)
{
    struct plat_medium m[8];
    (void)state;
    stick("00 1A\"2B\xff\n");
    put("sys/block/sdc/size", "0\n"); /* a reader without a card */
    put("sys/block/sdc/removable", "1\n");
    put("sys/block/mmcblk1/size", "7\n");
    put("sys/block/mmcblk1/device/type", "SD\n");
    put("sys/block/mmcblk1/device/serial", "0x1234\n");
    put("sys/block/loop2/size", "16384\n");
    put("sys/block/loop2/loop/backing_file", "/srv/images/usb.img\n");
    assert_int_equal(list(m), 3);
    unsigned seen = 0;
    for (size_t i = 0; i < 3; i++) {
        if (!strcmp(m[i].name, "sdb")) {
            seen |= 1;
            assert_string_equal(m[i].serial, "00_1A_2B_"); /* as an order may name it */
            assert_string_equal(m[i].label, "Kingston Data Traveler");
            assert_string_equal(m[i].kind, "usb");
            assert_int_equal(m[i].bytes, 15728640LL * 512);
            assert_non_null(strstr(m[i].usb, "/sys/devices/usb1/1-2"));
        } else if (!strcmp(m[i].name, "mmcblk1")) {
            seen |= 2;
            assert_string_equal(m[i].kind, "card");
            assert_string_equal(m[i].serial, "0x1234");
        } else if (!strcmp(m[i].name, "loop2")) {
            seen |= 4;
            assert_string_equal(m[i].serial, "usb.img");
        }
    }
    assert_int_equal(seen, 7);
}

static void value(const char *path, char ret[8])
{
    char whole[400];
    (void)snprintf(whole, sizeof whole, "%s/%s", root, path);
    int fd = open(whole, O_RDONLY);
    ssize_t n = read(fd, ret, 7);
    ret[n > 0 ? n : 0] = 0;
    close(fd);
}

static void a_stick_that_is_blocked_is_cut_off_and_let_in_again(void **state)
{
    struct plat_medium m[8];
    char text[8];
    int hold = 5;
    (void)state;
    stick("S1\n");
    assert_int_equal(list(m), 1);
    assert_int_equal(plat_media_block(root, &m[0], &hold), 0);
    assert_int_equal(hold, -1);
    value("sys/devices/usb1/1-2/authorized", text);
    assert_int_equal(text[0], '0');
    put("sys/bus/usb/devices/x", "");
    link_to("sys/bus/usb/devices/1-2", "../../../devices/usb1/1-2");
    assert_int_equal(plat_media_let_in(root), 1);
    value("sys/devices/usb1/1-2/authorized", text);
    assert_int_equal(text[0], '1');
    assert_int_equal(plat_media_let_in(root), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {T(no_disk_at_all_is_no_error), T(the_machines_own_disks_are_none), T(a_stick_a_card_and_an_image_are_named),
        T(a_stick_that_is_blocked_is_cut_off_and_let_in_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
