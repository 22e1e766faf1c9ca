// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_vcpu_map.c - a map of vCPUs as a user may write it: what is taken has one shortest text.
 *
 * fuzz-sources: qemu/vcpu_map.c qemu/vcpu_wire.c
 */
#include "fuzz.h"
#include "qemu/vcpu_map.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[VCPU_MAP_ERROR_BYTES] = "", text[VCPU_MAP_TEXT_BYTES];
	char *given = malloc(size + 1);
	struct vcpu_map map, again;
	int err;

	FUZZ_CHECK(given);
	memcpy(given, data, size);
	given[size] = 0;
	err = vcpu_map_parse(given, &map, error);
	free(given);
	FUZZ_CHECK(err == 0 || err == -EINVAL);
	if (err) {
		FUZZ_CHECK(*error);
		for (const char *c = error; *c; c++)
			FUZZ_CHECK(*c >= ' ' && *c <= '~');
		return 0;
	}
	FUZZ_CHECK(!*error && map.cpus && map.nodes && map.cpus <= VCPU_CPUS_MAX &&
		   map.nodes <= map.cpus);
	for (unsigned cpu = 0; cpu < map.cpus; cpu++)
		FUZZ_CHECK(map.node[cpu] < map.nodes);
	vcpu_map_text(&map, text);
	FUZZ_CHECK(!vcpu_map_parse(text, &again, error) && !memcmp(&map, &again, sizeof(map)));
	return 0;
}
