/*
 * 32 secret bytes as 24 words (BIP39: 256 bits and 8 bits of checksum, 11 bits a word), for the
 * recovery sheet.  English and Japanese (hiragana) lists of 2,048 words.
 */
#ifndef CRYPTO_WORDS_H
#define CRYPTO_WORDS_H
#include "core/buf.h"

#define CRYPTO_WORDS 24
#define CRYPTO_WORDS_SECRET_LEN 32
#define CRYPTO_WORDS_TEXT_MAX 4096 /* bytes of typed text */

enum crypto_words_lang { CRYPTO_WORDS_EN, CRYPTO_WORDS_JA };

/* The 24 words, static strings (UTF-8, NFC). */
void crypto_words_list(const uint8_t secret[CRYPTO_WORDS_SECRET_LEN], enum crypto_words_lang lang,
    const char *ret[CRYPTO_WORDS]);
/* Append them joined by one space (U+3000 in Japanese).  -ENOMEM, -SM_ELIMIT. */
sm_must_use int crypto_words_encode(const uint8_t secret[CRYPTO_WORDS_SECRET_LEN], enum crypto_words_lang lang,
    struct sm_buf *ret);
/*
 * Read typed words of one language: any white space, case, full-width letters, kana composed or
 * decomposed, katakana for hiragana, and in English the first four letters alone.
 * *ret_word (may be NULL) is set only with -SM_ENOTFOUND, and to the count with -SM_EINVAL.
 * Returns 0, or
 *   -SM_ENOTFOUND  word number *ret_word (from 1) is on no list, or of the other language
 *   -SM_EINVAL     not 24 words
 *   -SM_EMISMATCH  every word is known, but the checksum says one is wrong or out of order
 *   -SM_EFORMAT    not UTF-8;  -SM_ELIMIT more than CRYPTO_WORDS_TEXT_MAX bytes
 */
sm_must_use int crypto_words_decode(struct sm_span text, uint8_t ret[CRYPTO_WORDS_SECRET_LEN], unsigned *ret_word);
/* Is typed the word? (the same tolerance; for "type word 7 back") */
bool crypto_words_same(struct sm_span typed, const char *word);

#endif
