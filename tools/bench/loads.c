// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program's way through its memory, by plan or by what it finds there.
 *
 * What the program does with a page decides what its misses weigh. It looks at each of the 4096
 * bytes, one after the other, for a checksum (FNV-1a, some 4 us): a reader in order once, as one
 * does that parses or verifies a file; a request to a store four times, as if to
 * read, verify, change and answer with a record. That is some 16 us, or 60 000 requests a second.
 *
 * The graph has vertices of 64 bytes: when the search came by, and the numbers of 15 others. Half of these are near, as what
 * was stored together often is; of the rest some are much more popular than others, as people and pages are.
 */
#include "loads.h"

#include "data.h"
#include "fsstats.h"
#include "memnode/gvm_client.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define THETA	     0.99
#define STORE_PASSES 4
#define ACCESSES_LEAST 2048u
#define PLAN	     (1u << 17) /* accesses that are drawn before the clock runs; then again */
#define LINE_BYTES   64u
#define HUGE_PAGES   512u
#define HOT_PAGES    2u /* of each HUGE_PAGES */
#define EDGES	     15u
#define NEAR	     4096u /* vertices */

static uint64_t page_work(uint8_t *page, unsigned passes, bool write)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	while (passes--)
		for (unsigned i = 0; i < PAGE_BYTES; i++)
			hash = (hash ^ page[i]) * 0x100000001b3ull;
	if (write)
		for (unsigned i = 0; i < PAGE_BYTES; i += LINE_BYTES)
			memcpy(page + i + LINE_BYTES - 8, &hash, 8);
	return hash;
}

/* The popular pages are neighbours, as what was allocated together often is. */
static uint32_t *zipf_plan(uint32_t pages, uint64_t seed)
{
	double *upto = malloc(pages * sizeof(*upto)), sum = 0;
	uint32_t *plan = malloc(PLAN * sizeof(*plan));
	uint64_t state = seed;

	for (uint32_t i = 0; upto && i < pages; i++)
		upto[i] = sum += pow(i + 1, -THETA);
	for (uint32_t i = 0; upto && plan && i < PLAN; i++) {
		uint64_t r = bench_random(&state);
		double at = (double)(r >> 11) / (double)(1ull << 53) * sum;
		uint32_t low = 0, high = pages - 1;

		while (low < high) {
			uint32_t middle = (low + high) / 2;

			if (upto[middle] < at)
				low = middle + 1;
			else
				high = middle;
		}
		plan[i] = low | (r & 3 ? 0 : LOAD_WRITE);
	}
	if (!upto) {
		free(plan);
		plan = NULL;
	}
	free(upto);
	return plan;
}

/* Which pages are hot is another matter in each 2 MiB. */
static uint32_t sparse_hot(uint32_t huge, unsigned n)
{
	return huge * HUGE_PAGES + (huge * 73u + n * 211u + 5) % HUGE_PAGES;
}

static uint32_t *sparse_plan(uint32_t pages, uint64_t seed)
{
	uint32_t *plan = malloc(PLAN * sizeof(*plan)), hot = pages / HUGE_PAGES * HOT_PAGES;
	uint64_t state = seed;

	for (uint32_t i = 0; plan && i < PLAN; i++) {
		uint64_t r = bench_random(&state);
		uint32_t h = (uint32_t)((r >> 8) % hot), page = sparse_hot(h / HOT_PAGES, h % HOT_PAGES);

		if ((r >> 40) % 10 == 0)
			page = (uint32_t)((r >> 8) % pages);
		plan[i] = page | (r & 3 ? 0 : LOAD_WRITE);
	}
	return plan;
}

/* How many pages are more popular, or as popular and in front of it. */
static uint32_t load_rank(enum bench_load load, uint32_t page, uint32_t pages)
{
	uint32_t huge = page / HUGE_PAGES, hot = pages / HUGE_PAGES * HOT_PAGES;

	if (load == LOAD_ZIPF)
		return page;
	for (unsigned n = 0; n < HOT_PAGES; n++)
		if (page == sparse_hot(huge, n))
			return huge * HOT_PAGES + n;
	return hot + page - huge * HOT_PAGES;
}

static uint32_t *plan_make(enum bench_load load, uint64_t bytes, uint64_t seed)
{
	uint32_t pages = (uint32_t)(bytes / PAGE_BYTES);

	return load == LOAD_SPARSE ? sparse_plan(pages, seed) : zipf_plan(pages, seed);
}

/* ---- what is measured */

/* What was counted so far: pages that were not here, and bytes that were fetched. */
struct counts {
	uint64_t misses, fetched;
};

/* 0 or a negative errno. Without the fast path the kernel counts the faults that had to wait. */
static int counts_read(const struct touch *t, struct counts *c)
{
	static char text[FSSTATS_TEXT];
	int rc = t->file ? fsstats_read_fd(t->fd, text) : 0;
	struct rusage usage;

	*c = (struct counts){0};
	if (rc || getrusage(RUSAGE_SELF, &usage))
		return rc ? rc : -errno;
	if (t->file)
		c->fetched = fsstats_get(text, "fetch_raw_bytes");
	c->misses = t->file && t->file->fast ? fsstats_get(text, "page_misses") : (uint64_t)usage.ru_majflt;
	return 0;
}

/* Goes on for a while from access `*at` on. */
struct program {
	void (*go)(struct program *p, unsigned count);
	struct touch *t;
	uint64_t at;
	uint64_t access_bytes;
	/* by plan; NULL: all pages in order */
	const uint32_t *plan;
	unsigned passes;
	/* in a graph */
	struct vertex *vertex;
	uint32_t vertices, *queue, head, tail, round;
};

/* Returns ns an access. What a program does while it hardly comes to run says nothing: so it does something at least. */
static double program_go(struct program *p, uint64_t ns)
{
	uint64_t from = gvm_now_ns(), now, first = p->at;

	do {
		p->go(p, 16);
		now = gvm_now_ns();
	} while (now - from < ns || p->at - first < ACCESSES_LEAST);
	return (double)(now - from) / (double)(p->at - first);
}

/* First until it is known what stays here: once through all of it, and half the time on top. */
static int program_run(struct program *p)
{
	struct touch *t = p->t;
	struct counts before, after;
	uint64_t from;
	int rc;

	for (uint64_t a = 0; a < t->bytes; a += PAGE_BYTES)
		t->answer->count += *(volatile uint8_t *)(t->map + a);
	program_go(p, t->ms * 500000ull);
	from = p->at;
	rc = counts_read(t, &before);
	t->answer->value = program_go(p, t->ms * 1000000ull) / 1e3;
	if (!rc)
		rc = counts_read(t, &after);
	if (rc)
		return rc;
	t->answer->other = 100.0 * (double)(after.misses - before.misses) / (double)(p->at - from);
	t->answer->fetched = (double)(after.fetched - before.fetched) / (double)((p->at - from) * p->access_bytes);
	return 0;
}

static void plan_go(struct program *p, unsigned count)
{
	uint32_t pages = (uint32_t)(p->t->bytes / PAGE_BYTES);

	for (unsigned i = 0; i < count; i++, p->at++) {
		uint32_t what = p->plan ? p->plan[p->at % PLAN] : (uint32_t)(p->at % pages);
		uint8_t *page = p->t->map + (what & ~LOAD_WRITE) * PAGE_BYTES;

		p->t->answer->count += (unsigned)page_work(page, p->passes, what & LOAD_WRITE);
	}
}

static int planned_run(struct touch *t, enum bench_load load)
{
	uint32_t *plan = plan_make(load, t->bytes, t->seed);
	struct program p = {.go = plan_go, .t = t, .access_bytes = PAGE_BYTES, .plan = plan, .passes = STORE_PASSES};
	int rc = plan ? program_run(&p) : -ENOMEM;

	free(plan);
	return rc;
}

static int do_zipf(struct touch *t)
{
	return planned_run(t, LOAD_ZIPF);
}

static int do_sparse(struct touch *t)
{
	return planned_run(t, LOAD_SPARSE);
}

static int do_seq(struct touch *t)
{
	struct program p = {.go = plan_go, .t = t, .access_bytes = PAGE_BYTES, .passes = 1};

	return program_run(&p);
}

/* ---- a graph */

struct vertex {
	uint32_t seen; /* the last search that came by */
	uint32_t edge[EDGES];
};

static void graph_make(struct program *p)
{
	uint64_t state = p->t->seed;

	for (uint32_t v = 0; v < p->vertices; v++) {
		p->vertex[v].seen = 0;
		for (unsigned e = 0; e < EDGES; e++) {
			uint64_t r = bench_random(&state);
			double u = (double)(r >> 11) / (double)(1ull << 53);

			if (r & 1)
				p->vertex[v].edge[e] = (uint32_t)((v + (r >> 8) % NEAR) % p->vertices);
			else
				p->vertex[v].edge[e] = (uint32_t)(u * u * u * p->vertices);
		}
	}
}

/* From the next vertex in the queue; where it is empty, a new search begins elsewhere. */
static void graph_go(struct program *p, unsigned count)
{
	for (unsigned i = 0; i < count; i++, p->at++) {
		const struct vertex *v;

		if (p->head == p->tail) {
			p->head = p->tail = 0;
			p->queue[p->tail++] = (uint32_t)(p->at * 2654435761u % p->vertices);
			p->vertex[p->queue[0]].seen = ++p->round;
		}
		v = &p->vertex[p->queue[p->head++]];
		for (unsigned e = 0; e < EDGES; e++) {
			struct vertex *next = &p->vertex[v->edge[e]];

			if (next->seen == p->round)
				continue;
			next->seen = p->round;
			p->queue[p->tail++] = v->edge[e];
		}
	}
}

/* The queue lies behind the vertices: each is in it once in a search. */
static int do_graph(struct touch *t)
{
	struct program p = {.go = graph_go, .t = t, .access_bytes = sizeof(struct vertex)};

	p.vertices = (uint32_t)(t->bytes / (sizeof(struct vertex) + sizeof(uint32_t)));
	p.vertex = (struct vertex *)(void *)t->map;
	p.queue = (uint32_t *)(void *)(p.vertex + p.vertices);
	graph_make(&p);
	return program_run(&p);
}

int load_run(struct touch *t, enum bench_load load)
{
	static int (*const what[LOADS])(struct touch *) = {
		[LOAD_ZIPF] = do_zipf, [LOAD_SEQ] = do_seq, [LOAD_SPARSE] = do_sparse, [LOAD_GRAPH] = do_graph
	};

	return touch_run(t, what[load]);
}

/* ---- what is known of a load beforehand */

uint32_t *load_plan(enum bench_load load, uint64_t bytes, uint64_t seed, uint32_t *count)
{
	*count = PLAN;
	return plan_make(load, bytes, seed);
}

uint64_t load_active(enum bench_load load, uint64_t bytes, uint64_t seed, uint64_t accesses)
{
	uint32_t *plan = plan_make(load, bytes, seed);
	bool *seen = calloc(bytes / PAGE_BYTES, sizeof(*seen));
	uint64_t active = 0;

	for (uint64_t i = 0; plan && seen && i < accesses && i < PLAN; i++) {
		bool *page = &seen[plan[i] & ~LOAD_WRITE];

		active += !*page;
		*page = true;
	}
	free(seen);
	free(plan);
	return active * PAGE_BYTES;
}

double load_optimum(enum bench_load load, uint64_t bytes, uint64_t resident, uint64_t seed)
{
	uint32_t pages = (uint32_t)(bytes / PAGE_BYTES), fit = (uint32_t)(resident / PAGE_BYTES), misses = 0;
	uint32_t *plan = load == LOAD_ZIPF || load == LOAD_SPARSE ? plan_make(load, bytes, seed) : NULL;

	for (uint32_t i = 0; plan && i < PLAN; i++)
		misses += load_rank(load, plan[i] & ~LOAD_WRITE, pages) >= fit;
	free(plan);
	return plan ? 100.0 * misses / PLAN : -1;
}
