/*
 * TLS 1.3 for a process that must not have the private key.  front (network) makes an identity
 * whose key is a callback; the callback asks keyd; keyd calls crypto_tls_sign.
 * This header names GnuTLS types because libmicrohttpd's own interface does.
 */
#ifndef CRYPTO_TLS_H
#define CRYPTO_TLS_H
#include <gnutls/gnutls.h>
#include <gnutls/abstract.h>
#include "core/buf.h"

/* TLS 1.3 only; X25519 or P-256; AES-GCM or ChaCha20-Poly1305; ECDSA P-256 with SHA-256.
 * For MHD_OPTION_HTTPS_PRIORITIES and gnutls_priority_set_direct. */
#define CRYPTO_TLS_PRIORITY                                                                                            \
    "NONE:+VERS-TLS1.3:+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305:+AEAD:+GROUP-X25519:+GROUP-SECP256R1:"             \
    "+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256:+CTYPE-X509:%SERVER_PRECEDENCE"

/* TLS SignatureScheme numbers (RFC 8446 4.2.3): what travels to the process with the key. */
#define CRYPTO_TLS_ECDSA_P256_SHA256 0x0403u
#define CRYPTO_TLS_HASH_LEN 32
#define CRYPTO_TLS_SIG_MAX 72 /* DER ECDSA-Sig-Value of P-256 */

/* Sign a SHA-256 hash: append the DER signature to ret_sig, 0 or a negative error (the handshake
 * then fails).  It runs inside the handshake, so it must answer within its own time limit. */
typedef int (*crypto_tls_sign_fn)(void *arg, unsigned algo, struct sm_span hash, struct sm_buf *ret_sig);

/* Where the key is: sign one hash.  -SM_EUNSUPPORTED (algo), -SM_EINVAL (hash is not 32 bytes),
 * -SM_EFORMAT (key), -ENOMEM, -SM_ELIMIT, -SM_ECRYPTO. */
sm_must_use int crypto_tls_sign(struct sm_span key, unsigned algo, struct sm_span hash, struct sm_buf *ret_sig);
/* The same with the key read once, for a process that signs many. */
struct crypto_tls_key;
sm_must_use int crypto_tls_key_new(struct sm_span key, struct crypto_tls_key **ret);
void crypto_tls_key_free(struct crypto_tls_key *k);
sm_must_use int crypto_tls_key_sign(const struct crypto_tls_key *k, unsigned algo, struct sm_span hash,
    struct sm_buf *ret_sig);

/* A server's certificates (server first, then CA) and the way to its key.  sign and arg must
 * outlive it; certificates are copied.  chain: 1 to 4, PEM or DER each.
 * -SM_EFORMAT, -SM_ELIMIT, -SM_EINVAL (count), -ENOMEM, -SM_ECRYPTO. */
struct crypto_tls_identity;
sm_must_use int crypto_tls_identity_new(const struct sm_span *chain, size_t n, crypto_tls_sign_fn sign, void *arg,
    struct crypto_tls_identity **ret);
void crypto_tls_identity_free(struct crypto_tls_identity *id);

/*
 * libmicrohttpd's callback has no argument of its own, so the process has one installed identity.
 * Takes id.  The one installed before stays alive for handshakes under way and is freed at the next
 * call, so leave at least the time limit of a handshake between two calls.  NULL, when no handshake
 * runs any more, frees everything.
 */
void crypto_tls_install(struct crypto_tls_identity *id);
/* For MHD_OPTION_HTTPS_CERT_CALLBACK and gnutls_certificate_set_retrieve_function2. */
int crypto_tls_cert_callback(gnutls_session_t session, const gnutls_datum_t *req_ca_dn, int nreqs,
    const gnutls_pk_algorithm_t *pk_algos, int pk_algos_length, gnutls_pcert_st **pcert,
    unsigned int *pcert_length, gnutls_privkey_t *privkey);

/* Append the DER of the peer's own certificate.  It is only what the peer showed and proved to hold
 * the key of: whether to trust it is crypto_x509_verify_client.  -SM_ENOTFOUND when it showed none,
 * -SM_ELIMIT, -ENOMEM. */
sm_must_use int crypto_tls_peer_cert(gnutls_session_t session, struct sm_buf *ret_der);

#endif
