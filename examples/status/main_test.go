package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/stayopen-go/stayopen/transport/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestThePageShowsBothTransportsAtWork(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"-hosts=20"}, in, io.Discard) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	look := func(query string) []byte {
		resp, err := client.Get(strings.TrimSpace(line) + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("status %d, %v", resp.StatusCode, err)
		}
		return body
	}
	// Every service has been called, the one that is not there as well.
	for {
		var r status.Report
		if err := json.Unmarshal(look("?format=json"), &r); err != nil {
			t.Fatal(err)
		}
		services, crawler := r.Transports[0], r.Transports[1]
		busy := slices.IndexFunc(services.Origins, func(o status.Origin) bool { return o.Exchanges == 0 && o.DialsFailed == 0 }) < 0
		if busy && len(services.Origins) == len(callers) && crawler.ClosesAvoided > 0 && len(r.Budgets) > 0 {
			break
		}
	}
	if page := string(look("")); !strings.Contains(page, "api.internal:80") || !strings.Contains(page, "www.site-0") {
		t.Error("the page does not show the services and the hosts")
	}
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("got exit code %d, want 0", got)
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-hosts=0"}, {"-for=-1s"}, {"more"}, {"-nothing"}} {
		if got := run(t.Context(), args, io.Discard, io.Discard); got != 2 {
			t.Errorf("%q: got exit code %d, want 2", args, got)
		}
	}
	if got := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); got != 0 {
		t.Errorf("-h: got exit code %d, want 0", got)
	}
	if got := run(t.Context(), []string{"-for=1ms", "-hosts=1"}, io.Discard, io.Discard); got != 0 {
		t.Errorf("-for=1ms: got exit code %d, want 0", got)
	}
}
