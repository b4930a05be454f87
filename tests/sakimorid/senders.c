/* Who sends: one sender takes no room from the others. */
#include "tests/test.h"
#include <jansson.h>
#include "sakimorid/watch/watch.h"

static struct watch w;

static struct origin *stream(const char *device, unsigned n)
{
    char address[LOG_ADDRESS_MAX + 1];

    snprintf(address, sizeof address, "%s/log%u", device, n);
    struct origin *o = origin_of(&w, LOG_AGENT, SM_SPAN_STR(address));
    assert_non_null(o);
    return o;
}

static void a_machine_that_names_ever_new_logs_takes_no_room_from_others(void **state)
{
    for (unsigned i = 0; i < 2000; i++)
        (void)stream("aaaa", i);
    assert_true(w.origins_n <= STREAMS_OF_ONE + 1);
    assert_ptr_equal(stream("aaaa", 1500), stream("aaaa", 1501)); /* the rest of them are one */
    assert_string_equal(stream("aaaa", 1500)->address, "aaaa/");
    assert_string_equal(stream("aaaa", 3)->address, "aaaa/log3");
    struct origin *other = stream("aaa", 0); /* another machine: its records are still joined */
    assert_string_equal(other->address, "aaa/log0");
    assert_non_null(other->state);
}

static void names_of_machines_never_make_a_message_longer_than_it_may_be(void **state)
{
    struct event e = { .seen = { .s = 1795000000 }, .time = { .s = 1795000000 } };
    size_t told = 0, made = 0, lots = 0;
    char address[32], host[100];

    w.names = event_names_new();
    assert_non_null(w.names);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(address, sizeof address, "192.0.2.%u", i);
        struct origin *o = origin_of(&w, LOG_UDP, SM_SPAN_STR(address));
        assert_non_null(o);
        for (unsigned k = 0; k < 200; k++) {
            memset(host, 1, sizeof host); /* six letters each in JSON */
            host[97] = (char)('a' + k / 26);
            host[98] = (char)('a' + k % 26);
            struct source *s = source_of(&w, o, SM_SPAN((const uint8_t *)host, 99));
            assert_non_null(s);
            source_saw(&w, s, &e);
            made++;
        }
    }
    while (w.changed) {
        struct source *next;
        json_t *list = sources_lot(&w, &next), *body = json_pack("{sO}", "sources", list);
        assert_true(json_array_size(list) > 0);
        assert_true(json_dumpb(body, NULL, 0, JSON_COMPACT) <= msg_find(W_SOURCES)->body_max);
        told += json_array_size(list);
        w.changed = next;
        lots++;
        json_decref(body);
        json_decref(list);
    }
    assert_int_equal(told, made);
    assert_true(lots > 1); /* all of them at once would be too long */
    event_names_free(w.names);
    w.names = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_machine_that_names_ever_new_logs_takes_no_room_from_others),
        cmocka_unit_test(names_of_machines_never_make_a_message_longer_than_it_may_be) };
    int r = cmocka_run_group_tests(tests, NULL, NULL);

    sources_free(&w);
    return r;
}
