// SPDX-License-Identifier: GPL-2.0-or-later
/* node_list.c - see node_list.h. */
#include "node_list.h"

#include "fsstats.h"
#include "gvmfs/gvm_mount.h"
#include "json_out.h"
#include "mounts.h"
#include "say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#define LIST_BYTES (32u << 10)

static void node_json(struct json_object *list, const char *address, const char *state)
{
	struct json_object *o = json_object_new_object();

	json_text(o, "address", address);
	json_flag(o, "connected", !strcmp(state, "connected"));
	json_object_array_add(list, o);
}

int node_list(const char *dir, bool json)
{
	char root[PATH_MAX], err[MOUNTS_ERR_TEXT], *save, *state;
	static char text[LIST_BYTES];
	struct json_object *list = NULL;
	ssize_t n;

	if (mounts_find(dir, root, err)) {
		say("%s", err);
		return 1;
	}
	n = getxattr(root, GVM_XATTR_NODES, text, sizeof(text) - 1);
	if (n < 0) {
		say("%s: %s", root,
		    errno == ENODATA ? "its gvmfs is of a version that does not tell"
				     : fsstats_error(-errno));
		return 1;
	}
	text[n] = '\0';
	if (json)
		list = json_object_new_array();
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		state = strchr(line, ' ');
		if (!state)
			continue;
		*state++ = '\0';
		if (list)
			node_json(list, line, state);
		else
			printf("%-9s  %s\n", state, line);
	}
	if (list)
		json_show(list);
	return 0;
}
