/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsm_rig.h - what the tests of the fast path's client share: the client itself, included by its
 * sources for what their headers do not show, and a file for it that is a memfd.
 */
#ifndef GVM_DSM_RIG_H
#define GVM_DSM_RIG_H

#include "qemu/dsm_attach.c"
#include "qemu/dsm_backend.c"
#include "check.h"

#define PAGE	  4096u
#define M	  (1u << 20)
#define CHUNK	  GVM_ATTACH_CHUNK_BYTES
#define RAM_BYTES (M + 5 * PAGE)

static inline int memory_file(const char *name, size_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

/* A file, and a mapping of all of it; ram_unmap() has to follow. */
static inline void ram_map(struct ram *ram, bool shared)
{
	memset(ram, 0, sizeof(*ram));
	ram->fd = memory_file("the file", RAM_BYTES);
	CHECK_EQ(pwrite(ram->fd, "in the file", 12, 0), 12);
	ram->bytes = RAM_BYTES;
	ram->shared = shared;
	ram->host = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE,
			 shared ? MAP_SHARED : MAP_PRIVATE, ram->fd, 0);
	CHECK(ram->host != MAP_FAILED);
	CHECK_EQ(fstat(ram->fd, &ram->st), 0);
	strcpy(ram->name, "win10");
}

static inline void ram_unmap(struct ram *ram)
{
	munmap(ram->host, RAM_BYTES);
	close(ram->fd);
}

static inline struct gvm_attach_msg of_type(enum gvm_attach_type type)
{
	struct gvm_attach_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.magic = 0x416d7647;
	msg.version = 1;
	msg.type = type;
	return msg;
}

#endif
