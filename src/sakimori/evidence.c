/* journal verify, journal search, journal pack: the evidence record in a folder, without its box. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "journal/export.h"
#include "journal/search.h"
#include "journal/verify.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori/commands.h"

enum { JST = 9 * 3600, PAGE = 1000, HEADS_MAX = 64, SHOW_FIELDS_MAX = 64 };

static int failed(const struct cli *c, const char *what, int r)
{
    cli_note(c, "%s: %s", what, cli_why(c, r, ""));
    return r == -ENOENT || r == -SM_ENOTFOUND ? CLI_NOT_FOUND : CLI_FAILED;
}

/* ---- verify ---- */

struct checking { struct cli *c; json_t *found; };

static void progress(void *arg, uint64_t done, uint64_t all)
{
    const struct checking *k = arg;

    cli_progress(k->c, T(k->c, "検査", "verifying"), done, all, "");
}

static int one_finding(void *arg, const struct evverify_finding *f)
{
    struct checking *k = arg;
    bool fault = f->kind < EVVERIFY_FAULTS;

    if (json_array_size(k->found) < 1000)
        json_array_append_new(k->found, json_pack("{s:s,s:b,s:I,s:I,s:s,s:I,s:s}", "what", evverify_word(f->kind),
            "fault", fault,
            "block", (json_int_t)f->block, "until", (json_int_t)f->until, "file", f->file, "offset",
            (json_int_t)f->offset,
            "column", f->column));
    if (k->c->json)
        return 0;
    char where[160] = "";
    size_t n = 0;
    if (f->block && f->until > f->block)
        n = (size_t)snprintf(where, sizeof where, T(k->c, "記録の束 %llu から %llu のどれか: ", "one of blocks %llu to %llu: "),
            (unsigned long long)f->block, (unsigned long long)f->until);
    else if (f->block)
        n = (size_t)snprintf(where, sizeof where, T(k->c, "記録の束 %llu: ", "block %llu: "), (unsigned long long)f->block);
    if (f->file[0])
        snprintf(where + n, sizeof where - n, T(k->c, "%s の %llu バイト目: ", "%s at byte %llu: "), f->file,
            (unsigned long long)f->offset);
    cli_note(k->c, "%s%s%s%s%s", fault ? "" : T(k->c, "参考: ", "note: "), where, evverify_text(f->kind, k->c->ja),
        f->column[0] ? T(k->c, "、項目 ", ", column ") : "", f->column);
    return 0;
}

/* A key: a file that begins with 64 hexadecimal digits, or the digits themselves. */
static int key_of(const struct cli *c, const char *text, uint8_t ret[32])
{
    struct sm_buf b = SM_BUF_INIT(4096);
    int r = strlen(text) == 64 ? sm_unhex(text, 64, ret, 32) : -SM_EFORMAT;

    if (r < 0) {
        r = plat_fs_read_file(AT_FDCWD, text, 4096, &b);
        if (r >= 0)
            r = b.n >= 64 ? sm_unhex((const char *)b.p, 64, ret, 32) : -SM_EFORMAT;
    }
    sm_buf_wipe(&b);
    if (r < 0)
        cli_note(c, T(c, "%s: 記録の鍵ではありません(16進64文字)", "%s: not a key of the record (64 hexadecimal digits)"), text);
    return r < 0 ? CLI_USAGE : CLI_OK;
}

static int not_a_record(const struct checking *k, const char *dir)
{
    if (k->c->json) {
        json_t *o = json_pack("{s:b,s:b,s:O}", "sound", 0, "record", 0, "found", k->found);
        cli_json(o);
        json_decref(o);
    }
    cli_note(k->c, T(k->c, "%s: ログの記録ではありません(seg-….sjs、seals のあるフォルダを)",
        "%s: no record of logs (the folder that has seg-….sjs and seals is)"), dir);
    return CLI_NOT_FOUND;
}

/* What the checks above cannot vouch for. */
static void say_open(const struct cli *c, const struct evverify_summary *s)
{
    uint64_t n = s->unsealed_events + s->open_events;

    if (!s->blocks && !s->removed_blocks)
        printf("%s\n", T(c, "束になった記録がまだありません。確かめられるものは、まだありません",
            "no block is closed yet: nothing could be verified yet"));
    else if (!s->sealed_block)
        printf("%s\n", T(c, "まだ封印がありません。つながりだけを確かめました(書いた人が作りなおせます)",
            "nothing is sealed yet: only the chain was checked, which whoever wrote it can make anew"));
    if (n)
        printf(T(c, "まだ封印されていない記録 %llu 件(うち束になる前 %llu 件): 確かめていません\n",
            "%llu events not yet sealed (%llu of them not yet in a block): not verified\n"), (unsigned long long)n,
            (unsigned long long)s->open_events);
}

static int report(const struct checking *k, const struct evverify_summary *s)
{
    char head[96] = "", first[SM_TIME_TEXT] = "-", last[SM_TIME_TEXT] = "-";
    struct cli *c = k->c;

    if (s->head.block)
        evverify_head_text(&s->head, head);
    if (c->json) {
        json_t *o = json_pack("{s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:O}", "sound", s->faults == 0,
            "record", 1, "not_sealed", (json_int_t)(s->unsealed_events + s->open_events), "not_in_a_block",
            (json_int_t)s->open_events, "faults",
            (json_int_t)s->faults,
            "blocks", (json_int_t)s->blocks, "events", (json_int_t)s->events, "bytes", (json_int_t)s->bytes, "removed",
            (json_int_t)s->removed_blocks, "sealed_block", (json_int_t)s->sealed_block, "epoch", (json_int_t)s->epoch, "boxes",
            (json_int_t)s->boxes, "head", head,
            "found", k->found);
        cli_json(o);
        json_decref(o);
        return s->faults ? CLI_FAILED : CLI_OK;
    }
    if (s->any) {
        sm_time_jst((struct sm_time){ s->first.s, 0 }, first);
        sm_time_jst((struct sm_time){ s->last.s, 0 }, last);
    }
    printf(T(c, "記録 %llu 件(束 %llu、区画 %llu)、%s から %s、封印は束 %llu まで(鍵の代 %llu)\n",
        "%llu events in %llu blocks, %llu segments; %s to %s; sealed up to block %llu, epoch %llu\n"),
        (unsigned long long)s->events,
        (unsigned long long)s->blocks, (unsigned long long)s->segments, first, last,
        (unsigned long long)s->sealed_block,
        (unsigned long long)s->epoch);
    if (head[0])
        printf(T(c, "しるし(別の場所に控える): %s\n", "head, to be kept elsewhere: %s\n"), head);
    if (s->boxes > 1)
        printf(T(c, "%u 台の箱が引き継いできた記録です\n", "a record that %u boxes wrote, one after the other\n"), s->boxes);
    say_open(c, s);
    if (s->faults)
        printf(T(c, "異常 %llu 件\n", "%llu faults\n"), (unsigned long long)s->faults);
    else if (s->blocks || s->removed_blocks)
        printf("%s\n", T(c, "書き換えられたところは見つかりませんでした", "nothing altered was found"));
    return s->faults ? CLI_FAILED : CLI_OK;
}

/* --key and --head as journal verify has them. */
int evidence_verify_dir(struct cli *c, const char *dir)
{
    struct evverify_head heads[HEADS_MAX];
    uint8_t key[32];
    struct checking k = { .c = c, .found = json_array() };
    struct evverify v = { .heads = heads, .part = cli_flag(c, "part"), .progress = progress, .arg = &k };
    struct evverify_summary s;
    const char *text = cli_opt(c, "key");
    int e = text ? key_of(c, text, key) : CLI_OK;

    v.key = text && e == CLI_OK ? key : NULL;
    for (; e == CLI_OK && v.heads_n < HEADS_MAX && (text = cli_opt_nth(c, "head", v.heads_n)); v.heads_n++)
        if (evverify_head_parse(text, &heads[v.heads_n]) < 0) {
            cli_note(c, T(c, "%s: しるしの形ではありません(番号:16進64文字)", "%s: not a head (NUMBER:64 hexadecimal digits)"), text);
            e = CLI_USAGE;
            break;
        }
    if (e == CLI_OK) {
        int r = evidence_verify(dir, &v, one_finding, &k, &s);
        cli_progress_end(c);
        e = r < 0 ? failed(c, dir, r) : s.record ? report(&k, &s) : not_a_record(&k, dir);
    }
    json_decref(k.found);
    return e;
}

int cmd_evidence_verify(struct cli *c)
{
    return evidence_verify_dir(c, cli_arg(c, 0));
}

/* ---- search ---- */

struct showing {
    struct cli *c;
    const struct event_names *names;
    struct evexport_csv *csv;
    struct sm_buf out;
    uint64_t n, left;
};

static int flush_out(struct showing *s)
{
    int r = fwrite(s->out.p, 1, s->out.n, stdout) == s->out.n ? 0 : -EIO;

    sm_buf_clear(&s->out);
    return r;
}

static int one_line(struct showing *s, const struct evsearch_hit *h)
{
    char at[SM_TIME_TEXT];
    struct sm_buf raw = SM_BUF_INIT(EVENT_RAW_MAX + 1);

    sm_time_jst((struct sm_time){ h->event->time.s, 0 }, at);
    printf("%s:%02d  %llu  ", at, (int)(((h->event->time.s % 60) + 60) % 60), (unsigned long long)h->id);
    int r = sm_buf_put_span(&raw, h->event->raw);
    for (size_t i = 0; r >= 0 && i < raw.n; i++)
        raw.p[i] = raw.p[i] ? raw.p[i] : ' ';
    const char *text = r < 0 ? NULL : sm_buf_str(&raw);
    cli_text(stdout, text ? text : "");
    putchar('\n');
    sm_buf_wipe(&raw);
    return r;
}

static int one_hit(void *arg, const struct evsearch_hit *h)
{
    struct showing *s = arg;
    int r;

    s->n++;
    if (s->csv) {
        r = evexport_csv_row(s->csv, s->names, h, &s->out);
    } else if (s->c->json) {
        r = evexport_json(s->names, h, &s->out);
        if (r >= 0)
            r = sm_buf_put_u8(&s->out, '\n');
    } else {
        return one_line(s, h);
    }
    return r < 0 ? r : flush_out(s);
}

static int csv_of(struct cli *c, struct showing *s)
{
    const char *field[SHOW_FIELDS_MAX + 1] = { NULL }, *name = cli_opt(c, "encoding");
    enum evexport_encoding e = EVEXPORT_UTF8_BOM;

    if (name && !strcmp(name, "utf-8"))
        e = EVEXPORT_UTF8;
    else if (name && !strcmp(name, "cp932"))
        e = EVEXPORT_CP932;
    else if (name && strcmp(name, "utf-8-bom") != 0) {
        cli_note(c, T(c, "文字コードは utf-8、utf-8-bom、cp932 のどれかです", "the encoding is utf-8, utf-8-bom or cp932"));
        return CLI_USAGE;
    }
    for (size_t i = 0; i < SHOW_FIELDS_MAX && (field[i] = cli_opt_nth(c, "field", i)); i++) { }
    int r = evexport_csv_new(field, e, JST, c->ja, &s->csv);
    if (r >= 0)
        r = evexport_csv_head(s->csv, &s->out);
    if (r >= 0)
        r = flush_out(s);
    return r < 0 ? failed(c, "csv", r) : CLI_OK;
}

static int pages(struct cli *c, struct evreader *r, struct evsearch *q)
{
    int64_t limit = cli_number(c, "limit", 1, 1000000000);
    struct showing s = { .c = c, .names = evreader_names(r), .out.max = 16 << 20 };

    if (limit == -2)
        return CLI_USAGE;
    s.left = limit < 0 ? 100 : (uint64_t)limit;
    int e = cli_flag(c, "csv") ? csv_of(c, &s) : CLI_OK, n = 1;
    while (e == CLI_OK && s.left && n > 0) {
        struct evsearch_stats stats = { 0 };
        q->limit = s.left < PAGE ? (uint32_t)s.left : PAGE;
        n = evsearch_run(r, q, one_hit, &s, &q->after, &stats);
        s.left -= n > 0 ? (uint64_t)n : 0;
        if (n < 0)
            e = failed(c, T(c, "検索", "search"), n);
        else if (stats.blocks_damaged)
            cli_note(c, T(c, "壊れて読めない部分が %llu あります(journal verify で場所が分かります)",
                "%llu damaged parts could not be read (journal verify names them)"),
                (unsigned long long)stats.blocks_damaged);
        if ((uint32_t)n < q->limit)
            break;
    }
    if (s.csv && evexport_csv_replaced(s.csv))
        cli_note(c, T(c, "この文字コードにない %llu 文字を「?」にしました", "%llu characters that the encoding lacks became ?"),
            (unsigned long long)evexport_csv_replaced(s.csv));
    evexport_csv_free(s.csv);
    sm_buf_wipe(&s.out);
    return e;
}

static int one_value(void *arg, struct sm_span value, uint64_t count)
{
    struct showing *s = arg;
    struct sm_buf b = SM_BUF_INIT(EVENT_VALUE_MAX + 1);
    int r = sm_buf_put_span(&b, value);
    const char *text = r < 0 ? NULL : sm_buf_str(&b);

    if (s->c->json) {
        json_t *o = json_pack("{s:s%,s:I}", "value", value.p, value.n, "count", (json_int_t)count);
        cli_json(o);
        json_decref(o);
    } else {
        printf("%10llu  ", (unsigned long long)count);
        cli_text(stdout, text ? text : "");
        putchar('\n');
    }
    sm_buf_wipe(&b);
    return r < 0 ? r : 0;
}

static int histogram(struct cli *c, struct evreader *r, struct evsearch *q, uint32_t width)
{
    uint64_t counts[EVSEARCH_BUCKETS_MAX];
    struct event_time first = { 0 }, last = { 0 };

    if (!evreader_range(r, &first, &last))
        return CLI_OK;
    q->from.s = q->from.s > first.s ? q->from.s : first.s - ((first.s + JST) % width + width) % width;
    int64_t end = q->to.s && q->to.s < last.s ? q->to.s : last.s + 1;
    uint64_t n = end <= q->from.s ? 1 : (uint64_t)(end - q->from.s + width - 1) / width;
    if (n > EVSEARCH_BUCKETS_MAX) {
        cli_note(c, T(c, "刻みが細かすぎます(%d 個まで)", "too many steps (%d at most)"), EVSEARCH_BUCKETS_MAX);
        return CLI_USAGE;
    }
    int e = evsearch_histogram(r, q, width, n, counts, NULL);
    for (uint64_t i = 0; e >= 0 && i < n; i++) {
        char at[SM_TIME_TEXT];
        sm_time_jst((struct sm_time){ q->from.s + (int64_t)(i * width), 0 }, at);
        printf(c->json ? "{\"from\":\"%s\",\"count\":%llu}\n" : "%s  %llu\n", at, (unsigned long long)counts[i]);
    }
    return e < 0 ? failed(c, T(c, "検索", "search"), e) : CLI_OK;
}

static int answer(struct cli *c, struct evreader *r, struct evsearch *q)
{
    struct showing s = { .c = c };
    uint64_t n = 0;
    int64_t width = cli_number(c, "histogram", 1, 86400 * 366);
    int e;

    if (width == -2)
        return CLI_USAGE;
    if (width > 0)
        return histogram(c, r, q, (uint32_t)width);
    if (cli_opt(c, "top")) {
        int64_t limit = cli_number(c, "limit", 1, EVSEARCH_LIMIT_MAX);
        if (limit == -2)
            return CLI_USAGE;
        q->limit = limit < 0 ? 20 : (uint32_t)limit;
        e = evsearch_top(r, q, cli_opt(c, "top"), one_value, &s, &n, NULL);
        if (e >= 0 && n)
            cli_note(c, T(c, "そのほか %llu", "%llu others"), (unsigned long long)n);
        return e < 0 ? failed(c, T(c, "検索", "search"), e) : CLI_OK;
    }
    if (!cli_flag(c, "count"))
        return pages(c, r, q);
    e = evsearch_count(r, q, &n, NULL);
    if (e >= 0)
        printf(c->json ? "{\"count\":%llu}\n" : "%llu\n", (unsigned long long)n);
    return e < 0 ? failed(c, T(c, "検索", "search"), e) : CLI_OK;
}

/* --from and --to; a day or minute named in --to is in it. */
static int time_opt(const struct cli *c, const char *name, bool until, int64_t *ret_s)
{
    const char *text = cli_opt(c, name);
    int64_t s, width;

    if (!text)
        return CLI_OK;
    if (!evquery_time(SM_SPAN_STR(text), JST, &s, &width)) {
        cli_note(c, T(c, "--%s: 日時の形ではありません(例 2026-11-24、2026-11-24T08:30)",
            "--%s: no time (2026-11-24, 2026-11-24T08:30)"), name);
        return CLI_USAGE;
    }
    *ret_s = until ? s + width : s;
    return CLI_OK;
}

int cmd_evidence_search(struct cli *c)
{
    struct evsearch q = { .from.s = INT64_MIN, .oldest_first = cli_flag(c, "oldest") };
    const char *text = cli_arg(c, 1) ? cli_arg(c, 1) : "";
    struct evquery *query = NULL;
    struct evquery_error why = { 0 };
    struct evreader *r = NULL;
    int e = time_opt(c, "from", false, &q.from.s);

    if (e == CLI_OK)
        e = time_opt(c, "to", true, &q.to.s);
    if (e != CLI_OK)
        return e;
    evsearch_tune_memory();
    int err = evquery_parse(SM_SPAN_STR(text), JST, &query, &why);
    if (err == -SM_EINVAL) {
        cli_note(c, T(c, "検索の文の %zu 文字目: %s", "query, character %zu: %s"), why.at_char + 1, c->ja ? why.ja : why.en);
        return CLI_USAGE;
    }
    q.query = query;
    if (err >= 0)
        err = evreader_open(cli_arg(c, 0), &r);
    e = err < 0 ? failed(c, cli_arg(c, 0), err) : answer(c, r, &q);
    evreader_free(r);
    evquery_free(query);
    return e;
}

/* ---- evidence pack ---- */

static int no_finding(void *arg, const struct evverify_finding *f)
{
    (void)arg;
    (void)f;
    return 0;
}

/* Which of three: no record, nothing of that time, or nothing in a block yet. */
static int nothing_to_pack(const struct cli *c, const char *dir)
{
    struct evverify_summary s;
    int r = evidence_verify(dir, &(struct evverify){ 0 }, no_finding, NULL, &s);

    if (r < 0)
        return failed(c, dir, r);
    if (!s.record || s.blocks || s.removed_blocks) {
        cli_note(c, s.record ? T(c, "%s: その期間の記録の束がありません", "%s: no block of that time") :
            T(c, "%s: ログの記録ではありません", "%s: no record of logs"), dir);
        return CLI_NOT_FOUND;
    }
    cli_note(c, T(c, "%s: 束になった記録がまだありません。束になるのは、65536 件たまったときか、最初の記録から 15 分のあと、または箱を止めるときです",
        "%s: no block is closed yet; one is after 65536 events, 15 minutes after its first, or when the box stops"), dir);
    return CLI_FAILED;
}

int cmd_evidence_pack(struct cli *c)
{
    struct evpack p = { .from_s = INT64_MIN, .to_s = INT64_MAX, .title = cli_opt(c, "title"),
        .now_s = plat_clock_wall().s };
    struct evpack_summary s;
    const char *file = cli_arg(c, 1);
    char hex[65];
    int e = time_opt(c, "from", false, &p.from_s);

    if (e == CLI_OK)
        e = time_opt(c, "to", true, &p.to_s);
    if (e != CLI_OK)
        return e;
    int fd = plat_fs_create(AT_FDCWD, file, PLAT_FS_EXCL, 0600);
    if (fd < 0)
        return failed(c, file, fd);
    int r = evpack_write(cli_arg(c, 0), &p, fd, &s);
    if (r >= 0)
        r = plat_fs_sync(fd);
    (void)close(fd); /* synced, or useless */
    if (r < 0) {
        (void)unlink(file);
        return r == -SM_ENOTFOUND ? nothing_to_pack(c, cli_arg(c, 0)) : failed(c, cli_arg(c, 0), r);
    }
    sm_hex(s.digest, 32, hex);
    if (c->json)
        printf("{\"segments\":%llu,\"events\":%llu,\"bytes\":%llu,\"digest\":\"%s\"}\n", (unsigned long long)s.segments,
            (unsigned long long)s.events, (unsigned long long)s.bytes, hex);
    else
        printf(T(c, "区画 %llu、出来事 %llu 件を納めました。SHA256SUMS のしるし(書き留めて署名するもの): %s\n",
            "%llu segments, %llu events. Digest of SHA256SUMS, to be written down and signed: %s\n"),
            (unsigned long long)s.segments,
            (unsigned long long)s.events, hex);
    return CLI_OK;
}
