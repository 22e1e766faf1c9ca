// SPDX-License-Identifier: GPL-2.0-or-later
/* times.c - see times.h. */
#include "times.h"

#include "names.h"
#include "state/worker.h"

#include <errno.h>

#define SOON_NS	 200000000ull  /* a folder, or a file that is closed */
#define LATER_NS 3000000000ull /* one that is written on, or after a failure */

uint64_t times_now(void)
{
	return gvm_realtime_ns();
}

static void times_owe(struct worker *w, struct inode *inode, uint64_t in_ns)
{
	uint64_t due = gvm_now_ns() + in_ns;

	if (!inode->nr)
		return;
	journal_publish32(&inode->disk->times_owed, 1);
	if (!inode->times_due_ns || due < inode->times_due_ns)
		inode->times_due_ns = due;
	if (due < w->times_due_ns)
		w->times_due_ns = due;
}

void times_content(struct worker *w, struct inode *inode)
{
	struct record *rec = &inode->disk->rec;

	rec->mtime_ns = rec->ctime_ns = times_now();
	if (!inode->times_due_ns)
		times_owe(w, inode, inode->disk->epoch ? LATER_NS : SOON_NS);
}

void times_status(struct worker *w, struct inode *inode)
{
	inode->disk->rec.ctime_ns = times_now();
	if (!inode->times_due_ns)
		times_owe(w, inode, SOON_NS);
}

void times_closed(struct worker *w, struct inode *inode)
{
	if (inode->disk->times_owed)
		times_owe(w, inode, 0);
}

void times_guess_root(struct worker *w)
{
	struct record *root = &w->journal->inodes[0].rec;
	uint64_t newest = 0;

	for (unsigned nr = 1; nr < w->inodes->end; nr++) {
		const struct journal_inode *d = inode_disk(w->inodes, nr);

		if (d->use == INODE_USED && gvm_id_is_none(&d->rec.parent) &&
		    d->rec.ctime_ns > newest)
			newest = d->rec.ctime_ns;
	}
	if (newest && newest < root->mtime_ns)
		root->mtime_ns = root->ctime_ns = newest;
}

static void refreshed(struct worker *w, int result, void *arg)
{
	(void)w;
	(void)result;
	(void)arg;
}

static void saved(struct worker *w, int result, void *arg)
{
	struct inode *inode = arg;

	inode->times_saving = false;
	if (result < 0)
		times_owe(w, inode, LATER_NS);
	/* Another host changed the record: what it says is taken over first. */
	if (result == -ESTALE)
		names_refresh(w, true, refreshed, NULL);
	inode_reap(w->inodes, inode->nr);
}

/* True if there is something to wait for. */
static bool times_save(struct worker *w, struct inode *inode)
{
	struct journal_inode *d = inode->disk;

	if (!d->times_owed || d->use != INODE_USED || d->rec.kind == RECORD_GONE) {
		inode->times_due_ns = 0;
		return false;
	}
	/* Whatever has the inode may be changing its record. */
	if (inode->times_saving || inode->busy)
		return true;
	inode->times_due_ns = 0;
	inode->times_saving = true;
	names_save_times(w, inode, saved, inode);
	return true;
}

uint64_t times_tick(struct worker *w, uint64_t now_ns)
{
	uint64_t next = ~0ull;

	if (w->times_due_ns > now_ns)
		return w->times_due_ns;
	w->times_due_ns = ~0ull;
	for (unsigned nr = 1; nr < w->inodes->end; nr++) {
		struct inode *inode = w->inodes->rt[nr];

		if (!inode || !inode->times_due_ns)
			continue;
		if (inode->times_due_ns <= now_ns && times_save(w, inode))
			inode->times_due_ns = inode->times_due_ns ? now_ns + SOON_NS : 0;
		if (inode->times_due_ns && inode->times_due_ns < next)
			next = inode->times_due_ns;
	}
	if (next < w->times_due_ns)
		w->times_due_ns = next;
	return w->times_due_ns;
}

bool times_flush(struct worker *w)
{
	bool left = false;

	for (unsigned nr = 1; nr < w->inodes->end; nr++) {
		struct inode *inode = w->inodes->rt[nr];

		if (!inode)
			continue;
		/* What has no name any more, and is held until nodes know that, has no times to save. */
		if (inode->times_saving ||
		    (inode->busy && inode_disk(w->inodes, nr)->times_owed &&
		     inode_disk(w->inodes, nr)->use == INODE_USED)) {
			left = true;
		} else if (!inode->times_flushed) {
			inode->times_flushed = true;
			left |= times_save(w, inode);
		}
	}
	return left;
}
