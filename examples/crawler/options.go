package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// options is what the flags say.
type options struct {
	start []*url.URL
	file  string

	concurrency, perHost int
	delay, timeout       time.Duration
	// depth and pages are limits; 0 means none.
	depth, pages int
	maxSize      int64
	obeyRobots   bool
	agent        string

	sources    []netip.Prefix
	interfaces []string

	demo, compare        bool
	demoSites, demoPages int

	top  int
	json bool
}

func newFlagSet(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("crawler", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.file, "file", "", "read start URLs from this `file`, one a line; - is stdin")
	fs.IntVar(&o.concurrency, "concurrency", 128, "requests at a time, in all")
	fs.IntVar(&o.perHost, "per-host", 4, "requests at a time to one host")
	fs.DurationVar(&o.delay, "delay", 0, "time between the starts of two requests to one host; a longer Crawl-delay in its robots.txt wins")
	fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "time for a request, with the reading of its answer")
	fs.IntVar(&o.depth, "depth", 5, "links to follow from a start page; 0 is no limit")
	fs.IntVar(&o.pages, "pages", 10_000, "pages to fetch, in all; 0 is no limit")
	fs.Int64Var(&o.maxSize, "max-size", 4<<20, "`bytes` to read of a page; what is beyond has no links")
	fs.BoolVar(&o.obeyRobots, "robots", true, "obey robots.txt; -robots=false is for sites of your own")
	fs.StringVar(&o.agent, "agent", "stayopen-crawler/1.0", "User-Agent; the part before the slash is what robots.txt knows")
	fs.Func("source", "local `address` or prefix to dial from; may be given several times", func(s string) error {
		p, err := parseSource(s)
		o.sources = append(o.sources, p)
		return err
	})
	fs.Func("interface", "network interface whose addresses to dial from, by `name`; may be given several times", func(s string) error {
		o.interfaces = append(o.interfaces, s)
		return nil
	})
	fs.BoolVar(&o.demo, "demo", false, "crawl sites that the program itself starts on loopback")
	fs.BoolVar(&o.compare, "compare", false, "with -demo: let http.DefaultTransport do it, too")
	fs.IntVar(&o.demoSites, "demo-sites", 300, "with -demo: number of sites")
	fs.IntVar(&o.demoPages, "demo-pages", 20, "with -demo: pages of each site")
	fs.IntVar(&o.top, "top", 10, "hosts to list in the summary")
	fs.BoolVar(&o.json, "json", false, "print one JSON object instead of the table")
	return fs
}

// parseOptions reads the flags, and the start URLs. Its errors are sentences for
// the user; flag.ErrHelp means that the usage was asked for.
func parseOptions(args []string, stdin io.Reader) (options, error) {
	var o options
	fs := newFlagSet(&o)
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if err := o.validate(); err != nil {
		return options{}, err
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.demo {
		if fs.NArg() > 0 || o.file != "" {
			return options{}, errors.New("-demo crawls its own sites: no start URLs can be given")
		}
		return o, nil
	}
	for _, name := range []string{"compare", "demo-sites", "demo-pages"} {
		if given[name] {
			return options{}, fmt.Errorf("-%s is for -demo", name)
		}
	}
	var err error
	o.start, err = readStart(fs.Args(), o.file, stdin)
	return o, err
}

func (o options) validate() error {
	for _, f := range []struct {
		name            string
		value, min, max int
	}{
		{"concurrency", o.concurrency, 1, 10_000},
		{"per-host", o.perHost, 1, 1000},
		{"depth", o.depth, 0, 1000},
		{"pages", o.pages, 0, 100_000_000},
		{"max-size", int(o.maxSize), 1, 1 << 30},
		// The third and fourth byte of a loopback address tell sites apart.
		{"demo-sites", o.demoSites, 1, 5000},
		{"demo-pages", o.demoPages, 1, 1000},
		{"top", o.top, 0, 1000},
	} {
		if f.value < f.min || f.value > f.max {
			return fmt.Errorf("-%s is %d, want %d to %d", f.name, f.value, f.min, f.max)
		}
	}
	if o.delay < 0 || o.delay > time.Hour {
		return fmt.Errorf("-delay is %v, want 0 to %v", o.delay, time.Hour)
	}
	if o.timeout <= 0 || o.timeout > time.Hour {
		return fmt.Errorf("-timeout is %v, want more than 0 and at most %v", o.timeout, time.Hour)
	}
	if slices.ContainsFunc([]byte(o.agent), func(c byte) bool { return c < ' ' || c > '~' }) || o.agent == "" {
		return fmt.Errorf("-agent is %q, want visible ASCII characters", o.agent)
	}
	return o.newDialer().Validate()
}

// parseSource reads an address or a prefix.
func parseSource(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("want an address, such as 192.0.2.10, or a prefix, such as 2001:db8::/64")
	}
	return p.Masked(), nil
}

// newDialer dials from the sources. It waits for a local port when there is none:
// a crawler has time.
func (o options) newDialer() *dialer.Dialer {
	return &dialer.Dialer{
		Timeout:     10 * time.Second,
		KeepAlive:   30 * time.Second,
		Sources:     o.sources,
		Interfaces:  o.interfaces,
		WaitForPort: true,
	}
}

func printUsage(w io.Writer) {
	var o options
	fs := newFlagSet(&o)
	fmt.Fprint(w, `Crawler fetches the pages of many hosts, follows the links among them, and says
at the end how many connections that took.

Usage: crawler [flags] URL...
       crawler -file hosts.txt [flags]
       crawler -demo [-compare] [flags]

`)
	fs.SetOutput(w)
	fs.PrintDefaults()
}
