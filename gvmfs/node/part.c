// SPDX-License-Identifier: GPL-2.0-or-later
/* part.c - see part.h. */
#include "part.h"

#include "base/mutant.h"
#include "state/sealing.h"
#include "state/worker_state.h"
#include "unpack.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static uint32_t pages_in_flux(const struct fetch *f)
{
	return f->flux ? f->flux(f) : 0;
}

/* These pages are as they were sealed, and were what was known: they have to be that still. */
static int known_again(const struct fetch *f, const struct chunk_head *head, uint32_t pages)
{
	struct seal_known *known = sealing_known(f->sealed, f->what.chunk);

	pages &= ~pages_in_flux(f);
	for (uint32_t left = known ? pages : 0; left; left &= left - 1) {
		unsigned p = (unsigned)__builtin_ctz(left);

		if (known->page[p] != SEAL_UNKNOWN && known->page[p] != seal_page_of(head, p))
			return -EBADMSG;
	}
	sealing_learn(known, head, pages);
	return 0;
}

static void unpacked(void *owner, const struct chunk_head *head, uint32_t got, int error)
{
	struct fetch *f = owner;

	f->beside = 0;
	if (!error && f->sealed)
		error = known_again(f, head, got);
	if (!error)
		f->came(f, head, got);
	fetch_looked(f, error);
}

/* Whether these pages, which are all that a sealed part has, are what is known of them. */
static bool is_known(const struct part *p, uint64_t version, const struct chunk_head *head, uint32_t pages, uint32_t zeros)
{
	static const struct seal_known nothing;
	const struct seal_known *known = sealing_known(p->inode, p->chunk);

	return !(pages_in_flux(p->fetch) & pages) && !seal_judge(head, version, known ? known : &nothing, zeros);
}

/* Gives most of a chunk that nobody waits for, one of several on their way, to another thread to decode. False: the front
 * decodes it. */
static bool part_give(struct worker *w, const struct part *p, uint64_t version, const struct chunk_head *head,
		      const uint8_t *body)
{
	uint32_t pages = chunk_pages_of_blocks(head->block_shift, head->block_mask);
	uint32_t zeros = p->asked & ~p->here; /* what is here already stays as it is */
	struct unpack_piece piece = {
		.region = p->inode->disk->rec.id,
		.chunk = p->chunk,
		.sealed = p->sealed,
		.zero_pages = p->sealed ? seal_zero_pages(head, zeros) : zeros,
		.to = p->data,
		.done = unpacked,
		.owner = p->fetch,
	};

	piece.pages = pages | (head->zero_map & piece.zero_pages);
	/* (One that writes nothing could not be told from none while it is under way.) */
	if (!piece.pages || p->fetch->beside || p->fetch->here || p->here & pages ||
	    !unpack_pays(pages, p->fetching, p->waited) ||
	    (p->sealed && !is_known(p, version, head, piece.pages, piece.zero_pages)) ||
	    !unpack_give(w->unpack, &piece, head, body))
		return false;
	p->fetch->beside = piece.pages;
	p->fetch->sealed = p->sealed ? p->inode : NULL;
	return true;
}

/* As chunk_decode(). */
static int sealed_decode(struct worker *w, const struct part *p, uint64_t version, const struct chunk_head *head,
			 const uint8_t *body, uint32_t zeros, uint8_t *to, uint32_t *got)
{
	static const struct seal_known nothing;
	struct seal_known *known = sealing_known(p->inode, p->chunk), expected;
	uint32_t flux = pages_in_flux(p->fetch);
	int error;

	if (known && flux) {
		expected = *known;
		for (uint32_t left = flux; left; left &= left - 1)
			expected.page[__builtin_ctz(left)] = SEAL_UNKNOWN;
	}
	error = seal_decode(w->sealer, w->codec, head, body, &p->inode->disk->rec.id, p->chunk, version,
			    !known ? &nothing : flux ? &expected : known, zeros, to, got);
	if (!error || error == -ENODATA)
		sealing_learn(known, head, *got & ~flux);
	return error;
}

static void pages_copy(uint8_t *to, const uint8_t *from, uint32_t pages)
{
	for (unsigned i = 0; i < GVM_CHUNK_PAGES; i++)
		if (pages >> i & 1)
			memcpy(to + i * GVM_PAGE_BYTES, from + i * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
}

int part_take(struct worker *w, const struct part *p, uint64_t version, const struct chunk_head *head, const uint8_t *body,
	      uint32_t *got)
{
	static uint8_t apart[GVM_CHUNK_BYTES];
	uint32_t beside = p->fetch->beside, stays = p->fixed | (mutant("beside-written") ? 0 : beside);
	uint32_t brings = chunk_pages_of_blocks(head->block_shift, head->block_mask), zeros = p->asked & ~stays;
	uint8_t *to = stays & brings ? apart : *p->data;
	int error;

	assert(!(p->here & beside));
	*got = 0;
	if (part_give(w, p, version, head, body))
		return FETCH_LATER;
	if (beside && !(p->asked & (brings | head->zero_map) & ~beside)) {
		*got = mutant("beside-is-here") ? brings : 0;
		return 0;
	}
	error = p->sealed ? sealed_decode(w, p, version, head, body, zeros, to, got) :
			    chunk_decode(w->codec, head, body, &p->inode->disk->rec.id, p->chunk, zeros, to, got);
	if (error < 0 && error != -ENODATA)
		return error;
	*got &= ~beside;
	if (to == apart)
		pages_copy(*p->data, apart, *got & ~stays);
	return error;
}

void part_hurry(struct worker *w, struct fetch *fetch)
{
	if (fetch->beside)
		unpack_hurry(w->unpack, fetch);
}

void part_count(struct worker *w, struct inode *inode, const struct chunk_head *head, uint32_t got)
{
	worker_count(w, inode, fetch_bytes, head->body_bytes);
	worker_count(w, inode, fetch_raw_bytes,
		     GVM_PAGE_BYTES * (uint64_t)__builtin_popcount(got & ~head->zero_map));
}
