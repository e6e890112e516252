package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// admin serves what operators want to know, on an address of its own.
type admin struct {
	http   http.Server
	addr   net.Addr
	served chan error // closed by the goroutine that serves
}

// startAdmin serves /status and /healthz of s. The caller must call close.
func startAdmin(address string, s *server) (*admin, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("-admin: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.Encode(s.outcome())
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case s.proxy.leaving.Load():
			http.Error(w, "stopping", http.StatusServiceUnavailable)
		case !s.balancer.ready():
			http.Error(w, "no upstream is available", http.StatusServiceUnavailable)
		default:
			fmt.Fprintln(w, "ok")
		}
	})
	a := &admin{addr: l.Addr(), served: make(chan error)}
	a.http = http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, IdleTimeout: time.Minute}
	go func() {
		defer close(a.served)
		a.http.Serve(l)
	}()
	return a, nil
}

// close closes the address and every connection to it. A nil admin has none.
func (a *admin) close() {
	if a != nil {
		a.http.Close()
		<-a.served
	}
}
