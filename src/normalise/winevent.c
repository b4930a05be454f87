/* Windows events as XML and JSON: the rows of the table for windows.h. */
#include <errno.h>
#include "normalise/format.h"
#include "normalise/windows.h"

static int read_as(struct format_ctx *c, struct sm_span text, int (*read)(struct windows *, struct sm_span, int,
    struct event *))
{
    const uint32_t of_time = EVENT_NO_TIME | EVENT_NO_ZONE | EVENT_NO_YEAR;
    uint32_t before = c->e->notes & of_time;

    c->e->notes &= ~of_time;
    int r = read(windows_of(c->n), text, c->hint->zone_s, c->e);
    if (r == 0 && (c->e->notes & EVENT_NO_TIME)) /* the one of the head around it stands */
        c->e->notes = (c->e->notes & ~of_time) | before;
    return r == 0 || r == -ENOMEM ? r : -SM_EFORMAT;
}

static int read_xml(struct format_ctx *c, struct sm_span text)
{
    return read_as(c, text, windows_xml);
}

static int read_json(struct format_ctx *c, struct sm_span text)
{
    return read_as(c, text, windows_json);
}

const struct format format_winxml = {
    .row = { "windows-xml", "Windows のイベント（XML）", "Windows events as XML" },
    .frame = FRAME_XML, .detect = windows_xml_detect, .read = read_xml,
};

const struct format format_winjson = {
    .row = { "windows-json", "Windows のイベント（JSON: Winlogbeat、NXLog ほか）",
        "Windows events as JSON: Winlogbeat, NXLog and others" },
    .frame = FRAME_JSON, .detect = windows_json_detect, .read = read_json,
};
