/* What a foreign disk holds of a copy: its label, and its journal as a chain. */
#include <stdlib.h>
#include "crypto/init.h"
#include "vault/copy/copy_internal.h"

struct memory { const uint8_t *p; size_t n; };

static int read_memory(void *arg, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    const struct memory *m = arg;
    if (strcmp(name, "journal/00000001.skj") != 0)
        return -SM_ENOTFOUND;
    size_t left = off < m->n ? m->n - (size_t)off : 0;
    *ret_got = left < n ? left : n;
    if (*ret_got)
        memcpy(to, m->p + off, *ret_got);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t key[32] = { 1 };
    struct copy_label label;
    struct memory m = { data, n };
    struct chain chain;
    struct journal_record r;
    struct vault_id vault = { { 0 } };
    if (crypto_init() != 0)
        abort();
    if (copy_label_get(SM_SPAN(data, n), &label) == 0 && copy_label_verify(&label, key) == 0)
        abort(); /* nobody signed it */
    if (n >= 24)
        memcpy(vault.b, data + 8, 16);
    if (chain_init(&chain, read_memory, &m, &vault) != 0)
        return 0;
    uint64_t last = 0;
    while (chain_next(&chain, &r) == 1) {
        if (r.seq != last + 1)
            abort();
        last = r.seq;
    }
    chain_wipe(&chain);
    return 0;
}
