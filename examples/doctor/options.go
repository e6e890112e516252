package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// options is what the flags say.
type options struct {
	json bool
	all  bool
	// watch is the time between reports. Zero makes one.
	watch time.Duration
	// files are in the format of sysctl.conf.
	files []string
	top   int
}

func newFlagSet(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("doctor", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&o.json, "json", false, "print JSON instead of text")
	fs.BoolVar(&o.all, "all", false, "show what is good as well")
	fs.DurationVar(&o.watch, "watch", 0, "look again after this `time`, until interrupted")
	fs.Func("sysctl", "judge this `file` in the format of sysctl.conf as if it were applied; may be repeated", func(name string) error {
		if name == "" {
			return errors.New("want the name of a file")
		}
		o.files = append(o.files, name)
		return nil
	})
	fs.IntVar(&o.top, "top", 10, "number of destinations to show")
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
		return options{}, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	watches := false
	fs.Visit(func(f *flag.Flag) { watches = watches || f.Name == "watch" })
	const shortest, longest = 100 * time.Millisecond, 24 * time.Hour
	if watches && (o.watch < shortest || o.watch > longest) {
		return options{}, fmt.Errorf("-watch is %v, want %v to %v", o.watch, shortest, longest)
	}
	if o.top < 0 || o.top > 1<<20 {
		return options{}, fmt.Errorf("-top is %d, want 0 to %d", o.top, 1<<20)
	}
	return o, nil
}

func printUsage(w io.Writer) {
	var o options
	fs := newFlagSet(&o)
	fmt.Fprint(w, `Doctor says whether this host is set up to open many TCP connections, which
well-known recipes in its settings are wrong, and where its sockets are.

Usage: doctor [flags]

`)
	fs.SetOutput(w)
	fs.PrintDefaults()
	fmt.Fprint(w, `
Exit status: 0 if no finding is an error, 1 if one is, 2 if it could not look.
`)
}

// report prints a report, or one each time, and returns the last. When ctx ends
// while it waits for the next, that is no error.
func (o options) report(ctx context.Context, s *screen) (*report, error) {
	if o.watch == 0 {
		r, err := examine(ctx, o)
		if err != nil {
			return nil, err
		}
		return r, s.show(o, r)
	}
	defer s.leave()
	tick := time.NewTicker(o.watch)
	defer tick.Stop()
	var last *report
	for {
		r, err := examine(ctx, o)
		if err != nil {
			return last, err
		}
		last = r
		if err := s.refresh(o, r); err != nil {
			return last, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last, nil
		}
	}
}
