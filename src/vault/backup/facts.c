#include "core/json.h"
#include "vault/backup/run_internal.h"

#define JUDGE_MIN 256u /* fewer bytes say nothing */

static const struct magic { uint16_t at; uint8_t n; const char *bytes; } magic_table[] = {
    { 0, 4, "PK\3\4" }, { 0, 5, "%PDF-" }, { 0, 3, "\xff\xd8\xff" }, { 0, 8, "\x89PNG\r\n\x1a\n" },
    { 0, 8, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" }, { 0, 16, "SQLite format 3\0" }, { 128, 4, "DICM" }, { 0, 4, "GIF8" },
    { 0, 4, "II*\0" }, { 0, 4, "MM\0*" }, { 0, 2, "\x1f\x8b" }, { 0, 4, "\x28\xb5\x2f\xfd" }, { 0, 6, "7z\xbc\xaf\x27\x1c" },
    { 0, 6, "\xfd" "7zXZ" }, { 0, 4, "\x7f" "ELF" }, { 0, 2, "MZ" }, { 4, 4, "ftyp" }, { 0, 4, "RIFF" }, { 0, 4, "OggS" },
    { 0, 3, "ID3" }, { 0, 5, "{\\rtf" }, { 4, 15, "Standard Jet DB" }, { 4, 15, "Standard ACE DB" }, { 0, 2, "BM" },
    { 0, 4, "Rar!" }, { 257, 5, "ustar" }, { 0, 4, "PGDM" }, { 0, 4, "MSCF" }, { 0, 4, "\x1a\x45\xdf\xa3" },
};

uint8_t class_of(struct sm_span head)
{
    if (head.n == 0)
        return CLASS_EMPTY;
    for (size_t i = 0; i < sizeof magic_table / sizeof *magic_table; i++) {
        const struct magic *m = &magic_table[i];
        if (head.n >= (size_t)m->at + m->n && memcmp(head.p + m->at, m->bytes, m->n) == 0)
            return (uint8_t)(CLASS_MAGIC + i);
    }
    if (head.n < JUDGE_MIN)
        return CLASS_NONE;
    if (seal_looks_random(head))
        return CLASS_RANDOM;
    /* Text in any of the encodings met in Japan has few control bytes. */
    size_t odd = 0;
    for (size_t i = 0; i < head.n; i++)
        odd += head.p[i] < 0x20 && head.p[i] != '\n' && head.p[i] != '\r' && head.p[i] != '\t' && head.p[i] != 0x1b;
    return odd * 64 <= head.n ? CLASS_TEXT : CLASS_NONE;
}

bool class_is_lost(uint8_t before, uint8_t now)
{
    before &= (uint8_t)~CLASS_CANARY;
    now &= (uint8_t)~CLASS_CANARY;
    return (before >= CLASS_MAGIC || before == CLASS_TEXT) && now == CLASS_RANDOM;
}

static unsigned share(uint64_t part, uint64_t whole)
{
    return whole ? (unsigned)(part * 100 / whole) : 0;
}

/* The client's own word on whether something destroys data here: the strongest of the signs, 0 to 100. */
unsigned facts_suspicion(const struct backup_counts *c)
{
    uint64_t known = c->files - (c->files_new < c->files ? c->files_new : c->files);
    unsigned score = 0, s;
    if (c->canaries_changed || c->canaries_missing)
        score = 90;
    s = c->lost_magic < 3 ? 0 : 40 + share(c->lost_magic, c->files_changed + c->files_new) / 2;
    score = s > score ? s : score;
    s = share(c->extension_changed, known + c->files_deleted);
    /* One such file is an old disk; many of those looked at are somebody who set times back. */
    s = c->reread_changed < 10 ? 0 : 40 + share(c->reread_changed, c->reread) / 2;
    score = s > score ? s : score;
    s = c->extension_changed < 10 || s == 0 ? 0 : 30 + s;
    score = s > score ? s : score;
    /* What new files brought says nothing of those that changed: a new archive never compresses. */
    uint64_t plain = c->bytes_new_plain - c->new_files_plain, stored = c->bytes_new_stored - c->new_files_stored;
    bool flat = plain >= ((uint64_t)8 << 20) && stored >= plain / 10 * 9;
    s = flat && known ? share(c->files_changed, known) : 0;
    score = s > score ? s : score;
    return score > 100 ? 100 : score;
}

int facts_json(const struct backup_counts *c, struct sm_span machine, struct sm_buf *ret)
{
    const struct { const char *name; uint64_t v; } row[] = {
        { "facts", 1 }, { "files", c->files }, { "dirs", c->dirs }, { "others", c->others }, { "bytes", c->bytes },
        { "files_new", c->files_new }, { "files_changed", c->files_changed }, { "files_deleted", c->files_deleted },
        { "bytes_read", c->bytes_read }, { "bytes_new_plain", c->bytes_new_plain },
        { "bytes_new_stored", c->bytes_new_stored }, { "chunks_new", c->chunks_new }, { "lost_magic", c->lost_magic },
        { "extension_changed", c->extension_changed }, { "renamed", c->renamed }, { "canaries", c->canaries },
        { "canaries_changed", c->canaries_changed }, { "canaries_missing", c->canaries_missing },
        { "unreadable", c->unreadable }, { "changed_while_read", c->changed_while_read },
        { "client_suspicion", c->client_suspicion }, { "reread", c->reread }, { "reread_bytes", c->reread_bytes },
        { "reread_changed", c->reread_changed }, { "new_files_plain", c->new_files_plain },
        { "new_files_stored", c->new_files_stored },
    };
    json_t *o = json_object();
    int e = o ? 0 : -SM_EINVAL;
    for (size_t i = 0; e == 0 && i < sizeof row / sizeof *row; i++)
        if (json_object_set_new(o, row[i].name, json_integer((json_int_t)row[i].v)) < 0)
            e = -SM_EINVAL;
    json_t *m = NULL;
    if (e == 0 && machine.n)
        e = sm_json_parse(machine, MANIFEST_FACTS_MAX / 2, &m, NULL);
    if (m && json_object_set_new(o, "machine", m) < 0)
        e = -SM_EINVAL;
    if (e == 0)
        e = sm_json_dump(o, ret);
    sm_json_free(&o);
    return e;
}
