/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsm_backend.h - gives a guest's RAM the fastest way to remote memory that is safe.
 *
 * One source for two uses: linked into a QEMU that calls these functions (qemu/patches), and into
 * libgvm-preload.so, which calls them from its mmap() for a QEMU that knows nothing of them.
 *
 * Modes: `fuse`: the region's file stays mapped as it is. `uffd`: gvmfs's memfd takes its place,
 * and page faults go to gvmfs by userfaultfd (gvmfs/gvm_attach.h). `kernel`: the file is a region
 * of /dev/giantvm, and its module serves the faults. GVM_MODE=auto|fuse|uffd|kernel chooses.
 *
 * Errors are negative errnos. No function here exits; a thread of dsm_attach.c does, with a message,
 * when the guest's memory cannot be had any more.
 */
#ifndef DSM_BACKEND_H
#define DSM_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum dsm_mode { DSM_MODE_AUTO, DSM_MODE_FUSE, DSM_MODE_UFFD, DSM_MODE_KERNEL };

/*
 * Reads GVM_MODE, once; `accel` ("KVM", "TCG"; NULL: not known yet) is for the one line that tells
 * which mode a guest's RAM got, and why. -EINVAL: GVM_MODE names no mode.
 */
int dsm_universal_init(const char *accel);
/* Overrides GVM_MODE: what the user said on the command line. */
void dsm_mode_set(enum dsm_mode mode);
enum dsm_mode dsm_mode_get(void);
/*
 * Something in this process needs the file itself to be mapped (a vhost-user device maps it in
 * another process): from now on `uffd` cannot be had. `why` is kept, as in dsm_pin_all(). What is
 * attached already stays so; a process that needs the file then finds that it cannot be mapped.
 */
void dsm_uffd_veto(const char *why);

/*
 * `host` is a mapping of `bytes` of fd from `offset` that has not been touched yet. If fd is a file
 * of gvmfs or a region of /dev/giantvm, decides the mode, and in mode `uffd` puts gvmfs's memory in
 * the mapping's place. `shared`: it is MAP_SHARED. (A private mapping of an unlinked file may be
 * replaced by a shared one, of a named one it stays.)
 *
 * Returns 1 if the mapping was replaced, 0 if it stays as it is, a negative errno if the mode that
 * the user insists on (GVM_MODE=uffd or kernel; also fuse, where the file is a region of
 * /dev/giantvm) cannot be had: the guest must not start.
 */
int dsm_ram_attach(int fd, void *host, size_t bytes, off_t offset, bool shared);
/*
 * The mappings in these bytes are about to go: returns when no thread here uses them any more. They
 * have become inaccessible by then; munmap() is still the caller's. -EINVAL: the bytes are only a
 * part of a replaced mapping, and nothing was done.
 */
int dsm_ram_detach(void *host, size_t bytes);
/* Whether any of these bytes are in a mapping that was replaced. */
bool dsm_ram_covers(const void *host, size_t bytes);

/*
 * What madvise() on a replaced mapping has to become: returns 1 if it was dealt with here
 * (*result: what the caller returns, 0 or a negative errno), 0 if the real call may be made.
 */
int dsm_ram_madvise(void *host, size_t bytes, int advice, int *result);

/* A device, or direct I/O, is going to write to these bytes (which may lie anywhere, also outside
 * of any guest's RAM), and is done with it. Cheap; from any thread. */
void dsm_pin(const void *host, size_t bytes);
void dsm_unpin(const void *host, size_t bytes);
/* Something will pin all of the guest's RAM for long (VFIO, vhost-vdpa, locked memory); also holds
 * for what is attached later. Returns when gvmfs is sure to know before it evicts again. `why` is
 * kept: a string that stays. */
void dsm_pin_all(const char *why);

#endif
