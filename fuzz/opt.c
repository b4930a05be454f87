#include "core/opt.h"

struct settings {
    bool on;
    int64_t port, room, keep;
    char *name, *folder, *role;
};
#define AT(f) offsetof(struct settings, f)
static const struct sm_opt table[] = {
    {"on", SM_OPT_BOOL, "yes", 0, 0, NULL, AT(on), "入", "on"},
    {"port", SM_OPT_INT, "8443", 1, 65534, NULL, AT(port), "番号", "port"},
    {"name", SM_OPT_TEXT, "", 0, 40, NULL, AT(name), "名", "name"},
    {"data.folder", SM_OPT_PATH, "/tmp", 1, 200, NULL, AT(folder), "場所", "folder"},
    {"role", SM_OPT_CHOICE, "node", 0, 0, "node|hub", AT(role), "役", "role"},
    {"room", SM_OPT_BYTES, "10G", 0, INT64_MAX, NULL, AT(room), "量", "room"},
    {"keep", SM_OPT_DURATION, "14d", 0, INT64_MAX, NULL, AT(keep), "期間", "keep"},
};
enum { N = sizeof table / sizeof table[0] };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings a = {0}, b = {0};
    char why[240] = "";
    if (sm_opt_defaults(table, N, &a) < 0 || sm_opt_defaults(table, N, &b) < 0)
        abort();
    int r = sm_opt_parse(table, N, "f.conf", SM_SPAN(data, size), &a, why);
    if (r < 0 && (!memchr(why, 0, sizeof why) || !sm_utf8_valid(SM_SPAN_STR(why)) || !*why))
        abort();
    /* The printed file reads back to the same settings. */
    struct sm_buf one = {0}, two = {0};
    if (sm_opt_print(table, N, &a, &one) < 0 || sm_opt_parse(table, N, "f.conf", sm_buf_span(&one), &b, why) < 0)
        abort();
    if (sm_opt_print(table, N, &b, &two) < 0 || !sm_span_eq(sm_buf_span(&one), sm_buf_span(&two)))
        abort();
    sm_buf_wipe(&one);
    sm_buf_wipe(&two);
    sm_opt_wipe(table, N, &a);
    sm_opt_wipe(table, N, &b);
    return 0;
}
