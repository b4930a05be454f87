/*
 * What may wait for a disk that hangs, each in a process of its own for a moment: the parent, on whom everything hangs,
 * never touches a disk itself.  "sakimorid --disk=WORK ARGUMENT…", the result (int32, 0 or an error number) to
 * descriptor 3.
 *
 *   mount DEVICE AT UID GID MUST   mount it at AT (made when it is not there); the folder MUST has to be on it, else it is
 *                                  unmounted again: -SM_ENOTFOUND.  Errors as plat_mount_disk
 *   unmount AT                     with everything on the disk, or lazily when it is used or gone; AT is removed
 *   tidy BASE                      the same for every folder in BASE that is named like a disk
 */
#ifndef SAKIMORID_DISKWORK_H
#define SAKIMORID_DISKWORK_H
#define DISK_WORK "--disk="
#define DISK_RESULT_FD 3
/* Exit status of the process. */
int disk_work_main(int argc, char **argv);
#endif
