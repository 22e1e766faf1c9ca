/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walks.h - whether this host's processor writes to a guest's page tables whenever it walks them. Where vCPUs of one guest
 * run on several hosts these would then take the tables from each other until nothing else is done.
 */
#ifndef TOOLS_RUN_WALKS_H
#define TOOLS_RUN_WALKS_H

#define RUN_WALKS_MODULES "/sys/module" /* where the kernel tells of its modules */

/* A sentence that says why, and what mends it; NULL: it only reads, or KVM is not there. */
const char *run_walks_write(const char *modules);

#endif
