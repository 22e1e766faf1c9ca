// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * node_overload.c - floods of one client beside the faults of another: requests, connections, readers that take nothing.
 *
 * What is asserted does not depend on how fast the machine is: a client that asks for one page at a time is not passed by
 * more than a few requests of each flooding connection, and the node's memory stays below what it lends and its bound.
 */
#include "node_faults.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define FLOODERS   64u
#define BURST	   40u
#define FRAME_MAX  (GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX)
#define ROUNDS	   3u
#define PASSED_MAX FLOODERS	/* requests of all of them that are answered between two of ours */
#define NAMES	   40u		/* of the largest records */
#define BOUND_KIB  (160u << 10) /* beyond what the node lends: buffers and answers of all connections */

enum flood_kind {
	FLOOD_GETS,
	FLOOD_PUTS,
	FLOOD_SILENT_GETS,
	FLOOD_TRICKLE_GETS, /* of a page; of the answers a byte is taken now and then */
	FLOOD_LOOKS,
	FLOOD_SILENT_LISTS, /* of names: a small request, and the largest answer */
};

static struct node node;

/* One connection's requests, again and again, never in the middle of a frame at the end of the buffer. */
struct flooder {
	int fd;
	const uint8_t *bytes;
	size_t len, at;
};

static size_t look_pack(uint8_t *buf, uint64_t tag)
{
	struct gvm_region_open_req look = {.region = chunk_region};
	uint8_t meta[GVM_META_MAX];

	return frame_pack(buf, GVM_OP_REGION_OPEN, tag, meta, gvm_region_open_req_pack(&look, meta), NULL, 0);
}

static size_t list_pack(uint8_t *buf, uint64_t tag)
{
	struct gvm_name_list_req list = {.round = 0};
	uint8_t meta[GVM_META_MAX];

	return frame_pack(buf, GVM_OP_NAME_LIST, tag, meta, gvm_name_list_req_pack(&list, meta), NULL, 0);
}

static size_t burst_pack(enum flood_kind kind, uint8_t *buf, uint64_t client)
{
	size_t len = 0;

	for (unsigned i = 0; i < (kind == FLOOD_PUTS ? 2 : BURST); i++) {
		struct gvm_get_req get = {.region = chunk_region, .chunk = i % FAULT_CHUNKS,
					  .page_mask = kind == FLOOD_TRICKLE_GETS ? 1u : ~0u, .want_page = GVM_NO_PAGE};
		uint8_t meta[GVM_META_MAX];

		if (kind == FLOOD_LOOKS)
			len += look_pack(buf + len, i);
		else if (kind == FLOOD_SILENT_LISTS)
			len += list_pack(buf + len, i);
		else if (kind != FLOOD_PUTS)
			len += frame_pack(buf + len, GVM_OP_GET, i, meta, gvm_get_req_pack(&get, meta), NULL, 0);
		else /* of no effect, but for the node's work: the version is held */
			len += put_pack(buf + len, i, fault_noise, client % FAULT_CHUNKS, gvm_version(1, 1), 0, ~0u);
	}
	return len;
}

/* `takes`: so many bytes of answers. */
static void flooder_turn(struct flooder *f, size_t takes)
{
	static uint8_t bin[256 << 10];
	ssize_t n;

	if (takes && recv(f->fd, bin, takes < sizeof(bin) ? takes : sizeof(bin), MSG_DONTWAIT) == 0)
		_exit(0);
	n = send(f->fd, f->bytes + f->at, f->len - f->at, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		f->at = (f->at + (size_t)n) % f->len;
}

/* A process with that many connections, each of which always has requests under way. */
static pid_t flood_begin(enum flood_kind kind, unsigned flooders)
{
	bool silent = kind == FLOOD_SILENT_GETS || kind == FLOOD_SILENT_LISTS, slow = silent || kind == FLOOD_TRICKLE_GETS;
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT}, events[FLOODERS];
	struct flooder *all;
	uint8_t *bytes;
	pid_t pid = child_fork();
	int poll;

	if (pid)
		return pid;
	all = calloc(flooders, sizeof(*all));
	bytes = malloc(BURST * FRAME_MAX);
	poll = epoll_create1(0);
	for (unsigned i = 0; i < flooders; i++) {
		all[i] = (struct flooder){.fd = link_ready(&node, 1), .bytes = bytes};
		all[i].len = burst_pack(kind, bytes, i);
		event.data.ptr = &all[i];
		epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
	}
	for (;;) {
		int n = epoll_wait(poll, events, FLOODERS, -1);

		for (int i = 0; i < n; i++)
			flooder_turn(events[i].data.ptr, silent ? 0 : slow ? 1 : SIZE_MAX);
		if (slow)
			usleep(1000);
	}
}

static void flood_end(pid_t pid)
{
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static void names_fill(int fd)
{
	static uint8_t record[GVM_RECORD_MAX];
	static struct answer answer;

	for (unsigned i = 0; i < NAMES; i++) {
		struct gvm_name_put_req name = {.key = {{1, (uint8_t)i}}, .table = 1, .born = 1 + i, .version = 1 + i};
		uint8_t meta[GVM_META_MAX];

		CHECK_EQ(frame_call(fd, GVM_OP_NAME_PUT, meta, gvm_name_put_req_pack(&name, meta), record, sizeof(record), &answer),
			 GVM_OK);
	}
}

static int begin(void)
{
	int fd;

	node_asan_keeps_little();
	node_start(&node, "32M", NULL);
	fd = link_ready(&node, 1);
	faults_begin(fd);
	names_fill(fd);
	return fd;
}

static void flood_passes(enum flood_kind kind, const char *what)
{
	/* (A page is a small part of a chunk: more of these are answered in one turn of a connection. Of looks it is as many
	 * as a turn has, and one receive brings several turns'.) */
	const uint64_t passed_max = kind == FLOOD_TRICKLE_GETS ? 4 * PASSED_MAX : kind == FLOOD_LOOKS ? 16 * PASSED_MAX : PASSED_MAX;
	uint8_t frame[GVM_HDR_BYTES + GVM_META_MAX];
	uint64_t passed = UINT64_MAX, before;
	int fd = begin();
	pid_t flood;

	CHECK_EQ(faults(fd, "quiet"), 0);
	fault_flood_bytes = kind == FLOOD_LOOKS ? look_pack(frame, 0) : kind == FLOOD_SILENT_LISTS ? list_pack(frame, 0) : 0;
	before = faults_answered(fd);
	flood = flood_begin(kind, FLOODERS);
	while (link_stat(fd).clients <= FLOODERS)
		usleep(10000);
	while (fault_flood_bytes && faults_answered(fd) < before + FLOODERS)
		usleep(10000);
	usleep(100000);
	for (unsigned i = 0; i < ROUNDS && passed > passed_max; i++)
		passed = faults(fd, what);
	CHECK(passed <= passed_max);
	printf("  the node takes %lu MiB at most\n", node_status_kib(&node, "VmHWM") >> 10);
	CHECK(node_status_kib(&node, "VmHWM") < (32u << 10) + BOUND_KIB);
	flood_end(flood);
	fault_flood_bytes = 0;
	close(fd);
	node_stop(&node);
}

static void gets_of_many_do_not_pass_a_fault(void)
{
	flood_passes(FLOOD_GETS, "beside a flood of GETs");
}

static void puts_of_many_do_not_pass_a_fault(void)
{
	flood_passes(FLOOD_PUTS, "beside a flood of PUTs");
}

static void readers_that_take_nothing_do_not_pass_a_fault(void)
{
	flood_passes(FLOOD_SILENT_GETS, "beside readers that take nothing");
}

static void readers_of_a_byte_now_and_then_do_not_pass_a_fault(void)
{
	flood_passes(FLOOD_TRICKLE_GETS, "beside readers that take a byte now and then");
}

static void looks_of_many_do_not_pass_a_fault(void)
{
	flood_passes(FLOOD_LOOKS, "beside a flood of looks");
}

static void lists_that_nobody_takes_need_bounded_memory(void)
{
	flood_passes(FLOOD_SILENT_LISTS, "beside lists that nobody takes");
}

/* Connections that come and go, and others that say nothing and come again when they are closed. */
static void connections_of_many_do_not_stop_a_fault(void)
{
	int fd = begin(), silent[300];
	pid_t flood;

	faults(fd, "quiet");
	flood = child_fork();
	if (!flood) {
		for (unsigned i = 0; i < 300; i++)
			silent[i] = link_open(&node);
		for (unsigned i = 0;; i = (i + 1) % 300) {
			close(silent[i]);
			silent[i] = link_open(&node);
			close(link_open(&node));
		}
	}
	faults_are_quick(fd, "beside a flood of connections");
	CHECK(node_status_kib(&node, "VmHWM") < (32u << 10) + BOUND_KIB);
	flood_end(flood);
	close(fd);
	node_stop(&node);
}

static const struct check_test tests[] = {
	{"gets-of-many-do-not-pass-a-fault", gets_of_many_do_not_pass_a_fault},
	{"puts-of-many-do-not-pass-a-fault", puts_of_many_do_not_pass_a_fault},
	{"readers-that-take-nothing-do-not-pass-a-fault", readers_that_take_nothing_do_not_pass_a_fault},
	{"readers-of-a-byte-now-and-then-do-not-pass-a-fault", readers_of_a_byte_now_and_then_do_not_pass_a_fault},
	{"looks-of-many-do-not-pass-a-fault", looks_of_many_do_not_pass_a_fault},
	{"lists-that-nobody-takes-need-bounded-memory", lists_that_nobody_takes_need_bounded_memory},
	{"connections-of-many-do-not-stop-a-fault", connections_of_many_do_not_stop_a_fault},
};

int main(int argc, char **argv)
{
	faults_prepare();
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
