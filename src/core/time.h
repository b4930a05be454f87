/*
 * Times.  Stored: signed 64-bit seconds and nanoseconds, UTC.  Durations come from the
 * monotonic clock.  "Now" always comes from plat/clock.h, never from here.
 */
#ifndef SM_CORE_TIME_H
#define SM_CORE_TIME_H
#include <stdint.h>
#include "core/buf.h"

struct sm_time { int64_t s; uint32_t ns; };
int sm_time_cmp(struct sm_time a, struct sm_time b);
#define SM_TIME_TEXT 40
/* RFC 3339 with Z; milliseconds when ns != 0.  ret has SM_TIME_TEXT bytes. */
void sm_time_rfc3339(struct sm_time t, char *ret);
/* Accepts RFC 3339 with any offset.  -SM_EFORMAT. */
sm_must_use int sm_time_parse(const char *text, struct sm_time *ret);
/* JST (UTC+9, no summer time): 「令和8年(2026年) 11月24日(火) 8:30」.  ret has 96 bytes.
 * Eras from Meiji on (1868-10-23, 1912-07-30, 1926-12-25, 1989-01-08, 2019-05-01), first year 元年;
 * before that the western year alone. */
void sm_time_wareki(struct sm_time t, char *ret);
/* JST 「2026-11-24 08:30」 for tables.  ret has SM_TIME_TEXT bytes. */
void sm_time_jst(struct sm_time t, char *ret);
/* Civil date in JST of t: year, month 1-12, day 1-31, weekday 0 = Sunday, hour, minute, second. */
struct sm_civil { int year, month, day, weekday, hour, minute, second; };
void sm_time_civil_jst(struct sm_time t, struct sm_civil *ret);
/* Days since 1970-01-01 of the JST date: the unit of daily slots. */
int64_t sm_time_day_jst(struct sm_time t);
#endif
