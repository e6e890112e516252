package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// client is what makes the connections to the upstreams.
type client struct {
	name string
	rt   http.RoundTripper
	// stats are its own figures; nil for a client that has none.
	stats func() transport.Stats
	// close ends what is left, idle connections in good order.
	close func()
}

func newStayopen(o options) (client, error) {
	t, err := transport.New(transport.Config{Name: "proxy", Dialer: o.newDialer(), Template: o.template()})
	if err != nil {
		return client{}, err
	}
	return client{name: "stayopen", rt: t, stats: t.Stats, close: func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		t.Shutdown(ctx)
		t.Close()
	}}, nil
}

// template says how upstreams are spoken to. Bodies pass as they are: gzip is
// between the client and the upstream. A proxy of the environment's is not meant.
func (o options) template() *http.Transport {
	return &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: o.roots},
		ForceAttemptHTTP2:     true,
		DisableCompression:    true,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: o.timeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 30 * time.Second},
	}
}

func newDefault(options) (client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	return client{name: "default", rt: t, close: t.CloseIdleConnections}, nil
}
