/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify.h - tells a service manager that the program serves (Type=notify of systemd.service(5)).
 *
 * Nothing waits for the manager: a message that it does not take is lost, and it gives the start up.
 */
#ifndef GVM_NOTIFY_H
#define GVM_NOTIFY_H

/* A socket for gvm_notify_ready(), or -1 where no manager wants to be told. To be opened before the
 * program confines itself; from then on neither it nor what it starts finds the manager any more. */
int gvm_notify_open(void);

/* Says that the program serves, and closes the socket. */
void gvm_notify_ready(int fd);

#endif
