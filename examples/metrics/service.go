package main

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

// service is what is called: it answers after a while, closes the connection
// after some answers, and has answers that are long.
type service struct {
	server *http.Server
	url    string
}

func startService() (*service, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { answer(w, r, 200) })
	mux.HandleFunc("GET /long", func(w http.ResponseWriter, r *http.Request) { answer(w, r, 1<<20) })
	mux.HandleFunc("GET /last", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		answer(w, r, 200)
	})
	s := &service{url: "http://" + l.Addr().String(), server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	go s.server.Serve(l) // until close
	return s, nil
}

// answer waits for 5 ms and writes so many bytes.
func answer(w http.ResponseWriter, r *http.Request, size int) {
	select {
	case <-time.After(5 * time.Millisecond):
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(size))
	w.Write(make([]byte, size))
}

func (s *service) close() { s.server.Close() }
