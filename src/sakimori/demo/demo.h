/*
 * `sakimori demo clinic`: a throw-away box, a sample clinic, three generations, an attack, and a console open at the
 * alarm.  Whoever tries it restores with one unlock and three steps.
 */
#ifndef SAKIMORI_DEMO_H
#define SAKIMORI_DEMO_H
#include <limits.h>
#include "plat/proc.h"
#include "sakimori/cli.h"
#include "sakimori/setup.h"

#define DEMO_PATH (PATH_MAX + 64)
struct demo {
    struct cli *c;
    char dir[PATH_MAX];            /* all of the demo is below it */
    bool made_dir;                 /* by us: removed at the end */
    char bin[PATH_MAX], share[PATH_MAX];
    struct plat_proc box, agent;
    json_t *said;                  /* the box's own JSON line */
    json_t *secrets;               /* of the set-up */
    char password[64];
    char source[80], device[80], run[80];
    json_t *attacks, *alarm, *before, *generations;   /* before: as they were listed before the attack */
};

/* ---- stage.c: folders, programs, sample data.  Exit codes; the reason was said. ---- */
bool demo_stopped(void);           /* SIGTERM or SIGINT came */
void demo_catch_signals(void);
/* dir/name; static storage is not used: ret has DEMO_PATH bytes. */
void demo_path(const struct demo *d, const char *name, char ret[DEMO_PATH]);
/* One of our programs: in the build tree, beside us, or where it is installed. */
int demo_program(const struct demo *d, const char *name, char ret[DEMO_PATH]);
int demo_find_share(struct demo *d);
/* Start; out >= 0 becomes its standard output, log (a name in dir) its standard error. */
int demo_start(struct demo *d, char *const *argv, int out, const char *log, struct plat_proc *ret);
/* Start and wait at most timeout_ms; standard output is collected in ret_out unless NULL. */
int demo_run(struct demo *d, char *const *argv, const char *log, unsigned timeout_ms, struct sm_buf *ret_out);
/* text as (or at the end of) the file dir/name.  0 or -errno. */
int demo_put(const char *dir, const char *name, const char *text, bool append);
int demo_make_clinic(struct demo *d);
int demo_work_a_day(struct demo *d, unsigned day);
void demo_clear(struct demo *d);
/* Time is up, or a signal: false.  Sleeps a little otherwise. */
bool demo_wait(uint64_t until_ms);
uint64_t demo_until(unsigned ms);
#endif
