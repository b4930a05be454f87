/* What a finder tells, brought into form: what is in form stays as it is. */
#include <stdlib.h>

#include "sakimori-agent/judge/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    json_t *told = NULL;
    if (sm_json_parse(SM_SPAN(p, n), 1 << 18, &told, NULL))
        return 0;
    json_t *once = form_finding(told), *twice = form_finding(once);
    if (!once || !json_equal(once, twice))
        abort();
    json_decref(once);
    json_decref(twice);
    json_decref(told);
    return 0;
}
