/* What scan is to look at: programs as they are written and started, and where they connect to. */
#include "plat/clock.h"
#include "sakimori-agent/judge/judge.h"

enum { SEEN = 4096, AGAIN_MS = 60000 };

/* The same within a minute is asked once; scan itself knows what it has seen unchanged. */
static bool seen_lately(const char *what)
{
    static uint64_t seen[SEEN];
    uint64_t h = 0xcbf29ce484222325u ^ plat_clock_mono_ms() / AGAIN_MS;
    for (const char *p = what; *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    bool yes = seen[h % SEEN] == h;
    seen[h % SEEN] = h;
    return yes;
}

static void ask(struct judge *j, json_t *take)
{
    struct sm_buf b = SM_BUF_INIT(E_LOOK_MAX);
    if (take && !sm_json_dump(take, &b))
        (void)!sm_ipc_send(j->peer[JUDGE_SCAN], E_LOOK, sm_buf_span(&b), -1); /* scan is slow, or goes: the next start asks again */
    json_decref(take);
    sm_buf_wipe(&b);
}

void judge_look(struct judge *j, struct sm_span text)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    bool program = memmem(text.p, text.n, "\"process_creation\"", 18) != NULL;
    bool written = !program && memmem(text.p, text.n, "\"program_written\"", 17) != NULL;
    bool connection = !program && !written && memmem(text.p, text.n, "\"network_connection\"", 20) != NULL;
    if (!j->peer[JUDGE_SCAN] || !(program || written || connection) || sm_json_parse(text, E_EVENT_MAX, &o, NULL))
        return;
    const char *file = json_string_value(json_object_get(o, "TargetFilename"));
    const char *image = json_string_value(json_object_get(o, "Image")), *to = json_string_value(json_object_get(o, "DestinationIp"));
    if (written && file && file[0] == '/' && !strstr(file, "\\x"))
        ask(j, json_pack("{s:s}", "path", file)); /* each time: it is another one now */
    if (program && image && image[0] == '/' && !strstr(image, "\\x") && !seen_lately(image))
        ask(j, json_pack("{s:s}", "path", image));
    if (connection && to && !seen_lately(to))
        ask(j, json_pack("{s:s,s:s}", "to", to, "program", image ? image : ""));
}
