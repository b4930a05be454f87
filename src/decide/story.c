#include "decide/internal.h"

#include <string.h>

enum step {
#define T(symbol, ja, ja_detail, en, en_detail, link) STEP_##symbol,
#include "decide/step.def"
#undef T
};

static const struct { const char *id, *title[2], *detail[2], *link; } steps[] = {
#define T(symbol, ja, ja_detail, en, en_detail, link) { #symbol, { ja, en }, { ja_detail, en_detail }, link },
#include "decide/step.def"
#undef T
};

static const struct { const char *tag, *headline[2]; uint8_t step[3]; } stages[DECIDE_STAGES] = {
#define S(symbol, tag, ja, en, a, b, c) { tag, { ja, en }, { STEP_##a, STEP_##b, STEP_##c } },
#include "decide/stage.def"
#undef S
};

enum decide_stage decide_stage_of(const char *tag)
{
    char name[40];
    size_t n = 0;

    if (strncmp(tag, "attack.", 7) != 0)
        return DECIDE_STAGE_none;
    for (tag += 7; *tag && n < sizeof name - 1; tag++)
        name[n++] = *tag == '_' ? '-' : *tag;
    name[n] = 0;
    /* ATT&CK divided this tactic in two in 2026; both are the same to a person. */
    if (strcmp(name, "stealth") == 0 || strcmp(name, "defense-impairment") == 0)
        return DECIDE_STAGE_defense_evasion;
    for (int i = 1; i < DECIDE_STAGES; i++)
        if (strcmp(stages[i].tag, name) == 0)
            return (enum decide_stage)i;
    return DECIDE_STAGE_none;
}

const char *decide_stage_tag(enum decide_stage stage)
{
    return stage < DECIDE_STAGES ? stages[stage].tag : "";
}

enum decide_level decide_level_of(const char *name)
{
    static const char *const names[] = { "informational", "low", "medium", "high", "critical" };

    for (int i = 0; i < 5; i++)
        if (strcmp(names[i], name) == 0)
            return (enum decide_level)i;
    return DECIDE_MEDIUM;
}

struct out { char *p; size_t n, size; };

static void put(struct out *o, const char *s, size_t n)
{
    if (n > o->size - 1 - o->n) {
        n = o->size - 1 - o->n;
        while (n && ((uint8_t)s[n] & 0xc0) == 0x80)
            n--;
        o->size = o->n + n + 1; /* nothing more behind the cut */
    }
    memcpy(o->p + o->n, s, n);
    o->n += n;
    o->p[o->n] = 0;
}

static const char *first_of(const struct decide_incident *i, enum decide_kind kind, enum decide_lang lang)
{
    static const char *const nobody[DECIDE_KINDS][2] = { [DECIDE_HOST] = { "院内の機器", "a machine" },
        [DECIDE_ACCOUNT] = { "だれか", "somebody" }, [DECIDE_ADDRESS] = { "知らない相手", "an unknown address" }, [DECIDE_PROCESS] = { "", "" } };

    for (size_t k = 0; k < i->n; k++)
        if (i->entity[k].kind == kind && !decide_entity_generic(&i->entity[k]))
            return i->entity[k].text;
    return nobody[kind][lang];
}

void decide_headline(const struct decide_incident *i, enum decide_lang lang, char *ret, size_t size)
{
    static const struct { const char *mark; enum decide_kind kind; } marks[] = {
        { "{host}", DECIDE_HOST }, { "{account}", DECIDE_ACCOUNT }, { "{address}", DECIDE_ADDRESS } };
    const char *s = stages[i->stage < DECIDE_STAGES ? i->stage : 0].headline[lang];
    struct out o = { .p = ret, .size = size };

    if (!size)
        return;
    ret[0] = 0;
    while (*s) {
        size_t plain = strcspn(s, "{");
        put(&o, s, plain);
        s += plain;
        for (size_t k = 0; *s && k < sizeof marks / sizeof *marks; k++) {
            if (strncmp(s, marks[k].mark, strlen(marks[k].mark)) != 0)
                continue;
            const char *name = first_of(i, marks[k].kind, lang);
            put(&o, name, strlen(name));
            s += strlen(marks[k].mark);
            break;
        }
    }
}

static void step(enum decide_lang lang, uint8_t number, struct decide_step *ret)
{
    *ret = (struct decide_step){ steps[number].id, steps[number].title[lang], steps[number].detail[lang], steps[number].link };
}

/* The vendor first when all is lost already; else what the furthest stage wants. */
void decide_steps(const struct decide_incident *i, enum decide_lang lang, struct decide_step ret[3])
{
    const uint8_t *of = stages[i->stage < DECIDE_STAGES ? i->stage : 0].step;

    for (int k = 0; k < 3; k++)
        step(lang, of[k], &ret[k]);
}
