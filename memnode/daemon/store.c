// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * store.c - cells, their bitmap, their chains and their pins.
 *
 * The bitmap is a tree of 64-bit words: a bit of level 0 says that a cell is taken, a bit of the
 * levels above that the word below has no free cell left. Finding the lowest free cell is one
 * descent. Everything is mapped lazily, and zero means free, so that a large store costs nothing
 * before it is used.
 */
#include "store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define STRETCH_BYTES (2u << 20)
#define STRETCH_CELLS (STRETCH_BYTES / STORE_CELL_BYTES)
#define LEVELS_MAX    6
#define PIN_BUCKETS   1024u

_Static_assert(STRETCH_CELLS % 64 == 0, "a word of the bitmap lies in one stretch");

struct pin {
	struct pin *next;
	uint32_t first, cells, refs;
	bool orphan; /* freed by its owner: the last pin gives the cells back */
};

struct store {
	uint8_t *arena;
	uint32_t *next; /* of each cell: the one after it in its object, or STORE_NONE */
	uint32_t cells, free;
	unsigned levels;
	uint64_t *level[LEVELS_MAX];
	size_t level_bytes[LEVELS_MAX];
	uint32_t stretches;
	uint16_t *stretch_used;	 /* cells taken */
	uint8_t *stretch_backed; /* taken from since it was last returned to the kernel */
	uint32_t stretches_idle; /* backed, but without a cell taken */
	uint32_t trim_at;
	uint32_t pin_limit, pinned;
	struct pin *pins[PIN_BUCKETS];
	struct pin *spare_pins;
};

static void *map_lazily(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The arena begins at a multiple of a stretch, so that huge pages fit and return whole. */
static uint8_t *map_arena(size_t bytes)
{
	size_t whole = bytes + STRETCH_BYTES;
	uint8_t *p = map_lazily(whole);
	size_t before;

	if (!p)
		return NULL;
	before = -(uintptr_t)p & (STRETCH_BYTES - 1);
	if (before)
		munmap(p, before);
	if (whole - before - bytes)
		munmap(p + before + bytes, whole - before - bytes);
	p += before;
	madvise(p, bytes, MADV_HUGEPAGE);
	madvise(p, bytes, MADV_DONTDUMP);
	return p;
}

int store_create(uint64_t memory_bytes, struct store **store)
{
	/* A cell, its link, and its share of the bitmap and of the stretch tables. */
	uint64_t cells = memory_bytes / (STORE_CELL_BYTES + sizeof(uint32_t) + 1) / 64 * 64;
	struct store *s;
	uint64_t words;

	if (memory_bytes < 1u << 20 || cells >= STORE_NONE)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->cells = s->free = (uint32_t)cells;
	s->stretches = (s->cells + STRETCH_CELLS - 1) / STRETCH_CELLS;
	s->arena = map_arena((size_t)s->stretches * STRETCH_BYTES);
	s->next = map_lazily(s->cells * sizeof(uint32_t));
	s->stretch_used = calloc(s->stretches, sizeof(*s->stretch_used));
	s->stretch_backed = calloc(s->stretches, 1);
	if (!s->arena || !s->next || !s->stretch_used || !s->stretch_backed)
		goto fail;
	words = cells;
	do {
		uint64_t bits = words;

		words = (bits + 63) / 64;
		s->level_bytes[s->levels] = words * sizeof(uint64_t);
		s->level[s->levels] = map_lazily(s->level_bytes[s->levels]);
		if (!s->level[s->levels])
			goto fail;
		if (bits % 64) /* what lies beyond the end is taken for good */
			s->level[s->levels][words - 1] = ~0ull << bits % 64;
		s->levels++;
	} while (words > 1);
	*store = s;
	return 0;
fail:
	store_destroy(s);
	return -ENOMEM;
}

void store_destroy(struct store *s)
{
	if (!s)
		return;
	for (unsigned b = 0; b < PIN_BUCKETS; b++)
		assert(!s->pins[b]);
	while (s->spare_pins) {
		struct pin *p = s->spare_pins;

		s->spare_pins = p->next;
		free(p);
	}
	for (unsigned l = 0; l < LEVELS_MAX; l++)
		if (s->level[l])
			munmap(s->level[l], s->level_bytes[l]);
	free(s->stretch_used);
	free(s->stretch_backed);
	if (s->next)
		munmap(s->next, s->cells * sizeof(uint32_t));
	if (s->arena)
		munmap(s->arena, (size_t)s->stretches * STRETCH_BYTES);
	free(s);
}

uint32_t store_cells(const struct store *s)
{
	return s->cells;
}

uint32_t store_cells_free(const struct store *s)
{
	return s->free;
}

void store_set_pin_limit(struct store *s, uint32_t cells)
{
	s->pin_limit = cells;
}

uint32_t store_cells_pinned(const struct store *s)
{
	return s->pinned;
}

static void word_filled(struct store *s, uint32_t at)
{
	for (unsigned l = 1; l < s->levels; l++) {
		uint64_t *w = &s->level[l][at / 64];

		*w |= 1ull << at % 64;
		if (~*w)
			return;
		at /= 64;
	}
}

static void word_opened(struct store *s, uint32_t at)
{
	for (unsigned l = 1; l < s->levels; l++) {
		uint64_t *w = &s->level[l][at / 64];
		bool was_full = !~*w;

		*w &= ~(1ull << at % 64);
		if (!was_full)
			return;
		at /= 64;
	}
}

static uint32_t word_lowest(const struct store *s)
{
	uint32_t at = 0;

	for (unsigned l = s->levels - 1; l; l--)
		at = at * 64 + (uint32_t)__builtin_ctzll(~s->level[l][at]);
	return at;
}

static void stretch_take(struct store *s, uint32_t stretch, uint32_t cells)
{
	if (!s->stretch_used[stretch] && s->stretch_backed[stretch])
		s->stretches_idle--;
	s->stretch_used[stretch] = (uint16_t)(s->stretch_used[stretch] + cells);
	s->stretch_backed[stretch] = 1;
}

uint32_t store_alloc(struct store *s, uint32_t cells)
{
	uint32_t first = STORE_NONE, *link = &first;
	uint32_t left = cells, at;

	assert(cells);
	if (s->free < cells)
		return STORE_NONE;
	s->free -= cells;
	at = word_lowest(s);
	for (;;) {
		uint64_t *word = &s->level[0][at];
		uint64_t open = ~*word;
		uint32_t before = left;

		while (open && left) {
			uint32_t cell = at * 64 + (uint32_t)__builtin_ctzll(open);

			*word |= open & -open;
			open &= open - 1;
			*link = cell;
			link = &s->next[cell];
			left--;
		}
		stretch_take(s, at * 64 / STRETCH_CELLS, before - left);
		if (!open)
			word_filled(s, at);
		if (!left)
			break;
		/* Every word below is full now: the next one is the likely place. */
		if ((uint64_t)(at + 1) * 64 < s->cells && ~s->level[0][at + 1])
			at++;
		else
			at = word_lowest(s);
	}
	*link = STORE_NONE;
	return first;
}

static void chain_free(struct store *s, uint32_t cell)
{
	while (cell != STORE_NONE) {
		uint64_t *word = &s->level[0][cell / 64];
		uint64_t bit = 1ull << cell % 64;
		uint32_t stretch = cell / STRETCH_CELLS;

		assert(cell < s->cells && *word & bit && s->stretch_used[stretch]);
		if (!~*word)
			word_opened(s, cell / 64);
		*word &= ~bit;
		s->free++;
		if (!--s->stretch_used[stretch])
			s->stretches_idle++;
		cell = s->next[cell];
	}
}

/* Where the pin of `first` hangs, or would. */
static struct pin **pin_find(struct store *s, uint32_t first)
{
	struct pin **p = &s->pins[first * 0x9e3779b1u / (UINT32_MAX / PIN_BUCKETS + 1)];

	while (*p && (*p)->first != first)
		p = &(*p)->next;
	return p;
}

void store_free(struct store *s, uint32_t first)
{
	struct pin *p = s->pinned ? *pin_find(s, first) : NULL;

	if (p) {
		assert(!p->orphan);
		p->orphan = true;
	} else {
		chain_free(s, first);
	}
}

bool store_pin(struct store *s, uint32_t first, uint32_t cells)
{
	struct pin **at = pin_find(s, first);
	struct pin *p = *at;

	if (p) {
		p->refs++;
		return true;
	}
	if (cells > s->pin_limit || s->pinned > s->pin_limit - cells)
		return false;
	p = s->spare_pins;
	if (p)
		s->spare_pins = p->next;
	else
		p = malloc(sizeof(*p));
	if (!p)
		return false;
	*p = (struct pin){.first = first, .cells = cells, .refs = 1};
	*at = p;
	s->pinned += cells;
	return true;
}

bool store_is_pinned(struct store *s, uint32_t first)
{
	return s->pinned && *pin_find(s, first);
}

void store_unpin(struct store *s, uint32_t first)
{
	struct pin **at = pin_find(s, first);
	struct pin *p = *at;

	assert(p);
	if (--p->refs)
		return;
	*at = p->next;
	s->pinned -= p->cells;
	if (p->orphan)
		chain_free(s, first);
	p->next = s->spare_pins;
	s->spare_pins = p;
}

/* Walks the runs of adjacent cells in an object. */
struct run {
	const struct store *s;
	uint32_t cell; /* that holds the next byte */
	uint32_t off;  /* of the next byte in it */
};

static struct run run_begin(const struct store *s, uint32_t first, uint32_t off)
{
	struct run r = {.s = s, .cell = first, .off = off % STORE_CELL_BYTES};

	for (uint32_t skip = off / STORE_CELL_BYTES; skip; skip--) {
		assert(r.cell < s->cells);
		r.cell = s->next[r.cell];
	}
	return r;
}

/* The next run, of at most `max` bytes. */
static uint32_t run_next(struct run *r, uint32_t max, uint8_t **at)
{
	uint32_t bytes = STORE_CELL_BYTES - r->off, last = r->cell;

	/* Behind an object's last cell is STORE_NONE: the caller asks for bytes that it has not. */
	assert(r->cell < r->s->cells);
	*at = r->s->arena + (size_t)r->cell * STORE_CELL_BYTES + r->off;
	while (bytes < max && r->s->next[last] == last + 1) {
		last++;
		bytes += STORE_CELL_BYTES;
	}
	if (bytes > max) {
		r->off = STORE_CELL_BYTES - (bytes - max);
		r->cell = last;
		return max;
	}
	r->off = 0;
	r->cell = r->s->next[last];
	return bytes;
}

#define STREAM_MIN 4096u
#define LINE	   64u

/* Stored cells are seldom read again while they are in a cache: writing them past the caches costs half as
 * much, since no cache line has to be read before. */
static void cells_copy(uint8_t *to, const uint8_t *from, uint32_t len)
{
#ifdef __SSE2__
	uint32_t before = (uint32_t)(-(uintptr_t)to & (LINE - 1));

	if (len >= STREAM_MIN) {
		memcpy(to, from, before);
		to += before;
		from += before;
		for (len -= before; len >= LINE; len -= LINE, to += LINE, from += LINE)
			for (unsigned i = 0; i < LINE; i += sizeof(__m128i))
				_mm_stream_si128((__m128i *)(to + i), _mm_loadu_si128((const __m128i *)(from + i)));
		_mm_sfence();
	}
#endif
	memcpy(to, from, len);
}

void store_fill(struct store *s, uint32_t first, uint32_t off, const void *from, uint32_t len)
{
	struct run r = run_begin(s, first, off);
	const uint8_t *p = from;
	uint8_t *at;

	while (len) {
		uint32_t n = run_next(&r, len, &at);

		cells_copy(at, p, n);
		p += n;
		len -= n;
	}
}

void store_copy(const struct store *s, uint32_t first, uint32_t off, void *to, uint32_t len)
{
	struct run r = run_begin(s, first, off);
	uint8_t *p = to, *at;

	while (len) {
		uint32_t n = run_next(&r, len, &at);

		memcpy(p, at, n);
		p += n;
		len -= n;
	}
}

const uint8_t *store_head(const struct store *s, uint32_t first)
{
	assert(first < s->cells);
	return s->arena + (size_t)first * STORE_CELL_BYTES;
}

unsigned store_iov(const struct store *s, uint32_t first, uint32_t off, uint32_t len,
		   struct iovec *iov)
{
	struct run r = run_begin(s, first, off);
	unsigned count = 0;
	uint8_t *at;

	while (len) {
		uint32_t n = run_next(&r, len, &at);

		iov[count++] = (struct iovec){at, n};
		len -= n;
	}
	return count;
}

unsigned store_stretches_idle(const struct store *s)
{
	return s->stretches_idle;
}

unsigned store_trim(struct store *s, unsigned max, unsigned keep)
{
	unsigned returned = 0;

	for (uint32_t seen = 0; seen < s->stretches; seen++) {
		/* From the top down: the lowest are taken again first. */
		uint32_t at = s->stretches - 1 - s->trim_at;

		if (returned == max || s->stretches_idle <= keep)
			break;
		s->trim_at = (s->trim_at + 1) % s->stretches;
		if (!s->stretch_backed[at] || s->stretch_used[at])
			continue;
		madvise(s->arena + (size_t)at * STRETCH_BYTES, STRETCH_BYTES, MADV_DONTNEED);
		s->stretch_backed[at] = 0;
		s->stretches_idle--;
		returned++;
	}
	return returned;
}
