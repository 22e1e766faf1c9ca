// SPDX-License-Identifier: GPL-2.0-or-later
/* region_writers.c - the rules of epochs, views, leases and watches, without a socket: which writer has a region. */
#include "region_rig.h"

static void only_a_higher_epoch_attaches(void)
{
	struct region_writer *a = writer(1), *b = writer(2), *a2 = writer(1);
	struct region_found found;

	setup(1);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_ERR_LOST);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 0, 0), GVM_ERR_INVALID);
	CHECK_EQ(attach(a, 1, GVM_EPOCH_MAX + 1, 0), GVM_ERR_INVALID);
	CHECK_EQ(attach(a, 1, 5, 0), GVM_OK);
	CHECK(look(1).writer && look(1).epoch == 5);
	CHECK_EQ(attach(a2, 1, 5, 0), GVM_OK); /* another connection of the same writer */
	CHECK_EQ(attach(b, 1, 5, 1), GVM_ERR_FENCED);
	CHECK_EQ(detail, 5);
	CHECK_EQ(attach(b, 1, 4, 1), GVM_ERR_FENCED);
	CHECK_EQ(attach(b, 1, 6, 0), GVM_ERR_BUSY);
	CHECK_EQ(detail, 5);
	/* One of two connections ends: still alive. Both: no longer. */
	region_writer_gone(a);
	CHECK(look(1).writer);
	region_writer_gone(a2);
	CHECK(!look(1).writer);
	CHECK_EQ(attach(a, 1, 5, 0), GVM_OK); /* comes back */
	CHECK_EQ(put(1, 0, gvm_version(5, 1), text), GVM_OK);
	CHECK_EQ(attach(b, 1, 6, 1), GVM_OK); /* takes it by force: from here on the old one is fenced */
	CHECK_EQ(put(1, 0, gvm_version(5, 2), text), GVM_ERR_FENCED);
	CHECK_EQ(detail, 6);
	CHECK_EQ(get(1, 5, 0, 0, &found), GVM_ERR_FENCED);
	CHECK_EQ(discard(1, 5, 0, 1, gvm_version(5, 2)), GVM_ERR_FENCED);
	CHECK_EQ(resize(1, 5, 5, 5), GVM_ERR_FENCED);
	CHECK_EQ(attach(a, 1, 5, 1), GVM_ERR_FENCED);
	CHECK_EQ(get(1, 0, 0, 0, &found), GVM_OK); /* a reader has no epoch */
	/* The fenced writer's connection ends: that is not the new writer's end. */
	region_writer_gone(a);
	CHECK(look(1).writer);
	CHECK_EQ(regions_close(&regions, &(struct gvm_region_close_req){id(1), 5}, &detail),
		 GVM_ERR_FENCED);
	CHECK_EQ(regions_close(&regions, &(struct gvm_region_close_req){id(1), 6}, &detail),
		 GVM_OK);
	CHECK(!look(1).writer);
	CHECK_EQ(attach(a, 1, 7, 0), GVM_OK);
	CHECK_EQ(delete_in_order(1, 6, 0),
		 GVM_ERR_FENCED);
	CHECK_EQ(delete_in_order(1, 7, 0), GVM_OK);
	CHECK_EQ(put(1, 0, gvm_version(7, 3), text), GVM_ERR_LOST);
	writer_end(a);
	writer_end(a2);
	writer_end(b);
	teardown();
}

static void views_never_go_back(void)
{
	struct region_writer *a = writer(1);
	struct gvm_region_open_rsp rsp;
	struct gvm_region_open_req what = {.region = id(1), .mode = 1, .epoch = 1, .view = 5};

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(regions_open(&regions, &what, a, &rsp, &detail), GVM_OK);
	CHECK_EQ(rsp.view, 5);
	what.view = 4;
	what.epoch = 2;
	CHECK_EQ(regions_open(&regions, &what, a, &rsp, &detail), GVM_ERR_STALE);
	CHECK_EQ(detail, 5);
	CHECK_EQ(look(1).epoch, 1);
	what = (struct gvm_region_open_req){.region = id(1), .view = 9};
	CHECK_EQ(regions_open(&regions, &what, a, &rsp, &detail), GVM_OK);
	CHECK_EQ(look(1).view, 5); /* one that only looks changes nothing */
	writer_end(a);
	teardown();
}

static uint16_t watch(struct region_writer *w, unsigned n, uint8_t mode, uint64_t number)
{
	struct gvm_region_open_rsp rsp;

	return regions_open(
		&regions,
		&(struct gvm_region_open_req){.region = id(n), .mode = mode, .epoch = number}, w,
		&rsp, &detail);
}

static void a_writer_waits_for_watches_of_others(void)
{
	struct region_writer *a = writer(1), *b = writer(2), *c = writer(3), *none = writer(0);

	setup(1);
	CHECK_EQ(watch(b, 1, 2, 1), GVM_ERR_LOST);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(watch(b, 1, 2, 0), GVM_ERR_INVALID);
	CHECK_EQ(watch(b, 1, 7, 1), GVM_ERR_INVALID);
	CHECK_EQ(watch(none, 1, 2, 1), GVM_ERR_INVALID);
	CHECK_EQ(watch(b, 1, 2, 5), GVM_OK);
	CHECK_EQ(watch(b, 1, 2, 6), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_ERR_WATCHED);
	CHECK_EQ(attach(a, 1, 1, 1), GVM_ERR_WATCHED); /* force is for writers */
	/* While it waits there is no watch, neither the old one nor another; its own aside. */
	CHECK_EQ(watch(b, 1, 2, 7), GVM_ERR_WATCHED);
	CHECK_EQ(detail, 1);
	CHECK_EQ(watch(c, 1, 2, 1), GVM_ERR_WATCHED);
	CHECK_EQ(detail, 0);
	CHECK_EQ(watch(a, 1, 2, 1), GVM_OK);
	/* The end of an earlier watch does not end this one, nor does somebody else's end. */
	CHECK_EQ(watch(b, 1, 3, 5), GVM_OK);
	CHECK_EQ(watch(c, 1, 3, 9), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_ERR_WATCHED);
	CHECK_EQ(watch(b, 1, 3, 6), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	/* Beside a writer there may be watches: the next one waits for them. This one has it already. */
	CHECK_EQ(watch(b, 1, 2, 8), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_OK);
	CHECK_EQ(attach(a, 1, 2, 0), GVM_ERR_WATCHED);
	CHECK_EQ(watch(b, 1, 3, 8), GVM_OK);
	CHECK_EQ(attach(a, 1, 2, 0), GVM_OK);
	/* One that lets a writer pass bars the next again. */
	CHECK_EQ(watch(b, 1, 2, 9), GVM_OK);
	CHECK_EQ(attach(a, 1, 3, 0), GVM_ERR_WATCHED);
	CHECK_EQ(watch(b, 1, 4, 8), GVM_OK); /* an earlier one */
	CHECK_EQ(attach(a, 1, 3, 0), GVM_ERR_WATCHED);
	CHECK_EQ(watch(b, 1, 4, 9), GVM_OK);
	CHECK_EQ(watch(b, 1, 2, 10), GVM_ERR_WATCHED);
	CHECK_EQ(detail, 0);
	CHECK_EQ(attach(a, 1, 3, 0), GVM_OK);
	CHECK_EQ(watch(b, 1, 4, 10), GVM_OK); /* nobody waits */
	CHECK_EQ(attach(a, 1, 4, 0), GVM_ERR_WATCHED);
	CHECK_EQ(watch(b, 1, 3, 10), GVM_OK);
	CHECK_EQ(attach(a, 1, 4, 0), GVM_OK);
	CHECK_EQ(watch(c, 1, 2, 2), GVM_OK); /* the region goes with a watch */
	CHECK_EQ(delete_in_order(1, 4, 0), GVM_OK);
	writer_end(a);
	writer_end(b);
	writer_end(c);
	writer_end(none);
	teardown();
}

static void a_watch_lapses_and_a_claim_too(void)
{
	struct watches w = {.count = 0};
	uint64_t barred = 0;

	CHECK_EQ(watches_renew(&w, 1, 1, 1000, &barred), GVM_OK);
	CHECK(watches_bar(&w, 2, 1000));
	CHECK_EQ(watches_renew(&w, 1, 2, 1000 + WATCH_CLAIM_NS - 1, &barred), GVM_ERR_WATCHED);
	CHECK_EQ(barred, 1);
	watches_pass(&w, 1, 2, 1000 + WATCH_CLAIM_NS - 1);
	CHECK(watches_bar(&w, 2, 1000 + WATCH_CLAIM_NS)); /* it came too late */
	watches_attached(&w);
	CHECK_EQ(watches_renew(&w, 1, 2, 1000 + WATCH_CLAIM_NS, &barred), GVM_OK);
	CHECK(watches_bar(&w, 2, 999 + WATCH_CLAIM_NS + WATCH_NS));
	CHECK(!watches_bar(&w, 2, 1000 + WATCH_CLAIM_NS + WATCH_NS));
	CHECK_EQ(w.count, 0);
	watches_attached(&w);
	for (unsigned i = 0; i < WATCH_MAX; i++)
		CHECK_EQ(watches_renew(&w, 10 + i, 1, 5000, &barred), GVM_OK);
	CHECK_EQ(watches_renew(&w, 1, 1, 5000, &barred), GVM_ERR_NOSPACE);
	CHECK_EQ(watches_renew(&w, 10, 2, 5000, &barred), GVM_OK);
	CHECK_EQ(watches_renew(&w, 1, 1, 5000 + WATCH_NS, &barred), GVM_OK); /* the others have lapsed */
	CHECK_EQ(w.count, 1);
	watches_deinit(&w);
}

/* Two hosts that read a region, and each want to write: one of them gets it. */
static void of_two_watching_writers_one_gets_in(void)
{
	struct watches w = {.count = 0};
	uint64_t barred = 0, now;

	CHECK_EQ(watches_renew(&w, 1, 1, 1000, &barred), GVM_OK);
	CHECK_EQ(watches_renew(&w, 2, 1, 1000, &barred), GVM_OK);
	for (now = 1000; now <= 1000 + WATCH_NS; now += WATCH_CLAIM_NS / 4) {
		if (!watches_bar(&w, 1, now))
			break;
		CHECK_EQ(watches_renew(&w, 1, now, now, &barred), GVM_OK);
		CHECK(watches_bar(&w, 2, now));
		CHECK_EQ(watches_renew(&w, 2, now, now, &barred), GVM_ERR_WATCHED);
	}
	CHECK_EQ(now, 1000 + WATCH_NS);
	/* One that gave up is not waited for, though its client goes on to watch. */
	CHECK_EQ(watches_renew(&w, 2, 2, now + WATCH_CLAIM_NS, &barred), GVM_OK);
	CHECK(watches_bar(&w, 1, now + WATCH_CLAIM_NS));
	CHECK_EQ(watches_renew(&w, 1, now, now + WATCH_CLAIM_NS, &barred), GVM_OK);
	CHECK(watches_bar(&w, 2, now + 2 * WATCH_CLAIM_NS - 1));
	CHECK(watches_bar(&w, 2, now + 2 * WATCH_CLAIM_NS));
	CHECK_EQ(watches_renew(&w, 1, now, now + 2 * WATCH_CLAIM_NS, &barred), GVM_ERR_WATCHED);
	CHECK_EQ(barred, 1);
	watches_deinit(&w);
}

static uint16_t attach_leased(struct region_writer *w, uint64_t epoch, uint32_t lease_ms, uint8_t lapse)
{
	struct gvm_region_open_rsp rsp;

	return regions_open(&regions,
			    &(struct gvm_region_open_req){.region = id(1),
							  .mode = 1,
							  .epoch = epoch,
							  .lease_ms = lease_ms,
							  .lapse = lapse},
			    w, &rsp, &detail);
}

static uint64_t boottime = 1000000000;

/* The node is looked at each second. */
static void seconds_pass(unsigned count)
{
	while (count--)
		regions_clock(&regions, boottime += 1000000000);
}

static void a_lease_outlives_its_writers_connections(void)
{
	struct region_writer *a = writer(1), *b = writer(2);

	setup(1);
	seconds_pass(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach_leased(a, 1, 10000, 0), GVM_OK);
	seconds_pass(60); /* it does not count while the writer is there */
	region_writer_gone(a);
	CHECK_EQ(look(1).writer, GVM_WRITER_AWAY);
	CHECK_EQ(look(1).lease_ms, 10000);
	seconds_pass(9);
	CHECK_EQ(attach(b, 1, 2, 0), GVM_ERR_BUSY);
	CHECK_EQ(attach_leased(a, 1, 10000, 0), GVM_OK); /* back */
	region_writer_gone(a);
	seconds_pass(9);
	CHECK_EQ(look(1).lease_ms, 1000);
	/* Stopped for an hour, the node does not count that. */
	regions_clock(&regions, boottime += 3600ull * 1000000000);
	CHECK_EQ(look(1).writer, GVM_WRITER_LAPSED);
	CHECK_EQ(attach_leased(a, 1, 10000, 0), GVM_OK); /* lapsed, and nobody has taken it */
	region_writer_gone(a);
	regions_clock(&regions, boottime += 3600ull * 1000000000);
	CHECK_EQ(look(1).lease_ms, 8000);
	CHECK_EQ(attach(b, 1, 2, 2), GVM_OK);
	CHECK_EQ(attach(a, 1, 1, 0), GVM_ERR_FENCED);
	region_writer_gone(b);
	/* Given up, it is free at once. */
	CHECK_EQ(attach_leased(a, 3, 10000, 0), GVM_OK);
	CHECK_EQ(attach(b, 1, 4, 2), GVM_ERR_BUSY); /* not a connection */
	CHECK_EQ(regions_close(&regions, &(struct gvm_region_close_req){id(1), 3}, &detail),
		 GVM_OK);
	CHECK_EQ(look(1).writer, GVM_WRITER_NONE);
	CHECK_EQ(attach(b, 1, 4, 0), GVM_OK);
	writer_end(a);
	writer_end(b);
	teardown();
}

static void a_held_region_is_its_writers_until_it_is_claimed(void)
{
	struct region_writer *a = writer(1), *b = writer(2), *c = writer(3);

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach_leased(a, 1, 1000, 0), GVM_OK);
	CHECK_EQ(watch(b, 1, 5, 2), GVM_ERR_BUSY);
	region_writer_gone(a);
	CHECK_EQ(watch(b, 1, 5, 2), GVM_ERR_BUSY);
	seconds_pass(2);
	CHECK_EQ(watch(b, 1, 5, 1), GVM_ERR_FENCED);
	CHECK_EQ(watch(b, 1, 5, 2), GVM_OK);
	CHECK_EQ(attach(c, 1, 2, 1), GVM_ERR_BUSY);
	CHECK_EQ(attach_leased(a, 1, 1000, 0), GVM_OK); /* not fenced yet */
	CHECK_EQ(put(1, 0, gvm_version(1, 1), text), GVM_OK);
	CHECK_EQ(watch(b, 1, 6, 2), GVM_OK); /* given up: it stays the first one's */
	CHECK_EQ(attach(b, 1, 2, 0), GVM_ERR_BUSY);
	CHECK_EQ(put(1, 0, gvm_version(1, 2), text), GVM_OK);
	region_writer_gone(a);
	seconds_pass(2);
	CHECK_EQ(watch(b, 1, 5, 2), GVM_OK);
	CHECK_EQ(attach_leased(a, 1, 1000, 0), GVM_OK);
	CHECK_EQ(attach(b, 1, 2, 0), GVM_OK); /* what was held is had, on every node */
	CHECK_EQ(put(1, 0, gvm_version(1, 3), text), GVM_ERR_FENCED);
	CHECK_EQ(watch(c, 1, 5, 3), GVM_ERR_BUSY);
	region_writer_gone(b);
	CHECK_EQ(watch(c, 1, 5, 3), GVM_OK);
	seconds_pass(6); /* its claimer is gone */
	CHECK_EQ(attach(a, 1, 3, 0), GVM_OK);
	writer_end(a);
	writer_end(b);
	writer_end(c);
	teardown();
}

static void a_lapsed_region_goes_if_its_writer_wanted_that(void)
{
	struct region_writer *a = writer(1);
	struct gvm_id removed;

	setup(1);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach_leased(a, 1, 5000, 2), GVM_ERR_INVALID);
	CHECK_EQ(attach_leased(a, 1, 5000, 1), GVM_OK);
	seconds_pass(10);
	CHECK(!regions_lapse(&regions, &removed));
	region_writer_gone(a);
	seconds_pass(4);
	CHECK(!regions_lapse(&regions, &removed));
	seconds_pass(2);
	CHECK(regions_lapse(&regions, &removed));
	CHECK(!regions_lapse(&regions, &removed));
	CHECK_EQ(attach(a, 1, 1, 0), GVM_ERR_LOST);
	CHECK_EQ(create(1, 10, 10), GVM_OK);
	CHECK_EQ(attach_leased(a, 1, 5000, 0), GVM_OK);
	region_writer_gone(a);
	seconds_pass(10);
	CHECK(!regions_lapse(&regions, &removed));
	writer_end(a);
	teardown();
}

static const struct check_test tests[] = {
	{"only-a-higher-epoch-attaches", only_a_higher_epoch_attaches},
	{"views-never-go-back", views_never_go_back},
	{"a-lease-outlives-its-writers-connections", a_lease_outlives_its_writers_connections},
	{"a-held-region-is-its-writers-until-it-is-claimed", a_held_region_is_its_writers_until_it_is_claimed},
	{"a-lapsed-region-goes-if-its-writer-wanted-that", a_lapsed_region_goes_if_its_writer_wanted_that},
	{"a-writer-waits-for-watches-of-others", a_writer_waits_for_watches_of_others},
	{"a-watch-lapses-and-a-claim-too", a_watch_lapses_and_a_claim_too},
	{"of-two-watching-writers-one-gets-in", of_two_watching_writers_one_gets_in},
};

int main(int argc, char **argv)
{
	return rig_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
