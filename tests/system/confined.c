// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * confined.c - runs a program as a container or a service manager would: some system calls are refused.
 *
 *     confined [CALL:ERRNO | CALL:kill]... -- PROGRAM [ARGUMENT]...
 *
 * ERRNO is a number; `kill` ends the process that makes the call, as systemd's filters do.
 */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int i, err = ctx ? 0 : -1;

	for (i = 1; i < argc && strcmp(argv[i], "--") && !err; i++) {
		char *how = strchr(argv[i], ':');
		int call;

		if (!how)
			break;
		*how++ = 0;
		call = seccomp_syscall_resolve_name(argv[i]);
		if (call == __NR_SCMP_ERROR)
			break;
		err = seccomp_rule_add(ctx,
				       strcmp(how, "kill") ? SCMP_ACT_ERRNO((unsigned)atoi(how)) :
							     SCMP_ACT_KILL_PROCESS,
				       call, 0);
	}
	if (err || i + 1 >= argc || strcmp(argv[i], "--")) {
		fprintf(stderr, "confined: %s: not understood\n", i < argc ? argv[i] : "");
		return 2;
	}
	if (seccomp_load(ctx)) {
		perror("confined: seccomp");
		return 2;
	}
	seccomp_release(ctx);
	execv(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 2;
}
