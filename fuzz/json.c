#include "core/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[160] = "";
    json_t *v = NULL;
    if (sm_json_parse(SM_SPAN(data, size), 1 << 16, &v, why) < 0) {
        if (!memchr(why, 0, sizeof why) || !sm_utf8_valid(SM_SPAN_STR(why)))
            abort();
        return 0;
    }
    struct sm_obj o = SM_OBJ(v);
    uint8_t id[4];
    (void)sm_obj_int_opt(&o, "n", 0, 10, 1);
    (void)sm_obj_str_opt(&o, "s", 8);
    sm_obj_hex(&o, "id", id, sizeof id);
    sm_obj_only(&o, (const char *const[]){"n", "s", "id", NULL});
    /* What was dumped once reads back and dumps the same: the form is canonical. */
    struct sm_buf one = {0}, two = {0};
    json_t *again = NULL;
    if (sm_json_dump(v, &one) < 0 || sm_json_parse(sm_buf_span(&one), 1 << 20, &again, NULL) < 0)
        abort();
    if (sm_json_dump(again, &two) < 0 || !sm_span_eq(sm_buf_span(&one), sm_buf_span(&two)))
        abort();
    sm_buf_wipe(&one);
    sm_buf_wipe(&two);
    sm_json_free(&again);
    sm_json_free(&v);
    return 0;
}
