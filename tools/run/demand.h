/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * demand.h - a budget between two limits that follows what a guest needs and what its host has to give
 * (--local MIN..MAX). Pure: readings in, a budget out.
 *
 * While the guest misses nothing its budget shrinks by a fixed share each second, whatever it uses: what has to go
 * first is what was not used for longest, and the shrinking ends where the guest begins to miss pages. As soon as it
 * misses many the budget grows, and then stays for a while. (So does Senpai, with a cgroup's pressure in the place of
 * misses: Weiner et al., TMO: Transparent Memory Offloading in Datacenters, ASPLOS 2022, section 3.3.) It is never
 * more than what is here and what the host has left, a part that is the host's own set aside; and where that is used up
 * it shrinks. While a memory node is away nothing is known of what the guest needs, and nothing can go: the budget stays.
 */
#ifndef TOOLS_RUN_DEMAND_H
#define TOOLS_RUN_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

struct run_demand {
	uint64_t min_bytes, max_bytes;
	uint64_t bytes; /* the budget */
	uint64_t misses; /* as last seen */
	uint64_t seen_ns, grown_ns;
};

struct run_demand_reading {
	uint64_t misses;	 /* so far: fsstats_misses() of all that shares the budget */
	uint64_t size_bytes;	 /* of that: the budget needs to be no larger */
	uint64_t resident_bytes; /* of that, on this host */
	uint64_t free_bytes, host_bytes; /* MemAvailable and MemTotal of /proc/meminfo; 0, 0: not known */
	bool node_away;
};

/* How much of a host's memory is its own. */
uint64_t run_demand_keeps(uint64_t host_bytes);
/* The budget is what the host has to give, up to max_bytes. */
void run_demand_init(struct run_demand *d, uint64_t min_bytes, uint64_t max_bytes, const struct run_demand_reading *r,
		     uint64_t now_ns);
/* Takes a reading, one a second; returns the budget. */
uint64_t run_demand_step(struct run_demand *d, const struct run_demand_reading *r, uint64_t now_ns);

#endif
