/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store.h - an allocator of memory cells, for the bytes of encoded chunks.
 *
 * An object of n bytes takes ceil(n / STORE_CELL_BYTES) cells, which need not be adjacent: a side
 * array chains them. So as long as enough cells are free, an allocation succeeds, whatever was
 * allocated and freed before: there is no external fragmentation, and a promise counted in cells
 * can be kept. The lowest free cells are taken first, which keeps chains mostly in runs and the
 * upper end of the arena free; whole free stretches of 2 MiB are returned to the kernel.
 *
 * An object that is being sent is pinned: if it is freed meanwhile, its cells stay until the last
 * pin is released. Pins are limited to `pin_limit` cells, which the owner of the store does not
 * promise to regions.
 */
#ifndef GVM_STORE_H
#define GVM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * Measured on the RAM of a busy Debian guest (4,416 chunks, 43 KB each when encoded): the overhead
 * over the encoded bytes, tables included, is 1.6 % with cells of 512 bytes, 2.0 % with 1 KiB, 2.6
 * % with 2 KiB, 5.8 % with 4 KiB. 1 KiB walks half as many cells as 512.
 */
#ifndef STORE_CELL_BYTES
#define STORE_CELL_BYTES 1024u
#endif
#define STORE_NONE UINT32_MAX

struct store;

static inline uint32_t store_cells_of(uint64_t bytes)
{
	return (uint32_t)((bytes + STORE_CELL_BYTES - 1) / STORE_CELL_BYTES);
}

/* A store that takes no more than `memory_bytes`, its own tables included. -ENOMEM; -EINVAL where
 * that is less than 1 MiB or more than 2^32 - 1 cells. */
int store_create(uint64_t memory_bytes, struct store **store);
/* NULL is accepted. */
void store_destroy(struct store *s);

uint32_t store_cells(const struct store *s);
uint32_t store_cells_free(const struct store *s);
/* Cells that pins may hold; 0 until set. */
void store_set_pin_limit(struct store *s, uint32_t cells);
uint32_t store_cells_pinned(const struct store *s);

/* Takes `cells` (at least 1) and returns the first; STORE_NONE if fewer are free. */
uint32_t store_alloc(struct store *s, uint32_t cells);
/* Frees an object, at once or when its last pin is released. */
void store_free(struct store *s, uint32_t first);

/* Pins an object of `cells`; false when the pins' limit does not allow it. */
bool store_pin(struct store *s, uint32_t first, uint32_t cells);
bool store_is_pinned(struct store *s, uint32_t first);
void store_unpin(struct store *s, uint32_t first);

/* Bytes of the object `first`; off + len lies within it. */
void store_fill(struct store *s, uint32_t first, uint32_t off, const void *from, uint32_t len);
void store_copy(const struct store *s, uint32_t first, uint32_t off, void *to, uint32_t len);
/* The first bytes of an object, in place (up to STORE_CELL_BYTES). */
const uint8_t *store_head(const struct store *s, uint32_t first);
/* Describes these bytes with one iovec for each run of cells; returns how many. iov has room for
 * len / STORE_CELL_BYTES + 2. */
unsigned store_iov(const struct store *s, uint32_t first, uint32_t off, uint32_t len,
		   struct iovec *iov);

/* Returns up to `max` free stretches of 2 MiB to the kernel, leaving `keep` of them; returns how
 * many it returned. To be called now and then. */
unsigned store_trim(struct store *s, unsigned max, unsigned keep);
/* Stretches that it could return. */
unsigned store_stretches_idle(const struct store *s);

#endif
