/* A certificate a peer shows, and text that claims to be a key. */
#include "crypto/init.h"
#include "crypto/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct sm_buf ca_key, ca_cert;
    const int64_t now = 1795305600;
    struct sm_buf out = SM_BUF_INIT(2 * CRYPTO_CERT_MAX);
    struct crypto_cert_info info;
    if (!ca_cert.n && (crypto_init() < 0 || crypto_x509_key_new(&ca_key) < 0 ||
                          crypto_x509_ca_new(sm_buf_span(&ca_key), "fuzz", now, &ca_cert) < 0)) {
        abort();
    }
    struct sm_span in = SM_SPAN(data, n);
    if (crypto_x509_info(in, &info) == 0 && !sm_utf8_valid(SM_SPAN_STR(info.cn))) {
        abort();
    }
    /* Nobody but the CA made moments ago can have signed it. */
    if (crypto_x509_verify_client(sm_buf_span(&ca_cert), in, now, &info) == 0) {
        abort();
    }
    (void)crypto_x509_to_pem(in, &out); /* any answer, but no fault */
    sm_buf_clear(&out);
    (void)crypto_x509_key_spki(in, &out);
    sm_buf_wipe(&out);
    return 0;
}
