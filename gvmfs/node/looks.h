/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * looks.h - when the nodes of regions, their repairs and their moves are looked at: in rounds, and in pieces, since faults wait
 * meanwhile.
 *
 * Front thread.
 */
#ifndef GVMFS_LOOKS_H
#define GVMFS_LOOKS_H

#include <stdint.h>

struct worker;

/* Looks at some; returns when it wants to be called again (CLOCK_MONOTONIC), ~0: never. */
uint64_t looks_tick(struct worker *w, uint64_t now_ns);

#endif
