// SPDX-License-Identifier: GPL-2.0-or-later
#include "figures.h"

#include "fsstats.h"
#include "memnode/size.h"
#include "say.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than some distributions' headers; the values are the kernel's ABI. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* A look walks over all pages that are here, so it is taken now and then, and when there are more. */
#define LOOK_NS	   (1000ull * 1000 * 1000)
#define LOOK_BYTES (256ull << 10)
#define LOOK_PART  32

/* Where the kernel does not say the group's peak: so many readings, and not fewer, are a measurement. */
#define READINGS_FEW 10
#define GROUP_TEXT   192

/*
 * Sums over all regions. *here_bytes: the most that the fast path, or else the page cache, had.
 * A negative errno where a region's counters are gone, with the gvmfs that had them.
 */
static int counters_read(const struct run_figures *f, struct run_counters *c, uint64_t *here_bytes)
{
	char text[FSSTATS_TEXT];
	int rc = 0, r;

	memset(c, 0, sizeof(*c));
	*here_bytes = 0;
	for (unsigned i = 0; i < f->regions; i++) {
		uint64_t fast = 0;

		r = fsstats_read_fd(f->region[i].fd, text);
		if (r)
			rc = r;
		fast = fsstats_get(text, "resident_peak_bytes");
		*here_bytes += fast ? fast : f->peak_cached_bytes[i];
		c->faults += fsstats_get(text, "reads") + fsstats_get(text, "faults");
		c->fetched += fsstats_get(text, "chunks_fetched");
		c->fetch_bytes += fsstats_get(text, "fetch_bytes");
		c->written += fsstats_get(text, "chunks_written");
		c->put_bytes += fsstats_get(text, "put_bytes");
	}
	return rc;
}

/* How much of each region the page cache has. */
static void look(struct run_figures *f)
{
	struct {
		uint64_t cache, dirty, writeback, evicted, recently_evicted;
	} pages;
	struct {
		uint64_t offset, bytes;
	} all = {0, 0}; /* to the end */

	for (unsigned i = 0; i < f->regions && !f->cache_unknown; i++) {
		if (syscall(SYS_cachestat, f->region[i].fd, &all, &pages, 0)) {
			f->cache_unknown = true;
			return;
		}
		pages.cache *= (uint64_t)sysconf(_SC_PAGESIZE);
		if (pages.cache > f->peak_cached_bytes[i])
			f->peak_cached_bytes[i] = pages.cache;
	}
}

void run_figures_begin(struct run_figures *f, const struct run_region *region, unsigned regions,
		       uint64_t limit_bytes)
{
	uint64_t unused;

	memset(f, 0, sizeof(*f));
	f->region = region;
	f->regions = regions;
	f->lowest_limit_bytes = limit_bytes;
	counters_read(f, &f->before, &unused);
}

void run_figures_limit(struct run_figures *f, uint64_t limit_bytes)
{
	if (limit_bytes < f->lowest_limit_bytes)
		f->lowest_limit_bytes = limit_bytes;
}

static void peaks_raise(struct run_figures *f, const struct memcg_stat *st)
{
	if (st->own > f->peak_own_bytes)
		f->peak_own_bytes = st->own;
	if (st->file > f->peak_file_bytes)
		f->peak_file_bytes = st->file;
	if (st->shared > f->peak_shared_bytes)
		f->peak_shared_bytes = st->shared;
}

void run_figures_take(struct run_figures *f, const struct memcg_stat *st, uint64_t now_ns)
{
	f->readings++;
	peaks_raise(f, st);
	if (f->cache_unknown ||
	    (now_ns - f->looked_ns < LOOK_NS &&
	     st->file < f->looked_file_bytes + f->looked_file_bytes / LOOK_PART + LOOK_BYTES))
		return;
	f->looked_ns = now_ns;
	f->looked_file_bytes = st->file;
	look(f);
}

/* From the kernel's own count: what no reading saw. */
static void own_complete(struct run_figures *f, uint64_t peak_bytes)
{
	uint64_t rest_bytes = f->peak_file_bytes + f->peak_shared_bytes;

	if (!peak_bytes)
		f->own_unknown = f->readings < READINGS_FEW;
	else if (peak_bytes < f->lowest_limit_bytes && peak_bytes > rest_bytes + f->peak_own_bytes)
		f->peak_own_bytes = peak_bytes - rest_bytes;
}

void run_figures_end(struct run_figures *f, const struct memcg *cg)
{
	struct memcg_stat st;

	look(f);
	if (memcg_stat_read(cg, &st)) {
		f->own_unknown = f->readings < READINGS_FEW;
		return;
	}
	peaks_raise(f, &st);
	own_complete(f, st.peak);
}

/* The group's part of the sentence: what others than gvmfs counted. */
static void group_text(const struct run_figures *f, uint64_t here_bytes, char *text, size_t size)
{
	char peak[SIZE_TEXT], own[SIZE_TEXT];
	int n = 0;

	if (here_bytes || !f->counters_lost)
		n = snprintf(text, size, "at most %s of the RAM on this host, ",
			     size_text(here_bytes, peak));
	if (f->own_unknown)
		snprintf(text + n, size - (size_t)n,
			 "%sQEMU ended before its own memory could be measured", n ? "and " : "");
	else
		snprintf(text + n, size - (size_t)n, "%s%s of QEMU's own memory", n ? "beside " : "",
			 size_text(f->peak_own_bytes, own));
}

void run_figures_say(struct run_figures *f, uint64_t oom_kills)
{
	const char *killed = oom_kills ? "; the kernel killed a process of the group for want of memory" :
					 "";
	char fetched[SIZE_TEXT], put[SIZE_TEXT], group[GROUP_TEXT];
	const struct run_counters *before = &f->before;
	uint64_t here_bytes, ram_bytes = 0;
	struct run_counters now;

	f->counters_lost = counters_read(f, &now, &here_bytes) != 0;
	for (unsigned i = 0; i < f->regions; i++)
		ram_bytes += f->region[i].bytes;
	if (f->cache_unknown && !here_bytes && !f->counters_lost)
		here_bytes = f->peak_file_bytes < ram_bytes ? f->peak_file_bytes : ram_bytes;
	group_text(f, here_bytes, group, sizeof(group));
	if (f->counters_lost) {
		say("faults and chunks are not known: the gvmfs that counted them has ended; %s%s",
		    group, killed);
		return;
	}
	say("%llu faults and read-aheads; %llu chunks fetched (%s), %llu written back (%s); %s%s",
	    (unsigned long long)(now.faults - before->faults),
	    (unsigned long long)(now.fetched - before->fetched),
	    size_text(now.fetch_bytes - before->fetch_bytes, fetched),
	    (unsigned long long)(now.written - before->written),
	    size_text(now.put_bytes - before->put_bytes, put), group, killed);
}
