// SPDX-License-Identifier: GPL-2.0-or-later
/* store_event.c - the events of store.h: each changes state and notes what has to be looked at; the turn (store_turn.c)
 * decides. */
#include "store_priv.h"

#include "base/mutant.h"

#include <assert.h>
#include <errno.h>

void store_sync(struct store *s, struct store_sync *sync, struct inode *inode)
{
	sync->inode = inode;
	sync->until = inode->synced = s->wbufs.order;
	TAILQ_INSERT_TAIL(&s->syncs, sync, in);
	s->wbufs_news = s->again = true;
}

void store_cancel(struct store *s, struct store_wait *wait)
{
	assert(wait->state != WAIT_NOT);
	store_unwait(s, wait);
	wait->error = -EINTR;
	store_due(s, wait);
}

uint32_t store_in_flux(const struct cache_entry *e)
{
	if (e->cut) /* of each page the content before, or zeros */
		return ~0u;
	return mutant("flux-checked") ? 0 : e->stale | wbufs_pages(&e->store->wbufs, e->inode, e->chunk);
}

void store_doubt(struct cache_entry *e, uint32_t pages)
{
	pages &= e->asked;
	e->stale |= pages;
	e->valid &= ~pages;
}

void store_piece(struct cache_entry *e, uint32_t pages)
{
	assert(e->fetching && !e->over);
	e->valid |= pages & e->asked & ~e->stale;
	store_entry_wake(e->store, e, 0);
}

void store_spoilt(struct cache_entry *e, uint32_t pages)
{
	e->valid &= ~pages;
}

void store_fetched(struct cache_entry *e, int error)
{
	assert(e->fetching && !e->over);
	e->over = true;
	e->error = error;
	STAILQ_INSERT_TAIL(&e->store->ended, e, ended);
	e->store->again = true;
}

void store_flushed(struct store *s, struct flush *f)
{
	f->next = NULL;
	*s->flushed_tail = f;
	s->flushed_tail = &f->next;
	s->again = true;
}

void store_invalidate(struct store *s, struct inode *inode, uint64_t chunk, uint32_t pages)
{
	cache_invalidate(&s->cache, inode, chunk, pages);
}

void store_forget(struct store *s, struct inode *inode)
{
	cache_forget(&s->cache, inode);
	s->entries_news = s->again = true;
}

void store_drop(struct store *s, struct inode *inode)
{
	for (struct wbuf *wbuf = s->wbufs.wbuf; inode->wbufs && wbuf != s->wbufs.wbuf + JOURNAL_WBUFS; wbuf++)
		if (wbuf->inode == inode && wbuf_is(&s->wbufs, wbuf) == WBUF_IS_COLLECTING)
			store_wbuf_free(s, wbuf);
	store_spill_drop(s, inode);
}

void store_fail(struct store *s, struct inode *inode)
{
	store_drop(s, inode);
	/* A REFUSED wbuf that waits to be sent again will not be. */
	for (struct wbuf *wbuf = s->wbufs.wbuf; inode->wbufs && wbuf != s->wbufs.wbuf + JOURNAL_WBUFS; wbuf++)
		if (wbuf->inode == inode && wbuf_is(&s->wbufs, wbuf) == WBUF_IS_REFUSED)
			store_wbuf_free(s, wbuf);
	store_held_wake(s, inode);
	for (unsigned i = 0; inode->entries && i < CACHE_ENTRIES; i++)
		if (s->cache.entries[i].inode == inode)
			store_entry_wake(s, &s->cache.entries[i], 0);
	s->wbufs_news = s->entries_news = s->again = true;
}

void store_moved(struct store *s, struct inode *inode)
{
	/* Or, if its new node is dead, a chunk that moved would take the share of a node that answers. */
	for (struct wbuf *wbuf = s->wbufs.wbuf; wbuf != s->wbufs.wbuf + JOURNAL_WBUFS; wbuf++)
		if (wbuf->inode == inode)
			wbuf_renode(&s->wbufs, wbuf, s->env->node(s, wbuf->inode, wbuf_disk(&s->wbufs, wbuf)->chunk));
	store_spill_moved(s, inode);
	s->wbufs_news = s->entries_news = s->again = true;
}

void store_seal_all(struct store *s)
{
	s->seal_all = s->again = true;
}
