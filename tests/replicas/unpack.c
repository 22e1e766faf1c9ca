// SPDX-License-Identifier: GPL-2.0-or-later
/* unpack.c - node/unpack.h without a thread: what it takes is decoded when the worker collects, one part each time. */
#include "cluster.h"

#include "node/unpack.h"

#include <assert.h>
#include <string.h>

static struct {
	struct unpack_piece piece;
	struct chunk_head head;
	uint8_t body[GVM_CHUNK_BYTES];
	bool taken;
} job[RESIDENT_FETCHES + RESIDENT_SPARE];
#define JOBS (sizeof(job) / sizeof(*job))

static unsigned asked;

void unpack_begin(void)
{
	for (unsigned i = 0; i < JOBS; i++)
		job[i].taken = false;
	asked = 0;
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
	job[i].piece = *piece;
	job[i].head = *head;
	memcpy(job[i].body, body, head->body_bytes);
	job[i].taken = true;
	wires_news++;
	return true;
}

static void job_end(unsigned i)
{
	const struct unpack_piece piece = job[i].piece;
	uint32_t got = 0;
	int error = chunk_decode(NULL, &job[i].head, job[i].body, &piece.region, piece.chunk, piece.zero_pages, piece.to, &got);

	job[i].taken = false;
	piece.done(piece.owner, &job[i].head, got, error);
}

unsigned unpack_collect(struct unpack *u)
{
	(void)u;
	for (unsigned i = 0; i < JOBS; i++)
		if (job[i].taken) {
			job_end(i);
			return 1;
		}
	return 0;
}

void unpack_finish(struct unpack *u, const void *owner)
{
	(void)u;
	for (unsigned i = 0; i < JOBS; i++)
		if (job[i].taken && job[i].piece.owner == owner)
			job_end(i);
}
