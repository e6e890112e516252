// Metrics shows how a program hands the figures of its transports to Prometheus:
// through the OpenTelemetry SDK and its Prometheus exporter.
//
//	go -C examples/metrics run .
//
// starts a small service of its own on a loopback address, calls it through two
// transports, and serves what they count:
//
//	http://127.0.0.1:9464/metrics         for Prometheus
//	http://127.0.0.1:9464/debug/stayopen  for people
//
// Beside it are [grafana.json], a dashboard to import into Grafana, and
// [alerts.yml], rules for Prometheus. Both use the names under which the metrics
// arrive there; a test compares them with a scrape.
//
// It runs until it is interrupted, or for as long as -for says.
//
// [grafana.json]: https://github.com/stayopen-go/stayopen/blob/main/examples/metrics/grafana.json
// [alerts.yml]: https://github.com/stayopen-go/stayopen/blob/main/examples/metrics/alerts.yml
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program without its process. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("metrics", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:9464", "`address` to serve the metrics at")
	howLong := flags.Duration("for", 0, "end after this `time`; 0: when interrupted")
	rate := flags.Int("rate", 200, "requests a `second`, 1 to 10000")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "metrics: unexpected argument %q: there are only flags (-h lists them)\n", flags.Arg(0))
		return 2
	case *rate < 1 || *rate > 10000:
		fmt.Fprintf(stderr, "metrics: -rate is %d, want 1 to 10000 requests a second\n", *rate)
		return 2
	case *howLong < 0:
		fmt.Fprintf(stderr, "metrics: -for is %v, want a time that is not negative\n", *howLong)
		return 2
	}
	if *howLong > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *howLong)
		defer cancel()
	}
	if err := serve(ctx, *listen, *rate, stdout); err != nil {
		fmt.Fprintln(stderr, "metrics:", err)
		return 1
	}
	return 0
}

// serve runs the load and serves its metrics until ctx ends.
func serve(ctx context.Context, listen string, rate int, stdout io.Writer) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("cannot serve the metrics: %w", err)
	}
	p, err := newProgram()
	if err != nil {
		l.Close()
		return err
	}
	defer p.close()
	srv := &http.Server{Handler: p.handler(), ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l) // until Close
	defer srv.Close()
	fmt.Fprintf(stdout, "http://%v/metrics\n", l.Addr())
	p.load(ctx, rate)
	p.report(stdout)
	return nil
}
