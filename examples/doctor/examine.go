package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// report is what was found out at one time.
type report struct {
	at       time.Time
	settings *hostcheck.Settings
	// census is nil if there is none, for the reason that noCensus gives.
	census   *hostcheck.Census
	noCensus error
	took     time.Duration
	findings []hostcheck.Finding
}

// examine looks at the host, and at the files in place of what it is set to.
func examine(ctx context.Context, o options) (*report, error) {
	s, err := hostcheck.Read()
	if err != nil {
		return nil, err
	}
	for _, name := range o.files {
		if err := override(s, name); err != nil {
			return nil, err
		}
	}
	r := &report{at: time.Now(), settings: s}
	r.census, r.noCensus = hostcheck.Take(ctx, hostcheck.Filter{})
	r.took = time.Since(r.at)
	if r.noCensus != nil && !errors.Is(r.noCensus, errors.ErrUnsupported) {
		return nil, fmt.Errorf("cannot count sockets: %w", r.noCensus)
	}
	r.findings = hostcheck.Check(s, r.census)
	return r, nil
}

func override(s *hostcheck.Settings, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("-sysctl: %w", err)
	}
	defer f.Close()
	if err := s.Override(name, f); err != nil {
		return fmt.Errorf("-sysctl: %w", err)
	}
	return nil
}

// worst is the severity of the worst finding, which comes first.
func (r *report) worst() hostcheck.Severity {
	if len(r.findings) == 0 {
		return hostcheck.Good
	}
	return r.findings[0].Severity
}

// destinations are the first of them, and how many more there are.
func (r *report) destinations(top int) (shown []hostcheck.Destination, leftOut int) {
	all := r.census.Destinations()
	n := min(top, len(all))
	return all[:n], len(all) - n
}
