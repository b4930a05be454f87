/* Rows of a dump, counted. */
#include "sakimori-agent/kinds/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void rows_init(struct rows *r, enum rows_form form)
{
    *r = (struct rows){.form = form};
}

void rows_wipe(struct rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->table[i].name);
    free(r->table);
    *r = (struct rows){.form = r->form};
}

uint64_t rows_take(struct rows *r, const char *name)
{
    uint64_t rows = UINT64_MAX;
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->table[i].name, name) != 0)
            continue;
        rows = (rows == UINT64_MAX ? 0 : rows) + r->table[i].rows;
        r->table[i].seen = true;
    }
    return rows;
}

size_t rows_unseen(const struct rows *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->table[i].rows && !r->table[i].seen;
    return n;
}

/* The table's rows follow; one that was begun before goes on (each INSERT of a large table names it anew). */
static void begin(struct rows *r, const char *name, size_t n)
{
    if (r->n && strlen(r->table[r->n - 1].name) == n && memcmp(r->table[r->n - 1].name, name, n) == 0) {
        r->in_table = true;
        return;
    }
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        struct rows_table *p = r->n < ROWS_TABLES_MAX ? realloc(r->table, cap * sizeof *p) : NULL;
        if (!p) {
            r->err = r->n < ROWS_TABLES_MAX ? -ENOMEM : -SM_ELIMIT;
            return;
        }
        r->table = p;
        r->cap = cap;
    }
    char *copy = strndup(name, n);
    if (!copy) {
        r->err = -ENOMEM;
        return;
    }
    r->table[r->n++] = (struct rows_table){.name = copy};
    r->in_table = true;
}

static bool ends_with(const char *s, size_t n, const char *end)
{
    size_t k = strlen(end);
    return n >= k && memcmp(s + n - k, end, k) == 0;
}

/* COPY a.b (c, d) FROM stdin;   The list of columns begins at the first " (" outside of quotes. */
static void copy_line(struct rows *r)
{
    const char *s = r->line;
    size_t n = r->line_n, at = 5;
    bool quoted = false;
    if (n < 6 || n > ROWS_LINE_MAX || memcmp(s, "COPY ", 5) != 0 || !ends_with(s, n, " FROM stdin;"))
        return;
    for (; at < n && (quoted || s[at] != ' '); at++)
        quoted ^= s[at] == '"';
    if (at < n)
        begin(r, s + 5, at - 5);
}

static void feed_copy(struct rows *r, struct sm_span s)
{
    while (s.n) {
        const uint8_t *end = memchr(s.p, '\n', s.n);
        size_t n = end ? (size_t)(end - s.p) : s.n, keep = ROWS_LINE_MAX + 1 - r->line_n;
        keep = keep < n ? keep : n;
        memcpy(r->line + r->line_n, s.p, keep);
        r->line_n += keep;
        s = SM_SPAN(s.p + n, s.n - n);
        if (!end)
            return;
        s = SM_SPAN(s.p + 1, s.n - 1);
        if (!r->in_table)
            copy_line(r);
        else if (r->line_n == 2 && memcmp(r->line, "\\.", 2) == 0)
            r->in_table = false;
        else
            r->table[r->n - 1].rows++;
        r->line_n = 0;
    }
}

/* One byte between INSERT INTO and its ";". */
static void insert_byte(struct rows *r, char c)
{
    if (r->escaped) {
        r->escaped = false;
    } else if (r->in_text) {
        r->escaped = c == '\\';
        r->in_text = c != '\'';
    } else if (c == '\'') {
        r->in_text = true;
    } else if (c == '(') {
        r->table[r->n - 1].rows += r->depth == 0;
        r->depth += r->depth < 1000;
    } else if (c == ')') {
        r->depth -= r->depth > 0;
    } else if (c == ';' && r->depth == 0) {
        r->in_table = false;
        r->line_n = ROWS_LINE_MAX + 1; /* nothing begins before the next line */
    }
}

/* INSERT INTO `t` VALUES: from the last letter on, rows follow.  Bodies of routines stand between lines of DELIMITER. */
static void insert_line(struct rows *r, bool whole)
{
    static const char start[] = "INSERT INTO `", values[] = "` VALUES";
    size_t n = r->line_n, s = sizeof start - 1;
    if (n > ROWS_LINE_MAX)
        return;
    if (whole && n >= 11 && memcmp(r->line, "DELIMITER ", 10) == 0)
        r->foreign = !(n == 11 && r->line[10] == ';');
    if (r->foreign || n <= s || memcmp(r->line, start, s) != 0 || !ends_with(r->line, n, values))
        return;
    char name[ROWS_LINE_MAX + 1];
    size_t k = 0, end = n - (sizeof values - 1);
    for (size_t i = s; i < end; i++) { /* `` is one of them */
        if (r->line[i] == '`' && (i + 1 == end || r->line[++i] != '`'))
            return;
        name[k++] = r->line[i];
    }
    if (k)
        begin(r, name, k);
    r->depth = 0;
    r->in_text = r->escaped = false;
}

static void feed_insert(struct rows *r, struct sm_span s)
{
    for (size_t i = 0; i < s.n && !r->err; i++) {
        char c = (char)s.p[i];
        if (r->in_table) {
            insert_byte(r, c);
        } else if (c == '\n') {
            insert_line(r, true);
            r->line_n = 0;
        } else if (r->line_n < ROWS_LINE_MAX) {
            r->line[r->line_n++] = c;
            if (c == 'S')
                insert_line(r, false);
            if (r->in_table)
                r->line_n = 0;
        } else {
            r->line_n = ROWS_LINE_MAX + 1;
        }
    }
}

void rows_feed(struct rows *r, struct sm_span s)
{
    if (r->err)
        return;
    if (r->form == ROWS_COPY)
        feed_copy(r, s);
    else
        feed_insert(r, s);
}
