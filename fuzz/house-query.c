/* A query as SQL: whatever was typed stays inside quotation marks, and the brackets outside of them close. */
#include <stdlib.h>

#include "journal/house.h"

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ (),[]<>=!-";

static void look(struct sm_span s)
{
    int depth = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\'') {
            depth += (s.p[i] == '(') - (s.p[i] == ')');
            if (!s.p[i] || !strchr(plain, s.p[i]) || depth < 0)
                abort();
            continue;
        }
        for (i++; i < s.n && s.p[i] != '\''; i += s.p[i] == '\\' ? 2 : 1)
            if (s.p[i] < 0x20)
                abort();
        if (i >= s.n)
            abort();
    }
    if (depth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sm_buf exact = SM_BUF_INIT(1 << 20), least = SM_BUF_INIT(1 << 20);
    struct evquery *q = NULL;

    if (evquery_parse(SM_SPAN(data, size), 32400, &q, NULL) < 0)
        return 0;
    if (house_where(q, &exact, &least) >= 0) {
        look(sm_buf_span(&exact));
        look(sm_buf_span(&least));
    }
    evquery_free(q);
    sm_buf_wipe(&exact);
    sm_buf_wipe(&least);
    return 0;
}
