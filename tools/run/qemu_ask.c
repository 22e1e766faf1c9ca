// SPDX-License-Identifier: GPL-2.0-or-later
#include "memnode/clock.h"
#include "qemu_ask.h"

#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_NS	 (10ull * 1000 * 1000 * 1000)
#define ANSWER_BYTES_MAX (4u << 20)
#define ARGS_MAX	 12

/* What it is run with, and what it is told then. */
static const struct {
	const char *args[ARGS_MAX];
	const char *says;
} questions[] = {
	[QEMU_ASK_HELP] = {{"-help"}, ""},
	[QEMU_ASK_MACHINES] = {{"-S", "-no-user-config", "-nodefaults", "-display", "none",
				"-machine", "none,accel=tcg:kvm", "-qmp", "stdio"},
			       "{\"execute\":\"qmp_capabilities\"}\n"
			       "{\"execute\":\"query-target\"}\n"
			       "{\"execute\":\"query-machines\"}\n"
			       "{\"execute\":\"quit\"}\n"},
};

/* A process group of its own: a script's children can be ended with it. */
__attribute__((noreturn)) static void child_main(const char *qemu, enum qemu_question question,
						 int sock)
{
	const char *argv[ARGS_MAX + 2] = {qemu};
	int none = open("/dev/null", O_WRONLY);

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(sock, STDIN_FILENO);
	dup2(sock, STDOUT_FILENO);
	dup2(none, STDERR_FILENO);
	for (unsigned i = 0; questions[question].args[i]; i++)
		argv[i + 1] = questions[question].args[i];
	execvp(qemu, (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Reads to the end. False: not in time, or too much. */
static bool answer_read(int sock, char *text)
{
	uint64_t deadline = gvm_now_ns() + ANSWER_NS;
	size_t have = 0;

	while (have < ANSWER_BYTES_MAX) {
		uint64_t now = gvm_now_ns();
		struct pollfd p = {sock, POLLIN, 0};
		ssize_t n;

		if (now >= deadline || poll(&p, 1, (int)((deadline - now) / 1000000) + 1) <= 0)
			return false;
		n = read(sock, text + have, ANSWER_BYTES_MAX - have);
		if (n <= 0) {
			text[have] = 0;
			return !n || errno == ECONNRESET;
		}
		have += (size_t)n;
	}
	return false;
}

char *qemu_ask(const char *qemu, enum qemu_question question)
{
	const char *says = questions[question].says;
	char *text = malloc(ANSWER_BYTES_MAX + 1);
	bool answered = false;
	int sock[2];
	pid_t pid;

	if (!text || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock)) {
		free(text);
		return NULL;
	}
	pid = fork();
	if (pid == 0)
		child_main(qemu, question, sock[1]);
	close(sock[1]);
	if (pid > 0) {
		setpgid(pid, pid); /* whichever of the two comes first */
		/* QEMU drops what it has not yet done of its monitor's commands at their end */
		if (!*says)
			shutdown(sock[0], SHUT_WR);
		if (!*says ||
		    send(sock[0], says, strlen(says), MSG_NOSIGNAL) == (ssize_t)strlen(says))
			answered = answer_read(sock[0], text);
		kill(-pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	close(sock[0]);
	if (answered)
		return text;
	free(text);
	return NULL;
}

bool qemu_user_config(const char *qemu, char path[PATH_MAX])
{
	char program[PATH_MAX], real[PATH_MAX], *slash;

	if (!program_find(qemu, program) || !realpath(program, real))
		return false;
	slash = strrchr(real, '/');
	*slash = 0;
	/* a distribution's has it in /etc, one below another prefix beside itself */
	if (!strcmp(real, "/usr/bin") || !strcmp(real, "/usr/libexec"))
		snprintf(path, PATH_MAX, "/etc/qemu/qemu.conf");
	else if (snprintf(path, PATH_MAX, "%s/../etc/qemu/qemu.conf", real) >= PATH_MAX)
		return false;
	return access(path, R_OK) == 0;
}
