/* Syslog over TCP (RFC 6587) and TLS (RFC 5425): connections, their limits and their end. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/log.h"
#include "plat/clock.h"
#include "sakimorid/collector/collector.h"

enum { TLS_TURN = 64 << 10, TCP_TURN = 128 << 10 };

struct giving { struct conn *n; int64_t now; };

static void on_message(void *arg, struct sm_span m, bool cut)
{
    const struct giving *g = arg;

    (void)sender_put(g->n->k, g->n->sender, g->now, cut, m); /* a drop is counted there */
}

static void unhold(struct conn *n)
{
    struct conn **at = &n->sender->held;

    while (*at && *at != n)
        at = &(*at)->held_next;
    if (*at)
        *at = n->held_next;
    n->held = false;
}

void stream_close(struct conn *n)
{
    struct collector *k = n->k;
    struct giving g = { n, collector_now_ns() };

    k->parts -= n->framer.part.cap;
    framer_end(&n->framer, on_message, &g);
    n->sender->skipped += n->framer.skipped;
    if (n->held)
        unhold(n);
    k->doors[n->sender->listener].conns--;
    n->sender->conns--;
    *n->prev = n->next;
    if (n->next)
        n->next->prev = n->prev;
    k->conns_n--;
    sm_watch_free(n->watch);
    crypto_tls_conn_free(n->tls);
    framer_wipe(&n->framer);
    close(n->fd);
    free(n);
    collector_queued(k);
}

static void hold_if_full(struct conn *n)
{
    struct sender *s = n->sender;

    if (n->held || s->queue.n - s->at < sender_bound(n->k))
        return;
    n->held = true;
    n->held_next = s->held;
    s->held = n;
    sm_watch_events(n->watch, 0);
}

void stream_release(struct collector *k, struct sender *s)
{
    while (s->held) {
        struct conn *n = s->held;
        s->held = n->held_next;
        n->held = false;
        sm_watch_events(n->watch, SM_READ);
        if (n->tls && crypto_tls_conn_waiting(n->tls))
            sm_timer_set(k->again, 0, 0);
    }
}

static int feed(struct conn *n, size_t got)
{
    struct collector *k = n->k;
    struct giving g = { n, collector_now_ns() };
    bool short_of = k->parts > PARTS_MAX;
    size_t before = n->framer.part.cap;
    uint64_t skipped = n->framer.skipped;

    n->last_ms = plat_clock_mono_ms();
    int r = framer_feed(&n->framer, SM_SPAN(k->room, got), short_of ? PART_SMALL : LOG_LINE_MAX, on_message, &g);
    k->parts += n->framer.part.cap - before;
    n->sender->skipped += n->framer.skipped - skipped;
    n->framer.skipped = 0;
    if (!framer_has_part(&n->framer))
        n->begun_ms = 0;
    else if (!n->begun_ms)
        n->begun_ms = n->last_ms;
    collector_queued(k);
    hold_if_full(n);
    return r;
}

static void read_plain(struct conn *n)
{
    ssize_t got = recv(n->fd, n->k->room, TCP_TURN, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        stream_close(n);
    else
        (void)feed(n, (size_t)got); /* without memory a message is cut, and that was counted */
}

static void read_tls(struct conn *n)
{
    size_t got = 0;
    int r = 0;

    while (got < TLS_TURN || (crypto_tls_conn_waiting(n->tls) && got + (20 << 10) < READ_ROOM)) {
        r = crypto_tls_conn_read(n->tls, n->k->room + got, READ_ROOM - got);
        if (r <= 0)
            break;
        got += (size_t)r;
    }
    if (got)
        (void)feed(n, got); /* as above */
    if (r == 0 || (r < 0 && r != -SM_EAGAIN))
        stream_close(n);
    else if (!n->held && crypto_tls_conn_waiting(n->tls))
        sm_timer_set(n->k->again, 0, 0);
}

static void shake(struct conn *n)
{
    bool writing = false;
    int r = crypto_tls_conn_handshake(n->tls, &writing);

    if (r == 0) {
        n->shaking = false;
        n->begun_ms = 0;
        sm_watch_events(n->watch, SM_READ);
        read_tls(n);
    } else if (r == -SM_EAGAIN) {
        sm_watch_events(n->watch, writing ? SM_WRITE : SM_READ);
    } else {
        stream_close(n);
    }
}

static void on_ready(void *arg, int fd, unsigned events)
{
    struct conn *n = arg;

    if (n->shaking)
        shake(n);
    else if (n->tls)
        read_tls(n);
    else
        read_plain(n);
}

/* ---- a new connection ---- */

/* All are taken: the one that was silent for longest goes, of who has most. */
static void make_room(struct collector *k)
{
    struct conn *worst = NULL;

    for (struct conn *n = k->conns; n; n = n->next)
        if (!worst || n->sender->conns > worst->sender->conns ||
            (n->sender->conns == worst->sender->conns && n->last_ms < worst->last_ms))
            worst = n;
    if (worst)
        stream_close(worst);
}

static int conn_begin(struct conn *n, struct door *d, int fd)
{
    struct collector *k = d->k;
    uint8_t address[16];
    int r = plat_tcp_peer_bytes(fd, address);

    if (r < 0)
        return r;
    n->sender = sender_of(k, d->listener, address);
    if (!n->sender || n->sender->conns >= CONNS_PER_SENDER)
        return -SM_ELIMIT;
    if (d->listener == LOG_TLS)
        r = crypto_tls_conn_new(fd, &n->tls);
    if (r >= 0)
        r = sm_loop_fd(k->c->loop, fd, SM_READ, on_ready, n, &n->watch);
    if (r < 0)
        crypto_tls_conn_free(n->tls);
    return r;
}

static void conn_new(struct door *d, int fd)
{
    struct collector *k = d->k;
    struct conn *n = calloc(1, sizeof *n);
    int r = n ? 0 : -ENOMEM;

    if (r >= 0) {
        *n = (struct conn){ .k = k, .fd = fd, .shaking = d->listener == LOG_TLS, .last_ms = plat_clock_mono_ms() };
        n->begun_ms = n->shaking ? n->last_ms : 0;
        r = conn_begin(n, d, fd);
    }
    if (r < 0) {
        d->refused++;
        free(n);
        close(fd);
        return;
    }
    framer_init(&n->framer, LOG_LINE_MAX);
    n->next = k->conns;
    if (n->next)
        n->next->prev = &n->next;
    n->prev = &k->conns;
    k->conns = n;
    k->conns_n++;
    n->sender->conns++;
    d->conns++;
}

void stream_accept(void *arg, int fd, unsigned events)
{
    struct door *d = arg;

    for (int i = 0; i < 32; i++) {
        int got = plat_tcp_accept(fd);
        if (got < 0)
            return; /* nobody, or no descriptor left: those who wait are asked at the next turn */
        if (d->shut) {
            (void)close(got); /* nothing was read of it */
            continue;
        }
        if (d->k->conns_n >= CONNS_MAX)
            make_room(d->k);
        conn_new(d, got);
    }
}

/* Handshakes and messages that are not ended in time end their connection; what TLS holds back is read. */
void streams_tick(struct collector *k, uint64_t now_ms)
{
    for (struct conn *n = k->conns, *next; n; n = next) {
        next = n->next;
        if (n->begun_ms && !n->held && now_ms - n->begun_ms > (n->shaking ? HANDSHAKE_MS : HALF_MS))
            stream_close(n);
        else if (n->tls && !n->shaking && !n->held && crypto_tls_conn_waiting(n->tls))
            read_tls(n);
    }
}
