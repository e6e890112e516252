package adapter

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/gosuite/standin/nettrace"
)

// RequestsPrefix begins the line in which Main says how many requests went
// through adapters.
const RequestsPrefix = "gosuite requests: "

// closeLimit is how long transports get to close, and goroutines to end.
const closeLimit = 10 * time.Second

// Main is TestMain: it runs the tests, closes every stayopen transport they
// caused and looks whether anything of theirs goes on running. It exits the
// process.
func Main(m *testing.M) {
	if underTest != NetHTTP && underTest != Stayopen {
		fmt.Fprintf(os.Stderr, "gosuite: %s=%q, want %q or %q\n", Variable, underTest, NetHTTP, Stayopen)
		os.Exit(2)
	}
	net.DefaultResolver = nettrace.Resolver()
	code := m.Run()
	if err := closeAll(); err != nil {
		fmt.Printf("gosuite: %v\n", err)
		code = max(code, 1)
	}
	// On a line of its own, whatever the tests wrote last.
	fmt.Printf("\n%s%d\n", RequestsPrefix, requests.Load())
	os.Exit(code)
}

// closeAll closes what was opened and reports what does not end. The time limit
// is there to tell a Close that hangs from one that is slow.
func closeAll() error {
	mu.Lock()
	adapters := make([]*Adapter, 0, len(all))
	for _, a := range all {
		adapters = append(adapters, a)
	}
	mu.Unlock()

	done := make(chan error, 1) // buffered: nobody waits for a Close that hangs
	go func() {                 // ends when every Close has returned, or with the process
		var first error
		for _, a := range adapters {
			a.template.CloseIdleConnections()
			for _, b := range a.opened() {
				// What lives in a bubble cannot be touched from outside. Package
				// synctest has seen to it that nothing of it is left.
				if b.bubbled {
					continue
				}
				if err := b.ours.Close(); err != nil && first == nil {
					first = err
				}
			}
		}
		done <- first
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("Transport.Close: %w", err)
		}
	case <-time.After(closeLimit):
		return fmt.Errorf("Transport.Close has not returned after %v\n\n%s", closeLimit, strings.Join(stacks(), "\n\n"))
	}
	return waitForGoroutines()
}

// waitForGoroutines looks for goroutines of stayopen's until there are none.
func waitForGoroutines() error {
	var left []string
	for deadline := time.Now().Add(closeLimit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if left = stacks(); len(left) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d goroutines of stayopen's run %v after every Transport was closed:\n\n%s", len(left), closeLimit, strings.Join(left, "\n\n"))
}

// stacks returns the stacks of goroutines in which a package of stayopen takes
// part, this one and the rewritten tests aside.
func stacks() []string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	all := strings.Split(string(buf), "\n\n")
	return slices.DeleteFunc(all, func(stack string) bool {
		return !slices.ContainsFunc(strings.Split(stack, "\n"), func(line string) bool {
			line = strings.TrimPrefix(line, "created by ")
			return strings.HasPrefix(line, "github.com/stayopen-go/stayopen/") &&
				!strings.HasPrefix(line, "github.com/stayopen-go/stayopen/transport/internal/gosuite/")
		})
	})
}

var _ http.RoundTripper = (*Adapter)(nil)
