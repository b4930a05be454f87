/*
 * Removable media: disks of /sys/block that hold something and can be taken away (removable, or behind USB), memory
 * cards, discs; and loop devices with a file behind them, which are told apart ("Kind").  Vendor, model and serial are
 * what the device says of itself.
 */
#include "sakimori-agent/inspect/inspect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DISKS_MAX = 1000, UP_MAX = 12, SECTOR = 512 };

/* The first line of a file below dir; "" when there is none. */
static void value(int dir, const char *name, char *ret, size_t n)
{
    const struct inspect_look l = {.root = dir};
    struct sm_buf b = SM_BUF_INIT(4096);
    ret[0] = 0;
    if (!inspect_read(&l, name, true, 1024, &b, NULL) && b.n) {
        struct sm_span rest = sm_buf_span(&b), line;
        if (inspect_line(&rest, &line)) {
            while (line.n && line.p[line.n - 1] == ' ')
                line.n--;
            snprintf(ret, n, "%.*s", (int)(line.n < n ? line.n : n - 1), (const char *)line.p);
        }
    }
    sm_buf_wipe(&b);
}

struct medium {
    char serial[128], vendor[128], model[128], usb[16], kind[8], backing[512];
};

/* The USB device that a disk hangs on: some folders above it. */
static void usb_of(int disk, struct medium *m)
{
    char up[8 + 3 * UP_MAX] = "device", id[8];
    for (size_t i = 0, n = strlen(up); i < UP_MAX; i++, n += 3) {
        int dir = openat(disk, up, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
            return;
        value(dir, "idVendor", id, sizeof id);
        if (id[0]) {
            char product[8];
            value(dir, "idProduct", product, sizeof product);
            snprintf(m->usb, sizeof m->usb, "%s:%s", id, product);
            value(dir, "serial", m->serial, sizeof m->serial);
            value(dir, "manufacturer", m->vendor, sizeof m->vendor);
            value(dir, "product", m->model, sizeof m->model);
            close(dir);
            return;
        }
        close(dir);
        memcpy(up + n, "/..", 4);
    }
}

static bool look_disk(int disk, const char *name, struct medium *m)
{
    char removable[8];
    *m = (struct medium){0};
    if (strncmp(name, "loop", 4) == 0) {
        value(disk, "loop/backing_file", m->backing, sizeof m->backing);
        snprintf(m->kind, sizeof m->kind, "loop");
        snprintf(m->serial, sizeof m->serial, "%.120s", m->backing);
        return m->backing[0] != 0;
    }
    value(disk, "removable", removable, sizeof removable);
    usb_of(disk, m);
    bool card = strncmp(name, "mmcblk", 6) == 0 && !strstr(name, "boot") && !strstr(name, "rpmb");
    snprintf(m->kind, sizeof m->kind, "%s",
        m->usb[0]                     ? "usb"
        : card                        ? "card"
        : strncmp(name, "sr", 2) == 0 ? "disc"
                                      : "disk");
    if (!m->serial[0])
        value(disk, "device/serial", m->serial, sizeof m->serial);
    if (!m->vendor[0])
        value(disk, "device/vendor", m->vendor, sizeof m->vendor);
    if (!m->model[0])
        value(disk, card ? "device/name" : "device/model", m->model, sizeof m->model);
    return m->usb[0] || card || removable[0] == '1';
}

static void put(const char *name, const struct medium *m, uint64_t bytes, struct items *to)
{
    char device[300], size[24];
    snprintf(device, sizeof device, "/dev/%s", name);
    snprintf(size, sizeof size, "%llu", (unsigned long long)bytes);
    items_add(to, SM_SPAN_STR(device));
    items_keep(to, "Serial", SM_SPAN_STR(m->serial));
    items_keep(to, "Vendor", SM_SPAN_STR(m->vendor));
    items_keep(to, "Model", SM_SPAN_STR(m->model));
    items_keep(to, "Size", SM_SPAN_STR(size));
    items_keep(to, "Kind", SM_SPAN_STR(m->kind));
    items_keep(to, "UsbId", SM_SPAN_STR(m->usb));
    items_tell(to, "BackingFile", SM_SPAN_STR(m->backing));
}

static void look(const struct inspect_look *l, struct items *to)
{
    int fd = openat(l->root, "sys/block", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    size_t n = 0;
    if (!d && fd >= 0)
        close(fd);
    for (struct dirent *e = d ? readdir(d) : NULL; e && n < DISKS_MAX; e = readdir(d), n++) {
        static const char *const never[] = {"ram", "zram", "dm-", "md", "nbd", "drbd", "."};
        struct medium m;
        char sectors[24], *end;
        bool skip = false;
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
            skip |= strncmp(e->d_name, never[i], strlen(never[i])) == 0;
        int disk = skip ? -1 : openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (disk < 0)
            continue;
        value(disk, "size", sectors, sizeof sectors);
        uint64_t size = strtoull(sectors, &end, 10);
        if (size && look_disk(disk, e->d_name, &m)) /* a reader without a card in it holds nothing */
            put(e->d_name, &m, size * SECTOR, to);
        close(disk);
    }
    if (d)
        closedir(d);
}

const struct inspect_sensor inspect_media = {.name = "media", .added = "media_attached", .changed = "media_attached",
    .removed = "media_detached", .key = "Device", .every_s = 60, .uevent = true, .look = look};
