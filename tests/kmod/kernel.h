/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel.h - as much of the kernel's interfaces as it takes to compile, in user space, those files
 * of kmod/ that decide about connections and regions, as they are: frame.c, handshake.c, agree.c,
 * opening.c and what these stand on. The names in include/ that user space
 * has no header for are links to this file.
 *
 * One thread runs everything, so locks are nothing. A work that is queued is marked, and whoever
 * tests the module runs it when it likes. Memory is the test's, too.
 */
#ifndef TEST_KMOD_KERNEL_H
#define TEST_KMOD_KERNEL_H

#include "kmod/ivy/wire.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <asm/types.h>

typedef int32_t s32;

#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define READ_ONCE(x)		      (x)
#define WRITE_ONCE(x, v)	      ((x) = (v))
#define min(a, b)		      ((a) < (b) ? (a) : (b))
#define U32_MAX			      UINT32_MAX
#define PAGE_SHIFT		      12
#define memzero_explicit(at, bytes)   explicit_bzero(at, bytes)
#define MAX_LFS_FILESIZE	      INT64_MAX
#define __acquires(lock)
#define __releases(lock)

static inline void cond_resched(void)
{
}

static inline void strscpy(void *to, const char *from, size_t bytes)
{
	size_t length = strnlen(from, bytes - 1);

	memcpy(to, from, length);
	((char *)to)[length] = 0;
}

/* The first byte that is another one. */
static inline const void *memchr_inv(const void *bytes, int other, size_t n)
{
	for (const u8 *at = bytes; n--; at++)
		if (*at != other)
			return at;
	return NULL;
}

/* ---- numbers in bytes (linux/unaligned.h); compat.h is for the kernel alone ---- */

#define GVM_COMPAT_H

static inline void bytes_put(u64 value, u8 *at, int bytes)
{
	for (; bytes--; value >>= 8)
		*at++ = (u8)value;
}

static inline u64 bytes_get(const u8 *at, int bytes)
{
	u64 value = 0;

	while (bytes--)
		value = value << 8 | at[bytes];
	return value;
}

#define put_unaligned_le16(value, at) bytes_put(value, at, 2)
#define put_unaligned_le32(value, at) bytes_put(value, at, 4)
#define put_unaligned_le64(value, at) bytes_put(value, at, 8)
#define get_unaligned_le16(at)	      ((u16)bytes_get(at, 2))
#define get_unaligned_le32(at)	      ((u32)bytes_get(at, 4))
#define get_unaligned_le64(at)	      bytes_get(at, 8)

/* ---- locks, counts ---- */

typedef struct {
	char none;
} spinlock_t;
struct mutex {
	char none;
};

#define DEFINE_SPINLOCK(name)	  spinlock_t name
#define spin_lock(lock)		  ((void)(lock))
#define mutex_init(lock)	  ((void)(lock))
#define mutex_lock(lock)	  ((void)(lock))
#define mutex_unlock(lock)	  ((void)(lock))
#define mutex_destroy(lock)	  ((void)(lock))
#define spin_unlock(lock)	  ((void)(lock))
#define spin_lock_bh(lock)	  ((void)(lock))
#define spin_unlock_bh(lock)	  ((void)(lock))
#define lockdep_assert_held(lock) ((void)(lock))
#define rcu_read_lock()		  ((void)0)
#define rcu_read_unlock()	  ((void)0)
#define synchronize_rcu()	  ((void)0)

typedef struct {
	int n;
} atomic_t;
typedef struct {
	long n;
} atomic_long_t;

#define atomic_read(a)	     ((a)->n)
#define atomic_inc_return(a) (++(a)->n)
#define atomic_dec(a)	     ((a)->n--)
#define atomic_sub(m, a)     ((a)->n -= (m))
#define atomic_long_read(a)  ((a)->n)

static inline int atomic_cmpxchg(atomic_t *a, int from, int to)
{
	int was = a->n;

	if (was == from)
		a->n = to;
	return was;
}

struct kref {
	int n;
};

static inline void kref_init(struct kref *ref)
{
	ref->n = 1;
}

static inline void kref_get(struct kref *ref)
{
	ref->n++;
}

static inline void kref_put(struct kref *ref, void (*release)(struct kref *ref))
{
	if (!--ref->n)
		release(ref);
}

/* ---- lists ---- */

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD(name) struct list_head name = {&name, &name}
#define list_entry(p, type, member) container_of(p, type, member)
#define list_first_entry_or_null(head, type, member)                                               \
	((head)->next == (head) ? NULL : list_entry((head)->next, type, member))
#define list_for_each_entry(entry, head, member)                                                   \
	for (entry = list_entry((head)->next, __typeof__(*entry), member); &entry->member != (head); \
	     entry = list_entry(entry->member.next, __typeof__(*entry), member))

static inline void list_add(struct list_head *entry, struct list_head *head)
{
	entry->next = head->next;
	entry->prev = head;
	head->next->prev = entry;
	head->next = entry;
}

static inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
	list_add(entry, head->prev);
}

static inline void list_del_init(struct list_head *entry)
{
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
	entry->next = entry->prev = entry;
}

#define list_del(entry) list_del_init(entry)

/* ---- memory: the test's ---- */

enum { GFP_KERNEL, GFP_NOIO, __GFP_NORETRY = 0, __GFP_NOMEMALLOC = 0, __GFP_NOWARN = 0 };

void *test_alloc(size_t bytes); /* zeroed; NULL: there is none */
void test_free(const void *p);

#define kmalloc(bytes, gfp)	test_alloc((bytes) + !sizeof(gfp))
#define kvcalloc(n, bytes, gfp) test_alloc((n) * (bytes) + !sizeof(gfp))
/* Of nodes, of which there are few here. */
#define bitmap_zalloc(n, gfp)	test_alloc((n) * 0 + 8 + !sizeof(gfp))
#define kfree(p)		test_free(p)
#define kvfree(p)		test_free(p)
#define bitmap_free(p)		test_free(p)

static inline void __set_bit(unsigned int bit, unsigned long *map)
{
	map[bit / 64] |= 1ul << bit % 64;
}

static inline bool test_bit(unsigned int bit, const unsigned long *map)
{
	return map[bit / 64] >> bit % 64 & 1;
}

static inline bool __test_and_clear_bit(unsigned int bit, unsigned long *map)
{
	bool was = test_bit(bit, map);

	map[bit / 64] &= ~(1ul << bit % 64);
	return was;
}

/* ---- a few entries by number ---- */

#define XA_ENTRIES 8

struct xarray {
	struct {
		unsigned long at;
		const void *entry; /* or XA_RESERVED */
	} entries[XA_ENTRIES];
};

#define DEFINE_XARRAY(name) struct xarray name
#define XA_RESERVED	    ((const void *)1)

static inline const void **xa_find_entry(struct xarray *array, unsigned long at, bool used)
{
	for (unsigned int i = 0; i < XA_ENTRIES; i++)
		if (!array->entries[i].entry ? !used : used && array->entries[i].at == at) {
			array->entries[i].at = at;
			return &array->entries[i].entry;
		}
	return NULL;
}

static inline void *xa_load(struct xarray *array, unsigned long at)
{
	const void **found = xa_find_entry(array, at, true);

	return found && *found != XA_RESERVED ? (void *)*found : NULL;
}

static inline int xa_reserve(struct xarray *array, unsigned long at, int gfp)
{
	const void **found = xa_find_entry(array, at, true) ?: xa_find_entry(array, at, false);

	if (found && !*found)
		*found = XA_RESERVED;
	return found ? gfp : -ENOMEM;
}

static inline void xa_erase(struct xarray *array, unsigned long at)
{
	const void **found = xa_find_entry(array, at, true);

	if (found)
		*found = NULL;
}

#define xa_release(array, at) xa_erase(array, at)
#define xa_store(array, at, value, gfp) (*xa_find_entry(array, at, true) = (value), (void)(gfp))

/* ---- works, waiting ---- */

struct work_struct {
	void (*run)(struct work_struct *work);
	bool queued;
};
struct delayed_work {
	struct work_struct work;
};
struct workqueue_struct;
struct hrtimer {
	char none;
};
typedef struct {
	char none;
} wait_queue_head_t;

#define DECLARE_WORK(name, function)	       struct work_struct name = {.run = function}
#define INIT_DELAYED_WORK(delayed, function)   ((delayed)->work.run = (function))
#define queue_work(queue, one)		       ((void)(queue), (one)->queued = true)
#define queue_delayed_work(queue, delayed, in) ((void)(queue), (void)(in), (delayed)->work.queued = true)
#define mod_delayed_work(queue, delayed, in)   queue_delayed_work(queue, delayed, in)
#define cancel_delayed_work_sync(delayed)      ((delayed)->work.queued = false)
#define DECLARE_WAIT_QUEUE_HEAD(name)	       wait_queue_head_t name
#define wake_up_all(queue)		       ((void)(queue))
#define msecs_to_jiffies(ms)		       (ms)
#define wait_event_interruptible_timeout(queue, condition, in)                                      \
	((void)(queue), (void)(in), (condition) ? 1l : 0l)

/* ---- what the test decides ---- */

u64 ktime_get_real_ns(void);
u64 get_random_u64(void);
void get_random_bytes(void *to, size_t bytes);
void test_log(const char *format, ...);

#define pr_info(...)		test_log(__VA_ARGS__)
#define pr_warn_ratelimited(...) test_log(__VA_ARGS__)

static inline bool crypto_memneq(const void *a, const void *b, size_t bytes)
{
	return memcmp(a, b, bytes);
}

struct kvec {
	void *iov_base;
	size_t iov_len;
};

#endif
