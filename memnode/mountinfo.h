/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mountinfo.h - the mounts that this process sees, out of /proc/self/mountinfo.
 *
 * Reading the list calls no filesystem, so it never waits for one that does not answer. Lines may
 * have any length. Characters that the kernel escapes (blank, tab, newline, backslash, '#') are
 * decoded, so that the texts compare with paths.
 */
#ifndef GVM_MOUNTINFO_H
#define GVM_MOUNTINFO_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct mountinfo {
	/* the mount read last; the texts hold until the next call */
	unsigned id;	    /* unique among the mounts that exist at present */
	dev_t dev;	    /* st_dev of its files; MAJOR:MINOR below /sys/class/bdi */
	const char *root;   /* the folder of the filesystem that is mounted */
	const char *at;	    /* the mount point */
	const char *type;   /* with a FUSE filesystem's subtype: fuse.gvmfs */
	const char *source; /* as it was given to mount(2) */
	const char *super;  /* options of the filesystem, with commas between them */
	/* private */
	FILE *file;
	char *line;
	size_t room;
};

/* `list` is another file of that format, for tests; NULL: the kernel's. 0 or a negative errno;
 * mountinfo_close() is due in either case. */
int mountinfo_open(struct mountinfo *m, const char *list);
/* The next mount; of several in one place the last is the visible one. false: that was all. */
bool mountinfo_next(struct mountinfo *m);
void mountinfo_close(struct mountinfo *m);

#endif
