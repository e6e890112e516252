package pool

// links are an item's place in one list. Both are nil while it is in none.
type links[T any] struct{ prev, next *T }

// list is a ring of items that carry their own links, so that adding, removing
// and asking for membership cost neither an allocation nor a search.
// links says which of an item's links the list uses.
type list[T any] struct {
	first *T
	n     int
	links func(*T) *links[T]
}

// has reports whether x is in a list that uses the same links as l.
func (l *list[T]) has(x *T) bool { return l.links(x).next != nil }

// last returns the item at the end, nil if there is none.
func (l *list[T]) last() *T {
	if l.first == nil {
		return nil
	}
	return l.links(l.first).prev
}

// after returns the item that follows x, nil if x is the last one.
func (l *list[T]) after(x *T) *T {
	if next := l.links(x).next; next != l.first {
		return next
	}
	return nil
}

func (l *list[T]) pushBack(x *T) {
	if l.has(x) {
		panic("BUG: pool: item is in a list already")
	}
	if l.first == nil {
		l.n = 1
		l.first = x
		*l.links(x) = links[T]{x, x}
		return
	}
	l.insertRing(x, l.first)
}

func (l *list[T]) pushFront(x *T) {
	l.pushBack(x)
	l.first = x
}

// insertBefore puts x, which is in no list, in front of at, which is in l.
func (l *list[T]) insertBefore(x, at *T) {
	l.insertRing(x, at)
	if l.first == at {
		l.first = x
	}
}

// insertRing links x into the ring in front of at, without saying who is first.
func (l *list[T]) insertRing(x, at *T) {
	next := l.links(at)
	prev := next.prev
	*l.links(x) = links[T]{prev, at}
	l.links(prev).next = x
	next.prev = x
	l.n++
}

func (l *list[T]) remove(x *T) {
	at := l.links(x)
	if at.next == nil {
		panic("BUG: pool: item is not in the list")
	}
	switch {
	case at.next == x:
		l.first = nil
	case l.first == x:
		l.first = at.next
	}
	l.links(at.prev).next = at.next
	l.links(at.next).prev = at.prev
	*at = links[T]{}
	l.n--
}

// drop removes x if it is in the list.
func (l *list[T]) drop(x *T) {
	if l.has(x) {
		l.remove(x)
	}
}

// popFront removes the first item and returns it, nil if there is none.
func (l *list[T]) popFront() *T {
	x := l.first
	if x != nil {
		l.remove(x)
	}
	return x
}
