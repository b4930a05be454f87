/*
 * The scrub: reads every pack, manifest and journal file again and again, without a key, and keeps what protects them
 * up to date (docs/FORMAT-vault.md 5.1, 5.2): packs get their trailer, manifests and journal their second copy.  What
 * is damaged is healed where parity or the second copy can; what cannot is named, with the generations it hits, by
 * verify.  Everything in small steps, on the store's thread.  Never logs.
 * Works on a store opened read-only as well (a stopped vault, a copy): nothing is recorded then, and healing, where
 * asked for, is of files alone; whoever asks holds the vault's lock.
 */
#ifndef VAULT_SCRUB_SCRUB_H
#define VAULT_SCRUB_SCRUB_H
#include "vault/parity/parity.h"
#include "vault/verify/verify.h"

#define SCRUB_STEP_BYTES ((size_t)1 << 20)
#define SCRUB_BAD_MAX 4096u            /* damaged packs looked at one by one in a round; beyond it: verify data */

/* ---- one pack ---- */
enum scrub_verdict {
    SCRUB_SOUND = 1,     /* and its trailer is as it should be */
    SCRUB_PROTECTED,     /* sound; its trailer was written (write false: it has none that is sound) */
    SCRUB_BARE,          /* sound; its trailer could not be written (room, error): tried again next time */
    SCRUB_HEALED,        /* was damaged and is not any more (write false: could be healed) */
    SCRUB_BEYOND,        /* damaged, and its parity is not enough */
    SCRUB_NO_ROOM,       /* damaged and could be healed, but the new file could not be written */
    SCRUB_MISSING,       /* the file is not there or cannot be opened */
};
struct scrub_pack;
/* Number of the pack in the store; write false: only look.  -ENOMEM, -SM_EINVAL. */
sm_must_use int scrub_pack_new(struct store *st, uint32_t pack, bool write, struct scrub_pack **ret);
void scrub_pack_free(struct scrub_pack *p);
/* At most about n bytes more.  1 = more to do, 0 = done, the verdict stands.  -ENOMEM, -errno (nothing is half done). */
sm_must_use int scrub_pack_step(struct scrub_pack *p, size_t n);
enum scrub_verdict scrub_pack_verdict(const struct scrub_pack *p);
void scrub_pack_damage(const struct scrub_pack *p, struct parity_damage *ret);
uint64_t scrub_pack_bytes(const struct scrub_pack *p);   /* read so far */

/* ---- second copies (FORMAT 5.2) ---- */
/* Bring the spare journal and format up to the durable head, at most n bytes.  1 = more, 0 = up to date.  -errno. */
sm_must_use int spare_journal_follow(const struct store *st, size_t n);
/* Compare the spare journal with the first, from *at_file, *at_off on, at most n bytes; a spare that differs is made
 * anew (*ret_mended counts).  1 = more, 0 = all.  For a journal that was verified. */
struct spare_compare { uint32_t file; uint64_t off; uint64_t files, mended; };
sm_must_use int spare_journal_compare(const struct store *st, struct spare_compare *c, bool write, size_t n);
enum spare_verdict { SPARE_SOUND = 1, SPARE_WRITTEN, SPARE_HEALED, SPARE_LOST };
/* One generation's manifest: the spare is made or mended from it, or it from the spare.  -ENOMEM, -errno. */
sm_must_use int spare_manifest(const struct store *st, uint32_t generation, bool write,
    enum spare_verdict *ret);
/* Remove spare manifests the journal does not know (any more). */
sm_must_use int spare_sweep(const struct store *st);
struct spare_healed { bool format; uint32_t files; uint64_t records; char file[32]; };
/*
 * A vault that does not open because its journal or format file is damaged: heal them from the second copies, as far
 * as both chains allow.  write false: only say what could be done.  Takes the vault's lock.  0 whatever was found
 * (*ret tells; all zero: nothing could be done), -SM_EAGAIN (in use), -SM_ENOTFOUND (no vault), -ENOMEM, -errno.
 */
sm_must_use int spare_heal(const char *dir, bool write, struct spare_healed *ret);

/* ---- rounds ---- */
struct scrub_finding {
    const char *what;                  /* pack, manifest, journal */
    char file[96];
    enum scrub_verdict verdict;        /* HEALED, BEYOND, NO_ROOM, MISSING */
    uint64_t offset; uint32_t blocks;  /* of a pack: first bad block and how many */
    bool has_object; struct cid object;
};
struct scrub_hooks {
    void (*found)(void *arg, const struct scrub_finding *f);
    /* Of the naming at the end of a round (verify.h): may be NULL. */
    void (*damage)(void *arg, const struct verify_damage *d);
    void (*hit)(void *arg, const struct cid *manifest, const struct verify_damage *first);
    void *arg;
    const uint8_t *head_pub;
    bool write;                        /* trailers, second copies, healed files; else it only says what it would do */
    bool record;                       /* types 9, 23, 25; needs a writable store */
};
enum scrub_phase { SCRUB_IDLE, SCRUB_PACKS, SCRUB_MANIFESTS, SCRUB_JOURNAL, SCRUB_NAMING };
const char *scrub_phase_name(enum scrub_phase p);
struct scrub_counts { uint64_t packs, bytes, protected_, bare, healed, damaged, manifests, journal_files, hit; };
struct scrub_state {
    enum scrub_phase phase;
    uint64_t packs_total, bytes_total;
    struct scrub_counts now;           /* of the round under way, or the last */
    struct scrub_counts last;          /* of the last complete round */
    int64_t started_s;                 /* wall time; 0: never */
    int64_t finished_s;                /* of the last complete round; 0: none */
    bool by_person;
    uint64_t fresh;                    /* packs not looked at since they came */
};
struct scrub;
/* Goes on where the last process was (cache/scrub; without it a round begins anew).  -ENOMEM, -errno. */
sm_must_use int scrub_new(struct store *st, const struct scrub_hooks *h, struct scrub **ret);
void scrub_free(struct scrub *s);      /* saves where it is */
/* Begin a round.  One under way goes on, but a planned one gives way to a person's. */
void scrub_begin(struct scrub *s, bool by_person);
/* About n bytes more of the round.  1 = more, 0 = idle or just complete.  -ENOMEM, -errno. */
sm_must_use int scrub_step(struct scrub *s, size_t n);
/* About n bytes of packs that came since and of second copies.  1 = more, 0 = nothing waits.  Errors as above.  Where
 * damage was found the phase is SCRUB_NAMING afterwards: scrub_step names it. */
sm_must_use int scrub_protect(struct scrub *s, size_t n);
void scrub_state(const struct scrub *s, struct scrub_state *ret);

#endif
