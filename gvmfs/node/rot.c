// SPDX-License-Identifier: GPL-2.0-or-later
/* rot.c - see rot.h. */
#include "rot.h"

#include "base/log.h"
#include "fetch.h"
#include "region.h"
#include "region_events.h"
#include "region_node.h"
#include "repair_job.h"
#include "replicas.h"
#include "replicas_state.h"
#include "state/sealing.h"
#include "state/seals.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void mend_next(struct worker *w);

/* The region of a place, if it is attached as it was, and has other copies. */
static struct inode *place_inode(struct worker *w, const struct rot_place *p)
{
	struct inode *inode = w->inodes->rt[p->nr];

	return inode && inode->disk->epoch == p->epoch && inode->replicas && !inode->replicas->closing ? inode : NULL;
}

static void first_remove(struct rot *rot)
{
	assert(rot->count);
	rot->count--;
	memmove(rot->waiting, rot->waiting + 1, rot->count * sizeof(*rot->waiting));
}

static void mend_complain(const struct inode *inode, const struct rot_place *p, int error)
{
	const struct record *rec = &inode->disk->rec;
	int node = record_node_find(rec, &p->node);

	log_warning(rec->name, "the rotten copy of chunk %llu on node %s stays as it is: %s",
		    (unsigned long long)p->chunk, node < 0 ? "?" : rec->nodes[node].addr,
		    error == -EBADMSG	 ? "not all of it verifies on any node" :
		    error == -EOPNOTSUPP ? "the node is of a version that cannot be given it once more" :
					   strerror(-error));
}

static void mend_done(struct job *job)
{
	struct repair_copy *mend = (struct repair_copy *)job;
	struct worker *w = mend->base.w;
	const struct rot_place *p = &w->rot->waiting[0];
	struct inode *inode = place_inode(w, p);

	if (inode && !job->result) {
		worker_count(w, inode, copies_mended, 1);
		repair_job_tell(mend, inode);
	} else if (inode && job->result != -ESTALE && job->result != -EREMCHG && /* (there it has been written since) */
		   !(job->result == -EBADMSG && rot_alone(w, inode, p->chunk, true))) {
		mend_complain(inode, p, job->result);
	}
	free(mend);
	first_remove(w->rot);
	mend_next(w);
}

/* Members of the view that answer, without the node itself: how many. */
static unsigned sources_find(struct worker *w, struct inode *inode, const struct rot_place *p, struct record_node *from)
{
	const struct record *rec = &inode->disk->rec;
	const struct record_slot *slot = &rec->slots[record_slot_of(rec, p->chunk)];
	uint8_t members = view_targets(replicas_slot(inode, p->chunk));
	unsigned sources = 0, node = (unsigned)record_node_find(rec, &p->node);

	for (unsigned i = 0; i < record_places(rec); i++)
		if (members >> i & 1 && slot->node[i] != node)
			region_node_place(w, inode, slot->node[i], &from[sources++]);
	return sources;
}

/* False: there is nothing to be done for it, or no memory. */
static bool mend_begin(struct worker *w, const struct rot_place *p)
{
	struct inode *inode = place_inode(w, p);
	int node = inode ? record_node_find(&inode->disk->rec, &p->node) : -1;
	uint64_t entry = inode ? inode->index[p->chunk] : 0;
	const struct seal_known *known;
	struct repair_copy *mend;

	if (node < 0 || !entry || entry & GVM_VERSION_ZERO)
		return false;
	/* Its slot may have moved to another node while the place waited. */
	if (record_replica_of(&inode->disk->rec, record_slot_of(&inode->disk->rec, p->chunk), (unsigned)node) < 0)
		return false;
	mend = calloc(1, sizeof(*mend));
	if (!mend)
		return false;
	mend->sources = sources_find(w, inode, p, mend->from);
	if (!mend->sources) {
		free(mend);
		rot_alone(w, inode, p->chunk, true);
		return false;
	}
	region_node_place(w, inode, (unsigned)node, &mend->from[mend->sources++]); /* it may have what all others lack */
	mend->base.w = w;
	mend->base.nr = p->nr;
	mend->base.epoch = p->epoch;
	mend->base.region = inode->disk->rec.id;
	mend->base.opts = w->opts;
	mend->base.sealed = region_sealer(w, inode);
	mend->base.index = inode->index;
	region_node_place(w, inode, (unsigned)node, &mend->base.to);
	mend->count = 1;
	mend->chunk[0] = p->chunk;
	mend->mends = true;
	mend->version = entry;
	known = sealing_known(inode, p->chunk);
	if (known)
		mend->known = *known;
	mend->base.job.work = repair_job_copy;
	mend->base.job.done = mend_done;
	jobs_submit(w->jobs, &mend->base.job);
	return true;
}

static void mend_next(struct worker *w)
{
	struct rot *rot = w->rot;

	while (rot->count && !mend_begin(w, &rot->waiting[0]))
		first_remove(rot);
}

static bool place_add(struct rot *rot, const struct rot_place *p)
{
	for (unsigned i = 0; i < rot->count; i++)
		if (rot->waiting[i].nr == p->nr && rot->waiting[i].chunk == p->chunk &&
		    gvm_id_equal(&rot->waiting[i].node, &p->node))
			return false;
	if (rot->count < ROT_WAITING)
		rot->waiting[rot->count++] = *p;
	return true;
}

void rot_found(struct worker *w, struct inode *inode, uint64_t chunk, const struct gvm_id *id, bool lost)
{
	const struct record *rec = &inode->disk->rec;
	const struct rot_place p = { .nr = inode->nr, .epoch = inode->disk->epoch, .chunk = chunk, .node = *id };
	int node = record_node_find(rec, id);
	struct record_node from[RECORD_PLACES];
	bool mends;

	if (node < 0)
		return;
	if (place_inode(w, &p) && rec->replicas > 1 && !sources_find(w, inode, &p, from))
		lost = true; /* the view has no other member */
	mends = !lost && p.epoch && rec->replicas > 1;
	if (mends && !place_add(w->rot, &p))
		return;
	worker_count(w, inode, copies_rotten, 1);
	if (lost)
		rot_alone(w, inode, chunk, true);
	else
		log_warning(rec->name, "ROTTEN: chunk %llu on node %s is not what was stored there: %s",
			    (unsigned long long)chunk, rec->nodes[node].addr,
			    mends ? "it is written there anew from another copy" : "another copy is read");
	if (mends && w->rot->count == 1)
		mend_next(w);
}

bool rot_alone(struct worker *w, struct inode *inode, uint64_t chunk, bool counted)
{
	bool news;

	if (!w->region_events->rotten(w, inode, chunk, &news))
		return false;
	if (news && !counted)
		worker_count(w, inode, copies_rotten, 1);
	if (news)
		log_warning(inode->disk->rec.name, "ROTTEN: no node has chunk %llu as it was stored: it is written there anew from "
			    "this host's memory", (unsigned long long)chunk);
	return true;
}

static void rot_read(struct fetches *fs, const struct fetch *f, const struct gvm_id *node, bool lost)
{
	struct worker *w = fs->owner;
	struct inode *inode = w->inodes->rt[f->nr];

	if (inode && gvm_id_equal(&inode->disk->rec.id, &f->what.region))
		rot_found(w, inode, f->what.chunk, node, lost);
}

void rot_init(struct worker *w)
{
	w->fetches->rotten = rot_read;
	w->fetches->owner = w;
}
