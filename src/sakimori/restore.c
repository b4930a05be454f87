/* restore: give it to a machine's agent, watch, cancel; verify. */
#include "sakimori/commands.h"

static json_t *paths_of(struct cli *c)
{
    json_t *a = json_array();
    const char *p;
    for (size_t i = 0; (p = cli_opt_nth(c, "path", i)) != NULL; i++) {
        struct sm_buf b = SM_BUF_INIT(64 << 10);
        if (sm_base64(SM_SPAN_STR(p), &b) == 0)
            json_array_append_new(a, json_stringn((const char *)b.p, b.n));
        sm_buf_wipe(&b);
    }
    return a;
}

static bool one_of(const char *s, const char *a, const char *b, const char *d)
{
    return !strcmp(s, a) || !strcmp(s, b) || !strcmp(s, d);
}

/* Which machine: the one named, or the one the generation came from. */
static int device_of(struct cli *c, const char *manifest, char ret[80])
{
    const char *name = cli_opt(c, "device");
    json_t *o = NULL;
    char path[160];
    (void)snprintf(path, sizeof path, "/api/v1/generations/%s", manifest); /* 64 digits */
    int e = name ? cli_find(c, "/api/v1/devices", name, &o) : cli_call(c, "GET", path, NULL, &o);
    if (e == CLI_OK)
        (void)snprintf(ret, 80, "%s", cli_str(o, name ? "id" : "device")); /* ids are short */
    json_decref(o);
    return e;
}

static json_t *order_of(struct cli *c, const char *manifest, const char *device)
{
    const char *to = cli_opt(c, "to"), *existing = cli_opt(c, "existing"), *why = cli_opt(c, "why");
    json_t *target = !to || !strcmp(to, "original") ? json_pack("{s:s}", "mode", "original")
        : json_pack("{s:s,s:s}", "mode", "place", "place", to);
    json_t *o = json_pack("{s:s,s:s,s:o,s:o,s:s,s:s}", "manifest", manifest, "device", device, "paths_b64", paths_of(c),
        "target", target, "existing", existing ? existing : "aside", "why", why);
    if (o && cli_flag(c, "suspicious-ok"))
        json_object_set_new(o, "suspicious_ok", json_true());
    return o;
}

int cmd_restore_start(struct cli *c)
{
    const char *generation = cli_opt(c, "generation"), *existing = cli_opt(c, "existing"), *why = cli_opt(c, "why"),
               *to = cli_opt(c, "to");
    char manifest[65], device[80], id[80];
    json_t *answer = NULL;
    if (!generation || !why || !*why) {
        cli_note(c, T(c, "--generation と --why(理由)が必要です", "--generation and --why are needed"));
        return CLI_USAGE;
    }
    if ((existing && !one_of(existing, "aside", "skip", "overwrite")) ||
        (to && strcmp(to, "original") && to[0] != '/')) {
        cli_note(c, T(c, "--existing は aside, skip, overwrite、--to は original か絶対パス",
            "--existing: aside, skip or overwrite; --to: original or an absolute path"));
        return CLI_USAGE;
    }
    int e = cli_generation(c, generation, manifest);
    if (e == CLI_OK)
        e = device_of(c, manifest, device);
    json_t *o = e == CLI_OK ? order_of(c, manifest, device) : NULL;
    if (e == CLI_OK)
        e = o ? cli_call(c, "POST", "/api/v1/restores", o, &answer) : CLI_USAGE;
    if (e != CLI_OK)
        return e;
    (void)snprintf(id, sizeof id, "%s", cli_str(answer, "id")); /* ids are short */
    bool wait = cli_flag(c, "wait") || (c->tty_err && !c->json);
    if (!wait && c->json)
        cli_json(answer);
    else if (!wait)
        printf("%s\n", id);
    json_decref(answer);
    return wait ? cli_watch(c, "restores", id) : CLI_OK;
}

int cmd_restore_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "state", CLI_WORD, "状態", "State" },
        { "manifest", CLI_SHORT, "世代", "Generation" }, { "started", CLI_TIME, "開始", "Started" },
        { "finished", CLI_TIME, "終了", "Finished" }, { "progress.files", CLI_TEXT, "ファイル", "Files" },
        { "set_aside", CLI_TEXT, "よけた数", "Set aside" }, { "why", CLI_TEXT, "理由", "Why" } };
    return cli_list(c, "/api/v1/restores?limit=100", cols, sizeof cols / sizeof *cols);
}

int cmd_restore_watch(struct cli *c)
{
    char id[CLI_ID_TEXT];
    int e = cli_whole_id(c, "/api/v1/restores", cli_arg(c, 0), CLI_ID_FULL, id);
    return e == CLI_OK ? cli_watch(c, "restores", id) : e;
}

int cmd_restore_cancel(struct cli *c)
{
    char path[256], id[CLI_ID_TEXT] = "";
    int e = cli_whole_id(c, "/api/v1/restores", cli_arg(c, 0), CLI_ID_FULL, id);
    (void)snprintf(path, sizeof path, "/api/v1/restores/%s/cancel", id); /* ids are short */
    return e == CLI_OK ? cli_call(c, "POST", path, NULL, NULL) : e;
}

/* ---- verify ---- */

static int verify_report(struct cli *c, const json_t *v)
{
    const json_t *last = json_object_get(v, "last"), *damaged = json_object_get(v, "damaged");
    size_t i, n = json_array_size(damaged);
    json_t *d;
    if (c->json) {
        cli_json(v);
    } else if (!json_is_object(last)) {
        printf("%s\n", T(c, "まだ一度も検査していません", "never verified so far"));
    } else {
        char bytes[32];
        cli_bytes((uint64_t)json_integer_value(json_object_get(last, "bytes")), bytes);
        printf(T(c, "検査: パック %lld、%s、傷み %lld\n", "verified: %lld packs, %s, %lld damaged\n"),
            (long long)json_integer_value(json_object_get(last, "packs")), bytes,
            (long long)json_integer_value(json_object_get(last, "damaged")));
    }
    if (!c->json)
        json_array_foreach((json_t *)damaged, i, d)
            cli_note(c, "  %s: %s", *cli_str(d, "file") ? cli_str(d, "file") : cli_str(d, "object"), cli_str(d, "why"));
    return json_integer_value(json_object_get(last, "damaged")) > 0 || n > 0 ? CLI_FAILED : CLI_OK;
}

static int verify_wait(struct cli *c)
{
    for (;;) {
        json_t *v = NULL;
        int e = cli_call(c, "GET", "/api/v1/verify", NULL, &v);
        const json_t *run = json_object_get(v, "running");
        if (e != CLI_OK || !json_is_object(run)) {
            cli_progress_end(c);
            e = e == CLI_OK ? verify_report(c, v) : e;
            json_decref(v);
            return e;
        }
        cli_progress(c, T(c, "検査", "verify"), (uint64_t)json_integer_value(json_object_get(run, "bytes")),
            (uint64_t)json_integer_value(json_object_get(run, "bytes_total")), "");
        json_decref(v);
        cli_sleep_ms(200);
    }
}

int cmd_verify(struct cli *c)
{
    const char *kind = cli_arg(c, 0);
    json_t *v = NULL;
    if (!kind) {
        int e = cli_call(c, "GET", "/api/v1/verify", NULL, &v);
        e = e == CLI_OK ? verify_report(c, v) : e;
        json_decref(v);
        return e;
    }
    if (strcmp(kind, "structure") && strcmp(kind, "data")) {
        cli_note(c, T(c, "structure か data です", "structure or data"));
        return CLI_USAGE;
    }
    int e = cli_call(c, "POST", "/api/v1/verify", json_pack("{s:s}", "kind", kind), NULL);
    return e == CLI_OK ? verify_wait(c) : e;
}
