/*
 * What a person types, scans or saves of the recovery sheet: its *open* half.  A parser of outside bytes.
 */
#ifndef SAKIMORI_SHEET_H
#define SAKIMORI_SHEET_H
#include "core/buf.h"

#define SHEET_TEXT_MAX ((size_t)64 << 10)
struct sheet { bool has_vault; uint8_t vault[16]; uint8_t secret[32]; };
/*
 * Reads the QR's text SKR1:O:… wherever it stands in text, or else 24 words (hiragana or English; numbers, full
 * stops and commas between them, and lines that begin with '#', do not matter).
 * ret_why (160 bytes) says in English what is wrong; it never holds a word of the secret.
 * Returns 0, or
 *   -SM_ENOTFOUND  a word is on no list (ret_why says which number)
 *   -SM_EINVAL     not 24 words, or it is the sheet's other half (SKR1:D:…)
 *   -SM_EMISMATCH  checksum
 *   -SM_EFORMAT, -SM_ELIMIT, -ENOMEM
 */
sm_must_use int sheet_parse(struct sm_span text, struct sheet *ret, char *ret_why);
void sheet_wipe(struct sheet *s);
#endif
