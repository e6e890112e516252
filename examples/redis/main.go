// Redis talks to a real Redis server without a client library: each command asks a
// dial function for a connection, and closes it. It does that twice, with a Dialer
// and with a pool of package pool/netconn in front of the same Dialer, in a tight
// loop and in bursts, and prints what each of them opened and left behind.
//
//	go run ./examples/redis
//	go run ./examples/redis -addr 127.0.0.1:6379
//
// Without -addr it starts a redis-server of its own on a free port of 127.0.0.1,
// which keeps nothing and is gone when the program ends. On a server of yours it
// counts up two keys, stayopen-example:pooled and stayopen-example:dialed.
//
// It exits with 0 when it ran, 1 when it could not or a command failed, 2 for
// flags that it cannot use, and 130 when it was interrupted, after printing what
// there was by then.
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
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options is what the flags say.
type options struct {
	addr                string
	loop, bursts, burst int
}

func parseOptions(args []string, usage io.Writer) (o options, err error) {
	fs := flag.NewFlagSet("redis", flag.ContinueOnError)
	fs.SetOutput(usage)
	fs.StringVar(&o.addr, "addr", "", "`address` of a Redis server; without it one is started")
	fs.IntVar(&o.loop, "loop", 10_000, "commands of the tight loop")
	fs.IntVar(&o.bursts, "bursts", 20, "bursts")
	fs.IntVar(&o.burst, "burst", 100, "commands of a burst, sent at once")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", fs.Arg(0))
	}
	for name, n := range map[string]int{"loop": o.loop, "bursts": o.bursts, "burst": o.burst} {
		if n < 1 || n > 1_000_000 {
			return o, fmt.Errorf("-%s is %d, want 1 to 1000000", name, n)
		}
	}
	return o, nil
}

// run is the program without its process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "redis: %v (-h lists the flags)\n", err)
		return exitUsage
	}
	addr := o.addr
	if addr == "" {
		s, err := startServer(ctx)
		if err != nil {
			fmt.Fprintf(stderr, "redis: %v\n", err)
			return exitFailed
		}
		defer s.stop()
		addr = s.addr
	}
	results, err := o.measure(ctx, addr)
	if err != nil {
		fmt.Fprintf(stderr, "redis: %v\n", err)
		return exitFailed
	}
	failed := o.print(stdout, results)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "redis: interrupted; this is what there was by then")
		return exitInterrupted
	case failed != nil:
		fmt.Fprintf(stderr, "redis: a command failed: %v\n", failed)
		return exitFailed
	}
	return 0
}
