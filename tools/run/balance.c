// SPDX-License-Identifier: GPL-2.0-or-later
#include "balance.h"

#include "demand.h"
#include "fast.h"
#include "fsstats.h"
#include "meminfo.h"
#include "memnode/clock.h"
#include "shares.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REGIONS_MAX 128 /* those of the command line, and as many plugged in */
#define STEP_BYTES  (1ull << 20) /* a smaller change is not worth a system call */
#define HUNGRY	    8u		 /* fsstats_misses() in a second */
#define LOOK_NS	    (100l * 1000 * 1000)
#define LOOKS	    10u /* in a second */
#define LOOKS_FIRST 50u /* for so long it is asked at each whether QEMU has got the fast path */

/* Once the thread runs, all of it is the thread's but for what is atomic. */
static struct {
	struct run_share share[REGIONS_MAX];
	char *path[REGIONS_MAX];
	int fd[REGIONS_MAX];
	uint64_t missed[REGIONS_MAX];  /* as last seen */
	bool read[REGIONS_MAX];	       /* it was seen before */
	bool by_hand[REGIONS_MAX];     /* the user has set its budget */
	_Atomic(char *) settled[REGIONS_MAX]; /* paths of those that were, from the first on */
	unsigned count;
	struct run_demand demand;
	struct run_demand_reading reading; /* misses: of all regions since the start */
	bool fast; /* a region is on the fast path */
	bool mapped; /* a region is not */
	bool fast_for_sure;
	atomic_bool fast_alone; /* none is not */
	_Atomic uint64_t local_bytes, mapped_bytes;
	const char *mount;
	pid_t qemu;
	atomic_bool over;
} all;

int run_balance_add(const char *path, uint64_t bytes, int fd)
{
	char *copy = all.count < REGIONS_MAX ? strdup(path) : NULL;

	if (!copy)
		return all.count < REGIONS_MAX ? -ENOMEM : -EMFILE;
	all.path[all.count] = copy;
	all.fd[all.count] = fd;
	all.missed[all.count] = 0;
	all.read[all.count] = false;
	all.by_hand[all.count] = false;
	all.share[all.count++] = (struct run_share){.size_bytes = bytes};
	return 0;
}

static bool is_moving(void)
{
	return all.demand.min_bytes != all.demand.max_bytes;
}

/* Divides what is not fixed by hand, and tells gvmfs where that changed something. */
static int shares_set(void)
{
	struct run_share share[REGIONS_MAX];
	uint64_t left = all.local_bytes, step = is_moving() ? 1 : STEP_BYTES;
	unsigned at[REGIONS_MAX], n = 0;
	bool hungry = false;
	int rc = 0;

	for (unsigned i = 0; i < all.count; i++) {
		hungry |= all.share[i].hungry || !all.share[i].bytes;
		if (all.by_hand[i]) {
			left -= left < all.share[i].bytes ? left : all.share[i].bytes;
			continue;
		}
		at[n] = i;
		share[n++] = all.share[i];
	}
	if (hungry)
		run_shares_divide(share, n, left);
	else
		run_shares_scale(share, n, left);
	/* The smaller ones first, so that the sum is within the budget at any time. */
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < n && !rc; i++) {
			uint64_t was = all.share[at[i]].bytes, is = share[i].bytes;
			uint64_t change = was > is ? was - is : is - was;

			if ((pass == 0) != (is < was) || (was && change < step))
				continue;
			rc = run_fast_budget(all.path[at[i]], is);
			if (!rc)
				all.share[at[i]].bytes = is;
		}
	}
	return rc;
}

static uint64_t regions_bytes(void)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < all.count; i++)
		bytes += all.share[i].size_bytes;
	return bytes;
}

int run_balance_begin(const char *mount, uint64_t min_bytes, uint64_t max_bytes, bool fast)
{
	struct run_demand_reading r = {.size_bytes = max_bytes};

	if (min_bytes != max_bytes) {
		meminfo_read(&r.host_bytes, &r.free_bytes);
		r.size_bytes = regions_bytes();
	}
	run_demand_init(&all.demand, min_bytes, max_bytes, &r, gvm_now_ns());
	all.mount = mount;
	all.fast_for_sure = fast;
	all.fast_alone = fast;
	all.local_bytes = all.demand.bytes;
	return shares_set();
}

uint64_t run_balance_local(void)
{
	return all.local_bytes;
}

bool run_balance_fast(void)
{
	return all.fast_alone;
}

void run_balance_mapped(uint64_t bytes)
{
	all.mapped_bytes = bytes;
}

/* After all regions were read. Whether the budget is another one now. */
static bool demand_follow(void)
{
	uint64_t was = all.local_bytes;

	if (!is_moving())
		return false;
	if (!all.fast)
		all.reading.resident_bytes = all.mapped_bytes;
	all.reading.size_bytes = regions_bytes();
	meminfo_read(&all.reading.host_bytes, &all.reading.free_bytes);
	all.local_bytes = run_demand_step(&all.demand, &all.reading, gvm_now_ns());
	return all.local_bytes != was;
}

bool run_balance_settled(const char *path)
{
	for (unsigned i = 0; i < REGIONS_MAX && all.settled[i]; i++)
		if (strcmp(all.settled[i], path) == 0)
			return true;
	return false;
}

/* Lets go of the file. Its number stays the main thread's, which closes it in the end. */
static void region_settled(unsigned r)
{
	int null = all.fd[r] < 0 ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
	char *path = null < 0 ? NULL : strdup(all.path[r]);
	unsigned i = 0;

	while (i < REGIONS_MAX && all.settled[i])
		i++;
	if (path && i < REGIONS_MAX) {
		all.settled[i] = path; /* before that: whoever has the name afterwards is not to be removed at the end */
		dup3(null, all.fd[r], O_CLOEXEC);
	} else {
		free(path);
	}
	if (null >= 0)
		close(null);
}

/* A region that gvmfs does not tell of is gone; one that was settled is as good as that. */
static bool region_read(unsigned i)
{
	static char text[FSSTATS_TEXT];
	struct run_share *s = &all.share[i];
	uint64_t local, misses;

	if (fsstats_read(all.path[i], text))
		return false;
	s->resident_bytes = fsstats_get(text, "resident_bytes");
	if (fsstats_get(text, "settled")) {
		region_settled(i);
		return false;
	}
	misses = fsstats_misses(text);
	if (!all.read[i] || misses < all.missed[i])
		all.missed[i] = misses;
	all.read[i] = true;
	s->hungry = misses - all.missed[i] >= HUNGRY;
	all.reading.misses += misses - all.missed[i];
	all.missed[i] = misses;
	all.reading.resident_bytes += s->resident_bytes;
	all.reading.node_away |= fsstats_get(text, "nodes_away") != 0;
	if (fsstats_get(text, "fast"))
		all.fast = true;
	else
		all.mapped = true;
	local = run_fast_budget_get(all.path[i]);
	if (s->bytes && local != s->bytes) {
		all.by_hand[i] = true;
		s->bytes = local ? local : s->resident_bytes; /* 0: without a limit */
	}
	return true;
}

static void region_drop(unsigned i)
{
	assert(i < all.count && all.count <= REGIONS_MAX);
	free(all.path[i]);
	all.count--;
	all.path[i] = all.path[all.count];
	all.fd[i] = all.fd[all.count];
	all.share[i] = all.share[all.count];
	all.missed[i] = all.missed[all.count];
	all.read[i] = all.read[all.count];
	all.by_hand[i] = all.by_hand[all.count];
}

static bool region_known(const char *path)
{
	for (unsigned i = 0; i < all.count; i++)
		if (strcmp(all.path[i], path) == 0)
			return true;
	return false;
}

/* QEMU keeps the file of each region open. */
static void regions_find(void)
{
	char folder[64], path[PATH_MAX], link[PATH_MAX];
	size_t mount = strlen(all.mount);
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", all.qemu);
	dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		ssize_t n;

		snprintf(link, sizeof(link), "%s/%s", folder, entry->d_name);
		n = readlink(link, path, sizeof(path) - 1);
		if (n <= 0)
			continue;
		path[n] = 0;
		if (strncmp(path, all.mount, mount) || path[mount] != '/' || region_known(path) ||
		    stat(path, &st) || !S_ISREG(st.st_mode) || !st.st_size)
			continue;
		run_balance_add(path, (uint64_t)st.st_size, -1);
	}
	if (dir)
		closedir(dir);
}

/* Whether any region wants more than it has. (One alone has all of the budget, and a user who
 * changes that means it.) */
static bool shares_are_due(void)
{
	bool due = false;

	for (unsigned i = 0; i < all.count && all.count > 1; i++)
		due |= all.share[i].hungry || !all.share[i].bytes;
	return due;
}

static bool regions_are_fast(void)
{
	static char text[FSSTATS_TEXT];

	for (unsigned i = 0; i < all.count; i++)
		if (fsstats_read(all.path[i], text) || !fsstats_get(text, "fast"))
			return false;
	return all.count;
}

/* A second passes. In the first ones it is looked more often whether QEMU has got the fast path. */
static void second_pass(unsigned *looks)
{
	static const struct timespec pause = {.tv_nsec = LOOK_NS};

	for (unsigned i = 0; i < LOOKS && !all.over; i++) {
		nanosleep(&pause, NULL);
		if (all.fast_alone || !*looks)
			continue;
		--*looks;
		all.fast_alone = regions_are_fast();
	}
}

static void *balance(void *arg)
{
	unsigned looks = LOOKS_FIRST;

	for (;;) {
		second_pass(&looks);
		if (all.over)
			return arg;
		regions_find();
		all.reading.resident_bytes = 0;
		all.reading.node_away = all.fast = all.mapped = false;
		for (unsigned i = all.count; i--;)
			if (!region_read(i))
				region_drop(i);
		all.fast_alone = all.fast_for_sure || (all.fast && !all.mapped);
		if (demand_follow() || shares_are_due())
			shares_set();
	}
}

void run_balance_watch(pid_t qemu)
{
	sigset_t every, before;
	pthread_t thread;

	all.qemu = qemu;
	/* Signals are the main thread's. Without the thread the first shares stay. */
	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &before);
	if (pthread_create(&thread, NULL, balance, NULL) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void run_balance_end(void)
{
	all.over = true;
}
