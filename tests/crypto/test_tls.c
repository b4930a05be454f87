/* A real TLS 1.3 handshake between two sessions of this process, over a socketpair. */
#include "crypto_test.h"
#include "crypto/hash.h"
#include "crypto/tls.h"
#include "crypto/x509.h"
#include <fcntl.h>
#include <gnutls/x509.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SPAN(b) sm_buf_span(&(b))
#define STEPS_MAX 200

static struct sm_buf ca_key, ca_cert, server_key, server_cert, device_key, device_cert;

/* The process with the key. */
struct keyd { struct crypto_tls_key *key; int asked; int answer; };
static struct keyd keyd;

static int sign_there(void *arg, unsigned algo, struct sm_span hash, struct sm_buf *ret_sig)
{
    struct keyd *k = arg;
    k->asked++;
    return k->answer < 0 ? k->answer : crypto_tls_key_sign(k->key, algo, hash, ret_sig);
}

static int make(void **state)
{
    const char *names[] = {"localhost", "127.0.0.1"};
    struct sm_buf csr = {0};
    int64_t now = time(NULL);
    int r = start_crypto(state);
    r = r < 0 ? r : crypto_x509_key_new(&ca_key);
    r = r < 0 ? r : crypto_x509_key_new(&server_key);
    r = r < 0 ? r : crypto_x509_key_new(&device_key);
    r = r < 0 ? r : crypto_x509_ca_new(SPAN(ca_key), "Midori", now, &ca_cert);
    r = r < 0 ? r : crypto_x509_server_new(SPAN(ca_cert), SPAN(ca_key), SPAN(server_key), names, 2, now, &server_cert);
    r = r < 0 ? r : crypto_x509_csr_new(SPAN(device_key), "pc", &csr);
    r = r < 0 ? r : crypto_x509_device_from_csr(SPAN(ca_cert), SPAN(ca_key), SPAN(csr), "dev-1", now, 30, &device_cert);
    sm_buf_wipe(&csr);
    return r < 0 ? r : crypto_tls_key_new(SPAN(server_key), &keyd.key);
}

static int drop(void **state)
{
    struct sm_buf *all[] = {&ca_key, &ca_cert, &server_key, &server_cert, &device_key, &device_cert};
    crypto_tls_install(NULL);
    crypto_tls_key_free(keyd.key);
    for (size_t i = 0; i < 6; i++) {
        sm_buf_wipe(all[i]);
    }
    return 0;
}

struct pair {
    int fd[2];
    gnutls_session_t server, client;
    gnutls_certificate_credentials_t server_cred, client_cred;
};

static gnutls_datum_t datum(const struct sm_buf *b)
{
    return (gnutls_datum_t){.data = b->p, .size = (unsigned)b->n};
}

static void pair_open(struct pair *p, const struct sm_buf *trusted, bool with_device)
{
    gnutls_datum_t ca = datum(trusted);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&p->server_cred), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&p->client_cred), 0);
    gnutls_certificate_set_retrieve_function2(p->server_cred, crypto_tls_cert_callback);
    assert_int_equal(gnutls_certificate_set_x509_trust_mem(p->client_cred, &ca, GNUTLS_X509_FMT_DER), 1);
    if (with_device) {
        struct sm_buf pem = {0};
        assert_int_equal(crypto_x509_to_pem(SPAN(device_cert), &pem), 0);
        gnutls_datum_t c = datum(&pem), k = datum(&device_key);
        assert_int_equal(gnutls_certificate_set_x509_key_mem(p->client_cred, &c, &k, GNUTLS_X509_FMT_PEM), 0);
        sm_buf_wipe(&pem);
    }
    assert_int_equal(gnutls_init(&p->server, GNUTLS_SERVER | GNUTLS_NONBLOCK), 0);
    assert_int_equal(gnutls_init(&p->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
    assert_int_equal(gnutls_priority_set_direct(p->server, CRYPTO_TLS_PRIORITY, NULL), 0);
    assert_int_equal(gnutls_priority_set_direct(p->client, CRYPTO_TLS_PRIORITY, NULL), 0);
    assert_int_equal(gnutls_credentials_set(p->server, GNUTLS_CRD_CERTIFICATE, p->server_cred), 0);
    assert_int_equal(gnutls_credentials_set(p->client, GNUTLS_CRD_CERTIFICATE, p->client_cred), 0);
    gnutls_certificate_server_set_request(p->server, GNUTLS_CERT_REQUEST);
    assert_int_equal(gnutls_server_name_set(p->client, GNUTLS_NAME_DNS, "localhost", 9), 0);
    gnutls_session_set_verify_cert(p->client, "localhost", 0);
    gnutls_transport_set_int(p->server, p->fd[0]);
    gnutls_transport_set_int(p->client, p->fd[1]);
}

static void pair_close(struct pair *p)
{
    gnutls_deinit(p->server);
    gnutls_deinit(p->client);
    gnutls_certificate_free_credentials(p->server_cred);
    gnutls_certificate_free_credentials(p->client_cred);
    (void)close(p->fd[0]);
    (void)close(p->fd[1]);
}

/* Step both sides until both are done or one fails for good; its error. */
static int handshake(struct pair *p)
{
    int s = GNUTLS_E_AGAIN, c = GNUTLS_E_AGAIN;
    for (int i = 0; i < STEPS_MAX && (s != 0 || c != 0); i++) {
        c = c == 0 ? 0 : gnutls_handshake(p->client);
        s = s == 0 ? 0 : gnutls_handshake(p->server);
        if (c < 0 && gnutls_error_is_fatal(c)) {
            return c;
        }
        if (s < 0 && gnutls_error_is_fatal(s)) {
            return s;
        }
    }
    return s ? s : c;
}

static void install(void)
{
    struct crypto_tls_identity *id = NULL;
    struct sm_span chain[] = {SPAN(server_cert), SPAN(ca_cert)};
    assert_int_equal(crypto_tls_identity_new(chain, 2, sign_there, &keyd, &id), 0);
    crypto_tls_install(id);
    keyd.asked = 0;
    keyd.answer = 0;
}

static void a_handshake_succeeds_with_the_key_behind_the_callback(void **state)
{
    struct pair p = {0};
    char got[16] = {0};
    install();
    pair_open(&p, &ca_cert, false);
    assert_int_equal(handshake(&p), 0);
    assert_int_equal(keyd.asked, 1);
    assert_int_equal(gnutls_protocol_get_version(p.client), GNUTLS_TLS1_3);
    assert_int_equal(gnutls_sign_algorithm_get(p.client), GNUTLS_SIGN_ECDSA_SECP256R1_SHA256);
    assert_int_equal(gnutls_record_send(p.server, "konnichiwa", 10), 10);
    ssize_t n = GNUTLS_E_AGAIN;
    for (int i = 0; i < STEPS_MAX && n == GNUTLS_E_AGAIN; i++) {
        n = gnutls_record_recv(p.client, got, sizeof(got));
    }
    assert_int_equal(n, 10);
    assert_string_equal(got, "konnichiwa");
    struct sm_buf der = {0};
    assert_int_equal(crypto_tls_peer_cert(p.server, &der), -SM_ENOTFOUND);
    assert_int_equal(crypto_tls_peer_cert(p.client, &der), 0);
    assert_true(sm_span_eq(SPAN(der), SPAN(server_cert)));
    sm_buf_wipe(&der);
    pair_close(&p);
}

static void the_clients_certificate_reaches_the_handler(void **state)
{
    struct pair p = {0};
    struct sm_buf der = {0};
    struct crypto_cert_info info;
    install();
    pair_open(&p, &ca_cert, true);
    assert_int_equal(handshake(&p), 0);
    assert_int_equal(crypto_tls_peer_cert(p.server, &der), 0);
    assert_true(sm_span_eq(SPAN(der), SPAN(device_cert)));
    assert_int_equal(crypto_x509_verify_client(SPAN(ca_cert), SPAN(der), time(NULL), &info), 0);
    assert_string_equal(info.cn, "dev-1");
    sm_buf_wipe(&der);
    pair_close(&p);
}

static void a_client_that_trusts_another_ca_refuses(void **state)
{
    struct pair p = {0};
    struct sm_buf key = {0}, other = {0};
    install();
    assert_int_equal(crypto_x509_key_new(&key), 0);
    assert_int_equal(crypto_x509_ca_new(SPAN(key), "Midori", time(NULL), &other), 0);
    pair_open(&p, &other, false);
    assert_int_equal(handshake(&p), GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR);
    pair_close(&p);
    sm_buf_wipe(&key);
    sm_buf_wipe(&other);
}

static void when_the_key_holder_refuses_the_handshake_fails(void **state)
{
    struct pair p = {0};
    install();
    keyd.answer = -SM_EPEER;
    pair_open(&p, &ca_cert, false);
    assert_true(handshake(&p) < 0);
    assert_int_equal(keyd.asked, 1);
    pair_close(&p);
}

static void another_processes_key_does_not_fit_the_certificate(void **state)
{
    struct pair p = {0};
    struct crypto_tls_key *right = keyd.key;
    install();
    assert_int_equal(crypto_tls_key_new(SPAN(device_key), &keyd.key), 0);
    pair_open(&p, &ca_cert, false);
    assert_true(handshake(&p) < 0);
    pair_close(&p);
    crypto_tls_key_free(keyd.key);
    keyd.key = right;
}

static void tls_1_2_is_refused(void **state)
{
    struct pair p = {0};
    install();
    pair_open(&p, &ca_cert, false);
    assert_int_equal(gnutls_priority_set_direct(p.client, "NORMAL:-VERS-ALL:+VERS-TLS1.2", NULL), 0);
    assert_true(handshake(&p) < 0);
    assert_int_equal(keyd.asked, 0);
    pair_close(&p);
}

static void without_an_identity_no_handshake_succeeds(void **state)
{
    struct pair p = {0};
    crypto_tls_install(NULL);
    pair_open(&p, &ca_cert, false);
    assert_true(handshake(&p) < 0);
    pair_close(&p);
}

static void a_new_identity_takes_over_while_the_old_one_still_answers(void **state)
{
    struct pair p = {0};
    install();
    pair_open(&p, &ca_cert, false);
    assert_int_equal(gnutls_handshake(p.client), GNUTLS_E_AGAIN);
    install(); /* renewed in the middle of a handshake */
    assert_int_equal(handshake(&p), 0);
    pair_close(&p);
}

static void only_sha_256_hashes_are_signed(void **state)
{
    uint8_t hash[33] = {0};
    struct sm_buf sig = SM_BUF_INIT(CRYPTO_TLS_SIG_MAX);
    unsigned algo = CRYPTO_TLS_ECDSA_P256_SHA256;
    assert_int_equal(crypto_tls_sign(SPAN(server_key), 0x0804, SM_SPAN(hash, 32), &sig), -SM_EUNSUPPORTED);
    assert_int_equal(crypto_tls_sign(SPAN(server_key), algo, SM_SPAN(hash, 31), &sig), -SM_EINVAL);
    assert_int_equal(crypto_tls_sign(SPAN(server_key), algo, SM_SPAN(hash, 33), &sig), -SM_EINVAL);
    assert_int_equal(crypto_tls_sign(SM_SPAN("junk", 4), algo, SM_SPAN(hash, 32), &sig), -SM_EFORMAT);
    assert_int_equal(sig.n, 0);
    assert_int_equal(crypto_tls_sign(SPAN(server_key), algo, SM_SPAN(hash, 32), &sig), 0);
    assert_true(sig.n > 60 && sig.n <= CRYPTO_TLS_SIG_MAX);
    sm_buf_wipe(&sig);
}

static void an_identity_needs_one_to_four_certificates(void **state)
{
    struct crypto_tls_identity *id = NULL;
    struct sm_span chain[] = {SPAN(server_cert), SM_SPAN("junk", 4), SPAN(ca_cert), SPAN(ca_cert), SPAN(ca_cert)};
    assert_int_equal(crypto_tls_identity_new(chain, 0, sign_there, &keyd, &id), -SM_EINVAL);
    assert_int_equal(crypto_tls_identity_new(chain, 5, sign_there, &keyd, &id), -SM_EINVAL);
    assert_int_equal(crypto_tls_identity_new(chain, 2, sign_there, &keyd, &id), -SM_EFORMAT);
    assert_null(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_succeeds_with_the_key_behind_the_callback),
        cmocka_unit_test(the_clients_certificate_reaches_the_handler),
        cmocka_unit_test(a_client_that_trusts_another_ca_refuses),
        cmocka_unit_test(when_the_key_holder_refuses_the_handshake_fails),
        cmocka_unit_test(another_processes_key_does_not_fit_the_certificate),
        cmocka_unit_test(tls_1_2_is_refused),
        cmocka_unit_test(without_an_identity_no_handshake_succeeds),
        cmocka_unit_test(a_new_identity_takes_over_while_the_old_one_still_answers),
        cmocka_unit_test(only_sha_256_hashes_are_signed),
        cmocka_unit_test(an_identity_needs_one_to_four_certificates),
    };
    return cmocka_run_group_tests_name("crypto_tls", tests, make, drop);
}
