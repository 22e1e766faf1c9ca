/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - lines on stderr, each beginning with the program's name.
 *
 * What peers cause is limited: a burst, then a few lines a second; the next line that may pass says
 * how many did not.
 */
#ifndef GVM_LOG_H
#define GVM_LOG_H

__attribute__((format(printf, 1, 2))) void log_line(const char *format, ...);
/* For lines that a peer can provoke. */
__attribute__((format(printf, 1, 2))) void log_peer(const char *format, ...);

#endif
