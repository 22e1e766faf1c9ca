// SPDX-License-Identifier: GPL-2.0-or-later
/* node_chunks.c - chunks go to a running node and come back, whole, in parts, or not at all. */
#include "node_chunk.h"

static struct node node;
static struct answer answer;

static void chunk_comes_back_as_it_was_put(void)
{
	static uint8_t data[8][GVM_CHUNK_BYTES];
	int fd;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 5);
	region_make(fd, 64);
	for (unsigned i = 0; i < 8; i++) {
		chunk_fill_random(data[i]);
		CHECK_EQ(chunk_put(fd, data[i], i, gvm_version(1, 1), 0, ~0u), GVM_OK);
	}
	for (unsigned n = 0; n < 200; n++) {
		unsigned i = check_random_below(8), page = check_random_below(GVM_CHUNK_PAGES);
		uint32_t pages = random_mask(32) | 1u << page;

		chunk_get(fd, data[i], i, gvm_version(1, 1), pages, (uint8_t)page);
		chunk_get(fd, data[i], i, gvm_version(1, 1), pages, GVM_NO_PAGE);
	}
	close(fd);
	node_stop(&node);
}

static void waited_for_page_comes_first_and_alone(void)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	struct chunk_head head;
	int fd;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 5);
	region_make(fd, 64);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(data + p * GVM_PAGE_BYTES, p % 5 ? PAGE_TEXT : PAGE_ZERO);
	CHECK_EQ(chunk_put(fd, data, 0, gvm_version(1, 1), 0, ~0u), GVM_OK);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		CHECK_EQ(chunk_get(fd, data, 0, gvm_version(1, 1), ~0u, (uint8_t)p), 2);
		CHECK_EQ(chunk_get(fd, data, 0, gvm_version(1, 1), 1u << p, (uint8_t)p), 1);
		/* Not named in the mask, but waited for. */
		get_send(fd, 1, 0, gvm_version(1, 1), 0, (uint8_t)p);
		CHECK(frame_receive(fd, &answer) && !(answer.hdr.flags & GVM_FLAG_MORE));
		CHECK(!chunk_head_unpack(&head, answer.meta + 8, answer.hdr.meta_len - 8u));
		CHECK_EQ(head.block_mask, p % 5 ? chunk_blocks_of_pages(head.block_shift, 1u << p) : 0);
	}
	CHECK_EQ(chunk_get(fd, data, 0, gvm_version(1, 1), ~0u, GVM_NO_PAGE), 1);
	close(fd);
	node_stop(&node);
}

static uint16_t held_call(int fd, uint32_t count, const void *ids, uint32_t bytes)
{
	struct gvm_region_held_req req = {.count = count};
	uint8_t meta[GVM_META_MAX];

	return frame_call(fd, GVM_OP_REGION_HELD, meta, gvm_region_held_req_pack(&req, meta), ids, bytes, &answer);
}

static void many_regions_are_asked_about_at_once(void)
{
	static struct gvm_id ids[GVM_HELD_MAX];
	struct gvm_region_held_rsp rsp;
	int fd;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 5);
	region_make(fd, 64);
	ids[GVM_HELD_MAX - 1] = chunk_region;
	CHECK_EQ(held_call(fd, GVM_HELD_MAX, ids, sizeof(ids)), GVM_OK);
	CHECK_EQ(gvm_region_held_rsp_unpack(&rsp, answer.meta, answer.hdr.meta_len), answer.hdr.meta_len);
	CHECK_EQ(rsp.count, GVM_HELD_MAX);
	CHECK_EQ(answer.hdr.data_len, GVM_HELD_MAX * GVM_HELD_ENTRY_BYTES);
	for (unsigned i = 0; i < GVM_HELD_MAX; i++)
		CHECK_EQ(answer.data[i * GVM_HELD_ENTRY_BYTES], i == GVM_HELD_MAX - 1);
	CHECK_EQ(held_call(fd, 0, NULL, 0), GVM_ERR_INVALID);
	CHECK_EQ(held_call(fd, 0, ids, 16), GVM_ERR_INVALID);
	CHECK_EQ(held_call(fd, 2, ids, 16), GVM_ERR_INVALID);
	CHECK_EQ(held_call(fd, 1, ids, 17), GVM_ERR_INVALID);
	CHECK_EQ(held_call(fd, 1u << 28 | 1, ids, 16), GVM_ERR_INVALID);
	close(fd);
	node_stop(&node);
}

static void changed_blocks_compose_with_what_the_node_holds(void)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	uint64_t version = gvm_version(1, 1);
	int fd;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 5);
	region_make(fd, 64);
	chunk_fill_random(data);
	CHECK_EQ(chunk_put(fd, data, 3, version, 0, ~0u), GVM_OK);
	for (unsigned n = 0; n < 300; n++) {
		uint32_t pages = random_mask(32);

		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			if (pages >> p & 1)
				page_fill(data + p * GVM_PAGE_BYTES,
					  (enum page_kind)check_random_below(PAGE_KINDS));
		CHECK_EQ(chunk_put(fd, data, 3, version + 1, version,
				   chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, pages)),
			 GVM_OK);
		version++;
		chunk_get(fd, data, 3, version, ~0u, (uint8_t)check_random_below(GVM_CHUNK_PAGES));
	}
	CHECK_EQ(chunk_put(fd, data, 3, version + 2, version - 1, 1), GVM_ERR_STALE_BASE);
	CHECK_EQ(answer_detail(&chunk_answer), version);
	CHECK_EQ(chunk_put(fd, data, 3, version, version - 1, ~0u), GVM_OK); /* a repeat */
	close(fd);
	node_stop(&node);
}

static void late_put_brings_back_nothing(void)
{
	static uint8_t data[GVM_CHUNK_BYTES], zeros[GVM_CHUNK_BYTES];
	int fd, late;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 5);
	late = link_ready(&node, 5);
	region_make(fd, 64);
	chunk_fill_random(data);
	memset(data, 1, GVM_PAGE_BYTES);
	CHECK_EQ(chunk_put(fd, data, 60, gvm_version(1, 1), 0, ~0u), GVM_OK);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_DISCARD, discard, .region = chunk_region, .epoch = 1,
			   .first = 32, .count = 32, .version = gvm_version(1, 3)),
		 GVM_OK);
	CHECK_EQ(chunk_put(late, data, 60, gvm_version(1, 2), 0, ~0u), GVM_ERR_STALE);
	chunk_get(fd, zeros, 60, gvm_version(1, 3), ~0u, 0);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_RESIZE, region_resize, .region = chunk_region,
			   .epoch = 1, .chunks = 32, .reserve_chunks = 32),
		 GVM_OK);
	CHECK_EQ(chunk_put(late, data, 60, gvm_version(1, 2), 0, ~0u), GVM_ERR_INVALID);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_RESIZE, region_resize, .region = chunk_region,
			   .epoch = 1, .chunks = 64, .reserve_chunks = 64),
		 GVM_OK);
	CHECK_EQ(chunk_put(late, data, 60, gvm_version(1, 2), 0, ~0u), GVM_ERR_STALE);
	chunk_get(fd, zeros, 60, gvm_version(1, 3), ~0u, 0);
	close(late);
	close(fd);
	node_stop(&node);
}

static void region_without_room_is_refused_at_the_start(void)
{
	struct gvm_node_stat_rsp stat;
	int fd;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 5);
	stat = link_stat(fd);
	CHECK(stat.capacity_bytes > (64u << 20) * 96ull / 100);
	CHECK_EQ(stat.promisable_bytes, stat.capacity_bytes);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_CREATE, region_create, .region = chunk_region,
			   .chunks = 512, .reserve_chunks = 512),
		 GVM_ERR_NOSPACE);
	CHECK(answer_detail(&answer) > 480 && answer_detail(&answer) < 512);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_CREATE, region_create, .region = chunk_region,
			   .chunks = 512, .reserve_chunks = answer_detail(&answer)),
		 GVM_OK);
	CHECK_EQ(link_stat(fd).regions, 1);
	close(fd);
	node_stop(&node);
	node_start(&node, "64M", "--overcommit", "2.5", NULL);
	fd = link_ready(&node, 5);
	region_make(fd, 1200);
	close(fd);
	node_stop(&node);
}

/* Though the node has room for it, which it has promised to nobody. */
static void put_beyond_the_promise_is_refused(void)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	int fd;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 5);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_CREATE, region_create, .region = chunk_region, .chunks = 8,
			   .reserve_chunks = 2),
		 GVM_OK);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_OPEN, region_open, .region = chunk_region, .mode = 1, .epoch = 1),
		 GVM_OK);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(data + p * GVM_PAGE_BYTES, PAGE_RANDOM);
	for (unsigned c = 0; c < 8; c++)
		CHECK_EQ(chunk_put(fd, data, c, gvm_version(1, 1), 0, ~0u), c < 2 ? GVM_OK : GVM_ERR_NOSPACE);
	CHECK_EQ(chunk_put(fd, data, 1, gvm_version(1, 2), 0, ~0u), GVM_OK);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_DISCARD, discard, .region = chunk_region, .epoch = 1, .first = 0, .count = 1,
			   .version = gvm_version(1, 3)),
		 GVM_OK);
	CHECK_EQ(chunk_put(fd, data, 7, gvm_version(1, 4), 0, ~0u), GVM_OK);
	chunk_get(fd, data, 7, gvm_version(1, 4), ~0u, 0);
	CHECK_EQ(link_stat(fd).chunks, 2);
	close(fd);
	node_stop(&node);
}

/* Text of all kinds: what is held beyond what was sent is small. */
static void little_is_wasted(void)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	struct gvm_node_stat_rsp stat;
	int fd;

	node_start(&node, "256M", NULL);
	fd = link_ready(&node, 5);
	region_make(fd, 1500);
	for (unsigned i = 0; i < 1500; i++) {
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			page_fill(data + p * GVM_PAGE_BYTES,
				  p % 8 == i % 8	 ? PAGE_ZERO :
				  check_random_below(3) ? PAGE_MIXED :
							  PAGE_TEXT);
		CHECK_EQ(chunk_put(fd, data, i, gvm_version(1, 1), 0, ~0u), GVM_OK);
	}
	stat = link_stat(fd);
	CHECK_EQ(stat.chunks, 1500);
	CHECK_EQ(stat.nonzero_bytes, 1500ull * 28 * GVM_PAGE_BYTES);
	CHECK(stat.stored_bytes < stat.nonzero_bytes);
	CHECK(stat.held_bytes <= stat.stored_bytes * 105 / 100);
	close(fd);
	node_stop(&node);
}

#define RAW_CHUNKS 8u

static void raw_chunks_are_compressed_while_nobody_asks(void)
{
	static uint8_t data[RAW_CHUNKS][GVM_CHUNK_BYTES];
	int fd;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 5);
	region_make(fd, 64);
	for (unsigned i = 0; i < RAW_CHUNKS; i++) {
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			page_fill(data[i] + p * GVM_PAGE_BYTES, PAGE_TEXT);
		CHECK_EQ(chunk_put_raw(fd, data[i], i, gvm_version(1, 1)), GVM_OK);
	}
	wait_for_stored(fd, RAW_CHUNKS * GVM_CHUNK_BYTES / 2);
	for (unsigned i = 0; i < RAW_CHUNKS; i++)
		chunk_get(fd, data[i], i, gvm_version(1, 1), ~0u, 7);
	/* What changes builds on it. */
	page_fill(data[0], PAGE_RANDOM);
	CHECK_EQ(chunk_put(fd, data[0], 0, gvm_version(1, 2), gvm_version(1, 1), 1), GVM_OK);
	chunk_get(fd, data[0], 0, gvm_version(1, 2), ~0u, 7);
	close(fd);
	node_stop(&node);
}

/* Clients that have asked for it in HELLO: to others the flag would be a broken frame. */
static void clients_are_told_when_many_chunks_are_raw(void)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	int fd, other;
	uint64_t i = 0;

	node_start(&node, "64M", NULL);
	fd = link_open(&node);
	link_hello_with(fd, 5, GVM_FEATURE_PACK, &answer);
	region_make(fd, 400);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(data + p * GVM_PAGE_BYTES, PAGE_TEXT);
	do
		CHECK_EQ(chunk_put_raw(fd, data, i++, gvm_version(1, 1)), GVM_OK);
	while (!(chunk_answer.hdr.flags & GVM_FLAG_PACK) && i < 400);
	CHECK(i > 10 && i < 200);
	other = link_ready(&node, 5);
	CHECK_EQ(link_call(other, &answer, GVM_OP_REGION_OPEN, region_open, .region = chunk_region, .mode = 1, .epoch = 1),
		 GVM_OK);
	CHECK_EQ(chunk_put_raw(other, data, i++, gvm_version(1, 1)), GVM_OK);
	CHECK_EQ(chunk_answer.hdr.flags, GVM_FLAG_RESPONSE);
	wait_for_stored(fd, i * GVM_CHUNK_BYTES / 2);
	CHECK_EQ(chunk_put_raw(fd, data, 0, gvm_version(1, 2)), GVM_OK);
	CHECK_EQ(chunk_answer.hdr.flags, GVM_FLAG_RESPONSE);
	close(other);
	close(fd);
	node_stop(&node);
}

static const struct check_test tests[] = {
	{"raw-chunks-are-compressed-while-nobody-asks", raw_chunks_are_compressed_while_nobody_asks},
	{"clients-are-told-when-many-chunks-are-raw", clients_are_told_when_many_chunks_are_raw},
	{"chunk-comes-back-as-it-was-put", chunk_comes_back_as_it_was_put},
	{"waited-for-page-comes-first-and-alone", waited_for_page_comes_first_and_alone},
	{"many-regions-are-asked-about-at-once", many_regions_are_asked_about_at_once},
	{"changed-blocks-compose-with-what-the-node-holds",
	 changed_blocks_compose_with_what_the_node_holds},
	{"late-put-brings-back-nothing", late_put_brings_back_nothing},
	{"region-without-room-is-refused-at-the-start", region_without_room_is_refused_at_the_start},
	{"put-beyond-the-promise-is-refused", put_beyond_the_promise_is_refused},
	{"little-is-wasted", little_is_wasted},
};
CHECK_MAIN(tests)
