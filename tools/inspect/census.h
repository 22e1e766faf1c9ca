/* SPDX-License-Identifier: GPL-2.0-or-later */
/* census.h - what kinds of pages a guest's memory is made of. */
#ifndef TOOLS_INSPECT_CENSUS_H
#define TOOLS_INSPECT_CENSUS_H

#include "memory.h"

enum census_kind { CENSUS_ZERO, CENSUS_COMPRESSIBLE, CENSUS_RANDOM };

/* `page` has 4 KiB. */
enum census_kind census_kind(const uint8_t *page);
/* Counts the pages of each kind, and duplicates, and prints a table. Returns the exit status. */
int census_run(const struct memory *m);

#endif
