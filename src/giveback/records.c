/* What the giving side reads of the list: it needs no keeper. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "giveback/internal.h"
#include "plat/fs.h"

void records_free(struct records *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].own);
    free(r->v);
    *r = (struct records){0};
}

static int take_kept(struct records *rs, struct sm_span p)
{
    struct kept k = {.own = malloc(p.n)};
    if (!k.own)
        return -ENOMEM;
    memcpy(k.own, p.p, p.n);
    if (record_get(SM_SPAN(k.own, p.n), &k.r) < 0 || rs->n >= 2 * GIVEBACK_RECORDS_MAX) {
        free(k.own);
        return 0;
    }
    if (rs->n == rs->cap) {
        size_t more = rs->cap ? rs->cap * 2 : 256;
        struct kept *v = reallocarray(rs->v, more, sizeof *v);
        if (!v) {
            free(k.own);
            return -ENOMEM;
        }
        rs->v = v;
        rs->cap = more;
    }
    size_t at = rs->n;
    for (; at > 0 && rs->v[at - 1].r.id > k.r.id; at--)
        ;
    if (at > 0 && rs->v[at - 1].r.id == k.r.id) {
        free(k.own);
        return 0;
    }
    memmove(rs->v + at + 1, rs->v + at, (rs->n - at) * sizeof *rs->v);
    rs->v[at] = k;
    rs->n++;
    return 0;
}

struct kept *records_find(struct records *r, uint64_t id)
{
    size_t from = 0, to = r->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (r->v[mid].r.id < id)
            from = mid + 1;
        else
            to = mid;
    }
    return from < r->n && r->v[from].r.id == id ? &r->v[from] : NULL;
}

static int take(void *ctx, uint64_t off, struct sm_span payload)
{
    struct records *rs = ctx;
    struct sm_span p = SM_SPAN(payload.p + 1, payload.n - 1);
    struct sm_rd r = SM_RD(p);
    (void)off;
    if (payload.p[0] == R_KEPT)
        return take_kept(rs, p);
    if (payload.p[0] == R_BOOT)
        sm_rd_copy(&r, rs->boot, sizeof rs->boot);
    if (payload.p[0] == R_SYNCED) {
        uint64_t id = sm_rd_varint(&r);
        rs->synced = r.err ? rs->synced : id;
    }
    if (payload.p[0] == R_GONE) {
        struct kept *k = records_find(rs, sm_rd_varint(&r));
        if (k && !r.err)
            k->r.kind = UINT8_MAX; /* taken out below */
    }
    return 0;
}

int records_load(int folder, struct records *ret)
{
    struct records rs = {0};
    char now[16];
    uint64_t end;
    unsigned damaged;
    int fd = plat_fs_open_read(folder, "list");
    if (fd < 0)
        return fd == -ENOENT ? -SM_ENOTFOUND : fd;
    int r = frame_read(fd, LIST_MAGIC, take, &rs, &end, &damaged);
    close(fd);
    if (r == 0)
        r = boot_now(now);
    if (r < 0) {
        records_free(&rs);
        return r;
    }
    bool other = memcmp(now, rs.boot, 16) != 0;
    size_t n = 0;
    for (size_t i = 0; i < rs.n; i++) {
        if (rs.v[i].r.kind == UINT8_MAX || (other && rs.v[i].r.id > rs.synced))
            free(rs.v[i].own);
        else
            rs.v[n++] = rs.v[i];
    }
    rs.n = n;
    *ret = rs;
    return 0;
}

int records_mark(int folder, struct records *rs)
{
    uint64_t *number;
    size_t n;
    int r = backs_numbers(folder, &number, &n);
    for (size_t i = 0; i < n && r == 0; i++) {
        struct back b;
        int one = back_load(folder, number[i], false, &b);
        if (one < 0)
            continue; /* an empty one, made at the moment of a kill */
        for (size_t j = 0; j < b.results && !b.undone; j++) {
            struct kept *k = records_find(rs, b.result[j].record);
            uint8_t w = b.result[j].what;
            if (k && k->r.tree == b.tree && (w == RES_GIVEN || w == RES_UNCHANGED || w == RES_ASIDE))
                k->given = true;
        }
        back_wipe(&b);
    }
    if (r == 0)
        free(number);
    return r;
}
