/* SPDX-License-Identifier: GPL-2.0-or-later */
/* meminfo.h - the memory of this host. */
#ifndef TOOLS_MEMINFO_H
#define TOOLS_MEMINFO_H

#include <stdint.h>

/* Bytes: all of it, and what programs could still get without swapping (MemTotal and MemAvailable of /proc/meminfo).
 * 0 where the kernel does not say. */
void meminfo_read(uint64_t *total_bytes, uint64_t *available_bytes);

#endif
