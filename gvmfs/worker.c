// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * worker.c - the worker's start, its front loop, and its end.
 *
 * The loop (base/loop.h) waits for /dev/fuse, the fast path's faults, the nodes' connections, outcomes of
 * jobs and writers. A wake-up across CPUs costs more than a node's answer takes to come, so while a
 * fetch is under way, and for a moment after each request, it looks again instead of sleeping. That
 * moment adapts: it grows to what looking would have had to wait for the next event, where that is
 * short, and shrinks to nothing where events are rare; it is left out when others compete for the
 * CPU.
 */
#include "worker.h"

#include "base/log.h"
#include "base/loop.h"
#include "fuse/capacity.h"
#include "fuse/front.h"
#include "fuse/interrupt.h"
#include "fuse/store_calls.h"
#include "fuse/tail.h"
#include "fuse/unmade.h"
#include "heir.h"
#include "node/jobs.h"
#include "node/names.h"
#include "node/owner.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/times.h"
#include "state/lookout.h"
#include "state/request.h"
#include "state/worker.h"
#include "store/pagecache.h"
#include "store/store.h"
#include "store/watch.h"
#include "store/writers.h"
#include "uffd/apart.h"
#include "uffd/handshake.h"
#include "uffd/resident.h"
#include "uffd/sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SPIN_MAX_NS    100000u
#define SPIN_MIN_NS    2000u
#define PREEMPTED_NS   100000u /* no two looks are that far apart, but for another thread's turn */
#define PREEMPTED_PAUSE_NS 20000000u
#define SERVE_MAX      64
#define LOOK_NS	       50000000ull
#define DRAIN_SAY_NS   3000000000ull
#define REFUSED_NS     1000000000ull

/* Newer than the kernel headers that Debian 12 has; the values are the kernel's ABI. */
#define NOTIFY_RESEND	7
#define HAS_RESEND_BIT2 (1u << 7) /* FUSE_HAS_RESEND, bit 39, in INIT's flags2 */

static void names_compared(struct worker *w, int result, void *arg)
{
	(void)arg;
	if (!result)
		w->names_owed = false;
}

/* A change that a predecessor had begun is in the journal and perhaps on no node: refreshing the
 * table saves it, once enough nodes answer. */
static void names_compare(struct worker *w)
{
	names_refresh(w, true, names_compared, NULL);
}

static void node_is_up(struct pool *pool, struct gvm_conn *conn)
{
	struct worker *w = pool->owner;

	region_reattach(w, conn);
	w->names_at_ns = 0; /* it may lack records */
	/* A node that restarted, or was away, is given them now. */
	if (w->names_owed)
		names_compare(w);
	else
		names_refresh(w, true, NULL, NULL);
}

/* The root of the tree is no record: it is there on every mount. */
static int root_init(struct worker *w)
{
	struct record *rec;
	int nr;

	if (inode_disk(w->inodes, 0)->use == INODE_USED)
		return inode_get(w->inodes, 0) ? 0 : -ENOMEM;
	rec = calloc(1, sizeof(*rec));
	if (!rec)
		return -ENOMEM;
	rec->kind = RECORD_FOLDER;
	rec->mode = 0755;
	rec->uid = getuid();
	rec->gid = getgid();
	rec->mtime_ns = rec->ctime_ns = (uint64_t)time(NULL) * 1000000000ull;
	nr = inode_alloc(w->inodes, rec);
	free(rec);
	return nr == 0 ? 0 : -ENOMEM;
}

static int session_init(struct worker *w)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	char path[32];

	if (fuse_opt_add_arg(&args, "gvmfs") < 0 || fuse_opt_add_arg(&args, "-omax_read=131072") < 0)
		return -ENOMEM;
	w->session = fuse_session_new(&args, &front_ops, sizeof(front_ops), w);
	fuse_opt_free_args(&args);
	if (!w->session)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/dev/fd/%d", w->fuse_fd);
	if (fuse_session_mount(w->session, path) < 0)
		return -EIO;
	return fcntl(w->fuse_fd, F_SETFL, fcntl(w->fuse_fd, F_GETFL) | O_NONBLOCK) < 0 ? -errno : 0;
}

static void session_process(struct worker *w, uint8_t *buf, size_t bytes)
{
	struct fuse_buf fb = { .size = bytes, .mem = buf };

	fuse_session_process_buf(w->session, &fb);
}

/* Keeps the kernel's INIT, so that a successor can set libfuse up without one. */
static void init_keep(struct worker *w)
{
	const struct fuse_in_header *h = (const struct fuse_in_header *)w->request->data;
	const struct fuse_init_in *in = (const struct fuse_init_in *)(h + 1);
	struct journal_super *super = w->journal->super;
	size_t bytes = w->request->bytes;

	if (h->opcode != FUSE_INIT || bytes > JOURNAL_INIT_MAX || bytes < sizeof(*h) + 16)
		return;
	memcpy(super->init, w->request->data, bytes);
	if (in->flags & FUSE_INIT_EXT && bytes >= sizeof(*h) + sizeof(*in))
		super->can_resend = (in->flags2 & HAS_RESEND_BIT2) != 0;
	journal_publish32(&super->init_bytes, (uint32_t)bytes);
}

/* Takes the mount over: libfuse believes that it was initialised by this process, and the kernel
 * sends again whatever the predecessor did not answer. */
static void session_take_over(struct worker *w)
{
	struct journal_super *super = w->journal->super;
	struct fuse_out_header again = { .len = sizeof(again), .error = NOTIFY_RESEND };
	uint8_t init[JOURNAL_INIT_MAX];

	memcpy(init, super->init, super->init_bytes);
	session_process(w, init, super->init_bytes); /* its answer finds no request: ignored */
	if (write(w->fuse_fd, &again, sizeof(again)) < 0)
		log_error(NULL, "the kernel does not send requests again: %s", strerror(errno));
}

/* Reads and serves one request: 1, 0 when there is none, -ENODEV when the mount is gone. */
static int serve_one(struct worker *w)
{
	int r = request_read(w->fuse_fd, &w->request);

	if (r <= 0)
		return r;
	init_keep(w);
	session_process(w, w->request->data, w->request->bytes);
	return 1;
}

static void session_fds(void *arg, unsigned session, int fd[SESSION_FDS])
{
	const struct worker *w = arg;
	const struct resident *r = w->residents->list[session];

	/* One that is not served here has the numbers of the supervisor of before. */
	for (unsigned i = 0; i < SESSION_FDS; i++)
		fd[i] = r ? r->fd[i] : w->journal->sessions[session].fd[i] - 1;
}

/* Gives the mount away: in this thread, so that nothing changes meanwhile. */
static void heirs_ready(void *arg)
{
	struct worker *w = arg;
	int connection;

	while (read(w->heirs_fd, &connection, sizeof(connection)) == sizeof(connection)) {
		int r = w->draining ? -ENODEV :
				      heir_give(connection, w->journal, w->fuse_fd, session_fds, w);

		if (!r) {
			/* As if it were killed: the heir's worker goes on, without the regions that we still
			 * wait for. */
			lookout_leave(w->journal, getpid());
			_exit(EXIT_SUCCESS);
		}
		log_error(NULL, "the mount cannot be given away: %s", strerror(-r));
		close(connection);
	}
}

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
	return pool_poll(w->pool) > 0;
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
		int r = serve_one(w);

		if (r < 0)
			return r;
		if (w->residents->count)
			r += (int)residents_faults_read(w);
		/* Also between requests: many WRITEs in a row must not hold up an answer that is here. */
		if ((is_fetching(w) && (!r || found % 4 == 3)) || w->residents->paused)
			r += nodes_read(w);
		if (w->residents->count)
			regions_turn(w);
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

static uint64_t fast_path_tick(struct worker *w, uint64_t now_ns)
{
	return w->residents->count ? regions_tick(w, now_ns) : LOOP_NEVER;
}

/* Does what is due, and returns when something is again. */
static uint64_t tick(struct worker *w)
{
	static uint64_t (*const ticks[])(struct worker *w, uint64_t now_ns) = {
		files_tick,	fast_path_tick,	 handshakes_tick, times_tick, watches_tick,
		pagecache_tick, pagecache_drop_tick, interrupts_tick, unmade_tick,	names_tick,
	};
	uint64_t now = gvm_now_ns(), due = LOOP_NEVER;

	for (unsigned i = 0; i < sizeof(ticks) / sizeof(*ticks); i++) {
		uint64_t other = ticks[i](w, now);

		due = other < due ? other : due;
	}
	return due;
}

/* Serves until the mount is gone. */
static void serve(struct worker *w)
{
	struct spin spin = { .ns = SPIN_MIN_NS };
	int more = 0;

	while (more >= 0) {
		uint64_t due = tick(w);

		/* A front thread that was relieved may have left a connection paused. */
		wait_events(w, more || w->residents->paused ? 0 : due);
		spin_adapt(&spin);
		more = serve_some(w, &spin);
	}
}

static void wait_briefly(struct worker *w)
{
	uint64_t due = tick(w), soon = gvm_now_ns() + LOOK_NS;

	wait_events(w, w->residents->paused ? 0 : due < soon ? due : soon);
	if (w->residents->paused)
		nodes_read(w);
	residents_faults_read(w);
	regions_turn(w);
}

static void drain_say(const struct worker *w, bool first)
{
	unsigned chunks = JOURNAL_SLOTS - w->store->slots.free;

	if (chunks)
		log_warning(NULL, "unmounted; %u written chunks still wait for their nodes%s", chunks,
			    first ? " (a second signal ends this at once, and loses them)" : "");
	else
		log_warning(NULL, "unmounted; regions still wait to be closed on their nodes%s",
			    first ? " (a second signal ends this at once)" : "");
}

/* Nothing is used here any more. */
static void drain_begin(struct worker *w)
{
	static const char why[] = "the mount has ended";

	w->draining = true;
	handshakes_stop(w, why);
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++)
		if (w->residents->list[s])
			resident_abort(w->residents->list[s], why);
	for (unsigned nr = 1; nr < w->inodes->end; nr++) {
		struct inode *inode = inode_by_ino(w->inodes, inode_ino(nr));

		if (!inode)
			continue;
		inode->opens = inode->opens_write = 0;
		front_settle(w, inode);
	}
}

/* Sends what is unacknowledged and lets go of the regions: as long as it takes. */
static void drain(struct worker *w)
{
	uint64_t said = gvm_now_ns();
	bool first = true;

	for (;;) {
		if (LIST_EMPTY(&w->inodes->attached) && w->store->slots.free == JOURNAL_SLOTS && !times_flush(w) && !w->jobs->under_way)
			return;
		if (gvm_now_ns() - said > DRAIN_SAY_NS) {
			drain_say(w, first);
			first = false;
			said = gvm_now_ns();
		}
		wait_briefly(w);
	}
}

static void first_names(struct worker *w, int result, void *arg)
{
	(void)w;
	*(int *)arg = result ? result : 1;
}

/* Whether so many nodes refuse us for good (which the pool has said) that the rest is no majority. */
static bool is_refused(const struct worker *w)
{
	unsigned listed = w->pool->listed, refusing = 0;

	for (unsigned i = 0; i < listed; i++)
		refusing += gvm_conn_state(w->pool->conns[i]) == GVM_CONN_FAILED;
	return listed - refusing < listed / 2 + 1;
}

/* Reads the name table: a mount shows all files from its first moment. 0; 1: it cannot, and why was
 * said; or a negative errno. */
static int load_names(struct worker *w)
{
	uint64_t until;
	int got = 0;

	names_refresh(w, false, first_names, &got);
	while (!got && !is_refused(w))
		wait_briefly(w);
	if (got > 0)
		return 0;
	until = gvm_now_ns() + REFUSED_NS;
	/* The job may have been refused on its own connections, before ours were. */
	while (got && !is_refused(w) && gvm_now_ns() < until)
		wait_briefly(w);
	if (is_refused(w))
		return 1;
	if (got != -ETIMEDOUT)
		return got;
	log_error(NULL, "no majority of the nodes has answered%s",
		  w->opts->timeout_s ? " in time (--timeout)" : "");
	return 1;
}

/* Finishes what a predecessor had begun. */
static void settle_all(struct worker *w)
{
	for (unsigned nr = 1; nr < w->inodes->end; nr++) {
		struct inode *inode = inode_by_ino(w->inodes, inode_ino(nr));

		if (inode && inode->disk->tail_from)
			tail_adopt(w, inode);
		if (inode && inode->disk->times_owed)
			times_closed(w, inode); /* or not, but then it is soon again */
		if (inode && inode->disk->use == INODE_UNLINKED && inode->disk->rec.kind == RECORD_GONE)
			unmade_adopt(w, inode);
		else if (inode && !inode->opens_write)
			front_settle(w, inode);
	}
}

static void region_failed(struct worker *w, struct inode *inode, const char *why)
{
	store_fail(w->store, inode);
	if (inode->resident)
		resident_abort(inode->resident, why);
}

static void region_forget(struct worker *w, struct inode *inode)
{
	store_forget(w->store, inode);
}

static const struct region_events region_events = {
	.forget = region_forget,
	.attached = watch_end,
	.detached = watch_left,
	.failed = region_failed,
};

static int worker_init(struct worker *w)
{
	int r;

	w->region_events = &region_events;
	if ((r = loop_init(w->loop)) < 0 || (r = inodes_init(w->inodes, w->journal)) < 0 ||
	    (r = handles_init(w->inodes)) < 0 || (r = root_init(w)) < 0 ||
	    (r = pool_init(w->pool, w->opts, w->journal->super->client, w->loop, POOL_WATCHES)) < 0 ||
	    (r = jobs_init(w->jobs, w->opts, w->journal->super->client)) < 0 ||
	    (r = residents_init(w)) < 0)
		return r;
	w->codec = chunk_codec_create();
	if (!w->codec)
		return -ENOMEM;
	w->residents->on_close = front_fast_path_ended;
	unmade_init(w->unmade);
	capacity_init(w->capacity);
	w->pool->owner = w;
	w->pool->on_up = node_is_up;
	if ((r = writers_init(w->writers, w->opts, w->journal->super->client)) < 0 || (r = store_open(w)) < 0)
		return r;
	r = loop_add(w->loop, &w->results, w->jobs->event_fd, results_ready, w->jobs);
	if (r < 0)
		return r;
	return loop_add(w->loop, &w->outcomes, w->writers->queue.finished_fd, outcomes_ready, w);
}

/* What the front thread is given. */
struct service {
	struct worker *w;
	const struct worker_fds *fds;
	bool successor;
};

/* From when the mount answers (`draining`: or is gone already) to the end. A front thread that relieves
 * another begins here. */
static int front_go_on(void *arg)
{
	struct worker *w = ((struct service *)arg)->w;

	if (!w->draining) {
		serve(w);
		loop_remove(w->loop, &w->requests);
		store_seal_all(w->store);
		drain_begin(w);
	}
	drain(w);
	return 0;
}

static void front_relieved(void *arg, void *region)
{
	(void)arg;
	region_apart(region);
}

/* From the journal to the end of the mount. */
static int front_run(void *arg)
{
	struct service *service = arg;
	const struct worker_fds *fds = service->fds;
	bool successor = service->successor;
	struct worker *w = service->w;
	uint64_t one = 1;
	int r = worker_init(w);

	if (!r)
		r = loop_add(w->loop, &w->pokes, w->lookout->relief.poke_fd, pokes_ready, w);
	if (r < 0)
		return r;
	if (fds->heirs >= 0)
		r = loop_add(w->loop, &w->heirs, fds->heirs, heirs_ready, w);
	if (!r)
		r = handshakes_init(w, fds->fuse < 0 ? -1 : fds->bell);
	if (r < 0)
		return r;
	if (w->fuse_fd < 0) {
		drain_begin(w);
		return front_go_on(arg);
	}
	r = session_init(w);
	if (!r && !successor)
		r = load_names(w);
	if (r > 0)
		return r;
	if (!successor)
		times_guess_root(w);
	if (!r)
		r = loop_add(w->loop, &w->requests, w->fuse_fd, requests_ready, w);
	if (r < 0)
		return r;
	if (successor && w->journal->super->init_bytes)
		session_take_over(w);
	if (successor)
		watches_recover(w);
	settle_all(w);
	w->names_owed = successor;
	if (successor)
		names_compare(w);
	if (write(fds->ready, &one, sizeof(one)) < 0)
		log_warning(NULL, "the start cannot be reported: %s", strerror(errno));
	if (!w->opts->foreground)
		log_to_syslog();
	return front_go_on(arg);
}

/* The worker, and what its modules keep. */
struct modules {
	struct worker worker;
	struct loop loop;
	struct journal journal;
	struct inodes inodes;
	struct pool pool;
	struct jobs jobs;
	struct store store;
	struct pagecache pagecache;
	struct writers writers;
	struct residents residents;
	struct handshakes handshakes;
	struct sessions sessions;
	struct lookout lookout;
	struct interrupts interrupts;
	struct capacity capacity;
	struct unmade unmade;
	struct names_state names;
};

/* One allocation, for as long as the process lives. */
static struct worker *worker_new(void)
{
	struct modules *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->worker = (struct worker){
		.loop = &m->loop,
		.journal = &m->journal,
		.inodes = &m->inodes,
		.pool = &m->pool,
		.jobs = &m->jobs,
		.store = &m->store,
		.pagecache = &m->pagecache,
		.writers = &m->writers,
		.residents = &m->residents,
		.handshakes = &m->handshakes,
		.sessions = &m->sessions,
		.lookout = &m->lookout,
		.interrupts = &m->interrupts,
		.capacity = &m->capacity,
		.unmade = &m->unmade,
		.names = &m->names,
	};
	return &m->worker;
}

int worker_run(const struct options *opts, const struct worker_fds *fds)
{
	struct worker *w = worker_new();
	struct service service = { .w = w, .fds = fds };
	int r;

	if (!w)
		return -ENOMEM;
	w->opts = opts;
	w->fuse_fd = fds->fuse;
	w->keeper_fd = fds->keeper;
	w->heirs_fd = fds->heirs;
	log_start();
	prctl(PR_SET_NAME, "gvmfs-worker");
	owner_self(&w->self, getppid());
	/* Memory that is reclaimed by writing to us must not be what we wait for. Needs privilege. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	w->pagecache->fd = -1;
	if (w->fuse_fd >= 0)
		pagecache_start(w);
	r = journal_open(w->journal, fds->journal);
	if (r < 0)
		return r;
	service.successor = w->journal->super->starts++ > 0;
	w->journal->super->ended = 0;
	w->lookout->relief.run = front_run;
	w->lookout->relief.go_on = front_go_on;
	w->lookout->relief.relieved = front_relieved;
	w->lookout->relief.arg = &service;
	r = lookout_run(w->lookout, w->journal);
	journal_publish32(&w->journal->super->ended, 1 + (r ? EXIT_FAILURE : EXIT_SUCCESS));
	return r;
}
