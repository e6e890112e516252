package gosuite

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/gosuite/adapter"
)

// A Case is one test, or one of its modes, over both transports.
type Case struct {
	Package string // import path
	Test    string // name of the Test function
	Mode    string // "h1", "https1", "h2", "h2unencrypted"; "" where the test has none

	NetHTTP  Status // None: it did not run
	Stayopen Status // None: it did not run, since net/http did not pass
	Requests int    // how many went through stayopen
	Attempts int    // how often it ran over stayopen; the last is what counts
	Why      string // the line of output that says why it did not pass
	Output   string // all of it, of the last attempt
}

// Name is the test's full name, such as "TestClientTimeout/h2".
func (c *Case) Name() string {
	if c.Mode == "" {
		return c.Test
	}
	return c.Test + "/" + c.Mode
}

// Many of Go's tests depend on timing, and two processes at a time on a small
// machine disturb each other. So a case that does not do what is expected of it
// gets further attempts, which run alone.
const attempts = 3

// A Comparison says how tests are run over both transports.
type Comparison struct {
	Only    *regexp.Regexp   // of the names of the tests; nil means all
	Differs func(*Case) bool // reports which cases are known not to pass over stayopen; nil means none
	Workers int              // how many processes at a time
	Limit   time.Duration    // for one process
}

// Run runs each of a suite's tests over net/http, and those that pass over
// stayopen, each mode in a process of its own. The cases are in the order of
// the tests in their files.
func (c Comparison) Run(ctx context.Context, b *Binary) ([]*Case, error) {
	perTest := make([][]*Case, len(b.Tests))
	err := c.each(len(b.Tests), func(i int) (err error) {
		if c.Only != nil && !c.Only.MatchString(b.Tests[i]) {
			return nil
		}
		perTest[i], err = c.bar(ctx, b, b.Tests[i])
		return err
	})
	var cases []*Case
	for _, list := range perTest {
		cases = append(cases, list...)
	}
	if err != nil {
		return nil, err
	}
	err = c.each(len(cases), func(i int) error {
		if cases[i].NetHTTP != Pass {
			return nil
		}
		return c.try(ctx, b, cases[i])
	})
	for _, k := range cases {
		expected := Pass
		if c.Differs != nil && c.Differs(k) {
			expected = Fail
		}
		for err == nil && k.Stayopen != None && k.Stayopen != expected && k.Attempts < attempts {
			err = c.try(ctx, b, k)
		}
	}
	return cases, err
}

// each calls do for 0 to n-1 from several goroutines and returns an error that
// one of the calls returned.
func (c Comparison) each(n int, do func(i int) error) error {
	next := make(chan int)
	errs := make(chan error, c.Workers)
	var wg sync.WaitGroup
	for range c.Workers {
		wg.Go(func() { // ends when next is closed, below
			var first error
			for i := range next {
				if first == nil {
					first = do(i)
				}
			}
			errs <- first
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	for range c.Workers {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// bar runs a test over net/http, in all of its modes at once to learn which it
// has, and each mode that has not passed again.
func (c Comparison) bar(ctx context.Context, b *Binary, test string) ([]*Case, error) {
	o, err := b.Run(ctx, adapter.NetHTTP, test, "", c.Limit)
	if err != nil {
		return nil, err
	}
	names := o.Modes(test)
	if len(names) == 0 {
		names = []string{""}
	}
	var cases []*Case
	for _, mode := range names {
		k := &Case{Package: b.Suite.Package, Test: test, Mode: mode}
		cases = append(cases, k)
		k.NetHTTP = o.Of(k.Name())
		last := o
		for range attempts - 1 {
			if k.NetHTTP != Fail {
				break
			}
			if last, err = b.Run(ctx, adapter.NetHTTP, test, mode, c.Limit); err != nil {
				return nil, err
			}
			k.NetHTTP = last.Of(k.Name())
			if last.Took >= c.Limit {
				break // it hangs, and would again
			}
		}
		if k.NetHTTP != Pass {
			k.Why, k.Output = last.Excerpt(), last.Output
		}
	}
	return cases, nil
}

// try runs a case over stayopen once.
func (c Comparison) try(ctx context.Context, b *Binary, k *Case) error {
	o, err := b.Run(ctx, adapter.Stayopen, k.Test, k.Mode, c.Limit)
	if err != nil {
		return err
	}
	k.Attempts++
	k.Stayopen, k.Requests, k.Output = o.Of(k.Name()), o.Requests, o.Output
	k.Why = ""
	if k.Stayopen != Pass {
		k.Why = o.Excerpt()
	}
	if k.Stayopen == None {
		return fmt.Errorf("gosuite: %s ran over net/http, but not over stayopen:\n%s", k.Name(), o.Output)
	}
	return nil
}
