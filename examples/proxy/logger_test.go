package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailuresFillNoLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		l := newLogger(&b)
		for range 1000 {
			l.errorf("failed")
		}
		l.printf("news")
		<-time.After(time.Second)
		l.errorf("failed again")
		const want = "proxy: failed\nproxy: news\nproxy: failed again (and 999 other failures before it)\n"
		if got := b.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestLinesStandAboveTheOneThatRefreshes(t *testing.T) {
	var b strings.Builder
	l := newLogger(&b)
	l.terminal = true
	l.refresh("1 request")
	l.refresh("2 requests")
	l.printf("news")
	l.refresh("3 requests")
	l.keep()
	const clear = "\r\x1b[K"
	if got, want := b.String(), "1 request"+clear+"2 requests"+clear+"proxy: news\n3 requests\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
