/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * budget.h - how the guest's group is to be limited. Pure: readings in, a limit out.
 *
 * The budget is for the region's pages on the host. They are charged to QEMU's group as pages of a
 * file; QEMU's own memory (its heap, translated code, page tables and other kernel memory) is
 * charged there too, grows and shrinks, and comes on top. The group's limit is therefore budget +
 * own memory as last seen. When own memory grows between two readings the kernel takes the
 * difference from the region's pages, which it can always do: the guest then has a little less for
 * a moment.
 *
 * On the fast path gvmfs keeps the budget, and the group has nothing that the kernel could take. At the limit QEMU's
 * system calls fail there (cgroup v1) or it stands still (v2), and no reading may come in time to raise it: a message of
 * QEMU's is lost, or the guest is. So there the limit is far above what is used, and does not sink.
 */
#ifndef TOOLS_RUN_BUDGET_H
#define TOOLS_RUN_BUDGET_H

#include "memcg.h"

#define RUN_BUDGET_MIN	 (16ull << 20)
#define RUN_BUDGET_START (128ull << 20) /* own memory that is reckoned with at the start */

struct run_budget {
	uint64_t local_bytes;
	bool fast; /* all regions are on the fast path */
	uint64_t limit_bytes; /* in force */
	uint64_t relief_bytes;
	uint64_t start_ns, moved_ns;
};

/* The limit to begin with stands in limit_bytes afterwards. */
void run_budget_init(struct run_budget *b, uint64_t local_bytes, uint64_t now_ns);
/* Takes a reading. Returns the limit to set, or 0: leave it. The caller says what became of it. */
uint64_t run_budget_step(struct run_budget *b, const struct memcg_stat *st, uint64_t now_ns);
void run_budget_set(struct run_budget *b, uint64_t limit_bytes);
/* Milliseconds until the next reading. */
int run_budget_pause_ms(const struct run_budget *b, uint64_t now_ns);

#endif
