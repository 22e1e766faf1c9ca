// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * frames.c - cuts a node's bytes into frames and checks each answer.
 *
 * The buffer is linear and frames are parsed in place. Filling starts at its front whenever it runs
 * empty, so that small exchanges stay in the same few cache-warm pages; near its end the reader
 * asks for no more bytes than the current frame needs, so that it does run empty and bytes are
 * moved only when a header was cut in two.
 */
#include "frames.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void frame_reader_init(struct frame_reader *r, uint8_t *buf, size_t cap)
{
	memset(r, 0, sizeof(*r));
	r->buf = buf;
	r->cap = cap;
}

uint8_t *frame_reader_room(struct frame_reader *r, size_t *bytes)
{
	size_t have = r->end - r->start;
	size_t need = r->frame_bytes ? r->frame_bytes : FRAME_BYTES_MAX;

	if (!have) {
		r->start = r->end = 0;
	} else if (r->start + need > r->cap) {
		memmove(r->buf, r->buf + r->start, have);
		r->start = 0;
		r->end = have;
	}
	if (r->frame_bytes && r->start + r->frame_bytes + FRAME_BYTES_MAX > r->cap)
		*bytes = r->start + r->frame_bytes - r->end;
	else
		*bytes = r->cap - r->end;
	assert(r->start <= r->end && *bytes && *bytes <= r->cap - r->end);
	return r->buf + r->end;
}

void frame_reader_fed(struct frame_reader *r, size_t bytes)
{
	assert(bytes <= r->cap - r->end);
	r->end += bytes;
	if (r->end > r->touched)
		r->touched = r->end;
}

/* The header and meta bytes of the frame at p, of which `have` bytes are there. */
static int head_read(struct frame_reader *r, const uint8_t *p, size_t have, const char **why)
{
	int err;

	if (have < GVM_HDR_BYTES)
		return 0;
	err = gvm_hdr_unpack(&r->hdr, p);
	if (err) {
		*why = err == -EPROTONOSUPPORT ? "a frame of another protocol version" :
						 "a malformed frame header";
		return err;
	}
	if (have < GVM_HDR_BYTES + (size_t)r->hdr.meta_len)
		return 0;
	if (!gvm_meta_check(&r->hdr, p, p + GVM_HDR_BYTES)) {
		*why = "a frame header with a wrong checksum";
		return -EBADMSG;
	}
	r->frame_bytes = GVM_HDR_BYTES + (size_t)r->hdr.meta_len + r->hdr.data_len;
	return 1;
}

int frame_reader_next(struct frame_reader *r, struct frame *f, uint64_t *tag, const char **why)
{
	const uint8_t *p = r->buf + r->start;
	size_t have = r->end - r->start;
	int ret;

	*tag = 0;
	if (!r->frame_bytes) {
		ret = head_read(r, p, have, why);
		if (ret <= 0)
			return ret;
		if (!(r->hdr.flags & GVM_FLAG_RESPONSE)) {
			*why = "a request instead of an answer";
			return -EBADMSG;
		}
	}
	if (have < r->frame_bytes)
		return 0;
	f->hdr = r->hdr;
	f->meta = p + GVM_HDR_BYTES;
	f->data = f->meta + r->hdr.meta_len;
	r->start += r->frame_bytes;
	r->frame_bytes = 0;
	*tag = f->hdr.tag;
	/* GET's blocks carry their own checks; the decoder verifies them. */
	if (f->hdr.data_check !=
	    (f->hdr.op == GVM_OP_GET ? 0 : gvm_data_check(f->data, f->hdr.data_len))) {
		*why = "an answer whose data has a wrong checksum";
		return -EBADMSG;
	}
	return 1;
}

/* NAME_LIST's data: `count` records, no byte more. */
static bool name_list_ok(const struct frame *f, uint32_t count)
{
	size_t at = 0, len = f->hdr.data_len;

	for (; count; count--) {
		uint64_t bytes;

		if (len - at < GVM_NAME_ENTRY_BYTES)
			return false;
		bytes = gvm_load_le(f->data + at + 40, 4);
		at += GVM_NAME_ENTRY_BYTES;
		if (bytes > GVM_RECORD_MAX || bytes > len - at)
			return false;
		at += bytes;
	}
	return at == len;
}

/* Exactly the fields of `msg`, and `cond` true of them. */
#define FIELDS(msg, field, cond)                                                                   \
	(gvm_##msg##_unpack(&rsp->field, f->meta, f->hdr.meta_len) == f->hdr.meta_len && (cond))
#define NO_DATA (!f->hdr.data_len)

static bool fields_ok(const struct frame *f, union gvm_answer *rsp)
{
	switch (f->hdr.op) {
	case GVM_OP_PING:
		return FIELDS(ping_rsp, ping, NO_DATA);
	case GVM_OP_NODE_STAT:
		return FIELDS(node_stat_rsp, node_stat, NO_DATA);
	case GVM_OP_NODE_DRAIN:
		return FIELDS(node_drain_rsp, node_drain, NO_DATA);
	case GVM_OP_NODE_ROT:
		return FIELDS(node_rot_rsp, node_rot, NO_DATA);
	case GVM_OP_NAME_LIST:
		return FIELDS(name_list_rsp, name_list, name_list_ok(f, rsp->name_list.count));
	case GVM_OP_REGION_OPEN:
		return FIELDS(region_open_rsp, region_open, NO_DATA);
	case GVM_OP_REGION_STAT:
		return FIELDS(region_stat_rsp, region_stat, NO_DATA);
	case GVM_OP_REGION_LIST:
		return FIELDS(region_list_rsp, region_list,
			      f->hdr.data_len == 32ull * rsp->region_list.count);
	case GVM_OP_REGION_INDEX:
		return FIELDS(region_index_rsp, region_index,
			      f->hdr.data_len == 16ull * rsp->region_index.count);
	case GVM_OP_REGION_CHECK:
		return FIELDS(region_check_rsp, region_check,
			      f->hdr.data_len == (uint64_t)GVM_CHECK_ENTRY_BYTES * rsp->region_check.count);
	case GVM_OP_REGION_NOTED:
		return FIELDS(region_noted_rsp, region_noted,
			      f->hdr.data_len <= GVM_NOTE_MAX && (rsp->region_noted.epoch || NO_DATA));
	case GVM_OP_REGION_VIEWS:
		return FIELDS(region_views_rsp, region_views,
			      f->hdr.data_len == (uint64_t)GVM_VIEW_ENTRY_BYTES * rsp->region_views.count);
	case GVM_OP_REGION_HELD:
		return FIELDS(region_held_rsp, region_held,
			      f->hdr.data_len == (uint64_t)GVM_HELD_ENTRY_BYTES * rsp->region_held.count);
	default:
		return !f->hdr.meta_len && NO_DATA;
	}
}

static int get_parse(const struct frame *f, struct answer *a, const char **why)
{
	struct gvm_get_rsp rsp;
	int n = gvm_get_rsp_unpack(&rsp, f->meta, f->hdr.meta_len);

	*why = "a GET answer with a malformed head";
	if (n < 0)
		return n;
	if (chunk_head_unpack(&a->head, f->meta + n, f->hdr.meta_len - (size_t)n))
		return -EBADMSG;
	if (a->head.body_bytes != f->hdr.data_len || rsp.version > GVM_VERSION_MASK)
		return -EBADMSG;
	if (!rsp.version && a->head.zero_map != UINT32_MAX)
		return -EBADMSG;
	a->version = rsp.version;
	return 0;
}

int answer_parse(const struct frame *f, struct answer *a, union gvm_answer *rsp, const char **why)
{
	a->result = gvm_status_errno(f->hdr.status);
	a->detail = 0;
	a->more = f->hdr.flags & GVM_FLAG_MORE;
	if (a->more && (f->hdr.op != GVM_OP_GET || a->result)) {
		*why = "an answer of one frame marked as one of several";
		return -EBADMSG;
	}
	if (f->hdr.flags & GVM_FLAG_PACK && (f->hdr.op != GVM_OP_PUT || a->result)) {
		*why = "an answer that speaks of blocks which it did not take";
		return -EBADMSG;
	}
	if (a->result) {
		struct gvm_error_rsp e;

		*why = "a malformed error answer";
		if (f->hdr.data_len ||
		    gvm_error_rsp_unpack(&e, f->meta, f->hdr.meta_len) != f->hdr.meta_len)
			return -EBADMSG;
		a->detail = e.detail;
		return 0;
	}
	if (f->hdr.op == GVM_OP_GET)
		return get_parse(f, a, why);
	*why = "an answer with malformed fields";
	return fields_ok(f, rsp) ? 0 : -EBADMSG;
}

int get_progress_add(struct gvm_get_progress *g, const struct gvm_get_req *what,
		     const struct answer *a, const char **why)
{
	uint32_t pages = chunk_pages_of_blocks(a->head.block_shift, a->head.block_mask);
	uint32_t asked = what->page_mask;

	if (what->want_page != GVM_NO_PAGE)
		asked |= 1u << what->want_page % GVM_CHUNK_PAGES;
	/* The first part may be empty: the wanted page is zero, as the zero map says. */
	*why = "a part of a GET answer without a block";
	if (a->more && g->begun && !pages)
		return -EBADMSG;
	if (!g->begun) {
		*why = "a GET answer with an older version than asked for";
		if (a->version < what->version)
			return -EBADMSG;
		g->begun = true;
		g->version = a->version;
		g->zero_map = a->head.zero_map;
		g->block_shift = a->head.block_shift;
	}
	*why = "a GET answer whose parts do not belong together";
	if (g->version != a->version || g->zero_map != a->head.zero_map ||
	    g->block_shift != a->head.block_shift || g->pages & pages)
		return -EBADMSG;
	*why = "a GET answer with blocks that were not requested";
	if (a->head.block_mask & ~chunk_blocks_of_pages(g->block_shift, asked))
		return -EBADMSG;
	g->pages |= pages;
	*why = "a GET answer without all requested blocks";
	if (!a->more && asked & ~(g->pages | g->zero_map))
		return -EBADMSG;
	return 0;
}
