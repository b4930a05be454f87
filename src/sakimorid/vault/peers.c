/* The copies of other boxes (FORMAT section 12.2): DATA/peers/ID, which only this process writes. */
#include <errno.h>
#include "core/log.h"
#include "core/time.h"
#include "plat/clock.h"
#include "sakimorid/vault/vaultd.h"

#define STEP_MS ((uint64_t)500)              /* 2 MiB: 4 MiB/s */
#define QUICK_MS ((uint64_t)50)              /* when somebody waits for it: most of the time is other requests' */
#define ROUND_MS ((uint64_t)7 * 86400 * 1000)
#define HEAD_EVERY_S 3600                    /* records in the box's own journal */
#define RESERVES 2
#define LIST_MAX ((size_t)880 << 10)         /* an answer to brain */

static const char readme[] =
    "ほかの施設の防人(さきもり)の箱から預かっている、バックアップの写しです。消したり、動かしたりしないでください。\n"
    "その施設の「金庫の紙」がなければ、中身は読めません。その紙があれば、防人のプログラムだけで、ここから戻せます。\n"
    "    sakimori recover --vault ./vault --list\n"
    "    sakimori recover --vault ./vault --sheet - --to /戻す/場所\n"
    "\n"
    "The copy of another institution's Sakimori vault, kept here for it.  Do not delete or move anything here.\n"
    "Without that institution's recovery sheet nothing in it can be read; with it, the program restores from here alone:\n"
    "    sakimori recover --vault ./vault --list\n"
    "    sakimori recover --vault ./vault --sheet - --to /where/to\n";

static struct peer *by_id(struct vaultd *v, const uint8_t id[16])
{
    for (size_t i = 0; i < VAULTD_PEERS_MAX; i++)
        if (v->peers[i].far && memcmp(v->peers[i].id, id, 16) == 0)
            return &v->peers[i];
    return NULL;
}

static struct peer *open_one(struct vaultd *v, const uint8_t id[16], const struct far_config *c, int *ret_err,
    char *why)
{
    for (size_t i = 0; i < VAULTD_PEERS_MAX; i++) {
        struct peer *p = &v->peers[i];
        if (p->far)
            continue;
        *p = (struct peer){.vault = c->vault, .next_check_ms = plat_clock_mono_ms() + ROUND_MS / 7};
        memcpy(p->id, id, 16);
        memcpy(p->head_pub, c->head_pub, 32);
        *ret_err = far_open(c, &p->far, why);
        if (*ret_err)
            sm_error("a neighbour's copy: %s", why);
        return *ret_err ? NULL : p;
    }
    *ret_err = -SM_ELIMIT;
    return NULL;
}

static int take_peer(const struct sm_obj *o, uint8_t id[16], struct far_config *c)
{
    struct sm_obj s = SM_OBJ(json_object_get(o->o, "peer"));
    sm_obj_hex(&s, "id", id, 16);
    sm_obj_hex(&s, "vault", c->vault.b, 16);
    sm_obj_hex(&s, "head_pub", c->head_pub, 32);
    c->quota = (uint64_t)sm_obj_int(&s, "quota", 0, INT64_MAX);
    return o->err ? o->err : s.err;
}

struct peer *peers_of(struct vaultd *v, struct sm_obj *o, const char *label, int *ret_err, char why[COPY_WHY])
{
    char dir[4096], hex[33];
    uint8_t id[16];
    struct store_totals t;
    struct far_config c = {.dir = dir};
    *ret_err = take_peer(o, id, &c);
    if (!*ret_err && label)
        *ret_err = far_label_sound(SM_SPAN_STR(label), &c.vault, c.head_pub);
    if (!*ret_err)
        *ret_err = store_totals(v->store, &t);
    if (*ret_err)
        return NULL;
    c.reserve = RESERVES * t.reserve;
    sm_hex(id, 16, hex);
    snprintf(dir, sizeof dir, "%.4000s/peers/%s", v->c->data, hex);
    struct peer *p = by_id(v, id);
    if (!p)
        return open_one(v, id, &c, ret_err, why);
    far_set_quota(p->far, c.quota);
    return p;
}

struct peer *peers_find(struct vaultd *v, struct sm_obj *o, int *ret_err)
{
    uint8_t id[16];
    struct far_config c = {0};
    *ret_err = take_peer(o, id, &c);
    struct peer *p = *ret_err ? NULL : by_id(v, id);
    if (p && memcmp(p->vault.b, c.vault.b, 16) == 0 && memcmp(p->head_pub, c.head_pub, 32) == 0)
        return p;
    *ret_err = *ret_err ? *ret_err : -SM_EAGAIN;
    return NULL;
}

int peers_pack_begin(struct vaultd *v, struct peer *p, const struct cid *id, uint64_t length, uint64_t *ret_have)
{
    int r = far_pack_begin(p->far, id, length, ret_have);
    if (r == -SM_EAGAIN && !v->peers_judging)
        sm_timer_set(v->peers_judge, QUICK_MS, QUICK_MS);
    v->peers_judging |= r == -SM_EAGAIN;
    return r;
}

/* Into the box's own journal: a box that is rolled back cannot make its neighbour forget. */
static void record(struct vaultd *v, const struct peer *p, const char *what, const char *why, const char *by)
{
    struct far_status s;
    far_status(p->far, &s);
    struct store_peer r = {.what = what, .why = why, .by = by, .peer = p->id, .vault = p->vault.b,
        .head = s.head.head.seq ? &s.head.head : NULL};
    vaultd_after(v, store_peer(v->store, &r));
}

static json_t *checked_json(const struct far *f)
{
    struct far_checked k;
    json_t *names = json_array();
    far_checked(f, &k);
    for (size_t i = 0; i < k.names_n && i < 20; i++)
        json_array_append_new(names, json_string(k.names[i]));
    return json_pack("{s:I,s:I,s:I,s:I,s:o}", "at_s", (json_int_t)k.done_s, "files", (json_int_t)k.files, "bytes",
        (json_int_t)k.bytes, "rotten", (json_int_t)k.rotten, "names", names);
}

static json_t *status_json(const struct peer *p)
{
    char hex[33];
    struct far_status s;
    far_status(p->far, &s);
    sm_hex(p->id, 16, hex);
    json_t *o = json_pack("{s:s,s:o,s:b}", "peer", hex, "checked", checked_json(p->far), "journal_rotten",
        s.journal_rotten);
    wire_int(o, "used", s.used);
    wire_int(o, "quota", s.quota);
    wire_int(o, "packs", s.packs);
    wire_int(o, "generations", s.manifests);
    wire_int(o, "seq", s.head.head.seq);
    json_object_set_new(o, "head_s", json_integer(s.head.s));
    wire_hex(o, "hash", s.head.head.hash, 32);
    return o;
}

static int out_err(int r)
{
    return r == -EDQUOT ? -ENOSPC : r;
}

/* Who is not let in after all has no slot. */
static int let_in(struct peer *p, const char *label)
{
    int r = far_label(p->far, SM_SPAN_STR(label), SM_SPAN(readme, sizeof readme - 1));
    if (r) {
        far_close(p->far);
        *p = (struct peer){0};
    }
    return r;
}

/* {"peer"} → its state; {"label","by"}: it was just let in; {"record"}: what a person decided; {"check"}: read it
 * now. */
void peers_ask(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    char why[COPY_WHY] = "";
    int r = 0;
    const char *label = sm_obj_str_opt(&ask.o, "label", COPY_LABEL_MAX), *by = sm_obj_str_opt(&ask.o, "by", 255),
               *what = sm_obj_str_opt(&ask.o, "record", 16);
    bool check = sm_obj_bool(&ask.o, "check", false);
    struct peer *p = peers_of(ask.v, &ask.o, label, &r, why);
    if (!r && label)
        r = let_in(p, label);
    if (!r && (label || what))
        record(ask.v, p, label ? "joined" : what, NULL, by);
    if (!r && check) {
        p->next_check_ms = 0;
        sm_timer_set(ask.v->peers_check, QUICK_MS, STEP_MS);
    }
    vaultd_answer(&ask, r ? NULL : status_json(p), out_err(r), ask.o.err ? ask.o.why : why);
}

void peers_pack(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    char why[COPY_WHY] = "";
    struct cid id;
    uint64_t have = 0;
    int r = 0;
    sm_obj_hex(&ask.o, "pack", id.b, 32);
    uint64_t length = (uint64_t)sm_obj_int(&ask.o, "length", 1, INT64_MAX);
    struct peer *p = peers_of(ask.v, &ask.o, NULL, &r, why);
    if (!r)
        r = peers_pack_begin(ask.v, p, &id, length, &have);
    if (!r) {
        out = json_pack("{s:b}", "done", have == length);
        wire_int(out, "have", have);
    }
    vaultd_answer(&ask, out, out_err(r), ask.o.err ? ask.o.why : why);
}

/* A head that was taken, or one that must not be. */
static void head_came(struct vaultd *v, struct peer *p, int r, const char *why)
{
    int64_t now = plat_clock_wall().s;
    char hex[33];
    sm_hex(p->id, 16, hex);
    if (!r && now - p->head_told_s >= HEAD_EVERY_S) {
        p->head_told_s = now;
        record(v, p, "head", NULL, NULL);
    }
    if (r == -SM_EDENIED && now - p->refused_told_s >= HEAD_EVERY_S) {
        p->refused_told_s = now;
        record(v, p, "refused", why, NULL);
    }
    if (r == -SM_EDENIED)
        vaultd_event(v, "peer", json_pack("{s:s,s:s,s:s}", "peer", hex, "event", "forked", "why", why));
}

static uint64_t seq_of(const struct peer *p)
{
    struct far_status s;
    far_status(p->far, &s);
    return s.head.head.seq;
}

static int take_file(struct vaultd *v, struct peer *p, struct sm_obj *o, struct sm_span raw, char why[COPY_WHY])
{
    const char *what = sm_obj_str(o, "what", 1, 16);
    struct cid id;
    if (!strcmp(what, "manifest")) {
        sm_obj_hex(o, "id", id.b, 32);
        return o->err ? o->err : far_manifest(p->far, &id, raw);
    }
    if (!strcmp(what, "journal")) {
        uint32_t file = (uint32_t)sm_obj_int(o, "file", 1, JOURNAL_FILES_MAX);
        uint64_t at = (uint64_t)sm_obj_int(o, "at", 0, INT64_MAX);
        return o->err ? o->err : far_journal(p->far, file, at, raw);
    }
    if (!strcmp(what, "format"))
        return far_format(p->far, raw);
    if (strcmp(what, "head") != 0)
        return o->err ? o->err : -SM_EINVAL;
    int r = far_head(p->far, raw, why);
    head_came(v, p, r, why);
    return r;
}

/* {"peer","what","id"|"file","at"} ‖ the bytes → {"moved": is the head another one?} */
void peers_file(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    json_t *in = NULL;
    struct sm_span raw;
    char why[COPY_WHY] = "";
    if (!vaultd_store(v, ipc, m))
        return;
    int r = msg_split(m->body, WIRE_JSON_MAX, &in, &raw, why);
    struct sm_obj o = SM_OBJ(in);
    struct peer *p = r ? NULL : peers_of(v, &o, NULL, &r, why);
    uint64_t before = r ? 0 : seq_of(p);
    if (!r)
        r = take_file(v, p, &o, raw, why);
    wire_answer(ipc, m, r ? NULL : json_pack("{s:b}", "moved", seq_of(p) != before), out_err(r), o.err ? o.why : why);
    json_decref(in);
}

/* {"peer","name","offset","length"} → u64 size ‖ at most length bytes */
void peers_read(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    char why[COPY_WHY] = "";
    struct sm_buf b = SM_BUF_INIT(FAR_PIECE + 8);
    uint64_t size = 0;
    size_t got = 0;
    int r = 0;
    const char *name = sm_obj_str(&ask.o, "name", 1, COPY_NAME_MAX - 1);
    uint64_t off = (uint64_t)sm_obj_int(&ask.o, "offset", 0, INT64_MAX);
    size_t n = (size_t)sm_obj_int(&ask.o, "length", 0, FAR_PIECE);
    struct peer *p = peers_of(ask.v, &ask.o, NULL, &r, why);
    if (!r)
        r = far_size(p->far, name, &size);
    if (!r)
        r = sm_buf_put_u64(&b, size);
    if (!r)
        r = sm_buf_reserve(&b, n);
    if (!r && n)
        r = far_read(p->far, name, off, b.p + 8, n, &got);
    b.n += got;
    if (r)
        child_reply_error(ipc, m, r, ask.o.err ? ask.o.why : why[0] ? why : sm_strerror(r));
    else
        child_reply(ipc, m, sm_buf_span(&b));
    sm_buf_wipe(&b);
    json_decref(ask.in);
}

/* {"peer","packs","digits"} → (id 32 ‖ u64 size)… */
void peers_list(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    char why[COPY_WHY] = "";
    struct sm_buf b = SM_BUF_INIT(LIST_MAX);
    int r = 0;
    const char *digits = sm_obj_str(&ask.o, "digits", 2, 2);
    bool packs = sm_obj_bool(&ask.o, "packs", false);
    struct peer *p = peers_of(ask.v, &ask.o, NULL, &r, why);
    if (!r)
        r = far_list(p->far, packs, digits, &b);
    if (r)
        child_reply_error(ipc, m, r, ask.o.err ? ask.o.why : why[0] ? why : sm_strerror(r));
    else
        child_reply(ipc, m, sm_buf_span(&b));
    sm_buf_wipe(&b);
    json_decref(ask.in);
}

/* ---- reading again ---- */

static void check_one(struct vaultd *v, struct peer *p, uint64_t now)
{
    char hex[33];
    int r = far_check_step(p->far);
    sm_hex(p->id, 16, hex);
    if (r == 1)
        return;
    p->next_check_ms = now + ROUND_MS;
    if (r < 0)
        sm_error("reading a neighbour's copy again: %s", sm_strerror(r));
    else
        vaultd_event(v, "peer", json_pack("{s:s,s:s,s:o}", "peer", hex, "event", "checked", "checked",
            checked_json(p->far)));
}

/* A slice a turn, neighbour after neighbour; quickly while one was asked for. */
static void on_check(void *arg)
{
    struct vaultd *v = arg;
    uint64_t now = plat_clock_mono_ms();
    for (size_t i = 0; i < VAULTD_PEERS_MAX; i++) {
        struct peer *p = &v->peers[v->peers_turn++ % VAULTD_PEERS_MAX];
        if (!p->far || now < p->next_check_ms)
            continue;
        bool asked = p->next_check_ms == 0;
        check_one(v, p, now);
        if (asked && p->next_check_ms == 0)
            sm_timer_set(v->peers_check, QUICK_MS, STEP_MS);
        return;
    }
}

/* What a neighbour asked about: a slice a turn, of one after the other. */
static void on_judge(void *arg)
{
    struct vaultd *v = arg;
    for (size_t i = 0; i < VAULTD_PEERS_MAX; i++) {
        struct peer *p = &v->peers[v->judge_turn++ % VAULTD_PEERS_MAX];
        int r = p->far ? far_judge_step(p->far) : 0;
        if (r < 0)
            sm_error("reading a neighbour's pack again: %s", sm_strerror(r));
        if (r)
            return;
    }
    v->peers_judging = false;
    sm_timer_stop(v->peers_judge);
}

int peers_start(struct vaultd *v)
{
    int r = sm_loop_timer(v->c->loop, STEP_MS, STEP_MS, on_check, v, &v->peers_check);
    return r ? r : sm_loop_timer(v->c->loop, STEP_MS, 0, on_judge, v, &v->peers_judge);
}

void peers_end(struct vaultd *v)
{
    sm_timer_free(v->peers_check);
    sm_timer_free(v->peers_judge);
    for (size_t i = 0; i < VAULTD_PEERS_MAX; i++)
        far_close(v->peers[i].far);
}
