package transport

import "github.com/stayopen-go/stayopen/dialer"

// CloseCount is how many connections were closed for one reason by one side.
type CloseCount struct {
	// Reason is why, as in the attribute stayopen.close.reason of the metrics:
	// "idle_timeout" or "peer_closed", say.
	Reason string

	// By is who closed first.
	By dialer.Initiator

	// N is how many. It is more than zero.
	N uint64
}

// Closes says who has closed connections, and why, in an order that stays the
// same. The numbers add up to Stats.Closed. It may be called at any time by
// anybody.
func (t *Transport) Closes() []CloseCount {
	var all []CloseCount
	for i, why := range reasons {
		for j, by := range initiators {
			if n := t.count.byReason[i][j].Load(); n > 0 {
				all = append(all, CloseCount{string(why), by, n})
			}
		}
	}
	return all
}

// Name is Config.Name, or "default".
func (t *Transport) Name() string { return t.name }
