#include "sakimorid/brain/decider.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core/json.h"
#include "decide/decide.h"

static const char *const kinds[DECIDE_KINDS] = { "host", "account", "address", "process" };
static const char *const severities[] = { "look", "call" };

/* ---- JSON to structs and back ---- */

static int entity_of(const json_t *row, struct decide_entity *ret)
{
    const char *kind = json_string_value(json_array_get(row, 0)), *text = json_string_value(json_array_get(row, 1));

    if (!kind || !text)
        return -SM_EINVAL;
    for (uint8_t k = 0; k < DECIDE_KINDS; k++) {
        if (strcmp(kinds[k], kind) != 0)
            continue;
        *ret = (struct decide_entity){ .kind = k };
        size_t n = strnlen(text, DECIDE_TEXT_MAX - 1);
        while (n < strlen(text) && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--; /* cut between characters */
        memcpy(ret->text, text, n);
        return 0;
    }
    return -SM_EINVAL;
}

static int entities_of(const json_t *in, struct decide_entity ret[DECIDE_ENTITIES_MAX], size_t *ret_n)
{
    const json_t *list = json_object_get(in, "entities"), *row;
    size_t i, n = 0;

    json_array_foreach(list, i, row) {
        if (n == DECIDE_ENTITIES_MAX)
            break; /* the first ones are the most particular */
        int r = entity_of(row, &ret[n++]);
        if (r < 0)
            return r;
    }
    *ret_n = n;
    return 0;
}

static json_t *entities_json(const struct decide_entity *e, size_t n)
{
    json_t *out = json_array();

    for (size_t k = 0; out && k < n; k++)
        if (json_array_append_new(out, json_pack("[s,s]", kinds[e[k].kind], e[k].text)) < 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

static json_t *ids_json(const uint64_t *id, size_t n)
{
    json_t *out = json_array();

    for (size_t k = 0; out && k < n; k++)
        if (json_array_append_new(out, json_integer((json_int_t)id[k])) < 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

static uint64_t id_of(const json_t *in)
{
    return (uint64_t)json_integer_value(json_object_get(in, "id"));
}

static const char *text_of(const json_t *in, const char *key)
{
    const char *s = json_string_value(json_object_get(in, key));

    return s ? s : "";
}

static int done(json_t **ret, json_t *answer /* taken */)
{
    if (!answer)
        return -ENOMEM;
    *ret = answer;
    return 0;
}

/* ---- what can be asked ---- */

static int ask_signal(struct decide *d, const json_t *in, json_t **ret)
{
    static const char *const whats[] = { "filtered", "waits", "opened", "joined", "folded" };
    static const char *const tells[] = { "opened", "call", "impact" };
    struct decide_signal s = { .id = id_of(in), .at_s = json_integer_value(json_object_get(in, "at_s")) };
    struct decide_result got;
    char tag[64];

    snprintf(s.rule, sizeof s.rule, "%s", text_of(in, "rule"));
    snprintf(tag, sizeof tag, "attack.%s", text_of(in, "stage"));
    s.level = (uint8_t)decide_level_of(text_of(in, "level"));
    s.stage = (uint8_t)decide_stage_of(tag);
    int r = entities_of(in, s.entity, &s.n);
    if (r >= 0)
        r = decide_signal(d, &s, &got);
    if (r < 0)
        return r;
    json_t *tell = json_array();
    for (size_t k = 0; tell && k < 3; k++)
        if (got.tell & 1u << k && json_array_append_new(tell, json_string(tells[k])) < 0)
            return -ENOMEM;
    json_t *o = json_pack("{s:s,s:o,s:o,s:o}", "what", whats[got.what], "tell", tell, "adopted", ids_json(got.adopted, got.adopted_n),
        "merged", ids_json(got.merged, got.merged_n));
    if (o && got.incident)
        r = json_object_set_new(o, "incident", json_integer((json_int_t)got.incident)) |
            json_object_set_new(o, "severity", json_string(severities[got.severity]));
    if (o && got.given_up)
        r |= json_object_set_new(o, "given_up", json_integer((json_int_t)got.given_up));
    if (o && got.filter)
        r |= json_object_set_new(o, "filter", json_integer((json_int_t)got.filter));
    return r < 0 ? -ENOMEM : done(ret, o);
}

static json_t *steps_json(const struct decide_incident *i, enum decide_lang lang)
{
    struct decide_step step[3];
    json_t *out = json_array();

    decide_steps(i, lang, step);
    for (int k = 0; out && k < 3; k++)
        if (json_array_append_new(out, json_pack("{s:s,s:s,s:s,s:s}", "id", step[k].id, "title", step[k].title, "detail", step[k].detail,
                "link", step[k].link)) < 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

static json_t *stages_json(unsigned mask)
{
    json_t *out = json_array();

    for (int k = 1; out && k < DECIDE_STAGES; k++)
        if (mask & 1u << k && json_array_append_new(out, json_string(decide_stage_tag((enum decide_stage)k))) < 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

static int ask_incident(struct decide *d, const json_t *in, json_t **ret)
{
    struct decide_incident i;
    char ja[400], en[400];
    int r = decide_get(d, id_of(in), &i);

    if (r < 0)
        return r;
    decide_headline(&i, DECIDE_JA, ja, sizeof ja);
    decide_headline(&i, DECIDE_EN, en, sizeof en);
    return done(ret, json_pack("{s:I,s:I,s:I,s:I,s:s,s:s,s:o,s:I,s:o,s:{s:s,s:s},s:{s:o,s:o}}", "id", (json_int_t)i.id, "first_s",
        (json_int_t)i.first_s, "last_s", (json_int_t)i.last_s, "score", (json_int_t)i.score, "severity", severities[i.severity],
        "stage", decide_stage_tag((enum decide_stage)i.stage), "stages", stages_json(i.stages), "signals", (json_int_t)i.signals,
        "entities", entities_json(i.entity, i.n), "title", "ja", ja, "en", en, "steps", "ja", steps_json(&i, DECIDE_JA), "en",
        steps_json(&i, DECIDE_EN)));
}

static int ask_close(struct decide *d, const json_t *in, json_t **ret)
{
    int r = decide_close(d, id_of(in));

    return r < 0 ? r : done(ret, json_object());
}

static int ask_dump(struct decide *d, const json_t *in, json_t **ret)
{
    return decide_dump(d, id_of(in), ret);
}

static int ask_restore(struct decide *d, const json_t *in, json_t **ret)
{
    int r = decide_restore(d, in);

    return r < 0 ? r : done(ret, json_object());
}

static int ask_filter(struct decide *d, const json_t *in, json_t **ret)
{
    struct decide_entity e[DECIDE_ENTITIES_MAX];
    size_t n = 0;
    int r = entities_of(in, e, &n);

    if (r >= 0)
        r = decide_filter(d, id_of(in), text_of(in, "rule"), e, n);
    return r < 0 ? r : done(ret, json_object());
}

static int ask_unfilter(struct decide *d, const json_t *in, json_t **ret)
{
    int r = decide_unfilter(d, id_of(in));

    return r < 0 ? r : done(ret, json_object());
}

static int ask_suggest(struct decide *d, const json_t *in, json_t **ret)
{
    struct decide_signal s = { .id = 1 };
    struct decide_entity e[DECIDE_ENTITIES_MAX];
    int r = entities_of(in, s.entity, &s.n);

    (void)d;
    return r < 0 ? r : done(ret, json_pack("{s:o}", "entities", entities_json(e, decide_suggest(&s, e))));
}

static int ask_common(struct decide *d, const json_t *in, json_t **ret)
{
    struct decide_entity e[DECIDE_ENTITIES_MAX];
    size_t n = 0;
    int r = entities_of(in, e, &n);

    for (size_t k = 0; r >= 0 && k < n; k++)
        r = decide_common(d, (enum decide_kind)e[k].kind, e[k].text);
    return r < 0 ? r : done(ret, json_object());
}

static int ask_alias(struct decide *d, const json_t *in, json_t **ret)
{
    decide_alias(d, text_of(in, "address"), text_of(in, "host"), json_integer_value(json_object_get(in, "at_s")));
    return done(ret, json_object());
}

int decider_ask(void *arg, const char *what, const json_t *in, json_t **ret)
{
    static const struct { const char *what; int (*fn)(struct decide *d, const json_t *in, json_t **ret); } table[] = {
        { "signal", ask_signal }, { "incident", ask_incident }, { "close", ask_close }, { "dump", ask_dump },
        { "restore", ask_restore }, { "filter", ask_filter }, { "unfilter", ask_unfilter }, { "suggest", ask_suggest },
        { "common", ask_common }, { "alias", ask_alias },
    };

    for (size_t k = 0; k < sizeof table / sizeof *table; k++)
        if (!strcmp(table[k].what, what))
            return table[k].fn(arg, in, ret);
    return -SM_EINVAL;
}
