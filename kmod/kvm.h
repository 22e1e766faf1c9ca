/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What KVM must not do with a region's pages: translate through shadow pages. KVM derives these
 * from the guest's page tables, and keeps them right by catching this host's writes to the tables.
 * What another host writes there it does not see: the guest goes on with old translations. KVM uses
 * them
 *
 *	for every guest, where it is loaded with ept=0 or npt=0, or the CPU has neither: regions
 *	cannot be mapped then (EOPNOTSUPP);
 *	for nested guests: a process that maps a region is killed as soon as its guest runs one.
 *
 * KVM's tracepoints tell of nested guests. Where they cannot be used, regions can be mapped only if
 * KVM is loaded with nested=0.
 */
#ifndef GVM_KVM_H
#define GVM_KVM_H

#include <linux/types.h>

struct mm_struct;

int gvm_kvm_init(void);
void gvm_kvm_exit(void);

/* Whether regions may be mapped on this host now; if not, the log says why. */
bool gvm_kvm_permits(void);

/* Under its mmap_lock: the process has one more mapping of a region (0 or -ENOMEM), or one less. */
int gvm_kvm_mapped(struct mm_struct *mm);
void gvm_kvm_unmapped(struct mm_struct *mm);

#endif
