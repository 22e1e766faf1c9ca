// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * screen.c - see screen.h.
 *
 * One loop, which waits for keys, signals, samples and nodes at once and draws after each. SIGINT, SIGTERM and SIGHUP come as
 * everything else does, so that the terminal is given back in one place; SIGWINCH and SIGTSTP are ncurses's own.
 */
#include "screen.h"

#include "tools/say.h"
#include "view.h"

#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define OWN_FDS	 3u
#define LATE_NS	 (3ull * 1000 * 1000 * 1000) /* a sample that is so late is missed */
#define LOOK_MS	 1000			     /* for that */
#define LINE_MAX_WIDE (TOP_COLUMNS_MAX + 1)

struct screen {
	struct top_sampler *sampler;
	struct top_nodes nodes;
	struct top_sample *now, *before;
	struct top_lines lines;
	enum top_sort sort;
	char *mount, *region; /* the one that is chosen; NULL: none */
	bool detail;	      /* it alone is shown */
	unsigned first;	      /* the line on top */
	bool over;
};

/* ---- what is chosen */

static void choose(struct screen *s, const struct top_line *line)
{
	char *mount = strdup(line->mount->path), *region = strdup(line->region->row->name);

	free(s->mount);
	free(s->region);
	s->mount = mount;
	s->region = region;
}

/* The line of the region that is chosen; -1: it is not there. */
static int chosen(const struct screen *s)
{
	for (unsigned i = 0; s->region && s->mount && i < s->lines.count; i++) {
		const struct top_line *l = &s->lines.list[i];

		if (l->region && !strcmp(l->mount->path, s->mount) && !strcmp(l->region->row->name, s->region))
			return (int)i;
	}
	return -1;
}

/* The next line of a region in that direction, beginning at `from`; -1: there is none. */
static int region_beside(const struct screen *s, int from, int by)
{
	for (int i = from; i >= 0 && i < (int)s->lines.count; i += by)
		if (s->lines.list[i].region)
			return i;
	return -1;
}

static void move_by(struct screen *s, int by, unsigned times)
{
	int at = chosen(s);

	if (s->detail)
		return;
	for (unsigned i = 0; i < times; i++) {
		int next = region_beside(s, at < 0 ? 0 : at + by, at < 0 ? 1 : by);

		if (next < 0)
			break;
		at = next;
	}
	if (at >= 0)
		choose(s, &s->lines.list[at]);
}

/* ---- drawing */

static chtype look_of(enum top_look look)
{
	static const chtype looks[] = {[TOP_PLAIN] = A_NORMAL, [TOP_HEAD] = A_UNDERLINE, [TOP_TITLE] = A_BOLD};

	if (look == TOP_WARN)
		return has_colors() ? (chtype)COLOR_PAIR(1) : A_BOLD;
	if (look == TOP_BAD)
		return (has_colors() ? (chtype)COLOR_PAIR(2) : A_NORMAL) | A_BOLD;
	return looks[look];
}

/* As much of a text as there are columns, and blanks behind it. */
static void text_draw(int row, const char *text, chtype look)
{
	wchar_t wide[LINE_MAX_WIDE + 1];
	size_t n = mbstowcs(wide, text, LINE_MAX_WIDE);

	if (row < 0 || row >= LINES)
		return;
	n = n == (size_t)-1 ? 0 : n;
	wide[n] = L'\0';
	while (n && wcswidth(wide, n) > COLS)
		wide[--n] = L'\0';
	attrset((attr_t)look);
	move(row, 0);
	clrtoeol();
	addwstr(wide);
	if (look & A_REVERSE)
		mvchgat(row, 0, -1, A_REVERSE, 0, NULL);
	attrset(A_NORMAL);
}

static void head_draw(const struct screen *s)
{
	char text[160], clock[16], late[48] = "";
	time_t now = time(NULL);
	struct tm tm;
	uint64_t age_ns = s->now ? gvm_now_ns() - s->now->at_ns : 0;

	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (age_ns > s->sampler->interval_ns + LATE_NS)
		snprintf(late, sizeof(late), "   NO ANSWER for %llu s", (unsigned long long)(age_ns / 1000000000));
	snprintf(text, sizeof(text), "gvm top  %s  every %.3g s  sorted by %s%s", clock, (double)s->sampler->interval_ns / 1e9,
		 top_sort_names[s->sort], late);
	text_draw(0, text, A_REVERSE);
}

static void lines_make(struct screen *s)
{
	unsigned columns = COLS < (int)TOP_COLUMNS_MIN ? TOP_COLUMNS_MIN :
			   COLS > (int)TOP_COLUMNS_MAX ? TOP_COLUMNS_MAX : (unsigned)COLS;
	const struct top_moment at = {s->now, s->before, &s->nodes, columns};
	const struct top_mount *m = s->detail && s->mount ? top_mount_find(s->now, s->mount) : NULL;
	const struct top_region *r = m && s->region ? top_region_find(m, s->region) : NULL;

	s->detail = r != NULL;
	if (r)
		top_view_region(&s->lines, &at, m, r);
	else
		top_view_all(&s->lines, &at, s->sort);
}

/* So that what is chosen can be seen, and no room is wasted. */
static void scroll_look(struct screen *s, unsigned rows)
{
	int at = s->detail ? -1 : chosen(s);

	if (at >= 0 && (unsigned)at < s->first)
		s->first = (unsigned)at;
	if (at >= 0 && (unsigned)at >= s->first + rows)
		s->first = (unsigned)at - rows + 1;
	if (at == region_beside(s, 0, 1)) /* the first: with what is above it */
		s->first = 0;
	if (s->first + rows > s->lines.count)
		s->first = s->lines.count > rows ? s->lines.count - rows : 0;
}

static void draw(struct screen *s)
{
	unsigned rows = LINES > 2 ? (unsigned)LINES - 2 : 1;
	int at;

	if (s->now)
		lines_make(s);
	scroll_look(s, rows);
	at = s->detail ? -1 : chosen(s);
	head_draw(s);
	for (unsigned i = 0; i < rows; i++) {
		const struct top_line *l = s->first + i < s->lines.count ? &s->lines.list[s->first + i] : NULL;

		text_draw((int)i + 1, l ? l->text : "",
			  (l ? look_of(l->look) : A_NORMAL) | (l && at == (int)(s->first + i) ? A_REVERSE : 0));
	}
	text_draw(LINES - 1, s->detail ? "q back" : "q quit   s sort   arrows choose a region   Enter look at it", A_DIM);
	refresh();
}

/* ---- events */

static void key_take(struct screen *s, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
	case 27: /* Escape */
		if (!s->detail)
			s->over = key != 27;
		s->detail = false;
		s->first = 0;
		break;
	case 's':
	case 'S':
		s->sort = (s->sort + 1) % TOP_SORTS;
		break;
	case KEY_UP:
	case 'k':
		move_by(s, -1, 1);
		break;
	case KEY_DOWN:
	case 'j':
		move_by(s, 1, 1);
		break;
	case KEY_PPAGE:
		move_by(s, -1, LINES > 4 ? (unsigned)LINES - 4 : 1);
		break;
	case KEY_NPAGE:
		move_by(s, 1, LINES > 4 ? (unsigned)LINES - 4 : 1);
		break;
	case '\n':
	case '\r':
	case KEY_ENTER:
		if (chosen(s) < 0)
			move_by(s, 1, 1);
		s->detail = chosen(s) >= 0;
		s->first = 0;
		break;
	default: /* KEY_RESIZE, too: ncurses has the new size */
		break;
	}
}

static void sample_take(struct screen *s)
{
	struct top_sample *newest = top_sampler_get(s->sampler);

	if (!newest)
		return;
	top_sample_free(s->before);
	s->before = s->now;
	s->now = newest;
	top_nodes_ask(&s->nodes, s->now);
}

static void turn(struct screen *s, int signals)
{
	struct pollfd p[OWN_FDS + TOP_NODES_MAX] = {{.fd = STDIN_FILENO, .events = POLLIN},
						    {.fd = signals, .events = POLLIN},
						    {.fd = top_sampler_fd(s->sampler), .events = POLLIN}};
	unsigned count = OWN_FDS + top_nodes_poll(&s->nodes, p + OWN_FDS, TOP_NODES_MAX);
	int key;

	poll(p, count, LOOK_MS);
	s->over |= (p[1].revents & POLLIN) || (p[0].revents & (POLLHUP | POLLERR));
	while (!s->over && (key = getch()) != ERR)
		key_take(s, key);
	if (p[2].revents & POLLIN)
		sample_take(s);
	top_nodes_process(&s->nodes);
}

static bool terminal_open(void)
{
	const char *name = getenv("TERM");
	SCREEN *screen = newterm(NULL, stdout, stdin);

	if (!screen) {
		say("the terminal '%s' is not known: --batch 1 needs none", name ? name : "");
		return false;
	}
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	if (has_colors()) {
		start_color();
		use_default_colors();
		init_pair(1, COLOR_YELLOW, -1);
		init_pair(2, COLOR_RED, -1);
	}
	return true;
}

int top_screen_run(struct top_sampler *sampler, enum top_sort sort, const struct gvm_conn_opts *opts)
{
	struct screen s = {.sampler = sampler, .nodes = {.opts = opts}, .sort = sort};
	sigset_t ends, before;
	int signals, rc;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, &before);
	signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	rc = signals < 0 ? -errno : top_sampler_start(sampler);
	if (rc)
		say("%s", strerror(-rc));
	if (rc || !terminal_open())
		return 1;
	while (!s.over) {
		draw(&s);
		turn(&s, signals);
	}
	endwin();
	top_nodes_close(&s.nodes);
	top_sampler_stop(sampler);
	top_sample_free(s.before);
	top_sample_free(s.now);
	top_lines_free(&s.lines);
	free(s.mount);
	free(s.region);
	close(signals);
	return 0;
}
