// SPDX-License-Identifier: GPL-2.0-or-later
/* node_pack.c - what came raw is compressed: the same content in the same version, whatever happens meanwhile. */
#include "region_rig.h"
#include "memnode/daemon/pack.h"

static struct packer packer;
static struct region_writer *host;

static void begin(uint64_t chunks)
{
	setup(1);
	CHECK(!packer_init(&packer, &regions, NULL));
	host = writer(1);
	CHECK_EQ(create(1, chunks, chunks), GVM_OK);
	CHECK_EQ(attach(host, 1, 1, 0), GVM_OK);
}

static void end(void)
{
	packer_deinit(&packer);
	writer_end(host);
	teardown();
}

static void put_raw(uint64_t chunk, uint64_t seq, const uint8_t *data)
{
	struct gvm_put_req what = {.region = id(1), .epoch = 1, .chunk = chunk, .version = gvm_version(1, seq)};
	struct chunk_head head;
	const uint8_t *raw = chunk_encode_raw(data, ~0u, 0, CHUNK_BLOCK_SHIFT, &what.region, chunk, &head, body);

	CHECK_EQ(regions_put(&regions, &what, &head, raw, &detail), GVM_OK);
}

static uint64_t version_of(uint64_t chunk)
{
	struct region_found found;

	CHECK_EQ(get(1, 1, chunk, 0, &found), GVM_OK);
	return found.version;
}

/* All there is to do; returns in how many steps. */
static unsigned pack(void)
{
	unsigned steps = 0;

	packer_again(&packer);
	while (packer_step(&packer))
		CHECK(++steps < 100000);
	return steps;
}

/* A chunk that has just come is begun, and not ended. */
static void pack_in_part(void)
{
	packer_again(&packer);
	for (unsigned i = 0; i < 10; i++)
		CHECK(packer_step(&packer));
}

/* It is being sent; returns its first cell. */
static uint32_t send_begin(uint64_t chunk)
{
	struct region_found found;

	CHECK_EQ(get(1, 1, chunk, 0, &found), GVM_OK);
	CHECK(store_pin(store, found.cell, store_cells_of(found.bytes)));
	return found.cell;
}

static void raw_chunk_becomes_smaller(void)
{
	uint64_t before;

	begin(10);
	put_raw(3, 1, text);
	put_raw(7, 2, noise[0]);
	before = regions.totals.stored_bytes;
	CHECK_EQ(regions.totals.raw, 2);
	CHECK(pack() >= 2 * GVM_CHUNK_PAGES);
	CHECK_EQ(regions.totals.raw, 0);
	CHECK(regions.totals.stored_bytes < before - GVM_CHUNK_BYTES / 2);
	check_content(1, 3, text);
	check_content(1, 7, noise[0]);
	CHECK_EQ(version_of(3), gvm_version(1, 1));
	CHECK_EQ(pack(), 0);
	/* As small as if it had come compressed; and what does not shrink is not looked at again. */
	before = regions.totals.stored_bytes;
	CHECK_EQ(put_what(1, 1, 3, gvm_version(1, 3), 0, text, ~0u, CHUNK_BLOCK_SHIFT), GVM_OK);
	CHECK_EQ(regions.totals.stored_bytes, before);
	CHECK_EQ(regions.totals.raw, 0);
	end();
}

static void what_is_written_meanwhile_stays(void)
{
	begin(10);
	/* Before it is begun, in its midst, and after its end. */
	for (unsigned steps = 1; steps < 40; steps++) {
		put_raw(3, 2 * steps, text);
		packer_again(&packer);
		for (unsigned i = 0; i < steps; i++)
			packer_step(&packer);
		put_raw(3, 2 * steps + 1, steps & 1 ? noise[0] : noise[1]);
		pack();
		check_content(1, 3, steps & 1 ? noise[0] : noise[1]);
		CHECK_EQ(version_of(3), gvm_version(1, 2 * steps + 1));
	}
	end();
}

static void what_is_deleted_meanwhile_stays_so(void)
{
	begin(10);
	put_raw(3, 1, text);
	pack_in_part();
	CHECK_EQ(discard(1, 1, 3, 1, gvm_version(1, 2)), GVM_OK);
	pack();
	CHECK_EQ(regions.totals.chunks, 0);
	put_raw(4, 3, text);
	pack_in_part();
	CHECK_EQ(regions_delete(&regions,
				&(struct gvm_region_delete_req){.region = id(1), .epoch = 1},
				&detail),
		 GVM_OK);
	CHECK_EQ(regions.totals.raw, 0);
	pack(); /* the chunk that was begun is of no region any more */
	end();
}

/* Bytes that are being sent stay where they are; when they are sent, they are compressed. */
static void waits_until_sent(uint32_t cell)
{
	pack();
	CHECK_EQ(regions.totals.raw, 1);
	store_unpin(store, cell);
	pack();
	CHECK_EQ(regions.totals.raw, 0);
}

static void what_is_being_sent_waits(void)
{
	begin(10);
	put_raw(3, 1, text);
	waits_until_sent(send_begin(3));
	/* Also if that began in the middle. */
	put_raw(3, 2, text);
	pack_in_part();
	waits_until_sent(send_begin(3));
	check_content(1, 3, text);
	end();
}

/* The same version on the same cells, but another head: what was read before is not put there. */
static void what_is_mended_meanwhile_stays(void)
{
	static uint8_t little[GVM_CHUNK_BYTES];
	struct gvm_put_req what = {.region = id(1), .epoch = 1, .chunk = 3, .version = gvm_version(1, 1),
				   .base = gvm_version(1, 1)};
	struct chunk_head head;
	const uint8_t *raw;

	memcpy(little, noise[0], 8 * GVM_PAGE_BYTES);
	begin(10);
	put_raw(3, 1, text);
	pack_in_part();
	raw = chunk_encode_raw(little, ~0u, 0, CHUNK_BLOCK_SHIFT, &what.region, 3, &head, body);
	CHECK_EQ(regions_put(&regions, &what, &head, raw, &detail), GVM_OK);
	CHECK_EQ(regions.totals.raw, 1);
	pack();
	check_content(1, 3, little);
	CHECK_EQ(regions.totals.raw, 0);
	end();
}

/* Pages that do not compress are no sign that nobody has tried. */
static void what_came_compressed_is_left_alone(void)
{
	static uint8_t mixed[GVM_CHUNK_BYTES];

	memcpy(mixed, text, sizeof(mixed));
	memcpy(mixed, noise[0], 12 * GVM_PAGE_BYTES);
	begin(10);
	CHECK_EQ(put_what(1, 1, 3, gvm_version(1, 1), 0, mixed, ~0u, CHUNK_BLOCK_SHIFT), GVM_OK);
	CHECK_EQ(regions.totals.raw, 0);
	/* A change of one page says nothing of the others. */
	put_raw(4, 2, text);
	CHECK_EQ(put_what(1, 1, 4, gvm_version(1, 3), gvm_version(1, 2), noise[0], 1, CHUNK_BLOCK_SHIFT), GVM_OK);
	CHECK_EQ(regions.totals.raw, 1);
	pack();
	CHECK_EQ(regions.totals.raw, 0);
	end();
}

/* A rotten block is not to get a checksum that suits it. */
static void what_is_rotten_stays_rotten(void)
{
	struct gvm_region_check_req check = {.region = id(1)};
	struct gvm_region_check_rsp rsp;
	static uint8_t list[GVM_DATA_MAX];
	struct region_found found;
	uint32_t bytes;
	uint8_t byte;

	begin(10);
	put_raw(3, 1, text);
	CHECK_EQ(get(1, 1, 3, 0, &found), GVM_OK);
	store_copy(store, found.cell, found.head_bytes + 70000, &byte, 1);
	byte ^= 4;
	store_fill(store, found.cell, found.head_bytes + 70000, &byte, 1);
	pack();
	CHECK_EQ(regions.totals.raw, 0);
	CHECK_EQ(regions_check(&regions, &check, &rsp, list, &bytes), GVM_OK);
	CHECK_EQ(rsp.count, 1);
	end();
}

static void clients_are_told_when_much_waits(void)
{
	unsigned n = 0;

	begin(100);
	while (!pack_is_behind(&regions)) {
		put_raw(n, n + 1, text);
		CHECK(++n < 100);
	}
	CHECK(n * GVM_CHUNK_BYTES > MEMORY / 16 && n * GVM_CHUNK_BYTES < MEMORY / 4);
	pack();
	CHECK(!pack_is_behind(&regions));
	end();
}

static const struct check_test tests[] = {
	{"raw-chunk-becomes-smaller", raw_chunk_becomes_smaller},
	{"what-is-written-meanwhile-stays", what_is_written_meanwhile_stays},
	{"what-is-deleted-meanwhile-stays-so", what_is_deleted_meanwhile_stays_so},
	{"what-is-being-sent-waits", what_is_being_sent_waits},
	{"what-is-mended-meanwhile-stays", what_is_mended_meanwhile_stays},
	{"what-came-compressed-is-left-alone", what_came_compressed_is_left_alone},
	{"what-is-rotten-stays-rotten", what_is_rotten_stays_rotten},
	{"clients-are-told-when-much-waits", clients_are_told_when_much_waits},
};

int main(int argc, char **argv)
{
	return rig_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
