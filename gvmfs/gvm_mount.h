/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gvm_mount.h - the names by which programs and users reach what a mount of gvmfs has beside files. */
#ifndef GVM_MOUNT_H
#define GVM_MOUNT_H

/* Extended attributes of the mount's files and of its root; gvmfs(8) says what they mean. */
#define GVM_XATTR_PREFIX    "user.gvm."
#define GVM_XATTR_STATS	    GVM_XATTR_PREFIX "stats"     /* lines of "name value" */
#define GVM_XATTR_MAP	    GVM_XATTR_PREFIX "map"	 /* where a region's chunks are: fuse/front_map.h */
#define GVM_XATTR_LATENCY   GVM_XATTR_PREFIX "latency"   /* lines of "STAGE BOUND_NS COUNT": state/latency.h */
#define GVM_XATTR_LOCAL	    GVM_XATTR_PREFIX "local"     /* the fast path's budget in bytes */
#define GVM_XATTR_SETTLE    GVM_XATTR_PREFIX "settle"    /* allows (1) a read of the next one: fuse/front_give.c */
#define GVM_XATTR_SETTLING  GVM_XATTR_SETTLE ".wait"   /* lasts until all is on this host, and its guest needs no gvmfs */
#define GVM_XATTR_TEMPORARY GVM_XATTR_PREFIX "temporary" /* the region goes with its last user */
#define GVM_XATTR_SEAL	    GVM_XATTR_PREFIX "seal"      /* 1: it is sealed; settable while the size is 0 */
#define GVM_XATTR_REPLICAS  GVM_XATTR_PREFIX "replicas"  /* copies of each chunk; settable while the size is 0 */
#define GVM_XATTR_TAKE	    GVM_XATTR_PREFIX "take"      /* takes a region over from another host */
#define GVM_XATTR_NODE	    GVM_XATTR_PREFIX "node"      /* of the root: adds a memory node */
#define GVM_XATTR_NODES	    GVM_XATTR_PREFIX "nodes"     /* of the root: lines of "ADDRESS connected|away" */
#define GVM_XATTR_CORE	    GVM_XATTR_PREFIX "core"	/* where the guest has its memory: lines of "name value" */
#define GVM_XATTR_NOTE	    GVM_XATTR_PREFIX "note"	/* the guest's ELF note VMCOREINFO */
#define GVM_XATTR_ATTACH    GVM_XATTR_PREFIX "attach"    /* the path of gvm_attach.h's socket */

/* user.gvm.map.N has a letter for each of so many chunks of 128 KiB: */
#define GVM_MAP_CHUNKS	512u
#define GVM_MAP_NOTHING '.' /* zero, and it takes no room */
#define GVM_MAP_NODES	'n' /* on the nodes, and not here (but maybe in the page cache, which gvmfs does not know) */
#define GVM_MAP_UNKNOWN '?' /* the region is not open for writing here, so what is on the nodes is not known */
/* On the fast path, but for GVM_MAP_GOING: */
#define GVM_MAP_HERE	'h' /* some or all of its pages are on this host, mapped */
#define GVM_MAP_HOT	'H' /* the same; and it came back soon whenever it had gone */
#define GVM_MAP_ONLY	'd' /* as GVM_MAP_HERE; and the nodes have nothing of it: it is new, or zero */
#define GVM_MAP_COLD	'c' /* here, and nobody has touched it lately: it goes next */
#define GVM_MAP_COMING	'f' /* being fetched */
#define GVM_MAP_GOING	'w' /* being written back; also of a mapped file */

#endif
