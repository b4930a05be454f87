/*
 * Copies of a vault (docs/FORMAT-vault.md section 12): the same bytes at another place, valid after every step and
 * never shortened.  Sees sealed objects only; reads the original, never writes to it; holds no key; never logs.
 *
 * Where the bytes go is a target: one file and one row of copy_targets a kind.  Order: packs and manifests (each checked
 * against its name while it is copied), then the journal up to a signed head, then that head.
 *
 * Invariants: 1. nothing under its final name in the copy is ever replaced by something unsound, or removed.  2. a copy
 * whose own journal is no beginning of the original's is not touched: the original was rolled back or forked.  3. at
 * every moment the copy is a valid vault of its last complete head, apart from incomplete temporary files and an
 * incomplete end of its journal, as a vault's own (section 8, 6).
 */
#ifndef VAULT_COPY_COPY_H
#define VAULT_COPY_COPY_H
#include "vault/seal/format.h"
#include "vault/store/journal.h"

#define COPY_NAME_MAX 96
#define COPY_WHY 200

/* What a kind of target can do.  Names are those of FORMAT section 7, relative to the copy's folder.  Errors: -errno,
 * -SM_E…; a write that returned 0 from end, append or replace is on disk. */
struct copy_target_ops {
    const char *kind;
    /* Open or make the target `where`.  Takes a lock: -SM_EAGAIN when another copies to it. */
    int (*open)(const char *where, void **ret);
    void (*close)(void *t);
    /* -SM_ENOTFOUND */
    int (*size)(void *t, const char *name, uint64_t *ret);
    /* Up to n bytes; fewer only at the end of the file.  -SM_ENOTFOUND. */
    int (*read)(void *t, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got);
    /* A file in pieces under a temporary name; end gives it its name in one step, or abort forgets it.  One at a time. */
    int (*begin)(void *t, const char *name);
    int (*put)(void *t, struct sm_span bytes);
    int (*end)(void *t);
    void (*abort)(void *t);
    /* The journal: what stands at `at` and after it is cut off, then bytes are added. */
    int (*append)(void *t, const char *name, uint64_t at, struct sm_span bytes);
    /* A small file whole, old or new and nothing between. */
    int (*replace)(void *t, const char *name, struct sm_span content);
    /* What follows may be missing (NULL, false). */
    /* A file that is there whole is as good as it gets: a trailer that was added later is no reason to send it again. */
    bool keeps;
    /* Where the copy's journal ends, without reading all of it.  1: told; 0: not known; errors. */
    int (*tip)(void *t, struct journal_head *ret, uint32_t *ret_file, uint64_t *ret_off);
    /* The original deleted it by policy: the copy need not keep it any longer. */
    int (*gone)(void *t, const char *name);
    /* Before the files: what must be done so that what is there stays.  1: more to do, 0: done, -SM_EAGAIN: begin again. */
    int (*keep)(void *t);
    /* The original has not the records that the copy has: whoever keeps the copy should know. */
    void (*forked)(void *t);
};
extern const struct copy_target_ops copy_folder;        /* folder.c: a folder, also on a removable disk */
extern const struct copy_target_ops *const copy_targets[];
extern const size_t copy_targets_n;
/* NULL when there is none. */
const struct copy_target_ops *copy_target_find(const char *kind);

struct copy_damage {
    char file[COPY_NAME_MAX];     /* in the original */
    const char *why;
    bool copy_is_good;            /* the copy has a sound one of the same name */
};
struct copy_progress { uint64_t packs, packs_total, bytes, bytes_total, copied_bytes, damaged; };
struct copy_args {
    const char *from;             /* the original vault's folder */
    const struct copy_target_ops *target;
    const char *to;
    void *opened;                 /* not NULL: the target, open already (to is not looked at); taken by copy_new */
    struct journal_signed_head head;  /* of the original: up to here */
    uint8_t head_pub[32];
    bool deep;                    /* re-read what the copy has, and put sound ones for unsound ones */
    int (*progress)(void *arg, const struct copy_progress *p);   /* non-zero: -SM_ECANCEL; may be NULL */
    void (*damage)(void *arg, const struct copy_damage *d);      /* may be NULL */
    void *arg;
};
struct copy_result {
    struct journal_head head;     /* the copy's, after a complete run */
    struct journal_head before;   /* the copy's last signed head before it, seq 0: none */
    uint64_t packs, pack_bytes, generations, copied_packs, copied_bytes, healed, damaged;
    bool journal_mended;          /* the copy's own journal had lost signed records; they were put back */
    char why[COPY_WHY];           /* English, of a failure */
};
struct copy;
/*
 * Begin.  Everything in args is copied; from and to too; opened is taken, also on failure.  -SM_EAUTH (the head is not signed by head_pub), -SM_ENOTFOUND
 * (no original), -SM_EMISMATCH (the target holds another vault), -SM_EAGAIN, -SM_EVERSION, -ENOMEM, -errno.
 */
sm_must_use int copy_new(const struct copy_args *args, struct copy **ret, char ret_why[COPY_WHY]);
/*
 * The next piece of work (at most about a MiB).  1: more, 0: complete (result.damaged may be more than 0: those packs
 * were not in order in the original and are named), or, and then for ever,
 *   -SM_EDENIED   the copy knows records that the original does not have: rolled back or forked; nothing was written
 *   -SM_ECORRUPT  the original's journal is damaged or does not hold the head
 *   -SM_EAGAIN    packs were deleted by policy after the head: ask for a new head and begin again
 *   -SM_ECANCEL, -ENOSPC, -errno, -ENOMEM
 */
sm_must_use int copy_step(struct copy *c);
void copy_result(const struct copy *c, struct copy_result *ret);
/* An incomplete file is removed as far as possible.  NULL is fine. */
void copy_free(struct copy *c);

/*
 * The label of a prepared target: which vault may fill it, and which of its copies it is.  Text of four lines,
 * signed by the box's head key over COPY_LABEL ‖ vault id ‖ copy id.  It holds no secret.
 */
#define COPY_LABEL "sakimori/v1/copy"
#define COPY_LABEL_MAX 512
#define COPY_FOLDER "sakimori-copy"      /* below the target: COPY_LABEL_FILE, and COPY_VAULT with the vault itself */
#define COPY_LABEL_FILE "label"
#define COPY_VAULT "vault"
struct copy_label { struct vault_id vault; uint8_t copy[16]; uint8_t sig[64]; };
sm_must_use int copy_label_message(const struct copy_label *l, struct sm_buf *ret);
sm_must_use int copy_label_put(const struct copy_label *l, struct sm_buf *ret);
sm_must_use int copy_label_get(struct sm_span in, struct copy_label *ret);            /* -SM_EFORMAT, -SM_EVERSION */
/* What the box signs of a root, the page that names all there is of a copy without folders: "sakimori/v1/copy-root" ‖
 * vault id ‖ copy id ‖ u64 number ‖ digest. */
#define COPY_ROOT_LABEL "sakimori/v1/copy-root"
struct copy_root_name { struct vault_id vault; uint8_t copy[16]; uint64_t number; uint8_t digest[32]; };
sm_must_use int copy_root_message(const struct copy_root_name *n, struct sm_buf *ret);
sm_must_use int copy_label_verify(const struct copy_label *l, const uint8_t head_pub[32]); /* -SM_EAUTH */
#endif
