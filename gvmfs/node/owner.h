/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner.h - the owner of a temporary region: a mount, on one boot of one host.
 *
 * A region that a launcher made for one run is removed by its mount when it is no longer open. A mount
 * that was killed cannot do that. Another mount may, if the owner is known to be dead: never because
 * it is silent, since the network of a host with a running guest may just be cut.
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

/* Sets the terms of the lease of a region that this mount attaches, and its owner: the mount, and the worker
 * that calls, which outlives a supervisor that is killed. */
void owner_lease(const struct options *opts, const struct record_owner *self, bool unlinked,
		 struct gvm_region_open_req *what);

/* A writer's state (GVM_WRITER_*) for this mount, which does not have the region attached, from a node's answer:
 * this mount itself, or the lease of a mount that is provably dead, does not count. */
uint8_t owner_judge(const struct record_owner *self, uint8_t writer, const struct gvm_bytes32 *host,
		    const struct gvm_id *process);

#endif
