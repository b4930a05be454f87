/* A machine in memory for tests of behaviour: files, trees, and a sensor that asks as src/detect/ransom/ransom.h says. */
#ifndef TEST_RANSOM_KIT_H
#define TEST_RANSOM_KIT_H
#include "detect/ransom/content.h"

enum { FILES = 4096, KEPT = 4 };
struct vfile {
    uint64_t id;
    char path[200];
    uint8_t *p, *first;     /* now; as it was at the beginning (NULL: made later) */
    size_t n, first_n;
    unsigned links;
    char first_path[200];
    struct { uint64_t tree; uint8_t *p; size_t n; } kept[KEPT];
    bool forgotten;         /* no descriptor is held any more */
};
struct machine {
    struct ransom *r;
    struct vfile *files[FILES];
    size_t n;
    uint64_t next, tree;
    uint32_t pid;
    unsigned who;
    int64_t now_ms, step_ms;
    bool stopped, keeps;    /* keeps: pre-images can be kept */
    const char *program, *line;
    struct ransom_verdict last;
    unsigned waits;
};

void machine_new(struct machine *m, int sensitivity);
void machine_free(struct machine *m);
/* Contents of real kinds, made from a number.  The caller frees. */
enum made { MADE_TEXT, MADE_SJIS, MADE_HL7, MADE_CSV, MADE_JPEG, MADE_PNG, MADE_PDF, MADE_DOCX, MADE_DICOM, MADE_SQLITE, MADE_OLE, MADE_TINY,
    MADE_GZIP, MADE_MP4, MADE_PGPAGES, MADE_COUNT };
uint8_t *make(enum made kind, unsigned seed, size_t about, size_t *ret_n);
void noise(uint8_t *p, size_t n, uint64_t seed);
uint8_t *make_zip(const char *name, const uint8_t *p, size_t n, bool locked, size_t *ret_n);
uint8_t *make_gzip(const uint8_t *p, size_t n, size_t *ret_n);
uint8_t *make_base64(const uint8_t *p, size_t n, size_t *ret_n);

struct vfile *put(struct machine *m, const char *path, const uint8_t *p, size_t n); /* was there before; copies p */
/* A clinic's folders with n files of all kinds. */
void fill(struct machine *m, unsigned n, size_t about);
struct vfile *at(struct machine *m, const char *path);

/* What programs do; false or NULL once the tree is stopped. */
struct vfile *open_read(struct machine *m, const char *path);
struct vfile *open_write(struct machine *m, const char *path, bool cut);
struct vfile *open_new(struct machine *m, const char *path);
bool set(struct machine *m, struct vfile *f, const uint8_t *p, size_t n); /* the whole contents, without closing */
bool close_written(struct machine *m, struct vfile *f);
bool rename_to(struct machine *m, const char *from, const char *to);
bool remove_it(struct machine *m, const char *path);
bool make_file(struct machine *m, const char *path, const uint8_t *p, size_t n); /* new, written, closed */
/* Earlier files that are not what and where they were. */
unsigned harmed(const struct machine *m);
unsigned points_of(const struct machine *m, const char *reason);
#endif
