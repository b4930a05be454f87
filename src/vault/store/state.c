#include <errno.h>
#include "crypto/random.h"
#include "plat/clock.h"
#include "vault/store/store_internal.h"

/* ---- containers ---- */

static size_t id_slot(const struct idmap *m, const uint8_t id[32])
{
    uint64_t v;
    memcpy(&v, id, sizeof v);
    v = (v ^ m->salt) * 0x9e3779b97f4a7c15u;
    return (size_t)((v ^ v >> 31) * (m->salt | 1) >> 16) & (m->slots - 1);
}

static size_t id_find(const struct idmap *m, const void *rows, size_t stride, const uint8_t id[32])
{
    size_t i = id_slot(m, id);
    while (m->slot[i] != STORE_NONE && memcmp((const uint8_t *)rows + m->slot[i] * stride, id, 32) != 0)
        i = (i + 1) & (m->slots - 1);
    return i;
}

uint32_t idmap_get(const struct idmap *m, const void *rows, size_t stride, const uint8_t id[32])
{
    return m->slots ? m->slot[id_find(m, rows, stride, id)] : STORE_NONE;
}

int idmap_add(struct idmap *m, const void *rows, size_t stride, size_t n)
{
    if ((n + 1) * 2 > m->slots) {
        size_t slots = m->slots ? m->slots * 2 : 64;
        uint32_t *slot = malloc(slots * sizeof *slot);
        if (!slot)
            return -ENOMEM;
        memset(slot, 0xff, slots * sizeof *slot);
        if (!m->slots)
            crypto_random(&m->salt, sizeof m->salt);
        free(m->slot);
        m->slot = slot;
        m->slots = slots;
        for (size_t i = 0; i < n; i++) {
            const uint8_t *id = (const uint8_t *)rows + i * stride;
            size_t at = id_find(m, rows, stride, id);
            m->slot[at] = (uint32_t)i;         /* of two rows of one id the later counts */
        }
    }
    size_t at = id_find(m, rows, stride, (const uint8_t *)rows + n * stride);
    m->slot[at] = (uint32_t)n;
    return 0;
}

void idmap_wipe(struct idmap *m)
{
    free(m->slot);
    *m = (struct idmap){ 0 };
}

void *rows_next(struct rows *r, size_t stride, size_t max)
{
    if (r->n >= max)
        return NULL;
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        void *p = realloc(r->p, cap * stride);
        if (!p)
            return NULL;
        r->p = p;
        r->cap = cap;
    }
    void *row = (uint8_t *)r->p + r->n * stride;
    memset(row, 0, stride);
    return row;
}

/* ---- finding ---- */

uint32_t store_find_client(const struct store *st, const struct client_id *id)
{
    for (size_t i = 0; i < st->client_rows.n; i++)
        if (client_id_eq(&store_client_row(st, i)->c.id, id))
            return (uint32_t)i;
    return STORE_NONE;
}

uint32_t store_find_source(const struct store *st, uint32_t client, const struct source_id *id)
{
    for (size_t i = 0; i < st->source_rows.n; i++) {
        const struct source_row *s = store_source_row(st, i);
        if (s->client == client && memcmp(s->id.b, id->b, sizeof id->b) == 0)
            return (uint32_t)i;
    }
    return STORE_NONE;
}

uint32_t store_find_pack(const struct store *st, const struct cid *id)
{
    uint32_t at = store_find_pack_any(st, id);
    return at != STORE_NONE && store_pack_row(st, at)->gone ? STORE_NONE : at;
}

uint32_t store_find_pack_any(const struct store *st, const struct cid *id)
{
    return idmap_get(&st->pack_map, st->pack_rows.p, sizeof(struct pack_row), id->b);
}

uint32_t store_find_generation(const struct store *st, const struct cid *manifest)
{
    return idmap_get(&st->generation_map, st->generation_rows.p, sizeof(struct generation_row), manifest->b);
}

/* ---- JSON ---- */

#define HEX_MAX 2048 /* the longest is a key link */
_Static_assert(KEYLINK_MAX <= HEX_MAX, "a link fits");

json_t *json_hex(const void *p, size_t n)
{
    char hex[2 * HEX_MAX + 1];
    if (n > HEX_MAX)
        return NULL;
    sm_hex(p, n, hex);
    return json_string(hex);
}

json_t *json_text(const char *s)
{
    if (!s)
        return json_null();
    size_t n = strnlen(s, 1000);
    while (n > 0 && n == 1000 && ((uint8_t)s[n] & 0xc0) == 0x80)
        n--;                               /* not in the middle of a character */
    return sm_utf8_valid(SM_SPAN(s, n)) ? json_stringn(s, n) : json_string("(not UTF-8)");
}

bool json_set(json_t *o, const char *key, json_t *v)
{
    if (v && o)
        return json_object_set_new(o, key, v) == 0;
    json_decref(v);
    return false;
}

static json_t *count(uint64_t v)
{
    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

struct measure_row { const char *key; size_t at; };
static const struct measure_row measure_rows[] = {
    { "chunks", offsetof(struct suspicion_measures, chunks) },
    { "chunk_bytes", offsetof(struct suspicion_measures, chunk_bytes) },
    { "stored_bytes", offsetof(struct suspicion_measures, stored_bytes) },
    { "pages", offsetof(struct suspicion_measures, pages) },
    { "page_bytes", offsetof(struct suspicion_measures, page_bytes) },
    { "chunks_new", offsetof(struct suspicion_measures, chunks_new) },
    { "chunk_bytes_new", offsetof(struct suspicion_measures, chunk_bytes_new) },
    { "chunks_dropped", offsetof(struct suspicion_measures, chunks_dropped) },
    { "chunk_bytes_dropped", offsetof(struct suspicion_measures, chunk_bytes_dropped) },
    { "stored_bytes_new", offsetof(struct suspicion_measures, stored_bytes_new) },
    { "stored_bytes_dropped", offsetof(struct suspicion_measures, stored_bytes_dropped) },
};
#define MEASURES (sizeof measure_rows / sizeof *measure_rows)

json_t *measures_json(const struct suspicion_measures *m)
{
    json_t *o = json_object();
    bool ok = o != NULL;
    for (size_t i = 0; ok && i < MEASURES; i++) {
        uint64_t v;
        memcpy(&v, (const uint8_t *)m + measure_rows[i].at, sizeof v);
        ok = json_set(o, measure_rows[i].key, count(v));
    }
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

int measures_from(const json_t *o, struct suspicion_measures *ret)
{
    struct suspicion_measures m = { 0 };
    struct sm_obj obj = SM_OBJ(o);
    for (size_t i = 0; i < MEASURES; i++) {
        uint64_t v = (uint64_t)sm_obj_int_opt(&obj, measure_rows[i].key, 0, INT64_MAX, 0);
        memcpy((uint8_t *)&m + measure_rows[i].at, &v, sizeof v);
    }
    if (!obj.err)
        *ret = m;
    return obj.err;
}

/* ---- records into state ---- */

static int apply_client(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct store_client c = { 0 };
    sm_obj_hex(&o, "client", c.id.b, 16);
    sm_obj_hex(&o, "sign_pub", c.sign_pub, 32);
    sm_obj_hex(&o, "recipients", c.recipients, 32);
    const char *name = sm_obj_str(&o, "name", 1, STORE_NAME_MAX), *state = sm_obj_str(&o, "state", 1, 16);
    if (o.err)
        return -SM_ECORRUPT;
    (void)snprintf(c.name, sizeof c.name, "%s", name); /* fits: <= STORE_NAME_MAX */
    c.state = strcmp(state, "joined") == 0 ? STORE_JOINED : strcmp(state, "revoked") == 0 ? STORE_REVOKED :
        STORE_REKEYED;
    uint32_t at = store_find_client(st, &c.id);
    if (at == STORE_NONE) {
        struct client_row *row = rows_next(&st->client_rows, sizeof *row, STORE_CLIENTS_MAX);
        if (!row)
            return -ENOMEM;
        row->c = c;
        st->client_rows.n++;
        return 0;
    }
    struct store_client *old = &store_client_row(st, at)->c;
    memcpy(old->name, c.name, sizeof c.name);
    memcpy(old->sign_pub, c.sign_pub, 32);
    memcpy(old->recipients, c.recipients, 32);
    old->state = c.state;
    return 0;
}

static int apply_pack(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct client_id client;
    struct pack_row p = { .seq = r->seq, .on_ms = r->running_ms - st->deletion.gained_ms };
    sm_obj_hex(&o, "pack", p.id.b, 32);
    sm_obj_hex(&o, "client", client.b, 16);
    sm_obj_hex(&o, "session", p.session.b, 16);
    p.objects = (uint32_t)sm_obj_int(&o, "objects", 1, PACK_OBJECTS_MAX);
    p.bytes = (uint64_t)sm_obj_int(&o, "bytes", 1, PACK_BYTES_MAX);
    if (o.err)
        return -SM_ECORRUPT;
    p.client = store_find_client(st, &client);
    if (p.client == STORE_NONE || store_find_pack(st, &p.id) != STORE_NONE)
        return -SM_ECORRUPT;
    struct pack_row *row = rows_next(&st->pack_rows, sizeof *row, STORE_PACKS_MAX);
    if (!row)
        return -ENOMEM;
    *row = p;
    int err = idmap_add(&st->pack_map, st->pack_rows.p, sizeof *row, st->pack_rows.n);
    if (err)
        return err;
    st->pack_rows.n++;
    st->objects += p.objects;
    st->pack_bytes += p.bytes;
    struct client_row *c = store_client_row(st, p.client);
    c->c.packs++;
    c->c.pack_bytes += p.bytes;
    c->c.objects += p.objects;
    c->unclaimed += p.bytes;
    return 0;
}

static int source_of(struct store *st, uint32_t client, const struct source_id *id, uint32_t *ret)
{
    uint32_t at = store_find_source(st, client, id);
    if (at == STORE_NONE) {
        struct source_row *s = rows_next(&st->source_rows, sizeof *s, STORE_SOURCES_MAX);
        if (!s)
            return -ENOMEM;
        *s = (struct source_row){ client, *id, STORE_NONE };
        at = (uint32_t)st->source_rows.n++;
    }
    *ret = at;
    return 0;
}

static int apply_manifest(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct client_id client;
    struct source_id source;
    struct generation_row g = { .seq = r->seq, .time = r->time, .running_ms = r->running_ms };
    sm_obj_hex(&o, "manifest", g.manifest.b, 32);
    sm_obj_hex(&o, "client", client.b, 16);
    sm_obj_hex(&o, "source", source.b, 16);
    g.number = (uint64_t)sm_obj_int(&o, "number", 1, INT64_MAX);
    g.run = (uint8_t)sm_obj_int(&o, "run", 1, 3);
    g.status = (uint8_t)sm_obj_int(&o, "status", 1, 2);
    g.started_s = sm_obj_int_opt(&o, "started", INT64_MIN, INT64_MAX, 0);
    g.finished_s = sm_obj_int_opt(&o, "finished", INT64_MIN, INT64_MAX, 0);
    const json_t *suspicion = sm_obj_obj(&o, "suspicion"), *measures = sm_obj_obj(&o, "measures");
    struct sm_obj s = SM_OBJ(suspicion);
    if (o.err || !suspicion || !measures || measures_from(measures, &g.m))
        return -SM_ECORRUPT;
    g.score = (uint8_t)sm_obj_int(&s, "score", 0, 100);
    if (json_object_get(r->payload, "files")) {
        g.files = (uint64_t)sm_obj_int(&o, "files", 0, INT64_MAX);
        g.bytes = (uint64_t)sm_obj_int(&o, "bytes", 0, INT64_MAX);
        g.facts = FACTS_KNOWN;
        if (o.err)
            return -SM_ECORRUPT;
    }
    g.client = store_find_client(st, &client);
    if (s.err || g.client == STORE_NONE || store_find_generation(st, &g.manifest) != STORE_NONE)
        return -SM_ECORRUPT;
    int err = source_of(st, g.client, &source, &g.source);
    struct generation_row *row = err ? NULL : rows_next(&st->generation_rows, sizeof *row, STORE_GENERATIONS_MAX);
    if (!row)
        return -ENOMEM;
    g.previous = store_source_row(st, g.source)->last;
    *row = g;
    err = idmap_add(&st->generation_map, st->generation_rows.p, sizeof *row, st->generation_rows.n);
    if (err)
        return err;
    store_source_row(st, g.source)->last = (uint32_t)st->generation_rows.n++;
    struct client_row *c = store_client_row(st, g.client);
    c->c.generations++;
    c->unclaimed = 0;
    if (generation_suspicious(&g) && !c->c.frozen) {
        c->c.frozen = true;               /* by the record itself: no moment between it and its freeze */
        c->freeze_seq = r->seq;
        c->freeze_ms = r->running_ms;
    }
    return 0;
}

static int apply_freeze(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct client_id client;
    sm_obj_hex(&o, "client", client.b, 16);
    uint32_t at = o.err ? STORE_NONE : store_find_client(st, &client);
    if (at == STORE_NONE)
        return -SM_ECORRUPT;
    struct client_row *c = store_client_row(st, at);
    if (!c->c.frozen) {
        c->freeze_seq = r->seq;
        c->freeze_ms = r->running_ms;
    }
    c->c.frozen = true;
    return 0;
}

static int apply_thaw(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct client_id client;
    sm_obj_hex(&o, "client", client.b, 16);
    bool false_alarm = sm_obj_bool(&o, "false_alarm", false);
    uint32_t at = o.err ? STORE_NONE : store_find_client(st, &client);
    if (at == STORE_NONE)
        return -SM_ECORRUPT;
    struct client_row *c = store_client_row(st, at);
    for (size_t i = st->generation_rows.n; false_alarm && i > 0; i--) {
        struct generation_row *g = store_generation_row(st, i - 1);
        if (g->seq < c->freeze_seq)
            break;
        if (g->client == at)
            g->false_alarm = true;
    }
    c->c.frozen = false;
    return 0;
}

static int apply_mark(struct store *st, const struct queued *r)
{
    static const struct { const char *name; uint8_t bit; } slot[] = {
        { "hourly", RETENTION_HOURLY }, { "daily", RETENTION_DAILY }, { "weekly", RETENTION_WEEKLY },
            { "monthly", RETENTION_MONTHLY },
    };
    struct sm_obj o = SM_OBJ(r->payload);
    struct cid id;
    sm_obj_hex(&o, "manifest", id.b, 32);
    const json_t *slots = sm_obj_arr(&o, "slots", 8);
    uint64_t until = (uint64_t)sm_obj_int(&o, "locked_until_running_ms", 0, INT64_MAX);
    bool pinned = sm_obj_bool(&o, "pinned", false);
    uint32_t at = o.err ? STORE_NONE : store_find_generation(st, &id);
    if (at == STORE_NONE)
        return -SM_ECORRUPT;
    struct generation_row *g = store_generation_row(st, at);
    g->slots = 0;
    for (size_t i = 0; i < json_array_size(slots); i++) {
        const char *name = json_string_value(json_array_get(slots, i));
        for (size_t k = 0; name && k < 4; k++)
            if (strcmp(name, slot[k].name) == 0)
                g->slots |= slot[k].bit;
    }
    g->slots_held |= g->slots;
    g->pinned = pinned;
    if (until > g->locked_until_ms)
        g->locked_until_ms = until;       /* locks only ever extend */
    return 0;
}

static int apply_damage(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    const char *what = sm_obj_str(&o, "what", 1, 64), *file = sm_obj_str_opt(&o, "file", 255);
    const char *object = sm_obj_str_opt(&o, "object", 64);
    if (o.err)
        return -SM_ECORRUPT;
    struct cid id;
    bool has = object && cid_unhex(object, &id) == 0;
    st->damage_seq = r->seq;
    if (has && strcmp(what, "generation") == 0) {
        uint32_t at = store_find_generation(st, &id);
        if (at != STORE_NONE)
            store_generation_row(st, at)->damaged = true;
        return 0;
    }
    if (has) {
        struct damaged_row *d = rows_next(&st->damaged_rows, sizeof *d, STORE_DAMAGED_MAX);
        if (!d)
            return -ENOMEM;
        *d = (struct damaged_row){ id, r->seq };
        int err = idmap_add(&st->damaged_map, st->damaged_rows.p, sizeof *d, st->damaged_rows.n);
        st->damaged_rows.n += !err;
        return err;
    }
    /* A whole pack: "packs/ab/<64 digits>.skp". */
    const char *name = file && strncmp(file, "packs/", 6) == 0 && strlen(file) == 6 + 3 + 64 + 4 ? file + 9 : NULL;
    if (name && sm_unhex(name, 64, id.b, 32) == 0) {
        uint32_t at = store_find_pack(st, &id);
        if (at != STORE_NONE)
            store_pack_row(st, at)->lost = true;
    }
    return 0;
}

#define POLICY_DAYS_ONCE 3650
static int apply_policy(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct retention_policy p = {
        .hourly = (uint32_t)sm_obj_int(&o, "hourly", 0, RETENTION_SLOTS_MAX),
            .daily = (uint32_t)sm_obj_int(&o, "daily", 0, RETENTION_SLOTS_MAX),
        .weekly = (uint32_t)sm_obj_int(&o, "weekly", 0, RETENTION_SLOTS_MAX),
            .monthly = (uint32_t)sm_obj_int(&o, "monthly", 0, RETENTION_SLOTS_MAX),
        .min_days = (uint32_t)sm_obj_int(&o, "min_days", 1, POLICY_DAYS_ONCE),
    };
    if (o.err)
        return -SM_ECORRUPT;
    if (p.min_days > RETENTION_DAYS_MAX)
        p.min_days = RETENTION_DAYS_MAX;  /* set before there was a maximum; locks recorded then stay as they are */
    st->policy = p;
    return 0;
}

static int apply_vault(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    struct vault_id v;
    sm_obj_hex(&o, "vault", v.b, 16);
    st->deletion.first_s = r->time.s;
    return o.err || memcmp(v.b, st->vault.b, 16) != 0 ? -SM_ECORRUPT : 0;
}

/* Records that change the state.  The others are only read by people; a type this build does not know is one of them.
   */
static const struct { uint16_t type; int (*fn)(struct store *, const struct queued *); } appliers[] = {
    { JOURNAL_VAULT, apply_vault }, { JOURNAL_CLIENT, apply_client }, { JOURNAL_PACK, apply_pack },
    { JOURNAL_MANIFEST, apply_manifest }, { JOURNAL_FREEZE, apply_freeze }, { JOURNAL_THAW, apply_thaw },
    { JOURNAL_MARK, apply_mark }, { JOURNAL_DAMAGE, apply_damage }, { JOURNAL_POLICY, apply_policy },
    { JOURNAL_HOLD, apply_hold }, { JOURNAL_ORDER, apply_order }, { JOURNAL_ORDER_END, apply_order_end },
    { JOURNAL_EXPIRED, apply_expired }, { JOURNAL_PACK_STATE, apply_pack_state },
    { JOURNAL_PACK_DELETED, apply_pack_deleted }, { JOURNAL_DATE, apply_date }, { JOURNAL_QUOTA, apply_quota },
    { JOURNAL_HEALED, apply_healed }, { JOURNAL_TOOK_OVER, store_apply_takeover },
    { JOURNAL_RECIPIENTS, apply_order }, { JOURNAL_RECIPIENTS_END, apply_order_end },
};
#define APPLIERS (sizeof appliers / sizeof *appliers)

int store_apply(struct store *st, const struct queued *r)
{
    for (size_t i = 0; i < APPLIERS; i++)
        if (appliers[i].type == r->type)
            return appliers[i].fn(st, r);
    return 0;
}

int store_replay(void *arg, const struct journal_record *r)
{
    struct store *st = arg;
    st->last_seq = r->seq;
    if (r->running_ms > st->running_base_ms)
        st->running_base_ms = r->running_ms;
    bool matters = false;
    for (size_t i = 0; i < APPLIERS; i++)
        matters |= appliers[i].type == r->type;
    if (!matters)
        return 0;
    struct queued q = { .type = r->type, .seq = r->seq, .time = r->time, .running_ms = r->running_ms };
    int err = sm_json_parse(r->payload, JOURNAL_RECORD_MAX, &q.payload, NULL);
    if (err)
        return err == -ENOMEM ? err : -SM_ECORRUPT;
    err = store_apply(st, &q);
    sm_json_free(&q.payload);
    return err;
}

/* ---- writing records ---- */

int store_writable(const struct store *st)
{
    return st->read_only || st->broken || !st->journal || journal_is_broken(st->journal) ? -SM_ESTATE : 0;
}

uint64_t store_running_ms(const struct store *st)
{
    uint64_t now = plat_clock_running_ns();
    uint64_t gone = now > st->running_start_ns ? (now - st->running_start_ns) / 1000000 : 0;
    uint64_t ms = st->running_base_ms + gone;
    return ms > st->running_last_ms ? ms : st->running_last_ms;
}

void store_now(struct store *st, struct sm_time *ret_time, uint64_t *ret_running_ms)
{
    st->running_last_ms = store_running_ms(st);
    *ret_running_ms = st->running_last_ms;
    *ret_time = plat_clock_wall();
}

int store_record(struct store *st, enum journal_type type, const struct sm_time *time, json_t *payload,
    uint64_t *ret_seq)
{
    struct sm_buf b = SM_BUF_INIT(JOURNAL_PAYLOAD_MAX);
    struct queued q = { .type = (uint16_t)type, .payload = payload };
    struct journal_head head;
    int err = payload ? store_writable(st) : -ENOMEM;
    if (!err)
        err = sm_json_dump(payload, &b);
    struct queued *row = err ? NULL : rows_next(&st->queue, sizeof *row, STORE_GENERATIONS_MAX * 2);
    if (!err && !row)
        err = -ENOMEM;
    if (!err) {
        store_now(st, &q.time, &q.running_ms);
        if (time)
            q.time = *time;
        err = journal_append(st->journal, type, q.time, q.running_ms, sm_buf_span(&b), &head);
        /* -SM_ELIMIT and -ENOMEM of a whole journal: nothing was written, and nothing is broken. */
        st->broken = st->broken || journal_is_broken(st->journal);
    }
    sm_buf_wipe(&b);
    if (err) {
        sm_json_free(&payload);
        return err;
    }
    q.seq = head.seq;
    *row = q;
    st->queue.n++;
    if (ret_seq)
        *ret_seq = head.seq;
    return 0;
}

void store_queue_drop(struct store *st)
{
    for (size_t i = 0; i < st->queue.n; i++)
        sm_json_free(&((struct queued *)st->queue.p)[i].payload);
    st->queue.n = 0;
}

int store_sync(struct store *st)
{
    int err = store_writable(st);
    if (!err && st->queue.n)
        err = journal_sync(st->journal);
    for (size_t i = 0; !err && i < st->queue.n; i++)
        err = store_apply(st, &((struct queued *)st->queue.p)[i]);
    store_queue_drop(st);
    if (err)
        st->broken = true;                /* what is on disk is found out by opening anew */
    return err;
}
