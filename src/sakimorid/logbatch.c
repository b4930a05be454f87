#include "sakimorid/logbatch.h"

const char *log_listener_name(unsigned listener)
{
    static const char *const names[LOG_LISTENERS] = { "?", "udp", "tcp", "tls", "agent" };

    return listener < LOG_LISTENERS ? names[listener] : "?";
}

int log_batch_begin(struct sm_buf *to, const uint8_t stream[16], uint64_t number)
{
    size_t start = to->n;
    int r = sm_buf_put(to, stream, 16);

    if (r >= 0)
        r = sm_buf_put_u64(to, number);
    if (r < 0)
        to->n = start;
    return r;
}

int log_run_begin(struct sm_buf *to, unsigned listener, struct sm_span address, uint32_t bytes)
{
    uint8_t head[LOG_RUN_HEAD] = { (uint8_t)listener, (uint8_t)address.n, 0, 0, (uint8_t)bytes, (uint8_t)(bytes >> 8),
        (uint8_t)(bytes >> 16), (uint8_t)(bytes >> 24) };
    size_t start = to->n;
    int r = address.n > LOG_ADDRESS_MAX ? -SM_ELIMIT : sm_buf_put(to, head, sizeof head);

    if (r >= 0)
        r = sm_buf_put_span(to, address);
    if (r < 0)
        to->n = start;
    return r;
}

int log_record_put(struct sm_buf *to, int64_t seen_ns, bool cut, struct sm_span bytes)
{
    uint32_t n = (uint32_t)bytes.n | (cut ? LOG_CUT : 0);
    uint64_t t = (uint64_t)seen_ns;
    uint8_t head[LOG_RECORD_HEAD];
    int r = bytes.n > LOG_LINE_MAX ? -SM_ELIMIT : sm_buf_reserve(to, sizeof head + bytes.n);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < 4; i++)
        head[i] = (uint8_t)(n >> (8 * i));
    for (unsigned i = 0; i < 8; i++)
        head[4 + i] = (uint8_t)(t >> (8 * i));
    memcpy(to->p + to->n, head, sizeof head);
    if (bytes.n)
        memcpy(to->p + to->n + sizeof head, bytes.p, bytes.n);
    to->n += sizeof head + bytes.n;
    return 0;
}

int log_batch_get(struct sm_span body, struct log_batch *ret)
{
    struct sm_rd rd = SM_RD(body);
    struct log_batch b;

    sm_rd_copy(&rd, b.stream, sizeof b.stream);
    b.number = sm_rd_u64(&rd);
    if (rd.err)
        return -SM_EFORMAT;
    b.runs = SM_SPAN(rd.p, rd.n);
    *ret = b;
    return 0;
}

int log_run_next(struct sm_span *runs, struct log_run *ret)
{
    struct sm_rd rd = SM_RD(*runs);
    struct log_run r;

    if (!runs->n)
        return 0;
    r.listener = sm_rd_u8(&rd);
    uint8_t address = sm_rd_u8(&rd);
    uint16_t zero = sm_rd_u16(&rd);
    uint32_t bytes = sm_rd_u32(&rd);
    r.address = sm_rd_bytes(&rd, address);
    r.records = sm_rd_bytes(&rd, bytes);
    if (rd.err || zero || !r.listener || r.listener >= LOG_LISTENERS || address > LOG_ADDRESS_MAX ||
        !sm_utf8_valid(r.address))
        return -SM_EFORMAT;
    *runs = SM_SPAN(rd.p, rd.n);
    *ret = r;
    return 1;
}

int log_record_next(struct sm_span *records, struct log_record *ret)
{
    struct sm_rd rd = SM_RD(*records);
    struct log_record r;

    if (!records->n)
        return 0;
    uint32_t n = sm_rd_u32(&rd);
    r.seen_ns = (int64_t)sm_rd_u64(&rd);
    r.cut = n & LOG_CUT;
    r.bytes = sm_rd_bytes(&rd, n & ~LOG_CUT);
    if (rd.err || r.bytes.n > LOG_LINE_MAX)
        return -SM_EFORMAT;
    *records = SM_SPAN(rd.p, rd.n);
    *ret = r;
    return 1;
}
