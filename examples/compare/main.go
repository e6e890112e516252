// Compare sends the same load through http.DefaultTransport, a tuned
// http.Transport and stayopen, and prints what each of them did to
// connections, local ports, CPU and latency.
//
// It starts an HTTP server of its own in a second process on loopback. The
// server counts the connections and answers it sees, and the kernel counts
// the TIME_WAITs, so that no client is asked about itself. Every client talks
// to a port of its own, which is how their TIME_WAITs are told apart.
//
//	go run ./examples/compare
//	go run ./examples/compare -json
//	go run ./examples/compare -url https://example.org/
//
// It exits with 0 when it ran, 1 when it could not or when stayopen's own
// figures disagree with the server's, 2 for flags it cannot use, and 130 when
// it was interrupted, after printing what there was by then.
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

// run is the program without its process: it compares as args ask, prints
// the result to stdout and everything else to stderr, and returns the exit
// code. When ctx ends it prints what there is.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(stderr)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "compare: %v (-h lists the flags)\n", err)
		return exitUsage
	}
	result, err := compare(ctx, opts, newProgress(stderr, isTerminal(stderr)))
	if err != nil {
		fmt.Fprintf(stderr, "compare: %v\n", err)
		return exitFailed
	}
	if opts.json {
		err = result.writeJSON(stdout)
	} else {
		err = result.writeTable(stdout, wantsColour(stdout))
	}
	if err != nil {
		fmt.Fprintf(stderr, "compare: cannot print the result: %v\n", err)
		return exitFailed
	}
	for _, d := range result.disagreements {
		fmt.Fprintf(stderr, "compare: warning: %s\n", d)
	}
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case len(result.disagreements) > 0:
		return exitFailed
	}
	return 0
}
