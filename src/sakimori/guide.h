/* The guide to a bare machine, in words. */
#ifndef SAKIMORI_GUIDE_H
#define SAKIMORI_GUIDE_H
#include "core/json.h"
#include "sakimori/cli.h"
#define GUIDE_FILE "SAKIMORI-GUIDE.txt"
/* g: as GET /devices/{id}/guide answers (API.md).  Appends to ret.  -ENOMEM, -SM_ELIMIT. */
sm_must_use int guide_text(struct cli *c, const json_t *g, struct sm_buf *ret);
/* As the file GUIDE_FILE in the folder to.  -errno. */
sm_must_use int guide_write(struct cli *c, const char *to, const json_t *g);
#endif
