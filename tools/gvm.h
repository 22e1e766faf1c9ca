/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gvm.h - what the subcommands of gvm share: each is one function, in the table of gvm.c. */
#ifndef TOOLS_GVM_H
#define TOOLS_GVM_H

/* argv[0] is the subcommand's name. Returns the program's exit status. */
int cmd_run(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_node(int argc, char **argv);
int cmd_region(int argc, char **argv);
int cmd_dsm(int argc, char **argv);

#define EXIT_USAGE 2

/* Prints "gvm SUBCOMMAND: message" on stderr. */
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);
/* The name that say() puts in front. */
void say_as(const char *name);

#endif
