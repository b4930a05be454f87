#include "api/text.h"

static const struct { const char *name, *text[2]; } table[TEXT_KEYS] = {
#define TEXT(name, ja, en) { #name, { ja, en } },
#include "api/text.def"
#undef TEXT
};

const char *text_get(enum text_lang lang, enum text_key key)
{
    return table[key].text[lang == TEXT_EN];
}

const char *text_named(enum text_lang lang, const char *name)
{
    for (size_t i = 0; i < TEXT_KEYS; i++)
        if (!strcmp(table[i].name, name))
            return table[i].text[lang == TEXT_EN];
    return NULL;
}

char *text_fill(enum text_lang lang, const char *text, const char *const *args, size_t n)
{
    struct sm_buf b = SM_BUF_INIT(65536);
    int r = 0;
    (void)lang; /* the words are chosen already; kept so that plural forms can come */
    for (const char *p = text; *p && r == 0; p++) {
        size_t i = p[0] == '{' && p[1] >= '0' && p[1] <= '7' && p[2] == '}' ? (size_t)(p[1] - '0') : TEXT_ARGS_MAX;
        if (i == TEXT_ARGS_MAX) {
            r = sm_buf_put(&b, p, 1);
            continue;
        }
        if (i < n && args[i])
            r = sm_buf_put_span(&b, SM_SPAN_STR(args[i]));
        p += 2;
    }
    const char *s = r == 0 ? sm_buf_str(&b) : NULL;
    char *copy = s ? strdup(s) : NULL;
    sm_buf_wipe(&b);
    return copy;
}

json_t *text_json(enum text_lang lang, enum text_key key)
{
    return json_string(text_get(lang, key));
}

json_t *text_json_fill(enum text_lang lang, enum text_key key, const char *const *args, size_t n)
{
    char *s = text_fill(lang, text_get(lang, key), args, n);
    json_t *j = s ? json_string(s) : json_null();
    free(s);
    return j ? j : json_null();
}
