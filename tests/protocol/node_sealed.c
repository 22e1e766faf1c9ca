// SPDX-License-Identifier: GPL-2.0-or-later
/* node_sealed.c - a running node keeps sealed chunks as it keeps others, and never mixes the two. */
#include "node_chunk.h"
#include "tests/unit/seal_data.h"

static struct node node;
static struct answer answer;
static struct sealer *sealer;
static struct seal_known known[8];
static struct chunk_head sent;
static uint8_t body[GVM_CHUNK_BYTES];

/* A connection on which chunks may be sealed. */
static int sealed_link(void)
{
	struct gvm_hello_rsp rsp;
	int fd = link_open(&node);

	link_hello_with(fd, 5, GVM_FEATURE_SEAL | 1ull << 63, &answer);
	CHECK_EQ(gvm_hello_rsp_unpack(&rsp, answer.meta, answer.hdr.meta_len), answer.hdr.meta_len);
	CHECK_EQ(rsp.features, GVM_FEATURE_SEAL);
	return fd;
}

/* One, and the region, attached with epoch 1. dir: NULL, or where the node keeps its chunks. */
static int begin_in(const char *dir)
{
	int fd;

	sealer_destroy(sealer);
	sealer = sealer_make();
	memset(known, 0, sizeof(known));
	node_start(&node, "64M", dir ? "--persist" : NULL, dir, NULL);
	fd = sealed_link();
	region_make(fd, 64);
	return fd;
}

static int begin(void)
{
	return begin_in(NULL);
}

static uint16_t sealed_put(int fd, const uint8_t *data, uint64_t chunk, uint64_t version, uint64_t base,
			   uint32_t pages)
{
	struct gvm_put_req what = {.region = chunk_region, .epoch = gvm_version_epoch(version),
				   .chunk = chunk, .version = version, .base = base};

	CHECK_EQ(seal_encode(sealer, chunk_test_codec(), data, pages, 0, 0, &chunk_region, chunk, version,
			     &sent, body), 0);
	return link_put(fd, &what, &sent, body, &answer);
}

/* Takes the frames of an answer: every page of `pages` as in `data`. */
static void sealed_get(int fd, const uint8_t *data, uint64_t chunk, uint64_t version, uint32_t pages,
		       uint8_t want)
{
	static uint8_t got[GVM_CHUNK_BYTES];
	uint32_t seen = 0, valid;

	get_send(fd, 7, chunk, version, pages, want);
	do {
		struct gvm_get_rsp rsp;
		struct chunk_head head;
		int used;

		CHECK(frame_receive(fd, &answer));
		CHECK_EQ(answer.hdr.status, GVM_OK);
		used = gvm_get_rsp_unpack(&rsp, answer.meta, answer.hdr.meta_len);
		CHECK(!chunk_head_unpack(&head, answer.meta + used, answer.hdr.meta_len - (size_t)used));
		CHECK(head.sealed);
		CHECK_EQ(seal_decode(sealer, chunk_test_codec(), &head, answer.data, &chunk_region, chunk,
				     rsp.version, &known[chunk], pages, got, &valid), 0);
		seen |= valid;
	} while (answer.hdr.flags & GVM_FLAG_MORE);
	CHECK_EQ(seen & pages, pages);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (pages >> p & 1)
			CHECK_MEM(got + p * GVM_PAGE_BYTES, data + p * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
}

/* Changes of a few pages by many sealers: in the end each block has another version and another salt. */
static void sealed_chunks_come_back_merged(void)
{
	static uint8_t data[8][GVM_CHUNK_BYTES];
	int fd = begin();

	for (unsigned i = 0; i < 8; i++) {
		chunk_fill_random(data[i]);
		CHECK_EQ(sealed_put(fd, data[i], i, gvm_version(1, 1), 0, ~0u), GVM_OK);
		seal_learn(&known[i], &sent, ~0u);
	}
	for (unsigned n = 0; n < 1000; n++) {
		unsigned i = n % 8;
		uint64_t version = gvm_version(1, 2 + n / 8);
		uint32_t pages = n < 512 ? 1u << n / 8 % 32 : random_mask(32);

		if (n < 512) {
			sealer_destroy(sealer);
			sealer = sealer_make();
		}
		for (uint32_t m = pages; m; m &= m - 1)
			page_fill(data[i] + (size_t)__builtin_ctz(m) * GVM_PAGE_BYTES,
				  n < 512 ? PAGE_TEXT : (enum page_kind)check_random_below(PAGE_KINDS));
		CHECK_EQ(sealed_put(fd, data[i], i, version, version - 1, pages), GVM_OK);
		seal_learn(&known[i], &sent, pages);
		sealed_get(fd, data[i], i, version, ~0u, GVM_NO_PAGE);
		sealed_get(fd, data[i], i, version, random_mask(32), (uint8_t)check_random_below(32));
	}
	CHECK_EQ(link_call(fd, &answer, GVM_OP_DISCARD, discard, .region = chunk_region, .epoch = 1, .first = 0,
			   .count = 8, .version = gvm_version(1, 1000)), GVM_OK);
	for (unsigned i = 0; i < 8; i++) {
		memset(data[i], 0, GVM_CHUNK_BYTES);
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			known[i].page[p] = SEAL_ZERO;
		sealed_get(fd, data[i], i, gvm_version(1, 1000), ~0u, 3);
	}
	close(fd);
	node_stop(&node);
}

/* The most that a chunk takes: no page compresses, and each has a salt of its own. */
static void largest_sealed_chunks_fit_the_promise(void)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	struct gvm_node_stat_rsp stat;
	uint64_t chunks;
	int fd = begin();

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(data + p * GVM_PAGE_BYTES, PAGE_RANDOM);
	CHECK_EQ(sealed_put(fd, data, 0, gvm_version(1, 1), 0, ~0u), GVM_OK);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		sealer_destroy(sealer);
		sealer = sealer_make();
		CHECK_EQ(sealed_put(fd, data, 0, gvm_version(1, 2 + p), gvm_version(1, 1 + p), 1u << p), GVM_OK);
	}
	sealed_get(fd, data, 0, gvm_version(1, 33), ~0u, 31);
	stat = link_stat(fd);
	CHECK_EQ(stat.stored_bytes, CHUNK_ENCODED_MAX);
	for (chunks = 64; chunks < 1000; chunks++)
		if (link_call(fd, &answer, GVM_OP_REGION_RESIZE, region_resize, .region = chunk_region, .epoch = 1,
			      .chunks = chunks + 1, .reserve_chunks = chunks + 1))
			break;
	CHECK(chunks > 400 && chunks < 1000);
	CHECK_EQ(sealed_put(fd, data, 1, gvm_version(1, 1), 0, ~0u), GVM_OK);
	for (uint64_t c = 2; c < chunks; c++)
		CHECK_EQ(sealed_put(fd, data, c, gvm_version(1, 1), 0, ~0u), GVM_OK);
	close(fd);
	node_stop(&node);
}

static void damaged_sealed_put_is_not_stored(void)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	struct gvm_put_req what = {.region = chunk_region, .epoch = 1, .chunk = 2, .version = gvm_version(1, 1)};
	uint8_t meta[GVM_META_MAX];
	size_t len, bytes;
	int fd = begin();

	chunk_fill_random(data);
	memset(data, 7, GVM_PAGE_BYTES);
	CHECK_EQ(seal_encode(sealer, chunk_test_codec(), data, ~0u, 0, 0, &chunk_region, 2, what.version, &sent,
			     body), 0);
	len = gvm_put_req_pack(&what, meta);
	len += chunk_head_pack(&sent, meta + len);
	bytes = frame_pack(put_frame, GVM_OP_PUT, 1, meta, len, body, sent.body_bytes);
	for (unsigned i = 0; i < 64; i++) {
		size_t at = bytes - 1 - check_random_below(sent.body_bytes);

		put_frame[at] ^= 0x40;
		link_write(fd, put_frame, bytes);
		put_frame[at] ^= 0x40;
		CHECK(frame_receive(fd, &answer));
		CHECK_EQ(answer.hdr.status, GVM_ERR_CORRUPT);
	}
	get_send(fd, 1, 2, gvm_version(1, 1), ~0u, GVM_NO_PAGE);
	CHECK(frame_receive(fd, &answer));
	CHECK_EQ(answer.hdr.status, GVM_ERR_LOST);
	link_write(fd, put_frame, bytes);
	CHECK(frame_receive(fd, &answer));
	CHECK_EQ(answer.hdr.status, GVM_OK);
	sealed_get(fd, data, 2, gvm_version(1, 1), ~0u, 0);
	close(fd);
	node_stop(&node);
}

static void plain_and_sealed_chunks_do_not_mix(void)
{
	static uint8_t data[GVM_CHUNK_BYTES], zeros[GVM_CHUNK_BYTES];
	int fd = begin();

	chunk_fill_random(data);
	memset(data, 7, GVM_PAGE_BYTES);
	CHECK_EQ(chunk_put(fd, data, 0, gvm_version(1, 1), 0, ~0u), GVM_OK);
	CHECK_EQ(sealed_put(fd, data, 1, gvm_version(1, 1), 0, ~0u), GVM_ERR_INVALID);
	CHECK_EQ(sealed_put(fd, data, 0, gvm_version(1, 2), gvm_version(1, 1), 1), GVM_ERR_INVALID);
	chunk_get(fd, data, 0, gvm_version(1, 1), ~0u, 0);
	/* Zeros are of either form. */
	CHECK_EQ(sealed_put(fd, zeros, 0, gvm_version(1, 2), 0, ~0u), GVM_OK);
	CHECK_EQ(sealed_put(fd, data, 0, gvm_version(1, 3), 0, ~0u), GVM_OK);
	CHECK_EQ(chunk_put(fd, data, 1, gvm_version(1, 1), 0, ~0u), GVM_ERR_INVALID);
	CHECK_EQ(chunk_put(fd, data, 0, gvm_version(1, 4), gvm_version(1, 3), 1), GVM_ERR_INVALID);
	CHECK_EQ(chunk_put(fd, zeros, 1, gvm_version(1, 1), 0, ~0u), GVM_OK);
	sealed_get(fd, data, 0, gvm_version(1, 3), ~0u, 0);
	close(fd);
	node_stop(&node);
}

static void client_that_knows_no_seals_gets_none(void)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	int fd = begin(), old = link_ready(&node, 6);

	chunk_fill_random(data);
	memset(data, 7, GVM_PAGE_BYTES);
	CHECK_EQ(sealed_put(fd, data, 0, gvm_version(1, 1), 0, ~0u), GVM_OK);
	get_send(old, 1, 0, 0, ~0u, 0);
	CHECK(frame_receive(old, &answer));
	CHECK_EQ(answer.hdr.status, GVM_ERR_INVALID);
	node_answers(&node);
	CHECK_EQ(seal_encode(sealer, chunk_test_codec(), data, ~0u, 0, 0, &chunk_region, 1, gvm_version(1, 1), &sent,
			     body), 0);
	{
		struct gvm_put_req what = {.region = chunk_region, .epoch = 1, .chunk = 1, .version = gvm_version(1, 1)};
		uint8_t meta[GVM_META_MAX];
		size_t len = gvm_put_req_pack(&what, meta);

		len += chunk_head_pack(&sent, meta + len);
		frame_send(old, GVM_OP_PUT, 2, meta, len, body, sent.body_bytes);
	}
	CHECK(link_ended(old));
	node_log_wait(&node, "PUT of a sealed chunk, which HELLO did not offer");
	sealed_get(fd, data, 0, gvm_version(1, 1), ~0u, 0);
	close(old);
	close(fd);
	node_stop(&node);
}

static void sealed_chunks_outlive_a_kill(void)
{
	static uint8_t data[8][GVM_CHUNK_BYTES];
	char folder[64], path[128];
	int fd;

	snprintf(folder, sizeof(folder), "%s/gvm-sealed.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	CHECK(mkdtemp(folder));
	fd = begin_in(folder);
	for (unsigned i = 0; i < 8; i++) {
		chunk_fill_random(data[i]);
		CHECK_EQ(sealed_put(fd, data[i], i, gvm_version(1, 1), 0, ~0u), GVM_OK);
		seal_learn(&known[i], &sent, ~0u);
	}
	/* Blocks of two versions in one chunk. */
	memset(data[3], 7, GVM_PAGE_BYTES);
	CHECK_EQ(sealed_put(fd, data[3], 3, gvm_version(1, 2), gvm_version(1, 1), 1), GVM_OK);
	seal_learn(&known[3], &sent, 1);
	CHECK(!kill(node.pid, SIGKILL));
	CHECK_EQ(node_wait(&node), 1000 + SIGKILL);
	close(fd);
	node_start(&node, "64M", "--persist", folder, NULL);
	fd = sealed_link();
	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_OPEN, region_open, .region = chunk_region, .mode = 1, .epoch = 1),
		 GVM_OK);
	for (unsigned i = 0; i < 8; i++)
		sealed_get(fd, data[i], i, gvm_version(1, i == 3 ? 2 : 1), ~0u, GVM_NO_PAGE);
	/* It is a sealed region still, also before its next PUT. */
	CHECK(chunk_put(fd, data[0], 9, gvm_version(1, 3), 0, ~0u) != GVM_OK);
	memset(data[3], 9, GVM_PAGE_BYTES);
	CHECK_EQ(sealed_put(fd, data[3], 3, gvm_version(1, 4), gvm_version(1, 2), 1), GVM_OK);
	seal_learn(&known[3], &sent, 1);
	sealed_get(fd, data[3], 3, gvm_version(1, 4), ~0u, GVM_NO_PAGE);
	close(fd);
	node_stop(&node);
	snprintf(path, sizeof(path), "%s/chunks.gvm", folder);
	CHECK(!unlink(path) && !rmdir(folder));
}

static const struct check_test tests[] = {
	{"sealed-chunks-come-back-merged", sealed_chunks_come_back_merged},
	{"sealed-chunks-outlive-a-kill", sealed_chunks_outlive_a_kill},
	{"largest-sealed-chunks-fit-the-promise", largest_sealed_chunks_fit_the_promise},
	{"damaged-sealed-put-is-not-stored", damaged_sealed_put_is_not_stored},
	{"plain-and-sealed-chunks-do-not-mix", plain_and_sealed_chunks_do_not_mix},
	{"client-that-knows-no-seals-gets-none", client_that_knows_no_seals_gets_none},
};
CHECK_MAIN(tests)
