// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_pagecache_drop.c - what programs read of a region on the fast path is dropped; while calls for its file do not
 * end, what else is read waits in the file's notes, adds no calls, and holds up no other file. Nor do the calls for all
 * files of a node that does not answer. */
#include "check.h"
#include "state/worker_state.h"
#include "store/pagecache.h"
#include "uffd/resident.h"

#include <stdlib.h>

#define HUNG  7u
#define OTHER 8u
#define FAR   (64ull << 20)
#define SECOND 1000000000ull

static struct journal_inode disks[JOURNAL_INODES];
static struct resident resident;
static struct inode files[JOURNAL_INODES];
static struct inodes inodes;
static struct journal journal = { .inodes = disks };
static struct pagecache cache;
static struct worker worker = { .inodes = &inodes, .journal = &journal, .pagecache = &cache };
static unsigned calls[JOURNAL_INODES];
static struct pagecache_range dropped;

int pagecache_message(struct worker *w, unsigned nr, enum helper_what what, struct helper_msg *msg)
{
	(void)w;
	(void)nr;
	msg->what = what;
	msg->count = 0;
	return 0;
}

int pagecache_send(struct worker *w, const struct helper_msg *msg, const int *fds, unsigned count)
{
	(void)w;
	(void)msg;
	(void)fds;
	(void)count;
	CHECK(false); /* both files are on the fast path */
	return 0;
}

/* As the helper does where nothing holds it up. */
int pagecache_invalidate(struct worker *w, struct inode *inode, const struct pagecache_range *ranges,
			 unsigned count, struct pagecache_ask *ask)
{
	CHECK(count);
	calls[inode->nr]++;
	dropped = ranges[0];
	ask->done(w, ask, 0);
	return 0;
}

static void begin(void)
{
	memset(&cache, 0, sizeof(cache));
	memset(calls, 0, sizeof(calls));
	for (unsigned nr = HUNG; nr <= OTHER; nr++) {
		disks[nr].epoch = 1;
		disks[nr].rec.size_bytes = 1ull << 40;
		files[nr] = (struct inode){ .nr = nr, .disk = &disks[nr], .resident = &resident };
		inodes.rt[nr] = &files[nr];
	}
}

/* A program has read at many places, and then is still. */
static uint64_t read_many(unsigned nr, unsigned places)
{
	for (unsigned i = 0; i < places; i++)
		pagecache_note(&worker, &files[nr], i * FAR, GVM_PAGE_BYTES);
	return gvm_now_ns() + SECOND;
}

/* Until nothing is noted any more: both drops of each. */
static void settle(uint64_t now)
{
	for (unsigned i = 0; i < 10 && cache.noted; i++)
		pagecache_drop_tick(&worker, now += SECOND);
	CHECK_EQ(cache.noted, 0);
}

static void notes_wait_for_the_calls_of_their_file(void)
{
	uint64_t now;

	begin();
	cache.file_calls[HUNG] = PAGECACHE_FILE_CALLS;
	now = read_many(HUNG, 10000);
	pagecache_closed(&worker, &files[HUNG]);
	CHECK_EQ(calls[HUNG], 0);
	CHECK_EQ(cache.noted, 1);
	/* Nothing to do before a call ends. */
	CHECK_EQ(pagecache_drop_tick(&worker, now), ~0ull);
	CHECK_EQ(cache.noted, 1);
	CHECK_EQ(calls[HUNG], 0);
	cache.file_calls[HUNG]--;
	CHECK(pagecache_drop_tick(&worker, now) != ~0ull);
	CHECK_EQ(calls[HUNG], 1);
	CHECK_EQ(dropped.off, 0);
	CHECK_EQ(dropped.size, 1ull << 40);
	settle(now);
}

static void notes_wait_for_a_call_that_waits_itself(void)
{
	uint64_t now;

	begin();
	now = read_many(HUNG, 5);
	CHECK_EQ(cache.noted, 5);
	cache.file_waiting[HUNG] = 1;
	CHECK_EQ(pagecache_drop_tick(&worker, now), ~0ull);
	CHECK_EQ(cache.noted, 5);
	CHECK_EQ(calls[HUNG], 0);
	cache.file_waiting[HUNG] = 0;
	settle(now);
	CHECK(calls[HUNG]);
}

static void other_files_do_not_wait(void)
{
	uint64_t now;

	begin();
	cache.file_calls[HUNG] = PAGECACHE_FILE_CALLS;
	read_many(HUNG, 10000);
	now = read_many(OTHER, 5);
	CHECK_EQ(cache.noted, 6);
	pagecache_drop_tick(&worker, now);
	CHECK(calls[OTHER]);
	pagecache_drop_tick(&worker, now + SECOND);
	pagecache_drop_tick(&worker, now + 2 * SECOND);
	CHECK_EQ(cache.noted, 1);
	CHECK_EQ(calls[HUNG], 0);
}

/* Runs as many first calls of files of these nodes as may run; returns how many. */
static unsigned fill(unsigned nr, const struct pagecache_nodes *nodes)
{
	unsigned count = 0;

	for (; pagecache_has_room(&cache, nr, nodes); nr++, count++) {
		cache.calls++;
		cache.file_calls[nr]++;
		for (unsigned i = 0; i < nodes->count; i++)
			cache.node_calls[nodes->entry[i]]++;
		CHECK(nr < JOURNAL_INODES - 1);
	}
	return count;
}

static const struct pagecache_nodes quiet = { .quiet = true, .count = 1, .entry = { 3 } },
				    dead = { .count = 2, .entry = { 3, 4 } }, others = { .count = 1, .entry = { 5 } };

static void files_of_a_quiet_node_leave_room_for_others(void)
{
	begin();
	CHECK_EQ(fill(100, &quiet), PAGECACHE_CALLS - PAGECACHE_SPARE_CALLS);
	CHECK(pagecache_has_room(&cache, OTHER, &others));
	/* One that began before its node fell silent counts as well. */
	cache.calls = PAGECACHE_CALLS;
	CHECK(!pagecache_has_room(&cache, OTHER, &others));
}

static void a_node_that_is_not_known_to_be_dead_leaves_some(void)
{
	unsigned count;

	begin();
	count = fill(100, &dead);
	CHECK(count >= PAGECACHE_SPARE_CALLS && count < PAGECACHE_CALLS);
	CHECK_EQ(fill(1000, &quiet), 0);
	CHECK(fill(2000, &others) >= PAGECACHE_SPARE_CALLS / 4);
	CHECK(pagecache_has_room(&cache, OTHER, &(struct pagecache_nodes){ .count = 1, .entry = { 6 } }));
}

static const struct check_test tests[] = {
	{ "files-of-a-quiet-node-leave-room-for-others", files_of_a_quiet_node_leave_room_for_others },
	{ "a-node-that-is-not-known-to-be-dead-leaves-some", a_node_that_is_not_known_to_be_dead_leaves_some },
	{ "notes-wait-for-the-calls-of-their-file", notes_wait_for_the_calls_of_their_file },
	{ "notes-wait-for-a-call-that-waits-itself", notes_wait_for_a_call_that_waits_itself },
	{ "other-files-do-not-wait", other_files_do_not_wait },
};
CHECK_MAIN(tests)
