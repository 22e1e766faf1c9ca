// SPDX-License-Identifier: GPL-2.0-or-later
/* What is due, the earliest first: see heap.h. */
#include "heap.h"

struct ivy_due **ivy_heap_widen(struct ivy_heap *heap, struct ivy_due **larger, u32 cap)
{
	struct ivy_due **former = heap->due;
	u32 i;

	for (i = 0; i < heap->n; i++)
		larger[i] = former[i];
	heap->due = larger;
	heap->cap = cap;
	return former;
}

static void put(struct ivy_heap *heap, u32 i, struct ivy_due *due)
{
	heap->due[i] = due;
	due->place = i + 1;
}

static u32 up(struct ivy_heap *heap, u32 i, u64 at)
{
	for (; i && at < heap->due[(i - 1) / 2]->at; i = (i - 1) / 2)
		put(heap, i, heap->due[(i - 1) / 2]);
	return i;
}

static u32 down(struct ivy_heap *heap, u32 i, u64 at)
{
	u32 k;

	for (; (k = 2 * i + 1) < heap->n; i = k) {
		if (k + 1 < heap->n && heap->due[k + 1]->at < heap->due[k]->at)
			k++;
		if (heap->due[k]->at >= at)
			break;
		put(heap, i, heap->due[k]);
	}
	return i;
}

static void settle(struct ivy_heap *heap, u32 i, struct ivy_due *due)
{
	put(heap, down(heap, up(heap, i, due->at), due->at), due);
}

static void take_out(struct ivy_heap *heap, struct ivy_due *due)
{
	u32 i = due->place - 1;

	due->place = 0;
	if (i != --heap->n)
		settle(heap, i, heap->due[heap->n]);
}

void ivy_heap_set(struct ivy_heap *heap, struct ivy_due *due, u64 at)
{
	if (due->place && due->at == at)
		return;
	due->at = at;
	if (at != IVY_NEVER)
		settle(heap, due->place ? due->place - 1 : heap->n++, due);
	else if (due->place)
		take_out(heap, due);
}

struct ivy_due *ivy_heap_first(const struct ivy_heap *heap)
{
	return heap->n ? heap->due[0] : NULL;
}
