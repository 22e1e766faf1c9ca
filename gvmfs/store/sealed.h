/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sealed.h - a flush (flush.h) of a sealed chunk (memnode/SEAL.md): blocks that it fetches from the
 * node are sent back as they are, beside the blocks that it seals anew. What was sent becomes what
 * is known of the pages.
 *
 * In a writer's thread, except sealed_judge().
 */
#ifndef GVMFS_SEALED_H
#define GVMFS_SEALED_H

#include "flush.h"

/* Adds the blocks that were fetched from the node to those that the flush has encoded (f->head,
 * f->body). 0; -EBADMSG: they do not fit together. */
int sealed_compose(struct chunk_parts *base, struct flush *f);
/* Fills in f->seals from what is about to be sent. */
void sealed_note(struct flush *f);

/* Front thread, before it uses the outcome. Fails the flush (-EBADMSG) if pages that the writer
 * fetched contradict what the front has learned of them meanwhile: a node has given two different
 * answers. */
void sealed_judge(struct flush *f, const struct seal_known *known);

#endif
