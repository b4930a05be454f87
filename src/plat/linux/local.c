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

int plat_udp_bind(const char *address, uint16_t port, int buffer_bytes, uint16_t *ret_port)
{
    union address a;
    socklen_t n;
    int on = 1, r = parse_address(address, port, &a, &n);
    if (r < 0)
        return r;
    int fd = socket(a.any.sa_family, SOCK_DGRAM | NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes); /* as large as it may be */
    (void)setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on); /* without it losses are not counted, nothing else */
    if (bind(fd, &a.any, n) < 0)
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

static void address_bytes(const union address *a, uint8_t ret[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->any.sa_family == AF_INET6) {
        memcpy(ret, &a->v6.sin6_addr, 16);
        return;
    }
    memcpy(ret, mapped, 12);
    memcpy(ret + 12, &a->v4.sin_addr, 4);
}

static void lost_of(struct msghdr *h, uint32_t *ret_lost)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
            memcpy(ret_lost, CMSG_DATA(c), sizeof *ret_lost);
}

int plat_udp_receive(int fd, struct plat_datagram *at, size_t n, size_t room, uint32_t *ret_lost)
{
    static _Thread_local struct {
        struct mmsghdr m[PLAT_UDP_MANY];
        struct iovec v[PLAT_UDP_MANY];
        union address a[PLAT_UDP_MANY];
        union { struct cmsghdr align; uint8_t b[64]; } c[PLAT_UDP_MANY];
    } w;
    n = n < PLAT_UDP_MANY ? n : PLAT_UDP_MANY;
    for (size_t i = 0; i < n; i++) {
        w.v[i] = (struct iovec){at[i].p, room};
        w.m[i].msg_hdr = (struct msghdr){.msg_name = &w.a[i], .msg_namelen = sizeof w.a[i], .msg_iov = &w.v[i],
            .msg_iovlen = 1, .msg_control = &w.c[i], .msg_controllen = sizeof w.c[i]};
    }
    int k = recvmmsg(fd, w.m, (unsigned)n, MSG_DONTWAIT, NULL);
    if (k < 0)
        return errno == EAGAIN || errno == EINTR ? -SM_EAGAIN : -errno;
    for (int i = 0; i < k; i++) {
        at[i].n = w.m[i].msg_len;
        address_bytes(&w.a[i], at[i].address);
    }
    if (k > 0)
        lost_of(&w.m[k - 1].msg_hdr, ret_lost);
    return k;
}

int plat_tcp_peer_bytes(int fd, uint8_t ret[16])
{
    union address a = {0};
    socklen_t n = sizeof a;
    if (getpeername(fd, &a.any, &n) < 0)
        return -errno;
    if (a.any.sa_family != AF_INET && a.any.sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    address_bytes(&a, ret);
    return 0;
}

void plat_address_text(const uint8_t address[16], char ret[64])
{
    struct in6_addr v6;
    memcpy(&v6, address, sizeof v6);
    bool v4 = IN6_IS_ADDR_V4MAPPED(&v6);
    if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + 12 : address, ret, 64))
        memcpy(ret, "?", 2); /* 64 bytes hold any */
}

int plat_tcp_accept(int fd)
{
    int got = accept4(fd, NULL, NULL, NONBLOCK);
    if (got >= 0)
        return got;
    /* What happened to that one connection is over with it. */
    return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? -SM_EAGAIN : -errno;
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
