// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_nodes.c - gvmfs's functions of resident_env.h: the nodes, for the decisions of the fast
 * path; and the events from them. */
#include "base/mutant.h"
#include "node/part.h"
#include "node/pool.h"
#include "node/region_fetch.h"
#include "resident.h"
#include "resident_calls.h"
#include "state/sealing.h"
#include "state/seals.h"
#include "state/worker_state.h"
#include "store/sealed.h"
#include "store/sender.h"
#include "store/store.h"

#include <errno.h>

static void fetch_came(struct fetch *fetch, const struct chunk_head *head, uint32_t got)
{
	struct resident_fetch *f = fetch->arg;

	part_count(f->r->w, f->r->inode, head, got);
	resident_piece(f, got);
}

/* If a request was sent again, or to another node too, pages arrive twice. One that arrived before may just be copied into
 * the client's memory. */
static int fetch_piece(struct fetch *fetch, struct gvm_conn *conn, uint64_t version, const struct chunk_head *head,
		       const uint8_t *body)
{
	struct resident_fetch *f = fetch->arg;
	struct resident *r = f->r;
	const struct part part = {
		.fetch = fetch,
		.inode = r->inode,
		.chunk = f->chunk,
		.asked = f->asked,
		.here = f->decoded,
		.fixed = f->decoded,
		.data = &f->data,
		.fetching = r->rs->fetching,
		.waited = f->waited,
		.sealed = region_sealer(r->w, r->inode),
	};
	uint32_t got;
	int error = part_take(r->w, &part, version, head, body, &got); /* not older than the version asked for */

	if (error < 0 && mutant("rot-believed")) {
		got = f->asked;
		error = 0;
	}
	if (error == FETCH_LATER || (error < 0 && error != -ENODATA))
		return error;
	/* A page that a fault waits for is mapped before the rest of the connection's input is
	 * read. */
	if (got & f->waited) {
		gvm_conn_pause(conn);
		r->rs->paused = true;
	}
	fetch_came(fetch, head, got);
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
	f->fetch.came = fetch_came;
	/* A writer that is just sending this chunk sends other pages than these: the node's copies of these do not change
	 * meanwhile. */
	f->fetch.flux = NULL;
	f->fetch.arg = f;
	f->fetch.deadline_ns = pool_deadline(r->w->opts);
	f->fetch.what.page_mask = f->asked;
	f->fetch.what.want_page = (uint8_t)want_page;
	f->wanted_ns = want_page == GVM_NO_PAGE ? 0 : gvm_now_ns();
	region_fetch(r->w, r->inode, f->chunk, &f->fetch);
	/* It is the only fetch in flight: use the time until its answer to prepare for opening it. */
	if (want_page != GVM_NO_PAGE && r->rs->fetching == 1 && region_sealer(r->w, r->inode))
		sealing_expect(r->w->sealer, sealing_known(r->inode, f->chunk), want_page);
}

void env_hurry(struct resident *r, struct resident_fetch *f)
{
	part_hurry(r->w, &f->fetch);
}

void env_gather(struct resident *r, bool on)
{
	pool_gather(r->w->pool, on);
}

void env_get_cancel(struct resident *r, struct resident_fetch *f)
{
	(void)r;
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
	f->sealed = region_sealer(r->w, r->inode);
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
