// SPDX-License-Identifier: GPL-2.0-or-later
/* names_orphan.c - see names_orphan.h. */
#include "names_orphan.h"

#include "base/log.h"
#include "names_save.h"
#include "names_state.h"
#include "owner.h"
#include "region.h"
#include "state/worker_state.h"

#include <errno.h>

#define ORPHAN_NS 60000000000ull

static struct names_orphan *orphan_find(struct worker *w, const struct gvm_id *id, struct names_orphan **oldest)
{
	struct names_orphan *o = w->names->orphans;

	*oldest = o;
	for (; o < w->names->orphans + NAMES_ORPHANS && !(o->since_ns && gvm_id_equal(&o->id, id)); o++)
		if (o->since_ns < (*oldest)->since_ns)
			*oldest = o;
	return o < w->names->orphans + NAMES_ORPHANS ? o : NULL;
}

/* Without its tombstone, the next refresh finds it again, and goes on at once. */
static void orphan_gone(struct worker *w, int result, void *arg)
{
	struct inode *inode = arg;
	struct names_orphan *oldest, *o = orphan_find(w, &inode->disk->rec.id, &oldest);

	if (!result && o)
		o->since_ns = 0;
	inode_release(w->inodes, inode);
}

static void orphan_kept(struct worker *w, int result, void *arg)
{
	struct inode *inode = arg;

	(void)result;
	inode->disk->rec.kind = RECORD_GONE; /* only here: the name table keeps the record */
	inode_release(w->inodes, inode);
}

static void orphan_deleted(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)arg;
	if (orphan_stays(w, &inode->disk->rec, result)) {
		names_save(w, inode, orphan_kept, inode);
		return;
	}
	inode->disk->rec.kind = RECORD_GONE;
	names_save(w, inode, orphan_gone, inode);
}

/* The time for its nodes to come back (--unlinked-lease) is over. */
static bool orphan_is_old(const struct worker *w, const struct record *rec)
{
	return gvm_realtime_ns() > rec->ctime_ns + w->opts->unlinked_lease_s * 1000000000ull;
}

bool orphan_stays(struct worker *w, const struct record *rec, int result)
{
	struct names_orphan *oldest, *o = orphan_find(w, &rec->id, &oldest);
	uint64_t now = gvm_now_ns();

	if ((result != -EAGAIN && result != -ENOMEM) || orphan_is_old(w, rec))
		return false;
	/* It has no writer: the time that an orphan is watched counts as over. */
	*(o ? o : oldest) = (struct names_orphan){ .id = rec->id, .since_ns = now > ORPHAN_NS ? now - ORPHAN_NS : 1 };
	return true;
}

/*
 * Whether an orphan has been without a writer for long. A single look does not tell: to the nodes,
 * a writer is gone while its network fails or its worker is replaced.
 */
static bool orphan_is_abandoned(struct worker *w, const struct gvm_id *id, uint8_t writer)
{
	bool writer_alive = writer >= GVM_WRITER_AWAY;
	/* A writer whose lease lapsed, and that did not give the region up, has its whole lease to come back. */
	uint64_t wait_ns = writer == GVM_WRITER_LAPSED ? w->opts->unlinked_lease_s * 1000000000ull : ORPHAN_NS;
	struct names_orphan *oldest, *o = orphan_find(w, id, &oldest);
	uint64_t now = gvm_now_ns();

	if (!o) {
		if (!writer_alive)
			*oldest = (struct names_orphan){ .id = *id, .since_ns = now };
		return false;
	}
	if (writer_alive)
		o->since_ns = 0;
	return !writer_alive && now - o->since_ns >= wait_ns;
}

static void orphan_adopted(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)arg;
	if ((!result || result == -ENOMEDIUM || /* the nodes have removed it */
	     (result == -ETIMEDOUT && orphan_is_old(w, &inode->disk->rec))) &&
	    orphan_is_abandoned(w, &inode->disk->rec.id, inode->writer)) {
		region_delete(w, inode, orphan_deleted, NULL);
		return;
	}
	/* Still in use on another host, or the nodes do not tell: the next refresh looks again. */
	inode_set_use(w->inodes, inode->nr, INODE_FREE);
	inode_release(w->inodes, inode);
}

/* Gets the region a nameless inode, and asks its nodes about its writer. */
void orphan_adopt(struct worker *w, const struct record *rec)
{
	int nr = inode_alloc(w->inodes, rec);
	struct inode *inode;

	if (nr < 0)
		return;
	inode = inode_get(w->inodes, (unsigned)nr);
	inode_set_use(w->inodes, (unsigned)nr, INODE_UNLINKED);
	inode->busy = true;
	region_stat(w, inode, orphan_adopted, NULL);
}

/* On this boot of this host, the death of the owner's process is certain. That a host has rebooted is only as certain
 * as host ids are unique: then the region is also watched for a while. */
static bool temporary_is_abandoned(struct worker *w, const struct inode *inode)
{
	const struct record *rec = &inode->disk->rec;

	if (gvm_id_equal(&rec->owner.boot, &w->self.boot))
		return inode->writer < GVM_WRITER_AWAY;
	return orphan_is_abandoned(w, &rec->id, inode->writer);
}

/* An abandoned temporary region is removed, though another host may still read it. */
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

/* Starts the check of a temporary region whose owner is dead. */
void temporary_consider(struct worker *w, unsigned nr)
{
	const struct journal_inode *d = inode_disk(w->inodes, nr);
	struct inode *inode;

	if (d->use != INODE_USED || !d->rec.temporary || d->epoch ||
	    !owner_is_dead(&d->rec.owner, &w->self))
		return;
	inode = inode_get(w->inodes, nr);
	if (!inode || inode->busy || inode->opens || inode->resident || inode->in_handshake)
		return;
	inode->busy = true;
	inode->writer = GVM_WRITER_NONE;
	region_stat(w, inode, temporary_looked, NULL);
}
