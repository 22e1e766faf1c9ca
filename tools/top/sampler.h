/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sampler.h - a thread that takes samples now and then: a gvmfs that hangs holds up that thread, and no key. */
#ifndef TOOLS_TOP_SAMPLER_H
#define TOOLS_TOP_SAMPLER_H

#include "sample.h"

#include <pthread.h>

struct top_sampler {
	/* set by the caller */
	char *const *paths;
	unsigned count;
	uint64_t interval_ns;
	/* private */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct top_sample *newest; /* not taken yet */
	bool over, ended;
	int fd;
};

/* Begins to take samples, the first at once. 0 or a negative errno. */
int top_sampler_start(struct top_sampler *sampler);
/* Takes no more. A thread that a gvmfs holds up is left behind: it and what it has go with the process, which the kernel lets end
 * when that gvmfs has answered what it has read already. */
void top_sampler_stop(struct top_sampler *sampler);
/* Readable when there is a new sample. */
static inline int top_sampler_fd(const struct top_sampler *sampler)
{
	return sampler->fd;
}
/* The newest, which is the caller's then; NULL: none since the last call. */
struct top_sample *top_sampler_get(struct top_sampler *sampler);

#endif
