// SPDX-License-Identifier: GPL-2.0-or-later
/* listen.c - see listen.h. */
#include "listen.h"

#include "memnode/addr.h"
#include "memnode/clock.h"
#include "tools/say.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_NS   (5ull * 1000 * 1000 * 1000) /* for a request, and for its answer to be taken */
#define REQUEST_BYTES 4096
#define BACKLOG	      16
#define SCRAPERS      16 /* served at a time, each by a process */

/* A socket of a server that has ended is replaced; what else has that name is not. */
static int unix_open(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct stat st;
	mode_t mask;
	int fd, rc;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode) && connect(fd, (struct sockaddr *)&to, sizeof(to)) && errno == ECONNREFUSED)
		unlink(path);
	mask = umask(0117);
	rc = bind(fd, (struct sockaddr *)&to, sizeof(to)) || listen(fd, BACKLOG) ? -errno : 0;
	umask(mask);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

static int tcp_open(const char *where)
{
	struct sockaddr_storage to;
	const char *why = "";
	const int on = 1;
	struct addr addr;
	socklen_t bytes;
	int fd, rc = addr_parse(where, &addr);

	if (!rc && !addr_is_local(&addr))
		rc = addr.numeric || !addr_resolve(&addr, &to, &bytes, &why) ? -EXDEV : -EINVAL;
	if (!rc)
		rc = addr_resolve(&addr, &to, &bytes, &why);
	if (rc)
		return rc;
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) || bind(fd, (struct sockaddr *)&to, bytes) ||
	    listen(fd, BACKLOG)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

/* Waits for it, or the deadline: whether it came. */
static bool ready(int fd, short what, uint64_t until_ns)
{
	struct pollfd p = {.fd = fd, .events = what};
	uint64_t now_ns = gvm_now_ns();

	return now_ns < until_ns && poll(&p, 1, (int)((until_ns - now_ns) / 1000000) + 1) > 0;
}

/* Up to the empty line; false: it is not, or not in time. */
static bool request_read(int fd, char text[REQUEST_BYTES])
{
	uint64_t until_ns = gvm_now_ns() + PATIENCE_NS;
	size_t used = 0;
	ssize_t n;

	text[0] = '\0';
	while (!strstr(text, "\r\n\r\n") && used < REQUEST_BYTES - 1) {
		if (!ready(fd, POLLIN, until_ns))
			return false;
		n = recv(fd, text + used, REQUEST_BYTES - 1 - used, MSG_DONTWAIT);
		if (n <= 0)
			return false;
		used += (size_t)n;
		text[used] = '\0';
	}
	return strstr(text, "\r\n\r\n");
}

static void all_send(int fd, const char *text, size_t bytes)
{
	uint64_t until_ns = gvm_now_ns() + PATIENCE_NS;

	while (bytes && ready(fd, POLLOUT, until_ns)) {
		ssize_t n = send(fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return;
		text += n > 0 ? n : 0;
		bytes -= n > 0 ? (size_t)n : 0;
	}
}

static void answer_send(int fd, const char *status, const char *type, const char *body, size_t bytes)
{
	char head[512];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\nCache-Control: no-store\r\n"
			 "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
			 "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\n"
			 "Cross-Origin-Resource-Policy: same-origin\r\n\r\n",
			 status, type, bytes);

	all_send(fd, head, (size_t)n);
	all_send(fd, body, bytes);
}

/* The path of a GET, within the request; NULL: it is another. */
static char *request_path(char *request)
{
	char *path = request + 4, *end = strpbrk(path, " \r\n");

	if (strncmp(request, "GET ", 4) || !end)
		return NULL;
	*end = '\0';
	return path;
}

static bool host_is_local(const char *request)
{
	const char *host = strcasestr(request, "\r\nHost:");
	size_t n;

	if (!host)
		return false;
	host += strlen("\r\nHost:");
	host += strspn(host, " \t");
	n = *host == '[' ? strcspn(host, "]\r") + 1 : strcspn(host, ": \t\r");
	return (n == 9 && !strncasecmp(host, "localhost", n)) || (n == 5 && !strncmp(host, "[::1]", n)) ||
	       (!strncmp(host, "127.", 4) && strspn(host, "0123456789.") == n);
}

static void scraper_serve(int fd, bool unix_socket, metrics_answer *answer, void *arg)
{
	static const char none[] = "The metrics are at /metrics.\n", other[] = "This is for the host itself.\n";
	static const char failed[] = "This cannot be had now.\n", plain[] = "text/plain; charset=utf-8";
	const char *type = "text/plain; version=0.0.4; charset=utf-8";
	char request[REQUEST_BYTES], *body = NULL, *path;
	size_t bytes = 0;
	bool local;
	FILE *f;
	int rc;

	if (!request_read(fd, request))
		return;
	local = unix_socket || host_is_local(request);
	path = request_path(request);
	if (path && !strncmp(path, "/metrics?", 9))
		path[8] = '\0';
	local |= path && !strcmp(path, "/metrics");
	f = open_memstream(&body, &bytes);
	if (!f)
		return;
	rc = path ? answer(arg, path, f, &type) : -ENOENT;
	if (fclose(f))
		rc = -ENOMEM;
	if (rc == -ENOENT)
		answer_send(fd, "404 Not Found", plain, none, strlen(none));
	else if (!local)
		answer_send(fd, "421 Misdirected Request", plain, other, strlen(other));
	else if (rc)
		answer_send(fd, "503 Service Unavailable", plain, failed, strlen(failed));
	else
		answer_send(fd, "200 OK", type, body, bytes);
	free(body);
}

static int where_open(const char *where)
{
	int fd = strncmp(where, "unix:", 5) ? tcp_open(where) : unix_open(where + 5);

	if (fd < 0)
		say("--listen %s: %s", where,
		    fd == -EXDEV ? "beyond this host's loopback, where anybody could read it: put a proxy that asks for a "
				    "password in front" :
		    fd == -EINVAL ? "neither unix:PATH nor an ADDRESS:PORT of this host (127.0.0.1:9477)" :
				    strerror(-fd));
	return fd;
}

struct server {
	int fd, signals;
	sigset_t before;
	bool unix_socket;
	metrics_answer *answer;
	void *arg;
	pid_t scraper[SCRAPERS]; /* 0: free */
};

/* A place for one more; NULL: all are taken. */
static pid_t *place_find(struct server *s)
{
	pid_t *found = NULL;

	for (unsigned i = 0; i < SCRAPERS; i++) {
		if (s->scraper[i] && waitpid(s->scraper[i], NULL, WNOHANG))
			s->scraper[i] = 0;
		if (!s->scraper[i])
			found = &s->scraper[i];
	}
	return found;
}

static void scraper_take(struct server *s, pid_t *place)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	*place = fork();
	if (!*place) {
		/* A server that is killed meanwhile can be started again at once. */
		close(s->fd);
		close(s->signals);
		sigprocmask(SIG_SETMASK, &s->before, NULL);
		scraper_serve(fd, s->unix_socket, s->answer, s->arg);
		_exit(0);
	}
	if (*place < 0)
		*place = 0;
	close(fd);
}

static void server_run(struct server *s)
{
	struct signalfd_siginfo came;

	for (;;) {
		pid_t *place = place_find(s);
		struct pollfd p[] = {{.fd = s->signals, .events = POLLIN}, {.fd = place ? s->fd : -1, .events = POLLIN}};

		poll(p, 2, place ? -1 : 100);
		if (p[0].revents && read(s->signals, &came, sizeof(came)) > 0)
			break;
		if (p[1].revents)
			scraper_take(s, place);
	}
	/* They are not waited for: the kernel lets one end only when gvmfs has answered what it has read already. */
	for (unsigned i = 0; i < SCRAPERS; i++)
		if (s->scraper[i])
			kill(s->scraper[i], SIGKILL);
}

int metrics_listen(const char *where, metrics_answer *answer, void *arg)
{
	struct server s = {.fd = where_open(where), .unix_socket = !strncmp(where, "unix:", 5), .answer = answer, .arg = arg};
	sigset_t ends;

	if (s.fd < 0)
		return 1;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, &s.before);
	s.signals = signalfd(-1, &ends, SFD_CLOEXEC);
	if (s.signals >= 0)
		server_run(&s);
	if (s.unix_socket)
		unlink(where + 5);
	close(s.fd);
	close(s.signals);
	sigprocmask(SIG_SETMASK, &s.before, NULL);
	return 0;
}
