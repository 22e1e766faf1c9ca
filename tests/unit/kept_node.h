/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kept_node.h - a node with --persist, its own code on a file in a folder of the test's, which is started, killed and looked at
 * as the test wants.
 *
 * A node that was killed is one whose journal is given up without journal_close(). A machine that went down is that,
 * with another boot id in the superblock and, for what was not brought to the disk, pages of before.
 */
#ifndef TESTS_UNIT_KEPT_NODE_H
#define TESTS_UNIT_KEPT_NODE_H

#include "memnode/daemon/journal.h"
#include "memnode/daemon/journal_impl.h"
#include "memnode/daemon/node.h"

#define MEMORY	 (32u << 20)
#define FILE_BYTES (48u << 20)
#define OWNER	 "127.0.0.1:9999"

extern char folder[64], path[128]; /* the file's */
extern struct node node;
extern struct journal journal;
extern bool sync_mode; /* of nodes that are started from now on */
extern char why[600];  /* the last start failed */
extern struct region_writer writer;

void folder_make(void);
void folder_remove(void);
int node_try(const char *owner, uint64_t bytes);
void node_up(void);
void written(void);
/* As a kill: what was not written is gone. */
void node_killed(void);
void node_ended(void);
uint16_t region_make_with(const struct gvm_id *id, uint64_t chunks, bool views);
uint16_t region_make(const struct gvm_id *id, uint64_t chunks);
uint16_t put(const struct gvm_id *id, uint64_t chunk, uint64_t seq);
/* seq 0: they are forgotten. */
uint16_t discard(const struct gvm_id *id, uint64_t first, uint64_t count, uint64_t seq);
/* What a GET of the chunk gives: a status, and the version; decoded bytes are what that version's should be. */
uint16_t get(const struct gvm_id *id, uint64_t chunk, uint64_t *seq);
bool is_zero(const struct gvm_id *id, uint64_t chunk);
void boot_change(void);
uint8_t *file_read_all(size_t *bytes);
void bytes_write(const void *p, size_t bytes, uint64_t at);

/* What a file had in it, and where a node had written to. */
struct image {
	uint8_t *bytes;
	size_t count;
	uint64_t next_seq;
	uint8_t lives[16]; /* of the file's attribute */
	uint64_t from[KEEP_KINDS], to[KEEP_KINDS]; /* of the heads */
};

/* Of a node that is up, and has written everything. */
void image_take(struct image *i);
void image_range(const struct image *i, uint64_t from, uint64_t to);
/* Ends the node as by a kill, and undoes what it wrote since its start. */
void image_restore(const struct image *i, uint64_t more);

#endif
