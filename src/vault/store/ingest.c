#include <errno.h>
#include <unistd.h>
#include "crypto/many.h"
#include "crypto/random.h"
#include "plat/fs.h"
#include "vault/store/store_internal.h"

#define SESSION_FILE_MAX ((size_t)4096)
#define WRITE_STEP ((uint64_t)2 << 20) /* of a pack: handed to the disk while the rest still comes */
#define ALGORITHM_AT 5                    /* in an object's header */

/* ---- names in tmp ---- */

static void part_name(const struct session_id *s, const struct cid *pack, char ret[128])
{
    char a[33], b[CID_HEX];
    sm_hex(s->b, 16, a);
    cid_hex(pack, b);
    (void)snprintf(ret, 128, "%s-%s.part", a, b); /* fits */
}

static void session_name(const struct session_id *s, char ret[64])
{
    char a[33];
    sm_hex(s->b, 16, a);
    (void)snprintf(ret, 64, "%s.session", a); /* fits */
}

/* ---- refusals ---- */

int store_refuse(struct store *st, uint32_t client, const struct client_id *id, const char *what, const char *why)
{
    if (store_writable(st))
        return 0;                          /* the refusal itself stands; only its record is not possible */
    struct tally *t = client == STORE_NONE ? &st->refused : &store_client_row(st, client)->refused;
    uint64_t hour = store_running_ms(st) / 3600000 + 1;
    if (t->hour != hour)
        *t = (struct tally){ .hour = hour };
    if (t->n >= st->limits.refusals_per_hour)
        return 0;                          /* a flood of refusals must not fill the journal */
    bool last = ++t->n == st->limits.refusals_per_hour;
    json_t *o = json_object();
    bool ok = json_set(o, "client", id ? json_hex(id->b, 16) : json_null()) && json_set(o, "what", json_text(what)) &&
        json_set(o, "why", json_text(why)) && (!last || json_set(o, "more",
            json_string("further ones of this hour are not recorded")));
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    int err = store_record(st, JOURNAL_REFUSED, NULL, o, NULL);
    return err ? err : store_sync(st);
}

int store_refused(struct store *st, const struct client_id *client, const char *what, const char *why)
{
    int err = store_writable(st);
    uint32_t at = client ? store_find_client(st, client) : STORE_NONE;
    return err ? err : store_refuse(st, at, client, what, why);
}

/* ---- sessions ---- */

void flight_free(struct flight *f)
{
    if (f->fd >= 0)
        (void)close(f->fd); /* what is kept was synced; the rest may be lost */
    pack_check_free(f->check);
    free(f->algorithm);
    free(f);
}

static void flight_unlink(struct store *st, const struct session_id *s, const struct cid *pack)
{
    char name[128];
    part_name(s, pack, name);
    (void)plat_fs_unlink(st->tmp, name); /* only space; removed at the next open else */
}

static struct flight *flight_find(struct store_session *s, const struct cid *pack)
{
    for (struct flight *f = s->flights; f; f = f->next)
        if (cid_eq(&f->id, pack))
            return f;
    return NULL;
}

static void flight_detach(struct store_session *s, struct flight *f)
{
    for (struct flight **p = &s->flights; *p; p = &(*p)->next)
        if (*p == f) {
            *p = f->next;
            f->next = NULL;
            return;
        }
}

void session_drop(struct store_session *s, bool keep_files)
{
    struct store *st = s->st;
    while (s->flights) {
        struct flight *f = s->flights;
        s->flights = f->next;
        if (!keep_files)
            flight_unlink(st, &s->info.id, &f->id);
        flight_free(f);
    }
    if (!keep_files) {
        char name[64];
        session_name(&s->info.id, name);
        (void)plat_fs_unlink(st->tmp, name); /* only space */
    }
    for (size_t i = 0; i < st->sessions; i++)
        if (st->session[i] == s)
            st->session[i] = st->session[--st->sessions];
    free(s);
}

void store_session_end(struct store_session *s)
{
    session_drop(s, false);
}

struct store_session *store_session_find(struct store *st, const struct session_id *id)
{
    for (size_t i = 0; i < st->sessions; i++)
        if (!st->session[i]->stale && memcmp(st->session[i]->info.id.b, id->b, sizeof id->b) == 0)
            return st->session[i];
    return NULL;
}

static struct store_session *find_any(struct store *st, const struct session_id *id)
{
    for (size_t i = 0; i < st->sessions; i++)
        if (memcmp(st->session[i]->info.id.b, id->b, sizeof id->b) == 0)
            return st->session[i];
    return NULL;
}

void store_next(const struct store *st, const struct client_id *client, const struct source_id *source,
    uint64_t *ret_number,
    struct cid *ret_previous)
{
    uint32_t c = store_find_client(st, client), s = c == STORE_NONE ? c : store_find_source(st, c, source);
    uint32_t last = s == STORE_NONE ? s : store_source_row(st, s)->last;
    *ret_number = last == STORE_NONE ? 1 : store_generation_row(st, last)->number + 1;
    *ret_previous = last == STORE_NONE ? (struct cid){ { 0 } } : store_generation_row(st, last)->manifest;
}

void store_session_info(const struct store_session *s, struct store_session_info *ret)
{
    *ret = s->info;
    store_next(s->st, &s->info.client, &s->info.source, &ret->number, &ret->previous);
}

/* Make room: the client's oldest session ends when it has too many, the oldest of all when the table is full. */
static void make_room(struct store *st, uint32_t client)
{
    for (;;) {
        struct store_session *mine = NULL, *any = NULL;
        size_t n = 0;
        for (size_t i = 0; i < st->sessions; i++) {
            struct store_session *s = st->session[i];
            if (!any || s->opened < any->opened)
                any = s;
            if (s->client != client)
                continue;
            n++;
            if (!mine || s->opened < mine->opened)
                mine = s;
        }
        if (n >= st->limits.sessions)
            session_drop(mine, false);
        else if (st->sessions >= STORE_SESSIONS_MAX)
            session_drop(any, false);
        else
            return;
    }
}

static int session_save(struct store_session *s)
{
    char name[64];
    session_name(&s->info.id, name);
    json_t *o = json_object();
    struct sm_buf b = SM_BUF_INIT(SESSION_FILE_MAX);
    bool ok = json_set(o, "client", json_hex(s->info.client.b, 16)) &&
        json_set(o, "source", json_hex(s->info.source.b, 16)) &&
        json_set(o, "run", json_hex(s->info.run.b, 16)) && json_set(o, "kind", json_integer(s->info.run_kind)) &&
        json_set(o, "order", json_integer((json_int_t)s->opened));
    int err = ok ? sm_json_dump(o, &b) : -ENOMEM;
    json_decref(o);
    int fd = err ? err : plat_fs_create(s->st->tmp, name, PLAT_FS_TRUNC, 0600);
    err = fd < 0 ? fd : plat_fs_write_all(fd, sm_buf_span(&b)); /* not synced: losing it costs a resume, nothing else */
    if (fd >= 0)
        (void)close(fd); /* see above */
    sm_buf_wipe(&b);
    return err;
}

static int session_load(struct store *st, const struct session_id *id, const char *name)
{
    struct sm_buf b = SM_BUF_INIT(SESSION_FILE_MAX);
    json_t *v = NULL;
    int err = plat_fs_read_file(st->tmp, name, SESSION_FILE_MAX, &b);
    if (!err)
        err = sm_json_parse(sm_buf_span(&b), SESSION_FILE_MAX, &v, NULL);
    sm_buf_wipe(&b);
    struct sm_obj o = SM_OBJ(v);
    struct store_session s = { .st = st, .stale = true, .info.id = *id };
    if (!err) {
        sm_obj_hex(&o, "client", s.info.client.b, 16);
        sm_obj_hex(&o, "source", s.info.source.b, 16);
        sm_obj_hex(&o, "run", s.info.run.b, 16);
        s.info.run_kind = (uint8_t)sm_obj_int(&o, "kind", RUN_SCHEDULED, RUN_MADE_UP);
        s.opened = (uint64_t)sm_obj_int(&o, "order", 0, INT64_MAX);
        err = o.err;
    }
    sm_json_free(&v);
    s.client = err ? STORE_NONE : store_find_client(st, &s.info.client);
    if (s.client == STORE_NONE || st->sessions >= STORE_SESSIONS_MAX)
        return err == -ENOMEM ? err : -SM_EFORMAT;
    struct store_session *p = malloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = s;
    st->session[st->sessions++] = p;
    if (s.opened >= st->session_count)
        st->session_count = s.opened + 1;
    return 0;
}

struct tmp_list { struct store *st; int pass; int err; };

/* First pass: sessions.  Second: half-sent packs of sessions that are not there, and other left-overs but what was set
   aside. */
static int tmp_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    struct tmp_list *l = arg;
    struct store *st = l->st;
    struct session_id id;
    const char *text = (const char *)name.p;
    bool hex = name.n > 32 && sm_unhex(text, 32, id.b, 16) == 0;
    if (l->pass == 1) {
        if (!hex || strcmp(text + 32, ".session") != 0)
            return 0;
        int err = session_load(st, &id, text);
        if (err == -ENOMEM)
            return err;
        if (err)
            (void)plat_fs_unlink(st->tmp, text); /* only space */
        return 0;
    }
    if (strncmp(text, "aside-", 6) == 0 || (hex && strcmp(text + 32, ".session") == 0))
        return 0;
    if (hex && text[32] == '-' && find_any(st, &id))
        return 0;
    if (plat_fs_unlink(st->tmp, text) == 0) /* only space */
        st->recovery.parts_removed++;
    return 0;
}

int sessions_load(struct store *st)
{
    struct tmp_list l = { .st = st };
    int err = 0;
    for (l.pass = 1; !err && l.pass <= 2; l.pass++) {
        int fd = plat_fs_open_dir(st->tmp, ".");
        if (fd < 0)
            return fd;
        err = plat_fs_list(fd, tmp_one, &l);
        (void)close(fd); /* opened for reading */
    }
    return err;
}

static int session_resume(struct store *st, const struct store_session_args *a, uint32_t client,
    struct store_session **ret)
{
    struct store_session *s = find_any(st, a->resume);
    if (!s)
        return -SM_ENOTFOUND;
    if (s->client != client || memcmp(s->info.source.b, a->source.b, 16) != 0) {
        int err = store_refuse(st, client, &a->client, "session", "asked for a session that is not its own");
        return err ? err : -SM_EDENIED;
    }
    s->stale = false;
    s->info.run = a->run;
    s->info.run_kind = a->run_kind;
    *ret = s;
    return session_save(s);
}

int store_session_open(struct store *st, const struct store_session_args *a, struct store_session **ret)
{
    int err = store_writable(st);
    if (err)
        return err;
    if (a->run_kind < RUN_SCHEDULED || a->run_kind > RUN_MADE_UP)
        return -SM_EINVAL;
    uint32_t client = store_find_client(st, &a->client);
    if (client == STORE_NONE)
        return -SM_ENOTFOUND;
    if (store_client_row(st, client)->c.state == STORE_REVOKED) {
        err = store_refuse(st, client, &a->client, "session", "the client is revoked");
        return err ? err : -SM_EDENIED;
    }
    if (a->resume)
        return session_resume(st, a, client, ret);
    make_room(st, client);
    struct store_session *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct store_session){ .st = st, .client = client, .opened = st->session_count++,
        .info = { .client = a->client, .source = a->source, .run = a->run, .run_kind = a->run_kind } };
    crypto_random(s->info.id.b, sizeof s->info.id.b);
    err = session_save(s);
    if (err) {
        free(s);
        return err;
    }
    st->session[st->sessions++] = s;
    *ret = s;
    return 0;
}

/* ---- packs ---- */

static struct pending *pending_find(struct store *st, const struct cid *pack)
{
    for (size_t i = 0; i < st->pendings; i++)
        if (cid_eq(&st->pending[i].f->id, pack))
            return &st->pending[i];
    return NULL;
}

/* Bytes that were promised room: in flight or ended, and not in the journal yet. */
static uint64_t promised(const struct store *st, uint32_t client, bool only_missing)
{
    uint64_t n = 0;
    for (size_t i = 0; i < st->sessions; i++)
        for (const struct flight *f = st->session[i]->flights; f; f = f->next)
            if (client == STORE_NONE || st->session[i]->client == client)
                n += only_missing ? f->total - pack_check_taken(f->check) : f->total;
    for (size_t i = 0; !only_missing && i < st->pendings; i++)
        if (client == STORE_NONE || st->pending[i].client == client)
            n += st->pending[i].f->total;
    return n;
}

static int check_room(struct store *st, uint32_t client, uint64_t total)
{
    const struct client_row *c = store_client_row(st, client);
    uint64_t more = promised(st, client, false) + total;
    uint64_t quota = c->quota ? c->quota : st->limits.client_bytes;
    if (quota && c->c.pack_bytes + more > quota)
        return -SM_ELIMIT;
    if (st->limits.unclaimed_bytes && c->unclaimed + more > st->limits.unclaimed_bytes)
        return -SM_ELIMIT;
    struct plat_fs_space space;
    int err = plat_fs_space(st->dir, ".", &space);
    if (err)
        return err;
    uint64_t wanted = promised(st, STORE_NONE, true) + total + st->limits.reserve_bytes;
    return space.avail_bytes < wanted ? -ENOSPC : 0;
}

static int flight_check(struct store_session *s, struct flight *f)
{
    struct pack_expect e = { &f->id, &s->st->vault, &s->info.client, &s->info.id };
    int err = s->st->has_many ? 0 : crypto_many_new(&s->st->many);
    if (!err) {
        s->st->has_many = true;
        err = pack_check_new(&e, NULL, NULL, &f->check);
    }
    if (!err)
        pack_check_use(f->check, s->st->many);
    return err;
}

/* What the last process received of it: taken up as far as it proves sound. */
static int flight_take_up(struct store_session *s, struct flight *f)
{
    uint64_t size = 0;
    int err = plat_fs_size(f->fd, &size);
    if (err || !size)
        return err;
    if (size <= f->total && pack_check_file(f->check, f->fd, size) == 0)
        return 0;
    pack_check_free(f->check);
    f->check = NULL;
    err = plat_fs_truncate(f->fd, 0);
    return err ? err : flight_check(s, f);
}

static int flight_new(struct store_session *s, const struct cid *pack, uint64_t total, struct flight **ret)
{
    char name[128];
    part_name(&s->info.id, pack, name);
    struct flight *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    *f = (struct flight){ .id = *pack, .total = total };
    f->fd = plat_fs_create(s->st->tmp, name, PLAT_FS_RW, 0600);
    int err = f->fd < 0 ? f->fd : flight_check(s, f);
    if (!err)
        err = flight_take_up(s, f);
    if (err) {
        if (f->fd >= 0)
            flight_unlink(s->st, &s->info.id, pack);
        flight_free(f);
        return err;
    }
    *ret = f;
    return 0;
}

/*
 * No more than so many are held: the one begun longest ago gives way.  A client that was killed comes back without its
 * half-sent packs, and must not be refused for what it left; one that sends all at once only hinders itself.
 */
static void make_way(struct store_session *s)
{
    uint32_t n = 0;
    const struct flight *oldest = NULL;
    for (const struct flight *f = s->flights; f; f = f->next, n++)
        oldest = f;
    if (n < s->st->limits.packs_in_flight || !oldest)
        return;
    struct cid id = oldest->id;
    store_pack_abort(s, &id);
}

int store_pack_begin(struct store_session *s, const struct cid *pack, uint64_t total, uint64_t *ret_have)
{
    struct store *st = s->st;
    int err = store_writable(st);
    if (err)
        return err;
    if (total <= PACK_HEADER_LEN + PACK_DIRENT_LEN || total > PACK_BYTES_MAX)
        return -SM_EINVAL;
    uint32_t at = store_find_pack(st, pack);
    /* Also when it was lost since: a name is given once.  Its objects count as missing, and come in other packs. */
    if ((at != STORE_NONE && store_pack_row(st, at)->client == s->client) || pending_find(st, pack)) {
        *ret_have = total;
        return 0;
    }
    struct flight *f = flight_find(s, pack);
    if (f) {
        if (f->total != total)
            return -SM_EINVAL;
        *ret_have = pack_check_taken(f->check);
        return 0;
    }
    make_way(s);
    err = check_room(st, s->client, total);
    if (err == -SM_ELIMIT) {
        int rec = store_refuse(st, s->client, &s->info.client, "pack", "more bytes than the quota allows");
        return rec ? rec : err;
    }
    if (!err)
        err = flight_new(s, pack, total, &f);
    if (err)
        return err;
    f->next = s->flights;
    s->flights = f;
    *ret_have = pack_check_taken(f->check);
    return 0;
}

int store_pack_state(struct store_session *s, const struct cid *pack, uint64_t *ret_have, bool *ret_done)
{
    struct store *st = s->st;
    uint32_t at = store_find_pack(st, pack);
    struct flight *f = flight_find(s, pack);
    struct pending *p = pending_find(st, pack);
    bool done = at != STORE_NONE && store_pack_row(st, at)->client == s->client;
    uint64_t have = done ? store_pack_row(st, at)->bytes : f ? pack_check_taken(f->check) : p ? p->f->total : 0;
    if (!done && !f && !p) {
        /* Perhaps the process that received it died: the whole of it is proven when it is begun again. */
        char name[128];
        part_name(&s->info.id, pack, name);
        int fd = plat_fs_open_read(st->tmp, name);
        if (fd >= 0) {
            int err = plat_fs_size(fd, &have);
            (void)close(fd); /* opened for reading */
            if (err)
                return err;
        }
    }
    *ret_have = have;
    *ret_done = done;
    return 0;
}

void store_pack_abort(struct store_session *s, const struct cid *pack)
{
    struct flight *f = flight_find(s, pack);
    if (!f)
        return;
    flight_detach(s, f);
    flight_unlink(s->st, &s->info.id, pack);
    flight_free(f);
}

/* The algorithm byte of each object whose header came by in these bytes (off is where they stand in the pack). */
static int note_algorithms(struct flight *f, uint64_t off, struct sm_span bytes)
{
    const struct pack_object *o = pack_check_objects(f->check);
    const struct pack_header *h = pack_check_header(f->check);
    if (!o || !h)
        return 0;
    if (!f->algorithm) {
        f->algorithm = calloc(h->n, 1);
        if (!f->algorithm)
            return -ENOMEM;
    }
    for (; f->seen < h->n && o[f->seen].offset + ALGORITHM_AT < off + bytes.n; f->seen++)
        if (o[f->seen].offset + ALGORITHM_AT >= off)
            f->algorithm[f->seen] = bytes.p[o[f->seen].offset + ALGORITHM_AT - off];
    return 0;
}

static int refuse_pack(struct store_session *s, const struct cid *pack, int err)
{
    char why[STORE_WHY], hex[CID_HEX];
    cid_hex(pack, hex);
    (void)snprintf(why, sizeof why, "pack %.16s: %s", hex, sm_strerror(err)); /* cut short is fine */
    store_pack_abort(s, pack);
    int rec = store_refuse(s->st, s->client, &s->info.client, "pack", why);
    return rec ? rec : err == -SM_EMISMATCH ? -SM_EDENIED : err;
}

int store_pack_data(struct store_session *s, const struct cid *pack, uint64_t off, struct sm_span bytes)
{
    struct store *st = s->st;
    int err = store_writable(st);
    struct flight *f = flight_find(s, pack);
    if (err || !f)
        return err ? err : -SM_ENOTFOUND;
    if (off != pack_check_taken(f->check))
        return -SM_EMISMATCH;
    if (bytes.n > f->total - off)
        return refuse_pack(s, pack, -SM_ELIMIT);
    int64_t took = pack_check_put(f->check, bytes);
    if (took == -ENOMEM)
        err = -ENOMEM;
    else if (took < 0)
        return refuse_pack(s, pack, (int)took);
    else if ((size_t)took != bytes.n)
        return refuse_pack(s, pack, -SM_EFORMAT);
    const struct pack_header *h = pack_check_header(f->check);
    if (!err && h && PACK_HEADER_LEN + (uint64_t)h->n * PACK_DIRENT_LEN + h->body_bytes != f->total)
        return refuse_pack(s, pack, -SM_EFORMAT);
    if (!err)
        err = note_algorithms(f, off, bytes);
    if (!err)
        err = plat_fs_pwrite_all(f->fd, bytes, off);
    if (!err && off + bytes.n - f->begun >= WRITE_STEP) {
        plat_fs_write_soon(f->fd, f->begun, off + bytes.n - f->begun);
        f->begun = off + bytes.n;
    }
    if (err)
        store_pack_abort(s, pack);         /* the disk is full, or worse: nothing of it counts */
    return err;
}

int store_pack_end(struct store_session *s, const struct cid *pack, bool *ret_duplicate)
{
    struct store *st = s->st;
    int err = store_writable(st);
    if (err)
        return err;
    struct flight *f = flight_find(s, pack);
    if (!f) {
        uint32_t at = store_find_pack(st, pack);
        if (!pending_find(st, pack) && (at == STORE_NONE || store_pack_row(st, at)->client != s->client))
            return -SM_ENOTFOUND;
        *ret_duplicate = true;
        return 0;
    }
    const struct pack_header *h = pack_check_header(f->check);
    if (!h || pack_check_left(f->check) != 0)
        return -SM_EPARTIAL;
    if (st->pendings == STORE_PACKS_PENDING_MAX || (st->pendings &&
        st->pending_objects + h->n > STORE_PENDING_OBJECTS)) {
        err = store_flush_packs(st);
        if (err)
            return err;
    }
    flight_detach(s, f);
    st->pending[st->pendings++] = (struct pending){ f, s->client, s->info.id };
    st->pending_objects += h->n;
    s->info.packs++;
    s->info.bytes += f->total;
    *ret_duplicate = false;
    return 0;
}

/* ---- flush ---- */

static int settle(struct store *st, const struct pending *p)
{
    char from[128], to[80];
    part_name(&p->session, &p->f->id, from);
    pack_path(&p->f->id, to);
    int err = plat_fs_sync(p->f->fd);
    return err ? err : plat_fs_rename(st->tmp, from, st->packs, to, false);
}

static int sync_folders(struct store *st)
{
    bool done[256] = { false };
    for (size_t i = 0; i < st->pendings; i++) {
        uint8_t first = st->pending[i].f->id.b[0];
        if (done[first])
            continue;
        done[first] = true;
        char name[3];
        sm_hex(&first, 1, name);
        int fd = plat_fs_open_dir(st->packs, name);
        int err = fd < 0 ? fd : plat_fs_sync_dir(fd);
        if (fd >= 0)
            (void)close(fd); /* synced, or the error is told */
        if (err)
            return err;
    }
    return plat_fs_sync_dir(st->tmp);      /* a rename is certain when both folders are on disk */
}

static int record_pack(struct store *st, const struct pending *p)
{
    const struct pack_header *h = pack_check_header(p->f->check);
    json_t *o = json_object();
    bool ok = json_set(o, "pack", json_hex(p->f->id.b, 32)) && json_set(o, "client", json_hex(h->client.b, 16)) &&
        json_set(o, "session", json_hex(h->session.b, 16)) && json_set(o, "kind", json_integer(h->kind)) &&
        json_set(o, "objects", json_integer(h->n)) && json_set(o, "bytes", json_integer((json_int_t)p->f->total));
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    return store_record(st, JOURNAL_PACK, NULL, o, NULL);
}

int store_flush_packs(struct store *st)
{
    int err = store_writable(st);
    if (err || !st->pendings)
        return err;
    for (size_t i = 0; !err && i < st->pendings; i++)
        if (pack_check_algorithm(st->pending[i].f->check) >= OBJ_PLANES)
            err = store_format_raise(st, FORMAT_PLANES); /* before the file has its name: it may be taken in without a record */
    for (size_t i = 0; !err && i < st->pendings; i++)
        err = settle(st, &st->pending[i]);
    if (!err)
        err = sync_folders(st);
    for (size_t i = 0; !err && i < st->pendings; i++)
        err = record_pack(st, &st->pending[i]);
    if (!err)
        err = store_sync(st);
    for (size_t i = 0; !err && i < st->pendings; i++) {
        const struct pending *p = &st->pending[i];
        const struct pack_header *h = pack_check_header(p->f->check);
        err = place_add(st, store_find_pack(st, &p->f->id), (uint16_t)p->client, pack_check_objects(p->f->check), h->n,
            p->f->algorithm);
    }
    if (!err)
        place_marks(st);                   /* only now: a flush of a full table in between must not claim what is not in it */
    for (size_t i = 0; i < st->pendings; i++)
        flight_free(st->pending[i].f);
    st->pendings = 0;
    st->pending_objects = 0;
    if (err)
        st->broken = true;                 /* files and journal may differ now: found out by opening anew */
    return err;
}

size_t store_pending(const struct store *st)
{
    return st->pendings;
}

/* Keep a signed head as one of 32.  Not synced, and a failure is no error: what it proves, the others prove too, and
   the client
 * has it.  By rename, so that a torn one is never met. */
static void keep_head(struct store *st, struct sm_span head)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%u.head", st->next_head % STORE_HEADS); /* fits */
    int fd = plat_fs_create(st->tmp, "head.new", PLAT_FS_TRUNC, 0600);
    if (fd < 0)
        return;
    int err = plat_fs_write_all(fd, head);
    (void)close(fd); /* see above */
    if (!err && plat_fs_rename(st->tmp, "head.new", st->heads, name, true) == 0)
        st->next_head++;
}

int store_sign_head(struct store *st, struct journal_signed_head *ret)
{
    if (st->read_only || !st->journal)
        return -SM_ESTATE;
    struct journal_signed_head h = { .head = journal_durable(st->journal) };
    struct sm_time now;
    uint64_t running;
    memcpy(h.vault, st->vault.b, 16);
    store_now(st, &now, &running);
    h.s = now.s;
    if (st->signer.sign) {
        struct sm_buf b = SM_BUF_INIT(4096);
        int err = journal_head_message(&h, &b);
        if (!err)
            err = st->signer.sign(st->signer.arg, sm_buf_span(&b), h.sig);
        sm_buf_clear(&b);
        if (!err)
            err = journal_head_put(&h, &b);
        if (!err)
            keep_head(st, sm_buf_span(&b));
        sm_buf_wipe(&b);
        if (err)
            return err;
    }
    if (ret)
        *ret = h;
    return 0;
}

int store_flush(struct store *st, struct journal_signed_head *ret_head)
{
    int err = store_flush_packs(st);
    return err ? err : store_sign_head(st, ret_head);
}
