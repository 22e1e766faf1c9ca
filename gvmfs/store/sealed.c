// SPDX-License-Identifier: GPL-2.0-or-later
/* sealed.c - see sealed.h. */
#include "sealed.h"

#include <errno.h>

int sealed_compose(struct chunk_parts *base, struct flush *f)
{
	struct chunk_head whole;

	if (chunk_compose(&base->head, base->body, &f->head, f->body, &whole, base->other))
		return -EBADMSG;
	f->head = whole;
	f->body = base->other;
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
