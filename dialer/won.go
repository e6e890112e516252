package dialer

import (
	"net"
	"syscall"
)

// won hands the connection out, with the linger time that the user gave it.
func (dl *dialing) won(tc *net.TCPConn) (*Conn, error) {
	a := &dl.one
	l, raw, linger := a.lease, a.raw, a.setup.linger
	if dl.literal {
		a.lease = nil
	} else {
		a, l, raw, linger = dl.settle(tc)
	}
	if !l.opened(uint16(tc.LocalAddr().(*net.TCPAddr).Port)) {
		return nil, dl.tooLate(tc, a, l)
	}
	if l != nil && !l.src.IsValid() {
		l = nil
	}
	c := newConn(tc, raw, l)
	if dl.dialer.hasControl() {
		c.lent.Store(true)
	}
	if !dl.arm && !dl.one.setup.arm {
		return c, nil
	}
	if err := disarm(c, linger); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// tooLate is for an attempt that was answered after it had been given up. It
// returns what it failed with.
func (dl *dialing) tooLate(tc *net.TCPConn, a *attempt, l *lease) error {
	tc.SetLinger(0)
	tc.Close()
	dl.mu.Lock()
	defer dl.mu.Unlock()
	a.lease, a.running, a.connected, dl.settled = l, false, false, false
	a.fail(errGone)
	return &net.OpError{Op: "dial", Net: dl.network, Addr: net.TCPAddrFromAddrPort(a.dst), Err: errGone}
}

// settle ends the attempts that lost, but for those that net has not closed yet:
// connectDone ends them. It returns the winner and what it held. Of each family at
// most one can be connected, or be running, at the end of a run.
func (dl *dialing) settle(tc *net.TCPConn) (winner *attempt, l *lease, raw syscall.RawConn, linger int) {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	dl.settled = true
	linger = -1
	v4 := tc.RemoteAddr().(*net.TCPAddr).IP.To4() != nil
	for _, a := range dl.attempts {
		switch {
		case a.dst.Addr().Is4() == v4 && (a.connected || a.running):
			winner, l, raw, linger = a, a.lease, a.raw, a.setup.linger
			a.lease = nil
		case !a.running:
			a.end()
		}
	}
	return winner, l, raw, linger
}
