// SPDX-License-Identifier: GPL-2.0-or-later
/* flush.c - see flush.h. */
#include "flush.h"

#include "base/mutant.h"
#include "page_run.h"
#include "xxh.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define ALL_BLOCKS (~0u >> (32 - (GVM_CHUNK_PAGES >> CHUNK_BLOCK_SHIFT)))

static bool base_is_zero(const struct flush *f)
{
	return !f->base || f->base & GVM_VERSION_ZERO;
}

/*
 * The front takes the hashes of the pages that were read to be those of the node's copies from now
 * on. So an eviction may send only pages that were read, and other pages only with the content that
 * the node has already.
 */
static bool sent_is_known(const struct flush *f, uint32_t encoded)
{
	uint32_t others = encoded & ~f->pages;

	if (mutant("stray-sent") || mutant("whole-blind"))
		return true;
	return f->read == f->pages && !(others & ~(base_is_zero(f) ? f->head.zero_map : f->fetched));
}

/* Sends what is encoded. */
static void flush_go(struct flush *f, bool whole)
{
	int error;

	/* The encoder leaves the zero bits of omitted blocks clear, so all bits are set only for a
	 * whole chunk. */
	f->all_zero = f->head.zero_map == ~0u;
	f->delta = !whole;
	f->put_bytes = f->head.body_bytes;
	/* Zeros over a chunk that was never written: the node need not be told. */
	if (f->env->is_dry(f) || (f->all_zero && !f->base && !f->tried)) {
		f->env->end(f, 0);
		return;
	}
	error = f->env->send(f, whole ? 0 : f->base);
	if (error)
		f->env->end(f, error);
}

/* False: it has ended with an error. */
static bool flush_encode(struct flush *f, const uint8_t *from, uint32_t blocks)
{
	int error = f->env->encode(f, from, blocks);

	f->encoded = chunk_pages_of_blocks(CHUNK_BLOCK_SHIFT, blocks);
	if (error) {
		f->env->end(f, error);
		return false;
	}
	assert(!f->resident || sent_is_known(f, f->encoded));
	f->raw_bytes = GVM_PAGE_BYTES * (uint32_t)__builtin_popcount(f->encoded & ~f->head.zero_map);
	f->zero_pages = (uint32_t)__builtin_popcount(f->encoded & f->head.zero_map);
	return true;
}

static void flush_put(struct flush *f, const uint8_t *from, uint32_t blocks, bool whole)
{
	if (flush_encode(f, from, blocks))
		flush_go(f, whole);
}

static void flush_complete(struct flush *f, uint32_t pages)
{
	int error;

	f->base_fetched = true;
	f->fetched = f->lost = 0;
	f->asked = pages;
	error = f->env->get(f, pages);
	if (error)
		f->env->end(f, error);
}

/* If a change was refused, the whole chunk is sent. (It is made of the pages that were read for the
 * change, not of what the memory holds by now: nodes that have taken the change take the whole
 * chunk, which has the same version, for a repetition.) */
void flush_sent(struct flush *f, int error)
{
	/* The node holds another base than ours, or encodes it in other blocks: send the whole
	 * chunk. */
	if ((error != -EREMCHG && error != -EINVAL) || !f->delta || f->whole_retry) {
		f->env->end(f, error);
		return;
	}
	f->whole_retry = true;
	if (f->sealed && !mutant("sealed-again"))
		flush_complete(f, ~f->encoded);
	else if (!f->resident || mutant("whole-anew"))
		f->env->again(f);
	else if (f->pages == ~0u)
		flush_put(f, f->env->scratch(f), ALL_BLOCKS, true);
	else
		flush_complete(f, ~f->pages);
}

void flush_piece(struct flush *f, uint32_t pages, uint32_t lost)
{
	f->fetched |= pages;
	f->lost |= lost;
}

int flush_lacks(struct flush *f, uint32_t pages)
{
	if (pages & f->pages)
		return -EAGAIN;
	f->loses = true;
	f->lost |= pages;
	return 0;
}

/* Sends what was encoded, and f->lost, as a whole chunk. */
static void lost_go(struct flush *f)
{
	int error = f->env->lose(f);

	if (error)
		f->env->end(f, error);
	else
		flush_go(f, true);
}

/* Sealed, a change was sent, and what nodes that took it have is damaged since: it goes once more as it is, or, if more is here, not
 * at all. */
static void change_lose(struct flush *f)
{
	int error = flush_lacks(f, ~(f->encoded | f->beyond));

	if (error)
		f->env->end(f, error);
	else
		lost_go(f);
}

/* No node can read what it has of the chunk. */
static void flush_lose(struct flush *f)
{
	if (f->sealed && f->sent && !mutant("sealed-again")) {
		change_lose(f);
		return;
	}
	flush_lacks(f, ~(f->pages | f->beyond));
	if (flush_encode(f, f->resident ? f->env->scratch(f) : f->data, chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, f->pages)))
		lost_go(f);
}

/* Copies the wbuf's pages over the fetched ones. (Pages of an eviction were read into place.) */
static void overlay(struct flush *f)
{
	if (!f->data)
		return;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (f->pages >> p & 1)
			memcpy(f->env->scratch(f) + p * GVM_PAGE_BYTES, f->data + p * GVM_PAGE_BYTES,
			       GVM_PAGE_BYTES);
}

void flush_fetched(struct flush *f, int error)
{
	uint32_t blocks = f->whole_retry ? ALL_BLOCKS
					 : chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, f->pages);

	if (!error && f->asked & ~(f->fetched | f->lost))
		error = -EBADMSG;
	if (error == -EUCLEAN && mutant("lost-retried"))
		error = -EBADMSG;
	if (error == -EUCLEAN) {
		flush_lose(f);
		return;
	}
	if (error) {
		f->env->end(f, error);
		return;
	}
	if (f->sealed && !mutant("sealed-again")) {
		error = f->lost ? f->env->lose(f) : f->env->compose(f);
		if (error)
			f->env->end(f, error);
		else
			flush_go(f, true);
		return;
	}
	overlay(f);
	if (!f->lost)
		flush_put(f, f->env->scratch(f), blocks, f->whole_retry);
	else if (flush_encode(f, f->env->scratch(f), blocks & ~chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, f->lost)))
		lost_go(f);
}

/* Reads adjacent pages of a chunk's memory. */
static int pages_read(struct flush *f, unsigned first, unsigned n)
{
	int error = f->env->read(f, first, n, f->env->scratch(f) + first * GVM_PAGE_BYTES);

	if (error)
		return error;
	for (unsigned p = first; p < first + n; p++)
		f->hashes[p] = XXH3_128bits_withSeed(f->env->scratch(f) + p * GVM_PAGE_BYTES,
						     GVM_PAGE_BYTES, f->seed);
	f->read |= page_run_mask(first, n);
	return 0;
}

/* Reads f->pages of the chunk's memory, and finds which of them differ from what the node has. The
 * memory may have got more pages since the flush was set up; this flush does not send them: over a
 * zero base they count as zeros. */
static int memory_read(struct flush *f, uint32_t *changed)
{
	uint32_t want = mutant("stray-sent") ? ~0u : f->pages;
	struct page_run run;

	*changed = 0;
	f->read = 0;
	if (want != ~0u && base_is_zero(f))
		memset(f->env->scratch(f), 0, GVM_CHUNK_BYTES);
	while (page_run_take(&want, &run)) {
		int r = pages_read(f, run.first, run.count);

		if (r < 0)
			return r;
	}
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (f->pages >> p & 1 &&
		    (!(f->known >> p & 1) || !XXH128_isEqual(f->hashes[p], f->hashes_known[p])))
			*changed |= 1u << p;
	return 0;
}

/* If f->tried, the node may hold a predecessor's PUT that was never acknowledged, so the whole
 * chunk is sent. */
static void evict_start(struct flush *f)
{
	bool whole = f->whole_retry || f->tried || base_is_zero(f);
	uint32_t changed;
	int r = memory_read(f, &changed);

	_Static_assert(!CHUNK_BLOCK_SHIFT, "a block is one page: none is sent that was not read");
	if (mutant("no-hash"))
		changed &= ~f->known;
	/* If the node refused a change, the hashes do not describe what it has. */
	f->clean = !r && !changed && !f->tried && !f->whole_retry;
	f->all_zero = false;
	if (r < 0 || f->clean) {
		f->env->end(f, r);
		return;
	}
	if (!whole || f->pages == ~0u || base_is_zero(f)) {
		whole |= changed == ~0u;
		flush_put(f, f->env->scratch(f),
			  whole ? ALL_BLOCKS : chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, changed), whole);
		return;
	}
	f->whole_retry = true;
	if (mutant("whole-blind"))
		flush_put(f, f->env->scratch(f), ALL_BLOCKS, true);
	else if (!f->sealed || mutant("sealed-again") ||
		 flush_encode(f, f->env->scratch(f), chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, f->pages)))
		flush_complete(f, ~f->pages);
}

void flush_start(struct flush *f)
{
	uint32_t blocks = chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, f->pages);
	uint32_t missing = chunk_pages_of_blocks(CHUNK_BLOCK_SHIFT, blocks) & ~f->pages;

	f->base_fetched = f->loses = false;
	f->fetched = f->lost = 0;
	f->clean = false;
	if (f->resident) {
		evict_start(f);
		return;
	}
	if (f->pages == ~0u) {
		flush_put(f, f->data, ALL_BLOCKS, true);
		return;
	}
	if (base_is_zero(f)) {
		memset(f->env->scratch(f), 0, GVM_CHUNK_BYTES);
		overlay(f);
		flush_put(f, f->env->scratch(f), ALL_BLOCKS, true);
		return;
	}
	if (!f->whole_retry && (!missing || f->env->is_dry(f))) {
		flush_put(f, f->data, blocks, false);
		return;
	}
	flush_complete(f, f->whole_retry ? ~f->pages : missing);
}
