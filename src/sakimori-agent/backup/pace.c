#include "sakimori-agent/backup/pace.h"

/* What was earned since the last look.  A clock that stands still or goes back earns nothing. */
static void earn(struct pace *p, uint64_t now_ms)
{
    uint64_t passed = now_ms > p->at_ms ? now_ms - p->at_ms : 0;
    unsigned __int128 earned = (unsigned __int128)passed * p->rate / 1000;
    p->at_ms = now_ms;
    p->owed = earned >= p->owed ? 0 : p->owed - (uint64_t)earned;
}

void pace_limit(struct pace *p, uint64_t bytes_s, uint64_t now_ms)
{
    if (bytes_s == p->rate)
        return;
    earn(p, now_ms);
    p->rate = bytes_s;
    if (!bytes_s)
        p->owed = 0;
}

void pace_sent(struct pace *p, uint64_t bytes, uint64_t now_ms)
{
    if (!p->rate)
        return;
    earn(p, now_ms);
    p->owed = p->owed > UINT64_MAX - bytes ? UINT64_MAX : p->owed + bytes;
}

uint64_t pace_wait_ms(struct pace *p, uint64_t now_ms)
{
    if (!p->rate)
        return 0;
    earn(p, now_ms);
    unsigned __int128 burst = (unsigned __int128)p->rate * PACE_BURST_MS / 1000;
    if (p->owed <= burst)
        return 0;
    unsigned __int128 ms = ((unsigned __int128)p->owed - burst) * 1000 / p->rate + 1;
    return ms > UINT32_MAX ? UINT32_MAX : (uint64_t)ms;
}
