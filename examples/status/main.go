// Status serves transport/status's page over two transports that are kept busy: one
// calls a few services, good ones and bad ones, the other visits many hosts. All of
// them are the program's own, on loopback.
//
//	go run ./examples/status
//	go run ./examples/status -listen localhost:8080 -hosts 1000 -for 10m
//
// The page is at /debug/stayopen. The pictures in the documentation of
// transport/status were made of this program, with Chromium:
//
//	go run ./examples/status -listen localhost:8080 -interval 1s &
//	sleep 40
//	chromium --headless --hide-scrollbars --window-size=1280,1850 \
//		--screenshot=page.png 'http://localhost:8080/debug/stayopen?limit=9'
//	pngquant --quality 60-95 page.png
//
// and the narrow one with --window-size=400,1900 and limit=3.
//
// It exits with 0 when -for is over or it was interrupted, 1 when it could not run
// and 2 for flags it cannot use.
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

	"github.com/stayopen-go/stayopen/transport"
	"github.com/stayopen-go/stayopen/transport/status"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options is what the flags say.
type options struct {
	listen   string
	hosts    int
	duration time.Duration
	interval time.Duration
}

func parseOptions(args []string, stderr io.Writer) (o options, err error) {
	fs := flag.NewFlagSet("status", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.listen, "listen", "localhost:0", "`address` of the page; port 0 is any")
	fs.IntVar(&o.hosts, "hosts", 300, "how many hosts one of the transports visits")
	fs.DurationVar(&o.duration, "for", 0, "how long to run; 0 is until interrupted")
	fs.DurationVar(&o.interval, "interval", 0, "time between two points of the charts; 0 is the page's own default")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		err = fmt.Errorf("%q: want flags only", fs.Arg(0))
	case o.hosts < 1:
		err = errors.New("-hosts: want 1 at least")
	case o.duration < 0:
		err = errors.New("-for: want no negative time")
	}
	if err != nil {
		fmt.Fprintln(stderr, "status:", err)
	}
	return o, err
}

// run is the program without its process. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	if err := o.serve(ctx, stdout); err != nil {
		fmt.Fprintln(stderr, "status:", err)
		return 1
	}
	return 0
}

// serve runs the sites, the load and the page until ctx ends.
func (o options) serve(ctx context.Context, stdout io.Writer) error {
	s, err := startSites()
	if err != nil {
		return err
	}
	defer s.close()
	services, err := s.transport("services")
	if err != nil {
		return err
	}
	defer services.Close()
	crawler, err := s.transport("crawler")
	if err != nil {
		return err
	}
	defer crawler.Close()

	page, err := status.New(status.Config{
		Transports: []*transport.Transport{services, crawler},
		Title:      "shop-frontend",
		Interval:   o.interval,
	})
	if err != nil {
		return err
	}
	defer page.Close()
	mux := http.NewServeMux()
	mux.Handle("/debug/stayopen", page)
	mux.Handle("/{$}", http.RedirectHandler("/debug/stayopen", http.StatusFound))
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer server.Close()
	go server.Serve(listener) // ends with server.Close
	fmt.Fprintf(stdout, "http://%s/debug/stayopen\n", listener.Addr())

	work := startLoad(ctx, services, crawler, o.hosts)
	<-ctx.Done()
	work.Wait()
	return nil
}
