/*
 * Files.  Paths are raw bytes ending in NUL.  dirfd may be AT_FDCWD.  All descriptors are close-on-exec.
 * Every call that changes something passes the fault seam (plat/fault.h).
 * Errors are -errno unless said otherwise; nothing here follows a symbolic link in the last part of a name
 * except where said.
 */
#ifndef SM_PLAT_FS_H
#define SM_PLAT_FS_H
#include <fcntl.h>
#include <sys/types.h>
#include "core/buf.h"

/* ---- reading ---- */
/* The whole file appended to ret.  -SM_ELIMIT when longer than max (ret is then as it was).  Follows links. */
sm_must_use int plat_fs_read_file(int dirfd, const char *path, size_t max, struct sm_buf *ret);
/* Exactly n bytes at off; -SM_EPARTIAL when the file ends before. */
sm_must_use int plat_fs_pread_all(int fd, void *to, size_t n, uint64_t off);
/* Up to n bytes, retried over signals; 0 at the end. */
sm_must_use ssize_t plat_fs_read(int fd, void *to, size_t n);
/* Plain open for reading, O_NOFOLLOW.  Returns the descriptor. */
sm_must_use int plat_fs_open_read(int dirfd, const char *name);
sm_must_use int plat_fs_open_dir(int dirfd, const char *name);
/* Size of the file behind fd. */
sm_must_use int plat_fs_size(int fd, uint64_t *ret);

/* ---- changing (fault seam) ---- */
enum { PLAT_FS_EXCL = 1, PLAT_FS_TRUNC = 2, PLAT_FS_APPEND = 4, PLAT_FS_RW = 8, PLAT_FS_EXISTING = 16 };
/* Open for writing, made with mode if absent (EXISTING: never made).  Returns the descriptor. */
sm_must_use int plat_fs_create(int dirfd, const char *name, unsigned flags, mode_t mode);
/* All of it or an error (some bytes may then be in the file). */
sm_must_use int plat_fs_write_all(int fd, struct sm_span s);
sm_must_use int plat_fs_pwrite_all(int fd, struct sm_span s, uint64_t off);
/* Several spans at off, one after the other; n <= 64. */
sm_must_use int plat_fs_pwritev_all(int fd, const struct sm_span *s, size_t n, uint64_t off);
sm_must_use int plat_fs_sync(int fd);          /* fsync */
sm_must_use int plat_fs_datasync(int fd);      /* fdatasync */
sm_must_use int plat_fs_sync_dir(int dirfd);   /* fsync of a folder's descriptor */
sm_must_use int plat_fs_sync_dir_path(const char *path);
sm_must_use int plat_fs_rename(int from_dir, const char *from, int to_dir, const char *to, bool replace); /* -EEXIST */
sm_must_use int plat_fs_unlink(int dirfd, const char *name);
sm_must_use int plat_fs_rmdir(int dirfd, const char *name);
sm_must_use int plat_fs_truncate(int fd, uint64_t size);
sm_must_use int plat_fs_mkdir(int dirfd, const char *name, mode_t mode);
sm_must_use int plat_fs_link(int from_dir, const char *from, int to_dir, const char *to);
sm_must_use int plat_fs_symlink(const char *target, int dirfd, const char *name);
sm_must_use int plat_fs_mknod(int dirfd, const char *name, mode_t mode, dev_t dev);
/* Every missing folder of path with mode; 0 when it is there already. */
sm_must_use int plat_fs_mkdir_p(const char *path, mode_t mode);
/* Replace a small file whole: temporary name, fsync, rename, fsync of the folder.  After a failure the old
 * content stands (the temporary file is removed as far as possible). */
sm_must_use int plat_replace(int dirfd, const char *name, struct sm_span content, mode_t mode);
/* Remove name and all below it, never following links; depth <= 128 (-SM_ELIMIT). */
sm_must_use int plat_fs_remove_tree(int dirfd, const char *name);

/* ---- locks, space, safety ---- */
/* Exclusive lock file, held until the returned descriptor is closed.  -SM_EAGAIN when another holds it. */
sm_must_use int plat_fs_lock(int dirfd, const char *name);
struct plat_fs_space { uint64_t total_bytes, free_bytes, avail_bytes, total_files, free_files; };
sm_must_use int plat_fs_space(int dirfd, const char *path, struct plat_fs_space *ret);
/* Open path, which must lie below dirfd with no symbolic link in any part (openat2; walked by hand where the
 * kernel has none).  flags are open(2)'s.  Passes the seam when O_CREAT.  -ELOOP, -EXDEV for an escape. */
sm_must_use int plat_fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode);
/* Is name a safe single part: 1..255 bytes, not "." or "..", no '/' and no NUL inside n? */
bool plat_fs_name_ok(struct sm_span name);

/* ---- sparse files ---- */
/* The next run of data at or after off: [*ret_start, *ret_end).  Returns 1, or 0 when only a hole follows.
 * A file system without holes says everything is data. */
sm_must_use int plat_fs_next_data(int fd, uint64_t off, uint64_t size, uint64_t *ret_start, uint64_t *ret_end);
/* Make a hole; -SM_EUNSUPPORTED. */
sm_must_use int plat_fs_punch(int fd, uint64_t off, uint64_t n);
/* Hints, never an error. */
void plat_fs_forget(int fd, uint64_t off, uint64_t n);      /* drop from the page cache */
void plat_fs_sequential(int fd);
void plat_fs_write_soon(int fd, uint64_t off, uint64_t n); /* begin to write it to the disk: a sync has less to wait for */

/* ---- folders ---- */
/* Called for every name but "." and "..", in the file system's order, raw bytes (also NUL-terminated).
 * type is DT_* or DT_UNKNOWN.  Non-zero stops and is returned. */
typedef int (*plat_fs_dir_fn)(void *arg, struct sm_span name, unsigned char type);
/* Memory is bounded (one 32 KiB window).  dirfd's position is used and left at the end. */
sm_must_use int plat_fs_list(int dirfd, plat_fs_dir_fn fn, void *arg);
#endif
