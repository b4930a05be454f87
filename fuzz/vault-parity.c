/*
 * A trailer from outside.  Every "SKPR" in the bytes gets a fitting hash, so that what stands in a root is reached; then
 * a pack of zeros with these bytes behind it is healed as far as they allow.  First two bytes: length of the pack.
 */
#include <sys/mman.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "crypto/init.h"
#include "vault/parity/parity.h"

#define ROOT_FIXED 88u
#define PACK_MAX 65536u

static uint32_t number(const uint8_t *p, size_t n)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

/* As long as the root says it is. */
static void make_sound(uint8_t *p, size_t n)
{
    if (n < ROOT_FIXED)
        return;
    uint64_t block = number(p + 8, 4), stripes = number(p + 12, 4), bytes = number(p + 16, 4), rows = p[6];
    if (!block || !bytes || bytes > PACK_MAX || stripes * rows > 4096)
        return;
    uint64_t table = 4 + ((bytes - 1) / block + 1) * 8, root = ROOT_FIXED + ((table - 1) / block + 1 + stripes * rows) * 8;
    if (root > n)
        return;
    crypto_sha256v((const struct sm_span[]){SM_SPAN_STR("sakimori/v1/parity"), SM_SPAN(p, (size_t)root - 32)}, 2,
        p + root - 32);
}

static void heal(int fd, uint64_t pack_bytes)
{
    struct parity_heal *h = NULL;
    struct parity_damage d;
    struct cid any = {{0}};
    uint8_t b[PARITY_BLOCK];
    if (parity_heal_new(fd, &any, pack_bytes, &h) < 0)
        return;
    int r;
    while ((r = parity_heal_step(h, 10000)) == 1)
        ;
    parity_heal_damage(h, &d);
    if (r == 0 && d.healed > d.blocks)
        abort();
    for (uint64_t at = 0; r == 0 && at < pack_bytes; at += sizeof b)
        (void)parity_heal_read(h, at, b, pack_bytes - at < sizeof b ? (size_t)(pack_bytes - at) : sizeof b);
    parity_heal_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parity_root root;
    struct pack_trailer t;
    if (crypto_init() < 0)
        abort();
    if (size < 3)
        return 0;
    uint64_t pack_bytes = 1 + number(data, 2);
    size_t n = size - 2;
    uint8_t *copy = malloc(n);
    int fd = memfd_create("pack", MFD_CLOEXEC);
    if (!copy || fd < 0)
        abort();
    memcpy(copy, data + 2, n);
    for (size_t at = 0; at + 4 <= n; at++)
        if (memcmp(copy + at, "SKPR", 4) == 0)
            make_sound(copy + at, n - at);
    (void)pack_trailer_parse(SM_SPAN(copy, n), &t);
    (void)parity_root_find(SM_SPAN(copy, n), pack_bytes, NULL, &root);
    if (pwrite(fd, copy, n, (off_t)pack_bytes) != (ssize_t)n)
        abort();
    heal(fd, pack_bytes);
    close(fd);
    free(copy);
    return 0;
}
