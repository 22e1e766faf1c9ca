// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A set of nodes.
 *
 * Up to IVY_INLINE members are kept in place; more take a bitmap over all ids, which is freed only
 * when the set becomes empty: a page that many nodes held is likely to be held by many again.
 */
#include "impl.h"

static u64 bit_of(u16 node)
{
	return 1ull << (node & 63);
}

static int inline_find(const struct ivy_copyset *s, u16 node)
{
	int i;

	for (i = 0; i < s->n; i++)
		if (s->in[i] == node)
			return i;
	return -1;
}

bool ivy_set_has(const struct ivy_copyset *s, u16 node)
{
	if (s->bits)
		return s->bits[node >> 6] & bit_of(node);
	return inline_find(s, node) >= 0;
}

static int set_widen(struct ivy *c, struct ivy_copyset *s)
{
	u64 *bits = ivy_alloc(c, IVY_BITMAP_BYTES);
	int i;

	if (!bits)
		return -ENOMEM;
	for (i = 0; i < s->n; i++)
		bits[s->in[i] >> 6] |= bit_of(s->in[i]);
	s->bits = bits;
	return 0;
}

int ivy_set_add(struct ivy *c, struct ivy_copyset *s, u16 node)
{
	if (ivy_set_has(s, node))
		return 0;
	if (!s->bits && s->n == IVY_INLINE && set_widen(c, s))
		return -ENOMEM;
	if (s->bits)
		s->bits[node >> 6] |= bit_of(node);
	else
		s->in[s->n] = node;
	s->n++;
	return 0;
}

bool ivy_set_del(struct ivy *c, struct ivy_copyset *s, u16 node)
{
	if (!ivy_set_has(s, node))
		return false;
	if (s->bits)
		s->bits[node >> 6] &= ~bit_of(node);
	else
		s->in[inline_find(s, node)] = s->in[s->n - 1];
	if (!--s->n)
		ivy_set_clear(c, s);
	return true;
}

void ivy_set_clear(struct ivy *c, struct ivy_copyset *s)
{
	ivy_free(c, s->bits, IVY_BITMAP_BYTES);
	s->bits = NULL;
	s->n = 0;
}

static u16 inline_next(const struct ivy_copyset *s, u16 from)
{
	u16 best = IVY_NONE;
	int i;

	for (i = 0; i < s->n; i++)
		if (s->in[i] >= from && s->in[i] < best)
			best = s->in[i];
	return best;
}

u16 ivy_set_next(const struct ivy_copyset *s, u16 from)
{
	u32 word;

	if (!s->bits)
		return inline_next(s, from);
	for (word = from >> 6; word < IVY_BITMAP_WORDS; word++) {
		u64 left = s->bits[word];

		if (word == from >> 6)
			left &= ~0ull << (from & 63);
		if (left)
			return (u16)(word * 64 + (u32)__builtin_ctzll(left));
	}
	return IVY_NONE;
}
