// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_nodes.c - gvmfs's functions of resident_env.h: the nodes, for the decisions of the fast
 * path; and the events from them. */
#include "base/mutant.h"
#include "node/pool.h"
#include "node/region_fetch.h"
#include "node/unpack.h"
#include "resident.h"
#include "resident_calls.h"
#include "state/sealing.h"
#include "state/worker.h"
#include "store/sealed.h"
#include "store/sender.h"
#include "store/store.h"

#include <errno.h>
#include <string.h>

/* If a request was sent again, or to another node too, pages arrive twice. A page that arrived
 * before may just be copied into the client's memory, so its place in f->data is not written again. */
static int piece_decode(struct resident_fetch *f, uint64_t version, const struct chunk_head *head,
			const uint8_t *body, uint32_t *got)
{
	static uint8_t twice[GVM_CHUNK_BYTES];
	static const struct seal_known nothing;
	struct resident *r = f->r;
	const struct gvm_id *region = &r->inode->disk->rec.id;
	struct sealer *sealer = sealing_sealer(r->w, r->inode);
	struct seal_known *known = sealing_known(r->inode, f->chunk);
	bool again = f->decoded & chunk_pages_of_blocks(head->block_shift, head->block_mask);
	uint8_t *to = again ? twice : f->data;
	int error;

	/* A writer that is just sending this chunk sends other pages than these: the node's copies
	 * of these do not change meanwhile. */
	if (sealer)
		error = seal_decode(sealer, r->w->codec, head, body, region, f->chunk, version,
				    known ? known : &nothing, f->asked, to, got);
	else
		error = chunk_decode(r->w->codec, head, body, region, f->chunk, f->asked, to, got);
	if (error && mutant("rot-believed")) {
		*got = f->asked;
		error = 0;
	}
	if (!error || error == -ENODATA)
		sealing_learn(sealer ? known : NULL, head, *got);
	for (unsigned p = 0; (!error || error == -ENODATA) && again && p < GVM_CHUNK_PAGES; p++)
		if (*got & ~f->decoded & 1u << p)
			memcpy(f->data + p * GVM_PAGE_BYTES, twice + p * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
	return error;
}

static void piece_count(const struct resident *r, const struct chunk_head *head, uint32_t got)
{
	worker_count(r->w, r->inode, fetch_bytes, head->body_bytes);
	worker_count(r->w, r->inode, fetch_raw_bytes,
		     GVM_PAGE_BYTES * (uint64_t)__builtin_popcount(got & ~head->zero_map));
}

static void piece_unpacked(void *owner, const struct chunk_head *head, uint32_t got, int error)
{
	struct fetch *fetch = owner;
	struct resident_fetch *f = fetch->arg;

	f->beside = 0;
	if (!error) {
		piece_count(f->r, head, got);
		resident_piece(f, got);
	}
	fetch_looked(fetch, error);
}

/* Gives most of a chunk that nobody waits for, one of several on their way, to another thread to decode. False:
 * the front decodes it. */
static bool piece_give(struct resident_fetch *f, const struct chunk_head *head, const uint8_t *body)
{
	struct resident *r = f->r;
	uint32_t pages = chunk_pages_of_blocks(head->block_shift, head->block_mask);
	const struct unpack_piece piece = {
		.region = r->inode->disk->rec.id,
		.chunk = f->chunk,
		.zero_pages = f->asked & ~f->decoded, /* what is here already stays as it is */
		.to = f->data,
		.done = piece_unpacked,
		.owner = &f->fetch,
	};

	if (sealing_sealer(r->w, r->inode) || f->beside || f->fetch.here || f->decoded & pages ||
	    !unpack_pays(pages, r->rs->fetching, f->waited) || !unpack_give(r->w->unpack, &piece, head, body))
		return false;
	f->beside = pages;
	return true;
}

static int fetch_piece(struct fetch *fetch, struct gvm_conn *conn, uint64_t version, const struct chunk_head *head,
		       const uint8_t *body)
{
	struct resident_fetch *f = fetch->arg;
	struct resident *r = f->r;
	uint32_t got = 0;
	int error;

	if (piece_give(f, head, body))
		return FETCH_LATER;
	if (f->beside)
		unpack_finish(r->w->unpack, fetch);
	error = piece_decode(f, version, head, body, &got); /* not older than the version asked for */
	if (error < 0 && error != -ENODATA)
		return error;
	piece_count(r, head, got);
	/* A page that a fault waits for is mapped before the rest of the connection's input is
	 * read. */
	if (got & f->waited) {
		gvm_conn_pause(conn);
		r->rs->paused = true;
	}
	resident_piece(f, got);
	return error;
}

static void fetch_done(struct fetch *fetch, int result)
{
	resident_fetched(fetch->arg, result);
}

void env_get(struct resident *r, struct resident_fetch *f, unsigned want_page)
{
	f->fetch.piece = fetch_piece;
	f->fetch.done = fetch_done;
	f->fetch.arg = f;
	f->beside = 0;
	f->fetch.deadline_ns = pool_deadline(r->w->opts);
	f->fetch.what.page_mask = f->asked;
	f->fetch.what.want_page = (uint8_t)want_page;
	f->wanted_ns = want_page == GVM_NO_PAGE ? 0 : gvm_now_ns();
	region_fetch(r->w, r->inode, f->chunk, &f->fetch);
	/* It is the only fetch in flight: use the time until its answer to prepare for opening it. */
	if (want_page != GVM_NO_PAGE && r->rs->fetching == 1 && sealing_sealer(r->w, r->inode))
		sealing_expect(r->w->sealer, sealing_known(r->inode, f->chunk), want_page);
}

void env_gather(struct resident *r, bool on)
{
	pool_gather(r->w->pool, on);
}

void env_get_cancel(struct resident *r, struct resident_fetch *f)
{
	if (f->beside)
		unpack_finish(r->w->unpack, &f->fetch);
	fetch_cancel(&f->fetch);
}

static void flushed(struct worker *w, struct flush *f)
{
	const struct eviction *e = (const struct eviction *)f;

	sealed_judge(f, sealing_known(e->r->inode, f->chunk));
	if (!f->result && !f->clean)
		worker_took(w, e->r->inode, LATENCY_PUT, f->begun_ns);
	resident_flushed(f);
}

void env_send(struct resident *r, struct flush *f)
{
	f->done = flushed;
	f->sealed = sealing_sealer(r->w, r->inode);
	f->seals_known = sealing_known(r->inode, f->chunk);
	f->memory_fd = r->fd[SESSION_MEMORY];
	f->begun_ns = gvm_now_ns();
	sender_send(r->w, r->inode, f);
}

void env_index(struct resident *r, uint64_t c, uint64_t entry)
{
	r->index[c] = entry;
	store_invalidate(r->w->store, r->inode, c, ~0u);
}

void env_seals_set(struct resident *r, const struct flush *f)
{
	sealing_set(sealing_known(r->inode, f->chunk), &f->seals);
}

uint64_t env_deadline(const struct resident *r)
{
	return pool_deadline(r->w->opts);
}
