#include "vault/backup/canary.h"
#include <errno.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "plat/fs.h"

#define CANARY_FILE_MAX ((size_t)256 << 10)
#define LIST_MAX ((size_t)1 << 20)
#define LIST_NAME 48

/* Names a person would give, sorting before and after nearly everything else in Japanese and in English. */
static const char *const first_name[] = { "!00_\xe9\x87\x8d\xe8\xa6\x81", "#0_backup", "$00_\xe5\x8f\xb0\xe5\xb8\xb3",
    "!0_list" };
static const char *const last_name[] = { "~\xe9\xa0\x86\xe7\x95\xaa", "~zz_archive", "\xef\xbd\x9e\xe6\xa7\x98\xe5\xbc\x8f",
    "~zz_\xe6\xa7\x98\xe5\xbc\x8f" };
static const char *const extension[] = { "csv", "pdf", "rtf" };

/* Bytes that hang on the seed, one after the other. */
struct stream { uint8_t seed[32], block[CRYPTO_SHA256_LEN]; uint64_t counter; size_t used; };

static unsigned stream_next(struct stream *s, unsigned below)
{
    if (s->used == 0) {
        uint8_t n[8];
        for (size_t i = 0; i < 8; i++)
            n[i] = (uint8_t)(s->counter >> (8 * i));
        s->counter++;
        crypto_sha256v((struct sm_span[]){ SM_SPAN(s->seed, sizeof s->seed), SM_SPAN(n, 8) }, 2, s->block);
        s->used = sizeof s->block / 2;
    }
    s->used--;
    return (unsigned)(s->block[2 * s->used] | s->block[2 * s->used + 1] << 8) % below;
}

static int line_put(struct sm_buf *b, struct stream *s, unsigned n)
{
    return sm_buf_printf(b, "%05u,20%02u-%02u-%02u,%u,%u,%u.%02u\r\n", n + 10000, 15 + stream_next(s, 11),
        1 + stream_next(s, 12), 1 + stream_next(s, 28), stream_next(s, 90), 1 + stream_next(s, 900), stream_next(s, 300),
        stream_next(s, 100));
}

static int lines_put(struct sm_buf *b, struct stream *s)
{
    unsigned n = 60 + stream_next(s, 300);
    int e = 0;
    for (unsigned i = 0; e == 0 && i < n; i++)
        e = line_put(b, s, i);
    return e;
}

static int csv_put(struct sm_buf *b, struct stream *s)
{
    int e = sm_buf_printf(b, "no,date,age,amount,value\r\n");
    return e < 0 ? e : lines_put(b, s);
}

static int rtf_put(struct sm_buf *b, struct stream *s)
{
    int e = sm_buf_printf(b, "{\\rtf1\\ansi\\ansicpg932\\deff0{\\fonttbl{\\f0 MS Gothic;}}\\f0\\fs21\r\n");
    e = e < 0 ? e : lines_put(b, s);
    return e < 0 ? e : sm_buf_printf(b, "\\par}\r\n");
}

/* A page with one line of text (PDF 1.4): xref offsets are those of the objects as written here. */
static int pdf_put(struct sm_buf *b, struct stream *s)
{
    size_t at[6];
    char text[64];
    int e = sm_buf_printf(b, "%%PDF-1.4\n");
    (void)snprintf(text, sizeof text, "BT /F1 12 Tf 72 720 Td (%05u-%05u) Tj ET", stream_next(s, 60000), stream_next(s, 60000));
    at[1] = b->n;
    e = e < 0 ? e : sm_buf_printf(b, "1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n");
    at[2] = b->n;
    e = e < 0 ? e : sm_buf_printf(b, "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n");
    at[3] = b->n;
    e = e < 0 ? e : sm_buf_printf(b, "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R"
        "/Resources<</Font<</F1 5 0 R>>>>>>endobj\n");
    at[4] = b->n;
    e = e < 0 ? e : sm_buf_printf(b, "4 0 obj<</Length %zu>>stream\n%s\nendstream endobj\n", strlen(text), text);
    at[5] = b->n;
    e = e < 0 ? e : sm_buf_printf(b, "5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n");
    size_t xref = b->n;
    e = e < 0 ? e : sm_buf_printf(b, "xref\n0 6\n0000000000 65535 f \n");
    for (size_t i = 1; e == 0 && i < 6; i++)
        e = sm_buf_printf(b, "%010zu 00000 n \n", at[i]);
    return e < 0 ? e : sm_buf_printf(b, "trailer<</Size 6/Root 1 0 R>>\nstartxref\n%zu\n%%%%EOF\n", xref);
}

static int content_put(unsigned kind, struct sm_buf *b, struct stream *s)
{
    return kind == 0 ? csv_put(b, s) : kind == 1 ? pdf_put(b, s) : rtf_put(b, s);
}

/* Write one anew; half a decoy would look touched, so it is all or nothing. */
static int write_one(int dir, const char *name, struct sm_span content)
{
    int fd = plat_fs_create(dir, name, PLAT_FS_EXCL, 0644);
    if (fd < 0)
        return fd;
    int e = plat_fs_write_all(fd, content);
    e = e < 0 ? e : plat_fs_sync(fd);
    (void)close(fd); /* synced, or removed below */
    if (e < 0)
        (void)!plat_fs_unlink(dir, name); /* the error is told */
    return e;
}

static int move_one(int staging, int dir, const char *name, struct sm_span content)
{
    int e = write_one(staging, name, content);
    if (e == -EEXIST) { /* of a run that was killed */
        e = plat_fs_unlink(staging, name);
        e = e < 0 ? e : write_one(staging, name, content);
    }
    if (e < 0)
        return e;
    e = plat_fs_rename(staging, name, dir, name, false);
    if (e < 0)
        (void)!plat_fs_unlink(staging, name); /* the error is told */
    return e;
}

static int lay_one(
    int dir, const char *folder, const char *name, struct sm_span content, int staging, struct canary *ret)
{
    struct sm_buf have = SM_BUF_INIT(CANARY_FILE_MAX);
    int n = snprintf(ret->path, sizeof ret->path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof ret->path)
        return -SM_ELIMIT;
    ret->size = content.n;
    crypto_sha256(content, ret->sha256);
    int e = staging < 0 ? write_one(dir, name, content) : move_one(staging, dir, name, content);
    if (e == -EEXIST) {
        e = plat_fs_read_file(dir, name, CANARY_FILE_MAX, &have);
        bool same = e == 0 && sm_span_eq(sm_buf_span(&have), content);
        sm_buf_wipe(&have);
        return same ? 0 : -SM_EEXISTS;
    }
    return e;
}

int canary_lay(const char *folder, const uint8_t seed[32], int staging, struct canary *ret)
{
    struct canary c[CANARY_EACH] = { 0 };
    int dir = plat_fs_open_dir(AT_FDCWD, folder), e = dir < 0 ? dir : 0;
    for (unsigned i = 0; e == 0 && i < CANARY_EACH; i++) {
        struct stream s = { 0 };
        struct sm_buf content = SM_BUF_INIT(CANARY_FILE_MAX);
        char name[200];
        const uint8_t side = (uint8_t)i;
        crypto_sha256v((struct sm_span[]){ SM_SPAN(seed, 32), SM_SPAN_STR(folder), SM_SPAN(&side, 1) }, 3, s.seed);
        unsigned kind = stream_next(&s, 3);
        (void)snprintf(name, sizeof name, "%s_%04u.%s", (i ? last_name : first_name)[stream_next(&s, 4)],
            stream_next(&s, 10000), extension[kind]);
        e = content_put(kind, &content, &s);
        e = e < 0 ? e : lay_one(dir, folder, name, sm_buf_span(&content), staging, &c[i]);
        sm_buf_wipe(&content);
    }
    if (dir >= 0)
        (void)close(dir); /* a folder: nothing to lose */
    if (e == 0)
        memcpy(ret, c, sizeof c);
    return e;
}

int canary_check(const struct canary *c, enum canary_state *ret_state)
{
    struct sm_buf have = SM_BUF_INIT(CANARY_FILE_MAX);
    uint8_t h[CRYPTO_SHA256_LEN];
    int fd = plat_fs_open_read(AT_FDCWD, c->path), e = fd < 0 ? fd : 0;
    uint64_t size = 0;
    if (e == -ENOENT || e == -ENOTDIR) {
        *ret_state = CANARY_GONE;
        return 0;
    }
    if (e == -ELOOP) { /* a link in its place */
        *ret_state = CANARY_CHANGED;
        return 0;
    }
    e = e < 0 ? e : plat_fs_size(fd, &size);
    bool whole = e == 0 && size == c->size;
    if (whole) {
        e = sm_buf_reserve(&have, (size_t)size);
        e = e < 0 ? e : plat_fs_pread_all(fd, have.p, (size_t)size, 0);
        crypto_sha256(SM_SPAN(have.p, e == 0 ? (size_t)size : 0), h);
        whole = e == 0 && memcmp(h, c->sha256, sizeof h) == 0;
    }
    if (fd >= 0)
        (void)close(fd); /* was only read */
    sm_buf_wipe(&have);
    if (e == 0)
        *ret_state = whole ? CANARY_WHOLE : CANARY_CHANGED;
    return e;
}

int canary_remove(const struct canary *c)
{
    enum canary_state s = CANARY_GONE;
    int e = canary_check(c, &s);
    if (e < 0 || s == CANARY_GONE)
        return e;
    return s == CANARY_WHOLE ? plat_fs_unlink(AT_FDCWD, c->path) : -SM_EMISMATCH;
}

/* ---- the list: "sakimori canaries 1\n", then a line each: sha256 hex, size, path hex ---- */

#define LIST_HEAD "sakimori canaries 1\n"

static void list_name(const struct source_id *source, char ret[LIST_NAME])
{
    char hex[33];
    sm_hex(source->b, sizeof source->b, hex);
    (void)snprintf(ret, LIST_NAME, "canaries-%s", hex);
}

int canary_list_save(int state_dir, const struct source_id *source, const struct canary *c, size_t n)
{
    char name[LIST_NAME], hex[2 * CANARY_PATH_MAX + 1];
    struct sm_buf b = SM_BUF_INIT(LIST_MAX);
    list_name(source, name);
    int e = sm_buf_printf(&b, LIST_HEAD);
    for (size_t i = 0; e == 0 && i < n; i++) {
        sm_hex(c[i].sha256, 32, hex);
        e = sm_buf_printf(&b, "%s %llu ", hex, (unsigned long long)c[i].size);
        sm_hex(c[i].path, strnlen(c[i].path, CANARY_PATH_MAX - 1), hex);
        e = e < 0 ? e : sm_buf_printf(&b, "%s\n", hex);
    }
    if (e == 0)
        e = plat_replace(state_dir, name, sm_buf_span(&b), 0600);
    sm_buf_wipe(&b);
    return e;
}

/* One line at s[0..n) without its end. */
static int line_read(const char *s, size_t n, struct canary *ret)
{
    struct canary c = { 0 };
    if (n < 68 || s[64] != ' ' || sm_unhex(s, 64, c.sha256, 32) < 0)
        return -SM_EFORMAT;
    size_t at = 65;
    for (; at < n && s[at] >= '0' && s[at] <= '9' && c.size < CANARY_FILE_MAX; at++)
        c.size = c.size * 10 + (uint64_t)(s[at] - '0');
    if (at == 65 || at + 2 >= n || s[at] != ' ' || c.size > CANARY_FILE_MAX)
        return -SM_EFORMAT;
    size_t hex_n = n - at - 1;
    if (hex_n % 2 || hex_n / 2 >= CANARY_PATH_MAX || sm_unhex(s + at + 1, hex_n, c.path, hex_n / 2) < 0)
        return -SM_EFORMAT;
    if (c.path[0] != '/' || strlen(c.path) != hex_n / 2)
        return -SM_EFORMAT;
    *ret = c;
    return 0;
}

int canary_list_load(int state_dir, const struct source_id *source, struct canary *ret, size_t max, size_t *ret_n)
{
    char name[LIST_NAME];
    struct sm_buf b = SM_BUF_INIT(LIST_MAX);
    size_t n = 0, head = strlen(LIST_HEAD);
    list_name(source, name);
    int e = plat_fs_read_file(state_dir, name, LIST_MAX, &b);
    if (e == 0 && (b.n < head || memcmp(b.p, LIST_HEAD, head) != 0))
        e = -SM_EFORMAT;
    for (size_t at = head; e == 0 && at < b.n; n++) {
        const uint8_t *end = memchr(b.p + at, '\n', b.n - at);
        e = !end ? -SM_EFORMAT : n == max ? -SM_ELIMIT : line_read((const char *)b.p + at, (size_t)(end - b.p) - at, &ret[n]);
        at = end ? (size_t)(end - b.p) + 1 : b.n;
    }
    sm_buf_wipe(&b);
    if (e == 0)
        *ret_n = n;
    return e == -ENOENT ? -SM_ENOTFOUND : e;
}
