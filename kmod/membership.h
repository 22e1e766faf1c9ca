/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cluster that this node is part of. One mutex guards it and the set of joined regions; it is
 * dropped while a call waits for answers of other nodes, or for pages to go home.
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

/*
 * Takes the mutex, and returns the cluster, which stays while it is held; NULL: none, or going
 * down.
 */
struct gvm_cluster *gvm_membership_lock(void);
void gvm_membership_unlock(void);

#endif
