/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsm_attach.h - replaces one region's mapping by gvmfs's memory, and undoes that on detach.
 *
 * For dsm_backend.c alone, which has the table of the regions. A `struct ram` lives as long as one
 * attach; a successful attach fills a `struct region`. Both are the caller's memory. Of a region
 * the caller writes only `next`, and frees it only if the attach has failed: other threads read it
 * without a lock.
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

/* The mapping that an attach is to replace, and the reason if it fails. */
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
	int uffd; /* open until the end: after the last close, faulting threads would read zeros */
	int file; /* for punches; the caller may close its own descriptor */
	dev_t dev;
	ino_t ino;
	pthread_t helper;
	sem_t gate; /* posted when the helper may start */
	atomic_bool closing;
	atomic_bool settled; /* an ordinary mapping by now, which gvmfs has nothing to do with */
	struct region *next; /* in dsm_backend.c's list of detached regions */
	char name[PATH_MAX];
};

/* One write, so that lines of several processes on one terminal stay whole. */
void dsm_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Sets the reason why the attach fails, and returns `err` for the caller to return. */
int dsm_because(struct ram *ram, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Attaches to the gvmfs that listens at `path`. On success the region (zeroed by the caller) is
 * filled and its helper runs. On failure `ram` is mapped as before (or ram->lost), and ram->why has
 * the reason.
 */
int dsm_region_attach(struct ram *ram, const char *path, struct region *r);
/* Pins all chunks and tells gvmfs: the pins hold even if gvmfs is killed before it reads the
 * message. `why` is copied. */
void dsm_region_pin_all(const struct region *r, const char *why);
/* Returns when the memory is inaccessible and the helper has ended. The pins stay mapped. */
void dsm_region_detach(struct region *r);
/* In a forked child, which has neither the mapping nor the helper: closes its copies of the
 * descriptors, which would keep gvmfs from seeing the parent's end. */
void dsm_region_forget(const struct region *r);

#endif
