// SPDX-License-Identifier: GPL-2.0-or-later
/* upgrade.c - see upgrade.h. */
#include "upgrade.h"

#include "base/descriptors.h"
#include "base/log.h"
#include "clock.h"
#include "state/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_NS	 5000000000ull
#define PROBE_NS 20000000000ull
#define FIT	 "gvmfs takes over" /* says a program that was tried, and is fit; any could end well */
#define LOOK_MS	 10 /* while a probe ends, */
#define LEFT_MS	 100 /* and while one that was killed does */

static int address(dev_t dev, struct sockaddr_un *addr)
{
	char folder[sizeof(addr->sun_path)], name[40];
	int r = listener_folder(folder, sizeof(folder));

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (r)
		return r;
	snprintf(name, sizeof(name), GVM_UPGRADE_NAME, major(dev), minor(dev));
	r = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/%s", folder, name);
	return r < (int)sizeof(addr->sun_path) ? 0 : -ENAMETOOLONG;
}

void upgrade_open(struct upgrade *u, dev_t dev)
{
	struct sockaddr_un addr;
	int r = address(dev, &addr);
	int fd = r ? r : socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*u = (struct upgrade){ .listener = -1, .asker = -1, .program = -1, .output = -1 };
	if (fd == -ENAMETOOLONG)
		log_warning(NULL, "gvm upgrade cannot ask for another gvmfs here: %s: %s", getenv("XDG_RUNTIME_DIR"), strerror(-fd));
	if (fd < 0)
		return;
	unlink(addr.sun_path); /* left by an earlier mount with the same device number */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && chmod(addr.sun_path, 0600) == 0 && listen(fd, 4) == 0)
		u->listener = fd;
	else
		close(fd);
}

void upgrade_leave(struct upgrade *u)
{
	const int fds[] = { u->listener, u->asker, u->program, u->output };

	for (unsigned i = 0; i < 4; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*u = (struct upgrade){ .listener = -1, .asker = -1, .program = -1, .output = -1 };
}

void upgrade_close(dev_t dev)
{
	struct sockaddr_un addr;

	if (address(dev, &addr) == 0)
		unlink(addr.sun_path);
}

/* By a child that has a copy of its socket a supervisor that was killed still takes connections. */
static bool listener_has_ended(int fd)
{
	struct pollfd p = { .events = POLLIN };
	struct ucred who;
	socklen_t size = sizeof(who);
	bool ended;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
		return false;
	p.fd = (int)syscall(SYS_pidfd_open, who.pid, 0);
	if (p.fd < 0)
		return errno == ESRCH;
	ended = poll(&p, 1, 0) == 1;
	close(p.fd);
	return ended;
}

bool upgrade_is_left(dev_t dev)
{
	struct sockaddr_un addr;
	int fd = address(dev, &addr) ? -1 : socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool left;

	if (fd < 0)
		return false;
	left = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? errno == ECONNREFUSED : listener_has_ended(fd);
	close(fd);
	return left;
}

void upgrade_poll(const struct upgrade *u, struct pollfd p[2])
{
	p[0] = (struct pollfd){ .fd = u->asker >= 0 ? u->asker : u->left ? -1 : u->listener,
				.events = u->probe ? 0 : POLLIN };
	p[1] = (struct pollfd){ .fd = u->output, .events = POLLIN };
}

int upgrade_look_ms(const struct upgrade *u)
{
	uint64_t now = gvm_now_ns();

	if (u->left)
		return LEFT_MS;
	if (u->asker < 0 || !u->until_ns)
		return -1;
	if (u->probe && u->output < 0)
		return LOOK_MS;
	return now >= u->until_ns ? 0 : (int)((u->until_ns - now) / 1000000 + 1);
}

static void forget(struct upgrade *u)
{
	const int fds[] = { u->asker, u->program, u->output };

	/* It may wait in the kernel for what never answers. */
	if (u->probe && kill(u->probe, SIGKILL) == 0)
		u->left = u->probe;
	for (unsigned i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*u = (struct upgrade){ .listener = u->listener, .asker = -1, .program = -1, .output = -1, .left = u->left };
}

void upgrade_say(struct upgrade *u, enum gvm_upgrade_what what, const char *text)
{
	struct gvm_upgrade_msg msg = { .magic = GVM_UPGRADE_MAGIC, .what = what };

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	if (u->asker >= 0)
		descriptors_send(u->asker, &msg, sizeof(msg), NULL, 0);
	if (what == GVM_UPGRADE_FAILED)
		log_warning(NULL, "gvmfs is not upgraded, and goes on: %s", text);
	if (what != GVM_UPGRADE_SAYS)
		forget(u);
}

static void asker_accept(struct upgrade *u)
{
	struct ucred who;
	socklen_t size = sizeof(who);

	u->asker = accept4(u->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (u->asker < 0)
		return;
	u->until_ns = gvm_now_ns() + ASK_NS;
	if (getsockopt(u->asker, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0 || (who.uid && who.uid != geteuid()))
		forget(u);
}

/* The child has the will and the new program alone. What it says goes back. */
static int probe_start(struct upgrade *u, struct will *will)
{
	int pipe[2], fd;

	will->probe = true;
	fd = will_make(will);
	if (fd < 0)
		return fd;
	if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		close(fd);
		return -errno;
	}
	u->probe = fork();
	if (u->probe == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(pipe[1], STDOUT_FILENO);
		dup2(pipe[1], STDERR_FILENO);
		if (chdir(will->folder) == 0)
			will_execute(u->program, fd, will);
		_exit(127);
	}
	close(pipe[1]);
	close(fd);
	if (u->probe < 0) {
		u->probe = 0;
		close(pipe[0]);
		return -EAGAIN;
	}
	u->output = pipe[0];
	u->until_ns = gvm_now_ns() + PROBE_NS;
	return 0;
}

static void request_read(struct upgrade *u, const char *why_not, struct will *will)
{
	struct gvm_upgrade_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count = 0;
	int r = descriptors_receive(u->asker, &msg, sizeof(msg), fds, &count);

	if (r == -EAGAIN && gvm_now_ns() < u->until_ns)
		return;
	if (r || count != 1 || msg.magic != GVM_UPGRADE_MAGIC || msg.what != GVM_UPGRADE_ASK) {
		for (unsigned i = 0; i < count; i++)
			close(fds[i]);
		forget(u);
		return;
	}
	u->program = fds[0];
	if (why_not)
		upgrade_say(u, GVM_UPGRADE_FAILED, why_not);
	else if ((r = probe_start(u, will)) < 0)
		upgrade_say(u, GVM_UPGRADE_FAILED, strerror(-r));
}

/* The first line that the probe said, without its name in front. */
static const char *reason(struct upgrade *u, int how, char text[GVM_UPGRADE_TEXT])
{
	char *line = u->said;

	if (WIFSIGNALED(how))
		snprintf(text, GVM_UPGRADE_TEXT, "the new program was ended by signal %d when it was tried", WTERMSIG(how));
	else if (WEXITSTATUS(how) == 127 && !*line)
		snprintf(text, GVM_UPGRADE_TEXT, "the new program cannot be executed");
	else {
		line[strcspn(line, "\n")] = 0;
		snprintf(text, GVM_UPGRADE_TEXT, "the new program does not take over: %.400s", *line ? line : "it does not say why");
	}
	return text;
}

/* True: it has ended well. */
static bool probe_look(struct upgrade *u)
{
	char text[GVM_UPGRADE_TEXT];
	ssize_t n = 0;
	int how;
	bool ended = waitpid(u->probe, &how, WNOHANG) == u->probe; /* then it says no more */

	while (u->output >= 0 && u->said_bytes < sizeof(u->said) - 1 &&
	       (n = read(u->output, u->said + u->said_bytes, sizeof(u->said) - 1 - u->said_bytes)) > 0)
		u->said_bytes += (unsigned)n;
	if (u->output >= 0 && (n == 0 || u->said_bytes == sizeof(u->said) - 1)) {
		close(u->output);
		u->output = -1;
	}
	if (ended) {
		u->probe = 0;
		u->until_ns = 0;
		if (WIFEXITED(how) && WEXITSTATUS(how) == EXIT_SUCCESS && strncmp(u->said, FIT, strlen(FIT)) == 0)
			return true;
		upgrade_say(u, GVM_UPGRADE_FAILED, reason(u, how, text));
	} else if (gvm_now_ns() >= u->until_ns) {
		upgrade_say(u, GVM_UPGRADE_FAILED, "the new program hangs when it is tried");
	} else {
		struct pollfd p = { .fd = u->asker };

		if (poll(&p, 1, 0) == 1 && p.revents & (POLLHUP | POLLERR))
			forget(u); /* gvm upgrade was ended */
	}
	return false;
}

bool upgrade_turn(struct upgrade *u, const char *why_not, struct will *will)
{
	if (u->left && waitpid(u->left, NULL, WNOHANG))
		u->left = 0;
	if (u->asker < 0 && u->listener >= 0 && !u->left)
		asker_accept(u);
	if (u->asker >= 0 && u->program < 0)
		request_read(u, why_not, will);
	if (!u->probe || !probe_look(u))
		return false;
	if (why_not) /* by now */
		upgrade_say(u, GVM_UPGRADE_FAILED, why_not);
	return !why_not;
}

int upgrade_probe(const struct will *w, uint64_t seal_id)
{
	struct journal j;
	int r = journal_attach(&j, w->journal);

	if (!r && seal_id != j.super->seal_id) {
		fputs("gvmfs: the key for sealing is another one than that with which it was started\n", stderr);
		return EXIT_FAILURE;
	}
	if (!r) {
		puts(FIT);
		return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	fprintf(stderr, "gvmfs: %s\n", r == -EINVAL ? "it keeps its state in another layout" : strerror(-r));
	return EXIT_FAILURE;
}
