/* Writing, and keys in text. */
#include "detect/bundle/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include "core/json.h"
#include "core/time.h"
#include "crypto/hash.h"

enum { LEVEL = 19 };
static const char key_head[] = "SKRB0-";

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct bundle_file *)a)->name, ((const struct bundle_file *)b)->name);
}

static int refuse(char *ret_why, int err, const char *what, const char *name)
{
    snprintf(ret_why, BUNDLE_WHY_MAX, "%.150s%.40s", what, name);
    return err;
}

/* ---- tar ---- */

/* A name longer than 100 bytes is parted where a folder ends. */
static int put_name(uint8_t *h, const char *name)
{
    size_t n = strlen(name), cut = 0;

    if (n <= 100) {
        memcpy(h, name, n);
        return 0;
    }
    for (size_t i = 1; i < n && i <= 155; i++)
        if (name[i] == '/' && n - i - 1 <= 100) {
            cut = i;
            break;
        }
    if (!cut)
        return -SM_EINVAL;
    memcpy(h, name + cut + 1, n - cut - 1);
    memcpy(h + 345, name, cut);
    return 0;
}

static int put_member(struct sm_buf *to, const char *name, struct sm_span text, int64_t made_s)
{
    static const uint8_t zeros[TAR_BLOCK];
    uint8_t h[TAR_BLOCK] = { 0 };
    unsigned sum = 0;

    if (put_name(h, name) < 0)
        return -SM_EINVAL;
    snprintf((char *)h + 100, 8, "%07o", 0644u);
    snprintf((char *)h + 108, 8, "%07o", 0u);
    snprintf((char *)h + 116, 8, "%07o", 0u);
    snprintf((char *)h + 124, 12, "%011llo", (unsigned long long)text.n);
    snprintf((char *)h + 136, 12, "%011llo", (unsigned long long)made_s & 077777777777ULL);
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += h[i];
    snprintf((char *)h + 148, 7, "%06o", sum & 0777777u);
    int r = sm_buf_put(to, h, sizeof h);
    if (r == 0)
        r = sm_buf_put_span(to, text);
    return r < 0 ? r : sm_buf_put(to, zeros, (TAR_BLOCK - text.n % TAR_BLOCK) % TAR_BLOCK);
}

/* ---- the manifest ---- */

static int manifest_write(
    const struct bundle_head *head, const struct bundle_file *files, size_t n, struct sm_buf *ret)
{
    char made[SM_TIME_TEXT] = "";
    json_t *list = json_array();

    sm_time_rfc3339((struct sm_time){ .s = head->made_s }, made);
    for (size_t i = 0; i < n; i++) {
        uint8_t hash[CRYPTO_SHA256_LEN];
        char hex[2 * CRYPTO_SHA256_LEN + 1];
        crypto_sha256(files[i].text, hash);
        sm_hex(hash, sizeof hash, hex);
        json_t *row = json_pack("{s:s,s:I,s:s}", "name", files[i].name, "bytes", (json_int_t)files[i].text.n, "sha256", hex);
        if (json_array_append_new(list, row) < 0) {
            json_decref(list);
            return -ENOMEM;
        }
    }
    json_t *j = json_pack("{s:i,s:s,s:I,s:s,s:s,s:o}", "format", 1, "name", head->name, "serial", (json_int_t)head->serial, "made", made,
        "licence", head->licence, "files", list);
    int r = !j || (*head->note && json_object_set_new(j, "note", json_string(head->note)) < 0) ? -ENOMEM : sm_json_dump(j, ret);
    json_decref(j);
    return r;
}

static int pack_frame(const struct sm_buf *plain, struct sm_buf *ret)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(plain->n), n = 0;
    struct sm_buf out = SM_BUF_INIT(bound + 1);
    int r = c ? sm_buf_reserve(&out, bound) : -ENOMEM;

    if (r == 0 && (ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, LEVEL)) ||
                      ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, BUNDLE_WINDOW_LOG))))
        r = -SM_EUNSUPPORTED;
    if (r == 0 && ZSTD_isError(n = ZSTD_compress2(c, out.p, bound, plain->p, plain->n)))
        r = -ENOMEM;
    if (r == 0)
        r = n > BUNDLE_BYTES_MAX ? -SM_ELIMIT : sm_buf_put(ret, out.p, n);
    ZSTD_freeCCtx(c);
    sm_buf_wipe(&out);
    return r;
}

static int files_good(struct bundle_file *files, size_t n, char *ret_why)
{
    if (!n || n > BUNDLE_FILES_MAX)
        return refuse(ret_why, n ? -SM_ELIMIT : -SM_EINVAL, "1 to 20,000 files", "");
    qsort(files, n, sizeof *files, by_name);
    for (size_t i = 0; i < n; i++) {
        if (!bundle_name_good(files[i].name) || (i && !strcmp(files[i].name, files[i - 1].name)))
            return refuse(ret_why, -SM_EINVAL, "a name that may not be: ", files[i].name);
        if (files[i].text.n > BUNDLE_FILE_MAX)
            return refuse(ret_why, -SM_ELIMIT, "too large: ", files[i].name);
    }
    return 0;
}

int bundle_write(const struct bundle_head *head, struct bundle_file *files, size_t n, const struct crypto_sign_pair *pair, bool zstd,
    struct sm_buf *ret, char *ret_why)
{
    static const uint8_t end[2 * TAR_BLOCK];
    struct sm_buf manifest = SM_BUF_INIT(BUNDLE_MANIFEST_MAX), plain = SM_BUF_INIT(BUNDLE_PLAIN_MAX);
    uint8_t sig[CRYPTO_SIGN_LEN];
    int r = bundle_texts_good(head, ret_why) ? files_good(files, n, ret_why) : -SM_EINVAL;

    if (r < 0)
        return r;
    r = manifest_write(head, files, n, &manifest);
    if (r == 0)
        r = crypto_sign_text(pair, BUNDLE_LABEL, sm_buf_span(&manifest), sig);
    if (r == 0)
        r = put_member(&plain, "manifest.json", sm_buf_span(&manifest), head->made_s);
    if (r == 0)
        r = put_member(&plain, "manifest.sig", SM_SPAN(sig, sizeof sig), head->made_s);
    for (size_t i = 0; i < n && r == 0; i++)
        r = put_member(&plain, files[i].name, files[i].text, head->made_s);
    if (r == 0)
        r = sm_buf_put(&plain, end, sizeof end);
    if (r == 0 && !zstd && plain.n > BUNDLE_BYTES_MAX)
        r = -SM_ELIMIT;
    if (r == 0)
        r = zstd ? pack_frame(&plain, ret) : sm_buf_put_span(ret, sm_buf_span(&plain));
    if (r < 0)
        snprintf(ret_why, BUNDLE_WHY_MAX, "%s", r == -SM_ELIMIT ? "more than a bundle may hold" : sm_strerror(r));
    sm_buf_wipe(&manifest);
    sm_buf_wipe(&plain);
    return r;
}

/* ---- keys ---- */

void bundle_key_text(const struct bundle_key *key, char *ret)
{
    memcpy(ret, key_head, sizeof key_head - 1);
    sm_hex(key->pub, sizeof key->pub, ret + sizeof key_head - 1);
}

static struct sm_span trim(struct sm_span s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\n'))
        s.n--;
    return s;
}

int bundle_key_read(struct sm_span text, struct bundle_key *ret)
{
    struct bundle_key key;

    text = trim(text);
    if (text.n != BUNDLE_KEY_TEXT - 1 || memcmp(text.p, key_head, sizeof key_head - 1) != 0)
        return -SM_EFORMAT;
    int r = sm_unhex((const char *)text.p + sizeof key_head - 1, sizeof key.pub * 2, key.pub, sizeof key.pub);
    if (r == 0)
        *ret = key;
    return r;
}

size_t bundle_keys_read(struct sm_span text, struct bundle_key *ret, size_t max, bundle_key_fn *each, void *ctx)
{
    size_t n = 0;

    while (text.n && n < max) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t k = end ? (size_t)(end - text.p) : text.n;
        struct sm_span line = trim(SM_SPAN(text.p, k));
        const uint8_t *equal = line.n ? memchr(line.p, '=', line.n) : NULL;
        text.p += k + (end != NULL);
        text.n -= k + (end != NULL);
        if (!equal || line.p[0] == '#')
            continue;
        struct sm_span name = trim(SM_SPAN(line.p, (size_t)(equal - line.p)));
        char said[4 * BUNDLE_NAME_MAX + 1];
        if (!name.n || name.n >= sizeof said || bundle_key_read(SM_SPAN(equal + 1, (size_t)(line.p + line.n - equal - 1)), &ret[n]) < 0)
            continue;
        snprintf(said, sizeof said, "%.*s", (int)name.n, (const char *)name.p);
        if (each)
            each(ctx, said, &ret[n]);
        n++;
    }
    return n;
}
