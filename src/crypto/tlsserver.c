#include "crypto/tlsserver.h"
#include <errno.h>
#include "crypto/tls.h"

/* Devices that log over TLS are older than the box's own clients: 1.2, with forward secrecy and AEAD only. */
static const char priority[] =
    "NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-ECDSA:+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305:+AEAD:+COMP-NULL:"
    "+GROUP-X25519:+GROUP-SECP256R1:+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256:+CTYPE-X509:%SERVER_PRECEDENCE";

struct crypto_tls_conn {
    gnutls_session_t session;
    gnutls_certificate_credentials_t cred;
};

static int begin(struct crypto_tls_conn *c, int fd)
{
    if (gnutls_certificate_allocate_credentials(&c->cred) < 0)
        return -ENOMEM;
    gnutls_certificate_set_retrieve_function2(c->cred, crypto_tls_cert_callback);
    if (gnutls_init(&c->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0)
        return -ENOMEM;
    if (gnutls_priority_set_direct(c->session, priority, NULL) < 0 ||
        gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, c->cred) < 0)
        return -SM_ECRYPTO;
    gnutls_certificate_server_set_request(c->session, GNUTLS_CERT_IGNORE);
    gnutls_handshake_set_timeout(c->session, 0); /* the owner's timer says when it is too late */
    gnutls_transport_set_int(c->session, fd);
    return 0;
}

int crypto_tls_conn_new(int fd, struct crypto_tls_conn **ret)
{
    struct crypto_tls_conn *c = calloc(1, sizeof *c);
    int r = c ? begin(c, fd) : -ENOMEM;

    if (r < 0) {
        crypto_tls_conn_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

int crypto_tls_conn_handshake(struct crypto_tls_conn *c, bool *ret_write)
{
    int e = gnutls_handshake(c->session);

    if (e == GNUTLS_E_SUCCESS)
        return 0;
    if (gnutls_error_is_fatal(e))
        return -SM_EPROTO;
    *ret_write = gnutls_record_get_direction(c->session) == 1;
    return -SM_EAGAIN;
}

int crypto_tls_conn_read(struct crypto_tls_conn *c, uint8_t *to, size_t n)
{
    ssize_t k = gnutls_record_recv(c->session, to, n);

    if (k >= 0)
        return (int)k;
    return gnutls_error_is_fatal((int)k) || k == GNUTLS_E_REHANDSHAKE ? -SM_EPROTO : -SM_EAGAIN;
}

size_t crypto_tls_conn_waiting(const struct crypto_tls_conn *c)
{
    return gnutls_record_check_pending(c->session);
}

void crypto_tls_conn_free(struct crypto_tls_conn *c)
{
    if (!c)
        return;
    if (c->session) {
        (void)gnutls_bye(c->session, GNUTLS_SHUT_WR); /* one try: who is gone does not hear it */
        gnutls_deinit(c->session);
    }
    if (c->cred)
        gnutls_certificate_free_credentials(c->cred);
    free(c);
}
