/* Every route as every caller, against the table and against a matrix written from the documents. */
#include "api_kit.h"
#include <stdio.h>
#include "api/routes.h"
#include "plat/fs.h"

#define CERT_F "fedcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedcbafedc"
#define CERT "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"
static const struct {
    char letter;
    unsigned bit;
} callers[] = { { 'N', API_NOBODY }, { 'U', API_SETUP }, { 'C', API_COUNTER }, { 'S', API_STAFF }, { 'V', API_VENDOR },
    { 'M', API_MANAGER }, { 'D', API_DIRECTOR }, { 'a', API_DEVICE }, { 's', API_STRANGER }, { 'P', API_MONITOR },
    { 'F', API_PEER } };

static struct sm_buf roles = SM_BUF_INIT(65536), openapi = SM_BUF_INIT(1 << 20);

/* The letters for a route, NULL when the file does not know it. */
static const char *letters_of(const char *method, const char *path)
{
    static char letters[32];
    char want[256];
    (void)snprintf(want, sizeof want, "\n%s %s ", method, path);
    const char *p = strstr(sm_buf_str(&roles), want);
    if (!p)
        return NULL;
    p += strlen(want);
    (void)snprintf(letters, sizeof letters, "%.*s", (int)strcspn(p, "\n"), p);
    return letters;
}

static void fill_path(const char *pattern, char ret[512])
{
    size_t n = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '{') {
            ret[n++] = *pattern;
            continue;
        }
        memset(ret + n, 'e', 64);
        n += 64;
        pattern = strchr(pattern, '}');
    }
    ret[n] = 0;
}

/* As the caller, with a fresh session, since a route may end it. */
static int call_as(struct kit *k, unsigned bit, const struct api_route *route)
{
    struct kit_who who = { 0 };
    char path[512];
    fill_path(route->path, path);
    if (bit & (API_STAFF | API_VENDOR | API_MANAGER | API_DIRECTOR)) {
        assert_int_equal(kit_sign_in(k, api_caller_name(bit), KIT_PASSWORD, NULL), 200);
        who = kit_me(k);
    } else if (bit == API_COUNTER) {
        assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
        who = kit_me(k);
        assert_int_equal(kit_call(k, &who, "POST", "/api/v1/counter", "{\"name\":\"受付\"}"), 201);
        kit_take_cookie(k);
        who = (struct kit_who){ .cookie = k->token };
    } else if (bit == API_MONITOR) {
        assert_int_equal(kit_sign_in(k, "manager", KIT_PASSWORD, NULL), 200);
        who = kit_me(k);
        assert_int_equal(kit_call(k, &who, "POST", "/api/v1/monitors", "{\"name\":\"vendor\"}"), 201);
        static char token[80];
        (void)snprintf(token, sizeof token, "%s", kit_str(k, "token"));
        who = (struct kit_who){ .bearer = token };
    } else if (bit & (API_DEVICE | API_STRANGER | API_PEER)) {
        who = (struct kit_who){ .port = "agent", .cert = bit == API_DEVICE ? CERT : bit == API_PEER ? CERT_F : NULL,
            .cn = bit == API_PEER ? "peer-fedcba" : "abcdef" };
    }
    if (bit == API_SETUP) {
        char body[80];
        (void)snprintf(
            body, sizeof body, "{\"code\":\"%s\"}", json_string_value(json_object_get(k->notes, "setup_code")));
        assert_int_equal(kit_call(k, NULL, "POST", "/api/v1/setup/start", body), 200);
        kit_take_cookie(k);
        (void)snprintf(k->csrf, sizeof k->csrf, "%s", kit_str(k, "csrf"));
        who = kit_me(k);
    }
    return kit_call(k, &who, route->method, path, route->body == API_JSON ? "{}" : NULL);
}

/* Did the table let the caller through to the handler? */
static bool let_in(const struct kit *k, unsigned bit, const struct api_route *route)
{
    const char *code = kit_code(k);
    if (route->path[1] == 'a' && route->path[2] == 'g' && !(bit & (API_DEVICE | API_STRANGER | API_PEER)) &&
        !strcmp(code, "not_found"))
        return false;
    if ((!strncmp(route->path, "/api", 4) || !strcmp(route->path, "/metrics")) && (bit & (API_DEVICE | API_STRANGER | API_PEER)) && !strcmp(code, "not_found"))
        return false;
    if (!strcmp(code, "setup_needed") && strcmp(route->act, "hello") != 0)
        return false;
    if (k->status == 401)
        return !strcmp(route->act, "session") && bit == API_NOBODY; /* its own answer */
    return strcmp(code, "denied") != 0;
}

static void walk(struct kit *k, unsigned bit, char letter)
{
    for (size_t i = 0; i < api_routes_n; i++) {
        const struct api_route *r = &api_routes[i];
        const char *letters = letters_of(r->method, r->path);
        if (!letters)
            fail_msg("%s %s is not in roles.txt", r->method, r->path);
        bool want = strchr(letters, letter) != NULL;
        if (want != ((r->who & bit) != 0))
            fail_msg("%s %s: table and documents differ about %s", r->method, r->path, api_caller_name(bit));
        (void)call_as(k, bit, r);
        if (let_in(k, bit, r) != want)
            fail_msg("%s %s as %s: %d %s, wanted %s", r->method, r->path, api_caller_name(bit), k->status, kit_code(k),
                want ? "in" : "out");
    }
}

static void every_route_lets_in_exactly_whom_the_documents_name(void **state)
{
    struct kit *k = *state;
    char device[33];
    kit_people(k);
    kit_device(k, CERT, device);
    kit_peer(k, CERT_F, device);
    for (size_t c = 0; c < sizeof callers / sizeof *callers; c++)
        if (callers[c].bit != API_SETUP)
            walk(k, callers[c].bit, callers[c].letter);
}

static void the_set_up_session_may_only_set_up(void **state)
{
    walk(*state, API_SETUP, 'U');
}

static void the_matrix_names_no_route_that_is_not_there(void **state)
{
    (void)state;
    size_t lines = 0;
    for (const char *p = sm_buf_str(&roles); (p = strchr(p, '\n')) != NULL; p++)
        lines += p[1] && p[1] != '#' && p[1] != '\n';
    assert_int_equal(lines, api_routes_n);
}

static void the_ports_know_nothing_of_each_others_routes(void **state)
{
    struct kit *k = *state;
    const struct kit_who agent = { .port = "agent" };
    assert_int_equal(kit_call(k, &agent, "GET", "/api/v1/setup", NULL), 404);
    assert_int_equal(kit_call(k, NULL, "GET", "/agent/v1/hello", NULL), 404);
}

static void another_method_is_405_and_another_path_404(void **state)
{
    struct kit *k = *state;
    assert_int_equal(kit_call(k, NULL, "PUT", "/api/v1/setup", NULL), 405);
    assert_string_equal(json_string_value(json_object_get(k->headers, "Allow")), "GET, HEAD");
    assert_int_equal(kit_call(k, NULL, "GET", "/api/v1/setup/", NULL), 404);
    assert_int_equal(kit_call(k, NULL, "GET", "/api/v1/../setup", NULL), 404);
    assert_int_equal(kit_call(k, NULL, "GET", "/", NULL), 404);
}

static void a_revoked_machine_is_a_stranger(void **state)
{
    struct kit *k = *state;
    char device[33];
    const struct kit_who agent = { .port = "agent", .cert = CERT };
    kit_people(k);
    kit_device(k, CERT, device);
    assert_int_equal(kit_call(k, &agent, "POST", "/agent/v1/poll", "{}"), 200);
    assert_int_equal(state_do(k->state, STATE_device_revoke, STATE_ARGS(state_t("lost"), state_t(device))), 1);
    assert_int_equal(kit_call(k, &agent, "POST", "/agent/v1/poll", "{}"), 401);
}

static void the_local_join_code_is_for_the_owner_of_the_box_alone(void **state)
{
    struct kit *k = *state;
    const json_int_t root = 0, somebody = 54321;
    const struct kit_who owner = { .port = "local", .uid = &root }, guest = { .port = "local", .uid = &somebody },
                         remote = { .uid = &root }, unknown = { .port = "local" };
    assert_int_equal(kit_call(k, &owner, "POST", "/api/v1/local/join-code", "{}"), 409); /* set-up first */
    kit_people(k);
    assert_int_equal(kit_call(k, &guest, "POST", "/api/v1/local/join-code", "{}"), 403);
    assert_int_equal(kit_call(k, &remote, "POST", "/api/v1/local/join-code", "{}"), 403);
    assert_int_equal(kit_call(k, &unknown, "POST", "/api/v1/local/join-code", "{}"), 403);
    assert_int_equal(kit_call(k, &owner, "POST", "/api/v1/local/join-code", "{}"), 201);
    assert_true(!strncmp(kit_str(k, "code"), "SKJ2-", 5));
}

static void the_description_of_the_api_names_every_route(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_routes_n; i++) {
        char path[300], method[16];
        (void)snprintf(path, sizeof path, "\n  %s:\n", api_routes[i].path);
        const char *at = strstr(sm_buf_str(&openapi), path), *end = at ? strstr(at + 3, "\n  /") : NULL;
        size_t n = 0;
        for (const char *m = api_routes[i].method; *m; m++)
            method[n++] = (char)(*m + 32);
        method[n] = 0;
        char want[32];
        (void)snprintf(want, sizeof want, "\n    %s:\n", method);
        const char *found = at ? strstr(at, want) : NULL;
        if (!found || (end && found > end))
            fail_msg("%s %s is not in docs/openapi.yaml", api_routes[i].method, api_routes[i].path);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_route_lets_in_exactly_whom_the_documents_name, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(the_set_up_session_may_only_set_up, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(the_matrix_names_no_route_that_is_not_there, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(the_ports_know_nothing_of_each_others_routes, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(another_method_is_405_and_another_path_404, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_revoked_machine_is_a_stranger, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(the_local_join_code_is_for_the_owner_of_the_box_alone, kit_open, kit_close),
        cmocka_unit_test(the_description_of_the_api_names_every_route),
    };
    if (argc < 3 || plat_fs_read_file(AT_FDCWD, argv[2], 1 << 20, &openapi) < 0 ||
        plat_fs_read_file(AT_FDCWD, argv[1], 65536, &roles) < 0)
        return 2;
    int r = cmocka_run_group_tests_name("api routes", tests, NULL, NULL);
    sm_buf_wipe(&roles);
    sm_buf_wipe(&openapi);
    return r;
}
