#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/scrub/scrub.h"
#include "vault/store/store_internal.h"

#define FORMAT_BYTES 50u
#define PIECE ((size_t)64 << 10)
#define SWEEP_MAX 4096u

/* ---- folders ---- */

/* spare/NAME below the vault; made when absent (make).  A descriptor, -ENOENT. */
static int spare_dir(int vault, const char *name, bool make)
{
    for (unsigned i = 0; i < 2; i++) {
        const char *path = i == 0 ? "spare" : name;
        int r = make ? plat_fs_mkdir(vault, path, 0700) : -EEXIST;
        if (r == 0)
            r = plat_fs_sync_dir(vault);
        if (r < 0 && r != -EEXIST)
            return r;
    }
    return plat_fs_open_dir(vault, name);
}

static void journal_name(uint32_t number, char ret[32])
{
    (void)snprintf(ret, 32, "%08u.skj", number); /* fits */
}

static void close_some(int fd)
{
    if (fd >= 0)
        (void)close(fd); /* synced, or only read */
}

/* Whole small file, or empty.  -ENOMEM only. */
static int read_small(int dir, const char *name, size_t max, struct sm_buf *ret)
{
    int r = dir < 0 ? -ENOENT : plat_fs_read_file(dir, name, max, ret);
    return r == -ENOMEM ? r : 0;
}

/* ---- the journal's second copy ---- */

static int follow_format(const struct store *st)
{
    struct sm_buf first = SM_BUF_INIT(4096), second = SM_BUF_INIT(4096);
    int dir = plat_fs_open_dir(st->dir, "spare");
    int r = read_small(st->dir, "format", 1024, &first);
    if (r == 0)
        r = read_small(dir, "format", 1024, &second);
    /* This vault was opened by it, so the first is sound. */
    if (r == 0 && first.n == FORMAT_BYTES && !sm_span_eq(sm_buf_span(&first), sm_buf_span(&second)) && dir >= 0)
        r = plat_replace(dir, "format", sm_buf_span(&first), 0600);
    close_some(dir);
    sm_buf_wipe(&first);
    sm_buf_wipe(&second);
    return r;
}

/* Bytes [*at, end) of one file to the other, at most n.  1 = more. */
static int copy_bytes(int from, int to, uint64_t *at, uint64_t end, size_t n)
{
    uint8_t b[PIECE];
    int r = 0;
    for (size_t did = 0; r == 0 && *at < end && did < n; ) {
        size_t len = end - *at < sizeof b ? (size_t)(end - *at) : sizeof b;
        r = plat_fs_pread_all(from, b, len, *at);
        if (r == 0)
            r = plat_fs_pwrite_all(to, SM_SPAN(b, len), *at);
        *at += r == 0 ? len : 0;
        did += len;
    }
    return r < 0 ? r : *at < end;
}

static int follow_file(const struct store *st, int dir, uint32_t number, size_t n)
{
    char name[32];
    uint64_t have = 0, end = 0;
    journal_name(number, name);
    int from = plat_fs_open_read(st->journal_dir, name);
    int to = from < 0 ? from : plat_fs_create(dir, name, PLAT_FS_RW, 0600);
    int r = to < 0 ? to : plat_fs_size(from, &end);
    if (r == 0)
        r = plat_fs_size(to, &have);
    int more = 0;
    if (r == 0 && have < end) {
        r = more = copy_bytes(from, to, &have, end, n);
        if (r >= 0)
            r = plat_fs_datasync(to);
    } else if (r == 0 && have > end) {
        r = plat_fs_truncate(to, end);     /* an incomplete end that was cut off the first */
    }
    close_some(from);
    close_some(to);
    return r < 0 ? r : more;
}

int spare_journal_follow(const struct store *st, size_t n)
{
    if (!st->journal)
        return -SM_ESTATE;
    int dir = spare_dir(st->dir, "spare/journal", true);
    int r = dir < 0 ? dir : follow_format(st);
    for (uint32_t i = 1; r == 0 && i < JOURNAL_FILES_MAX; i++) {
        r = follow_file(st, dir, i, n);
        if (r == -ENOENT) {
            r = 0;
            break;
        }
    }
    close_some(dir);
    return r;
}

/* The same bytes in both from off on, as far as n and the shorter go?  1 yes, 0 no. */
static int same_bytes(int a, int b, uint64_t *off, uint64_t end, size_t n)
{
    static _Thread_local uint8_t x[PIECE], y[PIECE];
    for (size_t did = 0; *off < end && did < n; ) {
        size_t len = end - *off < PIECE ? (size_t)(end - *off) : PIECE;
        int r = plat_fs_pread_all(a, x, len, *off);
        if (r < 0)
            return r;
        if (plat_fs_pread_all(b, y, len, *off) < 0 || memcmp(x, y, len) != 0)
            return 0;
        *off += len;
        did += len;
    }
    return 1;
}

int spare_journal_compare(const struct store *st, struct spare_compare *c, bool write, size_t n)
{
    char name[32];
    uint64_t first = 0, second = 0;
    if (!c->file)
        c->file = 1;
    if (!st->journal)
        return 0;
    journal_name(c->file, name);
    int a = plat_fs_open_read(st->journal_dir, name);
    if (a == -ENOENT)
        return 0;
    int dir = spare_dir(st->dir, "spare/journal", false), b = dir < 0 ? dir : plat_fs_open_read(dir, name);
    int r = a < 0 ? a : plat_fs_size(a, &first);
    if (r == 0 && b >= 0)
        r = plat_fs_size(b, &second);
    uint64_t end = first < second ? first : second;
    int same = r < 0 ? r : b < 0 ? 1 : same_bytes(a, b, &c->off, end, n);
    if (same == 0) {
        r = write ? plat_fs_unlink(dir, name) : 0; /* followed anew from its begin */
        c->mended++;
    } else if (same < 0) {
        r = same;
    }
    close_some(a);
    close_some(b);
    close_some(dir);
    if (r < 0 || (same == 1 && c->off < end))
        return r < 0 ? r : 1;
    c->files++;
    c->file++;
    c->off = 0;
    return 1;
}

/* ---- manifests ---- */

static bool is_manifest(const struct sm_buf *b, const struct cid *id)
{
    struct cid is;
    manifest_id(sm_buf_span(b), &is);
    return b->n && cid_eq(&is, id);
}

int spare_manifest(const struct store *st, uint32_t generation, bool write, enum spare_verdict *ret)
{
    const struct cid *id = &store_generation_row(st, generation)->manifest;
    char hex[CID_HEX], name[80];
    cid_hex(id, hex);
    (void)snprintf(name, sizeof name, "%s.skm", hex); /* fits */
    struct sm_buf first = SM_BUF_INIT(MANIFEST_MAX + 4096), second = SM_BUF_INIT(MANIFEST_MAX + 4096);
    int dir = spare_dir(st->dir, "spare/manifests", write);
    int r = dir < 0 && dir != -ENOENT ? dir : read_small(st->manifests, name, MANIFEST_MAX, &first);
    if (r == 0)
        r = read_small(dir, name, MANIFEST_MAX, &second);
    bool a = is_manifest(&first, id), b = is_manifest(&second, id);
    enum spare_verdict v = a && b ? SPARE_SOUND : a ? SPARE_WRITTEN : b ? SPARE_HEALED : SPARE_LOST;
    if (r == 0 && a && !b && write)
        r = plat_replace(dir, name, sm_buf_span(&first), 0600);
    if (r == 0 && b && !a && write)
        r = plat_replace(st->manifests, name, sm_buf_span(&second), 0600);
    close_some(dir);
    sm_buf_wipe(&first);
    sm_buf_wipe(&second);
    if (r == 0)
        *ret = v;
    return r;
}

struct sweep { const struct store *st; struct cid gone[SWEEP_MAX]; size_t n; };

static int sweep_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    struct sweep *s = arg;
    struct cid id;
    const char *text = (const char *)name.p;
    if (name.n != 68 || strcmp(text + 64, ".skm") != 0 || sm_unhex(text, 64, id.b, 32) || s->n == SWEEP_MAX)
        return 0;
    uint32_t at = store_find_generation(s->st, &id);
    if (at != STORE_NONE && !store_generation_row(s->st, at)->gone)
        return 0;
    s->gone[s->n++] = id;
    return 0;
}

int spare_sweep(const struct store *st)
{
    int dir = spare_dir(st->dir, "spare/manifests", false);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    struct sweep *s = calloc(1, sizeof *s);
    if (!s) {
        close_some(dir);
        return -ENOMEM;
    }
    s->st = st;
    int r = plat_fs_list(dir, sweep_one, s);
    for (size_t i = 0; r == 0 && i < s->n; i++) {
        char hex[CID_HEX], name[80];
        cid_hex(&s->gone[i], hex);
        (void)snprintf(name, sizeof name, "%s.skm", hex); /* fits */
        r = plat_fs_unlink(dir, name);
    }
    free(s);
    close_some(dir);
    return r;
}

/* ---- a vault that does not open ---- */

/* Both copies of one journal file, read into memory (at most 64 MiB each, a little more for the last record). */
#define FILE_MAX (JOURNAL_FILE_BYTES + ((uint64_t)2 << 20))
struct two { struct sm_buf a, b; };

static int write_healed(int dir, const char *name, const struct sm_buf *b)
{
    return plat_replace(dir, name, sm_buf_span(b), 0600);
}

static bool header_fits(struct sm_span in, const uint8_t vault[16], const struct journal_head *before)
{
    struct journal_file_header h;
    return journal_parse_header(in, &h) == 0 && memcmp(h.vault, vault, 16) == 0 &&
        h.first_seq == before->seq + 1 && memcmp(h.before, before->hash, 32) == 0;
}

/*
 * One file: header and records from the first copy where they chain, else from the second.  *head goes along.  What
 * neither has ends it: the rest of the first stays as it is, for the journal's own rules.  *ret_taken: from the second.
 */
static int heal_file(const struct two *t, const uint8_t vault[16], struct journal_head *head, struct sm_buf *ret,
    uint64_t *ret_taken, bool *ret_whole)
{
    bool a = header_fits(sm_buf_span(&t->a), vault, head), b = header_fits(sm_buf_span(&t->b), vault, head);
    size_t at = JOURNAL_HEADER_BYTES;
    *ret_taken = !a && b;
    *ret_whole = false;
    if (!a && !b)
        return sm_buf_put_span(ret, sm_buf_span(&t->a));
    int r = sm_buf_put(ret, a ? t->a.p : t->b.p, JOURNAL_HEADER_BYTES);
    while (r == 0) {
        const struct sm_buf *from[2] = { &t->a, &t->b };
        struct journal_record rec;
        size_t used = 0;
        unsigned k = 0;
        for (; k < 2 && used == 0; k++)
            if (at < from[k]->n && journal_parse(SM_SPAN(from[k]->p + at, from[k]->n - at), head, &rec, &used) < 0)
                used = 0;
        if (used == 0)
            break;
        r = sm_buf_put(ret, from[k - 1]->p + at, used);
        *ret_taken += k == 2;
        head->seq = rec.seq;
        memcpy(head->hash, rec.hash, 32);
        at += used;
    }
    *ret_whole = at >= t->a.n;
    if (r == 0 && at < t->a.n)
        r = sm_buf_put(ret, t->a.p + at, t->a.n - at);
    return r;
}

static int heal_one(int first, int second, uint32_t number, const uint8_t vault[16], struct journal_head *head,
    bool write, struct spare_healed *ret, bool *ret_more)
{
    struct two t = { SM_BUF_INIT(FILE_MAX), SM_BUF_INIT(FILE_MAX) };
    struct sm_buf out = SM_BUF_INIT(FILE_MAX * 2);
    char name[32];
    uint64_t taken = 0;
    bool whole = false;
    journal_name(number, name);
    int r = read_small(first, name, FILE_MAX, &t.a);
    if (r == 0)
        r = read_small(second, name, FILE_MAX, &t.b);
    *ret_more = r == 0 && (t.a.n || t.b.n);
    if (*ret_more)
        r = heal_file(&t, vault, head, &out, &taken, &whole);
    if (r == 0 && taken && write)
        r = write_healed(first, name, &out);
    if (r == 0 && taken) {
        if (!ret->files++)
            (void)snprintf(ret->file, sizeof ret->file, "%s", name); /* fits */
        ret->records += taken;
    }
    *ret_more = *ret_more && whole;
    sm_buf_wipe(&t.a);
    sm_buf_wipe(&t.b);
    sm_buf_wipe(&out);
    return r;
}

static bool format_fits(const struct sm_buf *b, uint8_t ret_vault[16])
{
    /* Of whatever version: a later one is not turned back into an earlier one. */
    static const char head[] = "sakimori vault ";
    const size_t n = sizeof head - 1;
    return b->n == FORMAT_BYTES && memcmp(b->p, head, n) == 0 && b->p[n] >= '1' && b->p[n] <= '9' &&
        b->p[n + 1] == '\n' && b->p[FORMAT_BYTES - 1] == '\n' &&
        sm_unhex((const char *)b->p + n + 2, 32, ret_vault, 16) == 0;
}

/* Which vault this is: by its format file, else by the spare's, if a journal agrees. */
static int heal_format(int vault_dir, int journal, bool write, uint8_t ret_vault[16], struct spare_healed *ret)
{
    struct sm_buf a = SM_BUF_INIT(4096), b = SM_BUF_INIT(4096), j = SM_BUF_INIT(FILE_MAX);
    struct journal_file_header h;
    int dir = plat_fs_open_dir(vault_dir, "spare");
    int r = read_small(vault_dir, "format", 1024, &a);
    if (r == 0)
        r = read_small(dir, "format", 1024, &b);
    bool sound = format_fits(&a, ret_vault);
    if (r == 0 && !sound && format_fits(&b, ret_vault)) {
        r = read_small(journal, "00000001.skj", FILE_MAX, &j);
        bool agrees = journal_parse_header(sm_buf_span(&j), &h) == 0 && memcmp(h.vault, ret_vault, 16) == 0;
        if (r == 0 && agrees && write)
            r = plat_replace(vault_dir, "format", sm_buf_span(&b), 0600);
        ret->format = sound = r == 0 && agrees;
    }
    close_some(dir);
    sm_buf_wipe(&a);
    sm_buf_wipe(&b);
    sm_buf_wipe(&j);
    return r < 0 ? r : sound;
}

int spare_heal(const char *path, bool write, struct spare_healed *ret)
{
    struct spare_healed got = { 0 };
    uint8_t vault[16];
    int dir = plat_fs_open_dir(AT_FDCWD, path);
    if (dir < 0)
        return dir == -ENOENT ? -SM_ENOTFOUND : dir;
    /* Nothing is made, not even the lock, where there is no second copy: it may be the place of a new vault. */
    int first = plat_fs_open_dir(dir, "journal");
    int second = first < 0 ? first : spare_dir(dir, "spare/journal", false);
    int lock = second >= 0 && write ? plat_fs_lock(dir, "lock") : 0;
    int r = second == -ENOENT ? 0 : second < 0 ? second : lock < 0 ? lock :
        heal_format(dir, first, write, vault, &got);
    struct journal_head head = { 0 };
    bool more = r == 1;
    r = r < 0 ? r : 0;
    for (uint32_t i = 1; r == 0 && more && i < JOURNAL_FILES_MAX; i++)
        r = heal_one(first, second, i, vault, &head, write, &got, &more);
    close_some(second);
    close_some(first);
    if (write)
        close_some(lock);
    close_some(dir);
    if (r == 0)
        *ret = got;
    return r;
}
