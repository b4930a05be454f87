#include "evtxmake.h"

#include <isa-l/crc.h>
#include <string.h>

static uint8_t *base(struct make *m)
{
    return m->file + MAKE_HEAD + m->chunk * MAKE_CHUNK;
}

void make_bytes(struct make *m, const void *p, size_t n)
{
    if (m->at + n > MAKE_CHUNK)
        return; /* the test that wrote too much sees its records missing */
    memcpy(base(m) + m->at, p, n);
    m->at += (uint32_t)n;
}

void make_u8(struct make *m, unsigned v)
{
    make_bytes(m, &(uint8_t){ (uint8_t)v }, 1);
}

void make_u16(struct make *m, unsigned v)
{
    make_u8(m, v & 0xff);
    make_u8(m, v >> 8);
}

void make_u32(struct make *m, uint32_t v)
{
    make_u16(m, v & 0xffff);
    make_u16(m, v >> 16);
}

void make_u64(struct make *m, uint64_t v)
{
    make_u32(m, (uint32_t)v);
    make_u32(m, (uint32_t)(v >> 32));
}

static void set32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

void make_begin(struct make *m)
{
    memset(m, 0, sizeof *m);
    m->at = 512;
    memcpy(base(m), "ElfChnk", 8);
}

void make_record(struct make *m)
{
    m->record = m->at;
    m->number++;
    make_u32(m, 0x2a2a);
    make_u32(m, 0);
    make_u64(m, m->number);
    make_u64(m, 131959982600000000u); /* 2019-03-02 */
    make_bytes(m, "\x0f\x01\x01", 4);
}

void make_record_end(struct make *m)
{
    make_u8(m, 0);
    while (m->at % 8 != 4)
        make_u8(m, 0);
    uint32_t size = m->at + 4 - m->record;
    make_u32(m, size);
    set32(base(m) + m->record + 4, size);
}

void make_chunk_end(struct make *m)
{
    uint8_t *p = base(m);

    set32(p + 40, 128);
    set32(p + 48, m->at);
    set32(p + 52, crc32_gzip_refl(0, p + 512, m->at - 512));
    set32(p + 124, crc32_gzip_refl(crc32_gzip_refl(0, p, 120), p + 128, 384));
    m->chunk++;
    if (m->chunk < MAKE_CHUNKS)
        memcpy(base(m), "ElfChnk", 8);
    m->at = 512;
}

struct sm_span make_end(struct make *m)
{
    memcpy(m->file, "ElfFile", 8);
    set32(m->file + 32, 128);
    set32(m->file + 36, 0x30001);
    m->file[41] = 16;
    m->file[42] = (uint8_t)m->chunk;
    set32(m->file + 124, crc32_gzip_refl(0, m->file, 120));
    return SM_SPAN(m->file, MAKE_HEAD + (size_t)m->chunk * MAKE_CHUNK);
}

void make_utf16(struct make *m, const char *ascii)
{
    for (; *ascii; ascii++)
        make_u16(m, (uint8_t)*ascii);
}

void make_name(struct make *m, const char *ascii)
{
    make_u32(m, m->at + 4);
    make_u32(m, 0);
    make_u16(m, 0);
    make_u16(m, (unsigned)strlen(ascii));
    make_utf16(m, ascii);
    make_u16(m, 0);
}

void make_open(struct make *m, const char *name, bool in_template, bool attributes)
{
    make_u8(m, attributes ? 0x41 : 0x01);
    if (in_template)
        make_u16(m, 0xffff);
    make_u32(m, 0);
    make_name(m, name);
    if (attributes)
        make_u32(m, 0);
}

void make_attribute(struct make *m, const char *name, const char *value)
{
    make_u8(m, 0x06);
    make_name(m, name);
    if (value)
        make_text(m, value);
}

void make_text(struct make *m, const char *ascii)
{
    make_u16(m, 0x0105);
    make_u16(m, (unsigned)strlen(ascii));
    make_utf16(m, ascii);
}

void make_value(struct make *m, unsigned number, bool optional)
{
    make_u8(m, optional ? 0x0e : 0x0d);
    make_u16(m, number);
    make_u8(m, 0);
}

uint32_t make_template(struct make *m)
{
    make_u16(m, 0x010c);
    make_u32(m, 7);
    make_u32(m, m->at + 4);
    uint32_t at = m->at;
    make_u32(m, 0);
    make_u32(m, 7);
    make_bytes(m, "twelve bytes", 12);
    make_u32(m, 0);
    make_bytes(m, "\x0f\x01\x01", 4);
    return at;
}

void make_template_end(struct make *m, uint32_t at)
{
    make_u8(m, 0);
    set32(base(m) + at + 20, m->at - at - 24);
}

void make_again(struct make *m, uint32_t at)
{
    make_u16(m, 0x010c);
    make_u32(m, 7);
    make_u32(m, at);
}

void make_values(struct make *m, unsigned n, const uint16_t *sizes, const uint8_t *types)
{
    make_u32(m, n);
    for (unsigned i = 0; i < n; i++) {
        make_u16(m, sizes[i]);
        make_u16(m, types[i]);
    }
}
