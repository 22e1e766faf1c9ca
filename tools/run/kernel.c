// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm run in the kernel mode. There is nothing to keep within a budget, and nothing to clear up: the
 * module evicts what is over its bound, and the region stays, as other hosts use it. QEMU gets the
 * region by a descriptor, which is a file to it: unlike /dev/gvm/NAME it lets a balloon punch holes.
 */
#include "kernel.h"

#include "args.h"
#include "argv.h"
#include "config.h"
#include "file.h"
#include "giantvm.h"
#include "memnode/size.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS	  10000
#define PATH_TEXT 32

bool run_kernel_possible(const char *name)
{
	int fd = giantvm_region_open(name), rc;
	struct giantvm_region_info info;

	if (fd < 0)
		return false;
	rc = giantvm_region_get(fd, &info);
	close(fd);
	return !rc && info.abi == GIANTVM_ABI;
}

/* A path that QEMU can open, of a descriptor that it inherits. */
static int region_path(int device, const char *name, uint64_t bytes, char path[PATH_TEXT])
{
	static const struct giantvm_homes some;
	int fd = giantvm_join(device, name, bytes, WAIT_MS), rc;

	if (fd == -ENOENT) /* NAME is there, but not yet NAME.ID for a RAM of its own */
		fd = giantvm_create(device, name, bytes, WAIT_MS, &some);
	if (fd == -EEXIST) /* another host was first */
		fd = giantvm_join(device, name, bytes, WAIT_MS);
	if (fd < 0) {
		say("region %s: %s", name, giantvm_why(fd));
		return fd;
	}
	rc = giantvm_region_mappable(fd);
	if (rc) {
		say("region %s: %s", name, giantvm_why(rc));
		close(fd);
		return rc;
	}
	if (fcntl(fd, F_SETFD, 0))
		return -errno;
	snprintf(path, PATH_TEXT, "/proc/self/fd/%d", fd);
	return 0;
}

static int regions_join(const struct run_args *args, const char *name,
			char paths[RUN_REGIONS_MAX][PATH_TEXT])
{
	int device = giantvm_open(), rc = device < 0 ? device : 0;

	for (unsigned i = 0; i < args->rams && !rc; i++) {
		char own[PATH_MAX];

		snprintf(own, sizeof(own), run_args_ram_has_suffix(args, i) ? "%s.%s" : "%s", name, args->ram[i].id);
		rc = region_path(device, own, args->ram[i].bytes, paths[i]);
	}
	if (device >= 0)
		close(device);
	return rc;
}

/* What the command line names for the RAM is left out; or it holds what the guest would need. */
static int files_decide(struct run_args *args)
{
	char err[RUN_FILE_ERR_TEXT];
	int rc = 0;

	for (unsigned i = 0; i < args->rams && !rc; i++) {
		rc = run_file_decide(args, i, NULL, err);
		if (!rc && args->ram[i].kept) {
			snprintf(err, sizeof(err), "%s is a region of gvmfs, not one of this mode",
				 args->ram[i].file);
			rc = -EINVAL;
		}
	}
	if (rc)
		say("%s", rc == -ENOMEM ? strerror(ENOMEM) : err);
	return rc;
}

static void say_start(const struct run_args *args, const char *name, const char *accel)
{
	char version[GIANTVM_VERSION_TEXT], ram[SIZE_TEXT];
	uint64_t bytes = 0;

	for (unsigned i = 0; i < args->rams; i++)
		bytes += args->ram[i].bytes;
	for (unsigned i = 0; i < args->notes.count; i++)
		say("%s", args->notes.text[i]);
	giantvm_version(version);
	say("mode kernel, since %s is a region of giantvm_kvm %s; %s; %s of RAM, shared with every "
	    "host that joins it", name, version, accel, size_text(bytes, ram));
}

int run_kernel(struct run_args *args, const char *name, const char *accel)
{
	static char texts[RUN_REGIONS_MAX][PATH_TEXT];
	const char *paths[RUN_REGIONS_MAX];
	char **argv;

	if (files_decide(args) || regions_join(args, name, texts))
		return 1;
	for (unsigned i = 0; i < args->rams; i++)
		paths[i] = texts[i];
	if (run_config_build(args, paths, &argv))
		return 1;
	setenv("GVM_MODE", "kernel", 1); /* for a QEMU with the backend built in */
	say_start(args, name, accel);
	execvp(argv[0], argv);
	say("%s: cannot be started: %s", argv[0], strerror(errno));
	return 1;
}
