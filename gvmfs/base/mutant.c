// SPDX-License-Identifier: GPL-2.0-or-later
/* mutant.c - see mutant.h: which of the deliberate faults is chosen. Only in gvmfs-mutant. */
#include "mutant.h"

#include <stdlib.h>

const char *mutant_chosen;

__attribute__((constructor)) static void mutant_choose(void)
{
	mutant_chosen = getenv("GVM_MUTANT");
}
