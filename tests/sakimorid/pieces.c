/* The parts of the box that need no process: message table, request target, console files, mail. */
#include "tests/test.h"
#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"
#include "sakimorid/front/target.h"
#include "sakimorid/front/web.h"
#include "sakimorid/messages.h"
#include "sakimorid/options.h"
#include "sakimorid/out/mail.h"
#include "sakimorid/vault/vaultd.h"

static bool may(unsigned me, unsigned peer, uint16_t type)
{
    struct sm_ipc_rule rules[MSG_ROWS_MAX];
    size_t n = msg_rules(me, peer, rules);

    for (size_t i = 0; i < n; i++)
        if (rules[i].type == type)
            return true;
    return false;
}

static void every_message_has_one_number_and_one_name(void **state)
{
    for (size_t i = 0; i < msg_table_n; i++) {
        assert_ptr_equal(msg_find(msg_table[i].type), &msg_table[i]);
        assert_true(msg_table[i].body_max <= SM_IPC_BODY_MAX);
        assert_int_equal(msg_table[i].from & msg_table[i].to, 0);
        for (size_t k = i + 1; k < msg_table_n; k++)
            assert_string_not_equal(msg_table[i].name, msg_table[k].name);
    }
}

static void the_network_never_reaches_the_restore_key(void **state)
{
    assert_true(may(WHO_KEYD, WHO_FRONT, K_TLS_SIGN));
    assert_false(may(WHO_KEYD, WHO_FRONT, K_UNLOCK));
    assert_false(may(WHO_KEYD, WHO_FRONT, K_OPEN));
    assert_false(may(WHO_KEYD, WHO_VAULT, K_OPEN));
    assert_false(may(WHO_VAULT, WHO_FRONT, V_POLICY));
    assert_false(may(WHO_BRAIN, WHO_OUT, B_HTTP));
    assert_false(msg_channel(WHO_FRONT, WHO_OUT));
    assert_false(msg_channel(WHO_OUT, WHO_VAULT));
    assert_false(msg_channel(WHO_OUT, WHO_KEYD));
    assert_true(msg_channel(WHO_OPENER, WHO_KEYD));
}

static void only_the_vault_says_that_a_change_of_recipients_was_executed(void **state)
{
    assert_true(may(WHO_KEYD, WHO_VAULT, K_CHANGE_TAKE));
    assert_true(may(WHO_KEYD, WHO_VAULT, K_CHANGE_DROP));
    assert_false(may(WHO_KEYD, WHO_BRAIN, K_CHANGE_TAKE));
    assert_false(may(WHO_KEYD, WHO_BRAIN, K_CHANGE_DROP));
    assert_false(may(WHO_KEYD, WHO_FRONT, K_CHANGE_TAKE));
}

static void a_body_comes_apart_as_it_was_put_together(void **state)
{
    json_t *j = json_pack("{si}", "a", 1), *back = NULL;
    struct sm_buf b = SM_BUF_INIT(1 << 16);
    struct sm_span raw;
    char why[160];

    assert_ok(msg_join(j, SM_SPAN("raw", 3), &b));
    assert_ok(msg_split(sm_buf_span(&b), 100, &back, &raw, why));
    assert_true(json_equal(j, back));
    assert_span_is(raw, "raw");
    json_decref(back);
    assert_int_equal(msg_split(sm_buf_span(&b), 3, &back, &raw, why), -SM_ELIMIT);
    assert_int_equal(msg_split(SM_SPAN(b.p, 8), 100, &back, &raw, why), -SM_EFORMAT);
    json_decref(j);
    j = json_array();
    assert_int_equal(msg_join(j, SM_SPAN(NULL, 0), &b), -SM_EINVAL);
    json_decref(j);
    sm_buf_wipe(&b);
}

static void a_refused_target_leaves_nothing_behind(void **state)
{
    struct target t = { .path = "untouched" };
    char *many = calloc(1, 4000), *longest = calloc(1, TARGET_RAW_MAX + 10);

    memset(longest, 'a', TARGET_RAW_MAX + 1);
    longest[0] = '/';
    assert_int_equal(target_parse(longest, &t), -SM_ELIMIT);
    strncat(many, "/?", 3);
    for (int i = 0; i <= TARGET_ARGS_MAX; i++)
        snprintf(many + strlen(many), 20, "a%d=1&", i);
    assert_int_equal(target_parse(many, &t), -SM_ELIMIT);
    assert_int_equal(target_parse("/a/%2e%2E", &t), -SM_EFORMAT);
    assert_string_equal(t.path, "untouched");
    assert_ok(target_parse("/a%20b/?x=%26&y", &t));
    assert_string_equal(t.path, "/a b/");
    assert_string_equal(json_string_value(json_object_get(t.query, "x")), "&");
    assert_string_equal(json_string_value(json_object_get(t.query, "y")), "");
    target_wipe(&t);
    free(many);
    free(longest);
}

static void a_folder_without_index_is_no_console(void **state)
{
    char dir[] = "/tmp/sakimori-web-XXXXXX";
    struct web w = { 0 };

    assert_non_null(mkdtemp(dir));
    assert_int_equal(web_load(dir, &w), -SM_ENOTFOUND);
    assert_int_equal(web_load("/nonexistent/web", &w), -ENOENT);
    assert_int_equal(rmdir(dir), 0);
}

static void a_long_japanese_subject_is_cut_between_characters(void **state)
{
    struct mail m = { .from = "a@b.example", .subject = "「院内のパソコン」のバックアップが二日前から止まっています。確認してください。",
        .text = "本文\n", .host = "b.example", .to = { "c@d.example" }, .to_n = 1, .at = { .s = 1795361925 }, .id = "x-1" };
    struct sm_buf b = SM_BUF_INIT(1 << 16), subject = SM_BUF_INIT(4096);

    assert_ok(mail_compose(&m, &b));
    const char *p = strstr(sm_buf_str(&b), "Subject:");
    assert_non_null(p);
    while ((p = strstr(p, "=?UTF-8?B?")) != NULL) {
        struct sm_buf word = SM_BUF_INIT(200);
        const char *end = strstr(p, "?=");
        assert_true(end - p <= 73);
        assert_ok(sm_unbase64(SM_SPAN(p + 10, (size_t)(end - p - 10)), &word));
        assert_true(sm_utf8_valid(sm_buf_span(&word)));
        assert_ok(sm_buf_put_span(&subject, sm_buf_span(&word)));
        sm_buf_wipe(&word);
        p = end;
    }
    assert_span_is(sm_buf_span(&subject), m.subject);
    assert_non_null(strstr(sm_buf_str(&b), "Date: Mon, 23 Nov 2026 00:38:45 +0900\r\n"));
    assert_non_null(strstr(sm_buf_str(&b), "\r\n\r\n5pys5paHCg==\r\n"));
    for (size_t i = 0; i < b.n; i++)
        assert_true(b.p[i] < 0x80);
    sm_buf_wipe(&b);
    sm_buf_wipe(&subject);
}

static void an_address_cannot_smuggle_a_header(void **state)
{
    struct mail m = { .from = "a@b.example", .subject = "s", .text = "t", .host = "h", .to = { "x@y\r\nBcc: z@z" }, .to_n = 1,
        .id = "1" };
    struct sm_buf b = SM_BUF_INIT(1 << 16);

    assert_int_equal(mail_compose(&m, &b), -SM_EINVAL);
    assert_int_equal(b.n, 0);
    assert_false(mail_address_ok("a b@c"));
    assert_false(mail_address_ok("a@b@c"));
    assert_false(mail_address_ok("<a@b>"));
    assert_false(mail_address_ok("@b"));
    assert_false(mail_address_ok("a@"));
    assert_true(mail_address_ok("jimu+backup@clinic.example.jp"));
    sm_buf_wipe(&b);
}

static void the_printed_settings_read_back_as_the_same(void **state)
{
    struct settings s = { 0 }, again = { 0 };
    struct sm_buf text = SM_BUF_INIT(1 << 16), text2 = SM_BUF_INIT(1 << 16);
    char why[240];

    assert_ok(sm_opt_defaults(options_table, options_n, &s));
    assert_ok(sm_opt_print(options_table, options_n, &s, &text));
    assert_ok(sm_opt_defaults(options_table, options_n, &again));
    assert_ok(sm_opt_parse(options_table, options_n, "x", sm_buf_span(&text), &again, why));
    assert_ok(sm_opt_print(options_table, options_n, &again, &text2));
    assert_true(sm_span_eq(sm_buf_span(&text), sm_buf_span(&text2)));
    json_t *brain = options_for(&s, WHO_BRAIN), *out = options_for(&s, WHO_OUT);
    assert_null(json_object_get(brain, "mail_password"));
    assert_non_null(json_object_get(out, "mail_password"));
    json_decref(brain);
    json_decref(out);
    options_wipe(&s);
    options_wipe(&again);
    sm_buf_wipe(&text);
    sm_buf_wipe(&text2);
}

static json_t *said(const char *id, const char *vault, char head)
{
    char pub[65];
    memset(pub, head, 64);
    pub[64] = 0;
    return json_pack("{s:{s:s,s:s,s:s,s:I}}", "peer", "id", id, "vault", vault, "head_pub", pub, "quota",
        (json_int_t)1 << 40);
}

#define ONE "11111111111111111111111111111111"
#define TWO "22222222222222222222222222222222"

/* Front holds the bytes of strangers: what it says finds a neighbour that brain had opened, and makes none. */
static void front_finds_a_neighbour_and_makes_none(void **state)
{
    char dir[] = "/tmp/sk-peers-XXXXXX", why[COPY_WHY];
    static struct vaultd v;
    struct far_status s;
    struct peer *p = &v.peers[3];
    int r = 0;
    assert_non_null(mkdtemp(dir));
    struct far_config c = { .dir = dir, .quota = 5 };
    memset(c.vault.b, 0x22, 16);
    memset(c.head_pub, 0xaa, 32);
    assert_int_equal(far_open(&c, &p->far, why), 0);
    memset(p->id, 0x11, 16);
    p->vault = c.vault;
    memcpy(p->head_pub, c.head_pub, 32);
    const struct { const char *id, *vault; char head; bool found; } rows[] = { { ONE, TWO, 'a', true },
        { ONE, ONE, 'a', false }, { ONE, TWO, 'b', false }, { TWO, TWO, 'a', false } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *j = said(rows[i].id, rows[i].vault, rows[i].head);
        struct sm_obj o = SM_OBJ(j);
        assert_ptr_equal(peers_find(&v, &o, &r), rows[i].found ? p : NULL);
        assert_int_equal(r, rows[i].found ? 0 : -SM_EAGAIN);
        json_decref(j);
    }
    for (size_t i = 0; i < VAULTD_PEERS_MAX; i++)
        assert_int_equal(v.peers[i].far != NULL, i == 3);
    far_status(p->far, &s);
    assert_int_equal(s.quota, 5);
    far_close(p->far);
    p->far = NULL;
    assert_ok(plat_fs_remove_tree(AT_FDCWD, dir));
}

/* A good code and a bad label: no folder, no slot. */
static void a_label_that_is_none_opens_nothing(void **state)
{
    char dir[] = "/tmp/sk-label-XXXXXX", path[64], why[COPY_WHY] = "";
    static struct child child;
    static struct vaultd v = { .c = &child };
    json_t *j = said(ONE, TWO, 'a');
    struct sm_obj o = SM_OBJ(j);
    int r = 0;
    assert_non_null(mkdtemp(dir));
    child.data = dir;
    for (unsigned i = 0; i < 2 * VAULTD_PEERS_MAX; i++) {
        assert_null(peers_of(&v, &o, "no label", &r, why));
        assert_int_equal(r, -SM_EFORMAT);
    }
    for (size_t i = 0; i < VAULTD_PEERS_MAX; i++)
        assert_null(v.peers[i].far);
    (void)snprintf(path, sizeof path, "%s/peers", dir);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(dir), 0);
    json_decref(j);
}

static void a_change_that_waits_was_cancelled_or_is_none_is_not_brought_to_keyd(void **state)
{
    static struct store_order x; /* large */
    assert_int_equal(cleaning_change_due(NULL), -SM_EINVAL);
    x.state = STORE_ORDER_EXECUTED;
    for (unsigned k = ORDER_DELETE; k <= ORDER_RECIPIENTS; k++) {
        x.kind = (enum order_kind)k;
        assert_int_equal(cleaning_change_due(&x), k == ORDER_RECIPIENTS ? 0 : -SM_EINVAL);
    }
    x.kind = ORDER_RECIPIENTS;
    for (unsigned k = STORE_ORDER_WAITING; k <= STORE_ORDER_REFUSED; k++) {
        x.state = (enum store_order_state)k;
        assert_int_equal(cleaning_change_due(&x), k == STORE_ORDER_EXECUTED ? 0 : -SM_ESTATE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_has_one_number_and_one_name),
        cmocka_unit_test(the_network_never_reaches_the_restore_key),
        cmocka_unit_test(only_the_vault_says_that_a_change_of_recipients_was_executed),
        cmocka_unit_test(a_body_comes_apart_as_it_was_put_together),
        cmocka_unit_test(a_refused_target_leaves_nothing_behind),
        cmocka_unit_test(a_folder_without_index_is_no_console),
        cmocka_unit_test(a_long_japanese_subject_is_cut_between_characters),
        cmocka_unit_test(an_address_cannot_smuggle_a_header),
        cmocka_unit_test(the_printed_settings_read_back_as_the_same),
        cmocka_unit_test(front_finds_a_neighbour_and_makes_none),
        cmocka_unit_test(a_label_that_is_none_opens_nothing),
        cmocka_unit_test(a_change_that_waits_was_cancelled_or_is_none_is_not_brought_to_keyd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
