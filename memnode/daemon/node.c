// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * node.c - puts a node together: how its memory is divided.
 *
 * Of the store's cells a small part is head room: cells that were replaced while they were being
 * sent stay there until the send ends. It is promised to nobody. The rest is the node's capacity.
 */
#include "node.h"
#include "../clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define HEAD_ROOM_SHARE 64
#define HEAD_ROOM_MIN	(4u * REGION_CHUNK_CELLS)
#define HEAD_ROOM_MAX	((256u << 20) / STORE_CELL_BYTES)
#define COPY_BYTES_MAX	(32u << 20)

int node_init(struct node *n, uint64_t memory_bytes, double overcommit, const uint8_t *key,
	      size_t key_bytes)
{
	uint64_t life;
	uint32_t room;
	int err;

	*n = (struct node){.key = key, .key_bytes = key_bytes, .copy_bytes_max = COPY_BYTES_MAX};
	if (getrandom(&n->incarnation, sizeof(n->incarnation), 0) != sizeof(n->incarnation) ||
	    getrandom(&life, sizeof(life), 0) != sizeof(life))
		return -EIO;
	err = store_create(memory_bytes, &n->store);
	if (err)
		return err;
	room = store_cells(n->store) / HEAD_ROOM_SHARE;
	if (room < HEAD_ROOM_MIN)
		room = HEAD_ROOM_MIN;
	if (room > HEAD_ROOM_MAX)
		room = HEAD_ROOM_MAX;
	store_set_pin_limit(n->store, room);
	n->pin_bytes_max = (uint64_t)room * STORE_CELL_BYTES;
	n->answer = malloc(GVM_DATA_MAX);
	names_init(&n->names, NAMES_COUNT_DEFAULT, life % NAMES_LIFE_MAX + 1);
	err = regions_init(&n->regions, n->store, store_cells(n->store) - room, overcommit);
	n->regions.self = &n->incarnation;
	if (err || !n->answer) {
		node_deinit(n);
		return -ENOMEM;
	}
	n->started_ns = gvm_now_ns();
	return 0;
}

void node_deinit(struct node *n)
{
	if (n->regions.store)
		regions_deinit(&n->regions);
	if (n->journal)
		journal_deinit(n->journal);
	names_deinit(&n->names);
	store_destroy(n->store);
	free(n->answer);
	*n = (struct node){0};
}

void node_stat(const struct node *n, struct gvm_node_stat_rsp *rsp)
{
	const struct regions *t = &n->regions;
	const struct node_counters *c = &n->counters;

	*rsp = (struct gvm_node_stat_rsp){
		.capacity_bytes = t->limit_cells * STORE_CELL_BYTES,
		.promisable_bytes = (t->drains ? t->promised_cells : t->promisable_cells) * STORE_CELL_BYTES,
		.reserved_bytes = t->promised_cells * STORE_CELL_BYTES,
		.held_bytes = (t->totals.cells + t->entry_cells) * STORE_CELL_BYTES,
		.stored_bytes = t->totals.stored_bytes,
		.nonzero_bytes = t->totals.nonzero_bytes,
		.regions = t->count,
		.chunks = t->totals.chunks,
		.clients = c->clients,
		.gets = c->gets,
		.puts = c->puts,
		.delta_puts = c->delta_puts,
		.discards = c->discards,
		.bad_frames = c->bad_frames,
		.rx_bytes = c->rx_bytes,
		.tx_bytes = c->tx_bytes,
		.uptime_ns = gvm_now_ns() - n->started_ns,
		.names = n->names.count,
		.tombstones = n->names.gone,
		.names_max = n->names.count_max,
	};
}
