#include "plat/media.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <mntent.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { SECTOR = 512, PARTS_MAX = 64, UP_MAX = 12, DISKS_MAX = 1024, MOUNTS_MAX = 256 };

/* ---- reading ---- */

/* One line, printable ASCII; what is not becomes "_", blanks at the ends go. */
static void value(const char *dir, const char *name, char *ret, size_t n)
{
    char path[2 * PATH_MAX + 64], text[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t k = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[k > 0 ? k : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    char *s = text + strspn(text, " ");
    for (size_t end = strlen(s); end && s[end - 1] == ' '; end--)
        s[end - 1] = 0;
    for (char *p = s; *p; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p > 126)
            *p = '_';
    snprintf(ret, n, "%s", s);
}

/* As an order may name it: no blanks, no quotes. */
static void serial_of(char *s)
{
    for (; *s; s++)
        if (*s == ' ' || strchr("\"'\\;{}", *s))
            *s = '_';
}

static void usb_of(const char *disk, struct plat_medium *m)
{
    char up[2 * PATH_MAX], real[PATH_MAX], id[16], vendor[64], model[64];
    snprintf(up, sizeof up, "%s/device", disk);
    size_t n = strlen(up);
    for (int i = 0; i < UP_MAX && n + 4 < sizeof up; i++, memcpy(up + n, "/..", 4), n += 3) {
        value(up, "idVendor", id, sizeof id);
        if (!id[0])
            continue;
        value(up, "serial", m->serial, sizeof m->serial);
        value(up, "manufacturer", vendor, sizeof vendor);
        value(up, "product", model, sizeof model);
        snprintf(m->label, sizeof m->label, "%s%s%s", vendor, vendor[0] && model[0] ? " " : "", model);
        if (realpath(up, real) && strlen(real) < sizeof m->usb)
            snprintf(m->usb, sizeof m->usb, "%s", real);
        return;
    }
}

static bool below(const char *path, const char *const *folders, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = strlen(folders[i]);
        if (strncmp(path, folders[i], k) == 0 && path[k] == '/')
            return true;
    }
    return false;
}

static bool loop_of(const char *disk, const char *const *images, size_t images_n, struct plat_medium *m)
{
    char file[256];
    value(disk, "loop/backing_file", file, sizeof file);
    if (!below(file, images, images_n))
        return false;
    const char *name = strrchr(file, '/') + 1;
    snprintf(m->serial, sizeof m->serial, "%.120s", name);
    snprintf(m->label, sizeof m->label, "%.120s", name);
    snprintf(m->kind, sizeof m->kind, "loop");
    return true;
}

static bool medium_of(const char *disk, const char *name, const char *const *images, size_t images_n, struct plat_medium *m)
{
    char text[64], vendor[48], model[64];
    *m = (struct plat_medium){.bytes = 0};
    snprintf(m->name, sizeof m->name, "%s", name);
    value(disk, "size", text, sizeof text);
    m->bytes = strtoull(text, NULL, 10) * SECTOR;
    if (!m->bytes)
        return false; /* a reader without a card in it */
    bool is = strncmp(name, "loop", 4) == 0;
    if (is)
        is = loop_of(disk, images, images_n, m);
    else {
        bool card = strncmp(name, "mmcblk", 6) == 0 && !strstr(name, "boot") && !strstr(name, "rpmb");
        usb_of(disk, m);
        value(disk, "removable", text, sizeof text);
        snprintf(m->kind, sizeof m->kind, "%s", m->usb[0] ? "usb" : card ? "card" : strncmp(name, "sr", 2) == 0 ? "disc" : "disk");
        is = m->usb[0] || text[0] == '1' || card;
        value(disk, "device/type", text, sizeof text);
        is &= !(card && strcmp(text, "MMC") == 0); /* soldered in: the machine's own disk */
        if (!m->serial[0])
            value(disk, "device/serial", m->serial, sizeof m->serial);
        value(disk, "device/vendor", vendor, sizeof vendor);
        value(disk, card ? "device/name" : "device/model", model, sizeof model);
        if (!m->label[0])
            snprintf(m->label, sizeof m->label, "%s%s%s", vendor, vendor[0] && model[0] ? " " : "", model);
    }
    serial_of(m->serial);
    return is;
}

int plat_media_list(const char *root, const char *const *images, size_t images_n, struct plat_medium *ret, size_t max, size_t *ret_n)
{
    static const char *const never[] = {"ram", "zram", "dm-", "md", "nbd", "drbd", "."};
    char dir[PATH_MAX], disk[PATH_MAX + 256];
    size_t n = 0, seen = 0;
    snprintf(dir, sizeof dir, "%s/sys/block", root);
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? (*ret_n = 0, 0) : -errno;
    for (struct dirent *e; (e = readdir(d)) != NULL && n < max && seen < DISKS_MAX; seen++) {
        bool skip = strlen(e->d_name) >= sizeof ret->name;
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
            skip |= strncmp(e->d_name, never[i], strlen(never[i])) == 0;
        snprintf(disk, sizeof disk, "%s/%s", dir, e->d_name);
        if (!skip && medium_of(disk, e->d_name, images, images_n, &ret[n]))
            n++;
    }
    closedir(d);
    *ret_n = n;
    return 0;
}

int plat_media_watch(int *ret_fd)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

void plat_media_drain(int fd)
{
    char buf[8192];
    while (read(fd, buf, sizeof buf) > 0) /* what it says is not read: /sys is looked at */
        ;
}

/* ---- the device and its parts ---- */

typedef int (*part_fn)(const char *path, void *arg);

/* The disk itself and each of its parts, as names of /dev. */
static int each_part(const struct plat_medium *m, part_fn fn, void *arg)
{
    char path[PATH_MAX], dir[128];
    size_t n = 0;
    snprintf(path, sizeof path, "/dev/%s", m->name);
    int r = fn(path, arg);
    snprintf(dir, sizeof dir, "/sys/block/%s", m->name);
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL && n < PARTS_MAX;) {
        if (strncmp(e->d_name, m->name, strlen(m->name)) != 0)
            continue;
        n++;
        snprintf(path, sizeof path, "/dev/%s", e->d_name);
        int k = fn(path, arg);
        r = r ? r : k;
    }
    if (d)
        closedir(d);
    return r;
}

static int set_ro(const char *path, void *arg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int r = fd < 0 ? -errno : ioctl(fd, BLKROSET, arg) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

struct numbers {
    dev_t of[PARTS_MAX + 1];
    size_t n;
};

static int add_number(const char *path, void *arg)
{
    struct numbers *k = arg;
    struct stat st;
    if (stat(path, &st) == 0 && S_ISBLK(st.st_mode) && k->n < PARTS_MAX + 1)
        k->of[k->n++] = st.st_rdev;
    return 0;
}

static bool is_one(const struct numbers *k, dev_t dev)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->of[i] == dev)
            return true;
    return false;
}

/* Read-only, or gone: one that is written to just now cannot be made read-only, and is taken away. */
static int change_mount(const char *at, bool away)
{
    if (!away && mount(NULL, at, NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) == 0)
        return 0;
    return umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL ? -errno : 0;
}

/* Every place where the medium is mounted.  A mount may uncover another: until there is none. */
static int change_mounts(const struct plat_medium *m, bool away)
{
    struct numbers k = {.n = 0};
    char buf[8192];
    struct mntent e;
    struct stat st;
    int r = each_part(m, add_number, &k), n = 0;
    FILE *f = setmntent("/proc/self/mounts", "re");
    if (r || !f) {
        if (f)
            endmntent(f);
        return r ? r : -errno;
    }
    while (getmntent_r(f, &e, buf, sizeof buf) && n < MOUNTS_MAX) {
        /* The folder itself is not asked: it may be one of a server that is away. */
        if (strncmp(e.mnt_fsname, "/dev/", 5) != 0 || stat(e.mnt_fsname, &st) < 0 || !S_ISBLK(st.st_mode) || !is_one(&k, st.st_rdev))
            continue;
        int one = change_mount(e.mnt_dir, away);
        r = r ? r : one;
        n++;
    }
    endmntent(f);
    return r;
}

int plat_media_read_only(const struct plat_medium *m)
{
    int on = 1, mounts = change_mounts(m, false), r = each_part(m, set_ro, &on);
    return r ? r : mounts;
}

int plat_media_free(const struct plat_medium *m)
{
    int off = 0;
    return each_part(m, set_ro, &off);
}

static int write_text(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 ? -errno : write(fd, text, strlen(text)) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

int plat_media_block(const char *root, const struct plat_medium *m, int *ret_hold)
{
    char path[128];
    int r = root[0] ? 0 : change_mounts(m, true);
    if (r)
        return r;
    if (m->usb[0]) {
        r = write_text(m->usb, "authorized", "0");
        if (!r)
            *ret_hold = -1;
        return r;
    }
    snprintf(path, sizeof path, "/dev/%s", m->name);
    int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK); /* claimed: nobody else can mount it, nor a part of it */
    if (fd < 0)
        return -errno;
    *ret_hold = fd;
    return 0;
}

int plat_media_let_in(const char *root)
{
    char dir[PATH_MAX], one[PATH_MAX + 256], text[8];
    int n = 0;
    snprintf(dir, sizeof dir, "%s/sys/bus/usb/devices", root);
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        snprintf(one, sizeof one, "%s/%s", dir, e->d_name);
        value(one, "authorized", text, sizeof text);
        if (strcmp(text, "0") == 0 && write_text(one, "authorized", "1") == 0)
            n++;
    }
    if (d)
        closedir(d);
    return n;
}

bool plat_media_is_read_only(const char *root, const struct plat_medium *m)
{
    char dir[PATH_MAX], text[8];
    snprintf(dir, sizeof dir, "%s/sys/block/%s", root, m->name);
    value(dir, "ro", text, sizeof text);
    return text[0] == '1';
}

int plat_media_enter(void)
{
    struct stat ours, theirs;
    if (stat("/proc/self/ns/mnt", &ours) < 0 || stat("/proc/1/ns/mnt", &theirs) < 0)
        return -errno;
    if (ours.st_ino == theirs.st_ino)
        return 0;
    int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : setns(fd, CLONE_NEWNS) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return r;
}
