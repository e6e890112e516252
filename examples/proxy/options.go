package main

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// options is what the flags say.
type options struct {
	listen    string
	sharePort bool
	upstreams []*url.URL
	balance   string
	roots     *x509.CertPool // of https upstreams; nil means the system's

	sources []netip.Prefix

	health      string // empty: no checks
	healthEvery time.Duration
	timeout     time.Duration // of an answer's header; 0 is none
	grace       time.Duration
	admin       string

	demo, compare               bool
	demoUpstreams, demoRequests int
	demoClients                 int

	json bool
}

const (
	leastLoaded = "least"
	roundRobin  = "round-robin"
)

func newFlagSet(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("proxy", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` to serve clients on")
	fs.BoolVar(&o.sharePort, "share-port", false, "let another process listen on the same address (SO_REUSEPORT)")
	fs.Func("upstream", "`URL` of a server to pass requests on to, http or https, may have a path; may be given several times", func(s string) error {
		u, err := parseUpstream(s)
		o.upstreams = append(o.upstreams, u)
		return err
	})
	fs.StringVar(&o.balance, "balance", leastLoaded, "which upstream is next: least, the one with the fewest running requests, or round-robin")
	fs.Func("ca", "`file` of PEM certificates to trust for https upstreams, in place of the system's", func(s string) (err error) {
		o.roots, err = readRoots(s)
		return err
	})
	fs.Func("source", "local `address` or prefix to dial upstreams from; may be given several times", func(s string) error {
		p, err := parseSource(s)
		o.sources = append(o.sources, p)
		return err
	})
	fs.StringVar(&o.health, "health", "", "`path` to ask each upstream for; a status of 200 to 399 is good")
	fs.DurationVar(&o.healthEvery, "health-every", 2*time.Second, "time between two such checks; each may take as long, or 2s if that is longer")
	fs.DurationVar(&o.timeout, "timeout", time.Minute, "time for an upstream to begin its answer; 0 is no limit")
	fs.DurationVar(&o.grace, "grace", 10*time.Second, "time for running requests to end when the proxy is told to stop")
	fs.StringVar(&o.admin, "admin", "", "`address` of /status and /healthz; empty is none")
	fs.BoolVar(&o.demo, "demo", false, "start upstreams on loopback, and send load to them through the proxy")
	fs.BoolVar(&o.compare, "compare", false, "with -demo: let http.DefaultTransport do it, too")
	fs.IntVar(&o.demoUpstreams, "demo-upstreams", 3, "with -demo: number of upstreams")
	fs.IntVar(&o.demoRequests, "demo-requests", 20_000, "with -demo: number of requests")
	fs.IntVar(&o.demoClients, "demo-clients", 64, "with -demo: number of concurrent clients")
	fs.BoolVar(&o.json, "json", false, "print one JSON object instead of the table")
	return fs
}

// parseOptions reads the flags. Its errors are sentences for the user;
// flag.ErrHelp means that the usage was asked for.
func parseOptions(args []string) (options, error) {
	var o options
	fs := newFlagSet(&o)
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q: upstreams are given with -upstream", fs.Arg(0))
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	needs, without := []string{"upstream"}, []string{"compare", "demo-upstreams", "demo-requests", "demo-clients"}
	if o.demo {
		needs, without = nil, []string{"upstream", "listen", "share-port", "ca"}
	}
	for _, name := range needs {
		if !given[name] {
			return options{}, fmt.Errorf("no -%s is given, want one or more, or -demo", name)
		}
	}
	for _, name := range without {
		if given[name] && o.demo {
			return options{}, fmt.Errorf("-%s cannot be given with -demo, which has its own", name)
		} else if given[name] {
			return options{}, fmt.Errorf("-%s is for -demo", name)
		}
	}
	return o, o.validate()
}

func (o options) validate() error {
	for _, f := range []struct {
		name            string
		value, min, max int
	}{
		{"demo-upstreams", o.demoUpstreams, 1, 100},
		{"demo-requests", o.demoRequests, 1, 100_000_000},
		{"demo-clients", o.demoClients, 1, 5000},
	} {
		if f.value < f.min || f.value > f.max {
			return fmt.Errorf("-%s is %d, want %d to %d", f.name, f.value, f.min, f.max)
		}
	}
	for _, f := range []struct {
		name            string
		value, min, max time.Duration
	}{
		{"health-every", o.healthEvery, time.Millisecond, time.Hour},
		{"timeout", o.timeout, 0, 24 * time.Hour},
		{"grace", o.grace, 0, 24 * time.Hour},
	} {
		if f.value < f.min || f.value > f.max {
			return fmt.Errorf("-%s is %v, want %v to %v", f.name, f.value, f.min, f.max)
		}
	}
	if o.balance != leastLoaded && o.balance != roundRobin {
		return fmt.Errorf("-balance is %q, want %s or %s", o.balance, leastLoaded, roundRobin)
	}
	if _, err := healthURL(o.health); o.health != "" && err != nil {
		return fmt.Errorf("-health is %q, want a path, such as /healthz", o.health)
	}
	seen := map[string]bool{}
	for _, u := range o.upstreams {
		if seen[u.String()] {
			return fmt.Errorf("-upstream %s is given twice", u)
		}
		seen[u.String()] = true
	}
	if err := o.newDialer().Validate(); err != nil {
		return fmt.Errorf("-source: %w", err)
	}
	return nil
}

// newDialer dials from the sources. It does not wait for a local port when there is
// none: a client waits for its answer, and another upstream may have one.
func (o options) newDialer() *dialer.Dialer {
	return &dialer.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second, Sources: o.sources}
}

// parseUpstream reads the URL of an upstream.
func parseUpstream(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("want a URL, such as http://10.0.0.1:8000")
	case u.User != nil:
		return nil, errors.New("want a URL without a user")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("want a URL without a query or a fragment")
	}
	if p := u.Port(); p != "" {
		if a, err := netip.ParseAddrPort("[::]:" + p); err != nil || a.Port() == 0 {
			return nil, errors.New("want a port of 1 to 65535")
		}
	}
	return u, nil
}

// healthURL reads the path of the checks, which may have a query.
func healthURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || s == "" || s[0] != '/' || u.Host != "" || u.Fragment != "" {
		return nil, errors.New("not a path")
	}
	return u, nil
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

func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("the file has no certificate in it")
	}
	return roots, nil
}

func printUsage(w io.Writer) {
	var o options
	fs := newFlagSet(&o)
	fmt.Fprint(w, `Proxy is a reverse proxy: it passes requests on to the upstreams, and keeps the
connections to them open.

Usage: proxy -upstream URL [-upstream URL ...] [flags]
       proxy -demo [-compare] [flags]

`)
	fs.SetOutput(w)
	fs.PrintDefaults()
}
