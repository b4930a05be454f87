/*
 * The restore part: started for one signed order, gone after it.  It asks the box for the file keys, sealed to a key
 * made for this restore alone, opens the objects itself and writes the files; link carries what it cannot read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/log.h"
#include "crypto/init.h"
#include "crypto/kem.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/carrier.h"
#include "sakimori-agent/drill.h"
#include "sakimori-agent/fetch.h"
#include "sakimori-agent/helper.h"
#include "sakimori-agent/orders.h"
#include "sakimori-agent/policy.h"
#include "sakimori-agent/proof.h"
#include "sakimori-agent/reach.h"
#include "vault/restore/restore.h"

#define GET_BATCH 512u /* cids a request: of the restore room, at most 4 MiB or so of plain bytes */
_Static_assert(FETCH_WAYS >= RESTORE_GETTERS, "each asks for one thing at a time");
#define KEYS_MAX 20000u
#define PATHS_MAX RESTORE_PATHS_MAX
#define PROBLEMS_MAX 1000
#define ORDER_WAIT_MS 60000
#define PROGRESS_MS 1000
#define PATIENCE_MS ((uint64_t)10 * 60 * 1000)
#define END_PATIENCE_MS ((uint64_t)15 * 60 * 1000)
#define PAUSE_MS 1000

struct key_row {
    struct cid envelope;
    struct file_key f;
};

struct restored {
    struct agent_config config;
    struct agent_keys keys;
    struct agent_policy policy;
    const char *skip; /* the folder left out, or NULL */
    struct plat_confined confined;
    struct reach reach;
    struct plat_id above[POLICY_KEEP_MAX];
    struct sm_ipc *up, *link;
    struct fetch carry; /* link is used by several threads of the restore, each in its turn */
    struct order order;
    char id[33];
    struct sm_buf manifest;
    uint8_t sign_pub[32];
    struct key_row *file_keys;
    size_t keys_n, keys_cap;
    atomic_bool cancelled;
    uint64_t told_ms, started_ms, files_total, bytes_total;
    json_t *problems;
    uint64_t problems_total;
    struct {
        bool on, equal, removed;
        char path[DRILL_PATH_MAX];
        uint64_t restore_ms, compare_ms, differences;
        struct assist assist; /* the part that tries a restored database */
        json_t *server;       /* what it said, or NULL */
    } drill;
};

/* ---- the channels ---- */

static const struct sm_ipc_rule from_link[] = {{L_ORDER, 1 << 18, false, "L_ORDER"}};
static const struct sm_ipc_rule from_up[] = {{A_ATTACH, 4096, true, "A_ATTACH"}, {A_STOP, 16, false, "A_STOP"}};

static int take_link(struct restored *d, struct sm_ipc_msg *m)
{
    const struct sm_ipc_config c = {
        .may_receive = from_link, .may_receive_n = 1, .body_max = SM_IPC_BODY_MAX, .queue_max = (size_t)4 << 20};
    int fd = m->fd;
    m->fd = -1;
    sm_ipc_free(d->link);
    d->link = NULL;
    return fd < 0 ? -SM_EPROTO : sm_ipc_new(NULL, fd, &c, &d->link);
}

static void take_channel(struct restored *d, struct sm_ipc_msg *m)
{
    struct sm_obj o = SM_OBJ(NULL);
    sm_cleanup(sm_json_free) json_t *peer = NULL;
    if (sm_json_parse(m->body, 4096, &peer, NULL) == 0)
        o.o = peer;
    if (peer && strcmp(sm_obj_str(&o, "peer", 0, 32), "proof") == 0) {
        assist_take(&d->drill.assist, m->fd);
        m->fd = -1;
    } else if (take_link(d, m)) {
        sm_error("the channel to link could not be made");
    }
}

/* What the supervisor says while a restore runs: stop, or a new link after the old one died.  In turn. */
static void hear(void *arg)
{
    struct restored *d = arg;
    struct sm_ipc_msg m;
    int r;
    while ((r = sm_ipc_recv(d->up, 0, &m)) == 0) {
        if (m.type == A_STOP)
            atomic_store(&d->cancelled, true);
        else
            take_channel(d, &m);
    }
    if (r != -SM_ETIME)
        atomic_store(&d->cancelled, true);
}

static bool stopped(void *arg)
{
    return atomic_load(&((struct restored *)arg)->cancelled);
}

/* Through every link there will be, until the box has answered or patience ends. */
static int call_patient(struct restored *d, const char *path, const json_t *body, uint64_t patience_ms, bool stops,
    int *ret_status, json_t **ret)
{
    uint64_t until = plat_clock_mono_ms() + patience_ms;
    for (;;) {
        int status = 0;
        fetch_take_turn(&d->carry);
        hear(d);
        int r = carrier_json(d->link, path, body, &status, ret);
        fetch_give_turn(&d->carry);
        *ret_status = status;
        bool passing = r == -SM_EPEER || r == -SM_ETIME || r == -SM_EAGAIN ||
                       (!r && (status == 502 || status == 503 || status == 429));
        if (!passing || plat_clock_mono_ms() > until || (stops && stopped(d)))
            return r;
        if (ret && !r) {
            json_decref(*ret);
            *ret = NULL;
        }
        plat_clock_sleep_ms(PAUSE_MS);
    }
}

/* ---- keys ---- */

static int keep_key(struct restored *d, const struct cid *envelope, const uint8_t f[32])
{
    if (d->keys_n >= KEYS_MAX)
        return -SM_ELIMIT;
    if (d->keys_n == d->keys_cap) {
        size_t cap = d->keys_cap ? 2 * d->keys_cap : 256;
        struct key_row *p = calloc(cap, sizeof *p);
        if (!p)
            return -ENOMEM;
        if (d->keys_n)
            memcpy(p, d->file_keys, d->keys_n * sizeof *p);
        sm_zero(d->file_keys, d->keys_n * sizeof *p);
        free(d->file_keys);
        d->file_keys = p;
        d->keys_cap = cap;
    }
    d->file_keys[d->keys_n].envelope = *envelope;
    memcpy(d->file_keys[d->keys_n++].f.b, f, 32);
    return 0;
}

static int open_key(struct restored *d, const json_t *row, const struct crypto_x25519_pair *eph)
{
    struct sm_obj o = SM_OBJ(row);
    struct cid envelope;
    uint8_t enc[32], ct[32 + CRYPTO_HPKE_EXTRA], restore[16];
    struct sm_buf info = SM_BUF_INIT(512), f = SM_BUF_INIT(64);
    sm_obj_hex(&o, "envelope", envelope.b, 32);
    sm_obj_hex(&o, "enc", enc, 32);
    sm_obj_hex(&o, "ct", ct, sizeof ct);
    int r = o.err ? o.err : sm_unhex(d->id, 32, restore, 16);
    if (!r)
        r = sm_buf_put(&info, "sakimori/v1/grant", 17);
    if (!r)
        r = sm_buf_put(&info, restore, 16);
    if (!r)
        r = sm_buf_put(&info, d->config.device, strlen(d->config.device));
    if (!r)
        r = sm_buf_put(&info, envelope.b, 32);
    if (!r)
        r = crypto_hpke_open(eph, enc, sm_buf_span(&info), SM_SPAN(NULL, 0), SM_SPAN(ct, sizeof ct), &f);
    if (!r)
        r = f.n == 32 ? keep_key(d, &envelope, f.p) : -SM_EAUTH;
    sm_buf_wipe(&info);
    sm_zero(f.p, f.n);
    sm_buf_wipe(&f);
    return r;
}

/* One page of the answer: the manifest comes with the first. */
static int take_keys(struct restored *d, const json_t *got, const struct crypto_x25519_pair *eph)
{
    struct sm_obj o = SM_OBJ(got);
    const json_t *list = sm_obj_arr(&o, "keys", KEYS_MAX);
    int r = o.err;
    for (size_t i = 0; i < json_array_size(list) && !r; i++)
        r = open_key(d, json_array_get(list, i), eph);
    if (r || d->manifest.n)
        return r;
    const char *b64 = sm_obj_str(&o, "manifest_bytes", 1, 2 * MANIFEST_MAX);
    sm_obj_hex(&o, "sign_pub", d->sign_pub, 32);
    return o.err ? o.err : sm_unbase64(SM_SPAN_STR(b64), &d->manifest);
}

static int sign_request(struct restored *d, const uint8_t pub[32], char ret_hex[129])
{
    uint8_t message[23 + 16 + 32], sig[64];
    memcpy(message, "sakimori/v1/restore-key", 23);
    int r = sm_unhex(d->id, 32, message + 23, 16);
    memcpy(message + 39, pub, 32);
    if (!r)
        r = crypto_sign(&d->keys.device, SM_SPAN(message, sizeof message), sig);
    if (!r)
        sm_hex(sig, 64, ret_hex);
    return r;
}

/* The manifest must be the one the signed order names: the box's front door could hand out another. */
static int check_manifest(const struct restored *d)
{
    struct cid id;
    char hex[CID_HEX];
    const char *wanted = json_string_value(json_object_get(d->order.args, "manifest"));
    manifest_id(sm_buf_span(&d->manifest), &id);
    cid_hex(&id, hex);
    return wanted && strcmp(wanted, hex) == 0 ? 0 : -SM_EAUTH;
}

static int ask_keys(struct restored *d)
{
    struct crypto_x25519_pair eph;
    char pub[65], sig[129], path[L_PATH_MAX];
    const json_t *more = NULL;
    json_t *got = NULL, *cursor = NULL;
    int r = crypto_x25519_generate(&eph);
    if (!r)
        r = sign_request(d, eph.public_key, sig);
    sm_hex(eph.public_key, 32, pub);
    snprintf(path, sizeof path, "/agent/v1/restores/%s/key", d->id);
    do {
        int status = 0;
        json_t *o = json_pack("{s:s,s:s,s:O?}", "eph_pub", pub, "sig", sig, "cursor", cursor);
        if (!r)
            r = o ? call_patient(d, path, o, PATIENCE_MS, true, &status, &got) : -ENOMEM;
        json_decref(o);
        if (!r && status != 200)
            r = status == 409 || status == 403 ? -SM_EDENIED : -SM_EPROTO;
        if (!r)
            r = take_keys(d, got, &eph);
        more = r ? NULL : json_object_get(got, "more");
        json_decref(cursor);
        cursor = more && !json_is_null(more) ? json_deep_copy(more) : NULL;
        json_decref(got);
        got = NULL;
    } while (!r && cursor);
    json_decref(cursor);
    crypto_x25519_wipe(&eph);
    return r ? r : check_manifest(d);
}

/* ---- the source of a restore ---- */

static int fetch(struct restored *d, const struct cid *cids, size_t n, struct sm_span *ret, struct fetch_way **ret_way)
{
    char path[L_PATH_MAX];
    uint64_t until = plat_clock_mono_ms() + PATIENCE_MS;
    struct fetch_way *w = NULL;
    int status = 0, r;
    snprintf(path, sizeof path, "/agent/v1/restores/%s/objects", d->id);
    for (;;) {
        r = fetch_objects(&d->carry, &d->link, path, SM_SPAN(cids, 32 * n), hear, d, &status, ret, &w);
        bool passing = r == -SM_EPEER || r == -SM_ETIME || r == -SM_EAGAIN || (!r && (status == 502 || status == 503));
        if (!passing || plat_clock_mono_ms() > until || stopped(d))
            break;
        if (!r)
            fetch_done(&d->carry, w);
        plat_clock_sleep_ms(2000);
    }
    if (!r && status != 200) {
        fetch_done(&d->carry, w);
        r = status == 403 || status == 404 || status == 401 ? -SM_EDENIED : -SM_EPEER;
    }
    if (!r)
        *ret_way = w;
    return r;
}

static int get_held(void *arg, const struct cid *cids, size_t n, restore_object_fn fn, void *fn_arg, void **ret_held)
{
    struct restored *d = arg;
    struct fetch_way *w = NULL;
    struct sm_span answer;
    int r = fetch(d, cids, n, &answer, &w);
    if (r)
        return r;
    struct sm_rd rd = SM_RD(answer);
    for (size_t i = 0; i < n && !rd.err; i++) {
        uint32_t len = sm_rd_u32(&rd);
        struct sm_span s = len == 0xffffffffu ? SM_SPAN(NULL, 0) : sm_rd_bytes(&rd, len);
        if (!rd.err)
            fn(fn_arg, i, len == 0xffffffffu ? -SM_EMISSING : 0, s);
    }
    if (rd.err) {
        fetch_done(&d->carry, w);
        return -SM_EPROTO;
    }
    *ret_held = w;
    return 0;
}

static void release(void *arg, void *held)
{
    struct restored *d = arg;
    fetch_done(&d->carry, held);
}

struct some { restore_object_fn fn; void *arg; size_t at; };

static void on_some(void *arg, size_t i, int err, struct sm_span sealed)
{
    const struct some *s = arg;
    s->fn(s->arg, s->at + i, err, sealed);
}

static int get_some(struct restored *d, const struct cid *cids, size_t at, size_t n, restore_object_fn fn, void *fn_arg)
{
    struct some s = {.fn = fn, .arg = fn_arg, .at = at};
    void *held = NULL;
    int r = get_held(d, cids + at, n, on_some, &s, &held);
    if (!r)
        release(d, held);
    return r;
}

static int get_many(void *arg, const struct cid *cids, size_t n, restore_object_fn fn, void *fn_arg)
{
    int r = 0;
    for (size_t at = 0; !r && at < n; at += GET_BATCH)
        r = get_some(arg, cids, at, n - at < GET_BATCH ? n - at : GET_BATCH, fn, fn_arg);
    return r;
}

static int file_key(void *arg, const struct cid *envelope, struct file_key *ret)
{
    const struct restored *d = arg;
    for (size_t i = d->keys_n; i-- > 0;) {
        if (cid_eq(&d->file_keys[i].envelope, envelope)) {
            *ret = d->file_keys[i].f;
            return 0;
        }
    }
    return -SM_EMISSING;
}

/* ---- this machine's policy ---- */

struct one {
    struct sm_buf *to;
    int err;
};

static void on_one(void *arg, size_t i, int err, struct sm_span sealed)
{
    struct one *o = arg;
    (void)i;
    o->err = err ? err : sm_buf_put_span(o->to, sealed);
}

static int get_one(void *arg, const struct cid *cid, uint8_t type, struct sm_buf *ret)
{
    struct one o = {.to = ret, .err = -SM_EPROTO};
    (void)type;
    int r = get_some(arg, cid, 0, 1, on_one, &o);
    return r ? r : o.err;
}

static int check_root(void *arg, const struct reader_node *n)
{
    struct restored *d = arg;
    char path[VAULT_NAME_MAX + 1];
    snprintf(path, sizeof path, "%.*s", (int)n->e.name.n, (const char *)n->e.name.p);
    return policy_may_read(&d->policy, path) ? 0 : -SM_EDENIED;
}

/* Back to the original place: every folder of the generation must be one that the policy allows. */
static int check_policy(struct restored *d, const struct restore_config *c)
{
    if (!d->policy.allow_n || c->target != RESTORE_ORIGINAL)
        return 0;
    const struct reader_source source = {.get = get_one, .file_key = file_key, .arg = d};
    struct reader *r = NULL;
    int e = reader_open(&source, sm_buf_span(&d->manifest), d->sign_pub, &r);
    if (!e)
        e = reader_list(r, SM_SPAN(NULL, 0), check_root, d);
    reader_close(r);
    return e;
}

/* ---- watching ---- */

static void on_progress(void *arg, const struct restore_progress *p)
{
    struct restored *d = arg;
    uint64_t now = plat_clock_mono_ms();
    if (now - d->told_ms < PROGRESS_MS)
        return;
    fetch_take_turn(&d->carry);
    d->told_ms = now;
    char path[L_PATH_MAX];
    json_t *got = NULL,
           *o = json_pack("{s:s,s:I,s:I,s:I,s:I}", "phase", "write", "files", (json_int_t)p->files, "files_total",
               (json_int_t)d->files_total, "bytes", (json_int_t)p->bytes, "bytes_total", (json_int_t)d->bytes_total);
    int status = 0;
    snprintf(path, sizeof path, "/agent/v1/restores/%s/progress", d->id);
    if (o && !carrier_json(d->link, path, o, &status, &got) && json_is_true(json_object_get(got, "cancel")))
        atomic_store(&d->cancelled, true);
    hear(d);
    fetch_give_turn(&d->carry);
    json_decref(o);
    json_decref(got);
}

static void list_problem(struct restored *d, struct sm_span path, int err, const char *what)
{
    if (json_array_size(d->problems) >= PROBLEMS_MAX)
        return;
    struct sm_buf b64 = SM_BUF_INIT(64 << 10);
    json_t *o = json_pack("{s:s,s:s}", "error", sm_strerror(err), "what", what);
    if (o && sm_utf8_valid(path))
        json_object_set_new(o, "path", json_stringn((const char *)path.p, path.n));
    else if (o && !sm_base64(path, &b64))
        json_object_set_new(o, "path_b64", json_stringn((const char *)b64.p, b64.n));
    json_array_append_new(d->problems, o);
    sm_buf_wipe(&b64);
}

static void on_problem(void *arg, struct sm_span path, int err, const char *what)
{
    struct restored *d = arg;
    d->problems_total++;
    list_problem(d, path, err, what);
}

static void on_difference(void *arg, struct sm_span path, int err, const char *what)
{
    struct restored *d = arg;
    d->drill.differences++;
    list_problem(d, path, err, what);
}

/* ---- a drill: what was restored is read back and compared, and removed ---- */

/* The place must be the drill's own: then no policy of the machine speaks of it. */
static int drill_begin(struct restored *d)
{
    d->drill.on = json_is_true(json_object_get(d->order.args, "drill"));
    if (!d->drill.on)
        return 0;
    drill_clear();
    drill_path(d->id, d->drill.path);
    return drill_make(d->drill.path);
}

static int drill_compare(struct restored *d, const struct restore_config *c, int r)
{
    uint64_t now = plat_clock_mono_ms();
    struct restore_result res = {0};
    d->drill.restore_ms = now - d->started_ms;
    if (!r || r == -SM_EPARTIAL) {
        const struct restore_source source = {.get_many = get_many, .get_held = get_held, .release = release,
            .file_key = file_key, .parallel = true, .arg = d};
        const struct restore_watch watch = {
            .progress = on_progress, .cancelled = stopped, .problem = on_difference, .arg = d};
        int e = restore_compare(c, &source, &watch, &res);
        d->drill.equal = !e && !r;
        if (e && e != -SM_EMISMATCH)
            r = e;
    }
    d->drill.compare_ms = plat_clock_mono_ms() - now;
    return r;
}

/* ---- a drill of databases: a server is started from what was restored ---- */

static void proof_pump(void *arg, int ms)
{
    struct restored *d = arg;
    fetch_take_turn(&d->carry);
    hear(d);
    fetch_give_turn(&d->carry);
    plat_clock_sleep_ms((unsigned)ms);
}

static void proof_problem(void *arg, const char *path, const char *error, const char *what)
{
    struct restored *d = arg;
    d->problems_total += error[0] != 0;
    if (json_array_size(d->problems) < PROBLEMS_MAX)
        json_array_append_new(d->problems, json_pack("{s:s,s:s,s:s}", "path", path, "error", error, "what", what));
}

static void proof_now(void *arg, const char *text, uint64_t bytes)
{
    struct restored *d = arg;
    char path[L_PATH_MAX];
    json_t *got = NULL, *o = json_pack("{s:s,s:I,s:I,s:s}", "phase", "database", "files", (json_int_t)d->files_total,
                            "bytes", (json_int_t)bytes, "now", text);
    int status = 0;
    snprintf(path, sizeof path, "/agent/v1/restores/%s/progress", d->id);
    fetch_take_turn(&d->carry);
    if (o && !carrier_json(d->link, path, o, &status, &got) && json_is_true(json_object_get(got, "cancel")))
        atomic_store(&d->cancelled, true);
    fetch_give_turn(&d->carry);
    json_decref(o);
    json_decref(got);
}

/* The order says that the source is a database, and of which kind.  What cannot be tried is said, never passed over. */
static int drill_serve(struct restored *d)
{
    const char *kind = json_string_value(json_object_get(d->order.args, "database"));
    struct helper_work w = {.name = "proof", .limit_s = PROOF_LIMIT_S};
    if (!kind || strlen(kind) >= sizeof w.kind || !d->drill.equal)
        return 0;
    memcpy(w.kind, kind, strlen(kind));
    snprintf(w.source, sizeof w.source, "%s", d->id);
    d->drill.assist = (struct assist){.up = d->up, .pump = proof_pump, .stopped = stopped, .problem = proof_problem,
        .now = proof_now, .arg = d};
    int r = assist_proof(&d->drill.assist, &w, &d->drill.server);
    if (r && r != -SM_ECANCEL)
        d->drill.server = json_pack("{s:s,s:s,s:s}", "state", "files", "why", "died", "kind", kind);
    return r == -SM_ECANCEL ? r : 0;
}

/* ---- one restore ---- */

static int read_target(struct restored *d, struct restore_config *c, struct sm_buf *place)
{
    struct sm_obj a = SM_OBJ(d->order.args), t = SM_OBJ(sm_obj_obj(&a, "target"));
    const char *mode = sm_obj_str(&t, "mode", 1, 16), *existing = sm_obj_str(&a, "existing", 1, 16);
    if (a.err || t.err)
        return a.err ? a.err : t.err;
    c->target = strcmp(mode, "place") == 0 ? RESTORE_PLACE : RESTORE_ORIGINAL;
    c->existing = strcmp(existing, "overwrite") == 0 ? RESTORE_OVERWRITE
                  : strcmp(existing, "skip") == 0    ? RESTORE_SKIP
                                                     : RESTORE_ASIDE;
    if (c->target == RESTORE_ORIGINAL)
        return 0;
    const char *b64 = sm_obj_str(&t, "place", 1, 8192);
    int r = t.err ? t.err : sm_unbase64(SM_SPAN_STR(b64), place);
    c->place = r ? NULL : sm_buf_str(place);
    if (!r && (!c->place || c->place[0] != '/' || strlen(c->place) != place->n))
        r = -SM_EINVAL;
    if (!r && d->drill.on)
        return strcmp(c->place, d->drill.path) == 0 ? 0 : -SM_EINVAL;
    return r ? r : policy_may_read(&d->policy, c->place) ? 0 : -SM_EDENIED;
}

static int read_paths(struct restored *d, struct sm_span *ret, size_t *ret_n, struct sm_buf *text)
{
    const json_t *list = json_object_get(d->order.args, "paths");
    size_t n = json_array_size(list);
    if (n > PATHS_MAX)
        return -SM_ELIMIT;
    int r = 0;
    for (size_t i = 0; i < n && !r; i++) {
        const char *b64 = json_string_value(json_array_get(list, i));
        size_t at = text->n;
        r = b64 ? sm_unbase64(SM_SPAN_STR(b64), text) : -SM_EFORMAT;
        ret[i] = SM_SPAN((const uint8_t *)at, text->n - at); /* an offset until the buffer stands still */
    }
    for (size_t i = 0; i < n && !r; i++)
        ret[i].p = text->p + (size_t)ret[i].p;
    *ret_n = n;
    return r;
}

/* Nothing from outside but the signed order was taken until here; from here on the folder left out is out of reach. */
static int confine_to_order(struct restored *d, const char *notes, const uint8_t id[16])
{
    int r = reach_take(&d->order, d->skip, &d->reach);
    if (r == -SM_EDENIED)
        on_problem(d, SM_SPAN_STR(d->reach.refused), r, "the box's own folder");
    if (!r)
        r = reach_confine(&d->reach, notes, id, &d->confined);
    if (!r && d->skip && !d->confined.landlock)
        sm_warn("the box's own folder is not out of reach: %s", d->confined.missing);
    return r;
}

static int run(struct restored *d, struct restore_result *res)
{
    struct sm_span *paths = calloc(PATHS_MAX, sizeof *paths);
    struct sm_buf place = SM_BUF_INIT(8192), text = SM_BUF_INIT((size_t)4 << 20);
    struct restore_config c = {.device_public = d->sign_pub,
        .paths = paths,
        .state_dir = -1,
        .skip = d->policy.skip,
        .skip_n = d->policy.skip_n,
        .keep = d->above,
        .keep_n = policy_above(&d->policy, d->above)};
    char folder[AGENT_PATH_MAX + 32];
    int r = paths ? sm_unhex(d->id, 32, c.id, 16) : -ENOMEM;
    snprintf(folder, sizeof folder, "%s/orders", d->config.data);
    if (!r)
        r = drill_begin(d);
    if (!r)
        r = confine_to_order(d, folder, c.id);
    if (!r)
        r = read_target(d, &c, &place);
    if (!r)
        r = read_paths(d, paths, &c.paths_n, &text);
    if (!r)
        r = ask_keys(d);
    if (!r)
        r = check_policy(d, &c);
    if (!r) {
        c.work = d->reach.work;
        c.manifest = sm_buf_span(&d->manifest);
        c.state_dir = plat_fs_open_dir(AT_FDCWD, folder);
        const struct restore_source source = {.get_many = get_many, .get_held = get_held, .release = release,
            .file_key = file_key, .parallel = true, .arg = d};
        const struct restore_watch watch = {
            .progress = on_progress, .cancelled = stopped, .problem = on_problem, .arg = d};
        c.sync = d->drill.on; /* what is compared is on the disk */
        r = restore_run(&c, &source, &watch, res);
        if (d->drill.on)
            r = drill_compare(d, &c, r);
        if (d->drill.on && !r)
            r = drill_serve(d);
    }
    if (d->drill.on)
        d->drill.removed = drill_remove(d->drill.path);
    if (c.state_dir >= 0)
        close(c.state_dir);
    reach_wipe(&d->reach);
    free(paths);
    sm_buf_wipe(&place);
    sm_buf_wipe(&text);
    return r;
}

/* What was measured, signed by the device: {"drill", "files", "bytes", "manifest", "problems", "restore", "status", "v"} as
 * canonical JSON under "sakimori/v1/drill" (PROTOCOL-agent.md). */
static json_t *drill_told(struct restored *d, const char *status, const struct restore_result *res)
{
    json_t *told = json_pack("{s:b,s:b,s:I,s:I,s:I,s:O?}", "equal", d->drill.equal, "removed", d->drill.removed,
        "differences", (json_int_t)d->drill.differences, "restore_ms", (json_int_t)d->drill.restore_ms, "compare_ms",
        (json_int_t)d->drill.compare_ms, "server", d->drill.server);
    json_t *all = json_pack("{s:i,s:s,s:s,s:s,s:I,s:I,s:I,s:O}", "v", 1, "restore", d->id, "manifest",
        json_string_value(json_object_get(d->order.args, "manifest")), "status", status, "files", (json_int_t)res->files,
        "bytes", (json_int_t)res->bytes, "problems", (json_int_t)d->problems_total, "drill", told);
    struct sm_buf b = SM_BUF_INIT(CRYPTO_SIGN_MESSAGE_MAX);
    uint8_t sig[64];
    char hex[129];
    int r = all ? sm_buf_put(&b, "sakimori/v1/drill", 17) : -ENOMEM;
    if (!r)
        r = sm_json_dump(all, &b);
    if (!r)
        r = crypto_sign(&d->keys.device, sm_buf_span(&b), sig);
    if (!r) {
        sm_hex(sig, 64, hex);
        json_object_set_new(told, "sig", json_string(hex));
    }
    sm_buf_wipe(&b);
    json_decref(all);
    return told;
}

static void tell_end(struct restored *d, int r, const struct restore_result *res)
{
    char path[L_PATH_MAX];
    const char *status_name = r == -SM_EPARTIAL  ? "partial"
                              : r == -SM_ECANCEL ? "cancelled"
                              : r                ? "failed"
                                                 : "complete";
    json_t *o =
        json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:O,s:I}", "status", status_name, "files", (json_int_t)res->files,
            "bytes", (json_int_t)res->bytes, "same", (json_int_t)res->same, "set_aside", (json_int_t)res->set_aside,
            "skipped", (json_int_t)res->skipped, "ms", (json_int_t)(plat_clock_mono_ms() - d->started_ms), "problems",
            d->problems, "problems_total", (json_int_t)d->problems_total);
    if (o && d->drill.on)
        json_object_set_new(o, "drill", drill_told(d, status_name, res));
    if (o && r && r != -SM_EPARTIAL && r != -SM_ECANCEL)
        json_object_set_new(o, "error", json_string(sm_strerror(r)));
    snprintf(path, sizeof path, "/agent/v1/restores/%s/end", d->id);
    int status = 0;
    if (o && call_patient(d, path, o, END_PATIENCE_MS, false, &status, NULL))
        sm_warn("the end of the restore could not be told");
    json_decref(o);
}

/* ---- life ---- */

static void reply(struct restored *d, const struct sm_ipc_msg *m, const char *state, const char *detail)
{
    struct sm_buf t = SM_BUF_INIT(4096);
    json_t *o = json_pack("{s:s,s:s}", "state", state, "detail", detail);
    if (o && !sm_json_dump(o, &t))
        (void)sm_ipc_reply(d->link, m, 0, sm_buf_span(&t), -1); /* link gone: the order runs all the same */
    json_decref(o);
    sm_buf_wipe(&t);
}

static int take_order(struct restored *d, const struct sm_ipc_msg *m)
{
    json_t *row = NULL;
    char why[160] = "", used[AGENT_PATH_MAX + 32];
    snprintf(used, sizeof used, "%s/orders/restore.used", d->config.data);
    int r = sm_json_parse(m->body, ORDER_MAX * 2, &row, why);
    if (!r)
        r = order_take(row, d->config.order_pub, d->config.device, used, &d->order, why);
    json_decref(row);
    if (!r && strcmp(d->order.kind, "restore") != 0)
        r = -SM_EINVAL;
    const char *id = r ? NULL : json_string_value(json_object_get(d->order.args, "restore"));
    if (!r && (!id || strlen(id) != 32))
        r = -SM_EINVAL;
    if (!r)
        snprintf(d->id, sizeof d->id, "%s", id);
    if (r)
        sm_warn("a restore order was refused: %s", why[0] ? why : sm_strerror(r));
    reply(d, m, r ? r == -SM_EEXISTS ? "accepted" : "refused" : "accepted", r ? (why[0] ? why : sm_strerror(r)) : "");
    return r;
}

/* Link is attached first, then it hands over the order. */
static int wait_order(struct restored *d)
{
    uint64_t until = plat_clock_mono_ms() + ORDER_WAIT_MS;
    struct sm_ipc_msg m;
    while (plat_clock_mono_ms() < until) {
        int r = sm_ipc_recv(d->link ? d->link : d->up, 1000, &m);
        if (r == -SM_ETIME)
            continue;
        if (r)
            return r;
        if (m.type == L_ORDER)
            return take_order(d, &m);
        if (m.type == A_STOP)
            return -SM_ECANCEL;
        r = take_link(d, &m);
        if (r)
            return r;
    }
    return -SM_ETIME;
}

static int confine(struct plat_confined *c)
{
    static const int caps[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SETFCAP, CAP_MKNOD, CAP_FSETID};
    const struct part_rules rules = {.profile = "agent-restore", .user = "", .caps = caps, .caps_n = 6, .nofile = 1024};
    return part_confine(&rules, c);
}

static int restore_start(struct restored *d, const char *data, const char *skip, char *why)
{
    int r = crypto_init();
    if (!r)
        r = agent_config_load(data, &d->config, why);
    if (!r)
        r = policy_load(data, skip, &d->policy, why);
    if (!r)
        r = agent_keys_load(data, &d->keys, why);
    if (!r)
        r = confine(&d->confined);
    return r ? r : part_begin_plain(from_up, 2, &d->confined, &d->up);
}

int restore_main(const char *data, const char *skip)
{
    struct restored *d = calloc(1, sizeof *d);
    struct restore_result res = {0};
    char why[160] = "";
    if (!d)
        return 1;
    (void)mallopt(M_ARENA_MAX, 1); /* one heap for all threads: memory counts more here than a little waiting */
    fetch_init(&d->carry);
    d->skip = skip;
    d->reach.work = -1;
    d->manifest.max = MANIFEST_MAX;
    d->problems = json_array();
    d->started_ms = plat_clock_mono_ms();
    int r = restore_start(d, data, skip, why);
    if (!r)
        r = wait_order(d);
    if (!r) {
        r = run(d, &res);
        if (r)
            sm_warn("restore %s: %s", d->id, sm_strerror(r));
        tell_end(d, r, &res);
        sync(); /* what was told is written; a power cut before this is over costs another restore, nothing else */
    } else {
        sm_error("%s", why[0] ? why : sm_strerror(r));
    }
    sm_zero(d->file_keys, d->keys_n * sizeof *d->file_keys);
    free(d->file_keys);
    agent_keys_wipe(&d->keys);
    agent_config_wipe(&d->config);
    order_wipe(&d->order);
    json_decref(d->problems);
    json_decref(d->drill.server);
    sm_buf_wipe(&d->manifest);
    sm_ipc_free(d->link);
    sm_ipc_free(d->up);
    fetch_wipe(&d->carry);
    free(d);
    return r && r != -SM_EPARTIAL ? 1 : 0;
}
