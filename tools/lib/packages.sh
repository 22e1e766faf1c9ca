# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Installs what the list beside this file names for the given purposes, and only what is missing.
# No service is started: a package that brings a daemon (Redis, memcached) is wanted for its program.

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
	_policy=/usr/sbin/policy-rc.d
	if [ -e $_policy ]; then
		_policy=
	else
		printf '#!/bin/sh\nexit 101\n' >$_policy
		chmod 755 $_policy
	fi
	_status=0
	{
		apt-get -q -o Acquire::Retries=3 update &&
			DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 \
				-o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 \
				--no-install-recommends install $_missing
	} </dev/null >"$_log" 2>&1 || _status=$?
	if [ -n "$_policy" ]; then
		rm -f $_policy
		# What had no chance to start now should not start at the next boot either.
		for _service in redis-server memcached; do
			case " $_missing " in
			*" $_service "*) systemctl disable $_service >/dev/null 2>&1 || : ;;
			esac
		done
	fi
	[ $_status -eq 0 ] || tail -n 20 "$_log" >&2
	rm -f "$_log"
	return $_status
}
