// SPDX-License-Identifier: GPL-2.0
/*
 * TCP connections: see link.h.
 *
 * Once the connection is up, the socket's callback receives: messages for which a fault waits are
 * handled at once. One work does everything else: the handshake, messages whose handling may sleep,
 * and those behind them. While the work runs, or another task owns the socket, the callback handles
 * nothing; so messages are handled one at a time and in order.
 */
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <linux/wait_bit.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "buffers.h"
#include "compat.h"
#include "link.h"
#include "log.h"
#include "memory.h"
#include "workers.h"

#define RECEIVES_MAX 16 /* per run of the work; then other works get the worker */
#define RETRY_MS 5 /* after there was no buffer */
#define HANDSHAKE_MS 5000
#define UNPROVEN_MAX 64 /* incoming connections in their handshake, beside one of each node */
/* TCP's detection of a dead peer. It closes the connection; the leases do not depend on it. */
#define KEEPALIVE_IDLE_S 5
#define KEEPALIVE_INTERVAL_S 2
#define KEEPALIVE_PROBES 3
#define USER_TIMEOUT_MS 10000

static void link_buffer_end(struct link *link)
{
	if (link->buffer != link->early)
		gvm_buffer_put(link->buffer);
	link->buffer = NULL;
}

static void link_free(struct kref *ref)
{
	struct link *link = container_of(ref, struct link, ref);
	struct links *links = link->links;

	sock_release(link->socket);
	link_buffer_end(link);
	spin_lock(&links->lock);
	links->nr--;
	/* Under the lock, so that gvm_links_exit() may return and `links` be freed. */
	if (!links->nr)
		wake_up(&links->gone);
	spin_unlock(&links->lock);
	kfree_sensitive(link);
}

void gvm_link_get(struct link *link)
{
	kref_get(&link->ref);
}

void gvm_link_put(struct link *link)
{
	kref_put(&link->ref, link_free);
}

/* In a callback the list still has its reference, so this put is never the last. */
static void link_queue_in(struct link *link, unsigned int ms)
{
	gvm_link_get(link);
	if (!queue_delayed_work(gvm_workqueue, &link->receive_work, msecs_to_jiffies(ms)))
		gvm_link_put(link);
}

static void link_queue(struct link *link)
{
	link_queue_in(link, 0);
}

/* In a callback that the sender itself has caused: it calls link_catch_up() when it is done. */
static bool link_sender_looks(struct link *link, struct sock *sk)
{
	return sock_owned_by_user_nocheck(sk) && READ_ONCE(link->sending);
}

static void link_write_space(struct sock *sk)
{
	struct link *link;

	read_lock_bh(&sk->sk_callback_lock);
	link = sk->sk_user_data;
	/* TCP also calls it when the sender got no memory and nothing is in flight. */
	if (link && !link_sender_looks(link, sk) && sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		if (READ_ONCE(link->state) == LINK_UP)
			link->links->ops->room(link);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static void link_callbacks_restore(struct link *link)
{
	struct sock *sk = link->socket->sk;

	write_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_user_data == link) {
		sk->sk_user_data = NULL;
		sk->sk_data_ready = link->data_ready;
		sk->sk_write_space = link->write_space;
		sk->sk_state_change = link->state_change;
	}
	write_unlock_bh(&sk->sk_callback_lock);
}

static void link_proven(struct link *link)
{
	lockdep_assert_held(&link->links->lock);
	link->links->nr_unproven -= link->unproven;
	link->unproven = false;
}

void gvm_link_close(struct link *link)
{
	struct links *links = link->links;

	spin_lock(&links->lock);
	if (link->closed) {
		spin_unlock(&links->lock);
		return;
	}
	link->closed = true;
	list_del(&link->list);
	link_proven(link);
	spin_unlock(&links->lock);

	link_callbacks_restore(link);
	kernel_sock_shutdown(link->socket, SHUT_RDWR);
	if (cancel_delayed_work(&link->deadline_work))
		gvm_link_put(link);
	if (link->peer)
		links->ops->down(link);
	gvm_link_put(link); /* the list's */
}

/* Gives the link to the work, or back. While the work has it, softirqs receive nothing. */
static void link_working_set(struct link *link, bool working)
{
	struct sock *sk = link->socket->sk;

	local_bh_disable();
	bh_lock_sock(sk);
	link->working = working;
	bh_unlock_sock(sk);
	local_bh_enable();
	smp_mb(); /* orders the change before the check for waiters */
	wake_up_var(&link->working);
}

/*
 * Once true of a closed link: the work, or a later holder of the socket's spinlock, sees it closed.
 */
static bool link_idle(struct link *link)
{
	struct sock *sk = link->socket->sk;
	bool idle;

	local_bh_disable();
	bh_lock_sock(sk);
	idle = !link->working;
	bh_unlock_sock(sk);
	local_bh_enable();
	return idle;
}

void gvm_link_close_sync(struct link *link)
{
	gvm_link_close(link);
	/* Not by flushing the work: the caller may be another link's work. */
	wait_var_event(&link->working, link_idle(link));
}

int gvm_link_up(struct link *link)
{
	if (cancel_delayed_work(&link->deadline_work))
		gvm_link_put(link);
	spin_lock(&link->links->lock);
	link_proven(link);
	spin_unlock(&link->links->lock);
	WRITE_ONCE(link->state, LINK_UP);
	return link->links->ops->up(link);
}

/*
 * Looks at the frame that begins the `arrived` bytes, and opens it. Gives its bytes, with the seal;
 * 0: not all of it has arrived; or an errno.
 */
static int link_frame_open(struct link *link, u8 *frame, unsigned int arrived,
			   struct frame_head *head)
{
	int bytes = gvm_frame_bytes(frame), err;

	if (bytes < 0)
		return bytes;
	if (link->state != LINK_UP) {
		err = gvm_frame_head_decode(frame, head);
		if (!err && bytes > EARLY_BYTES)
			err = -EBADMSG; /* no frame of the handshake */
		return err ?: arrived >= bytes ? bytes : 0;
	}
	if (arrived < bytes + SEAL_BYTES)
		return 0;
	if (!link->opened) {
		err = gvm_seal_open(&link->from_peer, frame, bytes);
		if (err)
			return err;
		link->opened = true;
	}
	return gvm_frame_head_decode(frame, head) ?: bytes + SEAL_BYTES;
}

/*
 * Handles the whole frames in the buffer, and moves the rest to the front. With `at_once`, in a
 * softirq, stops with -EAGAIN before the first frame that has to be left to the work.
 */
static int link_receive_frames(struct link *link, bool at_once)
{
	const struct link_ops *ops = link->links->ops;
	unsigned int at = 0;
	int bytes, err = 0;

	while (link->filled - at >= FRAME_HEAD_BYTES) {
		u8 *frame = link->buffer + at, *body = frame + FRAME_HEAD_BYTES;
		struct frame_head head;

		bytes = link_frame_open(link, frame, link->filled - at, &head);
		if (bytes <= 0) {
			err = bytes;
			break;
		}
		if (!at_once)
			err = ops->frame(link, &head, body);
		else if (!ops->frame_at_once(link, &head, body))
			err = -EAGAIN;
		if (err || READ_ONCE(link->closed))
			break;
		link->opened = false;
		at += bytes;
	}
	link->filled -= at;
	memmove(link->buffer, link->buffer + at, link->filled);
	return err;
}

static unsigned int link_buffer_room(const struct link *link)
{
	return (link->buffer == link->early ? EARLY_BYTES : BUFFER_BYTES) - link->filled;
}

static bool link_buffer_get(struct link *link, gfp_t gfp)
{
	/* Strangers must not take one of those that are kept. */
	u8 *buffer = link->early;

	if (link->buffer && (link->buffer != link->early || link->state != LINK_UP))
		return true;
	if (link->state == LINK_UP)
		buffer = gvm_buffer_get(gfp);
	if (!buffer)
		return false;
	if (link->buffer)
		memcpy(buffer, link->early, link->filled);
	link->buffer = buffer;
	return true;
}

static void link_buffer_put(struct link *link)
{
	if (!link->filled)
		link_buffer_end(link);
}

/* 1: there may be more; 0: no data now; or an errno: the connection has ended. */
static int link_receive_some(struct link *link)
{
	struct msghdr message = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	struct kvec part;
	int bytes;

	if (!link_buffer_get(link, GFP_DISPENSABLE))
		return -EAGAIN;
	part.iov_base = link->buffer + link->filled;
	part.iov_len = link_buffer_room(link);
	bytes = kernel_recvmsg(link->socket, &message, &part, 1, part.iov_len, message.msg_flags);
	if (bytes == -EAGAIN)
		return 0;
	if (bytes <= 0)
		return bytes ?: -ENOTCONN;
	link->filled += bytes;
	return link_receive_frames(link, false) ?: 1;
}

/* The same, or -EAGAIN: no buffer; data stays in the socket, and TCP throttles the peer. */
static int link_receive_all(struct link *link)
{
	int i, more = 1;

	if (link->state == LINK_CONNECTING) {
		if (link->socket->sk->sk_state != TCP_ESTABLISHED)
			return link->socket->sk->sk_state == TCP_SYN_SENT ? 0 : -ECONNREFUSED;
		link->state = LINK_GREETING;
		more = link->links->ops->connected(link) ?: 1;
	}
	if (!link_buffer_get(link, GFP_DISPENSABLE))
		return -EAGAIN;
	if (more == 1)
		more = link_receive_frames(link, false) ?: 1; /* frames left by a softirq */
	for (i = 0; more == 1 && i < RECEIVES_MAX && !READ_ONCE(link->closed); i++)
		more = link_receive_some(link);
	link->links->ops->received(link);
	link_buffer_put(link);
	return more;
}

static void link_receive(struct work_struct *work)
{
	struct link *link = container_of(to_delayed_work(work), struct link, receive_work);
	int more = 0;

	link_working_set(link, true);
	if (!READ_ONCE(link->closed))
		more = link_receive_all(link);
	link_working_set(link, false);
	if (more == -EAGAIN) {
		link_queue_in(link, RETRY_MS);
	} else if (more < 0) {
		if (more == -EBADMSG || more == -EILSEQ)
			link->links->ops->refused(link, more);
		gvm_link_close(link);
	} else if (more) {
		link_queue(link);
	}
	gvm_link_put(link);
}

/* Handles frames before TCP sends its ACK; stops at the first frame that is left to the work. */
static int link_take(read_descriptor_t *reader, struct sk_buff *skb, unsigned int offset,
		     size_t bytes)
{
	struct link *link = reader->arg.data;

	bytes = min_t(size_t, bytes, link_buffer_room(link));
	if (reader->error || skb_copy_bits(skb, offset, link->buffer + link->filled, bytes))
		return 0;
	link->filled += bytes;
	reader->error = link_receive_frames(link, true);
	return bytes;
}

/*
 * Receives under the socket's spinlock, usually in the softirq that brings the data: a fault's
 * answer does not wait for a worker, and a part of a frame does not wake one. False: the work has
 * to be queued.
 */
static bool link_receive_at_once(struct link *link, struct sock *sk)
{
	read_descriptor_t reader = { .arg.data = link, .count = 1 };

	if (sock_owned_by_user_nocheck(sk) || link->working || link->state != LINK_UP ||
	    READ_ONCE(link->closed) || sk->sk_state != TCP_ESTABLISHED || sk->sk_err)
		return false;
	if (!link_buffer_get(link, GFP_ATOMIC | __GFP_NOWARN))
		return false;
	tcp_read_sock(sk, &reader, link_take);
	link_buffer_put(link);
	return !reader.error && !tcp_inq(sk);
}

/* The socket's callback for data, and for a change of its state. */
static void link_ready(struct sock *sk)
{
	struct link *link;

	read_lock_bh(&sk->sk_callback_lock);
	link = sk->sk_user_data;
	if (link && !link_sender_looks(link, sk) && !link_receive_at_once(link, sk))
		link_queue(link);
	read_unlock_bh(&sk->sk_callback_lock);
}

/*
 * Receives data that came while the sender owned the socket: often it is the answer, and the
 * faulter need not sleep.
 */
static void link_catch_up(struct link *link)
{
	struct sock *sk = link->socket->sk;

	local_bh_disable();
	bh_lock_sock(sk);
	if ((tcp_inq(sk) || sk->sk_state != TCP_ESTABLISHED) && !link_receive_at_once(link, sk))
		link_queue(link);
	bh_unlock_sock(sk);
	local_bh_enable();
}

/*
 * TCP returns -EAGAIN for no room and for no memory alike: with room left this is -ENOBUFS (no
 * memory, or the room is new).
 */
static int link_send_once(struct link *link, struct kvec *parts, unsigned int nr_parts, bool more)
{
	struct msghdr message = {
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0),
	};
	size_t bytes = 0;
	unsigned int i;
	int sent;

	for (i = 0; i < nr_parts; i++)
		bytes += parts[i].iov_len;
	WRITE_ONCE(link->sending, true);
	sent = kernel_sendmsg(link->socket, &message, parts, nr_parts, bytes);
	if (sent == -EAGAIN)
		set_bit(SOCK_NOSPACE, &link->socket->flags);
	WRITE_ONCE(link->sending, false);
	smp_mb(); /* orders the change before the check below: see link_write_space() */
	return sent == -EAGAIN && sk_stream_is_writeable(link->socket->sk) ? -ENOBUFS : sent;
}

int gvm_link_send(struct link *link, struct kvec *parts, unsigned int nr_parts, bool more)
{
	int sent = link_send_once(link, parts, nr_parts, more);

	if (sent == -ENOBUFS)
		sent = link_send_once(link, parts, nr_parts, more);
	link_catch_up(link);
	return sent;
}

static void link_callbacks_set(struct link *link)
{
	struct sock *sk = link->socket->sk;

	write_lock_bh(&sk->sk_callback_lock);
	link->data_ready = sk->sk_data_ready;
	link->write_space = sk->sk_write_space;
	link->state_change = sk->sk_state_change;
	if (!link->outgoing)
		link->data_ready = link->links->listener_data_ready; /* it had the listener's */
	sk->sk_user_data = link;
	sk->sk_data_ready = link_ready;
	sk->sk_write_space = link_write_space;
	sk->sk_state_change = link_ready;
	write_unlock_bh(&sk->sk_callback_lock);
}

static void link_deadline(struct work_struct *work)
{
	struct link *link = container_of(to_delayed_work(work), struct link, deadline_work);

	gvm_link_close(link);
	gvm_link_put(link);
}

static int link_create(struct links *links, struct socket *socket, struct gvm_peer *peer,
		       struct link **out)
{
	static atomic64_t last_serial;
	struct link *link = kzalloc(sizeof(*link), GFP_KERNEL);
	struct sock *sk = socket->sk;

	if (!link)
		return -ENOMEM;
	kref_init(&link->ref); /* the list's */
	link->serial = atomic64_inc_return(&last_serial);
	link->links = links;
	link->socket = socket;
	link->peer = peer;
	link->outgoing = peer;
	link->state = peer ? LINK_CONNECTING : LINK_GREETING;
	INIT_DELAYED_WORK(&link->receive_work, link_receive);
	INIT_DELAYED_WORK(&link->deadline_work, link_deadline);

	/* A send never waits for memory: lease renewals depend on it, and evictions free some. */
	sk->sk_allocation = GFP_ATOMIC | __GFP_NOWARN;
	gvm_sk_no_task_frag(sk);
	tcp_sock_set_nodelay(sk);
	sock_set_keepalive(sk);
	tcp_sock_set_keepidle(sk, KEEPALIVE_IDLE_S);
	tcp_sock_set_keepintvl(sk, KEEPALIVE_INTERVAL_S);
	tcp_sock_set_keepcnt(sk, KEEPALIVE_PROBES);
	tcp_sock_set_user_timeout(sk, USER_TIMEOUT_MS);

	spin_lock(&links->lock);
	if (links->closing) {
		spin_unlock(&links->lock);
		kfree(link);
		return -ESHUTDOWN;
	}
	links->nr++;
	link->unproven = !peer;
	links->nr_unproven += link->unproven;
	list_add(&link->list, &links->list);
	gvm_link_get(link); /* the caller's */
	spin_unlock(&links->lock);

	gvm_link_get(link);
	queue_delayed_work(gvm_workqueue, &link->deadline_work, msecs_to_jiffies(HANDSHAKE_MS));
	link_callbacks_set(link);
	*out = link;
	return 0;
}

int gvm_link_accept(struct links *links, struct socket *socket)
{
	struct link *link;
	int err = link_create(links, socket, NULL, &link);

	if (err) {
		sock_release(socket);
		return err;
	}
	link_queue(link); /* for data that came before the callbacks were set */
	gvm_link_put(link);
	return 0;
}

void gvm_link_bound_unproven(struct links *links)
{
	struct link *link, *oldest = NULL;

	spin_lock(&links->lock);
	if (links->nr_unproven > UNPROVEN_MAX + READ_ONCE(links->nr_nodes)) {
		list_for_each_entry_reverse(link, &links->list, list) {
			if (link->unproven) {
				oldest = link;
				gvm_link_get(oldest);
				break;
			}
		}
	}
	spin_unlock(&links->lock);
	if (!oldest)
		return;
	gvm_warn("too many incoming connections have not completed their handshake: closing the oldest\n");
	gvm_link_close(oldest);
	gvm_link_put(oldest);
}

int gvm_link_connect(struct links *links, struct gvm_peer *peer,
		     const struct sockaddr_storage *address, struct link **out)
{
	struct sockaddr_storage own, where = *address; /* the kernel may change them */
	struct socket *socket;
	int err;

	spin_lock(&links->lock);
	own = links->own;
	spin_unlock(&links->lock);
	err = sock_create_kern(links->net, where.ss_family, SOCK_STREAM, IPPROTO_TCP, &socket);
	if (err)
		return err;
	/* So the connection does not end with another address that this host had. */
	if (own.ss_family == where.ss_family)
		err = kernel_bind(socket, gvm_sockaddr(&own), sizeof(own));
	if (!err)
		err = link_create(links, socket, peer, out);
	if (err) {
		sock_release(socket);
		return err;
	}
	err = kernel_connect(socket, gvm_sockaddr(&where), sizeof(where), O_NONBLOCK);
	if (err && err != -EINPROGRESS) {
		gvm_link_close(*out);
		gvm_link_put(*out);
		return err;
	}
	link_queue(*out);
	return 0;
}

void gvm_links_init(struct links *links)
{
	spin_lock_init(&links->lock);
	INIT_LIST_HEAD(&links->list);
	init_waitqueue_head(&links->gone);
}

/* A link that is not closed, with a reference; NULL: none is left. */
static struct link *links_some(struct links *links)
{
	struct link *link;

	spin_lock(&links->lock);
	links->closing = true;
	link = list_first_entry_or_null(&links->list, struct link, list);
	if (link)
		gvm_link_get(link);
	spin_unlock(&links->lock);
	return link;
}

void gvm_links_exit(struct links *links)
{
	struct link *link;

	while ((link = links_some(links))) {
		gvm_link_close(link);
		gvm_link_put(link);
	}
	spin_lock(&links->lock);
	wait_event_cmd(links->gone, !links->nr, spin_unlock(&links->lock), spin_lock(&links->lock));
	spin_unlock(&links->lock);
}
