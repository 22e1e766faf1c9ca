// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * codec.c - `gvm bench codec`: what each block size costs on a real guest's memory.
 *
 * FILE is a raw image of a guest's RAM (a region's file, or what memory-backend-file left). For
 * blocks of 1, 2, 4 and 8 pages it says how well they compress, how long the page that a guest
 * waits for takes, and what writing back a few changed pages costs. With a second image of the same
 * guest, taken later, the changed pages are those that the guest really changed in between.
 *
 * The four sizes take turns on each chunk, so that a disturbance hits all of them alike.
 */
#include "codec.h"

#include "memnode/codec.h"
#include "memnode/gvm_client.h"
#include "memnode/seal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHIFTS	     (CHUNK_BLOCK_SHIFT_MAX + 1)
#define FRAME_FIELDS 48 /* header and version of an answer: what a frame costs beside its head */

static const unsigned changed_counts[] = {1, 2, 4};
#define CHANGES (sizeof(changed_counts) / sizeof(*changed_counts))

/* Times of one operation, for their median. */
struct series {
	uint32_t *ns;
	size_t count, room;
};

struct write_back {
	uint64_t chunks, pages;
	uint64_t sent_bytes;	/* heads and bodies of the blocks that changed */
	uint64_t fetched_bytes; /* bodies of those with other pages too, which a writer may lack */
	struct series encode;
};

struct figures {
	uint64_t nonzero_bytes, body_bytes, head_bytes, raw_bytes;
	uint64_t first_frame_bytes, first_frames;
	struct series encode, decode, first_page;
	struct write_back changed[CHANGES], later;
};

struct bench {
	const uint8_t *image, *image_later; /* or NULL */
	uint64_t chunks;		    /* in the images */
	uint64_t tried;
	struct chunk_codec *codec;
	struct sealer *sealer; /* NULL: chunks are plain */
	uint64_t random;
	struct figures of[SHIFTS];
	uint8_t chunk[GVM_CHUNK_BYTES], out[GVM_CHUNK_BYTES], body[GVM_CHUNK_BYTES];
};

static const struct gvm_id region = {{1}};

static int series_add(struct series *s, uint64_t ns)
{
	if (s->count == s->room) {
		size_t room = s->room ? s->room * 2 : 1024;
		uint32_t *more = realloc(s->ns, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->ns = more;
		s->room = room;
	}
	assert(s->count < s->room);
	s->ns[s->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
	return 0;
}

static int ns_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double series_median_us(struct series *s)
{
	if (!s->count)
		return 0;
	qsort(s->ns, s->count, sizeof(*s->ns), ns_compare);
	return s->ns[s->count / 2] / 1e3;
}

static unsigned bench_random(struct bench *b, unsigned below)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return (unsigned)(b->random >> 32) % below;
}

/* `count` of the set pages of `among`, which has that many. */
static uint32_t pages_pick(struct bench *b, uint32_t among, unsigned count)
{
	uint32_t picked = 0;

	while (count) {
		uint32_t page = 1u << bench_random(b, GVM_CHUNK_PAGES);

		if (!(among & page))
			continue;
		among &= ~page;
		picked |= page;
		count--;
	}
	return picked;
}

/* As a writer and a reader do it: plain, or sealed. */
static int bench_encode(struct bench *b, uint32_t blocks, uint32_t zero_map, unsigned shift, uint64_t at,
			struct chunk_head *head)
{
	if (b->sealer)
		return seal_encode(b->sealer, b->codec, b->chunk, blocks, zero_map, shift, &region, at, 1,
				   head, b->body);
	chunk_encode(b->codec, b->chunk, blocks, zero_map, shift, &region, at, head, b->body);
	return 0;
}

static int bench_decode(struct bench *b, const struct chunk_head *head, const uint8_t *body, uint64_t at,
			uint32_t zero_pages, const struct seal_known *known, uint32_t *valid)
{
	if (b->sealer)
		return seal_decode(b->sealer, b->codec, head, body, &region, at, 1, known, zero_pages, b->out,
				   valid);
	return chunk_decode(b->codec, head, body, &region, at, zero_pages, b->out, valid);
}

static size_t head_bytes(const struct chunk_head *head)
{
	uint8_t packed[CHUNK_HEAD_MAX];

	return chunk_head_pack(head, packed);
}

/* Encodes the blocks of `pages`, changed in b->chunk since `base`, as a PUT would. */
static int write_back(struct bench *b, struct write_back *w, const struct chunk_head *base,
		      uint32_t pages, uint64_t at)
{
	unsigned shift = base->block_shift;
	uint32_t blocks = chunk_blocks_of_pages(shift, pages);
	struct chunk_head delta;
	uint64_t from = gvm_now_ns();

	if (bench_encode(b, blocks, base->zero_map, shift, at, &delta))
		return -EIO;
	if (series_add(&w->encode, gvm_now_ns() - from))
		return -ENOMEM;
	w->chunks++;
	w->pages += (unsigned)__builtin_popcount(pages);
	w->sent_bytes += head_bytes(&delta) + delta.body_bytes;
	for (uint32_t m = blocks & base->block_mask; m; m &= m - 1) {
		unsigned k = (unsigned)__builtin_ctz(m);

		if (chunk_block_pages(shift, k) & ~base->zero_map & ~pages)
			w->fetched_bytes += base->block[k].bytes;
	}
	return 0;
}

static int chunk_try(struct bench *b, uint64_t at, unsigned shift, uint32_t want, uint32_t changed,
		     uint32_t changed_later)
{
	struct figures *f = &b->of[shift];
	const uint8_t *image = b->image + at * GVM_CHUNK_BYTES;
	struct chunk_head head, first;
	struct seal_known known;
	uint32_t valid, from_byte, bytes, pages;
	uint64_t from;

	memcpy(b->chunk, image, GVM_CHUNK_BYTES);
	from = gvm_now_ns();
	if (bench_encode(b, ~0u, 0, shift, at, &head))
		return -EIO;
	if (series_add(&f->encode, gvm_now_ns() - from))
		return -ENOMEM;
	f->nonzero_bytes += (unsigned)__builtin_popcount(~head.zero_map) * GVM_PAGE_BYTES;
	f->body_bytes += head.body_bytes;
	f->head_bytes += head_bytes(&head);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		known.page[p] = seal_page_of(&head, p);
	for (uint32_t m = head.block_mask; m; m &= m - 1)
		if (head.block[__builtin_ctz(m)].raw)
			f->raw_bytes += head.block[__builtin_ctz(m)].bytes;

	from = gvm_now_ns();
	if (bench_decode(b, &head, b->body, at, ~0u, &known, &valid))
		return -EBADMSG;
	if (series_add(&f->decode, gvm_now_ns() - from))
		return -ENOMEM;
	if (valid != ~0u || memcmp(b->out, b->chunk, GVM_CHUNK_BYTES))
		return -EBADMSG;

	first = head;
	chunk_head_narrow(&first, chunk_blocks_of_pages(shift, want), &from_byte, &bytes);
	from = gvm_now_ns();
	if (bench_decode(b, &first, b->body + from_byte, at, 0, &known, &valid))
		return -EBADMSG;
	if (series_add(&f->first_page, gvm_now_ns() - from))
		return -ENOMEM;
	f->first_frame_bytes += FRAME_FIELDS + head_bytes(&first) + bytes;
	f->first_frames++;

	/* A change is 64 bytes here and there, as of a program that writes to a structure. */
	pages = changed;
	for (unsigned i = CHANGES; i-- > 0;) {
		while ((unsigned)__builtin_popcount(pages) > changed_counts[i])
			pages &= pages - 1;
		if ((unsigned)__builtin_popcount(pages) < changed_counts[i])
			continue;
		memcpy(b->chunk, image, GVM_CHUNK_BYTES);
		for (uint32_t m = pages; m; m &= m - 1) {
			uint8_t *p = b->chunk + (unsigned)__builtin_ctz(m) * GVM_PAGE_BYTES;

			for (unsigned k = 0; k < 8; k++)
				gvm_store_le(p + 512 * k + 8 * bench_random(b, 64), b->random, 8);
		}
		if (write_back(b, &f->changed[i], &head, pages, at))
			return -ENOMEM;
	}
	if (changed_later) {
		memcpy(b->chunk, b->image_later + at * GVM_CHUNK_BYTES, GVM_CHUNK_BYTES);
		return write_back(b, &f->later, &head, changed_later, at);
	}
	return 0;
}

static int chunk_try_all(struct bench *b, uint64_t at)
{
	const uint8_t *image = b->image + at * GVM_CHUNK_BYTES;
	uint32_t nonzero = 0, later = 0, want, changed;
	unsigned count;
	int ret;

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		const uint8_t *page = image + p * GVM_PAGE_BYTES;

		if (!page_is_zero(page))
			nonzero |= 1u << p;
		if (b->image_later &&
		    memcmp(page, b->image_later + (page - b->image), GVM_PAGE_BYTES))
			later |= 1u << p;
	}
	if (!nonzero)
		return 0;
	b->tried++;
	count = (unsigned)__builtin_popcount(nonzero);
	want = pages_pick(b, nonzero, 1);
	changed = pages_pick(b, nonzero, count < 4 ? count : 4);
	for (unsigned i = 0; i < SHIFTS; i++) {
		ret = chunk_try(b, at, (unsigned)((i + at) % SHIFTS), want, changed, later);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- the tables ---- */

static double per(uint64_t sum, uint64_t count)
{
	return count ? (double)sum / (double)count : 0;
}

static void write_back_print(struct write_back *w, const char *what, unsigned shift)
{
	printf("%6u  %-12s %9.0f %9.0f %9.0f %9.1f\n", 1u << shift, what,
	       per(w->sent_bytes, w->chunks), per(w->fetched_bytes, w->chunks),
	       per(w->sent_bytes + w->fetched_bytes, w->chunks), series_median_us(&w->encode));
}

static void bench_print(struct bench *b)
{
	printf("%llu chunks with non-zero pages (%.1f MiB of such pages); pages in a block of "
	       "gvmfs: %u\n\n",
	       (unsigned long long)b->tried, (double)b->of[0].nonzero_bytes / (1 << 20),
	       1u << CHUNK_BLOCK_SHIFT);
	printf("Whole chunks; encoded and heads in %% of the non-zero bytes, raw in %% of the "
	       "encoded,\n"
	       "times are medians. The first page is the one waited for: its frame and its "
	       "decoding.\n"
	       "%6s %9s %7s %7s %11s %11s %12s %12s\n",
	       "pages", "encoded %", "heads %", "raw %", "encode us", "decode us", "first bytes",
	       "first us");
	for (unsigned s = 0; s < SHIFTS; s++) {
		struct figures *f = &b->of[s];

		printf("%6u %9.2f %7.2f %7.1f %11.1f %11.1f %12.0f %12.2f\n", 1u << s,
		       100 * per(f->body_bytes + f->head_bytes, f->nonzero_bytes),
		       100 * per(f->head_bytes, f->nonzero_bytes),
		       100 * per(f->raw_bytes, f->body_bytes), series_median_us(&f->encode),
		       series_median_us(&f->decode), per(f->first_frame_bytes, f->first_frames),
		       series_median_us(&f->first_page));
	}
	printf("\nWriting back changed pages of a chunk, bytes a chunk: fetched is what a writer "
	       "that\n"
	       "holds nothing but the changed pages must read first.\n"
	       "%6s  %-12s %9s %9s %9s %9s\n",
	       "pages", "changed", "sent", "fetched", "both", "encode us");
	for (unsigned i = 0; i < CHANGES; i++)
		for (unsigned s = 0; s < SHIFTS; s++) {
			char what[32];

			snprintf(what, sizeof(what), "%u at random", changed_counts[i]);
			write_back_print(&b->of[s].changed[i], what, s);
		}
	if (!b->image_later)
		return;
	for (unsigned s = 0; s < SHIFTS; s++)
		write_back_print(&b->of[s].later, "by the guest", s);
	printf("The guest changed %.1f pages of each of %llu of these chunks.\n",
	       per(b->of[0].later.pages, b->of[0].later.chunks),
	       (unsigned long long)b->of[0].later.chunks);
}

/* ---- */

static int image_map(const char *path, const uint8_t **image, uint64_t *chunks)
{
	struct stat st;
	void *map;
	int fd, ret = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		ret = -errno;
		goto out;
	}
	*chunks = (uint64_t)st.st_size / GVM_CHUNK_BYTES;
	if (!*chunks) {
		ret = -ENODATA;
		goto out;
	}
	map = mmap(NULL, *chunks * GVM_CHUNK_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		ret = -errno;
	else
		*image = (const uint8_t *)map;
out:
	close(fd);
	return ret;
}

static void usage(FILE *to)
{
	fputs("usage: gvm bench codec [--chunks N] [--seal] FILE [LATER]\n"
	      "\n"
	      "Measures the chunk codec with each block size on FILE, a raw image of a\n"
	      "guest's RAM; with LATER, an image of the same guest taken later, also what\n"
	      "the guest changed.\n"
	      "\n"
	      "  --chunks N   try N chunks, evenly spaced (default 4000; 0: all)\n"
	      "  --seal       sealed chunks, as a node cannot read them\n"
	      "  --help       show this text\n",
	      to);
}

int cmd_bench_codec(int argc, char **argv)
{
	static const struct option options[] = {{"chunks", required_argument, NULL, 'n'},
						{"seal", no_argument, NULL, 's'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	static const uint8_t key[SEAL_KEY_BYTES_MIN]; /* any will do */
	bool sealed = false;
	uint64_t limit = 4000, later_chunks = 0, step;
	struct bench *b;
	char *end;
	int c, ret;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			errno = 0;
			limit = strtoull(optarg, &end, 10);
			if (*end || end == optarg || errno) {
				fprintf(stderr, "gvm bench codec: --chunks takes a number\n");
				return 2;
			}
			break;
		case 's':
			sealed = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (argc - optind < 1 || argc - optind > 2) {
		usage(stderr);
		return 2;
	}
	b = calloc(1, sizeof(*b));
	if (!b || !(b->codec = chunk_codec_create()) ||
	    (sealed && sealer_create(key, sizeof(key), &b->sealer))) {
		fprintf(stderr, "gvm bench codec: no memory\n");
		return 1;
	}
	b->random = 0x9e3779b97f4a7c15ull;
	ret = image_map(argv[optind], &b->image, &b->chunks);
	if (!ret && argc - optind == 2) {
		optind++;
		ret = image_map(argv[optind], &b->image_later, &later_chunks);
		if (!ret && later_chunks != b->chunks)
			ret = -EINVAL;
	}
	if (ret) {
		fprintf(stderr, "gvm bench codec: %s: %s\n", argv[optind],
			ret == -EINVAL	  ? "not of the first image's size"
			: ret == -ENODATA ? "less than a chunk"
					  : strerror(-ret));
		return 1;
	}
	step = limit && b->chunks > limit ? b->chunks / limit : 1;
	for (uint64_t at = 0; at < b->chunks && !ret; at += step)
		ret = chunk_try_all(b, at);
	if (ret) {
		fprintf(stderr, "gvm bench codec: %s\n",
			ret == -EBADMSG ? "a chunk did not come back as it was" : strerror(-ret));
		return 1;
	}
	bench_print(b);
	return 0;
}
