/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory.h - what this machine and the control groups of this process have, beside what is lent. */
#ifndef GVM_MEMORY_H
#define GVM_MEMORY_H

#include <stdint.h>

/* Says for each limit that is below what is lent. Such a node is not refused: guests may never need
 * all of it; but the kernel ends it when they do. */
void memory_warn(uint64_t lent_bytes);

#endif
