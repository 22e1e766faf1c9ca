# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What tools/check and tools/demo run in, however they were called. Sourced first; needs $top.

# Debian's own programs, whatever a version manager has put in front of them; and where root's are, which
# the PATH of a plain su lacks.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin:$PATH
export PATH PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV PYENV_VERSION

# Sockets lie in the folders of tests, and the name of one has 107 bytes at most; QEMU takes names with a
# comma or a blank apart. /tmp is there for a TMPDIR that is too long, has such names or cannot be used.
TMPDIR=${TMPDIR:-/tmp}
_odd=$(printf %s "$TMPDIR" | tr -d 'A-Za-z0-9/._+-')
if [ "${#TMPDIR}" -gt 24 ] || [ -n "$_odd" ] || [ "${TMPDIR#/}" = "$TMPDIR" ] ||
	[ ! -d "$TMPDIR" ] || [ ! -w "$TMPDIR" ]; then
	echo "TMPDIR is not used, /tmp is: it has to be a folder whose path has 24 plain characters at most"
	TMPDIR=/tmp
fi
export TMPDIR
