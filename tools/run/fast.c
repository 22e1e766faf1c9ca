// SPDX-License-Identifier: GPL-2.0-or-later
#include "fast.h"

#include "gvmfs/gvm_mount.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PRELOAD	  "libgvm-preload.so"

/* As enum run_mode has them, and GVM_MODE. */
static const char *const mode_names[] = {"auto", "fuse", "uffd", "kernel"};

int run_mode_parse(const char *text, enum run_mode *mode)
{
	for (unsigned i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++)
		if (!strcmp(text, mode_names[i])) {
			*mode = (enum run_mode)i;
			return 0;
		}
	return -EINVAL;
}

/* The library: where GVM_PRELOAD says, where it was installed, or beside this program in a build folder. */
static bool preload_find(char path[PATH_MAX])
{
	static const char *const places[] = {"%.*s/../qemu/" PRELOAD, "%.*s/../lib/gvm/" PRELOAD};
	const char *named = getenv("GVM_PRELOAD");
	char self[PATH_MAX], try[PATH_MAX * 2];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;

	if (named)
		return realpath(named, path) != NULL;
	for (unsigned i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(try, sizeof(try), places[i], (int)(slash - self), self);
		if (realpath(try, path))
			return true;
	}
	/* Only now: a realpath() that fails leaves in `path` how far it came. */
	snprintf(path, PATH_MAX, "%s/gvm/" PRELOAD, GVM_LIBDIR);
	return access(path, R_OK) == 0;
}

static bool has_text(const char *path, const char *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool found = false;
	void *p;

	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && st.st_size > 0) {
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p != MAP_FAILED) {
			found = memmem(p, (size_t)st.st_size, text, strlen(text)) != NULL;
			munmap(p, (size_t)st.st_size);
		}
	}
	close(fd);
	return found;
}

static int preload_add(const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char *both;
	int rc;

	if (!before || !*before)
		return setenv("LD_PRELOAD", library, 1) ? -errno : 0;
	if (asprintf(&both, "%s:%s", library, before) < 0)
		return -ENOMEM;
	rc = setenv("LD_PRELOAD", both, 1) ? -errno : 0;
	free(both);
	return rc;
}

int run_fast_prepare(enum run_mode mode, const char *qemu, bool templates, const char **why)
{
	char program[PATH_MAX], library[PATH_MAX];

	*why = NULL;
	if (setenv("GVM_MODE", mode_names[mode], 1))
		return -errno;
	if (mode == RUN_MODE_FUSE)
		*why = "--mode fuse";
	/* a QEMU with the backend built in has the attribute's name in its text */
	if (!templates && (mode == RUN_MODE_FUSE ||
			   (program_find(qemu, program) && has_text(program, GVM_XATTR_ATTACH))))
		return 0;
	if (!preload_find(library))
		*why = *why ? *why : PRELOAD " is not installed";
	else if (strpbrk(library, ": "))
		*why = *why ? *why : "the path of " PRELOAD " has a blank or a colon in it, which LD_PRELOAD cannot hold";
	else
		return preload_add(library);
	return mode == RUN_MODE_UFFD ? -ENOENT : 0;
}

int run_fast_budget(const char *path, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	return setxattr(path, GVM_XATTR_LOCAL, text, strlen(text), 0) ? -errno : 0;
}

uint64_t run_fast_budget_get(const char *path)
{
	char text[32] = "";

	if (getxattr(path, GVM_XATTR_LOCAL, text, sizeof(text) - 1) <= 0)
		return 0;
	return strtoull(text, NULL, 10);
}
