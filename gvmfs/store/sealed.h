/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sealed.h - what a flush (flush.h) does with a chunk that is sealed: what it fetches of the node's chunk goes back as it
 * is, beside what was sealed anew, and what is known of the pages afterwards comes from what was sent.
 *
 * A writer's thread, but for sealed_judge().
 */
#ifndef GVMFS_SEALED_H
#define GVMFS_SEALED_H

#include "flush.h"

/* Adds what came of the node's chunk to what the flush has encoded: f->head and f->body. 0; -EBADMSG: it has other blocks than
 * ours. */
int sealed_compose(struct chunk_parts *base, struct flush *f);
/* Fills in f->seals, of what is about to be sent. */
void sealed_note(struct flush *f);

/* The front's, before it uses the outcome. What the writer fetched may contradict what was learned of the same pages
 * meanwhile: a node has told two stories, so the flush has failed. */
void sealed_judge(struct flush *f, const struct seal_known *known);

#endif
