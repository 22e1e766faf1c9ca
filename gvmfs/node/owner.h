/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner.h - whose a temporary region is: which mount, on which start of which host.
 *
 * A region that a launcher made for one run is removed by its mount when nobody has it open. A mount
 * that was killed cannot do that. Another one may, where the owner is known to be dead: never because
 * it is silent, since the network of a host with a living guest may just be cut.
 */
#ifndef GVMFS_OWNER_H
#define GVMFS_OWNER_H

#include "state/record.h"

/* This mount: read once, at the start; its supervisor is `pid`. */
void owner_self(struct record_owner *self, int pid);

/* Whether it is this very mount. */
bool owner_is_self(const struct record_owner *owner, const struct record_owner *self);

/* Provably: the host has started again since, or the process is gone from this very one. */
bool owner_is_dead(const struct record_owner *owner, const struct record_owner *self);

#endif
