/*
 * Lines of devices and the fields they must give: cases/NAME.txt.  A case is
 *   < the line as it came (\xNN, \n, \t, \\ stand for bytes)
 *   field=value            one of its fields, exactly; "@product=linux", "@time=2026-11-15T02:41:09Z", "@host",
 * "@format", "@notes=no-year"
 *   field!                 it has no such field
 * and ends with an empty line.  Lines of one file that follow "| state" belong to one stream.  "? hint value" sets
 * a hint.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include "normalise/normalise.h"
#include "core/time.h"
#include "../test.h"

static struct event_names *names;
static struct normalise *norm;
static unsigned checked, wrong;

static size_t unescape(const char *from, uint8_t *to)
{
    size_t n = 0;

    for (; *from && *from != '\n'; from++) {
        unsigned v;
        if (from[0] == '\\' && from[1] == 'x' && sscanf(from + 2, "%2x", &v) == 1) {
            to[n++] = (uint8_t)v;
            from += 3;
        } else if (from[0] == '\\' && strchr("nt\\", from[1])) {
            from++;
            to[n++] = (uint8_t)(*from == 'n' ? '\n' : *from == 't' ? '\t' : '\\');
        } else {
            to[n++] = (uint8_t)*from;
        }
    }
    return n;
}

/* "@host=..." and the like as text; false if there is none of that name. */
static bool head(const struct event *e, const char *name, char *ret, size_t cap)
{
    struct sm_span s = { 0 };
    char time[SM_TIME_TEXT];

    if (!strcmp(name, "@product"))
        s = event_names_text(names, e->product);
    else if (!strcmp(name, "@category"))
        s = event_names_text(names, e->category);
    else if (!strcmp(name, "@service"))
        s = event_names_text(names, e->service);
    else if (!strcmp(name, "@format"))
        s = event_names_text(names, e->format);
    else if (!strcmp(name, "@host"))
        s = e->host;
    else if (!strcmp(name, "@time")) {
        sm_time_rfc3339((struct sm_time){ e->time.s, e->time.ns }, time);
        s = SM_SPAN_STR(time);
    } else if (!strcmp(name, "@severity")) {
        snprintf(ret, cap, "%u", e->severity);
        return true;
    } else if (!strcmp(name, "@notes")) {
        *ret = 0;
        for (uint32_t bit = 1; bit; bit <<= 1)
            if ((e->notes & bit) && event_note_name(bit))
                snprintf(ret + strlen(ret), cap - strlen(ret), "%s%s", *ret ? "," : "", event_note_name(bit));
        return true;
    } else {
        return false;
    }
    snprintf(ret, cap, "%.*s", (int)s.n, (const char *)s.p);
    return true;
}

static bool has(const struct event *e, const char *name, const char *value)
{
    uint16_t n = event_names_find(names, SM_SPAN_STR(name));

    for (const struct event_field *f = n ? event_get(e, n) : NULL; f; f = event_next(e, f))
        if (f->n == strlen(value) && !memcmp(f->p, value, f->n))
            return true;
    return false;
}

static void complain(const char *file, unsigned line, const char *what, const struct event *e)
{
    struct sm_buf json = SM_BUF_INIT(8 << 20);

    if (event_json(e, names, &json) == 0)
        print_error("%s:%u: %s\n    %.*s\n", file, line, what, (int)(json.n < 2000 ? json.n : 2000), json.p);
    sm_buf_wipe(&json);
    wrong++;
}

static void expect(const struct event *e, char *text, const char *file, unsigned line)
{
    char got[400], *eq = strchr(text, '=');
    size_t n = strlen(text);

    checked++;
    if (!eq && n && text[n - 1] == '!') {
        text[n - 1] = 0;
        uint16_t name = event_names_find(names, SM_SPAN_STR(text));
        if (name && event_get(e, name))
            complain(file, line, text, e);
        return;
    }
    assert_non_null(eq);
    *eq = 0;
    bool ok = text[0] == '@' && head(e, text, got, sizeof got) ? !strcmp(got, eq + 1) : has(e, text, eq + 1);
    *eq = '=';
    if (!ok)
        complain(file, line, text, e);
}

static struct event_time seen = { 1795132800 /* 2026-11-20 00:00 UTC */, 0 };

static void hint_line(struct normalise_hint *h, const char *text)
{
    static char format[64], encoding[64];
    char key[32], value[64];

    assert_int_equal(sscanf(text, "%31s %63s", key, value), 2);
    if (!strcmp(key, "format")) {
        snprintf(format, sizeof format, "%s", value);
        h->format = format;
    } else if (!strcmp(key, "encoding") && !strcmp(value, "-")) {
        h->encoding = NULL;
    } else if (!strcmp(key, "encoding")) {
        snprintf(encoding, sizeof encoding, "%s", value);
        h->encoding = encoding;
    } else if (!strcmp(key, "seen")) {
        struct sm_time t;
        assert_int_equal(sm_time_parse(value, &t), 0);
        seen = (struct event_time){ t.s, t.ns };
    } else {
        assert_int_equal(normalise_zone(SM_SPAN_STR(value), &h->zone_s), 0);
    }
}

static void run_file(const char *file, FILE *f)
{
    static char text[1 << 16];
    static uint8_t raw[1 << 16];
    struct normalise_hint hint = NORMALISE_HINT;
    struct event e;

    assert_int_equal(event_init(&e), 0);
    for (unsigned line = 1; fgets(text, sizeof text, f); line++) {
        text[strcspn(text, "\n")] = 0;
        if (text[0] == '#' || !text[0])
            continue;
        if (text[0] == '|') {
            normalise_state_free(hint.state);
            hint.state = text[1] ? normalise_state_new() : NULL;
        } else if (text[0] == '?') {
            hint_line(&hint, text + 1);
        } else if (text[0] == '<' && text[1] == ' ') {
            size_t n = unescape(text + 2, raw);
            assert_true(normalise_record(norm, &hint, SM_SPAN(raw, n), seen, &e) >= 0);
            assert_int_equal(e.raw.n, n);
        } else if (!strcmp(text, "+ more")) {
            if (normalise_more(norm, &hint, &e) != 1)
                complain(file, line, "nothing more", &e);
        } else {
            expect(&e, text, file, line);
        }
    }
    normalise_state_free(hint.state);
    event_wipe(&e);
}

static void every_line_of_the_cases_gives_the_fields_it_must(void **state)
{
    DIR *d = opendir(CASES);

    (void)state;
    assert_non_null(d);
    for (struct dirent *de; (de = readdir(d));) {
        char path[600];
        if (de->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", CASES, de->d_name);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        run_file(de->d_name, f);
        fclose(f);
    }
    closedir(d);
    print_message("%u expectations, %u wrong\n", checked, wrong);
    assert_true(checked > 10);
    assert_int_equal(wrong, 0);
}

static int begin(void **state)
{
    (void)state;
    names = event_names_new();
    return names && normalise_new(names, &norm) == 0 ? 0 : -1;
}

static int finish(void **state)
{
    (void)state;
    normalise_free(norm);
    event_names_free(names);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_of_the_cases_gives_the_fields_it_must),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
