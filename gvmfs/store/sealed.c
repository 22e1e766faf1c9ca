// SPDX-License-Identifier: GPL-2.0-or-later
/* sealed.c - see sealed.h. */
#include "sealed.h"

#include <errno.h>

void sealed_begin(struct sealed_room *room)
{
	room->base.zero_map = ~0u;
	room->base.block_mask = room->base.body_bytes = 0;
	room->base.block_shift = CHUNK_BLOCK_SHIFT;
	room->base.sealed = true;
}

int sealed_add(struct sealed_room *room, const struct chunk_head *head, const uint8_t *body)
{
	struct chunk_head part = *head, sum;
	uint8_t *was = room->body;

	/* Blocks that are not in this part stay as they are. */
	part.zero_map &= chunk_pages_of_blocks(head->block_shift, head->block_mask);
	if (chunk_compose(&room->base, room->body, &part, body, &sum, room->other))
		return -EBADMSG;
	room->base = sum;
	room->body = room->other;
	room->other = was;
	return 0;
}

int sealed_compose(struct sealed_room *room, struct flush *f)
{
	struct chunk_head whole;

	if (chunk_compose(&room->base, room->body, &f->head, f->body, &whole, room->other))
		return -EBADMSG;
	f->head = whole;
	f->body = room->other;
	return 0;
}

void sealed_note(struct flush *f)
{
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		f->seals.page[p] = seal_page_of(&f->head, p);
}

void sealed_judge(struct flush *f, const struct seal_known *known)
{
	for (uint32_t fetched = f->fetched & ~f->encoded; known && fetched && !f->result; fetched &= fetched - 1) {
		unsigned p = (unsigned)__builtin_ctz(fetched);

		if (f->seals.page[p] != SEAL_UNKNOWN && known->page[p] != SEAL_UNKNOWN &&
		    f->seals.page[p] != known->page[p])
			f->result = -EBADMSG;
	}
}
