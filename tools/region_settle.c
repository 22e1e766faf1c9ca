// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * region_settle.c - see region_settle.h. One call to gvmfs does it, and lasts as long as that takes
 * (user.gvm.settle.wait); a signal that ends it takes all of it back.
 */
#include "region_settle.h"

#include "fsstats.h"
#include "gvmfs/gvm_mount.h"
#include "inspect/progress.h"
#include "memcg.h"
#include "meminfo.h"
#include "memnode/file.h"
#include "memnode/size.h"
#include "run/demand.h"
#include "say.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

#define LOOK_NS	  (200l * 1000 * 1000)
#define RELEASES 50 /* looks for gvm run to let go of it, which looks once a second */

static char stats[FSSTATS_TEXT];

struct shown {
	const char *path;
	uint64_t size_bytes;
	pid_t client;
	atomic_bool over;
};

static bool is_stopped(pid_t pid)
{
	char path[32], text[4096];
	const char *state;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	state = file_text(path, text, sizeof(text)) ? NULL : text_field(text, "State:");
	return state && strchr("tT", *state);
}

static void *progress_run(void *arg)
{
	static const struct timespec pause = {.tv_nsec = LOOK_NS};
	static char text[FSSTATS_TEXT];
	struct shown *s = arg;
	bool stopped = false;
	struct progress p;

	progress_begin(&p, "fetched", s->size_bytes);
	while (!s->over) {
		uint64_t at = fsstats_read(s->path, text) ? 0 : fsstats_get(text, "settle_bytes");

		if (at > p.done)
			progress_add(&p, at - p.done);
		if (!stopped && is_stopped(s->client)) {
			stopped = true;
			progress_end(&p);
			say("%s: process %d is stopped, and has to go on for this: kill -CONT %d", s->path, (int)s->client,
			    (int)s->client);
		}
		nanosleep(&pause, NULL);
	}
	progress_end(&p);
	return NULL;
}

static void interrupted(int sig)
{
	(void)sig; /* it ends the call */
}

static void signals_catch(void)
{
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = interrupted}; /* no restart */

	for (unsigned i = 0; i < sizeof(sigs) / sizeof(*sigs); i++)
		sigaction(sigs[i], &sa, NULL);
}

/* The call, with its progress beside it: 0 or a negative errno. */
static int settle(const char *path, pid_t client, uint64_t size_bytes)
{
	struct shown s = {.path = path, .client = client, .size_bytes = size_bytes};
	sigset_t every, before;
	pthread_t thread;
	char said[8];
	bool shows;
	int rc;

	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &before);
	shows = pthread_create(&thread, NULL, progress_run, &s) == 0;
	signals_catch();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	rc = setxattr(path, GVM_XATTR_SETTLE, "1", 1, 0) || getxattr(path, GVM_XATTR_SETTLING, said, sizeof(said)) < 0 ? -errno : 0;
	s.over = true;
	if (shows)
		pthread_join(thread, NULL);
	return rc;
}

/* Whether there is memory for what is not here yet; zero pages count, since a guest may write to them. */
static bool has_room(const char *path, pid_t client, uint64_t need_bytes)
{
	char need[SIZE_TEXT], room[SIZE_TEXT], keeps[SIZE_TEXT], group[PATH_MAX];
	uint64_t host, available, group_room;

	size_text(need_bytes, need);
	meminfo_read(&host, &available);
	if (host && need_bytes + run_demand_keeps(host) > available) {
		say("%s: this may take %s more of this host's memory, of which %s is free and %s is the host's own; --force "
		    "tries it all the same", path, need, size_text(available, room), size_text(run_demand_keeps(host), keeps));
		return false;
	}
	/* (The limit of gvm run's group follows what is in it.) */
	if (client && !memcg_room(client, "gvm-run.", &group_room, group) && need_bytes > group_room) {
		say("%s: this may take %s more memory, and the guest's group %s lets it have %s more: raise that group's limit; "
		    "--force tries it all the same", path, need, group, size_text(group_room, room));
		return false;
	}
	return true;
}

static const char *why(int rc)
{
	switch (rc) {
	case -ENXIO:
		return "it is not on the fast path: a guest that maps it as a file needs gvmfs as long as it runs";
	case -EPROTONOSUPPORT:
		return "its guest was started with an older gvm, which cannot do without gvmfs";
	case -EBUSY:
		return "that is under way already";
	case -ESRCH:
		return "its guest has ended";
	case -EINTR:
		return "taken back: the guest goes on as before";
	case -EIO:
		return "not settled, and the guest goes on as before: something of it cannot be fetched; the mount's log says more";
	case -EOPNOTSUPP:
	case -EINVAL:
		return "this mount's gvmfs is older than this program, and cannot do that: gvm upgrade";
	default:
		return fsstats_error(rc);
	}
}

/* The guest's QEMU has let go of the file; gvm run around it does so when it notices. A temporary region is gone then. */
static void release_wait(const char *path)
{
	static const struct timespec pause = {.tv_nsec = LOOK_NS};

	for (unsigned i = 0; i < RELEASES && !fsstats_read(path, stats) && fsstats_get(stats, "opens"); i++)
		nanosleep(&pause, NULL);
}

static void done_say(const char *path, pid_t client, uint64_t size_bytes)
{
	char size[SIZE_TEXT], held[SIZE_TEXT];
	struct stat st;

	printf("%s: all of its %s is on this host, and process %d needs gvmfs no more\n", path, size_text(size_bytes, size),
	       (int)client);
	if (stat(path, &st))
		return;
	if (fsstats_get(stats, "opens"))
		printf("Another program has it open, and keeps the mount in use (fuser -v %s)\n", path);
	printf("The nodes still hold %s of it, which is of no use any more: gvm region delete gives that back\n",
	       size_text((uint64_t)st.st_blocks * 512, held));
}

int region_settle(const char *path, bool force)
{
	struct stat st;
	int rc = stat(path, &st) ? -errno : S_ISREG(st.st_mode) ? fsstats_read(path, stats) : -ENODATA;
	uint64_t size_bytes = fsstats_get(stats, "size_bytes"), here = fsstats_get(stats, "resident_bytes");
	pid_t client = (pid_t)fsstats_get(stats, "client_pid");

	if (rc == -ENODATA || rc == -EOPNOTSUPP) {
		say("%s: " FSSTATS_NO_REGION, path);
		return 1;
	}
	if (!rc && fsstats_get(stats, "settled")) {
		printf("%s: it is settled already\n", path);
		return 0;
	}
	if (!rc && !fsstats_get(stats, "fast"))
		rc = -ENXIO;
	if (!rc && !force && !has_room(path, client, size_bytes > here ? size_bytes - here : 0))
		return 1;
	if (!rc)
		rc = settle(path, client, size_bytes);
	if (rc == -EINPROGRESS) {
		say("%s: process %d has been told, which cannot be taken back: as soon as it answers it goes on without gvmfs, and "
		    "gvm region list shows the region as settled. Until then it needs gvmfs%s", path, (int)client,
		    is_stopped(client) ? ". It is stopped: kill -CONT it" : "");
		return 1;
	}
	if (rc) {
		say("%s: %s", path, why(rc));
		return 1;
	}
	release_wait(path);
	done_say(path, client, size_bytes);
	return 0;
}
