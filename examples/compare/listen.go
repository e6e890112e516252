package main

import (
	"fmt"
	"net"
	"net/netip"
)

// listenOrigins listens on one port of n loopback addresses, 127.0.0.1
// onwards. Where the system has no other address than the first, each origin
// gets a port of its own there.
func listenOrigins(n int) ([]*net.TCPListener, error) {
	const attempts = 20
	for range attempts {
		// Somebody else may hold the port on one of the other addresses.
		if ls, err := listenOnePort(n); err == nil {
			return ls, nil
		}
	}
	return listenOneAddress(n)
}

func listenOnePort(n int) (ls []*net.TCPListener, err error) {
	defer func() {
		if err != nil {
			closeListeners(ls)
			ls = nil
		}
	}()
	var port uint16
	for i := range n {
		l, err := listen(netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), port)
		if err != nil {
			return ls, err
		}
		ls = append(ls, l)
		port = l.Addr().(*net.TCPAddr).AddrPort().Port()
		if i == 0 && portHasHistory(port) {
			return ls, fmt.Errorf("port %d has sockets of somebody else", port)
		}
	}
	return ls, nil
}

func listenOneAddress(n int) ([]*net.TCPListener, error) {
	var ls []*net.TCPListener
	for range n {
		l, err := listen(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
		if err != nil {
			closeListeners(ls)
			return nil, err
		}
		ls = append(ls, l)
	}
	return ls, nil
}

func listen(addr netip.Addr, port uint16) (*net.TCPListener, error) {
	return net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
}

func closeListeners(ls []*net.TCPListener) {
	for _, l := range ls {
		l.Close()
	}
}

// portHasHistory reports whether the kernel still knows a connection with
// port on either side: a TIME_WAIT of an earlier run would be counted as one
// of this run.
func portHasHistory(port uint16) bool {
	all, err := readSockets()
	if err != nil {
		// Then nothing is counted either.
		return false
	}
	for _, s := range all {
		if s.state != stateListen && (s.local.Port() == port || s.remote.Port() == port) {
			return true
		}
	}
	return false
}

// countingListener counts the connections it accepts and follows each until
// it ends.
type countingListener struct {
	*net.TCPListener
	target *target
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	l.target.accepted.Add(1)
	l.target.open.Add(1)
	return &countedConn{TCPConn: c, target: l.target}, nil
}
