/* A device's certificate request and its bare public key: the only certificates-to-be from outside. */
#include "crypto/init.h"
#include "crypto/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct sm_buf ca_key, ca_cert;
    const int64_t now = 1795305600;
    uint8_t spki[32];
    struct sm_buf cert = SM_BUF_INIT(CRYPTO_CERT_MAX);
    struct crypto_cert_info info;
    if (!ca_cert.n && (crypto_init() < 0 || crypto_x509_key_new(&ca_key) < 0 ||
                          crypto_x509_ca_new(sm_buf_span(&ca_key), "fuzz", now, &ca_cert) < 0)) {
        abort();
    }
    struct sm_span ca = sm_buf_span(&ca_cert), key = sm_buf_span(&ca_key), in = SM_SPAN(data, n);
    int checked = crypto_x509_csr_check(in, spki);
    if (crypto_x509_device_from_csr(ca, key, in, "dev", now, 30, &cert) == 0) {
        /* What was issued must be ours, and for the key that was checked. */
        if (checked < 0 || crypto_x509_verify_client(ca, sm_buf_span(&cert), now, &info) < 0 ||
            memcmp(spki, info.spki_sha256, sizeof(spki))) {
            abort();
        }
    } else if (cert.n || checked == 0) {
        abort();
    }
    sm_buf_clear(&cert);
    if (crypto_x509_device_from_spki(ca, key, in, "dev", now, 30, &cert) == 0 &&
        crypto_x509_verify_client(ca, sm_buf_span(&cert), now, &info) < 0) {
        abort();
    }
    sm_buf_wipe(&cert);
    return 0;
}
