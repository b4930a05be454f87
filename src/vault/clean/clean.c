#include "vault/clean/clean_internal.h"
#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"

#define LIVE_MEMORY ((size_t)8 << 20)
#define STACK_MAX ((size_t)1 << 20)      /* pages waiting: 32 MiB */
#define PAGES_A_STEP 32u
#define BYTES_A_STEP ((uint64_t)8 << 20)  /* of pages read in one step, and the last one */
#define EXPIRE_A_STEP 256u
#define ROWS_A_STEP 4096u
#define HEADS_A_STEP 4u                  /* directories of packs read in one step */
#define ROOM_BYTES ((uint64_t)32 << 20)
#define HOUR_MS ((uint64_t)3600000)
#define PROMISE_HOURS 24u

const char *clean_phase_name(enum clean_phase p)
{
    static const char *const names[] = { "?", "orders", "expire", "mark", "sweep", "copy", "done" };
    return p <= CLEAN_DONE ? names[p] : names[0];
}

/* ---- orders and policy ---- */

static int step_orders(struct clean *c)
{
    size_t done = 0;
    c->phase = CLEAN_EXPIRE;
    if (!c->dry) {
        int err = store_orders_execute(c->st, &done);
        c->r.orders = done;
        if (err)
            return err;
        err = store_mark(c->st, &done);
        if (err)
            return err;
    }
    struct retention_policy p;
    store_policy(c->st, &p);
    c->verdicts_n = c->st->generation_rows.n;
    return store_verdicts(c->st, &p, &c->verdicts);
}

static int expire_one(struct clean *c, size_t i)
{
    const struct generation_row *row = store_generation_row(c->st, i);
    struct store_generation g;
    int err = store_generation(c->st, &row->manifest, &g);
    if (err)
        return err;
    c->r.expired++;
    if (c->h.expire)
        c->h.expire(c->h.arg, &g);
    return c->dry ? 0 : deletion_expire(c->st, (uint32_t)i, NULL);
}

/* The verdicts were worked out in the step before, and what happened since (a hold, a freeze, a longer policy) counts:
 * those that would expire are asked again. */
static int step_expire(struct clean *c)
{
    struct retention_verdict *now = NULL;
    struct retention_policy p;
    size_t from = c->at, n = 0;
    store_policy(c->st, &p);
    int err = c->dry ? 0 : store_verdicts(c->st, &p, &now);
    for (; !err && c->at < c->verdicts_n && n < EXPIRE_A_STEP; c->at++)
        if (c->verdicts[c->at].expires && (c->dry || now[c->at].expires)) {
            err = expire_one(c, c->at);
            n++;
        }
    free(now);
    if (!err && n && !c->dry)
        err = store_sync(c->st);
    for (size_t i = from; !err && i < c->at; i++)
        if (!c->dry && c->verdicts[i].expires && store_generation_row(c->st, i)->gone)
            deletion_unlink_manifest(c->st, &store_generation_row(c->st, i)->manifest);
    if (c->at >= c->verdicts_n) {
        c->at = 0;
        c->phase = CLEAN_MARK;
    }
    return err;
}

/* ---- mark ---- */

static void block(struct clean *c, uint32_t client)
{
    c->r.blocked += !c->blocked[client];
    c->blocked[client] = true;
    c->stack.n = 0;
}

bool clean_is_live(const struct clean *c, const struct cid *cid)
{
    return index_get(c->live, cid->b, NULL) == 1;
}

/* This object is needed by that client. */
static int meet(struct clean *c, uint32_t client, const struct cid *cid)
{
    struct place p;
    if (clean_is_live(c, cid))
        return 0;
    /* Raw: a damaged object may be healed yet, so its pack stays. */
    if (!place_raw(c->st, cid, &p) || p.client != client || store_pack_row(c->st, p.pack)->gone) {
        block(c, client);
        return 0;
    }
    int err = index_put(c->live, cid->b, (const uint8_t *)"");
    if (err)
        return err;
    if (p.pack < c->packs)
        c->live_bytes[p.pack] += p.length;
    if (p.type != OBJ_DIRPAGE && p.type != OBJ_STREAMPAGE)
        return 0;
    struct cid *row = rows_next(&c->stack, sizeof *row, STACK_MAX);
    if (!row && c->stack.n < STACK_MAX)
        return -ENOMEM;
    if (!row) {
        block(c, client);                  /* a tree that no honest client makes: it keeps all it has */
        return 0;
    }
    *row = *cid;
    c->stack.n++;
    return 0;
}

static int meet_page(struct clean *c, uint32_t client, const struct cid *page)
{
    struct sm_buf sealed = SM_BUF_INIT(PAGE_SEALED_MAX);
    struct page_refs refs = { 0 };
    struct place p;
    int err = place_raw(c->st, page, &p) ? reader_object(c->st, &c->reader, page, &p, &sealed) : -SM_EMISSING;
    if (!err)
        err = page_refs(sm_buf_span(&sealed), &store_client_row(c->st, client)->c.id, &refs);
    if (err && err != -ENOMEM && err != -EMFILE && err != -ENFILE) {
        block(c, client);
        err = 0;
        refs.n = 0;
    }
    c->read_bytes += sealed.n;
    for (uint32_t i = 0; !err && i < refs.n && !c->blocked[client]; i++)
        err = meet(c, client, &refs.ref[i]);
    sm_buf_wipe(&sealed);
    return err;
}

static int begin_generation(struct clean *c, const struct generation_row *g)
{
    struct sm_buf bytes = SM_BUF_INIT(MANIFEST_MAX + 4096);
    struct manifest m = { 0 };
    uint32_t client = g->client;
    int err = store_manifest(c->st, &g->manifest, &bytes);
    if (!err && manifest_parse(sm_buf_span(&bytes), &m))
        err = -SM_ECORRUPT;
    if (err && err != -ENOMEM && err != -EMFILE && err != -ENFILE) {
        block(c, client);
        sm_buf_wipe(&bytes);
        return 0;
    }
    if (!err)
        err = meet(c, client, &m.envelope);
    for (size_t i = 0; !err && i < m.nroots; i++)
        err = meet(c, client, &m.roots[i]);
    sm_buf_wipe(&bytes);
    return err;
}

/* Is every generation that there is now marked?  New ones may have come since. */
static bool all_marked(const struct clean *c)
{
    return c->generation >= c->st->generation_rows.n && c->stack.n == 0;
}

static bool left_out(const struct clean *c, size_t i)
{
    return store_generation_row(c->st, i)->gone || (c->dry && i < c->verdicts_n && c->verdicts[i].expires);
}

/* Clients may join meanwhile: those are not looked at, and nothing of theirs is old enough to go. */
static bool known_client(const struct clean *c, uint32_t client)
{
    return client < c->clients;
}

static int mark_some(struct clean *c)
{
    int err = 0;
    c->read_bytes = 0;
    for (unsigned n = 0; !err && n < PAGES_A_STEP && c->read_bytes < BYTES_A_STEP && !all_marked(c); n++) {
        if (c->stack.n) {
            struct cid page = ((struct cid *)c->stack.p)[--c->stack.n];
            err = meet_page(c, c->client, &page);
            continue;
        }
        size_t i = c->generation++;
        const struct generation_row *g = store_generation_row(c->st, i);
        c->r.generations++;
        if (left_out(c, i) || !known_client(c, g->client) || c->blocked[g->client])
            continue;
        c->client = g->client;
        err = begin_generation(c, g);
    }
    c->r.generations_total = c->st->generation_rows.n;
    return err;
}

static int step_mark(struct clean *c)
{
    int err = mark_some(c);
    if (!err && all_marked(c))
        c->phase = CLEAN_SWEEP;
    return err;
}

/* ---- sweep ---- */

static bool session_keeps(const struct clean *c, const struct pack_row *row, uint64_t on)
{
    if (on >= row->on_ms + STORE_SESSION_OLD_MS)
        return false;
    for (size_t i = 0; i < c->st->sessions; i++)
        if (memcmp(c->st->session[i]->info.id.b, row->session.b, sizeof row->session.b) == 0)
            return true;
    return false;
}

static bool promised(const struct pack_row *row, uint64_t on)
{
    return row->promised_h && on / HOUR_MS < row->promised_h - 1 + PROMISE_HOURS;
}

/* May this pack be touched at all in this run? */
bool clean_may_touch(const struct clean *c, uint32_t pack)
{
    const struct pack_row *row = store_pack_row(c->st, pack);
    uint64_t on = store_on_ms(c->st);
    return !row->gone && !row->lost && known_client(c, row->client) && !c->blocked[row->client] &&
        on >= row->on_ms + STORE_PACK_YOUNG_MS && !session_keeps(c, row, on) && !promised(row, on);
}

int clean_read_head(struct store *st, uint32_t pack, struct sm_buf *ret_objects)
{
    struct sm_buf head = SM_BUF_INIT(PACK_HEADER_LEN + (size_t)PACK_OBJECTS_MAX * PACK_DIRENT_LEN);
    size_t n = PACK_HEADER_LEN + (size_t)store_pack_row(st, pack)->objects * PACK_DIRENT_LEN;
    struct pack_header h;
    struct cid id;
    int fd = place_open_pack(st, pack), err = fd < 0 ? fd : sm_buf_reserve(&head, n);
    if (!err)
        err = plat_fs_pread_all(fd, head.p, n, 0);
    if (!err) {
        head.n = n;
        err = pack_head_parse(sm_buf_span(&head), &h, &id, ret_objects);
        if (!err && !cid_eq(&id, &store_pack_row(st, pack)->id))
            err = -SM_EMISMATCH;
    }
    if (fd >= 0)
        (void)close(fd); /* opened for reading */
    sm_buf_wipe(&head);
    return err;
}

/* The second look, by the pack's own directory: nothing in it is live here, and nothing is of a type we do not know. */
static bool head_is_dead(struct clean *c, uint32_t pack)
{
    struct sm_buf b = SM_BUF_INIT((size_t)PACK_OBJECTS_MAX * sizeof(struct pack_object));
    bool dead = clean_read_head(c->st, pack, &b) == 0;
    const struct pack_object *o = (const struct pack_object *)(const void *)b.p;
    for (size_t i = 0; dead && i < b.n / sizeof *o; i++) {
        struct place p;
        bool known = obj_is_chunk(o[i].type) || o[i].type == OBJ_DIRPAGE || o[i].type == OBJ_STREAMPAGE ||
            o[i].type == OBJ_ENVELOPE;
        dead = known && !(clean_is_live(c, &o[i].cid) && (!place_raw(c->st, &o[i].cid, &p) || p.pack == pack));
    }
    sm_buf_wipe(&b);
    return dead;
}

struct batch { uint32_t row[3][DELETION_BATCH]; size_t n[3]; };
enum { CONDEMN, REVIVE, DELETE };

static void put(struct batch *b, unsigned what, uint32_t pack)
{
    b->row[what][b->n[what]++] = pack;
}

/* What is to be done with this pack.  *ret_heads counts directories read. */
static void judge(struct clean *c, uint32_t pack, struct batch *b, unsigned *ret_heads)
{
    const struct pack_row *row = store_pack_row(c->st, pack);
    uint64_t body = row->bytes - PACK_HEADER_LEN - (uint64_t)row->objects * PACK_DIRENT_LEN;
    if (row->gone || row->lost)
        return;
    bool dead = clean_may_touch(c, pack) && c->live_bytes[pack] == 0;
    if (known_client(c, row->client) && !c->blocked[row->client])
        c->r.bytes_dead += body - (c->live_bytes[pack] < body ? c->live_bytes[pack] : body);
    if (!dead) {
        if (row->condemned)
            put(b, REVIVE, pack);
        else if (c->live_bytes[pack] && c->live_bytes[pack] * 2 < body && clean_may_touch(c, pack))
            c->r.half_dead++;
        return;
    }
    ++*ret_heads;
    if (!head_is_dead(c, pack)) {
        if (row->condemned)
            put(b, REVIVE, pack);
        return;
    }
    if (!row->condemned)
        put(b, CONDEMN, pack);
    else if (store_on_ms(c->st) >= row->condemned_on_ms + STORE_CONDEMNED_WAIT_MS)
        put(b, DELETE, pack);
}

static uint64_t bytes_of(const struct clean *c, const uint32_t *row, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += store_pack_row(c->st, row[i])->bytes;
    return bytes;
}

static int carry_out(struct clean *c, const struct batch *b)
{
    int err = 0;
    c->r.condemned += b->n[CONDEMN];
    c->r.bytes_condemned += bytes_of(c, b->row[CONDEMN], b->n[CONDEMN]);
    c->r.revived += b->n[REVIVE];
    c->r.deleted += b->n[DELETE];
    c->r.bytes_deleted += bytes_of(c, b->row[DELETE], b->n[DELETE]);
    if (c->dry)
        return 0;
    if (b->n[CONDEMN])
        err = deletion_pack_state(c->st, true, b->row[CONDEMN], b->n[CONDEMN]);
    if (!err && b->n[REVIVE])
        err = deletion_pack_state(c->st, false, b->row[REVIVE], b->n[REVIVE]);
    if (!err && b->n[DELETE])
        err = deletion_packs(c->st, b->row[DELETE], b->n[DELETE]);
    return err;
}

static int step_sweep(struct clean *c)
{
    if (!all_marked(c)) {                  /* a manifest came: it is marked before the next pack goes */
        c->phase = CLEAN_MARK;
        return 0;
    }
    struct batch *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    unsigned heads = 0;
    for (size_t n = 0; c->at < c->packs && n < ROWS_A_STEP && heads < HEADS_A_STEP && b->n[REVIVE] < DELETION_BATCH; n++)
        judge(c, (uint32_t)c->at++, b, &heads);
    store_reader_close(&c->reader);        /* it may hold a pack that goes */
    int err = carry_out(c, b);
    free(b);
    c->r.packs = c->at;
    if (!err && c->at >= c->packs) {
        c->at = 0;
        c->phase = CLEAN_COPY;
    }
    return err;
}

/* ---- room ---- */

/* The file that is given up when something filled the disk to its end: clean-up needs some room to work. */
void clean_room_give(struct store *st)
{
    struct plat_fs_space space;
    if (plat_fs_space(st->dir, ".", &space) == 0 && space.avail_bytes < ROOM_BYTES)
        (void)plat_fs_unlink(st->dir, "room"); /* only space; without it clean-up may fail and is tried again */
}

void clean_room_take(struct store *st)
{
    struct plat_fs_space space;
    uint64_t size = 0;
    if (plat_fs_space(st->dir, ".", &space) || space.avail_bytes < ROOM_BYTES * 4 + st->limits.reserve_bytes)
        return;
    int fd = plat_fs_create(st->dir, "room", PLAT_FS_RW, 0600);
    struct sm_buf b = SM_BUF_INIT((size_t)1 << 20);
    int err = fd < 0 ? fd : plat_fs_size(fd, &size);
    if (!err)
        err = sm_buf_reserve(&b, (size_t)1 << 20);
    if (!err)
        memset(b.p, 0xa5, b.n = (size_t)1 << 20);
    for (; !err && size < ROOM_BYTES; size += b.n)
        err = plat_fs_pwrite_all(fd, sm_buf_span(&b), size);
    if (fd >= 0)
        (void)close(fd); /* nothing but room */
    sm_buf_wipe(&b);
}

/* ---- running ---- */

int clean_new(struct store *st, bool dry, const struct clean_hooks *h, struct clean **ret)
{
    int err = store_writable(st);
    if (err)
        return err;
    struct clean *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    *c = (struct clean){ .st = st, .dry = dry, .phase = CLEAN_ORDERS, .packs = st->pack_rows.n,
        .clients = st->client_rows.n, .reader = READER_INIT };
    if (h)
        c->h = *h;
    c->live_bytes = calloc(c->packs + 1, sizeof *c->live_bytes);
    c->blocked = calloc(c->clients + 1, sizeof *c->blocked);
    c->r.packs_total = c->packs;
    struct index_config config = { .key_bytes = 32, .memory_bytes = LIVE_MEMORY };
    bool unsound;
    err = c->live_bytes && c->blocked ? 0 : -ENOMEM;
    if (!err)
        err = index_open(st->cache, "live", &config, &c->live, &unsound);
    if (!err && (index_rows(c->live) || index_mark(c->live).n))
        err = index_reset(c->live);
    if (err) {
        clean_free(c);
        return err;
    }
    *ret = c;
    return 0;
}

static int step_end(struct clean *c)
{
    c->phase = CLEAN_DONE;
    return 0;
}

static int step_copy(struct clean *c)
{
    int err = c->dry ? 0 : clean_copy_step(c);
    if (err < 0)
        return err;
    return err == 1 ? 0 : step_end(c);
}

int clean_step(struct clean *c)
{
    static int (*const steps[])(struct clean *) = { [CLEAN_ORDERS] = step_orders, [CLEAN_EXPIRE] = step_expire,
        [CLEAN_MARK] = step_mark, [CLEAN_SWEEP] = step_sweep, [CLEAN_COPY] = step_copy };
    if (c->phase == CLEAN_DONE)
        return 0;
    int err = steps[c->phase](c);
    c->r.phase = c->phase;
    if (err)
        c->phase = CLEAN_DONE;
    return err ? err : c->phase != CLEAN_DONE;
}

void clean_report(const struct clean *c, struct clean_report *ret)
{
    *ret = c->r;
}

void clean_free(struct clean *c)
{
    if (!c)
        return;
    if (c->live)
        (void)!index_reset(c->live);       /* only space; emptied again at the next run */
    index_close(c->live);
    clean_copy_wipe(c);
    store_reader_close(&c->reader);
    free(c->verdicts);
    free(c->live_bytes);
    free(c->blocked);
    free(c->stack.p);
    free(c);
}

int clean_run(struct store *st, bool dry, struct clean_report *ret)
{
    struct clean *c = NULL;
    int err = clean_new(st, dry, NULL, &c), more = 1;
    while (!err && more > 0) {
        more = clean_step(c);
        err = more < 0 ? more : 0;
    }
    if (!err)
        clean_report(c, ret);
    clean_free(c);
    return err;
}
