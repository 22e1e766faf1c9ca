// SPDX-License-Identifier: GPL-2.0
/* The cluster that this node is part of: see membership.h. */
#include "membership.h"

struct membership membership = {
	.mutex = __MUTEX_INITIALIZER(membership.mutex),
};

struct gvm_cluster *membership_lock(void)
{
	mutex_lock(&membership.mutex);
	return membership.going_down ? NULL : membership.cluster;
}

void membership_unlock(void)
{
	mutex_unlock(&membership.mutex);
}
