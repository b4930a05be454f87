/* What a bucket answers and holds: XML ('x'), a list of objects ('l'), a root ('r'), the name of a place ('u').  What is
 * taken in is written again and must be taken in as the same. */
#include <stdlib.h>
#include "vault/copy/s3_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int count(void *arg, const char *path, const char *text)
{
    size_t *seen = arg;
    *seen += strlen(path) + strlen(text);
    return *seen > (1u << 24);
}

static void list(struct sm_span in)
{
    struct s3_list l = { .n = 0 }, again = { .n = 0 };
    struct sm_buf b = SM_BUF_INIT((size_t)8 << 20);
    size_t at = 0;
    s3_list_wipe(&l);
    s3_list_wipe(&again);
    if (s3_list_get(&l, in) == 0 && s3_list_put(&l, true, (size_t)8 << 20, &at, &b) == 0 &&
        (s3_list_get(&again, sm_buf_span(&b)) != 0 || again.n != l.n || again.bytes != l.bytes))
        abort();
    for (size_t i = 0; i < l.n; i++) {
        const struct s3_entry *e = s3_list_find(&again, &l.v[i].name);
        if (e && (e->size != l.v[i].size || strcmp(s3_list_version(&again, e), s3_list_version(&l, &l.v[i])) != 0))
            abort();
    }
    s3_list_wipe(&l);
    s3_list_wipe(&again);
    sm_buf_wipe(&b);
}

static void root(struct sm_span in)
{
    struct s3_root *r = malloc(sizeof *r), *again = malloc(sizeof *again);
    struct sm_buf b = SM_BUF_INIT(S3_ROOT_MAX + 256);
    uint8_t digest[32], digest2[32], sig[64];
    char hex[129];
    if (r && again && s3_root_get(in, r, digest, sig) == 0 && s3_root_put(r, &b) == 0) {
        sm_hex(sig, 64, hex);
        if (sm_buf_printf(&b, "sig %s\n", hex) == 0 && b.n <= S3_ROOT_MAX &&
            (s3_root_get(sm_buf_span(&b), again, digest2, sig) != 0 || again->number != r->number ||
                again->lists_n != r->lists_n || again->objects != r->objects))
            abort();
    }
    free(r);
    free(again);
    sm_buf_wipe(&b);
}

static void place(struct sm_span in)
{
    char text[600], why[S3_WHY], url[3072];
    struct s3_conf c;
    if (in.n >= sizeof text)
        return;
    memcpy(text, in.p, in.n);
    text[in.n] = '\0';
    if (s3_conf_url(text, &c, why) == 0 &&
        s3_url(&c, &(struct s3_request){ .method = "GET", .key = "root/1", .version = text }, url, sizeof url) == 0 &&
        (strncmp(url, "http", 4) != 0 || strpbrk(url, " \r\n\"<>")))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    size_t seen = 0;
    struct sm_span in = SM_SPAN(p + 1, n ? n - 1 : 0);
    if (!n)
        return 0;
    if (p[0] == 'x')
        (void)s3_xml_each(in, count, &seen); /* any answer is as good */
    else if (p[0] == 'l')
        list(in);
    else if (p[0] == 'r')
        root(in);
    else if (p[0] == 'u')
        place(in);
    return 0;
}
