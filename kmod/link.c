// SPDX-License-Identifier: GPL-2.0
/*
 * TCP connections: see link.h.
 *
 * The socket's callbacks only queue work. One work, which never runs twice at once, does the
 * handshake and receives; so nothing of that needs a lock, and messages are handled in order.
 */
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "agree.h"
#include "cluster.h"
#include "compat.h"
#include "handshake.h"
#include "link.h"
#include "log.h"
#include "peer.h"
#include "receive.h"

#define BUFFER_BYTES (2 * (FRAME_HEAD_BYTES + FRAME_BODY_BYTES_MAX))
#define RECEIVES_MAX 16 /* before others may have the worker */
#define HANDSHAKE_MS 5000
/* A peer that is silent for so long is not there, as far as TCP can tell. Leases are another thing. */
#define KEEPALIVE_IDLE_S 5
#define KEEPALIVE_INTERVAL_S 2
#define KEEPALIVE_PROBES 3
#define USER_TIMEOUT_MS 10000

static void link_free(struct kref *ref)
{
	struct link *link = container_of(ref, struct link, ref);
	struct gvm_cluster *cluster = link->cluster;

	sock_release(link->socket);
	kfree(link->buffer);
	spin_lock(&cluster->links_lock);
	cluster->nr_links--;
	/* Under the lock, so that who waits for it may free the cluster. */
	if (!cluster->nr_links)
		wake_up(&cluster->links_gone);
	spin_unlock(&cluster->links_lock);
	kfree(link);
}

void link_get(struct link *link)
{
	kref_get(&link->ref);
}

void link_put(struct link *link)
{
	kref_put(&link->ref, link_free);
}

/* In a callback the list's reference is still there, so this one may be given back at once. */
static void link_queue(struct link *link, struct work_struct *work)
{
	link_get(link);
	if (!queue_work(gvm_workqueue, work))
		link_put(link);
}

static void link_data_ready(struct sock *sk)
{
	struct link *link;

	read_lock_bh(&sk->sk_callback_lock);
	link = sk->sk_user_data;
	if (link)
		link_queue(link, &link->receive_work);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void link_write_space(struct sock *sk)
{
	struct link *link;

	read_lock_bh(&sk->sk_callback_lock);
	link = sk->sk_user_data;
	if (link && sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		if (READ_ONCE(link->state) == LINK_UP)
			peer_transmit_later(link->peer);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static void link_state_change(struct sock *sk)
{
	struct link *link;

	read_lock_bh(&sk->sk_callback_lock);
	link = sk->sk_user_data;
	if (link)
		link_queue(link, &link->receive_work);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void link_callbacks_set(struct link *link)
{
	struct sock *sk = link->socket->sk;

	write_lock_bh(&sk->sk_callback_lock);
	link->data_ready = sk->sk_data_ready;
	link->write_space = sk->sk_write_space;
	link->state_change = sk->sk_state_change;
	if (!link->outgoing)
		link->data_ready = link->cluster->listener_data_ready; /* it had the listener's */
	sk->sk_user_data = link;
	sk->sk_data_ready = link_data_ready;
	sk->sk_write_space = link_write_space;
	sk->sk_state_change = link_state_change;
	write_unlock_bh(&sk->sk_callback_lock);
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

void link_close(struct link *link)
{
	struct gvm_cluster *cluster = link->cluster;

	spin_lock(&cluster->links_lock);
	if (link->closed) {
		spin_unlock(&cluster->links_lock);
		return;
	}
	link->closed = true;
	list_del(&link->list);
	spin_unlock(&cluster->links_lock);

	link_callbacks_restore(link);
	kernel_sock_shutdown(link->socket, SHUT_RDWR);
	if (cancel_delayed_work(&link->deadline_work))
		link_put(link);
	if (link->peer)
		peer_link_down(link->peer, link);
	link_put(link); /* the list's */
}

void link_close_sync(struct link *link)
{
	link_close(link);
	if (cancel_work_sync(&link->receive_work))
		link_put(link);
}

int link_send(struct link *link, struct kvec *parts, unsigned int nr_parts, bool more)
{
	struct msghdr message = {
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0),
	};
	size_t bytes = 0;
	unsigned int i;
	int sent;

	for (i = 0; i < nr_parts; i++)
		bytes += parts[i].iov_len;
	sent = kernel_sendmsg(link->socket, &message, parts, nr_parts, bytes);
	if (sent == -EAGAIN)
		set_bit(SOCK_NOSPACE, &link->socket->flags);
	return sent;
}

int link_up(struct link *link)
{
	if (cancel_delayed_work(&link->deadline_work))
		link_put(link);
	WRITE_ONCE(link->state, LINK_UP);
	return peer_link_up(link->peer, link);
}

static int link_receive_frame(struct link *link, const struct frame_head *head, const u8 *body)
{
	switch (head->kind) {
	case FRAME_HELLO:
		return handshake_hello(link, body);
	case FRAME_PROOF:
		return handshake_proof(link, body);
	case FRAME_REGION:
		if (link->state != LINK_UP)
			return -EBADMSG;
		return agree_receive(link->peer, body);
	case FRAME_MESSAGE:
		if (link->state != LINK_UP)
			return -EBADMSG;
		return receive_message(link->peer, head->tag, body, head->body_bytes);
	}
	return -EBADMSG;
}

/* Everything whole in the buffer; what is left of it is moved to the front. */
static int link_receive_frames(struct link *link)
{
	unsigned int at = 0;
	int err = 0;

	while (link->filled - at >= FRAME_HEAD_BYTES) {
		struct frame_head head;

		err = frame_head_decode(link->buffer + at, &head);
		if (err)
			break;
		if (link->filled - at < FRAME_HEAD_BYTES + head.body_bytes)
			break;
		err = link_receive_frame(link, &head, link->buffer + at + FRAME_HEAD_BYTES);
		if (err || READ_ONCE(link->closed))
			break;
		at += FRAME_HEAD_BYTES + head.body_bytes;
	}
	link->filled -= at;
	memmove(link->buffer, link->buffer + at, link->filled);
	return err;
}

/* 1: there may be more, 0: nothing now, or an errno: the connection has ended. */
static int link_receive_some(struct link *link)
{
	struct msghdr message = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	struct kvec part;
	int bytes;

	if (!link->buffer) {
		link->buffer = kmalloc(BUFFER_BYTES, GFP_NOIO);
		if (!link->buffer)
			return -ENOMEM;
	}
	part.iov_base = link->buffer + link->filled;
	part.iov_len = BUFFER_BYTES - link->filled;
	bytes = kernel_recvmsg(link->socket, &message, &part, 1, part.iov_len, message.msg_flags);
	if (bytes == -EAGAIN)
		return 0;
	if (bytes <= 0)
		return bytes ?: -ENOTCONN;
	link->filled += bytes;
	return link_receive_frames(link) ?: 1;
}

static int link_receive_all(struct link *link)
{
	int i, more = 1;

	if (link->state == LINK_CONNECTING) {
		if (link->socket->sk->sk_state != TCP_ESTABLISHED)
			return link->socket->sk->sk_state == TCP_SYN_SENT ? 0 : -ECONNREFUSED;
		link->state = LINK_GREETING;
		more = handshake_begin(link) ?: 1;
	}
	for (i = 0; more == 1 && i < RECEIVES_MAX && !READ_ONCE(link->closed); i++)
		more = link_receive_some(link);
	receive_end(link->cluster);
	if (!link->filled) {
		kfree(link->buffer); /* ten thousand idle peers have none */
		link->buffer = NULL;
	}
	return more;
}

static void link_receive(struct work_struct *work)
{
	struct link *link = container_of(work, struct link, receive_work);
	int more = READ_ONCE(link->closed) ? 0 : link_receive_all(link);

	if (more < 0) {
		if (more == -EBADMSG || more == -EPROTONOSUPPORT)
			gvm_warn("node %d sent what is not of this protocol\n",
				 link->peer ? link->peer->id : -1);
		link_close(link);
	} else if (more) {
		link_queue(link, &link->receive_work);
	}
	link_put(link);
}

static void link_deadline(struct work_struct *work)
{
	struct link *link = container_of(to_delayed_work(work), struct link, deadline_work);

	link_close(link);
	link_put(link);
}

static int link_create(struct gvm_cluster *cluster, struct socket *socket, struct gvm_peer *peer,
		       struct link **out)
{
	struct link *link = kzalloc(sizeof(*link), GFP_KERNEL);
	struct sock *sk = socket->sk;

	if (!link)
		return -ENOMEM;
	kref_init(&link->ref); /* the list's */
	link->cluster = cluster;
	link->socket = socket;
	link->peer = peer;
	link->outgoing = peer;
	link->state = peer ? LINK_CONNECTING : LINK_GREETING;
	INIT_WORK(&link->receive_work, link_receive);
	INIT_DELAYED_WORK(&link->deadline_work, link_deadline);

	sk->sk_allocation = GFP_NOIO; /* a fault in the way of reclaim may wait for this connection */
	gvm_sk_no_task_frag(sk);
	tcp_sock_set_nodelay(sk);
	sock_set_keepalive(sk);
	tcp_sock_set_keepidle(sk, KEEPALIVE_IDLE_S);
	tcp_sock_set_keepintvl(sk, KEEPALIVE_INTERVAL_S);
	tcp_sock_set_keepcnt(sk, KEEPALIVE_PROBES);
	tcp_sock_set_user_timeout(sk, USER_TIMEOUT_MS);

	spin_lock(&cluster->links_lock);
	if (cluster->closing) {
		spin_unlock(&cluster->links_lock);
		kfree(link);
		return -ESHUTDOWN;
	}
	cluster->nr_links++;
	list_add(&link->list, &cluster->links);
	link_get(link); /* the caller's */
	spin_unlock(&cluster->links_lock);

	link_get(link);
	queue_delayed_work(gvm_workqueue, &link->deadline_work, msecs_to_jiffies(HANDSHAKE_MS));
	link_callbacks_set(link);
	*out = link;
	return 0;
}

int link_accept(struct gvm_cluster *cluster, struct socket *socket)
{
	struct link *link;
	int err = link_create(cluster, socket, NULL, &link);

	if (err) {
		sock_release(socket);
		return err;
	}
	link_queue(link, &link->receive_work); /* what came before the callbacks were set */
	link_put(link);
	return 0;
}

int link_connect(struct gvm_peer *peer, struct link **out)
{
	struct sockaddr_storage address = peer->address;
	struct socket *socket;
	int err;

	err = sock_create_kern(peer->cluster->net, address.ss_family, SOCK_STREAM, IPPROTO_TCP,
			       &socket);
	if (err)
		return err;
	err = link_create(peer->cluster, socket, peer, out);
	if (err) {
		sock_release(socket);
		return err;
	}
	err = kernel_connect(socket, (struct sockaddr *)&address, sizeof(address), O_NONBLOCK);
	if (err && err != -EINPROGRESS) {
		link_close(*out);
		link_put(*out);
		return err;
	}
	link_queue(*out, &(*out)->receive_work);
	return 0;
}
