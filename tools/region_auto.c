// SPDX-License-Identifier: GPL-2.0-or-later
/* region_auto.c - see region_auto.h. */
#include "region_auto.h"

#include "fsstats.h"
#include "gvmfs/gvm_mount.h"
#include "meminfo.h"
#include "memnode/clock.h"
#include "run/demand.h"
#include "run/fast.h"
#include "say.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>

#define LOOK_TICKS 5 /* seconds between two looks for new regions */
#define FOLDERS	   16 /* that nftw() keeps open */
#define STEP_BYTES (1ull << 20) /* a smaller change is not worth a system call */

struct followed {
	LIST_ENTRY(followed) entry;
	struct run_demand demand;
	uint64_t told_bytes; /* the budget that it has */
	char path[];
};

static LIST_HEAD(, followed) all = LIST_HEAD_INITIALIZER(all);
static uint64_t limit_min, limit_max;

static bool is_followed(const char *path)
{
	const struct followed *f;

	LIST_FOREACH(f, &all, entry)
		if (strcmp(f->path, path) == 0)
			return true;
	return false;
}

static struct run_demand_reading reading(const char *stats)
{
	struct run_demand_reading r = {.misses = fsstats_misses(stats)};

	meminfo_read(&r.host_bytes, &r.free_bytes);
	return r;
}

/* Of a region that is not on the fast path a memory cgroup holds the budget. */
static int region_look(const char *path, const struct stat *st, int type, struct FTW *place)
{
	static char text[FSSTATS_TEXT];
	uint64_t size = (uint64_t)st->st_size, max = limit_max && limit_max < size ? limit_max : size;
	struct run_demand_reading r;
	struct followed *f;

	(void)place;
	if (type != FTW_F || max < limit_min || is_followed(path) || fsstats_read(path, text) ||
	    !fsstats_get(text, "fast"))
		return 0;
	f = calloc(1, sizeof(*f) + strlen(path) + 1);
	if (!f)
		return 0; /* the next look may find memory */
	strcpy(f->path, path);
	r = reading(text);
	run_demand_init(&f->demand, limit_min, max, &r, gvm_now_ns());
	f->told_bytes = run_fast_budget_get(path);
	if (f->told_bytes && f->told_bytes < f->demand.bytes)
		f->demand.bytes = f->told_bytes > limit_min ? f->told_bytes : limit_min;
	LIST_INSERT_HEAD(&all, f, entry);
	say("%s: %llu MiB", path, (unsigned long long)f->demand.bytes >> 20);
	return 0;
}

/* False: it is not on the fast path any more. */
static bool region_follow(struct followed *f)
{
	static char text[FSSTATS_TEXT];
	struct run_demand_reading r;
	uint64_t bytes;

	if (fsstats_read(f->path, text) || !fsstats_get(text, "fast"))
		return false;
	r = reading(text);
	bytes = run_demand_step(&f->demand, &r, gvm_now_ns());
	if (bytes < f->told_bytes + STEP_BYTES && f->told_bytes < bytes + STEP_BYTES)
		return true;
	if (run_fast_budget(f->path, bytes))
		return false;
	f->told_bytes = bytes;
	return true;
}

static void regions_follow(void)
{
	struct followed *f, *next;

	for (f = LIST_FIRST(&all); f; f = next) {
		next = LIST_NEXT(f, entry);
		if (region_follow(f))
			continue;
		LIST_REMOVE(f, entry);
		free(f);
	}
}

int region_auto(const char *path, uint64_t min_bytes, uint64_t max_bytes)
{
	static const struct timespec second = {.tv_sec = 1};
	sigset_t ends;

	limit_min = min_bytes;
	limit_max = max_bytes;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	for (unsigned tick = 0;; tick++) {
		if (tick % LOOK_TICKS == 0 && nftw(path, region_look, FOLDERS, FTW_PHYS | FTW_MOUNT))
			return -errno;
		regions_follow();
		if (sigtimedwait(&ends, NULL, &second) > 0)
			return 0;
	}
}
