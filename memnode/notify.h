/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify.h - tells a service manager that the program is ready (Type=notify of systemd.service(5)).
 *
 * The program never waits for the manager: if it does not take the message, the message is lost,
 * and the manager times the start out.
 */
#ifndef GVM_NOTIFY_H
#define GVM_NOTIFY_H

/* A socket for gvm_notify_ready(), or -1 if no manager expects a message. To be opened before the
 * program confines itself. Removes the manager's address from the environment, also for child
 * processes. */
int gvm_notify_open(void);

/* Asks the manager to wait so long for gvm_notify_ready(), from now on. */
void gvm_notify_wait(int fd, unsigned seconds);

/* Tells the manager that the program is ready, and closes the socket. */
void gvm_notify_ready(int fd);

#endif
