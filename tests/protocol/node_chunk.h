/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node_chunk.h - chunks that a test puts on a node and asks it for. */
#ifndef GVM_NODE_CHUNK_H
#define GVM_NODE_CHUNK_H

#include "node_daemon.h"
#include "tests/unit/codec_data.h"

static const struct gvm_id chunk_region = {{9, 8, 7}};
static struct answer chunk_answer;

static inline struct chunk_codec *chunk_test_codec(void)
{
	static struct chunk_codec *codec;

	if (!codec)
		codec = chunk_codec_create();
	CHECK(codec);
	return codec;
}

/* Makes the region and attaches it with epoch 1. */
static inline void region_make(int fd, uint64_t chunks)
{
	CHECK_EQ(link_call(fd, &chunk_answer, GVM_OP_REGION_CREATE, region_create,
			   .region = chunk_region, .chunks = chunks, .reserve_chunks = chunks),
		 GVM_OK);
	CHECK_EQ(link_call(fd, &chunk_answer, GVM_OP_REGION_OPEN, region_open,
			   .region = chunk_region, .mode = 1, .epoch = 1),
		 GVM_OK);
}

/* A PUT as one frame: the blocks in `blocks` of `data`, in epoch 1. */
static inline size_t put_pack(uint8_t *buf, uint64_t tag, const uint8_t *data, uint64_t chunk,
			      uint64_t version, uint64_t base, uint32_t blocks)
{
	static uint8_t body[GVM_CHUNK_BYTES];
	struct gvm_put_req what = {.region = chunk_region,
				   .epoch = gvm_version_epoch(version),
				   .chunk = chunk,
				   .version = version,
				   .base = base};
	struct chunk_head head;
	uint8_t meta[GVM_META_MAX];
	size_t len = gvm_put_req_pack(&what, meta);

	chunk_encode(chunk_test_codec(), data, blocks, chunk_zero_pages(data), CHUNK_BLOCK_SHIFT,
		     &chunk_region, chunk, &head, body);
	len += chunk_head_pack(&head, meta + len);
	return frame_pack(buf, GVM_OP_PUT, tag, meta, len, body, head.body_bytes);
}

static uint8_t put_frame[GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX];

static inline uint16_t chunk_put(int fd, const uint8_t *data, uint64_t chunk, uint64_t version,
				 uint64_t base, uint32_t blocks)
{
	link_write(fd, put_frame, put_pack(put_frame, 99, data, chunk, version, base, blocks));
	CHECK(frame_receive(fd, &chunk_answer));
	CHECK_EQ(chunk_answer.hdr.op, GVM_OP_PUT);
	CHECK_EQ(chunk_answer.hdr.tag, 99);
	return chunk_answer.hdr.status;
}

/* The whole chunk, every block raw. */
static inline uint16_t chunk_put_raw(int fd, const uint8_t *data, uint64_t chunk, uint64_t version)
{
	static uint8_t body[GVM_CHUNK_BYTES];
	struct gvm_put_req what = {
		.region = chunk_region, .epoch = gvm_version_epoch(version), .chunk = chunk, .version = version};
	struct chunk_head head;
	const uint8_t *raw = chunk_encode_raw(data, ~0u, 0, CHUNK_BLOCK_SHIFT, &chunk_region, chunk, &head, body);

	return link_put(fd, &what, &head, raw, &chunk_answer);
}

/* Until nothing that could be compressed is left raw: asked seldom, since the node does that while nobody asks. */
static inline void wait_for_stored(int fd, uint64_t bytes)
{
	struct gvm_node_stat_rsp stat;

	do {
		usleep(100000);
		CHECK_EQ(frame_call(fd, GVM_OP_NODE_STAT, NULL, 0, NULL, 0, &chunk_answer), GVM_OK);
		CHECK_EQ(gvm_node_stat_rsp_unpack(&stat, chunk_answer.meta, chunk_answer.hdr.meta_len),
			 chunk_answer.hdr.meta_len);
	} while (stat.stored_bytes > bytes);
}

static inline void get_send(int fd, uint64_t tag, uint64_t chunk, uint64_t version, uint32_t pages,
			    uint8_t want)
{
	struct gvm_get_req what = {.region = chunk_region,
				   .epoch = gvm_version_epoch(version),
				   .chunk = chunk,
				   .version = version,
				   .page_mask = pages,
				   .want_page = want};
	uint8_t meta[GVM_META_MAX];

	frame_send(fd, GVM_OP_GET, tag, meta, gvm_get_req_pack(&what, meta), NULL, 0);
}

/* Takes the answer to a GET and checks its pages against `data`; returns how many frames came. */
static inline unsigned get_receive(int fd, uint64_t tag, const uint8_t *data, uint64_t chunk,
				   uint64_t version, uint32_t pages, uint8_t want)
{
	static uint8_t page_data[GVM_CHUNK_BYTES];
	uint32_t seen = 0;
	unsigned frames = 0;

	do {
		struct gvm_get_rsp rsp;
		struct chunk_head head;
		uint32_t valid;
		int used;

		CHECK(frame_receive(fd, &chunk_answer));
		CHECK_EQ(chunk_answer.hdr.status, GVM_OK);
		CHECK_EQ(chunk_answer.hdr.tag, tag);
		used = gvm_get_rsp_unpack(&rsp, chunk_answer.meta, chunk_answer.hdr.meta_len);
		CHECK(used > 0 && rsp.version == version);
		CHECK(!chunk_head_unpack(&head, chunk_answer.meta + used,
					 chunk_answer.hdr.meta_len - (size_t)used));
		CHECK_EQ(head.body_bytes, chunk_answer.hdr.data_len);
		CHECK(!chunk_decode(chunk_test_codec(), &head, chunk_answer.data, &chunk_region, chunk,
				    pages, page_data, &valid));
		if (!frames && want != GVM_NO_PAGE)
			CHECK(valid >> want & 1);
		seen |= valid;
		frames++;
	} while (chunk_answer.hdr.flags & GVM_FLAG_MORE);
	CHECK_EQ(seen & pages, pages);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (pages >> p & 1)
			CHECK_MEM(page_data + p * GVM_PAGE_BYTES, data + p * GVM_PAGE_BYTES,
				  GVM_PAGE_BYTES);
	return frames;
}

static inline unsigned chunk_get(int fd, const uint8_t *data, uint64_t chunk, uint64_t version,
				 uint32_t pages, uint8_t want)
{
	get_send(fd, chunk, chunk, version, pages, want);
	return get_receive(fd, chunk, data, chunk, version, pages, want);
}

static inline struct gvm_node_stat_rsp link_stat(int fd)
{
	struct gvm_node_stat_rsp stat;

	CHECK_EQ(frame_call(fd, GVM_OP_NODE_STAT, NULL, 0, NULL, 0, &chunk_answer), GVM_OK);
	CHECK_EQ(gvm_node_stat_rsp_unpack(&stat, chunk_answer.meta, chunk_answer.hdr.meta_len),
		 chunk_answer.hdr.meta_len);
	return stat;
}

#endif
