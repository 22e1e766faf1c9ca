/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names_apply.h - applies the name table, as read from the nodes, to this mount's tree.
 *
 * There may be thousands of names, and guests' faults wait for the front thread meanwhile: so it applies them in
 * short slices, and serves requests in between. Each name is compared with its current state in this
 * mount, so changes between two slices do no harm. Front thread.
 */
#ifndef GVMFS_NAMES_APPLY_H
#define GVMFS_NAMES_APPLY_H

#include <stdbool.h>
#include <stdint.h>

struct names_apply;
struct names_load_job;
struct worker;

void names_apply_begin(struct names_apply *apply, struct names_load_job *load);
/* Goes on until everything is applied (returns true) or until_ns has passed. */
bool names_apply_some(struct worker *w, struct names_apply *apply, uint64_t until_ns);

#endif
