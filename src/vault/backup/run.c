#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "crypto/random.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "vault/backup/keep.h"
#include "vault/backup/reread.h"
#include "vault/snapshot/envelope.h"

#define LOOK_NAME "look"
#define LOOK_MEMORY ((size_t)4 << 20)
#define MARK_LEN 33
#define TREE_NAME 48
#define ASK_MAX 8192u

void run_problem(struct run *r, struct sm_span path, int err, const char *what)
{
    pthread_mutex_lock(&r->note_lock);
    r->problems++;
    r->partial = true;
    if (r->watch->problem)
        r->watch->problem(r->watch->arg, path, err, what);
    pthread_mutex_unlock(&r->note_lock);
}

void run_silent(struct run *r, struct sm_span path)
{
    pthread_mutex_lock(&r->note_lock);
    if (r->watch->silent)
        r->watch->silent(r->watch->arg, path);
    pthread_mutex_unlock(&r->note_lock);
}

bool run_cancelled(const struct run *r)
{
    return r->watch->cancelled && r->watch->cancelled(r->watch->arg);
}

/* ---- state of the client ---- */

static void tree_name(const struct backup_config *c, char ret[TREE_NAME])
{
    char hex[33];
    sm_hex(c->source.b, sizeof c->source.b, hex);
    (void)snprintf(ret, TREE_NAME, "tree-%s", hex);
}

/* The look table belongs to one vault, client and set of secrets: what was made for another is emptied. */
static int look_open(struct run *r)
{
    const struct backup_config *c = r->c;
    struct index_config ic = { .key_bytes = 32, .value_bytes = 32,
        .memory_bytes = c->look_memory ? c->look_memory : LOOK_MEMORY };
    bool unsound = false;
    int e = index_open(c->state_dir, LOOK_NAME, &ic, &r->look, &unsound);
    if (e < 0)
        return e;
    /* 2: begun without what the vault has already (the tree was fetched, this table was not), so the box is asked for ever. */
    uint8_t h[CRYPTO_SHA256_LEN], mark[MARK_LEN] = { c->fetched ? 2 : 1 };
    crypto_hmac(&r->keys.look, (struct sm_span[]){ SM_SPAN_STR("mark"), SM_SPAN(c->vault.b, 16), SM_SPAN(c->client.b, 16) },
        3, h);
    memcpy(mark + 1, h, sizeof h);
    struct sm_span was = index_mark(r->look);
    bool asks = was.n == MARK_LEN && was.p[0] == 2 && !c->forget;
    mark[0] = asks ? 2 : mark[0];
    bool same = was.n == MARK_LEN && memcmp(was.p + 1, mark + 1, MARK_LEN - 1) == 0;
    if (c->forget || (was.n && !same)) {
        e = index_reset(r->look);
        same = false;
    }
    /* An empty table with a history behind it: the box may have most of what is about to be sealed. */
    r->ask = r->ask || asks || c->fetched || unsound || c->ask_first || c->forget || (!same && c->number > 1);
    if (e == 0)
        index_set_mark(r->look, SM_SPAN(mark, sizeof mark));
    return e;
}

static int run_init(struct run *r, const struct backup_config *c, const struct backup_sink *sink,
    const struct backup_watch *watch)
{
    char name[TREE_NAME + 8], tree[TREE_NAME];
    r->c = c;
    r->sink = sink;
    r->watch = watch;
    r->forget = c->forget;
    pthread_mutex_init(&r->look_lock, NULL);
    pthread_mutex_init(&r->send_lock, NULL);
    pthread_mutex_init(&r->note_lock, NULL);
    pthread_cond_init(&r->send_work, NULL);
    pthread_cond_init(&r->send_room, NULL);
    seal_keys_init(&r->keys, c->k_id, c->k_look, &c->client);
    cut_table_init(&r->cut, &r->keys.id);
    uint8_t h[CRYPTO_SHA256_LEN];
    crypto_hmac(&r->keys.look, &SM_SPAN_STR("sakimori/v1/sum"), 1, h);
    memcpy(&r->sum_key, h, sizeof r->sum_key);
    sm_zero(h, sizeof h);
    tree_name(c, tree);
    (void)snprintf(name, sizeof name, "%s.new", tree);
    r->ask = faccessat(c->state_dir, name, F_OK, 0) == 0; /* the last run was broken off */
    return look_open(r);
}

static void run_wipe(struct run *r)
{
    index_close(r->look);
    sm_buf_wipe(&r->root_item);
    seal_keys_wipe(&r->keys);
    sm_zero(&r->cut, sizeof r->cut);
    sm_zero(&r->k_item, sizeof r->k_item);
    sm_zero(&r->sum_key, sizeof r->sum_key);
    pthread_mutex_destroy(&r->look_lock);
    pthread_mutex_destroy(&r->send_lock);
    pthread_mutex_destroy(&r->note_lock);
    pthread_cond_destroy(&r->send_work);
    pthread_cond_destroy(&r->send_room);
    free(r);
}

/* ---- one round ---- */

static int envelope_begin(struct run *r)
{
    struct sm_buf sealed = { 0 };
    struct file_key f;
    int e = envelope_make(&r->c->vault, &r->c->client, r->c->recipients, &f, &r->envelope, &sealed);
    if (e == 0)
        e = item_key(&f, &r->c->client, &r->k_item);
    if (e == 0)
        e = out_add(r, OBJ_ENVELOPE, NULL, &r->envelope, sm_buf_span(&sealed));
    sm_zero(&f, sizeof f);
    sm_buf_wipe(&sealed);
    return e;
}

static int old_open(struct run *r)
{
    char name[TREE_NAME];
    struct tree_ids ids = { r->c->vault, r->c->client, r->c->source };
    tree_name(r->c, name);
    if (r->forget)
        return 0;
    int e = tree_open(r->c->state_dir, name, &ids, &r->old);
    /* A cache: what is not there or not sound costs a full read, no more. */
    return e == -ENOMEM ? e : 0;
}

static unsigned sealers_for(const struct backup_config *c)
{
    long n = c->sealers ? (long)c->sealers : sysconf(_SC_NPROCESSORS_ONLN);
    long most = c->sealers ? BACKUP_SEALERS_MAX : 4;
    return (unsigned)(n < 1 ? 1 : n > most ? most : n);
}

static int threads_run(struct run *r)
{
    pthread_t reader, finisher;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int e = -pthread_create(&finisher, NULL, run_finisher, r), e2 = 0;
    if (e == 0) {
        e2 = -pthread_create(&reader, NULL, run_reader, r);
        if (e2 < 0)
            pipe_fail(r->pipe, e2);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e < 0)
        return e;
    e = out_send_all(r);
    pthread_join(finisher, NULL);
    if (e2 == 0)
        pthread_join(reader, NULL);
    return e;
}

static void counts_join(const struct run *r, struct backup_counts *to)
{
    const struct backup_counts *a = &r->read, *b = &r->done;
    *to = *a;
    to->bytes_new_plain = b->bytes_new_plain;
    to->bytes_new_stored = b->bytes_new_stored;
    to->new_files_plain = b->new_files_plain;
    to->new_files_stored = b->new_files_stored;
    to->chunks_new = b->chunks_new;
    to->pages_new = b->pages_new;
    to->canaries_changed = b->canaries_changed;
    to->problems = to->unreadable = r->problems;
    to->packs = r->packs_acked;
    to->sent_bytes = atomic_load(&r->sent_bytes);
    to->client_suspicion = facts_suspicion(to);
}

static int manifest_put(struct run *r, int64_t started_s, struct backup_result *ret, struct sm_buf *ret_missing,
    bool *ret_more)
{
    const struct backup_config *c = r->c;
    struct sm_buf facts = { 0 }, bytes = { 0 };
    struct manifest m = { .vault = c->vault, .client = c->client, .source = c->source, .run_id = c->run_id,
        .number = c->number, .previous = c->previous, .head_seq = c->head_seq, .run = c->run,
        .status = r->partial ? RUN_PARTIAL : RUN_COMPLETE, .started_s = started_s,
        .finished_s = plat_clock_wall().s, .envelope = r->envelope, .roots = r->roots, .nroots = r->roots_n,
        .counter = r->root_counter, .item = sm_buf_span(&r->root_item), .label = c->label };
    struct cid id;
    memcpy(m.head_hash, c->head_hash, sizeof m.head_hash);
    int e = facts_json(&ret->counts, c->machine, &facts);
    m.facts = sm_buf_span(&facts);
    if (e == 0)
        e = manifest_build(&m, c->device, &bytes);
    if (e == 0) {
        manifest_id(sm_buf_span(&bytes), &id);
        e = r->sink->put_manifest(r->sink->arg, &id, sm_buf_span(&bytes), ret_missing, ret_more);
    }
    if (e == 0) {
        ret->manifest = id;
        ret->status = m.status;
    }
    sm_buf_wipe(&facts);
    sm_buf_wipe(&bytes);
    return e;
}

/* Nothing of the source could be looked at: that is no generation. */
static bool is_nothing(const struct backup_counts *c)
{
    return c->problems && c->files == 0 && c->others == 0;
}

static int round_body(struct run *r, struct backup_result *ret, struct sm_buf *ret_missing, bool *ret_more)
{
    int64_t started = plat_clock_wall().s;
    char name[TREE_NAME];
    struct tree_ids ids = { r->c->vault, r->c->client, r->c->source };
    tree_name(r->c, name);
    int e = tree_create(r->c->state_dir, name, &ids, &r->new);
    e = e < 0 ? e : out_init(r);
    e = e < 0 ? e : envelope_begin(r);
    e = e < 0 ? e : pipe_new(sealers_for(r->c), run_seal_jobs, r, &r->pipe);
    if (e < 0)
        return e;
    e = threads_run(r);
    pipe_free(r->pipe); /* after a failure sealers may still be at work */
    r->pipe = NULL;
    out_wipe(r); /* all of it is acknowledged, or lost: what follows needs the memory */
    counts_join(r, &ret->counts);
    int flushed = index_flush(r->look);
    if (e == 0 && is_nothing(&ret->counts))
        e = -SM_ENOTFOUND;
    if (e < 0 || flushed < 0)
        return e < 0 ? e : flushed;
    struct tree_totals t = { .files = ret->counts.files, .bytes = ret->counts.bytes };
    e = tree_finish(r->new, &t);
    e = e < 0 ? e : manifest_put(r, started, ret, ret_missing, ret_more);
    if (e == 0 && r->c->keep && keep_note(r->c->state_dir, &ids, r->c->k_id, &ret->manifest, r->c->number) < 0)
        keep_add_not(r->c->state_dir, &r->c->source); /* a cache of a cache: the next run sends all of it */
    return e < 0 ? e : tree_commit(r->new);
}

static int round_run(struct run *r, struct backup_result *ret, struct sm_buf *ret_missing, bool *ret_more)
{
    memset(&r->read, 0, sizeof r->read);
    memset(&r->done, 0, sizeof r->done);
    atomic_store(&r->files, 0);
    atomic_store(&r->bytes, 0);
    r->problems = 0;
    r->partial = r->c->partial;
    r->finished = false;
    r->counter = 0;
    r->roots_n = 0;
    int e = old_open(r);
    reread_plan(r, r->old ? tree_totals(r->old).bytes : 0);
    e = e < 0 ? e : round_body(r, ret, ret_missing, ret_more);
    if (e == 0)
        reread_done(r, !r->old);
    pipe_free(r->pipe);
    out_wipe(r);
    tree_close(r->old);
    tree_writer_free(r->new);
    r->pipe = NULL;
    r->old = NULL;
    r->new = NULL;
    sm_zero(&r->k_item, sizeof r->k_item);
    return e;
}

static int cid_sort(const void *a, const void *b)
{
    return cid_cmp(a, b);
}

/* Ask for n cids; those the box has no more go to ret_missing. */
static int ask_for(struct run *r, const struct cid *cids, size_t n, struct sm_buf *ret_missing)
{
    uint8_t bitmap[ASK_MAX / 8] = { 0 };
    int e = n ? r->sink->have(r->sink->arg, cids, n, bitmap) : 0;
    for (size_t i = 0; e == 0 && i < n; i++)
        if (!(bitmap[i / 8] >> (i & 7) & 1))
            e = sm_buf_put(ret_missing, &cids[i], sizeof cids[i]);
    return e;
}

/*
 * A fetched tree of an earlier generation may name what the box has cleaned up since: nothing keeps it alive but newer
 * generations that happen to use it.  Whatever is gone is read again; so much that it does not fit: everything.
 */
static int old_ask(struct run *r, struct tree_reader *t, struct cid *cids, struct part *parts, struct sm_buf *ret_missing)
{
    const struct tree_record *rec;
    size_t n = 0;
    int e = 0;
    while (e == 0 && (rec = tree_peek(t)) != NULL) {
        uint32_t k = rec->has_stream && rec->stream.layout != LAYOUT_NONE ? rec->stream.nparts : 0;
        if (k)
            tree_parts(&rec->stream, parts);
        for (uint32_t i = 0; k && e == 0 && i <= k; i++) {
            if (i < k && parts[i].hole)
                continue;
            cids[n++] = i < k ? parts[i].cid : rec->stream.envelope;
            if (n == ASK_MAX) {
                e = ask_for(r, cids, n, ret_missing);
                n = 0;
            }
        }
        tree_take(t);
    }
    e = e ? e : tree_error(t);
    return e ? e : ask_for(r, cids, n, ret_missing);
}

static int old_check(struct run *r, struct sm_buf *ret_missing)
{
    char name[TREE_NAME];
    struct tree_ids ids = { r->c->vault, r->c->client, r->c->source };
    struct tree_reader *t = NULL;
    struct cid *cids = malloc(ASK_MAX * sizeof *cids);
    struct part *parts = malloc(VAULT_PARTS_MAX * sizeof *parts);
    tree_name(r->c, name);
    int e = cids && parts ? tree_open(r->c->state_dir, name, &ids, &t) : -ENOMEM;
    e = e ? e : old_ask(r, t, cids, parts, ret_missing);
    tree_close(t);
    free(cids);
    free(parts);
    if (e == -SM_ELIMIT || e == -SM_ECORRUPT || e == -SM_ENOTFOUND || e == -SM_EFORMAT) {
        r->forget = true;
        sm_buf_clear(ret_missing);
        e = 0;
    }
    return e;
}

static void missing_set(struct run *r, const struct sm_buf *missing)
{
    qsort(missing->p, missing->n / sizeof(struct cid), sizeof(struct cid), cid_sort);
    r->missing = (const struct cid *)(const void *)missing->p;
    r->missing_n = missing->n / sizeof(struct cid);
}

/* Round after round until the box misses nothing: first only what it named is read again, then everything. */
static int rounds_run(struct run *r, struct backup_result *ret)
{
    struct sm_buf missing = SM_BUF_INIT(BACKUP_MISSING_MAX * sizeof(struct cid));
    int e = r->c->fetched_old && !r->forget ? old_check(r, &missing) : 0;
    if (e < 0) {
        sm_buf_wipe(&missing);
        return e;
    }
    if (missing.n)
        missing_set(r, &missing);
    e = -SM_EMISSING;
    for (unsigned i = 0; i < BACKUP_ROUNDS_MAX && e == -SM_EMISSING; i++) {
        bool more = false;
        ret->counts.rounds = i + 1;
        e = round_run(r, ret, &missing, &more);
        ret->counts.rounds = i + 1;
        if (e != -SM_EMISSING)
            break;
        missing_set(r, &missing);
        r->forget = r->forget || more || i > 0;
        r->ask = r->ask || r->forget;
    }
    r->missing_n = 0;
    sm_buf_wipe(&missing);
    return e;
}

static bool config_ok(const struct backup_config *c, const struct backup_sink *s)
{
    return c->k_id && c->k_look && c->device && c->recipients.n && c->state_dir >= 0 &&
        c->canaries_n <= BACKUP_CANARIES_MAX && c->label.n <= BACKUP_LABEL_MAX && c->number >= 1 &&
        c->run >= RUN_SCHEDULED && c->run <= RUN_MADE_UP && s->have && s->put_pack && s->put_manifest &&
        s->window <= BACKUP_WINDOW_MAX && (s->acked || s->window == 0);
}

int backup_run(const struct backup_config *c, const struct backup_sink *sink, const struct backup_watch *watch,
    struct backup_result *ret)
{
    static const struct backup_watch silent;
    memset(ret, 0, sizeof *ret);
    if (!config_ok(c, sink))
        return -SM_EINVAL;
    struct run *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    int e = run_init(r, c, sink, watch ? watch : &silent);
    e = e < 0 ? e : rounds_run(r, ret);
    run_wipe(r);
    return e;
}
