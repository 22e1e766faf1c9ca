/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balance.h - the fast path's budget of a guest with several regions.
 *
 * gvmfs keeps a budget for each region; the guest has one for all. Each region gets a share
 * (shares.h), which follows what the regions use: once a second, in a thread of its own, since
 * a mount that waits for a node must keep nothing else of gvm run waiting. Regions that the guest
 * gets while it runs (object_add memory-backend-file) are found among QEMU's open files, and are
 * within the same budget from then on. (On mapped files the memory cgroup does all of that.)
 * Where the budget has two limits the same thread moves it between them (demand.h), on mapped files too.
 *
 * One guest for a process: there is no handle.
 */
#ifndef TOOLS_RUN_BALANCE_H
#define TOOLS_RUN_BALANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A region of the guest, and the caller's descriptor of it, or -1: when the guest needs the region no more (gvm region settle),
 * the descriptor is of /dev/null, so that the mount is not in use. 0 or a negative errno. */
int run_balance_add(const char *path, uint64_t bytes, int fd);
/* Sets the first shares, in proportion to sizes. `mount` is where regions are looked for later. The budget is
 * between the limits, which may be the same. `fast`: all regions will be on the fast path, or QEMU ends. 0, or a negative
 * errno: a region that takes no budget. */
int run_balance_begin(const char *mount, uint64_t min_bytes, uint64_t max_bytes, bool fast);
/* The budget now. Any thread. */
uint64_t run_balance_local(void);
/* Whether all regions are on the fast path, as far as is known. Any thread. */
bool run_balance_fast(void);
/* How many bytes of files the guest's group has: of mapped regions gvmfs does not know it. Any thread. */
void run_balance_mapped(uint64_t bytes);
/* Goes on in the background while `qemu` runs. A share that the user sets meanwhile (gvm region
 * local) is left as it is, and the others share what remains. */
void run_balance_watch(pid_t qemu);
void run_balance_end(void);
/* Whether the guest of a region was seen to need it no more, and the region's descriptor is another one since. */
bool run_balance_settled(const char *path);

#endif
