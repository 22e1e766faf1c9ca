// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests for pages that are likely to be next.
 *
 * Where faults come on one page after the other, the ones after these are asked for ahead. Each of
 * them is a request like any other, of a page of its own, and is granted or not by itself; what
 * they save is messages, since those of a run become one (send.c), and the time of an exchange. No
 * fault waits for them: what is not answered in time is given up, and a fault that comes to such a
 * page before that takes the request over.
 *
 * Where the faults are reads, these are reads. Where they are writes only zeros are asked for that
 * no node has: what is another node's is not taken from it before somebody wants it. The home says
 * so (NOT), and a fault that has come meanwhile asks in earnest.
 */
#include "impl.h"

static bool wanted_ahead(struct ivy *c, u64 page, bool fresh)
{
	u16 home = ivy_home_of(c, page);
	const struct ivy_home *h;

	if (ivy_slot_get(c, page) || ivy_op_get(c, page))
		return false;
	if (home != c->p.id)
		return ivy_lease_live(c, home, false);
	/* Zeros of this node's own cost no message. */
	h = fresh ? NULL : ivy_dir_entry(c, page, false);
	return h && h->owner != IVY_NONE && h->owner != home;
}

static bool ask_ahead(struct ivy *c, u64 page, enum ivy_access access)
{
	bool fresh = access == IVY_WRITE;
	struct ivy_op *op;

	if (!wanted_ahead(c, page, fresh))
		return true;
	op = ivy_op_make(c, page);
	if (!op)
		return false;
	op->ahead = fresh ? IVY_AHEAD_FRESH : IVY_AHEAD_READ;
	op->look = access == IVY_LOOK;
	c->stats.ahead++;
	ivy_op_want(c, op, IVY_S);
	return true;
}

/* The stream that the page goes on with, or the beginning of one; NULL: the last page again. */
static struct ivy_stream *stream_of(struct ivy *c, u64 page)
{
	struct ivy_stream *s;
	u32 i;

	for (i = 0; i < IVY_STREAMS; i++) {
		s = &c->streams[i];
		if (s->next == page + 1)
			return NULL;
		if (s->next == page && page)
			return s;
	}
	s = &c->streams[c->stream_at++ % IVY_STREAMS];
	s->n = 0;
	s->end = 0;
	return s;
}

void ivy_ahead_fault(struct ivy *c, u64 page, enum ivy_access access)
{
	struct ivy_stream *s = c->p.ahead ? stream_of(c, page) : NULL;
	u64 window, from, to;

	/* Many nodes that read the same pages are served through trees, page by page. */
	if (!s || (access != IVY_WRITE && c->p.relays > c->p.relay_above))
		return;
	s->next = page + 1;
	s->n += s->n < c->p.ahead;
	if (s->n <= IVY_AHEAD_AFTER)
		return;
	window = 2 * s->n < c->p.ahead ? 2 * s->n : c->p.ahead;
	from = s->end > s->next ? s->end : s->next;
	to = s->next + window < c->p.pages ? s->next + window : c->p.pages;
	/* By halves, and to the end of a run, so that a message is about many pages. */
	if (from > s->next + window / 2)
		return;
	if (to - to % IVY_RUN > from)
		to -= to % IVY_RUN;
	while (from < to && ask_ahead(c, from, access))
		from++;
	s->end = from;
}

void ivy_ahead_refused(struct ivy *c, struct ivy_op *op)
{
	u64 page = op->page;
	u32 i;

	for (i = 0; i < IVY_STREAMS; i++)
		if (page < c->streams[i].end && page + c->p.ahead >= c->streams[i].next)
			c->streams[i].n = 0; /* so it is likely to be with the next ones */
	ivy_op_finish(c, op, 0);
	ivy_op_trim(c, op);
}
