/* Searching the record: questions go to the seeker, which reads and changes nothing.  And what agents bring. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "api/watch.h"
#include "crypto/hash.h"

enum { QUERY_MAX = 8192, STREAM_MAX = 60, WITHIN_MAX_S = 20, AGENT = 4 /* LOG_AGENT of src/sakimorid/logbatch.h */ };

/* ---- the question ---- */

/* The parser's own words, in the language asked for, and where they belong; why is taken. */
void logs_bad_query(struct api_call *c, json_t *why)
{
    bool en = c->lang == TEXT_EN;
    char message[700];

    if (!why) { /* refused, and nobody said where */
        api_fail_say(c, 400, "bad_query", "q", text_get(c->lang, T_QUERY_BAD), NULL);
        return;
    }
    (void)snprintf(message, sizeof message, en ? "Query, character %lld: %s" : "検索の文の %lld 文字目: %s",
        (long long)api_int(why, "at", 0) + 1, api_str(why, en ? "en" : "ja")); /* its longest is 640 */
    api_fail_say(c, 400, "bad_query", "q", message, why);
}

/* Which store answered when it is not the one that was set. */
static void say_away(const struct api_call *c, json_t *j)
{
    if (!*api_str(c->mem, "away"))
        return;
    api_set(j, "store", json_string("local"));
    api_set(j, "away", json_string(api_str(c->mem, "away")));
}

static void answered(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (logs_ask_here(c, err, answered))
        return;
    json_t *why = err == -SM_EINVAL && text && *text ? json_loads(text, 0, NULL) : NULL;
    if (why) { /* the query's own words, made by us: where and what was expected */
        logs_bad_query(c, why);
        return;
    }
    if (err == -SM_EINVAL && *api_str(c->query, "cursor")) { /* all else was looked at before it was sent */
        api_fail_say(c, 400, "bad_request", "cursor", text_get(c->lang, T_CURSOR_BAD), NULL);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    if (json_object_get(c->mem, "zone"))
        api_set(j, "zone", json_incref(json_object_get(c->mem, "zone")));
    say_away(c, j);
    api_reply(c, 200, j);
}

static bool moment(struct api_call *c, json_t *ask, const char *name)
{
    const char *text = api_str(c->query, name);
    char key[16];

    if (!*text)
        return true;
    int64_t s;
    if (!api_moment(text, !strcmp(name, "until"), &s)) {
        api_fail_say(c, 400, "bad_request", name, c->lang == TEXT_EN ?
            "A time is needed: 2026-11-24, 2026-11-24T08:30 (Japan's time) or with a zone, 2026-11-24T08:30:00+09:00." :
            "日時は 2026-11-24、2026-11-24T08:30(日本時間)か、2026-11-24T08:30:00+09:00 のように書きます。", NULL);
        return false;
    }
    if (!api_moment_zoned(text))
        api_set(c->mem, "zone", json_string("+09:00")); /* what was meant is said with the answer */
    (void)snprintf(key, sizeof key, "%.8s_s", name); /* fits */
    api_set(ask, key, json_integer(s));
    return true;
}

/* q, from, until, and what else is named; NULL after an answer. */
static json_t *question(struct api_call *c)
{
    const char *q = api_str(c->query, "q");
    json_t *ask = json_pack("{s:s}", "q", strlen(q) <= QUERY_MAX ? q : "");

    if (strlen(q) > QUERY_MAX) {
        char most[16];
        (void)snprintf(most, sizeof most, "%d", QUERY_MAX); /* fits */
        json_t *say = TEXT_SAY(c->lang, T_QUERY_LONG, most);
        api_fail_say(c, 400, "bad_request", "q", json_string_value(say), NULL);
        json_decref(say);
    } else if (moment(c, ask, "from") && moment(c, ask, "until")) {
        if (api_int(ask, "from_s", INT64_MIN) < api_int(ask, "until_s", INT64_MAX))
            return ask;
        api_fail_say(c, 400, "bad_request", "until", c->lang == TEXT_EN ? "The end must be after the beginning." : "終わりは、始まりより後にしてください。", NULL);
    }
    json_decref(ask);
    return NULL;
}

static bool number(struct api_call *c, json_t *ask, const char *name, int64_t least, int64_t most, int64_t otherwise)
{
    const char *text = api_str(c->query, name);
    char *end = NULL;
    int64_t v = *text ? strtoll(text, &end, 10) : otherwise;

    if (*text && (*end || v < least || v > most)) {
        api_fail(c, 400, "bad_request", name, NULL);
        return false;
    }
    api_set(ask, name, json_integer(v));
    return true;
}

static void search(struct api_call *c, const char *message, int64_t most)
{
    json_t *ask = question(c);

    if (!ask)
        return;
    if (!number(c, ask, "limit", 1, most, 50) || !number(c, ask, "within", 1, WITHIN_MAX_S, WITHIN_MAX_S)) {
        json_decref(ask);
        return;
    }
    api_set(ask, "cursor", json_stringn(api_str(c->query, "cursor"), strnlen(api_str(c->query, "cursor"), 80)));
    api_set(ask, "oldest", json_boolean(!strcmp(api_str(c->query, "order"), "oldest")));
    api_set(ask, "raw", json_boolean(!strcmp(api_str(c->query, "raw"), "1")));
    api_audit_what(c, "%.300s", api_str(c->query, "q"));
    logs_ask(c, message, ask, answered);
}

void h_logs_search(struct api_call *c)
{
    search(c, "SEARCH", 500);
}

void h_logs_histogram(struct api_call *c)
{
    json_t *ask = question(c);

    if (!ask)
        return;
    if (!json_object_get(ask, "from_s") || !json_object_get(ask, "until_s"))
        api_fail(c, 400, "bad_request", "from", NULL);
    else if (number(c, ask, "buckets", 1, 2000, 60) && number(c, ask, "within", 1, WITHIN_MAX_S, WITHIN_MAX_S)) {
        logs_ask(c, "HISTOGRAM", ask, answered);
        return;
    }
    json_decref(ask);
}

void h_logs_event(struct api_call *c)
{
    const char *id = c->part[0];
    char *end = NULL;

    errno = 0;
    long long n = *id >= '0' && *id <= '9' ? strtoll(id, &end, 10) : -1;
    if (n < 0 || *end || errno)
        api_fail(c, 404, "not_found", NULL, NULL); /* no event has such a number */
    else
        logs_ask(c, "EVENT", json_pack("{s:I}", "id", (json_int_t)n), answered);
}

static void exported(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    struct sm_span raw;

    if (logs_ask_here(c, err, exported))
        return;
    if (err < 0) {
        answered(c, err, body, text);
        return;
    }
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    bool csv = !strcmp(api_str(c->query, "as"), "csv");
    bool sjis = csv && !strcmp(api_str(c->query, "encoding"), "cp932");
    char replaced[32], n[32];
    (void)snprintf(replaced, sizeof replaced, "%" PRId64, api_int(j, "replaced", 0)); /* fits */
    (void)snprintf(n, sizeof n, "%" PRId64, api_int(j, "n", 0));                      /* fits */
    json_t *headers = json_pack("{s:s,s:s,s:s,s:s,s:s}", "Content-Type",
        sjis ? "text/csv; charset=Windows-31J" : csv ? "text/csv; charset=utf-8" : "application/x-ndjson", "Content-Disposition",
        csv ? "attachment; filename=\"logs.csv\"" : "attachment; filename=\"logs.jsonl\"", "X-Sakimori-Next", api_str(j, "next"),
        "X-Sakimori-Replaced", replaced, "X-Sakimori-Events", n);
    say_away(c, j);
    if (*api_str(j, "away"))
        api_set(headers, "X-Sakimori-Away", json_string(api_str(j, "away")));
    api_reply_raw(c, 200, raw, headers, NULL);
    json_decref(j);
}

/* One piece of at most 10,000 events; the header X-Sakimori-Next says where the next begins. */
void h_logs_export(struct api_call *c)
{
    json_t *ask = question(c);
    const char *as = api_str(c->query, "as"), *encoding = api_str(c->query, "encoding");
    bool cp932 = !strcmp(encoding, "cp932");

    if (!ask)
        return;
    if (*as && strcmp(as, "csv") != 0 && strcmp(as, "jsonl") != 0) {
        api_fail(c, 400, "bad_request", "as", NULL);
    } else if (*encoding && ((!cp932 && strcmp(encoding, "utf-8") != 0) || strcmp(as, "csv") != 0)) {
        api_fail_say(c, 400, "bad_request", "encoding", c->lang == TEXT_EN ? "utf-8 or cp932, and cp932 of CSV alone." :
            "utf-8 か cp932 です。cp932 にできるのは CSV だけです。", NULL);
    } else if (number(c, ask, "limit", 1, 10000, 10000)) {
        api_set(ask, "cursor", json_stringn(api_str(c->query, "cursor"), strnlen(api_str(c->query, "cursor"), 80)));
        api_set(ask, "csv", json_boolean(!strcmp(as, "csv")));
        api_set(ask, "cp932", json_boolean(cp932));
        api_set(ask, "ja", json_boolean(c->lang != TEXT_EN));
        api_set(ask, "raw", json_boolean(!strcmp(api_str(c->query, "raw"), "1")));
        api_audit_what(c, "%.300s", api_str(c->query, "q"));
        logs_ask(c, "EXPORT", ask, exported);
        return;
    }
    json_decref(ask);
}

/* It runs on; how far, and what it found, is what GET says. */
void h_logs_verify_post(struct api_call *c)
{
    logcheck_begun(c->api);
    api_ask(c, "J_VERIFY", json_pack("{s:b,s:s}", "start", 1, "key", api_str(c->api->keys, "seal_pub")), answered);
}

void h_logs_verify(struct api_call *c)
{
    api_ask(c, "J_VERIFY", json_object(), answered);
}

/* ---- agents ---- */

static void taken(struct api_call *c, int err, struct sm_span body, const char *text)
{
    (void)body;
    if (err < 0)
        api_fail_err(c, err, text);
    else
        api_reply(c, 200, json_object());
}

static bool stream_good(const char *s)
{
    size_t n = strlen(s);

    return n >= 1 && n <= STREAM_MAX && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-")] == '\0';
}

static bool life_good(const char *s)
{
    size_t n = strlen(s);

    return n <= 32 && strspn(s, "0123456789abcdef") == n;
}

/* The body of PROTOCOL-agent.md as a batch of one run (src/sakimorid/logbatch.h): watch reads the records, and believes nothing. */
static int batch_of(struct api_call *c, const char *stream, const char *life, uint64_t n, struct sm_buf *ret)
{
    char name[160];
    uint8_t hash[32];
    int k = snprintf(name, sizeof name, "%s/%s", c->who.device, stream);
    struct sm_span address = SM_SPAN(name, (size_t)k);

    /* Whose numbers these are: a machine that lost its place counts anew under another life. */
    char numbers[224];
    int m = snprintf(numbers, sizeof numbers, "%s%s%s", name, *life ? "\n" : "", life);
    crypto_sha256(SM_SPAN(numbers, (size_t)m), hash);
    int r = sm_buf_put(ret, hash, 16);
    if (r >= 0)
        r = sm_buf_put_u64(ret, n);
    if (r >= 0)
        r = sm_buf_put_u8(ret, AGENT);
    if (r >= 0)
        r = sm_buf_put_u8(ret, (uint8_t)address.n);
    if (r >= 0)
        r = sm_buf_put_u16(ret, 0);
    if (r >= 0)
        r = sm_buf_put_u32(ret, (uint32_t)c->raw.n);
    if (r >= 0)
        r = sm_buf_put_span(ret, address);
    return r < 0 ? r : sm_buf_put_span(ret, sm_buf_span(&c->raw));
}

void h_agent_events(struct api_call *c)
{
    const char *stream = api_str(c->query, "stream"), *text = api_str(c->query, "number"), *life = api_str(c->query, "life");
    struct sm_buf batch = SM_BUF_INIT((size_t)1 << 20);
    char *end = NULL;
    errno = 0;
    unsigned long long n = *text >= '1' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (!stream_good(stream) || !life_good(life) || !n || errno || *end) {
        api_fail(c, 400, "bad_request", !stream_good(stream) ? "stream" : !life_good(life) ? "life" : "number", NULL);
        return;
    }
    int r = batch_of(c, stream, life, n, &batch);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_ask_raw(c, "W_EVENTS", sm_buf_span(&batch), taken);
    sm_buf_wipe(&batch);
}
