package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"time"
)

// options is what the flags say.
type options struct {
	json bool
	// url is the user's own server; nil means the one that compare starts.
	url       *url.URL
	bursts    int
	burstSize int
	pause     time.Duration
	mix       time.Duration
	rate      int
	origins   int
	seed      uint64
}

func newFlagSet(o *options) (fs *flag.FlagSet, rawURL *string) {
	fs = flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&o.json, "json", false, "print one JSON object instead of the table")
	rawURL = fs.String("url", "", "send the load to this `URL` instead of a server on loopback")
	fs.IntVar(&o.bursts, "bursts", 20, "number of bursts; 0 sends none")
	fs.IntVar(&o.burstSize, "burst-size", 200, "concurrent requests in a burst")
	fs.DurationVar(&o.pause, "pause", 50*time.Millisecond, "time between the last answer of a burst and the next burst")
	fs.DurationVar(&o.mix, "mix", 5*time.Second, "how long the steady mix lasts for each client; 0 sends none")
	fs.IntVar(&o.rate, "rate", 2000, "requests per second of the steady mix")
	fs.IntVar(&o.origins, "origins", 50, "origins that the steady mix is spread over (not with -url)")
	fs.Uint64Var(&o.seed, "seed", 1, "seed of the arrivals, the choice of origins and the server's delays")
	return fs, rawURL
}

// parseOptions reads the flags. Its errors are sentences for the user;
// flag.ErrHelp means that the usage was asked for.
func parseOptions(args []string) (options, error) {
	var o options
	fs, rawURL := newFlagSet(&o)
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if given["url"] {
		if given["origins"] {
			return options{}, errors.New("-origins cannot be combined with -url, which is one origin")
		}
		u, err := parseURL(*rawURL)
		if err != nil {
			return options{}, err
		}
		o.url, o.origins = u, 1
	}
	return o, o.validate()
}

func (o options) validate() error {
	for _, f := range []struct {
		name     string
		value    int
		min, max int
	}{
		{"bursts", o.bursts, 0, 10_000},
		{"burst-size", o.burstSize, 1, 10_000},
		{"rate", o.rate, 1, 100_000},
		// One loopback address each, 127.0.0.1 to 127.0.0.254.
		{"origins", o.origins, 1, 254},
	} {
		if f.value < f.min || f.value > f.max {
			return fmt.Errorf("-%s is %d, want %d to %d", f.name, f.value, f.min, f.max)
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
		max   time.Duration
	}{
		{"pause", o.pause, time.Minute},
		{"mix", o.mix, time.Hour},
	} {
		if f.value < 0 || f.value > f.max {
			return fmt.Errorf("-%s is %v, want 0 to %v", f.name, f.value, f.max)
		}
	}
	if o.bursts == 0 && o.mixRequests() == 0 {
		return errors.New("nothing to send: -bursts is 0 and -mix at -rate makes no request")
	}
	if n := o.burstRequests() + o.mixRequests(); n > maxRequests {
		return fmt.Errorf("%d requests for each client are more than the %d that fit: lower -bursts, -burst-size, -mix or -rate", n, maxRequests)
	}
	return nil
}

// maxRequests bounds the memory that the latencies of one client take.
const maxRequests = 10_000_000

// burstRequests is the number of requests in all bursts, the same for every
// client.
func (o options) burstRequests() int { return o.bursts * o.burstSize }

// mixRequests is the number of requests in the steady mix, the same for
// every client.
func (o options) mixRequests() int {
	return int(o.mix.Seconds() * float64(o.rate))
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("-url: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("-url is %q, want one that begins with http:// or https://", raw)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("-url is %q, which names no host", raw)
	}
	return u, nil
}

func printUsage(w io.Writer) {
	var o options
	fs, _ := newFlagSet(&o)
	fmt.Fprint(w, `Compare sends the same load through http.DefaultTransport, a tuned
http.Transport and stayopen, and prints what each of them did to
connections, local ports, CPU and latency.

Usage: compare [flags]

`)
	fs.SetOutput(w)
	fs.PrintDefaults()
}
