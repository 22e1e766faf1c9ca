// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm upgrade - a newer gvmfs takes the running one's place, under all guests of a mount (gvmfs/gvm_upgrade.h). */
#include "gvm.h"
#include "gvmfs/gvm_upgrade.h"
#include "mounts.h"
#include "program.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char help_text[] =
	"usage: gvm upgrade [--to PROGRAM] [MOUNT]\n"
	"\n"
	"Has a newer gvmfs take the place of the one that serves MOUNT (default: the only\n"
	"mount that there is), while guests run: to them it is a pause of some ten\n"
	"milliseconds. If the new one cannot, the old one goes on, and this says why.\n"
	"\n"
	"  --to PROGRAM  the new gvmfs (default: the one beside this program, or in PATH)\n"
	"  --help        show this text\n";

/* gvmfs beside this program, else in PATH. */
static bool program_default(char path[PATH_MAX])
{
	char self[PATH_MAX - 16];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = 0;
		slash = strrchr(self, '/');
		snprintf(path, PATH_MAX, "%.*s/gvmfs", slash ? (int)(slash - self) : 0, self);
		if (access(path, X_OK) == 0)
			return true;
	}
	return program_find("gvmfs", path);
}

static int connect_in(const char *folder, unsigned dev_major, unsigned dev_minor)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/", folder), rc;

	if (n >= (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	snprintf(addr.sun_path + n, sizeof(addr.sun_path) - (size_t)n, GVM_UPGRADE_NAME, dev_major, dev_minor);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* Makes no request to the mount. */
static int supervisor_connect(const char *mount)
{
	const char *own = getenv("XDG_RUNTIME_DIR");
	char folder[PATH_MAX];
	struct statx st;
	int fd;

	if (statx(AT_FDCWD, mount, AT_STATX_DONT_SYNC, STATX_TYPE, &st))
		return -errno;
	fd = connect_in("/run/gvmfs", st.stx_dev_major, st.stx_dev_minor);
	if (fd >= 0 || !own || fd == -EACCES)
		return fd;
	snprintf(folder, sizeof(folder), "%s/gvmfs", own);
	return connect_in(folder, st.stx_dev_major, st.stx_dev_minor);
}

static int ask(int to, int program)
{
	struct gvm_upgrade_msg msg = {.magic = GVM_UPGRADE_MAGIC, .what = GVM_UPGRADE_ASK};
	struct iovec iov = {&msg, sizeof(msg)};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			     .msg_controllen = sizeof(control.room)};

	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.align), &program, sizeof(int));
	return sendmsg(to, &hdr, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int hear(int from, const char *mount)
{
	struct gvm_upgrade_msg msg;

	for (;;) {
		ssize_t n = recv(from, &msg, sizeof(msg), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(msg) || msg.magic != GVM_UPGRADE_MAGIC) {
			say("%s: its gvmfs has ended, or does not take this request: its log says more", mount);
			return 1;
		}
		msg.text[sizeof(msg.text) - 1] = 0;
		if (msg.what == GVM_UPGRADE_DONE) {
			printf("%s: served by gvmfs %s now\n", mount, msg.text);
			return 0;
		}
		if (msg.what == GVM_UPGRADE_FAILED) {
			say("%s: the gvmfs of before goes on: %s", mount, msg.text);
			return 1;
		}
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "%s: %s\n", mount, msg.text);
	}
}

static int upgrade(const char *mount, const char *to)
{
	char path[PATH_MAX];
	int program, fd, rc;

	if (!to && !program_default(path)) {
		say("gvmfs is not found: name it with --to");
		return 1;
	}
	program = open(to ? to : path, O_RDONLY | O_CLOEXEC);
	if (program < 0) {
		say("%s: %s", to ? to : path, strerror(errno));
		return 1;
	}
	fd = supervisor_connect(mount);
	if (fd < 0) {
		say("%s: %s", mount, fd == -EACCES ? "only root, or the user who mounted it, may upgrade it" :
		    fd == -ENOENT || fd == -ECONNREFUSED ? "no gvmfs that can be upgraded serves a mount there" : strerror(-fd));
		return 1;
	}
	rc = ask(fd, program);
	close(program);
	if (!rc)
		return hear(fd, mount);
	say("%s: %s", mount, strerror(-rc));
	return 1;
}

int cmd_upgrade(int argc, char **argv)
{
	static const struct option longs[] = {
		{"to", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	char path[PATH_MAX], err[MOUNTS_ERR_TEXT];
	const char *to = NULL;
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 't') {
			to = optarg;
			continue;
		}
		if (c != 'h')
			return EXIT_USAGE;
		fputs(help_text, stdout);
		return 0;
	}
	if (argc - optind > 1) {
		fputs(help_text, stderr);
		return EXIT_USAGE;
	}
	if (optind == argc && mounts_find(NULL, path, err)) {
		say("%s", err);
		return 1;
	}
	return upgrade(optind < argc ? argv[optind] : path, to);
}
