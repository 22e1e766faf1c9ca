// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guests at once on one mount: each is a process with a region of its own, which takes one cold fault after the
 * other. What they get together says whether one waits for what is done for another.
 */
#include "guests.h"

#include "child.h"
#include "memnode/gvm_client.h"

#include <errno.h>
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
