/* Databases: PostgreSQL (stderr with a usual prefix), MySQL and MariaDB (error log, general log), SQL Server
 * (ERRORLOG). */
#include "normalise/flow.h"

/* ---- PostgreSQL: "2026-11-15 02:41:09.123 JST [1234] user@db LOG:  statement: SELECT 1" ---- */

static const struct { const char *word; uint8_t severity; } pg_levels[] = {
    { "LOG:", 6 }, { "ERROR:", 3 }, { "FATAL:", 2 }, { "PANIC:", 0 }, { "WARNING:", 4 }, { "NOTICE:", 5 },
    { "INFO:", 6 }, { "DETAIL:", 6 },
    { "HINT:", 6 }, { "STATEMENT:", 6 }, { "CONTEXT:", 6 }, { "DEBUG:", 7 },
};

struct pg { struct when when; struct sm_span pid, who, level, text; uint8_t severity; };

/* The level stands among the first words; what is before it is the prefix. */
static bool pg_head(struct sm_span t, struct pg *r)
{
    struct scan s = scan_of(t);

    *r = (struct pg){ 0 };
    if (!is_digit(scan_peek(&s)) || !when_iso(&s, &r->when))
        return false;
    for (int i = 0; i < 6 && s.p < s.end; i++) {
        struct sm_span w = scan_word(&s);
        if (w.n && w.p[0] == '[' && !r->pid.n) {
            r->pid = SM_SPAN(w.p + 1, w.n - 1);
            while (r->pid.n && !is_digit(r->pid.p[r->pid.n - 1]))
                r->pid.n--;
            const uint8_t *dash = r->pid.n ? memchr(r->pid.p, '-', r->pid.n) : NULL;
            if (dash)
                r->pid.n = (size_t)(dash - r->pid.p);
        } else if (w.n && memchr(w.p, '@', w.n)) {
            r->who = w;
        }
        for (size_t k = 0; k < sizeof pg_levels / sizeof *pg_levels; k++)
            if (span_is(w, pg_levels[k].word)) {
                scan_blank(&s);
                r->level = SM_SPAN(w.p, w.n - 1);
                r->severity = pg_levels[k].severity;
                r->text = scan_rest(&s);
                return r->pid.n > 0;
            }
    }
    return false;
}

static void pg_query(struct format_ctx *c, const struct pg *r)
{
    struct sm_span q = span_is(r->level, "STATEMENT") ? r->text : SM_SPAN(r->text.p, 0);

    if (!q.n && span_starts(r->text, "statement: "))
        q = span_after(r->text, "statement: ");
    if (!q.n && (span_starts(r->text, "execute ") || span_starts(r->text, "duration: ")) && span_has(r->text, ": ")) {
        struct sm_span e = span_after(r->text, "execute ");
        q = e.n ? span_after(e, ": ") : span_after(r->text, "statement: ");
    }
    put(c, EVENT_F_query, q);
}

static int read_pg(struct format_ctx *c, struct sm_span text)
{
    struct pg r;

    if (!pg_head(text, &r))
        return -SM_EFORMAT;
    when_set(c, &r.when);
    source_words(c, 0, EVENT_W_database, EVENT_W_postgresql);
    c->e->severity = r.severity;
    put_number(c, EVENT_F_pid, r.pid);
    put_named(c, SM_SPAN_STR("level"), EVENT_TEXT, r.level);
    struct scan w = scan_of(r.who);
    struct sm_span user = scan_past(&w, '@'), db = scan_rest(&w);
    struct sm_span quoted = span_after(r.text, "authentication failed for user \"");
    struct sm_span authorized = span_word_after(r.text, "connection authorized: user=", ",");
    if (quoted.n) {
        struct scan q = scan_of(quoted);
        put_login(c, 0, false, scan_until(&q, '"'), SM_SPAN("", 0));
    } else if (authorized.n) {
        put_login(c, 0, true, authorized, SM_SPAN("", 0));
        db = span_word_after(r.text, "database=", ",");
    } else {
        put(c, EVENT_F_username, user);
    }
    c->e->category = EVENT_W_database;
    put_named(c, SM_SPAN_STR("database"), EVENT_TEXT, db);
    struct sm_span host = span_word_after(r.text, "host=", ",");
    put(c, EVENT_F_src_ip, is_address(host) ? host : SM_SPAN("", 0));
    put_number(c, EVENT_F_src_port, span_word_after(r.text, "port=", ","));
    pg_query(c, &r);
    put(c, EVENT_F_Message, r.text);
    return 0;
}

static int detect_pg(struct sm_span t)
{
    struct pg r;

    return t.n > 30 && is_digit(t.p[0]) && t.p[4] == '-' && pg_head(t, &r) ? 84 : 0;
}

const struct format format_postgresql = {
    .row = { "postgresql", "PostgreSQL（日レセのデータベース）の記録", "PostgreSQL server log" },
    .detect = detect_pg, .read = read_pg,
};

/* ---- MySQL: "2026-11-15T02:41:09.123456Z 12 [Note] [MY-010914] [Server] text", "<time>\t 12 Query\tSELECT 1" ---- */

struct my { struct when when; struct sm_span thread, level, code, command, text; };

static bool my_head(struct sm_span t, struct my *r)
{
    struct scan s = scan_of(t);
    uint64_t v;

    *r = (struct my){ 0 };
    if (!when_iso(&s, &r->when))
        return false;
    scan_blank(&s);
    const uint8_t *from = s.p;
    if (!scan_uint(&s, 1, 10, &v))
        return false;
    r->thread = SM_SPAN(from, (size_t)(s.p - from));
    scan_blank(&s);
    if (scan_c(&s, '[')) {
        r->level = scan_past(&s, ']');
        scan_blank(&s);
        struct scan u = s;
        if (scan_lit(&u, "[MY-")) {
            r->code = scan_until(&u, ']');
            r->code = SM_SPAN(r->code.p - 3, r->code.n + 3);
            (void)scan_c(&u, ']');
            scan_blank(&u);
            if (scan_c(&u, '['))
                (void)scan_past(&u, ']');
            scan_blank(&u);
            s = u;
        }
        r->text = scan_rest(&s);
        return span_is(r->level, "Note") || span_is(r->level, "Warning") || span_is(r->level, "ERROR") ||
            span_is(r->level, "System") ||
            span_is(r->level, "Error");
    }
    r->command = scan_word(&s);
    scan_blank(&s);
    r->text = scan_rest(&s);
    static const char *const commands[] = { "Query", "Connect", "Quit", "Init", "Prepare", "Execute", "Field",
        "Statistics", "Close" };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (span_is(r->command, commands[i]))
            return true;
    return false;
}

static int read_my(struct format_ctx *c, struct sm_span text)
{
    struct my r;

    if (!my_head(text, &r))
        return -SM_EFORMAT;
    when_set(c, &r.when);
    source_words(c, 0, EVENT_W_database, EVENT_W_mysql);
    put_number(c, EVENT_F_session, r.thread);
    put(c, EVENT_F_msgid, r.code);
    put_named(c, SM_SPAN_STR("level"), EVENT_TEXT, r.level);
    put(c, EVENT_F_action, r.command);
    if (span_is(r.command, "Query") || span_is(r.command, "Prepare") || span_is(r.command, "Execute"))
        put(c, EVENT_F_query, r.text);
    struct sm_span denied = span_after(r.text, "Access denied for user '");
    if (denied.n) {
        struct scan u = scan_of(denied), h = scan_of(span_after(denied, "'@'"));
        struct sm_span host = scan_until(&h, '\'');
        put_login(c, 0, false, scan_until(&u, '\''), is_address(host) ? host : SM_SPAN("", 0));
    } else if (span_is(r.command, "Connect")) {
        struct scan u = scan_of(r.text);
        struct sm_span user = scan_past(&u, '@'), host = scan_word(&u);
        put_login(c, 0, true, user, is_address(host) ? host : SM_SPAN("", 0));
    }
    c->e->category = EVENT_W_database;
    put(c, EVENT_F_Message, r.text);
    return 0;
}

static int detect_my(struct sm_span t)
{
    struct my r;

    return t.n > 25 && is_digit(t.p[0]) && my_head(t, &r) ? 82 : 0;
}

const struct format format_mysql = {
    .row = { "mysql", "MySQL・MariaDB の記録", "MySQL and MariaDB logs" }, .detect = detect_my, .read = read_my,
};

/* ---- SQL Server: "2026-11-15 02:41:09.12 Logon       Login failed for user 'sa'. Reason: ... [CLIENT: 1.2.3.4]"
 * ---- */

static bool ms_head(struct sm_span t, struct when *w, struct sm_span *ret_source, struct sm_span *ret_text)
{
    struct scan s = scan_of(t);

    if (t.n < 36 || !is_digit(t.p[0]) || t.p[19] != '.' || !is_digit(t.p[21]) || t.p[22] != ' ' || !when_iso(&s, w))
        return false;
    *ret_source = scan_word(&s);
    bool known = span_is(*ret_source, "Logon") || span_is(*ret_source, "Server") || span_is(*ret_source, "Backup") ||
        (span_starts(*ret_source, "spid") && ret_source->n > 4 && is_digit(ret_source->p[4]));
    if (!known || scan_left(&s) < 2 || (s.p[0] != ' ' && s.p[0] != '\t'))
        return false;
    scan_blank(&s);
    *ret_text = scan_rest(&s);
    return true;
}

static int read_ms(struct format_ctx *c, struct sm_span text)
{
    struct sm_span source, body;
    struct when w;

    if (!ms_head(text, &w, &source, &body))
        return -SM_EFORMAT;
    when_set(c, &w);
    source_words(c, 0, EVENT_W_database, EVENT_W_mssql);
    put(c, EVENT_F_program, source);
    bool failed = span_starts(body, "Login failed for user '");
    if (failed || span_starts(body, "Login succeeded for user '")) {
        struct scan u = scan_of(span_after(body, " for user '")), r = scan_of(span_after(body, "Reason: "));
        put_login(c, 0, !failed, scan_until(&u, '\''), span_word_after(body, "[CLIENT: ", "]"));
        put(c, EVENT_F_reason, scan_until(&r, '['));
        c->e->category = EVENT_W_database;
    }
    put_number(c, EVENT_F_msgid, span_starts(body, "Error: ") ? span_word_after(body, "Error: ", ",") : SM_SPAN("", 0));
    put(c, EVENT_F_Message, body);
    return 0;
}

static int detect_ms(struct sm_span t)
{
    struct sm_span a, b;
    struct when w;

    return ms_head(t, &w, &a, &b) ? 85 : 0;
}

const struct format format_mssql = {
    .row = { "mssql", "SQL Server の記録（ERRORLOG）", "SQL Server error log" }, .detect = detect_ms, .read = read_ms,
};
