// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_loop.c - a handler is called for its own source alone, and never for one that is gone. */
#include "base/loop.h"
#include "check.h"
#include "clock.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SOURCES 200 /* more than there are places at first */

static struct loop loop;

static struct pipe_source {
	struct loop_source source;
	int fd[2];
	unsigned called;
	struct pipe_source *remove; /* in its handler */
} sources[SOURCES];

static void ready(void *arg)
{
	struct pipe_source *s = arg;
	char byte;

	s->called++;
	CHECK_EQ(read(s->fd[0], &byte, 1), 1);
	if (s->remove)
		loop_remove(&loop, &s->remove->source);
}

static void source_open(struct pipe_source *s)
{
	memset(s, 0, sizeof(*s));
	CHECK_EQ(pipe2(s->fd, O_CLOEXEC), 0);
	CHECK_EQ(loop_add(&loop, &s->source, s->fd[0], ready, s), 0);
}

static void source_close(struct pipe_source *s)
{
	loop_remove(&loop, &s->source);
	close(s->fd[0]);
	close(s->fd[1]);
}

static void send_byte(struct pipe_source *s)
{
	CHECK_EQ(write(s->fd[1], "x", 1), 1);
}

/* All that there is: one sleep tells of LOOP_EVENTS at the most. */
static unsigned handle_all(void)
{
	struct loop_events events;
	unsigned count = 0;

	do {
		loop_sleep(&loop, 0, &events);
		loop_handle(&loop, &events);
		count += (unsigned)events.count;
	} while (events.count > 0);
	return count;
}

static void each_is_called_for_itself(void)
{
	for (unsigned i = 0; i < SOURCES; i++)
		source_open(&sources[i]);
	CHECK_EQ(handle_all(), 0);
	for (unsigned i = 0; i < SOURCES; i += 3)
		send_byte(&sources[i]);
	CHECK_EQ(handle_all(), (SOURCES + 2) / 3);
	for (unsigned i = 0; i < SOURCES; i++)
		CHECK_EQ(sources[i].called, i % 3 == 0);
	for (unsigned i = 0; i < SOURCES; i++)
		source_close(&sources[i]);
}

/* Of two that one sleep tells of, the first one's handler removes the second: whichever comes first. */
static void one_that_is_gone_is_not_called(void)
{
	source_open(&sources[0]);
	source_open(&sources[1]);
	sources[0].remove = &sources[1];
	sources[1].remove = &sources[0];
	send_byte(&sources[0]);
	send_byte(&sources[1]);
	handle_all();
	CHECK_EQ(sources[0].called + sources[1].called, 1);
	source_close(&sources[0]);
	source_close(&sources[1]);
}

/* Nor the one that has its place by then, of which nothing was told. */
static void its_successor_is_not_called(void)
{
	struct loop_events events;

	source_open(&sources[0]);
	send_byte(&sources[0]);
	loop_sleep(&loop, LOOP_NEVER, &events);
	CHECK_EQ(events.count, 1);
	source_close(&sources[0]);
	source_open(&sources[1]);
	loop_handle(&loop, &events);
	CHECK_EQ(sources[0].called, 0);
	CHECK_EQ(sources[1].called, 0);
	source_close(&sources[1]);
}

static void removing_twice_is_nothing(void)
{
	source_open(&sources[0]);
	loop_remove(&loop, &sources[0].source);
	loop_remove(&loop, &sources[0].source);
	CHECK_EQ(loop_add(&loop, &sources[0].source, sources[0].fd[0], ready, &sources[0]), 0);
	send_byte(&sources[0]);
	CHECK_EQ(handle_all(), 1);
	source_close(&sources[0]);
}

static void a_descriptor_that_cannot_be_watched_is_said(void)
{
	struct loop_source source = { 0 };

	CHECK(loop_add(&loop, &source, -1, ready, NULL) < 0);
	CHECK_EQ(source.place, 0);
	loop_remove(&loop, &source);
}

static void sleep_ends_when_it_is_due(void)
{
	uint64_t due_ns = gvm_now_ns() + 3000000;
	struct loop_events events;

	loop_sleep(&loop, due_ns, &events);
	CHECK_EQ(events.count, 0);
	CHECK(gvm_now_ns() >= due_ns);
	loop_sleep(&loop, due_ns, &events); /* long ago */
	CHECK_EQ(events.count, 0);
}

static const struct check_test tests[] = {
	{ "each-is-called-for-itself", each_is_called_for_itself },
	{ "one-that-is-gone-is-not-called", one_that_is_gone_is_not_called },
	{ "its-successor-is-not-called", its_successor_is_not_called },
	{ "removing-twice-is-nothing", removing_twice_is_nothing },
	{ "a-descriptor-that-cannot-be-watched-is-said", a_descriptor_that_cannot_be_watched_is_said },
	{ "sleep-ends-when-it-is-due", sleep_ends_when_it_is_due },
};

int main(int argc, char **argv)
{
	CHECK_EQ(loop_init(&loop), 0);
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
