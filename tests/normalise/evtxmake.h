/* Event logs made by hand, for tests: one file of whole chunks, written from front to back. */
#ifndef SM_TESTS_NORMALISE_EVTXMAKE_H
#define SM_TESTS_NORMALISE_EVTXMAKE_H

#include <stdbool.h>
#include <stdint.h>
#include "core/buf.h"

enum { MAKE_CHUNKS = 3, MAKE_HEAD = 4096, MAKE_CHUNK = 65536, MAKE_RECORD_HEAD = 24 };

struct make {
    uint8_t file[MAKE_HEAD + MAKE_CHUNKS * MAKE_CHUNK];
    uint32_t chunk, at;         /* which, and where in it */
    uint32_t record;            /* begun there */
    uint64_t number;
};

void make_begin(struct make *m);
void make_record(struct make *m);
void make_record_end(struct make *m);
/* Checksums, and the end of records; the next chunk begins. */
void make_chunk_end(struct make *m);
struct sm_span make_end(struct make *m);

void make_u8(struct make *m, unsigned v);
void make_u16(struct make *m, unsigned v);
void make_u32(struct make *m, uint32_t v);
void make_u64(struct make *m, uint64_t v);
void make_bytes(struct make *m, const void *p, size_t n);
void make_utf16(struct make *m, const char *ascii);
void make_name(struct make *m, const char *ascii);
void make_open(struct make *m, const char *name, bool in_template, bool attributes);
void make_attribute(struct make *m, const char *name, const char *value);
void make_text(struct make *m, const char *ascii);
void make_value(struct make *m, unsigned number, bool optional);
/* "0f 01 01 00" and a template's use with its definition here; returns where the definition is. */
uint32_t make_template(struct make *m);
void make_template_end(struct make *m, uint32_t at);
/* A template used again. */
void make_again(struct make *m, uint32_t at);
/* Sizes and types of values, then their bytes follow by make_bytes. */
void make_values(struct make *m, unsigned n, const uint16_t *sizes, const uint8_t *types);

#endif
