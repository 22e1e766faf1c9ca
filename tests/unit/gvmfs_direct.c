// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_direct.c - what waits for one node leaves room to the others. */
#include "check.h"
#include "fuse/direct.h"

#define MANY 70000u /* more than the kernel lets a mount have unanswered */

static struct direct direct;
static struct direct_share shares[4][MANY];
static const int nodes[4];

#define SECOND 1000000000ull

/* As many as there is room for, a second after the last answer. */
static unsigned fill(unsigned node, size_t data_bytes)
{
	unsigned n = 0;

	while (n < MANY && direct_begin(&direct, &shares[node][n], &nodes[node], data_bytes, 2 * SECOND))
		n++;
	return n;
}

static void empty(unsigned node, unsigned count)
{
	while (count--)
		direct_end(&direct, &shares[node][count], SECOND);
}

static void one_node_takes_half(void)
{
	unsigned count[3];

	direct_init(&direct);
	for (unsigned i = 0; i < 3; i++) {
		count[i] = fill(i, 0);
		CHECK(count[i] >= 1024 && count[i] < MANY / 2);
		CHECK(!i || count[i] <= count[i - 1] / 2 + 1);
	}
	for (unsigned i = 0; i < 3; i++)
		empty(i, count[i]);
	CHECK_EQ(fill(3, 0), count[0]);
	empty(3, count[0]);
	CHECK(LIST_EMPTY(&direct.nodes));
	CHECK_EQ(direct.bytes, 0);
}

static void data_count(void)
{
	unsigned count;

	direct_init(&direct);
	count = fill(0, 256 << 10);
	CHECK(count >= 1024 && (uint64_t)count * (256 << 10) < 1ull << 30);
	empty(0, count);
	CHECK_EQ(direct.bytes, 0);
}

static void what_ends_makes_room_once(void)
{
	unsigned count;

	direct_init(&direct);
	count = fill(0, 0);
	direct_end(&direct, &shares[0][0], SECOND);
	direct_end(&direct, &shares[0][0], SECOND);
	CHECK(direct_begin(&direct, &shares[0][0], &nodes[0], 0, 2 * SECOND));
	CHECK(!direct_begin(&direct, &shares[0][count], &nodes[0], 0, 2 * SECOND));
	empty(0, count);
	CHECK(LIST_EMPTY(&direct.nodes));
}

/* As the pieces of one write() of 2 GiB are begun, which takes less time than to answer them. */
static void node_that_answers_may_have_more(void)
{
	unsigned n, ended = 0, other;

	direct_init(&direct);
	for (n = 0; n < 8192; n++) {
		if (n % 8 == 7)
			direct_end(&direct, &shares[0][ended++], SECOND);
		CHECK(direct_begin(&direct, &shares[0][n], &nodes[0], 256 << 10, SECOND));
	}
	CHECK(!direct_begin(&direct, &shares[1][0], &nodes[0], 256 << 10, 2 * SECOND));
	other = fill(1, 0);
	CHECK(other >= 4096); /* what is beyond a node's part is not taken of the others' */
	while (direct_begin(&direct, &shares[0][n], &nodes[0], 0, SECOND))
		n++;
	CHECK(direct.count < 65535);
	for (n++; n--;)
		direct_end(&direct, &shares[0][n], SECOND);
	empty(1, other);
	CHECK(LIST_EMPTY(&direct.nodes));
	CHECK_EQ(direct.bytes, 0);
}

static const struct check_test tests[] = {
	{ "one-node-takes-half", one_node_takes_half },
	{ "data-count", data_count },
	{ "node-that-answers-may-have-more", node_that_answers_may_have_more },
	{ "what-ends-makes-room-once", what_ends_makes_room_once },
};
CHECK_MAIN(tests)
