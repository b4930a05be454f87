/*
 * Removable media: which are there, and making one read-only or unusable.  Source of what counts: /sys/block (Linux, Documentation/ABI/
 * testing/sysfs-block): a disk that says removable, that hangs on USB, or is a card.  A loop device counts when the file behind it lies below
 * one of the folders given (images that people mount), and never otherwise: the system itself may live on loop devices.
 *
 * What root can still do: write to the raw device by a descriptor it opened before, undo each of these.  Not guarded: phones and cameras
 * (they are no disks), keyboards that type.
 */
#ifndef SM_PLAT_MEDIA_H
#define SM_PLAT_MEDIA_H
#include <sys/types.h>
#include "core/buf.h"

enum { PLAT_MEDIA_MAX = 32, PLAT_MEDIA_TEXT = 128 };
struct plat_medium {
    char name[64];                  /* "sdb", "loop3" */
    char serial[PLAT_MEDIA_TEXT];   /* as the device says, printable ASCII without blanks and quotes; "" none.  loop: of its file's name */
    char label[PLAT_MEDIA_TEXT];    /* vendor and model */
    char kind[8];                   /* usb card disc disk loop */
    char usb[256];                  /* folder of its USB device in sysfs; "" none */
    uint64_t bytes;
};
/* root: "" for /, else a folder with sys/block in it (tests).  *ret_n at most max.  -errno; none at all is 0. */
sm_must_use int plat_media_list(const char *root, const char *const *images, size_t images_n, struct plat_medium *ret, size_t max, size_t *ret_n);
/* A descriptor that is readable when the kernel told of a device (netlink); -errno.  Then drain it: what it was is looked up. */
sm_must_use int plat_media_watch(int *ret_fd);
void plat_media_drain(int fd);

/* The mounts that lie on the medium or a part of it are made read-only (those that are being written to are taken away), then the device. */
sm_must_use int plat_media_read_only(const struct plat_medium *m);
/*
 * Its mounts are taken away; a USB device is then cut off by the kernel (authorized = 0), any other is held so that nobody can mount it:
 * *ret_hold is the descriptor, which keeps it so as long as it is open (-1: cut off).  -EBUSY somebody else holds it, -errno.
 */
sm_must_use int plat_media_block(const char *root, const struct plat_medium *m, int *ret_hold);
/* Undo both: the device may be written again. */
sm_must_use int plat_media_free(const struct plat_medium *m);
/* USB devices that are cut off are let in again, all of them: what is still not allowed is cut off again when it appears.  How many. */
int plat_media_let_in(const char *root);
/* Is it read-only now?  Its mounts are not looked at. */
bool plat_media_is_read_only(const char *root, const struct plat_medium *m);
/* Into the mounts of the machine, where this process has its own (a service manager's).  0 nothing to do; -errno. */
sm_must_use int plat_media_enter(void);
#endif
