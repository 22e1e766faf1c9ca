/* SPDX-License-Identifier: GPL-2.0-or-later */
/* heap.h - what a worker allocates (../sim/heap.h, of any size), which goes with it. */
#ifndef REPLICAS_HEAP_H
#define REPLICAS_HEAP_H

#include "../sim/heap.h"

void heap_reset(void);

#endif
