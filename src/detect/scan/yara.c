#include "detect/scan/yara.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <yara.h>
#include "plat/fs.h"

struct yara { YR_COMPILER *compiler; YR_RULES *rules; unsigned files, faults; };

static void quiet(int level, const char *file, int line, const YR_RULE *rule, const char *text, void *arg)
{
    (void)level, (void)file, (void)line, (void)rule, (void)text, (void)arg; /* counted by the caller */
}

static const char *nothing_included(const char *name, const char *by, const char *space, void *arg)
{
    (void)name, (void)by, (void)space, (void)arg;
    return NULL; /* a list of rules reads no other file */
}

/* A file that does not compile ruins the compiler: it is tried alone first. */
static bool compiles(const char *text)
{
    YR_COMPILER *c;
    if (yr_compiler_create(&c) != ERROR_SUCCESS)
        return false;
    yr_compiler_set_callback(c, quiet, NULL);
    yr_compiler_set_include_callback(c, nothing_included, NULL, NULL);
    bool good = yr_compiler_add_string(c, text, NULL) == 0;
    yr_compiler_destroy(c);
    return good;
}

struct folder { struct yara *y; int dir; int err; };

static bool ends(struct sm_span s, const char *with)
{
    size_t n = strlen(with);
    return s.n > n && memcmp(s.p + s.n - n, with, n) == 0;
}

static int take_file(void *arg, struct sm_span name, unsigned char type)
{
    struct folder *f = arg;
    struct sm_buf b = SM_BUF_INIT(YARA_FILE_BYTES + 1);
    char space[16];
    (void)type;
    if (!ends(name, ".yar") && !ends(name, ".yara"))
        return 0;
    if (f->y->files >= YARA_FILES_MAX)
        return -SM_ELIMIT;
    int r = plat_fs_read_file(f->dir, (const char *)name.p, YARA_FILE_BYTES, &b);
    const char *text = r == 0 ? sm_buf_str(&b) : NULL;
    (void)snprintf(space, sizeof space, "f%u", f->y->files + f->y->faults);
    if (!text || strlen(text) != b.n || !compiles(text) || yr_compiler_add_string(f->y->compiler, text, space) != 0)
        f->y->faults++;
    else
        f->y->files++;
    sm_buf_wipe(&b);
    return 0;
}

int yara_open(const char *const *folders, size_t n, struct yara **ret, unsigned *ret_files, unsigned *ret_faults)
{
    struct yara *y = calloc(1, sizeof *y);
    if (!y)
        return -ENOMEM;
    int r = yr_initialize() != ERROR_SUCCESS || yr_compiler_create(&y->compiler) != ERROR_SUCCESS ? -ENOMEM : 0;
    if (r == 0) {
        yr_compiler_set_callback(y->compiler, quiet, NULL);
        yr_compiler_set_include_callback(y->compiler, nothing_included, NULL, NULL);
    }
    for (size_t i = 0; i < n && r == 0; i++) {
        struct folder f = {y, plat_fs_open_dir(AT_FDCWD, folders[i]), 0};
        if (f.dir < 0)
            continue;
        r = plat_fs_list(f.dir, take_file, &f);
        close(f.dir);
    }
    if (r == 0 && yr_compiler_get_rules(y->compiler, &y->rules) != ERROR_SUCCESS)
        r = -ENOMEM;
    if (r < 0) {
        yara_close(y);
        return r;
    }
    *ret_files = y->files;
    *ret_faults = y->faults;
    *ret = y;
    return 0;
}

void yara_close(struct yara *y)
{
    if (!y)
        return;
    if (y->rules)
        yr_rules_destroy(y->rules);
    if (y->compiler)
        yr_compiler_destroy(y->compiler);
    (void)yr_finalize(); /* nothing can be done about it */
    free(y);
}

static int on_match(YR_SCAN_CONTEXT *context, int what, void *data, void *arg)
{
    (void)context;
    if (what != CALLBACK_MSG_RULE_MATCHING)
        return CALLBACK_CONTINUE;
    (void)snprintf(arg, YARA_NAME, "%s", ((const YR_RULE *)data)->identifier);
    return CALLBACK_ABORT;
}

int yara_scan(struct yara *y, int fd, unsigned timeout_s, char *ret_name)
{
    char name[YARA_NAME] = "";
    int r = yr_rules_scan_fd(y->rules, fd, SCAN_FLAGS_REPORT_RULES_MATCHING | SCAN_FLAGS_FAST_MODE, on_match, name,
        (int)timeout_s);
    if (name[0]) {
        memcpy(ret_name, name, sizeof name);
        return 1;
    }
    return r == ERROR_SUCCESS ? 0 : r == ERROR_SCAN_TIMEOUT ? -SM_ETIME : -SM_EPARTIAL;
}
