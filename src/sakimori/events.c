/* events: log files of any kind as JSON lines, without the box. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "journal/journal.h"
#include "normalise/evtx.h"
#include "normalise/normalise.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori/commands.h"

enum {
    PLACES_MAX = 20,                            /* lines of what could not be read, for each file */
    ROOM = 2 * EVENT_RAW_MAX,                   /* bytes of a file in memory */
    PROGRESS_EVERY = 4096,                      /* records */
    MAPPING_MAX = 64 << 10,
    COMMIT_EVERY = 1000,                        /* events, of journal import */
};

struct events {
    struct cli *c;
    struct event_names *names;
    struct event e;
    struct evtx *evtx;
    struct normalise *normalise;
    struct normalise_map *map;
    struct normalise_hint hint;
    struct event_time now;          /* stands in for times that are missing, and says the year where none is */
    struct sm_buf line;
    struct evidence *journal;       /* journal import: where events go instead of standard output */
    uint64_t kept;
    uint8_t *room;
    bool xml;
    uint32_t flags;
    const char *file;
    uint64_t size, records, damaged, refused;   /* of the file */
    unsigned places;
    int worst;
};

static int out_of_memory(struct cli *c)
{
    cli_note(c, T(c, "メモリーが足りません", "out of memory"));
    return CLI_FAILED;
}

static void worse(struct events *s, int e)
{
    if (s->worst == CLI_OK || (s->worst == CLI_PARTIAL && e != CLI_OK))
        s->worst = e;
}

/* ---- what comes out ---- */

static int put(struct events *s)
{
    int r = sm_buf_put(&s->line, "\n", 1);

    if (r == 0 && fwrite(s->line.p, 1, s->line.n, stdout) != s->line.n)
        r = -EPIPE; /* nobody reads on */
    s->line.n = 0;
    return r;
}

static int keep_event(struct events *s)
{
    s->e.seen = s->now; /* of a file nobody knows when it came: the record says when it was taken in */
    int r = evidence_append(s->journal, s->names, &s->e, NULL, NULL);

    if (r == 0 && ++s->kept % COMMIT_EVERY == 0)
        r = evidence_commit(s->journal);
    return r;
}

static int put_event(struct events *s)
{
    if (s->journal)
        return keep_event(s);
    s->e.seen = (struct event_time){ 0 }; /* of a file nobody knows when it came */
    int r = event_json(&s->e, s->names, &s->line);

    return r < 0 ? r : put(s);
}

/* Said for the first ones; the counts say how many there were. */
static void place(struct events *s, uint64_t at, const char *ja, const char *en, const struct evtx_place *p)
{
    struct cli *c = s->c;

    if (s->places++ >= PLACES_MAX)
        return;
    cli_progress_end(c);
    if (p)
        cli_note(c, T(c, "%s: %llu バイト目（番号 %llu）: %s", "%s: at byte %llu (number %llu): %s"), s->file,
        (unsigned long long)at,
            (unsigned long long)p->number, T(c, ja, en));
    else
        cli_note(c, T(c, "%s: %llu バイト目: %s", "%s: at byte %llu: %s"), s->file, (unsigned long long)at, T(c, ja, en));
}

static void progress(struct events *s, uint64_t done)
{
    if (s->records % PROGRESS_EVERY == 0)
        cli_progress(s->c, T(s->c, "読んでいます", "reading"), done, s->size, s->file);
}

static void counts(struct events *s)
{
    struct cli *c = s->c;

    cli_progress_end(c);
    if (s->places > PLACES_MAX)
        cli_note(c, T(c, "%s: ほかに %u か所", "%s: and %u more places"), s->file, s->places - PLACES_MAX);
    cli_note(c, T(c, "%s: %llu 件（傷んでいた %llu 件、読めなかった %llu 件）", "%s: %llu records (%llu damaged, %llu not "
        "understood)"), s->file,
        (unsigned long long)s->records, (unsigned long long)s->damaged, (unsigned long long)s->refused);
    if (s->damaged || s->refused)
        worse(s, CLI_PARTIAL);
}

/* ---- event logs of Windows ---- */

static int64_t read_at(void *ctx, uint64_t at, void *to, size_t n)
{
    ssize_t k;

    do
        k = pread(*(int *)ctx, to, n, (off_t)at);
    while (k < 0 && errno == EINTR);
    return k < 0 ? -errno : k;
}

static int read_evtx(struct events *s, int fd)
{
    struct evtx_reader reader = { read_at, &fd, s->size };
    int r = evtx_open_reader(s->evtx, &reader, s->flags);

    while (r >= 0 && (r = evtx_next(s->evtx, &s->e)) > 0) {
        const struct evtx_place *p = evtx_place(s->evtx);
        if (s->e.notes & EVENT_DAMAGED)
            place(s, p->record, "傷んでいます", "damaged", p);
        progress(s, p->record);
        s->records++;
        r = s->xml ? evtx_xml(s->evtx, &s->line) : put_event(s);
        if (r == 0 && s->xml)
            r = put(s);
    }
    const struct evtx_counts *n = evtx_counts(s->evtx);
    s->damaged = n->damaged;
    s->refused = n->lost;
    if (r >= 0 && n->bad_head)
        place(s, 0, "ファイルの頭が傷んでいます", "the head of the file is damaged", NULL);
    if (r >= 0 && n->bad_chunks)
        cli_note(s->c, T(s->c, "%s: %llu 個のかたまりのうち %llu 個が、検査の値と合いません",
        "%s: of %llu chunks %llu do not match their checksums"),
            s->file, (unsigned long long)n->chunks, (unsigned long long)n->bad_chunks);
    return r;
}

/* ---- everything else ---- */

static int one(struct events *s, struct sm_span raw, uint64_t at)
{
    int r = normalise_record(s->normalise, &s->hint, raw, s->now, &s->e);

    if (r == 0) {
        progress(s, at);
        s->records++;
        if (s->e.notes & EVENT_DAMAGED) {
            s->damaged++;
            place(s, at, "途中で切れています", "it breaks off", NULL);
        }
        if (s->e.notes & EVENT_UNPARSED) {
            s->refused++;
            place(s, at, "どの形式でもありません（本文として出しました）", "of no known format (given as Message)", NULL);
        }
        r = put_event(s);
    }
    while (r >= 0 && s->hint.state && (r = normalise_more(s->normalise, &s->hint, &s->e)) > 0) {
        s->records++;
        r = put_event(s);
    }
    return r < 0 ? r : 0;
}

/* What closes a batch of XML is no record. */
static bool is_frame(const struct events *s, struct sm_span record)
{
    const char *f = s->hint.format ? s->hint.format : s->hint.frame;

    return f && !strcmp(f, "windows-xml") && record.n >= 2 && record.p[0] == '<' && record.p[1] == '/';
}

/* The first bytes say how the file is cut into records, unless that was told. */
static void find_frame(struct events *s, struct sm_span first)
{
    if (!s->hint.encoding && first.n >= 2 && first.p[0] == 0xff && first.p[1] == 0xfe)
        s->hint.encoding = "utf-16le";
    else if (!s->hint.encoding && first.n >= 2 && first.p[0] == 0xfe && first.p[1] == 0xff)
        s->hint.encoding = "utf-16be";
    if (!s->hint.format)
        s->hint.frame = normalise_guess(s->normalise, first);
}

static int read_records(struct events *s, int fd)
{
    size_t n = 0, at = 0;
    uint64_t before = 0;
    bool end = false, first = true;
    const char *encoding = s->hint.encoding;
    int r = 0;

    s->hint.frame = NULL;
    while (r == 0) {
        if (!end && n - at < EVENT_RAW_MAX + 1) {
            memmove(s->room, s->room + at, n - at);
            before += at;
            n -= at;
            at = 0;
            ssize_t k = plat_fs_read(fd, s->room + n, ROOM - n);
            if (k < 0)
                return (int)k;
            end = k == 0;
            n += (size_t)k;
            if (first)
                find_frame(s, SM_SPAN(s->room, n));
            first = false;
            continue;
        }
        struct sm_span record = SM_SPAN(s->room + at, 0);
        size_t k = normalise_next(&s->hint, SM_SPAN(s->room + at, n - at), end, &record);
        if (!k)
            break; /* never with a whole record in memory: the end */
        if (record.n && !is_frame(s, record))
            r = one(s, record, before + (uint64_t)(record.p - s->room));
        at += k;
    }
    s->hint.encoding = encoding;
    return r;
}

/* ---- files ---- */

static bool begins_as_evtx(int fd)
{
    uint8_t *first = malloc(EVTX_FIRST_BYTES);
    ssize_t n = first ? pread(fd, first, EVTX_FIRST_BYTES, 0) : -1; /* of a pipe nothing: it is no EVTX then */
    bool is = n > 0 && evtx_is(SM_SPAN(first, (size_t)n));

    free(first);
    return is;
}

static int one_file(struct events *s, const char *file)
{
    bool in = !strcmp(file, "-");
    int fd = in ? dup(0) : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
        cli_note(s->c, T(s->c, "%s を読めません: %s", "cannot read %s: %s"), file,
            fd >= 0 ? T(s->c, "フォルダーです", "it is a folder") : sm_errtext(-errno, s->c->ja));
        if (fd >= 0)
            close(fd);
        worse(s, CLI_NOT_FOUND);
        return 0;
    }
    s->file = in ? T(s->c, "標準入力", "standard input") : file;
    s->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    /* A line without its year was written before the file was last. */
    struct sm_time now = plat_clock_wall();
    s->now = S_ISREG(st.st_mode) ? (struct event_time){ st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec }
                                 : (struct event_time){ now.s, now.ns };
    s->records = s->damaged = s->refused = s->places = 0;
    normalise_state_free(s->hint.state);
    s->hint.state = normalise_state_new();
    bool asked = s->hint.format && !strcmp(s->hint.format, "evtx");
    bool evtx = asked || s->xml || (!s->hint.format && begins_as_evtx(fd));
    int r = !s->hint.state ? -ENOMEM : !evtx ? read_records(s, fd) : S_ISREG(st.st_mode) ? read_evtx(s, fd) :
        -SM_EFORMAT;
    close(fd);
    if (r >= 0 || r == -SM_EFORMAT)
        counts(s);
    if (r == -SM_EFORMAT)
        cli_note(s->c, T(s->c, "%s は Windows のイベントログではありません", "%s is no event log of Windows"), file);
    else if (r < 0 && r != -EPIPE)
        cli_note(s->c, "%s: %s", file, sm_errtext(r, s->c->ja));
    if (r < 0)
        worse(s, CLI_FAILED);
    return r == -EPIPE || r == -ENOMEM ? r : 0;
}

/* The options into the hint; CLI_USAGE when one is unknown (said). */
static int options(struct events *s)
{
    struct cli *c = s->c;
    const char *format = cli_opt(c, "format"), *encoding = cli_opt(c, "encoding"), *zone = cli_opt(c, "zone");

    s->hint = NORMALISE_HINT;
    s->hint.format = format;
    s->hint.encoding = encoding;
    s->xml = cli_flag(c, "xml");
    s->flags = cli_flag(c, "slack") ? EVTX_SLACK : 0;
    if (format && strcmp(format, "evtx") && !normalise_knows_format(format)) {
        cli_note(c, T(c, "--format: %s という形式はありません。あるもの:", "--format: there is no %s.  There are:"), format);
        cli_note(c, "  evtx: %s", T(c, "Windows のイベントログ（ファイル）", "event logs of Windows (files)"));
        for (size_t i = 0; normalise_row(i); i++)
            cli_note(c, "  %s: %s", normalise_row(i)->name, T(c, normalise_row(i)->ja, normalise_row(i)->en));
        return CLI_USAGE;
    }
    if (encoding && !normalise_knows_encoding(encoding)) {
        cli_note(c, T(c, "--encoding: utf-8、cp932、euc-jp、iso-2022-jp、utf-16le、utf-16be、latin-1 のどれかです",
            "--encoding: utf-8, cp932, euc-jp, iso-2022-jp, utf-16le, utf-16be or latin-1"));
        return CLI_USAGE;
    }
    if (zone && normalise_zone(SM_SPAN_STR(zone), &s->hint.zone_s) < 0) {
        cli_note(c, T(c, "--zone: +09:00 の形で", "--zone: as +09:00"));
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int mapping(struct events *s)
{
    const char *path = cli_opt(s->c, "mapping");
    struct sm_buf text = { 0 };
    char why[160] = "";
    int r = path ? plat_fs_read_file(AT_FDCWD, path, MAPPING_MAX, &text) : 0;

    if (path && r >= 0)
        r = normalise_map_parse(s->names, sm_buf_span(&text), &s->map, why);
    sm_buf_wipe(&text);
    s->hint.map = s->map;
    if (r < 0)
        cli_problem(s->c, path, r, why);
    return r < 0 ? CLI_USAGE : CLI_OK;
}

/* The files from the first-th argument on. */
static int all_files(struct cli *c, size_t first, struct evidence *journal)
{
    struct events s = { .c = c, .line = SM_BUF_INIT(64 << 20), .names = event_names_new(), .journal = journal };
    int e = s.names ? options(&s) : out_of_memory(c);

    if (e == CLI_OK)
        e = mapping(&s);
    if (e != CLI_OK) {
        event_names_free(s.names);
        return e;
    }
    s.room = malloc(ROOM);
    int r = s.room ? event_init(&s.e) : -ENOMEM;
    if (r == 0)
        r = evtx_new(s.names, &s.evtx);
    if (r == 0)
        r = normalise_new(s.names, &s.normalise);
    for (size_t i = first; r == 0 && cli_arg(c, i); i++)
        r = one_file(&s, cli_arg(c, i));
    normalise_free(s.normalise);
    normalise_state_free(s.hint.state);
    normalise_map_free(s.map);
    evtx_free(s.evtx);
    if (s.e.arena)
        event_wipe(&s.e);
    event_names_free(s.names);
    sm_buf_wipe(&s.line);
    free(s.room);
    if (r < 0 && r != -ENOMEM && journal) {
        cli_note(c, "%s: %s", cli_arg(c, 0), sm_strerror(r));
        return CLI_FAILED;
    }
    return r == -ENOMEM ? out_of_memory(c) : s.worst;
}

int cmd_events(struct cli *c)
{
    return all_files(c, 0, NULL);
}

int cmd_evidence_import(struct cli *c)
{
    struct evidence *j = NULL;
    struct evidence_status before, after;
    const char *dir = cli_arg(c, 0);
    int r = plat_fs_mkdir_p(dir, 0700);

    if (r >= 0)
        r = evidence_open(dir, NULL, &j, NULL);
    if (r < 0) {
        cli_note(c, "%s: %s", dir, sm_strerror(r));
        return CLI_FAILED;
    }
    evidence_status(j, &before);
    int e = all_files(c, 1, j);
    r = evidence_flush(j);
    evidence_status(j, &after);
    evidence_free(j);
    if (r < 0) {
        cli_note(c, "%s: %s", dir, sm_strerror(r));
        return CLI_FAILED;
    }
    printf(c->json ? "{\"events\":%llu}\n" : T(c, "%llu 件を記録しました\n", "%llu events kept\n"),
        (unsigned long long)(after.next_id - before.next_id));
    return e;
}
