// SPDX-License-Identifier: GPL-2.0-or-later
/* sealing.c - see sealing.h. */
#include "sealing.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int sealing_load(struct sealing *s, const char *path)
{
	uint8_t *read = NULL;
	int r = seal_key_load(path, &read, &s->bytes);

	if (r < 0)
		return r;
	s->key = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->key == MAP_FAILED)
		r = -ENOMEM;
	else if (madvise(s->key, s->bytes, MADV_DONTDUMP) < 0 || madvise(s->key, s->bytes, MADV_WIPEONFORK) < 0)
		r = -EOPNOTSUPP; /* Linux before 4.14 */
	if (!r) {
		/* It fails beyond RLIMIT_MEMLOCK: then the key may be swapped out, as the guest's memory may. */
		(void)!mlock(s->key, s->bytes);
		memcpy(s->key, read, s->bytes);
		r = seal_key_id(s->key, s->bytes, &s->id);
	}
	explicit_bzero(read, s->bytes);
	free(read);
	return r;
}

void sealing_pass_on(const struct sealing *s, bool pass_on)
{
	/* An error is found out later: a wiped key has another id. */
	if (s)
		madvise(s->key, s->bytes, pass_on ? MADV_KEEPONFORK : MADV_WIPEONFORK);
}

void sealing_forget(const struct sealing *s)
{
	if (s)
		explicit_bzero(s->key, s->bytes);
}

void sealing_dump_nothing(const struct sealing *s)
{
	int fd = s ? open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC) : -1;

	if (s && (fd < 0 || write(fd, "0", 1) < 0))
		log_warning(NULL, "a core dump would show what sealing protects: /proc/self/coredump_filter: %s",
			    strerror(errno));
	if (fd >= 0)
		close(fd);
}

struct seal_known *sealing_known(const struct inode *inode, uint64_t chunk)
{
	const struct journal_inode *d = inode->disk;

	return d->epoch && inode->known && d->found != SEAL_FOUND_PLAIN ? &inode->known[chunk] : NULL;
}

void sealing_expect(struct sealer *s, const struct seal_known *known, unsigned page)
{
	if (known)
		(void)*(const volatile uint64_t *)&known->page[page];
	seal_expect(s);
}

/* One store for each entry, since a worker may be killed between any two instructions. */
static void known_put(struct seal_known *known, unsigned page, uint64_t value)
{
	journal_publish64(&known->page[page], value);
}

void sealing_learn(struct seal_known *known, const struct chunk_head *head, uint32_t pages)
{
	for (; known && pages; pages &= pages - 1) {
		unsigned p = (unsigned)__builtin_ctz(pages);

		if (known->page[p] == SEAL_UNKNOWN)
			known_put(known, p, seal_page_of(head, p));
	}
}

void sealing_set(struct seal_known *known, const struct seal_known *sent)
{
	for (unsigned p = 0; known && p < GVM_CHUNK_PAGES; p++)
		if (sent->page[p] != SEAL_UNKNOWN)
			known_put(known, p, sent->page[p]);
}
