// SPDX-License-Identifier: GPL-2.0-or-later
/* node_load.c - many requests, many connections, slow peers, and the end of the node. */
#include "node_chunk.h"

#include <linux/sockios.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

static struct node node;
static struct answer answer;
static uint8_t noise[GVM_CHUNK_BYTES];

static void noise_fill(void)
{
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		page_fill(noise + p * GVM_PAGE_BYTES, PAGE_RANDOM);
}

struct flood {
	int fd;
	unsigned requests;
};

/* Sends without ever waiting for an answer. */
static void *flood_send(void *arg)
{
	const struct flood *f = (const struct flood *)arg;
	uint8_t frame[GVM_HDR_BYTES + 8], meta[8];

	for (unsigned i = 0; i < f->requests; i++) {
		if (i % 3) {
			get_send(f->fd, i, i % 16, gvm_version(1, 1), ~0u,
				 i % 2 ? GVM_NO_PAGE : (uint8_t)(i % 32));
		} else {
			gvm_store_le(meta, i, 8);
			link_write(f->fd, frame, frame_pack(frame, GVM_OP_PING, i, meta, 8, NULL, 0));
		}
	}
	return NULL;
}

static void every_pipelined_request_is_answered(void)
{
	enum { REQUESTS = 6000 };
	static uint8_t answered[REQUESTS];
	struct flood f = {.requests = REQUESTS};
	unsigned left = REQUESTS;
	pthread_t sender;

	node_start(&node, "64M", NULL);
	f.fd = link_ready(&node, 1);
	region_make(f.fd, 16);
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(chunk_put(f.fd, noise, i, gvm_version(1, 1), 0, ~0u), GVM_OK);
	CHECK(!pthread_create(&sender, NULL, flood_send, &f));
	while (left) {
		CHECK(frame_receive(f.fd, &answer));
		CHECK_EQ(answer.hdr.status, GVM_OK);
		CHECK(answer.hdr.tag < REQUESTS && !answered[answer.hdr.tag]);
		if (answer.hdr.flags & GVM_FLAG_MORE)
			continue;
		answered[answer.hdr.tag] = 1;
		left--;
	}
	pthread_join(sender, NULL);
	CHECK_EQ(link_stat(f.fd).gets, REQUESTS * 2 / 3);
	close(f.fd);
	node_stop(&node);
}

/* The blocks of a GET's answer carry the hashes that they were put with. */
static void answer_verify(void)
{
	struct chunk_head head;

	CHECK_EQ(answer.hdr.status, GVM_OK);
	CHECK(!chunk_head_unpack(&head, answer.meta + 8, answer.hdr.meta_len - 8u));
	CHECK(!chunk_verify(&head, answer.data, &chunk_region, answer.hdr.tag));
}

/*
 * Readers that ask for everything and take nothing: another client works on, every promised PUT
 * succeeds though what it replaces is being sent, and the node's memory stays bounded.
 */
static void stalled_readers_hurt_nobody(void)
{
	enum { READERS = 20, CHUNKS = 200, ASKED = 900 };
	struct gvm_node_stat_rsp stat;
	int readers[READERS], fd;
	uint64_t seq = 1;

	node_start(&node, "28M", NULL);
	fd = link_ready(&node, 1);
	region_make(fd, CHUNKS);
	for (unsigned i = 0; i < CHUNKS; i++)
		CHECK_EQ(chunk_put(fd, noise, i, gvm_version(1, seq), 0, ~0u), GVM_OK);
	for (unsigned r = 0; r < READERS; r++) {
		struct timeval soon = {.tv_usec = 1000};

		readers[r] = link_ready(&node, 2 + r);
		/* Until the node stops taking requests. */
		setsockopt(readers[r], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
		for (unsigned i = 0; i < ASKED; i++) {
			struct gvm_get_req what = {.region = chunk_region,
						   .chunk = (i * 7 + r) % CHUNKS,
						   .page_mask = ~0u,
						   .want_page = GVM_NO_PAGE};
			uint8_t meta[GVM_META_MAX], frame[256];
			size_t len = frame_pack(frame, GVM_OP_GET, what.chunk, meta,
						gvm_get_req_pack(&what, meta), NULL, 0);

			if (send(readers[r], frame, len, MSG_NOSIGNAL) != (ssize_t)len)
				break;
		}
	}
	for (unsigned round = 0; round < 3; round++) {
		seq++;
		noise_fill();
		for (unsigned i = 0; i < CHUNKS; i++)
			CHECK_EQ(chunk_put(fd, noise, i, gvm_version(1, seq), 0, ~0u), GVM_OK);
		for (unsigned i = 0; i < CHUNKS; i += 10)
			chunk_get(fd, noise, i, gvm_version(1, seq), ~0u, (uint8_t)(i % 32));
	}
	stat = link_stat(fd);
	CHECK_EQ(stat.chunks, CHUNKS);
	/* Where the node has not given up on them yet, their answers are the old content, untouched by
	 * the PUTs since. */
	for (unsigned r = 0; r < 3; r++)
		for (unsigned i = 0; i < 5 && frame_receive(readers[r], &answer); i++)
			answer_verify();
	for (unsigned r = 0; r < READERS; r++)
		close(readers[r]);
	node_answers(&node);
	close(fd);
	node_stop(&node);
}

/* What nobody waits for does not delay what somebody does. */
static void waited_for_page_passes_read_ahead(void)
{
	enum { AHEAD = 150, URGENT = 1000 };
	unsigned before = 0, after = 0;
	bool seen = false;
	int fd;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 1);
	region_make(fd, 16);
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(chunk_put(fd, noise, i, gvm_version(1, 1), 0, ~0u), GVM_OK);
	for (unsigned i = 0; i < AHEAD; i++) /* more than the sockets take */
		get_send(fd, i, i % 16, gvm_version(1, 1), ~0u, GVM_NO_PAGE);
	get_send(fd, URGENT, 3, gvm_version(1, 1), ~0u, 7);
	while (before + after < AHEAD) {
		CHECK(frame_receive(fd, &answer));
		CHECK_EQ(answer.hdr.status, GVM_OK);
		if (answer.hdr.tag == URGENT)
			seen = true;
		else if (seen)
			after++;
		else
			before++;
	}
	CHECK(seen && after >= 3);
	close(fd);
	node_stop(&node);
}

#ifndef __SANITIZE_ADDRESS__ /* which ends a process that gets none */
/* False: the connection ended instead. */
static bool frame_try(int fd, uint8_t op, const uint8_t *meta, size_t meta_len)
{
	uint8_t frame[GVM_HDR_BYTES + GVM_META_MAX];
	size_t len = frame_pack(frame, op, 1, meta, meta_len, NULL, 0);

	return send(fd, frame, len, MSG_NOSIGNAL) == (ssize_t)len && frame_receive(fd, &answer);
}

/* The kernel gives the node no more memory: a client that does not read is disconnected, and the node goes on. */
static void answers_without_memory_end_their_connection(void)
{
	enum { READERS = 4, ASKED = 200 };
	static uint8_t record[60000];
	struct timeval soon = {.tv_sec = 1};
	struct gvm_name_list_req what = {.round = 0};
	uint8_t meta[GVM_META_MAX], frame[256];
	struct gvm_hello_req hello = {.version_min = GVM_VERSION, .version_max = GVM_VERSION, .client = 9};
	struct rlimit before, limit;
	uint64_t until = now_ms() + 30000;
	int readers[READERS], fd;
	bool served;

	node_start(&node, "16M", NULL);
	if (node.tls) { /* whose clients would have to prove themselves again */
		node_stop(&node);
		return;
	}
	CHECK(!getrlimit(RLIMIT_AS, &before));
	limit = before;
	limit.rlim_cur = (node_status_kib(&node, "VmSize") << 10) + (2u << 20);
	node_stop(&node);
	CHECK(!setrlimit(RLIMIT_AS, &limit)); /* for what is started now */
	node_start(&node, "16M", NULL);
	CHECK(!setrlimit(RLIMIT_AS, &before));
	fd = link_ready(&node, 1);
	for (uint8_t i = 1; i <= 2; i++) {
		struct gvm_name_put_req put = {.key = {{i}}, .table = 1, .born = 1, .version = 1};

		CHECK_EQ(frame_call(fd, GVM_OP_NAME_PUT, meta, gvm_name_put_req_pack(&put, meta), record,
				    sizeof(record), &answer),
			 GVM_OK);
	}
	for (unsigned r = 0; r < READERS; r++)
		readers[r] = link_ready(&node, 2 + r);
	for (unsigned r = 0; r < READERS; r++) {
		setsockopt(readers[r], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
		for (unsigned i = 0; i < ASKED; i++) {
			size_t len = frame_pack(frame, GVM_OP_NAME_LIST, i, meta,
						gvm_name_list_req_pack(&what, meta), NULL, 0);

			if (send(readers[r], frame, len, MSG_NOSIGNAL) != (ssize_t)len)
				break;
		}
	}
	node_log_wait(&node, "out of memory");
	close(fd);
	for (unsigned r = 0; r < READERS; r++)
		close(readers[r]);
	/* Until the node has seen that they are gone, this one may meet the same end. */
	do {
		CHECK(now_ms() < until);
		fd = link_open(&node);
		served = frame_try(fd, GVM_OP_HELLO, meta, gvm_hello_req_pack(&hello, meta)) &&
			 frame_try(fd, GVM_OP_NAME_LIST, meta, gvm_name_list_req_pack(&what, meta));
		close(fd);
	} while (!served);
	CHECK_EQ(answer.hdr.status, GVM_OK);
	CHECK(answer.hdr.data_len > 2 * sizeof(record));
	node_stop(&node);
}
#endif

#ifdef __SANITIZE_ADDRESS__
#define LINK_TLS_KIB 300 /* it surrounds each piece of memory with some of its own */
#else
#define LINK_TLS_KIB 40
#endif

static void idle_connections_cost_little(void)
{
	enum { LINKS = 900 };
	static int fds[LINKS];
	unsigned long before;

	node_asan_keeps_little();
	node_start(&node, "64M", NULL);
	node_answers(&node);
	before = node_status_kib(&node, "VmRSS");
	for (unsigned i = 0; i < LINKS; i++)
		fds[i] = link_ready(&node, i + 1);
	CHECK_EQ(link_stat(fds[0]).clients, LINKS);
	CHECK(node_status_kib(&node, "VmRSS") - before < LINKS * (node.tls ? LINK_TLS_KIB : 16));
	for (unsigned i = 0; i < LINKS; i++) {
		CHECK_EQ(link_call(fds[i], &answer, GVM_OP_PING, ping, i), GVM_OK);
		close(fds[i]);
	}
	node_stop(&node);
}

static void connection_that_ends_in_the_middle_leaves_nothing(void)
{
	struct gvm_node_stat_rsp stat;
	int fd, other;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 1);
	region_make(fd, 16);
	CHECK_EQ(chunk_put(fd, noise, 0, gvm_version(1, 1), 0, ~0u), GVM_OK);
	for (unsigned i = 0; i < 200; i++) {
		size_t len = put_pack(put_frame, 1, noise, 0, gvm_version(1, 2 + i), 0, ~0u);

		other = link_ready(&node, 1);
		get_send(other, 1, 0, 0, ~0u, 3);
		link_write(other, put_frame, len * (1 + i) / 250);
		close(other);
	}
	node_answers(&node);
	chunk_get(fd, noise, 0, gvm_version(1, 1), ~0u, 0);
	stat = link_stat(fd);
	CHECK_EQ(stat.chunks, 1);
	close(fd);
	node_stop(&node);
}

/* Returns when the node's kernel has all that was sent: what is still on its way has not arrived. */
static void arrived_wait(int fd)
{
	int bytes = -1;

	while (ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes)
		usleep(1000);
	CHECK_EQ(bytes, 0);
}

static void sigterm_answers_what_has_arrived(void)
{
	enum { PUTS = 100 };
	char line[128];
	unsigned done = 0;
	int fd, idle;

	node_start(&node, "64M", NULL);
	idle = link_ready(&node, 2);
	fd = link_ready(&node, 1);
	region_make(fd, PUTS);
	for (unsigned i = 0; i < PUTS; i++) {
		size_t len = put_pack(put_frame, i, noise, i, gvm_version(1, 1), 0, ~0u);

		if (i <= PUTS / 2)
			link_write(fd, put_frame, len);
		else if (send(fd, put_frame, len, MSG_NOSIGNAL) != (ssize_t)len)
			break;
		if (i == PUTS / 2) {
			arrived_wait(fd);
			kill(node.pid, SIGTERM);
		}
	}
	while (frame_receive(fd, &answer)) {
		CHECK_EQ(answer.hdr.status, GVM_OK);
		done++;
	}
	CHECK(done > PUTS / 2 || node.tls); /* (where the kernel does not say what has arrived) */
	CHECK(link_ended(idle));
	CHECK_EQ(node_wait(&node), 0);
	/* Every PUT that it holds was acknowledged, and the other way round. */
	snprintf(line, sizeof(line), "ends, and with it 1 regions with %u chunks", done);
	if (!strstr(node.log, line)) {
		fprintf(stderr, "%u PUTs were acknowledged, and the node said:\n%s", done, node.log);
		exit(1);
	}
	close(fd);
	close(idle);
}

static void sigterm_does_not_wait_for_ever(void)
{
	int fd;

	node_start(&node, "64M", NULL);
	fd = link_ready(&node, 1);
	region_make(fd, 16);
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(chunk_put(fd, noise, i, gvm_version(1, 1), 0, ~0u), GVM_OK);
	for (unsigned i = 0; i < 400; i++) /* and then takes nothing */
		get_send(fd, i, i % 16, gvm_version(1, 1), ~0u, GVM_NO_PAGE);
	node_stop(&node);
	close(fd);
}

static void hangup_ends_it_unless_ignored(void)
{
	signal(SIGHUP, SIG_IGN); /* as nohup(1) does; inherited */
	node_start(&node, "16M", NULL);
	signal(SIGHUP, SIG_DFL);
	kill(node.pid, SIGHUP);
	usleep(20000);
	node_answers(&node);
	node_stop(&node);
	node_start(&node, "16M", NULL);
	kill(node.pid, SIGHUP);
	CHECK_EQ(node_wait(&node), 0);
	CHECK(strstr(node.log, "ends, and with it"));
}

static const struct check_test tests[] = {
	{"every-pipelined-request-is-answered", every_pipelined_request_is_answered},
	{"stalled-readers-hurt-nobody", stalled_readers_hurt_nobody},
	{"waited-for-page-passes-read-ahead", waited_for_page_passes_read_ahead},
#ifndef __SANITIZE_ADDRESS__
	{"answers-without-memory-end-their-connection", answers_without_memory_end_their_connection},
#endif
	{"idle-connections-cost-little", idle_connections_cost_little},
	{"connection-that-ends-in-the-middle-leaves-nothing",
	 connection_that_ends_in_the_middle_leaves_nothing},
	{"sigterm-answers-what-has-arrived", sigterm_answers_what_has_arrived},
	{"hangup-ends-it-unless-ignored", hangup_ends_it_unless_ignored},
	{"sigterm-does-not-wait-for-ever", sigterm_does_not_wait_for_ever},
};

int main(int argc, char **argv)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	noise_fill();
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
