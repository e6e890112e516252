package transport

import "testing"

func TestRecentForgetsWhatWasUsedLongestAgo(t *testing.T) {
	r := recent[string, int]{max: 2}
	if _, ok := r.get("a"); ok {
		t.Error("an empty one has something")
	}
	r.put("a", 1)
	r.put("b", 2)
	r.get("a")
	r.put("c", 3)
	r.put("a", 4)
	for key, want := range map[string]int{"a": 4, "b": 0, "c": 3} {
		if got, ok := r.get(key); got != want || ok != (want != 0) {
			t.Errorf("%s is %d, %v, want %d", key, got, ok, want)
		}
	}
	r.delete("a")
	r.delete("a")
	if _, ok := r.get("a"); ok || r.len() != 1 || r.order.Len() != 1 {
		t.Errorf("%d and %d left after one of two was deleted, want 1", r.len(), r.order.Len())
	}
}
