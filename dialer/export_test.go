package dialer

import "context"

// Counted is how many destinations and connections the process's ledger holds.
func Counted() int {
	connections.mu.Lock()
	defer connections.mu.Unlock()
	n := len(connections.open)
	for _, bySource := range connections.open {
		n += len(bySource)
	}
	return n
}

// DialEach dials as on systems where net does the binding.
func (d *Dialer) DialEach(ctx context.Context, network, address string) (*Conn, error) {
	return newDialing(d, network).dialEach(ctx, address)
}
