#include "plat/poll.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { BATCH = 64 };
struct plat_poll {
    int ep, sig;
    sigset_t set;
};

int plat_poll_new(struct plat_poll **ret)
{
    struct plat_poll *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->sig = -1;
    (void)sigemptyset(&p->set); /* cannot fail */
    p->ep = epoll_create1(EPOLL_CLOEXEC);
    if (p->ep < 0) {
        int err = -errno;
        free(p);
        return err;
    }
    *ret = p;
    return 0;
}

void plat_poll_free(struct plat_poll *p)
{
    if (!p)
        return;
    if (p->sig >= 0)
        close(p->sig);
    close(p->ep);
    free(p);
}

static int control(struct plat_poll *p, int op, int fd, unsigned events, void *data)
{
    struct epoll_event e = {.data.ptr = data};
    e.events = (events & PLAT_POLL_READ ? EPOLLIN : 0u) | (events & PLAT_POLL_WRITE ? EPOLLOUT : 0u);
    return epoll_ctl(p->ep, op, fd, &e) < 0 ? -errno : 0;
}

int plat_poll_add(struct plat_poll *p, int fd, unsigned events, void *data)
{
    return control(p, EPOLL_CTL_ADD, fd, events, data);
}

int plat_poll_change(struct plat_poll *p, int fd, unsigned events, void *data)
{
    return control(p, EPOLL_CTL_MOD, fd, events, data);
}

void plat_poll_remove(struct plat_poll *p, int fd)
{
    (void)control(p, EPOLL_CTL_DEL, fd, 0, NULL); /* already gone when fd was closed */
}

int plat_poll_signal(struct plat_poll *p, int signo)
{
    sigset_t set = p->set;
    if (sigaddset(&set, signo) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(p->sig, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (p->sig < 0) {
        int r = plat_poll_add(p, fd, PLAT_POLL_READ, p);
        if (r < 0) {
            close(fd);
            return r;
        }
    }
    p->sig = fd;
    p->set = set;
    return 0;
}

/* As many waiting signals as there is room for; the rest stays for the next round. */
static int take_signals(struct plat_poll *p, struct plat_poll_event *ret, int max)
{
    int n = 0;
    struct signalfd_siginfo si;
    while (n < max && read(p->sig, &si, sizeof si) == (ssize_t)sizeof si)
        ret[n++] = (struct plat_poll_event){.signo = (int)si.ssi_signo};
    return n;
}

int plat_poll_wait(struct plat_poll *p, int timeout_ms, struct plat_poll_event *ret, int max)
{
    struct epoll_event e[BATCH];
    int k = epoll_wait(p->ep, e, max < BATCH ? max : BATCH, timeout_ms);
    if (k < 0)
        return errno == EINTR ? 0 : -errno;
    int n = 0;
    bool signals = false;
    for (int i = 0; i < k; i++) {
        if (e[i].data.ptr == p) {
            signals = true;
            continue;
        }
        unsigned hup = e[i].events & (EPOLLHUP | EPOLLERR) ? PLAT_POLL_HUP : 0u;
        ret[n].data = e[i].data.ptr;
        ret[n].signo = 0;
        ret[n++].events =
            (e[i].events & EPOLLIN ? PLAT_POLL_READ : 0u) | (e[i].events & EPOLLOUT ? PLAT_POLL_WRITE : 0u) | hup;
    }
    return signals ? n + take_signals(p, ret + n, max - n) : n;
}

int plat_poll_one(int fd, unsigned events, int timeout_ms)
{
    struct pollfd f = {.fd = fd};
    f.events = (short)((events & PLAT_POLL_READ ? POLLIN : 0) | (events & PLAT_POLL_WRITE ? POLLOUT : 0));
    int r = poll(&f, 1, timeout_ms);
    if (r < 0)
        return errno == EINTR ? 0 : -errno;
    return r > 0;
}
