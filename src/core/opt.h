/*
 * Settings: one table of options, from which the commented file, the help text and the
 * man page section are generated and against which a file is checked.
 * A wrong line is named: "sakimori.conf:12: port: a whole number from 1 to 65534, not \"abc\"".
 */
#ifndef SM_CORE_OPT_H
#define SM_CORE_OPT_H
#include "core/buf.h"
enum sm_opt_kind { SM_OPT_BOOL, SM_OPT_INT, SM_OPT_TEXT, SM_OPT_PATH, SM_OPT_CHOICE, SM_OPT_BYTES, SM_OPT_DURATION };
struct sm_opt {
    const char *name;              /* "port", "retention.hourly" */
    enum sm_opt_kind kind;
    const char *standard;          /* default, as text */
    int64_t min, max;              /* INT, BYTES (bytes), DURATION (seconds); TEXT, PATH: length */
    const char *choices;           /* CHOICE: "a|b|c" */
    size_t offset;                 /* into the settings struct: bool, int64_t, or char* (owned) */
    const char *ja, *en;           /* one line each, for the commented file and the manual */
};
/* Fill settings with defaults.  settings is all zero before, and wiped again on failure. */
sm_must_use int sm_opt_defaults(const struct sm_opt *table, size_t n, void *settings);
/* Read `name = value` lines ('#' comments).  ret_why has 240 bytes; -SM_EINVAL names file, line, what is allowed.
 * settings is untouched on failure.  A repeated name is an error. */
sm_must_use int sm_opt_parse(
    const struct sm_opt *table, size_t n, const char *file_name, struct sm_span text, void *settings, char *ret_why);
sm_must_use int sm_opt_set(
    const struct sm_opt *table, size_t n, const char *name, const char *value, void *settings, char *ret_why);
/* The whole commented file with present values (Japanese and English comment lines). */
sm_must_use int sm_opt_print(const struct sm_opt *table, size_t n, const void *settings, struct sm_buf *ret);
void sm_opt_wipe(const struct sm_opt *table, size_t n, void *settings);
#endif
