/* The request target: whatever comes out obeys what target.h promises. */
#include <stdlib.h>
#include <string.h>
#include "sakimorid/front/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *raw = malloc(n + 1);
    struct target t = { .query = NULL };

    if (!raw)
        return 0;
    memcpy(raw, data, n);
    raw[n] = '\0';
    if (target_parse(raw, &t) >= 0) {
        size_t k = strlen(t.path);
        if (t.path[0] != '/' || strstr(t.path, "//") || strstr(t.path, "/../") || strstr(t.path, "/./") ||
            (k >= 3 && !strcmp(t.path + k - 3, "/..")) || strchr(t.path, '\\') ||
            !sm_utf8_valid(SM_SPAN(t.path, k)) || json_object_size(t.query) > TARGET_ARGS_MAX)
            abort();
        target_wipe(&t);
    }
    free(raw);
    return 0;
}
