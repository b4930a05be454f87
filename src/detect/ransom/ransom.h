/*
 * Behaviour of ransomware, scored for each process tree.  The caller (the agent's sensor) tells every act of a program on a protected
 * file *before* it is allowed (opening) or right after (renaming, removing, closing what was written); this room looks at what the tree
 * did to earlier files, and says go on, suspicious, or stop.  Deciding within the act is what makes the number of files touched exact:
 * an attacker can be no faster than the answer to its own next open.
 *
 * What counts (each a row of reason.def, with its weight and its words): contents replaced by what looks random, a known file type
 * lost or changed, a file read and removed while random-looking new files appear, the same new ending or a note in many folders, wide
 * reach (kinds of files, folders), a touched decoy, removed backups.  What excuses: the program is a service and the files are its own,
 * a plain copy of what was removed exists, contents were random before and the type is kept.
 *
 * Nothing here opens, stops or keeps anything: files are looked at through struct ransom_files.  No clock, no thread; memory is
 * bounded: RANSOM_TREES_MAX trees, RANSOM_FILES_MAX files each, the quietest is forgotten first (and said: ransom_forgotten).
 * Scores do not fade with time: one file a minute counts as much as a hundred a second.
 *
 * Sources: CryptoDrop (Scaife et al., ICDCS 2016: primary indicators type change, similarity, entropy; union indicator),
 * Redemption (Kharraz, Kirda, RAID 2017: malice score per process), chi-square and entropy tests on samples.
 */
#ifndef SM_DETECT_RANSOM_H
#define SM_DETECT_RANSOM_H

#include "core/buf.h"
#include "core/json.h"

enum {
    RANSOM_TREES_MAX = 4096,
    RANSOM_FILES_MAX = 512,     /* files of a tree that are remembered; past it the oldest that were found harmless are forgotten */
    RANSOM_ALL_MAX = 32768,     /* files of all trees together */
    RANSOM_SAMPLE = 4096,       /* bytes looked at in one place */
    RANSOM_SAMPLES = 24,        /* places of one file at most */
};

enum ransom_how {
    /* before it is allowed */
    RANSOM_READ,        /* opened for reading */
    RANSOM_WRITE,       /* opened for writing, or it cannot be told */
    RANSOM_EMPTY,       /* opened and cut to nothing (O_TRUNC), or cut by its name */
    RANSOM_NEW,         /* made just now, by this open */
    RANSOM_LIST,        /* a folder, to be listed */
    /* after it happened */
    RANSOM_WRITTEN,     /* closed after writing */
    RANSOM_RENAMED,     /* path → to */
    RANSOM_REMOVED,
};

/* Of the program that acts, as far as the caller knows. */
enum ransom_who {
    RANSOM_PACKAGED = 1,    /* its file belongs to the system: in /usr, /bin …, root's, nobody else may write it */
    RANSOM_INTERPRETER = 2, /* python, perl, sh, node …: what it does is somebody's script */
    RANSOM_SERVICE = 4,     /* runs as a system account that is not root and owns this file: its own data */
    RANSOM_FRESH = 8,       /* the program's file is younger than a day */
    RANSOM_CUT = 32,        /* not of the program: the file is empty since a moment, and nobody was asked (cut by its name) */
    RANSOM_SESSION = 16,    /* the tree's root is somebody's shell or desktop: many unrelated things come from it */
};

struct ransom_act {
    uint64_t tree;          /* number of the process tree (sensor/proctree.h) */
    uint64_t file;          /* the caller's number of this inode, the same as long as the caller holds it; 0: none (RANSOM_LIST) */
    uint32_t pid;
    uint8_t how, who;       /* enum ransom_how, bits of ransom_who */
    bool decoy;             /* it is one of ours, laid for this */
    uint64_t group;         /* the login or session above the tree (proctree's group); 0: none, or not told */
    int64_t at_ms;
    uint64_t size;          /* now */
    struct sm_span path, to; /* borrowed; bytes, no encoding promised */
    struct sm_span program, line; /* its file, and its command line (arguments joined by blanks; may be empty) */
};

/*
 * What the caller does, in this order:
 *   1. before it asks for an open, it takes in the notices that wait (WRITTEN, RENAMED, REMOVED), so that a file closed before this
 *      open was asked for counts;
 *   2. asks ransom_act; on STOP the open is not answered before the tree is stopped, and nothing is kept for it;
 *   3. when ret->wait_ms is not 0 and it can: keeps the opener waiting that long and asks once more with the same act (several
 *      programs of one tree work side by side, and what they have just opened has not been changed yet);
 *   4. before a WRITE or EMPTY of an earlier file goes on, keeps its contents; if that fails, says ransom_unkept.
 * RENAMED and REMOVED of a file it holds a descriptor of carry its number, others 0.  When a tree first removes earlier files and has
 * made folders that are not watched yet, what lies in them is told first, as NEW and WRITTEN.  A few times a second it calls
 * ransom_look: whoever opened its files long ago asks no more.
 */

/* How this room looks at files.  All give 0 or more, -SM_ENOTFOUND when there is nothing to look at (no longer held, no pre-image),
 * or another error, which counts as not seen.  Called from within ransom_act, ransom_unkept and ransom_look only. */
struct ransom_files {
    void *ctx;
    /* Size of the contents now and as they were before the tree's first change (the pre-image kept for this tree); links: 0 when the
     * file was removed meanwhile.  Contents of a removed file that is held open are still there "now". */
    int (*now)(void *ctx, uint64_t file, uint64_t *ret_size, unsigned *ret_links);
    int (*before)(void *ctx, uint64_t tree, uint64_t file, uint64_t *ret_size);
    /* At most n bytes from offset, how many (0 at the end). */
    ssize_t (*read_now)(void *ctx, uint64_t file, uint64_t offset, uint8_t *buf, size_t n);
    ssize_t (*read_before)(void *ctx, uint64_t tree, uint64_t file, uint64_t offset, uint8_t *buf, size_t n);
};

enum ransom_say { RANSOM_GO, RANSOM_SUSPECT, RANSOM_STOP };
struct ransom_verdict {
    uint8_t say;
    uint8_t wait_ms;        /* only with an open: see above; 0 nearly always */
    unsigned score;         /* 0 … ; RANSOM_STOP from the threshold of the sensitivity on */
    unsigned destroyed;     /* files found changed beyond use, or removed after being read */
    unsigned touched;       /* of the tree's acts, files that were there before and were changed, renamed or removed */
};

struct ransom;
/* sensitivity 0 (careful) … 2 (eager), 1 is standard.  files is copied, its ctx borrowed.  NULL when out of memory. */
struct ransom *ransom_new(const struct ransom_files *files, int sensitivity);
void ransom_free(struct ransom *r);
/* -ENOMEM (nothing changed; the caller lets it pass and says so), -SM_EINVAL. */
sm_must_use int ransom_act(struct ransom *r, const struct ransom_act *act, struct ransom_verdict *ret);
/* The contents of a file about to be changed could not be kept: what it looks like is remembered here, now, before the change. */
void ransom_unkept(struct ransom *r, uint64_t tree, uint64_t file);
/*
 * Look again at files that stand open for writing since a while, at most `files` of them, those first that waited longest.  When a tree
 * gets past the threshold by it, it is named in *ret_tree and its verdict in *ret, and 1 is returned (call again for others); else 0.
 */
sm_must_use int ransom_look(struct ransom *r, int64_t at_ms, unsigned files, uint64_t *ret_tree, struct ransom_verdict *ret);
/* The caller let go of a file (its number may come again), or of a whole tree (all its processes ended, or a person said harmless). */
void ransom_drop_file(struct ransom *r, uint64_t file);
void ransom_drop_tree(struct ransom *r, uint64_t tree);
/* A person said that this was no attack: the tree's acts of the kinds seen so far count no more. */
void ransom_excuse(struct ransom *r, uint64_t tree);
/* Why: {"score","threshold","touched","destroyed","reasons":[{"id","points","times","ja","en"}],"files":[{"path": base64,"how","was","is"}…≤32]}.
 * -SM_ENOTFOUND, -ENOMEM. */
sm_must_use int ransom_explain(const struct ransom *r, uint64_t tree, json_t **ret);
uint64_t ransom_forgotten(const struct ransom *r);

#endif
