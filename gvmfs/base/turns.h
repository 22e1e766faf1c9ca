/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * turns.h - how long a fault may have to wait for the front thread: the most CPU time that the front takes between two
 * looks at faults (--bench-turns). A fault that comes in between waits for all that the front is doing; what the host does
 * with the CPU meanwhile does not count. For measurements: each look takes a system call more.
 */
#ifndef GVMFS_TURNS_H
#define GVMFS_TURNS_H

#include <stdint.h>

/* Measures from now on. */
void turns_measure(void);
/* The front looks at faults. */
void turns_look(void);
/* The longest time since the last such call; 0: nothing is measured. Front thread. */
uint64_t turns_longest_ns(void);

#endif
