/* What far.c, far_journal.c and far_check.c share. */
#ifndef VAULT_COPY_FAR_INTERNAL_H
#define VAULT_COPY_FAR_INTERNAL_H
#include "vault/copy/copy_internal.h"
#include "vault/copy/far.h"
#include "vault/pack/pack.h"

#define FAR_HEAD "heads/0.head"

#define FAR_SLICE ((size_t)2 << 20)  /* read and hashed at a time: who else asks waits for no more */
#define FAR_JUDGED 64u
#define FAR_JUDGED_MS ((uint64_t)600000)

/* A pack that is read again, a slice at a time.  check NULL: none. */
struct far_reading { struct pack_check *check; int fd; struct cid id; };
struct far_verdict { struct cid id; uint64_t until_ms; bool sound; };

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
    struct far_reading reading;      /* of the round */
    struct far_reading judging;      /* because somebody asked */
    struct far_verdict judged[FAR_JUDGED]; size_t judged_at;
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
/* Is the pack that lies under its name sound?  1, 0, or -SM_EAGAIN: it is being read (far_judge_step); an error. */
sm_must_use int far_judge(struct far *f, const struct cid *id);
void far_judge_forget(struct far *f, const struct cid *id);       /* another file lies there now */
bool far_judged_unsound(const struct far *f, const struct cid *id);
void far_reading_end(struct far_reading *r);
/* Counts packs and manifests, each folder once. */
sm_must_use int far_count(struct far *f);
/* 1 sound, 0 not, or an error. */
sm_must_use int far_manifest_sound(struct far *f, const struct cid *id);

/* far_journal.c */
sm_must_use int far_journal_open(struct far *f, char ret_why[COPY_WHY]);
void far_unstage(struct far *f, uint32_t from);   /* forget what waits of file `from` and after */
#endif
