/* The bucket as a target of copies: what copy.c asks for, in terms of objects, versions and locks. */
#include <errno.h>
#include <time.h>
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "vault/copy/s3_internal.h"

#define AHEAD ((size_t)8 << 20)           /* read in advance of what is asked */
#define COMMIT_OBJECTS 256
#define KEEP_A_STEP 16
#define BOX_FIRST "sakimori bucket 1\n"
#define BOX_MAX 1024
#define BOX_VERSIONS 100000u

static const struct s3_name box_name = { .kind = S3_BOX };

int64_t s3_now(const struct s3 *t)
{
    return (int64_t)time(NULL) + t->http.skew_s;
}

static int64_t lock_until(const struct s3 *t)
{
    return s3_now(t) + t->http.conf.lock_days * S3_DAY;
}

int64_t s3_renew_at(const struct s3 *t)
{
    return s3_now(t) + t->http.conf.lock_days * S3_DAY / 2;
}

/* ---- one object ---- */

static int look(struct s3 *t, const char *key, const char *version, struct s3_reply *ret)
{
    return s3_http_do(&t->http, &(struct s3_request){ .method = "HEAD", .key = key, .version = version }, ret);
}

static int see_lock(struct s3 *t, const struct s3_reply *got, uint64_t size, int64_t until)
{
    if (got->length != size)
        return s3_http_fail(&t->http, -SM_ECORRUPT, "network", "the server holds another length than was sent");
    if (strcmp(got->mode, "COMPLIANCE") != 0 || got->until_s < until - 1)
        return s3_http_fail(&t->http, -SM_EUNSUPPORTED, "nolock", "the server does not show the lock it was asked for");
    return 0;
}

int s3_store(struct s3 *t, const char *key, struct sm_span body, char ret_version[S3_VERSION_MAX], int64_t *ret_until)
{
    struct s3_reply put, got;
    int64_t until = lock_until(t);
    int r = s3_http_do(&t->http, &(struct s3_request){ .method = "PUT", .key = key, .body = body, .until_s = until }, &put);
    if (!r && (!*put.version || strpbrk(put.version, " \n") || !strcmp(put.version, "null")))
        r = s3_http_fail(&t->http, -SM_EUNSUPPORTED, "versions", "the bucket does not keep versions");
    if (!r)
        r = look(t, key, put.version, &got);
    if (!r)
        r = see_lock(t, &got, body.n, until);
    if (!r) {
        memcpy(ret_version, put.version, sizeof put.version);
        *ret_until = until;
    }
    return r;
}

static int store_named(struct s3 *t, const struct s3_name *name, struct sm_span body)
{
    char key[S3_KEY_MAX], version[S3_VERSION_MAX];
    int64_t until;
    s3_name_key(name, key);
    int r = s3_store(t, key, body, version, &until);
    if (!r)
        r = s3_list_set(&t->list, name, body.n, until, version);
    return r;
}

int s3_get(struct s3 *t, const struct s3_entry *e, uint64_t from, size_t n, struct sm_buf *ret)
{
    char key[S3_KEY_MAX];
    s3_name_key(&e->name, key);
    return s3_http_do(&t->http, &(struct s3_request){ .method = "GET", .key = key, .version = s3_list_version(&t->list, e),
        .from = from, .n = n, .max = n ? n : S3_BODY_MAX, .into = ret }, NULL);
}

/* ---- reading ---- */

static int from_object(struct s3 *t, const struct s3_entry *e, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    bool there = t->ahead.n && memcmp(&t->ahead_name, &e->name, sizeof e->name) == 0 && off >= t->ahead_off &&
        off < t->ahead_off + t->ahead.n;
    int r = 0;
    if (off >= e->size) {
        *ret_got = 0;
        return 0;
    }
    if (!there) {
        size_t want = e->size - off < AHEAD ? (size_t)(e->size - off) : AHEAD;
        sm_buf_clear(&t->ahead);
        r = s3_get(t, e, off, want, &t->ahead);
        t->ahead_name = e->name;
        t->ahead_off = off;
    }
    /* A version that is not there any more has no bytes: whoever reads finds it unsound. */
    if (r && r != -SM_ENOTFOUND)
        return r;
    size_t have = r || off - t->ahead_off >= t->ahead.n ? 0 : t->ahead.n - (size_t)(off - t->ahead_off);
    size_t k = have < n ? have : n;
    if (k)
        memcpy(to, t->ahead.p + (off - t->ahead_off), k);
    *ret_got = k;
    return 0;
}

/* The part of a journal file that begins at off or holds it. */
static const struct s3_entry *part_at(const struct s3 *t, uint32_t file, uint64_t off, uint64_t *ret_from)
{
    for (size_t i = 0; i < t->list.n; i++) {
        const struct s3_entry *e = &t->list.v[i];
        uint32_t f;
        uint64_t o;
        if (e->name.kind != S3_JOURNAL)
            continue;
        s3_name_journal_get(&e->name, &f, &o);
        if (f == file && off >= o && off < o + e->size) {
            *ret_from = o;
            return e;
        }
    }
    return NULL;
}

static bool journal_file(const char *name, uint32_t *ret)
{
    char *end;
    if (strncmp(name, "journal/", 8) != 0)
        return false;
    unsigned long n = strtoul(name + 8, &end, 10);
    *ret = (uint32_t)n;
    return !strcmp(end, ".skj") && n > 0 && n <= JOURNAL_FILES_MAX;
}

static int read_journal(struct s3 *t, uint32_t file, uint64_t off, uint8_t *to, size_t n, size_t *ret_got)
{
    uint64_t from = 0;
    size_t got = 0;
    const struct s3_entry *first = part_at(t, file, 0, &from), *e;
    if (!first)
        return -SM_ENOTFOUND;
    while (got < n && (e = part_at(t, file, off + got, &from)) != NULL) {
        size_t k = 0;
        int r = from_object(t, e, off + got - from, to + got, n - got, &k);
        if (r)
            return r;
        if (!k)
            break;
        got += k;
    }
    *ret_got = got;
    return 0;
}

static int from_text(struct sm_span text, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    size_t have = off >= text.n ? 0 : text.n - (size_t)off, k = have < n ? have : n;
    if (k)
        memcpy(to, text.p + off, k);
    *ret_got = k;
    return 0;
}

int s3_read(void *arg, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    struct s3 *t = arg;
    struct s3_name sn;
    uint32_t file;
    if (!strcmp(name, "format")) {
        char hex[33], text[80];
        if (!t->root.format)
            return -SM_ENOTFOUND;
        sm_hex(t->vault.b, 16, hex);
        int k = snprintf(text, sizeof text, "sakimori vault %u\n%s\n", t->root.format, hex);
        return from_text(SM_SPAN(text, (size_t)k), off, to, n, ret_got);
    }
    if (!strcmp(name, "heads/0.head"))
        return t->root.has_head ? from_text(SM_SPAN(t->root.head, sizeof t->root.head), off, to, n, ret_got) : -SM_ENOTFOUND;
    if (journal_file(name, &file))
        return read_journal(t, file, off, to, n, ret_got);
    const struct s3_entry *e = s3_name_of(name, &sn) == 0 ? s3_list_find(&t->list, &sn) : NULL;
    return e ? from_object(t, e, off, to, n, ret_got) : -SM_ENOTFOUND;
}

static int s3_size(void *arg, const char *name, uint64_t *ret)
{
    struct s3 *t = arg;
    struct s3_name sn;
    const struct s3_entry *e = s3_name_of(name, &sn) == 0 ? s3_list_find(&t->list, &sn) : NULL;
    if (!e)
        return -SM_ENOTFOUND;
    *ret = e->size;
    return 0;
}

/* ---- writing ---- */

static void s3_abort(void *arg)
{
    struct s3 *t = arg;
    sm_buf_clear(&t->body);
    t->body_open = false;
}

static int s3_begin(void *arg, const char *name)
{
    struct s3 *t = arg;
    s3_abort(t);
    int r = s3_name_of(name, &t->body_name);
    t->body_open = r == 0;
    return r;
}

static int s3_put(void *arg, struct sm_span bytes)
{
    struct s3 *t = arg;
    return t->body_open ? sm_buf_put_span(&t->body, bytes) : -SM_ESTATE;
}

static int s3_end(void *arg)
{
    struct s3 *t = arg;
    int r = t->body_open ? store_named(t, &t->body_name, sm_buf_span(&t->body)) : -SM_ESTATE;
    s3_abort(t);
    if (!r && t->list.dirty >= COMMIT_OBJECTS)
        r = s3_commit(t);
    return r;
}

/* Nothing in a bucket can be changed: what was behind `at` leaves the list, or counts only up to there. */
static int cut(struct s3 *t, uint32_t file, uint64_t at)
{
    for (size_t i = t->list.n; i-- > 0;) {
        struct s3_entry *e = &t->list.v[i];
        uint32_t f;
        uint64_t o;
        int r = 0;
        if (e->name.kind != S3_JOURNAL)
            continue;
        s3_name_journal_get(&e->name, &f, &o);
        if (f > file || (f == file && o >= at)) {
            struct s3_name name = e->name;
            r = s3_list_remove(&t->list, &name);
        } else if (f == file && o + e->size > at) {
            struct s3_name name = e->name;
            r = s3_list_set(&t->list, &name, at - o, e->until, s3_list_version(&t->list, e));
        }
        if (r)
            return r;
    }
    return 0;
}

static int s3_append(void *arg, const char *name, uint64_t at, struct sm_span bytes)
{
    struct s3 *t = arg;
    uint32_t file;
    uint64_t from;
    if (!journal_file(name, &file))
        return -SM_EINVAL;
    int r = cut(t, file, at);
    if (!r && at && !part_at(t, file, at - 1, &from))
        r = -SM_ESTATE; /* no holes */
    struct s3_name n = s3_name_journal(file, at);
    if (!r)
        r = store_named(t, &n, bytes);
    return r;
}

/* The end of the journal's last file, as the list has it. */
static void journal_end(const struct s3 *t, uint32_t *ret_file, uint64_t *ret_off)
{
    *ret_file = 0;
    *ret_off = 0;
    for (size_t i = 0; i < t->list.n; i++) {
        const struct s3_entry *e = &t->list.v[i];
        uint32_t f;
        uint64_t o;
        if (e->name.kind != S3_JOURNAL)
            continue;
        s3_name_journal_get(&e->name, &f, &o);
        if (f > *ret_file || (f == *ret_file && o + e->size > *ret_off)) {
            *ret_file = f;
            *ret_off = o + e->size;
        }
    }
}

static int replace_head(struct s3 *t, struct sm_span content)
{
    struct journal_signed_head h;
    int r = journal_head_get(content, &h);
    if (r)
        return r;
    memcpy(t->root.head, content.p, sizeof t->root.head);
    t->root.has_head = true;
    t->root.tip = h.head;
    journal_end(t, &t->root.tip_file, &t->root.tip_off);
    t->root_dirty = true;
    return s3_commit(t);
}

static int s3_replace(void *arg, const char *name, struct sm_span content)
{
    struct s3 *t = arg;
    struct s3_name sn;
    if (!strcmp(name, "heads/0.head"))
        return content.n == sizeof t->root.head ? replace_head(t, content) : -SM_EINVAL;
    if (!strcmp(name, "format")) {
        if (content.n < 16 || content.p[15] < '1' || content.p[15] > '9')
            return -SM_EINVAL;
        t->root.format = (uint8_t)(content.p[15] - '0');
        t->root_dirty = true;
        return 0;
    }
    int r = s3_name_of(name, &sn);
    if (!r)
        r = store_named(t, &sn, content);
    if (!r && t->list.dirty >= COMMIT_OBJECTS)
        r = s3_commit(t);
    return r;
}

/* ---- what copy.c may ask of this target only ---- */

static int s3_tip(void *arg, struct journal_head *ret, uint32_t *ret_file, uint64_t *ret_off)
{
    const struct s3 *t = arg;
    if (!t->root.tip.seq)
        return 0;
    *ret = t->root.tip;
    *ret_file = t->root.tip_file;
    *ret_off = t->root.tip_off;
    return 1;
}

static int s3_gone(void *arg, const char *name)
{
    struct s3 *t = arg;
    struct s3_name sn;
    return s3_name_of(name, &sn) == 0 ? s3_list_remove(&t->list, &sn) : 0;
}

int s3_forget_journal(struct s3 *t)
{
    int r = cut(t, 0, 0);
    t->root.tip = (struct journal_head){ 0 };
    t->root.tip_file = 0;
    t->root.tip_off = 0;
    t->root.has_head = false;
    t->root_dirty = true;
    return r ? r : s3_commit(t);
}

static int renew(struct s3 *t, size_t i)
{
    struct s3_entry *e = &t->list.v[i];
    struct s3_name name = e->name;
    char key[S3_KEY_MAX], date[32], body[400];
    int64_t until = lock_until(t);
    s3_name_key(&name, key);
    s3_lock_date(until, date);
    int n = snprintf(body, sizeof body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Retention "
        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>COMPLIANCE</Mode><RetainUntilDate>%s</RetainUntilDate>"
        "</Retention>", date);
    struct s3_reply got;
    int r = s3_http_do(&t->http, &(struct s3_request){ .method = "PUT", .key = key, .query = "retention=",
        .version = s3_list_version(&t->list, e), .body = SM_SPAN(body, (size_t)n) }, NULL);
    if (!r)
        r = look(t, key, s3_list_version(&t->list, e), &got);
    if (!r && (strcmp(got.mode, "COMPLIANCE") != 0 || got.until_s < until - 1))
        r = s3_http_fail(&t->http, -SM_EUNSUPPORTED, "nolock", "the server does not show the longer lock");
    if (!r) {
        t->renewed++;
        return s3_list_set(&t->list, &name, e->size, until, s3_list_version(&t->list, e));
    }
    if (r != -SM_ENOTFOUND || !strcmp(t->http.reason, "bucket"))
        return r;
    /* Its lock had ended and somebody took it away: it is sent again. */
    if (name.kind == S3_JOURNAL) {
        r = s3_forget_journal(t);
        return r ? r : -SM_EAGAIN;
    }
    return s3_list_remove(&t->list, &name);
}

static int s3_keep(void *arg)
{
    struct s3 *t = arg;
    int64_t soon = s3_renew_at(t);
    int done = 0, r = 0;
    while (!r && t->keep_at < t->list.n && done < KEEP_A_STEP) {
        size_t n = t->list.n;
        if (t->list.v[t->keep_at].until < soon) {
            r = renew(t, t->keep_at);
            done++;
        }
        t->keep_at += t->list.n == n; /* one that was taken out left its place to another */
    }
    if (!r && t->list.dirty >= COMMIT_OBJECTS * 4)
        r = s3_commit(t);
    return r ? r : t->keep_at < t->list.n;
}

/* ---- life ---- */

static void s3_close(void *arg)
{
    struct s3 *t = arg;
    if (!t)
        return;
    s3_http_wipe(&t->http);
    s3_list_wipe(&t->list);
    sm_buf_wipe(&t->body);
    sm_buf_wipe(&t->ahead);
    free(t);
}

static int check_bucket(struct s3 *t)
{
    static const struct { const char *query, *path, *is, *reason, *why; } asks[] = {
        { "versioning=", "Status", "Enabled", "versions", "the bucket does not keep versions" },
        { "object-lock=", "ObjectLockEnabled", "Enabled", "nolock", "the bucket has no Object Lock" } };
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        struct sm_buf b = SM_BUF_INIT(S3_ROOT_MAX);
        char text[40] = "";
        int r = s3_http_do(&t->http, &(struct s3_request){ .method = "GET", .query = asks[i].query, .max = S3_ROOT_MAX,
            .into = &b }, NULL);
        if (!r)
            r = s3_xml_text(sm_buf_span(&b), asks[i].path, text, sizeof text);
        sm_buf_wipe(&b);
        if (r == -SM_ENOTFOUND && i == 1 && strcmp(t->http.reason, "bucket") != 0)
            r = 0; /* no configuration of locks at all */
        if (r)
            return r;
        if (strcmp(text, asks[i].is) != 0)
            return s3_http_fail(&t->http, -SM_EUNSUPPORTED, asks[i].reason, asks[i].why);
    }
    return 0;
}

struct oldest { char version[S3_VERSION_MAX]; };

/* Newest first: the last one told is the oldest, and that nobody could put there before the box did. */
static int on_box(void *arg, const char *key, const char *version, bool marker, int64_t at_s)
{
    struct oldest *o = arg;
    (void)at_s;
    if (!strcmp(key, "box") && !marker)
        (void)snprintf(o->version, sizeof o->version, "%s", version); /* same size */
    return 0;
}

/* "sakimori bucket 1\n" head key "\n", then the label. */
static int box_text(const struct s3_args *a, struct sm_buf *ret)
{
    char hex[65];
    sm_hex(a->head_pub, 32, hex);
    return sm_buf_printf(ret, BOX_FIRST "%s\n%s", hex, a->label);
}

static int take_box(struct s3 *t, const struct s3_args *a, struct sm_span text)
{
    size_t head = sizeof BOX_FIRST - 1;
    struct copy_label l;
    uint8_t pub[32];
    if (text.n < head + 65 || memcmp(text.p, BOX_FIRST, head) != 0 || text.p[head + 64] != '\n' ||
        sm_unhex((const char *)text.p + head, 64, pub, 32) < 0 ||
        copy_label_get(SM_SPAN(text.p + head + 65, text.n - head - 65), &l) < 0 || copy_label_verify(&l, pub) < 0)
        return s3_http_fail(&t->http, -SM_EMISMATCH, "taken", "something else lies at this place of the bucket");
    if (a->seal && (memcmp(pub, a->head_pub, 32) != 0 || memcmp(l.vault.b, a->vault.b, 16) != 0 ||
        memcmp(l.copy, a->copy, 16) != 0))
        return s3_http_fail(&t->http, -SM_EMISMATCH, "taken", "another box or another copy fills this place of the bucket");
    memcpy(t->head_pub, pub, 32);
    t->vault = l.vault;
    memcpy(t->copy, l.copy, 16);
    return 0;
}

/* Whose place this is: the first thing written, and the anchor of a fetch. */
static int find_box(struct s3 *t, const struct s3_args *a, struct oldest *ret, bool *ret_new)
{
    struct oldest o = { "" };
    struct sm_buf b = SM_BUF_INIT(BOX_MAX);
    int r = s3_versions(&t->http, "box", BOX_VERSIONS, on_box, &o);
    *ret_new = !r && !*o.version;
    if (*ret_new && !a->seal)
        r = s3_http_fail(&t->http, -SM_ENOTFOUND, "", "no copy of a Sakimori box lies at this place of the bucket");
    else if (*ret_new)
        r = box_text(a, &b);
    else if (!r)
        r = s3_http_do(&t->http, &(struct s3_request){ .method = "GET", .key = "box", .version = o.version, .max = BOX_MAX,
            .into = &b }, NULL);
    if (!r)
        r = take_box(t, a, sm_buf_span(&b));
    if (!r && *ret_new)
        r = store_named(t, &box_name, sm_buf_span(&b));
    *ret = o;
    sm_buf_wipe(&b);
    return r;
}

/* A run that ended before its first root left it without an entry, and nobody would renew its lock. */
static int adopt_box(struct s3 *t, const struct oldest *o)
{
    struct s3_reply got;
    if (s3_list_find(&t->list, &box_name))
        return 0;
    int r = look(t, "box", o->version, &got);
    return r ? r : s3_list_set(&t->list, &box_name, got.length, got.until_s, o->version);
}

int s3_open(const struct s3_args *args, void **ret, char ret_why[S3_WHY])
{
    struct s3 *t = calloc(1, sizeof *t);
    struct oldest box;
    bool fresh = false;
    if (!t)
        return -ENOMEM;
    *t = (struct s3){ .vault = args->vault, .seal = args->seal, .arg = args->arg, .before_s = args->before_s,
        .body = SM_BUF_INIT(S3_BODY_MAX), .ahead = SM_BUF_INIT(AHEAD) };
    memcpy(t->copy, args->copy, 16);
    memcpy(t->head_pub, args->head_pub, 32);
    s3_list_wipe(&t->list);
    int r = s3_http_init(&t->http, args->conf, args->cancel);
    if (!r && args->seal)
        r = check_bucket(t);
    if (!r)
        r = find_box(t, args, &box, &fresh);
    if (!r && !fresh) {
        r = s3_load(t);
        if (r == -SM_ENOTFOUND && args->seal && strcmp(t->http.reason, "bucket") != 0)
            r = 0; /* the first run ended before its first root */
        if (!r && args->seal)
            r = adopt_box(t, &box);
    }
    *ret = t; /* also on failure: for its words */
    (void)snprintf(ret_why, S3_WHY, "%s", r && *t->http.why ? t->http.why : r ? sm_strerror(r) : ""); /* fits */
    return r;
}

const char *s3_reason(const void *t)
{
    return ((const struct s3 *)t)->http.reason;
}

const char *s3_why(const void *t)
{
    return ((const struct s3 *)t)->http.why;
}

void s3_facts(const void *arg, struct s3_facts *ret)
{
    const struct s3 *t = arg;
    *ret = (struct s3_facts){ .objects = t->list.n, .bytes = t->list.bytes, .renewed = t->renewed, .root = t->root.number };
    for (size_t i = 0; i < t->list.n; i++)
        if (!ret->locked_until_s || t->list.v[i].until < ret->locked_until_s)
            ret->locked_until_s = t->list.v[i].until;
    for (size_t i = 0; i < t->root.lists_n; i++)
        if (!ret->locked_until_s || t->root.lists[i].until_s < ret->locked_until_s)
            ret->locked_until_s = t->root.lists[i].until_s;
}

void s3_who(const void *arg, struct vault_id *ret_vault, uint8_t ret_head_pub[32], int64_t *ret_at_s)
{
    const struct s3 *t = arg;
    *ret_vault = t->vault;
    memcpy(ret_head_pub, t->head_pub, 32);
    *ret_at_s = t->root.at_s;
}

/* Opened by s3_open: a place alone is not enough. */
static int s3_open_place(const char *where, void **ret)
{
    (void)where;
    (void)ret;
    return -SM_EUNSUPPORTED;
}

const struct copy_target_ops copy_s3 = { .kind = "s3", .open = s3_open_place, .close = s3_close, .size = s3_size,
    .read = s3_read, .begin = s3_begin, .put = s3_put, .end = s3_end, .abort = s3_abort, .append = s3_append,
    .replace = s3_replace, .keeps = true, .tip = s3_tip, .gone = s3_gone, .keep = s3_keep };
