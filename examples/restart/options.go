package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// mode is a way to restart.
type mode string

const (
	handover  mode = "handover"
	drain     mode = "drain"
	justClose mode = "close"
)

var allModes = []mode{handover, drain, justClose}

// options is what the flags say.
type options struct {
	modes    []mode
	restarts int
	workers  int
	// every is the pause between two restarts.
	every time.Duration
	json  bool
}

func newFlagSet(o *options) (fs *flag.FlagSet, modes *string) {
	fs = flag.NewFlagSet("restart", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	modes = fs.String("modes", "handover,drain", "ways to restart, of handover, drain and close, one after the other")
	fs.IntVar(&o.restarts, "restarts", 30, "number of restarts")
	fs.IntVar(&o.workers, "workers", 32, "concurrent clients; every second opens a connection for each request")
	fs.DurationVar(&o.every, "every", 200*time.Millisecond, "pause between two restarts")
	fs.BoolVar(&o.json, "json", false, "print one JSON object instead of the table")
	return fs, modes
}

// parseOptions reads the flags. Its errors are sentences for the user;
// flag.ErrHelp means that the usage was asked for.
func parseOptions(args []string) (options, error) {
	var o options
	fs, modes := newFlagSet(&o)
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	for m := range strings.SplitSeq(*modes, ",") {
		if !slices.Contains(allModes, mode(m)) {
			return options{}, fmt.Errorf("-modes has %q, want handover, drain or close, with commas between them", m)
		}
		o.modes = append(o.modes, mode(m))
	}
	return o, o.validate()
}

func (o options) validate() error {
	for _, f := range []struct {
		name            string
		value, min, max int
	}{
		{"restarts", o.restarts, 1, 10_000},
		{"workers", o.workers, 1, 1000},
	} {
		if f.value < f.min || f.value > f.max {
			return fmt.Errorf("-%s is %d, want %d to %d", f.name, f.value, f.min, f.max)
		}
	}
	if o.every < 0 || o.every > time.Minute {
		return fmt.Errorf("-every is %v, want 0 to %v", o.every, time.Minute)
	}
	return nil
}

func printUsage(w io.Writer) {
	var o options
	fs, _ := newFlagSet(&o)
	fmt.Fprint(w, `Restart restarts an HTTP server under load, again and again, and counts the
requests that fail because of it.

Usage: restart [flags]

`)
	fs.SetOutput(w)
	fs.PrintDefaults()
}
