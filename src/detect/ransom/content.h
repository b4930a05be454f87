/*
 * What contents look like: kinds by their first bytes, tests for randomness on samples, soundness of known forms, and the comparison
 * of a file as it was with what it is now.  Everything read is taken for hostile: lengths in it are bounded by what was read.
 *
 * The tests, and why several: entropy alone takes a compressed picture for ciphertext and base64 of ciphertext for text.  Chi-square
 * against 256 equal bytes tells ciphertext from nearly all that people and programs write; on hundreds of bytes it is taken over half
 * bytes; on less, over bits and distinct bytes.  An alphabet that is used evenly (base64, hexadecimal) is ciphertext in disguise.  Known
 * forms are looked into (a JPEG's stuffed bytes, a ZIP's directory, a deflate stream that really opens), since a magic is easily kept.
 */
#ifndef SM_DETECT_RANSOM_CONTENT_H
#define SM_DETECT_RANSOM_CONTENT_H
#include "detect/ransom/ransom.h"

enum { KIND_DOC = 1, KIND_DENSE = 2, KIND_LOCKED = 4, KIND_BOX = 8, KIND_PAGES = 16 };
enum kind {
#define KIND(id, offset, magic, bytes, flags) KIND_IS_##id,
#include "detect/ransom/kind.def"
#undef KIND
    KIND_COUNT
};

/* Contents of a file, as it is or as it was. */
struct body {
    const struct ransom_files *files;
    uint64_t tree, file, size;
    bool before;
};
/* Up to n bytes; short only at the end or on errors. */
size_t body_read(const struct body *b, uint64_t offset, uint8_t *buf, size_t n);

/* ---- bytes (random.c) ---- */
struct tally { uint32_t of[256]; uint64_t n; };
void tally_add(struct tally *t, const uint8_t *p, size_t n);
/* How many standard deviations chi-square is away from what evenly random bytes give. */
double tally_excess(const struct tally *t);
bool bytes_random(const uint8_t *p, size_t n);      /* like ciphertext, or well compressed; n below 16: never */
bool bytes_encoded(const uint8_t *p, size_t n);     /* letters of one alphabet, used evenly: base64, hexadecimal … of such */
bool bytes_constant(const uint8_t *p, size_t n);
/* Nothing is left to read in it: one byte, a short pattern over and over (64 bytes at most), or four different bytes at most. */
bool bytes_poor(const uint8_t *p, size_t n);
/* b is a under a key of 64 bytes at most that comes again and again, by XOR or by adding. */
bool bytes_keyed(const uint8_t *a, const uint8_t *b, size_t n);
/* Many single bytes (8 in a row on average at most) of a were replaced by random ones, what lies between is as it was. */
bool bytes_sprinkled(const uint8_t *a, const uint8_t *b, size_t n);
bool bytes_text(const uint8_t *p, size_t n);        /* UTF-8, UTF-16, Shift_JIS, EUC-JP, ISO-2022-JP, ASCII */
/* b is a with every byte value replaced by another one, always the same (XOR with one byte, a turned alphabet). */
bool bytes_substituted(const uint8_t *a, const uint8_t *b, size_t n);

/* ---- kinds and their soundness (kind.c, form.c) ---- */
enum kind kind_of(const uint8_t *head, size_t n, uint64_t size);
unsigned kind_flags(enum kind k);
const char *kind_name(enum kind k);
/* By the ending of its name alone; KIND_IS_NONE when it says nothing. */
enum kind kind_by_name(struct sm_span path);
/* Is the inner form sound: 1 yes, 0 broken, -1 it cannot be told. */
int form_sound(const struct body *b, enum kind k);
/* A page at offset (of a database of kind k, page size from its head): 1 looks like one, 0 not, -1 cannot be told. */
int form_page(enum kind k, const uint8_t *head, size_t head_n, uint64_t size, uint64_t offset, const uint8_t *page, size_t n);
/* Does what packed holds begin with the contents of plain: 1 yes, 0 no, -1 it cannot be told. */
int form_holds(const struct body *packed, enum kind k, const struct body *plain);
/* It opens without a key, and what comes out of it looks random: ciphertext in an honest box, or a picture that was compressed before. */
bool form_hides(const struct body *packed, enum kind k);
/* kind_of with a look at the flags of a ZIP. */
enum kind form_kind(const struct body *b);

/* ---- then and now (judge.c) ---- */
enum found {
    FOUND_NOTHING,      /* the same, or it cannot be told */
    FOUND_CHANGED,      /* in a way that programs change files */
    FOUND_COPY,         /* another form of the same contents */
    FOUND_EMPTY,        /* cut to nothing, of text or unknown */
    FOUND_DENSER,       /* compressed in a form nobody knows */
    FOUND_EMPTIED,      /* a known document, cut to nothing */
    FOUND_REPLACED,     /* the body of a compressed document, its beginning kept */
    FOUND_KIND_LOST,    /* nothing known any more, nothing in common */
    FOUND_WIPED, FOUND_SCRAMBLED, FOUND_ISLANDS, FOUND_SUBSTITUTED, FOUND_ENCODED, FOUND_LOCKED, FOUND_BROKEN, FOUND_PAGES,
};
struct judged { uint8_t found, was, is; };
/* settled: the writer has closed it, or let it lie for a while. */
struct judged judge(const struct body *was, const struct body *is, bool settled);
/* Is it the same, as far as samples tell?  Both of one size. */
bool judge_copy(const struct body *a, const struct body *b);
/* Contents nobody can open without a key, as far as it can be told. */
bool judge_opaque(const struct body *b, enum kind *ret_kind);

/* What an earlier file looked like, where its contents cannot be kept. */
struct print {
    uint64_t size, offset[8], hash[8];
    uint8_t kind, n, random; /* random: a bit a sample */
};
void print_take(const struct body *b, struct print *ret);
struct judged print_judge(const struct print *was, const struct body *is);
#endif
