// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * worker.c - a worker of gvmfs over wire.c: its front's part of the region, one writer, and the conversations of jobs. What
 * runs in a thread of its own there goes on here when an event says so.
 */
#include "cluster.h"

#include "heap.h"

#include "node/balance.h"
#include "node/drain.h"
#include "node/fiber.h"
#include "node/index_read.h"
#include "node/jobs.h"
#include "node/looks.h"
#include "node/owner.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/region_events.h"
#include "node/region_lease.h"
#include "node/repair.h"
#include "node/repair_job.h"
#include "node/replace_job.h"
#include "node/replicas.h"
#include "node/replicas_state.h"
#include "node/rot.h"
#include "node/scrub.h"
#include "node/unpack.h"
#include "file.h"
#include "options.h"
#include "state/sealing.h"
#include "state/seals.h"
#include "state/worker_state.h"
#include "store/sealed.h"
#include "store/sender.h"
#include "store/store.h"
#include "store/writers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ADDED_NS 20000000000ull

static struct options opts = { .repair_rate = 1000, .repair_after_s = 5, .writers = 1 };

unsigned cluster_nodes = 2, cluster_copies = 2;
bool cluster_rots_all, cluster_drains, cluster_adds, cluster_tight, cluster_racks, cluster_scrubs;

static struct journal_super super;
static struct journal_inode disks[NR + 1];
static struct journal journal = { .super = &super, .inodes = disks };
static struct inodes inodes = { .j = &journal };
static struct inode inode;
static struct stats region_stats;
static struct pool front_pool, talks_pool;
static struct fetches fetches;
static struct replicas_list list;
static struct rot rots;
static struct writers writers;
static struct jobs jobs;
static struct balance balance;
static struct unpack unpack;
static struct scrub scrub;
static uint8_t buffers[WRITER_IN_FLIGHT * WRITER_BUFFERS * GVM_CHUNK_BYTES];
static uint64_t replicas_due, fetches_due, talks_due, writer_due, scrub_due;

static void replicas_changed(struct worker *w, struct inode *i)
{
	sender_changed(w, i);
}

static void fenced(struct worker *w, struct inode *i)
{
	(void)w;
	(void)i;
	world_wrong("a node says that another host is the writer");
}

static bool chunk_rotten(struct worker *w, struct inode *i, uint64_t chunk, bool *news)
{
	bool all;

	(void)w;
	(void)i;
	if (world.closed)
		return false;
	all = resident_rotten(&world.r, chunk, news);
	cluster.fate[chunk].told |= world.r.chunk[chunk].rotten;
	return all;
}

static const struct region_events events = { .replicas_changed = replicas_changed, .fenced = fenced,
					     .rotten = chunk_rotten, .names_read = moves_names_read };

static struct worker worker = {
	.opts = &opts, .region_events = &events, .journal = &journal, .inodes = &inodes, .pool = &front_pool,
	.jobs = &jobs, .writers = &writers, .fetches = &fetches, .replicas = &list, .rot = &rots, .balance = &balance,
	.unpack = &unpack, .scrub = &scrub,
};

/* ---- what they call */

static const enum wire_owner owners[] = {
	[POOL_WATCHES] = OF_FRONT, [POOL_TALKS] = OF_TALKS, [POOL_WRITES] = OF_WRITER,
};

struct gvm_conn *pool_node(struct pool *pool, const struct record_node *node)
{
	return wire_conn(owners[pool->kind], node_by_id(&node->incarnation));
}

struct fetch_latency *pool_latency(struct pool *pool, const struct gvm_conn *conn)
{
	unsigned i = 0;

	while (i < NODES_MAX - 1 && conn != pool->conns[i])
		i++;
	return &pool->latency[i];
}

int pool_poll(struct pool *pool)
{
	(void)pool;
	return 0;
}

void pool_gather(struct pool *pool, bool on)
{
	(void)pool;
	(void)on;
}

void pool_done(struct gvm_req *req)
{
	*(bool *)req->arg = true;
}

int pool_wait(struct gvm_conn *conn, struct gvm_req *req)
{
	const bool *done = req->arg;

	(void)conn;
	while (!*done)
		fiber_wait(done, 0);
	return req->result;
}

bool pool_may_send(const struct pool *pool, const struct record_node *node)
{
	(void)pool;
	(void)node;
	return true;
}

unsigned pool_rack(const struct pool *pool, const struct gvm_conn *conn)
{
	(void)pool;
	return cluster.rack[wire_node(conn)];
}

uint64_t pool_deadline(const struct options *o)
{
	(void)o;
	return 0;
}

uint64_t pool_call_deadline(const struct options *o)
{
	(void)o;
	return world.now + 2000000000ull;
}

/* The mend that is under way: each page has been good on one of the nodes that it asks, ever since it began. */
static struct {
	const struct repair_copy *job; /* NULL: none */
	bool possible;
} mending;

/* The node's own copy counts, too. */
static bool mend_is_possible(const struct repair_copy *job)
{
	uint32_t bad = ~0u;

	for (unsigned i = 0; i < job->sources; i++) {
		const struct copy *copy = &cluster.node[node_by_id(&job->from[i].incarnation)].copy[job->chunk[0]];

		if (copy->version != job->version)
			return false;
		bad &= copy_rotten(copy);
	}
	return !bad;
}

/* After each event, also once nothing else is looked at. */
static void mend_look(void)
{
	if (mending.job)
		mending.possible &= mend_is_possible(mending.job);
}

static void mend_ended(const struct repair_copy *job)
{
	if (mending.job == job && mending.possible && job->base.job.result == -EBADMSG)
		world_wrong("a copy is not mended, though each page is good on some node");
	if (mending.job == job)
		mending.job = NULL;
}

/* One thread has both ends: the front, and the conversations. */
static struct job_queue jobs_todo;
static struct job *jobs_finished; /* the last one first */

void jobs_submit(struct jobs *j, struct job *job)
{
	const struct repair_copy *copy = (const struct repair_copy *)job;

	if (job->work == repair_job_copy && copy->mends) {
		mending.job = copy;
		mending.possible = mend_is_possible(copy);
	}
	job->jobs = j;
	job->next = NULL;
	*jobs_todo.tail = job;
	jobs_todo.tail = &job->next;
	j->under_way++;
	wires_news++;
}

uint64_t journal_index_next(const struct journal *j, unsigned nr, uint64_t chunk)
{
	(void)j;
	(void)nr;
	return chunk;
}

void store_invalidate(struct store *s, struct inode *i, uint64_t chunk, uint32_t pages)
{
	(void)s;
	(void)i;
	(void)chunk;
	(void)pages;
	world_call();
}

int file_pread(int fd, void *buf, size_t n, uint64_t off)
{
	(void)fd;
	env_read(&world.r, buf, off, n);
	return 0;
}

void region_lease(struct worker *w, struct inode *i)
{
	(void)w;
	(void)i;
}

void owner_lease(const struct options *o, const struct record_owner *self, bool unlinked, struct gvm_region_open_req *what)
{
	(void)o;
	(void)self;
	(void)unlinked;
	(void)what;
}

void inode_reap(struct inodes *in, unsigned nr)
{
	(void)in;
	(void)nr;
}

/* codec.c needs none. */
struct sealer {
	char none;
};

static struct sealer sealer;

struct sealer *region_sealer(const struct worker *w, struct inode *i)
{
	(void)i;
	return w->sealer;
}

struct seal_known *sealing_known(const struct inode *i, uint64_t chunk)
{
	return i->known ? &i->known[chunk] : NULL;
}

void sealing_expect(struct sealer *s, const struct seal_known *known, unsigned page)
{
	(void)s;
	(void)known;
	(void)page;
}

void sealing_learn(struct seal_known *known, const struct chunk_head *head, uint32_t pages)
{
	for (; known && pages; pages &= pages - 1) {
		unsigned p = (unsigned)__builtin_ctz(pages);

		if (known->page[p] == SEAL_UNKNOWN)
			known->page[p] = seal_page_of(head, p);
	}
}

void sealing_set(struct seal_known *known, const struct seal_known *sent)
{
	for (unsigned p = 0; known && p < GVM_CHUNK_PAGES; p++) {
		if (sent->page[p] == SEAL_UNKNOWN)
			continue;
		world_call();
		known->page[p] = sent->page[p];
	}
}

/* No thread is begun: writer_start() is not called. */

int loop_init(struct loop *loop)
{
	(void)loop;
	return -EINVAL;
}

int loop_add(struct loop *loop, struct loop_source *source, int fd, void (*ready)(void *arg), void *arg)
{
	(void)loop;
	(void)source;
	(void)fd;
	(void)ready;
	(void)arg;
	return -EINVAL;
}

void loop_sleep(struct loop *loop, uint64_t due_ns, struct loop_events *ev)
{
	(void)loop;
	(void)due_ns;
	(void)ev;
	abort();
}

void loop_handle(struct loop *loop, const struct loop_events *ev)
{
	(void)loop;
	(void)ev;
}

int pool_init(struct pool *pool, const struct options *o, uint64_t client, struct loop *loop, enum pool_kind kind)
{
	(void)pool;
	(void)o;
	(void)client;
	(void)loop;
	(void)kind;
	return -EINVAL;
}

/* ---- conversations */

/* A copy that is not lost goes to another node, in a rack that has another copy. */
static bool choice_shares(const struct replace_job *rj, unsigned s, unsigned n)
{
	unsigned to = rj->slots[s].node[n], rack;

	if (!rj->healthy || to == RECORD_NONE || to == rj->rec.slots[s].node[n])
		return false;
	rack = cluster.rack[node_by_id(&rj->rec.nodes[to].incarnation)];
	for (unsigned k = 0; k < record_places(&rj->rec); k++)
		if (k != n && rack && rj->slots[s].node[k] != RECORD_NONE &&
		    cluster.rack[node_by_id(&rj->rec.nodes[rj->slots[s].node[k]].incarnation)] == rack)
			return true;
	return false;
}

/* Of nodes that were chosen: each of the moves may yet be given up, and the others not. */
static void choice_look(const struct replace_job *rj)
{
	for (unsigned s = 0; s < rj->rec.slot_count; s++)
		for (unsigned n = 0; n < record_places(&rj->rec); n++)
			if (choice_shares(rj, s, n))
				world_wrong("a copy is to go to a rack that has another");
	for (unsigned s = 0; s < rj->rec.slot_count; s++)
		for (unsigned n = 0; n < record_places(&rj->rec); n++)
			for (unsigned k = 0; k < record_places(&rj->rec); k++)
				if (n != k && rj->slots[s].node[n] != RECORD_NONE &&
				    rj->slots[s].node[n] == rj->rec.slots[s].node[k])
					world_wrong("a copy is to go to a node that has another");
}

static void talk(void *arg)
{
	struct job *job = arg;
	bool chooses = job->work == replace_job_choose;

	job->work(job, &talks_pool);
	if (chooses && !job->result)
		choice_look((const struct replace_job *)job);
	mend_ended((const struct repair_copy *)job);
	job->next = jobs_finished;
	jobs_finished = job;
	wires_news++;
}

static void talks_run(void)
{
	struct job *job = jobs_todo.head, *next;

	jobs_todo.head = NULL;
	jobs_todo.tail = &jobs_todo.head;
	for (; job; job = next) {
		next = job->next;
		if (fiber_start(&jobs.fibers, talk, job))
			abort();
	}
	talks_due = fibers_run(&jobs.fibers);
}

/* The front applies what came of one. */
static bool talk_collect(void)
{
	struct job *job = jobs_finished;

	if (!job)
		return false;
	jobs_finished = job->next;
	jobs.under_way--;
	job->done(job);
	return true;
}

/* ---- a worker's life */

static void record_make(void)
{
	struct record *rec = &disks[NR].rec;

	memset(&disks[NR], 0, sizeof(disks[NR]));
	rec->kind = RECORD_REGION;
	rec->id = cluster.region;
	rec->replicas = (uint16_t)cluster.copies;
	rec->node_count = (uint16_t)(cluster.nodes - cluster_adds);
	rec->slot_count = SLOTS;
	rec->size_bytes = W_PAGES * GVM_PAGE_BYTES;
	strcpy(rec->name, "world");
	for (unsigned i = 0; i < cluster.nodes; i++)
		rec->nodes[i].incarnation = cluster.node[i].id;
	for (unsigned s = 0; s < SLOTS; s++)
		for (unsigned i = 0; i < cluster.copies; i++)
			rec->slots[s].node[i] = (uint16_t)((s + i) % (cluster.nodes - cluster_adds));
	disks[NR].use = INODE_USED;
	disks[NR].epoch = W_EPOCH;
	for (unsigned i = 0; i < cluster.nodes; i++) {
		cluster.node[i].attached = true;
		cluster.node[i].renewed = i >= rec->node_count;
		cluster.node[i].promised = record_node_chunks(rec, i, W_CHUNKS);
	}
	places_look();
	record_is_out();
}

const struct record *worker_record(void)
{
	return &disks[NR].rec;
}

bool worker_finds_bad(unsigned slot)
{
	const struct replicas *r = inode.replicas;

	return !r || r->slot[slot].bad;
}

bool worker_has_told(void)
{
	return inode.replicas ? !inode.replicas->settles && inode.replicas->told : !disks[NR].trims;
}

bool worker_settles(void)
{
	return inode.replicas && inode.replicas->settles;
}

void worker_nodes_changed(void)
{
	front_pool.generation++;
}

static void descriptors_make(void)
{
	static int queue_fd = -1, wake_fd;

	if (queue_fd < 0) {
		queue_fd = eventfd(0, EFD_NONBLOCK);
		wake_fd = eventfd(0, EFD_NONBLOCK);
	}
	writers.queue.finished_fd = queue_fd;
	writers.writer[0].wake_fd = wake_fd;
}

static void pool_begin(struct pool *pool, enum pool_kind kind)
{
	memset(pool, 0, sizeof(*pool));
	pool->opts = &opts;
	pool->kind = kind;
	pool->count = cluster.nodes;
	pool->listed = kind == POOL_WRITES ? 0 : cluster.nodes;
	for (unsigned n = 0; n < cluster.nodes; n++)
		pool->conns[n] = wire_conn(owners[kind], n);
}

static void writer_begin(void)
{
	struct writer *wr = &writers.writer[0];

	memset(&writers, 0, sizeof(writers));
	descriptors_make();
	pthread_mutex_init(&writers.queue.lock, NULL);
	writers.queue.todo_tail = &writers.queue.todo;
	flush_queue_finished(&writers.queue); /* of a dead worker's: it is forgotten */
	writers.queue.finished = NULL;
	writers.count = 1;
	wr->opts = &opts;
	wr->sealer = worker.sealer;
	wr->queue = &writers.queue;
	pool_begin(&wr->pool, POOL_WRITES);
	wr->buffers_free = (1u << WRITER_IN_FLIGHT) - 1;
	wr->buffers = buffers;
	wr->codec = chunk_codec_create();
	TAILQ_INIT(&wr->waits);
}

void nodes_begin(void)
{
	struct fibers fibers = jobs.fibers;

	heap_reset();
	opts.sealing = world.sealed ? (const struct sealing *)&sealer : NULL;
	worker.sealer = world.sealed ? &sealer : NULL;
	wires_begin();
	pool_begin(&front_pool, POOL_WATCHES);
	pool_begin(&talks_pool, POOL_TALKS);
	writer_begin();
	memset(&jobs, 0, sizeof(jobs));
	jobs_todo.head = jobs_finished = NULL;
	mending.job = NULL;
	jobs.fibers = fibers; /* their stacks serve again */
	if (!jobs.fibers.all_tail)
		fibers_init(&jobs.fibers);
	jobs_todo.tail = &jobs_todo.head;
	jobs.codec = worker.codec = chunk_codec_create();
	jobs.sealer = worker.sealer;
	memset(&rots, 0, sizeof(rots));
	memset(&balance, 0, sizeof(balance));
	memset(&scrub, 0, sizeof(scrub));
	opts.scrub_rate = cluster_scrubs;
	inodes.end = NR + 1;
	fetches_init(&fetches);
	unpack_begin();
	rot_init(&worker);
	LIST_INIT(&list);
	front_pool.generation = 1;
	inode = (struct inode){ .nr = NR, .disk = &disks[NR], .index = world.index, .stats = &region_stats,
				.known = world.sealed ? world.known : NULL };
	STAILQ_INIT(&inode.waiting);
	LIST_INIT(&inodes.attached);
	LIST_INSERT_HEAD(&inodes.attached, &inode, attached_entry);
	inodes.rt[NR] = &inode;
	worker.replicas_due_ns = 0;
	worker.movers = worker.movers_next = NULL;
	journal.views = cluster.words - NR * RECORD_SLOTS;
	replicas_due = fetches_due = talks_due = writer_due = scrub_due = 0;
	replicas_open(&worker, &inode);
	world.r.w = &worker;
	world.r.inode = &inode;
}

/* Conversations end, and free what is theirs. */
static void worker_end(void)
{
	if (inode.replicas) {
		repair_end(inode.replicas);
		drain_end(inode.replicas);
		repair_unmap(inode.replicas->written);
	}
	inode.replicas = NULL;
	while (jobs.fibers.all || jobs_todo.head) {
		wires_cancel(OF_TALKS);
		world.now += 1000; /* (one may wait for --repair-rate) */
		talks_run();
	}
	while (talk_collect())
		;
}

void nodes_killed(void)
{
	for (uint64_t c = 0; c < W_CHUNKS; c++)
		cluster.fate[c].told = false; /* that is found anew */
	for (unsigned s = 0; s < SLOTS; s++)
		cluster.ill[s] |= worker_finds_bad(s); /* a view may have changed since it was looked at */
	wires_killed();
	worker_end();
}

void nodes_init(void)
{
	if (jobs_todo.tail)
		worker_end(); /* the last episode's */
	cluster_init(cluster_nodes, cluster_copies);
	wires_init();
	record_make();
}

/* ---- events */

static bool news(void (*run)(void))
{
	uint64_t before = wires_news;

	run();
	return wires_news != before;
}

static void writer_run(void)
{
	writer_due = writer_turn(&writers.writer[0]);
}

static bool collect(void)
{
	bool some = writers.queue.finished;

	writers_collect(&writers, &worker);
	some |= unpack_collect(&unpack);
	return talk_collect() || some;
}

bool worker_event(const struct event *e)
{
	switch (e->kind) {
	case E_START: return news(writer_run);
	case E_COLLECT: return collect();
	case E_TALK: return news(talks_run);
	case E_PASS:
		world.now += e->a * 1000ull;
		return true;
	default: return false;
	}
}

void nodes_turn(void)
{
	wires_tick();
	if (world.now >= writer_due)
		writer_run();
	if (world.now >= talks_due)
		talks_run();
	replicas_due = looks_tick(&worker, world.now);
	fetches_due = fetches_tick(&fetches, world.now);
	scrub_due = scrub_tick(&worker, world.now);
}

void nodes_lose(void)
{
	if (disks[NR].failed || cluster.rots_all || !chunks_are_lost())
		return;
	disks[NR].failed = true;
	env_fail(&world.r, 0, -EBADMSG);
}

uint64_t nodes_due(void)
{
	uint64_t due_ns = wires_due();

	due_ns = replicas_due < due_ns ? replicas_due : due_ns;
	due_ns = fetches_due < due_ns ? fetches_due : due_ns;
	due_ns = talks_due < due_ns ? talks_due : due_ns;
	due_ns = scrub_due < due_ns ? scrub_due : due_ns;
	return writer_due < due_ns ? writer_due : due_ns;
}

bool nodes_event(const struct event *e)
{
	bool done = worker_event(e) || wires_event(e);

	mend_look();
	return done;
}

/* The clock goes on in steps of 50 ms, and nothing takes longer than a minute. */
const unsigned nodes_idle = 1500;

/* All members have the chunk in the version that was acknowledged last. (Where one took a later one, which was tried, there may be no
 * other copy of that.) */
static bool members_agree(uint64_t c)
{
	for (unsigned i = 0; i < cluster.nodes; i++)
		if (node_is_member(i, c) && cluster.node[i].copy[c].version != world.index[c])
			return false;
	return true;
}

/* No copy is rotten of what was acknowledged, also if nobody has read it. */
static bool nodes_are_sound(void)
{
	for (unsigned i = 0; i < cluster.nodes; i++)
		for (uint64_t c = 0; c < W_CHUNKS; c++)
			if (node_is_member(i, c) && members_agree(c) &&
			    copy_rotten(&cluster.node[i].copy[c]))
				return false;
	return true;
}

/* The copy on a node that is drained may go to another: in a rack without one. */
static bool may_leave(unsigned slot, unsigned from)
{
	for (unsigned to = 0; to < cluster.nodes; to++) {
		bool shares = cluster.node[to].drains || slot_replica(slot, to) >= 0;

		for (unsigned i = 0; i < cluster.nodes; i++)
			shares |= i != from && slot_replica(slot, i) >= 0 && cluster.rack[i] && cluster.rack[i] == cluster.rack[to];
		if (!shares)
			return true;
	}
	return false;
}

/* Nobody has, or promises, what is not its own. */
static bool nodes_are_tidy(void)
{
	for (unsigned i = 0; i < cluster.nodes; i++) {
		const struct node *n = &cluster.node[i];
		int entry = record_node_find(&disks[NR].rec, &n->id);
		uint64_t own = entry < 0 ? 0 : record_node_chunks(&disks[NR].rec, (unsigned)entry, W_CHUNKS);

		if (n->promised > own)
			return false;
		for (uint64_t c = 0; c < W_CHUNKS && !n->renewed; c++)
			if (n->copy[c].version && slot_replica(slot_of(c), i) < 0)
				return false;
	}
	return true;
}

/* All nodes are back by now: each slot gets its copies, none of them on a node that is drained. But where a chunk is rotten
 * everywhere, or the region has failed. */
bool nodes_are_done(void)
{
	const struct record *rec = &disks[NR].rec;

	if (disks[NR].failed || world.failed || world.closed || cluster.rots_all)
		return true;
	/* A node that was added is found after some seconds. */
	if (cluster_adds && world.now < cluster.began_ns + ADDED_NS)
		return false;
	/* A last copy that is rotten is mended from memory that is here: until that is drained, it waits. */
	if (world.client_left)
		return true;
	for (unsigned s = 0; s < SLOTS; s++)
		if ((unsigned)__builtin_popcount(view_word_members(cluster.words[s])) != cluster.copies)
			return false;
	for (unsigned i = 0; i < cluster.nodes; i++)
		for (unsigned s = 0; s < SLOTS && cluster.nodes > cluster.copies && cluster.node[i].drains; s++)
			if (slot_replica(s, i) >= 0 && may_leave(s, i))
				return false;
	return !record_is_moving(rec) && !record_has_unused(rec) && !disks[NR].view_saved && !disks[NR].trims && nodes_are_tidy() &&
	       readers_find_all() && (!cluster_scrubs || nodes_are_sound());
}

bool nodes_settle(unsigned which)
{
	static const struct {
		enum event_kind kind;
		unsigned count;
	} all[NODES_STEPS] = {
		{ E_UP, NODES_MAX }, { E_HEARS, NODES_MAX }, { E_SERVE, WIRE_CONNS }, { E_PIECE, WIRE_BOXES }, { E_END, WIRE_BOXES },
		 { E_START, 1 }, { E_COLLECT, 1 }, { E_TALK, 1 }, { E_LOST, WIRE_LATE },
	};

	return world_any(all[which].kind, all[which].count);
}
