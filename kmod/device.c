// SPDX-License-Identifier: GPL-2.0
/* /dev/giantvm and its calls: see uapi/giantvm.h. */
#include <linux/bitmap.h>
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "agree.h"
#include "cluster.h"
#include "device.h"
#include "inode.h"
#include "membership.h"
#include "opening.h"
#include "peer.h"
#include "receive.h"
#include "region.h"
#include "stats.h"
#include "tell.h"

#define ASK_AGAIN_MS_MIN 20 /* a share may be opened by another node meanwhile */
#define ASK_AGAIN_MS_MAX 500
#define ANSWER_MS 1000 /* minimum wait for the homes, even with wait_ms == 0 */
#define ELSEWHERE_MS_MAX 5000 /* a creator's wait for nodes that are no homes of its region */

static int device_up_first(const struct giantvm_up *up)
{
	int err = gvm_inodes_up();

	if (err)
		return err;
	err = gvm_cluster_create(up, &gvm_receive_ops, &gvm_membership.cluster);
	if (err)
		gvm_inodes_down();
	return err;
}

/* Takes another list, while regions are in use. */
static int device_change(const struct giantvm_up *up)
{
	unsigned long *homes = bitmap_zalloc(GIANTVM_NODES_MAX, GFP_KERNEL);
	struct gvm_region *region;
	unsigned int i;
	int err;

	if (!homes)
		return -ENOMEM;
	for (region = gvm_region_next(NULL); region; region = gvm_region_next(region))
		for (i = 0; i < region->homes.nr; i++)
			__set_bit(region->homes.ids[i], homes);
	err = gvm_cluster_change(gvm_membership.cluster, up, homes);
	bitmap_free(homes);
	return err;
}

static long device_up(void __user *argument)
{
	struct giantvm_up up;
	bool same;
	int err;

	if (copy_from_user(&up, argument, sizeof(up)))
		return -EFAULT;
	if (!gvm_membership.cluster)
		return device_up_first(&up);
	if (gvm_membership.going_down)
		return -EALREADY;
	err = gvm_cluster_same(gvm_membership.cluster, &up, &same);
	if (err)
		return err;
	return same ? 0 : device_change(&up);
}

/* Leaves a closed region; drops the mutex while its pages go home. */
static int device_part(struct gvm_region *region, bool forced)
{
	int err;

	mutex_unlock(&gvm_membership.mutex);
	err = gvm_region_empty(region, forced);
	mutex_lock(&gvm_membership.mutex);
	if (err)
		return err;
	/* An incomplete region is of no use without its creator: homes need not keep it. */
	if (region->opening.creates && !gvm_opening_completed(region))
		gvm_tell_withdraw(region, region->number);
	gvm_region_end(region);
	return 0;
}

static int device_leave_region(struct gvm_region *region)
{
	int err = gvm_region_shut(region);

	if (err)
		return err;
	err = device_part(region, false);
	if (err)
		gvm_region_reopen(region);
	return err;
}

/* Reopens the regions before `until`; NULL: all. */
static void regions_reopen(const struct gvm_region *until)
{
	struct gvm_region *region;

	for (region = gvm_region_next(NULL); region && region != until;
	     region = gvm_region_next(region))
		gvm_region_reopen(region);
	if (region)
		gvm_region_put(region);
}

/* Closes all regions, or none. */
static int regions_close(void)
{
	struct gvm_region *region;
	int err;

	for (region = gvm_region_next(NULL); region; region = gvm_region_next(region)) {
		err = gvm_region_shut(region);
		if (err) {
			regions_reopen(region);
			gvm_region_put(region);
			return err;
		}
	}
	return 0;
}

static int regions_part(bool forced)
{
	struct gvm_region *region;
	int err = regions_close();

	while (!err && (region = gvm_region_next(NULL))) {
		err = device_part(region, forced);
		gvm_region_put(region);
		if (err)
			regions_reopen(NULL);
	}
	return err;
}

static long device_down(bool forced)
{
	int err;

	if (gvm_membership.going_down)
		return -EALREADY;
	gvm_membership.going_down = true;
	err = regions_part(forced);
	gvm_membership.going_down = false;
	if (err)
		return err;
	gvm_agree_down();
	if (gvm_membership.cluster) {
		gvm_cluster_destroy(gvm_membership.cluster);
		gvm_membership.cluster = NULL;
		gvm_inodes_down();
	}
	return 0;
}

/* Asks, and waits for the answers with the mutex dropped; it is held again on return. */
static long device_agree(struct agreement *agreement, unsigned int wait_ms)
{
	const struct gvm_region *region = agreement->region;
	unsigned int turn_ms = ASK_AGAIN_MS_MIN;
	int ended = 0;

	for (; !ended && wait_ms; turn_ms = min(2 * turn_ms, ASK_AGAIN_MS_MAX)) {
		gvm_agree_send(agreement, gvm_membership.cluster);
		turn_ms = min(turn_ms, wait_ms);
		wait_ms -= turn_ms;
		mutex_unlock(&gvm_membership.mutex);
		ended = gvm_agree_wait(agreement, turn_ms);
		mutex_lock(&gvm_membership.mutex);
		if (agreement->over)
			return -ENOTCONN;
		if (gvm_membership.going_down || (region && atomic_read(&region->opened) < 0))
			return -EALREADY;
	}
	return min(ended, 0);
}

static long device_offer(struct gvm_region *region, bool creates, unsigned int wait_ms, u32 *number)
{
	struct agreement agreement;
	long err;

	gvm_agree_offer_begin(&agreement, region);
	*number = agreement.question.number;
	WRITE_ONCE(region->number, *number);
	err = device_agree(&agreement, wait_ms ?: ANSWER_MS);
	gvm_agree_end(&agreement);
	if (err)
		return err;
	if (agreement.differs)
		return -EEXIST;
	if (agreement.refused)
		return agreement.full ? -ENOSPC : -EREMOTEIO;
	if (creates && gvm_opening_spoilt(region))
		return -EAGAIN;
	if (wait_ms && !gvm_opening_ended(region))
		return gvm_opening_answered(region) ? -EINPROGRESS : -EHOSTUNREACH;
	return 0;
}

/* The region of a name, as it is here or at a home. */
struct found {
	u64 pages, id;
	struct home_list homes;
	bool complete;
};

static bool device_find_here(const char *name, struct found *found)
{
	struct gvm_region *region = gvm_region_find(name);

	if (!region)
		return false;
	if (found)
		*found = (struct found){ region->pages, region->id, region->homes,
					 gvm_opening_completed(region) };
	gvm_region_put(region);
	return true;
}

static long device_find(const char *name, unsigned int wait_ms, struct found *found)
{
	struct agreement agreement;
	long err;

	if (device_find_here(name, found))
		return 0;
	err = gvm_agree_ask(&agreement, gvm_membership.cluster, name);
	if (err)
		return err;
	err = device_agree(&agreement, wait_ms);
	gvm_agree_end(&agreement);
	if (err)
		return err;
	if (!agreement.pages)
		return agreement.nr_silent ? -EHOSTUNREACH : -ENOENT;
	*found = (struct found){ agreement.pages, agreement.id, agreement.homes,
				 agreement.complete };
	return 0;
}

static long wish_check(const struct giantvm_region *wish, bool creates)
{
	if (!gvm_region_name_valid(wish->name) || wish->size_bytes & ~PAGE_MASK ||
	    wish->open_flags & ~O_CLOEXEC || (creates && !wish->size_bytes))
		return -EINVAL;
	if (wish->nr_homes > (creates ? GIANTVM_HOMES_MAX : 0) || wish->reserved ||
	    wish->reserved2)
		return -EINVAL;
	if (!gvm_membership.cluster)
		return -ENOTCONN;
	return gvm_membership.going_down ? -EALREADY : 0;
}

static int by_id(const void *a, const void *b)
{
	return *(const u16 *)a - *(const u16 *)b;
}

/* The homes that the user asks for, or some. */
static long homes_wanted(const struct giantvm_region *wish, struct home_list *homes)
{
	if (!wish->nr_homes) {
		gvm_homes_choose(homes, gvm_membership.cluster, wish->name);
		return 0;
	}
	*homes = (struct home_list){
		.nr = wish->nr_homes,
		.relays = gvm_membership.cluster->nodes,
	};
	memcpy(homes->ids, wish->homes, wish->nr_homes * sizeof(*homes->ids));
	sort(homes->ids, homes->nr, sizeof(*homes->ids), by_id, NULL);
	return gvm_homes_known(homes, gvm_membership.cluster) ? 0 : -EADDRNOTAVAIL;
}

/*
 * The creator's homes may have no region of that name, and others have one: -EEXIST. A node that
 * does not answer is no reason not to create it, and its silence leaves the homes at least half of
 * the time. A region that is not complete may be the former try of this node: the homes decide
 * (agree.h).
 */
static long homes_elsewhere(const struct giantvm_region *wish, const struct home_list *homes)
{
	unsigned int wait_ms = wish->wait_ms ? min_t(u32, wish->wait_ms / 2, ELSEWHERE_MS_MAX) :
					       ANSWER_MS;
	struct found other;
	long err;

	if (homes->nr >= gvm_membership.cluster->nr_homes)
		return 0;
	err = device_find(wish->name, wait_ms, &other);
	if (!err)
		return other.complete ? -EEXIST : 0;
	return err == -ENOENT || err == -EHOSTUNREACH ? 0 : err;
}

/* Joins the region on this node if need be; agreement with the homes comes after (device_offer). */
static long device_join_here(const struct giantvm_region *wish, bool creates,
			     struct gvm_region **region)
{
	struct found found = {
		.pages = wish->size_bytes >> PAGE_SHIFT,
		.id = get_random_u64() | 1, /* 0 means no region */
	};
	struct region_wish which = { .name = wish->name };
	bool was_here;
	long err = 0;

	if (creates) {
		err = homes_wanted(wish, &found.homes) ?: homes_elsewhere(wish, &found.homes);
	} else {
		err = device_find(wish->name, max_t(unsigned int, wish->wait_ms, ANSWER_MS),
				  &found);
	}
	if (err)
		return err;
	if (wish->size_bytes && found.pages != wish->size_bytes >> PAGE_SHIFT)
		return -EEXIST;
	which.pages = found.pages;
	which.id = found.id;
	which.homes = found.homes;
	was_here = device_find_here(wish->name, NULL);
	err = gvm_region_join(gvm_membership.cluster, &which, region);
	if (err)
		return err;
	(*region)->made |= !was_here;
	if (found.complete)
		gvm_opening_complete(*region);
	return gvm_opening_begin(*region, creates);
}

/*
 * A call has failed: its offer is withdrawn, and the region left. The region stays if it was here
 * before, or another call has joined it or waits for it; a creator then does not withdraw its
 * offer.
 */
static void device_give_up(struct gvm_region *region, u32 number, u32 before)
{
	bool stays = !region->made || region->joined || region->joining ||
		     device_leave_region(region);

	if (stays && region->opening.creates)
		return;
	gvm_tell_withdraw(region, number);
	if (region->number == number)
		WRITE_ONCE(region->number, before);
}

/* At least 1, except that 0 stays 0. */
static unsigned int wait_left_ms(unsigned int wait_ms, unsigned long begun)
{
	unsigned int waited_ms = jiffies_to_msecs(jiffies - begun);

	return wait_ms > waited_ms ? wait_ms - waited_ms : !!wait_ms;
}

static long device_join(void __user *argument, bool creates)
{
	struct giantvm_region wish;
	struct gvm_region *region = NULL;
	unsigned long begun = jiffies;
	u32 number = 0, before;
	long result;

	if (copy_from_user(&wish, argument, sizeof(wish)))
		return -EFAULT;
	result = wish_check(&wish, creates);
	if (!result)
		result = device_join_here(&wish, creates, &region);
	if (!region)
		return result;
	before = region->number;
	region->joining++;
	if (!result)
		result = device_offer(region, creates, wait_left_ms(wish.wait_ms, begun), &number);
	region->joining--;
	if (!result)
		result = gvm_region_descriptor(region, wish.open_flags);
	if (result >= 0) {
		region->joined = true;
		gvm_region_keep(region);
	} else if (result != -ENOTCONN) {
		device_give_up(region, number, before);
	}
	gvm_region_put(region);
	return result == -ENOENT ? -EALREADY : result; /* it was left meanwhile */
}

static long device_lookup(void __user *argument)
{
	struct giantvm_lookup lookup;
	struct found found;
	long err;

	if (copy_from_user(&lookup, argument, sizeof(lookup)))
		return -EFAULT;
	if (lookup.reserved || !gvm_region_name_valid(lookup.name))
		return -EINVAL;
	if (!gvm_membership.cluster)
		return -ENOTCONN;
	err = device_find(lookup.name, lookup.wait_ms, &found);
	if (err)
		return err;
	lookup.size_bytes = found.pages << PAGE_SHIFT;
	return copy_to_user(argument, &lookup, sizeof(lookup)) ? -EFAULT : 0;
}

static long device_leave(void __user *argument)
{
	struct giantvm_leave leave;
	struct gvm_region *region;
	int err;

	if (copy_from_user(&leave, argument, sizeof(leave)))
		return -EFAULT;
	if (leave.reserved || !gvm_region_name_valid(leave.name))
		return -EINVAL;
	region = gvm_region_find(leave.name);
	if (!region)
		return -ENOENT;
	err = device_leave_region(region);
	gvm_region_put(region);
	return err;
}

static long device_stats(void __user *argument)
{
	struct giantvm_stats stats;
	struct gvm_region *region;

	if (copy_from_user(&stats, argument, sizeof(stats)))
		return -EFAULT;
	if (!gvm_region_name_valid(stats.name))
		return -EINVAL;
	region = gvm_region_find(stats.name);
	if (!region)
		return -ENOENT;
	gvm_stats_get(region, &stats);
	gvm_region_put(region);
	return copy_to_user(argument, &stats, sizeof(stats)) ? -EFAULT : 0;
}

static int info_nodes(const struct giantvm_info *info, unsigned int room)
{
	struct giantvm_node_info __user *out = u64_to_user_ptr(info->nodes);
	const struct gvm_cluster *cluster = gvm_membership.cluster;
	unsigned int i;

	for (i = 0; i < cluster->nr_nodes && i < room; i++) {
		struct giantvm_node_info node = { .node = cluster->list[i] };
		struct gvm_peer *peer = gvm_cluster_peer(cluster, node.node.id);

		if (!peer)
			node.flags = GIANTVM_NODE_SELF;
		else if (gvm_peer_connected(peer))
			node.flags = GIANTVM_NODE_CONNECTED;
		if (copy_to_user(&out[i], &node, sizeof(node)))
			return -EFAULT;
	}
	return 0;
}

static int info_regions(const struct giantvm_info *info, unsigned int room, unsigned int *nr)
{
	char (__user *out)[GIANTVM_NAME_BYTES] = u64_to_user_ptr(info->regions);
	struct gvm_region *region;

	*nr = 0;
	for (region = gvm_region_next(NULL); region; region = gvm_region_next(region)) {
		if (*nr < room && copy_to_user(out[*nr], region->name, sizeof(region->name))) {
			gvm_region_put(region);
			return -EFAULT;
		}
		++*nr;
	}
	return 0;
}

static long device_info(void __user *argument)
{
	unsigned int nodes_room;
	struct giantvm_info info;
	int err;

	if (copy_from_user(&info, argument, sizeof(info)))
		return -EFAULT;
	nodes_room = info.nr_nodes;
	info.abi = GIANTVM_ABI;
	info.id = gvm_membership.cluster ? gvm_membership.cluster->id : GIANTVM_ID_NONE;
	info.nr_nodes = gvm_membership.cluster ? gvm_membership.cluster->nr_nodes : 0;
	info.flags = gvm_membership.cluster && gvm_membership.cluster->auth ? GIANTVM_INFO_KEY : 0;
	err = gvm_membership.cluster ? info_nodes(&info, nodes_room) : 0;
	if (!err)
		err = info_regions(&info, info.nr_regions, &info.nr_regions);
	if (err)
		return err;
	return copy_to_user(argument, &info, sizeof(info)) ? -EFAULT : 0;
}

static long device_call(unsigned int command, void __user *argument)
{
	switch (command) {
	case GIANTVM_UP:
		return device_up(argument);
	case GIANTVM_DOWN:
		return (unsigned long)argument & ~1ul ? -EINVAL : device_down(argument);
	case GIANTVM_JOIN:
		return device_join(argument, false);
	case GIANTVM_CREATE:
		return device_join(argument, true);
	case GIANTVM_LEAVE:
		return device_leave(argument);
	case GIANTVM_STATS:
		return device_stats(argument);
	case GIANTVM_INFO:
		return device_info(argument);
	case GIANTVM_LOOKUP:
		return device_lookup(argument);
	}
	return -ENOTTY;
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	long result;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	result = mutex_lock_killable(&gvm_membership.mutex);
	if (result)
		return result;
	result = device_call(command, (void __user *)argument);
	mutex_unlock(&gvm_membership.mutex);
	return result;
}

static const struct file_operations device_files = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "giantvm",
	.fops = &device_files,
	.mode = 0600,
};

int gvm_device_init(void)
{
	return misc_register(&device);
}

void gvm_device_exit(void)
{
	misc_deregister(&device); /* nothing is up: that keeps the module loaded */
}
