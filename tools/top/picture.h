/* SPDX-License-Identifier: GPL-2.0-or-later */
/* picture.h - what gvm top shows, as a picture in SVG. */
#ifndef TOOLS_TOP_PICTURE_H
#define TOOLS_TOP_PICTURE_H

#include "view.h"

#include <stdio.h>

/* The lines, so many columns wide. */
void top_picture_print(FILE *f, const struct top_lines *lines, unsigned columns);

#endif
