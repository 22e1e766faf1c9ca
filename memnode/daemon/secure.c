// SPDX-License-Identifier: GPL-2.0-or-later
/* secure.c - see secure.h. */
#include "secure.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void *large_take(struct secure_bufs *b)
{
	struct secure_buf *buf = SLIST_FIRST(&b->free_list);

	if (buf) {
		SLIST_REMOVE_HEAD(&b->free_list, link);
		b->free--;
		return buf;
	}
	buf = b->count < SECURE_LARGE_MAX ? malloc(SECURE_LARGE) : NULL;
	b->count += buf != NULL;
	return buf;
}

static void large_return(struct secure_bufs *b, void *p)
{
	struct secure_buf *buf = p;

	if (b->free < SECURE_LARGE_FREE_MAX) {
		SLIST_INSERT_HEAD(&b->free_list, buf, link);
		b->free++;
	} else {
		free(buf);
		b->count--;
	}
}

void secure_bufs_deinit(struct secure_bufs *b)
{
	struct secure_buf *buf;

	assert(b->count == b->free);
	while ((buf = SLIST_FIRST(&b->free_list))) {
		SLIST_REMOVE_HEAD(&b->free_list, link);
		free(buf);
	}
}

static void size_set(struct secure_bufs *b, struct tls_bytes *side, uint8_t *small, bool large)
{
	bool is_large = side->buf != small;
	uint8_t *buf;

	if (large == is_large || side->start != side->end)
		return;
	buf = large ? large_take(b) : small;
	if (!buf)
		return;
	if (is_large)
		large_return(b, side->buf);
	*side = (struct tls_bytes){.buf = buf, .room = large ? SECURE_LARGE : TLS_BUF_MIN};
}

void secure_in_size(struct secure_bufs *b, struct secure *s, bool large)
{
	size_set(b, &s->tls.in, s->in_small, large);
}

void secure_out_size(struct secure_bufs *b, struct secure *s, bool large)
{
	size_set(b, &s->tls.out, s->out_small, large);
}

struct secure *secure_create(const struct tls_key *key, const uint8_t *first, size_t bytes)
{
	struct secure *s = malloc(sizeof(*s));

	if (!s)
		return NULL;
	if (tls_init(&s->tls, key, s->in_small, sizeof(s->in_small), s->out_small, sizeof(s->out_small))) {
		free(s);
		return NULL;
	}
	assert(bytes <= sizeof(s->in_small));
	memcpy(s->in_small, first, bytes);
	tls_in_add(&s->tls, bytes);
	return s;
}

void secure_destroy(struct secure_bufs *b, struct secure *s)
{
	if (!s)
		return;
	tls_deinit(&s->tls);
	s->tls.in.start = s->tls.in.end = s->tls.out.start = s->tls.out.end = 0;
	secure_in_size(b, s, false);
	secure_out_size(b, s, false);
	free(s);
}
