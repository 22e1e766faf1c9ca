// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor.h"

#include "memnode/clock.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_NS	 (5ull * 1000 * 1000 * 1000)
#define ANSWER_BYTES_MAX 65536u
#define CR4_LA57	 (1ull << 12)

struct monitor {
	int fd;
	uint64_t deadline_ns;
	char text[ANSWER_BYTES_MAX];
	size_t have;
};

static int monitor_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int rc = -errno;

		if (fd >= 0)
			close(fd);
		return rc;
	}
	return fd;
}

/* The next line, without its end; NULL: none came in time. It is valid until the next call. */
static char *line_read(struct monitor *m, size_t *used)
{
	memmove(m->text, m->text + *used, m->have - *used);
	m->have -= *used;
	*used = 0;
	for (;;) {
		char *end = memchr(m->text, '\n', m->have);
		uint64_t now = gvm_now_ns();
		struct pollfd p = { m->fd, POLLIN, 0 };
		ssize_t n;

		if (end) {
			*end = 0;
			*used = (size_t)(end - m->text) + 1;
			return m->text;
		}
		if (m->have == sizeof(m->text) || now >= m->deadline_ns ||
		    poll(&p, 1, (int)((m->deadline_ns - now) / 1000000) + 1) <= 0)
			return NULL;
		n = read(m->fd, m->text + m->have, sizeof(m->text) - m->have);
		if (n <= 0)
			return NULL;
		m->have += (size_t)n;
	}
}

static bool command_send(const struct monitor *m, const char *command)
{
	size_t n = strlen(command);

	return send(m->fd, command, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* What the command with this id returns, as an object to be put back; NULL: nothing came, or an error. Greetings and
 * events are passed over. */
static struct json_object *answer_read(struct monitor *m, int id)
{
	size_t used = 0;
	char *line;

	while ((line = line_read(m, &used))) {
		struct json_object *said = json_tokener_parse(line), *of, *value = NULL;

		if (json_object_is_type(said, json_type_object) && json_object_object_get_ex(said, "id", &of) &&
		    json_object_get_int(of) == id) {
			if (json_object_object_get_ex(said, "return", &value))
				json_object_get(value);
			json_object_put(said);
			/* One answer to one command: what follows has not been asked for. */
			memmove(m->text, m->text + used, m->have - used);
			m->have -= used;
			return value;
		}
		json_object_put(said);
	}
	return NULL;
}

static bool register_find(const char *text, const char *name, uint64_t *value)
{
	const char *at = strstr(text, name);
	char *end;

	if (!at)
		return false;
	*value = strtoull(at + strlen(name), &end, 16);
	return end != at + strlen(name);
}

int monitor_page_tables(const char *path, unsigned cpu, uint64_t *cr3, unsigned *levels, char err[MONITOR_ERR])
{
	struct monitor m = { .fd = monitor_connect(path), .deadline_ns = gvm_now_ns() + ANSWER_NS };
	struct json_object *said = NULL;
	char command[160];
	uint64_t cr4;
	int rc = 0;

	if (m.fd < 0) {
		snprintf(err, MONITOR_ERR, "%s: %s: start QEMU with -qmp unix:PATH,server=on,wait=off", path, strerror(-m.fd));
		return m.fd;
	}
	snprintf(command, sizeof(command),
		 "{\"execute\":\"human-monitor-command\",\"id\":2,\"arguments\":"
		 "{\"command-line\":\"info registers\",\"cpu-index\":%u}}\n", cpu);
	if (command_send(&m, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n"))
		said = answer_read(&m, 1);
	if (!said) {
		snprintf(err, MONITOR_ERR, "%s: no QMP answers there within 5 s: another program may be connected to it", path);
		rc = -ETIMEDOUT;
	}
	json_object_put(said);
	said = !rc && command_send(&m, command) ? answer_read(&m, 2) : NULL;
	if (!rc && (!json_object_is_type(said, json_type_string) ||
		    !register_find(json_object_get_string(said), "CR3=", cr3) ||
		    !register_find(json_object_get_string(said), "CR4=", &cr4))) {
		snprintf(err, MONITOR_ERR, "%s: QEMU does not tell the registers of CPU %u", path, cpu);
		rc = -ENOENT;
	}
	if (!rc)
		*levels = cr4 & CR4_LA57 ? 5 : 4;
	json_object_put(said);
	close(m.fd);
	return rc;
}
