/* The journal as a chain, read without the store: of a copy, and of an original that another process is writing. */
#include <errno.h>
#include "vault/copy/copy_internal.h"

void chain_file(uint32_t file, char ret[COPY_NAME_MAX])
{
    (void)snprintf(ret, COPY_NAME_MAX, "journal/%08u.skj", file); /* fits */
}

int chain_init(struct chain *c, chain_read_fn read, void *arg, const struct vault_id *vault)
{
    uint8_t *window = malloc(CHAIN_WINDOW);
    if (!window)
        return -ENOMEM;
    *c = (struct chain){ .read = read, .arg = arg, .vault = *vault, .window = window, .why = "" };
    return 0;
}

void chain_wipe(struct chain *c)
{
    free(c->window);
    c->window = NULL;
}

static int bad(struct chain *c, int err, const char *why)
{
    c->why = why;
    return err;
}

/* As much as fits behind what is left; *ret_end when the file has no more. */
static int fill(struct chain *c, bool *ret_end)
{
    char name[COPY_NAME_MAX];
    size_t got = 0;
    memmove(c->window, c->window + c->at, c->n - c->at);
    c->n -= c->at;
    c->at = 0;
    chain_file(c->file, name);
    int r = c->read(c->arg, name, c->off + c->n, c->window + c->n, CHAIN_WINDOW - c->n, &got);
    if (r < 0)
        return r;
    *ret_end = got < CHAIN_WINDOW - c->n;
    c->n += got;
    return 0;
}

/* 1: the next file is open; 0: there is none. */
static int next_file(struct chain *c)
{
    char name[COPY_NAME_MAX];
    uint8_t bytes[JOURNAL_HEADER_BYTES];
    struct journal_file_header h;
    size_t got = 0;
    if (c->file >= JOURNAL_FILES_MAX)
        return bad(c, -SM_ELIMIT, "too many files");
    chain_file(c->file + 1, name);
    int r = c->read(c->arg, name, 0, bytes, sizeof bytes, &got);
    if (r == -SM_ENOTFOUND)
        return 0;
    if (r < 0)
        return r;
    r = journal_parse_header(SM_SPAN(bytes, got), &h);
    if (r < 0)
        return bad(c, r, "the beginning of a file is incomplete or damaged");
    if (memcmp(h.vault, c->vault.b, 16) != 0)
        return bad(c, -SM_EMISMATCH, "the journal of another vault");
    if (h.first_seq != c->head.seq + 1 || memcmp(h.before, c->head.hash, 32) != 0)
        return bad(c, -SM_ECORRUPT, "a file does not follow the one before");
    c->file++;
    c->off = JOURNAL_HEADER_BYTES;
    c->at = c->n = 0;
    return 1;
}

int chain_next(struct chain *c, struct journal_record *ret)
{
    bool end = false;
    size_t used = 0;
    for (;;) {
        int r = c->file ? journal_parse(SM_SPAN(c->window + c->at, c->n - c->at), &c->head, ret, &used) : -SM_EPARTIAL;
        if (r == 0) {
            c->at += used;
            c->off += used;
            c->head.seq = ret->seq;
            memcpy(c->head.hash, ret->hash, 32);
            return 1;
        }
        if (r != -SM_EPARTIAL)
            return bad(c, r, "a record is damaged");
        if (c->file && !end) {
            /* off is where the next record begins, and at is where that stands in the window. */
            r = fill(c, &end);
            if (r < 0)
                return r;
            if (c->n)
                continue;
        }
        if (c->n > c->at)
            return bad(c, -SM_EPARTIAL, "the last record is incomplete");
        r = next_file(c);
        if (r <= 0)
            return r;
        end = false;
    }
}
