/* Points of a tree. */
#include <string.h>
#include "detect/ransom/internal.h"

static const struct { unsigned weight, cap; } reasons[REASON_COUNT] = {
#define REASON(id, points, most, ja, en) [REASON_##id] = {.weight = points, .cap = most},
#include "detect/ransom/reason.def"
#undef REASON
};

enum { GROUP_MS = 15 * 60 * 1000 };

unsigned reason_weight(enum reason w)
{
    return w < REASON_COUNT ? reasons[w].weight : 0;
}

/* Files are lost by it. */
static bool destroys(enum reason w)
{
    return w <= REASON_PACKED;
}

void score_add(struct ransom *r, struct tree *t, enum reason w, unsigned points)
{
    (void)r;
    if (t->times[w] < UINT16_MAX)
        t->times[w]++;
    t->points[w] += points;
}

/* What one login did by several commands: within a quarter of an hour. */
static void group_add(struct ransom *r, uint64_t id, unsigned points)
{
    struct group *g = &r->groups[id % GROUPS_MAX];
    if (!id)
        return;
    if (g->id != id || r->now_ms - g->at_ms > GROUP_MS)
        *g = (struct group){.id = id};
    g->points += points;
    g->at_ms = r->now_ms;
}

static void reach(struct tree *t, const struct file *f, unsigned was)
{
    t->kinds |= UINT64_C(1) << (was % 64);
    struct sm_span path = file_path(f);
    path.n -= path_base(path).n;
    uint32_t h = (uint32_t)path_hash(path) | 1;
    for (unsigned i = 0; i < 8; i++)
        if (t->folders[i] == h || !t->folders[i]) {
            t->folders[i] = h;
            return;
        }
}

void score_touch(struct tree *t, struct file *f)
{
    if (f->marks & (TOUCHED | MADE))
        return;
    f->marks |= TOUCHED;
    t->touched++;
}

void score_file(struct ransom *r, struct tree *t, struct file *f, enum reason w, unsigned was, unsigned is)
{
    f->was = (uint8_t)was;
    f->is = (uint8_t)is;
    if (f->reason == w)
        return;
    if (f->reason != REASON_NONE) {
        t->times[f->reason] = (uint16_t)(t->times[f->reason] - (t->times[f->reason] > 0));
        t->points[f->reason] -= f->points;
        t->destroyed -= !!(f->marks & DESTROYED);
    }
    f->marks &= (uint16_t)~DESTROYED;
    f->reason = (uint8_t)w;
    f->points = 0;
    if (w == REASON_NONE)
        return;
    f->points = (uint8_t)(reasons[w].weight / (f->marks & SERVICE ? 2 : 1));
    score_add(r, t, w, f->points);
    if (destroys(w))
        f->marks |= DESTROYED;
    file_show(t, f);
    if (!destroys(w))
        return;
    t->destroyed++;
    reach(t, f, was);
    group_add(r, t->group, f->points);
}

static unsigned reach_points(const struct tree *t)
{
    unsigned folders = 0, kinds = (unsigned)__builtin_popcountll(t->kinds);
    while (folders < 8 && t->folders[folders])
        folders++;
    unsigned points = 5 * (kinds > 1 ? kinds - 1 : 0) + 5 * (folders > 2);
    return t->destroyed ? points : 0;
}

unsigned score_reason(const struct ransom *r, const struct tree *t, enum reason w)
{
    (void)r;
    if (t->excused >> w & 1)
        return 0;
    if ((w == REASON_NOTE || w == REASON_FRESH || w == REASON_BACKUPS) && !t->destroyed)
        return 0;
    unsigned points = w == REASON_REACH ? reach_points(t) : t->points[w];
    return points < reasons[w].cap ? points : reasons[w].cap;
}

unsigned score_of(const struct ransom *r, const struct tree *t)
{
    unsigned sum = 0;
    for (unsigned w = 0; w < REASON_COUNT; w++)
        sum += score_reason(r, t, (enum reason)w);
    const struct group *g = &r->groups[t->group % GROUPS_MAX];
    /* The rest of what its login did counts for two thirds, once this one has destroyed something itself. */
    if (sum && t->destroyed && t->group && g->id == t->group && r->now_ms - g->at_ms <= GROUP_MS && g->points * 2 / 3 > sum && !t->excused)
        return g->points * 2 / 3;
    return sum;
}
