// SPDX-License-Identifier: GPL-2.0-or-later
/* descriptor_limit.c - a daemon with a connection to each of many peers needs more descriptors than
 * the soft limit that shells and service managers start programs with (often 1024). */
#include "gvm_client.h"

#include <sys/resource.h>

void gvm_descriptors_allow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}
