/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is due, the earliest first: a binary heap of members of other structs.
 */
#ifndef GVM_IVY_HEAP_H
#define GVM_IVY_HEAP_H

#include "wire.h"

#define IVY_NEVER (~0ull)

/* Zeroed it is in no heap. */
struct ivy_due {
	u64 at;
	u32 place; /* in the heap, plus 1 */
	u16 node;  /* whose it is; the heap's user sets it */
};

struct ivy_heap {
	struct ivy_due **due;
	u32 n, cap;
};

/* A larger array for it; returns the former one. */
struct ivy_due **ivy_heap_widen(struct ivy_heap *heap, struct ivy_due **larger, u32 cap);
/* Puts it in, moves it, or takes it out (IVY_NEVER). The heap has room. */
void ivy_heap_set(struct ivy_heap *heap, struct ivy_due *due, u64 at);
/* The earliest; NULL: none. */
struct ivy_due *ivy_heap_first(const struct ivy_heap *heap);

#endif
