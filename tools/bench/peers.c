// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Everything that is measured runs below one temporary folder, on ports of its own on loopback, and
 * is stopped in reverse order. Should we be killed before that, a keeper does it: a child that
 * holds the reading end of a pipe of ours, and sees in shared memory what was started.
 */
#include "peers.h"

#include "memnode/gvm_client.h"
#include "say.h"
#include "stop.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_NS (60ull * 1000 * 1000 * 1000) /* for what hangs */
#define STOP_NS	 (5ull * 1000 * 1000 * 1000)
#define KEPT	      "kept" /* what a node keeps, in our folder */
#define ARG(text)     BENCH_ARG(text)
#define MIB_OF(bytes) ((unsigned long long)((bytes) >> 20))

struct sockaddr_in bench_address(uint32_t address, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};

	at.sin_addr.s_addr = htonl(address ? address : INADDR_LOOPBACK);
	return at;
}

/* A socket bound to a free port on loopback; with `keep` it listens, otherwise it is closed. */
int bench_port_find(uint16_t *port, bool keep)
{
	struct sockaddr_in at = bench_address(0, 0);
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || (keep && listen(fd, 8)) ||
	    getsockname(fd, (struct sockaddr *)&at, &len))
		rc = -errno;
	*port = ntohs(at.sin_port);
	if (rc || !keep)
		close(fd);
	return rc ? rc : keep ? fd : 0;
}

static bool port_answers(const struct bench_program *g)
{
	struct sockaddr_in to = bench_address(g->address, g->port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool up;

	up = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
	if (fd >= 0)
		close(fd);
	return up;
}

/* If the parent is killed, the child has either not come so far, and ends here, or the keeper ends all of its group. */
void bench_program_begin(struct bench_program *g, pid_t parent, int sig)
{
	prctl(PR_SET_PDEATHSIG, sig);
	if (getppid() != parent)
		_exit(1);
	setpgid(0, 0); /* ^C is for us alone: we stop it in order */
	g->pid = getpid();
}

/* In a child: to where the program is to run. */
static int program_place(const struct bench_program *g)
{
	return g->ns && setns(g->ns, CLONE_NEWNET) ? -errno : 0;
}

__attribute__((noreturn)) static void program_exec(struct bench_program *g, char *const argv[], const char *log, int to,
						   pid_t parent)
{
	sigset_t none;
	int fd, error;
	ssize_t n;

	bench_program_begin(g, parent, SIGKILL);
	error = -program_place(g);
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd >= 0) {
		dup2(fd, 1);
		dup2(fd, 2);
	}
	if (!error) {
		execvp(argv[0], argv);
		error = errno;
	}
	n = write(to, &error, sizeof(error));
	(void)n;
	_exit(127);
}

/* Starts a program with its output in DIR/NAME.log. */
static int program_start(const struct bench_peers *p, struct bench_program *g, const char *name,
			 char *const argv[])
{
	char log[PATH_MAX + 32];
	pid_t parent = getpid(), pid;
	int pipes[2], error;
	ssize_t n;

	snprintf(log, sizeof(log), "%s/%s.log", p->dir, name);
	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0)
		program_exec(g, argv, log, pipes[1], parent);
	g->pid = pid > 0 ? pid : 0; /* not before: the child shares this memory */
	close(pipes[1]);
	n = pid > 0 ? read(pipes[0], &error, sizeof(error)) : 0;
	close(pipes[0]);
	if (pid < 0 || n == sizeof(error)) {
		if (pid > 0)
			waitpid(pid, NULL, 0);
		g->pid = 0;
		return n == sizeof(error) ? -error : -EAGAIN;
	}
	return 0;
}

static bool program_ended(struct bench_program *g)
{
	if (waitpid(g->pid, NULL, WNOHANG) != g->pid)
		return false;
	g->pid = 0;
	return true;
}

static bool program_ready(const struct bench_program *g)
{
	struct stat st, above;
	char up[PATH_MAX];

	if (!*g->mount)
		return port_answers(g);
	snprintf(up, sizeof(up), "%s", g->mount);
	*strrchr(up, '/') = 0;
	if (stat(g->mount, &st) || stat(up, &above) || st.st_dev == above.st_dev)
		return false;
	return true;
}

/* The last line that a program wrote, to explain why it ended. */
static void log_last_line(const struct bench_peers *p, const char *name, char *line, size_t size)
{
	char path[PATH_MAX + 32], buf[512];
	FILE *f;

	*line = 0;
	snprintf(path, sizeof(path), "%s/%s.log", p->dir, name);
	f = fopen(path, "re");
	while (f && fgets(buf, sizeof(buf), f)) {
		buf[strcspn(buf, "\n")] = 0;
		if (*buf)
			snprintf(line, size, ": %s", buf);
	}
	if (f)
		fclose(f);
}

/* Waits until it serves. */
static int program_wait(const struct bench_peers *p, struct bench_program *g, const char *name)
{
	uint64_t until = gvm_now_ns() + START_NS;
	char line[600];

	while (!program_ready(g)) {
		if (bench_stopped())
			return -EINTR;
		if (program_ended(g) || gvm_now_ns() > until) {
			log_last_line(p, name, line, sizeof(line));
			say("%s %s%s", name, g->pid ? "is not ready after 60 s" : "ended during its start",
			    line);
			return -ECHILD;
		}
		usleep(10000);
	}
	return 0;
}

int bench_program_up(const struct bench_peers *p, struct bench_program *g, const char *name,
		      char *const argv[])
{
	int rc = program_start(p, g, name, argv);

	if (rc == -ENOENT)
		say("%s is not installed", argv[0]);
	else if (rc)
		say("%s cannot be started: %s", argv[0], strerror(-rc));
	return rc ? rc : program_wait(p, g, name);
}

int bench_mount_dir_make(const struct bench_peers *p, struct bench_program *g, const char *name,
			  const char *file)
{
	if (snprintf(g->mount, PATH_MAX, "%s/%s", p->dir, name) >= PATH_MAX ||
	    snprintf(g->file, PATH_MAX, "%s/%s", g->mount, file) >= PATH_MAX)
		return -ENAMETOOLONG;
	return mkdir(g->mount, 0700) ? -errno : 0;
}

/* False: it was not mounted (yet). */
static bool mount_end(struct bench_program *g)
{
	char *const argv[] = {ARG("fusermount3"), ARG("-uqz"), g->mount, NULL};
	pid_t pid;

	if (umount2(g->mount, 0) == 0)
		return true;
	if (errno == EINVAL || errno == ENOENT)
		return false;
	if (umount2(g->mount, MNT_DETACH) == 0)
		return true;
	pid = fork();
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return true;
}

/* A file system that was unmounted ends by itself; everything else is told to, and in the end the
 * whole process group is killed. */
void bench_program_stop(struct bench_program *g)
{
	uint64_t until = gvm_now_ns() + STOP_NS;

	if (g->pid && !(*g->mount && mount_end(g)))
		kill(g->pid, SIGTERM);
	while (g->pid && !program_ended(g)) {
		if (gvm_now_ns() > until) {
			kill(-g->pid, SIGKILL);
			waitpid(g->pid, NULL, 0);
			g->pid = 0;
		}
		usleep(5000);
	}
	if (*g->mount) {
		umount2(g->mount, MNT_DETACH); /* of a program that ended by itself or by force */
		rmdir(g->mount);
	}
	memset(g, 0, sizeof(*g));
}

/* A folder of that name is none, and may stand at its place: in a build tree. */
static bool is_program(const char *path)
{
	struct stat st;

	return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/*
 * Where a program of ours is: in --bindir, beside gvm, where the build tree has it, or in PATH.
 * `tree` is its place in a build tree whose tools folder holds gvm.
 */
void bench_program_find(const struct bench_peers *p, const char *name, const char *tree,
			 char path[PATH_MAX])
{
	char self[PATH_MAX / 2], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *const form[] = {"%s/%s", "%s/../%s", "%s/../sbin/%s"};

	if (p->bindir) {
		const char *base = strrchr(tree, '/') + 1;

		snprintf(path, PATH_MAX, "%s/%s", p->bindir, base);
		if (!is_program(path))
			snprintf(path, PATH_MAX, "%s/../sbin/%s", p->bindir, base);
		if (!is_program(path))
			snprintf(path, PATH_MAX, "%s/%s", p->bindir, tree);
		return;
	}
	self[n > 0 ? n : 0] = 0;
	slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	for (unsigned i = 0; slash && i < 3; i++) {
		/* form[1] looks in the tree, the others for the bare name */
		snprintf(path, PATH_MAX,
			 i == 0	  ? form[0]
			 : i == 1 ? form[1]
				  : form[2],
			 self, i == 1 ? tree : name);
		if (is_program(path))
			return;
	}
	snprintf(path, PATH_MAX, "%s", name);
}

/* In a namespace of its own any port is free, and was chosen. */
static int program_port(struct bench_program *g)
{
	return g->ns ? 0 : bench_port_find(&g->port, false);
}

/* Returns `text`. */
static char *program_address(const struct bench_program *g, char text[BENCH_ADDRESS])
{
	struct sockaddr_in at = bench_address(g->address, g->port);
	char host[INET_ADDRSTRLEN];

	snprintf(text, BENCH_ADDRESS, "%s:%u", inet_ntop(AF_INET, &at.sin_addr, host, sizeof(host)), g->port);
	return text;
}

int bench_node_start(struct bench_peers *p, struct bench_program *g, const struct bench_sizes *z, const char *name,
		      uint64_t bytes, char *const options[3])
{
	char path[PATH_MAX], listen_at[BENCH_ADDRESS], memory[32];
	char *const argv[] = {path,	  ARG("--listen"), listen_at,	ARG("--memory"),
			      memory,	  options[0],	   options[1], options[2],
			      NULL};
	int rc = program_port(g);

	bytes += (uint64_t)z->values * BENCH_VALUE_BYTES;

	if (rc)
		return rc;
	bench_program_find(p, "gvm-memnode", "memnode/daemon/gvm-memnode", path);
	program_address(g, listen_at);
	snprintf(memory, sizeof(memory), "%lluM", MIB_OF(bytes + bytes / 4) + 64);
	return bench_program_up(p, g, name, argv);
}

/* Whether an older build of a program has an option: its text has. */
static bool program_knows(const char *path, const char *option)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *text = MAP_FAILED;
	struct stat st;
	bool knows;

	if (fd >= 0 && fstat(fd, &st) == 0)
		text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	knows = text != MAP_FAILED && memmem(text, (size_t)st.st_size, option, strlen(option));
	if (text != MAP_FAILED)
		munmap(text, (size_t)st.st_size);
	if (fd >= 0)
		close(fd);
	return knows;
}

int bench_gvmfs_start(struct bench_peers *p, struct bench_program *g, const struct bench_sizes *z, const char *name,
			  const struct bench_program *node, unsigned count, char *const options[3])
{
	char path[PATH_MAX], address[BENCH_ADDRESS], nodes[32 * BENCH_REPLICAS] = "", *to = nodes;
	/* What is cold is to be cold. */
	char *argv[] = {path, ARG("-f"), ARG("--nodes"), nodes, g->mount, ARG("--no-replay"), options[0], options[1],
			options[2], NULL};
	int rc = bench_mount_dir_make(p, g, name, name), fd;

	if (rc)
		return rc;
	bench_program_find(p, "gvmfs", "gvmfs/gvmfs", path);
	if (!program_knows(path, "no-replay"))
		memmove(&argv[5], &argv[6], 4 * sizeof(*argv));
	for (unsigned i = 0; i < count; i++)
		to += sprintf(to, "%s%s", i ? "," : "", program_address(&node[i], address));
	rc = bench_program_up(p, g, name, argv);
	if (rc)
		return rc;
	fd = open(g->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)z->file_bytes)) {
		rc = -errno;
		say("%s: %s", g->file, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int gvmfs_start(struct bench_peers *p, struct bench_program *g, const struct bench_sizes *z,
		       const char *name, const struct bench_program *node, char *const options[3])
{
	return bench_gvmfs_start(p, g, z, name, node, 1, options);
}

/* Of random letters; it goes with the folder. */
static int key_make(const struct bench_peers *p, const char *name, char path[PATH_MAX])
{
	char key[32];
	int fd, rc = 0;

	if (snprintf(path, PATH_MAX, "%s/%s", p->dir, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || getrandom(key, sizeof(key), 0) != sizeof(key))
		rc = errno ? -errno : -EIO;
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (char)('a' + (key[i] & 15));
	if (!rc && write(fd, key, sizeof(key)) != sizeof(key))
		rc = errno ? -errno : -EIO;
	if (rc)
		say("%s: %s", path, strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc;
}

static int sealed_start(struct bench_peers *p, const struct bench_sizes *z)
{
	char path[PATH_MAX];
	int rc = key_make(p, "seal.key", path);

	return rc ? rc : gvmfs_start(p, &p->sealed, z, "gvmfs-sealed", &p->node, (char *[3]){ARG("--seal-key-file"), path});
}

static int tls_start(struct bench_peers *p, const struct bench_sizes *z)
{
	char *const options[3] = {ARG("--key"), p->tls_key, ARG("--tls")};
	int rc = key_make(p, "tls.key", p->tls_key);

	if (!rc)
		rc = bench_node_start(p, &p->node_tls, z, "gvm-memnode-tls", z->file_bytes, options);
	return rc ? rc : gvmfs_start(p, &p->tls, z, "gvmfs-tls", &p->node_tls, options);
}

static int persist_start(struct bench_peers *p, const struct bench_sizes *z)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/" KEPT, p->dir) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (mkdir(path, 0700)) {
		say("%s: %s", path, strerror(errno));
		return -errno;
	}
	return bench_node_start(p, &p->node_persist, z, "gvm-memnode-persist", 0, (char *[3]){ARG("--persist"), path});
}

static int replicated_start(struct bench_peers *p, const struct bench_sizes *z)
{
	char count[8], name[32];
	int rc = 0;

	for (unsigned i = 0; i < z->replicas && !rc; i++) {
		snprintf(name, sizeof(name), "gvm-memnode-%u", i + 1);
		rc = bench_node_start(p, &p->replica[i], z, name, z->file_bytes, (char *[3]){NULL});
	}
	snprintf(count, sizeof(count), "%u", z->replicas);
	return rc ? rc :
		    bench_gvmfs_start(p, &p->replicated, z, "gvmfs-replicated", p->replica, z->replicas,
				   (char *[3]){ARG("--replicas"), count});
}

/* Another build's node and mount. */
static int before_start(struct bench_peers *p, const struct bench_sizes *z)
{
	const char *bindir = p->bindir;
	int rc;

	p->bindir = z->before;
	rc = bench_node_start(p, &p->node_before, z, "gvm-memnode-before", z->file_bytes, (char *[3]){NULL});
	if (!rc)
		rc = gvmfs_start(p, &p->before, z, "gvmfs-before", &p->node_before, (char *[3]){NULL});
	p->bindir = bindir;
	return rc;
}

static int nbd_up(struct bench_peers *p, const struct bench_sizes *z)
{
	char at[BENCH_ADDRESS], port[16], size[32], uri[64];
	char *const server[] = {ARG("nbdkit"), ARG("-f"),     ARG("-i"), at,  ARG("-p"), port,
				ARG("memory"), size,	     NULL};
	char *const client[] = {ARG("nbdfuse"), p->nbdfuse.file, uri, NULL};
	int rc = program_port(&p->nbdkit);

	if (rc)
		return rc;
	snprintf(port, sizeof(port), "%u", p->nbdkit.port);
	snprintf(size, sizeof(size), "%lluM", MIB_OF(z->file_bytes));
	snprintf(uri, sizeof(uri), "nbd://%s", program_address(&p->nbdkit, at));
	*strchr(at, ':') = 0;
	rc = bench_program_up(p, &p->nbdkit, "nbdkit", server);
	if (!rc)
		rc = bench_mount_dir_make(p, &p->nbdfuse, "nbdfuse", "disk");
	return rc ? rc : bench_program_up(p, &p->nbdfuse, "nbdfuse", client);
}

int bench_nbd_start(struct bench_peers *p, const struct bench_sizes *z)
{
	int rc = nbd_up(p, z);

	if (rc) {
		bench_program_stop(&p->nbdfuse);
		bench_program_stop(&p->nbdkit);
	}
	return rc;
}

static int memcached_start(struct bench_peers *p, const struct bench_sizes *z)
{
	char port[16], megs[32];
	char *const argv[] = {ARG("memcached"), ARG("-l"), ARG("127.0.0.1"), ARG("-p"), port,
			      ARG("-U"),	ARG("0"),  ARG("-m"),	     megs,	ARG("-u"),
			      ARG("root"),	NULL};
	int rc = bench_port_find(&p->memcached.port, false);

	if (rc)
		return rc;
	snprintf(port, sizeof(port), "%u", p->memcached.port);
	snprintf(megs, sizeof(megs), "%llu",
		 4 * MIB_OF((uint64_t)z->values * BENCH_VALUE_BYTES) + 128);
	return bench_program_up(p, &p->memcached, "memcached", argv);
}

static int redis_start(struct bench_peers *p)
{
	char port[16];
	char *const argv[] = {ARG("redis-server"),
			      ARG("--port"),
			      port,
			      ARG("--bind"),
			      ARG("127.0.0.1"),
			      ARG("--save"),
			      ARG(""),
			      ARG("--appendonly"),
			      ARG("no"),
			      ARG("--daemonize"),
			      ARG("no"),
			      ARG("--dir"),
			      p->dir,
			      NULL};
	int rc = bench_port_find(&p->redis.port, false);

	if (rc)
		return rc;
	snprintf(port, sizeof(port), "%u", p->redis.port);
	return bench_program_up(p, &p->redis, "redis-server", argv);
}

/* Listens where it is. */
static int raw_listen(const struct bench_program *g)
{
	struct sockaddr_in at = bench_address(g->address, g->port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* the port's last user may have ended just now */
	if (!bind(fd, (struct sockaddr *)&at, sizeof(at)) && !listen(fd, 8))
		return fd;
	close(fd);
	return -EADDRINUSE;
}

int bench_raw_start(struct bench_peers *p, struct bench_program *g, const struct bench_store *s)
{
	int listener = g->ns ? -1 : bench_port_find(&g->port, true);
	pid_t parent = getpid(), pid;

	if (!g->ns && listener < 0)
		return listener;
	pid = fork();
	if (pid == 0) {
		bench_program_begin(g, parent, SIGKILL);
		close(p->keeper_fd); /* must close when we end, whichever children live on */
		signal(SIGTERM, SIG_DFL);
		if (program_place(g) || (g->ns && (listener = raw_listen(g)) < 0))
			_exit(1);
		bench_raw_serve(listener, s);
	}
	if (listener >= 0)
		close(listener);
	g->pid = pid > 0 ? pid : 0;
	return pid < 0 ? -EAGAIN : program_wait(p, g, "raw");
}

static void dir_remove(const char *dir)
{
	char path[PATH_MAX];
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		/* (No other folder: it might be a mount.) */
		if (!strcmp(e->d_name, KEPT) && snprintf(path, sizeof(path), "%s/" KEPT, dir) < PATH_MAX)
			dir_remove(path);
		else
			unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

/* What the keeper does when we are gone: gently is over. */
static void program_kill(struct bench_program *g)
{
	if (g->pid)
		kill(-g->pid, SIGKILL);
	if (*g->mount) {
		umount2(g->mount, MNT_DETACH);
		rmdir(g->mount);
	}
}

__attribute__((noreturn)) static void keeper_main(struct bench_peers *p, int from, pid_t parent)
{
	char over;
	ssize_t n;

	setsid(); /* what ends us is not for it */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	do
		n = read(from, &over, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	/* Then children that it has just forked have got their signal, too: they start nothing any more. */
	while (getppid() == parent)
		usleep(1000);
	for (unsigned i = 0; i < sizeof(p->program) / sizeof(p->program[0]); i++)
		program_kill(&p->program[i]);
	bench_swap_end(&p->zram);
	bench_swap_end(&p->swapfile);
	if (*p->dir)
		dir_remove(p->dir);
	_exit(0);
}

static int keeper_start(struct bench_peers *p)
{
	pid_t parent = getpid(), pid;
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(pipes[1]);
		keeper_main(p, pipes[0], parent);
	}
	close(pipes[0]);
	p->keeper = pid > 0 ? pid : 0;
	p->keeper_fd = pipes[1];
	return pid < 0 ? -EAGAIN : 0;
}

static void keeper_end(struct bench_peers *p)
{
	if (p->keeper <= 0)
		return;
	if (write(p->keeper_fd, "x", 1) == 1)
		waitpid(p->keeper, NULL, 0);
	close(p->keeper_fd);
	p->keeper = 0;
}

struct bench_peers *bench_peers_alloc(void)
{
	void *p = mmap(NULL, sizeof(struct bench_peers), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int bench_peers_begin(struct bench_peers *p, const char *bindir)
{
	const char *tmp = getenv("TMPDIR");
	int rc = keeper_start(p);

	if (rc)
		return rc;
	p->bindir = bindir;
	snprintf(p->dir, sizeof(p->dir), "%s/gvm-bench.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (mkdtemp(p->dir))
		return 0;
	rc = -errno;
	say("%s: %s", p->dir, strerror(errno));
	*p->dir = 0;
	return rc;
}

void bench_peers_end(struct bench_peers *p)
{
	if (*p->dir)
		dir_remove(p->dir);
	*p->dir = 0;
	keeper_end(p);
}

int bench_peers_start_ours(struct bench_peers *p, const struct bench_sizes *sizes, const char *bindir, uint64_t bytes)
{
	int rc = bench_peers_begin(p, bindir);

	if (!rc)
		rc = bench_node_start(p, &p->node, sizes, "gvm-memnode", bytes, (char *[3]){NULL});
	return rc ? rc : gvmfs_start(p, &p->gvmfs, sizes, "gvmfs", &p->node, (char *[3]){NULL});
}

int bench_peers_start(struct bench_peers *p, const struct bench_sizes *sizes, const char *bindir,
		      const struct bench_store *raw)
{
	uint64_t bytes = (sizes->seal ? 3 : 2) * sizes->file_bytes + sizes->guest_bytes;
	int rc = bench_peers_start_ours(p, sizes, bindir, bytes);

	if (!rc)
		rc = gvmfs_start(p, &p->no_network, sizes, "gvmfs-no-network", &p->node,
				 (char *[3]){ARG("--bench-no-network")});
	if (!rc && sizes->before)
		rc = before_start(p, sizes);
	if (!rc && sizes->seal)
		rc = sealed_start(p, sizes);
	if (!rc && sizes->tls)
		rc = tls_start(p, sizes);
	if (!rc && sizes->persist)
		rc = persist_start(p, sizes);
	if (!rc && sizes->replicas)
		rc = replicated_start(p, sizes);
	if (rc)
		return rc;
	bench_nbd_start(p, sizes);
	if (memcached_start(p, sizes))
		bench_program_stop(&p->memcached);
	if (redis_start(p))
		bench_program_stop(&p->redis);
	if (bench_raw_start(p, &p->raw, raw))
		bench_program_stop(&p->raw);
	return bench_stopped() ? -EINTR : 0;
}

void bench_peers_stop_programs(struct bench_peers *p)
{
	bench_program_stop(&p->raw_page);
	bench_program_stop(&p->raw);
	bench_program_stop(&p->redis);
	bench_program_stop(&p->memcached);
	bench_program_stop(&p->nbdfuse);
	bench_program_stop(&p->nbdkit);
	bench_program_stop(&p->replicated);
	for (unsigned i = 0; i < BENCH_REPLICAS; i++)
		bench_program_stop(&p->replica[i]);
	bench_program_stop(&p->before);
	bench_program_stop(&p->node_before);
	bench_program_stop(&p->node_persist);
	bench_program_stop(&p->tls);
	bench_program_stop(&p->node_tls);
	bench_program_stop(&p->sealed);
	bench_program_stop(&p->no_network);
	bench_program_stop(&p->compress_never);
	bench_program_stop(&p->compress_always);
	bench_program_stop(&p->gvmfs);
	bench_program_stop(&p->node);
}

void bench_peers_stop(struct bench_peers *p)
{
	if (!p)
		return;
	bench_swap_end(&p->zram);
	bench_swap_end(&p->swapfile);
	bench_peers_stop_programs(p);
	bench_peers_end(p);
}
