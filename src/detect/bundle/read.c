/* Reading: frame → tar → signature → manifest → files. */
#include "detect/bundle/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include "core/json.h"
#include "core/time.h"
#include "crypto/hash.h"

struct bundle {
    struct sm_buf plain; /* the tar; files are spans of it */
    json_t *manifest;
    struct bundle_head head;
    struct bundle_key signer;
    bool is_signed;
    struct bundle_file *file;
    size_t n;
};

static int refuse(char *ret_why, int err, const char *why)
{
    snprintf(ret_why, BUNDLE_WHY_MAX, "%s", why);
    return err;
}

/* ---- the frame ---- */

static int unpack_frame(struct sm_span file, struct sm_buf *ret, char *ret_why)
{
    unsigned long long size = ZSTD_getFrameContentSize(file.p, file.n);
    size_t frame = ZSTD_findFrameCompressedSize(file.p, file.n);

    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || ZSTD_isError(frame) || frame != file.n)
        return refuse(ret_why, -SM_EFORMAT, "not one whole zstd frame that says its size");
    if (size > BUNDLE_PLAIN_MAX)
        return refuse(ret_why, -SM_ELIMIT, "larger than a bundle may be when it is unpacked");
    if (!size)
        return refuse(ret_why, -SM_EFORMAT, "nothing in it");
    if (sm_buf_reserve(ret, (size_t)size) < 0)
        return refuse(ret_why, -ENOMEM, "out of memory");
    size_t n = ZSTD_decompress(ret->p, (size_t)size, file.p, file.n);
    if (n != size)
        return refuse(ret_why, -SM_EFORMAT, "the zstd frame is damaged");
    ret->n = n;
    return 0;
}

static int unpack(struct sm_span file, struct sm_buf *ret, char *ret_why)
{
    static const uint8_t magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };

    if (file.n > BUNDLE_BYTES_MAX)
        return refuse(ret_why, -SM_ELIMIT, "larger than a bundle may be");
    if (file.n >= sizeof magic && !memcmp(file.p, magic, sizeof magic))
        return unpack_frame(file, ret, ret_why);
    if (sm_buf_put_span(ret, file) < 0)
        return refuse(ret_why, -ENOMEM, "out of memory");
    return 0;
}

/* ---- tar ---- */

struct tar { struct sm_span rest; char name[BUNDLE_FILE_NAME_MAX + 1]; struct sm_span text; };

/* Octal digits ended by NUL or space, at least one. */
static bool octal(const uint8_t *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;

    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(p[i] - '0'); /* at most 12 digits */
    if (!i || (i < n && p[i] != 0 && p[i] != ' '))
        return false;
    *ret = v;
    return true;
}

static bool sum_good(const uint8_t *h)
{
    uint64_t want;
    unsigned sum = 0;

    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : h[i];
    return h[154] == 0 && h[155] == ' ' && octal(h + 148, 6, &want) && want == sum; /* as every tar writes it */
}

static bool zeros(struct sm_span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i])
            return false;
    return true;
}

static bool name_of(const uint8_t *h, char *ret)
{
    size_t n = strnlen((const char *)h, 100), k = strnlen((const char *)h + 345, 155);

    if (!n || n + k + 1 > BUNDLE_FILE_NAME_MAX)
        return false;
    snprintf(ret, BUNDLE_FILE_NAME_MAX + 1, "%.*s%s%.*s", (int)k, (const char *)h + 345, k ? "/" : "", (int)n, (const char *)h);
    return true;
}

/* The next member. */
static int tar_next(struct tar *t, size_t max, char *ret_why)
{
    const uint8_t *h = t->rest.p;
    uint64_t size;

    if (t->rest.n < TAR_BLOCK || memcmp(h + 257, "ustar\00000", 8) != 0 || !sum_good(h) || (h[156] != '0' && h[156]) || !name_of(h, t->name) ||
        !octal(h + 124, 12, &size))
        return refuse(ret_why, -SM_EFORMAT, "not a tar of plain files as a bundle is");
    if (size > max)
        return refuse(ret_why, -SM_ELIMIT, "a file in it is too large");
    size_t whole = ((size_t)size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    if (t->rest.n - TAR_BLOCK < whole || !zeros(SM_SPAN(h + TAR_BLOCK + size, whole - (size_t)size)))
        return refuse(ret_why, -SM_EFORMAT, "the tar is cut off, or filled up with something else than zeros");
    t->text = SM_SPAN(h + TAR_BLOCK, (size_t)size);
    t->rest.p += TAR_BLOCK + whole;
    t->rest.n -= TAR_BLOCK + whole;
    return 0;
}

/* ---- names, texts ---- */

static bool part_good(const char *p, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+()";

    if (!n || p[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!memchr(letters, p[i], sizeof letters - 1))
            return false;
    return true;
}

bool bundle_name_good(const char *name)
{
    size_t parts = 0;

    if (strlen(name) > BUNDLE_FILE_NAME_MAX || !strcmp(name, "manifest.json") || !strcmp(name, "manifest.sig"))
        return false;
    for (const char *p = name;;) {
        size_t n = strcspn(p, "/");
        if (!part_good(p, n) || ++parts > BUNDLE_PARTS_MAX)
            return false;
        if (!p[n])
            return true;
        p += n + 1;
    }
}

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);

    return n > k && !strcmp(name + n - k, end);
}

bool bundle_is_sources(const char *name)
{
    const char *last = strrchr(name, '/');

    return !strcmp(last ? last + 1 : name, "logsources.yml");
}

bool bundle_is_rules(const char *name)
{
    return (ends(name, ".yml") || ends(name, ".yaml")) && !bundle_is_sources(name);
}

static size_t characters(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

bool bundle_texts_good(const struct bundle_head *head, char *ret_why)
{
    size_t name = characters(head->name), licence = characters(head->licence);

    if (!name || name > BUNDLE_NAME_MAX || !licence || licence > BUNDLE_LICENCE_MAX || characters(head->note) > BUNDLE_NOTE_MAX) {
        (void)refuse(ret_why, 0, "name (1 to 60 characters), licence (1 to 4,000) or note (at most 1,000) is not right");
        return false;
    }
    if (!head->serial || head->serial > (uint64_t)BUNDLE_SERIAL_MAX) {
        (void)refuse(ret_why, 0, "serial: a whole number from 1 to 2^53");
        return false;
    }
    return true;
}

/* ---- the manifest ---- */

static int read_signature(struct bundle *b, struct sm_span manifest, struct sm_span sig, const struct bundle_key *keys, size_t n,
    char *ret_why)
{
    if (sig.n != CRYPTO_SIGN_LEN)
        return refuse(ret_why, -SM_EFORMAT, "manifest.sig has not 64 bytes");
    for (size_t i = 0; i < n; i++) {
        int r = crypto_sign_text_verify(keys[i].pub, BUNDLE_LABEL, manifest, sig.p);
        if (r == 0) {
            b->signer = keys[i];
            b->is_signed = true;
            return 0;
        }
        if (r != -SM_EAUTH)
            return refuse(ret_why, r, sm_strerror(r));
    }
    return refuse(ret_why, -SM_EAUTH, "signed by no key that is trusted, or altered since");
}

static int read_head(struct bundle *b, char *ret_why)
{
    struct sm_obj o = SM_OBJ(b->manifest);
    struct sm_time made;

    if (sm_obj_int(&o, "format", 1, INT32_MAX) != 1)
        return refuse(ret_why, o.err < 0 ? -SM_EFORMAT : -SM_EVERSION, o.err < 0 ? o.why : "made for a newer version");
    b->head.name = sm_obj_str(&o, "name", 1, (size_t)4 * BUNDLE_NAME_MAX);
    b->head.serial = (uint64_t)sm_obj_int(&o, "serial", 1, BUNDLE_SERIAL_MAX);
    b->head.made = sm_obj_str(&o, "made", 1, 40);
    b->head.licence = sm_obj_str(&o, "licence", 1, (size_t)4 * BUNDLE_LICENCE_MAX);
    b->head.note = sm_obj_str_opt(&o, "note", (size_t)4 * BUNDLE_NOTE_MAX);
    if (!b->head.note)
        b->head.note = "";
    if (o.err < 0)
        return refuse(ret_why, -SM_EFORMAT, o.why);
    if (sm_time_parse(b->head.made, &made) < 0)
        return refuse(ret_why, -SM_EFORMAT, "made: not a time");
    b->head.made_s = made.s;
    return bundle_texts_good(&b->head, ret_why) ? 0 : -SM_EFORMAT;
}

static int read_manifest(struct bundle *b, struct sm_span text, char *ret_why)
{
    char why[160] = "";
    int r = sm_json_parse(text, BUNDLE_MANIFEST_MAX, &b->manifest, why);

    if (r < 0)
        return refuse(ret_why, r, why);
    r = read_head(b, ret_why);
    if (r < 0)
        return r;
    const json_t *files = json_object_get(b->manifest, "files");
    size_t n = json_array_size(files);
    if (!n || n > BUNDLE_FILES_MAX)
        return refuse(ret_why, n ? -SM_ELIMIT : -SM_EFORMAT, "files: a list of 1 to 20,000");
    b->file = calloc(n, sizeof *b->file);
    if (!b->file)
        return refuse(ret_why, -ENOMEM, "out of memory");
    b->n = n;
    return 0;
}

/* One file of the tar against its row. */
static int read_file(struct bundle *b, size_t i, struct tar *t, char *ret_why)
{
    struct sm_obj o = SM_OBJ(json_array_get(json_object_get(b->manifest, "files"), i));
    const char *name = sm_obj_str(&o, "name", 1, BUNDLE_FILE_NAME_MAX);
    uint8_t want[CRYPTO_SHA256_LEN], have[CRYPTO_SHA256_LEN];
    int64_t bytes = sm_obj_int(&o, "bytes", 0, BUNDLE_FILE_MAX);

    sm_obj_hex(&o, "sha256", want, sizeof want);
    if (o.err < 0)
        return refuse(ret_why, -SM_EFORMAT, o.why);
    if (!bundle_name_good(name) || (i && strcmp(b->file[i - 1].name, name) >= 0))
        return refuse(ret_why, -SM_EFORMAT, "files: a name that may not be, or out of order");
    int r = tar_next(t, BUNDLE_FILE_MAX, ret_why);
    if (r < 0)
        return r;
    crypto_sha256(t->text, have);
    if (strcmp(t->name, name) != 0 || t->text.n != (uint64_t)bytes || memcmp(have, want, sizeof have) != 0) {
        snprintf(ret_why, BUNDLE_WHY_MAX, "%.120s is not the file that was signed", name);
        return -SM_ECORRUPT;
    }
    b->file[i] = (struct bundle_file){ .name = name, .text = t->text };
    return 0;
}

static int read_all(struct bundle *b, const struct bundle_key *keys, size_t n, bool look, char *ret_why)
{
    struct tar t = { .rest = sm_buf_span(&b->plain) };
    int r = tar_next(&t, BUNDLE_MANIFEST_MAX, ret_why);
    struct sm_span manifest = t.text;

    if (r == 0 && strcmp(t.name, "manifest.json") != 0)
        r = refuse(ret_why, -SM_EFORMAT, "the first file is not manifest.json");
    if (r == 0)
        r = tar_next(&t, CRYPTO_SIGN_LEN, ret_why);
    if (r == 0 && strcmp(t.name, "manifest.sig") != 0)
        r = refuse(ret_why, -SM_EFORMAT, "the second file is not manifest.sig");
    if (r == 0 && !look)
        r = read_signature(b, manifest, t.text, keys, n, ret_why);
    if (r == 0)
        r = read_manifest(b, manifest, ret_why);
    for (size_t i = 0; i < b->n && r == 0; i++)
        r = read_file(b, i, &t, ret_why);
    if (r == 0 && (t.rest.n < (size_t)2 * TAR_BLOCK || !zeros(t.rest)))
        r = refuse(ret_why, -SM_EFORMAT, "files that the manifest does not have, or no end");
    return r;
}

static int open_with(
    struct sm_span file, const struct bundle_key *keys, size_t n, bool look, struct bundle **ret, char *ret_why)
{
    struct bundle *b = calloc(1, sizeof *b);
    int r = b ? 0 : refuse(ret_why, -ENOMEM, "out of memory");

    if (r == 0) {
        b->plain = SM_BUF_INIT(BUNDLE_PLAIN_MAX);
        r = unpack(file, &b->plain, ret_why);
    }
    if (r == 0)
        r = read_all(b, keys, n, look, ret_why);
    if (r < 0) {
        bundle_free(b);
        return r;
    }
    *ret = b;
    return 0;
}

int bundle_open(struct sm_span file, const struct bundle_key *keys, size_t n, struct bundle **ret, char *ret_why)
{
    return open_with(file, keys, n < BUNDLE_KEYS_MAX ? n : BUNDLE_KEYS_MAX, false, ret, ret_why);
}

int bundle_look(struct sm_span file, struct bundle **ret, char *ret_why)
{
    return open_with(file, NULL, 0, true, ret, ret_why);
}

void bundle_free(struct bundle *b)
{
    if (!b)
        return;
    free(b->file);
    json_decref(b->manifest);
    sm_buf_wipe(&b->plain);
    free(b);
}

const struct bundle_head *bundle_head(const struct bundle *b)
{
    return &b->head;
}

const struct bundle_key *bundle_signer(const struct bundle *b)
{
    return b->is_signed ? &b->signer : NULL;
}

size_t bundle_count(const struct bundle *b)
{
    return b->n;
}

const struct bundle_file *bundle_at(const struct bundle *b, size_t i)
{
    return i < b->n ? &b->file[i] : NULL;
}

const struct bundle_file *bundle_find(const struct bundle *b, const char *name)
{
    for (size_t i = 0; i < b->n; i++)
        if (!strcmp(b->file[i].name, name))
            return &b->file[i];
    return NULL;
}
