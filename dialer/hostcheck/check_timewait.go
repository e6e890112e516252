package hostcheck

import "fmt"

const (
	twRecycle  = "net.ipv4.tcp_tw_recycle"
	twReuse    = "net.ipv4.tcp_tw_reuse"
	reuseDelay = "net.ipv4.tcp_tw_reuse_delay"
	timestamps = "net.ipv4.tcp_timestamps"
	twBuckets  = "net.ipv4.tcp_max_tw_buckets"
	finTimeout = "net.ipv4.tcp_fin_timeout"
)

// timeWait judges what recipes against TIME_WAIT set.
func (k *check) timeWait() {
	k.recycle()
	k.finTimeout()
	k.buckets()
	k.reuse()
	k.timestamps()
}

func (k *check) recycle() {
	v := k.s.Value(twRecycle)
	f := Finding{
		ID: "tw-recycle", Key: twRecycle,
		Recipe: "tcp_tw_recycle = 1 gets rid of TIME_WAITs",
		Wrong:  "it dropped connections from clients that share an address behind NAT, whose clocks differ, which is why it was removed in Linux 4.12",
		Change: "remove the line; keep connections open for reuse instead",
	}
	n, _ := k.s.Int(twRecycle)
	switch {
	case v.Text == "": // the kernel has none and nobody sets it
		return
	case v.Absent || !k.s.before(4, 12):
		f.Severity = Warning
		f.Effect = "None: Linux has had no such parameter since 4.12, and applying the file reports an error here."
	case n == 0:
		k.good("tw-recycle", twRecycle, "TIME_WAITs are not recycled, which is right: it breaks clients behind NAT.")
		return
	default:
		f.Severity = Error
		f.Effect = "SYNs are dropped, with no answer, whose timestamp is smaller than the last one seen from the same address. Clients behind one NAT have clocks of their own, so some of them cannot connect, by turns."
		f.Change = "set 0; it is gone since Linux 4.12. Keep connections open for reuse instead"
	}
	k.add(f)
}

// timeWaitSeconds is TCP_TIMEWAIT_LEN, a constant of the kernel.
const timeWaitSeconds = 60

func (k *check) finTimeout() {
	n, ok := k.int(finTimeout)
	if !ok {
		return
	}
	what := fmt.Sprintf("A connection that this side has closed and the peer has not (FIN_WAIT_2) is dropped after %d s. ", n)
	if n <= 0 {
		what = "A connection that this side has closed and the peer has not (FIN_WAIT_2) is dropped almost at once. "
	}
	f := Finding{ID: "fin-timeout", Key: finTimeout, Severity: Good, Change: nothing,
		Effect: what + "It has nothing to do with TIME_WAIT, which takes 60 s, a constant of the kernel."}
	switch {
	case n < timeWaitSeconds:
		f.Severity = Warning
		f.Effect += " A peer that closes later than that gets a reset."
		f.Change = "set 60, the default, unless connections in FIN_WAIT_2 are what there is too much of"
		f.Recipe = fmt.Sprintf("tcp_fin_timeout = %d shortens TIME_WAIT", n)
		f.Wrong = "it is the time in FIN_WAIT_2 only; with 5 s, TIME_WAIT still took 61 s (measured on Linux 6.18)"
	case n > timeWaitSeconds:
		f.Severity = Note
		f.Change = "set 60, the default, unless peers need longer to close"
	}
	k.add(f)
}

func (k *check) buckets() {
	n, ok := k.int(twBuckets)
	if !ok {
		return
	}
	_, _, size := k.localRange()
	f := Finding{ID: "tw-buckets", Key: twBuckets, Severity: Good, Change: nothing,
		Effect: fmt.Sprintf("Up to %d TIME_WAITs are kept in the network namespace. Beyond, connections that are closed get none: their ports are free at once, and late packets of the old connection can reach a new one.", n)}
	now, lost := k.c.Stat.TimeWaits, k.c.Stat.TimeWaitOverflows
	switch {
	case now > 0 && n <= int64(now):
		f.Severity = Error
		f.Effect += fmt.Sprintf(" There are %d now.", now)
	case lost > 0 || n <= 0 || n < int64(size) && !k.bootBuckets(n):
		f.Severity = Warning
	case n < int64(size):
		f.Severity = Note
	}
	if lost > 0 {
		f.Effect += fmt.Sprintf(" So far that has happened to %d.", lost)
	}
	switch {
	case f.Severity == Good:
	case n < enoughBuckets:
		f.Change = fmt.Sprintf("set at least %d, if the kernel's default, which grows with memory, is less; keep connections open for reuse", enoughBuckets)
	default:
		f.Change = "if the number still grows, keep connections open for reuse, or raise it"
	}
	if n < int64(size) {
		f.Effect += fmt.Sprintf(" That is fewer than the %d local ports that one destination alone can use.", size)
	}
	if n < int64(size) && !k.bootBuckets(n) {
		f.Recipe = fmt.Sprintf("tcp_max_tw_buckets = %d keeps TIME_WAITs few", n)
		f.Wrong = "it does so by taking their protection away; a TIME_WAIT costs next to no memory and no CPU, only its port"
	}
	k.add(f)
}

// enoughBuckets is more TIME_WAITs than one destination's ports can make.
const enoughBuckets = 100000

// bootBuckets reports whether n looks like the kernel's own choice: half the size
// of a table that has a power of two of places, fewer on a host with little memory.
func (k *check) bootBuckets(n int64) bool {
	return n > 0 && n&(n-1) == 0 && k.s.Value(twBuckets).File == ""
}

func (k *check) reuse() {
	n, ok := k.int(twReuse)
	if !ok {
		return
	}
	f := Finding{ID: "tw-reuse", Key: twReuse, Severity: Good, Change: nothing}
	switch n {
	case 0:
		f.Effect = "No connect takes over a TIME_WAIT, not on loopback either: the port is taken towards that destination for a minute."
	case 2:
		f.Effect = fmt.Sprintf("A connect takes over a TIME_WAIT %s after it began, on loopback only. To other hosts it never does. So a benchmark on loopback does not show how ports run out.", k.delay())
	case 1:
		f.Severity = Note
		f.Effect = fmt.Sprintf("A connect takes over a TIME_WAIT to the same destination %s after it began, where both sides send timestamps. It does nothing for connections that this host accepts.", k.delay())
		f.Change = "nothing, if it is a last resort; keeping connections open saves the handshake too"
		f.Recipe = "tcp_tw_reuse = 1 on a server, to be rid of TIME_WAITs of its clients"
		f.Wrong = "only who dials can reuse one, and it goes on being counted until then"
		if stamps, ok := k.int(timestamps); ok && stamps == 0 {
			f.Severity = Warning
			f.Effect = "None: without timestamps (net.ipv4.tcp_timestamps is 0) no TIME_WAIT is ever taken over."
			f.Change = "set net.ipv4.tcp_timestamps = 1"
		}
	}
	k.add(f)
}

// delay is how old a TIME_WAIT must be to be taken over.
func (k *check) delay() string {
	if n, ok := k.int(reuseDelay); ok {
		return fmt.Sprintf("%d ms", n)
	}
	return "a second"
}

func (k *check) timestamps() {
	n, ok := k.int(timestamps)
	if !ok {
		return
	}
	if n != 0 {
		k.good("timestamps", timestamps, "Segments carry timestamps: round trips are measured, old segments recognized, and tcp_tw_reuse can work.")
		return
	}
	k.add(Finding{
		ID: "timestamps", Severity: Warning, Key: timestamps,
		Effect: "No TIME_WAIT is ever taken over by a connect, whatever tcp_tw_reuse says, and segments of old connections are told apart by sequence numbers alone.",
		Change: "set 1, the default",
		Recipe: "tcp_timestamps = 0 saves overhead",
		Wrong:  "12 bytes a segment; it costs the reuse of ports and the protection against wrapped sequence numbers",
	})
}
