#include "sakimori-agent/actor/pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "crypto/hash.h"
#include "plat/fs.h"

enum { BLOCK = 512, OUT_BYTES = 128 << 10, LEVEL = 3, WORST_EXTRA = 4096 };

struct pack {
    int fd;
    uint64_t max, bytes;
    int64_t at_s;
    ZSTD_CCtx *z;
    struct crypto_sha256_ctx *sha;
    uint8_t *out;
    json_t *files;
    struct sm_buf sums;
};

void tarpack_free(struct pack *p)
{
    if (!p)
        return;
    (void)ZSTD_freeCCtx(p->z); /* NULL is fine */
    crypto_sha256_free(p->sha);
    free(p->out);
    json_decref(p->files);
    sm_buf_wipe(&p->sums);
    free(p);
}

int tarpack_begin(int fd, uint64_t max_bytes, int64_t at_s, struct pack **ret)
{
    struct pack *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (struct pack){.fd = fd, .max = max_bytes, .at_s = at_s, .z = ZSTD_createCCtx(), .out = malloc(OUT_BYTES), .files = json_array(),
        .sums = SM_BUF_INIT((size_t)1 << 20)};
    int r = crypto_sha256_new(&p->sha);
    if (!r && (!p->z || !p->out || !p->files || ZSTD_isError(ZSTD_CCtx_setParameter(p->z, ZSTD_c_compressionLevel, LEVEL)) ||
                  ZSTD_isError(ZSTD_CCtx_setParameter(p->z, ZSTD_c_checksumFlag, 1))))
        r = -ENOMEM;
    if (r)
        tarpack_free(p);
    else
        *ret = p;
    return r;
}

static int squeeze(struct pack *p, struct sm_span s, ZSTD_EndDirective how)
{
    ZSTD_inBuffer in = {s.p, s.n, 0};
    for (;;) {
        ZSTD_outBuffer out = {p->out, OUT_BYTES, 0};
        size_t left = ZSTD_compressStream2(p->z, &out, &in, how);
        if (ZSTD_isError(left))
            return -EIO;
        int r = out.pos ? plat_fs_write_all(p->fd, SM_SPAN(p->out, out.pos)) : 0;
        if (r)
            return r;
        crypto_sha256_put(p->sha, SM_SPAN(p->out, out.pos));
        p->bytes += out.pos;
        if (how == ZSTD_e_end ? left == 0 : in.pos == in.size)
            return 0;
    }
}

static void octal(char *to, size_t n, uint64_t v)
{
    (void)snprintf(to, n, "%0*llo", (int)n - 1, (unsigned long long)(v & 077777777777u)); /* sizes and times of ours fit */
}

/* ustar, POSIX.1-1988: a plain file, 0600, of nobody. */
static void header(const struct pack *p, const char *name, size_t size, char ret[BLOCK])
{
    unsigned sum = 0;
    memset(ret, 0, BLOCK);
    (void)snprintf(ret, 100, "%s", name); /* its length was looked at */
    octal(ret + 100, 8, 0600);
    octal(ret + 108, 8, 0);
    octal(ret + 116, 8, 0);
    octal(ret + 124, 12, size);
    octal(ret + 136, 12, p->at_s > 0 ? (uint64_t)p->at_s : 0);
    memset(ret + 148, ' ', 8);
    ret[156] = '0';
    memcpy(ret + 257, "ustar", 6);
    memcpy(ret + 263, "00", 2);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (uint8_t)ret[i];
    (void)snprintf(ret + 148, 8, "%06o", sum); /* then NUL and the blank that is there */
}

static int put(struct pack *p, const char *name, struct sm_span content)
{
    static const uint8_t zeros[BLOCK];
    char head[BLOCK];
    header(p, name, content.n, head);
    int r = squeeze(p, SM_SPAN(head, BLOCK), ZSTD_e_continue);
    if (!r && content.n)
        r = squeeze(p, content, ZSTD_e_continue);
    if (!r && content.n % BLOCK)
        r = squeeze(p, SM_SPAN(zeros, BLOCK - content.n % BLOCK), ZSTD_e_continue);
    return r ? r : squeeze(p, SM_SPAN(NULL, 0), ZSTD_e_flush); /* how large it is by now is known */
}

static bool name_good(const char *name)
{
    size_t n = strlen(name);
    return n && n <= PACK_NAME_MAX && name[0] != '/' && !strstr(name, "..") &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@:+") == n;
}

int tarpack_add(struct pack *p, const char *name, struct sm_span content)
{
    uint8_t sum[CRYPTO_SHA256_LEN];
    char hex[65];
    if (!name_good(name))
        return -SM_EINVAL;
    if (content.n > PACK_MEMBER_MAX || json_array_size(p->files) >= PACK_MEMBERS_MAX ||
        p->bytes + ZSTD_compressBound(content.n) + WORST_EXTRA > p->max)
        return -SM_ELIMIT;
    crypto_sha256(content, sum);
    sm_hex(sum, sizeof sum, hex);
    int r = put(p, name, content);
    if (!r)
        r = sm_buf_printf(&p->sums, "%s  %s\n", hex, name);
    if (!r && json_array_append_new(p->files, json_pack("{s:s,s:I,s:s}", "name", name, "bytes", (json_int_t)content.n, "sha256", hex)))
        r = -ENOMEM;
    return r;
}

int tarpack_end(struct pack *p, uint64_t *ret_bytes, char ret_sha256[65], json_t **ret_files)
{
    static const uint8_t zeros[2 * BLOCK];
    uint8_t sum[CRYPTO_SHA256_LEN];
    int r = put(p, "SHA256SUMS", sm_buf_span(&p->sums));
    if (!r)
        r = squeeze(p, SM_SPAN(zeros, sizeof zeros), ZSTD_e_end);
    if (!r)
        r = plat_fs_sync(p->fd);
    if (r)
        return r;
    crypto_sha256_final(p->sha, sum);
    sm_hex(sum, sizeof sum, ret_sha256);
    *ret_bytes = p->bytes;
    *ret_files = json_incref(p->files);
    return 0;
}
