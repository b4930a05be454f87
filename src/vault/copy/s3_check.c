/* Reading back what lies in the bucket: the lock of everything, the bytes of all of it or of some chosen by chance. */
#include <errno.h>
#include "crypto/random.h"
#include "vault/copy/s3_internal.h"
#include "vault/pack/pack.h"

static void tell(struct s3_check *c, const struct s3_name *name, const char *why)
{
    char key[S3_KEY_MAX];
    s3_name_key(name, key);
    c->damaged++;
    if (c->damage)
        c->damage(c->arg, key, why);
}

/* NULL: in order. */
static const char *look_at(struct s3 *t, const struct s3_entry *e, int *ret_err)
{
    struct s3_reply got;
    char key[S3_KEY_MAX];
    s3_name_key(&e->name, key);
    *ret_err = 0;
    int r = s3_http_do(&t->http, &(struct s3_request){ .method = "HEAD", .key = key, .version = s3_list_version(&t->list, e) },
        &got);
    if (r == -SM_ENOTFOUND && strcmp(t->http.reason, "bucket") != 0)
        return "this version is not there any more";
    if (r) {
        *ret_err = r;
        return NULL;
    }
    if (strcmp(got.mode, "COMPLIANCE") != 0 || got.until_s + 1 < e->until)
        return "it is not locked as it was";
    /* A part of the journal may count only up to its middle. */
    if (e->name.kind == S3_JOURNAL ? got.length < e->size : got.length != e->size)
        return "it has another length";
    return NULL;
}

bool s3_body_fits(struct s3 *t, const struct s3_entry *e, struct sm_span b)
{
    struct cid id, is;
    memcpy(id.b, e->name.id, 32);
    if (e->name.kind == S3_MANIFEST) {
        obj_name(b, &is);
        return cid_eq(&is, &id);
    }
    if (e->name.kind != S3_PACK)
        return b.n >= e->size; /* the journal is read as a chain, at the end */
    struct pack_expect want = { .id = &id, .vault = &t->vault };
    struct pack_check *check = NULL;
    bool ok = pack_check_new(&want, NULL, NULL, &check) == 0 && pack_check_put(check, b) >= 0 && !pack_check_left(check);
    pack_check_free(check);
    return ok;
}

/* Chosen with the chance that makes read_max bytes of all. */
static bool its_turn(const struct s3_check *c)
{
    return !c->read_max || c->read_max >= c->bytes_total || crypto_random_below(c->bytes_total) < c->read_max;
}

static int one(struct s3 *t, struct s3_check *c, const struct s3_entry *e)
{
    int r;
    const char *why = look_at(t, e, &r);
    c->locks++;
    if (!why && !r && e->name.kind != S3_BOX && e->name.kind != S3_JOURNAL && its_turn(c)) {
        r = s3_get(t, e, 0, 0, &t->body);
        if (!r && !s3_body_fits(t, e, sm_buf_span(&t->body)))
            why = "its bytes do not match its name";
        c->objects += !r;
        c->bytes += t->body.n;
        if (r == -SM_ENOTFOUND && strcmp(t->http.reason, "bucket") != 0) {
            why = "this version cannot be read";
            r = 0;
        }
        sm_buf_clear(&t->body);
    }
    if (r || !why)
        return r;
    /* It leaves the list, so that the next run sends it again. */
    struct s3_name name = e->name;
    tell(c, &name, why);
    return !t->seal ? 0 : name.kind == S3_JOURNAL ? s3_forget_journal(t) : name.kind == S3_BOX ? 0 : s3_list_remove(&t->list, &name);
}

/* The journal from its first record to the signed head. */
int s3_whole_journal(struct s3 *t, struct s3_check *c)
{
    struct journal_signed_head h;
    struct chain chain;
    struct s3_name name = s3_name_journal(1, 0);
    bool met = false;
    if (!t->root.has_head)
        return 0;
    int r = journal_head_get(SM_SPAN(t->root.head, sizeof t->root.head), &h), k = 1;
    if (!r)
        r = journal_head_verify(&h, t->head_pub);
    if (!r)
        r = chain_init(&chain, s3_read, t, &t->vault);
    if (r)
        return r;
    while (k == 1) {
        struct journal_record rec;
        k = chain_next(&chain, &rec);
        met |= k == 1 && rec.seq == h.head.seq && memcmp(rec.hash, h.head.hash, 32) == 0;
    }
    chain_wipe(&chain);
    if (k == -SM_EPEER || k == -SM_ECANCEL || k == -ENOMEM || k == -SM_EAUTH || k == -EACCES || k == -SM_ESTATE)
        return k;
    if (met)
        return 0;
    tell(c, &name, "the journal does not reach its signed head");
    return t->seal ? s3_forget_journal(t) : 0;
}

int s3_check_step(void *arg, struct s3_check *c)
{
    struct s3 *t = arg;
    c->bytes_total = t->list.bytes;
    if (c->at >= t->list.n) {
        int r = s3_whole_journal(t, c);
        if (!r && t->seal)
            r = s3_commit(t);
        return r;
    }
    size_t n = t->list.n;
    int r = one(t, c, &t->list.v[c->at]);
    c->at += t->list.n >= n;
    if (t->list.n + 1 < n)
        c->at = 0; /* the journal left: begin again, the rest is looked at twice */
    return r ? r : 1;
}
