// SPDX-License-Identifier: GPL-2.0-or-later
/* names.c - see names.h. */
#include "names.h"

#include "log.h"
#include "names_job.h"
#include "region.h"
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FRESH_NS  1000000000ull
#define ORPHAN_NS 60000000000ull

static struct names_job *job_make(struct worker *w, names_done_fn *done, void *arg)
{
	struct names_job *nj = calloc(1, sizeof(*nj));

	if (nj) {
		nj->w = w;
		nj->done = done;
		nj->arg = arg;
	}
	return nj;
}

static void save_end(struct job *job)
{
	struct names_job *nj = (struct names_job *)job;

	/* A node may have what the others did not take. Should the caller go back to what was before,
	 * that is newer still, and the next refresh saves it. */
	worker_disk(nj->w, nj->inode)->rec.version = nj->version + (job->result < 0);
	nj->done(nj->w, job->result, nj->arg);
	free(nj);
}

void names_save(struct worker *w, struct inode *inode, names_done_fn *done, void *arg)
{
	struct journal_inode *d = worker_disk(w, inode);
	struct names_job *nj = job_make(w, done, arg);

	if (!nj) {
		done(w, -ENOMEM, arg);
		return;
	}
	nj->job.work = names_job_save;
	nj->job.done = save_end;
	nj->inode = inode;
	nj->key = d->rec.id;
	nj->version = ++d->rec.version;
	nj->record_bytes = record_pack(&d->rec, nj->record);
	jobs_submit(&w->jobs, &nj->job);
}

static void adopt_orphan_end(struct worker *w, struct inode *inode, int result, void *arg);

/* If its writer is gone without having closed it, nobody can reach it any more. */
static void adopt_orphan(struct worker *w, const struct record *rec)
{
	int nr = inode_alloc(&w->inodes, rec);
	struct inode *inode;

	if (nr < 0)
		return;
	inode = inode_get(&w->inodes, (unsigned)nr);
	journal_publish32(&worker_disk(w, inode)->use, INODE_UNLINKED);
	inode->busy = true;
	region_stat(w, inode, adopt_orphan_end, NULL);
}

static void orphan_gone(struct worker *w, int result, void *arg)
{
	(void)result;
	inode_release(&w->inodes, arg);
}

static void orphan_deleted(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)result;
	(void)arg;
	worker_disk(w, inode)->rec.kind = RECORD_GONE;
	names_save(w, inode, orphan_gone, inode);
}

/*
 * Whether an orphan has been without a writer for long. At one look that tells nothing: to the nodes
 * a writer is gone for the moment that its network fails or its worker is replaced.
 */
static bool orphan_is_abandoned(struct worker *w, const struct gvm_id *id, bool writer_alive)
{
	struct names_orphan *o = w->orphans, *oldest = o;
	uint64_t now = gvm_now_ns();

	for (; o < w->orphans + NAMES_ORPHANS && !(o->since_ns && gvm_id_equal(&o->id, id)); o++)
		if (o->since_ns < oldest->since_ns)
			oldest = o;
	if (o == w->orphans + NAMES_ORPHANS) {
		if (!writer_alive)
			*oldest = (struct names_orphan){ .id = *id, .since_ns = now };
		return false;
	}
	if (!writer_alive && now - o->since_ns < ORPHAN_NS)
		return false;
	o->since_ns = 0;
	return !writer_alive;
}

static void adopt_orphan_end(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)arg;
	if (result == 0 &&
	    orphan_is_abandoned(w, &worker_disk(w, inode)->rec.id, inode->writer_alive)) {
		region_delete(w, inode, orphan_deleted, NULL);
		return;
	}
	/* Still in use on another host, or not to be told: the next refresh looks again. */
	journal_publish32(&worker_disk(w, inode)->use, INODE_FREE);
	inode_release(&w->inodes, inode);
}

/* False if a record would put chunks elsewhere that somebody here has open, or where nobody is. */
static bool may_move(struct worker *w, unsigned nr, const struct record *to)
{
	const struct record *from = &inode_disk(&w->inodes, nr)->rec;

	if (!w->inodes.rt[nr] || !w->inodes.rt[nr]->opens)
		return true;
	for (unsigned i = 0; i < to->node_count; i++)
		if (!pool_node(&w->pool, &to->nodes[i]))
			return false;
	if (!from->node_count)
		return true;
	if (to->node_count != from->node_count || to->slot_count != from->slot_count)
		return false;
	for (unsigned i = 0; i < to->node_count; i++)
		if (!gvm_id_equal(&to->nodes[i].incarnation, &from->nodes[i].incarnation))
			return false;
	return memcmp(to->slots, from->slots, to->slot_count * sizeof(*to->slots)) == 0;
}

/* Applies one record of the nodes to the tree. What we hold open or are changing is left alone. */
static void apply_record(struct worker *w, const struct names_job *nj, const struct record *rec)
{
	int nr = inode_by_id(&w->inodes, &rec->id);
	struct journal_inode *d;

	if (nr < 0) {
		/* What was deleted here while the nodes were asked does not come back. */
		if (rec->kind == RECORD_GONE ||
		    inode_was_reaped(&w->inodes, &rec->id, nj->gone_count))
			return;
		if (rec->orphan)
			adopt_orphan(w, rec);
		else if (inode_alloc(&w->inodes, rec) < 0)
			log_error(NULL, "more than %u files: %s is not shown", JOURNAL_INODES, rec->name);
		return;
	}
	d = inode_disk(&w->inodes, (unsigned)nr);
	if (rec->version <= d->rec.version || d->epoch || (w->inodes.rt[nr] && w->inodes.rt[nr]->busy))
		return;
	if (rec->kind == RECORD_GONE || rec->orphan) {
		/* Whoever has it open here asks the nodes on, until they say LOST: where it lies is
		 * not forgotten, since no nodes would mean zeros. */
		d->rec.version = rec->version;
		d->rec.kind = RECORD_GONE;
		journal_publish32(&d->use, INODE_UNLINKED);
		inode_reap(&w->inodes, (unsigned)nr);
		return;
	}
	if (rec->kind != d->rec.kind || !may_move(w, (unsigned)nr, rec)) {
		log_error(rec->name, "its record was changed in a way that cannot be; it is not used");
		return;
	}
	d->rec = *rec;
	if (w->inodes.rt[nr])
		memset(w->inodes.rt[nr]->nodes, 0, sizeof(w->inodes.rt[nr]->nodes));
}

static void resave_done(struct worker *w, int result, void *arg)
{
	(void)result;
	inode_release(&w->inodes, arg);
}

/* Records of ours that no node had (they all restarted), or a change cut short by a kill. */
static void save_missing(struct worker *w, const struct names_job *nj)
{
	for (unsigned nr = 1; nr < w->inodes.end; nr++) {
		struct journal_inode *d = inode_disk(&w->inodes, nr);
		struct inode *inode = inode_get(&w->inodes, nr);
		const struct name_entry *e;

		if (d->use == INODE_FREE || d->rec.kind == RECORD_GONE || !inode || inode->busy)
			continue;
		e = names_job_find(nj, &d->rec.id);
		if (e && e->version >= d->rec.version)
			continue;
		inode->busy = true;
		names_save(w, inode, resave_done, inode);
	}
}

static void load_end(struct job *job)
{
	struct names_job *nj = (struct names_job *)job;
	struct worker *w = nj->w;
	struct record *rec = malloc(sizeof(*rec));

	if (!rec && !job->result)
		job->result = -ENOMEM;
	for (size_t i = 0; i < nj->count; i++) {
		struct name_entry *e = &nj->entries[i];

		/* The id of all zeros is the root's, which has no record. */
		if (!job->result &&
		    (gvm_id_is_none(&e->key) || record_unpack(rec, e->record, e->bytes) < 0)) {
			log_error(NULL, "a record of the name table is damaged, or of a newer version; "
					"it is not shown");
		} else if (!job->result) {
			rec->id = e->key;
			rec->version = e->version;
			apply_record(w, nj, rec);
		}
		free(e->record);
	}
	if (!job->result) {
		w->names_at_ns = gvm_now_ns();
		save_missing(w, nj);
	}
	free(rec);
	nj->done(w, job->result, nj->arg);
	free(nj->entries);
	free(nj);
}

void names_refresh(struct worker *w, bool once, names_done_fn *done, void *arg)
{
	struct names_job *nj = job_make(w, done, arg);

	if (!nj) {
		done(w, -ENOMEM, arg);
		return;
	}
	nj->job.work = names_job_load;
	nj->job.done = load_end;
	nj->once = once;
	nj->gone_count = w->inodes.gone_count;
	jobs_submit(&w->jobs, &nj->job);
}

bool names_are_fresh(struct worker *w)
{
	return w->names_at_ns && gvm_now_ns() - w->names_at_ns < FRESH_NS;
}
