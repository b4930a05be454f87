/* Moments as people write them.  Who gives no zone means Japan's time, as everything on the screens is. */
#include <string.h>
#include "api/internal.h"

enum { JST_S = 9 * 3600, DAY_S = 86400 };

bool api_moment(const char *text, bool end, int64_t *ret_s)
{
    char full[40];
    struct sm_time t;
    size_t n = text ? strlen(text) : 0;

    if (n >= 20 && sm_time_parse(text, &t) == 0) {
        *ret_s = t.s;
        return true;
    }
    if (n != 10 && n != 16 && n != 19)
        return false;
    (void)snprintf(full, sizeof full, "%s%s+09:00", text, n == 10 ? "T00:00:00" : n == 16 ? ":00" : ""); /* fits */
    if (sm_time_parse(full, &t) < 0)
        return false;
    *ret_s = t.s + (end && n == 10 ? DAY_S : 0);
    return true;
}

bool api_moment_zoned(const char *text)
{
    return text && strlen(text) >= 20;
}
