package dialer

import (
	"errors"
	"net"
	"net/netip"
)

// failure is what the dial returns. net reports the address that failed first;
// that one has no source, or cannot be reached, must not hide that another had no
// port, nor what became of one that could be reached.
func (dl *dialing) failure(err error) error {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	for _, a := range dl.attempts {
		if a.exhausted() {
			return dl.outOfPorts(a, err)
		}
	}
	if errors.Is(err, ErrNoSource) {
		for _, a := range dl.attempts {
			if a.err != nil && !errors.Is(a.err, ErrNoSource) {
				err = a.err
				break
			}
		}
	}
	err = dl.explain(err)
	if e := (*SourceError)(nil); errors.As(err, &e) {
		dl.advise(e)
	}
	return withFiles(err)
}

// advise notes what the error's advice depends on.
func (dl *dialing) advise(e *SourceError) {
	from := dl.from
	if p := dl.pinned[0]; p.IsValid() {
		e.pinned = p.Addr()
		from = dl.dialer.Sources
	}
	if n := len(e.Sources); n > 0 && bindsAnyAddress {
		if p := from.holding(e.Sources[n-1]); !p.IsSingleIP() {
			e.prefix = p
		}
	}
}

// outOfPorts is the error of a dial in which an attempt ended for want of a port.
func (dl *dialing) outOfPorts(a *attempt, err error) error {
	var e *ExhaustedError
	if !errors.As(err, &e) || e.Destination != a.dst {
		e = ports.exhausted(&a.ask)
		if call := callError(a.err); call != nil && faultOf(call) == noPort {
			e.Err = call
		}
		if !errors.Is(err, ErrPortsExhausted) && faultOf(err) != noPort {
			e.Other = err
		}
	}
	return &net.OpError{Op: "dial", Net: dl.network, Addr: net.TCPAddrFromAddrPort(a.dst), Err: e}
}

// explain puts a SourceError into the error of a source.
func (dl *dialing) explain(err error) error {
	var op *net.OpError
	var known *SourceError
	if len(dl.from) == 0 || faultOf(err) == notSource || !errors.As(err, &op) || errors.As(err, &known) {
		return err
	}
	explained := *op
	e := &SourceError{Err: op.Err}
	if op.Addr != nil {
		if a := dl.find(op.Addr.String()); a != nil {
			e.Destination, e.Sources = a.dst, append([]netip.Addr(nil), a.tried...)
		}
	}
	explained.Err = e
	return &explained
}
