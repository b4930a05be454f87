/*
 * systemd's journal, by its own library: the place is a cursor, and nothing has to be started or parsed (journalctl in
 * a child would need the right to start programs, a user of its own and a parser of what it writes).  The library is
 * loaded before the part confines itself and only where it is there; it maps the journal's files and writes nothing.
 * Entries go in the export format, which the box reads (src/normalise/journald.c).
 *
 * Of this machine; or, with one path, of that folder (what systemd-journal-remote collects).
 */
#include <dlfcn.h>
#include <errno.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "sakimori-agent/logs/cut.h"
#include "sakimori-agent/logs/journald.h"
#include "sakimori-agent/logs/logs.h"

#define LIBRARY "libsystemd.so.0"
#define FIELD_MAX ((size_t)64 << 10)
#define CURSOR_TEXT_MAX 512

#define FUNCTIONS(X)                                                                                                   \
    X(sd_journal_open)                                                                                                 \
    X(sd_journal_open_directory) X(sd_journal_close) X(sd_journal_next) X(sd_journal_previous) X(sd_journal_seek_head) \
        X(sd_journal_seek_tail) X(sd_journal_seek_cursor) X(sd_journal_test_cursor) X(sd_journal_get_cursor)           \
            X(sd_journal_get_realtime_usec) X(sd_journal_restart_data) X(sd_journal_enumerate_data)                    \
                X(sd_journal_set_data_threshold) X(sd_journal_get_fd) X(sd_journal_process)
#define MEMBER(name) __typeof__(&name) name;
#define ROW(name) {#name, offsetof(struct library, name)},
struct library {
    FUNCTIONS(MEMBER)
};
static struct library lib;
static bool there;

struct journal {
    sd_journal *j;
    int fd;
    bool known;  /* cursor is where it was left; without one: the beginning */
    bool handed; /* entries went behind it that the box may not have: the place is looked up again */
    bool told;   /* that what is behind cursor is gone */
    bool placed; /* the library stands on the entry before the next one that goes */
    char cursor[CURSOR_TEXT_MAX];
};

bool log_journald_load(void)
{
    static const struct {
        const char *name;
        size_t at;
    } functions[] = {FUNCTIONS(ROW)};
    void *so = there ? NULL : dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!so)
        return there;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *f = dlsym(so, functions[i].name);
        if (!f)
            return false;
        memcpy((char *)&lib + functions[i].at, &f, sizeof f);
    }
    there = true;
    return true;
}

bool log_journald_there(void)
{
    sd_journal *j = NULL;
    if (!there || lib.sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY) < 0)
        return false;
    bool some = lib.sd_journal_seek_head(j) >= 0 && lib.sd_journal_next(j) > 0;
    lib.sd_journal_close(j);
    return some;
}

static void close_journal(struct log *l)
{
    struct journal *s = l->in;
    if (s && s->j)
        lib.sd_journal_close(s->j);
    free(s);
    l->in = NULL;
}

static int open_journal(struct log *l, const json_t *state)
{
    struct journal *s = calloc(1, sizeof *s);
    struct sm_obj o = SM_OBJ(state);
    if (!s)
        return -ENOMEM;
    l->in = s;
    s->fd = -1;
    if (!state)
        return 0;
    snprintf(s->cursor, sizeof s->cursor, "%s", sm_obj_str(&o, "cursor", 0, sizeof s->cursor - 1));
    s->known = sm_obj_bool(&o, "known", false);
    if (o.err)
        close_journal(l);
    return o.err ? -SM_EFORMAT : 0;
}

static bool may_open(const struct log *l)
{
    const struct log_roots *roots = &l->all->roots;
    if (!roots->journal)
        return false;
    int fd = l->path_n ? log_roots_open_dir(roots, l->path[0]) : 0;
    if (l->path_n && fd >= 0)
        close(fd);
    return fd >= 0;
}

static int get_cursor(struct journal *s, char ret[CURSOR_TEXT_MAX])
{
    char *text = NULL;
    int r = lib.sd_journal_get_cursor(s->j, &text);
    if (r >= 0)
        r = strlen(text) < CURSOR_TEXT_MAX ? 0 : -SM_ELIMIT;
    if (r >= 0)
        snprintf(ret, CURSOR_TEXT_MAX, "%s", text);
    free(text);
    return r;
}

/* Where the first look finds it: at its end, unless all of it is wanted. */
static int begin(struct log *l, struct journal *s)
{
    int r = 0;
    if (!l->from_start) {
        r = lib.sd_journal_seek_tail(s->j);
        if (r >= 0)
            r = lib.sd_journal_previous(s->j);
        if (r > 0)
            r = get_cursor(s, s->cursor);
    }
    s->known |= r >= 0;
    s->placed = false;
    l->unsaved = true;
    return r;
}

static void look(struct log *l)
{
    struct journal *s = l->in;
    if (!there || !may_open(l)) {
        log_state(l, there ? "refused" : "absent", "journal");
        return;
    }
    int r = 0;
    if (!s->j) {
        r = l->path_n ? lib.sd_journal_open_directory(&s->j, l->path[0], 0)
                      : lib.sd_journal_open(&s->j, SD_JOURNAL_LOCAL_ONLY);
        if (r >= 0)
            r = lib.sd_journal_set_data_threshold(s->j, FIELD_MAX);
        if (r >= 0)
            s->fd = lib.sd_journal_get_fd(s->j);
    } else {
        r = lib.sd_journal_process(s->j);
        if (r == SD_JOURNAL_INVALIDATE)
            s->placed = false; /* files came or went */
    }
    if (r >= 0 && !s->known)
        r = begin(l, s);
    l->files = s->j != NULL;
    log_state(l, r >= 0 ? "ok" : "error", "%s", r >= 0 ? "" : sm_strerror(r));
}

/* Stand on the entry of cursor, or just before the first one behind it. */
static int place(struct log *l, struct journal *s, const char *cursor)
{
    if (!cursor[0])
        return lib.sd_journal_seek_head(s->j);
    int r = lib.sd_journal_seek_cursor(s->j, cursor);
    if (r >= 0)
        r = lib.sd_journal_next(s->j);
    if (r > 0 && lib.sd_journal_test_cursor(s->j, cursor) > 0)
        return 0;
    if (r <= 0)
        return r; /* nothing is there any more, or not yet: what comes is behind it */
    if (!s->told)
        log_gap(l, 1, 0, "the journal was cut");
    s->told = true;
    return lib.sd_journal_seek_cursor(s->j, cursor); /* the next one is the first that is left */
}

static int put_entry(struct journal *s, struct sm_buf *one, bool *ret_cut)
{
    uint64_t us = 0;
    const void *data;
    size_t n;
    int r = lib.sd_journal_get_realtime_usec(s->j, &us);
    sm_buf_clear(one);
    *ret_cut = false;
    if (r >= 0)
        r = sm_buf_printf(one, "__REALTIME_TIMESTAMP=%llu\n", (unsigned long long)us);
    lib.sd_journal_restart_data(s->j);
    while (r >= 0 && (r = lib.sd_journal_enumerate_data(s->j, &data, &n)) > 0) {
        *ret_cut |= n >= FIELD_MAX;
        r = log_export_field(one, SM_SPAN(data, n));
        if (r == -SM_ELIMIT) {
            *ret_cut = true;
            r = 0;
        }
    }
    return r < 0 ? r : 0;
}

/* Entries behind where the library stands, until the batch is full or the entry of `until` went. */
static int entries(struct log *l, struct journal *s, const char *until, char last[CURSOR_TEXT_MAX], size_t *ret_cut)
{
    struct sm_buf one = SM_BUF_INIT(LOG_READ);
    struct sm_time now = plat_clock_wall();
    size_t before = l->batch.n;
    int r = 0;
    last[0] = 0;
    while (r >= 0 && l->batch.n - before < LOG_BATCH && (r = lib.sd_journal_next(s->j)) > 0) {
        bool cut;
        r = put_entry(s, &one, &cut);
        if (r == -EBADMSG || r == -EADDRNOTAVAIL || r == -E2BIG || r == -EPROTONOSUPPORT) { /* of a damaged file */
            r = 0;
            continue;
        }
        if (r >= 0)
            r = log_cut_record(&l->batch, now.s * INT64_C(1000000000) + now.ns, cut, sm_buf_span(&one));
        if (r >= 0)
            r = get_cursor(s, last);
        l->batch_n += r >= 0;
        *ret_cut += cut;
        if (r >= 0 && until && lib.sd_journal_test_cursor(s->j, until) > 0)
            break;
    }
    sm_buf_wipe(&one);
    return r < 0 ? r : 0;
}

static int next(struct log *l, json_t **ret_range)
{
    struct journal *s = l->in;
    char last[CURSOR_TEXT_MAX];
    size_t cut = 0;
    if (!s->j || !s->known)
        return 0;
    s->placed &= !s->handed;
    s->handed = false;
    int r = s->placed ? 0 : place(l, s, s->cursor);
    if (r < 0)
        return r;
    r = entries(l, s, NULL, last, &cut);
    s->placed = r >= 0 && (s->placed || last[0]);
    if (r < 0 || !last[0])
        return r;
    *ret_range = json_pack("{s:s,s:s,s:I}", "from", s->cursor, "to", last, "cut", (json_int_t)cut);
    s->handed = true;
    return *ret_range ? 1 : -ENOMEM;
}

static int again(struct log *l, const json_t *range)
{
    struct journal *s = l->in;
    struct sm_obj o = SM_OBJ(range);
    const char *from = sm_obj_str(&o, "from", 0, CURSOR_TEXT_MAX - 1),
               *to = sm_obj_str(&o, "to", 1, CURSOR_TEXT_MAX - 1);
    char last[CURSOR_TEXT_MAX];
    size_t cut = 0;
    if (!s->j)
        return -SM_EAGAIN;
    if (o.err || strcmp(from, s->cursor) != 0)
        return -SM_ENOTFOUND;
    int r = lib.sd_journal_seek_cursor(s->j, to); /* is its end there yet? */
    if (r >= 0)
        r = lib.sd_journal_next(s->j);
    if (r <= 0 || lib.sd_journal_test_cursor(s->j, to) <= 0)
        return -SM_ENOTFOUND;
    r = place(l, s, from);
    if (r >= 0)
        r = entries(l, s, to, last, &cut);
    s->placed = r >= 0 && strcmp(last, to) == 0;
    return r < 0 ? r : s->placed ? 0 : -SM_ENOTFOUND;
}

static void took(struct log *l, const json_t *range)
{
    struct journal *s = l->in;
    const char *to = json_string_value(json_object_get(range, "to"));
    snprintf(s->cursor, sizeof s->cursor, "%s", to ? to : "");
    s->handed = s->told = false;
    l->at.counts.cut += (uint64_t)json_integer_value(json_object_get(range, "cut"));
}

static json_t *save(const struct log *l)
{
    const struct journal *s = l->in;
    return json_pack("{s:s,s:b}", "cursor", s->cursor, "known", s->known);
}

static int fd_of(const struct log *l)
{
    const struct journal *s = l->in;
    return s ? s->fd : -1;
}

const struct log_input log_input_journald = {
    "journald", false, open_journal, close_journal, look, next, again, took, save, fd_of};
