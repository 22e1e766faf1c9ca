// SPDX-License-Identifier: GPL-2.0-or-later
// The status page: asks for state.json every two seconds; rates and waits are of the time since the answer before.
"use strict";

const PAUSE_MS = 2000;
let before = null, chosen = null;

function element(name, text, look) {
	const made = document.createElement(name);
	if (text !== undefined)
		made.textContent = text;
	if (look)
		made.className = look;
	return made;
}

function size(bytes) {
	const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
	let n = bytes, unit = 0;
	for (; n >= 1000 && unit < units.length - 1; unit++)
		n /= 1024;
	return (unit && n < 9.95 ? n.toFixed(1) : n.toFixed(0)) + " " + units[unit];
}

function number(n) {
	return n === null ? "-" : n >= 1e6 ? (n / 1e6).toFixed(1) + "M" : n >= 9950 ? (n / 1e3).toFixed(0) + "k" : n.toFixed(0);
}

function time(ns) {
	return ns === null ? "-" : ns === Infinity ? "longer" : ns < 9950 ? (ns / 1e3).toFixed(1) + " µs" :
		ns < 999500 ? (ns / 1e3).toFixed(0) + " µs" : ns < 9.95e6 ? (ns / 1e6).toFixed(1) + " ms" :
		ns < 999.5e6 ? (ns / 1e6).toFixed(0) + " ms" : (ns / 1e9).toFixed(1) + " s";
}

// What a counter grew by, a second; null: nothing is known of the time before.
function rate(now, then, seconds, ...names) {
	if (!then)
		return null;
	let grown = 0;
	for (const name of names)
		grown += Math.max(0, (now[name] || 0) - (then[name] || 0));
	return grown / seconds;
}

// So many percent of the waits since then took no longer than this.
function quantile(now, then, percent) {
	const counts = now.map((count, i) => then && then[i] <= count ? count - then[i] : count);
	const all = counts.reduce((sum, count) => sum + count, 0);
	if (!all)
		return null;
	for (let i = 0, sum = 0; i < counts.length; i++) {
		sum += counts[i];
		if (sum * 100 >= all * percent)
			return i < state.bounds_ns.length ? state.bounds_ns[i] : Infinity;
	}
	return Infinity;
}

function table(titles, rows) {
	const made = element("table"), head = made.createTHead().insertRow(), body = made.createTBody();
	for (const title of titles)
		head.append(element("th", title));
	for (const row of rows)
		body.append(row);
	const scroll = element("div", undefined, "scroll");
	scroll.append(made);
	return scroll;
}

function region_row(mount, region, then, seconds) {
	const row = element("tr"), name = element("td"), button = element("button", region.name);
	const stage = region.fast_path ? "fault" : "read", waits = region.latency[stage];
	const before = then ? then.latency[stage] : null;
	const ahead = (region.counters.prefetched || 0) + (region.counters.replayed || 0);
	const used = (region.counters.prefetch_used || 0) + (region.counters.replay_used || 0);
	const written = rate(region.counters, then && then.counters, seconds, "put_bytes");
	const what = region.settled ? "settled" : region.failed ? "FAILED" : region.nodes_away ? "nodes away" : region.slots_degraded ? "degraded" :
		region.fast_path ? "fast path" : region.counters.opens ? "open" : "";
	button.type = "button";
	button.addEventListener("click", () => choose(mount.path, region.name));
	name.append(button);
	row.append(name);
	for (const text of [size(region.size_bytes), region.fast_path ? size(region.here_bytes) : "-",
		region.budget_bytes ? size(region.budget_bytes) : "-",
		number(rate(region.counters, then && then.counters, seconds, "faults", "reads")), time(quantile(waits, before, 50)),
		time(quantile(waits, before, 99)), written === null ? "-" : size(written) + "/s",
		ahead ? Math.min(100, Math.floor(100 * used / ahead)) + " %" : "-"])
		row.append(element("td", text));
	row.append(element("td", what, region.settled ? "" : region.failed ? "bad" : region.nodes_away || region.slots_degraded ? "warn" : ""));
	if (chosen && chosen.mount === mount.path && chosen.region === region.name)
		row.className = "chosen";
	return row;
}

function node_row(node, then, seconds) {
	const row = element("tr"), s = node.figures, b = then && then.figures;
	row.append(element("td", node.address));
	for (const text of s ? [size(s.capacity_bytes), size(s.held_bytes), size(Math.max(0, s.promisable_bytes - s.reserved_bytes)),
		s.stored_bytes ? (s.nonzero_bytes / s.stored_bytes).toFixed(2) : "-", time(s.round_trip_ns),
		number(rate(s, b, seconds, "gets")), number(rate(s, b, seconds, "puts"))] : ["-", "-", "-", "-", "-", "-", "-"])
		row.append(element("td", text));
	row.append(element("td", node.connected ? "connected" : "away", node.connected ? "" : "warn"));
	return row;
}

function mount_show(mount, then, seconds) {
	const made = element("section");
	made.append(element("h2", mount.path));
	if (mount.error !== null) {
		made.append(element("p", mount.error, "bad"));
		return made;
	}
	made.append(element("p", `${size(mount.lent_bytes)} lent, ${size(mount.free_bytes)} free; ` +
		`${mount.counters.io_errors} errors`, mount.counters.io_errors ? "bad" : "note"));
	const find = (list, key, value) => list ? list.find(one => one[key] === value) : undefined;
	if (mount.regions.length)
		made.append(table(["Region", "Size", "Here", "Budget", "Faults/s", "50 %", "99 %", "Write-back", "Hits", "State"],
			mount.regions.map(region => region_row(mount, region, find(then && then.regions, "name", region.name), seconds))));
	made.append(table(["Node", "Lent", "Held", "Free", "Compression", "Round trip", "GET/s", "PUT/s", "State"],
		mount.nodes.map(node => node_row(node, find(then && then.nodes, "address", node.address), seconds))));
	return made;
}

// At first the map is that of a region in use.
function choose_first(next) {
	for (const mount of next.mounts) {
		const region = (mount.regions || []).find(one => one.counters.opens) || (mount.regions || [])[0];
		if (region && !chosen)
			chosen = { mount: mount.path, region: region.name };
	}
}

function choose(mount, region) {
	chosen = chosen && chosen.mount === mount && chosen.region === region ? null : { mount, region };
	show();
}

function map_show() {
	const section = document.getElementById("map"), mount = chosen && state.mounts.find(one => one.path === chosen.mount);
	section.hidden = !(mount && mount.regions && mount.regions.some(region => region.name === chosen.region));
	if (section.hidden)
		return;
	document.getElementById("map-name").textContent = chosen.region;
	document.getElementById("map-picture").src = "map.svg?" + new URLSearchParams({ mount: chosen.mount, region: chosen.region, at: state.at_ns });
}

let state = null;

function show() {
	const seconds = before ? (state.at_ns - before.at_ns) / 1e9 : 1;
	document.getElementById("mounts").replaceChildren(...(state.mounts.length ? state.mounts.map(mount => mount_show(mount,
		before && before.mounts.find(one => one.path === mount.path && one.error === null), seconds)) :
		[element("p", "gvmfs is not mounted.")]));
	map_show();
}

async function ask() {
	const when = document.getElementById("when");
	try {
		const answer = await fetch("state.json", { cache: "no-store" });
		if (!answer.ok)
			throw new Error(answer.status + " " + answer.statusText);
		const next = await answer.json();
		if (!state)
			choose_first(next);
		before = state;
		state = next;
		show();
		when.textContent = new Date().toLocaleTimeString();
		when.className = "";
	} catch (why) {
		when.textContent = "no answer: " + why.message;
		when.className = "bad";
	}
	setTimeout(ask, PAUSE_MS);
}

ask();
