/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.h - compares the memory lent with this machine's and with the limits of its control
 * groups.
 */
#ifndef GVM_MEMORY_H
#define GVM_MEMORY_H

#include <stdint.h>

/* Logs a warning for each limit that is below the memory lent. Such a node starts all the same:
 * guests may never fill it. If they do, the kernel kills it. */
void memory_warn(uint64_t lent_bytes);

#endif
