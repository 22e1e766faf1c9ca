// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a fault of the fast path cannot do without: a page that another process copies in, an
 * exchange over TCP with a third, a page that is decoded; and for a chunk that is here, mapping it.
 *
 * The fault handler polls for more faults for a while before it sleeps, and so does the process that
 * waits for the answer, as gvmfs does; the server that answers sleeps in recv(), as a node does in epoll.
 */
#include "parts.h"

#include "child.h"
#include "data.h"
#include "exchange.h"
#include "memnode/codec.h"
#include "memnode/gvm_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_NS	      60000ull
#define STALL_MS      10000
#define REQUEST_BYTES 64u
#define SLOT_BYTES    (SLOT_PAGES * PAGE_BYTES)
#define CHUNK_BYTES   ((uint64_t)GVM_CHUNK_BYTES)

/* The other process: it ends with us, whatever happens. */
static pid_t helper_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

static void helper_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- userfaultfd */

struct memory {
	int uffd;
	uint8_t *map;
	uint64_t bytes;
	bool minor; /* all of it is there, and is to be mapped; else it comes by copying */
};

static int memory_make(struct memory *m)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MISSING_SHMEM};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = memfd_create("gvm-bench", MFD_CLOEXEC);

	if (m->minor) {
		api.features |= UFFD_FEATURE_MINOR_SHMEM;
		reg.mode |= UFFDIO_REGISTER_MODE_MINOR;
	}
	if (fd < 0 || ftruncate(fd, (off_t)m->bytes))
		return -errno;
	m->map = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->map == MAP_FAILED)
		return -errno;
	madvise(m->map, m->bytes, MADV_NOHUGEPAGE);
	if (m->minor) {
		/* it has been in use: there are page tables, just without entries */
		bench_data_fill(m->map, m->bytes, 1);
		madvise(m->map, m->bytes, MADV_DONTNEED);
	}
	m->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	reg.range.start = (uintptr_t)m->map;
	reg.range.len = m->bytes;
	if (m->uffd < 0 || ioctl(m->uffd, UFFDIO_API, &api) ||
	    ioctl(m->uffd, UFFDIO_REGISTER, &reg))
		return -errno;
	close(fd);
	return 0;
}

static void fault_serve(const struct memory *m, uint64_t address, const uint8_t *page)
{
	struct uffdio_copy copy = {
		.dst = address & ~(PAGE_BYTES - 1), .src = (uintptr_t)page, .len = PAGE_BYTES};
	struct uffdio_continue cont = {.range.len = CHUNK_BYTES};

	cont.range.start = address - (address - (uintptr_t)m->map) % CHUNK_BYTES;
	while (ioctl(m->uffd, m->minor ? UFFDIO_CONTINUE : UFFDIO_COPY,
		     m->minor ? (void *)&cont : (void *)&copy) &&
	       errno == EAGAIN)
		;
}

__attribute__((noreturn)) static void handler_main(const struct memory *m)
{
	static uint8_t page[PAGE_BYTES];
	struct pollfd p = {m->uffd, POLLIN, 0};
	struct uffd_msg msg;
	uint64_t last = 0;

	bench_data_fill(page, PAGE_BYTES, 1);
	for (;;) {
		if (read(m->uffd, &msg, sizeof(msg)) == sizeof(msg)) {
			if (msg.event == UFFD_EVENT_PAGEFAULT)
				fault_serve(m, msg.arg.pagefault.address, page);
			last = gvm_now_ns();
		} else if (gvm_now_ns() - last > LOOK_NS) {
			poll(&p, 1, -1);
		}
	}
}

/* Touches a page in each of `count` pieces, in random order: the median in us. */
static int memory_touch(struct memory *m, uint64_t piece_bytes, struct touch *t, double *us)
{
	uint64_t state = t->seed, *latency = t->answer->latency_ns;
	uint32_t *order;
	pid_t pid;
	int rc;

	m->bytes = t->faults * piece_bytes;
	rc = memory_make(m);
	if (rc)
		return rc;
	order = order_make(t->faults, &state);
	pid = order ? helper_fork() : -1;
	if (pid == 0)
		handler_main(m);
	if (pid < 0)
		return -ENOMEM;
	for (unsigned i = 0; i < t->faults; i++) {
		uint64_t pages = piece_bytes / PAGE_BYTES;
		uint64_t page = order[i] * pages + bench_random(&state) % pages,
			 from = gvm_now_ns();

		(void)*(const volatile uint64_t *)(m->map + page * PAGE_BYTES);
		latency[i] = gvm_now_ns() - from;
	}
	helper_end(pid);
	free(order);
	munmap(m->map, m->bytes);
	close(m->uffd);
	*us = (double)latency_rank(latency, t->faults, 500) / 1e3;
	return 0;
}

/* ---- the exchange */

static int answer_await(int fd, uint8_t *to, uint32_t bytes)
{
	uint64_t from = gvm_now_ns();
	struct pollfd p = {fd, POLLIN, 0};

	while (bytes) {
		ssize_t n = recv(fd, to, bytes, MSG_DONTWAIT);

		if (n > 0)
			bytes -= (uint32_t)n;
		else if (n == 0)
			return -ECONNRESET;
		else if (errno != EAGAIN)
			return -errno;
		else if (gvm_now_ns() - from > LOOK_NS && poll(&p, 1, STALL_MS) == 0)
			return -ETIMEDOUT;
	}
	return 0;
}

static int exchanges(int fd, uint32_t answer_bytes, struct touch *t, double *us)
{
	uint8_t request[REQUEST_BYTES], answer[2 * PAGE_BYTES];
	int one = 1, rc = 0;

	memset(request, 'G', sizeof(request));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (unsigned i = 0; i < t->faults && !rc; i++) {
		uint64_t from = gvm_now_ns();

		if (send(fd, request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
			rc = -EIO;
		if (!rc)
			rc = answer_await(fd, answer, answer_bytes);
		t->answer->latency_ns[i] = gvm_now_ns() - from;
	}
	*us = (double)latency_rank(t->answer->latency_ns, t->faults, 500) / 1e3;
	return rc;
}

static int exchange_measure(uint32_t answer_bytes, struct touch *t, double *us)
{
	const struct bench_store s = {.get_request = REQUEST_BYTES, .get_answer = answer_bytes};
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, rc = 0;
	pid_t pid;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&at, &len))
		return -errno;
	pid = helper_fork();
	if (pid == 0)
		bench_raw_serve(listener, &s);
	if (pid < 0)
		return -EAGAIN;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
		rc = -errno;
	if (!rc)
		rc = exchanges(fd, answer_bytes, t, us);
	helper_end(pid);
	close(fd);
	close(listener);
	return rc;
}

/* ---- decoding */

/* Of other data each time: gvmfs does not decode what is in the cache, either. */
#define BLOCKS 64u

static int decode_measure(struct touch *t, double *us, uint32_t *encoded_bytes)
{
	struct chunk_codec *codec = chunk_codec_create();
	uint8_t *data = malloc(GVM_CHUNK_BYTES), *body = malloc(BLOCKS * 2 * PAGE_BYTES);
	struct chunk_head *head = calloc(BLOCKS, sizeof(*head));
	struct gvm_id id = {0};
	int rc = codec && data && body && head ? 0 : -ENOMEM;
	uint32_t got;

	for (unsigned b = 0; b < BLOCKS && !rc; b++) {
		bench_data_fill(data, PAGE_BYTES, t->seed + b);
		chunk_encode(codec, data, 1, 0, CHUNK_BLOCK_SHIFT, &id, b, &head[b],
			     body + b * 2 * PAGE_BYTES);
	}
	for (unsigned i = 0; i < t->faults && !rc; i++) {
		unsigned b = i % BLOCKS;
		uint64_t from = gvm_now_ns();

		rc = chunk_decode(codec, &head[b], body + b * 2 * PAGE_BYTES, &id, b, 1, data,
				  &got);
		t->answer->latency_ns[i] = gvm_now_ns() - from;
	}
	if (!rc) {
		*us = (double)latency_rank(t->answer->latency_ns, t->faults, 500) / 1e3;
		*encoded_bytes = head[0].body_bytes;
	}
	free(head);
	free(body);
	free(data);
	chunk_codec_destroy(codec);
	return rc;
}

/* ---- all of them, in a child */

static struct bench_parts *parts_of_child; /* in memory shared with it */

static int do_parts(struct touch *t)
{
	struct memory copied = {.uffd = -1}, mapped = {.uffd = -1, .minor = true};
	struct bench_parts *p = parts_of_child;
	uint8_t meta[GVM_META_MAX];
	struct gvm_get_rsp got = {0};
	uint32_t bytes = 0;
	int rc = memory_touch(&copied, SLOT_BYTES, t, &p->copy_us);

	if (!rc)
		rc = decode_measure(t, &p->decode_us, &bytes);
	if (!rc)
		rc = exchange_measure(GVM_HDR_BYTES + (uint32_t)gvm_get_rsp_pack(&got, meta) +
					      CHUNK_PLAIN_HEAD_BYTES(1) + bytes,
				      t, &p->exchange_us);
	if (!rc)
		rc = memory_touch(&mapped, CHUNK_BYTES, t, &p->continue_us);
	return rc;
}

int bench_parts_run(unsigned faults, uint64_t seed, struct bench_parts *parts)
{
	struct touch t = {.faults = faults, .seed = seed};
	int rc;

	parts_of_child = mmap(NULL, sizeof(*parts), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (parts_of_child == MAP_FAILED)
		return -errno;
	rc = touch_run_bare(&t, do_parts);
	*parts = *parts_of_child;
	munmap(parts_of_child, sizeof(*parts));
	touch_end(&t);
	return rc;
}
