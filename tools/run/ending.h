/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ending.h - signals between the guest's end and that of gvm run, which writes back or removes the
 * regions meanwhile. That waits for nodes, possibly for ever.
 */
#ifndef TOOLS_RUN_ENDING_H
#define TOOLS_RUN_ENDING_H

#include "region.h"

/*
 * From here on a signal that ends gvm run has it say what becomes of the regions, and ends it at once
 * (128 and the signal's number). The signals are blocked, in all threads; the regions stay the caller's.
 * It cannot end a wait of the kernel that no signal ends; the sentence is said all the same.
 */
void run_ending_begin(const struct run_region *region, unsigned regions);

#endif
