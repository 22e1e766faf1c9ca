// SPDX-License-Identifier: GPL-2.0-or-later
/* reply.c - builds answers, and accounts for their pins and copies. */
#include "reply.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_HEAD_MAX	(GVM_HDR_BYTES + 8 + CHUNK_HEAD_MAX)
#define COPY_FREE_BYTES 256u  /* not counted: answers to requests that have had an effect */
#define PIN_MIN_BYTES	2048u /* below it a copy is cheaper */
#define BODY_IOVS_MAX	(GVM_CHUNK_BYTES / STORE_CELL_BYTES + 2 * CHUNK_BLOCKS_MAX + 2)

static bool share_take(uint64_t *own, uint64_t *all, uint64_t all_max, uint64_t bytes)
{
	if (*own + bytes > all_max - *all && (*own || bytes > all_max - *all))
		return false;
	*own += bytes;
	*all += bytes;
	return true;
}

static bool copy_take(struct node *n, struct reply_share *share, struct reply_share *holds,
		      uint64_t bytes)
{
	if (bytes <= COPY_FREE_BYTES)
		return true;
	if (!share_take(&share->copy_bytes, &n->copy_bytes, n->copy_bytes_max, bytes))
		return false;
	holds->copy_bytes = bytes;
	return true;
}

static void holds_release(struct node *n, struct reply_share *share,
			  const struct reply_share *holds, uint32_t cell)
{
	assert(share->copy_bytes >= holds->copy_bytes && n->copy_bytes >= share->copy_bytes &&
	       share->pin_bytes >= holds->pin_bytes && n->pin_bytes >= share->pin_bytes);
	share->copy_bytes -= holds->copy_bytes;
	n->copy_bytes -= holds->copy_bytes;
	share->pin_bytes -= holds->pin_bytes;
	n->pin_bytes -= holds->pin_bytes;
	if (cell != STORE_NONE)
		store_unpin(n->store, cell);
}

void reply_destroy(struct node *n, struct reply_share *share, struct reply *r)
{
	holds_release(n, share, &r->holds, r->cell);
	free(r);
}

/* Room for `iovs` and, behind them, `bytes` that the answer owns: *own. */
static struct reply *reply_alloc(unsigned iovs, size_t bytes, uint8_t **own)
{
	struct reply *r = malloc(sizeof(*r) + iovs * sizeof(r->iov[0]) + bytes);

	if (!r)
		return NULL;
	*r = (struct reply){.cell = STORE_NONE};
	*own = (uint8_t *)&r->iov[iovs];
	return r;
}

static void reply_add(struct reply *r, const void *p, size_t bytes)
{
	if (!bytes)
		return;
	r->iov[r->iovs++] = (struct iovec){(void *)p, bytes};
	r->bytes += (uint32_t)bytes;
}

int reply_create(struct node *n, struct reply_share *share, struct gvm_hdr *h, const uint8_t *meta,
		 const void *data, struct reply **reply)
{
	size_t bytes = GVM_HDR_BYTES + h->meta_len + h->data_len;
	struct reply_share holds = {0};
	struct reply *r;
	uint8_t *own;

	if (!copy_take(n, share, &holds, bytes))
		return -EAGAIN;
	r = reply_alloc(1, bytes, &own);
	if (!r) {
		holds_release(n, share, &holds, STORE_NONE);
		return -ENOMEM;
	}
	r->holds = holds;
	h->flags |= GVM_FLAG_RESPONSE;
	h->data_check = gvm_data_check(data, h->data_len);
	gvm_hdr_pack(h, meta, own);
	if (h->meta_len)
		memcpy(own + GVM_HDR_BYTES, meta, h->meta_len);
	if (h->data_len)
		memcpy(own + GVM_HDR_BYTES + h->meta_len, data, h->data_len);
	reply_add(r, own, bytes);
	*reply = r;
	return 0;
}

int reply_create_bytes(const void *p, size_t bytes, struct reply **reply)
{
	uint8_t *own;
	struct reply *r = reply_alloc(1, bytes, &own);

	if (!r)
		return -ENOMEM;
	memcpy(own, p, bytes);
	reply_add(r, own, bytes);
	*reply = r;
	return 0;
}

/* One frame of the answer to a GET. */
struct piece {
	uint32_t blocks;
	uint32_t head_bytes, body_bytes;
	uint8_t head[FRAME_HEAD_MAX];
};

static void piece_pack(struct piece *p, uint64_t tag, const struct region_found *found,
		       uint32_t blocks, bool more)
{
	struct gvm_get_rsp rsp = {.version = found->version};
	struct gvm_hdr h = {
		.op = GVM_OP_GET,
		.tag = tag,
		.flags = GVM_FLAG_RESPONSE | (more ? GVM_FLAG_MORE : 0),
	};
	struct chunk_head head = found->head;
	uint8_t *meta = p->head + GVM_HDR_BYTES;
	uint32_t from, bytes;
	size_t len;

	chunk_head_narrow(&head, blocks, &from, &bytes);
	len = gvm_get_rsp_pack(&rsp, meta);
	len += chunk_head_pack(&head, meta + len);
	h.meta_len = (uint16_t)len;
	h.data_len = head.body_bytes;
	assert(GVM_HDR_BYTES + len <= FRAME_HEAD_MAX);
	gvm_hdr_pack(&h, meta, p->head);
	p->blocks = blocks;
	p->head_bytes = GVM_HDR_BYTES + h.meta_len;
	p->body_bytes = h.data_len;
}

/* Iterates over the ranges of the object that hold the blocks of a piece. */
#define for_each_range(found, blocks, off, len, iter)                                              \
	for (struct range_iter iter = {.off = (found)->head_bytes};                                \
	     range_next(&iter, &(found)->head, blocks, &(off), &(len));)

struct range_iter {
	unsigned block;
	uint32_t off; /* of that block */
};

static bool range_next(struct range_iter *it, const struct chunk_head *head, uint32_t blocks,
		       uint32_t *off, uint32_t *len)
{
	*len = 0;
	for (; it->block < CHUNK_BLOCKS_MAX; it->block++) {
		uint32_t bit = 1u << it->block;

		if (!(head->block_mask & bit))
			continue;
		if (blocks & bit) {
			if (!*len)
				*off = it->off;
			*len += head->block[it->block].bytes;
		} else if (*len) {
			break;
		}
		it->off += head->block[it->block].bytes;
	}
	return *len;
}

static struct reply *get_pinned(struct node *n, const struct region_found *found,
				const struct piece *pieces, unsigned count)
{
	struct iovec iov[2 * BODY_IOVS_MAX];
	unsigned iovs[2] = {0}, at = 0;
	size_t heads = 0;
	struct reply *r;
	uint8_t *own;
	uint32_t off, len;

	for (unsigned i = 0; i < count; i++) {
		heads += pieces[i].head_bytes;
		for_each_range(found, pieces[i].blocks, off, len, it) {
			assert(iovs[0] + iovs[1] + len / STORE_CELL_BYTES + 2 <= 2 * BODY_IOVS_MAX);
			iovs[i] += store_iov(n->store, found->cell, off, len, &iov[iovs[0] + iovs[1]]);
		}
	}
	r = reply_alloc(count + iovs[0] + iovs[1], heads, &own);
	if (!r)
		return NULL;
	for (unsigned i = 0; i < count; own += pieces[i++].head_bytes) {
		memcpy(own, pieces[i].head, pieces[i].head_bytes);
		reply_add(r, own, pieces[i].head_bytes);
		for (unsigned j = 0; j < iovs[i]; j++, at++)
			reply_add(r, iov[at].iov_base, iov[at].iov_len);
	}
	return r;
}

static struct reply *get_copied(struct node *n, const struct region_found *found,
				const struct piece *pieces, unsigned count)
{
	size_t bytes = 0;
	struct reply *r;
	uint8_t *own, *p;
	uint32_t off, len;

	for (unsigned i = 0; i < count; i++)
		bytes += pieces[i].head_bytes + pieces[i].body_bytes;
	r = reply_alloc(1, bytes, &own);
	if (!r)
		return NULL;
	p = own;
	for (unsigned i = 0; i < count; i++) {
		p = (uint8_t *)mempcpy(p, pieces[i].head, pieces[i].head_bytes);
		for_each_range(found, pieces[i].blocks, off, len, it) {
			store_copy(n->store, found->cell, off, p, len);
			p += len;
		}
	}
	assert(p == own + bytes);
	reply_add(r, own, bytes);
	return r;
}

int reply_create_get(struct node *n, struct reply_share *share, uint64_t tag,
		     const struct gvm_get_req *what, const struct region_found *found,
		     struct reply **reply)
{
	bool waited = what->want_page != GVM_NO_PAGE;
	unsigned shift = found->head.block_shift, count = 0;
	uint32_t want = waited ? chunk_blocks_of_pages(shift, 1u << what->want_page) : 0;
	uint32_t blocks = chunk_blocks_of_pages(shift, what->page_mask) | want;
	struct reply_share holds = {0};
	struct piece pieces[2];
	uint32_t cell = STORE_NONE, bytes;
	struct reply *r;

	blocks &= found->head.block_mask;
	want &= blocks;
	if (waited)
		piece_pack(&pieces[count++], tag, found, want, blocks != want);
	if (!waited || blocks != want)
		piece_pack(&pieces[count++], tag, found, blocks & ~want, false);
	bytes = pieces[0].body_bytes + (count == 2 ? pieces[1].body_bytes : 0);
	if (bytes >= PIN_MIN_BYTES &&
	    share_take(&share->pin_bytes, &n->pin_bytes, n->pin_bytes_max, found->bytes)) {
		holds.pin_bytes = found->bytes;
		if (store_pin(n->store, found->cell, store_cells_of(found->bytes)))
			cell = found->cell;
	}
	if (holds.pin_bytes && cell == STORE_NONE) {
		holds_release(n, share, &holds, STORE_NONE);
		holds.pin_bytes = 0;
	}
	if (cell == STORE_NONE && !copy_take(n, share, &holds, bytes))
		return -EAGAIN;
	n->counters.copied_gets += cell == STORE_NONE && bytes >= PIN_MIN_BYTES;
	r = cell == STORE_NONE ? get_copied(n, found, pieces, count) :
				 get_pinned(n, found, pieces, count);
	if (!r) {
		holds_release(n, share, &holds, cell);
		return -ENOMEM;
	}
	r->holds = holds;
	r->cell = cell;
	r->bulk = !waited;
	r->awaited_bytes = count == 2 ? pieces[0].head_bytes + pieces[0].body_bytes : 0;
	*reply = r;
	return 0;
}
