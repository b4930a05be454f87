/*
 * The box's own certificates (RFC 5280), by GnuTLS: one CA per box, one server certificate, one
 * certificate per device; all keys P-256, all signatures ECDSA with SHA-256.
 * Certificates, requests and keys are given as PEM or DER, whichever it is; made ones are DER
 * (certificates, requests) and PKCS#8 PEM (keys) appended to an sm_buf.  Times are Unix seconds.
 * Everything that makes something may also return -ENOMEM, -SM_ELIMIT (the sm_buf's maximum) and
 * -SM_ECRYPTO; key text that cannot be read is -SM_EFORMAT.
 */
#ifndef CRYPTO_X509_H
#define CRYPTO_X509_H
#include <stdbool.h>
#include "core/buf.h"

#define CRYPTO_CERT_MAX ((size_t)16384) /* bytes, PEM or DER, of any one input */
#define CRYPTO_CN_MAX 264               /* NUL included; ours have at most 64 characters */
#define CRYPTO_SERIAL_LEN 16
#define CRYPTO_SERIAL_MAX 20
#define CRYPTO_NAMES_MAX 32
#define CRYPTO_CA_DAYS 3650
#define CRYPTO_SERVER_DAYS 397
#define CRYPTO_DEVICE_DAYS_MAX 3650

struct crypto_cert_info {
    uint8_t fingerprint[32];  /* SHA-256 of the DER */
    uint8_t spki_sha256[32];  /* SHA-256 of the DER SubjectPublicKeyInfo */
    uint8_t serial[CRYPTO_SERIAL_MAX];
    size_t serial_n;
    char cn[CRYPTO_CN_MAX];   /* "" when there is none; UTF-8 */
    int64_t not_before_s, not_after_s;
    bool ca, client_auth, server_auth;
};

/* A fresh P-256 key. */
sm_must_use int crypto_x509_key_new(struct sm_buf *ret_key_pem);
/* The DER SubjectPublicKeyInfo of a key. */
sm_must_use int crypto_x509_key_spki(struct sm_span key, struct sm_buf *ret_spki);

/* Self-signed, CN "Sakimori <institution>" (cut to 64 characters), from an hour before now_s.
 * -SM_EINVAL institution empty or not UTF-8. */
sm_must_use int crypto_x509_ca_new(struct sm_span key, const char *institution, int64_t now_s,
    struct sm_buf *ret_cert);
/* names: n DNS names or IP literals (1 to CRYPTO_NAMES_MAX); the first is the CN.  -SM_EINVAL names. */
sm_must_use int crypto_x509_server_new(struct sm_span ca_cert, struct sm_span ca_key, struct sm_span server_key,
    const char *const *names, size_t n, int64_t now_s, struct sm_buf *ret_cert);

/* On the device: a PKCS#10 request for its key. */
sm_must_use int crypto_x509_csr_new(struct sm_span key, const char *cn, struct sm_buf *ret_csr);
/*
 * Device certificate.  Of the request only the public key is taken, and only when its own
 * signature proves possession; name, days (1 to CRYPTO_DEVICE_DAYS_MAX) and extensions are the box's.
 * device_id: 1 to 64 of [A-Za-z0-9._-].
 *   -SM_EFORMAT  not a request;  -SM_EAUTH its signature is wrong
 *   -SM_EUNSUPPORTED  not a P-256 key;  -SM_EINVAL device_id or days;  -SM_ELIMIT too long
 */
sm_must_use int crypto_x509_device_from_csr(struct sm_span ca_cert, struct sm_span ca_key, struct sm_span csr,
    const char *device_id, int64_t now_s, unsigned days, struct sm_buf *ret_cert);
/* The same for a bare DER SubjectPublicKeyInfo, whose possession the caller has proved. */
sm_must_use int crypto_x509_device_from_spki(struct sm_span ca_cert, struct sm_span ca_key, struct sm_span spki,
    const char *device_id, int64_t now_s, unsigned days, struct sm_buf *ret_cert);
/* What a request asks: SHA-256 of its SPKI, after checking form, key and signature as above. */
sm_must_use int crypto_x509_csr_check(struct sm_span csr, uint8_t ret_spki_sha256[32]);

/* -SM_EFORMAT, -SM_ELIMIT.  No trust is implied. */
sm_must_use int crypto_x509_info(struct sm_span cert, struct crypto_cert_info *ret);
/*
 * Is cert a device of this CA, now?  (Revocation is the caller's list, by fingerprint or serial.)
 *   -SM_EAUTH  not signed by ca_cert, itself a CA, or weak
 *   -SM_ETIME  not yet or no longer valid
 *   -SM_EDENIED  not for client authentication
 *   -SM_EFORMAT, -SM_ELIMIT
 */
sm_must_use int crypto_x509_verify_client(struct sm_span ca_cert, struct sm_span cert, int64_t now_s,
    struct crypto_cert_info *ret);
/* Does key belong to cert?  0, -SM_EMISMATCH, -SM_EFORMAT. */
sm_must_use int crypto_x509_key_matches(struct sm_span cert, struct sm_span key);

/* Convert one certificate; either form in. */
sm_must_use int crypto_x509_to_pem(struct sm_span cert, struct sm_buf *ret);
sm_must_use int crypto_x509_to_der(struct sm_span cert, struct sm_buf *ret);

#endif
