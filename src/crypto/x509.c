#include "crypto/x509.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define DAY_S 86400
#define CN_CHARS 64 /* ub-common-name of RFC 5280 */
#define PURPOSES_MAX 16

static void crt_free(gnutls_x509_crt_t *c)
{
    if (*c) {
        gnutls_x509_crt_deinit(*c);
    }
}
static void crq_free(gnutls_x509_crq_t *c)
{
    if (*c) {
        gnutls_x509_crq_deinit(*c);
    }
}
static void key_free(gnutls_x509_privkey_t *k)
{
    if (*k) {
        gnutls_x509_privkey_deinit(*k); /* the library wipes the numbers */
    }
}
static void public_free(gnutls_pubkey_t *k)
{
    if (*k) {
        gnutls_pubkey_deinit(*k);
    }
}

/* A failure of the library as ours: memory is memory, everything else is otherwise. */
static int map(int e, int otherwise)
{
    if (e >= 0) {
        return 0;
    }
    return e == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : otherwise;
}

/* Append what the library allocated, then wipe and free it. */
static int give(gnutls_datum_t *d, struct sm_buf *ret)
{
    int r = sm_buf_put(ret, d->data, d->size);
    sm_zero(d->data, d->size);
    gnutls_free(d->data);
    return r;
}

static gnutls_x509_crt_fmt_t form_of(struct sm_span s)
{
    return s.n > 10 && !memcmp(s.p, "-----BEGIN", 10) ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER;
}

static int datum(struct sm_span s, gnutls_datum_t *ret)
{
    if (s.n > CRYPTO_CERT_MAX) {
        return -SM_ELIMIT;
    }
    if (!s.n) {
        return -SM_EFORMAT;
    }
    *ret = (gnutls_datum_t){.data = (unsigned char *)s.p, .size = (unsigned)s.n};
    return 0;
}

static int load_cert(struct sm_span s, gnutls_x509_crt_t *ret)
{
    gnutls_x509_crt_t c sm_cleanup(crt_free) = NULL;
    gnutls_datum_t d;
    int r = datum(s, &d);
    r = r < 0 ? r : map(gnutls_x509_crt_init(&c), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crt_import(c, &d, form_of(s)), -SM_EFORMAT);
    if (r == 0) {
        *ret = c;
        c = NULL;
    }
    return r;
}

static int load_key(struct sm_span s, gnutls_x509_privkey_t *ret)
{
    gnutls_x509_privkey_t k sm_cleanup(key_free) = NULL;
    gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
    gnutls_datum_t d;
    int r = datum(s, &d);
    r = r < 0 ? r : map(gnutls_x509_privkey_init(&k), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_privkey_import2(k, &d, form_of(s), NULL, GNUTLS_PKCS_PLAIN), -SM_EFORMAT);
    if (r < 0) {
        return r;
    }
    if (gnutls_x509_privkey_get_pk_algorithm(k) != GNUTLS_PK_ECDSA ||
        gnutls_x509_privkey_export_ecc_raw(k, &curve, NULL, NULL, NULL) < 0 || curve != GNUTLS_ECC_CURVE_SECP256R1) {
        return -SM_EFORMAT;
    }
    *ret = k;
    k = NULL;
    return 0;
}

/* Only P-256 points that lie on the curve. */
static int check_public(gnutls_pubkey_t k)
{
    gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
    if (gnutls_pubkey_get_pk_algorithm(k, NULL) != GNUTLS_PK_ECDSA ||
        gnutls_pubkey_export_ecc_raw2(k, &curve, NULL, NULL, 0) < 0 || curve != GNUTLS_ECC_CURVE_SECP256R1) {
        return -SM_EUNSUPPORTED;
    }
    return gnutls_pubkey_verify_params(k) < 0 ? -SM_EUNSUPPORTED : 0;
}

static int spki_of(gnutls_pubkey_t k, struct sm_buf *ret)
{
    gnutls_datum_t d = {0};
    int r = map(gnutls_pubkey_export2(k, GNUTLS_X509_FMT_DER, &d), -SM_ECRYPTO);
    return r < 0 ? r : give(&d, ret);
}

static int spki_hash(gnutls_pubkey_t k, uint8_t ret[32])
{
    struct sm_buf b = SM_BUF_INIT(CRYPTO_CERT_MAX);
    int r = spki_of(k, &b);
    if (r == 0) {
        crypto_sha256(sm_buf_span(&b), ret);
    }
    sm_buf_wipe(&b);
    return r;
}

int crypto_x509_key_new(struct sm_buf *ret_key_pem)
{
    gnutls_x509_privkey_t k sm_cleanup(key_free) = NULL;
    gnutls_datum_t d = {0};
    int r = map(gnutls_x509_privkey_init(&k), -SM_ECRYPTO);
    unsigned bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
    r = r < 0 ? r : map(gnutls_x509_privkey_generate(k, GNUTLS_PK_ECDSA, bits, 0), -SM_ECRYPTO);
    if (r < 0) {
        return r;
    }
    r = map(gnutls_x509_privkey_export2_pkcs8(k, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &d), -SM_ECRYPTO);
    return r < 0 ? r : give(&d, ret_key_pem);
}

static int public_of_key(gnutls_x509_privkey_t k, gnutls_pubkey_t *ret)
{
    gnutls_pubkey_t p sm_cleanup(public_free) = NULL;
    gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
    gnutls_datum_t x = {0}, y = {0};
    int r = map(gnutls_pubkey_init(&p), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_privkey_export_ecc_raw(k, &curve, &x, &y, NULL), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_pubkey_import_ecc_raw(p, curve, &x, &y), -SM_ECRYPTO);
    gnutls_free(x.data);
    gnutls_free(y.data);
    if (r == 0) {
        *ret = p;
        p = NULL;
    }
    return r;
}

int crypto_x509_key_spki(struct sm_span key, struct sm_buf *ret_spki)
{
    gnutls_x509_privkey_t k sm_cleanup(key_free) = NULL;
    gnutls_pubkey_t p sm_cleanup(public_free) = NULL;
    int r = load_key(key, &k);
    r = r < 0 ? r : public_of_key(k, &p);
    return r < 0 ? r : spki_of(p, ret_spki);
}

/* What every certificate of the box has. */
static int fill_common(gnutls_x509_crt_t c, gnutls_pubkey_t subject, int64_t from_s, int64_t to_s)
{
    uint8_t serial[CRYPTO_SERIAL_LEN], key_id[64];
    size_t key_id_n = sizeof(key_id);
    crypto_random(serial, sizeof(serial));
    serial[0] = (serial[0] & 0x3f) | 0x40; /* positive, and always sixteen bytes */
    int r = map(gnutls_x509_crt_set_version(c, 3), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crt_set_serial(c, serial, sizeof(serial)), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crt_set_pubkey(c, subject), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crt_set_activation_time(c, from_s), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crt_set_expiration_time(c, to_s), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_pubkey_get_key_id(subject, GNUTLS_KEYID_USE_SHA256, key_id, &key_id_n), -SM_ECRYPTO);
    /* RFC 7093 method 1: the first 160 bits */
    return r < 0 ? r : map(gnutls_x509_crt_set_subject_key_id(c, key_id, 20), -SM_ECRYPTO);
}

static int set_cn(gnutls_x509_crt_t c, const char *cn, size_t n)
{
    return map(gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, cn, (unsigned)n), -SM_ECRYPTO);
}

static int sign_and_give(
    gnutls_x509_crt_t c, gnutls_x509_crt_t issuer, gnutls_x509_privkey_t key, struct sm_buf *ret)
{
    gnutls_datum_t d = {0};
    int r = map(gnutls_x509_crt_sign2(c, issuer, key, GNUTLS_DIG_SHA256, 0), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_DER, &d), -SM_ECRYPTO);
    return r < 0 ? r : give(&d, ret);
}

/* No control characters, valid UTF-8, not empty. */
static bool good_text(const char *s)
{
    if (!*s || !sm_utf8_valid(SM_SPAN_STR(s))) {
        return false;
    }
    for (; *s; s++) {
        if ((uint8_t)*s < ' ' || *s == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Bytes of the first CN_CHARS characters. */
static size_t cut(const char *s)
{
    size_t n = 0, chars = 0;
    for (; s[n]; n++) {
        if (((uint8_t)s[n] & 0xc0) != 0x80 && ++chars > CN_CHARS) {
            break;
        }
    }
    return n;
}

int crypto_x509_ca_new(struct sm_span key, const char *institution, int64_t now_s, struct sm_buf *ret_cert)
{
    gnutls_x509_privkey_t k sm_cleanup(key_free) = NULL;
    gnutls_pubkey_t p sm_cleanup(public_free) = NULL;
    gnutls_x509_crt_t c sm_cleanup(crt_free) = NULL;
    char cn[512];
    if (strlen(institution) > sizeof(cn) - 16 || !good_text(institution)) {
        return -SM_EINVAL;
    }
    (void)snprintf(cn, sizeof(cn), "Sakimori %s", institution); /* fits, see above */
    int r = load_key(key, &k);
    r = r < 0 ? r : public_of_key(k, &p);
    r = r < 0 ? r : map(gnutls_x509_crt_init(&c), -SM_ECRYPTO);
    r = r < 0 ? r : fill_common(c, p, now_s - 3600, now_s + (int64_t)CRYPTO_CA_DAYS * DAY_S);
    r = r < 0 ? r : set_cn(c, cn, cut(cn));
    r = r < 0 ? r : map(gnutls_x509_crt_set_basic_constraints(c, 1, 0), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crt_set_key_usage(c, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN), -SM_ECRYPTO);
    return r < 0 ? r : sign_and_give(c, c, k, ret_cert);
}

/* A certificate below the CA: begun here, named and signed by the caller. */
struct issue { gnutls_x509_crt_t ca, cert; gnutls_x509_privkey_t ca_key; };

static void issue_wipe(struct issue *i)
{
    crt_free(&i->ca);
    crt_free(&i->cert);
    key_free(&i->ca_key);
}

static int issue_begin(struct issue *i, struct sm_span ca_cert, struct sm_span ca_key, gnutls_pubkey_t subject,
    int64_t now_s, int64_t days, const char *purpose)
{
    uint8_t key_id[64];
    size_t key_id_n = sizeof(key_id);
    int r = load_cert(ca_cert, &i->ca);
    r = r < 0 ? r : load_key(ca_key, &i->ca_key);
    r = r < 0 ? r : crypto_x509_key_matches(ca_cert, ca_key);
    if (r < 0) {
        return r;
    }
    int64_t end_s = now_s + days * DAY_S, ca_end_s = gnutls_x509_crt_get_expiration_time(i->ca);
    if (end_s > ca_end_s) {
        end_s = ca_end_s; /* nobody trusts a certificate longer than its issuer */
    }
    r = map(gnutls_x509_crt_init(&i->cert), -SM_ECRYPTO);
    r = r < 0 ? r : fill_common(i->cert, subject, now_s - 3600, end_s);
    r = r < 0 ? r : map(gnutls_x509_crt_set_basic_constraints(i->cert, 0, -1), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crt_set_key_usage(i->cert, GNUTLS_KEY_DIGITAL_SIGNATURE), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crt_set_key_purpose_oid(i->cert, purpose, 0), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crt_get_subject_key_id(i->ca, key_id, &key_id_n, NULL), -SM_ECRYPTO);
    return r < 0 ? r : map(gnutls_x509_crt_set_authority_key_id(i->cert, key_id, key_id_n), -SM_ECRYPTO);
}

static bool good_dns(const char *s)
{
    size_t n = strlen(s);
    return n && n <= 253 && s[0] != '-' && s[0] != '.' &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._") == n;
}

static int add_name(gnutls_x509_crt_t c, const char *name)
{
    uint8_t ip[16];
    gnutls_x509_subject_alt_name_t kind = GNUTLS_SAN_IPADDRESS;
    const void *data = ip;
    size_t n;
    if (inet_pton(AF_INET, name, ip) == 1) {
        n = 4;
    } else if (inet_pton(AF_INET6, name, ip) == 1) {
        n = 16;
    } else if (good_dns(name)) {
        kind = GNUTLS_SAN_DNSNAME;
        data = name;
        n = strlen(name);
    } else {
        return -SM_EINVAL;
    }
    return map(gnutls_x509_crt_set_subject_alt_name(c, kind, data, (unsigned)n, GNUTLS_FSAN_APPEND), -SM_ECRYPTO);
}

int crypto_x509_server_new(struct sm_span ca_cert, struct sm_span ca_key, struct sm_span server_key,
    const char *const *names, size_t n, int64_t now_s, struct sm_buf *ret_cert)
{
    gnutls_x509_privkey_t k sm_cleanup(key_free) = NULL;
    gnutls_pubkey_t p sm_cleanup(public_free) = NULL;
    struct issue i sm_cleanup(issue_wipe) = {0};
    if (n < 1 || n > CRYPTO_NAMES_MAX) {
        return -SM_EINVAL;
    }
    int r = load_key(server_key, &k);
    r = r < 0 ? r : public_of_key(k, &p);
    r = r < 0 ? r : issue_begin(&i, ca_cert, ca_key, p, now_s, CRYPTO_SERVER_DAYS, GNUTLS_KP_TLS_WWW_SERVER);
    for (size_t j = 0; j < n && r == 0; j++) {
        r = add_name(i.cert, names[j]);
    }
    r = r < 0 ? r : set_cn(i.cert, names[0], cut(names[0]));
    return r < 0 ? r : sign_and_give(i.cert, i.ca, i.ca_key, ret_cert);
}

int crypto_x509_csr_new(struct sm_span key, const char *cn, struct sm_buf *ret_csr)
{
    gnutls_x509_privkey_t k sm_cleanup(key_free) = NULL;
    gnutls_x509_crq_t q sm_cleanup(crq_free) = NULL;
    gnutls_datum_t d = {0};
    if (!good_text(cn) || cut(cn) != strlen(cn)) {
        return -SM_EINVAL;
    }
    int r = load_key(key, &k);
    r = r < 0 ? r : map(gnutls_x509_crq_init(&q), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crq_set_version(q, 1), -SM_ECRYPTO);
    unsigned n = (unsigned)strlen(cn);
    r = r < 0 ? r : map(gnutls_x509_crq_set_dn_by_oid(q, GNUTLS_OID_X520_COMMON_NAME, 0, cn, n), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crq_set_key(q, k), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crq_sign2(q, k, GNUTLS_DIG_SHA256, 0), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crq_export2(q, GNUTLS_X509_FMT_DER, &d), -SM_ECRYPTO);
    return r < 0 ? r : give(&d, ret_csr);
}

/* The public key of a request that is sound, ours in kind, and signed by itself. */
static int public_of_csr(struct sm_span csr, gnutls_pubkey_t *ret)
{
    gnutls_x509_crq_t q sm_cleanup(crq_free) = NULL;
    gnutls_pubkey_t p sm_cleanup(public_free) = NULL;
    gnutls_datum_t d;
    int r = datum(csr, &d);
    r = r < 0 ? r : map(gnutls_x509_crq_init(&q), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_x509_crq_import(q, &d, form_of(csr)), -SM_EFORMAT);
    r = r < 0 ? r : map(gnutls_pubkey_init(&p), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_pubkey_import_x509_crq(p, q, 0), -SM_EFORMAT);
    r = r < 0 ? r : check_public(p);
    r = r < 0 ? r : map(gnutls_x509_crq_verify(q, 0), -SM_EAUTH);
    if (r == 0) {
        *ret = p;
        p = NULL;
    }
    return r;
}

static int device_new(struct sm_span ca_cert, struct sm_span ca_key, gnutls_pubkey_t p, const char *device_id,
    int64_t now_s, unsigned days, struct sm_buf *ret_cert)
{
    struct issue i sm_cleanup(issue_wipe) = {0};
    size_t n = strnlen(device_id, CN_CHARS + 1);
    if (n < 1 || n > CN_CHARS ||
        strspn(device_id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != n || days < 1 ||
        days > CRYPTO_DEVICE_DAYS_MAX) {
        return -SM_EINVAL;
    }
    int r = issue_begin(&i, ca_cert, ca_key, p, now_s, days, GNUTLS_KP_TLS_WWW_CLIENT);
    r = r < 0 ? r : set_cn(i.cert, device_id, n);
    return r < 0 ? r : sign_and_give(i.cert, i.ca, i.ca_key, ret_cert);
}

int crypto_x509_device_from_csr(struct sm_span ca_cert, struct sm_span ca_key, struct sm_span csr,
    const char *device_id, int64_t now_s, unsigned days, struct sm_buf *ret_cert)
{
    gnutls_pubkey_t p sm_cleanup(public_free) = NULL;
    int r = public_of_csr(csr, &p);
    return r < 0 ? r : device_new(ca_cert, ca_key, p, device_id, now_s, days, ret_cert);
}

int crypto_x509_device_from_spki(struct sm_span ca_cert, struct sm_span ca_key, struct sm_span spki,
    const char *device_id, int64_t now_s, unsigned days, struct sm_buf *ret_cert)
{
    gnutls_pubkey_t p sm_cleanup(public_free) = NULL;
    gnutls_datum_t d;
    int r = datum(spki, &d);
    r = r < 0 ? r : map(gnutls_pubkey_init(&p), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_pubkey_import(p, &d, GNUTLS_X509_FMT_DER), -SM_EFORMAT);
    r = r < 0 ? r : check_public(p);
    return r < 0 ? r : device_new(ca_cert, ca_key, p, device_id, now_s, days, ret_cert);
}

int crypto_x509_csr_check(struct sm_span csr, uint8_t ret_spki_sha256[32])
{
    gnutls_pubkey_t p sm_cleanup(public_free) = NULL;
    int r = public_of_csr(csr, &p);
    return r < 0 ? r : spki_hash(p, ret_spki_sha256);
}

static int read_cn(gnutls_x509_crt_t c, char ret[CRYPTO_CN_MAX])
{
    char cn[CRYPTO_CN_MAX];
    size_t n = sizeof(cn);
    int e = gnutls_x509_crt_get_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, 0, cn, &n);
    if (e == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
        ret[0] = 0;
        return 0;
    }
    if (e < 0) {
        return map(e, -SM_EFORMAT);
    }
    /* A NUL inside would let two names look the same to C. */
    if (n >= sizeof(cn) || strnlen(cn, n) != n || !good_text(cn)) {
        return -SM_EFORMAT;
    }
    memcpy(ret, cn, n + 1);
    return 0;
}

static void read_purposes(gnutls_x509_crt_t c, struct crypto_cert_info *info)
{
    for (unsigned i = 0; i < PURPOSES_MAX; i++) {
        char oid[128];
        size_t n = sizeof(oid);
        int e = gnutls_x509_crt_get_key_purpose_oid(c, i, oid, &n, NULL);
        if (e == GNUTLS_E_SHORT_MEMORY_BUFFER) {
            continue; /* longer than any we know */
        }
        if (e < 0) {
            return;
        }
        info->client_auth = info->client_auth || !strcmp(oid, GNUTLS_KP_TLS_WWW_CLIENT);
        info->server_auth = info->server_auth || !strcmp(oid, GNUTLS_KP_TLS_WWW_SERVER);
    }
}

static int read_info(gnutls_x509_crt_t c, struct crypto_cert_info *ret)
{
    struct crypto_cert_info t = {.serial_n = CRYPTO_SERIAL_MAX};
    gnutls_pubkey_t p sm_cleanup(public_free) = NULL;
    gnutls_datum_t der = {0};
    unsigned ca = 0;
    int r = map(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_DER, &der), -SM_EFORMAT);
    if (r < 0) {
        return r;
    }
    crypto_sha256(SM_SPAN(der.data, der.size), t.fingerprint);
    gnutls_free(der.data);
    r = map(gnutls_x509_crt_get_serial(c, t.serial, &t.serial_n), -SM_EFORMAT);
    r = r < 0 ? r : map(gnutls_pubkey_init(&p), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_pubkey_import_x509(p, c, 0), -SM_EFORMAT);
    r = r < 0 ? r : spki_hash(p, t.spki_sha256);
    r = r < 0 ? r : read_cn(c, t.cn);
    if (r < 0) {
        return r;
    }
    t.not_before_s = gnutls_x509_crt_get_activation_time(c);
    t.not_after_s = gnutls_x509_crt_get_expiration_time(c);
    if (t.not_before_s == -1 || t.not_after_s == -1) {
        return -SM_EFORMAT;
    }
    t.ca = gnutls_x509_crt_get_basic_constraints(c, NULL, &ca, NULL) >= 0 && ca;
    read_purposes(c, &t);
    *ret = t;
    return 0;
}

int crypto_x509_info(struct sm_span cert, struct crypto_cert_info *ret)
{
    gnutls_x509_crt_t c sm_cleanup(crt_free) = NULL;
    int r = load_cert(cert, &c);
    return r < 0 ? r : read_info(c, ret);
}

int crypto_x509_verify_client(
    struct sm_span ca_cert, struct sm_span cert, int64_t now_s, struct crypto_cert_info *ret)
{
    gnutls_x509_crt_t ca sm_cleanup(crt_free) = NULL, c sm_cleanup(crt_free) = NULL;
    struct crypto_cert_info info;
    unsigned status = ~0u;
    int r = load_cert(ca_cert, &ca);
    r = r < 0 ? r : load_cert(cert, &c);
    r = r < 0 ? r : read_info(c, &info);
    if (r < 0) {
        return r;
    }
    /* Time is checked below against the caller's clock, not the library's. */
    unsigned flags = GNUTLS_VERIFY_DISABLE_TIME_CHECKS | GNUTLS_VERIFY_DO_NOT_ALLOW_SAME;
    r = map(gnutls_x509_crt_list_verify(&c, 1, &ca, 1, NULL, 0, flags, &status), -SM_EAUTH);
    if (r < 0) {
        return r;
    }
    if (status || info.ca) {
        return -SM_EAUTH;
    }
    if (now_s < info.not_before_s || now_s > info.not_after_s || now_s < gnutls_x509_crt_get_activation_time(ca) ||
        now_s > gnutls_x509_crt_get_expiration_time(ca)) {
        return -SM_ETIME;
    }
    if (!info.client_auth) {
        return -SM_EDENIED;
    }
    *ret = info;
    return 0;
}

int crypto_x509_key_matches(struct sm_span cert, struct sm_span key)
{
    gnutls_x509_crt_t c sm_cleanup(crt_free) = NULL;
    gnutls_x509_privkey_t k sm_cleanup(key_free) = NULL;
    gnutls_pubkey_t of_cert sm_cleanup(public_free) = NULL, of_key sm_cleanup(public_free) = NULL;
    uint8_t a[32], b[32];
    int r = load_cert(cert, &c);
    r = r < 0 ? r : load_key(key, &k);
    r = r < 0 ? r : map(gnutls_pubkey_init(&of_cert), -SM_ECRYPTO);
    r = r < 0 ? r : map(gnutls_pubkey_import_x509(of_cert, c, 0), -SM_EFORMAT);
    r = r < 0 ? r : public_of_key(k, &of_key);
    r = r < 0 ? r : spki_hash(of_cert, a);
    r = r < 0 ? r : spki_hash(of_key, b);
    if (r < 0) {
        return r;
    }
    return memcmp(a, b, sizeof(a)) ? -SM_EMISMATCH : 0;
}

static int convert(struct sm_span cert, gnutls_x509_crt_fmt_t to, struct sm_buf *ret)
{
    gnutls_x509_crt_t c sm_cleanup(crt_free) = NULL;
    gnutls_datum_t d = {0};
    int r = load_cert(cert, &c);
    r = r < 0 ? r : map(gnutls_x509_crt_export2(c, to, &d), -SM_EFORMAT);
    return r < 0 ? r : give(&d, ret);
}

int crypto_x509_to_pem(struct sm_span cert, struct sm_buf *ret)
{
    return convert(cert, GNUTLS_X509_FMT_PEM, ret);
}

int crypto_x509_to_der(struct sm_span cert, struct sm_buf *ret)
{
    return convert(cert, GNUTLS_X509_FMT_DER, ret);
}
