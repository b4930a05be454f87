#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/store/store_internal.h"

#define COUNTERSIGN_LABEL "sakimori/v1/countersign"

const char *store_refusal_name(enum store_refusal r)
{
    static const char *const names[] = { "ok", "missing", "form", "signature", "client", "fork", "replay", "closure",
        "head", "unknown-client" };
    return r <= STORE_UNKNOWN_CLIENT ? names[r] : "?";
}

struct commit {
    struct store *st;
    struct store_session *s;
    struct sm_span bytes;
    struct manifest m;
    struct suspicion_facts facts;
    struct store_verdict *v;
};

static int refuse(struct commit *c, enum store_refusal r, int err, const char *why)
{
    char text[STORE_WHY + 64];
    c->v->refusal = r;
    (void)snprintf(c->v->why, sizeof c->v->why, "%s", why); /* fits: our own texts */
    (void)snprintf(text, sizeof text, "%s: %s", store_refusal_name(r), c->v->why); /* fits */
    int rec = store_refuse(c->st, c->s->client, &c->s->info.client, "manifest", text);
    return rec ? rec : err;
}

static int check_form(struct commit *c)
{
    const struct store_client *client = &store_client_row(c->st, c->s->client)->c;
    if (manifest_parse(c->bytes, &c->m))
        return refuse(c, STORE_FORM, -SM_EFORMAT, "not a manifest");
    if (manifest_verify(c->bytes, client->sign_pub))
        return refuse(c, STORE_SIGNATURE, -SM_EAUTH, "the signature is not the device's");
    if (memcmp(c->m.vault.b, c->st->vault.b, 16) != 0 || !client_id_eq(&c->m.client, &client->id))
        return refuse(c, STORE_FOREIGN, -SM_EDENIED, "made for another vault or client");
    if (memcmp(c->m.source.b, c->s->info.source.b, 16) != 0 || memcmp(c->m.run_id.b, c->s->info.run.b, 16) != 0 ||
        c->m.run != c->s->info.run_kind)
        return refuse(c, STORE_FOREIGN, -SM_EDENIED, "another source, run or kind of run than the session's");
    if (suspicion_facts_parse(c->m.facts, &c->facts))
        return refuse(c, STORE_FORM, -SM_EFORMAT, "the facts are not as agreed");
    return 0;
}

/* The place of this manifest in the chain of its source.  1: it is the newest already (an answer got lost). */
static int check_chain(struct commit *c)
{
    struct store *st = c->st;
    uint64_t number;
    struct cid previous;
    uint32_t known = store_find_generation(st, &c->v->manifest);
    store_next(st, &c->m.client, &c->m.source, &number, &previous);
    if (known != STORE_NONE && cid_eq(&previous, &c->v->manifest))
        return 1;
    if (known != STORE_NONE)
        return refuse(c, STORE_REPLAY, -SM_EEXISTS, "an old generation, sent again");
    if (c->m.number < number)
        return refuse(c, STORE_FORK, -SM_EEXISTS, "its number was given to another generation");
    if (c->m.number > number)
        return refuse(c, STORE_FORK, -SM_EEXISTS, "its number is not the next one");
    if (!cid_eq(&c->m.previous, &previous))
        return refuse(c, STORE_FORK, -SM_EEXISTS, "the generation before it is another one");
    return 0;
}

static int check_head(struct commit *c)
{
    static const uint8_t zero[32];
    struct journal_head h = { .seq = c->m.head_seq };
    memcpy(h.hash, c->m.head_hash, 32);
    if (!h.seq && memcmp(h.hash, zero, 32) == 0)
        return 0;
    int is = journal_is_ancestor(c->st->journal, &h);
    if (is < 0)
        return is;
    return is ? 0 : refuse(c, STORE_HEAD, -SM_EMISMATCH, "the head it names is no part of this journal");
}

static int check_closure(struct commit *c, struct walk_result *ret)
{
    struct place p;
    int err = 0;
    bool here = place_find(c->st, c->s->client, &c->m.envelope, &p);
    if (here && p.type != OBJ_ENVELOPE)
        return refuse(c, STORE_CLOSURE, -SM_ECORRUPT, "its envelope is no envelope");
    if (!here)
        err = sm_buf_put(&c->v->missing, c->m.envelope.b, 32);
    if (!err)
        err = walk_closure(c->st, c->s->client, c->m.roots, c->m.nroots, &c->v->missing, &c->v->more, ret);
    if (!err && ret->bad)
        return refuse(c, STORE_CLOSURE, -SM_ECORRUPT, ret->why);
    if (!err && c->v->missing.n) {
        c->v->refusal = STORE_MISSING;
        (void)snprintf(c->v->why, sizeof c->v->why, "%zu objects are missing", c->v->missing.n / 32); /* fits */
        return -SM_EMISSING;
    }
    return err;
}

/* ---- suspicion ---- */

/* What to compare with: the generation before; while the client is frozen the last clean one, so that the day after an
   attack
 * does not look quiet. */
static uint32_t base_of(const struct store *st, uint32_t client, uint32_t last)
{
    while (last != STORE_NONE && store_generation_row(st, last)->gone)
        last = store_generation_row(st, last)->previous;
    if (last == STORE_NONE || !store_client_row(st, client)->c.frozen)
        return last;
    for (uint32_t g = last; g != STORE_NONE; g = store_generation_row(st, g)->previous)
        if (!generation_suspicious(store_generation_row(st, g)) && !store_generation_row(st, g)->gone)
            return g;
    return last;
}

/* The newest clean generation of the source that is at least so many days old by the box's time. */
static struct suspicion_past past(const struct store *st, uint32_t last, int64_t now_s, int64_t days)
{
    for (uint32_t g = last; g != STORE_NONE; g = store_generation_row(st, g)->previous) {
        const struct generation_row *row = store_generation_row(st, g);
        if (!generation_suspicious(row) && row->time.s <= now_s - days * 86400)
            return (struct suspicion_past){ true, row->m };
    }
    return (struct suspicion_past){ 0 };
}

static int judge(struct commit *c, const struct sums *sums, int64_t now_s)
{
    struct store *st = c->st;
    uint32_t source = store_find_source(st, c->s->client, &c->m.source);
    uint32_t last = source == STORE_NONE ? STORE_NONE : store_source_row(st, source)->last;
    uint32_t base = base_of(st, c->s->client, last);
    struct suspicion_measures *m = &c->v->measures;
    *m = (struct suspicion_measures){ .chunks = sums->chunks, .chunk_bytes = sums->chunk_bytes,
        .stored_bytes = sums->stored_bytes,
        .pages = sums->pages, .page_bytes = sums->page_bytes };
    struct suspicion_input in = { .facts = c->facts };
    struct sm_buf bytes = SM_BUF_INIT(MANIFEST_MAX + 4096);
    struct manifest old = { 0 };
    int err = 0;
    if (base != STORE_NONE) {
        in.base = (struct suspicion_past){ true, store_generation_row(st, base)->m };
        in.days30 = past(st, last, now_s, 30);
        in.days90 = past(st, last, now_s, 90);
        /* A base that cannot be read any more is damage for verify to name; all then counts as new. */
        if (store_manifest(st, &store_generation_row(st, base)->manifest, &bytes) ||
            manifest_parse(sm_buf_span(&bytes), &old))
            old = (struct manifest){ 0 };
    }
    err = walk_difference(st, c->s->client, c->m.roots, c->m.nroots, old.roots, old.nroots, m);
    sm_buf_wipe(&bytes);
    in.now = *m;
    if (!err)
        suspicion_judge(&in, &c->v->suspicion);
    return err;
}

/* ---- recording ---- */

static json_t *suspicion_json(const struct suspicion_result *r)
{
    json_t *o = json_object(), *a = json_array();
    bool ok = o && a && json_set(o, "score", json_integer(r->score));
    for (size_t i = 0; ok && i < r->n; i++) {
        json_t *x = json_object();
        ok = json_set(x, "code", json_string(suspicion_code_name(r->reasons[i].code))) &&
            json_set(x, "score", json_integer(r->reasons[i].score)) &&
            json_set(x, "value", json_integer((json_int_t)(r->reasons[i].value * 1000 + 0.5))) &&
                json_set(x, "text", json_text(r->reasons[i].text));
        ok = json_array_append_new(a, x) == 0 && ok;
    }
    ok = ok && json_object_set(o, "reasons", a) == 0;
    json_decref(a);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static int countersign(struct commit *c, uint64_t seq, int64_t s, uint8_t sig[64])
{
    memset(sig, 0, 64);
    if (!c->st->signer.sign)
        return 0;
    struct sm_buf b = SM_BUF_INIT(256);
    int err = sm_buf_put(&b, COUNTERSIGN_LABEL, sizeof COUNTERSIGN_LABEL - 1);
    if (!err)
        err = sm_buf_put(&b, c->v->manifest.b, 32);
    if (!err)
        err = sm_buf_put_u64(&b, seq);
    if (!err)
        err = sm_buf_put_u64(&b, (uint64_t)s);
    if (!err)
        err = c->st->signer.sign(c->st->signer.arg, sm_buf_span(&b), sig);
    sm_buf_wipe(&b);
    return err;
}

static json_t *payload(const struct commit *c, const uint8_t sig[64])
{
    json_t *o = json_object();
    bool ok = json_set(o, "manifest", json_hex(c->v->manifest.b, 32)) &&
        json_set(o, "client", json_hex(c->m.client.b, 16)) &&
        json_set(o, "source", json_hex(c->m.source.b, 16)) && json_set(o, "number",
            json_integer((json_int_t)c->m.number)) &&
        json_set(o, "run", json_integer(c->m.run)) && json_set(o, "status", json_integer(c->m.status)) &&
        json_set(o, "started", json_integer(c->m.started_s)) && json_set(o, "finished",
            json_integer(c->m.finished_s)) &&
        json_set(o, "measures", measures_json(&c->v->measures)) && json_set(o, "suspicion",
            suspicion_json(&c->v->suspicion)) &&
        json_set(o, "box_sig", json_hex(sig, 64));
    if (c->m.facts.n) /* checked to be small enough */
        ok = ok && json_set(o, "files", json_integer((json_int_t)c->facts.files)) &&
            json_set(o, "bytes", json_integer((json_int_t)c->facts.bytes));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

/* The manifest's file, durable under its name.  Before the rename a failure is clean; after it the store is broken. */
static int put_file(struct commit *c)
{
    struct store *st = c->st;
    char hex[CID_HEX], from[80], to[80];
    cid_hex(&c->v->manifest, hex);
    (void)snprintf(from, sizeof from, "%s.new", hex); /* fits */
    (void)snprintf(to, sizeof to, "%s.skm", hex);     /* fits */
    int fd = plat_fs_create(st->tmp, from, PLAT_FS_TRUNC, 0600);
    int err = fd < 0 ? fd : plat_fs_write_all(fd, c->bytes);
    if (!err)
        err = plat_fs_sync(fd);
    if (fd >= 0)
        (void)close(fd); /* synced, or given up */
    if (err) {
        (void)plat_fs_unlink(st->tmp, from); /* only space */
        return err;
    }
    err = plat_fs_rename(st->tmp, from, st->manifests, to, false);
    if (!err)
        err = plat_fs_sync_dir(st->manifests);
    if (!err)
        err = plat_fs_sync_dir(st->tmp);   /* a rename is certain when both folders are on disk */
    if (err)
        st->broken = true;
    return err;
}

static json_t *freeze_json(const struct client_id *id, const char *reason)
{
    json_t *o = json_object();
    if (json_set(o, "client", json_hex(id->b, 16)) && json_set(o, "reason", json_text(reason)) &&
        json_set(o, "by", json_string("box")))
        return o;
    json_decref(o);
    return NULL;
}

static int record(struct commit *c, const struct sm_time *now)
{
    struct store *st = c->st;
    uint64_t seq = journal_head(st->journal).seq + 1;
    uint8_t sig[64];
    bool freeze = c->v->suspicion.score >= SUSPICION_THRESHOLD && !store_client_row(st, c->s->client)->c.frozen;
    int err = countersign(c, seq, now->s, sig);
    if (!err)
        err = put_file(c);
    if (err)
        return err;
    err = store_record(st, JOURNAL_MANIFEST, now, payload(c, sig), &c->v->seq);
    if (!err && freeze)
        err = store_record(st, JOURNAL_FREEZE, now, freeze_json(&c->m.client, c->v->suspicion.reasons[0].text), NULL);
    if (!err)
        err = store_sync(st);
    if (err) {
        st->broken = true;                 /* the file has its name already, the record perhaps not */
        return err;
    }
    c->v->froze = freeze;
    return 0;
}

/* It was recorded before, and the answer got lost: the same answer. */
static int again(struct commit *c)
{
    const struct generation_row *g = store_generation_row(c->st, store_find_generation(c->st, &c->v->manifest));
    c->v->known = true;
    c->v->seq = g->seq;
    c->v->measures = g->m;
    c->v->suspicion.score = g->score;
    return store_sign_head(c->st, &c->v->head);
}

static int commit_new(struct commit *c)
{
    struct walk_result walk;
    struct sm_time now;
    uint64_t running;
    int err = check_head(c);
    if (!err)
        err = check_closure(c, &walk);
    if (err)
        return err;
    store_now(c->st, &now, &running);
    err = judge(c, &walk.sums, now.s);
    if (!err)
        err = record(c, &now);
    return err ? err : store_sign_head(c->st, &c->v->head);
}

int store_manifest_commit(struct store_session *s, struct sm_span manifest, struct store_verdict *ret)
{
    struct store *st = s->st;
    *ret = (struct store_verdict){ .missing = SM_BUF_INIT((STORE_MISSING_MAX + 1) * 32) };
    struct commit c = { .st = st, .s = s, .bytes = manifest, .v = ret };
    int err = store_flush_packs(st);
    if (err)
        return err;
    place_marks(st);                       /* closed pages found below rest on what is durable now */
    if (manifest.n > MANIFEST_MAX)
        return refuse(&c, STORE_FORM, -SM_EFORMAT, "too long for a manifest");
    manifest_id(manifest, &ret->manifest);
    err = check_form(&c);
    if (!err)
        err = check_chain(&c);
    if (err < 0)
        return err;
    bool known = err == 1;
    err = known ? again(&c) : commit_new(&c);
    if (!err)
        session_drop(s, false);            /* else it may ask again, and gets the same answer */
    return err;
}
