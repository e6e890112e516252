package dialer

import "slices"

// renew has the addresses of Interfaces read again for attempts that failed for
// want of a source, once in a dial, and returns one that has a source to try now.
func (dl *dialing) renew() *attempt {
	d := dl.dialer
	if len(d.Interfaces) == 0 || dl.pinned[0].IsValid() || dl.renewed || !dl.sourceless() {
		return nil
	}
	dl.renewed = true
	read, err := interfaceAddrs.sources(d.Interfaces, true)
	from := append(slices.Clip(sources(d.Sources)), read...)
	dl.mu.Lock()
	defer dl.mu.Unlock()
	var next *attempt
	for _, a := range dl.attempts {
		if !a.sourceless() || !from.left(a.dst.Addr().Is6(), a.tried) {
			continue
		}
		a.from, a.outcome = from, chosen
		if next == nil {
			next = a
		}
	}
	if next != nil {
		dl.from, dl.srcErr = from, err
	}
	return next
}

// sourceless reports whether some attempt is.
func (dl *dialing) sourceless() bool {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	return slices.ContainsFunc(dl.attempts, (*attempt).sourceless)
}
