/*
 * The settings of the endpoint, a row each: where it stands in the policy, what it may be, and what holds while nobody set it.  A
 * machine's own settings come before the institution's, these before the standard.
 */
#include "api/endpoint.h"
#include "api/watch.h"
#include "plat/netfilter.h"

enum { TEXT_BYTES = 1000, WORD_BYTES = 250, DOMAIN_BYTES = 253 };
enum what { PATHS, PATHS_AUTO, WORD, BOOL, NUMBER, SCHEDULE, SERIALS, HASHES, PLACES };

static const struct setting {
    const char *group, *key;        /* group "": the key stands outside */
    enum what what;
    const char *words;              /* WORD: "|a|b|" */
    int64_t max;                    /* NUMBER: from 0; lists: how many */
    const char *standard;           /* JSON */
} settings[] = {
    { "", "protect", PATHS_AUTO, NULL, 64, "[\"auto\"]" },
    { "", "exclude", PATHS, NULL, 64, "[]" },
    { "ransom", "mode", WORD, "|off|watch|stop|kill|", 0, "\"stop\"" },
    { "ransom", "give_back", BOOL, NULL, 0, "true" },
    { "ransom", "sensitivity", NUMBER, NULL, 2, "1" },
    { "rules", "answer", WORD, "|tell|stop|kill|", 0, "\"tell\"" },
    { "scan", "on_write", BOOL, NULL, 0, "true" },
    { "scan", "on_media", BOOL, NULL, 0, "true" },
    { "scan", "schedule", SCHEDULE, NULL, 0, "null" },
    { "scan", "paths", PATHS, NULL, 64, "[]" },
    { "media", "mode", WORD, "|allow|read_only|block|", 0, "\"allow\"" },
    { "media", "allow", SERIALS, NULL, 200, "[]" },
    { "block", "files", HASHES, NULL, 400, "[]" },
    { "block", "to", PLACES, NULL, 200, "[]" },
    { "accounts", "may_disable", BOOL, NULL, 0, "false" },
    { "isolate", "by_rule", BOOL, NULL, 0, "false" },
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static const json_t *value_of(const json_t *policy, const struct setting *s)
{
    return json_object_get(*s->group ? json_object_get(policy, s->group) : policy, s->key);
}

/* ---- what each may be ---- */

static bool path_good(const char *s, size_t n)
{
    return n >= 1 && n <= TEXT_BYTES && s[0] == '/' && (n == 1 || s[n - 1] != '/') && !strstr(s, "//") && !strstr(s, "/../") &&
        !strstr(s, "/./") && (n < 3 || strcmp(s + n - 3, "/..") != 0) && (n < 2 || strcmp(s + n - 2, "/.") != 0);
}

static bool serial_good(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] > 126 || strchr("\"'\\;{}", s[i]))
            return false;
    return n >= 1 && n <= WORD_BYTES;
}

static bool domain_good(const char *s, size_t n)
{
    size_t label = 0;
    bool dot = false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '.') {
            if (!label || s[i - 1] == '-')
                return false;
            label = 0;
            dot = true;
            continue;
        }
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", s[i]) || (s[i] == '-' && !label) || ++label > 63)
            return false;
    }
    /* A name whose last part is a number is an address that is none. */
    return n >= 3 && n <= DOMAIN_BYTES && dot && label >= 2 && s[n - 1] != '-' && (s[n - 1] < '0' || s[n - 1] > '9');
}

static bool place_good(const char *s, size_t n)
{
    struct address_net net;
    return n <= DOMAIN_BYTES && (address_net(s, &net) || domain_good(s, n));
}

/* A prefix that cuts off half of the world, or the machine from itself: as for block_address. */
static bool too_much(const char *to)
{
    struct plat_nf_to t;
    return plat_nf_wide(to) || (!plat_nf_parse(to, &t) && plat_nf_own(&t));
}

static bool text_good(const struct setting *s, const json_t *v)
{
    const char *text = json_string_value(v);
    size_t n = json_string_length(v);
    if (!text || strlen(text) != n)
        return false;
    switch (s->what) {
    case PATHS:
        return path_good(text, n);
    case PATHS_AUTO:
        return !strcmp(text, "auto") || path_good(text, n);
    case SERIALS:
        return serial_good(text, n);
    case HASHES:
        return api_is_hex(text, 64);
    case PLACES:
        return place_good(text, n) && !too_much(text);
    default:
        return false;
    }
}

static bool list_good(const struct setting *s, const json_t *v)
{
    if (!json_is_array(v) || (int64_t)json_array_size(v) > s->max)
        return false;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!text_good(s, json_array_get(v, i)))
            return false;
    return s->what != PATHS_AUTO || json_array_size(v); /* nothing protected is the mode off */
}

static bool whole(const json_t *v, int64_t max)
{
    return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= max;
}

/* weekday 7: every day. */
static bool schedule_good(const json_t *v)
{
    return json_is_null(v) || (json_is_object(v) && json_object_size(v) == 2 && whole(json_object_get(v, "weekday"), 7) &&
                                  whole(json_object_get(v, "hour"), 23));
}

static bool word_good(const struct setting *s, const json_t *v)
{
    char between[WORD_BYTES];
    const char *text = json_string_value(v);
    if (!text || !*text || strchr(text, '|') || strlen(text) > 32)
        return false;
    (void)snprintf(between, sizeof between, "|%s|", text); /* fits */
    return strstr(s->words, between) != NULL;
}

static bool value_good(const struct setting *s, const json_t *v)
{
    switch (s->what) {
    case WORD:
        return word_good(s, v);
    case BOOL:
        return json_is_boolean(v);
    case NUMBER:
        return whole(v, s->max);
    case SCHEDULE:
        return schedule_good(v);
    default:
        return list_good(s, v);
    }
}

/* ---- all of them ---- */

static void name_of(const char *group, const char *key, char ret[80])
{
    (void)snprintf(ret, 80, "%.38s%s%.38s", group, *group ? "." : "", key); /* cut is fine: it is no name of ours then */
}

static bool known(const char *group, const char *key)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (!strcmp(settings[i].group, group) && (!key || !strcmp(settings[i].key, key)))
            return true;
    return false;
}

/* A name that is no setting. */
static bool stranger(const json_t *in, char ret[80])
{
    const char *key, *below;
    const json_t *v, *w;
    json_object_foreach((json_t *)(uintptr_t)in, key, v) {
        bool group = *key && known(key, NULL);
        name_of("", key, ret);
        if (!group && !known("", key))
            return true;
        if (group && !json_is_object(v))
            return true;
        if (!group)
            continue;
        json_object_foreach((json_t *)(uintptr_t)v, below, w) {
            name_of(key, below, ret);
            if (!known(key, below))
                return true;
        }
    }
    return false;
}

const char *endpoint_policy_check(const json_t *in)
{
    static char field[80];
    if (in && !json_is_object(in))
        return "policy";
    if (stranger(in, field))
        return field;
    for (size_t i = 0; i < SETTINGS; i++) {
        const json_t *v = value_of(in, &settings[i]);
        if (v && !value_good(&settings[i], v)) {
            name_of(settings[i].group, settings[i].key, field);
            return field;
        }
    }
    return NULL;
}

json_t *endpoint_policy_join(const json_t *first, const json_t *second)
{
    json_t *out = json_pack("{s:i}", "v", 1);
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &settings[i];
        const json_t *v = value_of(first, s);
        v = v ? v : value_of(second, s);
        json_t *here = v ? json_deep_copy(v) : json_loads(s->standard, JSON_DECODE_ANY, NULL);
        json_t *to = *s->group ? json_object_get(out, s->group) : out;
        if (!to) {
            to = json_object();
            api_set(out, s->group, to);
        }
        api_set(to, s->key, here);
    }
    return out;
}
