// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm - one program for people, a subcommand a file. */
#include "gvm.h"

#include "logger.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command {
	const char *name, *speaker, *about;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"run", "gvm run", "run a QEMU command line with its RAM in a region", cmd_run},
	{"status", "gvm status", "all mounts of this host and their regions, on one screen", cmd_status},
	{"top", "gvm top", "the same, live: faults, waits, write-back, nodes", cmd_top},
	{"stat", "gvm stat", "statistics of a mount or of a region", cmd_stat},
	{"region", "gvm region", "list, make and delete regions; how much of one is on this host", cmd_region},
	{"attach", "gvm attach", "the fast path for a QEMU that is running already", cmd_attach},
	{"upgrade", "gvm upgrade", "a newer gvmfs takes the running one's place", cmd_upgrade},
	{"map", "gvm map", "draw where a region's memory is", cmd_map},
	{"node", "gvm node", "statistics of a memory node", cmd_node},
	{"dsm", "gvm dsm", "memory that several hosts share: the kernel mode's cluster", cmd_dsm},
	{"inspect", "gvm inspect", "look into a running guest: its memory, its kernel, what changes", cmd_inspect},
	{"metrics", "gvm metrics", "the same figures for Prometheus", cmd_metrics},
	{"doctor", "gvm doctor", "whether this host is fit for it, and what mends it", cmd_doctor},
	{"bench", "gvm bench", "measure against nbdfuse, memcached, Redis and raw TCP", cmd_bench},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(FILE *f)
{
	fputs("usage: gvm SUBCOMMAND [ARGUMENT ...]\n"
	      "       gvm --help | --version\n"
	      "\n"
	      "Subcommands (each has its own --help):\n",
	      f);
	for (unsigned i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].about);
	fputs("\n"
	      "  --help     show this text\n"
	      "  --version  show the version\n",
	      f);
}

/* A script must not take half of the figures for all of them. */
static int output_end(int status)
{
	bool lost = ferror(stdout);

	errno = EIO;
	if (!fflush(stdout) && !lost)
		return status;
	say("cannot write to standard output: %s", strerror(errno));
	return status ? status : EXIT_FAILURE;
}

/* Otherwise a region would take their place, and messages go into it. What is written to a standard output that was closed is not
 * taken for written. */
static void std_fds_hold(void)
{
	bool closed = fcntl(STDOUT_FILENO, F_GETFD) < 0;
	int fd;

	gvm_std_fds_hold();
	fd = closed ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	std_fds_hold();
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		help(stdout);
		return output_end(0);
	}
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		puts("gvm " GVM_PROGRAM_VERSION);
		return output_end(0);
	}
	for (unsigned i = 0; argc > 1 && i < COMMANDS; i++) {
		if (!strcmp(argv[1], commands[i].name)) {
			say_as(commands[i].speaker);
			argv[1] = (char *)commands[i].speaker; /* getopt's messages begin with it, too */
			return output_end(commands[i].run(argc - 1, argv + 1));
		}
	}
	if (argc > 1)
		say("unknown subcommand '%s'", argv[1]);
	help(stderr);
	return EXIT_USAGE;
}
