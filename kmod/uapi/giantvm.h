/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/giantvm: one coherent memory over many hosts.
 *
 * A host first says who it is and which nodes there are (GIANTVM_UP), once. One then creates a
 * region (GIANTVM_CREATE), and each other that uses it joins it by its name (GIANTVM_JOIN); the
 * nodes that lend memory join by themselves. A region is a descriptor to mmap(MAP_SHARED), and a
 * file /dev/gvm/NAME for programs that want a path, such as QEMU's memory-backend-file. It stays
 * joined when nobody has it open any more, since other hosts may need what this one holds, until
 * GIANTVM_LEAVE.
 *
 * Every node must be given the same list of nodes, what decides where a page's home is; and the
 * module the same lease_ms, what decides when a page is another's. Peers compare, and a node that
 * differs is refused. Where two hosts have created regions of one name, these are two, and share no
 * page.
 *
 * Calls on /dev/giantvm need CAP_SYS_ADMIN; those on a region, the right to open its file only.
 * Structures are the same for 32 and 64 bits. Reserved fields are zero. Errors are the usual ones;
 * those with a meaning of their own are named at each call.
 */
#ifndef _UAPI_LINUX_GIANTVM_H
#define _UAPI_LINUX_GIANTVM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define GIANTVM_ABI 2

#define GIANTVM_NODES_MAX 10240
#define GIANTVM_REGIONS_MAX 1024 /* of a host; the last quarter is for its own calls */
#define GIANTVM_ID_NONE 0xffff
#define GIANTVM_NAME_BYTES 32 /* with the final NUL; [A-Za-z0-9._-], not beginning with a dot */
#define GIANTVM_KEY_BYTES_MAX 64

#define GIANTVM_ROLE_CPU (1u << 0) /* maps regions */
#define GIANTVM_ROLE_MEM (1u << 1) /* is the home of its share of every region's pages */

struct giantvm_node {
	__u16 id; /* below GIANTVM_NODES_MAX; the same node has the same id everywhere */
	__u16 port; /* in the host's byte order */
	__u32 roles; /* GIANTVM_ROLE_* */
	__u8 address[16]; /* IPv6 in the network's byte order; IPv4 as ::ffff:a.b.c.d */
};

struct giantvm_up {
	__u32 abi; /* GIANTVM_ABI */
	__u16 id; /* which of the nodes this host is; it listens at that node's address */
	__u16 nr_nodes;
	__u64 nodes; /* pointer to struct giantvm_node[nr_nodes], in any order */
	__u64 key; /* pointer to the key that all nodes share; key_bytes 0: no authentication */
	__u32 key_bytes;
	__u32 reserved;
};

struct giantvm_region {
	char name[GIANTVM_NAME_BYTES];
	/* A multiple of the page size. GIANTVM_JOIN: that it has to have, or 0. */
	__u64 size_bytes;
	__u32 open_flags; /* O_CLOEXEC or 0 */
	/*
	 * How long to wait until every node that lends memory has this region. 0: for those that
	 * answer within a second; the others are told when a connection is made, as all are.
	 */
	__u32 wait_ms;
};

struct giantvm_lookup {
	char name[GIANTVM_NAME_BYTES];
	__u64 size_bytes; /* out */
	__u32 wait_ms; /* for answers */
	__u32 reserved;
};

struct giantvm_leave {
	char name[GIANTVM_NAME_BYTES];
	__u64 reserved;
};

#define GIANTVM_NODE_SELF (1u << 0)
#define GIANTVM_NODE_CONNECTED (1u << 1) /* connections are made when there is something to send */

struct giantvm_node_info {
	struct giantvm_node node;
	__u32 flags; /* GIANTVM_NODE_* */
};

#define GIANTVM_INFO_KEY (1u << 0) /* nodes prove that they have the key */

struct giantvm_info {
	__u32 abi; /* out: GIANTVM_ABI of the module */
	__u16 id; /* out: this node; GIANTVM_ID_NONE: not up */
	__u16 nr_nodes; /* in: room for; out: how many there are, also where that is more */
	__u32 nr_regions; /* the same */
	__u32 flags; /* out: GIANTVM_INFO_* */
	__u64 nodes; /* pointer to struct giantvm_node_info[nr_nodes], by id */
	/* pointer to char[nr_regions][GIANTVM_NAME_BYTES], in the order of joining */
	__u64 regions;
};

/* Sums since the region was joined, but for those that are said to be of now. */
struct giantvm_stats {
	char name[GIANTVM_NAME_BYTES]; /* in: which region */
	__u64 size_bytes;
	__u64 resident_pages; /* now */
	__u64 read_faults;
	__u64 write_faults;
	__u64 remote_faults; /* faults that waited for another node */
	__u64 remote_wait_ns; /* the sum of these waits */
	__u64 revoked_pages; /* taken away by other nodes' writes */
	__u64 downgraded_pages; /* made read-only by other nodes' reads */
	__u64 pin_waits; /* revocations that waited for somebody's reference to the page */
	__u64 evicted_pages;
	__u64 lost_pages; /* accesses to them end in SIGBUS */
	/* pins that the end of this node's lease left with memory that is no page */
	__u64 fenced_pins;
	/* accesses of the kernel's that ended in an error, not to keep others waiting */
	__u64 given_up_waits;
	__u64 reserved[3];
};

#define GIANTVM_IOC_MAGIC 0xb7

/*
 * EBUSY: already up with another list or key. EALREADY: GIANTVM_DOWN is under way. ENOENT: id is
 * not in the list.
 */
#define GIANTVM_UP _IOW(GIANTVM_IOC_MAGIC, 0x00, struct giantvm_up)
/*
 * Leaves every region and closes every connection. EBUSY: a region is open, and none is left.
 * EALREADY: one is being left, or all of them by another call; and this one has done nothing.
 * ETIMEDOUT, EIO, EINTR: as with GIANTVM_LEAVE, of one of the regions, and what is still joined
 * stays so. The argument is 0, or 1: then what cannot go home is lost instead. The module stays
 * loaded until then.
 */
#define GIANTVM_DOWN _IO(GIANTVM_IOC_MAGIC, 0x01)
/*
 * Gives a descriptor of the region, joining it if need be. ENOTCONN: not up. ENOENT: no node that
 * lends memory has one of that name. EEXIST: it has another size; or there is another one of that
 * name, here or on another node. EHOSTUNREACH: within wait_ms a node that lends memory did not
 * answer; EINPROGRESS: nor has one taken its share into use, since the host that creates the region
 * has not done with that, or ended before; EREMOTEIO: one of them has no room for it. With these it
 * is joined only if it was before, here, and at those who joined it on this call's behalf, unless
 * somebody else has come to use it. EALREADY: this node is leaving the region, or all of them.
 * E2BIG: its directory would take more than a quarter of this host's memory, or it is more than
 * this build can address. ENOSPC: GIANTVM_REGIONS_MAX are joined. EADDRINUSE: its messages would
 * look like those of another region that is joined.
 */
#define GIANTVM_JOIN _IOW(GIANTVM_IOC_MAGIC, 0x02, struct giantvm_region)
/*
 * Gives what this node has of a region to the homes, for as long as that takes, and leaves it.
 * ENOENT: not joined. EBUSY: somebody has it open or mapped. EALREADY: it is being left. ETIMEDOUT:
 * for 10 s the homes have taken no page of those that are left here. EIO: this node's lease ended
 * meanwhile, and pages are lost that were only here. EINTR: killed. With these it stays joined, and
 * may be left again.
 */
#define GIANTVM_LEAVE _IOW(GIANTVM_IOC_MAGIC, 0x03, struct giantvm_leave)
/* ENOENT: not joined. */
#define GIANTVM_STATS _IOWR(GIANTVM_IOC_MAGIC, 0x04, struct giantvm_stats)
/* Never fails for what there is or is not. */
#define GIANTVM_INFO _IOWR(GIANTVM_IOC_MAGIC, 0x05, struct giantvm_info)
/*
 * The size of a region that this node has joined, or one that lends memory. ENOTCONN: not up.
 * ENOENT: none has. EHOSTUNREACH: none that answered within wait_ms has, but not all of them
 * answered.
 */
#define GIANTVM_LOOKUP _IOWR(GIANTVM_IOC_MAGIC, 0x06, struct giantvm_lookup)

/*
 * The same of a new region, all zeros. EEXIST: there is one of that name, here or at a node that
 * lends memory. EAGAIN: a node that lends memory began anew meanwhile. Other errors as with
 * GIANTVM_JOIN; and where it has not succeeded there is none, unless somebody else has come to use
 * it.
 */
#define GIANTVM_CREATE _IOW(GIANTVM_IOC_MAGIC, 0x07, struct giantvm_region)

/*
 * On a region's own descriptor: makes whole pages zero on every node and gives their memory back;
 * also what takes a lost page into use again. The same as fallocate(FALLOC_FL_PUNCH_HOLE), which
 * the kernel allows on what GIANTVM_JOIN gave, but not on /dev/gvm/NAME. EIO: a page's home is
 * lost.
 */
struct giantvm_range {
	__u64 offset_bytes;
	__u64 size_bytes;
};

#define GIANTVM_DISCARD _IOW(GIANTVM_IOC_MAGIC, 0x10, struct giantvm_range)

/* On a region's own descriptor, however it was opened: what it is. */
struct giantvm_region_info {
	__u32 abi; /* GIANTVM_ABI of the module */
	__u32 reserved;
	__u64 size_bytes;
	char name[GIANTVM_NAME_BYTES];
};

#define GIANTVM_REGION_INFO _IOR(GIANTVM_IOC_MAGIC, 0x11, struct giantvm_region_info)

#endif
