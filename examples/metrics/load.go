package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// load sends so many requests a second until ctx ends: half through each
// transport, now and then one that its caller gives up, one whose body is left
// unread, one after which the service closes, and one to where nobody is.
func (p *program) load(ctx context.Context, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		t := p.api
		if i%2 == 1 {
			t = p.once
		}
		running.Go(func() { p.send(t, i/2) })
	}
}

func (p *program) send(t *transport.Transport, i int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	url, read := p.service.url+"/", true
	switch i % 50 {
	case 7:
		url += "last"
	case 17:
		url, read = url+"long", false
	case 27:
		ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
	case 37:
		url = "http://127.0.0.1:1/" // nobody is there
	}
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return // counted by the transport
	}
	defer resp.Body.Close()
	if read {
		io.Copy(io.Discard, resp.Body)
	}
}
