/*
 * Signed bundles of rules: one file, made by whoever has a key, read by boxes that trust it.  docs/FORMAT-rules.md.
 *
 * Reading looks at bytes of strangers: everything is bounded, the signature is checked before the manifest is parsed, and nothing is
 * given out before the last file was compared with it.  Not seen here: files, settings, what the rules say.  Nothing logs.
 */
#ifndef SM_DETECT_BUNDLE_H
#define SM_DETECT_BUNDLE_H

#include "core/buf.h"
#include "crypto/sign.h"

enum {
    BUNDLE_BYTES_MAX = 16 << 20, /* as it stands */
    BUNDLE_PLAIN_MAX = 64 << 20, /* unpacked */
    BUNDLE_MANIFEST_MAX = 4 << 20,
    BUNDLE_FILES_MAX = 20000,
    BUNDLE_FILE_MAX = 1 << 20,
    BUNDLE_FILE_NAME_MAX = 200,
    BUNDLE_KEYS_MAX = 32,
    BUNDLE_NAME_MAX = 60, BUNDLE_LICENCE_MAX = 4000, BUNDLE_NOTE_MAX = 1000, /* characters; bytes are at most four times as many */
    BUNDLE_WHY_MAX = 200,
    BUNDLE_KEY_TEXT = 6 + 64 + 1,
};

struct bundle_key { uint8_t pub[CRYPTO_SIGN_PUBLIC_LEN]; };
struct bundle_file { const char *name; struct sm_span text; };

/* What it says of itself.  Texts are the bundle's, never NULL. */
struct bundle_head {
    const char *name, *made, *licence, *note;
    uint64_t serial;
    int64_t made_s;
};

struct bundle;
/*
 * file and keys are borrowed and not needed afterwards.  ret_why (BUNDLE_WHY_MAX) is filled on failure.  -SM_EFORMAT, -SM_ELIMIT,
 * -SM_EVERSION, -SM_ECORRUPT, -SM_EAUTH (none of the n keys made the signature), -ENOMEM.
 */
sm_must_use int bundle_open(
    struct sm_span file, const struct bundle_key *keys, size_t n, struct bundle **ret, char *ret_why);
/* The same for people who look at a file and trust no key: bundle_signer is NULL then. */
sm_must_use int bundle_look(struct sm_span file, struct bundle **ret, char *ret_why);
void bundle_free(struct bundle *b);
const struct bundle_head *bundle_head(const struct bundle *b);
const struct bundle_key *bundle_signer(const struct bundle *b);
size_t bundle_count(const struct bundle *b);
const struct bundle_file *bundle_at(const struct bundle *b, size_t i); /* in rising order of names */
const struct bundle_file *bundle_find(const struct bundle *b, const char *name); /* NULL */
bool bundle_is_rules(const char *name);   /* *.yml, *.yaml, but no table */
bool bundle_is_sources(const char *name); /* logsources.yml in any folder */
bool bundle_name_good(const char *name);

/* Writing: files in any order (they are sorted in place), one name once.  head->made_s and no made.  -SM_EINVAL (a name, the head; ret_why),
 * -SM_ELIMIT, -ENOMEM, -SM_ECRYPTO. */
sm_must_use int bundle_write(const struct bundle_head *head, struct bundle_file *files, size_t n,
    const struct crypto_sign_pair *pair, bool zstd, struct sm_buf *ret, char *ret_why);

/* "SKRB0-…" of a public key; ret has BUNDLE_KEY_TEXT bytes.  Reading: spaces around it are let be; -SM_EFORMAT. */
void bundle_key_text(const struct bundle_key *key, char *ret);
sm_must_use int bundle_key_read(struct sm_span text, struct bundle_key *ret);
/* The file `bundle-keys`: lines `name = SKRB0-…`.  each may be NULL.  Returns how many were read into ret (at most max); lines that are
 * none are left out. */
typedef void bundle_key_fn(void *ctx, const char *name, const struct bundle_key *key);
size_t bundle_keys_read(struct sm_span text, struct bundle_key *ret, size_t max, bundle_key_fn *each, void *ctx);

#endif
