/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xxh.h - libxxhash with the widest vectors that the processor has: more than twice as fast for a page as what
 * <xxhash.h> alone calls. */
#ifndef MEMNODE_XXH_H
#define MEMNODE_XXH_H

#ifdef __x86_64__
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#endif
