/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command.h - a QEMU command line as it was understood (args.h): the RAM that it asks for, and where its options stand. */
#ifndef TOOLS_RUN_COMMAND_H
#define TOOLS_RUN_COMMAND_H

#include "notes.h"
#include "qemu_config.h"

#include <stdbool.h>
#include <stdint.h>

#define RUN_REGIONS_MAX 64
#define RUN_CONFIGS_MAX 8
#define RUN_ERR_TEXT	512
#define RUN_OBJECT_ID                                                                              \
	"gvm-ram" /* of the added backend, where the machine's name for it is not known */

enum run_accel { RUN_ACCEL_TCG, RUN_ACCEL_KVM, RUN_ACCEL_KVM_OR_TCG, RUN_ACCEL_OTHER };

/* Where options stand: in args[index], or in group `index` of a config file (-1: the command line).
 */
struct run_place {
	int config, index;
};

/* RAM that becomes one region: of the machine, of a NUMA node, of a DIMM or virtio-mem device. */
struct run_ram {
	char *id;	     /* the backend's id, which is the RAM block's name too */
	struct run_place at; /* of its backend; index -1: one is added */
	uint64_t bytes;
	char *file;  /* the mem-path that is asked for, or NULL */
	bool shared; /* share=on */
	bool plugged; /* of a device: beside the machine's own */
	uint64_t gpa; /* of what is plugged: where the guest has it; 0: not known */
	bool kept;   /* by the caller: the file is mapped as the command line has it */
};

/* A file of -readconfig. */
struct run_config {
	int arg;       /* index of its name in args; -1: what QEMU reads by itself */
	bool consumed; /* not a regular file: QEMU could not read it once more */
	struct qemu_config text;
};

/* An option of the command line, without a config file's. */
struct run_option {
	const char *name; /* without its dashes */
	int at, arg;	  /* indices in args, of it and of its argument; arg 0: it has none */
};

struct run_args {
	char **args; /* the command line, copied; NULL-terminated */
	int count;
	unsigned options;
	struct run_option *option;
	char *guest; /* of -name, or NULL */
	enum run_accel accel;
	bool probe; /* it only asks QEMU something (-version, -device help): there is no guest */
	bool incoming;	    /* its state comes from another QEMU */
	bool setuid_helper; /* something may be started that needs privileges of its own */
	uint64_t low_bytes; /* of the machine's RAM, below the PCI hole; 0: not known */
	unsigned rams;
	struct run_ram ram[RUN_REGIONS_MAX];
	unsigned configs;
	struct run_config config[RUN_CONFIGS_MAX];
	/* what was left out or stays on the host */
	struct run_notes notes;
	/* private: where things stand, as indices in args, or -1 */
	int machine, mem_path;
};

#endif
