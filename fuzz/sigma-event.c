/* Events against a fixed set: whatever stands in the values, both ways of searching find the same rules, and so does
 * plain evaluation. */
#include <stdlib.h>
#include <string.h>
#include "detect/sigma/sigma.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define RULE(selection)                                                                                                \
    "title: t\nlogsource: {product: windows}\ndetection:\n    s:\n        " selection "\n    condition: s\n---\n"
static const char rules[] = RULE("Image|endswith: ['\\cmd.exe', 'b']") RULE("CommandLine|contains|all: [a, '?c']")
    RULE("CommandLine|windash|contains: ' -e '") RULE("User|re|i: '^(adm|root)[0-9]+'")
        RULE("IpAddress|cidr: [10.0.0.0/8, 'fe80::/10']") RULE("LogonType|gte: 3") RULE("'|all': [one, two]")
            RULE("Image|fieldref|startswith: CommandLine") RULE("Image: 'a*b?c*'") RULE("User|cased: Root")
                RULE("UtcTime|hour|lt: 6") RULE("Description: ''") RULE("Description: null")
                    RULE("CommandLine|base64offset|contains: 'http'") RULE("Image|contains: ['患者', 'ＡＢ', 'é']");

struct world {
    struct event_names *names;
    struct sigma_set *set;
    struct sigma_matcher *m[2];
    struct sigma_scratch *s[2];
    struct event e;
};

static void on_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    *(uint32_t *)ctx |= (uint32_t)1 << rule->number;
}

static void on_line(void *ctx, const struct sigma_line *line)
{
}

static struct world *world(void)
{
    static struct world w;

    if (w.names)
        return &w;
    w.names = event_names_new();
    w.set = w.names ? sigma_set_new(w.names) : NULL;
    if (!w.set || event_init(&w.e) < 0 || sigma_add(w.set, "rules", SM_SPAN(rules, sizeof rules - 1), NULL, NULL) != 15)
        abort();
    for (int i = 0; i < 2; i++) {
        const struct sigma_options o = { .plain = i == 1 };
        if (sigma_compile(w.set, &o, &w.m[i]) < 0 || !(w.s[i] = sigma_scratch_new(w.m[i])))
            abort();
    }
    return &w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint16_t field[] = { EVENT_F_Image, EVENT_F_CommandLine, EVENT_F_User, EVENT_F_IpAddress,
        EVENT_F_LogonType, EVENT_F_UtcTime, EVENT_F_Description, EVENT_F_Message };
    struct world *w = world();
    uint32_t found[2] = { 0 }, truth = 0;

    event_clear(&w->e);
    w->e.product = EVENT_W_windows;
    while (n) { /* which field, how many bytes, the bytes */
        size_t len = n > 1 ? data[1] : 0, head = n > 1 ? 2 : 1;
        if (len > n - head)
            len = n - head;
        struct sm_span value = SM_SPAN(data + head, len);
        if (sm_utf8_valid(value) && event_add(&w->e, field[data[0] % 8], data[0] & 128 ? EVENT_NULL : EVENT_TEXT,
                                        data[0] & 128 ? SM_SPAN(data, 0) : value) < 0)
            abort();
        data += head + len;
        n -= head + len;
    }
    for (int i = 0; i < 2; i++)
        if (sigma_match(w->m[i], w->s[i], &w->e, on_hit, &found[i]) < 0)
            abort();
    for (size_t i = 0; i < sigma_count(w->set); i++)
        truth |= (uint32_t)(sigma_explain(w->m[0], w->s[0], sigma_rule_at(w->set, i), &w->e, on_line, NULL) == 1) << i;
    if (found[0] != found[1] || found[0] != truth)
        abort();
    return 0;
}
