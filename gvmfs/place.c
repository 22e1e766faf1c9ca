// SPDX-License-Identifier: GPL-2.0-or-later
/* place.c - see place.h. */
#include "place.h"

#include "base/log.h"
#include "file.h"
#include "mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than the headers that Debian 12 has; the value is the kernel's ABI. */
#define MNT_ID_UNIQUE 0x4000u /* STATX_MNT_ID_UNIQUE */

#define LOCK_TRIES  100 /* 10 ms apart */
#define LOOK_MS	    3000 /* how long a mount may take to answer; a killed gvmfs may take as long to go */
#define STACKED_MAX 64

int place_open(const char *dir, char path[PATH_MAX])
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char link[40];
	ssize_t n;

	if (fd < 0)
		return -errno;
	/* realpath() would ask the mounted filesystem, which may refuse. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	if (n < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	path[n] = 0;
	return fd;
}

int place_identify(int fd, struct place_mount *m)
{
	struct statx st;

	/* DONT_SYNC: the kernel answers alone. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID | MNT_ID_UNIQUE, &st) < 0)
		return -errno;
	m->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	m->id = st.stx_mnt_id;
	m->unique = st.stx_mask & MNT_ID_UNIQUE;
	return 0;
}

int place_lock(const char *path)
{
	char parent[PATH_MAX], *slash;
	int fd;

	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (!slash)
		return -1;
	slash[slash == parent] = 0;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	for (unsigned i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES) {
			close(fd);
			return -1;
		}
		usleep(10000);
	}
	return fd;
}

/* With fusermount3(1), which takes names only. */
static int detach_by_tool(const char *path)
{
	char tool[] = "fusermount3", off[] = "-u", lazy[] = "-z", quiet[] = "-q", end[] = "--";
	char *argv[] = { tool, off, lazy, quiet, end, (char *)path, NULL };
	int error, how = 0;
	pid_t pid;

	error = posix_spawnp(&pid, tool, NULL, NULL, argv, environ);
	if (error)
		return -EPERM;
	while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(how) && WEXITSTATUS(how) == 0 ? 0 : -EPERM;
}

int place_detach(int fd, const char *path)
{
	char link[40];

	/* Lazily, since the descriptor alone would keep the mount busy. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (umount2(link, MNT_DETACH) == 0)
		return 0;
	return errno == EPERM ? detach_by_tool(path) : -errno;
}

struct found {
	bool mounted; /* something is mounted at the very place */
	bool fuse;
	bool gvmfs;
	uid_t uid;
	gid_t gid;
};

static unsigned option_number(const char *options, const char *name)
{
	const char *at = strstr(options, name);

	return at ? (unsigned)strtoul(at + strlen(name), NULL, 10) : 0;
}

/* The number of the mount that contains the descriptor's file, as in the list of mounts. */
static int mount_number(int fd, unsigned *id)
{
	char name[48], text[512];
	int r;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	r = file_text(name, text, sizeof(text));
	*id = (unsigned)text_number(text, "mnt_id:");
	return !r && !*id ? -ENOENT : r;
}

/* Finds whether the descriptor is the root of a mount, and of what kind. */
static int place_look(int fd, const char *path, struct found *found)
{
	struct mountinfo m;
	unsigned id;
	int r = mount_number(fd, &id);

	*found = (struct found){ 0 };
	if (!r)
		r = mountinfo_open(&m, NULL);
	if (r)
		return r;
	while (mountinfo_next(&m)) {
		if (m.id != id || strcmp(m.at, path) != 0)
			continue;
		found->mounted = true;
		found->fuse = strncmp(m.type, "fuse", 4) == 0;
		found->gvmfs = strcmp(m.type, PLACE_TYPE) == 0;
		found->uid = option_number(m.super, "user_id=");
		found->gid = option_number(m.super, "group_id=");
	}
	mountinfo_close(&m);
	return 0;
}

/* Runs in the child. It may hang for long, so it keeps nothing open but the mount and its end of the
 * pipe: neither the place's lock nor the /dev/fuse of a new mount. */
static void ask(int fd, int answer, const struct found *found)
{
	struct statx st;

	if (dup2(fd, STDIN_FILENO) < 0 || dup2(answer, STDOUT_FILENO) < 0)
		_exit(EIO);
	close_range(STDERR_FILENO, ~0u, 0);
	if (geteuid() == 0 && found->uid &&
	    (setgroups(0, NULL) < 0 || setresgid(found->gid, found->gid, found->gid) < 0 ||
	     setresuid(found->uid, found->uid, found->uid) < 0))
		_exit(EACCES);
	if (statx(STDIN_FILENO, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) < 0)
		_exit(errno);
	_exit(0);
}

/*
 * Asks the mount a question that only its process can answer: in a child process, since the call may
 * block for ever, and as the user who mounted it, since other users may not ask. 0: it lives; -ENOTCONN:
 * its process is gone; -ETIMEDOUT: it does not answer; -ECANCELED; -EACCES.
 */
static int place_ask(int fd, const struct found *found, struct stop *stop)
{
	int answer[2], r, status = EXIT_SUCCESS;
	pid_t pid;

	if (pipe2(answer, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		ask(fd, answer[1], found);
	r = pid < 0 ? -errno : 0;
	close(answer[1]); /* the child's copy closes when the child ends */
	if (!r)
		r = stop_wait(stop, answer[0], LOOK_MS);
	close(answer[0]);
	if (pid < 0)
		return r;
	if (r <= 0) {
		/* The child may end only when the mount answers; nobody waits for it. */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, WNOHANG);
		return r ? r : -ETIMEDOUT;
	}
	waitpid(pid, &status, 0);
	r = WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
	/* The answers of a mount that went during the question, and of one that never came up and
	 * never will. */
	return r == -ECONNABORTED || r == -ECONNREFUSED ? -ENOTCONN : r;
}

bool place_lives(const char *path, struct stop *stop)
{
	char at[PATH_MAX];
	struct found found;
	int fd = place_open(path, at);
	bool lives;

	if (fd < 0)
		return false;
	lives = !place_look(fd, at, &found) && found.mounted && found.gvmfs && place_ask(fd, &found, stop) != -ENOTCONN;
	close(fd);
	return lives;
}

/* Clears one mount. 1: it was dead and is detached; 0: there is nothing to clear; or a negative
 * errno. */
static int clear_one(const char *path, struct stop *stop, bool quiet)
{
	char at[PATH_MAX];
	struct found found;
	int fd = place_open(path, at), r;

	if (fd < 0)
		return fd;
	r = place_look(fd, path, &found);
	if (r < 0 || !found.mounted)
		goto close_fd;
	/* Of other filesystems only a dead one prevents mounting; gvmfs waits for no other. */
	if (!found.gvmfs && (quiet || !found.fuse)) {
		r = 0;
		goto close_fd;
	}
	r = place_ask(fd, &found, stop);
	if (!found.gvmfs) {
		if (r == -ENOTCONN)
			log_error(NULL, "%s: the process of another filesystem mounted there is gone: "
					"umount it first", path);
		r = r == -ENOTCONN || r == -ECANCELED ? r : 0;
	} else if (r == -ENOTCONN) {
		r = place_detach(fd, path);
		if (r < 0)
			log_error(NULL, "%s: the dead gvmfs mounted there cannot be unmounted: %s", path,
				  strerror(-r));
		else
			log_warning(NULL, "%s: unmounted what a gvmfs left that was killed", path);
		r = r < 0 ? r : 1;
	} else if (r != -ECANCELED) {
		if (!quiet)
			log_error(NULL, "%s: a gvmfs %s", path,
				  r == -ETIMEDOUT ? "is mounted there that does not answer: end it first" :
				  r == -EACCES	  ? "of another user is mounted there: only that user, or "
						    "root, can umount it" :
						    "is mounted there already: umount it first");
		r = -EBUSY;
	}
close_fd:
	close(fd);
	return r;
}

int place_clear(const char *path, struct stop *stop, bool quiet)
{
	int r = 1;

	for (unsigned i = 0; r > 0 && i < STACKED_MAX; i++)
		r = clear_one(path, stop, quiet);
	return r;
}
