// SPDX-License-Identifier: GPL-2.0-or-later
/* drain.c - see drain.h. */
#include "drain.h"

#include "balance.h"
#include "base/log.h"
#include "pool.h"
#include "region_events.h"
#include "region_lease.h"
#include "region_node.h"
#include "repair_job.h"
#include "replicas_state.h"
#include "state/seals.h"
#include "state/worker_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POLL_NS	  2000000000ull
#define ASK_NS	  1000000000ull
#define AGAIN_NS  5000000000ull	 /* pause after a move */
#define RETRY_NS  1000000000ull	 /* pause after a job failed */
#define HOLDS_NS  1000000000ull	 /* writes may be held for so long before the record changes */
#define JOINS_NS  30000000000ull /* for one more view to take the target in: what has not by then stays as it is */
#define DROP_NS	  1000000000ull	 /* and so long, after it, for a source that does not answer to drop its part */
#define ROUNDS	  6u  /* after these, more than FEW chunks may be left, if copying them takes less than REST_S */
#define ROTTEN_BATCHES 3u /* so often are chunks tried that no member has as they were stored */
#define ROTTEN_NS 60000000000ull /* pause after a move that ended so */
#define ROUNDS_MAX 30u
#define REST_S	  10u
#define TABLE_NS  2000000000ull /* an answer of a majority about names is good for so long */
#define FEW	  64u /* chunks that are left to repair.h, or copied while writes are held */
#define BALANCE_NS 600000000000ull /* pause after a move of balance.h that failed */
#define FAILURES  8u  /* of jobs, in a row, that end the move */

enum state { COPIES, READY, JOINS, LEAVES };

struct chunk_set {
	uint64_t *bits; /* repair_map() */
	uint32_t left[RECORD_SLOTS]; /* set in each slot */
};

struct drain {
	struct replicas *r;
	uint64_t serial;
	enum state state;
	bool balance; /* balance.h has begun it */
	struct gvm_id from, to; /* nodes */
	bool moves[RECORD_SLOTS];
	bool busy; /* a job is in flight */
	bool swapping; /* replace.h is changing the record */
	int error; /* of the last job */
	uint64_t next_ns; /* no job begins before this time */
	uint64_t state_ns; /* when JOINS or LEAVES began, or a view last took the target in */
	unsigned lacking;  /* in JOINS: views that had not, the last time; ~0u: not known */
	uint64_t table_ns; /* when a majority last answered about names */
	unsigned unheard;  /* how often in a row none did */
	unsigned failures;
	unsigned rotten; /* batches with chunks that are rotten on all members */
	bool rotten_left; /* there was one in this round */
	unsigned rounds, slot; /* the slot that is being copied */
	uint64_t cursor; /* the next chunk in it */
	bool scanned;
	struct chunk_set differs; /* chunks that this round copies */
	struct chunk_set written; /* chunks for the next round: written meanwhile, or not copied */
};

static const struct record *record_of(const struct drain *d)
{
	return &d->r->inode->disk->rec;
}

/* The slot's replica that moves; -1: the slot does not move, or its replica is not on the source any more. */
static int replica_of(const struct drain *d, unsigned slot)
{
	int from = record_node_find(record_of(d), &d->from);

	return d->moves[slot] && from >= 0 ? record_replica_of(record_of(d), slot, (unsigned)from) : -1;
}

/* ---- which nodes */

struct drain_call {
	struct gvm_call call; /* first */
	struct pool *pool;
};

static void drain_asked(struct gvm_req *req)
{
	struct drain_call *dc = (struct drain_call *)req;

	for (unsigned i = 0; !req->result && i < dc->pool->count; i++)
		if (dc->pool->conns[i] == req->conn)
			dc->pool->drains[i] = dc->call.rsp.node_drain.drains;
	free(dc);
}

static bool any_drains(const struct worker *w)
{
	for (unsigned i = 0; i < w->pool->count; i++)
		if (w->pool->drains[i])
			return true;
	return false;
}

uint64_t drain_poll(struct worker *w, uint64_t now_ns)
{
	const struct gvm_node_drain_req what = { .drain = GVM_DRAIN_ASK };
	struct pool *pool = w->pool;

	if (LIST_EMPTY(&w->inodes->attached))
		return ~0ull;
	if (!pool->drains_at && now_ns < pool->drains_ns)
		return pool->drains_ns;
	if (!pool->drains_at)
		pool->drains_ns = now_ns + POLL_NS;
	for (unsigned n = 0; n < POOL_ASKS_MAX && pool->drains_at < pool->count; n++) {
		struct gvm_conn *conn = pool->conns[pool->drains_at++];
		struct drain_call *dc;

		if (gvm_conn_state(conn) != GVM_CONN_UP || !(dc = calloc(1, sizeof(*dc))))
			continue;
		dc->pool = pool;
		dc->call.req.done = drain_asked;
		dc->call.req.deadline_ns = now_ns + ASK_NS;
		gvm_node_drain(conn, &dc->call, &what);
	}
	if (pool->drains_at < pool->count)
		return now_ns;
	pool->drains_at = 0;
	return pool->drains_ns;
}

static bool is_told(struct worker *w, struct inode *inode, unsigned node)
{
	const struct gvm_conn *conn = region_node_conn(w, inode, node);

	for (unsigned i = 0; i < w->pool->count; i++)
		if (w->pool->conns[i] == conn)
			return w->pool->drains[i];
	return false;
}

static bool node_drains(const struct replicas *r, unsigned node)
{
	return is_told(r->w, r->inode, node) && !r->node[node].bad && !r->node[node].down_ns;
}

static bool is_single(const struct replicas *r)
{
	return r->inode->disk->rec.replicas == 1;
}

/* By the journal, the region may be at the end of a move: the name table or the source may not know of it yet. */
static bool is_unsettled(const struct inode *inode)
{
	return inode->disk->view_saved || inode->disk->trims || record_has_unused(&inode->disk->rec);
}

bool drain_needs(struct worker *w, struct inode *inode)
{
	if (is_unsettled(inode) || balance_picks(w, inode))
		return true;
	for (unsigned i = 0; any_drains(w) && i < inode->disk->rec.node_count; i++)
		if (is_told(w, inode, i))
			return true;
	return false;
}

void drain_open(struct replicas *r)
{
	const struct journal_inode *d = r->inode->disk;

	r->settles = is_single(r) && (d->view_saved || d->trims & TRIMS_SETTLE) ? SETTLES_SAVE : SETTLED;
	r->told = !is_unsettled(r->inode);
}

/* Whether the source has dropped its part, or knows what has moved away from it. Others that do not answer are told
 * later: what is not known to them moved when writes waited for them, or they have no slot that is asked for. */
static bool sources_know(const struct replicas *r)
{
	const struct record *rec = &r->inode->disk->rec;
	int source = record_node_find(rec, &r->source);

	if (gvm_id_is_none(&r->source))
		return !record_has_unused(rec) && r->told;
	return source < 0 || (record_node_is_used(rec, (unsigned)source) && (r->told || r->source_told));
}

/* Lets writes go on once the name table has the record, and the source knows. */
static void settles_look(struct replicas *r, uint64_t now_ns)
{
	if (r->settles == SETTLES_SAVE && !r->inode->disk->view_saved) {
		r->settles = SETTLES_DROP;
		r->settles_ns = now_ns;
		r->replace_ns = 0;
	}
	if (r->settles != SETTLES_DROP || (!sources_know(r) && now_ns - r->settles_ns < DROP_NS))
		return;
	r->settles = SETTLED;
	journal_publish32(&r->inode->disk->trims, r->inode->disk->trims & ~(uint32_t)TRIMS_SETTLE);
	r->w->region_events->replicas_changed(r->w, r->inode);
}

/* Finds and counts the node's replicas in views of which no member is bad. */
static unsigned node_wants(const struct replicas *r, unsigned node, uint8_t *wanted)
{
	const struct record *rec = &r->inode->disk->rec;
	unsigned count = 0;

	for (unsigned s = 0; s < rec->slot_count; s++) {
		int replica = record_replica_of(rec, s, node);

		if (replica < 0 || !view_may_grow(&r->slot[s]))
			continue;
		count++;
		if (wanted)
			wanted[s] = (uint8_t)(1u << replica);
	}
	return count;
}

unsigned drain_wants(const struct replicas *r, uint64_t now_ns, uint8_t wanted[RECORD_SLOTS])
{
	const struct journal_inode *d = r->inode->disk;

	if (r->drain || r->repair || r->degraded || d->view_saved || now_ns < r->drain_ns || record_is_moving(&d->rec))
		return 0;
	for (unsigned i = 0; any_drains(r->w) && i < d->rec.node_count; i++) {
		unsigned count = node_drains(r, i) && record_node_is_used(&d->rec, i) ? node_wants(r, i, wanted) : 0;

		if (count)
			return count;
	}
	return 0;
}

/* ---- chunks */

static void set_add(struct drain *d, struct chunk_set *set, uint64_t chunk)
{
	uint64_t *word = &set->bits[chunk / 64], bit = 1ull << chunk % 64;

	set->left[record_slot_of(record_of(d), chunk)] += !(*word & bit);
	*word |= bit;
}

static uint64_t set_left(const struct chunk_set *set)
{
	uint64_t left = 0;

	for (unsigned s = 0; s < RECORD_SLOTS; s++)
		left += set->left[s];
	return left;
}

void drain_written(struct replicas *r, uint64_t chunk)
{
	struct drain *d = r->drain;

	if (d && d->moves[record_slot_of(record_of(d), chunk)])
		set_add(d, &d->written, chunk);
}

uint64_t drain_left(const struct replicas *r)
{
	return r->drain ? set_left(&r->drain->differs) + set_left(&r->drain->written) : 0;
}

/* ---- the copies */

bool drain_holds(const struct replicas *r, unsigned slot)
{
	return r->settles || (is_single(r) && r->drain && r->drain->state != COPIES && r->drain->moves[slot]);
}

static void drain_free(struct drain *d)
{
	d->r->drain = NULL;
	repair_unmap(d->differs.bits);
	repair_unmap(d->written.bits);
	free(d);
}

void drain_end(struct replicas *r)
{
	bool held = is_single(r) && r->drain && r->drain->state != COPIES;
	bool rotten = r->drain && r->drain->rotten >= ROTTEN_BATCHES;

	if (r->drain && r->drain->balance && !r->drain->swapping && !r->closing)
		r->inode->balance_ns = gvm_now_ns() + BALANCE_NS;
	if (r->drain)
		drain_free(r->drain);
	r->drain_ns = gvm_now_ns() + (rotten ? ROTTEN_NS : AGAIN_NS);
	if (held && !r->closing)
		r->w->region_events->replicas_changed(r->w, r->inode);
}

static void job_fill_in(struct drain *d, struct repair_job *job)
{
	struct inode *inode = d->r->inode;

	job->w = d->r->w;
	job->nr = inode->nr;
	job->epoch = inode->disk->epoch;
	job->serial = d->serial;
	job->region = record_of(d)->id;
	job->opts = d->r->w->opts;
	job->sealed = region_sealer(d->r->w, inode);
	job->index = inode->index;
	region_node_place(d->r->w, inode, (unsigned)record_node_find(record_of(d), &d->to), &job->to);
}

/* The move that a job was for, with the job's result noted; NULL: it has ended meanwhile. */
static struct drain *job_drain(const struct repair_job *job)
{
	const struct inode *inode = job->w->inodes->rt[job->nr];
	struct drain *d = inode && inode->replicas && !inode->replicas->closing ? inode->replicas->drain : NULL;

	if (!d || !gvm_id_equal(&record_of(d)->id, &job->region) || inode->disk->epoch != job->epoch || d->serial != job->serial)
		return NULL;
	assert(d->busy);
	d->busy = false;
	d->failures = job->job.result ? d->failures + 1 : 0;
	d->error = job->job.result;
	if (job->job.result)
		d->next_ns = gvm_now_ns() + RETRY_NS;
	return d;
}

static void state_begin(struct drain *d, enum state state)
{
	d->state = state;
	d->state_ns = gvm_now_ns();
	d->lacking = ~0u;
}

static void ready_begin(struct drain *d)
{
	state_begin(d, READY);
	d->r->replace_ns = 0;
}

static void scan_done(struct job *j)
{
	struct repair_scan *scan = (struct repair_scan *)j;
	struct drain *d = job_drain(&scan->base);

	if (!d || j->result) {
		repair_unmap(scan->differs);
	} else {
		d->differs.bits = scan->differs;
		memcpy(d->differs.left, scan->left, sizeof(d->differs.left));
		d->scanned = true;
		region_lease(d->r->w, d->r->inode); /* the job attached over another connection than the front's */
	}
	free(scan);
}

static void scan_begin(struct drain *d)
{
	const struct journal_inode *disk = d->r->inode->disk;
	struct repair_scan *scan = calloc(1, sizeof(*scan));
	uint64_t *map = scan ? repair_map() : NULL;

	assert(!d->busy && !d->scanned && !d->differs.bits);
	if (!map) { /* no memory: try again later */
		free(scan);
		return;
	}
	job_fill_in(d, &scan->base);
	scan->self = d->r->w->self;
	scan->unlinked = disk->use == INODE_UNLINKED;
	scan->rec = disk->rec;
	scan->differs = map;
	memcpy(scan->wanted, d->moves, sizeof(scan->wanted));
	scan->base.job.work = repair_job_scan;
	scan->base.job.done = scan_done;
	d->busy = true;
	jobs_submit(d->r->w->jobs, &scan->base.job);
}

static void copy_done(struct job *j)
{
	struct repair_copy *job = (struct repair_copy *)j;
	struct drain *d = job_drain(&job->base);
	bool rotten = false;

	for (unsigned i = 0; d && i < job->count; i++)
		if (job->missing[i]) {
			set_add(d, &d->written, job->chunk[i]);
			rotten = !j->result || j->result == -EBADMSG;
		}
	if (d)
		repair_job_tell(job, d->r->inode);
	if (rotten) {
		d->rotten++;
		d->rotten_left = true;
	}
	free(job);
}

/* Fills the job with chunks of the slot that differ. */
static void copy_collect(struct drain *d, struct repair_copy *job)
{
	const struct record *rec = record_of(d);
	uint64_t chunks = record_chunks(rec->size_bytes), c = d->cursor > d->slot ? d->cursor : d->slot;

	for (; c < chunks && job->count < REPAIR_BATCH && d->differs.left[d->slot]; c += rec->slot_count) {
		if (!(d->differs.bits[c / 64] >> c % 64 & 1))
			continue;
		d->differs.bits[c / 64] &= ~(1ull << c % 64);
		d->differs.left[d->slot]--;
		job->chunk[job->count++] = c;
	}
	d->cursor = c;
}

static void copy_begin(struct drain *d)
{
	struct replicas *r = d->r;
	const struct record_slot *slot = &record_of(d)->slots[d->slot];
	struct repair_copy *job = calloc(1, sizeof(*job));
	uint8_t members = view_targets(&r->slot[d->slot]);

	assert(!d->busy && d->scanned);
	if (!job)
		return; /* another time */
	job_fill_in(d, &job->base);
	job->slot = d->slot;
	job->urgent = drain_holds(r, d->slot);
	job->alone = true;
	for (unsigned i = 0; i < record_places(record_of(d)); i++)
		if (members >> i & 1)
			region_node_place(r->w, r->inode, slot->node[i], &job->from[job->sources++]);
	copy_collect(d, job);
	job->base.job.work = repair_job_copy;
	job->base.job.done = copy_done;
	d->busy = true;
	jobs_submit(r->w->jobs, &job->base.job);
}

/* Copies what is left of the round. False: nothing is left. */
static bool round_goes_on(struct drain *d)
{
	while (d->slot < RECORD_SLOTS && !d->differs.left[d->slot]) {
		d->slot++;
		d->cursor = 0;
	}
	if (d->slot == RECORD_SLOTS)
		return false;
	copy_begin(d);
	return true;
}

static void round_begin(struct drain *d)
{
	struct chunk_set none = d->differs;

	assert(!set_left(&none));
	d->differs = d->written;
	d->written = none;
	d->slot = 0;
	d->cursor = 0;
	d->rounds++;
	d->rotten_left = false;
	round_goes_on(d);
}

static bool rest_is_small(const struct drain *d)
{
	uint64_t left = set_left(&d->written), rate = d->r->w->opts->repair_rate * 1000000ull;

	if (d->failures || d->rotten_left)
		return false;
	return left <= FEW || (!is_single(d->r) && d->rounds >= ROUNDS && left * GVM_CHUNK_BYTES <= rate * REST_S);
}

static void table_read(struct worker *w, int result, void *arg)
{
	struct repair_job *job = arg;
	struct drain *d;

	(void)w;
	d = job_drain(job);
	if (d && result) {
		d->unheard++;
		d->next_ns = gvm_now_ns() + RETRY_NS;
	} else if (d) {
		d->unheard = 0;
		d->table_ns = gvm_now_ns();
	}
	free(job);
}

/* One copy: no writes are held before a majority of the name table answers, which has to have the new record before they go
 * on. */
static void holds_ask(struct drain *d)
{
	struct repair_job *job;

	if (d->table_ns && gvm_now_ns() - d->table_ns < TABLE_NS) {
		state_begin(d, LEAVES);
		return;
	}
	job = calloc(1, sizeof(*job));
	if (!job)
		return; /* another time */
	job_fill_in(d, job);
	d->busy = true;
	d->r->w->region_events->names_read(d->r->w, true, table_read, job);
}

static void copies_go_on(struct drain *d)
{
	if (!d->scanned) {
		/* Only when all writes are counted, so that every write from here on is noted. */
		if (!d->r->inode->plain)
			scan_begin(d);
	} else if (!round_goes_on(d)) {
		if (!rest_is_small(d))
			round_begin(d);
		else if (is_single(d->r))
			holds_ask(d);
		else
			ready_begin(d);
	}
}

/* One copy, with writes held: copies the rest. True: the target has everything. */
static bool rest_goes_on(struct drain *d)
{
	for (unsigned s = 0; s < record_of(d)->slot_count; s++)
		if (d->moves[s] && d->r->writes[s])
			return false;
	if (d->r->inode->plain || d->busy || round_goes_on(d))
		return false;
	if (!set_left(&d->written))
		return true;
	round_begin(d);
	return false;
}

/* ---- the whole */

void drain_begin(struct replicas *r, unsigned from, unsigned to, const struct record_slot *slots, bool balance)
{
	const struct record *rec = &r->inode->disk->rec;
	struct drain *d = calloc(1, sizeof(*d));
	unsigned count = 0;

	assert(!r->drain && from != to);
	if (!d || !(d->written.bits = repair_map())) {
		free(d);
		return; /* another time */
	}
	d->r = r;
	d->serial = ++r->repairs;
	d->from = rec->nodes[from].incarnation;
	d->to = rec->nodes[to].incarnation;
	for (unsigned s = 0; s < rec->slot_count; s++) {
		int replica = record_replica_of(rec, s, from);

		d->moves[s] = replica >= 0 && slots[s].node[replica] == to;
		count += d->moves[s];
	}
	d->balance = balance;
	r->drain = d;
	r->no_drain &= balance;
	log_info(rec->name, "node %s is %s: %u/%u of the copies move to node %s", rec->nodes[from].addr,
		 balance ? "much fuller than another" : "drained", count, rec->slot_count * rec->replicas,
		 rec->nodes[to].addr);
}

/* How many views lack the target, where the record has it. */
static unsigned views_lacking(const struct drain *d)
{
	int to = record_node_find(record_of(d), &d->to);
	unsigned lacking = 0;

	for (unsigned s = 0; to >= 0 && s < record_of(d)->slot_count; s++) {
		int place = d->moves[s] ? record_replica_of(record_of(d), s, (unsigned)to) : -1;
		const struct view_slot *v = &d->r->slot[s];

		lacking += place >= 0 && !(view_word_members(v->word) >> place & 1 && view_may_grow(v));
	}
	return lacking;
}

/* Whether the views have the target, or no more of them take it in. */
static bool joins_are_over(struct drain *d, uint64_t now_ns)
{
	unsigned lacking = views_lacking(d);

	if (lacking < d->lacking) {
		d->lacking = lacking;
		d->state_ns = now_ns;
	}
	return !lacking || now_ns >= d->state_ns + JOINS_NS;
}

/* Why the move has to end; NULL: it need not. */
static const char *end_reason(const struct drain *d, uint64_t now_ns)
{
	const struct replicas *r = d->r;
	int from = record_node_find(record_of(d), &d->from), to = record_node_find(record_of(d), &d->to);

	if (from < 0 || to < 0 || r->inode->disk->failed)
		return "the region has changed";
	if (r->node[to].bad)
		return "the node that copies move to fails";
	/* (Later, if the source fails, the target is the best copy to have: the move goes on.) */
	if ((d->state == COPIES || is_single(r)) && r->node[from].bad)
		return "the node fails";
	if (d->balance && is_told(r->w, r->inode, (unsigned)to))
		return "the node that copies move to is drained";
	if (d->balance && d->state == JOINS && now_ns >= d->state_ns + JOINS_NS)
		return "a view does not change";
	if (!d->balance && !r->node[from].bad && !r->node[from].down_ns && !is_told(r->w, r->inode, (unsigned)from))
		return "it is not to be drained any more";
	if (d->rotten >= ROTTEN_BATCHES)
		return "a chunk is rotten on all nodes that have it";
	if (d->failures >= FAILURES)
		return strerror(-d->error);
	if (d->unheard >= FAILURES)
		return "no majority of the nodes answers about names";
	if (d->state == COPIES && d->rounds >= ROUNDS_MAX)
		return "it is written to faster than --repair-rate lets copies be made";
	if (is_single(r) && d->state != COPIES && now_ns >= d->state_ns + HOLDS_NS)
		return "writes would have been held for too long";
	return NULL;
}

/* What was to move has moved. */
static void drain_finish(struct replicas *r, uint64_t now_ns)
{
	r->drain->swapping = true;
	drain_end(r);
	balance_again(r->w, now_ns);
}

static void drain_step(struct drain *d, uint64_t now_ns)
{
	struct replicas *r = d->r;

	switch (d->state) {
	case COPIES: /* degraded slots are repaired first */
		if (!d->busy && now_ns >= d->next_ns && !r->inode->disk->view_saved && !r->degraded)
			copies_go_on(d);
		break;
	case READY:
		break;
	case JOINS:
		if (!r->inode->disk->view_saved && joins_are_over(d, now_ns))
			state_begin(d, LEAVES);
		break;
	case LEAVES:
		if (is_single(r) && rest_goes_on(d))
			ready_begin(d);
		else if (!is_single(r) && !record_is_moving(&r->inode->disk->rec))
			drain_finish(r, now_ns);
		break;
	}
}

void drain_look(struct replicas *r, uint64_t now_ns)
{
	struct drain *d = r->drain;
	const char *reason = d && !d->swapping ? end_reason(d, now_ns) : NULL;

	settles_look(r, now_ns);
	if (reason) {
		log_warning(record_of(d)->name, "copies on a node that is %s stay there for now: %s",
			    d->balance ? "fuller than another" : "drained", reason);
		drain_end(r);
	} else if (d && !d->swapping) {
		drain_step(d, now_ns);
	}
}

void drain_swaps(struct replicas *r)
{
	assert(drain_is_ready(r));
	r->drain->swapping = true;
}

void drain_swapped(struct replicas *r)
{
	if (!r->drain)
		return;
	assert(r->drain->swapping);
	if (!is_single(r)) {
		r->drain->swapping = false;
		state_begin(r->drain, JOINS);
		return;
	}
	r->settles = SETTLES_SAVE;
	r->told = r->source_told = false;
	r->source = r->drain->from;
	drain_finish(r, gvm_now_ns());
}

bool drain_is_complete(const struct replicas *r, unsigned slot)
{
	return is_single(r) && drain_is_ready(r) && r->drain->swapping && r->drain->moves[slot];
}

bool drain_is_ready(const struct replicas *r)
{
	return r->drain && r->drain->state == READY;
}

bool drain_adds(const struct replicas *r)
{
	return r->drain && !is_single(r);
}

/* Where the slot gets its new replica; -1: nowhere. */
static int place_of(const struct drain *d, unsigned s, const struct record_slot *slot, unsigned to)
{
	int replica = replica_of(d, s);

	if (replica < 0 || is_single(d->r))
		return replica;
	if (!view_may_grow(&d->r->slot[s]) || record_replica_of(record_of(d), s, to) >= 0)
		return -1;
	for (unsigned n = 0; n < record_of(d)->replicas + 1u; n++)
		if (slot->node[n] == RECORD_NONE)
			return (int)n;
	return -1;
}

unsigned drain_targets(const struct replicas *r, struct record_slot *slots, unsigned *to)
{
	const struct drain *d = r->drain;
	int node = record_node_find(record_of(d), &d->to);
	unsigned count = 0;

	for (unsigned s = 0; node >= 0 && s < record_of(d)->slot_count; s++) {
		int place = place_of(d, s, &slots[s], (unsigned)node);

		if (place < 0)
			continue;
		slots[s].node[place] = (uint16_t)node;
		count++;
	}
	*to = (unsigned)node;
	return count;
}

bool drain_is_told(const struct replicas *r, unsigned node)
{
	return is_told(r->w, r->inode, node);
}

bool drain_joins(const struct replicas *r, unsigned slot)
{
	return r->drain && r->drain->state != LEAVES && r->drain->moves[slot];
}

int drain_leaves(const struct replicas *r, unsigned slot)
{
	return r->drain ? replica_of(r->drain, slot) : -1;
}

bool drain_goes_to(const struct replicas *r, unsigned node)
{
	return r->drain && gvm_id_equal(&r->inode->disk->rec.nodes[node].incarnation, &r->drain->to);
}
