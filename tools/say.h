/* SPDX-License-Identifier: GPL-2.0-or-later */
/* say.h - what a subcommand has to tell its user. */
#ifndef TOOLS_SAY_H
#define TOOLS_SAY_H

#define EXIT_USAGE 2 /* the command line is at fault */

/* Prints "gvm SUBCOMMAND: message" on stderr. */
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);
/* The name that say() puts in front. */
void say_as(const char *name);

#endif
