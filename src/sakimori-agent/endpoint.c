#include "sakimori-agent/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/orders.h"

#define PATH_BYTES 1024u
#define WORD_BYTES 256u

static void texts_wipe(struct endpoint_texts *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->at[i]);
    free(t->at);
    *t = (struct endpoint_texts){0};
}

void endpoint_policy_wipe(struct endpoint_policy *p)
{
    struct endpoint_texts *const all[] = {&p->protect, &p->exclude, &p->scan_paths, &p->media_allow, &p->block_to};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        texts_wipe(all[i]);
    free(p->block_file);
    *p = (struct endpoint_policy){0};
}

static int texts_add(struct endpoint_texts *t, const char *text)
{
    char **more = realloc(t->at, (t->n + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    t->at = more;
    t->at[t->n] = strdup(text);
    return t->at[t->n] ? (int)(t->n++, 0) : -ENOMEM;
}

/* ---- what is not said, and what the machine says ---- */

static void defaults(struct endpoint_policy *p)
{
    *p = (struct endpoint_policy){.protect_auto = true,
        .ransom = ENDPOINT_STOP,
        .give_back = true,
        .sensitivity = 1,
        .scan_on_write = true,
        .scan_on_media = true,
        .scan_weekday = ENDPOINT_NO_DAY};
}

static int last_word(struct endpoint_policy *p, const struct agent_policy *local)
{
    int r = 0;
    if (local && local->protect_n) {
        texts_wipe(&p->protect);
        p->protect_auto = false;
        for (size_t i = 0; i < local->protect_n && !r; i++)
            r = texts_add(&p->protect, local->protect[i]);
    }
    for (size_t i = 0; local && i < local->unprotect_n && !r; i++)
        r = texts_add(&p->exclude, local->unprotect[i]);
    return r;
}

int endpoint_policy_default(const struct agent_policy *local, struct endpoint_policy *ret)
{
    struct endpoint_policy p;
    defaults(&p);
    int r = last_word(&p, local);
    if (r) {
        endpoint_policy_wipe(&p);
        return r;
    }
    endpoint_policy_wipe(ret);
    *ret = p;
    return 0;
}

/* ---- reading one ---- */

static int bad(char *why, const char *field)
{
    snprintf(why, 160, "field \"%s\"", field);
    return -SM_EINVAL;
}

static bool path_good(const char *s)
{
    size_t n = strlen(s);
    return n >= 1 && n < PATH_BYTES && s[0] == '/' && !strstr(s, "/../") && !strstr(s, "//") &&
           (n < 3 || strcmp(s + n - 3, "/..") != 0);
}

/* A serial number, an address, a domain: what fits into one line of a table. */
static bool word_good(const char *s)
{
    size_t n = strlen(s);
    if (n < 1 || n >= WORD_BYTES)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= ' ' || s[i] == 127 || strchr("\"'\\;{}", s[i]))
            return false;
    return true;
}

/* The texts of the array o[key]; "auto" in it sets *is_auto where that is not NULL. */
static int take_texts(const json_t *o, const char *key, const char *field, size_t max, bool paths, bool *is_auto,
    struct endpoint_texts *to, char *why)
{
    const json_t *list = json_object_get(o, key), *v;
    size_t i;
    int r = 0;
    if (!list)
        return 0;
    if (!json_is_array(list) || json_array_size(list) > max)
        return bad(why, field);
    json_array_foreach((json_t *)(uintptr_t)list, i, v) {
        const char *s = json_string_value(v);
        if (s && is_auto && strcmp(s, "auto") == 0) {
            *is_auto = true;
            continue;
        }
        if (!s || strlen(s) != json_string_length(v) || !(paths ? path_good(s) : word_good(s)))
            return bad(why, field);
        r = texts_add(to, s);
        if (r)
            return r;
    }
    return 0;
}

/* One of the words, ended by NULL, or what *ret holds when it is not said. */
static int take_word(const json_t *o, const char *key, const char *field, const char *const *words, int *ret, char *why)
{
    const json_t *v = json_object_get(o, key);
    const char *s = json_string_value(v);
    if (!v)
        return 0;
    for (int i = 0; s && words[i]; i++)
        if (strcmp(s, words[i]) == 0) {
            *ret = i;
            return 0;
        }
    return bad(why, field);
}

static int take_bool(const json_t *o, const char *key, const char *field, bool *ret, char *why)
{
    const json_t *v = json_object_get(o, key);
    if (!v)
        return 0;
    if (!json_is_boolean(v))
        return bad(why, field);
    *ret = json_is_true(v);
    return 0;
}

static int take_int(const json_t *o, const char *key, const char *field, int max, int *ret, char *why)
{
    const json_t *v = json_object_get(o, key);
    if (!v)
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
        return bad(why, field);
    *ret = (int)json_integer_value(v);
    return 0;
}

static int take_files(const json_t *block, struct endpoint_policy *p, char *why)
{
    const json_t *list = json_object_get(block, "files"), *v;
    size_t i, n = json_array_size(list);
    if (!list)
        return 0;
    if (!json_is_array(list) || n > ENDPOINT_FILES_MAX)
        return bad(why, "block.files");
    p->block_file = n ? calloc(n, sizeof *p->block_file) : NULL;
    if (n && !p->block_file)
        return -ENOMEM;
    json_array_foreach((json_t *)(uintptr_t)list, i, v) {
        if (!json_is_string(v) || sm_unhex(json_string_value(v), json_string_length(v), p->block_file[i], 32))
            return bad(why, "block.files");
        p->block_file_n++;
    }
    return 0;
}

static int take_scan(const json_t *scan, struct endpoint_policy *p, char *why)
{
    const json_t *at = json_object_get(scan, "schedule");
    int r = take_bool(scan, "on_write", "scan.on_write", &p->scan_on_write, why);
    if (!r)
        r = take_bool(scan, "on_media", "scan.on_media", &p->scan_on_media, why);
    if (!r)
        r = take_texts(scan, "paths", "scan.paths", ENDPOINT_PATHS_MAX, true, NULL, &p->scan_paths, why);
    if (r || !at || json_is_null(at))
        return r;
    if (!json_is_object(at) || !json_object_get(at, "weekday"))
        return bad(why, "scan.schedule");
    r = take_int(at, "weekday", "scan.schedule", ENDPOINT_EVERY_DAY, &p->scan_weekday, why);
    return r ? r : take_int(at, "hour", "scan.schedule", 23, &p->scan_hour, why);
}

static int take_ransom(const json_t *o, struct endpoint_policy *p, char *why)
{
    static const char *const modes[] = {"off", "watch", "stop", "kill", NULL};
    static const char *const answers[] = {"tell", "stop", "kill", NULL};
    const json_t *ransom = json_object_get(o, "ransom"), *rules = json_object_get(o, "rules");
    int mode = (int)p->ransom, answer = (int)p->answer;
    int r = take_word(ransom, "mode", "ransom.mode", modes, &mode, why);
    if (!r)
        r = take_bool(ransom, "give_back", "ransom.give_back", &p->give_back, why);
    if (!r)
        r = take_int(ransom, "sensitivity", "ransom.sensitivity", 2, &p->sensitivity, why);
    if (!r)
        r = take_word(rules, "answer", "rules.answer", answers, &answer, why);
    p->ransom = (enum endpoint_mode)mode;
    p->answer = (enum endpoint_answer)answer;
    return r;
}

static int take_media(const json_t *o, struct endpoint_policy *p, char *why)
{
    static const char *const modes[] = {"allow", "read_only", "block", NULL};
    const json_t *media = json_object_get(o, "media");
    int mode = (int)p->media;
    int r = take_word(media, "mode", "media.mode", modes, &mode, why);
    p->media = (enum endpoint_media)mode;
    return r ? r : take_texts(media, "allow", "media.allow", ENDPOINT_SERIALS_MAX, false, NULL, &p->media_allow, why);
}

static int take_policy(const json_t *o, struct endpoint_policy *p, char *why)
{
    static const char *const parts[] = {"ransom", "rules", "scan", "media", "block", "accounts", "isolate"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (json_object_get(o, parts[i]) && !json_is_object(json_object_get(o, parts[i])))
            return bad(why, parts[i]);
    if (json_object_get(o, "protect"))
        p->protect_auto = false;
    int r = take_texts(o, "protect", "protect", ENDPOINT_PATHS_MAX, true, &p->protect_auto, &p->protect, why);
    if (!r)
        r = take_texts(o, "exclude", "exclude", ENDPOINT_PATHS_MAX, true, NULL, &p->exclude, why);
    if (!r)
        r = take_ransom(o, p, why);
    if (!r)
        r = take_scan(json_object_get(o, "scan"), p, why);
    if (!r)
        r = take_media(o, p, why);
    if (!r)
        r = take_files(json_object_get(o, "block"), p, why);
    if (!r)
        r = take_texts(json_object_get(o, "block"), "to", "block.to", ENDPOINT_TO_MAX, false, NULL, &p->block_to, why);
    if (!r)
        r = take_bool(json_object_get(o, "accounts"), "may_disable", "accounts.may_disable", &p->may_disable, why);
    return r ? r : take_bool(json_object_get(o, "isolate"), "by_rule", "isolate.by_rule", &p->isolate_by_rule, why);
}

int endpoint_policy_parse(
    const json_t *args, const struct agent_policy *local, struct endpoint_policy *ret, char *ret_why)
{
    const json_t *number = json_object_get(args, "number"), *o = json_object_get(args, "policy");
    struct endpoint_policy p;
    ret_why[0] = 0;
    if (!json_is_integer(number) || json_integer_value(number) < 1)
        return bad(ret_why, "number");
    if (!json_is_object(o))
        return bad(ret_why, "policy");
    if (!json_is_integer(json_object_get(o, "v")) || json_integer_value(json_object_get(o, "v")) != 1)
        return bad(ret_why, "policy.v");
    defaults(&p);
    p.number = (uint64_t)json_integer_value(number);
    int r = take_policy(o, &p, ret_why);
    if (!r)
        r = last_word(&p, local);
    if (r) {
        endpoint_policy_wipe(&p);
        return r;
    }
    endpoint_policy_wipe(ret);
    *ret = p;
    return 0;
}

/* ---- the signed row ---- */

static int read_row(const json_t *row, const struct endpoint_own *own, struct endpoint_policy *ret, char *why)
{
    struct order o = {0};
    int r = order_read(row, own->config->order_pub, own->config->device, &o, why);
    if (!r && strcmp(o.kind, "endpoint") != 0)
        r = -SM_EINVAL;
    if (!r)
        r = endpoint_policy_parse(o.args, own->local, ret, why);
    order_wipe(&o);
    return r;
}

int endpoint_policy_load(const struct endpoint_own *own, struct endpoint_policy *ret, char *ret_why)
{
    sm_cleanup(sm_json_free) json_t *row = NULL;
    struct sm_buf text = SM_BUF_INIT(ENDPOINT_ROW_MAX);
    ret_why[0] = 0;
    int r = endpoint_policy_default(own->local, ret);
    if (!r)
        r = plat_fs_read_file(AT_FDCWD, own->path, ENDPOINT_ROW_MAX, &text);
    if (!r)
        r = sm_json_parse(sm_buf_span(&text), ENDPOINT_ROW_MAX, &row, ret_why);
    if (!r)
        r = read_row(row, own, ret, ret_why);
    sm_buf_wipe(&text);
    return r == -ENOENT ? 0 : r;
}

int endpoint_policy_take(const json_t *row, const struct endpoint_own *own, struct endpoint_policy *ret, char *ret_why)
{
    struct endpoint_policy p = {0};
    struct sm_buf text = SM_BUF_INIT(ENDPOINT_ROW_MAX);
    json_t *kept = NULL;
    ret_why[0] = 0;
    int r = read_row(row, own, &p, ret_why);
    if (!r && p.number <= ret->number)
        r = p.number == ret->number ? -SM_EEXISTS : -SM_ETIME;
    if (!r) {
        kept = json_pack("{s:O,s:O}", "order", json_object_get(row, "order"), "sig", json_object_get(row, "sig"));
        r = kept ? sm_json_dump(kept, &text) : -ENOMEM;
    }
    if (!r)
        r = plat_replace(AT_FDCWD, own->path, sm_buf_span(&text), 0600);
    json_decref(kept);
    sm_buf_wipe(&text);
    if (r) {
        endpoint_policy_wipe(&p);
        return r;
    }
    endpoint_policy_wipe(ret);
    *ret = p;
    return 0;
}

int endpoint_folder(const char *data, const char *name, const char *user, unsigned uid)
{
    char path[AGENT_PATH_MAX + 64];
    uid_t u = uid;
    gid_t g = uid;
    snprintf(path, sizeof path, "%s/%s", data, name);
    int r = plat_fs_mkdir_p(path, 0700);
    if (r || geteuid() != 0 || !user[0])
        return r;
    (void)plat_user_lookup(user, &u, &g); /* without such a user the number serves */
    return lchown(path, u, g) ? -errno : 0;
}
