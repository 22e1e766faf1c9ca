// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memory.c - see memory.h. All of it is for a warning: a limit that cannot be read (a container
 * without /proc or /sys) is skipped.
 */
#include "memory.h"
#include "../file.h"
#include "log.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool number_read(const char *path, unsigned long long *bytes)
{
	FILE *f = fopen(path, "re");
	bool found = f && fscanf(f, "%llu", bytes) == 1; /* "max" means no limit */

	if (f)
		fclose(f);
	return found;
}

/* The lowest limit of a group and its ancestors. */
static unsigned long long group_limit(const char *mount, char *group, const char *file)
{
	unsigned long long lowest = ULLONG_MAX, bytes;
	char path[PATH_MAX], *slash;

	for (;;) {
		snprintf(path, sizeof(path), "%s%s/%s", mount, strcmp(group, "/") ? group : "", file);
		if (number_read(path, &bytes) && bytes < lowest)
			lowest = bytes;
		slash = strrchr(group, '/');
		if (!slash || !group[1])
			return lowest;
		slash[slash == group] = 0;
	}
}

static unsigned long long groups_limit(void)
{
	unsigned long long lowest = ULLONG_MAX, bytes;
	char line[PATH_MAX], group[PATH_MAX], controllers[256];
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "0::%4095[^\n]", group) == 1)
			bytes = group_limit("/sys/fs/cgroup", group, "memory.max");
		else if (sscanf(line, "%*u:%255[^:]:%4095[^\n]", controllers, group) == 2 &&
			 !strcmp(controllers, "memory"))
			bytes = group_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
		else
			continue;
		lowest = bytes < lowest ? bytes : lowest;
	}
	if (f)
		fclose(f);
	return lowest;
}

static unsigned long long machine_has(const char *what)
{
	char text[4096];

	if (file_text("/proc/meminfo", text, sizeof(text)) || !text_field(text, what))
		return ULLONG_MAX;
	return text_number(text, what) << 10;
}

void memory_warn(uint64_t lent_bytes)
{
	unsigned long long lent = lent_bytes, limit = groups_limit(), total = machine_has("MemTotal:"),
			   available = machine_has("MemAvailable:");

	if (total < lent)
		log_line("warning: lends %llu MiB, but this machine has %llu MiB in all", lent >> 20,
			 total >> 20);
	else if (available < lent)
		log_line("warning: lends %llu MiB, but only %llu MiB are available here", lent >> 20,
			 available >> 20);
	if (limit < lent)
		log_line("warning: lends %llu MiB, but its control group may have %llu MiB: the kernel "
			 "ends it when guests fill more",
			 lent >> 20, limit >> 20);
}
