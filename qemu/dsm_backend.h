/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsm_backend.h - gives a guest's RAM the fastest mode of remote memory that is safe.
 *
 * One source for two uses: linked into a QEMU that calls these functions (qemu/patches), and into
 * libgvm-preload.so, which calls them from its mmap() for an unmodified QEMU.
 *
 * Modes: `fuse`: the region's file stays mapped as it is. `uffd`: gvmfs's memfd takes its place,
 * and page faults go to gvmfs by userfaultfd (gvmfs/gvm_attach.h). `kernel`: the file is a region
 * of /dev/giantvm, and its module serves the faults. GVM_MODE=auto|fuse|uffd|kernel chooses.
 *
 * Errors are negative errnos. No function here exits; a thread of dsm_attach.c ends the process,
 * with a message, when the guest's memory is lost.
 */
#ifndef DSM_BACKEND_H
#define DSM_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum dsm_mode { DSM_MODE_AUTO, DSM_MODE_FUSE, DSM_MODE_UFFD, DSM_MODE_KERNEL };

/*
 * Reads GVM_MODE, once; `accel` ("KVM", "TCG"; NULL: not known yet) is for the line that tells the
 * mode of a guest's RAM. -EINVAL: GVM_MODE names no mode.
 */
int dsm_universal_init(const char *accel);
/* Overrides GVM_MODE: the mode given on the command line. */
void dsm_mode_set(enum dsm_mode mode);
enum dsm_mode dsm_mode_get(void);
/*
 * A device needs the file itself to be mapped (a vhost-user device maps it in another process):
 * from now on mode `uffd` is refused. `why` is kept, as in dsm_pin_all(). A region that is attached
 * already stays so; the device then finds that it cannot map the file.
 */
void dsm_uffd_veto(const char *why);

/*
 * `host` is a mapping of `bytes` of fd from `offset` that has not been accessed yet. If fd is a
 * file of gvmfs or a region of /dev/giantvm, decides the mode, and in mode `uffd` puts gvmfs's
 * memory in the mapping's place. `shared`: it is MAP_SHARED. (A private mapping of an unlinked file
 * may be replaced by a shared one, of a named one it stays.)
 *
 * Returns 1 if the mapping was replaced, 0 if it stays as it is, a negative errno if the mode that
 * the user insists on (GVM_MODE=uffd or kernel; also fuse, where the file is a region of
 * /dev/giantvm) is not possible: the guest must not start.
 */
int dsm_ram_attach(int fd, void *host, size_t bytes, off_t offset, bool shared);
/*
 * The caller is about to unmap these bytes: on return no thread of this code uses them, and they
 * are inaccessible; the caller calls munmap(). -EINVAL: the bytes are only a part of a replaced
 * mapping, and nothing was done.
 */
int dsm_ram_detach(void *host, size_t bytes);
/* Whether any of these bytes are in a mapping that was replaced. */
bool dsm_ram_covers(const void *host, size_t bytes);

/*
 * Stands in for madvise() on a replaced mapping: returns 1 if the advice was handled (*result: 0 or
 * a negative errno, for the caller to return), 0 if the caller is to make the call itself.
 */
int dsm_ram_madvise(void *host, size_t bytes, int advice, int *result);

/* Begin and end of a device's write, or direct I/O, to these bytes, in a guest's RAM or elsewhere:
 * gvmfs does not evict them in between. Cheap; from any thread. */
void dsm_pin(const void *host, size_t bytes);
void dsm_unpin(const void *host, size_t bytes);
/* A device will pin all of the guest's RAM for long (VFIO, vhost-vdpa, locked memory), also RAM that
 * is attached later. gvmfs knows before its next eviction. `why` is kept: a string that stays valid. */
void dsm_pin_all(const char *why);

#endif
