/* ClickHouse without a server: what queries become, what is taken of settings and answers, and what is there. */
#include "../test.h"
#include "house_kit.h"

#include "journal/house_int.h"

static void becomes(const char *query, const char *exact, const char *least)
{
    struct sm_buf a = SM_BUF_INIT(1 << 20), b = SM_BUF_INIT(1 << 20);
    struct evquery *q = NULL;

    assert_ok(evquery_parse(SM_SPAN_STR(query), 32400, &q, NULL));
    assert_ok(house_where(q, &a, &b));
    assert_string_equal(sm_buf_str(&a), exact);
    assert_string_equal(sm_buf_str(&b), least);
    evquery_free(q);
    sm_buf_wipe(&a);
    sm_buf_wipe(&b);
}

static void queries_become_conditions(void **state)
{
    (void)state;
    becomes("", "1", "1");
    becomes("患者", "(position(plain,'患者')>0 OR position(text,'患者')>0)",
        "(position(plain,'患者')>0 OR position(text,'患者')>0)");
    becomes("ＡＢＣ",
        "(match(plain,'(?s)(?:^|[^0-9a-z])abc(?:$|[^0-9a-z])') OR match(text,'(?s)(?:^|[^0-9a-z])abc(?:$|[^0-9a-z])'))",
        "(position(plain,'abc')>0 OR position(text,'abc')>0)");
    becomes("mimi*", "(match(plain,'(?s)(?:^|[^0-9a-z])mimi.*') OR match(text,'(?s)(?:^|[^0-9a-z])mimi[^\\\\x00]*'))",
        "(position(plain,'mimi')>0 OR position(text,'mimi')>0)");
    becomes("Image=C:\\\\x.exe",
        "(arrayExists((n,v)->lower(n)='image' AND lower(v)='c:\\\\x.exe',names,if(empty(wide),vals,wide)))",
        "(position(plain,'c:\\\\x.exe')>0 OR position(text,'c:\\\\x.exe')>0)");
    becomes("port>=5", "(arrayExists((n,v,x,a)->lower(n)='port' AND x>=5,names,vals,nums,addrs))", "1");
    becomes("port<2.5",
        "(arrayExists((n,v,x,a)->lower(n)='port' AND "
        "x<reinterpretAsFloat64(unhex('0000000000000440')),names,vals,nums,addrs))",
        "1");
    becomes("ip:192.0.2.0/24",
        "(arrayExists((n,a)->lower(n)='ip' AND (a!='' AND a>=unhex('00000000000000000000ffffc0000200') AND "
        "a<=unhex('00000000000000000000ffffc00002ff')),names,addrs))",
        "1");
    becomes("host:srv1 -x:*",
        "((match(lower(if(empty(wide),vals,wide)[1]),'(?s)(?:^|[^0-9a-z])srv1(?:$|[^0-9a-z])')) AND "
        "NOT ((arrayExists((n,v)->lower(n)='x' AND 1,names,if(empty(wide),vals,wide)))))",
        "1");
    becomes("@time:[2026-11-24 TO 2026-11-24]", "((time>=1795446000 AND time<1795532400))", "1");
    becomes("@severity<3 OR raw:患者", "((toFloat64(severity)<3) OR (position(plain,'患者')>0))", "1");
}

static void what_is_typed_stays_in_quotation_marks(void **state)
{
    (void)state;
    becomes("\"'; DROP TABLE events; --\"",
        "(position(plain,'\\'; drop table events; --')>0 OR position(text,'\\'; drop table events; --')>0)",
        "(position(plain,'\\'; drop table events; --')>0 OR position(text,'\\'; drop table events; --')>0)");
}

static void names_and_addresses_of_servers_are_checked(void **state)
{
    static const struct {
        const char *urls, *database, *user, *ca;
        bool good;
    } rows[] = {{"https://ch1.example.jp:8443, https://[2001:db8::1]", "sakimori", "box", "", true},
        {"http://127.0.0.1:8123", "a_1", "", "/etc/ssl/ca.pem", true}, {"http://localhost", "a", "u", "", true},
        {"http://192.0.2.1:8123", "a", "u", "", false}, {"http://127.0.0.1.example.jp", "a", "u", "", false},
        {"http://localhost@example.jp", "a", "u", "", false}, {"https://a/b", "a", "u", "", false},
        {"https://a?x", "a", "u", "", false}, {"https://", "a", "u", "", false}, {"ftp://a", "a", "u", "", false},
        {"", "a", "u", "", false}, {"https://a", "a`b", "u", "", false}, {"https://a", "", "u", "", false},
        {"https://a", "1a", "u", "", false}, {"https://a", "a", "u:v", "", false},
        {"https://a", "a", "u\nv", "", false}, {"https://a", "a", "u", "ca.pem", false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct house_texts t = {.urls = rows[i].urls,
            .database = rows[i].database,
            .table = "events",
            .user = rows[i].user,
            .password = "p",
            .ca = rows[i].ca};
        struct house_conf c = {0};
        char why[HOUSE_WHY] = "";
        int r = house_conf_get(&t, &c, why);
        if ((r >= 0) != rows[i].good || (r < 0 && !*why))
            fail_msg("%s %s: %d %s", rows[i].urls, rows[i].database, r, why);
    }
}

static void a_schema_takes_names_alone(void **state)
{
    struct sm_buf b = SM_BUF_INIT(64 << 10);

    (void)state;
    assert_ok(house_schema("db", "events", NULL, &b));
    assert_null(strstr(sm_buf_str(&b), "Distributed"));
    sm_buf_clear(&b);
    assert_ok(house_schema("db", "events", "ward", &b));
    assert_non_null(strstr(sm_buf_str(&b), "Distributed(`ward`, `db`, `events_local`"));
    assert_int_equal(house_schema("db", "events", "a', b", &b), -SM_EINVAL);
    assert_int_equal(house_schema("d`b", "events", NULL, &b), -SM_EINVAL);
    sm_buf_wipe(&b);
}

static void the_set_of_blocks_knows_what_is_in_it(void **state)
{
    struct house_set s = {0};

    (void)state;
    assert_false(house_set_has(NULL, 1));
    assert_false(house_set_has(&s, 1));
    assert_ok(house_set_add(&s, 9));
    assert_ok(house_set_add(&s, 3));
    assert_ok(house_set_add(&s, 3));
    assert_int_equal(s.blocks, 2);
    assert_true(house_set_has(&s, 3) && house_set_has(&s, 9));
    assert_false(
        house_set_has(&s, 0) || house_set_has(&s, 8) || house_set_has(&s, 10) || house_set_has(&s, UINT64_MAX));
    assert_int_equal(house_set_add(&s, UINT64_MAX), -SM_ELIMIT);
    assert_int_equal(house_set_add(&s, 0), -SM_ELIMIT);
    house_set_wipe(&s);
}

/* A row as a server gives it back: what house_shown asks for. */
static int get_row(struct event_names *names, struct event *e, uint8_t type, const char *value, size_t n, uint32_t ns)
{
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    struct evsearch_hit hit;

    assert_ok(sm_buf_put_u64(&b, 3));
    assert_ok(sm_buf_put_u64(&b, 77));
    assert_ok(sm_buf_put_u8(&b, 1));
    assert_ok(sm_buf_put_u64(&b, 1795000000));
    assert_ok(sm_buf_put_u32(&b, ns));
    assert_ok(sm_buf_put_u64(&b, 1795000001));
    assert_ok(sm_buf_put_u32(&b, 0));
    assert_ok(sm_buf_put_u64(&b, 2));
    assert_ok(sm_buf_put_u8(&b, 6));
    assert_ok(sm_buf_put_u32(&b, 0));
    for (unsigned k = 0; k < 3; k++) {
        assert_ok(sm_buf_put_varint(&b, HOUSE_OWN + 1));
        for (unsigned i = 0; i <= HOUSE_OWN; i++)
            if (k == 1)
                assert_ok(sm_buf_put_u8(&b, i == HOUSE_OWN ? type : 0));
            else
                assert_ok(
                    sm_buf_put_blob(&b, i == HOUSE_OWN ? k ? SM_SPAN(value, n) : SM_SPAN_STR("v") : SM_SPAN_STR("")));
    }
    assert_ok(sm_buf_put_blob(&b, SM_SPAN_STR("raw")));
    struct sm_rd rd = SM_RD(sm_buf_span(&b));
    int r = house_row_get(&rd, names, e, &hit);
    if (r >= 0 && e->n) /* e borrows of b: looked at now */
        r = e->fields[0].type;
    for (size_t cut = 0; cut < b.n; cut++) {
        struct sm_rd part = SM_RD(SM_SPAN(b.p, cut));
        assert_int_equal(house_row_get(&part, names, e, &hit), -SM_EFORMAT);
    }
    sm_buf_wipe(&b);
    return r;
}

static void rows_of_a_server_are_not_believed(void **state)
{
    struct event_names *names = event_names_new();
    struct event e;

    (void)state;
    assert_ok(event_init(&e));
    assert_int_equal(get_row(names, &e, EVENT_NUMBER, "-12.5e3", 7, 0), EVENT_NUMBER);
    assert_int_equal(get_row(names, &e, EVENT_NUMBER, "1,\"a\":2", 7, 0), EVENT_TEXT);
    assert_int_equal(get_row(names, &e, EVENT_NUMBER, "01", 2, 0), EVENT_TEXT);
    assert_int_equal(get_row(names, &e, EVENT_BOOL, "true", 4, 0), EVENT_BOOL);
    assert_int_equal(get_row(names, &e, EVENT_BOOL, "true}", 5, 0), EVENT_TEXT);
    assert_int_equal(get_row(names, &e, EVENT_NULL, "x", 1, 0), EVENT_TEXT);
    assert_int_equal(get_row(names, &e, 200, "x", 1, 0), EVENT_TEXT);
    assert_int_equal(get_row(names, &e, EVENT_TEXT, "\xe3\x81", 2, 0), -SM_EFORMAT);
    assert_int_equal(get_row(names, &e, EVENT_TEXT, "x", 1, 1000000000), -SM_EFORMAT);
    event_wipe(&e);
    event_names_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_become_conditions),
        cmocka_unit_test(what_is_typed_stays_in_quotation_marks),
        cmocka_unit_test(names_and_addresses_of_servers_are_checked),
        cmocka_unit_test(a_schema_takes_names_alone),
        cmocka_unit_test(the_set_of_blocks_knows_what_is_in_it),
        cmocka_unit_test(rows_of_a_server_are_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
