/*
 * `sakimori demo clinic`: a throw-away box, a sample clinic, three generations, an attack, and a console open at the
 * alarm.  Whoever tries it restores with one unlock and three steps.
 *
 * `sakimori demo handa`: the attack of a hospital, step by step, against a box and a machine in networks of their own,
 * from the first sign-in to the restore (handa.c).
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
    const char *inside;            /* network namespace of what is started next; NULL: ours */
    const char *box_space, *agent_space; /* where box and machine live */
    const char *machine;           /* its name; NULL: uketsuke */
    const char *policy;            /* lines of the machine's policy.conf */
    const char *rules, *config, *listen; /* of the box; NULL: none, the usual, loopback */
    json_t *attacks, *alarm, *before, *generations;   /* before: as they were listed before the attack */
};

/* ---- cast.c: box, machine, backups, a thief.  Exit codes; the reason was said. ---- */
int demo_make_dir(struct demo *d);
int demo_find_bin(struct demo *d);
int demo_start_box(struct demo *d);
int demo_set_up(struct demo *d);
int demo_join(struct demo *d);          /* with a code; then it runs */
int demo_start_agent(struct demo *d);
int demo_wait_device(struct demo *d);
int demo_add_source(struct demo *d);    /* clinic */
int demo_order_run(struct demo *d);
int demo_back_up(struct demo *d);
int demo_copy_tree(struct demo *d, const char *from_name, const char *to_name);
/* Encrypt the folder `clinic`, by the simulator; style: of its --style.  Its exit code is not looked at: it may be stopped. */
int demo_encrypt(struct demo *d, const char *style, struct plat_proc *ret);
/* The agent is stopped, its keys are taken, each thing a thief could do to the backups is tried: rows in d->attacks; the agent runs again. */
int demo_steal_keys(struct demo *d);
int demo_take_generations(struct demo *d, json_t **ret);
unsigned demo_refused(const struct demo *d);

/* ---- stage.c: folders, programs, sample data.  Exit codes; the reason was said. ---- */
bool demo_stopped(void);           /* SIGTERM or SIGINT came */
void demo_catch_signals(void);
/* dir/name; static storage is not used: ret has DEMO_PATH bytes. */
void demo_path(const struct demo *d, const char *name, char ret[DEMO_PATH]);
/* One of our programs: in the build tree, beside us, or where it is installed. */
int demo_program(const struct demo *d, const char *name, char ret[DEMO_PATH]);
int demo_find_share(struct demo *d);
/* A folder that is shipped beside the programs or lies above them in a source tree; false: not there. */
bool demo_find_shipped(const struct demo *d, const char *const *below, size_t n, char ret[PATH_MAX]);
/* End what runs there, politely first; PLAT_PROC_NONE is fine. */
void demo_end(struct plat_proc *p);
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
