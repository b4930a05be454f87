/* What people type: recovery words, codes, passwords; and the stored form of a password. */
#include "crypto/init.h"
#include "crypto/pass.h"
#include "crypto/random.h"
#include "crypto/totp.h"
#include "crypto/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct crypto_pass_cost cost = {64, 1, 1};
    uint8_t secret[CRYPTO_WORDS_SECRET_LEN], again[CRYPTO_WORDS_SECRET_LEN];
    unsigned word = 0;
    uint64_t counter;
    char code[16], *text;
    if (crypto_init() < 0 || n > 8192) {
        return 0;
    }
    if (crypto_words_decode(SM_SPAN(data, n), secret, &word) == 0) {
        struct sm_buf b = SM_BUF_INIT(CRYPTO_WORDS_TEXT_MAX);
        if (crypto_words_encode(secret, CRYPTO_WORDS_JA, &b) < 0 ||
            crypto_words_decode(sm_buf_span(&b), again, NULL) < 0 || memcmp(secret, again, sizeof(secret))) {
            abort();
        }
        sm_buf_wipe(&b);
    }
    (void)crypto_words_same(SM_SPAN(data, n), "sausage");
    text = malloc(n + 1);
    if (!text) {
        return 0;
    }
    memcpy(text, data, n);
    text[n] = 0;
    if (crypto_code_read(text, code, sizeof(code)) == 0 && strspn(code, CRYPTO_CODE_ALPHABET) != strlen(code)) {
        abort();
    }
    (void)crypto_totp_verify(SM_SPAN("12345678901234567890", 20), text, 1111111111, 0, &counter);
    if (crypto_pass_check(SM_SPAN(data, n), true, text, "みどり内科 clinic") == CRYPTO_PASS_GOOD && n < 8) {
        abort();
    }
    (void)crypto_pass_check(SM_SPAN("kV7qzr2w", 8), true, "a", text);
    (void)crypto_pass_is_old(text, &cost); /* reads the stored form without the costly hash */
    free(text);
    return 0;
}
