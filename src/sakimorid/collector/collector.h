/*
 * The collector: network bytes of logs become raw records and nothing more.  It parses no content, has no file and no key
 * (TLS is signed by keyd), and knows senders only by address.
 *
 * Fairness: every sender (listener and address) has a queue of its own with a bound that shrinks as more senders are busy; batches
 * are filled from the queues in turn.  A TCP or TLS sender whose queue is full is not read; a UDP sender's datagram
 * is dropped and counted.  The UDP socket itself is always emptied at once, so that one who floods fills only their own queue.
 */
#ifndef SAKIMORID_COLLECTOR_H
#define SAKIMORID_COLLECTOR_H
#include "crypto/tlsserver.h"
#include "plat/local.h"
#include "sakimorid/child.h"
#include "sakimorid/collector/framing.h"
#include "sakimorid/logbatch.h"

enum {
    SENDERS_MAX = 4096, SENDERS_SLOTS = 8192,
    QUEUED_MAX = 64 << 20,          /* bytes in all queues together */
    QUEUE_MAX = 8 << 20,            /* of one sender, while few are busy */
    QUEUE_MIN = 32 << 10,           /* what each has however many are busy */
    QUANTUM = 32 << 10,             /* of one sender's turn in a batch */
    FLIGHT_MAX = 16 << 20,          /* bytes of batches watch has not answered */
    CONNS_MAX = 1024, CONNS_PER_SENDER = 64,
    PARTS_MAX = 64 << 20,           /* bytes of messages under way, all connections together ... */
    PART_SMALL = 16 << 10,          /* ... past that a message is cut here */
    READ_ROOM = 256 << 10,
    HALF_MS = 30000,                /* a message that was begun is ended within this */
    HANDSHAKE_MS = 10000,
    SENDERS_TOLD = 200,             /* senders of one notice of counts */
};

struct sender {
    uint8_t listener, address[16];
    char text[64];                  /* the address */
    struct sender *hash_next;
    struct sender *turn_next, *turn_prev;   /* of those that have something queued */
    struct sender *old_next, *old_prev;     /* all, the one heard of last first */
    struct sm_buf queue;            /* whole records from at on */
    size_t at;
    unsigned conns;
    bool changed;                   /* since its counts were told */
    uint64_t received, dropped, cut, bytes, skipped;
    int64_t last_s;
    struct conn *held;              /* its connections that are not read because the queue is full */
};

struct conn {
    struct collector *k;
    struct conn *next, **prev;
    struct conn *held_next;
    struct sender *sender;
    struct crypto_tls_conn *tls;    /* NULL: plain */
    struct sm_watch *watch;
    struct framer framer;
    int fd;
    uint64_t begun_ms, last_ms;     /* of the message under way (0 none); of anything */
    bool shaking, held;
};

/* A batch on its way; it is sent again when watch was restarted, under the same number. */
struct batch {
    struct collector *k;
    struct batch *next;
    struct sm_buf body;
    uint64_t number;
    bool sent;
};

struct door { struct collector *k; unsigned listener; int fd; struct sm_watch *watch; uint32_t lost; uint64_t lost_all; unsigned conns; uint64_t refused; bool shut; };

struct collector {
    struct child *c;
    struct sender *slots[SENDERS_SLOTS], *turn, *turn_last, *newest, *oldest;
    size_t senders_n, busy_n, queued, parts;
    struct batch *first, **last;
    size_t flight;
    uint64_t next_number;
    uint8_t stream[16], secret[8];  /* whose numbering; of the hash of addresses */
    struct door doors[LOG_LISTENERS];
    struct conn *conns;
    size_t conns_n;
    bool tls_ready;
    char *chain;
    struct sm_timer *flush, *tick, *again;
    uint8_t *room;                  /* READ_ROOM, or PLAT_UDP_MANY datagrams */
    bool flush_set;
};

/* senders.c.  The sender, made if it is new; NULL: no room for one more, or no memory. */
struct sender *sender_of(struct collector *k, unsigned listener, const uint8_t address[16]);
/* One record into its queue, whole.  False: dropped, and counted. */
bool sender_put(struct collector *k, struct sender *s, int64_t seen_ns, bool cut, struct sm_span bytes);
/* How much its queue may hold now; is there room for n more bytes? */
size_t sender_bound(const struct collector *k);
/* Fill to with records in turn, until it has LOG_BATCH_FULL bytes.  -ENOMEM. */
int senders_take(struct collector *k, struct sm_buf *to);
void senders_tell(struct collector *k);
void senders_free(struct collector *k);

/* udp.c */
void udp_readable(void *arg, int fd, unsigned events);
/* stream.c */
void stream_accept(void *arg, int fd, unsigned events);
void stream_release(struct collector *k, struct sender *s);     /* its queue has room again */
void streams_tick(struct collector *k, uint64_t now_ms);
void stream_close(struct conn *n);
/* collector.c: something was queued. */
void collector_queued(struct collector *k);
int64_t collector_now_ns(void);
#endif
