// SPDX-License-Identifier: GPL-2.0
/* The cluster that this node is part of: see membership.h. */
#include "membership.h"

struct membership gvm_membership = {
	.mutex = __MUTEX_INITIALIZER(gvm_membership.mutex),
};

struct gvm_cluster *gvm_membership_lock(void)
{
	const struct membership *is = &gvm_membership;

	mutex_lock(&gvm_membership.mutex);
	return is->going_down ? NULL : is->cluster;
}

void gvm_membership_unlock(void)
{
	mutex_unlock(&gvm_membership.mutex);
}
