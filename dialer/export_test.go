package dialer

import "context"

// Counted is how many connections, attempts and waiters the process's ledger has.
func Counted() int {
	ports.lock()
	defer ports.mu.Unlock()
	n := len(ports.waiting)
	for _, d := range ports.dests {
		n += d.used - d.waitsLocked()
	}
	return n
}

// DialEach dials as on systems where net does the binding.
func (d *Dialer) DialEach(ctx context.Context, network, address string) (*Conn, error) {
	return d.newDialing(ctx, network).dialEach(ctx, address)
}
