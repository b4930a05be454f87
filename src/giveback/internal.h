/* Inside the room: frames, records, and what both sides read.  docs/FORMAT-giveback.md. */
#ifndef SM_GIVEBACK_INTERNAL_H
#define SM_GIVEBACK_INTERNAL_H
#include "giveback/giveback.h"
#include "plat/clone.h"
#include "plat/meta.h"

enum {
    FRAME_HEAD = 16,            /* of a file and of a frame */
    FRAME_MAX = 2 << 20,
    META_MAX = PLAT_XATTR_BYTES + (256 << 10),
    PATHS_MAX = 1024,
    STEPS_MAX = 4 * GIVEBACK_RECORDS_MAX,
};
#define LIST_MAGIC "SGBL"
#define JOURNAL_MAGIC "SGBJ"

/* ---- frames ---- */
sm_must_use int frame_begin(struct sm_buf *b, const char *magic);       /* the head of a file */
/* payload as a frame for offset off, appended to b. */
sm_must_use int frame_put(struct sm_buf *b, uint64_t off, struct sm_span payload);
/* Called for every sound payload with the offset of its frame; non-zero stops and is returned. */
typedef int frame_fn(void *ctx, uint64_t off, struct sm_span payload);
/* *ret_end: where the last sound frame ends (a torn end begins there); *ret_damaged: frames that were passed over. */
sm_must_use int frame_read(int fd, const char *magic, frame_fn *fn, void *ctx, uint64_t *ret_end, unsigned *ret_damaged);

/* ---- records ---- */
enum record_type { R_KEPT = 1, R_GONE = 2, R_TREE = 3, R_BOOT = 4, R_SYNCED = 5 };
struct record {
    uint64_t id, tree, from, room;
    uint32_t pid;
    uint8_t kind;
    int64_t at;
    struct sm_span path, was, meta;     /* borrowed from the payload, or owned by a list of records */
    struct plat_object object;
};
int put_zigzag(struct sm_buf *b, int64_t v);
int64_t get_zigzag(struct sm_rd *r);
int put_object(struct sm_buf *b, const struct plat_object *o);
void get_object(struct sm_rd *r, struct plat_object *ret);
sm_must_use int record_put(struct sm_buf *b, const struct record *r);
/* p: after the type byte.  -SM_EFORMAT. */
sm_must_use int record_get(struct sm_span p, struct record *ret);
sm_must_use int meta_put(struct sm_buf *b, const struct plat_meta *m);
sm_must_use int meta_get(struct sm_span p, struct plat_meta *ret);     /* plat_meta_wipe */
bool path_ok(struct sm_span path);
/* path itself, or below it. */
bool path_within(struct sm_span path, struct sm_span top);

/* The first 16 bytes of this boot's name. */
sm_must_use int boot_now(char ret[16]);
void id_name(uint64_t id, char *ret /* 17 */);
sm_must_use int id_of_name(struct sm_span name, uint64_t *ret);
/* An open folder below `folder`, made when it is not there. */
sm_must_use int folder_below(int folder, const char *name);

/* ---- what the giving side reads: all records that live ---- */
struct kept { struct record r; void *own; bool given, chosen; };
struct records { struct kept *v; size_t n, cap; char boot[16]; uint64_t synced; };
/* Sorted by id.  What is let go is not among them. */
sm_must_use int records_load(int folder, struct records *ret);
void records_free(struct records *r);
struct kept *records_find(struct records *r, uint64_t id);
/* Marks what roll-backs that are not undone gave. */
sm_must_use int records_mark(int folder, struct records *r);

/* ---- roll-backs ---- */
enum { J_BEGIN = 1, J_TEMP, J_STEP, J_DONE, J_RESULT, J_END, J_UNDO, J_UNDONE, J_UNDO_END, J_UNDOING };
enum { ACT_PUT = 1, ACT_FRESH, ACT_ASIDE, ACT_NAME };
enum { RES_GIVEN = 1, RES_UNCHANGED, RES_LEFT, RES_FAILED, RES_ASIDE };
struct step {
    uint64_t no, record;
    uint8_t act, saved;
    bool done, undone, undoing;
    struct plat_object object;
    uint64_t after_size, after_ino;
    struct sm_time after_time;
    struct sm_buf path, to, meta;       /* own */
};
struct result { uint64_t record; uint8_t what; int err; };
struct back {
    uint64_t number, tree, upto;
    int64_t at, last;
    int dir, kdir, fd;                  /* its folder, k, the journal */
    uint64_t end;                       /* of the journal */
    struct sm_buf *path; size_t paths;  /* own */
    struct step *step; size_t steps, steps_cap;
    struct result *result; size_t results, results_cap;
    struct sm_buf temp; uint64_t temp_no;
    bool ended, undoing, undone;
};
/* A new one, or one that is there (write: for going on with it). */
sm_must_use int back_new(int folder, uint64_t tree, uint64_t upto, const struct sm_span *paths, size_t n, struct back *ret);
sm_must_use int back_load(int folder, uint64_t number, bool write, struct back *ret);
void back_wipe(struct back *b);
sm_must_use int back_entry(struct back *b, struct sm_span payload, bool sync);
sm_must_use int back_step(struct back *b, struct step *take, struct step **ret); /* takes it, also on failure */
sm_must_use int back_done(struct back *b, struct step *s, int dir, const char *name);
sm_must_use int back_result(struct back *b, uint64_t record, uint8_t what, int err);
sm_must_use int back_word(struct back *b, uint8_t type, bool sync); /* end, undo, undo end */
sm_must_use int back_undoing(struct back *b, struct step *s);
sm_must_use int back_undone(struct back *b, struct step *s, uint8_t what, int err);
void step_wipe(struct step *s);
/* Numbers of all roll-backs, sorted. */
sm_must_use int backs_numbers(int folder, uint64_t **ret, size_t *ret_n);
void backs_forget(int folder, int64_t now);     /* old ones, best effort */
/* A roll-back of tree that did not end; 0: none. */
sm_must_use int backs_running(int folder, uint64_t tree, uint64_t *ret);

/* ---- acting on a name ---- */
struct place { int dir; char name[256]; };      /* dir: own, -1 none */
/* The folder of an absolute path, no link in it followed.  -ENOENT, -ELOOP. */
sm_must_use int place_enter(struct sm_span path, struct place *ret);
void place_leave(struct place *p);
bool place_there(const struct place *p, struct plat_object *ret);     /* does something stand there? */
/* A file made under name of dir with contents and metadata, synced. */
sm_must_use int copy_to(int from, const struct plat_meta *m, int dir, const char *name);
/* The same into the file that stands there, if it is still this one: -SM_EAGAIN.  Neither of them sets what lends a program the rights
 * of its owner (setuid, setgid, capabilities): the file may come from a disk where these meant nothing. */
sm_must_use int copy_over(int from, const struct plat_meta *m, int dir, const char *name, const struct plat_object *o);

struct alias { struct plat_object was, is; };   /* a removed file, and what was made for it */
struct giving {
    int folder, cdir;
    struct back b;
    struct records rs;
    struct alias *alias; size_t aliases, aliases_cap;
    giveback_say_fn *say;
    void *ctx;
    uint64_t bytes;
    int fatal;          /* the journal cannot be written: nothing more is done */
};
sm_must_use int alias_add(struct giving *g, const struct plat_object *was, const struct plat_object *is);
/* Steps of a roll-back: each saves, writes the step, acts.  0, -errno (nothing changed), or fatal is set. */
sm_must_use int do_put(struct giving *g, const struct kept *k, const struct place *p, const struct plat_object *o);
sm_must_use int do_fresh(struct giving *g, const struct kept *k, const struct place *p);
sm_must_use int do_folder(struct giving *g, uint64_t record, struct sm_span path, const struct plat_meta *m);
sm_must_use int do_aside(struct giving *g, uint64_t record, struct sm_span path, const struct place *p, unsigned depth);
sm_must_use int do_name(struct giving *g, const struct kept *k, const struct place *from, const struct place *to);
/* After a kill: a step that has no `done` is done again. */
sm_must_use int redo_step(struct giving *g, struct step *s);
/* The opposite.  *ret_what: RES_GIVEN or RES_LEFT.  -errno: it failed. */
sm_must_use int undo_step(struct giving *g, struct step *s, uint8_t *ret_what);
sm_must_use int giving_open(int folder, giveback_say_fn *say, void *ctx, struct giving *ret, int *ret_lock);
void giving_close(struct giving *g, int lock);
void giving_say(struct giving *g, struct sm_span path, const char *what, int err);
/* What a kill left under a temporary name, before its step was written. */
void temp_remove(struct back *b);
sm_must_use int undo_all(struct giving *g, struct giveback_done *ret);
#endif
