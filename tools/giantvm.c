// SPDX-License-Identifier: GPL-2.0-or-later
#include "giantvm.h"

#include "say.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICE "/dev/giantvm"
#define ROOM_TRIES 4 /* for what grows between two calls */

static int call(int fd, unsigned long command, void *argument)
{
	int result = ioctl(fd, command, argument);

	return result < 0 ? -errno : result;
}

static const char *why_not_open(int err)
{
	switch (err) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return "the kernel module is not loaded (modprobe giantvm_kvm)";
	case EACCES:
	case EPERM:
		return "this needs root";
	default:
		return strerror(err);
	}
}

int giantvm_open(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC), err;
	struct giantvm_info info = {0};

	if (fd < 0) {
		err = errno;
		say("%s: %s", DEVICE, why_not_open(err));
		return -err;
	}
	err = call(fd, GIANTVM_INFO, &info);
	if (!err && info.abi != GIANTVM_ABI)
		err = -EPROTONOSUPPORT;
	if (!err)
		return fd;
	close(fd);
	if (err == -EPERM)
		say("%s: %s", DEVICE, why_not_open(EPERM));
	else if (err == -EPROTONOSUPPORT)
		say("the kernel module speaks version %u of its interface, this program %u: install "
		    "both from the same release", info.abi, GIANTVM_ABI);
	else
		say("%s is not of a module that this program knows: %s", DEVICE, strerror(-err));
	return err;
}

void giantvm_version(char text[static GIANTVM_VERSION_TEXT])
{
	FILE *f = fopen("/sys/module/giantvm_kvm/version", "re");

	text[0] = 0;
	if (!f)
		return;
	if (!fgets(text, GIANTVM_VERSION_TEXT, f))
		text[0] = 0;
	text[strcspn(text, "\n")] = 0;
	fclose(f);
}

int giantvm_state_get(int device, struct giantvm_state *state)
{
	unsigned nodes = 64, regions = 64;
	int err;

	for (int i = 0; i < ROOM_TRIES; i++) {
		memset(state, 0, sizeof(*state));
		state->nodes = calloc(nodes, sizeof(*state->nodes));
		state->regions = calloc(regions, sizeof(*state->regions));
		state->info.nr_nodes = (uint16_t)nodes;
		state->info.nr_regions = regions;
		state->info.nodes = (uintptr_t)state->nodes;
		state->info.regions = (uintptr_t)state->regions;
		err = state->nodes && state->regions ? call(device, GIANTVM_INFO, &state->info)
						     : -ENOMEM;
		if (!err && state->info.nr_nodes <= nodes && state->info.nr_regions <= regions)
			return 0;
		nodes = state->info.nr_nodes + 1u;
		regions = state->info.nr_regions + 1u;
		giantvm_state_free(state);
		if (err)
			return err;
	}
	return -EAGAIN;
}

void giantvm_state_free(struct giantvm_state *state)
{
	free(state->nodes);
	free(state->regions);
	state->nodes = NULL;
	state->regions = NULL;
}

int giantvm_name_set(const char *name, char out[GIANTVM_NAME_BYTES])
{
	static const char alphabet[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strlen(name);

	if (!n || n >= GIANTVM_NAME_BYTES || name[0] == '.' || strspn(name, alphabet) != n)
		return -EINVAL;
	memset(out, 0, GIANTVM_NAME_BYTES);
	memcpy(out, name, n);
	return 0;
}

int giantvm_lookup(int device, const char *name, unsigned wait_ms, uint64_t *bytes)
{
	struct giantvm_lookup lookup = {.wait_ms = wait_ms};
	int err = giantvm_name_set(name, lookup.name);

	if (!err)
		err = call(device, GIANTVM_LOOKUP, &lookup);
	*bytes = lookup.size_bytes;
	return err;
}

static int region_call(int device, unsigned long command, const char *name, uint64_t bytes,
		       unsigned wait_ms, const struct giantvm_homes *homes)
{
	struct giantvm_region region = {.size_bytes = bytes,
					.open_flags = O_CLOEXEC,
					.wait_ms = wait_ms,
					.nr_homes = (uint16_t)homes->nr};
	int err = giantvm_name_set(name, region.name);

	memcpy(region.homes, homes->ids, homes->nr * sizeof(*homes->ids));
	return err ? err : call(device, command, &region);
}

int giantvm_create(int device, const char *name, uint64_t bytes, unsigned wait_ms,
		   const struct giantvm_homes *homes)
{
	return region_call(device, GIANTVM_CREATE, name, bytes, wait_ms, homes);
}

int giantvm_join(int device, const char *name, uint64_t bytes, unsigned wait_ms)
{
	static const struct giantvm_homes its_own;

	return region_call(device, GIANTVM_JOIN, name, bytes, wait_ms, &its_own);
}

const char *giantvm_why(int err)
{
	switch (-err) {
	case ENOTCONN:
		return "this host is no node of a cluster (gvm dsm up)";
	case EEXIST:
		return "it has another size, or there is another one of that name, here or on another "
		       "node (gvm dsm status, leave)";
	case ENOENT:
		return "no node that lends memory has it (gvm dsm create)";
	case EHOSTUNREACH:
		return "not every node that lends memory answers (gvm dsm status; create --wait 0 does "
		       "not wait for them)";
	case EINPROGRESS:
		return "the host that creates it has not done so, or ended before: then leave it on all "
		       "nodes that lend memory (gvm dsm leave), and create it anew";
	case EREMOTEIO:
		return "a node that lends memory cannot join it: its kernel's log says why";
	case EAGAIN:
		return "a node that lends memory began anew meanwhile: try again";
	case ENOSPC:
		return "its share is more than a node that lends memory has left of what it lends (the "
		       "module's lend_mb; kernel's log), or too many regions are joined";
	case E2BIG:
		return "the directory of this host's share of it does not fit into a quarter of its "
		       "memory";
	case EADDRNOTAVAIL:
		return "one of its homes is no node that lends memory in this host's list, or is there "
		       "twice (gvm dsm status)";
	case EADDRINUSE:
		return "its messages would look like those of a region that is joined (create it anew)";
	case EINVAL:
		return "not a name for a region, or not a size in pages";
	case EALREADY:
		return "this host is leaving it, and not yet done";
	case EOPNOTSUPP:
		return "this host's KVM uses shadow pages, with which a guest's memory would not be "
		       "coherent: load it with ept=1 or npt=1 (the kernel's log says more)";
	case EINTR:
		return "interrupted";
	default:
		return strerror(-err);
	}
}

bool giantvm_path(const char *name, char path[static PATH_MAX])
{
	char sound[GIANTVM_NAME_BYTES];
	struct stat st;

	if (giantvm_name_set(name, sound))
		return false;
	snprintf(path, PATH_MAX, "/dev/gvm/%s", sound);
	return !stat(path, &st) && S_ISCHR(st.st_mode) && !access(path, R_OK | W_OK);
}

int giantvm_region_open(const char *name)
{
	char path[PATH_MAX];
	int fd = giantvm_path(name, path) ? open(path, O_RDWR | O_CLOEXEC) : -1;

	return fd < 0 ? -ENOENT : fd;
}

int giantvm_region_mappable(int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, page);
	return 0;
}

int giantvm_region_get(int fd, struct giantvm_region_info *info)
{
	memset(info, 0, sizeof(*info));
	return call(fd, GIANTVM_REGION_INFO, info);
}

const char *giantvm_node_addr(const struct giantvm_node *node, char text[GIANTVM_ADDR_TEXT])
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
	bool v4 = !memcmp(node->address, mapped, sizeof(mapped));
	char ip[INET6_ADDRSTRLEN];

	inet_ntop(v4 ? AF_INET : AF_INET6, node->address + (v4 ? sizeof(mapped) : 0), ip,
		  sizeof(ip));
	snprintf(text, GIANTVM_ADDR_TEXT, v4 ? "%s:%u" : "[%s]:%u", ip, node->port);
	return text;
}

int giantvm_stats_get(int device, const char *name, struct giantvm_stats *stats)
{
	int rc;

	memset(stats, 0, sizeof(*stats));
	rc = giantvm_name_set(name, stats->name);
	if (!rc && ioctl(device, GIANTVM_STATS, stats))
		rc = -errno;
	return rc;
}
