/*
 * selfsave: the box's own backup, and that of its record of logs, one generation of one ordinary client (docs/FORMAT-vault.md section 13).  Started by the
 * parent when brain asks, ended after it.  Sees the copy of the database and audit log that brain laid out (reading only),
 * the few files of the parent's that it read before it was confined, and of keyd's secrets only what is sealed to the
 * recovery sheet.  No network; the vault takes its packs and manifest with the checks of any client.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/log.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/random.h"
#include "crypto/sign.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimorid/wire.h"
#include "vault/backup/backup.h"
#include "vault/seal/selfkeys.h"

#define FILES_MAX 16u
#define FILE_MAX ((size_t)256 << 10)
#define CALL_MS 120000
#define PIECE ((size_t)256 << 10)
#define STAGE "stage"
#define KEYS_FILE "self.json"
#define PATH_BYTES 4200

/* What belongs to the parent, read while we still are it. */
struct kept {
    char name[64];
    struct sm_buf content;
};

struct selfsave {
    struct child *c;
    int dir; /* DATA/self */
    struct kept kept[FILES_MAX];
    size_t kept_n;
    struct client_id client;
    struct source_id source;
    struct crypto_sign_pair sign;
    uint8_t k_id[32], k_look[32];
    char session[33];
    json_t *problems;
    uint8_t *pack;
};

static struct selfsave *self_of(struct child *c)
{
    return c->state;
}

/* ---- the parent's files ---- */

static bool is_kept(const char *name, size_t n)
{
    return n > 5 && n < 60 && name[0] != '.' && (!strcmp(name + n - 5, ".json") || !strcmp(name + n - 5, ".conf"));
}

struct early { struct selfsave *s; int dir; };

static int keep_one(struct selfsave *s, int dir, const char *path, const char *name)
{
    if (s->kept_n == FILES_MAX)
        return -SM_ELIMIT;
    struct kept *k = &s->kept[s->kept_n];
    k->content = SM_BUF_INIT(FILE_MAX);
    int r = plat_fs_read_file(dir, path, FILE_MAX, &k->content);
    if (r) {
        sm_buf_wipe(&k->content);
        return r == -ENOENT ? 0 : r;
    }
    snprintf(k->name, sizeof k->name, "%s", name);
    s->kept_n++;
    return 0;
}

static int keep_listed(void *arg, struct sm_span name, unsigned char type)
{
    struct early *e = arg;
    const char *text = (const char *)name.p;
    (void)type;
    return is_kept(text, name.n) ? keep_one(e->s, e->dir, text, text) : 0;
}

/* Mail server with its password, and whatever else of the kind stands in the data folder; the settings file. */
static int selfsave_early(struct child *c)
{
    struct early e = {.s = self_of(c), .dir = plat_fs_open_dir(AT_FDCWD, c->data)};
    if (e.dir < 0)
        return e.dir;
    int r = plat_fs_list(e.dir, keep_listed, &e);
    close(e.dir);
    if (!r)
        r = keep_one(e.s, AT_FDCWD, "/etc/sakimori/sakimori.conf", "etc-sakimori.conf");
    return r == -EACCES ? 0 : r;
}

/* ---- who we are ---- */

static int keys_read(struct selfsave *s)
{
    struct sm_buf t = SM_BUF_INIT(4096);
    json_t *j = NULL;
    uint8_t seed[32];
    int r = plat_fs_read_file(s->dir, KEYS_FILE, 4096, &t);
    if (!r)
        r = sm_json_parse(sm_buf_span(&t), 4096, &j, NULL);
    if (!r) {
        struct sm_obj o = SM_OBJ(j);
        sm_obj_hex(&o, "client", s->client.b, 16);
        sm_obj_hex(&o, "source", s->source.b, 16);
        sm_obj_hex(&o, "seed", seed, 32);
        sm_obj_hex(&o, "k_id", s->k_id, 32);
        sm_obj_hex(&o, "k_look", s->k_look, 32);
        r = o.err ? o.err : crypto_sign_from_seed(seed, &s->sign);
    }
    sm_zero(seed, sizeof seed);
    sm_json_drop_secret(j);
    sm_buf_wipe(&t);
    return r;
}

/* The record of logs is a source of its own, of the same client: its number follows from the other's. */
static struct source_id logs_source(const struct selfsave *s)
{
    struct source_id ret;
    uint8_t hash[32];
    const struct sm_span parts[] = { SM_SPAN_STR("sakimori/v1/self-logs"), SM_SPAN(s->source.b, sizeof s->source.b) };
    crypto_sha256v(parts, 2, hash);
    memcpy(ret.b, hash, sizeof ret.b);
    return ret;
}

static int keys_make(struct selfsave *s)
{
    struct sm_buf t = SM_BUF_INIT(4096);
    int r = crypto_sign_generate(&s->sign);
    crypto_random(s->client.b, 16);
    crypto_random(s->source.b, 16);
    crypto_random(s->k_id, 32);
    crypto_random(s->k_look, 32);
    json_t *j = json_pack("{s:i}", "version", 1);
    wire_hex(j, "client", s->client.b, 16);
    wire_hex(j, "source", s->source.b, 16);
    wire_hex(j, "seed", s->sign.seed, 32);
    wire_hex(j, "k_id", s->k_id, 32);
    wire_hex(j, "k_look", s->k_look, 32);
    if (!r)
        r = j ? sm_json_dump(j, &t) : -ENOMEM;
    if (!r)
        r = plat_replace(s->dir, KEYS_FILE, sm_buf_span(&t), 0600);
    sm_json_drop_secret(j);
    sm_buf_wipe(&t);
    return r;
}

/* ---- what goes in beside the copy of the database ---- */

static int stage_keys(struct selfsave *s, int stage, char *why)
{
    uint8_t who[48];
    struct sm_buf sealed = SM_BUF_INIT(SM_IPC_BODY_MAX);
    memcpy(who, s->client.b, 16);
    memcpy(who + 16, s->sign.public_key, 32);
    int r = child_call(s->c, WHO_KEYD, K_SELF, SM_SPAN(who, sizeof who), CALL_MS, &sealed, why);
    if (!r)
        r = plat_replace(stage, "keys.skb", sm_buf_span(&sealed), 0600);
    sm_buf_wipe(&sealed);
    return r;
}

static int stage_make(struct selfsave *s, char *why)
{
    struct sm_buf t = SM_BUF_INIT(4096);
    int r = plat_fs_remove_tree(s->dir, STAGE); /* of a run that was cut off */
    if (!r || r == -ENOENT)
        r = plat_fs_mkdir(s->dir, STAGE, 0700);
    int stage = r ? r : plat_fs_open_dir(s->dir, STAGE);
    if (stage < 0)
        return stage;
    r = plat_fs_read_file(s->dir, KEYS_FILE, 4096, &t);
    if (!r)
        r = plat_replace(stage, KEYS_FILE, sm_buf_span(&t), 0600);
    for (size_t i = 0; i < s->kept_n && !r; i++)
        r = plat_replace(stage, s->kept[i].name, sm_buf_span(&s->kept[i].content), 0600);
    if (!r)
        r = stage_keys(s, stage, why);
    close(stage);
    sm_buf_wipe(&t);
    return r;
}

/* ---- the sink: the vault, as front would ask it ---- */

static int ask(struct selfsave *s, uint16_t type, json_t *body, json_t **ret)
{
    struct sm_buf in = SM_BUF_INIT(4096), out = SM_BUF_INIT(1 << 16);
    int r = body ? sm_json_dump(body, &in) : -ENOMEM;
    if (!r)
        r = child_call(s->c, WHO_VAULT, type, sm_buf_span(&in), CALL_MS, &out, NULL);
    if (!r && ret)
        r = sm_json_parse(sm_buf_span(&out), 1 << 16, ret, NULL);
    json_decref(body);
    sm_buf_wipe(&in);
    sm_buf_wipe(&out);
    return r;
}

static int ask_join(struct selfsave *s, uint16_t type, json_t *head, struct sm_span raw, struct sm_buf *ret)
{
    struct sm_buf in = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = head ? msg_join(head, raw, &in) : -ENOMEM;
    if (!r)
        r = child_call(s->c, WHO_VAULT, type, sm_buf_span(&in), CALL_MS, ret, NULL);
    json_decref(head);
    sm_buf_wipe(&in);
    return r;
}

static int sink_have(void *arg, const struct cid *cids, size_t n, uint8_t *bitmap)
{
    struct selfsave *s = arg;
    struct sm_buf out = SM_BUF_INIT(1 << 16);
    json_t *head = json_object();
    wire_hex(head, "client", s->client.b, 16);
    int r = ask_join(s, V_HAVE, head, SM_SPAN(cids, 32 * n), &out);
    if (!r && out.n != (n + 7) / 8)
        r = -SM_EPROTO;
    if (!r)
        memcpy(bitmap, out.p, out.n);
    sm_buf_wipe(&out);
    return r;
}

static int send_pieces(struct selfsave *s, uint32_t handle, uint64_t from, uint64_t bytes)
{
    struct sm_buf piece = SM_BUF_INIT(PIECE + 4), none = SM_BUF_INIT(64);
    int r = 0;
    for (uint64_t at = from; at < bytes && !r;) {
        size_t n = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
        sm_buf_clear(&piece);
        sm_buf_clear(&none);
        r = sm_buf_put_u32(&piece, handle);
        if (!r)
            r = sm_buf_put(&piece, s->pack + at, n);
        if (!r)
            r = child_call(s->c, WHO_VAULT, V_PACK_DATA, sm_buf_span(&piece), CALL_MS, &none, NULL);
        at += n;
    }
    sm_buf_wipe(&piece);
    sm_buf_wipe(&none);
    return r;
}

static int sink_pack(void *arg, unsigned place, const struct cid *id, const struct pack_builder *pack, uint64_t bytes)
{
    struct selfsave *s = arg;
    char hex[CID_HEX];
    json_t *a = NULL;
    (void)place;
    if (bytes > PACK_BYTES_MAX || pack_copy(pack, 0, s->pack, PACK_BYTES_MAX) != bytes)
        return -SM_ELIMIT;
    cid_hex(id, hex);
    int r = ask(s, V_PACK_BEGIN, json_pack("{s:s,s:s,s:I,s:i}", "session", s->session, "pack", hex, "length",
        (json_int_t)bytes, "offset", 0), &a);
    if (r)
        return r;
    json_int_t handle = json_integer_value(json_object_get(a, "handle"));
    json_int_t have = json_integer_value(json_object_get(a, "have"));
    r = have < 0 ? -SM_EPROTO : send_pieces(s, (uint32_t)handle, (uint64_t)have, bytes);
    if (!r)
        r = ask(s, V_PACK_END, json_pack("{s:I}", "handle", handle), NULL);
    json_decref(a);
    return r;
}

static int read_missing(const json_t *o, struct sm_buf *ret)
{
    size_t i;
    json_t *v;
    json_array_foreach (json_object_get(o, "missing"), i, v) {
        struct cid cid;
        int r = json_is_string(v) ? cid_unhex(json_string_value(v), &cid) : -SM_EPROTO;
        if (!r)
            r = sm_buf_put(ret, cid.b, 32);
        if (r)
            return r;
    }
    return -SM_EMISSING;
}

static int sink_manifest(
    void *arg, const struct cid *id, struct sm_span manifest, struct sm_buf *ret_missing, bool *ret_more)
{
    struct selfsave *s = arg;
    struct sm_buf out = SM_BUF_INIT(SM_IPC_BODY_MAX);
    json_t *a = NULL;
    (void)id;
    int r = ask_join(s, V_MANIFEST, json_pack("{s:s}", "session", s->session), manifest, &out);
    if (!r)
        r = sm_json_parse(sm_buf_span(&out), SM_IPC_BODY_MAX, &a, NULL);
    const char *refusal = json_string_value(json_object_get(a, "refusal"));
    if (!r && refusal && !strcmp(refusal, "missing")) {
        *ret_more = json_is_true(json_object_get(a, "more"));
        r = read_missing(a, ret_missing);
    } else if (!r && refusal) {
        sm_warn("the vault refused the box's own generation: %s", refusal);
        r = -SM_EDENIED;
    }
    json_decref(a);
    sm_buf_wipe(&out);
    return r;
}

/* ---- a run ---- */

static void on_problem(void *arg, struct sm_span path, int err, const char *what)
{
    struct selfsave *s = arg;
    json_t *p = json_stringn((const char *)path.p, path.n < 200 ? path.n : 200);
    if (json_array_size(s->problems) < 20)
        json_array_append_new(s->problems,
            json_pack("{s:o,s:s,s:s}", "path", p ? p : json_string("?"), "what", what, "error", sm_strerror(err)));
    else
        json_decref(p);
}

static int take_order(struct selfsave *s, struct sm_obj *o, struct backup_config *b, struct sm_buf *set)
{
    const char *session = sm_obj_str(o, "session", 32, 32), *hex = sm_obj_str(o, "recipients", 2, 8192);
    snprintf(s->session, sizeof s->session, "%s", session);
    sm_obj_hex(o, "session", b->session.b, 16);
    sm_obj_hex(o, "vault", b->vault.b, 16);
    sm_obj_hex(o, "run", b->run_id.b, 16);
    sm_obj_hex(o, "previous", b->previous.b, 32);
    b->number = (uint64_t)sm_obj_int(o, "number", 1, INT64_MAX);
    size_t n = strlen(hex) / 2;
    int r = o->err ? o->err : sm_buf_reserve(set, n);
    if (!r)
        r = sm_unhex(hex, 2 * n, set->p, n);
    if (!r)
        set->n = n;
    b->recipients = sm_buf_span(set);
    return r;
}

static json_t *told(const struct selfsave *s, const struct backup_result *res)
{
    char hex[CID_HEX];
    cid_hex(&res->manifest, hex);
    json_t *o = json_pack("{s:s,s:s,s:I,s:I,s:I,s:O}", "manifest", hex, "status",
        res->status == RUN_COMPLETE ? "complete" : "partial", "files", (json_int_t)res->counts.files, "bytes",
        (json_int_t)res->counts.bytes, "stored", (json_int_t)res->counts.bytes_new_stored, "problems", s->problems);
    return o;
}

static int paths(const struct selfsave *s, bool logs, char first[PATH_BYTES], char second[PATH_BYTES])
{
    int n = snprintf(first, PATH_BYTES, logs ? "%s/journal/saved" : "%s/self/" STAGE, s->c->data);
    int m = snprintf(second, PATH_BYTES, "%s/state/self", s->c->data);
    return n < 0 || m < 0 || n >= PATH_BYTES || m >= PATH_BYTES ? -SM_ELIMIT : 0;
}

/* Of the logs each generation is all that is kept: it holds no slot of retention, and those before it go when their lock is over. */
static int run(struct selfsave *s, struct sm_obj *o, bool logs, struct backup_result *res, char *why)
{
    char first[PATH_BYTES], second[PATH_BYTES];
    const char *roots[] = {first, second};
    static const char *const shown[] = {"/box", "/state"}, *const shown_logs[] = {"/journal"};
    struct sm_buf set = SM_BUF_INIT(8192);
    const struct backup_sink sink = {
        .have = sink_have, .put_pack = sink_pack, .put_manifest = sink_manifest, .arg = s};
    const struct backup_watch watch = {.problem = on_problem, .arg = s};
    struct backup_config b = {.client = s->client, .source = logs ? logs_source(s) : s->source,
        .run = logs ? RUN_ADHOC : RUN_SCHEDULED, .k_id = s->k_id, .k_look = s->k_look, .device = &s->sign,
        .label = logs ? SM_SPAN_STR(SELFKEYS_LOGS_LABEL) : SM_SPAN_STR(SELFKEYS_LABEL), .sealers = 1, .state_dir = -1,
        .scan = {.roots = roots, .roots_n = logs ? 1 : 2, .shown = logs ? shown_logs : shown, .tmp_dir = -1}};
    int r = paths(s, logs, first, second);
    if (!r)
        r = take_order(s, o, &b, &set);
    if (!r && !logs)
        r = stage_make(s, why);
    if (!r)
        r = plat_fs_mkdir(s->dir, "cache", 0700);
    if (!r || r == -EEXIST || r == -SM_EEXISTS)
        r = b.state_dir = plat_fs_open_dir(s->dir, "cache");
    s->pack = r < 0 ? NULL : malloc(PACK_BYTES_MAX);
    if (r >= 0)
        r = s->pack ? backup_run(&b, &sink, &watch, res) : -ENOMEM;
    free(s->pack);
    s->pack = NULL;
    if (b.state_dir >= 0)
        close(b.state_dir);
    (void)!plat_fs_remove_tree(s->dir, STAGE); /* the next run begins with it */
    sm_buf_wipe(&set);
    return r;
}

static void on_run(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct selfsave *s = self_of(c);
    struct backup_result res = {0};
    char why[160] = "";
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    s->problems = json_array();
    const char *what = sm_obj_str_opt(&o, "what", 8);
    int r = run(s, &o, what && !strcmp(what, "logs"), &res, why);
    wire_answer(ipc, m, r ? NULL : told(s, &res), r, o.err ? o.why : why);
    json_decref(s->problems);
    s->problems = NULL;
    json_decref(in);
}

static void on_hello(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct selfsave *s = self_of(c);
    json_t *o = json_object();
    wire_hex(o, "client", s->client.b, 16);
    wire_hex(o, "source", s->source.b, 16);
    struct source_id logs = logs_source(s);
    wire_hex(o, "logs", logs.b, 16);
    wire_hex(o, "sign_pub", s->sign.public_key, 32);
    wire_answer(ipc, m, o, 0, NULL);
}

/* ---- life ---- */

static int selfsave_start(struct child *c)
{
    struct selfsave *s = self_of(c);
    char path[PATH_BYTES];
    if (c->confined.uid && !c->confined.landlock) {
        child_fatal(c, "this kernel has no Landlock: the box does not save itself");
        return -SM_EUNSUPPORTED;
    }
    int n = snprintf(path, sizeof path, "%s/self", c->data);
    if (n < 0 || (size_t)n >= sizeof path)
        return -SM_ELIMIT;
    plat_proc_background();
    int r = crypto_init();
    s->dir = r ? -1 : plat_fs_open_dir(AT_FDCWD, path);
    if (!r)
        r = s->dir < 0 ? s->dir : keys_read(s);
    return r == -ENOENT ? keys_make(s) : r;
}

static void selfsave_end(struct child *c)
{
    struct selfsave *s = self_of(c);
    for (size_t i = 0; i < s->kept_n; i++)
        sm_buf_wipe(&s->kept[i].content);
    crypto_sign_wipe(&s->sign);
    sm_zero(s->k_id, 32);
    sm_zero(s->k_look, 32);
    if (s->dir >= 0)
        close(s->dir);
}

static const struct child_handler handlers[] = {
    {WHO_BRAIN, S_HELLO, on_hello},
    {WHO_BRAIN, S_RUN, on_run},
};

int selfsave_main(struct child *c)
{
    struct selfsave s = {.c = c, .dir = -1};
    const struct child_spec spec = {.handlers = handlers,
        .handlers_n = sizeof handlers / sizeof handlers[0],
        .early = selfsave_early,
        .start = selfsave_start,
        .end = selfsave_end};
    c->state = &s;
    return child_run(c, &spec);
}
