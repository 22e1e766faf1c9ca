/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner.h - the owner of a temporary region: a mount, on one boot of one host.
 *
 * A region that a launcher made for one run is removed by its mount when it is no longer open. If that mount was
 * killed, another mount may remove it, once the owner is proven dead. Silence proves nothing:
 * the network of a host with a running guest may just be cut.
 */
#ifndef GVMFS_OWNER_H
#define GVMFS_OWNER_H

#include "gvm_wire.h"
#include "options.h"
#include "state/record.h"

/* Fills in this mount, with the pid of its supervisor, which calls this once, at its start: it reads files. */
void owner_self(struct record_owner *self, int pid);

/* Whether `owner` is this mount. */
bool owner_is_self(const struct record_owner *owner, const struct record_owner *self);

/* Whether `owner` is proven dead: it is of an earlier boot of this host, or its process on this boot is gone. */
bool owner_is_dead(const struct record_owner *owner, const struct record_owner *self);

/* Sets, in the request that attaches a region, the lease's terms and its owner: the mount, and the calling worker,
 * which outlives a killed supervisor. */
void owner_lease(const struct options *opts, const struct record_owner *self, bool unlinked,
		 struct gvm_region_open_req *what);

/* The writer's state (GVM_WRITER_*) of a region that this mount does not have attached, from a node's answer. NONE if
 * the writer is this mount itself, or is away and proven dead. */
uint8_t owner_judge(const struct record_owner *self, uint8_t writer, const struct gvm_bytes32 *host,
		    const struct gvm_id *process);

#endif
