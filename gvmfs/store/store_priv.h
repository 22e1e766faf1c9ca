/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_priv.h - shared by the files of store.h. */
#ifndef GVMFS_STORE_PRIV_H
#define GVMFS_STORE_PRIV_H

#include "store_env.h"

/* slot_free(), and notes that waiters may have the slot. */
void store_slot_free(struct store *s, struct slot *slot);
/* Has the entry's waiters tried, with an error if it is not 0. */
void store_entry_wake(struct store *s, struct cache_entry *e, int error);

#endif
