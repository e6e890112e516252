// Crawler fetches the pages of many hosts, follows the links among them, and says
// at the end how many connections that took.
//
// It stays within the hosts it was given (and those that their start pages
// redirect to), obeys their robots.txt, and keeps to a limit on concurrent requests
// for each host and in all. Links are found in a, area, frame and iframe elements
// of HTML pages.
//
//	go run ./examples/crawler https://example.org/ https://example.net/
//	go run ./examples/crawler -file hosts.txt -per-host 2 -delay 500ms
//	go run ./examples/crawler -source 192.0.2.10 -source 2001:db8::/64 example.org
//	go run ./examples/crawler -demo -compare
//
// With -demo it starts some hundred sites of its own on loopback addresses and
// crawls them. The sites count, too: the program compares their figures with its
// own. With -compare http.DefaultTransport crawls them first.
//
// It exits with 0 when it ran, even if some pages could not be fetched; 1 when it
// could not run or its figures disagree with those of its own sites; 2 for flags it
// cannot use; and 130 when it was interrupted, after printing what there was by
// then.
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for what there is; a second one finds the default
	// action again and ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program without its process: it crawls as args ask, prints the
// summary to stdout and everything else to stderr, and returns the exit code. When
// ctx ends it prints what there is.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stdin)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(stderr)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "crawler: %v (-h lists the flags)\n", err)
		return exitUsage
	}
	r, err := opts.crawl(ctx, newProgress(stderr, isTerminal(stderr)))
	if err != nil {
		fmt.Fprintf(stderr, "crawler: %v\n", err)
		return exitFailed
	}
	write := r.writeTable
	if opts.json {
		write = r.writeJSON
	}
	if err := write(stdout); err != nil {
		fmt.Fprintf(stderr, "crawler: cannot print the summary: %v\n", err)
		return exitFailed
	}
	return r.exitCode(stderr)
}
