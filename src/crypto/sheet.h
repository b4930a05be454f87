/*
 * What a person types, scans or saves of one half of the recovery sheet.  A parser of outside bytes.
 */
#ifndef CRYPTO_SHEET_H
#define CRYPTO_SHEET_H
#include "core/buf.h"

#define CRYPTO_SHEET_TEXT_MAX ((size_t)64 << 10)
enum crypto_sheet_half { CRYPTO_SHEET_OPEN, CRYPTO_SHEET_ORDERS };
struct crypto_sheet { bool has_vault; uint8_t vault[16]; uint8_t secret[32]; };
/*
 * Reads the QR's text SKR1:O:… (orders: SKR1:D:…) wherever it stands in text, or else 24 words (hiragana or English; numbers, full
 * stops and commas between them, and lines that begin with '#', do not matter).  Words alone do not say which half they are of: the caller compares the public key.
 * ret_why (160 bytes) says in Japanese and English what is wrong; it never holds a word of the secret.
 * Returns 0, or
 *   -SM_ENOTFOUND  a word is on no list (ret_why says which number)
 *   -SM_EINVAL     not 24 words, or the QR is of the sheet's other half
 *   -SM_EMISMATCH  checksum
 *   -SM_EFORMAT, -SM_ELIMIT, -ENOMEM
 */
sm_must_use int crypto_sheet_parse(
    struct sm_span text, enum crypto_sheet_half half, struct crypto_sheet *ret, char *ret_why);
void crypto_sheet_wipe(struct crypto_sheet *s);
#endif
