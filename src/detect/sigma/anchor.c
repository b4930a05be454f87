/* What has to be there for a condition to hold: literals, and EventIDs. */
#include "detect/sigma/matcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NEEDS_MAX = 400, IDS_MAX = 256 };

/* Texts of everyday events: a literal that is part of one says little. */
static const char *const everyday[] = {
    "c:\\windows\\system32\\windowspowershell\\v1.0\\powershell.exe",
    "c:\\windows\\system32\\cmd.exe",
    "c:\\windows\\syswow64\\",
    "c:\\windows\\system32\\svchost.exe",
    "c:\\windows\\system32\\rundll32.exe",
    "c:\\windows\\system32\\services.exe",
    "c:\\windows\\system32\\lsass.exe",
    "c:\\windows\\explorer.exe",
    "c:\\windows\\system32\\conhost.exe",
    "c:\\program files\\",
    "c:\\program files (x86)\\",
    "c:\\windows\\system32\\wbem\\wmiprvse.exe",
    "c:\\users\\",
    "\\appdata\\local\\temp\\",
    "\\appdata\\roaming\\",
    "c:\\programdata\\microsoft\\",
    "hklm\\software\\microsoft\\windows\\currentversion\\",
    "hklm\\system\\currentcontrolset\\services\\",
    "hkcu\\software\\microsoft\\windows\\currentversion\\explorer\\",
    "hklm\\system\\controlset001\\control\\",
    "nt authority\\system",
    "\\registry\\machine\\system\\",
    "\\registry\\machine\\software\\microsoft\\",
    "c:\\windows\\system32\\ntdll.dll|unknown(",
    "microsoft corporation",
    "microsoft windows",
    "0x1fffff",
    "0x1410",
    "0x1000",
    "0x1400",
    "true",
    "false",
    "high",
    "medium",
    "system",
    "c:\\windows\\system32\\clr.dll",
    "system.management.automation",
    "https://",
    "http://",
    "dword (0x00000001)",
    "dword (0x00000000)",
    "\\policies\\",
    "c:\\windows\\system32\\taskhostw.exe",
    "c:\\windows\\system32\\msiexec.exe",
    "\\enum\\",
    "\\parameters\\",
};

/* How likely is it that an event of the right kind has it?  Only the order matters. */
static double odds(const struct need *n)
{
    double p = 0.5;

    for (size_t i = 0; i < sizeof everyday / sizeof *everyday; i++)
        if (memmem(everyday[i], strlen(everyday[i]), n->s.p, n->s.n))
            return 0.4;
    for (uint32_t i = 0; i < n->s.n && p > 1e-6; i++)
        p *= 0.55;
    bool digits = true;
    for (uint32_t i = 0; i < n->s.n; i++)
        digits = digits && n->s.p[i] >= '0' && n->s.p[i] <= '9';
    return digits && p < 0.05 && n->s.n < 6 ? 0.05 : p;
}

struct build {
    struct pool *pool;
    const struct sigma_set *set;
    int err;
};

static void shorten(struct stretch *s)
{
    if (s->n <= LITERAL_MAX)
        return;
    if (s->end && !s->start) {
        s->p += s->n - LITERAL_MAX;
    } else {
        s->end = false;
    }
    s->n = LITERAL_MAX;
}

static struct anchor *anchor_new(struct build *b, size_t n)
{
    struct anchor *a = pool_get(b->pool, sizeof *a);

    if (a)
        a->need = pool_get(b->pool, (n + 1) * sizeof *a->need);
    if (!a || !a->need) {
        b->err = -ENOMEM;
        return NULL;
    }
    return a;
}

static bool placed(const struct build *b, uint16_t name)
{
    return name == EVENT_F_EventID || name == EVENT_F_Channel || name == EVENT_F_Provider_Name ||
           at_of(b->set, name) != AT_COUNT;
}

static struct anchor *of_atom(struct build *b, const struct atom *a)
{
    size_t n = a->test == TEST_REGEX ? 1 : a->n;

    if ((a->test != TEST_TEXT && a->test != TEST_REGEX) || !n || n > NEEDS_MAX || placed(b, a->name))
        return NULL;
    /* A keyword's expression may run over what no single value has. */
    struct anchor *x = anchor_new(b, n);
    for (size_t i = 0; i < n && x; i++) {
        struct need *need = &x->need[x->n++];
        need->name = a->name;
        int r = a->test == TEST_REGEX ? regex_stretch(b->pool, a->regex, &need->s)
                                      : pattern_stretch(b->pool, &a->pattern[i], &need->s);
        if (r < 0)
            b->err = r;
        if (r < 0 || need->s.n < (a->test == TEST_REGEX ? 3 : 1))
            return NULL;
        shorten(&need->s);
        x->odds += odds(need);
    }
    return x;
}

static struct anchor *of_expr(struct build *b, const struct expr *x, bool negative);

static struct anchor *best_of(struct build *b, const struct expr *x, bool negative)
{
    struct anchor *best = NULL;

    for (uint32_t i = 0; i < x->n && b->err >= 0; i++) {
        struct anchor *a = of_expr(b, x->kid[i], negative);
        if (a && (!best || a->odds < best->odds))
            best = a;
    }
    return best;
}

static struct anchor *all_of(struct build *b, const struct expr *x, bool negative)
{
    struct anchor *sum = anchor_new(b, NEEDS_MAX);

    for (uint32_t i = 0; i < x->n && sum && b->err >= 0; i++) {
        struct anchor *a = of_expr(b, x->kid[i], negative);
        if (!a || sum->n + a->n > NEEDS_MAX)
            return NULL;
        memcpy(sum->need + sum->n, a->need, a->n * sizeof *a->need);
        sum->n += a->n;
        sum->odds += a->odds;
    }
    return sum && sum->n ? sum : NULL;
}

/* negative: the expression has to be false. */
static struct anchor *of_expr(struct build *b, const struct expr *x, bool negative)
{
    switch (x->op) {
    case OP_ATOM:
        return negative ? NULL : of_atom(b, x->atom);
    case OP_NOT:
        return of_expr(b, x->kid[0], !negative);
    case OP_AND:
        return negative ? all_of(b, x, negative) : best_of(b, x, negative);
    case OP_OR:
        return negative ? best_of(b, x, negative) : all_of(b, x, negative);
    default:
        return NULL;
    }
}

int anchor_of(struct pool *pool, const struct sigma_set *set, const struct expr *cond, struct anchor **ret)
{
    struct pool scratch = { 0 }; /* what was weighed and not taken is not kept */
    struct build b = { .pool = &scratch, .set = set };
    struct anchor *a = of_expr(&b, cond, false), *keep = NULL;

    if (b.err >= 0 && a && a->odds < 1) {
        b.pool = pool;
        keep = anchor_new(&b, a->n);
        for (size_t i = 0; i < a->n && keep; i++) {
            keep->need[keep->n] = a->need[i];
            keep->need[keep->n].s.p = (uint8_t *)pool_text(pool, a->need[i].s.p, a->need[i].s.n);
            if (!keep->need[keep->n++].s.p)
                b.err = -ENOMEM;
        }
        if (keep)
            keep->odds = a->odds;
    }
    pool_wipe(&scratch);
    *ret = keep;
    return b.err < 0 ? b.err : 0;
}

/* ---- EventIDs ---- */

struct ids {
    bool any;
    size_t n;
    uint32_t id[IDS_MAX];
};

static void ids_add(struct ids *s, uint32_t id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->id[i] == id)
            return;
    if (s->n == IDS_MAX)
        s->any = true;
    else
        s->id[s->n++] = id;
}

static void ids_atom(const struct atom *a, struct ids *ret)
{
    ret->any = a->name != EVENT_F_EventID || a->test != TEST_TEXT;
    for (uint32_t i = 0; i < a->n && !ret->any; i++) {
        const struct pattern *p = &a->pattern[i];
        uint32_t id = 0;
        ret->any = p->kind != PATTERN_EXACT || !p->n || p->n > 9;
        for (uint32_t k = 0; k < p->n && !ret->any; k++) {
            ret->any = p->text[k] < '0' || p->text[k] > '9';
            id = id * 10 + (uint32_t)(p->text[k] - '0');
        }
        if (!ret->any)
            ids_add(ret, id);
    }
}

static void ids_expr(const struct expr *x, bool negative, struct ids *ret)
{
    *ret = (struct ids){ .any = true };
    if (x->op == OP_ATOM && !negative) {
        ret->any = false;
        ids_atom(x->atom, ret);
    } else if (x->op == OP_NOT) {
        ids_expr(x->kid[0], !negative, ret);
    } else if ((x->op == OP_AND) != negative) { /* one of the kids that says something is enough */
        for (uint32_t i = 0; i < x->n && ret->any; i++)
            ids_expr(x->kid[i], negative, ret);
    } else if (x->op != OP_ATOM && x->n) {
        ret->any = false;
        for (uint32_t i = 0; i < x->n && !ret->any; i++) {
            struct ids kid;
            ids_expr(x->kid[i], negative, &kid);
            ret->any = kid.any;
            for (size_t k = 0; k < kid.n && !kid.any; k++)
                ids_add(ret, kid.id[k]);
        }
    }
}

int ids_of(struct pool *pool, const struct expr *cond, size_t *ret_n, uint32_t **ret)
{
    struct ids s;

    ids_expr(cond, false, &s);
    *ret_n = 0;
    *ret = NULL;
    if (s.any)
        return 0;
    *ret = pool_get(pool, (s.n + 1) * sizeof **ret);
    if (!*ret)
        return -ENOMEM;
    memcpy(*ret, s.id, s.n * sizeof **ret);
    *ret_n = s.n;
    return 0;
}
