/* A folder of files, somebody who changes them and tells the keeper first, and pictures of how everything is. */
#ifndef SM_TESTS_GIVEBACK_KIT_H
#define SM_TESTS_GIVEBACK_KIT_H
#include "../test.h"
#include "giveback/giveback.h"

struct kit {
    char top[64];               /* the test's own folder: files/ and keep/ in it */
    int keep;                   /* keep/, open */
    struct giveback *g;
    struct giveback_limits limits;
    uint64_t tree;
    unsigned seed;
    bool failed;                /* a keep was refused */
};
void kit_begin(struct kit *k);
void kit_end(struct kit *k);
void kit_reopen(struct kit *k);
/* Everything below files/: names, kinds, modes, owners, times of files, attributes, contents.  free() */
char *kit_picture(const struct kit *k);

/* What a person has: not told. */
void kit_file(struct kit *k, const char *name, const char *text, size_t n);
void kit_folder(struct kit *k, const char *name, unsigned mode);
/* What the tree does: told first, then done.  0, or what the keeper said (nothing is done then). */
int do_write(struct kit *k, const char *name, uint64_t off, const char *text, size_t n, bool cut);
int do_make(struct kit *k, const char *name, const char *text, size_t n);
int do_make_folder(struct kit *k, const char *name);
int do_rename(struct kit *k, const char *from, const char *to);
int do_remove(struct kit *k, const char *name);
bool kit_there(struct kit *k, const char *name);
char *kit_path(const struct kit *k, const char *name);  /* static */
struct sm_span kit_span(const struct kit *k, const char *name);
/* n random steps among a few names. */
void kit_history(struct kit *k, unsigned n);
int kit_roll(struct kit *k, uint64_t *number, struct giveback_done *done);
int kit_undo(struct kit *k, uint64_t number, struct giveback_done *done);
#endif
