package hostcheck

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// files judges how many files, and so sockets, there may be.
func (k *check) files() {
	k.processFiles()
	k.systemFiles()
}

func (k *check) processFiles() {
	if k.s.Files == (Limit{}) {
		return
	}
	soft, hard := k.s.Files.Soft, k.s.Files.Hard
	f := Finding{ID: "nofile", Key: "RLIMIT_NOFILE", Severity: Good, Change: nothing,
		Set:    fmt.Sprintf("soft %s, hard %s", limit(soft), limit(hard)),
		Effect: "So many files, connections among them, this process may have open. Services have limits of their own (LimitNOFILE of systemd). Go programs raise the soft limit to the hard one when they start; others do not."}
	lo, hi, ok := k.s.PortRange()
	if size := uint64(hi) - uint64(lo) + 1; ok && soft < size {
		f.Severity = Warning
		f.Effect += fmt.Sprintf(" It is less than the %d local ports of the range: before they run out, dials and accepts fail with \"too many open files\".", size)
		f.Change = "raise the hard limit: LimitNOFILE=1048576 in the unit, or ulimit -Hn"
	}
	k.found = append(k.found, f)
}

// limit is a number, or what stands for none.
func limit(n uint64) string {
	if n >= 1<<62 {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

func (k *check) systemFiles() {
	fields := strings.Fields(k.s.Value("fs.file-nr").Text)
	most, ok := k.int("fs.file-max")
	if len(fields) == 0 || !ok || most <= 0 {
		return
	}
	open, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return
	}
	f := Finding{ID: "file-max", Key: "fs.file-max", Severity: fullness(open, most), Change: nothing,
		Effect: fmt.Sprintf("All processes together have %d files open and may have %d.", open, most)}
	if f.Severity > Good {
		f.Effect += " Beyond, they fail with \"too many open files in system\"."
		f.Change = "find out who has so many (ls /proc/*/fd), or raise it"
	}
	k.add(f)
}

// fullness is how bad it is that so many of most are in use.
func fullness(used, most int64) Severity {
	share := float64(used) / float64(most) // whole numbers overflow: systemd sets 1<<63 - 1 for fs.file-max
	switch {
	case share >= 0.95:
		return Error
	case share >= 0.80:
		return Warning
	}
	return Good
}

const (
	conntrackMax         = "net.netfilter.nf_conntrack_max"
	conntrackCount       = "net.netfilter.nf_conntrack_count"
	conntrackEstablished = "net.netfilter.nf_conntrack_tcp_timeout_established"
	conntrackTimeWait    = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"
)

// conntrack judges the table of a stateful firewall, where there is one.
func (k *check) conntrack() {
	k.conntrackTable()
	k.conntrackTimes()
}

func (k *check) conntrackTable() {
	most, ok := k.int(conntrackMax)
	used, counted := k.int(conntrackCount)
	if !ok || !counted || most <= 0 { // 0: no limit
		return
	}
	f := Finding{ID: "conntrack-max", Key: conntrackMax, Severity: fullness(used, most), Change: nothing,
		Effect: fmt.Sprintf("The firewall remembers %d connections in this network namespace and may remember %d.", used, most)}
	if used == 0 {
		f.Effect += " It tracks none here."
	}
	if f.Severity > Good {
		f.Effect += " When the table is full, packets of new connections are dropped (\"nf_conntrack: table full, dropping packet\")."
		f.Change = "raise it, and keep connections open: each is remembered for some time after it was closed"
	}
	k.add(f)
}

func (k *check) conntrackTimes() {
	if n, ok := k.int(conntrackTimeWait); ok && n < timeWaitSeconds {
		k.add(Finding{
			ID: "conntrack-time-wait", Severity: Note, Key: conntrackTimeWait,
			Effect: fmt.Sprintf("The firewall forgets a closed connection after %d s. The kernel's TIME_WAIT, and the port it holds, stay for 60.", n),
			Change: "set 120, the default, unless the firewall's table is full",
			Recipe: fmt.Sprintf("nf_conntrack_tcp_timeout_time_wait = %d shortens TIME_WAIT", n),
			Wrong:  "it is about the firewall's memory only",
		})
	}
	n, ok := k.int(conntrackEstablished)
	if alive, known := k.int(keepAliveTime); ok && known && n < alive {
		k.add(Finding{
			ID: "conntrack-established", Severity: Note, Key: conntrackEstablished,
			Effect: fmt.Sprintf("The firewall, if it tracks connections here, forgets one that is idle for %v; keep-alive probes of programs that set no time of their own begin after %v. Go's begin after 15 s.", time.Duration(n)*time.Second, time.Duration(alive)*time.Second),
			Change: fmt.Sprintf("nothing for Go; for other programs, set %s below it", keepAliveTime),
		})
	}
}
