// SPDX-License-Identifier: GPL-2.0-or-later
/* node_views.c - what a memory node does with the views of a region's slots, without a socket. */
#include "check.h"
#include "memnode/daemon/region.h"

static struct store *store;
static struct regions regions;
static struct region_writer writer = {.client = 1};
static uint64_t detail;

static struct gvm_id id(unsigned n)
{
	return (struct gvm_id){{(uint8_t)n, 1}};
}

static void setup_with(uint64_t memory, bool views)
{
	struct gvm_region_open_rsp rsp;

	CHECK(!store_create(memory, &store));
	store_set_pin_limit(store, REGION_CHUNK_CELLS);
	CHECK(!regions_init(&regions, store, store_cells(store) - REGION_CHUNK_CELLS, 1));
	CHECK_EQ(regions_create(&regions,
				&(struct gvm_region_create_req){
					.region = id(1), .chunks = 4, .views = views},
				&detail),
		 GVM_OK);
	CHECK_EQ(regions_open(&regions,
			      &(struct gvm_region_open_req){.region = id(1), .mode = 1, .epoch = 2},
			      &writer, &rsp, &detail),
		 GVM_OK);
}

static void setup(uint64_t memory)
{
	setup_with(memory, false);
}

static void teardown(void)
{
	region_writer_gone(&writer);
	regions_deinit(&regions);
	CHECK_EQ(store_cells_free(store), store_cells(store));
	store_destroy(store);
}

static bool active;

static uint16_t view(uint64_t epoch, uint32_t slot, uint64_t number, unsigned a, unsigned b, unsigned c)
{
	struct gvm_region_view_req what = {.region = id(1), .epoch = epoch, .slot = slot, .active = active, .number = number};

	what.member_0 = a ? id(a) : what.member_0;
	what.member_1 = b ? id(b) : what.member_1;
	what.member_2 = c ? id(c) : what.member_2;
	detail = 0;
	return regions_view(&regions, &what, &detail);
}

static uint32_t views(uint8_t *buf)
{
	struct gvm_region_views_req what = {.region = id(1), .count = GVM_SLOTS_MAX};
	struct gvm_region_views_rsp rsp;
	uint32_t bytes;

	CHECK_EQ(regions_views(&regions, &what, &rsp, buf, &bytes), GVM_OK);
	CHECK_EQ(bytes, rsp.count * GVM_VIEW_ENTRY_BYTES);
	return rsp.count;
}

static uint16_t get(uint64_t epoch, uint64_t chunk)
{
	struct region_found found;

	return regions_get(
		&regions,
		&(struct gvm_get_req){
			.region = id(1), .epoch = epoch, .chunk = chunk, .want_page = GVM_NO_PAGE},
		&found, &detail);
}

/* Who is told so by no record. */
static void readers_find_nothing_of_a_slot_that_is_elsewhere(void)
{
	struct gvm_id self = id(11);

	setup(8u << 20);
	active = true;
	CHECK_EQ(view(2, 1, 5, 12, 0, 0), GVM_OK);
	CHECK_EQ(get(0, 1), GVM_OK); /* the node does not know itself */
	regions.self = &self;
	CHECK_EQ(get(0, 1), GVM_ERR_LOST);
	CHECK_EQ(get(2, 1), GVM_OK);
	CHECK_EQ(get(0, 2), GVM_OK);
	active = false;
	CHECK_EQ(view(2, 2, 5, 12, 0, 0), GVM_OK);
	CHECK_EQ(view(2, 1, 6, 11, 0, 0), GVM_OK);
	CHECK_EQ(get(0, 2), GVM_OK); /* it is only proposed */
	CHECK_EQ(get(0, 1), GVM_ERR_LOST);
	active = true;
	CHECK_EQ(view(2, 1, 6, 12, 11, 0), GVM_ERR_STALE);
	CHECK_EQ(view(2, 1, 7, 12, 11, 0), GVM_OK);
	CHECK_EQ(get(0, 1), GVM_OK);
	teardown();
}

static void a_view_does_not_go_back(void)
{
	static uint8_t buf[GVM_DATA_MAX];
	struct gvm_id b = id(12);

	setup(8u << 20);
	CHECK_EQ(views(buf), 0);
	CHECK_EQ(view(2, 7, 5, 11, 12, 0), GVM_OK);
	CHECK_EQ(view(2, 7, 5, 11, 12, 0), GVM_OK);
	CHECK_EQ(view(2, 7, 5, 12, 11, 0), GVM_ERR_STALE);
	CHECK_EQ(detail, 5);
	CHECK_EQ(view(2, 7, 4, 11, 0, 0), GVM_ERR_STALE);
	CHECK_EQ(view(2, 7, 6, 12, 0, 0), GVM_OK);
	CHECK_EQ(view(2, 3, 1, 11, 12, 13), GVM_OK);
	CHECK_EQ(views(buf), 2);
	CHECK_EQ(gvm_load_le(buf, 4), 3);
	CHECK_EQ(gvm_load_le(buf + GVM_VIEW_ENTRY_BYTES, 4), 7);
	CHECK_EQ(buf[GVM_VIEW_ENTRY_BYTES + 4], 0);
	CHECK_EQ(gvm_load_le(buf + GVM_VIEW_ENTRY_BYTES + 5, 8), 6);
	CHECK_MEM(buf + GVM_VIEW_ENTRY_BYTES + 13, b.b, 16);
	teardown();
}

static void active_as(bool is)
{
	active = is;
}

static void the_active_view_stays_beside_a_proposed_one(void)
{
	static uint8_t buf[GVM_DATA_MAX];
	struct gvm_region_views_req one = {.region = id(1), .first = 8, .count = 1};
	struct gvm_region_views_rsp rsp;
	uint32_t bytes;

	setup(8u << 20);
	active_as(false);
	CHECK_EQ(view(2, 7, 5, 11, 12, 0), GVM_OK);
	active_as(true);
	CHECK_EQ(view(2, 7, 5, 11, 0, 0), GVM_ERR_STALE);
	CHECK_EQ(view(2, 7, 5, 11, 12, 0), GVM_OK);
	CHECK_EQ(view(2, 7, 5, 11, 12, 0), GVM_OK);
	CHECK_EQ(views(buf), 1);
	CHECK_EQ(buf[4], 1);
	active_as(false);
	CHECK_EQ(view(2, 7, 5, 11, 12, 0), GVM_OK); /* sent twice */
	CHECK_EQ(views(buf), 1);
	CHECK_EQ(view(2, 7, 6, 11, 0, 0), GVM_OK);
	CHECK_EQ(view(2, 7, 8, 12, 0, 0), GVM_OK);
	CHECK_EQ(view(2, 7, 7, 12, 0, 0), GVM_ERR_STALE);
	CHECK_EQ(detail, 8);
	CHECK_EQ(views(buf), 2);
	CHECK_EQ(buf[4], 1);
	CHECK_EQ(gvm_load_le(buf + 5, 8), 5);
	CHECK_EQ(buf[GVM_VIEW_ENTRY_BYTES + 4], 0);
	CHECK_EQ(gvm_load_le(buf + GVM_VIEW_ENTRY_BYTES + 5, 8), 8);
	/* One that comes late is true all the same, and leaves a later proposal. */
	active_as(true);
	CHECK_EQ(view(2, 7, 6, 11, 0, 0), GVM_OK);
	CHECK_EQ(view(2, 7, 5, 11, 12, 0), GVM_ERR_STALE);
	CHECK_EQ(views(buf), 2);
	CHECK_EQ(view(2, 7, 9, 12, 0, 0), GVM_OK);
	CHECK_EQ(views(buf), 1);
	CHECK_EQ(regions_views(&regions, &one, &rsp, buf, &bytes), GVM_OK);
	CHECK_EQ(rsp.count, 0);
	one.first = 7;
	CHECK_EQ(regions_views(&regions, &one, &rsp, buf, &bytes), GVM_OK);
	CHECK_EQ(rsp.count, 1);
	one.first = UINT32_MAX;
	one.count = UINT32_MAX;
	CHECK_EQ(regions_views(&regions, &one, &rsp, buf, &bytes), GVM_OK);
	CHECK_EQ(rsp.count, 0);
	active_as(false);
	teardown();
}

static void only_the_writer_records_views(void)
{
	struct gvm_region_views_req other = {.region = id(2)};
	static uint8_t buf[GVM_DATA_MAX];
	struct gvm_region_views_rsp rsp;
	uint32_t bytes;

	setup(8u << 20);
	CHECK_EQ(view(1, 7, 5, 11, 0, 0), GVM_ERR_FENCED);
	CHECK_EQ(detail, 2);
	CHECK_EQ(view(3, 7, 5, 11, 0, 0), GVM_ERR_FENCED);
	CHECK_EQ(regions_views(&regions, &other, &rsp, buf, &bytes), GVM_ERR_LOST);
	CHECK_EQ(views(buf), 0);
	teardown();
}

static void a_view_that_makes_no_sense_is_refused(void)
{
	setup(8u << 20);
	CHECK_EQ(view(2, GVM_SLOTS_MAX, 5, 11, 0, 0), GVM_ERR_INVALID);
	CHECK_EQ(view(2, UINT32_MAX, 5, 11, 0, 0), GVM_ERR_INVALID);
	CHECK_EQ(view(2, 0, 0, 11, 0, 0), GVM_ERR_INVALID);
	CHECK_EQ(view(2, 0, 5, 0, 0, 0), GVM_ERR_INVALID);
	CHECK_EQ(view(2, 0, 5, 0, 11, 0), GVM_ERR_INVALID);
	CHECK_EQ(view(2, 0, 5, 11, 0, 12), GVM_ERR_INVALID);
	CHECK_EQ(view(2, 0, 5, 11, 11, 0), GVM_ERR_INVALID);
	CHECK_EQ(view(2, 0, 5, 11, 12, 11), GVM_ERR_INVALID);
	CHECK_EQ(view(2, GVM_SLOTS_MAX - 1, UINT64_MAX, 11, 12, 13), GVM_OK);
	teardown();
}

/* The entries of another region take all that there is. */
static void fill_up(void)
{
	struct gvm_region_create_req fill = {.region = id(2)};

	for (fill.chunks = 1u << 20; regions_create(&regions, &fill, &detail) == GVM_ERR_NOSPACE;)
		fill.chunks -= 16;
}

static void the_table_of_views_is_paid_for(void)
{
	struct gvm_region_stat_req stat = {.region = id(1)};
	struct gvm_region_delete_req gone = {.region = id(2)};
	struct gvm_region_stat_rsp before, after;

	setup(8u << 20);
	fill_up();
	CHECK_EQ(view(2, 0, 5, 11, 0, 0), GVM_ERR_NOSPACE);
	CHECK_EQ(regions_delete(&regions, &gone, &detail), GVM_OK);
	while (regions_reap(&regions, 100))
		;
	CHECK_EQ(regions_stat(&regions, &stat, &before), GVM_OK);
	CHECK_EQ(view(2, 0, 5, 11, 0, 0), GVM_OK);
	CHECK_EQ(view(2, 1, 5, 11, 0, 0), GVM_OK);
	CHECK_EQ(regions_stat(&regions, &stat, &after), GVM_OK);
	CHECK(after.held_bytes >= before.held_bytes + GVM_SLOTS_MAX * 144u);
	CHECK(after.held_bytes < before.held_bytes + GVM_SLOTS_MAX * 144u + STORE_CELL_BYTES);
	gone.region = id(1);
	gone.epoch = 2;
	CHECK_EQ(regions_delete(&regions, &gone, &detail), GVM_OK);
	CHECK_EQ(regions.entry_cells, 0);
	CHECK_EQ(regions.promised_cells, 0);
	teardown();
}

static void a_full_node_has_room_for_the_views_that_it_promised(void)
{
	struct gvm_region_create_req again = {.region = id(1), .chunks = 4, .views = 1}, more = again;
	struct gvm_region_delete_req gone = {.region = id(1), .epoch = 2};
	static uint8_t buf[GVM_DATA_MAX];
	uint64_t before;

	setup_with(8u << 20, true);
	CHECK_EQ(views(buf), 0);
	before = regions.entry_cells;
	CHECK_EQ(regions_create(&regions, &again, &detail), GVM_OK); /* sent twice */
	CHECK_EQ(regions.entry_cells, before);
	again.views = 2;
	CHECK_EQ(regions_create(&regions, &again, &detail), GVM_ERR_INVALID);
	fill_up();
	more.region = id(3);
	CHECK_EQ(regions_create(&regions, &more, &detail), GVM_ERR_NOSPACE);
	CHECK_EQ(view(2, GVM_SLOTS_MAX - 1, 5, 11, 0, 0), GVM_OK);
	CHECK_EQ(views(buf), 1);
	before = regions.entry_cells;
	CHECK_EQ(regions_delete(&regions, &gone, &detail), GVM_OK);
	CHECK(regions.entry_cells + GVM_SLOTS_MAX * 144u / STORE_CELL_BYTES <= before);
	teardown();
}

static void views_that_were_not_promised_cannot_be_promised_by_a_second_create(void)
{
	struct gvm_region_create_req again = {.region = id(1), .chunks = 4, .views = 1};

	setup(8u << 20);
	CHECK_EQ(regions_create(&regions, &again, &detail), GVM_ERR_EXISTS);
	teardown();
}

static const struct check_test tests[] = {
	{"a-view-does-not-go-back", a_view_does_not_go_back},
	{"readers-find-nothing-of-a-slot-that-is-elsewhere", readers_find_nothing_of_a_slot_that_is_elsewhere},
	{"the-active-view-stays-beside-a-proposed-one", the_active_view_stays_beside_a_proposed_one},
	{"only-the-writer-records-views", only_the_writer_records_views},
	{"a-view-that-makes-no-sense-is-refused", a_view_that_makes_no_sense_is_refused},
	{"the-table-of-views-is-paid-for", the_table_of_views_is_paid_for},
	{"a-full-node-has-room-for-the-views-that-it-promised", a_full_node_has_room_for_the_views_that_it_promised},
	{"views-that-were-not-promised-cannot-be-promised-by-a-second-create",
	 views_that_were_not_promised_cannot_be_promised_by_a_second_create},
};

int main(int argc, char **argv)
{
	LIST_INIT(&writer.attaches);
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
