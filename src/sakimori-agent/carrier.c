#include "sakimori-agent/carrier.h"

#include <errno.h>

#include "plat/clock.h"

#define CALL_MS (330 * 1000)     /* a little more than link's own bound */
#define ANSWER_MAX ((size_t)96 << 20)
#define PAUSE_MS 2000

/* u16 status, body; a stream has the status again at its end. */
static int read_answer(const struct sm_buf *b, bool stream, int *ret_status, struct sm_buf *ret_body)
{
    struct sm_rd rd = SM_RD(sm_buf_span(b));
    int status = sm_rd_u16(&rd);
    if (rd.err)
        return -SM_EPROTO;
    if (stream && status == 200 && rd.n >= 2) {
        status = rd.p[rd.n - 2] | rd.p[rd.n - 1] << 8;
        rd.n -= 2;
    }
    *ret_status = status;
    return ret_body ? sm_buf_put(ret_body, rd.p, rd.n) : 0;
}

int carrier_call(struct sm_ipc *link, enum carrier_method method, const char *path, struct sm_span body, int timeout_ms,
    int *ret_status, struct sm_buf *ret_body)
{
    struct sm_buf ask = SM_BUF_INIT(SM_IPC_BODY_MAX), answer = SM_BUF_INIT(ANSWER_MAX);
    if (ret_body)
        sm_buf_clear(ret_body);
    int r = link ? sm_buf_put_u8(&ask, (uint8_t)method) : -SM_EPEER;
    if (!r)
        r = sm_buf_put_u16(&ask, (uint16_t)strlen(path));
    if (!r)
        r = sm_buf_put_span(&ask, SM_SPAN_STR(path));
    if (!r)
        r = sm_buf_put_span(&ask, body);
    if (!r)
        r = sm_ipc_call(link, L_CALL, sm_buf_span(&ask), timeout_ms ? timeout_ms : CALL_MS, &answer, NULL, NULL);
    if (!r)
        r = read_answer(&answer, method == CARRY_STREAM, ret_status, ret_body);
    sm_buf_wipe(&ask);
    sm_buf_wipe(&answer);
    return r;
}

static void parse_into(const struct sm_buf *b, json_t **ret)
{
    *ret = NULL;
    if (b->n)
        (void)sm_json_parse(sm_buf_span(b), ANSWER_MAX, ret, NULL); /* no JSON: the caller sees NULL */
}

int carrier_json(struct sm_ipc *link, const char *path, const json_t *body, int *ret_status, json_t **ret)
{
    struct sm_buf text = SM_BUF_INIT(L_CALL_BODY), answer = SM_BUF_INIT(ANSWER_MAX);
    int r = sm_json_dump(body, &text);
    if (!r)
        r = carrier_call(link, CARRY_POST, path, sm_buf_span(&text), 0, ret_status, &answer);
    if (!r && ret)
        parse_into(&answer, ret);
    sm_buf_wipe(&text);
    sm_buf_wipe(&answer);
    return r;
}

static bool passing(int r, int status)
{
    return r == -SM_EPEER || r == -SM_ETIME || r == -SM_EAGAIN ||
           (!r && (status == 502 || status == 503 || status == 429));
}

int carrier_json_patient(struct sm_ipc *link, const char *path, const json_t *body, uint64_t patience_ms,
    bool (*stop)(void *), void *arg, int *ret_status, json_t **ret)
{
    uint64_t until = plat_clock_mono_ms() + patience_ms;
    for (;;) {
        int r = carrier_json(link, path, body, ret_status, ret);
        if (!passing(r, *ret_status) || plat_clock_mono_ms() > until || (stop && stop(arg)))
            return r;
        if (ret && !r) {
            json_decref(*ret);
            *ret = NULL;
        }
        plat_clock_sleep_ms(PAUSE_MS);
    }
}

int carrier_pack_begin(
    struct sm_ipc *link, const char *path, int fd, uint64_t length, uint64_t bytes_s, sm_ipc_answer_fn fn, void *arg)
{
    struct sm_buf ask = SM_BUF_INIT(4096);
    json_t *o = json_pack("{s:s,s:I,s:I}", "path", path, "length", (json_int_t)length, "bytes_s", (json_int_t)bytes_s);
    int r = o ? sm_json_dump(o, &ask) : -ENOMEM;
    if (!r)
        r = link ? sm_ipc_ask(link, L_PACK, sm_buf_span(&ask), fd, fn, arg) : -SM_EPEER;
    json_decref(o);
    sm_buf_wipe(&ask);
    return r;
}

int carrier_pack_answer(const struct sm_buf *answer, int *ret_status, json_t **ret)
{
    struct sm_buf body = SM_BUF_INIT(SM_IPC_BODY_MAX);
    *ret = NULL;
    int r = read_answer(answer, false, ret_status, &body);
    if (!r)
        parse_into(&body, ret);
    sm_buf_wipe(&body);
    return r;
}
