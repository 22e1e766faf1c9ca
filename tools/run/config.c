// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "args.h"
#include "argv.h"
#include "qemu_ask.h"
#include "say.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FD_PATH 32

/* A path that the child can open. The descriptor stays open until this process ends. */
static int config_write(const char *text, char path[FD_PATH])
{
	int fd = memfd_create("readconfig", 0);
	size_t bytes = strlen(text);

	if (fd < 0)
		return -errno;
	if (write(fd, text, bytes) != (ssize_t)bytes) {
		close(fd);
		return -EIO;
	}
	snprintf(path, FD_PATH, "/proc/self/fd/%d", fd);
	return 0;
}

int run_config_build(const struct run_args *a, const char *const path[], char ***argv)
{
	char paths[RUN_CONFIGS_MAX][FD_PATH], *text;
	const char *configs[RUN_CONFIGS_MAX] = {NULL};
	int rc = 0;

	for (unsigned i = 0; i < a->configs && !rc; i++) {
		rc = run_args_config(a, i, path, &text);
		if (!rc && text)
			rc = config_write(text, paths[i]);
		if (!rc && text)
			configs[i] = paths[i];
		free(text);
	}
	if (!rc)
		rc = run_args_build(a, path, configs, argv);
	if (rc == -EINVAL)
		say("a file of -readconfig cannot hold the region's path: its name has quotes, or "
		    "is "
		    "too long");
	else if (rc)
		say("%s", strerror(-rc));
	return rc;
}

int run_config_read(struct run_args *a, char *const argv[], bool pinning_allowed)
{
	struct qemu_facts facts = {.ask = qemu_ask, .qemu = argv[0]};
	char err[RUN_ERR_TEXT], config[PATH_MAX];
	bool configured = qemu_user_config(argv[0], config);
	int rc = run_args_parse(a, argv, &facts, configured ? config : NULL, pinning_allowed, err);

	qemu_facts_deinit(&facts);
	if (rc)
		say("%s", *err ? err : strerror(-rc));
	return rc;
}
