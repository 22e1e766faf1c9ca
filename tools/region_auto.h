/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_auto.h - gvm region local --auto: the budgets of regions on the fast path follow what their guests need
 * (run/demand.h), until a signal ends the process.
 */
#ifndef TOOLS_REGION_AUTO_H
#define TOOLS_REGION_AUTO_H

#include <stdint.h>

/*
 * `path`: a region, or a folder of a mount with all regions below it, those included that come later. Each has a budget
 * of min_bytes to max_bytes, or to its size where that is less. One whose budget somebody else changes is left alone.
 * Returns a negative errno where the first look fails, or not at all: regions keep the budget that they have at the end.
 */
int region_auto(const char *path, uint64_t min_bytes, uint64_t max_bytes);

#endif
