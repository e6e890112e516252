package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pause is the time from the start of a burst to the next, if it takes no longer.
const pause = 20 * time.Millisecond

// load is a number of commands sent in some pattern.
type load struct {
	name string
	ops  int
	// run returns how long it took, pauses left out.
	run func(ctx context.Context, do func(ctx context.Context) error) time.Duration
}

// loads are those that the options ask for.
func (o options) loads() []load {
	return []load{
		{fmt.Sprintf("tight loop: %s commands, one after the other", grouped(o.loop)), o.loop, o.tightLoop},
		{fmt.Sprintf("bursts: %d of %d commands at once", o.bursts, o.burst), o.bursts * o.burst, o.inBursts},
	}
}

func (o options) tightLoop(ctx context.Context, do func(context.Context) error) time.Duration {
	begun := time.Now()
	for n := 0; n < o.loop && ctx.Err() == nil; n++ {
		do(ctx)
	}
	return time.Since(begun)
}

func (o options) inBursts(ctx context.Context, do func(context.Context) error) (worked time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for range o.bursts {
		begun := time.Now()
		var all sync.WaitGroup
		for range o.burst {
			all.Go(func() { do(ctx) })
		}
		all.Wait()
		worked += time.Since(begun)
		select {
		case <-ctx.Done():
			return worked
		case <-tick.C:
		}
	}
	return worked
}

// tally counts the commands of a load.
type tally struct {
	client   client
	key      string
	done     atomic.Int64
	failed   atomic.Int64
	busy     atomic.Int64 // nanoseconds, added up
	firstErr atomic.Pointer[error]
}

// do sends one command: they count up together, so that a lost one shows.
func (t *tally) do(ctx context.Context) error {
	begun := time.Now()
	reply, err := t.client.do(ctx, "INCR", t.key)
	if _, ok := reply.(int64); err == nil && !ok {
		err = fmt.Errorf("INCR answered with %v, want a number", reply)
	}
	t.busy.Add(int64(time.Since(begun)))
	switch {
	case err == nil:
		t.done.Add(1)
	case ctx.Err() == nil: // not our own interruption
		t.failed.Add(1)
		t.firstErr.CompareAndSwap(nil, &err)
	}
	return err
}

// accepted is how many connections the server has accepted so far.
func accepted(ctx context.Context, c client) (int, error) {
	reply, err := c.do(ctx, "INFO", "stats")
	if err != nil {
		return 0, err
	}
	text, _ := reply.(string)
	_, after, found := strings.Cut(text, "total_connections_received:")
	line, _, _ := strings.Cut(after, "\r\n")
	if !found {
		return 0, fmt.Errorf("INFO stats has no total_connections_received: %q", text)
	}
	return strconv.Atoi(line)
}
