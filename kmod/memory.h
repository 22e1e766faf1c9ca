/* SPDX-License-Identifier: GPL-2.0 */
/* How memory is asked for on the ways that may free some. */
#ifndef GVM_MEMORY_H
#define GVM_MEMORY_H

#include <linux/gfp.h>

/*
 * For memory that one can do without. It fails where there is none: without __GFP_NORETRY a page is
 * waited for without an end, and with GFP_NOIO nobody is killed for it. But what frees memory here
 * is pages that go home: who sends them, or receives what their homes answer, must not wait for
 * that. Nor may it take what is kept for those who free memory.
 */
#define GFP_DISPENSABLE (GFP_NOIO | __GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN)

#endif
