/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seals.h - which regions are sealed, of a mount that has a key (sealing.h). Front thread. */
#ifndef GVMFS_SEALS_H
#define GVMFS_SEALS_H

#include "inode.h"

struct sealer;
struct worker;

/*
 * What opens and seals the chunks of a region, in the front thread; NULL: they are plain. A region is plain where the
 * mount has no key, or where its record has the mark that only who has the key can make for this region
 * (seal_plain_mark()): so no node can have a host send plain pages. All else is taken for sealed.
 */
struct sealer *region_sealer(const struct worker *w, struct inode *inode);
/* What the record of a region says that is made now: a key's id, a mark, or 0. */
uint64_t region_seal_of_new(const struct worker *w, struct inode *inode);
/* Whether it is, or will be, sealed, as far as this mount can tell. */
bool region_is_sealed(const struct worker *w, const struct inode *inode);

#endif
