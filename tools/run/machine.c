// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine.h"

#include "memnode/size.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* With less RAM than that the hole is smaller, and all of it below. */
#define Q35_FROM (11 * GIB / 4)
#define PC_FROM	 (7 * GIB / 2)

/* The type itself, as an alias, or one of its versions. */
static bool is_of(const char *type, const char *alias, const char *versions)
{
	return !strcmp(type, alias) || !strncmp(type, versions, strlen(versions));
}

static const char *default_type(const char *qemu)
{
	const char *name = strrchr(qemu, '/') ? strrchr(qemu, '/') + 1 : qemu;

	return strstr(name, "x86_64") || strstr(name, "i386") || !strcmp(name, "kvm") || !strcmp(name, "qemu-kvm") ? "pc" :
														      "";
}

uint64_t run_machine_low(const char *qemu, const char *type, uint64_t ram, uint64_t most)
{
	uint64_t low;

	if (!type)
		type = default_type(qemu);
	if (is_of(type, "q35", "pc-q35-")) {
		low = ram >= Q35_FROM ? 2 * GIB : Q35_FROM;
		if (most && most < low)
			low = most;
	} else if (is_of(type, "pc", "pc-i440fx-")) {
		low = most ? most : PC_FROM;
		if (ram >= low && low > 3 * GIB)
			low = 3 * GIB;
	} else if (!strcmp(type, "microvm")) {
		low = 3 * GIB;
	} else {
		return 0;
	}
	return ram < low ? ram : low;
}

uint64_t run_machine_plug_gpa(uint64_t ram_bytes, uint64_t low_bytes)
{
	uint64_t end = RUN_HIGH_GPA + (ram_bytes - low_bytes);

	return (end + GIB - 1) / GIB * GIB;
}
