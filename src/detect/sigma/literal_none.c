/* Where vectorscan is not linked in (the agent): it runs nowhere, and the plain scanner is taken. */
#include "detect/sigma/literal.h"

static void nothing(void *what)
{
    (void)what; /* of a scratch that was never made */
}

const struct literal_way literal_vectorscan = { .name = "none", .free_db = nothing, .free_scratch = nothing };

bool literal_vectorscan_runs(void)
{
    return false;
}
