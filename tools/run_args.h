/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_args.h - a QEMU command line whose RAM moves into regions. Pure: text in, text out.
 *
 * run_args_parse() reads a command line and says what RAM it asks for and whether that RAM can be
 * remote at all; run_args_build() writes the command line anew once the regions have their names.
 * Between the two the caller makes the regions.
 */
#ifndef TOOLS_RUN_ARGS_H
#define TOOLS_RUN_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#define RUN_REGIONS_MAX 64
#define RUN_ERR_TEXT	512
#define RUN_OBJECT_ID	"gvm-ram" /* of the backend that is added where there is none */

enum run_accel { RUN_ACCEL_TCG, RUN_ACCEL_KVM, RUN_ACCEL_KVM_OR_TCG, RUN_ACCEL_OTHER };

/* RAM that becomes one region: of the machine, or of a NUMA node's backend. */
struct run_ram {
	char *id; /* the backend's id */
	int arg;  /* index in args of its -object's value, or -1: a backend is added */
	uint64_t bytes;
};

struct run_args {
	char **args; /* the command line, copied; NULL-terminated */
	int count;
	char *guest; /* of -name, or NULL */
	enum run_accel accel;
	bool setuid_helper; /* something may be started that needs privileges of its own */
	unsigned rams;
	struct run_ram ram[RUN_REGIONS_MAX];
	/* sentences for the user: what was left out or stays on the host */
	char **notes;
	unsigned note_count;
	/* private: where things stand, as indices in args */
	int machine;
	bool *drop;
};

/*
 * argv[0] is the program. What would pin all RAM on this host is an error, or, with
 * `pinning_allowed`, a note. 0; -EINVAL (it cannot be understood), -EOPNOTSUPP (its RAM cannot be
 * remote) with a sentence in err; -ENOMEM. run_args_deinit() is due in every case.
 */
int run_args_parse(struct run_args *a, char *const argv[], bool pinning_allowed,
		   char err[RUN_ERR_TEXT]);
void run_args_deinit(struct run_args *a);

/*
 * The new command line: ram[i] is mapped from path[i]. *argv is one block, to be freed by
 * run_args_free_argv(). 0 or -ENOMEM.
 */
int run_args_build(const struct run_args *a, const char *const path[], char ***argv);
void run_args_free_argv(char **argv);

#endif
