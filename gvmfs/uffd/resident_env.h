/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resident_env.h - the world that the decisions of the fast path (resident.h) stand on: a client's
 * memory, the nodes, the region's entry, the clock.
 *
 * The decisions make no call into the kernel and send nothing but by these functions: those of gvmfs
 * (resident_env.c, resident_client.c, resident_open.c), or a simulated kernel and simulated nodes
 * (tests/resident). So the same source runs in both.
 *
 * A call carries out or begins something and returns; none calls the decisions back. What comes of it
 * later comes as an event, from the loop: resident_piece(), resident_fetched(), resident_flushed(),
 * resident_zapped(), resident_left(). Results are 0 or a negative errno. Pages are first..first+n-1 of chunk c.
 */
#ifndef GVMFS_RESIDENT_ENV_H
#define GVMFS_RESIDENT_ENV_H

#include "resident.h"

struct resident_env {
	/* ---- the client's memory: a file, and pages of it in the client's page tables */

	/* Puts pages that the file does not have in and maps them, out of the chunk's content or (NULL) zeros;
	 * content may wake. -EEXIST: the file has one. *done: the pages before the one that failed. */
	int (*copy)(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk, bool wake,
		     unsigned *done);
	/* The same, and maps none of them. */
	int (*copy_hidden)(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk,
			    unsigned *done);
	/* Maps pages of the file; one that it lacks becomes zero. Does not wake. */
	int (*map)(struct resident *r, uint64_t c, unsigned first, unsigned n);
	void (*wake)(struct resident *r, uint64_t c, unsigned first, unsigned n);
	/* Wakes all who wait for any page. */
	void (*wake_all)(struct resident *r);
	/* Whoever touches the page has a memory failure. -EOPNOTSUPP: the kernel cannot. */
	int (*poison)(struct resident *r, uint64_t c, unsigned page);
	/* Whether the client's memory still exists, as far as that is known: the answer may be old. */
	bool (*memory_alive)(struct resident *r);
	/* How many pins of devices a chunk has. */
	uint32_t (*pins)(const struct resident *r, uint64_t c);

	/* The file alone: whole pages of it are taken out; bytes of pages that it has are read and written. */
	int (*punch)(struct resident *r, uint64_t off, uint64_t bytes);
	int (*write)(struct resident *r, const void *data, uint64_t off, uint64_t bytes); /* NULL: zeros */
	void (*read)(struct resident *r, void *to, uint64_t off, uint64_t bytes);
	/* The first range at or after *begin that a file of the session (SESSION_MEMORY, SESSION_MARKS) has pages
	 * for; false: none. Pages that were only allocated, and never written, may be left out. `end` NULL: where it
	 * ends is not asked. */
	bool (*data)(struct resident *r, enum session_fd which, uint64_t *begin, uint64_t *end);

	/* Marks: what a successor finds, if this worker is killed at any moment after the call. */
	void (*mark32)(struct resident *r, uint32_t *where, uint32_t value);
	void (*mark64)(struct resident *r, uint64_t *where, uint64_t value);

	/* ---- the client itself */

	/* Has it drop its page-table entries of a range: resident_zapped() tells that it has. An error: it was
	 * not asked. */
	int (*zap)(struct resident *r, uint64_t seq, uint64_t off, uint64_t bytes);
	/* Tells it that it cannot go on. */
	void (*abort)(struct resident *r, const char *why);
	/* It is not listened to any more. */
	void (*unwatch)(struct resident *r);

	/* ---- the nodes */

	/* Fetches f->asked: resident_piece() for what comes, resident_fetched() at the end. */
	void (*get)(struct resident *r, struct resident_fetch *f, unsigned want_page);
	/* Ends that now. */
	void (*get_cancel)(struct resident *r, struct resident_fetch *f);
	/* Fills in where the flush belongs and gives it to a writer: resident_flushed(). */
	void (*send)(struct resident *r, struct flush *f);
	/* A node has acknowledged what a flush sent, or the chunk is zero (entry 0): the index says so. */
	void (*index)(struct resident *r, uint64_t c, uint64_t entry);
	/* The same, of what was sealed: f->seals is what is known of its pages from now on. */
	void (*seals_set)(struct resident *r, const struct flush *f);
	/* When an access that a user waits for has to end; 0: whenever. */
	uint64_t (*deadline)(const struct resident *r);

	/* ---- the region */

	const char *(*name)(const struct resident *r);
	uint64_t (*epoch)(const struct resident *r);
	bool (*failed)(const struct resident *r);
	/* It is deleted, and has no user. */
	bool (*unwanted)(const struct resident *r);
	/* Its content changed, since a client changed it. */
	void (*changed)(struct resident *r);
	/* An access failed for now. */
	void (*report)(struct resident *r, uint64_t c, const char *what, int error);
	/* What was written cannot be kept: the region fails. Calls resident_abort(), which only notes it. */
	void (*fail)(struct resident *r, uint64_t c, int error);
	/* The region is not served here any more: `r` is gone after it. */
	void (*close)(struct resident *r);

	uint64_t (*now)(const struct resident *r);
};

#endif
