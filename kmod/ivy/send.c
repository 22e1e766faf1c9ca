// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A message on its way out.
 *
 * A message to this node itself goes into a ring, drained at the end of each call from outside, so
 * that no function is re-entered by its own messages. If the ring is full the message is dropped;
 * the protocol tolerates loss.
 */
#include "impl.h"

void ivy_send(struct ivy *c, u16 dst, struct ivy_msg *m, const void *data)
{
	m->src = c->p.id;
	if (dst != c->p.id) {
		c->stats.sent++;
		c->env->send(c->ctx, dst, m, data);
		return;
	}
	IVY_ASSERT(!m->count); /* a list is in c->scratch, reused before the ring is drained */
	if (c->ring_n == IVY_RING)
		return;
	c->ring[(c->ring_at + c->ring_n++) % IVY_RING] = *m;
}

/* The list is in c->scratch. */
void ivy_send_list(struct ivy *c, u16 dst, struct ivy_msg *m, const void *data)
{
	m->src = c->p.id;
	m->list = c->scratch;
	c->stats.sent++;
	c->env->send(c->ctx, dst, m, data);
}
