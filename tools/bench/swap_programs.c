// SPDX-License-Identifier: GPL-2.0-or-later
/* swap_programs.c - see swap_programs.h. What a program says goes to a file in `dir`. */
#include "swap_programs.h"

#include "child.h"
#include "data.h"
#include "memnode/gvm_client.h"
#include "program.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define JEMALLOC  "libjemalloc.so.2"
#define HEAP	  "libgvm-bench-heap.so"
#define CONF	  "narenas:1,retain:true,dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:never,metadata_thp:disabled"
#define RUN_NS	  (300ull * 1000 * 1000 * 1000)
#define READY_NS  (20ull * 1000 * 1000 * 1000)
#define LINE	  64u  /* bytes */
#define LINE_COST 130u /* of memory, for a line that is sorted */
#define ROW_COST  400u /* for a row and its place in the index */
#define VALUE	  512u
#define KEY_COST  680u /* for a key with its value */
#define REQUESTS  2u   /* for each key */
#define ARG(text) ((char *)(uintptr_t)(text)) /* exec writes to none of them */

static const char *const names[PROGRAMS][2] = {
	[PROGRAM_SORT] = {"sort"}, [PROGRAM_SQLITE] = {"sqlite3"}, [PROGRAM_REDIS] = {"redis-server", "redis-benchmark"}
};

const char *swap_program_lacks(enum swap_program program)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < 2; i++)
		if (names[program][i] && !program_find(names[program][i], path))
			return names[program][i];
	return NULL;
}

static int file_make(char path[PATH_MAX], const struct swap_run *run, const char *name, FILE **f)
{
	if (snprintf(path, PATH_MAX, "%s/%s", run->dir, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	*f = fopen(path, "we");
	return *f ? 0 : -errno;
}

static int file_done(FILE *f)
{
	bool failed = ferror(f);

	return fclose(f) || failed ? -EIO : 0;
}

static int lines_write(const struct swap_run *run)
{
	char path[PATH_MAX];
	uint64_t state = 1;
	FILE *f;
	int rc = file_make(path, run, "lines", &f);

	if (rc)
		return rc;
	for (uint64_t i = 0; i < run->bytes / LINE_COST; i++)
		fprintf(f, "%016llx %0*llu\n", (unsigned long long)bench_random(&state), (int)LINE - 18,
			(unsigned long long)i);
	return file_done(f);
}

static int statements_write(const struct swap_run *run)
{
	unsigned long long rows = run->bytes / ROW_COST;
	char path[PATH_MAX];
	FILE *f;
	int rc = file_make(path, run, "statements", &f);

	if (rc)
		return rc;
	fprintf(f,
		"PRAGMA cache_size=-4000000; CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v BLOB);\n"
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %llu)\n"
		"  INSERT INTO t SELECT i, (i * 7919) %% 1000003, randomblob(300) FROM n;\n"
		"CREATE INDEX by_k ON t(k);\n"
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %llu)\n"
		"  SELECT sum(length(v)) FROM n JOIN t ON t.id = 1 + (n.i * 104729) %% %llu;\n"
		"UPDATE t SET v = randomblob(300) WHERE k %% 4 = 1;\n"
		"SELECT count(*), sum(length(v)) FROM t WHERE k BETWEEN 1000 AND 400000;\n",
		rows, rows, rows);
	return file_done(f);
}

int swap_program_prepare(enum swap_program program, const struct swap_run *run)
{
	return program == PROGRAM_SORT ? lines_write(run) : program == PROGRAM_SQLITE ? statements_write(run) : 0;
}

/* ---- a process */

/* Where it was installed, or beside this program in a build folder. */
static void heap_find(char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - sizeof(HEAP) - 1);
	char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;

	if (slash) {
		strcpy(slash + 1, HEAP);
		strcpy(path, self);
	}
	if (!slash || access(path, R_OK))
		snprintf(path, PATH_MAX, "%s/gvm/" HEAP, GVM_LIBDIR);
}

/* What stands first is asked first: the heap, the fast path, and the allocator. */
static int environment_set(const struct swap_run *run, const char *name)
{
	char heap[PATH_MAX], all[3 * PATH_MAX];
	const char *why, *fast;
	int rc = 0;

	unsetenv("LD_PRELOAD");
	if (run->region && run->fast)
		rc = run_fast_prepare(RUN_MODE_UFFD, name, false, &why);
	if (rc)
		return rc;
	fast = getenv("LD_PRELOAD");
	heap_find(heap);
	snprintf(all, sizeof(all), "%s%s%s%s" JEMALLOC, run->region ? heap : "", run->region ? ":" : "", fast ? fast : "",
		 fast ? ":" : "");
	if (setenv("LD_PRELOAD", all, 1) || setenv("MALLOC_CONF", CONF, 1) || setenv("LC_ALL", "C", 1))
		return -errno;
	return run->region && setenv("GVM_BENCH_HEAP", run->region, 1) ? -errno : 0;
}

/* `from`: its input; NULL: none. `memory`: it is the process whose memory counts. */
static pid_t process_start(const struct swap_run *run, char *const argv[], const char *from, bool memory)
{
	pid_t parent = getpid(), pid = fork();
	char log[PATH_MAX];
	int in, out;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(log, sizeof(log), "%s/program.log", run->dir);
	in = open(from ? from : "/dev/null", O_RDONLY);
	out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (getppid() != parent || in < 0 || out < 0)
		_exit(126);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	if (memory && ((run->cg && memcg_enter(run->cg, 0)) || environment_set(run, argv[0])))
		_exit(126);
	execvp(argv[0], argv);
	_exit(127);
}

static int process_run(struct swap_run *run, char *const argv[], const char *from)
{
	uint64_t begin = gvm_now_ns();
	struct rusage usage;
	pid_t pid = process_start(run, argv, from, true);
	int rc = pid < 0 ? -errno : child_wait(pid, RUN_NS, &usage);

	run->seconds = (double)(gvm_now_ns() - begin) / 1e9;
	if (!rc)
		run->most_bytes = (uint64_t)usage.ru_maxrss << 10;
	return rc;
}

/* ---- the programs */

static int sort_run(struct swap_run *run)
{
	char lines[PATH_MAX], buffer[32];
	char *const argv[] = {ARG("sort"), ARG("--parallel=1"), ARG("-S"), buffer, ARG("-o"), ARG("/dev/null"), lines, NULL};

	snprintf(lines, sizeof(lines), "%s/lines", run->dir);
	snprintf(buffer, sizeof(buffer), "%lluK", (unsigned long long)(run->bytes >> 9)); /* it takes what it needs of that */
	return process_run(run, argv, NULL);
}

static int sqlite_run(struct swap_run *run)
{
	char statements[PATH_MAX];
	char *const argv[] = {ARG("sqlite3"), ARG("-bail"), ARG(":memory:"), NULL};

	snprintf(statements, sizeof(statements), "%s/statements", run->dir);
	return process_run(run, argv, statements);
}

static bool socket_answers(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool up;

	memccpy(to.sun_path, path, 0, sizeof(to.sun_path) - 1);
	up = fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof(to));
	if (fd >= 0)
		close(fd);
	return up;
}

static int server_wait(pid_t server, const char *path)
{
	uint64_t until = gvm_now_ns() + READY_NS;

	while (!socket_answers(path)) {
		if (waitid(P_PID, (id_t)server, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) || gvm_now_ns() > until)
			return -ETIMEDOUT;
		if (bench_stopped())
			return -EINTR;
		usleep(2000);
	}
	return 0;
}

/* Asks for keys at random: half of the requests change one. */
static int client_run(struct swap_run *run, const char *path)
{
	char keys[24], requests[24], size[16];
	char *const argv[] = {ARG("redis-benchmark"), ARG("-s"), ARG(path), ARG("-t"), ARG("set,get"), ARG("-r"), keys,
			      ARG("-n"), requests, ARG("-d"), size, ARG("-P"), ARG("16"), ARG("-c"), ARG("8"), ARG("-q"), NULL};
	struct rusage usage;
	pid_t pid;

	snprintf(keys, sizeof(keys), "%llu", (unsigned long long)(run->bytes / KEY_COST));
	snprintf(requests, sizeof(requests), "%llu", (unsigned long long)(run->bytes / KEY_COST * REQUESTS));
	snprintf(size, sizeof(size), "%u", VALUE);
	pid = process_start(run, argv, NULL, false);
	return pid < 0 ? -errno : child_wait(pid, RUN_NS, &usage);
}

static int redis_run(struct swap_run *run)
{
	char path[PATH_MAX];
	char *const argv[] = {ARG("redis-server"), ARG("--port"), ARG("0"), ARG("--unixsocket"), path, ARG("--save"), ARG(""),
			      ARG("--appendonly"), ARG("no"), ARG("--daemonize"), ARG("no"), NULL};
	struct rusage usage;
	uint64_t begin;
	pid_t server;
	int rc, end;

	snprintf(path, sizeof(path), "%s/redis", run->dir);
	unlink(path);
	server = process_start(run, argv, NULL, true);
	if (server < 0)
		return -errno;
	rc = server_wait(server, path);
	begin = gvm_now_ns();
	if (!rc)
		rc = client_run(run, path);
	run->seconds = (double)(gvm_now_ns() - begin) / 1e9;
	kill(server, SIGTERM);
	end = child_wait(server, RUN_NS, &usage);
	if (!end)
		run->most_bytes = (uint64_t)usage.ru_maxrss << 10;
	return end == -ENOMEM || !rc ? end : rc;
}

int swap_program_run(enum swap_program program, struct swap_run *run)
{
	static int (*const run_of[PROGRAMS])(struct swap_run *) = {
		[PROGRAM_SORT] = sort_run, [PROGRAM_SQLITE] = sqlite_run, [PROGRAM_REDIS] = redis_run
	};

	return run_of[program](run);
}
