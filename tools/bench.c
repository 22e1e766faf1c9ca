// SPDX-License-Identifier: GPL-2.0-or-later
#include "gvm.h"

int cmd_bench(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	say("not there yet");
	return 1;
}
