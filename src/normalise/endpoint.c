/*
 * What Sakimori's own agents see of their machine: an object of JSON a line, with the names of Sigma's Linux taxonomy already (docs/PROTOCOL-agent.md,
 * "Endpoint").  Any sender may write such lines: only what a setting or an agent's stream of that name says is read as this.
 */
#include <errno.h>
#include "normalise/format.h"
#include "normalise/json.h"

enum { WORD_MAX = 60 };

struct seen { struct format_ctx *c; bool at, word; };

/* A word of the log source: plain letters, so that no record makes up long ones. */
static uint16_t word_of(struct format_ctx *c, struct sm_span text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!is_digit(text.p[i]) && !(text.p[i] >= 'a' && text.p[i] <= 'z') && text.p[i] != '_' && text.p[i] != '-')
            return 0;
    return text.n && text.n <= WORD_MAX ? event_names_add(c->names, text) : 0;
}

static int each(void *ctx, const struct json_value *v)
{
    struct seen *seen = ctx;
    struct format_ctx *c = seen->c;
    bool text = v->type == EVENT_TEXT && v->depth == 1 && !v->in_array;

    if (text && span_is(v->path, "at")) {
        struct scan s = scan_of(v->text);
        struct when w;
        seen->at = when_iso(&s, &w) && s.p == s.end;
        if (seen->at)
            when_set(c, &w);
        return c->err;
    }
    if (text && span_is(v->path, "category"))
        source_words(c, EVENT_W_linux, word_of(c, v->text), 0);
    if (text && span_is(v->path, "service"))
        source_words(c, EVENT_W_linux, 0, word_of(c, v->text));
    if (text && (span_is(v->path, "category") || span_is(v->path, "service"))) {
        seen->word = true;
        return 0;
    }
    if (!span_is(v->path, "v"))
        put_named(c, v->path, v->type, v->text);
    return c->err;
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct seen seen = { .c = c };

    int r = json_flat(text, c->e, each, &seen);
    if (r == -ENOMEM || c->err < 0)
        return -ENOMEM;
    return r < 0 || !seen.at || !seen.word ? -SM_EFORMAT : 0;
}

/* Never by its looks: whoever can write one line of a log would speak for the agent. */
static int detect(struct sm_span t)
{
    (void)t;
    return 0;
}

const struct format format_endpoint = {
    .row = { "endpoint", "この箱のエージェントの見張り", "what Sakimori's own agents see" }, .frame = FRAME_LINE, .detect = detect, .read = read,
};
