// SPDX-License-Identifier: GPL-2.0-or-later
/* names.c - see names.h. */
#include "names.h"

#include "base/log.h"
#include "jobs.h"
#include "names_job.h"
#include "owner.h"
#include "pool.h"
#include "region.h"
#include "state/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FRESH_NS      1000000000ull
#define ORPHAN_NS     60000000000ull
#define REKEYED_MAX   8
#define ROUND_NS      10000000000ull /* from round to round where there is little to forget */
#define ROUND_MANY_NS 1000000000ull
#define ROUND_MANY    1024
#define SAY_NS	      60000000000ull

static void clock_hear(struct worker *w, uint64_t number)
{
	if (number > w->names->clock)
		w->names->clock = number;
}

static void save_start(struct worker *w, struct inode *inode, unsigned rekeyed, bool gives_way,
		       names_done_fn *done, void *arg);

/* If no table is known, a new one: no node has dropped tombstones of it. */
static uint64_t names_table(struct worker *w)
{
	if (!w->names->table && getrandom(&w->names->table, sizeof(w->names->table), 0) < 0)
		w->names->table = w->journal->super->client;
	return w->names->table;
}


/* It is in no folder any more. What is open here asks the nodes on, until they say LOST: where it lies
 * is not forgotten, since no nodes would mean zeros. */
static void inode_is_gone(struct worker *w, struct inode *inode)
{
	struct journal_inode *d = inode->disk;

	d->rec.kind = RECORD_GONE;
	inode_set_use(w->inodes, inode->nr, INODE_UNLINKED);
}

/* The name's birth was overtaken by a fence: nothing of it is there (any more), and its id may stand for
 * something forgotten. The journal has the new one before anything is sent. */
static bool inode_rekey(struct worker *w, struct inode *inode)
{
	struct record *rec = &inode->disk->rec;
	struct gvm_id id;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return false;
	rec->id = id;
	inode_set_name(w->inodes, inode->nr, &rec->parent, rec->name);
	rec->born = rec->version = 0;
	return true;
}

static void save_end(struct job *job)
{
	struct names_save_job *sj = (struct names_save_job *)job;
	struct worker *w = sj->w;
	struct journal_inode *d = sj->inode->disk;
	int r = job->result;

	clock_hear(w, sj->clock);
	clock_hear(w, sj->put.version);
	if (r == -EAGAIN && sj->rekeyed < REKEYED_MAX && inode_rekey(w, sj->inode)) {
		save_start(w, sj->inode, sj->rekeyed + 1, false, sj->done, sj->arg);
		free(sj);
		return;
	}
	/* A node may have what the others did not take. Should the caller go back to what was before,
	 * that is newer still, and the next refresh saves it. */
	d->rec.version = sj->put.version + (r < 0);
	if (r < 0)
		journal_publish32(&d->times_owed, 1);
	if (r == -EIDRM && d->rec.orphan)
		r = 0; /* that is what was wanted */
	if (r == -EIDRM) {
		if (!d->epoch)
			inode_is_gone(w, sj->inode);
		r = -ESTALE;
	}
	sj->done(w, r == -EAGAIN ? -EBUSY : r, sj->arg);
	free(sj);
}

/* A save for the times alone: its failure changes nothing, unless it is not known to have failed
 * everywhere. What was saved since has all that this had. */
static void save_times_end(struct job *job)
{
	struct names_save_job *sj = (struct names_save_job *)job;
	struct worker *w = sj->w;
	struct journal_inode *d = sj->inode->disk;
	int r = job->result;

	clock_hear(w, sj->clock);
	clock_hear(w, sj->put.version);
	if (r < 0 && d->rec.version == sj->put.version)
		d->rec.version = r == -ESTALE ? sj->put.version - 1 : sj->put.version + 1;
	if (r < 0)
		journal_publish32(&d->times_owed, 1);
	sj->done(w, r, sj->arg);
	free(sj);
}

static void save_start(struct worker *w, struct inode *inode, unsigned rekeyed, bool gives_way,
		       names_done_fn *done, void *arg)
{
	struct record *rec = &inode->disk->rec;
	struct names_save_job *sj = calloc(1, sizeof(*sj));
	uint64_t version = rec->version + 1;

	if (!sj) {
		done(w, -ENOMEM, arg);
		return;
	}
	sj->creates = !rec->born;
	if (sj->creates && version <= w->names->clock)
		version = w->names->clock + 1;
	if (version < rec->born)
		version = rec->born; /* a predecessor was killed between the two lines below */
	if (sj->creates) {
		rec->table = names_table(w);
		journal_publish64(&rec->born, version);
	}
	journal_publish64(&rec->version, version);
	clock_hear(w, version);
	sj->job.work = names_job_save;
	sj->job.done = gives_way ? save_times_end : save_end;
	sj->gives_way = gives_way;
	sj->w = w;
	sj->done = done;
	sj->arg = arg;
	sj->inode = inode;
	sj->rekeyed = rekeyed;
	sj->put = (struct gvm_name_put_req){
		.key = rec->id, .table = rec->table, .born = rec->born, .version = version
	};
	if (rec->kind != RECORD_GONE)
		sj->record_bytes = record_pack(rec, sj->record);
	inode->disk->times_owed = 0;
	jobs_submit(w->jobs, &sj->job);
}

void names_save(struct worker *w, struct inode *inode, names_done_fn *done, void *arg)
{
	const struct record *rec = &inode->disk->rec;

	if (rec->kind == RECORD_GONE && !rec->born)
		done(w, 0, arg); /* no node knows of it */
	else
		save_start(w, inode, 0, false, done, arg);
}

void names_save_times(struct worker *w, struct inode *inode, names_done_fn *done, void *arg)
{
	if (inode->disk->rec.born)
		save_start(w, inode, 0, true, done, arg);
	else
		done(w, -EBUSY, arg); /* it is just being made */
}

static void adopt_orphan_end(struct worker *w, struct inode *inode, int result, void *arg);
static void orphan_deleted(struct worker *w, struct inode *inode, int result, void *arg);

/* An unlinked region whose writer has ended without closing it: no program can reach it any more. */
static void adopt_orphan(struct worker *w, const struct record *rec)
{
	int nr = inode_alloc(w->inodes, rec);
	struct inode *inode;

	if (nr < 0)
		return;
	inode = inode_get(w->inodes, (unsigned)nr);
	inode_set_use(w->inodes, (unsigned)nr, INODE_UNLINKED);
	inode->busy = true;
	region_stat(w, inode, adopt_orphan_end, NULL);
}

/*
 * Whether an orphan has been without a writer for long. At one look that tells nothing: to the nodes
 * a writer is gone for the moment that its network fails or its worker is replaced.
 */
static bool orphan_is_abandoned(struct worker *w, const struct gvm_id *id, uint8_t writer)
{
	bool writer_alive = writer >= GVM_WRITER_AWAY;
	/* Of a writer that has not given it up, the nodes are to have been told how long it keeps it. */
	uint64_t wait_ns = writer == GVM_WRITER_LAPSED ? w->opts->unlinked_lease_s * 1000000000ull : ORPHAN_NS;
	struct names_orphan *o = w->names->orphans, *oldest = o;
	uint64_t now = gvm_now_ns();

	for (; o < w->names->orphans + NAMES_ORPHANS && !(o->since_ns && gvm_id_equal(&o->id, id)); o++)
		if (o->since_ns < oldest->since_ns)
			oldest = o;
	if (o == w->names->orphans + NAMES_ORPHANS) {
		if (!writer_alive)
			*oldest = (struct names_orphan){ .id = *id, .since_ns = now };
		return false;
	}
	if (!writer_alive && now - o->since_ns < wait_ns)
		return false;
	o->since_ns = 0;
	return !writer_alive;
}

/* That a process is gone is certain. That a host has started again is as good as what tells hosts apart. */
static bool temporary_is_abandoned(struct worker *w, const struct inode *inode)
{
	const struct record *rec = &inode->disk->rec;

	if (gvm_id_equal(&rec->owner.boot, &w->self.boot))
		return inode->writer < GVM_WRITER_AWAY;
	return orphan_is_abandoned(w, &rec->id, inode->writer);
}

/* Nobody can have it any more, but as a file of another host that reads it. */
static void temporary_looked(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct journal_inode *d = inode->disk;

	(void)arg;
	if (result < 0 || !temporary_is_abandoned(w, inode) || inode->opens) {
		inode_release(w->inodes, inode);
		return;
	}
	log_info(d->rec.name, "its launcher and its mount are gone: this temporary region is removed");
	d->rec.orphan = 1;
	inode_set_use(w->inodes, inode->nr, INODE_UNLINKED);
	region_delete(w, inode, orphan_deleted, NULL);
}

/* A temporary region that a mount of this host has left. */
static void temporary_consider(struct worker *w, unsigned nr)
{
	const struct journal_inode *d = inode_disk(w->inodes, nr);
	struct inode *inode;

	if (d->use != INODE_USED || !d->rec.temporary || d->epoch ||
	    !owner_is_dead(&d->rec.owner, &w->self))
		return;
	inode = inode_get(w->inodes, nr);
	if (!inode || inode->busy || inode->opens || inode->resident || inode->attaching)
		return;
	inode->busy = true;
	inode->writer = GVM_WRITER_NONE;
	region_stat(w, inode, temporary_looked, NULL);
}

static void orphan_gone(struct worker *w, int result, void *arg)
{
	(void)result;
	inode_release(w->inodes, arg);
}

static void orphan_deleted(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)result;
	(void)arg;
	inode->disk->rec.kind = RECORD_GONE;
	names_save(w, inode, orphan_gone, inode);
}

static void adopt_orphan_end(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)arg;
	if ((!result || result == -ENOMEDIUM) && /* the nodes have removed it */
	    orphan_is_abandoned(w, &inode->disk->rec.id, inode->writer)) {
		region_delete(w, inode, orphan_deleted, NULL);
		return;
	}
	/* Still in use on another host, or not to be told: the next refresh looks again. */
	inode_set_use(w->inodes, inode->nr, INODE_FREE);
	inode_release(w->inodes, inode);
}

/* False if a record would move chunks of a region that is open here, or names nodes unknown to this mount. */
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
	if (to->node_count != from->node_count || to->slot_count != from->slot_count)
		return false;
	for (unsigned i = 0; i < to->node_count; i++)
		if (!gvm_id_equal(&to->nodes[i].incarnation, &from->nodes[i].incarnation))
			return false;
	return memcmp(to->slots, from->slots, to->slot_count * sizeof(*to->slots)) == 0;
}

/* What is open for writing here, or under a change, is left alone. */
static bool may_apply(struct worker *w, unsigned nr)
{
	return !inode_disk(w->inodes, nr)->epoch && !(w->inodes->rt[nr] && w->inodes->rt[nr]->busy);
}

static void apply_gone(struct worker *w, unsigned nr)
{
	struct inode *inode = may_apply(w, nr) ? inode_get(w->inodes, nr) : NULL;

	if (!inode)
		return;
	inode_is_gone(w, inode);
	inode_reap(w->inodes, nr);
}

/* Of a region that we write, another host can only have changed what it is called and whose it is. (Our own
 * next save says the rest.) */
static void apply_name(struct worker *w, unsigned nr, const struct record *rec)
{
	struct journal_inode *d = inode_disk(w->inodes, nr);

	d->rec.mode = rec->mode;
	d->rec.uid = rec->uid;
	d->rec.gid = rec->gid;
	inode_set_name(w->inodes, nr, &rec->parent, rec->name);
	journal_publish64(&d->rec.version, rec->version);
	journal_publish32(&d->times_owed, 1);
}

/* What is not saved yet of the times here is not lost to a record that was saved before. */
static void apply_all(struct worker *w, unsigned nr, const struct record *rec)
{
	struct journal_inode *d = inode_disk(w->inodes, nr);
	uint64_t mtime_ns = d->rec.mtime_ns, ctime_ns = d->rec.ctime_ns;

	d->rec = *rec;
	if (d->times_owed && mtime_ns > rec->mtime_ns)
		d->rec.mtime_ns = mtime_ns;
	if (d->times_owed && ctime_ns > rec->ctime_ns)
		d->rec.ctime_ns = ctime_ns;
	inode_set_name(w->inodes, nr, &rec->parent, d->rec.name);
}
/* Applies one record of the nodes to the tree. */
static void apply_record(struct worker *w, const struct names_load_job *lj, const struct record *rec)
{
	int nr = inode_by_id(w->inodes, &rec->id);
	struct journal_inode *d;

	if (nr < 0) {
		/* What was deleted here while the nodes were asked does not come back. */
		if (inode_was_reaped(w->inodes, &rec->id, lj->gone_count))
			return;
		if (rec->orphan)
			adopt_orphan(w, rec);
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
		log_error(rec->name, "its record was changed in a way that cannot be; it is not used");
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
	/* Nothing new: to unpack thousands of records would hold up a guest's faults. */
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

/* Names of ours that no node has: removed elsewhere and forgotten, where a node's horizon says so;
 * otherwise lost (they all restarted), or a change of ours was cut short by a kill. */
static void save_missing(struct worker *w, const struct names_load_job *lj)
{
	for (unsigned nr = 1; nr < w->inodes->end; nr++) {
		struct journal_inode *d = inode_disk(w->inodes, nr);
		struct inode *inode = inode_get(w->inodes, nr);
		const struct name_entry *e;

		if (d->use == INODE_FREE || d->rec.kind == RECORD_GONE || !inode || inode->busy)
			continue;
		e = names_list_find(&lj->talk.all, &d->rec.id);
		if (e && (!e->bytes || e->version >= d->rec.version))
			continue;
		if (!e && d->rec.born && d->rec.born <= names_views_horizon(lj->talk.views, lj->talk.count,
								 d->rec.table)) {
			apply_gone(w, nr);
			continue;
		}
		inode->busy = true;
		names_save(w, inode, resave_done, inode);
	}
}

/* Rounds */

static void round_end(struct job *job)
{
	struct names_round_job *rj = (struct names_round_job *)job;

	rj->w->names->round = false;
	free(rj);
}

static void round_start(struct worker *w, uint64_t upto)
{
	struct names_round_job *rj = calloc(1, sizeof(*rj));

	if (!rj)
		return;
	rj->job.work = names_job_round;
	rj->job.done = round_end;
	rj->w = w;
	rj->upto = upto;
	w->names->round = true;
	w->names->round_ns = gvm_now_ns();
	jobs_submit(w->jobs, &rj->job);
}

static void say_tombstones_stay(struct worker *w, unsigned gone)
{
	uint64_t now = gvm_now_ns();

	if (w->names->said_ns && now - w->names->said_ns < SAY_NS)
		return;
	w->names->said_ns = now;
	log_warning(NULL, "the nodes remember %u removed names until each node of --nodes answers: one "
			  "that is gone for good should be named no more", gone);
}

/* Forgets what is removed, and lets a node that restarted know what was forgotten: needs all nodes. */
static void round_consider(struct worker *w, const struct names_load_job *lj)
{
	uint64_t since = gvm_now_ns() - w->names->round_ns;
	struct names_due due;

	names_due_find(&due, &lj->talk.all, lj->talk.views, lj->talk.count);
	if (!lj->healed) {
		/* A fence of a round that was cut short keeps names out. */
		due.uneven = true;
		due.upto = lj->talk.clock;
	}
	if (!lj->all_answered && due.gone >= ROUND_MANY)
		say_tombstones_stay(w, due.gone);
	if (!lj->all_answered || w->names->round || (!due.gone && !due.uneven))
		return;
	if (w->names->round_ns &&
	    since < (due.gone < ROUND_MANY && !due.uneven ? ROUND_NS : ROUND_MANY_NS))
		return;
	round_start(w, due.upto);
}

/* Refreshing */

static void load_start(struct worker *w, bool once);

static void waiters_wake(struct worker *w, struct names_waiter *list, int result)
{
	while (list) {
		struct names_waiter *waiter = list;

		list = waiter->next;
		waiter->done(w, result, waiter->arg);
		free(waiter);
	}
}

static void load_end(struct job *job)
{
	struct names_load_job *lj = (struct names_load_job *)job;
	struct worker *w = lj->w;
	struct names_waiter *waiters = w->names->waiters;
	struct record *rec = malloc(sizeof(*rec));
	uint64_t table;

	if (!rec && !job->result)
		job->result = -ENOMEM;
	clock_hear(w, lj->talk.clock);
	for (size_t i = 0; !job->result && i < lj->talk.all.count; i++)
		apply_entry(w, lj, &lj->talk.all.entry[i], rec);
	if (!job->result) {
		table = names_list_table(&lj->talk.all, lj->talk.views, lj->talk.count,
					 lj->all_answered);
		if (table)
			w->names->table = table;
		w->names_at_ns = lj->begun_ns;
		save_missing(w, lj);
		for (unsigned nr = 1; nr < w->inodes->end; nr++)
			temporary_consider(w, nr);
		round_consider(w, lj);
	}
	w->names->load = NULL;
	w->names->waiters = w->names->later;
	w->names->later = NULL;
	if (w->names->waiters)
		load_start(w, true);
	waiters_wake(w, waiters, job->result);
	names_talk_deinit(&lj->talk);
	free(rec);
	free(lj);
}

/* For w->names->waiters. */
static void load_start(struct worker *w, bool once)
{
	struct names_load_job *lj = calloc(1, sizeof(*lj));
	struct names_waiter *waiters = w->names->waiters;

	if (!lj) {
		w->names->waiters = NULL;
		waiters_wake(w, waiters, -ENOMEM);
		return;
	}
	lj->job.work = names_job_load;
	lj->job.done = load_end;
	lj->w = w;
	lj->once = once;
	lj->begun_ns = gvm_now_ns();
	lj->gone_count = w->inodes->gone_count;
	w->names->load = lj;
	jobs_submit(w->jobs, &lj->job);
}

void names_refresh(struct worker *w, bool once, names_done_fn *done, void *arg)
{
	struct names_load_job *load = w->names->load;
	/* What began this moment tells what would be told now, within what names may lag behind. */
	bool share = load && gvm_now_ns() - load->begun_ns < FRESH_NS;
	struct names_waiter *waiter, **list;

	if (done) {
		waiter = calloc(1, sizeof(*waiter));
		if (!waiter) {
			done(w, -ENOMEM, arg);
			return;
		}
		waiter->done = done;
		waiter->arg = arg;
		for (list = load && !share ? &w->names->later : &w->names->waiters; *list;)
			list = &(*list)->next;
		*list = waiter;
	}
	if (!load)
		load_start(w, once);
}

static bool abandon(struct names_waiter **list, const void *arg)
{
	for (; *list; list = &(*list)->next) {
		struct names_waiter *waiter = *list;

		if (waiter->arg != arg)
			continue;
		*list = waiter->next;
		free(waiter);
		return true;
	}
	return false;
}

bool names_abandon(struct worker *w, void *arg)
{
	return abandon(&w->names->waiters, arg) || abandon(&w->names->later, arg);
}

bool names_are_fresh(struct worker *w)
{
	return w->names_at_ns && gvm_now_ns() - w->names_at_ns < FRESH_NS;
}
