#ifndef SM_QUARANTINE_INTERNAL_H
#define SM_QUARANTINE_INTERNAL_H
#include "plat/clone.h"
#include "plat/meta.h"
#include "quarantine/quarantine.h"

enum { ENTRY_MAX = 2 << 20, PATH_BYTES = 4096, PAD = 32 };
#define TEMP_NAME ".sakimori-aside-"

/* An entry is its JSON; these read and write it. */
sm_must_use int entry_load(int folder, const char *id, json_t **ret);   /* -SM_ENOTFOUND, -SM_EVERSION, -SM_EFORMAT */
sm_must_use int entry_save(int folder, json_t *e);
sm_must_use int entry_check(const json_t *e);
sm_must_use int entry_path(const json_t *e, const char *key, struct sm_buf *ret);
sm_must_use int entry_set_path(json_t *e, const char *key, struct sm_span path);
sm_must_use int entry_meta(const json_t *e, struct plat_meta *ret);
sm_must_use int entry_set_meta(json_t *e, const struct plat_meta *m);
sm_must_use int entry_object(const json_t *e, struct plat_object *ret);
sm_must_use int entry_set_object(json_t *e, const struct plat_object *o);
const char *entry_text(const json_t *e, const char *key);
bool id_ok(const char *id);

struct spot { int dir; char name[256]; };
sm_must_use int spot_open(struct sm_span path, struct spot *ret);
void spot_close(struct spot *s);
bool spot_is(const struct spot *s, const struct plat_object *o);

/* Bytes from one to the other, XORed, their hash in ret; at most max (-EFBIG). */
sm_must_use int turn(int from, int to, const uint8_t pad[PAD], uint64_t max, uint64_t *ret_size, uint8_t ret_hash[32]);
void data_name(const char *id, const char *end, char ret[32]);
/* Called for every entry that can be read. */
typedef int entry_fn(void *ctx, json_t *e);
sm_must_use int entries(int folder, entry_fn *fn, void *ctx);
#endif
