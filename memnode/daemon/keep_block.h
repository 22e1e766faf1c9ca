/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keep_block.h - records on their way to the file: what keep_log.c and keep_writer.c share. */
#ifndef GVM_KEEP_BLOCK_H
#define GVM_KEEP_BLOCK_H

#include "keep_format.h"

#include <sys/queue.h>

struct keep_log;

#define LOG_BLOCK_BYTES	  (512u << 10) /* holds a record of any size */
#define LOG_BLOCK_EXTENTS 16u

struct log_extent {
	uint64_t at; /* of the file */
	uint32_t from, bytes; /* of the block */
};

struct log_block {
	STAILQ_ENTRY(log_block) link;
	bool taken; /* by the writer: nothing is appended any more */
	uint32_t used;
	unsigned extents;
	struct log_extent extent[LOG_BLOCK_EXTENTS];
	uint64_t end; /* number of the last record in it */
	struct keep_horizon horizon; /* once it is written */
	uint8_t data[LOG_BLOCK_BYTES];
};

_Static_assert(LOG_BLOCK_BYTES >= KEEP_RECORD_MAX + 2 * KEEP_UNIT, "a block holds a record of any size");

/* With the lock held. */
void log_block_free(struct keep_log *l, struct log_block *b);

#endif
