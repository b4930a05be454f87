/* The restore key at rest: a wrap and an escrow that come over the API or from a disk, a card as it was typed. */
#include "core/err.h"
#include "crypto/init.h"
#include "vault/seal/restorekey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t secret[32] = {3, 10, 17, 24, 31, 38};
    uint8_t pub[32], card[RESTOREKEY_CARD_LEN], again[RESTOREKEY_CARD_LEN];
    struct restorekey_escrow e;
    struct crypto_x25519_pair pair;
    struct sm_span in = SM_SPAN(data, n);
    if (crypto_init() < 0 || n > 4096)
        return 0;
    /* No unwrapping here: 256 MiB and a third of a second each.  Its form is what an attacker chooses. */
    if (restorekey_wrap_check(in, &crypto_pass_wrap, pub) == 0 && restorekey_wrap_check(in, NULL, pub) != 0)
        abort();
    if (restorekey_escrow_parse(in, &e) == 0 && e.head.n + e.enc.n + e.sealed.n != n)
        abort();
    if (restorekey_escrow_open(in, secret, &pair) == 0 && memcmp(pair.public_key, e.restore_public, 32) != 0)
        abort();
    if (restorekey_card_read(in, card) == 0) {
        struct sm_buf text = SM_BUF_INIT(256);
        if (restorekey_card_text(card, &text) < 0 || restorekey_card_read(sm_buf_span(&text), again) < 0 ||
            memcmp(card, again, sizeof card) != 0)
            abort();
        sm_buf_wipe(&text);
    }
    return 0;
}
