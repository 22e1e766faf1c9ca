/* SPDX-License-Identifier: GPL-2.0 */
/* Counters, shown in debugfs: giantvm/REGION/{stats,contended,pinned}. */
#ifndef GVM_STATS_H
#define GVM_STATS_H

struct giantvm_stats;
struct gvm_region;

void gvm_stats_init(void);
void gvm_stats_exit(void);
void gvm_stats_region_create(struct gvm_region *region);
/* Waits for readers of the files. */
void gvm_stats_region_destroy(struct gvm_region *region);

void gvm_stats_get(struct gvm_region *region, struct giantvm_stats *out);

#endif
