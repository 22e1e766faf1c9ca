/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node_daemon.h - a real gvm-memnode under test: started, spoken to frame by frame, ended.
 *
 * The daemon's stderr is a pipe, read into node.log whenever the test asks. A test program that
 * ends early takes the daemon with it. With GVM_TEST_TLS in the environment daemons demand TLS, unless the test
 * says something of a key, and links have it (node_tls.h).
 */
#ifndef GVM_NODE_DAEMON_H
#define GVM_NODE_DAEMON_H

#include "node_tls.h"
#include "memnode/auth.h"
#include "memnode/codec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct node {
	pid_t pid;
	uint16_t port;
	bool tls; /* each of its links has TLS */
	int log_fd;
	size_t log_len;
	char log[65536];
};

static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Reads what the daemon said; waits up to `ms` for something new. False at the end of it. */
static inline bool node_log_read(struct node *n, int ms)
{
	struct pollfd p = {.fd = n->log_fd, .events = POLLIN};
	ssize_t got;

	if (poll(&p, 1, ms) <= 0)
		return true;
	CHECK(n->log_len < sizeof(n->log) - 1);
	got = read(n->log_fd, n->log + n->log_len, sizeof(n->log) - 1 - n->log_len);
	if (got <= 0)
		return false;
	n->log_len += (size_t)got;
	n->log[n->log_len] = 0;
	return true;
}

/* Waits until the daemon has said `text`. */
static inline void node_log_wait(struct node *n, const char *text)
{
	uint64_t until = now_ms() + 20000;

	while (!strstr(n->log, text)) {
		if (!node_log_read(n, 100) || now_ms() > until) {
			fprintf(stderr, "the daemon did not say \"%s\", but:\n%s", text, n->log);
			exit(1);
		}
	}
}

static inline unsigned node_log_has(const struct node *n, const char *text)
{
	unsigned count = 0;

	for (const char *p = n->log; (p = strstr(p, text)); p++)
		count++;
	return count;
}

/* How often the daemon has said `text` by now: it is asked for a report, and what it said before that
 * comes before it. */
static inline unsigned node_log_count(struct node *n, const char *text)
{
	static const char report[] = " damaged heads\n";
	unsigned before = node_log_has(n, report);
	uint64_t until = now_ms() + 20000;

	CHECK(!kill(n->pid, SIGUSR1));
	while (node_log_has(n, report) == before)
		CHECK(node_log_read(n, 100) && now_ms() < until);
	return node_log_has(n, text);
}

/* A process of the test's own, which ends with it at the latest: 0 in the child. */
static inline pid_t child_fork(void)
{
	pid_t pid;

	tls_rest();
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static pid_t node_running;

static inline void node_kill(void)
{
	if (node_running)
		kill(node_running, SIGKILL);
}

/* Runs the daemon with these arguments (the last NULL), stderr into the pipe. */
static inline void node_spawn(struct node *n, const char *const *args)
{
	static int registered;
	const char *argv[20] = {getenv("GVM_MEMNODE")};
	int fds[2], at = 1;

	CHECK(argv[0]);
	while (*args)
		argv[at++] = *args++;
	if (getenv("GVM_TEST_IO")) {
		argv[at++] = "--io";
		argv[at++] = getenv("GVM_TEST_IO");
	}
	*n = (struct node){0};
	CHECK(!pipe2(fds, O_CLOEXEC));
	if (!registered++)
		atexit(node_kill);
	n->pid = node_running = fork();
	CHECK(n->pid >= 0);
	if (!n->pid) {
		dup2(fds[1], STDERR_FILENO);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(fds[1]);
	n->log_fd = fds[0];
}

/* A key file with this text, to be unlinked; the path is static. */
static inline char *node_key_file(const char *text)
{
	static char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/gvm-key.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

/* Starts one on a free port of loopback; `more`: further arguments, NULL at the end. */
static inline void node_start(struct node *n, const char *memory, ...)
{
	static const char said[] = "listening on 127.0.0.1:";
	const char *args[16] = {"--listen", "127.0.0.1:0", "--memory", memory};
	const char *arg, *key = NULL;
	bool tls = getenv("GVM_TEST_TLS");
	va_list more;
	int at = 4;

	va_start(more, memory);
	while ((arg = va_arg(more, const char *))) {
		tls &= strcmp(arg, "--key") != 0;
		args[at++] = arg;
	}
	va_end(more);
	if (tls) {
		key = node_key_file(tls_secret);
		args[at++] = "--key";
		args[at++] = key;
		args[at++] = "--tls";
	}
	node_spawn(n, args);
	n->tls = tls;
	node_log_wait(n, "lending");
	if (key)
		CHECK(!unlink(key));
	CHECK(strstr(n->log, said));
	n->port = (uint16_t)atoi(strstr(n->log, said) + sizeof(said) - 1);
	CHECK(n->port);
}

/* Waits for its end; returns its exit status, 1000 + signal if one killed it. */
static inline int node_wait(struct node *n)
{
	uint64_t until = now_ms() + 20000;
	int status;

	while (node_log_read(n, 100))
		if (now_ms() > until) {
			fprintf(stderr, "the daemon did not end; it said:\n%s", n->log);
			exit(1);
		}
	CHECK_EQ(waitpid(n->pid, &status, 0), n->pid);
	node_running = 0;
	close(n->log_fd);
	if (strstr(n->log, "Sanitizer") || strstr(n->log, "runtime error")) {
		fprintf(stderr, "%s", n->log);
		exit(1);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static inline void node_stop(struct node *n)
{
	int status;

	kill(n->pid, SIGTERM);
	status = node_wait(n);
	if (status || !strstr(n->log, "ends, and")) {
		fprintf(stderr, "the daemon ended with status %d and said:\n%s", status, n->log);
		exit(1);
	}
}

/* A number of KiB of /proc/PID/status. */
static inline unsigned long node_status_kib(const struct node *n, const char *field)
{
	char path[64], line[256];
	unsigned long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)n->pid);
	f = fopen(path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)) && sscanf(line + strlen(field), ": %lu", &kib) == 1)
			break;
	fclose(f);
	CHECK(kib);
	return kib;
}

/* AddressSanitizer keeps freed memory back, up to 256 MiB: that is not what the node takes. */
static inline void node_asan_keeps_little(void)
{
	const char *given = getenv("ASAN_OPTIONS");
	char options[1024];

	snprintf(options, sizeof(options), "%s:quarantine_size_mb=8", given ? given : "");
	CHECK(!setenv("ASAN_OPTIONS", options, 1));
}

/* A frame received. */
struct answer {
	struct gvm_hdr hdr;
	uint8_t meta[GVM_META_MAX];
	uint8_t data[GVM_DATA_MAX];
};

static inline int link_open_plain(const struct node *n)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(n->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval limit = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	CHECK(fd >= 0);
	tls_forget(fd);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	CHECK(!connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	return fd;
}

static inline int link_open(const struct node *n)
{
	int fd = link_open_plain(n);

	return n->tls ? tls_link(fd) : fd;
}

static inline void link_write(int fd, const void *p, size_t bytes)
{
	while (bytes) {
		ssize_t n = send(fd, p, bytes, MSG_NOSIGNAL);

		CHECK(n > 0);
		p = (const uint8_t *)p + n;
		bytes -= (size_t)n;
	}
}

/* False: the connection ended (cleanly or not). A deadline is a failure. */
static inline bool link_read(int fd, void *p, size_t bytes)
{
	while (bytes) {
		ssize_t n = recv(fd, p, bytes, 0);

		CHECK(n >= 0 || errno == ECONNRESET || errno == EPIPE);
		if (n <= 0)
			return false;
		p = (uint8_t *)p + n;
		bytes -= (size_t)n;
	}
	return true;
}

/* Packs a whole request into buf; returns its bytes. */
static inline bool put_is_sealed(const uint8_t *meta, size_t meta_len)
{
	return meta_len > 48 + 5 && meta[48 + 5] == 1;
}

static inline size_t frame_pack(uint8_t *buf, uint8_t op, uint64_t tag, const uint8_t *meta,
				size_t meta_len, const void *data, size_t data_len)
{
	struct gvm_hdr h = {
		.op = op,
		.tag = tag,
		.meta_len = (uint16_t)meta_len,
		.data_len = (uint32_t)data_len,
		.data_check = op == GVM_OP_PUT && !put_is_sealed(meta, meta_len) ?
				      0 :
				      gvm_data_check(data, data_len),
	};

	gvm_hdr_pack(&h, meta, buf);
	if (meta_len)
		memcpy(buf + GVM_HDR_BYTES, meta, meta_len);
	if (data_len)
		memcpy(buf + GVM_HDR_BYTES + meta_len, data, data_len);
	return GVM_HDR_BYTES + meta_len + data_len;
}

static inline void frame_send(int fd, uint8_t op, uint64_t tag, const uint8_t *meta,
			      size_t meta_len, const void *data, size_t data_len)
{
	static uint8_t buf[GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX];

	link_write(fd, buf, frame_pack(buf, op, tag, meta, meta_len, data, data_len));
}

/* Receives a frame and checks all that a client would; false at the connection's end. */
static inline bool frame_receive(int fd, struct answer *a)
{
	uint8_t hdr[GVM_HDR_BYTES];

	if (!link_read(fd, hdr, sizeof(hdr)))
		return false;
	CHECK(!gvm_hdr_unpack(&a->hdr, hdr));
	CHECK(a->hdr.flags & GVM_FLAG_RESPONSE);
	if (!link_read(fd, a->meta, a->hdr.meta_len) || !link_read(fd, a->data, a->hdr.data_len))
		return false;
	CHECK(gvm_meta_check(&a->hdr, hdr, a->meta));
	if (a->hdr.op != GVM_OP_GET)
		CHECK(a->hdr.data_check == gvm_data_check(a->data, a->hdr.data_len));
	return true;
}

static inline uint64_t answer_detail(const struct answer *a)
{
	struct gvm_error_rsp e;

	CHECK_EQ(gvm_error_rsp_unpack(&e, a->meta, a->hdr.meta_len), a->hdr.meta_len);
	return e.detail;
}

/* One request and its answer; returns the status. */
static inline uint16_t frame_call(int fd, uint8_t op, const uint8_t *meta, size_t meta_len,
				  const void *data, size_t data_len, struct answer *a)
{
	static uint64_t tag;

	frame_send(fd, op, ++tag, meta, meta_len, data, data_len);
	CHECK(frame_receive(fd, a));
	CHECK_EQ(a->hdr.op, op);
	CHECK_EQ(a->hdr.tag, tag);
	return a->hdr.status;
}

/* link_call(fd, &answer, OP, msg, .field = value, ...): a request without data. */
#define link_call(fd, answer, op, msg, ...)                                                        \
	({                                                                                         \
		struct gvm_##msg##_req req_ = {__VA_ARGS__};                                       \
		uint8_t meta_[GVM_META_MAX];                                                       \
		frame_call(fd, op, meta_, gvm_##msg##_req_pack(&req_, meta_), NULL, 0, answer);    \
	})

/* To a node with TLS: `a` is the answer to HELLO. */
static inline void link_auth(int fd, const struct gvm_hello_req *hello, const struct answer *a)
{
	static struct answer back;
	struct gvm_hello_rsp welcome;
	struct gvm_auth_req auth;
	uint8_t meta[GVM_META_MAX];

	CHECK(gvm_hello_rsp_unpack(&welcome, a->meta, a->hdr.meta_len) > 0);
	CHECK(!auth_mac(tls_secret, strlen(tls_secret), false, hello, &welcome, &tls_bindings[fd], &auth.mac));
	CHECK_EQ(frame_call(fd, GVM_OP_AUTH, meta, gvm_auth_req_pack(&auth, meta), NULL, 0, &back), GVM_OK);
}

static inline void link_hello_with(int fd, uint64_t client, uint64_t features, struct answer *a)
{
	struct gvm_hello_req hello = {.version_min = GVM_VERSION,
				      .version_max = GVM_VERSION,
				      .features = features,
				      .client = client,
				      .nonce = {{1, 2, 3}}};
	uint8_t meta[GVM_META_MAX];

	CHECK_EQ(frame_call(fd, GVM_OP_HELLO, meta, gvm_hello_req_pack(&hello, meta), NULL, 0, a), GVM_OK);
	if (tls_is_link(fd))
		link_auth(fd, &hello, a);
}

static inline void link_hello(int fd, uint64_t client, struct answer *a)
{
	link_hello_with(fd, client, 0, a);
}

/* Connected and past HELLO, as this client. */
static inline int link_ready(const struct node *n, uint64_t client)
{
	static struct answer a;
	int fd = link_open(n);

	link_hello(fd, client, &a);
	return fd;
}

/* True if the other side has ended the connection, without another word. */
static inline bool link_ended(int fd)
{
	uint8_t byte;

	return !link_read(fd, &byte, 1);
}

/* The node is alive and answers a newcomer. */
static inline void node_answers(const struct node *n)
{
	static struct answer a;
	int fd = link_ready(n, 7);

	CHECK_EQ(link_call(fd, &a, GVM_OP_PING, ping, .cookie = 42), GVM_OK);
	close(fd);
}

/* A PUT of encoded blocks; returns the status. */
static inline uint16_t link_put(int fd, const struct gvm_put_req *what,
				const struct chunk_head *head, const uint8_t *body,
				struct answer *a)
{
	uint8_t meta[GVM_META_MAX];
	size_t len = gvm_put_req_pack(what, meta);

	len += chunk_head_pack(head, meta + len);
	return frame_call(fd, GVM_OP_PUT, meta, len, body, head->body_bytes, a);
}

#endif
