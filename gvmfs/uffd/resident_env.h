/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resident_env.h - the environment of the decisions of the fast path (resident.h): a client's
 * memory, the nodes, the region's journal entry, the clock.
 *
 * The decisions reach the kernel and the nodes only through these functions: gvmfs's
 * (resident_env.c, resident_client.c, resident_open.c), or a simulated kernel and simulated nodes
 * (tests/resident). So the same source runs in both.
 *
 * A call does or begins something and returns; it never calls the decisions back. Its outcome comes
 * later as an event, from the loop: resident_piece(), resident_fetched(), resident_flushed(),
 * resident_zapped(), resident_left(). Results are 0 or a negative errno. Pages are first..first+n-1
 * of chunk c; `off` is in the region, in bytes.
 */
#ifndef GVMFS_RESIDENT_ENV_H
#define GVMFS_RESIDENT_ENV_H

#include "state/journal.h"

#include <stdbool.h>
#include <stdint.h>

struct flush;
struct resident;
struct resident_fetch;

#define ENV_MAPPED 1 /* of map() */

struct resident_env {
	/* ---- the client's memory: a file, and pages of it in the client's page tables */

	/* Puts in pages that the file lacks, and maps them. `chunk`: the content of the whole
	 * chunk; NULL: zeros. `wake`: wakes the pages' faulters (not for zeros). -EEXIST: the file
	 * has one of the pages. *done: how many pages were put in before the one that failed. */
	int (*copy)(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk, bool wake,
		     unsigned *done);
	/* The same, but maps none of them. */
	int (*copy_hidden)(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk,
			    unsigned *done);
	/* Maps pages of the file; a page that the file lacks becomes zeros. Does not wake. ENV_MAPPED: all of them were
	 * mapped already. */
	int (*map)(struct resident *r, uint64_t c, unsigned first, unsigned n);
	void (*wake)(struct resident *r, uint64_t c, unsigned first, unsigned n);
	/* Wakes the faulters of all pages. */
	void (*wake_all)(struct resident *r);
	/* Makes every access to the page fail with SIGBUS. -EOPNOTSUPP: the kernel cannot. */
	int (*poison)(struct resident *r, uint64_t c, unsigned page);
	/* Whether the client's memory still exists. True also while that is not known. */
	bool (*memory_alive)(struct resident *r);
	/* How many pins a chunk has: see gvm_attach.h. */
	uint32_t (*pins)(const struct resident *r, uint64_t c);

	/* The file alone: whole pages are punched out; bytes of pages that it has are read and
	 * written. */
	int (*punch)(struct resident *r, uint64_t off, uint64_t bytes);
	int (*write)(struct resident *r, const void *data, uint64_t off, uint64_t bytes); /* NULL: zeros */
	void (*read)(struct resident *r, void *to, uint64_t off, uint64_t bytes);
	/* The first range at or after *begin for which a file of the session (SESSION_MEMORY,
	 * SESSION_MARKS) has pages; false: there is none. Pages that were only allocated, and never
	 * written, may be left out. `end` may be NULL. */
	bool (*data)(struct resident *r, enum session_fd which, uint64_t *begin, uint64_t *end);

	/* Stores a mark: a successor finds it if this worker is killed at any moment after the
	 * call. */
	void (*mark32)(struct resident *r, uint32_t *where, uint32_t value);
	void (*mark64)(struct resident *r, uint64_t *where, uint64_t value);

	/* ---- the client itself */

	/* Asks it to drop its page-table entries of a range; resident_zapped() says that it has. An
	 * error: it was not asked. */
	int (*zap)(struct resident *r, uint64_t seq, uint64_t off, uint64_t bytes);
	/* Tells it that all that its memory lacks is zero, and to go on alone: resident_given() says that it does. An error:
	 * it was not told. */
	int (*give)(struct resident *r);
	/* Tells it that its memory is lost. */
	void (*abort)(struct resident *r, const char *why);
	/* Reads its messages and faults no more. */
	void (*unwatch)(struct resident *r);

	/* ---- the nodes */

	/* Fetches f->asked, want_page first: resident_piece() for what arrives, resident_fetched()
	 * once, at the end. */
	void (*get)(struct resident *r, struct resident_fetch *f, unsigned want_page);
	/* A fault waits for pages of that GET: what has come of it, and is not decoded yet, comes now: resident_piece(). May
	 * exchange f->data for another buffer with the same pages. */
	void (*hurry)(struct resident *r, struct resident_fetch *f);
	/* From gather(true) on they are not sent yet; gather(false) sends them, together. */
	void (*gather)(struct resident *r, bool on);
	/* Cancels that GET: resident_fetched() may come at once, or later. */
	void (*get_cancel)(struct resident *r, struct resident_fetch *f);
	/* Fills in the flush's destination and gives it to a writer: resident_flushed() comes once. */
	void (*send)(struct resident *r, struct flush *f);
	/* A node has acknowledged what a flush sent, or the chunk is zero (entry 0): the index says so. */
	void (*index)(struct resident *r, uint64_t c, uint64_t entry);
	/* The same, of what was sealed: f->seals is what is known of its pages from now on. */
	void (*seals_set)(struct resident *r, const struct flush *f);
	/* The deadline of an access that a user waits for; 0: none. */
	uint64_t (*deadline)(const struct resident *r);

	/* ---- the region */

	const char *(*name)(const struct resident *r);
	uint64_t (*epoch)(const struct resident *r);
	bool (*failed)(const struct resident *r);
	/* It is deleted, and no program has it open. */
	bool (*unwanted)(const struct resident *r);
	/* Its content was changed by the client: updates the file's times. */
	void (*changed)(struct resident *r);
	/* An access failed for now, and may be tried again. */
	void (*report)(struct resident *r, uint64_t c, const char *what, int error);
	/* What was written cannot be kept: fails the region. Calls resident_abort(), an event. */
	void (*fail)(struct resident *r, uint64_t c, int error);
	/* The region is no longer served here: frees `r`. */
	void (*close)(struct resident *r);

	uint64_t (*now)(const struct resident *r);
};

#endif
