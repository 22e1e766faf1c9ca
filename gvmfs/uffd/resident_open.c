// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_open.c - how gvmfs begins and ends to serve a region on the fast path (resident.h): its
 * mappings, its sources in the loops, its place in the journal. */
#include "base/log.h"
#include "node/region.h"
#include "node/region_node.h"
#include "node/trail_job.h"
#include "options.h"
#include "reader.h"
#include "resident.h"
#include "resident_calls.h"
#include "resident_env.h"
#include "sessions.h"
#include "state/keeper.h"
#include "state/worker_state.h"
#include "store/store.h"
#include "store/writers.h"
#include "uffd.h"
#include "unmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define GONE_STEPS 8192u /* evicted chunks that may come back when the budget is raised: 1 GiB */
/* Untouched ones take no memory. */
#define TRAILS_BYTES (2 * (TRAIL_STEPS + GONE_STEPS) * sizeof(struct trail_step))

static const struct resident_env calls = RESIDENT_ENV;

static const void *node_of(const struct resident *r, uint64_t c)
{
	return region_node(r->w, r->inode, c);
}

/* Faults end the loop's sleep; residents_faults_read() reads them, after each sleep. */
static void faults_any_ready(void *arg)
{
	struct residents *rs = arg;

	rs->faults_woken = true;
}

int residents_init(struct worker *w)
{
	struct residents *rs = w->residents;
	uint8_t *data = mmap(NULL, (RESIDENT_FETCHES + RESIDENT_SPARE) * GVM_CHUNK_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int error;

	if (data == MAP_FAILED)
		return -ENOMEM;
	rs->window.uffd = -1; /* made for the first region, if there ever is one */
	rs->data = data;
	rs->node = node_of;
	rs->watch_ns = LOOP_NEVER;
	error = loop_init(&rs->faults);
	return error ? error : loop_add(w->loop, &rs->faults_any, rs->faults.epoll_fd, faults_any_ready, rs);
}

static int resident_map(struct resident *r)
{
	void *marks = mmap(NULL, r->chunks * sizeof(*r->mark), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_NORESERVE, r->fd[SESSION_MARKS], 0);
	void *pins = mmap(NULL, r->chunks * sizeof(*r->pins), PROT_READ,
			  MAP_SHARED | MAP_NORESERVE, r->fd[SESSION_PINS], 0);

	/* resident_free() unmaps whichever were mapped. */
	r->mark = marks == MAP_FAILED ? NULL : marks;
	r->pins = pins == MAP_FAILED ? NULL : pins;
	/* Both are sparse, as the memory is. */
	if (r->mark)
		madvise(r->mark, r->chunks * sizeof(*r->mark), MADV_NOHUGEPAGE);
	if (r->pins)
		madvise((void *)r->pins, r->chunks * sizeof(*r->pins), MADV_NOHUGEPAGE);
	r->chunk = mmap(NULL, r->chunks * sizeof(*r->chunk), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->chunk == MAP_FAILED)
		r->chunk = NULL;
	return r->mark && r->pins && r->chunk ? 0 : -ENOMEM;
}

/* Without memory, or with --no-replay, it records and replays nothing. */
static void trails_map(struct resident *r)
{
	void *trails = r->w->opts->no_replay ? MAP_FAILED :
					       mmap(NULL, TRAILS_BYTES, PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (trails == MAP_FAILED)
		return;
	r->trail = trails;
	r->trail_room = TRAIL_STEPS;
	r->gone = r->trail + r->trail_room;
	r->gone_room = GONE_STEPS;
	r->replay = r->gone + r->gone_room;
	r->replay_room = TRAIL_STEPS + GONE_STEPS;
}

static void resident_free(struct resident *r)
{
	const struct unmap_part tables[UNMAP_PARTS] = {
		{ r->chunk, r->chunks * sizeof(*r->chunk) },
		{ r->mark, r->chunks * sizeof(*r->mark) },
		{ (void *)r->pins, r->chunks * sizeof(*r->pins) },
		{ r->trail, TRAILS_BYTES },
	};

	reader_stop(r->reader);
	unmap_aside(r->w->jobs, tables);
	if (r->kick_fd >= 0)
		close(r->kick_fd);
	session_release(r->fd, !r->w->sessions->alone);
	free(r);
}

void env_unwatch(struct resident *r)
{
	loop_remove(r->w->loop, &r->client);
	loop_remove(&r->rs->faults, &r->faults);
}

static int faults_open(struct resident *r)
{
	int error = 0;

	if (!uffd_reads_at_once())
		error = reader_start(&r->reader, r->fd[SESSION_UFFD], &r->faults_fd);
	return error ? error : resident_faults_watch(r, true);
}

static void trail_loaded(struct worker *w, const struct gvm_id *region, const struct trail_step *steps, unsigned count)
{
	struct residents *rs = w->residents;

	for (unsigned s = 0; (s = session_set_next(&rs->open, s)) < JOURNAL_SESSIONS; s++) {
		struct resident *r = rs->list[s];

		if (!gvm_id_equal(&r->inode->disk->rec.id, region))
			continue;
		r->trail_last = count;
		resident_replay(r, steps, count);
	}
}

int resident_open(struct worker *w, unsigned session, const int fd[SESSION_FDS])
{
	const struct journal_session *s = &w->journal->sessions[session];
	struct resident *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return -ENOMEM;
	r->w = w;
	r->env = &calls;
	r->rs = w->residents;
	r->inode = inode_get(w->inodes, s->inode);
	r->session = session;
	memcpy(r->fd, fd, sizeof(r->fd));
	r->faults_fd = fd[SESSION_UFFD];
	r->address = s->address;
	r->bytes = s->bytes;
	r->chunks = record_chunks(s->bytes);
	r->pid = s->pid;
	r->pinned = s->pinned;
	r->poison = uffd_knows_poison();
	r->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = r->inode && r->kick_fd >= 0 ? resident_map(r) : -ENOMEM;
	if (!error)
		trails_map(r);
	if (r->inode) {
		r->index = r->inode->index;
		r->cut_version = r->inode->disk->cut_version;
		r->stats = r->inode->stats;
		r->mount_stats = &w->journal->super->stats;
		r->peak = &r->inode->disk->resident_peak;
		r->kept = &w->journal->sessions[session].pages;
	}
	if (!error && w->residents->window.uffd < 0)
		error = window_init(&w->residents->window);
	if (!error && getrandom(&r->seed, sizeof(r->seed), GRND_NONBLOCK) < 0)
		error = -errno;
	if (!error)
		error = faults_open(r);
	if (!error)
		error = loop_add(w->loop, &r->client, r->fd[SESSION_SOCKET], resident_client_ready, r);
	if (error) {
		env_unwatch(r);
		for (unsigned i = 0; i < SESSION_FDS; i++)
			r->fd[i] = -1; /* they stay the caller's */
		resident_free(r);
		return error;
	}
	r->inode->resident = r;
	w->residents->list[session] = r;
	session_set_add(&w->residents->open, session);
	w->residents->due_ns[session] = LOOP_NEVER;
	if (!w->residents->count++)
		writers_yield(w->writers, true);
	store_forget(w->store, r->inode);
	if (!s->live) { /* otherwise a killed worker's successor goes on with the same guest */
		*r->peak = 0;
		if (r->trail_room)
			trail_load(w, r->inode, trail_loaded);
	}
	resident_begin(r, w->journal->super->starts);
	resident_budget(r, r->inode->disk->local_bytes);
	return 0;
}

/* A start that was cut short leaves the record of the last one. */
static void trail_leave(struct resident *r)
{
	const struct journal_inode *d = r->inode->disk;
	bool whole = trail_is_over(r) || r->trail_count >= r->trail_last / 2;

	if (r->trail_count && whole && d->use == INODE_USED && !d->rec.temporary && d->epoch && !d->failed)
		trail_save(r->w, r->inode, r->trail, r->trail_count);
}

static void residents_remove(struct residents *rs, unsigned session)
{
	struct session_set *const sets[] = { &rs->open, &rs->noted, &rs->recovering, &rs->wanting };

	rs->list[session] = NULL;
	rs->ended = true;
	for (unsigned i = 0; i < sizeof(sets) / sizeof(*sets); i++)
		session_set_remove(sets[i], session);
}

void env_close(struct resident *r)
{
	struct worker *w = r->w;
	struct inode *inode = r->inode;
	unsigned session = r->session;

	env_unwatch(r);
	/* Its writes may have gone where no mark is. */
	if (r->give_asked && !r->detached && !inode->disk->failed) {
		log_warning(env_name(r), "process %d has ended just as it was to go on without gvmfs: what the nodes have of its "
			    "memory is of no use", r->pid);
		journal_publish32(&inode->disk->failed, (uint32_t)INODE_SETTLED);
	}
	trail_leave(r);
	/* The page cache may have pages, read through a private mapping, that have changed since. */
	inode->disk->cache_stale = 1;
	store_forget(w->store, inode);
	session_give(w, r->session);
	residents_remove(w->residents, session);
	if (!--w->residents->count)
		writers_yield(w->writers, false);
	inode->resident = NULL;
	inode->fill_refused = false;
	resident_ios_end(r);
	resident_free(r);
	keeper_drop(w->keeper_fd, w->journal, session);
	w->residents->on_close(w, inode);
}
