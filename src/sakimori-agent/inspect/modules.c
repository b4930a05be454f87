/* Modules of the kernel: /proc/modules, a line "name size users used-by state address (flags)". */
#include "sakimori-agent/inspect/inspect.h"

static void look(const struct inspect_look *l, struct items *to)
{
    struct sm_buf b = SM_BUF_INIT(INSPECT_FILE_MAX);
    struct sm_span rest, line;
    if (inspect_read(l, "proc/modules", true, INSPECT_FILE_MAX, &b, NULL))
        b.n = 0; /* a kernel without modules */
    for (rest = sm_buf_span(&b); inspect_line(&rest, &line);) {
        struct sm_span name = inspect_field(line, ' ', 0), taint = inspect_field(line, ' ', 6);
        if (!name.n)
            continue;
        items_add(to, name);
        if (taint.n > 2 && taint.p[0] == '(')
            items_tell(to, "Taint",
                SM_SPAN(taint.p + 1, taint.n - 2)); /* O: not of the kernel's source, E: not signed, F: forced */
    }
    sm_buf_wipe(&b);
}

const struct inspect_sensor inspect_modules = {.name = "modules",
    .added = "module_loaded",
    .removed = "module_unloaded",
    .key = "Module",
    .every_s = 60,
    .look = look};
