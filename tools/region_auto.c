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
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>

#define LOOK_TICKS 5 /* seconds between two looks for new regions */
#define FOLDERS	   16 /* that nftw() keeps open */

struct followed {
	LIST_ENTRY(followed) entry;
	struct run_demand demand;
	uint64_t told_bytes; /* the budget that it has */
	bool by_hand;	     /* somebody else has changed that since: it is left alone */
	char path[];
};

static LIST_HEAD(, followed) all = LIST_HEAD_INITIALIZER(all);
static unsigned count;
static uint64_t limit_min, limit_max;

static bool is_followed(const char *path)
{
	const struct followed *f;

	LIST_FOREACH(f, &all, entry)
		if (strcmp(f->path, path) == 0)
			return true;
	return false;
}

/* What the host has left is for all regions, each of which gets the same part. */
static struct run_demand_reading reading(const char *stats)
{
	struct run_demand_reading r = {
		.misses = fsstats_misses(stats),
		.size_bytes = fsstats_get(stats, "size_bytes"),
		.resident_bytes = fsstats_get(stats, "resident_bytes"),
		.node_away = fsstats_get(stats, "nodes_away") != 0,
	};
	uint64_t keeps;

	meminfo_read(&r.host_bytes, &r.free_bytes);
	keeps = run_demand_keeps(r.host_bytes);
	if (r.free_bytes > keeps && count)
		r.free_bytes = keeps + (r.free_bytes - keeps) / count;
	return r;
}

/* Begins with the budget that it has. Of a region that is not on the fast path a memory cgroup holds that. */
static int region_look(const char *path, const struct stat *st, int type, struct FTW *place)
{
	static char text[FSSTATS_TEXT];
	struct run_demand_reading r;
	struct followed *f;
	uint64_t told;

	(void)st;
	(void)place;
	if (type != FTW_F || is_followed(path) || fsstats_read(path, text) || !fsstats_get(text, "fast"))
		return 0;
	f = calloc(1, sizeof(*f) + strlen(path) + 1);
	if (!f)
		return 0; /* the next look may find memory */
	strcpy(f->path, path);
	count++;
	r = reading(text);
	told = run_fast_budget_get(path);
	run_demand_init(&f->demand, limit_min < r.size_bytes ? limit_min : r.size_bytes, limit_max, &r, gvm_now_ns());
	if (told && told < f->demand.bytes)
		f->demand.bytes = told > f->demand.min_bytes ? told : f->demand.min_bytes;
	f->told_bytes = told;
	LIST_INSERT_HEAD(&all, f, entry);
	say("%s: from %llu MiB on", path, (unsigned long long)f->demand.bytes >> 20);
	return 0;
}

/* False: it is not on the fast path any more, or another region by now. */
static bool region_follow(struct followed *f)
{
	static char text[FSSTATS_TEXT];
	struct run_demand_reading r;
	uint64_t bytes, told;

	if (fsstats_read(f->path, text) || !fsstats_get(text, "fast"))
		return false;
	told = run_fast_budget_get(f->path);
	if (f->told_bytes && !told)
		return false;
	if (told != f->told_bytes && !f->by_hand) {
		f->by_hand = true;
		say("%s: another budget was set: it is left as it is", f->path);
	}
	if (f->by_hand)
		return true;
	r = reading(text);
	bytes = run_demand_step(&f->demand, &r, gvm_now_ns());
	if (bytes != told && run_fast_budget(f->path, bytes))
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
		count--;
		free(f);
	}
}

int region_auto(const char *path, uint64_t min_bytes, uint64_t max_bytes)
{
	static const struct timespec second = {.tv_sec = 1};

	limit_min = min_bytes;
	limit_max = max_bytes;
	for (unsigned tick = 0;; tick++) {
		/* A later look may come in a moment in which the mount, or a region, goes. */
		if (tick % LOOK_TICKS == 0 && nftw(path, region_look, FOLDERS, FTW_PHYS | FTW_MOUNT) && !tick)
			return -errno;
		regions_follow();
		nanosleep(&second, NULL);
	}
}
