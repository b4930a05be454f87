/* Finding the newest root that the box signed, and writing the next one. */
#include <errno.h>
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/sign.h"
#include "vault/copy/s3_internal.h"

#define LIST_BYTES ((size_t)4 << 20)      /* of one list, about */
#define LIST_MAX (LIST_BYTES + 1024)
#define CANDIDATES 4096u
#define VERSIONS_MAX 400000u
#define NAME_BYTES 64

struct candidate { uint64_t number; char key[NAME_BYTES], version[S3_VERSION_MAX]; };
struct candidates { struct candidate *v; size_t n; uint64_t most; int64_t before_s; };

/* "root/000000000000000012-<16 hex>": the random part is the box's, so nobody can be there before it. */
static int on_root(void *arg, const char *key, const char *version, bool marker, int64_t at_s)
{
    struct candidates *c = arg;
    const char *digits = key + 5;
    if (marker || strncmp(key, "root/", 5) != 0 || strspn(digits, "0123456789") != 18 || digits[18] != '-' ||
        strlen(key) >= NAME_BYTES || !*version || (c->before_s && at_s >= c->before_s))
        return 0;
    struct candidate one = { .number = strtoull(digits, NULL, 10) };
    (void)snprintf(one.key, sizeof one.key, "%s", key);             /* measured */
    (void)snprintf(one.version, sizeof one.version, "%s", version); /* same size */
    /* Versions of one key come newest first, keys in order: the last one of a key is the oldest, and that is the box's. */
    if (c->n && !strcmp(c->v[c->n - 1].key, key)) {
        c->v[c->n - 1] = one;
        return 0;
    }
    if (c->n == CANDIDATES) { /* numbers only grow: the first is the smallest */
        memmove(c->v, c->v + 1, (CANDIDATES - 1) * sizeof *c->v);
        c->n--;
    }
    c->v[c->n++] = one;
    return 0;
}

static int load_lists(struct s3 *t, const struct s3_root *root)
{
    struct s3_list list = { .n = 0 };
    int r = 0;
    s3_list_wipe(&list);
    for (size_t i = 0; !r && i < root->lists_n; i++) {
        const struct s3_list_ref *ref = &root->lists[i];
        struct sm_buf b = SM_BUF_INIT(LIST_MAX);
        uint8_t hash[32];
        char key[NAME_BYTES];
        (void)snprintf(key, sizeof key, "list/%018llu", (unsigned long long)ref->number); /* fits */
        r = s3_http_do(&t->http, &(struct s3_request){ .method = "GET", .key = key, .version = ref->version, .max = LIST_MAX,
            .into = &b }, NULL);
        crypto_sha256(sm_buf_span(&b), hash);
        if (!r)
            r = memcmp(hash, ref->hash, 32) == 0 ? s3_list_get(&list, sm_buf_span(&b)) : -SM_ECORRUPT;
        sm_buf_wipe(&b);
    }
    if (!r && list.n != root->objects)
        r = -SM_ECORRUPT;
    if (r) {
        s3_list_wipe(&list);
        return r;
    }
    s3_list_clean(&list);
    s3_list_wipe(&t->list);
    t->list = list;
    return 0;
}

static bool signed_by_box(const struct s3 *t, const struct s3_root *root, const uint8_t digest[32], const uint8_t sig[64])
{
    struct sm_buf b = SM_BUF_INIT(256);
    bool ok = memcmp(root->vault.b, t->vault.b, 16) == 0 && memcmp(root->copy, t->copy, 16) == 0 &&
        s3_root_message(root, digest, &b) == 0 && crypto_sign_verify(t->head_pub, sm_buf_span(&b), sig) == 0;
    sm_buf_wipe(&b);
    return ok;
}

/* 0: it is the one; 1: it is none of the box's, or not whole. */
static int try_root(struct s3 *t, const struct candidate *c)
{
    struct sm_buf b = SM_BUF_INIT(S3_ROOT_MAX);
    struct s3_root *root = malloc(sizeof *root);
    uint8_t digest[32], sig[64];
    int r = root ? 0 : -ENOMEM;
    if (!r)
        r = s3_http_do(&t->http, &(struct s3_request){ .method = "GET", .key = c->key, .version = c->version,
            .max = S3_ROOT_MAX, .into = &b }, NULL);
    if (!r)
        r = s3_root_get(sm_buf_span(&b), root, digest, sig);
    if (!r && (root->number != c->number || !signed_by_box(t, root, digest, sig)))
        r = -SM_EFORMAT;
    if (!r)
        r = load_lists(t, root);
    if (!r) {
        t->root = *root;
        memcpy(t->root_digest, digest, 32);
    }
    free(root);
    sm_buf_wipe(&b);
    return r == -SM_EFORMAT || r == -SM_ECORRUPT || r == -SM_ELIMIT || r == -SM_ENOTFOUND || r == -SM_EVERSION ? 1 : r;
}

int s3_load(struct s3 *t)
{
    struct candidates c = { .v = malloc(CANDIDATES * sizeof *c.v), .before_s = t->before_s };
    int r = c.v ? s3_versions(&t->http, "root/", VERSIONS_MAX, on_root, &c) : -ENOMEM;
    int found = 1;
    for (size_t i = c.n; !r && found == 1 && i-- > 0;) {
        found = try_root(t, &c.v[i]);
        if (found < 0)
            r = found;
    }
    free(c.v);
    if (!r && found == 1)
        return s3_http_fail(&t->http, -SM_ENOTFOUND, "", "no list of this copy that the box signed is there");
    return r;
}

/* ---- writing ---- */

static int write_list(struct s3 *t, bool all, size_t *at, struct s3_root *next)
{
    struct sm_buf b = SM_BUF_INIT(LIST_MAX + (all ? 0 : S3_OBJECTS_MAX * 80));
    struct s3_list_ref *ref = &next->lists[next->lists_n];
    char key[NAME_BYTES];
    uint64_t number;
    int r = next->lists_n == S3_LISTS_MAX ? -SM_ELIMIT : s3_list_put(&t->list, all, LIST_BYTES, at, &b);
    crypto_random(&number, sizeof number);
    number %= 1000000000000000000u;
    (void)snprintf(key, sizeof key, "list/%018llu", (unsigned long long)number); /* fits */
    if (!r) {
        *ref = (struct s3_list_ref){ .number = number, .size = (uint32_t)b.n };
        crypto_sha256(sm_buf_span(&b), ref->hash);
        r = s3_store(t, key, sm_buf_span(&b), ref->version, &ref->until_s);
    }
    if (!r)
        next->lists_n++;
    sm_buf_wipe(&b);
    return r;
}

static bool lists_end_soon(const struct s3 *t)
{
    for (size_t i = 0; i < t->root.lists_n; i++)
        if (t->root.lists[i].until_s < s3_renew_at(t))
            return true;
    return false;
}

static int write_root(struct s3 *t, struct s3_root *next)
{
    struct sm_buf b = SM_BUF_INIT(S3_ROOT_MAX);
    uint8_t digest[32], sig[64];
    uint64_t chance;
    char key[NAME_BYTES], version[S3_VERSION_MAX], hex[129];
    int64_t until;
    int r = s3_root_put(next, &b);
    crypto_sha256(sm_buf_span(&b), digest);
    if (!r && t->seal(t->arg, next->number, digest, sig) < 0)
        r = s3_http_fail(&t->http, -SM_EPEER, "", "the box did not sign the list");
    if (!r && !signed_by_box(t, next, digest, sig))
        r = s3_http_fail(&t->http, -SM_EAUTH, "", "the signature of the list is not of this box");
    sm_hex(sig, 64, hex);
    if (!r)
        r = sm_buf_printf(&b, "sig %s\n", hex);
    crypto_random(&chance, sizeof chance);
    (void)snprintf(key, sizeof key, "root/%018llu-%016llx", (unsigned long long)next->number, (unsigned long long)chance);
    if (!r)
        r = s3_store(t, key, sm_buf_span(&b), version, &until);
    if (!r)
        memcpy(t->root_digest, digest, 32);
    sm_buf_wipe(&b);
    return r;
}

int s3_commit(struct s3 *t)
{
    bool renew = lists_end_soon(t), changed = t->list.dirty || t->list.removed.n;
    bool all = renew || (changed && t->root.lists_n + 8 >= S3_LISTS_MAX);
    if (!changed && !t->root_dirty && !renew)
        return 0;
    struct s3_root *next = malloc(sizeof *next);
    if (!next)
        return -ENOMEM;
    *next = t->root;
    next->vault = t->vault;
    memcpy(next->copy, t->copy, 16);
    memcpy(next->before, t->root_digest, 32);
    next->number = t->root.number + 1;
    next->at_s = s3_now(t);
    next->objects = t->list.n;
    if (all)
        next->lists_n = 0;
    size_t at = 0;
    int r = 0;
    while (!r && (all || changed) && (at == 0 || at < t->list.n)) {
        r = write_list(t, all, &at, next);
        if (!t->list.n)
            break;
    }
    if (!r)
        r = write_root(t, next);
    if (!r) {
        t->root = *next;
        t->root_dirty = false;
        s3_list_clean(&t->list);
    }
    free(next);
    return r;
}
