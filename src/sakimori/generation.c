/* generations: list, show, look inside, fetch one file; unlock and lock. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "plat/fs.h"
#include "sakimori/commands.h"

static const struct cli_col cols[] = { { "id", CLI_SHORT, "世代", "Generation" }, { "number", CLI_TEXT, "番号", "No." },
    { "at", CLI_TIME, "時刻", "At" }, { "status", CLI_WORD, "結果", "Status" }, { "files", CLI_TEXT, "ファイル", "Files" },
    { "bytes", CLI_BYTES, "大きさ", "Size" }, { "stored_new", CLI_BYTES, "増えた量", "Stored" },
    { "suspicion.level", CLI_WORD, "疑い", "Suspicion" }, { "last_clean", CLI_YES, "最後の正常", "Last clean" } };
#define COLS (sizeof cols / sizeof *cols)

/* A source whose machine was revoked is on no list any more, but its generations know it.  NULL: they do not. */
static json_t *old_source(struct cli *c, const char *text)
{
    json_t *all = NULL, *row, *found = NULL;
    size_t i, n = strlen(text);
    int e = cli_items(c, "/api/v1/generations?limit=100", &all);
    json_array_foreach(json_object_get(all, "items"), i, row) {
        const char *id = cli_str(row, "source");
        bool like = !strcmp(cli_str(row, "source_name"), text) || (n >= 6 && !strncmp(id, text, n));
        if (e != CLI_OK || !like || (found && !strcmp(cli_str(found, "id"), id)))
            continue;
        if (found) { /* several fit: the ordinary search says so, or that there is none on the list */
            json_decref(found);
            found = NULL;
            break;
        }
        found = json_pack("{s:s}", "id", id);
    }
    json_decref(all);
    return found;
}

static bool on_list(struct cli *c, const char *text)
{
    json_t *all = NULL, *row;
    size_t i, n = strlen(text);
    bool any = cli_items(c, "/api/v1/sources", &all) != CLI_OK; /* then the search says why */
    json_array_foreach(json_object_get(all, "items"), i, row)
        any |= !strcmp(cli_str(row, "name"), text) || (n >= 6 && !strncmp(cli_str(row, "id"), text, n));
    json_decref(all);
    return any;
}

static int find_source(struct cli *c, const char *text, json_t **ret)
{
    json_t *s = on_list(c, text) ? NULL : old_source(c, text);
    if (!s)
        return cli_find(c, "/api/v1/sources", text, ret);
    *ret = s;
    return CLI_OK;
}

/* from and to only for the list itself: --to of a restore is a folder. */
static char *list_path(struct cli *c, bool times, int *ret_e)
{
    json_t *s = NULL;
    char *path = NULL;
    *ret_e = cli_opt(c, "source") ? find_source(c, cli_opt(c, "source"), &s) : CLI_OK;
    if (*ret_e == CLI_OK)
        path = cli_path("/api/v1/generations", "source", s ? cli_str(s, "id") : NULL, "from",
            times ? cli_opt(c, "from") : NULL, "to", times ? cli_opt(c, "to") : NULL, "limit", "200", NULL); /* the most */
    json_decref(s);
    return path;
}

int cmd_generations_list(struct cli *c)
{
    int e;
    char *path = list_path(c, true, &e);
    if (e == CLI_OK)
        e = cli_list(c, path, cols, COLS);
    free(path);
    return e;
}

/* Does the row fit the words of cli_generation?  2 = exactly, and no further one is asked. */
static int fits(const json_t *row, const char *text)
{
    size_t n = strlen(text);
    if (!strcmp(text, "latest"))
        return 2;
    if (!strcmp(text, "last-clean"))
        return json_is_true(json_object_get(row, "last_clean")) ? 2 : 0;
    return n >= 8 && !strncmp(cli_str(row, "id"), text, n);
}

int cli_generation(struct cli *c, const char *text, char ret[65])
{
    json_t *all = NULL, *row, *found = NULL;
    size_t i, hits = 0;
    bool by_word = !strcmp(text, "latest") || !strcmp(text, "last-clean");
    if (strlen(text) == 64) {
        (void)snprintf(ret, 65, "%s", text); /* fits */
        return CLI_OK;
    }
    int e;
    char *path = list_path(c, false, &e);
    if (e == CLI_OK)
        e = path ? cli_items(c, path, &all) : CLI_FAILED;
    free(path);
    json_array_foreach(json_object_get(all, "items"), i, row) {
        int how = fits(row, text);
        bool first = how == 2 && hits == 0;
        if (how == 1 || first)
            found = row;
        hits += how == 1 || first;
        /* Without --source, several sources each have a last one. */
        if (how == 2 && strcmp(cli_str(found, "source"), cli_str(row, "source")) != 0)
            hits++;
    }
    if (e == CLI_OK && hits != 1) {
        cli_note(c, hits && by_word ? T(c, "%s: どの対象かを --source で選んでください", "%s: say which source with --source")
            : hits ? T(c, "%s に当たる世代が複数あります", "%s: more than one generation fits")
                   : T(c, "世代 %s が見つかりません", "generation %s: not found"), text);
        e = hits ? CLI_USAGE : CLI_NOT_FOUND;
    }
    if (e == CLI_OK)
        (void)snprintf(ret, 65, "%s", cli_str(found, "id")); /* an id is 64 long */
    json_decref(all);
    return e;
}

static char *inner_path(struct cli *c, const char *tail, int *ret_e)
{
    char id[65], *path = NULL;
    *ret_e = cli_generation(c, cli_arg(c, 0), id);
    if (*ret_e == CLI_OK && asprintf(&path, "/api/v1/generations/%s%s", id, tail) < 0) {
        path = NULL;
        *ret_e = CLI_FAILED;
    }
    return path;
}

int cmd_generations_show(struct cli *c)
{
    int e;
    char *path = inner_path(c, "", &e);
    json_t *g = NULL, *r;
    size_t i;
    if (path)
        e = cli_call(c, "GET", path, NULL, &g);
    free(path);
    if (e != CLI_OK)
        return e;
    if (c->json) {
        cli_json(g);
    } else {
        cli_record(c, g, cols, COLS);
        json_array_foreach((json_t *)cli_at(g, "suspicion.reasons"), i, r) {
            printf("  - ");
            cli_text(stdout, cli_str(r, "text"));
            putchar('\n');
        }
    }
    json_decref(g);
    return CLI_OK;
}

static const struct cli_col file_cols[] = { { "kind", CLI_WORD, "種類", "Kind" }, { "size", CLI_BYTES, "大きさ", "Size" },
    { "mtime", CLI_TIME, "更新", "Changed" }, { "owner", CLI_TEXT, "持ち主", "Owner" }, { "name", CLI_TEXT, "名前", "Name" } };
static const struct cli_col found_cols[] = { { "kind", CLI_WORD, "種類", "Kind" }, { "size", CLI_BYTES, "大きさ", "Size" },
    { "mtime", CLI_TIME, "更新", "Changed" }, { "path", CLI_TEXT, "場所", "Path" } };

static char *base64_of(const char *text)
{
    struct sm_buf b = SM_BUF_INIT(64 << 10);
    char *s = sm_base64(SM_SPAN_STR(text), &b) == 0 && sm_buf_str(&b) ? strdup(sm_buf_str(&b)) : NULL;
    sm_buf_wipe(&b);
    return s;
}

int cmd_generations_ls(struct cli *c)
{
    int e;
    char *path = inner_path(c, "/files", &e), *b64 = cli_arg(c, 1) ? base64_of(cli_arg(c, 1)) : NULL, *full = NULL;
    bool utf8 = cli_arg(c, 1) && sm_utf8_valid(SM_SPAN_STR(cli_arg(c, 1)));
    if (path)
        full = cli_path(path, "path", utf8 ? cli_arg(c, 1) : NULL, "path_b64", b64, "limit", "1000", NULL);
    if (path)
        e = cli_list(c, full, file_cols, sizeof file_cols / sizeof *file_cols);
    free(full);
    free(b64);
    free(path);
    return e;
}

int cmd_generations_find(struct cli *c)
{
    int e;
    char *path = inner_path(c, "/find", &e), *full = path ? cli_path(path, "text", cli_arg(c, 1), NULL) : NULL;
    json_t *found = NULL;
    if (path)
        e = full ? cli_call(c, "GET", full, NULL, &found) : CLI_FAILED;
    if (e == CLI_OK && c->json)
        cli_json(found);
    else if (e == CLI_OK)
        cli_table(c, json_object_get(found, "items"), found_cols, sizeof found_cols / sizeof *found_cols);
    if (e == CLI_OK && json_is_true(json_object_get(found, "more")))
        cli_note(c, T(c, "ほかにもあります。ことばを足してください", "there are more: add to the text"));
    json_decref(found);
    free(full);
    free(path);
    return e;
}

int cmd_generations_diff(struct cli *c)
{
    static const struct cli_col diff_cols[] = { { "change", CLI_WORD, "変化", "Change" }, { "kind", CLI_WORD, "種類", "Kind" },
        { "was.size", CLI_BYTES, "前の大きさ", "Size before" }, { "size", CLI_BYTES, "大きさ", "Size" },
        { "mtime", CLI_TIME, "更新", "Changed" }, { "path", CLI_TEXT, "場所", "Path" } };
    char with[65];
    int e = cli_generation(c, cli_arg(c, 0), with);
    struct cli_line line = c->line;
    c->line.arg[0] = c->line.arg[1]; /* inner_path speaks of the first */
    char *path = e == CLI_OK ? inner_path(c, "/diff", &e) : NULL, *b64 = cli_arg(c, 2) ? base64_of(cli_arg(c, 2)) : NULL;
    c->line.arg[0] = line.arg[0];
    char *full = path ? cli_path(path, "with", with, "path_b64", b64, "limit", "1000", NULL) : NULL;
    if (path)
        e = full ? cli_list(c, full, diff_cols, sizeof diff_cols / sizeof *diff_cols) : CLI_FAILED;
    free(full);
    free(b64);
    free(path);
    return e;
}

/* Page by page, since each looks into a few generations only. */
int cmd_search(struct cli *c)
{
    static const struct cli_col search_cols[] = { { "at", CLI_TIME, "時点", "Generation" }, { "generation", CLI_SHORT, "番号", "Id" },
        { "source_name", CLI_TEXT, "対象", "Source" }, { "size", CLI_BYTES, "大きさ", "Size" },
        { "mtime", CLI_TIME, "更新", "Changed" }, { "path", CLI_TEXT, "場所", "Path" } };
    json_t *all = json_array(), *source = NULL, *page = NULL;
    char cursor[32] = "", label[64];
    uint64_t done = 0;
    bool more = false;
    int e = cli_opt(c, "source") ? cli_find(c, "/api/v1/sources", cli_opt(c, "source"), &source) : CLI_OK;
    while (e == CLI_OK) {
        char *path = cli_path("/api/v1/search", "text", cli_arg(c, 0), "source", source ? cli_str(source, "id") : NULL,
            "cursor", *cursor ? cursor : NULL, NULL);
        e = path ? cli_call(c, "GET", path, NULL, &page) : CLI_FAILED;
        free(path);
        if (e != CLI_OK)
            break;
        json_array_extend(all, json_object_get(page, "items"));
        done += (uint64_t)json_integer_value(json_object_get(page, "searched"));
        more |= json_is_true(json_object_get(page, "more"));
        (void)snprintf(cursor, sizeof cursor, "%s", cli_str(page, "next")); /* a number */
        json_decref(page);
        (void)snprintf(label, sizeof label, "%s", T(c, "探した世代", "generations searched"));
        cli_progress(c, label, done, 0, "");
        if (!*cursor)
            break;
    }
    cli_progress_end(c);
    if (e == CLI_OK && c->json) {
        json_t *o = json_pack("{s:O,s:I,s:b}", "items", all, "searched", (json_int_t)done, "more", more);
        cli_json(o);
        json_decref(o);
    } else if (e == CLI_OK) {
        cli_table(c, all, search_cols, sizeof search_cols / sizeof *search_cols);
        if (more)
            cli_note(c, T(c, "ほかにもあります。ことばを足してください", "there are more: add to the text"));
    }
    json_decref(source);
    json_decref(all);
    return e;
}

/* A new file beside nothing: never over an existing one, complete or not there at all. */
static int fetch(struct cli *c, const char *url, const char *to)
{
    int fd = plat_fs_create(AT_FDCWD, to, PLAT_FS_EXCL, 0600);
    if (fd < 0) {
        cli_note(c, T(c, "%s を作れません: %s", "cannot make %s: %s"), to, sm_errtext(fd, c->ja));
        return CLI_FAILED;
    }
    int e = cli_download(c, url, fd);
    if (e == CLI_OK && plat_fs_sync(fd) < 0) {
        cli_note(c, T(c, "%s に書けません", "cannot write %s"), to);
        e = CLI_FAILED;
    }
    close(fd);
    if (e != CLI_OK)
        (void)unlink(to); /* half a file would look like a whole one */
    return e;
}

int cmd_generations_get(struct cli *c)
{
    int e;
    const char *file = cli_arg(c, 1), *slash = strrchr(file, '/'), *to = cli_opt(c, "to");
    char *path = inner_path(c, "/file", &e), *b64 = base64_of(file),
         *full = path ? cli_path(path, "path_b64", b64, NULL) : NULL;
    if (path && !full)
        e = CLI_FAILED;
    else if (path && to && !strcmp(to, "-"))
        e = cli_download(c, full, 1);
    else if (path)
        e = fetch(c, full, to ? to : slash ? slash + 1 : file);
    free(full);
    free(b64);
    free(path);
    return e;
}

int cmd_unlock(struct cli *c)
{
    int e = cli_answers_load(c);
    if (e != CLI_OK)
        return e;
    char *password = cli_secret(c, "password", T(c, "院長のパスワード: ", "Director's password: "));
    char *card = password ? cli_secret(c, "card", T(c, "戻すカード(SKC1-…): ", "Restore card (SKC1-...): ")) : NULL;
    json_t *body = card ? json_pack("{s:s,s:s}", "password", password, "card", card) : NULL, *answer = NULL;
    cli_secret_free(password);
    cli_secret_free(card);
    if (!body)
        return CLI_USAGE;
    e = cli_call(c, "POST", "/api/v1/unlock", body, &answer);
    if (e == CLI_OK && c->json)
        cli_json(answer);
    else if (e == CLI_OK)
        cli_note(c, T(c, "解除しました。15分で自動的に閉じます(sakimori lock ですぐ閉じます)",
            "unlocked; it locks itself after 15 minutes (sakimori lock does it now)"));
    json_decref(answer);
    return e;
}

int cmd_lock(struct cli *c)
{
    return cli_call(c, "DELETE", "/api/v1/unlock", NULL, NULL);
}
