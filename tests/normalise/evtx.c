/* Event logs of Windows. */
#include "../test.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "evtxmake.h"
#include "normalise/evtx.h"

static struct event_names *names;
static struct event e;
static struct evtx *x;
static struct make m;

static int set_up(void **state)
{
    names = event_names_new();
    return names && event_init(&e) == 0 && evtx_new(names, &x) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    evtx_free(x);
    event_wipe(&e);
    event_names_free(names);
    return 0;
}

static struct sm_span sample(const char *name)
{
    static uint8_t bytes[4 << 20];
    char path[512];

    (void)snprintf(path, sizeof path, DATA "/%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    (void)fclose(f);
    assert_true(n > 0);
    return SM_SPAN(bytes, n);
}

static const struct event_field *field(const char *name)
{
    return event_get(&e, event_names_add(names, SM_SPAN_STR(name)));
}

static void is(const char *name, const char *value)
{
    const struct event_field *f = field(name);

    if (!f)
        fail_msg("no %s", name);
    if (f->n != strlen(value) || memcmp(f->p, value, f->n))
        fail_msg("%s is '%.*s', not '%s'", name, (int)f->n, (const char *)f->p, value);
}

static void only_event(struct sm_span file)
{
    assert_ok(evtx_open(x, file, 0));
    assert_int_equal(evtx_next(x, &e), 1);
}

/* ---- values ---- */

struct typed { uint8_t type; uint16_t n; const char *bytes; enum event_type is; const char *text; };

static const struct typed typed[] = {
    { 0x00, 0, "", EVENT_NULL, "" },
    { 0x01, 4, "a\0b", EVENT_TEXT, "ab" },
    { 0x01, 6, "a\0b\0\0", EVENT_TEXT, "ab" },
    { 0x01, 0, "", EVENT_TEXT, "" },
    { 0x02, 3, "ab", EVENT_TEXT, "ab" },
    { 0x02, 4, "\x96\x68\x90\x6c", EVENT_TEXT, "防人" },
    { 0x02, 1, "\xb1", EVENT_TEXT, "ｱ" },
    { 0x03, 1, "\xff", EVENT_NUMBER, "-1" },
    { 0x04, 1, "\xff", EVENT_NUMBER, "255" },
    { 0x05, 2, "\0\x80", EVENT_NUMBER, "-32768" },
    { 0x06, 2, "\xff\xff", EVENT_NUMBER, "65535" },
    { 0x07, 4, "\xfe\xff\xff\xff", EVENT_NUMBER, "-2" },
    { 0x08, 4, "\xff\xff\xff\xff", EVENT_NUMBER, "4294967295" },
    { 0x09, 8, "\0\0\0\0\0\0\0\x80", EVENT_NUMBER, "-9223372036854775808" },
    { 0x0a, 8, "\xff\xff\xff\xff\xff\xff\xff\xff", EVENT_NUMBER, "18446744073709551615" },
    { 0x0b, 4, "\0\0\xc0\x3f", EVENT_NUMBER, "1.5" },
    { 0x0c, 8, "\x9a\x99\x99\x99\x99\x99\xb9\x3f", EVENT_NUMBER, "0.1" },
    { 0x0c, 8, "\0\0\0\0\0\0\xf0\x7f", EVENT_TEXT, "inf" },
    { 0x0d, 4, "\1\0\0", EVENT_BOOL, "true" },
    { 0x0d, 4, "\0\0\0", EVENT_BOOL, "false" },
    { 0x0e, 3, "\x01\xab\xff", EVENT_TEXT, "01ABFF" },
    { 0x0f, 16, "\x25\x96\x84\x54\x78\x54\x94\x49\xa5\xba\x3e\x3b\x03\x28\xc3\x0d", EVENT_TEXT,
        "{54849625-5478-4994-a5ba-3e3b0328c30d}" },
    { 0x10, 4, "\xff\0\0", EVENT_TEXT, "0xff" },
    { 0x10, 8, "\0\0\0\0\1\0\0", EVENT_TEXT, "0x100000000" },
    { 0x11, 8, "\0\x80\x3e\xd5\xde\xb1\x9d\x01", EVENT_TEXT, "1970-01-01T00:00:00.0000000Z" },
    { 0x11, 8, "\0\0\0\0\0\0\0", EVENT_TEXT, "1601-01-01T00:00:00.0000000Z" },
    { 0x12, 16, "\xe8\x07\x02\0\4\0\x1d\0\x0c\0\x1e\0\x3b\0\x07", EVENT_TEXT, "2024-02-29T12:30:59.007Z" },
    { 0x13, 12, "\1\1\0\0\0\0\0\5\x12\0\0", EVENT_TEXT, "S-1-5-18" },
    { 0x13, 5, "\1\4\0\0\0", EVENT_TEXT, "0104000000" },
    { 0x14, 4, "\x1f\0\0", EVENT_TEXT, "0x1f" },
    { 0x15, 8, "\0\0\0\0\0\0\x20\x80", EVENT_TEXT, "0x8020000000000000" },
    { 0x20, 8, "\1\0\0\0\0\0\0", EVENT_TEXT, "0x1" },
    { 0x7f, 2, "\1\2", EVENT_TEXT, "0102" },
};
enum { TYPED = sizeof typed / sizeof *typed };

/* A record with these values as Data v0, v1 ... of a template. */
static void make_typed(const struct typed *t, unsigned n)
{
    uint16_t sizes[64];
    uint8_t types[64];
    char name[16];

    make_record(&m);
    uint32_t at = make_template(&m);
    make_open(&m, "Event", true, false);
    make_u8(&m, 2);
    make_open(&m, "EventData", true, false);
    make_u8(&m, 2);
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "v %u", i);
        make_open(&m, "Data", true, true);
        make_attribute(&m, "Name", name);
        make_u8(&m, 2);
        make_value(&m, i, false);
        make_u8(&m, 4);
        sizes[i] = t[i].n;
        types[i] = t[i].type;
    }
    make_u16(&m, 0x0404);
    make_template_end(&m, at);
    make_values(&m, n, sizes, types);
    for (unsigned i = 0; i < n; i++)
        make_bytes(&m, t[i].bytes, t[i].n);
    make_record_end(&m);
}

static void every_type_of_value_has_its_text(void **state)
{
    char name[16];

    make_begin(&m);
    make_typed(typed, TYPED);
    make_chunk_end(&m);
    only_event(make_end(&m));
    assert_int_equal(e.n, TYPED);
    for (unsigned i = 0; i < TYPED; i++) {
        (void)snprintf(name, sizeof name, "v%u", i);
        is(name, typed[i].text);
        if (e.fields[i].type != typed[i].is)
            fail_msg("%s has type %d", name, e.fields[i].type);
    }
    assert_int_equal(e.notes, EVENT_DECODED);
    assert_false(evtx_counts(x)->bad_head);
    assert_int_equal(evtx_counts(x)->bad_chunks, 0);
    assert_int_equal(evtx_next(x, &e), 0);
}

static void halves_of_characters_are_replaced_and_said(void **state)
{
    static const struct typed t[] = {
        { 0x01, 34, "a\0b\0c\0d\0e\0f\0g\0h\0i\0j\0k\0l\0m\0n\0o\0p\0q", EVENT_TEXT, "abcdefghijklmnopq" },
        { 0x01, 20, "\x32\x96\xba\x4e\x3d\xd8\x00\xde" "A\0B\0C\0D\0E\0" "F", EVENT_TEXT, "防人😀ABCDEF" },
        { 0x01, 4, "\x3d\xd8" "a", EVENT_TEXT, "\xef\xbf\xbd" "a" },
        { 0x01, 2, "\x00\xde", EVENT_TEXT, "\xef\xbf\xbd" },
        { 0x01, 6, "a\0\0\0b", EVENT_TEXT, "a\xef\xbf\xbd" "b" },
    };
    make_begin(&m);
    make_typed(t, 5);
    make_chunk_end(&m);
    only_event(make_end(&m));
    is("v0", t[0].text);
    is("v1", t[1].text);
    is("v2", t[2].text);
    is("v3", t[3].text);
    is("v4", t[4].text);
    assert_int_equal(e.notes, EVENT_REPLACED);
}

static void an_array_is_its_field_several_times(void **state)
{
    static const struct typed t[] = {
        { 0x81, 10, "a\0b\0\0\0" "c\0\0\0", EVENT_TEXT, "ab" },
        { 0x88, 8, "\1\0\0\0\2\0\0", EVENT_NUMBER, "1" },
        { 0x93, 24, "\1\1\0\0\0\0\0\5\x12\0\0\0\1\1\0\0\0\0\0\5\x13\0\0", EVENT_TEXT, "S-1-5-18" },
        { 0x81, 0, "", EVENT_NULL, "" },
    };
    struct sm_buf xml = { 0 };

    make_begin(&m);
    make_typed(t, 4);
    make_chunk_end(&m);
    only_event(make_end(&m));
    is("v0", "ab");
    assert_span_is(event_value(event_next(&e, field("v0"))), "c");
    is("v1", "1");
    assert_span_is(event_value(event_next(&e, field("v1"))), "2");
    is("v2", "S-1-5-18");
    assert_span_is(event_value(event_next(&e, field("v2"))), "S-1-5-19");
    assert_int_equal(field("v3")->type, EVENT_NULL);
    assert_int_equal(e.n, 7);
    assert_ok(evtx_xml(x, &xml));
    assert_string_equal(sm_buf_str(&xml), "<Event><EventData><Data Name=\"v 0\">ab</Data><Data Name=\"v 0\">c</Data>"
        "<Data Name=\"v 1\">1</Data><Data Name=\"v 1\">2</Data><Data Name=\"v 2\">S-1-5-18</Data><Data Name=\"v 2\">"
        "S-1-5-19</Data>"
        "<Data Name=\"v 3\"></Data></EventData></Event>");
    sm_buf_wipe(&xml);
}

/* ---- forms ---- */

/* <Event><System><Provider Name="P" Guid=%0/><EventID
 * Qualifiers="3">%1</EventID><Computer>&lt;%2</Computer></System>%3</Event> */
static uint32_t make_head(void)
{
    uint32_t at = make_template(&m);

    make_open(&m, "Event", true, true);
    make_attribute(&m, "xmlns", "http://schemas.microsoft.com/win/2004/08/events/event");
    make_u8(&m, 2);
    make_open(&m, "System", true, false);
    make_u8(&m, 2);
    make_open(&m, "Provider", true, true);
    make_attribute(&m, "Name", "P");
    make_attribute(&m, "Guid", NULL);
    make_value(&m, 0, true);
    make_u8(&m, 3);
    make_open(&m, "EventID", true, true);
    make_attribute(&m, "Qualifiers", "3");
    make_u8(&m, 2);
    make_value(&m, 1, true);
    make_u8(&m, 4);
    make_open(&m, "Computer", true, false);
    make_u16(&m, 0x0902);
    make_name(&m, "lt");
    make_value(&m, 2, false);
    make_u16(&m, 0x0404);
    make_value(&m, 3, true);
    make_u8(&m, 4);
    make_template_end(&m, at);
    return at;
}

/* <EventData><Data>one</Data><Data></Data><Data>three</Data><Binary>00</Binary></EventData>, without template. */
static void make_plain(void)
{
    make_open(&m, "EventData", false, false);
    make_u8(&m, 2);
    for (int i = 0; i < 3; i++) {
        make_open(&m, "Data", false, false);
        make_u8(&m, 2);
        if (i != 1)
            make_text(&m, i ? "three" : "one");
        make_u8(&m, 4);
    }
    make_open(&m, "Binary", false, false);
    make_u8(&m, 2);
    make_u8(&m, 7);
    make_u16(&m, 2);
    make_utf16(&m, "00");
    make_u16(&m, 0x0404);
}

static void make_event(uint32_t *template)
{
    static const uint8_t types[] = { 0x00, 0x06, 0x01, 0x21 };
    uint16_t sizes[] = { 0, 2, 4, 0 };

    make_record(&m);
    if (*template)
        make_again(&m, *template);
    else
        *template = make_head();
    /* The size of the last is known when it is written. */
    uint32_t at = m.at + 4 + 3 * 4;
    make_values(&m, 4, sizes, types);
    make_bytes(&m, "\x39\x12P\0C\0", 6);
    uint32_t from = m.at;
    make_plain();
    make_u8(&m, 0);
    uint32_t n = m.at - from;
    m.file[MAKE_HEAD + m.chunk * MAKE_CHUNK + at] = (uint8_t)n;
    m.file[MAKE_HEAD + m.chunk * MAKE_CHUNK + at + 1] = (uint8_t)(n >> 8);
    make_record_end(&m);
}

static void templates_and_what_is_written_out_become_fields_and_xml(void **state)
{
    uint32_t template = 0;
    struct sm_buf xml = { 0 };

    make_begin(&m);
    make_event(&template);
    make_event(&template);
    make_chunk_end(&m);
    assert_ok(evtx_open(x, make_end(&m), 0));
    for (uint64_t i = 1; i <= 2; i++) {
        assert_int_equal(evtx_next(x, &e), 1);
        is("Provider_Name", "P");
        assert_null(field("Provider_Guid"));
        is("EventID", "4665");
        is("EventID_Qualifiers", "3");
        is("Computer", "<PC");
        is("Data", "one\n\nthree");
        is("Binary", "00");
        assert_int_equal(e.n, 6);
        assert_span_is(e.host, "<PC");
        assert_int_equal(e.notes, 0);
        assert_int_equal(e.time.s, 1551524660);
        assert_int_equal(e.product, EVENT_W_windows);
        assert_int_equal(evtx_place(x)->number, i);
        xml.n = 0;
        assert_ok(evtx_xml(x, &xml));
        assert_string_equal(sm_buf_str(&xml), "<Event xmlns=\"http://schemas.microsoft.com/win/2004/08/events/event\">"
            "<System>"
            "<Provider Name=\"P\"/><EventID Qualifiers=\"3\">4665</EventID><Computer>&lt;PC</Computer></System>"
            "<EventData><Data>one</Data><Data></Data><Data>three</Data><Binary>00</Binary></EventData></Event>");
    }
    assert_int_equal(evtx_next(x, &e), 0);
    assert_int_equal(evtx_xml(x, &xml), -SM_ESTATE);
    sm_buf_wipe(&xml);
}

/* ---- ends of chunks ---- */

static int count(struct sm_span file, uint32_t flags)
{
    int n = 0;

    assert_ok(evtx_open(x, file, flags));
    while (evtx_next(x, &e) == 1)
        n++;
    return n;
}

static void set_number(uint32_t record, uint8_t number)
{
    m.file[MAKE_HEAD + m.chunk * MAKE_CHUNK + record + 8] = number;
}

static void what_stands_behind_the_stated_end_comes_only_on_request(void **state)
{
    uint32_t template = 0;

    make_begin(&m);
    make_event(&template);
    make_event(&template);
    uint32_t end = m.at;
    make_event(&template);
    set_number(m.record, 1); /* older than those before: content of the chunk's last use */
    uint32_t whole = m.at;
    m.at = end;
    make_chunk_end(&m);
    struct sm_span file = make_end(&m);
    assert_int_equal(count(file, 0), 2);
    assert_int_equal(evtx_counts(x)->damaged, 0);
    assert_int_equal(count(file, EVTX_SLACK), 3);
    assert_true(evtx_place(x)->slack);
    assert_int_equal(evtx_counts(x)->damaged, 1);
    assert_true(whole > end);
}

static void a_record_newer_than_the_head_of_its_chunk_is_not_lost(void **state)
{
    uint32_t template = 0;

    make_begin(&m);
    make_event(&template);
    uint32_t end = m.at;
    make_event(&template);
    m.at = end;
    make_chunk_end(&m);
    assert_int_equal(count(make_end(&m), 0), 2);
    assert_false(evtx_place(x)->slack);
}

/* ---- hostile ---- */

static void templates_inside_templates_end(void **state)
{
    static const uint8_t xml_type[] = { 0x21 };
    uint32_t sizes_at[600];
    unsigned levels = 0;

    make_begin(&m);
    make_record(&m);
    uint32_t at = make_template(&m);
    make_open(&m, "Event", true, false);
    make_u8(&m, 2);
    for (int i = 0; i < 40; i++)
        make_value(&m, 0, false);
    make_u8(&m, 4);
    make_template_end(&m, at);
    for (; levels < 600; levels++) {
        make_u32(&m, 1);
        sizes_at[levels] = m.at;
        make_u16(&m, 0);
        make_u16(&m, *xml_type);
        if (levels < 599)
            make_again(&m, at);
    }
    for (unsigned i = 0; i < levels; i++) {
        uint32_t n = m.at - sizes_at[i] - 4;
        uint8_t *p = m.file + MAKE_HEAD + sizes_at[i];
        p[0] = (uint8_t)n;
        p[1] = (uint8_t)(n >> 8);
    }
    make_record_end(&m);
    make_record(&m);
    make_plain();
    make_record_end(&m);
    make_chunk_end(&m);
    /* 40 to the power of 8 were it done to the end. */
    assert_int_equal(count(make_end(&m), 0), 1);
    assert_int_equal(evtx_counts(x)->lost, 1);
}

static void elements_without_end_and_counts_without_measure_are_cut(void **state)
{
    make_begin(&m);
    make_record(&m);
    uint32_t at = make_template(&m);
    for (int i = 0; i < 1000; i++) {
        make_open(&m, "a", true, false);
        make_u8(&m, 2);
    }
    make_template_end(&m, at);
    make_u32(&m, 0xffffffff);
    make_record_end(&m);
    make_record(&m);
    make_u16(&m, 0x010c);
    make_u32(&m, 7);
    make_u32(&m, 0xfffffff0);
    make_values(&m, 1, (uint16_t[]){ 2 }, (uint8_t[]){ 0x01 });
    make_u16(&m, 'x');
    make_record_end(&m);
    make_chunk_end(&m);
    /* The first has nothing, the second has values whose template is not there. */
    only_event(make_end(&m));
    is("Data", "x");
    assert_int_equal(e.notes, EVENT_DAMAGED);
    assert_int_equal(evtx_next(x, &e), 0);
    assert_int_equal(evtx_counts(x)->lost, 1);
}

/* ---- files ---- */

static void a_real_event_has_the_fields_of_its_rules(void **state)
{
    struct sm_buf json = { 0 };

    only_event(sample("9b4e7c2a-3f6d-4a8b-b5e9-1c7d3f2e6a4b.evtx"));
    assert_ok(event_json(&e, names, &json));
    assert_string_equal(sm_buf_str(&json), "{\"@timestamp\":\"2026-04-17T05:24:53.0888491Z\","
        "\"@host\":\"swachchhanda\","
        "\"@product\":\"windows\",\"@format\":\"evtx\",\"@severity\":6,\"Provider_Name\":\"Microsoft-Windows-Sysmon\","
        "\"Provider_Guid\":\"{5770385f-c22a-43e0-bf4c-06f5698ffbd9}\",\"EventID\":17,\"Version\":1,\"Level\":4,"
        "\"Task\":17,\"Opcode\":0,"
        "\"Keywords\":\"0x8000000000000000\",\"TimeCreated_SystemTime\":\"2026-04-17T05:24:53.0888491Z\","
        "\"EventRecordID\":83237,"
        "\"Execution_ProcessID\":3208,\"Execution_ThreadID\":1724,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\","
        "\"Computer\":\"swachchhanda\",\"Security_UserID\":\"S-1-5-18\",\"RuleName\":\"-\","
        "\"EventType\":\"CreatePipe\","
        "\"UtcTime\":\"2026-04-17 05:24:53.079\",\"ProcessGuid\":\"{0197231e-c424-69e1-c922-000000000800}\","
        "\"ProcessId\":15596,"
        "\"PipeName\":\"\\\\REDSUN\",\"Image\":\"C:\\\\Users\\\\xodih\\\\Downloads\\\\RedSun.exe\","
        "\"User\":\"swachchhanda\\\\xodih\"}");
    sm_buf_wipe(&json);
}

static void a_record_that_is_half_lost_gives_its_other_half(void **state)
{
    assert_int_equal(count(sample("language-pack.evtx"), 0), 17);
    assert_int_equal(evtx_counts(x)->damaged, 1);
    assert_int_equal(evtx_counts(x)->bad_chunks, 1);
    assert_true(evtx_counts(x)->dirty);
    assert_int_equal(evtx_counts(x)->lost, 0);
}

static void what_is_no_event_log_is_refused(void **state)
{
    static uint8_t zero[200000];

    assert_int_equal(evtx_open(x, SM_SPAN("", 0), 0), -SM_EFORMAT);
    assert_int_equal(evtx_next(x, &e), 0);
    assert_int_equal(evtx_open(x, SM_SPAN(zero, sizeof zero), 0), -SM_EFORMAT);
    assert_int_equal(evtx_open(x, SM_SPAN_STR("ElfFile"), 0), -SM_EFORMAT);
    assert_true(evtx_is(sample("two-chunks.evtx")));
    assert_false(evtx_is(SM_SPAN_STR("<Event>")));
    /* One that was cut off its beginning, and one whose first bytes were overwritten. */
    struct sm_span whole = sample("two-chunks.evtx");
    assert_true(evtx_is(SM_SPAN(whole.p + 5000, whole.n - 5000)));
    assert_true(evtx_is(SM_SPAN(whole.p + 3, whole.n - 3)));
    assert_false(evtx_is(SM_SPAN(whole.p + 8, 4000)));
}

struct source { struct sm_span file; uint64_t shrinks_at; };

static int64_t piece(void *ctx, uint64_t at, void *to, size_t n)
{
    const struct source *s = ctx;
    size_t end = s->shrinks_at < s->file.n ? (size_t)s->shrinks_at : s->file.n;

    if (at >= end)
        return 0;
    n = n < end - at ? n : end - (size_t)at;
    n = n < 10000 ? n : 10000;
    memcpy(to, s->file.p + at, n);
    return (int64_t)n;
}

static int64_t fails(void *ctx, uint64_t at, void *to, size_t n)
{
    return at ? -EIO : piece(ctx, at, to, n);
}

static void a_file_read_in_pieces_gives_the_same(void **state)
{
    struct source s = { sample("two-chunks.evtx"), UINT64_MAX };
    struct evtx_reader r = { piece, &s, s.file.n };
    int whole = count(s.file, 0), n = 0;

    assert_int_equal(whole, 126);
    assert_ok(evtx_open_reader(x, &r, 0));
    while (evtx_next(x, &e) == 1)
        n++;
    assert_int_equal(n, whole);
    assert_int_equal(evtx_counts(x)->bytes, s.file.n);
    /* It becomes shorter while it is read. */
    s.shrinks_at = MAKE_HEAD + MAKE_CHUNK + 20000;
    assert_ok(evtx_open_reader(x, &r, 0));
    for (n = 0; evtx_next(x, &e) == 1;)
        n++;
    assert_true(n > whole / 2 && n < whole);
    r.read = fails;
    assert_ok(evtx_open_reader(x, &r, 0));
    assert_int_equal(evtx_next(x, &e), -EIO);
}

/* ---- damage ---- */

struct seen { uint64_t sum; int n; };

/* Everything that the records with these numbers say. */
static struct seen see(struct sm_span file, uint64_t from, uint64_t to)
{
    struct seen s = { 0 };
    int r = evtx_open(x, file, 0);

    while (r >= 0 && (r = evtx_next(x, &e)) == 1) {
        uint64_t number = evtx_place(x)->number, h = 0;
        if (number < from || number > to || (e.notes & EVENT_DAMAGED))
            continue;
        for (size_t i = 0; i < e.n; i++)
            for (uint32_t k = 0; k < e.fields[i].n; k++)
                h = (h + e.fields[i].p[k] + e.fields[i].name) * 0x9e3779b97f4a7c15u;
        s.sum += h;
        s.n++;
    }
    assert_true(r == 0 || r == -SM_EFORMAT);
    return s;
}

static uint64_t rnd(void)
{
    static uint64_t v = 88172645463325252u;

    v ^= v << 13;
    v ^= v >> 7;
    return v ^= v << 17;
}

struct two { struct sm_span file; uint64_t first[2], last[2]; struct seen seen[2]; };

static struct two two_chunks(void)
{
    struct two t = { .file = sample("two-chunks.evtx") };

    for (int c = 0; c < 2; c++) {
        memcpy(&t.first[c], t.file.p + MAKE_HEAD + c * MAKE_CHUNK + 24, 8);
        memcpy(&t.last[c], t.file.p + MAKE_HEAD + c * MAKE_CHUNK + 32, 8);
        t.seen[c] = see(t.file, t.first[c], t.last[c]);
        assert_int_equal(t.seen[c].n, t.last[c] - t.first[c] + 1);
    }
    return t;
}

static void untouched(const struct two *t, struct sm_span file, int c, const char *what, size_t at)
{
    struct seen s = see(file, t->first[c], t->last[c]);

    if (s.n != t->seen[c].n || s.sum != t->seen[c].sum)
        fail_msg("%s at %zu: %d of %d records of the other chunk, %zu bytes", what, at, s.n, t->seen[c].n, file.n);
}

static void a_flipped_byte_loses_nothing_of_other_chunks_and_little_of_its_own(void **state)
{
    struct two t = two_chunks();
    uint8_t *p = malloc(t.file.n);
    int least = 1000;

    assert_non_null(p);
    for (int i = 0; i < 3000; i++) {
        size_t at = rnd() % t.file.n;
        int c = at >= MAKE_HEAD + MAKE_CHUNK;
        memcpy(p, t.file.p, t.file.n);
        p[at] ^= (uint8_t)(1 + rnd() % 255);
        untouched(&t, SM_SPAN(p, t.file.n), !c, "a flip", at);
        int n = see(SM_SPAN(p, t.file.n), t.first[c], t.last[c]).n;
        least = n < least ? n : least;
    }
    free(p);
    assert_true(least > 0);
}

static void a_cut_loses_only_what_it_cuts_off(void **state)
{
    struct two t = two_chunks();

    for (int i = 0; i < 500; i++) {
        size_t n = MAKE_HEAD + MAKE_CHUNK + rnd() % MAKE_CHUNK;
        uint8_t *p = malloc(n); /* so that the sanitizer sees a read past its end */
        assert_non_null(p);
        memcpy(p, t.file.p, n);
        untouched(&t, SM_SPAN(p, n), 0, "a cut", n);
        free(p);
    }
    for (size_t n = 0; n < MAKE_HEAD + 2000; n += 7)
        (void)see(SM_SPAN(t.file.p, n), 0, UINT64_MAX);
}

static void bytes_lost_or_added_in_one_chunk_leave_the_other_whole(void **state)
{
    struct two t = two_chunks();
    uint8_t *p = malloc(t.file.n + 5000);

    assert_non_null(p);
    for (int i = 0; i < 600; i++) {
        size_t at = MAKE_HEAD + rnd() % MAKE_CHUNK, k = 1 + rnd() % 5000;
        memset(p, 0x41, t.file.n + 5000);
        memcpy(p, t.file.p, at);
        memcpy(p + at + k, t.file.p + at, t.file.n - at);
        untouched(&t, SM_SPAN(p, t.file.n + k), 1, "bytes added", at);
        k = k < MAKE_HEAD + MAKE_CHUNK - at ? k : MAKE_HEAD + MAKE_CHUNK - at;
        memcpy(p + at, t.file.p + at + k, t.file.n - at - k);
        untouched(&t, SM_SPAN(p, t.file.n - k), 1, "bytes lost", at);
    }
    free(p);
}

static void a_template_that_is_destroyed_is_taken_from_another_chunk(void **state)
{
    uint32_t template = 0;

    make_begin(&m);
    make_event(&template);
    make_chunk_end(&m);
    template = 0;
    make_event(&template);
    make_event(&template);
    make_chunk_end(&m);
    struct sm_span file = make_end(&m);
    memset(m.file + MAKE_HEAD + MAKE_CHUNK + template, 0xee, 200);
    assert_ok(evtx_open(x, file, 0));
    while (evtx_next(x, &e) == 1)
        continue;
    assert_int_equal(evtx_place(x)->number, 3);
    is("Provider_Name", "P");
    is("EventID", "4665");
    is("Data", "one\n\nthree");
    assert_int_equal(e.notes, EVENT_DAMAGED);
}

static void heads_of_file_and_chunk_may_be_gone(void **state)
{
    struct two t = two_chunks();
    uint8_t *p = malloc(t.file.n);

    assert_non_null(p);
    memcpy(p, t.file.p, t.file.n);
    memset(p, 0, MAKE_HEAD);
    untouched(&t, SM_SPAN(p, t.file.n), 0, "no head", 0);
    untouched(&t, SM_SPAN(p, t.file.n), 1, "no head", 0);
    memset(p + MAKE_HEAD, 0xff, 512);
    untouched(&t, SM_SPAN(p, t.file.n), 0, "no chunk head", 0);
    untouched(&t, SM_SPAN(p, t.file.n), 1, "no chunk head", 0);
    assert_true(evtx_counts(x)->bad_head);
    untouched(&t, SM_SPAN(t.file.p + MAKE_HEAD, t.file.n - MAKE_HEAD), 0, "chunks alone", 0);
    memset(p, 0, MAKE_HEAD + MAKE_CHUNK);
    untouched(&t, SM_SPAN(p, t.file.n), 1, "an empty chunk", 0);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_value_has_its_text),
        cmocka_unit_test(halves_of_characters_are_replaced_and_said),
        cmocka_unit_test(an_array_is_its_field_several_times),
        cmocka_unit_test(templates_and_what_is_written_out_become_fields_and_xml),
        cmocka_unit_test(what_stands_behind_the_stated_end_comes_only_on_request),
        cmocka_unit_test(a_record_newer_than_the_head_of_its_chunk_is_not_lost),
        cmocka_unit_test(templates_inside_templates_end),
        cmocka_unit_test(elements_without_end_and_counts_without_measure_are_cut),
        cmocka_unit_test(a_real_event_has_the_fields_of_its_rules),
        cmocka_unit_test(a_record_that_is_half_lost_gives_its_other_half),
        cmocka_unit_test(what_is_no_event_log_is_refused),
        cmocka_unit_test(a_file_read_in_pieces_gives_the_same),
        cmocka_unit_test(a_flipped_byte_loses_nothing_of_other_chunks_and_little_of_its_own),
        cmocka_unit_test(a_cut_loses_only_what_it_cuts_off),
        cmocka_unit_test(bytes_lost_or_added_in_one_chunk_leave_the_other_whole),
        cmocka_unit_test(a_template_that_is_destroyed_is_taken_from_another_chunk),
        cmocka_unit_test(heads_of_file_and_chunk_may_be_gone),
    };
    return cmocka_run_group_tests_name("normalise-evtx", tests, set_up, tear_down);
}
