// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs - shows memory that memory nodes lend as files, for a virtual machine's RAM.
 *
 * main() reads the command line and goes to the background; supervisor.c mounts and keeps a worker
 * alive; worker.c serves.
 */
#include "rlimits.h"
#include "upgrade.h"
#include "base/log.h"
#include "options.h"
#include "state/sealing.h"
#include "supervisor.h"
#include "will.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t daemon_pid;

/* A signal that would end the parent ends the daemon, and with it the parent. */
static void pass_on(int sig)
{
	(void)sig;
	kill(daemon_pid, SIGTERM);
}

/* In the parent: waits for the daemon's byte, and passes its failure on. */
static int wait_ready(int fd)
{
	struct sigaction sa = { .sa_handler = pass_on };
	int status;
	char byte;
	ssize_t n;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return EXIT_SUCCESS;
	/* A daemon that could has logged why it failed. */
	if (waitpid(daemon_pid, &status, 0) == daemon_pid && WIFSIGNALED(status))
		fprintf(stderr, "gvmfs: ended before the mount answered (signal %d)\n", WTERMSIG(status));
	return EXIT_FAILURE;
}

/* In the place of a running gvmfs, whose process this is; or a child of it, which only tries. */
static int heir_main(int argc, char **argv)
{
	int will = atoi(argv[1] + strlen("--will=")), status;
	struct options opts;
	struct will w;
	bool quit;

	if (will_read(will, &w) < 0) {
		fprintf(stderr, "gvmfs: it is of another version, which leaves its state otherwise\n");
		return EXIT_FAILURE;
	}
	if (chdir(w.folder) < 0)
		perror("gvmfs: the folder in which it was started");
	status = options_parse(&opts, argc, argv, &quit);
	if (w.probe)
		return status ? status : upgrade_probe(&w, opts.sealing ? opts.sealing->id : 0);
	if (!status)
		status = supervisor_succeed(&opts, &w, will);
	else
		will_return(will, "the new program refuses the options");
	return status;
}

int main(int argc, char **argv)
{
	struct options opts;
	int ready[2], null;
	bool quit;
	int status;

	gvm_std_fds_hold();
	will_begin(argc, argv);
	if (argc > 1 && strncmp(argv[1], "--will=", 7) == 0)
		return heir_main(argc, argv);
	status = options_parse(&opts, argc, argv, &quit);
	if (status || quit)
		return status;
	limits_lift();
	if (opts.foreground)
		return supervisor_run(&opts, -1);
	if (pipe2(ready, O_CLOEXEC) < 0) {
		perror("gvmfs: pipe");
		return EXIT_FAILURE;
	}
	sealing_pass_on(opts.sealing, true);
	daemon_pid = fork();
	sealing_pass_on(opts.sealing, false);
	switch (daemon_pid) {
	case -1:
		perror("gvmfs: fork");
		return EXIT_FAILURE;
	case 0:
		break;
	default:
		sealing_forget(opts.sealing);
		close(ready[1]);
		return wait_ready(ready[0]);
	}
	close(ready[0]);
	setsid();
	/* Standard error stays open until the mount is ready. */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || chdir("/") < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0) {
		perror("gvmfs: /dev/null");
		return EXIT_FAILURE;
	}
	return supervisor_run(&opts, ready[1]);
}
