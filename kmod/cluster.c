// SPDX-License-Identifier: GPL-2.0
/* The nodes and the listening socket: see cluster.h. */
#include <crypto/algapi.h>
#include <linux/bsearch.h>
#include <linux/file.h>
#include <linux/in.h>
#include <linux/net.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/tcp.h>
#include <linux/uaccess.h>
#include <linux/xxhash.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "auth.h"
#include "beats.h"
#include "buffers.h"
#include "cluster.h"
#include "compat.h"
#include "link.h"
#include "log.h"
#include "params.h"
#include "peer.h"
#include "workers.h"
#include "ivy/pairs.h"
#include "uapi/giantvm.h"

#define BACKLOG 128

static int by_id(const void *a, const void *b)
{
	return ((const struct giantvm_node *)a)->id - ((const struct giantvm_node *)b)->id;
}

static struct in6_addr node_address(const struct giantvm_node *node)
{
	struct in6_addr address;

	memcpy(&address, node->address, sizeof(address));
	return address;
}

static bool node_is_loopback(const struct giantvm_node *node)
{
	struct in6_addr address = node_address(node);

	return ipv6_addr_loopback(&address) ||
	       (ipv6_addr_v4mapped(&address) && ipv4_is_loopback(address.s6_addr32[3]));
}

/* Whether programs of other hosts could pose as nodes, and nobody has said that they may. */
static bool lacks_key(const struct giantvm_up *up, const struct giantvm_node *nodes)
{
	unsigned int i = 0;

	if (up->key_bytes || up->flags & GIANTVM_UP_OPEN)
		return false;
	while (i < up->nr_nodes && node_is_loopback(&nodes[i]))
		i++;
	return i < up->nr_nodes;
}

static bool keys_valid(const struct giantvm_up *up)
{
	return up->flags & GIANTVM_UP_PAIRS ? up->key_bytes == GIANTVM_PAIR_KEY_BYTES :
					      up->key_bytes <= GIANTVM_KEY_BYTES_MAX;
}

static bool node_valid(const struct giantvm_node *node)
{
	struct in6_addr address = node_address(node);

	return node->id < GIANTVM_NODES_MAX && node->roles &&
	       !(node->roles & ~(GIANTVM_ROLE_CPU | GIANTVM_ROLE_MEM)) && node->port &&
	       !ipv6_addr_any(&address);
}

/* Copies the user's list, checks it, and sorts it by id. */
static int nodes_take(const struct giantvm_up *up, struct giantvm_node **out)
{
	struct giantvm_node *nodes;
	unsigned int i;
	bool found = false;

	if (up->abi != GIANTVM_ABI || up->flags & ~(GIANTVM_UP_OPEN | GIANTVM_UP_PAIRS) ||
	    up->nr_nodes < 1 || up->nr_nodes > GIANTVM_NODES_MAX || !keys_valid(up))
		return -EINVAL;
	nodes = vmemdup_user(u64_to_user_ptr(up->nodes), up->nr_nodes * sizeof(*nodes));
	if (IS_ERR(nodes))
		return PTR_ERR(nodes);
	sort(nodes, up->nr_nodes, sizeof(*nodes), by_id, NULL);
	for (i = 0; i < up->nr_nodes; i++) {
		if (!node_valid(&nodes[i]) || (i && nodes[i].id == nodes[i - 1].id)) {
			kvfree(nodes);
			return -EINVAL;
		}
		found |= nodes[i].id == up->id;
	}
	if (!found || lacks_key(up, nodes)) {
		kvfree(nodes);
		return found ? -ENOKEY : -ENOENT;
	}
	*out = nodes;
	return 0;
}

/*
 * The same on both hosts if each has the same addresses for the two, and the same lease: a node
 * with a longer lease than its home's would write to pages that the home has granted to others.
 */
static u64 pair_digest(const struct giantvm_node *a, const struct giantvm_node *b)
{
	struct giantvm_node both[2] = { a->id < b->id ? *a : *b, a->id < b->id ? *b : *a };

	both[0].roles = 0;
	both[1].roles = 0;
	return xxh64(both, sizeof(both), GIANTVM_ABI | (u64)gvm_params_lease_ms() << 32);
}

/* cluster->homes has room for all nodes. */
static void homes_set(struct gvm_cluster *cluster, const struct giantvm_node *nodes,
		      unsigned int nr)
{
	unsigned int i;

	cluster->nr_homes = 0;
	for (i = 0; i < nr; i++)
		if (nodes[i].roles & GIANTVM_ROLE_MEM)
			cluster->homes[cluster->nr_homes++] = nodes[i].id;
}

static bool any_lends(const struct giantvm_node *nodes, unsigned int nr)
{
	unsigned int i = 0;

	while (i < nr && !(nodes[i].roles & GIANTVM_ROLE_MEM))
		i++;
	return i < nr;
}

static const struct giantvm_node *node_find(const struct giantvm_node *nodes, unsigned int nr,
					    u16 id)
{
	const struct giantvm_node key = { .id = id };

	return bsearch(&key, nodes, nr, sizeof(*nodes), by_id);
}

/* Creates the peers that there have never been: all of them, or none. */
static int peers_create(struct gvm_cluster *cluster, const struct giantvm_node *nodes,
			unsigned int nr)
{
	struct gvm_peer **made = kvcalloc(nr, sizeof(*made), GFP_KERNEL);
	unsigned int i;
	int err = made ? 0 : -ENOMEM;

	for (i = 0; i < nr && !err; i++)
		if (nodes[i].id != cluster->id && !cluster->peers[nodes[i].id])
			err = gvm_peer_create(cluster, &cluster->links, cluster->id, nodes[i].id,
					      &made[i]);
	for (i = 0; made && i < nr; i++) {
		if (err)
			gvm_peer_destroy(made[i]);
		else if (made[i]) /* pairs with the acquire of gvm_cluster_peer(), and beats.c */
			smp_store_release(&cluster->peers[nodes[i].id], made[i]);
	}
	kvfree(made);
	return err;
}

/* There is a peer for each of the list. */
static void peers_list(struct gvm_cluster *cluster, const struct giantvm_node *nodes,
		       unsigned int nr, u8 (*keys)[AUTH_BYTES])
{
	const struct giantvm_node *self = node_find(nodes, nr, cluster->id);
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (nodes[i].id != cluster->id)
			gvm_peer_list(cluster->peers[nodes[i].id], &nodes[i],
				      pair_digest(self, &nodes[i]),
				      cluster->auth ? keys[cluster->pair_keys ? i : 0] : NULL);
}

static void peers_destroy(struct gvm_cluster *cluster)
{
	unsigned int i;

	for (i = 0; cluster->peers && i < GIANTVM_NODES_MAX; i++)
		gvm_peer_destroy(cluster->peers[i]);
	kvfree(cluster->peers);
}

static int keys_extract(struct auth *auth, const u8 *raw, unsigned int bytes, unsigned int nr,
			u8 (*keys)[AUTH_BYTES])
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < nr && !err; i++)
		err = gvm_auth_extract(auth, raw + i * bytes, bytes, keys[i]);
	return err;
}

/* The user's keys, at least one: *out has *nr of AUTH_BYTES, to be freed by keys_free(). */
static int keys_copy(struct auth *auth, const struct giantvm_up *up, u8 (**out)[AUTH_BYTES],
		     unsigned int *nr)
{
	u8 (*keys)[AUTH_BYTES];
	u8 *raw;
	int err;

	*nr = up->flags & GIANTVM_UP_PAIRS ? up->nr_nodes : 1;
	*out = NULL;
	raw = vmemdup_user(u64_to_user_ptr(up->key), (size_t)*nr * up->key_bytes);
	if (IS_ERR(raw))
		return PTR_ERR(raw);
	keys = kvcalloc(*nr, sizeof(*keys), GFP_KERNEL);
	err = keys ? keys_extract(auth, raw, up->key_bytes, *nr, keys) : -ENOMEM;
	memzero_explicit(raw, (size_t)*nr * up->key_bytes);
	kvfree(raw);
	*out = keys;
	return err;
}

static void keys_free(u8 (*keys)[AUTH_BYTES], unsigned int nr)
{
	if (keys)
		memzero_explicit(keys, nr * sizeof(*keys));
	kvfree(keys);
}

static int keys_set(struct gvm_cluster *cluster, const struct giantvm_up *up)
{
	if (!up->key_bytes)
		return 0;
	cluster->pair_keys = up->flags & GIANTVM_UP_PAIRS;
	return gvm_auth_create(&cluster->auth) ?:
	       keys_copy(cluster->auth, up, &cluster->keys, &cluster->nr_keys);
}

static int keys_compare(const struct gvm_cluster *cluster, const struct giantvm_up *up, bool *same)
{
	u8 (*keys)[AUTH_BYTES];
	unsigned int nr;
	int err;

	*same = !cluster->auth == !up->key_bytes &&
		cluster->pair_keys == !!(up->flags & GIANTVM_UP_PAIRS);
	if (!*same || !cluster->auth)
		return 0;
	err = keys_copy(cluster->auth, up, &keys, &nr);
	*same = !err && !crypto_memneq(keys, cluster->keys, nr * sizeof(*keys));
	keys_free(keys, nr);
	return err;
}

static void cluster_listener_ready(struct sock *sk)
{
	struct gvm_cluster *cluster;

	read_lock_bh(&sk->sk_callback_lock);
	cluster = sk->sk_user_data;
	/*
	 * An accepted socket inherits this callback; its user data is NULL until a link takes it
	 * over.
	 */
	if (cluster && sk->sk_state == TCP_LISTEN)
		queue_work(gvm_workqueue, &cluster->accept_work);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void cluster_accept(struct work_struct *work)
{
	struct gvm_cluster *cluster = container_of(work, struct gvm_cluster, accept_work);
	struct socket *socket;

	while (!kernel_accept(cluster->listener, &socket, O_NONBLOCK)) {
		write_lock_bh(&socket->sk->sk_callback_lock);
		socket->sk->sk_user_data = NULL; /* inherited */
		write_unlock_bh(&socket->sk->sk_callback_lock);
		gvm_link_accept(&cluster->links, socket);
		gvm_link_bound_unproven(&cluster->links);
	}
}

/* A socket that listens at that address alone, so that other networks cannot reach it. */
static int listener_create(struct gvm_cluster *cluster, const struct sockaddr_storage *address,
			   struct socket **out)
{
	struct sockaddr_storage where = *address;
	struct socket *socket;
	int err = sock_create_kern(cluster->net, where.ss_family, SOCK_STREAM, IPPROTO_TCP,
				   &socket);

	if (err)
		return err;
	sock_set_reuseaddr(socket->sk);
	err = kernel_bind(socket, gvm_sockaddr(&where), sizeof(where)) ?:
	      kernel_listen(socket, BACKLOG);
	if (err)
		sock_release(socket);
	else
		*out = socket;
	return err;
}

static void listener_end(struct gvm_cluster *cluster)
{
	struct sock *sk;

	if (!cluster->listener)
		return;
	sk = cluster->listener->sk;
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_user_data = NULL;
	sk->sk_data_ready = cluster->links.listener_data_ready;
	write_unlock_bh(&sk->sk_callback_lock);
	cancel_work_sync(&cluster->accept_work);
	sock_release(cluster->listener);
	cluster->listener = NULL;
}

/* Accepts connections from it, also those that have come before. */
static void listener_begin(struct gvm_cluster *cluster, struct socket *socket)
{
	struct sock *sk = socket->sk;

	cluster->listener = socket;
	write_lock_bh(&sk->sk_callback_lock);
	cluster->links.listener_data_ready = sk->sk_data_ready;
	sk->sk_user_data = cluster;
	sk->sk_data_ready = cluster_listener_ready;
	write_unlock_bh(&sk->sk_callback_lock);
	queue_work(gvm_workqueue, &cluster->accept_work);
}

static void port_clear(struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		((struct sockaddr_in *)address)->sin_port = 0;
	else
		((struct sockaddr_in6 *)address)->sin6_port = 0;
}

/*
 * Listens at this node's address of the list, in the place of the one before, and makes connections
 * from there.
 */
static int listener_set(struct gvm_cluster *cluster, const struct giantvm_node *self)
{
	struct sockaddr_storage address;
	struct socket *socket;
	int err;

	gvm_peer_address(self, &address);
	err = listener_create(cluster, &address, &socket);
	if (err)
		return err;
	listener_end(cluster);
	listener_begin(cluster, socket);
	port_clear(&address);
	spin_lock(&cluster->links.lock);
	cluster->links.own = address;
	spin_unlock(&cluster->links.lock);
	return 0;
}

int gvm_cluster_create(const struct giantvm_up *up, const struct link_ops *ops,
		       struct gvm_cluster **out)
{
	static u64 last_serial; /* under the device's mutex */
	struct gvm_cluster *cluster;
	struct giantvm_node *nodes;
	int err;

	err = nodes_take(up, &nodes);
	if (err)
		return err;
	cluster = kzalloc(sizeof(*cluster), GFP_KERNEL);
	if (!cluster) {
		kvfree(nodes);
		return -ENOMEM;
	}
	cluster->serial = ++last_serial;
	cluster->id = up->id;
	cluster->net = get_net(current->nsproxy->net_ns);
	cluster->nodes = nodes[up->nr_nodes - 1].id + 1;
	cluster->homes = kvcalloc(GIANTVM_NODES_MAX, sizeof(*cluster->homes), GFP_KERNEL);
	cluster->peers = kvcalloc(GIANTVM_NODES_MAX, sizeof(*cluster->peers), GFP_KERNEL);
	INIT_WORK(&cluster->accept_work, cluster_accept);
	cluster->list = nodes;
	cluster->nr_nodes = up->nr_nodes;
	cluster->links.ops = ops;
	cluster->links.net = cluster->net;
	cluster->links.nr_nodes = up->nr_nodes;
	gvm_links_init(&cluster->links);
	err = gvm_buffers_init() ?:
	      !cluster->homes || !cluster->peers ? -ENOMEM :
	      any_lends(nodes, up->nr_nodes)	 ? 0 : -EINVAL;
	if (!err)
		homes_set(cluster, nodes, up->nr_nodes);
	err = err ?:
	      keys_set(cluster, up) ?:
	      peers_create(cluster, nodes, up->nr_nodes) ?:
	      gvm_beats_create(cluster->id, GIANTVM_NODES_MAX, cluster->peers, &cluster->beats);
	if (!err)
		peers_list(cluster, nodes, up->nr_nodes, cluster->keys);
	err = err ?: listener_set(cluster, node_find(nodes, up->nr_nodes, cluster->id));
	if (err) {
		gvm_cluster_destroy(cluster);
		return err;
	}
	gvm_info("node %u of %u, %u of them homes\n", cluster->id, up->nr_nodes, cluster->nr_homes);
	if (!cluster->auth)
		gvm_warn("there is no key: any program that reaches this node's port can pose as another node\n");
	*out = cluster;
	return 0;
}

int gvm_cluster_same(const struct gvm_cluster *cluster, const struct giantvm_up *up, bool *same)
{
	struct giantvm_node *nodes;
	int err = nodes_take(up, &nodes);

	if (err)
		return err;
	*same = cluster->id == up->id && cluster->nr_nodes == up->nr_nodes &&
		!memcmp(cluster->list, nodes, up->nr_nodes * sizeof(*nodes));
	kvfree(nodes);
	return *same ? keys_compare(cluster, up, same) : 0;
}

/*
 * Whether the cluster may have that list. -EBUSY: a node has another key. -ENOTEMPTY: a node would
 * be forgotten, or lend nothing any more, that has or keeps pages of a region: `homes` are those
 * that keep pages of this node's regions. A node with which there is no lease has no page that this
 * one is the home of, and keeps none for it.
 */
static int list_follows(const struct gvm_cluster *cluster, const struct giantvm_node *nodes,
			unsigned int nr, u8 (*keys)[AUTH_BYTES], const unsigned long *homes)
{
	const struct giantvm_node *was, *is;
	unsigned int i;

	for (i = 0; i < cluster->nr_nodes; i++) {
		was = &cluster->list[i];
		is = node_find(nodes, nr, was->id);
		if (is && cluster->auth && was->id != cluster->id &&
		    crypto_memneq(keys[cluster->pair_keys ? is - nodes : 0],
				  cluster->peers[was->id]->key, AUTH_BYTES))
			return -EBUSY;
		if ((!is || !(is->roles & GIANTVM_ROLE_MEM)) && test_bit(was->id, homes))
			return -ENOTEMPTY;
		if (!is && ivy_pairs_leases(gvm_beats_pairs(cluster->beats), was->id))
			return -ENOTEMPTY;
	}
	return 0;
}

static bool address_differs(const struct giantvm_node *a, const struct giantvm_node *b)
{
	return a->port != b->port || memcmp(a->address, b->address, sizeof(a->address));
}

/* Ends connections to the nodes that the list lacks. */
static void peers_unlist(struct gvm_cluster *cluster, const struct giantvm_node *nodes,
			 unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < cluster->nr_nodes; i++)
		if (!node_find(nodes, nr, cluster->list[i].id))
			gvm_peer_unlist(cluster->peers[cluster->list[i].id]);
}

static int cluster_take(struct gvm_cluster *cluster, const struct giantvm_up *up,
			struct giantvm_node *nodes, u8 (*keys)[AUTH_BYTES],
			const unsigned long *homes)
{
	const struct giantvm_node *was = node_find(cluster->list, cluster->nr_nodes, cluster->id);
	const struct giantvm_node *self = node_find(nodes, up->nr_nodes, cluster->id);
	int err = any_lends(nodes, up->nr_nodes) ? 0 : -EINVAL;

	err = err ?:
	      list_follows(cluster, nodes, up->nr_nodes, keys, homes) ?:
	      peers_create(cluster, nodes, up->nr_nodes);
	if (err)
		return err;
	peers_unlist(cluster, nodes, up->nr_nodes);
	/* Once more: before it was cut off, a node may have got a lease, and pages. */
	err = list_follows(cluster, nodes, up->nr_nodes, keys, homes);
	if (!err && address_differs(was, self))
		err = listener_set(cluster, self);
	if (err) {
		peers_list(cluster, cluster->list, cluster->nr_nodes, cluster->keys);
		return err;
	}
	peers_list(cluster, nodes, up->nr_nodes, keys);
	homes_set(cluster, nodes, up->nr_nodes);
	WRITE_ONCE(cluster->links.nr_nodes, up->nr_nodes);
	cluster->nodes = nodes[up->nr_nodes - 1].id + 1;
	gvm_info("the list has %u nodes now, %u of them lend memory\n", up->nr_nodes,
		 cluster->nr_homes);
	return 0;
}

int gvm_cluster_change(struct gvm_cluster *cluster, const struct giantvm_up *up,
		       const unsigned long *homes)
{
	u8 (*keys)[AUTH_BYTES] = NULL;
	struct giantvm_node *nodes;
	unsigned int nr_keys = 0;
	int err;

	if (cluster->id != up->id || !cluster->auth != !up->key_bytes ||
	    cluster->pair_keys != !!(up->flags & GIANTVM_UP_PAIRS))
		return -EBUSY;
	err = nodes_take(up, &nodes);
	if (err)
		return err;
	if (cluster->auth)
		err = keys_copy(cluster->auth, up, &keys, &nr_keys);
	if (!err)
		err = cluster_take(cluster, up, nodes, keys, homes);
	if (err) {
		kvfree(nodes);
		keys_free(keys, nr_keys);
		return err;
	}
	kvfree(cluster->list);
	cluster->list = nodes;
	cluster->nr_nodes = up->nr_nodes;
	keys_free(cluster->keys, cluster->nr_keys);
	cluster->keys = keys;
	cluster->nr_keys = nr_keys;
	return 0;
}

void gvm_cluster_destroy(struct gvm_cluster *cluster)
{
	unsigned int i;

	if (!cluster)
		return;
	listener_end(cluster);
	for (i = 0; cluster->peers && i < GIANTVM_NODES_MAX; i++)
		if (cluster->peers[i])
			gvm_peer_shutdown(cluster->peers[i]);
	gvm_links_exit(&cluster->links);
	gvm_beats_destroy(cluster->beats);
	peers_destroy(cluster);
	gvm_buffers_exit();
	gvm_auth_destroy(cluster->auth);
	keys_free(cluster->keys, cluster->nr_keys);
	kvfree(cluster->homes);
	kvfree(cluster->list);
	put_net(cluster->net);
	kfree(cluster);
}

static int home_compare(const void *id, const void *home)
{
	return *(const u16 *)id - *(const u16 *)home;
}

int gvm_cluster_home(const struct gvm_cluster *cluster, u16 id)
{
	const u16 *found;

	found = bsearch(&id, cluster->homes, cluster->nr_homes, sizeof(id), home_compare);
	return found ? found - cluster->homes : -1;
}

struct gvm_peer *gvm_cluster_peer(const struct gvm_cluster *cluster, u16 id)
{
	struct gvm_peer *peer = NULL;

	if (id < GIANTVM_NODES_MAX)
		peer = smp_load_acquire(&cluster->peers[id]); /* see peers_create() */
	return peer && READ_ONCE(peer->listed) ? peer : NULL;
}
