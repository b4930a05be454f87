/*
 * Quarantine: a file set aside with its metadata and the reason, made harmless, and put back exactly when that was wrong.
 * The folder: docs/FORMAT-quarantine.md.  Every call takes the folder's lock (-SM_EAGAIN: another call runs) and first finishes or
 * takes back what a call that was killed had begun.  All parameters are borrowed.
 */
#ifndef SM_QUARANTINE_QUARANTINE_H
#define SM_QUARANTINE_QUARANTINE_H
#include "core/buf.h"
#include "core/json.h"

enum { QUARANTINE_MAX = 2000, QUARANTINE_ID = 17, QUARANTINE_KEEP_S = 90 * 86400, QUARANTINE_TEXT = 400 };
struct quarantine_limits { uint64_t max_bytes, file_max_bytes, reserve_bytes; };
struct quarantine_what {
    struct sm_span path;        /* absolute, no link in it, raw bytes */
    const uint8_t *sha256;      /* only a file with this content; NULL: whatever is there */
    const char *reason, *by, *finding; /* cut at QUARANTINE_TEXT bytes; NULL: "" */
};
/*
 * Set one aside; *ret_entry (may be NULL) is the caller's, as in quarantine_list.  Its other names, if it had any, still lead to it:
 * "links" says how many there were.
 * -ENOENT, -ELOOP, -SM_EINVAL (no regular file, not absolute), -SM_EMISMATCH (another content), -EFBIG, -ENOSPC, -SM_EAGAIN, -errno.
 */
sm_must_use int quarantine_take(int folder, const struct quarantine_limits *l, const struct quarantine_what *w,
    char ret_id[QUARANTINE_ID], json_t **ret_entry);
/* Put it back; *ret_path (may be NULL): where it is now, appended.
 * -SM_ENOTFOUND, -SM_ESTATE (given back or removed already), -SM_ECORRUPT (not what was taken; it stays), -ENOENT (its folder is
 * gone), -SM_EAGAIN, -errno. */
sm_must_use int quarantine_give_back(int folder, const char *id, struct sm_buf *ret_path);
/* Remove its bytes for good.  Errors as above. */
sm_must_use int quarantine_remove(int folder, const char *id);
/* [{"id","path": base64,"size","sha256","reason","by","finding","at","changed","state": "kept|given|removed","links"}…], newest first. */
sm_must_use int quarantine_list(int folder, json_t **ret);
/* Bytes that are kept. */
sm_must_use int quarantine_room(int folder, uint64_t *ret_bytes, unsigned *ret_files);
#endif
