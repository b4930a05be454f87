#include "vault/store/journal.h"
#include <errno.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "plat/fs.h"

#define LABEL "sakimori/v1/journal"
#define FIXED 36                     /* of a record before the payload */
#define POINT_EVERY 256u             /* records between remembered places */
#define SCAN_SEQ_MAX 1000000u        /* a record behind a damaged one is at most so many further */
#define READ_BYTES (JOURNAL_RECORD_MAX * 4)

struct file { uint64_t first_seq, bytes; };      /* bytes on disk, header included */
struct point { uint64_t seq; uint8_t before[32]; uint32_t file; uint64_t offset; };  /* where record seq begins */

struct journal {
    int dirfd, fd;                   /* fd: the last file, -1 when read-only */
    uint8_t vault[16];
    uint64_t file_bytes;
    struct file *files; size_t files_n, files_cap;
    struct point *points; size_t points_n, points_cap;
    struct journal_head head, durable;
    uint64_t unsynced;
    bool broken, read_only;
};

/* ---- records ---- */

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
static uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

static void chain(const uint8_t previous[32], struct sm_span record, uint8_t ret[32])
{
    struct sm_span parts[] = { SM_SPAN(LABEL, sizeof LABEL - 1), SM_SPAN(previous, 32), record };
    crypto_sha256v(parts, 3, ret);
}

int journal_parse(struct sm_span in, const struct journal_head *previous, struct journal_record *ret, size_t *ret_used)
{
    if (in.n < 4)
        return -SM_EPARTIAL;
    uint64_t n = (uint64_t)get32(in.p) + 4;
    if (n < JOURNAL_OVERHEAD || n > JOURNAL_RECORD_MAX)
        return -SM_EFORMAT;
    if (in.n < n)
        return -SM_EPARTIAL;
    struct journal_record r = {
        .seq = get64(in.p + 4), .time = { .s = (int64_t)get64(in.p + 12), .ns = get32(in.p + 20) },
        .running_ms = get64(in.p + 24), .type = get16(in.p + 32), .version = get16(in.p + 34),
        .payload = SM_SPAN(in.p + FIXED, n - JOURNAL_OVERHEAD),
    };
    chain(previous->hash, SM_SPAN(in.p, n - 32), r.hash);
    if (r.seq != previous->seq + 1 || memcmp(r.hash, in.p + n - 32, 32) != 0)
        return -SM_ECORRUPT;
    if (r.time.ns > 999999999)
        return -SM_EFORMAT;
    *ret = r;
    *ret_used = (size_t)n;
    return 0;
}

int journal_parse_header(struct sm_span in, struct journal_file_header *ret)
{
    if (in.n < JOURNAL_HEADER_BYTES)
        return -SM_EPARTIAL;
    if (memcmp(in.p, "SKJ1", 4) != 0 || in.p[5] || in.p[6] || in.p[7])
        return -SM_EFORMAT;
    if (in.p[4] != 1)
        return -SM_EVERSION;
    memcpy(ret->vault, in.p + 8, 16);
    ret->first_seq = get64(in.p + 24);
    memcpy(ret->before, in.p + 32, 32);
    return 0;
}

static int put_header(struct sm_buf *b, const uint8_t vault[16], uint64_t first_seq, const uint8_t before[32])
{
    int err = sm_buf_put(b, "SKJ1\1\0\0\0", 8);
    if (!err)
        err = sm_buf_put(b, vault, 16);
    if (!err)
        err = sm_buf_put_u64(b, first_seq);
    if (!err)
        err = sm_buf_put(b, before, 32);
    return err;
}

static void file_name(size_t i, char ret[32])
{
    (void)snprintf(ret, 32, "%08zu.skj", i + 1); /* fits: <= JOURNAL_FILES_MAX */
}

static void set_fault(struct journal_fault *f, size_t file, uint64_t offset, uint64_t seq, const char *why)
{
    if (!f)
        return;
    file_name(file, f->file);
    f->offset = offset;
    f->seq = seq;
    (void)snprintf(f->why, sizeof f->why, "%s", why); /* cut short is fine */
}

/* ---- bookkeeping ---- */

static int add_file(struct journal *j, uint64_t first_seq, uint64_t bytes)
{
    if (j->files_n == j->files_cap) {
        size_t cap = j->files_cap ? j->files_cap * 2 : 16;
        struct file *p = cap > JOURNAL_FILES_MAX ? NULL : realloc(j->files, cap * sizeof *p);
        if (!p)
            return -ENOMEM;
        j->files = p;
        j->files_cap = cap;
    }
    j->files[j->files_n++] = (struct file){ first_seq, bytes };
    return 0;
}

/* Remember where record seq begins: at the start of each file and every POINT_EVERY records. */
static int add_point(struct journal *j, uint64_t seq, const uint8_t before[32], size_t file, uint64_t offset)
{
    if (offset != JOURNAL_HEADER_BYTES && j->points_n && seq - j->points[j->points_n - 1].seq < POINT_EVERY)
        return 0;
    if (j->points_n && j->points[j->points_n - 1].seq == seq)
        return 0;
    if (j->points_n == j->points_cap) {
        size_t cap = j->points_cap ? j->points_cap * 2 : 64;
        struct point *p = realloc(j->points, cap * sizeof *p);
        if (!p)
            return -ENOMEM;
        j->points = p;
        j->points_cap = cap;
    }
    struct point *p = &j->points[j->points_n++];
    *p = (struct point){ .seq = seq, .file = (uint32_t)file, .offset = offset };
    memcpy(p->before, before, 32);
    return 0;
}

/* ---- reading ---- */

/* A window over one file. */
struct window { int fd; uint8_t *buf; size_t n, at; uint64_t offset, size; };   /* offset: of buf[at] in the file */

static int window_open(int dirfd, size_t file, uint64_t offset, uint64_t size, struct window *ret)
{
    char name[32];
    file_name(file, name);
    struct window w = { .fd = plat_fs_open_read(dirfd, name), .offset = offset, .size = size };
    if (w.fd < 0)
        return w.fd;
    w.buf = malloc(READ_BYTES);
    if (!w.buf) {
        (void)close(w.fd);
        return -ENOMEM;
    }
    *ret = w;
    return 0;
}

static void window_close(struct window *w)
{
    free(w->buf);
    if (w->fd >= 0)
        (void)close(w->fd); /* opened for reading */
    *w = (struct window){ .fd = -1 };
}

/* At least want bytes from the present offset if the file has them. */
static int window_fill(struct window *w, size_t want)
{
    if (w->n - w->at >= want || w->offset + (w->n - w->at) >= w->size)
        return 0;
    memmove(w->buf, w->buf + w->at, w->n - w->at);
    w->n -= w->at;
    w->at = 0;
    uint64_t left = w->size - (w->offset + w->n);
    size_t more = left < READ_BYTES - w->n ? (size_t)left : READ_BYTES - w->n;
    int err = plat_fs_pread_all(w->fd, w->buf + w->n, more, w->offset + w->n);
    if (!err)
        w->n += more;
    return err;
}

static void window_skip(struct window *w, size_t n)
{
    w->at += n;
    w->offset += n;
}

static struct sm_span window_span(const struct window *w)
{
    return SM_SPAN(w->buf + w->at, w->n - w->at);
}

/* The next record.  1, 0 at the end of the file, or the error of journal_parse. */
static int window_next(struct window *w, const struct journal_head *previous, struct journal_record *ret,
    size_t *ret_used)
{
    if (w->offset >= w->size)
        return 0;
    int err = window_fill(w, JOURNAL_RECORD_MAX);
    if (!err)
        err = journal_parse(window_span(w), previous, ret, ret_used);
    return err ? err : 1;
}

/* ---- opening ---- */

int journal_create(int dirfd, const uint8_t vault[16])
{
    static const uint8_t zero[32];
    char name[32];
    file_name(0, name);
    struct sm_buf b = SM_BUF_INIT(JOURNAL_HEADER_BYTES);
    int err = put_header(&b, vault, 1, zero);
    int fd = err ? err : plat_fs_create(dirfd, name, PLAT_FS_EXCL, 0600);
    if (fd < 0) {
        sm_buf_wipe(&b);
        return fd == -EEXIST ? -SM_EEXISTS : fd;
    }
    err = plat_fs_write_all(fd, sm_buf_span(&b));
    if (!err)
        err = plat_fs_sync(fd);
    (void)close(fd); /* synced, or the error is told */
    sm_buf_wipe(&b);
    if (!err)
        err = plat_fs_sync_dir(dirfd);
    return err;
}

/* Is there, behind the first bad byte, a whole record that is chained to the 32 bytes before it? */
static int follows(struct window *w, uint64_t bad_seq, bool *ret)
{
    *ret = false;
    size_t n = (size_t)(w->size - w->offset);        /* <= JOURNAL_GROUP_MAX + a record, the caller saw to it */
    uint8_t *all = malloc(n ? n : 1);
    if (!all)
        return -ENOMEM;
    int err = plat_fs_pread_all(w->fd, all, n, w->offset);
    for (size_t i = 33; !err && !*ret && i + JOURNAL_OVERHEAD <= n; i++) {
        uint64_t seq = get64(all + i + 4);
        if (seq < bad_seq || seq - bad_seq > SCAN_SEQ_MAX)
            continue;
        struct journal_head before = { .seq = seq - 1 };
        memcpy(before.hash, all + i - 32, 32);
        struct journal_record r;
        size_t used;
        *ret = journal_parse(SM_SPAN(all + i, n - i), &before, &r, &used) == 0;
    }
    free(all);
    return err;
}

/* The last file does not go on at w: an incomplete last write, or damage?  0 = incomplete. */
static int judge_tail(struct journal *j, const struct journal_open_args *a, struct window *w, const char **ret_why)
{
    if (a->acked && a->acked->seq > j->head.seq) {
        *ret_why = "the record does not fit the chain, and a later head was signed";
        return -SM_ECORRUPT;
    }
    if (w->size - w->offset > JOURNAL_GROUP_MAX + JOURNAL_RECORD_MAX) {
        *ret_why = "the record does not fit the chain, and too much follows for an incomplete last write";
        return -SM_ECORRUPT;
    }
    bool more = false;
    int err = a->acked ? 0 : follows(w, j->head.seq + 1, &more);
    if (err)
        return err;
    *ret_why = "the record does not fit the chain, and whole records follow it";
    return more ? -SM_ECORRUPT : 0;
}

static const char *parse_why(int err)
{
    if (err == -SM_EPARTIAL)
        return "the file ends inside a record";
    return err == -SM_EFORMAT ? "not a record" : "the hash or the number of the record does not fit the chain";
}

static int check_acked(const struct journal_open_args *a, const struct journal_head *h)
{
    return a->acked && a->acked->seq == h->seq && memcmp(a->acked->hash, h->hash, 32) != 0 ? -SM_ECORRUPT : 0;
}

/* All records of one file.  last: an incomplete end is told in ret_cut, else damage. */
static int read_file(struct journal *j, const struct journal_open_args *a, size_t file, bool last, struct window *w,
    struct journal_cut *ret_cut, struct journal_fault *f)
{
    for (;;) {
        struct journal_record r;
        size_t used = 0;
        int got = window_next(w, &j->head, &r, &used);
        if (got == 0)
            return 0;
        if (got != 1 && got != -SM_EPARTIAL && got != -SM_EFORMAT && got != -SM_ECORRUPT)
            return got;
        if (got != 1) {
            const char *why = parse_why(got);
            int err = last ? judge_tail(j, a, w, &why) : -SM_ECORRUPT;
            if (err) {
                set_fault(f, file, w->offset, j->head.seq + 1, why);
                return err;
            }
            *ret_cut = (struct journal_cut){ .happened = true, .bytes = w->size - w->offset };
            file_name(file, ret_cut->file);
            (void)snprintf(ret_cut->why, sizeof ret_cut->why, "%s", parse_why(got)); /* fits */
            return 0;
        }
        int err = add_point(j, r.seq, j->head.hash, file, w->offset);
        if (!err && a->fn)
            err = a->fn(a->arg, &r);
        if (err)
            return err;
        j->head.seq = r.seq;
        memcpy(j->head.hash, r.hash, 32);
        if (check_acked(a, &j->head)) {
            set_fault(f, file, w->offset, r.seq, "another record stands here than the one whose head was signed");
            return -SM_ECORRUPT;
        }
        window_skip(w, used);
    }
}

/* The header of file i.  1 = sound, 0 = the incomplete header of a last file (cut), or an error. */
static int read_header(struct journal *j, size_t file, bool last, struct window *w, struct journal_cut *ret_cut,
    struct journal_fault *f)
{
    int err = window_fill(w, JOURNAL_HEADER_BYTES);
    if (err)
        return err;
    struct journal_file_header h;
    err = journal_parse_header(window_span(w), &h);
    static const uint8_t zero[JOURNAL_HEADER_BYTES];
    struct sm_span all = window_span(w);
    bool blank = w->size <= JOURNAL_HEADER_BYTES && memcmp(all.p, zero, all.n) == 0;
    if (last && file > 0 && (err == -SM_EPARTIAL || blank)) {
        *ret_cut = (struct journal_cut){ .happened = true, .bytes = w->size };
        file_name(file, ret_cut->file);
        (void)snprintf(ret_cut->why, sizeof ret_cut->why, "a new file without its whole header"); /* fits */
        return 0;
    }
    if (err == -SM_EVERSION)
        return err;
    if (!err && memcmp(h.vault, j->vault, 16) != 0) {
        set_fault(f, file, 8, j->head.seq + 1, "the file belongs to another vault");
        return -SM_EMISMATCH;
    }
    if (err || h.first_seq != j->head.seq + 1 || memcmp(h.before, j->head.hash, 32) != 0) {
        set_fault(f, file, 0, j->head.seq + 1, "the header of the file does not fit the chain");
        return -SM_ECORRUPT;
    }
    window_skip(w, JOURNAL_HEADER_BYTES);
    return 1;
}

struct listing { uint32_t most; size_t n; };

static int list_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    struct listing *l = arg;
    uint32_t v = 0;
    if (name.n != 12 || memcmp(name.p + 8, ".skj", 4) != 0)
        return 0;
    for (size_t i = 0; i < 8; i++) {
        if (name.p[i] < '0' || name.p[i] > '9')
            return 0;
        v = v * 10 + (uint32_t)(name.p[i] - '0');
    }
    l->n++;
    if (v > l->most)
        l->most = v;
    return 0;
}

static int count_files(int dirfd, struct listing *ret)
{
    int fd = plat_fs_open_dir(dirfd, ".");
    if (fd < 0)
        return fd;
    int err = plat_fs_list(fd, list_one, ret);
    (void)close(fd); /* opened for reading */
    return err;
}

static int read_one(struct journal *j, const struct journal_open_args *a, size_t i, bool last,
    struct journal_cut *ret_cut,
    struct journal_fault *f)
{
    char name[32];
    file_name(i, name);
    int fd = plat_fs_open_read(a->dirfd, name);
    if (fd == -ENOENT) {
        set_fault(f, i, 0, j->head.seq + 1, "the file is missing");
        return -SM_ECORRUPT;
    }
    if (fd < 0)
        return fd;
    uint64_t size = 0;
    int err = plat_fs_size(fd, &size);
    (void)close(fd); /* opened for reading */
    struct window w = { .fd = -1 };
    if (!err)
        err = window_open(a->dirfd, i, 0, size, &w);
    if (!err)
        err = read_header(j, i, last, &w, ret_cut, f);
    if (err == 1) {
        err = add_file(j, j->head.seq + 1, size);
        if (!err)
            err = read_file(j, a, i, last, &w, ret_cut, f);
        if (!err)
            j->files[i].bytes = w.offset;
    }
    window_close(&w);
    return err;
}

/* Make what was read the truth on disk: cut the end off, open for appending. */
static int open_write(struct journal *j, const struct journal_cut *cut)
{
    char name[32];
    file_name(j->files_n - 1, name);
    if (cut->happened && strcmp(cut->file, name) != 0) {
        int err = plat_fs_unlink(j->dirfd, cut->file); /* holds no record, not even a header */
        if (!err)
            err = plat_fs_sync_dir(j->dirfd);
        if (err)
            return err;
    }
    j->fd = plat_fs_create(j->dirfd, name, PLAT_FS_EXISTING, 0600);
    if (j->fd < 0)
        return j->fd;
    uint64_t keep = j->files[j->files_n - 1].bytes;
    int err = cut->happened && strcmp(cut->file, name) == 0 ? plat_fs_truncate(j->fd, keep) : 0;
    /* What was read may so far stand in the page cache only (a process died before its sync). */
    if (!err)
        err = plat_fs_sync(j->fd);
    return err;
}

int journal_open(const struct journal_open_args *a, struct journal **ret, struct journal_cut *ret_cut,
    struct journal_fault *ret_fault)
{
    struct listing l = { 0 };
    int err = count_files(a->dirfd, &l);
    if (err)
        return err;
    if (!l.n)
        return -SM_ENOTFOUND;
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    *j = (struct journal){ .dirfd = a->dirfd, .fd = -1, .file_bytes = a->file_bytes ? a->file_bytes :
        JOURNAL_FILE_BYTES,
        .read_only = (a->flags & JOURNAL_READ_ONLY) != 0 };
    memcpy(j->vault, a->vault, 16);
    struct journal_cut cut = { 0 };
    for (size_t i = 0; !err && i < l.most; i++)
        err = read_one(j, a, i, i + 1 == l.most, &cut, ret_fault);
    if (!err && a->acked && a->acked->seq > j->head.seq) {
        set_fault(ret_fault, l.most - 1, j->files[j->files_n - 1].bytes, j->head.seq + 1,
            "the journal ends before a head that was signed");
        err = -SM_ECORRUPT;
    }
    if (!err && !j->read_only)
        err = open_write(j, &cut);
    if (err) {
        journal_close(j);
        return err;
    }
    j->durable = j->head;
    *ret_cut = cut;
    *ret = j;
    return 0;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        (void)close(j->fd); /* what matters was synced */
    free(j->files);
    free(j->points);
    free(j);
}

/* ---- appending ---- */

static int rotate(struct journal *j)
{
    int err = journal_sync(j);
    if (err)
        return err;
    if (j->files_n >= JOURNAL_FILES_MAX)
        return -SM_ELIMIT;
    char name[32];
    file_name(j->files_n, name);
    struct sm_buf b = SM_BUF_INIT(JOURNAL_HEADER_BYTES);
    err = put_header(&b, j->vault, j->head.seq + 1, j->head.hash);
    int fd = err ? err : plat_fs_create(j->dirfd, name, PLAT_FS_EXCL, 0600);
    err = fd < 0 ? fd : plat_fs_write_all(fd, sm_buf_span(&b));
    if (!err)
        err = plat_fs_sync(fd);
    if (!err)
        err = plat_fs_sync_dir(j->dirfd);
    if (!err)
        err = add_file(j, j->head.seq + 1, JOURNAL_HEADER_BYTES);
    sm_buf_wipe(&b);
    if (err) {
        if (fd >= 0)
            (void)close(fd); /* the error is told */
        return err;
    }
    (void)close(j->fd); /* synced */
    j->fd = fd;
    return 0;
}

static int build(const struct journal *j, enum journal_type type, struct sm_time time, uint64_t running_ms,
    struct sm_span payload,
    struct sm_buf *b, struct journal_head *ret)
{
    int err = sm_buf_put_u32(b, (uint32_t)(payload.n + JOURNAL_OVERHEAD - 4));
    if (!err)
        err = sm_buf_put_u64(b, j->head.seq + 1);
    if (!err)
        err = sm_buf_put_u64(b, (uint64_t)time.s);
    if (!err)
        err = sm_buf_put_u32(b, time.ns);
    if (!err)
        err = sm_buf_put_u64(b, running_ms);
    if (!err)
        err = sm_buf_put_u16(b, (uint16_t)type);
    if (!err)
        err = sm_buf_put_u16(b, 1);
    if (!err)
        err = sm_buf_put_span(b, payload);
    if (err)
        return err;
    ret->seq = j->head.seq + 1;
    chain(j->head.hash, sm_buf_span(b), ret->hash);
    return sm_buf_put(b, ret->hash, 32);
}

int journal_append(struct journal *j, enum journal_type type, struct sm_time time, uint64_t running_ms,
    struct sm_span payload,
    struct journal_head *ret_head)
{
    if (j->broken || j->read_only)
        return -SM_ESTATE;
    if (payload.n > JOURNAL_PAYLOAD_MAX || time.ns > 999999999)
        return -SM_ELIMIT;
    struct sm_buf b = SM_BUF_INIT(JOURNAL_RECORD_MAX);
    struct journal_head next;
    int err = build(j, type, time, running_ms, payload, &b, &next);
    if (err) {
        sm_buf_wipe(&b);
        return err; /* nothing was written */
    }
    struct file *f = &j->files[j->files_n - 1];
    if (f->bytes > JOURNAL_HEADER_BYTES && f->bytes + b.n > j->file_bytes)
        err = rotate(j);
    else if (j->unsynced + b.n > JOURNAL_GROUP_MAX)
        err = journal_sync(j);
    size_t last = j->files_n - 1;
    if (!err)
        err = add_point(j, next.seq, j->head.hash, last, j->files[last].bytes);
    if (!err)
        err = plat_fs_pwrite_all(j->fd, sm_buf_span(&b), j->files[last].bytes);
    if (err) {
        j->broken = true;
        sm_buf_wipe(&b);
        return err;
    }
    j->files[last].bytes += b.n;
    j->unsynced += b.n;
    j->head = next;
    sm_buf_wipe(&b);
    if (ret_head)
        *ret_head = next;
    return 0;
}

int journal_sync(struct journal *j)
{
    if (j->broken || j->read_only)
        return -SM_ESTATE;
    if (!j->unsynced)
        return 0;
    int err = plat_fs_datasync(j->fd);
    if (err) {
        j->broken = true;
        return err;
    }
    j->unsynced = 0;
    j->durable = j->head;
    return 0;
}

struct journal_head journal_head(const struct journal *j) { return j->head; }
struct journal_head journal_durable(const struct journal *j) { return j->durable; }
bool journal_is_broken(const struct journal *j) { return j->broken; }

/* ---- queries ---- */

/* The last remembered place at or before seq (1 <= seq <= head). */
static const struct point *point_before(const struct journal *j, uint64_t seq)
{
    size_t lo = 0, hi = j->points_n;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (j->points[mid].seq <= seq)
            lo = mid;
        else
            hi = mid;
    }
    return &j->points[lo];
}

/* Raw form of journal_each: fn also gets the record's bytes. */
typedef int (*raw_fn)(void *arg, const struct journal_record *r, struct sm_span raw);

static int each_in_file(const struct journal *j, size_t file, struct journal_head *at, uint64_t offset, uint64_t from,
    uint64_t to, raw_fn fn, void *arg, struct journal_fault *f)
{
    struct window w = { .fd = -1 };
    int err = window_open(j->dirfd, file, offset, j->files[file].bytes, &w);
    while (!err && at->seq < to) {
        struct journal_record r;
        size_t used = 0;
        int got = window_next(&w, at, &r, &used);
        if (got == 0)
            break;
        if (got != 1) {
            set_fault(f, file, w.offset, at->seq + 1, parse_why(got));
            err = got == -SM_EPARTIAL || got == -SM_EFORMAT ? -SM_ECORRUPT : got;
            break;
        }
        if (r.seq >= from)
            err = fn(arg, &r, SM_SPAN(w.buf + w.at, used));
        at->seq = r.seq;
        memcpy(at->hash, r.hash, 32);
        window_skip(&w, used);
    }
    window_close(&w);
    return err;
}

/* Records from..to (both included). */
static int each_raw(const struct journal *j, uint64_t from, uint64_t to, raw_fn fn, void *arg, struct journal_fault *f)
{
    if (to > j->head.seq)
        to = j->head.seq;
    if (from < 1 || from > to)
        return 0;
    const struct point *p = point_before(j, from);
    struct journal_head at = { .seq = p->seq - 1 };
    memcpy(at.hash, p->before, 32);
    uint64_t offset = p->offset;
    for (size_t file = p->file; file < j->files_n && at.seq < to; file++, offset = JOURNAL_HEADER_BYTES) {
        int err = each_in_file(j, file, &at, offset, from, to, fn, arg, f);
        if (err)
            return err;
    }
    if (at.seq >= to)
        return 0;
    set_fault(f, j->files_n - 1, j->files[j->files_n - 1].bytes, at.seq + 1, "the file ends too early");
    return -SM_ECORRUPT;
}

struct plain { journal_fn fn; void *arg; };

static int each_plain(void *arg, const struct journal_record *r, struct sm_span raw)
{
    (void)raw;
    struct plain *p = arg;
    return p->fn(p->arg, r);
}

int journal_each(const struct journal *j, uint64_t from, journal_fn fn, void *arg, struct journal_fault *ret_fault)
{
    struct plain p = { fn, arg };
    return each_raw(j, from, j->head.seq, each_plain, &p, ret_fault);
}

/* Newest first: the records between two remembered places are collected, then given backwards. */
struct latest { uint32_t mask; struct sm_buf bytes; struct journal_record r[POINT_EVERY]; size_t start[POINT_EVERY],
    n; };

static int latest_collect(void *arg, const struct journal_record *r, struct sm_span raw)
{
    (void)raw;
    struct latest *l = arg;
    if (l->mask && (r->type > 31 || !(l->mask & 1u << r->type)))
        return 0;
    if (l->n == POINT_EVERY)
        return -SM_ELIMIT;
    int err = 0;
    l->start[l->n] = l->bytes.n;
    err = sm_buf_put_span(&l->bytes, r->payload);
    if (!err)
        l->r[l->n++] = *r;
    return err;
}

int journal_latest(const struct journal *j, uint64_t before, uint32_t types_mask, size_t limit, journal_fn fn,
    void *arg)
{
    uint64_t to = before == 0 || before > j->head.seq ? j->head.seq : before - 1;
    struct latest *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->mask = types_mask;
    l->bytes = SM_BUF_INIT(POINT_EVERY * JOURNAL_RECORD_MAX);
    int err = 0;
    while (!err && to > 0 && limit > 0) {
        uint64_t from = point_before(j, to)->seq;
        l->n = 0;
        sm_buf_clear(&l->bytes);
        err = each_raw(j, from, to, latest_collect, l, NULL);
        for (size_t i = l->n; !err && i > 0 && limit > 0; i--, limit--) {
            l->r[i - 1].payload.p = l->bytes.p + l->start[i - 1];
            err = fn(arg, &l->r[i - 1]);
        }
        to = from - 1;
    }
    sm_buf_wipe(&l->bytes);
    free(l);
    return err;
}

static int keep_hash(void *arg, const struct journal_record *r, struct sm_span raw)
{
    (void)raw;
    memcpy(arg, r->hash, 32);
    return 0;
}

int journal_hash_at(const struct journal *j, uint64_t seq, uint8_t ret_hash[32])
{
    if (seq > j->head.seq)
        return -SM_ENOTFOUND;
    uint8_t hash[32] = { 0 };
    int err = 0;
    if (seq == j->head.seq)
        memcpy(hash, j->head.hash, 32);
    else if (seq > 0)
        err = each_raw(j, seq, seq, keep_hash, hash, NULL);
    if (!err)
        memcpy(ret_hash, hash, 32);
    return err;
}

int journal_is_ancestor(const struct journal *j, const struct journal_head *h)
{
    uint8_t hash[32];
    int err = journal_hash_at(j, h->seq, hash);
    if (err == -SM_ENOTFOUND)
        return 0;
    return err ? err : memcmp(hash, h->hash, 32) == 0;
}

struct part { struct sm_buf b; bool whole; };

#define PART_FULL 1

static int put_raw(void *arg, const struct journal_record *r, struct sm_span raw)
{
    (void)r;
    struct part *p = arg;
    if (!p->whole && p->b.n && raw.n > p->b.max - p->b.n)
        return PART_FULL;
    return sm_buf_put_span(&p->b, raw);
}

static int ancestry(const struct journal *j, const struct journal_head *from, const struct journal_head *to, bool whole,
    size_t max, struct sm_buf *ret)
{
    int a = journal_is_ancestor(j, from), b = a == 1 ? journal_is_ancestor(j, to) : a;
    if (a < 0 || b < 0)
        return a < 0 ? a : b;
    if (!b || from->seq > to->seq)
        return -SM_EMISMATCH;
    struct part p = { SM_BUF_INIT(max), whole };
    int err = from->seq == to->seq ? 0 : each_raw(j, from->seq + 1, to->seq, put_raw, &p, NULL);
    if (!err || err == PART_FULL)
        err = sm_buf_put_span(ret, sm_buf_span(&p.b));
    sm_buf_wipe(&p.b);
    return err;
}

int journal_ancestry(const struct journal *j, const struct journal_head *from, const struct journal_head *to,
    size_t max,
    struct sm_buf *ret)
{
    return ancestry(j, from, to, true, max, ret);
}

int journal_ancestry_part(const struct journal *j, const struct journal_head *from, const struct journal_head *to,
    size_t max, struct sm_buf *ret)
{
    return ancestry(j, from, to, false, max, ret);
}

int journal_ancestry_walk(struct journal_head *at, struct sm_span proof)
{
    struct journal_head now = *at;
    while (proof.n) {
        struct journal_record r;
        size_t used = 0;
        int err = journal_parse(proof, &now, &r, &used);
        if (err)
            return err == -SM_ECORRUPT ? -SM_EAUTH : -SM_EFORMAT;
        now.seq = r.seq;
        memcpy(now.hash, r.hash, 32);
        proof.p += used;
        proof.n -= used;
    }
    *at = now;
    return 0;
}

int journal_ancestry_check(const struct journal_head *from, const struct journal_head *to, struct sm_span proof)
{
    struct journal_head at = *from;
    int err = journal_ancestry_walk(&at, proof);
    if (err)
        return err;
    return at.seq == to->seq && memcmp(at.hash, to->hash, 32) == 0 ? 0 : -SM_EAUTH;
}

/* ---- signed heads ---- */

static int head_fields(const struct journal_signed_head *h, struct sm_buf *ret)
{
    int err = sm_buf_put(ret, h->vault, 16);
    if (!err)
        err = sm_buf_put_u64(ret, h->head.seq);
    if (!err)
        err = sm_buf_put(ret, h->head.hash, 32);
    if (!err)
        err = sm_buf_put_u64(ret, (uint64_t)h->s);
    return err;
}

int journal_head_message(const struct journal_signed_head *h, struct sm_buf *ret)
{
    int err = sm_buf_reserve(ret, 96);
    if (!err)
        err = sm_buf_put(ret, JOURNAL_HEAD_LABEL, sizeof JOURNAL_HEAD_LABEL - 1);
    return err ? err : head_fields(h, ret);
}

int journal_head_put(const struct journal_signed_head *h, struct sm_buf *ret)
{
    int err = sm_buf_reserve(ret, JOURNAL_SIGNED_HEAD_BYTES);
    if (!err)
        err = head_fields(h, ret);
    return err ? err : sm_buf_put(ret, h->sig, 64);
}

int journal_head_get(struct sm_span in, struct journal_signed_head *ret)
{
    struct journal_signed_head h;
    struct sm_rd r = SM_RD(in);
    sm_rd_copy(&r, h.vault, 16);
    h.head.seq = sm_rd_u64(&r);
    sm_rd_copy(&r, h.head.hash, 32);
    h.s = (int64_t)sm_rd_u64(&r);
    sm_rd_copy(&r, h.sig, 64);
    if (sm_rd_done(&r))
        return -SM_EFORMAT;
    *ret = h;
    return 0;
}

int journal_head_verify(const struct journal_signed_head *h, const uint8_t head_pub[32])
{
    struct sm_buf b = SM_BUF_INIT(256);
    int err = journal_head_message(h, &b);
    if (!err)
        err = crypto_sign_verify(head_pub, sm_buf_span(&b), h->sig);
    sm_buf_wipe(&b);
    return err;
}
