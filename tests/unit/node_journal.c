// SPDX-License-Identifier: GPL-2.0-or-later
/* node_journal.c - what a node with --persist has after an end of any kind, at moments that the test chooses. */
#include "kept_node.h"

#include "memnode/daemon/keep_scan.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHUNKS 64u

static const struct gvm_id region_id = {{7, 7}}, other_id = {{8, 8}};

static bool id_is(const struct gvm_id *a, const struct gvm_id *b)
{
	return gvm_id_equal(a, b);
}

static void name_make(uint8_t key, uint64_t born, const char *record)
{
	struct gvm_name_put_req what = {.key = {{key, 1}}, .table = 5, .born = born, .version = born};
	uint64_t detail;

	CHECK_EQ(name_put(&node.names, &what, (const uint8_t *)record, (uint32_t)strlen(record), &detail), GVM_OK);
	journal_name(&journal, &what.key);
}

static void names_change(void)
{
	struct gvm_name_put_req gone = {.key = {{2, 1}}, .table = 5, .born = 11, .version = 20};
	const struct gvm_name_fence_req fence = {.round = 77, .upto = 11};
	const struct gvm_name_forget_req forget = {.round = 77, .table = 5};
	uint64_t detail;

	name_make(1, 10, "one");
	name_make(2, 11, "two");
	name_make(3, 12, "three");
	CHECK_EQ(name_put(&node.names, &gone, NULL, 0, &detail), GVM_OK);
	journal_name(&journal, &gone.key);
	CHECK_EQ(name_fence(&node.names, &fence), GVM_OK);
	journal_fence(&journal);
	CHECK_EQ(name_forget(&node.names, &forget, &detail), GVM_OK);
	journal_forget(&journal, 5);
}

static void names_check(bool whole)
{
	const struct gvm_id one = {{1, 1}}, two = {{2, 1}}, three = {{3, 1}};
	struct name_image n;

	CHECK(name_find(&node.names, &one, &n) && n.bytes == 3 && !memcmp(n.record, "one", 3) && n.born == 10);
	CHECK(name_find(&node.names, &three, &n) && n.bytes == 5);
	CHECK(!name_find(&node.names, &two, &n));
	CHECK_EQ(names_horizon(&node.names, 5), whole ? 11 : 0);
	CHECK_EQ(node.names.fence, whole ? 11 : 0);
	CHECK_EQ(node.names.round, whole ? 77 : 0);
	CHECK_EQ(node.names.gone, 0);
}

static void fill(void)
{
	CHECK_EQ(region_make(&region_id, CHUNKS), GVM_OK);
	for (unsigned c = 0; c < CHUNKS / 2; c++)
		CHECK_EQ(put(&region_id, c, 1 + c), GVM_OK);
	CHECK_EQ(put(&region_id, 3, 100), GVM_OK);
	CHECK_EQ(discard(&region_id, 10, 4, 200), GVM_OK);
	CHECK_EQ(discard(&region_id, 40, 20, 201), GVM_OK);
	CHECK_EQ(put(&region_id, 50, 202), GVM_OK);
	CHECK_EQ(discard(&region_id, 20, 3, 0), GVM_OK);
	CHECK_EQ(put(&region_id, 21, 9), GVM_OK);
	names_change();
}

/* The version of a chunk after that. */
static uint64_t filled(unsigned c)
{
	if (c == 20 || c == 22)
		return 0;
	if (c == 21)
		return 9;
	return c == 3 ? 100 : c >= 10 && c < 14 ? 200 : c == 50 ? 202 : c >= 40 && c < 60 ? 201 : c < CHUNKS / 2 ? 1 + c : 0;
}

static void fill_check(void)
{
	uint64_t seq;

	for (unsigned c = 0; c < CHUNKS; c++) {
		CHECK_EQ(get(&region_id, c, &seq), GVM_OK);
		CHECK_EQ(seq, filled(c));
		CHECK_EQ(is_zero(&region_id, c), (c >= CHUNKS / 2 && c != 50) || (c >= 10 && c < 14) || c == 20 || c == 22);
	}
}

/* Kills, ends and starts in a row: what is read back is written out again and moved on. */
static void all_that_was_written_comes_back(void)
{
	struct gvm_region_stat_rsp before, after;
	const struct gvm_region_stat_req ask = {.region = region_id};
	struct gvm_id life;

	folder_make();
	node_up();
	life = node.incarnation;
	fill();
	CHECK_EQ(regions_stat(&node.regions, &ask, &before), GVM_OK);
	written();
	for (unsigned i = 0; i < 6; i++) {
		if (i % 3 == 2)
			node_ended();
		else
			node_killed();
		node_up();
		CHECK(!journal.found.lost && id_is(&node.incarnation, &life));
		CHECK_EQ(journal.found.damaged + journal.found.holes, 0);
		fill_check();
		names_check(true);
		CHECK_EQ(regions_stat(&node.regions, &ask, &after), GVM_OK);
		CHECK_EQ(after.writer, GVM_WRITER_AWAY);
		CHECK_EQ(after.epoch, 1);
		CHECK_EQ(after.chunks_held, before.chunks_held);
		CHECK_EQ(after.held_bytes, before.held_bytes);
		CHECK_EQ(after.nonzero_bytes, before.nonzero_bytes);
		CHECK(after.host.b[0] == 1 && after.process.b[0] == 2);
		CHECK_EQ(node.regions.totals.chunks, before.chunks_held);
	}
	node_ended();
	folder_remove();
}

static void deleted_and_cut_chunks_stay_away(void)
{
	const struct gvm_region_delete_req delete = {.region = other_id, .epoch = 1};
	struct gvm_region_resize_req resize = {.region = region_id, .epoch = 1, .chunks = 8, .reserve_chunks = 8};
	uint64_t detail, seq;

	folder_make();
	node_up();
	CHECK_EQ(region_make(&region_id, CHUNKS), GVM_OK);
	CHECK_EQ(region_make(&other_id, CHUNKS), GVM_OK);
	for (unsigned c = 0; c < 16; c++) {
		CHECK_EQ(put(&region_id, c, 1), GVM_OK);
		CHECK_EQ(put(&other_id, c, 1), GVM_OK);
	}
	CHECK_EQ(regions_delete(&node.regions, &delete, &detail), GVM_OK);
	journal_region_gone(&journal, &other_id);
	CHECK_EQ(region_make(&other_id, CHUNKS), GVM_OK); /* of the same id, and empty */
	CHECK_EQ(regions_resize(&node.regions, &resize, &detail), GVM_OK);
	journal_region(&journal, &region_id);
	journal_region_cut(&journal, &region_id);
	/* Killed before its zeros are written: the start does that. */
	CHECK_EQ(keep_log_flush(&journal.log), 0);
	for (unsigned i = 0; i < 2; i++) {
		node_killed();
		node_up();
		CHECK_EQ(node.regions.totals.chunks, 8);
		CHECK(!journal_region_waits(&journal, &region_id));
	}
	resize.chunks = resize.reserve_chunks = CHUNKS;
	CHECK_EQ(regions_resize(&node.regions, &resize, &detail), GVM_OK);
	journal_region(&journal, &region_id);
	written();
	node_killed();
	node_up();
	for (unsigned c = 0; c < 16; c++) {
		CHECK_EQ(get(&region_id, c, &seq), GVM_OK);
		CHECK(seq == 1 && is_zero(&region_id, c) == (c >= 8));
		CHECK_EQ(get(&other_id, c, &seq), GVM_OK);
		CHECK(!seq);
	}
	node_ended();
	folder_remove();
}

/* A record that nobody was told of is cut after each of its bytes. */
static void cut_tail(const struct image *i, enum keep_kind kind, const uint8_t *last, uint64_t bytes,
		     const struct gvm_id *life)
{
	const uint64_t from = i->to[kind];
	const struct gvm_id nine = {{9, 1}};

	for (uint64_t cut = 0; cut <= bytes; cut += cut < 140 || bytes - cut <= 1100 ? (cut & 63) < 4 || bytes - cut < 70 ? 1 : 7 : 997) {
		static uint8_t garbage[KEEP_RECORD_MAX];
		struct name_image n;
		uint64_t seq;

		/* What was there before is not always zeros. */
		memset(garbage, cut % 2 ? 0xa5 : 0, bytes - cut);
		bytes_write(garbage, bytes - cut, from + cut);
		bytes_write(last, cut, from);
		node_up();
		CHECK(!journal.found.lost && id_is(&node.incarnation, life));
		CHECK_EQ(journal.found.damaged + journal.found.holes, 0);
		names_check(true);
		CHECK_EQ(get(&region_id, 3, &seq), GVM_OK);
		CHECK_EQ(seq, 100);
		CHECK_EQ(get(&region_id, 5, &seq), GVM_OK);
		CHECK(seq == 6 || (seq == 300 && kind == KEEP_DATA));
		if (cut == bytes)
			CHECK(kind == KEEP_DATA ? seq == 300 : name_find(&node.names, &nine, &n));
		/* The next start sees the same. */
		if (cut % 16 == 5) {
			uint64_t again;

			CHECK_EQ(put(&region_id, 6, 400), GVM_OK);
			CHECK_EQ(keep_log_flush(&journal.log), 0);
			node_killed();
			node_up();
			CHECK_EQ(journal.found.damaged + journal.found.holes, 0);
			CHECK_EQ(get(&region_id, 5, &again), GVM_OK);
			CHECK_EQ(again, seq);
			CHECK_EQ(get(&region_id, 6, &again), GVM_OK);
			CHECK_EQ(again, 400);
		}
		image_restore(i, bytes);
	}
}

static void cut_tail_is_no_record(void)
{
	static uint8_t last[KEEP_KINDS][KEEP_RECORD_MAX];
	uint64_t bytes[KEEP_KINDS];
	struct image image;
	struct gvm_id life;
	int fd;

	folder_make();
	node_up();
	life = node.incarnation;
	fill();
	written();
	image_take(&image);
	CHECK_EQ(put(&region_id, 5, 300), GVM_OK);
	name_make(9, 30, "nine");
	CHECK_EQ(keep_log_flush(&journal.log), 0);
	fd = open(path, O_RDONLY);
	for (unsigned k = 0; k < KEEP_KINDS; k++) {
		bytes[k] = image.from[k] + journal.log.head[k].off - image.to[k];
		CHECK(bytes[k] && bytes[k] < sizeof(last[k]));
		CHECK_EQ(pread(fd, last[k], bytes[k], (off_t)image.to[k]), bytes[k]);
	}
	close(fd);
	node_killed();
	bytes_write(image.bytes, image.count, 0);
	for (unsigned k = 0; k < KEEP_KINDS; k++)
		cut_tail(&image, k, last[k], bytes[k], &life);
	free(image.bytes);
	folder_remove();
}

/* One byte of the file is wrong: that chunk may be refused, it is never of another version, and nothing else is
 * touched. */
static void damage_is_found_and_stays_alone(void)
{
	unsigned refused = 0, tries = 0;
	struct gvm_id life;
	struct image image;

	folder_make();
	node_up();
	life = node.incarnation;
	fill();
	written();
	image_take(&image);
	node_killed();
	for (; tries < 120; tries++) {
		unsigned k = tries % 4 == 3;
		uint64_t at = image.from[k] + KEEP_UNIT + check_random() % (image.to[k] - image.from[k] - KEEP_UNIT);
		uint8_t bad = (uint8_t)(image.bytes[at] ^ 1u << tries % 8);
		unsigned bads = 0;
		uint64_t seq;

		bytes_write(&bad, 1, at);
		node_up();
		CHECK(!journal.found.lost && id_is(&node.incarnation, &life));
		for (unsigned c = 0; c < CHUNKS; c++) {
			uint16_t status = get(&region_id, c, &seq);

			CHECK(status == GVM_OK || status == GVM_ERR_CORRUPT);
			bads += status != GVM_OK;
			if (status)
				continue;
			CHECK_EQ(seq, filled(c));
		}
		CHECK(bads <= 1);
		names_check(true);
		if (bads) {
			/* It is not made good by being moved; a PUT makes it good. */
			refused++;
			written();
			node_killed();
			node_up();
			for (unsigned c = 0; c < CHUNKS; c++)
				if (get(&region_id, c, &seq) == GVM_ERR_CORRUPT)
					CHECK_EQ(put(&region_id, c, 500), GVM_OK);
			for (unsigned c = 0; c < CHUNKS; c++)
				CHECK_EQ(get(&region_id, c, &seq), GVM_OK);
		}
		image_restore(&image, 0);
		image_range(&image, at, at + 1);
	}
	CHECK(refused > tries / 4); /* most bytes are of chunks */
	free(image.bytes);
	folder_remove();
}

/* Pages of a time between the last that was brought to the disk and now, at random. */
static void machine_down(const uint8_t *synced, size_t bytes, unsigned share)
{
	size_t now;
	uint8_t *whole = file_read_all(&now);

	CHECK_EQ(now, bytes);
	for (size_t at = KEEP_HORIZON_AT; at < bytes; at += 4096) {
		size_t n = bytes - at < 4096 ? bytes - at : 4096;

		/* Where each write waits for the disk, the horizon is written after that. */
		if (sync_mode && at == KEEP_HORIZON_AT)
			bytes_write(synced + at, n, at);
		else if (memcmp(synced + at, whole + at, n) && check_random_below(100) >= share)
			bytes_write(synced + at, n, at);
	}
	free(whole);
	boot_change();
}

static void lost_machine_is_a_new_node(void)
{
	folder_make();
	for (unsigned share = 0; share <= 100; share += 20) {
		uint64_t seq, detail;
		const struct gvm_region_delete_req delete = {.region = region_id, .epoch = 9};
		struct gvm_id life, after = {{0}};
		struct gvm_region_list_rsp list;
		uint8_t *synced;
		size_t bytes;

		node_up();
		life = node.incarnation;
		fill();
		written();
		synced = file_read_all(&bytes);
		for (unsigned i = 0; i < 60; i++)
			CHECK_EQ(put(&region_id, i % 20, 1000 + i), GVM_OK);
		written();
		node_killed();
		machine_down(synced, bytes, share);
		for (unsigned again = 0; again < 2; again++) {
			node_up();
			CHECK(!again == journal.found.lost && !id_is(&node.incarnation, &life));
			CHECK(!again || id_is(&node.incarnation, &after));
			after = node.incarnation;
			/* A GET finds it no more, nor does a list. */
			CHECK_EQ(get(&region_id, 3, &seq), GVM_ERR_LOST);
			regions_list(&node.regions, &(struct gvm_region_list_req){{{0}}}, &list,
				     node.answer);
			CHECK_EQ(list.count, 0);
			names_check(false);
			node.regions.remains_too = true;
			regions_list(&node.regions, &(struct gvm_region_list_req){{{0}}}, &list,
				     node.answer);
			CHECK_EQ(list.count, 1);
			for (unsigned c = 0; c < CHUNKS; c++) {
				uint16_t status = get(&region_id, c, &seq);

				/* Whatever it is, it is what it says. */
				CHECK(status == GVM_OK || status == GVM_ERR_CORRUPT);
				if (!status && c >= 20 && c < CHUNKS / 2)
					CHECK_EQ(seq, filled(c));
				if (!status && c < 20)
					CHECK(seq >= 1000 || seq == 1 + c || seq == 100 || seq == 200);
			}
			node.regions.remains_too = false;
			CHECK_EQ(put(&region_id, 1, 5000), GVM_ERR_LOST);
			node_ended();
		}
		free(synced);
		node_up();
		CHECK_EQ(regions_delete(&node.regions, &delete, &detail), GVM_OK);
		journal_region_gone(&journal, &region_id);
		node_ended();
		unlink(path);
	}
	folder_remove();
}

static void synced_answers_outlive_the_machine(void)
{
	struct gvm_id life;
	uint8_t *synced;
	size_t bytes;
	uint64_t seq;

	sync_mode = true;
	folder_make();
	node_up();
	life = node.incarnation;
	fill();
	written();
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < 20; i++)
			CHECK_EQ(put(&region_id, i, 1000 + round), GVM_OK);
		written();
		synced = file_read_all(&bytes);
		/* Nobody was told of these. */
		for (unsigned i = 0; i < 20; i++)
			CHECK_EQ(put(&region_id, i, 5000 + round), GVM_OK);
		CHECK_EQ(keep_log_flush(&journal.log), 0);
		node_killed();
		machine_down(synced, bytes, 20 * round);
		free(synced);
		node_up();
		CHECK(!journal.found.lost && id_is(&node.incarnation, &life));
		for (unsigned i = 0; i < 20; i++) {
			CHECK_EQ(get(&region_id, i, &seq), GVM_OK);
			CHECK(seq == 1000 + round || seq == 5000 + round);
			if (seq >= 5000)
				CHECK_EQ(put(&region_id, i, 5000 + round), GVM_OK);
		}
		names_check(true);
		node_ended();
		unlink(path);
		node_up();
		life = node.incarnation;
		fill();
		written();
	}
	node_ended();
	folder_remove();
	sync_mode = false;
}

/* Far more is written than the file holds: space comes back, and no promise fails. */
static void space_of_old_records_comes_back(void)
{
	uint64_t chunks = 0, last[160] = {0}, seq, writes = 0;
	struct gvm_id life;

	folder_make();
	CHECK_EQ(node_try(OWNER, 40u << 20), 0);
	node.journal = &journal;
	life = node.incarnation;
	/* Records that its chunks were forgotten are all that there is of this one. */
	CHECK_EQ(region_make(&other_id, 4), GVM_OK);
	for (unsigned c = 0; c < 4; c++)
		CHECK_EQ(put(&other_id, c, 1), GVM_OK);
	CHECK_EQ(discard(&other_id, 0, 1, 0), GVM_OK);
	CHECK_EQ(discard(&other_id, 1, 3, 0), GVM_OK);
	for (chunks = 160; region_make(&region_id, chunks); chunks--)
		CHECK(chunks > 40);
	for (unsigned c = 0; c < chunks; c++, writes++) {
		CHECK_EQ(put(&region_id, c, ++writes), GVM_OK);
		last[c] = writes;
	}
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 1500; i++) {
			/* A few are written again and again: what is left between them is to be moved. */
			unsigned c = check_random_below(i % 3 ? 8 : (unsigned)chunks), waits = 0;

			while (journal_ready(&journal) == -EAGAIN) {
				CHECK(waits++ < 10000);
				written();
			}
			CHECK_EQ(journal_ready(&journal), 0);
			if (i % 50 == 7)
				CHECK_EQ(discard(&region_id, c, 1, ++writes), GVM_OK);
			else
				CHECK_EQ(put(&region_id, c, ++writes), GVM_OK);
			last[c] = writes;
			if (i % 16 == 0)
				written();
		}
		written();
		if (round == 1)
			node_ended();
		else
			node_killed();
		CHECK_EQ(node_try(OWNER, 0), 0);
		node.journal = &journal;
		CHECK(!journal.found.lost && id_is(&node.incarnation, &life));
		for (unsigned c = 0; c < chunks; c++) {
			CHECK_EQ(get(&region_id, c, &seq), GVM_OK);
			CHECK_EQ(seq, last[c]);
		}
		for (unsigned c = 0; c < 4; c++) {
			CHECK_EQ(get(&other_id, c, &seq), GVM_OK);
			CHECK_EQ(seq, 0);
		}
	}
	node_ended();
	folder_remove();
}

static void folder_of_another_is_refused(void)
{
	static struct node second;
	static struct journal other;
	const struct keep_wish wish = {.dir = folder, .memory_bytes = MEMORY, .owner = OWNER};
	struct stat st;
	uint8_t byte;
	char command[600];
	struct gvm_id life;
	uint64_t seq;

	folder_make();
	node_up();
	life = node.incarnation;
	fill();
	node_ended();
	CHECK_EQ(node_try("10.0.0.2:9999", 0), -EPERM);
	CHECK(strstr(why, "belongs to the node that serves 127.0.0.1:9999"));
	node_deinit(&node);
	/* Twice at a time. */
	node_up();
	CHECK(!node_init(&second, MEMORY, 1, NULL, 0));
	CHECK_EQ(journal_open(&other, &wish, &second.regions, &second.names, &second.incarnation, why, sizeof(why)),
		 -EBUSY);
	CHECK(strstr(why, "is in use by another gvm-memnode"));
	node_deinit(&second);
	node_ended();
	/* Of another version. */
	byte = KEEP_VERSION + 1;
	bytes_write(&byte, 1, 8);
	bytes_write(&byte, 1, KEEP_SUPER_BYTES + 8);
	CHECK_EQ(node_try(OWNER, 0), -EPROTONOSUPPORT);
	CHECK(strstr(why, "another version of gvm-memnode (format 4; this one has 3)"));
	node_deinit(&node);
	byte = KEEP_VERSION;
	bytes_write(&byte, 1, 8); /* one of the two is enough */
	node_up();
	CHECK(id_is(&node.incarnation, &life));
	node_ended();
	/* A copy may be older than what was answered since. */
	snprintf(command, sizeof(command), "cp %s %s.new && mv %s.new %s", path, path, path, path);
	CHECK(!system(command) && !stat(path, &st));
	node_up();
	CHECK(journal.found.lost && !id_is(&node.incarnation, &life));
	CHECK_EQ(get(&region_id, 3, &seq), GVM_ERR_LOST);
	node_ended();
	folder_remove();
}

/* One of yesterday is written over the file: by its content, all of it is as the node left it. */
static void older_content_makes_a_new_node(void)
{
	struct gvm_id life;
	uint8_t *yesterday;
	size_t bytes;
	uint64_t seq;

	folder_make();
	node_up();
	life = node.incarnation;
	fill();
	node_ended();
	yesterday = file_read_all(&bytes);
	node_up();
	CHECK(id_is(&node.incarnation, &life));
	CHECK_EQ(put(&region_id, 3, 700), GVM_OK);
	node_ended();
	if (getxattr(path, KEEP_LIVES, NULL, 0) > 0) {
		bytes_write(yesterday, bytes, 0);
		node_up();
		CHECK(journal.found.lost && !id_is(&node.incarnation, &life));
		CHECK_EQ(get(&region_id, 3, &seq), GVM_ERR_LOST);
		node_ended();
	}
	free(yesterday);
	folder_remove();
}

static uint16_t view(unsigned slot, uint64_t epoch, uint64_t number, bool active)
{
	const struct gvm_region_view_req what = {.region = region_id, .epoch = epoch, .slot = slot, .number = number,
						 .active = active, .member_0 = {{1, (uint8_t)number}}, .member_1 = {{2}}};
	uint64_t detail;
	uint16_t status = regions_view(&node.regions, &what, &detail);

	if (!status)
		journal_view(&journal, &region_id, slot);
	return status;
}

struct view_wanted {
	uint64_t number;
	bool active;
};

static void views_check(unsigned count, const struct view_wanted *wanted)
{
	static uint8_t buf[GVM_DATA_MAX];
	const struct gvm_region_views_req what = {.region = region_id, .count = GVM_SLOTS_MAX};
	struct gvm_region_views_rsp rsp;
	uint32_t bytes;

	CHECK_EQ(regions_views(&node.regions, &what, &rsp, buf, &bytes), GVM_OK);
	CHECK_EQ(rsp.count, count);
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *entry = buf + i * GVM_VIEW_ENTRY_BYTES;

		CHECK_EQ(entry[4], wanted[i].active);
		CHECK_EQ(gvm_load_le(entry + 5, 8), wanted[i].number);
		CHECK_EQ(entry[13], 1);
		CHECK_EQ(entry[14], (uint8_t)wanted[i].number);
		CHECK_EQ(entry[13 + 16], 2);
	}
}

/* Which replicas have all that was acknowledged: after a lost host it is asked of the nodes. */
static void views_of_slots_come_back(void)
{
	static const struct view_wanted first[] = {{5, true}, {6, true}, {8, false}, {9, false}};
	static const struct view_wanted then[] = {{77, true}, {8, true}, {9, false}};
	struct gvm_region_open_rsp rsp;
	const struct gvm_region_open_req again = {
		.region = region_id, .mode = 1, .epoch = 1, .lease_ms = 20000, .host = {{1}}, .process = {{3}}};
	uint64_t detail;

	folder_make();
	node_up();
	CHECK_EQ(region_make(&region_id, CHUNKS), GVM_OK);
	CHECK_EQ(view(0, 1, 5, true), GVM_OK);
	CHECK_EQ(view(7, 1, 6, true), GVM_OK);
	CHECK_EQ(view(GVM_SLOTS_MAX - 1, 1, 9, false), GVM_OK);
	CHECK_EQ(view(7, 1, 8, false), GVM_OK);
	CHECK_EQ(view(7, 1, 5, true), GVM_ERR_STALE);
	written();
	node_killed();
	node_up();
	views_check(4, first);
	/* What changes of the region itself leaves them as they are. */
	CHECK_EQ(regions_open(&node.regions, &again, &writer, &rsp, &detail), GVM_OK);
	journal_region(&journal, &region_id);
	CHECK_EQ(view(0, 1, 77, true), GVM_OK);
	CHECK_EQ(view(7, 1, 8, true), GVM_OK);
	written();
	for (unsigned i = 0; i < 3; i++) {
		node_killed();
		node_up();
		views_check(3, then);
		CHECK_EQ(view(7, 1, 6, true), GVM_ERR_STALE);
	}
	node_ended();
	node_up();
	views_check(3, then);
	CHECK_EQ(regions_delete(&node.regions,
				&(struct gvm_region_delete_req){.region = region_id, .epoch = 1},
				&detail),
		 GVM_OK);
	journal_region_gone(&journal, &region_id);
	CHECK_EQ(region_make(&region_id, CHUNKS), GVM_OK);
	written();
	node_killed();
	node_up();
	views_check(0, NULL);
	node_ended();
	folder_remove();
}

/* Before there are any, and when there are some. */
static void room_for_views_is_kept_over_a_start(void)
{
	uint64_t cells;

	folder_make();
	node_up();
	CHECK_EQ(region_make_with(&region_id, CHUNKS, true), GVM_OK);
	CHECK_EQ(region_make(&other_id, CHUNKS), GVM_OK);
	cells = node.regions.entry_cells;
	for (unsigned i = 0; i < 3; i++) {
		written();
		node_killed();
		node_up();
		CHECK_EQ(node.regions.entry_cells, cells);
		CHECK_EQ(node.regions.promised_cells, cells + 2 * CHUNKS * REGION_CHUNK_CELLS);
		CHECK_EQ(view(i, 1, 5, true), GVM_OK);
	}
	node_ended();
	folder_remove();
}

/* Over ends of any kind, and a checkpoint; until it is called off. */
static void drained_node_is_drained_when_it_comes_back(void)
{
	folder_make();
	node_up();
	CHECK(!node.regions.drains);
	for (unsigned i = 0; i < 2; i++) {
		bool drains = !i;

		node.regions.drains = drains;
		journal_drain(&journal);
		written();
		node_killed();
		node_up();
		CHECK_EQ(node.regions.drains, drains);
		checkpoint_begin(&journal);
		written();
		node_ended();
		node_up();
		CHECK_EQ(node.regions.drains, drains);
	}
	node_ended();
	folder_remove();
}

/* One request of few bytes must not append a region's bytes. */
static void discard_writes_no_chunk_again(void)
{
	uint64_t before, seq;

	folder_make();
	node_up();
	CHECK_EQ(region_make(&region_id, CHUNKS), GVM_OK);
	for (unsigned c = 0; c < CHUNKS; c += 2)
		CHECK_EQ(put(&region_id, c, 7), GVM_OK);
	written();
	before = journal.log.queued_bytes;
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(discard(&region_id, 0, CHUNKS, 7), GVM_OK);
	CHECK(journal.log.queued_bytes - before <= 10 * CHUNKS / 2 * KEEP_UNIT);
	written();
	node_killed();
	node_up();
	for (unsigned c = 0; c < CHUNKS; c++) {
		CHECK_EQ(get(&region_id, c, &seq), GVM_OK);
		CHECK_EQ(seq, 7);
		CHECK_EQ(is_zero(&region_id, c), c % 2 == 1);
	}
	node_ended();
	folder_remove();
}

static const struct check_test tests[] = {
	{"all-that-was-written-comes-back", all_that_was_written_comes_back},
	{"deleted-and-cut-chunks-stay-away", deleted_and_cut_chunks_stay_away},
	{"cut-tail-is-no-record", cut_tail_is_no_record},
	{"damage-is-found-and-stays-alone", damage_is_found_and_stays_alone},
	{"lost-machine-is-a-new-node", lost_machine_is_a_new_node},
	{"synced-answers-outlive-the-machine", synced_answers_outlive_the_machine},
	{"space-of-old-records-comes-back", space_of_old_records_comes_back},
	{"folder-of-another-is-refused", folder_of_another_is_refused},
	{"older-content-makes-a-new-node", older_content_makes_a_new_node},
	{"discard-writes-no-chunk-again", discard_writes_no_chunk_again},
	{"views-of-slots-come-back", views_of_slots_come_back},
	{"drained-node-is-drained-when-it-comes-back", drained_node_is_drained_when_it_comes_back},
	{"room-for-views-is-kept-over-a-start", room_for_views_is_kept_over_a_start},
};
CHECK_MAIN(tests)
