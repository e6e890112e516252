package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"
)

// serverEnv, when set, makes this program the server of another one.
const serverEnv = "STAYOPEN_COMPARE_SERVER"

func isServerProcess() bool { return os.Getenv(serverEnv) != "" }

// The parent and its server talk JSON over the server's stdin and stdout:
// one setup, answered by a greeting; then a query for each tally.
type (
	setup struct {
		// Targets is how many sets of origins to serve, one for each client.
		Targets int
		Origins int
		Seed    uint64
	}
	greeting struct {
		// Origins holds the host:port of every origin, by target.
		Origins [][]string
		// Error says why there are none.
		Error string
	}
	query struct{ Target int }
)

// serverMain serves until orders ends, which is when the parent does, and
// returns the exit code.
func serverMain(orders io.Reader, answers, log io.Writer) int {
	// Ctrl-C reaches the whole process group. The parent needs one more tally
	// after it, and its end is this process's end.
	signal.Ignore(os.Interrupt)
	if err := serve(json.NewDecoder(orders), json.NewEncoder(answers)); err != nil {
		fmt.Fprintf(log, "compare: server: %v\n", err)
		return exitFailed
	}
	return 0
}

func serve(orders *json.Decoder, answers *json.Encoder) error {
	var s setup
	if err := orders.Decode(&s); err != nil {
		return fmt.Errorf("cannot read the setup: %w", err)
	}
	targets, origins, err := startTargets(s)
	defer func() {
		for _, t := range targets {
			t.server.Close()
		}
	}()
	if err != nil {
		return answers.Encode(greeting{Error: err.Error()})
	}
	if err := answers.Encode(greeting{Origins: origins}); err != nil {
		return err
	}
	for {
		var q query
		if err := orders.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot read a query: %w", err)
		}
		if q.Target < 0 || q.Target >= len(targets) {
			return fmt.Errorf("query for target %d of %d", q.Target, len(targets))
		}
		if err := answers.Encode(targets[q.Target].tally()); err != nil {
			return err
		}
	}
}

func startTargets(s setup) (targets []*target, origins [][]string, err error) {
	for range s.Targets {
		listeners, err := listenOrigins(s.Origins)
		if err != nil {
			return targets, nil, err
		}
		t := newTarget(s.Seed)
		var addrs []string
		for _, l := range listeners {
			addrs = append(addrs, l.Addr().String())
			// Ends with t.server.Close.
			go t.server.Serve(&countingListener{TCPListener: l, target: t})
		}
		targets, origins = append(targets, t), append(origins, addrs)
	}
	return targets, origins, nil
}

// target is the part of the server that one client talks to: its origins,
// and the counts of what happened there.
type target struct {
	server *http.Server
	delays []time.Duration
	asked  atomic.Uint64

	accepted, answers, served, closedByPeer, open atomic.Int64
}

// tally is what a server knows about one client's connections.
type tally struct {
	// Accepted counts the connections opened.
	Accepted int64
	// Answers counts the requests that a handler answered.
	Answers int64
	// Served counts the connections with at least one answer.
	Served int64
	// ClosedByPeer counts the connections that the client ended before the
	// server did, by FIN or by RST. Negative when the counts were taken on
	// the client's side, which cannot tell.
	ClosedByPeer int64
	// Open counts the connections that the server has not closed yet.
	Open int64
}

// bothSides reports whether the server counted, so that there is another side
// than the client's.
func (t tally) bothSides() bool { return t.ClosedByPeer >= 0 }

// The answer takes as long as a nearby service's would, so that the requests
// of a burst overlap, and is as small.
const (
	minDelay = 2 * time.Millisecond
	maxDelay = 5 * time.Millisecond
)

var body = strings.Repeat("stayopen ", 64)

func newTarget(seed uint64) *target {
	t := &target{delays: make([]time.Duration, 1024)}
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range t.delays {
		t.delays[i] = minDelay + time.Duration(rng.Int64N(int64(maxDelay-minDelay)))
	}
	t.server = &http.Server{
		Handler: t,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	return t
}

type connKey struct{}

// ServeHTTP answers after the next delay of a fixed sequence, so that every
// client meets the same delays.
func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := t.asked.Add(1) - 1
	time.Sleep(t.delays[n%uint64(len(t.delays))])
	w.Header().Set("Content-Type", "text/plain")
	// Counted before the answer can reach the client: net/http flushes a body
	// this small when the handler returns.
	t.answers.Add(1)
	if c := r.Context().Value(connKey{}).(*countedConn); c.answered.CompareAndSwap(false, true) {
		t.served.Add(1)
	}
	io.WriteString(w, body)
}

func (t *target) tally() tally {
	return tally{
		Accepted:     t.accepted.Load(),
		Answers:      t.answers.Load(),
		Served:       t.served.Load(),
		ClosedByPeer: t.closedByPeer.Load(),
		Open:         t.open.Load(),
	}
}
