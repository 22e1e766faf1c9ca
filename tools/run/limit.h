/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * limit.h - sets the limit of the guest's group.
 *
 * A higher limit is set at once. A lower one has the kernel take pages back before the write returns, which can wait
 * for a memory node for as long as that does not answer: so it is set in a thread of its own, one at a time, and
 * nobody else waits.
 *
 * One guest for a process: there is no handle. Of one thread, but for that.
 */
#ifndef TOOLS_RUN_LIMIT_H
#define TOOLS_RUN_LIMIT_H

#include "memcg.h"

#include <stdbool.h>

/* As memcg_limit(), of which 0 or a negative errno is *rc. True: it is done, or could not even be begun. False: it is
 * under way, or an earlier one is, and this one was not begun; run_limit_ended() tells of the end. */
bool run_limit_set(struct memcg *cg, uint64_t bytes, uint64_t margin, uint64_t now_bytes, int *rc);
/* True, once: the one that was under way has ended, with *rc, and the kernel has *bytes now. */
bool run_limit_ended(uint64_t *bytes, int *rc);
/* Whether one is under way. */
bool run_limit_waits(void);

#endif
