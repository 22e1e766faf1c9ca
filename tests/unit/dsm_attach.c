// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * dsm_attach.c - a mapping is replaced as gvm_attach.h says, or stays exactly as it was.
 *
 * The client runs in a thread, and the test is gvmfs: it sees every message byte for byte, and may
 * answer as it likes. A memfd is the file.
 */
#include "dsm_rig.h"

#include <sys/wait.h>

#define SOON	   5000 /* what has to come, comes by then */
#define NEVER	   150	/* what has not come by then does not */
#define PINS_BYTES (9 * sizeof(uint32_t)) /* of 8 chunks and a bit */

static struct client {
	pthread_t thread;
	struct ram ram;
	struct region *region;
	const char *path; /* of the socket; NULL: only the conversation */
	enum dsm_mode mode;
	int deadline_ms;
	int sock; /* its end */
	int peer; /* ours */
	int listener;
	int memfd, pins, uffd;
	uint32_t *counters;
	int result;
} c;

/* ---- the kernel ---- */

static atomic_uint refusals; /* so many messages of the client find no memory */

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	unsigned left = atomic_load(&refusals);

	if (!left || fd == c.peer)
		return syscall(SYS_sendmsg, fd, msg, flags);
	atomic_store(&refusals, left - 1);
	errno = left % 2 ? ENOBUFS : ENOMEM;
	return -1;
}

/* ---- the client ---- */

static void client_prepare(bool shared)
{
	int pair[2];

	memset(&c, 0, sizeof(c));
	ram_map(&c.ram, shared);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	c.sock = pair[0];
	c.peer = pair[1];
	c.region = calloc(1, sizeof(*c.region));
	c.deadline_ms = SOON;
	c.memfd = memory_file("the memory", RAM_BYTES);
	c.pins = memory_file("the pins", PINS_BYTES);
	c.counters = mmap(NULL, PINS_BYTES, PROT_READ, MAP_SHARED, c.pins, 0);
	CHECK(c.counters != MAP_FAILED);
	c.uffd = c.listener = -1;
}

static void *client_run(void *arg)
{
	(void)arg;
	if (c.path)
		c.result = gvmfs_attach(&c.ram, c.mode, c.path);
	else
		c.result = converse(&c.ram, c.sock, c.deadline_ms, c.region);
	return NULL;
}

static void client_start(void)
{
	CHECK_EQ(pthread_create(&c.thread, NULL, client_run, NULL), 0);
}

static int client_end(void)
{
	CHECK_EQ(pthread_join(c.thread, NULL), 0);
	return c.result;
}

static void client_bind(int backlog)
{
	static char path[64];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(path, sizeof(path), "/tmp/gvm-unit-attach.%d", getpid());
	strcpy(addr.sun_path, path);
	unlink(path);
	c.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK_EQ(bind(c.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(c.listener, backlog), 0);
	c.path = path;
}

/* All of it, through a socket with a name, as in life. */
static void client_listen(void)
{
	client_bind(1);
	close(c.peer);
	client_start();
	c.peer = accept4(c.listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(c.peer >= 0);
	unlink(c.path);
}

/* ---- gvmfs's end ---- */

static void tell(const void *msg, size_t bytes, const int *fd, unsigned fds)
{
	struct iovec iov = {(void *)(uintptr_t)msg, bytes};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control = {0};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fds) {
		hdr.msg_control = control.room;
		hdr.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fd, fds * sizeof(int));
	}
	CHECK_EQ(sendmsg(c.peer, &hdr, MSG_NOSIGNAL), bytes);
}

static void tell_type(enum gvm_attach_type type, const char *text)
{
	struct gvm_attach_msg msg = of_type(type);

	strcpy(msg.text, text);
	tell(&msg, sizeof(msg), NULL, 0);
}

/* The memory, for good. */
static void tell_settle(void)
{
	struct gvm_attach_msg msg = of_type(GVM_ATTACH_SETTLE);

	tell(&msg, sizeof(msg), &c.memfd, 1);
}

static void tell_zap(uint64_t seq, uint64_t offset, uint64_t bytes)
{
	struct gvm_attach_msg msg = of_type(GVM_ATTACH_ZAP);

	msg.seq = seq;
	msg.offset = offset;
	msg.bytes = bytes;
	tell(&msg, sizeof(msg), NULL, 0);
}

static void tell_welcome(uint64_t bytes, int memfd, int pins)
{
	struct gvm_attach_msg msg = of_type(GVM_ATTACH_WELCOME);
	int fds[] = {memfd, pins};

	msg.bytes = bytes;
	tell(&msg, sizeof(msg), fds, 2);
}

static bool arrives(int within_ms)
{
	struct pollfd p = {.fd = c.peer, .events = POLLIN};

	return poll(&p, 1, within_ms) == 1;
}

/* The next message is exactly this one. Returns the descriptor that came with it, or -1. */
static int hear(const struct gvm_attach_msg *want)
{
	struct gvm_attach_msg got;
	struct iovec iov = {&got, sizeof(got)};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			     .msg_controllen = sizeof(control.room)};
	int fd = -1;

	CHECK(arrives(SOON));
	CHECK_EQ(recvmsg(c.peer, &hdr, MSG_CMSG_CLOEXEC), sizeof(got));
	CHECK_MEM(&got, want, sizeof(got));
	if (CMSG_FIRSTHDR(&hdr)) {
		CHECK_EQ(control.align.cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&fd, CMSG_DATA(&control.align), sizeof(fd));
	}
	return fd;
}

/* The end; before it, once there is a mapping of the memory, that this is no more. */
static void hear_end(void)
{
	struct gvm_attach_msg msg;
	ssize_t n;

	CHECK(arrives(SOON));
	n = recv(c.peer, &msg, sizeof(msg), 0);
	if (n == sizeof(msg)) {
		CHECK_EQ(msg.type, GVM_ATTACH_DETACHED);
		CHECK(arrives(SOON));
		n = recv(c.peer, &msg, sizeof(msg), 0);
	}
	CHECK_EQ(n, 0);
}

static void hear_hello(void)
{
	struct gvm_attach_msg msg = of_type(GVM_ATTACH_HELLO);
	struct stat st;
	int fd;

	msg.bytes = RAM_BYTES;
	fd = hear(&msg);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_ino, c.ram.st.st_ino);
	close(fd);
}

static void hear_ready(void)
{
	struct gvm_attach_msg msg = of_type(GVM_ATTACH_READY);

	msg.address = (uintptr_t)c.ram.host;
	msg.bytes = RAM_BYTES;
	msg.page_bytes = PAGE;
	c.uffd = hear(&msg);
	CHECK(c.uffd >= 0);
}

static void hear_zapped(uint64_t seq)
{
	struct gvm_attach_msg msg = of_type(GVM_ATTACH_ZAPPED);

	msg.seq = seq;
	CHECK_EQ(hear(&msg), -1);
}

static void hear_pin_all(const char *why)
{
	struct gvm_attach_msg msg = of_type(GVM_ATTACH_PIN_ALL);

	strcpy(msg.text, why);
	CHECK_EQ(hear(&msg), -1);
}

static void up_to_ready(void)
{
	hear_hello();
	tell_welcome(RAM_BYTES, c.memfd, c.pins);
	hear_ready();
}

static void attach_for_real(void)
{
	client_prepare(true);
	client_listen();
	up_to_ready();
	tell_type(GVM_ATTACH_GO, "");
	CHECK_EQ(client_end(), 1);
}

/* ---- memory ---- */

static void *touch(void *arg)
{
	++*(uint8_t *)arg;
	return NULL;
}

/* Adds 1 to a byte of the guest, whose fault is served once: with a page of 41s, or with what the
 * memfd has. */
static void touch_served(size_t offset, bool minor)
{
	struct pollfd p = {.fd = c.uffd, .events = POLLIN};
	uintptr_t page = (uintptr_t)c.ram.host + offset / PAGE * PAGE;
	struct uffd_msg fault;
	uint8_t data[PAGE];
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, touch, c.ram.host + offset), 0);
	CHECK_EQ(poll(&p, 1, SOON), 1);
	CHECK_EQ(read(c.uffd, &fault, sizeof(fault)), sizeof(fault));
	CHECK_EQ(fault.event, UFFD_EVENT_PAGEFAULT);
	CHECK_EQ(fault.arg.pagefault.address / PAGE * PAGE, page);
	CHECK_EQ(!!(fault.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR), minor);
	if (minor) {
		struct uffdio_continue more = {.range = {page, PAGE}};

		CHECK_EQ(ioctl(c.uffd, UFFDIO_CONTINUE, &more), 0);
	} else {
		struct uffdio_copy copy = {.dst = page, .src = (uintptr_t)data, .len = PAGE};

		memset(data, 41, PAGE);
		CHECK_EQ(ioctl(c.uffd, UFFDIO_COPY, &copy), 0);
	}
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static uint8_t memfd_byte(size_t offset)
{
	uint8_t byte;

	CHECK_EQ(pread(c.memfd, &byte, 1, (off_t)offset), 1);
	return byte;
}

static bool memfd_empty(void)
{
	struct stat st;

	CHECK_EQ(fstat(c.memfd, &st), 0);
	return st.st_blocks == 0;
}

/* The mapping is the file's again, shared or private as it was, and may be written. */
static void check_as_before(void)
{
	char text[12];

	CHECK(memfd_empty());
	CHECK(!strcmp((char *)c.ram.host, "in the file"));
	c.ram.host[0] = 'I';
	CHECK_EQ(pread(c.ram.fd, text, 12, 0), 12);
	CHECK_EQ(text[0], c.ram.shared ? 'I' : 'i');
	c.ram.host[RAM_BYTES - 1] = 1;
	CHECK(!c.ram.lost);
}

static void client_free(void)
{
	const int fds[] = {c.sock, c.peer, c.listener, c.memfd, c.pins, c.uffd};

	ram_unmap(&c.ram);
	munmap(c.counters, PINS_BYTES);
	free(c.region);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static void check_fails(int err, const char *why)
{
	CHECK_EQ(client_end(), err);
	CHECK(strstr(c.ram.why, why));
	check_as_before();
	client_free();
}

static void client_detach(void)
{
	CHECK_EQ(dsm_ram_detach(c.ram.host, RAM_BYTES), 0);
	client_free();
}

static unsigned fds_open(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static unsigned pins_mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned count = 0;
	char line[256];

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		count += strstr(line, "the pins") != NULL;
	fclose(f);
	return count;
}

static bool accessible(const void *p)
{
	int fds[2];
	bool good;

	CHECK_EQ(pipe2(fds, O_NONBLOCK), 0);
	good = write(fds[1], p, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	return good;
}

/* ---- the conversation ---- */

static void hello_to_go_is_as_written(void)
{
	client_prepare(true);
	client_start();
	up_to_ready();
	CHECK(memfd_empty());
	tell_type(GVM_ATTACH_GO, "");
	CHECK_EQ(client_end(), 0);
	CHECK(!arrives(0));
	replace_undo(&c.ram, c.region, true);
	pins_unmap(c.region);
	check_as_before();
	client_free();
}

static void a_failure_leaves_all_as_it_was(void)
{
	struct gvm_attach_msg msg;
	unsigned before = fds_open(), pins = pins_mapped();

	for (int shared = 0; shared < 2; shared++) {
		client_prepare(shared);
		client_start();
		hear_hello();
		msg = of_type(GVM_ATTACH_REFUSE);
		msg.error = -EBUSY;
		strcpy(msg.text, "open\033 elsewhere");
		tell(&msg, sizeof(msg), NULL, 0);
		check_fails(-EBUSY, "refuses: open? elsewhere");

		client_prepare(shared);
		client_start();
		up_to_ready();
		msg.error = -ENOMEM;
		tell(&msg, sizeof(msg), NULL, 0);
		check_fails(-ENOMEM, "refuses");

		client_prepare(shared);
		client_start();
		up_to_ready();
		close(c.peer);
		c.peer = -1;
		check_fails(-ECONNRESET, "gone");

		client_prepare(shared);
		client_start();
		up_to_ready();
		tell_zap(1, 0, PAGE);
		check_fails(-EPROTO, "out of turn");
	}
	CHECK_EQ(fds_open(), before);
	CHECK_EQ(pins_mapped(), pins);
}

static void silence_has_an_end(void)
{
	int sock[2];

	client_prepare(true);
	c.deadline_ms = 100;
	client_start();
	hear_hello();
	check_fails(-ETIMEDOUT, "does not answer");

	client_prepare(true);
	c.deadline_ms = 200;
	client_start();
	up_to_ready();
	check_fails(-ETIMEDOUT, "does not answer");

	/* nobody accepts, and no more connections are kept waiting */
	client_prepare(true);
	client_bind(0);
	for (int i = 0; i < 2; i++) {
		sock[i] = attach_connect(&c.ram, c.path, 100);
		CHECK_EQ(sock[i] < 0, i > 0);
	}
	CHECK_EQ(sock[1], -EAGAIN);
	close(sock[0]);
	unlink(c.path);
	client_free();
}

static void garbage_is_refused(void)
{
	unsigned before = fds_open();
	char bytes[512];

	for (int i = 0; i < 200; i++) {
		client_prepare(true);
		client_start();
		hear_hello();
		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (char)check_random();
		tell(bytes, 1 + check_random_below(sizeof(bytes)), &c.memfd, i % 2);
		check_fails(-EPROTO, "unexpected message");
	}
	client_prepare(true);
	client_start();
	hear_hello();
	tell(bytes, sizeof(bytes), (int[4]){c.memfd, c.memfd, c.memfd, c.memfd}, 4);
	check_fails(-EPROTO, "unexpected message");
	CHECK_EQ(fds_open(), before);
}

static void a_welcome_has_to_fit(void)
{
	client_prepare(true);
	client_start();
	hear_hello();
	tell_welcome(RAM_BYTES + PAGE, c.memfd, c.pins);
	check_fails(-EPROTO, "another size");

	client_prepare(true);
	CHECK_EQ(ftruncate(c.memfd, RAM_BYTES - 1), 0);
	client_start();
	hear_hello();
	tell_welcome(RAM_BYTES, c.memfd, c.pins);
	check_fails(-EPROTO, "memory is too short");

	client_prepare(true);
	CHECK_EQ(ftruncate(c.pins, 8 * sizeof(uint32_t)), 0);
	client_start();
	hear_hello();
	tell_welcome(RAM_BYTES, c.memfd, c.pins);
	check_fails(-EPROTO, "pins is too short");

	client_prepare(true);
	client_start();
	hear_hello();
	tell_welcome(RAM_BYTES, c.ram.fd, c.listener >= 0 ? c.listener : 0);
	check_fails(-EPROTO, "too short");
}

/* ---- a life ---- */

static void zapped_memory_comes_back(void)
{
	unsigned before = fds_open();

	attach_for_real();
	touch_served(3 * PAGE + 5, false);
	CHECK_EQ(memfd_byte(3 * PAGE + 5), 42);
	CHECK_EQ(memfd_byte(3 * PAGE + 4), 41);
	tell_zap(7, 0, M);
	hear_zapped(7);
	touch_served(3 * PAGE + 5, true);
	CHECK_EQ(memfd_byte(3 * PAGE + 5), 43);
	tell_type(GVM_ATTACH_GO, ""); /* of a successor */
	tell_zap(8, RAM_BYTES - PAGE, PAGE);
	tell_zap(9, 0, RAM_BYTES);
	hear_zapped(8);
	hear_zapped(9);

	CHECK_EQ(c.counters[0], 0);
	dsm_pin(c.ram.host + CHUNK - 1, 2);
	CHECK_EQ(c.counters[0], 1);
	CHECK_EQ(c.counters[1], 1);

	CHECK_EQ(dsm_ram_detach(c.ram.host, PAGE), -EINVAL);
	CHECK(dsm_ram_covers(c.ram.host, 1));
	CHECK_EQ(dsm_ram_detach(c.ram.host - PAGE, RAM_BYTES + 2 * PAGE), 0);
	CHECK(!dsm_ram_covers(c.ram.host, RAM_BYTES));
	hear_end();
	CHECK(!accessible(c.ram.host));
	client_free();
	CHECK_EQ(fds_open(), before);
}

static void a_settled_guest_needs_nobody(void)
{
	const struct gvm_attach_msg settled = of_type(GVM_ATTACH_SETTLED);
	int again;

	attach_for_real();
	touch_served(3 * PAGE + 5, false);
	again = fcntl(c.ram.fd, F_DUPFD_CLOEXEC, 0);
	tell_zap(7, 0, M);
	tell_settle();
	hear_zapped(7);
	CHECK_EQ(hear(&settled), -1);
	hear_end();
	CHECK(!dsm_ram_covers(c.ram.host, 1));
	/* Nobody serves these: what was dropped from the page tables, and what was never there. */
	CHECK_EQ(c.ram.host[3 * PAGE + 5], 42);
	c.ram.host[5 * PAGE] = 17;
	CHECK_EQ(memfd_byte(5 * PAGE), 17);
	/* A hole by any descriptor of the file is one in the memory. */
	CHECK_EQ(fallocate(c.ram.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE, PAGE), 0);
	CHECK_EQ(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * PAGE, PAGE), 0);
	CHECK_EQ(c.ram.host[3 * PAGE + 5] | c.ram.host[5 * PAGE], 0);
	close(again);
	CHECK_EQ(dsm_ram_detach(c.ram.host, RAM_BYTES), 0);
	CHECK(accessible(c.ram.host));
	client_free();
}

static void the_mode_decides_what_a_failure_is(void)
{
	static const int want[] = {0, 0, -ENOENT, -EINVAL};

	for (enum dsm_mode mode = DSM_MODE_AUTO; mode <= DSM_MODE_KERNEL; mode++) {
		client_prepare(true);
		c.mode = mode;
		c.path = "/nowhere/at/all";
		client_start();
		client_end();
		CHECK_EQ(c.result, want[mode]);
		check_as_before();
		client_free();
	}
}

static void the_descriptor_is_a_new_one(void)
{
	attach_for_real();
	CHECK_EQ(fcntl(c.ram.fd, F_GETFD), FD_CLOEXEC);
	client_detach();

	client_prepare(true);
	CHECK_EQ(fcntl(c.ram.fd, F_SETFD, 0), 0);
	CHECK_EQ(fcntl(c.ram.fd, F_SETFL, O_APPEND), 0); /* which a new one has not */
	client_listen();
	up_to_ready();
	tell_type(GVM_ATTACH_GO, "");
	CHECK_EQ(client_end(), 1);
	CHECK_EQ(fcntl(c.ram.fd, F_GETFD), 0);
	CHECK_EQ(fcntl(c.ram.fd, F_GETFL) & (O_APPEND | O_ACCMODE), O_RDWR);
	client_detach();
}

static void all_is_pinned_now_and_later(void)
{
	attach_for_real();
	CHECK(!arrives(NEVER));
	dsm_pin_all("VFIO");
	hear_pin_all("VFIO");
	dsm_pin_all("mlock"); /* it is known */
	tell_zap(5, 0, M);
	hear_zapped(5);
	client_detach();
	attach_for_real();
	hear_pin_all("VFIO");
	client_detach();
	ours.pin_why = NULL;
}

/* Its group is at its limit for a while. */
static void a_guest_without_memory_for_a_message_waits(void)
{
	attach_for_real();
	atomic_store(&refusals, 3);
	tell_zap(5, 0, M);
	hear_zapped(5);
	CHECK_EQ(atomic_load(&refusals), 0);
	atomic_store(&refusals, 3);
	dsm_pin_all("VFIO");
	hear_pin_all("VFIO");
	CHECK_EQ(atomic_load(&refusals), 0);
	client_detach();
	ours.pin_why = NULL;
}

static void a_child_has_nothing_of_it(void)
{
	const struct region *r;
	int status;
	pid_t pid;

	attach_for_real();
	r = atomic_load(&ours.table[0]);
	pid = fork();
	if (pid == 0) {
		CHECK(!dsm_ram_covers(c.ram.host, RAM_BYTES));
		CHECK(!accessible(c.ram.host));
		/* which would keep gvmfs from seeing that the guest has ended */
		CHECK_EQ(fcntl(r->sock, F_GETFD), -1);
		CHECK_EQ(fcntl(r->uffd, F_GETFD), -1);
		CHECK_EQ(fcntl(r->file, F_GETFD), -1);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	tell_zap(1, 0, PAGE); /* the parent's helper goes on */
	hear_zapped(1);
	client_detach();
}

static void locked_memory_is_not_filled_by_the_kernel(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		client_prepare(true);
		CHECK_EQ(mlockall(MCL_FUTURE), 0);
		client_listen();
		up_to_ready();
		CHECK(memfd_empty());
		tell_type(GVM_ATTACH_GO, "");
		CHECK_EQ(client_end(), 1);
		CHECK(memfd_empty());
		touch_served(0, false);
		tell_zap(1, 0, RAM_BYTES);
		hear_zapped(1);
		touch_served(0, true);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* ---- the end ---- */

static void end_aborted(void)
{
	tell_type(GVM_ATTACH_ABORT, "two nodes are lost");
}

static void end_closed(void)
{
	close(c.peer);
}

static void end_zap_beyond(void)
{
	tell_zap(1, M, M);
}

static void end_zap_wrapped(void)
{
	tell_zap(1, PAGE, UINT64_MAX - PAGE + 1);
}

static void end_zap_in_a_page(void)
{
	tell_zap(1, 8, PAGE);
}

static void end_zap_of_nothing(void)
{
	tell_zap(1, 0, 0);
}

static void end_out_of_turn(void)
{
	struct gvm_attach_msg msg = of_type(GVM_ATTACH_REFUSE);

	msg.error = -EBUSY;
	tell(&msg, sizeof(msg), NULL, 0);
}

static void end_garbage(void)
{
	tell("x", 1, NULL, 0);
}

static void a_guest_without_memory_ends(void)
{
	static const struct {
		void (*end)(void);
		const char *said;
	} cases[] = {
		{end_aborted, "two nodes are lost"}, {end_closed, "gvmfs is gone"},
		{end_zap_beyond, "invalid range"},  {end_zap_wrapped, "invalid range"},
		{end_zap_in_a_page, "invalid range"}, {end_zap_of_nothing, "invalid range"},
		{end_out_of_turn, "unexpected message"}, {end_garbage, "unexpected message"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char said[2048];
		int out[2], status;
		ssize_t n, bytes = 0;
		pid_t pid;

		CHECK_EQ(pipe(out), 0);
		pid = fork();
		if (pid == 0) {
			dup2(out[1], STDERR_FILENO);
			close(out[0]);
			close(out[1]);
			attach_for_real();
			cases[i].end();
			sleep(SOON / 1000);
			_exit(0);
		}
		close(out[1]);
		while ((n = read(out[0], said + bytes, sizeof(said) - 1 - (size_t)bytes)) > 0)
			bytes += n;
		said[bytes] = 0;
		close(out[0]);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), 1);
		CHECK(strstr(said, "gvm: RAM win10: "));
		CHECK(strstr(said, cases[i].said));
	}
}

static const struct check_test tests[] = {
	{"hello-to-go-is-as-written", hello_to_go_is_as_written},
	{"a-failure-leaves-all-as-it-was", a_failure_leaves_all_as_it_was},
	{"silence-has-an-end", silence_has_an_end},
	{"garbage-is-refused", garbage_is_refused},
	{"a-welcome-has-to-fit", a_welcome_has_to_fit},
	{"zapped-memory-comes-back", zapped_memory_comes_back},
	{"a-settled-guest-needs-nobody", a_settled_guest_needs_nobody},
	{"the-mode-decides-what-a-failure-is", the_mode_decides_what_a_failure_is},
	{"the-descriptor-is-a-new-one", the_descriptor_is_a_new_one},
	{"all-is-pinned-now-and-later", all_is_pinned_now_and_later},
	{"a-guest-without-memory-for-a-message-waits", a_guest_without_memory_for_a_message_waits},
	{"a-child-has-nothing-of-it", a_child_has_nothing_of_it},
	{"locked-memory-is-not-filled-by-the-kernel", locked_memory_is_not_filled_by_the_kernel},
	{"a-guest-without-memory-ends", a_guest_without_memory_ends},
};

int main(int argc, char **argv)
{
	int uffd = uffd_open(-1);

	if (uffd < 0 && geteuid() != 0) {
		printf("skip: root: userfaultfd: %s\n", strerror(-uffd));
		return 77;
	}
	CHECK(uffd >= 0);
	close(uffd);
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
