/* The best way there is to hear of processes; the process connector (netlink) is here, BPF in procwatch_bpf.c. */
#include "plat/procwatch.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/linux/procwatch_bpf.h"

enum { QUEUE_BYTES = 4 << 20, RUN_MAX = 1 << 16, MESSAGE_MAX = 4096, INIT_PIDS = 0xEFFFFFFCu /* PROC_PID_INIT_INO */ };

struct procwatch {
    enum procwatch_how how;
    struct procwatch_bpf *bpf;
    int fd;
    uint64_t lost;
};

#ifndef SM_BPF
int procwatch_bpf_open(struct procwatch_bpf **ret, char *ret_why)
{
    (void)ret;
    snprintf(ret_why, 120, "BPF: this program was built without it");
    return -SM_EUNSUPPORTED;
}

void procwatch_bpf_close(struct procwatch_bpf *b)
{
    (void)b;
}

int procwatch_bpf_fd(const struct procwatch_bpf *b)
{
    (void)b;
    return -1;
}

size_t procwatch_bpf_drain(struct procwatch_bpf *b, size_t max, procwatch_fn *fn, void *ctx)
{
    (void)b;
    (void)max;
    (void)fn;
    (void)ctx;
    return 0;
}

uint64_t procwatch_bpf_lost(const struct procwatch_bpf *b)
{
    (void)b;
    return 0;
}
#endif

/* ---- the connector ---- */

/* The kernel's struct is aligned by 4 only where it stands: copied field by field. */
static uint32_t u32_at(const uint8_t *p, size_t off)
{
    uint32_t v;
    memcpy(&v, p + off, sizeof v);
    return v;
}

int procwatch_parse_connector(struct sm_span message, struct procwatch_word *ret)
{
    const size_t head = sizeof(struct cn_msg), data = offsetof(struct proc_event, event_data);
    uint64_t ns;
    if (message.n < head || u32_at(message.p, offsetof(struct cn_msg, id.idx)) != CN_IDX_PROC)
        return -SM_EFORMAT;
    const uint8_t *e = message.p + head;
    size_t n = message.n - head;
    uint16_t len;
    memcpy(&len, message.p + offsetof(struct cn_msg, len), sizeof len);
    if (len > n || n < data + 16)
        return -SM_EFORMAT;
    memcpy(&ns, e + offsetof(struct proc_event, timestamp_ns), sizeof ns);
    const uint32_t what = u32_at(e, 0);
    struct procwatch_word w = {.at_ms = (int64_t)(ns / 1000000)};
    if (what == 0x00000001) { /* fork: parent thread, parent, child thread, child */
        w.kind = PROCWATCH_FORK;
        w.parent = u32_at(e, data + 4);
        w.pid = u32_at(e, data + 12);
        if (u32_at(e, data + 8) != w.pid)
            return 0; /* a thread */
    } else if (what == 0x00000002 || what == 0x80000000) { /* exec, exit: thread, process */
        w.kind = what == 0x00000002 ? PROCWATCH_EXEC : PROCWATCH_EXIT;
        w.pid = u32_at(e, data + 4);
        if (what == 0x80000000 && u32_at(e, data) != w.pid)
            return 0;
    } else {
        return 0;
    }
    if (!w.pid || w.pid > INT32_MAX)
        return -SM_EFORMAT;
    *ret = w;
    return 1;
}

static int connector_open(int *ret, char *why)
{
    struct {
        struct nlmsghdr head;
        struct cn_msg msg;
        uint32_t op;
    } __attribute__((packed)) ask = {.head = {.nlmsg_len = sizeof ask, .nlmsg_type = NLMSG_DONE},
        .msg = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof(uint32_t)},
        .op = PROC_CN_MCAST_LISTEN};
    struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    int size = QUEUE_BYTES, fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        (void)setsockopt(
            fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size); /* the smaller one loses earlier, which is counted */
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || send(fd, &ask, sizeof ask, 0) != (ssize_t)sizeof ask) {
        snprintf(why, 100, "the process connector: %s", sm_strerror(-errno));
        if (fd >= 0)
            close(fd);
        return -SM_EUNSUPPORTED;
    }
    *ret = fd;
    return 0;
}

/* Its clock stops in suspend, ours does not. */
static int64_t asleep_ms(void)
{
    struct timespec boot, mono;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    return (boot.tv_sec - mono.tv_sec) * 1000 + (boot.tv_nsec - mono.tv_nsec) / 1000000;
}

static size_t connector_drain(struct procwatch *w, size_t max, procwatch_fn *fn, void *ctx)
{
    _Alignas(struct nlmsghdr) uint8_t b[MESSAGE_MAX];
    const int64_t asleep = asleep_ms();
    size_t given = 0;
    for (size_t i = 0; i < RUN_MAX && (!max || given < max); i++) {
        struct sockaddr_nl from = {0};
        socklen_t from_n = sizeof from;
        ssize_t n = recvfrom(w->fd, b, sizeof b, MSG_DONTWAIT, (struct sockaddr *)&from, &from_n);
        if (n < 0 && errno == ENOBUFS)
            w->lost++; /* how many the kernel does not say */
        if (n < 0 && (errno == ENOBUFS || errno == EINTR))
            continue;
        if (n < 0)
            break;
        struct procwatch_word word;
        const struct nlmsghdr *head = (const struct nlmsghdr *)b;
        if (from.nl_pid || (size_t)n < NLMSG_HDRLEN || head->nlmsg_len > (size_t)n || head->nlmsg_len < NLMSG_HDRLEN)
            continue; /* not the kernel's */
        if (procwatch_parse_connector(SM_SPAN(b + NLMSG_HDRLEN, head->nlmsg_len - NLMSG_HDRLEN), &word) != 1)
            continue;
        word.at_ms += asleep;
        given++;
        fn(ctx, &word);
    }
    return given;
}

/* ---- the best way ---- */

int procwatch_open(enum procwatch_how best, struct procwatch **ret, char *ret_why)
{
    char bpf[120] = "", connector[100] = "";
    struct stat st;
    struct procwatch *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->fd = -1;
    bool ours = !stat("/proc/self/ns/pid", &st) && st.st_ino == INIT_PIDS;
    int r = -SM_EUNSUPPORTED;
    if (!ours)
        snprintf(bpf, sizeof bpf, "the numbers of processes are those of a container, not the kernel's");
    if (ours && best >= PROCWATCH_BPF)
        r = procwatch_bpf_open(&w->bpf, bpf);
    if (!r)
        w->how = PROCWATCH_BPF;
    if (r == -SM_EUNSUPPORTED && ours && best >= PROCWATCH_CONNECTOR && !(r = connector_open(&w->fd, connector)))
        w->how = PROCWATCH_CONNECTOR;
    if (r && r != -SM_EUNSUPPORTED) {
        free(w);
        return r;
    }
    snprintf(ret_why, 240, "%s%s%s", bpf, bpf[0] && connector[0] ? "; " : "", connector);
    *ret = w;
    return 0;
}

void procwatch_close(struct procwatch *w)
{
    if (!w)
        return;
    procwatch_bpf_close(w->bpf);
    if (w->fd >= 0)
        close(w->fd);
    free(w);
}

enum procwatch_how procwatch_how(const struct procwatch *w)
{
    return w->how;
}

int procwatch_fd(const struct procwatch *w)
{
    return w->how == PROCWATCH_BPF ? procwatch_bpf_fd(w->bpf) : w->fd;
}

size_t procwatch_drain(struct procwatch *w, size_t max, procwatch_fn *fn, void *ctx)
{
    if (w->how == PROCWATCH_BPF)
        return procwatch_bpf_drain(w->bpf, max, fn, ctx);
    return w->how == PROCWATCH_CONNECTOR ? connector_drain(w, max, fn, ctx) : 0;
}

uint64_t procwatch_lost(const struct procwatch *w)
{
    return w->how == PROCWATCH_BPF ? procwatch_bpf_lost(w->bpf) : w->lost;
}
