/* Rule files: whatever the text, loading, linking and compiling end, and what loaded can be matched. */
#include <stdlib.h>
#include "detect/sigma/sigma.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void on_fault(void *ctx, const struct sigma_fault *f)
{
    ++*(size_t *)ctx;
}

static void on_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    ++*(size_t *)ctx;
}

static void match(struct sigma_set *set, struct event_names *names)
{
    const struct sigma_options o = { .plain = true };
    struct sigma_matcher *m = NULL;
    struct event e;
    size_t n = 0;

    if (sigma_compile(set, &o, &m) < 0 || event_init(&e) < 0)
        abort();
    struct sigma_scratch *s = sigma_scratch_new(m);
    if (!s)
        abort();
    for (uint16_t i = 1; i < 40; i++)
        if (event_add(&e, i, EVENT_TEXT, SM_SPAN("192.0.2.7 -enc 4625", i)) < 0)
            abort();
    e.product = EVENT_W_windows;
    if (sigma_match(m, s, &e, on_hit, &n) < 0)
        abort();
    sigma_scratch_free(s);
    sigma_matcher_free(m);
    event_wipe(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct event_names *names = event_names_new();
    struct sigma_set *set = names ? sigma_set_new(names) : NULL;
    struct sigma_fault f;
    size_t faults = 0;

    if (!set)
        abort();
    (void)!sigma_sources(set, "table", SM_SPAN(data, n), &f); /* the same text as the other kind of file */
    if (sigma_add(set, "file", SM_SPAN(data, n), on_fault, &faults) < 0 || sigma_link(set, on_fault, &faults) < 0)
        abort();
    match(set, names);
    sigma_set_free(set);
    event_names_free(names);
    return 0;
}
