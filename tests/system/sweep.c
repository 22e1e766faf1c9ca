// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sweep fill|fast|check FILE - puts known content into a region's file, changes it on the fast path,
 * and looks at what came of that.
 *
 * On the fast path it reads as what is fetched ahead is made for, in order, and then as it is not:
 * backwards, with gaps, beside what was fetched ahead. So each page is at some time the neighbour of
 * one that came by itself. After that it writes to some pages, among them such as were not read
 * before, and reads all again, which a small budget makes come and go. At no time may the memory take
 * more than that budget, whatever the kernel likes to put beside a page.
 */
#include "dsm_backend.h"
#include "gvm_mount.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, WORDS = PAGE_BYTES / 8, CHUNK_PAGES = 32 };

static size_t pages, bad;

static uint64_t word(size_t page, size_t i, unsigned generation)
{
	return 0x9e3779b97f4a7c15ull * (page * WORDS + i + 1) + generation;
}

/* Which pages are written to on the fast path. */
static unsigned generation_at_last(size_t page)
{
	return page % 3 == 1 ? 2 : 1;
}

static void look(const volatile uint64_t *at, size_t page, unsigned generation, const char *when)
{
	static const size_t places[] = {0, 255, WORDS - 1};

	for (size_t i = 0; i < 3; i++) {
		uint64_t found = at[places[i]], wanted = word(page, places[i], generation);

		if (found == wanted)
			continue;
		if (++bad <= 8)
			printf("sweep: %s: page %zu, word %zu is %llx, not %llx\n", when, page,
			       places[i], (unsigned long long)found, (unsigned long long)wanted);
		return;
	}
}

static void page_make(uint64_t *to, size_t page, unsigned generation)
{
	for (size_t i = 0; i < WORDS; i++)
		to[i] = word(page, i, generation);
}

static int fill(int fd)
{
	uint64_t page[WORDS];

	for (size_t p = 0; p < pages; p++) {
		page_make(page, p, 1);
		if (pwrite(fd, page, PAGE_BYTES, (off_t)(p * PAGE_BYTES)) != PAGE_BYTES)
			return 2;
	}
	return fsync(fd) ? 2 : 0;
}

static int check(int fd)
{
	uint64_t page[WORDS];

	for (size_t p = 0; p < pages; p++) {
		if (pread(fd, page, PAGE_BYTES, (off_t)(p * PAGE_BYTES)) != PAGE_BYTES)
			return 2;
		look(page, p, generation_at_last(p), "at last");
	}
	return bad != 0;
}

/* What the file behind a mapping takes, of the host's memory; 0: not known. */
static uint64_t memory_taken(const void *map)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], path[64];
	unsigned long from, to;
	struct stat st = {0};

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx", &from, &to) != 2 || from != (uintptr_t)map)
			continue;
		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", from, to);
		if (stat(path, &st))
			perror(path);
		break;
	}
	if (f)
		fclose(f);
	return 512 * (uint64_t)st.st_blocks;
}

static void budget_check(int fd, const void *map, const char *when)
{
	uint64_t taken = memory_taken(map);
	char text[24] = "";

	if (fgetxattr(fd, GVM_XATTR_LOCAL, text, sizeof(text) - 1) < 0 || !taken)
		printf("sweep: %s: the budget is not known, or what is taken of it\n", when);
	else if (taken <= strtoull(text, NULL, 10))
		return;
	else
		printf("sweep: %s: the memory takes %llu bytes of %s\n", when,
		       (unsigned long long)taken, text);
	bad++;
}

static int fast(int fd)
{
	size_t ordered = 13 * CHUNK_PAGES, bytes = pages * PAGE_BYTES;
	uint64_t *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED || dsm_universal_init(NULL) ||
	    dsm_ram_attach(fd, map, bytes, 0, true) != 1) {
		printf("sweep: it is not on the fast path\n");
		return 2;
	}
	for (size_t p = 0; p < ordered; p++)
		look(map + p * WORDS, p, 1, "in order");
	usleep(200000); /* what is fetched ahead comes */
	budget_check(fd, map, "in order");
	for (size_t c = 32; c-- > 20;)
		for (size_t p = c * CHUNK_PAGES; p < (c + 1) * CHUNK_PAGES; p += 5)
			look(map + p * WORDS, p, 1, "with gaps");
	for (size_t p = pages; p--;)
		look(map + p * WORDS, p, 1, "backwards");
	budget_check(fd, map, "backwards");
	for (size_t p = 0; p < pages; p++)
		if (generation_at_last(p) == 2)
			page_make(map + p * WORDS, p, 2);
	for (size_t p = 0; p < pages; p++)
		look(map + p * WORDS, p, generation_at_last(p), "once more");
	budget_check(fd, map, "once more");
	return bad != 0;
}

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[2], O_RDWR) : -1, status = 2;
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		fprintf(stderr, "usage: sweep fill|fast|check FILE\n");
		return 2;
	}
	pages = (size_t)st.st_size / PAGE_BYTES;
	if (!strcmp(argv[1], "fill"))
		status = fill(fd);
	else if (!strcmp(argv[1], "fast"))
		status = fast(fd);
	else if (!strcmp(argv[1], "check"))
		status = check(fd);
	printf("sweep: %s: %zu of %zu pages are wrong\n", argv[1], bad, pages);
	return status;
}
