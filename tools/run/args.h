/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * args.h - a QEMU command line whose RAM moves into regions.
 *
 * run_args_parse() reads a command line, with the files of -readconfig, and says what RAM it asks
 * for and whether that RAM can be remote at all; run_args_build() writes the command line anew once
 * the regions have their names. Between the two the caller makes the regions. Where it cannot be
 * known which RAM the guest is to have the command line is refused.
 */
#ifndef TOOLS_RUN_ARGS_H
#define TOOLS_RUN_ARGS_H

#include "notes.h"
#include "qemu_config.h"
#include "qemu_facts.h"

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
	bool kept;   /* by the caller: the file is mapped as the command line has it */
};

/* A file of -readconfig. */
struct run_config {
	int arg;       /* index of its name in args; -1: what QEMU reads by itself */
	bool consumed; /* not a regular file: QEMU could not read it once more */
	struct qemu_config text;
};

struct run_args {
	char **args; /* the command line, copied; NULL-terminated */
	int count;
	char *guest; /* of -name, or NULL */
	enum run_accel accel;
	bool probe; /* it only asks QEMU something (-version, -device help): there is no guest */
	bool incoming;	    /* its state comes from another QEMU */
	bool setuid_helper; /* something may be started that needs privileges of its own */
	unsigned rams;
	struct run_ram ram[RUN_REGIONS_MAX];
	unsigned configs;
	struct run_config config[RUN_CONFIGS_MAX];
	/* what was left out or stays on the host */
	struct run_notes notes;
	/* private: where things stand, as indices in args, or -1 */
	int machine, mem_path;
};

/*
 * argv[0] is the program. `user_config` is the file that QEMU reads by itself, or NULL. What would
 * pin all RAM on this host is an error, or, with `pinning_allowed`, a note. 0; -EINVAL (it cannot
 * be understood), -EOPNOTSUPP (its RAM cannot be remote), or why a file of -readconfig cannot be
 * read, with a sentence in err; -ENOMEM. run_args_deinit() is due in every case.
 */
int run_args_parse(struct run_args *a, char *const argv[], struct qemu_facts *facts,
		   const char *user_config, bool pinning_allowed, char err[RUN_ERR_TEXT]);
void run_args_deinit(struct run_args *a);

/* Whether ram i's region bears its backend's id behind the guest's name: where the machine has several
 * of them, and for what devices plug in. */
bool run_args_ram_has_suffix(const struct run_args *a, unsigned i);

/*
 * The new command line: ram[i] is mapped from path[i], and QEMU reads configs[i], where that is not
 * NULL, in place of its config file i. *argv is one block, to be freed by run_args_free_argv(). 0
 * or -ENOMEM.
 */
int run_args_build(const struct run_args *a, const char *const path[], const char *const configs[],
		   char ***argv);
/* What QEMU has to read in place of config file i, to be freed; NULL: the file itself does. 0,
 * -ENOMEM, or -EINVAL: a path that no such file can hold. */
int run_args_config(const struct run_args *a, unsigned i, const char *const path[], char **text);
void run_args_free_argv(char **argv);

#endif
