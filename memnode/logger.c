// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger.c - see logger.h: the ring, the budgets, the thread.
 *
 * The thread asks poll() before it writes, so that a change of destination, or the end, finds it
 * between two looks and not inside a write. It speaks to /dev/log itself: syslog(3) holds a lock of
 * the C library while it waits, and a fork at that moment leaves the child with the lock held.
 */
#include "logger.h"
#include "gvm_client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define SLOTS	      256u
#define LOOK_MS	      100 /* between two looks whether a log that stands still is still wanted */
#define TELL_NS	      10000000000ull /* what was left out is told so often */
#define THREAD_STACK  (128u << 10)
#define FLUSH_LOOK_NS 1000000

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* it reports faults by handlers of its own */
#else
#define SANITIZED 0
#endif

struct slot {
	int level;
	uint32_t dropped; /* lines before this one that found no room */
	uint32_t len;
	char text[GVM_LOG_LINE_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER, begun = PTHREAD_COND_INITIALIZER;
/* Guarded by the lock, but for what is atomic. */
static struct slot ring[SLOTS];
static atomic_uint put, taken; /* lines ever; taken: they are written, or lost for good */
static uint32_t dropped;       /* since the last line that found room */
static struct gvm_log_site *left_out;
static uint64_t told_ns;
static bool serving; /* gvm_log_start() was called, by this process or the one that forked it */
static bool running; /* there is a thread */
static bool beginning; /* it was made, and has not come to its loop */
static bool handlers;
static atomic_bool stopping, to_syslog;
static pthread_t thread;
static char ident[32];
static int syslog_fd = -1; /* the thread's */
static bool syslog_stream;

static void fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/* The lines in the ring are the parent's, whose thread writes them. */
static void fork_child(void)
{
	pthread_mutex_init(&lock, NULL);
	pthread_cond_init(&wake, NULL);
	pthread_cond_init(&begun, NULL);
	beginning = false;
	atomic_store(&taken, atomic_load(&put));
	dropped = 0;
	for (struct gvm_log_site *site = left_out; site; site = site->next_left_out) {
		site->listed = false;
		for (unsigned b = 0; b < GVM_LOG_BUCKETS; b++)
			site->buckets[b].left_out = 0;
	}
	left_out = NULL;
	running = false;
	atomic_store(&stopping, false);
	if (syslog_fd >= 0)
		close(syslog_fd);
	syslog_fd = -1;
}

/* Waits until fd takes more. False: it is no longer wanted. */
static bool fd_ready(int fd, bool wanted_syslog)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	for (;;) {
		int n = poll(&p, 1, LOOK_MS);

		if (n > 0 || (n < 0 && errno != EINTR))
			return true; /* also for an error, which the write will name */
		if (atomic_load(&stopping) || atomic_load(&to_syslog) != wanted_syslog)
			return false;
	}
}

/* 0, -EAGAIN (no longer wanted there) or why it is lost. */
static int stderr_write(const char *line, size_t bytes)
{
	while (bytes) {
		ssize_t n;

		if (!fd_ready(STDERR_FILENO, false))
			return -EAGAIN;
		n = write(STDERR_FILENO, line, bytes);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0) {
			line += n;
			bytes -= (size_t)n;
		}
	}
	return 0;
}

static int syslog_connect(void)
{
	static const struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	static const int types[] = {SOCK_DGRAM, SOCK_STREAM};
	int err = 0;

	for (unsigned i = 0; i < 2; i++) {
		int fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd < 0)
			return -errno;
		if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr))) {
			syslog_fd = fd;
			syslog_stream = types[i] == SOCK_STREAM;
			return 0;
		}
		err = -errno;
		close(fd);
		if (err != -EPROTOTYPE)
			break;
	}
	return err;
}

static void syslog_disconnect(void)
{
	if (syslog_fd >= 0)
		close(syslog_fd);
	syslog_fd = -1;
}

/* A packet, or (with a NUL after it) a piece of the stream. */
static int syslog_send(const char *packet, size_t bytes)
{
	bytes += syslog_stream;
	while (bytes) {
		ssize_t n;

		if (!fd_ready(syslog_fd, true))
			return -EAGAIN;
		n = send(syslog_fd, packet, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0) {
			packet += n;
			bytes -= (size_t)n;
		}
	}
	return 0;
}

/* As syslog(3) writes it: "<30>Nov 28 07:09:19 gvmfs[12]: text". */
static int syslog_write(int level, const char *text)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char packet[GVM_LOG_LINE_MAX + 128];
	time_t now = time(NULL);
	struct tm tm = {0};
	int n, err;

	/* It takes a lock of the C library; with ours no fork sees that held. */
	pthread_mutex_lock(&lock);
	localtime_r(&now, &tm);
	pthread_mutex_unlock(&lock);
	n = snprintf(packet, sizeof(packet), "<%d>%.3s %2d %02d:%02d:%02d %s[%d]: %s",
		     LOG_DAEMON | level, months + 3 * (tm.tm_mon % 12), tm.tm_mday, tm.tm_hour,
		     tm.tm_min, tm.tm_sec, ident, getpid(), text);
	if (n >= (int)sizeof(packet))
		n = (int)sizeof(packet) - 1;
	/* A log daemon that was started again has a new socket. */
	for (int tries = 0; tries < 2; tries++) {
		err = syslog_fd < 0 ? syslog_connect() : 0;
		if (!err)
			err = syslog_send(packet, (size_t)n);
		if (!err || err == -EAGAIN)
			return err;
		syslog_disconnect();
	}
	return err;
}

/* text has room for a newline after its `len` bytes, and a NUL. */
static int line_write(int level, char *text, size_t len)
{
	if (atomic_load(&to_syslog))
		return syslog_write(level, text);
	text[len] = '\n';
	return stderr_write(text, len + 1);
}

static int dropped_write(uint32_t lines)
{
	char text[80];
	bool prefix = !atomic_load(&to_syslog);
	int n = snprintf(text, sizeof(text) - 1, "%s%s%u line%s dropped: the log did not take them",
			 prefix ? ident : "", prefix ? ": " : "", lines,
			 lines == 1 ? " was" : "s were");

	return line_write(LOG_WARNING, text, (size_t)n);
}

/* A line into the ring. The lock is held. */
static void ring_put(int level, const char *text, size_t len)
{
	struct slot *s = &ring[put % SLOTS];

	if (put - taken >= SLOTS) {
		dropped++;
		return;
	}
	s->level = level;
	s->dropped = dropped;
	s->len = (uint32_t)len;
	memcpy(s->text, text, len);
	s->text[len] = 0;
	dropped = 0;
	put++;
	pthread_cond_signal(&wake);
}

/* How many lines of which kind were left out. The lock is held. */
static void left_out_tell(uint64_t now)
{
	struct gvm_log_site *site;

	if (now - told_ns < TELL_NS)
		return;
	told_ns = now;
	while ((site = left_out)) {
		char text[GVM_LOG_LINE_MAX];
		uint64_t lines = 0;
		int n;

		left_out = site->next_left_out;
		site->listed = false;
		for (unsigned b = 0; b < GVM_LOG_BUCKETS; b++) {
			lines += site->buckets[b].left_out;
			site->buckets[b].left_out = 0;
		}
		if (!lines)
			continue;
		n = snprintf(text, sizeof(text), "%s (and %llu more lines like this one were left out)",
			     site->sample, (unsigned long long)lines);
		ring_put(site->level, text, (size_t)n);
	}
}

/* Waits for something to write. The lock is held. */
static void thread_wait(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += TELL_NS / 1000000000;
	if (left_out)
		pthread_cond_clockwait(&wake, &lock, CLOCK_MONOTONIC, &until);
	else
		pthread_cond_wait(&wake, &lock);
}

/* Writes the oldest line of the ring, or what is to be told of those that found no room in it. The
 * lock is held, but not while it writes. */
static void thread_step(void)
{
	/* Only this thread uses it, whose stack is small. */
	static struct slot s;
	bool line = put != taken;
	int err;

	if (line) {
		const struct slot *from = &ring[taken % SLOTS];

		memcpy(&s, from, offsetof(struct slot, text) + from->len + 1);
	} else {
		s.dropped = dropped;
		dropped = 0;
	}
	pthread_mutex_unlock(&lock);
	err = s.dropped ? dropped_write(s.dropped) : 0;
	if (!err) {
		s.dropped = 0;
		err = line ? line_write(s.level, s.text, s.len) : 0;
	}
	pthread_mutex_lock(&lock);
	if (err == -EAGAIN) { /* it goes elsewhere, or waits for another thread */
		if (line)
			ring[taken % SLOTS].dropped = s.dropped;
		else
			dropped += s.dropped;
		return;
	}
	taken += line;
	/* Where there is no log its lines are lost. They count as dropped for the next line that gets
	 * through; nothing is said for that alone, since there is nobody to hear it. */
	if (err && put != taken)
		ring[taken % SLOTS].dropped += s.dropped + line;
}

static void *thread_run(void *arg)
{
	prctl(PR_SET_NAME, "log");
	pthread_mutex_lock(&lock);
	beginning = false;
	pthread_cond_broadcast(&begun);
	while (!atomic_load(&stopping)) {
		left_out_tell(gvm_now_ns());
		if (put == taken && !dropped)
			thread_wait();
		else
			thread_step();
	}
	running = false;
	pthread_mutex_unlock(&lock);
	return arg;
}

/* The fault is in this process: its last lines may say which. */
static void fault_flush(int sig)
{
	gvm_log_flush(GVM_LOG_FLUSH_MS);
	raise(sig); /* now with the default action (SA_RESETHAND), once this handler returns */
}

static void exit_flush(void)
{
	gvm_log_flush(GVM_LOG_FLUSH_MS);
}

static void handlers_set(void)
{
	static const int faults[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	struct sigaction was, action = {.sa_handler = fault_flush, .sa_flags = SA_RESETHAND};

	handlers = true;
	pthread_atfork(fork_prepare, fork_parent, fork_child);
	atexit(exit_flush);
	for (unsigned i = 0; !SANITIZED && i < sizeof(faults) / sizeof(*faults); i++)
		if (!sigaction(faults[i], NULL, &was) && was.sa_handler == SIG_DFL)
			sigaction(faults[i], &action, NULL);
}

/* The lock is held. */
static int thread_start(void)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int err;

	if (running)
		return 0;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	/* Signals are for others, and a reader that has gone is an error here, not a SIGPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, &attr, thread_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	running = beginning = !err;
	return -err;
}

int gvm_log_start(const char *name)
{
	int err;

	pthread_mutex_lock(&lock);
	snprintf(ident, sizeof(ident), "%s", name);
	serving = true;
	atomic_store(&stopping, false);
	if (!handlers)
		handlers_set();
	err = thread_start();
	/*
	 * A caller who forbids system calls from here on does not mean those of a thread's
	 * beginning.
	 */
	while (beginning)
		pthread_cond_wait(&begun, &lock);
	pthread_mutex_unlock(&lock);
	return err;
}

void gvm_log_stop(void)
{
	struct timespec until;
	bool joinable;

	pthread_mutex_lock(&lock);
	joinable = running;
	atomic_store(&stopping, true);
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&lock);
	if (!joinable)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	pthread_timedjoin_np(thread, NULL, &until);
}

void gvm_log_to_syslog(void)
{
	tzset(); /* reads a file, so that later calls need not */
	atomic_store(&to_syslog, true);
}

static uint64_t text_hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325ull;

	while (*text)
		h = (h ^ (unsigned char)*text++) * 0x100000001b3ull;
	return h;
}

/*
 * Whether the site's budget has this line; if so, how many before it were left out. The lock is
 * held.
 */
static bool site_allows(struct gvm_log_site *site, const char *key, int level, const char *text,
			uint32_t *before)
{
	struct gvm_log_bucket *b = &site->buckets[text_hash(key ? key : text) % GVM_LOG_BUCKETS];
	uint64_t now = gvm_now_ns(), every = site->every_ms * 1000000ull;
	uint64_t more = b->refilled_ns ? (now - b->refilled_ns) / every : site->burst;

	if (more) {
		bool full = more >= site->burst - b->allowed;

		b->allowed = full ? site->burst : b->allowed + (uint32_t)more;
		b->refilled_ns = full ? now : b->refilled_ns + more * every;
	}
	if (!b->allowed) {
		b->left_out++;
		site->level = level;
		snprintf(site->sample, sizeof(site->sample), "%s", text);
		if (!left_out) {
			told_ns = now; /* the time from here on counts */
			pthread_cond_signal(&wake);
		}
		if (!site->listed) {
			site->listed = true;
			site->next_left_out = left_out;
			left_out = site;
		}
		return false;
	}
	b->allowed--;
	*before = b->left_out;
	b->left_out = 0;
	return true;
}

void gvm_log_put(struct gvm_log_site *site, const char *key, int level, const char *text)
{
	char line[GVM_LOG_LINE_MAX], more[64] = "";
	uint32_t before = 0;
	bool direct;
	int n;

	pthread_mutex_lock(&lock);
	if (site && !site_allows(site, key, level, text, &before)) {
		pthread_mutex_unlock(&lock);
		return;
	}
	if (before)
		snprintf(more, sizeof(more), " (%u lines like this one were left out before it)", before);
	n = snprintf(line, sizeof(line) - 1, "%.*s%s", (int)(sizeof(line) - sizeof(more) - 2), text, more);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	direct = !serving;
	if (!direct) {
		if (!atomic_load(&stopping))
			thread_start();
		ring_put(level, line, (size_t)n);
	}
	pthread_mutex_unlock(&lock);
	if (direct)
		line_write(level, line, (size_t)n);
}

bool gvm_log_flush(unsigned ms)
{
	static const struct timespec look = {.tv_nsec = FLUSH_LOOK_NS};
	unsigned target = atomic_load(&put);
	uint64_t until = gvm_now_ns() + ms * 1000000ull;

	while ((int)(target - atomic_load(&taken)) > 0) {
		if (!running || gvm_now_ns() > until)
			return false;
		nanosleep(&look, NULL);
	}
	return true;
}

/* An assertion's last words go the way of all lines: the C library would wait for the log's reader,
 * and the process would neither serve nor end. */
void __assert_fail(const char *expr, const char *file, unsigned line, const char *function)
{
	char text[GVM_LOG_LINE_MAX];

	snprintf(text, sizeof(text), "%s%s%s:%u: %s: Assertion `%s' failed.", ident,
		 *ident ? ": " : "", file, line, function, expr);
	gvm_log_put(NULL, NULL, LOG_CRIT, text);
	gvm_log_flush(GVM_LOG_FLUSH_MS);
	abort();
}

void gvm_std_fds_hold(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		int got;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* The lowest free one is this. Without a /dev, a path's handle holds the place. */
		got = open("/dev/null", O_RDWR);
		if (got < 0)
			open("/", O_PATH | O_DIRECTORY);
	}
}
