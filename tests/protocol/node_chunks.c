// SPDX-License-Identifier: GPL-2.0-or-later
/* node_chunks.c - chunks go to a running node and come back, whole, in parts, or not at all. */
#include "node_daemon.h"
#include "tests/unit/codec_data.h"

static struct node node;
static struct answer answer;
static struct chunk_codec *codec;
static const struct gvm_id region = {{9, 8, 7}};

static void region_make(int fd, uint64_t chunks)
{
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_CREATE, region_create, .region = region,
			   .chunks = chunks, .reserve_chunks = chunks),
		 GVM_OK);
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_OPEN, region_open, .region = region, .mode = 1,
			   .epoch = 1),
		 GVM_OK);
}

static uint16_t put(int fd, const uint8_t *data, uint64_t chunk, uint64_t version, uint64_t base,
		    uint32_t blocks, uint32_t zero_map)
{
	static uint8_t body[GVM_CHUNK_BYTES];
	struct gvm_put_req what = {
		.region = region, .epoch = 1, .chunk = chunk, .version = version, .base = base};
	struct chunk_head head;

	chunk_encode(codec, data, blocks, zero_map, CHUNK_BLOCK_SHIFT, &region, chunk, &head, body);
	return link_put(fd, &what, &head, body, &answer);
}

/* Fetches `pages` and checks them against `data`; returns how many frames came. */
static unsigned get(int fd, const uint8_t *data, uint64_t chunk, uint64_t version, uint32_t pages,
		    uint8_t want)
{
	static uint8_t page_data[GVM_CHUNK_BYTES];
	uint32_t seen = 0;
	unsigned frames = 0;
	uint8_t meta[GVM_META_MAX];
	struct gvm_get_req what = {.region = region,
				   .epoch = 1,
				   .chunk = chunk,
				   .version = version,
				   .page_mask = pages,
				   .want_page = want};

	frame_send(fd, GVM_OP_GET, chunk, meta, gvm_get_req_pack(&what, meta), NULL, 0);
	do {
		struct gvm_get_rsp rsp;
		struct chunk_head head;
		uint32_t valid;
		int used;

		CHECK(frame_receive(fd, &answer));
		CHECK_EQ(answer.hdr.status, GVM_OK);
		used = gvm_get_rsp_unpack(&rsp, answer.meta, answer.hdr.meta_len);
		CHECK(used > 0 && rsp.version == version);
		CHECK(!chunk_head_unpack(&head, answer.meta + used, answer.hdr.meta_len - (size_t)used));
		CHECK_EQ(head.body_bytes, answer.hdr.data_len);
		CHECK(!chunk_decode(codec, &head, answer.data, &region, chunk, pages, page_data, &valid));
		if (!frames && want != GVM_NO_PAGE)
			CHECK(valid >> want & 1);
		seen |= valid;
		frames++;
	} while (answer.hdr.flags & GVM_FLAG_MORE);
	CHECK_EQ(seen & pages, pages);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (pages >> p & 1)
			CHECK_MEM(page_data + p * GVM_PAGE_BYTES, data + p * GVM_PAGE_BYTES,
				  GVM_PAGE_BYTES);
	return frames;
}

static void chunk_comes_back_as_it_was_put(void)
{
	static uint8_t data[8][GVM_CHUNK_BYTES];
	int fd;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 5);
	region_make(fd, 64);
	for (unsigned i = 0; i < 8; i++) {
		chunk_fill_random(data[i]);
		CHECK_EQ(put(fd, data[i], i, gvm_version(1, 1), 0, ~0u, 0), GVM_OK);
	}
	for (unsigned n = 0; n < 200; n++) {
		unsigned i = check_random_below(8), page = check_random_below(GVM_CHUNK_PAGES);
		uint32_t pages = random_mask(32) | 1u << page;

		get(fd, data[i], i, gvm_version(1, 1), pages, (uint8_t)page);
		get(fd, data[i], i, gvm_version(1, 1), pages, GVM_NO_PAGE);
	}
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
	CHECK_EQ(put(fd, data, 3, version, 0, ~0u, 0), GVM_OK);
	for (unsigned n = 0; n < 300; n++) {
		uint32_t pages = random_mask(32), blocks = chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, pages);

		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			if (pages >> p & 1)
				page_fill(data + p * GVM_PAGE_BYTES,
					  (enum page_kind)check_random_below(PAGE_KINDS));
		CHECK_EQ(put(fd, data, 3, version + 1, version, blocks, chunk_zero_pages(data)), GVM_OK);
		version++;
		get(fd, data, 3, version, ~0u, (uint8_t)check_random_below(GVM_CHUNK_PAGES));
	}
	CHECK_EQ(put(fd, data, 3, version + 2, version - 1, 1, chunk_zero_pages(data)),
		 GVM_ERR_STALE_BASE);
	CHECK_EQ(answer_detail(&answer), version);
	close(fd);
	node_stop(&node);
}

static const struct check_test tests[] = {
	{"chunk-comes-back-as-it-was-put", chunk_comes_back_as_it_was_put},
	{"changed-blocks-compose-with-what-the-node-holds",
	 changed_blocks_compose_with_what_the_node_holds},
};

int main(int argc, char **argv)
{
	codec = chunk_codec_create();
	CHECK(codec);
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
