/* `events`: any log file → events as JSON lines, without a box. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "normalise/evtx.h"
#include "normalise/normalise.h"
#include "plat/clock.h"
#include "sakimori/commands.h"

enum { READ_STEP = 256 << 10, HELD_MAX = EVENT_RAW_MAX + READ_STEP, MAPPING_MAX = 64 << 10 };

struct reading {
    struct cli *c;
    struct event_names *names;
    struct normalise *n;
    struct normalise_map *map;
    struct normalise_hint hint;
    struct event e;
    struct sm_buf out;
    struct event_time seen;
    bool xml;
    uint64_t events, unparsed, replaced, damaged;
};

static int told(struct reading *r)
{
    if (sm_buf_put_u8(&r->out, '\n') < 0 || (r->out.n > READ_STEP && fwrite(r->out.p, 1, r->out.n, stdout) != r->out.n))
        return -EIO;
    if (r->out.n > READ_STEP)
        sm_buf_clear(&r->out);
    return 0;
}

static int tell(struct reading *r)
{
    r->events++;
    r->unparsed += (r->e.notes & EVENT_UNPARSED) != 0;
    r->replaced += (r->e.notes & EVENT_REPLACED) != 0;
    r->damaged += (r->e.notes & EVENT_DAMAGED) != 0;
    int e = event_json(&r->e, r->names, &r->out);
    return e < 0 ? e : told(r);
}

static int one_record(struct reading *r, struct sm_span record)
{
    int e = normalise_record(r->n, &r->hint, record, r->seen, &r->e);

    if (e == 0)
        e = tell(r);
    while (e >= 0 && (e = normalise_more(r->n, &r->hint, &r->e)) == 1)
        e = tell(r);
    return e < 0 ? e : 0;
}

/* All whole records of held; at the end of the file what is left of one, too. */
static int records(struct reading *r, struct sm_buf *held, bool end)
{
    size_t at = 0, n;
    struct sm_span record;
    int e = 0;

    while (e == 0 && (n = normalise_next(&r->hint, SM_SPAN(held->p + at, held->n - at), end, &record)) > 0) {
        at += n;
        e = one_record(r, record);
    }
    sm_buf_shift(held, at);
    return e;
}

/* The first bytes say how the file is cut into records, unless that was told. */
static void find_frame(struct reading *r, const struct sm_buf *held)
{
    if (!r->hint.encoding && held->n >= 2 && held->p[0] == 0xff && held->p[1] == 0xfe)
        r->hint.encoding = "utf-16le";
    else if (!r->hint.encoding && held->n >= 2 && held->p[0] == 0xfe && held->p[1] == 0xff)
        r->hint.encoding = "utf-16be";
    if (!r->hint.format)
        r->hint.frame = normalise_guess(r->n, sm_buf_span(held));
}

static int text_file(struct reading *r, int fd, struct sm_buf *held)
{
    bool first = true;
    int e = 0;

    while (e == 0) {
        if (sm_buf_reserve(held, READ_STEP) < 0)
            return -ENOMEM;
        ssize_t n = read(fd, held->p + held->n, READ_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        held->n += (size_t)n;
        if (first)
            find_frame(r, held);
        first = false;
        e = records(r, held, n == 0);
        if (n == 0)
            break;
    }
    return e;
}

/* ---- EVTX ---- */

static int64_t read_at(void *ctx, uint64_t at, void *to, size_t n)
{
    ssize_t got;

    do
        got = pread(*(int *)ctx, to, n, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static int evtx_file(struct reading *r, int fd, uint64_t size)
{
    struct evtx *x;
    struct evtx_reader reader = { .read = read_at, .ctx = &fd, .size = size };

    int e = evtx_new(r->names, &x);
    if (e < 0)
        return e;
    e = evtx_open_reader(x, &reader, 0);
    while (e >= 0 && (e = evtx_next(x, &r->e)) == 1) {
        if (!r->xml) {
            e = tell(r);
            continue;
        }
        r->events++;
        e = evtx_xml(x, &r->out);
        e = e < 0 ? e : told(r);
    }
    evtx_free(x);
    return e;
}

static int one_file(struct reading *r, const char *path)
{
    struct sm_buf held = SM_BUF_INIT(HELD_MAX + READ_STEP);
    struct stat st;
    uint8_t first[16];
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    /* A line without its year was written before the file was last. */
    r->seen = S_ISREG(st.st_mode) ? (struct event_time){ st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec } : r->seen;
    ssize_t got = S_ISREG(st.st_mode) ? pread(fd, first, sizeof first, 0) : 0;
    bool is_evtx = r->hint.format && !strcmp(r->hint.format, "evtx");
    r->hint.state = normalise_state_new();
    r->hint.frame = NULL;
    const char *encoding = r->hint.encoding;
    int e = r->hint.state ? 0 : -ENOMEM;
    if (e == 0)
        e = is_evtx || (!r->hint.format && got > 0 && evtx_is(SM_SPAN(first, (size_t)got)))
            ? evtx_file(r, fd, (uint64_t)st.st_size) : text_file(r, fd, &held);
    r->hint.encoding = encoding;
    normalise_state_free(r->hint.state);
    r->hint.state = NULL;
    sm_buf_wipe(&held);
    if (fd != STDIN_FILENO)
        close(fd);
    return e;
}

/* ---- options ---- */

static int mapping(struct reading *r, const char *path)
{
    char why[160] = "", text[MAPPING_MAX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

    if (n < 0) {
        cli_problem(r->c, path, -errno, "");
        if (fd >= 0)
            close(fd);
        return CLI_FAILED;
    }
    close(fd);
    int e = normalise_map_parse(r->names, SM_SPAN(text, (size_t)n), &r->map, why);
    if (e < 0) {
        cli_problem(r->c, path, e, why);
        return CLI_USAGE;
    }
    r->hint.map = r->map;
    return CLI_OK;
}

static int options(struct reading *r)
{
    struct cli *c = r->c;
    const char *format = cli_opt(c, "format"), *encoding = cli_opt(c, "encoding"), *zone = cli_opt(c, "zone");

    if (format && strcmp(format, "evtx") && !normalise_knows_format(format)) {
        cli_note(c, T(c, "知らない形式です。あるもの:", "no such format; there are:"));
        for (size_t i = 0; normalise_row(i); i++)
            cli_note(c, "  %s: %s", normalise_row(i)->name, c->ja ? normalise_row(i)->ja : normalise_row(i)->en);
        cli_note(c, "  evtx: %s", T(c, "Windows のイベントログのファイル", "event log files of Windows"));
        return CLI_USAGE;
    }
    if (encoding && !normalise_knows_encoding(encoding)) {
        cli_note(c, T(c, "文字コードは utf-8、cp932、euc-jp、iso-2022-jp、utf-16le、utf-16be、latin-1 です",
            "encodings: utf-8, cp932, euc-jp, iso-2022-jp, utf-16le, utf-16be, latin-1"));
        return CLI_USAGE;
    }
    if (zone && normalise_zone(SM_SPAN_STR(zone), &r->hint.zone_s) < 0) {
        cli_note(c, T(c, "時差は +09:00 のように書きます", "a zone is written +09:00"));
        return CLI_USAGE;
    }
    r->hint.format = format;
    r->hint.encoding = encoding;
    r->xml = cli_flag(c, "xml");
    const char *path = cli_opt(c, "mapping");
    return path ? mapping(r, path) : CLI_OK;
}

static int all_files(struct reading *r)
{
    int e = options(r);

    for (size_t i = 0; e == CLI_OK && cli_arg(r->c, i); i++) {
        int err = one_file(r, cli_arg(r->c, i));
        if (err < 0) {
            cli_problem(r->c, cli_arg(r->c, i), err, "");
            e = err == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
        }
    }
    if (r->out.n && fwrite(r->out.p, 1, r->out.n, stdout) != r->out.n)
        e = CLI_FAILED;
    if (fflush(stdout) != 0)
        e = CLI_FAILED;
    if (e == CLI_OK && (r->unparsed || r->replaced || r->damaged))
        cli_note(r->c, T(r->c, "%llu 件のうち、読めない形 %llu、読めない文字 %llu、傷み %llu",
            "of %llu events: not understood %llu, with undecodable bytes %llu, damaged %llu"), (unsigned long long)r->events,
            (unsigned long long)r->unparsed, (unsigned long long)r->replaced, (unsigned long long)r->damaged);
    return e;
}

int cmd_events(struct cli *c)
{
    struct reading r = { .c = c, .hint = NORMALISE_HINT, .out = SM_BUF_INIT((size_t)32 << 20), .names = event_names_new() };
    struct sm_time now = plat_clock_wall();
    int e = CLI_FAILED;

    r.seen = (struct event_time){ now.s, now.ns };
    int err = r.names ? event_init(&r.e) : -ENOMEM;
    if (err == 0)
        err = normalise_new(r.names, &r.n);
    if (err < 0)
        cli_note(c, T(c, "始められません: %s", "cannot begin: %s"), sm_errtext(err, c->ja));
    else
        e = all_files(&r);
    normalise_map_free(r.map);
    normalise_free(r.n);
    event_wipe(&r.e);
    event_names_free(r.names);
    sm_buf_wipe(&r.out);
    return e;
}
