/* SPDX-License-Identifier: GPL-2.0 */
/* Allocation flags for code on which freeing memory depends. */
#ifndef GVM_MEMORY_H
#define GVM_MEMORY_H

#include <linux/gfp.h>

/*
 * For memory that the caller can do without; the allocation may fail. Without __GFP_NORETRY it
 * could wait without end, since GFP_NOIO does not invoke the OOM killer. Here memory is freed by
 * pages that go home: tasks that send them, or receive their homes' answers, must not wait for
 * that. Nor may they use the reserves.
 */
#define GFP_DISPENSABLE (GFP_NOIO | __GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN)

#endif
