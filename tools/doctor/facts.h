/* SPDX-License-Identifier: GPL-2.0-or-later */
/* facts.h - what gvm doctor has found on this host, before anything is made of it (judge.h). */
#ifndef TOOLS_DOCTOR_FACTS_H
#define TOOLS_DOCTOR_FACTS_H

#include "tools/node_figures.h"

#include <stdbool.h>
#include <stdint.h>

#define DOCTOR_WORD 48

enum doctor_have {
	HAVE_UNKNOWN, /* not asked: a copy of /proc and /sys does not tell */
	HAVE_NO,
	HAVE_DENIED, /* there, and not for this user */
	HAVE_YES,
};

enum doctor_cpu { CPU_PLAIN, CPU_INTEL, CPU_AMD }; /* what virtualises in hardware */

struct doctor_facts {
	char release[65];
	bool root;
	enum doctor_have fuse, fuse_helper, uffd, kvm, giantvm;
	enum doctor_cpu cpu;
	bool in_guest; /* this host is a virtual machine */
	char nested[DOCTOR_WORD], thp[DOCTOR_WORD], shmem_thp[DOCTOR_WORD],
		clocksource[DOCTOR_WORD];   /* "": not there */
	uint64_t descriptors;		    /* the hard limit */
	uint64_t locked_bytes;		    /* the soft limit; UINT64_MAX: none */
	int cgroup;			    /* which version has the memory controller; 0: none */
	uint64_t receive_bytes, send_bytes; /* what TCP may take for one connection; 0: not known */
	int synchronised;		    /* the clock, by the network; -1: not known */
	uint64_t memory_bytes, available_bytes;
	int overcommit; /* vm.overcommit_memory; -1: not known */
};

struct doctor_node {
	const char *address;
	int error;		   /* a negative errno: it was not asked to the end */
	struct node_reason reason; /* what the connection said */
	char interface[DOCTOR_WORD];
	unsigned mtu;		     /* 0: not known */
	uint64_t round_ns;	     /* the median of some */
	uint64_t put_mb_s, get_mb_s; /* 0: not measured, or too little room */
	uint64_t capacity_bytes, free_bytes;
};

#endif
