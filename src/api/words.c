/* Words for what is kept by key: problems of runs, the audit log, the access record.  The keys stay beside them. */
#include "api/internal.h"
#include "core/words.h"

#define WHAT_MAX 4096
#define SHOWN_DIGITS 12 /* of the name of a generation */
#define STEPS 3         /* so many fixed words stand at the beginning; what follows is a person's own text */

void problems_words(json_t *problems, enum text_lang lang)
{
    size_t i;
    json_t *p;
    json_array_foreach(problems, i, p) {
        struct sm_buf b = SM_BUF_INIT(4096);
        const char *error = api_str(p, "error");
        bool good = sm_problem_text(error, api_str(p, "what"), lang == TEXT_JA, &b) == 0;
        api_set(p, "code", json_string(sm_problem_code(error)));
        api_set(p, "text", json_string(good ? sm_buf_str(&b) : error));
        sm_buf_wipe(&b);
    }
}

json_t *why_words(const char *error, const char *why, enum text_lang lang)
{
    bool ja = lang == TEXT_JA;
    int e = sm_errno_of(why);
    const char *s = e ? sm_errtext(e, ja) : sm_word(SM_WORDS_PART, why, ja);
    s = s ? s : ja || !*why ? sm_word(SM_WORDS_ERROR, error, ja) : NULL;
    return json_string(s ? s : *why ? why : error);
}

static void put(json_t *line, const char *key, enum sm_words set, const char *value, enum text_lang lang)
{
    const char *s = sm_word(set, value, lang == TEXT_JA);
    api_set(line, key, json_string(s ? s : value));
}

/* What was not done is refused, whatever the code. */
static void put_result(json_t *line, enum text_lang lang)
{
    const char *code = api_str(line, "result"), *s = sm_word(SM_WORDS_RESULT, code, lang == TEXT_JA);
    api_set(line, "result_text", json_string(s ? s : sm_word(SM_WORDS_RESULT, "denied", lang == TEXT_JA)));
}

/* The name of what an id is of.  The caller's; NULL when nothing is known of it (any more). */
static json_t *named(struct api *a, const char *id)
{
    static const enum state_query rows[] = { STATE_source_any, STATE_device, STATE_copy, STATE_peer, STATE_run };
    json_t *name = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !name; i++) {
        json_t *row = api_row(a, rows[i], STATE_ARGS(state_t(id)));
        if (rows[i] == STATE_run && row) {
            json_t *source = api_row(a, STATE_source_any, STATE_ARGS(state_t(api_str(row, "source"))));
            name = json_incref(json_object_get(source, "name"));
            json_decref(source);
        } else if (*api_str(row, "name")) {
            name = json_incref(json_object_get(row, "name"));
        }
        json_decref(row);
    }
    return name;
}

/* One word of what was acted on: an id by its name, a generation by its first digits, a fixed word in the reader's language. */
static int put_token(struct api *a, const char *s, size_t n, bool fixed, enum text_lang lang, struct sm_buf *b)
{
    char token[2 * 32 + 2] = "";
    bool colon = n > 1 && s[n - 1] == ':';
    size_t bare = colon ? n - 1 : n;
    if (bare >= sizeof token)
        return sm_buf_put(b, s, n);
    memcpy(token, s, bare);
    json_t *name = api_is_hex(token, 2 * API_ID_BYTES) ? named(a, token) : NULL;
    const char *word = fixed ? sm_word(SM_WORDS_STEP, token, lang == TEXT_JA) : NULL;
    int r = name ? sm_buf_printf(b, lang == TEXT_JA ? "「%s」" : "“%s”", json_string_value(name))
            : api_is_hex(token, 64) ? sm_buf_put(b, token, SHOWN_DIGITS)
            : word ? sm_buf_put_span(b, SM_SPAN_STR(word)) : sm_buf_put(b, token, bare);
    json_decref(name);
    return !r && colon ? sm_buf_put_u8(b, ':') : r;
}

static json_t *what_text(struct api *a, const char *what, enum text_lang lang)
{
    struct sm_buf b = SM_BUF_INIT(WHAT_MAX);
    int r = 0;
    unsigned n = 0;
    for (const char *s = what; *s && !r; n++) {
        size_t len = strcspn(s, " ");
        if (len)
            r = put_token(a, s, len, n < STEPS, lang, &b);
        s += len;
        for (; *s == ' ' && !r; s++)
            r = sm_buf_put_u8(&b, ' ');
    }
    json_t *out = json_string(r ? what : sm_buf_str(&b));
    sm_buf_wipe(&b);
    return out;
}

static bool person(const char *role)
{
    static const char *const roles[] = { "director", "manager", "staff", "vendor" };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(roles[i], role))
            return true;
    return false;
}

/* Those who act are not only people; an account may be called like a place. */
static void put_who(json_t *line, enum text_lang lang)
{
    put(line, "role_text", SM_WORDS_PLACE, api_str(line, "role"), lang);
    put(line, "from_text", SM_WORDS_PLACE, api_str(line, "from"), lang);
    if (!person(api_str(line, "role")) && !*api_str(line, "who_name") &&
        sm_word(SM_WORDS_PLACE, api_str(line, "who"), lang == TEXT_JA))
        put(line, "who_name", SM_WORDS_PLACE, api_str(line, "who"), lang);
}

void audit_words(struct api *a, json_t *line, enum text_lang lang)
{
    put(line, "act_text", SM_WORDS_ACT, api_str(line, "act"), lang);
    put_result(line, lang);
    put_who(line, lang);
    api_set(line, "what_text", what_text(a, api_str(line, "what"), lang));
}

void access_words(json_t *line, enum text_lang lang)
{
    put(line, "what_text", SM_WORDS_USE, api_str(line, "what"), lang);
    put(line, "why_text", SM_WORDS_WHY, api_str(line, "why"), lang);
    put_result(line, lang);
    put_who(line, lang);
}
