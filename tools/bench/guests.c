// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guests at once on one mount: each is a process with a region of its own, which takes one cold fault after the
 * other. What they get together says whether one waits for what is done for another. And the same of a guest's
 * CPUs: threads of one process, each with its own part of the region.
 */
#include "guests.h"

#include "child.h"
#include "memnode/gvm_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define READY_NS (20ull * 1000 * 1000 * 1000)

/* In memory that all of them share. */
struct gate {
	atomic_uint away; /* have not mapped their file yet */
	uint64_t begin_ns[BENCH_GUESTS], end_ns[BENCH_GUESTS];
};

struct guest {
	struct touch t; /* first */
	struct gate *gate;
	unsigned number;
};

/* All begin at once: none has an advantage of what the last one is still at. */
static int gate_pass(struct gate *gate)
{
	uint64_t until = gvm_now_ns() + READY_NS;

	atomic_fetch_sub(&gate->away, 1);
	while (atomic_load(&gate->away)) {
		if (gvm_now_ns() > until)
			return -ETIMEDOUT;
		usleep(50);
	}
	return 0;
}

static int do_faults(struct touch *t)
{
	const struct guest *g = (struct guest *)t;
	int rc = gate_pass(g->gate);

	if (rc)
		return rc;
	g->gate->begin_ns[g->number] = gvm_now_ns();
	t->answer->count = faults_random(t->map, t->bytes, t->faults, t->seed, t->answer->latency_ns);
	g->gate->end_ns[g->number] = gvm_now_ns();
	return t->answer->count ? 0 : -ENODATA;
}

static double rate(const struct gate *gate, const struct guest *g, unsigned guests)
{
	uint64_t begin = gate->begin_ns[0], end = gate->end_ns[0], faults = 0;

	for (unsigned i = 0; i < guests; i++) {
		begin = gate->begin_ns[i] < begin ? gate->begin_ns[i] : begin;
		end = gate->end_ns[i] > end ? gate->end_ns[i] : end;
		faults += g[i].t.answer->count;
	}
	return end > begin ? (double)faults * 1e9 / (double)(end - begin) : 0;
}

/* The first error is what went wrong: after it the others wait in vain. */
static int all_run(struct guest *g, unsigned guests)
{
	unsigned started = 0;
	int rc = 0;

	for (unsigned i = 0; i < guests && !rc; i++)
		rc = touch_cool(&g[i].t);
	for (; started < guests && !rc; started++)
		rc = touch_start(&g[started].t, do_faults);
	for (unsigned i = 0; i < started; i++) {
		int other = g[i].t.pid > 0 ? touch_finish(&g[i].t) : 0;

		rc = rc ? rc : other;
	}
	return rc;
}

int bench_guests_run(struct bench_file *const file[], unsigned guests, uint64_t bytes, unsigned faults,
		     uint64_t seed, double *per_s)
{
	struct gate *gate = mmap(NULL, sizeof(*gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct guest g[BENCH_GUESTS];
	int rc;

	if (gate == MAP_FAILED)
		return -errno;
	atomic_store(&gate->away, guests);
	for (unsigned i = 0; i < guests; i++)
		g[i] = (struct guest){
			.t = {.file = file[i], .bytes = bytes, .faults = faults, .seed = seed + i},
			.gate = gate,
			.number = i,
		};
	rc = all_run(g, guests);
	if (!rc)
		*per_s = rate(gate, g, guests);
	for (unsigned i = 0; i < guests; i++)
		touch_end(&g[i].t);
	munmap(gate, sizeof(*gate));
	return rc;
}

/* ---- threads of one of them */

struct threads {
	struct touch t; /* first */
	unsigned count;
};

struct cpu {
	pthread_t thread;
	uint8_t *map; /* its part of the region */
	uint64_t bytes, seed, *latency_ns;
	unsigned faults;
};

static void *cpu_main(void *arg)
{
	struct cpu *c = arg;

	c->faults = faults_random(c->map, c->bytes, c->faults, c->seed, c->latency_ns);
	return NULL;
}

static int do_threads(struct touch *t)
{
	unsigned count = ((struct threads *)t)->count, started = 0, faults = 0;
	uint64_t from = gvm_now_ns();
	struct cpu cpu[BENCH_THREADS];
	int rc = 0;

	for (; started < count && !rc; started += !rc) {
		struct cpu *c = &cpu[started];

		*c = (struct cpu){
			.map = t->map + started * (t->bytes / count),
			.bytes = t->bytes / count,
			.seed = t->seed + started,
			.latency_ns = t->answer->latency_ns + started * (t->faults / count),
			.faults = t->faults / count,
		};
		rc = -pthread_create(&c->thread, NULL, cpu_main, c);
	}
	for (unsigned i = 0; i < started; i++) {
		pthread_join(cpu[i].thread, NULL);
		faults += cpu[i].faults;
	}
	t->answer->value = (double)faults * 1e9 / (double)(gvm_now_ns() - from);
	return rc ? rc : faults ? 0 : -ENODATA;
}

int bench_threads_run(struct bench_file *f, unsigned threads, uint64_t bytes, unsigned faults, uint64_t seed,
		      double *per_s)
{
	struct threads th = {.t = {.file = f, .bytes = bytes, .faults = faults, .seed = seed}, .count = threads};
	int rc = touch_cool(&th.t);

	return rc ? rc : touch_value(&th.t, do_threads, per_s, NULL);
}
