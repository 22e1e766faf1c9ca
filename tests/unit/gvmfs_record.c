// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_record.c - records of the name table keep what they are given, and refuse what is not one. */
#include "check.h"
#include "state/record.h"

#include <errno.h>

static struct record rec, back;
static uint8_t buf[RECORD_BYTES_MAX + 1];

static void record_fill(unsigned nodes)
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
	record_place(&rec, weight);
}

static void record_comes_back_as_it_went(void)
{
	for (unsigned nodes = 1; nodes <= RECORD_NODES_MAX; nodes += 127) {
		size_t n;

		record_fill(nodes);
		n = record_pack(&rec, buf);
		CHECK(n <= RECORD_BYTES_MAX);
		memset(&back, 0, sizeof(back));
		CHECK_EQ(record_unpack(&back, buf, n), 0);
		CHECK_MEM(&back, &rec, sizeof(rec));
	}
}

/* Such were written before regions could be sealed. */
static void record_of_format_2_is_read_as_unsealed(void)
{
	enum { SEAL_AT = 48 };
	size_t n;

	record_fill(3);
	n = record_pack(&rec, buf);
	CHECK_EQ(gvm_load_le(buf + SEAL_AT, 8), rec.seal);
	memmove(buf + SEAL_AT, buf + SEAL_AT + 8, n - SEAL_AT - 8);
	buf[0] = 2;
	back = (struct record){ .seal = 1 };
	CHECK_EQ(record_unpack(&back, buf, n - 8), 0);
	rec.seal = 0;
	CHECK_MEM(&back, &rec, sizeof(rec));
	for (unsigned format = 0; format < 256; format++) {
		buf[0] = (uint8_t)format;
		CHECK(format == 2 || record_unpack(&back, buf, n - 8) == -EBADMSG);
	}
}

static void cut_or_longer_record_is_refused(void)
{
	size_t n;

	record_fill(3);
	n = record_pack(&rec, buf);
	for (size_t i = 0; i < n; i++)
		CHECK_EQ(record_unpack(&back, buf, i), -EBADMSG);
	CHECK_EQ(record_unpack(&back, buf, n + 1), -EBADMSG);
}

/* Whatever a record that is accepted says can be used without further checks. */
static void damaged_record_is_refused_or_harmless(void)
{
	size_t n;

	record_fill(3);
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
		for (unsigned s = 0; s < back.slot_count; s++)
			CHECK(back.slots[s] < back.node_count);
		if (back.slot_count)
			CHECK(record_node_of(&back, check_random()) < back.node_count);
	}
}

static void names_that_would_escape_are_refused(void)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/" };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		record_fill(1);
		strcpy(rec.name, bad[i]);
		CHECK_EQ(record_unpack(&back, buf, record_pack(&rec, buf)), -EBADMSG);
	}
}

/* The index of a region's chunks has an end, which no record may make anybody pass. */
static void size_beyond_the_index_is_refused(void)
{
	record_fill(1);
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
	record_place(&rec, weight);
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
	record_place(&rec, weight);
	for (unsigned s = 0; s + 1 < RECORD_SLOTS; s++)
		CHECK(rec.slots[s] != rec.slots[s + 1]);
}

static const struct check_test tests[] = {
	{ "record-comes-back-as-it-went", record_comes_back_as_it_went },
	{ "record-of-format-2-is-read-as-unsealed", record_of_format_2_is_read_as_unsealed },
	{ "cut-or-longer-record-is-refused", cut_or_longer_record_is_refused },
	{ "damaged-record-is-refused-or-harmless", damaged_record_is_refused_or_harmless },
	{ "names-that-would-escape-are-refused", names_that_would_escape_are_refused },
	{ "size-beyond-the-index-is-refused", size_beyond_the_index_is_refused },
	{ "each-node-gets-its-share", each_node_gets_its_share },
	{ "neighbouring-chunks-lie-on-different-nodes", neighbouring_chunks_lie_on_different_nodes },
};
CHECK_MAIN(tests)
