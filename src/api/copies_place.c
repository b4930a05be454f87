/* Is a folder a place for a copy?  Not where the box keeps its own data, and not where its next backup saves it again. */
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>
#include "api/copies.h"
#include "plat/sandbox.h"

#define COPY_FOLDER "sakimori-copy" /* what is made in the place (vault/copy/copy.h) */

enum sure { NO, PERHAPS, YES };

/* Without a look at the disk when it may not be looked at: the program that prepares the place gave the real path. */
static void real_of(const char *path, char ret[PLAT_PATH_MAX])
{
    size_t there;
    if (plat_real_path(path, ret, &there) < 0)
        (void)snprintf(ret, PLAT_PATH_MAX, "%s", path); /* paths of sources and places are shorter */
}

/* Is this machine the box itself?  Machines are known by their id; where it is not known, names only make it likely. */
static enum sure is_this_machine(const struct api *a, const json_t *device)
{
    char host[256] = "";
    const char *its = api_str(device, "machine_id"), *mine = a->cfg.machine ? a->cfg.machine : "";
    if (*its && *mine)
        return strcmp(its, mine) == 0 ? YES : NO;
    if (gethostname(host, sizeof host - 1) < 0)
        return PERHAPS;
    return strcmp(api_str(device, "hostname"), host) == 0 ? PERHAPS : NO;
}

/* Does the pattern leave out a part of path, or the folder that is made in it? */
static enum sure leaves_out(const char *pattern, const char *path)
{
    char name[1024], part[PLAT_PATH_MAX];
    (void)snprintf(name, sizeof name, "%s", pattern); /* patterns are no longer */
    size_t n = strlen(name);
    if (n && name[n - 1] == '/')
        name[n - 1] = 0;
    if (strchr(name, '/') || strchr(name, '\\'))
        return PERHAPS;
    for (const char *at = path; *at; at += n) {
        at += strspn(at, "/");
        n = strcspn(at, "/");
        (void)snprintf(part, sizeof part, "%.*s", (int)n, at); /* a part of a path */
        if (n && fnmatch(name, part, 0) == 0)
            return YES;
    }
    return fnmatch(name, COPY_FOLDER, 0) == 0 ? YES : NO;
}

static bool same_disk(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) < 0 || stat(b, &y) < 0 || x.st_dev == y.st_dev;
}

/* Does a source save what stands at place? */
static enum sure is_saved(const json_t *source, const char *place)
{
    enum sure found = NO, left;
    char root[PLAT_PATH_MAX];
    const json_t *v;
    size_t i;
    if (strcmp(api_str(source, "kind"), "files") != 0)
        return NO;
    json_array_foreach(json_object_get(source, "paths"), i, v) {
        real_of(json_string_value(v) ? json_string_value(v) : "/nowhere", root);
        if (plat_but_place(place, root) == PLAT_INSIDE && (!api_bool(source, "one_fs") || same_disk(place, root)))
            found = YES;
    }
    if (found == YES && json_array_size(json_object_get(source, "include")) > 0)
        found = PERHAPS;
    json_array_foreach(json_object_get(source, "exclude"), i, v) {
        left = leaves_out(json_string_value(v) ? json_string_value(v) : "", place);
        if (left == YES)
            return NO;
        if (left == PERHAPS && found == YES)
            found = PERHAPS;
    }
    return found;
}

static enum sure saved_here(struct api *a, const char *place, char ret_name[200])
{
    json_t *rows = api_rows(a, STATE_sources, STATE_NONE), *row;
    enum sure worst = NO;
    size_t i;
    json_array_foreach(rows, i, row) {
        enum sure s = is_saved(row, place);
        if (s <= worst)
            continue;
        json_t *device = api_row(a, STATE_device, STATE_ARGS(state_t(api_str(row, "device"))));
        enum sure mine = is_this_machine(a, device);
        json_decref(device);
        s = mine < s ? mine : s;
        if (s > worst)
            (void)snprintf(ret_name, 200, "%s", api_str(row, "name")); /* for people: cut short is fine */
        worst = s > worst ? s : worst;
    }
    json_decref(rows);
    return worst;
}

bool copy_place_refused(struct api_call *c, const char *place)
{
    char real[PLAT_PATH_MAX], data[PLAT_PATH_MAX], name[200] = "";
    real_of(place, real);
    real_of(c->api->cfg.data, data);
    if (plat_but_place(real, data) != PLAT_BESIDE) {
        api_fail_say(c, 400, "bad_request", "place", text_get(c->lang, T_COPY_PLACE_BOX), NULL);
        return true;
    }
    enum sure s = saved_here(c->api, real, name);
    if (s == NO)
        return false;
    json_t *text = TEXT_SAY(c->lang, s == YES ? T_COPY_PLACE_SAVED : T_COPY_PLACE_PERHAPS, name);
    if (s == YES) {
        const char *says = json_string_value(text);
        api_fail_say(c, 400, "bad_request", "place", says ? says : "", NULL);
        json_decref(text);
    } else {
        api_set(c->mem, "warning", text);
    }
    return s == YES;
}
