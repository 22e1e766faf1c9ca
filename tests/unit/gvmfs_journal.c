// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_journal.c - what a killed worker left in the journal is what its successor finds. */
#include "check.h"
#include "state/journal.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct journal first, successor;

static void begin(void)
{
	CHECK_EQ(journal_create(&first), 0);
	CHECK_EQ(journal_attach(&successor, first.fd), 0);
	CHECK(successor.super != first.super); /* a mapping of its own */
}

static void end(void)
{
	journal_detach(&first);
	journal_detach(&successor);
	close(first.fd);
}

static void new_journal_is_empty(void)
{
	begin();
	CHECK(successor.super->client & 1);
	CHECK_EQ(successor.super->starts, 0);
	for (unsigned s = 0; s < JOURNAL_WBUFS; s++)
		CHECK_EQ(successor.wbufs[s].state, WBUF_FREE);
	for (unsigned i = 0; i < JOURNAL_INODES; i++)
		CHECK_EQ(successor.inodes[i].use, INODE_FREE);
	for (unsigned i = 0; i < JOURNAL_HANDLES; i++)
		CHECK_EQ(successor.handles[i].inode_plus_1, 0);
	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++)
		CHECK_EQ(successor.sessions[i].kept, 0);
	end();
}

/* Two mounts are two writers. */
static void every_journal_is_another_writer(void)
{
	uint64_t client;

	begin();
	client = first.super->client;
	end();
	begin();
	CHECK(client != first.super->client);
	end();
}

static void wbufs_are_found_as_they_were_left(void)
{
	static uint8_t want[GVM_CHUNK_BYTES];

	begin();
	for (unsigned s = 0; s < JOURNAL_WBUFS; s++) {
		struct journal_wbuf *js = &first.wbufs[s];

		memset(journal_wbuf_data(&first, s), (int)(s + 1), GVM_CHUNK_BYTES);
		js->inode = s;
		js->chunk = 1000 + s;
		js->version = gvm_version(3, s + 1);
		journal_publish32(&js->pages, 1u << s % GVM_CHUNK_PAGES);
		journal_publish32(&js->state, s & 1 ? WBUF_SEALED : WBUF_OPEN);
	}
	for (unsigned s = 0; s < JOURNAL_WBUFS; s++) {
		const struct journal_wbuf *js = &successor.wbufs[s];

		CHECK_EQ(js->state, s & 1 ? WBUF_SEALED : WBUF_OPEN);
		CHECK_EQ(js->inode, s);
		CHECK_EQ(js->chunk, 1000 + s);
		CHECK_EQ(js->version, gvm_version(3, s + 1));
		CHECK_EQ(js->pages, 1u << s % GVM_CHUNK_PAGES);
		memset(want, (int)(s + 1), sizeof(want));
		CHECK_MEM(journal_wbuf_data(&successor, s), want, sizeof(want));
	}
	end();
}

/* Of the index, which is large, the ends alone are used. */
static void part_mark(uint8_t *part, size_t bytes, uint8_t value)
{
	if (bytes < 1 << 30)
		memset(part, value, bytes);
	part[0] = part[bytes - 1] = value;
}

static void part_check(const uint8_t *part, size_t bytes, uint8_t value)
{
	CHECK_EQ(part[0], value);
	CHECK_EQ(part[bytes - 1], value);
	for (size_t i = 0; bytes < 1 << 30 && i < bytes; i++)
		if (part[i] != value)
			CHECK_EQ(part[i], value);
}

static void parts_do_not_overlap(void)
{
	begin();
	struct {
		const void *at;
		void *write;
		size_t bytes;
	} part[] = {
		{ successor.super, first.super, sizeof(struct journal_super) },
		{ successor.inodes, first.inodes, JOURNAL_INODES * sizeof(struct journal_inode) },
		{ successor.handles, first.handles, JOURNAL_HANDLES * sizeof(struct journal_handle) },
		{ successor.wbufs, first.wbufs, JOURNAL_WBUFS * sizeof(struct journal_wbuf) },
		{ successor.sessions, first.sessions, JOURNAL_SESSIONS * sizeof(struct journal_session) },
		{ successor.wbuf_data, first.wbuf_data, (size_t)JOURNAL_WBUFS * GVM_CHUNK_BYTES },
		{ successor.index, first.index, JOURNAL_INODES * JOURNAL_INDEX_BYTES },
	};
	enum { PARTS = sizeof(part) / sizeof(*part) };

	for (unsigned i = 0; i < PARTS; i++)
		part_mark(part[i].write, part[i].bytes, (uint8_t)(i + 1));
	for (unsigned i = 0; i < PARTS; i++)
		part_check(part[i].at, part[i].bytes, (uint8_t)(i + 1));
	end();
}

static void index_of_every_inode_has_a_place_of_its_own(void)
{
	static const unsigned nrs[] = { 0, 1, 2, JOURNAL_INODES - 1 };

	begin();
	for (unsigned i = 0; i < 4; i++) {
		journal_index(&first, nrs[i])[0] = 10 + i;
		journal_index(&first, nrs[i])[JOURNAL_CHUNKS_MAX - 1] = (20 + i) | GVM_VERSION_ZERO;
	}
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(journal_index(&successor, nrs[i])[0], 10 + i);
		CHECK_EQ(journal_index(&successor, nrs[i])[JOURNAL_CHUNKS_MAX - 1], (20 + i) | GVM_VERSION_ZERO);
	}
	end();
}

/* 512 entries are a page of the index: the cut may be anywhere in one. */
static void cleared_index_ends_where_it_is_cut(void)
{
	static const uint64_t cuts[] = { 0, 1, 511, 512, 513, 5000 };

	for (unsigned i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
		begin();
		for (uint64_t c = 0; c < 6000; c++)
			journal_index(&first, 5)[c] = c + 1;
		journal_index(&first, 4)[JOURNAL_CHUNKS_MAX - 1] = 7;
		journal_index(&first, 5)[JOURNAL_CHUNKS_MAX - 1] = 8;
		journal_index(&first, 6)[0] = 9;
		journal_index_clear(&first, 5, cuts[i]);
		for (uint64_t c = 0; c < 6000; c++)
			CHECK_EQ(journal_index(&successor, 5)[c], c < cuts[i] ? c + 1 : 0);
		CHECK_EQ(journal_index(&successor, 5)[JOURNAL_CHUNKS_MAX - 1], 0);
		CHECK_EQ(journal_index(&successor, 4)[JOURNAL_CHUNKS_MAX - 1], 7);
		CHECK_EQ(journal_index(&successor, 6)[0], 9);
		end();
	}
}

/* It is sparse: what is cleared takes no memory, and what was never used did not. */
static void cleared_index_gives_its_memory_back(void)
{
	struct stat empty, used, cleared;

	begin();
	CHECK_EQ(fstat(first.fd, &empty), 0);
	CHECK(empty.st_blocks * 512 < 64 << 10);
	for (uint64_t c = 0; c < 1 << 20; c++)
		journal_index(&first, 3)[c] = c + 1;
	CHECK_EQ(fstat(first.fd, &used), 0);
	CHECK((used.st_blocks - empty.st_blocks) * 512 >= 8 << 20);
	journal_index_clear(&first, 3, 0);
	CHECK_EQ(fstat(first.fd, &cleared), 0);
	CHECK((cleared.st_blocks - empty.st_blocks) * 512 < 64 << 10);
	end();
}

/* What is known of sealed pages goes with the index, and outlives a worker as it does. */
static void known_seals_go_with_the_index(void)
{
	struct seal_known *known, *later;

	begin();
	first.super->seal_id = 1;
	known = journal_known_map(&first, 3);
	CHECK(known);
	known[0].page[31] = 1;
	known[JOURNAL_CHUNKS_MAX - 1].page[0] = 2;
	later = journal_known_map(&successor, 3);
	CHECK(later);
	CHECK_EQ(later[0].page[31], 1);
	CHECK_EQ(later[JOURNAL_CHUNKS_MAX - 1].page[0], 2);
	journal_known_unmap(later);
	later = journal_known_map(&successor, 4); /* another's */
	CHECK(later);
	CHECK_EQ(later[0].page[31], 0);
	later[0].page[31] = 3;
	journal_index_clear(&first, 3, 1);
	CHECK_EQ(known[0].page[31], 1);
	CHECK_EQ(known[JOURNAL_CHUNKS_MAX - 1].page[0], 0);
	journal_index_clear(&first, 3, 0);
	CHECK_EQ(known[0].page[31], 0);
	CHECK_EQ(later[0].page[31], 3);
	journal_known_unmap(later);
	journal_known_unmap(known);
	journal_known_unmap(NULL);
	end();
}

static void other_bytes_are_no_journal(void)
{
	struct journal other;

	begin();
	first.super->magic ^= 1;
	CHECK_EQ(journal_attach(&other, first.fd), -EINVAL);
	journal_detach(&other);
	end();
}

/* A worker that is killed leaves all that it has stored, also what it stored last. */
static void killed_process_loses_no_store(void)
{
	int status;
	pid_t pid;

	begin();
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		memset(journal_wbuf_data(&first, 9), 77, GVM_CHUNK_BYTES);
		first.wbufs[9].chunk = 12;
		journal_publish32(&first.wbufs[9].pages, ~0u);
		journal_publish32(&first.wbufs[9].state, WBUF_SEALED);
		raise(SIGKILL);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(successor.wbufs[9].state, WBUF_SEALED);
	CHECK_EQ(successor.wbufs[9].pages, ~0u);
	CHECK_EQ(successor.wbufs[9].chunk, 12);
	CHECK_EQ(journal_wbuf_data(&successor, 9)[GVM_CHUNK_BYTES - 1], 77);
	end();
}

static uint64_t allocated(void)
{
	struct stat st;

	CHECK_EQ(fstat(first.fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* In parts, of one inode, from a chunk on. */
static void what_a_region_has_is_given_back(void)
{
	static const uint64_t chunks[] = { 0, 1, 15, 16, 99999, 100000, 1ull << 20, JOURNAL_CHUNKS_MAX - 1 };
	struct seal_known *known, *other;
	uint64_t before;

	begin();
	first.super->seal_id = 1;
	before = allocated();
	known = journal_known_map(&first, 5);
	other = journal_known_map(&first, 6);
	CHECK(known && other);
	other[0].page[0] = 7;
	for (unsigned i = 0; i < sizeof(chunks) / sizeof(*chunks); i++)
		known[chunks[i]].page[31] = i + 1;
	for (uint64_t c = 1000; c < 50000; c++)
		known[c].page[0] = c;
	CHECK(allocated() > before + 49000 * sizeof(*known));
	for (uint64_t c = 0; c < 2000000; c++)
		journal_index(&first, 5)[c] = c + 1;
	journal_index(&first, 6)[0] = 7;
	journal_index_give_back(&successor, 5, 100001);
	for (uint64_t c = 99000; c < 2000000; c++)
		CHECK_EQ(journal_index(&successor, 5)[c], c < 100001 ? c + 1 : 0);
	for (unsigned i = 0; i < sizeof(chunks) / sizeof(*chunks); i++)
		CHECK_EQ(known[chunks[i]].page[31], chunks[i] < 100001 ? i + 1 : 0);
	CHECK_EQ(known[49999].page[0], 49999);
	journal_index_give_back(&successor, 5, 0);
	CHECK(allocated() <= before + 2 * GVM_PAGE_BYTES + sizeof(chunks) / sizeof(*chunks) * GVM_PAGE_BYTES);
	for (uint64_t c = 0; c < 50000; c++)
		CHECK_EQ(known[c].page[0], 0);
	CHECK_EQ(other[0].page[0], 7);
	CHECK_EQ(journal_index(&successor, 5)[0], 0);
	CHECK_EQ(journal_index(&successor, 6)[0], 7);
	journal_known_unmap(known);
	journal_known_unmap(other);
	end();
}

static const struct check_test tests[] = {
	{ "new-journal-is-empty", new_journal_is_empty },
	{ "every-journal-is-another-writer", every_journal_is_another_writer },
	{ "what-a-region-has-is-given-back", what_a_region_has_is_given_back },
	{ "wbufs-are-found-as-they-were-left", wbufs_are_found_as_they_were_left },
	{ "parts-do-not-overlap", parts_do_not_overlap },
	{ "index-of-every-inode-has-a-place-of-its-own", index_of_every_inode_has_a_place_of_its_own },
	{ "cleared-index-ends-where-it-is-cut", cleared_index_ends_where_it_is_cut },
	{ "cleared-index-gives-its-memory-back", cleared_index_gives_its_memory_back },
	{ "known-seals-go-with-the-index", known_seals_go_with_the_index },
	{ "other-bytes-are-no-journal", other_bytes_are_no_journal },
	{ "killed-process-loses-no-store", killed_process_loses_no_store },
};
CHECK_MAIN(tests)
