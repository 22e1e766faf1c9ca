// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_record.c - records of the name table keep what they are given, and refuse what is not one. */
#include "check.h"
#include "state/record.h"

#include <errno.h>

static struct record rec, back;
static uint8_t buf[RECORD_BYTES_MAX + 1];

static void record_fill(unsigned nodes, unsigned replicas)
{
	uint64_t weight[RECORD_NODES_MAX];

	memset(&rec, 0, sizeof(rec));
	rec.kind = RECORD_REGION;
	rec.mode = 0640;
	rec.uid = 7;
	rec.gid = 8;
	rec.mtime_ns = 1234567890123456789ull;
	rec.ctime_ns = rec.mtime_ns + 1;
	rec.size_bytes = 1ull << 33;
	rec.view = 3;
	rec.seal = 0x1234567890abcdefull;
	memset(rec.parent.b, 0x5a, sizeof(rec.parent.b));
	memset(rec.name, 'n', RECORD_NAME_MAX);
	rec.node_count = (uint16_t)nodes;
	for (unsigned i = 0; i < nodes; i++) {
		memset(rec.nodes[i].incarnation.b, (int)i + 1, sizeof(struct gvm_id));
		snprintf(rec.nodes[i].addr, sizeof(rec.nodes[i].addr), "127.0.0.1:%u", 9999 + i);
		weight[i] = 1 + i;
	}
	rec.temporary = 1;
	memset(&rec.owner, 7, offsetof(struct record_owner, pid) + sizeof(rec.owner.pid));
	rec.replicas = (uint16_t)replicas;
	CHECK_EQ(record_place(&rec, weight, NULL), 0);
}

static void record_comes_back_as_it_went(void)
{
	static const unsigned of[][2] = { { 1, 1 }, { 128, 1 }, { 2, 2 }, { 3, 3 }, { 128, 3 } };

	for (unsigned i = 0; i < 2 * sizeof(of) / sizeof(*of); i++) {
		size_t n;

		record_fill(of[i / 2][0], of[i / 2][1]);
		rec.settled = i % 2;
		n = record_pack(&rec, buf);
		CHECK(n <= RECORD_BYTES_MAX);
		CHECK_EQ(buf[1], rec.settled ? 3 : RECORD_REGION);
		memset(&back, 0, sizeof(back));
		CHECK_EQ(record_unpack(&back, buf, n), 0);
		CHECK_MEM(&back, &rec, sizeof(rec));
	}
}

static void cut_out(size_t at, size_t bytes, size_t *n)
{
	memmove(buf + at, buf + at + bytes, *n - at - bytes);
	*n -= bytes;
}

/* Such were written before regions could have several replicas (3), and before they could be sealed (2). */
static void records_of_older_formats_are_read(void)
{
	enum { SEAL_AT = 48 };
	size_t n, replicas_at;

	record_fill(3, 1);
	n = record_pack(&rec, buf);
	/* It stands behind the name and two counts. */
	replicas_at = SEAL_AT + 8 + 3 * 16 + 8 + 4 + 1 + strlen(rec.name) + 4;
	CHECK_EQ(buf[replicas_at], 1);
	cut_out(replicas_at, 1, &n);
	buf[0] = 3;
	memset(&back, 0, sizeof(back));
	CHECK_EQ(record_unpack(&back, buf, n), 0);
	CHECK_MEM(&back, &rec, sizeof(rec));
	CHECK_EQ(gvm_load_le(buf + SEAL_AT, 8), rec.seal);
	cut_out(SEAL_AT, 8, &n);
	buf[0] = 2;
	memset(&back, 0, sizeof(back));
	CHECK_EQ(record_unpack(&back, buf, n), 0);
	rec.seal = 0;
	CHECK_MEM(&back, &rec, sizeof(rec));
	for (unsigned format = 0; format < 256; format++) {
		buf[0] = (uint8_t)format;
		CHECK(format == 2 || record_unpack(&back, buf, n) == -EBADMSG);
	}
}

/* The node that the slot lacks, of one more than it has replicas. */
static uint16_t node_beside(unsigned slot)
{
	for (uint16_t i = 0;; i++)
		if (record_replica_of(&rec, slot, i) < 0)
			return i;
}

static void moving_record_comes_back(unsigned replicas)
{
	unsigned after = (2u << replicas) - 2; /* the places of a slot whose first replica has moved to the last one */
	size_t n;

	record_fill(replicas + 1, replicas);
	n = record_pack(&rec, buf + 1);
	record_spare(&rec);
	CHECK(!record_is_moving(&rec));
	CHECK_EQ(record_pack(&rec, buf), n);
	CHECK_EQ(buf[0], 4);
	for (unsigned s = 0; s < rec.slot_count; s++) {
		rec.slots[s].node[replicas] = rec.slots[s].node[0];
		rec.slots[s].node[0] = RECORD_NONE;
		CHECK_EQ(record_first(&rec, s), after);
		CHECK_EQ(record_replica_of(&rec, s, rec.slots[s].node[replicas]), replicas);
		CHECK_EQ(record_node_of(&rec, s), rec.slots[s].node[1]);
	}
	CHECK_EQ(record_pack(&rec, buf), n);
	CHECK_EQ(record_unpack(&back, buf, n), 0);
	CHECK(!back.spare);
	for (unsigned s = 0; s < rec.slot_count; s++)
		for (unsigned r = 0; r < replicas; r++)
			CHECK_EQ(back.slots[s].node[r], rec.slots[s].node[r + 1]);
	rec.slots[7].node[0] = node_beside(7);
	CHECK(record_is_moving(&rec));
	CHECK_EQ(record_first(&rec, 7), (1u << replicas) - 1);
	CHECK_EQ(record_filled(&rec, 7), (2u << replicas) - 1);
	n = record_pack(&rec, buf);
	CHECK_EQ(buf[0], 5);
	memset(&back, 0, sizeof(back));
	CHECK_EQ(record_unpack(&back, buf, n), 0);
	CHECK_MEM(&back, &rec, sizeof(rec));
	gvm_store_le(buf + n - 2, RECORD_NONE, 2);
	gvm_store_le(buf + n - 4, RECORD_NONE, 2);
	CHECK_EQ(record_unpack(&back, buf, n), -EBADMSG);
}

/* A place that is empty takes none in a record of which nothing moves: so mounts that know of no such places read it. */
static void moving_record_comes_back_and_others_have_no_empty_places(void)
{
	moving_record_comes_back(2);
	moving_record_comes_back(3);
}

static void cut_or_longer_record_is_refused(void)
{
	size_t n;

	record_fill(3, 2);
	n = record_pack(&rec, buf);
	for (size_t i = 0; i < n; i++)
		CHECK_EQ(record_unpack(&back, buf, i), -EBADMSG);
	CHECK_EQ(record_unpack(&back, buf, n + 1), -EBADMSG);
}

/* Whatever a record that is accepted says can be used without further checks. */
static void damaged_record_is_refused_or_harmless(void)
{
	size_t n;

	record_fill(4, 3);
	record_spare(&rec);
	rec.slots[5].node[3] = node_beside(5);
	n = record_pack(&rec, buf);
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t bad[RECORD_BYTES_MAX];

		memcpy(bad, buf, n);
		for (unsigned k = 0; k < 1 + i % 3; k++)
			bad[check_random() % n] ^= (uint8_t)(1 + check_random() % 255);
		if (record_unpack(&back, bad, n) < 0)
			continue;
		CHECK(back.node_count <= RECORD_NODES_MAX);
		CHECK(back.size_bytes <= RECORD_SIZE_MAX);
		CHECK(!strchr(back.name, '/'));
		CHECK(*back.name);
		CHECK(!back.replicas == !back.node_count);
		for (unsigned s = 0; s < back.slot_count; s++)
			for (unsigned r = 0; r < record_places(&back); r++) {
				if (back.spare && back.slots[s].node[r] == RECORD_NONE)
					continue;
				CHECK(back.slots[s].node[r] < back.node_count);
				CHECK_EQ(record_replica_of(&back, s, back.slots[s].node[r]), r);
			}
		if (back.slot_count)
			CHECK(record_node_of(&back, check_random()) < back.node_count);
	}
}

static void names_that_would_escape_are_refused(void)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/" };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		record_fill(1, 1);
		strcpy(rec.name, bad[i]);
		CHECK_EQ(record_unpack(&back, buf, record_pack(&rec, buf)), -EBADMSG);
	}
}

/* The index of a region's chunks has an end, which no record may make anybody pass. */
static void size_beyond_the_index_is_refused(void)
{
	record_fill(1, 1);
	rec.size_bytes = RECORD_SIZE_MAX;
	CHECK_EQ(record_unpack(&back, buf, record_pack(&rec, buf)), 0);
	rec.size_bytes = RECORD_SIZE_MAX + 1;
	CHECK_EQ(record_unpack(&back, buf, record_pack(&rec, buf)), -EBADMSG);
	rec.size_bytes = UINT64_MAX;
	CHECK_EQ(record_unpack(&back, buf, record_pack(&rec, buf)), -EBADMSG);
}

static void each_node_gets_its_share(void)
{
	static const uint64_t weight[] = { 100ull << 30, 300ull << 30, 0, 100ull << 30 };
	uint64_t sum = 0;

	memset(&rec, 0, sizeof(rec));
	rec.node_count = 4;
	rec.replicas = 1;
	CHECK_EQ(record_place(&rec, weight, NULL), 0);
	CHECK_EQ(rec.slot_count, RECORD_SLOTS);
	for (unsigned i = 0; i < 4; i++) {
		long long share = (long long)(RECORD_SLOTS * (weight[i] >> 30) / 500);
		long long got = (long long)record_node_chunks(&rec, i, RECORD_SLOTS);

		CHECK(got >= share && got <= share + 1);
	}
	/* What is reserved on each node is exactly what placement puts there. */
	for (uint64_t chunks = 0; chunks < 3000; chunks += 271) {
		uint64_t count[4] = { 0 };

		for (uint64_t c = 0; c < chunks; c++)
			count[record_node_of(&rec, c)]++;
		for (unsigned i = 0; i < 4; i++)
			CHECK_EQ(record_node_chunks(&rec, i, chunks), count[i]);
		sum += chunks;
	}
	CHECK(sum);
}

static void neighbouring_chunks_lie_on_different_nodes(void)
{
	static const uint64_t weight[] = { 1, 1, 1 };

	memset(&rec, 0, sizeof(rec));
	rec.node_count = 3;
	rec.replicas = 1;
	CHECK_EQ(record_place(&rec, weight, NULL), 0);
	for (unsigned s = 0; s + 1 < RECORD_SLOTS; s++)
		CHECK(rec.slots[s].node[0] != rec.slots[s + 1].node[0]);
}

static void replicas_lie_on_different_nodes(void)
{
	static const uint64_t weight[] = { 500, 300, 0, 300, 100 };

	for (unsigned replicas = 2; replicas <= RECORD_REPLICAS; replicas++) {
		uint64_t sum = 0;

		memset(&rec, 0, sizeof(rec));
		rec.node_count = 5;
		rec.replicas = (uint16_t)replicas;
		CHECK_EQ(record_place(&rec, weight, NULL), 0);
		for (unsigned s = 0; s < RECORD_SLOTS; s++)
			for (unsigned r = 0; r < replicas; r++)
				CHECK_EQ(record_replica_of(&rec, s, rec.slots[s].node[r]), r);
		for (unsigned i = 0; i < 5; i++)
			sum += record_node_chunks(&rec, i, 10000);
		CHECK_EQ(sum, 10000 * replicas);
		CHECK_EQ(record_node_chunks(&rec, 2, 10000), 0);
		/* As much as its weight says, but no more than one replica of each slot. */
		CHECK(record_node_chunks(&rec, 0, RECORD_SLOTS) <= RECORD_SLOTS);
		CHECK(record_node_chunks(&rec, 4, RECORD_SLOTS) <= RECORD_SLOTS * replicas / 10);
	}
	rec.node_count = 3; /* of which one has no room */
	rec.replicas = 3;
	CHECK_EQ(record_place(&rec, weight, NULL), -ENOSPC);
}

static void no_rack_has_two_replicas_of_a_slot(void)
{
	static const uint64_t weight[] = { 100, 100, 100, 100, 100, 100 };
	static const unsigned rack[] = { 1, 1, 2, 2, 0, 0 }, two[] = { 1, 1, 1, 2, 2, 2 };

	memset(&rec, 0, sizeof(rec));
	rec.node_count = 6;
	rec.replicas = 3;
	CHECK_EQ(record_place(&rec, weight, rack), 0);
	for (unsigned s = 0; s < RECORD_SLOTS; s++)
		for (unsigned a = 0; a < 3; a++)
			for (unsigned b = 0; b < a; b++) {
				unsigned ra = rack[rec.slots[s].node[a]], rb = rack[rec.slots[s].node[b]];

				CHECK(!ra || ra != rb);
			}
	for (unsigned i = 0; i < 6; i++)
		CHECK(record_node_chunks(&rec, i, RECORD_SLOTS) > RECORD_SLOTS / 4);
	CHECK_EQ(record_place(&rec, weight, two), -ENOSPC);
	rec.replicas = 2;
	CHECK_EQ(record_place(&rec, weight, two), 0);
}

static const struct check_test tests[] = {
	{ "record-comes-back-as-it-went", record_comes_back_as_it_went },
	{ "records-of-older-formats-are-read", records_of_older_formats_are_read },
	{ "moving-record-comes-back-and-others-have-no-empty-places", moving_record_comes_back_and_others_have_no_empty_places },
	{ "cut-or-longer-record-is-refused", cut_or_longer_record_is_refused },
	{ "damaged-record-is-refused-or-harmless", damaged_record_is_refused_or_harmless },
	{ "names-that-would-escape-are-refused", names_that_would_escape_are_refused },
	{ "size-beyond-the-index-is-refused", size_beyond_the_index_is_refused },
	{ "each-node-gets-its-share", each_node_gets_its_share },
	{ "neighbouring-chunks-lie-on-different-nodes", neighbouring_chunks_lie_on_different_nodes },
	{ "replicas-lie-on-different-nodes", replicas_lie_on_different_nodes },
	{ "no-rack-has-two-replicas-of-a-slot", no_rack_has_two_replicas_of_a_slot },
};
CHECK_MAIN(tests)
