/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * turns.h - how long a fault may have to wait for the front: the most CPU time that it takes between two looks at faults
 * (--bench-turns). Whatever it does in between, a fault that comes meanwhile waits for all of it; what the host does with the CPU
 * meanwhile does not count. For measurements: it takes a system call at each look.
 */
#ifndef GVMFS_TURNS_H
#define GVMFS_TURNS_H

#include <stdint.h>

/* From now on it is measured. */
void turns_measure(void);
/* The front looks at faults. */
void turns_look(void);
/* The longest time since this was asked last; 0: it is not measured. Front thread. */
uint64_t turns_longest_ns(void);

#endif
