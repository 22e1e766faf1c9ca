// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_unmap.c - a session's tables are unmapped aside, and all of them are. */
#include "check.h"
#include "node/jobs.h"
#include "uffd/unmap.h"

#include <sys/mman.h>

#define PAGE 4096u

static struct job *submitted;

void jobs_submit_blocking(struct jobs *jobs, struct job *job)
{
	(void)jobs;
	submitted = job;
}

static bool is_mapped(const char *at)
{
	unsigned char here;

	return mincore((char *)(uintptr_t)at, PAGE, &here) == 0;
}

static char *map(size_t bytes)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static void tables_go_aside(void)
{
	const size_t large = (5u << 20) + 3, small = 100;
	char *one = map(large), *two = map(small);
	const struct unmap_part part[UNMAP_PARTS] = { { one, large }, { NULL, 0 }, { two, small } };

	one[0] = one[large - 1] = two[0] = 1;
	unmap_aside(NULL, part);
	CHECK(is_mapped(one) && is_mapped(two));
	CHECK(submitted);
	submitted->work(submitted, NULL);
	for (size_t off = 0; off < large; off += PAGE)
		CHECK(!is_mapped(one + off));
	CHECK(!is_mapped(two));
	submitted->done(submitted);
}

static const struct check_test tests[] = {
	{ "tables-go-aside", tables_go_aside },
};
CHECK_MAIN(tests)
