/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_auto.h - gvm region local --auto: the budgets of regions on the fast path follow what their guests need
 * (run/demand.h), until a signal ends it.
 */
#ifndef TOOLS_REGION_AUTO_H
#define TOOLS_REGION_AUTO_H

#include <stdint.h>

/*
 * `path`: a region, or a folder of a mount with all regions below it, those included that come later. Each has a budget
 * of min_bytes to max_bytes, or, with 0, to its size. Regions keep the budget that they have at the end. 0, or a
 * negative errno.
 */
int region_auto(const char *path, uint64_t min_bytes, uint64_t max_bytes);

#endif
