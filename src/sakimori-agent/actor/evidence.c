/*
 * An evidence pack: collected in a thread into DATA/actor/evidence/ID.tar.zst, a statement about it signed by the device key, then sent
 * to the box in pieces, going on where the box left off; removed here once the box has all of it.
 *   statement: {"v":1,"id","device","at","bytes","sha256","files":[{"name","bytes","sha256"}…]}, canonical JSON
 *   sig: Ed25519 of the device key over "sakimori/v1/evidence" ‖ statement (crypto_sign_text)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/actor/collect.h"
#include "sakimori-agent/actor/actor.h"

#define FOLDER "evidence"
#define PACK_BYTES_MAX ((uint64_t)200 << 20)
#define PIECE ((size_t)480 << 10)
#define STATEMENT_MAX ((size_t)60 << 10)
#define AGAIN_MS 10000u
#define LEAST_FREE ((uint64_t)1 << 30) /* of the disk: an attack may have filled it */

struct sending {
    struct act *t;
    int fd;
    uint64_t size, at;
    struct sm_timer *again;
    json_t *body;       /* {"statement","sig"} */
    bool begun;
};

static void name_of(const struct act *t, const char *end, char ret[96])
{
    (void)snprintf(ret, 96, FOLDER "/%.64s%s", t->id, end); /* fits */
}

/* ---- collecting, in a thread ---- */

static int sign(const struct act *t, const json_t *statement, struct sm_buf *text, char ret_hex[129])
{
    struct agent_keys keys = {0};
    uint8_t sig[64];
    char why[160];
    int r = agent_keys_load(t->a->data, &keys, why);
    if (!r)
        r = sm_json_dump(statement, text);
    if (!r)
        r = crypto_sign_text(&keys.device, "sakimori/v1/evidence", sm_buf_span(text), sig);
    agent_keys_wipe(&keys);
    if (!r)
        sm_hex(sig, 64, ret_hex);
    return r;
}

static int state_it(const struct act *t, uint64_t bytes, const char *sha256, json_t *files /* taken */)
{
    struct sm_buf text = SM_BUF_INIT(STATEMENT_MAX), b = SM_BUF_INIT(2 * STATEMENT_MAX);
    char at[SM_TIME_TEXT], hex[129], name[96];
    sm_time_rfc3339(plat_clock_wall(), at);
    json_t *o = json_pack("{s:i,s:s,s:s,s:s,s:I,s:s,s:o}", "v", 1, "id", t->id, "device", t->a->config.device, "at", at, "bytes", (json_int_t)bytes,
        "sha256", sha256, "files", files);
    json_t *all = NULL;
    int r = o ? sign(t, o, &text, hex) : -ENOMEM;
    if (!r)
        all = json_pack("{s:s,s:s}", "statement", sm_buf_str(&text), "sig", hex);
    if (!r)
        r = all ? sm_json_dump(all, &b) : -ENOMEM;
    name_of(t, ".json", name);
    if (!r)
        r = plat_replace(t->a->folder, name, sm_buf_span(&b), 0600); /* last: from now on it is whole */
    json_decref(o);
    json_decref(all);
    sm_buf_wipe(&text);
    sm_buf_wipe(&b);
    return r;
}

static int collect(const struct act *t, int fd)
{
    struct collect c = {.data = t->a->data, .left_out = SM_BUF_INIT(65536)};
    char sha[65];
    json_t *files = NULL;
    uint64_t bytes = 0;
    int r = tarpack_begin(fd, PACK_BYTES_MAX, plat_clock_wall().s, &c.pack);
    if (!r)
        r = collect_all(&c);
    if (!r)
        r = tarpack_end(c.pack, &bytes, sha, &files);
    tarpack_free(c.pack);
    sm_buf_wipe(&c.left_out);
    return r ? r : state_it(t, bytes, sha, files);
}

static void run(struct act *t)
{
    char name[96], json[96];
    struct plat_fs_space space;
    name_of(t, ".tar.zst", name);
    name_of(t, ".json", json);
    int r = plat_fs_mkdir(t->a->folder, FOLDER, 0700);
    r = r == -EEXIST ? 0 : r;
    if (!r && faccessat(t->a->folder, json, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return; /* it was whole before the agent ended: it is sent */
    if (!r)
        r = plat_fs_space(t->a->folder, ".", &space);
    if (!r && space.avail_bytes < LEAST_FREE)
        r = -ENOSPC;
    int fd = r ? r : plat_fs_create(t->a->folder, name, PLAT_FS_TRUNC, 0600);
    r = r ? r : fd < 0 ? fd : collect(t, fd);
    if (fd >= 0)
        (void)close(fd); /* it was synced */
    if (r)
        act_fail(t, r, "%s", sm_strerror(r));
}

/* ---- sending, in the loop ---- */

static void done(struct sending *s, int err, const char *why)
{
    struct act *t = s->t;
    char name[96], json[96];
    name_of(t, ".tar.zst", name);
    name_of(t, ".json", json);
    (void)!plat_fs_unlink(t->a->folder, name); /* cleared away at the next start */
    (void)!plat_fs_unlink(t->a->folder, json); /* the same */
    if (err)
        act_fail(t, err, "%s", why);
    else
        act_say(t, "the evidence is on the box");
    act_fact(t, "bytes", json_integer((json_int_t)s->size));
    if (s->fd >= 0)
        (void)close(s->fd); /* only read */
    sm_timer_free(s->again);
    json_decref(s->body);
    free(s);
    t->mem = NULL;
    actor_over(t);
}

static void go(void *arg);

static void answered(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct sending *s = arg;
    sm_cleanup(sm_json_free) json_t *o = NULL;
    struct sm_rd rd = SM_RD(m && !err ? m->body : SM_SPAN(NULL, 0));
    unsigned status = err || !m ? 0 : sm_rd_u16(&rd);
    (void)text;
    if (status == 200 && !sm_json_parse(SM_SPAN(rd.p, rd.n), 4096, &o, NULL)) {
        json_int_t have = json_integer_value(json_object_get(o, "have"));
        s->begun = true;
        s->at = have >= 0 && (uint64_t)have <= s->size ? (uint64_t)have : 0;
        if (json_is_true(json_object_get(o, "done")))
            done(s, 0, "");
        else
            go(s);
        return;
    }
    if (status == 400 || status == 403 || status == 404 || status == 410 || status == 413 || status == 422) {
        act_fact(s->t, "status", json_integer(status));
        done(s, -SM_EDENIED, "the box did not take the evidence");
        return;
    }
    s->begun = false; /* it is asked how far it is */
    sm_timer_set(s->again, AGAIN_MS, 0);
}

static int ask_begin(struct sending *s, const char *path)
{
    struct sm_buf b = SM_BUF_INIT(2 * STATEMENT_MAX);
    int r = sm_json_dump(s->body, &b);
    if (!r)
        r = actor_call(s->t->a, 1, path, sm_buf_span(&b), answered, s);
    sm_buf_wipe(&b);
    return r;
}

static int ask_put(struct sending *s, const char *path)
{
    struct sm_buf b = SM_BUF_INIT(PIECE + 8);
    size_t n = s->size - s->at < PIECE ? (size_t)(s->size - s->at) : PIECE;
    int r = sm_buf_put_u64(&b, s->at);
    if (!r)
        r = sm_buf_reserve(&b, n);
    if (!r)
        r = plat_fs_pread_all(s->fd, b.p + 8, n, s->at);
    b.n = r ? b.n : n + 8;
    if (!r)
        r = actor_call(s->t->a, 2, path, sm_buf_span(&b), answered, s);
    sm_buf_wipe(&b);
    return r;
}

static void go(void *arg)
{
    struct sending *s = arg;
    char path[L_PATH_MAX];
    (void)snprintf(path, sizeof path, "/agent/v1/evidence/%.64s/%s", s->t->id, s->begun ? "put" : "begin");
    int r = s->begun ? ask_put(s, path) : ask_begin(s, path);
    if (r)
        sm_timer_set(s->again, AGAIN_MS, 0); /* link is away, or busy */
}

/* What earlier ones left: only this one's is needed. */
static int not_ours(void *arg, struct sm_span name, unsigned char type)
{
    const struct act *t = arg;
    char path[300];
    (void)type;
    if (strncmp((const char *)name.p, t->id, strlen(t->id)) == 0)
        return 0;
    (void)snprintf(path, sizeof path, FOLDER "/%s", (const char *)name.p); /* fits */
    (void)!plat_fs_unlink(t->a->folder, path); /* the next one tries again */
    return 0;
}

static int open_pack(struct sending *s)
{
    struct actor *a = s->t->a;
    char name[96], json[96];
    struct sm_buf b = SM_BUF_INIT(2 * STATEMENT_MAX);
    name_of(s->t, ".tar.zst", name);
    name_of(s->t, ".json", json);
    int dir = plat_fs_open_dir(a->folder, FOLDER);
    if (dir >= 0) {
        (void)!plat_fs_list(dir, not_ours, s->t); /* as above */
        (void)close(dir);                         /* only read */
    }
    int r = plat_fs_read_file(a->folder, json, b.max, &b);
    if (!r)
        r = sm_json_parse(sm_buf_span(&b), b.max, &s->body, NULL);
    s->fd = r ? -1 : plat_fs_open_read(a->folder, name);
    if (!r)
        r = s->fd < 0 ? s->fd : plat_fs_size(s->fd, &s->size);
    if (!r)
        r = sm_loop_timer(a->life.loop, UINT64_MAX, 0, go, s, &s->again);
    sm_buf_wipe(&b);
    return r;
}

static bool after(struct act *t)
{
    struct sending *s = t->err ? NULL : calloc(1, sizeof *s);
    if (!s)
        return false;
    *s = (struct sending){.t = t, .fd = -1};
    int r = open_pack(s);
    if (!r) {
        go(s);
        return true;
    }
    if (s->fd >= 0)
        (void)close(s->fd); /* only read */
    json_decref(s->body);
    free(s);
    act_fail(t, r, "%s", sm_strerror(r));
    return false;
}

static int check(struct act *t)
{
    for (const struct act *o = t->a->acts; o; o = o->next) {
        if (strcmp(o->row->name, "evidence") == 0) {
            act_say(t, "evidence is being collected already");
            return -SM_EAGAIN;
        }
    }
    if (!t->by_order) {
        act_say(t, "the policy does not let it be done without an order");
        return -SM_EDENIED;
    }
    return 0;
}

const struct action act_evidence = {
    .name = "evidence", .allow = ALLOW_NOBODY, .again = true, .check = check, .run = run, .after = after};
