// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm upgrade - a newer gvmfs takes the running one's place, under all guests of a mount (gvmfs/gvm_upgrade.h). */
#include "gvm.h"
#include "gvmfs/gvm_upgrade.h"
#include "memnode/mountinfo.h"
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
#include <sys/sysmacros.h>
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

struct served {
	unsigned owner;	 /* the user who mounted it */
	char socket[64]; /* its name, in whichever folder */
};

/* Makes no request to the mount, which need not let root in. */
static int served_look(const char *mount, struct served *s)
{
	struct mountinfo m;
	struct statx st;
	bool found = false;
	int rc;

	if (statx(AT_FDCWD, mount, AT_STATX_DONT_SYNC, 0, &st))
		return -errno;
	snprintf(s->socket, sizeof(s->socket), GVM_UPGRADE_NAME, st.stx_dev_major, st.stx_dev_minor);
	s->owner = 0;
	rc = mountinfo_open(&m, NULL);
	while (!rc && !found && mountinfo_next(&m)) {
		const char *user = strstr(m.super, "user_id=");

		found = m.dev == makedev(st.stx_dev_major, st.stx_dev_minor) && !strcmp(m.type, "fuse.gvmfs");
		if (found && user)
			s->owner = (unsigned)strtoul(user + strlen("user_id="), NULL, 10);
	}
	mountinfo_close(&m);
	return rc ? rc : found ? 0 : -ENODEV;
}

/* Whether it was bound under that name: the path that led to it may be another's link to any socket of root's. */
static bool is_named(int fd, const char *name)
{
	struct sockaddr_un addr = {0};
	socklen_t size = sizeof(addr) - 1;
	const char *slash;

	if (getpeername(fd, (struct sockaddr *)&addr, &size))
		return false;
	slash = strrchr(addr.sun_path, '/');
	return slash && !strcmp(slash + 1, name);
}

/* Only one that the mount's own user or root listens at: anybody can give a socket that name, or take no connections at it. */
static int connect_to(const char *path, const struct served *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred who;
	socklen_t size = sizeof(who);
	int fd, rc;

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path) >= (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	if (!rc && (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) || (who.uid && who.uid != s->owner) ||
		    !is_named(fd, s->socket)))
		rc = -ENOENT;
	if (!rc && fcntl(fd, F_SETFL, 0))
		rc = -errno;
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

static int connect_in(const char *folder, const struct served *s)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/gvmfs/%s", folder, s->socket) < (int)sizeof(path) ? connect_to(path, s) :
												    -ENAMETOOLONG;
}

/* Another user's is in a folder of that user's: the kernel knows where. */
static int connect_anywhere(const struct served *s)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char *line = NULL;
	size_t room = 0;
	int fd = -ENOENT;

	while (f && fd < 0 && getline(&line, &room, f) > 0) {
		const char *path = strchr(line, '/'), *name = strrchr(line, '/');

		line[strcspn(line, "\n")] = 0;
		if (path && !strcmp(name + 1, s->socket))
			fd = connect_to(path, s);
	}
	free(line);
	if (f)
		fclose(f);
	return fd;
}

static int supervisor_connect(const struct served *s)
{
	const char *own = getenv("XDG_RUNTIME_DIR");
	int fd = connect_in("/run", s);

	if (fd < 0 && own)
		fd = connect_in(own, s);
	if (fd < 0 && !geteuid())
		fd = connect_anywhere(s);
	return fd;
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

/* It may be another user's text. */
static void text_clean(char text[GVM_UPGRADE_TEXT])
{
	text[GVM_UPGRADE_TEXT - 1] = 0;
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
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
		text_clean(msg.text);
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
	struct served served;
	int program, fd, rc = served_look(mount, &served);

	if (rc) {
		say("%s: %s", mount, rc == -ENODEV ? "this is not in a gvmfs mount (findmnt -t fuse.gvmfs lists them)" : strerror(-rc));
		return 1;
	}
	if (geteuid() && geteuid() != served.owner) {
		say("%s: only root, or the user who mounted it (%u), may upgrade it", mount, served.owner);
		return 1;
	}
	if (!to && !program_default(path)) {
		say("gvmfs is not found: name it with --to");
		return 1;
	}
	program = open(to ? to : path, O_RDONLY | O_CLOEXEC);
	if (program < 0) {
		say("%s: %s", to ? to : path, strerror(errno));
		return 1;
	}
	fd = supervisor_connect(&served);
	if (fd < 0) {
		say("%s: its gvmfs cannot be asked: it has ended, or was started %s, or runs elsewhere (%s)", mount,
		    served.owner ? "without XDG_RUNTIME_DIR" : "before it had a socket for that", strerror(-fd));
		close(program);
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
