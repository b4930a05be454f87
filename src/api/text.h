/*
 * Every text that the box itself says to a person: Japanese first, English second, one table (text.def).
 * {0} … {7} stand for what is filled in.
 */
#ifndef API_TEXT_H
#define API_TEXT_H
#include <jansson.h>
#include "core/buf.h"
enum text_lang { TEXT_JA, TEXT_EN };
enum text_key {
#define TEXT(name, ja, en) T_##name,
#include "api/text.def"
#undef TEXT
    TEXT_KEYS
};
#define TEXT_ARGS_MAX 8
const char *text_get(enum text_lang lang, enum text_key key);
/* The text of that name ("NOT_SIGNED_IN"), or NULL. */
const char *text_named(enum text_lang lang, const char *name);
/* Filled in; args are n strings.  The string is the caller's (free); "" at worst, NULL when out of memory. */
char *text_fill(enum text_lang lang, const char *text, const char *const *args, size_t n);
#define TEXT_ARGV(...)                                                                                                 \
    (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)
/* As JSON strings. */
json_t *text_json(enum text_lang lang, enum text_key key);
json_t *text_json_fill(enum text_lang lang, enum text_key key, const char *const *args, size_t n);
#define TEXT_SAY(lang, key, ...) text_json_fill(lang, key, TEXT_ARGV(__VA_ARGS__))
#endif
