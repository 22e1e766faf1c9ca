/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_calls.h - gvmfs's environment for the decisions of store.h: see store_env.h. */
#ifndef GVMFS_STORE_CALLS_H
#define GVMFS_STORE_CALLS_H

struct worker;

/* Makes w->store, which takes over the journal's wbufs; the writers must run. 0 or a negative
 * errno. */
int store_open(struct worker *w);

#endif
