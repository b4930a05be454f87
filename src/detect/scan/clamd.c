#include "detect/scan/clamd.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "plat/clock.h"

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof a.sun_path)
        return -SM_EINVAL;
    memcpy(a.sun_path, path, n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)(const void *)&a, sizeof a) == 0)
        return fd;
    int err = errno;
    close(fd);
    return err == ENOENT || err == ECONNREFUSED || err == EACCES || err == EPERM ? -SM_EPEER : -err;
}

static int send_with(int s, const char *command, size_t n, int fd)
{
    char room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {(void *)(uintptr_t)command, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = room;
        m.msg_controllen = sizeof room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t k;
    do
        k = sendmsg(s, &m, MSG_NOSIGNAL);
    while (k < 0 && errno == EINTR);
    return k < 0 ? -errno : (size_t)k == n ? 0 : -EIO;
}

/* Up to the NUL, which is taken off. */
static int receive(int s, int timeout_ms, struct sm_buf *ret)
{
    uint64_t end = plat_clock_mono_ms() + (uint64_t)timeout_ms;
    for (;;) {
        char part[512];
        uint64_t now = plat_clock_mono_ms();
        struct pollfd p = {.fd = s, .events = POLLIN};
        int r = now < end ? poll(&p, 1, (int)(end - now)) : 0;
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r < 0 ? -errno : -SM_ETIME;
        ssize_t n = read(s, part, sizeof part);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && errno != ECONNRESET ? -errno : ret->n ? 0 : -SM_EPEER;
        const char *nul = memchr(part, 0, (size_t)n);
        r = sm_buf_put(ret, part, nul ? (size_t)(nul - part) : (size_t)n);
        if (r < 0 || nul)
            return r == -SM_ELIMIT ? -SM_EFORMAT : r;
    }
}

static int ask(const char *socket, const char *command, size_t n, int fd, int timeout_ms, struct sm_buf *ret)
{
    int s = connect_to(socket);
    if (s < 0)
        return s;
    int r = send_with(s, command, n, -1);
    if (r == 0 && fd >= 0)
        r = send_with(s, "", 1, fd); /* the file comes after the command, with a byte of its own */
    if (r == 0)
        r = receive(s, timeout_ms, ret);
    close(s);
    return r == -EPIPE ? -SM_EPEER : r;
}

static bool ends(struct sm_span s, const char *with)
{
    size_t n = strlen(with);
    return s.n >= n && memcmp(s.p + s.n - n, with, n) == 0;
}

static void printable(struct sm_span s, char *ret, size_t max)
{
    size_t n = s.n < max - 1 ? s.n : max - 1;
    for (size_t i = 0; i < n; i++)
        ret[i] = s.p[i] > 0x20 && s.p[i] < 0x7f ? (char)s.p[i] : '?';
    ret[n] = 0;
}

/* "fd[10]: OK", "fd[10]: Eicar-Test-Signature FOUND", "fd[10]: Can't … ERROR", "INSTREAM size limit exceeded. ERROR". */
int clamd_parse(struct sm_span a, enum clamd_verdict *ret, char *ret_name)
{
    const uint8_t *colon = a.n ? memmem(a.p, a.n, ": ", 2) : NULL;
    if (a.n > CLAMD_ANSWER_MAX)
        return -SM_EFORMAT;
    if (ends(a, " ERROR"))
        return memmem(a.p, a.n, "limit", 5) ? -SM_ELIMIT : -SM_EPARTIAL;
    if (!colon)
        return -SM_EFORMAT;
    struct sm_span what = SM_SPAN(colon + 2, a.n - (size_t)(colon + 2 - a.p));
    if (what.n == 2 && memcmp(what.p, "OK", 2) == 0) {
        *ret = CLAMD_CLEAN;
        ret_name[0] = 0;
        return 0;
    }
    if (!ends(what, " FOUND") || what.n < 7)
        return -SM_EFORMAT;
    what.n -= 6;
    printable(what, ret_name, CLAMD_NAME);
    *ret = CLAMD_FOUND;
    return 0;
}

/* "Mon Nov 23 08:23:44 2026", in the machine's own time zone by clamd; taken for UTC: a day is what matters. */
static bool made_of(struct sm_span s, struct sm_time *ret)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[32], month[4], iso[SM_TIME_TEXT];
    unsigned day, hour, minute, second, year;
    if (s.n >= sizeof text || s.n < 8)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    if (sscanf(text, "%*3s %3s %2u %2u:%2u:%2u %4u", month, &day, &hour, &minute, &second, &year) != 6)
        return false;
    const char *at = strlen(month) == 3 ? strstr(months, month) : NULL;
    if (!at || (at - months) % 3 || year < 2000 || year > 9999)
        return false;
    (void)snprintf(iso, sizeof iso, "%04u-%02u-%02uT%02u:%02u:%02uZ", year, (unsigned)((at - months) / 3 + 1), day, hour, minute,
        second);
    return sm_time_parse(iso, ret) == 0;
}

int clamd_parse_version(struct sm_span a, struct clamd_version *ret)
{
    struct clamd_version v = {0};
    if (a.n < 7 || a.n > CLAMD_ANSWER_MAX || memcmp(a.p, "ClamAV ", 7) != 0)
        return -SM_EFORMAT;
    const uint8_t *first = memchr(a.p, '/', a.n), *end = a.p + a.n;
    printable(SM_SPAN(a.p + 7, (size_t)((first ? first : end) - a.p) - 7), v.engine, sizeof v.engine);
    const uint8_t *second = first ? memchr(first + 1, '/', (size_t)(end - first - 1)) : NULL;
    if (first)
        printable(SM_SPAN(first + 1, (size_t)((second ? second : end) - first) - 1), v.definitions, sizeof v.definitions);
    v.has_made = second && made_of(SM_SPAN(second + 1, (size_t)(end - second - 1)), &v.made);
    *ret = v;
    return 0;
}

int clamd_ask(const char *socket, int fd, int timeout_ms, enum clamd_verdict *ret, char *ret_name)
{
    struct sm_buf b = SM_BUF_INIT(CLAMD_ANSWER_MAX);
    int r = ask(socket, "zFILDES", 8, fd, timeout_ms, &b);
    if (r == 0)
        r = clamd_parse(sm_buf_span(&b), ret, ret_name);
    sm_buf_wipe(&b);
    return r;
}

int clamd_version(const char *socket, int timeout_ms, struct clamd_version *ret)
{
    struct sm_buf b = SM_BUF_INIT(CLAMD_ANSWER_MAX);
    int r = ask(socket, "zVERSION", 9, -1, timeout_ms, &b);
    if (r == 0)
        r = clamd_parse_version(sm_buf_span(&b), ret);
    sm_buf_wipe(&b);
    return r;
}
