// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See link.h.
 *
 * The devices offload segmentation and checksums to each other, so that a packet here is up to 64
 * KiB of a stream, and takes as long as its segments with their frames would. A way has room for
 * what is under way on it and for a queue; when that is full the passer leaves packets in the
 * device, whose queue drops what is too much, as a switch would.
 */
#include "link.h"

#include "memnode/gvm_client.h"
#include "say.h"

#include <assert.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MTU	     1500u
#define FRAME_BYTES  38u /* of Ethernet around each segment: preamble, addresses, checksum, gap */
#define PACKET_BYTES 65600u
#define PACKETS	     256u /* on a way, or queued before it: 16 MiB */
#define DEVICE_QUEUE 1000
#define PREFIX_BITS  24

/* ---- the two ends */

static int interface_ask(int fd, const char *name, unsigned long what, struct ifreq *r)
{
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
	return ioctl(fd, what, r) ? -errno : 0;
}

static int interface_up(const char *name, uint32_t address)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;
	struct sockaddr_in at = {.sin_family = AF_INET};
	struct ifreq r = {.ifr_flags = 0};

	if (fd < 0)
		return -errno;
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	rc = interface_ask(fd, "lo", SIOCSIFFLAGS, &r);
	if (address && !rc) {
		at.sin_addr.s_addr = htonl(address);
		memcpy(&r.ifr_addr, &at, sizeof(at));
		rc = interface_ask(fd, name, SIOCSIFADDR, &r);
		at.sin_addr.s_addr = htonl(~0u << (32 - PREFIX_BITS));
		memcpy(&r.ifr_netmask, &at, sizeof(at));
		if (!rc)
			rc = interface_ask(fd, name, SIOCSIFNETMASK, &r);
		r.ifr_qlen = DEVICE_QUEUE;
		if (!rc)
			rc = interface_ask(fd, name, SIOCSIFTXQLEN, &r);
		r.ifr_flags = IFF_UP | IFF_RUNNING;
		if (!rc)
			rc = interface_ask(fd, name, SIOCSIFFLAGS, &r);
	}
	close(fd);
	return rc;
}

/* A namespace of its own for the caller, with one TUN device; its descriptor or a negative errno. */
static int end_make(uint32_t address)
{
	struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	const char *name = "link";
	int fd, rc;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	rc = interface_ask(fd, name, TUNSETIFF, &r);
	if (!rc && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4))
		rc = -errno;
	if (!rc)
		rc = interface_up(name, address);
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

int bench_link_make(struct bench_link *link)
{
	int rc;

	*link = (struct bench_link){.far_ns = -1, .tun = {-1, -1}};
	rc = end_make(LINK_FAR);
	if (rc >= 0) {
		link->tun[1] = rc;
		link->far_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		rc = link->far_ns < 0 ? -errno : end_make(LINK_NEAR);
	}
	if (rc < 0) {
		say("no network can be emulated: %s", strerror(-rc));
		return rc;
	}
	link->tun[0] = rc;
	return 0;
}

/* ---- the passer */

struct packet {
	uint64_t due_ns; /* at the other end */
	uint32_t bytes;
	uint8_t data[PACKET_BYTES]; /* from the kernel's header on */
};
struct way {
	int from, to;
	uint64_t free_ns; /* the link has sent all that came before */
	unsigned first, count;
	struct packet *packet; /* PACKETS, a ring */
};

static uint64_t time_on_link(const struct packet *p, const struct bench_link_kind *kind)
{
	const struct virtio_net_hdr *h = (const void *)p->data;
	uint64_t bytes = p->bytes - sizeof(*h), segments = 1;

	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE && h->gso_size && bytes > h->hdr_len) {
		segments = (bytes - h->hdr_len + h->gso_size - 1) / h->gso_size;
		bytes += (segments - 1) * h->hdr_len;
	}
	return (bytes + segments * FRAME_BYTES) * 8 / kind->gbit_s;
}

/* Takes what has come, as long as there is room. */
static void way_take(struct way *w, const struct bench_link_kind *kind)
{
	while (w->count < PACKETS) {
		struct packet *p = &w->packet[(w->first + w->count) % PACKETS];
		ssize_t n = read(w->from, p->data, sizeof(p->data));
		uint64_t now = gvm_now_ns();

		if (n <= (ssize_t)sizeof(struct virtio_net_hdr))
			return;
		p->bytes = (uint32_t)n;
		w->free_ns = (w->free_ns > now ? w->free_ns : now) + time_on_link(p, kind);
		p->due_ns = w->free_ns + kind->delay_us * 1000ull;
		w->count++;
	}
}

/* Hands over what is due. */
static void way_give(struct way *w)
{
	uint64_t now = gvm_now_ns();

	assert(w->first < PACKETS && w->count <= PACKETS);
	for (; w->count && w->packet[w->first].due_ns <= now; w->count--) {
		struct packet *p = &w->packet[w->first];
		/* (One that the device does not take is lost, as on any network.) */
		ssize_t n = write(w->to, p->data, p->bytes);

		(void)n;
		w->first = (w->first + 1) % PACKETS;
	}
}

__attribute__((noreturn)) static void passer_main(const struct bench_link *link,
						  const struct bench_link_kind *kind, pid_t parent)
{
	struct way way[2] = {{.from = link->tun[0], .to = link->tun[1]},
			     {.from = link->tun[1], .to = link->tun[0]}};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	prctl(PR_SET_TIMERSLACK, 1);
	signal(SIGTERM, SIG_DFL);
	setpgid(0, 0);
	for (unsigned i = 0; i < 2; i++) {
		way[i].packet = malloc(PACKETS * sizeof(*way[i].packet));
		if (!way[i].packet)
			_exit(1);
	}
	for (;;) {
		uint64_t next = UINT64_MAX, now;
		struct pollfd p[2];
		struct timespec t;

		for (unsigned i = 0; i < 2; i++) {
			way_give(&way[i]);
			way_take(&way[i], kind);
			if (way[i].count && way[i].packet[way[i].first].due_ns < next)
				next = way[i].packet[way[i].first].due_ns;
			p[i] = (struct pollfd){way[i].count < PACKETS ? way[i].from : -1, POLLIN,
					       0};
		}
		now = gvm_now_ns();
		if (next <= now)
			continue;
		t = (struct timespec){.tv_sec = (time_t)((next - now) / 1000000000),
				      .tv_nsec = (long)((next - now) % 1000000000)};
		ppoll(p, 2, next == UINT64_MAX ? NULL : &t, NULL);
	}
}

static void passer_end(struct bench_link *link)
{
	if (link->passer > 0) {
		kill(link->passer, SIGKILL);
		waitpid(link->passer, NULL, 0);
	}
	link->passer = 0;
}

int bench_link_be(struct bench_link *link, const struct bench_link_kind *kind)
{
	pid_t parent = getpid(), pid;

	passer_end(link);
	pid = fork();
	if (pid == 0)
		passer_main(link, kind, parent);
	link->passer = pid > 0 ? pid : 0;
	return pid < 0 ? -errno : 0;
}

void bench_link_end(struct bench_link *link)
{
	passer_end(link);
	for (unsigned i = 0; i < 2; i++)
		if (link->tun[i] >= 0)
			close(link->tun[i]);
	if (link->far_ns >= 0)
		close(link->far_ns);
}
