// SPDX-License-Identifier: GPL-2.0-or-later
/* region.c - see region.h. */
#include "region.h"

#include "base/log.h"
#include "jobs.h"
#include "owner.h"
#include "pool.h"
#include "region_delete.h"
#include "region_events.h"
#include "region_job.h"
#include "region_jobs.h"
#include "region_lease.h"
#include "options.h"
#include "region_node.h"
#include "replicas.h"
#include "replicas_state.h"
#include "state/seals.h"
#include "state/worker_state.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define REPORT_EVERY_NS 1000000000ull

bool region_is_attached(const struct inode *inode)
{
	return inode->disk->epoch != 0;
}

/* A job with a copy of what the journal has of the inode now; NULL: no memory. */
static struct region_job *region_job_new(struct worker *w, struct inode *inode, region_done_fn *done, void *arg,
					 void (*work)(struct job *, struct pool *), void (*end)(struct job *),
					 uint64_t size_bytes)
{
	struct region_job *rj = calloc(1, sizeof(*rj));

	if (!rj)
		return NULL;
	rj->job.work = work;
	rj->job.done = end;
	rj->w = w;
	rj->inode = inode;
	rj->done = done;
	rj->arg = arg;
	rj->rec = inode->disk->rec;
	rj->rec.view = inode_view_told(inode->disk);
	if (!rj->rec.node_count)
		rj->rec.seal = region_seal_of_new(w, inode); /* if it is made now */
	rj->sealed = inode->disk->rec.node_count ? region_sealer(w, inode) != NULL : rj->rec.seal & 1;
	rj->epoch = inode->disk->epoch;
	rj->opts = w->opts;
	rj->self = w->self;
	rj->force = w->opts->force;
	rj->unlinked = inode->disk->use == INODE_UNLINKED;
	rj->size_bytes = size_bytes;
	rj->index = inode->index;
	rj->replicas = inode_replicas(inode->disk, w->opts->replicas);
	rj->cut_version = inode->disk->cut_version;
	rj->room_owed = inode->disk->room_owed;
	rj->words = journal_views(w->journal, inode->nr);
	return rj;
}

static void region_start(struct worker *w, struct inode *inode, region_done_fn *done, void *arg,
			 void (*work)(struct job *, struct pool *), void (*end)(struct job *),
			 uint64_t size_bytes)
{
	struct region_job *rj = region_job_new(w, inode, done, arg, work, end, size_bytes);

	if (rj)
		jobs_submit(w->jobs, &rj->job);
	else
		done(w, inode, -ENOMEM, arg);
}

static void region_end(struct region_job *rj)
{
	rj->done(rj->w, rj->inode, rj->job.result, rj->arg);
	free(rj);
}

/* What a cut had left of it on the nodes is its size from now on. The record's version comes first: so it is saved. */
static void attach_cut(struct journal_inode *d, uint64_t size_bytes)
{
	journal_publish64(&d->rec.version, d->rec.version + 1);
	atomic_thread_fence(memory_order_release);
	journal_publish64(&d->rec.size_bytes, size_bytes);
}

static void attach_apply(struct region_job *rj)
{
	struct journal_inode *d = rj->inode->disk;
	bool settles = d->rec.replicas == 1 && (rj->roomy || record_has_unused(&d->rec));

	if (rj->rec.size_bytes < d->rec.size_bytes)
		attach_cut(d, rj->rec.size_bytes);
	d->failed = 0;
	/* A host that attached since our last attachment used an epoch in between. */
	if (d->last_epoch && d->last_epoch + 1 != rj->epoch)
		d->cache_stale = 1;
	/* Nor is it known then whether our record is the newest. */
	if (d->last_epoch + 1 != rj->epoch)
		journal_publish32(&d->room_owed, 0);
	journal_publish64(&d->cut_to_plus_1, 0);
	journal_publish32(&d->trims, (rj->roomy ? TRIMS_ROOM : 0u) | (settles ? TRIMS_SETTLE : 0u));
	rj->w->region_events->attached(rj->w, rj->inode);
	d->last_epoch = rj->epoch;
	inode_set_epoch(rj->w->inodes, rj->inode, rj->epoch);
	replicas_open(rj->w, rj->inode);
	region_lease(rj->w, rj->inode);
}

static void attach_end(struct job *job)
{
	struct region_job *rj = (struct region_job *)job;

	rj->w->region_events->forget(rj->w, rj->inode);
	if (job->result < 0)
		journal_index_clear(rj->w->journal, rj->inode->nr, 0);
	else
		attach_apply(rj);
	region_end(rj);
}

static int region_is_near(struct worker *w, const struct record *rec)
{
	for (unsigned i = 0; i < rec->node_count; i++) {
		if (pool_may_send(w->pool, &rec->nodes[i]))
			continue;
		log_error(rec->name,
			  "its node %s is beyond this host's loopback, and this mount does not seal, since its own nodes are "
			  "not: it needs --seal-key-file or --no-seal", rec->nodes[i].addr);
		return -EPERM;
	}
	return 0;
}

int region_can_read(struct worker *w, struct inode *inode)
{
	const struct record *rec = &inode->disk->rec;
	uint64_t own = w->journal->super->seal_id;

	region_seal_look(inode);
	if (!rec->node_count || rec->seal == own || (own ? !region_sealer(w, inode) : !(rec->seal & 1)))
		return region_is_near(w, rec);
	if (!own) {
		log_error(rec->name, "it is sealed (with key %016llx): this mount needs --seal-key-file with that key",
			  (unsigned long long)rec->seal);
		return -ENOKEY;
	}
	if (rec->seal & 1) {
		log_error(rec->name, "it is sealed with key %016llx, and this mount has key %016llx",
			  (unsigned long long)rec->seal, (unsigned long long)own);
		return -EKEYREJECTED;
	}
	if (rec->seal)
		log_error(rec->name, "it is not sealed, by the word of one who had another key than this mount, or of another name "
			  "or folder, or in a folder that nobody with this key has made: if a mount without the key has renamed "
			  "it, rename it back; if an older gvmfs has made it, a mount without a key reads it; else nodes have "
			  "exchanged names");
	else
		log_error(rec->name,
			  "it is not sealed, by its nodes' record, and nobody who has this mount's key has said so: if it was made "
			  "by a mount with --no-seal and no key, mount so; if it was sealed, nodes have forged the record");
	return rec->seal ? -EKEYREJECTED : -EPERM;
}

void region_attach(struct worker *w, struct inode *inode, region_done_fn *done, void *arg)
{
	int r = region_can_read(w, inode);

	if (!r)
		r = inode_know(w->inodes, inode);
	if (r < 0) {
		done(w, inode, r, arg);
		return;
	}
	journal_index_clear(w->journal, inode->nr, 0);
	region_start(w, inode, done, arg, region_job_attach, attach_end,
		     inode->disk->rec.size_bytes);
}

static void plain_end(struct job *job)
{
	region_end((struct region_job *)job);
}

static void take_by_force_work(struct job *job, struct pool *pool)
{
	((struct region_job *)job)->force = true;
	region_job_take(job, pool);
}

void region_take(struct worker *w, struct inode *inode, bool force, region_done_fn *done, void *arg)
{
	region_start(w, inode, done, arg, force ? take_by_force_work : region_job_take, plain_end,
		     inode->disk->rec.size_bytes);
}

/* Detaches, and frees the index, which only a writer needs. It checks that the journal has no epoch any more: with one,
 * a successor would still be the writer, and need the index. */
static void detach_work(struct job *job, struct pool *pool)
{
	const struct region_job *rj = (const struct region_job *)job;
	const _Atomic uint64_t *epoch = (const _Atomic uint64_t *)&rj->inode->disk->epoch;

	region_job_detach(job, pool);
	if (!atomic_load(epoch))
		journal_index_give_back(rj->w->journal, rj->inode->nr, 0);
}

/* With journal wbufs left, a flush may still read the index: then the next attachment clears it. */
static void detach(struct worker *w, struct inode *inode, region_done_fn *done, void *arg)
{
	struct journal_inode *d = inode->disk;
	struct region_job *rj = region_job_new(w, inode, done, arg, inode->wbufs ? region_job_detach : detach_work,
					       plain_end, d->rec.size_bytes);

	if (rj)
		rj->tidies = replicas_are_untidy(inode);
	if (rj)
		rj->room_owed &= !d->failed && !replicas_are_moving(inode);
	for (unsigned i = 0; rj && (rj->tidies || rj->room_owed) && i < d->rec.node_count; i++)
		rj->down[i] = gvm_conn_state(region_node_conn(w, inode, i)) != GVM_CONN_UP &&
			      pool_is_silent(w->pool, &d->rec.nodes[i]);
	inode->empty_epoch = !inode->wbufs && inode_is_empty(w->inodes, inode->nr) ? d->epoch : 0;
	inode_set_epoch(w->inodes, inode, 0);
	replicas_close(inode);
	w->region_events->detached(w, inode);
	inode->held_at_ns = 0;
	inode->held_known = false;
	w->region_events->forget(w, inode);
	/* Only now that the journal says that the region is not attached: detach_work() reads that. */
	if (rj)
		jobs_submit(w->jobs, &rj->job);
	else
		done(w, inode, -ENOMEM, arg);
}

/* A detachment that waits for replicas_leave(). */
struct detaching {
	struct worker *w;
	struct inode *inode;
	region_done_fn *done;
	void *arg;
};

static void replicas_left(void *arg)
{
	struct detaching *g = arg;

	detach(g->w, g->inode, g->done, g->arg);
	free(g);
}

void region_detach(struct worker *w, struct inode *inode, region_done_fn *done, void *arg)
{
	struct detaching *g = malloc(sizeof(*g));

	if (g)
		*g = (struct detaching){ w, inode, done, arg };
	if (g && replicas_leave(inode, replicas_left, g))
		return;
	free(g);
	detach(w, inode, done, arg);
}

/*
 * These steps reach the journal one by one, and the worker may be killed after any of them. The size comes last:
 * until then, the kernel's resent request does all of them again. The record's version comes
 * first: a record that differs from the nodes' then has a version that they do not have, and is saved.
 */
static void create_end(struct job *job)
{
	struct region_job *rj = (struct region_job *)job;
	struct record *rec = &rj->inode->disk->rec;

	rj->w->region_events->forget(rj->w, rj->inode);
	if (!job->result) {
		journal_publish64(&rec->version, rec->version + 1);
		rec->view = rj->rec.view;
		rec->seal = rj->rec.seal;
		journal_publish32(&rj->inode->disk->found, rec->seal & 1 || !rj->w->sealer ? SEAL_FOUND_NOTHING : SEAL_FOUND_PLAIN);
		rec->slot_count = rj->rec.slot_count;
		rec->replicas = rj->rec.replicas;
		rec->spare = 0;
		memcpy(rec->nodes, rj->rec.nodes, sizeof(rec->nodes));
		memcpy(rec->slots, rj->rec.slots, sizeof(rec->slots));
		atomic_thread_fence(memory_order_release);
		rec->node_count = rj->rec.node_count;
		atomic_thread_fence(memory_order_release);
		attach_apply(rj);
		journal_publish64(&rec->size_bytes, rj->size_bytes);
	}
	region_end(rj);
}

void region_sized(struct worker *w, struct inode *inode, uint64_t size_bytes)
{
	struct record *rec = &inode->disk->rec;

	journal_publish64(&rec->version, rec->version + 1);
	atomic_thread_fence(memory_order_release);
	if (record_chunks(size_bytes) < record_chunks(rec->size_bytes))
		journal_index_clear(w->journal, inode->nr, record_chunks(size_bytes));
	w->region_events->forget(w, inode);
	journal_publish64(&rec->size_bytes, size_bytes);
	journal_publish64(&inode->disk->cut_to_plus_1, 0);
	replicas_resized(inode);
}

static void resize_end(struct job *job)
{
	struct region_job *rj = (struct region_job *)job;

	if (!job->result && rj->size_bytes > rj->inode->disk->rec.size_bytes)
		region_sized(rj->w, rj->inode, rj->size_bytes);
	if (!rj->room_owed)
		journal_publish32(&rj->inode->disk->room_owed, 0);
	region_end(rj);
}

static void trim_end(struct job *job)
{
	struct region_job *rj = (struct region_job *)job;

	if (!rj->room_owed)
		journal_publish32(&rj->inode->disk->room_owed, 0);
	replicas_resized(rj->inode); /* a move that has begun meanwhile has got its room taken away */
	region_end(rj);
}

bool region_nodes_are_up(struct worker *w, struct inode *inode)
{
	const struct record *rec = &inode->disk->rec;

	for (unsigned i = 0; i < rec->node_count; i++)
		if (record_node_is_used(rec, i) && gvm_conn_state(region_node_conn(w, inode, i)) != GVM_CONN_UP)
			return false;
	return true;
}

bool region_may_trim(struct worker *w, struct inode *inode)
{
	return region_is_attached(inode) && !inode->disk->failed && !replicas_are_moving(inode) && region_nodes_are_up(w, inode);
}

void region_trim(struct worker *w, struct inode *inode, region_done_fn *done, void *arg)
{
	region_start(w, inode, done, arg, region_job_trim, trim_end, inode->disk->rec.size_bytes);
}

void region_reach(struct worker *w, struct inode *inode, region_done_fn *done, void *arg)
{
	region_start(w, inode, done, arg, region_job_reach, plain_end, inode->disk->rec.size_bytes);
}

/* After a shrink, the chunks behind the new end are zeros on all nodes, and later writes there take versions above
 * cut_version, whatever the index has. So their entries are freed here, where no fault waits, and region_sized() finds
 * few left. */
static void resize_work(struct job *job, struct pool *pool)
{
	struct region_job *rj = (struct region_job *)job;

	region_job_resize(job, pool);
	if (!job->result && rj->discard_version)
		journal_index_give_back(rj->w->journal, rj->inode->nr, record_chunks(rj->size_bytes));
}

/* Whether it may become what it is to be, now that it gets a size. */
static int region_may_begin(struct worker *w, struct inode *inode)
{
	const struct journal_inode *d = inode->disk;

	if (region_is_sealed(w, inode) || d->use == INODE_UNLINKED || folder_is_marked(w, &d->rec.parent))
		return 0;
	log_error(d->rec.name, "it would not be sealed, and nobody who has this mount's key has made its folder, or given it the "
		  "name that it has: no mount with the key would open it there");
	return -EPERM;
}

void region_resize(struct worker *w, struct inode *inode, uint64_t size_bytes, region_done_fn *done,
		   void *arg)
{
	int r;

	if (inode->disk->rec.node_count) {
		/* Before a node is asked: it may keep the room, and its answer be lost, or this worker die. */
		if (size_bytes > inode->disk->rec.size_bytes)
			journal_publish32(&inode->disk->room_owed, 1);
		region_start(w, inode, done, arg, resize_work, resize_end, size_bytes);
		return;
	}
	r = region_may_begin(w, inode);
	if (!r)
		r = inode_know(w->inodes, inode);
	if (r < 0) {
		done(w, inode, r, arg);
		return;
	}
	journal_index_clear(w->journal, inode->nr, 0);
	region_start(w, inode, done, arg, region_job_create, create_end, size_bytes);
}

static void delete_work(struct job *job, struct pool *pool)
{
	const struct region_job *rj = (const struct region_job *)job;

	region_job_delete(job, pool);
	journal_index_give_back(rj->w->journal, rj->inode->nr, 0); /* before the front reaps the inode */
}

void region_delete(struct worker *w, struct inode *inode, region_done_fn *done, void *arg)
{
	region_start(w, inode, done, arg, delete_work, plain_end,
		     inode->disk->rec.size_bytes);
}

static void stat_end(struct job *job)
{
	struct region_job *rj = (struct region_job *)job;

	for (unsigned i = 0; i < rj->rec.node_count; i++)
		if (rj->asked[i])
			pool_note(rj->w->pool, &rj->rec.nodes[i], rj->quiet[i]);
	inode_held_set(rj->inode, job->result, rj->held_bytes, rj->seen_epoch);
	if (!job->result)
		rj->inode->seen_epoch = rj->seen_epoch;
	if (!job->result || rj->writer >= GVM_WRITER_AWAY) /* for a live writer one node's answer is enough */
		rj->inode->writer = rj->writer;
	region_end(rj);
}

void region_stat(struct worker *w, struct inode *inode, region_done_fn *done, void *arg)
{
	region_start(w, inode, done, arg, region_job_stat, stat_end,
		     inode->disk->rec.size_bytes);
}

void region_stat_briefly(struct worker *w, struct inode *inode, region_done_fn *done, void *arg)
{
	struct region_job *rj = region_job_new(w, inode, done, arg, region_job_stat, stat_end,
					       inode->disk->rec.size_bytes);

	if (!rj) {
		done(w, inode, -ENOMEM, arg);
		return;
	}
	for (unsigned i = 0; i < rj->rec.node_count; i++)
		rj->quiet[i] = pool_is_silent(w->pool, &rj->rec.nodes[i]);
	jobs_submit(w->jobs, &rj->job);
}

static const char *error_text(int error)
{
	switch (error) {
	case -ENOMEDIUM:
		return "the node has LOST it";
	case -ESTALE:
		return "the node holds an older version: LOST";
	case -EKEYREVOKED:
		return "FENCED: another host has taken the region";
	case -EBADMSG:
		return "CORRUPT: a checksum does not match";
	case -ENODATA:
		return "LOST: pages that no node could read any more; they are errors until they are written";
	case -ENOSPC:
		return "the node is full, in spite of its promise";
	case -EBUSY:
		return "another host has it open for writing";
	case -ETIMEDOUT:
		return "no answer within --timeout";
	case -EHOSTDOWN:
		return "one of its nodes does not answer, or has LOST its copy, which may have been newer; no writer "
		       "has recorded since that it goes on without that node";
	}
	return strerror(-error);
}

#define NODES_TEXT (RECORD_PLACES * (RECORD_ADDR_MAX + 8))

/* The addresses of the nodes that have a replica of the chunk. */
static const char *nodes_text(const struct record *rec, uint64_t chunk, char buf[NODES_TEXT])
{
	const struct record_slot *slot = &rec->slots[record_slot_of(rec, chunk)];
	size_t n = 0;

	if (!rec->node_count)
		return "?";
	for (uint8_t left = record_filled(rec, record_slot_of(rec, chunk)); left; left &= (uint8_t)(left - 1))
		n += (size_t)snprintf(buf + n, NODES_TEXT - n, n ? " and %s" : "%s",
				      rec->nodes[slot->node[__builtin_ctz(left)]].addr);
	return buf;
}

/* Apart from all else that there is to report, so that it is not left out. */
static void lost_report(struct inode *inode, uint64_t chunk, const char *what, uint64_t now)
{
	char more[64] = "";

	if (inode->lost_ns && now - inode->lost_ns < REPORT_EVERY_NS) {
		inode->lost_untold++;
		return;
	}
	if (inode->lost_untold)
		snprintf(more, sizeof(more), " (and %u more since the last such line)", inode->lost_untold);
	inode->lost_ns = now;
	inode->lost_untold = 0;
	log_error(inode->disk->rec.name, "%s of chunk %llu, from byte %llu on: %s%s", what, (unsigned long long)chunk,
		  (unsigned long long)chunk * GVM_CHUNK_BYTES, error_text(-ENODATA), more);
}

void region_report(struct worker *w, struct inode *inode, uint64_t chunk, const char *what, int error)
{
	struct journal_inode *d = inode->disk;
	uint64_t now = gvm_now_ns();
	char more[64] = "", nodes[NODES_TEXT];

	if (error == -EKEYREVOKED) {
		region_fail(w, inode, chunk, error);
		return;
	}
	if (error == -ENODATA) {
		lost_report(inode, chunk, what, now);
		return;
	}
	if (now - inode->reported_ns < REPORT_EVERY_NS) {
		inode->unreported++;
		return;
	}
	if (error == -EHOSTDOWN || (error == -ENOMEDIUM && !d->epoch))
		w->names_at_ns = 0; /* its record may have changed: the next look-up reads it again */
	if (inode->unreported)
		snprintf(more, sizeof(more), " (and %u more since the last such line)",
			 inode->unreported);
	log_error(d->rec.name, "%s of chunk %llu on node %s: %s%s", what, (unsigned long long)chunk,
		  nodes_text(&d->rec, chunk, nodes),
		  error == -EBADMSG && region_sealer(w, inode) ?
			  "REFUSED: it is not what this host sealed last (damaged, changed or an old copy)" :
			  error_text(error),
		  more);
	inode->reported_ns = now;
	inode->unreported = 0;
}

void region_fail(struct worker *w, struct inode *inode, uint64_t chunk, int error)
{
	struct journal_inode *d = inode->disk;
	if (d->failed)
		return;
	journal_publish32(&d->failed, (uint32_t)error);
	log_loss(d->rec.name,
		 "FAILED: chunk %llu: %s. Every further access is an I/O error; %u chunks written "
		 "since the last acknowledgement are lost",
		 (unsigned long long)chunk, error_text(error), inode->wbufs);
	w->region_events->failed(w, inode, error_text(error));
}
