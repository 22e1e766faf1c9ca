// SPDX-License-Identifier: GPL-2.0-or-later
/* closes.c - see closes.h. */
#include "closes.h"

#include "worker_state.h"

#include <assert.h>

#define READS_NS 5000000000ull /* with READs in flight: a node may be slow */
#define NEXT_NS	 500000000ull

bool close_wait(struct worker *w, struct close_wait *wait, struct inode *inode, struct task *task)
{
	uint64_t now = gvm_now_ns();

	assert(inode->busy && !inode->closing);
	if (!wait->until_ns)
		wait->until_ns = now + (inode->fills ? READS_NS : NEXT_NS);
	if (wait->until_ns <= now)
		return false;
	wait->inode = inode;
	wait->task = task;
	inode->closing = wait;
	LIST_INSERT_HEAD(&w->closing, wait, in);
	return true;
}

static void wait_end(struct close_wait *wait)
{
	wait->inode->closing = NULL;
	LIST_REMOVE(wait, in);
	wait->task->run(wait->task); /* frees `wait`, or makes it wait again */
}

void closes_heard(struct inode *inode)
{
	wait_end(inode->closing);
}

uint64_t closes_tick(struct worker *w, uint64_t now_ns)
{
	struct close_wait *wait = LIST_FIRST(&w->closing), *next;
	uint64_t due = ~0ull;

	for (; wait; wait = next) {
		next = LIST_NEXT(wait, in);
		if (wait->until_ns > now_ns) {
			due = wait->until_ns < due ? wait->until_ns : due;
			continue;
		}
		wait_end(wait);
		next = LIST_FIRST(&w->closing); /* the task may have ended other waits */
		due = ~0ull;
	}
	return due;
}
