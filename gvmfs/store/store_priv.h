/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_priv.h - shared by the files of store.h. */
#ifndef GVMFS_STORE_PRIV_H
#define GVMFS_STORE_PRIV_H

#include "base/mutant.h"
#include "store_env.h"

/* ---- store_spill.c */

/* Begins to take over what is spilled in the journal, after the wbufs. */
void store_spill_begin(struct store *s);
/* Goes on with that, and with what is dropped, for a while; and whether there is more. */
void store_spill_go_on(struct store *s);
bool store_spill_goes_on(const struct store *s);
/* What is spilled of the inode counts as gone, and is freed in steps. */
void store_spill_drop(struct store *s, struct inode *inode);
/* Chunks of the inode have moved to other nodes. */
void store_spill_moved(struct store *s, struct inode *inode);
/* Gives one of what is spilled of each node's chunks a wbuf, if it may have one, and sends it; returns whether one was given. */
bool store_spill_try(struct store *s);
/* Releases some of the memory that is not needed any more; returns when it wants to go on. */
uint64_t store_tidy(struct store *s, uint64_t now_ns);

/* ---- store_cut.c */

/* Has those that wait for the end of the inode's cut tried. */
void store_held_wake(struct store *s, const struct inode *inode);

/* A GET for the entry is being sent, or is under way. */
static inline void store_cut_note(struct cache_entry *e)
{
	const struct inode *inode = e->inode;

	e->cut |= inode->cutting && e->chunk >= record_chunks(inode->cut_bytes) && !mutant("cut-refused");
}

/* ---- store_send.c */

/* Sends a sealed wbuf, for the first time or again. */
void store_wbuf_send(struct store *s, struct wbuf *wbuf);

/* ---- store_turn.c */

/* wbuf_free(), and notes that waiters may have the wbuf. */
void store_wbuf_free(struct store *s, struct wbuf *wbuf);
/* Has the entry's waiters tried, with an error if it is not 0. */
void store_entry_wake(struct store *s, struct cache_entry *e, int error);

#endif
