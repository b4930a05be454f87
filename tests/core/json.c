#include "../test.h"
#include "core/json.h"

static json_t *parsed(const char *text)
{
    json_t *v = NULL;
    char why[160] = "";
    assert_int_equal(sm_json_parse(SM_SPAN_STR(text), 4096, &v, why), 0);
    return v;
}

static void a_broken_text_is_named_by_line_and_column(void **state)
{
    json_t *v = NULL;
    char why[160];
    assert_int_equal(sm_json_parse(SM_SPAN_STR("{\n \"a\": 1,\n}"), 100, &v, why), -SM_EFORMAT);
    assert_int_equal(strncmp(why, "line 3 column ", 14), 0);
    assert_int_equal(sm_json_parse(SM_SPAN_STR(""), 100, &v, why), -SM_EFORMAT);
    assert_int_equal(sm_json_parse(SM_SPAN_STR("{} x"), 100, &v, NULL), -SM_EFORMAT);
    assert_int_equal(sm_json_parse(SM_SPAN("{\"a\":\"\xff\"}", 9), 100, &v, why), -SM_EFORMAT);
    assert_true(sm_utf8_valid(SM_SPAN_STR(why)));
    assert_null(v);
}

static void duplicate_keys_are_refused(void **state)
{
    json_t *v = NULL;
    char why[160];
    assert_int_equal(sm_json_parse(SM_SPAN_STR("{\"a\":1,\"a\":2}"), 100, &v, why), -SM_EFORMAT);
    assert_non_null(strstr(why, "uplicate"));
}

static void depth_and_length_have_limits(void **state)
{
    char deep[128], why[160];
    json_t *v = NULL;
    for (int i = 0; i < 33; i++) {
        deep[i] = '[';
        deep[65 - i] = ']';
    }
    assert_int_equal(sm_json_parse(SM_SPAN(deep, 66), 100, &v, why), -SM_ELIMIT);
    assert_string_equal(why, "line 1 column 33: nested deeper than 32");
    assert_int_equal(sm_json_parse(SM_SPAN(deep + 1, 64), 100, &v, why), 0);
    sm_json_free(&v);
    assert_int_equal(sm_json_parse(SM_SPAN_STR("[\"a\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]"), 100, &v, why), 0);
    sm_json_free(&v);
    assert_int_equal(sm_json_parse(SM_SPAN_STR("[1234]"), 5, &v, why), -SM_ELIMIT);
    assert_string_equal(why, "6 bytes, at most 5 are allowed");
}

static void the_dump_has_one_form(void **state)
{
    json_t *v = parsed("{ \"b\" : [1, true, null], \"a\" : \"\\u9632\" }");
    struct sm_buf b = {0};
    assert_ok(sm_json_dump(v, &b));
    assert_span_is(sm_buf_span(&b), "{\"a\":\"防\",\"b\":[1,true,null]}");
    struct sm_buf small = SM_BUF_INIT(8);
    assert_ok(sm_buf_put_u8(&small, '!'));
    assert_int_equal(sm_json_dump(v, &small), -SM_ELIMIT);
    assert_span_is(sm_buf_span(&small), "!");
    sm_buf_wipe(&small);
    sm_buf_wipe(&b);
    sm_json_free(&v);
}

static void getters_return_what_is_there(void **state)
{
    json_t *v = parsed("{\"s\":\"abc\",\"n\":5,\"t\":true,\"l\":[1],\"o\":{},\"h\":\"00ff\",\"z\":null}");
    struct sm_obj o = SM_OBJ(v);
    uint8_t h[2];
    assert_string_equal(sm_obj_str(&o, "s", 1, 3), "abc");
    assert_null(sm_obj_str_opt(&o, "absent", 3));
    assert_null(sm_obj_str_opt(&o, "z", 3));
    assert_int_equal(sm_obj_int(&o, "n", 1, 5), 5);
    assert_int_equal(sm_obj_int_opt(&o, "absent", 1, 5, -7), -7);
    assert_true(sm_obj_bool(&o, "t", false));
    assert_true(sm_obj_bool(&o, "absent", true));
    assert_int_equal(json_array_size(sm_obj_arr(&o, "l", 1)), 1);
    assert_non_null(sm_obj_obj(&o, "o"));
    assert_null(sm_obj_obj(&o, "absent"));
    sm_obj_hex(&o, "h", h, 2);
    assert_memory_equal(h, "\x00\xff", 2);
    sm_obj_only(&o, (const char *const[]){"s", "n", "t", "l", "o", "h", "z", NULL});
    assert_int_equal(o.err, 0);
    sm_json_free(&v);
}

static void assert_wrong(const char *text, void (*get)(struct sm_obj *), const char *why)
{
    json_t *v = parsed(text);
    struct sm_obj o = SM_OBJ(v);
    get(&o);
    assert_int_equal(o.err, -SM_EINVAL);
    assert_string_equal(o.why, why);
    assert_string_equal(sm_obj_str(&o, "port", 0, 9), "");
    assert_string_equal(o.why, why);
    sm_json_free(&v);
}

static void get_port(struct sm_obj *o)
{
    assert_int_equal(sm_obj_int(o, "port", 1, 65535), 0);
}

static void get_name(struct sm_obj *o)
{
    assert_string_equal(sm_obj_str(o, "name", 1, 3), "");
}

static void get_list(struct sm_obj *o)
{
    assert_null(sm_obj_arr(o, "list", 1));
}

static void get_hex(struct sm_obj *o)
{
    uint8_t h[2];
    sm_obj_hex(o, "id", h, 2);
}

static void get_only(struct sm_obj *o)
{
    sm_obj_only(o, (const char *const[]){"a", NULL});
}

static void the_first_wrong_field_is_named_with_what_is_allowed(void **state)
{
    const char *port = "field \"port\": a whole number from 1 to 65535";
    assert_wrong("{}", get_port, port);
    assert_wrong("{\"port\":0}", get_port, port);
    assert_wrong("{\"port\":65536}", get_port, port);
    assert_wrong("{\"port\":1.5}", get_port, port);
    assert_wrong("{\"port\":\"80\"}", get_port, port);
    assert_wrong("{\"name\":\"\"}", get_name, "field \"name\": text of 1 to 3 bytes");
    assert_wrong("{\"name\":\"防人\"}", get_name, "field \"name\": text of 1 to 3 bytes");
    assert_wrong("{\"list\":[1,2]}", get_list, "field \"list\": a list of at most 1");
    assert_wrong("{\"id\":\"00f\"}", get_hex, "field \"id\": 2 bytes as hexadecimal digits");
    assert_wrong("{\"a\":1,\"b\\n\":1}", get_only, "field \"b?\" is not known here");
    assert_wrong("[]", get_port, "an object is needed");
}

/* jansson's memory with its length in front, so that what is given back can be looked at. */
static bool given_back;

static void *counted_alloc(size_t n)
{
    size_t *p = malloc(n + 2 * sizeof *p);
    if (!p)
        return NULL;
    *p = n;
    return p + 2;
}

static void looking_free(void *p)
{
    size_t *q = p;
    if (!p)
        return;
    given_back |= memmem(p, q[-2], "umi-to-yama", 11) != NULL;
    free(q - 2);
}

static void a_dropped_secret_is_zero_unless_somebody_else_holds_it(void **state)
{
    (void)state;
    json_set_alloc_funcs(counted_alloc, looking_free);
    given_back = false;
    json_t *v = json_pack("{s:s,s:[{s:s}]}", "password", "umi-to-yama-7", "words", "ja", "umi-to-yama-8");
    json_t *held = json_pack("{s:s}", "word", "umi-to-yama-9");
    json_object_set(v, "held", held);
    sm_json_drop_secret(v);
    assert_false(given_back);
    assert_string_equal(json_string_value(json_object_get(held, "word")), "umi-to-yama-9");
    sm_json_drop_secret(held);
    assert_false(given_back);
    json_decref(json_string("umi-to-yama-10"));
    assert_true(given_back); /* the test sees what is not wiped */
    sm_json_drop_secret(NULL);
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_text_is_named_by_line_and_column),
        cmocka_unit_test(duplicate_keys_are_refused),
        cmocka_unit_test(depth_and_length_have_limits),
        cmocka_unit_test(the_dump_has_one_form),
        cmocka_unit_test(getters_return_what_is_there),
        cmocka_unit_test(the_first_wrong_field_is_named_with_what_is_allowed),
        cmocka_unit_test(a_dropped_secret_is_zero_unless_somebody_else_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
