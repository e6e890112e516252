package model

import "time"

// conn is a simulated connection.
type conn struct {
	origin  *origin
	streams int  // requests on it
	served  bool // one has ended well
	idle    time.Duration

	in         *idleList // the list that it is in, if any
	prev, next *conn     // newer, older
}

// idleList holds idle connections, most recently used first.
type idleList struct {
	newest, oldest *conn
	n              int
}

func (l *idleList) push(c *conn, now time.Duration) {
	c.in, c.idle = l, now
	c.prev, c.next = nil, l.newest
	if l.newest != nil {
		l.newest.prev = c
	} else {
		l.oldest = c
	}
	l.newest = c
	l.n++
}

func (l *idleList) remove(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.newest = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.oldest = c.prev
	}
	c.in, c.prev, c.next = nil, nil, nil
	l.n--
}
