// SPDX-License-Identifier: GPL-2.0-or-later
/* surplus.c - see surplus.h. */
#include "surplus.h"

#include "base/mutant.h"
#include "drain.h"
#include "replicas_state.h"

#define LEAVES_NS 5000000000ull /* for all to leave their views: then the record changes for those that have */

/* How well the replica can be done without. */
static unsigned rank_of(const struct replicas *r, unsigned slot, unsigned place)
{
	const struct view_slot *v = &r->slot[slot];
	unsigned node = r->inode->disk->rec.slots[slot].node[place];
	bool in = mutant("view-leave-early") || (view_word_members(v->word) | view_word_next(v->word).members) >> place & 1;
	int leaves = drain_leaves(r, slot);

	return !in * 4u + (!in && r->node[node].bad) * 2u + (leaves < 0 ? drain_is_told(r, node) : leaves == (int)place);
}

int surplus_of(const struct replicas *r, unsigned slot)
{
	const struct record *rec = &r->inode->disk->rec;
	unsigned best = 0;
	int place = -1;

	if (!rec->spare || (drain_joins(r, slot) && !mutant("view-leave-early")) ||
	    (unsigned)__builtin_popcount(record_filled(rec, slot)) <= rec->replicas)
		return -1;
	for (unsigned n = 0; n < record_places(rec); n++) {
		unsigned rank = rank_of(r, slot, n);

		if (place >= 0 && rank < best)
			continue;
		best = rank;
		place = (int)n;
	}
	return place;
}

static bool is_out(const struct replicas *r, unsigned slot, int place)
{
	return place >= 0 && view_outside(&r->slot[slot]) >> place & 1;
}

static void slot_leave(struct replicas *r, unsigned slot, int place)
{
	struct view_slot *v = &r->slot[slot];
	uint8_t leaving = place < 0 ? 0 : (uint8_t)(1u << place);

	if (v->leaving == leaving)
		return;
	for (unsigned n = 0; n < record_places(&r->inode->disk->rec); n++)
		view_leave(v, n, leaving >> n & 1);
	r->turn(r, slot);
}

void surplus_look(struct replicas *r, uint64_t now_ns)
{
	const struct record *rec = &r->inode->disk->rec;
	bool was = r->surplus, some = false, out = false, wait = false;

	for (unsigned s = 0; rec->spare && s < rec->slot_count; s++) {
		int place = surplus_of(r, s);

		slot_leave(r, s, place);
		some |= place >= 0;
		out |= is_out(r, s, place);
		wait |= place >= 0 && !is_out(r, s, place);
	}
	r->surplus_ns = some ? r->surplus_ns ? r->surplus_ns : now_ns : 0;
	r->surplus = out && (!wait || now_ns - r->surplus_ns >= LEAVES_NS);
	if (r->surplus && !was)
		r->replace_ns = 0;
}

bool surplus_is_out(const struct replicas *r)
{
	return r->surplus;
}

unsigned surplus_take_out(struct replicas *r, struct record *rec)
{
	unsigned count = 0;

	for (unsigned s = 0; s < rec->slot_count; s++) {
		int place = surplus_of(r, s);

		if (!is_out(r, s, place))
			continue;
		rec->slots[s].node[place] = RECORD_NONE;
		count++;
	}
	r->surplus = false;
	r->surplus_ns = 0;
	return count;
}
