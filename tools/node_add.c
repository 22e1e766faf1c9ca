// SPDX-License-Identifier: GPL-2.0-or-later
/* node_add.c - see node_add.h. */
#include "node_add.h"

#include "fsstats.h"
#include "gvmfs/gvm_mount.h"
#include "memnode/addr.h"
#include "memnode/gvm_client.h"
#include "mounts.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define TRIES	 300 /* while the name table is brought to the nodes that were added before */
#define PAUSE_NS 100000000l

static const char *reason(int error)
{
	switch (error) {
	case EINVAL:
		return "not an ADDRESS:PORT, or not the root of a mount";
	case EHOSTUNREACH:
		return "it does not answer";
	case EACCES:
		return "it does not take this mount in: another key, or the one is with TLS and the other is not";
	case EPERM:
		return "it is beyond this host's loopback, and the mount does not seal what it sends: mount with --seal, or "
		       "with --no-seal";
	case ENOSPC:
		return "the mount has as many nodes as it can";
	case EAGAIN:
		return "a majority of the mount's nodes does not answer, or not have the whole name table yet";
	case EOPNOTSUPP:
		return "this needs Linux 6.9, and that the mount's supervisor lives";
	default:
		return strerror(error);
	}
}

/* 0 or an errno. */
static int add(const char *root, const char *addr, const char *rack)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	char value[sizeof(((struct gvm_cluster_node *)NULL)->addr) + GVM_RACK_MAX + 2];

	snprintf(value, sizeof(value), "%s%s%s", addr, *rack ? " " : "", rack);
	for (int i = 0;; i++) {
		if (!setxattr(root, GVM_XATTR_NODE, value, strlen(value), 0))
			return 0;
		if (errno != EAGAIN || i == TRIES)
			return errno;
		nanosleep(&pause, NULL);
	}
}

/* The next one waits for that, too; so that who adds one can rely on it. */
static void even_wait(const char *root)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	static char text[FSSTATS_TEXT];

	for (int i = 0; i < TRIES && !fsstats_read(root, text) && !fsstats_get(text, "names_even"); i++)
		nanosleep(&pause, NULL);
}

static int add_and_say(const char *root, const char *addr, const char *rack)
{
	struct addr parsed;
	int error = addr_parse(addr, &parsed) ? EINVAL : add(root, addr, rack); /* (behind a blank it would be a rack's name) */

	if (!error) {
		even_wait(root);
		printf("%s: added to %s\n", addr, root);
	} else if (error == EEXIST) {
		printf("%s: %s has it\n", addr, root);
	} else {
		say("%s: %s", addr, reason(error));
		return 1;
	}
	return 0;
}

/* The folder of a mount that `dir` is in. */
static int root_find(const char *dir, char root[PATH_MAX])
{
	char err[MOUNTS_ERR_TEXT];
	int rc = mounts_find(dir, root, err);

	if (rc)
		say("%s", err);
	return rc;
}

int node_add(const char *dir, const char *conf, char **addresses, int count)
{
	struct gvm_cluster_node *nodes = NULL;
	char root[PATH_MAX], err[128] = "";
	unsigned listed = 0;
	int status = 0, rc = 0;

	if (root_find(dir, root))
		return 1;
	if (faccessat(AT_FDCWD, root, W_OK, AT_EACCESS)) {
		say("%s: nodes are added by root, or by the user who mounted it: %s", root, strerror(errno));
		return 1;
	}
	if (conf)
		rc = gvm_cluster_load(conf, &nodes, &listed, err);
	if (rc) {
		say("%s: %s", conf, *err ? err : strerror(-rc));
		return 1;
	}
	for (unsigned i = 0; i < listed; i++)
		if (nodes[i].mem)
			status |= add_and_say(root, nodes[i].addr, nodes[i].rack);
	for (int i = 0; i < count; i++)
		status |= add_and_say(root, addresses[i], "");
	free(nodes);
	return status;
}
