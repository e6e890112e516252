package hostcheck

import (
	"fmt"
	"time"
)

const (
	retries2      = "net.ipv4.tcp_retries2"
	orphanRetries = "net.ipv4.tcp_orphan_retries"
	maxOrphans    = "net.ipv4.tcp_max_orphans"
	rtoMax        = "net.ipv4.tcp_rto_max_ms"
)

// retries judges what becomes of a connection whose peer acknowledges nothing any
// more.
func (k *check) retries() {
	k.openRetries()
	k.orphanRetries()
	k.maxOrphans()
}

// shortestWait is the least that the kernel waits for an acknowledgment
// (TCP_RTO_MIN). It reckons with that, whatever the round trip of a connection.
const shortestWait = 200 * time.Millisecond

// leastRetries is what RFC 1122, section 4.2.3.5, comes to: at least 100 s.
const leastRetries = 8

// givenUp is the least time after which the kernel gives a connection up.
func (k *check) givenUp(retries int64) time.Duration {
	longest := longestWait
	if ms, ok := k.int(rtoMax); ok {
		longest = time.Duration(ms) * time.Millisecond
	}
	return doublingFrom(shortestWait, longest, retries)
}

func (k *check) openRetries() {
	n, ok := k.int(retries2)
	if !ok {
		return
	}
	f := Finding{ID: "retries2", Key: retries2, Severity: Good,
		Effect: fmt.Sprintf("A connection is given up (ETIMEDOUT) when what was sent on it is not acknowledged for %v, or at the next retransmission after that.", k.givenUp(n)),
		Change: "nothing; UserTimeout of the package dialer (TCP_USER_TIMEOUT) sets a limit for one program"}
	if n < leastRetries {
		f.Severity = Warning
		f.Effect += " An interruption of the network that lasts longer cuts every connection with data under way, of all programs."
		f.Change = "set 15, the default, or at least 8, which is 100 s; UserTimeout of the package dialer (TCP_USER_TIMEOUT) sets a limit for one program"
		f.Recipe = fmt.Sprintf("tcp_retries2 = %d finds dead connections sooner", n)
		f.Wrong = "it finds those with data under way only; keep-alive probes find idle ones, and a limit for one program does not cut the connections of all others"
	}
	k.add(f)
}

func (k *check) orphanRetries() {
	n, ok := k.int(orphanRetries)
	if !ok {
		return
	}
	tries := n
	if n == 0 {
		tries = leastRetries // so the kernel has it
	}
	f := Finding{ID: "orphan-retries", Key: orphanRetries, Severity: Good, Change: nothing,
		Effect: fmt.Sprintf("A connection that no program has any more, because it was closed before the peer had acknowledged everything, is given up after %v, or at the next retransmission after that (0 means 8 of them). Those that are open, and TIME_WAITs, have nothing to do with it.", k.givenUp(tries))}
	if tries < leastRetries {
		f.Severity = Note
		f.Effect += " In an interruption of the network that lasts longer, what was written before the close is lost."
		f.Change = "set 0, the default, unless such connections are what there is too much of"
	}
	k.add(f)
}

// maxOrphans judges the limit of those connections. It is the host's, and to be seen
// in its first network namespace alone.
func (k *check) maxOrphans() {
	n, ok := k.int(maxOrphans)
	if !ok || n <= 0 {
		return
	}
	now := int64(k.c.Stat.Orphans)
	f := Finding{ID: "max-orphans", Key: maxOrphans, Severity: fullness(now, n), Change: nothing,
		Effect: fmt.Sprintf("The host keeps at most %d connections that no program has any more, because they were closed before the peer had acknowledged everything; there are %d. Beyond, one that is closed is reset at once.", n, now)}
	if f.Severity > Good {
		f.Change = "find out which peers do not answer; with enough memory (up to 64 kB for each), raise it"
	}
	if usual, ok := k.kernels(maxOrphans); ok && n < usual {
		f.Severity = max(f.Severity, Note)
		f.Effect += fmt.Sprintf(" The file lowers it from %d.", usual)
		f.Change = "leave it: it is a limit against floods, which Linux's documentation asks not to lower"
	}
	k.add(f)
}

// kernels is what the kernel says, if a file has put another value in its place.
func (k *check) kernels(key string) (int64, bool) {
	earlier := k.s.earlier[key]
	if len(earlier) == 0 || earlier[0].File != "" {
		return 0, false
	}
	return earlier[0].int()
}
