/*
 * Time.  Every room asks here and nowhere else, so that a test, or the box's test mode, can move time for
 * all of them.  Wall time may jump; running time only grows while the machine is on.
 */
#ifndef SM_PLAT_CLOCK_H
#define SM_PLAT_CLOCK_H
#include "core/time.h"

#define PLAT_BOOT_ID_TEXT 40

/* Now, UTC (CLOCK_REALTIME), with the wall override added. */
struct sm_time plat_clock_wall(void);
/* Durations and time-outs (CLOCK_MONOTONIC); never moved by an override, so that time-outs of a test are real. */
uint64_t plat_clock_mono_ns(void);
uint64_t plat_clock_mono_ms(void);
/* Wait, for processes without a loop; a signal may end it early. */
void plat_clock_sleep_ms(uint64_t ms);
/* Running time since start of this boot, suspend excluded (CLOCK_MONOTONIC), with the running override added: what
 * locks age by. */
uint64_t plat_clock_running_ns(void);
/* As above but suspend included (CLOCK_BOOTTIME), with the running override added. */
uint64_t plat_clock_boot_ns(void);
/* The kernel's id of this boot, text.  ret has PLAT_BOOT_ID_TEXT bytes.  -errno. */
sm_must_use int plat_clock_boot_id(char *ret);

/* Move this process's wall and running time by so many milliseconds (0, 0 = real time).  Absolute, not added up. */
void plat_clock_override(int64_t wall_ms, int64_t running_ms);
/* Take both offsets from a file of 16 bytes (two i64, little-endian: wall ms, running ms) that is mapped shared:
 * one write moves every process that called this, sandboxed ones included.  Made by plat_clock_override_write.
 * -errno, -SM_EFORMAT. */
sm_must_use int plat_clock_override_file(const char *path);
/* Make or change such a file (in place, so that mappings see it).  -errno. */
sm_must_use int plat_clock_override_write(const char *path, int64_t wall_ms, int64_t running_ms);
/* Is any override in force?  The box must show it. */
bool plat_clock_is_overridden(void);
#endif
