package hostcheck

// Stat is the kernel's summary of a network namespace's sockets. It costs next
// to nothing.
type Stat struct {
	// InUse is the number of TCP sockets that are not in TIME_WAIT, over IPv4
	// and IPv6 together.
	InUse int

	// Orphans is the number of those that no program has any more: they are
	// being closed. The kernel counts them for all namespaces together.
	Orphans int

	// TimeWaits is the number of sockets in TIME_WAIT, or in FIN_WAIT_2 without
	// a program that has them.
	TimeWaits int

	// TimeWaitOverflows is how often a connection was closed without TIME_WAIT
	// because there were tcp_max_tw_buckets already, since the namespace was
	// made.
	TimeWaitOverflows int

	// ListenOverflows is how often a connection was turned away because its
	// listener had as many waiting as its backlog allows, since the namespace
	// was made.
	ListenOverflows int
}
