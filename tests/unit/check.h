/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check.h - assertions that say what they saw, and a runner.
 *
 * A test program is a table of named promises. `prog` runs all of them, `prog NAME` one. A failing
 * check prints where, what and the values, and ends the program with status 1.
 */
#ifndef GVM_CHECK_H
#define GVM_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct check_test {
	const char *promise;
	void (*run)(void);
};

static inline void check_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
	exit(1);
}

static inline void check_mem(const char *file, int line, const char *what, const void *got,
			     const void *want, size_t bytes)
{
	const uint8_t *g = (const uint8_t *)got, *w = (const uint8_t *)want;

	for (size_t i = 0; i < bytes; i++) {
		if (g[i] == w[i])
			continue;
		fprintf(stderr, "%s:%d: %s: byte %zu of %zu is 0x%02x, not 0x%02x\n", file, line,
			what, i, bytes, g[i], w[i]);
		exit(1);
	}
}

#define CHECK(cond) ((cond) ? (void)0 : check_fail(__FILE__, __LINE__, #cond))

#define CHECK_EQ(got, want)                                                                        \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		if (got_ != want_) {                                                               \
			fprintf(stderr, "%s:%d: %s is %lld (0x%llx), not %s = %lld (0x%llx)\n",    \
				__FILE__, __LINE__, #got, got_, (unsigned long long)got_, #want,   \
				want_, (unsigned long long)want_);                                 \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define CHECK_MEM(got, want, bytes) check_mem(__FILE__, __LINE__, #got, got, want, bytes)

/* A small generator, so that a run can be repeated. */
static inline uint64_t check_random(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static inline unsigned check_random_below(unsigned n)
{
	return (unsigned)(check_random() >> 16) % n;
}

static inline int check_run(int argc, char **argv, const struct check_test *tests, size_t count)
{
	size_t ran = 0;

	for (size_t i = 0; i < count; i++) {
		if (argc > 1 && strcmp(argv[1], tests[i].promise))
			continue;
		printf("%s\n", tests[i].promise);
		fflush(stdout);
		tests[i].run();
		ran++;
	}
	if (!ran)
		fprintf(stderr, "%s: no such test\n", argv[1]);
	return !ran;
}

/* Each in a process of its own: they start threads that do not end. */
static inline int check_run_apart(int argc, char **argv, const struct check_test *tests, size_t count)
{
	int failed = 0;

	for (size_t i = 0; i < count && !failed; i++) {
		char *one[] = { argv[0], (char *)tests[i].promise, NULL };
		int status = 0;
		pid_t pid;

		if (argc > 1 && strcmp(argv[1], tests[i].promise))
			continue;
		pid = fork();
		if (pid == 0)
			exit(check_run(2, one, tests, count));
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			failed = 1;
	}
	return failed;
}

#define CHECK_MAIN(tests)                                                                          \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return check_run(argc, argv, tests, sizeof(tests) / sizeof(*(tests)));             \
	}

#endif
