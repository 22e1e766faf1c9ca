// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * locker.c - a client of the fast path that holds gvmfs up for as long as a filesystem of the user's does not
 * answer, FILE being a file there. It holds a lock:
 *
 *	locker memory FILE PID BYTES 3<>REGION	that of its own memory: it unmaps a page that is to be written back
 *	locker file FILE PID BYTES 3<>REGION	that of the region's memfd: it writes to it what is yet to be read
 *
 * or, as long as the filesystem has a server, makes calls long that need no lock of anybody's:
 *
 *	locker maps FILE PID BYTES 3<>REGION	it has a page of the memfd mapped very often, and frees it again and again
 *
 * under LD_PRELOAD=libgvm-preload.so; PID is the filesystem's server (unanswering.c). A locker says "locked" just
 * before it takes the lock, and has it when the server says that a request waits. At SIGUSR1 another process
 * writes to the region, which gvmfs brings into the client's memory. When the lock is free
 * again it writes to all of the region but the first 128 KiB, and says "done".
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE   4096u
#define CHUNK  131072u
#define REGION 3
#define FAR    200u /* beyond what is read ahead */
#define MAPPERS 2u
#define MAPS	60000u /* a process may have 65,530 */

static char *at; /* a page of the foreign file, and after it the region */
static char *unread; /* another page of it */
static int memory; /* the region's memfd */

static void *unmap(void *arg)
{
	(void)arg;
	/* That page and the first of the region, so that the lock is of both. */
	syscall(SYS_mmap, at, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return NULL;
}

static void *write_unread(void *arg)
{
	if (pwrite(memory, unread, PAGE, 0) > 0)
		fprintf(stderr, "written\n");
	return arg;
}

static int memory_open(const char *region, size_t bytes)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)region,
		 (unsigned long)region + bytes);
	return open(path, O_RDWR);
}

/* Maps the first page of the memfd as often as it may, says so, and stays. */
static void mapper(int said)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Neighbours of the same rights would become one mapping. */
	for (unsigned i = 0; i < MAPS; i++)
		if (mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) == MAP_FAILED)
			_exit(1);
	if (write(said, "m", 1) < 0)
		_exit(1);
	for (;;)
		pause();
}

static bool mapped_often(char *region, pid_t server)
{
	pid_t child[MAPPERS];
	bool good = true;
	int said[2];
	char byte;

	if (pipe(said) < 0)
		return false;
	for (unsigned i = 0; i < MAPPERS; i++) {
		child[i] = fork();
		if (child[i] == 0)
			mapper(said[1]);
	}
	close(said[1]);
	for (unsigned i = 0; i < MAPPERS; i++)
		good &= read(said[0], &byte, 1) == 1;
	fprintf(stderr, good ? "locked\n" : "wrong\n");
	while (good && kill(server, 0) == 0) {
		region[0] = 1;
		if (fallocate(REGION, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, CHUNK) < 0)
			good = false;
		usleep(20000);
	}
	for (unsigned i = 0; i < MAPPERS; i++) {
		kill(child[i], SIGKILL);
		waitpid(child[i], NULL, 0);
	}
	return good;
}

/* Waits for a byte, and writes where nothing is in the memory yet. */
static void writer(int go, size_t bytes)
{
	char page[PAGE];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(page, 7, sizeof(page));
	if (read(go, page, 1) == 1 && pwrite(REGION, page, PAGE, (off_t)(bytes / 2)) < 0)
		fprintf(stderr, "write: %s\n", strerror(errno));
	_exit(0);
}

static int region_fill(char *region, size_t bytes)
{
	for (size_t off = CHUNK; off < bytes; off += PAGE)
		region[off] = (char)(off / PAGE % 251 + 1);
	for (size_t off = CHUNK; off < bytes; off += PAGE)
		if (region[off] != (char)(off / PAGE % 251 + 1))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	size_t bytes = argc == 5 ? strtoul(argv[4], NULL, 0) : 0;
	bool by_file = argc == 5 && strcmp(argv[1], "file") == 0, by_maps = argc == 5 && strcmp(argv[1], "maps") == 0;
	const struct timespec now = { 0 }, hour = { .tv_sec = 3600 };
	char *region;
	sigset_t signals;
	pthread_t thread;
	int go[2], file;

	if (!bytes || pipe(go) < 0)
		return 2;
	if (fork() == 0) {
		close(go[1]);
		writer(go[0], bytes);
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	sigtimedwait(&signals, NULL, &now); /* so that the code is in memory: under the lock no page can be mapped */
	at = mmap(NULL, PAGE + bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	region = mmap(at + PAGE, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, REGION, 0);
	file = open(argv[2], O_RDWR);
	if (region == MAP_FAILED || file < 0 ||
	    (char *)syscall(SYS_mmap, at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != at)
		return 1;
	unread = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, FAR * PAGE);
	memory = by_file || by_maps ? memory_open(region, bytes) : -1;
	if (unread == MAP_FAILED || ((by_file || by_maps) && memory < 0))
		return 1;
	region[40 * PAGE] = 1;
	if (by_maps) {
		fprintf(stderr, mapped_often(region, atoi(argv[3])) && !region_fill(region, bytes) ? "done\n" : "wrong\n");
		pause();
	}
	at[0] = 1;
	kill(atoi(argv[3]), SIGUSR1);
	usleep(100000);
	fprintf(stderr, "locked\n"); /* before: under the lock even the stack cannot grow */
	if (pthread_create(&thread, NULL, by_file ? write_unread : unmap, NULL))
		return 1;
	sigtimedwait(&signals, NULL, &hour);
	if (write(go[1], "g", 1) < 0)
		return 1;
	pthread_join(thread, NULL);
	fprintf(stderr, region_fill(region, bytes) ? "wrong\n" : "done\n");
	pause();
	return 0;
}
