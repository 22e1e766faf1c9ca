/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stats.h - counters, shown by the extended attribute `user.gvm.stats` as lines of `name value`.
 *
 * One set for each region, and one for the mount that is their sum. They are in the journal, so that a
 * successor goes on counting. Any thread adds to them and reads them, without a lock.
 */
#ifndef GVMFS_STATS_H
#define GVMFS_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define STATS(F)                                                                                   \
	F(reads)	     /* READ requests of the kernel: faults and read-ahead */              \
	F(read_bytes)                                                                              \
	F(writes)	     /* WRITE requests of the kernel: write-back and write() */            \
	F(write_bytes)                                                                             \
	F(chunks_fetched)    /* GETs answered by nodes */                                          \
	F(fetch_bytes)	     /* of encoded blocks in these answers */                              \
	F(fetch_raw_bytes)   /* of the pages decoded from them */                                  \
	F(zero_pages_read)   /* answered without asking a node */                                  \
	F(cache_hits)	     /* READs answered from fetched chunks at once */                      \
	F(prefetched)	     /* chunks fetched ahead of a reader */                                \
	F(prefetch_used)     /* of these, chunks that were then read */                            \
	F(replayed)	     /* chunks fetched since an earlier start touched them */                      \
	F(replay_used)	     /* of these, chunks that were then used */                            \
	F(chunks_written)    /* PUTs acknowledged by nodes */                                      \
	F(put_bytes)	     /* of encoded blocks in these PUTs */                                 \
	F(put_raw_bytes)     /* of the pages encoded into them */                                  \
	F(raw_puts)	     /* PUTs that were left for the nodes to compress */                          \
	F(delta_puts)	     /* PUTs of changed blocks only */                                     \
	F(base_fetches)	     /* GETs for the rest of a block before such a PUT */                  \
	F(zero_pages_written)                                                                      \
	F(punched_pages)     /* made zero by fallocate */                                          \
	F(write_stalls)	     /* WRITEs that waited for room among the unacknowledged ones */       \
	F(faults)	     /* of the fast path, by userfaultfd: */                               \
	F(page_misses)	     /* of these, faults of pages that were not here */                    \
	F(minor_faults)	     /* of chunks that were here, on their way out: second chances */      \
	F(room_waits)	     /* faults that had to wait for room in the budget */                  \
	F(memory_waits)	     /* times that a client might have no more memory of its group */       \
	F(zaps)		     /* groups of chunks dropped from a client's page tables */            \
	F(evictions)	     /* chunks handed to a writer, to evict them or for an fsync */        \
	F(evictions_clean)   /* of these, chunks that had not changed */                           \
	F(evictions_ended)   /* evictions that a fault ended: the chunk stayed */                  \
	F(pinned_chunks)     /* times that direct I/O kept a chunk here */                         \
	F(copies_bytes)	     /* of encoded blocks, copied to nodes that lacked them */                 \
	F(copies_rotten)     /* times that a node's copy of a chunk failed verification */         \
	F(copies_mended)     /* of these, written anew from another copy, or from this host */       \
	F(copies_pieced)     /* copied or mended from several nodes, of which none had all of the chunk */ \
	F(io_errors)	     /* requests that failed since their data could not be had */

struct stats {
#define STATS_FIELD(name) _Atomic uint64_t name;
	STATS(STATS_FIELD)
#undef STATS_FIELD
};

#define stats_add(region_stats, mount_stats, name, n)                                              \
	do {                                                                                       \
		uint64_t stats_n = (n);                                                            \
		atomic_fetch_add_explicit(&(region_stats)->name, stats_n, memory_order_relaxed);   \
		atomic_fetch_add_explicit(&(mount_stats)->name, stats_n, memory_order_relaxed);    \
	} while (0)

/* Writes the counters as lines into buf, cut off at `size`; returns the bytes written. */
size_t stats_print(const struct stats *s, char *buf, size_t size);

#endif
