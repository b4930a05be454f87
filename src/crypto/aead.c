#include "crypto/aead.h"
#include "crypto/aead_internal.h"
#include <errno.h>
#include <gcrypt.h>
#include <pthread.h>

struct crypto_aead { gcry_cipher_hd_t hd; size_t key_n; bool quick; };

/*
 * Intel's multi-buffer library has code for processors with vector AES, four times as quick as libgcrypt's.  Used for what
 * is long enough to matter, and only after it agreed with libgcrypt in this process; else libgcrypt does all.
 */
#ifdef SM_IPSEC_MB
#include <intel-ipsec-mb.h>

#define QUICK_MIN 256u
#define QUICK_MAX ((size_t)64 << 20)

static IMB_MGR *quick_code; /* functions only: threads share it */
static pthread_once_t quick_once = PTHREAD_ONCE_INIT;

static void quick_run(bool seal, const uint8_t *key, const uint8_t *nonce, struct sm_span aad, struct sm_span in, uint8_t *to,
    uint8_t ret_tag[CRYPTO_AEAD_TAG_LEN])
{
    struct gcm_key_data k;
    struct gcm_context_data c;
    IMB_AES256_GCM_PRE(quick_code, key, &k);
    if (seal)
        IMB_AES256_GCM_ENC(quick_code, &k, &c, to, in.p, in.n, nonce, aad.p, aad.n, ret_tag, CRYPTO_AEAD_TAG_LEN);
    else
        IMB_AES256_GCM_DEC(quick_code, &k, &c, to, in.p, in.n, nonce, aad.p, aad.n, ret_tag, CRYPTO_AEAD_TAG_LEN);
    sm_zero(&k, sizeof k);
    sm_zero(&c, sizeof c);
}

static bool quick_proven(void)
{
    struct crypto_aead *a = NULL;
    uint8_t in[1000], want[sizeof in + CRYPTO_AEAD_TAG_LEN], got[sizeof in], tag[CRYPTO_AEAD_TAG_LEN];
    bool same = crypto_aead_new(&a) == 0;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 11 >> 1);
    for (size_t n = QUICK_MIN; same && n <= sizeof in; n += 31) {
        struct sm_span aad = SM_SPAN(in + 44, 1 + n % 90);
        a->quick = false;
        same = crypto_aead_seal(a, in, in + 32, aad, SM_SPAN(in, n), want) == 0;
        quick_run(true, in, in + 32, aad, SM_SPAN(in, n), got, tag);
        same = same && memcmp(got, want, n) == 0 && memcmp(tag, want + n, sizeof tag) == 0;
        quick_run(false, in, in + 32, aad, SM_SPAN(want, n), got, tag);
        same = same && memcmp(got, in, n) == 0 && memcmp(tag, want + n, sizeof tag) == 0;
    }
    crypto_aead_free(a);
    return same;
}

static void quick_start(void)
{
    const uint64_t needs = IMB_FEATURE_AVX512_SKX | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
    IMB_MGR *m = alloc_mb_mgr(0);
    if (!m)
        return;
    if ((m->features & needs) == needs)
        init_mb_mgr_avx512(m);
    if ((m->features & needs) == needs && imb_get_errno(m) == 0) {
        quick_code = m;
        if (quick_proven())
            return;
    }
    quick_code = NULL;
    free_mb_mgr(m);
}

static bool is_quick(const struct crypto_aead *a, struct sm_span aad, size_t n)
{
    return a->quick && quick_code && aad.n && n >= QUICK_MIN && n <= QUICK_MAX;
}
#endif

int crypto_aead_new_n(size_t key_n, struct crypto_aead **ret)
{
    struct crypto_aead *a = calloc(1, sizeof(*a));
    if (!a) {
        return -ENOMEM;
    }
    a->key_n = key_n;
    int algo = key_n == 16 ? GCRY_CIPHER_AES128 : GCRY_CIPHER_AES256;
    gcry_error_t e = gcry_cipher_open(&a->hd, algo, GCRY_CIPHER_MODE_GCM, 0);
    if (e) {
        free(a);
        return gcry_err_code(e) == GPG_ERR_ENOMEM ? -ENOMEM : -SM_ECRYPTO;
    }
    *ret = a;
    return 0;
}

int crypto_aead_new(struct crypto_aead **ret)
{
    return crypto_aead_new_n(CRYPTO_AEAD_KEY_LEN, ret);
}

int crypto_aead_new_quick(struct crypto_aead **ret)
{
    int r = crypto_aead_new(ret);
#ifdef SM_IPSEC_MB
    if (r == 0) {
        (void)pthread_once(&quick_once, quick_start); /* fails for no argument of ours */
        (*ret)->quick = true;
    }
#endif
    return r;
}

void crypto_aead_free(struct crypto_aead *a)
{
    if (a) {
        gcry_cipher_close(a->hd); /* the library wipes the context */
        free(a);
    }
}

static int begin(struct crypto_aead *a, const uint8_t *key, const uint8_t *nonce, struct sm_span aad)
{
    /* setkey also drops whatever a failed message left behind. */
    if (gcry_cipher_setkey(a->hd, key, a->key_n) || gcry_cipher_setiv(a->hd, nonce, CRYPTO_AEAD_NONCE_LEN)) {
        return -SM_ECRYPTO;
    }
    if (aad.n && gcry_cipher_authenticate(a->hd, aad.p, aad.n)) {
        return -SM_ECRYPTO;
    }
    return 0;
}

int crypto_aead_seal(struct crypto_aead *a, const uint8_t key[CRYPTO_AEAD_KEY_LEN],
    const uint8_t nonce[CRYPTO_AEAD_NONCE_LEN], struct sm_span aad, struct sm_span plain, uint8_t *ret_sealed)
{
    if (plain.n > CRYPTO_AEAD_PLAIN_MAX) {
        return -SM_ELIMIT;
    }
#ifdef SM_IPSEC_MB
    if (is_quick(a, aad, plain.n)) {
        quick_run(true, key, nonce, aad, plain, ret_sealed, ret_sealed + plain.n);
        return 0;
    }
#endif
    int r = begin(a, key, nonce, aad);
    if (r < 0) {
        return r;
    }
    const void *in = plain.p == ret_sealed ? NULL : plain.p; /* NULL means in place to the library */
    if (plain.n && gcry_cipher_encrypt(a->hd, ret_sealed, plain.n, in, in ? plain.n : 0)) {
        return -SM_ECRYPTO;
    }
    if (gcry_cipher_gettag(a->hd, ret_sealed + plain.n, CRYPTO_AEAD_TAG_LEN)) {
        return -SM_ECRYPTO;
    }
    return 0;
}

int crypto_aead_open(struct crypto_aead *a, const uint8_t key[CRYPTO_AEAD_KEY_LEN],
    const uint8_t nonce[CRYPTO_AEAD_NONCE_LEN], struct sm_span aad, struct sm_span sealed, uint8_t *ret_plain)
{
    if (sealed.n < CRYPTO_AEAD_TAG_LEN) {
        return -SM_EFORMAT;
    }
    size_t n = sealed.n - CRYPTO_AEAD_TAG_LEN;
    if (n > CRYPTO_AEAD_PLAIN_MAX) {
        return -SM_ELIMIT;
    }
#ifdef SM_IPSEC_MB
    if (is_quick(a, aad, n)) {
        uint8_t tag[CRYPTO_AEAD_TAG_LEN], want[CRYPTO_AEAD_TAG_LEN];
        memcpy(want, sealed.p + n, sizeof want);
        quick_run(false, key, nonce, aad, SM_SPAN(sealed.p, n), ret_plain, tag);
        bool same = sm_ct_eq(tag, want, sizeof tag);
        sm_zero(tag, sizeof tag); /* the right one for forged bytes */
        if (!same)
            sm_zero(ret_plain, n);
        return same ? 0 : -SM_EAUTH;
    }
#endif
    int r = begin(a, key, nonce, aad);
    if (r < 0) {
        return r;
    }
    const void *in = sealed.p == ret_plain ? NULL : sealed.p;
    if (n && gcry_cipher_decrypt(a->hd, ret_plain, n, in, in ? n : 0)) {
        sm_zero(ret_plain, n);
        return -SM_ECRYPTO;
    }
    gcry_error_t e = gcry_cipher_checktag(a->hd, sealed.p + n, CRYPTO_AEAD_TAG_LEN);
    if (e) {
        sm_zero(ret_plain, n);
        return gcry_err_code(e) == GPG_ERR_CHECKSUM ? -SM_EAUTH : -SM_ECRYPTO;
    }
    return 0;
}
