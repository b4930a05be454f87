#include <ctype.h>

#include "vault/chunk/cut.h"

#define KIB 1024u
const struct cut_policy cut_policy_cdc = {"cdc", 16 * KIB, 64 * KIB, 256 * KIB, CUT_COMPRESS_PROBE};
/* Databases and disk images change in pages where they stand: one changed page costs one small chunk. */
const struct cut_policy cut_policy_fixed16k = {"fixed16k", 16 * KIB, 16 * KIB, 16 * KIB, CUT_COMPRESS_YES};
/* Pictures are written once and do not change inside.  No longer than this: sixteen at once are hashed twice as quickly as
 * two at once (crypto/many.h), and so many have to be in memory then. */
const struct cut_policy cut_policy_large = {"large", 32 * KIB, 128 * KIB, 512 * KIB, CUT_COMPRESS_IMAGES};

static const struct magic_row { uint16_t offset; uint8_t n; const char *bytes; const struct cut_policy *policy; }
magic_table[] = {
    {0, 16, "SQLite format 3\0", &cut_policy_fixed16k},
    {0, 4, "QFI\xfb", &cut_policy_fixed16k},         /* qcow2 */
    {0, 8, "vhdxfile", &cut_policy_fixed16k},
    {0, 8, "conectix", &cut_policy_fixed16k},        /* VHD */
    {0, 4, "KDMV", &cut_policy_fixed16k},            /* VMDK */
    {64, 4, "\x7f\x10\xda\xbe", &cut_policy_fixed16k}, /* VDI */
    {4, 15, "Standard Jet DB", &cut_policy_fixed16k},
    {4, 15, "Standard ACE DB", &cut_policy_fixed16k},
    {510, 2, "\x55\xaa", &cut_policy_fixed16k},      /* a raw disk with a boot record */
    {0, 3, "\xff\xd8\xff", &cut_policy_large},       /* JPEG */
    {128, 4, "DICM", &cut_policy_large},
    {4, 4, "ftyp", &cut_policy_large},               /* MP4, HEIC */
    {0, 4, "\x1a\x45\xdf\xa3", &cut_policy_large},   /* Matroska */
};

static const struct suffix_row { const char *suffix; const struct cut_policy *policy; } suffix_table[] = {
    {".sqlite", &cut_policy_fixed16k}, {".sqlite3", &cut_policy_fixed16k}, {".db", &cut_policy_fixed16k},
    {".ibd", &cut_policy_fixed16k}, {".mdf", &cut_policy_fixed16k}, {".ndf", &cut_policy_fixed16k},
    {".fdb", &cut_policy_fixed16k}, {".vmdk", &cut_policy_fixed16k}, {".vhd", &cut_policy_fixed16k},
    {".raw", &cut_policy_fixed16k}, {".img", &cut_policy_fixed16k}, {".qcow2", &cut_policy_fixed16k},
    {".dcm", &cut_policy_large}, {".jpg", &cut_policy_large}, {".jpeg", &cut_policy_large},
};

static bool ends_with(struct sm_span name, const char *suffix)
{
    size_t n = strlen(suffix);
    if (name.n < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (tolower(name.p[name.n - n + i]) != suffix[i])
            return false;
    return true;
}

/* A relation of PostgreSQL: a name that begins with digits, 8 KiB pages of layout version 4. */
static bool is_postgres(struct sm_span name, struct sm_span head, uint64_t size)
{
    if (size == 0 || size % 8192 != 0 || name.n == 0 || !isdigit(name.p[0]) || head.n < 20)
        return false;
    return head.p[18] == 4 && head.p[19] == 0x20;
}

const struct cut_policy *cut_policy_for(struct sm_span name, struct sm_span head, uint64_t size)
{
    if (size <= cut_policy_cdc.min)
        return &cut_policy_cdc;
    for (size_t i = 0; i < sizeof magic_table / sizeof magic_table[0]; i++) {
        const struct magic_row *m = &magic_table[i];
        if (head.n >= (size_t)m->offset + m->n && memcmp(head.p + m->offset, m->bytes, m->n) == 0)
            return m->policy;
    }
    if (is_postgres(name, head, size))
        return &cut_policy_fixed16k;
    for (size_t i = 0; i < sizeof suffix_table / sizeof suffix_table[0]; i++)
        if (ends_with(name, suffix_table[i].suffix))
            return suffix_table[i].policy;
    return &cut_policy_cdc;
}
