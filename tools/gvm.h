/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gvm.h - the subcommands of gvm: each is one function, in the table of gvm.c. */
#ifndef TOOLS_GVM_H
#define TOOLS_GVM_H

/* argv[0] is the subcommand's name. Returns the program's exit status. */
int cmd_run(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_upgrade(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_map(int argc, char **argv);
int cmd_node(int argc, char **argv);
int cmd_region(int argc, char **argv);
int cmd_dsm(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

#endif
