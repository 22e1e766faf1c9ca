/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node_list.h - gvm node list: the memory nodes of a mount, and which of them answer. */
#ifndef TOOLS_NODE_LIST_H
#define TOOLS_NODE_LIST_H

#include <stdbool.h>

/* `dir`: of which mount; NULL: of the only one. An exit status: what fails is said. */
int node_list(const char *dir, bool json);

#endif
