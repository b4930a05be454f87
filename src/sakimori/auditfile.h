/*
 * The check of an exported audit log, away from the box (form: api/audit.h).  A parser of outside bytes.
 */
#ifndef SAKIMORI_AUDITFILE_H
#define SAKIMORI_AUDITFILE_H
#include "core/buf.h"

#define AUDITFILE_LINE_MAX ((size_t)8192)
struct auditfile_head { uint64_t n; char hash[65]; };
/* state: zero-initialised before the first line (or the head from which the export begins). */
struct auditfile { struct auditfile_head head; uint64_t lines; bool any; };
enum auditfile_fault { AUDITFILE_SOUND, AUDITFILE_FORM, AUDITFILE_CHANGED, AUDITFILE_REMOVED, AUDITFILE_ORDER };
/* The next line, without its '\n'. */
enum auditfile_fault auditfile_line(struct auditfile *a, struct sm_span line);
/* "form", "changed", "removed", "order". */
const char *auditfile_fault_name(enum auditfile_fault f);
#endif
