/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hosts.h - gvm run --cpus: a guest whose vCPUs run on several hosts. Prints each host's command line, or runs this
 * host's, or runs all of them over ssh(1).
 */
#ifndef TOOLS_RUN_HOSTS_H
#define TOOLS_RUN_HOSTS_H

#include <stdbool.h>

struct run_hosts_options {
	const char *cpus;   /* COUNT@HOST,... */
	const char *region; /* of the kernel mode; NULL: the RAM is a file that the command line names */
	const char *conf, *key; /* NULL: the usual place */
	unsigned port;	    /* where a host has none of its own; 0: the usual one */
	int node;	    /* which of the hosts this one is; -1: none is to be run */
	bool ssh, force;
};

/* With QEMU's command line. The exit status; errors have been said. With `node` it becomes QEMU, and does not return. */
int run_hosts(const struct run_hosts_options *o, char **argv);

#endif
