/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node_add.h - gvm node add: a mount is given more memory nodes while it runs. */
#ifndef TOOLS_NODE_ADD_H
#define TOOLS_NODE_ADD_H

/* Adds the nodes of the file at `conf` (NULL: none) that have the role mem, then `count` addresses, to the mount that
 * `dir` is in; those that it has stay as they are. An exit status: what fails is said. */
int node_add(const char *dir, const char *conf, char **addresses, int count);

#endif
