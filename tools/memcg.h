/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memcg.h - a memory cgroup of our own: made, limited, watched, emptied and removed.
 *
 * Works with the memory controller of cgroup v1 and of v2, whichever the machine uses. On v1 the
 * group lies below the caller's. On v2 a group with processes in it may not hand its controllers
 * to children, so the place is, in this order: below the caller's group if that hands memory on
 * already (or is the root); below it after the caller, alone in it, has moved into a leaf; else
 * below the nearest ancestor that hands memory on.
 */
#ifndef TOOLS_MEMCG_H
#define TOOLS_MEMCG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MEMCG_ERR_TEXT (PATH_MAX + 512)

struct memcg {
	bool v2;
	char path[PATH_MAX];
	int fd; /* holds it: memcg_hold.h */
	/* where the caller was before it had to move (v2), or empty */
	char moved_from[PATH_MAX];
	char leaf[PATH_MAX];
	uint64_t max_bytes; /* v2: memory.max as it stands */
};

struct memcg_stat {
	uint64_t usage;	    /* everything charged to the group */
	uint64_t peak;	    /* the most that was ever charged to it; 0: this kernel does not say */
	uint64_t own;	    /* heap, stacks, and the kernel's memory for it: no files, nothing shared */
	uint64_t file;	    /* of it, pages of files (not of tmpfs): a region's are among them */
	uint64_t shared;    /* of it, pages of tmpfs and memfds */
	uint64_t dirty;	    /* of file */
	uint64_t writeback; /* of file */
	uint64_t oom_kills;
	bool under_oom; /* v1: a task waits for memory */
};

/* Makes the group PREFIX.PID of the caller (or PREFIX.PID-N, where that is another's), and removes those of the same prefix whose maker is
 * gone. 0 or a negative errno with a sentence in err. */
int memcg_create(struct memcg *cg, const char *prefix, char err[MEMCG_ERR_TEXT]);
/* Puts a process (0: the caller) into the group. Allocates nothing: fit for a forked child. */
int memcg_enter(const struct memcg *cg, pid_t pid);
int memcg_stat_read(const struct memcg *cg, struct memcg_stat *st);
/*
 * Bounds the group. v2: memory.high, where reclaim begins; memory.max stays a `margin` above the
 * highest bound so far, since lowering it could kill. v1 has one limit; lowering it reclaims before
 * it returns, and gives up with -EBUSY or -EINTR: the old limit then stays.
 */
int memcg_limit(struct memcg *cg, uint64_t bytes, uint64_t margin);
/*
 * How much more memory the group of a process may take, by its own limits and those of the groups above it; *room_bytes is
 * UINT64_MAX where nothing bounds it. `group`: the one that leaves least. A group whose name begins with `but` counts as
 * unbounded. 0 or a negative errno.
 */
int memcg_room(pid_t pid, const char *but, uint64_t *room_bytes, char group[PATH_MAX]);
/* The limit that the kernel has. */
int memcg_limit_read(const struct memcg *cg, uint64_t *bytes);
/* Keeps the group's own memory from being swapped out. */
void memcg_forbid_swap(const struct memcg *cg);
/* v1: tasks that find no memory wait instead of being killed. No effect on v2, where memory.high
 * makes them wait. */
int memcg_wait_on_oom(const struct memcg *cg);
/* Sends a signal to every process in the group; returns how many there were. */
int memcg_signal(const struct memcg *cg, int sig);
/* Ends what is still in the group (SIGTERM, after a second SIGKILL) and removes it. Takes at most
 * some seconds: -EBUSY if something could not be killed. */
int memcg_remove(struct memcg *cg);

#endif
