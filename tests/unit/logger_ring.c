// SPDX-License-Identifier: GPL-2.0-or-later
/* logger_ring.c - whoever logs waits for nobody, and what is not written is counted. */
#include "check.h"
#include "gvm_client.h"
#include "logger.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

static char said[1 << 20];

/* Runs `inside` in a child whose standard error is a pipe of one page; gives what it said, and how it
 * ended. `read_late`: the pipe is not read before the child has ended. */
static int child_run(void (*inside)(void), bool read_late)
{
	size_t len = 0;
	ssize_t n;
	int fds[2], status;
	pid_t pid;

	CHECK(!pipe2(fds, O_CLOEXEC));
	CHECK(fcntl(fds[1], F_SETPIPE_SZ, 4096) > 0);
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		alarm(30);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		inside();
		exit(0);
	}
	close(fds[1]);
	if (read_late)
		CHECK_EQ(waitpid(pid, &status, 0), pid);
	while ((n = read(fds[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = 0;
	if (!read_late)
		CHECK_EQ(waitpid(pid, &status, 0), pid);
	close(fds[0]);
	return status;
}

static unsigned said_count(const char *text)
{
	unsigned count = 0;

	for (const char *p = said; (p = strstr(p, text)); p++)
		count++;
	return count;
}

static void says_much(void)
{
	gvm_log_start("test");
	for (unsigned i = 0; i < 5000; i++)
		gvm_log_put(NULL, NULL, LOG_INFO, "test: a line that is as long as lines are");
}

static void a_full_pipe_keeps_nobody_waiting(void)
{
	CHECK_EQ(child_run(says_much, true), 0);
	CHECK(said_count("\n") && said_count("\n") < 5000);
}

static void says_much_and_waits(void)
{
	says_much();
	while (!gvm_log_flush(1000))
		;
}

static void what_found_no_room_is_counted(void)
{
	unsigned lines, dropped;
	const char *told;

	CHECK_EQ(child_run(says_much_and_waits, false), 0);
	lines = said_count("as long as lines are");
	told = strstr(said, "lines were dropped");
	CHECK(told && lines < 5000);
	dropped = 0;
	for (const char *p = said; (p = strstr(p, "test: ")); p++)
		if (strstr(p, "dropped") && strchr(p, '\n') > strstr(p, "dropped"))
			dropped += (unsigned)atoi(p + 6);
	CHECK_EQ(lines + dropped, 5000);
}

static struct gvm_log_site site = {.burst = 10, .every_ms = 100000};

static void repeats(void)
{
	gvm_log_start("test");
	for (unsigned i = 0; i < 1000; i++) {
		gvm_log_put(&site, "one", LOG_INFO, "one");
		gvm_log_put(&site, "two", LOG_INFO, "two");
	}
}

static void each_kind_of_line_has_a_budget(void)
{
	CHECK_EQ(child_run(repeats, false), 0);
	CHECK_EQ(said_count("one\n"), 10);
	CHECK_EQ(said_count("two\n"), 10);
}

static void forks(void)
{
	int status;
	pid_t pid;

	says_much();
	pid = fork();
	if (!pid) {
		gvm_log_put(NULL, NULL, LOG_INFO, "the child's");
		while (!gvm_log_flush(1000))
			;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status)
		_exit(1);
	while (!gvm_log_flush(1000))
		;
}

static void a_child_has_a_log_of_its_own(void)
{
	CHECK_EQ(child_run(forks, false), 0);
	CHECK_EQ(said_count("the child's\n"), 1);
}

static void asserts(void)
{
	gvm_log_start("test");
	gvm_log_put(NULL, NULL, LOG_INFO, "test: a last line");
	assert(!"reached");
}

static void an_assertion_waits_for_no_reader(void)
{
	int status = child_run(asserts, false);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CHECK_EQ(said_count("test: a last line\n"), 1);
	CHECK(said_count("Assertion") == 1 && said_count("reached"));
}

static void much_and_asserts(void)
{
	says_much();
	assert(!"reached");
}

static void a_fault_ends_though_nobody_reads(void)
{
	int status = child_run(much_and_asserts, true);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void has_no_reader(void)
{
	int fds[2];

	CHECK(!pipe(fds));
	dup2(fds[1], STDERR_FILENO);
	close(fds[0]);
	close(fds[1]);
	gvm_log_start("test");
	for (unsigned i = 0; i < 1000; i++)
		gvm_log_put(NULL, NULL, LOG_INFO, "to nobody");
	gvm_log_flush(1000);
}

static void a_reader_that_has_gone_kills_nobody(void)
{
	CHECK_EQ(child_run(has_no_reader, false), 0);
}

static void restarts(void)
{
	gvm_log_start("test");
	gvm_log_put(NULL, NULL, LOG_INFO, "first");
	gvm_log_stop();
	gvm_log_put(NULL, NULL, LOG_INFO, "meanwhile");
	gvm_log_start("test");
	gvm_log_put(NULL, NULL, LOG_INFO, "last");
}

static void a_stopped_log_goes_on(void)
{
	CHECK_EQ(child_run(restarts, false), 0);
	CHECK(!strcmp(said, "first\nmeanwhile\nlast\n"));
}

/* What logger.c calls: a thread stands still in it, as if it had lost the CPU, and another may take no lock. */
static atomic_bool held, stands;
static _Thread_local bool may_stand, takes_no_lock;
uint64_t __real_gvm_now_ns(void);
uint64_t __wrap_gvm_now_ns(void);
int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);

uint64_t __wrap_gvm_now_ns(void)
{
	while (may_stand && atomic_load(&held)) {
		atomic_store(&stands, true);
		usleep(500);
	}
	return __real_gvm_now_ns();
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	CHECK(!takes_no_lock);
	return __real_pthread_mutex_lock(m);
}

static struct gvm_log_site narrow = {.burst = 5, .every_ms = 100000};

static void *logs_and_stands(void *arg)
{
	may_stand = true;
	gvm_log_put(&narrow, NULL, LOG_INFO, "held");
	return arg;
}

static void logs_beside_one_that_stands(void)
{
	pthread_t thread;

	gvm_log_start("test");
	atomic_store(&held, true);
	CHECK(!pthread_create(&thread, NULL, logs_and_stands, NULL));
	while (!atomic_load(&stands))
		usleep(500);
	takes_no_lock = true;
	for (unsigned i = 0; i < 20; i++) {
		gvm_log_put(&narrow, NULL, LOG_INFO, "free");
		gvm_log_put(NULL, NULL, LOG_INFO, "no site");
	}
	while (!gvm_log_flush(1000))
		;
	takes_no_lock = false;
	atomic_store(&held, false);
	pthread_join(thread, NULL);
}

static void who_logs_waits_for_no_other_thread(void)
{
	CHECK_EQ(child_run(logs_beside_one_that_stands, false), 0);
	CHECK_EQ(said_count("free\n"), 5);
	CHECK_EQ(said_count("no site\n"), 20);
	CHECK_EQ(said_count("held\n"), 1);
}

#define THREADS 8u
#define LINES	400u

static void *logs_much(void *arg)
{
	for (unsigned i = 0; i < LINES; i++) {
		char text[64];

		snprintf(text, sizeof(text), "thread %u says line %u, whole", (unsigned)(uintptr_t)arg, i);
		gvm_log_put(NULL, NULL, LOG_INFO, text);
	}
	return NULL;
}

static void threads_log(void)
{
	pthread_t thread[THREADS];

	gvm_log_start("test");
	for (unsigned i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, logs_much, (void *)(uintptr_t)i));
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	while (!gvm_log_flush(1000))
		;
}

/* Those of one thread in their order; and what is missing was counted. */
static void lines_of_many_threads_are_whole(void)
{
	unsigned next[THREADS] = {0}, lines = 0, dropped = 0;

	CHECK_EQ(child_run(threads_log, false), 0);
	for (char *line = said, *end; *line; line = end + 1) {
		unsigned thread, number;
		int bytes = 0;

		end = strchr(line, '\n');
		CHECK(end);
		if (sscanf(line, "thread %u says line %u, whole%n", &thread, &number, &bytes) == 2 && bytes == end - line) {
			CHECK(thread < THREADS && number < LINES && number >= next[thread]);
			next[thread] = number + 1;
			lines++;
		} else {
			CHECK_EQ(sscanf(line, "test: %u line", &number), 1);
			dropped += number;
		}
	}
	CHECK_EQ(lines + dropped, THREADS * LINES);
}

/* They log more slowly than that is written: each waits for its line. */
static void *logs_and_waits(void *arg)
{
	for (unsigned i = 0; i < 200; i++) {
		gvm_log_put(NULL, NULL, LOG_INFO, "one");
		if (i % 16 == 15)
			while (!gvm_log_flush(1000))
				;
	}
	return arg;
}

static void threads_log_in_turn(void)
{
	pthread_t thread[THREADS];

	gvm_log_start("test");
	for (unsigned i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, logs_and_waits, NULL));
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

static void a_ring_with_room_drops_nothing(void)
{
	CHECK_EQ(child_run(threads_log_in_turn, false), 0);
	CHECK_EQ(said_count("dropped"), 0);
}

/* What is left out is told after a while with the next line that its budget has. */
static struct gvm_log_site soon = {.burst = 1, .every_ms = 50};

static void says_too_much(void)
{
	gvm_log_start("test");
	for (unsigned i = 0; i < 10; i++)
		gvm_log_put(&soon, NULL, LOG_INFO, "again");
	usleep(60000);
	gvm_log_put(&soon, NULL, LOG_INFO, "again");
}

static void what_was_left_out_is_counted(void)
{
	unsigned told = 0;
	const char *more;

	CHECK_EQ(child_run(says_too_much, false), 0);
	for (more = said; (more = strchr(more, '(')); more++)
		told += (unsigned)atoi(more + 1);
	CHECK_EQ(said_count("again") + told, 11);
}

static void control_characters(void)
{
	gvm_log_put(NULL, NULL, LOG_INFO, "a\nforged: line\x1b[2J");
}

static void a_line_is_one_line(void)
{
	CHECK_EQ(child_run(control_characters, false), 0);
	CHECK(!strcmp(said, "a?forged: line?[2J\n"));
}

static void closed_descriptors(void)
{
	int fd;

	for (fd = 0; fd < 3; fd++)
		close(fd);
	gvm_std_fds_hold();
	fd = open("/dev/zero", O_RDONLY);
	_exit(fd > STDERR_FILENO ? 0 : 1);
}

static void closed_descriptors_are_not_taken_by_others(void)
{
	CHECK_EQ(child_run(closed_descriptors, false), 0);
}

static const struct check_test tests[] = {
	{"a-full-pipe-keeps-nobody-waiting", a_full_pipe_keeps_nobody_waiting},
	{"what-found-no-room-is-counted", what_found_no_room_is_counted},
	{"each-kind-of-line-has-a-budget", each_kind_of_line_has_a_budget},
	{"a-child-has-a-log-of-its-own", a_child_has_a_log_of_its_own},
	{"an-assertion-waits-for-no-reader", an_assertion_waits_for_no_reader},
	{"a-fault-ends-though-nobody-reads", a_fault_ends_though_nobody_reads},
	{"a-reader-that-has-gone-kills-nobody", a_reader_that_has_gone_kills_nobody},
	{"a-stopped-log-goes-on", a_stopped_log_goes_on},
	{"who-logs-waits-for-no-other-thread", who_logs_waits_for_no_other_thread},
	{"lines-of-many-threads-are-whole", lines_of_many_threads_are_whole},
	{"a-ring-with-room-drops-nothing", a_ring_with_room_drops_nothing},
	{"what-was-left-out-is-counted", what_was_left_out_is_counted},
	{"a-line-is-one-line", a_line_is_one_line},
	{"closed-descriptors-are-not-taken-by-others", closed_descriptors_are_not_taken_by_others},
};
CHECK_MAIN(tests)
