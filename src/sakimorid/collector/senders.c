/* Senders: their queues, turns and counts. */
#include <errno.h>
#include "core/log.h"
#include "plat/clock.h"
#include "sakimorid/collector/collector.h"

/* FNV over a secret and the address: nobody can choose addresses that fall together without knowing it. */
static size_t slot_of(const struct collector *k, unsigned listener, const uint8_t address[16])
{
    uint64_t h = 0xcbf29ce484222325u ^ listener;

    for (size_t i = 0; i < sizeof k->secret; i++)
        h = (h ^ k->secret[i]) * 0x100000001b3u;
    for (size_t i = 0; i < 16; i++)
        h = (h ^ address[i]) * 0x100000001b3u;
    h ^= h >> 29;
    return (size_t)(h % SENDERS_SLOTS);
}

static void old_unlink(struct collector *k, struct sender *s)
{
    *(s->old_prev ? &s->old_prev->old_next : &k->newest) = s->old_next;
    *(s->old_next ? &s->old_next->old_prev : &k->oldest) = s->old_prev;
    s->old_prev = s->old_next = NULL;
}

static void old_front(struct collector *k, struct sender *s)
{
    s->old_prev = NULL;
    s->old_next = k->newest;
    *(k->newest ? &k->newest->old_prev : &k->oldest) = s;
    k->newest = s;
}

static void forget(struct collector *k, struct sender *s)
{
    struct sender **at = &k->slots[slot_of(k, s->listener, s->address)];

    while (*at != s)
        at = &(*at)->hash_next;
    *at = s->hash_next;
    old_unlink(k, s);
    sm_buf_wipe(&s->queue);
    free(s);
    k->senders_n--;
}

/* Who was not heard of for longest and has nothing here makes room; the counts were told, or are told now. */
static bool make_room(struct collector *k)
{
    for (struct sender *s = k->oldest; s; s = s->old_prev) {
        if (s->conns || s->queue.n > s->at)
            continue;
        if (s->changed)
            senders_tell(k);
        forget(k, s);
        return true;
    }
    return false;
}

struct sender *sender_of(struct collector *k, unsigned listener, const uint8_t address[16])
{
    size_t slot = slot_of(k, listener, address);
    struct sender *s = k->slots[slot];

    while (s && (s->listener != listener || memcmp(s->address, address, 16) != 0))
        s = s->hash_next;
    if (s)
        return s;
    if (k->senders_n >= SENDERS_MAX && !make_room(k))
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->listener = (uint8_t)listener;
    memcpy(s->address, address, 16);
    plat_address_text(address, s->text);
    s->queue = SM_BUF_INIT(QUEUE_MAX + 2 * (LOG_LINE_MAX + LOG_RECORD_HEAD));
    s->hash_next = k->slots[slot];
    k->slots[slot] = s;
    old_front(k, s);
    k->senders_n++;
    return s;
}

/* ---- queues ---- */

static void turn_add(struct collector *k, struct sender *s)
{
    s->turn_next = NULL;
    s->turn_prev = k->turn_last;
    *(k->turn_last ? &k->turn_last->turn_next : &k->turn) = s;
    k->turn_last = s;
}

static void turn_drop(struct collector *k, struct sender *s)
{
    *(s->turn_prev ? &s->turn_prev->turn_next : &k->turn) = s->turn_next;
    *(s->turn_next ? &s->turn_next->turn_prev : &k->turn_last) = s->turn_prev;
}

size_t sender_bound(const struct collector *k)
{
    size_t fair = QUEUED_MAX / (k->busy_n ? k->busy_n : 1);

    if (k->queued >= QUEUED_MAX)
        return QUEUE_MIN;
    return fair > QUEUE_MAX ? QUEUE_MAX : fair < QUEUE_MIN ? QUEUE_MIN : fair;
}

bool sender_put(struct collector *k, struct sender *s, int64_t seen_ns, bool cut, struct sm_span bytes)
{
    size_t have = s->queue.n - s->at;

    if (s != k->newest) {
        old_unlink(k, s);
        old_front(k, s);
    }
    s->changed = true;
    s->last_s = seen_ns / 1000000000;
    if (s->at && s->queue.n + LOG_RECORD_HEAD + bytes.n > s->queue.max) { /* what went stands before it still */
        sm_buf_shift(&s->queue, s->at);
        s->at = 0;
    }
    /* A queue that is empty takes one record of any size; a stream was asked before whether there is room. */
    if ((have && have + bytes.n + LOG_RECORD_HEAD > sender_bound(k) + (s->listener == LOG_UDP ? 0 : LOG_LINE_MAX)) ||
        log_record_put(&s->queue, seen_ns, cut, bytes) < 0) {
        s->dropped++;
        return false;
    }
    s->received++;
    s->bytes += bytes.n;
    s->cut += cut;
    k->queued += bytes.n + LOG_RECORD_HEAD;
    if (!have) {
        turn_add(k, s);
        k->busy_n++;
    }
    return true;
}

/* Whole records of s, at least one, at most most bytes unless the first is longer. */
static size_t some_of(const struct sender *s, size_t most)
{
    size_t n = 0, have = s->queue.n - s->at;

    if (have <= most)
        return have;
    while (n < have) {
        size_t one = log_record_size(s->queue.p + s->at + n);
        if (n && n + one > most)
            break;
        n += one;
    }
    return n;
}

static int take_from(struct collector *k, struct sender *s, size_t most, struct sm_buf *to)
{
    size_t n = some_of(s, most);
    int r = sm_buf_reserve(to, LOG_RUN_HEAD + LOG_ADDRESS_MAX + n);

    if (r >= 0)
        r = log_run_begin(to, s->listener, SM_SPAN_STR(s->text), (uint32_t)n);
    if (r >= 0)
        r = sm_buf_put(to, s->queue.p + s->at, n);
    if (r < 0)
        return r;
    s->at += n;
    k->queued -= n;
    turn_drop(k, s);
    if (s->at == s->queue.n) {
        sm_buf_clear(&s->queue);
        if (s->queue.cap > 1 << 20)
            sm_buf_wipe(&s->queue);
        s->at = 0;
        k->busy_n--;
    } else {
        if (s->at > s->queue.n / 2) {
            sm_buf_shift(&s->queue, s->at);
            s->at = 0;
        }
        turn_add(k, s);
    }
    if (s->held && s->queue.n - s->at < sender_bound(k) / 2)
        stream_release(k, s);
    return 0;
}

int senders_take(struct collector *k, struct sm_buf *to)
{
    /* A record alone may be nearly as long as a message: it goes into a batch that is empty. */
    while (k->turn && to->n < LOG_BATCH_FULL) {
        struct sender *s = k->turn;
        size_t first = log_record_size(s->queue.p + s->at);
        if (to->n > LOG_BATCH_HEAD && to->n + first + LOG_RUN_HEAD + LOG_ADDRESS_MAX > LOG_BATCH_FULL + QUANTUM)
            return 0;
        int r = take_from(k, s, QUANTUM, to);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- counts ---- */

static json_t *sender_json(const struct sender *s)
{
    return json_pack("{ss ss sI sI sI sI sI sI}", "listener", log_listener_name(s->listener), "address", s->text,
        "received", (json_int_t)s->received, "dropped", (json_int_t)s->dropped, "cut", (json_int_t)s->cut, "bytes",
        (json_int_t)s->bytes, "skipped", (json_int_t)s->skipped, "last_s", (json_int_t)s->last_s);
}

static json_t *doors_json(const struct collector *k)
{
    json_t *list = json_array();

    for (unsigned i = LOG_UDP; i <= LOG_TLS && list; i++) {
        const struct door *d = &k->doors[i];
        if (d->fd >= 0 && json_array_append_new(list, json_pack("{ss sI si sI}", "listener", log_listener_name(i), "lost",
            (json_int_t)d->lost_all, "connections", (int)d->conns, "refused", (json_int_t)d->refused)) < 0)
            break; /* out of memory: told at the next tick */
    }
    return list;
}

void senders_tell(struct collector *k)
{
    struct sender *s = k->newest;
    char stream[33];

    sm_hex(k->stream, sizeof k->stream, stream);
    do {
        json_t *list = json_array(), *j;
        for (; s && s->changed && json_array_size(list) < SENDERS_TOLD; s = s->old_next) {
            s->changed = false;
            if (json_array_append_new(list, sender_json(s)) < 0)
                s->changed = true;
        }
        j = json_pack("{ss so so}", "stream", stream, "senders", list, "listeners", doors_json(k));
        int r = j ? child_notify_json(k->c, WHO_BRAIN, L_SENDERS, j) : -ENOMEM;
        json_decref(j);
        if (r < 0) /* brain is away: the counts are totals, the next ones say all */
            return;
    } while (s && s->changed);
}

void senders_free(struct collector *k)
{
    while (k->newest)
        forget(k, k->newest);
}
