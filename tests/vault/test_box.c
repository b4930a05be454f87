/* The target at another box, over a line that is made up: what a box may answer, and how long it may take. */
#include "tests/test.h"
#include <errno.h>
#include "vault/copy/box_internal.h"

static struct { size_t size, piece; unsigned asked; } there;

int box_http_new(const struct box_http_args *a, struct box_http **ret)
{
    (void)a;
    *ret = NULL;
    return 0;
}

void box_http_free(struct box_http *h)
{
    (void)h;
}

const char *box_http_why(const struct box_http *h)
{
    (void)h;
    return "";
}

int box_http_do(struct box_http *h, const struct box_request *r, struct sm_buf *ret_body)
{
    unsigned long long off = 0;
    size_t length = 0;
    (void)h;
    sm_buf_clear(ret_body);
    if (!strcmp(r->path, "/agent/v1/peer"))
        return sm_buf_printf(ret_body, "{\"used\":0,\"quota\":1,\"seq\":0,\"hash\":\"%064d\"}", 0) ? -ENOMEM : 200;
    there.asked++;
    assert_int_equal(sscanf(r->path, "/agent/v1/peer/file?name=format&offset=%llu&length=%zu", &off, &length), 2);
    size_t n = off < there.size ? there.size - (size_t)off : 0;
    n = n < length ? n : length;
    n = there.piece && n > there.piece ? there.piece : n;
    assert_int_equal(sm_buf_put_u64(ret_body, there.size), 0);
    assert_int_equal(sm_buf_reserve(ret_body, n), 0);
    memset(ret_body->p + ret_body->n, 'x', n);
    ret_body->n += n;
    return 200;
}

static void a_box_that_hands_out_byte_by_byte_is_refused_at_once(void **state)
{
    const struct box_args a = { .url = "https://192.0.2.1:1", .ca = "", .cert = "", .key = "" };
    static uint8_t to[2 << 20];
    char why[BOX_WHY];
    void *t = NULL;
    size_t got = 0;
    assert_int_equal(box_open(&a, &t, why), 0);
    there.size = 1500000;
    assert_int_equal(copy_box.read(t, "format", 0, to, sizeof to, &got), 0);
    assert_true(got == 1500000 && there.asked == 3);
    assert_int_equal(copy_box.read(t, "format", 1499999, to, 10, &got), 0);
    assert_int_equal(got, 1);
    assert_int_equal(copy_box.read(t, "format", 1500000, to, 10, &got), 0);
    assert_int_equal(got, 0);
    there.asked = 0;
    there.piece = 1;
    assert_int_equal(copy_box.read(t, "format", 0, to, sizeof to, &got), -SM_EPROTO);
    assert_int_equal(there.asked, 1);
    copy_box.close(t);
}

static void a_request_ends_however_its_bytes_trickle(void **state)
{
    /* A question, a whole pack on the slowest line that carries a copy, and one that a person slowed down. */
    assert_true(box_limit_ms(0, BOX_ANSWER_MAX / 2, 0) <= 240000);
    uint64_t pack = (uint64_t)64 << 20, all = box_limit_ms(pack, 1024, 0);
    assert_true(all >= pack * 1000 / BOX_RATE_MIN && all <= pack * 1000 / BOX_RATE_MIN + 200000);
    assert_true(box_limit_ms(pack, 1024, 8192) >= pack * 1000 / 8192);
    assert_true(box_limit_ms(pack, 1024, 1) < INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_box_that_hands_out_byte_by_byte_is_refused_at_once),
        cmocka_unit_test(a_request_ends_however_its_bytes_trickle),
    };
    return cmocka_run_group_tests_name("box", tests, NULL, NULL);
}
