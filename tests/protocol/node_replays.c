// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * node_replays.c - frames that were said before, said again by others: those of a writer that was overtaken, of the one
 * that overtook it, in any order, and of an old epoch for each request that has one. Nothing of it changes what the
 * region and the names are, nor ends the writer's attachment.
 */
#include "node_chunk.h"

#define CHUNKS	 24u
#define NAMES	 4u
#define FRAMES	 256u
#define REPLAYS	 4000u /* of each kind of stranger */
#define PIPELINE 16u

enum said { BY_OLD, BY_NEW };

/* A request as it was sent. */
struct kept {
	enum said by;
	size_t bytes;
	uint8_t *frame;
};

static struct node node;
static struct answer answer;
static struct kept kept[FRAMES];
static unsigned kept_count;
static uint8_t data[CHUNKS][GVM_CHUNK_BYTES]; /* what the region is, in the end */
static uint64_t version[CHUNKS];
static char names[NAMES][32];

static uint8_t frame[GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX];

static uint16_t frame_say(int fd, const uint8_t *bytes, size_t len)
{
	link_write(fd, bytes, len);
	CHECK(frame_receive(fd, &answer));
	return answer.hdr.status;
}

static void keep(enum said by, size_t bytes)
{
	struct kept *k = &kept[kept_count++];

	CHECK(kept_count <= FRAMES);
	*k = (struct kept){by, bytes, malloc(bytes)};
	CHECK(k->frame);
	memcpy(k->frame, frame, bytes);
}

static void forget(void)
{
	while (kept_count)
		free(kept[--kept_count].frame);
}

/* Says it, to be said again by strangers. */
static void say(int fd, enum said by, size_t bytes)
{
	keep(by, bytes);
	CHECK_EQ(frame_say(fd, frame, bytes), GVM_OK);
}

#define PACK(op, msg, ...)                                                                                             \
	({                                                                                                             \
		struct gvm_##msg##_req req_ = {__VA_ARGS__};                                                           \
		uint8_t meta_[GVM_META_MAX];                                                                           \
		frame_pack(frame, op, 1, meta_, gvm_##msg##_req_pack(&req_, meta_), NULL, 0);                          \
	})

static void put(int fd, enum said by, unsigned chunk, uint64_t seq, uint64_t base, uint32_t blocks)
{
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (blocks >> p / (1u << CHUNK_BLOCK_SHIFT) & 1)
			page_fill(data[chunk] + p * GVM_PAGE_BYTES, PAGE_RANDOM);
	version[chunk] = gvm_version(by == BY_OLD ? 1 : 2, seq);
	say(fd, by, put_pack(frame, 1, data[chunk], chunk, version[chunk], base, blocks));
}

static void discard(int fd, enum said by, unsigned chunk, uint64_t seq)
{
	uint64_t epoch = by == BY_OLD ? 1 : 2;

	memset(data[chunk], 0, sizeof(data[chunk]));
	version[chunk] = gvm_version(epoch, seq);
	say(fd, by,
	    PACK(GVM_OP_DISCARD, discard, .region = chunk_region, .epoch = epoch, .first = chunk, .count = 1,
		 .version = version[chunk]));
}

static void name_put(int fd, enum said by, unsigned name, uint64_t at)
{
	struct gvm_name_put_req req = {.key = {{1, (uint8_t)name}}, .table = 1, .born = 1, .version = at};
	uint8_t meta[GVM_META_MAX];

	snprintf(names[name], sizeof(names[name]), "name %u, version %u", name, (unsigned)at);
	say(fd, by,
	    frame_pack(frame, GVM_OP_NAME_PUT, 1, meta, gvm_name_put_req_pack(&req, meta), names[name],
		       strlen(names[name])));
}

/* The writer that is overtaken; it leaves the region in good order. */
static void old_writer(void)
{
	int fd = link_ready(&node, 1);

	say(fd, BY_OLD,
	    PACK(GVM_OP_REGION_CREATE, region_create, .region = chunk_region, .chunks = CHUNKS,
		 .reserve_chunks = CHUNKS));
	say(fd, BY_OLD, PACK(GVM_OP_REGION_OPEN, region_open, .region = chunk_region, .mode = 1, .epoch = 1));
	for (unsigned c = 0; c < CHUNKS; c++)
		put(fd, BY_OLD, c, 1 + c, 0, ~0u);
	put(fd, BY_OLD, 3, 50, version[3], 2);
	discard(fd, BY_OLD, 5, 51);
	say(fd, BY_OLD,
	    PACK(GVM_OP_REGION_RESIZE, region_resize, .region = chunk_region, .epoch = 1, .chunks = CHUNKS + 8,
		 .reserve_chunks = CHUNKS));
	for (unsigned n = 0; n < NAMES; n++)
		name_put(fd, BY_OLD, n, 1);
	say(fd, BY_OLD, PACK(GVM_OP_REGION_CLOSE, region_close, .region = chunk_region, .epoch = 1));
	keep(BY_OLD, PACK(GVM_OP_REGION_DELETE, region_delete, .region = chunk_region, .epoch = 1));
	close(fd);
}

/* The writer of now. What it says changes data only: it may say the rest again itself. */
static int new_writer(void)
{
	int fd = link_ready(&node, 2);

	CHECK_EQ(link_call(fd, &answer, GVM_OP_REGION_OPEN, region_open, .region = chunk_region, .mode = 1, .epoch = 2),
		 GVM_OK);
	for (unsigned c = 0; c < CHUNKS; c += 2) {
		put(fd, BY_NEW, c, 1 + c, 0, ~0u);
		if (c % 4)
			put(fd, BY_NEW, c, 100 + c, version[c], 4);
	}
	discard(fd, BY_NEW, 2, 150);
	put(fd, BY_NEW, 5, 151, 0, ~0u);
	discard(fd, BY_NEW, 7, 152);
	put(fd, BY_NEW, 7, 153, version[7], 8);
	for (unsigned n = 1; n < NAMES; n++)
		name_put(fd, BY_NEW, n, 2);
	return fd;
}

static void check_chunk(int writer, unsigned c)
{
	link_write(writer, frame,
		   PACK(GVM_OP_GET, get, .region = chunk_region, .epoch = 2, .chunk = c, .version = version[c],
			.page_mask = ~0u, .want_page = GVM_NO_PAGE));
	get_receive(writer, 1, data[c], c, version[c], ~0u, GVM_NO_PAGE);
}

/* Is as it was left, and the writer has it still. */
static void check_unchanged(int writer)
{
	struct gvm_name_list_req list = {.round = 0};
	struct gvm_region_stat_rsp stat;
	uint8_t meta[GVM_META_MAX];
	const uint8_t *at;

	for (unsigned c = 0; c < CHUNKS; c++)
		check_chunk(writer, c);
	CHECK_EQ(link_call(writer, &answer, GVM_OP_REGION_STAT, region_stat, .region = chunk_region), GVM_OK);
	CHECK(gvm_region_stat_rsp_unpack(&stat, answer.meta, answer.hdr.meta_len) > 0);
	CHECK_EQ(stat.epoch, 2);
	CHECK_EQ(stat.writer, GVM_WRITER_THERE);
	CHECK_EQ(stat.chunks, CHUNKS + 8);
	CHECK_EQ(frame_call(writer, GVM_OP_NAME_LIST, meta, gvm_name_list_req_pack(&list, meta), NULL, 0, &answer), GVM_OK);
	at = answer.data;
	for (unsigned n = 0; n < NAMES; n++) {
		CHECK_EQ(at[1], n);
		CHECK_EQ(gvm_load_le(at + 40, 4), strlen(names[n]));
		CHECK_MEM(at + GVM_NAME_ENTRY_BYTES, names[n], strlen(names[n]));
		at += GVM_NAME_ENTRY_BYTES + strlen(names[n]);
	}
	CHECK_EQ(at - answer.data, answer.hdr.data_len);
}

static bool has_epoch(uint8_t op)
{
	return op == GVM_OP_REGION_OPEN || op == GVM_OP_REGION_CLOSE || op == GVM_OP_REGION_RESIZE ||
	       op == GVM_OP_REGION_DELETE || op == GVM_OP_GET || op == GVM_OP_PUT || op == GVM_OP_DISCARD;
}

static void check_status(const struct kept *k, uint8_t op, uint16_t status)
{
	if (k->by == BY_OLD && has_epoch(op))
		CHECK_EQ(status, GVM_ERR_FENCED);
	else if (op == GVM_OP_REGION_CREATE)
		CHECK_EQ(status, GVM_ERR_EXISTS);
	else
		CHECK(status == GVM_OK || status == GVM_ERR_STALE || status == GVM_ERR_STALE_BASE);
}

/* Strangers, also by the names of the two writers, repeat what they like. */
static void what_was_said_before_changes_nothing(void)
{
	static const uint64_t strangers[] = {1, 2, 9};
	int writer;

	node_start(&node, "64M", NULL);
	old_writer();
	writer = new_writer();
	check_unchanged(writer);
	for (unsigned s = 0; s < 3; s++) {
		int fd = link_ready(&node, strangers[s]);

		for (unsigned i = 0; i < REPLAYS; i += PIPELINE) {
			const struct kept *said[PIPELINE];

			for (unsigned n = 0; n < PIPELINE; n++) {
				said[n] = &kept[check_random_below(kept_count)];
				link_write(fd, said[n]->frame, said[n]->bytes);
			}
			for (unsigned n = 0; n < PIPELINE; n++) {
				CHECK(frame_receive(fd, &answer));
				CHECK_EQ(answer.hdr.op, said[n]->frame[5]);
				check_status(said[n], answer.hdr.op, answer.hdr.status);
			}
		}
		close(fd);
		check_unchanged(writer);
	}
	put(writer, BY_NEW, 1, 200, 0, ~0u); /* and its writer goes on */
	check_chunk(writer, 1);
	close(writer);
	forget();
	node_stop(&node);
}

/* Whatever a request of an old epoch asks, even of what nobody has touched since. */
static void nothing_of_an_old_epoch_is_carried_out(void)
{
	int writer, fd;

	node_start(&node, "64M", NULL);
	old_writer();
	writer = new_writer();
	fd = link_ready(&node, 1);
	for (uint64_t epoch = 1; epoch < 4; epoch += 2) { /* that was, and that no one has */
		uint64_t newest = gvm_version(epoch, 1u << 20);

		CHECK_EQ(frame_say(fd, frame, put_pack(frame, 1, data[1], 1, newest, 0, ~0u)), GVM_ERR_FENCED);
		CHECK_EQ(frame_say(fd, frame,
				   PACK(GVM_OP_GET, get, .region = chunk_region, .epoch = epoch, .chunk = 1, .page_mask = 1,
					.want_page = 0)),
			 GVM_ERR_FENCED);
		CHECK_EQ(frame_say(fd, frame,
				   PACK(GVM_OP_DISCARD, discard, .region = chunk_region, .epoch = epoch, .count = 1,
					.version = newest)),
			 GVM_ERR_FENCED);
		CHECK_EQ(frame_say(fd, frame,
				   PACK(GVM_OP_REGION_RESIZE, region_resize, .region = chunk_region, .epoch = epoch,
					.chunks = 1)),
			 GVM_ERR_FENCED);
		CHECK_EQ(frame_say(fd, frame, PACK(GVM_OP_REGION_CLOSE, region_close, .region = chunk_region, .epoch = epoch)),
			 GVM_ERR_FENCED);
		CHECK_EQ(frame_say(fd, frame, PACK(GVM_OP_REGION_DELETE, region_delete, .region = chunk_region, .epoch = epoch)),
			 GVM_ERR_FENCED);
	}
	for (uint8_t force = 0; force < 3; force++) {
		uint16_t status = frame_say(fd, frame,
					    PACK(GVM_OP_REGION_OPEN, region_open, .region = chunk_region, .mode = 1, .force = force,
						 .epoch = 1));

		CHECK_EQ(status, GVM_ERR_FENCED);
	}
	/* The epoch of now, with a version of one that is to come. */
	CHECK_EQ(frame_say(fd, frame,
			   PACK(GVM_OP_DISCARD, discard, .region = chunk_region, .epoch = 2, .count = 1,
				.version = gvm_version(3, 1))),
		 GVM_ERR_INVALID);
	check_unchanged(writer);
	close(fd);
	close(writer);
	forget();
	node_stop(&node);
}

/* Other ids: of a region or chunk that is not there. */
static void wrong_ids_find_nothing(void)
{
	int writer, fd;

	node_start(&node, "64M", NULL);
	old_writer();
	writer = new_writer();
	fd = link_ready(&node, 2);
	for (unsigned i = 0; i < kept_count; i++) {
		const struct kept *k = &kept[i];
		struct gvm_hdr h;

		CHECK(!gvm_hdr_unpack(&h, k->frame));
		if (!has_epoch(h.op))
			continue;
		memcpy(frame, k->frame, k->bytes);
		frame[GVM_HDR_BYTES + check_random_below(16)] ^= (uint8_t)(1u << check_random_below(8));
		gvm_hdr_pack(&h, frame + GVM_HDR_BYTES, frame);
		CHECK_EQ(frame_say(fd, frame, k->bytes), GVM_ERR_LOST);
		if (k->by == BY_OLD || (h.op != GVM_OP_PUT && h.op != GVM_OP_DISCARD))
			continue;
		memcpy(frame, k->frame, k->bytes);
		gvm_store_le(frame + GVM_HDR_BYTES + 24, CHUNKS + 8 + check_random_below(1000), 8);
		gvm_hdr_pack(&h, frame + GVM_HDR_BYTES, frame);
		CHECK_EQ(frame_say(fd, frame, k->bytes), GVM_ERR_INVALID);
	}
	check_unchanged(writer);
	close(fd);
	close(writer);
	forget();
	node_stop(&node);
}

static const struct check_test tests[] = {
	{"what-was-said-before-changes-nothing", what_was_said_before_changes_nothing},
	{"nothing-of-an-old-epoch-is-carried-out", nothing_of_an_old_epoch_is_carried_out},
	{"wrong-ids-find-nothing", wrong_ids_find_nothing},
};
CHECK_MAIN(tests)
