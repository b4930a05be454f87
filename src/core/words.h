/*
 * Words for people, by a stable key, in both languages (words.def): errors, what of a work met one, acts of the audit log.
 * What is written down or sent between programs is the key; the words are chosen where somebody reads them.
 */
#ifndef SM_CORE_WORDS_H
#define SM_CORE_WORDS_H

#include "core/buf.h"

enum sm_words { SM_WORDS_ERROR, SM_WORDS_PART, SM_WORDS_ACT, SM_WORDS_USE, SM_WORDS_RESULT, SM_WORDS_PLACE, SM_WORDS_WHY,
    SM_WORDS_STEP };

/* Static storage; NULL when nothing stands behind the key. */
const char *sm_word(enum sm_words set, const char *key, bool ja);
/* What an error number (negative or positive) is to a person; never NULL, static storage. */
const char *sm_errtext(int err, bool ja);
/* The number that a phrase of sm_strerror stands for, positive; 0 when it is none.  Older agents send phrases. */
int sm_errno_of(const char *phrase);
/*
 * A problem of a run in words: 「ディスクにあきがありません(箱のディスク)」.  error is a phrase of sm_strerror or a text, what
 * says which part of the work; either may be "".  What has no words is given as it is, for it is a program's own output.
 * -ENOMEM, -SM_ELIMIT.
 */
sm_must_use int sm_problem_text(const char *error, const char *what, bool ja, struct sm_buf *ret);
/* Its stable code: the name of the number, or "other"; "none" when there is no error, only a remark. */
const char *sm_problem_code(const char *error);

/* For the test of the table. */
size_t sm_words_count(void);
void sm_words_row(size_t i, enum sm_words *ret_set, const char **ret_key, const char **ret_ja, const char **ret_en);
#endif
