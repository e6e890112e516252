// Proxy is a reverse proxy: it stands in front of one or several HTTP servers, its
// upstreams, spreads requests over them, and keeps the connections to them open.
//
//	go run ./examples/proxy -listen :8080 -upstream http://10.0.0.1:80 -upstream http://10.0.0.2:80
//	go run ./examples/proxy -upstream https://app.example.org/base -health /healthz -admin 127.0.0.1:9090
//	go run ./examples/proxy -demo -compare
//
// Whatever goes through net/http/httputil's ReverseProxy goes through it: bodies of
// any size in both directions, server-sent events and other streams as they come,
// trailers, 1xx responses, WebSocket and other upgrades. Upstreams are spoken to by
// HTTP/1.1, and by HTTP/2 where https offers it; clients by HTTP/1.1. The Host that
// the client asked for is passed on. X-Forwarded-For, -Host and -Proto say who the
// client is; what the client itself has put there is dropped.
//
// A request goes to the upstream with the fewest running, or to the next in turn. An
// upstream that cannot be connected to is set aside for a pause of 1 s, which
// doubles up to 30 s each time that it fails again, and the request goes to
// another. So does one that was sent, when the connection was lost before an answer
// came or the answer was 502, but only if it may be sent twice: it has no body, and
// is a GET, HEAD, OPTIONS or TRACE or has an Idempotency-Key. A 502 sets its upstream
// aside as well, but never the last one there is. With -health each upstream is
// asked for a path all the time, gets no requests after two failed checks, and gets
// them again after a good one. When no upstream is left the answer is 503 with
// Retry-After.
//
// SIGINT (Ctrl-C) and SIGTERM end it without losing a request: it takes in the
// connections that are queued, lets what runs come to its end, at most for -grace,
// and then cuts off what is left, upgraded connections too. A second signal ends it
// at once. With -share-port a successor can listen before that, so that clients
// notice nothing. At the end it prints what it has done; with -admin the same is at
// /status while it runs, as JSON, and /healthz says whether requests are welcome.
// That address has no password: keep it to yourself.
//
// With -demo it starts upstreams of its own on loopback, sends them load through
// itself, and compares its figures with theirs. With -compare the same proxy runs
// with http.DefaultTransport first.
//
// It exits with 0 when it was told to stop and no request was cut off for it; 1 when
// one was, when it could not run, or when its figures disagree with those of the
// demo's upstreams; 2 for flags it cannot use; and 130 when the demo was interrupted,
// or by a second signal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // until the process ends
		<-signals
		stop()
		// Not left to the default action, which is to ignore SIGINT in a process
		// that a shell has started in the background.
		<-signals
		os.Exit(exitInterrupted)
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program without its process: it serves as args ask until ctx ends,
// prints the summary to stdout and everything else to stderr, and returns the exit
// code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(stderr)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "proxy: %v (-h lists the flags)\n", err)
		return exitUsage
	}
	l := newLogger(stderr)
	serve := opts.serve
	if opts.demo {
		serve = opts.runDemo
	}
	r, err := serve(ctx, l)
	if err != nil {
		fmt.Fprintf(stderr, "proxy: %v\n", err)
		return exitFailed
	}
	write := r.writeTable
	if opts.json {
		write = r.writeJSON
	}
	if err := write(stdout); err != nil {
		fmt.Fprintf(stderr, "proxy: cannot print the summary: %v\n", err)
		return exitFailed
	}
	return r.exitCode(stderr)
}
