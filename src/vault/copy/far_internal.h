/* What far.c, far_journal.c and far_check.c share. */
#ifndef VAULT_COPY_FAR_INTERNAL_H
#define VAULT_COPY_FAR_INTERNAL_H
#include "vault/copy/copy_internal.h"
#include "vault/copy/far.h"
#include "vault/pack/pack.h"

#define FAR_HEAD "heads/0.head"

struct far {
    struct vault_id vault;
    uint8_t head_pub[32];
    uint64_t quota, reserve, used, packs, manifests;
    int root, dir;                   /* DIR/sakimori-copy, and the vault in it */
    void *copy;                      /* copy_folder: lock, folders, small files */
    /* the journal: what is signed, and what waits in tmp/ */
    struct journal_signed_head head; /* seq 0: none */
    struct journal_head at;          /* the last record that is here; before head only when the journal rotted */
    uint32_t file; uint64_t off;     /* where that one ends */
    uint32_t staged_file;            /* the last one that waits; 0: none */
    uint64_t staged_end;             /* its end, as an offset of the journal file */
    uint64_t staged_bytes;           /* of all */
    /* the pack under way */
    int part;
    struct cid part_id;
    uint64_t part_length, part_at;
    struct pack_check *check;
    struct sm_buf tail;
    /* reading again */
    unsigned at_folder;
    struct sm_buf names;             /* ids still to read of that folder */
    struct far_checked round, checked;
    uint8_t *piece;                  /* FAR_PIECE */
};

/* Would more bytes fit quota and disk?  0, -EDQUOT, -ENOSPC, -errno. */
sm_must_use int far_room(const struct far *f, uint64_t more);
static inline uint64_t far_charge(uint64_t size)
{
    return size < FAR_FILE_BYTES ? FAR_FILE_BYTES : size;
}
void far_pack_name(const struct cid *id, char ret[COPY_NAME_MAX]);
void far_manifest_name(const struct cid *id, char ret[COPY_NAME_MAX]);
/* 1 sound, 0 not, or an error.  file: a pack's. */
sm_must_use int far_pack_sound(struct far *f, int fd, const struct cid *id);
sm_must_use int far_manifest_sound(struct far *f, const struct cid *id);

/* far_journal.c */
sm_must_use int far_journal_open(struct far *f, char ret_why[COPY_WHY]);
void far_unstage(struct far *f, uint32_t from);   /* forget what waits of file `from` and after */
#endif
