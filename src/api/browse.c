/*
 * Looking into generations: listing, searching, comparing, fetching one file.  Each generation is first brought into the
 * opener, step by step: its manifest, an access record, a grant on the client's objects, the envelopes to keyd.
 */
#include <errno.h>
#include <stdlib.h>
#include "api/internal.h"
#include "crypto/random.h"

#define PATH_LONGEST 4096
#define SEARCH_STEP 8        /* generations one call looks into; the caller asks again with the cursor */
#define SEARCH_FOUND_MAX 500 /* names of one generation */

/* ---- a generation into the opener, step by step; then the handler's own step ---- */

static void browse_go(struct api_call *c);

static void forget_loaded(struct api *a, const char *manifest)
{
    const char *grant = api_str(a->loaded, manifest);
    if (*grant)
        api_tell(a, "V_UNGRANT", json_pack("{s:s}", "grant", grant), NULL, NULL);
    (void)json_object_del(a->loaded, manifest); /* may be absent */
}

static void load_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    const char *out = api_str(j, "closed"), *mine = api_str(c->mem, "load");
    if (*out)
        forget_loaded(c->api, out); /* the opener keeps a few only */
    json_decref(j);
    if (!api_bool(c->mem, "quiet"))
        api_set(c->api->loaded, mine, json_string(api_str(c->mem, "grant")));
    browse_go(c);
}

static void load_manifest(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    struct sm_buf raw = SM_BUF_INIT((size_t)1 << 20);
    json_t *b64 = json_object_get(c->mem, "raw");
    int r = sm_unbase64(SM_SPAN(json_string_value(b64), json_string_length(b64)), &raw);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_ask_join(c, "O_LOAD",
            json_pack("{s:s,s:s,s:s}", "manifest", api_str(c->mem, "load"), "sign_pub", api_str(c->mem, "sign_pub"), "grant",
                api_str(c->mem, "grant")),
            sm_buf_span(&raw), load_done);
    sm_buf_wipe(&raw);
}

static void load_closure(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    struct sm_span raw;
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    json_decref(j);
    api_ask_join(c, "K_GRANT_OPENER", json_pack("{s:s}", "manifest", api_str(c->mem, "load")), raw, load_manifest);
}

static void load_granted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    api_ask(c, "V_CLOSURE", json_pack("{s:s,s:b}", "manifest", api_str(c->mem, "load"), "cids", 1), load_closure);
}

static void load_grant(struct api_call *c)
{
    char grant[API_ID_TEXT];
    api_id(grant);
    api_set(c->mem, "grant", json_string(grant));
    api_ask(c, "V_GRANT", json_pack("{s:s,s:s,s:I}", "grant", grant, "client", api_str(c->mem, "client"), "until_s",
        (json_int_t)c->api->unlock.until_s + 600), load_granted);
}

static void load_noted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    load_grant(c);
}

static void load_generation(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    struct sm_span raw;
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    /* People, their second factors and the secrets of mail: opened with the sheet alone, never in a browser. */
    if (self_is(c->api, api_str(json_object_get(j, "generation"), "client"))) {
        json_decref(j);
        api_fail(c, 409, "self", NULL, NULL);
        return;
    }
    struct sm_buf b64 = SM_BUF_INIT((size_t)2 << 20);
    int r = sm_base64(raw, &b64);
    if (r == 0) {
        api_set(c->mem, "raw", json_stringn((const char *)b64.p, b64.n));
        api_set(c->mem, "sign_pub", json_string(api_str(j, "sign_pub")));
        api_set(c->mem, "client", json_string(api_str(json_object_get(j, "generation"), "client")));
    }
    sm_buf_wipe(&b64);
    json_decref(j);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else if (api_bool(c->mem, "quiet"))
        load_grant(c);
    else
        api_ask(c, "V_ACCESS",
            json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "what", "list", "who", c->who.account, "role", c->who.role,
                "from", c->who.remote, "client", api_str(c->mem, "client"), "manifest", api_str(c->mem, "load"), "result", "ok"),
            load_noted);
}

static void opener_started(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    c->api->opener_asked = true;
    api_ask(c, "V_GENERATION", json_pack("{s:s}", "manifest", api_str(c->mem, "load")), load_generation);
}

/* Bring a generation into the opener, unless it is there; then browse_go. */
void browse_load(struct api_call *c, const char *manifest)
{
    api_set(c->mem, "load", json_string(manifest));
    if (json_object_get(c->api->loaded, manifest) && c->api->opener_there)
        browse_go(c);
    else
        api_ask(c, "P_OPENER", json_pack("{s:b}", "start", 1), opener_started);
}

/* The opener let go of a generation that counted as there (it keeps a few only, and one that could not be opened took a
 * place): bring it in once more.  True when that was begun. */
static bool load_again(struct api_call *c, int err, const char *manifest)
{
    if (err != -SM_ESTATE || api_bool(c->mem, "again"))
        return false;
    api_set(c->mem, "again", json_true());
    forget_loaded(c->api, manifest);
    browse_load(c, manifest);
    return true;
}

/* Every use after the first of a generation is recorded by the handler's own V_ACCESS where bytes leave (download). */
static void browse(struct api_call *c)
{
    const char *with = api_str(c->query, "with");
    api_audit_what(c, "%s%s%s %s%s", c->part[0], *with ? " " : "", with, api_str(c->query, "path"),
        api_str(c->query, "text"));
    if (!api_is_hex(c->part[0], 64))
        api_fail(c, 404, "not_found", NULL, NULL);
    else
        browse_load(c, c->part[0]);
}

/* path (text) or path_b64 of the query as base64. */
static json_t *path_b64(struct api_call *c)
{
    const char *given = api_str(c->query, "path_b64"), *text = api_str(c->query, "path");
    if (*given || !*text)
        return json_string(given);
    struct sm_buf b = SM_BUF_INIT(2 * PATH_LONGEST);
    json_t *j = sm_base64(SM_SPAN_STR(text), &b) == 0 ? json_stringn((const char *)b.p, b.n) : NULL;
    sm_buf_wipe(&b);
    return j ? j : json_string("");
}

static void listed(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (load_again(c, err, c->part[0]))
        return;
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_t *next = json_object_get(j, "next");
    if (json_is_integer(next)) {
        char cursor[32];
        (void)snprintf(cursor, sizeof cursor, "%lld", (long long)json_integer_value(next)); /* fits */
        api_set(j, "next", json_string(cursor));
    }
    api_set(j, "path", json_string(api_str(c->query, "path")));
    api_reply(c, 200, j);
}

static void ticket_noted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    json_t *then = json_pack("{s:s,s:s,s:I,s:s}", "opener", "stream", "ticket", api_str(c->mem, "ticket"), "length",
        (json_int_t)api_int(c->mem, "size", 0), "name", api_str(c->mem, "name"));
    api_reply_raw(c, 200, SM_SPAN(NULL, 0), json_pack("{s:s}", "Content-Type", "application/octet-stream"), then);
}

static void ticket_made(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (load_again(c, err, c->part[0]))
        return;
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    api_set(c->mem, "size", json_integer(api_int(j, "size", 0)));
    api_set(c->mem, "name", json_string(api_str(j, "name")));
    json_decref(j);
    /* Recorded before a byte leaves. */
    api_ask(c, "V_ACCESS",
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s}", "what", "download", "who", c->who.account, "role", c->who.role,
            "from", c->who.remote, "manifest", c->part[0], "path_count", 1, "result", "ok"),
        ticket_noted);
}

/* ---- two generations ---- */

/* Bringing in the older one can make the newer give way: then both are loaded again, one after the other. */
static void compared(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err == -SM_ESTATE && !api_bool(c->mem, "again"))
        forget_loaded(c->api, api_str(c->query, "with"));
    listed(c, err, body, text);
}

static void diff_go(struct api_call *c, int64_t limit, int64_t from)
{
    const char *with = api_str(c->query, "with");
    if (strcmp(api_str(c->mem, "load"), with) != 0) { /* this one is there; now the older */
        browse_load(c, with);
        return;
    }
    api_ask(c, "O_DIFF",
        json_pack("{s:s,s:s,s:o,s:I,s:I}", "older", with, "newer", c->part[0], "path", path_b64(c), "from",
            (json_int_t)from, "limit", (json_int_t)limit),
        compared);
}

void h_diff(struct api_call *c)
{
    const char *with = api_str(c->query, "with");
    if (!api_is_hex(with, 64) || !strcmp(with, c->part[0]))
        api_fail(c, 400, "bad_request", "with", NULL);
    else
        browse(c);
}

/* ---- a name in all generations ---- */

/* The generation at hand of the search, or NULL past the end. */
static const json_t *search_row(const struct api_call *c)
{
    return json_array_get(json_object_get(c->mem, "todo"), (size_t)api_int(c->mem, "at", 0));
}

static void search_end(struct api_call *c)
{
    json_t *next = json_object_get(c->mem, "next");
    char cursor[32];
    if (json_is_integer(next))
        (void)snprintf(cursor, sizeof cursor, "%lld", (long long)json_integer_value(next)); /* fits */
    api_reply(c, 200,
        json_pack("{s:O,s:o,s:I,s:b}", "items", json_object_get(c->mem, "found"), "next",
            json_is_integer(next) ? json_string(cursor) : json_null(), "searched",
            (json_int_t)api_int(c->mem, "at", 0), "more", api_bool(c->mem, "more")));
}

static void search_next(struct api_call *c)
{
    const json_t *row = search_row(c);
    if (row)
        browse_load(c, api_str(row, "manifest"));
    else
        search_end(c);
}

static void searched(struct api_call *c, int err, struct sm_span body, const char *text)
{
    const json_t *row = search_row(c);
    if (load_again(c, err, api_str(row, "manifest")))
        return;
    json_t *j = api_answer(c, err, body, text), *item;
    if (!j)
        return;
    api_set(c->mem, "again", json_false());
    json_t *source = api_row(c->api, STATE_source_any, STATE_ARGS(state_t(api_str(row, "source"))));
    size_t i;
    json_array_foreach(json_object_get(j, "items"), i, item) {
        api_set(item, "generation", json_string(api_str(row, "manifest")));
        api_set(item, "at", json_string(api_str(row, "at")));
        api_set(item, "source", json_string(api_str(row, "source")));
        api_set(item, "source_name", json_string(api_str(source, "name")));
        api_set(item, "suspicious", json_boolean(api_bool(row, "suspicious")));
        api_append(json_object_get(c->mem, "found"), json_incref(item));
    }
    json_decref(source);
    if (api_bool(j, "more"))
        api_set(c->mem, "more", json_true());
    json_decref(j);
    api_tell(c->api, "V_UNGRANT", json_pack("{s:s}", "grant", api_str(c->mem, "grant")), NULL, NULL);
    api_set(c->mem, "after", json_integer(api_int(row, "seq", 0)));
    api_set(c->mem, "at", json_integer(api_int(c->mem, "at", 0) + 1));
    search_next(c);
}

/* Of the opener's memory only what this very search has seen counts: same person's session, same range, and it goes on
 * where it stood.  Else it begins anew, and tells a version twice rather than not at all. */
static void search_go(struct api_call *c)
{
    const json_t *row = search_row(c);
    char range[sizeof c->who.session + 40];
    (void)snprintf(range, sizeof range, "%s %s", c->who.session, api_str(c->query, "source")); /* fits: 32 hex */
    api_ask(c, "O_SEARCH",
        json_pack("{s:s,s:s,s:s,s:s,s:i,s:I,s:I}", "manifest", api_str(row, "manifest"), "text",
            api_str(c->query, "text"), "source", api_str(row, "source"), "range", range, "limit", SEARCH_FOUND_MAX,
            "after", (json_int_t)api_int(c->mem, "after", 0), "seq", (json_int_t)api_int(row, "seq", 0)),
        searched);
}

static void search_noted(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    search_next(c);
}

static void search_listed(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_t *todo = json_array(), *row;
    size_t i;
    json_array_foreach(json_object_get(j, "items"), i, row)
        if (!self_is(c->api, api_str(row, "client"))) /* opened with the sheet alone */
            api_append(todo, json_incref(row));
    api_set(c->mem, "todo", todo);
    api_set(c->mem, "next", json_incref(json_object_get(j, "next_before_seq")));
    api_set(c->mem, "found", json_array());
    api_set(c->mem, "quiet", json_true());
    json_decref(j);
    /* Each call has its record, before a generation is opened: a cursor is only what the caller says. */
    api_ask(c, "V_ACCESS",
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "what", "list", "who", c->who.account, "role", c->who.role, "from",
            c->who.remote, "why", "search for a name in all generations", "result", "ok"),
        search_noted);
}

void h_search(struct api_call *c)
{
    const char *text = api_str(c->query, "text"), *source = api_str(c->query, "source");
    int64_t limit, before;
    if (!*text || strlen(text) > 255) {
        api_fail(c, 400, "bad_request", "text", NULL);
        return;
    }
    if (*source && !api_is_hex(source, 32)) {
        api_fail(c, 400, "bad_request", "source", NULL);
        return;
    }
    if (!api_page(c, &limit, &before))
        return;
    json_t *ask = json_pack("{s:i}", "limit", SEARCH_STEP);
    if (*source)
        api_set(ask, "source", json_string(source));
    if (before)
        api_set(ask, "before_seq", json_integer(before));
    api_audit_what(c, "%s %s", source, text);
    api_set(c->mem, "after", json_integer(before));
    api_ask(c, "V_GENERATIONS", ask, search_listed);
}

static void browse_go(struct api_call *c)
{
    int64_t limit = API_LIST_STANDARD, from = 0;
    if (!strcmp(c->route->act, "download")) {
        char ticket[API_ID_TEXT];
        api_id(ticket);
        api_set(c->mem, "ticket", json_string(ticket));
        api_ask(c, "O_TICKET",
            json_pack("{s:s,s:s,s:o}", "ticket", ticket, "manifest", c->part[0], "path", path_b64(c)), ticket_made);
        return;
    }
    if (!strcmp(c->route->act, "search") || !strcmp(c->route->act, "drill")) {
        (*c->route->act == 's' ? search_go : drill_go)(c);
        return;
    }
    if (!api_page(c, &limit, &from))
        return;
    if (!strcmp(c->route->act, "diff"))
        diff_go(c, limit, from);
    else if (!strcmp(c->route->act, "list"))
        api_ask(c, "O_LIST",
            json_pack("{s:s,s:o,s:I,s:I}", "manifest", c->part[0], "path", path_b64(c), "from", (json_int_t)from,
                "limit", (json_int_t)limit),
            listed);
    else
        api_ask(c, "O_FIND",
            json_pack(
                "{s:s,s:s,s:I}", "manifest", c->part[0], "text", api_str(c->query, "text"), "limit", (json_int_t)limit),
            listed);
}

void h_files(struct api_call *c)
{
    browse(c);
}

void h_find(struct api_call *c)
{
    const char *text = api_str(c->query, "text");
    if (!*text || strlen(text) > 256)
        api_fail(c, 400, "bad_request", "text", NULL);
    else
        browse(c);
}

void h_file(struct api_call *c)
{
    if (!*api_str(c->query, "path_b64"))
        api_fail(c, 400, "bad_request", "path_b64", NULL);
    else
        browse(c);
}

