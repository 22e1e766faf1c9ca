/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that this module builds on, 6.1 to the newest: each difference
 * once, under the name that the newest kernel has for it.
 */
#ifndef GVM_COMPAT_H
#define GVM_COMPAT_H

#include <linux/device.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <net/sock.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
/* 6.6 may take faults under the lock of the mapping alone. */
static inline void release_fault_lock(struct vm_fault *vmf)
{
	mmap_read_unlock(vmf->vma->vm_mm);
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

/* 6.19 has another type for the address that kernel_bind() and kernel_connect() take. */
#define gvm_sockaddr(address) ((void *)(address))

/*
 * Whether the current task is in KVM_RUN: only KVM asks to be told when such a task is preempted.
 */
static inline bool gvm_runs_guest(void)
{
#ifdef CONFIG_PREEMPT_NOTIFIERS
	return !hlist_empty(&current->preempt_notifiers);
#else
	return false;
#endif
}

/* 6.3 tells inode operations of mounts with other ids by an idmap, and before by its namespace. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define gvm_idmap struct mnt_idmap
#else
#define gvm_idmap struct user_namespace
#endif

/* 6.2 asks a class for the node of a device that stays as it is. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define gvm_devnode_device const struct device
#else
#define gvm_devnode_device struct device
#endif

/* 6.2 hands out a task's page fragment unless a socket says that it may be used in reclaim. */
static inline void gvm_sk_no_task_frag(struct sock *sk)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	sk->sk_use_task_frag = false;
#endif
}

/* 6.7 allocates shrinkers; before that they are part of something. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
static inline struct shrinker *gvm_shrinker_create(const char *name)
{
	return shrinker_alloc(0, "%s", name);
}

static inline int gvm_shrinker_register(struct shrinker *shrinker, const char *name)
{
	shrinker_register(shrinker);
	return 0;
}

static inline void gvm_shrinker_destroy(struct shrinker *shrinker)
{
	shrinker_free(shrinker);
}
#else
static inline struct shrinker *gvm_shrinker_create(const char *name)
{
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);

	if (shrinker)
		shrinker->seeks = DEFAULT_SEEKS;
	return shrinker;
}

static inline int gvm_shrinker_register(struct shrinker *shrinker, const char *name)
{
	return register_shrinker(shrinker, "%s", name);
}

static inline void gvm_shrinker_destroy(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(shrinker);
}
#endif

#endif
