/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * demand.h - a budget between two limits that follows what a guest needs and what its host has to give
 * (--local MIN..MAX). Pure: readings in, a budget out.
 *
 * While the guest misses nothing its budget shrinks by a fixed share each second, whatever it uses: what has to go
 * first is what was not used for longest, and the shrinking ends where the guest begins to miss pages. As soon as it
 * misses many the budget grows, and then stays for a while. (So does Senpai, with a cgroup's pressure in the place of
 * misses: Weiner et al., TMO: Transparent Memory Offloading in Datacenters, ASPLOS 2022, section 3.3.) A host that
 * runs out of memory takes from every budget.
 */
#ifndef TOOLS_RUN_DEMAND_H
#define TOOLS_RUN_DEMAND_H

#include <stdint.h>

struct run_demand {
	uint64_t min_bytes, max_bytes;
	uint64_t bytes; /* the budget */
	uint64_t misses; /* as last seen */
	uint64_t seen_ns, grown_ns;
};

struct run_demand_reading {
	uint64_t misses; /* so far: fsstats_misses() of all that shares the budget */
	uint64_t free_bytes, host_bytes; /* MemAvailable and MemTotal of /proc/meminfo; 0, 0: not known */
};

/* The budget is what the host has to give, up to max_bytes. */
void run_demand_init(struct run_demand *d, uint64_t min_bytes, uint64_t max_bytes, const struct run_demand_reading *r,
		     uint64_t now_ns);
/* Takes a reading, one a second; returns the budget. */
uint64_t run_demand_step(struct run_demand *d, const struct run_demand_reading *r, uint64_t now_ns);

#endif
