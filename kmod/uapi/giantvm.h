/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/giantvm: one coherent memory over many hosts.
 *
 * Each host is first given the list of nodes and its own id, once (GIANTVM_UP). One host then
 * creates a region (GIANTVM_CREATE), and each other host that uses it joins it by its name
 * (GIANTVM_JOIN); the nodes that lend memory join by themselves. A region is a descriptor to
 * mmap(MAP_SHARED), and a file /dev/gvm/NAME for programs that want a path, such as QEMU's
 * memory-backend-file. It stays joined until GIANTVM_LEAVE, also without an open file, since other
 * hosts may need the pages that this one holds.
 *
 * Two nodes must have the same ids and addresses for each other, and the module the same lease_ms,
 * which decides when a page may be given to another node: peers compare these, and refuse a node
 * that differs. The list may grow: GIANTVM_UP once more, with a list that has all nodes of the
 * former one, on every node, and then on the new ones. Until a node has the new list it gives no
 * page to those that are missing in its own, and others wait for pages that it is to give to those.
 * If two hosts have each created a region of one name, these are two regions, which share no page.
 *
 * A region is not mapped (EOPNOTSUPP) while this host's KVM uses shadow paging: ept=0 or npt=0. A
 * process that maps one and whose guest runs a nested guest is killed.
 *
 * Calls on /dev/giantvm need CAP_SYS_ADMIN; those on a region only an open file of it. Structures
 * are the same for 32 and 64 bits. Reserved fields are zero. Errors with a meaning of their own are
 * listed at each call; others have their usual one.
 */
#ifndef _UAPI_LINUX_GIANTVM_H
#define _UAPI_LINUX_GIANTVM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define GIANTVM_ABI 3

#define GIANTVM_NODES_MAX 10240
#define GIANTVM_REGIONS_MAX 1024 /* of a host; the last quarter is for its own calls */
#define GIANTVM_ID_NONE 0xffff
#define GIANTVM_NAME_BYTES 32 /* with the final NUL; [A-Za-z0-9._-], not beginning with a dot */
#define GIANTVM_HOMES_MAX 16 /* of a region */
#define GIANTVM_KEY_BYTES_MAX 64
#define GIANTVM_PAIR_KEY_BYTES 32

#define GIANTVM_ROLE_CPU (1u << 0) /* maps regions */
#define GIANTVM_ROLE_MEM (1u << 1) /* may be a home of regions */

struct giantvm_node {
	__u16 id; /* below GIANTVM_NODES_MAX; the same node has the same id everywhere */
	__u16 port; /* in the host's byte order */
	__u32 roles; /* GIANTVM_ROLE_* */
	__u8 address[16]; /* IPv6 in the network's byte order; IPv4 as ::ffff:a.b.c.d */
};

struct giantvm_up {
	__u32 abi; /* GIANTVM_ABI */
	__u16 id; /* this host's node; it listens at that node's address */
	__u16 nr_nodes;
	__u64 nodes; /* pointer to struct giantvm_node[nr_nodes], in any order */
	/*
	 * Pointer to the key that all nodes share, or with GIANTVM_UP_PAIRS to nr_nodes keys: those
	 * that this node shares with each one of them, in the order of the ids.
	 */
	__u64 key;
	__u32 key_bytes; /* of each; 0: no authentication */
	__u32 flags; /* GIANTVM_UP_* */
};

/* Without a key, nodes may have addresses beyond loopback: whoever reaches one is let in. */
#define GIANTVM_UP_OPEN (1u << 0)
/* Each pair of nodes has a key of its own. The place of this node's id has any bytes. */
#define GIANTVM_UP_PAIRS (1u << 1)

struct giantvm_region {
	char name[GIANTVM_NAME_BYTES];
	/*
	 * A multiple of the page size. GIANTVM_JOIN: the size that the region must have, or 0: any.
	 */
	__u64 size_bytes;
	__u32 open_flags; /* O_CLOEXEC or 0 */
	/*
	 * How long to wait until every home has opened its share of the region.
	 * 0: a second at most, and missing answers are no error. Nodes that are away join when a
	 * connection to them is made.
	 */
	__u32 wait_ms;
	/*
	 * GIANTVM_CREATE: the nodes with the role mem that keep the region's pages; none: a few
	 * that the module chooses. EADDRNOTAVAIL: not nodes with that role, or one twice.
	 * GIANTVM_JOIN: none, since the region has its own.
	 */
	__u16 nr_homes;
	__u16 homes[GIANTVM_HOMES_MAX];
	__u16 reserved;
	__u32 reserved2;
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
	__u16 nr_nodes; /* in: room for; out: how many there are, even if more than the room */
	__u32 nr_regions; /* the same */
	__u32 flags; /* out: GIANTVM_INFO_* */
	__u64 nodes; /* pointer to struct giantvm_node_info[nr_nodes], by id */
	/* pointer to char[nr_regions][GIANTVM_NAME_BYTES], in the order of joining */
	__u64 regions;
};

/* Counts since the region was joined, except where marked "now". */
struct giantvm_stats {
	char name[GIANTVM_NAME_BYTES]; /* in: the region */
	__u64 size_bytes;
	__u64 resident_pages; /* now */
	__u64 read_faults;
	__u64 write_faults;
	__u64 remote_faults; /* faults that waited for another node */
	__u64 remote_wait_ns; /* the sum of these waits */
	__u64 revoked_pages; /* taken away by other nodes' writes */
	__u64 downgraded_pages; /* made read-only by other nodes' reads */
	__u64 pin_waits; /* revocations that waited for a pin of the page */
	__u64 evicted_pages;
	__u64 lost_pages; /* accesses to them end in SIGBUS */
	/* pins, at the end of this node's lease, whose memory is no page of the region any more */
	__u64 fenced_pins;
	/*
	 * accesses of the kernel's own that failed because other nodes waited for pins of this one
	 */
	__u64 given_up_waits;
	__u64 reserved[3];
};

#define GIANTVM_IOC_MAGIC 0xb7

/*
 * Makes this host a node of the cluster.
 * EBUSY: already up with another id, or another key of a node.
 * ENOTEMPTY: already up, and the list lacks a node, or its role mem, that keeps pages of a region
 *	that is joined here; or lacks one that may have pages of a region whose home is this node.
 * EALREADY: GIANTVM_DOWN is under way.
 * ENOENT: id is not in the list.
 * ENOKEY: there is no key, a node's address is not loopback, and GIANTVM_UP_OPEN is not set.
 */
#define GIANTVM_UP _IOW(GIANTVM_IOC_MAGIC, 0x00, struct giantvm_up)
/*
 * Leaves every region and closes every connection. The argument is 0, or 1: then pages that cannot
 * go home are lost, and that is no error. The module cannot be unloaded before this call.
 * EBUSY: a region has open files; no region was left.
 * EALREADY: a region is being left, or all of them are by another call; no region was left.
 * ETIMEDOUT, EIO, EINTR: as with GIANTVM_LEAVE, for one of the regions; regions that are not yet
 *	left stay joined.
 */
#define GIANTVM_DOWN _IO(GIANTVM_IOC_MAGIC, 0x01)
/*
 * Returns a descriptor of the region, joining it if need be.
 * ENOTCONN: not up.
 * ENOENT: no node that lends memory has a region of that name.
 * EEXIST: the region has another size; or there is another region of that name, here or on another
 *	node.
 * EHOSTUNREACH: a node that lends memory did not answer within wait_ms.
 * EINPROGRESS: all answered, but a share is not open yet: the host that creates the region has not
 *	completed that, or was lost before.
 * EREMOTEIO: a node that lends memory could not join the region.
 * EALREADY: this node is leaving the region, or all regions.
 * EADDRNOTAVAIL: a home of the region is not in this node's list, or without the role mem.
 * E2BIG: the region's directory would take more than a quarter of this host's memory, or the region
 *	is larger than a file can be.
 * ENOSPC: the share of this node, or of another one that lends memory, would take more than that
 *	node has left of what it lends (lend_mb of the module); or GIANTVM_REGIONS_MAX regions are
 *	joined.
 * EADDRINUSE: the region's tag equals that of another region that is joined.
 * After EHOSTUNREACH, EINPROGRESS, EREMOTEIO and ENOSPC the region is joined here only if it was
 * before or another call uses it, and other nodes leave it if they joined on behalf of this call
 * alone.
 */
#define GIANTVM_JOIN _IOW(GIANTVM_IOC_MAGIC, 0x02, struct giantvm_region)
/*
 * Sends the region's pages home, for as long as that takes, and leaves it. After an error the
 * region stays joined, and may be left again. ENOENT: not joined. EBUSY: the region is open or
 * mapped. EALREADY: it is being left. ETIMEDOUT: the homes have taken no page for 10 s, and pages
 * are left here. EIO: this node's lease ended meanwhile, and pages that only it had are lost.
 * EINTR: killed.
 */
#define GIANTVM_LEAVE _IOW(GIANTVM_IOC_MAGIC, 0x03, struct giantvm_leave)
/* ENOENT: not joined. */
#define GIANTVM_STATS _IOWR(GIANTVM_IOC_MAGIC, 0x04, struct giantvm_stats)
/* This node, the cluster and the joined regions. Without a cluster: GIANTVM_ID_NONE, no nodes. */
#define GIANTVM_INFO _IOWR(GIANTVM_IOC_MAGIC, 0x05, struct giantvm_info)
/*
 * The size of a region that this node, or one that lends memory, has joined.
 * ENOTCONN: not up.
 * ENOENT: none of them has joined it.
 * EHOSTUNREACH: not all answered within wait_ms, and none that did has joined it.
 */
#define GIANTVM_LOOKUP _IOWR(GIANTVM_IOC_MAGIC, 0x06, struct giantvm_lookup)

/*
 * Creates a region, all zeros, and returns a descriptor of it. Errors as with GIANTVM_JOIN, except:
 * EEXIST: there is a region of that name, here or at a node that lends memory. Two calls on two
 *	nodes at the same time, with homes of which none is the same, may both succeed.
 * EAGAIN: a node that lends memory began anew meanwhile.
 * After an error there is no new region, unless another call uses it by now.
 */
#define GIANTVM_CREATE _IOW(GIANTVM_IOC_MAGIC, 0x07, struct giantvm_region)

/*
 * On a region's own descriptor: makes whole pages zero on every node and frees their memory; a lost
 * page is usable again afterwards. The same as fallocate(FALLOC_FL_PUNCH_HOLE), which the kernel
 * allows on GIANTVM_JOIN's descriptor, but not on one of /dev/gvm/NAME.
 * EIO: a page's home has begun anew as another region.
 * EBADF: the descriptor is not open for writing.
 * EINTR: killed, as a page's home may never answer.
 */
struct giantvm_range {
	__u64 offset_bytes;
	__u64 size_bytes;
};

#define GIANTVM_DISCARD _IOW(GIANTVM_IOC_MAGIC, 0x10, struct giantvm_range)

/* On a region's own descriptor, by whichever path it was opened: its name and size. */
struct giantvm_region_info {
	__u32 abi; /* GIANTVM_ABI of the module */
	__u32 reserved;
	__u64 size_bytes;
	char name[GIANTVM_NAME_BYTES];
};

#define GIANTVM_REGION_INFO _IOR(GIANTVM_IOC_MAGIC, 0x11, struct giantvm_region_info)

/*
 * On a region's own descriptor: the lost pages whose home this node is; other homes know of theirs.
 * EINTR: killed.
 */
struct giantvm_lost {
	__u64 offset_bytes; /* in: where to begin; out: where to go on, or size_bytes at the end */
	__u64 ranges; /* pointer to struct giantvm_range[nr_ranges], in order and apart */
	__u32 nr_ranges; /* in: room, at least 1; out: how many were found */
	__u32 reserved;
};

#define GIANTVM_LOST _IOWR(GIANTVM_IOC_MAGIC, 0x12, struct giantvm_lost)

#endif
