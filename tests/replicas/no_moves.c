// SPDX-License-Identifier: GPL-2.0-or-later
/* no_moves.c - for replicas.c and repair.c where no copy ever moves to another node: nothing is drained, balanced or replaced. */
#include "node/balance.h"
#include "node/drain.h"
#include "node/replace.h"
#include "node/surplus.h"

bool drain_needs(struct worker *w, struct inode *i)
{
	(void)w;
	(void)i;
	return false;
}

void drain_open(struct replicas *r)
{
	(void)r;
}

void drain_end(struct replicas *r)
{
	(void)r;
}

bool drain_holds(const struct replicas *r, unsigned slot)
{
	(void)r;
	(void)slot;
	return false;
}

void drain_written(struct replicas *r, uint64_t chunk)
{
	(void)r;
	(void)chunk;
}

void drain_look(struct replicas *r, uint64_t now_ns)
{
	(void)r;
	(void)now_ns;
}

uint64_t drain_left(const struct replicas *r)
{
	(void)r;
	return 0;
}

uint64_t drain_poll(struct worker *w, uint64_t now_ns)
{
	(void)w;
	(void)now_ns;
	return ~0ull;
}

uint64_t balance_poll(struct worker *w, uint64_t now_ns)
{
	(void)w;
	(void)now_ns;
	return ~0ull;
}

void replace_look(struct replicas *r, uint64_t now_ns)
{
	(void)r;
	(void)now_ns;
}

int surplus_of(const struct replicas *r, unsigned slot)
{
	(void)r;
	(void)slot;
	return -1;
}

void surplus_look(struct replicas *r, uint64_t now_ns)
{
	(void)r;
	(void)now_ns;
}
