// SPDX-License-Identifier: GPL-2.0-or-later
/* loop.c - see loop.h. */
#include "loop.h"

#include "clock.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define PLACES_FIRST 64u

int loop_init(struct loop *loop)
{
	*loop = (struct loop){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	return loop->epoll_fd < 0 ? -errno : 0;
}

/* Makes more places; the new ones are free. */
static int places_grow(struct loop *loop)
{
	uint32_t size = loop->size ? loop->size * 2 : PLACES_FIRST;
	struct loop_place *places = realloc(loop->places, size * sizeof(*places));

	if (!places)
		return -ENOMEM;
	for (uint32_t i = size; i-- > loop->size;) {
		places[i] = (struct loop_place){ .next_free = loop->free };
		if (i) /* place 0 means "none" */
			loop->free = i;
	}
	loop->places = places;
	loop->size = size;
	return 0;
}

static void place_free(struct loop *loop, uint32_t i)
{
	struct loop_place *place = &loop->places[i];

	place->source = NULL;
	place->turn++;
	place->next_free = loop->free;
	loop->free = i;
}

int loop_add(struct loop *loop, struct loop_source *source, int fd, void (*ready)(void *arg), void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN };
	uint32_t i;

	assert(!source->place);
	if (!loop->free && places_grow(loop) < 0)
		return -ENOMEM;
	i = loop->free;
	ev.data.u64 = (uint64_t)loop->places[i].turn << 32 | i;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	loop->free = loop->places[i].next_free;
	loop->places[i].source = source;
	*source = (struct loop_source){ .fd = fd, .place = i, .ready = ready, .arg = arg };
	return 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (!source->place)
		return;
	assert(source->place < loop->size && loop->places[source->place].source == source);
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	place_free(loop, source->place);
	source->place = 0;
}

static int sleep_ms(uint64_t due_ns)
{
	uint64_t now, ms;

	if (!due_ns)
		return 0;
	if (due_ns == LOOP_NEVER)
		return -1;
	now = gvm_now_ns();
	if (due_ns <= now)
		return 0;
	ms = (due_ns - now - 1) / 1000000 + 1; /* rounded up, so as not to wake too early */
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

void loop_sleep(struct loop *loop, uint64_t due_ns, struct loop_events *events)
{
	events->count = epoll_wait(loop->epoll_fd, events->ev, LOOP_EVENTS, sleep_ms(due_ns));
}

void loop_handle(struct loop *loop, const struct loop_events *events)
{
	for (int i = 0; i < events->count; i++) {
		const struct loop_place *place = &loop->places[(uint32_t)events->ev[i].data.u64];
		uint32_t turn = (uint32_t)(events->ev[i].data.u64 >> 32);

		if (!place->source || place->turn != turn)
			continue;
		place->source->events = events->ev[i].events;
		place->source->ready(place->source->arg);
	}
}
