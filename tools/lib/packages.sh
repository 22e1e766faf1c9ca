# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Installs what the list beside this file names for the given purposes, and only what is missing.
# No service is started: a package that brings a daemon (Redis, memcached, Prometheus) is wanted for its program.

packages_missing() {
	_list=$1
	shift
	for _purpose; do
		while read -r _word _package _; do
			[ "$_word" = "$_purpose" ] || continue
			dpkg-query -W -f '${db:Status-Status}\n' "$_package" 2>/dev/null |
				grep -qx installed || echo "$_package"
		done <"$_list"
	done
}

# packages_install LIST PURPOSE...
packages_install() {
	_missing=$(packages_missing "$@")
	[ -n "$_missing" ] || return 0
	_missing=$(echo $_missing)
	if [ "$(id -u)" -ne 0 ]; then
		echo "these packages are missing; as root: apt-get install $_missing" >&2
		return 1
	fi
	if ! command -v apt-get >/dev/null; then
		echo "these packages are missing, and there is no apt-get: $_missing" >&2
		return 1
	fi
	echo "installing $_missing"
	_log=$(mktemp)
	_status=0
	_packages_locked "$_log" || _status=$?
	[ $_status -eq 0 ] || tail -n 20 "$_log" >&2
	rm -f "$_log"
	return $_status
}

# One at a time: what keeps services from starting is there for as long as the first of two needs it.
_packages_locked() {
	(
		flock 9
		_policy=/usr/sbin/policy-rc.d
		if [ ! -e $_policy ] || grep -qs '^# gvm:' $_policy; then
			trap 'rm -f $_policy' EXIT
			trap 'exit 130' INT
			trap 'exit 143' TERM HUP
			printf '#!/bin/sh\n# gvm: while tools/lib/packages.sh installs\nexit 101\n' >$_policy
			chmod 755 $_policy
			_packages_apt </dev/null >"$1" 2>&1 || exit 1
			# What had no chance to start now should not start at the next boot either.
			for _service in redis-server memcached prometheus; do
				case " $_missing " in
				*" $_service "*) systemctl disable $_service >/dev/null 2>&1 || : ;;
				esac
			done
		else
			_packages_apt </dev/null >"$1" 2>&1 || exit 1
		fi
	) 9>/run/lock/gvm-packages
}

# A failed name look-up, or a lock that another apt holds, is no reason to give up.
_packages_apt() {
	for _pause in 5 15 30 60 0; do
		apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=600 update &&
			DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 \
				-o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 \
				--no-install-recommends install $_missing && return 0
		[ $_pause -eq 0 ] || echo "once more in $_pause s" && sleep $_pause
	done
	return 1
}
