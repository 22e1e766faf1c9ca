// SPDX-License-Identifier: GPL-2.0-or-later
/* repair_job.c - see repair_job.h. */
#include "repair_job.h"

#include "ask.h"
#include "base/log.h"
#include "base/mutant.h"
#include "fill.h"
#include "gather.h"
#include "index_read.h"
#include "options.h"
#include "owner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAP_BYTES	(JOURNAL_CHUNKS_MAX / 8)
#define LOOKS		(1u << 18) /* chunks in one go, before other conversations go on */
#define LOOKS_PAUSE_NS	1000000ull
#define WATCHED_NS	3000000000ull /* readers of other hosts drop their cached pages within this time */
#define WATCHED_PAUSE_NS 3000000ull
#define COPY_NS		2000000000ull /* deadline of each request */
#define IN_FLIGHT	4u	      /* of one job; one, where several jobs copy at a time and nobody waits for it */

uint64_t *repair_map(void)
{
	void *map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

void repair_unmap(uint64_t *map)
{
	if (map)
		munmap(map, MAP_BYTES);
}

/* ---- what a node has */

/* By force: an earlier writer, which the members refuse, may still be connected to the node. */
static int node_attach(struct repair_scan *scan, struct pool *pool)
{
	const struct record *rec = &scan->rec;
	struct gvm_region_open_req what = { .region = rec->id, .mode = GVM_OPEN_ATTACH, .force = GVM_FORCE_WRITER,
					    .epoch = scan->base.epoch, .view = rec->view };
	struct gvm_conn *conn = pool_node(pool, &scan->base.to);
	uint64_t until_ns = ns_from_now(WATCHED_NS);
	struct ask ask;
	int r = -ENOMEM;

	owner_lease(scan->base.opts, &scan->self, scan->unlinked, &what);
	while (conn) {
		gvm_region_open(conn, ask_begin_to(&ask, ns_from_now(COPY_NS), &scan->base.to), &what);
		r = pool_wait(conn, &ask.call.req);
		if (r != -EINPROGRESS || gvm_now_ns() > until_ns)
			break;
		fiber_wait(NULL, ns_from_now(WATCHED_PAUSE_NS));
	}
	return r;
}

static void differs_set(struct repair_scan *scan, uint64_t chunk, bool differs)
{
	uint64_t *word = &scan->differs[chunk / 64], bit = 1ull << chunk % 64;
	unsigned slot = record_slot_of(&scan->rec, chunk);

	if (differs == !!(*word & bit))
		return;
	assert(differs || scan->left[slot]);
	*word ^= bit;
	scan->left[slot] += differs ? 1u : -1u;
}

/* Starts with every written chunk differing: as if the node had nothing. */
static void all_differ(struct repair_scan *scan)
{
	uint64_t chunks = record_chunks(scan->rec.size_bytes), looked = 0;

	for (uint64_t c = 0;; c++) {
		c = journal_index_next(scan->base.w->journal, scan->base.nr, c);
		if (c >= chunks)
			return;
		if (scan->wanted[record_slot_of(&scan->rec, c)] && scan->base.index[c])
			differs_set(scan, c, true);
		if (++looked % LOOKS == 0)
			fiber_wait(NULL, ns_from_now(LOOKS_PAUSE_NS));
	}
}

static void chunk_compare(void *arg, uint64_t chunk, uint64_t version)
{
	struct repair_scan *scan = arg;
	unsigned slot = record_slot_of(&scan->rec, chunk);
	enum fill_held held;

	if (chunk >= record_chunks(scan->rec.size_bytes) || !scan->wanted[slot])
		return;
	held = fill_compare(version, scan->base.index[chunk], gvm_version(scan->base.epoch, 0));
	differs_set(scan, chunk, held == FILL_DIFFERS);
	scan->strange[slot] |= held == FILL_STRANGE;
}

void repair_job_scan(struct job *job, struct pool *pool)
{
	struct repair_scan *scan = (struct repair_scan *)job;

	job->result = node_attach(scan, pool);
	if (job->result)
		return;
	all_differ(scan);
	job->result = index_read(pool, &scan->base.to, &scan->rec.id, COPY_NS, chunk_compare, scan);
}

/* ---- copies */

struct copies;

/* A copy in flight. */
struct copy {
	union {
		struct gvm_get get;
		struct gvm_put put;
		struct gvm_call zero;
	}; /* first */
	struct copies *all;
	bool busy;
	uint64_t chunk;
	unsigned at; /* of the job's chunks */
	unsigned source;
	bool again; /* what this source sent did not verify, and was asked for once more */
	int error;  /* why no source had all of it: that of one which may have it, rather than of a rotten one */
	uint64_t version;
	struct gather gather; /* the chunk as it is stored: it is sent on as it came */
	uint8_t *room;
};

struct copies {
	struct repair_copy *job;
	struct pool *pool;
	struct copy copy[IN_FLIGHT];
	unsigned many; /* of them are used */
	uint8_t *opened; /* buffer to open sealed blocks, which have to be authentic */
	bool news;
	unsigned copied;
	int error; /* which makes it useless to go on */
};

static void copy_end(struct copy *c, int error)
{
	struct repair_copy *job = c->all->job;

	if (error && error != -EBADMSG && !c->all->error)
		c->all->error = error;
	c->all->copied += !error;
	job->missing[c->at] = error;
	c->busy = false;
	job->ended++;
	c->all->news = true;
}

/* The node may have a later write of this writer, which no other has yet: that counts as the same (fill_compare()). Otherwise
 * it would lack a copy until the chunk is written again. */
static void put_done(struct gvm_req *req)
{
	struct copy *c = (struct copy *)req;
	const struct repair_copy *job = c->all->job;
	uint64_t first = gvm_version(job->base.epoch, 0);
	bool ours_above = req->result == -ESTALE && !job->mends && (c->version == first || req->detail >= first);

	copy_end(c, ours_above ? 0 : req->result);
}

static struct pace *pace_of(const struct repair_copy *job)
{
	return &job->base.job.jobs->pace;
}

static void copy_put(struct copy *c)
{
	const struct repair_job *job = &c->all->job->base;
	uint64_t version = mutant("mend-newest") ? job->index[c->chunk] & GVM_VERSION_MASK : c->version;
	struct gvm_conn *conn = pool_node(c->all->pool, &job->to);
	struct gvm_req req = { .done = put_done, .node = job->to.incarnation, .deadline_ns = ns_from_now(COPY_NS) };

	if (!conn) {
		copy_end(c, -ENOMEM);
	} else if (c->gather.zero_map == ~0u && c->all->job->mends) {
		copy_end(c, -ESTALE); /* the chunk has been discarded since */
	} else if (c->gather.zero_map == ~0u) {
		struct gvm_discard_req what = { .region = job->region, .epoch = job->epoch, .first = c->chunk,
						.count = 1, .version = c->version };

		c->zero = (struct gvm_call){ .req = req };
		gvm_discard(conn, &c->zero, &what);
	} else {
		c->put = (struct gvm_put){ .req = req,
					   .what = { .region = job->region, .epoch = job->epoch,
						     .chunk = c->chunk, .version = version,
						     .base = c->all->job->mends ? version : 0 },
					   .head = &c->gather.parts.head, .body = c->gather.parts.body };
		gvm_put(conn, &c->put);
	}
}

/*
 * Nodes do not check sealed blocks that they send, and the target would take a rotten one for sound from then on (gather.h). A
 * copy that replaces a rotten one has to be in its version, too. Answers to GET have no checksum on their way: what does not
 * verify is asked for once more, and then what does counts.
 */
static int get_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head, const uint8_t *body)
{
	struct copy *c = (struct copy *)get;
	const struct repair_copy *job = c->all->job;
	int r;

	if (job->mends && version != job->version)
		return -ESTALE;
	r = gather_piece(&c->gather, version, head, body);
	if (r != -EBADMSG || !c->again) {
		c->again |= r == -EBADMSG;
		return r;
	}
	return 0;
}

static void copy_get(struct copy *c);

/* All of it came from the node that is mended, whose copy is sound, as where it was written since, and the others are
 * rotten. */
static bool is_sound(const struct copy *c)
{
	const struct repair_copy *job = c->all->job;

	return job->mends && c->gather.nodes == 1u << c->gather.node &&
	       gvm_id_equal(&job->from[c->gather.node].incarnation, &job->base.to.incarnation);
}

static void get_done(struct gvm_req *req)
{
	struct copy *c = (struct copy *)req;
	int error = req->result;

	if (!error && !gather_is_whole(&c->gather))
		error = -EBADMSG;
	if (error && (!c->error || c->error == -EBADMSG))
		c->error = error;
	if (error && error != -EKEYREVOKED && ++c->source < c->all->job->sources) {
		copy_get(c);
		return;
	}
	if (error) {
		copy_end(c, error == -EKEYREVOKED ? error : c->error);
		return;
	}
	if (is_sound(c)) {
		copy_end(c, -ESTALE);
		return;
	}
	if (gather_is_pieced(&c->gather)) {
		c->all->job->pieced++;
		c->all->job->pieced_chunk = c->chunk;
	}
	c->version = fill_version(c->gather.version, gvm_version(c->all->job->base.epoch, 0), c->gather.zero_map == ~0u);
	c->all->job->bytes += c->gather.parts.head.body_bytes;
	pace_took(pace_of(c->all->job), GVM_CHUNK_BYTES, c->gather.parts.head.body_bytes, c->all->job->base.opts->repair_rate);
	copy_put(c);
}

static void copy_get(struct copy *c)
{
	const struct repair_copy *job = c->all->job;
	const struct record_node *from = &job->from[c->source];
	struct gvm_conn *conn = pool_node(c->all->pool, from);

	if (!conn) {
		copy_end(c, -ENOMEM);
		return;
	}
	c->again = false;
	c->gather.node = c->source;
	c->get = (struct gvm_get){
		.req = { .done = get_done, .node = from->incarnation, .deadline_ns = ns_from_now(COPY_NS) },
		.on_piece = get_piece,
		.what = { .region = job->base.region, .epoch = job->base.epoch, .chunk = c->chunk,
			  .version = job->base.index[c->chunk] & GVM_VERSION_MASK, .page_mask = ~0u,
			  .want_page = GVM_NO_PAGE },
	};
	gvm_get(conn, &c->get);
}

static void copy_begin(struct copy *c)
{
	const struct repair_copy *job = c->all->job;
	const struct jobs *jobs = job->base.job.jobs;

	c->source = 0;
	c->error = 0;
	c->gather = (struct gather){ .region = job->base.region, .chunk = c->chunk, .sealed = job->base.sealed,
				     .codec = jobs->codec, .sealer = jobs->sealer, .known = job->mends ? &job->known : NULL,
				     .opened = c->all->opened };
	gather_begin(&c->gather, c->room);
	copy_get(c);
}

/* Begins copies, as many as may be in flight. True: another could begin, but has to wait for the rate. */
static bool copies_begin(struct copies *all)
{
	struct repair_copy *job = all->job;

	for (unsigned i = 0; i < all->many && job->next < job->count; i++) {
		struct copy *c = &all->copy[i];

		if (c->busy)
			continue;
		if (!job->urgent && !pace_allows(pace_of(job), gvm_now_ns()))
			return true;
		c->busy = true;
		c->at = job->next++;
		c->chunk = job->chunk[c->at];
		if (all->error) { /* the rest is left to the next try */
			copy_end(c, all->error);
			continue;
		}
		pace_take(pace_of(job), gvm_now_ns(), GVM_CHUNK_BYTES, job->base.opts->repair_rate);
		copy_begin(c);
	}
	return false;
}

void repair_job_copy(struct job *job, struct pool *pool)
{
	struct repair_copy *rc = (struct repair_copy *)job;
	struct copies *all = calloc(1, sizeof(*all));
	unsigned most = rc->alone || rc->urgent ? IN_FLIGHT : 1, many = rc->count < most ? rc->count : most;
	uint8_t *room = malloc((2 * many + 1) * GVM_CHUNK_BYTES);

	job->result = -ENOMEM;
	if (!all || !room) {
		free(all);
		free(room);
		return;
	}
	all->job = rc;
	all->pool = pool;
	all->many = many;
	all->opened = room + 2 * many * GVM_CHUNK_BYTES;
	for (unsigned i = 0; i < many; i++) {
		all->copy[i].all = all;
		all->copy[i].room = room + 2 * GVM_CHUNK_BYTES * i;
	}
	while (rc->ended < rc->count) {
		bool for_rate;

		all->news = false;
		for_rate = copies_begin(all);
		/* (If the rate allows the next copy by now, this returns at once.) */
		if (rc->ended < rc->count && !all->news)
			fiber_wait(&all->news, for_rate ? pace_of(rc)->due_ns : 0);
	}
	job->result = all->error || all->copied ? all->error : -EBADMSG;
	free(all);
	free(room);
}

void repair_job_tell(const struct repair_copy *job, struct inode *inode)
{
	if (!job->pieced)
		return;
	worker_count(job->base.w, inode, copies_pieced, job->pieced);
	log_warning(inode->disk->rec.name, "ROTTEN: no node has chunk %llu%s as it was stored, but each of its pages is sound on "
		    "one: it is put together from these for node %s", (unsigned long long)job->pieced_chunk,
		    job->pieced > 1 ? ", and others," : "", job->base.to.addr);
}
