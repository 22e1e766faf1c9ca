// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_evict.c - see resident.h. How chunks go: the zap, the eviction, the balance of both with
 * the budget, and the end. */
#include "gvm_attach.h"
#include "descriptors.h"
#include "log.h"
#include "mutant.h"
#include "region.h"
#include "resident_priv.h"
#include "uffd.h"
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEADROOM_MAX 64u /* chunks of the budget that are kept free for faults to come */
#define RETRY_NS     1000000000ull
#define LOOK_NS	     20000000ull
#define GONE_SAY_NS  5000000000ull
#define LOOKS	     64u

static const char *name_of(const struct resident *r)
{
	return worker_disk(r->w, r->inode)->rec.name;
}

/* The client's page tables. */

static void client_send(struct resident *r, struct gvm_attach_msg *msg)
{
	int error;

	msg->magic = GVM_ATTACH_MAGIC;
	msg->version = GVM_ATTACH_VERSION;
	error = descriptors_send(r->fd[SESSION_SOCKET], msg, sizeof(*msg), NULL, 0);
	if (error && error != -EPIPE && error != -ECONNRESET)
		log_error(name_of(r), "its client is not reached: %s", strerror(-error));
}

static void zap_done(struct resident *r)
{
	r->zapping = false;
	for (uint64_t c = r->zap_first; c < r->zap_first + r->zap_count; c++)
		if (r->chunk[c].state == CHUNK_ZAPPING) {
			r->chunk[c].state = CHUNK_INACTIVE;
			chunk_enlist(r, c, LIST_INACTIVE);
		}
}

/* Has the page-table entries of the group around the chunk that has been active longest dropped. */
static void zap_start(struct resident *r, uint64_t c)
{
	uint64_t first = c - c % GROUP_CHUNKS, end = first + GROUP_CHUNKS;
	struct gvm_attach_msg msg = { .type = GVM_ATTACH_ZAP };

	if (end > r->chunks)
		end = r->chunks;
	for (c = first; c < end; c++)
		if (r->chunk[c].state == CHUNK_RESIDENT &&
		    !(mutant("early-pin") && atomic_load(&r->pins[c]))) {
			r->chunk[c].state = CHUNK_ZAPPING;
			chunk_unlist(r, c);
		}
	r->zapping = true;
	r->zap_first = first;
	r->zap_count = end - first;
	msg.seq = ++r->zap_seq;
	msg.offset = first * GVM_CHUNK_BYTES;
	msg.bytes = end * GVM_CHUNK_BYTES;
	if (msg.bytes > r->bytes)
		msg.bytes = r->bytes;
	msg.bytes -= msg.offset;
	worker_count(r->w, r->inode, zaps, 1);
	if (mutant("no-zap"))
		zap_done(r);
	else
		client_send(r, &msg);
}

/* Eviction. */

static struct eviction *eviction_take(struct resident *r)
{
	struct residents *rs = &r->w->residents;
	struct eviction *e = rs->evictions_free;

	if (!e || r->evictions > 2 * rs->evictions_left)
		return NULL;
	rs->evictions_free = e->next_free;
	rs->evictions_left--;
	r->evictions++;
	e->r = r;
	return e;
}

static void eviction_give(struct eviction *e)
{
	struct residents *rs = &e->r->w->residents;

	e->r->evictions--;
	e->r = NULL;
	e->next_free = rs->evictions_free;
	rs->evictions_free = e;
	rs->evictions_left++;
}

/* Above every version that a node may hold of the chunk. */
static uint64_t version_next(const struct resident *r, uint64_t c, uint64_t base, uint64_t epoch)
{
	uint64_t version = gvm_version(epoch, 1);

	if ((base & GVM_VERSION_MASK) >= version)
		version = (base & GVM_VERSION_MASK) + 1;
	if (r->mark[c].tried >= version)
		version = r->mark[c].tried + 1;
	return version;
}

static bool is_pinned(struct resident *r, uint64_t c)
{
	return !r->draining && !mutant("early-pin") && atomic_load(&r->pins[c]);
}

/* Hands a chunk to a writer. */
static void chunk_send(struct resident *r, uint64_t c, struct eviction *e)
{
	struct worker *w = r->w;
	struct journal_inode *d = worker_disk(w, r->inode);
	struct chunk *k = &r->chunk[c];
	struct flush *f = &e->flush;

	k->sending = true;
	e->synced = k->sync;
	f->resident = true;
	f->region = d->rec.id;
	f->node = d->rec.nodes[record_node_of(&d->rec, c)];
	f->epoch = d->epoch - mutant("stale-epoch");
	f->chunk = c;
	f->base = journal_index(&w->journal, r->inode->nr)[c];
	f->tried = r->mark[c].tried > (f->base & GVM_VERSION_MASK);
	f->version = version_next(r, c, f->base, d->epoch);
	f->pages = r->mark[c].filled;
	f->data = NULL;
	f->memory_fd = r->fd[SESSION_MEMORY];
	f->seed = r->seed;
	f->hashes_known = k->hashes;
	f->hashes = e->hashes;
	f->whole_retry = false;
	/* Before it can reach a node: a successor must not use the version for other bytes. */
	journal_publish64(&r->mark[c].tried, f->version);
	writeback_send(w, f);
}

bool eviction_start(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];
	struct eviction *e;

	if (k->sending || is_pinned(r, c)) {
		if (!k->sending) {
			worker_count(r->w, r->inode, pinned_chunks, 1);
			r->pinned_row++;
		}
		k->state = CHUNK_RESIDENT;
		chunk_enlist(r, c, LIST_ACTIVE);
		return true;
	}
	e = eviction_take(r);
	if (!e)
		return false;
	r->pinned_row = 0;
	chunk_unlist(r, c);
	k->state = CHUNK_EVICTING;
	chunk_send(r, c, e);
	return true;
}

/* What the node has acknowledged is what the chunk's hashes are of. */
static void hashes_keep(struct resident *r, struct eviction *e)
{
	struct chunk *k = &r->chunk[e->flush.chunk];

	if (k->hashes == r->zero_hashes)
		k->hashes = NULL;
	if (!k->hashes)
		k->hashes = malloc(sizeof(e->hashes));
	if (k->hashes)
		memcpy(k->hashes, e->hashes, sizeof(e->hashes));
}

static void eviction_count(struct resident *r, const struct flush *f)
{
	struct worker *w = r->w;

	worker_count(w, r->inode, evictions, 1);
	if (f->clean) {
		worker_count(w, r->inode, evictions_clean, 1);
		return;
	}
	worker_count(w, r->inode, chunks_written, 1);
	worker_count(w, r->inode, put_bytes, f->put_bytes);
	worker_count(w, r->inode, put_raw_bytes, f->raw_bytes);
	worker_count(w, r->inode, zero_pages_written, f->zero_pages);
	worker_count(w, r->inode, delta_puts, f->delta);
	worker_count(w, r->inode, base_fetches, f->base_fetched);
}

static void eviction_failed(struct resident *r, uint64_t c, int error)
{
	struct chunk *k = &r->chunk[c];

	if (error == -ENOSPC || error == -ENOMEM || error == -EBADMSG) {
		region_report(r->w, r->inode, c, "write-back (will be tried again)", error);
		r->retry_at_ns = gvm_now_ns() + RETRY_NS;
	} else {
		region_fail(r->w, r->inode, c, error);
	}
	if (k->state == CHUNK_EVICTING) {
		k->state = CHUNK_INACTIVE;
		chunk_enlist(r, c, LIST_INACTIVE);
	}
}

void sync_end(struct resident *r, uint64_t c, int error)
{
	if (!r->chunk[c].sync)
		return;
	r->chunk[c].sync = false;
	if (r->sync_left)
		r->sync_left--;
	if (error)
		r->sync_error = error;
	resident_syncs_check(r);
}

void resident_evicted(struct worker *w, struct flush *f)
{
	struct eviction *e = (struct eviction *)f;
	struct resident *r = e->r;
	uint64_t c = f->chunk;
	struct chunk *k = &r->chunk[c];
	bool evicting = k->state == CHUNK_EVICTING;

	k->sending = false;
	if (f->result < 0) {
		eviction_failed(r, c, f->result);
		eviction_give(e);
		resident_balance(r);
		return;
	}
	if (!f->clean)
		journal_index(&w->journal, r->inode->nr)[c] = flush_index_entry(f);
	eviction_count(r, f);
	if (evicting) {
		chunk_drop(r, c);
		sync_end(r, c, 0);
	} else {
		hashes_keep(r, e);
		/* One that an fsync marked while it was being sent is to be sent again. */
		if (e->synced)
			sync_end(r, c, 0);
	}
	eviction_give(e);
	if (r->draining && k->state != CHUNK_ABSENT && k->list == LIST_NONE) {
		k->state = CHUNK_INACTIVE;
		chunk_enlist(r, c, LIST_INACTIVE);
	}
	resident_ops_continue(r);
	resident_balance(r);
}

/* Balance. */

/*
 * Goes on with an fsync: each marked chunk is sent as it is, and stays as it is, pinned or not. (Its
 * client may change it meanwhile, which is what the hashes of what was sent are for.)
 */
static void sync_continue(struct resident *r)
{
	for (; r->sync_left && r->sync_next < r->chunks; r->sync_next++) {
		uint64_t c = r->sync_next;
		struct eviction *e;

		if (!r->chunk[c].sync || r->chunk[c].sending)
			continue; /* sent already, or its turn is in the next round */
		if (r->chunk[c].state == CHUNK_FILLING) {
			/* The pages that it has may have been changed: the others come first. */
			resident_bring(r, c, GVM_NO_PAGE);
			return;
		}
		e = eviction_take(r);
		if (!e)
			return;
		chunk_send(r, c, e);
	}
	/* What was passed over is looked at again when a writer hands something back. */
	if (r->sync_left && r->sync_next == r->chunks)
		r->sync_next = 0;
}

/* Nobody wants what is here, since the region is deleted, or it has no place to go, since it failed. */
static void drop_all(struct resident *r, bool failed)
{
	uint64_t lost = 0;

	for (uint64_t c = 0; c < r->chunks && r->resident; c++)
		if (r->chunk[c].state != CHUNK_ABSENT && !r->chunk[c].sending) {
			sync_end(r, c, failed ? -EIO : 0);
			chunk_drop(r, c);
			lost++;
		}
	if (lost && failed)
		log_error(name_of(r), "%llu chunks that were on this host are lost",
			  (unsigned long long)lost);
}

/* The client's memory is gone: what is here goes to the nodes, or nowhere. */
static void drain(struct resident *r)
{
	const struct journal_inode *d = worker_disk(r->w, r->inode);

	if (d->failed || (d->use == INODE_UNLINKED && !r->inode->opens)) {
		drop_all(r, d->failed);
		return;
	}
	while (r->lists[LIST_INACTIVE].head && gvm_now_ns() >= r->retry_at_ns)
		if (!eviction_start(r, r->lists[LIST_INACTIVE].head - 1))
			return;
}

/* How many chunks should leave now. */
static uint64_t surplus(const struct resident *r, uint64_t headroom)
{
	uint64_t goal = r->local_chunks - headroom;

	if (r->local_chunks >= r->chunks)
		return 0;
	return r->resident > goal ? r->resident - goal : 0;
}

/* Chunks that were punched out as a whole stand first in the list: the nodes shall know soon. */
static void empty_leave(struct resident *r)
{
	while (r->lists[LIST_INACTIVE].head) {
		uint64_t c = r->lists[LIST_INACTIVE].head - 1;

		if ((r->chunk[c].holes | ~chunk_pages(r, c)) != ~0u || !eviction_start(r, c))
			return;
	}
}

void resident_balance(struct resident *r)
{
	uint64_t headroom = r->local_chunks / 16, stock;

	if (r->draining) {
		drain(r);
		return;
	}
	if (r->client_gone || r->aborted)
		return;
	if (headroom > HEADROOM_MAX)
		headroom = HEADROOM_MAX;
	stock = 2 * headroom > r->local_chunks / 8 ? 2 * headroom : r->local_chunks / 8;
	if (!r->pinned && gvm_now_ns() >= r->retry_at_ns) {
		empty_leave(r);
		while (surplus(r, headroom) > r->evictions && r->lists[LIST_INACTIVE].head)
			if (!eviction_start(r, r->lists[LIST_INACTIVE].head - 1))
				break;
		if (surplus(r, 2 * headroom) && !r->zapping && r->lists[LIST_ACTIVE].head &&
		    r->lists[LIST_INACTIVE].count + r->evictions < stock)
			zap_start(r, r->lists[LIST_ACTIVE].head - 1);
	}
	sync_continue(r);
	/* Everything that could leave is pinned, and somebody waits: a guest that goes on beyond its
	 * budget is better than one that stands still. */
	if (r->pinned_row > r->resident && r->lists[LIST_BLOCKED].head && !r->over) {
		r->over = true;
		log_warning(name_of(r), "direct I/O pins all of its budget, which is exceeded now");
	}
	blocked_continue(r);
}

/* The client. */

void resident_abort(struct resident *r, const char *why)
{
	struct gvm_attach_msg msg = { .type = GVM_ATTACH_ABORT };

	if (r->aborted)
		return;
	r->aborted = true;
	strncpy(msg.text, why, sizeof(msg.text) - 1);
	log_error(name_of(r), "its client, process %d, cannot go on: %s", r->pid, why);
	client_send(r, &msg);
	resident_ops_fail(r, RESIDENT_ALL_CHUNKS, -EIO);
	resident_syncs_fail(r, -EIO);
}

static void resident_pin(struct resident *r, const struct gvm_attach_msg *msg)
{
	if (r->pinned)
		return;
	r->pinned = true;
	r->w->journal.sessions[r->session].pinned = 1;
	log_warning(name_of(r), "%.*s: all of it stays on this host, whatever the budget",
		    (int)sizeof(msg->text), msg->text);
	blocked_continue(r);
}

void resident_client_gone(struct resident *r)
{
	if (r->client_gone)
		return;
	r->client_gone = true;
	r->look_at_ns = gvm_now_ns();
	r->gone_said_ns = r->look_at_ns + GONE_SAY_NS;
	resident_unwatch(r);
}

/* Nobody can write to the memory any more: everything that is here may go as it is. */
static void drain_begin(struct resident *r)
{
	r->draining = true;
	r->zapping = false;
	for (unsigned i = 0; i < RESIDENT_FETCHES; i++)
		if (r->w->residents.fetches[i].r == r)
			gvm_cancel(&r->w->residents.fetches[i].get.req);
	while (r->lists[LIST_BLOCKED].head)
		chunk_unlist(r, r->lists[LIST_BLOCKED].head - 1);
	resident_ops_fail(r, RESIDENT_ALL_CHUNKS, -EIO);
	for (uint64_t c = 0; c < r->chunks; c++)
		if (r->chunk[c].state != CHUNK_ABSENT && r->chunk[c].state != CHUNK_EVICTING &&
		    !r->chunk[c].sending) {
			r->chunk[c].state = CHUNK_INACTIVE;
			chunk_enlist(r, c, LIST_INACTIVE);
		}
}

static void zapped(struct resident *r, const struct gvm_attach_msg *msg)
{
	if (r->zapping && msg->seq == r->zap_seq) {
		zap_done(r);
		resident_balance(r);
	}
}

static void client_event(struct resident *r)
{
	struct gvm_attach_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count;
	int error;

	while (!r->client_gone) {
		error = descriptors_receive(r->fd[SESSION_SOCKET], &msg, sizeof(msg), fds, &count);
		jobs_close(&r->w->jobs, fds, count);
		if (error == -EAGAIN)
			return;
		if (!error && msg.magic == GVM_ATTACH_MAGIC && msg.version == GVM_ATTACH_VERSION) {
			if (msg.type == GVM_ATTACH_ZAPPED) {
				zapped(r, &msg);
				continue;
			}
			if (msg.type == GVM_ATTACH_PIN_ALL) {
				resident_pin(r, &msg);
				continue;
			}
			error = -EPROTO;
		}
		if (error != -EPIPE)
			log_error(name_of(r), "its client, process %d, does not keep to the protocol",
				  r->pid);
		resident_client_gone(r);
	}
}

bool resident_has_left(struct resident *r)
{
	client_event(r);
	return r->client_gone;
}

bool resident_event(struct worker *w, void *what)
{
	for (unsigned i = 0; i < JOURNAL_SESSIONS && w->residents.count; i++) {
		struct resident *r = w->residents.list[i];

		if (!r || (what != &r->fd[SESSION_UFFD] && what != &r->fd[SESSION_SOCKET]))
			continue;
		if (what == &r->fd[SESSION_SOCKET])
			client_event(r);
		return true;
	}
	return false;
}

/* Whether any part of the client's mapping is still there: asked of a sample, since a mapping goes as
 * a whole. */
static bool mapping_remains(const struct resident *r)
{
	uint64_t step = r->bytes / LOOKS / GVM_PAGE_BYTES * GVM_PAGE_BYTES + GVM_PAGE_BYTES;

	for (uint64_t off = 0; off < r->bytes; off += step)
		if (uffd_registered(r->fd[SESSION_UFFD], r->address + off))
			return true;
	return uffd_registered(r->fd[SESSION_UFFD], r->address + r->bytes - GVM_PAGE_BYTES);
}

/* Returns when to look again, 0: it is over. */
static uint64_t gone_tick(struct resident *r, uint64_t now_ns)
{
	if (!r->draining && mapping_remains(r)) {
		if (now_ns > r->gone_said_ns) {
			log_error(name_of(r), "process %d has left, but its mapping is still there; "
				  "nothing of it is written back before that is gone", r->pid);
			r->gone_said_ns = now_ns + 12 * GONE_SAY_NS;
		}
		return now_ns + LOOK_NS;
	}
	if (!r->draining)
		drain_begin(r);
	drain(r);
	if (r->resident || r->evictions || r->fetches)
		return r->retry_at_ns > now_ns ? r->retry_at_ns : now_ns + RETRY_NS;
	return 0;
}

uint64_t residents_tick(struct worker *w, uint64_t now_ns)
{
	uint64_t next = ~0ull;

	for (unsigned i = 0; i < JOURNAL_SESSIONS && w->residents.count; i++) {
		struct resident *r = w->residents.list[i];

		if (!r)
			continue;
		if (r->client_gone) {
			if (r->draining && !r->resident && !r->evictions && !r->fetches)
				r->look_at_ns = 0;
			if (r->look_at_ns <= now_ns)
				r->look_at_ns = gone_tick(r, now_ns);
			if (!r->look_at_ns) {
				resident_close(r);
				continue;
			}
			if (r->look_at_ns < next)
				next = r->look_at_ns;
		} else if (r->retry_at_ns > now_ns) {
			if (r->retry_at_ns < next)
				next = r->retry_at_ns;
		} else if (r->retry_at_ns) {
			r->retry_at_ns = 0;
			resident_balance(r);
		}
	}
	return next;
}
