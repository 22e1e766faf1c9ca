// SPDX-License-Identifier: GPL-2.0-or-later
/* slots.c - see slots.h. */
#include "slots.h"

#include "base/mutant.h"

#include <assert.h>
#include <string.h>

static struct slot **bucket_of(const struct slots *s, const struct inode *inode, uint64_t chunk)
{
	return (struct slot **)&s->buckets[(chunk * 31 + inode->nr * 97) % SLOTS_BUCKETS];
}

enum slot_is slot_is(const struct slots *s, const struct slot *slot)
{
	switch (slot_disk(s, slot)->state) {
	case SLOT_OPEN:
		return SLOT_IS_COLLECTING;
	case SLOT_SEALED:
		return slot->retry_at_ns ? SLOT_IS_REFUSED : SLOT_IS_SENDING;
	default:
		return SLOT_IS_FREE;
	}
}

static struct slot *slots_find(const struct slots *s, const struct inode *inode, uint64_t chunk, uint32_t state)
{
	struct slot *slot = *bucket_of(s, inode, chunk);

	for (; slot; slot = slot->next)
		if (slot->inode == inode && slot_disk(s, slot)->chunk == chunk &&
		    slot_disk(s, slot)->state == state)
			return slot;
	return NULL;
}

struct slot *slots_collecting(const struct slots *s, const struct inode *inode, uint64_t chunk)
{
	if (inode->slots && mutant("sealed-takes") && slots_find(s, inode, chunk, SLOT_SEALED))
		return slots_find(s, inode, chunk, SLOT_SEALED);
	return inode->slots ? slots_find(s, inode, chunk, SLOT_OPEN) : NULL;
}

struct slot *slots_sealed(const struct slots *s, const struct inode *inode, uint64_t chunk)
{
	return inode->slots ? slots_find(s, inode, chunk, SLOT_SEALED) : NULL;
}

void slots_begin(struct slots *s)
{
	spill_begin(&s->spill);
	for (struct slot *slot = s->slot + JOURNAL_SLOTS; slot-- != s->slot;)
		if (slot_disk(s, slot)->state == SLOT_FREE) {
			slot->next = s->free_list;
			s->free_list = slot;
			s->free++;
		}
}

/* The node's place in the table; a free one (with `slots` 0) if it has none: there are as many
 * places as slots. */
static struct slots_node *node_find(const struct slots *s, const void *node)
{
	struct slots_node *none = NULL;

	for (unsigned i = 0, left = s->nodes_count; i < JOURNAL_SLOTS && (left || !none); i++) {
		struct slots_node *of = (struct slots_node *)&s->nodes[i];

		if (of->slots && of->node == node)
			return of;
		left -= of->slots > 0;
		if (!of->slots && !none)
			none = of;
	}
	return none;
}

static void node_enter(struct slots *s, struct slot *slot, const void *node)
{
	slot->of = node_find(s, node);
	slot->of->node = node;
	s->nodes_count += !slot->of->slots;
	slot->of->slots++;
}

static void node_leave(struct slots *s, struct slot *slot)
{
	assert(slot->of->slots);
	slot->of->slots--;
	s->nodes_count -= !slot->of->slots;
	slot->of = NULL;
}

static void sealed_add(struct slots *s, struct slot *slot, int n)
{
	s->sealed += (unsigned)n;
	slot->of->sealed += (unsigned)n;
	assert(slot->of->sealed <= slot->of->slots && slot->of->sealed <= s->sealed && s->sealed <= JOURNAL_SLOTS - s->free);
}

/* Makes the slot findable by its chunk. */
static void slot_insert(struct slots *s, struct slot *slot, struct inode *inode, const void *node, uint64_t now_ns)
{
	struct slot **bucket = bucket_of(s, inode, slot_disk(s, slot)->chunk);

	assert(!slot->inode && !slot->of);
	slot->inode = inode;
	node_enter(s, slot, node);
	slot->order = ++s->order;
	slot->opened_ns = now_ns;
	slot->retry_at_ns = 0;
	slot->next = *bucket;
	*bucket = slot;
	inode->slots++;
}

void slot_adopt(struct slots *s, struct slot *slot, struct inode *inode, const void *node, uint64_t now_ns)
{
	assert(slot_disk(s, slot)->state != SLOT_FREE && slot_disk(s, slot)->inode == inode->nr);
	slot_insert(s, slot, inode, node, now_ns);
	sealed_add(s, slot, slot_disk(s, slot)->state == SLOT_SEALED);
	if (mutant("slot-presence-trusted"))
		slot_disk(s, slot)->pages = ~0u;
}

void slot_renode(struct slots *s, struct slot *slot, const void *node)
{
	int sealed = slot_disk(s, slot)->state == SLOT_SEALED;

	if (slot->of->node == node)
		return;
	sealed_add(s, slot, -sealed);
	node_leave(s, slot);
	node_enter(s, slot, node);
	sealed_add(s, slot, sealed);
}

const uint8_t *slots_page(const struct slots *s, const struct inode *inode, uint64_t chunk, unsigned page)
{
	const struct spill_place *place = spill_find(&s->spill, inode, chunk);
	struct slot *slot = slots_collecting(s, inode, chunk);

	if (place && spill_disk(&s->spill, place)->pages >> page & 1 && !mutant("spill-unread"))
		return spill_data(&s->spill, place) + page * GVM_PAGE_BYTES;
	if (!slot || !(slot_disk(s, slot)->pages >> page & 1) || mutant("older-first"))
		slot = slots_sealed(s, inode, chunk);
	return slot && slot_disk(s, slot)->pages >> page & 1 ? slot_data(s, slot) + page * GVM_PAGE_BYTES : NULL;
}

uint32_t slots_pages(const struct slots *s, const struct inode *inode, uint64_t chunk)
{
	const struct slot *collecting = slots_collecting(s, inode, chunk), *sealed = slots_sealed(s, inode, chunk);
	const struct spill_place *place = spill_find(&s->spill, inode, chunk);

	return (collecting ? slot_disk(s, collecting)->pages : 0) | (sealed ? slot_disk(s, sealed)->pages : 0) |
	       (place && !mutant("spill-revives") ? spill_disk(&s->spill, place)->pages : 0);
}

uint64_t slots_next_chunk(const struct slots *s, const struct inode *inode, uint64_t chunk)
{
	uint64_t best = inode->spilled ? spill_next_chunk(&s->spill, inode, chunk) : ~0ull;

	for (unsigned i = 0; inode->slots && i < JOURNAL_SLOTS; i++) {
		const struct journal_slot *js = &s->disk[i];

		if (js->state != SLOT_FREE && js->inode == inode->nr && js->chunk >= chunk && js->chunk < best)
			best = js->chunk;
	}
	return best;
}

uint64_t slots_oldest(const struct slots *s, const struct inode *inode)
{
	uint64_t oldest = spill_oldest(inode);

	for (unsigned i = 0; inode->slots && i < JOURNAL_SLOTS; i++)
		if (s->disk[i].state != SLOT_FREE && s->slot[i].inode == inode && s->slot[i].order < oldest &&
		    !(mutant("synced-when-sent") && s->disk[i].state == SLOT_SEALED))
			oldest = s->slot[i].order;
	return oldest;
}

bool slots_node_allows(const struct slots *s, const void *node)
{
	unsigned room = 2 * s->free;

	return s->free && (room >= JOURNAL_SLOTS || mutant("slots-unshared") || node_find(s, node)->slots <= room);
}

bool slots_allow(const struct slots *s, const struct inode *inode, const void *node)
{
	return inode->slots - inode->spilled <= 2 * s->free && slots_node_allows(s, node);
}

bool slots_are_short(const struct slots *s, const void *node)
{
	return !s->free || node_find(s, node)->slots > s->free;
}

struct slot *slots_open(struct slots *s, struct inode *inode, uint64_t chunk, const void *node, uint64_t now_ns)
{
	struct slot *slot = s->free_list;
	struct journal_slot *js;

	assert(!slots_collecting(s, inode, chunk));
	if (!slots_allow(s, inode, node))
		return NULL;
	s->free_list = slot->next;
	s->free--;
	js = slot_disk(s, slot);
	assert(js->state == SLOT_FREE && !slot->inode);
	js->inode = inode->nr;
	js->chunk = chunk;
	js->pages = 0;
	js->version = 0;
	js->tried = 0;
	s->mark32(&js->state, SLOT_OPEN);
	slot_insert(s, slot, inode, node, now_ns);
	return slot;
}

void slot_complete(struct slots *s, struct slot *slot, unsigned page, const uint8_t *content)
{
	uint8_t *at = slot_data(s, slot) + page * GVM_PAGE_BYTES;

	assert(slot_is(s, slot) == SLOT_IS_COLLECTING && page < GVM_CHUNK_PAGES);
	if (content != at)
		memcpy(at, content, GVM_PAGE_BYTES);
}

void slot_write(struct slots *s, struct slot *slot, uint32_t from, uint32_t to, const uint8_t *data)
{
	struct journal_slot *js = slot_disk(s, slot);
	unsigned first = from / GVM_PAGE_BYTES, last = (to - 1) / GVM_PAGE_BYTES;
	uint32_t pages = (uint32_t)(((1ull << (last - first + 1)) - 1) << first);

	assert(slot_is(s, slot) == SLOT_IS_COLLECTING && from < to && to <= GVM_CHUNK_BYTES);
	if (mutant("pages-early"))
		s->mark32(&js->pages, js->pages | pages);
	if (data)
		memcpy(slot_data(s, slot) + from, data, to - from);
	else
		memset(slot_data(s, slot) + from, 0, to - from);
	s->mark32(&js->pages, js->pages | pages);
}

void slot_unspill(struct slots *s, struct slot *slot, struct spill_place *place)
{
	const struct journal_spill *d = spill_disk(&s->spill, place);
	const uint8_t *data = spill_data(&s->spill, place);
	bool early = mutant("unspilled-early");

	assert(slot_is(s, slot) == SLOT_IS_COLLECTING && slot->inode == place->of->inode &&
	       slot_disk(s, slot)->chunk == d->chunk);
	if (early)
		spill_free(&s->spill, place);
	for (unsigned page = 0; page < GVM_CHUNK_PAGES; page++)
		if (d->pages >> page & 1)
			memcpy(slot_data(s, slot) + page * GVM_PAGE_BYTES, data + page * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
	s->mark32(&slot_disk(s, slot)->pages, slot_disk(s, slot)->pages | d->pages);
	if (place->order < slot->order && !mutant("unspilled-new"))
		slot->order = place->order; /* an fsync may wait for it */
	if (!early)
		spill_free(&s->spill, place);
}

void slot_seal(struct slots *s, struct slot *slot, uint64_t version)
{
	struct journal_slot *js = slot_disk(s, slot);

	assert(slot_is(s, slot) == SLOT_IS_COLLECTING && !slots_sealed(s, slot->inode, js->chunk));
	js->version = version;
	s->mark32(&js->state, SLOT_SEALED);
	sealed_add(s, slot, 1);
}

void slot_refuse(struct slots *s, struct slot *slot, uint64_t retry_at_ns)
{
	assert(slot_is(s, slot) == SLOT_IS_SENDING && retry_at_ns);
	slot->retry_at_ns = retry_at_ns;
}

void slot_resend(struct slots *s, struct slot *slot)
{
	assert(slot_is(s, slot) == SLOT_IS_REFUSED);
	slot->retry_at_ns = 0;
}

void slot_resend_anew(struct slots *s, struct slot *slot)
{
	struct journal_slot *js = slot_disk(s, slot);

	s->mark32(&js->tried, 1);
	if (!mutant("version-kept"))
		s->mark64(&js->version, js->version + 1);
	slot_resend(s, slot);
}

void slot_free(struct slots *s, struct slot *slot)
{
	struct journal_slot *js = slot_disk(s, slot);
	struct slot **link = bucket_of(s, slot->inode, js->chunk);

	assert(js->state != SLOT_FREE && slot->inode->slots > slot->inode->spilled && s->free < JOURNAL_SLOTS);
	if (js->state == SLOT_SEALED)
		sealed_add(s, slot, -1);
	while (*link != slot)
		link = &(*link)->next;
	*link = slot->next;
	s->mark32(&js->state, SLOT_FREE);
	slot->inode->slots--;
	slot->inode = NULL;
	node_leave(s, slot);
	slot->retry_at_ns = 0;
	slot->next = s->free_list;
	s->free_list = slot;
	s->free++;
}
