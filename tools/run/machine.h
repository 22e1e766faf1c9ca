/* SPDX-License-Identifier: GPL-2.0-or-later */
/* machine.h - where QEMU's machines of x86 have their RAM. Pure. */
#ifndef TOOLS_RUN_MACHINE_H
#define TOOLS_RUN_MACHINE_H

#include <stdint.h>

#define RUN_HIGH_GPA (1ull << 32) /* where the RAM behind the PCI hole begins */

/*
 * How many of ram_bytes the machine has below the PCI hole; the rest is at 4 GiB. 0: not known. `qemu` is the program's
 * name; `type` that of -machine, NULL where the command line has none; `most` is max-ram-below-4g= of -machine, or 0.
 */
uint64_t run_machine_low(const char *qemu, const char *type, uint64_t ram_bytes, uint64_t most);
/* From which address on memory is plugged into a machine with ram_bytes of RAM, low_bytes of them below the PCI hole. */
uint64_t run_machine_plug_gpa(uint64_t ram_bytes, uint64_t low_bytes);

#endif
