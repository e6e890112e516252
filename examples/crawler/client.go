package main

import (
	"net/http"

	"github.com/stayopen-go/stayopen/transport"
)

// client is what makes the connections of a crawl.
type client struct {
	name string
	rt   http.RoundTripper
	// stats are its own figures; nil for a client that has none.
	stats func() transport.Stats
	close func()
}

func newStayopen(o options) (client, error) {
	t, err := transport.New(transport.Config{Name: "crawler", Dialer: o.newDialer()})
	if err != nil {
		return client{}, err
	}
	return client{name: "stayopen", rt: t, stats: t.Stats, close: func() { t.Close() }}, nil
}

func newDefault(options) (client, error) {
	t := http.DefaultTransport.(*http.Transport)
	return client{name: "default", rt: t, close: t.CloseIdleConnections}, nil
}
