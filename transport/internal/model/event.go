package model

import "time"

// event is something that will happen in the simulation.
type event struct {
	at   time.Duration
	nth  uint64   // of two at the same moment the one that was planned first comes first
	dial *dial    // it succeeds, or turns slow
	slow bool     // the second of these
	ends *Request // or: this request ends
	bell *origin  // or: this origin's alarm may ring
}

func (e event) before(other event) bool {
	return e.at < other.at || e.at == other.at && e.nth < other.nth
}

// agenda is a heap of events, the next at the top. container/heap would box each.
type agenda []event

func (a *agenda) push(e event) {
	h := append(*a, e)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !h[i].before(h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
	*a = h
}

func (a *agenda) pop() event {
	h := *a
	top, last := h[0], len(h)-1
	h[0] = h[last]
	h[last] = event{}
	h = h[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if h[child].before(h[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*a = h
	return top
}
