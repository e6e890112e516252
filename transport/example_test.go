package transport_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

// hello is a server to try things on.
func hello() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
	}))
}

// fetch makes n requests, one after the other.
func fetch(client *http.Client, url string, n int) {
	for range n {
		resp, err := client.Get(url)
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// The switch, for those who use http.DefaultTransport.
func ExampleNew() {
	server := hello()
	defer server.Close()

	t, err := transport.New(transport.Config{Name: "api"})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	client := &http.Client{Transport: t}

	fetch(client, server.URL, 3)
	fmt.Println(t.Stats().Opened, "opened,", t.Stats().ClosesAvoided, "closes avoided")
	// Output: 1 opened, 2 closes avoided
}

// The switch, for those who have an *http.Transport already.
func ExampleNew_template() {
	server := hello()
	defer server.Close()

	tuned := http.DefaultTransport.(*http.Transport).Clone()
	tuned.ResponseHeaderTimeout = 5 * time.Second
	tuned.MaxIdleConns = 0 // no limit

	t, err := transport.New(transport.Config{Name: "api", Template: tuned})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	client := &http.Client{Transport: t}

	fetch(client, server.URL, 3)
	fmt.Println(t.Stats().ClosesAvoided, "closes avoided")
	// Output: 2 closes avoided
}

// Connections from several local addresses: each has its own local ports.
func ExampleNew_dialer() {
	sources := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.10/32"),
		netip.MustParsePrefix("192.0.2.11/32"),
	}

	t, err := transport.New(transport.Config{
		Name:   "crawler",
		Dialer: &dialer.Dialer{Sources: sources, Timeout: 10 * time.Second},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
}

// What was done, and what is open.
func ExampleTransport_Stats() {
	server := hello()
	defer server.Close()
	t, err := transport.New(transport.Config{Name: "api"})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	fetch(&http.Client{Transport: t}, server.URL, 1000)

	s := t.Stats()
	fmt.Println(s.Exchanges, "exchanges on", s.Served, "connections:", s.ClosesAvoided, "closes avoided")
	// Output: 1000 exchanges on 1 connections: 999 closes avoided
}
