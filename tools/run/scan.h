/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan.h - what single options say about a guest's RAM. For args.c alone. Pure.
 *
 * An option on the command line and a group of a config file are taken by the same functions. Only
 * the options that are handled here are ever looked into, so that what is not known does no harm.
 */
#ifndef TOOLS_RUN_SCAN_H
#define TOOLS_RUN_SCAN_H

#include "command.h"

/* A memory backend that some -object makes, RAM or not. */
struct run_backend {
	char *id;
	struct run_place at;
	struct qemu_opts o;
};

/* A DIMM or virtio-mem device. */
struct run_plug {
	uint64_t gpa;	      /* that it asks for; 0: QEMU chooses */
	uint64_t align_bytes; /* of one that QEMU chooses */
};

struct run_scan {
	struct run_args *a;
	char *err;
	bool pinning_allowed;
	uint64_t m_bytes, machine_bytes; /* of -m, of -machine memory.size=; 0: not given */
	uint64_t machine_most; /* of -machine max-ram-below-4g=; 0: not given */
	char *machine_type, *machine_backend;
	unsigned backends;
	struct run_backend *backend;
	unsigned numa_ids;
	char *numa_id[RUN_REGIONS_MAX];
	unsigned plugged_ids; /* the memdev of DIMMs and virtio-mem devices */
	char *plugged_id[RUN_REGIONS_MAX];
	struct run_plug plug[RUN_REGIONS_MAX];
	unsigned set_ids; /* of -set object.ID.… */
	char *set_id[RUN_REGIONS_MAX];
};

/* Notes the sentence, and gives `rc` for the caller to return. */
int run_scan_refuse(struct run_scan *s, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* True if an option of that name, without dashes, says anything that counts here. */
bool run_scan_handles(const char *name);
/* Takes an option's argument, or (`group`) a config file's group of that name. As run_args_parse().
 */
int run_scan_text(struct run_scan *s, const char *name, const char *text, int arg);
int run_scan_group(struct run_scan *s, const struct qemu_group *group, struct run_place at);
int run_scan_flag(struct run_scan *s, const char *name);
/* What a RAM backend's properties would do to remote memory. */
int run_scan_backend_check(struct run_scan *s, const struct run_backend *b);
void run_scan_deinit(struct run_scan *s);

#endif
