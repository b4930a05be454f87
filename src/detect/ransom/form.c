/* Looking into known forms: is it what its first bytes say? */
#include <ctype.h>
#include <string.h>
#include <zlib.h>
#include "detect/ransom/content.h"

enum { PIECE = RANSOM_SAMPLE, STEPS = 64 };

static uint16_t le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

size_t body_read(const struct body *b, uint64_t offset, uint8_t *buf, size_t n)
{
    const struct ransom_files *f = b->files;
    ssize_t got = b->before ? f->read_before(f->ctx, b->tree, b->file, offset, buf, n) : f->read_now(f->ctx, b->file, offset, buf, n);
    return got < 0 ? 0 : (size_t)got < n ? (size_t)got : n;
}

static size_t tail_read(const struct body *b, uint8_t *buf, size_t n)
{
    return body_read(b, b->size > n ? b->size - n : 0, buf, n);
}

/* ---- deflate ---- */
/* Open at most n bytes of a stream into out; how many came, -1 when it is not one.  window: as inflateInit2 has it. */
static ssize_t inflate_some(const uint8_t *in, size_t in_n, int window, uint8_t *out, size_t n)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)in_n, .next_out = out, .avail_out = (uInt)n};
    if (inflateInit2(&z, window) != Z_OK)
        return -1;
    int r = inflate(&z, Z_SYNC_FLUSH);
    size_t got = n - z.avail_out;
    (void)inflateEnd(&z);
    /* All of the input taken, or all that was asked for came. */
    return r == Z_OK || r == Z_STREAM_END || (r == Z_BUF_ERROR && got) ? (ssize_t)got : -1;
}

static int sound_gzip(const struct body *b)
{
    uint8_t in[PIECE], out[PIECE];
    size_t n = body_read(b, 0, in, sizeof in);
    return inflate_some(in, n, 15 + 16, out, sizeof out) >= 0;
}

/* ---- ZIP ---- */
struct zip_entry { uint64_t data, packed; uint16_t flags, method, name_n; };

static bool zip_local(const struct body *b, uint64_t at, struct zip_entry *ret)
{
    uint8_t h[30];
    if (body_read(b, at, h, sizeof h) != sizeof h || memcmp(h, "PK\3\4", 4))
        return false;
    *ret = (struct zip_entry){.data = at + 30 + le16(h + 26) + le16(h + 28), .packed = le32(h + 18), .flags = le16(h + 6),
        .method = le16(h + 8), .name_n = le16(h + 26)};
    return true;
}

/* The directory at the end leads to the first entry. */
static int sound_zip(const struct body *b)
{
    uint8_t t[PIECE], d[46];
    size_t n = tail_read(b, t, sizeof t), at = n < 22 ? 0 : n - 22 + 1;
    while (at > 0 && memcmp(t + at - 1, "PK\5\6", 4))
        at--;
    if (!at)
        return 0;
    uint32_t dir = le32(t + at - 1 + 16);
    if (dir == UINT32_MAX)
        return -1;
    if (!le16(t + at - 1 + 10))
        return 1;
    struct zip_entry e;
    if (body_read(b, dir, d, sizeof d) != sizeof d || memcmp(d, "PK\1\2", 4) || !zip_local(b, le32(d + 42), &e))
        return 0;
    if (e.method != 8 || e.flags & 1)
        return 1;
    uint8_t out[PIECE];
    n = body_read(b, e.data, t, sizeof t);
    return inflate_some(t, n, -15, out, sizeof out) >= 0;
}

static bool zip_locked(const struct body *b)
{
    struct zip_entry e;
    uint64_t at = 0;
    /* The first entries: folders are never locked. */
    for (unsigned i = 0; i < STEPS && zip_local(b, at, &e); i++) {
        if (e.flags & 1)
            return true;
        if (e.packed || !e.data || e.flags & 8)
            return false;
        at = e.data;
    }
    return false;
}

enum kind form_kind(const struct body *b)
{
    uint8_t head[PIECE];
    size_t n = body_read(b, 0, head, sizeof head);
    enum kind k = kind_of(head, n, b->size);
    return k == KIND_IS_ZIP && zip_locked(b) ? KIND_IS_ZIPLOCKED : k;
}

/* ---- pictures ---- */
/* In the coded part every 0xff is followed by 0, a restart mark or a marker. */
static int sound_jpeg(const struct body *b)
{
    uint8_t p[PIECE];
    unsigned marks = 0, bad = 0;
    if (b->size < 4 * PIECE) {
        size_t n = tail_read(b, p, sizeof p);
        for (size_t i = 0; i + 1 < n; i++)
            if (p[i] == 0xff) {
                marks++;
                bad += p[i + 1] != 0 && !(p[i + 1] >= 0xc0 && p[i + 1] < 0xff) && p[i + 1] != 0xff;
            }
        return marks < 4 ? -1 : bad < 4 || bad * 2 < marks;
    }
    for (unsigned part = 2; part <= 4; part++) {
        size_t n = body_read(b, part == 4 ? b->size - PIECE : b->size / 4 * part, p, sizeof p);
        unsigned marks_before = marks, bad_before = bad;
        for (size_t i = 0; i + 1 < n; i++)
            if (p[i] == 0xff) {
                marks++;
                bad += p[i + 1] != 0 && !(p[i + 1] >= 0xc0 && p[i + 1] < 0xff) && p[i + 1] != 0xff;
            }
        if (marks - marks_before >= 8 && (bad - bad_before) * 2 >= marks - marks_before)
            return 0;
    }
    return marks < 8 ? -1 : bad < 8 || bad * 2 < marks;
}

static int sound_png(const struct body *b)
{
    uint8_t h[8], t[16];
    uint64_t at = 8;
    for (unsigned i = 0; i < STEPS; i++) {
        if (body_read(b, at, h, 8) != 8)
            return 0;
        for (unsigned c = 4; c < 8; c++)
            if (!isalpha(h[c]))
                return 0;
        if (!memcmp(h + 4, "IEND", 4))
            return 1;
        at += 12 + (uint64_t)be32(h);
        if (at > b->size)
            return 0;
    }
    size_t n = tail_read(b, t, sizeof t);
    return n == sizeof t && !memcmp(t + 8, "IEND", 4);
}

/* ---- others ---- */
static int sound_pdf(const struct body *b)
{
    uint8_t t[2048];
    size_t n = tail_read(b, t, sizeof t);
    return memmem(t, n, "startxref", 9) != NULL;
}

static int sound_mp4(const struct body *b)
{
    uint8_t h[16];
    uint64_t at = 0;
    for (unsigned i = 0; i < STEPS && at < b->size; i++) {
        size_t n = body_read(b, at, h, sizeof h);
        if (n < 8)
            return 0;
        for (unsigned c = 4; c < 8; c++)
            if (!isprint(h[c]) && h[c] != 0xa9)
                return 0;
        uint64_t length = be32(h);
        if (length == 1 && n == 16)
            length = (uint64_t)be32(h + 8) << 32 | be32(h + 12);
        if (!length)
            return 1;
        if (length < 8 || length > b->size - at)
            return 0;
        at += length;
    }
    return 1;
}

static int sound_xz(const struct body *b)
{
    uint8_t h[12], t[2];
    if (body_read(b, 0, h, sizeof h) != sizeof h || tail_read(b, t, sizeof t) != sizeof t || b->size % 4)
        return 0;
    return !memcmp(t, "YZ", 2) && crc32(0, h + 6, 2) == le32(h + 8);
}

static int sound_sevenzip(const struct body *b)
{
    uint8_t h[32];
    if (body_read(b, 0, h, sizeof h) != sizeof h || crc32(0, h + 12, 20) != le32(h + 8))
        return 0;
    uint64_t at = le32(h + 12) | (uint64_t)le32(h + 16) << 32, n = le32(h + 20) | (uint64_t)le32(h + 24) << 32;
    return at <= b->size && n <= b->size && 32 + at + n <= b->size;
}

static int sound_riff(const struct body *b)
{
    uint8_t h[16];
    if (body_read(b, 0, h, sizeof h) != sizeof h)
        return 0;
    for (unsigned i = 8; i < 16; i++)
        if (!isprint(h[i]))
            return 0;
    uint8_t p[PIECE];
    /* Plain sound knows its neighbours. */
    bool plain = !memcmp(h + 8, "WAVEfmt ", 8) && body_read(b, 20, p, 2) == 2 && le16(p) == 1;
    if (plain && bytes_random(p, body_read(b, b->size / 2, p, sizeof p)))
        return 0;
    return (uint64_t)le32(h + 4) + 8 <= b->size + 1;
}

static int sound_ogg(const struct body *b)
{
    uint8_t h[27 + 255];
    uint64_t at = 0;
    for (unsigned i = 0; i < 16 && at < b->size; i++) {
        size_t n = body_read(b, at, h, sizeof h);
        if (n < 27 || memcmp(h, "OggS", 4) || n < 27u + h[26])
            return 0;
        at += 27u + h[26];
        for (unsigned s = 0; s < h[26]; s++)
            at += h[27 + s];
    }
    return 1;
}

static int sound_bzip2(const struct body *b)
{
    uint8_t h[14];
    /* After the block's mark and sum: bits "randomised" (never set) and a pointer below 900,000. */
    if (body_read(b, 0, h, sizeof h) != sizeof h)
        return -1;
    return !memcmp(h + 4, "1AY&SY", 6) ? (b->size < 18 ? -1 : 1) : 1;
}

int form_sound(const struct body *b, enum kind k)
{
    static int (*const tests[KIND_COUNT])(const struct body *) = {
        [KIND_IS_ZIP] = sound_zip, [KIND_IS_GZIP] = sound_gzip, [KIND_IS_JPEG] = sound_jpeg, [KIND_IS_PNG] = sound_png,
        [KIND_IS_PDF] = sound_pdf, [KIND_IS_MP4] = sound_mp4, [KIND_IS_XZ] = sound_xz, [KIND_IS_SEVENZIP] = sound_sevenzip,
        [KIND_IS_RIFF] = sound_riff, [KIND_IS_OGG] = sound_ogg, [KIND_IS_BZIP2] = sound_bzip2,
    };
    return k < KIND_COUNT && tests[k] ? tests[k](b) : -1;
}

/* ---- pages of databases ---- */
static int page_sqlite(const uint8_t *head, size_t head_n, uint64_t size, uint64_t offset, const uint8_t *page, size_t n)
{
    unsigned bytes = head_n < 18 ? 0 : (unsigned)head[16] << 8 | head[17];
    bytes = bytes == 1 ? 65536 : bytes;
    if (bytes < 512 || (bytes & (bytes - 1)) || offset % bytes || offset == 0 || n < 8)
        return -1;
    uint64_t pages = size / bytes + 1;
    if (page[0] == 2 || page[0] == 5 || page[0] == 10 || page[0] == 13 || be32(page) <= pages)
        return 1;
    return page[0] >= 1 && page[0] <= 5 && be32(page + 1) <= pages; /* a map of pointers */
}

int form_page(enum kind k, const uint8_t *head, size_t head_n, uint64_t size, uint64_t offset, const uint8_t *page, size_t n)
{
    static const uint8_t none[24];
    if (n < 38)
        return -1;
    if (k == KIND_IS_SQLITE)
        return page_sqlite(head, head_n, size, offset, page, n);
    if (k == KIND_IS_PGPAGE) {
        unsigned lower = le16(page + 12), upper = le16(page + 14), special = le16(page + 16);
        if (offset % 8192)
            return -1;
        return !memcmp(page, none, 24) || (le16(page + 18) == 0x2004 && lower <= upper && upper <= special && special <= 8192);
    }
    if (k == KIND_IS_INNODB)
        return offset % 16384 ? -1 : be32(page + 4) == offset / 16384 || !memcmp(page, none, 24);
    return -1;
}

/* ---- a compressed copy ---- */
/* Pixels as they are filtered, before compression. */
static ssize_t open_png(const struct body *b, uint8_t *in, uint8_t *out, size_t n)
{
    uint64_t at = 8;
    for (unsigned i = 0; i < STEPS && body_read(b, at, in, 8) == 8; i++) {
        uint32_t length = be32(in);
        if (!memcmp(in + 4, "IDAT", 4)) {
            size_t got = body_read(b, at + 8, in, PIECE);
            return inflate_some(in, got < length ? got : length, 15, out, n);
        }
        at += 12 + (uint64_t)length;
    }
    return -1;
}

/* The beginning of what packed holds into out (PIECE bytes); -1 it cannot be opened here. */
static ssize_t open_box(const struct body *packed, enum kind k, uint8_t *out)
{
    uint8_t in[PIECE];
    struct zip_entry e;
    if (k == KIND_IS_GZIP)
        return inflate_some(in, body_read(packed, 0, in, sizeof in), 15 + 16, out, PIECE);
    if (k == KIND_IS_TAR)
        return (ssize_t)body_read(packed, 512, out, PIECE);
    if (k == KIND_IS_PNG)
        return open_png(packed, in, out, PIECE);
    if (k != KIND_IS_ZIP || !zip_local(packed, 0, &e) || e.flags & 1)
        return -1;
    size_t n = body_read(packed, e.data, e.method == 0 ? out : in, PIECE);
    if (e.method == 0)
        return (ssize_t)(e.packed && e.packed < n ? e.packed : n);
    return e.method == 8 ? inflate_some(in, n, -15, out, PIECE) : -1;
}

int form_holds(const struct body *packed, enum kind k, const struct body *plain)
{
    uint8_t out[PIECE], was[PIECE];
    ssize_t got = k == KIND_IS_PNG ? -1 : open_box(packed, k, out);
    if (got < 0)
        return -1;
    size_t n = body_read(plain, 0, was, sizeof was), m = n < (size_t)got ? n : (size_t)got;
    return (m >= 16 || m == n) && !memcmp(out, was, m);
}

bool form_hides(const struct body *packed, enum kind k)
{
    uint8_t out[PIECE];
    ssize_t got = open_box(packed, k, out);
    if (k == KIND_IS_TAR && got > 0 && got % 512 == 0) /* filled up with zeros */
        while (got > 16 && !out[got - 1])
            got--;
    return got > 0 && bytes_random(out, (size_t)got);
}
