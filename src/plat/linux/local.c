#include "plat/local.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128, NONBLOCK = SOCK_NONBLOCK | SOCK_CLOEXEC };

int plat_local_pair(int ret[2])
{
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | NONBLOCK, 0, fd) < 0)
        return -errno;
    ret[0] = fd[0];
    ret[1] = fd[1];
    return 0;
}

static int unix_address(const char *path, struct sockaddr_un *a)
{
    size_t n = strlen(path);
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n == 0 || n >= sizeof a->sun_path)
        return -ENAMETOOLONG;
    memcpy(a->sun_path, path, n + 1);
    return 0;
}

/* An old socket may be in the way; anything else is not ours to remove. */
static int make_way(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -SM_EEXISTS;
    return unlink(path) < 0 ? -errno : 0;
}

int plat_local_listen(const char *path, mode_t mode)
{
    struct sockaddr_un a;
    int r = unix_address(path, &a);
    if (r == 0)
        r = make_way(path);
    if (r < 0)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* Made closed for everybody, opened to mode once it is there. */
    mode_t old = umask(0777);
    r = bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -errno : 0;
    (void)umask(old);
    if (r == 0 && (chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0))
        r = -errno;
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

int plat_local_peer(int fd, struct plat_peer *ret)
{
    struct ucred c;
    socklen_t n = sizeof c;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) < 0)
        return -errno;
    *ret = (struct plat_peer){c.pid, c.uid, c.gid};
    return 0;
}

int plat_local_accept(int fd, struct plat_peer *ret)
{
    int c = accept4(fd, NULL, NULL, NONBLOCK);
    if (c < 0)
        return errno == EAGAIN || errno == ECONNABORTED || errno == EINTR ? -SM_EAGAIN : -errno;
    int r = plat_local_peer(c, ret);
    if (r < 0)
        close(c);
    return r < 0 ? r : c;
}

int plat_local_connect(const char *path)
{
    struct sockaddr_un a;
    int r = unix_address(path, &a);
    if (r < 0)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        r = errno == EAGAIN ? -SM_EAGAIN : -errno;
        close(fd);
        return r;
    }
    return fd;
}

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
};

static int parse_address(const char *text, uint16_t port, union address *a, socklen_t *n)
{
    *a = (union address){0};
    if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons(port);
        *n = sizeof a->v4;
        return 0;
    }
    if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(port);
        *n = sizeof a->v6;
        return 0;
    }
    return -SM_EINVAL;
}

static uint16_t port_of(const union address *a)
{
    return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

int plat_tcp_listen(const char *address, uint16_t port, uint16_t *ret_port)
{
    union address a;
    socklen_t n;
    int r = parse_address(address, port, &a, &n);
    if (r < 0)
        return r;
    int fd = socket(a.any.sa_family, SOCK_STREAM | NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 || bind(fd, &a.any, n) < 0 ||
        listen(fd, BACKLOG) < 0)
        r = -errno;
    n = sizeof a;
    if (r == 0 && getsockname(fd, &a.any, &n) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    if (ret_port)
        *ret_port = port_of(&a);
    return fd;
}

bool plat_tcp_is_loopback(const char *address)
{
    union address a;
    socklen_t n;
    if (parse_address(address, 0, &a, &n) < 0)
        return false;
    if (a.any.sa_family == AF_INET)
        return ntohl(a.v4.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr);
}

int plat_tcp_peer(int fd, char *ret, uint16_t *ret_port)
{
    union address a = {0};
    socklen_t n = sizeof a;
    char text[64];
    if (getpeername(fd, &a.any, &n) < 0)
        return -errno;
    const void *raw = a.any.sa_family == AF_INET6 ? (const void *)&a.v6.sin6_addr : (const void *)&a.v4.sin_addr;
    int family = a.any.sa_family;
    if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr)) {
        raw = &a.v6.sin6_addr.s6_addr[12];
        family = AF_INET;
    }
    if ((family != AF_INET && family != AF_INET6) || !inet_ntop(family, raw, text, sizeof text))
        return -EAFNOSUPPORT;
    memcpy(ret, text, sizeof text);
    if (ret_port)
        *ret_port = port_of(&a);
    return 0;
}

int plat_tcp_addresses(void (*fn)(void *arg, const char *interface, const char *address), void *arg)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) < 0)
        return -errno;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        char text[64];
        if (!i->ifa_addr || i->ifa_flags & IFF_LOOPBACK || !(i->ifa_flags & IFF_UP))
            continue;
        const union address *a = (const union address *)(const void *)i->ifa_addr;
        bool v6 = i->ifa_addr->sa_family == AF_INET6;
        if (!v6 && i->ifa_addr->sa_family != AF_INET)
            continue;
        if (v6 && IN6_IS_ADDR_LINKLOCAL(&a->v6.sin6_addr))
            continue; /* of no use without the interface's number */
        const void *raw = v6 ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr;
        if (inet_ntop(i->ifa_addr->sa_family, raw, text, sizeof text))
            fn(arg, i->ifa_name, text);
    }
    freeifaddrs(list);
    return 0;
}

/* sd_notify(3), section "Notes": one datagram to the socket named by the variable; '@' is the abstract space. */
int plat_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !*path)
        return 0;
    struct sockaddr_un a;
    int r = unix_address(path, &a);
    if (r < 0 || (path[0] != '/' && path[0] != '@'))
        return r < 0 ? r : -SM_EINVAL;
    if (path[0] == '@')
        a.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&a, n) < 0)
        r = -errno;
    close(fd);
    return r;
}
