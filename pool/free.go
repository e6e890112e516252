package pool

import "container/heap"

// free are the connections of an origin that have a free slot. Those without a
// lease come first, the most recently used of them first of all; then those with
// the fewest leases. The first kind is a list, so that what has one slot costs no
// more than that; the second one a heap.
type free[K comparable, C any] struct {
	unused list[Conn[K, C]]
	shared shared[K, C]
	latest uint64 // what the most recently used connection was given
}

func (f *free[K, C]) has(c *Conn[K, C]) bool { return f.unused.has(c) || c.sharedAt > 0 }

// first returns whose slot is taken next, nil if there is none.
func (f *free[K, C]) first() *Conn[K, C] {
	if f.unused.first == nil && len(f.shared) > 0 {
		return f.shared[0]
	}
	return f.unused.first
}

// add takes in c, which is not there, as the most recently used.
func (f *free[K, C]) add(c *Conn[K, C]) {
	f.latest++
	c.recency = f.latest
	if c.leased == 0 {
		f.unused.pushFront(c)
	} else {
		heap.Push(&f.shared, c)
	}
}

// leased puts c, of which one more slot was taken, where it belongs now, if it is
// there.
func (f *free[K, C]) leased(c *Conn[K, C]) {
	switch {
	case c.leased >= c.slots:
		f.drop(c)
	case f.unused.has(c):
		f.unused.remove(c)
		heap.Push(&f.shared, c)
	case c.sharedAt > 0:
		heap.Fix(&f.shared, c.sharedAt-1)
	}
}

// drop takes c out if it is there.
func (f *free[K, C]) drop(c *Conn[K, C]) {
	if c.sharedAt > 0 {
		heap.Remove(&f.shared, c.sharedAt-1)
		return
	}
	f.unused.drop(c)
}

// shared is a heap of connections that have leases and a free slot, the one with
// the fewest leases at the top, and of several the most recently used.
type shared[K comparable, C any] []*Conn[K, C]

func (s shared[K, C]) Len() int { return len(s) }

func (s shared[K, C]) Less(i, j int) bool {
	if s[i].leased != s[j].leased {
		return s[i].leased < s[j].leased
	}
	return s[i].recency > s[j].recency
}

func (s shared[K, C]) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].sharedAt, s[j].sharedAt = i+1, j+1
}

func (s *shared[K, C]) Push(x any) {
	c := x.(*Conn[K, C])
	*s = append(*s, c)
	c.sharedAt = len(*s)
}

func (s *shared[K, C]) Pop() any {
	last := len(*s) - 1
	c := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	c.sharedAt = 0
	return c
}
