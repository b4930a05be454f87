#include "vault/suspicion/suspicion.h"
#include <stdarg.h>
#include "core/json.h"

/*
 * The numbers come from the ageing generator of bench/vault: a day with 1 % of the files and database pages changed
 * drops 1-3 %
 * of the chunks, one with 10 % up to 19 % (16 KiB database chunks hold two pages); encrypting 4 KiB of each 64 KiB
 * drops more than 40 %
 * of the chunks and 90 % of the bytes.
 */
#define DROPPED_NOTE 0.15      /* share of the base dropped from which it is mentioned */
#define DROPPED_ALARM 0.25
#define SMALL 8.0              /* so many chunks are nobody's habit yet: shares of small sources count less */
#define SHRUNK_ALARM 0.25      /* directory pages, in bytes */
#define SHRUNK_BYTES 1024      /* and at least so much */
#define SWAP_DROPPED 0.12      /* compressible content gone, incompressible come */
#define SWAP_LEFT 0.3
#define FILES_CHANGED 0.5
#define FILES_DELETED 0.3
#define SLOW_30 0.40
#define SLOW_90 0.50
#define MOVED_DROPPED 0.05
#define LEAST 10

static const char *const names[] = {
    [SUSPICION_REPLACED] = "replaced", [SUSPICION_DELETED] = "deleted", [SUSPICION_SHRUNK] = "shrunk",
    [SUSPICION_INCOMPRESSIBLE] = "incompressible", [SUSPICION_LOST_MAGIC] = "lost_magic",
        [SUSPICION_RENAMED] = "renamed",
    [SUSPICION_CANARY_CHANGED] = "canary_changed", [SUSPICION_CANARY_MISSING] = "canary_missing",
        [SUSPICION_SLOW] = "slow",
    [SUSPICION_CLIENT] = "client", [SUSPICION_CHANGED] = "changed",
};

const char *suspicion_code_name(enum suspicion_code c)
{
    return c >= SUSPICION_REPLACED && c < SUSPICION_CODE_END ? names[c] : NULL;
}

static double share(uint64_t part, uint64_t of)
{
    return of ? (double)part / (double)of : 0;
}

sm_printf(5, 6) static void say(struct suspicion_result *r, enum suspicion_code code, double score, double value,
    const char *fmt, ...)
{
    if (score < LEAST || r->n == SUSPICION_REASONS_MAX)
        return;
    struct suspicion_reason s = { .code = code, .score = score > 100 ? 100 : (unsigned)score, .value = value };
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(s.text, sizeof s.text, fmt, ap); /* cut short is fine */
    va_end(ap);
    size_t at = r->n++;
    while (at > 0 && r->reasons[at - 1].score < s.score) {
        r->reasons[at] = r->reasons[at - 1];
        at--;
    }
    r->reasons[at] = s;
}

/* 55..95 from the alarm on, 10..45 from the note to the alarm, 0 below. */
static double grade(double x, double note, double alarm)
{
    if (x >= alarm)
        return 55 + 40 * (x - alarm) / (1 - alarm + 1e-9);
    return x >= note ? 10 + 35 * (x - note) / (alarm - note) : 0;
}

/* The share of the base that is gone; small sources count less, because there three files are a lot. */
static double dropped_share(const struct suspicion_input *in)
{
    if (!in->base.known || !in->base.m.chunks)
        return 0;
    double n = (double)in->now.chunks_dropped;
    double by_count = n / ((double)in->base.m.chunks + SMALL);
    double by_bytes = share(in->now.chunk_bytes_dropped, in->base.m.chunk_bytes) * n / (n + SMALL);
    double x = by_count > by_bytes ? by_count : by_bytes;
    return x < 1 ? x : 1;
}

static void judge_dropped(const struct suspicion_input *in, double x, struct suspicion_result *r)
{
    const struct suspicion_measures *m = &in->now;
    bool replaced = m->chunk_bytes_new * 2 >= m->chunk_bytes_dropped;
    say(r, replaced ? SUSPICION_REPLACED : SUSPICION_DELETED, grade(x, DROPPED_NOTE, DROPPED_ALARM), x,
        "%.0f %% of what was there before is %s (%llu of %llu chunks)", x * 100, replaced ? "replaced" : "gone",
        (unsigned long long)m->chunks_dropped, (unsigned long long)in->base.m.chunks);
}

static void judge_shrunk(const struct suspicion_input *in, struct suspicion_result *r)
{
    const struct suspicion_measures *b = &in->base.m;
    if (!in->base.known || b->page_bytes < in->now.page_bytes + SHRUNK_BYTES)
        return;
    double x = share(b->page_bytes - in->now.page_bytes, b->page_bytes);
    say(r, SUSPICION_SHRUNK, grade(x, DROPPED_NOTE, SHRUNK_ALARM), x,
        "the lists of files are %.0f %% smaller: many files are gone", x * 100);
}

/* Compressible content went and about as much that cannot be compressed came in its place.  New pictures beside
 * ordinary work do not look like this: then compressible content comes too. */
static void judge_swap(const struct suspicion_input *in, double x, struct suspicion_result *r)
{
    const struct suspicion_measures *m = &in->now;
    uint64_t gone = m->chunk_bytes_dropped - m->stored_bytes_dropped, came = m->chunk_bytes_new - m->stored_bytes_new;
    if (m->stored_bytes_dropped > m->chunk_bytes_dropped || m->stored_bytes_new > m->chunk_bytes_new)
        return;
    if (x >= SWAP_DROPPED && (double)came < SWAP_LEFT * (double)gone && m->stored_bytes_new >= gone)
        say(r, SUSPICION_INCOMPRESSIBLE, 60 + 40 * x, share(m->stored_bytes_new, m->chunk_bytes_new),
            "%llu KiB that could be compressed are gone, %llu KiB that cannot came instead",
            (unsigned long long)(gone >> 10), (unsigned long long)(m->stored_bytes_new >> 10));
}

static uint64_t squeezable(const struct suspicion_measures *m)
{
    return m->chunk_bytes > m->stored_bytes ? m->chunk_bytes - m->stored_bytes : 0;
}

static void judge_slow(const struct suspicion_input *in, const struct suspicion_past *past, double alarm, unsigned days,
    struct suspicion_result *r)
{
    if (!past->known || past->m.chunks < 2 * (uint64_t)SMALL)
        return;
    uint64_t was = squeezable(&past->m), is = squeezable(&in->now);
    double content = was > is ? share(was - is, was) : 0;
    uint64_t shrunk = past->m.page_bytes > in->now.page_bytes ? past->m.page_bytes - in->now.page_bytes : 0;
    double files = shrunk >= SHRUNK_BYTES ? share(shrunk, past->m.page_bytes) : 0;
    double x = content > files ? content : files;
    if (x >= alarm)
        say(r, SUSPICION_SLOW, grade(x, alarm, alarm), x, "against %u days ago %.0f %% of the %s is gone", days,
            x * 100,
            content > files ? "compressible content" : "lists of files");
}

/* ---- the client's word ---- */

static uint64_t without(uint64_t all, uint64_t part)
{
    return all - (part < all ? part : all);
}

/* Did files that were there before get new content worth speaking of?  New files beside them are no sign of it. */
static bool is_rewritten(const struct suspicion_facts *f, double x)
{
    uint64_t plain = without(f->bytes_new_plain, f->new_files_plain);
    if (x >= 0.1 || (!plain && f->new_files_plain))
        return x >= 0.1;
    return plain >= without(f->bytes, f->new_files_plain) / 5;
}

static void judge_files(const struct suspicion_facts *f, double x, struct suspicion_result *r)
{
    uint64_t before = f->files - (f->files_new < f->files ? f->files_new : f->files) + f->files_deleted;
    if (before < 10)
        return;
    /* A folder that moved is deleted here and new there; when the box itself saw next to nothing go, only the rest is gone. */
    uint64_t left = f->files_deleted;
    if (x < MOVED_DROPPED)
        left -= f->files_new < left ? f->files_new : left;
    double gone = (double)left / ((double)before + 2);
    if (gone >= FILES_DELETED)
        say(r, SUSPICION_DELETED, grade(gone, FILES_DELETED, FILES_DELETED), gone, "%llu of %llu files were deleted",
            (unsigned long long)left, (unsigned long long)before);
    double changed = (double)(f->files_changed + f->files_deleted) / ((double)before + 2);
    bool content = is_rewritten(f, x);
    if (changed >= FILES_CHANGED && content)
        say(r, SUSPICION_CHANGED, grade(changed, FILES_CHANGED, FILES_CHANGED), changed,
            "%llu of %llu files were changed or deleted", (unsigned long long)(f->files_changed + f->files_deleted),
            (unsigned long long)before);
    uint64_t stored = without(f->bytes_new_stored, f->new_files_stored);
    double ratio = share(without(f->bytes_new_plain, f->new_files_plain), stored);
    bool work = f->files_changed >= 10 && f->files_changed * 10 >= f->files && f->files_new < f->files_changed;
    if (work && stored && ratio <= 1.2 && content)
        say(r, SUSPICION_INCOMPRESSIBLE, 60, ratio, "changed files hardly compress any more (%.2f; 2.3 is usual)",
            ratio);
}

static void judge_forms(const struct suspicion_facts *f, struct suspicion_result *r)
{
    double files = (double)f->files + 1;
    double lost = (double)f->lost_magic;
    bool many = lost * 10 >= files || (lost >= 50 && lost * 100 >= files);
    if (lost >= 3)
        say(r, SUSPICION_LOST_MAGIC, many ? 65 + 30 * (lost < files ? lost / files : 1) : 20, lost,
            "%llu files no longer begin as their kind does", (unsigned long long)f->lost_magic);
    double ext = (double)f->extension_changed;
    bool mush = f->bytes_new_stored && share(f->bytes_new_plain, f->bytes_new_stored) <= 1.2;
    if ((ext >= 5 && ext * 5 >= files) || (mush && ext >= 10 && ext * 25 >= files))
        say(r, SUSPICION_RENAMED, 60, ext, "%llu files have another extension",
            (unsigned long long)f->extension_changed);
    else if (f->renamed >= 10 && (double)f->renamed * 2 >= files)
        say(r, SUSPICION_RENAMED, 40, (double)f->renamed, "%llu files have another name",
            (unsigned long long)f->renamed);
    if (f->canaries_changed)
        say(r, SUSPICION_CANARY_CHANGED, 95, (double)f->canaries_changed, "%llu of %llu canary files were changed",
            (unsigned long long)f->canaries_changed, (unsigned long long)f->canaries);
    if (f->canaries_missing)
        say(r, SUSPICION_CANARY_MISSING, 70, (double)f->canaries_missing, "%llu canary files are missing",
            (unsigned long long)f->canaries_missing);
    say(r, SUSPICION_CLIENT, (double)f->client_suspicion, (double)f->client_suspicion,
        "the machine itself says %llu of 100",
        (unsigned long long)f->client_suspicion);
}

void suspicion_judge(const struct suspicion_input *in, struct suspicion_result *ret)
{
    struct suspicion_result r = { 0 };
    double x = dropped_share(in);
    judge_dropped(in, x, &r);
    judge_shrunk(in, &r);
    judge_swap(in, x, &r);
    judge_slow(in, &in->days30, SLOW_30, 30, &r);
    judge_slow(in, &in->days90, SLOW_90, 90, &r);
    judge_files(&in->facts, x, &r);
    judge_forms(&in->facts, &r);
    if (r.n) {
        r.score = r.reasons[0].score;
        /* Several reasons make an alarm surer, but several small ones do not make one. */
        if (r.score >= SUSPICION_THRESHOLD)
            r.score += (unsigned)(r.n - 1) * 2;
        if (r.score > 100)
            r.score = 100;
    }
    *ret = r;
}

int suspicion_facts_parse(struct sm_span json, struct suspicion_facts *ret)
{
    struct suspicion_facts f = { 0 };
    if (!json.n) {
        *ret = f;
        return 0;
    }
    json_t *v = NULL;
    int err = sm_json_parse(json, (size_t)64 << 10, &v, NULL);
    if (err)
        return err;
    struct { const char *key; uint64_t *to; int64_t max; } row[] = {
        { "files", &f.files, INT64_MAX / 16 }, { "files_new", &f.files_new, INT64_MAX / 16 },
        { "files_changed", &f.files_changed, INT64_MAX / 16 }, { "files_deleted", &f.files_deleted, INT64_MAX / 16 },
        { "bytes", &f.bytes, INT64_MAX }, { "bytes_read", &f.bytes_read, INT64_MAX },
        { "bytes_new_plain", &f.bytes_new_plain, INT64_MAX }, { "bytes_new_stored", &f.bytes_new_stored, INT64_MAX },
        { "chunks_new", &f.chunks_new, INT64_MAX }, { "lost_magic", &f.lost_magic, INT64_MAX / 16 },
        { "extension_changed", &f.extension_changed, INT64_MAX / 16 }, { "renamed", &f.renamed, INT64_MAX / 16 },
        { "canaries", &f.canaries, INT64_MAX }, { "canaries_changed", &f.canaries_changed, INT64_MAX },
        { "canaries_missing", &f.canaries_missing, INT64_MAX }, { "client_suspicion", &f.client_suspicion, 100 },
        { "new_files_plain", &f.new_files_plain, INT64_MAX }, { "new_files_stored", &f.new_files_stored, INT64_MAX },
    };
    struct sm_obj o = SM_OBJ(v);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        *row[i].to = (uint64_t)sm_obj_int_opt(&o, row[i].key, 0, row[i].max, 0);
    err = json_is_object(v) ? o.err : -SM_EFORMAT;
    sm_json_free(&v);
    if (!err)
        *ret = f;
    return err;
}
