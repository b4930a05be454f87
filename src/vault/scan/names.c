#include "vault/scan/names.h"
#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"

/* A row: u16 length, u8 type, bytes, NUL. */
#define ROW_OVER 4u
#define WINDOW ((size_t)16 << 10)
struct run { uint64_t at, end; struct sm_buf window; size_t used; };
struct names {
    size_t limit;
    int tmp_dir, fd;
    struct sm_buf arena, order;      /* order: u32 offsets into arena */
    size_t next;
    uint64_t file_end;
    struct run *run;
    size_t runs_n;
    struct sm_buf current;
    bool sorted, any;
};

int names_new(size_t limit_bytes, int tmp_dir, struct names **ret)
{
    struct names *n = calloc(1, sizeof *n);
    if (!n)
        return -ENOMEM;
    n->limit = limit_bytes < NAMES_RUN_MIN ? NAMES_RUN_MIN : limit_bytes;
    n->tmp_dir = tmp_dir;
    n->fd = -1;
    n->arena.max = n->order.max = (size_t)1 << 30;
    *ret = n;
    return 0;
}

void names_free(struct names *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->runs_n; i++)
        sm_buf_wipe(&n->run[i].window);
    free(n->run);
    if (n->fd >= 0)
        (void)close(n->fd); /* unlinked already; nothing to lose */
    free(n->arena.p);
    free(n->order.p);
    free(n->current.p);
    free(n);
}

size_t names_memory(const struct names *n)
{
    return n ? n->arena.cap + n->order.cap + n->runs_n * WINDOW : 0;
}

static struct sm_span row_name(const uint8_t *row)
{
    return SM_SPAN(row + 3, (size_t)(row[0] | row[1] << 8));
}

static int row_cmp(const void *a, const void *b, void *arena)
{
    const uint8_t *base = arena;
    uint32_t x, y;
    memcpy(&x, a, 4);
    memcpy(&y, b, 4);
    return sm_span_cmp(row_name(base + x), row_name(base + y));
}

static void arena_sort(struct names *n)
{
    if (n->order.n)
        qsort_r(n->order.p, n->order.n / 4, 4, row_cmp, n->arena.p);
}

static int spill_open(struct names *n)
{
    char name[40];
    if (n->fd >= 0)
        return 0;
    if (n->tmp_dir < 0)
        return -SM_ELIMIT;
    (void)snprintf(name, sizeof name, "names-%ld-%p.tmp", (long)getpid(), (void *)n);
    int fd = plat_fs_create(n->tmp_dir, name, PLAT_FS_EXCL | PLAT_FS_RW, 0600);
    if (fd < 0)
        return fd;
    n->fd = fd;
    return plat_fs_unlink(n->tmp_dir, name);
}

static int spill_rows(struct names *n, struct sm_buf *out)
{
    for (size_t i = 0; i < n->order.n / 4; i++) {
        uint32_t at;
        memcpy(&at, n->order.p + 4 * i, 4);
        const uint8_t *row = n->arena.p + at;
        int e = sm_buf_put(out, row, row_name(row).n + ROW_OVER);
        if (e < 0)
            return e;
        if (out->n < ((size_t)64 << 10) && i + 1 < n->order.n / 4)
            continue;
        e = plat_fs_write_all(n->fd, sm_buf_span(out));
        if (e < 0)
            return e;
        n->file_end += out->n;
        sm_buf_clear(out);
    }
    return 0;
}

/* Write what is in memory as one more sorted run. */
static int spill(struct names *n)
{
    if (n->runs_n >= NAMES_RUNS_MAX)
        return -SM_ELIMIT;
    struct run *more = realloc(n->run, (n->runs_n + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    n->run = more;
    int e = spill_open(n);
    if (e < 0)
        return e;
    arena_sort(n);
    struct sm_buf out = { 0 };
    uint64_t begin = n->file_end;
    e = spill_rows(n, &out);
    free(out.p);
    if (e < 0)
        return e;
    n->run[n->runs_n++] = (struct run){ .at = begin, .end = n->file_end };
    sm_buf_clear(&n->arena);
    sm_buf_clear(&n->order);
    return 0;
}

int names_add(struct names *n, struct sm_span name, unsigned char type)
{
    if (name.n == 0 || name.n > NAMES_ONE_MAX)
        return -SM_ELIMIT;
    if (n->arena.n + n->order.n + name.n > n->limit && n->arena.n) {
        int e = spill(n);
        if (e < 0)
            return e;
    }
    uint32_t at = (uint32_t)n->arena.n;
    uint8_t head[3] = { (uint8_t)name.n, (uint8_t)(name.n >> 8), type };
    int e = sm_buf_reserve(&n->arena, name.n + ROW_OVER);
    if (e == 0)
        e = sm_buf_put(&n->order, &at, 4);
    if (e < 0)
        return e;
    /* Room was made above, so these cannot fail. */
    (void)!sm_buf_put(&n->arena, head, 3);
    (void)!sm_buf_put_span(&n->arena, name);
    (void)!sm_buf_put_u8(&n->arena, 0);
    return 0;
}

int names_sort(struct names *n)
{
    n->sorted = true;
    if (n->runs_n == 0) {
        arena_sort(n);
        return 0;
    }
    int e = n->arena.n ? spill(n) : 0;
    if (e < 0)
        return e;
    sm_buf_wipe(&n->arena);
    sm_buf_wipe(&n->order);
    return 0;
}

/* The first row of a run, which is refilled when less than a row is in its window.  NULL at its end. */
static int run_head(struct names *n, struct run *r, const uint8_t **ret)
{
    size_t have = r->window.n - r->used;
    const uint8_t *p = r->window.p ? r->window.p + r->used : NULL;
    *ret = NULL;
    if (have < ROW_OVER || have < row_name(p).n + ROW_OVER) {
        sm_buf_shift(&r->window, r->used);
        r->used = 0;
        uint64_t left = r->end - r->at;
        size_t more = left < WINDOW - r->window.n ? (size_t)left : WINDOW - r->window.n;
        int e = sm_buf_reserve(&r->window, WINDOW - r->window.n);
        if (e == 0 && more)
            e = plat_fs_pread_all(n->fd, r->window.p + r->window.n, more, r->at);
        if (e < 0)
            return e;
        r->window.n += more;
        r->at += more;
        have = r->window.n;
        p = r->window.p;
    }
    if (have == 0)
        return 0;
    if (have < ROW_OVER || have < row_name(p).n + ROW_OVER)
        return -SM_ECORRUPT;
    *ret = p;
    return 0;
}

/* The smallest row of all runs goes to current. */
static int merge_next(struct names *n)
{
    const uint8_t *best = NULL;
    struct run *from = NULL;
    for (size_t i = 0; i < n->runs_n; i++) {
        const uint8_t *p;
        int e = run_head(n, &n->run[i], &p);
        if (e < 0)
            return e;
        if (p && (!best || sm_span_cmp(row_name(p), row_name(best)) < 0)) {
            best = p;
            from = &n->run[i];
        }
    }
    if (!best)
        return 0;
    size_t len = row_name(best).n + ROW_OVER;
    sm_buf_clear(&n->current);
    int e = sm_buf_put(&n->current, best, len);
    if (e < 0)
        return e;
    from->used += len;
    return 1;
}

int names_next(struct names *n, struct sm_span *ret, unsigned char *ret_type)
{
    const uint8_t *row;
    if (n->runs_n) {
        int e = merge_next(n);
        if (e <= 0)
            return e;
        row = n->current.p;
    } else {
        uint32_t at;
        if (n->next >= n->order.n / 4)
            return 0;
        memcpy(&at, n->order.p + 4 * n->next++, 4);
        row = n->arena.p + at;
    }
    *ret = row_name(row);
    *ret_type = row[2];
    return 1;
}
