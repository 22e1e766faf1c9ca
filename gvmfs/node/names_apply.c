// SPDX-License-Identifier: GPL-2.0-or-later
/* names_apply.c - see names_apply.h. */
#include "names_apply.h"

#include "base/log.h"
#include "names_job.h"
#include "names_orphan.h"
#include "names_save.h"
#include "names_state.h"
#include "pool.h"
#include "state/worker_state.h"

#include <stdlib.h>
#include <string.h>

/* False if a record would move chunks of a region that is open here, or names nodes that cannot be connected to. */
static bool may_move(struct worker *w, unsigned nr, const struct record *to)
{
	const struct record *from = &inode_disk(w->inodes, nr)->rec;

	if (!w->inodes->rt[nr] || !w->inodes->rt[nr]->opens)
		return true;
	for (unsigned i = 0; i < to->node_count; i++)
		if (!pool_node(w->pool, &to->nodes[i]))
			return false;
	if (!from->node_count)
		return true;
	/* A region's writer may move replicas to other nodes: readers then ask the new record's nodes. */
	if (to->replicas == from->replicas && to->slot_count == from->slot_count && to->view >= from->view)
		return true;
	if (to->node_count != from->node_count || to->slot_count != from->slot_count ||
	    to->replicas != from->replicas)
		return false;
	for (unsigned i = 0; i < to->node_count; i++)
		if (!gvm_id_equal(&to->nodes[i].incarnation, &from->nodes[i].incarnation))
			return false;
	return memcmp(to->slots, from->slots, to->slot_count * sizeof(*to->slots)) == 0;
}

/* A region that is attached here, or an inode that a task holds, is left alone. */
static bool may_apply(struct worker *w, unsigned nr)
{
	return !inode_disk(w->inodes, nr)->epoch && !(w->inodes->rt[nr] && w->inodes->rt[nr]->busy);
}

static void apply_gone(struct worker *w, unsigned nr)
{
	struct inode *inode = may_apply(w, nr) ? inode_get(w->inodes, nr) : NULL;

	if (!inode)
		return;
	inode_set_gone(w->inodes, nr);
	inode_reap(w->inodes, nr);
}

static bool same_slots(const struct record *a, const struct record *b)
{
	return a->view == b->view && a->node_count == b->node_count &&
	       !memcmp(a->slots, b->slots, a->slot_count * sizeof(*a->slots));
}

/* Of a region that is attached here, another host can only have changed name and folder, with a plain region's mark, mode and
 * owner. Our own next save has the rest; it is soon if the other host's record has older slots. */
static void apply_name(struct worker *w, unsigned nr, const struct record *rec)
{
	struct journal_inode *d = inode_disk(w->inodes, nr);
	struct replicas *r = inode_get(w->inodes, nr)->replicas;

	if (r && !same_slots(&d->rec, rec) && !d->view_saved)
		journal_publish64(&d->view_saved, d->rec.view);
	d->rec.mode = rec->mode;
	d->rec.uid = rec->uid;
	d->rec.gid = rec->gid;
	inode_set_name(w->inodes, nr, &rec->parent, rec->name, (d->rec.seal | rec->seal) & 1 ? d->rec.seal : rec->seal);
	journal_publish64(&d->rec.version, rec->version);
	journal_publish32(&d->times_owed, 1);
}

/* Takes the record over, but keeps what is ours and may not be saved yet: times that are newer, and that it is settled. */
static void apply_all(struct worker *w, unsigned nr, const struct record *rec)
{
	const struct journal_inode *d = inode_disk(w->inodes, nr);
	struct record changed = *rec;

	if (d->times_owed && d->rec.mtime_ns > rec->mtime_ns)
		changed.mtime_ns = d->rec.mtime_ns;
	if (d->times_owed && d->rec.ctime_ns > rec->ctime_ns)
		changed.ctime_ns = d->rec.ctime_ns;
	changed.settled |= d->rec.settled;
	inode_set_record(w->inodes, nr, &changed);
	journal_publish64(&inode_disk(w->inodes, nr)->view_saved, 0);
}

/* Applies one record of the nodes to the tree. */
static void apply_record(struct worker *w, const struct names_load_job *lj, const struct record *rec)
{
	int nr = inode_by_id(w->inodes, &rec->id);
	struct journal_inode *d;

	if (nr < 0) {
		/* A name that was deleted here while the nodes were being asked must not come back. */
		if (inode_was_reaped(w->inodes, &rec->id, lj->gone_count))
			return;
		if (rec->orphan)
			orphan_adopt(w, rec);
		else if (inode_alloc(w->inodes, rec) < 0)
			log_error(NULL, "more than %u files: %s is not shown", JOURNAL_INODES, rec->name);
		return;
	}
	d = inode_disk(w->inodes, (unsigned)nr);
	if (rec->version <= d->rec.version)
		return;
	if (!may_apply(w, (unsigned)nr)) {
		if (d->epoch && !inode_get(w->inodes, (unsigned)nr)->busy && rec->kind == d->rec.kind &&
		    !rec->orphan)
			apply_name(w, (unsigned)nr, rec);
		return;
	}
	if (rec->orphan) {
		d->rec.version = rec->version;
		apply_gone(w, (unsigned)nr);
		return;
	}
	if (rec->kind != d->rec.kind || !may_move(w, (unsigned)nr, rec)) {
		log_error(rec->name, "its new record is ignored: it would change its kind, move chunks of an "
					 "open region, or names unknown nodes");
		return;
	}
	apply_all(w, (unsigned)nr, rec);
	if (w->inodes->rt[nr])
		memset(w->inodes->rt[nr]->nodes, 0, sizeof(w->inodes->rt[nr]->nodes));
}

static void apply_entry(struct worker *w, const struct names_load_job *lj, const struct name_entry *e,
			struct record *room)
{
	int nr = inode_by_id(w->inodes, &e->key);

	if (!e->bytes) {
		if (nr > 0)
			apply_gone(w, (unsigned)nr);
		return;
	}
	/* Nothing new. Unpacking thousands of records would delay guests' faults. */
	if (nr > 0 && e->version <= inode_disk(w->inodes, (unsigned)nr)->rec.version)
		return;
	/* The id of all zeros is the root's, which has no record. */
	if (gvm_id_is_none(&e->key) || record_unpack(room, e->record, e->bytes) < 0) {
		log_error(NULL, "a record of the name table is damaged, or of a newer version; "
				"it is not shown");
		return;
	}
	room->id = e->key;
	room->table = e->table;
	room->born = e->born;
	room->version = e->version;
	apply_record(w, lj, room);
}

static void resave_done(struct worker *w, int result, void *arg)
{
	(void)result;
	inode_release(w->inodes, arg);
}

/* Looks for a record of ours that no node has. If it was born at or below a node's horizon, it was removed elsewhere
 * and the tombstone forgotten. Otherwise the nodes lost it by restarting, or our save was interrupted by a kill: saves
 * it. */
static void save_if_missing(struct worker *w, const struct names_known *known, unsigned nr)
{
	struct journal_inode *d = inode_disk(w->inodes, nr);
	struct inode *inode = d->use == INODE_FREE ? NULL : inode_get(w->inodes, nr);
	const struct name_entry *e;

	if (d->rec.kind == RECORD_GONE || !inode || inode->busy)
		return;
	e = names_list_find(&known->all, &d->rec.id);
	if (e && (!e->bytes || e->version >= d->rec.version))
		return;
	if (!e && d->rec.born &&
	    d->rec.born <= names_views_horizon(known->views, known->count, d->rec.table)) {
		apply_gone(w, nr);
		return;
	}
	inode->busy = true;
	names_save(w, inode, resave_done, inode);
}

void names_apply_begin(struct names_apply *apply, struct names_load_job *load)
{
	apply->load = load;
	apply->entry = 0;
	apply->nr = 1;
}

/* Applies one entry. False: nothing is left. */
static bool apply_one(struct worker *w, struct names_apply *apply)
{
	const struct names_load_job *lj = apply->load;

	if (apply->entry < lj->known->all.count) {
		apply_entry(w, lj, &lj->known->all.entry[apply->entry++], &apply->room);
		return true;
	}
	if (apply->nr >= w->inodes->end)
		return false;
	save_if_missing(w, lj->known, apply->nr);
	temporary_consider(w, apply->nr++);
	return true;
}

bool names_apply_some(struct worker *w, struct names_apply *apply, uint64_t until_ns)
{
	while (apply_one(w, apply))
		if (gvm_now_ns() > until_ns)
			return false;
	apply->load = NULL;
	return true;
}
