#include "crypto/tls.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include <errno.h>
#include <gnutls/x509.h>
#include <stdatomic.h>

#define CHAIN_MAX 4

struct crypto_tls_key { gnutls_privkey_t key; };
struct crypto_tls_identity {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned n;
    gnutls_privkey_t key;
    crypto_tls_sign_fn sign;
    void *arg;
};

static _Atomic(struct crypto_tls_identity *) installed;
static struct crypto_tls_identity *before; /* only crypto_tls_install touches it */

static int map(int e, int otherwise)
{
    if (e >= 0) {
        return 0;
    }
    return e == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : otherwise;
}

static bool is_pem(struct sm_span s)
{
    return s.n > 10 && !memcmp(s.p, "-----BEGIN", 10);
}

int crypto_tls_key_new(struct sm_span key, struct crypto_tls_key **ret)
{
    struct crypto_tls_key *k = NULL;
    struct sm_buf spki = SM_BUF_INIT(CRYPTO_CERT_MAX);
    gnutls_datum_t d = {.data = (unsigned char *)key.p, .size = (unsigned)key.n};
    int r = crypto_x509_key_spki(key, &spki); /* form, size and curve are checked there */
    sm_buf_wipe(&spki);
    if (r < 0) {
        return r;
    }
    k = calloc(1, sizeof(*k));
    if (!k) {
        return -ENOMEM;
    }
    gnutls_x509_crt_fmt_t form = is_pem(key) ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER;
    r = map(gnutls_privkey_init(&k->key), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_privkey_import_x509_raw(k->key, &d, form, NULL, GNUTLS_PKCS_PLAIN), -SM_EFORMAT);
    if (r < 0) {
        crypto_tls_key_free(k);
        return r;
    }
    *ret = k;
    return 0;
}

void crypto_tls_key_free(struct crypto_tls_key *k)
{
    if (k) {
        if (k->key) {
            gnutls_privkey_deinit(k->key);
        }
        free(k);
    }
}

int crypto_tls_key_sign(
    const struct crypto_tls_key *k, unsigned algo, struct sm_span hash, struct sm_buf *ret_sig)
{
    gnutls_datum_t in = {.data = (unsigned char *)hash.p, .size = (unsigned)hash.n}, sig = {0};
    if (algo != CRYPTO_TLS_ECDSA_P256_SHA256) {
        return -SM_EUNSUPPORTED;
    }
    if (hash.n != CRYPTO_TLS_HASH_LEN) {
        return -SM_EINVAL;
    }
    int r = map(gnutls_privkey_sign_hash2(k->key, GNUTLS_SIGN_ECDSA_SHA256, 0, &in, &sig), -SM_ECRYPTO);
    if (r == 0) {
        r = sm_buf_put(ret_sig, sig.data, sig.size);
        gnutls_free(sig.data);
    }
    return r;
}

int crypto_tls_sign(struct sm_span key, unsigned algo, struct sm_span hash, struct sm_buf *ret_sig)
{
    struct crypto_tls_key *k = NULL;
    int r = crypto_tls_key_new(key, &k);
    if (r == 0) {
        r = crypto_tls_key_sign(k, algo, hash, ret_sig);
    }
    crypto_tls_key_free(k);
    return r;
}

static bool is_ours(gnutls_sign_algorithm_t algo)
{
    return algo == GNUTLS_SIGN_ECDSA_SECP256R1_SHA256 || algo == GNUTLS_SIGN_ECDSA_SHA256;
}

/* GnuTLS asks for a signature of a hash. */
static int ask_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *userdata, unsigned int flags,
    const gnutls_datum_t *hash, gnutls_datum_t *signature)
{
    struct crypto_tls_identity *id = userdata;
    struct sm_buf sig = SM_BUF_INIT(CRYPTO_TLS_SIG_MAX);
    int e = GNUTLS_E_PK_SIGN_FAILED;
    if (!is_ours(algo) || hash->size != CRYPTO_TLS_HASH_LEN) {
        return GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
    }
    int r = id->sign(id->arg, CRYPTO_TLS_ECDSA_P256_SHA256, SM_SPAN(hash->data, hash->size), &sig);
    if (r >= 0 && sig.n) {
        signature->data = gnutls_malloc(sig.n);
        signature->size = (unsigned)sig.n;
        e = signature->data ? 0 : GNUTLS_E_MEMORY_ERROR;
    }
    if (e == 0) {
        memcpy(signature->data, sig.p, sig.n);
    }
    sm_buf_wipe(&sig);
    return e;
}

/* The other way GnuTLS may ask; the hash is made here, so only hashes reach the callback. */
static int ask_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *userdata, unsigned int flags,
    const gnutls_datum_t *data, gnutls_datum_t *signature)
{
    uint8_t digest[CRYPTO_TLS_HASH_LEN];
    gnutls_datum_t hash = {.data = digest, .size = sizeof(digest)};
    crypto_sha256(SM_SPAN(data->data, data->size), digest);
    return ask_hash(key, algo, userdata, flags, &hash, signature);
}

static int key_facts(gnutls_privkey_t key, unsigned int flags, void *userdata)
{
    if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) {
        return GNUTLS_PK_ECDSA;
    }
    if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) {
        return 256;
    }
    if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) {
        return is_ours(GNUTLS_FLAGS_TO_SIGN_ALGO(flags));
    }
    return -1;
}

static int add_cert(struct crypto_tls_identity *id, struct sm_span cert)
{
    struct sm_buf der = SM_BUF_INIT(CRYPTO_CERT_MAX);
    int r = crypto_x509_to_der(cert, &der);
    if (r == 0) {
        gnutls_datum_t d = {.data = der.p, .size = (unsigned)der.n};
        r = map(gnutls_pcert_import_x509_raw(&id->chain[id->n], &d, GNUTLS_X509_FMT_DER, 0), -SM_EFORMAT);
    }
    if (r == 0) {
        id->n++;
    }
    sm_buf_wipe(&der);
    return r;
}

int crypto_tls_identity_new(const struct sm_span *chain, size_t n, crypto_tls_sign_fn sign, void *arg,
    struct crypto_tls_identity **ret)
{
    if (n < 1 || n > CHAIN_MAX) {
        return -SM_EINVAL;
    }
    struct crypto_tls_identity *id = calloc(1, sizeof(*id));
    if (!id) {
        return -ENOMEM;
    }
    id->sign = sign;
    id->arg = arg;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        r = add_cert(id, chain[i]);
    }
    r = r < 0 ? r : map(gnutls_privkey_init(&id->key), -SM_ECRYPTO);
    r = r < 0
            ? r
            : map(gnutls_privkey_import_ext4(id->key, id, ask_data, ask_hash, NULL, NULL, key_facts, 0), -SM_ECRYPTO);
    if (r < 0) {
        crypto_tls_identity_free(id);
        return r;
    }
    *ret = id;
    return 0;
}

void crypto_tls_identity_free(struct crypto_tls_identity *id)
{
    if (!id) {
        return;
    }
    for (unsigned i = 0; i < id->n; i++) {
        gnutls_pcert_deinit(&id->chain[i]);
    }
    if (id->key) {
        gnutls_privkey_deinit(id->key);
    }
    free(id);
}

void crypto_tls_install(struct crypto_tls_identity *id)
{
    struct crypto_tls_identity *old = atomic_exchange(&installed, id);
    crypto_tls_identity_free(before);
    before = old;
    if (!id) {
        crypto_tls_identity_free(before);
        before = NULL;
    }
}

int crypto_tls_cert_callback(gnutls_session_t session, const gnutls_datum_t *req_ca_dn, int nreqs,
    const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length, gnutls_pcert_st **pcert, unsigned int *pcert_length,
    gnutls_privkey_t *privkey)
{
    struct crypto_tls_identity *id = atomic_load(&installed);
    if (!id) {
        return -1;
    }
    *pcert = id->chain;
    *pcert_length = id->n;
    *privkey = id->key;
    return 0;
}

int crypto_tls_peer_cert(gnutls_session_t session, struct sm_buf *ret_der)
{
    unsigned n = 0;
    if (gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_X509) {
        return -SM_ENOTFOUND;
    }
    const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);
    if (!list || !n) {
        return -SM_ENOTFOUND;
    }
    if (list[0].size > CRYPTO_CERT_MAX) {
        return -SM_ELIMIT;
    }
    return sm_buf_put(ret_der, list[0].data, list[0].size);
}
