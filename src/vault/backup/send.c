#include <errno.h>
#include <time.h>
#include "plat/clock.h"
#include "vault/backup/run_internal.h"

#define PROGRESS_MS 250
#define HAVE_MAX 8192u
#define FLUSH_EVERY 16u /* acknowledged packs between two flushes of the look table */

/* ---- pending ---- */

void pending_wipe(struct pending *p)
{
    free(p->row);
    free(p->slot);
    *p = (struct pending){ 0 };
}

void pending_clear(struct pending *p)
{
    p->n = 0;
    if (p->slot)
        memset(p->slot, 0, p->slots * sizeof *p->slot);
}

static size_t slot_of(const struct pending *p, const uint8_t key[32])
{
    uint64_t h;
    memcpy(&h, key, 8);
    size_t i = (size_t)h & (p->slots - 1);
    while (p->slot[i] && memcmp(p->row[p->slot[i] - 1].key, key, 32) != 0)
        i = (i + 1) & (p->slots - 1);
    return i;
}

const struct cid *pending_get(const struct pending *p, const uint8_t key[32])
{
    if (p->n == 0)
        return NULL;
    size_t i = slot_of(p, key);
    return p->slot[i] ? &p->row[p->slot[i] - 1].cid : NULL;
}

static int pending_grow(struct pending *p)
{
    size_t cap = p->cap ? p->cap * 2 : 1024;
    struct pending_row *row = realloc(p->row, cap * sizeof *row);
    if (!row)
        return -ENOMEM;
    p->row = row;
    uint32_t *slot = calloc(cap * 2, sizeof *slot);
    if (!slot)
        return -ENOMEM;
    free(p->slot);
    p->slot = slot;
    p->cap = cap;
    p->slots = cap * 2;
    for (size_t i = 0; i < p->n; i++)
        p->slot[slot_of(p, p->row[i].key)] = (uint32_t)(i + 1);
    return 0;
}

int pending_put(struct pending *p, const uint8_t key[32], const struct cid *cid)
{
    if (p->n == p->cap) {
        int e = pending_grow(p);
        if (e < 0)
            return e;
    }
    size_t i = slot_of(p, key);
    if (!p->slot[i]) {
        memcpy(p->row[p->n].key, key, 32);
        p->row[p->n].cid = *cid;
        p->slot[i] = (uint32_t)++p->n;
    }
    return 0;
}

/* ---- known ---- */

bool run_is_missing(const struct run *r, const struct cid *cid)
{
    size_t lo = 0, hi = r->missing_n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = cid_cmp(&r->missing[mid], cid);
        if (c == 0)
            return true;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

bool run_known(struct run *r, const uint8_t key[32], struct cid *ret)
{
    struct cid found;
    const struct cid *p = NULL;
    pthread_mutex_lock(&r->look_lock);
    for (size_t i = 0; !p && i < OUT_KINDS; i++)
        p = pending_get(&r->lane[i].pending, key);
    for (size_t i = 0; !p && i < BACKUP_WINDOW_MAX; i++)
        p = pending_get(&r->flight[i].pending, key);
    bool known = p != NULL;
    if (known)
        found = *p;
    else if (!r->forget)
        known = index_get(r->look, key, found.b) == 1 && !run_is_missing(r, &found);
    pthread_mutex_unlock(&r->look_lock);
    if (known)
        *ret = found;
    return known;
}

/* ---- finisher's side ---- */

int out_init(struct run *r)
{
    static const uint8_t kind[OUT_KINDS] = { PACK_DATA, PACK_META };
    for (size_t i = 0; i < OUT_KINDS; i++) {
        int e = pack_builder_new(&r->c->vault, &r->c->client, &r->c->session, kind[i], &r->lane[i].pack);
        if (e < 0)
            return e;
    }
    return 0;
}

void out_wipe(struct run *r)
{
    for (size_t i = 0; i < OUT_KINDS; i++) {
        pack_builder_free(r->lane[i].pack);
        pending_wipe(&r->lane[i].pending);
    }
    for (size_t i = 0; i < BACKUP_WINDOW_MAX; i++)
        pending_wipe(&r->flight[i].pending);
    memset(r->lane, 0, sizeof r->lane);
    memset(r->flight, 0, sizeof r->flight);
    r->flying = 0;
}

/* Hand the pack being filled to the sender and wait until it has an empty one to give back. */
static int lane_hand_over(struct run *r, struct out_lane *l)
{
    int e = 0;
    pthread_mutex_lock(&r->send_lock);
    l->ready = true;
    pthread_cond_signal(&r->send_work);
    while (l->ready && (e = pipe_error(r->pipe)) == 0)
        pthread_cond_wait(&r->send_room, &r->send_lock);
    pthread_mutex_unlock(&r->send_lock);
    return e;
}

int out_add(struct run *r, uint8_t type, const uint8_t *key, const struct cid *cid, struct sm_span sealed)
{
    bool data = obj_is_chunk(type);
    struct out_lane *l = &r->lane[data ? OUT_DATA : OUT_META];
    size_t target = data ? BACKUP_DATA_TARGET : BACKUP_META_TARGET;
    bool full = pack_count(l->pack) >= PACK_OBJECTS_MAX || pack_body_bytes(l->pack) + sealed.n > target;
    if (full && pack_count(l->pack)) {
        int e = lane_hand_over(r, l);
        if (e < 0)
            return e;
    }
    int e = pack_add(l->pack, cid, sealed);
    if (e < 0 && e != -SM_EEXISTS)
        return e;
    if (!key)
        return 0;
    pthread_mutex_lock(&r->look_lock);
    e = pending_put(&l->pending, key, cid);
    pthread_mutex_unlock(&r->look_lock);
    return e;
}

int out_flush(struct run *r)
{
    for (size_t i = 0; i < OUT_KINDS; i++) {
        struct out_lane *l = &r->lane[i];
        int e = pack_count(l->pack) ? lane_hand_over(r, l) : 0;
        if (e < 0)
            return e;
    }
    return 0;
}

/* ---- sender's side: the caller's thread ---- */

static void progress(struct run *r, enum backup_phase phase)
{
    if (!r->watch->progress)
        return;
    char now[RUN_NOW_MAX];
    pthread_mutex_lock(&r->note_lock);
    memcpy(now, r->now, sizeof now);
    pthread_mutex_unlock(&r->note_lock);
    struct tree_totals t = r->old ? tree_totals(r->old) : (struct tree_totals){ 0 };
    struct backup_progress p = { .phase = phase, .files = atomic_load(&r->files), .bytes = atomic_load(&r->bytes),
        .sent_bytes = atomic_load(&r->sent_bytes), .files_total = t.files, .bytes_total = t.bytes, .now = now };
    r->watch->progress(r->watch->arg, &p);
}

/* Which objects of a finished pack does the box have?  *ret_have counts them; bitmap has a bit for each. */
static int pack_ask(struct run *r, const struct pack_builder *pack, uint8_t *bitmap, size_t *ret_have)
{
    const struct pack_object *o = pack_objects(pack);
    size_t n = pack_count(pack), have = 0;
    struct cid *cids = malloc(HAVE_MAX * sizeof *cids);
    int e = cids ? 0 : -ENOMEM;
    for (size_t at = 0; e == 0 && at < n; at += HAVE_MAX) {
        size_t k = n - at < HAVE_MAX ? n - at : HAVE_MAX;
        for (size_t i = 0; i < k; i++)
            cids[i] = o[at + i].cid;
        e = r->sink->have(r->sink->arg, cids, k, bitmap + at / 8);
    }
    for (size_t i = 0; e == 0 && i < n; i++)
        have += bitmap[i / 8] >> (i & 7) & 1;
    free(cids);
    *ret_have = have;
    return e;
}

/* The same pack without what the box has. */
static int pack_thin(struct run *r, const struct pack_builder *pack, const uint8_t *bitmap, struct pack_builder *to)
{
    const struct pack_object *o = pack_objects(pack);
    struct sm_buf one = SM_BUF_INIT(OBJ_SEALED_MAX);
    int e = 0;
    (void)r;
    for (size_t i = 0; e == 0 && i < pack_count(pack); i++) {
        if (bitmap[i / 8] >> (i & 7) & 1)
            continue;
        sm_buf_clear(&one);
        e = sm_buf_reserve(&one, o[i].length);
        if (e == 0 && pack_copy(pack, o[i].offset, one.p, o[i].length) != o[i].length)
            e = -SM_ESTATE;
        one.n = o[i].length;
        if (e == 0)
            e = pack_add(to, &o[i].cid, sm_buf_span(&one));
    }
    sm_buf_wipe(&one);
    return e;
}

static int pack_put(struct run *r, unsigned place, const struct cid *id, const struct pack_builder *pack, uint64_t bytes)
{
    int e = r->sink->put_pack(r->sink->arg, place, id, pack, bytes);
    if (e < 0)
        return e;
    atomic_fetch_add(&r->sent_bytes, bytes);
    return 0;
}

/* 1: nothing had to be sent, the box has all of it. */
static int pack_send_asking(
    struct run *r, unsigned place, const struct cid *id, const struct pack_builder *pack, uint64_t bytes)
{
    size_t have = 0, n = pack_count(pack);
    uint8_t *bitmap = calloc(1, n / 8 + 1);
    struct pack_builder *thin = NULL;
    int e = bitmap ? pack_ask(r, pack, bitmap, &have) : -ENOMEM;
    if (e == 0 && have == n)
        e = 1;
    else if (e == 0 && have == 0)
        e = pack_put(r, place, id, pack, bytes);
    else if (e == 0) {
        struct cid thin_id;
        uint64_t thin_bytes;
        uint8_t kind = obj_is_chunk(pack_objects(pack)[0].type) ? PACK_DATA : PACK_META;
        e = pack_builder_new(&r->c->vault, &r->c->client, &r->c->session, kind, &thin);
        e = e < 0 ? e : pack_thin(r, pack, bitmap, thin);
        e = e < 0 ? e : pack_finish(thin, &thin_id, &thin_bytes);
        e = e < 0 ? e : pack_put(r, place, &thin_id, thin, thin_bytes);
    }
    pack_builder_free(thin);
    free(bitmap);
    return e;
}

/* The box holds a pack durably: remember what is in it. */
static int acknowledged(struct run *r, struct pending *p)
{
    int e = 0;
    pthread_mutex_lock(&r->look_lock);
    for (size_t i = 0; e == 0 && i < p->n; i++)
        e = index_put(r->look, p->row[i].key, p->row[i].cid.b);
    pending_clear(p);
    if (e == 0 && ++r->packs_acked % FLUSH_EVERY == 0)
        e = index_flush(r->look);
    pthread_mutex_unlock(&r->look_lock);
    return e;
}

/* Take the acknowledgements that are there; with wait, wait a moment for one. */
static int flights_collect(struct run *r, bool wait)
{
    while (r->flying) {
        unsigned place = BACKUP_WINDOW_MAX;
        int e = r->sink->acked(r->sink->arg, wait, &place);
        if (e < 0)
            return e == -SM_EAGAIN ? 0 : e;
        if (place >= BACKUP_WINDOW_MAX || !r->flight[place].used)
            return -SM_ESTATE;
        r->flight[place].used = false;
        r->flying--;
        wait = false;
        e = acknowledged(r, &r->flight[place].pending);
        if (e < 0)
            return e;
    }
    return 0;
}

static bool has_place(const struct run *r)
{
    return r->sink->window == 0 || r->flying < r->sink->window;
}

static int lane_send(struct run *r, size_t kind)
{
    struct out_lane *l = &r->lane[kind];
    unsigned place = 0;
    struct cid id;
    uint64_t bytes;
    while (r->flight[place].used)
        place++; /* there is one: has_place */
    struct flight *f = &r->flight[place];
    int e = pack_finish(l->pack, &id, &bytes);
    if (e == 0)
        e = r->ask ? pack_send_asking(r, place, &id, l->pack, bytes) : pack_put(r, place, &id, l->pack, bytes);
    if (e < 0)
        return e;
    pthread_mutex_lock(&r->look_lock);
    struct pending empty = f->pending;
    f->pending = l->pending;
    l->pending = empty;
    pthread_mutex_unlock(&r->look_lock);
    f->used = e == 0 && r->sink->window > 0;
    r->flying += f->used;
    e = f->used ? 0 : acknowledged(r, &f->pending);
    if (e < 0)
        return e;
    pack_reset(l->pack, kind == OUT_DATA ? PACK_DATA : PACK_META);
    pthread_mutex_lock(&r->send_lock);
    l->ready = false;
    pthread_cond_broadcast(&r->send_room);
    pthread_mutex_unlock(&r->send_lock);
    return 0;
}

/* Wait for a full pack, or the time for progress.  Returns the lane, or -1, and whether the finisher has ended. */
static int wait_lane(struct run *r, bool *ret_finished)
{
    struct timespec t;
    int lane = -1;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += (long)PROGRESS_MS * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    pthread_mutex_lock(&r->send_lock);
    int timed_out = 0;
    while (!timed_out && !r->finished && !r->lane[OUT_DATA].ready && !r->lane[OUT_META].ready)
        timed_out = pthread_cond_timedwait(&r->send_work, &r->send_lock, &t);
    for (int i = 0; i < OUT_KINDS; i++)
        if (r->lane[i].ready)
            lane = i;
    *ret_finished = r->finished;
    pthread_mutex_unlock(&r->send_lock);
    return lane;
}

static void stop_all(struct run *r, int err)
{
    pipe_fail(r->pipe, err);
    pthread_mutex_lock(&r->send_lock);
    pthread_cond_broadcast(&r->send_room);
    pthread_mutex_unlock(&r->send_lock);
}

/* One turn: take acknowledgements, send a pack that is ready.  1: all is sent and acknowledged. */
static int send_turn(struct run *r, bool *ret_finished)
{
    int e = pipe_error(r->pipe);
    if (e == 0 && run_cancelled(r))
        e = -SM_ECANCEL;
    if (e == 0)
        e = flights_collect(r, !has_place(r));
    if (e < 0 || !has_place(r))
        return e;
    int lane = wait_lane(r, ret_finished);
    e = pipe_error(r->pipe);
    if (e == 0 && lane >= 0)
        return lane_send(r, (size_t)lane);
    if (e < 0 || !*ret_finished)
        return e;
    return r->flying ? flights_collect(r, true) : 1;
}

int out_send_all(struct run *r)
{
    uint64_t told = plat_clock_mono_ms();
    bool finished = false;
    for (;;) {
        int e = send_turn(r, &finished);
        if (e < 0)
            stop_all(r, e);
        if (e != 0)
            return e < 0 ? e : 0;
        if (plat_clock_mono_ms() - told >= PROGRESS_MS) {
            told = plat_clock_mono_ms();
            progress(r, finished ? BACKUP_SEND : BACKUP_READ);
        }
    }
}
