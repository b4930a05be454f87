/*
 * What the devices of a hospital log while it is attacked: FortiGate's syslog and Windows events in syslog, as text, made for a moment.
 * The steps are those of the public report on Handa hospital and two others (docs/ENDPOINT.md, "The Handa replay").
 */
#ifndef SAKIMORI_DEMO_HANDA_LOGS_H
#define SAKIMORI_DEMO_HANDA_LOGS_H
#include "core/buf.h"

enum handa_device { HANDA_EDGE, HANDA_WINDOWS, HANDA_DEVICES };
/* The lines of step n (1 to 8, 10) by device, ended by newlines, appended to ret; at_ms: when the step begins, UTC since 1970.
 * A step without lines appends nothing.  -ENOMEM, -SM_ELIMIT of ret. */
sm_must_use int handa_lines(int n, int64_t at_ms, struct sm_buf ret[HANDA_DEVICES]);
#endif
