// SPDX-License-Identifier: GPL-2.0-or-later
/* kernel.c - the kernel and the client of world.h: resident_env.h's part of the memory. */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

uint64_t page_read(uint32_t page)
{
	return world.page[page].present ? world.page[page].content : 0;
}

/* What the page should read as has changed. */
void page_changed(uint32_t page, uint64_t truth)
{
	struct page *p = &world.page[page];

	if (p->uncertain) /* it may have been that meanwhile */
		world.past[page].content[++p->gen % W_PAST] = p->other;
	p->truth = truth;
	p->uncertain = false;
	world.past[page].content[++p->gen % W_PAST] = truth;
}

void page_alloc(uint32_t page, uint64_t content)
{
	struct page *p = &world.page[page];

	p->present = true;
	p->content = content;
	p->frame = ++world.frames;
	p->stray = false;
}

static void page_free(uint32_t page)
{
	world.page[page].present = world.page[page].mapped = world.page[page].stray = false;
}

void threads_wake(uint32_t first, uint32_t n)
{
	for (unsigned i = 0; i < W_THREADS + W_PINS; i++) {
		struct thread *t = i < W_THREADS ? &world.thread[i] : &world.pinning[i - W_THREADS];

		/* A message that was not read goes with its fault. */
		if ((t->state == T_QUEUED || t->state == T_WAITING) && t->page >= first &&
		    t->page < first + n)
			t->state = T_AGAIN;
	}
}

/* An access of the client's, or of a device for it. */
bool thread_touch(struct thread *t, uint64_t *value)
{
	struct page *p = &world.page[t->page];

	t->state = T_IDLE;
	if (p->poisoned || world.memory_gone)
		return true; /* a memory failure: it has been told */
	if (!p->mapped && world.alone) {
		if (!p->present)
			page_alloc(t->page, 0);
		p->mapped = true;
	}
	if (!p->mapped) {
		t->state = T_QUEUED;
		return false;
	}
	if (p->content != p->truth && !(p->uncertain && p->content == p->other))
		world_wrong("the client reads an old page");
	if (p->uncertain && p->content != p->truth)
		page_changed(t->page, p->content);
	p->uncertain = false;
	if (value) {
		p->content = *value;
		page_changed(t->page, *value);
	}
	return true;
}

/*
 * A stranger is faster. (Not in a worker that is about to die: a stranger's page that comes between a mark
 * and its page, in a worker that is killed before it sees that, is taken for the page. Nothing in the file
 * tells them apart.)
 */
static void race_stray(uint32_t page)
{
	if (!world.race || world.kill_in || world.page[page].present)
		return;
	world.race = false;
	page_alloc(page, 0);
	world.page[page].stray = true;
}

/* The client's group is at its limit: it does not get page i of the n of a call. */
static bool is_short(unsigned i, unsigned n)
{
	const unsigned at[SHORT_WHERE] = { [SHORT_FIRST] = 0, [SHORT_MIDDLE] = n / 2, [SHORT_LAST] = n - 1 };

	if (!world.shorts || i != at[world.short_where])
		return false;
	world.shorts--;
	return true;
}

int env_copy(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk, bool wake,
	     unsigned *done)
{
	uint32_t at = (uint32_t)c * GVM_CHUNK_PAGES + first;

	(void)r;
	world_call();
	world_client_call(true);
	*done = 0;
	if (world.alone)
		return -ENOENT;
	race_stray(at + n / 2);
	for (; *done < n; ++*done, at++) {
		uint64_t content = 0;

		if (world.memory_gone)
			return -ESRCH;
		if (world.page[at].present || is_short(*done, n)) {
			if (wake) /* for what has come by then */
				threads_wake(at - *done, *done);
			return world.page[at].present ? -EEXIST : -ENOMEM;
		}
		if (chunk)
			memcpy(&content, chunk + (first + *done) * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
		page_alloc(at, content);
		world.page[at].mapped = true;
		if (*done == n / 2)
			world_call(); /* it may die half way */
	}
	if (wake)
		threads_wake(at - n, n);
	/* It has put them in, and has not said so yet. */
	world_client_call(true);
	world_call();
	return 0;
}

int env_copy_hidden(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk,
		    unsigned *done)
{
	uint32_t at = (uint32_t)c * GVM_CHUNK_PAGES + first;

	(void)r;
	world_call();
	race_stray(at + n / 2);
	for (*done = 0; *done < n; ++*done, at++) {
		uint64_t content = 0;

		if (world.page[at].present)
			return -EEXIST;
		if (is_short(*done, n))
			return -ENOMEM;
		if (chunk)
			memcpy(&content, chunk + (first + *done) * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
		page_alloc(at, content);
		if (*done == n / 2)
			world_call();
	}
	world_call();
	return 0;
}

int env_map(struct resident *r, uint64_t c, unsigned first, unsigned n)
{
	uint32_t at = (uint32_t)c * GVM_CHUNK_PAGES + first;
	unsigned already = 0;

	(void)r;
	world_call();
	world_client_call(true);
	if (world.alone)
		return -ENOENT;
	for (unsigned i = 0; i < n; i++, at++) {
		if (world.memory_gone)
			return -ESRCH;
		if (is_short(i, n))
			return -ENOMEM;
		if (!world.page[at].present)
			page_alloc(at, 0);
		already += world.page[at].mapped;
		world.page[at].mapped = true;
	}
	return already == n ? ENV_MAPPED : 0;
}

void env_wake(struct resident *r, uint64_t c, unsigned first, unsigned n)
{
	(void)r;
	world_call();
	threads_wake((uint32_t)c * GVM_CHUNK_PAGES + first, n);
}

void env_wake_all(struct resident *r)
{
	(void)r;
	world_call();
	threads_wake(0, W_PAGES);
}

int env_poison(struct resident *r, uint64_t c, unsigned page)
{
	struct page *p = &world.page[c * GVM_CHUNK_PAGES + page];

	(void)r;
	world_call();
	world_client_call(true);
	if (world.memory_gone)
		return -ESRCH;
	if (world.alone)
		return -ENOENT;
	if (is_short(0, 1))
		return -ENOMEM;
	if (!p->mapped)
		p->poisoned = true;
	return 0;
}

bool env_memory_alive(struct resident *r)
{
	(void)r;
	return !world.memory_gone;
}

uint32_t env_pins(const struct resident *r, uint64_t c)
{
	(void)r;
	return world.pins[c];
}

int env_punch(struct resident *r, uint64_t off, uint64_t bytes)
{
	(void)r;
	world_call();
	world_client_call(false);
	for (uint64_t at = off / GVM_PAGE_BYTES; at < (off + bytes) / GVM_PAGE_BYTES; at++)
		page_free((uint32_t)at);
	world_call();
	return 0;
}

int env_write(struct resident *r, const void *data, uint64_t off, uint64_t bytes)
{
	(void)r;
	world_call();
	world_client_call(false);
	for (uint64_t at = off; at < off + bytes; at++) {
		uint32_t page = (uint32_t)(at / GVM_PAGE_BYTES);

		if (!world.page[page].present)
			page_alloc(page, 0);
		((uint8_t *)&world.page[page].content)[at % GVM_PAGE_BYTES] =
			data ? ((const uint8_t *)data)[at - off] : 0;
	}
	world_call();
	return 0;
}

void env_read(struct resident *r, void *to, uint64_t off, uint64_t bytes)
{
	(void)r;
	for (uint64_t at = off; at < off + bytes; at += GVM_PAGE_BYTES) {
		uint64_t content = page_read((uint32_t)(at / GVM_PAGE_BYTES));

		memcpy((uint8_t *)to + (at - off), &content, GVM_PAGE_BYTES);
	}
}

bool env_data(struct resident *r, enum session_fd which, uint64_t *begin, uint64_t *end)
{
	uint64_t at = *begin / GVM_PAGE_BYTES;

	(void)r;
	if (which == SESSION_MARKS) {
		*end = sizeof(world.mark);
		return *begin < *end && world.marked;
	}
	world_client_call(false);
	for (; at < W_PAGES && !world.page[at].present; at++)
		;
	if (at == W_PAGES)
		return false;
	*begin = at * GVM_PAGE_BYTES;
	for (; end && at < W_PAGES && world.page[at].present; at++)
		;
	if (end)
		*end = at * GVM_PAGE_BYTES;
	return true;
}

void env_mark32(struct resident *r, uint32_t *where, uint32_t value)
{
	(void)r;
	world_call();
	world.marked = true;
	*where = value;
}

void env_mark64(struct resident *r, uint64_t *where, uint64_t value)
{
	(void)r;
	world_call();
	*where = value;
}

int env_zap(struct resident *r, uint64_t seq, uint64_t off, uint64_t bytes)
{
	(void)r;
	world_call();
	if (world.client_left)
		return -EPIPE;
	if (world.zaps == W_ZAPS)
		return -EAGAIN;
	world.zap[world.zaps++] = (struct zap){ .seq = seq, .off = off, .bytes = bytes };
	world_call();
	return 0;
}

void env_abort(struct resident *r, const char *why)
{
	(void)r;
	(void)why;
	world.aborted = true;
}

void env_unwatch(struct resident *r)
{
	(void)r;
}

uint64_t env_now(const struct resident *r)
{
	(void)r;
	return world.now;
}
