// SPDX-License-Identifier: GPL-2.0-or-later
#include "meminfo.h"

#include "memnode/size.h"

#include <stdio.h>

void meminfo_read(uint64_t *total_bytes, uint64_t *available_bytes)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib;
	char line[128];

	*total_bytes = *available_bytes = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemTotal: %llu", &kib) == 1)
			*total_bytes = kib * KIB;
		else if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			*available_bytes = kib * KIB;
	}
	if (f)
		fclose(f);
}
