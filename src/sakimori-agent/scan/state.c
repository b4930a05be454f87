/* What is kept over a restart: when all was scanned, the job under way, what the box is still to hear. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "plat/fs.h"
#include "sakimori-agent/scan/scan.h"

enum { STATE_MAX = 1 << 20, TELL_MAX = 500 };

void scan_job_wipe(struct scan_job *j)
{
    for (size_t i = 0; i < j->n; i++)
        free(j->path[i]);
    free(j->at);
    *j = (struct scan_job){0};
}

static json_t *bytes_json(const char *s)
{
    struct sm_buf b = SM_BUF_INIT(2 * AGENT_PATH_MAX);
    json_t *v = !s || sm_base64(SM_SPAN_STR(s), &b) ? json_null() : json_stringn((const char *)b.p, b.n);
    sm_buf_wipe(&b);
    return v;
}

static char *json_bytes(const json_t *v)
{
    struct sm_buf b = SM_BUF_INIT(AGENT_PATH_MAX);
    const char *s = json_string_value(v), *text = NULL;
    char *copy = NULL;
    if (s && !sm_unbase64(SM_SPAN_STR(s), &b) && b.n && b.p[0] == '/' && !memchr(b.p, 0, b.n) && (text = sm_buf_str(&b)))
        copy = strdup(text);
    sm_buf_wipe(&b);
    return copy;
}

static bool job_get(const json_t *o, struct scan_job *ret)
{
    struct scan_job j = {0};
    const json_t *paths = json_object_get(o, "paths");
    const char *id = json_string_value(json_object_get(o, "id")), *why = json_string_value(json_object_get(o, "why"));
    if (!json_is_object(o) || json_array_size(paths) == 0 || !why)
        return false;
    (void)snprintf(j.id, sizeof j.id, "%s", id ? id : "");
    (void)snprintf(j.why, sizeof j.why, "%s", why);
    for (size_t i = 0; i < json_array_size(paths) && j.n < SCAN_PATHS_MAX; i++)
        if ((j.path[j.n] = json_bytes(json_array_get(paths, i))) != NULL)
            j.n++;
    j.at = json_bytes(json_object_get(o, "at"));
    j.files = (uint64_t)json_integer_value(json_object_get(o, "files"));
    j.found = (uint64_t)json_integer_value(json_object_get(o, "found"));
    j.faults = (uint64_t)json_integer_value(json_object_get(o, "faults"));
    j.bytes = (uint64_t)json_integer_value(json_object_get(o, "bytes"));
    j.since = json_integer_value(json_object_get(o, "since"));
    if (!j.n) {
        scan_job_wipe(&j);
        return false;
    }
    *ret = j;
    return true;
}

static json_t *job_json(const struct scan_job *j)
{
    json_t *paths = json_array();
    for (size_t i = 0; i < j->n && paths; i++)
        (void)json_array_append_new(paths, bytes_json(j->path[i])); /* one less is scanned */
    return json_pack("{s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:I,s:I}", "id", j->id, "why", j->why, "paths", paths, "at", bytes_json(j->at),
        "files", (json_int_t)j->files, "found", (json_int_t)j->found, "faults", (json_int_t)j->faults, "bytes", (json_int_t)j->bytes,
        "since", (json_int_t)j->since);
}

void scan_state_load(const char *folder, struct scan_state *ret)
{
    struct sm_buf b = SM_BUF_INIT(STATE_MAX + 1);
    sm_cleanup(sm_json_free) json_t *o = NULL;
    char path[AGENT_PATH_MAX + 32];
    *ret = (struct scan_state){.tell = json_array()};
    (void)snprintf(path, sizeof path, "%s/state.json", folder);
    int r = plat_fs_read_file(AT_FDCWD, path, STATE_MAX, &b);
    if (r == 0)
        r = sm_json_parse(sm_buf_span(&b), STATE_MAX, &o, NULL);
    sm_buf_wipe(&b);
    if (r || json_integer_value(json_object_get(o, "v")) != 1)
        return;
    ret->last_all = json_integer_value(json_object_get(o, "last_all"));
    ret->last_old = json_integer_value(json_object_get(o, "last_old"));
    ret->has_job = job_get(json_object_get(o, "job"), &ret->job);
    const json_t *tell = json_object_get(o, "tell");
    for (size_t i = 0; i < json_array_size(tell) && i < TELL_MAX; i++)
        if (json_is_object(json_array_get(tell, i)))
            (void)json_array_append(ret->tell, json_array_get(tell, i)); /* told less */
}

int scan_state_save(const char *folder, const struct scan_state *s)
{
    struct sm_buf b = SM_BUF_INIT(STATE_MAX);
    char path[AGENT_PATH_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/state.json", folder);
    while (json_array_size(s->tell) > TELL_MAX)
        (void)json_array_remove(s->tell, 0);
    json_t *o = json_pack("{s:i,s:I,s:I,s:o,s:O}", "v", 1, "last_all", (json_int_t)s->last_all, "last_old", (json_int_t)s->last_old, "job",
        s->has_job ? job_json(&s->job) : json_null(), "tell", s->tell);
    int r = o ? sm_json_dump(o, &b) : -ENOMEM;
    if (r == 0)
        r = plat_replace(AT_FDCWD, path, sm_buf_span(&b), 0600);
    json_decref(o);
    sm_buf_wipe(&b);
    return r;
}
