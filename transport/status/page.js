"use strict";
// The page renews itself from its own address: what the server rendered takes the
// place of what is there, part by part, so that there is one template and one way
// of escaping. Scripts in what was fetched do not run (DOMParser).
(() => {
	const every = 2000;
	const button = document.getElementById("live");
	const state = document.getElementById("state");
	let live = true;
	let timer = 0;

	const opened = () => new Map([...document.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));

	const renew = (page) => {
		const focused = document.activeElement && document.activeElement.id;
		const open = opened();
		for (const old of document.querySelectorAll("[data-live]")) {
			const fresh = page.getElementById(old.id);
			if (!fresh) {
				throw new Error("this is another page");
			}
			for (const d of fresh.querySelectorAll("details[id]")) {
				d.open = open.get(d.id) || false;
			}
			if (old.innerHTML !== fresh.innerHTML) {
				old.replaceChildren(...document.adoptNode(fresh).childNodes);
			}
		}
		const again = focused && document.getElementById(focused);
		if (again && again !== document.activeElement) {
			again.focus({ preventScroll: true });
		}
	};

	const fetchPage = async () => {
		const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
		if (!answer.ok) {
			throw new Error("status " + answer.status);
		}
		return new DOMParser().parseFromString(await answer.text(), "text/html");
	};

	const say = (text) => {
		if (state.textContent !== text) {
			state.textContent = text;
		}
	};

	const tick = async () => {
		try {
			const page = await fetchPage();
			// Who has marked something wants to copy it.
			if (live && getSelection().isCollapsed) {
				renew(page);
			}
			say("");
		} catch {
			say("no answer, trying again");
		}
		schedule();
	};

	const schedule = () => {
		clearTimeout(timer);
		if (live && !document.hidden) {
			timer = setTimeout(tick, every);
		}
	};

	button.hidden = false;
	button.addEventListener("click", () => {
		live = !live;
		button.setAttribute("aria-pressed", String(live));
		button.textContent = live ? "Live" : "Paused";
		schedule();
	});
	document.addEventListener("visibilitychange", schedule);
	schedule();
})();
