// SPDX-License-Identifier: GPL-2.0-or-later
/* worker.c - the worker's start, from the journal of a predecessor perhaps, and its end. */
#include "worker.h"

#include "base/log.h"
#include "base/loop.h"
#include "connection.h"
#include "fuse/capacity.h"
#include "fuse/direct.h"
#include "fuse/front.h"
#include "fuse/held.h"
#include "fuse/interrupt.h"
#include "fuse/resize.h"
#include "fuse/sizes.h"
#include "fuse/store_calls.h"
#include "fuse/tail.h"
#include "fuse/unbacked.h"
#include "fuse/unmade.h"
#include "heir.h"
#include "node/balance.h"
#include "node/jobs.h"
#include "node/names.h"
#include "node/names_state.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/region_events.h"
#include "node/region_lease.h"
#include "node/replicas.h"
#include "node/replicas_state.h"
#include "node/rot.h"
#include "node/scrub.h"
#include "node/times.h"
#include "node/unpack.h"
#include "serve.h"
#include "options.h"
#include "state/lookout.h"
#include "state/sealing.h"
#include "state/worker_state.h"
#include "store/pagecache.h"
#include "store/sender.h"
#include "store/store.h"
#include "store/watch.h"
#include "store/writers.h"
#include "uffd/apart.h"
#include "uffd/handshake.h"
#include "uffd/resident.h"
#include "uffd/sessions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_SAY_NS 3000000000ull
#define REFUSED_NS   1000000000ull

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

/* A node may be known by another connection than before: by its id, since it was reached. */
static void nodes_found(struct worker *w)
{
	struct inode *inode;

	LIST_FOREACH(inode, &w->inodes->attached, attached_entry)
		if (inode->wbufs)
			store_moved(w->store, inode);
	store_turn(w->store);
}

static void node_is_up(struct pool *pool, struct gvm_conn *conn)
{
	struct worker *w = pool->owner;

	region_reattach(w, conn);
	nodes_found(w);
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

static void session_fds(void *arg, unsigned session, int fd[SESSION_FDS])
{
	const struct worker *w = arg;
	const struct resident *r = w->residents->list[session];

	/* One that is not served here has the numbers of the supervisor of before. */
	for (unsigned i = 0; i < SESSION_FDS; i++)
		fd[i] = r ? r->fd[i] : w->journal->sessions[session].fd[i] - 1;
}

static void heirs_ready(void *arg)
{
	struct worker *w = arg;
	struct heir_copies *c;

	while (read(w->heirs_fd, &c, sizeof(c)) == sizeof(c))
		if (w->draining)
			heir_copy_nothing(c, -ENODEV);
		else
			heir_copy(c, w->journal, session_fds, w);
}

static void drain_say(const struct worker *w, bool first)
{
	unsigned chunks = wbufs_used(&w->store->wbufs);

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
		if (LIST_EMPTY(&w->inodes->attached) && !wbufs_used(&w->store->wbufs) && !times_flush(w) && !w->jobs->under_way)
			return;
		if (gvm_now_ns() - said > DRAIN_SAY_NS) {
			drain_say(w, first);
			first = false;
			said = gvm_now_ns();
		}
		serve_briefly(w);
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
		serve_briefly(w);
	if (got > 0)
		return 0;
	until = gvm_now_ns() + REFUSED_NS;
	/* The job may have been refused on its own connections, before ours were. */
	while (got && !is_refused(w) && gvm_now_ns() < until)
		serve_briefly(w);
	if (is_refused(w))
		return 1;
	if (got != -ETIMEDOUT)
		return got;
	log_error(NULL, "no majority of the nodes has answered%s",
		  w->opts->timeout_s ? " in time (--timeout)" : "");
	return 1;
}

static void settle(struct worker *w, unsigned nr)
{
	const struct journal_inode *d = inode_disk(w->inodes, nr);
	struct inode *inode = inode_is_unsettled(d) ? inode_get(w->inodes, nr) : NULL;

	if (!inode)
		return;
	if (d->tail_from)
		tail_adopt(w, inode);
	if (d->cut_to_plus_1)
		front_size_adopt(w, inode);
	if (d->room_owed)
		sizes_owe(w);
	if (d->times_owed)
		times_closed(w, inode); /* or not, but then it is soon again */
	if (d->use == INODE_UNLINKED && d->rec.kind == RECORD_GONE)
		unmade_adopt(w, inode);
	else if (!inode->opens_write)
		front_settle(w, inode);
}

/* Finishes what a predecessor had begun. Faults wait for a successor: it looks at nothing else. */
static void settle_all(struct worker *w, bool successor)
{
	for (unsigned nr = 1; nr < w->inodes->end; nr++)
		if (!successor || w->inodes->unsettled[nr / 64] >> nr % 64 & 1)
			settle(w, nr);
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

static void replicas_changed(struct worker *w, struct inode *inode)
{
	sender_changed(w, inode);
	store_moved(w->store, inode);
	store_turn(w->store);
}

static bool chunk_rotten(struct worker *w, struct inode *inode, uint64_t chunk, bool *news)
{
	(void)w;
	return inode->resident && resident_rotten(inode->resident, chunk, news);
}

static void region_fenced(struct worker *w, struct inode *inode)
{
	region_fail(w, inode, 0, -EKEYREVOKED);
	store_turn(w->store);
}

static const struct region_events region_events = {
	.forget = region_forget,
	.attached = watch_end,
	.detached = watch_left,
	.failed = region_failed,
	.replicas_changed = replicas_changed,
	.fenced = region_fenced,
	.rotten = chunk_rotten,
	.names_read = names_refresh,
};

/* The key is the one that the supervisor read: its pages come to no child by accident. */
static int sealers_begin(struct worker *w, struct sealer **beside)
{
	const struct sealing *s = w->opts->sealing;
	uint64_t id = 0;
	int r = s ? seal_key_id(s->key, s->bytes, &id) : 0;

	if (!s || r)
		return r;
	if (id != w->journal->super->seal_id)
		return -EKEYREJECTED;
	r = sealer_create(s->key, s->bytes, &w->sealer);
	return r ? r : sealer_create(s->key, s->bytes, beside);
}

/* What decodes, and opens, chunks. */
static int decoders_begin(struct worker *w)
{
	struct sealer *beside = NULL;
	int r = sealers_begin(w, &beside);

	if (r)
		return r;
	w->codec = chunk_codec_create();
	if (!w->codec)
		return -ENOMEM;
	return unpack_init(w->unpack, &(struct unpack_means){ .codec = w->codec, .sealer = w->sealer }, beside);
}

/* A predecessor's. */
static void replicas_recover(struct worker *w)
{
	struct inode *inode;

	/* (Of one that is gone nothing is written any more.) */
	LIST_FOREACH(inode, &w->inodes->attached, attached_entry)
		if (inode->disk->rec.node_count && inode->disk->rec.kind != RECORD_GONE)
			replicas_open(w, inode);
}

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
	if ((r = decoders_begin(w)) < 0)
		return r;
	w->residents->on_close = front_fast_path_ended;
	fetches_init(w->fetches);
	rot_init(w);
	LIST_INIT(w->replicas);
	replicas_recover(w);
	unmade_init(w->unmade);
	sizes_init(w->sizes);
	capacity_init(w->capacity);
	direct_init(w->direct);
	w->pool->owner = w;
	w->pool->on_up = node_is_up;
	if ((r = writers_init(w->writers, w->opts, w->journal->super->client)) < 0 || (r = store_open(w)) < 0)
		return r;
	sealing_forget(w->opts->sealing); /* the sealers have what they need */
	return serve_init(w);
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
		serve_mount(w);
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
	r = connection_init(w);
	if (!r && !successor)
		r = load_names(w);
	if (r > 0)
		return r;
	if (!successor)
		times_guess_root(w);
	if (!r)
		r = serve_requests(w);
	if (r < 0)
		return r;
	if (successor && w->journal->super->init_bytes)
		connection_take_over(w);
	if (successor)
		watches_recover(w);
	settle_all(w, successor);
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
	struct options opts;
	struct loop loop;
	struct journal journal;
	struct inodes inodes;
	struct pool pool;
	struct jobs jobs;
	struct unpack unpack;
	struct store store;
	struct pagecache pagecache;
	struct writers writers;
	struct fetches fetches;
	struct replicas_list replicas;
	struct rot rot;
	struct balance balance;
	struct scrub scrub;
	struct residents residents;
	struct handshakes handshakes;
	struct sessions sessions;
	struct lookout lookout;
	struct interrupts interrupts;
	struct capacity capacity;
	struct direct direct;
	struct held held;
	struct unmade unmade;
	struct sizes sizes;
	struct limiters limiters;
	struct names_state names;
};

/* One allocation, for as long as the process lives. Most of it is never touched, and takes no memory (which an allocator's
 * own zeros would). */
static struct modules *modules_new(const struct options *opts)
{
	struct modules *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (m == MAP_FAILED)
		return NULL;
	m->opts = *opts;
	m->worker = (struct worker){
		.opts = &m->opts,
		.loop = &m->loop,
		.journal = &m->journal,
		.inodes = &m->inodes,
		.pool = &m->pool,
		.jobs = &m->jobs,
		.unpack = &m->unpack,
		.store = &m->store,
		.pagecache = &m->pagecache,
		.writers = &m->writers,
		.fetches = &m->fetches,
		.replicas = &m->replicas,
		.rot = &m->rot,
		.balance = &m->balance,
		.scrub = &m->scrub,
		.residents = &m->residents,
		.handshakes = &m->handshakes,
		.sessions = &m->sessions,
		.lookout = &m->lookout,
		.interrupts = &m->interrupts,
		.capacity = &m->capacity,
		.direct = &m->direct,
		.held = &m->held,
		.unmade = &m->unmade,
		.sizes = &m->sizes,
		.limiters = &m->limiters,
		.names = &m->names,
	};
	return m;
}

/* What was added while the mount ran comes behind what the command line names, in the same order in each worker. */
static void nodes_adopt(struct options *opts, const struct journal_super *super)
{
	for (unsigned i = 0; i < super->node_count && i < JOURNAL_NODES; i++) {
		const struct journal_node *node = &super->nodes[i];

		if (options_node_add(opts, node->addr, *node->rack ? node->rack : NULL) < 0)
			log_error(NULL, "node %s is not used: there are too many", node->addr);
	}
}

int worker_run(const struct options *opts, const struct worker_fds *fds)
{
	struct modules *m = modules_new(opts);
	struct worker *w = m ? &m->worker : NULL;
	struct service service = { .w = w, .fds = fds };
	int r;

	if (!w)
		return -ENOMEM;
	w->fuse_fd = fds->fuse;
	w->keeper_fd = fds->keeper;
	w->heirs_fd = fds->heirs;
	log_start();
	prctl(PR_SET_NAME, "gvmfs-worker");
	w->self = *fds->self;
	/* Memory that is reclaimed by writing to us must not be what we wait for. Needs privilege. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	w->pagecache->fd = -1;
	if (w->fuse_fd >= 0)
		pagecache_start(w);
	r = journal_attach(w->journal, fds->journal);
	if (r < 0)
		return r;
	nodes_adopt(&m->opts, w->journal->super);
	pagecache_around_init(w);
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
