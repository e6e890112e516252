// Restart restarts an HTTP server under load, again and again, and counts the
// requests that fail because of it.
//
// The server is a process of its own on loopback. Told to restart, it starts its
// successor, waits until that one listens, and leaves. There are three ways:
//
//   - handover: the successor is given the listening socket (dialer.HandOver and
//     ListenConfig.Inherited). No request may fail.
//   - drain: the successor opens its own by SO_REUSEPORT, and the old one is
//     drained (Listener.Drain). At most one request in 10,000 may fail.
//   - close: like drain, but leaves by Server.Shutdown alone. It shows what is lost
//     then: what was queued, and what was accepted with its request on the way.
//
// Half of the workers open a connection for each request, which puts every one of
// them through the listener's queue. Nothing repeats a request of theirs, so one
// that fails was lost between two servers. The others keep connections open, like
// most clients. A server that leaves closes those that are idle, and a request may
// cross that on the wire; net/http repeats it on another connection, as every
// client of keep-alive connections must, and it counts as failed only if that
// fails, too. All requests are GETs.
//
//	go run ./examples/restart
//	go run ./examples/restart -modes handover,drain,close -restarts 10
//	go run ./examples/restart -json
//
// It exits with 0 when it ran and failures stayed within the bounds above, 1 when
// not, 2 for flags it cannot use, and 130 when it was interrupted, after printing
// what there was by then. It needs a system that can pass descriptors and share
// ports (handover: not Windows; drain: Linux for the bound).
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
	if isServerProcess() {
		os.Exit(serverMain(os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for what there is; a second one finds the default
	// action again and ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program without its process: it restarts as args ask, prints the
// result to stdout and everything else to stderr, and returns the exit code. When
// ctx ends it prints what there is.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(stderr)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "restart: %v (-h lists the flags)\n", err)
		return exitUsage
	}
	r := report{options: opts}
	for _, m := range opts.modes {
		if ctx.Err() != nil {
			break
		}
		f, err := measure(ctx, opts, m, stderr)
		switch {
		case err == nil:
			r.modes = append(r.modes, f)
		case ctx.Err() == nil:
			fmt.Fprintf(stderr, "restart: %s: %v\n", m, err)
			return exitFailed
		}
		// A server that was interrupted, too, before it knew better, is no failure.
	}
	r.interrupted = ctx.Err() != nil
	return r.finish(stdout, stderr)
}

// finish prints the report and returns the exit code.
func (r report) finish(stdout, stderr io.Writer) int {
	write := r.writeTable
	if r.options.json {
		write = r.writeJSON
	}
	if err := write(stdout); err != nil {
		fmt.Fprintf(stderr, "restart: cannot print the result: %v\n", err)
		return exitFailed
	}
	if r.interrupted {
		return exitInterrupted
	}
	code := 0
	for _, f := range r.modes {
		if f.Failed > f.allowed() {
			fmt.Fprintf(stderr, "restart: %s: %d of %d requests failed, want at most %d\n", f.Mode, f.Failed, f.Requests, f.allowed())
			code = exitFailed
		}
	}
	return code
}
