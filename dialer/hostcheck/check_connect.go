package hostcheck

import (
	"fmt"
	"time"
)

const (
	synRetries    = "net.ipv4.tcp_syn_retries"
	synLinear     = "net.ipv4.tcp_syn_linear_timeouts"
	synAckRetries = "net.ipv4.tcp_synack_retries"
	keepAliveTime = "net.ipv4.tcp_keepalive_time"
)

// connect judges how long the kernel goes on trying, and when it looks after an
// idle connection.
func (k *check) connect() {
	k.synRetries()
	k.synAckRetries()
	k.keepAlive()
}

func (k *check) synRetries() {
	n, ok := k.int(synRetries)
	if !ok {
		return
	}
	linear, _ := k.int(synLinear)
	total, sent := unanswered(linear, n)
	f := Finding{ID: "syn-retries", Key: synRetries, Severity: Good,
		Effect: fmt.Sprintf("A connect that is not answered gives up after %v, having sent %d SYNs, unless the program gives up before.", total, sent),
		Change: "nothing; a Timeout of the Dialer, or a context, sets a limit for one program"}
	if sent < 3 {
		f.Severity = Warning
		f.Effect += " Two packets lost in a row are enough for that."
		f.Change = "set 6, the default, and a Timeout of the Dialer"
	}
	k.add(f)
}

func (k *check) synAckRetries() {
	n, ok := k.int(synAckRetries)
	if !ok {
		return
	}
	f := Finding{ID: "synack-retries", Key: synAckRetries, Severity: Good, Change: nothing,
		Effect: fmt.Sprintf("A client that does not finish its handshake is forgotten after %v, having been answered %d times.", doubling(n), 1+n)}
	if n < 2 {
		f.Severity = Warning
		f.Effect += " A client whose packets are lost twice in a row finds its connection gone."
		f.Change = "set 5, the default; against floods of SYNs there are cookies (tcp_syncookies)"
	}
	k.add(f)
}

// firstWait is how long the kernel waits for the answer to a first packet, and
// longestWait the most that it does for one sent again.
const (
	firstWait   = 1 * time.Second
	longestWait = 120 * time.Second
)

// unanswered is how long a connect that is not answered goes on, and how many
// SYNs it sends. The first retries of all, linear of them, do not double the wait.
// They are not meant to count as retries, but with few of those the time that
// these would take alone ends it before.
func unanswered(linear, retries int64) (total time.Duration, sent int64) {
	wait := firstWait
	for sent = 1; ; sent++ {
		total += wait
		if sent > retries+linear || total >= doubling(retries) {
			return total, sent
		}
		if sent > linear {
			wait = min(2*wait, longestWait)
		}
	}
}

// doubling is how long a first packet and its retries take, each of which waits
// twice as long as the one before.
func doubling(retries int64) time.Duration { return doublingFrom(firstWait, longestWait, retries) }

func doublingFrom(wait, longest time.Duration, retries int64) time.Duration {
	total := time.Duration(0)
	for range retries + 1 {
		total += wait
		wait = min(2*wait, longest)
	}
	return total
}

// forgetful is the number of seconds after which some boxes on the way forget an
// idle connection, as their makers document them.
const forgetful = 350

func (k *check) keepAlive() {
	n, ok := k.int(keepAliveTime)
	if !ok {
		return
	}
	f := Finding{ID: "keepalive-time", Key: keepAliveTime, Severity: Good, Change: nothing,
		Effect: fmt.Sprintf("A connection that asks for keep-alive probes is probed after %v without traffic. Go's connections ask, with 15 s of their own (unless KeepAlive of the Dialer or ListenConfig is negative), so this is about other programs.", time.Duration(n)*time.Second)}
	if n >= forgetful {
		f.Severity = Note
		f.Effect += " Load balancers and NAT forget an idle connection sooner, some after 240 or 350 s, and then what is sent on it is lost or reset."
		f.Change = "nothing for Go; for other programs, set 120"
	}
	k.add(f)
}
