/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpus.h - a guest whose vCPUs run on several hosts (--cpus): which host runs which, and the command line of each host's
 * QEMU, which has the object dsm-vcpus (qemu/README.md). Pure: nothing is looked up.
 *
 * The first host is node 0: it has all devices, and what the guest boots. The others' command lines have of the user's
 * what makes the machine, and no more.
 */
#ifndef TOOLS_RUN_CPUS_H
#define TOOLS_RUN_CPUS_H

#include "command.h"

#define RUN_CPUS_MAX  255 /* vCPUs, and therefore hosts */
#define RUN_HOST_TEXT 160

struct run_host {
	char text[RUN_HOST_TEXT]; /* as it was given: a name, an address, a node's number; with a port perhaps */
	char name[RUN_HOST_TEXT]; /* the same without the port; the caller's, as are the next two */
	char ip[64];
	unsigned port;
	unsigned cpus;
};

struct run_cpus {
	unsigned cpus, hosts;
	struct run_host host[RUN_CPUS_MAX];
};

/* "4@host0,4@10.0.0.2:9998". 0, or -EINVAL and a sentence in err. */
int run_cpus_parse(struct run_cpus *c, const char *text, char err[RUN_ERR_TEXT]);
/* "0-3", of one host. */
void run_cpus_of(const struct run_cpus *c, unsigned node, char text[32]);

/*
 * Whether a guest with this command line can run so: -EINVAL where it does not fit the hosts, -EOPNOTSUPP where it asks
 * for what several hosts cannot do; with a sentence in err.
 */
int run_cpus_check(const struct run_cpus *c, const struct run_args *a, char err[RUN_ERR_TEXT]);

/* Node `node`'s command line, with the RAM as it stands in `a`. The hosts have addresses. To be freed by
 * run_args_free_argv(). 0 or -ENOMEM. */
int run_cpus_build(const struct run_cpus *c, const struct run_args *a, unsigned node, const char *key, char ***argv);

/* The words as a shell reads them, to be freed; NULL: no memory. */
char *run_cpus_shell(char *const argv[]);

#endif
