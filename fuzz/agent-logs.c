/* What the part that reads logs is fed: bytes of files, a place file, fields of a journal.  Cut into records anywhere,
 * the records are the same; what is kept is read back or refused. */
#include <stdlib.h>
#include <string.h>
#include "core/json.h"
#include "crypto/init.h"
#include "sakimori-agent/logs/cursor.h"
#include "sakimori-agent/logs/cut.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* All lines of bytes, given step at a time as a file that grows gives them. */
static void cut(struct sm_span bytes, size_t step, struct sm_buf *to)
{
    struct log_cut how = {.limit = 1 << 16, .seen_ns = 1};
    struct log_cut_done d;
    size_t at = 0, end = 0;
    while (at < bytes.n) {
        end = end + step < bytes.n ? end + step : bytes.n;
        how.last = end == bytes.n;
        if (log_cut_lines(&how, SM_SPAN(bytes.p + at, end - at), to, &d) || d.used > end - at)
            abort();
        how.inside = d.inside;
        at += d.used;
        if (how.last && !d.used)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct sm_buf whole = SM_BUF_INIT((size_t)16 << 20), pieces = SM_BUF_INIT((size_t)16 << 20);
    struct log_cursor c;
    if (crypto_init() || n < 1 || n > 1 << 20)
        return 0;
    struct sm_span bytes = SM_SPAN(data + 1, n - 1);
    cut(bytes, bytes.n + 1, &whole);
    cut(bytes, 1 + data[0], &pieces);
    if (!sm_span_eq(sm_buf_span(&whole), sm_buf_span(&pieces)))
        abort();
    sm_buf_clear(&whole);
    if (log_export_field(&whole, bytes))
        abort();
    if (!log_cursor_parse(bytes, &c))
        log_cursor_wipe(&c);
    sm_buf_wipe(&whole);
    sm_buf_wipe(&pieces);
    return 0;
}
