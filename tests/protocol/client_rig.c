// SPDX-License-Identifier: GPL-2.0-or-later
/* client_rig.c - starts a node and reads where it listens; processes connections. */
#include "client_rig.h"
#include "client/impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS    20000
#define NODES_MAX   64
#define PATIENCE_NS 60000000000ull

static pid_t started[NODES_MAX];
static char key_path[] = "/tmp/gvm-key-XXXXXX";

static void end_all(void)
{
	for (unsigned i = 0; i < NODES_MAX; i++)
		if (started[i] > 0)
			kill(started[i], SIGKILL);
	if (!strstr(key_path, "XXXXXX"))
		unlink(key_path);
}

static void remember(pid_t pid, pid_t instead)
{
	static bool once;

	if (!once)
		atexit(end_all);
	once = true;
	for (unsigned i = 0; i < NODES_MAX; i++) {
		if (started[i] != pid)
			continue;
		started[i] = instead;
		return;
	}
}

/* Reads lines of the node until the one that says where it listens. */
static void addr_read(struct rig_node *node)
{
	static const char says[] = "gvm-memnode: listening on ";
	uint64_t end = gvm_now_ns() + START_MS * 1000000ull;
	char text[8192] = "";
	size_t n = 0;

	for (;;) {
		struct pollfd p = {.fd = node->err_fd, .events = POLLIN};
		char *at = strstr(text, says), *stop;
		ssize_t got;

		if (at && (stop = strpbrk(at + strlen(says), ", \n"))) {
			*stop = 0;
			snprintf(node->addr, sizeof(node->addr), "%s", at + strlen(says));
			return;
		}
		CHECK(gvm_now_ns() < end);
		if (poll(&p, 1, 100) < 1)
			continue;
		got = read(node->err_fd, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			fprintf(stderr, "the node ended: %s\n", text);
		CHECK(got > 0);
		n += (size_t)got;
		text[n] = 0;
	}
}

static const char rig_key[] = "a key of the test's rig";

bool rig_tls(void)
{
	return getenv("GVM_TEST_TLS") != NULL;
}

void rig_opts(struct gvm_conn_opts *opts)
{
	opts->tls = rig_tls();
	if (!opts->tls || opts->key)
		return;
	opts->key = rig_key;
	opts->key_bytes = sizeof(rig_key) - 1;
}

void rig_node_start(struct rig_node *node, const char *key)
{
	const char *program = getenv("GVM_MEMNODE");
	int pipe_fd[2];
	pid_t parent = getpid();

	if (!program) {
		fprintf(stderr, "skipped: GVM_MEMNODE does not name the gvm-memnode to test with\n");
		exit(77);
	}
	if (rig_tls() && !key)
		key = rig_key_file(rig_key);
	CHECK_EQ(pipe2(pipe_fd, O_CLOEXEC), 0);
	node->pid = fork();
	CHECK(node->pid >= 0);
	if (!node->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		dup2(pipe_fd[1], 2);
		execl(program, program, "--listen", "127.0.0.1:0", "--memory", "128M",
		      key ? "--key" : NULL, key, rig_tls() ? "--tls" : NULL, NULL);
		_exit(127);
	}
	remember(0, node->pid);
	close(pipe_fd[1]);
	node->err_fd = pipe_fd[0];
	addr_read(node);
	/* What it says later may fill the pipe: it must not wait for a reader. */
	fcntl(node->err_fd, F_SETPIPE_SZ, 1 << 20);
}

void rig_node_end(struct rig_node *node, int sig)
{
	uint64_t end = gvm_now_ns() + START_MS * 1000000ull;
	int status = 0;

	kill(node->pid, SIGCONT);
	CHECK_EQ(kill(node->pid, sig), 0);
	while (waitpid(node->pid, &status, WNOHANG) == 0) {
		CHECK(gvm_now_ns() < end);
		usleep(2000);
	}
	remember(node->pid, 0);
	if (sig != SIGKILL && (!WIFEXITED(status) || WEXITSTATUS(status))) {
		char text[8192];
		ssize_t n = read(node->err_fd, text, sizeof(text) - 1);

		text[n > 0 ? n : 0] = 0;
		fprintf(stderr, "the node ended with status 0x%x: %s\n", status, text);
		exit(1);
	}
	close(node->err_fd);
}

const char *rig_key_file(const char *text)
{
	int fd;

	unlink(key_path);
	strcpy(strrchr(key_path, '-'), "-XXXXXX");
	fd = mkstemp(key_path);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return key_path;
}

void rig_run(struct gvm_conn **conns, unsigned count, const unsigned *left, unsigned seconds)
{
	uint64_t end = gvm_now_ns() + seconds * 1000000000ull;
	struct pollfd *p = calloc(count, sizeof(*p));

	for (unsigned i = 0; i < count; i++)
		p[i] = (struct pollfd){.fd = gvm_conn_fd(conns[i]), .events = POLLIN};
	while (*left) {
		if (gvm_now_ns() > end)
			fprintf(stderr, "%u still to come\n", *left);
		CHECK(gvm_now_ns() <= end);
		poll(p, count, 1000);
		for (unsigned i = 0; i < count; i++)
			if (p[i].revents)
				gvm_conn_process(conns[i]);
	}
	free(p);
}

void rig_run_one(struct gvm_conn *conn, const unsigned *left, unsigned seconds)
{
	rig_run(&conn, 1, left, seconds);
}

void rig_run_ms(struct gvm_conn *conn, unsigned ms)
{
	uint64_t now, end = gvm_now_ns() + ms * 1000000ull;

	while ((now = gvm_now_ns()) < end) {
		struct pollfd p = {.fd = gvm_conn_fd(conn), .events = POLLIN};

		poll(&p, 1, (int)((end - now) / 1000000) + 1);
		gvm_conn_process(conn);
	}
}

void rig_run_to(struct gvm_conn *conn, enum gvm_conn_state state)
{
	uint64_t end = gvm_now_ns() + PATIENCE_NS;

	while (gvm_conn_state(conn) != state) {
		CHECK(gvm_now_ns() < end);
		rig_run_ms(conn, 5);
	}
}

int rig_liar_open(char *addr, size_t bytes)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CHECK_EQ(bind(fd, (struct sockaddr *)&at, len), 0);
	CHECK_EQ(listen(fd, 8), 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	snprintf(addr, bytes, "127.0.0.1:%u", ntohs(at.sin_port));
	return fd;
}

int rig_liar_answer(int fd, struct gvm_conn *conn, const void *say, size_t bytes)
{
	uint64_t end = gvm_now_ns() + PATIENCE_NS;
	int peer = -1;

	while (peer < 0 && gvm_conn_state(conn) != GVM_CONN_FAILED) {
		CHECK(gvm_now_ns() < end);
		rig_run_ms(conn, 5);
		peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (peer < 0 || send(peer, say, bytes, MSG_NOSIGNAL) >= 0)
			continue;
		close(peer);
		peer = -1;
	}
	return peer;
}

static void liar_wait_end(int peer, struct gvm_conn *conn)
{
	uint64_t end = gvm_now_ns() + PATIENCE_NS;
	uint8_t heard[512];
	ssize_t n;

	while ((n = recv(peer, heard, sizeof(heard), MSG_DONTWAIT)) > 0 ||
	       (n < 0 && (errno == EAGAIN || errno == EINTR))) {
		CHECK(gvm_now_ns() < end);
		rig_run_ms(conn, 5);
	}
}

void rig_liar_serve(int fd, struct gvm_conn *conn, const void *say, size_t bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int peer = rig_liar_answer(fd, conn, say, bytes);

		if (peer < 0)
			return;
		liar_wait_end(peer, conn);
		close(peer);
	}
}

void rig_ping(struct gvm_conn *conn, struct gvm_call *call, uint64_t cookie)
{
	const struct gvm_ping_req what = {.cookie = cookie};

	call->data = NULL;
	call->data_bytes = 0;
	req_fill(&call->req, GVM_OP_PING, call->req.meta_inline, gvm_ping_req_pack(&what, call->req.meta_inline),
		 NULL, 0);
	req_submit(conn, &call->req);
}

struct gvm_id rig_region(unsigned n)
{
	struct gvm_id id = {{'r', 'i', 'g'}};

	gvm_store_le(id.b + 8, n, 4);
	return id;
}
