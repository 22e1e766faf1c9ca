/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node.h - a memory node without its sockets: store, regions, names, counters. */
#ifndef GVM_NODE_H
#define GVM_NODE_H

#include "journal.h"
#include "names.h"
#include "region.h"
#include "store.h"

struct tls_key;

struct node_counters {
	uint64_t clients; /* connections past HELLO and AUTH, now */
	uint64_t asked; /* requests of all kinds but PING */
	uint64_t gets, puts, delta_puts, discards;
	uint64_t bad_frames;
	uint64_t rx_bytes, tx_bytes;
	uint64_t corrupt; /* heads found damaged at rest */
	uint64_t copied_gets; /* answered from a copy, as the pins' limit was reached */
};

struct node {
	struct store *store;
	struct regions regions;
	struct names names;
	const uint8_t *key; /* NULL: none is needed */
	size_t key_bytes;
	const struct tls_key *tls; /* clients have to use TLS; NULL: they must not */
	struct gvm_id incarnation;
	struct journal *journal; /* NULL: what the node holds ends with it */
	uint64_t started_ns;
	struct node_counters counters;
	/* Copied answers of all connections together: bounded, so that slow readers cannot use up
	 * memory. */
	uint64_t copy_bytes_max, copy_bytes;
	uint64_t pin_bytes_max, pin_bytes; /* the same for answers sent from pinned cells */
	uint8_t *answer; /* GVM_DATA_MAX: an answer's data under composition */
};

/* `memory_bytes` covers cells, their tables and the head room. The caller keeps the key.
 * -EINVAL: memory_bytes is out of range.
 * -ENOMEM.
 * -EIO: no random bytes. */
int node_init(struct node *n, uint64_t memory_bytes, double overcommit, const uint8_t *key,
	      size_t key_bytes);
/* Ends the journal, too, if it was opened: the caller has closed it. */
void node_deinit(struct node *n);

void node_stat(const struct node *n, struct gvm_node_stat_rsp *rsp);

#endif
