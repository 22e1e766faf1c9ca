// SPDX-License-Identifier: GPL-2.0-or-later
/* store_calls.c - see store_env.h: connects the decisions of store.h with the nodes, the writers, the fast path and
 * the regions. */
#include "store_calls.h"

#include "node/part.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/region_fetch.h"
#include "node/region_node.h"
#include "state/sealing.h"
#include "state/seals.h"
#include "state/worker_state.h"
#include "store/sealed.h"
#include "store/sender.h"
#include "store/store_env.h"
#include "uffd/resident.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of the host's memory, spilled pages may take one part in so many. */
#define SPILL_PART 8u

/* ---- regions */

static const struct journal_inode *env_disk(struct store *s, const struct inode *inode)
{
	(void)s;
	return inode->disk;
}

static uint64_t env_index(struct store *s, const struct inode *inode, uint64_t chunk)
{
	(void)s;
	return inode->index[chunk];
}

static void env_index_set(struct store *s, struct inode *inode, uint64_t chunk, uint64_t entry)
{
	(void)s;
	inode->index[chunk] = entry;
}

static void env_seals_set(struct store *s, struct inode *inode, const struct flush *f)
{
	(void)s;
	sealing_set(sealing_known(inode, f->chunk), &f->seals);
}

static struct inode *env_inode(struct store *s, unsigned nr)
{
	struct worker *w = s->owner;
	struct inode *inode = inode_get(w->inodes, nr);

	if (!inode)
		abort(); /* no memory; the successor finds everything in the journal */
	return inode;
}

static const void *env_node(struct store *s, struct inode *inode, uint64_t chunk)
{
	return region_node(s->owner, inode, chunk);
}

static void env_idle(struct store *s, struct inode *inode)
{
	struct worker *w = s->owner;

	inode_reap(w->inodes, inode->nr);
}

static void env_report(struct store *s, struct inode *inode, uint64_t chunk, const char *what, int error)
{
	region_report(s->owner, inode, chunk, what, error);
}

static void env_fail(struct store *s, struct inode *inode, uint64_t chunk, int error)
{
	region_fail(s->owner, inode, chunk, error);
}

static bool env_resident_page(struct store *s, struct inode *inode, uint64_t chunk, unsigned page, uint8_t *to)
{
	(void)s;
	if (!resident_has_page(inode->resident, chunk, page))
		return false;
	resident_read(inode->resident, chunk, page, to);
	return true;
}

/* ---- nodes */

/* Pages of which the node's copy may just be becoming another one, or have become it since it was asked: whichever
 * comes is authentic, and not used. */
static uint32_t fetch_flux(const struct fetch *f)
{
	const struct cache_entry *e = f->arg;

	return store_in_flux(e) | (e->inode->resident ? resident_pages(e->inode->resident, e->chunk) : 0);
}

static void fetch_came(struct fetch *f, const struct chunk_head *head, uint32_t got)
{
	struct cache_entry *e = f->arg;

	part_count(e->store->owner, e->inode, head, got);
	store_piece(e, got);
	store_turn(e->store);
}

/* As if it had come now. */
static void fetch_unpacked(struct fetch *f, const struct chunk_head *head, uint32_t got)
{
	struct cache_entry *e = f->arg;

	if (region_sealer(e->store->owner, e->inode))
		store_doubt(e, fetch_flux(f));
	fetch_came(f, head, got);
}

static int fetch_piece(struct fetch *f, struct gvm_conn *conn, uint64_t version, const struct chunk_head *head,
		       const uint8_t *body)
{
	struct cache_entry *e = f->arg;
	struct worker *w = e->store->owner;
	const struct part part = {
		.fetch = f,
		.inode = e->inode,
		.chunk = e->chunk,
		.asked = e->asked,
		.here = e->valid,
		.data = &e->data,
		.fetching = e->store->cache.fetching,
		.sealed = region_sealer(w, e->inode),
	};
	uint32_t got;
	int error;

	(void)conn;
	if (part.sealed)
		store_doubt(e, fetch_flux(f)); /* a request that was sent again brings pages that are valid once more */
	error = part_take(w, &part, version, head, body, &got); /* (no older than what was asked for) */
	if (error < 0 && error != -ENODATA) /* all that it listed, and no more: what another copy has brought stays */
		store_spoilt(e, chunk_pages_of_blocks(head->block_shift, head->block_mask));
	else if (error != FETCH_LATER)
		fetch_came(f, head, got);
	return error;
}

static void fetch_done(struct fetch *f, int result)
{
	struct cache_entry *e = f->arg;
	struct store *s = e->store;

	store_fetched(e, result);
	store_turn(s);
}

static void env_get(struct store *s, struct cache_entry *e, unsigned want_page)
{
	struct worker *w = s->owner;

	e->fetch.piece = fetch_piece;
	e->fetch.done = fetch_done;
	e->fetch.came = fetch_unpacked;
	e->fetch.flux = fetch_flux;
	e->fetch.arg = e;
	e->fetch.deadline_ns = pool_deadline(w->opts);
	e->fetch.what.page_mask = e->asked;
	e->fetch.what.want_page = (uint8_t)want_page;
	region_fetch(w, e->inode, e->chunk, &e->fetch);
}

static void env_hurry(struct store *s, struct cache_entry *e)
{
	part_hurry(s->owner, &e->fetch);
}

static void flushed(struct worker *w, struct flush *f)
{
	const struct wbuf *wbuf = (const struct wbuf *)f;

	sealed_judge(f, sealing_known(wbuf->inode, f->chunk));
	if (!f->result)
		worker_took(w, wbuf->inode, LATENCY_PUT, f->begun_ns);
	store_flushed(w->store, f); /* the turn comes when all outcomes are known */
}

static void env_send(struct store *s, struct inode *inode, struct flush *f)
{
	struct worker *w = s->owner;

	f->done = flushed;
	f->sealed = region_sealer(w, inode);
	f->seals_known = sealing_known(inode, f->chunk);
	f->begun_ns = gvm_now_ns();
	sender_send(w, inode, f);
}

static uint64_t env_deadline(struct store *s)
{
	const struct worker *w = s->owner;

	return pool_deadline(w->opts);
}

static uint64_t env_now(struct store *s)
{
	(void)s;
	return gvm_now_ns();
}

static const struct store_env calls = {
	.disk = env_disk,
	.index = env_index,
	.index_set = env_index_set,
	.seals_set = env_seals_set,
	.inode = env_inode,
	.node = env_node,
	.idle = env_idle,
	.report = env_report,
	.fail = env_fail,
	.resident_page = env_resident_page,
	.get = env_get,
	.hurry = env_hurry,
	.send = env_send,
	.deadline = env_deadline,
	.now = env_now,
};

int store_open(struct worker *w)
{
	struct store *s = w->store;
	uint8_t *data = mmap(NULL, CACHE_ENTRIES * GVM_CHUNK_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *scratch = aligned_alloc(GVM_PAGE_BYTES, STORE_SCRATCH * GVM_PAGE_BYTES);
	long host_pages = sysconf(_SC_PHYS_PAGES);

	if (data == MAP_FAILED || !scratch)
		return -ENOMEM; /* the worker ends */
	madvise(data, CACHE_ENTRIES * GVM_CHUNK_BYTES, MADV_HUGEPAGE); /* (it is all used soon, and copied page by page) */
	s->env = &calls;
	s->owner = w;
	s->stats = &w->journal->super->stats;
	s->wbufs.disk = w->journal->wbufs;
	s->wbufs.data = w->journal->wbuf_data;
	s->wbufs.mark32 = journal_publish32;
	s->wbufs.mark64 = journal_publish64;
	s->wbufs.spill.disk = w->journal->spill;
	s->wbufs.spill.counts = w->journal->spill_counts;
	s->wbufs.spill.buckets = w->journal->spill_buckets;
	s->wbufs.spill.data = w->journal->spill_data;
	s->wbufs.spill.mark32 = journal_publish32;
	s->wbufs.spill.release = journal_spill_release;
	s->wbufs.spill.pages_max = host_pages > 0 ? (uint64_t)host_pages / SPILL_PART : 0;
	s->sealed = w->sealer;
	store_begin(s, data, scratch);
	return 0;
}
