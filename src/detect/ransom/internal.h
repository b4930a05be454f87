/* Trees and their files: private to this room. */
#ifndef SM_DETECT_RANSOM_INTERNAL_H
#define SM_DETECT_RANSOM_INTERNAL_H
#include "detect/ransom/content.h"

enum reason {
#define REASON(id, weight, cap, ja, en) REASON_##id,
#include "detect/ransom/reason.def"
#undef REASON
    REASON_COUNT,
    REASON_NONE = REASON_COUNT,
};
_Static_assert(REASON_COUNT <= 32, "a bit each");

enum { PATH_KEPT = 512, ENDINGS = 6, OUTPUTS_TRIED = 64, SHOWN = 32, GROUPS_MAX = 256, TAKEN_KINDS = 4, TAKEN_FOLDERS = 3 };

enum mark {
    MADE = 1,       /* by this tree: nobody's earlier file */
    READ = 2,
    DIRTY = 4,      /* open for writing, or closed and not judged yet */
    CLOSED = 8,
    GONE = 16,      /* removed or replaced */
    RENAMED = 32,
    TOUCHED = 64,   /* counted */
    DESTROYED = 128,
    DECOY = 256,
    COPIED = 512,   /* a plain copy of it was found */
    SERVICE = 1024, /* the service's own */
    OPAQUE = 2048, CLEAR = 4096, /* of a made one, once it was looked at */
    BROUGHT = 8192, /* a made one that is a copy of something: its copy was counted */
    SETTLED = 16384,/* GONE, and nothing more to look for */
    OPENED = 32768, /* for writing, once */
};

struct file {
    uint64_t id, path_hash, size, told_size; /* told: when it was found OPAQUE or CLEAR */
    struct file *next, *prev;   /* of the tree, oldest act first */
    struct file *look_next, *look_prev; /* DIRTY ones of all trees, longest not looked at first */
    struct tree *of;
    struct print *print;        /* where contents could not be kept */
    int64_t opened_ms, looked_ms;
    uint32_t pid, acted;        /* number of the tree's act it was last part of */
    uint32_t due;               /* number of the act from which on it is looked at again */
    uint16_t marks, path_n;
    uint8_t was, is, how, waits, looks, reason, points;
    uint8_t *path;
    struct file *chain;         /* of the table */
};

struct ending { uint32_t hash, kinds; uint16_t files; };

struct tree {
    uint64_t id, group;
    struct tree *chain;         /* of the table */
    struct tree *next, *prev;   /* quietest first */
    struct file *first, *last;
    struct file *shown[SHOWN];  /* destroyed, renamed, removed ones: also in the list */
    unsigned shown_n, files, dirty, gone;
    uint32_t acts;
    uint32_t excused;           /* a bit a reason */
    uint16_t times[REASON_COUNT];
    uint32_t points[REASON_COUNT];
    unsigned touched, destroyed, copies, documents_read;
    uint64_t kinds;             /* of destroyed ones, a bit each */
    uint32_t folders[8];        /* hashes of their folders */
    struct ending endings[ENDINGS];
    uint32_t taken_kinds, taken_folders[TAKEN_FOLDERS];
    unsigned taken;
    bool takes;                 /* who removes now is no tool of the system, and has read it itself */
    bool stopped;               /* was said by ransom_look */
};

struct group { uint64_t id; unsigned points; int64_t at_ms; };

struct ransom {
    struct ransom_files files;
    unsigned threshold;
    struct tree **table;        /* RANSOM_TREES_MAX slots */
    struct file **file_table;   /* RANSOM_ALL_MAX slots */
    struct tree *quiet, *busy;  /* ends of the list of trees */
    struct file *look, *look_last;
    unsigned trees, all;
    uint64_t forgotten;
    struct group groups[GROUPS_MAX];
    int64_t now_ms;
};

/* tree.c: trees and files, their lists and bounds */
struct tree *tree_find(const struct ransom *r, uint64_t id);
struct tree *tree_get(struct ransom *r, uint64_t id);
void tree_drop(struct ransom *r, struct tree *t);
struct file *file_find(const struct ransom *r, const struct tree *t, uint64_t id);
struct file *file_at(const struct tree *t, struct sm_span path);
struct file *file_add(struct ransom *r, struct tree *t, uint64_t id, struct sm_span path);
int file_rename(struct file *f, struct sm_span path); /* -ENOMEM: as it was */
void file_drop(struct ransom *r, struct file *f);
void file_number(struct ransom *r, struct file *f, uint64_t id); /* one known by its name so far */
void file_let_go(struct ransom *r, uint64_t id); /* its number means nothing any more; what was seen of it stays */
void file_seen(struct tree *t, struct file *f);
void file_dirty(struct ransom *r, struct file *f, bool dirty);
void file_looked(struct ransom *r, struct file *f);
struct sm_span file_path(const struct file *f);
void file_show(struct tree *t, struct file *f);
uint64_t path_hash(struct sm_span path);
struct sm_span path_base(struct sm_span path);

/* score.c */
unsigned reason_weight(enum reason w);
void score_add(struct ransom *r, struct tree *t, enum reason w, unsigned points);
/* What was found of a file: replaces what was said of it before. */
void score_file(struct ransom *r, struct tree *t, struct file *f, enum reason w, unsigned was, unsigned is);
void score_touch(struct tree *t, struct file *f);
unsigned score_of(const struct ransom *r, const struct tree *t);
unsigned score_reason(const struct ransom *r, const struct tree *t, enum reason w);

/* gone.c: removed, replaced, renamed; and what was made instead */
void gone_removed(struct ransom *r, struct tree *t, struct file *f);
void gone_replaced(struct ransom *r, struct tree *t, struct file *was, struct file *by);
void gone_made(struct ransom *r, struct tree *t, struct file *made);
void gone_renamed(struct ransom *r, struct tree *t, struct sm_span from, struct sm_span to);
bool is_note(struct sm_span path);
bool is_writing(struct sm_span path); /* by its name a text or table of people, not a log or a state of some program */
bool is_backup(struct sm_span path);
bool says_pack(struct sm_span program, struct sm_span line);
/* Contents of f as they were before the tree touched them; false: not to be had. */
bool body_was(const struct ransom *r, const struct file *f, struct body *ret);
bool body_is(const struct ransom *r, const struct file *f, struct body *ret, unsigned *ret_links);
enum reason reason_of(enum found found);
#endif
