#include "detect/kit.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kit_open(struct kit *k)
{
    *k = (struct kit){ .names = event_names_new() };
    assert_non_null(k->names);
    k->set = sigma_set_new(k->names);
    assert_non_null(k->set);
    assert_ok(event_init(&k->e));
}

void kit_close(struct kit *k)
{
    sigma_scratch_free(k->s);
    sigma_matcher_free(k->m);
    sigma_set_free(k->set);
    event_wipe(&k->e);
    event_names_free(k->names);
}

static void on_fault(void *ctx, const struct sigma_fault *f)
{
    struct kit *k = ctx;

    if (!k->faults++)
        k->fault = *f;
}

int kit_add(struct kit *k, const char *text)
{
    return sigma_add(k->set, "t.yml", SM_SPAN_STR(text), on_fault, k);
}

void kit_rule(struct kit *k, const char *selection)
{
    static const char head[] = "title: t\nlogsource:\n    product: test\ndetection:\n    selection:\n";
    static const char tail[] = "\n    condition: selection\n";
    char *text = NULL;

    assert_true(asprintf(&text, "%s%s%s", head, selection, tail) > 0);
    int n = kit_add(k, text);
    free(text);
    if (n != 1)
        print_message("%s: line %u: %s\n", selection, k->fault.line, k->fault.why);
    assert_int_equal(n, 1);
}

void kit_compile(struct kit *k)
{
    const struct sigma_options o = { .zone_s = 32400, .plain = k->plain };

    assert_ok(sigma_link(k->set, on_fault, k));
    assert_ok(sigma_compile(k->set, &o, &k->m));
    k->s = sigma_scratch_new(k->m);
    assert_non_null(k->s);
}

void kit_event(struct kit *k, ...)
{
    va_list ap;
    const char *name;

    event_clear(&k->e);
    k->e.product = event_names_add(k->names, SM_SPAN_STR("test"));
    va_start(ap, k);
    while ((name = va_arg(ap, const char *))) {
        const char *value = va_arg(ap, const char *);
        assert_ok(event_add(&k->e, event_names_add(k->names, SM_SPAN_STR(name)), value ? EVENT_TEXT : EVENT_NULL,
            value ? SM_SPAN_STR(value) : (struct sm_span){ 0 }));
    }
    va_end(ap);
}

static void on_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    struct kit *k = ctx;

    if (k->hits < 64)
        k->hit[k->hits] = rule;
    k->hits++;
}

size_t kit_match(struct kit *k)
{
    k->hits = 0;
    int n = sigma_match(k->m, k->s, &k->e, on_hit, k);
    assert_true(n >= 0);
    assert_int_equal(n, k->hits);
    return k->hits;
}

/* Both ways of searching, and with neighbours so that the search decides and not the evaluation of all. */
bool holds(const char *selection, const char *name, const char *value)
{
    bool got[2];

    for (int plain = 0; plain < 2; plain++) {
        struct kit k;
        kit_open(&k);
        k.plain = plain;
        kit_rule(&k, selection);
        for (int i = 0; i < 6; i++)
            kit_rule(&k, "        f: 'a neighbour that is not there'");
        kit_compile(&k);
        if (name)
            kit_event(&k, name, value, NULL);
        else
            kit_event(&k, NULL);
        got[plain] = kit_match(&k) > 0;
        kit_close(&k);
    }
    assert_int_equal(got[0], got[1]);
    return got[0];
}
