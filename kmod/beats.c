// SPDX-License-Identifier: GPL-2.0
/* The renewal of leases of all regions at once: see beats.h. */
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "beats.h"
#include "compat.h"
#include "ivy/pairs.h"
#include "params.h"
#include "peer.h"
#include "workers.h"

struct beats {
	spinlock_t lock; /* below a region's, above a peer's; taken in softirqs too */
	struct ivy_pairs *pairs; /* under lock */
	struct gvm_peer **peers;
	u16 nodes;
	bool over; /* the timer is not set any more; under lock */
	struct hrtimer timer;
	struct work_struct work;
};

static void beats_lock(void *context)
	__acquires(&((struct beats *)context)->lock)
{
	struct beats *beats = context;

	spin_lock_bh(&beats->lock);
}

static void beats_unlock(void *context)
	__releases(&((struct beats *)context)->lock)
{
	struct beats *beats = context;

	spin_unlock_bh(&beats->lock);
}

static void beats_send(void *context, u16 to, const struct ivy_msg *m)
{
	struct beats *beats = context;
	/* The list may change meanwhile: see cluster.c, peers_create(). */
	struct gvm_peer *peer = to < beats->nodes ? smp_load_acquire(&beats->peers[to]) : NULL;

	if (!peer || !READ_ONCE(peer->listed))
		return;
	gvm_peer_queue(peer, 0, m, NULL, NULL);
	gvm_peer_transmit_later(peer);
}

static u64 beats_now(void *context)
{
	return ktime_get_boottime_ns();
}

static void beats_wake(void *context, u64 at_ns)
{
	struct beats *beats = context;

	if (!beats->over)
		hrtimer_start(&beats->timer, ns_to_ktime(at_ns), HRTIMER_MODE_ABS);
}

static void *beats_alloc(void *context, size_t bytes)
{
	return kzalloc(bytes, GFP_ATOMIC | __GFP_NOWARN);
}

static void beats_free(void *context, void *memory, size_t bytes)
{
	kfree(memory);
}

static const struct ivy_pairs_env beats_env = {
	.lock = beats_lock,
	.unlock = beats_unlock,
	.send = beats_send,
	.now = beats_now,
	.wake = beats_wake,
	.alloc = beats_alloc,
	.free = beats_free,
};

/* Waits neither for memory nor for a peer. */
static void beats_work_run(struct work_struct *work)
{
	struct beats *beats = container_of(work, struct beats, work);

	ivy_pairs_tick(beats->pairs);
}

static enum hrtimer_restart beats_timer_run(struct hrtimer *timer)
{
	struct beats *beats = container_of(timer, struct beats, timer);

	queue_work(gvm_urgent, &beats->work);
	return HRTIMER_NORESTART;
}

int gvm_beats_create(u16 id, u16 nodes, struct gvm_peer **peers, struct beats **out)
{
	struct ivy_pairs_params params = {
		.id = id,
		.nodes = nodes,
		.start = get_random_u64() | 1,
		.lease_ns = gvm_params_lease_ns(),
		.retry_ns = gvm_params_retry_ns(),
	};
	struct beats *beats = kzalloc(sizeof(*beats), GFP_KERNEL);
	int err;

	if (!beats)
		return -ENOMEM;
	spin_lock_init(&beats->lock);
	beats->peers = peers;
	beats->nodes = nodes;
	INIT_WORK(&beats->work, beats_work_run);
	hrtimer_setup(&beats->timer, beats_timer_run, CLOCK_BOOTTIME, HRTIMER_MODE_ABS);
	err = ivy_pairs_create(&params, &beats_env, beats, &beats->pairs);
	if (err) {
		kfree(beats);
		return err;
	}
	*out = beats;
	return 0;
}

void gvm_beats_destroy(struct beats *beats)
{
	if (!beats)
		return;
	/* What is still to be carried for others would have the work set it again. */
	spin_lock_bh(&beats->lock);
	beats->over = true;
	spin_unlock_bh(&beats->lock);
	hrtimer_cancel(&beats->timer);
	cancel_work_sync(&beats->work);
	ivy_pairs_destroy(beats->pairs);
	kfree(beats);
}

struct ivy_pairs *gvm_beats_pairs(struct beats *beats)
{
	return beats->pairs;
}
