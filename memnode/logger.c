// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger.c - see logger.h: the ring, the budgets, the thread.
 *
 * No lock is taken by those who log: a thread that has one and loses the CPU would keep them all waiting. Whoever logs
 * takes the next place of the ring (`put`) and marks it as filled when its line is in it; the thread takes the places in
 * their order, and waits for one that is not filled yet. Budgets and counters change by one atomic operation each.
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
#include <semaphore.h>
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
	_Atomic uint64_t filled; /* the number of its line, from 1 on: then the line is the thread's, until it is taken */
	int level;
	uint32_t dropped; /* lines before this one that found no room */
	uint32_t len;
	char text[GVM_LOG_LINE_MAX];
};

static struct slot ring[SLOTS];
static _Atomic uint64_t put, taken; /* lines ever; taken: they are written, or lost for good */
static atomic_uint dropped;	    /* since the last line that found room */
static atomic_bool telling;	    /* the thread, of these */
static struct gvm_log_site *_Atomic left_out;
static atomic_uint generation = 1; /* changes with each fork(): gvm_log_site.listed */
static atomic_bool serving; /* gvm_log_start() was called, by this process or the one that forked it */
static atomic_bool running; /* there is a thread */
static atomic_bool beginning; /* it was made, and has not come to its loop */
static atomic_bool stopping, to_syslog;
static sem_t wake;  /* the thread has something to look at */
static sem_t begun; /* the thread has come to its loop */
static bool handlers;
static pthread_t thread;
static uint32_t lost;	 /* the thread's: lines that found no log, and are to be told with the next one that does */
static uint64_t tell_ns; /* the thread's: when it tells what was left out; 0: nothing was */
/* Held by the thread for a call of the C library that takes a lock, and by who forks: so no child has that lock held. */
static pthread_mutex_t zone = PTHREAD_MUTEX_INITIALIZER;
static char ident[32];
static int syslog_fd = -1; /* the thread's */
static bool syslog_stream;

static void fork_prepare(void)
{
	pthread_mutex_lock(&zone);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&zone);
}

static void semaphores_init(void)
{
	sem_init(&wake, 0, 0); /* (they fail for other arguments only) */
	sem_init(&begun, 0, 0);
}

/* The lines in the ring are the parent's, whose thread writes them; and so is what was left out. */
static void fork_child(void)
{
	pthread_mutex_init(&zone, NULL);
	semaphores_init();
	atomic_store(&beginning, false);
	atomic_store(&taken, atomic_load(&put));
	atomic_store(&dropped, 0);
	atomic_store(&telling, false);
	for (struct gvm_log_site *site = atomic_exchange(&left_out, NULL); site; site = site->next_left_out)
		for (unsigned b = 0; b < GVM_LOG_BUCKETS; b++)
			atomic_store(&site->buckets[b].left_out, 0);
	atomic_fetch_add(&generation, 1);
	lost = 0;
	tell_ns = 0;
	atomic_store(&running, false);
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

	pthread_mutex_lock(&zone);
	localtime_r(&now, &tm);
	pthread_mutex_unlock(&zone);
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

/* A place of the ring, which is the caller's until it is filled; NULL: there is none, and the line counts as dropped. */
static struct slot *slot_claim(uint64_t *number)
{
	uint64_t n = atomic_load(&put);

	do {
		/* (More may be taken than n by now: then the exchange fails.) */
		if ((int64_t)(n - atomic_load(&taken)) >= (int64_t)SLOTS) {
			atomic_fetch_add(&dropped, 1);
			return NULL;
		}
	} while (!atomic_compare_exchange_weak(&put, &n, n + 1));
	*number = n + 1;
	return &ring[n % SLOTS];
}

static void thread_wake(void)
{
	sem_post(&wake);
}

/* A line into the ring. */
static void ring_put(int level, const char *text, size_t len)
{
	uint64_t number;
	struct slot *s = slot_claim(&number);

	if (s) {
		s->level = level;
		s->dropped = atomic_exchange(&dropped, 0);
		s->len = (uint32_t)len;
		memcpy(s->text, text, len);
		s->text[len] = 0;
		atomic_store(&s->filled, number);
	}
	thread_wake();
}

/* How many lines of the site were left out, since that was last told. It is in no list any more. */
static void site_tell(struct gvm_log_site *site)
{
	char text[GVM_LOG_LINE_MAX], sample[sizeof(site->sample)];
	int level = site->level, n;
	uint64_t lines = 0;

	memcpy(sample, site->sample, sizeof(sample));
	atomic_store(&site->listed, 0); /* what is counted from here on lists it again */
	for (unsigned b = 0; b < GVM_LOG_BUCKETS; b++)
		lines += atomic_exchange(&site->buckets[b].left_out, 0);
	if (!lines)
		return;
	n = snprintf(text, sizeof(text), "%s (and %llu more lines like this one were left out)", sample,
		     (unsigned long long)lines);
	ring_put(level, text, (size_t)n);
}

/* Tells how many lines of which kind were left out, from time to time. */
static void left_out_tell(uint64_t now)
{
	struct gvm_log_site *site, *next;

	if (!tell_ns && atomic_load(&left_out))
		tell_ns = now + TELL_NS;
	if (!tell_ns || now < tell_ns)
		return;
	tell_ns = 0;
	for (site = atomic_exchange(&left_out, NULL); site; site = next) {
		next = site->next_left_out;
		site_tell(site);
	}
}

/* The oldest line of the ring; NULL: there is none, or it is not filled yet. */
static struct slot *slot_oldest(void)
{
	uint64_t n = atomic_load(&taken);
	struct slot *s = &ring[n % SLOTS];

	return atomic_load(&s->filled) == n + 1 ? s : NULL;
}

/* Waits until there is something to look at, which may be over by then. */
static void thread_wait(void)
{
	struct timespec until = {.tv_sec = (time_t)(tell_ns / 1000000000), .tv_nsec = (long)(tell_ns % 1000000000)};

	if (tell_ns)
		sem_clockwait(&wake, CLOCK_MONOTONIC, &until);
	else
		sem_wait(&wake);
}

/* Writes a line, or (NULL) what is to be told of those that found no room. */
static void thread_step(struct slot *from)
{
	/* Only this thread uses it, whose stack is small. */
	static char text[GVM_LOG_LINE_MAX];
	int err;

	lost += from ? from->dropped : atomic_exchange(&dropped, 0);
	if (from)
		from->dropped = 0; /* if it is not written now: */
	err = lost ? dropped_write(lost) : 0;
	if (!err) {
		lost = 0;
		if (from) {
			memcpy(text, from->text, from->len + 1);
			err = line_write(from->level, text, from->len);
		}
	}
	if (err == -EAGAIN) { /* it goes elsewhere, or waits for another thread */
		if (!from) {
			atomic_fetch_add(&dropped, lost);
			lost = 0;
		}
		return;
	}
	/* Where there is no log its lines are lost. They count as dropped for the next line that gets
	 * through; nothing is said for that alone, since there is nobody to hear it. */
	if (err)
		lost += from != NULL;
	if (from)
		atomic_fetch_add(&taken, 1);
}

static void *thread_run(void *arg)
{
	prctl(PR_SET_NAME, "log");
	atomic_store(&beginning, false);
	sem_post(&begun);
	while (!atomic_load(&stopping)) {
		struct slot *s;

		left_out_tell(gvm_now_ns());
		s = slot_oldest();
		if (s || atomic_load(&dropped)) {
			atomic_store(&telling, !s);
			thread_step(s);
			atomic_store(&telling, false);
		} else {
			thread_wait();
		}
	}
	atomic_store(&running, false);
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

static int thread_start(void)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int err;

	if (atomic_exchange(&running, true))
		return 0;
	atomic_store(&beginning, true);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	/* Signals are for others, and a reader that has gone is an error here, not a SIGPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, &attr, thread_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (err) {
		atomic_store(&beginning, false);
		atomic_store(&running, false);
	}
	return -err;
}

int gvm_log_start(const char *name)
{
	int err;

	snprintf(ident, sizeof(ident), "%s", name);
	if (!handlers) {
		semaphores_init();
		handlers_set();
	}
	atomic_store(&stopping, false);
	atomic_store(&serving, true);
	err = thread_start();
	/*
	 * A caller who forbids system calls from here on does not mean those of a thread's
	 * beginning.
	 */
	while (atomic_load(&beginning))
		sem_wait(&begun);
	return err;
}

void gvm_log_stop(void)
{
	bool joinable = atomic_load(&running);
	struct timespec until;

	atomic_store(&stopping, true);
	thread_wake();
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

/* Whether the bucket has a line left, which is taken from it. Each line puts off by `every` the time at which the bucket is full
 * again; that is never later than `burst` lines from now. */
static bool bucket_take(struct gvm_log_bucket *b, const struct gvm_log_site *site, uint64_t now)
{
	uint64_t every = site->every_ms * 1000000ull, full = atomic_load(&b->full_ns), next;

	do {
		next = (full > now ? full : now) + every;
		if (next > now + site->burst * every)
			return false;
	} while (!atomic_compare_exchange_weak(&b->full_ns, &full, next));
	return true;
}

/* Lists the site, with a line of what is left out, for the thread to tell. (A fork() may come between the steps of
 * another thread here: the child, where nobody ends them, has another generation.) */
static void site_list(struct gvm_log_site *site, int level, const char *text)
{
	unsigned now = atomic_load(&generation);
	struct gvm_log_site *first;

	if (atomic_exchange(&site->listed, now) == now)
		return;
	site->level = level;
	snprintf(site->sample, sizeof(site->sample), "%s", text);
	first = atomic_load(&left_out);
	do
		site->next_left_out = first;
	while (!atomic_compare_exchange_weak(&left_out, &first, site));
	thread_wake();
}

/* Whether the site's budget has this line; if so, how many before it were left out. */
static bool site_allows(struct gvm_log_site *site, const char *key, int level, const char *text, uint32_t *before)
{
	struct gvm_log_bucket *b = &site->buckets[text_hash(key ? key : text) % GVM_LOG_BUCKETS];

	if (!bucket_take(b, site, gvm_now_ns())) {
		atomic_fetch_add(&b->left_out, 1);
		site_list(site, level, text);
		return false;
	}
	*before = atomic_exchange(&b->left_out, 0);
	return true;
}

void gvm_log_put(struct gvm_log_site *site, const char *key, int level, const char *text)
{
	char line[GVM_LOG_LINE_MAX], more[64] = "";
	uint32_t before = 0;
	int n;

	if (site && !site_allows(site, key, level, text, &before))
		return;
	if (before)
		snprintf(more, sizeof(more), " (%u lines like this one were left out before it)", before);
	n = snprintf(line, sizeof(line) - 1, "%.*s%s", (int)(sizeof(line) - sizeof(more) - 2), text, more);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	if (!atomic_load(&serving)) {
		line_write(level, line, (size_t)n);
		return;
	}
	if (!atomic_load(&stopping))
		thread_start();
	ring_put(level, line, (size_t)n);
}

bool gvm_log_flush(unsigned ms)
{
	static const struct timespec look = {.tv_nsec = FLUSH_LOOK_NS};
	uint64_t target = atomic_load(&put);
	uint64_t until = gvm_now_ns() + ms * 1000000ull;

	/* (What is taken from `dropped` is being told, or stands with a line.) */
	while (atomic_load(&taken) < target || atomic_load(&dropped) || atomic_load(&telling)) {
		if (!atomic_load(&running) || gvm_now_ns() > until)
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
