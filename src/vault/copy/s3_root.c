/* Roots: a signed page that names the lists, where the journal ends, and the vault's signed head. */
#include "crypto/hash.h"
#include "vault/copy/s3_internal.h"

#define FIRST "sakimori root 1\n"

int s3_root_put(const struct s3_root *r, struct sm_buf *ret)
{
    char vault[33], copy[33], before[65], head[2 * JOURNAL_SIGNED_HEAD_BYTES + 1] = "-", tip[65];
    size_t start = ret->n;
    sm_hex(r->vault.b, 16, vault);
    sm_hex(r->copy, 16, copy);
    sm_hex(r->before, 32, before);
    sm_hex(r->tip.hash, 32, tip);
    if (r->has_head)
        sm_hex(r->head, sizeof r->head, head);
    int e = sm_buf_printf(ret, FIRST "vault %s\ncopy %s\nnumber %llu\nbefore %s\nat %lld\nformat %u\nhead %s\n"
        "tip %llu %s %u %llu\nobjects %llu\n", vault, copy, (unsigned long long)r->number, before, (long long)r->at_s,
        r->format, head, (unsigned long long)r->tip.seq, tip, r->tip_file, (unsigned long long)r->tip_off,
        (unsigned long long)r->objects);
    for (size_t i = 0; !e && i < r->lists_n; i++) {
        const struct s3_list_ref *l = &r->lists[i];
        char hash[65];
        sm_hex(l->hash, 32, hash);
        e = sm_buf_printf(ret, "list %llu %s %u %lld %s\n", (unsigned long long)l->number, hash, l->size,
            (long long)l->until_s, l->version);
    }
    if (e)
        ret->n = start;
    return e;
}

/* ---- reading: lines of words, each line's form known by its first word ---- */

struct lines { struct sm_span text; size_t at; char line[1024]; char *word[8]; size_t n; };

/* The next line must begin with `first` and have n words in all. */
static bool next(struct lines *l, const char *first, size_t n)
{
    const uint8_t *p = l->text.p + l->at, *end = memchr(p, '\n', l->text.n - l->at);
    size_t len = end ? (size_t)(end - p) : 0;
    char *save = NULL;
    if (!end || len >= sizeof l->line || memchr(p, '\0', len))
        return false;
    memcpy(l->line, p, len);
    l->line[len] = '\0';
    l->n = 0;
    for (char *w = strtok_r(l->line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        if (l->n == 8)
            return false;
        l->word[l->n++] = w;
    }
    if (l->n != n || strcmp(l->word[0], first) != 0)
        return false;
    l->at += len + 1;
    return true;
}

static bool number(const char *word, uint64_t max, uint64_t *ret)
{
    if (!*word || strlen(word) > 19 || word[strspn(word, "0123456789")])
        return false;
    *ret = strtoull(word, NULL, 10);
    return *ret <= max;
}

static bool hex(const char *word, void *to, size_t n)
{
    return strlen(word) == 2 * n && sm_unhex(word, 2 * n, to, n) == 0;
}

static bool get_head(struct lines *l, struct s3_root *r)
{
    uint64_t format = 0, at = 0;
    if (!next(l, "vault", 2) || !hex(l->word[1], r->vault.b, 16) || !next(l, "copy", 2) || !hex(l->word[1], r->copy, 16) ||
        !next(l, "number", 2) || !number(l->word[1], INT64_MAX, &r->number) || !next(l, "before", 2) ||
        !hex(l->word[1], r->before, 32) || !next(l, "at", 2) || !number(l->word[1], UINT32_MAX, &at) ||
        !next(l, "format", 2) || !number(l->word[1], 9, &format) || !next(l, "head", 2))
        return false;
    r->at_s = (int64_t)at;
    r->format = (uint8_t)format;
    r->has_head = strcmp(l->word[1], "-") != 0;
    return !r->has_head || hex(l->word[1], r->head, sizeof r->head);
}

static bool get_tip(struct lines *l, struct s3_root *r)
{
    uint64_t file = 0;
    if (!next(l, "tip", 5) || !number(l->word[1], INT64_MAX, &r->tip.seq) || !hex(l->word[2], r->tip.hash, 32) ||
        !number(l->word[3], UINT32_MAX, &file) || !number(l->word[4], INT64_MAX, &r->tip_off))
        return false;
    r->tip_file = (uint32_t)file;
    return next(l, "objects", 2) && number(l->word[1], S3_OBJECTS_MAX, &r->objects);
}

static bool get_list(struct lines *l, struct s3_root *r)
{
    if (r->lists_n == S3_LISTS_MAX)
        return false;
    struct s3_list_ref *ref = &r->lists[r->lists_n];
    uint64_t size = 0, until = 0;
    if (!number(l->word[1], INT64_MAX, &ref->number) || !hex(l->word[2], ref->hash, 32) ||
        !number(l->word[3], UINT32_MAX, &size) || !number(l->word[4], UINT32_MAX, &until) ||
        strlen(l->word[5]) >= sizeof ref->version)
        return false;
    ref->size = (uint32_t)size;
    ref->until_s = (int64_t)until;
    (void)snprintf(ref->version, sizeof ref->version, "%s", l->word[5]); /* measured */
    r->lists_n++;
    return true;
}

int s3_root_get(struct sm_span text, struct s3_root *ret, uint8_t ret_digest[32], uint8_t ret_sig[64])
{
    size_t head = sizeof FIRST - 1;
    uint8_t sig[64];
    if (text.n < head || text.n > S3_ROOT_MAX || memcmp(text.p, "sakimori root ", 14) != 0)
        return -SM_EFORMAT;
    if (memcmp(text.p, FIRST, head) != 0)
        return -SM_EVERSION;
    struct s3_root *r = calloc(1, sizeof *r); /* it is large */
    struct lines *l = calloc(1, sizeof *l);
    bool ok = r && l;
    if (ok) {
        *l = (struct lines){ .text = text, .at = head };
        ok = get_head(l, r) && get_tip(l, r);
    }
    while (ok && next(l, "list", 6))
        ok = get_list(l, r);
    size_t signed_n = ok ? l->at : 0;
    ok = ok && next(l, "sig", 2) && hex(l->word[1], sig, 64) && l->at == text.n;
    if (ok) {
        crypto_sha256(SM_SPAN(text.p, signed_n), ret_digest);
        memcpy(ret_sig, sig, 64);
        *ret = *r;
    }
    free(r);
    free(l);
    return ok ? 0 : -SM_EFORMAT;
}

int s3_root_message(const struct s3_root *r, const uint8_t digest[32], struct sm_buf *ret)
{
    struct copy_root_name n = { .vault = r->vault, .number = r->number };
    memcpy(n.copy, r->copy, 16);
    memcpy(n.digest, digest, 32);
    return copy_root_message(&n, ret);
}
