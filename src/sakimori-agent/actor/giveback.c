/*
 * Giving back what a tree of processes changed, and taking that back: the room giveback does it, from the folder the sensor keeps.
 * In a thread: it may take minutes.  It is journaled there, so an act that was cut off goes on when it is done again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "giveback/giveback.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/actor/actor.h"

enum { PATHS_MAX = 256, TRY_MS = 500, TRY_FOR_MS = 120000, BACKS_MAX = 1000 };

static uint64_t number_of(const struct act *t, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(t->args, key));
    return n > 0 ? (uint64_t)n : 0;
}

static int check(struct act *t)
{
    if (number_of(t, "tree") || number_of(t, "number"))
        return 0;
    act_say(t, "no process was named");
    return -SM_EINVAL;
}

static int open_folder(const struct act *t)
{
    char path[AGENT_PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/giveback", t->a->data); /* room was made */
    return plat_fs_open_dir(AT_FDCWD, path);
}

/* ---- which paths ---- */

struct paths { struct sm_span span[PATHS_MAX]; struct sm_buf bytes[PATHS_MAX]; size_t n; };

static int read_paths(const struct act *t, struct paths *p)
{
    const json_t *list = json_object_get(t->args, "paths"), *v;
    size_t i;
    int r = 0;
    if (json_array_size(list) > PATHS_MAX)
        return -SM_ELIMIT;
    json_array_foreach(list, i, v)
    {
        const char *s = json_string_value(v);
        p->bytes[p->n] = SM_BUF_INIT(GIVEBACK_PATH_MAX);
        r = s ? sm_unbase64(SM_SPAN_STR(s), &p->bytes[p->n]) : -SM_EINVAL;
        if (r)
            break;
        p->span[p->n] = sm_buf_span(&p->bytes[p->n]);
        p->n++;
    }
    return r;
}

static void free_paths(struct paths *p)
{
    for (size_t i = 0; i < p->n; i++)
        sm_buf_wipe(&p->bytes[i]);
    free(p);
}

/* ---- giving back ---- */

/* Single files that failed, so that a person can look: the first few. */
static void say(void *ctx, struct sm_span path, const char *what, int err)
{
    struct act *t = ctx;
    struct sm_buf b = SM_BUF_INIT(2 * GIVEBACK_PATH_MAX);
    json_t *list = t->facts ? json_object_get(t->facts, "failed") : NULL;
    if (strcmp(what, "failed") != 0)
        return;
    if (!list) {
        list = json_array();
        act_fact(t, "failed", list);
    }
    if (json_array_size(list) < 8 && !sm_base64(path, &b) && sm_buf_str(&b))
        (void)json_array_append_new(list, json_pack("{s:s,s:s}", "path", sm_buf_str(&b), "error", sm_errname(err))); /* one line less */
    sm_buf_wipe(&b);
}

static void facts(struct act *t, uint64_t number, const struct giveback_done *d, bool given)
{
    act_fact(t, "number", json_integer((json_int_t)number));
    act_fact(t, "bytes", json_integer((json_int_t)d->bytes));
    act_fact(t, "left", json_integer(d->left));
    act_fact(t, "aside", json_integer(d->aside));
    act_fact(t, "files", json_pack("{s:I,s:I}", "given_back", (json_int_t)(given ? d->files + d->unchanged + d->aside : 0), "lost", (json_int_t)(given ? d->failed : 0)));
}

static void give_back(struct act *t)
{
    struct paths *p = calloc(1, sizeof *p);
    struct giveback_done done = {0};
    uint64_t number = 0, until = plat_clock_mono_ms() + TRY_FOR_MS;
    int folder = open_folder(t), r = !p ? -ENOMEM : folder < 0 ? folder : read_paths(t, p);
    do {
        if (!r)
            r = giveback_roll_back(folder, number_of(t, "tree"), p->n ? p->span : NULL, p->n, say, t, &number, &done);
        if (r == -SM_EAGAIN)
            plat_clock_sleep_ms(TRY_MS);
    } while (r == -SM_EAGAIN && plat_clock_mono_ms() < until && (r = 0, true));
    if (folder >= 0)
        (void)close(folder); /* only read */
    if (p)
        free_paths(p);
    if (!r)
        facts(t, number, &done, true);
    if (r == -SM_ENOTFOUND || r == -ENOENT)
        act_fail(t, -SM_ENOTFOUND, "nothing of it is kept, or all was given back already");
    else if (r)
        act_fail(t, r, "%s", sm_strerror(r));
    else if (done.failed)
        act_fail(t, -SM_EPARTIAL, "some files could not be given back");
    else
        act_say(t, "%s", done.left ? "given back; what others changed since was left" : "the files are as they were before");
}

const struct action act_give_back = {.name = "give_back", .allow = ALLOW_GIVE_BACK, .again = true, .check = check, .run = give_back};

/* ---- and back ---- */

static int undo_one(struct act *t, int folder, uint64_t number)
{
    struct giveback_done done = {0};
    uint64_t until = plat_clock_mono_ms() + TRY_FOR_MS;
    int r;
    while ((r = giveback_undo(folder, number, say, t, &done)) == -SM_EAGAIN && plat_clock_mono_ms() < until)
        plat_clock_sleep_ms(TRY_MS);
    if (!r)
        facts(t, number, &done, false);
    return r ? r : done.failed ? -SM_EPARTIAL : 0;
}

/* The roll-backs of a tree that hold, newest first.  -SM_ENOTFOUND there is none. */
static int undo_tree(struct act *t, int folder, uint64_t tree)
{
    json_t *list = NULL;
    int r = giveback_backs(folder, &list), any = 0;
    for (size_t i = json_array_size(list); i-- > 0 && !r;) {
        const json_t *row = json_array_get(list, i);
        const char *state = json_string_value(json_object_get(row, "state"));
        if ((uint64_t)json_integer_value(json_object_get(row, "tree")) != tree || !state ||
            (strcmp(state, "given") != 0 && strcmp(state, "undoing") != 0))
            continue;
        any = 1;
        r = undo_one(t, folder, (uint64_t)json_integer_value(json_object_get(row, "number")));
    }
    json_decref(list);
    return r ? r : any ? 0 : -SM_ENOTFOUND;
}

int giveback_take_back(struct act *t)
{
    int folder = open_folder(t);
    int r = folder < 0 ? folder : number_of(t, "number") ? undo_one(t, folder, number_of(t, "number")) : undo_tree(t, folder, number_of(t, "tree"));
    if (folder >= 0)
        (void)close(folder); /* only read */
    return r == -ENOENT ? -SM_ENOTFOUND : r;
}

static void undo(struct act *t)
{
    int r = giveback_take_back(t);
    if (r == -SM_ENOTFOUND)
        act_fail(t, r, "there is nothing to take back");
    else if (r == -SM_ESTATE)
        act_fail(t, r, "it was taken back already");
    else if (r == -SM_EPARTIAL)
        act_fail(t, r, "some files could not be taken back");
    else if (r)
        act_fail(t, r, "%s", sm_strerror(r));
    else
        act_say(t, "the files are as the program had made them");
}

const struct action act_undo_give_back = {
    .name = "undo_give_back", .allow = ALLOW_NOBODY, .again = true, .check = check, .run = undo};
