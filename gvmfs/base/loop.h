/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h - the descriptors that one thread waits for, each with its handler.
 *
 * A source is embedded in the object that it serves. It may be removed at any time, also by a handler of
 * another source that the same sleep woke: an event names the source's place and that place's generation,
 * so that a stale event of a removed source calls no handler. No cost here grows with the number of
 * sources.
 *
 * Sleeping and handling are two calls, so that a thread may do something between them.
 */
#ifndef GVMFS_LOOP_H
#define GVMFS_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_EVENTS 16 /* in one go, during which others wait */
#define LOOP_NEVER  (~0ull)

/* All zero: not watched. */
struct loop_source {
	int fd;
	uint32_t place; /* 0: not watched */
	uint32_t events; /* EPOLL*, that ready() was last called for */
	void (*ready)(void *arg);
	void *arg;
};

struct loop_place {
	struct loop_source *source; /* NULL: free */
	uint32_t turn;		    /* how many sources the place has lost: its generation */
	uint32_t next_free;
};

struct loop {
	int epoll_fd;
	struct loop_place *places; /* the first is not used */
	uint32_t size, free;
};

struct loop_events {
	struct epoll_event ev[LOOP_EVENTS];
	int count;
};

/* 0 or a negative errno. */
int loop_init(struct loop *loop);

/* ready(arg) is called whenever there is something to read from `fd`. 0 or a negative errno. */
int loop_add(struct loop *loop, struct loop_source *source, int fd, void (*ready)(void *arg), void *arg);
/* Does nothing to a source that is not watched. Must precede close(): another process may have the descriptor
 * open. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Sleeps until a source is readable, or until due_ns (CLOCK_MONOTONIC; 0: does not sleep;
 * LOOP_NEVER). */
void loop_sleep(struct loop *loop, uint64_t due_ns, struct loop_events *events);
/* Calls the handlers of sources that are readable. */
void loop_handle(struct loop *loop, const struct loop_events *events);

#endif
