/* The evidence pack: a tar that can be read and checked without us. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/time.h"
#include "crypto/hash.h"
#include "journal/export.h"
#include "journal/internal.h"
#include "plat/fs.h"

enum { BLOCK = 512, WINDOW = 256 << 10, FILES_MAX = 1 << 20 };

struct pack {
    const struct evpack *p;
    int dirfd, fd;
    uint64_t *number;
    size_t n, cap;
    struct sm_buf sums, rows;
    struct evpack_summary sum;
    uint8_t *window;
};

/* ---- tar ---- */

static int put_header(struct pack *k, const char *name, uint64_t size)
{
    uint8_t h[BLOCK] = { 0 };
    unsigned sum = 0;

    snprintf((char *)h, 100, "evidence/%s", name);
    snprintf((char *)h + 100, 8, "%07o", 0400u);
    snprintf((char *)h + 108, 8, "%07o", 0u);
    snprintf((char *)h + 116, 8, "%07o", 0u);
    snprintf((char *)h + 124, 12, "%011llo", (unsigned long long)size & 077777777777ULL); /* segments are far smaller */
    snprintf((char *)h + 136, 12, "%011llo", (unsigned long long)k->p->now_s & 077777777777ULL);
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar", 6);
    memcpy(h + 263, "00", 2);
    for (size_t i = 0; i < BLOCK; i++)
        sum += h[i];
    snprintf((char *)h + 148, 7, "%06o", sum);
    k->sum.bytes += BLOCK;
    return plat_fs_write_all(k->fd, SM_SPAN(h, BLOCK));
}

static int put_padding(struct pack *k, uint64_t size)
{
    static const uint8_t zeros[BLOCK];
    size_t n = (BLOCK - size % BLOCK) % BLOCK;

    k->sum.bytes += size + n;
    return plat_fs_write_all(k->fd, SM_SPAN(zeros, n));
}

static int put_sum(struct pack *k, const char *name, const uint8_t hash[32], char ret_hex[65])
{
    sm_hex(hash, 32, ret_hex);
    return sm_buf_printf(&k->sums, "%s  %s\n", ret_hex, name);
}

static int put_bytes(struct pack *k, const char *name, struct sm_span s, bool listed)
{
    char hex[65];
    uint8_t hash[32];
    int r = put_header(k, name, s.n);

    if (r >= 0)
        r = plat_fs_write_all(k->fd, s);
    if (r >= 0)
        r = put_padding(k, s.n);
    crypto_sha256(s, hash);
    return r < 0 || !listed ? r : put_sum(k, name, hash, hex);
}

/* The first n bytes of a file that may be growing. */
static int put_file(struct pack *k, const char *name, int fd, uint64_t n, char ret_hex[65])
{
    struct crypto_sha256_ctx *sha = NULL;
    uint8_t hash[32];
    int r = crypto_sha256_new(&sha);

    if (r >= 0)
        r = put_header(k, name, n);
    for (uint64_t off = 0; off < n && r >= 0;) {
        size_t m = n - off < WINDOW ? (size_t)(n - off) : WINDOW;
        r = plat_fs_pread_all(fd, k->window, m, off);
        if (r >= 0) {
            crypto_sha256_put(sha, SM_SPAN(k->window, m));
            r = plat_fs_write_all(k->fd, SM_SPAN(k->window, m));
        }
        off += m;
    }
    if (r >= 0)
        r = put_padding(k, n);
    if (r >= 0) {
        crypto_sha256_final(sha, hash);
        r = put_sum(k, name, hash, ret_hex);
    }
    crypto_sha256_free(sha);
    return r;
}

/* ---- what goes in ---- */

static int take_name(void *arg, struct sm_span name, unsigned char type)
{
    struct pack *k = arg;
    uint64_t n = ev_name_number(name, "seg-", ".sjs");

    (void)type; /* opened as files, or not at all */
    if (!n)
        return 0;
    if (k->n == FILES_MAX)
        return -SM_ELIMIT;
    if (k->n == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 64;
        uint64_t *more = realloc(k->number, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        k->number = more;
        k->cap = cap;
    }
    k->number[k->n++] = n;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int put_row(struct pack *k, const struct ev_segment *s, const char *name, const char *hex, uint64_t events,
    struct event_time first, struct event_time last)
{
    char a[SM_TIME_TEXT], b[SM_TIME_TEXT];

    sm_time_jst((struct sm_time){ first.s, 0 }, a);
    sm_time_jst((struct sm_time){ last.s, 0 }, b);
    return sm_buf_printf(&k->rows,
        "<tr><td>%s</td><td>%llu–%llu</td><td>%llu</td><td>%s</td><td>%s</td><td class=h>%s</td></tr>\n", name,
        (unsigned long long)s->entry[0].number, (unsigned long long)s->entry[s->n - 1].number,
        (unsigned long long)events, a,
        b, hex);
}

static int put_segment(struct pack *k, uint64_t number)
{
    char name[EV_NAME_LEN], hex[65];
    struct ev_segment s;
    uint64_t events = 0;

    snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)number);
    int fd = plat_fs_open_read(k->dirfd, name);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    int r = ev_segment_load(fd, &s);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    struct event_time first = { INT64_MAX, 0 }, last = { INT64_MIN, 0 };
    for (size_t i = 0; i < s.n; i++) {
        first = s.entry[i].first.s < first.s ? s.entry[i].first : first;
        last = s.entry[i].last.s > last.s ? s.entry[i].last : last;
        events += s.entry[i].events;
    }
    if (s.n && first.s < k->p->to_s && last.s >= k->p->from_s) {
        r = put_file(k, name, fd, s.closed ? s.size : s.good, hex);
        if (r >= 0)
            r = put_row(k, &s, name, hex, events, first, last);
        k->sum.segments++;
        k->sum.blocks += s.n;
        k->sum.events += events;
    }
    ev_segment_wipe(&s);
    return r;
}

static int put_other(struct pack *k, const char *name, char ret_hex[65])
{
    uint64_t size = 0;
    int fd = plat_fs_open_read(k->dirfd, name), r;

    ret_hex[0] = 0;
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    r = plat_fs_size(fd, &size);
    if (r >= 0)
        r = put_file(k, name, fd, size, ret_hex);
    (void)close(fd);
    return r;
}

/* What the ledger of a box before needs. */
static int put_before(struct pack *k, unsigned i)
{
    char name[32], hex[65];

    (void)snprintf(name, sizeof name, EV_LEDGER_OLD, i); /* fits */
    int r = put_other(k, name, hex);
    (void)snprintf(name, sizeof name, EV_KEY_OLD, i); /* fits */
    return r < 0 ? r : put_other(k, name, hex);
}

/* ---- the page for people ---- */

static int html(struct sm_span s, struct sm_buf *to)
{
    int r = 0;

    for (size_t i = 0; i < s.n && r >= 0; i++)
        r = s.p[i] == '<' ? sm_buf_put(to, "&lt;", 4) : s.p[i] == '&' ? sm_buf_put(to, "&amp;", 5)
            : s.p[i] < 0x20 ? sm_buf_put_u8(to, ' ') : sm_buf_put_u8(to, s.p[i]);
    return r;
}

static int page(struct pack *k, const char *seals_hex, struct sm_buf *to)
{
    char from[SM_TIME_TEXT], until[SM_TIME_TEXT], now[SM_TIME_TEXT];
    const char *title = k->p->title ? k->p->title : "";

    sm_time_jst((struct sm_time){ k->p->from_s, 0 }, from);
    sm_time_jst((struct sm_time){ k->p->to_s, 0 }, until);
    sm_time_jst((struct sm_time){ k->p->now_s, 0 }, now);
    int r = sm_buf_printf(to,
        "<!doctype html><html lang=ja><meta charset=utf-8><title>証拠の束</title><style>body{font-family:sans-serif;"
        "max-width:70em;margin:2em auto;line-height:1.7}table{border-collapse:collapse}td,th{border:1px "
        "solid #888;padding:.2em .6em;"
        "text-align:left}.h{font-family:monospace;font-size:.8em;word-break:break-all}</style>\n<h1>証拠の束 "
        "<small>Evidence pack</small></h1>\n<p>");
    if (r >= 0)
        r = html(SM_SPAN_STR(title), to);
    if (r >= 0)
        r = sm_buf_printf(to, "</p>\n<p>期間 %s から %s まで(日本時間)の記録を含む区画を、保存されたままの形で納めています。作成 %s。"
            "区画 %llu、記録の束 %llu、出来事 %llu 件。</p>\n<p lang=en>Segments that hold records from %s to %s (Japan "
            "time), as they are "
            "stored. Made %s: %llu segments, %llu blocks, %llu events.</p>\n", from, until, now,
            (unsigned long long)k->sum.segments,
            (unsigned long long)k->sum.blocks, (unsigned long long)k->sum.events, from, until, now,
            (unsigned long long)k->sum.segments, (unsigned long long)k->sum.blocks, (unsigned long long)k->sum.events);
    if (r >= 0)
        r = sm_buf_printf(to, "<h2>確かめ方</h2>\n<ol><li><code>sha256sum -c SHA256SUMS</code>(束の中のファイルが受け取ったままか)</li>\n"
            "<li><code>sakimori journal verify . --part --key 鍵のファイル</code>(記録のつながりと封印。鍵は設置のときに紙に出した「記録の鍵」)</li>\n"
            "<li><code>sakimori journal search . '言葉'</code>(中を探す)</li></ol>\n<p lang=en>Check the files "
            "with sha256sum -c, chain "
            "and seals with sakimori journal verify . --part --key FILE (the key that was printed at "
            "set-up), and search with sakimori "
            "journal search.</p>\n");
    if (r >= 0)
        r = sm_buf_printf(to,
            "<h2>区画 <small>Segments</small></h2>\n<table><tr><th>ファイル file</th><th>束の番号 blocks</th><th>件数 events"
            "</th><th>最初 first</th><th>最後 last</th><th>SHA-256</th></tr>\n");
    if (r >= 0)
        r = sm_buf_put_span(to, sm_buf_span(&k->rows));
    return r < 0 ? r : sm_buf_printf(to, "</table>\n<p>封印の台帳 seals: <span class=h>%s</span></p></html>\n", seals_hex);
}

static int write_all(struct pack *k)
{
    static const uint8_t end[2 * BLOCK];
    char seals[65], other[65];
    struct sm_buf index = SM_BUF_INIT(16 << 20);
    int r = plat_fs_list(k->dirfd, take_name, k);

    if (k->n)
        qsort(k->number, k->n, sizeof *k->number, by_number);
    for (size_t i = 0; i < k->n && r >= 0; i++)
        r = put_segment(k, k->number[i]);
    if (r >= 0 && !k->sum.segments)
        r = -SM_ENOTFOUND;
    if (r >= 0)
        r = put_other(k, "seals", seals);
    if (r >= 0)
        r = put_other(k, "epoch0", other);
    for (unsigned i = 1; i <= EV_LINKS_MAX && r >= 0; i++)
        r = put_before(k, i);
    if (r >= 0)
        r = put_other(k, EV_LINK_FILE, other);
    if (r >= 0)
        r = page(k, seals, &index);
    if (r >= 0)
        r = put_bytes(k, "index.html", sm_buf_span(&index), true);
    crypto_sha256(sm_buf_span(&k->sums), k->sum.digest);
    if (r >= 0)
        r = put_bytes(k, "SHA256SUMS", sm_buf_span(&k->sums), false);
    if (r >= 0)
        r = plat_fs_write_all(k->fd, SM_SPAN(end, sizeof end));
    k->sum.bytes += sizeof end;
    sm_buf_wipe(&index);
    return r;
}

int evpack_write(const char *dir, const struct evpack *p, int fd, struct evpack_summary *ret)
{
    struct pack k = { .p = p, .fd = fd, .sums.max = 64 << 20, .rows.max = 64 << 20 };
    int r;

    k.dirfd = plat_fs_open_dir(AT_FDCWD, dir);
    if (k.dirfd < 0)
        return k.dirfd;
    k.window = malloc(WINDOW);
    r = k.window ? write_all(&k) : -ENOMEM;
    (void)close(k.dirfd);
    free(k.number);
    free(k.window);
    sm_buf_wipe(&k.sums);
    sm_buf_wipe(&k.rows);
    if (r < 0)
        return r;
    *ret = k.sum;
    return 0;
}
