#include "core/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[128], again[SM_TIME_TEXT], wareki[96];
    if (size >= sizeof text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    struct sm_time t, u;
    if (sm_time_parse(text, &t) < 0)
        return 0;
    sm_time_rfc3339(t, again);
    sm_time_wareki(t, wareki);
    t.ns = t.ns / 1000000 * 1000000;
    /* An offset may carry the first or last hours of the four-digit years beyond them. */
    bool shown = t.s >= -62167219200 && t.s <= 253402300799;
    if (shown && (sm_time_parse(again, &u) < 0 || sm_time_cmp(t, u) != 0))
        abort();
    struct sm_civil c;
    sm_time_civil_jst(t, &c);
    if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > 31 || c.weekday < 0 || c.weekday > 6)
        abort();
    return 0;
}
