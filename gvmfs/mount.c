// SPDX-License-Identifier: GPL-2.0-or-later
/* mount.c - see mount.h. */
#include "mount.h"

#include "base/descriptors.h"
#include "base/log.h"
#include "mountinfo.h"
#include "state/request.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOOL_SAID_MAX 400

/* The parameters that both ways of mounting need. */
static int parameters_print(const struct options *opts, char *text, size_t size)
{
	int n = snprintf(text, size, "default_permissions,max_read=%u%s", READ_BYTES_MAX,
			 opts->allow_other ? ",allow_other" : "");

	for (unsigned i = 0; i < OPTIONS_FLAGS && n < (int)size; i++)
		if (opts->flags & 1u << i)
			n += snprintf(text + n, size - (size_t)n, ",%s", options_flags[i].name);
	return n < (int)size ? 0 : -ENAMETOOLONG;
}

/* ---- by root ---- */

static int config_string(int fs, const char *key, const char *value)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

static int config_number(int fs, const char *key, const char *format, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), format, value);
	return config_string(fs, key, text);
}

static int config_flag(int fs, const char *key)
{
	return fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL, 0) < 0 ? -errno : 0;
}

static int filesystem_configure(int fs, const struct mount *m, const struct options *opts)
{
	int r = config_string(fs, "source", opts->source);

	if (!r)
		r = config_string(fs, "subtype", "gvmfs");
	if (!r)
		r = config_number(fs, "fd", "%u", (unsigned)m->fuse_fd);
	if (!r)
		r = config_number(fs, "rootmode", "%o", S_IFDIR);
	if (!r)
		r = config_number(fs, "user_id", "%u", geteuid());
	if (!r)
		r = config_number(fs, "group_id", "%u", getegid());
	if (!r)
		r = config_number(fs, "max_read", "%u", READ_BYTES_MAX);
	if (!r)
		r = config_flag(fs, "default_permissions");
	if (!r && opts->allow_other)
		r = config_flag(fs, "allow_other");
	for (unsigned i = 0; !r && i < OPTIONS_FLAGS; i++)
		if (opts->flags & 1u << i && options_flags[i].of_filesystem)
			r = config_flag(fs, options_flags[i].name);
	if (!r && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	return r;
}

/* -EPERM and -ENOSYS: not this way. */
static int mount_by_kernel(struct mount *m, const struct options *opts, int place)
{
	unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	int fs = fsopen("fuse", FSOPEN_CLOEXEC), mnt = -1, r;

	if (fs < 0)
		return -errno;
	r = filesystem_configure(fs, m, opts);
	for (unsigned i = 0; i < OPTIONS_FLAGS; i++)
		if (opts->flags & 1u << i)
			attributes |= options_flags[i].attribute;
	if (!r) {
		mnt = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
		r = mnt < 0 ? -errno : place_identify(mnt, &m->own);
	}
	if (!r && move_mount(mnt, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		r = -errno;
	if (mnt >= 0)
		close(mnt);
	close(fs);
	return r;
}

/* ---- by others ---- */

/* Reads what the tool printed, as one line. */
static void said_read(int fd, char *text, size_t size)
{
	ssize_t n = read(fd, text, size - 1);

	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
}

static int tool_start(const struct options *opts, const char *path, int socket, int said, pid_t *pid)
{
	char tool[] = "fusermount3", option[] = "-o", end[] = "--", list[PATH_MAX];
	char *argv[] = { tool, option, list, end, (char *)path, NULL };
	posix_spawn_file_actions_t actions;
	char number[16];
	int n, r;

	n = snprintf(list, sizeof(list), "subtype=gvmfs,fsname=");
	/* In the tool's option list a comma, as in a list of nodes, has to follow a backslash. */
	for (const char *c = opts->source; *c && n < PATH_MAX / 2; c++)
		n += snprintf(list + n, sizeof(list) - (size_t)n, *c == ',' || *c == '\\' ? "\\%c" : "%c", *c);
	n += snprintf(list + n, sizeof(list) - (size_t)n, ",");
	r = n < (int)sizeof(list) ? parameters_print(opts, list + n, sizeof(list) - (size_t)n) :
				    -ENAMETOOLONG;
	if (r)
		return r;
	/* fusermount3(1) hands /dev/fuse over on the socket named by this variable. */
	snprintf(number, sizeof(number), "%d", socket);
	setenv("_FUSE_COMMFD", number, 1);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
	posix_spawn_file_actions_adddup2(&actions, socket, socket); /* to itself: is kept open */
	r = -posix_spawnp(pid, tool, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	unsetenv("_FUSE_COMMFD");
	return r;
}

/* Waits for the descriptor. -EPROTO: the tool has printed why there is none. */
static int tool_answer(struct mount *m, int socket, struct stop *stop)
{
	int fds[DESCRIPTORS_MAX], r = stop_wait(stop, socket, -1);
	unsigned count = 0;
	char byte;

	if (r < 0)
		return r;
	r = descriptors_receive(socket, &byte, 1, fds, &count);
	if (r < 0 || count != 1)
		return -EPROTO;
	m->fuse_fd = fds[0];
	return 0;
}

static int mount_by_tool(struct mount *m, const struct options *opts, struct stop *stop)
{
	int pair[2] = { -1, -1 }, said[2] = { -1, -1 }, place, r = 0;
	char text[TOOL_SAID_MAX], at[PATH_MAX];
	pid_t pid = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || pipe2(said, O_CLOEXEC) < 0)
		r = -errno;
	if (!r)
		r = tool_start(opts, m->at, pair[0], said[1], &pid);
	close(pair[0]);
	close(said[1]);
	if (!r) {
		r = tool_answer(m, pair[1], stop);
		if (r == -ECANCELED)
			kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (r == -EPROTO) {
		said_read(said[0], text, sizeof(text));
		log_error(NULL, "%s: cannot be mounted: %s", m->at,
			  *text ? text : "fusermount3 gives no reason");
	} else if (r < 0 && r != -ECANCELED) {
		log_error(NULL, "%s: cannot be mounted: users other than root need fusermount3 (%s)", m->at,
			  strerror(-r));
	}
	close(pair[1]);
	close(said[0]);
	if (r < 0)
		return r;
	place = place_open(m->at, at);
	r = place < 0 ? place : place_identify(place, &m->own);
	if (place >= 0)
		close(place);
	return r;
}

/* ---- */

static int device_open(struct mount *m)
{
	int error;

	m->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (m->fuse_fd >= 0)
		return 0;
	error = -errno;
	if (error == -ENOENT || error == -ENODEV || error == -ENXIO)
		log_error(NULL, "/dev/fuse is missing: this kernel or container has no FUSE (modprobe fuse)");
	else
		log_error(NULL, "/dev/fuse cannot be opened: %s", strerror(-error));
	return error;
}

/* Warns of a folder that has files: the mount hides them, and files that are written while nothing
 * is mounted there lie on the local disk. */
static void content_warn(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			log_warning(NULL, "%s is not empty: the mount hides what is in it", path);
			break;
		}
	if (dir)
		closedir(dir);
}

static int mount_locked(struct mount *m, const struct options *opts, struct stop *stop)
{
	char at[PATH_MAX];
	int place, r = place_clear(m->at, stop, false);

	if (r < 0)
		return r;
	place = place_open(m->at, at);
	if (place < 0) {
		log_error(NULL, "%s: %s", m->at, strerror(-place));
		return place;
	}
	content_warn(m->at);
	r = mount_by_kernel(m, opts, place);
	if (r == -EPERM || r == -ENOSYS) {
		close(m->fuse_fd);
		m->fuse_fd = -1;
		r = mount_by_tool(m, opts, stop);
	} else if (r < 0) {
		log_error(NULL, "%s: cannot be mounted: %s", m->at, strerror(-r));
	}
	close(place);
	return r;
}

int mount_make(struct mount *m, const struct options *opts, struct stop *stop)
{
	int lock, r;

	*m = (struct mount){ .at = opts->mountpoint, .fuse_fd = -1 };
	r = device_open(m);
	if (r < 0)
		return r;
	lock = place_lock(m->at);
	r = mount_locked(m, opts, stop);
	if (lock >= 0)
		close(lock);
	if (r < 0 && m->fuse_fd >= 0) {
		close(m->fuse_fd);
		m->fuse_fd = -1;
	}
	return r;
}

bool mount_is_alive(const struct mount *m)
{
	struct pollfd p = { .fd = m->fuse_fd };

	return m->fuse_fd >= 0 && poll(&p, 1, 0) == 0;
}

static bool is_own(const struct mount *m, const struct place_mount *found)
{
	return m->own.unique ? found->unique && found->id == m->own.id :
			       found->dev == m->own.dev && mount_is_alive(m);
}

/* Whether our mount exists at all, here or elsewhere. */
static bool is_listed(const struct mount *m)
{
	struct mountinfo info;
	bool found = false;

	if (mountinfo_open(&info, NULL) == 0)
		while (!found && mountinfo_next(&info))
			found = info.dev == m->own.dev && strcmp(info.type, PLACE_TYPE) == 0;
	mountinfo_close(&info);
	return found;
}

int mount_detach(struct mount *m, struct stop *stop)
{
	int lock = place_lock(m->at), fd, r = -ENOENT;
	struct place_mount found;
	char at[PATH_MAX];

	fd = place_open(m->at, at);
	if (fd >= 0 && place_identify(fd, &found) == 0 && is_own(m, &found))
		r = place_detach(fd, m->at);
	else if (!m->own.unique && !mount_is_alive(m))
		place_clear(m->at, stop, true); /* the mount there is dead, whether ours or not */
	if (fd >= 0)
		close(fd);
	if (lock >= 0)
		close(lock);
	return r;
}

bool mount_end(struct mount *m, struct stop *stop)
{
	int r = mount_detach(m, stop);

	if (r < 0 && r != -ENOENT)
		log_error(NULL, "%s: cannot be unmounted: %s", m->at, strerror(-r));
	else if (r < 0 && mount_is_alive(m) && is_listed(m))
		log_warning(NULL, "%s: this mount is covered by another one, or was moved; it goes on until it "
				  "is unmounted", m->at);
	else if (mount_is_alive(m))
		log_warning(NULL, "%s is in use: it ends when the last user closes it", m->at);
	return r == 0;
}
