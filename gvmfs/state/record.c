// SPDX-License-Identifier: GPL-2.0-or-later
/* record.c - see record.h; the bytes are described in RECORDS.md. */
#include "record.h"

#include <errno.h>
#include <string.h>

#define RECORD_FORMAT	     5
#define RECORD_FORMAT_STILL  4 /* of one of which nothing moves: so that mounts that know no other go on */
#define RECORD_FORMAT_OLDEST 2 /* the oldest that is still read */
#define KIND_SETTLED	     3 /* in the bytes: a region that is settled. Mounts that know of none do not show it */

/* A bounded cursor: the first access beyond the end sets `bad` for good, and integers then read as 0. */
struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->bad || (size_t)(c->end - c->p) < n) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static uint64_t take_int(struct cursor *c, unsigned bytes)
{
	const uint8_t *p = take(c, bytes);

	return p ? gvm_load_le(p, bytes) : 0;
}

static void take_bytes(struct cursor *c, void *to, size_t n)
{
	const uint8_t *p = take(c, n);

	if (p)
		memcpy(to, p, n);
}

/* A counted string without a NUL inside, at most max bytes. */
static void take_text(struct cursor *c, char *to, size_t max)
{
	size_t n = take_int(c, 1);
	const uint8_t *p = n <= max ? take(c, n) : NULL;

	if (!p || memchr(p, 0, n)) {
		c->bad = true;
		return;
	}
	memcpy(to, p, n);
	to[n] = 0;
}

static uint8_t *put_int(uint8_t *p, uint64_t v, unsigned bytes)
{
	gvm_store_le(p, v, bytes);
	return p + bytes;
}

static uint8_t *put_text(uint8_t *p, const char *text)
{
	size_t n = strlen(text);

	*p++ = (uint8_t)n;
	return (uint8_t *)mempcpy(p, text, n);
}

uint8_t record_first(const struct record *r, unsigned slot)
{
	uint8_t filled = record_filled(r, slot), first = 0;

	for (unsigned n = 0; n < r->replicas && filled; n++) {
		first |= (uint8_t)(filled & -filled);
		filled &= (uint8_t)(filled - 1);
	}
	return first;
}

void record_spare(struct record *r)
{
	if (r->spare)
		return;
	r->spare = 1;
	for (unsigned s = 0; s < r->slot_count; s++)
		r->slots[s].node[r->replicas] = RECORD_NONE;
}

bool record_is_moving(const struct record *r)
{
	for (unsigned s = 0; r->spare && s < r->slot_count; s++)
		if ((unsigned)__builtin_popcount(record_filled(r, s)) > r->replicas)
			return true;
	return false;
}

size_t record_pack(const struct record *r, uint8_t *buf)
{
	unsigned nodes = r->node_count, slots = nodes ? r->slot_count : 0;
	bool moving = record_is_moving(r);
	uint8_t *p = buf;

	p = put_int(p, moving ? RECORD_FORMAT : RECORD_FORMAT_STILL, 1);
	p = put_int(p, r->settled ? KIND_SETTLED : r->kind, 1);
	p = put_int(p, r->orphan, 1);
	p = put_int(p, r->temporary, 1);
	p = put_int(p, r->mode, 4);
	p = put_int(p, r->uid, 4);
	p = put_int(p, r->gid, 4);
	p = put_int(p, r->mtime_ns, 8);
	p = put_int(p, r->ctime_ns, 8);
	p = put_int(p, r->size_bytes, 8);
	p = put_int(p, r->view, 8);
	p = put_int(p, r->seal, 8);
	p = (uint8_t *)mempcpy(p, r->parent.b, sizeof(r->parent.b));
	p = (uint8_t *)mempcpy(p, r->owner.host.b, sizeof(r->owner.host.b));
	p = (uint8_t *)mempcpy(p, r->owner.boot.b, sizeof(r->owner.boot.b));
	p = put_int(p, r->owner.pid_space, 8);
	p = put_int(p, r->owner.pid, 4);
	p = put_text(p, r->name);
	p = put_int(p, nodes, 2);
	p = put_int(p, slots, 2);
	p = put_int(p, nodes ? r->replicas : 0, 1);
	for (unsigned i = 0; i < nodes; i++) {
		p = (uint8_t *)mempcpy(p, r->nodes[i].incarnation.b, sizeof(struct gvm_id));
		p = put_text(p, r->nodes[i].addr);
	}
	for (unsigned i = 0; i < slots; i++)
		for (unsigned n = 0; n < record_places(r); n++)
			if (moving || r->slots[i].node[n] != RECORD_NONE)
				p = put_int(p, r->slots[i].node[n], 2);
	return (size_t)(p - buf);
}

static bool name_is_valid(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void take_slot(struct cursor *c, struct record *r, unsigned s)
{
	unsigned empty = 0;

	for (unsigned n = 0; n < record_places(r); n++) {
		unsigned node = (unsigned)take_int(c, 2);

		r->slots[s].node[n] = (uint16_t)node;
		empty += node == RECORD_NONE;
		if (node >= r->node_count && (node != RECORD_NONE || empty > r->spare))
			c->bad = true;
		for (unsigned other = 0; other < n; other++)
			if (r->slots[s].node[other] == node)
				c->bad = true;
	}
}

int record_unpack(struct record *r, const uint8_t *buf, size_t len)
{
	struct cursor c = { buf, buf + len, false };
	uint64_t format = take_int(&c, 1);
	unsigned s;

	if (format < RECORD_FORMAT_OLDEST || format > RECORD_FORMAT)
		return -EBADMSG;
	r->kind = (uint8_t)take_int(&c, 1);
	r->settled = r->kind == KIND_SETTLED;
	r->kind -= r->settled;
	r->orphan = (uint8_t)take_int(&c, 1);
	r->temporary = (uint8_t)take_int(&c, 1);
	r->mode = (uint32_t)take_int(&c, 4);
	r->uid = (uint32_t)take_int(&c, 4);
	r->gid = (uint32_t)take_int(&c, 4);
	r->mtime_ns = take_int(&c, 8);
	r->ctime_ns = take_int(&c, 8);
	r->size_bytes = take_int(&c, 8);
	r->view = take_int(&c, 8);
	r->seal = format < 3 ? 0 : take_int(&c, 8);
	take_bytes(&c, r->parent.b, sizeof(r->parent.b));
	take_bytes(&c, r->owner.host.b, sizeof(r->owner.host.b));
	take_bytes(&c, r->owner.boot.b, sizeof(r->owner.boot.b));
	r->owner.pid_space = take_int(&c, 8);
	r->owner.pid = (uint32_t)take_int(&c, 4);
	take_text(&c, r->name, RECORD_NAME_MAX);
	r->node_count = (uint16_t)take_int(&c, 2);
	r->slot_count = (uint16_t)take_int(&c, 2);
	r->replicas = format < 4 ? r->node_count != 0 : (uint16_t)take_int(&c, 1);
	r->spare = format > RECORD_FORMAT_STILL;
	s = r->slot_count;
	if (c.bad || r->kind == RECORD_GONE || r->kind > RECORD_REGION || r->orphan > 1 ||
	    r->temporary > 1 || r->mode & ~07777u || !name_is_valid(r->name) ||
	    r->size_bytes > RECORD_SIZE_MAX || r->node_count > RECORD_NODES_MAX || s > RECORD_SLOTS ||
	    s & (s - 1) || !s != !r->node_count || !s != !r->replicas || r->replicas > RECORD_REPLICAS ||
	    (r->spare && r->replicas < 2) ||
	    (r->node_count && r->kind == RECORD_FOLDER) ||
	    (r->size_bytes && r->kind == RECORD_REGION && !r->node_count))
		return -EBADMSG;
	for (unsigned i = 0; i < r->node_count; i++) {
		take_bytes(&c, r->nodes[i].incarnation.b, sizeof(struct gvm_id));
		take_text(&c, r->nodes[i].addr, RECORD_ADDR_MAX - 1);
	}
	for (unsigned i = 0; i < s; i++)
		take_slot(&c, r, i);
	return c.bad || c.p != c.end ? -EBADMSG : 0;
}

int record_replica_of(const struct record *r, unsigned slot, unsigned node)
{
	for (unsigned n = 0; n < record_places(r); n++)
		if (r->slots[slot].node[n] == node)
			return (int)n;
	return -1;
}

int record_node_find(const struct record *r, const struct gvm_id *node)
{
	for (unsigned i = 0; i < r->node_count; i++)
		if (gvm_id_equal(&r->nodes[i].incarnation, node))
			return (int)i;
	return -1;
}

bool record_node_is_used(const struct record *r, unsigned node)
{
	for (unsigned s = 0; s < r->slot_count; s++)
		if (record_replica_of(r, s, node) >= 0)
			return true;
	return false;
}

bool record_has_unused(const struct record *r)
{
	bool used[RECORD_NODES_MAX] = { false };

	for (unsigned s = 0; s < r->slot_count; s++)
		for (uint8_t left = record_filled(r, s); left; left &= (uint8_t)(left - 1))
			used[r->slots[s].node[__builtin_ctz(left)]] = true;
	for (unsigned i = 0; i < r->node_count; i++)
		if (!used[i])
			return true;
	return false;
}

uint64_t record_node_chunks(const struct record *r, unsigned node, uint64_t chunks)
{
	uint64_t whole = chunks / r->slot_count, rest = chunks % r->slot_count, n = 0;

	for (unsigned i = 0; i < r->slot_count; i++)
		if (record_replica_of(r, i, node) >= 0)
			n += whole + (i < rest);
	return n;
}

/* Whether a node may take the next replica of a slot that has `count` of them. */
static bool may_place(const struct record_slot *slot, unsigned count, unsigned node, const unsigned *rack)
{
	for (unsigned n = 0; n < count; n++)
		if (slot->node[n] == node || (rack && rack[node] && rack[node] == rack[slot->node[n]]))
			return false;
	return true;
}

static __int128 sum_of(const uint64_t *weight, unsigned count)
{
	__int128 sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += weight[i];
	return sum;
}

/* A node has at most one replica of each slot. Room beyond that is capped: otherwise the other nodes would
 * get less than their share. */
static void weights_cap(const struct record *r, uint64_t *weight)
{
	for (unsigned round = 0; round < r->replicas - 1u; round++)
		for (unsigned i = 0; i < r->node_count; i++) {
			__int128 total = sum_of(weight, r->node_count);

			if ((__int128)weight[i] * r->replicas > total)
				weight[i] = (uint64_t)((total - weight[i]) / (r->replicas - 1u));
		}
}

/* In how many slots two nodes are so far. */
struct pairs {
	uint16_t of[RECORD_NODES_MAX][RECORD_NODES_MAX];
};

static unsigned pairs_with(const struct pairs *pairs, const struct record_slot *slot, unsigned count, unsigned node)
{
	unsigned sum = 0;

	for (unsigned n = 0; n < count; n++)
		sum += pairs->of[slot->node[n]][node];
	return sum;
}

static void pairs_note(struct pairs *pairs, const struct record_slot *slot, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		for (unsigned k = 0; k < count; k++)
			pairs->of[slot->node[n]][slot->node[k]] += n != k;
}

int record_place(struct record *r, const uint64_t *room, const unsigned *rack)
{
	__int128 credit[RECORD_NODES_MAX] = { 0 }, total;
	uint64_t weight[RECORD_NODES_MAX];
	struct pairs pairs = { 0 };

	memcpy(weight, room, r->node_count * sizeof(*weight));
	weights_cap(r, weight);
	total = sum_of(weight, r->node_count);
	r->slot_count = RECORD_SLOTS;
	for (unsigned s = 0; s < RECORD_SLOTS; s++) {
		struct record_slot *slot = &r->slots[s];

		for (unsigned i = 0; i < r->node_count; i++)
			credit[i] += (__int128)weight[i] * r->replicas;
		for (unsigned n = 0; n < r->replicas; n++) {
			unsigned best = r->node_count;

			for (unsigned i = 0; i < r->node_count; i++)
				if (room[i] && may_place(slot, n, i, rack) &&
				    (best == r->node_count || credit[i] > credit[best] ||
				     (credit[i] == credit[best] &&
				      pairs_with(&pairs, slot, n, i) < pairs_with(&pairs, slot, n, best))))
					best = i;
			if (best == r->node_count)
				return -ENOSPC;
			credit[best] -= total;
			slot->node[n] = (uint16_t)best;
		}
		pairs_note(&pairs, slot, r->replicas);
	}
	return 0;
}
