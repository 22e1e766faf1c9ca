/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region.h - the files of the mount that become a guest's RAM. */
#ifndef TOOLS_RUN_REGION_H
#define TOOLS_RUN_REGION_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct run_region {
	char path[PATH_MAX];
	uint64_t bytes;
	int fd;	   /* holds the lock against a second user on this host */
	bool made; /* by us, just now */
	bool temporary; /* the mount knows that it is removed at the end */
	bool settled;   /* its guest needed it no more, and `fd` is of another file since: the name may be anybody's */
	bool keep; /* at the end: what was there before, until the caller says otherwise */
};

#define RUN_REGION_NAME 128

/* A region's name from a guest's: bytes that are awkward in a file name become '-'. */
void run_region_name(const char *guest, int pid, char name[RUN_REGION_NAME]);

enum run_region_use {
	RUN_REGION_NEW,	      /* it must not be there yet */
	RUN_REGION_TEMPORARY, /* nor this one, which goes with this process, however that ends */
	RUN_REGION_REUSE,     /* it may be there, with the size asked for */
	RUN_REGION_TAKE_OVER, /* another gvm run may still have it, whose guest goes on in ours */
};

/*
 * Makes path of `bytes`, or takes it as it is where `use` allows that. Errors have been said. On
 * return r->fd is open, or an error is returned and nothing is left behind. A region that is taken
 * over is locked, by a thread, as soon as the other gvm run has ended.
 */
int run_region_open(struct run_region *r, const char *path, uint64_t bytes, enum run_region_use use);
/* Writes back and drops the host's copy of a region that is kept, removes one that is not. Returns
 * an error that cost data; it has been said. */
int run_region_close(struct run_region *r);

#endif
