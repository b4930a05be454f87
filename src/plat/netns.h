/*
 * Named network namespaces, as `ip netns` makes them (/run/netns/NAME).
 */
#ifndef SM_PLAT_NETNS_H
#define SM_PLAT_NETNS_H
#include "core/err.h"

/* A socket (close-on-exec) whose network is that of the namespace; the caller stays in its own.  name: without "/".
 * -SM_EINVAL, -ENOENT no such namespace, -EPERM, -errno.  Not for programs with several threads that change namespaces. */
sm_must_use int plat_netns_socket(const char *name, int domain, int type);
#endif
