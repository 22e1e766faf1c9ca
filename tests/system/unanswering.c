// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * unanswering.c - a FUSE filesystem as any user may mount one, with one file, `f`, and requests that it
 * does not answer any more once it gets SIGUSR1:
 *
 *	unanswering write FOLDER    WRITE, and READ; the file's pages are written back when it is released
 *	unanswering flush FOLDER    FLUSH, which is sent when a descriptor of it is closed
 *
 * A process that releases the file then waits, and cannot be killed, until this one ends.
 */
#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THE_FILE   2
#define FILE_BYTES (1 << 20)
#define FOR_LONG   3600.0

static volatile sig_atomic_t silent;
static bool writes;

static void fall_silent(int sig)
{
	(void)sig;
	silent = 1;
}

static void un_init(void *data, struct fuse_conn_info *conn)
{
	(void)data;
	if (writes)
		conn->want |= conn->capable & FUSE_CAP_WRITEBACK_CACHE;
}

static struct stat stat_of(fuse_ino_t ino)
{
	struct stat st = { .st_ino = ino, .st_uid = getuid(), .st_gid = getgid() };

	st.st_mode = ino == THE_FILE ? S_IFREG | 0666 : S_IFDIR | 0755;
	st.st_nlink = ino == THE_FILE ? 1 : 2;
	st.st_size = ino == THE_FILE ? FILE_BYTES : 0;
	return st;
}

static void un_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = THE_FILE, .attr_timeout = FOR_LONG, .entry_timeout = FOR_LONG };

	e.attr = stat_of(THE_FILE);
	if (parent == FUSE_ROOT_ID && strcmp(name, "f") == 0)
		fuse_reply_entry(req, &e);
	else
		fuse_reply_err(req, ENOENT);
}

static void un_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st = stat_of(ino);

	(void)fi;
	fuse_reply_attr(req, &st, FOR_LONG);
}

static void un_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	(void)attr;
	(void)to_set;
	un_getattr(req, ino, fi);
}

static void un_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void un_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	char *zeros;

	(void)ino;
	(void)off;
	(void)fi;
	if (writes && silent) {
		fprintf(stderr, "a READ waits\n");
		return;
	}
	zeros = calloc(1, size);
	fuse_reply_buf(req, zeros, zeros ? size : 0);
	free(zeros);
}

static void un_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	(void)ino;
	(void)buf;
	(void)off;
	(void)fi;
	if (writes && silent)
		fprintf(stderr, "a WRITE waits\n");
	else
		fuse_reply_write(req, size);
}

static void un_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	if (!writes && silent)
		fprintf(stderr, "a FLUSH waits\n");
	else
		fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {
	.init = un_init,
	.lookup = un_lookup,
	.getattr = un_getattr,
	.setattr = un_setattr,
	.open = un_open,
	.read = un_read,
	.write = un_write,
	.flush = un_flush,
};

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = fall_silent, .sa_flags = SA_RESTART };
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se;
	int r;

	if (argc != 3)
		return 2;
	writes = strcmp(argv[1], "write") == 0;
	sigaction(SIGUSR1, &sa, NULL);
	if (fuse_opt_add_arg(&args, "unanswering") < 0)
		return 1;
	se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!se || fuse_session_mount(se, argv[2]) < 0)
		return 1;
	fprintf(stderr, "mounted\n");
	r = fuse_session_loop(se); /* its requests are not freed: they are never answered */
	fuse_session_unmount(se);
	return r < 0;
}
