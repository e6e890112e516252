package hostcheck

import (
	"fmt"
	"net/netip"
	"strings"
)

const (
	somaxconn  = "net.core.somaxconn"
	synBacklog = "net.ipv4.tcp_max_syn_backlog"
	synCookies = "net.ipv4.tcp_syncookies"
	migrateReq = "net.ipv4.tcp_migrate_req"
	overflow   = "net.ipv4.tcp_abort_on_overflow"
)

// listen judges what bears on listeners.
func (k *check) listen() {
	k.somaxconn()
	k.queues()
	k.overflow()
	k.syn()
	k.migrate()
}

func (k *check) somaxconn() {
	n, ok := k.int(somaxconn)
	if !ok {
		return
	}
	f := Finding{ID: "somaxconn", Key: somaxconn, Severity: Good, Change: nothing,
		Effect: fmt.Sprintf("A listener lets at most %d connections wait to be accepted, if it asks for that many. Go's do.", n)}
	if n < 1024 {
		f.Severity = Warning
		f.Effect += " When a burst brings more, SYNs are dropped and clients try again after a second."
		f.Change = "set 4096, the default since Linux 5.4, and restart the servers: a listener keeps the number it began with"
	}
	if less := k.smallBacklogs(n); len(less) > 0 {
		f.Severity = max(f.Severity, Note)
		f.Effect += fmt.Sprintf(" Some listeners let fewer wait: %s. They asked for fewer, or began before this was raised: a listener keeps the number it began with.", strings.Join(less, ", "))
		if f.Change == nothing {
			f.Change = "nothing, or restart those servers with a greater backlog if bursts come to them"
		}
	}
	k.add(f)
}

// smallBacklogs lists some listeners with a backlog below the limit.
func (k *check) smallBacklogs(limit int64) []string {
	const shown = 5
	var some []string
	more := 0
	for _, l := range k.c.Listeners {
		switch {
		case l.Backlog == 0 || int64(l.Backlog) >= limit: // not told by /proc/net/tcp
		case len(some) == shown:
			more++
		default:
			some = append(some, fmt.Sprintf("%v (%d)", l.Local, l.Backlog))
		}
	}
	if more > 0 {
		some = append(some, fmt.Sprintf("%d more", more))
	}
	return some
}

// queues finds listeners whose program does not accept fast enough.
func (k *check) queues() {
	for _, l := range k.c.Listeners {
		if l.Backlog == 0 || l.Queue*10 < l.Backlog*8 {
			continue
		}
		k.found = append(k.found, Finding{
			ID: "accept-queue", Severity: Warning, Key: "sockets",
			Set:    fmt.Sprintf("%d connections wait for %v to accept them, of %d that may", l.Queue, l.Local, l.Backlog),
			Effect: "When the queue is full, SYNs are dropped and clients try again after a second, and again.",
			Change: "find out why the program does not accept; a greater backlog only helps with bursts",
		})
	}
	if n := k.c.Stat.ListenOverflows; n > 0 {
		k.found = append(k.found, Finding{
			ID: "listen-overflows", Severity: Note, Key: "sockets",
			Set:    fmt.Sprintf("%d connections were turned away because a listener had too many waiting, since the start of this network namespace", n),
			Effect: "Each of them came late by a second or more, or not at all.",
			Change: "if the number still grows, raise the backlog (net.core.somaxconn, then restart the server) or accept faster",
		})
	}
}

// overflow judges what becomes of a handshake that ends when the queue is full.
func (k *check) overflow() {
	n, ok := k.int(overflow)
	if !ok {
		return
	}
	if n == 0 {
		k.good("abort-on-overflow", overflow, "A client whose handshake ends when its listener has as many waiting as the backlog allows is let in later, once there is room: both sides send again.")
		return
	}
	k.add(Finding{
		ID: "abort-on-overflow", Severity: Warning, Key: overflow,
		Effect: "A client whose handshake ends when its listener has as many waiting as the backlog allows finds itself connected, and is reset, where it would have been let in once there is room.",
		Change: "set 0, the default; raise the backlog for bursts (net.core.somaxconn, then restart the server), or accept faster",
		Recipe: fmt.Sprintf("tcp_abort_on_overflow = %d relieves a listener whose queue is full", n),
		Wrong:  "it makes no room, and a burst that would have been late fails; SYNs that find the queue full are dropped with it as without",
	})
}

func (k *check) syn() {
	cookies, ok := k.int(synCookies)
	if !ok {
		return
	}
	switch cookies {
	case 0:
		k.add(Finding{
			ID: "syncookies", Severity: Warning, Key: synCookies,
			Effect: "When too many handshakes are under way, SYNs are dropped, be they of an attack or of a burst, and clients try again after a second.",
			Change: "set 1, the default: cookies are sent only then",
		})
	case 2:
		k.add(Finding{
			ID: "syncookies", Severity: Warning, Key: synCookies,
			Effect: "Every handshake uses a cookie, which is meant for tests. Without timestamps on both sides the connection loses window scaling and selective acknowledgments.",
			Change: "set 1, the default: cookies are sent only when too many handshakes are under way",
		})
	default:
		k.good("syncookies", synCookies, "Cookies are sent when a listener has as many handshakes under way as its backlog; until then nothing is different.")
	}
	k.synBacklog(cookies != 0)
}

func (k *check) synBacklog(cookies bool) {
	n, ok := k.int(synBacklog)
	if !ok {
		return
	}
	f := Finding{ID: "syn-backlog", Key: synBacklog, Severity: Good, Change: nothing}
	switch {
	case cookies && k.s.Value(synBacklog).File != "":
		f.Severity = Note
		f.Recipe = fmt.Sprintf("tcp_max_syn_backlog = %d lets more clients connect at once", n)
		f.Wrong = "with syncookies on it is not looked at; what limits is the backlog of the listener"
		f.Change = "nothing; see net.core.somaxconn"
		fallthrough
	case cookies:
		f.Effect = "Nothing while tcp_syncookies is on: handshakes under way are limited by the backlog of each listener."
	default:
		f.Effect = fmt.Sprintf("With tcp_syncookies off, SYNs are dropped once a listener has more than three quarters of %d handshakes under way, unless the client connected lately.", n)
	}
	k.add(f)
}

// migrate judges what becomes of a listener's queue when it closes.
func (k *check) migrate() {
	n, ok := k.int(migrateReq)
	if !ok {
		return
	}
	if n != 0 {
		k.good("migrate-req", migrateReq, "Connections that wait for a listener that closes go to another one on the same port (SO_REUSEPORT).")
		return
	}
	f := Finding{ID: "migrate-req", Key: migrateReq, Severity: Good, Change: nothing,
		Effect: "Connections that wait for a listener that closes are reset, also if another one shares its port (SO_REUSEPORT). No listeners share a port here."}
	if shared := k.sharedPorts(); len(shared) > 0 {
		f.Severity = Note
		f.Effect = fmt.Sprintf("Several listeners share %s. When one closes, the connections that wait for it are reset: 457 of 1,000 with two listeners (measured on Linux 6.18).", strings.Join(shared, ", "))
		f.Change = "set 1, with which none were, or accept what waits before closing"
	}
	k.add(f)
}

// sharedPorts lists what more than one listener listens on.
func (k *check) sharedPorts() []string {
	var shared []string
	count := map[netip.AddrPort]int{}
	for _, l := range k.c.Listeners {
		if count[l.Local]++; count[l.Local] == 2 {
			shared = append(shared, l.Local.String())
		}
	}
	return shared
}
