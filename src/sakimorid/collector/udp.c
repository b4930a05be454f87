/* Syslog over UDP (RFC 5426): one datagram, one message. */
#include "core/log.h"
#include "sakimorid/collector/collector.h"

enum { DATAGRAM_MAX = 65536, TURNS = 8 };

static struct sm_span without_end(const uint8_t *p, size_t n)
{
    while (n && (p[n - 1] == '\n' || p[n - 1] == '\r' || p[n - 1] == '\0'))
        n--;
    return SM_SPAN(p, n);
}

void udp_readable(void *arg, int fd, unsigned events)
{
    struct door *d = arg;
    struct collector *k = d->k;
    struct plat_datagram in[PLAT_UDP_MANY];
    struct sender *s = NULL;

    for (int turn = 0; turn < TURNS; turn++) {
        uint32_t lost = d->lost;
        for (size_t i = 0; i < PLAT_UDP_MANY; i++)
            in[i].p = k->room + i * DATAGRAM_MAX;
        int n = plat_udp_receive(fd, in, PLAT_UDP_MANY, DATAGRAM_MAX, &lost);
        if (n <= 0)
            break;
        d->lost_all += (uint32_t)(lost - d->lost); /* the kernel's number wraps */
        d->lost = lost;
        int64_t now = collector_now_ns();
        for (int i = 0; i < n; i++) {
            struct sm_span m = without_end(in[i].p, in[i].n);
            if (!m.n || d->shut)
                continue;
            if (!s || memcmp(s->address, in[i].address, 16) != 0)
                s = sender_of(k, LOG_UDP, in[i].address);
            if (s)
                (void)sender_put(k, s, now, false, m); /* a drop is counted there */
            else
                d->refused++;
        }
        if (n < PLAT_UDP_MANY)
            break;
    }
    collector_queued(k);
}
