/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsm_attach.h - how one region comes to have gvmfs's memory, and how that ends.
 *
 * For dsm_backend.c alone, which has the table of the regions. A `struct ram` lives as long as one
 * attach; a `struct region` is what comes of it. Both are the caller's memory. Of a region the
 * caller writes only `next`, and frees it only if the attach has failed: others look at it without
 * a lock.
 */
#ifndef DSM_ATTACH_H
#define DSM_ATTACH_H

#include "gvm_attach.h"

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define CHUNK_BYTES ((size_t)GVM_ATTACH_CHUNK_BYTES)

/* What one attach is about, and why it does not come about. */
struct ram {
	int fd;
	uint8_t *host;
	size_t bytes;
	off_t offset;
	bool shared;
	bool lost; /* after a failure: neither the memfd nor the file is mapped any more */
	struct stat st;
	char name[PATH_MAX];
	char why[512];
};

struct region {
	uint8_t *host;
	size_t bytes;
	_Atomic uint32_t *pins; /* one for each chunk */
	size_t chunks;
	int sock;
	int uffd; /* open until the end: the last close lets faulting threads go on with zeros */
	int file; /* for punches, whatever becomes of the caller's descriptor */
	dev_t dev;
	ino_t ino;
	pthread_t helper;
	sem_t gate; /* the helper starts when it is opened */
	atomic_bool closing;
	struct region *next; /* among the retired, which dsm_backend.c has */
	char name[PATH_MAX];
};

/* One write, so that lines of several processes on one terminal stay whole. */
void dsm_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Notes why the attach cannot be, and returns `err` for the caller to return. */
int dsm_because(struct ram *ram, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * All of it, with the gvmfs that listens at `path`. On success the region (zeros before) is
 * complete and its helper runs. On failure `ram` is mapped as before (or ram->lost), and says why.
 */
int dsm_region_attach(struct ram *ram, const char *path, struct region *r);
/* In the pins too: a gvmfs that is killed before it has read the message leaves those as they are.
 * `why` is copied. */
void dsm_region_pin_all(const struct region *r, const char *why);
/* Returns when the memory is inaccessible and the helper has ended. The pins stay mapped. */
void dsm_region_detach(struct region *r);
/* In a child that does not exec: it has neither the mapping nor the helper, and these descriptors
 * would keep gvmfs from seeing its parent's end. */
void dsm_region_forget(const struct region *r);

#endif
