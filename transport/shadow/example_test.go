package shadow_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/stayopen-go/stayopen/transport/shadow"
)

// meeting is a server that answers when a whole burst has arrived.
func meeting(size int) *httptest.Server {
	var mu sync.Mutex
	here, gate := 0, make(chan struct{})
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		mine := gate
		if here++; here%size == 0 {
			close(gate)
			gate = make(chan struct{}) // for the next burst
		}
		mu.Unlock()
		<-mine
		io.WriteString(w, "hello")
	}))
}

// Proof before the switch: what http.DefaultTransport does now, and what
// stayopen would have done.
func Example() {
	const bursts, size = 10, 20
	server := meeting(size)
	defer server.Close()

	watched, err := shadow.New(shadow.Config{Base: http.DefaultTransport})
	if err != nil {
		log.Fatal(err)
	}
	defer watched.Close()
	client := &http.Client{Transport: watched}
	defer client.CloseIdleConnections()

	for range bursts {
		var burst sync.WaitGroup
		for range size {
			burst.Go(func() { fetch(client, server.URL) })
		}
		burst.Wait()
	}

	s := watched.Stats()
	fmt.Println(s.Exchanges, "exchanges,", s.Opened, "connections opened")
	fmt.Println("stayopen would have avoided more than 100 of their closes, by estimate:", s.StayOpen.ClosesAvoided > 100)
	// Output:
	// 200 exchanges, 182 connections opened
	// stayopen would have avoided more than 100 of their closes, by estimate: true
}

// fetch makes a request and reads the answer to its end.
func fetch(client *http.Client, url string) {
	resp, err := client.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
}
