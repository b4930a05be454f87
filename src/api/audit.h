/*
 * The audit log: every act of a person or a machine, one JSON line each, in DIR/audit-000001.jsonl (next number at 64
 * MiB).
 *   {"act","at","from","hash","n","prev","result","role","what","who"}, sorted keys, UTF-8, '\n'
 *   hash = SHA256("sakimori/v1/audit" ‖ the line's JSON without "hash"), prev = hash of line n - 1 (64 zeros for n = 1)
 * Invariants: 1. a line is on disk (fdatasync) before audit_add returns; 2. n has no gap over all files; 3. only an
 * incomplete last line is ever cut off, and the next line says so.
 */
#ifndef API_AUDIT_H
#define API_AUDIT_H
#include <jansson.h>
#include "core/buf.h"

#define AUDIT_FILE_MAX ((uint64_t)64 << 20)
#define AUDIT_LINE_MAX 8192
#define AUDIT_HASH_TEXT 65
struct audit_head { uint64_t n; char hash[AUDIT_HASH_TEXT]; };
struct audit_entry { const char *who, *role, *from, *act, *what, *result; };
struct audit;
/* Open DIR (made 0700), find the last line.  -SM_ECORRUPT: the last complete line is not what it should be (the log is
 * still open for appending: a broken record must not stop the box, it must show). */
sm_must_use int audit_open(const char *dir, struct audit **ret);
void audit_close(struct audit *a);
struct audit_head audit_head(const struct audit *a);
bool audit_is_broken(const struct audit *a);
sm_must_use int audit_add(struct audit *a, const struct audit_entry *e);
/* Up to max lines, newest first, below line before (0 = from the newest).  *ret is the caller's array. */
sm_must_use int audit_list(struct audit *a, uint64_t before, size_t max, json_t **ret);
/* All files one after the other, appended; -SM_ELIMIT past ret->max. */
sm_must_use int audit_export(struct audit *a, struct sm_buf *ret);
struct audit_report { bool ok; uint64_t lines, bad_line; char why[16]; };  /* why: changed, removed, order, cut, form */
/* Check everything; known is the head kept elsewhere (n 0: none), which must be in it.  Any thread: reads only.
 * Errors only when the files cannot be read. */
sm_must_use int audit_verify(const char *dir, const struct audit_head *known, struct audit_report *ret);
#endif
