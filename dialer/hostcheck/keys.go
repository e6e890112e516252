package hostcheck

// kind is the form of a parameter's value.
type kind uint8

const (
	number kind = iota // one number
	pair               // two
	ports              // a list of ports and ranges of them, possibly empty
	text               // anything
)

// parameter is a kernel parameter that is looked at.
type parameter struct {
	key      string
	kind     kind
	min, max int64 // what Linux accepts; no bounds if both are zero
	shown    bool  // it is read to be shown, and no finding depends on it
}

// linuxKeys are the parameters of Linux, in the order that people think of
// them. The bounds are those that 6.18 was seen to enforce.
var linuxKeys = []parameter{
	{key: "net.ipv4.ip_local_port_range", kind: pair, min: 1, max: 65535},
	{key: "net.ipv4.ip_local_reserved_ports", kind: ports},
	{key: "net.ipv4.ip_unprivileged_port_start"},
	{key: "net.ipv4.tcp_tw_reuse", max: 2},
	{key: "net.ipv4.tcp_tw_reuse_delay", min: 1, max: 60_000},
	{key: "net.ipv4.tcp_timestamps", max: 255},
	{key: "net.ipv4.tcp_tw_recycle"},
	{key: "net.ipv4.tcp_max_tw_buckets"},
	{key: "net.ipv4.tcp_fin_timeout"},
	{key: "net.core.somaxconn", max: 1<<31 - 1},
	{key: "net.ipv4.tcp_max_syn_backlog"},
	{key: "net.ipv4.tcp_syncookies", max: 255},
	{key: "net.ipv4.tcp_migrate_req", max: 1},
	{key: "net.ipv4.tcp_abort_on_overflow", max: 255},
	{key: "net.ipv4.tcp_syn_retries", min: 1, max: 127},
	{key: "net.ipv4.tcp_syn_linear_timeouts", max: 127},
	{key: "net.ipv4.tcp_synack_retries", max: 255},
	{key: "net.ipv4.tcp_retries2", max: 255},
	{key: "net.ipv4.tcp_orphan_retries", max: 255},
	{key: "net.ipv4.tcp_rto_max_ms", min: 1000, max: 120_000},
	{key: "net.ipv4.tcp_max_orphans"},
	{key: "net.ipv4.tcp_keepalive_time"},
	{key: "net.ipv4.tcp_keepalive_intvl", shown: true},
	{key: "net.ipv4.tcp_keepalive_probes", shown: true},
	{key: "net.netfilter.nf_conntrack_max"},
	{key: "net.netfilter.nf_conntrack_count"},
	{key: "net.netfilter.nf_conntrack_tcp_timeout_established"},
	{key: "net.netfilter.nf_conntrack_tcp_timeout_time_wait"},
	{key: "net.netfilter.nf_conntrack_tcp_timeout_close_wait", shown: true},
	{key: "net.netfilter.nf_conntrack_tcp_timeout_fin_wait", shown: true},
	{key: "fs.file-max"},
	{key: "fs.file-nr", kind: text},
	{key: "fs.nr_open", shown: true},
}

// otherKeys are the parameters of other systems, by GOOS.
var otherKeys = map[string][]parameter{
	"darwin": {
		{key: "net.inet.ip.portrange.first"},
		{key: "net.inet.ip.portrange.last"},
		{key: "net.inet.tcp.msl"},
		{key: "kern.ipc.somaxconn"},
		{key: "net.inet.tcp.keepidle"},
		{key: "kern.maxfilesperproc", shown: true},
	},
	"freebsd": {
		{key: "net.inet.ip.portrange.first"},
		{key: "net.inet.ip.portrange.last"},
		{key: "net.inet.tcp.msl"},
		{key: "net.inet.tcp.nolocaltimewait"},
		{key: "net.inet.tcp.maxtcptw"},
		{key: "kern.ipc.soacceptqueue"},
		{key: "net.inet.tcp.keepidle"},
		{key: "kern.maxfilesperproc", shown: true},
	},
	// Values of the registry under HKEY_LOCAL_MACHINE.
	"windows": {
		{key: `SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\TcpTimedWaitDelay`},
		{key: `SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\MaxUserPort`},
	},
}

// keysOf lists the parameters that are looked at on a system.
func keysOf(goos string) []parameter {
	if goos == "linux" {
		return linuxKeys
	}
	return otherKeys[goos]
}

// known is the parameter of that key.
func known(goos, key string) (parameter, bool) {
	for _, p := range keysOf(goos) {
		if p.key == key {
			return p, true
		}
	}
	return parameter{}, false
}
