// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the guests of these tests ask of /dev/giantvm, before there is a cluster.conf in them: node I
 * is at 10.9.0.(I + 1), port 9999.
 *
 *     dsm up ID ROLES [KEY]   ROLES: for each node c (CPU), m (memory) or b (both), such as "bbm"
 *     dsm join NAME KIB | leave NAME | stats NAME | down
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../kmod/uapi/giantvm.h"

#define NODES_MAX 64

static int fd;

static int done(const char *what, int result)
{
	if (result >= 0)
		return 0;
	fprintf(stderr, "dsm: %s: %s\n", what, strerror(errno));
	return 1;
}

static int up(int id, const char *roles, const char *key)
{
	struct giantvm_node nodes[NODES_MAX] = { 0 };
	struct giantvm_up up = {
		.abi = GIANTVM_ABI,
		.id = id,
		.nr_nodes = strlen(roles),
		.nodes = (unsigned long)nodes,
		.key = (unsigned long)key,
		.key_bytes = key ? strlen(key) : 0,
	};
	int i;

	for (i = 0; i < up.nr_nodes && i < NODES_MAX; i++) {
		static const __u8 mapped[16] = { [10] = 0xff, 0xff, 10, 9, 0, 0 };

		nodes[i].id = i;
		nodes[i].port = 9999;
		nodes[i].roles = roles[i] == 'c' ? GIANTVM_ROLE_CPU :
				 roles[i] == 'm' ? GIANTVM_ROLE_MEM :
						   GIANTVM_ROLE_CPU | GIANTVM_ROLE_MEM;
		memcpy(nodes[i].address, mapped, sizeof(mapped));
		nodes[i].address[15] = i + 1;
	}
	return done("up", ioctl(fd, GIANTVM_UP, &up));
}

static int join(const char *name, unsigned long kib)
{
	struct giantvm_region region = { .size_bytes = kib << 10, .open_flags = O_CLOEXEC };

	strncpy(region.name, name, sizeof(region.name) - 1);
	return done("join", ioctl(fd, GIANTVM_JOIN, &region));
}

static int leave(const char *name)
{
	struct giantvm_leave leave = { 0 };

	strncpy(leave.name, name, sizeof(leave.name) - 1);
	return done("leave", ioctl(fd, GIANTVM_LEAVE, &leave));
}

static int stats(const char *name)
{
	struct giantvm_stats s = { 0 };

	strncpy(s.name, name, sizeof(s.name) - 1);
	if (done("stats", ioctl(fd, GIANTVM_STATS, &s)))
		return 1;
	printf("resident %llu read_faults %llu write_faults %llu remote_faults %llu wait_us %llu "
	       "revoked %llu downgraded %llu pin_waits %llu evicted %llu lost %llu\n",
	       s.resident_pages, s.read_faults, s.write_faults, s.remote_faults,
	       s.remote_wait_ns / 1000, s.revoked_pages, s.downgraded_pages, s.pin_waits,
	       s.evicted_pages, s.lost_pages);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	fd = open("/dev/giantvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return done("/dev/giantvm", -1);
	if (!strcmp(what, "up") && argc >= 4)
		return up(atoi(argv[2]), argv[3], argc > 4 ? argv[4] : NULL);
	if (!strcmp(what, "join") && argc == 4)
		return join(argv[2], strtoul(argv[3], NULL, 0));
	if (!strcmp(what, "leave") && argc == 3)
		return leave(argv[2]);
	if (!strcmp(what, "stats") && argc == 3)
		return stats(argv[2]);
	if (!strcmp(what, "down") && argc == 2)
		return done("down", ioctl(fd, GIANTVM_DOWN));
	fprintf(stderr, "usage: dsm up ID ROLES [KEY] | join NAME KIB | leave NAME | stats NAME | down\n");
	return 2;
}
