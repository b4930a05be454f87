#include <string.h>
#include <strings.h>
#include "detect/ransom/content.h"

static const struct row {
    const char *name, *magic;
    uint16_t offset;
    uint8_t n, flags;
} rows[KIND_COUNT] = {
#define KIND(id, at, bytes, count, bits) [KIND_IS_##id] = {.name = #id, .magic = bytes, .offset = at, .n = count, .flags = bits},
#include "detect/ransom/kind.def"
#undef KIND
};

unsigned kind_flags(enum kind k)
{
    return k < KIND_COUNT ? rows[k].flags : 0;
}

const char *kind_name(enum kind k)
{
    return k < KIND_COUNT ? rows[k].name : "NONE";
}

/* OpenPGP packets of a message: a key packet of version 3 or 4 comes first. */
static bool is_pgp(const uint8_t *p, size_t n)
{
    if (n < 8 || !(p[0] & 0x80))
        return false;
    unsigned tag = p[0] & 0x40 ? p[0] & 0x3f : (p[0] >> 2) & 15;
    size_t at = p[0] & 0x40 ? (p[1] < 192 ? 2 : 3) : 2 + (p[0] & 3) % 2;
    size_t length = p[0] & 0x40 ? p[1] : at == 2 ? p[1] : (size_t)p[1] << 8 | p[2];
    if (tag == 3) /* key from a passphrase: version 4, an algorithm, kind of salting */
        return p[at] == 4 && p[at + 1] > 0 && p[at + 1] < 14 && p[at + 2] < 4 && length < 64;
    return tag == 1 && p[at] == 3 && length > 40 && length < 1100;
}

static bool is_pgpage(const uint8_t *p, size_t n, uint64_t size)
{
    if (n < 24 || size % 8192 || p[18] != 4 || p[19] != 0x20)
        return false;
    unsigned lower = p[12] | p[13] << 8, upper = p[14] | p[15] << 8, special = p[16] | p[17] << 8;
    return lower >= 24 && lower <= upper && upper <= special && special <= 8192;
}

static bool is_innodb(const uint8_t *p, size_t n, uint64_t size)
{
    return n >= 38 && size >= 65536 && size % 16384 == 0 && !memcmp(p + 4, "\0\0\0\0", 4) && p[24] == 0 && p[25] == 8;
}

static bool is_magic(const struct row *row, const uint8_t *p, size_t n)
{
    return row->n && n >= (size_t)row->offset + row->n && !memcmp(p + row->offset, row->magic, row->n);
}

/* Two letters are soon there by chance: what stands behind them must fit, too. */
static bool is_likely(enum kind k, const uint8_t *p, size_t n, uint64_t size)
{
    if (k == KIND_IS_BMP)
        return n >= 30 && p[6] == 0 && p[7] == 0 && p[8] == 0 && p[9] == 0 && p[26] == 1 && p[27] == 0;
    if (k == KIND_IS_DOSEXE)
        return n >= 64 && size > 128 && !bytes_random(p + 2, 62);
    if (k == KIND_IS_BZIP2)
        return n >= 10 && p[3] >= '1' && p[3] <= '9' && (!memcmp(p + 4, "1AY&SY", 6) || !memcmp(p + 4, "\x17\x72\x45\x38\x50\x90", 6));
    if (k == KIND_IS_GZIP)
        return n >= 10 && !(p[3] & 0xe0);
    if (k == KIND_IS_JPEG)
        return n >= 4 && p[3] >= 0xc0;
    return true;
}

enum kind kind_of(const uint8_t *p, size_t n, uint64_t size)
{
    if (!n || !size)
        return KIND_IS_EMPTY;
    for (unsigned k = 0; k < KIND_COUNT; k++)
        if (is_magic(&rows[k], p, n) && is_likely((enum kind)k, p, n, size))
            return (enum kind)k;
    if (bytes_constant(p, n))
        return KIND_IS_CONSTANT;
    if (is_pgp(p, n))
        return KIND_IS_PGP;
    if (is_pgpage(p, n, size))
        return KIND_IS_PGPAGE;
    if (is_innodb(p, n, size))
        return KIND_IS_INNODB;
    if (bytes_text(p, n))
        return KIND_IS_TEXT;
    return bytes_random(p, n) ? KIND_IS_NOISE : KIND_IS_NONE;
}

static const struct ending { char text[10]; uint8_t kind; } endings[] = {
    {"txt", KIND_IS_TEXT}, {"csv", KIND_IS_TEXT}, {"tsv", KIND_IS_TEXT}, {"html", KIND_IS_TEXT}, {"htm", KIND_IS_TEXT},
    {"xml", KIND_IS_TEXT}, {"json", KIND_IS_TEXT}, {"md", KIND_IS_TEXT}, {"log", KIND_IS_TEXT}, {"hl7", KIND_IS_TEXT},
    {"ini", KIND_IS_TEXT}, {"conf", KIND_IS_TEXT}, {"sql", KIND_IS_TEXT}, {"eml", KIND_IS_TEXT}, {"rtf", KIND_IS_TEXT},
    {"c", KIND_IS_TEXT}, {"h", KIND_IS_TEXT}, {"py", KIND_IS_TEXT}, {"js", KIND_IS_TEXT}, {"sh", KIND_IS_TEXT}, {"dat", KIND_IS_TEXT},
    {"uke", KIND_IS_TEXT}, {"jpg", KIND_IS_JPEG}, {"jpeg", KIND_IS_JPEG}, {"png", KIND_IS_PNG}, {"gif", KIND_IS_GIF},
    {"pdf", KIND_IS_PDF}, {"doc", KIND_IS_OLE}, {"xls", KIND_IS_OLE}, {"ppt", KIND_IS_OLE}, {"docx", KIND_IS_ZIP},
    {"xlsx", KIND_IS_ZIP}, {"xlsm", KIND_IS_ZIP}, {"pptx", KIND_IS_ZIP}, {"odt", KIND_IS_ZIP}, {"ods", KIND_IS_ZIP},
    {"odp", KIND_IS_ZIP}, {"zip", KIND_IS_ZIP}, {"dcm", KIND_IS_DICOM}, {"db", KIND_IS_SQLITE}, {"sqlite", KIND_IS_SQLITE},
    {"sqlite3", KIND_IS_SQLITE}, {"gz", KIND_IS_GZIP}, {"tgz", KIND_IS_GZIP}, {"bz2", KIND_IS_BZIP2}, {"xz", KIND_IS_XZ},
    {"zst", KIND_IS_ZSTD}, {"lz4", KIND_IS_LZ4}, {"7z", KIND_IS_SEVENZIP}, {"rar", KIND_IS_RAR}, {"tar", KIND_IS_TAR},
    {"tif", KIND_IS_TIFF}, {"tiff", KIND_IS_TIFF}, {"bmp", KIND_IS_BMP}, {"wav", KIND_IS_RIFF}, {"avi", KIND_IS_RIFF},
    {"webp", KIND_IS_RIFF}, {"mp4", KIND_IS_MP4}, {"mov", KIND_IS_MP4}, {"m4a", KIND_IS_MP4}, {"heic", KIND_IS_MP4},
    {"mkv", KIND_IS_MATROSKA}, {"webm", KIND_IS_MATROSKA}, {"mp3", KIND_IS_MP3}, {"ogg", KIND_IS_OGG}, {"flac", KIND_IS_FLAC},
    {"jp2", KIND_IS_JPEG2000}, {"ibd", KIND_IS_INNODB}, {"pst", KIND_IS_PST}, {"vmdk", KIND_IS_QCOW}, {"qcow2", KIND_IS_QCOW},
};

enum kind kind_by_name(struct sm_span path)
{
    size_t at = path.n;
    while (at > 0 && path.p[at - 1] != '.' && path.p[at - 1] != '/')
        at--;
    if (!at || path.p[at - 1] != '.')
        return KIND_IS_NONE;
    size_t n = path.n - at;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (strlen(endings[i].text) == n && !strncasecmp(endings[i].text, (const char *)path.p + at, n))
            return (enum kind)endings[i].kind;
    return KIND_IS_NONE;
}
