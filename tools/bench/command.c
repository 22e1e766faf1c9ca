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

unsigned bench_number_read(const char *option, const char *text, unsigned least, unsigned most)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10); /* ULONG_MAX: more than that */

	if (*text >= '0' && *text <= '9' && !*end && number >= least && number <= most)
		return (unsigned)number;
	say("--%s %s: not a number from %u to %u", option, text, least, most);
	return 0;
}

unsigned bench_rounds_read(const char *text)
{
	return bench_number_read("rounds", text, 1, BENCH_ROUNDS_MAX);
}

int bench_command_read(int argc, char **argv, const char *help, unsigned more, struct bench_command *command)
{
	struct option longs[] = {{"quick", no_argument, NULL, 'q'},
				 {"json", required_argument, NULL, 'j'},
				 {"bindir", required_argument, NULL, 'b'},
				 {"help", no_argument, NULL, 'h'},
				 {NULL, 0, NULL, 0}, /* of `more` */
				 {NULL, 0, NULL, 0},
				 {NULL, 0, NULL, 0}};
	struct option *next = longs + 4;
	int c;

	if (more & BENCH_HAS_ROUNDS)
		*next++ = (struct option){"rounds", required_argument, NULL, 'r'};
	if (more & BENCH_HAS_PROGRAMS)
		*next = (struct option){"programs", no_argument, NULL, 'p'};
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
