/*
 * YARA rules (libyara) on a file.  libyara reads bytes from outside: whoever calls this is a process of its own, without capabilities,
 * that may die (the agent's part `yara`).  One thread.
 */
#ifndef SM_DETECT_SCAN_YARA_H
#define SM_DETECT_SCAN_YARA_H
#include "core/buf.h"

enum { YARA_NAME = 128, YARA_FILES_MAX = 1000, YARA_FILE_BYTES = 8 << 20 };
struct yara;
/* Rules of all *.yar and *.yara in the folders (those that are there); one that does not compile is left out and counted.
 * -ENOMEM, -SM_ELIMIT. */
sm_must_use int yara_open(const char *const *folders, size_t n, struct yara **ret, unsigned *ret_files, unsigned *ret_faults);
void yara_close(struct yara *y);
/* 1: a rule matched, its name (YARA_NAME bytes); 0: none.  -SM_ETIME, -SM_EPARTIAL (libyara could not). */
sm_must_use int yara_scan(struct yara *y, int fd, unsigned timeout_s, char *ret_name);
#endif
