// SPDX-License-Identifier: GPL-2.0-or-later
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool program_find(const char *name, char path[PATH_MAX])
{
	const char *search = getenv("PATH");

	if (strchr(name, '/') || !search)
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && access(path, X_OK) == 0;
	while (*search) {
		int n = (int)strcspn(search, ":");

		if (snprintf(path, PATH_MAX, "%.*s/%s", n, search, name) < PATH_MAX &&
		    access(path, X_OK) == 0)
			return true;
		search += n + (search[n] == ':');
	}
	return false;
}
