/* What a person or a pipe reads: tables, words, progress. */
#include <inttypes.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>
#include "core/time.h"
#include "sakimori/cli.h"

#define CELL_MAX 4096

void cli_note(const struct cli *c, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut at the end */
    va_end(ap);
    cli_progress_end(c);
    cli_text(stderr, text);
    fputc('\n', stderr);
}

/* One character of UTF-8: its bytes and code point; 0 when it is none. */
static size_t utf8_one(const char *s, uint32_t *ret)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t n = u[0] < 0x80 ? 1 : u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : u[0] >= 0xc2 ? 2 : 0;
    if (!n || strnlen(s, n) < n || !sm_utf8_valid(SM_SPAN(s, n)))
        return 0;
    uint32_t cp = n == 1 ? u[0] : u[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        cp = cp << 6 | (u[i] & 0x3fu);
    *ret = cp;
    return n;
}

/* Also what turns the direction of writing or hides characters. */
static bool unsafe(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) ||
        (cp >= 0x2060 && cp <= 0x2069) || cp == 0xfeff;
}

static size_t escaped(const char *in, char *to, size_t size)
{
    size_t o = 0;
    for (const char *p = in; *p && o + 20 < size;) {
        uint32_t cp = 0;
        size_t n = utf8_one(p, &cp);
        bool line_end = n && cp == '\n';
        if (n && (!unsafe(cp) || line_end)) {
            memcpy(to + o, p, n);
            o += n;
        } else {
            n = n ? n : 1;
            for (size_t i = 0; i < n; i++, o += 4)
                (void)snprintf(to + o, size - o, "\\x%02x", (unsigned char)p[i]); /* room was checked */
        }
        p += n;
    }
    to[o] = 0;
    return o;
}

void cli_text(FILE *to, const char *text)
{
    char buf[CELL_MAX];
    (void)escaped(text, buf, sizeof buf);
    fputs(buf, to);
}

/* The locale's own table is not there in C.UTF-8 of a bare system for every block: the wide blocks by hand. */
static unsigned width_of(uint32_t cp)
{
    if (cp < 0x1100)
        return 1;
    bool wide = cp <= 0x115f || (cp >= 0x2e80 && cp <= 0x303e) || (cp >= 0x3041 && cp <= 0xa4cf) ||
        (cp >= 0xac00 && cp <= 0xd7a3) || (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0xfe30 && cp <= 0xfe6f) ||
        (cp >= 0xff00 && cp <= 0xff60) || (cp >= 0xffe0 && cp <= 0xffe6) || (cp >= 0x1f300 && cp <= 0x1faff) ||
        (cp >= 0x20000 && cp <= 0x3fffd);
    return wide ? 2 : 1;
}

static size_t text_width(const char *s)
{
    size_t w = 0;
    while (*s) {
        uint32_t cp = 0;
        size_t n = utf8_one(s, &cp);
        w += n ? width_of(cp) : 1;
        s += n ? n : 1;
    }
    return w;
}

void cli_bytes(uint64_t n, char ret[32])
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double v = (double)n;
    size_t u = 0;
    while (v >= 1024 && u < 5) {
        v /= 1024;
        u++;
    }
    (void)snprintf(ret, 32, u ? "%.1f %s" : "%.0f %s", v, unit[u]); /* fits */
}

void cli_time(const char *rfc3339, char ret[SM_TIME_TEXT])
{
    struct sm_time t;
    if (sm_time_parse(rfc3339, &t) == 0)
        sm_time_jst(t, ret);
    else
        (void)snprintf(ret, SM_TIME_TEXT, "%s", rfc3339); /* cut is fine */
}

const json_t *cli_at(const json_t *o, const char *key)
{
    char part[64];
    for (;;) {
        size_t n = strcspn(key, ".");
        if (n >= sizeof part)
            return NULL;
        memcpy(part, key, n);
        part[n] = 0;
        o = json_object_get(o, part);
        if (!key[n] || !o)
            return o;
        key += n + 1;
    }
}

const char *cli_str(const json_t *o, const char *key)
{
    const char *s = json_string_value(cli_at(o, key));
    return s ? s : "";
}

/* Words of the API as a person reads them. */
static const struct { const char *word, *ja, *en;
} words[] = {
    { "ok", "正常", "ok" },
    { "absent", "ない", "not there" }, { "error", "読めない", "error" },
    { "look", "確認", "look" },
    { "call", "連絡", "call" },
    { "informational", "参考", "informational" },
    { "medium", "中", "medium" },
    { "critical", "重大", "critical" },
    { "opened", "話が始まった", "opened" },
    { "joined", "話に加わった", "joined" },
    { "folded", "同じこと", "folded" },
    { "filtered", "静かにした", "filtered" },
    { "booked", "予定の作業", "booked" },
    { "open", "続いている", "open" },
    { "attack", "攻撃", "attack" },
    { "harmless", "害なし", "harmless" },
    { "false-alarm", "まちがい", "false-alarm" },
    { "waits", "続きを待つ", "waits" },
    { "offered", "できます", "offered" },
    { "todo", "人がします", "todo" },
    { "done", "しました", "done" },
    { "skipped", "しません", "skipped" },
    { "undone", "戻しました", "undone" },
    { "expired", "時間切れ", "expired" },
    { "auto", "ひとりでに", "auto" },
    { "click", "人が押して", "click" },
    { "closed", "終わりました", "closed" },
    { "new", "はじめて", "new" },
    { "late", "遅れ", "late" },
    { "folder", "フォルダー", "folder" },
    { "disk", "ディスク", "disk" },
    { "never", "まだ", "never" },
    { "old", "古い", "old" },
    { "unsound", "まちがいあり", "unsound" },
    { "forked", "合わない", "forked" },
    { "detach", "外してください", "unplug it" },
    { "verifying", "読み返し中", "reading back" },
    { "copy", "写す", "copy" },
    { "verify", "読み返す", "read back" },
    { "plugged", "さしこんだとき", "when plugged in" },
    { "backup", "バックアップのたび", "after each backup" },
    { "daily", "毎日", "daily" },
    { "silent", "応答なし", "silent" },
    { "revoked", "取り消し済み", "revoked" },
    { "joining", "登録中", "joining" },
    { "waiting", "待ち", "waiting" },
    { "running", "実行中", "running" },
    { "complete", "完了", "complete" },
    { "partial", "一部だけ", "partial" },
    { "failed", "失敗", "failed" },
    { "cancelled", "中止", "cancelled" },
    { "suspicious", "疑わしい", "suspicious" },
    { "unknown", "不明", "unknown" },
    { "none", "なし", "none" },
    { "low", "少し", "low" },
    { "high", "強い", "high" },
    { "scheduled", "予定", "scheduled" },
    { "adhoc", "手動", "by hand" },
    { "made-up", "取り返し", "made up" },
    { "director", "院長", "director" },
    { "manager", "事務長", "manager" },
    { "staff", "職員", "staff" },
    { "vendor", "業者", "vendor" },
    { "hour", "毎時", "hourly" },
    { "day", "毎日", "daily" },
    { "week", "毎週", "weekly" },
    { "off", "なし", "off" },
    { "file", "ファイル", "file" },
    { "dir", "フォルダー", "folder" },
    { "police", "警察", "police" },
    { "mhlw", "厚生労働省", "ministry" },
    { "jma", "医師会", "medical association" },
    { "ipa", "IPA", "IPA" },
    { "hokenjo", "保健所", "health office" },
    { "deputy", "代理", "deputy" },
    { "responsible", "責任者", "responsible" },
    { "directory", "フォルダー", "folder" },
    { "symlink", "リンク", "link" },
    { "up", "動作中", "up" },
    { "down", "停止", "down" },
    { "sample", "見本", "sample" },
    { "all", "全部", "everything" },
    { "added", "できた", "added" },
    { "removed", "なくなった", "removed" },
    { "changed", "変わった", "changed" },
    { "box", "箱", "box" },
    { "s3", "S3 の預け先", "S3" },
    { "sheet", "金庫の紙", "recovery sheet" },
    { "card", "戻すカード", "restore card" },
    { "proved", "開けた", "proved" },
    { "files", "ファイル", "files" },
    { "sqlite", "SQLite", "SQLite" },
    { "smb", "共有フォルダー", "share" },
    { "postgresql", "PostgreSQL", "PostgreSQL" },
    { "mariadb", "MariaDB", "MariaDB" },
    { "delete", "早めに消す", "delete" },
    { "policy", "残す数", "policy" },
    { "date", "日付", "date" },
    { "recipients", "新しい鍵", "new keys" },
    { "executed", "行った", "executed" },
    { "refused", "断った", "refused" },
};

const char *cli_word(const struct cli *c, const char *word)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].word, word))
            return c->ja ? words[i].ja : words[i].en;
    return word;
}

static void cell_value(const struct cli *c, const json_t *v, char *to, size_t size)
{
    if (json_is_string(v))
        (void)escaped(json_string_value(v), to, size);
    else if (json_is_integer(v))
        (void)snprintf(to, size, "%" PRId64, (int64_t)json_integer_value(v)); /* fits */
    else if (json_is_real(v))
        (void)snprintf(to, size, "%.2f", json_real_value(v)); /* fits */
    else if (json_is_boolean(v))
        (void)snprintf(to, size, "%s", json_is_true(v) ? T(c, "はい", "yes") : T(c, "いいえ", "no")); /* fits */
    else
        (void)snprintf(to, size, "-"); /* fits */
}

/* Arrays of texts are joined. */
static void cell_array(const struct cli *c, const json_t *v, char *to, size_t size)
{
    size_t i, o = 0;
    json_t *x;
    to[0] = 0;
    json_array_foreach((json_t *)v, i, x) {
        char one[512];
        cell_value(c, x, one, sizeof one);
        int n = snprintf(to + o, size - o, "%s%s", i ? ", " : "", one);
        if (n < 0 || (size_t)n >= size - o)
            return;
        o += (size_t)n;
    }
}

static void cell(const struct cli *c, const json_t *row, const struct cli_col *col, char *to, size_t size)
{
    const json_t *v = cli_at(row, col->key);
    struct sm_time t;
    if (json_is_array(v)) {
        cell_array(c, v, to, size);
    } else if (col->kind == CLI_TIME && json_is_string(v) && sm_time_parse(json_string_value(v), &t) == 0) {
        char text[SM_TIME_TEXT];
        sm_time_jst(t, text);
        (void)snprintf(to, size, "%s", text); /* fits */
    } else if (col->kind == CLI_BYTES && json_is_integer(v)) {
        char text[32];
        cli_bytes((uint64_t)json_integer_value(v), text);
        (void)snprintf(to, size, "%s", text); /* fits */
    } else if (col->kind == CLI_WORD && json_is_string(v)) {
        (void)escaped(cli_word(c, json_string_value(v)), to, size);
    } else if (col->kind == CLI_YES && json_is_boolean(v)) {
        (void)snprintf(to, size, "%s", json_is_true(v) ? "*" : ""); /* fits */
    } else {
        cell_value(c, v, to, size);
        if (col->kind == CLI_SHORT && strlen(to) > 12)
            to[12] = 0;
    }
    for (char *p = to; *p; p++)
        if (*p == '\n')
            *p = ' ';
}

void cli_table(const struct cli *c, const json_t *items, const struct cli_col *cols, size_t n)
{
    size_t w[24] = { 0 }, i;
    char text[CELL_MAX];
    json_t *row;
    n = n < 24 ? n : 24;
    for (size_t k = 0; k < n; k++)
        w[k] = text_width(T(c, cols[k].ja, cols[k].en));
    json_array_foreach((json_t *)items, i, row)
        for (size_t k = 0; k < n; k++) {
            cell(c, row, &cols[k], text, sizeof text);
            size_t tw = text_width(text);
            w[k] = tw > w[k] ? tw : w[k];
        }
    for (size_t k = 0; k < n; k++)
        printf("%s%*s", T(c, cols[k].ja, cols[k].en),
            k + 1 < n ? (int)(w[k] - text_width(T(c, cols[k].ja, cols[k].en)) + 2) : 0, "");
    putchar('\n');
    json_array_foreach((json_t *)items, i, row) {
        for (size_t k = 0; k < n; k++) {
            cell(c, row, &cols[k], text, sizeof text);
            printf("%s%*s", text, k + 1 < n ? (int)(w[k] - text_width(text) + 2) : 0, "");
        }
        putchar('\n');
    }
}

void cli_record(const struct cli *c, const json_t *object, const struct cli_col *cols, size_t n)
{
    size_t w = 0;
    char text[CELL_MAX];
    for (size_t k = 0; k < n; k++) {
        size_t tw = text_width(T(c, cols[k].ja, cols[k].en));
        w = tw > w ? tw : w;
    }
    for (size_t k = 0; k < n; k++) {
        const char *head = T(c, cols[k].ja, cols[k].en);
        cell(c, object, &cols[k], text, sizeof text);
        printf("%s%*s  %s\n", head, (int)(w - text_width(head)), "", text);
    }
}

void cli_json(const json_t *v)
{
    size_t how = JSON_SORT_KEYS | JSON_ENCODE_ANY | (isatty(1) ? JSON_INDENT(2) : JSON_COMPACT);
    if (json_dumpf(v, stdout, how) == 0)
        putchar('\n');
}

static bool progress_open;

void cli_progress(const struct cli *c, const char *label, uint64_t done, uint64_t total, const char *now)
{
    if (!c->tty_err || c->json)
        return;
    struct winsize ws = { .ws_col = 80 };
    if (ioctl(2, TIOCGWINSZ, &ws) < 0 || ws.ws_col < 20)
        ws.ws_col = 80;
    char bar[24], text[256], safe[512];
    total = total && total < done ? done : total; /* an expectation, of the last time for instance, was passed */
    unsigned filled = total ? (unsigned)(done * 20 / total) : 0;
    filled = filled > 20 ? 20 : filled;
    for (unsigned i = 0; i < 20; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[20] = 0;
    char d[32], t[32];
    cli_bytes(done, d);
    cli_bytes(total, t);
    (void)snprintf(text, sizeof text, "%s [%s] %s / %s %s", label, bar, d, total ? t : "?", now ? now : ""); /* cut */
    (void)escaped(text, safe, sizeof safe);
    size_t w = 0, o = 0;
    while (safe[o] && w + 2 < ws.ws_col) {
        uint32_t cp = 0;
        size_t n = utf8_one(safe + o, &cp);
        w += n ? width_of(cp) : 1;
        o += n ? n : 1;
    }
    safe[o] = 0;
    fprintf(stderr, "\r%s\033[K", safe);
    fflush(stderr);
    progress_open = true;
}

void cli_progress_end(const struct cli *c)
{
    if (progress_open && c->tty_err)
        fputs("\r\033[K", stderr);
    progress_open = false;
}

void cli_problem(const struct cli *c, const char *path, int err, const char *what)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    int r = sm_problem_text(err ? sm_strerror(err) : "", what, c->ja, &b);
    cli_note(c, "%s: %s", path, r ? sm_errtext(err, c->ja) : sm_buf_str(&b));
    sm_buf_wipe(&b);
}

const char *cli_why(const struct cli *c, int err, const char *why)
{
    static char text[1024];
    if (!why || !*why || !c->ja)
        return why && *why ? why : sm_errtext(err, c->ja);
    const char *known = sm_word(SM_WORDS_PART, why, true);
    if (known)
        return known;
    (void)snprintf(text, sizeof text, "%s(%.600s)", sm_errtext(err, true), why); /* cut is fine */
    return text;
}
