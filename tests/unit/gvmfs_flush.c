// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_flush.c - what of a chunk is sent, and what is not. */
#include "check.h"
#include "store/flush.h"

#include <errno.h>

#define SEED 3u
#define BASE gvm_version(4, 7)
#define NEXT gvm_version(5, 1)

/* A wire that keeps what it is given. */
static struct {
	uint8_t scratch[GVM_CHUNK_BYTES];
	uint8_t memory[GVM_CHUNK_BYTES];
	uint32_t encoded, got, zero, lost;
	uint64_t base;
	unsigned sent, gets, ends, agains;
	int result;
} wire;

static struct flush flush;
static XXH128_hash_t known[GVM_CHUNK_PAGES], found[GVM_CHUNK_PAGES];

static uint8_t *wire_scratch(const struct flush *f)
{
	(void)f;
	return wire.scratch;
}

static int wire_read(struct flush *f, unsigned first, unsigned n, uint8_t *to)
{
	(void)f;
	memcpy(to, wire.memory + first * GVM_PAGE_BYTES, n * GVM_PAGE_BYTES);
	return 0;
}

static int wire_encode(struct flush *f, const uint8_t *from, uint32_t blocks)
{
	static const uint8_t zeros[GVM_PAGE_BYTES];

	f->head.zero_map = 0;
	f->head.body_bytes = 0;
	wire.encoded = blocks;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (blocks >> p & 1 && !memcmp(from + p * GVM_PAGE_BYTES, zeros, GVM_PAGE_BYTES))
			f->head.zero_map |= 1u << p;
	wire.zero = f->head.zero_map;
	return 0;
}

static int wire_lose(struct flush *f)
{
	wire.lost = f->lost;
	return 0;
}

static int wire_get(struct flush *f, uint32_t pages)
{
	(void)f;
	wire.gets++;
	wire.got = pages;
	return 0;
}

static int wire_send(struct flush *f, uint64_t base)
{
	(void)f;
	wire.sent++;
	wire.base = base;
	return 0;
}

static bool wire_is_dry(const struct flush *f)
{
	(void)f;
	return false;
}

static void wire_end(struct flush *f, int result)
{
	(void)f;
	wire.ends++;
	wire.result = result;
}

static void wire_again(struct flush *f)
{
	(void)f;
	wire.agains++;
}

static const struct flush_env env = {
	.scratch = wire_scratch, .read = wire_read, .encode = wire_encode, .lose = wire_lose, .get = wire_get,
	.send = wire_send, .is_dry = wire_is_dry, .end = wire_end, .again = wire_again,
};

static void page_set(unsigned page, uint8_t value)
{
	memset(wire.memory + page * GVM_PAGE_BYTES, value, GVM_PAGE_BYTES);
}

/* A chunk of the fast path, of which `pages` are here as the node has them. */
static void setup(uint32_t pages, uint64_t base, bool tried)
{
	memset(&wire, 0, sizeof(wire));
	memset(&flush, 0, sizeof(flush));
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		page_set(p, pages >> p & 1 ? (uint8_t)(p + 1) : 0);
		known[p] = XXH3_128bits_withSeed(wire.memory + p * GVM_PAGE_BYTES, GVM_PAGE_BYTES, SEED);
	}
	flush.env = &env;
	flush.resident = true;
	flush.pages = flush.known = pages;
	flush.base = base;
	flush.tried = tried;
	flush.version = NEXT;
	flush.seed = SEED;
	flush.hashes_known = known;
	flush.hashes = found;
}

static void what_has_not_changed_is_not_sent(void)
{
	setup(0xff, BASE, false);
	flush_start(&flush);
	CHECK_EQ(wire.ends, 1);
	CHECK_EQ(wire.result, 0);
	CHECK_EQ(wire.sent, 0);
	CHECK(flush.clean);
}

static void changed_pages_alone_are_sent(void)
{
	setup(0xff, BASE, false);
	page_set(3, 99);
	flush_start(&flush);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.base, BASE);
	CHECK_EQ(wire.encoded, 1u << 3);
	CHECK(flush.delta && !flush.clean);
	flush_sent(&flush, 0);
	CHECK_EQ(wire.ends, 1);
	CHECK_EQ(flush_index_entry(&flush), NEXT);
}

static void page_of_unknown_hash_is_sent(void)
{
	setup(0xff, BASE, false);
	flush.known = 0xf7;
	flush_start(&flush);
	CHECK_EQ(wire.encoded, 1u << 3);
}

static void hashes_are_those_of_what_was_read(void)
{
	XXH128_hash_t want;

	setup(0xff, BASE, false);
	page_set(3, 99);
	want = XXH3_128bits_withSeed(wire.memory + 3 * GVM_PAGE_BYTES, GVM_PAGE_BYTES, SEED);
	flush_start(&flush);
	page_set(3, 100); /* the guest goes on */
	CHECK_EQ(flush.read, 0xff);
	CHECK(XXH128_isEqual(found[3], want));
}

static void presence_is_not_content(void)
{
	/* A page lies in the memory that is not among those of the flush: over a zero base it is sent as zero. */
	setup(0xff, BASE | GVM_VERSION_ZERO, false);
	page_set(20, 77);
	page_set(3, 99);
	flush_start(&flush);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.base, 0);
	CHECK_EQ(wire.encoded, ~0u);
	CHECK_EQ(wire.zero, ~0xffu);
	CHECK_EQ(flush.read, 0xff);
}

static void version_in_doubt_is_followed_by_all_of_it(void)
{
	setup(0xff, BASE, true);
	flush_start(&flush);
	CHECK(!flush.clean);
	CHECK_EQ(wire.sent, 0);
	CHECK_EQ(wire.gets, 1);
	CHECK_EQ(wire.got, ~0xffu);
	memset(wire.scratch + 20 * GVM_PAGE_BYTES, 5, GVM_PAGE_BYTES);
	flush_piece(&flush, ~0xffu, 0);
	flush_fetched(&flush, 0);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.base, 0);
	CHECK_EQ(wire.encoded, ~0u);
	CHECK(!(wire.zero >> 20 & 1));
}

static void answer_that_lacks_pages_ends_it(void)
{
	setup(0xff, BASE, true);
	flush_start(&flush);
	flush_piece(&flush, 0xff00, 0);
	flush_fetched(&flush, 0);
	CHECK_EQ(wire.sent, 0);
	CHECK_EQ(wire.ends, 1);
	CHECK_EQ(wire.result, -EBADMSG);
}

static void refused_base_is_followed_by_all_of_it_once(void)
{
	setup(~0u, BASE, false);
	page_set(3, 99);
	flush_start(&flush);
	flush_sent(&flush, -EREMCHG);
	CHECK_EQ(wire.sent, 2);
	CHECK_EQ(wire.ends, 0);
	CHECK_EQ(wire.base, 0);
	CHECK_EQ(wire.encoded, ~0u);
	flush_sent(&flush, -EREMCHG);
	CHECK_EQ(wire.sent, 2);
	CHECK_EQ(wire.ends, 1);
	CHECK_EQ(wire.result, -EREMCHG);
}

/* One of two nodes has taken the change, and under this version has what it held; then the program stores on. */
static void bytes_of_a_version_are_the_same_on_all_nodes(void)
{
	for (unsigned whole = 0; whole < 2; whole++) {
		uint32_t pages = whole ? ~0u : 0xffu;

		setup(pages, BASE, false);
		page_set(3, 99);
		flush_start(&flush);
		page_set(3, 100);
		page_set(4, 101);
		flush_sent(&flush, -EREMCHG);
		CHECK_EQ(wire.got, ~pages);
		if (!whole) {
			flush_piece(&flush, ~pages, 0);
			flush_fetched(&flush, 0);
		}
		CHECK_EQ(wire.sent, 2);
		CHECK_EQ(wire.encoded, ~0u);
		CHECK_EQ(wire.scratch[3 * GVM_PAGE_BYTES], 99);
		CHECK_EQ(wire.scratch[4 * GVM_PAGE_BYTES], 5);
		CHECK(XXH128_isEqual(found[4], known[4]));
	}
}

static void zeros_over_nothing_are_not_sent(void)
{
	setup(0, 0, false);
	flush.pages = 0xff;
	flush_start(&flush);
	CHECK_EQ(wire.sent, 0);
	CHECK_EQ(wire.ends, 1);
	CHECK_EQ(flush_index_entry(&flush), 0);
	/* But if a version was tried, the node may hold something. */
	setup(0, 0, true);
	flush.pages = 0xff;
	flush_start(&flush);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(flush_index_entry(&flush), NEXT | GVM_VERSION_ZERO);
}

/* A wbuf of the write-back. */
static void wbuf_setup(uint32_t pages, uint64_t base)
{
	setup(pages, base, false);
	flush.resident = false;
	flush.data = wire.memory;
}

static void written_pages_go_over_the_base(void)
{
	wbuf_setup(0xf0, BASE);
	flush_start(&flush);
	CHECK_EQ(wire.sent, 1);
	CHECK_EQ(wire.base, BASE);
	CHECK_EQ(wire.encoded, 0xf0);
	/* Nothing there yet: as a whole, with zeros around them. */
	wbuf_setup(0xf0, 0);
	flush_start(&flush);
	CHECK_EQ(wire.base, 0);
	CHECK_EQ(wire.encoded, ~0u);
	CHECK_EQ(wire.zero, ~0xf0u);
	/* All of them. */
	wbuf_setup(~0u, BASE);
	flush_start(&flush);
	CHECK_EQ(wire.base, 0);
	CHECK_EQ(wire.encoded, ~0u);
}

static void wbuf_is_laid_over_what_was_fetched(void)
{
	wbuf_setup(0xf0, BASE);
	flush_start(&flush);
	flush_sent(&flush, -EREMCHG);
	CHECK_EQ(wire.agains, 1);
	flush_start(&flush);
	CHECK_EQ(wire.got, ~0xf0u);
	memset(wire.scratch, 9, GVM_CHUNK_BYTES);
	flush_piece(&flush, ~0xf0u, 0);
	flush_fetched(&flush, 0);
	CHECK_EQ(wire.base, 0);
	CHECK_EQ(wire.scratch[4 * GVM_PAGE_BYTES], 5);
	CHECK_EQ(wire.scratch[9 * GVM_PAGE_BYTES], 9);
}

/* All nodes' heads are damaged: what was written goes there all the same, and what is not here is lost. */
static void what_no_node_can_read_is_sent_as_lost(void)
{
	wbuf_setup(0xf0, BASE);
	flush.beyond = 0xff000000;
	flush_start(&flush);
	flush_sent(&flush, -EREMCHG);
	flush_start(&flush);
	CHECK_EQ(wire.got, ~0xf0u);
	flush_fetched(&flush, -EUCLEAN);
	CHECK_EQ(wire.ends, 0);
	CHECK_EQ(wire.sent, 2);
	CHECK_EQ(wire.base, 0);
	CHECK_EQ(wire.encoded, 0xf0);
	CHECK_EQ(wire.lost, 0x00ffff0f);
	CHECK(flush.loses && !flush.delta);
	flush_sent(&flush, 0);
	CHECK_EQ(wire.ends, 1);
	CHECK_EQ(wire.result, 0);
	CHECK_EQ(flush_index_entry(&flush), NEXT);
}

/* On the fast path all that is here is sent, not only what has changed. */
static void what_is_here_is_not_lost_with_it(void)
{
	setup(0xff, BASE, false);
	page_set(3, 99);
	flush_start(&flush);
	CHECK_EQ(wire.encoded, 1u << 3);
	flush_sent(&flush, -EREMCHG);
	flush_fetched(&flush, -EUCLEAN);
	CHECK_EQ(wire.encoded, 0xff);
	CHECK_EQ(wire.scratch[3 * GVM_PAGE_BYTES], 99);
	CHECK_EQ(wire.lost, ~0xffu);
	flush_sent(&flush, 0);
	CHECK_EQ(wire.result, 0);
	/* All of it is here: nothing is. */
	setup(~0u, BASE, false);
	page_set(3, 99);
	flush_start(&flush);
	flush_sent(&flush, -EREMCHG);
	flush_sent(&flush, 0);
	CHECK_EQ(wire.gets, 0);
	CHECK_EQ(wire.lost, 0);
	CHECK(!flush.loses);
}

/* A node may have taken the change, and its copy be damaged since: in this version it is not sealed anew. */
static void what_was_sent_sealed_is_not_sealed_anew(void)
{
	wbuf_setup(0xf0, BASE);
	flush.sealed = true;
	flush_start(&flush);
	flush.sent = true;
	wire.encoded = 0;
	flush_sent(&flush, -EREMCHG);
	flush_fetched(&flush, -EUCLEAN);
	CHECK_EQ(wire.encoded, 0);
	CHECK_EQ(wire.lost, ~0xf0u);
	CHECK_EQ(wire.sent, 2);
	CHECK_EQ(wire.base, 0);
	/* More is here than has changed: the next attempt sends it in another version. */
	setup(0xff, BASE, false);
	page_set(3, 99);
	flush.sealed = true;
	flush_start(&flush);
	flush.sent = true;
	wire.encoded = 0;
	flush_sent(&flush, -EREMCHG);
	flush_fetched(&flush, -EUCLEAN);
	CHECK_EQ(wire.encoded, 0);
	CHECK_EQ(wire.ends, 1);
	CHECK_EQ(wire.result, -EAGAIN);
	/* Nothing of it was sent yet. */
	setup(0xff, BASE, false);
	page_set(3, 99);
	flush.sealed = flush.tried = true;
	flush_start(&flush);
	flush_fetched(&flush, -EUCLEAN);
	CHECK_EQ(wire.encoded, 0xff);
	CHECK_EQ(wire.lost, ~0xffu);
	CHECK_EQ(wire.sent, 1);
}

/* The base has lost pages, and they stay so: a failure that passes is not one of these. */
static void what_is_lost_stays_lost(void)
{
	wbuf_setup(0xf0, BASE);
	flush_start(&flush);
	flush_sent(&flush, -EREMCHG);
	flush_start(&flush);
	flush_piece(&flush, 0xffffff00, 0xf);
	flush_fetched(&flush, 0);
	CHECK_EQ(wire.base, 0);
	CHECK_EQ(wire.encoded, ~0xfu);
	CHECK_EQ(wire.lost, 0xf);
	CHECK(!flush.loses);
	/* Pages that no node has any more are so from now on; those that are here are not. */
	wbuf_setup(0xf0, BASE);
	flush_start(&flush);
	flush_sent(&flush, -EREMCHG);
	flush_start(&flush);
	flush_piece(&flush, 0xffffff03, 0);
	CHECK_EQ(flush_lacks(&flush, 0x10), -EAGAIN);
	CHECK_EQ(flush_lacks(&flush, 0x4), 0);
	CHECK_EQ(flush_lacks(&flush, 0x8), 0);
	flush_fetched(&flush, 0);
	CHECK_EQ(wire.lost, 0xc);
	CHECK(flush.loses);
	wbuf_setup(0xf0, BASE);
	flush_start(&flush);
	flush_sent(&flush, -EREMCHG);
	flush_start(&flush);
	flush_fetched(&flush, -EBADMSG);
	CHECK_EQ(wire.ends, 1);
	CHECK_EQ(wire.result, -EBADMSG);
}

static const struct check_test tests[] = {
	{ "what-has-not-changed-is-not-sent", what_has_not_changed_is_not_sent },
	{ "changed-pages-alone-are-sent", changed_pages_alone_are_sent },
	{ "page-of-unknown-hash-is-sent", page_of_unknown_hash_is_sent },
	{ "hashes-are-those-of-what-was-read", hashes_are_those_of_what_was_read },
	{ "presence-is-not-content", presence_is_not_content },
	{ "version-in-doubt-is-followed-by-all-of-it", version_in_doubt_is_followed_by_all_of_it },
	{ "answer-that-lacks-pages-ends-it", answer_that_lacks_pages_ends_it },
	{ "refused-base-is-followed-by-all-of-it-once", refused_base_is_followed_by_all_of_it_once },
	{ "bytes-of-a-version-are-the-same-on-all-nodes", bytes_of_a_version_are_the_same_on_all_nodes },
	{ "zeros-over-nothing-are-not-sent", zeros_over_nothing_are_not_sent },
	{ "written-pages-go-over-the-base", written_pages_go_over_the_base },
	{ "wbuf-is-laid-over-what-was-fetched", wbuf_is_laid_over_what_was_fetched },
	{ "what-no-node-can-read-is-sent-as-lost", what_no_node_can_read_is_sent_as_lost },
	{ "what-is-here-is-not-lost-with-it", what_is_here_is_not_lost_with_it },
	{ "what-was-sent-sealed-is-not-sealed-anew", what_was_sent_sealed_is_not_sealed_anew },
	{ "what-is-lost-stays-lost", what_is_lost_stays_lost },
};
CHECK_MAIN(tests)
