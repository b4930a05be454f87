/*
 * The journal of another box's copy.  What is sent waits in tmp/ until a signed head comes; only then, and only as far
 * as its records chain from the head before to this one, it is added.
 */
#include <errno.h>
#include <unistd.h>

#include "plat/fs.h"
#include "vault/copy/far_internal.h"

/* 4 GiB of journal between two heads: it is followed in one go, and the vault's process does nothing else meanwhile. */
#define STAGED_FILES_MAX 64u

static void staged_name(uint32_t file, char ret[COPY_NAME_MAX])
{
    (void)snprintf(ret, COPY_NAME_MAX, "tmp/journal-%08u.part", file); /* fits */
}

/* Where the waiting part of a file begins, as an offset of the journal file. */
static uint64_t base_of(const struct far *f, uint32_t file)
{
    return file == f->file ? f->off : 0;
}

void far_unstage(struct far *f, uint32_t from)
{
    char name[COPY_NAME_MAX];
    uint64_t size = 0;
    for (; f->staged_file && f->staged_file >= from; f->staged_file--) {
        staged_name(f->staged_file, name);
        if (copy_folder.size(f->copy, name, &size) == 0)
            f->staged_bytes -= size < f->staged_bytes ? size : f->staged_bytes;
        int tmp = plat_fs_open_beneath(f->dir, "tmp", O_RDONLY | O_DIRECTORY, 0);
        if (tmp >= 0) {
            (void)!plat_fs_unlink(tmp, name + 4); /* else the next start removes it */
            (void)close(tmp);
        }
        if (f->staged_file == (f->file ? f->file : 1)) {
            f->staged_file = 0;
            return;
        }
    }
    if (!f->staged_file)
        return;
    staged_name(f->staged_file, name);
    f->staged_end = base_of(f, f->staged_file) + (copy_folder.size(f->copy, name, &size) == 0 ? size : 0);
}

static int stage(struct far *f, uint32_t file, uint64_t at, struct sm_span bytes)
{
    char name[COPY_NAME_MAX];
    uint64_t base = base_of(f, file), had = file == f->staged_file ? f->staged_end - base : 0;
    staged_name(file, name);
    uint64_t will = at - base + bytes.n;
    int r = far_room(f, will > had ? will - had : 0);
    if (!r)
        r = copy_folder.append(f->copy, name, at - base, bytes);
    if (r)
        return r;
    f->staged_bytes = f->staged_bytes - had + will;
    f->staged_file = file;
    f->staged_end = at + bytes.n;
    return 0;
}

int far_journal(struct far *f, uint32_t file, uint64_t at, struct sm_span bytes)
{
    uint32_t first = f->file ? f->file : 1;
    if (!bytes.n || bytes.n > FAR_PIECE || file < first || file > JOURNAL_FILES_MAX ||
        at > 2 * JOURNAL_FILE_BYTES)
        return -SM_ELIMIT;
    if (file < f->staged_file)
        far_unstage(f, file + 1);
    if (file == f->staged_file && at >= base_of(f, file) && at <= f->staged_end)
        return stage(f, file, at, bytes);
    /* The first of all, or the next file from its beginning; after the end of a signed file comes the next one. */
    bool begins = !f->staged_file && file == first && at == base_of(f, file);
    bool next = at == 0 && file == (f->staged_file ? f->staged_file : f->file) + 1;
    if (file - first >= STAGED_FILES_MAX)
        return -SM_ELIMIT;
    return begins || next ? stage(f, file, at, bytes) : -SM_ESTATE;
}

/* The journal as it would be: what is signed, and behind it what waits. */
static int read_both(void *arg, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    struct far *f = arg;
    unsigned file = 0;
    char waits[COPY_NAME_MAX];
    if (sscanf(name, "journal/%8u.skj", &file) != 1)
        return -SM_ENOTFOUND;
    uint64_t base = base_of(f, file);
    if (off < base)
        return far_read(f, name, off, to, base - off < n ? (size_t)(base - off) : n, ret_got);
    staged_name(file, waits);
    int r = copy_folder.read(f->copy, waits, off - base, to, n, ret_got);
    if (r == -SM_ENOTFOUND && file == f->file) {
        *ret_got = 0;
        return 0;
    }
    return r;
}

static int refuse(char *why, int err, const char *text)
{
    (void)snprintf(why, COPY_WHY, "%s", text); /* our own texts */
    return err;
}

/* Follow the records from the last head to h: 0 and where its record ends. */
static int follow(struct far *f, const struct journal_signed_head *h, uint32_t *ret_file, uint64_t *ret_off, char *why)
{
    struct chain c;
    struct journal_record rec;
    int r = chain_init(&c, read_both, f, &f->vault);
    if (r)
        return r;
    c.head = f->at;
    c.file = f->file;
    c.off = f->off;
    while (!r && c.head.seq < h->head.seq) {
        int k = chain_next(&c, &rec);
        if (k == 1 && rec.seq == f->head.head.seq && memcmp(rec.hash, f->head.head.hash, 32) != 0)
            k = -SM_ECORRUPT;
        if (k == 0 || k == -SM_EPARTIAL)
            r = refuse(why, -SM_EPARTIAL, "records before the head are missing");
        else if (k == -SM_EFORMAT || k == -SM_ECORRUPT || k == -SM_EMISMATCH || k == -SM_ELIMIT)
            r = refuse(why, -SM_EDENIED, "the journal does not continue what is here: it was rolled back or forked");
        else if (k < 0)
            r = k;
    }
    if (!r && memcmp(c.head.hash, h->head.hash, 32) != 0)
        r = refuse(why, -SM_EDENIED, "the head is of another journal than the one that was sent");
    *ret_file = c.file;
    *ret_off = c.off;
    chain_wipe(&c);
    return r;
}

/* What waits of one file, as far as `end`, goes behind what is there. */
static int commit_file(struct far *f, uint32_t file, uint64_t end)
{
    char name[COPY_NAME_MAX], waits[COPY_NAME_MAX];
    uint64_t base = base_of(f, file), at = base;
    int r = 0;
    chain_file(file, name);
    staged_name(file, waits);
    while (!r && at < end) {
        size_t most = end - at < FAR_PIECE ? (size_t)(end - at) : FAR_PIECE, got = 0;
        r = copy_folder.read(f->copy, waits, at - base, f->piece, most, &got);
        if (!r && !got)
            break;
        if (!r)
            r = copy_folder.append(f->copy, name, at, SM_SPAN(f->piece, got));
        at += got;
    }
    return r == -SM_ENOTFOUND && file == f->file ? 0 : r;
}

static int commit(struct far *f, uint32_t file, uint64_t off)
{
    uint32_t first = f->file ? f->file : 1;
    int r = 0;
    for (uint32_t n = first; !r && n <= file; n++)
        r = commit_file(f, n, n == file ? off : UINT64_MAX);
    return r;
}

int far_head(struct far *f, struct sm_span bytes, char ret_why[COPY_WHY])
{
    struct journal_signed_head h;
    uint32_t file = 0;
    uint64_t off = 0, added = f->staged_bytes;
    ret_why[0] = 0;
    int r = journal_head_get(bytes, &h);
    if (r)
        return refuse(ret_why, r, "not a head");
    if (memcmp(h.vault, f->vault.b, 16) != 0)
        return refuse(ret_why, -SM_EMISMATCH, "the head of another vault");
    r = journal_head_verify(&h, f->head_pub);
    if (r)
        return refuse(ret_why, r, "the head is not signed by the key that this neighbour came with");
    if (h.head.seq < f->head.head.seq)
        return refuse(ret_why, -SM_EDENIED, "the head is older than the last one: the record was rolled back");
    if (h.head.seq == f->head.head.seq && memcmp(h.head.hash, f->head.head.hash, 32) != 0)
        return refuse(ret_why, -SM_EDENIED, "another head of the same number: the record was forked");
    if (h.head.seq == f->at.seq)
        return 0;
    r = follow(f, &h, &file, &off, ret_why);
    /* Also what is incomplete is sent again from the last head on: else one small message has it all followed again. */
    if (r == -SM_EDENIED || r == -SM_EPARTIAL)
        far_unstage(f, 0);
    if (!r)
        r = commit(f, file, off);
    if (!r)
        r = copy_folder.replace(f->copy, FAR_HEAD, bytes);
    if (r)
        return r;
    far_unstage(f, 0);
    f->head = h;
    f->at = h.head;
    f->file = file;
    f->off = off;
    f->used += added;
    return 0;
}

/* ---- at the start ---- */

static int read_own(void *arg, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    return copy_folder.read(((struct far *)arg)->copy, name, off, to, n, ret_got);
}

/* Finds where the head's record ends.  What stands behind it was cut off while it was added, and is sent again; so is
 * what follows a place that rotted. */
int far_journal_open(struct far *f, char ret_why[COPY_WHY])
{
    uint8_t bytes[JOURNAL_SIGNED_HEAD_BYTES];
    struct journal_signed_head h;
    struct journal_record rec;
    struct chain c;
    size_t got = 0;
    int r = copy_folder.read(f->copy, FAR_HEAD, 0, bytes, sizeof bytes, &got);
    if (r == -SM_ENOTFOUND)
        return 0;
    if (!r)
        r = journal_head_get(SM_SPAN(bytes, got), &h);
    if (!r)
        r = memcmp(h.vault, f->vault.b, 16) != 0 ? -SM_EMISMATCH : journal_head_verify(&h, f->head_pub);
    if (!r)
        r = chain_init(&c, read_own, f, &f->vault);
    if (r)
        return refuse(ret_why, r, "the last head of the copy cannot be read");
    int k = 1;
    while (k == 1 && c.head.seq < h.head.seq)
        k = chain_next(&c, &rec);
    if (k == -ENOMEM)
        r = k;
    f->head = h;
    f->at = c.head;
    f->file = c.file;
    f->off = c.off;
    f->used += (c.file ? c.file - 1 : 0) * JOURNAL_FILE_BYTES + c.off;
    chain_wipe(&c);
    return r;
}
