/* A bucket's answers, lists, roots and addresses, and a server of a few lines that answers what a test tells it to. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../test.h"
#include "core/time.h"
#include "crypto/init.h"
#include "crypto/sign.h"
#include "vault/copy/s3_internal.h"

/* ---- addresses ---- */

static json_t *address(const char *key, const char *value)
{
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "endpoint", "https://s3.example.jp", "bucket", "clinic", "prefix", "a/b/",
        "region", "ap-northeast-1", "access_key", "AK", "secret_key", "SK+/=");
    if (key)
        json_object_set_new(o, key, json_string(value));
    return o;
}

static void an_address_is_taken_apart_and_a_bad_one_is_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = { { "endpoint", "http://s3.example.jp" }, { "endpoint", "https://s3.example.jp/x" },
        { "endpoint", "ftp://s3.example.jp" }, { "endpoint", "https://user@s3.example.jp" }, { "bucket", "a/b" },
        { "bucket", ".." }, { "prefix", "/a" }, { "prefix", "a//b" }, { "prefix", "a/../b" }, { "prefix", "a b" },
        { "region", "a b" }, { "access_key", "a:b" }, { "access_key", "a\nb" }, { "style", "other" }, { "ca", "relative" } };
    struct s3_conf c;
    char why[S3_WHY] = "";
    json_t *o = address(NULL, NULL);
    assert_int_equal(s3_conf_get(o, &c, why), 0);
    json_decref(o);
    assert_string_equal(c.host, "s3.example.jp");
    assert_string_equal(c.prefix, "a/b/");
    assert_int_equal(c.lock_days, 90);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o = address(bad[i][0], bad[i][1]);
        assert_int_equal(s3_conf_get(o, &c, why), -SM_EINVAL);
        json_decref(o);
    }
    o = address("endpoint", "http://127.0.0.1:7480");
    assert_int_equal(s3_conf_get(o, &c, why), -SM_EINVAL);
    json_object_set_new(o, "plain", json_true());
    assert_int_equal(s3_conf_get(o, &c, why), 0);
    json_object_set_new(o, "endpoint", json_string("http://127.0.0.1.example.com"));
    assert_int_equal(s3_conf_get(o, &c, why), -SM_EINVAL);
    json_decref(o);
}

static void a_url_is_what_the_server_will_sign(void **state)
{
    (void)state;
    struct s3_conf c;
    char why[S3_WHY], url[1024];
    assert_int_equal(s3_conf_url("https://s3.example.jp:8443/clinic/a/b", &c, why), 0);
    assert_int_equal(s3_url(&c, &(struct s3_request){ .key = "vault/packs/ab/x.skp", .version = "v/1+=" }, url, sizeof url), 0);
    assert_string_equal(url, "https://s3.example.jp:8443/clinic/a/b/vault/packs/ab/x.skp?versionId=v%2F1%2B%3D");
    assert_int_equal(s3_url(&c, &(struct s3_request){ .key = "box", .query = "retention=", .version = "v" }, url, sizeof url), 0);
    assert_string_equal(url, "https://s3.example.jp:8443/clinic/a/b/box?retention=&versionId=v");
    c.host_style = true;
    assert_int_equal(s3_url(&c, &(struct s3_request){ .query = "versioning=" }, url, sizeof url), 0);
    assert_string_equal(url, "https://clinic.s3.example.jp:8443/?versioning=");
    assert_int_equal(s3_url(&c, &(struct s3_request){ .key = "box" }, url, 20), -SM_ELIMIT);
}

/* ---- XML ---- */

static void an_answer_is_read_and_what_xml_can_do_besides_is_not(void **state)
{
    (void)state;
    char text[40];
    const char *error = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>a &lt; b</Message></Error>";
    assert_int_equal(s3_xml_text(SM_SPAN_STR(error), "Code", text, sizeof text), 0);
    assert_string_equal(text, "SlowDown");
    assert_int_equal(s3_xml_text(SM_SPAN_STR(error), "Message", text, sizeof text), 0);
    assert_string_equal(text, "a < b");
    const char *bomb = "<!DOCTYPE a [<!ENTITY b \"c\">]><a><d>&b;</d></a>";
    assert_int_equal(s3_xml_text(SM_SPAN_STR(bomb), "d", text, sizeof text), -SM_EFORMAT);
    assert_int_equal(s3_xml_text(SM_SPAN_STR("<a><b>"), "b", text, sizeof text), -SM_EFORMAT);
    assert_int_equal(s3_xml_text(SM_SPAN_STR("not xml"), "b", text, sizeof text), -SM_EFORMAT);
    struct sm_buf deep = SM_BUF_INIT(4096);
    for (int i = 0; i < S3_XML_DEPTH + 1; i++)
        assert_int_equal(sm_buf_printf(&deep, "<a>"), 0);
    assert_int_equal(s3_xml_text(sm_buf_span(&deep), "b", text, sizeof text), -SM_ELIMIT);
    sm_buf_wipe(&deep);
}

/* ---- lists ---- */

static struct s3_name nth(unsigned i)
{
    struct s3_name n = { .kind = i % 3 ? S3_PACK : S3_MANIFEST };
    memcpy(n.id, &i, sizeof i);
    return n;
}

static void a_list_keeps_what_was_put_over_any_order_of_changes(void **state)
{
    (void)state;
    struct s3_list l = { .n = 0 }, again = { .n = 0 };
    struct sm_buf text = SM_BUF_INIT((size_t)1 << 20);
    char version[16];
    s3_list_wipe(&l);
    s3_list_wipe(&again);
    for (unsigned i = 0; i < 3000; i++) {
        struct s3_name n = nth(i), old = nth(i / 2);
        (void)snprintf(version, sizeof version, "v%u", i);
        assert_int_equal(s3_list_set(&l, &n, i, 1000 + i, version), 0);
        if (i % 5 == 0)
            assert_int_equal(s3_list_remove(&l, &old), 0);
    }
    for (size_t at = 0; at < l.n;) { /* in several texts */
        sm_buf_clear(&text);
        assert_int_equal(s3_list_put(&l, true, 10000, &at, &text), 0);
        assert_int_equal(s3_list_get(&again, sm_buf_span(&text)), 0);
    }
    assert_int_equal(again.n, l.n);
    assert_int_equal(again.bytes, l.bytes);
    for (size_t i = 0; i < l.n; i++) {
        const struct s3_entry *e = s3_list_find(&again, &l.v[i].name);
        assert_non_null(e);
        assert_int_equal(e->until, l.v[i].until);
        assert_string_equal(s3_list_version(&again, e), s3_list_version(&l, &l.v[i]));
    }
    /* Only what changed, and what went. */
    s3_list_clean(&l);
    struct s3_name one = l.v[7].name, other = l.v[9].name;
    assert_int_equal(s3_list_set(&l, &one, 5, 77, "new"), 0);
    assert_int_equal(s3_list_remove(&l, &other), 0);
    size_t at = 0;
    sm_buf_clear(&text);
    assert_int_equal(s3_list_put(&l, false, 10000, &at, &text), 0);
    assert_int_equal(s3_list_get(&again, sm_buf_span(&text)), 0);
    assert_int_equal(again.n, l.n);
    assert_null(s3_list_find(&again, &other));
    assert_string_equal(s3_list_version(&again, s3_list_find(&again, &one)), "new");
    s3_list_wipe(&l);
    s3_list_wipe(&again);
    sm_buf_wipe(&text);
}

/* ---- roots ---- */

static void a_root_is_read_back_and_every_changed_byte_of_it_is_noticed(void **state)
{
    (void)state;
    struct crypto_sign_pair pair;
    struct s3_root r = { .number = 12, .at_s = 1800000000, .format = 2, .has_head = true, .tip = { .seq = 9 }, .tip_file = 1,
        .tip_off = 900, .objects = 3, .lists_n = 1 }, back;
    struct sm_buf b = SM_BUF_INIT(S3_ROOT_MAX), message = SM_BUF_INIT(256);
    uint8_t digest[32], sig[64];
    char hex[129];
    memset(r.vault.b, 1, 16);
    r.lists[0] = (struct s3_list_ref){ .number = 5, .size = 100, .until_s = 1800000000, .version = "v" };
    assert_int_equal(crypto_sign_generate(&pair), 0);
    assert_int_equal(s3_root_put(&r, &b), 0);
    memset(sig, 0, sizeof sig);
    sm_hex(sig, 64, hex);
    assert_int_equal(sm_buf_printf(&b, "sig %s\n", hex), 0);
    assert_int_equal(s3_root_get(sm_buf_span(&b), &back, digest, sig), 0);
    assert_int_equal(back.number, 12);
    assert_int_equal(back.lists_n, 1);
    assert_string_equal(back.lists[0].version, "v");
    assert_int_equal(s3_root_message(&r, digest, &message), 0);
    assert_int_equal(crypto_sign(&pair, sm_buf_span(&message), sig), 0);
    for (size_t i = 0; i < b.n - 134; i++) { /* the line with the signature is left out */
        uint8_t other[32];
        b.p[i] ^= 1;
        if (s3_root_get(sm_buf_span(&b), &back, other, sig) == 0) {
            struct sm_buf m = SM_BUF_INIT(256);
            assert_int_equal(s3_root_message(&back, other, &m), 0);
            assert_int_equal(crypto_sign(&pair, sm_buf_span(&message), sig), 0);
            assert_int_equal(crypto_sign_verify(pair.public_key, sm_buf_span(&m), sig), -SM_EAUTH);
            sm_buf_wipe(&m);
        }
        b.p[i] ^= 1;
    }
    sm_buf_wipe(&b);
    sm_buf_wipe(&message);
}

/* ---- a server that says what it is told ---- */

struct server { int fd; uint16_t port; pthread_t thread; const char *answers[8]; size_t n; char seen[8][2048]; size_t asked; };

static void *serve(void *arg)
{
    struct server *s = arg;
    for (size_t i = 0; i < s->n; i++) {
        int c = accept(s->fd, NULL, NULL);
        if (c < 0)
            return NULL;
        ssize_t got = read(c, s->seen[i], sizeof s->seen[i] - 1);
        s->seen[i][got > 0 ? got : 0] = '\0';
        s->asked = i + 1;
        if (*s->answers[i])
            assert_true(write(c, s->answers[i], strlen(s->answers[i])) > 0);
        close(c);
    }
    return NULL;
}

static void start(struct server *s, struct s3_http *h, const atomic_bool *cancel)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    struct s3_conf conf;
    char why[S3_WHY], endpoint[64];
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", ntohs(a.sin_port));
    json_t *o = address("endpoint", endpoint);
    json_object_set_new(o, "plain", json_true());
    assert_int_equal(s3_conf_get(o, &conf, why), 0);
    json_decref(o);
    assert_int_equal(s3_http_init(h, &conf, cancel), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s, struct s3_http *h)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    close(s->fd);
    s3_http_wipe(h);
}

#define NOW "Date: Sun, 22 Nov 2026 21:00:00 GMT\r\n"
#define ERR(status, code) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n<Error><Code>" code "</Code></Error>"

static void every_refusal_has_its_word_and_only_what_passes_is_tried_again(void **state)
{
    (void)state;
    static const struct { const char *answer; int err; const char *reason; size_t asked; } rows[] = {
        { ERR("403 x", "RequestTimeTooSkewed"), -SM_ESTATE, "clock", 1 }, { ERR("403 x", "InvalidAccessKeyId"), -SM_EAUTH, "keys", 1 },
        { ERR("403 x", "SignatureDoesNotMatch"), -SM_EAUTH, "keys", 1 }, { ERR("403 x", "AccessDenied"), -EACCES, "rights", 1 },
        { ERR("404 x", "NoSuchBucket"), -SM_ENOTFOUND, "bucket", 1 }, { ERR("403 x", "QuotaExceeded"), -ENOSPC, "full", 1 },
        { ERR("301 x", "PermanentRedirect"), -SM_EAUTH, "region", 1 }, { ERR("307 x", ""), -SM_EAUTH, "region", 1 },
        { ERR("507 x", ""), -ENOSPC, "full", 1 }, { "HTTP/1.1 404 x\r\nConnection: close\r\n\r\n", -SM_ENOTFOUND, "", 1 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct server s = { .answers = { rows[i].answer, rows[i].answer }, .n = 2 };
        struct s3_http h;
        start(&s, &h, NULL);
        assert_int_equal(s3_http_do(&h, &(struct s3_request){ .method = "GET", .key = "box", .max = 100 }, NULL), rows[i].err);
        assert_string_equal(h.reason, rows[i].reason);
        stop(&s, &h);
        assert_int_equal(s.asked, rows[i].asked);
    }
}

static void a_busy_server_and_a_cut_line_are_tried_again_and_the_lock_goes_with_the_bytes(void **state)
{
    (void)state;
    struct server s = { .answers = { ERR("503 x", "SlowDown"), "",
        "HTTP/1.1 200 OK\r\n" NOW "x-amz-version-id: v9\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }, .n = 3 };
    struct s3_http h;
    struct s3_reply reply;
    start(&s, &h, NULL);
    assert_int_equal(s3_http_do(&h, &(struct s3_request){ .method = "PUT", .key = "vault/x", .body = SM_SPAN_STR("abc"),
        .until_s = 1803158857 }, &reply), 0);
    assert_string_equal(reply.version, "v9");
    stop(&s, &h);
    const char *seen = s.seen[2];
    assert_non_null(strstr(seen, "PUT /clinic/a/b/vault/x HTTP/1.1\r\n"));
    assert_non_null(strstr(seen, "x-amz-object-lock-mode: COMPLIANCE\r\n"));
    assert_non_null(strstr(seen, "x-amz-object-lock-retain-until-date: 2027-02-20T21:27:37Z\r\n"));
    assert_non_null(strstr(seen, "Content-MD5: kAFQmDzST7DWlj99KOF/cg==\r\n"));
    assert_non_null(strstr(seen, "x-amz-content-sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\r\n"));
    assert_non_null(strstr(seen, "Authorization: AWS4-HMAC-SHA256 Credential=AK/"));
    assert_non_null(strstr(seen, "content-md5;host;x-amz-content-sha256;x-amz-date;x-amz-object-lock-mode;"));
    assert_null(strstr(seen, "SK+/="));
}

static void an_answer_that_is_too_long_and_one_that_nobody_waits_for_end(void **state)
{
    (void)state;
    struct server s = { .answers = { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789" }, .n = 1 };
    struct s3_http h;
    struct sm_buf b = SM_BUF_INIT(100);
    atomic_bool cancel = false;
    start(&s, &h, &cancel);
    assert_int_equal(s3_http_do(&h, &(struct s3_request){ .method = "GET", .key = "box", .max = 4, .into = &b }, NULL), -SM_ELIMIT);
    assert_int_equal(b.n, 0);
    atomic_store(&cancel, true);
    assert_int_equal(s3_http_do(&h, &(struct s3_request){ .method = "GET", .key = "box", .max = 4, .into = &b }, NULL), -SM_ECANCEL);
    stop(&s, &h);
    sm_buf_wipe(&b);
}

static int ready(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_taken_apart_and_a_bad_one_is_refused),
        cmocka_unit_test(a_url_is_what_the_server_will_sign),
        cmocka_unit_test(an_answer_is_read_and_what_xml_can_do_besides_is_not),
        cmocka_unit_test(a_list_keeps_what_was_put_over_any_order_of_changes),
        cmocka_unit_test(a_root_is_read_back_and_every_changed_byte_of_it_is_noticed),
        cmocka_unit_test(every_refusal_has_its_word_and_only_what_passes_is_tried_again),
        cmocka_unit_test(a_busy_server_and_a_cut_line_are_tried_again_and_the_lock_goes_with_the_bytes),
        cmocka_unit_test(an_answer_that_is_too_long_and_one_that_nobody_waits_for_end),
    };
    return cmocka_run_group_tests(tests, ready, NULL);
}
