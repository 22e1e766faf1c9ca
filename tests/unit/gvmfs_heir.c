// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_heir.c - a start of gvmfs at a place whose supervisor was killed: how it ends where the worker there does not see that. */
#include "base/log.h"
#include "check.h"
#include "heir.h"
#include "state/lookout.h"
#include "uffd/listener.h"
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>

static struct stop stop;
static struct mount mount;
static struct journal journal;
static bool left, lives; /* the place: its supervisor was killed; it answers */
static unsigned looks, ends_at; /* the start is to end at this look; 0: it is not */
static char log_text[4096];

/* ---- what it calls */

int place_open(const char *dir, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s", dir);
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int place_identify(int fd, struct place_mount *m)
{
	(void)fd;
	memset(m, 0, sizeof(*m));
	return 0;
}

bool place_lives(const char *path, struct stop *s)
{
	(void)path;
	(void)s;
	return lives;
}

/* Where nobody listens. */
int listener_folder(char *folder, size_t size)
{
	snprintf(folder, size, "/nowhere");
	return 0;
}

bool upgrade_is_left(dev_t dev)
{
	(void)dev;
	return left;
}

int stop_wait(struct stop *s, int fd, int ms)
{
	(void)s;
	(void)fd;
	(void)ms;
	return ++looks == ends_at ? -ECANCELED : 0;
}

int journal_attach(struct journal *j, int fd)
{
	(void)j;
	(void)fd;
	CHECK(!"called");
	return 0;
}

void journal_detach(const struct journal *j)
{
	(void)j;
	CHECK(!"called");
}

void lookout_leave(const struct journal *j, int pid)
{
	(void)j;
	(void)pid;
	CHECK(!"called");
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	size_t n = strlen(log_text);
	va_list ap;

	(void)site;
	(void)level;
	(void)object;
	va_start(ap, fmt);
	vsnprintf(log_text + n, sizeof(log_text) - n, fmt, ap);
	va_end(ap);
}

/* ---- */

static int ask(bool is_left, bool is_there, unsigned until)
{
	left = is_left;
	lives = is_there;
	ends_at = until;
	looks = 0;
	log_text[0] = 0;
	return heir_ask("/mnt", &mount, &journal, &stop);
}

/* (The caller mounts.) */
static void a_free_place_has_no_heir(void)
{
	CHECK_EQ(ask(false, true, 0), 0);
	CHECK(!looks && !*log_text);
	CHECK_EQ(ask(true, false, 0), 0); /* both were killed */
	CHECK(!looks && !*log_text);
}

static void waiting_in_vain_says_for_what(void)
{
	CHECK_EQ(ask(true, true, 0), -ETIMEDOUT);
	CHECK(looks && strstr(log_text, "/mnt: waits until the worker there has seen"));
	CHECK(strstr(log_text, "/mnt: gvmfs is mounted there, its supervisor was killed, and its worker has not seen that"));
}

static void waiting_ends_on_request(void)
{
	CHECK_EQ(ask(true, true, 3), -ECANCELED);
	CHECK_EQ(looks, 3);
	CHECK(!strstr(log_text, "has not seen that"));
}

static const struct check_test tests[] = {
	{"a-free-place-has-no-heir", a_free_place_has_no_heir},
	{"waiting-in-vain-says-for-what", waiting_in_vain_says_for_what},
	{"waiting-ends-on-request", waiting_ends_on_request},
};
CHECK_MAIN(tests)
