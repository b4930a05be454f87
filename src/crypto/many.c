/*
 * Several messages hashed side by side.  Intel's multi-buffer library does the work where it was built in and the
 * processor has what makes it worth while: AVX-512 (sixteen lanes) or the SHA instructions (two lanes).  Elsewhere, and
 * for what is too long for its lanes, libgcrypt does.
 */
#include "crypto/many.h"
#include <errno.h>

static void one(struct crypto_message *m)
{
    if (m->key)
        crypto_hmac(m->key, &m->in, 1, m->ret);
    else
        crypto_sha256(m->in, m->ret);
}

#ifdef SM_IPSEC_MB
#include <intel-ipsec-mb.h>

#define GROUP 64u                   /* jobs under way in a manager, which has room for more */
#define LANES 16u
#define LANE_MAX ((size_t)17 << 16) /* lengths count in blocks of 64 bytes, signed, in 16 bits (2 MiB): half of it */
/* What a lane of sixteen does in the time in which two lanes, together, and a single message do so much: measured. */
#define PAIR_RATE 8u
#define SINGLE_RATE 5u

struct crypto_many {
    IMB_MGR *wide, *pair;           /* NULL: the processor has not what it takes */
    struct { uint32_t inner[8], outer[8]; } state[GROUP];
};

static void run(struct crypto_many *c, IMB_MGR *m, struct crypto_message **list, size_t n);

static IMB_MGR *manager(bool wide)
{
    IMB_MGR *m = alloc_mb_mgr(0);
    if (!m)
        return NULL;
    bool can = wide ? (m->features & IMB_CPUFLAGS_AVX512) == IMB_CPUFLAGS_AVX512 :
        (m->features & IMB_CPUFLAGS_SSE_T2) == IMB_CPUFLAGS_SSE_T2;
    if (can && wide)
        init_mb_mgr_avx512(m);
    else if (can)
        init_mb_mgr_sse(m);
    if (can && imb_get_errno(m) == 0)
        return m;
    free_mb_mgr(m);
    return NULL;
}

static void manager_free(IMB_MGR *m)
{
    if (!m)
        return;
    sm_zero(m, imb_get_mb_mgr_size()); /* what was hashed is partly still in it */
    free_mb_mgr(m);
}

/* A library that picks its code by the processor is believed only when it agrees with the other one here and now. */
static IMB_MGR *proven(struct crypto_many *c, IMB_MGR *m)
{
    uint8_t text[300], want[CRYPTO_SHA256_LEN];
    struct crypto_hmac_key key;
    struct crypto_message message[LANES + 1], *list[LANES + 1];
    bool same = true;
    if (!m)
        return NULL;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7);
    crypto_hmac_key_init(&key, SM_SPAN(text, 32));
    for (size_t i = 0; i <= LANES; i++) {
        message[i] = (struct crypto_message){ .in = SM_SPAN(text + i, sizeof text - 8 * i), .key = i & 1 ? &key : NULL };
        list[i] = &message[i];
    }
    run(c, m, list, LANES + 1);
    for (size_t i = 0; i <= LANES; i++) {
        if (message[i].key)
            crypto_hmac(&key, &message[i].in, 1, want);
        else
            crypto_sha256(message[i].in, want);
        same = same && memcmp(want, message[i].ret, sizeof want) == 0;
    }
    if (!same)
        manager_free(m);
    return same ? m : NULL;
}

int crypto_many_new(struct crypto_many **ret)
{
    struct crypto_many *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->wide = proven(c, manager(true));
    c->pair = proven(c, manager(false));
    *ret = c;
    return 0;
}

void crypto_many_free(struct crypto_many *c)
{
    if (!c)
        return;
    manager_free(c->wide);
    manager_free(c->pair);
    sm_zero(c, sizeof *c);
    free(c);
}

static void job_key(struct crypto_many *c, IMB_MGR *m, IMB_JOB *j, const struct crypto_hmac_key *key, size_t slot)
{
    IMB_SHA256_ONE_BLOCK(m, key->ipad, c->state[slot].inner);
    IMB_SHA256_ONE_BLOCK(m, key->opad, c->state[slot].outer);
    j->u.HMAC._hashed_auth_key_xor_ipad = (const uint8_t *)c->state[slot].inner;
    j->u.HMAC._hashed_auth_key_xor_opad = (const uint8_t *)c->state[slot].outer;
}

static void collect(const IMB_JOB *j)
{
    if (j && j->status != IMB_STATUS_COMPLETED)
        one(j->user_data);
}

/* n <= GROUP.  The checking call bounds lengths by what a network packet has; the lanes take LANE_MAX. */
static void run(struct crypto_many *c, IMB_MGR *m, struct crypto_message **list, size_t n)
{
    const IMB_JOB *done;
    for (size_t i = 0; i < n; i++) {
        IMB_JOB *j = IMB_GET_NEXT_JOB(m);
        memset(j, 0, sizeof *j);
        j->cipher_mode = IMB_CIPHER_NULL;
        j->cipher_direction = IMB_DIR_ENCRYPT;
        j->chain_order = IMB_ORDER_HASH_CIPHER;
        j->hash_alg = list[i]->key ? IMB_AUTH_HMAC_SHA_256 : IMB_AUTH_SHA_256;
        if (list[i]->key)
            job_key(c, m, j, list[i]->key, i);
        j->src = list[i]->in.p;
        j->msg_len_to_hash_in_bytes = list[i]->in.n;
        j->auth_tag_output = list[i]->ret;
        j->auth_tag_output_len_in_bytes = CRYPTO_SHA256_LEN;
        j->user_data = list[i];
        collect(IMB_SUBMIT_JOB_NOCHECK(m));
    }
    while ((done = IMB_FLUSH_JOB(m)))
        collect(done);
    sm_zero(c->state, n * sizeof c->state[0]);
}

static int longer_first(const void *a, const void *b)
{
    size_t x = (*(struct crypto_message *const *)a)->in.n, y = (*(struct crypto_message *const *)b)->in.n;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* How many of the longest do not go to the sixteen lanes, which are as slow as the longest of them. */
static size_t apart(struct crypto_message **list, size_t n, bool pair)
{
    size_t rest = 0, front = 0, best = n, best_cost = SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        rest += list[i]->in.n;
    for (size_t k = 0; k <= n; k++) {
        size_t wide = k == n ? 0 : list[k]->in.n > rest / LANES ? list[k]->in.n : rest / LANES;
        size_t cost = wide + front / (pair && k > 1 ? PAIR_RATE : SINGLE_RATE);
        if (cost < best_cost) {
            best_cost = cost;
            best = k;
        }
        if (k < n) {
            front += list[k]->in.n;
            rest -= list[k]->in.n;
        }
    }
    return best;
}

static void group(struct crypto_many *c, struct crypto_message *messages, size_t n)
{
    struct crypto_message *list[GROUP];
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (messages[i].in.n <= LANE_MAX && messages[i].in.n)
            list[k++] = &messages[i];
        else
            one(&messages[i]);
    }
    qsort(list, k, sizeof list[0], longer_first);
    size_t front = c->wide ? apart(list, k, c->pair != NULL) : k;
    if (front > 1 && c->pair)
        run(c, c->pair, list, front);
    else
        for (size_t i = 0; i < front; i++)
            one(list[i]);
    if (front < k)
        run(c, c->wide, list + front, k - front);
}

void crypto_many(struct crypto_many *c, struct crypto_message *messages, size_t n)
{
    for (size_t at = 0; at < n; at += GROUP)
        group(c, messages + at, n - at < GROUP ? n - at : GROUP);
}

#else

int crypto_many_new(struct crypto_many **ret)
{
    *ret = NULL; /* nothing to keep */
    return 0;
}

void crypto_many_free(struct crypto_many *c)
{
    (void)c;
}

void crypto_many(struct crypto_many *c, struct crypto_message *messages, size_t n)
{
    (void)c;
    for (size_t i = 0; i < n; i++)
        one(&messages[i]);
}
#endif
