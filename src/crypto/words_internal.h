/* The BIP39 lists, in their own order (English sorted; Japanese sorted by its decomposed form). */
#ifndef CRYPTO_WORDS_INTERNAL_H
#define CRYPTO_WORDS_INTERNAL_H

extern const char *const crypto_words_en[2048];
extern const char *const crypto_words_ja[2048];

#endif
