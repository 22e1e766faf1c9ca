// SPDX-License-Identifier: GPL-2.0-or-later
/* serve.c - see serve.h. */
#include "serve.h"

#include "base/loop.h"
#include "base/turns.h"
#include "connection.h"
#include "fuse/interrupt.h"
#include "fuse/sizes.h"
#include "fuse/unmade.h"
#include "node/fetch.h"
#include "node/jobs.h"
#include "node/looks.h"
#include "node/names.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/region_lease.h"
#include "node/scrub.h"
#include "node/times.h"
#include "node/unpack.h"
#include "state/closes.h"
#include "state/lookout.h"
#include "state/request.h"
#include "state/worker_state.h"
#include "store/pagecache.h"
#include "store/store.h"
#include "store/watch.h"
#include "store/writers.h"
#include "uffd/apart.h"
#include "uffd/handshake.h"
#include "uffd/resident.h"

#include <unistd.h>

#define SPIN_MAX_NS    100000u
#define SPIN_MIN_NS    2000u
#define PREEMPTED_NS   100000u /* no two looks are that far apart, but for another thread's turn */
#define PREEMPTED_PAUSE_NS 20000000u
#define REST_NS	       15000u
#define SERVE_MAX      64
#define LOOK_NS	       50000000ull

/* It ends the sleep: whoever comes back from there reads the kernel's requests. */
static void requests_ready(void *arg)
{
	(void)arg;
}

/* A thread that looks after a region did something: perhaps the clock goes earlier. */
static void pokes_ready(void *arg)
{
	struct worker *w = arg;

	relief_poked(&w->lookout->relief);
}

static void results_ready(void *arg)
{
	jobs_collect(arg);
}

static void outcomes_ready(void *arg)
{
	struct worker *w = arg;

	writers_collect(w->writers, w);
	store_turn(w->store);
}

/* It ends the sleep, too. */
static void unpacked_ready(void *arg)
{
	const struct worker *w = arg;
	uint64_t count;

	if (read(w->unpack->event_fd, &count, sizeof(count)) < 0)
		return;
}

int serve_init(struct worker *w)
{
	int r = loop_add(w->loop, &w->results, w->jobs->event_fd, results_ready, w->jobs);

	if (w->opts->bench_turns)
		turns_measure();
	if (!r)
		r = loop_add(w->loop, &w->outcomes, w->writers->queue.finished_fd, outcomes_ready, w);
	if (!r)
		r = loop_add(w->loop, &w->pokes, w->lookout->relief.poke_fd, pokes_ready, w);
	if (!r)
		r = loop_add(w->loop, &w->unpacked, w->unpack->event_fd, unpacked_ready, w);
	return r;
}

int serve_requests(struct worker *w)
{
	return loop_add(w->loop, &w->requests, w->fuse_fd, requests_ready, w);
}

/* Sleeps until something comes or until due_ns (0: does not sleep), and handles all of it but the
 * kernel's requests. */
static void wait_events(struct worker *w, uint64_t due_ns)
{
	bool shared = due_ns && relief_is_shared(&w->lookout->relief);
	struct loop_events events;

	if (shared)
		relief_unlock(&w->lookout->relief);
	loop_sleep(w->loop, due_ns, &events);
	if (shared)
		relief_lock(&w->lookout->relief);
	loop_handle(w->loop, &events);
}

/* How long to look for more before sleeping. */
struct spin {
	uint64_t ns;
	uint64_t since_ns;	/* when the looking began that ended in sleep; 0: it did not */
	uint64_t not_before_ns; /* the CPU was taken from us: others need it more */
};

/* Adapts to how long we had nothing to do: so long looking would have had to go on. What is longer than
 * SPIN_MAX_NS is not worth it, and then less looking is tried. */
static void spin_adapt(struct spin *spin)
{
	uint64_t idle_ns;

	if (!spin->since_ns)
		return;
	idle_ns = gvm_now_ns() - spin->since_ns;
	spin->since_ns = 0;
	if (idle_ns < SPIN_MAX_NS && idle_ns * 5 / 4 > spin->ns)
		spin->ns = idle_ns * 5 / 4;
	else if (idle_ns >= SPIN_MAX_NS)
		spin->ns /= 2;
	if (spin->ns < SPIN_MIN_NS)
		spin->ns = SPIN_MIN_NS;
}

static bool is_fetching(const struct worker *w)
{
	return w->store->cache.fetching || w->residents->fetching;
}

static int nodes_read(struct worker *w)
{
	w->residents->paused = false;
	w->residents->paused_ns = 0;
	return pool_poll(w->pool) > 0;
}

/*
 * Whether the rest of an answer, whose awaited page has been mapped, waits for a moment: the faulter is likely to fault again as soon as
 * it runs, and the node then looks at that request while the front looks at the rest. Not if other answers may be behind it.
 */
static bool rest_waits(struct worker *w, const struct spin *spin)
{
	struct residents *rs = w->residents;
	uint64_t now;

	if (rs->fetching != 1 || w->store->cache.fetching)
		return false;
	now = gvm_now_ns();
	if (now < spin->not_before_ns)
		return false;
	if (!rs->paused_ns)
		rs->paused_ns = now;
	return now - rs->paused_ns < REST_NS;
}

/*
 * Serves requests, faults and answers until none has come for a while (returns 0: sleep), or so many
 * have that others want a look (returns 1). -ENODEV: the mount is gone.
 */
static int serve_some(struct worker *w, struct spin *spin)
{
	uint64_t begin = 0, last = 0, now;
	unsigned found = 0;

	while (found < SERVE_MAX || w->residents->paused) {
		int r = connection_serve(w);

		if (r < 0)
			return r;
		if (w->residents->count)
			r += (int)residents_faults_read(w);
		turns_look();
		if (w->residents->paused) {
			if (r)
				regions_turn(w); /* sends the fault's GET */
			else if (rest_waits(w, spin))
				continue;
		}
		/* Also between requests: many WRITEs in a row must not hold up an answer that is here. */
		if ((is_fetching(w) && (!r || found % 4 == 3)) || w->residents->paused)
			r += nodes_read(w);
		r += (int)unpack_collect(w->unpack);
		if (w->residents->count)
			regions_turn(w);
		/* (While nothing else is to be done.) */
		if (!r)
			r += unpack_help(w->unpack);
		relief_yield(&w->lookout->relief);
		if (r) {
			found++;
			begin = 0;
			continue;
		}
		now = gvm_now_ns();
		if (!begin) {
			begin = last = now;
			if (now < spin->not_before_ns || (!found && !is_fetching(w)))
				break;
		} else if (now - last > PREEMPTED_NS) {
			/* Looking on would only spend the time slice that the next answer needs. */
			spin->not_before_ns = now + PREEMPTED_PAUSE_NS;
			return 0;
		} else if (now - begin > spin->ns) {
			break;
		}
		last = now;
	}
	spin->since_ns = begin;
	return found >= SERVE_MAX;
}

static uint64_t files_tick(struct worker *w, uint64_t now_ns)
{
	return store_tick(w->store, now_ns);
}

static uint64_t buffers_tick(struct worker *w, uint64_t now_ns)
{
	(void)w;
	return request_tick(now_ns);
}

static uint64_t fetches_due(struct worker *w, uint64_t now_ns)
{
	return fetches_tick(w->fetches, now_ns);
}

static uint64_t fast_path_tick(struct worker *w, uint64_t now_ns)
{
	return w->residents->count ? regions_tick(w, now_ns) : LOOP_NEVER;
}

/* Does what is due, and returns when something is again. */
static uint64_t tick(struct worker *w)
{
	static uint64_t (*const ticks[])(struct worker *w, uint64_t now_ns) = {
		looks_tick,	fetches_due,	 files_tick,	  fast_path_tick, handshakes_tick, times_tick, watches_tick,
		pagecache_tick, pagecache_drop_tick, interrupts_tick, unmade_tick,	names_tick,
		region_lease_tick, closes_tick,	scrub_tick, sizes_tick, buffers_tick,
	};
	uint64_t now = gvm_now_ns(), due = LOOP_NEVER;

	for (unsigned i = 0; i < sizeof(ticks) / sizeof(*ticks); i++) {
		uint64_t other = ticks[i](w, now);

		due = other < due ? other : due;
	}
	return due;
}

void serve_mount(struct worker *w)
{
	struct spin spin = { .ns = SPIN_MIN_NS };
	int more = 0;

	while (more >= 0) {
		uint64_t due = tick(w);

		/* A front thread that was relieved may have left a connection paused. */
		wait_events(w, more || w->residents->paused || !unpack_may_sleep(w->unpack) ? 0 : due);
		spin_adapt(&spin);
		more = serve_some(w, &spin);
	}
}

void serve_briefly(struct worker *w)
{
	uint64_t due = tick(w), soon = gvm_now_ns() + LOOK_NS;

	wait_events(w, w->residents->paused || !unpack_may_sleep(w->unpack) ? 0 : due < soon ? due : soon);
	if (w->residents->paused)
		nodes_read(w);
	while (unpack_help(w->unpack))
		;
	unpack_collect(w->unpack);
	residents_faults_read(w);
	regions_turn(w);
}
