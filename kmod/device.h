/* SPDX-License-Identifier: GPL-2.0 */
/* /dev/giantvm: see uapi/giantvm.h. */
#ifndef GVM_DEVICE_H
#define GVM_DEVICE_H

struct gvm_cluster;

int device_init(void);
void device_exit(void);

/*
 * The mutex under which regions come and go, and the cluster, which stays as it is while it is
 * held; NULL: this node is not up, or is leaving it.
 */
struct gvm_cluster *cluster_lock(void);
void cluster_unlock(void);

#endif
