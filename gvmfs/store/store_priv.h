/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_priv.h - what the files of store.h share. */
#ifndef GVMFS_STORE_PRIV_H
#define GVMFS_STORE_PRIV_H

#include "store_env.h"

/* slot_free(), and lets what waits for that know. */
void store_slot_free(struct store *s, struct slot *slot);
/* What waits for an entry is to be tried, with an error if there is one. */
void store_entry_wake(struct store *s, struct cache_entry *e, int error);

#endif
