#include "vault/index/run.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "crypto/random.h"
#include "plat/fs.h"

#define SUM_PIECE ((size_t)256 << 10) /* whole pages */
#define RUN_HEADER 24
#define SET_MAX ((size_t)4096)
#define NAME_BYTES 64
#define ROW_MAX (INDEX_KEY_MAX + INDEX_VALUE_MAX)
#define PROBES_INTERPOLATED 12  /* then halving: keys a hostile client chose must not make look-ups slow */
#define OUT_BYTES ((size_t)1 << 20)
#define EMPTY UINT32_MAX

struct run { uint32_t number; uint8_t *map; size_t map_bytes; const uint8_t *rows; uint64_t n; };

struct index_table {
    int dirfd;
    char name[NAME_BYTES / 2];
    struct index_config c;
    size_t row;
    /* Rows put since the last flush: a vector and a hash table of positions in it. */
    uint8_t *mem; size_t mem_n, mem_cap, mem_max;
    uint32_t *slot; size_t slots;
    uint64_t salt;
    struct run run[INDEX_RUNS_MAX + 1]; size_t runs;
    uint32_t next;
    uint8_t mark[INDEX_MARK_MAX]; size_t mark_n;      /* of what was put */
    uint8_t disk[INDEX_MARK_MAX]; size_t disk_n;      /* of the last flush */
};

static uint64_t key_number(const uint8_t *k)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | k[i];
    return v;
}

/* ---- the table in memory ---- */

static size_t mem_hash(const struct index_table *t, const uint8_t *key)
{
    uint64_t h = (key_number(key) ^ t->salt) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
    return (size_t)((h * (t->salt | 1)) >> 20) & (t->slots - 1);
}

/* The slot of key, or the free one where it belongs. */
static size_t mem_find(const struct index_table *t, const uint8_t *key)
{
    size_t i = mem_hash(t, key);
    while (t->slot[i] != EMPTY && memcmp(t->mem + t->slot[i] * t->row, key, t->c.key_bytes) != 0)
        i = (i + 1) & (t->slots - 1);
    return i;
}

static void mem_rehash(struct index_table *t)
{
    memset(t->slot, 0xff, t->slots * sizeof *t->slot);
    for (size_t i = 0; i < t->mem_n; i++)
        t->slot[mem_find(t, t->mem + i * t->row)] = (uint32_t)i;
}

static int mem_grow(struct index_table *t)
{
    size_t cap = t->mem_cap ? t->mem_cap * 2 : 1024;
    if (cap > t->mem_max)
        cap = t->mem_max;
    size_t slots = t->slots ? t->slots : 2048;
    while (slots < cap * 2)
        slots *= 2;
    uint8_t *mem = realloc(t->mem, cap * t->row);
    if (!mem)
        return -ENOMEM;
    t->mem = mem;
    t->mem_cap = cap;
    if (slots != t->slots) {
        uint32_t *slot = realloc(t->slot, slots * sizeof *slot);
        if (!slot) {
            t->mem_cap = t->slots / 2 < cap ? t->slots / 2 : cap;
            return -ENOMEM;
        }
        t->slot = slot;
        t->slots = slots;
        mem_rehash(t);
    }
    return 0;
}

static void mem_clear(struct index_table *t)
{
    t->mem_n = 0;
    if (t->slots)
        memset(t->slot, 0xff, t->slots * sizeof *t->slot);
}

/* ---- runs ---- */

static void run_name(const struct index_table *t, uint32_t number, char ret[NAME_BYTES])
{
    (void)snprintf(ret, NAME_BYTES, "%s.%u.run", t->name, number); /* fits: name <= 31, number <= 10 */
}

static void run_close(struct run *r)
{
    if (r->map)
        (void)munmap(r->map, r->map_bytes); /* nothing could be done about it */
    memset(r, 0, sizeof *r);
}

/* Piece by piece, each let go of again: a look-up needs a page here and there, and the whole would count as memory. */
static int run_sum(const struct run *r, uint8_t ret[32])
{
    struct crypto_sha256_ctx *sum = NULL;
    size_t n = r->map_bytes - 32;
    int err = crypto_sha256_new(&sum);
    for (size_t at = 0; !err && at < n; at += SUM_PIECE) {
        size_t k = n - at < SUM_PIECE ? n - at : SUM_PIECE;
        crypto_sha256_put(sum, SM_SPAN(r->map + at, k));
        (void)madvise(r->map + at, k, MADV_DONTNEED); /* a hint: the file's pages stay in the cache */
    }
    if (!err)
        crypto_sha256_final(sum, ret);
    crypto_sha256_free(sum);
    return err;
}

static bool run_sound(const struct index_table *t, const struct run *r, uint64_t *ret_rows)
{
    struct sm_rd rd = SM_RD(SM_SPAN(r->map, r->map_bytes));
    struct sm_span magic = sm_rd_bytes(&rd, 8);
    uint32_t key = sm_rd_u32(&rd), value = sm_rd_u32(&rd);
    uint64_t rows = sm_rd_u64(&rd);
    if (rd.err || memcmp(magic.p, "SKX1\1\0\0\0", 8) != 0 || key != t->c.key_bytes || value != t->c.value_bytes)
        return false;
    if (rows > (r->map_bytes - RUN_HEADER) / t->row || RUN_HEADER + rows * t->row + 32 != r->map_bytes)
        return false;
    uint8_t sum[32];
    *ret_rows = rows;
    return run_sum(r, sum) == 0 && memcmp(sum, r->map + r->map_bytes - 32, 32) == 0;
}

/* 0, -SM_ECORRUPT, -errno */
static int run_open(const struct index_table *t, uint32_t number, struct run *ret)
{
    char name[NAME_BYTES];
    run_name(t, number, name);
    int fd = plat_fs_open_read(t->dirfd, name);
    if (fd < 0)
        return fd == -ENOENT ? -SM_ECORRUPT : fd;
    struct run r = { .number = number };
    uint64_t size = 0;
    int err = plat_fs_size(fd, &size);
    if (!err && (size < RUN_HEADER + 32 || size > SIZE_MAX / 2))
        err = -SM_ECORRUPT;
    if (!err) {
        void *map = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
            err = -errno;
        else
            r.map = map;
    }
    (void)close(fd); /* opened for reading */
    if (err)
        return err;
    r.map_bytes = (size_t)size;
    if (!run_sound(t, &r, &r.n)) {
        run_close(&r);
        return -SM_ECORRUPT;
    }
    r.rows = r.map + RUN_HEADER;
    (void)madvise(r.map, r.map_bytes, MADV_RANDOM); /* a hint */
    *ret = r;
    return 0;
}

/* Where between lo and hi (lo <= i < hi) the key should be, if keys are spread evenly. */
static uint64_t run_guess(const struct index_table *t, const struct run *r, uint64_t lo, uint64_t hi, uint64_t want)
{
    uint64_t a = key_number(r->rows + lo * t->row), b = key_number(r->rows + (hi - 1) * t->row);
    if (want <= a)
        return lo;
    if (want >= b)
        return hi - 1;
    return lo + (uint64_t)((__extension__ (unsigned __int128)(want - a) * (hi - 1 - lo)) / (b - a));
}

static const uint8_t *run_get(const struct index_table *t, const struct run *r, const uint8_t *key)
{
    uint64_t lo = 0, hi = r->n, want = key_number(key);
    for (unsigned probe = 0; lo < hi; probe++) {
        uint64_t at = probe < PROBES_INTERPOLATED ? run_guess(t, r, lo, hi, want) : lo + (hi - lo) / 2;
        const uint8_t *row = r->rows + at * t->row;
        int c = memcmp(key, row, t->c.key_bytes);
        if (c == 0)
            return row;
        if (c < 0)
            hi = at;
        else
            lo = at + 1;
    }
    return NULL;
}

/* ---- writing a run ---- */

struct writer { int fd; struct sm_buf out; struct crypto_sha256_ctx *sum; uint64_t rows; };

static int writer_drain(struct writer *w)
{
    crypto_sha256_put(w->sum, sm_buf_span(&w->out));
    int err = plat_fs_write_all(w->fd, sm_buf_span(&w->out));
    sm_buf_clear(&w->out);
    return err;
}

static int writer_row(void *arg, const uint8_t *row, size_t n)
{
    struct writer *w = arg;
    w->rows++;
    if (w->out.n + n > OUT_BYTES) {
        int err = writer_drain(w);
        if (err)
            return err;
    }
    return sm_buf_put(&w->out, row, n);
}

/* Rows from several sorted places, the last place is the newest and wins.  rows[i] has n[i] rows. */
struct source { const uint8_t *rows; const uint32_t *order; uint64_t n, at; };

static const uint8_t *source_row(const struct index_table *t, const struct source *s)
{
    uint64_t i = s->order ? s->order[s->at] : s->at;
    return s->rows + i * t->row;
}

static int merge(const struct index_table *t, struct source *s, size_t n, int (*put)(void *, const uint8_t *, size_t),
    void *arg)
{
    for (;;) {
        const uint8_t *least = NULL;
        for (size_t i = 0; i < n; i++) {
            if (s[i].at >= s[i].n)
                continue;
            const uint8_t *row = source_row(t, &s[i]);
            if (!least || memcmp(row, least, t->c.key_bytes) <= 0) /* the later place is the newer */
                least = row;
        }
        if (!least)
            return 0;
        for (size_t i = 0; i < n; i++)
            if (s[i].at < s[i].n && memcmp(source_row(t, &s[i]), least, t->c.key_bytes) == 0)
                s[i].at++;
        int err = put(arg, least, t->row);
        if (err)
            return err;
    }
}

static int count_row(void *arg, const uint8_t *row, size_t n)
{
    (void)row; (void)n;
    ++*(uint64_t *)arg;
    return 0;
}

static int write_run(struct index_table *t, struct source *s, size_t n, struct run *ret)
{
    uint64_t rows = 0;
    int err = merge(t, s, n, count_row, &rows); /* the header comes first and says how many */
    for (size_t i = 0; i < n; i++)
        s[i].at = 0;
    if (err)
        return err;
    char name[NAME_BYTES];
    uint32_t number = t->next++;
    run_name(t, number, name);
    struct writer w = { .fd = -1, .out = SM_BUF_INIT(OUT_BYTES + ROW_MAX + RUN_HEADER) };
    err = crypto_sha256_new(&w.sum);
    if (!err)
        err = w.fd = plat_fs_create(t->dirfd, name, PLAT_FS_TRUNC, 0600);
    if (err >= 0)
        err = sm_buf_put(&w.out, "SKX1\1\0\0\0", 8);
    if (!err)
        err = sm_buf_put_u32(&w.out, (uint32_t)t->c.key_bytes);
    if (!err)
        err = sm_buf_put_u32(&w.out, (uint32_t)t->c.value_bytes);
    if (!err)
        err = sm_buf_put_u64(&w.out, rows);
    if (!err)
        err = merge(t, s, n, writer_row, &w);
    if (!err)
        err = writer_drain(&w);
    uint8_t sum[32];
    if (!err) {
        crypto_sha256_final(w.sum, sum);
        err = plat_fs_write_all(w.fd, SM_SPAN(sum, 32));
    }
    if (!err)
        err = plat_fs_sync(w.fd);
    crypto_sha256_free(w.sum);
    sm_buf_wipe(&w.out);
    if (w.fd >= 0)
        (void)close(w.fd); /* synced, or given up */
    if (!err)
        err = run_open(t, number, ret);
    if (err && w.fd >= 0)
        (void)plat_fs_unlink(t->dirfd, name); /* left over files are removed at the next open */
    return err;
}

/* ---- the set ---- */

static int set_write(struct index_table *t, const struct run *runs, size_t n, const uint8_t *mark, size_t mark_n)
{
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s.set", t->name); /* fits */
    struct sm_buf b = SM_BUF_INIT(SET_MAX);
    int err = sm_buf_put(&b, "SKXS\1\0\0\0", 8);
    if (!err)
        err = sm_buf_put_u32(&b, (uint32_t)t->c.key_bytes);
    if (!err)
        err = sm_buf_put_u32(&b, (uint32_t)t->c.value_bytes);
    if (!err)
        err = sm_buf_put_u32(&b, t->next);
    if (!err)
        err = sm_buf_put_blob(&b, SM_SPAN(mark, mark_n));
    if (!err)
        err = sm_buf_put_varint(&b, n);
    for (size_t i = 0; !err && i < n; i++)
        err = sm_buf_put_u32(&b, runs[i].number);
    uint8_t sum[32];
    if (!err) {
        crypto_sha256(sm_buf_span(&b), sum);
        err = sm_buf_put(&b, sum, 32);
    }
    if (!err)
        err = plat_replace(t->dirfd, name, sm_buf_span(&b), 0600);
    sm_buf_wipe(&b);
    return err;
}

static int set_parse(struct index_table *t, struct sm_span in, uint32_t numbers[INDEX_RUNS_MAX + 1], size_t *ret_n)
{
    uint8_t sum[32];
    if (in.n < 32)
        return -SM_ECORRUPT;
    crypto_sha256(SM_SPAN(in.p, in.n - 32), sum);
    if (memcmp(sum, in.p + in.n - 32, 32) != 0)
        return -SM_ECORRUPT;
    struct sm_rd r = SM_RD(SM_SPAN(in.p, in.n - 32));
    struct sm_span magic = sm_rd_bytes(&r, 8);
    uint32_t key = sm_rd_u32(&r), value = sm_rd_u32(&r), next = sm_rd_u32(&r);
    struct sm_span mark = sm_rd_blob(&r, INDEX_MARK_MAX);
    uint64_t n = sm_rd_varint(&r);
    if (r.err || memcmp(magic.p, "SKXS\1\0\0\0", 8) != 0 || key != t->c.key_bytes || value != t->c.value_bytes ||
        n > INDEX_RUNS_MAX + 1)
        return -SM_ECORRUPT;
    for (size_t i = 0; i < n; i++)
        numbers[i] = sm_rd_u32(&r);
    if (sm_rd_done(&r))
        return -SM_ECORRUPT;
    t->next = next;
    if (mark.n)
        memcpy(t->mark, mark.p, mark.n);
    t->mark_n = mark.n;
    *ret_n = (size_t)n;
    return 0;
}

struct sweep { struct index_table *t; };

/* Files of this table that the set does not name: what a crash in the middle of a flush left. */
static int sweep_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    struct index_table *t = ((struct sweep *)arg)->t;
    size_t n = strlen(t->name);
    if (name.n < n + 6 || memcmp(name.p, t->name, n) != 0 || name.p[n] != '.' ||
        memcmp(name.p + name.n - 4, ".run", 4) != 0)
        return 0;
    for (size_t i = 0; i < t->runs; i++) {
        char used[NAME_BYTES];
        run_name(t, t->run[i].number, used);
        if (strcmp(used, (const char *)name.p) == 0)
            return 0;
    }
    (void)plat_fs_unlink(t->dirfd, (const char *)name.p); /* only space */
    return 0;
}

static int load(struct index_table *t)
{
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s.set", t->name); /* fits */
    struct sm_buf b = SM_BUF_INIT(SET_MAX);
    int err = plat_fs_read_file(t->dirfd, name, SET_MAX, &b);
    if (err == -SM_ELIMIT)
        err = -SM_ECORRUPT;
    uint32_t numbers[INDEX_RUNS_MAX + 1];
    size_t n = 0;
    if (!err)
        err = set_parse(t, sm_buf_span(&b), numbers, &n);
    sm_buf_wipe(&b);
    for (size_t i = 0; !err && i < n; i++) {
        err = run_open(t, numbers[i], &t->run[t->runs]);
        t->runs += !err;
    }
    return err;
}

static void forget(struct index_table *t)
{
    for (size_t i = 0; i < t->runs; i++)
        run_close(&t->run[i]);
    t->runs = 0;
    t->mark_n = t->disk_n = 0;
    mem_clear(t);
}

int index_open(int dirfd, const char *name, const struct index_config *c, struct index_table **ret, bool *ret_unsound)
{
    size_t n = strlen(name);
    if (!n || n > 31 || c->key_bytes < 8 || c->key_bytes > INDEX_KEY_MAX || c->value_bytes > INDEX_VALUE_MAX ||
        c->memory_bytes < INDEX_MEMORY_MIN)
        return -SM_EINVAL;
    struct index_table *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->dirfd = dirfd;
    memcpy(t->name, name, n + 1);
    t->c = *c;
    t->row = c->key_bytes + c->value_bytes;
    t->next = 1;
    size_t max = c->memory_bytes / (t->row + 4 * sizeof *t->slot); /* two to four slots a row */
    t->mem_max = max < EMPTY / 4 ? max : EMPTY / 4;
    crypto_random(&t->salt, sizeof t->salt);
    int err = load(t);
    if (err == -ENOMEM) {
        index_close(t);
        return err;
    }
    if (err)
        forget(t);
    memcpy(t->disk, t->mark, t->mark_n);
    t->disk_n = t->mark_n;
    int dir = c->read_only ? -1 : plat_fs_open_dir(dirfd, ".");
    if (dir >= 0) {
        struct sweep s = { t };
        (void)plat_fs_list(dir, sweep_one, &s); /* only space */
        (void)close(dir);
    }
    *ret = t;
    *ret_unsound = err != 0 && err != -ENOENT;
    return 0;
}

void index_close(struct index_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->runs; i++)
        run_close(&t->run[i]);
    free(t->mem);
    free(t->slot);
    free(t);
}

int index_get(const struct index_table *t, const uint8_t *key, uint8_t *ret_value)
{
    const uint8_t *row = NULL;
    if (t->mem_n) {
        uint32_t at = t->slot[mem_find(t, key)];
        if (at != EMPTY)
            row = t->mem + at * t->row;
    }
    for (size_t i = t->runs; !row && i > 0; i--)
        row = run_get(t, &t->run[i - 1], key);
    if (!row)
        return 0;
    if (ret_value)
        memcpy(ret_value, row + t->c.key_bytes, t->c.value_bytes);
    return 1;
}

int index_put(struct index_table *t, const uint8_t *key, const uint8_t *value)
{
    if (t->mem_n) {
        uint32_t at = t->slot[mem_find(t, key)];
        if (at != EMPTY) {
            if (t->c.value_bytes)
                memcpy(t->mem + at * t->row + t->c.key_bytes, value, t->c.value_bytes);
            return 0;
        }
    }
    if (t->mem_n == t->mem_max) {
        int err = t->c.read_only ? -SM_ELIMIT : index_flush(t);
        if (err)
            return err;
    }
    if (t->mem_n == t->mem_cap) {
        int err = mem_grow(t);
        if (err)
            return err;
    }
    uint8_t *row = t->mem + t->mem_n * t->row;
    memcpy(row, key, t->c.key_bytes);
    if (t->c.value_bytes)
        memcpy(row + t->c.key_bytes, value, t->c.value_bytes);
    t->slot[mem_find(t, key)] = (uint32_t)t->mem_n++;
    return 0;
}

void index_set_mark(struct index_table *t, struct sm_span mark)
{
    size_t n = mark.n < INDEX_MARK_MAX ? mark.n : INDEX_MARK_MAX;
    if (n)
        memcpy(t->mark, mark.p, n);
    t->mark_n = n;
}

struct sm_span index_mark(const struct index_table *t)
{
    return SM_SPAN(t->disk, t->disk_n);
}

struct sort_ctx { const uint8_t *mem; size_t row, key; };

static int order_cmp(const void *a, const void *b, void *arg)
{
    const struct sort_ctx *c = arg;
    return memcmp(c->mem + *(const uint32_t *)a * c->row, c->mem + *(const uint32_t *)b * c->row, c->key);
}

static int mem_order(const struct index_table *t, uint32_t **ret)
{
    uint32_t *order = malloc((t->mem_n ? t->mem_n : 1) * sizeof *order);
    if (!order)
        return -ENOMEM;
    for (size_t i = 0; i < t->mem_n; i++)
        order[i] = (uint32_t)i;
    struct sort_ctx c = { t->mem, t->row, t->c.key_bytes };
    qsort_r(order, t->mem_n, sizeof *order, order_cmp, &c);
    *ret = order;
    return 0;
}

/* Which newest runs to merge with a new one of n rows: as long as the next older is not much bigger, and at least
   enough
 * to stay within INDEX_RUNS_MAX.  So a row is rewritten about log(rows) times. */
static size_t merge_from(const struct index_table *t, uint64_t n)
{
    size_t from = t->runs;
    while (from > 0 && (t->run[from - 1].n <= n * 2 || from + 1 > INDEX_RUNS_MAX)) {
        from--;
        n += t->run[from].n;
    }
    return from;
}

static void flushed(struct index_table *t)
{
    memcpy(t->disk, t->mark, t->mark_n);
    t->disk_n = t->mark_n;
}

static int flush_mark(struct index_table *t)
{
    if (sm_span_eq(SM_SPAN(t->mark, t->mark_n), SM_SPAN(t->disk, t->disk_n)))
        return 0;
    int err = set_write(t, t->run, t->runs, t->mark, t->mark_n);
    if (!err)
        flushed(t);
    return err;
}

/* Runs from `from` on and the rows in memory are now in made: make that the truth on disk, then here. */
static int flush_switch(struct index_table *t, size_t from, struct run *made)
{
    struct run now[INDEX_RUNS_MAX + 1];
    memcpy(now, t->run, from * sizeof *now);
    now[from] = *made;
    int err = set_write(t, now, from + 1, t->mark, t->mark_n);
    if (err) {
        /* The set may have been replaced or not: all files stay, the next open removes the wrong ones. */
        run_close(made);
        return err;
    }
    for (size_t i = from; i < t->runs; i++) {
        char name[NAME_BYTES];
        run_name(t, t->run[i].number, name);
        run_close(&t->run[i]);
        (void)plat_fs_unlink(t->dirfd, name); /* only space */
    }
    memcpy(t->run, now, (from + 1) * sizeof *now);
    t->runs = from + 1;
    flushed(t);
    mem_clear(t);
    return 0;
}

int index_flush(struct index_table *t)
{
    if (t->c.read_only)
        return -SM_ESTATE;
    if (!t->mem_n)
        return flush_mark(t);
    uint32_t *order = NULL;
    int err = mem_order(t, &order);
    if (err)
        return err;
    size_t from = merge_from(t, t->mem_n);
    struct source s[INDEX_RUNS_MAX + 2];
    size_t n = 0;
    for (size_t i = from; i < t->runs; i++)
        s[n++] = (struct source){ .rows = t->run[i].rows, .n = t->run[i].n };
    s[n++] = (struct source){ .rows = t->mem, .order = order, .n = t->mem_n };
    struct run made = { 0 };
    err = write_run(t, s, n, &made);
    free(order);
    return err ? err : flush_switch(t, from, &made);
}

int index_reset(struct index_table *t)
{
    if (t->c.read_only)
        return -SM_ESTATE;
    int err = set_write(t, NULL, 0, NULL, 0);
    if (err)
        return err;
    for (size_t i = 0; i < t->runs; i++) {
        char name[NAME_BYTES];
        run_name(t, t->run[i].number, name);
        (void)plat_fs_unlink(t->dirfd, name); /* only space */
    }
    forget(t);
    return 0;
}

uint64_t index_rows(const struct index_table *t)
{
    uint64_t n = t->mem_n;
    for (size_t i = 0; i < t->runs; i++)
        n += t->run[i].n;
    return n;
}

size_t index_runs(const struct index_table *t)
{
    return t->runs;
}

size_t index_memory(const struct index_table *t)
{
    return sizeof *t + t->mem_cap * t->row + t->slots * sizeof *t->slot;
}

struct each { const struct index_table *t; index_row_fn fn; void *arg; };

static int each_row(void *arg, const uint8_t *row, size_t n)
{
    (void)n;
    struct each *e = arg;
    return e->fn(e->arg, row, row + e->t->c.key_bytes);
}

int index_each(const struct index_table *t, index_row_fn fn, void *arg)
{
    uint32_t *order = NULL;
    int err = mem_order(t, &order);
    if (err)
        return err;
    struct source s[INDEX_RUNS_MAX + 2];
    size_t n = 0;
    for (size_t i = 0; i < t->runs; i++)
        s[n++] = (struct source){ .rows = t->run[i].rows, .n = t->run[i].n };
    s[n++] = (struct source){ .rows = t->mem, .order = order, .n = t->mem_n };
    struct each e = { t, fn, arg };
    err = merge(t, s, n, each_row, &e);
    free(order);
    return err;
}
