// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * dsm_backend.c - what the client of the fast path decides without gvmfs: pins and their places,
 * advice, messages and mappings that it does not take.
 */
#include "dsm_rig.h"

static void table_clear(void)
{
	for (int i = 0; i < REGIONS_MAX; i++)
		atomic_store(&ours.table[i], NULL);
}

/* A region that begins in the middle of nowhere; nothing here touches it. */
static struct region fake(uintptr_t host, size_t bytes)
{
	struct region r = {.host = (uint8_t *)host, .bytes = bytes, .file = -1};

	r.chunks = (bytes + CHUNK - 1) / CHUNK;
	r.pins = calloc(r.chunks, sizeof(*r.pins));
	return r;
}

static void check_pins(const struct region *r, const uint32_t *want)
{
	for (size_t i = 0; i < r->chunks; i++)
		CHECK_EQ(atomic_load(&r->pins[i]), want[i]);
}

static void pins_count_each_chunk_that_is_touched(void)
{
	/* the host address is not a multiple of a chunk: chunks count from the file's start */
	static uintptr_t base = 0x700000001000;
	struct region r = fake(base, 3 * CHUNK + PAGE);
	static const struct {
		int64_t offset;
		size_t bytes;
		uint32_t want[4];
	} cases[] = {
		{0, 1, {1, 0, 0, 0}},
		{CHUNK - 1, 1, {1, 0, 0, 0}},
		{CHUNK - 1, 2, {1, 1, 0, 0}},
		{CHUNK, CHUNK, {0, 1, 0, 0}},
		{CHUNK, CHUNK + 1, {0, 1, 1, 0}},
		{CHUNK / 2, 2 * CHUNK, {1, 1, 1, 0}},
		{3 * CHUNK, PAGE, {0, 0, 0, 1}},
		{3 * CHUNK, 8 * M, {0, 0, 0, 1}},
		{-(int64_t)M, 8 * M, {1, 1, 1, 1}},
		{-1, 1, {0, 0, 0, 0}},
		{-1, 2, {1, 0, 0, 0}},
		{3 * CHUNK + PAGE, 1, {0, 0, 0, 0}},
		{5, 0, {0, 0, 0, 0}},
	};

	atomic_store(&ours.table[3], &r);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		static const uint32_t none[4];
		const void *p = (const void *)(base + (uintptr_t)cases[i].offset);

		dsm_pin(p, cases[i].bytes);
		check_pins(&r, cases[i].want);
		dsm_unpin(p, cases[i].bytes);
		check_pins(&r, none);
	}
	dsm_pin((void *)base, CHUNK + 1);
	dsm_pin((void *)base, 1);
	dsm_unpin((void *)base, CHUNK + 1);
	check_pins(&r, (const uint32_t[4]){1, 0, 0, 0});
	free((void *)r.pins);
	table_clear();
}

static void a_buffer_may_lie_in_two_regions(void)
{
	uintptr_t base = 0x700000001000;
	struct region low = fake(base, CHUNK), high = fake(base + CHUNK, CHUNK);

	atomic_store(&ours.table[0], &high);
	atomic_store(&ours.table[1], &low);
	dsm_pin((void *)(base + CHUNK - 1), 2);
	CHECK_EQ(atomic_load(&low.pins[0]), 1);
	CHECK_EQ(atomic_load(&high.pins[0]), 1);
	free((void *)low.pins);
	free((void *)high.pins);
	table_clear();
}

static void lookup_knows_the_edges(void)
{
	uintptr_t base = 0x700000001000;
	struct region r = fake(base, CHUNK);

	CHECK(!dsm_ram_covers((void *)base, CHUNK));
	atomic_store(&ours.table[REGIONS_MAX - 1], &r);
	CHECK(dsm_ram_covers((void *)base, 1));
	CHECK(dsm_ram_covers((void *)(base + CHUNK - 1), 1));
	CHECK(dsm_ram_covers((void *)(base - 1), 2));
	CHECK(dsm_ram_covers((void *)4096, SIZE_MAX));
	CHECK(!dsm_ram_covers((void *)(base - 1), 1));
	CHECK(!dsm_ram_covers((void *)(base + CHUNK), SIZE_MAX));
	CHECK(!dsm_ram_covers((void *)base, 0));
	CHECK_EQ(dsm_ram_detach((void *)base, CHUNK - 1), -EINVAL);
	CHECK_EQ(dsm_ram_detach((void *)(base + 1), CHUNK), -EINVAL);
	CHECK(dsm_ram_covers((void *)base, 1));
	free((void *)r.pins);
	table_clear();
}

static void advice_becomes_what_is_safe(void)
{
	enum { PASSES = 1 };
	static const struct {
		int advice, want;
	} cases[] = {
		{MADV_NORMAL, PASSES},
		{MADV_DONTNEED, PASSES},
		{MADV_NOHUGEPAGE, PASSES},
		{MADV_DONTFORK, PASSES},
		{MADV_DONTDUMP, PASSES},
		{MADV_DODUMP, PASSES},
		{22 /* POPULATE_READ */, PASSES},
		{23 /* POPULATE_WRITE */, PASSES},
		{MADV_HUGEPAGE, 0},
		{MADV_MERGEABLE, 0},
		{MADV_UNMERGEABLE, 0},
		{MADV_DOFORK, 0},
		{MADV_COLD, 0},
		{MADV_PAGEOUT, 0},
		{MADV_FREE, -EINVAL},
		{25 /* COLLAPSE */, -EINVAL},
	};
	uintptr_t base = 0x700000001000;
	struct region r = fake(base, CHUNK);

	atomic_store(&ours.table[0], &r);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int result = 77, dealt;

		dealt = dsm_ram_madvise((void *)(base + PAGE), PAGE, cases[i].advice, &result);
		CHECK_EQ(dealt, cases[i].want != PASSES);
		CHECK_EQ(result, cases[i].want == PASSES ? 77 : cases[i].want);
		CHECK_EQ(dsm_ram_madvise((void *)(base - PAGE), PAGE, cases[i].advice, &result), 0);
	}
	free((void *)r.pins);
	table_clear();
}

static void removing_punches_the_file(void)
{
	uintptr_t base = 0x700000001000;
	struct region r = fake(base, CHUNK);
	uint8_t bytes[2 * PAGE];
	int result;

	r.file = memory_file("the file", CHUNK);
	memset(bytes, 7, sizeof(bytes));
	CHECK_EQ(pwrite(r.file, bytes, sizeof(bytes), PAGE), sizeof(bytes));
	atomic_store(&ours.table[0], &r);
	CHECK_EQ(dsm_ram_madvise((void *)(base + PAGE), PAGE, MADV_REMOVE, &result), 1);
	CHECK_EQ(result, 0);
	CHECK_EQ(pread(r.file, bytes, sizeof(bytes), PAGE), sizeof(bytes));
	CHECK_EQ(bytes[0], 0);
	CHECK_EQ(bytes[PAGE], 7);
	CHECK_EQ(lseek(r.file, 0, SEEK_END), CHUNK);
	CHECK_EQ(dsm_ram_madvise((void *)base, CHUNK + PAGE, MADV_REMOVE, &result), 1);
	CHECK_EQ(result, -EINVAL);
	close(r.file);
	free((void *)r.pins);
	table_clear();
}

static void check_refusal(struct ram *ram, const char *why)
{
	CHECK(ram_refusal(ram, DSM_MODE_AUTO, "/a/socket") < 0);
	CHECK(strstr(ram->why, why));
}

static void what_cannot_be_right_stays(void)
{
	struct region *mine;
	struct ram ram;

	ram_map(&ram, true);
	CHECK_EQ(ram_refusal(&ram, DSM_MODE_AUTO, "/a/socket"), 0);
	CHECK_EQ(ram_refusal(&ram, DSM_MODE_UFFD, "/a/socket"), 0);
	CHECK_EQ(ram_refusal(&ram, DSM_MODE_FUSE, "/a/socket"), -EPERM);
	CHECK_EQ(ram_refusal(&ram, DSM_MODE_AUTO, ""), -EOPNOTSUPP);

	ram.offset = PAGE;
	check_refusal(&ram, "part of its file");
	ram.offset = 0;
	ram.bytes -= PAGE;
	check_refusal(&ram, "part of its file");
	ram.bytes += PAGE;
	ram.host++;
	check_refusal(&ram, "multiple of a page");
	ram.host--;
	CHECK_EQ(ram.st.st_nlink, 0);
	ram.shared = false; /* of an unlinked file: may be */
	CHECK_EQ(ram_refusal(&ram, DSM_MODE_AUTO, "/a/socket"), 0);
	ram.st.st_nlink = 1;
	check_refusal(&ram, "private");
	ram.shared = true;
	CHECK_EQ(ram_refusal(&ram, DSM_MODE_AUTO, "/a/socket"), 0);

	mine = calloc(1, sizeof(*mine));
	mine->dev = ram.st.st_dev;
	mine->ino = ram.st.st_ino;
	atomic_store(&ours.table[5], mine);
	check_refusal(&ram, "attached in this process already");
	mine->ino++;
	for (int i = 0; i < REGIONS_MAX; i++)
		atomic_store(&ours.table[i], mine);
	check_refusal(&ram, "16 regions");
	table_clear();
	free(mine);

	dsm_uffd_veto("of a device");
	check_refusal(&ram, "of a device");
	dsm_uffd_veto(NULL);
	close(ram.fd);
	ram.fd = open("/proc/self/exe", O_RDONLY);
	check_refusal(&ram, "not open for writing");
	ram_unmap(&ram);
}

static void other_files_are_none_of_its_business(void)
{
	int fd = memory_file("another file", RAM_BYTES), zero = open("/dev/zero", O_RDWR);

	dsm_mode_set(DSM_MODE_UFFD);
	CHECK_EQ(dsm_ram_attach(fd, (void *)(uintptr_t)PAGE, RAM_BYTES, 0, true), 0);
	CHECK_EQ(dsm_ram_attach(zero, (void *)(uintptr_t)PAGE, RAM_BYTES, 0, true), 0);
	CHECK_EQ(dsm_ram_attach(-1, (void *)(uintptr_t)PAGE, RAM_BYTES, 0, true), 0);
	dsm_mode_set(DSM_MODE_AUTO);
	close(fd);
	close(zero);
}

static const struct check_test tests[] = {
	{"pins-count-each-chunk-that-is-touched", pins_count_each_chunk_that_is_touched},
	{"a-buffer-may-lie-in-two-regions", a_buffer_may_lie_in_two_regions},
	{"lookup-knows-the-edges", lookup_knows_the_edges},
	{"advice-becomes-what-is-safe", advice_becomes_what_is_safe},
	{"removing-punches-the-file", removing_punches_the_file},
	{"what-cannot-be-right-stays", what_cannot_be_right_stays},
	{"other-files-are-none-of-its-business", other_files_are_none_of_its_business},
};

CHECK_MAIN(tests)
