// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Trees of messages, so that no node talks to thousands.
 *
 * Down: a node with a list of nodes to reach splits it into `fanout` parts and sends each part to
 * its first node, which does the same with the rest of the part. Copies of a page reach any number
 * of readers this way (each is a holder that serves more), and so do invalidations.
 *
 * Up: each node that passed an invalidation on gathers the answers and sends one to the node from
 * which it got the invalidation. The answer lists the nodes that have answered, so after a loss the
 * home asks only the missing ones again. A node that has no memory to gather has the nodes below it
 * answer past it.
 */
#include "impl.h"

/* For each part, its first entry and its length. */
#define for_each_part(at, len, n, parts)                                              \
	for (u32 part_ = 0, at = 0, parts_ = (parts), len;                            \
	     part_ < parts_ &&                                                        \
	     (len = ((n) - at + parts_ - part_ - 1) / (parts_ - part_), len > 0);     \
	     at += len, part_++)

static u32 parts_of(const struct ivy *c, u32 n)
{
	u32 least = (n + IVY_LIST_MAX - 1) / IVY_LIST_MAX;

	return least > c->p.fanout ? least : c->p.fanout;
}

/*
 * Sending a page occupies the link for longer than handling a message occupies a CPU, so a copy is
 * sent to few readers and these serve the rest. Best by simulation at 10 Gbit/s and 50 us; the
 * optimum is flat.
 */
#define DATA_FEW   8u /* readers that are served without help */
#define DATA_PARTS 3u

static u32 data_parts(u32 n)
{
	u32 least = (n + IVY_LIST_MAX - 1) / IVY_LIST_MAX;

	if (n <= DATA_FEW)
		return n;
	return least > DATA_PARTS ? least : DATA_PARTS;
}

/* ---- copies ---- */

void ivy_cast_data(struct ivy *c, u64 page, u64 ver, u8 flags, const u64 *who, u32 n,
		   const void *data)
{
	for_each_part(at, len, n, data_parts(n)) {
		struct ivy_msg m = {.type = IVY_DATA,
				    .flags = flags,
				    .page = page,
				    .ver = ver,
				    .count = (u16)len};
		u16 head = ivy_who_node(who[at]);
		u32 i;

		if (head == c->p.id) {
			/*
			 * The caller has removed its own requests; only a faulty peer lists this
			 * node.
			 */
			c->stats.ignored++;
			if (len > 1)
				ivy_cast_data(c, page, ver, flags, who + at + 1, len - 1, data);
			continue;
		}
		for (i = 0; i < len; i++)
			ivy_list_put_who(c->scratch, i, who[at + i]);
		ivy_send_list(c, head, &m, data);
	}
}

void ivy_cast_serve(struct ivy *c, u16 owner, u64 page, u64 ver, const u64 *who, u32 n)
{
	struct ivy_msg m = {.type = IVY_SERVE,
			    .page = page,
			    .ver = ver,
			    .count = (u16)n,
			    .inc = ivy_lease_its_inc(c, owner)};
	u32 i;

	for (i = 0; i < n; i++)
		ivy_list_put_who(c->scratch, i, who[i]);
	ivy_send_list(c, owner, &m, NULL);
}

/* ---- invalidations, down ---- */

/* The list is in c->scratch already, headed by the receiver. */
static void inv_send(struct ivy *c, u64 page, u64 ver, u16 to, u32 n)
{
	struct ivy_msg m = {.type = IVY_INV,
			    .page = page,
			    .ver = ver,
			    .to = to,
			    .count = (u16)n,
			    .list = c->scratch};

	c->stats.invalidations += n;
	ivy_send_list(c, ivy_list_id(&m, 0), &m, NULL);
}

void ivy_cast_inv(struct ivy *c, u64 page, u64 ver, u16 to, const u16 *ids, u32 n)
{
	for_each_part(at, len, n, parts_of(c, n)) {
		u32 i;

		for (i = 0; i < len; i++)
			ivy_list_put_id(c->scratch, i, ids[at + i]);
		inv_send(c, page, ver, to, len);
	}
}

void ivy_cast_inv_set(struct ivy *c, u64 page, u64 ver, const struct ivy_copyset *set, u16 but)
{
	u32 n = set->n - (u32)ivy_set_has(set, c->p.id) -
		(u32)(but != c->p.id && ivy_set_has(set, but));
	u16 id = 0;

	for_each_part(at, len, n, parts_of(c, n)) {
		u32 i = 0;

		for (; i < len; id++) {
			id = ivy_set_next(set, id);
			if (id != c->p.id && id != but)
				ivy_list_put_id(c->scratch, i++, id);
		}
		inv_send(c, page, ver, c->p.id, len);
	}
}

static u8 *cast_bits(struct ivy_cast *cast)
{
	return (u8 *)(cast->ids + cast->n);
}

static struct ivy_cast *cast_make(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_op *op = ivy_op_make(c, m->page);
	struct ivy_cast *cast;
	u32 i;

	if (!op)
		return NULL;
	if (op->cast)
		ivy_cast_flush(c, op);
	cast = ivy_alloc(c, ivy_cast_bytes(m->count));
	if (!cast)
		return NULL;
	cast->ver = m->ver;
	cast->due = ivy_now(c) + c->p.retry_ns / 2;
	cast->to = m->to;
	cast->n = m->count;
	for (i = 0; i < m->count; i++)
		cast->ids[i] = ivy_list_id(m, i);
	op->cast = cast;
	return cast;
}

void ivy_cast_pass_inv(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_cast *cast = cast_make(c, m);
	u32 i;

	for (i = 1; i < m->count; i++)
		c->ids[i - 1] = ivy_list_id(m, i);
	ivy_cast_inv(c, m->page, m->ver, cast ? c->p.id : m->to, c->ids, m->count - 1u);
	if (cast && IVY_MUTANT(TREE_FORGETS)) {
		cast->acked = cast->n;
		__builtin_memset(cast_bits(cast), 0xff, (cast->n + 7u) / 8);
		ivy_cast_flush(c, ivy_op_get(c, m->page));
	}
}

/* ---- answers, up ---- */

void ivy_cast_ack(struct ivy *c, u64 page, u64 ver, u16 to, const u16 *ids, u32 n)
{
	struct ivy_msg m = {.type = IVY_ACK, .page = page, .ver = ver, .count = (u16)n};
	u32 i;

	for (i = 0; i < n; i++)
		ivy_list_put_id(c->scratch, i, ids[i]);
	if (to != c->p.id) {
		ivy_send_list(c, to, &m, NULL);
	} else if (n == 1) {
		/* The ring takes no lists: a node's answer to itself is in `who`. */
		m.count = 0;
		m.who = ivy_who(ids[0], 0);
		ivy_send(c, to, &m, NULL);
	}
}

void ivy_cast_free(struct ivy *c, struct ivy_op *op)
{
	if (op->cast)
		ivy_free(c, op->cast, ivy_cast_bytes(op->cast->n));
	op->cast = NULL;
}

void ivy_cast_flush(struct ivy *c, struct ivy_op *op)
{
	struct ivy_cast *cast = op->cast;
	u32 i, n = 0;

	for (i = 0; i < cast->n; i++)
		if (cast_bits(cast)[i / 8] >> (i % 8) & 1)
			c->ids[n++] = cast->ids[i];
	if (n)
		ivy_cast_ack(c, op->page, cast->ver, cast->to, c->ids, n);
	ivy_cast_free(c, op);
}

static void cast_mark(struct ivy_cast *cast, u16 id)
{
	u32 tried, i = cast->hint;

	/* Answers list nodes in the order in which they were asked: the next one is at the hint. */
	for (tried = 0; tried < cast->n; tried++, i = (i + 1) % cast->n) {
		if (cast->ids[i] != id)
			continue;
		if (!(cast_bits(cast)[i / 8] >> (i % 8) & 1)) {
			cast_bits(cast)[i / 8] |= (u8)(1u << (i % 8));
			cast->acked++;
		}
		cast->hint = (u16)((i + 1) % cast->n);
		return;
	}
}

void ivy_cast_acked(struct ivy *c, struct ivy_op *op)
{
	u16 self = c->p.id;

	if (!op->cast || op->cast->ver != op->inv_ver) {
		ivy_cast_ack(c, op->page, op->inv_ver, op->inv_to, &self, 1);
		return;
	}
	cast_mark(op->cast, self);
	if (op->cast->acked == op->cast->n)
		ivy_cast_flush(c, op);
}

void ivy_cast_rx_ack(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_op *op = ivy_op_get(c, m->page);
	u32 i;

	if (op && op->cast && op->cast->ver == m->ver) {
		for (i = 0; i < m->count; i++)
			cast_mark(op->cast, ivy_list_id(m, i));
		if (op->cast->acked == op->cast->n)
			ivy_cast_flush(c, op);
		ivy_op_trim(c, op);
		return;
	}
	if (!m->count || ivy_home_of(c, m->page) == m->src)
		return;
	/* The gathered answer has been sent already: pass this one on to the home by itself. */
	for (i = 0; i < m->count; i++)
		c->ids[i] = ivy_list_id(m, i);
	ivy_cast_ack(c, m->page, m->ver, ivy_home_of(c, m->page), c->ids, m->count);
}
