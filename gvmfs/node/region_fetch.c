// SPDX-License-Identifier: GPL-2.0-or-later
/* region_fetch.c - see region_fetch.h. */
#include "region_fetch.h"

#include "pool.h"
#include "region_node.h"
#include "replicas.h"
#include "state/worker_state.h"

/* One node's answers take so much longer than another's that the second goes first. The order of the record spreads
 * the work evenly, and is kept for the rest; for one fetch in 61 it is kept anyway, or a node that was slow once would
 * be slow for ever. (A prime: who reads in order finds another slot each time.) */
static bool is_slower(struct fetches *fs, const struct fetch_latency *a, const struct fetch_latency *b)
{
	return b->average_us && a->average_us > b->average_us + b->average_us / 2 && fs->begun % 61;
}

static void ways_sort(struct fetches *fs, struct fetch_way *way, unsigned count)
{
	fs->begun++;
	for (unsigned i = 1; i < count; i++)
		for (unsigned k = i; k && is_slower(fs, way[k - 1].latency, way[k].latency); k--) {
			struct fetch_way w = way[k];

			way[k] = way[k - 1];
			way[k - 1] = w;
		}
}

void region_fetch(struct worker *w, struct inode *inode, uint64_t chunk, struct fetch *f)
{
	struct journal_inode *d = inode->disk;
	unsigned node[RECORD_PLACES], good, count = replicas_order(inode, chunk, node, &good);
	struct fetch_way way[RECORD_PLACES];

	f->what.region = d->rec.id;
	f->what.epoch = d->epoch;
	f->what.chunk = chunk;
	f->what.version = d->epoch ? inode->index[chunk] & GVM_VERSION_MASK : 0;
	f->nr = inode->nr;
	if (count == 1) { /* nothing to choose: a fault pays for no more */
		way[0] = (struct fetch_way){ .conn = region_node_conn(w, inode, node[0]),
					     .node = d->rec.nodes[node[0]].incarnation };
		fetch_begin(w->fetches, f, way, 1);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		way[i].conn = region_node_conn(w, inode, node[i]);
		way[i].latency = pool_latency(w->pool, way[i].conn);
		way[i].node = d->rec.nodes[node[i]].incarnation;
	}
	if (!d->epoch) {
		fetch_newest_begin(w->fetches, f, way, count, d->rec.replicas, record_slot_of(&d->rec, chunk));
		return;
	}
	ways_sort(w->fetches, way, good);
	fetch_begin(w->fetches, f, way, count);
}
