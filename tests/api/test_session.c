/* Signing in, waiting, ends of sessions, CSRF, first set-up, passwords. */
#include "api_kit.h"
#include <stdio.h>
#include "crypto/pass.h"
#include "crypto/totp.h"
#include "plat/clock.h"

static void totp_of(char ret[CRYPTO_TOTP_CODE], int64_t s)
{
    uint8_t secret[20];
    assert_int_equal(sm_unhex(KIT_TOTP, 40, secret, 20), 0);
    crypto_totp_code(SM_SPAN(secret, 20), (uint64_t)s / 30, ret);
}

static void with_totp(struct kit *k)
{
    json_t *p = NULL;
    assert_int_equal(state_row(k->state, STATE_person_by_account, &p, STATE_ARGS(state_t("director"))), 0);
    assert_int_equal(state_do(k->state, STATE_person_reset,
                         STATE_ARGS(state_t(json_string_value(json_object_get(p, "pass"))), state_t(KIT_TOTP),
                             state_i(1), state_t(NULL), state_t(json_string_value(json_object_get(p, "id"))))),
        1);
    assert_int_equal(state_do(k->state, STATE_person_password,
                         STATE_ARGS(state_t(json_string_value(json_object_get(p, "pass"))), state_i(0),
                             state_t(json_string_value(json_object_get(p, "id"))))),
        1);
    json_decref(p);
}

static void the_right_password_signs_in(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "staff", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/session", NULL), 200);
    assert_string_equal(kit_str(k, "kind"), "person");
    assert_true(strstr(k->token, "__Host-sakimori=") == k->token);
}

static void five_wrong_passwords_lock_the_account_and_the_wait_doubles(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    for (int i = 4; i >= 0; i--) {
        assert_int_equal(kit_sign_in(k, "staff", "wrong-one-1", NULL), 401);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(k->body, "error"), "tries_left")), i);
    }
    assert_int_equal(kit_sign_in(k, "staff", KIT_PASSWORD, NULL), 423);
    assert_in_range(json_integer_value(json_object_get(json_object_get(k->body, "error"), "wait_s")), 290, 300);
    kit_clock(k, 301);
    for (int i = 0; i < 5; i++)
        assert_int_equal(kit_sign_in(k, "staff", "wrong-one-1", NULL), 401);
    assert_int_equal(kit_sign_in(k, "staff", KIT_PASSWORD, NULL), 423);
    assert_in_range(json_integer_value(json_object_get(json_object_get(k->body, "error"), "wait_s")), 590, 600);
    kit_clock(k, 301 + 601);
    assert_int_equal(kit_sign_in(k, "staff", KIT_PASSWORD, NULL), 200);
}

static void an_unknown_account_is_told_nothing_else_than_a_wrong_password(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "nobody-here", "wrong-one-1", NULL), 401);
    json_t *first = json_incref(k->body);
    assert_int_equal(kit_sign_in(k, "staff", "wrong-one-1", NULL), 401);
    assert_true(json_equal(first, k->body));
    json_decref(first);
}

static void one_address_is_slowed_over_all_accounts(void **state)
{
    struct kit *k = *state;
    char account[32];
    kit_people(k);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(account, sizeof account, "guess%d", i);
        assert_int_equal(kit_sign_in(k, account, "wrong-one-1", NULL), 401);
    }
    assert_int_equal(kit_sign_in(k, "staff", KIT_PASSWORD, NULL), 423);
}

static void a_code_works_once(void **state)
{
    struct kit *k = *state;
    char code[CRYPTO_TOTP_CODE];
    kit_people(k);
    with_totp(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 401);
    assert_string_equal(kit_code(k), "totp_needed");
    totp_of(code, plat_clock_wall().s);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, code), 200);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, code), 401);
    assert_string_equal(kit_code(k), "not_signed_in");
}

static void without_the_csrf_token_nothing_changes(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    me.csrf = NULL;
    assert_int_equal(kit_call(k, &me, "PUT", "/api/v1/contacts", "{\"items\":[]}"), 403);
    assert_string_equal(kit_code(k), "csrf");
    me.csrf = "0000000000000000000000000000000000000000000000000000000000000000";
    assert_int_equal(kit_call(k, &me, "DELETE", "/api/v1/session", NULL), 403);
    me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "PUT", "/api/v1/contacts", "{\"items\":[]}"), 200);
}

static void half_an_hour_of_rest_ends_a_session_but_not_the_staffs(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    kit_clock(k, 29 * 60);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/session", NULL), 200);
    kit_clock(k, 29 * 60 + 31 * 60);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/session", NULL), 401);
    assert_int_equal(kit_sign_in(k, "staff", KIT_PASSWORD, NULL), 200);
    me = kit_me(k);
    kit_clock(k, 60 * 60 + 11 * 3600);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/session", NULL), 200);
    kit_clock(k, 60 * 60 + 13 * 3600);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/session", NULL), 401);
}

static void no_session_is_longer_than_twelve_hours(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    for (int i = 1; i <= 35; i++) {
        kit_clock(k, i * 20 * 60);
        assert_int_equal(kit_call(k, &me, "GET", "/api/v1/session", NULL), 200);
    }
    kit_clock(k, 36 * 20 * 60 + 1);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/session", NULL), 401);
}

static void a_vendors_access_ends_with_its_time(void **state)
{
    struct kit *k = *state;
    json_t *p = NULL;
    kit_people(k);
    assert_int_equal(state_row(k->state, STATE_person_by_account, &p, STATE_ARGS(state_t("vendor"))), 0);
    assert_int_equal(state_do(k->state, STATE_person_change,
                         STATE_ARGS(state_t("vendor"), state_t("vendor"), state_i(plat_clock_wall().s + 600),
                             state_t(json_string_value(json_object_get(p, "id"))))),
        1);
    json_decref(p);
    assert_int_equal(kit_sign_in(k, "vendor", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/devices", NULL), 200);
    kit_clock(k, 601);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/devices", NULL), 401);
    assert_int_equal(kit_sign_in(k, "vendor", KIT_PASSWORD, NULL), 401);
}

static void a_vendor_without_an_end_is_refused(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(
        kit_call(k, &me, "POST", "/api/v1/people", "{\"account\":\"gyosha\",\"name\":\"業者\",\"role\":\"vendor\"}"),
        400);
    assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "error"), "field")), "until");
}

static void the_first_password_must_be_changed_before_anything_else(void **state)
{
    struct kit *k = *state;
    char first[40], body[200];
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/people",
                         "{\"account\":\"new\",\"name\":\"新人\",\"role\":\"staff\",\"totp\":false}"),
        201);
    (void)snprintf(first, sizeof first, "%s", kit_str(k, "first_password"));
    assert_int_equal(kit_sign_in(k, "new", first, NULL), 200);
    me = kit_me(k);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/today", NULL), 403);
    (void)snprintf(body, sizeof body, "{\"old\":\"%s\",\"new\":\"short-7\"}", first);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/session/password", body), 422);
    assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "error"), "reason")), "short");
    (void)snprintf(body, sizeof body, "{\"old\":\"%s\",\"new\":\"kaze-ga-fuku-19-ji\"}", first);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/session/password", body), 200);
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/today", NULL), 200);
}

static void a_manager_makes_no_director(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(
        kit_call(k, &me, "POST", "/api/v1/people", "{\"account\":\"boss\",\"name\":\"x\",\"role\":\"director\"}"), 403);
    assert_int_equal(kit_call(k, &me, "DELETE", "/api/v1/people/di0123456789abcdef0123456789abcd", NULL), 403);
    assert_int_equal(
        kit_call(k, &me, "PATCH", "/api/v1/people/ma0123456789abcdef0123456789abcd", "{\"role\":\"director\"}"), 403);
}

static void the_last_director_stays(void **state)
{
    struct kit *k = *state;
    kit_people(k);
    assert_int_equal(kit_sign_in(k, "director", KIT_PASSWORD, NULL), 200);
    struct kit_who me = kit_me(k);
    assert_int_equal(
        kit_call(k, &me, "PATCH", "/api/v1/people/di0123456789abcdef0123456789abcd", "{\"role\":\"staff\"}"), 409);
    assert_int_equal(kit_call(k, &me, "DELETE", "/api/v1/people/di0123456789abcdef0123456789abcd", NULL), 409);
}

/* ---- first set-up ---- */

static struct kit_who begin_setup(struct kit *k)
{
    char body[80];
    (void)snprintf(body, sizeof body, "{\"code\":\"%s\"}", json_string_value(json_object_get(k->notes, "setup_code")));
    assert_int_equal(kit_call(k, NULL, "POST", "/api/v1/setup/start", body), 200);
    kit_take_cookie(k);
    (void)snprintf(k->csrf, sizeof k->csrf, "%s", kit_str(k, "csrf"));
    return kit_me(k);
}

static void the_whole_set_up_ends_with_a_director_signed_in(void **state)
{
    struct kit *k = *state;
    struct kit_who me = begin_setup(k);
    char code[CRYPTO_TOTP_CODE], body[64];
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/setup/director",
                         "{\"account\":\"hanako\",\"name\":\"花子\",\"password\":\"tsuki-to-umi-7\"}"),
        409);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/setup/institution",
                         "{\"name\":\"さくら内科\",\"kind\":\"clinic\",\"language\":\"ja\"}"),
        200);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/setup/director",
                         "{\"account\":\"hanako\",\"name\":\"花子\",\"password\":\"ware-wa-hanako-97\"}"),
        422);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(k->body, "error"), "reason")), "contains_name");
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/setup/director",
                         "{\"account\":\"hanako\",\"name\":\"花子\",\"password\":\"tsuki-to-umi-7\"}"),
        200);
    struct sm_buf secret = SM_BUF_INIT(64);
    assert_int_equal(sm_unbase32(SM_SPAN_STR(kit_str(k, "totp_secret")), &secret), 0);
    crypto_totp_code(sm_buf_span(&secret), (uint64_t)plat_clock_wall().s / 30, code);
    sm_buf_wipe(&secret);
    (void)snprintf(body, sizeof body, "{\"code\":\"%s\"}", code);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/setup/director/totp", body), 200);
    assert_int_equal(json_array_size(json_object_get(k->body, "codes")), 10);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/setup/sheet", "{}"), 200);
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/setup/confirm", "{\"answers\":[],\"printed\":false}"), 422);
    json_object_set_new(k->answers, "K_SETUP_CONFIRM", json_integer(-SM_EMISMATCH));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/setup/confirm", "{\"answers\":[],\"printed\":true}"), 422);
    assert_string_equal(kit_code(k), "word_wrong");
    json_object_del(k->answers, "K_SETUP_CONFIRM");
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/setup/confirm", "{\"answers\":[],\"printed\":true}"), 200);
    assert_true(json_is_true(json_object_get(k->body, "done")));
    assert_int_equal(kit_call(k, &me, "GET", "/api/v1/session", NULL), 401); /* the set-up session is over */
    (void)snprintf(body, sizeof body, "{\"code\":\"%s\"}", json_string_value(json_object_get(k->notes, "setup_code")));
    assert_int_equal(kit_call(k, NULL, "POST", "/api/v1/setup/start", body), 409);
}

static void five_wrong_set_up_codes_wait(void **state)
{
    struct kit *k = *state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(
            kit_call(k, NULL, "POST", "/api/v1/setup/start", "{\"code\":\"00000-00000-00000-00000\"}"), 403);
    assert_int_equal(kit_call(k, NULL, "POST", "/api/v1/setup/start", "{\"code\":\"00000-00000-00000-00000\"}"), 429);
}

static void a_confirmation_that_was_lost_by_a_crash_still_ends_the_set_up(void **state)
{
    struct kit *k = *state;
    struct kit_who me = begin_setup(k);
    json_t *step = json_string("confirm");
    assert_int_equal(state_set(k->state, "setup_step", step), 0);
    json_decref(step);
    assert_int_equal(state_do(k->state, STATE_person_add,
                         STATE_ARGS(state_t("p1"), state_t("hanako"), state_t("花子"), state_t("director"), state_i(0),
                             state_t("x"), state_i(0), state_t(NULL), state_i(0), state_t(NULL), state_i(1))),
        1);
    json_object_set_new(k->answers, "K_SETUP_CONFIRM", json_integer(-SM_ESTATE));
    assert_int_equal(kit_call(k, &me, "POST", "/api/v1/setup/confirm", "{\"answers\":[],\"printed\":true}"), 200);
}

static void a_body_of_another_type_is_refused(void **state)
{
    struct kit *k = *state;
    assert_int_equal(kit_call(k, NULL, "POST", "/api/v1/session", "[1,2]"), 400);
    assert_int_equal(kit_call(k, NULL, "POST", "/api/v1/session", "{\"account\":7}"), 400);
    assert_string_equal(json_string_value(json_object_get(json_object_get(k->body, "error"), "field")), "account");
}

#define T(name) cmocka_unit_test_setup_teardown(name, kit_open, kit_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_right_password_signs_in),
        T(five_wrong_passwords_lock_the_account_and_the_wait_doubles),
        T(an_unknown_account_is_told_nothing_else_than_a_wrong_password),
        T(one_address_is_slowed_over_all_accounts),
        T(a_code_works_once),
        T(without_the_csrf_token_nothing_changes),
        T(half_an_hour_of_rest_ends_a_session_but_not_the_staffs),
        T(no_session_is_longer_than_twelve_hours),
        T(a_vendors_access_ends_with_its_time),
        T(a_vendor_without_an_end_is_refused),
        T(the_first_password_must_be_changed_before_anything_else),
        T(a_manager_makes_no_director),
        T(the_last_director_stays),
        T(the_whole_set_up_ends_with_a_director_signed_in),
        T(five_wrong_set_up_codes_wait),
        T(a_confirmation_that_was_lost_by_a_crash_still_ends_the_set_up),
        T(a_body_of_another_type_is_refused),
    };
    return cmocka_run_group_tests_name("api session", tests, NULL, NULL);
}
