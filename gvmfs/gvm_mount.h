/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gvm_mount.h - the names by which programs and users reach what a mount of gvmfs has beside files. */
#ifndef GVM_MOUNT_H
#define GVM_MOUNT_H

/* Extended attributes of the mount's files and of its root; gvmfs(8) says what they mean. */
#define GVM_XATTR_PREFIX    "user.gvm."
#define GVM_XATTR_STATS	    GVM_XATTR_PREFIX "stats"     /* lines of "name value" */
#define GVM_XATTR_LATENCY   GVM_XATTR_PREFIX "latency"   /* lines of "STAGE BOUND_NS COUNT": state/latency.h */
#define GVM_XATTR_LOCAL	    GVM_XATTR_PREFIX "local"     /* the fast path's budget in bytes */
#define GVM_XATTR_TEMPORARY GVM_XATTR_PREFIX "temporary" /* the region goes with its last user */
#define GVM_XATTR_REPLICAS  GVM_XATTR_PREFIX "replicas"  /* copies of each chunk; can be set before the region has a size */
#define GVM_XATTR_TAKE	    GVM_XATTR_PREFIX "take"      /* takes a region over from another host */
#define GVM_XATTR_NODE	    GVM_XATTR_PREFIX "node"      /* of the root: adds a memory node */
#define GVM_XATTR_NODES	    GVM_XATTR_PREFIX "nodes"     /* of the root: lines of "ADDRESS connected|away" */
#define GVM_XATTR_CORE	    GVM_XATTR_PREFIX "core"	/* where the guest has its memory: lines of "name value" */
#define GVM_XATTR_NOTE	    GVM_XATTR_PREFIX "note"	/* the guest's ELF note VMCOREINFO */
#define GVM_XATTR_ATTACH    GVM_XATTR_PREFIX "attach"    /* the path of gvm_attach.h's socket */

#endif
