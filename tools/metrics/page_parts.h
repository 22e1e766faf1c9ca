/* SPDX-License-Identifier: GPL-2.0-or-later */
/* page_parts.h - the files of page/, made part of the program by page/embed.py. */
#ifndef TOOLS_METRICS_PAGE_PARTS_H
#define TOOLS_METRICS_PAGE_PARTS_H

extern const char page_html[], page_css[], page_js[];

#endif
