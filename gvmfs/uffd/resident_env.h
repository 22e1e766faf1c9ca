/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resident_env.h - the world that the decisions of the fast path (resident.h) stand on: a client's
 * memory, the nodes, the region's entry, the clock.
 *
 * The decisions make no call into the kernel and send nothing but by these functions, which are bound when
 * the program is linked: to resident_env.c and resident_client.c in gvmfs, to a simulated kernel and
 * simulated nodes in tests/resident. So the same source runs in both.
 *
 * A call carries out or begins something and returns; none calls the decisions back. What comes of it
 * later comes as an event, from the loop: resident_piece(), resident_fetched(), resident_flushed(),
 * resident_zapped(), resident_left(). Results are 0 or a negative errno. Pages are first..first+n-1 of chunk c.
 */
#ifndef GVMFS_RESIDENT_ENV_H
#define GVMFS_RESIDENT_ENV_H

#include "resident.h"

/* ---- the client's memory: a file, and pages of it in the client's page tables */

/* Puts pages that the file does not have in and maps them, out of the chunk's content or (NULL) zeros;
 * content may wake. -EEXIST: the file has one. *done: the pages before the one that failed. */
int env_copy(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk, bool wake,
	     unsigned *done);
/* The same, and maps none of them. */
int env_copy_hidden(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk,
		    unsigned *done);
/* Maps pages of the file; one that it lacks becomes zero. Does not wake. */
int env_map(struct resident *r, uint64_t c, unsigned first, unsigned n);
void env_wake(struct resident *r, uint64_t c, unsigned first, unsigned n);
/* Wakes all who wait for any page. */
void env_wake_all(struct resident *r);
/* Whoever touches the page has a memory failure. -EOPNOTSUPP: the kernel cannot. */
int env_poison(struct resident *r, uint64_t c, unsigned page);
/* Whether the client's memory still exists, as far as that is known: the answer may be old. */
bool env_memory_alive(struct resident *r);
/* How many pins of devices a chunk has. */
uint32_t env_pins(const struct resident *r, uint64_t c);

/* The file alone: whole pages of it are taken out; bytes of pages that it has are read and written. */
int env_punch(struct resident *r, uint64_t off, uint64_t bytes);
int env_write(struct resident *r, const void *data, uint64_t off, uint64_t bytes); /* NULL: zeros */
void env_read(struct resident *r, void *to, uint64_t off, uint64_t bytes);
/* The first range at or after *begin that a file of the session (SESSION_MEMORY, SESSION_MARKS) has pages
 * for; false: none. Pages that were only allocated, and never written, may be left out. */
bool env_data(struct resident *r, enum session_fd which, uint64_t *begin, uint64_t *end);

/* Marks: what a successor finds, if this worker is killed at any moment after the call. */
void env_mark32(uint32_t *where, uint32_t value);
void env_mark64(uint64_t *where, uint64_t value);

/* ---- the client itself */

/* Has it drop its page-table entries of a range: resident_zapped() tells that it has. An error: it was
 * not asked. */
int env_zap(struct resident *r, uint64_t seq, uint64_t off, uint64_t bytes);
/* Tells it that it cannot go on. */
void env_abort(struct resident *r, const char *why);
/* It is not listened to any more. */
void env_unwatch(struct resident *r);

/* ---- the nodes */

/* Fetches f->asked: resident_piece() for what comes, resident_fetched() at the end. */
void env_get(struct resident *r, struct resident_fetch *f, unsigned want_page);
/* Ends that now. */
void env_get_cancel(struct resident *r, struct resident_fetch *f);
/* Fills in where the flush belongs and gives it to a writer: resident_flushed(). */
void env_send(struct resident *r, struct flush *f);
/* A node has acknowledged what a flush sent, or the chunk is zero (entry 0): the index says so. */
void env_index(struct resident *r, uint64_t c, uint64_t entry);
/* When an access that a user waits for has to end; 0: whenever. */
uint64_t env_deadline(const struct resident *r);

/* ---- the region */

const char *env_name(const struct resident *r);
uint64_t env_epoch(const struct resident *r);
bool env_failed(const struct resident *r);
/* It is deleted, and has no user. */
bool env_unwanted(const struct resident *r);
/* Its content changed, since a client changed it. */
void env_changed(struct resident *r);
/* An access failed for now. */
void env_report(struct resident *r, uint64_t c, const char *what, int error);
/* What was written cannot be kept: the region fails. Calls resident_abort(), which only notes it. */
void env_fail(struct resident *r, uint64_t c, int error);
/* The region is not served here any more: `r` is gone after it. */
void env_close(struct resident *r);

uint64_t env_now(void);

#endif
