/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * write.h - WRITEs, and ranges made zero, on their way into slots.
 *
 * A written page goes into a slot of the journal, and the WRITE is answered: from then on it cannot be lost by a
 * killed worker. A page of which only a part is written is completed first; from a node if need be.
 *
 * Decides by store_env.h only: simulators link it. A WRITE as FUSE knows it: front_io.c.
 */
#ifndef GVMFS_WRITE_H
#define GVMFS_WRITE_H

#include "store/store.h"

struct store_write {
	struct store_wait wait; /* first */
	/* From a turn, once: 0, or a negative errno (a part may be in slots all the same). The request, and its data,
	 * are the caller's again. */
	void (*done)(struct store *s, struct store_write *wr, int error);
	const uint8_t *data; /* from data_off on; NULL: zeros. It stays as it is until done(), or is moved */
	uint64_t data_off;
	uint64_t begin, off, end; /* all of it, and what is not in slots yet */
	bool stalled; /* has had to wait for a slot */
};

/* A WRITE, or a punch, has come. An event: wr->done is filled in, the rest zero. */
void store_write(struct store *s, struct store_write *wr, struct inode *inode, const void *data, uint64_t off,
		 uint64_t size);

/* What is left of its data, from `off` on, stands there now. */
static inline void store_write_move(struct store_write *wr, const uint8_t *data)
{
	wr->data = data;
	wr->data_off = wr->off;
}

#endif
