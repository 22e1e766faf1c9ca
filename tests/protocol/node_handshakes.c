// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * node_handshakes.c - what clients do to a node with TLS before they have proven anything, and behind its back after that:
 * handshakes that end half way, that come a byte at a time or in floods, records that are no records.
 */
#include "node_faults.h"

#include <sys/resource.h>

#define STRANGERS 1500u
#define CROWD     600u /* of them that ask for a handshake at once */
#define REQUESTS  40u
#define ROUNDS    3u
#define IN_TIME_MS 3000u /* a node gives 5 s for HELLO and AUTH */
#define BOUND_KIB (64u << 10)  /* beyond what the node lends: for 1024 strangers, and for its own */

static struct node node, plain;
static struct answer answer;

static void nodes_start(void)
{
	CHECK(!setenv("GVM_TEST_TLS", "1", 1));
	node_asan_keeps_little();
	node_start(&node, "32M", NULL);
}

/* The first bytes that a client of ours says. */
static struct tls_end *hello_make(int fd, const char *secret)
{
	struct tls_end *e = tls_begin(fd, secret);

	CHECK_EQ(tls_handshake(&e->tls), -EAGAIN);
	CHECK(tls_out_bytes(&e->tls) > 100 && tls_out_bytes(&e->tls) < 1000);
	return e;
}

static struct tls_end *up_make(void)
{
	struct tls_end *e = tls_begin(link_open_plain(&node), tls_secret);

	CHECK_EQ(tls_shake(e), 0);
	return e;
}

/* What the node says is ciphertext, an alert or nothing; then it ends the connection. */
static void check_ends(int fd)
{
	uint8_t bin[4096];
	ssize_t n;

	do {
		n = recv(fd, bin, sizeof(bin), 0);
		CHECK(n >= 0 || errno == ECONNRESET || errno == EPIPE);
	} while (n > 0);
}

static void both_ends_say_which_of_them_lacks_tls(void)
{
	struct gvm_hello_req hello = {.version_min = GVM_VERSION, .version_max = GVM_VERSION, .client = 3};
	uint8_t meta[GVM_META_MAX];
	struct tls_end *e;
	int fd;

	nodes_start();
	fd = link_open_plain(&node);
	CHECK_EQ(frame_call(fd, GVM_OP_HELLO, meta, gvm_hello_req_pack(&hello, meta), NULL, 0, &answer), GVM_ERR_AUTH);
	CHECK_EQ(answer_detail(&answer), GVM_AUTH_DEMANDS_TLS);
	CHECK(link_ended(fd));
	close(fd);
	node_log_wait(&node, "refused: the client does not use TLS, which this node demands");
	e = tls_begin(link_open_plain(&node), "another secret of the tests' nodes");
	CHECK_EQ(tls_shake(e), -EBADMSG);
	CHECK(e->tls.key_refused);
	tls_end(e);
	node_log_wait(&node, "refused: wrong key");
	node_answers(&node);
	node_stop(&node);

	unsetenv("GVM_TEST_TLS");
	node_start(&plain, "16M", NULL);
	e = tls_begin(link_open_plain(&plain), tls_secret);
	CHECK_EQ(tls_shake(e), -EBADMSG);
	CHECK(e->tls.no_tls && !strcmp(e->tls.why, "the other end uses no TLS"));
	tls_end(e);
	node_log_wait(&plain, "refused: the client uses TLS, which this node does not (--tls)");
	node_answers(&plain);
	node_stop(&plain);
}

/* Each stage of a handshake, and a client that goes on with it, a byte now and then. */
static void half_done_handshakes_end_in_time(void)
{
	enum { STAGES = 7 };
	struct gvm_hello_req hello = {.version_min = GVM_VERSION, .version_max = GVM_VERSION, .client = 3};
	uint8_t meta[GVM_META_MAX], frame[GVM_HDR_BYTES + GVM_META_MAX];
	size_t cut[STAGES] = {0, 1, 5, 9, 60, SIZE_MAX, 0};
	struct tls_end *e[STAGES], *slow;
	struct iovec iov = {frame, 0};
	int ready;

	nodes_start();
	ready = link_ready(&node, 1);
	for (unsigned i = 0; i < STAGES; i++) {
		e[i] = i < STAGES - 1 ? hello_make(link_open_plain(&node), tls_secret) : up_make();
		if (i < STAGES - 1) {
			size_t bytes = tls_out_bytes(&e[i]->tls);

			link_write(e[i]->fd, e[i]->out, cut[i] < bytes ? cut[i] : bytes);
		}
	}
	iov.iov_len = frame_pack(frame, GVM_OP_HELLO, 1, meta, gvm_hello_req_pack(&hello, meta), NULL, 0);
	CHECK_EQ(tls_writev(&e[STAGES - 1]->tls, &iov, 1), (ssize_t)iov.iov_len);
	CHECK(tls_flush(e[STAGES - 1])); /* and no AUTH */
	slow = hello_make(link_open_plain(&node), tls_secret);
	for (unsigned i = 0; i < 200 && send(slow->fd, slow->out + i, 1, MSG_NOSIGNAL) == 1; i++)
		usleep(100000);
	check_ends(slow->fd);
	tls_end(slow);
	for (unsigned i = 0; i < STAGES; i++) {
		check_ends(e[i]->fd);
		tls_end(e[i]);
	}
	CHECK_EQ(node_log_count(&node, "closed: did not finish HELLO and AUTH in time"), STAGES + 1);
	CHECK_EQ(link_call(ready, &answer, GVM_OP_PING, ping, 1), GVM_OK);
	close(ready);
	node_answers(&node);
	node_stop(&node);
}

/* A request, as it goes over the wire. */
static size_t record_make(struct tls_end *e, uint8_t *to)
{
	uint8_t meta[GVM_META_MAX], frame[GVM_HDR_BYTES + GVM_META_MAX];
	struct gvm_hello_req hello = {.version_min = GVM_VERSION, .version_max = GVM_VERSION, .client = 3};
	struct iovec iov = {frame, frame_pack(frame, GVM_OP_HELLO, 1, meta, gvm_hello_req_pack(&hello, meta), NULL, 0)};
	size_t bytes;

	CHECK_EQ(tls_writev(&e->tls, &iov, 1), (ssize_t)iov.iov_len);
	bytes = tls_out_bytes(&e->tls);
	memcpy(to, e->out + e->tls.out.start, bytes);
	tls_out_sent(&e->tls, bytes);
	return bytes;
}

static void what_is_no_record_ends_the_connection(void)
{
	enum { KINDS = 9 };
	uint8_t record[1024], noise[1024];

	nodes_start();
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct tls_end *e = up_make();
		size_t bytes = record_make(e, record);
		char line[64];

		for (unsigned i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)check_random();
		switch (kind) {
		case 0: /* noise */
			link_write(e->fd, noise, sizeof(noise));
			break;
		case 1: /* noise in a record's clothes */
			memcpy(noise, "\x17\x03\x03\x02\x00", 5);
			link_write(e->fd, noise, 5 + 512);
			break;
		case 2: /* longer than one may be */
			link_write(e->fd, "\x17\x03\x03\x45\x01", 5);
			break;
		case 3: /* a bit of the text */
		case 4: /* a bit of the tag */
			record[kind == 3 ? 9 : bytes - 1] ^= 1;
			link_write(e->fd, record, bytes);
			break;
		case 5: /* the same again */
			link_write(e->fd, record, bytes);
			link_write(e->fd, record, bytes);
			break;
		case 6: /* the second without the first */
			bytes = record_make(e, record);
			link_write(e->fd, record, bytes);
			break;
		case 7: /* plain, behind the handshake */
			link_write(e->fd, noise, frame_pack(noise, GVM_OP_PING, 1, noise + 500, 8, NULL, 0));
			break;
		default: /* a stream that is cut off between two records is no end of it, either */
			shutdown(e->fd, SHUT_WR);
		}
		check_ends(e->fd);
		tls_end(e);
		snprintf(line, sizeof(line), "closed: TLS: ");
		node_log_wait(&node, line);
		node_answers(&node);
		CHECK_EQ(node_log_count(&node, line), 1);
		node.log_len = 0;
		node.log[0] = 0;
	}
	node_stop(&node);
}

enum flood_kind { FLOOD_SILENT, FLOOD_WHOLE_HELLOS, FLOOD_LARGE_HELLOS, FLOOD_CLIENTS, FLOOD_WRONG_KEYS, FLOODS };

/* What a stranger says before it falls silent. */
static size_t flood_pack(enum flood_kind kind, uint8_t *buf)
{
	struct tls_end *e;
	size_t bytes;

	if (kind == FLOOD_SILENT)
		return buf[0] = 22, 1;
	if (kind == FLOOD_LARGE_HELLOS) { /* in records of one piece, as much as there may be of it */
		for (bytes = 0; bytes < 7 * (5 + TLS_RECORD_BYTES); bytes += 5 + TLS_RECORD_BYTES)
			memcpy(buf + bytes, "\x16\x03\x01\x40\x00", 5);
		memcpy(buf + 5, "\x01\x01\xff\xc0\x03\x03", 6);
		return bytes;
	}
	e = hello_make(-1, tls_secret);
	bytes = tls_out_bytes(&e->tls);
	memcpy(buf, e->out, bytes);
	tls_end(e);
	return bytes;
}

static uint8_t stranger_bytes[8 * (5 + TLS_RECORD_BYTES)];

static int stranger_open(size_t bytes)
{
	int fd = link_open_plain(&node);

	if (send(fd, stranger_bytes, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		CHECK(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
	return fd;
}

/* Strangers without end: each new one takes the place of the oldest. */
static pid_t flood_begin(enum flood_kind kind)
{
	static int fds[STRANGERS];
	size_t len = flood_pack(kind, stranger_bytes);
	pid_t pid = child_fork();

	if (pid)
		return pid;
	for (unsigned i = 0;; i = (i + 1) % STRANGERS) {
		struct tls_end *e;

		if (kind == FLOOD_CLIENTS || kind == FLOOD_WRONG_KEYS) {
			e = tls_begin(link_open_plain(&node), kind == FLOOD_CLIENTS ? tls_secret : "a wrong secret");
			tls_shake(e);
			tls_end(e);
			continue;
		}
		if (fds[i])
			close(fds[i]);
		fds[i] = stranger_open(len);
	}
}

static void flood_delays_no_fault(enum flood_kind kind, const char *what)
{
	pid_t pid;
	int fd;

	nodes_start();
	fd = link_ready(&node, 1);
	faults_begin(fd);
	pid = flood_begin(kind);
	faults_are_quick(fd, what);
	printf("  the node takes %lu MiB at most\n", node_status_kib(&node, "VmHWM") >> 10);
	CHECK(node_status_kib(&node, "VmHWM") < (32u << 10) + BOUND_KIB);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	node_answers(&node);
	close(fd);
	node_stop(&node);
}

static void floods_of_handshakes_delay_no_fault(void)
{
	static const char *const what[FLOODS] = {"beside silent strangers", "beside hellos, and no more",
						 "beside hellos of any size", "beside clients that come and go",
						 "beside clients with wrong keys"};

	for (enum flood_kind kind = 0; kind < FLOODS; kind++)
		flood_delays_no_fault(kind, what[kind]);
}

/* More than the node bears, one after the other; when they go, it has had all of them. */
static void strangers_pass(enum flood_kind kind)
{
	static int fds[STRANGERS];
	size_t len = flood_pack(kind, stranger_bytes);

	for (unsigned i = 0; i < STRANGERS; i++)
		fds[i] = stranger_open(len);
	node_answers(&node);
	for (unsigned i = 0; i < STRANGERS; i++)
		close(fds[i]);
}

static void check_welcome(struct tls_end *e)
{
	uint8_t record[1024];
	ssize_t n;

	link_write(e->fd, record, record_make(e, record));
	while ((n = tls_read(&e->tls, record, sizeof(record))) == -EAGAIN)
		CHECK(tls_fill(e));
	CHECK(n > 0);
	tls_end(e);
}

enum holder { HAS_SAID_NOTHING, IS_HALF_WAY, HAS_NOT_SAID_HELLO, HOLDERS };

/* False: the machine was so slow that the client's time was up. */
static bool holder_stays(enum holder holder)
{
	uint64_t began = now_ms();
	struct tls_end *e;
	bool in_time;

	nodes_start();
	if (holder == HAS_NOT_SAID_HELLO) {
		e = up_make();
		node_answers(&node); /* what comes later is heard later */
	} else {
		e = hello_make(link_open_plain(&node), tls_secret);
		if (holder == IS_HALF_WAY)
			CHECK(tls_flush(e) && tls_fill(e));
	}
	strangers_pass(holder == IS_HALF_WAY ? FLOOD_SILENT : FLOOD_WHOLE_HELLOS);
	in_time = now_ms() - began < IN_TIME_MS;
	if (in_time) {
		CHECK_EQ(tls_shake(e), 0);
		check_welcome(e);
	} else {
		tls_end(e);
	}
	node_stop(&node);
	return in_time;
}

static void strangers_throw_out_no_holder_of_the_key(void)
{
	for (enum holder holder = 0; holder < HOLDERS; holder++)
		while (!holder_stays(holder))
			;
}

static unsigned crowd_answered(const int *fds)
{
	unsigned count = 0;
	uint8_t byte;

	for (unsigned i = 0; i < CROWD; i++)
		count += recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
	return count;
}

static uint64_t requests_take(int fd)
{
	uint64_t began = now_us();

	for (unsigned i = 0; i < REQUESTS; i++)
		get_send(fd, i, i, gvm_version(1, 1), 1, GVM_NO_PAGE);
	for (unsigned i = 0; i < REQUESTS; i++)
		get_receive(fd, i, fault_noise, i, gvm_version(1, 1), 1, GVM_NO_PAGE);
	return now_us() - began;
}

/* A client that has more to do than fits a turn, beside many who ask for a handshake at once: few of them are served
 * before it is, in the best of some rounds (it may not run itself for a while). */
static void handshakes_pass_no_request(void)
{
	unsigned passed = CROWD;
	static int fds[CROWD];
	size_t len;
	int fd;

	nodes_start();
	fd = link_ready(&node, 1);
	faults_begin(fd);
	len = flood_pack(FLOOD_WHOLE_HELLOS, stranger_bytes);
	for (unsigned r = 0; r < ROUNDS && passed > CROWD / 4; r++) {
		uint64_t quiet = requests_take(fd), beside;
		unsigned before;

		for (unsigned i = 0; i < CROWD; i++)
			fds[i] = link_open_plain(&node);
		for (unsigned i = 0; i < CROWD; i++)
			link_write(fds[i], stranger_bytes, len);
		before = crowd_answered(fds);
		beside = requests_take(fd);
		passed = crowd_answered(fds) - before;
		printf("  %u requests take %llu us, beside a crowd %llu, passed by %u handshakes\n", REQUESTS,
		       (unsigned long long)quiet, (unsigned long long)beside, passed);
		for (unsigned i = 0; i < CROWD; i++)
			close(fds[i]);
	}
	CHECK(passed <= CROWD / 4);
	close(fd);
	node_stop(&node);
}

static const struct check_test tests[] = {
	{"both-ends-say-which-of-them-lacks-tls", both_ends_say_which_of_them_lacks_tls},
	{"half-done-handshakes-end-in-time", half_done_handshakes_end_in_time},
	{"what-is-no-record-ends-the-connection", what_is_no_record_ends_the_connection},
	{"floods-of-handshakes-delay-no-fault", floods_of_handshakes_delay_no_fault},
	{"strangers-throw-out-no-holder-of-the-key", strangers_throw_out_no_holder_of_the_key},
	{"handshakes-pass-no-request", handshakes_pass_no_request},
};

int main(int argc, char **argv)
{
	struct rlimit files;

	faults_prepare();
	CHECK(!getrlimit(RLIMIT_NOFILE, &files));
	files.rlim_cur = files.rlim_max;
	CHECK(!setrlimit(RLIMIT_NOFILE, &files));
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
