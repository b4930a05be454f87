#include "test.h"
#include <iconv.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include "ransom_kit.h"

/* ---- contents ---- */
static uint64_t next_of(uint64_t *s)
{
    *s += 0x9e3779b97f4a7c15u;
    uint64_t z = *s;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void noise(uint8_t *p, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(next_of(&seed) >> 24);
}

static uint8_t *text_of(const char *const *words, unsigned words_n, uint64_t seed, size_t about, size_t *ret_n)
{
    uint8_t *p = malloc(about + 64);
    size_t n = 0;
    assert_non_null(p);
    for (unsigned i = 0; n < about; i++) {
        const char *w = words[next_of(&seed) % words_n];
        n += (size_t)snprintf((char *)p + n, 64, "%s%s", w, i % 12 == 11 ? "\r\n" : " ");
    }
    *ret_n = n;
    return p;
}

static uint8_t *make_text(uint64_t seed, size_t about, size_t *ret_n)
{
    static const char *const words[] = {"the", "patient", "came", "with", "fever", "診察", "処方", "血圧", "120/80", "and", "was", "given", "2",
        "tablets", "a", "day", "再来", "検査", "of", "on", "次回", "予約", "内科"};
    return text_of(words, sizeof words / sizeof words[0], seed, about, ret_n);
}

static uint8_t *make_sjis(uint64_t seed, size_t about, size_t *ret_n)
{
    size_t n, left;
    uint8_t *utf = make_text(seed, about, &n), *out = malloc(n + 16);
    iconv_t c = iconv_open("CP932", "UTF-8");
    char *in = (char *)utf, *to = (char *)out;
    left = n;
    size_t room = n + 16;
    assert_true(out && c != (iconv_t)-1 && iconv(c, &in, &left, &to, &room) != (size_t)-1);
    iconv_close(c);
    free(utf);
    *ret_n = n + 16 - room;
    return out;
}

static uint8_t *make_hl7(uint64_t seed, size_t about, size_t *ret_n)
{
    uint8_t *p = malloc(about + 512);
    size_t n = 0;
    assert_non_null(p);
    n += (size_t)snprintf((char *)p, 256, "MSH|^~\\&|ORCA|CLINIC|SSMIX2|BOX|20260401||ADT^A08|%u|P|2.5\r", (unsigned)seed);
    while (n < about)
        n += (size_t)snprintf((char *)p + n, 256, "OBX|%u|NM|2A990%06u^WBC||%u.%u|10*3/uL|3.5-9.0|N|||F\r", (unsigned)n % 97,
            (unsigned)(next_of(&seed) % 999999), (unsigned)(next_of(&seed) % 9), (unsigned)(next_of(&seed) % 9));
    *ret_n = n;
    return p;
}

static uint8_t *make_csv(uint64_t seed, size_t about, size_t *ret_n)
{
    uint8_t *p = malloc(about + 512);
    size_t n = 0;
    assert_non_null(p);
    while (n < about)
        n += (size_t)snprintf((char *)p + n, 200, "%u,%u,2026-%02u-%02u,%u.%02u,\"%s\"\n", (unsigned)(next_of(&seed) % 100000),
            (unsigned)(next_of(&seed) % 4), (unsigned)(next_of(&seed) % 12 + 1), (unsigned)(next_of(&seed) % 28 + 1),
            (unsigned)(next_of(&seed) % 3000), (unsigned)(next_of(&seed) % 100), next_of(&seed) % 2 ? "male" : "female");
    *ret_n = n;
    return p;
}

/* Marker segments, then coded bytes as an encoder stuffs them. */
static uint8_t *make_jpeg(uint64_t seed, size_t about, size_t *ret_n)
{
    static const uint8_t head[] = {0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0xff, 0xdb, 0, 67, 0};
    uint8_t *p = malloc(about + 1024);
    assert_non_null(p);
    memcpy(p, head, sizeof head);
    size_t n = sizeof head;
    for (unsigned i = 0; i < 64; i++)
        p[n++] = (uint8_t)(i + 8);
    memcpy(p + n, "\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0", 14);
    for (n += 14; n < about;) {
        uint64_t v = next_of(&seed);
        uint8_t b = (uint8_t)(v % 7 ? v >> 16 : v >> 17); /* a little uneven, as they are */
        p[n++] = b;
        if (b == 0xff)
            p[n++] = 0;
    }
    memcpy(p + n, "\xff\xd9", 2);
    *ret_n = n + 2;
    return p;
}

static void be32_put(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static size_t chunk(uint8_t *p, const char *type, const uint8_t *data, uint32_t n)
{
    be32_put(p, n);
    memcpy(p + 4, type, 4);
    memcpy(p + 8, data, n);
    be32_put(p + 8 + n, (uint32_t)crc32(crc32(0, (const Bytef *)type, 4), data, n));
    return 12 + (size_t)n;
}

static uint8_t *deflated(const uint8_t *p, size_t n, int window, size_t *ret_n)
{
    uint8_t *out = malloc(compressBound(n) + 64);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)(compressBound(n) + 64)};
    assert_true(out && deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK && deflate(&z, Z_FINISH) == Z_STREAM_END);
    *ret_n = z.total_out;
    deflateEnd(&z);
    return out;
}

uint8_t *make_gzip(const uint8_t *p, size_t n, size_t *ret_n)
{
    return deflated(p, n, 31, ret_n);
}

static uint8_t *make_png(uint64_t seed, size_t about, size_t *ret_n)
{
    uint8_t *raw = malloc(about * 2), *p, head[13] = {0, 0, 1, 0, 0, 0, 1, 0, 8, 2};
    assert_non_null(raw);
    noise(raw, about * 2, seed);
    for (size_t i = 0; i < about * 2; i++)
        raw[i] &= 15;
    size_t n;
    uint8_t *z = deflated(raw, about * 2, 15, &n);
    p = malloc(n + n / 8192 * 12 + 256);
    assert_non_null(p);
    memcpy(p, "\x89PNG\r\n\x1a\n", 8);
    size_t at = 8 + chunk(p + 8, "IHDR", head, 13);
    for (size_t i = 0; i < n; i += 8192)
        at += chunk(p + at, "IDAT", z + i, (uint32_t)(n - i < 8192 ? n - i : 8192));
    at += chunk(p + at, "IEND", z, 0);
    free(raw);
    free(z);
    *ret_n = at;
    return p;
}

static uint8_t *make_pdf(uint64_t seed, size_t about, size_t *ret_n)
{
    size_t text_n, n, at;
    uint8_t *text = make_text(seed, about * 3, &text_n), *z = deflated(text, text_n, 15, &n), *p = malloc(n + 1024);
    assert_non_null(p);
    at = (size_t)snprintf((char *)p, 512, "%%PDF-1.5\n%%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n3 0 obj\n<</Length %zu/Filter/"
        "FlateDecode>>\nstream\n", n);
    memcpy(p + at, z, n);
    at += n;
    at += (size_t)snprintf((char *)p + at, 512, "\nendstream\nendobj\nxref\n0 4\n0000000000 65535 f \ntrailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%zu\n%%%%EOF\n",
        at);
    free(text);
    free(z);
    *ret_n = at;
    return p;
}

static void le_put(uint8_t *p, uint32_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

uint8_t *make_zip(const char *name, const uint8_t *in, size_t in_n, bool locked, size_t *ret_n)
{
    size_t n, name_n = strlen(name);
    uint8_t *z = deflated(in, in_n, -15, &n), *p = calloc(1, n + 2 * name_n + 256);
    assert_non_null(p);
    if (locked)
        noise(z, n, 77);
    memcpy(p, "PK\3\4\x14\0", 6);
    p[6] = locked;
    p[8] = 8;
    le_put(p + 14, (uint32_t)crc32(0, in, (uInt)in_n), 4);
    le_put(p + 18, (uint32_t)n, 4);
    le_put(p + 22, (uint32_t)in_n, 4);
    le_put(p + 26, (uint32_t)name_n, 2);
    memcpy(p + 30, name, name_n);
    memcpy(p + 30 + name_n, z, n);
    size_t at = 30 + name_n + n, dir = at;
    memcpy(p + at, "PK\1\2\x14\0\x14\0", 8);
    p[at + 8] = locked;
    p[at + 10] = 8;
    le_put(p + at + 20, (uint32_t)n, 4);
    le_put(p + at + 28, (uint32_t)name_n, 2);
    memcpy(p + at + 46, name, name_n);
    at += 46 + name_n;
    memcpy(p + at, "PK\5\6", 4);
    p[at + 8] = p[at + 10] = 1;
    le_put(p + at + 12, (uint32_t)(at - dir), 4);
    le_put(p + at + 16, (uint32_t)dir, 4);
    free(z);
    *ret_n = at + 22;
    return p;
}

static uint8_t *make_docx(uint64_t seed, size_t about, size_t *ret_n)
{
    size_t n;
    uint8_t *text = make_text(seed, about * 3, &n), *p = make_zip("word/document.xml", text, n, false, ret_n);
    free(text);
    return p;
}

static uint8_t *make_dicom(uint64_t seed, size_t about, size_t *ret_n)
{
    uint8_t *p = calloc(1, about + 1024);
    assert_non_null(p);
    memcpy(p + 128, "DICM\2\0\0\0UL\4\0\xc0\0\0\0\2\0\2\0UI\x1a\0" "1.2.840.10008.5.1.4.1.1.2\0", 4 + 12 + 8 + 26);
    for (size_t i = 400; i + 1 < about; i += 2) {
        uint32_t v = (uint32_t)(1000 + (i / 512) % 600 + next_of(&seed) % 24);
        p[i] = (uint8_t)v;
        p[i + 1] = (uint8_t)(v >> 8);
    }
    *ret_n = about;
    return p;
}

static uint8_t *make_sqlite(uint64_t seed, size_t about, size_t *ret_n)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, at TEXT); BEGIN", NULL, NULL, NULL), SQLITE_OK);
    for (size_t n = 0; n < about; n += 120) {
        char sql[256];
        (void)snprintf(sql, sizeof sql, "INSERT INTO t(name,at) VALUES('patient %u of the clinic in Handa', '2026-04-01 %u; temperature and so on, as told')",
            (unsigned)next_of(&seed), (unsigned)n);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    }
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_int64 n;
    unsigned char *s = sqlite3_serialize(db, "main", &n, 0);
    uint8_t *p = malloc((size_t)n);
    assert_true(s && p);
    memcpy(p, s, (size_t)n);
    sqlite3_free(s);
    sqlite3_close(db);
    *ret_n = (size_t)n;
    return p;
}

static uint8_t *make_ole(uint64_t seed, size_t about, size_t *ret_n)
{
    uint8_t *p = make_text(seed, about + 512, ret_n);
    memset(p, 0, 512);
    memcpy(p, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8);
    return p;
}

static uint8_t *make_mp4(uint64_t seed, size_t about, size_t *ret_n)
{
    uint8_t *p = calloc(1, about + 1024);
    assert_non_null(p);
    be32_put(p, 24);
    memcpy(p + 4, "ftypisom", 8);
    be32_put(p + 24, (uint32_t)about);
    memcpy(p + 28, "mdat", 4);
    noise(p + 32, about - 8, seed);
    be32_put(p + 24 + about, 400);
    memcpy(p + 28 + about, "moov", 4);
    *ret_n = 24 + about + 400;
    return p;
}

static uint8_t *make_pgpages(uint64_t seed, size_t about, size_t *ret_n)
{
    size_t pages = about / 8192 + 2, n;
    uint8_t *p = calloc(pages, 8192), *text = make_text(seed, pages * 8192, &n);
    assert_non_null(p);
    for (size_t i = 0; i < pages; i++) {
        uint8_t *page = p + i * 8192;
        memcpy(page + 200, text + i * 8192, 8192 - 200);
        le_put(page + 12, 100, 2);
        le_put(page + 14, 200, 2);
        le_put(page + 16, 8192, 2);
        le_put(page + 18, 0x2004, 2);
        page[4] = (uint8_t)i;
    }
    free(text);
    *ret_n = pages * 8192;
    return p;
}

static uint8_t *make_tiny(uint64_t seed, size_t about, size_t *ret_n)
{
    (void)about;
    return make_text(seed, 40 + seed % 300, ret_n);
}

static uint8_t *make_log(uint64_t seed, size_t about, size_t *ret_n)
{
    size_t n;
    uint8_t *text = make_csv(seed, about * 3, &n), *p = make_gzip(text, n, ret_n);
    free(text);
    return p;
}

uint8_t *make(enum made kind, unsigned seed, size_t about, size_t *ret_n)
{
    static uint8_t *(*const makers[])(uint64_t, size_t, size_t *) = {
        [MADE_TEXT] = make_text, [MADE_SJIS] = make_sjis, [MADE_HL7] = make_hl7, [MADE_CSV] = make_csv, [MADE_JPEG] = make_jpeg,
        [MADE_PNG] = make_png, [MADE_PDF] = make_pdf, [MADE_DOCX] = make_docx, [MADE_DICOM] = make_dicom, [MADE_SQLITE] = make_sqlite,
        [MADE_OLE] = make_ole, [MADE_TINY] = make_tiny, [MADE_GZIP] = make_log, [MADE_MP4] = make_mp4, [MADE_PGPAGES] = make_pgpages,
    };
    return makers[kind](seed * 1000003u + kind, about, ret_n);
}

uint8_t *make_base64(const uint8_t *p, size_t n, size_t *ret_n)
{
    struct sm_buf b = {0};
    assert_int_equal(sm_base64(SM_SPAN(p, n), &b), 0);
    *ret_n = b.n;
    return b.p;
}

/* ---- the machine ---- */
static struct vfile *by_id(const struct machine *m, uint64_t id)
{
    return id && id <= m->n ? m->files[id - 1] : NULL;
}

static int look_now(void *ctx, uint64_t id, uint64_t *ret_size, unsigned *ret_links)
{
    const struct vfile *f = by_id(ctx, id);
    if (!f || f->forgotten)
        return -SM_ENOTFOUND;
    *ret_size = f->n;
    *ret_links = f->links;
    return 0;
}

static ssize_t part(const uint8_t *p, size_t size, uint64_t offset, uint8_t *buf, size_t n)
{
    if (offset >= size)
        return 0;
    size_t got = size - offset < n ? size - offset : n;
    memcpy(buf, p + offset, got);
    return (ssize_t)got;
}

static ssize_t read_now(void *ctx, uint64_t id, uint64_t offset, uint8_t *buf, size_t n)
{
    const struct vfile *f = by_id(ctx, id);
    return f && !f->forgotten ? part(f->p, f->n, offset, buf, n) : -SM_ENOTFOUND;
}

static int kept_of(const struct vfile *f, uint64_t tree)
{
    for (int i = 0; f && i < KEPT; i++)
        if (f->kept[i].tree == tree)
            return i;
    return -1;
}

static int look_before(void *ctx, uint64_t tree, uint64_t id, uint64_t *ret_size)
{
    const struct vfile *f = by_id(ctx, id);
    int k = kept_of(f, tree);
    if (k < 0)
        return -SM_ENOTFOUND;
    *ret_size = f->kept[k].n;
    return 0;
}

static ssize_t read_before(void *ctx, uint64_t tree, uint64_t id, uint64_t offset, uint8_t *buf, size_t n)
{
    const struct vfile *f = by_id(ctx, id);
    int k = kept_of(f, tree);
    return k < 0 ? -SM_ENOTFOUND : part(f->kept[k].p, f->kept[k].n, offset, buf, n);
}

void machine_new(struct machine *m, int sensitivity)
{
    *m = (struct machine){.tree = 1, .pid = 100, .now_ms = 1000, .step_ms = 1, .keeps = true, .program = "/home/u/prog", .line = "prog"};
    struct ransom_files files = {m, look_now, look_before, read_now, read_before};
    m->r = ransom_new(&files, sensitivity);
    assert_non_null(m->r);
}

void machine_free(struct machine *m)
{
    ransom_free(m->r);
    for (size_t i = 0; i < m->n; i++) {
        for (int k = 0; k < KEPT; k++)
            free(m->files[i]->kept[k].p);
        free(m->files[i]->p);
        free(m->files[i]->first);
        free(m->files[i]);
    }
}

static uint8_t *copy_of(const uint8_t *p, size_t n)
{
    uint8_t *c = malloc(n + 1);
    assert_non_null(c);
    if (n)
        memcpy(c, p, n);
    return c;
}

static struct vfile *add(struct machine *m, const char *path)
{
    assert_true(m->n < FILES);
    struct vfile *f = calloc(1, sizeof *f);
    assert_non_null(f);
    (void)snprintf(f->path, sizeof f->path, "%s", path);
    f->links = 1;
    m->files[m->n++] = f;
    f->id = m->n;
    return f;
}

struct vfile *put(struct machine *m, const char *path, const uint8_t *p, size_t n)
{
    struct vfile *f = add(m, path);
    f->p = copy_of(p, n);
    f->first = copy_of(p, n);
    f->n = f->first_n = n;
    memcpy(f->first_path, f->path, sizeof f->path);
    return f;
}

void fill(struct machine *m, unsigned n, size_t about)
{
    static const char *const endings[MADE_COUNT] = {"txt", "txt", "hl7", "csv", "jpg", "png", "pdf", "docx", "dcm", "db", "xls", "ini", "gz", "mp4", ""};
    for (unsigned i = 0; i < n; i++) {
        char path[200];
        size_t bytes;
        enum made k = (enum made)(i * 5 % MADE_PGPAGES);
        uint8_t *p = make(k, i + 1, about, &bytes);
        (void)snprintf(path, sizeof path, "/home/u/%c/file%03u.%s", 'a' + (int)(i % 5), i, endings[k]);
        put(m, path, p, bytes);
        free(p);
    }
}

struct vfile *at(struct machine *m, const char *path)
{
    for (size_t i = m->n; i-- > 0;)
        if (m->files[i]->links && !strcmp(m->files[i]->path, path))
            return m->files[i];
    return NULL;
}

static bool tell(struct machine *m, uint8_t how, const struct vfile *f, const char *path, const char *to)
{
    if (m->stopped)
        return false;
    struct ransom_act a = {.tree = m->tree, .file = f && !f->forgotten ? f->id : 0, .pid = m->pid, .how = how, .who = (uint8_t)m->who, .at_ms = m->now_ms,
        .size = f ? f->n : 0, .path = SM_SPAN_STR(path), .to = to ? SM_SPAN_STR(to) : SM_SPAN(NULL, 0), .program = SM_SPAN_STR(m->program),
        .line = SM_SPAN_STR(m->line), .decoy = strstr(path, "decoy") != NULL};
    assert_int_equal(ransom_act(m->r, &a, &m->last), 0);
    m->waits += m->last.wait_ms != 0;
    m->now_ms += m->step_ms;
    m->stopped = m->last.say == RANSOM_STOP;
    return !m->stopped;
}

struct vfile *open_read(struct machine *m, const char *path)
{
    struct vfile *f = at(m, path);
    assert_non_null(f);
    return tell(m, RANSOM_READ, f, path, NULL) ? f : NULL;
}

struct vfile *open_write(struct machine *m, const char *path, bool cut)
{
    struct vfile *f = at(m, path);
    assert_non_null(f);
    if (!tell(m, cut ? RANSOM_EMPTY : RANSOM_WRITE, f, path, NULL))
        return NULL;
    if (m->last.wait_ms && !tell(m, cut ? RANSOM_EMPTY : RANSOM_WRITE, f, path, NULL))
        return NULL;
    if (kept_of(f, m->tree) < 0) {
        int k = kept_of(f, 0);
        if (m->keeps && k >= 0) {
            f->kept[k].p = copy_of(f->p, f->n);
            f->kept[k].n = f->n;
            f->kept[k].tree = m->tree;
        } else {
            ransom_unkept(m->r, m->tree, f->id);
        }
    }
    if (cut)
        f->n = 0;
    return f;
}

struct vfile *open_new(struct machine *m, const char *path)
{
    if (m->stopped)
        return NULL;
    struct vfile *f = add(m, path);
    f->p = copy_of(NULL, 0);
    return tell(m, RANSOM_NEW, f, path, NULL) ? f : NULL;
}

bool set(struct machine *m, struct vfile *f, const uint8_t *p, size_t n)
{
    if (m->stopped || !f)
        return false;
    uint8_t *c = copy_of(p, n);
    free(f->p);
    f->p = c;
    f->n = n;
    return true;
}

bool close_written(struct machine *m, struct vfile *f)
{
    return f && tell(m, RANSOM_WRITTEN, f, f->path, NULL);
}

bool make_file(struct machine *m, const char *path, const uint8_t *p, size_t n)
{
    struct vfile *f = open_new(m, path);
    return set(m, f, p, n) && close_written(m, f);
}

bool rename_to(struct machine *m, const char *from, const char *to)
{
    struct vfile *f = at(m, from), *over = at(m, to);
    char was[200];
    if (m->stopped)
        return false;
    assert_non_null(f);
    (void)snprintf(was, sizeof was, "%s", from);
    if (over)
        over->links = 0;
    (void)snprintf(f->path, sizeof f->path, "%s", to);
    return tell(m, RANSOM_RENAMED, f, was, to);
}

bool remove_it(struct machine *m, const char *path)
{
    struct vfile *f = at(m, path);
    if (m->stopped)
        return false;
    assert_non_null(f);
    f->links = 0;
    return tell(m, RANSOM_REMOVED, f, path, NULL);
}

unsigned harmed(const struct machine *m)
{
    unsigned n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct vfile *f = m->files[i];
        n += f->first && (!f->links || f->n != f->first_n || memcmp(f->p, f->first, f->n) || strcmp(f->path, f->first_path));
    }
    return n;
}

unsigned points_of(const struct machine *m, const char *reason)
{
    json_t *o = NULL, *row;
    size_t i;
    unsigned points = 0;
    assert_int_equal(ransom_explain(m->r, m->tree, &o), 0);
    json_array_foreach(json_object_get(o, "reasons"), i, row)
        if (!strcmp(json_string_value(json_object_get(row, "id")), reason))
            points = (unsigned)json_integer_value(json_object_get(row, "points"));
    json_decref(o);
    return points;
}
