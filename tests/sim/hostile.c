/*
 * A machine in the attacker's hands: certificate, TLS key and device key are his.  What an honest agent would do is
 * done by the agent's own code (backup_run); what it never would is done by hand here. "refused" is judged from the
 * answers alone; what really counts, that earlier generations are unchanged and can be restored, is for the test that
 * runs this.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/json.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/agent.h"
#include "sim.h"
#include "vault/backup/backup.h"
#include "vault/snapshot/manifest.h"

#define ANSWER_MAX ((size_t)16 << 20)
#define FLOOD 200

struct foe {
    const struct sim_hostile *h;
    struct agent_config agent;
    struct agent_keys keys;
    CURL *curl;
    struct sm_buf answer;         /* of the last call */
    long status;
    char source[33], run[33], session[33];
    uint64_t number;
    struct cid previous, pack;    /* a pack the box took from us */
    struct sm_buf pack_bytes, manifest;   /* that pack; the manifest it took */
    struct { uint64_t seq; uint8_t hash[32]; } head;
    json_t *row;
};

/* ---- one call ---- */

static size_t take(char *p, size_t size, size_t n, void *arg)
{
    struct foe *f = arg;
    (void)size; /* is 1 by definition */
    return sm_buf_put(&f->answer, p, n) == 0 ? n : 0;
}

static struct curl_slist *headers(const char *type, const char *extra, int64_t length)
{
    char text[96];
    struct curl_slist *h = curl_slist_append(NULL, "Expect:");
    (void)snprintf(text, sizeof text, "Content-Type: %s", type); /* fits */
    h = curl_slist_append(h, text);
    if (extra)
        h = curl_slist_append(h, extra);
    if (length >= 0) {
        (void)snprintf(text, sizeof text, "X-Sakimori-Length: %lld", (long long)length); /* fits */
        h = curl_slist_append(h, text);
    }
    return h;
}

static long call_with(struct foe *f, const char *method, const char *path, struct sm_span body, struct curl_slist *h)
{
    char url[1024], file[AGENT_PATH_MAX + 64];
    CURL *u = f->curl;
    curl_easy_reset(u);
    (void)snprintf(url, sizeof url, "%s%s", f->h->url ? f->h->url : f->agent.url, path); /* paths of ours are short */
    curl_easy_setopt(u, CURLOPT_URL, url);
    (void)snprintf(file, sizeof file, "%s/link/ca.pem", f->h->agent);   /* fits */
    curl_easy_setopt(u, CURLOPT_CAINFO, file);
    (void)snprintf(file, sizeof file, "%s/link/cert.pem", f->h->agent); /* fits */
    curl_easy_setopt(u, CURLOPT_SSLCERT, file);
    (void)snprintf(file, sizeof file, "%s/link/tls.key", f->h->agent);  /* fits */
    curl_easy_setopt(u, CURLOPT_SSLKEY, file);
    curl_easy_setopt(u, CURLOPT_PROXY, "");
    curl_easy_setopt(u, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(u, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(u, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(u, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(u, CURLOPT_HTTPHEADER, h);
    if (strcmp(method, "GET")) {
        curl_easy_setopt(u, CURLOPT_POSTFIELDS, body.n ? (const char *)body.p : "");
        curl_easy_setopt(u, CURLOPT_POSTFIELDSIZE, (long)body.n);
    }
    curl_easy_setopt(u, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(u, CURLOPT_WRITEDATA, f);
    sm_buf_clear(&f->answer);
    f->status = 0;
    if (curl_easy_perform(u) == CURLE_OK)
        curl_easy_getinfo(u, CURLINFO_RESPONSE_CODE, &f->status);
    curl_slist_free_all(h);
    return f->status;
}

static long call_raw(struct foe *f, const char *method, const char *path, struct sm_span body)
{
    return call_with(f, method, path, body, headers("application/octet-stream", NULL, -1));
}

static long call_json(struct foe *f, const char *path, json_t *body /* taken */, json_t **ret)
{
    struct sm_buf text = SM_BUF_INIT(1 << 20);
    *ret = NULL;
    if (body && sm_json_dump(body, &text) == 0)
        (void)call_with(f, "POST", path, sm_buf_span(&text), headers("application/json", NULL, -1));
    json_decref(body);
    sm_buf_wipe(&text);
    if (f->answer.n)
        (void)!sm_json_parse(sm_buf_span(&f->answer), ANSWER_MAX, ret, NULL); /* no JSON: the status tells */
    return f->status;
}

static bool said_no(long status)
{
    return status >= 400 && status < 600;
}

/* ---- what an agent does, too ---- */

static int session_open(struct foe *f)
{
    json_t *a = NULL;
    long s = call_json(
        f, "/agent/v1/sessions", json_pack("{s:s,s:s,s:s}", "source", f->source, "run", f->run, "reason", "adhoc"), &a);
    const char *id = json_string_value(json_object_get(a, "session")),
               *prev = json_string_value(json_object_get(a, "previous"));
    const char *head = json_string_value(json_object_get(a, "head"));
    uint8_t raw[128];
    int r = s == 200 && id && strlen(id) == 32 && prev ? cid_unhex(prev, &f->previous) : -SM_EDENIED;
    if (r == 0) {
        (void)snprintf(f->session, sizeof f->session, "%s", id); /* 32 digits */
        f->number = (uint64_t)json_integer_value(json_object_get(a, "number"));
    }
    if (r == 0 && head && strlen(head) == 256 && sm_unhex(head, 256, raw, 128) == 0) {
        struct sm_rd rd = SM_RD(SM_SPAN(raw + 16, 40));
        f->head.seq = sm_rd_u64(&rd);
        sm_rd_copy(&rd, f->head.hash, 32);
    }
    json_decref(a);
    return r;
}

static void pack_path(const struct foe *f, const struct cid *pack, char ret[256])
{
    char hex[CID_HEX];
    cid_hex(pack, hex);
    (void)snprintf(ret, 256, "/agent/v1/sessions/%s/packs/%s", f->session, hex); /* fits */
}

static int sink_have(void *arg, const struct cid *cids, size_t n, uint8_t *bitmap)
{
    struct foe *f = arg;
    char path[128];
    (void)snprintf(path, sizeof path, "/agent/v1/sessions/%s/have", f->session); /* fits */
    if (call_raw(f, "POST", path, SM_SPAN(cids, n * sizeof *cids)) != 200 || f->answer.n < (n + 7) / 8)
        return -SM_EPEER;
    memcpy(bitmap, f->answer.p, (n + 7) / 8);
    return 0;
}

static int sink_pack(void *arg, unsigned place, const struct cid *id, const struct pack_builder *pack, uint64_t bytes)
{
    struct foe *f = arg;
    char path[256];
    struct sm_buf b = SM_BUF_INIT(PACK_BYTES_MAX);
    int r = sm_buf_reserve(&b, bytes);
    if (r == 0) {
        b.n = pack_copy(pack, 0, b.p, bytes);
        pack_path(f, id, path);
        struct curl_slist *h = headers("application/octet-stream", NULL, (int64_t)bytes);
        r = call_with(f, "PUT", path, sm_buf_span(&b), h) == 200 ? 0 : -SM_EPEER;
    }
    if (r == 0 && (!f->pack_bytes.n || pack_count(pack) > 1)) { /* one of several objects, to misuse their order */
        sm_buf_clear(&f->pack_bytes);
        r = sm_buf_put_span(&f->pack_bytes, sm_buf_span(&b));
        f->pack = *id;
    }
    sm_buf_wipe(&b);
    return r;
}

static int sink_manifest(void *arg, const struct cid *id, struct sm_span manifest, struct sm_buf *missing, bool *more)
{
    struct foe *f = arg;
    (void)id; (void)missing; (void)more; /* kept, not sent */
    sm_buf_clear(&f->manifest);
    return sm_buf_put_span(&f->manifest, manifest);
}

static long send_manifest(struct foe *f)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/agent/v1/sessions/%s/manifest", f->session); /* fits */
    return call_raw(f, "POST", path, sm_buf_span(&f->manifest));
}

/* A generation of `folder`, made as the agent makes it, up to its manifest, which is kept back. */
static int generation(struct foe *f, const char *folder)
{
    struct backup_config c = { .vault = f->agent.vault,
        .client = f->agent.client,
        .run = RUN_ADHOC,
        .number = f->number,
        .previous = f->previous,
        .head_seq = f->head.seq,
        .k_id = f->keys.k_id,
        .k_look = f->keys.k_look,
        .device = &f->keys.device,
        .recipients = sm_buf_span(&f->agent.recipients),
        .scan = { .roots = &folder, .roots_n = 1, .tmp_dir = -1 },
        .forget = true };
    const struct backup_sink sink = { .have = sink_have, .put_pack = sink_pack, .put_manifest = sink_manifest, .arg = f };
    const struct backup_watch watch = { 0 };
    struct backup_result res = { 0 };
    memcpy(c.head_hash, f->head.hash, 32);
    if (sm_unhex(f->source, 32, c.source.b, 16) < 0 || sm_unhex(f->run, 32, c.run_id.b, 16) < 0 ||
        sm_unhex(f->session, 32, c.session.b, 16) < 0)
        return -SM_EINVAL;
    c.state_dir = plat_fs_open_dir(AT_FDCWD, f->h->work);
    if (c.state_dir < 0)
        return c.state_dir;
    int r = backup_run(&c, &sink, &watch, &res);
    close(c.state_dir);
    return r;
}

static int make_folder(const struct foe *f, const char *name, const char *text, char ret[512])
{
    (void)snprintf(ret, 512, "%.400s/%s", f->h->work, name); /* names of ours are short */
    int r = plat_fs_mkdir_p(ret, 0700), dir = r < 0 ? r : plat_fs_open_dir(AT_FDCWD, ret);
    if (dir >= 0 && text)
        r = plat_replace(dir, "file.txt", SM_SPAN_STR(text), 0600);
    if (dir >= 0)
        close(dir);
    return dir < 0 ? dir : r;
}

/* Put the pack of our own generation again, with other bytes, length or place. */
static long put_pack(struct foe *f, struct sm_span bytes, int64_t offset, int64_t length)
{
    char path[256], extra[64];
    pack_path(f, &f->pack, path);
    (void)snprintf(extra, sizeof extra, "X-Sakimori-Offset: %lld", (long long)offset); /* fits */
    return call_with(f, "PUT", path, bytes, headers("application/octet-stream", offset >= 0 ? extra : NULL, length));
}

static bool is_duplicate(const struct foe *f)
{
    return f->answer.n && memmem(f->answer.p, f->answer.n, "\"duplicate\":true", 16);
}

/* A manifest like the last one but for what change does, under the stolen signature. */
static long forged(struct foe *f, void (*change)(struct manifest *m))
{
    struct manifest m;
    struct sm_buf out = SM_BUF_INIT(MANIFEST_MAX);
    char path[128];
    long s = 0;
    (void)snprintf(path, sizeof path, "/agent/v1/sessions/%s/manifest", f->session); /* fits */
    if (manifest_parse(sm_buf_span(&f->manifest), &m) == 0) {
        m.number = f->number;
        m.previous = f->previous;
        change(&m);
        if (manifest_build(&m, &f->keys.device, &out) == 0)
            s = call_raw(f, "POST", path, sm_buf_span(&out));
    }
    sm_buf_wipe(&out);
    return s;
}

/* ---- the attacks: each says whether it was refused ---- */

static bool overwrite(struct foe *f)
{
    struct sm_buf other = SM_BUF_INIT(f->pack_bytes.n + 1);
    bool no = sm_buf_put_span(&other, sm_buf_span(&f->pack_bytes)) == 0;
    other.p[other.n - 1] ^= 1;
    long s = put_pack(f, sm_buf_span(&other), 0, (int64_t)other.n);
    sm_buf_wipe(&other);
    /* A name that is there already is answered without looking: nothing is written either way. */
    return no && (said_no(s) || is_duplicate(f));
}

static bool delete_all(struct foe *f)
{
    char pack[256], hex[CID_HEX], path[256];
    bool no = true;
    cid_hex(&f->previous, hex);
    pack_path(f, &f->pack, pack);
    static const char *const what[] = { "/agent/v1/generations/", "/api/v1/generations/", "/agent/v1/manifests/",
        "/api/v1/sources/" };
    no &= said_no(call_raw(f, "DELETE", pack, SM_SPAN("", 0)));
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s%s", what[i], i == 3 ? f->source : hex); /* fits */
        no &= said_no(call_raw(f, "DELETE", path, SM_SPAN("", 0)));
    }
    return no;
}

static bool truncate_pack(struct foe *f)
{
    bool no = true;
    long s = put_pack(f, SM_SPAN(f->pack_bytes.p, 100), 0, 100);
    no &= said_no(s) || is_duplicate(f);
    s = put_pack(f, SM_SPAN("", 0), 0, 0);
    return no && (said_no(s) || is_duplicate(f));
}

/* Two objects exchanged in the directory but not in the body, under the right name of such a pack. */
static bool reorder(struct foe *f)
{
    struct cid was = f->pack;
    struct pack_header h;
    struct sm_buf objects = SM_BUF_INIT((size_t)16 << 20), other = SM_BUF_INIT(f->pack_bytes.n + 1);
    uint8_t row[PACK_DIRENT_LEN];
    bool ok = sm_buf_put_span(&other, sm_buf_span(&f->pack_bytes)) == 0 && other.n > PACK_HEADER_LEN + 2 * sizeof row;
    if (ok) {
        uint8_t *first = other.p + PACK_HEADER_LEN, *second = first + sizeof row;
        memcpy(row, first, sizeof row);
        memcpy(first, second, sizeof row);
        memcpy(second, row, sizeof row);
    }
    ok = ok && pack_head_parse(sm_buf_span(&other), &h, &f->pack, &objects) == 0 && h.n >= 2;
    long s = ok ? put_pack(f, sm_buf_span(&other), 0, (int64_t)other.n) : 0;
    f->pack = was;
    sm_buf_wipe(&objects);
    sm_buf_wipe(&other);
    return ok && said_no(s);
}

/* The manifest held back until now is honest use; the same once more must not make a second generation. */
/* The honest manifest, once more after it was taken: whatever the box says, a second generation must not come of it. */
static bool replay(struct foe *f)
{
    long first = send_manifest(f), second = send_manifest(f);
    json_object_set_new(f->row, "first", json_integer(first));
    json_object_set_new(f->row, "again", json_integer(second));
    return first == 200 && (said_no(second) || session_open(f) < 0);
}

static void as_other_client(struct manifest *m) { m->client.b[0] ^= 0xff; }
static void as_other_source(struct manifest *m) { m->source.b[0] ^= 0xff; }
static void as_other_vault(struct manifest *m) { m->vault.b[0] ^= 0xff; }
static void as_fork(struct manifest *m) { m->number = 1; m->previous = (struct cid){ { 0 } }; }
static void as_back(struct manifest *m)
{
    m->number = m->number > 1 ? m->number - 1 : 1;
    m->started_s -= 40LL * 86400;
    m->finished_s -= 40LL * 86400;
}
static void as_forward(struct manifest *m)
{
    m->number += 1000;
    m->started_s += 4000LL * 86400;
    m->finished_s += 4000LL * 86400;
}
static void as_unseen_head(struct manifest *m) { m->head_seq += 1000000; m->head_hash[0] ^= 0xff; }

static bool false_id(struct foe *f)
{
    bool no = said_no(forged(f, as_other_client));
    no &= said_no(forged(f, as_other_source));
    return said_no(forged(f, as_other_vault)) && no;
}
static bool fork_chain(struct foe *f) { return said_no(forged(f, as_fork)); }
static bool back_date(struct foe *f) { return said_no(forged(f, as_back)); }
static bool forward_date(struct foe *f) { return said_no(forged(f, as_forward)); }
static bool false_head(struct foe *f) { return said_no(forged(f, as_unseen_head)); }

static bool read_other(struct foe *f)
{
    char path[256], id[33];
    uint8_t raw[16];
    bool no = true;
    crypto_random(raw, sizeof raw);
    sm_hex(raw, sizeof raw, id);
    static const char *const posts[] = { "objects", "key", "progress" };
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "/agent/v1/restores/%s/%s", id, posts[i]); /* fits */
        no &= said_no(call_raw(f, "POST", path, SM_SPAN(f->previous.b, 32)));
    }
    (void)snprintf(path, sizeof path, "/agent/v1/sessions/%s/packs/%064d", id, 0); /* fits */
    return said_no(call_raw(f, "GET", path, SM_SPAN("", 0))) && no;
}

/* Its own old data: the protocol gives none without an unlock by the director. */
static bool read_own(struct foe *f)
{
    char hex[CID_HEX], path[256];
    static const char *const wanted[] = { "/agent/v1/generations/", "/api/v1/generations/", "/agent/v1/manifests/",
        "/agent/v1/objects/" };
    bool no = true;
    cid_hex(&f->previous, hex);
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s%s", wanted[i], hex); /* fits */
        no &= said_no(call_raw(f, "GET", path, SM_SPAN("", 0)));
    }
    pack_path(f, &f->pack, path);
    long s = call_raw(f, "GET", path, SM_SPAN("", 0));
    /* Whether a pack is here may be asked; its bytes may not come. */
    return no && (said_no(s) || f->answer.n < 1024);
}

static bool climb(struct foe *f)
{
    static const char *const paths[] = { "/agent/v1/../../api/v1/people", "/api/v1/people", "/api/v1/unlock",
        "/api/v1/settings", "/agent/v1/sessions/../../../etc/passwd/packs/0", "/%2e%2e/%2e%2e/etc/passwd" };
    bool no = true;
    for (size_t i = 0; i < 6; i++)
        no &= said_no(call_raw(f, "GET", paths[i], SM_SPAN("", 0)));
    return no;
}

/* Many begun packs and much nonsense: the box must bound it. */
static bool flood(struct foe *f)
{
    unsigned refused = 0;
    struct cid was = f->pack;
    for (unsigned i = 0; i < FLOOD; i++) {
        crypto_random(f->pack.b, 32);
        /* A good head, one byte of the directory, and a promise of 32 MiB that never come. */
        long s = put_pack(f, SM_SPAN(f->pack_bytes.p, 81), 0, (int64_t)32 << 20);
        refused += said_no(s) || s == 0;
    }
    f->pack = was;
    json_object_set_new(f->row, "tries", json_integer(FLOOD));
    json_object_set_new(f->row, "turned_away", json_integer(refused));
    return refused == FLOOD;
}

/* The known hole of append-only repositories, rebuilt: empty generations with old dates, so that an honest clean-up
 * drops the good ones.  One order of the box is good for one generation, which the replay above has used. */
static bool hole_back_dated_flood(struct foe *f)
{
    char dir[512];
    unsigned in = 0;
    if (make_folder(f, "empty", NULL, dir) < 0)
        return false;
    for (unsigned i = 0; i < 6; i++)
        in += session_open(f) == 0 && generation(f, dir) == 0 && send_manifest(f) == 200;
    json_object_set_new(f->row, "tries", json_integer(6));
    json_object_set_new(f->row, "accepted", json_integer(in));
    return in == 0;
}

/* The second one: the client deletes, then the administrator's clean-up really removes. */
static bool hole_delete_then_compact(struct foe *f)
{
    static const struct {
        const char *method, *path;
    } tries[] = { { "POST", "/agent/v1/forget" }, { "POST", "/agent/v1/compact" }, { "POST", "/agent/v1/delete" },
        { "DELETE", "/agent/v1/sessions" }, { "PATCH", "/agent/v1/sessions" }, { "DELETE", "/agent/v1/vault" },
        { "PUT", "/agent/v1/policy" } };
    bool no = true;
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        no &= said_no(call_raw(f, tries[i].method, tries[i].path, SM_SPAN("{}", 2)));
    return no;
}

static const struct attack { const char *name; bool (*run)(struct foe *f); bool needs_session;
} attacks[] = {
    { "delete", delete_all, false },
    { "read-other", read_other, false },
    { "read-own", read_own, false },
    { "climb", climb, false },
    { "delete-then-compact", hole_delete_then_compact, false },
    { "overwrite", overwrite, true },
    { "truncate", truncate_pack, true },
    { "reorder", reorder, true },
    { "false-id", false_id, true },
    { "fork", fork_chain, true },
    { "back-date", back_date, true },
    { "forward-date", forward_date, true },
    { "false-head", false_head, true },
    { "flood", flood, true },
    { "replay", replay, true },
    { "back-dated-flood", hole_back_dated_flood, true },
};

/* ---- all of them ---- */

/* Wait for the box to order a backup: that names source and run. */
static int wait_order(struct foe *f)
{
    for (int i = 0; i < 12 && !f->run[0]; i++) {
        json_t *a = NULL, *row, *order = NULL;
        size_t k;
        struct sm_buf text = SM_BUF_INIT(128 << 10);
        if (call_json(f, "/agent/v1/poll",
                json_pack("{s:s,s:i,s:{},s:i}", "agent_version", "0.1.0", "uptime_ms", 1, "state", "wait_s", 5),
                &a) != 200) {
            json_decref(a);
            return -SM_EDENIED;
        }
        json_array_foreach(json_object_get(a, "orders"), k, row) {
            const char *b64 = json_string_value(json_object_get(row, "order"));
            sm_buf_clear(&text);
            if (!b64 || sm_unbase64(SM_SPAN_STR(b64), &text) < 0 ||
                sm_json_parse(sm_buf_span(&text), text.n, &order, NULL) < 0)
                continue;
            const json_t *args = json_object_get(order, "args");
            const char *run = json_string_value(json_object_get(args, "run")),
                       *source = json_string_value(json_object_get(args, "source"));
            if (run && source && strlen(run) == 32 && strlen(source) == 32) {
                memcpy(f->run, run, 33);
                memcpy(f->source, source, 33);
            }
            json_decref(order);
            order = NULL;
        }
        sm_buf_wipe(&text);
        json_decref(a);
    }
    return f->run[0] ? 0 : -SM_ETIME;
}

/* One small honest generation first, its manifest not yet sent: packs and a manifest to misuse. */
static int prepare(struct foe *f)
{
    char dir[512];
    int r = f->h->run ? 0 : wait_order(f);
    if (f->h->run && f->h->source) {
        (void)snprintf(f->run, sizeof f->run, "%s", f->h->run);          /* 32 digits, or the box says no */
        (void)snprintf(f->source, sizeof f->source, "%s", f->h->source); /* the same */
    }
    if (r == 0)
        r = session_open(f);
    if (r == 0)
        json_object_set_new(f->row, "before", json_integer((json_int_t)f->number - 1));
    if (r == 0)
        r = make_folder(f, "own", "the attacker's own file, sent as the agent would\n", dir);
    return r == 0 ? generation(f, dir) : r;
}

/* Nothing may look as if it were still going on. */
static void end_run(struct foe *f)
{
    char path[128];
    json_t *a = NULL;
    if (!f->run[0])
        return;
    (void)snprintf(path, sizeof path, "/agent/v1/runs/%s/end", f->run); /* fits */
    (void)call_json(f, path, json_pack("{s:s,s:[],s:i}", "status", "cancelled", "problems", "problems_total", 0), &a);
    json_decref(a);
}

static void run_attacks(struct foe *f, bool session, json_int_t before, void (*fn)(void *, json_t *), void *arg)
{
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        const struct attack *a = &attacks[i];
        if ((f->h->only && strcmp(f->h->only, a->name)) || (a->needs_session && !session))
            continue;
        f->row = json_pack("{s:s,s:I}", "attack", a->name, "before", before);
        f->status = 0;
        bool no = a->run(f);
        json_object_set_new(f->row, "refused", json_boolean(no));
        json_object_set_new(f->row, "status", json_integer(f->status));
        fn(arg, f->row);
        json_decref(f->row);
        f->row = NULL;
    }
}

int sim_hostile(const struct sim_hostile *h, void (*fn)(void *arg, json_t *row), void *arg)
{
    struct foe *f = calloc(1, sizeof *f);
    char why[256] = "";
    if (!f)
        return -ENOMEM;
    f->h = h;
    f->answer = f->pack_bytes = SM_BUF_INIT(PACK_BYTES_MAX);
    f->manifest = SM_BUF_INIT(MANIFEST_MAX);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    f->curl = curl_easy_init();
    int r = f->curl ? agent_config_load(h->agent, &f->agent, why) : -ENOMEM;
    if (r == 0)
        r = agent_keys_load(h->agent, &f->keys, why);
    if (r == 0)
        r = plat_fs_mkdir_p(h->work, 0700);
    if (r == 0) {
        f->row = json_object();
        int ready = prepare(f);
        json_int_t before = json_integer_value(json_object_get(f->row, "before"));
        json_decref(f->row);
        if (ready < 0)
            fprintf(stderr, "sakimori-sim: no upload session (%s, status %ld): those attacks are left out\n",
                sm_strerror(ready), f->status);
        run_attacks(f, ready == 0, before, fn, arg);
        end_run(f);
    } else {
        fprintf(stderr, "sakimori-sim: %s\n", why);
    }
    curl_easy_cleanup(f->curl);
    agent_config_wipe(&f->agent);
    agent_keys_wipe(&f->keys);
    sm_buf_wipe(&f->answer);
    sm_buf_wipe(&f->pack_bytes);
    sm_buf_wipe(&f->manifest);
    free(f);
    return r;
}
