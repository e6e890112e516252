// Doctor says whether this host is set up to open many TCP connections: what its
// settings really do, which well-known recipes are wrong, and where its sockets
// are, by state and destination.
//
// It needs no privileges, changes nothing and sends no packet. What it looks at
// is the network namespace that it runs in.
//
//	go run ./examples/doctor
//	go run ./examples/doctor -watch 3s
//	go run ./examples/doctor -sysctl /etc/sysctl.d/99-recipe.conf
//	go run ./examples/doctor -json
//
// With -sysctl it judges what the host would be set to if the file were applied;
// given several times, later files win.
//
// # Exit status
//
// It exits with 0 if no finding is an error, 1 if one is, and 2 if the flags or
// the file cannot be used or the host cannot be looked at. Interrupted, it exits
// as the last report was, or with 130 if there was none yet.
//
// # JSON
//
// -json prints one object, or with -watch one on a line each time. Fields may be
// added in later versions; those there are keep their names and meanings.
//
//	time          when the report was made, RFC 3339
//	os, kernel    the system, as GOOS names it, and its release
//	worst         the severity of the worst finding: good, note, warning or error
//	findings      the worst first, good ones included; each with id, severity,
//	              key, set, effect, change, and where they apply file and line
//	              (of -sysctl), recipe and wrong: see hostcheck.Finding
//	settings      each with key, value, and where they apply absent, file, line
//	files         soft and hard limit of open files; left out where not known
//	census        the sockets; left out where they cannot be counted:
//	  from          sock_diag or /proc/net/tcp, and why the latter: fallback
//	  took_ms       how long the count took
//	  total         the number of sockets, listeners included
//	  states        the number of sockets by state
//	  destinations  up to -top of them, those with the most sockets first: address,
//	                accepted (it is the local end of what came in), total, states,
//	                and of what was dialed sources: for each source address in_use
//	                and time_waits, which are local ports
//	  left_out      the number of destinations beyond -top
//	  summary       in_use, orphans, time_waits, time_wait_overflows,
//	                listen_overflows: see hostcheck.Stat
//	census_error  why there is no census
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

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

const (
	exitError       = 1
	exitFailed      = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal finds the default action again and ends the program at
	// once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program without its process: it looks at the host as args ask,
// prints what it finds to stdout and everything else to stderr, and returns the
// exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(stderr)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "doctor: %v (-h lists the flags)\n", err)
		return exitFailed
	}
	last, err := opts.report(ctx, newScreen(stdout))
	switch {
	case ctx.Err() != nil && last == nil:
		return exitInterrupted
	case err != nil && ctx.Err() == nil:
		fmt.Fprintf(stderr, "doctor: %v\n", err)
		return exitFailed
	case last.worst() == hostcheck.Error:
		return exitError
	}
	return 0
}
