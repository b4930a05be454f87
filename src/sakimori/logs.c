/* logs: the record of logs, and who sends them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "sakimori/commands.h"

enum { TAIL_MS = 1000, TAIL_BACK_S = 2, TEXT_SHOWN = 300 /* bytes: 100 characters of Japanese */, QUERY_SHOWN = 200 };

static const struct cli_col event_cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "time", CLI_TIME, "時刻", "Time" },
    { "event.@host", CLI_TEXT, "機器", "Host" }, { "hits", CLI_TEXT, "ルール", "Rules" }, { "text", CLI_TEXT, "内容", "Text" } };

/* One long record must not push the others off the screen; --json has all of it. */
static json_t *shortened(const char *text)
{
    size_t n = strlen(text);
    if (n <= TEXT_SHOWN)
        return json_string(text);
    n = TEXT_SHOWN;
    while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return json_sprintf("%.*s…", (int)n, text);
}

/* What a line of a table can hold of an event: its time, how many rules matched, and its message or the bytes as they came. */
static void flatten(json_t *items)
{
    size_t i;
    json_t *row;
    json_array_foreach(items, i, row) {
        json_t *event = json_object_get(row, "event"), *message = json_object_get(event, "Message");
        size_t n = json_array_size(json_object_get(row, "rules"));
        const char *raw = cli_str(row, "raw");
        char hits[24] = "";
        if (n)
            (void)snprintf(hits, sizeof hits, "%zu", n); /* fits */
        json_object_set_new(row, "hits", json_string(hits));
        json_object_set_new(row, "time", json_string(json_string_value(json_object_get(event, "@timestamp")) ?
            json_string_value(json_object_get(event, "@timestamp")) : ""));
        json_object_set_new(row, "text", shortened(json_is_string(message) ? json_string_value(message) : raw));
    }
}

static void show(const struct cli *c, json_t *items)
{
    size_t i;
    json_t *row;
    if (c->json) {
        json_array_foreach(items, i, row) {
            char *line = json_dumps(row, JSON_COMPACT);
            if (line)
                puts(line);
            free(line);
        }
        return;
    }
    flatten(items);
    cli_table(c, items, event_cols, sizeof event_cols / sizeof *event_cols);
}

void logs_zone_note(const struct cli *c)
{
    static const char *const names[] = { "from", "until" };
    bool none = false;
    for (size_t i = 0; i < 2; i++) {
        const char *v = cli_opt(c, names[i]);
        none = none || (v && strlen(v) < 20); /* 2026-11-24T08:30:00 has 19 */
    }
    if (none)
        cli_note(c, T(c, "時差のない日時は、日本時間として読みました", "times without a zone were taken as Japan's"));
}

/* What is wrong with a query stands under the place. */
static int one_page(struct cli *c, const struct logs_question *q, const char *cursor, const char *limit, const char *order, json_t **ret)
{
    char *path = cli_path("/api/v1/logs/search", "q", q->q, "from", q->from, "until", q->until,
        "limit", limit, "cursor", cursor, "order", order, "raw", "1", NULL);
    int e = path ? cli_call_quiet(c, "GET", path, NULL, ret) : CLI_FAILED;
    free(path);
    if (e == CLI_OK)
        return e;
    const json_t *error = json_object_get(*ret, "error");
    if (!strcmp(cli_str(error, "code"), "bad_query")) {
        json_int_t at = json_integer_value(json_object_get(error, "at"));
        if (strlen(q->q) <= QUERY_SHOWN && *cli_str(error, "ja")) {
            cli_note(c, "%s", q->q);
            cli_note(c, "%*s^ %s", (int)at, "", cli_str(error, c->ja ? "ja" : "en"));
        } else {
            cli_complain(c, *ret); /* a long one is not said back: the answer names the character */
        }
    } else {
        cli_complain(c, *ret);
    }
    return e;
}

int logs_pages(struct cli *c, const struct logs_question *q)
{
    const char *limit = cli_opt(c, "limit");
    char next[96] = "";
    bool any = false, on = false;
    int e;
    do {
        json_t *j = NULL;
        e = one_page(c, q, next, limit ? limit : "50", cli_flag(c, "oldest") ? "oldest" : NULL, &j);
        if (e == CLI_OK) {
            if (!*next && *cli_str(j, "away"))
                cli_note(c, T(c, "ClickHouse は使えません(%s)。この箱の記録だけをさがしました", "ClickHouse did not answer (%s): this box alone was searched"),
                    logs_away(c, cli_str(j, "away")));
            bool late = json_is_true(json_object_get(j, "late"));
            any = any || json_array_size(json_object_get(j, "items"));
            on = cli_flag(c, "all") || (late && !any); /* nothing yet, and not all of it was looked at */
            if (!late || json_array_size(json_object_get(j, "items")))
                show(c, json_object_get(j, "items"));
            (void)snprintf(next, sizeof next, "%s", cli_str(j, "next")); /* ours, short */
            if (*next && !on)
                cli_note(c, T(c, "続きがあります(--all で全部)", "there is more (--all for everything)"));
        }
        json_decref(j);
    } while (e == CLI_OK && *next && on);
    return e;
}

int cmd_logs_search(struct cli *c)
{
    const struct logs_question q = { cli_arg(c, 0) ? cli_arg(c, 0) : "", cli_opt(c, "from"), cli_opt(c, "until") };
    logs_zone_note(c);
    return logs_pages(c, &q);
}

/* What comes in, as it comes; ends with Ctrl-C. */
int cmd_logs_tail(struct cli *c)
{
    const struct logs_question q = { cli_arg(c, 0) ? cli_arg(c, 0) : "", NULL, NULL };
    char next[96] = "";
    (void)snprintf(next, sizeof next, "%lld.0.0", (long long)time(NULL) - TAIL_BACK_S); /* fits */
    for (;;) {
        json_t *j = NULL;
        int e = one_page(c, &q, next, "500", "oldest", &j);
        const json_t *items = json_object_get(j, "items");
        size_t n = json_array_size(items);
        if (e != CLI_OK) {
            json_decref(j);
            return e;
        }
        if (n && *cli_str(j, "last"))
            (void)snprintf(next, sizeof next, "%s", cli_str(j, "last")); /* ours, short */
        if (n)
            show(c, json_object_get(j, "items"));
        (void)fflush(stdout); /* who reads is gone: the next line says so */
        json_decref(j);
        if (ferror(stdout))
            return CLI_FAILED;
        cli_sleep_ms(n < 500 ? TAIL_MS : 0);
    }
}

/* A file that nothing came into is no export: none stays. */
static int export_end(const struct cli *c, const char *to, int fd, int e)
{
    struct stat st;
    bool nothing = e != CLI_OK && fstat(fd, &st) == 0 && st.st_size == 0;
    if ((fsync(fd) < 0) | (close(fd) < 0) && e == CLI_OK) {
        cli_note(c, "%s: %s", to, strerror(errno));
        e = CLI_FAILED;
    }
    if (nothing)
        (void)unlink(to); /* made by us a moment ago */
    return e;
}

int cmd_logs_export(struct cli *c)
{
    const char *to = cli_arg(c, 1), *encoding = cli_opt(c, "encoding");
    uint64_t replaced = 0;
    if (encoding && ((strcmp(encoding, "utf-8") != 0 && strcmp(encoding, "cp932") != 0) || !cli_flag(c, "csv"))) {
        cli_note(c, T(c, "--encoding は utf-8 か cp932 で、--csv といっしょに使います", "--encoding is utf-8 or cp932, and goes with --csv"));
        return CLI_USAGE;
    }
    logs_zone_note(c);
    int fd = to ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : 1, e;
    char next[96] = "";
    if (fd < 0) {
        cli_note(c, "%s: %s", to, strerror(errno));
        return CLI_FAILED;
    }
    do {
        char *path = cli_path("/api/v1/logs/export", "q", cli_arg(c, 0), "from", cli_opt(c, "from"), "until", cli_opt(c, "until"), "as",
            cli_flag(c, "csv") ? "csv" : "jsonl", "encoding", encoding, "cursor", *next ? next : NULL, NULL);
        e = path ? cli_download(c, path, fd) : CLI_FAILED;
        (void)snprintf(next, sizeof next, "%s", cli_next(c)); /* ours, short */
        replaced += cli_replaced(c);
        if (e == CLI_OK && *cli_away(c))
            cli_note(c, T(c, "ClickHouse は使えません(%s)。この箱の記録だけを取り出しました", "ClickHouse did not answer (%s): taken from this box alone"),
                logs_away(c, cli_away(c)));
        free(path);
    } while (e == CLI_OK && *next);
    if (replaced)
        cli_note(c, T(c, "cp932 にない文字 %llu 個を ? にしました", "%llu characters that cp932 lacks became ?"), (unsigned long long)replaced);
    return to ? export_end(c, to, fd, e) : e;
}

int cmd_logs_status(struct cli *c)
{
    static const struct cli_col cols[] = { { "events", CLI_TEXT, "件数", "Events" }, { "raw_bytes", CLI_BYTES, "来たままの量", "As they came" },
        { "stored_bytes", CLI_BYTES, "書いた量", "Stored" }, { "segments", CLI_TEXT, "つづり", "Segments" }, { "next_block", CLI_TEXT, "次のかたまり", "Next block" },
        { "sealed_block", CLI_TEXT, "封をしたところまで", "Sealed up to block" }, { "rules", CLI_TEXT, "ルール", "Rules" },
        { "seal_pub", CLI_TEXT, "封を確かめる鍵", "Key that verifies the seal" },
        { "stopped", CLI_YES, "受け取りを止めている", "Stopped" }, { "unsealed", CLI_YES, "封ができない", "Cannot be sealed" },
        { "damaged", CLI_TEXT, "壊れたところ", "Damaged" }, { "backup.state", CLI_WORD, "保管庫への控え", "Saved to the vault" },
        { "backup.until", CLI_TIME, "控えのある時刻まで", "Saved up to" }, { "backup.why_text", CLI_TEXT, "控えられない理由", "Why it is not saved" },
        { "checked.part", CLI_TIME, "毎晩の検査", "Checked, a part" }, { "checked.whole", CLI_TIME, "全部の検査", "Checked, all of it" },
        { "checked.faults", CLI_TEXT, "検査で見つかった傷み", "Faults found" } };
    json_t *j = NULL;
    int e = cli_call(c, "GET", "/api/v1/logs", NULL, &j);
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        cli_record(c, j, cols, sizeof cols / sizeof *cols);
    json_decref(j);
    return e;
}

int cmd_logs_backup(struct cli *c)
{
    static const struct cli_col cols[] = { { "state", CLI_WORD, "保管庫への控え", "Saved to the vault" },
        { "until", CLI_TIME, "控えのある時刻まで", "Saved up to" }, { "events", CLI_TEXT, "件数", "Events" },
        { "last.stored", CLI_BYTES, "増えた量", "Added" }, { "why_text", CLI_TEXT, "理由", "Why" } };
    json_t *j = NULL, *all = NULL;
    int e = cli_call(c, "POST", "/api/v1/logs/backup", json_object(), &j);
    while (e == CLI_OK && !strcmp(cli_str(j, "state"), "running")) {
        json_decref(j);
        json_decref(all);
        j = all = NULL;
        cli_sleep_ms(300);
        e = cli_call(c, "GET", "/api/v1/logs", NULL, &all);
        j = json_incref(json_object_get(all, "backup"));
    }
    bool failed = !strcmp(cli_str(j, "state"), "failed");
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        cli_record(c, j, cols, sizeof cols / sizeof *cols);
    json_decref(j);
    json_decref(all);
    return e == CLI_OK && failed ? CLI_FAILED : e;
}

int cmd_logs_verify(struct cli *c)
{
    static const struct cli_col cols[] = { { "block", CLI_TEXT, "かたまり", "Block" }, { "file", CLI_TEXT, "ファイル", "File" },
        { "text", CLI_TEXT, "見つかったこと", "Found" } };
    json_t *j = NULL, *f;
    json_int_t n;
    size_t i;
    int e = cli_call(c, "POST", "/api/v1/logs/verify", json_object(), &j);
    while (e == CLI_OK && json_is_true(json_object_get(j, "running"))) {
        json_decref(j);
        j = NULL;
        cli_sleep_ms(300);
        e = cli_call(c, "GET", "/api/v1/logs/verify", NULL, &j);
    }
    bool ok = json_is_true(json_object_get(j, "ok"));
    json_array_foreach(json_object_get(j, "findings"), i, f)
        json_object_set(f, "text", json_object_get(f, c->ja ? "ja" : "en"));
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK) {
        cli_table(c, json_object_get(j, "findings"), cols, sizeof cols / sizeof *cols);
        printf(ok ? T(c, "%lld 件、変わりありません。しるし: %s\n", "%lld events are as they were written. Head: %s\n") :
            T(c, "%lld 件のうちに、書きかえられたところがあります。 %s\n", "Among %lld events something was altered. %s\n"),
            (long long)json_integer_value(json_object_get(j, "events")), cli_str(j, "head"));
    }
    if (e == CLI_OK && !c->json && (n = json_integer_value(json_object_get(j, "not_sealed"))) > 0)
        printf(T(c, "まだ封印されていない記録 %lld 件(うち束になる前 %lld 件): 確かめていません\n",
            "%lld events not yet sealed (%lld of them not yet in a block): not verified\n"), (long long)n,
            (long long)json_integer_value(json_object_get(j, "not_in_a_block")));
    json_decref(j);
    return e == CLI_OK && !ok ? CLI_FAILED : e;
}

/* How far a sender's clock is off, in the largest units that say it; "" when it is right. */
static json_t *clock_off(const struct cli *c, json_int_t s)
{
    static const struct { json_int_t s; const char *ja, *en; } units[] = { { 86400, "日", " d" }, { 3600, "時間", " h" }, { 60, "分", " min" }, { 1, "秒", " s" } };
    json_int_t left = s < 0 ? -s : s;
    char text[80] = "";
    size_t n = 0;

    for (size_t i = 0, said = 0; i < sizeof units / sizeof *units && said < 2; i++) {
        json_int_t k = left / units[i].s;
        left %= units[i].s;
        said += k || said;
        if (k)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%lld%s", n && !c->ja ? " " : "", (long long)k, T(c, units[i].ja, units[i].en)); /* two fit */
    }
    return n ? json_sprintf("%s%s", text, s < 0 ? T(c, "遅れ", " slow") : T(c, "進み", " fast")) : json_string("");
}

int cmd_logs_sources(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "state", CLI_WORD, "状態", "State" }, { "listener", CLI_TEXT, "口", "Over" },
        { "address", CLI_TEXT, "送り手", "Sender" }, { "host", CLI_TEXT, "機器", "Host" }, { "name", CLI_TEXT, "名前", "Name" },
        { "read_as", CLI_TEXT, "読み方", "Read as" }, { "count", CLI_TEXT, "件数", "Events" }, { "unparsed", CLI_TEXT, "読めない", "Unparsed" },
        { "sender.dropped", CLI_TEXT, "捨てた", "Dropped" }, { "clock", CLI_TEXT, "時計の差", "Clock" }, { "last", CLI_TIME, "最後", "Last" } };
    json_t *list = NULL, *row;
    size_t i;
    int e = cli_items(c, "/api/v1/logs/sources", &list);
    if (e == CLI_OK && c->json) {
        cli_json(list);
    } else if (e == CLI_OK) {
        json_array_foreach(json_object_get(list, "items"), i, row)
            json_object_set_new(row, "clock", clock_off(c, json_integer_value(json_object_get(row, "skew_s"))));
        cli_table(c, json_object_get(list, "items"), cols, sizeof cols / sizeof *cols);
    }
    json_decref(list);
    return e;
}

int cmd_logs_source_set(struct cli *c)
{
    static const char *const words[] = { "name", "format", "encoding", "product", "category", "service" };
    char path[80];
    json_t *body = json_object();
    int64_t klass = cli_number(c, "class", 0, 15), silent = cli_number(c, "silent", 0, 366 * 24 * 60), zone = cli_number(c, "zone", -12, 14);
    if (klass == -2 || silent == -2 || (zone == -2 && strcmp(cli_opt(c, "zone"), "-2") != 0)) {
        json_decref(body);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (cli_opt(c, words[i]))
            json_object_set_new(body, words[i], json_string(cli_opt(c, words[i])));
    if (klass >= 0)
        json_object_set_new(body, "class", json_integer(klass));
    if (silent >= 0)
        json_object_set_new(body, "silent_s", json_integer(silent * 60));
    if (cli_opt(c, "zone"))
        json_object_set_new(body, "zone_s", json_integer(zone * 3600));
    json_object_set_new(body, "state", json_string("ok"));
    (void)snprintf(path, sizeof path, "/api/v1/logs/sources/%llu", strtoull(cli_arg(c, 0), NULL, 10)); /* fits */
    return cli_call(c, "PATCH", path, body, NULL);
}
