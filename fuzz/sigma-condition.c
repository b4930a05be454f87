/* One condition over four selections: parsed or refused, and the value of what was parsed does not depend on how it was
 * searched for. */
#include <stdlib.h>
#include <string.h>
#include "detect/sigma/sigma.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void on_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    ++*(size_t *)ctx;
}

static void on_line(void *ctx, const struct sigma_line *line)
{
    ++*(size_t *)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char head[] = "title: t\nlogsource: {product: windows}\ndetection:\n    a: {Image: x}\n    b: {Image: "
                               "[y, z]}\n    b2: [w]\n    _d: {User: null}\n    condition: \"";
    struct sm_buf text = SM_BUF_INIT(1 << 20);
    struct event_names *names = event_names_new();
    struct sigma_set *set = names ? sigma_set_new(names) : NULL;
    const struct sigma_options o = { .plain = true };
    struct sigma_matcher *m = NULL;
    struct event e;
    size_t hits = 0, lines = 0;

    if (!set || event_init(&e) < 0 || sm_buf_put(&text, head, sizeof head - 1) < 0)
        abort();
    for (size_t i = 0; i < n && i < 4096; i++)
        if (data[i] >= ' ' && data[i] < 127 && data[i] != '"' && data[i] != '\\' && sm_buf_put_u8(&text, data[i]) < 0)
            abort();
    if (sm_buf_put(&text, "\"\n", 2) < 0)
        abort();
    if (sigma_add(set, "file", sm_buf_span(&text), NULL, NULL) == 1) {
        struct sigma_scratch *s = sigma_compile(set, &o, &m) == 0 ? sigma_scratch_new(m) : NULL;
        e.product = EVENT_W_windows;
        if (!s || event_add(&e, EVENT_F_Image, EVENT_TEXT, SM_SPAN("z", 1)) < 0)
            abort();
        int match = sigma_match(m, s, &e, on_hit, &hits);
        if (match != sigma_explain(m, s, sigma_rule_at(set, 0), &e, on_line, &lines))
            abort();
        sigma_scratch_free(s);
        sigma_matcher_free(m);
    }
    event_wipe(&e);
    sigma_set_free(set);
    event_names_free(names);
    sm_buf_wipe(&text);
    return 0;
}
