// SPDX-License-Identifier: GPL-2.0-or-later
/* pagecache_drop.c - drops the pages that programs other than the guest have read: see pagecache.h. */
#include "pagecache.h"
#include "state/worker_state.h"

#include <errno.h>
#include <stdlib.h>

#define DROP_AGE_NS   10000000ull /* longer than a reader needs to use what the kernel read ahead for it */
#define DROP_AGE_REST_NS 1000000ull
#define DROP_AGAIN    5u /* the second drop comes after so many times that age */
#define DROP_BYTES    (4u << 20)  /* the most that an active reader leaves behind: */
#define DROP_BEHIND   (1u << 20)  /* then all but its last pages are dropped */

static struct pagecache_note *note_find(struct pagecache *pc, unsigned nr, uint64_t begin)
{
	for (unsigned i = 0; i < pc->noted; i++) {
		struct pagecache_note *n = &pc->notes[i];

		if (n->nr_plus_1 == nr + 1 && begin >= n->begin && begin <= n->end + DROP_BEHIND)
			return n;
	}
	return NULL;
}

static struct pagecache_note *note_of(struct pagecache *pc, unsigned nr)
{
	for (unsigned i = 0; i < pc->noted; i++)
		if (pc->notes[i].nr_plus_1 == nr + 1)
			return &pc->notes[i];
	return NULL;
}

/* Makes one of a file's notes cover this range too. False: the file has no note. */
static bool note_widen(struct pagecache *pc, unsigned nr, uint64_t begin, uint64_t end, uint64_t last_ns)
{
	struct pagecache_note *n = note_of(pc, nr);

	if (!n)
		return false;
	n->begin = n->first = begin < n->first ? begin : n->first;
	n->end = end > n->end ? end : n->end;
	n->again = false;
	n->last_ns = last_ns;
	return true;
}

/* Whether the file should make do with the notes that it has: none is free, or its drops have to
 * wait, and a note for each place that is read meanwhile would leave other files none. */
static bool notes_are_scarce(const struct pagecache *pc, unsigned nr)
{
	return pc->noted == PAGECACHE_NOTES || pagecache_is_busy(pc, nr);
}

void pagecache_note(struct worker *w, const struct inode *inode, uint64_t off, uint64_t size)
{
	struct pagecache *pc = w->pagecache;
	struct pagecache_note *n = note_find(pc, inode->nr, off);

	if (pc->fd < 0)
		return;
	if (!n && notes_are_scarce(pc, inode->nr) &&
	    note_widen(pc, inode->nr, off, off + size, gvm_now_ns()))
		return;
	if (!n && pc->noted < PAGECACHE_NOTES) {
		n = &pc->notes[pc->noted++];
		*n = (struct pagecache_note){
			.nr_plus_1 = inode->nr + 1, .first = off, .begin = off, .end = off
		};
	}
	if (!n)
		return;
	if (off + size > n->end)
		n->end = off + size;
	if (n->again && off < n->begin)
		n->begin = off;
	n->again = false;
	n->last_ns = gvm_now_ns();
}

void pagecache_closed(struct worker *w, struct inode *inode)
{
	struct pagecache *pc = w->pagecache;

	if (pc->fd < 0)
		return;
	if (notes_are_scarce(pc, inode->nr) && note_widen(pc, inode->nr, 0, inode->disk->rec.size_bytes, 0))
		return;
	if (pc->noted == PAGECACHE_NOTES)
		return;
	pc->notes[pc->noted++] = (struct pagecache_note){
		.nr_plus_1 = inode->nr + 1,
		.end = inode->disk->rec.size_bytes,
	};
}

/* Up to which offset a note's pages may be dropped now: all of them, once the reader has paused for
 * a moment. A drop misses pages that are locked or being copied just then, so there is a second
 * one. */
static uint64_t note_due(const struct worker *w, const struct pagecache_note *n, uint64_t now_ns)
{
	/* A region that is not attached may be written by another host at any moment. */
	uint64_t age_ns = w->journal->inodes[n->nr_plus_1 - 1].epoch ? DROP_AGE_NS : DROP_AGE_REST_NS;

	if (now_ns - n->last_ns >= (n->again ? DROP_AGAIN * age_ns : age_ns))
		return n->end;
	return !n->again && n->end - n->begin > DROP_BYTES ? n->end - DROP_BEHIND : n->begin;
}

static void note_done(struct pagecache *pc, unsigned i, uint64_t end, uint64_t now_ns)
{
	struct pagecache_note *n = &pc->notes[i];

	if (end != n->end) {
		n->begin = end;
	} else if (!n->again) {
		n->again = true;
		n->begin = n->first;
		n->last_ns = now_ns;
	} else {
		*n = pc->notes[--pc->noted];
	}
}

static void invalidated(struct worker *w, struct pagecache_ask *ask, int error)
{
	(void)w;
	(void)error;
	free(ask);
}

/* The fast path changes the file beneath private mappings, and a drop leaves mapped pages. So the pages are
 * invalidated, which is safe here: no mapping exists through which a page could have been stored to. */
static int drop_mapped(struct worker *w, struct inode *inode, const struct helper_msg *msg)
{
	struct pagecache_ask *ask = calloc(1, sizeof(*ask));
	int r;

	if (!ask)
		return -ENOMEM;
	ask->done = invalidated;
	r = pagecache_invalidate(w, inode, msg->range, msg->count, ask);
	if (r < 0)
		free(ask);
	return r;
}

/* Drops what is due of one file. False: the helper's queue is full. */
static bool drop_file(struct worker *w, unsigned nr, uint64_t now_ns)
{
	static struct helper_msg msg;
	struct pagecache *pc = w->pagecache;
	bool known = pagecache_message(w, nr, HELPER_DROP, &msg) == 0;
	struct inode *inode = w->inodes->rt[nr];
	int r;

	for (unsigned i = 0; i < pc->noted && msg.count < PAGECACHE_RANGES; i++) {
		uint64_t end = note_due(w, &pc->notes[i], now_ns);

		if (pc->notes[i].nr_plus_1 != nr + 1 || end == pc->notes[i].begin)
			continue;
		msg.range[msg.count].off = pc->notes[i].begin;
		msg.range[msg.count++].size = end - pc->notes[i].begin;
	}
	if (inode && inode->resident)
		r = drop_mapped(w, inode, &msg);
	else
		r = known ? pagecache_send(w, &msg, NULL, 0) : 0;
	if (r < 0)
		return false;
	for (unsigned i = pc->noted; i--;) {
		uint64_t end = note_due(w, &pc->notes[i], now_ns);

		for (unsigned k = 0; k < msg.count; k++)
			if (pc->notes[i].nr_plus_1 == nr + 1 && pc->notes[i].begin == msg.range[k].off &&
			    end - msg.range[k].off == msg.range[k].size) {
				note_done(pc, i, end, now_ns);
				break;
			}
	}
	return true;
}

/* Whether an invalidation has to wait: a call made now would wait behind others of its file,
 * perhaps for ever, and so would a call for each later note. */
static bool drop_waits(const struct worker *w, unsigned nr)
{
	const struct inode *inode = w->inodes->rt[nr];

	return inode && inode->resident && pagecache_is_busy(w->pagecache, nr);
}

/* Notes that wait want no clock: the end of a call is an event, and this is called after each. */
uint64_t pagecache_drop_tick(struct worker *w, uint64_t now_ns)
{
	struct pagecache *pc = w->pagecache;
	unsigned waiting = 0;

	for (unsigned i = 0; i < pc->noted; i++) {
		unsigned nr = pc->notes[i].nr_plus_1 - 1;

		if (note_due(w, &pc->notes[i], now_ns) == pc->notes[i].begin)
			continue;
		if (drop_waits(w, nr)) {
			waiting++;
			continue;
		}
		if (!drop_file(w, nr, now_ns))
			return now_ns + DROP_AGE_NS;
		i = ~0u; /* start over: drop_file() moves notes */
		waiting = 0;
	}
	return pc->noted > waiting ? now_ns + DROP_AGE_REST_NS : ~0ull;
}
