package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// slowFrom is the time from which an answer is late: that of a client whose first
// packet was turned away, and which asked again a second later.
const slowFrom = 900 * time.Millisecond

// giveUp bounds a request.
const giveUp = 15 * time.Second

// load is what the workers send, and what came of it.
type load struct {
	url     string
	workers sync.WaitGroup

	requests, alone, failed, slow atomic.Int64
	connections                   atomic.Int64 // that the clients saw established

	// mu guards firstError.
	mu         sync.Mutex
	firstError error
}

// start starts the workers. They end, each with its request done, when ctx does;
// wait for them with l.workers.Wait.
func (l *load) start(ctx context.Context, workers int) {
	kept := &http.Transport{DialContext: l.dial, MaxIdleConnsPerHost: workers}
	alone := &http.Transport{DialContext: l.dial, DisableKeepAlives: true}
	context.AfterFunc(ctx, func() {
		l.workers.Wait()
		kept.CloseIdleConnections()
	})
	for i := range workers {
		if i%2 == 0 {
			l.workers.Go(func() { l.work(ctx, alone, &l.alone) })
		} else {
			l.workers.Go(func() { l.work(ctx, kept, new(atomic.Int64)) })
		}
	}
}

// dial counts connections.
func (l *load) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		l.connections.Add(1)
	}
	return c, err
}

func (l *load) work(ctx context.Context, rt http.RoundTripper, count *atomic.Int64) {
	client := &http.Client{Transport: rt, Timeout: giveUp}
	for ctx.Err() == nil {
		start := time.Now()
		err := get(client, l.url)
		if time.Since(start) >= slowFrom {
			l.slow.Add(1)
		}
		l.requests.Add(1)
		count.Add(1)
		if err != nil {
			l.fail(err)
		}
	}
}

func (l *load) fail(err error) {
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.firstError == nil {
		l.firstError = err
	}
}

// get sends a request and checks the whole answer.
func get(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return errors.New(resp.Status)
	case string(got) != body:
		return fmt.Errorf("got %d bytes, want the %d that every answer has", len(got), len(body))
	}
	return nil
}
