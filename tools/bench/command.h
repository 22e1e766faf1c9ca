/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command.h - the command line that gvm bench's own subcommands have in common. */
#ifndef TOOLS_BENCH_COMMAND_H
#define TOOLS_BENCH_COMMAND_H

#include <stdbool.h>

struct bench_command {
	bool quick, programs;
	const char *json, *bindir; /* NULL: not given */
	unsigned rounds;	   /* 0: not given */
};

#define BENCH_HAS_ROUNDS   1u
#define BENCH_HAS_PROGRAMS 2u
/* --quick, --json, --bindir and --help; `more`: what is in it, too. Returns -1 if it is to be carried out, with what
 * stops it watched for (stop.h); otherwise the exit status, and `help` or what is wrong was said. */
int bench_command_read(int argc, char **argv, const char *help, unsigned more, struct bench_command *command);
/* What an option was given: a number from `least`, which is not 0, to `most`; 0: it is none of these (said). */
unsigned bench_number_read(const char *option, const char *text, unsigned least, unsigned most);
/* --rounds: 1 to BENCH_ROUNDS_MAX; 0: it is not that (said). */
unsigned bench_rounds_read(const char *text);

#endif
