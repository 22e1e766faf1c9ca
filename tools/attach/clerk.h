/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clerk.h - the clerk: a thread in another process, which brings the process's mapping of a region's file to the fast path and
 * then does what qemu/dsm_attach.c's helper does there.
 *
 * Its code is copied into that process (inject.h). So it uses no library, no thread-local storage, no vector registers and
 * no constants outside of its own section, and all that it knows is in a struct clerk, which is in the process, too.
 * From its start it needs nobody: whoever brought it may be killed at any time.
 *
 * No access of the process to the mapping may ever see anything else than the guest's memory, or wait. So the mapping is never
 * taken away, but replaced by others in single calls of mremap(2): first by one that nobody has touched, registered
 * with the userfaultfd, at which everybody waits while gvmfs writes the file's cached pages back; then by
 * gvmfs's memory, registered likewise. A registration comes along where the userfaultfd has asked for events of mremap (otherwise the
 * kernel ends it); the call then waits until the event has been read, which a second thread, the hand, does. If gvmfs
 * refuses, the file is mapped again. From GO on the mapping is sealed (mseal(2)): nothing else can take its addresses, which
 * the clerk clears when gvmfs asks.
 *
 * A page of the mapping that a device writes to without a page-table entry must stay. What could have one do that is open in the
 * process as long as it does: direct I/O, io_uring, VFIO and the like. The clerk looks for it after each zap, before it
 * answers.
 */
#ifndef TOOLS_ATTACH_CLERK_H
#define TOOLS_ATTACH_CLERK_H

#include "gvmfs/gvm_attach.h"

#include <stdint.h>

#define CLERK_NAME  "gvm-zap" /* of its threads */
#define CLERK_STACK 16384u
#define CLERK_NAMES 4096u

/* How the names begin of what is open in a process as long as a device may write to its memory through it, without faults. */
#define CLERK_PINNING                                                                                                              \
	{"/dev/vfio", "/dev/iommu", "/dev/vhost-vdpa", "/dev/vhost-scsi", "/dev/infiniband", "/dev/sev", "/dev/sg",            \
	 "anon_inode:[io_uring", "anon_inode:[vfio"}
#define CLERK_PINNING_COUNT 9

enum clerk_stage {
	CLERK_NOT_THERE, /* the thread has not begun */
	CLERK_BEGUN,	 /* nothing has happened to the mapping */
	CLERK_ASKS,	 /* nor then: it may open no userfaultfd, and waits for a descriptor of the device, by door[1] */
	CLERK_WAITS,	 /* who touches the mapping waits */
	CLERK_SERVED,	 /* it is on the fast path */
	CLERK_REFUSED,	 /* it is as before, or the clerk has not got further than BEGUN; `step` and `error` say why */
};

/* What it was about to do. */
enum clerk_step {
	CLERK_THE_FILE,
	CLERK_TO_BE_ALONE,
	CLERK_THE_USERFAULTFD,
	CLERK_THE_KERNEL,
	CLERK_THE_SOCKET,
	CLERK_THE_MAPPING,
	CLERK_THE_HAND,
	CLERK_TO_ASK,
	CLERK_TO_BE_WELCOMED, /* error 0: gvmfs has refused, and `msg` says why */
	CLERK_THE_MEMORY,
	CLERK_TO_GO, /* the same */
};

enum clerk_advice { CLERK_HUGE = 1, CLERK_NO_HUGE = 2, CLERK_NO_FORK = 4, CLERK_NO_DUMP = 8, CLERK_MERGE = 16 };

/* A look at the process's descriptors. */
struct clerk_look {
	int32_t fd; /* of the folder of their names */
	char link[128];
	char names[CLERK_NAMES];
};

struct clerk {
	/* for whoever brought it */
	_Atomic uint32_t stage; /* enum clerk_stage */
	uint32_t step;		/* enum clerk_step */
	int32_t error;		/* a negative errno */
	uint32_t stale;		/* so many of the process's descriptors of the file could not be renewed */
	uint64_t waited_ns;	/* for how long everybody waited at the mapping */
	/* what it is told */
	uint64_t address, bytes;
	int32_t file; /* the process's descriptor */
	uint32_t advice; /* enum clerk_advice: of the file's mapping */
	uint64_t ino;
	uint32_t dev_major, dev_minor;
	uint16_t socket[55]; /* struct sockaddr_un */
	uint16_t socket_bytes;
	uint16_t lock[55]; /* the same: a name that only one clerk of the mapping can have */
	uint16_t lock_bytes;
	char pinning[CLERK_PINNING_COUNT][24], nothing[8];
	char proc_fd[16], uffd_device[24], name[16], memory_name[16];
	char lost[256]; /* what to say when gvmfs has gone */
	/* its own */
	int32_t own, uffd, sock, alone, door[2];
	uint32_t asks; /* so many times was it in CLERK_ASKS */
	int32_t hand_tid, pinned;
	_Atomic uint32_t *pins;
	uint64_t chunks;
	_Atomic uint32_t hand_stops, hand_renews;
	struct gvm_attach_msg msg;
	int32_t fds[4];
	uint64_t control[8];
	struct clerk_look look, hand_look;
	uint8_t hand_stack[CLERK_STACK] __attribute__((aligned(16)));
	uint8_t stack[CLERK_STACK] __attribute__((aligned(16)));
};

/* What is copied. */
extern const uint8_t __start_gvm_clerk[] __attribute__((visibility("hidden")));
extern const uint8_t __stop_gvm_clerk[] __attribute__((visibility("hidden")));

/*
 * Two pieces of it that a thread of the process is made to run on its way: they leave all of its registers as they were and go
 * where `words` say. They are correct wherever they are copied.
 *
 * clerk_call makes one system call: words are its number, six arguments, and where to go on. clerk_begin starts the clerk:
 * words are the top of its stack, the struct clerk, and where to go on.
 */
extern const uint8_t clerk_call[] __attribute__((visibility("hidden")));
extern const uint8_t clerk_call_words[] __attribute__((visibility("hidden")));
extern const uint8_t clerk_call_end[] __attribute__((visibility("hidden")));
extern const uint8_t clerk_begin[] __attribute__((visibility("hidden")));
extern const uint8_t clerk_begin_words[] __attribute__((visibility("hidden")));

#endif
