// SPDX-License-Identifier: GPL-2.0-or-later
#include "walks.h"

#include "memnode/file.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Whether a module's parameter is on, Y or 1; false where there is none. */
static bool is_on(const char *modules, const char *parameter)
{
	char path[PATH_MAX], text[8] = "";

	snprintf(path, sizeof(path), "%s/%s", modules, parameter);
	return !file_text(path, text, sizeof(text)) && strchr("Y1", text[0]) && text[0];
}

const char *run_walks_write(const char *modules)
{
	/* Without nested paging nothing walks them but KVM, which is refused elsewhere. */
	if (is_on(modules, "kvm_amd/parameters/npt"))
		return "AMD's processors write to a guest's page tables when they walk them, so that hosts take them from each "
		       "other until next to nothing else is done (--force, to see it)";
	if (is_on(modules, "kvm_intel/parameters/ept") && is_on(modules, "kvm_intel/parameters/eptad"))
		return "this host's processor writes to a guest's page tables when it walks them, so that hosts take them from "
		       "each other until next to nothing else is done: modprobe -r kvm_intel && modprobe kvm_intel eptad=0 (or "
		       "--force)";
	return NULL;
}
