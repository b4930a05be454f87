#include "plat/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int plat_netns_socket(const char *name, int domain, int type)
{
    char path[PATH_MAX];
    if (!name[0] || strchr(name, '/') || snprintf(path, sizeof path, "/run/netns/%s", name) >= (int)sizeof path)
        return -SM_EINVAL;
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = open(path, O_RDONLY | O_CLOEXEC), r = 0, fd = -1;
    if (own < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0) {
        r = -errno;
    } else {
        fd = socket(domain, type | SOCK_CLOEXEC, 0);
        r = fd < 0 ? -errno : 0;
        if (setns(own, CLONE_NEWNET) < 0)
            abort(); /* everything after this would happen in a network that nobody meant */
    }
    if (own >= 0)
        close(own);
    if (there >= 0)
        close(there);
    return r ? r : fd;
}
