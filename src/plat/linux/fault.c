#include "plat/fault.h"
#include <errno.h>

bool plat_fault_on;
static unsigned kinds;
static uint64_t target, seen;
static int error_number;
static bool fired;

void plat_fault_set(unsigned which, uint64_t k, int err)
{
    kinds = which;
    target = k;
    seen = 0;
    error_number = err;
    fired = false;
    plat_fault_on = true;
}

void plat_fault_clear(void)
{
    plat_fault_on = false;
}

uint64_t plat_fault_seen(void)
{
    return seen;
}

bool plat_fault_fired(void)
{
    return fired;
}

bool plat_fault_is_short(void)
{
    return plat_fault_on && kinds & PLAT_FAULT_SHORT;
}

int plat_fault_ask(enum plat_op op)
{
    if (!plat_fault_on || !(kinds & op))
        return 0;
    seen++;
    bool hit = target != 0 && (seen == target || (kinds & PLAT_FAULT_STICKY && seen > target));
    if (!hit)
        return 0;
    fired = true;
    return op == PLAT_OP_ALLOC ? -ENOMEM : -error_number;
}
