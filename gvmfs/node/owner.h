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

#include "gvm_wire.h"
#include "options.h"
#include "state/record.h"

/* This mount: read once, at the start; its supervisor is `pid`. */
void owner_self(struct record_owner *self, int pid);

/* Whether it is this very mount. */
bool owner_is_self(const struct record_owner *owner, const struct record_owner *self);

/* Provably: the host has started again since, or the process is gone from this very one. */
bool owner_is_dead(const struct record_owner *owner, const struct record_owner *self);

/* Tells a node for how long a region that this mount attaches stays its own, and who that is: the mount, and
 * the worker that calls, which outlives a supervisor that is killed. */
void owner_lease(const struct options *opts, const struct record_owner *self, bool unlinked,
		 struct gvm_region_open_req *what);

/* What a node says of a writer (GVM_WRITER_*), in the eyes of this mount: a lease of its own, or of a mount
 * that is provably dead, bars nobody. */
uint8_t owner_judge(const struct record_owner *self, uint8_t writer, const struct gvm_bytes32 *host,
		    const struct gvm_id *process);

#endif
