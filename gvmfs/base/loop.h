/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h - what one thread waits for: descriptors, each with its handler.
 *
 * A source is embedded in what it is about. It may go at any time, also in a handler of another source that
 * the same sleep woke: an event names the source's place and the generation of that place, so that a stale
 * event of a removed source calls no handler. Nothing here depends on how many sources there are.
 *
 * Sleep and handlers are two calls, so that a thread may do something between them.
 */
#ifndef GVMFS_LOOP_H
#define GVMFS_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_EVENTS 32
#define LOOP_NEVER  (~0ull)

/* All zero: not watched. */
struct loop_source {
	int fd;
	uint32_t place; /* 0: it has none, and is not watched */
	void (*ready)(void *arg);
	void *arg;
};

struct loop_place {
	struct loop_source *source; /* NULL: free */
	uint32_t turn;		    /* how many it was taken from */
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
/* Also of a source that is not watched. Before the descriptor is closed: another process may have it open. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Sleeps until something can be read, or until due_ns (CLOCK_MONOTONIC; 0: not at all; LOOP_NEVER). */
void loop_sleep(struct loop *loop, uint64_t due_ns, struct loop_events *events);
/* Calls the handlers of what can be read. */
void loop_handle(struct loop *loop, const struct loop_events *events);

#endif
