/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seals.h - which regions are sealed, of a mount that has a key (sealing.h). Front thread.
 *
 * A region is plain where the mount has no key, or where its record has the mark that only who has the key can make for this
 * region, in this folder, under this name (seal_mark()), and each folder above has its own: so no node can have a host send
 * plain pages, or put a plain region in the place of another one. All else is taken for sealed. What is found when a region
 * is opened holds for as long as it is in use, whatever becomes of names and records meanwhile; a successor knows it, too.
 */
#ifndef GVMFS_SEALS_H
#define GVMFS_SEALS_H

#include "inode.h"

struct sealer;
struct worker;

/* What opens and seals the chunks of a region, in the front thread; NULL: they are plain. */
struct sealer *region_sealer(const struct worker *w, struct inode *inode);
/* It is about to be opened: if nobody uses it, that is found anew. */
void region_seal_look(struct inode *inode);
/* What the record of a region says that is made now: a key's id, a mark, or 0. */
uint64_t region_seal_of_new(const struct worker *w, const struct inode *inode);
/* Whether it is, or will be, sealed, as far as this mount can tell. */
bool region_is_sealed(const struct worker *w, const struct inode *inode);

/* Whether the folder of this id, and all above it, have their marks: a plain region there is believed. True without a key,
 * and of the root. */
bool folder_is_marked(const struct worker *w, const struct gvm_id *id);
/* What a folder's record says that this mount makes. */
uint64_t folder_seal_of_new(const struct worker *w, const struct record *rec);

/* What the record says under another name or in another folder: what is believed here gets a mark for there, all else
 * stays what it is. 0; -EPERM: it is a plain region, or has some below it, that would not be believed there. */
int seal_of_moved(const struct worker *w, const struct inode *inode, const struct gvm_id *parent, const char *name, uint64_t *seal);

#endif
