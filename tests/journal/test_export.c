#include "../test.h"
#include "kit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "crypto/hash.h"
#include "journal/export.h"
#include "plat/fs.h"

struct out { struct evexport_csv *csv; const struct event_names *names; struct sm_buf b; };

static int csv_row(void *arg, const struct evsearch_hit *h)
{
    struct out *o = arg;

    return evexport_csv_row(o->csv, o->names, h, &o->b);
}

static int json_row(void *arg, const struct evsearch_hit *h)
{
    struct out *o = arg;
    int r = evexport_json(o->names, h, &o->b);

    return r < 0 ? r : sm_buf_put_u8(&o->b, '\n');
}

static void each(struct kit *k, evsearch_fn fn, struct out *o)
{
    struct evsearch s = { .limit = 100, .oldest_first = true };
    struct evreader *r;

    assert_ok(evreader_open(k->dir, &r));
    o->names = evreader_names(r);
    assert_true(evsearch_run(r, &s, fn, o, NULL, NULL) > 0);
    evreader_free(r);
}

static void put(struct kit *k, const char *raw, const char *value)
{
    kit_text(k, 1795000000, raw);
    assert_ok(event_add(&k->e, event_names_add(k->names, SM_SPAN_STR("note")), EVENT_TEXT, SM_SPAN_STR(value)));
    assert_ok(evidence_append(k->j, k->names, &k->e, NULL, NULL));
}

static const char *csv_of(struct kit *k, enum evexport_encoding e, struct out *o)
{
    static const char *const fields[] = { "note", "absent", NULL };

    *o = (struct out){ .b.max = 1 << 20 };
    assert_ok(evexport_csv_new(fields, e, 9 * 3600, true, &o->csv));
    assert_ok(evexport_csv_head(o->csv, &o->b));
    each(k, csv_row, o);
    return sm_buf_str(&o->b);
}

static void csv_quotes_disarms_formulas_and_says_local_time(void **state)
{
    struct kit *k = *state;
    struct out o;

    kit_open(k, NULL);
    put(k, "a,\"b\"", "=HYPERLINK(1)");
    put(k, "x\ny", "-5");
    assert_ok(evidence_flush(k->j));
    const char *text = csv_of(k, EVEXPORT_UTF8_BOM, &o);
    assert_memory_equal(text, "\xef\xbb\xbf\"発生日時\"", 5);
    assert_non_null(strstr(text, "\"2026-11-18 20:06:40\""));
    assert_non_null(strstr(text, ",\"'=HYPERLINK(1)\",\"\",\"a,\"\"b\"\"\"\r\n"));
    assert_non_null(strstr(text, ",\"-5\",\"\",\"x\ny\"\r\n"));
    evexport_csv_free(o.csv);
    sm_buf_wipe(&o.b);
}

static void a_formula_behind_a_number_blanks_or_letters_that_vanish_is_disarmed(void **state)
{
    static const char *const armed[] = { "-1+cmd|' /C calc'!A0", "-2.5-SUM(A1)", " =1", "\n@SUM(1)", "\xef\xbc\x9d""1+1", "\xef\xbc\x8b""1",
        "\xef\xbc\x8d""1", "\xef\xbc\xa0""A", "\xf3\xa0\x80\x81=1", "\xf3\xa0\x81\xbf \xf3\xa0\x80\x80+1" };
    static const char *const calm[] = { "-5", "-0.25", "-", "1-1", "a=b", "\xf3\xa0\x80\x81""a" };
    struct kit *k = *state;
    struct out o;

    kit_open(k, NULL);
    for (size_t i = 0; i < sizeof armed / sizeof *armed; i++)
        put(k, "raw", armed[i]);
    for (size_t i = 0; i < sizeof calm / sizeof *calm; i++)
        put(k, "raw", calm[i]);
    assert_ok(evidence_commit(k->j));
    for (int e = 0; e < 2; e++) {
        const char *text = csv_of(k, e ? EVEXPORT_CP932 : EVEXPORT_UTF8_BOM, &o);
        size_t quotes = 0;
        for (const char *p = text; (p = strstr(p, ",\"'")); p++)
            quotes++;
        assert_int_equal(quotes, sizeof armed / sizeof *armed);
        for (size_t i = 0; i < 3; i++) { /* ",\"=", ",\"+", ",\"@" */
            const char bare[] = { ',', '"', "=+@"[i], 0 };
            assert_null(strstr(text, bare));
        }
        evexport_csv_free(o.csv);
        sm_buf_wipe(&o.b);
    }
}

static void what_cp932_cannot_say_is_replaced_and_counted(void **state)
{
    struct kit *k = *state;
    struct out o;

    kit_open(k, NULL);
    put(k, "患者 😀 한", "髙橋");
    put(k, "\xff\xfe raw", "x");
    assert_ok(evidence_commit(k->j));
    const char *text = csv_of(k, EVEXPORT_CP932, &o);
    assert_non_null(strstr(text, "\x8a\xb3\x8e\xd2 ? ?"));
    assert_non_null(strstr(text, "\xfb\xfc\x8b\xb4")); /* an extension of IBM: in CP932, not in Shift_JIS */
    assert_int_equal(evexport_csv_replaced(o.csv), 2);
    assert_null(strchr(text, (char)0xff)); /* bytes that are no text spoil no file */
    evexport_csv_free(o.csv);
    sm_buf_wipe(&o.b);
}

static void json_lines_hold_raw_as_it_came(void **state)
{
    struct kit *k = *state;
    struct out o = { .b.max = 1 << 20 };

    kit_open(k, NULL);
    put(k, "tab\t \"quoted\" 患者 \x01", "v");
    put(k, "\xff\xfe", "v");
    assert_ok(evidence_commit(k->j));
    each(k, json_row, &o);
    char *line = (char *)(uintptr_t)sm_buf_str(&o.b), *second = strchr(line, '\n');
    assert_non_null(second);
    *second++ = 0;
    json_t *j = json_loads(line, 0, NULL);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "@raw")), "tab\t \"quoted\" 患者 \x01");
    assert_string_equal(json_string_value(json_object_get(j, "note")), "v");
    assert_int_equal(json_integer_value(json_object_get(j, "@id")), 1);
    json_decref(j);
    j = json_loads(second, JSON_DISABLE_EOF_CHECK, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "@raw_base64")), "//4=");
    json_decref(j);
    sm_buf_wipe(&o.b);
}

static int no_fault(void *arg, const struct evverify_finding *f)
{
    (void)arg;
    if (f->kind < EVVERIFY_FAULTS)
        fail_msg("%s at %s", evverify_word(f->kind), f->file);
    return 0;
}

static void an_evidence_pack_is_a_tar_that_verifies_again(void **state)
{
    struct kit *k = *state;
    char tar[96], to[96], cmd[400];
    struct evpack_summary s;
    struct evverify_summary v;
    uint8_t hash[32];
    struct sm_buf sums = { 0 };

    k->conf = (struct evidence_conf){ .block_events = 20, .segment_bytes = 12000 };
    kit_open(k, NULL);
    assert_ok(evseal_begin(&k->seal));
    memcpy(k->key, k->seal.pair.public_key, 32);
    assert_ok(evidence_seal_begin(k->j, k->key));
    kit_fill(k, 0, 400);
    assert_ok(evidence_flush(k->j));
    kit_seal(k);
    snprintf(tar, sizeof tar, "%s.tar", k->dir);
    snprintf(to, sizeof to, "%s.d", k->dir);
    int fd = open(tar, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const struct evpack p = { .from_s = 1795000150, .to_s = 1795000160, .title = "<調査>", .now_s = 1795000400 };
    assert_ok(evpack_write(k->dir, &p, fd, &s));
    close(fd);
    assert_true(s.segments >= 1 && s.segments < 6);
    snprintf(cmd, sizeof cmd, "mkdir %s && tar xf %s -C %s && cd %s/evidence && sha256sum -c SHA256SUMS >/dev/null && "
        "grep -q '&lt;調査' index.html", to, tar, to, to);
    pid_t child = fork();
    if (!child) {
        execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    snprintf(cmd, sizeof cmd, "%s/evidence", to);
    const struct evverify how = { .key = k->key, .part = true };
    assert_ok(evidence_verify(cmd, &how, no_fault, NULL, &v));
    assert_int_equal(v.faults, 0);
    assert_int_equal(v.events, s.events);
    snprintf(cmd, sizeof cmd, "%s/evidence/SHA256SUMS", to);
    assert_ok(plat_fs_read_file(AT_FDCWD, cmd, 1 << 16, &sums));
    crypto_sha256(sm_buf_span(&sums), hash);
    assert_memory_equal(hash, s.digest, 32);
    sm_buf_wipe(&sums);
    assert_ok(unlink(tar));
    assert_ok(plat_fs_remove_tree(AT_FDCWD, to));
}

static void a_time_without_events_gives_no_pack(void **state)
{
    struct kit *k = *state;
    struct evpack_summary s;
    const struct evpack p = { .from_s = 5, .to_s = 6 };

    kit_open(k, NULL);
    kit_fill(k, 0, 10);
    assert_ok(evidence_flush(k->j));
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(evpack_write(k->dir, &p, fd, &s), -SM_ENOTFOUND);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
        T(csv_quotes_disarms_formulas_and_says_local_time),
        T(a_formula_behind_a_number_blanks_or_letters_that_vanish_is_disarmed),
        T(what_cp932_cannot_say_is_replaced_and_counted),
        T(json_lines_hold_raw_as_it_came),
        T(an_evidence_pack_is_a_tar_that_verifies_again),
        T(a_time_without_events_gives_no_pack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
