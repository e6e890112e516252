package main

import (
	"net/http"

	"github.com/stayopen-go/stayopen/transport"
)

// client is one of those compared.
type client struct {
	name string
	rt   http.RoundTripper
	// close closes the idle connections, which by then is all of them.
	close func() error
	// stats returns the client's own figures, to hold against what was
	// counted elsewhere; nil for a client that has none.
	stats func() transport.Stats
}

// newClients makes the clients to compare, each when its turn comes.
var newClients = []func() (client, error){newDefault, newTuned, newStayopen}

func newDefault() (client, error) {
	return netHTTP("default", http.DefaultTransport.(*http.Transport)), nil
}

// The tuned transport keeps every connection that the load can need, as
// somebody who knows net/http's limits would set it.
const tunedIdlePerHost = 256

func newTuned() (client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = 0
	t.MaxIdleConnsPerHost = tunedIdlePerHost
	return netHTTP("tuned", t), nil
}

func netHTTP(name string, t *http.Transport) client {
	return client{
		name: name,
		rt:   t,
		close: func() error {
			t.CloseIdleConnections()
			return nil
		},
	}
}

func newStayopen() (client, error) {
	t, err := transport.New(transport.Config{Name: "stayopen"})
	if err != nil {
		return client{}, err
	}
	return client{name: "stayopen", rt: t, close: t.Close, stats: t.Stats}, nil
}
