// SPDX-License-Identifier: GPL-2.0-or-later
/* rlimits.c - see rlimits.h. */
#include "rlimits.h"

#include "gvm_client.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>

static bool is_limited(int resource)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

void limits_lift(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	gvm_descriptors_allow();
	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) == 0 || getrlimit(RLIMIT_FSIZE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
}

const char *limits_hint(int err)
{
	switch (err) {
	case -EMFILE:
		return " (ulimit -n)";
	case -EFBIG:
		return " (ulimit -f: memory of gvmfs counts as files)";
	case -ENOMEM:
		return is_limited(RLIMIT_AS) ? " (ulimit -v)" : "";
	default:
		return "";
	}
}
