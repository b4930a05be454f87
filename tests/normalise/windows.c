/*
 * Windows events as XML and JSON: the fields of EVTX.  The large set of ../shared/data/detection (or SAKIMORI_SHARED)
 * is read where it is there: every record of every event log, and every regression case against its JSON.
 */
#include "../test.h"
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>
#include "normalise/evtx.h"
#include "normalise/json.h"
#include "normalise/windows.h"

extern char **environ;

static struct event_names *names;
static struct event e, from_evtx;
static struct evtx *x;
static struct windows *w;

static int set_up(void **state)
{
    names = event_names_new();
    return names && event_init(&e) == 0 && event_init(&from_evtx) == 0 && evtx_new(names, &x) == 0 &&
        windows_new(names, &w) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    windows_free(w);
    evtx_free(x);
    event_wipe(&e);
    event_wipe(&from_evtx);
    event_names_free(names);
    return 0;
}

static void is(const char *name, const char *value)
{
    const struct event_field *f = event_get(&e, event_names_add(names, SM_SPAN_STR(name)));

    if (!f)
        fail_msg("no %s", name);
    if (f->n != strlen(value) || memcmp(f->p, value, f->n))
        fail_msg("%s is '%.*s', not '%s'", name, (int)f->n, (const char *)f->p, value);
}

static void absent(const char *name)
{
    assert_null(event_get(&e, event_names_add(names, SM_SPAN_STR(name))));
}

static int xml(const char *text)
{
    event_clear(&e);
    return windows_xml(w, SM_SPAN_STR(text), 9 * 3600, &e);
}

static int json(const char *text)
{
    event_clear(&e);
    return windows_json(w, SM_SPAN_STR(text), 9 * 3600, &e);
}

/* ---- XML ---- */

static void an_event_as_xml_has_the_fields_of_evtx(void **state)
{
    assert_ok(xml("<?xml version=\"1.0\" encoding=\"utf-16\"?><e:Event xmlns:e='x'><e:System><e:Provider "
        "Name='a&amp;b' "
        "Guid='{5770385F-C22A-43E0-BF4C-06F5698FFBD9}'/><e:EventID Qualifiers='5'>7036</e:EventID><e:Level>3</e:Level>"
        "<e:Correlation/>"
        "<e:TimeCreated SystemTime='2019-03-02T08:51:00.008567000Z'/><e:Computer>PC</e:Computer></e:System>"
        "\n<e:EventData>"
        "<e:Data>a</e:Data>\n<e:Data/><e:Data>b</e:Data><e:Data Name='Logon Type'>3</e:Data><e:Data Name='Empty'/>"
        "<e:Binary>00FF</e:Binary>"
        "</e:EventData><e:UserData><X xmlns='y'><Param1 k='v'>1</Param1><Param2><![CDATA[<>]]></Param2></X>"
        "</e:UserData>"
        "<e:RenderingInfo Culture='ja-JP'><e:Message>本文</e:Message><e:Level>警告</e:Level></e:RenderingInfo></e:Event>"));
    is("Provider_Name", "a&b");
    is("Provider_Guid", "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}");
    is("EventID", "7036");
    assert_int_equal(event_get(&e, EVENT_F_EventID)->type, EVENT_NUMBER);
    is("EventID_Qualifiers", "5");
    is("TimeCreated_SystemTime", "2019-03-02T08:51:00.0085670Z");
    is("Data", "a\n\nb");
    is("LogonType", "3");
    is("Empty", "");
    is("Binary", "00FF");
    is("Param1", "1");
    is("Param1_k", "v");
    is("Param2", "<>");
    is("Message", "本文");
    is("RenderingInfo_Level", "警告");
    absent("Correlation");
    assert_int_equal(e.time.s, 1551516660);
    assert_int_equal(e.time.ns, 8567000);
    assert_int_equal(e.severity, 4);
    assert_span_is(e.host, "PC");
    assert_int_equal(e.product, EVENT_W_windows);
    assert_int_equal(e.notes, 0);
}

static void xml_that_is_no_event_or_dangerous_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "<a/>", "<Event>", "<Event><System/></Event>", "<Event><System><Provider Name='",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><Event><System><EventID>1</EventID></System></Event>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><Event><System><EventID>1</EventID></System></Event>",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (xml(bad[i]) != -SM_EFORMAT)
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(e.n, 0);
    }
}

static void xml_that_breaks_off_gives_what_was_read(void **state)
{
    assert_ok(xml("<Event><System><EventID>1</EventID></System><EventData><Data Name='a'>b</Data><Data Name='c'>d"));
    assert_int_equal(e.notes & EVENT_DAMAGED, EVENT_DAMAGED);
    is("a", "b");
    absent("c");
    char deep[4000] = "<Event><System><EventID>1</EventID></System><UserData>";
    for (int i = 0; i < 200; i++)
        (void)snprintf(deep + strlen(deep), 8, "<a>");
    assert_ok(xml(deep));
    assert_int_equal(e.notes & EVENT_DAMAGED, EVENT_DAMAGED);
}

static void events_of_a_batch_are_told_apart(void **state)
{
    const char *text = "<?xml version='1.0'?><!-- <Event> --><Events><Event a='/>'><x><![CDATA[</Event>]]></x><Event>"
        "in</Event></Event>\n"
        "<e:Event/></Events>";
    struct sm_span all = SM_SPAN_STR(text), one;

    size_t n = windows_xml_frame(all, &one);
    assert_span_is(one, "<Event a='/>'><x><![CDATA[</Event>]]></x><Event>in</Event></Event>");
    for (size_t k = 0; k < n; k++)
        assert_int_equal(windows_xml_frame(SM_SPAN(text, k), &one), 0);
    all = SM_SPAN(text + n, all.n - n);
    n = windows_xml_frame(all, &one);
    assert_span_is(one, "<e:Event/>");
    assert_int_equal(windows_xml_frame(SM_SPAN(all.p + n, all.n - n), &one), 0);
}

/* ---- JSON ---- */

static void winlogbeat_has_the_fields_of_evtx(void **state)
{
    assert_ok(json("{\"@timestamp\":\"2026-11-15T08:32:11.123Z\",\"message\":\"m\","
        "\"log\":{\"level\":\"information\"},\"winlog\":{\"channel\":"
        "\"Security\",\"event_id\":\"4625\",\"provider_name\":\"P\","
        "\"provider_guid\":\"{54849625-5478-4994-A5BA-3E3B0328C30D}\",\"computer_name\":\"PC1\","
        "\"record_id\":77,\"keywords\":[\"Audit Failure\"],\"opcode\":\"Info\",\"task\":\"Logon\","
        "\"process\":{\"pid\":700,\"thread\":{\"id\":4}},"
        "\"event_data\":{\"TargetUserName\":\"jimu\",\"LogonType\":\"3\"}}}"));
    is("Channel", "Security");
    is("EventID", "4625");
    assert_int_equal(event_get(&e, EVENT_F_EventID)->type, EVENT_NUMBER);
    is("Provider_Name", "P");
    is("Provider_Guid", "{54849625-5478-4994-a5ba-3e3b0328c30d}");
    is("Computer", "PC1");
    is("EventRecordID", "77");
    is("Execution_ProcessID", "700");
    is("Execution_ThreadID", "4");
    is("TargetUserName", "jimu");
    is("LogonType", "3");
    is("Message", "m");
    is("RenderingInfo_Task", "Logon");
    is("RenderingInfo_Keywords", "Audit Failure");
    is("TimeCreated_SystemTime", "2026-11-15T08:32:11.1230000Z");
    is("log.level", "information");
    absent("Task");
    assert_int_equal(e.time.s, 1794731531);
    assert_span_is(e.host, "PC1");
}

static void nxlog_has_the_fields_of_evtx(void **state)
{
    assert_ok(json("{\"Keywords\":-9223372036854775808,\"EventType\":\"INFO\","
        "\"SourceName\":\"Microsoft-Windows-Sysmon\",\"Hostname\":\"PC\",\"EventID\":13,"
        "\"Opcode\":\"Info\",\"OpcodeValue\":0,\"ExecutionProcessID\":12,\"ThreadID\":5,\"UserID\":\"S-1-5-18\","
        "\"RecordNumber\":9,"
        "\"EventTime\":\"2020-09-22 04:28:20\",\"Channel\":\"Microsoft-Windows-Sysmon/Operational\","
        "\"ProcessId\":\"960\"}"));
    is("Keywords", "0x8000000000000000");
    is("Provider_Name", "Microsoft-Windows-Sysmon");
    is("Computer", "PC");
    is("Opcode", "0");
    is("RenderingInfo_Opcode", "Info");
    is("RenderingInfo_Level", "INFO");
    absent("EventType");
    is("Execution_ProcessID", "12");
    is("Security_UserID", "S-1-5-18");
    is("EventRecordID", "9");
    is("ProcessId", "960");
    assert_int_equal(e.notes, EVENT_NO_ZONE);
    assert_int_equal(e.time.s, 1600716500); /* 04:28:20 in Japan */
    assert_ok(json("{\"EventType\":\"SetValue\",\"EventID\":13,\"Channel\":\"c\"}"));
    is("EventType", "SetValue");
    assert_int_equal(e.notes, EVENT_NO_TIME);
}

static void attributes_come_in_many_spellings(void **state)
{
    static const char *const same[] = {
        "{\"Event\":{\"@xmlns\":\"x\",\"System\":{\"Provider\":{\"@Name\":\"P\"},\"EventID\":{\"#text\":\"1000\","
            "\"@Qualifiers\":\"0\"},\"TimeCreated\":"
        "{\"@SystemTime\":\"2026-11-15T08:32:11+09:00\"},\"Correlation\":null},"
        "\"EventData\":{\"Data\":[{\"@Name\":\"A B\",\"#text\":\"1\"},\"x\",\"y\"]}}}",
        "{\"Event\":{\"#attributes\":{\"xmlns\":\"x\"},\"System\":{\"Provider\":{\"#attributes\":{\"Name\":\"P\"}},"
        "\"EventID\":{\"#attributes\":{\"Qualifiers\":0},"
        "\"#text\":1000},\"TimeCreated\":{\"#attributes\":{\"SystemTime\":\"2026-11-14T23:32:11Z\"}}},"
        "\"EventData\":{\"AB\":1,\"Data\":{\"#text\":[\"x\",\"y\"]}}}}",
        "{\"System\":{\"Provider_attributes\":{\"Name\":\"P\"},\"EventID\":1000,"
        "\"EventID_attributes\":{\"Qualifiers\":0},\"TimeCreated_attributes\":"
        "{\"SystemTime\":\"2026-11-14T23:32:11Z\"}},\"EventData\":{\"A B\":1,\"Data\":[\"x\",\"y\"]}}",
    };
    for (size_t i = 0; i < 3; i++) {
        assert_ok(json(same[i]));
        is("Provider_Name", "P");
        is("EventID", "1000");
        is("EventID_Qualifiers", "0");
        is("AB", "1");
        is("Data", "x\ny");
        is("TimeCreated_SystemTime", "2026-11-14T23:32:11.0000000Z");
        assert_int_equal(e.time.s, 1794699131);
        assert_int_equal(e.n, 6);
    }
}

static void json_that_is_no_event_is_refused(void **state)
{
    static const char *const bad[] = { "", "{}", "{\"a\":1}", "[1]", "{\"EventID\":1", "{\"EventID\":1}}" };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(json(bad[i]), -SM_EFORMAT);
        assert_int_equal(e.n, 0);
    }
}

/* ---- the same event in three forms ---- */

static struct sm_span slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *p = malloc(8 << 20);

    assert_non_null(p);
    if (!f)
        fail_msg("cannot read %s", path);
    size_t n = fread(p, 1, 8 << 20, f);
    (void)fclose(f);
    return SM_SPAN(p, n);
}

static struct sm_span trimmed(struct sm_span s)
{
    while (s.n && s.p[s.n - 1] <= ' ')
        s.n--;
    while (s.n && s.p[0] <= ' ') {
        s.p++;
        s.n--;
    }
    return s;
}

/*
 * What the JSON of the regression cases was made without: blanks at the ends of texts, the last digit of times; and
 * people wrote a few letters of paths small.
 */
static bool alike(struct sm_span a, struct sm_span b)
{
    a = trimmed(a);
    b = trimmed(b);
    if (a.n == 28 && b.n == 28 && a.p[27] == 'Z')
        return !memcmp(a.p, b.p, 26);
    return a.n == b.n && (!a.n || !strncasecmp((const char *)a.p, (const char *)b.p, a.n));
}

static void each_of(const struct event *a, const struct event *b, bool exact, const char *what)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct event_field *f = &a->fields[i], *g = event_get(b, f->name);
        while (g && !(exact ? sm_span_eq(event_value(f), event_value(g)) : alike(event_value(f), event_value(g))))
            g = event_next(b, g);
        if (!g)
            fail_msg("%s: %.*s '%.*s' is not in the other", what, (int)event_names_text(names, f->name).n,
                (const char *)event_names_text(names, f->name).p, (int)f->n, (const char *)f->p);
    }
    assert_int_equal(a->time.s, b->time.s);
    assert_int_equal(a->severity, b->severity);
    assert_true(sm_span_eq(a->host, b->host));
}

/* BASE.evtx, its own XML, and BASE.json if there is one.  How many events. */
static int same_in_all_forms(const char *base)
{
    char path[4096];
    struct sm_buf text = { 0 };
    int n = 0;

    (void)snprintf(path, sizeof path, "%s.evtx", base);
    struct sm_span file = slurp(path);
    (void)snprintf(path, sizeof path, "%s.json", base);
    struct sm_span all = slurp(path), rest = all;
    assert_ok(evtx_open(x, file, 0));
    while (evtx_next(x, &from_evtx) == 1) {
        text.n = 0;
        assert_ok(evtx_xml(x, &text));
        event_clear(&e);
        assert_ok(windows_xml(w, sm_buf_span(&text), 0, &e));
        assert_true(windows_xml_detect(sm_buf_span(&text)) > 90);
        each_of(&from_evtx, &e, true, path);
        each_of(&e, &from_evtx, true, path);
        size_t k = json_frame(rest);
        event_clear(&e);
        assert_ok(windows_json(w, SM_SPAN(rest.p, k), 0, &e));
        assert_true(windows_json_detect(SM_SPAN(rest.p, k)) > 90);
        each_of(&from_evtx, &e, false, path);
        each_of(&e, &from_evtx, false, path);
        rest = SM_SPAN(rest.p + k, rest.n - k);
        n++;
    }
    assert_int_equal(json_frame(rest), 0);
    sm_buf_wipe(&text);
    free((void *)file.p);
    free((void *)all.p);
    return n;
}

static void one_event_has_the_same_fields_as_evtx_xml_and_json(void **state)
{
    static const char *const cases[] = {
        "a7c3e5f2-8b1d-4e9a-b6c2-3d7f5e8a9b4c", "9e3cb244-bdb8-4632-8c90-6079c8f4f16d",
            "d4f1a2b3-7c8e-4d5f-b6a9-1e0c2d3f4e5b",
        "7595ba94-cf3b-4471-aa03-4f6baa9e5fad", "9b4e7c2a-3f6d-4a8b-b5e9-1c7d3f2e6a4b",
    };
    char base[600];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)snprintf(base, sizeof base, DATA "/%s", cases[i]);
        assert_int_equal(same_in_all_forms(base), 1);
    }
}

/* ---- the large set ---- */

static char work[64];

static bool run(const char *const argv[])
{
    pid_t pid;
    int status;

    return posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) == 0 && waitpid(pid, &status,
        0) == pid && status == 0;
}

/* Where the set is, unpacked into work; false when it is not there. */
static bool unpacked(char set[512])
{
    static const char *const packs[] = { "eas", "haya", "evtxrs", "sigma" };
    const char *shared = getenv("SAKIMORI_SHARED");
    char pack[600];

    (void)snprintf(set, 512, "%s/data/detection/evtx", shared ? shared : SHARED);
    (void)snprintf(pack, sizeof pack, "%s/record-counts.tsv", set);
    if (access(pack, R_OK)) {
        printf("skipped: no %s\n", pack);
        return false;
    }
    (void)snprintf(work, sizeof work, "/tmp/sakimori-evtx-XXXXXX");
    assert_non_null(mkdtemp(work));
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(pack, sizeof pack, "%s/%s.tar.zst", set, packs[i]);
        assert_true(run((const char *const[]){ "tar", "--zstd", "-xf", pack, "-C", work, NULL }));
    }
    return true;
}

/* "set/file<TAB>records<TAB>xml records<TAB>note". */
static void one_line(char *line)
{
    char *save = NULL, *name = strtok_r(line, "\t\n", &save), *records = strtok_r(NULL, "\t\n", &save);
    char path[1024];
    uint64_t n = 0;
    int r;

    (void)snprintf(path, sizeof path, "%s/%s", work, name);
    struct sm_span file = slurp(path);
    assert_ok(evtx_open(x, file, 0));
    while ((r = evtx_next(x, &e)) == 1)
        n++;
    assert_int_equal(r, 0);
    uint64_t want = strtoull(records, NULL, 10);
    const struct evtx_counts *c = evtx_counts(x);
    /* More only where the other library lost some of a damaged chunk. */
    if (n < want || (n > want && !c->bad_chunks))
        fail_msg("%s: %llu of %llu records", name, (unsigned long long)n, (unsigned long long)want);
    if (!c->bad_chunks && (c->damaged || c->lost))
        fail_msg("%s: sound, and %llu damaged", name, (unsigned long long)c->damaged);
    free((void *)file.p);
}

static void every_record_of_every_log_of_the_large_set_is_read(void **state)
{
    char set[512], path[600], line[2048];
    int files = 0;

    if (!unpacked(set))
        skip();
    (void)snprintf(path, sizeof path, "%s/record-counts.tsv", set);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (*line != '#') {
            one_line(line);
            files++;
        }
    (void)fclose(f);
    assert_true(files >= 375);
}

static void every_regression_case_has_the_fields_of_its_json(void **state)
{
    char find[200], line[1024];
    int n = 0;

    if (!*work)
        skip();
    (void)snprintf(find, sizeof find, "%s/list", work);
    char script[400];
    (void)snprintf(script, sizeof script, "find '%s/sigma' -name '*.evtx' > '%s'", work, find);
    assert_true(run((const char *const[]){ "sh", "-c", script, NULL }));
    FILE *f = fopen(find, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        line[strlen(line) - 6] = 0;
        n += same_in_all_forms(line);
    }
    (void)fclose(f);
    assert_int_equal(n, 168);
    assert_true(run((const char *const[]){ "rm", "-rf", work, NULL }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_as_xml_has_the_fields_of_evtx),
        cmocka_unit_test(xml_that_is_no_event_or_dangerous_is_refused),
        cmocka_unit_test(xml_that_breaks_off_gives_what_was_read),
        cmocka_unit_test(events_of_a_batch_are_told_apart),
        cmocka_unit_test(winlogbeat_has_the_fields_of_evtx),
        cmocka_unit_test(nxlog_has_the_fields_of_evtx),
        cmocka_unit_test(attributes_come_in_many_spellings),
        cmocka_unit_test(json_that_is_no_event_is_refused),
        cmocka_unit_test(one_event_has_the_same_fields_as_evtx_xml_and_json),
        cmocka_unit_test(every_record_of_every_log_of_the_large_set_is_read),
        cmocka_unit_test(every_regression_case_has_the_fields_of_its_json),
    };
    return cmocka_run_group_tests_name("normalise-windows", tests, set_up, tear_down);
}
