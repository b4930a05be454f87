/* For the tests of backup and restore: folders with everything a restore must bring back, and a text that says all of
 * a folder, made without the code under test. */
#ifndef TESTS_VAULT_ENGINE_TREE_H
#define TESTS_VAULT_ENGINE_TREE_H
#include "core/buf.h"

/* A new empty folder below the temporary folder; ret has 256 bytes. */
void tree_tmp(char *ret);
void tree_remove(const char *path);
/* One line an entry: relative path, type, mode, owner, mtime, size, content, link target, link group, attributes. */
void tree_text(const char *path, struct sm_buf *ret);
/* The first line that differs, for messages; "" when equal. */
const char *tree_diff(const struct sm_buf *a, const struct sm_buf *b);
void tree_file(const char *dir, const char *name, const void *data, size_t n);
void tree_text_file(const char *dir, const char *name, const char *text);
/* size bytes that look like records (kind 0) or like noise (kind 1), always the same for a seed. */
void tree_fill(const char *dir, const char *name, size_t size, unsigned kind, uint64_t seed);
/* Hard links, symbolic links, sparse, attributes, ACL, odd and long names, deep folders, fifo, modes, empty ones. */
void tree_edge(const char *dir);
uint64_t tree_random(uint64_t *state);
#endif
