package model

// queue is a first-in, first-out queue. Its memory is that of what is in it, up
// to a factor.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) push(item T) { q.items = append(q.items, item) }

// pushFront puts item in front of all others.
func (q *queue[T]) pushFront(item T) {
	if q.head == 0 {
		room := 4 + q.len()
		q.items = append(make([]T, room, room+2*q.len()), q.items...)
		q.head = room
	}
	q.head--
	q.items[q.head] = item
}

func (q *queue[T]) first() T { return q.items[q.head] }

func (q *queue[T]) pop() T {
	var none T
	item := q.items[q.head]
	q.items[q.head] = none
	q.head++
	switch {
	case q.head == len(q.items) && cap(q.items) > 1024:
		*q = queue[T]{} // what a burst needed is not kept
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head >= 64 && q.head > len(q.items)/2:
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return item
}
