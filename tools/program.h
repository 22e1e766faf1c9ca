/* SPDX-License-Identifier: GPL-2.0-or-later */
/* program.h - a program by its name, as execvp() finds it. */
#ifndef TOOLS_PROGRAM_H
#define TOOLS_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

bool program_find(const char *name, char path[PATH_MAX]);

#endif
