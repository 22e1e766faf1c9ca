// SPDX-License-Identifier: GPL-2.0-or-later
/* unmap.c - see unmap.h. */
#include "unmap.h"

#include "node/jobs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* In one call: the worker's other threads wait for it if they map or unmap something. */
#define PIECE_BYTES ((size_t)2 << 20)

struct unmap_job {
	struct job job; /* first */
	struct unmap_part part[UNMAP_PARTS];
};

static void part_unmap(const struct unmap_part *part)
{
	for (size_t off = 0; part->at && off < part->bytes; off += PIECE_BYTES)
		munmap((char *)part->at + off, part->bytes - off < PIECE_BYTES ? part->bytes - off : PIECE_BYTES);
}

static void parts_unmap(const struct unmap_part part[UNMAP_PARTS])
{
	for (unsigned i = 0; i < UNMAP_PARTS; i++)
		part_unmap(&part[i]);
}

static void unmap_work(struct job *job, struct pool *pool)
{
	(void)pool;
	parts_unmap(((struct unmap_job *)job)->part);
}

static void unmap_done(struct job *job)
{
	free(job);
}

void unmap_aside(struct jobs *jobs, const struct unmap_part part[UNMAP_PARTS])
{
	struct unmap_job *job = calloc(1, sizeof(*job));

	if (!job) {
		parts_unmap(part);
		return;
	}
	job->job.work = unmap_work;
	job->job.done = unmap_done;
	memcpy(job->part, part, sizeof(job->part));
	jobs_submit_blocking(jobs, &job->job);
}
