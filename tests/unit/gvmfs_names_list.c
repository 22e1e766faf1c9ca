// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_names_list.c - a list of names is bounded, whatever nodes list, and one that was refused a name is as it was. */
#include "check.h"
#include "node/names_list.h"

#include <errno.h>

#define HALF (300u << 20) /* twice that is more than a list takes */

static struct name_entry entry(uint8_t key, uint32_t bytes)
{
	return (struct name_entry){ .key.b = { key }, .table = 1, .born = 1, .version = 1, .bytes = bytes };
}

/* Only the sizes count: records that are not copied have no bytes here. */
static void bounded_by(int (*take)(struct names_list *list, const struct name_entry *what), bool copies)
{
	struct names_list list = { 0 };
	struct name_entry first = entry(1, HALF), second = entry(2, HALF);
	uint8_t *room = copies ? calloc(1, HALF) : NULL;

	CHECK(!copies || room);
	first.record = second.record = room;
	CHECK_EQ(take(&list, &first), 0);
	CHECK_EQ(take(&list, &second), -E2BIG);
	CHECK_EQ(list.count, 1);
	CHECK(names_list_find(&list, &first.key) && !names_list_find(&list, &second.key));
	CHECK_EQ(names_list_find(&list, &first.key)->bytes, HALF);
	second.bytes = 10; /* it has room all the same */
	CHECK_EQ(take(&list, &second), 0);
	names_list_free(&list);
	free(room);
}

static void test_add(void)
{
	bounded_by(names_list_add, true);
}

static void test_put(void)
{
	bounded_by(names_list_put, false);
}

/* What takes the place of another counts once. */
static void test_replaced(void)
{
	struct names_list list = { 0 };
	struct name_entry e = entry(1, HALF);

	for (unsigned i = 0; i < 10; i++) {
		e.version++;
		CHECK_EQ(names_list_put(&list, &e), 0);
	}
	e = entry(1, 0); /* its tombstone */
	CHECK_EQ(names_list_put(&list, &e), 0);
	e = entry(2, HALF);
	CHECK_EQ(names_list_put(&list, &e), 0);
	e = entry(3, HALF);
	CHECK_EQ(names_list_put(&list, &e), -E2BIG);
	e = entry(3, 10);
	CHECK_EQ(names_list_put(&list, &e), 0);
	CHECK_EQ(list.count, 3);
	names_list_free(&list);
}

static const struct check_test tests[] = {
	{ "what-is-added-is-bounded", test_add },
	{ "what-is-put-is-bounded", test_put },
	{ "what-is-replaced-counts-once", test_replaced },
};

CHECK_MAIN(tests)
