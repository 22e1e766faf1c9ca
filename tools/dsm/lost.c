// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm dsm lost - the lost pages whose home this host is, as ranges that gvm dsm discard takes. */
#include "dsm.h"
#include "giantvm.h"
#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define AT_ONCE 1024

/* Whether this host keeps a share of the pages, and so knows of its losses. */
static bool lends(int device)
{
	struct giantvm_state s;
	bool mem = false;

	if (giantvm_state_get(device, &s))
		return false;
	for (unsigned i = 0; i < s.info.nr_nodes; i++)
		mem |= s.nodes[i].flags & GIANTVM_NODE_SELF && s.nodes[i].node.roles & GIANTVM_ROLE_MEM;
	giantvm_state_free(&s);
	return mem;
}

/* A range that one answer ends with and the next one goes on with is printed as two. */
static int list_print(int fd, uint64_t size_bytes)
{
	static struct giantvm_range ranges[AT_ONCE];
	struct giantvm_lost lost = {.ranges = (uintptr_t)ranges};

	do {
		lost.nr_ranges = AT_ONCE;
		if (ioctl(fd, GIANTVM_LOST, &lost))
			return -errno;
		for (unsigned i = 0; i < lost.nr_ranges; i++)
			printf("%" PRIu64 " %" PRIu64 "\n", (uint64_t)ranges[i].offset_bytes,
			       (uint64_t)ranges[i].size_bytes);
	} while (lost.offset_bytes < size_bytes);
	return 0;
}

int dsm_lost(int device, const char *name)
{
	int fd = giantvm_region_open(name), rc = fd < 0 ? fd : 0;
	struct giantvm_region_info info;

	if (!rc && !lends(device)) {
		say("lost %s: this host lends no memory, and does not know: ask each node with the role mem",
		    name);
		close(fd);
		return 1;
	}
	if (!rc)
		rc = giantvm_region_get(fd, &info);
	if (!rc)
		rc = list_print(fd, info.size_bytes);
	if (fd >= 0)
		close(fd);
	if (rc)
		say("lost %s: %s", name, rc == -ENOENT ? "not joined on this host" : giantvm_why(rc));
	return rc != 0;
}
