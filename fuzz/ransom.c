/* Contents of files, before and after, as an attacker would make them: one byte that says where to cut, then both. */
#include "detect/ransom/content.h"

struct both { const uint8_t *p[2]; size_t n[2]; };

static int now(void *ctx, uint64_t file, uint64_t *ret_size, unsigned *ret_links)
{
    *ret_size = ((const struct both *)ctx)->n[1];
    *ret_links = 1;
    return 0;
}

static int before(void *ctx, uint64_t tree, uint64_t file, uint64_t *ret_size)
{
    *ret_size = ((const struct both *)ctx)->n[0];
    return 0;
}

static ssize_t part(const uint8_t *p, size_t size, uint64_t offset, uint8_t *buf, size_t n)
{
    size_t got = offset >= size ? 0 : size - offset < n ? size - (size_t)offset : n;
    if (got)
        memcpy(buf, p + offset, got);
    return (ssize_t)got;
}

static ssize_t read_now(void *ctx, uint64_t file, uint64_t offset, uint8_t *buf, size_t n)
{
    const struct both *b = ctx;
    return part(b->p[1], b->n[1], offset, buf, n);
}

static ssize_t read_before(void *ctx, uint64_t tree, uint64_t file, uint64_t offset, uint8_t *buf, size_t n)
{
    const struct both *b = ctx;
    return part(b->p[0], b->n[0], offset, buf, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t cut = 1 + (size - 1) * data[0] / 255;
    struct both b = {{data + 1, data + cut}, {cut - 1, size - cut}};
    struct ransom_files files = {&b, now, before, read_now, read_before};
    struct body was = {&files, 1, 1, b.n[0], true}, is = {&files, 1, 1, b.n[1], false};
    struct print print;
    enum kind k;
    for (int settled = 0; settled < 2; settled++) {
        struct judged j = judge(&was, &is, settled);
        if (j.was >= KIND_COUNT || j.is >= KIND_COUNT || j.found > FOUND_PAGES)
            abort();
        /* What is the same is never harm. */
        if (judge(&was, &was, settled).found != FOUND_NOTHING)
            abort();
    }
    (void)judge_opaque(&is, &k);
    (void)judge_copy(&was, &is);
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        (void)form_sound(&is, (enum kind)i);
        (void)form_holds(&is, (enum kind)i, &was);
    }
    print_take(&was, &print);
    (void)print_judge(&print, &is);
    return 0;
}
