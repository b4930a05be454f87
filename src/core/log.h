/*
 * Log lines of mains, never of rooms (rooms return errors).  One line = one record on
 * standard error: `2026-11-22T05:30:00.123Z level name: text`.  Bytes outside printable
 * UTF-8 are escaped as \xNN, so raw outside text cannot forge a line.  Never log a secret.
 */
#ifndef SM_CORE_LOG_H
#define SM_CORE_LOG_H
#include "core/err.h"
enum sm_level { SM_DEBUG, SM_INFO, SM_WARN, SM_ERROR };
void sm_log_init(const char *program, enum sm_level least);
void sm_log(enum sm_level level, const char *fmt, ...) sm_printf(2, 3);
#define sm_info(...) sm_log(SM_INFO, __VA_ARGS__)
#define sm_warn(...) sm_log(SM_WARN, __VA_ARGS__)
#define sm_error(...) sm_log(SM_ERROR, __VA_ARGS__)
#define sm_debug(...) sm_log(SM_DEBUG, __VA_ARGS__)
#endif
