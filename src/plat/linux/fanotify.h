/* What the two files of fanotify share. */
#ifndef SM_PLAT_LINUX_FANOTIFY_H
#define SM_PLAT_LINUX_FANOTIFY_H
#include <pthread.h>
#include "plat/fswatch.h"

/* Kernel headers of Debian 12 know 6.1. */
#ifndef FAN_RENAME
#define FAN_RENAME 0x10000000
#endif
#ifndef FAN_PRE_ACCESS /* Linux 6.14 */
#define FAN_PRE_ACCESS 0x00100000
#endif
#ifndef FAN_MARK_EVICTABLE /* Linux 6.0 */
#define FAN_MARK_EVICTABLE 0x00000200
#endif
#define FSWATCH_INFO_RANGE 6
enum { FSWATCH_MOUNTS = 64, FSWATCH_FOLDERS = 64, FSWATCH_HANDLE = 160 };

struct fswatch {
    int fd[FSWATCH_GROUPS];
    pthread_mutex_t lock; /* of mount */
    struct {
        int32_t fsid[2];
        int fd;         /* -1: let go, so that it can be unmounted */
        bool removable; /* it may be */
        uint64_t used_ms;
    } mount[FSWATCH_MOUNTS];
    size_t mount_n;
    /* Paths of folders that were told of last, by their handle; of the thread that reads notices. */
    struct {
        uint8_t handle[FSWATCH_HANDLE];
        uint16_t handle_n, path_n;
        char path[FSWATCH_PATH];
    } folder[FSWATCH_FOLDERS];
    char buf[64 << 10];
};
#endif
