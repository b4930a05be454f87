/* A copy at another box as a target: what is sent, what is asked, and what its answers mean here. */
#include <errno.h>

#include "plat/clock.h"
#include "vault/copy/box_internal.h"
#include "vault/copy/copy_internal.h"

#define PIECE ((size_t)512 << 10)
#define PACK_MAX ((size_t)64 << 20)
#define LIST_ROW 40
#define LIST_MAX ((size_t)1 << 20)
#define TRIES 4                      /* of one message, when the line is cut */
#define REST_MS 500

struct list { bool there; struct sm_buf rows; };
struct box {
    struct box_http *http;
    const atomic_bool *cancel;
    struct list lists[2][256];       /* what is there, by the first two digits: manifests, packs */
    struct sm_buf body;              /* of the last answer */
    struct sm_buf pack;              /* under way, until it ends */
    char name[COPY_NAME_MAX];
    struct box_facts facts;
    struct sm_buf rotten;            /* names that the other box found unsound, one a line */
    struct journal_head head; bool journal_rotten;
    const char *reason;
    char why[BOX_WHY];
};

/* ---- answers ---- */

static int said(struct box *b, int err, const char *reason)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    const char *text = NULL;
    if (sm_json_parse(sm_buf_span(&b->body), BOX_ANSWER_MAX, &j, NULL) == 0)
        text = json_string_value(json_object_get(json_object_get(j, "error"), "message"));
    b->reason = reason;
    (void)snprintf(b->why, sizeof b->why, "%.180s", text ? text : sm_strerror(err)); /* cut to fit */
    return err;
}

static int meaning(struct box *b, int status)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    const char *code = "";
    if (status == 200)
        return 0;
    if (status == -SM_EAUTH)
        b->reason = "tls";
    else if (status < 0 && status != -SM_ECANCEL)
        b->reason = "network";
    if (status < 0) {
        (void)snprintf(b->why, sizeof b->why, "%.180s", box_http_why(b->http)); /* cut to fit */
        return status;
    }
    if (sm_json_parse(sm_buf_span(&b->body), BOX_ANSWER_MAX, &j, NULL) == 0)
        code = json_string_value(json_object_get(json_object_get(j, "error"), "code"));
    switch (status) {
    case 401:
    case 403:
        return said(b, -SM_EAUTH, "refused");
    case 404:
        return -SM_ENOTFOUND;
    case 409:
        return said(b, code && !strcmp(code, "forked") ? -SM_EDENIED : -SM_EAGAIN, "");
    case 422:
        return said(b, code && !strcmp(code, "foreign") ? -SM_EMISMATCH : -SM_EPROTO, "");
    case 429:
    case 503:
        return said(b, -SM_EPEER, "busy");
    case 507:
        return said(b, -ENOSPC, "full");
    default:
        return said(b, -SM_EPROTO, "");
    }
}

static void rest(const struct box *b, unsigned tries)
{
    for (unsigned i = 0; i < (1u << tries) && !(b->cancel && atomic_load(b->cancel)); i++)
        plat_clock_sleep_ms(REST_MS);
}

/* A message that may be sent again: when the line was cut nobody knows whether it arrived. */
static int ask(struct box *b, const struct box_request *r)
{
    for (unsigned i = 0;; i++) {
        int status = box_http_do(b->http, r, &b->body);
        bool cut = status == -SM_EPEER || status == -SM_ETIME || status == 503 || status == 429;
        if (!cut || i == TRIES)
            return meaning(b, status);
        rest(b, i);
    }
}

static int get(struct box *b, const char *path)
{
    const struct box_request r = { .method = "GET", .path = path };
    return ask(b, &r);
}

/* ---- what is there ---- */

static int list_of(struct box *b, bool packs, unsigned digits, struct list **ret)
{
    struct list *l = &b->lists[packs][digits];
    char path[80];
    *ret = l;
    if (l->there)
        return 0;
    (void)snprintf(path, sizeof path, "/agent/v1/peer/list/%s/%02x", packs ? "packs" : "manifests", digits); /* fits */
    int r = get(b, path);
    if (!r && b->body.n % LIST_ROW)
        r = -SM_EPROTO;
    if (!r) {
        l->rows = SM_BUF_INIT(LIST_MAX);
        r = sm_buf_put_span(&l->rows, sm_buf_span(&b->body));
    }
    l->there = r == 0;
    return r;
}

/* What the other box says is rotten is as good as not there: it is sent again. */
static bool is_rotten(const struct box *b, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i + n < b->rotten.n; i++)
        if (memcmp(b->rotten.p + i, name, n) == 0 && b->rotten.p[i + n] == '\n')
            return true;
    return false;
}

static const char *hex_in(const char *name, bool *ret_packs)
{
    *ret_packs = !strncmp(name, "packs/", 6);
    return *ret_packs ? name + 9 : !strncmp(name, "manifests/", 10) ? name + 10 : NULL;
}

static int listed(struct box *b, const char *name, uint64_t *ret)
{
    bool packs;
    struct cid id;
    struct list *l;
    const char *hex = hex_in(name, &packs);
    if (sm_unhex(hex, 64, id.b, 32))
        return -SM_ENOTFOUND;
    int r = list_of(b, packs, id.b[0], &l);
    for (size_t i = 0; !r && i < l->rows.n; i += LIST_ROW)
        if (memcmp(l->rows.p + i, id.b, 32) == 0 && !is_rotten(b, name)) {
            struct sm_rd rd = SM_RD(SM_SPAN(l->rows.p + i + 32, 8));
            *ret = sm_rd_u64(&rd);
            return 0;
        }
    return r ? r : -SM_ENOTFOUND;
}

int box_rows(void *t, bool packs, unsigned digits, struct box_row **ret, size_t *ret_n)
{
    struct list *l;
    int r = list_of(t, packs, digits, &l);
    size_t n = r ? 0 : l->rows.n / LIST_ROW;
    struct box_row *rows = r ? NULL : calloc(n + 1, sizeof *rows);
    if (r || !rows)
        return r ? r : -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct sm_rd rd = SM_RD(SM_SPAN(l->rows.p + i * LIST_ROW + 32, 8));
        memcpy(rows[i].id.b, l->rows.p + i * LIST_ROW, 32);
        rows[i].size = sm_rd_u64(&rd);
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

static int file(struct box *b, const char *name, uint64_t off, size_t n, uint64_t *ret_size, struct sm_span *ret)
{
    char path[256];
    (void)snprintf(path, sizeof path, "/agent/v1/peer/file?name=%s&offset=%llu&length=%zu", name,
        (unsigned long long)off, n); /* fits: names have no strange letters */
    int r = get(b, path);
    if (r)
        return r;
    struct sm_rd rd = SM_RD(sm_buf_span(&b->body));
    *ret_size = sm_rd_u64(&rd);
    *ret = SM_SPAN(rd.p, rd.n);
    return rd.err || rd.n > n ? -SM_EPROTO : 0;
}

static int box_size(void *t, const char *name, uint64_t *ret)
{
    bool packs;
    struct sm_span none;
    return hex_in(name, &packs) ? listed(t, name, ret) : file(t, name, 0, 0, ret, &none);
}

static int box_read(void *t, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    size_t got = 0;
    while (got < n) {
        uint64_t size = 0;
        struct sm_span piece;
        int r = file(t, name, off + got, n - got < PIECE ? n - got : PIECE, &size, &piece);
        if (r)
            return r;
        /* All that was asked for, or what there is: not byte by byte, a request each. */
        size_t asked = n - got < PIECE ? n - got : PIECE;
        uint64_t there = off + got < size ? size - off - got : 0;
        if (piece.n != (there < asked ? there : asked))
            return -SM_EPROTO;
        memcpy((uint8_t *)to + got, piece.p, piece.n);
        got += piece.n;
        if (off + got >= size)
            break;
    }
    *ret_got = got;
    return 0;
}

/* The journal's end is its last signed head, and the other box says how long its files are. */
static int box_tip(void *t, struct journal_head *ret, uint32_t *ret_file, uint64_t *ret_off)
{
    struct box *b = t;
    char name[COPY_NAME_MAX];
    uint64_t size = 0;
    uint32_t low = 0, high = 1;
    if (!b->head.seq || b->journal_rotten)
        return 0;
    for (int r = 0; r == 0 && high < JOURNAL_FILES_MAX; low = r ? low : high, high = r ? high : 2 * high) {
        chain_file(high, name);
        r = box_size(b, name, &size);
        if (r && r != -SM_ENOTFOUND)
            return r;
        if (r)
            break;
    }
    while (low + 1 < high) {
        uint32_t middle = low + (high - low) / 2;
        chain_file(middle, name);
        int r = box_size(b, name, &size);
        if (r && r != -SM_ENOTFOUND)
            return r;
        *(r ? &high : &low) = middle;
    }
    if (!low)
        return 0;
    chain_file(low, name);
    int r = box_size(b, name, &size);
    if (r)
        return r;
    *ret = b->head;
    *ret_file = low;
    *ret_off = size;
    return 1;
}

/* ---- sending ---- */

static int box_begin(void *t, const char *name)
{
    struct box *b = t;
    sm_buf_clear(&b->pack);
    (void)snprintf(b->name, sizeof b->name, "%s", name); /* same size */
    return 0;
}

static int box_put(void *t, struct sm_span bytes)
{
    return sm_buf_put_span(&((struct box *)t)->pack, bytes);
}

static void box_abort(void *t)
{
    sm_buf_clear(&((struct box *)t)->pack);
}

/* How much of it the other box holds. */
static int pack_have(struct box *b, const char *hex, uint64_t *ret)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    char path[200];
    (void)snprintf(path, sizeof path, "/agent/v1/peer/packs/%.64s?length=%zu", hex, b->pack.n); /* fits */
    int r = get(b, path);
    if (!r)
        r = sm_json_parse(sm_buf_span(&b->body), BOX_ANSWER_MAX, &j, NULL);
    struct sm_obj o = SM_OBJ(j);
    if (!r) {
        *ret = (uint64_t)sm_obj_int(&o, "have", 0, (int64_t)b->pack.n);
        r = o.err;
    }
    return r;
}

/* Goes on at the byte the other box holds, however often the line is cut. */
static int box_end(void *t)
{
    struct box *b = t;
    const char *hex = b->name + 9;
    char path[120];
    (void)snprintf(path, sizeof path, "/agent/v1/peer/packs/%.64s", hex); /* fits */
    for (unsigned i = 0;; i++) {
        uint64_t have = 0;
        int r = pack_have(b, hex, &have);
        if (r)
            return r;
        const struct box_request put = { .method = "PUT", .path = path, .body = SM_SPAN(b->pack.p + have,
            b->pack.n - have),
            .offset = have, .length = b->pack.n };
        int status = box_http_do(b->http, &put, &b->body);
        bool cut = status == -SM_EPEER || status == -SM_ETIME || status == 503 || status == 429 || status == 409;
        if (!cut || i == TRIES) {
            box_abort(b);
            return meaning(b, status);
        }
        rest(b, i);
    }
}

static int put(struct box *b, const char *path, struct sm_span bytes, uint64_t at)
{
    const struct box_request r = { .method = "PUT", .path = path, .body = bytes, .offset = at,
        .length = at + bytes.n };
    return ask(b, &r);
}

static int box_append(void *t, const char *name, uint64_t at, struct sm_span bytes)
{
    unsigned n = 0;
    char path[80];
    int r = sscanf(name, "journal/%8u.skj", &n) == 1 ? 0 : -SM_EINVAL;
    (void)snprintf(path, sizeof path, "/agent/v1/peer/journal/%u", n); /* fits */
    while (!r && bytes.n) {
        size_t k = bytes.n < PIECE ? bytes.n : PIECE;
        r = put(t, path, SM_SPAN(bytes.p, k), at);
        bytes = SM_SPAN(bytes.p + k, bytes.n - k);
        at += k;
    }
    return r;
}

static int box_replace(void *t, const char *name, struct sm_span content)
{
    char path[120];
    if (!strcmp(name, "format"))
        return put(t, "/agent/v1/peer/format", content, 0);
    if (!strcmp(name, "heads/0.head"))
        return put(t, "/agent/v1/peer/head", content, 0);
    if (strncmp(name, "manifests/", 10) != 0)
        return -SM_EINVAL;
    (void)snprintf(path, sizeof path, "/agent/v1/peer/manifests/%.64s", name + 10); /* fits */
    return put(t, path, content, 0);
}

static int post(struct box *b, const char *path, const char *json)
{
    const struct box_request r = { .method = "POST", .path = path, .body = SM_SPAN_STR(json),
        .type = "application/json" };
    return ask(b, &r);
}

static void box_forked(void *t)
{
    /* Both sides call a person; here one is called in any case. */
    (void)!post(t, "/agent/v1/peer/forked", "{\"why\":\"the near box's own record does not fit what is here\"}");
}

int box_check(void *t)
{
    return post(t, "/agent/v1/peer/check", "{}");
}

/* ---- life ---- */

static void box_close(void *t)
{
    struct box *b = t;
    if (!b)
        return;
    for (unsigned i = 0; i < 512; i++)
        sm_buf_wipe(&b->lists[i / 256][i % 256].rows);
    sm_buf_wipe(&b->body);
    sm_buf_wipe(&b->pack);
    sm_buf_wipe(&b->rotten);
    box_http_free(b->http);
    free(b);
}

static int box_never(const char *where, void **ret)
{
    (void)where, (void)ret;
    return -SM_EUNSUPPORTED;
}

static int take_state(struct box *b)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    size_t i;
    json_t *v;
    int r = sm_json_parse(sm_buf_span(&b->body), BOX_ANSWER_MAX, &j, NULL);
    if (r)
        return -SM_EPROTO;
    struct sm_obj o = SM_OBJ(j);
    b->facts.used = (uint64_t)sm_obj_int(&o, "used", 0, INT64_MAX);
    b->facts.quota = (uint64_t)sm_obj_int(&o, "quota", 0, INT64_MAX);
    b->head.seq = (uint64_t)sm_obj_int(&o, "seq", 0, INT64_MAX);
    sm_obj_hex(&o, "hash", b->head.hash, 32);
    b->journal_rotten = sm_obj_bool(&o, "journal_rotten", false);
    const json_t *checked = json_object_get(j, "checked");
    b->facts.rotten = (uint64_t)json_integer_value(json_object_get(checked, "rotten"));
    b->facts.checked_s = json_integer_value(json_object_get(checked, "at_s"));
    json_array_foreach(json_object_get(checked, "names"), i, v)
        if (!r && json_is_string(v))
            r = sm_buf_printf(&b->rotten, "%s\n", json_string_value(v));
    return o.err ? -SM_EPROTO : r;
}

int box_open(const struct box_args *a, void **ret, char ret_why[BOX_WHY])
{
    const struct box_http_args h = { .url = a->url, .ca = a->ca, .cert = a->cert, .key = a->key, .verify = true,
        .cancel = a->cancel, .rate_bytes = a->rate_bytes };
    struct box *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->cancel = a->cancel;
    b->reason = "";
    b->body = SM_BUF_INIT(BOX_ANSWER_MAX);
    b->pack = SM_BUF_INIT(PACK_MAX);
    b->rotten = SM_BUF_INIT((size_t)64 << 10);
    int r = box_http_new(&h, &b->http);
    if (!r)
        r = get(b, "/agent/v1/peer");
    if (!r)
        r = take_state(b);
    (void)snprintf(ret_why, BOX_WHY, "%s", b->why[0] ? b->why : r ? sm_strerror(r) : ""); /* fits */
    *ret = b; /* also on failure: it knows the reason */
    return r;
}

const char *box_reason(const void *t)
{
    return ((const struct box *)t)->reason;
}

const char *box_why(const void *t)
{
    return ((const struct box *)t)->why;
}

void box_facts(const void *t, struct box_facts *ret)
{
    *ret = ((const struct box *)t)->facts;
}

const struct copy_target_ops copy_box = { .kind = "box", .open = box_never, .close = box_close, .size = box_size,
    .read = box_read, .begin = box_begin, .put = box_put, .end = box_end, .abort = box_abort, .append = box_append,
    .replace = box_replace, .keeps = true, .tip = box_tip, .forked = box_forked };
