/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What this node is part of. It, and which regions there are, changes under one mutex alone, which
 * is let go of for what takes long: the answers of other nodes, and pages on their way home.
 */
#ifndef GVM_MEMBERSHIP_H
#define GVM_MEMBERSHIP_H

#include <linux/mutex.h>

struct gvm_cluster;

struct membership {
	struct mutex mutex;
	struct gvm_cluster *cluster; /* NULL: none */
	bool going_down; /* the cluster and all regions are being left */
};

extern struct membership gvm_membership;

/* Takes the mutex. The cluster, which stays as it is while that is held; NULL: none, or going. */
struct gvm_cluster *gvm_membership_lock(void);
void gvm_membership_unlock(void);

#endif
