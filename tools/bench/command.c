// SPDX-License-Identifier: GPL-2.0-or-later
/* command.c - see command.h. */
#include "command.h"

#include "gvm.h"
#include "report.h"
#include "say.h"
#include "stop.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

unsigned bench_rounds_read(const char *text)
{
	unsigned long rounds = strtoul(text, NULL, 10);

	if (rounds && rounds <= BENCH_ROUNDS_MAX)
		return (unsigned)rounds;
	say("--rounds %s: 1 to %d", text, BENCH_ROUNDS_MAX);
	return 0;
}

int bench_command_read(int argc, char **argv, const char *help, bool more, struct bench_command *command)
{
	/* Those of `more` are last, so that they can be left out. */
	const struct option longs[] = {
		{"quick", no_argument, NULL, 'q'},
		{"json", required_argument, NULL, 'j'},
		{"bindir", required_argument, NULL, 'b'},
		{"help", no_argument, NULL, 'h'},
		{more ? "rounds" : NULL, required_argument, NULL, 'r'},
		{"programs", no_argument, NULL, 'p'},
		{NULL, 0, NULL, 0}};
	int c;

	*command = (struct bench_command){0};
	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'q':
			command->quick = true;
			break;
		case 'p':
			command->programs = true;
			break;
		case 'j':
			command->json = optarg;
			break;
		case 'b':
			command->bindir = optarg;
			break;
		case 'r':
			command->rounds = bench_rounds_read(optarg);
			if (!command->rounds)
				return EXIT_USAGE;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind != argc) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	bench_stop_watch();
	signal(SIGPIPE, SIG_IGN);
	return -1;
}
