/* What the tests of the vault's codecs share: fixed keys, bytes that look random and are always the same, a store. */
#ifndef VAULT_TEST_H
#define VAULT_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/buf.h"
#include "crypto/init.h"
#include "vault/seal/chunk.h"
#include "vault/seal/page.h"
#include "vault/snapshot/envelope.h"

static const struct client_id test_client = {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
static const struct client_id test_other_client = {{2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2}};
static const struct vault_id test_vault = {{7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}};
static const struct session_id test_session = {{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}};

/* splitmix64 */
static inline uint64_t test_next(uint64_t *s)
{
    uint64_t z = (*s += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static inline void test_fill(void *to, size_t n, uint64_t seed)
{
    uint8_t *p = to;
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)test_next(&seed);
}

static inline struct seal_keys test_keys_of(const struct client_id *client)
{
    struct seal_keys k;
    uint8_t id[32], look[32];
    test_fill(id, 32, 101);
    test_fill(look, 32, 102);
    seal_keys_init(&k, id, look, client);
    return k;
}

static inline struct seal_keys test_keys(void)
{
    return test_keys_of(&test_client);
}

static inline struct seal_ctx *test_ctx(void)
{
    struct seal_ctx *c = NULL;
    assert_int_equal(crypto_init(), 0);
    assert_int_equal(seal_ctx_new(&c), 0);
    return c;
}

/* Two recipients, as in every clinic: the sheet in the safe and the box. */
static inline void test_recipients(struct crypto_x25519_pair pair[2], struct sm_buf *ret_set)
{
    struct recipients set = {.n = 2};
    for (uint64_t i = 0; i < 2; i++) {
        uint8_t secret[32];
        test_fill(secret, 32, 200 + i);
        assert_int_equal(crypto_x25519_from_secret(secret, &pair[i]), 0);
        set.r[i] = (struct recipient){(uint8_t)(i + 1), RECIPIENT_X25519, SM_SPAN(pair[i].public_key, 32)};
    }
    assert_int_equal(recipients_put(&set, ret_set), 0);
}

static inline struct chunk_info test_chunk(
    struct seal_ctx *c, const struct seal_keys *k, uint8_t type, struct sm_span plain, int level, struct sm_buf *ret)
{
    struct chunk_hash h;
    struct chunk_info info;
    chunk_hash(plain, &h);
    assert_int_equal(chunk_seal(c, k, type, plain, &h, (struct seal_how){.level = level}, &info, ret), 0);
    return info;
}

/* ---- a store of sealed objects ---- */
struct test_object {
    struct cid cid;
    struct sm_buf bytes;
    uint8_t type;
};
struct test_store {
    struct test_object *o;
    size_t n, cap;
    unsigned fetched;
};

static inline int test_store_put(struct test_store *s, const struct cid *cid, struct sm_span sealed)
{
    struct obj_hdr h;
    int r;
    for (size_t i = 0; i < s->n; i++)
        if (cid_eq(&s->o[i].cid, cid))
            return 0;
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->o = realloc(s->o, s->cap * sizeof *s->o);
        assert_non_null(s->o);
    }
    assert_int_equal(obj_hdr_parse(sealed, &h), 0);
    s->o[s->n] = (struct test_object){.cid = *cid, .type = h.type};
    r = sm_buf_put_span(&s->o[s->n].bytes, sealed);
    if (r == 0)
        s->n++;
    return r;
}

static inline struct test_object *test_store_find(struct test_store *s, const struct cid *cid)
{
    for (size_t i = 0; i < s->n; i++)
        if (cid_eq(&s->o[i].cid, cid))
            return &s->o[i];
    return NULL;
}

static inline void test_store_wipe(struct test_store *s)
{
    for (size_t i = 0; i < s->n; i++)
        sm_buf_wipe(&s->o[i].bytes);
    free(s->o);
    *s = (struct test_store){0};
}

#endif
