// SPDX-License-Identifier: GPL-2.0-or-later
/* times.c - see times.h. */
#include "times.h"

#include "names.h"
#include "state/worker_state.h"

#include <errno.h>

#define SAVES_MAX 16u /* saves started in one go, during which faults wait */

static const uint64_t delay_ns[TIMES_DELAYS] = {
	[TIMES_NOW] = 1,
	[TIMES_SOON] = 200000000,   /* a folder, or a file that is not attached here */
	[TIMES_LATER] = 3000000000, /* a file that is attached for writing, or after a failed save */
};

uint64_t times_now(void)
{
	return gvm_realtime_ns();
}

static void due_end(struct worker *w, struct inode *inode)
{
	if (!inode->times_due_ns)
		return;
	TAILQ_REMOVE(&w->inodes->times_due[inode->times_delay], inode, times_entry);
	inode->times_due_ns = 0;
}

/* Each delay has a list of its own, so that appending keeps each list in the order of times_due_ns. */
static void due_set(struct worker *w, struct inode *inode, enum times_delay delay)
{
	due_end(w, inode);
	inode->times_due_ns = gvm_now_ns() + delay_ns[delay];
	inode->times_delay = delay;
	TAILQ_INSERT_TAIL(&w->inodes->times_due[delay], inode, times_entry);
}

static void times_owe(struct worker *w, struct inode *inode, enum times_delay delay)
{
	if (!inode->nr)
		return;
	journal_publish32(&inode->disk->times_owed, 1);
	if (!inode->times_due_ns || gvm_now_ns() + delay_ns[delay] < inode->times_due_ns)
		due_set(w, inode, delay);
}

void times_content(struct worker *w, struct inode *inode)
{
	struct record *rec = &inode->disk->rec;

	rec->mtime_ns = rec->ctime_ns = times_now();
	if (!inode->times_due_ns)
		times_owe(w, inode, inode->disk->epoch ? TIMES_LATER : TIMES_SOON);
}

void times_status(struct worker *w, struct inode *inode)
{
	inode->disk->rec.ctime_ns = times_now();
	if (!inode->times_due_ns)
		times_owe(w, inode, TIMES_SOON);
}

void times_closed(struct worker *w, struct inode *inode)
{
	if (inode->disk->times_owed)
		times_owe(w, inode, TIMES_NOW);
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
		times_owe(w, inode, TIMES_LATER);
	/* Another host changed the record: that is read and applied first. */
	if (result == -ESTALE)
		names_refresh(w, true, refreshed, NULL);
	inode_reap(w->inodes, inode->nr);
}

/* Starts a save if one is owed. True: a save is in flight or has to wait. */
static bool times_save(struct worker *w, struct inode *inode)
{
	struct journal_inode *d = inode->disk;

	if (!d->times_owed || d->use != INODE_USED || d->rec.kind == RECORD_GONE) {
		due_end(w, inode);
		return false;
	}
	/* The task that holds the inode may be changing its record. */
	if (inode->times_saving || inode->busy) {
		if (inode->times_due_ns)
			due_set(w, inode, TIMES_SOON);
		return true;
	}
	due_end(w, inode);
	inode->times_saving = true;
	names_save_times(w, inode, saved, inode);
	return true;
}

uint64_t times_tick(struct worker *w, uint64_t now_ns)
{
	uint64_t next = LOOP_NEVER;
	unsigned saves = 0;

	for (unsigned delay = 0; delay < TIMES_DELAYS; delay++) {
		struct inode *inode;

		while ((inode = TAILQ_FIRST(&w->inodes->times_due[delay])) && inode->times_due_ns <= now_ns) {
			if (saves++ == SAVES_MAX)
				return now_ns;
			times_save(w, inode);
		}
		if (inode && inode->times_due_ns < next)
			next = inode->times_due_ns;
	}
	return next;
}

bool times_flush(struct worker *w)
{
	bool left = false;

	for (unsigned nr = 1; nr < w->inodes->end; nr++) {
		struct inode *inode = w->inodes->rt[nr];

		if (!inode)
			continue;
		/* An unlinked inode, held while its nodes are told, has no times to save. */
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
