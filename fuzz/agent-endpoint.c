/* Args of a policy of the endpoint: taken whole and in bounds, or refused with a field that is named. */
#include <stdlib.h>

#include "sakimori-agent/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct endpoint_policy policy = {0};
    json_t *args = NULL;
    char why[160] = "";
    if (sm_json_parse(SM_SPAN(p, n), 1 << 18, &args, NULL))
        return 0;
    int r = endpoint_policy_parse(args, NULL, &policy, why);
    if (r ? policy.number != 0 || (r == -SM_EINVAL && !why[0]) : !policy.number || policy.sensitivity > 2 || policy.scan_hour > 23)
        abort();
    if (policy.protect.n > ENDPOINT_PATHS_MAX || policy.block_file_n > ENDPOINT_FILES_MAX || policy.block_to.n > ENDPOINT_TO_MAX)
        abort();
    endpoint_policy_wipe(&policy);
    json_decref(args);
    return 0;
}
