/* What CEF and LEEF share. */
#include "normalise/vendor.h"

static const struct { const char *vendor; uint16_t product; } words[] = {
    { "Fortinet", EVENT_W_fortigate }, { "Palo Alto Networks", EVENT_W_paloalto }, { "CISCO", EVENT_W_cisco },
    { "Cisco", EVENT_W_cisco },
    { "Microsoft", EVENT_W_windows }, { "Yamaha", EVENT_W_yamaha }, { "NEC", EVENT_W_nec },
};

void vendor_words(struct format_ctx *c, struct sm_span vendor, struct sm_span product, struct sm_span id,
    struct sm_span name)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_is(vendor, words[i].vendor))
            source_words(c, words[i].product, 0, 0);
    put_named(c, SM_SPAN_STR("device_vendor"), EVENT_TEXT, vendor);
    put_named(c, SM_SPAN_STR("device_product"), EVENT_TEXT, product);
    put(c, EVENT_F_msgid, id);
    put_named(c, SM_SPAN_STR("event_name"), EVENT_TEXT, name);
}

struct sm_span unescaped(struct format_ctx *c, struct sm_span v)
{
    if (!v.n || !memchr(v.p, '\\', v.n))
        return v;
    uint8_t *to = event_room(c->e, v.n);
    size_t n = 0;
    if (!to) {
        c->e->notes |= EVENT_CUT;
        return v;
    }
    for (size_t i = 0; i < v.n; i++) {
        uint8_t next = v.p[i] == '\\' && i + 1 < v.n ? v.p[i + 1] : 0;
        if (next && memchr("|=\\nr", next, 5)) {
            i++;
            to[n++] = next == 'n' ? '\n' : next == 'r' ? '\r' : next;
        } else {
            to[n++] = v.p[i];
        }
    }
    return SM_SPAN(to, n);
}
