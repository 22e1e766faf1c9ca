// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * unpack.c - node/unpack.h without a thread: what it takes is decoded when the worker collects, one part each time. Until then
 * the pages that it will write hold what no page does, and nothing else may write there, or take anything from there. That also
 * goes for what the front has taken back.
 */
#include "cluster.h"

#include "node/unpack.h"

#include <assert.h>
#include <string.h>

static struct {
	struct unpack_piece piece;
	struct chunk_head head;
	uint8_t body[GVM_CHUNK_BYTES];
	uint8_t *to;
	bool taken, left;
} job[RESIDENT_FETCHES + RESIDENT_SPARE];
#define JOBS (sizeof(job) / sizeof(*job))

static unsigned asked;
static uint8_t spare_room[GVM_CHUNK_BYTES], *spare;

#define BUSY_BYTE 0xb5

void unpack_begin(void)
{
	for (unsigned i = 0; i < JOBS; i++)
		job[i].taken = false;
	asked = 0;
	spare = spare_room;
}

/* The pages that are written, one after the other. */
static uint8_t *page_next(unsigned i, unsigned *p)
{
	while (*p < GVM_CHUNK_PAGES && !(job[i].piece.pages >> *p & 1))
		++*p;
	return *p < GVM_CHUNK_PAGES ? job[i].to + (*p)++ * GVM_PAGE_BYTES : NULL;
}

static void pages_busy(unsigned i)
{
	unsigned p = 0;

	for (uint8_t *page; (page = page_next(i, &p));)
		memset(page, BUSY_BYTE, GVM_PAGE_BYTES);
}

static void pages_look(unsigned i)
{
	unsigned p = 0;

	for (uint8_t *page; (page = page_next(i, &p));)
		for (unsigned b = 0; b < GVM_PAGE_BYTES; b++)
			if (page[b] != BUSY_BYTE)
				world_wrong("the front writes where another thread decodes");
}

bool unpack_give(struct unpack *u, const struct unpack_piece *piece, const struct chunk_head *head, const uint8_t *body)
{
	unsigned i = 0;

	(void)u;
	while (i < JOBS && job[i].taken)
		i++;
	if (i == JOBS || ++asked % 4 == 0)
		return false;
	assert(head->body_bytes <= sizeof(job[i].body));
	if (piece->pages != (chunk_pages_of_blocks(head->block_shift, head->block_mask) | (head->zero_map & piece->zero_pages)))
		world_wrong("a part writes other pages than it says");
	job[i].piece = *piece;
	job[i].to = *piece->to;
	job[i].left = false;
	job[i].head = *head;
	memcpy(job[i].body, body, head->body_bytes);
	job[i].taken = true;
	pages_busy(i);
	wires_news++;
	return true;
}

static void job_end(unsigned i, uint8_t *to)
{
	const struct unpack_piece piece = job[i].piece;
	uint32_t got = 0;
	int error = piece.sealed ? seal_open(NULL, NULL, &job[i].head, job[i].body, &piece.region, piece.chunk, piece.zero_pages,
					     to, &got) :
				   chunk_decode(NULL, &job[i].head, job[i].body, &piece.region, piece.chunk, piece.zero_pages,
						to, &got);

	*piece.to = to;
	piece.done(piece.owner, &job[i].head, got, error);
}

unsigned unpack_collect(struct unpack *u)
{
	(void)u;
	for (unsigned i = 0; i < JOBS; i++) {
		if (!job[i].taken)
			continue;
		pages_look(i);
		job[i].taken = false;
		if (job[i].left)
			spare = job[i].to;
		else
			job_end(i, job[i].to);
		return 1;
	}
	return 0;
}

void unpack_hurry(struct unpack *u, const void *owner)
{
	unsigned i = 0;

	(void)u;
	while (i < JOBS && !(job[i].taken && !job[i].left && job[i].piece.owner == owner))
		i++;
	if (i == JOBS) {
		world_wrong("a part is taken back that was not given");
		return;
	}
	pages_look(i);
	if (spare && ++asked % 2) { /* it was begun */
		uint8_t *to = spare;

		memcpy(to, job[i].to, GVM_CHUNK_BYTES);
		job[i].left = true;
		spare = NULL;
		wires_news++;
		job_end(i, to);
		return;
	}
	job[i].taken = false;
	job_end(i, job[i].to);
}
