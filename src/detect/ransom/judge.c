/* A file as it was, and what it is now: samples in the same places, compared. */
#include <string.h>
#include "detect/ransom/content.h"

enum { SAMPLE = RANSOM_SAMPLE, ALIGN = 16384, FINE = 96, FINE_BYTES = 256, WORD = 16 };

/* What the samples say.  Counts are of samples. */
struct tale {
    enum kind was, is;
    uint64_t was_size, is_size, common;
    unsigned samples, same, changed;
    unsigned structured;    /* changed ones that had something to lose: neither random nor one byte over and over */
    unsigned gained;        /* of them, random now */
    unsigned noise;         /* changed ones that are random now */
    unsigned constant;      /* changed ones that are one byte over and over now and were not */
    unsigned substituted, keyed, sprinkled, encoded, text;
    unsigned pages, pages_lost;
    unsigned turns;         /* how often same and changed take turns along the file */
    bool last_same, head_changed;
    size_t prefix;          /* bytes alike at the beginning */
    struct tally now;       /* of the changed ones that are random now */
    uint8_t head[64];       /* as it was */
    size_t head_n;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return x ^ x >> 32;
}

/* Where the i-th of n samples lies: spread evenly, each somewhere within its share, at the beginning of a page. */
static uint64_t place(uint64_t size, unsigned i, unsigned n, uint64_t seed)
{
    if (i == 0)
        return 0;
    if (i + 1 == n)
        return size - SAMPLE;
    uint64_t share = size / n, at = share * i + (share > ALIGN ? mix(seed + i) % (share - ALIGN / 2) : 0);
    return at - at % (size > (2 << 20) ? ALIGN : SAMPLE);
}

static size_t prefix_of(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

static size_t suffix_of(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;
    while (i < n && a[n - 1 - i] == b[n - 1 - i])
        i++;
    return i;
}

static void compare(struct tale *t, uint64_t offset, const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n)
{
    size_t n = a_n < b_n ? a_n : b_n;
    if (!n)
        return;
    bool same = !memcmp(a, b, n);
    t->turns += t->samples && same != t->last_same;
    t->last_same = same;
    t->samples++;
    t->same += same;
    if (offset == 0) {
        t->prefix = prefix_of(a, b, n);
        t->head_changed = !same;
    }
    if (same)
        return;
    t->changed++;
    /* The untouched beginning and end of a sample say nothing of what changed between; a changed field of a few bytes says nothing. */
    size_t from = prefix_of(a, b, n), to = n - suffix_of(a + from, b + from, n - from);
    if (n < 512)
        from = 0, to = n;
    if (to - from < 256 && n >= 512)
        return;
    bool was = bytes_random(a + from, to - from), is = bytes_random(b + from, to - from);
    bool had = !was && !bytes_constant(a + from, to - from);
    size_t head = offset || to - from < 256 ? 0 : to - from < 2048 ? 64 : 512;
    if (head && !is && !bytes_random(a + from + head, to - from - head))
        is = bytes_random(b + from + head, to - from - head); /* behind a head of its own */
    t->structured += had;
    t->noise += is;
    t->gained += had && is;
    t->constant += had && bytes_poor(b + from, to - from) && !bytes_poor(a + from, to - from);
    t->keyed += bytes_keyed(a + from, b + from, to - from);
    t->sprinkled += bytes_sprinkled(a + from, b + from, to - from);
    t->substituted += had && bytes_substituted(a + from, b + from, to - from);
    t->encoded += had && !bytes_encoded(a + from, n - from) && bytes_encoded(b, b_n);
    t->text += bytes_text(b, b_n);
    if (is)
        tally_add(&t->now, b + from, to - from);
    if (form_page(t->was, t->head, t->head_n, t->was_size, offset, a, n) == 1) {
        t->pages++;
        t->pages_lost += form_page(t->was, t->head, t->head_n, t->was_size, offset, b, n) == 0;
    }
}

static void compare_at(struct tale *t, const struct body *was, const struct body *is, uint64_t offset)
{
    uint8_t a[SAMPLE], b[SAMPLE];
    size_t a_n = body_read(was, offset, a, sizeof a), b_n = body_read(is, offset, b, sizeof b);
    if (offset == 0) {
        t->was = kind_of(a, a_n, was->size);
        t->head_n = a_n < sizeof t->head ? a_n : sizeof t->head;
        memcpy(t->head, a, t->head_n);
    }
    compare(t, offset, a, a_n, b, b_n);
}

/* Samples met nothing that changed: many small looks, for changes that are few and far between. */
static void compare_fine(struct tale *t, const struct body *was, const struct body *is)
{
    uint8_t a[FINE_BYTES], b[FINE_BYTES];
    unsigned found = 0;
    for (unsigned i = 0; i < FINE && found < 4; i++) {
        uint64_t share = t->common / FINE, at = share * i + (share ? mix(was->file + 7 + i) % share : 0);
        size_t a_n = body_read(was, at, a, sizeof a), b_n = body_read(is, at, b, sizeof b);
        if (a_n && a_n == b_n && memcmp(a, b, a_n)) {
            compare_at(t, was, is, at - at % SAMPLE);
            t->turns += 2; /* beginning and end are the same: that is known by now */
            found++;
        }
    }
}

static void tell(struct tale *t, const struct body *was, const struct body *is, bool settled)
{
    *t = (struct tale){.was_size = was->size, .is_size = is->size, .common = was->size < is->size ? was->size : is->size};
    uint64_t all = (t->common + SAMPLE - 1) / SAMPLE;
    unsigned n = all < RANSOM_SAMPLES ? (unsigned)all : RANSOM_SAMPLES;
    for (unsigned i = 0; i < n; i++)
        compare_at(t, was, is, all <= RANSOM_SAMPLES ? (uint64_t)i * SAMPLE : place(t->common, i, n, was->file * 64 + was->tree));
    t->is = form_kind(is);
    if (t->was == KIND_IS_ZIP)
        t->was = form_kind(was);
    if (!t->changed && settled && all > RANSOM_SAMPLES)
        compare_fine(t, was, is);
}

/* Ciphertext is as long as what it hides, or longer; compressing makes what is structured shorter. */
static bool not_shorter(const struct tale *t)
{
    return t->is_size * 20 >= t->was_size * 19;
}

/* Changed in the middle, here and there, and of the same length: no program saves a compressed document like that. */
static enum found judge_dense(const struct tale *t, const struct body *was, const struct body *is, bool settled)
{
    if (t->is != t->was) {
        if (t->is == KIND_IS_NOISE || t->is == KIND_IS_NONE)
            return t->is == KIND_IS_NOISE || settled ? FOUND_SCRAMBLED : FOUND_NOTHING;
        if (t->is == KIND_IS_CONSTANT)
            return settled ? FOUND_WIPED : FOUND_NOTHING;
        if (t->is == KIND_IS_TEXT)
            return t->encoded && t->encoded == t->structured ? FOUND_ENCODED : settled ? FOUND_KIND_LOST : FOUND_NOTHING;
        if (!(kind_flags(t->is) & KIND_DENSE) && t->noise && t->noise * 10 >= t->changed * 9 && not_shorter(t))
            return FOUND_SCRAMBLED; /* of a kind that never looks like that inside */
        return settled && !form_sound(is, t->is) && form_sound(was, t->was) ? FOUND_SCRAMBLED : FOUND_CHANGED;
    }
    if (settled && t->constant && t->constant * 2 >= t->samples)
        return FOUND_WIPED;
    if (settled && form_sound(was, t->was) == 1 && form_sound(is, t->is) == 0)
        return FOUND_BROKEN;
    /* Of a form that may hold plain things, too (sound without compression). */
    if (t->gained > 1 && t->structured * 2 >= t->changed && t->gained * 10 >= t->structured * 8 && not_shorter(t))
        return FOUND_SCRAMBLED;
    bool grown_little = t->is_size >= t->was_size && t->is_size - t->was_size <= 65536;
    if (!grown_little || !t->changed || t->noise * 4 < t->changed * 3)
        return FOUND_CHANGED;
    if (t->turns >= 2 && t->same && t->samples >= 4)
        return FOUND_ISLANDS;
    return settled && t->samples >= 4 && t->is_size == t->was_size && t->changed * 2 >= t->samples && t->prefix >= 16 && t->noise == t->changed ?
        FOUND_REPLACED : FOUND_CHANGED;
}

/* Another kind now, one that opens without a key, but what comes out of it is none of what was there. */
static bool is_disguised(const struct tale *t, const struct body *was, const struct body *is)
{
    if (t->is_size * 20 < t->was_size * 19 || t->is_size > t->was_size * 3 / 2 + 16384)
        return false;
    if (t->is == t->was) /* a document that is a box itself */
        return kind_flags(t->is) & KIND_BOX && form_hides(is, t->is) && form_holds(is, t->is, was) == 0 && !form_hides(was, t->was) &&
            form_holds(was, t->was, was) == 0;
    if (form_hides(is, t->is))
        return true;
    /* Well compressed, and not shorter: there was nothing in it that could be compressed, as there was before. */
    bool dense = t->is == KIND_IS_XZ || t->is == KIND_IS_BZIP2 || t->is == KIND_IS_ZSTD || t->is == KIND_IS_LZ4;
    return dense && t->was_size >= 512 && t->is_size >= t->was_size && t->structured && t->structured * 10 >= t->changed * 9;
}

/* Random now in every place that was looked at. */
static enum found judge_all_noise(const struct tale *t, const struct body *is, bool settled)
{
    if (kind_flags(t->is) & KIND_DENSE && t->is != t->was) {
        int sound = form_sound(is, t->is);
        if (sound == 1 || !settled || !not_shorter(t))
            return FOUND_CHANGED;
        return sound == 0 || tally_excess(&t->now) < 6 ? FOUND_SCRAMBLED : FOUND_CHANGED;
    }
    if (t->is != KIND_IS_NOISE && t->is == t->was && !not_shorter(t))
        return FOUND_CHANGED; /* compressed within its form */
    if (!not_shorter(t) && (t->now.n < 4096 || tally_excess(&t->now) > 6))
        return settled ? FOUND_DENSER : FOUND_NOTHING;
    return FOUND_SCRAMBLED;
}

static enum found judge_plain(const struct tale *t, const struct body *is, bool settled)
{
    bool known = t->was != KIND_IS_NONE;
    bool told = t->is == KIND_IS_TEXT && !t->encoded; /* a dump of it */
    if (t->pages_lost && t->pages_lost * 2 >= t->pages && !told)
        return FOUND_PAGES;
    if (settled && t->constant && t->constant * 2 >= t->samples)
        return FOUND_WIPED;
    if (t->substituted && t->substituted * 10 >= t->structured * 9)
        return FOUND_SUBSTITUTED;
    if (t->encoded && t->encoded * 10 >= t->structured * 9 && t->same * 4 <= t->samples)
        return FOUND_ENCODED;
    if (t->gained && t->gained * 10 >= t->structured * 8 && t->same * 10 <= t->samples)
        return judge_all_noise(t, is, settled);
    /* Parts of it, in their places: what lies between is as it was. */
    bool dense_now = kind_flags(t->is) & KIND_DENSE && t->is != t->was;
    if (t->gained && t->gained * 2 >= t->structured && t->same && not_shorter(t) && !dense_now)
        return FOUND_ISLANDS;
    bool unknown = t->is == KIND_IS_NONE || t->is == KIND_IS_NOISE;
    if (settled && known && t->changed == t->samples && t->prefix < 4 && unknown)
        return FOUND_KIND_LOST;
    if (settled && t->was == KIND_IS_TEXT && unknown && t->changed == t->samples && !t->text && t->is_size == t->was_size)
        return FOUND_KIND_LOST; /* no text any more, though as long */
    return FOUND_CHANGED;
}

struct judged judge(const struct body *was, const struct body *is, bool settled)
{
    struct tale t;
    if (!was->size)
        return (struct judged){FOUND_NOTHING, KIND_IS_EMPTY, KIND_IS_EMPTY};
    if (!is->size) {
        enum kind k = form_kind(was);
        bool document = kind_flags(k) & KIND_DOC && k != KIND_IS_TEXT;
        return (struct judged){!settled ? FOUND_NOTHING : document ? FOUND_EMPTIED : FOUND_EMPTY, (uint8_t)k, KIND_IS_EMPTY};
    }
    tell(&t, was, is, settled);
    if (settled && t.was == KIND_IS_TEXT && t.is == KIND_IS_TEXT && is->size <= WORD && was->size >= 64 * WORD)
        return (struct judged){FOUND_EMPTY, (uint8_t)t.was, (uint8_t)t.is};
    struct judged j = {.found = FOUND_NOTHING, .was = (uint8_t)t.was, .is = (uint8_t)t.is};
    if (!t.changed && t.is_size >= t.was_size)
        return j;
    unsigned was_flags = kind_flags(t.was), is_flags = kind_flags(t.is);
    if (is_flags & KIND_LOCKED && !(was_flags & KIND_LOCKED))
        j.found = FOUND_LOCKED;
    else if (is_flags & KIND_BOX && t.is != t.was && form_holds(is, t.is, was) == 1)
        j.found = FOUND_COPY;
    else if (t.was == KIND_IS_NOISE || was_flags & KIND_LOCKED)
        j.found = FOUND_CHANGED; /* nobody could read it before, either */
    else if (t.keyed && t.keyed * 10 >= t.changed * 9)
        j.found = FOUND_SUBSTITUTED;
    else if (t.sprinkled && t.sprinkled * 2 >= t.changed && is->size >= was->size && is->size - was->size <= 65536)
        j.found = FOUND_ISLANDS;
    else if (settled && is_disguised(&t, was, is))
        j.found = FOUND_LOCKED;
    else if (was_flags & KIND_DENSE)
        j.found = judge_dense(&t, was, is, settled);
    else
        j.found = judge_plain(&t, is, settled);
    return j;
}

bool judge_copy(const struct body *a, const struct body *b)
{
    uint8_t x[SAMPLE], y[SAMPLE];
    if (a->size != b->size)
        return false;
    for (unsigned i = 0; i < 6; i++) {
        uint64_t at = a->size <= SAMPLE ? 0 : i == 5 ? a->size - SAMPLE : a->size / 6 * i;
        size_t n = body_read(a, at, x, sizeof x), m = body_read(b, at, y, sizeof y);
        if (n != m || (!n && a->size) || memcmp(x, y, n))
            return false;
        if (a->size <= SAMPLE)
            break;
    }
    return true;
}

bool judge_opaque(const struct body *b, enum kind *ret_kind)
{
    uint8_t p[SAMPLE];
    struct tally all = {0};
    enum kind k = form_kind(b);
    *ret_kind = k;
    if (kind_flags(k) & KIND_LOCKED || k == KIND_IS_SEVENZIP || k == KIND_IS_RAR)
        return true; /* whether these two are under a password is written inside, compressed */
    if (k != KIND_IS_NOISE && k != KIND_IS_TEXT && k != KIND_IS_NONE)
        return form_sound(b, k) == 0;
    unsigned noise = 0, encoded = 0, n = 0;
    for (unsigned i = 0; i < 8; i++) {
        /* No byte is counted twice: that would make dice uneven. */
        uint64_t at = b->size <= 8 * SAMPLE ? (uint64_t)i * SAMPLE : i == 7 ? b->size - SAMPLE : b->size / 8 * i;
        if (at >= b->size)
            break;
        size_t got = body_read(b, at, p, sizeof p);
        bool random = bytes_random(p, got);
        n++;
        noise += random;
        encoded += bytes_encoded(p, got);
        if (random)
            tally_add(&all, p, got);
    }
    if (encoded == n)
        return true;
    return noise * 4 >= n * 3 && tally_excess(&all) < 8;
}

void print_take(const struct body *b, struct print *ret)
{
    uint8_t p[SAMPLE];
    *ret = (struct print){.size = b->size, .kind = (uint8_t)form_kind(b)};
    for (unsigned i = 0; i < 8; i++) {
        uint64_t at = b->size <= SAMPLE ? 0 : place(b->size, i, 8, b->file);
        size_t n = body_read(b, at, p, sizeof p);
        uint64_t h = n;
        for (size_t k = 0; k < n; k++)
            h = (h ^ p[k]) * 0x100000001b3u;
        ret->offset[i] = at;
        ret->hash[i] = mix(h);
        ret->random |= (uint8_t)(bytes_random(p, n) << i);
        ret->n++;
        if (b->size <= SAMPLE)
            break;
    }
}

struct judged print_judge(const struct print *was, const struct body *is)
{
    uint8_t p[SAMPLE];
    struct judged j = {.was = was->kind, .is = (uint8_t)form_kind(is)};
    unsigned changed = 0, had = 0, gained = 0;
    for (unsigned i = 0; i < was->n; i++) {
        size_t n = body_read(is, was->offset[i], p, sizeof p);
        uint64_t h = n;
        for (size_t k = 0; k < n; k++)
            h = (h ^ p[k]) * 0x100000001b3u;
        if (mix(h) == was->hash[i])
            continue;
        bool structured = !(was->random >> i & 1);
        changed++;
        had += structured;
        gained += structured && bytes_random(p, n);
    }
    bool lost = j.is == KIND_IS_NONE || j.is == KIND_IS_NOISE;
    if (!changed || is->size < was->size / 20 * 19)
        j.found = changed ? FOUND_CHANGED : FOUND_NOTHING;
    else if (kind_flags(was->kind) & KIND_DENSE)
        j.found = j.is == KIND_IS_NOISE ? FOUND_SCRAMBLED : FOUND_CHANGED;
    else if (gained && gained * 4 >= had * 3)
        j.found = FOUND_SCRAMBLED;
    else
        j.found = lost && kind_flags(was->kind) & KIND_DOC && changed == was->n ? FOUND_KIND_LOST : FOUND_CHANGED;
    return j;
}
