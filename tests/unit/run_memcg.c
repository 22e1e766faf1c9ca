// SPDX-License-Identifier: GPL-2.0-or-later
/* run_memcg.c - a memory cgroup of our own does what is asked of it, and goes. */
#include "tools/memcg.h"
#include "tools/memcg_hold.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define M (1ull << 20)

static struct memcg cg;
static char err[MEMCG_ERR_TEXT];

static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

/* A child in the group that has taken `bytes` and sleeps; `stubborn`: it does not mind SIGTERM. */
static pid_t child_in_group(uint64_t bytes, bool stubborn)
{
	int p[2];
	pid_t pid;
	char c;

	CHECK_EQ(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		char *m;

		if (stubborn)
			signal(SIGTERM, SIG_IGN);
		CHECK_EQ(memcg_enter(&cg, 0), 0);
		m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(m != MAP_FAILED);
		memset(m, 1, bytes);
		CHECK_EQ(write(p[1], "x", 1), 1);
		for (;;)
			pause();
	}
	close(p[1]);
	CHECK_EQ(read(p[0], &c, 1), 1);
	close(p[0]);
	return pid;
}

static void own_memory_is_counted_and_not_as_file(void)
{
	struct memcg_stat before, after;
	uint64_t limit;
	pid_t pid;

	CHECK_EQ(memcg_create(&cg, "gvm-test", err), 0);
	CHECK_EQ(memcg_limit(&cg, 64 * M, 64 * M), 0);
	CHECK_EQ(memcg_limit_read(&cg, &limit), 0);
	CHECK_EQ(limit, 64 * M);
	CHECK_EQ(memcg_stat_read(&cg, &before), 0);
	pid = child_in_group(8 * M, false);
	CHECK_EQ(memcg_stat_read(&cg, &after), 0);
	CHECK(after.usage >= before.usage + 8 * M);
	CHECK(after.usage - after.file >= 8 * M);
	CHECK_EQ(memcg_signal(&cg, SIGKILL), 1);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(memcg_remove(&cg), 0);
}

static void file_pages_stay_within_the_limit(void)
{
	char name[] = "/var/tmp/gvm-memcg.XXXXXX", *m;
	int fd = mkstemp(name), status;
	struct memcg_stat st;
	struct statfs fs;
	pid_t pid;

	CHECK(fd >= 0);
	unlink(name);
	CHECK_EQ(fstatfs(fd, &fs), 0);
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
		printf("  not tried: /var/tmp is in memory, its pages cannot be evicted\n");
		close(fd);
		return;
	}
	CHECK_EQ(ftruncate(fd, 64 * M), 0);
	CHECK_EQ(memcg_create(&cg, "gvm-test", err), 0);
	CHECK_EQ(memcg_limit(&cg, 24 * M, 8 * M), 0);
	pid = fork();
	if (pid == 0) {
		CHECK_EQ(memcg_enter(&cg, 0), 0);
		m = mmap(NULL, 64 * M, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(m != MAP_FAILED);
		for (uint64_t i = 0; i < 64 * M; i += 4096)
			m[i] = (char)(i >> 12);
		for (uint64_t i = 0; i < 64 * M; i += 4096)
			CHECK_EQ(m[i], (char)(i >> 12));
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(memcg_stat_read(&cg, &st), 0);
	CHECK(st.file > 4 * M);
	CHECK(st.usage <= 32 * M);
	CHECK_EQ(st.oom_kills, 0);
	CHECK_EQ(memcg_remove(&cg), 0);
	close(fd);
}

static void removing_ends_what_is_still_there(void)
{
	char path[PATH_MAX];
	pid_t pid;
	int status;

	CHECK_EQ(memcg_create(&cg, "gvm-test", err), 0);
	strcpy(path, cg.path);
	CHECK(exists(path));
	signal(SIGCHLD, SIG_IGN); /* nobody waits for it but the group */
	pid = child_in_group(M, true);
	CHECK_EQ(memcg_remove(&cg), 0);
	signal(SIGCHLD, SIG_DFL);
	CHECK(!exists(path));
	CHECK_EQ(kill(pid, 0), -1);
	CHECK_EQ(waitpid(pid, &status, 0), -1);
}

static void groups_of_the_dead_are_swept(void)
{
	char stale[PATH_MAX];
	pid_t pid;

	/* a maker that dies without removing its group */
	pid = fork();
	if (pid == 0)
		_exit(memcg_create(&cg, "gvm-test", err) != 0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(memcg_create(&cg, "gvm-test", err), 0);
	snprintf(stale, sizeof(stale), "%.*s.%d", (int)(strrchr(cg.path, '.') - cg.path), cg.path,
		 pid);
	CHECK(!exists(stale));
	CHECK_EQ(memcg_remove(&cg), 0);
}

/* Its maker may be in another pid namespace, where its pid is another one. */
static void a_group_whose_maker_lives_stays(void)
{
	char theirs[PATH_MAX];
	pid_t pid = fork();
	int fd;

	if (pid == 0)
		_exit(0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(memcg_create(&cg, "gvm-test", err), 0);
	snprintf(theirs, sizeof(theirs), "%.*s.%d", (int)(strrchr(cg.path, '.') - cg.path), cg.path, pid);
	CHECK_EQ(memcg_remove(&cg), 0);
	CHECK_EQ(mkdir(theirs, 0755), 0);
	fd = memcg_hold(theirs);
	CHECK(fd >= 0);
	CHECK_EQ(memcg_create(&cg, "gvm-test", err), 0);
	CHECK(exists(theirs));
	CHECK_EQ(memcg_remove(&cg), 0);
	close(fd);
	CHECK_EQ(rmdir(theirs), 0);
}

/* The group was removed, and another one has the name: what is in that stays alive. */
static void a_stranger_by_the_same_name_is_left_alone(void)
{
	char path[PATH_MAX];
	pid_t pid;

	CHECK_EQ(memcg_create(&cg, "gvm-test", err), 0);
	strcpy(path, cg.path);
	CHECK_EQ(rmdir(path), 0);
	CHECK_EQ(mkdir(path, 0755), 0);
	pid = child_in_group(M, false);
	CHECK_EQ(memcg_remove(&cg), 0);
	CHECK(exists(path));
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(rmdir(path), 0);
}

static const struct check_test tests[] = {
	{"own-memory-is-counted-and-not-as-file", own_memory_is_counted_and_not_as_file},
	{"file-pages-stay-within-the-limit", file_pages_stay_within_the_limit},
	{"removing-ends-what-is-still-there", removing_ends_what_is_still_there},
	{"groups-of-the-dead-are-swept", groups_of_the_dead_are_swept},
	{"a-group-whose-maker-lives-stays", a_group_whose_maker_lives_stays},
	{"a-stranger-by-the-same-name-is-left-alone", a_stranger_by_the_same_name_is_left_alone},
};

int main(int argc, char **argv)
{
	if (memcg_create(&cg, "gvm-test", err)) {
		printf("skip: %s\n", err);
		return 77;
	}
	CHECK_EQ(memcg_remove(&cg), 0);
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
