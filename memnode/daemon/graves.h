/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * graves.h - regions that were deleted here, so that a late copy of the CREATE that made one does not make an empty one:
 * its room would be kept for ever, and whoever reads there by an old record would find zeros.
 *
 * Copies come late over a dead connection, or from a killed process: soon, or never. So the last GRAVES_MAX regions are
 * remembered, in memory alone: with the node end all connections that could still bring one.
 */
#ifndef GVM_GRAVES_H
#define GVM_GRAVES_H

#include "../gvm_wire.h"

#define GRAVES_MAX 1024u

struct graves {
	struct grave {
		struct gvm_id id;
		uint64_t epoch, order; /* what was sent before that is late */
	} grave[GRAVES_MAX];
	unsigned count, next; /* next: which one gives way */
};

/* What of the region was sent before this order of this epoch, or under an earlier epoch, is late from now on. */
void grave_note(struct graves *g, const struct gvm_id *id, uint64_t epoch, uint64_t order);
/* Whether a CREATE is late; *detail: the least order that is not. One of order 0 names none, and never is. */
bool grave_bars(const struct graves *g, const struct gvm_region_create_req *what, uint64_t *detail);

#endif
