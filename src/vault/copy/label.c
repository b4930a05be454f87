/* The label of a prepared target. */
#include "crypto/sign.h"
#include "vault/copy/copy.h"

#define FIRST "sakimori copy "

int copy_label_message(const struct copy_label *l, struct sm_buf *ret)
{
    size_t start = ret->n;
    int r = sm_buf_put(ret, COPY_LABEL, sizeof COPY_LABEL - 1);
    if (!r)
        r = sm_buf_put(ret, l->vault.b, 16);
    if (!r)
        r = sm_buf_put(ret, l->copy, 16);
    if (r)
        ret->n = start;
    return r;
}

int copy_label_put(const struct copy_label *l, struct sm_buf *ret)
{
    char vault[33], copy[33], sig[129];
    sm_hex(l->vault.b, 16, vault);
    sm_hex(l->copy, 16, copy);
    sm_hex(l->sig, 64, sig);
    return sm_buf_printf(ret, FIRST "1\n%s\n%s\n%s\n", vault, copy, sig);
}

/* n hexadecimal digits and a line end; moves on. */
static int line(struct sm_span *in, uint8_t *to, size_t n)
{
    if (in->n < 2 * n + 1 || in->p[2 * n] != '\n' || sm_unhex((const char *)in->p, 2 * n, to, n))
        return -SM_EFORMAT;
    in->p += 2 * n + 1;
    in->n -= 2 * n + 1;
    return 0;
}

int copy_label_get(struct sm_span in, struct copy_label *ret)
{
    struct copy_label l;
    size_t head = sizeof FIRST - 1;
    if (in.n < head + 2 || memcmp(in.p, FIRST, head) != 0)
        return -SM_EFORMAT;
    if (memcmp(in.p + head, "1\n", 2) != 0)
        return -SM_EVERSION;
    in.p += head + 2;
    in.n -= head + 2;
    if (line(&in, l.vault.b, 16) || line(&in, l.copy, 16) || line(&in, l.sig, 64) || in.n)
        return -SM_EFORMAT;
    *ret = l;
    return 0;
}

int copy_label_verify(const struct copy_label *l, const uint8_t head_pub[32])
{
    struct sm_buf b = SM_BUF_INIT(128);
    int r = copy_label_message(l, &b);
    if (!r)
        r = crypto_sign_verify(head_pub, sm_buf_span(&b), l->sig);
    sm_buf_wipe(&b);
    return r;
}

int copy_root_message(const struct copy_root_name *n, struct sm_buf *ret)
{
    size_t start = ret->n;
    int r = sm_buf_put(ret, COPY_ROOT_LABEL, sizeof COPY_ROOT_LABEL - 1);
    if (!r)
        r = sm_buf_put(ret, n->vault.b, 16);
    if (!r)
        r = sm_buf_put(ret, n->copy, 16);
    if (!r)
        r = sm_buf_put_u64(ret, n->number);
    if (!r)
        r = sm_buf_put(ret, n->digest, 32);
    if (r)
        ret->n = start;
    return r;
}
