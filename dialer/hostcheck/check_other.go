package hostcheck

import "fmt"

// unmeasured ends what is said about systems that nothing was measured on.
const unmeasured = " This is from the system's documentation and was not measured here."

// note adds what applies on another system, if its kernel has the parameter.
func (k *check) note(f Finding) {
	if v := k.s.Value(f.Key); v.Absent && f.Set == "" {
		return
	}
	if f.Change == "" {
		f.Change = nothing
	}
	f.Effect += unmeasured
	k.add(f)
}

func (k *check) darwin() {
	k.bsdRange("Change net.inet.ip.portrange.first with sysctl; by itself it is 49152 to 65535, 16,384 ports.")
	k.msl(15_000)
	k.note(Finding{ID: "somaxconn", Key: "kern.ipc.somaxconn", Effect: "A listener lets at most so many connections wait to be accepted; by itself 128."})
	k.note(Finding{ID: "keepalive-time", Key: "net.inet.tcp.keepidle", Effect: "Milliseconds until an idle connection is probed that asks for it. Go's ask, with 15 s of their own."})
}

func (k *check) freebsd() {
	k.bsdRange("Change net.inet.ip.portrange.first with sysctl; by itself it is 10000 to 65535.")
	k.msl(30_000)
	k.note(Finding{ID: "tw-loopback", Key: "net.inet.tcp.nolocaltimewait", Effect: "Not 0, connections between addresses of this host leave no TIME_WAIT, so that a benchmark on loopback does not show how ports run out."})
	k.note(Finding{ID: "tw-buckets", Key: "net.inet.tcp.maxtcptw", Effect: "So many TIME_WAITs are kept at most. Beyond, connections that are closed get none."})
	k.note(Finding{ID: "somaxconn", Key: "kern.ipc.soacceptqueue", Effect: "A listener lets at most so many connections wait to be accepted."})
	k.note(Finding{ID: "keepalive-time", Key: "net.inet.tcp.keepidle", Effect: "Milliseconds until an idle connection is probed that asks for it. Go's ask, with 15 s of their own."})
}

func (k *check) bsdRange(change string) {
	lo, hi, ok := k.s.PortRange()
	if !ok {
		return
	}
	size := int(hi) - int(lo) + 1
	f := Finding{
		ID: "port-range-size", Severity: Note, Key: "net.inet.ip.portrange.first", Set: fmt.Sprintf("%d to %d", lo, hi),
		Effect: fmt.Sprintf("%d ports for outgoing connections. A source address that is bound before the connect has that many for all destinations together.", size),
		Change: "nothing; if they run out, keep connections open for reuse, or dial from more source addresses. " + change,
	}
	k.note(f)
}

// msl judges the maximum segment lifetime, in milliseconds: TIME_WAIT takes two.
func (k *check) msl(usual int64) {
	const key = "net.inet.tcp.msl"
	n, ok := k.int(key)
	if !ok {
		return
	}
	f := Finding{ID: "time-wait", Severity: Good, Key: key, Change: nothing,
		Effect: fmt.Sprintf("TIME_WAIT takes twice as long: %g s.", float64(2*n)/1000)}
	if n < usual {
		f.Severity = Warning
		f.Effect += " Segments of an old connection that are under way for longer than that can reach a new one."
		f.Change = fmt.Sprintf("set %d, the default, and keep connections open for reuse", usual)
	}
	k.note(f)
}

func (k *check) windows() {
	const folder = `SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\`
	k.note(Finding{
		ID: "port-range-size", Severity: Note, Key: "dynamic port range", Set: "netsh int ipv4 show dynamicport tcp tells",
		Effect: "Ports for outgoing connections: by itself 49152 to 65535, 16,384 ports, one range for IPv4 and one for IPv6.",
		Change: "if they run out, keep connections open for reuse; or netsh int ipv4 set dynamicport tcp start=10000 num=55000, as an administrator, where no service has a port in it",
	})
	delay := Finding{
		ID: "time-wait", Severity: Note, Key: folder + "TcpTimedWaitDelay",
		Effect: "Seconds that TIME_WAIT takes; 30 to 300 are accepted.",
		Change: "nothing; keep connections open for reuse instead of setting it",
	}
	if k.s.Value(delay.Key).Absent {
		delay.Set = "not set"
		delay.Effect = "TIME_WAIT takes as long as this version of Windows has it by itself, two to four minutes in most."
	}
	k.note(delay)
	k.note(Finding{
		ID: "max-user-port", Severity: Warning, Key: folder + "MaxUserPort",
		Effect: "It was the last port for outgoing connections up to Windows Server 2003; since Vista and Server 2008 the dynamic port range takes its place.",
		Change: "remove it, and see netsh int ipv4 show dynamicport tcp",
		Recipe: "MaxUserPort = 65534 gives more ports",
		Wrong:  "it is of an older Windows",
	})
}
