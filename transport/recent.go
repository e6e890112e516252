package transport

import "container/list"

// recent is a map that, when it is full, forgets what was used longest ago. The
// zero recent holds nothing; max is set before use and not changed. It is not
// safe for concurrent use.
type recent[K comparable, V any] struct {
	max   int
	items map[K]*list.Element
	order list.List // of *recentItem[K, V], used last first
}

type recentItem[K comparable, V any] struct {
	key   K
	value V
}

// get returns key's value, and counts as a use.
func (r *recent[K, V]) get(key K) (value V, ok bool) {
	e := r.items[key]
	if e == nil {
		return value, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*recentItem[K, V]).value, true
}

// put sets key's value, and counts as a use.
func (r *recent[K, V]) put(key K, value V) {
	if e := r.items[key]; e != nil {
		e.Value.(*recentItem[K, V]).value = value
		r.order.MoveToFront(e)
		return
	}
	if r.items == nil {
		r.items = make(map[K]*list.Element)
	}
	r.items[key] = r.order.PushFront(&recentItem[K, V]{key, value})
	if len(r.items) > r.max {
		r.delete(r.order.Back().Value.(*recentItem[K, V]).key)
	}
}

func (r *recent[K, V]) delete(key K) {
	if e := r.items[key]; e != nil {
		r.order.Remove(e)
		delete(r.items, key)
	}
}

func (r *recent[K, V]) len() int { return len(r.items) }
